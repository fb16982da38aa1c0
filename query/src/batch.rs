//! A batch of rows with its columns found by [`ColumnRef`] instead of by name.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    ListArray, MapArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Schema, TimeUnit};
use flow_common::column::{COLUMNS, Column, Kind, by_name};

use crate::columns::ColumnRef;

/// A column beyond the table that a file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileColumn {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) column: ColumnRef,
}

/// Rows and the columns read of them. A column that is not there is NULL.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    rows: usize,
    columns: Vec<Option<ArrayRef>>,
    extra: Arc<[FileColumn]>,
    /// What counters were multiplied by; `None` where they are as stored.
    rates: Option<Int64Array>,
}

impl Batch {
    /// The known columns of `batch`: the table's, and `extra`; others are ignored.
    pub(crate) fn new(batch: &RecordBatch, extra: &Arc<[FileColumn]>) -> Self {
        let last = extra.iter().map(|one| one.column.index() + 1).max();
        let mut columns = vec![None; COLUMNS.len().max(last.unwrap_or(0))];
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if let Some(column) = found(field.name(), extra) {
                columns[column.index()] = Some(array.clone());
            }
        }
        Self { rows: batch.num_rows(), columns, extra: Arc::clone(extra), rates: None }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The first `rows` rows.
    pub(crate) fn head(&self, rows: usize) -> Self {
        let rows = rows.min(self.rows);
        let cut = |array: &Option<ArrayRef>| array.as_ref().map(|array| array.slice(0, rows));
        let rates = self.rates.as_ref().map(|rates| rates.slice(0, rows));
        Self { rows, columns: self.columns.iter().map(cut).collect(), extra: Arc::clone(&self.extra), rates }
    }

    /// Columns beyond the table that the file of these rows has.
    pub(crate) fn extra(&self) -> &[FileColumn] {
        &self.extra
    }

    /// Puts other values in place of a column's.
    pub(crate) fn replace(&mut self, column: ColumnRef, array: ArrayRef) {
        self.columns[column.index()] = Some(array);
    }

    /// Says what its counters were multiplied by.
    pub(crate) fn set_rates(&mut self, rates: Int64Array) {
        self.rates = Some(rates);
    }

    /// What the counters of a row were multiplied by, if by more than one.
    pub(crate) fn rate(&self, row: usize) -> Option<i64> {
        self.rates.as_ref().map(|rates| rates.value(row)).filter(|&rate| rate > 1)
    }

    /// The smallest and the largest of those, over all rows.
    pub(crate) fn rate_span(&self) -> Option<(i64, i64)> {
        let rates = self.rates.as_ref()?.values();
        Some((*rates.iter().min()?, *rates.iter().max()?)).filter(|&(_, max)| max > 1)
    }

    /// Whether some row has a value in the column.
    pub(crate) fn has_values(&self, column: impl Into<ColumnRef>) -> bool {
        self.array(column.into()).is_some_and(|array| array.null_count() < array.len())
    }

    fn array(&self, column: ColumnRef) -> Option<&ArrayRef> {
        self.columns.get(column.index())?.as_ref()
    }

    /// The cells of a column.
    pub(crate) fn cells(&self, column: impl Into<ColumnRef>) -> Cells<'_> {
        let Some(array) = self.array(column.into()) else { return Cells::Absent };
        let cells = match array.data_type() {
            DataType::Int32 => array.as_primitive_opt::<Int32Type>().map(Cells::Int32),
            DataType::Int64 => array.as_primitive_opt::<Int64Type>().map(Cells::Int64),
            DataType::Timestamp(..) => array.as_primitive_opt::<TimestampMicrosecondType>().map(Cells::Time),
            DataType::FixedSizeBinary(_) => array.as_fixed_size_binary_opt().map(Cells::Fixed),
            DataType::Utf8 => array.as_string_opt().map(Cells::Text),
            DataType::Binary => array.as_binary_opt().map(Cells::Binary),
            DataType::Float64 => array.as_primitive_opt::<Float64Type>().map(Cells::Float),
            DataType::Boolean => array.as_boolean_opt().map(Cells::Boolean),
            DataType::List(_) => array.as_list_opt().map(Cells::List),
            DataType::Map(..) => array.as_map_opt().map(Cells::Map),
            _ => None,
        };
        cells.unwrap_or(Cells::Absent)
    }
}

/// The column a file means by `name`: one of the table, else one of `extra`.
pub(crate) fn found(name: &str, extra: &[FileColumn]) -> Option<ColumnRef> {
    let of_file = || extra.iter().find(|one| one.name == name).map(|one| one.column);
    by_name(name).map(|column| column.id.into()).or_else(of_file)
}

/// The column of `schema` that is not stored as the table of columns says, if any.
pub(crate) fn misfit(schema: &Schema) -> Option<(&'static Column, DataType)> {
    let known = schema.fields().iter().filter_map(|field| Some((by_name(field.name())?, field.data_type())));
    known
        .into_iter()
        .find(|(column, found)| !is_stored_as(column.kind, found))
        .map(|(column, found)| (column, found.clone()))
}

pub(crate) fn is_stored_as(kind: Kind, found: &DataType) -> bool {
    match kind {
        Kind::Int32 | Kind::Int64 => matches!(found, DataType::Int32 | DataType::Int64),
        Kind::Timestamp => matches!(found, DataType::Timestamp(TimeUnit::Microsecond, _)),
        Kind::Address => *found == DataType::FixedSizeBinary(16),
        Kind::Mac => *found == DataType::FixedSizeBinary(6),
        Kind::Text => *found == DataType::Utf8,
        Kind::Binary => *found == DataType::Binary,
        Kind::Float64 => *found == DataType::Float64,
        Kind::Boolean => *found == DataType::Boolean,
        Kind::Labels => matches!(found, DataType::List(item) if *item.data_type() == DataType::Int32),
        Kind::Other => is_map_of_octets(found),
    }
}

fn is_map_of_octets(found: &DataType) -> bool {
    let DataType::Map(entries, _) = found else { return false };
    let DataType::Struct(fields) = entries.data_type() else { return false };
    let types: Vec<_> = fields.iter().map(|field| field.data_type()).collect();
    types == [&DataType::Int64, &DataType::Binary]
}

/// The cells of one column of a batch, typed once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cells<'a> {
    /// The file has no such column, or it was not asked for.
    Absent,
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Time(&'a TimestampMicrosecondArray),
    Fixed(&'a FixedSizeBinaryArray),
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Float(&'a Float64Array),
    Boolean(&'a BooleanArray),
    List(&'a ListArray),
    Map(&'a MapArray),
}

impl<'a> Cells<'a> {
    /// A number, a time in microseconds, or a truth value as 0 or 1.
    pub(crate) fn int(self, row: usize) -> Option<i64> {
        match self {
            Self::Int32(array) => array.is_valid(row).then(|| array.value(row).into()),
            Self::Int64(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Time(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Boolean(array) => array.is_valid(row).then(|| array.value(row).into()),
            _ => None,
        }
    }

    pub(crate) fn float(self, row: usize) -> Option<f64> {
        let Self::Float(array) = self else { return None };
        array.is_valid(row).then(|| array.value(row))
    }

    /// `N` octets: an address or a MAC.
    pub(crate) fn octets<const N: usize>(self, row: usize) -> Option<[u8; N]> {
        let Self::Fixed(array) = self else { return None };
        array.is_valid(row).then(|| array.value(row).try_into().ok())?
    }

    pub(crate) fn text(self, row: usize) -> Option<&'a str> {
        let Self::Text(array) = self else { return None };
        array.is_valid(row).then(|| array.value(row))
    }

    pub(crate) fn binary(self, row: usize) -> Option<&'a [u8]> {
        let Self::Binary(array) = self else { return None };
        array.is_valid(row).then(|| array.value(row))
    }

    /// Entries of an MPLS label stack, top first.
    pub(crate) fn labels(self, row: usize) -> Option<impl Iterator<Item = i32> + 'a> {
        let Self::List(array) = self else { return None };
        if array.is_null(row) {
            return None;
        }
        let values = array.values().as_primitive_opt::<Int32Type>()?;
        let offsets = array.value_offsets();
        Some((offsets[row] as usize..offsets[row + 1] as usize).map(|index| values.value(index)))
    }

    /// Entries of the column `other`: key and octets.
    pub(crate) fn entries(self, row: usize) -> Option<impl Iterator<Item = (i64, &'a [u8])>> {
        let Self::Map(array) = self else { return None };
        if array.is_null(row) {
            return None;
        }
        let keys = array.keys().as_primitive_opt::<Int64Type>()?;
        let values = array.values().as_binary_opt::<i32>()?;
        let offsets = array.value_offsets();
        Some(
            (offsets[row] as usize..offsets[row + 1] as usize)
                .map(|index| (keys.value(index), values.value(index))),
        )
    }
}
