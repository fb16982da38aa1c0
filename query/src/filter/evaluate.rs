//! A predicate over a batch, column by column, as bitmaps. Can't fail.
//!
//! Every step looks only at the rows still undecided: `and` narrows them by what
//! matched so far, `or` by what did not.

use arrow_array::Array;
use arrow_array::PrimitiveArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use flow_common::column::ColumnId;

use super::ast::Comparator;
use super::predicate::{FlagsMatch, Measure, Predicate, Test};
use crate::batch::{Batch, Cells};
use crate::flow::{Counters, Times, is_icmp};

/// The rows of `batch` for which `predicate` holds.
pub(crate) fn select(predicate: &Predicate, batch: &Batch) -> BooleanBuffer {
    within(predicate, batch, &BooleanBuffer::new_set(batch.rows()))
}

/// The rows of `rows` for which `predicate` holds.
fn within(predicate: &Predicate, batch: &Batch, rows: &BooleanBuffer) -> BooleanBuffer {
    if rows.count_set_bits() == 0 {
        return rows.clone();
    }
    match predicate {
        Predicate::Constant(true) => rows.clone(),
        Predicate::Constant(false) => BooleanBuffer::new_unset(rows.len()),
        Predicate::Not(inner) => rows & &!&within(inner, batch, rows),
        Predicate::And(all) => all.iter().fold(rows.clone(), |left, one| within(one, batch, &left)),
        Predicate::Or(all) => {
            let (mut found, mut open) = (BooleanBuffer::new_unset(rows.len()), rows.clone());
            for one in all {
                let matched = within(one, batch, &open);
                open = &open & &!&matched;
                found = &found | &matched;
            }
            found
        }
        Predicate::Test(test) => run(test, batch, rows),
    }
}

fn run(test: &Test, batch: &Batch, rows: &BooleanBuffer) -> BooleanBuffer {
    match test {
        Test::Int { column, comparator, value } => {
            compare_ints(batch.cells(*column), *comparator, *value, rows)
        }
        Test::IntIn { column, values } => ints(batch.cells(*column), rows, |value| values.contains(&value)),
        Test::Address { column, nets, is_inside } => {
            let cells = batch.cells(*column);
            collect(rows, |row| {
                cells
                    .octets::<16>(row)
                    .is_some_and(|addr| nets.iter().any(|net| net.contains(addr)) == *is_inside)
            })
        }
        Test::Mac { column, mac, is_equal } => {
            let cells = batch.cells(*column);
            collect(rows, |row| cells.octets::<6>(row).is_some_and(|octets| (octets == mac.0) == *is_equal))
        }
        Test::Text { column, text, is_equal } => {
            let cells = batch.cells(*column);
            collect(rows, |row| cells.text(row).is_some_and(|found| (found == text) == *is_equal))
        }
        Test::Float { column, comparator, value } => {
            let cells = batch.cells(*column);
            collect(rows, |row| cells.float(row).is_some_and(|found| comparator.holds(found, *value)))
        }
        Test::Octets { column, octets, is_equal } => {
            let cells = batch.cells(*column);
            collect(rows, |row| cells.binary(row).is_some_and(|found| (found == octets) == *is_equal))
        }
        Test::Flags { column, how, flags } => {
            let wanted = i64::from(flags.0);
            ints(batch.cells(*column), rows, |found| match how {
                FlagsMatch::AllOf => found & wanted == wanted,
                FlagsMatch::Exactly => found & 0xff == wanted,
                FlagsMatch::Otherwise => found & 0xff != wanted,
            })
        }
        Test::Measure { measure, comparator, value } => {
            let get = measured(*measure, batch);
            collect(rows, |row| get(row).is_some_and(|found| comparator.holds(found, *value)))
        }
        Test::Within { start, last } => {
            let times = Times::new(batch);
            collect(rows, |row| {
                times.first(row).is_some_and(|first| first >= *start)
                    && times.last(row).is_some_and(|end| end <= *last)
            })
        }
    }
}

/// Rows of `rows` for which `holds`. Few rows are visited one by one, many as a
/// whole bitmap.
fn collect(rows: &BooleanBuffer, holds: impl Fn(usize) -> bool) -> BooleanBuffer {
    const SPARSE: usize = 16;
    if rows.count_set_bits() * SPARSE < rows.len() {
        let mut builder = BooleanBufferBuilder::new(rows.len());
        builder.append_n(rows.len(), false);
        rows.set_indices().filter(|&row| holds(row)).for_each(|row| builder.set_bit(row, true));
        return builder.finish();
    }
    rows & &BooleanBuffer::collect_bool(rows.len(), holds)
}

/// The comparator is chosen once, so that each loop is one the compiler can vectorise.
fn compare_ints(cells: Cells<'_>, comparator: Comparator, value: i64, rows: &BooleanBuffer) -> BooleanBuffer {
    match comparator {
        Comparator::Eq => ints(cells, rows, |found| found == value),
        Comparator::Ne => ints(cells, rows, |found| found != value),
        Comparator::Lt => ints(cells, rows, |found| found < value),
        Comparator::Le => ints(cells, rows, |found| found <= value),
        Comparator::Gt => ints(cells, rows, |found| found > value),
        Comparator::Ge => ints(cells, rows, |found| found >= value),
    }
}

fn ints(cells: Cells<'_>, rows: &BooleanBuffer, holds: impl Fn(i64) -> bool) -> BooleanBuffer {
    match cells {
        Cells::Int32(array) => primitives(array, rows, holds),
        Cells::Int64(array) => primitives(array, rows, holds),
        Cells::Time(array) => primitives(array, rows, holds),
        Cells::Boolean(_) => collect(rows, |row| cells.int(row).is_some_and(&holds)),
        _ => BooleanBuffer::new_unset(rows.len()),
    }
}

fn primitives<T: ArrowPrimitiveType<Native: Into<i64>>>(
    array: &PrimitiveArray<T>,
    rows: &BooleanBuffer,
    holds: impl Fn(i64) -> bool,
) -> BooleanBuffer {
    let values = array.values();
    let matched = collect(rows, |row| holds(values[row].into()));
    match array.nulls() {
        Some(nulls) => &matched & nulls.inner(),
        None => matched,
    }
}

/// What computes `measure` for a row; `None` where a column it needs is NULL.
fn measured<'a>(measure: Measure, batch: &'a Batch) -> Box<dyn Fn(usize) -> Option<i64> + 'a> {
    let cells = |id: ColumnId| batch.cells(id);
    match measure {
        Measure::IcmpType => icmp(batch, ColumnId::IcmpType, 8),
        Measure::IcmpCode => icmp(batch, ColumnId::IcmpCode, 0),
        Measure::Bpp => {
            let (bytes, packets) = (cells(ColumnId::Bytes), cells(ColumnId::Packets));
            Box::new(move |row| {
                let (bytes, packets) = (bytes.int(row)?, packets.int(row)?);
                Some(bytes.checked_div(packets).unwrap_or(0))
            })
        }
        Measure::DurationMs | Measure::Bps | Measure::Pps => {
            let (start, end) = (cells(ColumnId::FlowStart), cells(ColumnId::FlowEnd));
            let counted = match measure {
                Measure::Bps => cells(ColumnId::Bytes),
                Measure::Pps => cells(ColumnId::Packets),
                _ => start,
            };
            Box::new(move |row| {
                let count = u64::try_from(counted.int(row)?).unwrap_or(0);
                let span = Counters {
                    first: Some(start.int(row)?),
                    last: Some(end.int(row)?),
                    ..Counters::default()
                };
                let rate = match measure {
                    Measure::Bps => Counters { bytes: count, ..span }.bps(),
                    Measure::Pps => Counters { packets: count, ..span }.pps(),
                    _ => span.duration_ms(),
                };
                Some(i64::try_from(rate).unwrap_or(i64::MAX))
            })
        }
    }
}

/// A column of ICMP, else the octet of the destination port where it was sent there.
fn icmp<'a>(batch: &'a Batch, column: ColumnId, shift: u32) -> Box<dyn Fn(usize) -> Option<i64> + 'a> {
    let (own, port) = (batch.cells(column), batch.cells(ColumnId::DstPort));
    let protocol = batch.cells(ColumnId::Protocol);
    Box::new(move |row| {
        own.int(row).or_else(|| {
            let in_port = || port.int(row).map(|port| port >> shift & 0xff);
            is_icmp(protocol.int(row)).then(in_port)?
        })
    })
}
