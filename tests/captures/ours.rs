//! What `flowcapd` makes of a capture, as `flowdump` prints it.

use std::path::{Path, PathBuf};

use chrono::DateTime;
use flow_common::column::{Kind, by_name};
use flow_common::element::ElementKey;
use flow_tests::daemon::{decode_capture, value};
use flow_tests::query::flowdump;
use serde_json::Value;

use crate::record::{Decoded, Record, canonical, from_hex, other_name};

/// Columns that are about the collector, not about what was sent.
const OWN: [&str; 5] = ["received", "sampling_source", "contributes", "time_source", "counter_kind"];

/// Decodes a capture; also says how many datagrams were not decoded.
pub(crate) fn decode(pcap: &Path) -> (Decoded<Record>, u64) {
    let finished = decode_capture(pcap);
    // Names come from options data; here only what the records say counts.
    let names = finished.directory.path().join(".flowcap/names.table");
    if names.exists() {
        std::fs::remove_file(names).unwrap();
    }
    let mut decoded = Decoded::default();
    for file in files(finished.directory.path()) {
        let output = flowdump(&file, &["-o", "ndjson", "--no-scale"]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        let records = output.stdout.lines().map(|line| record(&serde_json::from_str(line).unwrap()));
        match file.extension().is_some_and(|extension| extension == "options") {
            true => decoded.options.extend(records),
            false => decoded.flows.extend(records),
        }
    }
    let count = |name| value(&finished.metrics, name);
    assert_eq!(count("flowcap_records_decoded_total"), decoded.flows.len() as u64);
    assert_eq!(count("flowcap_options_records_decoded_total"), decoded.options.len() as u64);
    let n_undecoded = count("flowcap_datagrams_received_total") - count("flowcap_datagrams_decoded_total");
    (decoded, n_undecoded)
}

/// Files of flows and of options below `root`, in order of time.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for path in std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()) {
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => directories.push(path),
                Some("parquet" | "options") => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Times that are filled from elsewhere where a record has none.
fn is_stand_in(name: &str) -> bool {
    ["flow_start", "flow_end"].contains(&name)
}

fn record(json: &Value) -> Record {
    let mut record = Record::new();
    for (name, value) in json.as_object().unwrap() {
        match value {
            Value::Object(other) => record.extend(other.iter().map(|(key, octets)| {
                let element = element(key);
                (key.clone(), canonical(element, &from_hex(octets.as_str().unwrap())))
            })),
            // A rate is a field of the record where it came in it, else somebody's conclusion.
            _ if name == "sampling_rate" && json["sampling_source"] != "record" => {}
            // Nor were these sent, if a source has to be named.
            _ if is_stand_in(name) && !json["time_source"].is_null() => {}
            _ if OWN.contains(&name.as_str()) => {}
            _ => drop(record.insert(name.clone(), column_value(name, value))),
        }
    }
    record
}

/// `id`, `pen:id`, either with `#n`.
fn element(key: &str) -> ElementKey {
    let key = key.split_once('#').map_or(key, |(key, _)| key);
    let (pen, id) = key.split_once(':').unwrap_or(("0", key));
    let element = ElementKey { pen: pen.parse().unwrap(), id: id.parse().unwrap() };
    assert_eq!(key, other_name(element, 0));
    element
}

fn column_value(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) if by_name(name).unwrap().kind == Kind::Timestamp => {
            DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros().to_string()
        }
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        _ => value.to_string(),
    }
}
