//! Values as text: what scripts read.

use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Datelike};

use super::row::Cell;

/// RFC 3339 in UTC with milliseconds, with microseconds where there are any; the
/// number where the year does not have four digits.
pub(super) fn time(micros: i64) -> String {
    let time = DateTime::from_timestamp_micros(micros).filter(|time| (0..=9_999).contains(&time.year()));
    let Some(time) = time else { return micros.to_string() };
    let format =
        if micros.rem_euclid(1_000) == 0 { "%Y-%m-%dT%H:%M:%S%.3fZ" } else { "%Y-%m-%dT%H:%M:%S%.6fZ" };
    time.format(format).to_string()
}

/// A time in JSON.
pub(super) fn json_time(micros: i64) -> serde_json::Value {
    let text = time(micros);
    if text.ends_with('Z') { text.into() } else { micros.into() }
}

pub(super) fn address(octets: &[u8]) -> String {
    let octets: [u8; 16] = octets.try_into().expect("16 octets");
    match octets {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => Ipv4Addr::new(a, b, c, d).to_string(),
        _ => Ipv6Addr::from(octets).to_string(),
    }
}

pub(super) fn hex(octets: &[u8], separator: &str) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(separator)
}

/// Milliseconds as seconds.
pub(super) fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

/// A cell as a value of a statistic or a field of CSV; `None` for lists and maps.
pub(super) fn plain(cell: &Cell) -> Option<String> {
    Some(match cell {
        Cell::Int(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Truth(value) => value.to_string(),
        Cell::Octets(octets) if octets.len() == 16 => address(octets),
        Cell::Octets(octets) if octets.len() == 6 => hex(octets, ":"),
        Cell::Octets(octets) => hex(octets, ""),
        Cell::Text(text) => text.clone(),
        Cell::Labels(_) | Cell::Other(_) => return None,
    })
}

/// A field of CSV (RFC 4180).
pub(super) fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Key of an entry of `other`: `enterprise << 32 | repetition << 16 | element`.
pub(super) fn other_key(key: i64) -> String {
    let (pen, repetition, element) = (key >> 32, key >> 16 & 0xffff, key & 0xffff);
    let pen = if pen == 0 { String::new() } else { format!("{pen}:") };
    let repetition = if repetition == 0 { String::new() } else { format!("#{repetition}") };
    format!("{pen}{element}{repetition}")
}

/// Entry of an MPLS label stack: label, exp, bottom.
pub(super) fn label(entry: i32) -> String {
    format!("{}-{}-{}", entry >> 4 & 0xf_ffff, entry >> 1 & 7, entry & 1)
}
