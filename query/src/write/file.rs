//! A file being written under a hidden name: whole and durable when it gets its own, and never
//! in place of another unless that is asked for.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use flow_common::addr::Addr16;
use flow_common::column::{COLUMNS, ColumnId, ExtraColumn, Kind};
use flow_common::footer::{Contribution, ExporterTable, Footer, Totals};
use flow_common::layout::Slot;
use flow_common::time::Timestamp;
use flow_common::{limits, schema};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::Rows;
use crate::message::reason;

/// Who says that it wrote a file.
pub(super) const WRITER: &str = concat!("flowdump ", env!("CARGO_PKG_VERSION"));

/// Columns one host is looked for in: a Bloom filter tells whether it can be there.
const FILTERED: [ColumnId; 4] =
    [ColumnId::SrcAddr, ColumnId::DstAddr, ColumnId::PostNatSrcAddr, ColumnId::PostNatDstAddr];

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("can't write `{path}`: {}", reason(.source))]
    Io { path: PathBuf, source: io::Error },
    #[error("can't write `{path}`: {source}")]
    Encode { path: PathBuf, source: ParquetError },
    #[error("can't make columns of rows: {0}")]
    Arrays(#[from] ArrowError),
    #[error("`{0}` is there already")]
    Exists(PathBuf),
}

/// What a file says about itself beyond its rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provenance {
    pub(crate) ident: String,
    /// See [`Footer::imported_from`].
    pub(crate) imported_from: Vec<String>,
}

/// What another collector counted of an exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) addr: IpAddr,
    pub(crate) version: u16,
    pub(crate) domain: Option<u32>,
    pub(crate) datagrams: u64,
    /// Datagrams before which sequence numbers were missing.
    pub(crate) gaps: u64,
}

/// A file being written.
pub(crate) struct NewFile {
    /// `None` once it has its own name.
    unfinished: Option<PathBuf>,
    /// While there is one, the directory is not changed for another.
    held: Option<Flock<File>>,
    directory: PathBuf,
    writer: ArrowWriter<File>,
    extra: Vec<ExtraColumn>,
    totals: Totals,
    exporters: ExporterTable,
    told: Vec<Told>,
    rows: u64,
    /// First and last receive time, µs.
    received: Option<(i64, i64)>,
}

impl NewFile {
    /// Begins a file in `directory`, which is created where it is missing.
    pub(crate) fn create(
        directory: &Path,
        stem: &str,
        rows: &Rows,
        extra: &[ExtraColumn],
    ) -> Result<Self, WriteError> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let failed = |path: &Path, source| WriteError::Io { path: path.to_owned(), source };
        create_directory(directory).map_err(|error| failed(directory, error))?;
        let path = directory.join(format!(".{stem}.{}.tmp", std::process::id()));
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| failed(directory, error))?;
        match Self::of(file, directory, rows, extra) {
            Ok(mut begun) => {
                begun.unfinished = Some(path);
                Ok(begun)
            }
            Err(error) => {
                // Nothing is left to do where even that fails.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// As [`Self::create`], in a directory of a tree that may be compacted: as long as the file is
    /// being made, nobody puts another directory in its place.
    pub(crate) fn create_in_tree(directory: &Path, stem: &str, rows: &Rows) -> Result<Self, WriteError> {
        let held = create_directory(directory).and_then(|()| hold(directory));
        let held = held.map_err(|source| WriteError::Io { path: directory.to_owned(), source })?;
        let mut begun = Self::create(directory, stem, rows, &[])?;
        begun.held = Some(held);
        Ok(begun)
    }

    /// Begins a file without a name, to be copied.
    pub(crate) fn unnamed(rows: &Rows, extra: &[ExtraColumn]) -> Result<Self, WriteError> {
        let directory = std::env::temp_dir();
        let failed = |source| WriteError::Io { path: directory.clone(), source };
        Self::of(tempfile::tempfile().map_err(failed)?, &directory, rows, extra)
    }

    fn of(file: File, directory: &Path, rows: &Rows, extra: &[ExtraColumn]) -> Result<Self, WriteError> {
        let writer = ArrowWriter::try_new(file, SchemaRef::clone(rows.schema()), Some(properties(extra)));
        let directory = directory.to_owned();
        let writer = writer.map_err(|source| WriteError::Encode { path: directory.clone(), source })?;
        Ok(Self {
            unfinished: None,
            held: None,
            directory,
            writer,
            extra: extra.to_vec(),
            totals: Totals::default(),
            exporters: ExporterTable::default(),
            told: Vec::new(),
            rows: 0,
            received: None,
        })
    }

    /// Rows written so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes what was gathered.
    pub(crate) fn write(&mut self, rows: &mut Rows) -> Result<(), WriteError> {
        self.totals.add(&rows.totals());
        for row in 0..rows.len() {
            self.note(rows, row);
        }
        self.rows = self.rows.saturating_add(rows.len() as u64);
        let batch: RecordBatch = rows.take()?;
        self.writer.write(&batch).map_err(|source| WriteError::Encode { path: self.path(), source })
    }

    fn note(&mut self, rows: &Rows, row: usize) {
        if let Some(at) = rows.int(ColumnId::Received, row) {
            let (first, last) = self.received.unwrap_or((at, at));
            self.received = Some((first.min(at), last.max(at)));
        }
        let Some(addr) = rows.address(ColumnId::ExporterAddr, row) else { return };
        let version = rows.int(ColumnId::ExportVersion, row).and_then(|version| u16::try_from(version).ok());
        let domain = rows.int(ColumnId::ObservationDomain, row).and_then(|domain| u32::try_from(domain).ok());
        let is_event = rows.int(ColumnId::Contributes, row) == Some(0);
        let contribution = Contribution {
            flows: u64::from(!is_event),
            events: u64::from(is_event),
            ..Contribution::default()
        };
        let (addr, version) = (Addr16(addr).to_ip(), version.unwrap_or(0));
        self.exporters.add(addr, version, domain, Timestamp::default(), contribution);
    }

    fn path(&self) -> PathBuf {
        self.unfinished.clone().unwrap_or_else(|| self.directory.clone())
    }

    /// Notes what was counted of an exporter; false where no row is from it.
    pub(crate) fn tell(&mut self, told: &Told) -> bool {
        let is_there = self.exporters.has(told.addr, told.version, told.domain);
        if is_there {
            self.told.push(told.clone());
        }
        is_there
    }

    /// Ends the file. The slot is that of its rows where none is given.
    fn finish(&mut self, slot: Option<Slot>, provenance: Provenance) -> Result<(), WriteError> {
        let mut exporters = self.exporters.take();
        // How many datagrams there were only who received them may know.
        for exporter in &mut exporters {
            let is_it = |told: &&Told| {
                (Some(told.addr), told.version, told.domain)
                    == (exporter.addr, exporter.version, exporter.domain)
            };
            let told = self.told.iter().find(is_it);
            (exporter.datagrams, exporter.gaps) = told.map_or((0, 0), |told| (told.datagrams, told.gaps));
        }
        let footer = Footer {
            schema_version: schema::SCHEMA_VERSION,
            writer: WRITER.to_owned(),
            ident: provenance.ident,
            slot: slot.unwrap_or_else(|| slot_of(self.received)),
            totals: self.totals,
            exporters,
            kernel_dropped: 0,
            elements: self.extra.clone(),
            replaces: Vec::new(),
            compacts: Vec::new(),
            imported_from: provenance.imported_from,
            journal: None,
        };
        for (key, value) in footer.to_metadata() {
            self.writer.append_key_value_metadata(KeyValue::new(key, value));
        }
        let finished = self.writer.finish();
        finished.map(drop).map_err(|source| WriteError::Encode { path: self.path(), source })
    }

    /// Ends the file and gives it the first free one of its names.
    pub(crate) fn publish(
        mut self,
        slot: Option<Slot>,
        provenance: Provenance,
        names: impl Iterator<Item = String>,
        may_replace: bool,
    ) -> Result<PathBuf, WriteError> {
        self.finish(slot, provenance)?;
        let path = self.path();
        let failed = |path: &Path, source| WriteError::Io { path: path.to_owned(), source };
        self.writer.inner().sync_all().map_err(|error| failed(&path, error))?;
        let mut taken = path.clone();
        for name in names {
            let target = self.directory.join(name);
            let renamed = if may_replace { rename_over(&path, &target) } else { rename_new(&path, &target) };
            match renamed {
                Ok(()) => {
                    self.unfinished = None;
                    sync_directory(&self.directory).map_err(|error| failed(&target, error))?;
                    return Ok(target);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = target,
                Err(error) => return Err(failed(&target, error)),
            }
        }
        Err(WriteError::Exists(taken))
    }

    /// Ends the file and copies it; an error of `out` is the outer one.
    pub(crate) fn copy(
        mut self,
        provenance: Provenance,
        out: &mut dyn Write,
    ) -> io::Result<Result<(), WriteError>> {
        if let Err(error) = self.finish(None, provenance) {
            return Ok(Err(error));
        }
        let mut file = self.writer.inner();
        file.seek(SeekFrom::Start(0))?;
        io::copy(&mut file, out)?;
        Ok(Ok(()))
    }
}

/// Takes the lock that `flowcapd compact` takes alone.
fn hold(directory: &Path) -> io::Result<Flock<File>> {
    loop {
        let opened = File::open(directory)?;
        let locked =
            Flock::lock(opened, FlockArg::LockShared).map_err(|(_, errno)| io::Error::from(errno))?;
        let (own, now) = (locked.metadata()?, fs::metadata(directory)?);
        if (own.dev(), own.ino()) == (now.dev(), now.ino()) {
            return Ok(locked);
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(path) = &self.unfinished {
            // Hidden, so it harms nobody where that fails.
            let _ = fs::remove_file(path);
        }
    }
}

/// The seconds rows were received in.
fn slot_of(received: Option<(i64, i64)>) -> Slot {
    let (first, last) = received.unwrap_or((0, 0));
    let secs = |micros: i64| micros.div_euclid(1_000_000);
    Slot { start_secs: secs(first), end_secs: secs(last).saturating_add(1) }
}

fn properties(extra: &[ExtraColumn]) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(limits::ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(limits::PAGE_ROWS)
        .set_write_batch_size(1_024)
        .set_dictionary_enabled(true)
        .set_dictionary_page_size_limit(limits::DICTIONARY_BYTES_MAX)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(WRITER.to_owned());
    let table = COLUMNS.iter().map(|column| (column.name, column.kind));
    let extra = extra.iter().map(|column| (column.name.as_str(), column.kind()));
    for (name, _) in table.chain(extra).filter(|(_, kind)| *kind == Kind::Timestamp) {
        // Times grow slowly: deltas are smaller than a dictionary of them.
        builder = builder
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    for column in FILTERED {
        builder = builder.set_column_bloom_filter_enabled(ColumnPath::from(column.name()), true);
    }
    builder.build()
}

/// Gives a file its name, unless there is one of that name.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // Some file systems (NFS, old FUSE) lack the flag; link(2) never replaces.
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        result => result.map_err(io::Error::from),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place; its caller was asked to replace")]
pub(super) fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Creates a directory and what is missing above it, each durable in its parent.
pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_directory(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_directory(parent)
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
