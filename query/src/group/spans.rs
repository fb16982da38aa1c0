//! From when to when candidates were seen: whoever sees rows within has no need of their times.

use std::collections::{HashMap, HashSet};

use super::{Candidates, Sums, Worker};

/// The latest of the firsts and the earliest of the lasts of all candidates, µs; `None` where
/// one was not seen yet, or a grouping has none.
pub(crate) fn common_span<'w>(
    workers: impl Iterator<Item = &'w Worker<'w>> + Clone,
    candidates: &Candidates,
) -> Option<(i64, i64)> {
    let (mut first, mut last) = (i64::MIN, i64::MAX);
    for (index, chosen) in candidates.iter().enumerate() {
        let chosen = chosen.as_ref()?;
        let mut seen: HashMap<&[u64], (i64, i64)> = HashMap::new();
        let mut hashes = HashSet::new();
        for state in workers.clone().flat_map(|worker| &worker.states) {
            let Sums::Groups { partitions, .. } = &state.sums else { continue };
            for groups in partitions.iter().filter(|_| state.grouping == index) {
                for group in 0..groups.len() {
                    let (key, sum) = (groups.key(group), groups.sum(group));
                    hashes.insert(groups.hash(group));
                    let span = seen.entry(key).or_insert((sum.first, sum.last));
                    *span = (span.0.min(sum.first), span.1.max(sum.last));
                }
            }
        }
        if hashes.len() < chosen.hashes.len() {
            return None;
        }
        for (begin, end) in seen.into_values() {
            (first, last) = (first.max(begin), last.min(end));
        }
    }
    Some((first, last))
}
