//! Parts → one visible file. Large row groups are copied as they are; small ones are
//! decoded and written together.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flow_common::footer::{Exporter, Footer};
use flow_common::layout::{Slot, parse_hour_name, parse_slot_name};
use flow_common::limits;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::SerializedFileWriter;

use super::{Content, Part, Store, WriteError, read_part};
use crate::durable;
use crate::fs::{Appender, FsFile, read_full_at};
use crate::tables;

/// Key under which Arrow keeps its schema in a file.
const ARROW_SCHEMA: &str = "ARROW:schema";

/// A file as the Parquet reader wants it.
#[derive(Debug)]
pub(crate) struct PartReader {
    file: Arc<dyn FsFile>,
    n_bytes: u64,
}

impl PartReader {
    pub(crate) fn new(file: Box<dyn FsFile>) -> io::Result<Self> {
        let n_bytes = file.bytes()?;
        Ok(Self { file: Arc::from(file), n_bytes })
    }
}

/// Octets of a file from a position on, read as they are asked for.
#[derive(Debug)]
pub(crate) struct ReadFrom {
    file: Arc<dyn FsFile>,
    at: u64,
}

impl Read for ReadFrom {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n_read = self.file.read_at(bytes, self.at)?;
        self.at += n_read as u64;
        Ok(n_read)
    }
}

impl Length for PartReader {
    fn len(&self) -> u64 {
        self.n_bytes
    }
}

impl ChunkReader for PartReader {
    type T = BufReader<ReadFrom>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let from = ReadFrom { file: Arc::clone(&self.file), at: start };
        Ok(BufReader::with_capacity(limits::COPY_BUFFER_BYTES, from))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if start.saturating_add(length as u64) > self.len() {
            return Err(ParquetError::EOF(format!("{length} octets at {start}")));
        }
        let mut bytes = vec![0; length];
        let n_read = read_full_at(&*self.file, &mut bytes, start)?;
        bytes.truncate(n_read);
        Ok(bytes.into())
    }
}

/// Whether these octets are a Parquet file, as far as its metadata says.
pub(super) fn is_sound(bytes: Bytes) -> bool {
    tables::metadata(&bytes).is_ok()
}

/// What became of a slot's parts.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Visible files and their records.
    pub(crate) files: Vec<(PathBuf, u64)>,
    /// Why not all parts are visible; what is not stays hidden, and a start tries again.
    pub(crate) error: Option<WriteError>,
}

impl Store {
    /// Makes the parts of a slot visible: merged into one file, or each by itself.
    pub(crate) fn publish(&self, slot: Slot, content: Content, parts: Vec<Part>, merges: bool) -> Published {
        let mut published = Published::default();
        let mut rest = parts.into_iter().peekable();
        while let Some(first) = rest.next() {
            // Files of one schema in one directory; an operator may have defined columns, or
            // chosen another hierarchy, in between.
            let mut group = vec![first];
            let is_alike = |part: &Part, first: &Part| {
                part.footer.elements == first.footer.elements && part.path.parent() == first.path.parent()
            };
            while let Some(part) = rest.next_if(|part| is_alike(part, &group[0])) {
                group.push(part);
            }
            if merges && group.len() > 1 {
                match self.merge(slot, content, &group) {
                    Ok(path) => {
                        published.files.push((path, group.iter().map(|part| part.rows).sum()));
                        continue;
                    }
                    Err(error) => tracing::warn!("{error}; its parts become files of their own"),
                }
            }
            for part in group {
                match self.reveal(slot, content, &part.path) {
                    Ok((path, _)) => published.files.push((path, part.rows)),
                    Err(error) => published.error = Some(error),
                }
            }
        }
        published
    }

    /// Gives a whole file its visible name.
    fn reveal(&self, slot: Slot, content: Content, path: &Path) -> Result<(PathBuf, bool), WriteError> {
        let first = self.first_free(slot, path.parent().unwrap_or(path));
        let name = |n: u32| match content {
            Content::Flows => slot.file_name(first.saturating_add(n)),
            Content::Options => slot.options_name(first.saturating_add(n)),
        };
        let publish = |source| WriteError::Publish { path: path.to_owned(), source };
        durable::publish(&*self.fs, path, name).map_err(publish)
    }

    /// First number of a slot's files that none ever had: what a file of the whole hour has
    /// taken the place of is gone, and a query may have listed it.
    fn first_free(&self, slot: Slot, directory: &Path) -> u32 {
        let Ok(names) = self.fs.list(directory) else { return 0 };
        let mut first = 0;
        for name in names.iter().filter_map(|name| name.to_str()) {
            if parse_hour_name(name).is_none() {
                continue;
            }
            match read_part(&*self.fs, &directory.join(name)) {
                Ok(part) => {
                    let used = part.footer.compacts.iter().filter_map(|name| parse_slot_name(name));
                    let used = used.filter(|(start_secs, _)| *start_secs == slot.start_secs);
                    first = used.map(|(_, n)| n.saturating_add(1)).fold(first, u32::max);
                }
                Err(error) => {
                    tracing::warn!("{error}; files are numbered from far beyond those there may be");
                    return limits::SLOT_PARTS_MAX.saturating_add(std::process::id());
                }
            }
        }
        first
    }

    /// Merges parts of one schema into a visible file, and removes them.
    fn merge(&self, slot: Slot, content: Content, parts: &[Part]) -> Result<PathBuf, WriteError> {
        let Some(first) = parts.first() else { unreachable!("a slot without parts is not published") };
        let unfinished = first.path.with_extension("tmp");
        let written = self.write_merged(&unfinished, parts);
        let revealed = written.and_then(|()| self.reveal(slot, content, &unfinished));
        let (path, is_durable) = revealed.inspect_err(|_| {
            // Nothing is left to do where even that fails; a start removes it.
            let _ = self.fs.remove(&unfinished);
        })?;
        // Where its name may vanish with the power, a start removes them.
        if is_durable {
            parts.iter().for_each(|part| self.remove(part));
        }
        Ok(path)
    }

    fn write_merged(&self, path: &Path, parts: &[Part]) -> Result<(), WriteError> {
        let create = |source| WriteError::Create { path: path.to_owned(), source };
        let encode = |source| WriteError::Encode { path: path.to_owned(), source };
        let appender = Appender::new(self.fs.create_new(path).map_err(create)?);
        let mut merge = Merge { store: self, writer: None, small: Vec::new(), small_rows: 0 };
        let mut appender = Some(appender);
        for part in parts {
            merge.add(part, &mut appender).map_err(encode)?;
        }
        let mut footer = merged_footer(parts);
        let name = |part: &Part| part.path.file_name().map(|name| name.to_string_lossy().into_owned());
        footer.replaces = parts.iter().filter_map(name).collect();
        let file = merge.finish(&mut appender, &footer).map_err(encode)?.into_file();
        file.sync().map_err(|source| WriteError::Write { path: path.to_owned(), source })
    }

    fn open_part(&self, part: &Part) -> ParquetResult<(PartReader, ParquetMetaData)> {
        let reader = PartReader::new(self.fs.open(&part.path)?)?;
        let metadata = tables::metadata(&reader)?;
        Ok((reader, metadata))
    }
}

/// A file being merged.
struct Merge<'a> {
    store: &'a Store,
    writer: Option<SerializedFileWriter<Appender>>,
    /// Parts too small for a row group of their own, and their rows.
    small: Vec<PathBuf>,
    small_rows: u64,
}

impl Merge<'_> {
    fn add(&mut self, part: &Part, appender: &mut Option<Appender>) -> ParquetResult<()> {
        let (reader, metadata) = self.store.open_part(part)?;
        if self.writer.is_none() {
            let schema = metadata.file_metadata().schema_descr().root_schema_ptr();
            let appender = appender.take().ok_or_else(|| ParquetError::General("it is begun".to_owned()))?;
            let mut writer =
                SerializedFileWriter::new(appender, schema, Arc::new(self.store.properties.clone()))?;
            let pairs = metadata.file_metadata().key_value_metadata();
            for pair in pairs.into_iter().flatten().filter(|pair| pair.key == ARROW_SCHEMA) {
                writer.append_key_value_metadata(pair.clone());
            }
            self.writer = Some(writer);
        }
        if part.rows < limits::ROW_GROUP_ROWS as u64 / 2 {
            if self.small_rows + part.rows > limits::ROW_GROUP_ROWS as u64 {
                self.write_small()?;
            }
            self.small.push(part.path.clone());
            self.small_rows += part.rows;
            return Ok(());
        }
        // Rows stay in the order they came.
        self.write_small()?;
        self.copy(&reader, &metadata)
    }

    /// Copies row groups as they are.
    fn copy<R: ChunkReader>(&mut self, reader: &R, metadata: &ParquetMetaData) -> ParquetResult<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        for (index, group) in metadata.row_groups().iter().enumerate() {
            let columns = metadata.column_index().and_then(|groups| groups.get(index));
            let offsets = metadata.offset_index().and_then(|groups| groups.get(index));
            let mut out = writer.next_row_group()?;
            for (n, column) in group.columns().iter().enumerate() {
                let close = ColumnCloseResult {
                    bytes_written: column.compressed_size().cast_unsigned(),
                    rows_written: group.num_rows().cast_unsigned(),
                    metadata: column.clone(),
                    bloom_filter: Sbbf::read_from_column_chunk(column, reader)?,
                    column_index: columns.and_then(|columns| columns.get(n)).cloned(),
                    offset_index: offsets.and_then(|offsets| offsets.get(n)).cloned(),
                };
                out.append_column(reader, close)?;
            }
            out.close()?;
        }
        Ok(())
    }

    /// Writes the rows of small parts together.
    fn write_small(&mut self) -> ParquetResult<()> {
        self.small_rows = 0;
        let paths = std::mem::take(&mut self.small);
        let open =
            |path: &PathBuf| -> ParquetResult<PartReader> { Ok(PartReader::new(self.store.fs.open(path)?)?) };
        if let [path] = paths.as_slice() {
            let reader = open(path)?;
            let metadata = tables::metadata(&reader)?;
            return self.copy(&reader, &metadata);
        }
        let mut together: Option<ArrowWriter<Vec<u8>>> = None;
        for path in &paths {
            for batch in ParquetRecordBatchReaderBuilder::try_new(open(path)?)?.build()? {
                let batch = batch?;
                let writer = match &mut together {
                    Some(writer) => writer,
                    None => together.insert(ArrowWriter::try_new(
                        Vec::new(),
                        batch.schema(),
                        Some(self.store.properties.clone()),
                    )?),
                };
                writer.write(&batch)?;
            }
        }
        let Some(together) = together else { return Ok(()) };
        let bytes = Bytes::from(together.into_inner()?);
        let metadata = tables::metadata(&bytes)?;
        self.copy(&bytes, &metadata)
    }

    fn finish(mut self, appender: &mut Option<Appender>, footer: &Footer) -> ParquetResult<Appender> {
        self.write_small()?;
        let Some(mut writer) = self.writer else {
            return appender.take().ok_or_else(|| ParquetError::General("nothing to write to".to_owned()));
        };
        for (key, value) in footer.to_metadata() {
            writer.append_key_value_metadata(KeyValue::new(key, value));
        }
        writer.into_inner()
    }
}

/// The footer of all parts together, but for what it takes the place of.
pub(crate) fn merged_footer(parts: &[Part]) -> Footer {
    let mut footers = parts.iter().map(|part| part.footer.clone());
    let Some(mut all) = footers.next() else { unreachable!("a slot without parts is not published") };
    for footer in footers {
        all.totals.add(&footer.totals);
        all.kernel_dropped += footer.kernel_dropped;
        all.imported_from.extend(footer.imported_from);
        footer.exporters.into_iter().for_each(|exporter| add_exporter(&mut all.exporters, exporter));
        all.journal = match (all.journal, footer.journal) {
            (Some(mut range), Some(other)) if range.id == other.id => {
                (range.from, range.to) = (range.from.min(other.from), range.to.max(other.to));
                Some(range)
            }
            (range, other) => other.or(range),
        };
    }
    all.exporters.sort_by_key(|exporter| std::cmp::Reverse(exporter.flows));
    all.replaces.clear();
    all
}

/// Adds what an exporter contributed to another part; beyond the bound, to those
/// without an address.
fn add_exporter(exporters: &mut Vec<Exporter>, new: Exporter) {
    let key = |exporter: &Exporter| (exporter.addr, exporter.version, exporter.domain);
    let is_full = exporters.len() >= limits::FOOTER_EXPORTERS_MAX;
    let known = exporters.iter().position(|known| key(known) == key(&new));
    let beyond = || exporters.iter().position(|known| known.addr.is_none());
    match known.or_else(|| if is_full { beyond() } else { None }) {
        Some(index) => {
            let Some(known) = exporters.get_mut(index) else { return };
            known.add(&new);
        }
        None if is_full => exporters.push(Exporter { addr: None, version: 0, domain: None, ..new }),
        None => exporters.push(new),
    }
}
