//! What has no room in memory: sorted runs of it in files without a name, and all of it in order.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use flow_common::limits::{SORT_READ_BYTES_MAX, SORT_READ_BYTES_MIN, SORT_RUNS_OF_LEVEL_MAX};

use crate::message::{Failure, reason};

/// What runs are of.
pub(crate) trait Entry: Sized {
    /// What they are sorted by.
    fn order(&self, other: &Self) -> Ordering;

    /// The part of all it belongs to. Parts ascend in a run, and each can be read by itself.
    fn part(&self) -> u32 {
        0
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()>;

    fn read(from: &mut impl Read) -> io::Result<Self>;
}

/// Takes the entries of a run.
pub(crate) type Put<'a, E> = dyn FnMut(&E) -> io::Result<()> + 'a;

/// Runs of one thread. As soon as there are [`SORT_RUNS_OF_LEVEL_MAX`] they become one of the next
/// level, so that few are read at a time, and each entry is written once a level.
#[derive(Debug)]
pub(crate) struct Runs<E> {
    levels: Vec<Level>,
    entries: PhantomData<fn() -> E>,
}

/// Runs of about one size.
#[derive(Debug)]
struct Level {
    file: BufWriter<Arc<File>>,
    bytes: u64,
    runs: Vec<Run>,
}

/// A run in a file.
#[derive(Debug)]
struct Run {
    /// Where each of its parts begins.
    parts: Vec<(u32, u64)>,
    end: u64,
}

impl<E> Default for Runs<E> {
    fn default() -> Self {
        Self { levels: Vec::new(), entries: PhantomData }
    }
}

impl<E: Entry> Runs<E> {
    pub(crate) fn len(&self) -> usize {
        self.levels.iter().map(|level| level.runs.len()).sum()
    }

    /// Appends a run of what `make` puts into it, which ascends.
    pub(crate) fn push(&mut self, make: impl FnOnce(&mut Put<'_, E>) -> io::Result<()>) -> io::Result<()> {
        if self.levels.is_empty() {
            self.levels.push(Level::new()?);
        }
        self.levels[0].append(make)?;
        for at in 0.. {
            let Some(level) = self.levels.get_mut(at) else { break };
            if level.runs.len() < SORT_RUNS_OF_LEVEL_MAX {
                break;
            }
            let full = std::mem::replace(level, Level::new()?);
            if self.levels.len() == at + 1 {
                self.levels.push(Level::new()?);
            }
            let mut all = Merged::new(full.cursors(None, SORT_READ_BYTES_MAX))?;
            self.levels[at + 1].append(|put: &mut Put<'_, E>| {
                while let Some(entry) = all.next()? {
                    put(&entry)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Each of its runs, or the one part of each; `bytes` of each are read at a time.
    pub(crate) fn cursors(&self, part: Option<u32>, bytes: usize) -> impl Iterator<Item = Cursor<E>> {
        self.levels.iter().flat_map(move |level| level.cursors(part, bytes))
    }
}

/// Octets of each of `n` runs that are read at a time, where all together may have `bytes_max`.
pub(crate) fn read_bytes(n: usize, bytes_max: usize) -> usize {
    (bytes_max / n.max(1)).clamp(SORT_READ_BYTES_MIN, SORT_READ_BYTES_MAX)
}

impl Level {
    /// A file that is gone when the process is.
    fn new() -> io::Result<Self> {
        let file = match tempfile::tempfile_in(std::env::temp_dir()) {
            // Many threads with many tables each may need more files than are allowed at first.
            Err(error) if error.raw_os_error() == Some(Errno::EMFILE as i32) => {
                let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
                setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
                tempfile::tempfile_in(std::env::temp_dir())
            }
            file => file,
        };
        let file = Arc::new(file?);
        Ok(Self { file: BufWriter::with_capacity(SORT_READ_BYTES_MAX, file), bytes: 0, runs: Vec::new() })
    }

    fn append<E: Entry>(&mut self, make: impl FnOnce(&mut Put<'_, E>) -> io::Result<()>) -> io::Result<()> {
        let mut parts: Vec<(u32, u64)> = Vec::new();
        make(&mut |entry| {
            if parts.last().is_none_or(|last| last.0 != entry.part()) {
                parts.push((entry.part(), self.bytes));
            }
            entry.write(self)
        })?;
        // It may be read as soon as it is there.
        self.file.flush()?;
        if !parts.is_empty() {
            self.runs.push(Run { parts, end: self.bytes });
        }
        Ok(())
    }

    fn cursors<E>(&self, part: Option<u32>, bytes: usize) -> Vec<Cursor<E>> {
        let cursor = |run: &Run| {
            let (at, end) = match part {
                None => (run.parts.first()?.1, run.end),
                Some(part) => {
                    let place = run.parts.binary_search_by_key(&part, |one| one.0).ok()?;
                    (run.parts[place].1, run.parts.get(place + 1).map_or(run.end, |next| next.1))
                }
            };
            let section = Section { file: Arc::clone(self.file.get_ref()), at, end };
            Some(Cursor::Disk(BufReader::with_capacity(bytes, section)))
        };
        self.runs.iter().filter_map(cursor).collect()
    }
}

impl Write for Level {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let n = self.file.write(octets)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Entries that ascend.
pub(crate) enum Cursor<E> {
    Disk(BufReader<Section>),
    Memory(std::vec::IntoIter<E>),
}

/// A run on its way back.
pub(crate) struct Section {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Section {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let room = into.len().min(left);
        let n = self.file.read_at(&mut into[..room], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl<E: Entry> Cursor<E> {
    fn next(&mut self) -> io::Result<Option<E>> {
        match self {
            Self::Memory(entries) => Ok(entries.next()),
            Self::Disk(reader)
                if reader.buffer().is_empty() && reader.get_ref().at == reader.get_ref().end =>
            {
                Ok(None)
            }
            Self::Disk(reader) => E::read(reader).map(Some),
        }
    }
}

/// The entries of all cursors in order; of equal ones that of an earlier cursor first.
pub(crate) struct Merged<E> {
    /// Each with its next entry.
    cursors: Vec<(Cursor<E>, Option<E>)>,
    /// Cursors that have a next entry, as a heap: the least is the first.
    heap: Vec<usize>,
}

impl<E: Entry> Merged<E> {
    pub(crate) fn new(cursors: impl IntoIterator<Item = Cursor<E>>) -> io::Result<Self> {
        let mut all = Self { cursors: Vec::new(), heap: Vec::new() };
        for mut cursor in cursors {
            if let Some(first) = cursor.next()? {
                all.heap.push(all.cursors.len());
                all.cursors.push((cursor, Some(first)));
            }
        }
        (0..all.heap.len() / 2).rev().for_each(|place| all.sink(place));
        Ok(all)
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<E>> {
        let Some(&least) = self.heap.first() else { return Ok(None) };
        let (cursor, head) = &mut self.cursors[least];
        let found = std::mem::replace(head, cursor.next()?);
        if head.is_none() {
            self.heap.swap_remove(0);
        }
        self.sink(0);
        Ok(found)
    }

    /// Moves what may be too far in front to its place.
    fn sink(&mut self, mut place: usize) {
        loop {
            let mut least = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.heap.len() && self.is_before(child, least) {
                    least = child;
                }
            }
            if least == place {
                return;
            }
            self.heap.swap(place, least);
            place = least;
        }
    }

    fn is_before(&self, one: usize, two: usize) -> bool {
        let (one, two) = (self.heap[one], self.heap[two]);
        match (&self.cursors[one].1, &self.cursors[two].1) {
            (Some(a), Some(b)) => a.order(b).then(one.cmp(&two)).is_lt(),
            (a, _) => a.is_some(),
        }
    }
}

pub(crate) fn put_word(word: u64, out: &mut impl Write) -> io::Result<()> {
    out.write_all(&word.to_le_bytes())
}

pub(crate) fn word(from: &mut impl Read) -> io::Result<u64> {
    let mut octets = [0; 8];
    from.read_exact(&mut octets)?;
    Ok(u64::from_le_bytes(octets))
}

/// Why there is no answer, where there is no room for runs or they can't be read.
pub(crate) fn cant_sort(error: &io::Error) -> Failure {
    let directory = std::env::temp_dir();
    Failure::Failed {
        message: format!("can't sort in a temporary file in `{}`: {}", directory.display(), reason(error)),
        hint: Some(
            "`TMPDIR` names another directory, `--memory` more memory, `-n 100` is the first hundred".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number and what tells equal ones apart; parts are of a hundred numbers.
    #[derive(Debug, PartialEq)]
    struct Number(u64, u64);

    impl Entry for Number {
        fn order(&self, other: &Self) -> Ordering {
            self.0.cmp(&other.0)
        }

        fn part(&self) -> u32 {
            self.0 as u32 / 100
        }

        fn write(&self, out: &mut impl Write) -> io::Result<()> {
            put_word(self.0, out)?;
            put_word(self.1, out)
        }

        fn read(from: &mut impl Read) -> io::Result<Self> {
            Ok(Self(word(from)?, word(from)?))
        }
    }

    fn all(mut merged: Merged<Number>) -> Vec<Number> {
        std::iter::from_fn(|| merged.next().unwrap()).collect()
    }

    #[test]
    fn entries_come_back_in_order_however_many_runs_there_were() {
        let mut runs = Runs::default();
        let n_runs = (3 * SORT_RUNS_OF_LEVEL_MAX * SORT_RUNS_OF_LEVEL_MAX / 2) as u64;
        for run in 0..n_runs {
            let numbers = [n_runs - run, 2 * n_runs + run];
            runs.push(|put| numbers.iter().try_for_each(|n| put(&Number(*n, 1)))).unwrap();
        }
        assert_eq!(runs.len(), 1 + SORT_RUNS_OF_LEVEL_MAX / 2);
        let memory = Cursor::Memory(vec![Number(0, 2), Number(5, 2)].into_iter());
        let found = all(Merged::new(runs.cursors(None, SORT_READ_BYTES_MIN).chain([memory])).unwrap());
        let numbers = (0..=5).chain(5..=n_runs).chain(2 * n_runs..3 * n_runs);
        assert!(found.iter().map(|one| one.0).eq(numbers), "{found:?}");
        assert_eq!(found[5..7], [Number(5, 1), Number(5, 2)]);
        // Of the first run of a level and of the last.
        let part = all(Merged::new(runs.cursors(Some(2), SORT_READ_BYTES_MIN)).unwrap());
        assert!(part.iter().map(|one| one.0).eq(200..300), "{part:?}");
        assert_eq!(all(Merged::new(runs.cursors(Some(1_000_000), SORT_READ_BYTES_MIN)).unwrap()), []);
    }
}
