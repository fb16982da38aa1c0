//! What is measured of groups beside their counters: gathered row by row, group by group.

use crate::aggregate::Measured;
use crate::batch::Batch;
use crate::counts::Counts;
use crate::measure::{Quantity, What};

use super::Shared;
use super::exact::Sum;
use super::key::{KeyReader, mix};
use super::pairs::{Pair, PairShape, Pairs};
use super::source::Spans;
use super::tally::Tally;
use super::texts::Texts;

/// What a row says to a measure.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen {
    /// NULL.
    Nothing,
    /// A value as words, with its hash.
    Value(u64, [u64; 2]),
    Number(u64),
    /// The start of a span of time, and what adds up in it.
    Span(i64, u64),
    /// The square of how far its counters may be off, once.
    Variance(u128),
}

/// Reads what rows say to measures.
pub(super) struct Meter {
    readers: Vec<Reader>,
}

enum Reader {
    Value(Box<KeyReader>),
    Number(Quantity),
    Span(Quantity, Spans),
    Variance,
}

impl Meter {
    pub(super) fn new(whats: &[What], shared: &Shared<'_>) -> Self {
        let reader = |(at, what): (usize, &What)| match what {
            What::Distinct(part) => {
                let seed = mix(!shared.seed, at as u64);
                Reader::Value(Box::new(KeyReader::new(*part, seed, shared.places.clone())))
            }
            What::Percentile(quantity, _) => Reader::Number(*quantity),
            What::OfSpans(quantity, bucket, _) => Reader::Span(*quantity, Spans::new(*bucket)),
            What::Error => Reader::Variance,
        };
        Self { readers: whats.iter().enumerate().map(reader).collect() }
    }

    /// What each row says to each measure.
    pub(super) fn read(&mut self, batch: &Batch, counts: &Counts, texts: &Texts) -> Vec<Vec<Seen>> {
        let rows = 0..batch.rows();
        let of = |reader: &mut Reader| match reader {
            Reader::Value(reader) => {
                let keys = reader.read(batch, texts);
                let mut hashes = vec![0; batch.rows()];
                keys.hashes.add_to(&mut hashes);
                let value = |row: usize| {
                    keys.words(row, texts).map_or(Seen::Nothing, |words| Seen::Value(hashes[row], words))
                };
                rows.clone().map(value).collect()
            }
            Reader::Number(quantity) => {
                let number = |row| Seen::Number(quantity.of(&Sum::of(counts, row).counters()));
                rows.clone().map(number).collect()
            }
            Reader::Span(quantity, spans) => {
                let span = |row| {
                    let counters = Sum::of(counts, row).counters();
                    let first = counters.first;
                    first.map_or(Seen::Nothing, |first| {
                        Seen::Span(spans.start(first), quantity.amount(&counters))
                    })
                };
                rows.clone().map(span).collect()
            }
            // N² for each of the c packets that were sampled one in N: N times the N c they
            // stand for.
            Reader::Variance => {
                let packets = |row: usize| counts.packets.get(row).copied().unwrap_or(0);
                let variance = |row| {
                    let rate = batch.rate(row).map_or(0, i64::unsigned_abs);
                    Seen::Variance(u128::from(rate).saturating_mul(packets(row).into()))
                };
                rows.clone().map(variance).collect()
            }
        };
        self.readers.iter_mut().map(of).collect()
    }
}

/// What was seen of the groups of one partition.
#[derive(Debug)]
pub(super) struct Extras {
    states: Vec<State>,
    tally_bytes: usize,
}

/// For one measure.
#[derive(Debug)]
pub(super) enum State {
    Values(Pairs),
    /// Starts of spans, with what adds up; and the first and the last that were ever seen.
    Spans(Pairs, Option<(i64, i64)>),
    Tallies(Vec<Tally>),
    Variances(Vec<u128>),
}

/// The values of a measure that counts them.
pub(super) fn pair_shape(what: &What) -> Option<PairShape> {
    match what {
        What::Distinct(part) => Some(PairShape { words: part.words(), has_amounts: false }),
        What::OfSpans(..) => Some(PairShape { words: 1, has_amounts: true }),
        What::Percentile(..) | What::Error => None,
    }
}

impl Extras {
    pub(super) fn new(whats: &[What]) -> Self {
        let state = |what: &What| match (what, pair_shape(what)) {
            (What::OfSpans(..), Some(shape)) => State::Spans(Pairs::new(shape), None),
            (_, Some(shape)) => State::Values(Pairs::new(shape)),
            (What::Error, None) => State::Variances(Vec::new()),
            (_, None) => State::Tallies(Vec::new()),
        };
        Self { states: whats.iter().map(state).collect(), tally_bytes: 0 }
    }

    /// Adds what a row of a group, whose hash is `hash`, says to each measure.
    pub(super) fn add(&mut self, group: u32, hash: u64, seen: impl Iterator<Item = Seen>) {
        let tally_bytes = &mut self.tally_bytes;
        for (state, seen) in self.states.iter_mut().zip(seen) {
            match (state, seen) {
                (State::Values(pairs), Seen::Value(of_value, words)) => {
                    let value = &words[2 - pairs.shape().words..];
                    pairs.add(Pair { group, hash: mix(hash, of_value), value, amount: 0 });
                }
                (State::Spans(pairs, bounds), Seen::Span(start, amount)) => {
                    let (first, last) = bounds.unwrap_or((start, start));
                    *bounds = Some((first.min(start), last.max(start)));
                    let value = &[start as u64];
                    pairs.add(Pair { group, hash: mix(hash, start as u64), value, amount });
                }
                (State::Tallies(tallies), Seen::Number(number)) => {
                    let tally = tally_of(tallies, group);
                    let before = tally.bytes();
                    tally.add(number, 1);
                    *tally_bytes = tally_bytes.saturating_add(tally.bytes()).saturating_sub(before);
                }
                (State::Variances(variances), Seen::Variance(variance)) => {
                    add_variance(variances, group, variance);
                }
                _ => {}
            }
        }
    }

    /// Adds those of `other` that are small, whose groups are those of `map` here. Values
    /// and spans stay there.
    pub(super) fn merge_small(&mut self, other: &Self, map: &[u32]) {
        for (into, from) in self.states.iter_mut().zip(&other.states) {
            match (into, from) {
                (State::Tallies(into), State::Tallies(from)) => {
                    from.iter().zip(map).for_each(|(tally, &group)| tally_of(into, group).merge(tally));
                }
                (State::Variances(into), State::Variances(from)) => {
                    from.iter().zip(map).for_each(|(&variance, &group)| add_variance(into, group, variance));
                }
                _ => {}
            }
        }
    }

    /// Octets held.
    pub(super) fn bytes(&self) -> usize {
        let of = |state: &State| match state {
            State::Values(pairs) | State::Spans(pairs, _) => pairs.bytes(),
            State::Tallies(tallies) => tallies.len() * 2 * size_of::<Tally>(),
            State::Variances(variances) => variances.len() * 2 * size_of::<u128>(),
        };
        self.tally_bytes + self.states.iter().map(of).sum::<usize>()
    }

    pub(super) fn states(&self) -> &[State] {
        &self.states
    }

    /// The first and the last span ever seen, by measure.
    pub(super) fn bounds(&self) -> impl Iterator<Item = Option<(i64, i64)>> {
        self.states.iter().map(|state| if let State::Spans(_, bounds) = state { *bounds } else { None })
    }

    /// Nothing, but for the bounds.
    pub(super) fn emptied(&self, whats: &[What]) -> Self {
        let mut empty = Self::new(whats);
        for (state, bounds) in empty.states.iter_mut().zip(self.bounds()) {
            if let State::Spans(_, known) = state {
                *known = bounds;
            }
        }
        empty
    }

    /// The percentile of a group, or the error of its counters; `None` of what is counted.
    pub(super) fn small(&mut self, at: usize, what: &What, group: u32, packets: u64) -> Option<Measured> {
        match (self.states.get_mut(at)?, what) {
            (State::Tallies(tallies), What::Percentile(_, percent)) => {
                let found = tallies.get_mut(group as usize).map(|tally| tally.percentile(*percent));
                Some(found.unwrap_or_default())
            }
            (State::Variances(variances), What::Error) => {
                let variance = variances.get(group as usize).copied().unwrap_or(0);
                Some(Measured { value: Some(error(variance, packets)), is_about: false })
            }
            _ => None,
        }
    }
}

fn tally_of(tallies: &mut Vec<Tally>, group: u32) -> &mut Tally {
    let group = group as usize;
    if tallies.len() <= group {
        tallies.resize_with(group + 1, Tally::default);
    }
    &mut tallies[group]
}

fn add_variance(variances: &mut Vec<u128>, group: u32, variance: u128) {
    let group = group as usize;
    if variances.len() <= group {
        variances.resize(group + 1, 0);
    }
    variances[group] = variances[group].saturating_add(variance);
}

/// How far a sum of packets may be off, 95 times in 100, in thousandths of a percent. Where all
/// were sampled at one rate it is 196 · √(1 / c) percent of c sampled packets, as Phaal and
/// Panchen give it ("Packet Sampling Basics"); rates that differ add up as variances do, and
/// packets that were not sampled add none.
pub(super) fn error(variance: u128, packets: u64) -> u64 {
    if packets == 0 {
        return 0;
    }
    (196_000.0 * (variance as f64).sqrt() / packets as f64).round() as u64
}
