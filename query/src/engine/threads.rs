//! Row groups to threads: each takes the next that nobody has taken.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Runs `work` on `threads` threads, each with a state of its own, and returns their states
/// in the order of threads. With one thread it is the caller's.
pub(super) fn side_by_side<S: Send>(
    threads: usize,
    make: impl Fn() -> S,
    work: impl Fn(&mut S) + Sync,
) -> Vec<S> {
    onward((0..threads.max(1)).map(|_| make()).collect(), work)
}

/// As [`side_by_side`], a thread for each state there is.
pub(super) fn onward<S: Send>(mut states: Vec<S>, work: impl Fn(&mut S) + Sync) -> Vec<S> {
    let Some((own, others)) = states.split_first_mut() else { return states };
    thread::scope(|scope| {
        for state in others {
            scope.spawn(|| work(state));
        }
        work(own);
    });
    states
}

/// Does all `jobs` on `threads` threads; the results are in the order of jobs.
pub(super) fn each<J: Send, R: Send>(threads: usize, jobs: Vec<J>, run: impl Fn(J) -> R + Sync) -> Vec<R> {
    let jobs = Mutex::new(jobs.into_iter().enumerate());
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
    let done = side_by_side(threads, Vec::new, |done: &mut Vec<(usize, R)>| {
        while let Some((at, job)) = next() {
            done.push((at, run(job)));
        }
    });
    let mut all: Vec<(usize, R)> = done.into_iter().flatten().collect();
    all.sort_unstable_by_key(|one| one.0);
    all.into_iter().map(|one| one.1).collect()
}
