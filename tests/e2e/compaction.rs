//! Hours that become one file while questions are asked and records come late.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flow_collector::{Compaction, Config, Source, SystemClock, harness, start};
use flow_common::time::Timestamp;
use flow_tests::daemon::value;
use flow_tests::packet::v5;
use flow_tests::pcap::{UdpPayload, write_pcap};
use flow_tests::query::{flowdump, records};

const NOON: u32 = 1_795_262_400; // 2026-11-21T12:00:00Z
const DIRECTORY: &str = "date=2026-11-21/hour=12";

/// Adds a file with records numbered from `first` to the slot at `secs` after noon.
fn add(root: &Path, secs: u32, first: u32, n: u32) {
    let exporter = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 5_000));
    let payloads = (first..first + n).map(|n| -> UdpPayload {
        let record = v5::Record { packets: 1, bytes: n, src_port: 7, ..v5::Record::default() };
        let header = v5::Header { unix_secs: NOON + secs, flow_sequence: n, ..v5::Header::default() };
        let time = u64::from(NOON + secs) * 1_000_000 + u64::from(n);
        (exporter, exporter, v5::encode(&header, &[record]), time)
    });
    let capture = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(capture.path(), write_pcap(&payloads.collect::<Vec<_>>())).unwrap();
    let config = Config {
        source: Source::Capture(capture.path().to_owned()),
        root: root.to_owned(),
        ..Config::default()
    };
    let summary = start(&config, Arc::new(SystemClock), None).unwrap().wait();
    assert_eq!(summary.failure, None);
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn rows_are_seen_once_while_hours_are_compacted_and_records_come_late() {
    const FILE: u32 = 20;
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    (0..6).for_each(|n| add(root, n * 300, n * FILE, FILE));
    let (n_added, is_done) = (AtomicU32::new(6 * FILE), AtomicBool::new(false));
    let n_hours = AtomicU64::new(0);
    thread::scope(|scope| {
        let ask = || {
            let mut n_asked = 0;
            while !is_done.load(Ordering::Relaxed) {
                let at_least = n_added.load(Ordering::Relaxed) as usize;
                let output = flowdump(root, &["-o", "ndjson", "src port 7"]);
                assert_eq!((output.code, output.stderr.as_str()), (0, ""));
                let numbers = output.stdout.lines().map(|line| {
                    let row: serde_json::Value = serde_json::from_str(line).unwrap();
                    row["bytes"].as_u64().unwrap()
                });
                let numbers: Vec<_> = numbers.collect();
                let distinct: BTreeSet<_> = numbers.iter().collect();
                assert_eq!(distinct.len(), numbers.len(), "a row is there twice");
                assert!(numbers.len() >= at_least, "{} rows of {at_least}", numbers.len());
                n_asked += 1;
            }
            n_asked
        };
        let askers = [scope.spawn(ask), scope.spawn(ask)];
        let late = scope.spawn(|| {
            for n in 0..12 {
                // The same slot again and again.
                add(root, 300, (6 + n) * FILE, FILE);
                n_added.fetch_add(FILE, Ordering::Relaxed);
                // Every other is there when the next comes, or in the middle of it.
                let before = n_hours.load(Ordering::Relaxed);
                while n % 2 == 0 && n_hours.load(Ordering::Relaxed) == before {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            is_done.store(true, Ordering::Relaxed);
        });
        let now = Timestamp::from_secs(i64::from(NOON) + 86_400);
        while !late.is_finished() {
            let (n, told) = harness::compact(root, now).unwrap();
            n_hours.fetch_add(n, Ordering::Relaxed);
            let is_expected =
                |line: &&String| line.contains("became one") || line.contains("stays as it is: ");
            assert!(told.iter().all(|line| is_expected(&line)), "{told:?}");
        }
        let n_asked: u64 = askers.into_iter().map(|asker| asker.join().unwrap()).sum();
        let n_hours = n_hours.load(Ordering::Relaxed);
        assert!(n_hours > 5 && n_asked > 4, "{n_hours} hours, {n_asked} questions");
        harness::compact(root, now).unwrap();
    });
    assert_eq!(names(&root.join(DIRECTORY)).len(), 1);
    assert_eq!(records(root).len() as u32, 18 * FILE);
}

#[test]
fn a_collector_compacts_by_itself_if_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    // Over for long by the clock of this machine, or by any.
    (0..3).for_each(|n| add(root, n * 300, n * 10, 10));
    let compaction = Compaction { is_enabled: true, after_secs: 300 };
    let listen = Source::Listen(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]);
    let config = Config { source: listen, root: root.to_owned(), compaction, ..Config::default() };
    let running = start(&config, Arc::new(SystemClock), None).unwrap();
    let started = Instant::now();
    while value(running.metrics(), "flowcap_compacted_hours_total") < 1 {
        assert!(started.elapsed() < Duration::from_secs(30), "nothing is compacted");
        thread::sleep(Duration::from_millis(20));
    }
    let hour = root.join(DIRECTORY);
    assert_eq!(names(&hour), ["flowcap.202611211200.hour.parquet".to_owned()].into());
    let day = hour.parent().unwrap();
    assert!(names(day).contains(".flowcap.replaced.hour=12"), "{:?}", names(day));
    running.stop();
    let summary = running.wait();
    assert_eq!(summary.failure, None);
    assert!(value(&summary.metrics, "flowcap_compacted_bytes_before_total") > 0);
    assert_eq!(names(day), ["hour=12".to_owned()].into(), "an end waits for nobody");
    assert_eq!(records(root).len(), 30);
}
