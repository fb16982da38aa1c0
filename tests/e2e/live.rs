//! Questions while records keep coming: what is seen once is seen ever after, and whole.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_collector::SystemClock;
use flow_tests::daemon::{Daemon, value};
use flow_tests::packet::v5;
use flow_tests::query::flowdump;
use serde_json::Value;

/// Slots so short that several close while questions are asked.
const SLOT_SECS: u32 = 1;
/// How long records come.
const DURATION: Duration = Duration::from_secs(5);
/// Records of a run of the suite; `LIVE_RECORDS` for more.
const RECORDS: u32 = 300_000;
/// Datagrams sent between two looks at how far the collector is.
const BURST: u32 = 32;

/// Everything in a record follows from its number.
fn record(n: u32) -> v5::Record {
    v5::Record {
        src_addr: Ipv4Addr::from(n ^ 0x0a00_0000),
        dst_addr: Ipv4Addr::from(!n),
        packets: n.wrapping_mul(3) + 1,
        bytes: n,
        src_port: (n % 60_000) as u16,
        dst_port: (n % 7) as u16,
        src_as: (n % 50_000) as u16,
        tcp_flags: (n % 64) as u8,
        ..v5::Record::default()
    }
}

/// The number of a row that is whole.
#[track_caller]
fn number(row: &Value) -> u32 {
    let n = u32::try_from(row["bytes"].as_u64().unwrap()).unwrap();
    let expected = record(n);
    let address = |key: &str| row[key].as_str().unwrap().parse::<Ipv4Addr>().unwrap();
    let int = |key: &str| row[key].as_u64().unwrap();
    assert_eq!(address("src_addr"), expected.src_addr, "{row}");
    assert_eq!(address("dst_addr"), expected.dst_addr, "{row}");
    assert_eq!(int("packets"), u64::from(expected.packets), "{row}");
    assert_eq!(int("src_port"), u64::from(expected.src_port), "{row}");
    assert_eq!(int("dst_port"), u64::from(expected.dst_port), "{row}");
    assert_eq!(int("src_as"), u64::from(expected.src_as), "{row}");
    assert_eq!(int("tcp_flags"), u64::from(expected.tcp_flags), "{row}");
    n
}

/// How often each number below `n` is in the answer.
fn seen(root: &Path, n: u32) -> Vec<u8> {
    // A seventh of the rows is enough to print.
    let output = flowdump(root, &["-o", "ndjson", "dst port 3"]);
    let is_empty = output.stderr.starts_with("warning: no flow files");
    assert!(output.code == 0 && (output.stderr.is_empty() || is_empty), "{}", output.stderr);
    let mut counts = vec![0; n as usize];
    for line in output.stdout.lines() {
        counts[number(&serde_json::from_str(line).unwrap()) as usize] += 1;
    }
    counts
}

/// How many flows a statistic over all counts, and their octets.
fn counted(root: &Path) -> (u64, u64) {
    let output = flowdump(root, &["-s", "proto/flows", "-o", "ndjson"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let Some(line) = output.stdout.lines().next() else { return (0, 0) };
    let row: Value = serde_json::from_str(line).unwrap();
    (row["flows"].as_u64().unwrap(), row["bytes"].as_u64().unwrap())
}

#[test]
fn rows_seen_while_records_come_are_seen_ever_after_and_once() {
    let daemon = Daemon::start_with(Arc::new(SystemClock), SLOT_SECS);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let target = daemon.addr(Ipv4Addr::LOCALHOST.into());
    let received = || value(daemon.metrics(), "flowcap_datagrams_received_total");
    let records_max = std::env::var("LIVE_RECORDS").map_or(RECORDS, |text| text.parse().unwrap());
    let (started, mut n_sent) = (Instant::now(), 0_u32);
    let (mut before, mut flows_before, mut n_asked) = (Vec::new(), 0, 0);
    while started.elapsed() < DURATION {
        // As fast as nothing is lost, for a tenth of a second; then a question.
        let until = started.elapsed() + Duration::from_millis(100);
        let share = (f64::from(records_max) * until.div_duration_f64(DURATION)) as u32;
        while started.elapsed() < until && n_sent * 30 < share.min(records_max) {
            for _ in 0..BURST {
                let records: Vec<_> = (0..30).map(|n| record(n_sent * 30 + n)).collect();
                let header = v5::Header { flow_sequence: n_sent * 30, ..v5::Header::default() };
                socket.send_to(&v5::encode(&header, &records), target).unwrap();
                n_sent += 1;
            }
            while received() + u64::from(2 * BURST) < u64::from(n_sent) {
                std::thread::yield_now();
            }
        }
        // What is left of it the collector has for itself.
        std::thread::sleep(until.saturating_sub(started.elapsed()));
        let now = seen(daemon.root(), n_sent * 30);
        n_asked += 1;
        assert!(now.iter().all(|count| *count <= 1), "a row is there twice");
        let is_lost = before.iter().zip(&now).position(|(before, now)| before > now);
        assert_eq!(is_lost, None, "a row seen before is gone, question {n_asked}");
        before = now;
        let (flows, _) = counted(daemon.root());
        assert!(flows >= flows_before, "{flows} flows after {flows_before}");
        flows_before = flows;
    }
    let n_live = before.iter().filter(|count| **count > 0).count();
    assert!(n_asked >= 5 && n_live > 0, "{n_asked} questions, {n_live} rows seen while records came");
    let n_records = n_sent * 30;
    daemon.wait_until(|metrics, _| value(metrics, "flowcap_datagrams_received_total") == u64::from(n_sent));
    let finished = daemon.finish();
    let root = finished.directory.path();
    let at_last = seen(root, n_records);
    let is_asked = |n: usize| n % 7 == 3;
    let wrong = at_last.iter().enumerate().position(|(n, count)| *count != u8::from(is_asked(n)));
    assert_eq!(wrong, None, "of {n_records} records");
    let bytes = (0..u64::from(n_records)).sum();
    assert_eq!(counted(root), (n_records.into(), bytes));
    println!("{n_records} records, {n_asked} questions, {n_live} rows seen while records came");
}
