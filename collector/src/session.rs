//! What is remembered of each sender between datagrams: templates, sampling
//! rates and boot times, keyed by transport session and observation domain and
//! bounded over all of them.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use flow_common::limits;
use flow_common::time::Timestamp;

use crate::datagram::ListenerId;
use crate::decode::{Definition, Template};
use crate::state::{Listeners, SessionState, TemplateState};

/// Scope of template ids: transport session, version and observation domain
/// (RFC 7011 §3.4.1 and §8, RFC 3954 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    pub(crate) peer: SocketAddr,
    pub(crate) listener: ListenerId,
    pub(crate) version: u16,
    pub(crate) domain: u32,
}

/// Where a sampling rate came from, in the words of the column `sampling_source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SamplingSource {
    Record,
    Sampler,
    Domain,
    Header,
    Override,
}

impl SamplingSource {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Sampler => "sampler",
            Self::Domain => "domain",
            Self::Header => "header",
            Self::Override => "override",
        }
    }
}

/// What the operator says of sampling rates (`-s`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SamplingPolicy {
    /// Rates are what exporters say.
    #[default]
    Announced,
    /// This rate where an exporter says none.
    Default(u32),
    /// This rate whatever exporters say.
    Forced(u32),
}

/// What a sampling rate in options data is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateScope {
    /// Everything the domain exports.
    Domain,
    /// What names this sampler or selector.
    Sampler(u64),
    /// What came in by this interface.
    Interface(u64),
}

/// Sampling rates of one domain, learned from options data.
#[derive(Debug, Clone, Default)]
pub(crate) struct SamplingRates {
    domain: Option<i64>,
    samplers: HashMap<u64, i64>,
    interfaces: HashMap<u64, i64>,
}

impl SamplingRates {
    /// The rate of everything the domain exports: the same for every interface that
    /// was told (softflowd tells it of interface 0 alone), or told so.
    pub(crate) fn domain(&self) -> Option<i64> {
        self.of_all_interfaces().or(self.domain)
    }

    /// The rate of one interface, where interfaces differ.
    pub(crate) fn of_interface(&self, id: u64) -> Option<i64> {
        self.interfaces.get(&id).copied().filter(|_| self.of_all_interfaces().is_none())
    }

    fn of_all_interfaces(&self) -> Option<i64> {
        let mut rates = self.interfaces.values();
        let first = rates.next()?;
        rates.all(|rate| rate == first).then_some(*first)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.domain.is_none() && self.samplers.is_empty() && self.interfaces.is_empty()
    }

    pub(crate) fn of_sampler(&self, id: u64) -> Option<i64> {
        self.samplers.get(&id).copied()
    }

    /// Learns a rate; beyond the bound only known samplers and interfaces change.
    pub(crate) fn learn(&mut self, scope: RateScope, rate: i64) {
        let is_full = self.samplers.len() + self.interfaces.len() >= limits::SAMPLERS_PER_DOMAIN_MAX;
        let (rates, id) = match scope {
            RateScope::Domain => {
                self.domain = Some(rate);
                return;
            }
            RateScope::Sampler(id) => (&mut self.samplers, id),
            RateScope::Interface(id) => (&mut self.interfaces, id),
        };
        if !is_full || rates.contains_key(&id) {
            rates.insert(id, rate);
        }
    }
}

/// Rates in a fixed order.
fn by_number(rates: &HashMap<u64, i64>) -> Vec<(u64, i64)> {
    let mut rates: Vec<_> = rates.iter().map(|(&id, &rate)| (id, rate)).collect();
    rates.sort_unstable();
    rates
}

/// A template and its use.
#[derive(Debug)]
struct Entry {
    template: Template,
    /// Number of this definition, so that a queue entry for an older one is known stale.
    generation: u64,
    has_decoded: bool,
    /// Used since the eviction queue last looked.
    was_used: bool,
}

/// State of one observation domain of one transport session.
#[derive(Debug, Default)]
pub(crate) struct Session {
    templates: HashMap<u16, Entry>,
    pub(crate) rates: SamplingRates,
    /// systemInitTimeMilliseconds (160) from options data.
    pub(crate) init: Option<Timestamp>,
}

impl Session {
    /// The template of a data set, marked as used.
    pub(crate) fn template_for_use(
        &mut self,
        id: u16,
    ) -> Option<(&Template, &mut SamplingRates, &mut Option<Timestamp>)> {
        let entry = self.templates.get_mut(&id)?;
        entry.has_decoded = true;
        entry.was_used = true;
        Some((&entry.template, &mut self.rates, &mut self.init))
    }
}

/// Place of a template in an eviction queue.
#[derive(Debug, Clone, Copy)]
struct Ticket {
    key: SessionKey,
    template_id: u16,
    generation: u64,
}

/// All sessions. Templates are bounded by number and by octets; first to go are
/// those that never decoded anything, then those longest unused (second chance),
/// so forged templates can't push out the ones that work.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    sessions: HashMap<SessionKey, Session>,
    untried: VecDeque<Ticket>,
    proven: VecDeque<Ticket>,
    n_templates: usize,
    template_bytes: usize,
    next_generation: u64,
}

impl Sessions {
    pub(crate) fn get_mut(&mut self, key: &SessionKey) -> Option<&mut Session> {
        self.sessions.get_mut(key)
    }

    pub(crate) fn n_templates(&self) -> usize {
        self.n_templates
    }

    /// All sessions with what they know, in a fixed order; listeners that `listeners`
    /// does not know are left out.
    pub(crate) fn snapshot(&self, listeners: &Listeners) -> Vec<SessionState> {
        let state = |(key, session): (&SessionKey, &Session)| {
            let mut templates: Vec<_> = session
                .templates
                .values()
                .map(|entry| TemplateState::of(&entry.template.definition))
                .collect();
            templates.sort_by_key(|template| template.id);
            Some(SessionState {
                key: listeners.store(key)?,
                rate: session.rates.domain,
                samplers: by_number(&session.rates.samplers),
                interfaces: by_number(&session.rates.interfaces),
                init_micros: session.init.map(|init| init.0),
                templates,
            })
        };
        let mut states: Vec<_> = self.sessions.iter().filter_map(state).collect();
        states.sort_by_key(|state| (state.key.peer, state.key.listener, state.key.version, state.key.domain));
        states
    }

    /// Takes sessions back; what is not sound is left out.
    pub(crate) fn restore(&mut self, states: &[SessionState], listeners: &Listeners) {
        for state in states {
            let Some(key) = listeners.load(&state.key) else { continue };
            let definitions = state.templates.iter().filter_map(TemplateState::definition);
            for template in definitions.filter_map(|definition| Template::new(definition).ok()) {
                self.insert(key, template);
            }
            // A session without a template is none.
            let Some(session) = self.sessions.get_mut(&key) else { continue };
            session.init = state.init_micros.map(Timestamp);
            let domain = state.rate.map(|rate| (RateScope::Domain, rate));
            let samplers = state.samplers.iter().map(|&(id, rate)| (RateScope::Sampler(id), rate));
            let interfaces = state.interfaces.iter().map(|&(id, rate)| (RateScope::Interface(id), rate));
            for (scope, rate) in domain.into_iter().chain(samplers).chain(interfaces) {
                if rate > 0 {
                    session.rates.learn(scope, rate);
                }
            }
        }
    }

    /// Whether this template describes options data.
    pub(crate) fn is_options(&self, key: &SessionKey, template_id: u16) -> bool {
        let entry = self.sessions.get(key).and_then(|session| session.templates.get(&template_id));
        entry.is_some_and(|entry| entry.template.definition.n_scope.is_some())
    }

    /// Whether this very definition is known, so that it need not be compiled.
    pub(crate) fn is_known(&self, key: &SessionKey, definition: &Definition) -> bool {
        let entry = self.sessions.get(key).and_then(|session| session.templates.get(&definition.id));
        entry.is_some_and(|entry| entry.template.definition == *definition)
    }

    /// Stores a template under its id; the newest definition counts (RFC 3954 §7,
    /// RFC 7011 §8.4). Returns how many others were evicted for it.
    pub(crate) fn insert(&mut self, key: SessionKey, template: Template) -> usize {
        let template_id = template.definition.id;
        self.next_generation += 1;
        let generation = self.next_generation;
        self.n_templates += 1;
        self.template_bytes += template.bytes();
        let entry = Entry { template, generation, has_decoded: false, was_used: false };
        let session = self.sessions.entry(key).or_default();
        if let Some(old) = session.templates.insert(template_id, entry) {
            self.n_templates -= 1;
            self.template_bytes -= old.template.bytes();
        }
        self.untried.push_back(Ticket { key, template_id, generation });
        let mut n_evicted = 0;
        while self.n_templates > limits::TEMPLATES_MAX || self.template_bytes > limits::TEMPLATES_BYTES_MAX {
            if !self.evict_one() {
                break;
            }
            n_evicted += 1;
        }
        self.drop_stale_tickets();
        n_evicted
    }

    /// Evicts one template; false if none is left.
    fn evict_one(&mut self) -> bool {
        while let Some(ticket) = self.untried.pop_front() {
            match self.entry_of(ticket) {
                Some(entry) if entry.has_decoded => self.proven.push_back(ticket),
                Some(_) => return self.remove(ticket),
                None => {}
            }
        }
        while let Some(ticket) = self.proven.pop_front() {
            match self.entry_of(ticket) {
                Some(entry) if entry.was_used => {
                    entry.was_used = false;
                    self.proven.push_back(ticket);
                }
                Some(_) => return self.remove(ticket),
                None => {}
            }
        }
        false
    }

    /// An exporter that redefines its templates all the time leaves a stale ticket
    /// each time; both queues together stay within twice the bound.
    fn drop_stale_tickets(&mut self) {
        if self.untried.len() + self.proven.len() <= 2 * limits::TEMPLATES_MAX {
            return;
        }
        let (mut untried, mut proven) = (std::mem::take(&mut self.untried), std::mem::take(&mut self.proven));
        untried.retain(|&ticket| self.entry_of(ticket).is_some());
        proven.retain(|&ticket| self.entry_of(ticket).is_some());
        (self.untried, self.proven) = (untried, proven);
    }

    fn entry_of(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        let entry = self.sessions.get_mut(&ticket.key)?.templates.get_mut(&ticket.template_id)?;
        (entry.generation == ticket.generation).then_some(entry)
    }

    fn remove(&mut self, ticket: Ticket) -> bool {
        let Some(session) = self.sessions.get_mut(&ticket.key) else { return false };
        let Some(entry) = session.templates.remove(&ticket.template_id) else { return false };
        self.n_templates -= 1;
        self.template_bytes -= entry.template.bytes();
        if session.templates.is_empty() {
            self.sessions.remove(&ticket.key);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use flow_common::element::ElementKey;

    use super::*;
    use crate::decode::FieldSpecifier;

    fn key(port: u16, domain: u32) -> SessionKey {
        let peer = SocketAddr::from(([192, 0, 2, 1], port));
        SessionKey { peer, listener: ListenerId(0), version: 9, domain }
    }

    fn template(id: u16, length: u16) -> Template {
        let fields = vec![FieldSpecifier { key: ElementKey::iana(8), length }];
        Template::new(Definition { id, n_scope: None, fields }).unwrap()
    }

    #[test]
    fn templates_that_decode_outlive_a_flood_of_those_that_do_not() {
        let mut sessions = Sessions::default();
        let honest = key(1, 7);
        assert_eq!(sessions.insert(honest, template(256, 4)), 0);
        assert!(sessions.get_mut(&honest).unwrap().template_for_use(256).is_some());
        let mut n_evicted = 0;
        for n in 0..limits::TEMPLATES_MAX as u32 + 1_000 {
            n_evicted += sessions.insert(key(2, n), template(256, 4));
        }
        assert_eq!(n_evicted, 1_001);
        assert_eq!(sessions.n_templates(), limits::TEMPLATES_MAX);
        assert!(sessions.get_mut(&honest).unwrap().template_for_use(256).is_some());
        assert!(sessions.sessions.len() <= limits::TEMPLATES_MAX);
    }

    #[test]
    fn redefinitions_replace_and_do_not_pile_up() {
        let mut sessions = Sessions::default();
        let key = key(1, 0);
        for n in 0..1_000 {
            sessions.insert(key, template(256, 4 + n % 2));
        }
        assert_eq!(sessions.n_templates(), 1);
        sessions.insert(key, template(256, 16));
        assert_eq!(sessions.n_templates(), 1);
        assert!(sessions.is_known(&key, &template(256, 16).definition));
        assert!(!sessions.is_known(&key, &template(256, 4).definition));
    }
}
