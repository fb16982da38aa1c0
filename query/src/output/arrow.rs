//! `arrow`: a stream of Arrow IPC with the columns and types of the files, for programs
//! that compute.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, Float64Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use flow_common::column::{COLUMNS, ColumnId, Kind};
use flow_common::schema::data_type;

use super::{RowFormat, RowFormatter, Style};
use crate::batch::{Batch, Cells};
use crate::columns::{ColumnRef, Columns};
use crate::values;

/// What the counters of a row were multiplied by, as JSON calls it.
const SCALED_BY: &str = "scaled_by";

pub(super) struct Arrow {
    columns: Vec<Known>,
    schema: SchemaRef,
}

/// A column of the stream.
#[derive(Debug, Clone)]
struct Known {
    name: String,
    kind: Kind,
    /// `None` for what counters were multiplied by.
    column: Option<ColumnRef>,
}

impl Arrow {
    /// The columns `style` picks, else all there are.
    pub(super) fn new(style: &Style, columns: &Columns) -> Self {
        let of_table = |id: ColumnId| {
            let column = id.column();
            Known { name: column.name.to_owned(), kind: column.kind, column: Some(id.into()) }
        };
        let columns: Vec<_> = if style.is_own {
            style.layout.values().filter_map(|value| value.column()).map(of_table).collect()
        } else {
            let extra = columns.names().filter_map(|name| {
                let column = columns.find(name)?;
                // Files may have it in several widths.
                let kind = match columns.kind(column) {
                    Kind::Int32 => Kind::Int64,
                    kind => kind,
                };
                Some(Known { name: name.to_owned(), kind, column: Some(column) })
            });
            let scaled_by = Known { name: SCALED_BY.to_owned(), kind: Kind::Int64, column: None };
            COLUMNS.iter().map(|column| of_table(column.id)).chain(extra).chain([scaled_by]).collect()
        };
        let fields = columns.iter().map(|known| Field::new(&known.name, data_type(known.kind), true));
        Self { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns }
    }
}

impl RowFormat for Arrow {
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&schema_message(&self.schema).map_err(failed)?)
    }

    fn formatter(&self) -> Box<dyn RowFormatter> {
        Box::new(ArrowRows {
            columns: self.columns.clone(),
            schema_octets: schema_message(&self.schema).map_or(0, |message| message.len()),
            schema: Arc::clone(&self.schema),
        })
    }

    fn end(&self, _: u64, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&END_OF_STREAM)
    }
}

/// Ends a stream: a message of no length.
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

fn failed(error: ArrowError) -> io::Error {
    io::Error::other(error)
}

/// The message a stream begins with.
fn schema_message(schema: &Schema) -> Result<Vec<u8>, ArrowError> {
    Ok(StreamWriter::try_new(Vec::new(), schema)?.get_ref().clone())
}

/// A stream of batches that have one schema.
pub(super) struct Stream<'a> {
    out: Option<&'a mut dyn Write>,
    writer: Option<StreamWriter<&'a mut dyn Write>>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out: Some(out), writer: None }
    }

    /// Writes a batch; the first, even without rows, tells the schema.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        if let Some(out) = self.out.take() {
            self.writer = Some(StreamWriter::try_new(out, &batch.schema()).map_err(failed)?);
        }
        match &mut self.writer {
            Some(writer) if batch.num_rows() > 0 => writer.write(batch).map_err(failed),
            _ => Ok(()),
        }
    }

    pub(super) fn end(self) -> io::Result<()> {
        self.writer.map_or(Ok(()), |mut writer| writer.finish().map_err(failed))
    }
}

struct ArrowRows {
    columns: Vec<Known>,
    schema: SchemaRef,
    /// Octets of the message that was written already.
    schema_octets: usize,
}

impl RowFormatter for ArrowRows {
    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        if batch.rows() == 0 {
            return;
        }
        let arrays = self.columns.iter().map(|known| array(known, batch)).collect();
        let message = RecordBatch::try_new(Arc::clone(&self.schema), arrays).and_then(|batch| {
            let mut writer = StreamWriter::try_new(Vec::new(), &self.schema)?;
            writer.write(&batch)?;
            Ok(writer.get_ref().clone())
        });
        match message {
            Ok(message) => out.extend_from_slice(message.get(self.schema_octets..).unwrap_or_default()),
            Err(error) => unreachable!("arrays of one length and of the types of the schema: {error}"),
        }
    }
}

/// The values of a column as an array. Where files give one name to several kinds of
/// values, those of the newest file count and others are NULL.
fn array(known: &Known, batch: &Batch) -> ArrayRef {
    let rows = batch.rows();
    let Some(column) = known.column else {
        let rates = (0..rows).map(|row| batch.rate(row));
        return Arc::new(arrow_array::Int64Array::from_iter(rates));
    };
    // A column beyond the table may be another one in another file.
    let column = batch
        .extra()
        .iter()
        .find(|one| column.table().is_none() && one.name == known.name)
        .map_or(column, |one| one.column);
    let cells = batch.cells(column);
    let wanted = data_type(known.kind);
    match batch.column(column) {
        None | Some(values::Column::Null) => new_null_array(&wanted, rows),
        Some(values::Column::Array(array)) if *array.data_type() == wanted => Arc::clone(array),
        _ => of_cells(known.kind, cells, rows),
    }
}

/// The first `rows` cells as an array of the type of their kind.
pub(super) fn of_cells(kind: Kind, cells: Cells<'_>, rows: usize) -> ArrayRef {
    let ints = (0..rows).map(|row| cells.int(row));
    match kind {
        Kind::Int32 => {
            let mut builder = Int32Builder::with_capacity(rows);
            ints.for_each(|value| builder.append_option(value.and_then(|value| i32::try_from(value).ok())));
            Arc::new(builder.finish())
        }
        Kind::Int64 => {
            let mut builder = Int64Builder::with_capacity(rows);
            ints.for_each(|value| builder.append_option(value));
            Arc::new(builder.finish())
        }
        Kind::Timestamp => {
            let mut builder = TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC");
            ints.for_each(|value| builder.append_option(value));
            Arc::new(builder.finish())
        }
        Kind::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(rows);
            ints.for_each(|value| builder.append_option(value.map(|value| value == 1)));
            Arc::new(builder.finish())
        }
        Kind::Float64 => {
            let mut builder = Float64Builder::with_capacity(rows);
            (0..rows).for_each(|row| builder.append_option(cells.float(row)));
            Arc::new(builder.finish())
        }
        Kind::Address => fixed::<16>(cells, rows),
        Kind::Mac => fixed::<6>(cells, rows),
        Kind::Text => {
            let mut builder = StringBuilder::new();
            (0..rows).for_each(|row| builder.append_option(cells.text(row)));
            Arc::new(builder.finish())
        }
        Kind::Binary => {
            let mut builder = BinaryBuilder::new();
            (0..rows).for_each(|row| builder.append_option(cells.binary(row)));
            Arc::new(builder.finish())
        }
        // Only the `arrow` reader makes these, and as they are.
        Kind::Labels | Kind::Other => new_null_array(&data_type(kind), rows),
    }
}

fn fixed<const N: usize>(cells: Cells<'_>, rows: usize) -> ArrayRef {
    let width = N as i32;
    let mut builder = FixedSizeBinaryBuilder::with_capacity(rows, width);
    for row in 0..rows {
        match cells.octets::<N>(row) {
            // The octets are as many as the builder was made for.
            Some(octets) => builder.append_value(octets).unwrap_or_default(),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}
