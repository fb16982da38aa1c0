//! A tree of files and the rows in it.

use std::fs;
use std::path::{Path, PathBuf};

use flow_common::column::ExtraColumn;
use flow_common::tables::RateRow;
use flow_common::time::Timestamp;
use tempfile::TempDir;

use super::generate::START_SECS;
use super::row::Row;
use super::{read, scale};

/// Files, and the rows in them.
#[derive(Debug)]
pub struct Tree {
    directory: TempDir,
    /// What it is, for messages.
    pub name: String,
    pub(super) extra: Vec<ExtraColumn>,
    /// Rows of its side table.
    rates: Vec<RateRow>,
    /// Rows as stored, in file order.
    pub(super) stored: Vec<Row>,
    /// The same with counters multiplied.
    pub(super) scaled: Vec<Row>,
}

impl Tree {
    /// Reads all below `directory`, where `rates` are the rows of its side table.
    pub(super) fn read(directory: TempDir, name: String, extra: Vec<ExtraColumn>, rates: &[RateRow]) -> Self {
        let stored: Vec<Row> =
            files(directory.path()).iter().flat_map(|path| read::rows(path, &extra)).collect();
        let scaled = stored.iter().map(|row| scale::scaled(row, rates)).collect();
        Self { directory, name, extra, rates: rates.to_vec(), stored, scaled }
    }

    /// Compacts its hours. The rows are those of before, perhaps in another order.
    #[must_use]
    pub fn compacted(self) -> Self {
        let now = Timestamp::from_secs(START_SECS + 86_400);
        let n_files = self.files().len();
        let (n_hours, told) = flow_collector::harness::compact(self.root(), now).expect("a tree");
        let Self { directory, name, extra, rates, stored, .. } = self;
        assert_eq!((n_hours, told.len()), (1, 1), "{name} of {n_files} files: {told:?}");
        let tree = Self::read(directory, format!("{name}, compacted"), extra, &rates);
        let sorted = |rows: &[Row]| {
            let mut rows: Vec<_> = rows.iter().map(|row| format!("{row:?}")).collect();
            rows.sort_unstable();
            rows
        };
        assert_eq!(tree.files().len(), 1, "{}", tree.name);
        let (before, after) = (sorted(&stored), sorted(&tree.stored));
        let differs = before.iter().zip(&after).find(|(before, after)| before != after);
        assert_eq!((differs, before.len()), (None, after.len()), "{}: it has other rows", tree.name);
        tree
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Its files, in order.
    pub fn files(&self) -> Vec<PathBuf> {
        files(self.root())
    }

    /// Whether its files still hold the rows they did.
    pub fn reads_the_same(&self) -> bool {
        let rows = self.files().iter().flat_map(|path| read::rows(path, &self.extra)).collect::<Vec<_>>();
        format!("{rows:?}") == format!("{:?}", self.stored)
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.stored.len()
    }

    pub(super) fn rows_of(&self, is_scaled: bool) -> &[Row] {
        if is_scaled { &self.scaled } else { &self.stored }
    }
}

/// Flow files below `root` in order: by directory, then by slot.
pub(super) fn files(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut directories) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if path.is_dir() && !name.starts_with('.') {
                directories.push(path);
            } else if name.ends_with(".parquet") {
                // `flowcap.202605282000.parquet`: sorted as text they are sorted by time.
                let is_of_hour = name.ends_with(".hour.parquet");
                assert_eq!(name.split('.').count(), 3 + usize::from(is_of_hour), "{name}");
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
