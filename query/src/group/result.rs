//! What all threads found, put together: candidates after a first pass, tables at the end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use flow_common::limits::{GROUP_CANDIDATES_MAX, GROUP_PARTITIONS};

use super::collect::{Collector, Ordered, Sorter};
use super::exact::Groups;
use super::fingerprint::{self, Fingerprints};
use super::join::{Bounds, Common, Job};
use super::ranked::Ranked;
use super::texts::TextTable;
use super::{Candidates, Chosen, Grouping, Shared, Sums, Worker, part_of};
use crate::runs::{Cursor, read_bytes};

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
            let least = largest.get(top - 1).map_or(0, |one| one.1);
            if largest.len() >= GROUP_CANDIDATES_MAX || least == 0 {
                return None;
            }
            chosen.least.push(least);
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

/// Groups of all threads, as jobs that can be done side by side. If some went to disk all of them
/// do, and also if there would be no room to join them.
pub(crate) fn jobs(mut workers: Vec<Worker<'_>>, shared: &Shared<'_>) -> io::Result<(Vec<Job>, Common)> {
    let bytes: usize = workers.iter().map(Worker::bytes).sum();
    let has_room = bytes <= shared.bytes_max.saturating_mul(shared.threads) / 2;
    if !has_room || workers.iter().any(Worker::has_spilled) {
        workers.iter_mut().try_for_each(Worker::make_room)?;
    }
    let mut jobs: Vec<Job> = Vec::new();
    let mut bounds: Vec<Bounds> = vec![Vec::new(); shared.groupings.len()];
    let (mut spilled, mut texts) = (Vec::new(), Vec::new());
    for (at, worker) in workers.into_iter().enumerate() {
        let mut of_worker = Vec::new();
        for mut state in worker.states {
            state.empty_small();
            let Sums::Groups { partitions, texts, .. } = state.sums else { continue };
            of_worker.push(texts);
            for (partition, groups) in partitions.into_iter().enumerate() {
                add_bounds(&mut bounds[state.grouping], &groups);
                if at == 0 {
                    let part = part_of(state.grouping, partition);
                    jobs.push(Job { grouping: state.grouping, part, parts: vec![groups] });
                } else if let Some(job) = jobs.get_mut(state.grouping * GROUP_PARTITIONS + partition) {
                    job.parts.push(groups);
                }
            }
        }
        texts.push(of_worker);
        spilled.extend(Some(worker.spill).filter(|runs| runs.len() > 0));
    }
    let left = jobs.iter().flat_map(|job| &job.parts).map(Groups::bytes).sum();
    let text_bytes = texts.iter().flatten().map(TextTable::bytes).sum();
    Ok((jobs, Common { spilled, bounds, texts, text_bytes, left_bytes: AtomicUsize::new(left) }))
}

/// Adds the first and the last span of time that groups have a flow in.
fn add_bounds(known: &mut Bounds, groups: &Groups) {
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

/// Ranked groups, by grouping and ranking.
pub(crate) type Tables = Vec<Vec<Ordered>>;

/// The tables of what all threads joined; `None` where a first pass was led astray by keys of one
/// hash, which a pass over all groups will not be.
pub(crate) fn tables(
    collectors: Vec<Collector<'_>>,
    shared: &Shared<'_>,
    candidates: &Candidates,
    top: usize,
) -> io::Result<Option<Tables>> {
    let mut sorters: Vec<Vec<Vec<Sorter>>> = shared
        .groupings
        .iter()
        .map(|grouping| grouping.rankings.iter().map(|_| Vec::new()).collect())
        .collect();
    for (into, one) in collectors.into_iter().flat_map(|one| one.sorters.into_iter().enumerate()) {
        sorters[into].iter_mut().zip(one).for_each(|(into, one)| into.push(one));
    }
    let n_runs = sorters.iter().flatten().flatten().map(|sorter| sorter.runs.len()).sum();
    let bytes = read_bytes(n_runs, shared.bytes_max / 4 * shared.threads);
    let mut answer = Vec::with_capacity(sorters.len());
    for ((grouping, rankings), chosen) in shared.groupings.iter().zip(sorters).zip(candidates) {
        let mut tables = Vec::with_capacity(rankings.len());
        for (at, sorters) in rankings.into_iter().enumerate() {
            let mut cursors: Vec<Cursor<Ranked>> = Vec::new();
            for Sorter { kept, runs, .. } in sorters {
                cursors.extend(runs.cursors(None, bytes));
                cursors.push(Cursor::Memory(kept.into_iter()));
            }
            let mut table = Ordered::new(cursors, top, grouping.is_by_bucket)?;
            if let Some(chosen) = chosen {
                let Some(believed) = believed(table, grouping, (at, chosen), top)? else { return Ok(None) };
                table = believed;
            }
            tables.push(table);
        }
        answer.push(tables);
    }
    Ok(Some(answer))
}

/// The `top` groups of a ranking that were candidates, if no others can be among them.
fn believed(
    mut table: Ordered,
    grouping: &Grouping,
    (at, chosen): (usize, &Chosen),
    top: usize,
) -> io::Result<Option<Ordered>> {
    let mut groups = Vec::new();
    while let Some(ranked) = table.next_ranked()? {
        groups.push(ranked);
    }
    let least = chosen.least.get(at).copied().unwrap_or(0);
    let last = groups.last().filter(|_| groups.len() == top);
    let reached = last.map_or(0, |ranked| grouping.rankings[at].order.value(&ranked.group.counters));
    if reached < least {
        return Ok(None);
    }
    Ordered::new([Cursor::Memory(groups.into_iter())], top, grouping.is_by_bucket).map(Some)
}

#[cfg(test)]
mod tests {
    use flow_common::column::{ColumnId, Kind};

    use super::*;
    use crate::aggregate::{Group, Value};
    use crate::aggregation::Directions;
    use crate::flow::Counters;
    use crate::group::KeyPart;
    use crate::statistic::{Order, Ranking};

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
            directions: Directions::Apart,
        };
        let group = |(port, flows): (i64, u64)| Group {
            key: [Some(Value::Int(port))].into(),
            counters: Counters { flows, ..Counters::default() },
            measured: Box::default(),
            tcp_flags: None,
            src_tos: None,
        };
        let ranked = (1..).zip(flows).map(|one| Ranked::new(group(one), &ranking, &grouping));
        let ranked: Vec<Ranked> = ranked.collect();
        let chosen = Chosen { least: vec![least], ..Chosen::default() };
        let table = Ordered::new([Cursor::Memory(ranked.into_iter())], 3, false).unwrap();
        believed(table, &grouping, (0, &chosen), 3).unwrap().is_some()
    }

    #[test]
    fn keys_of_one_hash_are_noticed() {
        assert!(is_believed([9, 7, 5], 5));
        // Two keys of one hash had 6 together, so another group may have up to 6.
        assert!(!is_believed([9, 7, 5], 6));
    }
}
