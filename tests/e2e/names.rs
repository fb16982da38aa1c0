//! Side tables: they outlive runs, merge, and do no harm when damaged.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_collector::{Config, Source, SystemClock, start};
use flow_common::layout::{Hierarchy, NFDUMP_HIERARCHIES};
use flow_tests::daemon::{Daemon, Finished};
use flow_tests::packet::Value;
use flow_tests::packet::ipfix::{Field, Message};
use flow_tests::query::{flowdump, scaled_records};
use flow_tests::testdata;
use tempfile::TempDir;

const EXPORT_SECS: u32 = 1_795_264_200; // 2026-11-21T12:30:00Z

fn message() -> Message {
    Message::new(EXPORT_SECS, 1, 7)
}

/// The name of an interface, as options data tells it.
fn interface(id: u64, name: &str) -> Vec<u8> {
    let fields = [Field::iana(10, 4), Field::iana(82, 16)];
    let record = Value::new().uint(id, 4).fixed_string(name, 16).encode();
    message().options_template(300, 1, &fields).data(300, &[record]).encode()
}

/// A flow that came in by interface `id`.
fn flow(id: u64) -> Vec<u8> {
    let fields = [Field::iana(4, 1), Field::iana(10, 4)];
    let record = Value::new().uint(6, 1).uint(id, 4).encode();
    message().template(256, &fields).data(256, &[record]).encode()
}

fn run(before: Option<Finished>, payloads: &[Vec<u8>]) -> Finished {
    let mut daemon = before.map_or_else(Daemon::start, Daemon::restart);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.send_from(&socket, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
    daemon.finish()
}

/// Names of the input interfaces of all flows, in order.
fn names(finished: &Finished) -> Vec<Option<String>> {
    let records = scaled_records(finished.directory.path());
    records.iter().map(|record| record["in_if_name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn names_gather_over_restarts() {
    let first = run(None, &[interface(1, "eth0"), interface(2, "eth1"), flow(1)]);
    let second = run(Some(first), &[interface(2, "renamed"), flow(2), flow(3)]);
    assert_eq!(names(&second), [Some("eth0".into()), Some("renamed".into()), None]);
}

#[test]
fn names_are_found_from_files_of_every_hierarchy() {
    for number in 0..NFDUMP_HIERARCHIES.len() as u8 {
        let hierarchy = Hierarchy::Nfdump(number);
        let mut daemon = Daemon::start_as(Config { hierarchy, ..Config::default() });
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        daemon.send_from(&socket, &[&interface(1, "eth0"), &flow(1)]);
        let finished = daemon.finish();
        assert_eq!(names(&finished), [Some("eth0".into())], "-S {number}");
        assert!(finished.directory.path().join(".flowcap/names.table").exists(), "-S {number}");
    }
}

#[test]
fn a_damaged_table_counts_as_none_and_is_replaced() {
    let first = run(None, &[interface(1, "eth0"), flow(1)]);
    let table = first.directory.path().join(".flowcap/names.table");
    std::fs::write(&table, b"PAR1 but no table PAR1").unwrap();
    assert_eq!(flowdump(first.directory.path(), &["-o", "raw"]).code, 3);
    let second = run(Some(first), &[interface(2, "eth1"), flow(2)]);
    assert_eq!(names(&second), [None, Some("eth1".into())]);
}

#[test]
fn no_table_is_written_where_nothing_was_told() {
    let finished = run(None, &[flow(1)]);
    for name in ["names.table", "sampling.table", "reports.table"] {
        assert!(!finished.directory.path().join(".flowcap").join(name).exists(), "{name}");
    }
}

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures")
}

/// Decodes captures one after another into one directory.
fn decode(paths: &[PathBuf]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for path in paths {
        let root = directory.path().to_owned();
        let config = Config { source: Source::Capture(path.clone()), root, ..Config::default() };
        assert_eq!(start(&config, Arc::new(SystemClock), None).unwrap().wait().failure, None);
    }
    directory
}

#[test]
fn captures_of_real_devices_have_their_names() {
    let directory = captures();
    if !directory.is_dir() {
        eprintln!("skipped: the captures of real devices are not here ({})", directory.display());
        return;
    }
    let cases = [
        (
            "NetGauze__NetGauze",
            "assets_pcaps_pmacct-tests_500-IPFIXv10-BGP-CISCO-SRv6_traffic-00",
            "%inam %ivrfnam %smpnam",
            "TenGigE0_0_0_0.516 D10 NETFLOW-SAMPLER-MAP",
        ),
        (
            "network-analytics__traffic-reproducer",
            "examples_pcap_processing_ipfix-multi-sources",
            "%inam %onam %ivrfnam",
            "TenGigE0_0_0_16.12 TenGigE0_0_0_15 A2",
        ),
    ];
    for (origin, name, tags, expected) in cases {
        let path = directory.join(origin).join(format!("{name}.pcap"));
        if !path.is_file() {
            eprintln!("skipped: {name} is not here");
            continue;
        }
        let output = flowdump(decode(&[path]).path(), &["-q", "-o", &format!("fmt:{tags}")]);
        let has = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") == expected;
        assert!(output.stdout.lines().any(has), "{name}: {expected}");
    }
}

#[test]
fn captures_decoded_into_one_directory_add_up() {
    let captures = ["v9-softflowd", "v9-softflowd-vlan"].map(|name| testdata(&format!("{name}.pcap")));
    let table = |directory: &TempDir| std::fs::read(directory.path().join(".flowcap/names.table")).unwrap();
    let (one, both) = (decode(&captures[..1]), decode(&captures));
    assert_ne!(table(&one), table(&both));
    assert_eq!(table(&decode(&[&captures[..], &captures].concat())), table(&both));
}
