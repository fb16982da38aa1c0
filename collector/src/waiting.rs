//! Data sets that came before their template. They wait in memory, bounded by
//! octets and age, and are decoded when the template comes (RFC 3954 §9,
//! RFC 7011 §8).

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;

use flow_common::limits;
use flow_common::time::Timestamp;

use crate::bounds::Bounds;
use crate::datagram::Transport;
use crate::decode::MessageContext;
use crate::hash::HashMap;
use crate::session::SessionKey;
use crate::state::{Listeners, WaitingGroups, WaitingState};

/// Which template a set waits for.
type TemplateKey = (SessionKey, u16);

/// A set that waits, with what its message said.
#[derive(Debug)]
pub(crate) struct WaitingSet {
    datagram: u64,
    pub(crate) context: MessageContext,
    pub(crate) bytes: Box<[u8]>,
}

/// How far a datagram has come.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// Sets it still waits for.
    n_left: u32,
    has_failed: bool,
}

/// What became of a datagram once all its sets are done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Decoded,
    Rejected,
}

/// Sets that wait for one template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wait {
    /// When the oldest was received.
    pub(crate) since: Timestamp,
    pub(crate) exporter: IpAddr,
    pub(crate) version: u16,
    pub(crate) domain: u32,
    pub(crate) template_id: u16,
    pub(crate) n_sets: usize,
}

/// All that waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    sets: HashMap<TemplateKey, VecDeque<WaitingSet>>,
    /// What waits of connections and files, to give it up when these end.
    of_stream: HashMap<Transport, HashSet<TemplateKey>>,
    /// Keys in order of arrival, one per set. A set taken leaves its entry behind;
    /// entries of sets gone are skipped by number.
    order: VecDeque<(u64, TemplateKey)>,
    datagrams: HashMap<u64, Progress>,
    next_datagram: u64,
    bytes: usize,
    bounds: Bounds,
}

/// Memory a set takes beside its octets: itself, its place in the order, and a place
/// of its own in the map, of which half is free after it has grown.
const SET_OVERHEAD_BYTES: usize = size_of::<WaitingSet>()
    + 2 * size_of::<(u64, TemplateKey)>()
    + 2 * size_of::<(TemplateKey, VecDeque<WaitingSet>)>()
    + 64;

impl Waiting {
    /// Holds this much from now on.
    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Datagrams with at least one set waiting.
    pub(crate) fn n_datagrams(&self) -> usize {
        self.datagrams.len()
    }

    /// Whether anything waits for this template.
    pub(crate) fn has(&self, key: SessionKey, template_id: u16) -> bool {
        self.sets.contains_key(&(key, template_id))
    }

    /// When the oldest set that waits for this template was received.
    pub(crate) fn oldest(&self, key: SessionKey, template_id: u16) -> Option<Timestamp> {
        Some(self.sets.get(&(key, template_id))?.front()?.context.received_at)
    }

    /// Lets the sets of one datagram wait. Where that is too much, the oldest are
    /// given up: returns the template id that was missing for each such datagram.
    pub(crate) fn add(
        &mut self,
        key: SessionKey,
        context: MessageContext,
        sets: Vec<(u16, Box<[u8]>)>,
    ) -> Vec<u16> {
        if sets.is_empty() {
            return Vec::new();
        }
        let datagram = self.next_datagram;
        self.next_datagram += 1;
        self.datagrams.insert(datagram, Progress { n_left: sets.len() as u32, has_failed: false });
        for (template_id, bytes) in sets {
            if key.transport.is_stream() {
                self.of_stream.entry(key.transport).or_default().insert((key, template_id));
            }
            self.bytes += bytes.len() + SET_OVERHEAD_BYTES;
            self.order.push_back((datagram, (key, template_id)));
            let sets = self.sets.entry((key, template_id)).or_insert_with(|| VecDeque::with_capacity(1));
            sets.push_back(WaitingSet { datagram, context, bytes });
        }
        self.drop_stale_order();
        self.give_up(None)
    }

    /// All that waits, by datagram, in order of arrival.
    pub(crate) fn snapshot(&self, listeners: &Listeners) -> Vec<WaitingState> {
        let mut sets: Vec<_> = self
            .sets
            .iter()
            .flat_map(|(key, sets)| sets.iter().map(move |set| (set.datagram, key, set)))
            .collect();
        sets.sort_by_key(|&(datagram, &(_, template_id), _)| (datagram, template_id));
        let mut groups = WaitingGroups::default();
        for (datagram, (key, template_id), set) in sets {
            if let Some(key) = listeners.store(key) {
                groups.add(datagram, key, &set.context, (*template_id, &set.bytes));
            }
        }
        groups.finish()
    }

    /// Lets wait again what waited before a restart; returns how many datagrams.
    pub(crate) fn restore(&mut self, states: &[WaitingState], listeners: &Listeners) -> u64 {
        let before = self.n_datagrams();
        for state in states {
            if let (Some(key), Some(sets)) = (listeners.load(&state.key), state.sets()) {
                // What is given up again was never counted in this run.
                self.add(key, state.context(), sets);
            }
        }
        (self.n_datagrams() - before) as u64
    }

    /// What waits longest, by the template it waits for.
    pub(crate) fn waits(&self) -> Vec<Wait> {
        let waits = self.sets.iter().filter_map(|(&(key, template_id), sets)| {
            let since = sets.front()?.context.received_at;
            let exporter = key.peer.ip().to_canonical();
            let (version, domain) = (key.version, key.domain);
            Some(Wait { since, exporter, version, domain, template_id, n_sets: sets.len() })
        });
        let mut waits: Vec<_> = waits.collect();
        waits.sort_unstable();
        waits.truncate(limits::WAITS_SHOWN_MAX);
        waits
    }

    /// Takes the oldest set that waits for this template.
    pub(crate) fn take(&mut self, key: SessionKey, template_id: u16) -> Option<WaitingSet> {
        let queue = self.sets.get_mut(&(key, template_id))?;
        let set = queue.pop_front();
        if queue.is_empty() {
            self.sets.remove(&(key, template_id));
            if let Some(keys) = self.of_stream.get_mut(&key.transport) {
                keys.remove(&(key, template_id));
                if keys.is_empty() {
                    self.of_stream.remove(&key.transport);
                }
            }
        }
        let set = set?;
        self.bytes -= set.bytes.len() + SET_OVERHEAD_BYTES;
        Some(set)
    }

    /// Notes that a set taken is done with; what became of its datagram, if that
    /// was its last.
    pub(crate) fn finish(&mut self, set: &WaitingSet, is_decoded: bool) -> Option<Ended> {
        let progress = self.datagrams.get_mut(&set.datagram)?;
        progress.n_left -= 1;
        progress.has_failed |= !is_decoded;
        if progress.n_left > 0 {
            return None;
        }
        let ended = if progress.has_failed { Ended::Rejected } else { Ended::Decoded };
        self.datagrams.remove(&set.datagram);
        Some(ended)
    }

    /// Gives up what is too old; returns the template id that was missing for each
    /// datagram that has nothing left to wait for.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<u16> {
        self.give_up(Some(now))
    }

    /// Connections and files that wait for a template.
    pub(crate) fn streams(&self) -> impl Iterator<Item = Transport> {
        self.of_stream.keys().copied()
    }

    /// Gives up all of a connection or file that has ended; returns as [`Self::expire`].
    pub(crate) fn end(&mut self, transport: Transport) -> Vec<u16> {
        let mut given_up = Vec::new();
        for (key, template_id) in self.of_stream.get(&transport).cloned().unwrap_or_default() {
            while let Some(set) = self.take(key, template_id) {
                if self.finish(&set, false).is_some() {
                    given_up.push(template_id);
                }
            }
        }
        given_up
    }

    fn give_up(&mut self, now: Option<Timestamp>) -> Vec<u16> {
        let mut given_up = Vec::new();
        while let Some(&(datagram, (key, template_id))) = self.order.front() {
            let oldest = self.sets.get(&(key, template_id)).and_then(VecDeque::front);
            let Some(set) = oldest.filter(|set| set.datagram == datagram) else {
                self.order.pop_front();
                continue;
            };
            let age_secs = now.map_or(0, |now| now.secs() - set.context.received_at.secs());
            if self.bytes <= self.bounds.waiting_bytes && age_secs <= self.bounds.waiting_secs {
                break;
            }
            self.order.pop_front();
            if self.take(key, template_id).is_some_and(|set| self.finish(&set, false).is_some()) {
                given_up.push(template_id);
            }
        }
        given_up
    }

    /// Sets that were taken leave their place in the order behind; the octets held
    /// bound the sets, so they bound the order too once the stale ones go.
    fn drop_stale_order(&mut self) {
        if self.order.len() <= 2 * (self.bytes / SET_OVERHEAD_BYTES) + 1_024 {
            return;
        }
        let sets = &self.sets;
        self.order.retain(|(datagram, key)| {
            sets.get(key)
                .is_some_and(|queue| queue.binary_search_by_key(datagram, |set| set.datagram).is_ok())
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use flow_common::limits;

    use super::*;
    use crate::datagram::ListenerId;
    use crate::decode::TimeBase;

    fn key(domain: u32) -> SessionKey {
        let peer = SocketAddr::from(([192, 0, 2, 1], 1));
        SessionKey { peer, listener: ListenerId(0), transport: Transport::Udp, version: 9, domain }
    }

    fn context(secs: i64) -> MessageContext {
        MessageContext {
            received_at: Timestamp::from_secs(secs),
            peer: key(0).peer,
            version: 9,
            domain: Some(0),
            sequence: 0,
            time: TimeBase { export: Timestamp::from_secs(secs), uptime_ms: None, init: None },
            engine: None,
            header_rate: None,
            policy: crate::sampling::SamplingPolicy::Announced,
        }
    }

    #[test]
    fn a_datagram_ends_with_its_last_set() {
        let mut waiting = Waiting::default();
        waiting.add(key(0), context(0), vec![(256, [1].into()), (257, [2].into())]);
        assert_eq!(waiting.n_datagrams(), 1);
        assert!(waiting.take(key(1), 256).is_none(), "another domain");
        let set = waiting.take(key(0), 256).unwrap();
        assert_eq!(waiting.finish(&set, true), None);
        let set = waiting.take(key(0), 257).unwrap();
        assert_eq!(waiting.finish(&set, false), Some(Ended::Rejected));
        assert_eq!((waiting.n_datagrams(), waiting.bytes), (0, 0));
    }

    #[test]
    fn what_is_too_old_or_too_much_is_given_up_oldest_first() {
        let mut waiting = Waiting::default();
        waiting.add(key(0), context(0), vec![(256, [0; 8].into())]);
        waiting.add(key(0), context(100), vec![(257, [0; 8].into())]);
        assert!(waiting.expire(Timestamp::from_secs(limits::WAITING_SECS_MAX)).is_empty());
        assert_eq!(waiting.expire(Timestamp::from_secs(limits::WAITING_SECS_MAX + 1)), [256]);
        let n = limits::WAITING_BYTES_MAX / 1_000 + 2;
        for _ in 0..n {
            waiting.add(key(0), context(200), vec![(300, vec![0; 1_000].into())]);
        }
        assert!(waiting.bytes <= limits::WAITING_BYTES_MAX, "no matter whether time passes");
        let n_waiting = waiting.n_datagrams();
        assert!(n_waiting < n && n_waiting > n / 2, "{n_waiting} of {n}");
    }
}
