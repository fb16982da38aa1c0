//! Ranked rows that have no room in memory: sorted runs of them in a file without a name, and all
//! of them in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flow_common::limits::{SORT_READ_BYTES, SORT_RUNS_MAX};

use super::{Kept, Rank};

/// Runs of one thread, each sorted by rank.
pub(super) struct Runs {
    file: BufWriter<Arc<File>>,
    /// Where each begins and ends.
    runs: Vec<(u64, u64)>,
    bytes: u64,
}

impl Runs {
    /// A file that is gone when the process is.
    pub(super) fn new() -> io::Result<Self> {
        let file = Arc::new(tempfile::tempfile_in(std::env::temp_dir())?);
        Ok(Self { file: BufWriter::with_capacity(SORT_READ_BYTES, file), runs: Vec::new(), bytes: 0 })
    }

    /// Appends a run of rows, which ascend.
    pub(super) fn push(&mut self, rows: impl IntoIterator<Item = Kept>) -> io::Result<()> {
        let start = self.bytes;
        rows.into_iter().try_for_each(|row| self.put(&row))?;
        self.runs.push((start, self.bytes));
        if self.runs.len() >= SORT_RUNS_MAX {
            self.join()?;
        }
        Ok(())
    }

    fn put(&mut self, Kept { rank: (orders, at), text }: &Kept) -> io::Result<()> {
        for word in orders.iter().chain([at, &(text.len() as u64)]) {
            self.file.write_all(&word.to_le_bytes())?;
        }
        self.file.write_all(text)?;
        self.bytes += (size_of::<Rank>() + size_of::<u64>() + text.len()) as u64;
        Ok(())
    }

    /// Makes one run of all, so that few are read at a time.
    fn join(&mut self) -> io::Result<()> {
        let mut joined = Self::new()?;
        merged(self.cursors()?, |row| joined.put(&row).map(|()| ControlFlow::Continue(())))?;
        joined.runs.push((0, joined.bytes));
        *self = joined;
        Ok(())
    }

    /// Each of its runs, from the beginning.
    pub(super) fn cursors(&mut self) -> io::Result<Vec<Cursor>> {
        self.file.flush()?;
        let cursor = |&(at, end): &(u64, u64)| {
            let run = Run { file: Arc::clone(self.file.get_ref()), at, end };
            Cursor::Run(BufReader::with_capacity(SORT_READ_BYTES, run))
        };
        Ok(self.runs.iter().map(cursor).collect())
    }
}

/// Rows that ascend.
pub(super) enum Cursor {
    Run(BufReader<Run>),
    Memory(std::vec::IntoIter<Kept>),
}

/// A run on its way back.
pub(super) struct Run {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Run {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let room = into.len().min(left);
        let n = self.file.read_at(&mut into[..room], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Cursor {
    fn next(&mut self) -> io::Result<Option<Kept>> {
        let reader = match self {
            Self::Memory(rows) => return Ok(rows.next()),
            Self::Run(reader) => reader,
        };
        if reader.buffer().is_empty() && reader.get_ref().at == reader.get_ref().end {
            return Ok(None);
        }
        let mut word = || {
            let mut octets = [0; 8];
            reader.read_exact(&mut octets)?;
            Ok::<_, io::Error>(u64::from_le_bytes(octets))
        };
        let mut rank = Rank::default();
        for place in rank.0.iter_mut().chain([&mut rank.1]) {
            *place = word()?;
        }
        let mut text = vec![0; usize::try_from(word()?).unwrap_or(0)];
        reader.read_exact(&mut text)?;
        Ok(Some(Kept { rank, text }))
    }
}

/// Hands the rows of all cursors to `each`, by rank, until it has enough.
pub(super) fn merged(
    mut cursors: Vec<Cursor>,
    mut each: impl FnMut(Kept) -> io::Result<ControlFlow<()>>,
) -> io::Result<()> {
    let mut heads: Vec<Option<Kept>> = cursors.iter_mut().map(Cursor::next).collect::<io::Result<_>>()?;
    let rank = |(at, head): (usize, &Option<Kept>)| head.as_ref().map(|row| Reverse((row.rank, at)));
    let mut least: BinaryHeap<Reverse<(Rank, usize)>> = heads.iter().enumerate().filter_map(rank).collect();
    while let Some(Reverse((_, at))) = least.pop() {
        let (Some(head), Some(cursor)) = (heads.get_mut(at), cursors.get_mut(at)) else { break };
        let next = cursor.next()?;
        least.extend(next.as_ref().map(|row| Reverse((row.rank, at))));
        let Some(row) = std::mem::replace(head, next) else { break };
        if each(row)?.is_break() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u64) -> Kept {
        Kept { rank: ([n / 7, 0, 0, 0], n), text: vec![b'x'; (n % 5) as usize] }
    }

    #[test]
    fn rows_come_back_in_order_however_many_runs_there_were() {
        let n_rows = 3 * SORT_RUNS_MAX as u64 + 10;
        let mut runs = Runs::new().unwrap();
        for n in (0..n_rows).rev().step_by(2) {
            // Two in a run, those of a rank in several.
            runs.push([row(n - 1), row(n)]).unwrap();
        }
        assert!(runs.runs.len() < SORT_RUNS_MAX);
        let mut cursors = runs.cursors().unwrap();
        cursors.push(Cursor::Memory(vec![row(n_rows)].into_iter()));
        let mut found = 0;
        merged(cursors, |next| {
            assert_eq!((next.rank, &next.text), (row(found).rank, &row(found).text));
            found += 1;
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        assert_eq!(found, n_rows + 1);
    }
}
