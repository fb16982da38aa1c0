//! What some devices send, where their captures lie beside the repository.

use std::path::{Path, PathBuf};

use flow_tests::daemon::decode_capture;
use flow_tests::query::{flowdump, records};
use serde_json::Value;

#[expect(clippy::print_stderr, reason = "only a test that runs can say that it was skipped")]
fn capture(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures").join(name);
    if !path.is_file() {
        eprintln!("skipped: no capture {name}");
    }
    path.is_file().then_some(path)
}

/// The records of a capture and the line of their totals.
fn decoded(path: &Path) -> (Vec<Value>, String) {
    let finished = decode_capture(path);
    let root = finished.directory.path();
    let foot = flowdump(root, &["-N", "-o", "null"]).stdout;
    (records(root), foot.lines().next().unwrap_or_default().to_owned())
}

#[test]
fn every_teardown_of_a_firewall_without_updates_counts() {
    let Some(path) = capture("logstash-plugins__logstash-codec-netflow/Netflow_9_Cisco_ASA.pcap") else {
        return;
    };
    let (records, totals) = decoded(&path);
    assert_eq!(records.len(), 14);
    assert!(records.iter().all(|record| record["firewall_event"] == 2 && record["contributes"] == 1));
    assert!(totals.starts_with("Summary: total flows: 14, total bytes: 888,"), "{totals}");
}

#[test]
fn a_teardown_that_tells_only_its_total_is_no_flow_again() {
    let Some(path) = capture("logstash-plugins__logstash-codec-netflow/IPFIX_Barracuda_firewall.pcap") else {
        return;
    };
    let (records, _) = decoded(&path);
    let ends: Vec<_> = records.iter().filter(|record| record["bytes"] == 0).collect();
    assert!(!ends.is_empty() && ends.iter().all(|record| record["contributes"] == 0));
    assert!(ends.iter().all(|record| record["other"]["85"].is_string()), "the total is kept");
}

#[test]
fn flows_whose_uptime_counts_from_nothing_have_the_time_of_their_message() {
    let Some(path) = capture("logstash-plugins__logstash-codec-netflow/IPFIX_Mikrotik_RouterOS_6.39.2.pcap")
    else {
        return;
    };
    let (records, _) = decoded(&path);
    assert_eq!(records.len(), 46);
    for record in &records {
        assert_eq!(record["time_source"], "export");
        assert_eq!(
            (&record["flow_start"], &record["flow_end"]),
            (&record["export_time"], &record["export_time"])
        );
        assert!(record["other"]["22"].is_string(), "what was sent is kept");
    }
}

#[test]
fn lists_of_yaf_are_taken_apart() {
    let Some(path) = capture("influxdata__telegraf/ipfix_example.pcap") else { return };
    let (records, _) = decoded(&path);
    assert_eq!(records.len(), 29);
    let first = &records[0]["other"];
    // Semantic 3, template 0xc003, 10 octets: sequence number, first flags, other flags.
    assert_eq!(first["293"], "03c003000a598dc9171400");
    assert_eq!(
        (&first["184"], &first["6871:14"], &first["6871:15"]),
        (&"598dc917".into(), &"14".into(), &"00".into())
    );
}
