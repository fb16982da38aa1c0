//! Which files a question is about. Names alone: nothing is opened here.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flow_common::layout::{EXTENSION, parse_file_name};
use flow_common::limits::DIRECTORY_DEPTH_MAX;

use crate::message::{Failure, reason};

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `./flows`, because nothing was said.
    Default,
    /// One file, or all below a directory.
    Path(PathBuf),
    /// `first:last`, `first` alone (to the end), or a directory.
    Sequence(String),
}

/// Root of the tree without `-r` and `-R`.
pub(crate) const DEFAULT_ROOT: &str = "flows";

/// Files, and what stood in the way of finding more.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// By directory, then in the order they were written.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) errors: Vec<(PathBuf, io::Error)>,
}

impl Listing {
    fn only(mut self, is_wanted: impl Fn(&Path) -> bool) -> Self {
        self.files.retain(|path| is_wanted(path));
        self
    }
}

/// The files of `source`, in order: with our layout, by time.
pub(crate) fn list(source: &Source) -> Result<Listing, Failure> {
    match source {
        Source::Default => {
            let root = Path::new(DEFAULT_ROOT);
            if !root.exists() {
                return Err(Failure::Failed {
                    message: format!("no directory `./{DEFAULT_ROOT}` to read"),
                    hint: Some("start `flowcapd` here to fill it, or name files with `-r FILE|DIR`".into()),
                });
            }
            all_below(root)
        }
        Source::Path(path) => one_or_all(path),
        Source::Sequence(text) => sequence(text),
    }
}

fn one_or_all(path: &Path) -> Result<Listing, Failure> {
    let metadata = fs::metadata(path).map_err(|error| cant_read(path, &error))?;
    if metadata.is_dir() {
        return all_below(path);
    }
    Ok(Listing { files: vec![path.to_owned()], errors: Vec::new() })
}

/// nfdump's `-R`: both ends included, in the order of the files.
fn sequence(text: &str) -> Result<Listing, Failure> {
    let (first, last) = match text.split_once(':') {
        Some((first, last)) if !Path::new(text).exists() => (Path::new(first), Some(Path::new(last))),
        _ => (Path::new(text), None),
    };
    let metadata = fs::metadata(first).map_err(|error| cant_read(first, &error))?;
    let low = if metadata.is_dir() { Rank::of_directory(first) } else { Rank::of_file(first) };
    let Some(last) = last else {
        if metadata.is_dir() {
            return all_below(first);
        }
        return Ok(all_below(root_of(first))?.only(|path| Rank::of_file(path) >= low));
    };
    let base = first.ancestors().skip(1).find(|base| base.join(last).exists());
    let Some(base) = base else {
        return Err(cant_read(last, &io::ErrorKind::NotFound.into()));
    };
    let last = base.join(last);
    let high = if last.is_dir() { Rank::of_directory(&last) } else { Rank::of_file(&last) };
    let is_inside = |path: &Path| {
        let rank = Rank::of_file(path);
        low <= rank && (rank <= high || plain(path).starts_with(plain(&last)))
    };
    let files = all_below(if base.as_os_str().is_empty() { Path::new(".") } else { base })?;
    Ok(files.only(is_inside))
}

/// Place of a file in the order: by directory, there by slot and number, so that
/// `.2` comes before `.10`. Names of another kind come last, by their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'a> {
    directory: &'a Path,
    is_foreign: bool,
    slot: Option<(i64, u32)>,
    name: &'a OsStr,
}

impl<'a> Rank<'a> {
    fn of_file(path: &'a Path) -> Self {
        let path = plain(path);
        let name = path.file_name().unwrap_or_default();
        let slot = name.to_str().and_then(parse_file_name);
        Self { directory: path.parent().unwrap_or(Path::new("")), is_foreign: slot.is_none(), slot, name }
    }

    /// Before every file in the directory.
    fn of_directory(path: &'a Path) -> Self {
        Self { directory: plain(path), is_foreign: false, slot: None, name: OsStr::new("") }
    }
}

/// `path` without a leading `.`, so that two spellings compare equal.
fn plain(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

/// The root of the tree a file lies in: its directory, or above `date=…/hour=…`.
pub(crate) fn root_of(file: &Path) -> &Path {
    let is_level = |path: &&Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("hour=") || name.starts_with("date=")
    };
    let above = file.ancestors().skip(1).find(|path| !is_level(path));
    above.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Every visible file below `root`, sorted.
fn all_below(root: &Path) -> Result<Listing, Failure> {
    let metadata = fs::metadata(root).map_err(|error| cant_read(root, &error))?;
    let mut walk = Walk::default();
    walk.enter(root.to_owned(), 0, &metadata);
    walk.run().map_err(|error| cant_read(root, &error))?;
    let mut listing = walk.listing;
    listing.files.sort_by(|a, b| Rank::of_file(a).cmp(&Rank::of_file(b)));
    listing.errors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(listing)
}

/// A walk over directories, each once however many links lead to it.
#[derive(Debug, Default)]
struct Walk {
    listing: Listing,
    /// Device and inode of the directories known.
    known: HashSet<(u64, u64)>,
    /// Directories to read, and how deep they lie.
    pending: Vec<(PathBuf, usize)>,
    /// Links to look at when all else is read: a directory's own name is the
    /// better one, whatever order the file system lists them in.
    links: BTreeSet<(PathBuf, usize)>,
}

impl Walk {
    /// Reads all there is. An error is that of the root; others are in the listing.
    fn run(&mut self) -> io::Result<()> {
        loop {
            while let Some((directory, depth)) = self.pending.pop() {
                match fs::read_dir(&directory) {
                    Ok(entries) => entries.for_each(|entry| match entry {
                        Ok(entry) => self.entry(&entry, depth + 1),
                        Err(error) => self.failed(directory.clone(), error),
                    }),
                    Err(error) if depth == 0 => return Err(error),
                    Err(error) => self.failed(directory, error),
                }
            }
            let Some((path, depth)) = self.links.pop_first() else { return Ok(()) };
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.enter(path, depth, &metadata),
                Ok(metadata) if metadata.is_file() => self.file(path),
                Ok(_) => {}
                Err(error) => self.failed(path, error),
            }
        }
    }

    fn entry(&mut self, entry: &DirEntry, depth: usize) {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            return;
        }
        let path = entry.path();
        let found = entry.file_type().and_then(|kind| {
            if kind.is_dir() {
                self.enter(path.clone(), depth, &entry.metadata()?);
            } else if kind.is_symlink() {
                self.links.insert((path.clone(), depth));
            } else if kind.is_file() {
                self.file(path.clone());
            }
            Ok(())
        });
        if let Err(error) = found {
            self.failed(path, error);
        }
    }

    fn enter(&mut self, directory: PathBuf, depth: usize, metadata: &Metadata) {
        if !self.known.insert((metadata.dev(), metadata.ino())) {
            return;
        }
        if depth > DIRECTORY_DEPTH_MAX {
            let message = format!("it lies more than {DIRECTORY_DEPTH_MAX} directories deep");
            self.failed(directory, io::Error::other(message));
        } else {
            self.pending.push((directory, depth));
        }
    }

    fn file(&mut self, path: PathBuf) {
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            self.listing.files.push(path);
        }
    }

    /// What vanished meanwhile was retired: it is not there.
    fn failed(&mut self, path: PathBuf, error: io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.listing.errors.push((path, error));
        }
    }
}

fn cant_read(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed { message: format!("can't read `{}`: {}", path.display(), reason(error)), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_ordered_by_directory_slot_and_number() {
        let ordered = [
            "flows/flowcap.202611211205.parquet",
            "flows/date=2026-11-21/hour=12/flowcap.202611211200.parquet",
            "flows/date=2026-11-21/hour=12/flowcap.202611211200.1.parquet",
            "flows/date=2026-11-21/hour=12/flowcap.202611211200.2.parquet",
            "./flows/date=2026-11-21/hour=12/flowcap.202611211200.10.parquet",
            "flows/date=2026-11-21/hour=12/flowcap.20261121120030.parquet",
            "flows/date=2026-11-21/hour=12/flowcap.202611211201.parquet",
            "flows/date=2026-11-21/hour=12/a.parquet",
            "flows/date=2026-11-21/hour=12/flowcap.x.parquet",
            "flows/date=2026-11-21/hour=13/flowcap.202611211300.parquet",
        ];
        let mut sorted = ordered;
        sorted.reverse();
        sorted.sort_by(|a, b| Rank::of_file(Path::new(a)).cmp(&Rank::of_file(Path::new(b))));
        assert_eq!(sorted, ordered);
    }

    /// What a walk makes of a directory that was there when it was listed.
    #[track_caller]
    fn check(directory: &Path, depth: usize, expected: Result<usize, io::ErrorKind>) {
        let mut walk = Walk { pending: vec![(directory.to_owned(), depth)], ..Walk::default() };
        let found = walk.run().map(|()| walk.listing.errors.len()).map_err(|error| error.kind());
        assert_eq!(found, expected, "{} at depth {depth}", directory.display());
    }

    #[test]
    fn what_vanished_below_the_root_is_left_out_and_what_fails_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let (gone, file) = (directory.path().join("gone"), directory.path().join("file"));
        fs::write(&file, "").unwrap();
        check(&gone, 0, Err(io::ErrorKind::NotFound));
        check(&gone, 1, Ok(0));
        check(&file, 0, Err(io::ErrorKind::NotADirectory));
        check(&file, 1, Ok(1));
        check(directory.path(), DIRECTORY_DEPTH_MAX, Ok(0));
    }
}
