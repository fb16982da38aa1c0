//! A tree of files: parts, the slot files they become, and what a restart finds.
//!
//! A part is a complete Parquet file of one row group, hidden. At the end of a slot
//! its parts become one visible file, whose metadata names them; then they are removed.
//!
//! **Invariant:** a part is *committed* when a checkpoint behind its journal range is
//! durable. A start removes parts that are not: the journal has their records. Nothing
//! becomes visible before it is committed.

mod merge;
mod recover;
mod totals;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_common::column::ExtraColumn;
use flow_common::footer::{Exporter, Footer, JournalRange};
use flow_common::layout::{Hierarchy, STATE_DIR, Slot};
use flow_common::tables::Row;
use flow_common::{limits, schema};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::config::{Compression, Config};
use crate::encode::{self, Encoder, Format};
use crate::exec::Published;
use crate::flow::FlowBatch;
use crate::fs::{self, Fs, FsFile, write_all_at};
use crate::trees::Tree;
use crate::{durable, tables};

pub(crate) use self::merge::{PartReader, merged_footer};
pub(crate) use self::recover::{Recovered, journal_name, read_part};
pub(crate) use self::totals::totals;

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("cannot create `{path}`: {source}")]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot read `{path}`: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write `{path}`: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot encode `{path}`: {source}")]
    Encode { path: PathBuf, source: ParquetError },
    #[error("cannot publish `{path}`: {source}")]
    Publish { path: PathBuf, source: io::Error },
}

impl WriteError {
    /// Whether a file was read and is not what was written; else nobody knows.
    fn is_damage(&self) -> bool {
        let damage = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
        matches!(self, Self::Read { source, .. } if damage.contains(&source.kind()))
    }

    /// Whether there is no room for it.
    pub(crate) fn is_disk_full(&self) -> bool {
        let kind = match self {
            Self::Create { source, .. }
            | Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::Publish { source, .. } => source.kind(),
            Self::Encode { .. } => return false,
        };
        matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Where one tree lies and how its files are made.
#[derive(Debug)]
pub(crate) struct Store {
    fs: Arc<dyn Fs>,
    tree: Tree,
    hierarchy: Hierarchy,
    flows: Arc<Format>,
    /// Options data records keep every field in `other`.
    options: Arc<Format>,
    /// How the `parquet` crate writes what small parts and side tables hold.
    properties: WriterProperties,
}

/// How the files of a collector are made.
#[derive(Debug, Clone)]
pub(crate) struct FileOptions {
    pub(crate) hierarchy: Hierarchy,
    /// Columns beyond the table that flow records have.
    pub(crate) elements: Vec<ExtraColumn>,
    pub(crate) compression: Compression,
}

impl From<&Config> for FileOptions {
    fn from(config: &Config) -> Self {
        Self {
            hierarchy: config.hierarchy,
            elements: config.elements.clone(),
            compression: config.compression,
        }
    }
}

/// Which records a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    Flows,
    /// Options data records, beside the flow records where no glob finds them.
    Options,
}

/// A part, whole and under its name.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) rows: u64,
    pub(crate) n_bytes: u64,
    pub(crate) footer: Footer,
    /// Until it is synced.
    file: Option<Box<dyn FsFile>>,
}

impl Part {
    /// Whether a power loss may still take it.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.file.is_some()
    }
}

/// What the footer says beyond the records themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct SlotFacts {
    pub(crate) exporters: Vec<Exporter>,
    pub(crate) kernel_dropped: u64,
}

/// A part as octets.
pub(crate) struct EncodedPart {
    bytes: Vec<u8>,
    rows: u64,
    footer: Footer,
}

impl Store {
    pub(crate) fn new(fs: Arc<dyn Fs>, tree: Tree, options: FileOptions) -> Self {
        let FileOptions { hierarchy, elements, compression } = options;
        let properties = encode::properties(compression, &elements);
        let [flows, options] =
            [elements, Vec::new()].map(|elements| Arc::new(Format::new(elements, compression)));
        Self { fs, tree, hierarchy, flows, options, properties }
    }

    /// Another tree whose files are made alike.
    pub(crate) fn beside(&self, tree: Tree) -> Self {
        let (flows, options) = (Arc::clone(&self.flows), Arc::clone(&self.options));
        let properties = self.properties.clone();
        Self { fs: Arc::clone(&self.fs), tree, hierarchy: self.hierarchy, flows, options, properties }
    }

    /// The same tree, with other columns beyond the table.
    pub(crate) fn with_elements(&self, elements: Vec<ExtraColumn>) -> Self {
        let compression = self.flows.compression();
        let properties = encode::properties(compression, &elements);
        let flows = Arc::new(Format::new(elements, compression));
        Self { flows, properties, ..self.beside(self.tree.clone()) }
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(crate) fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    pub(crate) fn root(&self) -> &Path {
        &self.tree.root
    }

    /// A file of this store, as hooks are told of it.
    pub(crate) fn published(&self, path: PathBuf, slot: Slot) -> Published {
        let Tree { root, ident } = self.tree.clone();
        Published { root, path, slot, ident }
    }

    /// Creates the root, so that a directory that can't be written ends the
    /// program at its start and not at the end of the first slot.
    pub(crate) fn prepare(&self) -> Result<(), WriteError> {
        let root = &self.tree.root;
        let create = |source| WriteError::Create { path: root.clone(), source };
        durable::create_directory(&*self.fs, root).map_err(create)?;
        let probe = root.join(format!(".flowcap.probe.{}", std::process::id()));
        // A run that was killed just here may have had the same number.
        let made = match self.fs.create_new(&probe) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result.map(drop),
        };
        made.and_then(|()| self.fs.remove(&probe)).map_err(create)
    }

    /// Directory of what is not flow records.
    pub(crate) fn state_directory(&self) -> PathBuf {
        self.tree.root.join(STATE_DIR)
    }

    /// A file of the state directory; `None` where there is none.
    pub(crate) fn read_state(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, WriteError> {
        let path = self.state_directory().join(name);
        fs::read(&*self.fs, &path, bytes_max).map_err(|source| WriteError::Read { path, source })
    }

    /// Replaces a file of the state directory.
    pub(crate) fn save_state(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let path = self.state_directory().join(name);
        durable::replace(&*self.fs, &path, bytes).map_err(|source| WriteError::Write { path, source })
    }

    /// The rows of a side table; none where there is no table.
    pub(crate) fn read_table<R: Row>(&self) -> Result<Vec<R>, WriteError> {
        let path = self.state_directory().join(R::FILE);
        let bytes = self.read_state(R::FILE, limits::TABLE_BYTES_MAX)?;
        let rows = bytes.map(|bytes| tables::read(bytes.into())).transpose();
        rows.map(Option::unwrap_or_default).map_err(|source| WriteError::Read { path, source })
    }

    /// Replaces a side table by these rows; an empty one is left out.
    pub(crate) fn save_table<R: Row>(&self, rows: &[R]) -> Result<(), WriteError> {
        if rows.is_empty() && self.read_state(R::FILE, limits::TABLE_BYTES_MAX)?.is_none() {
            return Ok(());
        }
        let path = self.state_directory().join(R::FILE);
        let bytes = tables::encode(rows, self.properties.clone());
        self.save_state(R::FILE, &bytes.map_err(|source| WriteError::Encode { path, source })?)
    }

    /// Directory of the files of a slot.
    pub(crate) fn directory(&self, slot: Slot, content: Content) -> PathBuf {
        let directory = slot.directory(self.hierarchy);
        match content {
            Content::Flows => self.tree.root.join(directory),
            Content::Options => self.state_directory().join("options").join(directory),
        }
    }

    /// A batch as the octets of a part; its memory may be used again.
    pub(crate) fn encode(
        &self,
        slot: Slot,
        content: Content,
        batch: &mut FlowBatch,
        facts: SlotFacts,
        journal: Option<JournalRange>,
    ) -> Result<EncodedPart, WriteError> {
        let format = if content == Content::Flows { &self.flows } else { &self.options };
        let rows = batch.rows() as u64;
        let footer = Footer {
            schema_version: schema::SCHEMA_VERSION,
            writer: concat!("flowcapd ", env!("CARGO_PKG_VERSION")).to_owned(),
            ident: self.tree.ident.clone(),
            slot,
            totals: totals(batch),
            exporters: facts.exporters,
            kernel_dropped: facts.kernel_dropped,
            elements: format.elements().to_vec(),
            replaces: Vec::new(),
            compacts: Vec::new(),
            imported_from: Vec::new(),
            journal,
        };
        let mut encode = || {
            let mut encoder = Encoder::new(format.take_octets(), format)?;
            encoder.write(batch)?;
            encoder.finish(footer.to_metadata())
        };
        let path = || self.directory(slot, content).join(slot.part_name(0));
        let bytes = encode().map_err(|source| WriteError::Encode { path: path(), source })?;
        Ok(EncodedPart { bytes, rows, footer })
    }

    /// Keeps the memory of a part that was written, for the next one.
    pub(crate) fn reuse(&self, content: Content, encoded: EncodedPart) {
        let format = if content == Content::Flows { &self.flows } else { &self.options };
        format.keep_octets(encoded.bytes);
    }

    /// Writes a part as the n-th of its slot, or the first after it whose name is free.
    /// It can be read from then on, and is durable after [`Self::sync`].
    pub(crate) fn write_part(
        &self,
        content: Content,
        encoded: &EncodedPart,
        n: &mut u32,
    ) -> Result<Part, WriteError> {
        let slot = encoded.footer.slot;
        let directory = self.directory(slot, content);
        loop {
            let path = directory.join(slot.part_name(*n));
            *n += 1;
            match self.write_part_at(&path, encoded) {
                Ok(part) => return Ok(part),
                Err(WriteError::Create { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn write_part_at(&self, path: &Path, encoded: &EncodedPart) -> Result<Part, WriteError> {
        // Nobody takes it for a part until it is whole.
        let unfinished = path.with_extension("tmp");
        let create = |source| WriteError::Create { path: path.to_owned(), source };
        // From here on the hour is not compacted; a file system without locks can't do that.
        let lock = self.fs.lock_directory(path.parent().unwrap_or(path), false);
        let file = self.fs.create_new(&unfinished).map_err(create)?;
        drop(lock);
        let written = write_all_at(&*file, &encoded.bytes, 0)
            .map_err(|source| WriteError::Write { path: path.to_owned(), source })
            .and_then(|()| self.fs.rename_new(&unfinished, path).map_err(create));
        if let Err(error) = written {
            // Nothing is left to do where even that fails; a start removes it.
            let _ = self.fs.remove(&unfinished);
            return Err(error);
        }
        let (rows, footer) = (encoded.rows, encoded.footer.clone());
        let n_bytes = encoded.bytes.len() as u64;
        Ok(Part { path: path.to_owned(), rows, n_bytes, footer, file: Some(file) })
    }

    /// Makes a part durable. One that can't be synced is left and written anew, once:
    /// the page cache may say of it what the disk does not have.
    pub(crate) fn sync(&self, part: &mut Part) -> Result<(), WriteError> {
        let Some(file) = part.file.take() else { return Ok(()) };
        let Err(error) = file.sync() else { return Ok(()) };
        tracing::error!("cannot sync `{}`: {error}; its records are written anew", part.path.display());
        let path = part.path.clone();
        let publish = |source| WriteError::Publish { path: path.clone(), source };
        let mut bytes = vec![0; usize::try_from(part.n_bytes).unwrap_or_default()];
        let n_read = fs::read_full_at(&*file, &mut bytes, 0).map_err(publish)?;
        if n_read < bytes.len() || !merge::is_sound(bytes.clone().into()) {
            return Err(publish(io::Error::other("what was written of it can't be read")));
        }
        drop(file);
        durable::replace(&*self.fs, &part.path, &bytes).map_err(publish)
    }

    /// Removes a part: it is lost, or its records lie elsewhere.
    pub(crate) fn remove(&self, part: &Part) {
        if let Err(error) = self.fs.remove(&part.path) {
            tracing::warn!("cannot remove `{}`: {error}", part.path.display());
        }
    }

    /// Makes the names in a directory durable.
    pub(crate) fn sync_directory(&self, path: &Path) -> Result<(), WriteError> {
        let publish = |source| WriteError::Publish { path: path.to_owned(), source };
        self.fs.sync_directory(path).map_err(publish)
    }
}
