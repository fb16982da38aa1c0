//! `-O` without groups: matching rows in an order of their own.
//!
//! Each thread keeps the text of the rows that may be asked for, with what they are ranked by;
//! with `-n` these are few, without all that match. What has no room goes to disk, sorted, and is
//! put together when all is read.

use std::cmp::Ordering as Order;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use flow_common::limits::ORDERS_MAX;

use super::reader::{Reader, Tally, Task};
use super::threads::side_by_side;
use crate::batch::{Batch, Cells};
use crate::flow::{CounterCells, OUT_COLUMNS};
use crate::interrupt;
use crate::message::Failure;
use crate::output::{FileInfo, RowFormat, RowFormatter};
use crate::runs::{Cursor, Entry, Merged, Runs, cant_sort, put_word, read_bytes, word};
use crate::scan::ReadError;
use crate::statistic::Ranking;

/// The part of memory that rows on disk are read through: one of so many.
const READ_PARTS: usize = 4;

/// What a row is ranked by, ascending; then where it stands.
type Rank = ([u64; ORDERS_MAX], u64);

/// Writes the first `top` matching rows by `orders`; 0 is all.
pub(super) fn sorted(
    reader: &mut Reader<'_>,
    format: &dyn RowFormat,
    (orders, top): (&[Ranking], usize),
    out: &mut dyn Write,
) -> Result<Tally, Failure> {
    let request = reader.request;
    // Which are the first so many is known in order only.
    let n_threads = if request.limit.is_some() { 1 } else { request.threads };
    let bytes_max = (request.memory_bytes - request.memory_bytes / READ_PARTS) / n_threads.max(1);
    let is_failed = AtomicBool::new(false);
    let shared = Mutex::new(reader);
    let with_reader = |run: &mut dyn FnMut(&mut Reader<'_>)| {
        run(&mut shared.lock().unwrap_or_else(PoisonError::into_inner));
    };
    let states = side_by_side(
        n_threads,
        || Sorter::new(format, (orders, top), bytes_max),
        |state| {
            while !interrupt::is_asked()
                && !is_failed.load(Ordering::Relaxed)
                && !state.is_enough(request.limit)
            {
                let mut task = None;
                with_reader(&mut |reader| task = reader.next_task());
                let Some(task) = task else { break };
                let (result, compressed_bytes) = state.read(&task, request.limit);
                if state.failure.is_some() {
                    is_failed.store(true, Ordering::Relaxed);
                }
                with_reader(&mut |reader| {
                    reader.progress.add_rows(task.rows());
                    reader.read.bytes = reader.read.bytes.saturating_add(compressed_bytes);
                    if let Err(error) = &result {
                        reader.cant_read_group(&task, error);
                    }
                });
            }
            state.sort();
        },
    );
    let n_runs = states.iter().map(|state| state.runs.len()).sum();
    let (mut tally, mut cursors) = (Tally::default(), Vec::new());
    for state in states {
        tally.merge(&state.tally);
        if let Some(error) = state.failure {
            return Err(cant_sort(&error));
        }
        cursors.extend(state.runs.cursors(None, read_bytes(n_runs, request.memory_bytes / READ_PARTS)));
        cursors.push(Cursor::Memory(state.kept.into_iter()));
    }
    write(format, Merged::new(cursors).map_err(|error| cant_sort(&error))?, top, out)?;
    Ok(tally)
}

fn write(
    format: &dyn RowFormat,
    mut rows: Merged<Kept>,
    top: usize,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    format.begin(out)?;
    let mut n_rows = 0;
    while !interrupt::is_asked() && (top == 0 || n_rows < top as u64) {
        let Some(mut row) = rows.next().map_err(|error| cant_sort(&error))? else { break };
        format.join(n_rows, &mut row.text, out)?;
        n_rows += 1;
    }
    Ok(format.end(n_rows, out)?)
}

/// A row that may be asked for.
struct Kept {
    rank: Rank,
    text: Vec<u8>,
}

impl Kept {
    /// Octets it takes, as one of many: the vector of them is half empty at the worst, and memory
    /// for a text costs some itself.
    fn bytes(&self) -> usize {
        2 * size_of::<Self>() + self.text.capacity() + 16
    }
}

impl Entry for Kept {
    fn order(&self, other: &Self) -> Order {
        self.rank.cmp(&other.rank)
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (orders, at) = self.rank;
        let mut words = orders.into_iter().chain([at, self.text.len() as u64]);
        words.try_for_each(|word| put_word(word, out))?;
        out.write_all(&self.text)
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut rank = Rank::default();
        for place in rank.0.iter_mut().chain([&mut rank.1]) {
            *place = word(from)?;
        }
        let mut text = vec![0; usize::try_from(word(from)?).unwrap_or(usize::MAX)];
        from.read_exact(&mut text)?;
        Ok(Self { rank, text })
    }
}

/// What one thread keeps.
struct Sorter<'a> {
    orders: &'a [Ranking],
    top: usize,
    formatter: Box<dyn RowFormatter>,
    kept: Vec<Kept>,
    /// Octets of what is kept, and how many may be.
    bytes: usize,
    bytes_max: usize,
    /// What was kept before and had no room.
    runs: Runs<Kept>,
    failure: Option<io::Error>,
    /// Rows behind it are not among the first.
    last: Option<Rank>,
    tally: Tally,
}

impl<'a> Sorter<'a> {
    fn new(format: &dyn RowFormat, (orders, top): (&'a [Ranking], usize), bytes_max: usize) -> Self {
        Self {
            orders,
            top,
            formatter: format.formatter(),
            kept: Vec::new(),
            bytes: 0,
            bytes_max,
            runs: Runs::default(),
            failure: None,
            last: None,
            tally: Tally::default(),
        }
    }

    fn is_enough(&self, limit: Option<u64>) -> bool {
        limit.is_some_and(|limit| self.tally.passed >= limit)
    }

    /// Reads a row group; also says how many compressed octets that took.
    fn read(&mut self, task: &Task, limit: Option<u64>) -> (Result<(), ReadError>, u64) {
        let file = &task.file;
        let ident = file.file.footer.as_ref().map(|footer| footer.ident.as_str());
        self.formatter.file(&FileInfo { ident, names: file.names.as_ref() });
        let (scan, compressed_bytes) = task.scan(true);
        let result = scan.and_then(|mut scan| {
            let mut position = task.position;
            while !interrupt::is_asked() && self.failure.is_none() && !self.is_enough(limit) {
                let Some(mut batch) = scan.next()? else { break };
                let room = limit.map_or(u64::MAX, |limit| limit - self.tally.passed);
                if room < batch.rows() as u64 {
                    batch.truncate(usize::try_from(room).unwrap_or(usize::MAX));
                }
                self.add(&batch, position);
                position += batch.rows() as u64;
            }
            Ok(())
        });
        (result, compressed_bytes)
    }

    fn add(&mut self, batch: &Batch, position: u64) {
        let cells = CounterCells::new(batch);
        let mut one = None;
        let is_out = self.orders.iter().any(|ranking| ranking.order.is_out());
        let out = is_out.then(|| OUT_COLUMNS.map(|id| batch.cells(id)));
        self.tally.passed += batch.rows() as u64;
        self.tally.add_rates(batch.rate_span());
        for (row, at) in (0..batch.rows()).zip(position..) {
            let mut counters = cells.get(row);
            if let Some([packets, bytes]) = out {
                let count = |cells: Cells<'_>| cells.int(row).map_or(0, |n| u64::try_from(n).unwrap_or(0));
                (counters.out_packets, counters.out_bytes) = (count(packets), count(bytes));
            }
            self.tally.matched.add(&counters);
            let mut rank = ([0; ORDERS_MAX], at);
            rank.0.iter_mut().zip(self.orders).for_each(|(place, order)| *place = order.rank(&counters));
            if self.last.is_some_and(|last| rank > last) {
                continue;
            }
            let mut text = Vec::new();
            match &mut one {
                Some(one) => batch.row_into(row, one),
                none => *none = Some(batch.row(row)),
            }
            let Some(one) = &one else { continue };
            self.formatter.rows(one, &mut text);
            text.shrink_to_fit();
            let kept = Kept { rank, text };
            self.bytes += kept.bytes();
            self.kept.push(kept);
            if self.top > 0 && self.kept.len() >= 2 * self.top.saturating_add(ROWS_BESIDE) {
                self.cut();
            }
            if self.bytes > self.bytes_max {
                self.make_room();
            }
        }
    }

    /// Writes what is kept to disk, if leaving out what is not among the first is not enough.
    fn make_room(&mut self) {
        if self.top > 0 && self.kept.len() > self.top {
            self.cut();
        }
        if self.bytes <= self.bytes_max / 2 || self.failure.is_some() {
            return;
        }
        self.sort();
        let rows = std::mem::take(&mut self.kept);
        self.bytes = 0;
        self.failure = self.runs.push(|put| rows.iter().try_for_each(put)).err();
    }

    /// Puts what is kept in order; nothing beyond the first so many.
    fn sort(&mut self) {
        self.kept.sort_unstable_by_key(|row| row.rank);
        if self.top > 0 {
            self.kept.truncate(self.top);
        }
    }

    /// Forgets what is not among the first.
    fn cut(&mut self) {
        self.kept.select_nth_unstable_by_key(self.top - 1, |row| row.rank);
        self.kept.truncate(self.top);
        self.last = self.kept.last().map(|row| row.rank);
        self.bytes = self.kept.iter().map(Kept::bytes).sum();
    }
}

/// Rows that are gathered beyond those wanted, so that few are cut often.
const ROWS_BESIDE: usize = 512;
