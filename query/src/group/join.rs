//! Groups of all threads joined, with what is measured of them.
//!
//! Different values are counted exactly whatever there are: where those of a partition have no
//! room at once, those of some hashes are counted, then those of others.

use std::io;
use std::sync::{Mutex, PoisonError};

use flow_common::limits::{DISTINCT_ROUNDS_MAX, GROUP_PARTITIONS};

use super::exact::Groups;
use super::extras::{State, pair_shape};
use super::pairs::{Pair, PairShape, Pairs};
use super::spill::{ReadRun, Spill};
use super::{Grouping, Shared};
use crate::aggregate::Measured;
use crate::bucket::Bucket;
use crate::measure::{Percent, Quantity, What};

/// The groups of one partition, of all threads.
pub(crate) struct Job {
    pub(super) grouping: usize,
    pub(super) partition: usize,
    pub(super) parts: Vec<Groups>,
}

/// Groups of one thread on disk.
pub(crate) struct Spilled(pub(super) Mutex<Spill>);

/// What jobs share.
pub(crate) struct Common {
    pub(super) spilled: Vec<Spilled>,
    /// The first and the last span of time with a flow, by grouping and measure.
    pub(super) bounds: Vec<Vec<Option<(i64, i64)>>>,
}

/// Groups, and what is measured of each; nothing where nothing is.
pub(super) struct Joined {
    pub(super) groups: Groups,
    pub(super) measured: Vec<Box<[Measured]>>,
}

/// Joins the groups of a partition.
pub(super) fn join(job: Job, common: &Common, shared: &Shared<'_>) -> io::Result<Joined> {
    let grouping = &shared.groupings[job.grouping];
    if !grouping.measures.is_empty() {
        return join_measured(&job, common, shared);
    }
    let mut parts = job.parts.into_iter();
    let mut groups = parts.next().unwrap_or_else(|| Groups::new(&grouping.shape()));
    parts.for_each(|other| groups.merge(&other));
    for Spilled(spill) in &common.spilled {
        let mut spill = spill.lock().unwrap_or_else(PoisonError::into_inner);
        spill.read(job.grouping * GROUP_PARTITIONS + job.partition, grouping.width(), &mut groups)?;
    }
    Ok(Joined { groups, measured: Vec::new() })
}

/// Where values and spans are, and where their groups are among those that were joined.
enum From<'a> {
    Memory(&'a Groups, Vec<u32>),
    Disk(&'a Spilled, ReadRun),
}

impl From<'_> {
    /// How many the measure at `at` has.
    fn count(&self, at: usize) -> io::Result<u64> {
        match self {
            Self::Memory(groups, _) => Ok(match groups.extras.states().get(at) {
                Some(State::Values(pairs) | State::Spans(pairs, _)) => pairs.len() as u64,
                _ => 0,
            }),
            Self::Disk(Spilled(spill), run) => {
                spill.lock().unwrap_or_else(PoisonError::into_inner).pairs(run, at)
            }
        }
    }

    /// Hands all of them, of `words` each, to `with`.
    fn each(&self, at: usize, words: usize, with: &mut dyn FnMut(Pair<'_>)) -> io::Result<()> {
        let mut moved = |map: &[u32], pair: Pair<'_>| {
            if let Some(&group) = map.get(pair.group as usize) {
                with(Pair { group, ..pair });
            }
        };
        match self {
            Self::Memory(groups, map) => {
                if let Some(State::Values(pairs) | State::Spans(pairs, _)) = groups.extras.states().get(at) {
                    pairs.iter().for_each(|pair| moved(map, pair));
                }
                Ok(())
            }
            Self::Disk(Spilled(spill), run) => {
                let spill = spill.lock().unwrap_or_else(PoisonError::into_inner);
                spill.each_pair(run, (at, words), &mut |pair| moved(&run.map, pair))
            }
        }
    }
}

fn join_measured(job: &Job, common: &Common, shared: &Shared<'_>) -> io::Result<Joined> {
    let grouping = &shared.groupings[job.grouping];
    let mut groups = Groups::new(&grouping.shape());
    let mut sources = Vec::new();
    for part in &job.parts {
        let map = groups.merge_measured(part);
        sources.push(From::Memory(part, map));
    }
    for one in &common.spilled {
        let mut spill = one.0.lock().unwrap_or_else(PoisonError::into_inner);
        let partition = job.grouping * GROUP_PARTITIONS + job.partition;
        let runs = spill.read(partition, grouping.width(), &mut groups)?;
        sources.extend(runs.into_iter().map(|run| From::Disk(one, run)));
    }
    let bounds = common.bounds.get(job.grouping);
    let mut columns: Vec<Vec<Measured>> = Vec::with_capacity(grouping.measures.len());
    for (at, what) in grouping.measures.iter().enumerate() {
        let bounds = bounds.and_then(|bounds| bounds.get(at).copied().flatten());
        let asked = Asked { at, what, bounds, bytes_max: shared.bytes_max };
        columns.push(asked.measure(&mut groups, &sources, grouping)?);
    }
    let of = |group: usize| columns.iter().filter_map(|column| column.get(group).copied()).collect();
    let measured = (0..groups.len()).map(of).collect();
    Ok(Joined { groups, measured })
}

/// One measure of the groups of a partition.
struct Asked<'a> {
    at: usize,
    what: &'a What,
    bounds: Option<(i64, i64)>,
    bytes_max: usize,
}

impl Asked<'_> {
    fn measure(
        &self,
        groups: &mut Groups,
        sources: &[From<'_>],
        grouping: &Grouping,
    ) -> io::Result<Vec<Measured>> {
        let Some(shape) = pair_shape(self.what) else {
            let n = groups.len();
            let of = |group: usize| {
                let packets = groups.sum(group).packets;
                groups.extras.small(self.at, self.what, group as u32, packets).unwrap_or_default()
            };
            return Ok((0..n).map(of).collect());
        };
        let mut found = vec![Measured::default(); groups.len()];
        let rounds = self.rounds(sources, shape)?;
        for round in 0..rounds {
            let mut pairs = Pairs::new(shape);
            // All spans of a group must be there at once.
            let is_of_groups = shape.has_amounts;
            for source in sources {
                source.each(self.at, shape.words, &mut |pair| {
                    let place = if is_of_groups { pair.group as usize } else { (pair.hash >> 32) as usize };
                    if place % rounds == round {
                        pairs.add(pair);
                    }
                })?;
            }
            match self.what {
                What::OfSpans(quantity, span, percent) => {
                    self.of_spans(&pairs, (*quantity, *span, *percent), groups, grouping, &mut found);
                }
                _ => pairs.iter().for_each(|pair| {
                    let count = &mut found[pair.group as usize].value;
                    *count = Some(count.unwrap_or(0) + 1);
                }),
            }
        }
        if matches!(self.what, What::Distinct(_)) {
            found.iter_mut().for_each(|one| one.value = one.value.or(Some(0)));
        }
        Ok(found)
    }

    /// In how many parts values are counted.
    fn rounds(&self, sources: &[From<'_>], shape: PairShape) -> io::Result<usize> {
        let mut n = 0_u64;
        for source in sources {
            n = n.saturating_add(source.count(self.at)?);
        }
        let bytes = n.saturating_mul(shape.bytes_each() as u64);
        let rounds = bytes / self.bytes_max.max(1) as u64 + 1;
        Ok(usize::try_from(rounds).unwrap_or(usize::MAX).min(DISTINCT_ROUNDS_MAX))
    }

    /// Percentiles over spans of time. Those without a flow are 0: all of a group's bucket, or
    /// from the first that has a flow of any group to the last.
    fn of_spans(
        &self,
        pairs: &Pairs,
        (quantity, span, percent): (Quantity, Bucket, Percent),
        groups: &Groups,
        grouping: &Grouping,
        found: &mut [Measured],
    ) {
        let value = |pair: &Pair<'_>| {
            let start = pair.value.first().map_or(0, |&start| start as i64);
            quantity.of_span(pair.amount, span.length_ms(start))
        };
        let mut values: Vec<(u32, u64)> = pairs.iter().map(|pair| (pair.group, value(&pair))).collect();
        values.sort_unstable();
        for of_group in values.chunk_by(|one, two| one.0 == two.0) {
            let Some(&(group, _)) = of_group.first() else { continue };
            let known = of_group.len() as u64;
            let all = known.max(self.n_spans(span, groups.key(group as usize), grouping));
            let place = percent.rank(all).saturating_sub(all - known);
            let value = match usize::try_from(place).ok().and_then(|place| place.checked_sub(1)) {
                Some(at) => of_group.get(at).map_or(0, |one| one.1),
                None => 0,
            };
            found[group as usize].value = Some(value);
        }
    }

    /// How many spans there are for a group.
    fn n_spans(&self, span: Bucket, key: &[u64], grouping: &Grouping) -> u64 {
        match (grouping.bucket(), key) {
            (Some(bucket), [nulls, start, ..]) if nulls & 1 == 0 => {
                let (start, end) = (*start as i64, bucket.end(*start as i64));
                span.count(span.start(start), span.start(end.saturating_sub(1)))
            }
            _ => self.bounds.map_or(0, |(first, last)| span.count(first, last)),
        }
    }
}
