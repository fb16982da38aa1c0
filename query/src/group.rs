//! Flows in groups: which there are, what they add up to, and which are the largest.
//!
//! ```text
//! batch → counts ┐
//!      └→ keys ──┴→ sums by dictionary id → groups of one thread → partitions → tables
//! ```
//!
//! Each thread sums up what it reads. A key that is one column with a dictionary is summed up
//! by its ids, and the sums join the groups when the row group ends. Groups are parted by
//! hash, so that partitions of all threads can be joined side by side. Where they have no room
//! all go to disk.
//!
//! The N largest groups by one counter are found in two passes (`fingerprint`).

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use flow_common::limits::{GROUP_CANDIDATES_MAX, GROUP_PARTITIONS};

use crate::aggregation::Directions;
use crate::batch::Batch;
use crate::bucket::Bucket;
use crate::columns::ColumnRef;
use crate::counts::{Counts, Wanted};
use crate::directions;
use crate::filter::Predicate;
use crate::flow::TIME_COLUMNS;
use crate::measure::What;
use crate::places::Places;
use crate::runs::Runs;
use crate::statistic::{Order, Ranking};
use crate::values::Column;

mod collect;
mod dense;
mod exact;
mod extras;
mod fingerprint;
mod join;
mod key;
mod pairs;
mod piece;
mod post;
mod ranked;
mod result;
mod rows;
mod sieve;
mod source;
mod spans;
mod tally;
mod texts;

pub(crate) use self::collect::{Collector, Ordered};
use self::dense::{Dense, flush};
use self::exact::{Detail, Groups, Shape, Sum};
use self::extras::Meter;
use self::fingerprint::Fingerprints;
pub(crate) use self::key::{KeyPart, Mask};
use self::key::{KeyReader, Keys};
use self::piece::{Piece, put_groups};
pub(crate) use self::post::columns_of_groups;
pub(crate) use self::result::{Tables, candidates, jobs, largest, tables};
use self::rows::Rows;
pub(crate) use self::sieve::sieve;
pub(crate) use self::source::{Computer, Source};
pub(crate) use self::spans::common_span;
pub(crate) use self::texts::Texts;
use self::texts::{Name, TextTable};

/// What flows are grouped by: a plain value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grouping {
    /// Parts of the key, in the order groups are compared by.
    pub(crate) parts: Vec<KeyPart>,
    /// What else the last part may be: a flow counts for each of them, once for equal values.
    pub(crate) other_sides: Vec<KeyPart>,
    /// Whether flows whose last part is NULL are a group; else they are left out.
    pub(crate) has_null: bool,
    /// Whether an event counts as one flow; else events are left out.
    pub(crate) counts_events: bool,
    /// Whether TCP flags and type of service are kept.
    pub(crate) has_details: bool,
    /// Whether counters of the other direction are summed up.
    pub(crate) has_out: bool,
    /// One table each.
    pub(crate) rankings: Vec<Ranking>,
    /// What decides between groups of one rank, before their keys do.
    pub(crate) ties: Vec<Ranking>,
    /// What is measured besides.
    pub(crate) measures: Vec<What>,
    /// Whether groups of one bucket, the first part of the key, stand together, the first so
    /// many of each.
    pub(crate) is_by_bucket: bool,
    /// Whether groups of a 5-tuple are joined with those of the tuple the other way round.
    pub(crate) directions: Directions,
}

impl Grouping {
    /// Words of a key: which parts are NULL, and the parts.
    fn width(&self) -> usize {
        1 + self.parts.iter().map(KeyPart::words).sum::<usize>()
    }

    fn shape(&self) -> Shape {
        Shape {
            width: self.width(),
            has_details: self.has_details,
            measures: self.measures.as_slice().into(),
        }
    }

    /// The parts of a key with their words; `None` where they are NULL.
    fn values<'a>(&'a self, key: &'a [u64]) -> impl Iterator<Item = (&'a KeyPart, Option<[u64; 2]>)> {
        let (nulls, mut words) = key.split_first().map_or((0, key), |(nulls, words)| (*nulls, words));
        self.parts.iter().enumerate().map(move |(at, part)| {
            let (own, rest) = words.split_at(part.words());
            words = rest;
            let pair = if let [high, low] = own { [*high, *low] } else { [0, own[0]] };
            (part, (nulls >> at & 1 == 0).then_some(pair))
        })
    }

    /// Whether keys have names of texts.
    fn has_texts(&self) -> bool {
        self.parts.iter().any(KeyPart::is_text)
    }

    /// The names of the texts in a key.
    fn text_names<'a>(&'a self, key: &'a [u64]) -> impl Iterator<Item = Name> {
        self.values(key).filter(|(part, _)| part.is_text()).filter_map(|(_, name)| name)
    }

    /// Whether both directions of a flow become one group.
    fn is_joined(&self) -> bool {
        self.directions != Directions::Apart
    }

    /// The bucket that is the first part of the key.
    fn bucket(&self) -> Option<Bucket> {
        match self.parts.first()?.source {
            Source::Bucket(bucket) => Some(bucket),
            _ => None,
        }
    }

    /// Whether anything is asked of groups that their counters don't tell.
    fn is_measured(&self) -> bool {
        !self.measures.is_empty() || self.bucket().is_some()
    }

    /// Whether two passes find the `top` groups sooner than one: the first reads one counter, the
    /// second times of few row groups.
    pub(crate) fn has_two_passes(&self, top: usize) -> bool {
        let is_counter = |ranking: &Ranking| {
            !ranking.is_ascending && matches!(ranking.order, Order::Flows | Order::Packets | Order::Bytes)
        };
        let is_time = |column: &ColumnRef| TIME_COLUMNS.iter().any(|&id| *column == id);
        let has_time =
            self.parts.iter().chain(&self.other_sides).flat_map(KeyPart::columns).any(|c| is_time(&c));
        let has_first = !self.parts.is_empty() && !has_time && !self.is_measured() && !self.is_joined();
        has_first && (1..=GROUP_CANDIDATES_MAX / 64).contains(&top) && self.rankings.iter().all(is_counter)
    }
}

/// Counters the first of two passes needs; `None` where there is no first pass.
pub(crate) fn first_pass(groupings: &[Grouping], top: usize) -> Option<Wanted> {
    let mut two = groupings.iter().filter(|grouping| grouping.has_two_passes(top)).peekable();
    two.peek()?;
    let mut wanted = Wanted { packets: false, bytes: false, times: false, out: false };
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
    pub(crate) threads: usize,
    /// Octets one thread may hold.
    pub(crate) bytes_max: usize,
    /// Which groups are rows of the answer; `None` is all.
    pub(crate) post_filter: Option<&'a Arc<Predicate>>,
    /// Databases for parts that need one.
    pub(crate) places: Option<Arc<Places>>,
}

/// Readers of the parts of a key: a part has the same seed in all of them. Where both directions of
/// a flow become one group, a part and its opposite have one seed, so that both have one hash.
fn readers(grouping: &Grouping, seed: u64, places: Option<&Arc<Places>>) -> Vec<KeyReader> {
    let reader = |(at, part): (usize, &KeyPart)| {
        let place = if grouping.is_joined() { directions::opposite(at).min(at) } else { at };
        KeyReader::new(*part, key::mix(seed, place as u64), places.cloned())
    };
    grouping.parts.iter().enumerate().map(reader).collect()
}

/// What one thread sums up.
pub(crate) struct Worker<'a> {
    shared: &'a Shared<'a>,
    states: Vec<State>,
    spill: Runs<Piece>,
}

/// The groups of one grouping.
struct State {
    grouping: usize,
    readers: Vec<KeyReader>,
    other_sides: Vec<KeyReader>,
    sums: Sums,
    dense: Option<Dense>,
    /// Sums by value of a key that is a small number, such as a port.
    small: Vec<Sum>,
    /// What reads what is measured, if anything is.
    meter: Meter,
}

/// Numbers that have a place of their own among sums.
const SMALL: usize = 1 << 16;

enum Sums {
    /// First pass, for each ranking.
    Hashes(Vec<Fingerprints>),
    Groups {
        partitions: Vec<Groups>,
        /// Texts of their keys.
        texts: TextTable,
        only: Option<Arc<Chosen>>,
    },
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
            let shape = grouping.shape();
            let partitions = (0..GROUP_PARTITIONS).map(|_| Groups::new(&shape)).collect();
            Sums::Groups { partitions, texts: TextTable::default(), only: None }
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
            let last = key::mix(shared.seed, grouping.parts.len().saturating_sub(1) as u64);
            let mut sums = sums(grouping);
            if let (Sums::Groups { only, .. }, Some(candidates)) = (&mut sums, candidates) {
                *only = candidates.get(index).cloned().flatten();
            }
            State {
                grouping: index,
                readers: readers(grouping, shared.seed, shared.places.as_ref()),
                // All sides of one value must have one hash.
                other_sides: grouping
                    .other_sides
                    .iter()
                    .map(|part| KeyReader::new(*part, last, shared.places.clone()))
                    .collect(),
                sums,
                dense: None,
                small: Vec::new(),
                meter: Meter::new(&grouping.measures, shared),
            }
        });
        Self { shared, states: states.collect(), spill: Runs::default() }
    }

    /// Counts the rows of a batch. `position` is that of its first row, unlike any other.
    pub(crate) fn add(&mut self, batch: &Batch, counts: &Counts, position: u64) -> io::Result<()> {
        for state in &mut self.states {
            state.add(self.shared, batch, counts, position);
        }
        if self.is_full() { self.make_room() } else { Ok(()) }
    }

    /// A row group has ended.
    pub(crate) fn end_of_group(&mut self) -> io::Result<()> {
        self.states.iter_mut().for_each(|state| state.flush(self.shared));
        if self.is_full() { self.make_room() } else { Ok(()) }
    }

    /// Octets held, about.
    fn bytes(&self) -> usize {
        let of = |state: &State| match &state.sums {
            Sums::Hashes(hashes) => hashes.iter().map(Fingerprints::bytes).sum::<usize>(),
            Sums::Groups { partitions, texts, .. } => {
                let groups: usize = partitions.iter().map(Groups::bytes).sum();
                groups + texts.bytes() + state.small.len() * size_of::<Sum>()
            }
        };
        self.states.iter().map(of).sum()
    }

    /// Whether there are more groups than fit.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes() > self.shared.bytes_max
    }

    fn has_spilled(&self) -> bool {
        self.spill.len() > 0
    }

    /// Moves all groups to disk; none of a first pass.
    fn make_room(&mut self) -> io::Result<()> {
        let Self { shared, states, spill } = self;
        if states.iter().all(|state| matches!(state.sums, Sums::Hashes(_))) {
            return Ok(());
        }
        states.iter_mut().for_each(State::empty_small);
        spill.push(|put| {
            for State { grouping: at, sums, .. } in &*states {
                let Sums::Groups { partitions, texts, .. } = sums else { continue };
                for (partition, groups) in partitions.iter().enumerate() {
                    put_groups(groups, part_of(*at, partition), (&shared.groupings[*at], texts), put)?;
                }
            }
            Ok(())
        })?;
        for state in states {
            let Sums::Groups { partitions, texts, .. } = &mut state.sums else { continue };
            partitions.iter_mut().for_each(Groups::clear);
            *texts = TextTable::default();
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
        let seen = self.meter.read(batch, counts, &shared.texts);
        let rows = Rows { grouping, shared, batch, counts, position, seen: &seen };
        rows.add(&mut self.sums, &keys, &[]);
        let Some((first, front)) = keys.split_last() else { return };
        let mut sides = vec![*first];
        for reader in &mut self.other_sides {
            let other = reader.read(batch, &shared.texts);
            let keys: Vec<Keys<'_>> = front.iter().copied().chain([other]).collect();
            rows.add(&mut self.sums, &keys, &sides);
            sides.push(other);
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
        let is_plain = !(grouping.has_details || grouping.counts_events || grouping.is_measured());
        if !is_plain || !self.other_sides.is_empty() {
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

/// The part of all groups that a partition of a grouping is.
fn part_of(grouping: usize, partition: usize) -> u32 {
    (grouping * GROUP_PARTITIONS + partition) as u32
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
