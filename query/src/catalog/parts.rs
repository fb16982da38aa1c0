//! Parts of slots that are open: which of them to read, and held open, so that
//! each row is seen once whatever slot closes meanwhile.
//!
//! A slot closes in two steps: the file of all its rows becomes visible, then its
//! parts are deleted. The file names the parts, so of both only one is read. A part
//! that vanished after it was listed has a visible file the list may not have: it
//! is made again. A part once open stays readable, whatever becomes of its name.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_common::layout::{parse_file_name, parse_part_name};
use flow_common::limits::{LISTINGS_MAX, QUERY_DESCRIPTORS_RESERVED};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::Listing;
use super::hours::{self, Hour};
use crate::message::Failure;
use crate::scan::{Depth, FlowFile, ReadError};

/// A file to read.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// A part, held open.
    part: Option<File>,
    /// What it was listed with; a part has nothing of it.
    pub(super) hour: Option<Arc<Hour>>,
}

impl From<PathBuf> for Found {
    fn from(path: PathBuf) -> Self {
        Self { path, part: None, hour: None }
    }
}

impl Found {
    /// Opens it, once; or what has taken its place since it was listed.
    pub(crate) fn open(&mut self, depth: Depth) -> Result<FlowFile, ReadError> {
        match (self.part.take(), self.hour.take()) {
            (Some(file), _) => FlowFile::of(file, depth),
            (None, Some(hour)) => hour.open(&self.path, depth),
            (None, None) => hours::open_alone(&self.path, depth),
        }
    }

    /// Whether it may vanish only with its rows: whoever retires files takes visible
    /// ones, and a part goes when a file that is not in the list has its rows.
    pub(crate) fn is_part(&self) -> bool {
        slot_of(&self.path, parse_part_name).is_some()
    }
}

/// A listed file is not there any more.
#[derive(Debug, PartialEq, Eq)]
struct Vanished;

/// What `list` finds, at an instant: the parts are open, and no row is in two files.
pub(super) fn settled(list: impl Fn() -> Result<Listing, Failure>) -> Result<Listing, Failure> {
    for _ in 0..LISTINGS_MAX {
        let mut listing = list()?;
        if hold(&mut listing.files) == Ok(()) {
            hours::join(&mut listing.files);
            return Ok(listing);
        }
    }
    let message = format!("parts of open slots vanished each of {LISTINGS_MAX} times they were listed");
    Err(Failure::Failed { message, hint: None })
}

/// Leaves out the parts that visible files replace, and opens the others.
fn hold(files: &mut Vec<Found>) -> Result<(), Vanished> {
    let replaced = replaced(files)?;
    files.retain(|found| !replaced.contains(&found.path));
    let mut parts: Vec<_> = files.iter_mut().filter(|found| found.is_part()).collect();
    let room = room_for(parts.len());
    for part in parts.iter_mut().take(room) {
        match File::open(&part.path) {
            Ok(file) => part.part = Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Vanished),
            // It is named when it is read.
            Err(_) => {}
        }
    }
    Ok(())
}

/// The parts that visible files of their slots replace.
fn replaced(files: &[Found]) -> Result<HashSet<PathBuf>, Vanished> {
    let open: HashSet<_> = files.iter().filter_map(|found| slot_of(&found.path, parse_part_name)).collect();
    let mut replaced = HashSet::new();
    for Found { path, .. } in files {
        if !slot_of(path, parse_file_name).is_some_and(|slot| open.contains(&slot)) {
            continue;
        }
        let footer = match FlowFile::look_at(path) {
            Ok(file) => file.footer,
            Err(error) if error.is_absence() => return Err(Vanished),
            Err(_) => None,
        };
        let names = footer.into_iter().flat_map(|footer| footer.replaces);
        replaced.extend(
            names.filter(|name| parse_part_name(name).is_some()).map(|name| path.with_file_name(name)),
        );
    }
    Ok(replaced)
}

/// Directory and first second of the slot a name is of, as `parse` reads it.
fn slot_of(path: &Path, parse: impl Fn(&str) -> Option<(i64, u32)>) -> Option<(&Path, i64)> {
    let (start, _) = parse(path.file_name().and_then(OsStr::to_str)?)?;
    Some((path.parent()?, start))
}

/// How many of `n` files can be held open beside what else needs a descriptor. A
/// long slot at a high rate has more parts than the usual 1,024.
pub(super) fn room_for(n: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return n };
    let needed = (n as u64).saturating_add(QUERY_DESCRIPTORS_RESERVED);
    let limit =
        if needed > soft && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    usize::try_from(limit.saturating_sub(QUERY_DESCRIPTORS_RESERVED)).unwrap_or(n)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// What is read when one listing after the other finds these files.
    #[track_caller]
    fn check(directory: &Path, listings: &[&[&str]], expected: Option<&[&str]>) {
        let n_listed = Cell::new(0);
        let list = || {
            let names = listings[n_listed.replace(n_listed.get() + 1) % listings.len()];
            let files = names.iter().map(|name| directory.join(name).into()).collect();
            Ok(Listing { files, errors: Vec::new() })
        };
        let found = settled(list).ok().map(|listing| listing.files);
        let names = |files: &[Found]| {
            let name = |found: &Found| found.path.file_name().unwrap().to_str().unwrap().to_owned();
            files.iter().map(name).collect::<Vec<_>>()
        };
        let expected = expected.map(|names| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(found.as_deref().map(names), expected);
        let parts = found.iter().flatten().filter(|found| found.is_part());
        assert!(parts.into_iter().all(|found| found.part.is_some()), "a part is not held open");
    }

    #[test]
    fn a_part_that_vanished_is_looked_for_again() {
        let directory = tempfile::tempdir().unwrap();
        let (first, gone) = (".flowcap.202611211200.0000.part", ".flowcap.202611211200.0001.part");
        // Of another slot, so nobody looks for what it replaces.
        let visible = "flowcap.202611211205.parquet";
        std::fs::write(directory.path().join(first), "").unwrap();
        let check =
            |listings: &[&[&str]], expected: Option<&[&str]>| check(directory.path(), listings, expected);
        check(&[&[first, visible]], Some(&[first, visible]));
        check(&[&[first, gone], &[gone], &[visible, first]], Some(&[visible, first]));
        check(&[&[first, gone]], None);
        // A visible file of the slot that vanished: who has its rows now?
        check(&[&["flowcap.202611211200.parquet", first], &[first]], Some(&[first]));
    }

    #[test]
    fn room_is_made_for_many_parts() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let reserved = QUERY_DESCRIPTORS_RESERVED;
        assert!(room_for(5_000) as u64 >= 5_000.min(hard - reserved));
        assert_eq!(room_for(usize::MAX) as u64, hard - reserved);
    }
}
