//! What each exporter does while the collector runs, for people who look.
//!
//! The decode thread alone counts, without locks, and copies what it has when asked:
//! nobody looks most of the time. Sender's addresses are forged at will, so the number
//! of exporters is bounded, and the number of those with series of their own further;
//! the rest is summed up, and the sum over all stays exact.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flow_common::column::ColumnId;
use flow_common::limits;
use flow_common::time::Timestamp;
use tokio::sync::watch;

use crate::datagram::{Datagram, Transport};
use crate::decode::{Decoder, Outcome, Reason, Report};
use crate::flow::FlowBatch;
use crate::hash::HashMap;
use crate::metrics::Family;
use crate::sequence::{Kind, Observation, Unit};
use crate::session::Known;
use crate::waiting::Wait;

/// What one exporter did since it was first heard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exporter {
    /// Export version of its last datagram.
    pub(crate) version: u16,
    pub(crate) transport: Transport,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    pub(crate) datagrams: u64,
    pub(crate) records: u64,
    pub(crate) options: u64,
    pub(crate) rejected: u64,
    /// Why the last of those was rejected.
    pub(crate) reason: Option<Reason>,
    /// Messages before which sequence numbers are missing.
    pub(crate) gaps: u64,
    /// What they prove lost, less what came late, by unit.
    pub(crate) lost: [i64; Unit::ALL.len()],
    /// Sampling rate of the last record looked at.
    pub(crate) sampling_rate: Option<i64>,
    pub(crate) pace: Pace,
    /// Counts, datagrams and gaps, when they were last copied out.
    told: Counts,
    /// Counts that went into the sum before it had series of its own.
    named: Option<Counts>,
}

/// Datagrams and gaps.
type Counts = (u64, u64);

impl Exporter {
    /// Counts a datagram; whether it is the first in its second.
    fn hear(&mut self, version: u16, transport: Transport, at: Timestamp) -> bool {
        let is_new_second = at.secs() != self.last_seen.secs();
        if self.datagrams == 0 {
            self.first_seen = at;
        }
        (self.version, self.transport) = (version, transport);
        self.last_seen = at;
        self.datagrams += 1;
        self.pace.count(at.secs());
        is_new_second
    }

    pub(crate) fn reject(&mut self, reason: Reason) {
        self.rejected += 1;
        self.reason = Some(reason);
    }

    pub(crate) fn follow(&mut self, seen: &Observation) {
        self.gaps += u64::from(seen.kind == Kind::Gap);
        self.lost[seen.unit as usize] += seen.lost.cast_signed() - seen.recovered.cast_signed();
    }

    fn counts(&self) -> Counts {
        (self.datagrams, self.gaps)
    }

    /// Whether it came and went, as forged senders do.
    fn has_passed(&self, now: Timestamp) -> bool {
        let heard_secs = self.last_seen.secs().saturating_sub(self.first_seen.secs());
        let quiet_secs = now.secs().saturating_sub(self.last_seen.secs());
        quiet_secs > limits::EXPORTER_QUIET_SECS_MAX
            || heard_secs < limits::ESTABLISHED_SECS && quiet_secs > limits::ESTABLISHED_SECS
    }

    /// Whether it may have series of its own: something of it was decoded, or it may
    /// send and keeps doing so.
    fn deserves_name(&self) -> bool {
        let heard_secs = self.last_seen.secs().saturating_sub(self.first_seen.secs());
        let is_established = heard_secs >= limits::ESTABLISHED_SECS;
        self.records + self.options > 0 || is_established && self.reason != Some(Reason::NotAllowed)
    }
}

/// Datagrams in two windows of time, the open one and the one before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace {
    began_secs: i64,
    n: u64,
    /// Datagrams and seconds.
    before: (u64, u64),
}

impl Pace {
    fn count(&mut self, now_secs: i64) {
        let age_secs = now_secs.saturating_sub(self.began_secs).unsigned_abs();
        if age_secs >= limits::PACE_WINDOW_SECS {
            let is_adjacent = age_secs < 2 * limits::PACE_WINDOW_SECS && self.n > 0;
            self.before = if is_adjacent { (self.n, age_secs) } else { (0, 0) };
            (self.began_secs, self.n) = (now_secs, 0);
        }
        self.n += 1;
    }

    /// Datagrams a second, over the last 10 to 30 s.
    pub(crate) fn per_sec(&self, now: Timestamp) -> f64 {
        let age_secs = now.secs().saturating_sub(self.began_secs).unsigned_abs();
        if age_secs >= 2 * limits::PACE_WINDOW_SECS {
            // What came later than the first window would have begun another.
            return 0.0;
        }
        let (n, secs) = self.before;
        (n + self.n) as f64 / (secs + age_secs).max(1) as f64
    }
}

/// All exporters, kept by the decode thread.
#[derive(Debug)]
pub(crate) struct Live {
    exporters: HashMap<IpAddr, Exporter>,
    /// Those there was no room for.
    others: Exporter,
    /// Sum over all, those forgotten included.
    total: Counts,
    swept_at_secs: i64,
    window: Arc<Window>,
}

impl Live {
    pub(crate) fn new(window: Arc<Window>) -> Self {
        let (exporters, others) = (HashMap::default(), Exporter::default());
        Self { exporters, others, total: (0, 0), swept_at_secs: 0, window }
    }

    /// Counts a datagram; returns its exporter, and whether it is the first in its second.
    pub(crate) fn hear(
        &mut self,
        addr: IpAddr,
        version: u16,
        transport: Transport,
        at: Timestamp,
    ) -> (&mut Exporter, bool) {
        self.total.0 += 1;
        if self.exporters.len() >= limits::EXPORTERS_LIVE_MAX && !self.exporters.contains_key(&addr) {
            self.sweep(at);
        }
        let has_room = self.exporters.len() < limits::EXPORTERS_LIVE_MAX;
        let exporter = match self.exporters.entry(addr) {
            std::collections::hash_map::Entry::Vacant(_) if !has_room => &mut self.others,
            entry => entry.or_default(),
        };
        let is_new_second = exporter.hear(version, transport, at);
        (exporter, is_new_second)
    }

    /// Notes what a datagram was, with `n` flow records, the last in `flows`, and options
    /// data records.
    pub(crate) fn note(
        &mut self,
        datagram: &Datagram<'_>,
        report: &Report,
        n: (u64, u64),
        flows: &FlowBatch,
    ) {
        let exporter = datagram.peer.ip().to_canonical();
        let (shown, is_new_second) =
            self.hear(exporter, report.version, datagram.transport, datagram.received_at);
        shown.records += n.0;
        shown.options += n.1;
        if let Outcome::Rejected(error) = report.outcome {
            shown.reject(error.reason());
        }
        if is_new_second && n.0 > 0 {
            shown.sampling_rate = flows.integer(ColumnId::SamplingRate, flows.rows() - 1);
        }
    }

    /// Notes what came of data that had waited: `n` records of both kinds, and what became
    /// of its datagram if that was the last of it.
    pub(crate) fn note_late(&mut self, peer: IpAddr, n: (u64, u64), ended: Option<&Outcome>) {
        let exporter = self.of(peer.to_canonical());
        exporter.records += n.0;
        exporter.options += n.1;
        if let Some(Outcome::Rejected(error)) = ended {
            exporter.reject(error.reason());
        }
    }

    /// Notes a datagram that nobody looks at, so that its version is not known.
    pub(crate) fn refuse(&mut self, datagram: &Datagram<'_>) {
        let exporter = datagram.peer.ip().to_canonical();
        self.hear(exporter, 0, datagram.transport, datagram.received_at).0.reject(Reason::NotAllowed);
    }

    /// An exporter whose datagram was counted before; those forgotten are `others`.
    pub(crate) fn of(&mut self, addr: IpAddr) -> &mut Exporter {
        self.exporters.get_mut(&addr).unwrap_or(&mut self.others)
    }

    /// Counts what the sequence number of a datagram told.
    pub(crate) fn follow(&mut self, addr: IpAddr, seen: &Observation) {
        if seen.kind == Kind::Gap || seen.lost > 0 || seen.recovered > 0 {
            self.total.1 += u64::from(seen.kind == Kind::Gap);
            self.of(addr).follow(seen);
        }
    }

    /// Forgets those that came and went, at most once a second.
    fn sweep(&mut self, now: Timestamp) {
        if now.secs() != self.swept_at_secs {
            self.swept_at_secs = now.secs();
            self.exporters.retain(|_, exporter| !exporter.has_passed(now));
        }
    }

    /// Copies everything out if somebody asked for it.
    pub(crate) fn show_if_wanted(&mut self, now: Timestamp, decoder: &Decoder) {
        if self.window.wanted.swap(false, Ordering::Relaxed) {
            self.show(now, decoder);
        }
    }

    /// Copies everything out.
    pub(crate) fn show(&mut self, now: Timestamp, decoder: &Decoder) {
        self.name(now);
        let mut known = decoder.known();
        let rows = self.exporters.iter_mut().map(|(&addr, exporter)| {
            exporter.told = exporter.counts();
            let of_series =
                exporter.named.map(|before| (exporter.datagrams - before.0, exporter.gaps - before.1));
            Row {
                addr,
                exporter: exporter.clone(),
                of_series,
                known: known.remove(&addr).unwrap_or_default(),
            }
        });
        let rows: Vec<_> = rows.collect();
        let of_series = || rows.iter().filter_map(|row| row.of_series);
        let other = (
            self.total.0 - of_series().map(|counts| counts.0).sum::<u64>(),
            self.total.1 - of_series().map(|counts| counts.1).sum::<u64>(),
        );
        let others = self.others.clone();
        let waits = decoder.waits();
        let shown = Shown { at: now, shown_at: Some(Instant::now()), rows, others, other, waits };
        self.window.sender.send_replace(Arc::new(shown));
    }

    /// Gives series of their own to exporters that have none, first come, first served.
    /// What they sent before stays in the sum, so that it never shrinks.
    fn name(&mut self, now: Timestamp) {
        let is_nameless = |exporter: &Exporter| {
            exporter.named.is_none() && exporter.deserves_name() && !exporter.has_passed(now)
        };
        let nameless = self.exporters.iter().filter(|(_, exporter)| is_nameless(exporter));
        let mut nameless: Vec<_> = nameless.map(|(&addr, exporter)| (exporter.first_seen, addr)).collect();
        let mut n_named = self.exporters.values().filter(|exporter| exporter.named.is_some()).count();
        if n_named + nameless.len() > limits::EXPORTERS_NAMED_MAX {
            for exporter in self.exporters.values_mut() {
                if exporter.named.is_some() && exporter.has_passed(now) {
                    exporter.named = None;
                    n_named -= 1;
                }
            }
        }
        nameless.sort_unstable();
        for (_, addr) in nameless.into_iter().take(limits::EXPORTERS_NAMED_MAX.saturating_sub(n_named)) {
            if let Some(exporter) = self.exporters.get_mut(&addr) {
                exporter.named = Some(exporter.told);
            }
        }
    }
}

/// One exporter, copied out.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) addr: IpAddr,
    pub(crate) exporter: Exporter,
    /// Values of its series, if it has any.
    of_series: Option<Counts>,
    /// What is remembered of its sessions.
    pub(crate) known: Known,
}

/// Everything, copied out.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// The time it was then.
    pub(crate) at: Timestamp,
    shown_at: Option<Instant>,
    /// In no order.
    pub(crate) rows: Vec<Row>,
    /// Exporters there was no room for.
    pub(crate) others: Exporter,
    /// Sum over all that have no series.
    other: Counts,
    /// What waits for a template.
    pub(crate) waits: Vec<Wait>,
}

impl Shown {
    /// How long ago that was.
    pub(crate) fn age(&self) -> Duration {
        self.shown_at.map_or(Duration::MAX, |at| at.elapsed())
    }

    /// Its metrics: two series for each exporter that has a name, and `other`.
    pub(crate) fn families(&self) -> Vec<Family> {
        let mut named: Vec<_> =
            self.rows.iter().filter_map(|row| row.of_series.map(|counts| (row.addr, counts))).collect();
        named.sort_unstable();
        let label = |text: String| Some(("exporter", text));
        let family = |name, help, of: fn(Counts) -> u64| {
            let named = named.iter().map(|&(addr, counts)| (label(addr.to_string()), of(counts)));
            let samples = named.chain([(label("other".to_owned()), of(self.other))]).collect();
            Family { name, help, samples }
        };
        let n_exporters = self.rows.len() as u64;
        vec![
            Family::of("flowcap_exporters", "exporters that are told apart", None, n_exporters),
            family("flowcap_exporter_datagrams_total", "datagrams of an exporter that were looked at", |n| {
                n.0
            }),
            family(
                "flowcap_exporter_sequence_gaps_total",
                "messages of an exporter before which sequence numbers are missing",
                |n| n.1,
            ),
        ]
    }
}

/// Where the decode thread shows what it has, to whoever asks.
#[derive(Debug)]
pub(crate) struct Window {
    wanted: AtomicBool,
    sender: watch::Sender<Arc<Shown>>,
}

impl Default for Window {
    fn default() -> Self {
        Self { wanted: AtomicBool::new(false), sender: watch::Sender::default() }
    }
}

impl Window {
    /// What the decode thread has; from a moment ago if it does not answer in time.
    pub(crate) async fn look(&self) -> Arc<Shown> {
        let mut receiver = self.sender.subscribe();
        let shown = Arc::clone(&receiver.borrow_and_update());
        if shown.age() < Duration::from_millis(limits::LOOK_AGAIN_MS) {
            return shown;
        }
        self.wanted.store(true, Ordering::Relaxed);
        let patience = Duration::from_millis(limits::LOOK_MS_MAX);
        let _ = tokio::time::timeout(patience, receiver.changed()).await;
        Arc::clone(&receiver.borrow())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u32) -> IpAddr {
        IpAddr::from((0x7f00_0000 + n).to_be_bytes())
    }

    /// One datagram of exporter `n`, with a record.
    fn send(live: &mut Live, n: u32, secs: i64) {
        let (exporter, _) = live.hear(addr(n), 9, Transport::Udp, Timestamp::from_secs(secs));
        exporter.records += 1;
    }

    /// Series of datagrams, as they are shown: how many, and those of `other` and of all.
    fn series(live: &mut Live, secs: i64) -> (usize, u64, u64) {
        live.show(Timestamp::from_secs(secs), &Decoder::default());
        let families = live.window.sender.borrow().families();
        let samples = &families[1].samples;
        let other = samples.last().unwrap();
        assert_eq!(other.0, Some(("exporter", "other".to_owned())));
        (samples.len() - 1, other.1, samples.iter().map(|(_, value)| value).sum())
    }

    #[test]
    fn exporters_beyond_the_limit_are_summed_up() {
        let mut live = Live::new(Arc::default());
        let n = limits::EXPORTERS_NAMED_MAX as u32;
        for exporter in 0..n + 200 {
            send(&mut live, exporter, 0);
        }
        assert_eq!(series(&mut live, 0), (n as usize, 200, u64::from(n) + 200));
        // Those that came and went give up their series; what was in the sum stays there.
        for exporter in n..n + 200 {
            send(&mut live, exporter, 1_100);
        }
        for _ in 0..2 {
            assert_eq!(series(&mut live, 1_100), (200, 200 + u64::from(n), u64::from(n) + 400));
        }
    }

    #[test]
    fn forged_senders_do_not_grow_the_table() {
        let mut live = Live::new(Arc::default());
        let n = limits::EXPORTERS_LIVE_MAX as u32;
        for exporter in 0..n + 1_000 {
            send(&mut live, exporter, 0);
        }
        assert_eq!((live.exporters.len(), live.others.datagrams), (n as usize, 1_000));
        send(&mut live, n + 5_000, 200);
        assert_eq!(live.exporters.len(), 1, "the others have passed");
        assert_eq!(series(&mut live, 200), (1, u64::from(n) + 1_000, u64::from(n) + 1_001));
    }

    #[test]
    fn whoever_only_knocks_gets_no_series() {
        let mut live = Live::new(Arc::default());
        for secs in 0..=limits::ESTABLISHED_SECS {
            let at = Timestamp::from_secs(secs);
            live.hear(addr(1), 9, Transport::Udp, at).0.reject(Reason::NotAllowed);
            live.hear(addr(2), 9, Transport::Udp, at).0.reject(Reason::Truncated);
        }
        let n = limits::ESTABLISHED_SECS as u64 + 1;
        assert_eq!(series(&mut live, 60), (1, n, 2 * n));
    }

    #[test]
    fn pace_follows_what_comes() {
        let mut pace = Pace::default();
        let at = Timestamp::from_secs;
        for n in 0..1_000 {
            pace.count(1_000 + n / 10);
        }
        let rate = pace.per_sec(at(1_099));
        assert!((9.5..=11.5).contains(&rate), "{rate}");
        assert_eq!(pace.per_sec(at(1_200)), 0.0);
        pace.count(500);
        assert!(pace.per_sec(at(501)) <= 1.0, "the clock was set back");
    }
}
