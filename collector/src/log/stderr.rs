//! The log on stderr: a line an event, as the journal of systemd or as people want it.
//!
//! Wherever a line comes from, no place in the program says more than
//! [`limits::LOG_LINES_MAX`] warnings a minute; the first after a pause tells how many
//! were left out. What is said of one exporter is bounded before, by `LogLimit`.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write as _};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flow_common::limits;
use flow_common::usage::is_control;
use nix::sys::stat::fstat;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;

use super::note_suppressed;

/// The log of the program.
#[derive(Debug)]
pub struct Log {
    level: Handle<LevelFilter, Registry>,
}

impl Log {
    /// Starts it, once in a process: 0 says warnings, 1 more, 2 everything.
    pub fn start(verbosity: u8) -> Self {
        let (filter, level) = reload::Layer::new(level_of(verbosity));
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(io::stderr)
            .event_format(Lines { is_journal: *IS_JOURNAL, budgets: Mutex::default() });
        Registry::default().with(filter).with(lines).init();
        Self { level }
    }

    /// Says more or less from now on.
    pub fn set_verbosity(&self, verbosity: u8) {
        // It fails only where there is no log any more.
        let _ = self.level.reload(level_of(verbosity));
    }
}

const fn level_of(verbosity: u8) -> LevelFilter {
    match verbosity {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::TRACE,
    }
}

/// Whether stderr is the journal: `JOURNAL_STREAM` then names it (systemd.exec(5)).
static IS_JOURNAL: LazyLock<bool> = LazyLock::new(|| {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    fstat(io::stderr()).is_ok_and(|stat| is_named(&named, (stat.st_dev, stat.st_ino)))
});

/// Whether `device:inode` is this file.
fn is_named(name: &str, (device, inode): (u64, u64)) -> bool {
    let named = name.split_once(':').map(|(device, inode)| (device.parse(), inode.parse()));
    named == Some((Ok(device), Ok(inode)))
}

/// Says something to whoever started the program, outside the log: `error: …`, `hint: …`
/// or what it does. Where the journal reads it, lines have their priority.
pub fn say(text: &str) {
    let text = if *IS_JOURNAL { with_priorities(text) } else { format!("{text}\n") };
    // A stderr that is closed is no reason to fail.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Each line with the priority its first word tells.
fn with_priorities(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let level = match line.split(' ').next() {
            Some("error:") => Level::ERROR,
            Some("warning:" | "hint:") => Level::WARN,
            _ => Level::INFO,
        };
        out += &format!("{}{line}\n", priority(level));
    }
    out
}

/// How the journal is told the priority of a line (sd-daemon(3)).
const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// File and line that an event is from; there are as many as the program has.
type Place = (&'static str, u32);

/// Warnings that one place in the program may still say.
#[derive(Debug)]
struct Budget {
    since: Instant,
    n_said: u32,
    n_suppressed: u64,
}

/// Formats events.
struct Lines {
    is_journal: bool,
    budgets: Mutex<HashMap<Place, Budget>>,
}

impl Lines {
    /// Whether to say it: `Some` with the number of lines left out before.
    fn admit(&self, level: Level, place: Place, now: Instant) -> Option<u64> {
        if level > Level::WARN {
            return Some(0);
        }
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Budget { since: now, n_said: 0, n_suppressed: 0 };
        let budget = budgets.entry(place).or_insert(fresh);
        let mut n_suppressed = 0;
        if now.duration_since(budget.since) >= Duration::from_secs(limits::LOG_INTERVAL_SECS.unsigned_abs()) {
            n_suppressed = budget.n_suppressed;
            *budget = Budget { since: now, n_said: 0, n_suppressed: 0 };
        }
        if budget.n_said >= limits::LOG_LINES_MAX {
            budget.n_suppressed += 1;
            note_suppressed();
            return None;
        }
        budget.n_said += 1;
        Some(n_suppressed)
    }

    /// One line, whatever is in the text.
    fn write(&self, mut out: Writer<'_>, level: Level, text: &str, n_suppressed: u64) -> fmt::Result {
        if self.is_journal {
            write!(out, "{}", priority(level))?;
        } else {
            SystemTime.format_time(&mut out)?;
            write!(out, " {level:>5} ")?;
        }
        let neutral = |c| if is_control(c) { char::REPLACEMENT_CHARACTER } else { c };
        text.chars().map(neutral).try_for_each(|c| out.write_char(c))?;
        if n_suppressed > 0 {
            write!(out, " ({n_suppressed} lines like it were left out)")?;
        }
        writeln!(out)
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let place = (metadata.file().unwrap_or_default(), metadata.line().unwrap_or_default());
        let Some(n_suppressed) = self.admit(*metadata.level(), place, Instant::now()) else { return Ok(()) };
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        self.write(out, *metadata.level(), &text, n_suppressed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// What is written, kept.
    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `act` logs.
    fn logged(is_journal: bool, verbosity: u8, act: impl FnOnce(&Log)) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let (filter, level) = reload::Layer::new(level_of(verbosity));
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .event_format(Lines { is_journal, budgets: Mutex::default() });
        let subscriber = Registry::default().with(filter).with(lines);
        tracing::subscriber::with_default(subscriber, || act(&Log { level }));
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_journal_gets_priorities_and_people_the_time() {
        let act = |_: &Log| {
            tracing::warn!("{}: \u{202e}\nforged", "192.0.2.1");
            tracing::error!("bad");
            tracing::info!("not said");
        };
        assert_eq!(logged(true, 0, act), "<4>192.0.2.1: \u{fffd}\u{fffd}forged\n<3>bad\n");
        let text = logged(false, 0, act);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[1].ends_with("Z ERROR bad") && lines[1].starts_with("20"), "{text}");
    }

    #[test]
    fn the_level_changes_while_it_runs() {
        let text = logged(true, 0, |log| {
            for verbosity in [0, 1, 2, 0] {
                log.set_verbosity(verbosity);
                tracing::info!("info {verbosity}");
                tracing::trace!("trace {verbosity}");
            }
        });
        assert_eq!(text, "<6>info 1\n<6>info 2\n<7>trace 2\n");
    }

    #[test]
    fn no_place_says_more_than_its_share() {
        const N: u32 = limits::LOG_LINES_MAX + 100;
        let text = logged(true, 0, |_| {
            for n in 0..N {
                tracing::warn!("warning {n}");
            }
            tracing::warn!("elsewhere");
        });
        assert_eq!(text.lines().count() as u32, limits::LOG_LINES_MAX + 1);
        assert!(text.ends_with("<4>elsewhere\n"));
    }

    #[test]
    fn what_was_left_out_is_told_a_minute_later() {
        let lines = Lines { is_journal: true, budgets: Mutex::default() };
        let start = Instant::now();
        let admit = |secs| lines.admit(Level::WARN, ("a.rs", 1), start + Duration::from_secs(secs));
        for _ in 0..limits::LOG_LINES_MAX {
            assert_eq!(admit(0), Some(0));
        }
        assert_eq!([1, 59].map(admit), [None, None]);
        assert_eq!([60, 61].map(admit), [Some(2), Some(0)]);
    }

    #[test]
    fn what_is_said_outside_the_log_has_priorities() {
        let text = "listening\nerror: no `x`\nhint: make one";
        assert_eq!(with_priorities(text), "<6>listening\n<3>error: no `x`\n<4>hint: make one\n");
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        assert!(is_named("8:12345", (8, 12_345)));
        for other in ["8:12346", "9:12345", "", "8", "8:12345:1", "a:b"] {
            assert!(!is_named(other, (8, 12_345)), "{other}");
        }
    }
}
