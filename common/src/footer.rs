//! What a file says about itself in its key-value metadata, so that totals and
//! completeness of a whole tree come from footers alone.

use serde::{Deserialize, Serialize};

use crate::column::ExtraColumn;
use crate::layout::Slot;
use crate::limits::EXTRA_COLUMNS_MAX;
use crate::proto::{ICMP, ICMP6, TCP, UDP};
use crate::schema::SCHEMA_VERSION;
use crate::time::Timestamp;

mod exporter;

pub use self::exporter::{Contribution, Exporter, ExporterTable, Minute};

/// Counters of one class of protocols.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Flows: one for each record, or as many as the exporter aggregated into it.
    pub flows: u64,
    /// Their packets, not scaled.
    pub packets: u64,
    /// Their octets, not scaled.
    pub bytes: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.flows = self.flows.saturating_add(other.flows);
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// Totals of a file by protocol class, nfdump's four.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// TCP.
    pub tcp: Counts,
    /// UDP.
    pub udp: Counts,
    /// ICMP of both families.
    pub icmp: Counts,
    /// The rest, also records without a protocol.
    pub other: Counts,
    /// Records that are events or repeat what was counted: no flows, and in no class.
    #[serde(default)]
    pub events: u64,
    /// Earliest start of a flow, µs since the epoch; `None` where no record tells.
    pub first: Option<i64>,
    /// Latest end of a flow, µs since the epoch.
    pub last: Option<i64>,
    /// Largest sampling rate that a record carries; 0 where none does.
    #[serde(default)]
    pub sampling_rate_max: i64,
}

impl Totals {
    /// Counts one record that stands for `flows` flows.
    pub fn add_record(&mut self, protocol: Option<u8>, flows: u64, packets: u64, bytes: u64) {
        let class = match protocol {
            Some(TCP) => &mut self.tcp,
            Some(UDP) => &mut self.udp,
            Some(ICMP | ICMP6) => &mut self.icmp,
            _ => &mut self.other,
        };
        class.add(Counts { flows, packets, bytes });
    }

    /// Counts one record that is no flow.
    pub fn add_event(&mut self) {
        self.events = self.events.saturating_add(1);
    }

    /// Widens the time span.
    pub fn add_span(&mut self, first: Option<i64>, last: Option<i64>) {
        self.first = self.first.into_iter().chain(first).min();
        self.last = self.last.into_iter().chain(last).max();
    }

    /// Adds the totals of another file.
    pub fn add(&mut self, other: &Self) {
        self.tcp.add(other.tcp);
        self.udp.add(other.udp);
        self.icmp.add(other.icmp);
        self.other.add(other.other);
        self.events = self.events.saturating_add(other.events);
        self.add_span(other.first, other.last);
        self.add_rate(Some(other.sampling_rate_max));
    }

    /// Notes the sampling rate of a record.
    pub fn add_rate(&mut self, rate: Option<i64>) {
        self.sampling_rate_max = self.sampling_rate_max.max(rate.unwrap_or(0));
    }

    /// Sum over all classes.
    pub fn all(&self) -> Counts {
        let mut all = Counts::default();
        for class in [self.tcp, self.udp, self.icmp, self.other] {
            all.add(class);
        }
        all
    }
}

/// All metadata of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// Version of the schema.
    pub schema_version: u32,
    /// Program and version that wrote the file.
    pub writer: String,
    /// `-I` of the collector.
    pub ident: String,
    /// Slot of the file.
    pub slot: Slot,
    /// Totals of its records.
    pub totals: Totals,
    /// Exporters by number of records, most first.
    pub exporters: Vec<Exporter>,
    /// Datagrams the kernel dropped on our sockets while the file was open.
    pub kernel_dropped: u64,
    /// Columns beyond the table, in file order.
    pub elements: Vec<ExtraColumn>,
    /// Parts of the same directory whose rows this file holds: whoever reads it
    /// leaves them out. Only a visible file has any.
    pub replaces: Vec<String>,
    /// Files of the same directory that this one has taken the place of, rows and all.
    pub compacts: Vec<String>,
    /// What its rows were imported from, by slot, so that they are not imported again.
    pub imported_from: Vec<String>,
    /// What of the journal the rows come from; replay leaves it out.
    pub journal: Option<JournalRange>,
}

/// The half-open range `[from, to)` of positions in a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalRange {
    /// Which journal, in hexadecimal: positions of another mean nothing here.
    pub id: String,
    /// Position of the first datagram.
    pub from: u64,
    /// Position after the last.
    pub to: u64,
}

/// Keys of the metadata; all begin with `flowcap.`.
mod key {
    pub(super) const SCHEMA_VERSION: &str = "flowcap.schema_version";
    pub(super) const WRITER: &str = "flowcap.writer";
    pub(super) const IDENT: &str = "flowcap.ident";
    pub(super) const SLOT_START: &str = "flowcap.slot_start";
    pub(super) const SLOT_END: &str = "flowcap.slot_end";
    pub(super) const TOTALS: &str = "flowcap.totals";
    pub(super) const EXPORTERS: &str = "flowcap.exporters";
    pub(super) const KERNEL_DROPPED: &str = "flowcap.kernel_dropped_datagrams";
    pub(super) const ELEMENTS: &str = "flowcap.elements";
    pub(super) const REPLACES: &str = "flowcap.replaces";
    pub(super) const COMPACTS: &str = "flowcap.compacts";
    pub(super) const IMPORTED_FROM: &str = "flowcap.imported_from";
    pub(super) const JOURNAL: &str = "flowcap.journal";
}

/// Why a footer could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FooterError {
    /// The key is absent: not a file of ours, or one that lost its metadata.
    #[error("metadata has no `{0}`")]
    Missing(&'static str),
    /// The value is not what the key needs.
    #[error("metadata `{key}` is not valid: {reason}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// Written by a later release in a way this one can't read.
    #[error("schema version {0} is newer than this program knows ({SCHEMA_VERSION})")]
    TooNew(u32),
}

impl Footer {
    /// The key that comes first.
    pub const FIRST_KEY: &str = key::SCHEMA_VERSION;

    /// Key-value pairs for the file's metadata.
    pub fn to_metadata(&self) -> Vec<(String, String)> {
        [
            (key::SCHEMA_VERSION, self.schema_version.to_string()),
            (key::WRITER, self.writer.clone()),
            (key::IDENT, self.ident.clone()),
            (key::SLOT_START, self.slot.start_secs.to_string()),
            (key::SLOT_END, self.slot.end_secs.to_string()),
            (key::TOTALS, json(&self.totals)),
            (key::EXPORTERS, json(&self.exporters)),
            (key::KERNEL_DROPPED, self.kernel_dropped.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        // Most files have none.
        .chain((!self.elements.is_empty()).then(|| (key::ELEMENTS.to_owned(), json(&self.elements))))
        .chain((!self.replaces.is_empty()).then(|| (key::REPLACES.to_owned(), json(&self.replaces))))
        .chain((!self.compacts.is_empty()).then(|| (key::COMPACTS.to_owned(), json(&self.compacts))))
        .chain(
            (!self.imported_from.is_empty())
                .then(|| (key::IMPORTED_FROM.to_owned(), json(&self.imported_from))),
        )
        .chain(self.journal.as_ref().map(|range| (key::JOURNAL.to_owned(), json(range))))
        .collect()
    }

    /// Reads the pairs back; `get` looks a key up.
    pub fn from_metadata<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, FooterError> {
        let text = |key| get(key).ok_or(FooterError::Missing(key));
        let schema_version = parse(key::SCHEMA_VERSION, text(key::SCHEMA_VERSION)?)?;
        if schema_version > SCHEMA_VERSION {
            return Err(FooterError::TooNew(schema_version));
        }
        Ok(Self {
            schema_version,
            writer: text(key::WRITER)?.to_owned(),
            ident: text(key::IDENT)?.to_owned(),
            slot: Slot {
                start_secs: parse(key::SLOT_START, text(key::SLOT_START)?)?,
                end_secs: parse(key::SLOT_END, text(key::SLOT_END)?)?,
            },
            totals: parse(key::TOTALS, text(key::TOTALS)?)?,
            exporters: parse(key::EXPORTERS, text(key::EXPORTERS)?)?,
            kernel_dropped: parse(key::KERNEL_DROPPED, text(key::KERNEL_DROPPED)?)?,
            elements: get(key::ELEMENTS).map_or(Ok(Vec::new()), elements)?,
            replaces: get(key::REPLACES).map_or(Ok(Vec::new()), |text| parse(key::REPLACES, text))?,
            compacts: get(key::COMPACTS).map_or(Ok(Vec::new()), |text| parse(key::COMPACTS, text))?,
            imported_from: get(key::IMPORTED_FROM)
                .map_or(Ok(Vec::new()), |text| parse(key::IMPORTED_FROM, text))?,
            journal: get(key::JOURNAL).map(|text| parse(key::JOURNAL, text)).transpose()?,
        })
    }

    /// Span of the flows in the file, where it tells.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((Timestamp(self.totals.first?), Timestamp(self.totals.last?)))
    }
}

/// The types above always serialise: they have string keys and no failing parts.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Numbers are JSON too, so one reader serves every key but the texts.
fn parse<T: for<'de> Deserialize<'de>>(key: &'static str, text: &str) -> Result<T, FooterError> {
    serde_json::from_str(text).map_err(|error| FooterError::Invalid { key, reason: error.to_string() })
}

/// The columns listed, so far as this release knows their types and can say their
/// names; the rest of the file is readable without.
fn elements(text: &str) -> Result<Vec<ExtraColumn>, FooterError> {
    let entries: Vec<serde_json::Value> = parse(key::ELEMENTS, text)?;
    let known = entries.into_iter().take(EXTRA_COLUMNS_MAX).map(serde_json::from_value::<ExtraColumn>);
    Ok(known.filter_map(Result::ok).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELEMENTS: &str = r#"[{"name":"my_rtt","pen":9,"id":1,"type":"unsigned32"}]"#;

    #[test]
    fn columns_of_a_later_release_or_of_no_name_are_left_out() {
        let names = |text: &str| {
            elements(text).map(|all| all.into_iter().map(|one| one.name).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names(ELEMENTS).unwrap(), "my_rtt");
        let later = r#"[{"name":"a","pen":9,"id":1,"type":"complex"},{"name":"A","pen":9,"id":1,"type":"string"},
            7,{"name":"b","pen":9,"id":2,"type":"string","unit":"ms"}]"#;
        assert_eq!(names(later).unwrap(), "b");
        assert!(elements("{}").is_err());
        let many: Vec<_> = (1..500)
            .map(|n| ELEMENTS[1..].replace("my_rtt\"", &format!("x{n}\"")).replace(']', ""))
            .collect();
        assert_eq!(elements(&format!("[{}]", many.join(","))).unwrap().len(), EXTRA_COLUMNS_MAX);
    }

    #[test]
    fn metadata_is_the_inverse_of_its_parse() {
        let mut totals = Totals::default();
        totals.add_record(Some(6), 1, 3, 322);
        totals.add_record(None, 1, 1, 1);
        totals.add_event();
        totals.add_span(Some(1), Some(2));
        totals.add_rate(Some(1_000));
        let mut exporters = ExporterTable::default();
        let contribution =
            Contribution { flows: 2, events: 5, is_gap: true, lost: 3, lost_unit: "packets", waiting: 1 };
        exporters.add("192.0.2.1".parse().unwrap(), 9, Some(7), Timestamp::from_secs(301), contribution);
        let footer = Footer {
            schema_version: SCHEMA_VERSION,
            writer: "flowcapd 0.1.0".into(),
            ident: "edge \"1\"".into(),
            slot: Slot { start_secs: 300, end_secs: 600 },
            totals,
            exporters: exporters.take(),
            kernel_dropped: 4,
            elements: serde_json::from_str(ELEMENTS).unwrap(),
            replaces: vec![".flowcap.197001010005.0000.part".into()],
            compacts: vec!["flowcap.197001010005.parquet".into()],
            imported_from: vec!["197001010005 00c0ffee".into()],
            journal: Some(JournalRange { id: "00c0ffee".into(), from: 7, to: u64::MAX }),
        };
        let pairs = footer.to_metadata();
        assert_eq!(pairs[0].0, Footer::FIRST_KEY);
        let get = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        assert_eq!(Footer::from_metadata(get), Ok(footer.clone()));
        assert_eq!(footer.totals.all(), Counts { flows: 2, packets: 4, bytes: 323 });
        assert_eq!(Footer::from_metadata(|_| None), Err(FooterError::Missing("flowcap.schema_version")));
        let newer = |key: &str| if key == "flowcap.schema_version" { Some("99") } else { get(key) };
        assert_eq!(Footer::from_metadata(newer), Err(FooterError::TooNew(99)));
        // A file of an earlier release, or of none that replaces anything.
        let optional = ["elements", "replaces", "compacts", "imported_from", "journal"]
            .map(|name| format!("flowcap.{name}"));
        let earlier =
            |key: &str| if optional.iter().any(|optional| optional == key) { None } else { get(key) };
        let (elements, replaces, compacts) = (Vec::new(), Vec::new(), Vec::new());
        let bare =
            Footer { elements, replaces, compacts, imported_from: Vec::new(), journal: None, ..footer };
        assert_eq!(Footer::from_metadata(earlier), Ok(bare.clone()));
        assert_eq!(bare.to_metadata().len(), pairs.len() - optional.len());
        let damaged =
            |key: &str| if key == "flowcap.journal" { Some(r#"{"id":"","from":-1}"#) } else { get(key) };
        assert!(matches!(Footer::from_metadata(damaged), Err(FooterError::Invalid { .. })));
    }
}
