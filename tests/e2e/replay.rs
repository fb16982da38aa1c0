//! Stored flows sent again: a collector stores of them what the version can carry.

use std::path::Path;

use flow_tests::daemon::{Daemon, Finished, decode_capture, value};
use flow_tests::nfcapd::{collect_from, files, missing, nfdump};
use flow_tests::query::{flowdump_with, records};
use flow_tests::{captures, testdata};
use serde_json::{Map, Value};

/// Columns about the way a flow took, not the flow.
const PROVENANCE: [&str; 8] = [
    "received",
    "exporter_addr",
    "export_version",
    "export_time",
    "sequence",
    "sampling_source",
    "time_source",
    "observation_domain",
];

/// Columns of v5.
const V5: [&str; 19] = [
    "flow_start",
    "flow_end",
    "src_addr",
    "dst_addr",
    "src_port",
    "dst_port",
    "protocol",
    "tcp_flags",
    "src_tos",
    "packets",
    "bytes",
    "in_if",
    "out_if",
    "src_as",
    "dst_as",
    "src_mask",
    "dst_mask",
    "next_hop",
    "engine_id",
];

/// Sends what lies in `root` to a collector.
fn replay(root: &Path, args: &[&str]) -> (String, Finished) {
    let mut daemon = Daemon::start();
    let port = daemon.addr([127, 0, 0, 1].into()).port().to_string();
    let root = root.to_str().unwrap();
    let args = [&["replay", "-r", root, "-p", &port, "--rate", "0", "--utc"], args].concat();
    let output = flowdump_with(&args);
    assert!(output.code == 0, "{args:?}: {output:?}");
    let datagrams = output.stdout.split("datagrams: ").nth(1).and_then(|rest| rest.split(',').next());
    daemon.expect(datagrams.unwrap().parse().unwrap());
    (output.stdout + &output.stderr, daemon.finish())
}

/// A record as far as a version carries it.
fn carried(record: &Value, version: &str) -> Map<String, Value> {
    let mut record = record.as_object().unwrap().clone();
    // What stands for no time at all.
    if record.contains_key("time_source") {
        record.retain(|name, _| !name.starts_with("flow_"));
    }
    // Names come from side tables.
    record.retain(|name, _| !PROVENANCE.contains(&name.as_str()) && !name.ends_with("if_name"));
    match version {
        "5" => {
            let is_icmp = record.get("protocol").is_some_and(|protocol| *protocol == 1 || *protocol == 58);
            let icmp = is_icmp.then(|| record.get("icmp_type").and_then(Value::as_u64)).flatten();
            if let Some(icmp_type) = icmp {
                let code = record.get("icmp_code").and_then(Value::as_u64).unwrap_or(0);
                record.insert("dst_port".to_owned(), (icmp_type << 8 | code).into());
            }
            record.retain(|name, value| V5.contains(&name.as_str()) && *value != 0 && *value != "0.0.0.0");
        }
        // It has no elements of an enterprise and no fields without octets.
        "9" => {
            record.retain(|name, _| !name.starts_with("tunnel_"));
            if let Some(other) = record.get_mut("other").and_then(Value::as_object_mut) {
                // Open vSwitch tells a VNI by 6876:892, which becomes 351 here.
                other.retain(|key, value| !key.contains(':') && *value != "" && key != "351");
            }
            record.retain(|_, value| *value != Value::Object(Map::new()));
        }
        _ => {}
    }
    for name in ["flow_start", "flow_end"] {
        if let Some(Value::String(time)) = record.get_mut(name).filter(|_| version != "10") {
            // `….123456Z` to milliseconds.
            let end = time.find('.').map_or(time.len(), |dot| (dot + 4).min(time.len()));
            time.truncate(end);
        }
    }
    record
}

fn sorted(records: &[Value], version: &str) -> Vec<String> {
    let mut texts: Vec<_> =
        records.iter().map(|record| Value::Object(carried(record, version)).to_string()).collect();
    texts.sort();
    texts
}

#[track_caller]
fn check(name: &str, version: &str, is_carried: impl Fn(&Value) -> bool) {
    let finished = decode_capture(&testdata(&format!("{name}.pcap")));
    let root = finished.directory.path();
    let mut before = records(root);
    let all = before.len();
    before.retain(is_carried);
    let (said, again) = replay(root, &["-v", version]);
    assert!(said.starts_with(&format!("flows: {}, ", before.len())), "{name} as v{version}: {said}");
    assert_eq!(said.contains("warning: flows left out: "), before.len() < all, "{name}: {said}");
    assert_eq!(value(&again.metrics, "flowcap_sequence_gaps_total"), 0, "{name}");
    let (before, after) = (sorted(&before, version), sorted(&records(again.directory.path()), version));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after, before, "{name} as v{version}");
    }
    assert_eq!(after.len(), before.len(), "{name} as v{version}");
}

#[test]
fn a_collector_stores_what_was_stored() {
    for name in captures() {
        check(&name, "9", |_| true);
        check(&name, "10", |_| true);
    }
}

#[test]
fn v5_carries_its_columns_and_says_what_it_leaves_out() {
    for name in ["v5-softflowd", "v5-fprobe", "v9-softflowd", "ipfix-softflowd"] {
        check(name, "5", |record| !record["src_addr"].as_str().unwrap_or_default().contains(':'));
    }
}

#[test]
fn nfcapd_understands_what_is_sent() {
    if let Some(reason) = missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    let finished = decode_capture(&testdata("ipfix-softflowd.pcap"));
    let root = finished.directory.path().to_str().unwrap();
    let sums = |records: &[Value], names: [&str; 2]| -> (usize, Vec<u64>) {
        let sum = |name| records.iter().filter_map(|record| record[name].as_u64()).sum();
        (records.len(), names.map(sum).to_vec())
    };
    let before = sums(&records(finished.directory.path()), ["packets", "bytes"]);
    for version in ["9", "10"] {
        let directory = collect_from(&[], |target| {
            let port = target.port().to_string();
            let output = flowdump_with(&["replay", "-r", root, "-p", &port, "-v", version, "--rate", "5000"]);
            assert_eq!(output.code, 0, "{output:?}");
            Ok(())
        });
        let directory = directory.unwrap();
        let file = files(directory.path()).unwrap().remove(0);
        let theirs: Vec<Value> = serde_json::from_str(&nfdump(&file, &["-o", "json"]).unwrap()).unwrap();
        assert_eq!(sums(&theirs, ["in_packets", "in_bytes"]), before, "v{version}");
    }
}

#[test]
fn nobody_listening_is_no_success() {
    let finished = decode_capture(&testdata("v5-softflowd.pcap"));
    let root = finished.directory.path().to_str().unwrap();
    // A port that was free a moment ago.
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let output = flowdump_with(&["replay", "-r", root, "-p", &port, "-v", "5", "--rate", "100"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("refused: nobody listened at `127.0.0.1:"), "{output:?}");
}
