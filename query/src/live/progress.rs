//! What a terminal shows while a long question is answered: files, rows a second, time
//! left.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use flow_common::limits::PROGRESS_AFTER_MS;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// What is shown, for whoever ends the run.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Erases what is shown, from any thread.
pub(crate) fn erase() {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(bar) = shown {
        bar.finish_and_clear();
    }
}

/// Counts what was read, and shows it on stderr where that is a terminal and it takes
/// long. May be shared by threads.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    n_files: u64,
    /// Files opened, and the rows they hold.
    opened: AtomicU64,
    rows_opened: AtomicU64,
    /// Rows done with.
    rows: AtomicU64,
    is_wanted: bool,
    bar: OnceLock<ProgressBar>,
}

impl Progress {
    /// Of a scan of so many files.
    pub(crate) fn new(n_files: usize, is_wanted: bool) -> Self {
        Self {
            started: Instant::now(),
            n_files: n_files as u64,
            opened: AtomicU64::new(0),
            rows_opened: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            is_wanted: is_wanted && io::stderr().is_terminal(),
            bar: OnceLock::new(),
        }
    }

    /// A file was opened that holds so many rows.
    pub(crate) fn open_file(&self, n_rows: u64) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.rows_opened.fetch_add(n_rows, Ordering::Relaxed);
        self.show();
    }

    /// So many rows will be read once more.
    pub(crate) fn expect_rows(&self, n_rows: u64) {
        self.rows_opened.fetch_add(n_rows, Ordering::Relaxed);
    }

    /// So many rows were read, or proved not to matter.
    pub(crate) fn add_rows(&self, n_rows: u64) {
        self.rows.fetch_add(n_rows, Ordering::Relaxed);
        self.show();
    }

    fn show(&self) {
        if !self.is_wanted || self.started.elapsed() < Duration::from_millis(PROGRESS_AFTER_MS) {
            return;
        }
        let bar = self.bar.get_or_init(|| {
            let target = ProgressDrawTarget::term_like_with_hz(Box::new(Stderr), 8);
            let bar = ProgressBar::with_draw_target(Some(PERMILLE), target);
            bar.set_style(style());
            *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
            bar
        });
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let done = Done {
            elapsed: self.started.elapsed(),
            n_files: self.n_files,
            opened: get(&self.opened),
            rows_opened: get(&self.rows_opened),
            rows: get(&self.rows),
        };
        bar.set_message(done.to_string());
        bar.set_position((done.part() * PERMILLE as f64) as u64);
    }

    /// Erases what is shown, for good.
    pub(crate) fn end(&self) {
        if self.bar.get().is_some() {
            erase();
        }
    }

    /// Runs `talk`, which writes to the terminal, with nothing of ours on it.
    pub(crate) fn aside<T>(&self, talk: impl FnOnce() -> T) -> T {
        match self.bar.get() {
            Some(bar) => bar.suspend(talk),
            None => talk(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// Standard error, a terminal. Lines end before its last columns: the `^C` that a terminal
/// shows for Ctrl-C fits there, and is erased with the line.
#[derive(Debug)]
struct Stderr;

impl TermLike for Stderr {
    fn width(&self) -> u16 {
        const ROOM: u16 = 4;
        crossterm::terminal::size().map_or(80, |(width, _)| width).saturating_sub(ROOM).max(1)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.write_str(&format!("\x1b[{n}A"))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.write_str(&format!("\x1b[{n}B"))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.write_str(&format!("\x1b[{n}C"))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.write_str(&format!("\x1b[{n}D"))
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.write_str(&format!("{line}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        io::stderr().write_all(text.as_bytes())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write_str("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:24} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Positions of the bar.
const PERMILLE: u64 = 1_000;

/// What was done so far; as text `file 12 of 288, 4.1 M rows/s, 8 s left`.
struct Done {
    elapsed: Duration,
    n_files: u64,
    opened: u64,
    rows_opened: u64,
    rows: u64,
}

impl Done {
    /// How much of the whole it is, where files yet to be opened are like those before.
    fn part(&self) -> f64 {
        let whole = self.rows_opened as f64 * self.n_files as f64 / self.opened.max(1) as f64;
        if whole > 0.0 { (self.rows as f64 / whole).min(1.0) } else { 0.0 }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.elapsed.as_secs_f64().max(0.001);
        let (rate, unit) = match self.rows as f64 / secs {
            rate if rate >= 1e6 => (rate / 1e6, " M"),
            rate if rate >= 1e3 => (rate / 1e3, " k"),
            rate => (rate, ""),
        };
        write!(f, "file {} of {}, {rate:.1}{unit} rows/s", self.opened, self.n_files)?;
        match self.part() {
            part if part > 0.0 => {
                write!(f, ", {} left", duration((secs / part * (1.0 - part)).ceil() as u64))
            }
            _ => Ok(()),
        }
    }
}

fn duration(secs: u64) -> String {
    match secs {
        secs if secs >= 3_600 => format!("{} h {} min", secs / 3_600, secs / 60 % 60),
        secs if secs >= 60 => format!("{} min {} s", secs / 60, secs % 60),
        secs => format!("{secs} s"),
    }
}

/// Standard output that erases what is shown before it writes, as both may be one
/// terminal.
pub(crate) struct Erasing<'a> {
    out: &'a mut dyn Write,
    progress: &'a Progress,
    is_terminal: bool,
}

impl<'a> Erasing<'a> {
    /// Where rows go while `progress` is shown.
    pub(crate) fn new(out: &'a mut dyn Write, progress: &'a Progress) -> Self {
        Self { out, progress, is_terminal: io::stdout().is_terminal() }
    }
}

impl Write for Erasing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let out = &mut *self.out;
        if self.is_terminal { self.progress.aside(|| out.write(bytes)) } else { out.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_scan() {
        let check = |ms, (opened, n_files), (rows, rows_opened), expected: &str| {
            let elapsed = Duration::from_millis(ms);
            let done = Done { elapsed, n_files, opened, rows_opened, rows };
            assert_eq!(done.to_string(), expected);
        };
        check(500, (1, 288), (0, 1_000), "file 1 of 288, 0.0 rows/s");
        check(500, (1, 2), (999, 1_000), "file 1 of 2, 2.0 k rows/s, 1 s left");
        check(2_000, (12, 288), (8_200_000, 8_200_000), "file 12 of 288, 4.1 M rows/s, 46 s left");
        check(10_000, (1, 20), (10, 10), "file 1 of 20, 1.0 rows/s, 3 min 10 s left");
        check(10_000, (1, 1_000), (10, 10), "file 1 of 1000, 1.0 rows/s, 2 h 46 min left");
        check(10_000, (9, 9), (10, 10), "file 9 of 9, 1.0 rows/s, 0 s left");
        check(500, (0, 0), (0, 0), "file 0 of 0, 0.0 rows/s");
    }
}
