//! Which files a question is about. Names alone, but for the slots that are open:
//! `parts` looks into those.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flow_common::layout::{EXTENSION, levels, parse_file_name, parse_part_name};
use flow_common::limits::{DIRECTORY_DEPTH_MAX, DIRECTORY_QUIET_SECS, LISTINGS_MAX};
use flow_common::time::Timestamp;

use crate::message::{Failure, reason};

mod hours;
mod parts;
mod siblings;

pub(crate) use self::parts::Found;
pub(crate) use self::siblings::siblings;

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `./flows`, because nothing was said.
    Default,
    /// One file, or all below a directory.
    Path(PathBuf),
    /// `first:last`, `first` alone (to the end), or a directory.
    Sequence(String),
    /// The same in each of several directories.
    Siblings(Vec<Source>),
}

/// Root of the tree without `-r` and `-R`.
pub(crate) const DEFAULT_ROOT: &str = "flows";

/// Files, and what stood in the way of finding more.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// By directory, then in the order they were written.
    pub(crate) files: Vec<Found>,
    pub(crate) errors: Vec<(PathBuf, io::Error)>,
}

impl Listing {
    fn only(mut self, is_wanted: impl Fn(&Path) -> bool) -> Self {
        self.files.retain(|found| {
            let is_wanted = is_wanted(&found.path);
            if let Some(hour) = found.hour.as_ref().filter(|_| !is_wanted) {
                hour.cut();
            }
            is_wanted
        });
        self
    }
}

/// The files of `source`, in order: with our layout, by time. The question was
/// asked at `now`.
pub(crate) fn list(source: &Source, now: Timestamp) -> Result<Listing, Failure> {
    match source {
        Source::Default => {
            let root = Path::new(DEFAULT_ROOT);
            if !root.exists() {
                return Err(Failure::Failed {
                    message: format!("no directory `./{DEFAULT_ROOT}` to read"),
                    hint: Some("start `flowcapd` here to fill it, or name files with `-r FILE|DIR`".into()),
                });
            }
            all_below(root, now)
        }
        Source::Path(path) => one_or_all(path, now),
        Source::Sequence(text) => sequence(text, now),
        Source::Siblings(sources) => siblings::list(sources, now),
    }
}

fn one_or_all(path: &Path, now: Timestamp) -> Result<Listing, Failure> {
    let metadata = fs::metadata(path).map_err(|error| cant_read(path, &error))?;
    if metadata.is_dir() {
        return all_below(path, now);
    }
    Ok(Listing { files: vec![path.to_owned().into()], errors: Vec::new() })
}

/// nfdump's `-R`: both ends included, in the order of the files.
fn sequence(text: &str, now: Timestamp) -> Result<Listing, Failure> {
    let (first, last) = ends(text);
    let metadata = fs::metadata(first).map_err(|error| cant_read(first, &error))?;
    let low = if metadata.is_dir() { Rank::of_directory(first) } else { Rank::of_file(first) };
    let Some(last) = last else {
        if metadata.is_dir() {
            return all_below(first, now);
        }
        return Ok(all_below(root_of(first), now)?.only(|path| Rank::of_file(path) >= low));
    };
    let Some(base) = base(first, last) else {
        return Err(cant_read(last, &io::ErrorKind::NotFound.into()));
    };
    let last = base.join(last);
    let high = if last.is_dir() { Rank::of_directory(&last) } else { Rank::of_file(&last) };
    let is_inside = |path: &Path| {
        let rank = Rank::of_file(path);
        low <= rank && (rank <= high || plain(path).starts_with(plain(&last)))
    };
    let files = all_below(if base.as_os_str().is_empty() { Path::new(".") } else { base }, now)?;
    Ok(files.only(is_inside))
}

/// What a sequence begins and ends with.
fn ends(text: &str) -> (&Path, Option<&Path>) {
    match text.split_once(':') {
        Some((first, last)) if !Path::new(text).exists() => (Path::new(first), Some(Path::new(last))),
        _ => (Path::new(text), None),
    }
}

/// The directory above `first` that `last` is named from.
fn base<'a>(first: &'a Path, last: &Path) -> Option<&'a Path> {
    first.ancestors().skip(1).find(|base| base.join(last).exists())
}

/// Place of a file in the order: by directory, there by slot and number, so that
/// `.2` comes before `.10`; parts after the visible files of their slot. Names of
/// another kind come last, by their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'a> {
    directory: &'a Path,
    is_foreign: bool,
    /// Start, whether it is a part, number.
    slot: Option<(i64, bool, u32)>,
    name: &'a OsStr,
}

impl<'a> Rank<'a> {
    fn of_file(path: &'a Path) -> Self {
        let path = plain(path);
        let name = path.file_name().unwrap_or_default();
        let visible = |name| parse_file_name(name).map(|(start, n)| (start, false, n));
        let part = |name| parse_part_name(name).map(|(start, n)| (start, true, n));
        let slot = name.to_str().and_then(|name| visible(name).or_else(|| part(name)));
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

/// The root of the tree a file lies in: its directory, or above what a hierarchy puts
/// between, and above `date=…/hour=…` whatever the file is called.
pub(crate) fn root_of(file: &Path) -> &Path {
    let is_level = |path: &&Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("hour=") || name.starts_with("date=")
    };
    let above = file.ancestors().skip(1 + levels(file)).find(|path| !is_level(path));
    above.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Every visible file below `root` and the parts of open slots, sorted.
fn all_below(root: &Path, now: Timestamp) -> Result<Listing, Failure> {
    parts::settled(|| walked(root, now))
}

fn walked(root: &Path, now: Timestamp) -> Result<Listing, Failure> {
    let metadata = fs::metadata(root).map_err(|error| cant_read(root, &error))?;
    let mut walk = Walk::new(now);
    walk.enter(root.to_owned(), 0, &metadata);
    walk.run().map_err(|error| cant_read(root, &error))?;
    let mut listing = walk.listing;
    listing.files.sort_by(|a, b| Rank::of_file(&a.path).cmp(&Rank::of_file(&b.path)));
    listing.errors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(listing)
}

/// A walk over directories, each once however many links lead to it.
#[derive(Debug)]
struct Walk {
    listing: Listing,
    /// When the question was asked.
    now: Timestamp,
    /// Device and inode of the directories known.
    known: HashSet<(u64, u64)>,
    /// Directories to read, and how deep they lie.
    pending: Vec<(PathBuf, usize)>,
    /// Links to look at when all else is read: a directory's own name is the
    /// better one, whatever order the file system lists them in.
    links: BTreeSet<(PathBuf, usize)>,
}

impl Walk {
    fn new(now: Timestamp) -> Self {
        Self {
            listing: Listing::default(),
            now,
            known: HashSet::new(),
            pending: Vec::new(),
            links: BTreeSet::new(),
        }
    }

    /// Reads all there is. An error is that of the root; others are in the listing.
    fn run(&mut self) -> io::Result<()> {
        loop {
            while let Some((directory, depth)) = self.pending.pop() {
                match entries(&directory, self.now) {
                    Ok(entries) => entries.iter().for_each(|entry| self.entry(entry, depth + 1)),
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
        let path = entry.path();
        if is_part(&entry.file_name()) {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                self.listing.files.push(path.into());
            }
            return;
        }
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
            self.listing.files.push(path.into());
        }
    }

    /// What vanished meanwhile was retired: it is not there.
    fn failed(&mut self, path: PathBuf, error: io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.listing.errors.push((path, error));
        }
    }
}

/// What a directory holds at an instant, hidden names left out but for parts.
fn entries(directory: &Path, now: Timestamp) -> io::Result<Vec<DirEntry>> {
    let changed_secs = || fs::metadata(directory).map(|metadata| metadata.mtime());
    let read = || {
        let entries = fs::read_dir(directory)?.map(|entry| entry.map(|entry| (entry.file_name(), entry)));
        let is_of_interest = |entry: &io::Result<(OsString, _)>| {
            entry.as_ref().map_or(true, |(name, _)| !is_hidden(name) || is_part(name))
        };
        entries.filter(is_of_interest).collect()
    };
    Ok(still(now, changed_secs, read)?.into_values().collect())
}

/// What `read` finds when nothing changes meanwhile.
///
/// A directory is not read at an instant: of a slot that closes meanwhile neither
/// parts nor file may show. So it is read until it is the same twice (no name is used
/// again), unless it had not changed for a while.
fn still<T>(
    now: Timestamp,
    changed_secs: impl Fn() -> io::Result<i64>,
    mut read: impl FnMut() -> io::Result<BTreeMap<OsString, T>>,
) -> io::Result<BTreeMap<OsString, T>> {
    let mut before: Option<BTreeMap<OsString, T>> = None;
    for _ in 0..LISTINGS_MAX {
        let changed = changed_secs()?;
        let found = read()?;
        let is_quiet = changed.saturating_add(DIRECTORY_QUIET_SECS) < now.secs();
        if is_quiet && changed_secs()? == changed
            || before.is_some_and(|before| before.keys().eq(found.keys()))
        {
            return Ok(found);
        }
        before = Some(found);
    }
    Err(io::Error::other(format!("it changed each of {LISTINGS_MAX} times it was listed")))
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn is_part(name: &OsStr) -> bool {
    name.to_str().and_then(parse_part_name).is_some()
}

fn cant_read(path: &Path, error: &io::Error) -> Failure {
    let hour = if error.kind() == io::ErrorKind::NotFound { hours::compacted_into(path) } else { None };
    let hint = |hour: PathBuf| {
        format!("the files of its hour became `{}`; `-t` asks for less than all of it", hour.display())
    };
    let message = format!("can't read `{}`: {}", path.display(), reason(error));
    Failure::Failed { message, hint: hour.map(hint) }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use flow_common::layout::{Hierarchy, NFDUMP_HIERARCHIES, Slot};

    use super::*;

    #[test]
    fn files_are_ordered_by_directory_slot_and_number() {
        let ordered = [
            "flows/flowcap.202611211205.parquet",
            "flows/date=2026-11-21/hour=12/flowcap.202611211200.parquet",
            "flows/date=2026-11-21/hour=12/flowcap.202611211200.1.parquet",
            "flows/date=2026-11-21/hour=12/flowcap.202611211200.2.parquet",
            "./flows/date=2026-11-21/hour=12/flowcap.202611211200.10.parquet",
            "flows/date=2026-11-21/hour=12/.flowcap.202611211200.0000.part",
            "./flows/date=2026-11-21/hour=12/.flowcap.202611211200.9999.part",
            "flows/date=2026-11-21/hour=12/.flowcap.202611211200.10000.part",
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

    #[test]
    fn files_of_every_hierarchy_are_ordered_by_time_below_one_root() {
        // Over the end of a year, on a Thursday, and of a week.
        let starts =
            [1_798_675_200, 1_798_758_000, 1_798_761_600, 1_798_765_200, 1_798_934_400, 1_799_020_800];
        let nfdump = (0..NFDUMP_HIERARCHIES.len() as u8).map(Hierarchy::Nfdump);
        for hierarchy in nfdump.chain([Hierarchy::Partitions]) {
            let path = |secs| {
                let slot = Slot::around(Timestamp::from_secs(secs), 300);
                Path::new("flows").join(slot.directory(hierarchy)).join(slot.file_name(0))
            };
            let ordered: Vec<_> = starts.map(path).into();
            let mut sorted = ordered.clone();
            sorted.reverse();
            sorted.sort_by(|a, b| Rank::of_file(a).cmp(&Rank::of_file(b)));
            assert_eq!(sorted, ordered);
            assert!(ordered.iter().all(|file| root_of(file) == Path::new("flows")), "{ordered:?}");
        }
    }

    /// What a walk makes of a directory that was there when it was listed.
    #[track_caller]
    fn check(directory: &Path, depth: usize, expected: Result<usize, io::ErrorKind>) {
        let mut walk = Walk { pending: vec![(directory.to_owned(), depth)], ..Walk::new(Timestamp(0)) };
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

    #[test]
    fn a_directory_that_changes_is_read_again() {
        // What one reading after the other finds, and when the directory changed last.
        let check = |readings: &[&str], changed: &[i64], expected: Option<&str>| {
            let (n_read, n_asked) = (Cell::new(0), Cell::new(0));
            let next = |n: &Cell<usize>| n.replace(n.get() + 1);
            let changed_secs = || Ok(changed[next(&n_asked).min(changed.len() - 1)]);
            let read = || {
                let names = readings[next(&n_read) % readings.len()].split_whitespace();
                Ok(names.map(|name| (name.into(), ())).collect())
            };
            let found = still(Timestamp::from_secs(100), changed_secs, read).ok();
            let found = found.map(|found| found.into_keys().collect::<Vec<_>>().join(OsStr::new(" ")));
            assert_eq!(found.as_deref(), expected.map(OsStr::new), "{readings:?} {changed:?}");
        };
        check(&["a", "b"], &[90], Some("a"));
        // A slot closed between the place of its file and those of its parts.
        check(&["a", "", "b", "b", "c"], &[90, 100], Some("b"));
        check(&["a", "b", "b", "c"], &[98], Some("b"));
        check(&["a b", "b", "b"], &[98], Some("b"));
        check(&["a", "b"], &[98], None);
    }
}
