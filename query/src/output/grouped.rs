//! Groups as rows: what flows share are their columns, so that a format of rows prints
//! them like flows.

use std::io::{self, Write};
use std::sync::Arc;

use flow_common::column::ColumnId;
use flow_common::limits::SCAN_BATCH_ROWS;

use super::{Style, row_format};
use crate::aggregate::{Group, Groups, Record, Value};
use crate::aggregation::Aggregation;
use crate::batch::{Batch, FileColumn};
use crate::columns::Columns;
use crate::flow::{Counters, FiveTuple, KEY_COLUMNS};
use crate::group::Source;
use crate::values;

/// Writes groups of `-a` and `-A` in a format of rows.
pub(super) fn write_groups(
    out: &mut dyn Write,
    style: &Style,
    aggregation: &Aggregation,
    groups: &mut Groups<'_>,
) -> io::Result<()> {
    let extra: Arc<[FileColumn]> = aggregation
        .keys
        .iter()
        .filter(|key| key.column.table().is_none())
        .map(|key| FileColumn {
            name: key.name.clone(),
            kind: key.value_kind(),
            column: key.column,
            element: None,
        })
        .collect();
    write(out, style, groups, |groups: &[Group]| {
        let mut batch = batch(groups.iter().map(|group| &group.counters), groups.len(), &extra);
        for (at, key) in aggregation.keys.iter().enumerate() {
            let kind = key.column.table().map_or_else(|| key.value_kind(), |column| column.kind);
            let cells = groups.iter().map(|group| group.key.get(at).and_then(Option::as_ref));
            batch.set(key.column, Value::column(kind, cells.clone()));
            if let Source::Net { addr, mask } = key.source() {
                set_net(&mut batch, (addr, mask), cells);
            }
        }
        set_labels(&mut batch, aggregation, groups);
        set_details(&mut batch, groups.iter().map(|group| (group.tcp_flags, group.src_tos)));
        if aggregation.has_out() {
            let counters = groups.iter().map(|group| &group.counters);
            set_ints(&mut batch, ColumnId::OutPackets, counters.clone().map(|one| count(one.out_packets)));
            set_ints(&mut batch, ColumnId::OutBytes, counters.map(|one| count(one.out_bytes)));
        }
        batch
    })
}

/// Writes flows of one 5-tuple each in a format of rows.
pub(super) fn write_records(
    out: &mut dyn Write,
    style: &Style,
    records: impl Iterator<Item = (FiveTuple, Record)>,
) -> io::Result<()> {
    let none: Arc<[FileColumn]> = Arc::new([]);
    write(out, style, records, |records: &[(FiveTuple, Record)]| {
        let mut batch = batch(records.iter().map(|(_, record)| &record.counters), records.len(), &none);
        let tuples = || records.iter().map(|(tuple, _)| tuple);
        let [protocol, src_addr, dst_addr, src_port, dst_port, ..] = KEY_COLUMNS;
        set_ints(&mut batch, protocol, tuples().map(|tuple| tuple.protocol.map(i64::from)));
        set_ints(&mut batch, src_port, tuples().map(|tuple| tuple.src_port.map(i64::from)));
        set_ints(&mut batch, dst_port, tuples().map(|tuple| tuple.dst_port.map(i64::from)));
        let fixed = |addr: Option<flow_common::addr::Addr16>| addr.map(|addr| u128::from_be_bytes(addr.0));
        batch.set(src_addr.into(), values::Column::fixed(tuples().map(|tuple| fixed(tuple.src_addr))));
        batch.set(dst_addr.into(), values::Column::fixed(tuples().map(|tuple| fixed(tuple.dst_addr))));
        set_details(&mut batch, records.iter().map(|(_, record)| (record.tcp_flags, record.src_tos)));
        batch
    })
}

fn write<T>(
    out: &mut dyn Write,
    style: &Style,
    rows: impl Iterator<Item = T>,
    make: impl Fn(&[T]) -> Batch,
) -> io::Result<()> {
    let format = row_format(style, &Columns::default());
    let mut formatter = format.formatter();
    format.begin(out)?;
    let (mut before, mut text) = (0, Vec::new());
    each_batch(rows, |rows| {
        text.clear();
        formatter.rows(&make(rows), &mut text);
        format.join(before, &mut text, out)?;
        before += rows.len() as u64;
        Ok(())
    })?;
    format.end(before, out)
}

/// Hands rows to `with`, some at a time.
pub(super) fn each_batch<T>(
    mut rows: impl Iterator<Item = T>,
    mut with: impl FnMut(&[T]) -> io::Result<()>,
) -> io::Result<()> {
    let mut some = Vec::new();
    loop {
        some.clear();
        some.extend(rows.by_ref().take(SCAN_BATCH_ROWS));
        if some.is_empty() {
            return Ok(());
        }
        with(&some)?;
    }
}

/// Rows with what is counted of each.
fn batch<'a>(
    counters: impl Iterator<Item = &'a Counters> + Clone,
    rows: usize,
    extra: &Arc<[FileColumn]>,
) -> Batch {
    let mut batch = Batch::new(rows, extra);
    set_ints(&mut batch, ColumnId::FlowStart, counters.clone().map(|counters| counters.first));
    set_ints(&mut batch, ColumnId::FlowEnd, counters.clone().map(|counters| counters.last));
    set_ints(&mut batch, ColumnId::Packets, counters.clone().map(|counters| count(counters.packets)));
    set_ints(&mut batch, ColumnId::Bytes, counters.clone().map(|counters| count(counters.bytes)));
    set_ints(&mut batch, ColumnId::FlowCount, counters.map(|counters| count(counters.flows)));
    batch
}

fn count(value: u64) -> Option<i64> {
    Some(i64::try_from(value).unwrap_or(i64::MAX))
}

fn set_details(batch: &mut Batch, details: impl Iterator<Item = (Option<i64>, Option<i64>)> + Clone) {
    for (id, values) in [
        (ColumnId::TcpFlags, details.clone().map(|(flags, _)| flags).collect::<Vec<_>>()),
        (ColumnId::SrcTos, details.map(|(_, tos)| tos).collect()),
    ] {
        // A part of the key is there already.
        if batch.column(id.into()).is_none() {
            set_ints(batch, id, values.into_iter());
        }
    }
}

/// Networks as tags know them: an address and its mask.
fn set_net<'a>(
    batch: &mut Batch,
    (addr, mask): (ColumnId, ColumnId),
    cells: impl Iterator<Item = Option<&'a Value>> + Clone,
) {
    let net = |cell: Option<&Value>| match cell? {
        Value::Net(addr, length) => Some((u128::from_be_bytes(addr.0), i64::from(*length))),
        _ => None,
    };
    if batch.column(addr.into()).is_none() {
        batch.set(addr.into(), values::Column::fixed(cells.clone().map(|cell| net(cell).map(|net| net.0))));
    }
    set_ints(batch, mask, cells.map(|cell| net(cell).map(|net| net.1)));
}

/// Label stacks as far as keys tell of them.
fn set_labels(batch: &mut Batch, aggregation: &Aggregation, groups: &[Group]) {
    let stacks: Vec<_> = groups.iter().map(|group| aggregation.labels(&group.key)).collect();
    if stacks.iter().any(Option::is_some) {
        let stacks = stacks.into_iter().map(|stack| stack.map(|stack| stack.into_iter().map(Some)));
        let list = arrow_array::ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>(stacks);
        batch.set(ColumnId::MplsLabels.into(), values::Column::Array(Arc::new(list)));
    }
}

fn set_ints(batch: &mut Batch, id: ColumnId, cells: impl Iterator<Item = Option<i64>>) {
    batch.set(id.into(), values::Column::ints(cells));
}
