//! Sums by the ids of a dictionary: no hash is looked up until a row group ends.

use std::sync::Arc;

use super::exact::{Detail, Sum};
use super::key::of_id;
use super::{Grouping, SMALL, Shared, Sums, partition_of, put_key};
use crate::counts::{Counts, NO_FIRST, NO_LAST};
use crate::statistic::Order;
use crate::values::{Dictionary, Values};

/// Sums by the ids of a dictionary.
pub(super) struct Dense {
    pub(super) dictionary: Arc<Dictionary>,
    hashes: Vec<u64>,
    flows: Vec<u64>,
    /// Whose rows were seen, though they may count as no flow; empty where each row is one.
    seen: Vec<bool>,
    packets: Vec<u64>,
    bytes: Vec<u64>,
    /// Empty where they are not asked for.
    out_packets: Vec<u64>,
    out_bytes: Vec<u64>,
    first: Vec<i64>,
    last: Vec<i64>,
}

impl Dense {
    pub(super) fn new(dictionary: &Arc<Dictionary>, hashes: Vec<u64>) -> Self {
        let n = dictionary.len() + 1;
        Self {
            dictionary: Arc::clone(dictionary),
            hashes,
            flows: vec![0; n],
            seen: Vec::new(),
            packets: vec![0; n],
            bytes: vec![0; n],
            out_packets: Vec::new(),
            out_bytes: Vec::new(),
            first: vec![NO_FIRST; n],
            last: vec![NO_LAST; n],
        }
    }

    /// Column by column, so that only one array of sums need be in the cache.
    pub(super) fn add(&mut self, ids: &[u32], counts: &Counts) {
        fn sum(sums: &mut [u64], ids: &[u32], numbers: &[u64]) {
            for (&id, &number) in ids.iter().zip(numbers) {
                let sum = &mut sums[id as usize];
                *sum = sum.saturating_add(number);
            }
        }
        if counts.flows.is_empty() {
            ids.iter().for_each(|&id| self.flows[id as usize] += 1);
        } else {
            sum(&mut self.flows, ids, &counts.flows);
            self.seen.resize(self.flows.len(), false);
            let flows_only = ids.iter().enumerate().filter(|(row, _)| !counts.is_event(*row));
            flows_only.for_each(|(_, &id)| self.seen[id as usize] = true);
        }
        sum(&mut self.packets, ids, &counts.packets);
        sum(&mut self.bytes, ids, &counts.bytes);
        if !counts.out_packets.is_empty() {
            self.out_packets.resize(self.flows.len(), 0);
            self.out_bytes.resize(self.flows.len(), 0);
            sum(&mut self.out_packets, ids, &counts.out_packets);
            sum(&mut self.out_bytes, ids, &counts.out_bytes);
        }
        let is_flow = |row: usize| counts.events.is_empty() || !counts.events[row];
        for (row, (&id, &first)) in ids.iter().zip(&counts.first).enumerate() {
            let least = &mut self.first[id as usize];
            if first < *least && is_flow(row) {
                *least = first;
            }
        }
        for (row, (&id, &last)) in ids.iter().zip(&counts.last).enumerate() {
            let most = &mut self.last[id as usize];
            if last > *most && is_flow(row) {
                *most = last;
            }
        }
    }
}

/// Moves sums by id to the groups.
pub(super) fn flush(
    dense: Dense,
    sums: &mut Sums,
    small: &mut Vec<Sum>,
    grouping: &Grouping,
    shared: &Shared<'_>,
) {
    let part = grouping.parts[0];
    let n = if grouping.has_null { dense.flows.len() } else { dense.flows.len() - 1 };
    match sums {
        Sums::Hashes(all) => {
            for (ranking, hashes) in grouping.rankings.iter().zip(all) {
                let counter = match ranking.order {
                    Order::Packets => &dense.packets,
                    Order::Bytes => &dense.bytes,
                    _ => &dense.flows,
                };
                let counted = dense.hashes.iter().zip(counter).take(n).filter(|&(_, &count)| count > 0);
                counted.for_each(|(&hash, &count)| hashes.add(hash, count));
            }
        }
        Sums::Groups { partitions, texts, only } => {
            // A place for each number takes no more than a part of the room.
            let has_small = SMALL * size_of::<Sum>() <= shared.bytes_max / 4;
            let mut key = Vec::with_capacity(grouping.width());
            for id in 0..n {
                let hash = dense.hashes[id];
                let is_there = dense.flows[id] > 0 || dense.seen.get(id) == Some(&true);
                if only.as_ref().is_some_and(|only| !only.contains(hash)) || !is_there {
                    continue;
                }
                let words = of_id(part, &dense.dictionary, id, &shared.texts);
                let sum = Sum {
                    flows: dense.flows[id],
                    packets: dense.packets[id],
                    bytes: dense.bytes[id],
                    out_packets: dense.out_packets.get(id).copied().unwrap_or(0),
                    out_bytes: dense.out_bytes.get(id).copied().unwrap_or(0),
                    first: dense.first[id],
                    last: dense.last[id],
                };
                if let (true, 1, Some([_, value])) = (has_small, part.words(), words)
                    && value < SMALL as u64
                    && only.is_none()
                    && sum != Sum::ZERO
                {
                    if small.is_empty() {
                        small.resize(SMALL, Sum::ZERO);
                    }
                    small[value as usize].add(&sum);
                    continue;
                }
                if let (Some(name), Values::Bytes(values)) = (words, &dense.dictionary.values)
                    && let Some(text) = values.get(id)
                {
                    texts.insert(name, text);
                }
                put_key(&mut key, [(part.words(), words)].into_iter());
                partitions[partition_of(hash)].add(hash, &key, &sum, &Detail::NONE);
            }
        }
    }
}
