//! What all threads found, put together: candidates after a first pass, tables at the end.

use std::cmp::Ordering;
use std::io;
use std::sync::{Arc, Mutex};

use flow_common::limits::{GROUP_CANDIDATES_MAX, GROUP_PARTITIONS};

use super::exact::Groups;
use super::fingerprint::{self, Fingerprints};
use super::join::{Common, Job, Joined, Spilled, join};
use super::key::value_of;
use super::post;
use super::{Candidates, Chosen, Grouping, Shared, Sums, Worker};
use crate::aggregate::{Group, Measured, Value};
use crate::statistic::{Order, Ranking};

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

/// Groups of all threads, as jobs that can be done side by side, and what is on disk.
pub(crate) fn jobs(workers: Vec<Worker<'_>>) -> (Vec<Job>, Common) {
    let mut jobs: Vec<Job> = Vec::new();
    let (mut spilled, mut bounds) = (Vec::new(), Vec::new());
    for (at, worker) in workers.into_iter().enumerate() {
        for mut state in worker.states {
            state.empty_small();
            let Sums::Groups { partitions, .. } = state.sums else { continue };
            for (partition, groups) in partitions.into_iter().enumerate() {
                add_bounds(&mut bounds, state.grouping, &groups);
                if at == 0 {
                    jobs.push(Job { grouping: state.grouping, partition, parts: vec![groups] });
                } else if let Some(job) = jobs.get_mut(state.grouping * GROUP_PARTITIONS + partition) {
                    job.parts.push(groups);
                }
            }
        }
        spilled.extend(worker.spill.map(|spill| Spilled(Mutex::new(spill))));
    }
    (jobs, Common { spilled, bounds })
}

/// Adds the first and the last span of time that groups have a flow in.
fn add_bounds(bounds: &mut Vec<Vec<Option<(i64, i64)>>>, grouping: usize, groups: &Groups) {
    if bounds.len() <= grouping {
        bounds.resize(grouping + 1, Vec::new());
    }
    let known = &mut bounds[grouping];
    for (at, bounds) in groups.extras.bounds().enumerate() {
        if known.len() <= at {
            known.push(None);
        }
        known[at] = match (known[at], bounds) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
    }
}

/// The `top` groups of a partition for each ranking; 0 is all.
pub(crate) fn best(
    job: Job,
    common: &Common,
    shared: &Shared<'_>,
    top: usize,
) -> io::Result<(usize, Vec<Vec<Group>>)> {
    let (place, grouping) = (job.grouping, &shared.groupings[job.grouping]);
    let Joined { groups, measured } = join(job, common, shared)?;
    let kept = shared.post_filter.map(|filter| post::kept(&groups, grouping, shared, filter));
    let is_kept = |at: usize| kept.as_ref().is_none_or(|kept| kept[at]);
    if grouping.is_measured() {
        let mut measured = measured.into_iter();
        let group = |at: usize| {
            let measured = measured.next().unwrap_or_default();
            is_kept(at).then(|| group_of(&groups, at, (grouping, shared), measured))
        };
        let all: Vec<Group> = (0..groups.len()).filter_map(group).collect();
        let rankings = grouping.rankings.iter();
        // Most questions have one ranking, whose groups need no copy.
        let of_rankings = rankings.zip(std::iter::repeat_n(all, grouping.rankings.len()));
        let best =
            of_rankings.map(|(ranking, all)| cut_groups(ranked_by(all, ranking), ranking, grouping, top));
        return Ok((place, best.collect()));
    }
    let of_ranking = |ranking: &Ranking| {
        let mut all: Vec<(u64, Group)> = Vec::new();
        let mut ranks: Vec<(u64, u32)> = (0..groups.len())
            .filter(|&at| is_kept(at))
            .map(|at| (ranking.order.value(&groups.sum(at).counters()), at as u32))
            .collect();
        if 0 < top && top < ranks.len() {
            let by_rank = |one: &(u64, u32), two: &(u64, u32)| by_rank(ranking, one.0, two.0);
            ranks.select_nth_unstable_by(top - 1, by_rank);
            let least = ranks[top - 1].0;
            ranks.retain(|&(rank, _)| by_rank(&(rank, 0), &(least, 0)).is_le());
        }
        let no_more = Box::<[Measured]>::default;
        all.extend(
            ranks
                .into_iter()
                .map(|(rank, at)| (rank, group_of(&groups, at as usize, (grouping, shared), no_more()))),
        );
        cut_groups(all, ranking, grouping, top)
    };
    Ok((place, grouping.rankings.iter().map(of_ranking).collect()))
}

fn by_rank(ranking: &Ranking, one: u64, two: u64) -> Ordering {
    if ranking.is_ascending { one.cmp(&two) } else { two.cmp(&one) }
}

fn ranked_by(groups: Vec<Group>, ranking: &Ranking) -> Vec<(u64, Group)> {
    groups.into_iter().map(|group| (group.value(ranking.order), group)).collect()
}

/// Groups by several orders, the first `top` of them; 0 is all. Both directions count, where no
/// order is about one.
pub(crate) fn ranked(groups: Vec<Group>, orders: &[Ranking], top: usize) -> Vec<Group> {
    let Some((first, ties)) = orders.split_first() else { return groups };
    let value = |ranking: &Ranking, group: &Group| match ranking.order.is_out() {
        true => group.value(ranking.order),
        false => ranking.order.value(&group.counters.of_both()),
    };
    let rank = |group: Group| (value(first, &group), group);
    let mut all: Vec<_> = groups.into_iter().map(rank).collect();
    sort_by(&mut all, first, (ties, value), false);
    cut(all, top)
}

/// The first `top` by rank, by ties where ranks are equal, and by key; 0 is all.
fn cut_groups(mut all: Vec<(u64, Group)>, ranking: &Ranking, grouping: &Grouping, top: usize) -> Vec<Group> {
    let value = |tie: &Ranking, group: &Group| group.value(tie.order);
    sort_by(&mut all, ranking, (&grouping.ties, value), grouping.is_by_bucket);
    if !grouping.is_by_bucket || top == 0 {
        return cut(all, top);
    }
    let bucket = |(_, group): &(u64, Group)| group.value(Order::Bucket);
    let (mut last, mut n) = (None, 0);
    all.retain(|one| {
        n = if last == Some(bucket(one)) { n + 1 } else { 1 };
        last = Some(bucket(one));
        n <= top
    });
    cut(all, 0)
}

fn cut(mut all: Vec<(u64, Group)>, top: usize) -> Vec<Group> {
    if top > 0 {
        all.truncate(top);
    }
    all.into_iter().map(|(_, group)| group).collect()
}

/// Sorts by rank, with what a tie goes by; buckets one after another where `is_by_bucket` says so.
fn sort_by(
    all: &mut [(u64, Group)],
    ranking: &Ranking,
    (ties, value): (&[Ranking], impl Fn(&Ranking, &Group) -> u64),
    is_by_bucket: bool,
) {
    let by_ties = |one: &Group, two: &Group| {
        let compare = |tie: &Ranking| by_rank(tie, value(tie, one), value(tie, two));
        ties.iter().map(compare).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    let is_first = is_by_bucket && ranking.order != Order::Bucket;
    let by_bucket = |one: &Group, two: &Group| match is_first {
        true => one.value(Order::Bucket).cmp(&two.value(Order::Bucket)),
        false => Ordering::Equal,
    };
    all.sort_unstable_by(|one, two| {
        by_bucket(&one.1, &two.1)
            .then_with(|| by_rank(ranking, one.0, two.0))
            .then_with(|| by_ties(&one.1, &two.1))
            .then_with(|| one.1.key.cmp(&two.1.key))
    });
}

pub(super) fn group_of(
    groups: &Groups,
    at: usize,
    (grouping, shared): (&Grouping, &Shared<'_>),
    measured: Box<[Measured]>,
) -> Group {
    let key = groups.key(at);
    let mut words = &key[1..];
    let mut values: Vec<Option<Value>> = Vec::with_capacity(grouping.parts.len());
    for (index, part) in grouping.parts.iter().enumerate() {
        let (own, rest) = words.split_at(part.words());
        words = rest;
        let pair = if let [high, low] = own { [*high, *low] } else { [0, own[0]] };
        values.push(
            (key[0] >> index & 1 == 0)
                .then(|| value_of(*part, pair, &shared.texts, shared.places.as_deref())),
        );
    }
    let detail = groups.detail(at);
    let mut counters = groups.sum(at).counters();
    if let (Some(bucket), Some(Some(Value::Int(start)))) = (grouping.bucket(), values.first()) {
        counters.over_ms = bucket.length_ms(*start);
    }
    Group {
        key: values.into(),
        counters,
        measured,
        tcp_flags: detail.tcp_flags,
        src_tos: detail.src_tos.map(|(_, tos)| tos),
    }
}

/// Ranked groups, by grouping and ranking.
pub(crate) type Tables = Vec<Vec<Vec<Group>>>;

/// The tables of all partitions; `None` where a first pass was led astray by keys of one
/// hash, which a pass over all groups will not be.
pub(crate) fn tables(
    partitions: Vec<(usize, Vec<Vec<Group>>)>,
    groupings: &[Grouping],
    candidates: &Candidates,
    top: usize,
) -> Option<Tables> {
    let mut tables: Vec<Vec<Vec<(u64, Group)>>> =
        groupings.iter().map(|grouping| grouping.rankings.iter().map(|_| Vec::new()).collect()).collect();
    for (grouping, rankings) in partitions {
        for (at, groups) in rankings.into_iter().enumerate() {
            let order = groupings[grouping].rankings[at].order;
            tables[grouping][at].extend(groups.into_iter().map(|group| (group.value(order), group)));
        }
    }
    let mut answer = Vec::with_capacity(groupings.len());
    for ((grouping, tables), chosen) in groupings.iter().zip(tables).zip(candidates) {
        let mut cut = Vec::with_capacity(tables.len());
        for (at, (ranking, table)) in grouping.rankings.iter().zip(tables).enumerate() {
            let table = cut_groups(table, ranking, grouping, top);
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

#[cfg(test)]
mod tests {
    use flow_common::column::{ColumnId, Kind};

    use super::*;
    use crate::flow::Counters;
    use crate::group::KeyPart;
    use crate::statistic::Order;

    /// Whether three groups of these flows are taken for the largest, where hashes alone
    /// said that the third has `least`.
    fn is_believed(flows: [u64; 3], least: u64) -> bool {
        let ranking = Ranking::new(Order::Flows, false);
        let grouping = Grouping {
            parts: vec![KeyPart::column(ColumnId::DstPort.into(), Kind::Int32)],
            other_sides: Vec::new(),
            has_null: false,
            counts_events: false,
            has_details: false,
            has_out: false,
            rankings: vec![ranking],
            ties: Vec::new(),
            measures: Vec::new(),
            is_by_bucket: false,
        };
        let group = |(port, flows): (i64, u64)| Group {
            key: [Some(Value::Int(port))].into(),
            counters: Counters { flows, ..Counters::default() },
            measured: Box::default(),
            tcp_flags: None,
            src_tos: None,
        };
        let groups = (1..).zip(flows).map(group).collect();
        let chosen = Chosen { least: vec![least], ..Chosen::default() };
        tables(vec![(0, vec![groups])], &[grouping], &vec![Some(Arc::new(chosen))], 3).is_some()
    }

    #[test]
    fn keys_of_one_hash_are_noticed() {
        assert!(is_believed([9, 7, 5], 5));
        // Two keys of one hash had 6 together, so another group may have up to 6.
        assert!(!is_believed([9, 7, 5], 6));
    }
}
