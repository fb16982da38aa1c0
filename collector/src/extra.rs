//! Elements an operator gave a column: from entries of `other` to typed arrays.
//!
//! The decoder knows nothing of them, so a column may be defined or dropped
//! without a template being read again.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, Float64Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use flow_common::column::{ColumnId, ExtraColumn, Kind};
use flow_common::element::AbstractDataType;
use flow_common::time::Timestamp;

use crate::decode::TimeBase;
use crate::decode::value::{self, Read};
use crate::flow::{FlowBatch, Maps};

/// Takes the values of `columns` out of the batch's `other`, one array for each.
///
/// The first occurrence of an element fills its column. What does not fit the
/// type is NULL there and stays in `other`, as with every column; so does what
/// the column holds only in part.
pub(crate) fn take(batch: &mut FlowBatch, columns: &[ExtraColumn]) -> Vec<ArrayRef> {
    let rows = batch.rows();
    let mut taking: Vec<_> = columns.iter().map(Taking::new).collect();
    let mut wanted: Vec<(i64, usize)> =
        columns.iter().enumerate().map(|(index, column)| (column.key.to_other_key(0), index)).collect();
    wanted.sort_unstable();
    let find = |key: i64| {
        let at = wanted.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        wanted.get(at).map(|(_, index)| *index)
    };
    if batch.others().keys.iter().any(|&key| find(key).is_some()) {
        let mut kept = Maps::default();
        for row in 0..rows {
            let received = Timestamp(batch.integer(ColumnId::Received, row).unwrap_or_default());
            for (key, bytes) in batch.other_at(row) {
                let column = find(key).and_then(|index| taking.get_mut(index));
                if !column.is_some_and(|column| column.push(row, bytes, received)) {
                    kept.keys.push(key);
                    kept.values.push(Some(bytes));
                }
            }
            kept.ends.push(kept.keys.len() as i32);
        }
        *batch.maps(ColumnId::Other) = kept;
    }
    taking.into_iter().map(|column| column.finish(rows)).collect()
}

/// A column being filled.
struct Taking {
    data_type: AbstractDataType,
    read: Read,
    /// Smallest and largest integer of its type.
    range: (i64, i64),
    values: Values,
}

enum Values {
    Int32(Int32Builder),
    Int64(Int64Builder),
    Time(TimestampMicrosecondBuilder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
    Address(FixedSizeBinaryBuilder),
    Mac(FixedSizeBinaryBuilder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
}

/// The same for every builder.
macro_rules! each {
    ($values:expr, $builder:ident => $do:expr) => {
        match $values {
            Values::Int32($builder) => $do,
            Values::Int64($builder) => $do,
            Values::Time($builder) => $do,
            Values::Float($builder) => $do,
            Values::Boolean($builder) => $do,
            Values::Address($builder) | Values::Mac($builder) => $do,
            Values::Text($builder) => $do,
            Values::Binary($builder) => $do,
        }
    };
}

impl Taking {
    fn new(column: &ExtraColumn) -> Self {
        let values = match column.kind() {
            Kind::Int32 => Values::Int32(Int32Builder::new()),
            Kind::Int64 => Values::Int64(Int64Builder::new()),
            Kind::Timestamp => Values::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            Kind::Float64 => Values::Float(Float64Builder::new()),
            Kind::Boolean => Values::Boolean(BooleanBuilder::new()),
            Kind::Address => Values::Address(FixedSizeBinaryBuilder::new(16)),
            Kind::Mac => Values::Mac(FixedSizeBinaryBuilder::new(6)),
            Kind::Text => Values::Text(StringBuilder::new()),
            Kind::Binary | Kind::Labels | Kind::Other => Values::Binary(BinaryBuilder::new()),
        };
        let range = column.range().unwrap_or((i64::MIN, i64::MAX));
        Self { data_type: column.data_type(), read: Read::of_type(column.data_type()), range, values }
    }

    /// Appends the value of `row`; whether the column holds all of it.
    fn push(&mut self, row: usize, bytes: &[u8], received: Timestamp) -> bool {
        self.pad_to(row);
        let (low, high) = self.range;
        // A time that wraps is near the one the record came at.
        let time = TimeBase { export: received, uptime_ms: None, init: None };
        let integer = || value::integer(self.read, bytes, time).filter(|value| (low..=high).contains(value));
        let is_taken = match &mut self.values {
            Values::Int32(values) => {
                let value = integer().and_then(|value| i32::try_from(value).ok());
                values.append_option(value);
                value.is_some()
            }
            Values::Int64(values) => {
                let value = integer();
                values.append_option(value);
                value.is_some()
            }
            Values::Time(values) => {
                let value = integer();
                values.append_option(value);
                value.is_some()
            }
            Values::Float(values) => {
                let value = value::float(bytes);
                values.append_option(value);
                value.is_some()
            }
            Values::Boolean(values) => {
                let value = value::boolean(bytes);
                values.append_option(value);
                value.is_some()
            }
            Values::Address(values) => {
                // Addresses are never shortened (RFC 7011 §6.2).
                let width = if self.data_type == AbstractDataType::Ipv4Address { 4 } else { 16 };
                append_fixed(values, value::address(bytes).filter(|_| bytes.len() == width))
            }
            Values::Mac(values) => append_fixed(values, <[u8; 6]>::try_from(bytes).ok()),
            Values::Text(values) => {
                let value = value::text(bytes).and_then(|text| std::str::from_utf8(text).ok());
                values.append_option(value);
                value.is_some()
            }
            Values::Binary(values) => {
                values.append_value(bytes);
                true
            }
        };
        is_taken && !self.read.is_lossy()
    }

    /// Appends NULLs until there are `rows` values.
    fn pad_to(&mut self, rows: usize) {
        use arrow_array::builder::ArrayBuilder;
        each!(&mut self.values, builder => {
            let n = rows.saturating_sub(builder.len());
            (0..n).for_each(|_| builder.append_null());
        });
    }

    fn finish(mut self, rows: usize) -> ArrayRef {
        self.pad_to(rows);
        each!(&mut self.values, builder => Arc::new(builder.finish()))
    }
}

fn append_fixed<const N: usize>(values: &mut FixedSizeBinaryBuilder, octets: Option<[u8; N]>) -> bool {
    // The builder was made for this width.
    match octets.map(|octets| values.append_value(octets)) {
        Some(Ok(())) => true,
        _ => {
            values.append_null();
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use flow_common::element::{AbstractDataType as T, ElementKey};

    use super::*;

    const RECEIVED: i64 = 1_795_262_400_000_000;

    /// A batch of one record with one element `9:1`, and what becomes of it: its
    /// value in the column, and what `other` keeps.
    #[track_caller]
    fn check(data_type: T, bytes: &[u8], expected: &str, is_kept: bool) {
        let key = ElementKey { pen: 9, id: 1 };
        let column = ExtraColumn::new("x", key, data_type).unwrap();
        let mut batch = FlowBatch::default();
        batch.int64(ColumnId::Received).push(Some(RECEIVED));
        let maps = batch.maps(ColumnId::Other);
        for key in [key.to_other_key(0), key.to_other_key(1)] {
            maps.keys.push(key);
            maps.values.push(Some(bytes));
        }
        maps.ends.push(2);
        batch.add_rows(1);
        let arrays = take(&mut batch, &[column]);
        let [array] = &arrays[..] else { panic!("one column") };
        let found = if array.is_null(0) {
            "NULL".to_owned()
        } else {
            let text = format!("{array:?}");
            text.lines()
                .nth(2)
                .unwrap()
                .trim()
                .trim_end_matches(',')
                .replace(" (Unknown Time Zone 'UTC')", "Z")
        };
        assert_eq!((found.as_str(), array.len()), (expected, 1), "{data_type:?} of {bytes:?}");
        let kept: Vec<_> = batch.other_at(0).map(|(key, _)| ElementKey::from_other_key(key).1).collect();
        assert_eq!(kept, if is_kept { vec![0, 1] } else { vec![1] }, "{data_type:?} of {bytes:?}");
    }

    #[test]
    fn values_become_typed_or_stay_where_they_were() {
        check(T::Unsigned8, &[7], "7", false);
        check(T::Unsigned8, &[1, 44], "NULL", true);
        check(T::Unsigned16, &[44], "44", false);
        check(T::Unsigned64, &[255; 8], "NULL", true);
        check(T::Unsigned64, &[0, 0, 1], "1", false);
        check(T::Unsigned32, &[], "NULL", true);
        check(T::Signed8, &[0xff, 0x7f], "NULL", true);
        check(T::Signed32, &[0xff, 0x7f], "-129", false);
        check(T::Signed64, &[0xff; 8], "-1", false);
        check(T::Float32, &0.5f32.to_be_bytes(), "0.5", false);
        check(T::Float64, &(-0.25f64).to_be_bytes(), "-0.25", false);
        check(T::Float64, &[1, 2, 3], "NULL", true);
        check(T::Boolean, &[1], "true", false);
        check(T::Boolean, &[2], "false", false);
        check(T::Boolean, &[3], "NULL", true);
        check(T::String, b"joe\0\0", "\"joe\"", false);
        check(T::String, b"\xff", "NULL", true);
        check(T::MacAddress, &[1, 2, 3, 4, 5, 6], "[1, 2, 3, 4, 5, 6]", false);
        check(T::MacAddress, &[1, 2, 3, 4, 5], "NULL", true);
        check(T::Ipv4Address, &[10, 0, 0, 1], "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]", false);
        check(T::Ipv6Address, &[0; 5], "NULL", true);
        check(T::Ipv6Address, &[10, 0, 0, 1], "NULL", true);
        check(T::Ipv4Address, &[0; 16], "NULL", true);
        check(T::OctetArray, &[1, 2], "[1, 2]", false);
        check(T::OctetArray, &[], "[]", false);
        check(T::DateTimeSeconds, &1_795_262_400u32.to_be_bytes(), "2026-11-21T12:00:00Z", false);
        check(T::DateTimeMilliseconds, &1_000u64.to_be_bytes(), "1970-01-01T00:00:01Z", false);
        check(T::DateTimeMilliseconds, &[1], "NULL", true);
        // Nanoseconds are more than a column holds.
        check(T::DateTimeNanoseconds, &[0xee, 0, 0, 0, 0, 0, 0, 0], "2026-07-14T00:23:28Z", true);
    }

    #[test]
    fn rows_without_the_element_are_null() {
        let key = |id| ElementKey { pen: 0, id };
        let column = |id| ExtraColumn::new("x", key(id), T::Unsigned32).unwrap();
        let mut batch = FlowBatch::default();
        batch.add_rows(3);
        let maps = batch.maps(ColumnId::Other);
        maps.keys.push(key(40_000).to_other_key(0));
        maps.values.push(Some(&[5]));
        maps.ends.push(1);
        batch.add_rows(2);
        let arrays = take(&mut batch, &[column(40_000), column(40_001)]);
        let values: Vec<_> = arrays.iter().map(|array| array.as_primitive::<Int64Type>()).collect();
        assert_eq!(values[0].iter().collect::<Vec<_>>(), [None, None, None, Some(5), None]);
        assert_eq!((values[1].len(), values[1].null_count()), (5, 5));
        assert_eq!(batch.other_at(3).count(), 0);
    }
}
