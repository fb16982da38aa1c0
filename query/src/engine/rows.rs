//! Matching rows as text, in the order of files and rows.
//!
//! Batches are decoded one after another by whichever thread is free; text, which costs more,
//! is made by all threads at once, and joined in order by the caller's.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use flow_common::limits::BATCHES_AHEAD_PER_THREAD;

use super::reader::{OpenFile, Reader, Tally, Task};
use crate::batch::Batch;
use crate::counts::{Counts, Wanted};
use crate::interrupt;
use crate::output::{self, FileInfo, RowFormat, RowFormatter};
use crate::scan::Scan;

/// Batches before threads are started: few rows are printed sooner without.
const ALONE_BATCHES: u64 = 2;

/// Writes all matching rows.
pub(super) fn rows(
    reader: &mut Reader<'_>,
    format: &dyn RowFormat,
    out: &mut dyn Write,
) -> io::Result<Tally> {
    let request = reader.request;
    let has_summary = output::has_summary(&request.style);
    let mut source = Source { reader, current: None, next: 0, passed: 0 };
    let mut own = Worker::new(format, has_summary);
    let (mut rows, mut text) = (0, Vec::new());
    format.begin(out)?;
    let mut next = source.next();
    while let Some(piece) = next {
        if piece.number >= ALONE_BATCHES && request.threads > 1 {
            let tally = in_threads(source, format, request.threads, has_summary, piece, &mut rows, out)?;
            own.tally.merge(&tally);
            break;
        }
        text.clear();
        own.format(&piece, &mut text);
        format.join(rows, &mut text, out)?;
        rows += piece.batch.rows() as u64;
        next = source.next();
    }
    format.end(rows, out)?;
    Ok(own.tally)
}

/// Batches in order.
struct Source<'r, 'q> {
    reader: &'r mut Reader<'q>,
    current: Option<(Task, Scan)>,
    next: u64,
    passed: u64,
}

/// One batch and its place.
struct Piece {
    number: u64,
    file: Arc<OpenFile>,
    batch: Batch,
}

impl Source<'_, '_> {
    fn next(&mut self) -> Option<Piece> {
        let limit = self.reader.request.limit.unwrap_or(u64::MAX);
        while self.passed < limit && !interrupt::is_asked() {
            if self.current.is_none() {
                let task = self.reader.next_task()?;
                let (scan, compressed_bytes) = task.scan();
                self.reader.read.bytes = self.reader.read.bytes.saturating_add(compressed_bytes);
                match scan {
                    Ok(scan) => self.current = Some((task, scan)),
                    // A damaged row group leaves the others readable.
                    Err(error) => {
                        self.reader.cant_read_group(&task, &error);
                        continue;
                    }
                }
            }
            let Some((task, scan)) = &mut self.current else { continue };
            match scan.next() {
                Ok(Some(mut batch)) => {
                    let room = usize::try_from(limit - self.passed).unwrap_or(usize::MAX);
                    if room < batch.rows() {
                        batch.truncate(room);
                    }
                    self.passed += batch.rows() as u64;
                    let piece = Piece { number: self.next, file: Arc::clone(&task.file), batch };
                    self.next += 1;
                    return Some(piece);
                }
                Ok(None) => self.end_of_group(),
                Err(error) => {
                    self.reader.cant_read_group(task, &error);
                    self.end_of_group();
                }
            }
        }
        None
    }

    fn end_of_group(&mut self) {
        if let Some((task, _)) = self.current.take() {
            self.reader.progress.add_rows(task.rows());
        }
    }
}

/// What one thread has to make text with.
struct Worker {
    formatter: Box<dyn RowFormatter>,
    file: Option<Arc<OpenFile>>,
    counts: Counts,
    has_summary: bool,
    tally: Tally,
}

impl Worker {
    fn new(format: &dyn RowFormat, has_summary: bool) -> Self {
        let (formatter, counts) = (format.formatter(), Counts::default());
        Self { formatter, file: None, counts, has_summary, tally: Tally::default() }
    }

    fn format(&mut self, piece: &Piece, text: &mut Vec<u8>) {
        let Piece { file, batch, .. } = piece;
        if self.file.as_ref().is_none_or(|known| !Arc::ptr_eq(known, file)) {
            let ident = file.file.footer.as_ref().map(|footer| footer.ident.as_str());
            self.formatter.file(&FileInfo { ident, names: file.names.as_ref() });
            self.file = Some(Arc::clone(file));
        }
        self.tally.passed += batch.rows() as u64;
        self.tally.add_rates(batch.rate_span());
        if self.has_summary {
            self.counts.read(batch, Wanted::ALL);
            self.tally.matched.add(&self.counts.total());
        }
        self.formatter.rows(batch, text);
    }
}

/// How far the writer has come, so that nobody runs far ahead of it.
struct Progress {
    written: Mutex<Written>,
    has_moved: Condvar,
}

struct Written {
    next: u64,
    is_stopped: bool,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for piece `number`; false where nobody wants it any more.
    fn wait(&self, number: u64, ahead: u64) -> bool {
        let mut written = self.lock();
        while number >= written.next + ahead && !written.is_stopped {
            written = self.has_moved.wait(written).unwrap_or_else(PoisonError::into_inner);
        }
        !written.is_stopped
    }

    fn move_on(&self, change: impl FnOnce(&mut Written)) {
        change(&mut self.lock());
        self.has_moved.notify_all();
    }
}

/// Text of a piece: its number, its rows and what was made of them.
type Made = (u64, u64, Vec<u8>);

fn in_threads(
    source: Source<'_, '_>,
    format: &dyn RowFormat,
    threads: usize,
    has_summary: bool,
    first: Piece,
    rows: &mut u64,
    out: &mut dyn Write,
) -> io::Result<Tally> {
    let number = first.number;
    let progress = Progress {
        written: Mutex::new(Written { next: number, is_stopped: false }),
        has_moved: Condvar::new(),
    };
    let ahead = (threads * BATCHES_AHEAD_PER_THREAD) as u64;
    let source = Mutex::new((Some(first), source));
    let take = || {
        let (first, source) = &mut *source.lock().unwrap_or_else(PoisonError::into_inner);
        first.take().or_else(|| source.next())
    };
    let work = |made: SyncSender<Made>| {
        let mut worker = Worker::new(format, has_summary);
        while let Some(piece) = take() {
            if !progress.wait(piece.number, ahead) {
                break;
            }
            let mut text = Vec::new();
            worker.format(&piece, &mut text);
            if made.send((piece.number, piece.batch.rows() as u64, text)).is_err() {
                break;
            }
        }
        worker.tally
    };
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(threads * BATCHES_AHEAD_PER_THREAD);
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let sender = sender.clone();
                scope.spawn(|| work(sender))
            })
            .collect();
        drop(sender);
        let written = write(&receiver, format, number, rows, &progress, out);
        progress.move_on(|written| written.is_stopped = true);
        drop(receiver);
        let mut tally = Tally::default();
        for worker in workers {
            match worker.join() {
                Ok(own) => tally.merge(&own),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        written.map(|()| tally)
    })
}

/// Joins texts in order.
fn write(
    made: &Receiver<Made>,
    format: &dyn RowFormat,
    mut next: u64,
    rows: &mut u64,
    progress: &Progress,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut early = BTreeMap::new();
    for (number, n_rows, text) in made {
        early.insert(number, (n_rows, text));
        while let Some((n_rows, mut text)) = early.remove(&next) {
            format.join(*rows, &mut text, out)?;
            *rows += n_rows;
            next += 1;
            progress.move_on(|written| written.next = next);
        }
    }
    Ok(())
}
