//! What is remembered of each sender between datagrams: templates, sampling
//! rates and boot times, keyed by transport session and observation domain and
//! bounded over all of them.

mod known;
mod saved;

use std::cell::Cell;
use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;

use flow_common::limits;
use flow_common::time::Timestamp;

use crate::bounds::Bounds;
use crate::datagram::{ListenerId, Transport};
use crate::decode::{Definition, MessageContext, Template, Uptime};
use crate::hash::HashMap;
use crate::lifetime::{Header, Lifetimes, Receipts};
use crate::sampling::SamplingRates;

pub(crate) use self::known::Known;

/// Scope of template ids: transport session, version and observation domain
/// (RFC 7011 §3.4.1 and §8, RFC 3954 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    pub(crate) peer: SocketAddr,
    pub(crate) listener: ListenerId,
    pub(crate) transport: Transport,
    pub(crate) version: u16,
    pub(crate) domain: u32,
}

impl SessionKey {
    /// The same for every port of the exporter.
    fn without_port(self) -> Self {
        Self { peer: SocketAddr::new(self.peer.ip(), 0), ..self }
    }
}

/// A template and its use.
#[derive(Debug)]
pub(crate) struct Entry {
    template: Box<Template>,
    /// When it came.
    receipts: Receipts,
    /// Number of this definition, so that a queue entry for an older one is known stale.
    generation: u64,
    has_decoded: Cell<bool>,
    /// Used since the eviction queue last looked.
    was_used: Cell<bool>,
    /// Withdrawn by a stream: kept to tell its data from data that came too early,
    /// first to be evicted.
    is_withdrawn: bool,
}

impl Entry {
    /// `None` if it was withdrawn before.
    fn withdraw(&mut self) -> Option<Undo> {
        let (has_decoded, was_used) = (self.has_decoded.take(), self.was_used.take());
        let was_withdrawn = std::mem::replace(&mut self.is_withdrawn, true);
        let id = self.template.definition.id;
        (!was_withdrawn).then_some(Undo::Withdrawn { id, has_decoded, was_used })
    }
}

/// State of one observation domain of one transport session.
#[derive(Debug, Default)]
pub(crate) struct Session {
    templates: HashMap<u16, Entry>,
    pub(crate) rates: SamplingRates,
    /// systemInitTimeMilliseconds (160) from options data.
    pub(crate) init: Option<Timestamp>,
    /// Whether the uptime in the headers runs.
    pub(crate) uptime: Uptime,
    /// Messages since its first template came, that one included.
    n_messages: u64,
    /// When the first of them came; before all others for what a restart remembers.
    since: Timestamp,
    /// When the last of them came.
    heard_at: Timestamp,
}

impl Session {
    fn is_silent(&self, now: Timestamp, lifetimes: Lifetimes) -> bool {
        let silent_secs = now.secs().saturating_sub(self.heard_at.secs());
        lifetimes.session_idle_secs.is_some_and(|idle_secs| silent_secs > idle_secs)
    }

    /// The session's templates as of a message, and what its options data change.
    /// Those of a stream do not expire.
    pub(crate) fn split(
        &mut self,
        key: &SessionKey,
        context: &MessageContext,
        lifetimes: Lifetimes,
    ) -> (Templates<'_>, &mut SamplingRates, &mut Option<Timestamp>) {
        let as_of = AsOf { header: Header::of(context), n_messages: self.n_messages, lifetimes };
        let as_of = (!key.transport.is_stream()).then_some(as_of);
        (Templates(Some((&self.templates, as_of))), &mut self.rates, &mut self.init)
    }
}

/// The templates of one session that hold for a message.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Templates<'a>(Option<(&'a HashMap<u16, Entry>, Option<AsOf>)>);

/// What decides whether a template still holds.
#[derive(Debug, Clone, Copy)]
struct AsOf {
    header: Header,
    n_messages: u64,
    lifetimes: Lifetimes,
}

impl<'a> Templates<'a> {
    /// A template, marked as used.
    pub(crate) fn get(self, id: u16) -> Option<&'a Template> {
        let (templates, as_of) = self.0?;
        let entry = templates.get(&id).filter(|entry| !entry.is_withdrawn)?;
        let is_over = |of: AsOf| entry.receipts.is_over(of.header, of.n_messages, of.lifetimes);
        if as_of.is_some_and(is_over) {
            return None;
        }
        entry.has_decoded.set(true);
        entry.was_used.set(true);
        Some(&entry.template)
    }
}

/// Whether data of a message can be decoded, and with whose template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// This session has it, or another port of the same exporter.
    Known(SessionKey),
    Unknown,
    /// The stream has withdrawn it.
    Withdrawn,
    /// It has not come again in time, or not since the exporter started anew.
    Expired,
}

/// How to take back what a message said of a template, once the message turns out
/// malformed.
#[derive(Debug)]
pub(crate) enum Undo {
    /// It was defined; this was there before.
    Defined { id: u16, before: Option<Box<Entry>> },
    /// It came again; it had come before like this.
    Refreshed { id: u16, before: Receipts },
    /// It was withdrawn; it had been used like this.
    Withdrawn { id: u16, has_decoded: bool, was_used: bool },
}

/// Place of a template in an eviction queue.
#[derive(Debug, Clone, Copy)]
struct Ticket {
    key: SessionKey,
    template_id: u16,
    generation: u64,
}

/// All sessions. Templates are bounded by number and by octets. First to go are those
/// that never decoded anything, but for some that came last; then those that did,
/// longest unused first (second chance), and last those of established sessions. So
/// neither forged templates nor forged data for them push out the ones that work.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    sessions: HashMap<SessionKey, Session>,
    /// Sessions of connections and files, to forget them when these end.
    of_stream: HashMap<Transport, HashSet<SessionKey>>,
    untried: VecDeque<Ticket>,
    proven: VecDeque<Ticket>,
    established: VecDeque<Ticket>,
    /// Ports that v9 templates of an exporter come from.
    ports: HashMap<SessionKey, Vec<u16>>,
    n_templates: usize,
    template_bytes: usize,
    next_generation: u64,
    bounds: Bounds,
}

impl Sessions {
    /// Holds this much from now on; what is beyond goes when more comes.
    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Notes that a message came, for what depends on the passing of time.
    pub(crate) fn hear(&mut self, key: &SessionKey, received_at: Timestamp, lifetimes: Lifetimes) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !key.transport.is_stream() && session.is_silent(received_at, lifetimes) {
            self.forget(key);
            return;
        }
        session.n_messages += 1;
        session.heard_at = received_at;
    }

    /// Finds the template for data of a message. A v9 stream is an address and a source
    /// id (RFC 3954 §5.1): data may come from another port than their template, from an
    /// exporter that has been up as long.
    pub(crate) fn find(
        &self,
        key: &SessionKey,
        template_id: u16,
        context: &MessageContext,
        lifetimes: Lifetimes,
    ) -> Lookup {
        let header = Header::of(context);
        if let Some((session, entry)) = self.entry(key, template_id) {
            if key.transport.is_stream() {
                return if entry.is_withdrawn { Lookup::Withdrawn } else { Lookup::Known(*key) };
            }
            let is_over = entry.receipts.is_over(header, session.n_messages, lifetimes);
            return if is_over { Lookup::Expired } else { Lookup::Known(*key) };
        }
        let ports = self.ports.get(&key.without_port()).map(Vec::as_slice).unwrap_or_default();
        let of_port = |&port: &u16| SessionKey { peer: SocketAddr::new(key.peer.ip(), port), ..*key };
        let is_kin = |other: &SessionKey| {
            self.entry(other, template_id).is_some_and(|(session, entry)| {
                entry.receipts.is_same_boot(header)
                    && !entry.receipts.is_over(header, session.n_messages, lifetimes)
            })
        };
        ports.iter().map(of_port).find(is_kin).map_or(Lookup::Unknown, Lookup::Known)
    }

    fn entry(&self, key: &SessionKey, template_id: u16) -> Option<(&Session, &Entry)> {
        let session = self.sessions.get(key)?;
        Some((session, session.templates.get(&template_id)?))
    }

    /// Forgets sessions that have been silent for too long (RFC 7011 §9.3).
    pub(crate) fn expire(&mut self, now: Timestamp, lifetimes: Lifetimes) -> usize {
        // A connection has an end of its own.
        let is_over = |(key, session): &(&SessionKey, &Session)| {
            !key.transport.is_stream() && session.is_silent(now, lifetimes)
        };
        let silent = self.sessions.iter().filter(is_over);
        let silent: Vec<_> = silent.map(|(key, _)| *key).collect();
        silent.iter().for_each(|key| self.forget(key));
        silent.len()
    }

    /// Forgets a session with all it knows.
    pub(crate) fn forget(&mut self, key: &SessionKey) {
        let Some(session) = self.sessions.remove(key) else { return };
        self.n_templates -= session.templates.len();
        self.template_bytes -= session.templates.values().map(|entry| entry.template.bytes()).sum::<usize>();
        self.forget_port(key);
        if let Some(keys) = self.of_stream.get_mut(&key.transport) {
            keys.remove(key);
            if keys.is_empty() {
                self.of_stream.remove(&key.transport);
            }
        }
    }

    /// Notes the port of a session that has templates now.
    fn note_port(&mut self, key: &SessionKey) {
        if key.version == 9 {
            let ports = self.ports.entry(key.without_port()).or_default();
            if ports.len() < limits::PORTS_PER_EXPORTER_MAX && !ports.contains(&key.peer.port()) {
                ports.push(key.peer.port());
            }
        }
    }

    fn forget_port(&mut self, key: &SessionKey) {
        let source = key.without_port();
        if let Some(ports) = self.ports.get_mut(&source) {
            ports.retain(|&port| port != key.peer.port());
            if ports.is_empty() {
                self.ports.remove(&source);
            }
        }
    }

    pub(crate) fn get_mut(&mut self, key: &SessionKey) -> Option<&mut Session> {
        self.sessions.get_mut(key)
    }

    pub(crate) fn n_templates(&self) -> usize {
        self.n_templates
    }

    /// Whether this template describes options data.
    pub(crate) fn is_options(&self, key: &SessionKey, template_id: u16) -> bool {
        let entry = self.sessions.get(key).and_then(|session| session.templates.get(&template_id));
        entry.is_some_and(|entry| entry.template.definition.n_scope.is_some())
    }

    /// Whether there is such a template, not withdrawn.
    pub(crate) fn is_usable(&self, key: &SessionKey, template_id: u16) -> bool {
        self.entry(key, template_id).is_some_and(|(_, entry)| !entry.is_withdrawn)
    }

    /// Withdraws a template, if there is one.
    pub(crate) fn withdraw(&mut self, key: &SessionKey, template_id: u16) -> Option<Undo> {
        self.sessions.get_mut(key)?.templates.get_mut(&template_id)?.withdraw()
    }

    /// Withdraws all templates, or all options templates, of an observation domain.
    pub(crate) fn withdraw_all(&mut self, key: &SessionKey, is_options: bool) -> Vec<Undo> {
        let Some(session) = self.sessions.get_mut(key) else { return Vec::new() };
        let is_of_kind = |entry: &&mut Entry| entry.template.definition.n_scope.is_some() == is_options;
        session.templates.values_mut().filter(is_of_kind).filter_map(Entry::withdraw).collect()
    }

    /// Forgets the templates and rates of a sender.
    pub(crate) fn forget_sender(&mut self, peer: SocketAddr) {
        let keys: Vec<_> = self.sessions.keys().filter(|key| key.peer == peer).copied().collect();
        for key in keys {
            self.forget(&key);
        }
    }

    /// Connections and files with a session.
    pub(crate) fn streams(&self) -> impl Iterator<Item = Transport> {
        self.of_stream.keys().copied()
    }

    /// Forgets all of a connection or file.
    pub(crate) fn end(&mut self, transport: Transport) {
        for key in self.of_stream.remove(&transport).unwrap_or_default() {
            self.forget(&key);
        }
    }

    /// Notes that this very definition came again, so that it need not be compiled;
    /// `None` if it is not known.
    pub(crate) fn refresh(
        &mut self,
        key: &SessionKey,
        definition: &Definition,
        context: &MessageContext,
    ) -> Option<Undo> {
        let session = self.sessions.get_mut(key)?;
        let entry = session.templates.get_mut(&definition.id)?;
        if entry.is_withdrawn || entry.template.definition != *definition {
            return None;
        }
        let before = entry.receipts;
        entry.receipts.again(Header::of(context), session.n_messages);
        Some(Undo::Refreshed { id: definition.id, before })
    }

    /// Stores the template of a message under its id; the newest definition counts
    /// (RFC 3954 §7, RFC 7011 §8.4). Returns how many others were evicted for it.
    pub(crate) fn define(
        &mut self,
        key: SessionKey,
        template: Template,
        context: &MessageContext,
    ) -> (Undo, usize) {
        let id = template.definition.id;
        // The first template makes the session, so its message is the first.
        let (n_messages, since) = match self.sessions.get(&key) {
            Some(session) => (session.n_messages, session.since),
            None => (1, context.received_at),
        };
        let (before, n_evicted) = self.insert(key, template, Receipts::new(Header::of(context), n_messages));
        if let Some(session) = self.sessions.get_mut(&key) {
            (session.n_messages, session.since, session.heard_at) = (n_messages, since, context.received_at);
        }
        (Undo::Defined { id, before: before.map(Box::new) }, n_evicted)
    }

    /// Takes back what a malformed message said of its templates, last first. What was
    /// evicted for them stays evicted.
    pub(crate) fn undo(&mut self, key: &SessionKey, undos: Vec<Undo>) {
        for undo in undos.into_iter().rev() {
            match undo {
                Undo::Refreshed { id, before } => {
                    let session = self.sessions.get_mut(key);
                    if let Some(entry) = session.and_then(|session| session.templates.get_mut(&id)) {
                        entry.receipts = before;
                    }
                }
                Undo::Defined { id, before: None } => self.remove(key, id),
                Undo::Defined { before: Some(entry), .. } => {
                    let Entry { template, receipts, has_decoded, was_used, is_withdrawn, .. } = *entry;
                    let id = template.definition.id;
                    self.insert(*key, *template, receipts);
                    let session = self.sessions.get_mut(key);
                    if let Some(entry) = session.and_then(|session| session.templates.get_mut(&id)) {
                        (entry.has_decoded, entry.was_used) = (has_decoded, was_used);
                        entry.is_withdrawn = is_withdrawn;
                    }
                }
                Undo::Withdrawn { id, has_decoded, was_used } => {
                    let session = self.sessions.get_mut(key);
                    if let Some(entry) = session.and_then(|session| session.templates.get_mut(&id)) {
                        entry.has_decoded.set(has_decoded);
                        entry.was_used.set(was_used);
                        entry.is_withdrawn = false;
                    }
                }
            }
        }
    }

    /// Stores a template; returns what it replaced and how many others were evicted.
    fn insert(&mut self, key: SessionKey, template: Template, receipts: Receipts) -> (Option<Entry>, usize) {
        let template_id = template.definition.id;
        self.next_generation += 1;
        let generation = self.next_generation;
        self.n_templates += 1;
        self.template_bytes += template.bytes();
        let (has_decoded, was_used, is_withdrawn) = (Cell::new(false), Cell::new(false), false);
        let entry =
            Entry { template: Box::new(template), receipts, generation, has_decoded, was_used, is_withdrawn };
        if key.transport.is_stream() {
            self.of_stream.entry(key.transport).or_default().insert(key);
        }
        let session = self.sessions.entry(key).or_default();
        let is_first = session.templates.is_empty();
        let before = session.templates.insert(template_id, entry);
        if let Some(old) = &before {
            self.n_templates -= 1;
            self.template_bytes -= old.template.bytes();
        }
        if is_first {
            self.note_port(&key);
        }
        self.untried.push_back(Ticket { key, template_id, generation });
        let mut n_evicted = 0;
        let Bounds { templates, templates_bytes, .. } = self.bounds;
        while self.n_templates > templates || self.template_bytes > templates_bytes {
            if !self.evict_one() {
                break;
            }
            n_evicted += 1;
        }
        self.drop_stale_tickets();
        (before, n_evicted)
    }

    /// Evicts one template; false if none is left.
    fn evict_one(&mut self) -> bool {
        self.evict_untried(self.bounds.templates / limits::TEMPLATES_UNTRIED_PARTS)
            || self.evict_proven()
            || self.evict_established()
            || self.evict_untried(0)
    }

    /// Evicts the oldest template that never decoded anything, if there are more of them.
    fn evict_untried(&mut self, n_kept: usize) -> bool {
        while self.untried.len() > n_kept {
            let Some(ticket) = self.untried.pop_front() else { break };
            match self.entry_of(ticket) {
                Some(entry) if entry.has_decoded.get() => self.proven.push_back(ticket),
                Some(_) => {
                    self.remove(&ticket.key, ticket.template_id);
                    return true;
                }
                None => {}
            }
        }
        false
    }

    /// Evicts a template that decoded something, but not since it was last looked at.
    fn evict_proven(&mut self) -> bool {
        while let Some(ticket) = self.proven.pop_front() {
            let is_established = self.is_established(&ticket.key);
            match self.entry_of(ticket) {
                Some(_) if is_established => self.established.push_back(ticket),
                Some(entry) if entry.was_used.take() => self.proven.push_back(ticket),
                Some(_) => {
                    self.remove(&ticket.key, ticket.template_id);
                    return true;
                }
                None => {}
            }
        }
        false
    }

    /// The same among established sessions.
    fn evict_established(&mut self) -> bool {
        while let Some(ticket) = self.established.pop_front() {
            match self.entry_of(ticket) {
                Some(entry) if entry.was_used.take() => self.established.push_back(ticket),
                Some(_) => {
                    self.remove(&ticket.key, ticket.template_id);
                    return true;
                }
                None => {}
            }
        }
        false
    }

    /// Whether a session has been sending for long enough.
    fn is_established(&self, key: &SessionKey) -> bool {
        let established_secs =
            |session: &Session| session.heard_at.secs().saturating_sub(session.since.secs());
        self.sessions.get(key).is_some_and(|session| established_secs(session) >= limits::ESTABLISHED_SECS)
    }

    /// An exporter that redefines its templates all the time leaves a stale ticket each
    /// time, and so does a session that is forgotten: all together stay within twice what
    /// there are templates.
    fn drop_stale_tickets(&mut self) {
        let n_tickets = self.untried.len() + self.proven.len() + self.established.len();
        if n_tickets <= 2 * self.n_templates.max(limits::TEMPLATE_TICKETS_MIN) {
            return;
        }
        let mut queues = [&mut self.untried, &mut self.proven, &mut self.established].map(std::mem::take);
        for queue in &mut queues {
            queue.retain(|&ticket| self.entry_of(ticket).is_some());
            queue.shrink_to(2 * queue.len());
        }
        [self.untried, self.proven, self.established] = queues;
    }

    fn entry_of(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        let entry = self.sessions.get_mut(&ticket.key)?.templates.get_mut(&ticket.template_id)?;
        (entry.generation == ticket.generation).then_some(entry)
    }

    fn remove(&mut self, key: &SessionKey, template_id: u16) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(entry) = session.templates.remove(&template_id) else { return };
        self.n_templates -= 1;
        self.template_bytes -= entry.template.bytes();
        if session.templates.is_empty() {
            self.forget(key);
        }
    }
}

#[cfg(test)]
mod tests;
