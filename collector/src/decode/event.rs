//! Events of firewalls and NAT: which records count as flows, and which do not.
//!
//! The column `contributes` says so: 0 for an event without counters, which is no
//! flow, and NULL for everything that is no event. Cisco's firewalls tell a
//! connection's octets twice: updates have what was counted since the one before, the
//! teardown has the total, and for a connection too short for an update it is all
//! there is. So a teardown counts (1) unless an update of its connection was seen.

use std::net::SocketAddr;
use std::ops::Range;

use flow_common::column::ColumnId;
use flow_common::limits;

use super::run::MessageContext;
use crate::flow::FlowBatch;
use crate::hash::HashMap;

/// What the events of a template are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// An event where there are no counters, else a flow.
    Plain,
    /// One event of a firewall's connection, with counters that are told again.
    Connection,
    /// No event, but counters of two directions of which nothing tells which is which.
    Undirected,
}

/// Values of firewallEvent (233).
const CREATE: i64 = 1;
const TEARDOWN: i64 = 2;
const UPDATE: i64 = 5;

/// Counters of a record, either direction.
const COUNTERS: [ColumnId; 4] =
    [ColumnId::Packets, ColumnId::Bytes, ColumnId::OutPackets, ColumnId::OutBytes];

/// Says of each of the `n` records being appended whether it counts. Whether the
/// teardown of a connection does is for [`Connections::settle`] to say.
pub(super) fn append_contributes(kind: EventKind, n: usize, batch: &mut FlowBatch) {
    let first = batch.rows();
    for row in first..first + n {
        let event = |column| batch.integer(column, row).filter(|&event| event > 0);
        let firewall_event = event(ColumnId::FirewallEvent);
        let is_event = firewall_event.or_else(|| event(ColumnId::NatEvent)).is_some();
        let has_counted =
            COUNTERS.iter().any(|&column| batch.integer(column, row).is_some_and(|count| count > 0));
        let contributes = match (kind, firewall_event) {
            (EventKind::Undirected, _) => Some(0),
            _ if !is_event => None,
            (EventKind::Connection, Some(TEARDOWN)) => Some(1),
            (EventKind::Connection, Some(UPDATE)) => Some(i32::from(has_counted)),
            (EventKind::Connection, Some(_)) => Some(0),
            _ => (!has_counted).then_some(0),
        };
        batch.int32(ColumnId::Contributes).push(contributes);
    }
}

/// A connection: who exports it, and its number there (148).
type Key = (SocketAddr, Option<u32>, i64);

/// What is known of a connection of which an update was seen, by event times: numbers
/// are used again, and events arrive out of order.
#[derive(Debug, Clone, Copy)]
struct Connection {
    /// When it began; before that the number was another's.
    began_at: i64,
    updated_at: i64,
    /// Whether this one was updated, and the one before it.
    is_updated: bool,
    was_updated: bool,
}

/// Connections of which updates were seen. Bounded: of two halves the older goes when
/// the younger is full.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    young: HashMap<Key, Connection>,
    old: HashMap<Key, Connection>,
}

impl Connections {
    /// Decides for the records `rows` of one message, which is sound; returns how many
    /// records are events that count for nothing.
    pub(crate) fn settle(
        &mut self,
        context: &MessageContext,
        rows: Range<usize>,
        batch: &mut FlowBatch,
    ) -> u64 {
        if batch.filled(ColumnId::Contributes) <= rows.start {
            return 0;
        }
        let mut n_events = 0;
        for row in rows {
            let integer = |column| batch.integer(column, row);
            let mut contributes = integer(ColumnId::Contributes);
            let event = integer(ColumnId::FirewallEvent);
            if let (Some(counts), Some(event), Some(id)) = (contributes, event, integer(ColumnId::FlowId)) {
                let at = integer(ColumnId::EventTime).unwrap_or(context.time.export.0);
                let key = (context.peer, context.domain, id);
                match event {
                    CREATE => self.create(key, at),
                    // One that counts nothing says as well that updates are sent.
                    UPDATE => self.update(key, at),
                    TEARDOWN if counts == 1 && self.teardown(key, at) => {
                        contributes = Some(0);
                        batch.set_int32(ColumnId::Contributes, row, 0);
                    }
                    _ => {}
                }
            }
            n_events += u64::from(contributes == Some(0));
        }
        n_events
    }

    fn get(&mut self, key: Key) -> Option<&mut Connection> {
        if let Some(connection) = self.old.remove(&key) {
            self.insert(key, connection);
        }
        self.young.get_mut(&key)
    }

    fn insert(&mut self, key: Key, connection: Connection) {
        if self.young.len() >= limits::FIREWALL_CONNECTIONS_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, connection);
    }

    /// The number is a new connection's from `at` on; updates later than that are its own.
    fn create(&mut self, key: Key, at: i64) {
        let Some(connection) = self.get(key).filter(|connection| at > connection.began_at) else { return };
        if connection.updated_at < at {
            connection.was_updated = connection.is_updated;
            connection.is_updated = false;
        }
        connection.began_at = at;
    }

    fn update(&mut self, key: Key, at: i64) {
        let Some(connection) = self.get(key) else {
            let began_at = i64::MIN;
            let connection = Connection { began_at, updated_at: at, is_updated: true, was_updated: false };
            return self.insert(key, connection);
        };
        if at >= connection.began_at {
            connection.is_updated = true;
        } else {
            connection.was_updated = true;
        }
        connection.updated_at = connection.updated_at.max(at);
    }

    /// Whether updates have told what the teardown tells. It ends the connection: the
    /// update sent with it has its time and may still come.
    fn teardown(&mut self, key: Key, at: i64) -> bool {
        let Some(connection) = self.get(key) else { return false };
        if at < connection.began_at {
            return connection.was_updated;
        }
        let is_updated = connection.is_updated;
        if connection.updated_at <= at {
            (connection.was_updated, connection.is_updated) = (is_updated, false);
            connection.began_at = at.saturating_add(1);
        }
        is_updated
    }
}

#[cfg(test)]
mod tests {
    use flow_common::time::Timestamp;

    use super::super::value::TimeBase;
    use super::*;
    use crate::sampling::SamplingPolicy;

    const C: i64 = CREATE;
    const T: i64 = TEARDOWN;
    const U: i64 = UPDATE;
    /// An update that counts nothing.
    const IDLE: i64 = 105;

    /// Events of connection 7 at their times, and which of them count.
    #[track_caller]
    fn check(events: &[(i64, i64)], expected: &[i64]) {
        let mut connections = Connections::default();
        let time = TimeBase { export: Timestamp(0), uptime_ms: None, init: None };
        let context = MessageContext {
            received_at: Timestamp(0),
            peer: SocketAddr::from(([192, 0, 2, 1], 1)),
            version: 9,
            domain: Some(0),
            sequence: 0,
            time,
            engine: None,
            header_rate: None,
            policy: SamplingPolicy::Announced,
        };
        let mut found = Vec::new();
        for &(event, at) in events {
            let mut batch = FlowBatch::default();
            let event_sent = if event == IDLE { U } else { event };
            batch.int32(ColumnId::FirewallEvent).push(Some(event_sent as i32));
            batch.int64(ColumnId::FlowId).push(Some(7));
            batch.int64(ColumnId::EventTime).push(Some(at));
            batch.int64(ColumnId::Bytes).push(Some(i64::from(event != C && event != IDLE)));
            append_contributes(EventKind::Connection, 1, &mut batch);
            batch.add_rows(1);
            let n_events = connections.settle(&context, 0..1, &mut batch);
            let contributes = batch.integer(ColumnId::Contributes, 0).unwrap();
            assert_eq!(n_events, u64::from(contributes == 0));
            found.push(contributes);
        }
        assert_eq!(found, expected, "{events:?}");
    }

    #[test]
    fn updates_count_or_else_the_teardown() {
        check(&[(C, 0), (T, 5)], &[0, 1]);
        check(&[(C, 0), (U, 60), (U, 120), (U, 130), (T, 130)], &[0, 1, 1, 1, 0]);
        check(&[(T, 5)], &[1]);
        check(&[(U, 60), (T, 70)], &[1, 0]);
        check(&[(C, 0), (IDLE, 60), (T, 70), (U, 70)], &[0, 0, 0, 1]);
    }

    #[test]
    fn a_number_used_again_is_another_connection() {
        check(&[(U, 60), (T, 70), (C, 80), (T, 90)], &[1, 0, 0, 1]);
        // Its create was lost.
        check(&[(U, 60), (T, 70), (T, 90)], &[1, 0, 1]);
        check(&[(U, 60), (T, 70), (U, 150), (T, 160)], &[1, 0, 1, 0]);
        // The teardown was lost.
        check(&[(U, 60), (C, 80), (T, 90)], &[1, 0, 1]);
    }

    #[test]
    fn events_come_out_of_order() {
        // The update sent with the teardown comes behind it.
        check(&[(U, 60), (T, 70), (U, 70), (C, 80), (T, 90)], &[1, 0, 1, 0, 1]);
        // The create comes behind its update.
        check(&[(U, 60), (C, 0), (T, 70)], &[1, 0, 0]);
        // The teardown comes behind the create of the next.
        check(&[(U, 60), (C, 80), (T, 70), (T, 90)], &[1, 0, 0, 1]);
        // A teardown comes twice, and the first behind an update of the next.
        check(&[(U, 60), (T, 70), (T, 70)], &[1, 0, 0]);
        check(&[(U, 60), (C, 80), (U, 140), (T, 70), (T, 150)], &[1, 0, 1, 0, 0]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut connections = Connections::default();
        let key = |id| (SocketAddr::from(([192, 0, 2, 1], 1)), None, id);
        for id in 0..3 * limits::FIREWALL_CONNECTIONS_MAX as i64 {
            connections.update(key(id), 0);
            assert!(connections.get(key(0)).is_some(), "what is used stays");
        }
        let n = connections.young.len() + connections.old.len();
        assert!(n <= limits::FIREWALL_CONNECTIONS_MAX, "{n}");
    }
}
