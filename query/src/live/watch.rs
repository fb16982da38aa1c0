//! Which files have rows not seen yet: from listings of directories and what was read
//! so far. No I/O.
//!
//! A slot closes in two steps: the file of all its rows becomes visible, then its parts
//! are deleted. Whoever looks twice a second may have seen none, some or all of the
//! parts by then. So it is kept, for each part read, which rows were in it, as a hash of
//! what tells a row from another: whatever file has them next, in whatever order and
//! under whatever name, they are recognised.
//!
//! - A visible file whose parts (`flowcap.replaces`) were all read has nothing new.
//! - Of any other, the rows of parts of its slot are left out: of parts it replaces, and
//!   of those nobody else has, as the only part of a slot becomes a file by a new name.
//! - A part may also come again: what a crash left behind the last checkpoint is decoded
//!   anew. So of a part the rows of those that vanished are left out.
//! - A directory of a past hour that was exchanged for another was compacted: the rows of
//!   files of the whole hour were seen. A file of one slot beside them came late.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use flow_common::layout::{parse_file_name, parse_hour_name, parse_part_name};

/// Hashes of rows, and how often each may still be left out.
type Counts = HashMap<u64, u32, foldhash::quality::RandomState>;

/// The directories watched and what is known of them.
#[derive(Debug)]
pub(crate) struct Watch {
    directories: BTreeMap<PathBuf, Directory>,
    /// Rows remembered, and how many at most.
    rows: usize,
    rows_max: usize,
}

#[derive(Debug)]
struct Directory {
    /// Device and inode.
    identity: (u64, u64),
    files: BTreeMap<String, Known>,
    /// Rows of parts of a slot that may be in another file, and were not in the one that
    /// was looked for them.
    left: BTreeMap<i64, Rows>,
}

impl Directory {
    fn new(identity: (u64, u64)) -> Self {
        Self { identity, files: BTreeMap::new(), left: BTreeMap::new() }
    }

    /// Rows remembered.
    fn rows_mut(&mut self) -> impl Iterator<Item = &mut Rows> {
        self.files.values_mut().map(|known| &mut known.rows).chain(self.left.values_mut())
    }

    fn n_rows(&self) -> usize {
        let rows = self.files.values().map(|known| &known.rows).chain(self.left.values());
        rows.map(|rows| rows.hashes.len()).sum()
    }
}

/// A file that was listed.
#[derive(Debug, Default)]
struct Known {
    is_listed: bool,
    is_read: bool,
    rows: Rows,
}

/// The rows of a part that were read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    /// One hash each.
    pub(crate) hashes: Vec<u64>,
    /// When the last was received, µs.
    pub(crate) last: Option<i64>,
    /// The hashes are forgotten: there were too many.
    is_forgotten: bool,
}

/// A file that was not there before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fresh {
    /// Its slot, part or not, and its number; `None` for names that are not ours, which come last.
    rank: (bool, Option<(i64, bool, u32)>),
    pub(crate) directory: PathBuf,
    pub(crate) name: String,
}

impl Fresh {
    pub(crate) fn new(directory: &Path, name: &str) -> Self {
        let rank = rank(name);
        Self { rank: (rank.is_none(), rank), directory: directory.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    pub(crate) fn is_part(&self) -> bool {
        is_part(&self.name)
    }
}

/// What of a file was seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// Every row.
    All,
    /// These rows, if any.
    Some(Seen),
}

/// Rows to leave out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    counts: Counts,
    /// Rows received until then, µs, whose hashes are forgotten.
    until: Option<i64>,
}

impl Seen {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.until.is_none()
    }

    /// Whether a row is one of them; each is told once.
    pub(crate) fn take(&mut self, hash: u64, received: Option<i64>) -> bool {
        if self.until.is_some() && received <= self.until {
            return true;
        }
        match self.counts.get_mut(&hash) {
            Some(0) | None => false,
            Some(count) => {
                *count -= 1;
                true
            }
        }
    }

    /// Whether rows may be left out that were not seen.
    pub(crate) fn is_a_guess(&self) -> bool {
        self.until.is_some()
    }

    /// Those not taken.
    fn left(self) -> Option<Rows> {
        let left = |(hash, count): (u64, u32)| std::iter::repeat_n(hash, count as usize);
        let hashes: Vec<_> = self.counts.into_iter().flat_map(left).collect();
        let is_forgotten = self.until.is_some();
        (is_forgotten || !hashes.is_empty()).then_some(Rows { hashes, last: self.until, is_forgotten })
    }

    fn add(&mut self, rows: &Rows) {
        if rows.is_forgotten {
            self.until = self.until.max(rows.last);
        }
        rows.hashes.iter().for_each(|hash| *self.counts.entry(*hash).or_insert(0) += 1);
    }
}

impl Watch {
    /// One that remembers that many rows of open slots.
    pub(crate) fn new(rows_max: usize) -> Self {
        Self { directories: BTreeMap::new(), rows: 0, rows_max }
    }

    /// Takes in what a directory holds now, by name, and adds what was not there before
    /// to `fresh`. `is_past` tells whether its hour is over.
    pub(crate) fn listed(
        &mut self,
        path: &Path,
        identity: (u64, u64),
        is_past: bool,
        names: &BTreeSet<String>,
        fresh: &mut Vec<Fresh>,
    ) {
        let is_known = self.directories.contains_key(path);
        let directory = self.directories.entry(path.to_owned()).or_insert_with(|| Directory::new(identity));
        let is_exchanged = is_known && directory.identity != identity;
        if is_exchanged {
            // Either compacted, or a tree begun anew.
            self.rows -= directory.n_rows();
            *directory = Directory::new(identity);
        }
        let is_compacted = is_exchanged && is_past;
        for (name, known) in &mut directory.files {
            known.is_listed = names.contains(name);
        }
        for name in names {
            if directory.files.contains_key(name) {
                continue;
            }
            let is_seen = is_compacted && parse_hour_name(name).is_some();
            let known = Known { is_listed: true, is_read: is_seen, rows: Rows::default() };
            directory.files.insert(name.clone(), known);
            if !is_seen {
                fresh.push(Fresh::new(path, name));
            }
        }
    }

    /// A listed file was gone before it was open: it counts as never seen.
    pub(crate) fn missed(&mut self, file: &Fresh) {
        if let Some(directory) = self.directories.get_mut(&file.directory) {
            directory.files.remove(&file.name);
        }
    }

    /// What was seen of a file that replaces some parts. Ask once: what it tells is
    /// forgotten.
    pub(crate) fn repeats(&mut self, file: &Fresh, replaces: &[String]) -> Repeats {
        let Some(directory) = self.directories.get_mut(&file.directory) else {
            return Repeats::Some(Seen::default());
        };
        let is_read = |name: &String| directory.files.get(name).is_some_and(|known| known.is_read);
        if is_read(&file.name) {
            return Repeats::All;
        }
        let is_all = !replaces.is_empty() && replaces.iter().all(is_read);
        let slot = slot_of(&file.name);
        let is_its = |name: &String, known: &Known| {
            known.is_read
                && *name != file.name
                && (replaces.contains(name)
                    // In order to stay cheap: parts come often, and hardly ever again.
                    || is_part(name) && slot_of(name) == slot && (!file.is_part() || !known.is_listed))
        };
        let mut seen = Seen::default();
        for (name, known) in &mut directory.files {
            // Parts that others replace are their matter.
            if is_its(name, known) && (!is_all || replaces.contains(name)) {
                self.rows -= known.rows.hashes.len();
                let rows = std::mem::take(&mut known.rows);
                if !is_all {
                    seen.add(&rows);
                }
            }
        }
        if let Some(left) = slot.filter(|_| !is_all).and_then(|slot| directory.left.remove(&slot)) {
            self.rows -= left.hashes.len();
            seen.add(&left);
        }
        // Its parts may be about to be deleted and still be listed.
        let replaced = replaces.iter().filter(|name| rank(name).is_some());
        for name in replaced.chain([&file.name]) {
            directory.files.entry(name.clone()).or_default().is_read = true;
        }
        if is_all { Repeats::All } else { Repeats::Some(seen) }
    }

    /// What came of reading a file: of a part its rows, and what of those seen before was
    /// not in it.
    pub(crate) fn read(&mut self, file: &Fresh, rows: Option<Rows>, seen: Seen) {
        let Some(directory) = self.directories.get_mut(&file.directory) else { return };
        self.rows -= directory.n_rows();
        if let (Some(known), Some(rows)) = (directory.files.get_mut(&file.name), rows) {
            known.rows = rows;
        }
        if let (Some(slot), Some(left)) = (slot_of(&file.name), seen.left()) {
            directory.left.insert(slot, left);
        }
        self.rows += directory.n_rows();
        while self.rows > self.rows_max && self.forget() {}
    }

    /// Forgets the rows of the largest part; false where there is none.
    fn forget(&mut self) -> bool {
        let rows = self.directories.values_mut().flat_map(Directory::rows_mut);
        let Some(rows) = rows.max_by_key(|rows| rows.hashes.len()) else { return false };
        let n_rows = rows.hashes.len();
        self.rows -= n_rows;
        *rows = Rows { hashes: Vec::new(), last: rows.last, is_forgotten: true };
        n_rows > 0
    }

    /// Forgets every directory but those for which `is_kept`.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&Path) -> bool) {
        self.directories.retain(|path, directory| {
            let is_kept = is_kept(path);
            if !is_kept {
                self.rows -= directory.n_rows();
            }
            is_kept
        });
    }
}

fn rank(name: &str) -> Option<(i64, bool, u32)> {
    let visible = parse_file_name(name).map(|(start, n)| (start, false, n));
    visible.or_else(|| parse_part_name(name).map(|(start, n)| (start, true, n)))
}

fn slot_of(name: &str) -> Option<i64> {
    rank(name).map(|(start, ..)| start)
}

fn is_part(name: &str) -> bool {
    parse_part_name(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files a directory holds, and parts a file replaces, by short names: `p3` is part
    /// 3 of the slot, `f` and `f1` are its files, `o` one of another program.
    fn name(short: &str) -> String {
        match short.split_at(1) {
            ("p", n) => format!(".flowcap.202611211200.{:04}.part", n.parse::<u32>().unwrap()),
            ("f", "") => "flowcap.202611211200.parquet".into(),
            ("f", n) => format!("flowcap.202611211200.{n}.parquet"),
            ("q", n) => format!(".flowcap.202611211205.{:04}.part", n.parse::<u32>().unwrap()),
            ("g", _) => "flowcap.202611211205.parquet".into(),
            ("h", _) => "flowcap.202611211200.hour.parquet".into(),
            _ => format!("{short}.parquet"),
        }
    }

    /// One file after the other as a follower meets it, with the rows it holds. A row is
    /// a letter; `listing: file(replaced)=rows, …` and then what is printed.
    #[track_caller]
    fn check(rows_max: usize, steps: &[(&str, &str)]) {
        let mut watch = Watch::new(rows_max);
        let path = Path::new("/flows/hour=12");
        for (step, expected) in steps {
            let (inode, listing) = step.split_once(": ").unwrap_or(("1", step));
            let files: Vec<_> = listing
                .split(", ")
                .filter(|text| !text.is_empty())
                .map(|text| {
                    let (file, rows) = text.split_once('=').unwrap();
                    let (file, replaces) = file.split_once('(').unwrap_or((file, ""));
                    let replaces = replaces.trim_end_matches(')').split(' ').filter(|part| !part.is_empty());
                    (name(file), (replaces.map(name).collect::<Vec<_>>(), rows))
                })
                .collect();
            let names = files.iter().map(|(name, _)| name.clone()).collect();
            let mut fresh = Vec::new();
            watch.listed(path, (0, inode.parse().unwrap()), true, &names, &mut fresh);
            fresh.sort();
            let mut printed = String::new();
            for file in fresh {
                let (_, (replaces, rows)) = files.iter().find(|(name, _)| *name == file.name).unwrap();
                let Repeats::Some(mut seen) = watch.repeats(&file, replaces) else { continue };
                let mut read = Rows::default();
                for row in rows.bytes() {
                    if !seen.take(row.into(), Some(row.into())) {
                        printed.push(char::from(row));
                    }
                    read.hashes.push(row.into());
                    read.last = read.last.max(Some(row.into()));
                }
                watch.read(&file, file.is_part().then_some(read), seen);
            }
            assert_eq!(printed, *expected, "{step}");
        }
        assert_eq!(watch.rows, watch.directories.values().map(Directory::n_rows).sum::<usize>());
    }

    const MANY: usize = 1_000;

    #[test]
    fn rows_come_once_although_a_file_replaces_their_parts() {
        check(
            MANY,
            &[
                ("p0=ab", "ab"),
                ("p0=ab, p1=c", "c"),
                ("p0=ab, p1=c, f(p0 p1)=abc", ""),
                ("f(p0 p1)=abc, q0=d", "d"),
            ],
        );
        // The last parts came and went between two looks; the file may be sorted.
        check(MANY, &[("p0=ab", "ab"), ("f(p0 p1 p2)=bxya", "xy"), ("f(p0 p1 p2)=bxya", "")]);
        check(MANY, &[("", ""), ("f(p0 p1)=abc", "abc")]);
        check(MANY, &[("f(p0)=ab, p0=ab, p1=c", "abc"), ("f1(p1)=c, f(p0)=ab", "")]);
    }

    #[test]
    fn rows_that_are_equal_come_as_often_as_they_are_there() {
        check(MANY, &[("p0=aa", "aa"), ("f(p0 p1)=aaaa", "aa")]);
    }

    #[test]
    fn a_part_may_become_a_file_by_another_name() {
        check(MANY, &[("p0=ab", "ab"), ("f=ab", "")]);
        // A name that goes and one that comes may both show in one listing.
        check(
            MANY,
            &[("p0=ab, p1=c", "abc"), ("p0=ab, p1=c, f=ab", ""), ("p1=c, f=ab", ""), ("f=ab, f1=c", "")],
        );
    }

    #[test]
    fn a_part_that_a_crash_undid_comes_again_in_others() {
        check(MANY, &[("p0=abc", "abc"), ("p1=ab", ""), ("p1=ab, p2=cd", "d"), ("f(p1 p2)=abcd", "")]);
        // Parts of another slot, and rows that only look alike, are no repetition.
        check(MANY, &[("p0=ab", "ab"), ("p0=ab, q0=ab", "ab"), ("p0=ab, p1=a, q0=ab", "a")]);
    }

    #[test]
    fn an_hour_that_was_compacted_has_nothing_new() {
        check(MANY, &[("1: f=ab, g=c", "abc"), ("2: h=abc", ""), ("2: h=abc, q0=d", "d")]);
        // One that came late, after the exchange; and a file of whoever began a tree anew.
        check(MANY, &[("1: f=ab, g=c", "abc"), ("2: h=abc, f1=d", "d"), ("3: o=e", "e")]);
    }

    #[test]
    fn rows_beyond_the_bound_are_told_by_when_they_were_received() {
        check(3, &[("p0=ab", "ab"), ("p0=ab, p1=cd", "cd"), ("f(p0 p1 p2)=abcdef", "ef")]);
    }

    #[test]
    fn files_come_by_slot_then_parts_by_number_then_others() {
        let mut names: Vec<_> = ["o", "q0", "p10", "p2", "f1", "f", "g"].map(name).into();
        names.sort_by_cached_key(|name| Fresh::new(Path::new(""), name));
        assert_eq!(names, ["f", "f1", "p2", "p10", "g", "q0", "o"].map(name));
    }
}
