//! Rows as they appear: looks for files that are new, reads what of them was not seen,
//! and hands it on.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use flow_common::column::ColumnId;
use flow_common::layout::{Slot, parse_file_name, parse_part_name};
use flow_common::limits::FOLLOW_ROWS_MAX;
use flow_common::time::Timestamp;
use foldhash::quality::RandomState;

use super::directories::Directories;
use super::rows::{self, Ask, Sink};
use super::watch::{Fresh, Repeats, Rows, Seen, Watch};
use crate::batch::{Batch, Cells};
use crate::columns::{ColumnRef, Columns};
use crate::filter::{Comparator, Predicate, Test};
use crate::output::FileInfo;
use crate::scan::{FlowFile, ReadError};
use crate::tables::Tables;

/// Columns that tell one row from another; none that scaling changes.
const IDENTITY: [ColumnId; 11] = [
    ColumnId::Received,
    ColumnId::ExporterAddr,
    ColumnId::ObservationDomain,
    ColumnId::Sequence,
    ColumnId::FlowStart,
    ColumnId::FlowEnd,
    ColumnId::Protocol,
    ColumnId::SrcAddr,
    ColumnId::DstAddr,
    ColumnId::SrcPort,
    ColumnId::DstPort,
];

/// What became of a look.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Files whose rows were handed on.
    pub(crate) n_files: usize,
    /// The sink wants no more.
    pub(crate) is_full: bool,
    /// Files that could not be read.
    pub(crate) errors: Vec<(PathBuf, ReadError)>,
    /// Files of which rows may be missing, as too many were seen to remember.
    pub(crate) guessed: Vec<PathBuf>,
}

/// Follows the trees below some roots.
#[derive(Debug)]
pub(crate) struct Tail {
    directories: Directories,
    watch: Watch,
    ask: Ask,
    since: Timestamp,
    columns: Columns,
    hasher: RandomState,
}

impl Tail {
    /// The rows received since then that `ask` asks for.
    pub(crate) fn new(roots: Vec<PathBuf>, since: Timestamp, ask: Ask, columns: Columns) -> Self {
        let received =
            Test::Int { column: ColumnId::Received.into(), comparator: Comparator::Ge, value: since.0 };
        let predicate = Predicate::Test(received).and(ask.predicate.as_ref().clone());
        let columns_read = ask.columns.iter().copied().chain(IDENTITY.map(ColumnRef::from));
        let ask = Ask { columns: columns_read.collect(), predicate: Arc::new(predicate), ..ask };
        Self {
            directories: Directories::new(roots, since),
            watch: Watch::new(FOLLOW_ROWS_MAX),
            ask,
            since,
            columns,
            hasher: RandomState::default(),
        }
    }

    /// Hands on what appeared since the last look.
    pub(crate) fn look(&mut self, now: Timestamp, sink: &mut dyn Sink) -> io::Result<Look> {
        let mut fresh = Vec::new();
        for listed in self.directories.changed(now) {
            let (path, identity) = (&listed.path, listed.identity);
            self.watch.listed(path, identity, listed.is_past, &listed.names, &mut fresh);
        }
        let mut look = Look::default();
        if fresh.is_empty() {
            return Ok(look);
        }
        fresh.sort();
        // Rates and names may have come since the last time.
        let mut tables = Tables::default();
        for file in fresh {
            if is_before(&file.name, self.since) {
                continue;
            }
            if let Err(error) = self.file(&file, &mut tables, sink, &mut look)? {
                look.errors.push((file.path(), error));
            }
            if look.is_full {
                return Ok(look);
            }
        }
        look.errors.append(&mut tables.unreadable);
        let directories = &self.directories;
        self.watch.retain(|path| directories.is_watched(path));
        Ok(look)
    }

    fn file(
        &mut self,
        file: &Fresh,
        tables: &mut Tables,
        sink: &mut dyn Sink,
        look: &mut Look,
    ) -> io::Result<Result<(), ReadError>> {
        let path = file.path();
        let opened = match FlowFile::open(&path) {
            Ok(opened) => opened,
            Err(error) if error.is_absence() => {
                // Another file has its rows, or it was retired.
                self.watch.missed(file);
                return Ok(Ok(()));
            }
            Err(error) => return Ok(Err(error)),
        };
        let replaces = opened.footer.as_ref().map_or(&[][..], |footer| &footer.replaces);
        let Repeats::Some(seen) = self.watch.repeats(file, replaces) else { return Ok(Ok(())) };
        if seen.is_a_guess() {
            look.guessed.push(path.clone());
        }
        let mut fresh = FreshRows {
            sink,
            seen,
            rows: file.is_part().then(Rows::default),
            hasher: &self.hasher,
            is_full: false,
            fresh: Vec::new(),
        };
        look.n_files += 1;
        let read = rows::read(&path, opened, &self.ask, (&mut self.columns, tables), &mut fresh)?;
        look.is_full = fresh.is_full;
        self.watch.read(file, fresh.rows, fresh.seen);
        Ok(read)
    }
}

/// Whether all rows of a file were received before: it lies wholly in one hour.
fn is_before(name: &str, since: Timestamp) -> bool {
    let start = parse_file_name(name).or_else(|| parse_part_name(name)).map(|(start, _)| start);
    start.is_some_and(|start| Slot::around(Timestamp::from_secs(start), 3_600).end() <= since)
}

/// Hands on the rows of a file that were not seen, and remembers them.
struct FreshRows<'a> {
    sink: &'a mut dyn Sink,
    seen: Seen,
    rows: Option<Rows>,
    hasher: &'a RandomState,
    is_full: bool,
    /// Rows of a batch to hand on; kept for its memory.
    fresh: Vec<u32>,
}

impl Sink for FreshRows<'_> {
    fn file(&mut self, file: &FileInfo<'_>) {
        self.sink.file(file);
    }

    fn batch(&mut self, batch: &Batch) -> io::Result<ControlFlow<()>> {
        let is_all_new = self.rows.is_none() && self.seen.is_empty();
        if !is_all_new {
            self.pick(batch);
        }
        let told = if is_all_new || self.fresh.len() == batch.rows() {
            self.sink.batch(batch)?
        } else if self.fresh.is_empty() {
            ControlFlow::Continue(())
        } else {
            let mut fresh = batch.clone();
            fresh.select(&self.fresh);
            self.sink.batch(&fresh)?
        };
        self.is_full |= told.is_break();
        Ok(told)
    }
}

impl FreshRows<'_> {
    /// Finds the rows of a batch to hand on.
    fn pick(&mut self, batch: &Batch) {
        let cells = IDENTITY.map(|id| batch.cells(id));
        let [received, ..] = cells;
        self.fresh.clear();
        for row in 0..batch.rows() {
            let hash = identity(self.hasher, &cells, row);
            let time = received.int(row);
            if let Some(rows) = &mut self.rows {
                rows.hashes.push(hash);
                rows.last = rows.last.max(time);
            }
            if !self.seen.take(hash, time) {
                self.fresh.push(row as u32);
            }
        }
    }
}

fn identity(hasher: &RandomState, cells: &[Cells<'_>], row: usize) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hash = hasher.build_hasher();
    for cells in cells {
        // However a column comes: a part has none where the file it becomes has some.
        match (cells.octets::<16>(row), cells.int(row)) {
            (Some(octets), _) => hash.write_u128(u128::from_be_bytes(octets)),
            (None, Some(number)) => hash.write_i128(number.into()),
            (None, None) => hash.write_u8(0),
        }
    }
    hash.finish()
}
