//! Rows to groups, one by one: keys of several parts, and those without a dictionary.

use flow_common::column::ColumnId;

use super::exact::{Detail, Sum};
use super::extras::Seen;
use super::key::Keys;
use super::{Grouping, Shared, Sums, partition_of, put_key};
use crate::batch::{Batch, Cells};
use crate::counts::Counts;
use crate::statistic::Order;

/// Rows that are added one by one.
pub(super) struct Rows<'a> {
    pub(super) grouping: &'a Grouping,
    pub(super) shared: &'a Shared<'a>,
    pub(super) batch: &'a Batch,
    pub(super) counts: &'a Counts,
    pub(super) position: u64,
    /// What rows say to each measure; of most groupings nothing.
    pub(super) seen: &'a [Vec<Seen>],
}

impl Rows<'_> {
    /// Adds all rows but those whose last part is the same on one of `sides`, which were added.
    pub(super) fn add(&self, sums: &mut Sums, keys: &[Keys<'_>], sides: &[Keys<'_>]) {
        let texts = &self.shared.texts;
        let last = keys.last().copied();
        let is_left_out = |row: usize| {
            (!self.grouping.counts_events && self.counts.is_event(row))
                || (!self.grouping.has_null && last.is_none_or(|last| last.words(row, texts).is_none()))
                || last.is_some_and(|last| {
                    sides.iter().any(|side| last.words(row, texts) == side.words(row, texts))
                })
        };
        // Most groupings leave nothing out.
        let checks = !sides.is_empty()
            || !self.grouping.has_null
            || !(self.grouping.counts_events || self.counts.events.is_empty());
        let mut row_hashes = vec![0; self.counts.rows];
        keys.iter().for_each(|keys| keys.hashes.add_to(&mut row_hashes));
        match sums {
            Sums::Hashes(all) => {
                for (ranking, hashes) in self.grouping.rankings.iter().zip(all) {
                    let counter = match ranking.order {
                        Order::Packets => &self.counts.packets,
                        Order::Bytes => &self.counts.bytes,
                        _ => &self.counts.flows,
                    };
                    for (row, &hash) in row_hashes.iter().enumerate() {
                        if checks && is_left_out(row) {
                            continue;
                        }
                        let is_event = self.counts.is_event(row);
                        let count = counter.get(row).copied().unwrap_or(1);
                        hashes.add(hash, if is_event && ranking.order == Order::Flows { 1 } else { count });
                    }
                }
            }
            Sums::Groups { partitions, texts: known, only } => {
                let details = self.grouping.has_details.then(|| Details::new(self.batch));
                let has_texts = self.grouping.has_texts();
                let mut key = Vec::with_capacity(self.grouping.width());
                for (row, &hash) in row_hashes.iter().enumerate() {
                    if only.as_ref().is_some_and(|only| !only.contains(hash)) || (checks && is_left_out(row))
                    {
                        continue;
                    }
                    let parts = keys.iter().zip(&self.grouping.parts);
                    put_key(&mut key, parts.map(|(keys, part)| (part.words(), keys.words(row, texts))));
                    let mut sum = Sum::of(self.counts, row);
                    if self.counts.is_event(row) {
                        sum.flows = 1;
                    }
                    let detail = details.as_ref().map_or(Detail::NONE, |one| one.get(row, self.position));
                    let groups = &mut partitions[partition_of(hash)];
                    let n_known = groups.len();
                    let group = groups.add(hash, &key, &sum, &detail);
                    if has_texts && groups.len() > n_known {
                        let of_row = keys.iter().filter_map(|keys| keys.text(row));
                        of_row.for_each(|text| known.insert(texts.name(text), text));
                    }
                    if !self.seen.is_empty() {
                        groups.extras.add(group, hash, self.seen.iter().map(|seen| seen[row]));
                    }
                }
            }
        }
    }
}

/// Cells of what a group has besides counters.
struct Details<'a> {
    tcp_flags: Cells<'a>,
    src_tos: Cells<'a>,
}

impl<'a> Details<'a> {
    fn new(batch: &'a Batch) -> Self {
        Self { tcp_flags: batch.cells(ColumnId::TcpFlags), src_tos: batch.cells(ColumnId::SrcTos) }
    }

    fn get(&self, row: usize, position: u64) -> Detail {
        let at = position + row as u64;
        Detail { tcp_flags: self.tcp_flags.int(row), src_tos: self.src_tos.int(row).map(|tos| (at, tos)) }
    }
}
