//! `--follow`: rows as they appear, like `tail -f`.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use flow_common::limits::FOLLOW_POLL_MS;
use flow_common::time::{Clock, Timestamp};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::rows::{Ask, Sink};
use super::tail::Tail;
use crate::batch::Batch;
use crate::catalog::{self, Source};
use crate::engine::rows_columns;
use crate::interrupt;
use crate::message::{DONE, Failure, PARTIAL, reason, say};
use crate::output::{self, FileInfo, RatesText, RowFormat, RowFormatter, row_format};
use crate::request::Request;

/// Prints the rows received since then until the run is to end, nobody reads them, or
/// there were as many as asked for.
pub(crate) fn follow(
    request: &Request,
    since: Timestamp,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
    clock: &dyn Clock,
) -> Result<u8, Failure> {
    let roots = roots(&request.source)?;
    let ask = Ask {
        columns: rows_columns(request),
        has_extra: output::has_extra(&request.style),
        has_names: output::has_names(&request.style),
        predicate: request.predicate.clone(),
        is_scaled: request.is_scaled,
    };
    let mut tail = Tail::new(roots, since, ask, request.columns.clone());
    let format = row_format(&request.style, &request.columns);
    format.begin(stdout)?;
    stdout.flush()?;
    let mut printer = Printer {
        format: &*format,
        formatter: format.formatter(),
        stdout,
        text: Vec::new(),
        rows: 0,
        left: request.limit,
        rates: None,
    };
    let mut is_partial = false;
    let mut told_rates = None;
    while !interrupt::is_asked() {
        let look = tail.look(clock.now(), &mut printer)?;
        is_partial |= !look.errors.is_empty();
        for (path, error) in look.errors {
            say(stderr, "error", &format!("can't read `{}`: {error}", path.display()));
        }
        for path in look.guessed {
            let message = format!("too many rows to remember: some of `{}` may be missing", path.display());
            say(stderr, "warning", &message);
        }
        if printer.rates.is_some() && printer.rates != told_rates {
            told_rates = printer.rates;
            let rates = RatesText(told_rates.unwrap_or_default());
            say(stderr, "note", &format!("packets and bytes are multiplied by sampling rates of {rates}"));
        }
        if look.is_full || is_closed() || interrupt::wait(Duration::from_millis(FOLLOW_POLL_MS)) {
            break;
        }
    }
    let rows = printer.rows;
    format.end(rows, stdout)?;
    stdout.flush()?;
    Ok(interrupt::exit_code().unwrap_or(if is_partial { PARTIAL } else { DONE }))
}

/// The directories a source means.
fn roots(source: &Source) -> Result<Vec<PathBuf>, Failure> {
    match source {
        Source::Siblings(all) => all.iter().map(root).collect(),
        source => root(source).map(|root| vec![root]),
    }
}

/// The directory a source means.
pub(super) fn root(source: &Source) -> Result<PathBuf, Failure> {
    let root = match source {
        Source::Default => PathBuf::from(catalog::DEFAULT_ROOT),
        Source::Path(path) => path.clone(),
        Source::Sequence(text) => PathBuf::from(text),
        Source::Siblings(_) => PathBuf::new(),
    };
    let failed = |reason: String, hint: Option<&str>| Failure::Failed {
        message: format!("can't read `{}`: {reason}", root.display()),
        hint: hint.map(str::to_owned),
    };
    match std::fs::metadata(&root) {
        Ok(metadata) if metadata.is_dir() => Ok(root),
        Ok(_) => Err(failed("it is no directory".into(), Some("name the directory flowcapd writes to"))),
        Err(error) if *source == Source::Default => {
            let hint = "start `flowcapd` here to fill it, or name a directory with `-r DIR`";
            Err(failed(reason(&error), Some(hint)))
        }
        Err(error) => Err(failed(reason(&error), None)),
    }
}

/// Whether standard output is a pipe that nobody reads any more.
fn is_closed() -> bool {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let is_told = poll(&mut polled, PollTimeout::ZERO).is_ok_and(|n| n > 0);
    is_told && polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
}

/// Prints batches, each at once.
struct Printer<'a> {
    format: &'a dyn RowFormat,
    formatter: Box<dyn RowFormatter>,
    stdout: &'a mut dyn Write,
    /// Text of a batch, kept for its memory.
    text: Vec<u8>,
    /// Rows printed so far.
    rows: u64,
    /// Rows still to print, where that is bounded.
    left: Option<u64>,
    /// The smallest and the largest rate counters were multiplied by.
    rates: Option<(i64, i64)>,
}

impl Sink for Printer<'_> {
    fn file(&mut self, file: &FileInfo<'_>) {
        self.formatter.file(file);
    }

    fn batch(&mut self, batch: &Batch) -> io::Result<ControlFlow<()>> {
        if interrupt::is_asked() {
            return Ok(ControlFlow::Break(()));
        }
        let left = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let cut = (left < batch.rows()).then(|| {
            let mut cut = batch.clone();
            cut.truncate(left);
            cut
        });
        let batch = cut.as_ref().unwrap_or(batch);
        if let Some((min, max)) = batch.rate_span() {
            let (low, high) = self.rates.unwrap_or((min, max));
            self.rates = Some((low.min(min), high.max(max)));
        }
        self.text.clear();
        self.formatter.rows(batch, &mut self.text);
        self.format.join(self.rows, &mut self.text, self.stdout)?;
        self.rows += batch.rows() as u64;
        self.stdout.flush()?;
        self.left = self.left.map(|left| left - batch.rows() as u64);
        Ok(if self.left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}
