//! Rows being gathered, one growing buffer a column; a column that is not set in a row is
//! NULL there.

use std::sync::Arc;

use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float64Array, ListArray, MapArray,
    PrimitiveArray, RecordBatch, StringArray, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use flow_common::column::{COLUMNS, ColumnId, ExtraColumn, Kind};
use flow_common::footer::Totals;
use flow_common::schema;

/// A value to be stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    /// A number, or a time in microseconds.
    Int(i64),
    /// An address, a MAC, octets or UTF-8.
    Octets(&'a [u8]),
    Float(f64),
    Boolean(bool),
    /// Entries of an MPLS label stack, top first.
    Labels(&'a [i32]),
    /// Entries of the column `other`.
    Entries(&'a [(i64, &'a [u8])]),
}

/// Values of one column, as many as `valid` says.
#[derive(Debug)]
struct Buffer {
    kind: Kind,
    valid: Vec<bool>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Ints(Vec<i64>),
    /// Of one width.
    Fixed {
        octets: Vec<u8>,
        width: usize,
    },
    Octets(Octets),
    Floats(Vec<f64>),
    Booleans(Vec<bool>),
    Labels {
        items: Vec<i32>,
        ends: Vec<i32>,
    },
    Entries {
        keys: Vec<i64>,
        values: Octets,
        ends: Vec<i32>,
    },
}

/// Octets of any length, joined.
#[derive(Debug, Default)]
struct Octets {
    octets: Vec<u8>,
    ends: Vec<i32>,
}

impl Octets {
    fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
        self.ends.push(end(self.octets.len()));
    }

    fn offsets(&self) -> OffsetBuffer<i32> {
        offsets(&self.ends)
    }
}

/// A batch ends long before its offsets do, see [`Rows::is_full`].
fn end(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn offsets(ends: &[i32]) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from_iter(std::iter::once(0).chain(ends.iter().copied())))
}

impl Buffer {
    fn new(kind: Kind) -> Self {
        let values = match kind {
            Kind::Int32 | Kind::Int64 | Kind::Timestamp => Values::Ints(Vec::new()),
            Kind::Address => Values::Fixed { octets: Vec::new(), width: 16 },
            Kind::Mac => Values::Fixed { octets: Vec::new(), width: 6 },
            Kind::Text | Kind::Binary => Values::Octets(Octets::default()),
            Kind::Float64 => Values::Floats(Vec::new()),
            Kind::Boolean => Values::Booleans(Vec::new()),
            Kind::Labels => Values::Labels { items: Vec::new(), ends: Vec::new() },
            Kind::Other => Values::Entries { keys: Vec::new(), values: Octets::default(), ends: Vec::new() },
        };
        Self { kind, valid: Vec::new(), values }
    }

    /// NULL in every row before `rows`.
    fn pad_to(&mut self, rows: usize) {
        while self.valid.len() < rows {
            self.push(None);
        }
    }

    /// Appends a value; one of another kind is NULL.
    fn push(&mut self, cell: Option<Cell<'_>>) {
        let is_valid = match (&mut self.values, cell) {
            (Values::Ints(ints), Some(Cell::Int(int)))
                if self.kind != Kind::Int32 || i32::try_from(int).is_ok() =>
            {
                ints.push(int);
                true
            }
            (Values::Fixed { octets, width }, Some(Cell::Octets(value))) if value.len() == *width => {
                octets.extend_from_slice(value);
                true
            }
            (Values::Octets(octets), Some(Cell::Octets(value)))
                if self.kind != Kind::Text || str::from_utf8(value).is_ok() =>
            {
                octets.push(value);
                true
            }
            (Values::Floats(floats), Some(Cell::Float(float))) => {
                floats.push(float);
                true
            }
            (Values::Booleans(booleans), Some(Cell::Boolean(boolean))) => {
                booleans.push(boolean);
                true
            }
            (Values::Labels { items, ends }, Some(Cell::Labels(labels))) if !labels.is_empty() => {
                items.extend_from_slice(labels);
                ends.push(end(items.len()));
                true
            }
            (Values::Entries { keys, values, ends }, Some(Cell::Entries(entries))) if !entries.is_empty() => {
                for (key, octets) in entries {
                    keys.push(*key);
                    values.push(octets);
                }
                ends.push(end(keys.len()));
                true
            }
            (values, _) => {
                values.push_nothing();
                false
            }
        };
        self.valid.push(is_valid);
    }

    fn int(&self, row: usize) -> Option<i64> {
        let Values::Ints(ints) = &self.values else { return None };
        ints.get(row).copied().filter(|_| self.valid.get(row) == Some(&true))
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        let Self { kind, valid, values } = self;
        let nulls = Some(NullBuffer::from(valid));
        Ok(match values {
            Values::Ints(ints) if kind == Kind::Int32 => {
                let ints: Vec<i32> = ints.into_iter().map(|int| int as i32).collect();
                Arc::new(PrimitiveArray::<Int32Type>::new(ints.into(), nulls))
            }
            Values::Ints(ints) if kind == Kind::Timestamp => {
                let times = PrimitiveArray::<TimestampMicrosecondType>::new(ints.into(), nulls);
                Arc::new(times.with_timezone("UTC"))
            }
            Values::Ints(ints) => Arc::new(PrimitiveArray::<Int64Type>::new(ints.into(), nulls)),
            Values::Fixed { octets, width } => {
                Arc::new(FixedSizeBinaryArray::try_new(width as i32, octets.into(), nulls)?)
            }
            Values::Octets(octets) if kind == Kind::Text => {
                Arc::new(StringArray::try_new(octets.offsets(), octets.octets.into(), nulls)?)
            }
            Values::Octets(octets) => {
                Arc::new(BinaryArray::try_new(octets.offsets(), octets.octets.into(), nulls)?)
            }
            Values::Floats(floats) => Arc::new(Float64Array::new(floats.into(), nulls)),
            Values::Booleans(booleans) => Arc::new(BooleanArray::new(booleans.into(), nulls)),
            Values::Labels { items, ends } => {
                let items = Arc::new(PrimitiveArray::<Int32Type>::new(items.into(), None));
                Arc::new(ListArray::try_new(schema::label_item(), offsets(&ends), items, nulls)?)
            }
            Values::Entries { keys, values, ends } => {
                let entries = schema::other_entries();
                let DataType::Struct(fields) = entries.data_type().clone() else {
                    return Err(ArrowError::SchemaError("entries are a struct".into()));
                };
                let keys = PrimitiveArray::<Int64Type>::new(keys.into(), None);
                let values = BinaryArray::try_new(values.offsets(), values.octets.into(), None)?;
                let structs = StructArray::try_new(fields, vec![Arc::new(keys), Arc::new(values)], None)?;
                Arc::new(MapArray::try_new(entries, offsets(&ends), structs, nulls, false)?)
            }
        })
    }
}

impl Values {
    /// What stands where there is no value.
    fn push_nothing(&mut self) {
        match self {
            Self::Ints(ints) => ints.push(0),
            Self::Fixed { octets, width } => octets.resize(octets.len() + *width, 0),
            Self::Octets(octets) => octets.push(&[]),
            Self::Floats(floats) => floats.push(0.0),
            Self::Booleans(booleans) => booleans.push(false),
            Self::Labels { items, ends } => ends.push(end(items.len())),
            Self::Entries { keys, ends, .. } => ends.push(end(keys.len())),
        }
    }

    fn variable_bytes(&self) -> usize {
        match self {
            Self::Octets(octets) | Self::Entries { values: octets, .. } => octets.octets.len(),
            _ => 0,
        }
    }
}

/// Rows being gathered.
#[derive(Debug)]
pub(crate) struct Rows {
    schema: SchemaRef,
    kinds: Vec<Kind>,
    columns: Vec<Buffer>,
    rows: usize,
}

impl Rows {
    /// None yet, of the table's columns and those of `extra` behind them.
    pub(crate) fn new(extra: &[ExtraColumn]) -> Self {
        let kinds = COLUMNS.iter().map(|column| column.kind).chain(extra.iter().map(ExtraColumn::kind));
        let kinds: Vec<Kind> = kinds.collect();
        let columns = kinds.iter().copied().map(Buffer::new).collect();
        Self { schema: Arc::new(schema::schema_with(extra)), kinds, columns, rows: 0 }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Whether what is gathered should be written before more is.
    pub(crate) fn is_full(&self) -> bool {
        const ROWS: usize = 65_536;
        let bytes = || self.columns.iter().map(|column| column.values.variable_bytes()).sum::<usize>();
        self.rows >= ROWS
            || self.rows % 1_024 == 1_023 && bytes() > flow_common::limits::BATCH_VARIABLE_BYTES_MAX
    }

    /// Sets a column of the row that is being gathered, once.
    pub(crate) fn set(&mut self, column: ColumnId, cell: Cell<'_>) {
        let rows = self.rows;
        if let Some(buffer) = self.columns.get_mut(column as usize)
            && buffer.valid.len() <= rows
        {
            buffer.pad_to(rows);
            buffer.push(Some(cell));
        }
    }

    pub(crate) fn set_int(&mut self, column: ColumnId, value: impl Into<i64>) {
        self.set(column, Cell::Int(value.into()));
    }

    /// Ends the row that is being gathered.
    pub(crate) fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Sets the column at `index` of the row that is being gathered, once.
    pub(crate) fn push(&mut self, index: usize, cell: Option<Cell<'_>>) {
        let rows = self.rows;
        if let Some(buffer) = self.columns.get_mut(index) {
            buffer.pad_to(rows);
            buffer.push(cell);
        }
    }

    /// A number of a row.
    pub(crate) fn int(&self, column: ColumnId, row: usize) -> Option<i64> {
        self.columns.get(column as usize)?.int(row)
    }

    /// An address of a row.
    pub(crate) fn address(&self, column: ColumnId, row: usize) -> Option<[u8; 16]> {
        let buffer = self.columns.get(column as usize)?;
        let Values::Fixed { octets, width: 16 } = &buffer.values else { return None };
        let at = octets.get(16 * row..16 * row + 16)?;
        at.try_into().ok().filter(|_| buffer.valid.get(row) == Some(&true))
    }

    /// What the rows add up to, as the metadata of a file says it.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for row in 0..self.rows {
            let count = |column| self.int(column, row).map_or(0, |n| u64::try_from(n).unwrap_or(0));
            if self.int(ColumnId::Contributes, row) == Some(0) {
                totals.add_event();
            } else {
                let protocol = self.int(ColumnId::Protocol, row).and_then(|number| u8::try_from(number).ok());
                let flows = self.int(ColumnId::FlowCount, row).map_or(1, |_| count(ColumnId::FlowCount));
                totals.add_record(protocol, flows, count(ColumnId::Packets), count(ColumnId::Bytes));
            }
            let [start, end] = [ColumnId::FlowStart, ColumnId::FlowEnd].map(|column| self.int(column, row));
            totals.add_span(start.or(end), end.or(start));
            totals.add_rate(self.int(ColumnId::SamplingRate, row));
        }
        totals
    }

    /// What was gathered; then there is nothing again.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        let fresh: Vec<Buffer> = self.kinds.iter().copied().map(Buffer::new).collect();
        let columns = std::mem::replace(&mut self.columns, fresh);
        let arrays = columns.into_iter().map(|mut buffer| {
            buffer.pad_to(rows);
            buffer.finish()
        });
        RecordBatch::try_new(Arc::clone(&self.schema), arrays.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;

    #[test]
    fn what_is_not_set_is_null() {
        let mut rows = Rows::new(&[]);
        let end_row = |rows: &mut Rows| {
            // These can't be NULL.
            rows.set_int(ColumnId::Received, 1);
            rows.set(ColumnId::ExporterAddr, Cell::Octets(&[0; 16]));
            rows.set_int(ColumnId::ExportVersion, 9);
            rows.end_row();
        };
        rows.set_int(ColumnId::DstPort, 443);
        rows.set(ColumnId::MplsLabels, Cell::Labels(&[16, 33]));
        end_row(&mut rows);
        rows.set(ColumnId::Username, Cell::Octets(b"\xff"));
        rows.set(ColumnId::Other, Cell::Entries(&[(252, &[0, 0, 0, 7])]));
        rows.set_int(ColumnId::Protocol, 1i64 << 40);
        end_row(&mut rows);
        rows.set(ColumnId::SrcAddr, Cell::Octets(&[7; 16]));
        rows.set(ColumnId::Username, Cell::Octets(b"ann"));
        end_row(&mut rows);
        assert_eq!(rows.address(ColumnId::SrcAddr, 2), Some([7; 16]));
        assert_eq!((rows.int(ColumnId::DstPort, 0), rows.int(ColumnId::DstPort, 1)), (Some(443), None));
        let batch = rows.take().unwrap();
        let nulls = |column: ColumnId| -> String {
            let array = batch.column(column as usize);
            (0..3).map(|row| if array.is_null(row) { '-' } else { 'x' }).collect()
        };
        let check = |column, expected: &str| assert_eq!(nulls(column), expected, "{column:?}");
        check(ColumnId::DstPort, "x--");
        check(ColumnId::MplsLabels, "x--");
        check(ColumnId::Username, "--x");
        check(ColumnId::Other, "-x-");
        check(ColumnId::Protocol, "---");
        check(ColumnId::SrcAddr, "--x");
        check(ColumnId::Received, "xxx");
        assert_eq!(rows.len(), 0);
    }
}
