//! What never arrived, per exporter: sequence numbers followed for every
//! observation domain of every transport session, within a bound.
//!
//! Some exporters number all domains of a session with one counter. Followed
//! domain by domain that looks like loss, so a session with several domains is
//! also followed as a whole, and whichever explains the changes of domain is
//! believed. Until one does, nothing is reported.

use std::net::SocketAddr;

use flow_common::limits;
use flow_common::time::Timestamp;

use crate::bounds::Bounds;
use crate::datagram::{ListenerId, Transport, TransportSession};
use crate::hash::HashMap;
use crate::sequence::{Kind, Observation, SequenceTracker, Unit};

/// A transport session, seen from its sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StreamKey {
    pub(crate) peer: SocketAddr,
    pub(crate) listener: ListenerId,
    pub(crate) transport: Transport,
    pub(crate) version: u16,
}

/// Sequence numbers of one session.
#[derive(Debug, Default)]
struct Stream {
    /// Observation domain, source id, or engine type and id of v5.
    domains: Vec<(u32, SequenceTracker)>,
    whole: SequenceTracker,
    last_domain: u32,
    /// Changes of domain that one counter for all explains, less those it does not.
    shared_score: i8,
    seen_at_secs: i64,
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    streams: HashMap<StreamKey, Stream>,
    n_domains: usize,
    cleared_at_secs: i64,
    bounds: Bounds,
}

/// Nothing can be said of a message.
const SILENT: Observation = Observation { lost: 0, recovered: 0, unit: Unit::Unknown, kind: Kind::Learning };

impl Losses {
    /// Follows so many from now on.
    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Forgets a connection or file that has ended; only IPFIX comes by these.
    pub(crate) fn end(&mut self, session: TransportSession) {
        let TransportSession { peer, listener, transport } = session;
        let key = StreamKey { peer, listener, transport, version: 10 };
        if let Some(stream) = self.streams.remove(&key) {
            self.n_domains -= stream.domains.len();
        }
    }

    /// Forgets sessions that have been silent for so long, looked for once a minute.
    pub(crate) fn expire(&mut self, now: Timestamp, idle_secs: Option<i64>) {
        let Some(idle_secs) = idle_secs else { return };
        if now.secs().abs_diff(self.cleared_at_secs) >= limits::SESSION_SWEEP_SECS {
            self.forget_quiet(now, idle_secs);
        }
    }

    /// Follows one message of `n_records` data records; `None` where they could not
    /// all be counted.
    pub(crate) fn observe(
        &mut self,
        key: StreamKey,
        domain: u32,
        sequence: u32,
        n_records: Option<u32>,
        now: Timestamp,
    ) -> Observation {
        self.make_room(now);
        let has_room = self.n_domains < self.bounds.domains;
        if !has_room && !self.streams.contains_key(&key) {
            return SILENT;
        }
        let stream = self.streams.entry(key).or_default();
        stream.seen_at_secs = now.secs();
        let is_full = !has_room || stream.domains.len() >= limits::DOMAINS_PER_STREAM_MAX;
        match stream.domains.iter().any(|(known, _)| *known == domain) {
            false if is_full => return SILENT,
            false => {
                stream.domains.push((domain, SequenceTracker::default()));
                self.n_domains += 1;
            }
            true => {}
        }
        stream.observe(key.version, domain, sequence, n_records)
    }

    /// Forged senders fill the table; what was quiet for long makes room, looked for
    /// once a second at most.
    fn make_room(&mut self, now: Timestamp) {
        if self.n_domains < self.bounds.domains || now.secs() == self.cleared_at_secs {
            return;
        }
        self.forget_quiet(now, limits::STREAM_QUIET_SECS_MAX);
    }

    fn forget_quiet(&mut self, now: Timestamp, quiet_secs: i64) {
        self.cleared_at_secs = now.secs();
        let oldest_secs = now.secs().saturating_sub(quiet_secs);
        self.streams.retain(|_, stream| stream.seen_at_secs >= oldest_secs);
        self.n_domains = self.streams.values().map(|stream| stream.domains.len()).sum();
    }
}

impl Stream {
    fn observe(&mut self, version: u16, domain: u32, sequence: u32, n_records: Option<u32>) -> Observation {
        let whole = self.whole.observe(version, sequence, n_records);
        let is_change = domain != self.last_domain;
        self.last_domain = domain;
        let n_domains = self.domains.len();
        let Some((_, tracker)) = self.domains.iter_mut().find(|(known, _)| *known == domain) else {
            return SILENT;
        };
        let own = tracker.observe(version, sequence, n_records);
        if n_domains == 1 {
            return own;
        }
        if is_change {
            const SCORE_MAX: i8 = 16;
            let points = match (whole.kind, own.kind) {
                (Kind::InOrder, Kind::InOrder | Kind::First) => 0,
                (Kind::InOrder, _) => 1,
                (_, Kind::InOrder) => -1,
                _ => 0,
            };
            self.shared_score = (self.shared_score + points).clamp(-SCORE_MAX, SCORE_MAX);
        }
        match self.shared_score {
            1.. => whole,
            0 => SILENT,
            _ => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N_MESSAGES: u32 = 2_000;

    /// Net loss reported for messages of (domain, sequence), v9.
    fn net_loss(messages: impl Iterator<Item = (u32, u32)>) -> i64 {
        let mut losses = Losses::default();
        let peer = SocketAddr::from(([192, 0, 2, 1], 1));
        let key = StreamKey { peer, listener: ListenerId(0), transport: Transport::Udp, version: 9 };
        let observe =
            |(domain, sequence)| losses.observe(key, domain, sequence, Some(1), Timestamp::default());
        messages.map(observe).map(|seen| seen.lost as i64 - seen.recovered as i64).sum()
    }

    #[test]
    fn one_counter_for_all_domains_is_no_loss() {
        assert_eq!(net_loss((0..N_MESSAGES).map(|n| (n % 3, n))), 0);
        assert_eq!(net_loss((0..N_MESSAGES).map(|n| (n / 7 % 2, n))), 0);
    }

    #[test]
    fn who_is_silent_for_long_is_forgotten() {
        let mut losses = Losses::default();
        for port in 0..10 {
            let peer = SocketAddr::from(([192, 0, 2, 1], port));
            let key = StreamKey { peer, listener: ListenerId(0), transport: Transport::Udp, version: 9 };
            losses.observe(key, 0, 1, Some(1), Timestamp::from_secs(100 * i64::from(port)));
        }
        let mut check = |secs, idle_secs, expected| {
            losses.expire(Timestamp::from_secs(secs), idle_secs);
            assert_eq!((losses.streams.len(), losses.n_domains), (expected, expected), "at {secs}");
        };
        check(10_000, None, 10);
        check(1_000, Some(500), 5);
        check(1_030, Some(0), 5); // not yet a minute later
        check(1_060, Some(200), 1);
    }

    #[test]
    fn a_counter_for_each_domain_is_no_loss() {
        assert_eq!(net_loss((0..N_MESSAGES).map(|n| (n % 3, 1_000_000 * (n % 3) + n / 3))), 0);
    }

    #[test]
    fn what_is_lost_is_found_either_way() {
        let is_lost = |n: &u32| *n > 100 && n.is_multiple_of(50);
        let n_lost = (0..N_MESSAGES).filter(is_lost).count() as i64;
        let kept = || (0..N_MESSAGES).filter(|n| !is_lost(n));
        assert_eq!(net_loss(kept().map(|n| (n % 3, n))), n_lost);
        assert_eq!(net_loss(kept().map(|n| (n % 3, 1_000_000 * (n % 3) + n / 3))), n_lost);
        assert_eq!(net_loss(kept().map(|n| (0, n))), n_lost);
    }

    #[test]
    fn forged_senders_do_not_grow_the_table() {
        let mut losses = Losses::default();
        for n in 0..limits::DOMAINS_MAX as u32 + 10_000 {
            let peer = SocketAddr::from((n.to_be_bytes(), 1));
            let key = StreamKey { peer, listener: ListenerId(0), transport: Transport::Udp, version: 9 };
            losses.observe(key, 0, 0, Some(1), Timestamp::default());
        }
        assert_eq!(losses.n_domains, limits::DOMAINS_MAX);
        let peer = SocketAddr::from(([192, 0, 2, 1], 2));
        let later = Timestamp::from_secs(limits::STREAM_QUIET_SECS_MAX + 1);
        let key = StreamKey { peer, listener: ListenerId(0), transport: Transport::Udp, version: 9 };
        assert_eq!(losses.observe(key, 0, 0, Some(1), later).kind, Kind::First);
        assert_eq!(losses.n_domains, 1);
    }
}
