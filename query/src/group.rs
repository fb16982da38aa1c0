//! Flows in groups: which there are, what they add up to, and which are the largest.
//!
//! ```text
//! batch → counts ┐
//!      └→ keys ──┴→ sums by dictionary id → groups of one thread → partitions → tables
//! ```
//!
//! Each thread sums up what it reads. A key that is one column with a dictionary is summed up
//! by its ids, and the sums join the groups when the row group ends. Groups are parted by
//! hash, so that partitions of all threads can be joined side by side, and one that has no
//! room goes to disk.
//!
//! The N largest groups by one counter are found in two passes (`fingerprint`).

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use flow_common::column::ColumnId;
use flow_common::limits::{GROUP_CANDIDATES_MAX, GROUP_PARTITIONS};

use crate::aggregate::{Group, Value};
use crate::batch::Batch;
use crate::columns::ColumnRef;
use crate::counts::{Counts, NO_FIRST, NO_LAST, Wanted};
use crate::scan::Sieve;
use crate::statistic::{Order, Ranking};
use crate::values::{Column, Dictionary};

mod exact;
mod fingerprint;
mod key;
mod spill;

use self::exact::{Detail, Groups, Sum};
use self::fingerprint::Fingerprints;
pub(crate) use self::key::{KeyPart, Mask, Source, Texts};
use self::key::{KeyReader, Keys, value_of};
use self::spill::Spill;

/// What flows are grouped by: a plain value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grouping {
    /// Parts of the key, in the order groups are compared by.
    pub(crate) parts: Vec<KeyPart>,
    /// What else the last part may be: a flow counts for both, once where they are equal.
    pub(crate) other_side: Option<KeyPart>,
    /// Whether flows whose last part is NULL are a group; else they are left out.
    pub(crate) has_null: bool,
    /// Whether an event counts as one flow; else events are left out.
    pub(crate) counts_events: bool,
    /// Whether TCP flags and type of service are kept.
    pub(crate) has_details: bool,
    /// One table each.
    pub(crate) rankings: Vec<Ranking>,
}

impl Grouping {
    /// Words of a key: which parts are NULL, and the parts.
    fn width(&self) -> usize {
        1 + self.parts.iter().map(KeyPart::words).sum::<usize>()
    }

    /// Whether two passes find the `top` groups sooner than one. Where there are few groups,
    /// as of ports, one pass reads less.
    fn has_two_passes(&self, top: usize) -> bool {
        use flow_common::column::Kind;
        let is_counter = |ranking: &Ranking| {
            !ranking.is_ascending && matches!(ranking.order, Order::Flows | Order::Packets | Order::Bytes)
        };
        let is_wide = self.parts.len() > 1
            || self.parts.iter().any(|part| !matches!(part.kind, Kind::Int32 | Kind::Boolean));
        is_wide && (1..=GROUP_CANDIDATES_MAX / 64).contains(&top) && self.rankings.iter().all(is_counter)
    }
}

/// Counters the first of two passes needs; `None` where there is no first pass.
pub(crate) fn first_pass(groupings: &[Grouping], top: usize) -> Option<Wanted> {
    let mut two = groupings.iter().filter(|grouping| grouping.has_two_passes(top)).peekable();
    two.peek()?;
    let mut wanted = Wanted { packets: false, bytes: false, times: false };
    for ranking in two.flat_map(|grouping| &grouping.rankings) {
        wanted.packets |= ranking.order == Order::Packets;
        wanted.bytes |= ranking.order == Order::Bytes;
    }
    Some(wanted)
}

/// Keys a second pass is about, by grouping; `None` is all.
pub(crate) type Candidates = Vec<Option<Arc<Chosen>>>;

/// Hashes of some keys.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    hashes: HashSet<u64>,
    /// A bit for each that may be among them, by the first bits of the hash.
    bits: Vec<u64>,
    /// The sum that a group must reach, by ranking, for the answer to be right.
    least: Vec<u64>,
}

impl Chosen {
    const BITS: u32 = 16;

    fn insert(&mut self, hash: u64) {
        if self.bits.is_empty() {
            self.bits.resize(1 << (Self::BITS - 6), 0);
        }
        let place = hash >> (64 - Self::BITS);
        self.bits[(place >> 6) as usize] |= 1 << (place & 63);
        self.hashes.insert(hash);
    }

    #[inline]
    fn contains(&self, hash: u64) -> bool {
        let place = hash >> (64 - Self::BITS);
        self.bits.get((place >> 6) as usize).is_some_and(|bits| bits >> (place & 63) & 1 == 1)
            && self.hashes.contains(&hash)
    }
}

/// What all threads of a pass share.
pub(crate) struct Shared<'a> {
    pub(crate) groupings: &'a [Grouping],
    pub(crate) texts: Arc<Texts>,
    /// Another for each run, so that no one can choose keys of one hash.
    pub(crate) seed: u64,
    /// Octets one thread may hold.
    pub(crate) bytes_max: usize,
    pub(crate) spill_directory: &'a Path,
}

/// Lets rows through whose key is among some.
#[derive(Debug)]
struct KeySieve {
    parts: Vec<KeyPart>,
    chosen: Arc<Chosen>,
    texts: Arc<Texts>,
    seed: u64,
}

/// What lets only rows of `candidates` through, if these are of one grouping that is the only
/// one.
pub(crate) fn sieve(shared: &Shared<'_>, candidates: &Candidates) -> Option<Arc<dyn Sieve>> {
    let ([grouping], [Some(chosen)]) = (shared.groupings, &candidates[..]) else { return None };
    if grouping.other_side.is_some() {
        return None;
    }
    let (parts, chosen, texts) = (grouping.parts.clone(), Arc::clone(chosen), Arc::clone(&shared.texts));
    Some(Arc::new(KeySieve { parts, chosen, texts, seed: shared.seed }))
}

impl Sieve for KeySieve {
    fn columns(&self) -> BTreeSet<ColumnRef> {
        self.parts.iter().flat_map(KeyPart::columns).collect()
    }

    fn start(&self) -> Box<dyn FnMut(&Batch) -> Vec<u32> + Send> {
        let mut readers = readers(&self.parts, self.seed);
        let (chosen, texts) = (Arc::clone(&self.chosen), Arc::clone(&self.texts));
        let mut hashes = Vec::new();
        let mut passes: Option<(u64, Vec<bool>)> = None;
        Box::new(move |batch| {
            let keys: Vec<Keys<'_>> = readers.iter_mut().map(|reader| reader.read(batch, &texts)).collect();
            // Of one column with a dictionary, each value is looked up once.
            if let [Keys { hashes: key::Hashes::Ids { dictionary, ids, hashes }, .. }] = keys[..] {
                if passes.as_ref().is_none_or(|passes| passes.0 != dictionary) {
                    passes = Some((dictionary, hashes.iter().map(|&hash| chosen.contains(hash)).collect()));
                }
                let passes = passes.as_ref().map_or(&[][..], |passes| &passes.1);
                return matching(ids.len(), |row| passes[ids[row] as usize]);
            }
            hashes.clear();
            hashes.resize(batch.rows(), 0);
            keys.iter().for_each(|keys| keys.hashes.add_to(&mut hashes));
            matching(hashes.len(), |row| chosen.contains(hashes[row]))
        })
    }
}

/// The rows for which `holds`, found without a branch for each.
fn matching(rows: usize, holds: impl Fn(usize) -> bool) -> Vec<u32> {
    let mut found = vec![0; rows];
    let mut n = 0;
    for row in 0..rows {
        found[n] = row as u32;
        n += usize::from(holds(row));
    }
    found.truncate(n);
    found
}

/// Readers of the parts of a key: a part has the same seed in all of them.
fn readers(parts: &[KeyPart], seed: u64) -> Vec<KeyReader> {
    let reader = |(at, part): (usize, &KeyPart)| KeyReader::new(*part, key::mix(seed, at as u64));
    parts.iter().enumerate().map(reader).collect()
}

/// What one thread sums up.
pub(crate) struct Worker<'a> {
    shared: &'a Shared<'a>,
    states: Vec<State>,
    spill: Option<Spill>,
}

/// The groups of one grouping.
struct State {
    grouping: usize,
    readers: Vec<KeyReader>,
    other_side: Option<KeyReader>,
    sums: Sums,
    dense: Option<Dense>,
    /// Sums by value of a key that is a small number, such as a port.
    small: Vec<Sum>,
}

/// Numbers that have a place of their own among sums.
const SMALL: usize = 1 << 16;

enum Sums {
    /// First pass, for each ranking.
    Hashes(Vec<Fingerprints>),
    Groups {
        partitions: Vec<Groups>,
        only: Option<Arc<Chosen>>,
    },
}

/// Sums by the ids of a dictionary.
struct Dense {
    dictionary: Arc<Dictionary>,
    hashes: Vec<u64>,
    flows: Vec<u64>,
    packets: Vec<u64>,
    bytes: Vec<u64>,
    first: Vec<i64>,
    last: Vec<i64>,
}

impl<'a> Worker<'a> {
    /// For the first of two passes.
    pub(crate) fn first(shared: &'a Shared<'a>, top: usize) -> Self {
        let two = |(_, grouping): &(usize, &Grouping)| grouping.has_two_passes(top);
        let sums = |grouping: &Grouping| {
            Sums::Hashes(grouping.rankings.iter().map(|_| Fingerprints::new()).collect())
        };
        Self::with(shared, shared.groupings.iter().enumerate().filter(two), sums, None)
    }

    /// For the only pass, or the second of two.
    pub(crate) fn last(shared: &'a Shared<'a>, candidates: &Candidates) -> Self {
        let groups = |grouping: &Grouping| {
            let empty = || Groups::new(grouping.width(), grouping.has_details);
            Sums::Groups { partitions: (0..GROUP_PARTITIONS).map(|_| empty()).collect(), only: None }
        };
        Self::with(shared, shared.groupings.iter().enumerate(), groups, Some(candidates))
    }

    fn with<'g>(
        shared: &'a Shared<'a>,
        groupings: impl Iterator<Item = (usize, &'g Grouping)>,
        sums: impl Fn(&Grouping) -> Sums,
        candidates: Option<&Candidates>,
    ) -> Self {
        let states = groupings.map(|(index, grouping)| {
            let last = key::mix(shared.seed, grouping.parts.len() as u64 - 1);
            let mut sums = sums(grouping);
            if let (Sums::Groups { only, .. }, Some(candidates)) = (&mut sums, candidates) {
                *only = candidates.get(index).cloned().flatten();
            }
            State {
                grouping: index,
                readers: readers(&grouping.parts, shared.seed),
                // Both sides of one value must have one hash.
                other_side: grouping.other_side.map(|part| KeyReader::new(part, last)),
                sums,
                dense: None,
                small: Vec::new(),
            }
        });
        Self { shared, states: states.collect(), spill: None }
    }

    /// Counts the rows of a batch. `position` is that of its first row, unlike any other.
    pub(crate) fn add(&mut self, batch: &Batch, counts: &Counts, position: u64) -> io::Result<()> {
        for state in &mut self.states {
            state.add(self.shared, batch, counts, position);
        }
        if self.bytes() > self.shared.bytes_max {
            self.make_room()?;
        }
        Ok(())
    }

    /// A row group has ended.
    pub(crate) fn end_of_group(&mut self) {
        self.states.iter_mut().for_each(|state| state.flush(self.shared));
    }

    /// Octets held, about.
    fn bytes(&self) -> usize {
        let of = |state: &State| match &state.sums {
            Sums::Hashes(hashes) => hashes.iter().map(Fingerprints::bytes).sum::<usize>(),
            Sums::Groups { partitions, .. } => {
                let grouping = &self.shared.groupings[state.grouping];
                let each = Groups::bytes_per_group(grouping.width(), grouping.has_details);
                partitions.iter().map(|groups| groups.len() * each).sum()
            }
        };
        self.states.iter().map(of).sum()
    }

    /// Whether a first pass has more groups than fit.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes() > self.shared.bytes_max
    }

    fn make_room(&mut self) -> io::Result<()> {
        for (index, state) in self.states.iter_mut().enumerate() {
            let Sums::Groups { partitions, .. } = &mut state.sums else { continue };
            let spill = match &mut self.spill {
                Some(spill) => spill,
                none => none.insert(Spill::new(self.shared.spill_directory)?),
            };
            for (partition, groups) in partitions.iter_mut().enumerate() {
                spill.write(index * GROUP_PARTITIONS + partition, groups)?;
                groups.clear();
            }
        }
        Ok(())
    }
}

impl State {
    fn add(&mut self, shared: &Shared<'_>, batch: &Batch, counts: &Counts, position: u64) {
        let grouping = &shared.groupings[self.grouping];
        if self.add_by_ids(grouping, shared, batch, counts) {
            return;
        }
        self.flush(shared);
        let keys: Vec<Keys<'_>> =
            self.readers.iter_mut().map(|reader| reader.read(batch, &shared.texts)).collect();
        let rows = Rows { grouping, shared, batch, counts, position };
        rows.add(&mut self.sums, &keys, None);
        if let (Some(reader), Some(last)) = (&mut self.other_side, keys.last().copied()) {
            let other = reader.read(batch, &shared.texts);
            let mut keys = keys;
            if let Some(place) = keys.last_mut() {
                *place = other;
            }
            rows.add(&mut self.sums, &keys, Some(last));
        }
    }

    /// Sums up by the ids of a dictionary, if the key is one column that has one.
    fn add_by_ids(
        &mut self,
        grouping: &Grouping,
        shared: &Shared<'_>,
        batch: &Batch,
        counts: &Counts,
    ) -> bool {
        if self.readers.len() != 1 {
            return false;
        }
        if grouping.has_details || self.other_side.is_some() || grouping.counts_events {
            return false;
        }
        let Source::Column(column) = grouping.parts[0].source else { return false };
        let Some(Column::Ids { dictionary, ids }) = batch.column(column) else { return false };
        if self.dense.as_ref().is_none_or(|dense| dense.dictionary.id != dictionary.id) {
            self.flush(shared);
            let [reader] = &mut self.readers[..] else { return false };
            let keys = reader.read(batch, &shared.texts);
            let key::Hashes::Ids { hashes, .. } = keys.hashes else { return false };
            self.dense = Some(Dense::new(dictionary, hashes.to_vec()));
        }
        if let Some(dense) = &mut self.dense {
            dense.add(ids, counts);
        }
        true
    }

    fn flush(&mut self, shared: &Shared<'_>) {
        let grouping = &shared.groupings[self.grouping];
        if let Some(dense) = self.dense.take() {
            flush(dense, &mut self.sums, &mut self.small, grouping, shared);
        }
    }
}

impl State {
    /// Moves sums by value to the groups.
    fn empty_small(&mut self) {
        let ([reader], Sums::Groups { partitions, .. }) = (&self.readers[..], &mut self.sums) else { return };
        for (value, sum) in std::mem::take(&mut self.small).into_iter().enumerate() {
            if sum != Sum::ZERO {
                let hash = reader.hash([0, value as u64]);
                partitions[partition_of(hash)].add(hash, &[0, value as u64], &sum, &Detail::NONE);
            }
        }
    }
}

impl Dense {
    fn new(dictionary: &Arc<Dictionary>, hashes: Vec<u64>) -> Self {
        let n = dictionary.len() + 1;
        Self {
            dictionary: Arc::clone(dictionary),
            hashes,
            flows: vec![0; n],
            packets: vec![0; n],
            bytes: vec![0; n],
            first: vec![NO_FIRST; n],
            last: vec![NO_LAST; n],
        }
    }

    /// Column by column, so that only one array of sums need be in the cache.
    fn add(&mut self, ids: &[u32], counts: &Counts) {
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
        }
        sum(&mut self.packets, ids, &counts.packets);
        sum(&mut self.bytes, ids, &counts.bytes);
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
fn flush(dense: Dense, sums: &mut Sums, small: &mut Vec<Sum>, grouping: &Grouping, shared: &Shared<'_>) {
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
        Sums::Groups { partitions, only } => {
            let mut key = Vec::with_capacity(grouping.width());
            for id in 0..n {
                let hash = dense.hashes[id];
                let has_times = dense.first[id] != NO_FIRST || dense.last[id] != NO_LAST;
                let is_there = dense.flows[id] > 0 || has_times;
                if only.as_ref().is_some_and(|only| !only.contains(hash)) || !is_there {
                    continue;
                }
                let words = key::of_id(part, &dense.dictionary, id, &shared.texts);
                let sum = Sum {
                    flows: dense.flows[id],
                    packets: dense.packets[id],
                    bytes: dense.bytes[id],
                    first: dense.first[id],
                    last: dense.last[id],
                };
                if let (1, Some([_, value])) = (part.words(), words)
                    && value < SMALL as u64
                    && only.is_none()
                {
                    if small.is_empty() {
                        small.resize(SMALL, Sum::ZERO);
                    }
                    small[value as usize].add(&sum);
                    continue;
                }
                put_key(&mut key, [(part.words(), words)].into_iter());
                partitions[partition_of(hash)].add(hash, &key, &sum, &Detail::NONE);
            }
        }
    }
}

fn partition_of(hash: u64) -> usize {
    (hash >> (64 - GROUP_PARTITIONS.trailing_zeros())) as usize
}

/// Writes a key: which parts are NULL, then the parts.
fn put_key(key: &mut Vec<u64>, parts: impl Iterator<Item = (usize, Option<[u64; 2]>)>) {
    key.clear();
    key.push(0);
    for (at, (words, value)) in parts.enumerate() {
        if value.is_none() {
            key[0] |= 1 << at;
        }
        let value = value.unwrap_or_default();
        key.extend_from_slice(&value[2 - words..]);
    }
}

/// Rows that are added one by one.
struct Rows<'a> {
    grouping: &'a Grouping,
    shared: &'a Shared<'a>,
    batch: &'a Batch,
    counts: &'a Counts,
    position: u64,
}

impl Rows<'_> {
    /// Adds all rows; with `first_side` only those whose last part is another there.
    fn add(&self, sums: &mut Sums, keys: &[Keys<'_>], first_side: Option<Keys<'_>>) {
        let texts = &self.shared.texts;
        let last = keys.last().copied();
        let is_left_out = |row: usize| {
            (!self.grouping.counts_events && self.counts.is_event(row))
                || (!self.grouping.has_null && last.is_none_or(|last| last.words(row, texts).is_none()))
                || first_side.is_some_and(|first| {
                    last.is_some_and(|last| last.words(row, texts) == first.words(row, texts))
                })
        };
        // Most groupings leave nothing out.
        let checks = first_side.is_some()
            || !self.grouping.has_null
            || !(self.grouping.counts_events || self.counts.events.is_empty());
        let mut hashes_of = vec![0; self.counts.rows];
        keys.iter().for_each(|keys| keys.hashes.add_to(&mut hashes_of));
        match sums {
            Sums::Hashes(all) => {
                for (ranking, hashes) in self.grouping.rankings.iter().zip(all) {
                    let counter = match ranking.order {
                        Order::Packets => &self.counts.packets,
                        Order::Bytes => &self.counts.bytes,
                        _ => &self.counts.flows,
                    };
                    for row in 0..self.counts.rows {
                        if checks && is_left_out(row) {
                            continue;
                        }
                        let is_event = self.counts.is_event(row);
                        let count = counter.get(row).copied().unwrap_or(1);
                        hashes.add(
                            hashes_of[row],
                            if is_event && ranking.order == Order::Flows { 1 } else { count },
                        );
                    }
                }
            }
            Sums::Groups { partitions, only } => {
                let details = self.grouping.has_details.then(|| Details::new(self.batch));
                let mut key = Vec::with_capacity(self.grouping.width());
                for row in 0..self.counts.rows {
                    let hash = hashes_of[row];
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
                    partitions[partition_of(hash)].add(hash, &key, &sum, &detail);
                }
            }
        }
    }
}

/// Cells of what a group has besides counters.
struct Details<'a> {
    tcp_flags: crate::batch::Cells<'a>,
    src_tos: crate::batch::Cells<'a>,
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

/// The hashes of the `top` groups of each grouping that has a first pass; `None` where the
/// groups that may be among them are too many, so that all must be summed up.
pub(crate) fn candidates(
    workers: Vec<Worker<'_>>,
    groupings: &[Grouping],
    top: usize,
    side_by_side: impl Fn(Vec<Vec<Vec<(u64, u64)>>>) -> Vec<Vec<(u64, u64)>>,
) -> Candidates {
    let mut of: Vec<Vec<Vec<Fingerprints>>> =
        groupings.iter().map(|grouping| grouping.rankings.iter().map(|_| Vec::new()).collect()).collect();
    for state in workers.into_iter().flat_map(|worker| worker.states) {
        let Sums::Hashes(all) = state.sums else { continue };
        all.into_iter().zip(&mut of[state.grouping]).for_each(|(one, into)| into.push(one));
    }
    let choose = |rankings: Vec<Vec<Fingerprints>>| {
        let mut chosen = Chosen::default();
        for all in rankings {
            if all.is_empty() {
                return None;
            }
            let mut largest: Vec<(u64, u64)> =
                side_by_side(Fingerprints::jobs(all)).into_iter().flatten().collect();
            fingerprint::cut(&mut largest, top, GROUP_CANDIDATES_MAX);
            // Groups that count nothing have no sum, and may be among the first if these are few.
            if largest.len() >= GROUP_CANDIDATES_MAX || largest.len() < top {
                return None;
            }
            chosen.least.push(largest[top - 1].1);
            largest.into_iter().for_each(|(hash, _)| chosen.insert(hash));
        }
        Some(Arc::new(chosen))
    };
    of.into_iter().map(choose).collect()
}

/// One job of [`candidates`].
pub(crate) fn largest(job: Vec<Vec<(u64, u64)>>, top: usize) -> Vec<(u64, u64)> {
    fingerprint::largest(job, top, GROUP_CANDIDATES_MAX)
}

/// The groups of one partition, of all threads.
pub(crate) struct Job {
    grouping: usize,
    partition: usize,
    parts: Vec<Groups>,
}

/// Groups of all threads, as jobs that can be done side by side, and what is on disk.
pub(crate) fn jobs(workers: Vec<Worker<'_>>) -> (Vec<Job>, Vec<Spilled>) {
    let mut jobs: Vec<Job> = Vec::new();
    let mut spilled = Vec::new();
    for (at, worker) in workers.into_iter().enumerate() {
        for mut state in worker.states {
            state.empty_small();
            let Sums::Groups { partitions, .. } = state.sums else { continue };
            for (partition, groups) in partitions.into_iter().enumerate() {
                if at == 0 {
                    jobs.push(Job { grouping: state.grouping, partition, parts: vec![groups] });
                } else if let Some(job) = jobs.get_mut(state.grouping * GROUP_PARTITIONS + partition) {
                    job.parts.push(groups);
                }
            }
        }
        spilled.extend(worker.spill.map(|spill| Spilled(std::sync::Mutex::new(spill))));
    }
    (jobs, spilled)
}

/// Groups of one thread on disk.
pub(crate) struct Spilled(std::sync::Mutex<Spill>);

/// The `top` groups of a partition for each ranking; 0 is all.
pub(crate) fn best(
    job: Job,
    spilled: &[Spilled],
    shared: &Shared<'_>,
    top: usize,
) -> io::Result<(usize, Vec<Vec<Group>>)> {
    let grouping = &shared.groupings[job.grouping];
    let mut parts = job.parts.into_iter();
    let mut groups = parts.next().unwrap_or_else(|| Groups::new(grouping.width(), grouping.has_details));
    parts.for_each(|other| groups.merge(&other));
    for Spilled(spill) in spilled {
        let mut spill = spill.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        spill.read(job.grouping * GROUP_PARTITIONS + job.partition, grouping.width(), &mut groups)?;
    }
    let of_ranking = |ranking: &Ranking| {
        let mut all: Vec<(u64, Group)> = Vec::new();
        let mut ranks: Vec<(u64, u32)> = (0..groups.len())
            .map(|at| (ranking.order.value(&groups.sum(at).counters()), at as u32))
            .collect();
        if 0 < top && top < ranks.len() {
            let by_rank = |one: &(u64, u32), two: &(u64, u32)| by_rank(ranking, one.0, two.0);
            ranks.select_nth_unstable_by(top - 1, by_rank);
            let least = ranks[top - 1].0;
            ranks.retain(|&(rank, _)| by_rank(&(rank, 0), &(least, 0)).is_le());
        }
        all.extend(
            ranks.into_iter().map(|(rank, at)| (rank, group_of(&groups, at as usize, grouping, shared))),
        );
        cut_groups(all, ranking, top)
    };
    Ok((job.grouping, grouping.rankings.iter().map(of_ranking).collect()))
}

fn by_rank(ranking: &Ranking, one: u64, two: u64) -> Ordering {
    if ranking.is_ascending { one.cmp(&two) } else { two.cmp(&one) }
}

/// The first `top` by rank, and by key where ranks are equal; 0 is all.
fn cut_groups(mut all: Vec<(u64, Group)>, ranking: &Ranking, top: usize) -> Vec<Group> {
    all.sort_unstable_by(|one, two| by_rank(ranking, one.0, two.0).then_with(|| one.1.key.cmp(&two.1.key)));
    if top > 0 {
        all.truncate(top);
    }
    all.into_iter().map(|(_, group)| group).collect()
}

fn group_of(groups: &Groups, at: usize, grouping: &Grouping, shared: &Shared<'_>) -> Group {
    let key = groups.key(at);
    let mut words = &key[1..];
    let mut values: Vec<Option<Value>> = Vec::with_capacity(grouping.parts.len());
    for (index, part) in grouping.parts.iter().enumerate() {
        let (own, rest) = words.split_at(part.words());
        words = rest;
        let pair = if let [high, low] = own { [*high, *low] } else { [0, own[0]] };
        values.push((key[0] >> index & 1 == 0).then(|| value_of(*part, pair, &shared.texts)));
    }
    let detail = groups.detail(at);
    Group {
        key: values.into(),
        counters: groups.sum(at).counters(),
        tcp_flags: detail.tcp_flags,
        src_tos: detail.src_tos.map(|(_, tos)| tos),
    }
}

/// The tables of all partitions; `None` where a first pass was led astray by keys of one
/// hash, which a pass over all groups will not be.
pub(crate) fn tables(
    partitions: Vec<(usize, Vec<Vec<Group>>)>,
    groupings: &[Grouping],
    candidates: &Candidates,
    top: usize,
) -> Option<Vec<Vec<Vec<Group>>>> {
    let mut tables: Vec<Vec<Vec<(u64, Group)>>> =
        groupings.iter().map(|grouping| grouping.rankings.iter().map(|_| Vec::new()).collect()).collect();
    for (grouping, rankings) in partitions {
        for (at, groups) in rankings.into_iter().enumerate() {
            let order = groupings[grouping].rankings[at].order;
            tables[grouping][at]
                .extend(groups.into_iter().map(|group| (order.value(&group.counters), group)));
        }
    }
    let mut answer = Vec::with_capacity(groupings.len());
    for ((grouping, tables), chosen) in groupings.iter().zip(tables).zip(candidates) {
        let mut cut = Vec::with_capacity(tables.len());
        for (at, (ranking, table)) in grouping.rankings.iter().zip(tables).enumerate() {
            let table = cut_groups(table, ranking, top);
            if let Some(chosen) = chosen {
                let least = chosen.least.get(at).copied().unwrap_or(0);
                let found = table.last().filter(|_| table.len() == top);
                let reached = found.map_or(0, |group| ranking.order.value(&group.counters));
                if reached < least {
                    return None;
                }
            }
            cut.push(table);
        }
        answer.push(cut);
    }
    Some(answer)
}
