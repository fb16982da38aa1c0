//! SIGKILL, SIGTERM and SIGSTOP at instants a seed repeats, and what came of them.
//!
//! Exporters send in order, so what a kill may cost is known: what was in the socket
//! and never accepted, the last records sent before the kill, without a hole. Where
//! nothing was in the socket, nothing may be missing. Nothing may be there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flow_collector::SystemClock;
use flow_common::layout::NFDUMP_HIERARCHIES;
use flow_common::limits::RECEIVE_BURST_DATAGRAMS;
use flow_common::time::Clock;
use flow_tests::mutate::Xorshift;
use flow_tests::query::flowdump;
use nix::sys::signal::Signal;

use crate::collector::{Collector, free_port};
use crate::exporters::{EXPORTERS, Exporters, QUEUED_BYTES_MAX, RECORDS, datagram_bytes};
use crate::serials::{Seen, parts};
use crate::setting;

/// Longest time from a start to the socket, where the machine is known.
const LISTENING_MS_MAX: u128 = 1_000;

/// How a run of the collector ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// SIGKILL when everything sent is accepted.
    KilledIdle,
    /// SIGSTOP, a look into the socket, SIGKILL.
    KilledHalted,
    /// SIGKILL in full flow.
    KilledInFlow,
    /// SIGKILL before it listens, or just then.
    KilledStarting,
    /// SIGTERM when everything sent is accepted.
    TerminatedIdle,
    /// SIGTERM in full flow.
    TerminatedInFlow,
    /// SIGTERM, and SIGKILL while it ends.
    KilledEnding,
}

const ENDS: [End; 10] = [
    End::KilledIdle,
    End::KilledIdle,
    End::KilledHalted,
    End::KilledHalted,
    End::KilledInFlow,
    End::KilledInFlow,
    End::KilledStarting,
    End::TerminatedIdle,
    End::TerminatedInFlow,
    End::KilledEnding,
];

/// One run that ended.
#[derive(Debug)]
struct Run {
    end: End,
    /// What may be missing: nothing below, and all up to `next` if anything.
    lowest: [u64; EXPORTERS],
    /// For each exporter the first number not sent when it ended.
    next: [u64; EXPORTERS],
    listening: Option<Duration>,
    ending: Duration,
}

/// Everything about a series of runs in one directory.
struct Series {
    root: PathBuf,
    log: PathBuf,
    port: u16,
    /// Whether each run puts files into other directories (`-S`).
    changes_hierarchy: bool,
    random: Xorshift,
    seen: Seen,
    runs: Vec<Run>,
}

/// Ends the exporters also where the test fails.
struct Finish<'a>(&'a Exporters);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

#[test]
fn kills() {
    kill(setting("KILLS", 8), false);
}

#[test]
fn kills_between_changes_of_the_hierarchy() {
    kill(setting("KILLS", 8).min(100), true);
}

fn kill(n_kills: usize, changes_hierarchy: bool) {
    let seed = setting("CRASH_SEED", 1);
    let directory = tempfile::tempdir().unwrap();
    let (root, port) = (directory.path().join("flows"), free_port());
    let mut series = Series {
        root: root.clone(),
        log: directory.path().join("log"),
        port,
        changes_hierarchy,
        random: Xorshift::new(seed),
        seen: Seen::default(),
        runs: Vec::new(),
    };
    let target = ([127, 0, 0, 1], port).into();
    let exporters = Exporters::new(target, setting("CRASH_RATE", 20_000));
    let n_runs = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let _finish = Finish(&exporters);
        (0..EXPORTERS).for_each(|n| {
            drop(scope.spawn({
                let exporters = &exporters;
                move || exporters.run(n)
            }))
        });
        let reader = scope.spawn(|| ask(&root, &exporters, &n_runs));
        let mut n_killed = 0;
        // Each way at least once where there is time for it.
        while n_killed < n_kills {
            let nth = series.runs.len();
            let draw = series.random.below(ENDS.len());
            let end = ENDS[if nth < ENDS.len() { (nth * 7 + 2) % ENDS.len() } else { draw }];
            n_killed += usize::from(!matches!(end, End::TerminatedIdle | End::TerminatedInFlow));
            series.run(&exporters, end);
            n_runs.store(series.runs.len(), Ordering::SeqCst);
        }
        series.run(&exporters, End::TerminatedIdle);
        exporters.finish();
        println!("flowdump asked {} times meanwhile", reader.join().unwrap());
    });
    println!("seed {seed}");
    series.report();
}

/// Asks `flowdump` for totals until the exporters end, and returns how often. Rows only
/// ever become more, whatever closes a slot. What lay in parts alone may be away once
/// after a kill, until the journal is read again.
fn ask(root: &Path, exporters: &Exporters, n_runs: &AtomicUsize) -> u64 {
    let (mut before, mut n_asked, mut n_less) = (0, 0, 0);
    while !exporters.is_over() {
        let start = Instant::now();
        if root.exists() {
            let output = flowdump(root, &["-I"]);
            let flows = output.stdout.lines().find_map(|line| line.strip_prefix("Flows: ")?.parse().ok());
            let found: u64 = flows.unwrap_or_else(|| panic!("{output:?}"));
            let sent = exporters.next().iter().sum();
            n_less += usize::from(found < before);
            let is_explained = found <= sent && n_less <= n_runs.load(Ordering::SeqCst);
            assert!(output.code == 0 && is_explained, "{found} of {sent} rows, {before} before: {output:?}");
            (before, n_asked) = (found, n_asked + 1);
        }
        // Half of the time, so that a large tree leaves the machine to the others.
        std::thread::sleep(start.elapsed().max(Duration::from_millis(5)));
    }
    n_asked
}

impl Series {
    /// Starts a collector, and ends it this way.
    fn run(&mut self, exporters: &Exporters, end: End) {
        let slot_secs = 1 + self.random.below(2) as u32;
        let args = match self.changes_hierarchy {
            true => vec!["-S".to_owned(), self.random.below(NFDUMP_HIERARCHIES.len()).to_string()],
            false => Vec::new(),
        };
        let mut collector = Collector::start_with(&self.root, self.port, slot_secs, &self.log, &args);
        let next = exporters.next();
        if end == End::KilledStarting {
            std::thread::sleep(Duration::from_micros(self.random.below(150_000) as u64));
            collector.signal(Signal::SIGKILL);
            let (_, ending) = collector.wait();
            self.push(Run { end, lowest: next, next, listening: None, ending });
            return;
        }
        let listening = Some(collector.wait_for_socket());
        exporters.open();
        self.wait_for_instant(&collector, slot_secs);
        let lowest = self.end(&collector, exporters, end);
        let (status, ending) = collector.wait();
        exporters.close();
        if matches!(end, End::TerminatedIdle | End::TerminatedInFlow) {
            assert!(status.success(), "SIGTERM: {status}\n{}", self.said());
        }
        self.push(Run { end, lowest, next: exporters.next(), listening, ending });
    }

    /// Sends the signals; returns the lowest numbers that may be missing.
    fn end(&mut self, collector: &Collector, exporters: &Exporters, end: End) -> [u64; EXPORTERS] {
        let pause = Duration::from_micros(self.random.below(200_000) as u64);
        if matches!(end, End::KilledIdle | End::TerminatedIdle) {
            exporters.close();
            collector.wait_until_idle();
        }
        let socket = collector.socket();
        assert_eq!(socket.n_dropped, 0, "the kernel dropped datagrams: the exporters are too fast");
        let next = exporters.next();
        match end {
            End::KilledIdle | End::KilledStarting => collector.signal(Signal::SIGKILL),
            End::TerminatedIdle | End::TerminatedInFlow => collector.signal(Signal::SIGTERM),
            End::KilledInFlow => {
                collector.signal(Signal::SIGKILL);
                return next.map(|next| next.saturating_sub(unaccepted_max(2 * QUEUED_BYTES_MAX)));
            }
            End::KilledHalted => {
                collector.signal(Signal::SIGSTOP);
                exporters.close();
                let queued_bytes = collector.socket().queued_bytes;
                let next = exporters.next();
                collector.signal(Signal::SIGKILL);
                return next.map(|next| next.saturating_sub(unaccepted_max(queued_bytes)));
            }
            End::KilledEnding => {
                collector.signal(Signal::SIGTERM);
                std::thread::sleep(pause);
                collector.signal(Signal::SIGKILL);
                return next.map(|next| next.saturating_sub(unaccepted_max(2 * QUEUED_BYTES_MAX)));
            }
        }
        next
    }

    /// Waits for an instant to end the collector at: any, or one at which a slot
    /// closes. Sometimes it is halted before, and goes on.
    fn wait_for_instant(&mut self, collector: &Collector, slot_secs: u32) {
        let random = &mut self.random;
        if random.below(5) == 0 {
            std::thread::sleep(Duration::from_millis(random.below(500) as u64));
            collector.signal(Signal::SIGSTOP);
            std::thread::sleep(Duration::from_millis(random.below(600) as u64));
            collector.signal(Signal::SIGCONT);
        }
        let any = Duration::from_micros(random.below(2_500_000) as u64);
        let to_close = {
            let slot_micros = i64::from(slot_secs) * 1_000_000;
            slot_micros - SystemClock.now().0.rem_euclid(slot_micros)
        };
        let closing = Duration::from_micros(to_close as u64 + random.below(80_000) as u64);
        std::thread::sleep(if random.below(3) == 0 { closing } else { any });
    }

    /// Looks at what a run left behind.
    fn push(&mut self, run: Run) {
        self.runs.push(run);
        self.seen.read_new(&self.root);
    }

    fn said(&self) -> String {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let from = said.len().saturating_sub(1_000);
        said.get(from..).unwrap_or(&said).to_owned()
    }

    /// Prints what came of it, and fails where a law is broken.
    fn report(&self) {
        let left = parts(&self.root);
        let mut lost = BTreeMap::<End, Vec<u64>>::new();
        let mut broken = Vec::new();
        let last = self.runs.last().unwrap();
        for exporter in 0..EXPORTERS {
            for range in self.pieces(self.seen.missing(exporter, last.next[exporter]), exporter) {
                let is_cause =
                    |run: &&Run| run.next[exporter] == range.end && run.lowest[exporter] <= range.start;
                match self.runs.iter().find(is_cause) {
                    Some(run) => lost.entry(run.end).or_default().push(range.end - range.start),
                    None => broken.push(self.describe(exporter, &range)),
                }
            }
        }
        self.print(&lost);
        assert!(
            broken.is_empty(),
            "accepted records are missing:\n{}\n{}",
            broken[..broken.len().min(20)].join("\n"),
            self.said()
        );
        assert_eq!(self.seen.n_duplicates, 0, "records are there twice");
        assert_eq!(self.seen.torn, BTreeSet::new(), "files are torn");
        assert!(left.is_empty(), "parts of slots that are closed: {left:?}");
        self.check_query();
    }

    /// `flowdump` counts the same rows.
    fn check_query(&self) {
        let output = flowdump(&self.root, &["-I"]);
        let expected = format!("Flows: {}\n", self.seen.n_rows);
        assert!(output.code == 0 && output.stdout.contains(&expected), "{expected}{output:?}");
    }

    /// Missing ranges, cut where a run ended.
    fn pieces(&self, missing: Vec<Range<u64>>, exporter: usize) -> Vec<Range<u64>> {
        let mut pieces = Vec::new();
        for mut range in missing {
            for cut in self.runs.iter().map(|run| run.next[exporter]) {
                if range.start < cut && cut < range.end {
                    pieces.push(range.start..cut);
                    range.start = cut;
                }
            }
            pieces.push(range);
        }
        pieces
    }

    fn describe(&self, exporter: usize, range: &Range<u64>) -> String {
        let nth = self.runs.iter().position(|run| range.end <= run.next[exporter]);
        let run = nth.map(|nth| &self.runs[nth]);
        let (lowest, next) = run.map_or((0, 0), |run| (run.lowest[exporter], run.next[exporter]));
        let (missing, end) = (range.end - range.start, run.map(|run| run.end));
        format!(
            "exporter {exporter}: {missing} records {range:?}, run {nth:?} ended {end:?}, free to go {lowest}..{next}"
        )
    }

    fn print(&self, lost: &BTreeMap<End, Vec<u64>>) {
        let mut by_end = BTreeMap::<End, Vec<&Run>>::new();
        self.runs.iter().for_each(|run| by_end.entry(run.end).or_default().push(run));
        println!(
            "{:<18}{:>6}{:>16}{:>12}{:>22}{:>16}",
            "end", "runs", "never accepted", "at most", "listening after", "ended after"
        );
        for (end, runs) in by_end {
            let lost = lost.get(&end).map_or(&[][..], Vec::as_slice);
            let listening: Vec<_> = runs.iter().filter_map(|run| run.listening).collect();
            let (mean, max) = mean_and_max(&listening);
            let (_, ending) = mean_and_max(&runs.iter().map(|run| run.ending).collect::<Vec<_>>());
            let (all, most) = (lost.iter().sum::<u64>(), lost.iter().max().copied().unwrap_or(0));
            let listening = format!("{mean} ms, at most {max}");
            let end = format!("{end:?}");
            println!(
                "{end:<18}{:>6}{all:>16}{most:>12}{listening:>22}{:>16}",
                runs.len(),
                format!("≤ {ending} ms")
            );
        }
        let sent: u64 = self.runs.last().unwrap().next.iter().sum();
        println!(
            "{sent} records sent, {} rows in {} files, {} twice; {} parts left by kills",
            self.seen.n_rows,
            self.seen.n_files(),
            self.seen.n_duplicates,
            self.seen.n_parts
        );
        let slowest = self.runs.iter().filter_map(|run| run.listening).max().unwrap_or_default().as_millis();
        // The suite runs on machines that do much else.
        let is_measured = std::env::var_os("KILLS").is_some();
        assert!(!is_measured || slowest <= LISTENING_MS_MAX, "it took {slowest} ms to listen again");
    }
}

/// Records that may be in the socket, and in the hands of the receiver, unaccepted.
fn unaccepted_max(queued_bytes: u64) -> u64 {
    (queued_bytes / datagram_bytes() + RECEIVE_BURST_DATAGRAMS as u64) * RECORDS
}

fn mean_and_max(times: &[Duration]) -> (u128, u128) {
    let mean = times.iter().sum::<Duration>().checked_div(times.len() as u32).unwrap_or_default();
    (mean.as_millis(), times.iter().max().copied().unwrap_or_default().as_millis())
}
