//! Sums: of all matching rows, and of groups of them.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::reader::{Reader, Tally, Task};
use super::threads::{each, onward, side_by_side};
use crate::batch::Batch;
use crate::columns::ColumnRef;
use crate::counts::{Counts, Wanted};
use crate::flow::{COUNTER_COLUMNS, Counters, OUT_COLUMNS, TIME_COLUMNS};
use crate::group::{self, Candidates, Collector, Grouping, Shared, Tables, Texts, Worker};
use crate::interrupt;
use crate::message::Failure;
use crate::runs::cant_sort;
use crate::scan::{ReadError, Sieve};
use flow_common::column::ColumnId;

/// What a pass over row groups needs, and where it stops.
struct Pass<'r, 'q> {
    reader: Mutex<&'r mut Reader<'q>>,
    /// Row groups of files that are held; else the reader opens files.
    tasks: Option<Mutex<std::vec::IntoIter<Task>>>,
    wanted: Wanted,
    limit: Option<u64>,
    is_stopped: AtomicBool,
    /// From when to when flows that are asked for were for sure, all of them and each group, µs:
    /// times of row groups that lie within need not be read.
    known: Option<(i64, i64)>,
}

/// What one thread has.
struct State<'a> {
    worker: Worker<'a>,
    counts: Counts,
    tally: Tally,
    failure: Option<io::Error>,
}

/// Columns that sums of `groupings` need.
pub(super) fn columns(groupings: &[Grouping], wanted: Wanted) -> BTreeSet<ColumnRef> {
    let counters = COUNTER_COLUMNS.into_iter().filter(|&id| match id {
        ColumnId::Packets => wanted.packets,
        ColumnId::Bytes => wanted.bytes,
        _ => true,
    });
    let times = TIME_COLUMNS.into_iter().filter(|_| wanted.times);
    let mut columns: BTreeSet<ColumnRef> = counters.chain(times).map(ColumnRef::from).collect();
    for grouping in groupings {
        for part in grouping.parts.iter().chain(&grouping.other_sides) {
            columns.extend(part.columns());
        }
        for what in &grouping.measures {
            columns.extend(what.columns());
        }
        if grouping.has_out {
            columns.extend(OUT_COLUMNS.map(ColumnRef::from));
        }
        if grouping.has_details {
            columns.extend([ColumnId::TcpFlags, ColumnId::SrcTos].map(ColumnRef::from));
        }
    }
    columns
}

/// Sums up all matching rows, and the `top` groups of each grouping; 0 is all.
pub(super) fn sum(
    reader: &mut Reader<'_>,
    groupings: &[Grouping],
    top: usize,
) -> Result<(Tally, Tables), Failure> {
    let request = reader.request;
    let threads = if request.limit.is_some() { 1 } else { request.threads };
    let post_filter = request.post_filter.as_ref();
    let shared = Shared {
        groupings,
        texts: Arc::new(Texts::default()),
        seed: seed(),
        threads: threads.max(1),
        bytes_max: request.memory_bytes / threads.max(1),
        post_filter,
        places: request.places.clone(),
    };
    let first =
        group::first_pass(groupings, top).filter(|_| request.limit.is_none() && post_filter.is_none());
    let has_totals_only = groupings.is_empty() && request.limit.is_none();
    let is_held = (first.is_some() || has_totals_only) && reader.hold();
    if has_totals_only
        && is_held
        && let Some(totals) = reader.held_totals()
    {
        return Ok((totals, Vec::new()));
    }
    let mut candidates: Candidates = vec![None; groupings.len()];
    if let Some(wanted) = first
        && is_held
        && reader.held_rows() >= request.two_passes_from
    {
        reader.progress.expect_rows(reader.held_rows());
        candidates = first_pass(reader, &shared, wanted, top, threads).unwrap_or(candidates);
    }
    let before = reader.read;
    loop {
        // Where footers tell the totals, only rows of the candidates are read.
        let sieve = group::sieve(&shared, &candidates);
        let totals = sieve.as_ref().and_then(|_| reader.held_totals());
        let sieve = sieve.filter(|_| totals.is_some());
        let held = is_held.then(|| tasks(reader, &columns(groupings, Wanted::ALL), sieve.as_ref()));
        let (tally, tables) = last_pass(reader, &shared, held, &candidates, (top, threads))
            .map_err(|error| cant_sort(&error))?;
        interrupt::check()?;
        // Of a file that is damaged footers tell more than can be read.
        let is_damaged = reader.read.blocks_skipped != before.blocks_skipped;
        if let Some(tables) = tables.filter(|_| totals.is_none() || !is_damaged) {
            return Ok((totals.unwrap_or(tally), tables));
        }
        candidates = vec![None; groupings.len()];
        reader.read = before;
        reader.progress.expect_rows(reader.held_rows());
    }
}

/// Decodes what a question needs, all rows of it, and does nothing with it.
pub(super) fn decode(reader: &mut Reader<'_>) {
    reader.read_all();
    let threads = reader.request.threads;
    let reader = Mutex::new(reader);
    let next = || reader.lock().unwrap_or_else(PoisonError::into_inner).next_task();
    side_by_side(
        threads,
        || (),
        |()| {
            while let Some(task) = next() {
                let (scan, _) = task.scan(true);
                let result = scan.and_then(|mut scan| {
                    while scan.next()?.is_some() {}
                    Ok::<_, ReadError>(())
                });
                if let Err(error) = result {
                    reader.lock().unwrap_or_else(PoisonError::into_inner).cant_read_group(&task, &error);
                }
            }
        },
    );
}

/// A number nobody else knows.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

fn tasks(reader: &Reader<'_>, columns: &BTreeSet<ColumnRef>, sieve: Option<&Arc<dyn Sieve>>) -> Vec<Task> {
    let mut position = 0;
    reader.held_with(columns, sieve).into_iter().flat_map(|file| file.tasks(&mut position)).collect()
}

/// From when to when flows seen so far were.
fn span_of_all(states: &[State<'_>]) -> Option<(i64, i64)> {
    let mut all = Counters::default();
    states.iter().for_each(|state| all.add(&state.tally.matched));
    all.first.zip(all.last)
}

/// Takes out the row groups with the first and with the last flow: after these it is known of most
/// groups that they are older and younger than what is in between.
fn take_edges(tasks: &mut Vec<Task>) -> Vec<Task> {
    let by = |of: &dyn Fn(&Task) -> Option<i64>| {
        let times = tasks.iter().enumerate().filter_map(|(at, task)| Some((of(task)?, at)));
        times.min().map(|(_, at)| at)
    };
    let first = by(&|task| Some(task.span()?.0));
    let last = by(&|task| Some(!task.span()?.1));
    let mut edges: Vec<usize> = first.into_iter().chain(last).collect();
    edges.sort_unstable();
    edges.dedup();
    edges.into_iter().rev().map(|at| tasks.remove(at)).collect()
}

/// The candidates of a top-N; `None` where they need more memory than there is.
fn first_pass(
    reader: &mut Reader<'_>,
    shared: &Shared<'_>,
    wanted: Wanted,
    top: usize,
    threads: usize,
) -> Option<Candidates> {
    let two = shared.groupings.iter().filter(|grouping| grouping.has_two_passes(top));
    let keys: Vec<Grouping> =
        two.map(|grouping| Grouping { has_details: false, ..grouping.clone() }).collect();
    let tasks = tasks(reader, &columns(&keys, wanted), None);
    let pass = Pass::new(reader, Some(tasks), wanted, None);
    let states =
        side_by_side(threads, || State::new(Worker::first(shared, top)), |state| pass.run(state, false));
    if pass.is_over() {
        return None;
    }
    let workers = states.into_iter().map(|state| state.worker).collect();
    let run = |jobs| each(threads, jobs, |job| group::largest(job, top));
    Some(group::candidates(workers, shared.groupings, top, run))
}

fn last_pass(
    reader: &mut Reader<'_>,
    shared: &Shared<'_>,
    held: Option<Vec<Task>>,
    candidates: &Candidates,
    (top, threads): (usize, usize),
) -> io::Result<(Tally, Option<Tables>)> {
    let limit = reader.request.limit;
    let out = shared.groupings.iter().any(|grouping| grouping.has_out);
    let wanted = Wanted { out, ..Wanted::ALL };
    let mut states: Vec<_> =
        (0..threads.max(1)).map(|_| State::new(Worker::last(shared, candidates))).collect();
    let (mut known, mut rest) = (None, held);
    if let Some(tasks) = rest.as_mut().filter(|_| candidates.iter().all(Option::is_some)) {
        let edges = take_edges(tasks);
        let pass = Pass::new(reader, Some(edges), wanted, limit);
        states = onward(states, |state| pass.run(state, true));
        known = match candidates.is_empty() {
            true => span_of_all(&states),
            false => group::common_span(states.iter().map(|state| &state.worker), candidates),
        };
    }
    if states.iter().all(|state| state.failure.is_none()) {
        let pass = Pass { known, ..Pass::new(reader, rest, wanted, limit) };
        states = onward(states, |state| pass.run(state, true));
    }
    if let Some(failure) = states.iter_mut().find_map(|state| state.failure.take()) {
        return Err(failure);
    }
    let mut tally = Tally::default();
    states.iter().for_each(|state| tally.merge(&state.tally));
    if interrupt::is_asked() {
        // Nobody will see the groups, and to join them may take longer than there is.
        return Ok((tally, Some(Vec::new())));
    }
    let (jobs, common) = group::jobs(states.into_iter().map(|state| state.worker).collect(), shared)?;
    let jobs = Mutex::new(jobs.into_iter());
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
    let collected = side_by_side(
        common.n_joiners(shared),
        || (Collector::new(shared, &common, top), Ok(())),
        |(collector, result)| {
            while let (Ok(()), Some(job)) = (&*result, next()) {
                *result = collector.add(job);
            }
            collector.cut();
        },
    );
    let collectors = collected.into_iter().map(|(collector, result)| result.map(|()| collector));
    let tables = group::tables(collectors.collect::<io::Result<_>>()?, shared, candidates, top)?;
    Ok((tally, tables))
}

impl<'r, 'q> Pass<'r, 'q> {
    fn new(reader: &'r mut Reader<'q>, tasks: Option<Vec<Task>>, wanted: Wanted, limit: Option<u64>) -> Self {
        let tasks = tasks.map(|tasks| Mutex::new(tasks.into_iter()));
        let is_stopped = AtomicBool::new(false);
        Self { reader: Mutex::new(reader), tasks, wanted, limit, is_stopped, known: None }
    }

    /// Which counters are needed of a row group.
    fn wanted_of(&self, task: &Task) -> Wanted {
        let is_told = self.known.is_some_and(|(first, last)| task.lies_within(first, last));
        Wanted { times: self.wanted.times && !is_told, ..self.wanted }
    }

    fn next(&self) -> Option<Task> {
        match &self.tasks {
            Some(tasks) => tasks.lock().unwrap_or_else(PoisonError::into_inner).next(),
            None => self.with_reader(Reader::next_task),
        }
    }

    fn with_reader<R>(&self, run: impl FnOnce(&mut Reader<'q>) -> R) -> R {
        run(&mut self.reader.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_over(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed) || interrupt::is_asked()
    }

    /// Takes row groups until there are none; `is_last` says whether what is seen counts.
    fn run(&self, state: &mut State<'_>, is_last: bool) {
        while !self.is_over() {
            let Some(task) = self.next() else { break };
            let wanted = self.wanted_of(&task);
            let (scan, compressed_bytes) = task.scan(wanted.times);
            let result = scan.and_then(|mut scan| {
                let mut rows = 0;
                while !self.is_over() {
                    let Some(mut batch) = scan.next()? else { break };
                    let room = self.limit.map_or(u64::MAX, |limit| limit - state.tally.passed);
                    if room < batch.rows() as u64 {
                        batch.truncate(usize::try_from(room).unwrap_or(usize::MAX));
                    }
                    state.add(&batch, wanted, task.position + rows, is_last);
                    rows += batch.rows() as u64;
                    let is_full = self.limit.is_some_and(|limit| state.tally.passed >= limit);
                    if is_full || state.failure.is_some() || (!is_last && state.worker.is_full()) {
                        self.is_stopped.store(true, Ordering::Relaxed);
                    }
                }
                Ok::<_, ReadError>(())
            });
            if let Err(error) = state.worker.end_of_group() {
                state.failure = Some(error);
                self.is_stopped.store(true, Ordering::Relaxed);
            }
            self.with_reader(|reader| {
                reader.progress.add_rows(task.rows());
                if is_last {
                    reader.read.bytes = reader.read.bytes.saturating_add(compressed_bytes);
                    if let Err(error) = result {
                        reader.cant_read_group(&task, &error);
                    }
                }
            });
        }
    }
}

impl<'a> State<'a> {
    fn new(worker: Worker<'a>) -> Self {
        Self { worker, counts: Counts::default(), tally: Tally::default(), failure: None }
    }

    fn add(&mut self, batch: &Batch, wanted: Wanted, position: u64, is_last: bool) {
        self.counts.read(batch, wanted);
        if is_last {
            self.tally.passed += batch.rows() as u64;
            self.tally.add_rates(batch.rate_span());
            self.tally.matched.add(&self.counts.total());
        }
        if let Err(error) = self.worker.add(batch, &self.counts, position) {
            self.failure = Some(error);
        }
    }
}
