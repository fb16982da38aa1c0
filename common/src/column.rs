//! THE table of stored columns. One row of [`COLUMNS`] names everything about a
//! column once; schema, decoder targets, filter names, statistics, output
//! fields and reference documentation are derived from it.
//!
//! A column is only ever added, at the end of its group, with the next free
//! `field_id`; names and field ids never change their meaning.

use crate::element::{ElementKey, REVERSE_PEN, VMWARE_PEN};

mod extra;
mod table;

pub use extra::{ExtraColumn, ExtraError, check_free, is_free_name};
pub use table::{COLUMNS, ColumnId};

/// Physical type and value range of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Unsigned 8 or 16 bits, stored as INT32.
    Int32,
    /// Unsigned 32 bits or a counter, stored as INT64. A counter above 2⁶³−1
    /// goes to `other`.
    Int64,
    /// Microseconds since the epoch, UTC, stored as INT64 TIMESTAMP(MICROS).
    Timestamp,
    /// 16 octets, IPv4 as `::ffff:a.b.c.d`.
    Address,
    /// 6 octets.
    Mac,
    /// UTF-8 text.
    Text,
    /// Octets as received.
    Binary,
    /// IEEE 754 of 64 bits; only elements an operator defined have it.
    Float64,
    /// True or false; only elements an operator defined have it.
    Boolean,
    /// MPLS label stack entries, list of INT32: `label << 4 | exp << 1 | bottom`,
    /// the 24 bits on the wire.
    Labels,
    /// Map of [`ElementKey::to_other_key`] to octets as received.
    Other,
}

/// What one unit of a column's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Unit {
    None,
    Bytes,
    Packets,
    Flows,
    Microseconds,
    Hops,
}

/// Which part of an element's value a column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// All of it.
    Whole,
    /// First of two octets (ICMP type of elements 32 and 139).
    HighOctet,
    /// Second of two octets (ICMP code of elements 32 and 139).
    LowOctet,
    /// Low 24 bits (VNI of element 351, whose first octet is the type).
    Low24Bits,
    /// Milliseconds to microseconds (nProbe's latencies).
    MillisToMicros,
    /// `engine << 32 | selector` of element 95 (RFC 6759 §4).
    ApplicationId,
    /// VMware's tunnel key, big-endian in 3 or 4 octets; a GRE key where the
    /// tunnel type beside it (6876:891) is 2, else a VNI.
    TunnelKey,
}

/// An information element that fills a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The element.
    pub key: ElementKey,
    /// The part of its value that is taken.
    pub part: Part,
    /// Counters of one family fill `packets` and `bytes` together; families are
    /// never mixed or added. 0 where it does not matter.
    pub family: u8,
}

/// One stored column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Identity in code; `id as usize` is the index in [`COLUMNS`].
    pub id: ColumnId,
    /// Parquet field id, stable for ever.
    pub field_id: i32,
    /// Name in files, CSV, JSON and NDJSON.
    pub name: &'static str,
    /// Physical type.
    pub kind: Kind,
    /// Unit of its values.
    pub unit: Unit,
    /// Always present. Every other column is NULL where the exporter sent nothing.
    pub is_required: bool,
    /// Elements that fill it, first choice first.
    pub sources: &'static [Source],
    /// Words that name it in a filter, for example `src ip`.
    pub filter: &'static [&'static str],
    /// Word after `-s`, for example `srcip`; empty where there is none.
    pub stat: &'static str,
    /// Word after `-s` that counts this column and its opposite, for example `ip`.
    pub stat_both: &'static str,
    /// Title in statistics, for example `Src IP Addr`.
    pub title: &'static str,
    /// Word after `-A`.
    pub aggregate: &'static str,
    /// Word after `/` in `-s` and after `-O`.
    pub order: &'static str,
    /// Key in nfdump's `raw` output.
    pub raw: &'static str,
    /// One line of reference documentation.
    pub doc: &'static str,
}

impl Column {
    const fn new(id: ColumnId, field_id: i32, name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            id,
            field_id,
            name,
            kind,
            unit: Unit::None,
            is_required: false,
            sources: &[],
            filter: &[],
            stat: "",
            stat_both: "",
            title: "",
            aggregate: "",
            order: "",
            raw: "",
            doc,
        }
    }
}

impl ColumnId {
    /// Its row of the table.
    pub fn column(self) -> &'static Column {
        &COLUMNS[self as usize]
    }

    /// Its name in files.
    pub fn name(self) -> &'static str {
        self.column().name
    }
}

/// The column called `name` in files, if there is one.
pub fn by_name(name: &str) -> Option<&'static Column> {
    COLUMNS.iter().find(|column| column.name == name)
}

const fn ie(id: u16) -> Source {
    Source { key: ElementKey::iana(id), part: Part::Whole, family: 0 }
}

const fn pen(pen: u32, id: u16) -> Source {
    Source { key: ElementKey::enterprise(pen, id), part: Part::Whole, family: 0 }
}

const fn vmware(id: u16) -> Source {
    pen(VMWARE_PEN, id)
}

const fn reverse(id: u16) -> Source {
    pen(REVERSE_PEN, id)
}

const fn part(source: Source, part: Part) -> Source {
    Source { part, ..source }
}

const fn family(family: u8, source: Source) -> Source {
    Source { family, ..source }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_field_ids_and_words_are_unique() {
        let mut seen = HashSet::new();
        for (index, column) in COLUMNS.iter().enumerate() {
            assert_eq!(column.id as usize, index, "{}", column.name);
            assert!(seen.insert(format!("id {}", column.field_id)), "field id of {}", column.name);
            assert!(seen.insert(format!("name {}", column.name)), "{}", column.name);
            for word in column.filter {
                assert!(seen.insert(format!("filter {word}")), "filter word {word}");
            }
            for (what, word) in
                [("stat", column.stat), ("aggregate", column.aggregate), ("order", column.order)]
            {
                assert!(word.is_empty() || seen.insert(format!("{what} {word}")), "{what} {word}");
            }
            assert!(!column.doc.is_empty() && !column.doc.ends_with('.'), "{}", column.name);
            assert!(by_name(column.name).is_some_and(|found| found.id == column.id));
        }
    }

    #[test]
    fn sources_fit_the_kind_of_their_column() {
        use crate::element::AbstractDataType as T;
        for column in COLUMNS {
            for source in column.sources {
                let Some(element) = source.key.lookup() else { continue };
                let fits = match column.kind {
                    Kind::Address => matches!(element.data_type, T::Ipv4Address | T::Ipv6Address),
                    Kind::Mac => element.data_type == T::MacAddress,
                    Kind::Text => element.data_type == T::String,
                    Kind::Labels | Kind::Binary => element.data_type == T::OctetArray,
                    Kind::Timestamp | Kind::Int32 | Kind::Int64 => {
                        !matches!(element.data_type, T::Ipv4Address | T::MacAddress | T::String | T::Float64)
                    }
                    Kind::Float64 | Kind::Boolean | Kind::Other => false,
                };
                assert!(fits, "{} from {}", column.name, element.name);
            }
        }
    }
}
