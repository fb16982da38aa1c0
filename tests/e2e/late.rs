//! Data that came before its template: bounded while it waits, and in its own
//! slot's file when it is decoded.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use flow_common::limits::{ROW_GROUP_ROWS, WAITING_BYTES_MAX};
use flow_common::time::{Clock, Timestamp};
use flow_tests::daemon::{Daemon, Finished, value};
use flow_tests::packet::ipfix::{Field, Message, VARIABLE};
use flow_tests::query::{flowdump, records};
use serde_json::json;

const EXPORT_SECS: u32 = 1_795_264_200; // 2026-11-21T12:30:00Z

fn message(sequence: u32) -> Message {
    Message::new(EXPORT_SECS, sequence, 7)
}

#[derive(Debug)]
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn late_records_lie_in_the_slot_they_were_received_in() {
    let clock = Arc::new(TestClock(AtomicI64::new(i64::from(EXPORT_SECS))));
    let mut daemon = Daemon::start_with(Arc::clone(&clock) as Arc<dyn Clock>, 300);
    let steps = [
        (0, message(1).data(256, &[vec![6]]).encode()),
        (10, message(2).template(257, &[Field::iana(4, 1)]).data(257, &[vec![1]]).encode()),
        (1_000, message(3).data(257, &[vec![2]]).encode()),
        (1_001, message(4).template(256, &[Field::iana(4, 1)]).encode()),
    ];
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (n, (after_secs, payload)) in steps.iter().enumerate() {
        clock.0.store(i64::from(EXPORT_SECS) + after_secs, Ordering::Relaxed);
        daemon.send_from(&socket, &[payload.as_slice()]);
        let done = n as u64 + 1;
        daemon.wait_until(|metrics, _| {
            let seen = ["datagrams_decoded_total", "datagrams_waiting"]
                .map(|name| value(metrics, &format!("flowcap_{name}")));
            seen.iter().sum::<u64>() == done
        });
    }
    let finished = daemon.finish();
    let hour = finished.directory.path().join("date=2026-11-21/hour=12");
    let protocols = |file: &str| {
        let records = records(&hour.join(file));
        records.iter().filter_map(|record| record["protocol"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(protocols("flowcap.202611211230.parquet"), [1]);
    assert_eq!(protocols("flowcap.202611211230.1.parquet"), [6]);
    assert_eq!(protocols("flowcap.202611211245.parquet"), [2]);
    // One file says that a datagram waits, another that it waits no more.
    assert_eq!(missing(&finished, &[]), json!([]));
    let first = hour.join("flowcap.202611211230.parquet");
    assert_eq!(summary(&first, &[])["is_complete"], json!(false));
}

/// What `flowdump` sums up of a tree or a file.
fn summary(path: &Path, args: &[&str]) -> serde_json::Value {
    let output = flowdump(path, &[&["-o", "null", "--summary", "json"], args].concat());
    serde_json::from_str(&output.stderr).unwrap()
}

fn missing(finished: &Finished, args: &[&str]) -> serde_json::Value {
    let summary = summary(finished.directory.path(), args);
    let without = &summary["without_template"];
    assert_eq!(summary["is_complete"], json!(without == &json!([])), "{summary}");
    without.clone()
}

#[test]
fn answers_say_what_never_had_its_template() {
    let clock = Arc::new(TestClock(AtomicI64::new(i64::from(EXPORT_SECS))));
    let mut daemon = Daemon::start_with(Arc::clone(&clock) as Arc<dyn Clock>, 300);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let known = || message(2).template(257, &[Field::iana(4, 1)]).data(257, &[vec![1]]);
    let sent = [(0, known()), (1, message(3).data(256, &[vec![6]])), (121, message(4).data(256, &[vec![6]]))];
    for (n, (after_secs, message)) in sent.into_iter().enumerate() {
        clock.0.store(i64::from(EXPORT_SECS) + after_secs, Ordering::Relaxed);
        daemon.send_from(&socket, &[message.encode().as_slice()]);
        daemon.wait_until(|metrics, _| {
            let seen = ["datagrams_decoded_total", "datagrams_waiting"]
                .map(|name| value(metrics, &format!("flowcap_{name}")));
            seen.iter().sum::<u64>() == n as u64 + 1
        });
    }
    daemon.send_from(&socket, &[known().encode().as_slice()]);
    let finished = daemon.finish();
    let of = |n: u64| json!([{"exporter_addr": "127.0.0.1", "export_version": 10, "observation_domain": 7, "datagrams": n}]);
    assert_eq!(missing(&finished, &[]), of(2));
    // By the minute they came in: flows of a window come in it, or a timeout later.
    for (window, expected) in [
        ("2026-11-21T12:33:00Z..2026-11-21T12:33:59Z", json!([])),
        ("2026-11-21T12:32:00Z..2026-11-21T12:32:59Z", of(1)),
        ("2026-11-21T12:30:00Z..2026-11-21T12:30:59Z", of(2)),
        ("2026-11-21T12:01:00Z..2026-11-21T12:01:59Z", json!([])),
    ] {
        assert_eq!(missing(&finished, &["-t", window]), expected, "{window}");
    }
    let root = finished.directory.path();
    let text = flowdump(root, &["-o", "null"]).stdout;
    let line = "Not complete: 2 datagrams of 127.0.0.1 (IPFIX, domain 7) without their template\n";
    assert!(text.contains(line), "{text}");
    let exporters = flowdump(root, &["-E"]).stdout;
    assert!(exporters.contains("packets: 2, flows: 2, without template: 2 packets"), "{exporters}");
}

#[test]
fn what_waits_is_bounded_also_when_traffic_never_pauses() {
    let mut daemon = Daemon::start();
    let data = message(1).data(256, &[vec![0; 60_000]]).encode();
    let fields = [Field::iana(4, 1), Field::iana(210, 19)];
    let n = 2 * WAITING_BYTES_MAX / 60_000;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..n {
        daemon.send_from(&socket, &[data.as_slice()]);
    }
    daemon.wait_until(|metrics, n_sent| {
        value(metrics, "flowcap_datagrams_in_flight") == 0
            && value(metrics, "flowcap_datagrams_received_total") == n_sent
    });
    let n_waiting = value(daemon.metrics(), "flowcap_datagrams_waiting") as usize;
    assert!(n_waiting > n / 4 && n_waiting * 60_000 <= WAITING_BYTES_MAX, "{n_waiting} of {n} wait");
    // More records than one batch holds: they are written one batch after the other.
    daemon.send_from(&socket, &[message(2).template(256, &fields).encode().as_slice()]);
    let finished = daemon.finish();
    let n_records = n_waiting as u64 * 3_000;
    assert!(n_records > 3 * ROW_GROUP_ROWS as u64);
    assert_eq!(value(&finished.metrics, "flowcap_records_visible_total"), n_records);
    let summary = flowdump(finished.directory.path(), &["-o", "null"]).stdout;
    assert!(summary.contains(&format!("total flows: {n_records},")), "{summary}");
}

#[test]
fn a_template_in_a_malformed_message_frees_nothing_and_the_next_does() {
    let text = [Field::iana(4, 1), Field::iana(82, VARIABLE)];
    let waiting = message(1).data(256, &[vec![6]]).encode();
    // Template 256 is sound, and the data behind it is not.
    let broken = message(2)
        .template(256, &[Field::iana(4, 1)])
        .template(257, &text)
        .data(257, &[vec![17, 200, b'x']])
        .encode();
    let mut daemon = Daemon::start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.send_from(&socket, &[waiting.as_slice(), &broken]);
    daemon.wait_until(|metrics, _| value(metrics, "flowcap_datagrams_in_flight") == 0);
    assert_eq!(value(daemon.metrics(), "flowcap_datagrams_waiting"), 1);
    daemon.send_from(&socket, &[message(2).template(256, &[Field::iana(4, 1)]).encode().as_slice()]);
    let finished = daemon.finish();
    assert_eq!(value(&finished.metrics, "flowcap_datagrams_waiting"), 0);
    assert_eq!(value(&finished.metrics, "flowcap_datagrams_rejected_total{reason=\"variable_length\"}"), 1);
    let records = records(finished.directory.path());
    assert_eq!(records.iter().map(|record| record["protocol"].as_u64()).collect::<Vec<_>>(), [Some(6)]);
}

#[test]
fn facts_of_a_malformed_message_do_not_count() {
    let options = [Field::iana(149, 4), Field::iana(34, 4)];
    let record = [7u32.to_be_bytes(), 777u32.to_be_bytes()].concat();
    let text = [Field::iana(4, 1), Field::iana(82, VARIABLE)];
    let broken = message(1)
        .options_template(300, 1, &options)
        .data(300, &[record])
        .template(257, &text)
        .data(257, &[vec![17, 200, b'x']])
        .encode();
    let sound = message(2).template(257, &text).data(257, &[vec![17, 0]]).encode();
    let mut daemon = Daemon::start();
    daemon.send([broken.as_slice(), &sound]);
    let finished = daemon.finish();
    assert_eq!(value(&finished.metrics, "flowcap_options_records_decoded_total"), 0);
    assert_eq!(records(finished.directory.path())[0].get("sampling_rate"), None);
}

#[test]
fn a_rate_of_one_interface_is_not_that_of_another() {
    let options = [Field::iana(10, 4), Field::iana(34, 4)];
    let rate = |interface: u32, rate: u32| [interface.to_be_bytes(), rate.to_be_bytes()].concat();
    let learned = message(1)
        .options_template(300, 1, &options)
        .data(300, &[rate(5, 100), rate(6, 2_000)])
        .template(256, &[Field::iana(10, 4)])
        .encode();
    let flows = [5u32, 6, 7].map(|interface| interface.to_be_bytes().to_vec());
    let mut daemon = Daemon::start();
    daemon.send([learned.as_slice(), &message(2).data(256, &flows).encode()]);
    let finished = daemon.finish();
    let records = records(finished.directory.path());
    let rates: Vec<_> = records.iter().map(|record| record["sampling_rate"].as_u64()).collect();
    assert_eq!(rates, [Some(100), Some(2_000), None]);
}
