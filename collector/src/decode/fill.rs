//! Filling one column from one field of many records.
//!
//! Fields of the usual lengths take a tight loop; everything else, and a set with a
//! value that does not fit, goes value by value.

use flow_common::addr::Addr16;
use flow_common::column::Kind;
use flow_common::time::uptime_to_wall;

use super::plan::{ColumnOp, Plan};
use super::run::{Records, time_of};
use super::value::{self, Read, TimeBase};
use crate::flow::FlowBatch;

/// Fills one column; says whether a value sent did not fit it.
pub(super) fn append_column(
    op: &ColumnOp,
    plan: &Plan,
    records: Records<'_>,
    time: TimeBase,
    batch: &mut FlowBatch,
) -> bool {
    let is_plain = append_plain(op, plan, records, time, batch).is_some();
    !is_plain && append_each(op, plan, records, time, batch)
}

/// Fills one column value by value; says whether a value sent did not fit it.
fn append_each(
    op: &ColumnOp,
    plan: &Plan,
    records: Records<'_>,
    time: TimeBase,
    batch: &mut FlowBatch,
) -> bool {
    let mut is_unfit = false;
    let mut note = |bytes: &[u8], is_some: bool| is_unfit |= !is_some && !bytes.is_empty();
    let rows = (0..records.len()).map(|row| (row, chosen(op, records, row)));
    match op.column.column().kind {
        Kind::Int32 => {
            let column = batch.int32(op.column);
            for (_, bytes) in rows {
                let value = value::integer(op.read, bytes, time).and_then(|value| i32::try_from(value).ok());
                note(bytes, value.is_some());
                column.push(value);
            }
        }
        Kind::Int64 | Kind::Timestamp => {
            let column = batch.int64(op.column);
            for (row, bytes) in rows {
                let value = value::integer(op.read, bytes, time_of(plan, records, row, time));
                note(bytes, value.is_some());
                column.push(value);
            }
        }
        Kind::Address => {
            let column = batch.address(op.column);
            for (_, bytes) in rows {
                let value = value::address(bytes);
                note(bytes, value.is_some());
                column.push(value);
            }
        }
        Kind::Mac => {
            let column = batch.mac(op.column);
            for (_, bytes) in rows {
                let value = bytes.try_into().ok();
                note(bytes, value.is_some());
                column.push(value);
            }
        }
        Kind::Text => {
            let column = batch.variable(op.column);
            for (_, bytes) in rows {
                let value = value::text(bytes);
                note(bytes, value.is_some());
                column.push(value);
            }
        }
        Kind::Binary => {
            records.fields(op.field).for_each(|bytes| batch.variable(op.column).push(Some(bytes)))
        }
        Kind::Float64 | Kind::Boolean | Kind::Labels | Kind::Other => {
            unreachable!("no plan fills {} by itself", op.column.name())
        }
    }
    is_unfit
}

/// Largest stamp, milliseconds since 1970, that microseconds in 63 bits hold.
const MILLIS_MAX: u64 = i64::MAX as u64 / 1_000;

/// The common fields, whose every value fits; `None` if this is none of them,
/// or one does not fit.
fn append_plain(
    op: &ColumnOp,
    plan: &Plan,
    records: Records<'_>,
    time: TimeBase,
    batch: &mut FlowBatch,
) -> Option<()> {
    if !op.alternates.is_empty() && records.fields(op.field).any(is_zero) {
        return None;
    }
    match (op.column.column().kind, op.read) {
        (Kind::Int32, Read::Uint) => {
            let column = batch.int32(op.column);
            if let Some(octets) = records.arrays::<1>(op.field) {
                column.extend(octets.map(|[octet]| i32::from(octet)));
            } else if let Some(octets) = records.arrays(op.field) {
                column.extend(octets.map(|octets| i32::from(u16::from_be_bytes(octets))));
            } else {
                let values = records.arrays(op.field)?.map(u32::from_be_bytes);
                return column.extend_up_to(values, i32::MAX as u32, |value| value as i32);
            }
        }
        (Kind::Int64, Read::Uint) => {
            let column = batch.int64(op.column);
            if let Some(octets) = records.arrays(op.field) {
                column.extend(octets.map(|octets| i64::from(u32::from_be_bytes(octets))));
            } else if let Some(octets) = records.arrays(op.field) {
                column.extend(octets.map(|octets| i64::from(u16::from_be_bytes(octets))));
            } else {
                let values = records.arrays(op.field)?.map(u64::from_be_bytes);
                return column.extend_up_to(values, i64::MAX as u64, u64::cast_signed);
            }
        }
        (Kind::Timestamp, Read::Millis) => {
            let values = records.arrays(op.field)?.map(u64::from_be_bytes);
            let column = batch.int64(op.column);
            return column.extend_up_to(values, MILLIS_MAX, |millis| (millis as i64).wrapping_mul(1_000));
        }
        (Kind::Timestamp, Read::Uptime) if plan.init.is_none() => {
            let uptime_ms = time.uptime_ms()?;
            let wall = |octets| uptime_to_wall(time.export, uptime_ms, u32::from_be_bytes(octets)).0;
            let stamps = records.arrays(op.field)?;
            batch.int64(op.column).extend(stamps.map(wall));
        }
        (Kind::Address, _) => {
            let column = batch.address(op.column);
            if let Some(addresses) = records.arrays(op.field) {
                column.extend(addresses.map(|octets| Addr16::from_v4(octets).0));
            } else {
                column.extend(records.arrays::<16>(op.field)?);
            }
        }
        (Kind::Mac, _) => {
            let addresses = records.arrays(op.field)?;
            batch.mac(op.column).extend(addresses);
        }
        _ => return None,
    }
    Some(())
}

/// The octets of the op's field, or of the first alternate that is not zero
/// where the field is.
fn chosen<'a>(op: &ColumnOp, records: Records<'a>, row: usize) -> &'a [u8] {
    let bytes = records.field(row, op.field);
    if op.alternates.is_empty() || !is_zero(bytes) {
        return bytes;
    }
    let mut others = op.alternates.iter().map(|&field| records.field(row, field));
    others.find(|other| !is_zero(other)).unwrap_or(bytes)
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&octet| octet == 0)
}

#[cfg(test)]
mod tests {
    use flow_common::column::COLUMNS;
    use flow_common::time::Timestamp;

    use super::*;
    use crate::decode::run::{Scratch, for_records};
    use crate::decode::template::{Definition, FieldSpecifier, Template};
    use crate::decode::wire::Reader;

    /// Records of one field: every octet the same, the highest bit alone, the rest.
    fn bodies(length: usize) -> Vec<Vec<u8>> {
        let record = |first: u8, rest: u8| {
            let mut octets = vec![rest; length];
            octets[0] = first;
            octets
        };
        let all = [record(0, 0), record(0, 1), record(0, 255), record(0x80, 0), record(255, 255)];
        let mut bodies: Vec<_> = all.to_vec();
        bodies.push(all[..3].concat());
        bodies.push(all.concat());
        bodies
    }

    #[test]
    fn tight_loops_say_what_value_by_value_says() {
        let time =
            TimeBase { export: Timestamp::from_secs(1_795_262_400), uptime_ms: Some(90_000), init: None };
        let mut n_plain = 0;
        for source in COLUMNS.iter().flat_map(|column| column.sources) {
            for length in [1, 2, 3, 4, 6, 8, 16] {
                let fields = vec![FieldSpecifier { key: source.key, length }];
                let template = Template::new(Definition { id: 256, n_scope: None, fields }).unwrap();
                for (op, body) in template
                    .plan
                    .ops
                    .iter()
                    .flat_map(|op| bodies(length.into()).into_iter().map(move |b| (op, b)))
                {
                    let (mut plain, mut each) = (FlowBatch::default(), FlowBatch::default());
                    let append = |records: Records<'_>| {
                        if append_plain(op, &template.plan, records, time, &mut plain).is_some() {
                            let is_unfit = append_each(op, &template.plan, records, time, &mut each);
                            assert!(!is_unfit, "{op:?} {body:?}");
                            n_plain += 1;
                        }
                    };
                    for_records(&template, Reader::new(&body), &mut Scratch::default(), append).unwrap();
                    assert_eq!(format!("{plain:?}"), format!("{each:?}"), "{op:?} {body:?}");
                }
            }
        }
        assert!(n_plain > 1_000, "{n_plain}");
    }
}
