//! Slots: what file a record lies in, and that no file replaces another.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use flow_common::time::{Clock, Timestamp};
use flow_tests::daemon::{Daemon, decode_capture, value};
use flow_tests::packet::v5;
use flow_tests::query::{flowdump, records};
use flow_tests::testdata;

/// A clock that a test sets.
#[derive(Debug, Default)]
struct TestClock(AtomicI64);

impl TestClock {
    fn set(&self, time: &str) {
        let secs = match time {
            "12:29:59" => 1_795_264_199,
            "12:30:00" => 1_795_264_200,
            "12:30:01" => 1_795_264_201,
            "12:34:59" => 1_795_264_499,
            "13:00:00" => 1_795_266_000,
            _ => panic!("a time of 2026-11-21 this test knows: {time}"),
        };
        self.0.store(secs * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

fn datagram(sequence: u32) -> Vec<u8> {
    let header = v5::Header { flow_sequence: sequence, ..v5::Header::default() };
    v5::encode(&header, &[v5::Record { packets: 1, bytes: sequence, ..v5::Record::default() }])
}

/// Visible files below `root`, relative to it, sorted; parts are not, nor what a
/// collector keeps for itself.
fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::from(root)];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            match entry.file_type().unwrap().is_dir() {
                _ if is_hidden => {}
                true => directories.push(entry.path()),
                false => found.push(entry.path().strip_prefix(root).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn slots_follow_the_clock_and_names_are_never_reused() {
    let clock = Arc::new(TestClock::default());
    clock.set("12:29:59");
    let mut daemon = Daemon::start_with(Arc::clone(&clock) as Arc<dyn Clock>, 300);
    // Each time is set and its datagram taken before the next: also a clock set
    // back into a slot that is closed already.
    for (n, time) in ["12:29:59", "12:30:00", "12:34:59", "13:00:00", "12:30:01"].into_iter().enumerate() {
        clock.set(time);
        daemon.send([datagram(n as u32).as_slice()]);
        daemon.wait_until(|metrics, n_sent| value(metrics, "flowcap_datagrams_decoded_total") == n_sent);
    }
    let finished = daemon.finish();
    assert_eq!(
        files(finished.directory.path()),
        [
            "date=2026-11-21/hour=12/flowcap.202611211225.parquet",
            "date=2026-11-21/hour=12/flowcap.202611211230.1.parquet",
            "date=2026-11-21/hour=12/flowcap.202611211230.parquet",
            "date=2026-11-21/hour=13/flowcap.202611211300.parquet",
        ]
    );
    assert_eq!(records(finished.directory.path()).len(), 5);
}

#[test]
fn an_idle_slot_is_published_when_its_time_is_over() {
    let clock = Arc::new(TestClock::default());
    clock.set("12:29:59");
    let mut daemon = Daemon::start_with(Arc::clone(&clock) as Arc<dyn Clock>, 300);
    daemon.send([datagram(0).as_slice()]);
    daemon.wait_until(|metrics, _| value(metrics, "flowcap_records_decoded_total") == 1);
    assert_eq!(value(daemon.metrics(), "flowcap_records_visible_total"), 0);
    assert!(files(daemon.root()).is_empty(), "no file is visible before its slot ends");
    clock.set("12:30:00");
    daemon.wait_until(|metrics, _| value(metrics, "flowcap_records_visible_total") == 1);
    assert_eq!(files(daemon.root()), ["date=2026-11-21/hour=12/flowcap.202611211225.parquet"]);
    daemon.finish();
}

#[test]
fn a_restart_in_a_slot_keeps_the_file_that_is_there() {
    let path = testdata("v5-softflowd.pcap");
    let first = decode_capture(&path);
    let root = first.directory.path();
    let before = files(root);
    let config = flow_collector::Config {
        source: flow_collector::Source::Capture(path),
        root: root.to_owned(),
        ..flow_collector::Config::default()
    };
    let summary = flow_collector::start(&config, Arc::new(flow_collector::SystemClock), None).unwrap().wait();
    assert_eq!(summary.failure, None);
    let after = files(root);
    assert_eq!((before.len(), after.len()), (1, 2));
    assert!(after.contains(&before[0]));
    assert_eq!(records(root).len(), 60);
    let info = flowdump(root, &["-I"]).stdout;
    assert!(info.contains("Flows: 60\n"), "{info}");
}
