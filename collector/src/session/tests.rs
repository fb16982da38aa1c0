//! Tests of the sessions: what is kept, evicted, taken back and forgotten.

use flow_common::element::ElementKey;

use super::*;
use crate::decode::{FieldSpecifier, TimeBase};
use crate::journal::ListenerAddr;
use crate::sampling::SamplingPolicy;
use crate::state::Listeners;

fn key(port: u16, domain: u32) -> SessionKey {
    let peer = SocketAddr::from(([192, 0, 2, 1], port));
    SessionKey { peer, listener: ListenerId(0), transport: Transport::Udp, version: 9, domain }
}

fn context(secs: i64) -> MessageContext {
    let time =
        TimeBase { export: Timestamp::from_secs(secs), uptime_ms: Some(secs as u32 * 1_000), init: None };
    MessageContext {
        received_at: Timestamp::from_secs(secs),
        peer: key(1, 0).peer,
        version: 9,
        domain: Some(0),
        sequence: secs as u32,
        time,
        engine: None,
        header_rate: None,
        policy: SamplingPolicy::Announced,
    }
}

/// Defines a template; returns how many were evicted.
fn define(sessions: &mut Sessions, key: SessionKey, template: Template) -> usize {
    sessions.define(key, template, &context(1_000)).1
}

fn is_usable(sessions: &mut Sessions, key: SessionKey, id: u16) -> bool {
    let session = sessions.get_mut(&key).unwrap();
    session.split(&key, &context(1_000), Lifetimes::default()).0.get(id).is_some()
}

fn template(id: u16, length: u16) -> Template {
    let fields = vec![FieldSpecifier { key: ElementKey::iana(8), length }];
    Template::new(Definition { id, n_scope: None, fields }).unwrap()
}

#[test]
fn templates_that_decode_outlive_a_flood_of_those_that_do_not() {
    let mut sessions = Sessions::default();
    let honest = key(1, 7);
    assert_eq!(define(&mut sessions, honest, template(256, 4)), 0);
    assert!(is_usable(&mut sessions, honest, 256));
    let mut n_evicted = 0;
    for n in 0..limits::TEMPLATES_MAX as u32 + 1_000 {
        n_evicted += define(&mut sessions, key(2, n), template(256, 4));
    }
    assert_eq!(n_evicted, 1_001);
    assert_eq!(sessions.n_templates(), limits::TEMPLATES_MAX);
    assert!(is_usable(&mut sessions, honest, 256));
    assert!(sessions.sessions.len() <= limits::TEMPLATES_MAX);
}

#[test]
fn redefinitions_replace_and_do_not_pile_up() {
    let mut sessions = Sessions::default();
    let key = key(1, 0);
    for n in 0..1_000 {
        define(&mut sessions, key, template(256, 4 + n % 2));
    }
    assert_eq!(sessions.n_templates(), 1);
    define(&mut sessions, key, template(256, 16));
    assert_eq!(sessions.n_templates(), 1);
    assert!(sessions.refresh(&key, &template(256, 16).definition, &context(2_000)).is_some());
    assert!(sessions.refresh(&key, &template(256, 4).definition, &context(2_000)).is_none());
}

#[test]
fn what_a_malformed_message_said_is_taken_back() {
    let mut sessions = Sessions::default();
    let key = key(1, 0);
    define(&mut sessions, key, template(256, 4));
    let known = |sessions: &Sessions| {
        let mut known: Vec<_> = sessions.sessions[&key].templates.values().collect();
        known.sort_by_key(|entry| entry.template.definition.id);
        known.iter().map(|entry| (entry.template.definition.clone(), entry.receipts)).collect::<Vec<_>>()
    };
    let (before, bytes) = (known(&sessions), sessions.template_bytes);
    let again = sessions.refresh(&key, &template(256, 4).definition, &context(2_000)).unwrap();
    let other = sessions.define(key, template(256, 16), &context(2_000)).0;
    let new = sessions.define(key, template(257, 16), &context(2_000)).0;
    assert_ne!(known(&sessions), before);
    sessions.undo(&key, vec![again, other, new]);
    assert_eq!(known(&sessions), before);
    assert_eq!((sessions.n_templates(), sessions.template_bytes), (1, bytes));
}

#[test]
fn v9_data_may_come_from_another_port_of_an_exporter_up_as_long() {
    let mut sessions = Sessions::default();
    let (home, other) = (key(1, 0), key(2, 0));
    define(&mut sessions, home, template(256, 4));
    let find = |sessions: &Sessions, key, context: &MessageContext| {
        sessions.find(&key, 256, context, Lifetimes::default())
    };
    let now = context(1_010);
    assert_eq!(find(&sessions, other, &now), Lookup::Known(home));
    let of_ipfix = |key| SessionKey { version: 10, ..key };
    assert_eq!(find(&sessions, of_ipfix(other), &now), Lookup::Unknown);
    let rebooted = TimeBase { uptime_ms: Some(1_000), ..now.time };
    assert_eq!(find(&sessions, other, &MessageContext { time: rebooted, ..now }), Lookup::Unknown);
    sessions.forget(&home);
    assert_eq!(find(&sessions, other, &now), Lookup::Unknown);
    assert!(sessions.ports.is_empty());
}

#[test]
fn silent_sessions_are_forgotten() {
    let mut sessions = Sessions::default();
    let lifetimes = Lifetimes { session_idle_secs: Some(100), ..Lifetimes::default() };
    define(&mut sessions, key(1, 0), template(256, 4));
    assert_eq!(sessions.expire(Timestamp::from_secs(1_100), lifetimes), 0);
    assert_eq!(sessions.expire(Timestamp::from_secs(1_101), lifetimes), 1);
    assert_eq!((sessions.n_templates(), sessions.template_bytes), (0, 0));
}

/// For months: each has a template of its own and is never heard again.
#[test]
fn sessions_that_come_and_go_leave_nothing() {
    let mut sessions = Sessions::default();
    let lifetimes = Lifetimes { session_idle_secs: Some(60), ..Lifetimes::default() };
    let n_tickets = |sessions: &Sessions| {
        [&sessions.untried, &sessions.proven, &sessions.established]
            .map(VecDeque::capacity)
            .iter()
            .sum::<usize>()
    };
    let mut most = 0;
    for n in 0..40_000_u32 {
        let (key, secs) = (key(n as u16, n), 1_000 + i64::from(n) / 20);
        sessions.define(key, template(256, 4), &context(secs));
        sessions.hear(&key, Timestamp::from_secs(secs), lifetimes);
        if n % 20 == 0 {
            sessions.expire(Timestamp::from_secs(secs), lifetimes);
        }
        most = most.max(n_tickets(&sessions));
    }
    assert!(sessions.n_templates() <= 62 * 20, "{}", sessions.n_templates());
    assert!(
        most <= 8 * limits::TEMPLATE_TICKETS_MIN,
        "{most} places for {} templates",
        sessions.n_templates()
    );
    sessions.expire(Timestamp::from_secs(1_000_000), lifetimes);
    assert_eq!((sessions.n_templates(), sessions.sessions.len(), sessions.ports.len()), (0, 0, 0));
}

/// An uptime that stands still was believed again for some seconds after each restart, so
/// that the journal, read again, gave other times.
#[test]
fn an_uptime_that_stands_still_does_so_over_a_restart() {
    let listeners = Listeners::new(vec![ListenerAddr { addr: key(1, 0).peer, is_stream: false }]);
    let mut sessions = Sessions::default();
    define(&mut sessions, key(1, 0), template(256, 4));
    let at = |secs| TimeBase { export: Timestamp::from_secs(secs), uptime_ms: Some(7_000), init: None };
    let uptimes = |sessions: &mut Sessions, stamps: &[i64]| {
        let uptime = &mut sessions.get_mut(&key(1, 0)).unwrap().uptime;
        stamps.iter().map(|&secs| uptime.of(at(secs))).collect::<Vec<_>>()
    };
    assert_eq!(uptimes(&mut sessions, &[1_000, 1_010]), [Some(7_000), None]);
    let mut next = Sessions::default();
    next.restore(&sessions.snapshot(&listeners), &listeners);
    assert_eq!(uptimes(&mut next, &[1_011]), [None]);
}
