//! Matching rows as text, in the order of files and rows.
//!
//! Row groups are scanned side by side and text is made of each batch by whoever scanned it;
//! the caller's thread joins the texts in order. `crew` says who does what next.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

use flow_common::limits::{ROWS_ALONE_MAX, TEXT_AHEAD_BYTES_PER_THREAD};

use self::crew::{Crew, Made, Piece};
use super::reader::{OpenFile, Reader, Tally};
use crate::counts::{Counts, Wanted};
use crate::output::{self, FileInfo, RowFormat, RowFormatter};

mod crew;

/// Writes all matching rows.
pub(super) fn rows(
    reader: &mut Reader<'_>,
    format: &dyn RowFormat,
    out: &mut dyn Write,
) -> io::Result<Tally> {
    let request = reader.request;
    let has_summary = output::has_summary(&request.style);
    let n_threads = match request.limit {
        // To start threads takes longer than that.
        Some(limit) if limit <= ROWS_ALONE_MAX => 1,
        _ => request.threads,
    };
    let crew = Crew::new(reader, n_threads * TEXT_AHEAD_BYTES_PER_THREAD);
    let mut own = Worker::new(format, has_summary);
    let mut rows = 0;
    format.begin(out)?;
    let rows_alone = if n_threads > 1 { ROWS_ALONE_MAX } else { u64::MAX };
    while let Some(piece) = crew.take_alone(rows_alone) {
        let mut made = own.make(&piece);
        format.join(rows, &mut made.text, out)?;
        rows += made.n_rows;
    }
    if !crew.is_done() {
        let tally = in_threads(
            &crew,
            n_threads,
            || Worker::new(format, has_summary),
            |mut made| {
                format.join(rows, &mut made.text, out)?;
                rows += made.n_rows;
                Ok(())
            },
        )?;
        own.tally.merge(&tally);
    }
    format.end(rows, out)?;
    Ok(own.tally)
}

/// Lets threads do the rest, and hands texts to `write` in order.
fn in_threads(
    crew: &Crew<'_, '_>,
    n_threads: usize,
    worker: impl Fn() -> Worker + Sync,
    mut write: impl FnMut(Made) -> io::Result<()>,
) -> io::Result<Tally> {
    let work = || {
        let _stop = crew.stop_on_panic();
        let mut worker = worker();
        while let Some(piece) = crew.take() {
            let made = worker.make(&piece);
            crew.give(&piece, made);
        }
        worker.tally
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
        let mut written = Ok(());
        while let Some(made) = crew.next_made() {
            written = write(made);
            if written.is_err() {
                break;
            }
        }
        crew.stop();
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

    fn make(&mut self, piece: &Piece) -> Made {
        let Piece { file, batch, .. } = piece;
        if self.file.as_ref().is_none_or(|known| !Arc::ptr_eq(known, file)) {
            let ident = file.file.footer.as_ref().map(|footer| footer.ident.as_str());
            self.formatter.file(&FileInfo { ident, names: file.names.as_ref() });
            self.file = Some(Arc::clone(file));
        }
        let n_rows = batch.rows() as u64;
        self.tally.passed += n_rows;
        self.tally.add_rates(batch.rate_span());
        if self.has_summary {
            self.counts.read(batch, Wanted::ALL);
            self.tally.matched.add(&self.counts.total());
        }
        let mut text = Vec::new();
        self.formatter.rows(batch, &mut text);
        Made { n_rows, text }
    }
}
