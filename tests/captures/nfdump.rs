//! What nfdump makes of a capture: its JSON, stored beside the capture, or made
//! now by `nfcapd` on loopback. The stored ones are of a newer version.
//!
//! It has no NULL: zero is "nothing" on both sides. Only the columns it prints
//! are compared.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::NaiveDateTime;
use flow_tests::nfcapd::JSON_COLUMNS;
use flow_tests::pcap::{UdpPayload, udp_payloads};
use serde_json::Value;

use crate::case::{Case, has_program};
use crate::record::{Record, address, hex, is_zero};

/// Columns with a spelling of their own.
const SPELLED: [&str; 8] = [
    "flow_start",
    "flow_end",
    "event_time",
    "tcp_flags",
    "mpls_labels",
    "ingress_acl",
    "egress_acl",
    "username",
];

/// What makes records a pair, from strict to loose.
pub(crate) const KEYS: [&[&str]; 9] = [
    &[
        "exporter_addr",
        "src_addr",
        "dst_addr",
        "src_port",
        "dst_port",
        "protocol",
        "packets",
        "bytes",
        "flow_start",
        "flow_end",
        "in_if",
        "out_if",
        "direction",
    ],
    &[
        "exporter_addr",
        "src_addr",
        "dst_addr",
        "src_port",
        "dst_port",
        "protocol",
        "packets",
        "bytes",
        "flow_start",
    ],
    &[
        "exporter_addr",
        "src_port",
        "dst_port",
        "protocol",
        "packets",
        "bytes",
        "in_if",
        "out_if",
        "flow_start",
        "bgp_next_hop",
    ],
    &["exporter_addr", "src_addr", "dst_addr", "src_port", "dst_port", "protocol", "packets", "bytes"],
    &["exporter_addr", "src_addr", "dst_addr", "protocol", "bytes", "flow_start", "flow_id"],
    &["exporter_addr", "src_port", "dst_port", "protocol", "packets", "bytes", "in_if", "out_if"],
    &["exporter_addr", "src_addr", "dst_addr", "protocol", "bytes"],
    &["exporter_addr", "src_addr", "dst_addr", "protocol"],
    &["exporter_addr"],
];

/// What it made of a capture.
pub(crate) struct Answer {
    /// `nfdump`, or `nfdump 1.7.1` where it ran now.
    pub(crate) oracle: &'static str,
    pub(crate) records: Vec<Record>,
    /// The stored answers are those of `nfcapd -f`, which takes no IPv6.
    pub(crate) has_ipv6: bool,
}

/// Records of a capture; `None` if there is neither output nor program.
pub(crate) fn decode(case: &Case) -> Option<Answer> {
    let stored = fs::read_to_string(case.file(".nfdump.json")).ok();
    let stored = stored.or_else(|| {
        let zipped = case.file(".nfdump.json.gz");
        let output = Command::new("gzip").arg("-dc").arg(zipped).output().ok()?;
        String::from_utf8(output.stdout).ok().filter(|json| !json.is_empty())
    });
    if let Some(records) = stored.map(|json| records(&json)) {
        return Some(Answer { oracle: "nfdump", records, has_ipv6: false });
    }
    if !has_program("nfdump", "-V", "1.7.1") {
        return None;
    }
    let records = replay(&udp_payloads(&fs::read(case.pcap()).unwrap()))?;
    Some(Answer { oracle: "nfdump 1.7.1", records, has_ipv6: true })
}

fn records(json: &str) -> Vec<Record> {
    if json.contains("No matching flows") || json.trim().is_empty() {
        return Vec::new();
    }
    let records: Vec<Value> = serde_json::from_str(json).unwrap();
    records.iter().map(record).collect()
}

/// Our record as far as nfdump prints it.
pub(crate) fn ours(record: &Record) -> Record {
    let is_printed =
        |name: &str| SPELLED.contains(&name) || JSON_COLUMNS.iter().any(|(_, ours)| *ours == name);
    let mut ours: Record = record.clone();
    ours.retain(|name, value| is_printed(name) && !is_zero(value));
    for time in ["flow_start", "flow_end", "event_time"] {
        if let Some(value) = ours.get_mut(time) {
            *value = (value.parse::<i64>().unwrap().div_euclid(1_000)).to_string();
        }
    }
    if ours.get("mpls_labels").is_some_and(String::is_empty) {
        ours.remove("mpls_labels");
    }
    ours
}

fn record(json: &Value) -> Record {
    let mut record = Record::new();
    for (theirs, name) in JSON_COLUMNS {
        let text = match &json[*theirs] {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        let text = if name.ends_with("addr") || name.ends_with("hop") { address(&text) } else { text };
        if !is_zero(&text) {
            record.insert((*name).to_owned(), text);
        }
    }
    for (theirs, name) in [("first", "flow_start"), ("last", "flow_end"), ("t_event", "event_time")] {
        if let Some(time) = json[theirs].as_str().map(millis).filter(|time| time != "0") {
            record.insert(name.to_owned(), time);
        }
    }
    let flags = json["tcp_flags"].as_str().unwrap_or_default();
    let flags = flags.chars().fold(0, |flags, c| flags << 1 | u8::from(c != '.'));
    if flags != 0 {
        record.insert("tcp_flags".to_owned(), flags.to_string());
    }
    let labels = (1..=10).filter_map(|n| json[format!("mpls_{n}")].as_str());
    let mut labels: Vec<_> = labels.collect();
    while labels.pop_if(|label| *label == "0-0-0").is_some() {}
    if !labels.is_empty() {
        record.insert("mpls_labels".to_owned(), labels.join(","));
    }
    for name in ["ingress_acl", "egress_acl"] {
        if let Some(acl) = json[name].as_str() {
            let ids = acl.split('/').map(|id| u32::from_str_radix(id.trim_start_matches("0x"), 16).unwrap());
            let octets: Vec<_> = ids.flat_map(u32::to_be_bytes).collect();
            record.insert(name.to_owned(), hex(&octets));
        }
    }
    if let Some(user) = json["user_name"].as_str().filter(|user| *user != "<empty>") {
        record.insert("username".to_owned(), user.to_owned());
    }
    record
}

/// Milliseconds since 1970 of `2026-11-21T12:30:00.000`; a year beyond all reason as it is.
fn millis(text: &str) -> String {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
        .map_or(text.to_owned(), |time| time.and_utc().timestamp_millis().to_string())
}

/// Sends the capture to `nfcapd`, one loopback address for each exporter.
fn replay(payloads: &[UdpPayload]) -> Option<Vec<Record>> {
    let directory = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let target = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut collector = Command::new("nfcapd")
        .env("TZ", "UTC")
        .args(["-4", "-b", "127.0.0.1", "-p", &target.port().to_string(), "-t", "3600", "-B", "4000000"])
        .arg("-w")
        .arg(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    std::thread::sleep(Duration::from_millis(700));
    let mut exporters = BTreeMap::<SocketAddr, UdpSocket>::new();
    let mut addresses = Vec::<IpAddr>::new();
    for (from, _, payload, _) in payloads {
        if !addresses.contains(&from.ip()) {
            addresses.push(from.ip());
        }
        let at = addresses.iter().position(|ip| *ip == from.ip()).unwrap() as u8;
        let source = SocketAddr::from(([127, 0, 9, at + 1], 0));
        let socket = exporters.entry(*from).or_insert_with(|| UdpSocket::bind(source).unwrap());
        socket.send_to(payload, target).unwrap();
        std::thread::sleep(Duration::from_micros(300));
    }
    std::thread::sleep(Duration::from_millis(500));
    let stopped = Command::new("kill").arg(collector.id().to_string()).status().ok()?;
    assert!(stopped.success());
    collector.wait().unwrap();
    let output = Command::new("nfdump")
        .env("TZ", "UTC")
        .args(["-o", "json", "-R"])
        .arg(directory.path())
        .output()
        .ok()?;
    let mut records = records(std::str::from_utf8(&output.stdout).unwrap());
    for record in &mut records {
        if let Some(exporter) = record.get_mut("exporter_addr") {
            let at: usize = exporter.rsplit('.').next().and_then(|octet| octet.parse().ok()).unwrap();
            *exporter = addresses[at - 1].to_string();
        }
    }
    Some(records)
}
