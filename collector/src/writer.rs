//! Slot files: batches become row groups of a hidden part, and the part becomes
//! visible when the slot closes.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::Schema;
use flow_common::column::{COLUMNS, ColumnId, ExtraColumn, Kind};
use flow_common::footer::{Exporter, Footer, Totals};
use flow_common::layout::{STATE_DIR, Slot};
use flow_common::tables::Row;
use flow_common::{limits, schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::batch::to_record_batch;
use crate::durable;
use crate::flow::FlowBatch;
use crate::tables;

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("cannot create `{path}`: {source}")]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot read `{path}`: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write `{path}`: {source}")]
    Write { path: PathBuf, source: ParquetError },
    #[error("cannot publish `{path}`: {source}")]
    Publish { path: PathBuf, source: io::Error },
}

/// What the files of a collector have in common.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    root: PathBuf,
    ident: String,
    /// Columns beyond the table that flow records have.
    elements: Vec<ExtraColumn>,
    properties: Arc<WriterProperties>,
}

/// Which records a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Flows,
    /// Options data records, beside the flow records where no glob finds them.
    Options,
}

/// A file being written.
pub(crate) struct SlotFile {
    part: PathBuf,
    writer: ArrowWriter<File>,
    schema: Arc<Schema>,
    elements: Vec<ExtraColumn>,
    slot: Slot,
    content: Content,
    totals: Totals,
    rows: u64,
}

/// What the footer says beyond the records themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct SlotFacts {
    pub(crate) exporters: Vec<Exporter>,
    pub(crate) kernel_dropped: u64,
}

impl Store {
    pub(crate) fn new(root: PathBuf, ident: String, elements: Vec<ExtraColumn>) -> Self {
        let properties = Arc::new(properties(&elements));
        Self { root, ident, elements, properties }
    }

    /// Creates the root, so that a directory that can't be written ends the
    /// program at its start and not at the end of the first slot.
    pub(crate) fn prepare(&self) -> Result<(), WriteError> {
        let create = |source| WriteError::Create { path: self.root.clone(), source };
        durable::create_directory(&self.root).map_err(create)?;
        probe(&self.root).map_err(create)
    }

    /// The decoder's state as last saved; `None` where there is none.
    pub(crate) fn read_state(&self) -> Result<Option<Vec<u8>>, WriteError> {
        let path = self.state_path();
        let read = || {
            let mut bytes = Vec::new();
            let n_bytes = File::open(&path)?.take(limits::STATE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            if n_bytes as u64 > limits::STATE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than any state"));
            }
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(WriteError::Read { path, source }),
        }
    }

    /// Saves the decoder's state.
    pub(crate) fn save_state(&self, bytes: &[u8]) -> Result<(), WriteError> {
        let path = self.state_path();
        durable::replace(&path, bytes).map_err(|source| WriteError::Publish { path, source })
    }

    /// The rows of a side table; none where there is no table.
    pub(crate) fn read_table<R: Row>(&self) -> Result<Vec<R>, WriteError> {
        let path = self.table_path::<R>();
        match tables::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            result => result.map_err(|source| WriteError::Read { path, source }),
        }
    }

    /// Replaces a side table by these rows; an empty one is left out.
    pub(crate) fn save_table<R: Row>(&self, rows: &[R]) -> Result<(), WriteError> {
        let path = self.table_path::<R>();
        if rows.is_empty() && !path.exists() {
            return Ok(());
        }
        let encoded = tables::encode(rows, (*self.properties).clone());
        let bytes = encoded.map_err(|source| WriteError::Write { path: path.clone(), source })?;
        durable::replace(&path, &bytes).map_err(|source| WriteError::Publish { path, source })
    }

    fn table_path<R: Row>(&self) -> PathBuf {
        self.root.join(STATE_DIR).join(R::FILE)
    }

    fn state_path(&self) -> PathBuf {
        self.root.join(STATE_DIR).join("state")
    }

    pub(crate) fn create(&self, slot: Slot, content: Content) -> Result<SlotFile, WriteError> {
        let directory = match content {
            Content::Flows => self.root.join(slot.directory()),
            Content::Options => self.root.join(STATE_DIR).join("options").join(slot.directory()),
        };
        durable::create_directory(&directory)
            .map_err(|source| WriteError::Create { path: directory.clone(), source })?;
        let (part, file) = create_part(&directory, slot)?;
        // Options data records keep every field in `other`.
        let elements = match content {
            Content::Flows => self.elements.clone(),
            Content::Options => Vec::new(),
        };
        let schema = Arc::new(schema::schema_with(&elements));
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some((*self.properties).clone()))
            .map_err(|source| WriteError::Write { path: part.clone(), source })?;
        Ok(SlotFile { part, writer, schema, elements, slot, content, totals: Totals::default(), rows: 0 })
    }

    /// Completes a file and makes it visible; returns its path.
    pub(crate) fn publish(&self, file: SlotFile, facts: SlotFacts) -> Result<PathBuf, WriteError> {
        let SlotFile { part, mut writer, elements, slot, content, totals, rows, .. } = file;
        let footer = Footer {
            schema_version: schema::SCHEMA_VERSION,
            writer: concat!("flowcapd ", env!("CARGO_PKG_VERSION")).to_owned(),
            ident: self.ident.clone(),
            slot,
            totals,
            exporters: facts.exporters,
            kernel_dropped: facts.kernel_dropped,
            elements,
            replaces: Vec::new(),
            journal: None,
        };
        for (key, value) in footer.to_metadata() {
            writer.append_key_value_metadata(KeyValue::new(key, value));
        }
        let write = |source| WriteError::Write { path: part.clone(), source };
        let metadata = writer.finish().map_err(write)?;
        assert_eq!(
            metadata.file_metadata().num_rows(),
            rows as i64,
            "the footer disagrees with the batches written"
        );
        let file = writer.inner();
        let name = |n| match content {
            Content::Flows => slot.file_name(n),
            Content::Options => slot.options_name(n),
        };
        durable::publish(file, &part, name)
            .map_err(|source| WriteError::Publish { path: part.clone(), source })
    }
}

/// A file that could be created and removed: the directory can be written.
fn probe(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".flowcap.probe.{}", std::process::id()));
    File::create(&path)?;
    std::fs::remove_file(&path)
}

/// Creates the first part whose name is free: a part left by a crash stays.
fn create_part(directory: &Path, slot: Slot) -> Result<(PathBuf, File), WriteError> {
    for n in 0.. {
        let path = directory.join(slot.part_name(n));
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(WriteError::Create { path, source }),
        }
    }
    unreachable!("2³² parts of one slot")
}

impl SlotFile {
    /// Appends a batch as one row group.
    pub(crate) fn write(&mut self, batch: FlowBatch) -> Result<(), WriteError> {
        add_totals(&mut self.totals, &batch);
        let rows = batch.rows() as u64;
        let result = to_record_batch(batch, &self.elements, &self.schema)
            .map_err(ParquetError::from)
            .and_then(|record_batch| self.writer.write(&record_batch))
            .and_then(|()| self.writer.flush());
        result.map_err(|source| WriteError::Write { path: self.part.clone(), source })?;
        self.rows += rows;
        Ok(())
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Removes what was written: the file is abandoned.
    pub(crate) fn abandon(self) {
        // Nothing is left to do where even that fails; the part stays hidden.
        let _ = std::fs::remove_file(&self.part);
    }
}

fn add_totals(totals: &mut Totals, batch: &FlowBatch) {
    for row in 0..batch.rows() {
        let integer = |column| batch.integer(column, row);
        let counter = |column| integer(column).map_or(0, i64::cast_unsigned);
        let protocol = integer(ColumnId::Protocol).and_then(|number| u8::try_from(number).ok());
        let flows = integer(ColumnId::FlowCount).map_or(1, i64::cast_unsigned);
        if integer(ColumnId::Contributes) == Some(0) {
            totals.add_event();
        } else {
            totals.add_record(protocol, flows, counter(ColumnId::Packets), counter(ColumnId::Bytes));
        }
        let (start, end) = (integer(ColumnId::FlowStart), integer(ColumnId::FlowEnd));
        totals.add_span(start.or(end), end.or(start));
    }
}

/// How files are encoded; the reasons stand in ARCHITECTURE.md.
fn properties(elements: &[ExtraColumn]) -> WriterProperties {
    let zstd = ZstdLevel::try_new(1).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(zstd))
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
    builder.build()
}

/// Times grow slowly: deltas are smaller than a dictionary of them.
fn delta_encoded(builder: WriterPropertiesBuilder, name: &str) -> WriterPropertiesBuilder {
    let path = || ColumnPath::from(name);
    builder
        .set_column_dictionary_enabled(path(), false)
        .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED)
}
