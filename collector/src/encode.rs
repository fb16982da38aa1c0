//! Batches as Parquet: one row group each. The reasons of what is chosen here stand in
//! ARCHITECTURE.md.
//!
//! Columns of fixed width, most of every file, go from their buffers to pages by an encoder
//! of our own; columns that hold nothing cost a few octets; what is left (text, lists, maps,
//! an operator's columns) goes the way of the `parquet` crate, which also writes the footer.

mod chunk;
mod column;
mod compress;
mod filter;
mod index;
mod pack;
mod value;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::ArrayRef;
use arrow_schema::{Field, Schema};
use bytes::Bytes;
use flow_common::column::{COLUMNS, Column, ExtraColumn, Kind};
use flow_common::{limits, schema};
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression as Codec, Encoding};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterPropertiesPtr,
};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, SchemaDescriptor};

use self::chunk::Chunk;
use self::column::Scratch;
use self::compress::Pages;
use self::filter::{FALSE_POSITIVES, FILTERED};
use crate::batch::to_array;
use crate::config::Compression;
use crate::extra;
use crate::flow::{Buffer, FlowBatch};

/// What all files with the same columns have in common.
#[derive(Debug)]
pub(crate) struct Format {
    schema: Schema,
    /// The table's columns and `elements` as Parquet has them.
    columns: SchemaDescriptor,
    elements: Vec<ExtraColumn>,
    compression: Compression,
    properties: WriterPropertiesPtr,
    /// Memory of the last file, for the next one: what it took to encode it, and its octets.
    spare: Mutex<Option<Memory>>,
    spare_octets: Mutex<Vec<u8>>,
}

impl Format {
    pub(crate) fn new(elements: Vec<ExtraColumn>, compression: Compression) -> Self {
        let schema = schema::schema_with(&elements);
        let mut properties = properties(compression, &elements);
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let columns = ArrowSchemaConverter::new().convert(&schema).expect("every kind of column has a type");
        let properties = Arc::new(properties);
        Self {
            schema,
            columns,
            elements,
            compression,
            properties,
            spare: Mutex::default(),
            spare_octets: Mutex::default(),
        }
    }

    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    /// An empty buffer for the octets of a file.
    pub(crate) fn take_octets(&self) -> Vec<u8> {
        std::mem::take(&mut *self.spare_octets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes back the buffer of a file that was written.
    pub(crate) fn keep_octets(&self, mut octets: Vec<u8>) {
        octets.clear();
        *self.spare_octets.lock().unwrap_or_else(PoisonError::into_inner) = octets;
    }

    /// Columns beyond the table.
    pub(crate) fn elements(&self) -> &[ExtraColumn] {
        &self.elements
    }
}

/// What encoding needs beside the values.
struct Memory {
    pages: Pages,
    scratch: Scratch,
    /// Of the last column.
    octets: Vec<u8>,
}

impl Memory {
    /// Keeps the memory of a column's octets for the next one.
    fn keep(&mut self, octets: Bytes) {
        // No copy, as nobody else holds them.
        self.octets = octets.into();
        self.octets.clear();
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

/// A Parquet file being written.
pub(crate) struct Encoder<W: Write + Send> {
    format: Arc<Format>,
    writer: SerializedFileWriter<W>,
    memory: Memory,
    rows: u64,
}

impl<W: Write + Send> Encoder<W> {
    pub(crate) fn new(out: W, format: &Arc<Format>) -> Result<Self, ParquetError> {
        let spare = format.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        let memory = match spare {
            Some(memory) => memory,
            None => {
                Memory { pages: Pages::new(format.compression)?, scratch: Scratch::new(), octets: Vec::new() }
            }
        };
        let root = format.columns.root_schema_ptr();
        let writer = SerializedFileWriter::new(out, root, Arc::clone(&format.properties))?;
        Ok(Self { format: Arc::clone(format), writer, memory, rows: 0 })
    }

    /// Appends a batch as one row group; of columns of variable width nothing is left in it.
    pub(crate) fn write(&mut self, batch: &mut FlowBatch) -> Result<(), ParquetError> {
        let extra = extra::take(batch, &self.format.elements);
        self.write_with(batch, &extra)
    }

    /// The same where values of the operator's columns are at hand.
    pub(crate) fn write_with(
        &mut self,
        batch: &mut FlowBatch,
        extra: &[ArrayRef],
    ) -> Result<(), ParquetError> {
        let rows = batch.rows();
        if rows == 0 {
            return Ok(());
        }
        let Self { format, writer, memory, .. } = self;
        let mut row_group = RowGroup { format, memory, writer: writer.next_row_group()?, leaf: 0 };
        let fields = format.schema.fields();
        for ((column, field), buffer) in COLUMNS.iter().zip(fields).zip(batch.buffers_mut()) {
            row_group.column(column, field, buffer, rows)?;
        }
        for (field, array) in fields.iter().skip(COLUMNS.len()).zip(extra) {
            row_group.array(field, array)?;
        }
        row_group.writer.close()?;
        self.rows += rows as u64;
        Ok(())
    }

    /// Writes the footer; returns what the file was written to.
    pub(crate) fn finish(mut self, metadata: Vec<(String, String)>) -> Result<W, ParquetError> {
        for (key, value) in metadata {
            self.writer.append_key_value_metadata(KeyValue::new(key, value));
        }
        let written: i64 =
            self.writer.flushed_row_groups().iter().map(|row_group| row_group.num_rows()).sum();
        assert_eq!(written, self.rows as i64, "the footer disagrees with the batches written");
        *self.format.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.memory);
        self.writer.into_inner()
    }
}

/// A row group being written, column by column.
struct RowGroup<'a, W: Write + Send> {
    format: &'a Format,
    memory: &'a mut Memory,
    writer: SerializedRowGroupWriter<'a, W>,
    /// Columns as Parquet counts them written so far: lists and maps have several.
    leaf: usize,
}

impl<W: Write + Send> RowGroup<'_, W> {
    fn column(
        &mut self,
        column: &Column,
        field: &Field,
        buffer: &mut Buffer,
        rows: usize,
    ) -> Result<(), ParquetError> {
        if buffer.len() == 0 {
            return self.nulls(field, rows);
        }
        buffer.pad_to(rows);
        let Memory { pages, scratch, octets } = &mut *self.memory;
        let kind = column.kind;
        let descr = self.format.columns.column(self.leaf);
        let octets = std::mem::take(octets);
        let mut chunk = Chunk::new(descr, compress::codec(self.format.compression), pages, octets);
        chunk.has_filter = FILTERED.contains(&column.id);
        let (octets, close) = match buffer {
            Buffer::Int32(fixed) => column::encode(chunk, fixed, false, scratch)?,
            Buffer::Int64(fixed) => column::encode(chunk, fixed, kind == Kind::Timestamp, scratch)?,
            Buffer::Address(fixed) => column::encode(chunk, fixed, false, scratch)?,
            Buffer::Mac(fixed) => column::encode(chunk, fixed, false, scratch)?,
            Buffer::Variable(_) | Buffer::Lists(_) | Buffer::Maps(_) => {
                drop(chunk);
                return self.array(field, &to_array(buffer.take(), kind)?);
            }
        };
        self.leaf += 1;
        self.writer.append_column(&octets, close)?;
        self.memory.keep(octets);
        Ok(())
    }

    /// A column without any value.
    fn nulls(&mut self, field: &Field, rows: usize) -> Result<(), ParquetError> {
        let columns = &self.format.columns;
        while self.leaf < columns.num_columns() && columns.get_column_root(self.leaf).name() == field.name() {
            let codec = compress::codec(self.format.compression);
            let octets = std::mem::take(&mut self.memory.octets);
            let chunk = Chunk::new(columns.column(self.leaf), codec, &mut self.memory.pages, octets);
            let (octets, close) = chunk.nulls(rows)?;
            self.writer.append_column(&octets, close)?;
            self.memory.keep(octets);
            self.leaf += 1;
        }
        Ok(())
    }

    /// A column as the `parquet` crate encodes it.
    fn array(&mut self, field: &Field, array: &ArrayRef) -> Result<(), ParquetError> {
        let schema = Arc::new(Schema::new(vec![field.clone()]));
        let columns = ArrowSchemaConverter::new().convert(&schema)?;
        let properties = Arc::clone(&self.format.properties);
        let nowhere = SerializedFileWriter::new(io::sink(), columns.root_schema_ptr(), properties)?;
        let mut writers = ArrowRowGroupWriterFactory::new(&nowhere, schema).create_column_writers(0)?;
        for (leaf, writer) in compute_leaves(field, array)?.iter().zip(&mut writers) {
            writer.write(leaf)?;
        }
        for writer in writers {
            writer.close()?.append_to_row_group(&mut self.writer)?;
            self.leaf += 1;
        }
        Ok(())
    }
}

/// How the `parquet` crate encodes what is left to it.
pub(crate) fn properties(compression: Compression, elements: &[ExtraColumn]) -> WriterProperties {
    let codec: Codec = compress::codec(compression);
    let mut builder = WriterProperties::builder()
        .set_compression(codec)
        .set_max_row_group_row_count(Some(limits::ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(limits::PAGE_ROWS)
        .set_write_batch_size(1_024)
        .set_dictionary_enabled(true)
        .set_dictionary_page_size_limit(limits::DICTIONARY_BYTES_MAX)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(concat!("flowcapd ", env!("CARGO_PKG_VERSION")).to_owned());
    let table = COLUMNS.iter().map(|column| (column.name, column.kind));
    let extra = elements.iter().map(|column| (column.name.as_str(), column.kind()));
    for (name, _) in table.chain(extra).filter(|(_, kind)| *kind == Kind::Timestamp) {
        builder = delta_encoded(builder, name);
    }
    for column in FILTERED {
        let path = || ColumnPath::from(column.name());
        // Made for a row group of distinct values, then folded to those there are.
        builder = builder
            .set_column_bloom_filter_enabled(path(), true)
            .set_column_bloom_filter_fpp(path(), FALSE_POSITIVES);
    }
    builder.build()
}

/// Times grow slowly: deltas are smaller than a dictionary of them.
fn delta_encoded(builder: WriterPropertiesBuilder, name: &str) -> WriterPropertiesBuilder {
    let path = || ColumnPath::from(name);
    builder
        .set_column_dictionary_enabled(path(), false)
        .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED)
}
