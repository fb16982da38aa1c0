//! The first of two passes of a top-N: sums by the hash of a key alone, which takes sixteen
//! octets a group whatever the key is.
//!
//! Two keys of one hash make a sum that is too large, never one too small. So the groups of
//! the N largest sums hold all that can be among the N, and the second pass, which sums up
//! these by key, sees whether a false one was among them.

/// Parts sums lie in by the first bits of their hash, so that each fits the cache.
const PARTS: usize = 128;
/// Entries of a part that are gathered before equal hashes are joined.
const PART_ENTRIES_MIN: usize = 4_096;

/// Sums by hash.
#[derive(Debug)]
pub(super) struct Fingerprints {
    parts: Vec<Part>,
    index: Vec<u32>,
}

#[derive(Debug)]
struct Part {
    entries: Vec<(u64, u64)>,
    /// Entries after which they are joined.
    full: usize,
}

impl Fingerprints {
    pub(super) fn new() -> Self {
        let empty = || Part { entries: Vec::new(), full: PART_ENTRIES_MIN };
        Self { parts: (0..PARTS).map(|_| empty()).collect(), index: Vec::new() }
    }

    #[inline]
    pub(super) fn add(&mut self, hash: u64, count: u64) {
        let part = &mut self.parts[(hash >> 57) as usize];
        part.entries.push((hash, count));
        if part.entries.len() >= part.full {
            part.join(&mut self.index);
        }
    }

    /// Octets held.
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.entries.capacity() * size_of::<(u64, u64)>()).sum()
    }

    /// The sums of all, part by part.
    fn into_parts(self) -> Vec<Vec<(u64, u64)>> {
        self.parts.into_iter().map(|part| part.entries).collect()
    }

    /// Sums of several threads, as jobs that can be done side by side.
    pub(super) fn jobs(all: Vec<Self>) -> Vec<Vec<Vec<(u64, u64)>>> {
        let mut jobs: Vec<Vec<_>> = (0..PARTS).map(|_| Vec::new()).collect();
        for one in all {
            jobs.iter_mut().zip(one.into_parts()).for_each(|(job, part)| job.push(part));
        }
        jobs
    }
}

impl Part {
    fn join(&mut self, index: &mut Vec<u32>) {
        join(&mut self.entries, index);
        self.full = (self.entries.len() * 2).max(PART_ENTRIES_MIN);
    }
}

/// Sums entries of equal hash up, in place. `index` is memory to use again.
fn join(entries: &mut Vec<(u64, u64)>, index: &mut Vec<u32>) {
    const FREE: u32 = u32::MAX;
    let size = (entries.len() * 2).next_power_of_two();
    index.clear();
    index.resize(size, FREE);
    let mut n = 0;
    for at in 0..entries.len() {
        let (hash, count) = entries[at];
        // The first bits chose the part.
        let mut place = hash as usize & (size - 1);
        loop {
            match index[place] {
                FREE => {
                    index[place] = n as u32;
                    entries[n] = (hash, count);
                    n += 1;
                    break;
                }
                known if entries[known as usize].0 == hash => {
                    let sum = &mut entries[known as usize].1;
                    *sum = sum.saturating_add(count);
                    break;
                }
                _ => place = (place + 1) & (size - 1),
            }
        }
    }
    entries.truncate(n);
}

/// The largest `n` sums of one job, and all as large as the last of them, largest first;
/// as hash and sum. At most `most`.
pub(super) fn largest(job: Vec<Vec<(u64, u64)>>, n: usize, most: usize) -> Vec<(u64, u64)> {
    let mut entries = job.into_iter().reduce(|mut one, other| {
        one.extend(other);
        one
    });
    let Some(entries) = &mut entries else { return Vec::new() };
    join(entries, &mut Vec::new());
    cut(entries, n, most);
    std::mem::take(entries)
}

/// Leaves the `n` largest and all as large as the last of them, at most `most`.
pub(super) fn cut(entries: &mut Vec<(u64, u64)>, n: usize, most: usize) {
    if n < entries.len() {
        entries.select_nth_unstable_by_key(n - 1, |entry| std::cmp::Reverse(entry.1));
        let least = entries[n - 1].1;
        let mut kept = n;
        for at in n..entries.len() {
            if entries[at].1 == least && kept < most {
                entries.swap(kept, at);
                kept += 1;
            }
        }
        entries.truncate(kept);
    }
    entries.sort_unstable_by_key(|entry| (std::cmp::Reverse(entry.1), entry.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_several_threads_join() {
        let mut all = vec![Fingerprints::new(), Fingerprints::new()];
        let hash = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for n in 0..200_000u64 {
            let group = n % 1_000;
            all[(n % 2) as usize].add(hash(group), group);
        }
        assert!(all[0].bytes() < 128 * 2 * PART_ENTRIES_MIN * 16);
        let mut found: Vec<_> =
            Fingerprints::jobs(all).into_iter().flat_map(|job| largest(job, 3, 100)).collect();
        cut(&mut found, 3, 100);
        assert_eq!(found, [999, 998, 997].map(|group| (hash(group), group * 200)));
    }

    #[test]
    fn ties_come_along_up_to_a_bound() {
        let entries: Vec<(u64, u64)> = (0..10).map(|n| (n, if n == 7 { 2 } else { 1 })).collect();
        for (n, most, expected) in [(1, 100, 1), (2, 100, 10), (2, 5, 5), (20, 100, 10)] {
            let mut left = entries.clone();
            cut(&mut left, n, most);
            assert_eq!((left.len(), left[0]), (expected, (7, 2)), "{n} {most}");
        }
    }
}
