//! Filling one column from one field of many records.
//!
//! Fields of 1, 2 and 4 octets that always fit their column take a tight loop;
//! everything else goes value by value.

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
    if append_plain(op, plan, records, time, batch).is_some() {
        return false;
    }
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

/// The common fields, whose every value fits; `None` if this is none of them.
fn append_plain(
    op: &ColumnOp,
    plan: &Plan,
    records: Records<'_>,
    time: TimeBase,
    batch: &mut FlowBatch,
) -> Option<()> {
    if !op.alternates.is_empty() {
        return None;
    }
    match (op.column.column().kind, op.read) {
        (Kind::Int32, Read::Uint) => {
            let column = batch.int32(op.column);
            if let Some(octets) = records.arrays::<1>(op.field) {
                column.extend(octets.map(|[octet]| i32::from(octet)));
            } else {
                column.extend(records.arrays(op.field)?.map(|octets| i32::from(u16::from_be_bytes(octets))));
            }
        }
        (Kind::Int64, Read::Uint) => {
            let column = batch.int64(op.column);
            if let Some(octets) = records.arrays(op.field) {
                column.extend(octets.map(|octets| i64::from(u32::from_be_bytes(octets))));
            } else {
                column.extend(records.arrays(op.field)?.map(|octets| i64::from(u16::from_be_bytes(octets))));
            }
        }
        (Kind::Timestamp, Read::Uptime) if plan.init.is_none() => {
            let uptime_ms = time.uptime_ms()?;
            let wall = |octets| uptime_to_wall(time.export, uptime_ms, u32::from_be_bytes(octets)).0;
            let stamps = records.arrays(op.field)?;
            batch.int64(op.column).extend(stamps.map(wall));
        }
        (Kind::Address, _) => {
            let addresses = records.arrays(op.field)?;
            batch.address(op.column).extend(addresses.map(|octets| Addr16::from_v4(octets).0));
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
