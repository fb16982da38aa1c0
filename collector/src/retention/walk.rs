//! Finds the files of a tree: the oldest of them, and the space they all take.

use std::collections::{BTreeSet, BinaryHeap};
use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flow_common::layout::{STATE_DIR, parse_file_name, parse_hour_name, parse_options_name, parse_part_name};
use flow_common::limits;

use crate::trees::place;

/// A file whose name is one of ours. The order is that in which they go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// Start of its slot, seconds since the epoch.
    pub(super) start_secs: i64,
    /// Its number among those of the slot.
    n: u32,
    pub(super) path: PathBuf,
    /// Disk space it takes.
    pub(super) bytes: u64,
}

/// Place of a file in the order.
pub(super) type Key = (i64, u32, PathBuf);

impl Found {
    pub(super) fn key(&self) -> Key {
        (self.start_secs, self.n, self.path.clone())
    }
}

/// One walk through a tree.
pub(super) struct Walk<'a> {
    root: &'a Path,
    inner: &'a [PathBuf],
    n_max: usize,
    after: Option<Key>,
    /// Only files of slots that began before this.
    pub(super) before_secs: Option<i64>,
    /// Disk space of all files of the tree.
    pub(super) bytes: u64,
    /// Whether all candidates were kept.
    pub(super) is_whole: bool,
    oldest: BinaryHeap<Found>,
    /// Parts, by directory and start of their slot.
    parts: BTreeSet<(PathBuf, i64)>,
}

impl<'a> Walk<'a> {
    /// Looks for the oldest `n_max` files behind `after`.
    pub(super) fn new(root: &'a Path, inner: &'a [PathBuf], n_max: usize, after: Option<Key>) -> Self {
        Self {
            root,
            inner,
            n_max,
            after,
            before_secs: None,
            bytes: 0,
            is_whole: true,
            oldest: BinaryHeap::new(),
            parts: BTreeSet::new(),
        }
    }

    /// Walks until all is seen, or `is_over`.
    pub(super) fn run(&mut self, is_over: &dyn Fn() -> bool) -> io::Result<()> {
        let device = fs::metadata(self.root)?.dev();
        let mut directories = vec![(self.root.to_owned(), 0)];
        while let Some((directory, depth)) = directories.pop() {
            if is_over() {
                break;
            }
            let entries = match fs::read_dir(&directory) {
                // One below may vanish, or be another user's.
                Err(error) if depth > 0 => {
                    tracing::debug!("cannot read `{}`: {error}", directory.display());
                    continue;
                }
                entries => entries?,
            };
            // Trees of exporters lie in the root, each with records of its own.
            let options = directory.join(STATE_DIR).join("options");
            if depth <= 1 && is_directory(&options, device) {
                directories.push((options, 2));
            }
            for entry in entries.flatten() {
                // Links are neither.
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_file() {
                    self.file(&directory, &entry);
                } else if kind.is_dir()
                    && depth < limits::DIRECTORY_DEPTH_MAX
                    && !is_hidden(&entry.file_name())
                {
                    let path = entry.path();
                    if is_directory(&path, device) && !self.inner.contains(&place(&path)) {
                        directories.push((path, depth + 1));
                    }
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, directory: &Path, entry: &DirEntry) {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { return };
        if let Some((start_secs, _)) = parse_part_name(name) {
            if self.parts.len() < self.n_max {
                self.parts.insert((directory.to_owned(), start_secs));
            }
            return;
        }
        let Some((start_secs, n)) = parse_file_name(name).or_else(|| parse_options_name(name)) else {
            return;
        };
        // A file of the whole hour is as old as the last of it.
        let start_secs = start_secs + if parse_hour_name(name).is_some() { 3_599 } else { 0 };
        if self.before_secs.is_some_and(|before_secs| start_secs >= before_secs) {
            return;
        }
        let Ok(metadata) = entry.metadata() else { return };
        let bytes = metadata.blocks().saturating_mul(512);
        self.bytes = self.bytes.saturating_add(bytes);
        let found = Found { start_secs, n, path: directory.join(name), bytes };
        if self
            .after
            .as_ref()
            .is_some_and(|(secs, before, path)| (start_secs, n, &found.path) <= (*secs, *before, path))
        {
            return;
        }
        self.oldest.push(found);
        if self.oldest.len() > self.n_max {
            self.oldest.pop();
            self.is_whole = false;
        }
    }

    /// The files, the oldest first, and the parts beside them.
    pub(super) fn finish(self) -> (Vec<Found>, BTreeSet<(PathBuf, i64)>) {
        (self.oldest.into_sorted_vec(), self.parts)
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether it is a directory, no link to one, on this file system.
fn is_directory(path: &Path, device: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir() && metadata.dev() == device)
}
