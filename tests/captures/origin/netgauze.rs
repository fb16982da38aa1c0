//! Messages as NetGauze's tests have them: one a line.

use std::path::Path;

use flow_common::element::ElementKey;
use serde_json::Value;

use super::{by_name, micros, protocol, push};
use crate::record::{Decoded, Foreign, Given, Record, hex};

/// Values it has names for.
const NAMED: &[(&str, u64)] =
    &[("RandomnoutofNSampling", 3), ("activetimeout", 2), ("ingress", 0), ("egress", 1), ("LDP", 5)];
/// Forwarding states (RFC 7270 §4.12).
const STATES: &[(&str, &str, u64)] = &[("Consumed", "Forus", 195), ("Forwarded", "Unknown", 64)];
const FLAGS: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

pub(super) fn read(path: &Path) -> Option<Decoded<Foreign>> {
    let lines = std::fs::read_to_string(path).ok()?;
    let mut decoded = Decoded::default();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let message: Value = serde_json::from_str(line).unwrap();
        let (_, message) = message.as_object().unwrap().iter().next().unwrap();
        let header = Header::read(message);
        for set in message["sets"].as_array().unwrap() {
            for record in set["Data"]["records"].as_array().into_iter().flatten() {
                let scope = record["scope_fields"].as_array().into_iter().flatten();
                let is_option = scope.clone().next().is_some();
                let fields = scope.chain(record["fields"].as_array().into_iter().flatten());
                let foreign = header.record(fields);
                match is_option {
                    true => decoded.options.push(foreign),
                    false => decoded.flows.push(foreign),
                }
            }
        }
    }
    Some(decoded)
}

struct Header {
    head: Record,
    /// When the exporter booted, microseconds since 1970; NetFlow v9 says it.
    boot_us: Option<i64>,
}

impl Header {
    fn read(message: &Value) -> Self {
        let export_us = ["export_time", "unix_time"].iter().find_map(|name| micros(message[*name].as_str()?));
        let domain = message["observation_domain_id"].as_u64().or(message["source_id"].as_u64());
        let head = [
            ("export_version", message["version"].to_string()),
            ("sequence", message["sequence_number"].to_string()),
            ("observation_domain", domain.unwrap().to_string()),
            ("export_time", export_us.unwrap().to_string()),
        ];
        let head = head.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let boot_us = message["sys_up_time"].as_i64().map(|ms| export_us.unwrap() - ms * 1_000);
        Self { head, boot_us }
    }

    fn record<'a>(&self, fields: impl Iterator<Item = &'a Value>) -> Foreign {
        let mut foreign = Foreign { head: self.head.clone(), ..Foreign::default() };
        for field in fields {
            let (name, value) = field.as_object().unwrap().iter().next().unwrap();
            let key = by_name(name);
            let given = key.map_or(Given::text(value.to_string()), |key| self.given(key, value));
            push(&mut foreign, key, name, given);
        }
        foreign
    }

    fn given(&self, key: ElementKey, value: &Value) -> Given {
        match value {
            Value::String(text) if key.id == 4 => Given::text(protocol(text)),
            Value::String(text) => match (micros(text), NAMED.iter().find(|(name, _)| name == text)) {
                (Some(micros), _) => Given::text(micros.to_string()),
                (None, Some((_, number))) => Given::text(number.to_string()),
                (None, None) => Given::text(text.clone()),
            },
            Value::Number(ms) if matches!(key.id, 21 | 22) => {
                let wall = self.boot_us.map(|boot_us| boot_us + ms.as_i64().unwrap() * 1_000);
                Given { text: ms.to_string(), wall }
            }
            Value::Array(octets) => {
                let octets: Vec<_> =
                    octets.iter().filter_map(Value::as_u64).map(|octet| octet as u8).collect();
                match octets[..] {
                    [a, b, c] => {
                        let entry = u32::from_be_bytes([0, a, b, c]);
                        Given::text(format!("{}-{}-{}", entry >> 4, entry >> 1 & 7, entry & 1))
                    }
                    _ => Given::text(hex(&octets)),
                }
            }
            Value::Object(object) if key.id == 6 => {
                let is_set = |name: &str| object.get(name).is_some_and(|value| value == true);
                let flags = FLAGS.iter().enumerate().filter(|(_, name)| is_set(name));
                Given::text(flags.map(|(bit, _)| 1_u32 << bit).sum::<u32>().to_string())
            }
            Value::Object(object) => {
                let (name, of) = object.iter().next().unwrap();
                let state = STATES.iter().find(|(state, code, _)| state == name && of == *code);
                Given::text(state.map_or(of.to_string(), |(_, _, number)| number.to_string()))
            }
            value => Given::text(value.to_string()),
        }
    }
}
