//! What the projects the captures are from say of them, as far as they do:
//! records in tests of logstash's codec, of NetGauze and of telegraf. Names of
//! enterprises' elements are theirs, and are not compared.

mod logstash;
mod netgauze;
mod telegraf;

use flow_common::element::{ELEMENTS, ElementKey};

use crate::case::Case;
use crate::compare::{Differences, by_message, some};
use crate::record::{Decoded, Foreign, Given, Record};

/// What is said, and how much of it.
pub(crate) struct Answer {
    pub(crate) oracle: &'static str,
    /// Records they count, and those they show.
    pub(crate) n_records: usize,
    pub(crate) n_shown: usize,
    pub(crate) differences: Differences,
}

/// Compares with what a project says of its capture; `None` if it says nothing.
pub(crate) fn compare(case: &Case, ours: &Decoded<Record>) -> Option<Answer> {
    let mut differences = Differences::default();
    if let Some(theirs) = netgauze::read(&case.file(".netgauze.json")) {
        by_message("flow", &ours.flows, &theirs.flows, &mut differences);
        by_message("option", &ours.options, &theirs.options, &mut differences);
        let n = theirs.flows.len() + theirs.options.len();
        return Some(Answer { oracle: "NetGauze", n_records: n, n_shown: n, differences });
    }
    let logstash = || Some(("logstash", logstash::read(&case.file(".golden.json"))?));
    let telegraf = || {
        let records = telegraf::read(&case.file(".expected.out"))?;
        Some(("telegraf", (records.len(), records)))
    };
    let (oracle, (n_records, records)) = logstash().or_else(telegraf)?;
    some(ours, &records, &mut differences);
    Some(Answer { oracle, n_records, n_shown: records.len(), differences })
}

/// The element the registry calls so.
fn by_name(name: &str) -> Option<ElementKey> {
    ELEMENTS.iter().find(|element| element.name == name).map(|element| ElementKey::iana(element.id))
}

/// Adds a field, or what cannot be placed.
fn push(foreign: &mut Foreign, key: Option<ElementKey>, name: &str, given: Given) {
    match key {
        Some(key) => foreign.fields.push((key, given)),
        None => foreign.unplaced.push((name.to_owned(), given.text)),
    }
}

/// Microseconds since 1970 of an RFC 3339 time.
fn micros(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros())
}

/// A protocol by the name these projects have for it.
fn protocol(name: &str) -> String {
    const NAMES: [(&str, u8); 8] = [
        ("ICMP", 1),
        ("IPv4", 4),
        ("TCP", 6),
        ("UDP", 17),
        ("IPv6ICMP", 58),
        ("VRRP", 112),
        ("tcp", 6),
        ("udp", 17),
    ];
    NAMES.iter().find(|(known, _)| *known == name).map_or(name.to_owned(), |(_, number)| number.to_string())
}
