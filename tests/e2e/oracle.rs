//! Captures recorded elsewhere decode to what nfdump made of them.
//!
//! The captures lie beside a developer's checkout, not in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flow_tests::daemon::decode_capture;
use flow_tests::query::scaled_records;
use serde_json::Value;

/// What is compared: addresses, ports, protocol, packets, octets, first and last.
type Flow = (String, String, u64, u64, u64, u64, u64, String, String);

/// Where nfdump's record is not what the exporter sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quirk {
    /// It reads type and code of ICMPv6 (element 139) as zero in NetFlow v9;
    /// tshark reads them as we do.
    NoIcmp6Type,
    /// It adds elements 21 and 22 to element 160 without regard to their wrap, so
    /// a flow that began before its exporter lies 2³² ms in the future.
    NoWrap,
    /// It does not read elements 154 and 155: first and last are 1970.
    NoMicroseconds,
}

/// The captures and what to know of nfdump's answer.
const CASES: [(&str, &[Quirk]); 10] = [
    ("fprobe_v5", &[]),
    ("ovs_ovs-netflow", &[]),
    ("pmacctd_v5", &[]),
    ("pmacctd_v9", &[]),
    ("softflowd_ipfix", &[Quirk::NoWrap]),
    ("softflowd_ipfix-bi", &[Quirk::NoWrap]),
    ("softflowd_ipfix-micro", &[Quirk::NoMicroseconds]),
    ("softflowd_v5", &[]),
    ("softflowd_v9", &[Quirk::NoIcmp6Type]),
    ("softflowd_v9-sampled", &[Quirk::NoIcmp6Type]),
];

fn live_captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures/live")
}

/// Milliseconds since the epoch of `2026-11-21T12:30:00.000`, with or without `Z`.
fn millis(time: &Value) -> i64 {
    let text = time.as_str().unwrap_or("1970-01-01T00:00:00.000");
    let text = text.trim_end_matches('Z');
    let (date, clock) = text.split_once('T').unwrap();
    let number = |part: &str| part.parse::<i64>().unwrap();
    let date: Vec<_> = date.split('-').map(number).collect();
    let clock: Vec<_> = clock.split([':', '.']).map(|part| number(part.get(..3).unwrap_or(part))).collect();
    // Days from civil date, proleptic Gregorian calendar.
    let (year, month) = if date[1] > 2 { (date[0], date[1] - 3) } else { (date[0] - 1, date[1] + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + date[2] - 719_469;
    ((days * 24 + clock[0]) * 60 + clock[1]) * 60_000
        + clock[2] * 1_000
        + clock.get(3).copied().unwrap_or_default()
}

fn wall(millis: i64) -> String {
    millis.to_string()
}

fn number(record: &Value, key: &str) -> u64 {
    record[key].as_u64().unwrap_or_default()
}

fn of_ours(record: &Value, quirks: &[Quirk]) -> Flow {
    let text = |key: &str| record[key].as_str().unwrap_or("0.0.0.0").to_owned();
    let protocol = number(record, "protocol");
    let is_icmp = matches!(protocol, 1 | 58);
    let dst_port = match record["icmp_type"].as_u64() {
        _ if protocol == 58 && quirks.contains(&Quirk::NoIcmp6Type) => 0,
        Some(icmp_type) if is_icmp => icmp_type * 256 + number(record, "icmp_code"),
        _ => number(record, "dst_port"),
    };
    let time = |key: &str| match quirks {
        [Quirk::NoMicroseconds] => wall(0),
        [Quirk::NoWrap] => wall(millis(&record[key]) + (1 << 32)),
        _ => wall(millis(&record[key])),
    };
    (
        text("src_addr"),
        text("dst_addr"),
        if is_icmp { 0 } else { number(record, "src_port") },
        dst_port,
        protocol,
        number(record, "packets"),
        number(record, "bytes"),
        time("flow_start"),
        time("flow_end"),
    )
}

fn of_nfdump(record: &Value) -> Flow {
    let text = |v4: &str, v6: &str| {
        let text = record[v4].as_str().or(record[v6].as_str());
        text.unwrap_or("0.0.0.0").to_owned()
    };
    let protocol = number(record, "proto");
    let is_icmp = matches!(protocol, 1 | 58);
    let dst_port = match is_icmp {
        true => number(record, "icmp_type") * 256 + number(record, "icmp_code"),
        false => number(record, "dst_port"),
    };
    (
        text("src4_addr", "src6_addr"),
        text("dst4_addr", "dst6_addr"),
        number(record, "src_port"),
        dst_port,
        protocol,
        number(record, "in_packets"),
        number(record, "in_bytes"),
        wall(millis(&record["first"])),
        wall(millis(&record["last"])),
    )
}

fn multiset(flows: impl Iterator<Item = Flow>) -> BTreeMap<Flow, usize> {
    flows.fold(BTreeMap::new(), |mut counts, flow| {
        *counts.entry(flow).or_default() += 1;
        counts
    })
}

#[test]
fn captures_decode_as_nfdump_decodes_them() {
    let directory = live_captures();
    if !directory.is_dir() {
        eprintln!("skipped: the captures of real devices are not here ({})", directory.display());
        return;
    }
    for (name, quirks) in CASES {
        let finished = decode_capture(&directory.join(format!("{name}.pcap")));
        // Both multiply counters by sampling rates: nfdump as it stores, we as we are asked.
        let ours = scaled_records(finished.directory.path());
        let ours = multiset(ours.iter().map(|record| of_ours(record, quirks)));
        let json = std::fs::read_to_string(directory.join(format!("{name}.nfdump.json"))).unwrap();
        let theirs: Vec<Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(ours, multiset(theirs.iter().map(of_nfdump)), "{name}");
    }
}
