//! Turns one datagram into flow records. Sans-I/O: no clock, no file, no
//! socket; the same state, octets and time give the same records, and nothing
//! here knows that Arrow or Parquet exists.
//!
//! A message is checked as a whole before anything of it counts: lengths of
//! sets and template records first, then data. A malformed message is rejected
//! and leaves no record behind (RFC 7011 §9.1); work is bounded by its length.

mod error;
mod event;
#[cfg(test)]
mod faults;
mod fill;
mod fixed;
mod list;
mod message;
mod plan;
mod rate;
mod run;
mod section;
#[cfg(test)]
mod streams;
mod template;
mod time;
pub(crate) mod value;
mod wire;

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use flow_common::limits;
use flow_common::time::Timestamp;

pub(crate) use self::error::{DecodeError, Reason};
use self::event::Connections;
use self::fixed::Fixed;
pub(crate) use self::rate::Announced;
pub(crate) use self::run::MessageContext;
use self::run::Scratch;
pub(crate) use self::template::{Definition, FieldSpecifier, Template};
pub(crate) use self::time::Uptime;
pub(crate) use self::value::{TimeBase, application_id};
use self::wire::Reader;
pub(crate) use self::wire::uint;
use crate::bounds::Bounds;
use crate::datagram::{Datagram, Transport, TransportSession};
use crate::flow::FlowBatch;
use crate::hash::HashMap;
use crate::lifetime::Lifetimes;
use crate::sampling::SamplingPolicy;
use crate::session::{Known, SessionKey, Sessions};
use crate::state::{Listeners, Snapshot};
use crate::waiting::{Wait, Waiting};

/// Where decoded records go.
#[derive(Debug, Default)]
pub(crate) struct FlowSink {
    /// Flow records.
    pub(crate) flows: FlowBatch,
    /// Options data records: facts about metering, every field in `other`.
    pub(crate) options: FlowBatch,
    /// Lists that could not be taken apart and are kept as received alone, since the
    /// last look.
    pub(crate) lists_kept: u64,
}

impl FlowSink {
    /// Flow records and options data records held.
    pub(crate) fn rows(&self) -> (usize, usize) {
        (self.flows.rows(), self.options.rows())
    }

    /// Whether it is time to write what it holds.
    pub(crate) fn is_full(&self) -> bool {
        self.flows.rows().max(self.options.rows()) >= limits::ROW_GROUP_ROWS
            || self.flows.variable_bytes() + self.options.variable_bytes() >= limits::BATCH_VARIABLE_BYTES_MAX
    }
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Outcome {
    #[default]
    Decoded,
    Rejected(DecodeError),
    /// At least one set waits for its template.
    Waiting,
}

/// What one call of [`Decoder::decode`] did.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    /// 5, 9, 10, or what the first two octets say.
    pub(crate) version: u16,
    /// Observation domain or source id.
    pub(crate) domain: Option<u32>,
    /// Sequence number, and which counter of the sender it is from: observation
    /// domain, source id, or engine type and id of v5.
    pub(crate) sequence: Option<(u32, u32)>,
    /// Records the header of v9 speaks of.
    pub(crate) record_count: Option<usize>,
    pub(crate) templates_learned: u64,
    pub(crate) templates_evicted: u64,
    /// Withdrawals, ignored over UDP (RFC 7011 §8.4).
    pub(crate) withdrawals_ignored: u64,
    /// Data sets that wait because their template expired.
    pub(crate) sets_expired: u64,
    /// Templates withdrawn by a stream (§8.1).
    pub(crate) templates_withdrawn: u64,
    /// What a stream did with templates that it should not, at most one of each kind
    /// here (§8.1).
    pub(crate) misuses: Vec<DecodeError>,
    /// How often it did each.
    pub(crate) n_misuses: Misuses,
    /// Sets with a reserved id, stepped over.
    pub(crate) sets_reserved: u64,
    /// Octets behind the message or its last record that are no padding.
    pub(crate) trailing_bytes: u64,
    /// Flow records that are events and count for nothing.
    pub(crate) events: u64,
    /// Templates of a sound message that were refused, and why.
    pub(crate) template_errors: Vec<DecodeError>,
    /// Datagrams that waited and were given up for this one.
    pub(crate) given_up: Vec<DecodeError>,
    /// Template the first of its sets waits for.
    pub(crate) waits_for: Option<u16>,
}

/// How often an exporter did with templates what it should not, most of it in streams
/// alone (RFC 7011 §8.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Misuses {
    /// Defined again, unchanged.
    pub(crate) repeated: u64,
    /// Defined anew without being withdrawn.
    pub(crate) redefined: u64,
    /// Withdrawn without being known.
    pub(crate) unknown: u64,
    /// Of biflows without a direction (RFC 5103 §4).
    pub(crate) undirected: u64,
}

/// What one call of [`Decoder::decode_ready`] did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LateReport {
    pub(crate) context: MessageContext,
    /// What became of the datagram, if this was its last set.
    pub(crate) ended: Option<Outcome>,
    /// Flow records that are events and count for nothing.
    pub(crate) events: u64,
}

/// A payload that makes the decoder panic, so that tests see what becomes of it.
#[cfg(test)]
pub(crate) const PANICS: &[u8] = b"panic";

/// Decodes datagrams; holds all state that outlives one.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    sessions: Sessions,
    waiting: Waiting,
    /// Templates that came for data that waits.
    ready: VecDeque<(SessionKey, u16)>,
    connections: Connections,
    scratch: Scratch,
    fixed: Fixed,
    policy: SamplingPolicy,
    lifetimes: Lifetimes,
    /// When silent sessions were last looked for.
    swept_at: Timestamp,
}

impl Decoder {
    pub(crate) fn new(policy: SamplingPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Holds this much from now on.
    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.sessions.set_bounds(bounds);
        self.waiting.set_bounds(bounds);
    }

    /// Goes by what the operator says of sampling rates from now on.
    pub(crate) fn set_policy(&mut self, policy: SamplingPolicy) {
        self.policy = policy;
    }

    /// Lets what it remembers hold for so long from now on.
    pub(crate) fn set_lifetimes(&mut self, lifetimes: Lifetimes) {
        self.lifetimes = lifetimes;
    }

    /// Decodes one datagram and appends its records to `sink`.
    pub(crate) fn decode(&mut self, datagram: &Datagram<'_>, sink: &mut FlowSink) -> Report {
        let mut report = Report::default();
        let rows = (sink.flows.rows(), sink.options.rows());
        #[cfg(test)]
        assert_ne!(datagram.payload, PANICS);
        if let Err(error) = self.decode_message(datagram, sink, &mut report) {
            sink.flows.truncate(rows.0);
            sink.options.truncate(rows.1);
            report.outcome = Outcome::Rejected(error);
        }
        report
    }

    fn decode_message(
        &mut self,
        datagram: &Datagram<'_>,
        sink: &mut FlowSink,
        report: &mut Report,
    ) -> Result<(), DecodeError> {
        let mut reader = Reader::new(datagram.payload);
        report.version = reader.u16("version")?;
        match report.version {
            version if Fixed::knows(version) => {
                self.fixed.decode(reader, datagram, self.policy, &mut self.scratch, sink, report)
            }
            9 | 10 => self.decode_sets(reader, datagram, sink, report),
            version => Err(DecodeError::UnsupportedVersion { version }),
        }
    }

    /// When, and from whom, the next set was received that waited and can be decoded now.
    pub(crate) fn next_ready(&mut self) -> Option<(Timestamp, IpAddr)> {
        while let Some(&(key, template_id)) = self.ready.front() {
            if let Some(received_at) = self.waiting.oldest(key, template_id) {
                return Some((received_at, key.peer.ip()));
            }
            self.ready.pop_front();
        }
        None
    }

    /// After which silence a session is forgotten, seconds.
    pub(crate) fn session_idle_secs(&self) -> Option<i64> {
        self.lifetimes.session_idle_secs
    }

    /// Gives up data that waited too long; returns why, once per datagram.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<DecodeError> {
        if now.secs().abs_diff(self.swept_at.secs()) >= limits::SESSION_SWEEP_SECS {
            self.swept_at = now;
            self.sessions.expire(now, self.lifetimes);
        }
        let given_up = self.waiting.expire(now);
        given_up.into_iter().map(|template_id| DecodeError::TemplateMissing { template_id }).collect()
    }

    /// Forgets all of a connection or file that has ended: none of it may be used
    /// later (RFC 7011 §8). Returns why its data that waited is given up, once per message.
    pub(crate) fn end_session(&mut self, transport: Transport) -> Vec<DecodeError> {
        self.sessions.end(transport);
        let given_up = self.waiting.end(transport);
        given_up.into_iter().map(|template_id| DecodeError::TemplateMissing { template_id }).collect()
    }

    /// Forgets a sender: something went wrong in the middle of its message.
    pub(crate) fn forget(&mut self, session: TransportSession) {
        self.scratch = Scratch::default();
        self.sessions.forget_sender(exporter_of(session.peer));
    }

    /// Forgets all connections: those of an earlier run, whose end nobody saw.
    pub(crate) fn end_streams(&mut self) -> Vec<DecodeError> {
        let transports: BTreeSet<_> = self.sessions.streams().chain(self.waiting.streams()).collect();
        transports.into_iter().flat_map(|transport| self.end_session(transport)).collect()
    }

    /// What a restart needs.
    pub(crate) fn snapshot(&self, listeners: &Listeners) -> Snapshot {
        let (sessions, waiting) = (self.sessions.snapshot(listeners), self.waiting.snapshot(listeners));
        Snapshot { checkpoint: None, sessions, waiting }
    }

    /// Takes back what was remembered before a restart; returns how many datagrams
    /// wait again. Nothing of it is decoded here.
    pub(crate) fn restore(&mut self, snapshot: &Snapshot, listeners: &Listeners) -> u64 {
        self.sessions.restore(&snapshot.sessions, listeners);
        self.waiting.restore(&snapshot.waiting, listeners)
    }

    /// Datagrams with data that waits for a template.
    pub(crate) fn n_waiting(&self) -> usize {
        self.waiting.n_datagrams()
    }

    /// What is remembered of each exporter.
    pub(crate) fn known(&self) -> HashMap<IpAddr, Known> {
        self.sessions.known()
    }

    /// What waits longest for templates.
    pub(crate) fn waits(&self) -> Vec<Wait> {
        self.waiting.waits()
    }

    /// Templates held.
    pub(crate) fn n_templates(&self) -> usize {
        self.sessions.n_templates()
    }
}

/// The address an exporter is known by: IPv4 as such, also where it came in by a
/// socket of both families.
pub(crate) fn exporter_of(peer: SocketAddr) -> SocketAddr {
    match peer.ip().to_canonical() {
        ip if ip.is_ipv4() => SocketAddr::new(ip, peer.port()),
        _ => peer,
    }
}
