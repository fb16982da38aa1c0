//! Side tables: what exporters say about themselves and their numbers, beside the
//! flow records of a tree.
//!
//! ```text
//! <root>/.flowcap/names.table      names of interfaces, applications, VRFs, samplers, elements
//! <root>/.flowcap/sampling.table   sampling rates and since when they hold
//! <root>/.flowcap/reports.table    what exporters count of their own losses
//! ```
//!
//! They are Parquet, but not called so: no glob for `*.parquet` may count their
//! rows as flows. A row type below is the table's schema: one field a column.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{ArrowError, Field, Schema};

use crate::addr::Addr16;
use crate::column::Kind;
use crate::schema::data_type;
use crate::time::Timestamp;

/// Extension of a side table.
pub const TABLE_EXTENSION: &str = "table";

/// What names are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    /// `id` is an interface: `in_if`, `out_if`.
    Interface,
    /// `id` is `application_id`.
    Application,
    /// `id` is a VRF: `ingress_vrf`, `egress_vrf`.
    Vrf,
    /// `id` is a sampler or selector (elements 48 and 302).
    Sampler,
    /// `id` is an observation domain.
    Domain,
    /// `id` is an element as in `other`: enterprise number << 32 | element (RFC 5610 §3).
    Element,
}

/// What a sampling rate holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RateScope {
    /// Everything the observation domain exports; `scope_id` is 0.
    Domain,
    /// Flows that name this sampler or selector.
    Sampler,
    /// Flows that came in by this interface.
    Interface,
}

/// Which of the standard's reports a number is from (RFC 7011 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Report {
    /// What was exported (§4.1).
    Metering,
    /// What the metering process ignored (§4.2).
    MeteringReliability,
    /// What the exporting process did not send (§4.3).
    ExportingReliability,
    /// Which fields of a template are flow keys, a bit each (§4.4).
    FlowKeys,
}

/// Words of an enumeration, as stored.
macro_rules! words {
    ($type:ident { $($variant:ident $word:literal)* }) => {
        impl $type {
            /// The word in the table.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The value a word stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl Cell for $type {
            const KIND: Kind = Kind::Text;

            fn array(values: &mut dyn Iterator<Item = &Self>) -> Result<ArrayRef, ArrowError> {
                Ok(Arc::new(StringArray::from_iter_values(values.map(|value| value.word()))))
            }

            fn get(array: &dyn Array, row: usize) -> Option<Self> {
                Self::from_word(text(array, row)?)
            }
        }
    };
}

words!(NameKind {
    Interface "interface" Application "application" Vrf "vrf" Sampler "sampler" Domain "domain" Element "element"
});
words!(RateScope { Domain "domain" Sampler "sampler" Interface "interface" });
words!(Report {
    Metering "metering"
    MeteringReliability "metering_reliability"
    ExportingReliability "exporting_reliability"
    FlowKeys "flow_keys"
});

/// A value in a column of a side table.
trait Cell: Sized {
    const KIND: Kind;
    const IS_NULLABLE: bool = false;

    fn array(values: &mut dyn Iterator<Item = &Self>) -> Result<ArrayRef, ArrowError>;

    /// The value of a row; `None` where the column does not hold such.
    fn get(array: &dyn Array, row: usize) -> Option<Self>;
}

fn text(array: &dyn Array, row: usize) -> Option<&str> {
    let array = array.as_string_opt::<i32>()?;
    array.is_valid(row).then(|| array.value(row))
}

impl Cell for Addr16 {
    const KIND: Kind = Kind::Address;

    fn array(values: &mut dyn Iterator<Item = &Self>) -> Result<ArrayRef, ArrowError> {
        let octets: Vec<u8> = values.flat_map(|addr| addr.0).collect();
        Ok(Arc::new(FixedSizeBinaryArray::try_new(16, octets.into(), None)?))
    }

    fn get(array: &dyn Array, row: usize) -> Option<Self> {
        let array = array.as_fixed_size_binary_opt()?;
        array.is_valid(row).then(|| array.value(row).try_into().ok().map(Self))?
    }
}

impl Cell for i32 {
    const KIND: Kind = Kind::Int32;

    fn array(values: &mut dyn Iterator<Item = &Self>) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(Int32Array::from_iter_values(values.copied())))
    }

    fn get(array: &dyn Array, row: usize) -> Option<Self> {
        let array = array.as_primitive_opt::<Int32Type>()?;
        array.is_valid(row).then(|| array.value(row))
    }
}

impl Cell for i64 {
    const KIND: Kind = Kind::Int64;

    fn array(values: &mut dyn Iterator<Item = &Self>) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(Int64Array::from_iter_values(values.copied())))
    }

    fn get(array: &dyn Array, row: usize) -> Option<Self> {
        let array = array.as_primitive_opt::<Int64Type>()?;
        array.is_valid(row).then(|| array.value(row))
    }
}

impl Cell for Timestamp {
    const KIND: Kind = Kind::Timestamp;

    fn array(values: &mut dyn Iterator<Item = &Self>) -> Result<ArrayRef, ArrowError> {
        let micros = values.map(|time| time.0);
        Ok(Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC")))
    }

    fn get(array: &dyn Array, row: usize) -> Option<Self> {
        let array = array.as_primitive_opt::<TimestampMicrosecondType>()?;
        array.is_valid(row).then(|| Self(array.value(row)))
    }
}

impl Cell for String {
    const KIND: Kind = Kind::Text;

    fn array(values: &mut dyn Iterator<Item = &Self>) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(StringArray::from_iter_values(values)))
    }

    fn get(array: &dyn Array, row: usize) -> Option<Self> {
        text(array, row).map(str::to_owned)
    }
}

impl Cell for Option<i32> {
    const KIND: Kind = Kind::Int32;
    const IS_NULLABLE: bool = true;

    fn array(values: &mut dyn Iterator<Item = &Self>) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(Int32Array::from_iter(values.copied())))
    }

    fn get(array: &dyn Array, row: usize) -> Option<Self> {
        let array = array.as_primitive_opt::<Int32Type>()?;
        Some(array.is_valid(row).then(|| array.value(row)))
    }
}

impl Cell for Option<i64> {
    const KIND: Kind = Kind::Int64;
    const IS_NULLABLE: bool = true;

    fn array(values: &mut dyn Iterator<Item = &Self>) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(Int64Array::from_iter(values.copied())))
    }

    fn get(array: &dyn Array, row: usize) -> Option<Self> {
        let array = array.as_primitive_opt::<Int64Type>()?;
        Some(array.is_valid(row).then(|| array.value(row)))
    }
}

impl Cell for Option<String> {
    const KIND: Kind = Kind::Text;
    const IS_NULLABLE: bool = true;

    fn array(values: &mut dyn Iterator<Item = &Self>) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(StringArray::from_iter(values.map(Option::as_deref))))
    }

    fn get(array: &dyn Array, row: usize) -> Option<Self> {
        let array = array.as_string_opt::<i32>()?;
        Some(array.is_valid(row).then(|| array.value(row).to_owned()))
    }
}

/// Rows of a side table.
pub trait Row: Sized {
    /// Name of the file below `.flowcap`.
    const FILE: &'static str;

    /// Columns of the table.
    fn schema() -> Arc<Schema>;

    /// Rows as one record batch of the schema.
    fn to_batch(rows: &[Self]) -> Result<RecordBatch, ArrowError>;

    /// Rows of a batch, whatever it is. A row without a value it needs, or with a
    /// word of a later release, is left out; `None` where a column is missing.
    fn from_batch(batch: &RecordBatch) -> Option<Vec<Self>>;
}

macro_rules! table {
    ($(#[doc = $doc:literal])* $row:ident $file:literal { $($(#[doc = $field_doc:literal])* $field:ident: $type:ty,)* }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $row { $($(#[doc = $field_doc])* pub $field: $type,)* }

        impl Row for $row {
            const FILE: &'static str = $file;

            fn schema() -> Arc<Schema> {
                Arc::new(Schema::new(vec![$(
                    Field::new(stringify!($field), data_type(<$type>::KIND), <$type>::IS_NULLABLE),
                )*]))
            }

            fn to_batch(rows: &[Self]) -> Result<RecordBatch, ArrowError> {
                let columns = vec![$(<$type>::array(&mut rows.iter().map(|row| &row.$field))?,)*];
                RecordBatch::try_new(Self::schema(), columns)
            }

            fn from_batch(batch: &RecordBatch) -> Option<Vec<Self>> {
                $(let $field = batch.column_by_name(stringify!($field))?;)*
                let row = |row| Some(Self { $($field: <$type>::get($field, row)?,)* });
                Some((0..batch.num_rows()).filter_map(row).collect())
            }
        }
    };
}

table! {
    /// A name an exporter gave one of its numbers, the newest it sent.
    NameRow "names.table" {
        /// Exporter, as in the column of that name.
        exporter_addr: Addr16,
        /// 9 or 10.
        export_version: i32,
        /// Observation domain or source id of the message that told.
        observation_domain: i64,
        /// What is named.
        kind: NameKind,
        /// Its number.
        id: i64,
        /// Its name.
        name: String,
        /// A longer name, where one was told.
        description: Option<String>,
        /// Of a sampler: how it selects (elements 49 and 304).
        mode: Option<i32>,
        /// Of an element: its abstract data type (RFC 5610 §3.1).
        data_type: Option<i32>,
        /// Of an element: its semantics (RFC 5610 §3.6).
        semantics: Option<i32>,
        /// Of an element: its units (RFC 5610 §3.7).
        units: Option<i32>,
        /// When it was told first.
        first_seen: Timestamp,
        /// When it was last told, to the hour.
        last_seen: Timestamp,
    }
}

table! {
    /// A sampling rate and since when it holds.
    RateRow "sampling.table" {
        /// Exporter, as in the column of that name.
        exporter_addr: Addr16,
        /// 9 or 10.
        export_version: i32,
        /// Observation domain or source id of the message that told.
        observation_domain: i64,
        /// What it holds for.
        scope: RateScope,
        /// Number of the sampler or the interface.
        scope_id: i64,
        /// Packets one sampled packet stands for.
        rate: i64,
        /// When it was first told: the receive time of the message.
        valid_from: Timestamp,
    }
}

table! {
    /// What an exporter reports of itself, the newest value.
    ReportRow "reports.table" {
        /// Exporter, as in the column of that name.
        exporter_addr: Addr16,
        /// 9 or 10.
        export_version: i32,
        /// Observation domain or source id of the message that told.
        observation_domain: i64,
        /// Element that says what it is about; NULL where the whole exporter is.
        scope_element: Option<i32>,
        /// Value of that element.
        scope_id: i64,
        /// Kind of report.
        report: Report,
        /// The statistic: its name in the IANA registry.
        statistic: String,
        /// Its value.
        value: i64,
        /// When it was told.
        received: Timestamp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> NameRow {
        NameRow {
            exporter_addr: Addr16::from_v4([192, 0, 2, 1]),
            export_version: 9,
            observation_domain: 7,
            kind: NameKind::Interface,
            id: 3,
            name: "eth0".into(),
            description: None,
            mode: None,
            data_type: Some(4),
            semantics: None,
            units: None,
            first_seen: Timestamp(1),
            last_seen: Timestamp(2),
        }
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let rows = vec![name(), NameRow { description: Some("uplink".into()), id: 4, ..name() }];
        let batch = NameRow::to_batch(&rows).unwrap();
        assert_eq!(NameRow::from_batch(&batch), Some(rows));
        assert_eq!(NameRow::from_batch(&NameRow::to_batch(&[]).unwrap()), Some(Vec::new()));
    }

    #[test]
    fn another_table_is_none_and_a_strange_row_is_left_out() {
        let batch = NameRow::to_batch(&[name()]).unwrap();
        assert_eq!(RateRow::from_batch(&batch), None);
        let kind = batch.schema().index_of("kind").unwrap();
        let mut columns = batch.columns().to_vec();
        columns[kind] = Arc::new(StringArray::from(vec!["of a later release"]));
        let batch = RecordBatch::try_new(batch.schema(), columns).unwrap();
        assert_eq!(NameRow::from_batch(&batch), Some(Vec::new()));
    }
}
