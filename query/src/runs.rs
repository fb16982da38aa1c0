//! What has no room in memory: sorted runs of it in files without a name, and all of it in order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
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
pub(crate) struct Merged<E: Entry> {
    cursors: Vec<Cursor<E>>,
    heads: BinaryHeap<Head<E>>,
}

/// The next entry of a cursor; the greatest is the one that comes first.
struct Head<E> {
    entry: E,
    cursor: usize,
}

impl<E: Entry> Ord for Head<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.entry.order(&self.entry).then(other.cursor.cmp(&self.cursor))
    }
}

impl<E: Entry> PartialOrd for Head<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E: Entry> PartialEq for Head<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<E: Entry> Eq for Head<E> {}

impl<E: Entry> Merged<E> {
    pub(crate) fn new(cursors: impl IntoIterator<Item = Cursor<E>>) -> io::Result<Self> {
        let mut cursors: Vec<Cursor<E>> = cursors.into_iter().collect();
        let mut heads = Vec::with_capacity(cursors.len());
        for (at, cursor) in cursors.iter_mut().enumerate() {
            heads.extend(cursor.next()?.map(|entry| Head { entry, cursor: at }));
        }
        Ok(Self { cursors, heads: heads.into() })
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<E>> {
        let Some(mut first) = self.heads.peek_mut() else { return Ok(None) };
        Ok(Some(match self.cursors[first.cursor].next()? {
            Some(next) => std::mem::replace(&mut first.entry, next),
            None => PeekMut::pop(first).entry,
        }))
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
