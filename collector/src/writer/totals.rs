//! What a batch adds up to, for the footer: column by column.

use flow_common::column::ColumnId;
use flow_common::footer::{Counts, Totals};
use flow_common::proto::{ICMP, ICMP6, TCP, UDP};

use crate::flow::FlowBatch;

/// Classes of records, each by a protocol of it; then those that are no flow.
const CLASSES: [Option<u8>; 4] = [Some(TCP), Some(UDP), Some(ICMP), None];
const OTHER: u8 = 3;
const EVENT: u8 = 4;

fn class_of(protocol: i64) -> u8 {
    match u8::try_from(protocol) {
        Ok(TCP) => 0,
        Ok(UDP) => 1,
        Ok(ICMP | ICMP6) => 2,
        _ => OTHER,
    }
}

/// Sums and the time span of all records.
pub(crate) fn totals(batch: &FlowBatch) -> Totals {
    let mut classes = vec![OTHER; batch.rows()];
    batch.for_integers(ColumnId::Protocol, |row, number| classes[row] = class_of(number));
    batch.for_integers(ColumnId::Contributes, |row, contributes| {
        if contributes == 0 {
            classes[row] = EVENT;
        }
    });
    let mut sums = [Counts::default(); 5];
    if batch.has(ColumnId::FlowCount) {
        let mut flows = vec![1; batch.rows()];
        batch.for_integers(ColumnId::FlowCount, |row, n| flows[row] = n.cast_unsigned());
        for (class, n) in classes.iter().zip(flows) {
            let sum = &mut sums[usize::from(*class)];
            sum.flows = sum.flows.saturating_add(n);
        }
    } else {
        classes.iter().for_each(|class| sums[usize::from(*class)].flows += 1);
    }
    batch.for_integers(ColumnId::Packets, |row, n| {
        let sum = &mut sums[usize::from(classes[row])];
        sum.packets = sum.packets.saturating_add(n.cast_unsigned());
    });
    batch.for_integers(ColumnId::Bytes, |row, n| {
        let sum = &mut sums[usize::from(classes[row])];
        sum.bytes = sum.bytes.saturating_add(n.cast_unsigned());
    });
    let mut totals = Totals::default();
    for (protocol, sum) in CLASSES.into_iter().zip(sums) {
        totals.add_record(protocol, sum.flows, sum.packets, sum.bytes);
    }
    totals.events = classes.iter().filter(|&&class| class == EVENT).count() as u64;
    (totals.first, totals.last) = span(batch);
    batch.for_integers(ColumnId::SamplingRate, |_, rate| totals.add_rate(Some(rate)));
    totals
}

/// Earliest start and latest end; a record that has only one of them has it for both.
fn span(batch: &FlowBatch) -> (Option<i64>, Option<i64>) {
    let (mut first, mut last) = (None::<i64>, None::<i64>);
    let [start, end] = [ColumnId::FlowStart, ColumnId::FlowEnd];
    if !batch.has_nulls_from(start, 0) && !batch.has_nulls_from(end, 0) {
        batch.for_integers(start, |_, at| first = Some(first.map_or(at, |first| first.min(at))));
        batch.for_integers(end, |_, at| last = Some(last.map_or(at, |last| last.max(at))));
        let n_each = [start, end].map(|column| batch.filled(column));
        if n_each == [batch.rows(); 2] {
            return (first, last);
        }
    }
    let mut totals = Totals::default();
    for row in 0..batch.rows() {
        let (start, end) = (batch.integer(start, row), batch.integer(end, row));
        totals.add_span(start.or(end), end.or(start));
    }
    (totals.first, totals.last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, record by record.
    fn by_row(batch: &FlowBatch) -> Totals {
        let mut totals = Totals::default();
        for row in 0..batch.rows() {
            let integer = |column| batch.integer(column, row);
            let counter = |column| integer(column).map_or(0, i64::cast_unsigned);
            let protocol = integer(ColumnId::Protocol).and_then(|number| u8::try_from(number).ok());
            let flows = integer(ColumnId::FlowCount).map_or(1, i64::cast_unsigned);
            match integer(ColumnId::Contributes) {
                Some(0) => totals.add_event(),
                _ => {
                    let (packets, bytes) = (counter(ColumnId::Packets), counter(ColumnId::Bytes));
                    totals.add_record(protocol, flows, packets, bytes);
                }
            }
            let (start, end) = (integer(ColumnId::FlowStart), integer(ColumnId::FlowEnd));
            totals.add_span(start.or(end), end.or(start));
            totals.add_rate(integer(ColumnId::SamplingRate));
        }
        totals
    }

    #[test]
    fn columns_add_up_to_what_records_do() {
        let mut n = 7u64;
        for case in 0..200u64 {
            let mut batch = FlowBatch::default();
            for _ in 0..20 {
                n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let value = |at: u32| (n >> at & 0xff) as i64;
                // Each case has columns of its own.
                let has = |bit: u64, at: u32| case >> bit & 1 == 0 && n >> at & 3 > 0;
                let protocols = [6, 17, 1, 58, 47, 300];
                batch.int32(ColumnId::Protocol).push(Some(protocols[value(8) as usize % 6]));
                let bytes = if n >> 60 == 0 { -1 } else { value(16) };
                batch.int64(ColumnId::Bytes).push(has(0, 20).then_some(bytes));
                batch.int64(ColumnId::Packets).push_n(value(24), usize::from(has(1, 28)));
                batch.int64(ColumnId::FlowStart).push((case % 5 == 0 || has(2, 30)).then_some(value(32)));
                batch.int64(ColumnId::FlowEnd).push((case % 5 == 0 || has(3, 36)).then_some(value(40)));
                if case & 16 > 0 {
                    batch.int64(ColumnId::FlowCount).push(has(5, 44).then_some(value(48)));
                }
                if case & 64 > 0 {
                    batch.int64(ColumnId::SamplingRate).push(has(7, 56).then_some(value(12)));
                }
                if case & 32 > 0 {
                    batch.int32(ColumnId::Contributes).push(has(6, 52).then_some((value(50) & 1) as i32));
                }
                batch.add_rows(1);
            }
            assert_eq!(totals(&batch), by_row(&batch), "{case}");
        }
        assert_eq!(totals(&FlowBatch::default()), Totals::default());
    }
}
