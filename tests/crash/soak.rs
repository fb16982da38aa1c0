//! Hours under changing exporters and short slots: memory and descriptors stay, and
//! nothing is lost. And an end under full load.

use std::path::Path;
use std::time::{Duration, Instant};

use flow_tests::load::{Datagrams, Sender, Sent, Version};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::churn::Churn;
use crate::collector::{Collector, PATIENCE, free_port};
use crate::exporters::{EXPORTERS, Exporters, RECORDS};
use crate::serials::{Seen, parts};
use crate::setting;

/// Seconds before memory is judged: by then every table is full.
const WARM_SECS: u64 = 600;

/// What is known of an exporter is forgotten after so long: without this, all that come
/// and go are remembered until every table is full, which takes more than an hour.
const SESSION_IDLE_SECS: &str = "60";

/// Growth of memory in an hour, octets, where it is judged.
const GROWTH_BYTES_MAX: f64 = 1_048_576.0;

/// Longest end under load, where the machine is known.
const ENDING_SECS_MAX: u64 = 10;

/// Exporters of a full load, and the datagrams they send again and again.
const LOAD_EXPORTERS: usize = 8;
const LOAD_DATAGRAMS: usize = 4_096;

/// Memory and descriptors at an instant.
#[derive(Debug, Clone, Copy)]
struct Sample {
    secs: f64,
    resident_bytes: f64,
    descriptors: f64,
}

/// Ends the threads also where the test fails.
struct Finish<'a, F: Fn()>(&'a F);

impl<F: Fn()> Drop for Finish<'_, F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// A directory that a test leaves behind where it fails.
struct Evidence(TempDir);

impl Drop for Evidence {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.disable_cleanup(true);
            println!("files, state and log are left in {}", self.0.path().display());
        }
    }
}

/// A counter, as a collector told it last.
fn counter(log: &str, name: &str) -> u64 {
    let line = log.lines().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}\n{log}")).parse().unwrap()
}

/// As long as `SOAK_SECS` says.
#[test]
fn exporters_come_and_go_and_nothing_is_lost() {
    soak_for(setting("SOAK_SECS", 8));
}

fn soak_for(secs: u64) {
    let evidence = Evidence(tempfile::tempdir().unwrap());
    let directory = evidence.0.path();
    let (root, log, port) = (directory.join("flows"), directory.join("log"), free_port());
    let args = ["--session-idle", SESSION_IDLE_SECS].map(ToOwned::to_owned);
    let start = || {
        let mut collector = Collector::start_with(&root, port, 5, &log, &args);
        collector.wait_for_socket();
        collector
    };
    let end = |collector: Collector| {
        collector.signal(Signal::SIGTERM);
        let (status, ending) = collector.wait();
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(status.success(), "{status}\n{log}");
        (ending, log)
    };
    let collector = start();
    let churn = Churn::new(([127, 0, 0, 1], port).into(), setting("CRASH_RATE", 10_000));
    let seed = setting("CRASH_SEED", 1);
    let samples = std::thread::scope(|scope| {
        let finish = || churn.finish();
        let _finish = Finish(&finish);
        for n in 0..EXPORTERS {
            let churn = &churn;
            scope.spawn(move || churn.run(n, seed));
        }
        watch(&collector, &root, secs)
    });
    collector.wait_until_idle();
    let n_dropped = collector.socket().n_dropped;
    let (ending, log) = end(collector);
    // What a busy machine has left to the next start.
    let n_left = counter(&log, "flowcap_datagrams_in_flight");
    let log = if n_left > 0 { end(start()).1 } else { log };
    let mut seen = Seen::default();
    seen.read_new(&root);
    let next = churn.next();
    let missing: Vec<_> = (0..EXPORTERS).map(|n| seen.missing(n, next[n])).collect();
    let n_missing: u64 = missing.iter().flatten().map(|range| range.end - range.start).sum();
    let (n_exporters, n_broken) = churn.counts();
    let n_records = next.iter().sum::<u64>();
    println!(
        "{secs} s, seed {seed}: {n_records} records of {n_exporters} exporters and {n_broken} broken datagrams \
         sent, {} rows in {} files, {n_missing} missing, {} twice, {n_dropped} datagrams dropped by the kernel, \
         ended in {} ms",
        seen.n_rows,
        seen.n_files(),
        seen.n_duplicates,
        ending.as_millis()
    );
    let starts = |n: usize| missing[n].iter().map(move |range| (n, range.start));
    let some = (0..EXPORTERS).flat_map(starts).take(10);
    let some: Vec<_> = some.map(|(n, number)| churn.describe(n, number)).collect();
    assert!(
        n_missing <= n_dropped * RECORDS,
        "missing: {some:#?}\n{} datagrams were sent, {n_left} left to a second start; torn: {:?}\n{log}",
        n_records / RECORDS + n_broken,
        seen.torn
    );
    assert_eq!((seen.n_duplicates, seen.n_foreign, seen.torn.len()), (0, 0, 0), "{:?}", seen.torn);
    assert!(parts(&root).is_empty(), "parts of slots that are closed");
    judge(&samples, secs);
}

/// Samples the collector, and asks for what there is, until the time is over.
fn watch(collector: &Collector, root: &Path, secs: u64) -> Vec<Sample> {
    let start = Instant::now();
    let period = if secs > 2 * WARM_SECS { 10 } else { 1 };
    let mut samples = Vec::new();
    while start.elapsed() < Duration::from_secs(secs) {
        std::thread::sleep(Duration::from_secs(period));
        let sample = Sample {
            secs: start.elapsed().as_secs_f64(),
            resident_bytes: collector.resident_bytes() as f64,
            descriptors: collector.descriptors() as f64,
        };
        samples.push(sample);
        if samples.len() % 6 == 0 {
            let output = flow_tests::query::flowdump(root, &["-I"]);
            assert_eq!(output.code, 0, "{output:?}");
            println!(
                "{:6.0} s: {:8.2} MiB, {} descriptors",
                sample.secs,
                mib(sample.resident_bytes),
                sample.descriptors
            );
        }
    }
    samples
}

/// Prints what memory and descriptors did when all was warm; judges an hour.
fn judge(samples: &[Sample], secs: u64) {
    let warm_secs = WARM_SECS.min(secs / 2) as f64;
    let warm: Vec<_> = samples.iter().filter(|sample| sample.secs >= warm_secs).collect();
    let hourly = |of: fn(&Sample) -> f64| {
        3_600.0 * slope(&warm.iter().map(|sample| (sample.secs, of(sample))).collect::<Vec<_>>())
    };
    let growth = hourly(|sample| sample.resident_bytes);
    let descriptors = hourly(|sample| sample.descriptors);
    let most = warm.iter().map(|sample| sample.resident_bytes).fold(0.0, f64::max);
    println!(
        "after {warm_secs} s: {:+.2} MiB an hour, at most {:.2} MiB; {descriptors:+.2} descriptors an hour",
        mib(growth),
        mib(most)
    );
    if secs > 2 * WARM_SECS {
        assert!(growth <= GROWTH_BYTES_MAX, "memory grows");
        assert!(descriptors <= 1.0, "descriptors grow");
    }
}

fn mib(bytes: f64) -> f64 {
    bytes / 1_048_576.0
}

/// Slope of the line with the least squares of distances.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (x_mean, y_mean) =
        (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let above: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let below: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    if below > 0.0 { above / below } else { 0.0 }
}

#[test]
fn a_line_has_its_slope() {
    let points: Vec<_> =
        (0..10).map(|x| (f64::from(x), 3.0 * f64::from(x) + if x % 2 == 0 { 1.0 } else { -1.0 })).collect();
    assert!((slope(&points) - 3.0).abs() < 0.1);
}

/// The exporters send as fast as they can, and go on while the collector ends.
#[test]
fn sigterm_under_full_load_ends_with_the_laws_holding() {
    let directory = tempfile::tempdir().unwrap();
    let (root, log, port) = (directory.path().join("flows"), directory.path().join("log"), free_port());
    let exporters = Exporters::unpaced(([127, 0, 0, 1], port).into());
    let run = |load: Duration| {
        let mut collector = Collector::start(&root, port, 2, &log);
        collector.wait_for_socket();
        if load > Duration::ZERO {
            exporters.open();
        }
        std::thread::sleep(load);
        collector.signal(Signal::SIGTERM);
        let (status, ending) = collector.wait();
        exporters.close();
        // The program checks the laws itself.
        assert!(status.success(), "{status}\n{}", std::fs::read_to_string(&log).unwrap());
        ending
    };
    let ending = std::thread::scope(|scope| {
        let finish = || exporters.finish();
        let _finish = Finish(&finish);
        for n in 0..EXPORTERS {
            let exporters = &exporters;
            scope.spawn(move || exporters.run(n));
        }
        run(Duration::from_secs(3))
    });
    // What a journal may still hold.
    run(Duration::ZERO);
    let mut seen = Seen::default();
    seen.read_new(&root);
    let log = std::fs::read_to_string(&log).unwrap();
    let received = log.lines().filter_map(|line| line.strip_prefix("flowcap_datagrams_received_total "));
    let n_received: u64 = received.map(|text| text.parse::<u64>().unwrap()).sum();
    println!("{n_received} datagrams received, {} rows, ended in {} ms", seen.n_rows, ending.as_millis());
    assert_eq!(seen.n_rows, n_received * RECORDS);
    assert_eq!((seen.n_duplicates, seen.torn.len()), (0, 0), "{:?}", seen.torn);
    assert!(ending <= most_for_an_end(), "it took {ending:?} to end");
}

/// Real flows at `ENDING_RATE` a second, which go on until nobody listens: `ENDINGS`
/// times.
#[test]
fn sigterm_at_a_full_rate_ends_with_the_laws_holding() {
    let (n_endings, rate) = (setting("ENDINGS", 1), setting("ENDING_RATE", 100_000));
    let load = Duration::from_secs(setting("ENDING_LOAD_SECS", 2));
    for n in 0..n_endings {
        let directory = tempfile::tempdir().unwrap();
        let (log, port) = (directory.path().join("log"), free_port());
        let mut collector = Collector::start(&directory.path().join("flows"), port, 10, &log);
        collector.wait_for_socket();
        let datagrams = Datagrams::new(Version::V9, LOAD_DATAGRAMS, 1);
        let mut sender = Sender::new(datagrams, LOAD_EXPORTERS, ([127, 0, 0, 1], port).into()).unwrap();
        let (sent, (status, ending)) = std::thread::scope(|scope| {
            let sending = scope.spawn(move || {
                let start = Instant::now();
                let mut sent = Sent::default();
                // Until nobody listens.
                while let Ok(so_far) = sender.send(rate, Duration::from_millis(100)) {
                    sent = so_far;
                    assert!(start.elapsed() < load + PATIENCE, "somebody listens for ever");
                }
                Sent { elapsed: start.elapsed(), ..sent }
            });
            std::thread::sleep(load);
            collector.signal(Signal::SIGTERM);
            let ended = collector.wait();
            (sending.join().unwrap(), ended)
        });
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(status.success(), "{status}\n{log}");
        let [received, left, visible, lost] = [
            "flowcap_datagrams_received_total",
            "flowcap_datagrams_in_flight",
            "flowcap_records_visible_total",
            "flowcap_kernel_dropped_datagrams_total",
        ]
        .map(|name| counter(&log, name));
        println!(
            "ending {n}: {:.0} flows/s sent, {received} datagrams received, {lost} dropped by the kernel, \
             {left} left to the next start, {visible} rows, ended in {} ms",
            sent.rate(),
            ending.as_millis()
        );
        // Some are the exporters' templates.
        let n_records = (received - left) * Version::V9.records() as u64;
        assert!(
            received > 0 && (n_records * 99 / 100..=n_records).contains(&visible),
            "{visible} rows\n{log}"
        );
        assert!(ending <= most_for_an_end(), "it took {ending:?} to end");
    }
}

/// A debug build on a busy machine takes what it takes.
fn most_for_an_end() -> Duration {
    let is_measured = ["KILLS", "ENDINGS"].iter().any(|name| std::env::var_os(name).is_some());
    if is_measured { Duration::from_secs(ENDING_SECS_MAX) } else { PATIENCE }
}
