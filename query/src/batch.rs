//! A batch of rows with its columns found by [`ColumnRef`] instead of by name.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    ListArray, MapArray, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Schema, TimeUnit};
use flow_common::column::{COLUMNS, Column as TableColumn, Kind, by_name};
use flow_common::element::{AbstractDataType, ElementKey};

use crate::columns::ColumnRef;
use crate::values::{Bytes, Column, Dictionary, Values};

/// A column beyond the table that a file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileColumn {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) column: ColumnRef,
    /// The element that fills it, and the type of its values, where a file tells.
    pub(crate) element: Option<(ElementKey, AbstractDataType)>,
}

/// Rows and the columns read of them. A column that is not there is NULL.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    rows: usize,
    columns: Vec<Option<Column>>,
    extra: Arc<[FileColumn]>,
    /// What counters were multiplied by; `None` where they are as stored.
    rates: Option<Vec<i64>>,
    /// Milliseconds that rates of groups are over, where it is not from first to last.
    over_ms: Option<Vec<u64>>,
}

impl Batch {
    /// Rows without a column yet, of a file with the columns `extra` beyond the table.
    pub(crate) fn new(rows: usize, extra: &Arc<[FileColumn]>) -> Self {
        let last = extra.iter().map(|one| one.column.index() + 1).max();
        let columns = vec![None; COLUMNS.len().max(last.unwrap_or(0))];
        Self { rows, columns, extra: Arc::clone(extra), rates: None, over_ms: None }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Leaves the first `rows` rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.rows = rows.min(self.rows);
        self.columns.iter_mut().flatten().for_each(|column| column.truncate(rows));
        if let Some(rates) = &mut self.rates {
            rates.truncate(rows);
        }
    }

    /// Leaves only `rows`, which ascend.
    pub(crate) fn select(&mut self, rows: &[u32]) {
        self.rows = rows.len();
        self.columns.iter_mut().flatten().for_each(|column| column.select(rows));
        if let Some(rates) = &mut self.rates {
            *rates = rows.iter().filter_map(|&row| rates.get(row as usize).copied()).collect();
        }
    }

    /// One row of it.
    pub(crate) fn row(&self, row: usize) -> Self {
        let columns = self.columns.iter().map(|column| column.as_ref().map(|column| column.row(row)));
        let rates = self.rates.as_ref().map(|rates| rates.get(row).copied().into_iter().collect());
        Self { rows: 1, columns: columns.collect(), extra: Arc::clone(&self.extra), rates, over_ms: None }
    }

    /// Makes of `one`, which is a row of this batch, another one, in the same memory.
    pub(crate) fn row_into(&self, row: usize, one: &mut Self) {
        let pairs = self.columns.iter().zip(&mut one.columns);
        for (column, into) in pairs.filter_map(|(column, into)| Some((column.as_ref()?, into.as_mut()?))) {
            column.row_into(row, into);
        }
        if let (Some(rates), Some(into)) = (&self.rates, &mut one.rates) {
            into.clear();
            into.extend(rates.get(row));
        }
    }

    /// Columns beyond the table that the file of these rows has.
    pub(crate) fn extra(&self) -> &[FileColumn] {
        &self.extra
    }

    /// Puts a column, or other values in place of its.
    pub(crate) fn set(&mut self, column: ColumnRef, values: Column) {
        if let Some(place) = self.columns.get_mut(column.index()) {
            *place = Some(values);
        }
    }

    /// Forgets a column that was read for a filter alone.
    pub(crate) fn remove(&mut self, column: ColumnRef) {
        if let Some(place) = self.columns.get_mut(column.index()) {
            *place = None;
        }
    }

    /// Says what rates of its rows, which are groups, are over, in milliseconds.
    pub(crate) fn set_over_ms(&mut self, over_ms: Vec<u64>) {
        self.over_ms = Some(over_ms);
    }

    /// Milliseconds that the rates of a row are over; 0 where it is from first to last.
    pub(crate) fn over_ms(&self, row: usize) -> u64 {
        self.over_ms.as_ref().and_then(|all| all.get(row).copied()).unwrap_or(0)
    }

    /// Says what its counters were multiplied by, row by row.
    pub(crate) fn set_rates(&mut self, rates: Vec<i64>) {
        self.rates = Some(rates);
    }

    /// What its counters were multiplied by, row by row.
    pub(crate) fn rates(&self) -> Option<&[i64]> {
        self.rates.as_deref()
    }

    /// What the counters of a row were multiplied by, if by more than one.
    pub(crate) fn rate(&self, row: usize) -> Option<i64> {
        self.rates.as_ref().and_then(|rates| rates.get(row).copied()).filter(|&rate| rate > 1)
    }

    /// The smallest and the largest of those, over all rows.
    pub(crate) fn rate_span(&self) -> Option<(i64, i64)> {
        let rates = self.rates.as_ref()?;
        Some((*rates.iter().min()?, *rates.iter().max()?)).filter(|&(_, max)| max > 1)
    }

    /// Whether some row has a value in the column.
    pub(crate) fn has_values(&self, column: impl Into<ColumnRef>) -> bool {
        match self.column(column.into()) {
            None | Some(Column::Null) => false,
            Some(Column::Array(array)) => array.null_count() < array.len(),
            Some(Column::Ids { dictionary, ids }) => ids.iter().any(|&id| (id as usize) < dictionary.len()),
            Some(Column::Plain { nulls, .. }) => {
                nulls.as_ref().is_none_or(|nulls| nulls.iter().any(|&is_null| !is_null))
            }
        }
    }

    /// A column as it was decoded.
    pub(crate) fn column(&self, column: ColumnRef) -> Option<&Column> {
        self.columns.get(column.index())?.as_ref()
    }

    /// The cells of a column.
    pub(crate) fn cells(&self, column: impl Into<ColumnRef>) -> Cells<'_> {
        self.column(column.into()).map_or(Cells::Absent, Column::cells)
    }
}

impl Column {
    /// Its cells.
    pub(crate) fn cells(&self) -> Cells<'_> {
        match self {
            Self::Null => Cells::Absent,
            Self::Array(array) => of_array(array),
            Self::Ids { dictionary, ids } => match &dictionary.values {
                Values::Ints(values) => Cells::IntIds { dictionary, values, ids },
                Values::Fixed(values) => Cells::FixedIds { dictionary, values, ids },
                Values::Bytes(values) => Cells::ByteIds { dictionary, values, ids },
            },
            Self::Plain { values, nulls } => {
                let nulls = nulls.as_deref();
                match values {
                    Values::Ints(values) => Cells::Ints { values, nulls },
                    Values::Fixed(values) => Cells::Fixed { values, nulls },
                    Values::Bytes(values) => Cells::Bytes { values, nulls },
                }
            }
        }
    }
}

fn of_array(array: &ArrayRef) -> Cells<'_> {
    let cells = match array.data_type() {
        DataType::Int32 => array.as_primitive_opt::<Int32Type>().map(Cells::Int32),
        DataType::Int64 => array.as_primitive_opt::<Int64Type>().map(Cells::Int64),
        DataType::Timestamp(..) => array.as_primitive_opt::<TimestampMicrosecondType>().map(Cells::Time),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary_opt().map(Cells::FixedArray),
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

/// The column a file means by `name`: one of the table, else one of `extra`.
pub(crate) fn found(name: &str, extra: &[FileColumn]) -> Option<ColumnRef> {
    let of_file = || extra.iter().find(|one| one.name == name).map(|one| one.column);
    by_name(name).map(|column| column.id.into()).or_else(of_file)
}

/// The column of `schema` that is not stored as the table of columns says, if any.
pub(crate) fn misfit(schema: &Schema) -> Option<(&'static TableColumn, DataType)> {
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
    /// The file has no such column, it was not asked for, or it is all NULL.
    Absent,
    Ints {
        values: &'a [i64],
        nulls: Option<&'a [bool]>,
    },
    IntIds {
        dictionary: &'a Dictionary,
        values: &'a [i64],
        ids: &'a [u32],
    },
    Fixed {
        values: &'a [u128],
        nulls: Option<&'a [bool]>,
    },
    FixedIds {
        dictionary: &'a Dictionary,
        values: &'a [u128],
        ids: &'a [u32],
    },
    Bytes {
        values: &'a Bytes,
        nulls: Option<&'a [bool]>,
    },
    ByteIds {
        dictionary: &'a Dictionary,
        values: &'a Bytes,
        ids: &'a [u32],
    },
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Time(&'a TimestampMicrosecondArray),
    FixedArray(&'a FixedSizeBinaryArray),
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Float(&'a Float64Array),
    Boolean(&'a BooleanArray),
    List(&'a ListArray),
    Map(&'a MapArray),
}

fn is_null(nulls: Option<&[bool]>, row: usize) -> bool {
    nulls.is_some_and(|nulls| nulls.get(row).copied().unwrap_or(true))
}

impl<'a> Cells<'a> {
    /// The dictionary and the id of each row, where the column has them; the id of NULL
    /// is the dictionary's length.
    pub(crate) fn dictionary(self) -> Option<(&'a Dictionary, &'a [u32])> {
        match self {
            Self::IntIds { dictionary, ids, .. }
            | Self::FixedIds { dictionary, ids, .. }
            | Self::ByteIds { dictionary, ids, .. } => Some((dictionary, ids)),
            _ => None,
        }
    }

    /// A number, a time in microseconds, or a truth value as 0 or 1.
    #[inline(always)]
    pub(crate) fn int(self, row: usize) -> Option<i64> {
        match self {
            Self::IntIds { values, ids, .. } => values.get(*ids.get(row)? as usize).copied(),
            Self::Ints { values, nulls } if !is_null(nulls, row) => values.get(row).copied(),
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
    #[inline(always)]
    pub(crate) fn octets<const N: usize>(self, row: usize) -> Option<[u8; N]> {
        let number = match self {
            Self::FixedIds { values, ids, .. } => *values.get(*ids.get(row)? as usize)?,
            Self::Fixed { values, nulls } if !is_null(nulls, row) => *values.get(row)?,
            Self::FixedArray(array) => {
                return array.is_valid(row).then(|| array.value(row).try_into().ok())?;
            }
            _ => return None,
        };
        number.to_be_bytes().last_chunk().copied()
    }

    pub(crate) fn text(self, row: usize) -> Option<&'a str> {
        match self {
            Self::Text(array) => array.is_valid(row).then(|| array.value(row)),
            // Decoding has checked it.
            _ => str::from_utf8(self.bytes(row)?).ok(),
        }
    }

    pub(crate) fn binary(self, row: usize) -> Option<&'a [u8]> {
        match self {
            Self::Binary(array) => array.is_valid(row).then(|| array.value(row)),
            _ => self.bytes(row),
        }
    }

    fn bytes(self, row: usize) -> Option<&'a [u8]> {
        match self {
            Self::ByteIds { values, ids, .. } => values.get(*ids.get(row)? as usize),
            Self::Bytes { values, nulls } if !is_null(nulls, row) => values.get(row),
            _ => None,
        }
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
