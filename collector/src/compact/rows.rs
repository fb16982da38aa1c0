//! Rows of files, put in order a row group at a time.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat;
use arrow_select::take::take;
use flow_common::column::{COLUMNS, Column, ColumnId, ExtraColumn, Kind};
use flow_common::footer::Footer;
use flow_common::{limits, schema};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::encode::{Encoder, Format};
use crate::flow::FlowBatch;
use crate::fs::{Appender, Fs, FsFile};
use crate::tables::{damaged, metadata, unreadable};
use crate::writer::{Part, PartReader};

/// Rows decoded at a time; whether to end is asked in between.
const READ_ROWS: usize = 8_192;

/// A file being filled.
pub(super) struct Rows {
    encoder: Encoder<Appender>,
    elements: Vec<ExtraColumn>,
    /// The next row group, as it came.
    batch: FlowBatch,
    /// Of it the operator's columns, each in pieces, and their octets.
    extra: Vec<Vec<ArrayRef>>,
    extra_bytes: usize,
    n_rows: u64,
}

impl Rows {
    pub(super) fn new(file: Box<dyn FsFile>, format: &Arc<Format>) -> Result<Self, ParquetError> {
        let encoder = Encoder::new(Appender::new(file), format)?;
        let elements = format.elements().to_vec();
        let extra = elements.iter().map(|_| Vec::new()).collect();
        Ok(Self { encoder, elements, batch: FlowBatch::default(), extra, extra_bytes: 0, n_rows: 0 })
    }

    /// Whether each column of a file is one of the table or of the operator: none is dropped.
    pub(super) fn has_all_columns_of(&self, fs: &dyn Fs, part: &Part) -> io::Result<bool> {
        let metadata = metadata(&PartReader::new(fs.open(&part.path)?)?)?;
        let is_known = |name: &str| {
            COLUMNS.iter().any(|column| column.name == name)
                || self.elements.iter().any(|element| element.name == name)
        };
        let fields = metadata.file_metadata().schema().get_fields();
        Ok(fields.iter().all(|field| is_known(field.name())))
    }

    /// Appends the rows of a file; false where it was told to end.
    pub(super) fn copy(&mut self, fs: &dyn Fs, part: &Part, is_over: &dyn Fn() -> bool) -> io::Result<bool> {
        // The Parquet reader may panic on what a disk has made of a file.
        let copied = catch_unwind(AssertUnwindSafe(|| self.copy_unguarded(fs, part, is_over)));
        copied.unwrap_or_else(|_| Err(damaged("its pages make no sense")))
    }

    fn copy_unguarded(&mut self, fs: &dyn Fs, part: &Part, is_over: &dyn Fn() -> bool) -> io::Result<bool> {
        let reader = PartReader::new(fs.open(&part.path)?)?;
        // The Arrow schema in the file could say anything; ours follows from Parquet's.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder =
            ParquetRecordBatchReaderBuilder::try_new_with_options(reader, options).map_err(unreadable)?;
        let before = self.n_rows;
        for read in builder.with_batch_size(READ_ROWS).build().map_err(unreadable)? {
            let read = read.map_err(ParquetError::from).map_err(unreadable)?;
            let mut at = 0;
            while at < read.num_rows() {
                if is_over() {
                    return Ok(false);
                }
                let n = (read.num_rows() - at).min(limits::ROW_GROUP_ROWS - self.batch.rows());
                self.append(&read.slice(at, n))?;
                at += n;
                let is_full = self.batch.rows() == limits::ROW_GROUP_ROWS
                    || self.batch.variable_bytes() + self.extra_bytes >= limits::BATCH_VARIABLE_BYTES_MAX;
                if is_full {
                    self.flush()?;
                }
            }
            self.n_rows += read.num_rows() as u64;
        }
        if self.n_rows - before != part.rows {
            return Err(damaged("it has other rows than its footer says"));
        }
        Ok(true)
    }

    fn append(&mut self, read: &RecordBatch) -> io::Result<()> {
        append(&mut self.batch, read)?;
        for (element, pieces) in self.elements.iter().zip(&mut self.extra) {
            let wanted = schema::data_type(element.kind());
            let piece = match read.column_by_name(&element.name) {
                Some(array) if *array.data_type() == wanted => Arc::clone(array),
                Some(array) => {
                    let (name, found) = (&element.name, array.data_type());
                    return Err(damaged(format!("column `{name}` is stored as {found}")));
                }
                None => new_null_array(&wanted, read.num_rows()),
            };
            self.extra_bytes +=
                piece.to_data().get_slice_memory_size().map_err(ParquetError::from).map_err(unreadable)?;
            pieces.push(piece);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.extra_bytes = 0;
        let order = order(&batch);
        let indices = UInt32Array::from(order.clone());
        let extra = self.extra.iter_mut().map(|pieces| {
            let pieces = std::mem::take(pieces);
            if pieces.is_empty() {
                return Ok(new_null_array(&DataType::Null, 0));
            }
            let whole = concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
            take(&whole, &indices, None)
        });
        let extra: Result<Vec<_>, ArrowError> = extra.collect();
        let extra = extra.map_err(ParquetError::from).map_err(unreadable)?;
        self.encoder.write_with(&mut in_order(&batch, &order), &extra).map_err(unreadable)
    }

    /// Writes the footer; the file, not yet synced.
    pub(super) fn finish(mut self, footer: &Footer, n_expected: u64) -> io::Result<Box<dyn FsFile>> {
        self.flush()?;
        assert_eq!(self.n_rows, n_expected, "rows are lost or came twice");
        Ok(self.encoder.finish(footer.to_metadata()).map_err(unreadable)?.into_file())
    }
}

/// Where rows lie: those of one exporter, and of its interfaces, together.
type Place = ([u8; 16], Option<i64>, Option<i64>, Option<i64>);

fn place(batch: &FlowBatch, row: usize) -> Place {
    let integer = |column| batch.integer(column, row);
    let exporter = batch.address_at(ColumnId::ExporterAddr, row).unwrap_or_default();
    (exporter, integer(ColumnId::InIf), integer(ColumnId::OutIf), integer(ColumnId::FlowStart))
}

/// Rows by their places; those that are alike stay as they came.
fn order(batch: &FlowBatch) -> Vec<u32> {
    let places: Vec<Place> = (0..batch.rows()).map(|row| place(batch, row)).collect();
    let mut order: Vec<u32> = (0..batch.rows() as u32).collect();
    order.sort_by_key(|&row| places.get(row as usize));
    order
}

fn in_order(batch: &FlowBatch, order: &[u32]) -> FlowBatch {
    let rows = batch.rows();
    let order: Vec<usize> = order.iter().map(|&row| row as usize).collect();
    let mut out = FlowBatch::default();
    for column in COLUMNS.iter().filter(|column| batch.has(column.id)) {
        let id = column.id;
        match column.kind {
            Kind::Int32 => {
                let to = out.int32(id);
                order.iter().for_each(|&row| to.push(batch.integer(id, row).map(|value| value as i32)));
            }
            Kind::Int64 | Kind::Timestamp => {
                let to = out.int64(id);
                order.iter().for_each(|&row| to.push(batch.integer(id, row)));
            }
            Kind::Address => {
                let to = out.address(id);
                order.iter().for_each(|&row| to.push(batch.address_at(id, row)));
            }
            Kind::Mac => {
                let to = out.mac(id);
                order.iter().for_each(|&row| to.push(batch.mac_at(id, row)));
            }
            Kind::Text | Kind::Binary => {
                let to = out.variable(id);
                order.iter().for_each(|&row| to.push(batch.bytes_at(id, row)));
            }
            Kind::Labels => {
                let to = out.lists(id);
                for &row in &order {
                    to.items.extend_from_slice(batch.labels_at(row));
                    to.ends.push(to.items.len() as i32);
                }
            }
            Kind::Other => {
                let to = out.maps(id);
                for &row in &order {
                    for (key, octets) in batch.other_at(row) {
                        to.keys.push(key);
                        to.values.push(Some(octets));
                    }
                    to.ends.push(to.keys.len() as i32);
                }
            }
            Kind::Float64 | Kind::Boolean => unreachable!("no column of the table is {:?}", column.kind),
        }
    }
    out.add_rows(rows);
    out
}

/// Appends rows as they were read.
pub(super) fn append(batch: &mut FlowBatch, read: &RecordBatch) -> io::Result<()> {
    for column in COLUMNS {
        // A file of an earlier release lacks columns.
        let Some(array) = read.column_by_name(column.name) else { continue };
        if array.null_count() < array.len() && append_column(batch, column, array).is_none() {
            return Err(damaged(format!("column `{}` is stored as {}", column.name, array.data_type())));
        }
    }
    batch.add_rows(read.num_rows());
    Ok(())
}

/// `None` where it is of another type.
fn append_column(batch: &mut FlowBatch, column: &Column, array: &dyn Array) -> Option<()> {
    let id = column.id;
    match column.kind {
        Kind::Int32 => {
            let to = batch.int32(id);
            array.as_primitive_opt::<Int32Type>()?.iter().for_each(|value| to.push(value));
        }
        Kind::Int64 => {
            let to = batch.int64(id);
            array.as_primitive_opt::<Int64Type>()?.iter().for_each(|value| to.push(value));
        }
        Kind::Timestamp => {
            let to = batch.int64(id);
            array.as_primitive_opt::<TimestampMicrosecondType>()?.iter().for_each(|value| to.push(value));
        }
        Kind::Address => {
            let to = batch.address(id);
            for octets in array.as_fixed_size_binary_opt()?.iter() {
                to.push(octets.map(<[u8; 16]>::try_from).transpose().ok()?);
            }
        }
        Kind::Mac => {
            let to = batch.mac(id);
            for octets in array.as_fixed_size_binary_opt()?.iter() {
                to.push(octets.map(<[u8; 6]>::try_from).transpose().ok()?);
            }
        }
        Kind::Text => {
            let to = batch.variable(id);
            array.as_string_opt::<i32>()?.iter().for_each(|text| to.push(text.map(str::as_bytes)));
        }
        Kind::Binary => {
            let to = batch.variable(id);
            array.as_binary_opt::<i32>()?.iter().for_each(|octets| to.push(octets));
        }
        Kind::Labels => {
            let to = batch.lists(id);
            for labels in array.as_list_opt::<i32>()?.iter() {
                if let Some(labels) = labels {
                    to.items.extend_from_slice(labels.as_primitive_opt::<Int32Type>()?.values());
                }
                to.ends.push(to.items.len() as i32);
            }
        }
        Kind::Other => append_other(batch, array)?,
        Kind::Float64 | Kind::Boolean => return None,
    }
    Some(())
}

fn append_other(batch: &mut FlowBatch, array: &dyn Array) -> Option<()> {
    let to = batch.maps(ColumnId::Other);
    for entries in array.as_map_opt()?.iter() {
        if let Some(entries) = entries {
            let keys = entries.column(0).as_primitive_opt::<Int64Type>()?;
            let values = entries.column(1).as_binary_opt::<i32>()?;
            to.keys.extend_from_slice(keys.values());
            values.iter().for_each(|octets| to.values.push(octets));
        }
        to.ends.push(to.keys.len() as i32);
    }
    Some(())
}
