//! Metrics in tests of telegraf's netflow input, in InfluxDB's line protocol.

use std::path::Path;

use flow_common::element::{ElementKey, REVERSE_PEN};

use super::{protocol, push};
use crate::record::{Foreign, Given, canonical, from_hex};

const NAMES: &[(&str, u16)] = &[
    ("in_bytes", 1),
    ("in_packets", 2),
    ("protocol", 4),
    ("src_tos", 5),
    ("tcp_flags", 6),
    ("src_port", 7),
    ("src", 8),
    ("src_mask", 9),
    ("in_snmp", 10),
    ("dst_port", 11),
    ("dst", 12),
    ("dst_mask", 13),
    ("out_snmp", 14),
    ("next_hop", 15),
    ("bgp_src_as", 16),
    ("bgp_dst_as", 17),
    ("total_flows_exported", 42),
    ("vlan_src", 58),
    ("interface", 82),
    ("interface_desc", 83),
    ("in_total_bytes", 85),
    ("in_total_packets", 86),
    ("app_desc", 94),
    ("app_id", 95),
    ("app_name", 96),
    ("exporter", 130),
    ("dropped_packets_total", 135),
    ("flow_end_reason", 136),
    ("exporting_pid", 144),
    ("observation_domain_id", 149),
    ("flow_start_ms", 152),
    ("flow_end_ms", 153),
    ("system_init_ms", 160),
    ("ignored_packet_total", 164),
    ("notsent_packet_total", 167),
    ("event_time", 322),
];
/// Of the header; or times since boot without the header's, which say nothing alone.
const LEFT_OUT: [&str; 7] =
    ["flows", "first_switched", "last_switched", "sys_uptime", "sampling_interval", "padding", "source"];
const END_REASONS: [&str; 5] =
    ["idle timeout", "active timeout", "end of flow", "forced end", "lack of resources"];

pub(super) fn read(path: &Path) -> Option<Vec<Foreign>> {
    let lines = std::fs::read_to_string(path).ok()?;
    Some(lines.lines().filter(|line| !line.trim().is_empty()).map(record).collect())
}

fn record(line: &str) -> Foreign {
    let mut foreign = Foreign::default();
    for (name, value) in fields(line) {
        match (name, value) {
            ("version", version) => {
                let version = version.trim_start_matches("NetFlowV").replace("IPFIX", "10");
                foreign.head.insert("export_version".to_owned(), version);
            }
            ("seq_number", value) => drop(foreign.head.insert("sequence".to_owned(), number(value))),
            ("engine_type" | "engine_id", value) => drop(foreign.head.insert(name.to_owned(), number(value))),
            _ if LEFT_OUT.contains(&name) => {}
            _ => {
                let key = key(name, value);
                let given = key.map_or(Given::text(value), |key| given(key, value));
                push(&mut foreign, key, name, given);
            }
        }
    }
    foreign
}

/// Tags and fields of a line, text without its quotes.
fn fields(line: &str) -> Vec<(&str, &str)> {
    let mut is_quoted = false;
    let separators = |c: char| {
        is_quoted ^= c == '"';
        !is_quoted && (c == ',' || c == ' ')
    };
    let parts = line.split(separators).filter_map(|part| part.split_once('='));
    parts.map(|(name, value)| (name, value.trim_matches('"'))).collect()
}

fn key(name: &str, value: &str) -> Option<ElementKey> {
    if let Some(number) = name.strip_prefix("type_") {
        let (pen, id) = number.split_once('_')?;
        // Of an enterprise with reverse elements of its own.
        let id = match id.strip_prefix("rev_") {
            Some(id) => 0x4000 | id.parse::<u16>().ok()?,
            None => id.parse::<u16>().ok()? & 0x7fff,
        };
        return Some(ElementKey { pen: pen.parse().ok()?, id });
    }
    let (_, id) = NAMES.iter().find(|(known, _)| *known == name)?;
    let id = match (id, value.contains(':')) {
        (8, true) => 27,
        (12, true) => 28,
        (id, _) => *id,
    };
    Some(ElementKey::iana(id))
}

/// `19`, `0x56` or `8u`.
fn number(value: &str) -> String {
    let value = value.trim_end_matches('u');
    let hex = value.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    hex.map_or(value.to_owned(), |number| number.to_string())
}

fn given(key: ElementKey, value: &str) -> Given {
    if key.pen != 0 || key.id == 95 {
        assert!(key.pen != REVERSE_PEN || key.lookup().is_some());
        return Given::text(canonical(key, &from_hex(value.trim_start_matches("0x"))));
    }
    let text = match key.id {
        4 => protocol(value),
        6 => value.chars().fold(0, |flags, c| flags << 1 | u8::from(c != '.')).to_string(),
        136 => END_REASONS.iter().position(|reason| *reason == value).map_or(0, |at| at + 1).to_string(),
        152 | 153 | 160 => number(value) + "000",
        322 => number(value) + "000000",
        8 | 12 | 15 | 27 | 28 | 82 | 83 | 94 | 96 | 130 => value.to_owned(),
        _ => number(value),
    };
    Given::text(text)
}
