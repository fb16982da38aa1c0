//! Templates of connections and files: withdrawn, defined again, gone with the
//! session (RFC 7011 §8).

use std::net::SocketAddr;

use flow_common::time::Timestamp;

use super::{DecodeError, Decoder, FlowSink, Misuses, Outcome, Report};
use crate::datagram::{Datagram, ListenerId, Transport};
use crate::journal::ListenerAddr;
use crate::sampling::SamplingPolicy;
use crate::state::{Listeners, Snapshot};

const TCP: Transport = Transport::Tcp { connection: 1 };
const LATER_TCP: Transport = Transport::Tcp { connection: 2 };

/// A message of one set, in words of 16 bits.
fn message(set_id: u16, body: &[u16]) -> Vec<u8> {
    let set_bytes = 4 + 2 * body.len() as u16;
    let head = [10, 16 + set_bytes, 0, 0, 0, 0, 0, 7, set_id, set_bytes];
    head.iter().chain(body).flat_map(|word| word.to_be_bytes()).collect()
}

/// Defines template `id` as one field of two octets: `element`.
fn template(id: u16, element: u16) -> Vec<u8> {
    message(2, &[id, 1, element, 2])
}

struct Session {
    decoder: Decoder,
    sink: FlowSink,
}

impl Session {
    fn new() -> Self {
        Self { decoder: Decoder::new(SamplingPolicy::Announced), sink: FlowSink::default() }
    }

    fn decode(&mut self, transport: Transport, payload: &[u8]) -> Report {
        let (peer, listener) = (SocketAddr::from(([192, 0, 2, 1], 4_000)), ListenerId(0));
        let datagram = Datagram { payload, peer, listener, transport, received_at: Timestamp::from_secs(1) };
        let report = self.decoder.decode(&datagram, &mut self.sink);
        while self.decoder.decode_ready(&mut self.sink).is_some() {}
        report
    }
}

#[test]
fn nothing_of_a_session_meets_another() {
    let mut session = Session::new();
    session.decode(TCP, &template(256, 7));
    assert_eq!(session.decode(TCP, &message(256, &[80])).outcome, Outcome::Decoded);
    for other in [Transport::Udp, LATER_TCP, Transport::Tls { connection: 1 }, Transport::File] {
        assert_eq!(session.decode(other, &message(256, &[80])).outcome, Outcome::Waiting, "{other:?}");
    }
    assert_eq!(session.sink.rows(), (1, 0));
}

#[test]
fn the_end_of_a_session_ends_all_of_it() {
    let mut session = Session::new();
    session.decode(TCP, &template(256, 7));
    session.decode(TCP, &message(257, &[80]));
    session.decode(LATER_TCP, &template(256, 7));
    session.decode(LATER_TCP, &message(257, &[80]));
    let missing = DecodeError::TemplateMissing { template_id: 257 };
    assert_eq!(session.decoder.end_session(TCP), [missing]);
    assert_eq!((session.decoder.n_templates(), session.decoder.n_waiting()), (1, 1));
    assert_eq!(session.decoder.end_session(TCP), []);
    assert_eq!(session.decode(TCP, &message(256, &[80])).outcome, Outcome::Waiting);
    assert_eq!(session.decode(LATER_TCP, &message(256, &[80])).outcome, Outcome::Decoded);
}

#[test]
fn connections_are_saved_until_they_end_and_files_never() {
    let mut session = Session::new();
    session.decode(TCP, &template(256, 7));
    session.decode(Transport::File, &message(257, &[80]));
    session.decode(Transport::Udp, &template(300, 7));
    let addr = ([0, 0, 0, 0], 4_739).into();
    let listeners = Listeners::new([false, true].map(|is_stream| ListenerAddr { addr, is_stream }).into());
    let kept = |session: &Session| {
        let snapshot = session.decoder.snapshot(&listeners);
        let mut ids: Vec<_> = snapshot.sessions.iter().map(|session| session.templates[0].id).collect();
        ids.sort_unstable();
        (ids, snapshot.waiting.len())
    };
    assert_eq!(kept(&session), (vec![256, 300], 0));
    // A start that finds them knows nothing of their end: it ends them all.
    let mut next = Session::new();
    next.decoder.restore(&session.decoder.snapshot(&listeners), &listeners);
    assert_eq!((kept(&next).0, next.decoder.end_streams()), (vec![256, 300], vec![]));
    assert_eq!(kept(&next), (vec![300], 0));
    session.decoder.end_session(TCP);
    assert_eq!(kept(&session), (vec![300], 0));
}

#[test]
fn data_of_a_withdrawn_template_is_not_decoded_nor_kept_for_the_next() {
    let mut session = Session::new();
    session.decode(TCP, &template(256, 7));
    assert_eq!(session.decode(TCP, &message(2, &[256, 0])).templates_withdrawn, 1);
    let withdrawn = Outcome::Rejected(DecodeError::TemplateWithdrawn { template_id: 256 });
    assert_eq!(session.decode(TCP, &message(256, &[80])).outcome, withdrawn);
    let report = session.decode(TCP, &template(256, 11));
    assert_eq!((report.templates_learned, report.n_misuses), (1, Misuses::default()));
    assert_eq!(session.decode(TCP, &message(256, &[80])).outcome, Outcome::Decoded);
    assert_eq!(session.sink.rows(), (1, 0));
}

/// What is withdrawn before a checkpoint once came back to life with it: data behind it
/// was decoded when the journal was read again, and rejected before.
#[test]
fn what_is_withdrawn_stays_so_over_a_restart() {
    let mut session = Session::new();
    session.decode(TCP, &template(256, 7));
    session.decode(TCP, &template(257, 7));
    session.decode(TCP, &message(2, &[256, 0]));
    let addr = ([0, 0, 0, 0], 4_739).into();
    let listeners = Listeners::new(vec![ListenerAddr { addr, is_stream: true }]);
    let snapshot = Snapshot::decode(&session.decoder.snapshot(&listeners).encode()).unwrap();
    let mut next = Session::new();
    next.decoder.restore(&snapshot, &listeners);
    for session in [&mut session, &mut next] {
        let withdrawn = Outcome::Rejected(DecodeError::TemplateWithdrawn { template_id: 256 });
        assert_eq!(session.decode(TCP, &message(256, &[80])).outcome, withdrawn);
        assert_eq!(session.decode(TCP, &message(257, &[80])).outcome, Outcome::Decoded);
        assert_eq!(session.decode(TCP, &template(256, 11)).n_misuses, Misuses::default());
        assert_eq!(session.decode(TCP, &message(256, &[80])).outcome, Outcome::Decoded);
    }
}

#[test]
fn all_templates_of_a_kind_are_withdrawn_at_once() {
    let check = |set_id, n_withdrawn, usable: [bool; 3]| {
        let mut session = Session::new();
        session.decode(TCP, &template(256, 7));
        session.decode(TCP, &template(257, 7));
        session.decode(TCP, &message(3, &[258, 1, 1, 144, 2]));
        let report = session.decode(TCP, &message(set_id, &[set_id, 0]));
        assert_eq!(report.templates_withdrawn, n_withdrawn);
        for (id, is_usable) in [256, 257, 258].into_iter().zip(usable) {
            let outcome = session.decode(TCP, &message(id, &[80])).outcome;
            assert_eq!(outcome == Outcome::Decoded, is_usable, "{id}");
        }
    };
    check(2, 2, [false, false, true]);
    check(3, 1, [true, true, false]);
}

#[test]
fn a_malformed_message_withdraws_nothing() {
    let mut session = Session::new();
    session.decode(TCP, &template(256, 7));
    let mut broken = message(2, &[256, 0]);
    broken.extend(message(257, &[])[16..].to_vec());
    // A variable length that reaches beyond its set.
    session.decode(TCP, &message(2, &[257, 1, 82, 0xffff]));
    let set = [1, 1, 0, 5, 9];
    broken.truncate(24);
    broken.extend(set);
    broken[3] = broken.len() as u8;
    let report = session.decode(TCP, &broken);
    assert!(matches!(report.outcome, Outcome::Rejected(_)), "{report:?}");
    assert_eq!(report.templates_withdrawn, 0);
    assert_eq!(session.decode(TCP, &message(256, &[80])).outcome, Outcome::Decoded);
}

#[test]
fn what_a_stream_should_not_do_is_noted() {
    let mut session = Session::new();
    let mut check = |transport, payload: &[u8], repeated, redefined, unknown| {
        let report = session.decode(transport, payload);
        assert_eq!(report.n_misuses, Misuses { repeated, redefined, unknown, undirected: 0 });
        assert_eq!(report.misuses.len(), usize::from(repeated + redefined + unknown > 0));
    };
    check(TCP, &template(256, 7), 0, 0, 0);
    check(TCP, &template(256, 7), 1, 0, 0);
    check(TCP, &template(256, 11), 0, 1, 0);
    check(TCP, &message(2, &[300, 0, 301, 0]), 0, 0, 2);
    check(TCP, &message(2, &[2, 0]), 0, 0, 0);
    check(TCP, &message(2, &[2, 0]), 0, 0, 1);
    for payload in [template(256, 7), template(256, 7), template(256, 11), message(2, &[300, 0])] {
        check(Transport::Udp, &payload, 0, 0, 0);
    }
}
