//! Events in the specification of logstash's netflow codec.

use std::path::Path;

use flow_common::element::ElementKey;
use serde_json::Value;

use super::{by_name, micros, push};
use crate::record::{Foreign, Given, canonical, from_hex};

/// Names that are not those of the registry, and their elements; of several, the
/// one that our record has.
const NAMES: &[(&str, u16)] = &[
    ("in_bytes", 1),
    ("in_pkts", 2),
    ("src_tos", 5),
    ("tcp_flags", 6),
    ("l4_src_port", 7),
    ("ipv4_src_addr", 8),
    ("src_mask", 9),
    ("input_snmp", 10),
    ("l4_dst_port", 11),
    ("ipv4_dst_addr", 12),
    ("dst_mask", 13),
    ("output_snmp", 14),
    ("ipv4_next_hop", 15),
    ("src_as", 16),
    ("dst_as", 17),
    ("bgp_ipv4_next_hop", 18),
    ("last_switched", 21),
    ("first_switched", 22),
    ("out_bytes", 23),
    ("out_pkts", 24),
    ("sampling_interval", 34),
    ("sampling_algorithm", 35),
    ("flow_active_timeout", 36),
    ("flow_inactive_timeout", 37),
    ("total_bytes_exp", 40),
    ("total_pkts_exp", 41),
    ("total_flows_exp", 42),
    ("flow_sampler_id", 48),
    ("in_src_mac", 56),
    ("src_vlan", 58),
    ("dst_vlan", 59),
    ("ip_protocol_version", 60),
    ("direction", 61),
    ("in_dst_mac", 80),
    ("in_permanent_bytes", 85),
    ("forwarding_status", 89),
    ("src_traffic_index", 92),
    ("dst_traffic_index", 93),
    ("application_description", 94),
    ("application_id", 95),
    ("application_name", 96),
    ("scope_system", 144),
    ("conn_id", 148),
    ("flow_start_msec", 152),
    ("event_time_msec", 323),
    ("rev_flow_delta_bytes", 232),
    ("ingress_acl_id", 33000),
    ("egress_acl_id", 33001),
    ("fw_ext_event", 33002),
    ("username", 40000),
    ("xlate_src_addr_ipv4", 40001),
    ("xlate_dst_addr_ipv4", 40002),
    ("xlate_src_port", 40003),
    ("xlate_dst_port", 40004),
    ("fw_event", 40005),
    ("app_id", 56701),
    ("user_id", 56702),
];

/// How many events the specification counts, and those it shows.
pub(super) fn read(path: &Path) -> Option<(usize, Vec<Foreign>)> {
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).unwrap();
    let events: Vec<_> = golden["events"].as_array().unwrap().iter().filter_map(event).collect();
    let asserts = golden["asserts"].as_array().into_iter().flatten();
    let mut sizes =
        asserts.filter(|assert| assert[0] == "decode.size").filter_map(|assert| assert[1].as_str());
    let n = sizes.next().and_then(|size| size.parse().ok()).unwrap_or(events.len());
    Some((n, events))
}

fn event(event: &Value) -> Option<Foreign> {
    let mut foreign = Foreign::default();
    let fields = event["netflow"].as_object()?;
    for (name, value) in fields {
        let mut head = |name: &str| foreign.head.insert(name.to_owned(), value.to_string());
        match &**name {
            "version" => drop(head("export_version")),
            "flow_seq_num" => drop(head("sequence")),
            "engine_type" | "engine_id" if fields["version"] == 5 => drop(head(name)),
            // Of the header, not of the record.
            "flowset_id" | "flow_records" => {}
            "sampling_interval" | "sampling_algorithm" if fields["version"] == 5 => {}
            _ => {
                let key = key(name, fields.contains_key("icmp_code"));
                let given = key.map_or(Given::text(value.to_string()), |key| given(key, value));
                push(&mut foreign, key, name, given);
            }
        }
    }
    Some(foreign)
}

fn key(name: &str, has_icmp_code: bool) -> Option<ElementKey> {
    match name {
        "icmp_type" if has_icmp_code => Some(ElementKey::iana(176)),
        "icmp_type" => Some(ElementKey::iana(32)),
        "icmp_code" => Some(ElementKey::iana(177)),
        "protocol" => Some(ElementKey::iana(4)),
        _ => {
            let of_table = NAMES.iter().find(|(known, _)| *known == name);
            of_table.map(|(_, id)| ElementKey::iana(*id)).or_else(|| by_name(name))
        }
    }
}

fn given(key: ElementKey, value: &Value) -> Given {
    let of_octets = |hex: &str| Given::text(canonical(key, &from_hex(hex)));
    match value {
        Value::String(text) if matches!(key.id, 33000 | 33001) => of_octets(text),
        // "engine..selector", the selector in three octets.
        Value::String(text) if key.id == 95 => match text.split_once("..") {
            Some((engine, selector)) => {
                let [engine, selector] = [engine, selector].map(|part| part.parse::<u32>().unwrap_or(0));
                Given::text(format!("{engine:02x}{selector:06x}"))
            }
            None => Given::text(text.clone()),
        },
        Value::String(text) if matches!(key.id, 56701 | 56702) => {
            Given::text(crate::record::hex(text.as_bytes()))
        }
        Value::String(text) => match micros(text) {
            Some(micros) => Given { text: micros.to_string(), wall: Some(micros) },
            None => Given::text(text.clone()),
        },
        Value::Object(status) => {
            let part = |name: &str| status.get(name).and_then(Value::as_u64).unwrap_or_default();
            Given::text((part("status") << 6 | part("reason")).to_string())
        }
        // A time as milliseconds.
        Value::Number(millis) if matches!(key.id, 152 | 160 | 323) => {
            Given::text((millis.as_i64().unwrap() * 1_000).to_string())
        }
        value => Given::text(value.to_string()),
    }
}
