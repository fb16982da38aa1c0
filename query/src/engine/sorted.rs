//! `-O` without groups: matching rows in an order of their own.
//!
//! Each thread keeps the text of the rows that may be asked for, with what they are ranked by;
//! with `-n` these are few, without all that match.

use std::io::{self, Write};
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
use crate::scan::ReadError;
use crate::statistic::Ranking;

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
    let bytes_max = request.memory_bytes / n_threads.max(1);
    let is_full = AtomicBool::new(false);
    let shared = Mutex::new(reader);
    let with_reader = |run: &mut dyn FnMut(&mut Reader<'_>)| {
        run(&mut shared.lock().unwrap_or_else(PoisonError::into_inner));
    };
    let states = side_by_side(
        n_threads,
        || Sorter::new(format, orders, top),
        |state| {
            while !interrupt::is_asked()
                && !is_full.load(Ordering::Relaxed)
                && !state.is_enough(request.limit)
            {
                let mut task = None;
                with_reader(&mut |reader| task = reader.next_task());
                let Some(task) = task else { break };
                let (result, compressed_bytes) = state.read(&task, request.limit, bytes_max);
                if state.bytes > bytes_max {
                    is_full.store(true, Ordering::Relaxed);
                }
                with_reader(&mut |reader| {
                    reader.progress.add_rows(task.rows());
                    reader.read.bytes = reader.read.bytes.saturating_add(compressed_bytes);
                    if let Err(error) = &result {
                        reader.cant_read_group(&task, error);
                    }
                });
            }
        },
    );
    if is_full.into_inner() {
        let message =
            format!("the rows to sort need more than the {} octets of `--memory`", request.memory_bytes);
        let hint = Some("`-n 100` keeps the first hundred, `-s record/bytes` and `-a` go to disk".to_owned());
        return Err(Failure::Failed { message, hint });
    }
    let mut tally = Tally::default();
    let mut kept = Vec::new();
    for state in states {
        tally.merge(&state.tally);
        kept.extend(state.kept);
    }
    kept.sort_unstable_by_key(|row: &Kept| row.rank);
    if top > 0 {
        kept.truncate(top);
    }
    write(format, kept, out)?;
    Ok(tally)
}

fn write(format: &dyn RowFormat, kept: Vec<Kept>, out: &mut dyn Write) -> io::Result<()> {
    format.begin(out)?;
    let n_rows = kept.len() as u64;
    for (before, mut row) in (0..).zip(kept) {
        if interrupt::is_asked() {
            break;
        }
        format.join(before, &mut row.text, out)?;
    }
    format.end(n_rows, out)
}

/// A row that may be asked for.
struct Kept {
    rank: Rank,
    text: Vec<u8>,
}

/// What one thread keeps.
struct Sorter<'a> {
    orders: &'a [Ranking],
    top: usize,
    formatter: Box<dyn RowFormatter>,
    kept: Vec<Kept>,
    /// Octets of what is kept.
    bytes: usize,
    /// Rows behind it are not among the first.
    last: Option<Rank>,
    tally: Tally,
}

impl<'a> Sorter<'a> {
    fn new(format: &dyn RowFormat, orders: &'a [Ranking], top: usize) -> Self {
        let (formatter, tally) = (format.formatter(), Tally::default());
        Self { orders, top, formatter, kept: Vec::new(), bytes: 0, last: None, tally }
    }

    fn is_enough(&self, limit: Option<u64>) -> bool {
        limit.is_some_and(|limit| self.tally.passed >= limit)
    }

    /// Reads a row group; also says how many compressed octets that took.
    fn read(&mut self, task: &Task, limit: Option<u64>, bytes_max: usize) -> (Result<(), ReadError>, u64) {
        let file = &task.file;
        let ident = file.file.footer.as_ref().map(|footer| footer.ident.as_str());
        self.formatter.file(&FileInfo { ident, names: file.names.as_ref() });
        let (scan, compressed_bytes) = task.scan();
        let result = scan.and_then(|mut scan| {
            let mut position = task.position;
            while !interrupt::is_asked() && self.bytes <= bytes_max && !self.is_enough(limit) {
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
            self.bytes += size_of::<Kept>() + text.capacity();
            self.kept.push(Kept { rank, text });
            if self.top > 0 && self.kept.len() >= 2 * self.top.saturating_add(ROWS_BESIDE) {
                self.cut();
            }
        }
    }

    /// Forgets what is not among the first.
    fn cut(&mut self) {
        self.kept.select_nth_unstable_by_key(self.top - 1, |row| row.rank);
        self.kept.truncate(self.top);
        self.last = self.kept.last().map(|row| row.rank);
        self.bytes = self.kept.iter().map(|row| size_of::<Kept>() + row.text.capacity()).sum();
    }
}

/// Rows that are gathered beyond those wanted, so that few are cut often.
const ROWS_BESIDE: usize = 512;
