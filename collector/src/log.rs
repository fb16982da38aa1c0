//! At most one log line per (exporter, reason) and minute: the log is for
//! people, the counters are exact.

mod stderr;

use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use flow_common::limits;
use flow_common::time::Timestamp;

use crate::hash::HashMap;

pub use self::stderr::{Log, say};

/// Lines left out of the log, of the whole process.
static SUPPRESSED: AtomicU64 = AtomicU64::new(0);

fn note_suppressed() {
    SUPPRESSED.fetch_add(1, Ordering::Relaxed);
}

/// Lines left out of the log so far.
pub(crate) fn n_suppressed() -> u64 {
    SUPPRESSED.load(Ordering::Relaxed)
}

/// What a line says of those left out before it.
pub(crate) fn more(n_suppressed: u64) -> String {
    if n_suppressed > 0 { format!(" ({n_suppressed} more like it)") } else { String::new() }
}

#[derive(Debug)]
struct Line {
    /// End of the minute in which nothing more is logged.
    quiet_until_secs: i64,
    n_suppressed: u64,
}

/// Decides which problems are worth a line; `R` tells kinds of them apart.
#[derive(Debug)]
pub(crate) struct LogLimit<R> {
    lines: HashMap<(IpAddr, R), Line>,
    /// When the table was last cleared of lines whose time is over.
    cleared_at_secs: i64,
}

impl<R> Default for LogLimit<R> {
    fn default() -> Self {
        Self { lines: HashMap::default(), cleared_at_secs: 0 }
    }
}

impl<R: Eq + Hash> LogLimit<R> {
    /// Whether to log now: `Some` with the number of lines suppressed before.
    pub(crate) fn allow(&mut self, exporter: IpAddr, reason: R, now: Timestamp) -> Option<u64> {
        let quiet_until_secs = now.secs() + limits::LOG_INTERVAL_SECS;
        // Not for every datagram: forged sources would make each of them a walk.
        if self.lines.len() >= limits::LOG_KEYS_MAX && now.secs() != self.cleared_at_secs {
            self.cleared_at_secs = now.secs();
            self.lines.retain(|_, line| line.quiet_until_secs > now.secs());
        }
        let is_full = self.lines.len() >= limits::LOG_KEYS_MAX;
        match self.lines.entry((exporter, reason)) {
            Entry::Occupied(mut entry) if entry.get().quiet_until_secs > now.secs() => {
                entry.get_mut().n_suppressed += 1;
                note_suppressed();
                None
            }
            Entry::Occupied(mut entry) => {
                let before = entry.insert(Line { quiet_until_secs, n_suppressed: 0 });
                Some(before.n_suppressed)
            }
            // So many senders at once are forged: silence is better than a flood.
            Entry::Vacant(_) if is_full => {
                note_suppressed();
                None
            }
            Entry::Vacant(entry) => {
                entry.insert(Line { quiet_until_secs, n_suppressed: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Reason;

    #[test]
    fn one_line_a_minute_and_the_number_left_out() {
        let mut limit = LogLimit::default();
        let exporter = IpAddr::from([192, 0, 2, 1]);
        let mut allow = |secs| limit.allow(exporter, Reason::Truncated, Timestamp::from_secs(secs));
        assert_eq!(allow(0), Some(0));
        assert_eq!(allow(1), None);
        assert_eq!(allow(59), None);
        assert_eq!(allow(60), Some(2));
        assert_eq!(allow(61), None);
    }

    #[test]
    fn forged_senders_do_not_grow_the_table() {
        let mut limit = LogLimit::default();
        for n in 0..10_000u32 {
            limit.allow(IpAddr::from(n.to_be_bytes()), Reason::Truncated, Timestamp::from_secs(0));
        }
        assert_eq!(limit.lines.len(), limits::LOG_KEYS_MAX);
    }
}
