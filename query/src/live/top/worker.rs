//! The thread that reads what `top` shows: follows the files, sums up, and leaves a
//! picture for whoever draws it.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flow_common::limits::{FOLLOW_POLL_MS, TOP_ENTRIES_MAX, TOP_LAG_SECS, TOP_ROWS_MAX, TOP_WINDOWS_SECS};
use flow_common::time::{Clock, Timestamp};

use super::label::label;
use super::window::{Sums, Window};
use crate::batch::Batch;
use crate::columns::Columns;
use crate::engine::sums_columns;
use crate::filter::Predicate;
use crate::live::rows::{Ask, Sink};
use crate::live::tail::Tail;
use crate::output::FileInfo;
use crate::statistic::{Key, Ranking, Statistic};

/// Seconds that are held: the longest window.
const HELD_SECS: i64 = TOP_WINDOWS_SECS[TOP_WINDOWS_SECS.len() - 1];
/// A picture is made so often while files are read at the start.
const DRAFT_EVERY: Duration = Duration::from_millis(500);

/// What is to be read.
#[derive(Debug)]
pub(super) struct Reading {
    /// Counts readings.
    pub(super) number: u64,
    pub(super) root: PathBuf,
    pub(super) statistic: Statistic,
    pub(super) predicate: Arc<Predicate>,
    pub(super) columns: Columns,
    pub(super) is_scaled: bool,
}

/// What the worker is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Read other rows, or by another statistic.
    Read(Box<Reading>),
    /// Rank what is held anew.
    Rank,
}

/// What both threads see.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// How what is held is ranked, and over how many seconds.
    pub(super) ranking: Mutex<Option<(Ranking, i64)>>,
    pub(super) picture: Mutex<Arc<Picture>>,
    /// Number of the reading that is wanted: any other may stop.
    pub(super) wanted: AtomicU64,
}

/// What is drawn.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Counts pictures.
    pub(crate) number: u64,
    /// What rows are by, as tables call it.
    pub(crate) title: String,
    pub(crate) rows: Vec<(String, Sums)>,
    /// Values that occur in the window.
    pub(crate) n_groups: usize,
    pub(crate) total: Sums,
    /// Seconds that were summed up: fewer than asked for where more could not be held.
    pub(crate) span_secs: i64,
    /// First second after the window; `None` before the first row.
    pub(crate) end_secs: Option<i64>,
    /// Totals of the seconds before the end, the last of them last.
    pub(crate) seconds: Vec<Sums>,
    /// The smallest and the largest rate counters were multiplied by.
    pub(crate) rates: Option<(i64, i64)>,
    /// Files are still read that were there at the start.
    pub(crate) is_reading: bool,
    /// The last error, and how many there were.
    pub(crate) error: Option<(String, usize)>,
}

/// Reads until nobody gives orders any more.
pub(super) fn work(orders: &Receiver<Order>, shared: &Shared, clock: &dyn Clock) {
    let mut work: Option<Work<'_>> = None;
    loop {
        let order = match orders.recv_timeout(Duration::from_millis(FOLLOW_POLL_MS)) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Some(Order::Read(reading)) = order {
            work = Some(Work::new(*reading, shared, clock));
        } else if let (Some(work), Some(Order::Rank)) = (&mut work, &order) {
            work.draw();
        }
        if let Some(work) = &mut work
            && work.sums.is_wanted()
        {
            work.look();
        }
    }
}

struct Work<'a> {
    tail: Tail,
    sums: SummingUp<'a>,
    clock: &'a dyn Clock,
}

impl<'a> Work<'a> {
    fn new(reading: Reading, shared: &'a Shared, clock: &'a dyn Clock) -> Self {
        let since = Timestamp(clock.now().0 - (HELD_SECS + TOP_LAG_SECS) * 1_000_000);
        let ask = Ask {
            columns: sums_columns(std::slice::from_ref(&reading.statistic)),
            has_extra: false,
            has_names: false,
            predicate: reading.predicate,
            is_scaled: reading.is_scaled,
        };
        let tail = Tail::new(vec![reading.root], since, ask, reading.columns);
        let sums = SummingUp {
            number: reading.number,
            statistic: reading.statistic,
            window: Window::new(TOP_ENTRIES_MAX),
            shared,
            drawn: Instant::now(),
            end_secs: None,
            rates: None,
            is_reading: true,
            error: None,
        };
        Self { tail, sums, clock }
    }

    /// Reads what is new; draws where that changes anything.
    fn look(&mut self) {
        let now = self.clock.now();
        let look = match self.tail.look(now, &mut self.sums) {
            Ok(look) if look.is_full => return,
            Ok(look) => look,
            Err(error) => unreachable!("nothing is written: {error}"),
        };
        for (path, error) in look.errors {
            let n = self.sums.error.as_ref().map_or(0, |(_, n)| *n) + 1;
            self.sums.error = Some((format!("can't read `{}`: {error}", path.display()), n));
        }
        let end = self.sums.end_at(now);
        if look.n_files > 0 || end != self.sums.end_secs || self.sums.is_reading {
            self.sums.is_reading = false;
            self.draw();
        }
    }

    fn draw(&mut self) {
        let now = self.clock.now();
        self.sums.end_secs = self.sums.end_at(now);
        self.sums.draw();
        if let Some(end) = self.sums.end_secs {
            self.sums.window.expire(end - HELD_SECS);
        }
    }
}

/// Sums up rows as they come.
struct SummingUp<'a> {
    number: u64,
    statistic: Statistic,
    window: Window,
    shared: &'a Shared,
    /// When a picture was made last.
    drawn: Instant,
    end_secs: Option<i64>,
    rates: Option<(i64, i64)>,
    is_reading: bool,
    error: Option<(String, usize)>,
}

impl SummingUp<'_> {
    fn is_wanted(&self) -> bool {
        self.shared.wanted.load(Ordering::Relaxed) == self.number
    }

    /// Where the window ends: before the last second of which there are rows, as it may
    /// not be whole; where none come any more, so long ago as rows need to come.
    fn end_at(&self, now: Timestamp) -> Option<i64> {
        let last = self.window.last().or(self.end_secs)?;
        Some(last.min(now.secs()).max(now.secs() - TOP_LAG_SECS).max(self.end_secs.unwrap_or(i64::MIN)))
    }

    fn draw(&mut self) {
        self.drawn = Instant::now();
        let lock = |error| PoisonError::into_inner(error);
        let Some((ranking, window_secs)) = *self.shared.ranking.lock().unwrap_or_else(lock) else { return };
        let split = if self.statistic.is_by_protocol { " and protocol" } else { "" };
        let title = if self.statistic.key == Key::Record { "5-tuple" } else { &self.statistic.title };
        let mut picture = Picture {
            title: format!("{title}{split}"),
            span_secs: window_secs,
            end_secs: self.end_secs,
            rates: self.rates,
            is_reading: self.is_reading,
            error: self.error.clone(),
            ..Picture::default()
        };
        if let Some(end) = self.end_secs {
            let from = (end - window_secs).max(self.window.held_from()).min(end);
            let top = self.window.top(from, end, TOP_ROWS_MAX, ranking);
            picture.span_secs = end - from;
            picture.rows =
                top.rows.iter().map(|(group, sums)| (label(group, &self.statistic), *sums)).collect();
            picture.n_groups = top.n_groups;
            picture.total = top.total;
            picture.seconds = self.window.totals(end - HELD_SECS, end);
        }
        let mut shared = self.shared.picture.lock().unwrap_or_else(PoisonError::into_inner);
        picture.number = shared.number + 1;
        *shared = Arc::new(picture);
    }
}

impl Sink for SummingUp<'_> {
    fn file(&mut self, _: &FileInfo<'_>) {}

    fn batch(&mut self, batch: &Batch) -> io::Result<ControlFlow<()>> {
        if !self.is_wanted() {
            return Ok(ControlFlow::Break(()));
        }
        if let Some((min, max)) = batch.rate_span() {
            let (low, high) = self.rates.unwrap_or((min, max));
            self.rates = Some((low.min(min), high.max(max)));
        }
        self.window.add_batch(&self.statistic, batch);
        if self.is_reading && self.drawn.elapsed() > DRAFT_EVERY {
            self.end_secs = self.window.last();
            self.draw();
        }
        Ok(ControlFlow::Continue(()))
    }
}
