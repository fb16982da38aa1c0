//! Groups in memory, each with its key and its sums.

use std::sync::Arc;

use hashbrown::HashTable;

use super::extras::Extras;
use crate::counts::{Counts, NO_FIRST, NO_LAST};
use crate::flow::Counters;
use crate::measure::What;

/// What the flows of a group add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) flows: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) out_packets: u64,
    pub(crate) out_bytes: u64,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Sum {
    pub(crate) const ZERO: Self =
        Self { flows: 0, packets: 0, bytes: 0, out_packets: 0, out_bytes: 0, first: NO_FIRST, last: NO_LAST };
    /// Numbers it is stored as.
    pub(super) const WORDS: usize = 7;

    pub(crate) fn of(counts: &Counts, row: usize) -> Self {
        let number = |numbers: &[u64]| numbers.get(row).copied().unwrap_or(0);
        Self {
            flows: counts.flows(row),
            packets: number(&counts.packets),
            bytes: number(&counts.bytes),
            out_packets: number(&counts.out_packets),
            out_bytes: number(&counts.out_bytes),
            first: counts.first.get(row).copied().unwrap_or(NO_FIRST),
            last: counts.last.get(row).copied().unwrap_or(NO_LAST),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.flows = self.flows.saturating_add(other.flows);
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.out_packets = self.out_packets.saturating_add(other.out_packets);
        self.out_bytes = self.out_bytes.saturating_add(other.out_bytes);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }

    /// Whether some flow tells a time.
    pub(crate) fn has_times(&self) -> bool {
        self.first != NO_FIRST || self.last != NO_LAST
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            flows: self.flows,
            packets: self.packets,
            bytes: self.bytes,
            out_packets: self.out_packets,
            out_bytes: self.out_bytes,
            events: 0,
            first: self.has_times().then_some(self.first),
            last: self.has_times().then_some(self.last),
            over_ms: 0,
        }
    }

    pub(super) fn to_words(self) -> [u64; Self::WORDS] {
        let [first, last] = [self.first as u64, self.last as u64];
        [self.flows, self.packets, self.bytes, self.out_packets, self.out_bytes, first, last]
    }

    pub(super) fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [flows, packets, bytes, out_packets, out_bytes, first, last] = words;
        Self { flows, packets, bytes, out_packets, out_bytes, first: first as i64, last: last as i64 }
    }
}

/// What the flows of a group have besides counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Detail {
    /// TCP flags of all flows or-ed.
    pub(crate) tcp_flags: Option<i64>,
    /// Type of service of the first flow that has one, and where that flow stands.
    pub(crate) src_tos: Option<(u64, i64)>,
}

impl Detail {
    pub(super) const NONE: Self = Self { tcp_flags: None, src_tos: None };
    pub(super) const WORDS: usize = 4;

    pub(super) fn add(&mut self, other: &Self) {
        self.tcp_flags = match (self.tcp_flags, other.tcp_flags) {
            (Some(one), Some(two)) => Some(one | two),
            (one, two) => one.or(two),
        };
        self.src_tos = self.src_tos.into_iter().chain(other.src_tos).min();
    }

    pub(super) fn to_words(self) -> [u64; Self::WORDS] {
        let present = u64::from(self.tcp_flags.is_some()) | u64::from(self.src_tos.is_some()) << 1;
        let (at, tos) = self.src_tos.unwrap_or_default();
        [present, self.tcp_flags.unwrap_or(0) as u64, at, tos as u64]
    }

    pub(super) fn from_words([present, flags, at, tos]: [u64; Self::WORDS]) -> Self {
        Self {
            tcp_flags: (present & 1 != 0).then_some(flags as i64),
            src_tos: (present & 2 != 0).then_some((at, tos as i64)),
        }
    }
}

/// What is kept of a group.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// Words of a key.
    pub(super) width: usize,
    pub(super) has_details: bool,
    pub(super) measures: Arc<[What]>,
}

/// Groups whose keys have `width` words each.
#[derive(Debug)]
pub(super) struct Groups {
    shape: Shape,
    keys: Vec<u64>,
    hashes: Vec<u64>,
    sums: Vec<Sum>,
    details: Vec<Detail>,
    index: HashTable<u32>,
    /// What is measured of them; of most groupings nothing.
    pub(super) extras: Extras,
}

impl Groups {
    pub(super) fn new(shape: &Shape) -> Self {
        Self {
            shape: shape.clone(),
            keys: Vec::new(),
            hashes: Vec::new(),
            sums: Vec::new(),
            details: Vec::new(),
            index: HashTable::new(),
            extras: Extras::new(&shape.measures),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sums.len()
    }

    /// Octets a group takes, its share of the index included.
    fn bytes_per_group(width: usize, has_details: bool) -> usize {
        let details = if has_details { size_of::<Detail>() } else { 0 };
        // Vectors and index are half empty at the worst.
        2 * (width * 8 + 8 + size_of::<Sum>() + details + 5)
    }

    pub(super) fn key(&self, group: usize) -> &[u64] {
        let width = self.shape.width;
        &self.keys[group * width..(group + 1) * width]
    }

    pub(super) fn sum(&self, group: usize) -> &Sum {
        &self.sums[group]
    }

    pub(super) fn detail(&self, group: usize) -> Detail {
        self.details.get(group).copied().unwrap_or(Detail::NONE)
    }

    pub(super) fn hash(&self, group: usize) -> u64 {
        self.hashes[group]
    }

    /// Adds to the group of `key`, which is made where it is new; its place.
    pub(super) fn add(&mut self, hash: u64, key: &[u64], sum: &Sum, detail: &Detail) -> u32 {
        let Self { shape, keys, hashes, sums, details, index, .. } = self;
        let Shape { width, has_details, .. } = *shape;
        let is_it = |&group: &u32| {
            let group = group as usize;
            hashes[group] == hash && keys[group * width..(group + 1) * width] == *key
        };
        match index.find(hash, is_it) {
            Some(&group) => {
                sums[group as usize].add(sum);
                if has_details {
                    details[group as usize].add(detail);
                }
                group
            }
            None => {
                let group = sums.len() as u32;
                keys.extend_from_slice(key);
                hashes.push(hash);
                sums.push(*sum);
                if has_details {
                    details.push(*detail);
                }
                index.insert_unique(hash, group, |&group| hashes[group as usize]);
                group
            }
        }
    }

    /// Adds all groups of `other`.
    pub(super) fn merge(&mut self, other: &Self) {
        for group in 0..other.len() {
            self.add(other.hash(group), other.key(group), other.sum(group), &other.detail(group));
        }
    }

    /// As [`Self::merge`], with what is measured but for values and spans; where each group of
    /// `other` is here.
    pub(super) fn merge_measured(&mut self, other: &Self) -> Vec<u32> {
        let add =
            |group| self.add(other.hash(group), other.key(group), other.sum(group), &other.detail(group));
        let map: Vec<u32> = (0..other.len()).map(add).collect();
        self.extras.merge_small(&other.extras, &map);
        map
    }

    /// Octets held, about.
    pub(super) fn bytes(&self) -> usize {
        self.len() * Self::bytes_per_group(self.shape.width, self.shape.has_details) + self.extras.bytes()
    }

    pub(super) fn clear(&mut self) {
        let extras = self.extras.emptied(&self.shape.measures);
        *self = Self { extras, ..Self::new(&self.shape) };
    }
}
