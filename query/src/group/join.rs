//! Groups of all threads joined, with what is measured of them: those in memory part by part, those
//! on disk one after another, as their pieces come.

use std::io;
use std::sync::atomic::AtomicUsize;

use flow_common::limits::SORT_READ_BYTES_MIN;

use super::collect::READ_PARTS;
use super::exact::{Detail, Groups, Sum};
use super::extras::{State, error, pair_shape};
use super::pairs::{Pair, Pairs};
use super::piece::{Piece, add_texts, sums_of};
use super::tally::Tally;
use super::texts::TextTable;
use super::{Grouping, Shared};
use crate::aggregate::Measured;
use crate::bucket::Bucket;
use crate::measure::{Percent, Quantity, What};
use crate::runs::{Merged, Runs, read_bytes};

/// The groups of one part, of all threads.
pub(crate) struct Job {
    pub(super) grouping: usize,
    pub(super) part: u32,
    /// Those in memory.
    pub(super) parts: Vec<Groups>,
}

/// What jobs share.
pub(crate) struct Common {
    /// Where all groups are, if they have no room.
    pub(super) spilled: Vec<Runs<Piece>>,
    /// The first and the last span of time with a flow, by grouping and measure.
    pub(super) bounds: Vec<Bounds>,
    /// Texts of each thread, by grouping.
    pub(super) texts: Vec<Vec<TextTable>>,
    /// Octets of these.
    pub(super) text_bytes: usize,
    /// Octets of groups in memory that are not joined yet.
    pub(super) left_bytes: AtomicUsize,
}

impl Common {
    /// How many threads may join: each reads all runs on disk, a little of each at a time.
    pub(crate) fn n_joiners(&self, shared: &Shared<'_>) -> usize {
        let n_runs: usize = self.spilled.iter().map(Runs::len).sum();
        let room = shared.bytes_max / READ_PARTS * shared.threads;
        (room / (n_runs * SORT_READ_BYTES_MIN).max(1)).clamp(1, shared.threads)
    }
}

/// The first and the last span of time with a flow, by measure.
pub(super) type Bounds = Vec<Option<(i64, i64)>>;

/// Groups, and what is measured of each; nothing where nothing is.
pub(super) struct Joined {
    pub(super) groups: Groups,
    pub(super) measured: Vec<Box<[Measured]>>,
}

/// Joins the groups of a part.
pub(super) fn join(parts: Vec<Groups>, grouping: &Grouping, bounds: &Bounds) -> Joined {
    if !grouping.measures.is_empty() {
        return join_measured(&parts, grouping, bounds);
    }
    let mut parts = parts.into_iter();
    let mut groups = parts.next().unwrap_or_else(|| Groups::new(&grouping.shape()));
    parts.for_each(|other| groups.merge(&other));
    Joined { groups, measured: Vec::new() }
}

fn join_measured(parts: &[Groups], grouping: &Grouping, bounds: &Bounds) -> Joined {
    let mut groups = Groups::new(&grouping.shape());
    let maps: Vec<Vec<u32>> = parts.iter().map(|part| groups.merge_measured(part)).collect();
    let mut columns: Vec<Vec<Measured>> = Vec::with_capacity(grouping.measures.len());
    for (at, what) in grouping.measures.iter().enumerate() {
        let Some(shape) = pair_shape(what) else {
            let n = groups.len();
            let of = |group: usize| {
                let packets = groups.sum(group).packets;
                groups.extras.small(at, what, group as u32, packets).unwrap_or_default()
            };
            columns.push((0..n).map(of).collect());
            continue;
        };
        let mut pairs = Pairs::new(shape);
        for (part, map) in parts.iter().zip(&maps) {
            let Some(State::Values(own) | State::Spans(own, _)) = part.extras.states().get(at) else {
                continue;
            };
            own.iter().for_each(|pair| pairs.add(Pair { group: map[pair.group as usize], ..pair }));
        }
        columns.push(measure_pairs(&pairs, what, &groups, (grouping, bounds[at])));
    }
    let of = |group: usize| columns.iter().filter_map(|column| column.get(group).copied()).collect();
    let measured = (0..groups.len()).map(of).collect();
    Joined { groups, measured }
}

/// What is counted of values and spans, by group.
fn measure_pairs(
    pairs: &Pairs,
    what: &What,
    groups: &Groups,
    (grouping, bounds): (&Grouping, Option<(i64, i64)>),
) -> Vec<Measured> {
    let What::OfSpans(quantity, span, percent) = what else {
        let mut counts = vec![0; groups.len()];
        pairs.iter().for_each(|pair| counts[pair.group as usize] += 1);
        return counts.into_iter().map(counted).collect();
    };
    let asked = OverSpans { quantity: *quantity, span: *span, percent: *percent, bounds, grouping };
    let mut found = vec![Measured::default(); groups.len()];
    let amount =
        |pair: Pair<'_>| (pair.group, pair.value.first().map_or(0, |&start| start as i64), pair.amount);
    let mut amounts: Vec<(u32, i64, u64)> = pairs.iter().map(amount).collect();
    amounts.sort_unstable();
    for of_group in amounts.chunk_by(|one, two| one.0 == two.0) {
        let Some(&(group, ..)) = of_group.first() else { continue };
        let amounts = of_group.iter().map(|&(_, start, amount)| (start, amount));
        found[group as usize] = asked.percentile(groups.key(group as usize), amounts);
    }
    found
}

fn counted(n: u64) -> Measured {
    Measured { value: Some(n), is_about: false }
}

/// A percentile over spans of time. Those without a flow are 0: all of a group's bucket, or from
/// the first that has a flow of any group to the last.
struct OverSpans<'a> {
    quantity: Quantity,
    span: Bucket,
    percent: Percent,
    bounds: Option<(i64, i64)>,
    grouping: &'a Grouping,
}

impl OverSpans<'_> {
    /// That of a group, by the starts of its spans and what adds up in each.
    fn percentile(&self, key: &[u64], amounts: impl Iterator<Item = (i64, u64)>) -> Measured {
        let value = |(start, amount)| self.quantity.of_span(amount, self.span.length_ms(start));
        let mut values: Vec<u64> = amounts.map(value).collect();
        let known = values.len() as u64;
        if known == 0 {
            return Measured::default();
        }
        let all = known.max(self.n_spans(key));
        let place = self.percent.rank(all).saturating_sub(all - known);
        let value = match usize::try_from(place).ok().and_then(|place| place.checked_sub(1)) {
            Some(at) if at < values.len() => *values.select_nth_unstable(at).1,
            _ => 0,
        };
        Measured { value: Some(value), is_about: false }
    }

    /// How many spans there are for a group.
    fn n_spans(&self, key: &[u64]) -> u64 {
        match (self.grouping.bucket(), key) {
            (Some(bucket), [nulls, start, ..]) if nulls & 1 == 0 => {
                let (start, end) = (*start as i64, bucket.end(*start as i64));
                self.span.count(self.span.start(start), self.span.start(end.saturating_sub(1)))
            }
            _ => self.bounds.map_or(0, |(first, last)| self.span.count(first, last)),
        }
    }
}

/// A group whose pieces were read.
pub(super) struct Found {
    /// Its hash and its key.
    id: Vec<u64>,
    pub(super) sum: Sum,
    pub(super) detail: Detail,
    pub(super) texts: TextTable,
    /// What is measured, while its pieces come.
    sights: Vec<Sight>,
    /// What the piece before was sorted by.
    last: Vec<u64>,
}

/// What the pieces of one measure say.
enum Sight {
    /// How many different values there were.
    Values(u64),
    Spans(Vec<(i64, u64)>),
    Tally(Tally),
    Variance(u128),
}

impl Found {
    fn new(id: &[u64], grouping: &Grouping) -> Self {
        let sight = |what: &What| match what {
            What::Distinct(_) => Sight::Values(0),
            What::OfSpans(..) => Sight::Spans(Vec::new()),
            What::Percentile(..) => Sight::Tally(Tally::default()),
            What::Error => Sight::Variance(0),
        };
        Self {
            id: id.to_vec(),
            sum: Sum::ZERO,
            detail: Detail::NONE,
            texts: TextTable::default(),
            sights: grouping.measures.iter().map(sight).collect(),
            last: Vec::new(),
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.id[0]
    }

    pub(super) fn key(&self) -> &[u64] {
        &self.id[1..]
    }

    fn add(&mut self, piece: &Piece) {
        let Some((measure, value)) = piece.order()[self.id.len()..].split_first() else {
            if let Some((sum, detail, texts)) = sums_of(piece.content()) {
                self.sum.add(&sum);
                self.detail.add(&detail);
                add_texts(texts, &mut self.texts);
            }
            return;
        };
        let Some(sight) = self.sights.get_mut(*measure as usize - 1) else { return };
        let is_new = self.last != piece.order();
        match (sight, piece.content()) {
            (Sight::Values(n), _) => *n += u64::from(is_new),
            (Sight::Spans(amounts), [amount]) => match amounts.last_mut().filter(|_| !is_new) {
                Some((_, sum)) => *sum = sum.saturating_add(*amount),
                None => amounts.push((value.last().map_or(0, |&start| start as i64), *amount)),
            },
            (Sight::Tally(tally), words) => tally.read(words),
            (Sight::Variance(sum), [high, low]) => {
                *sum = sum.saturating_add(u128::from(*high) << 64 | u128::from(*low));
            }
            _ => {}
        }
        if is_new {
            self.last.clear();
            self.last.extend_from_slice(piece.order());
        }
    }

    /// What is measured of it, when all its pieces were there.
    pub(super) fn measured(&mut self, grouping: &Grouping, bounds: &Bounds) -> Box<[Measured]> {
        let sights = std::mem::take(&mut self.sights);
        let measured = |((sight, what), bounds): ((Sight, &What), &Option<(i64, i64)>)| match (sight, what) {
            (Sight::Values(n), _) => counted(n),
            (Sight::Spans(amounts), What::OfSpans(quantity, span, percent)) => {
                let (quantity, span, percent) = (*quantity, *span, *percent);
                let asked = OverSpans { quantity, span, percent, bounds: *bounds, grouping };
                asked.percentile(self.key(), amounts.into_iter())
            }
            (Sight::Tally(mut tally), What::Percentile(_, percent)) => tally.percentile(*percent),
            (Sight::Variance(variance), _) => counted(error(variance, self.sum.packets)),
            _ => Measured::default(),
        };
        sights.into_iter().zip(&grouping.measures).zip(bounds).map(measured).collect()
    }
}

/// Hands each group of a part that is on disk to `with`, by hash. Reading takes `bytes_max`.
pub(super) fn each_on_disk(
    spilled: &[Runs<Piece>],
    part: u32,
    (grouping, bytes_max): (&Grouping, usize),
    with: &mut dyn FnMut(Found) -> io::Result<()>,
) -> io::Result<()> {
    let bytes = read_bytes(spilled.iter().map(Runs::len).sum(), bytes_max);
    let mut pieces = Merged::new(spilled.iter().flat_map(|runs| runs.cursors(Some(part), bytes)))?;
    let id_words = 1 + grouping.width();
    let mut found: Option<Found> = None;
    while let Some(piece) = pieces.next()? {
        let id = piece.order().get(..id_words).unwrap_or_default();
        if found.as_ref().is_none_or(|found| found.id != id)
            && let Some(done) = found.replace(Found::new(id, grouping))
        {
            with(done)?;
        }
        found.iter_mut().for_each(|found| found.add(&piece));
    }
    found.map_or(Ok(()), with)
}
