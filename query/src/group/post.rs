//! `-P`: which groups are rows of the answer, asked when all flows are in them. Groups become a
//! batch whose columns are what flows have, so that any filter can be asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow_common::column::ColumnId;
use flow_common::limits::SCAN_BATCH_ROWS;

use super::{Grouping, KeyPart, Source};
use crate::aggregate::{Group, Value};
use crate::batch::{Batch, FileColumn};
use crate::columns::ColumnRef;
use crate::filter::{Filter, Predicate};
use crate::values::Column;

/// What a filter may ask of groups: their keys, what their flows add up to, and what these share.
pub(crate) fn columns_of_groups(grouping: &Grouping) -> BTreeSet<ColumnRef> {
    use ColumnId::{Bytes, FlowCount, FlowEnd, FlowStart, OutBytes, OutPackets, Packets, SrcTos, TcpFlags};
    let sums = [Packets, Bytes, OutPackets, OutBytes, FlowCount, FlowStart, FlowEnd];
    let details = [TcpFlags, SrcTos].into_iter().filter(|_| grouping.has_details);
    let parts = grouping.parts.iter().chain(&grouping.other_sides);
    let keys = parts.filter(|part| asked_as(part.source).is_some()).flat_map(KeyPart::columns);
    keys.chain(sums.into_iter().chain(details).map(ColumnRef::from)).collect()
}

/// Leaves the groups that pass.
pub(super) fn retain(groups: &mut Vec<Group>, grouping: &Grouping, filter: &Arc<Predicate>) {
    let mut filter = Filter::new(Arc::clone(filter));
    let mut kept = Vec::with_capacity(groups.len());
    for some in groups.chunks(SCAN_BATCH_ROWS) {
        kept.extend(filter.select(&batch(some, grouping)).iter());
    }
    let mut kept = kept.into_iter();
    groups.retain(|_| kept.next().unwrap_or(false));
}

/// The column that values of a key are, to a filter. What else is computed has none: a bucket,
/// for one, is asked about with `-t`.
fn asked_as(source: Source) -> Option<ColumnRef> {
    match source {
        Source::Origin { number, is_named: false, .. } => Some(number.into()),
        source => source.column(),
    }
}

/// Groups as rows.
fn batch(groups: &[Group], grouping: &Grouping) -> Batch {
    let parts: Vec<(usize, &KeyPart)> = grouping.parts.iter().enumerate().collect();
    let beyond = parts.iter().filter_map(|(_, part)| match part.source {
        Source::Column(column) if column.table().is_none() => {
            Some(FileColumn { name: String::new(), kind: part.kind, column, element: None })
        }
        _ => None,
    });
    let mut batch = Batch::new(groups.len(), &beyond.collect());
    for &(at, part) in &parts {
        let Some(column) = asked_as(part.source) else { continue };
        let values = || groups.iter().map(|group| group.key.get(at)?.as_ref());
        batch.set(column, Value::column(part.kind, values()));
        if at + 1 == parts.len() {
            for other in grouping.other_sides.iter().filter_map(|side| asked_as(side.source)) {
                batch.set(other, Value::column(part.kind, values()));
            }
        }
    }
    if grouping.bucket().is_some() {
        batch.set_over_ms(groups.iter().map(|group| group.counters.over_ms).collect());
    }
    let mut ints = |id: ColumnId, of: &dyn Fn(&Group) -> Option<i64>| {
        batch.set(id.into(), Column::ints(groups.iter().map(of)));
    };
    // Columns have 63 bits for counters, tables 64.
    let count = |count: u64| Some(i64::try_from(count).unwrap_or(i64::MAX));
    ints(ColumnId::Packets, &|group| count(group.counters.packets));
    ints(ColumnId::Bytes, &|group| count(group.counters.bytes));
    ints(ColumnId::OutPackets, &|group| count(group.counters.out_packets));
    ints(ColumnId::OutBytes, &|group| count(group.counters.out_bytes));
    ints(ColumnId::FlowCount, &|group| count(group.counters.flows));
    ints(ColumnId::FlowStart, &|group| group.counters.first);
    ints(ColumnId::FlowEnd, &|group| group.counters.last);
    if grouping.has_details {
        ints(ColumnId::TcpFlags, &|group| group.tcp_flags);
        ints(ColumnId::SrcTos, &|group| group.src_tos);
    }
    batch
}
