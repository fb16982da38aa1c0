//! Groups of an answer in their order: those of one thread as they are joined, and those of all,
//! one after another. What has no room goes to disk.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use flow_common::limits::GROUPS_AT_A_TIME;

use super::exact::{Detail, Groups, Sum};
use super::join::{Common, Found, Job, Joined, each_on_disk, join};
use super::key::value_of;
use super::ranked::Ranked;
use super::texts::TextTable;
use super::{Grouping, Shared, post};
use crate::aggregate::{Group, Measured, Value};
use crate::aggregation::Directions;
use crate::directions;
use crate::interrupt;
use crate::message::Failure;
use crate::runs::{Cursor, Entry, Merged, Runs, cant_sort};
use crate::statistic::Order;

/// Groups that one thread joins, in the order of each ranking.
pub(crate) struct Collector<'a> {
    shared: &'a Shared<'a>,
    common: &'a Common,
    /// So many are wanted; 0 is all.
    top: usize,
    /// By grouping and ranking.
    pub(super) sorters: Vec<Vec<Sorter>>,
    bytes: usize,
}

/// Groups of one ranking.
#[derive(Default)]
pub(super) struct Sorter {
    pub(super) kept: Vec<Ranked>,
    /// How many there may be before those that are not wanted are left out.
    n_max: usize,
    pub(super) runs: Runs<Ranked>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>, common: &'a Common, top: usize) -> Self {
        let sorters = |grouping: &Grouping| grouping.rankings.iter().map(|_| Sorter::default()).collect();
        Self { shared, common, top, sorters: shared.groupings.iter().map(sorters).collect(), bytes: 0 }
    }

    /// Joins the groups of a part.
    pub(crate) fn add(&mut self, job: Job) -> io::Result<()> {
        let Job { grouping, part, parts } = job;
        let bytes = parts.iter().map(Groups::bytes).sum();
        if self.common.spilled.is_empty() {
            self.add_from_memory(grouping, parts)?;
        } else {
            self.add_from_disk(grouping, part)?;
        }
        self.common.left_bytes.fetch_sub(bytes, Relaxed);
        Ok(())
    }

    fn add_from_disk(&mut self, at: usize, part: u32) -> io::Result<()> {
        let (shared, common) = (self.shared, self.common);
        let (grouping, bounds) = (&shared.groupings[at], &common.bounds[at]);
        let (mut groups, mut last, mut text_bytes) = (Vec::new(), None, 0);
        let bytes_max = shared.bytes_max / READ_PARTS;
        each_on_disk(&common.spilled, part, (grouping, bytes_max), &mut |mut found: Found| {
            // Both directions of a flow have one hash.
            let is_much = groups.len() >= GROUPS_AT_A_TIME || text_bytes > bytes_max;
            if is_much && last != Some(found.hash()) {
                self.take(at, std::mem::take(&mut groups))?;
                text_bytes = 0;
            }
            text_bytes += found.texts.bytes();
            last = Some(found.hash());
            let measured = found.measured(grouping, bounds);
            let sums = (&found.sum, found.detail);
            groups.push(group_of(found.key(), sums, (grouping, shared), &[&found.texts], measured));
            Ok(())
        })?;
        self.take(at, groups)
    }

    fn add_from_memory(&mut self, at: usize, parts: Vec<Groups>) -> io::Result<()> {
        let (shared, common) = (self.shared, self.common);
        let grouping = &shared.groupings[at];
        let Joined { groups, measured } = join(parts, grouping, &common.bounds[at]);
        let texts: Vec<&TextTable> = common.texts.iter().filter_map(|texts| texts.get(at)).collect();
        let mut measured = measured.into_iter();
        let mut group = |group: usize| {
            let sums = (groups.sum(group), groups.detail(group));
            let measured = measured.next().unwrap_or_default();
            group_of(groups.key(group), sums, (grouping, shared), &texts, measured)
        };
        let is_plain = shared.post_filter.is_none() && !grouping.is_joined() && !grouping.is_measured();
        if is_plain && (1..groups.len()).contains(&self.top) {
            // Few are wanted, so no others are made.
            for ranking in 0..grouping.rankings.len() {
                for one in largest(&groups, grouping, ranking, self.top) {
                    self.push((at, ranking), group(one))?;
                }
            }
            return Ok(());
        }
        // Both directions of a flow are in one part.
        let n = if grouping.is_joined() { groups.len() } else { GROUPS_AT_A_TIME };
        for start in (0..groups.len()).step_by(n.max(1)) {
            let some = (start..groups.len().min(start + n)).map(&mut group).collect();
            self.take(at, some)?;
        }
        Ok(())
    }

    /// Takes groups that are whole.
    fn take(&mut self, at: usize, mut groups: Vec<Group>) -> io::Result<()> {
        let grouping = &self.shared.groupings[at];
        if grouping.is_joined() {
            groups = directions::join(groups, grouping.directions == Directions::Guessed);
        }
        if let Some(filter) = self.shared.post_filter {
            post::retain(&mut groups, grouping, filter);
        }
        for group in groups {
            for ranking in 1..grouping.rankings.len() {
                self.push((at, ranking), group.clone())?;
            }
            self.push((at, 0), group)?;
        }
        Ok(())
    }

    fn push(&mut self, (at, ranking): (usize, usize), group: Group) -> io::Result<()> {
        let grouping = &self.shared.groupings[at];
        let ranked = Ranked::new(group, &grouping.rankings[ranking], grouping);
        self.bytes += ranked.bytes();
        let sorter = &mut self.sorters[at][ranking];
        sorter.kept.push(ranked);
        if self.top > 0 && sorter.kept.len() >= sorter.n_max.max(GROUPS_AT_A_TIME) {
            self.bytes -= sorter.cut(self.top, grouping.is_by_bucket);
        }
        // What is not joined yet has its part of the room.
        let left = (self.common.left_bytes.load(Relaxed) + self.common.text_bytes) / self.shared.threads;
        let room = (self.shared.bytes_max - self.shared.bytes_max / READ_PARTS).saturating_sub(left);
        if self.bytes > room { self.make_room(room) } else { Ok(()) }
    }

    fn make_room(&mut self, room: usize) -> io::Result<()> {
        self.cut();
        if self.bytes <= room / 2 {
            return Ok(());
        }
        for sorter in self.sorters.iter_mut().flatten().filter(|sorter| !sorter.kept.is_empty()) {
            let kept = std::mem::take(&mut sorter.kept);
            sorter.runs.push(|put| kept.iter().try_for_each(put))?;
        }
        self.bytes = 0;
        Ok(())
    }

    /// Puts the groups of each ranking in order, and leaves out those that are not wanted.
    pub(crate) fn cut(&mut self) {
        for (sorters, grouping) in self.sorters.iter_mut().zip(self.shared.groupings) {
            for sorter in sorters {
                self.bytes -= sorter.cut(self.top, grouping.is_by_bucket);
            }
        }
    }
}

/// The part of a thread's memory that groups on disk are read through: one of so many.
pub(super) const READ_PARTS: usize = 4;

impl Sorter {
    /// The octets that there are less.
    fn cut(&mut self, top: usize, is_by_bucket: bool) -> usize {
        self.kept.sort_unstable_by(Ranked::order);
        let (mut first, mut bytes) = (First::new(top, is_by_bucket), 0);
        if top > 0 {
            self.kept.retain(|ranked| {
                let is_one = first.is_one(&ranked.group);
                bytes += if is_one { 0 } else { ranked.bytes() };
                is_one
            });
        }
        self.n_max = 2 * self.kept.len() + GROUPS_AT_A_TIME;
        bytes
    }
}

/// The places of the `top` groups by the first order of a ranking, and of all that are as large as
/// the last of them.
fn largest(groups: &Groups, grouping: &Grouping, ranking: usize, top: usize) -> impl Iterator<Item = usize> {
    let ranking = &grouping.rankings[ranking];
    let rank = |group: usize| (ranking.rank(&groups.sum(group).counters()), group as u32);
    let mut ranks: Vec<(u64, u32)> = (0..groups.len()).map(rank).collect();
    let least = ranks.select_nth_unstable(top - 1).1.0;
    ranks.retain(|one| one.0 <= least);
    ranks.into_iter().map(|(_, group)| group as usize)
}

/// Which of groups in order are wanted: the first so many, of each bucket where they are by bucket.
struct First {
    top: usize,
    is_by_bucket: bool,
    n: usize,
    bucket: u64,
}

impl First {
    fn new(top: usize, is_by_bucket: bool) -> Self {
        Self { top, is_by_bucket, n: 0, bucket: 0 }
    }

    /// Whether the next one is wanted.
    fn is_one(&mut self, group: &Group) -> bool {
        let bucket = if self.is_by_bucket { group.value(Order::Bucket) } else { 0 };
        self.n = if self.bucket == bucket { self.n + 1 } else { 1 };
        self.bucket = bucket;
        self.top == 0 || self.n <= self.top
    }

    /// Whether no other will be.
    fn is_over(&self) -> bool {
        !self.is_by_bucket && self.top > 0 && self.n >= self.top
    }
}

fn group_of(
    key: &[u64],
    (sum, detail): (&Sum, Detail),
    (grouping, shared): (&Grouping, &Shared<'_>),
    texts: &[&TextTable],
    measured: Box<[Measured]>,
) -> Group {
    let text = |name| texts.iter().find_map(|texts| texts.get(name)).unwrap_or_default();
    let value = |(part, words): (&_, Option<_>)| {
        words.map(|words| value_of(*part, words, text, shared.places.as_deref()))
    };
    let values: Box<[Option<Value>]> = grouping.values(key).map(value).collect();
    let mut counters = sum.counters();
    if let (Some(bucket), Some(Some(Value::Int(start)))) = (grouping.bucket(), values.first()) {
        counters.over_ms = bucket.length_ms(*start);
    }
    let src_tos = detail.src_tos.map(|(_, tos)| tos);
    Group { key: values, counters, measured, tcp_flags: detail.tcp_flags, src_tos }
}

/// All groups of a table, one after another.
pub(crate) struct Ordered {
    merged: Merged<Ranked>,
    first: First,
    /// The only one, where there is none.
    instead: Option<Group>,
    is_about: bool,
    failure: Option<io::Error>,
}

impl Ordered {
    pub(super) fn new(
        cursors: impl IntoIterator<Item = Cursor<Ranked>>,
        top: usize,
        is_by_bucket: bool,
    ) -> io::Result<Self> {
        let merged = Merged::new(cursors)?;
        let first = First::new(top, is_by_bucket);
        Ok(Self { merged, first, instead: None, is_about: false, failure: None })
    }

    /// With a group for where there is none.
    pub(crate) fn or(self, group: Group) -> Self {
        Self { instead: Some(group), ..self }
    }

    /// The next group with its ranks.
    pub(super) fn next_ranked(&mut self) -> io::Result<Option<Ranked>> {
        while !self.first.is_over() {
            match self.merged.next()? {
                Some(ranked) if self.first.is_one(&ranked.group) => return Ok(Some(ranked)),
                Some(_) => {}
                None => break,
            }
        }
        Ok(None)
    }

    /// Whether something measured of a group that was told may be a little off; an error where not
    /// all groups were told.
    pub(crate) fn end(self) -> Result<bool, Failure> {
        interrupt::check()?;
        self.failure.map_or(Ok(self.is_about), |error| Err(cant_sort(&error)))
    }
}

impl Iterator for Ordered {
    type Item = Group;

    fn next(&mut self) -> Option<Group> {
        if interrupt::is_asked() || self.failure.is_some() {
            return None;
        }
        let group = match self.next_ranked() {
            Ok(Some(ranked)) => Some(ranked.group),
            Ok(None) => self.instead.take(),
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }?;
        self.instead = None;
        self.is_about |= group.measured.iter().any(|one| one.is_about);
        Some(group)
    }
}
