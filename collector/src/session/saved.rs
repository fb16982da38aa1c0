//! What a restart remembers of the sessions.

use flow_common::time::Timestamp;

use super::{Entry, Session, SessionKey, Sessions};
use crate::decode::Template;
use crate::hash::HashMap;
use crate::sampling::RateScope;
use crate::state::{Listeners, SessionState, TemplateState};

/// Rates in a fixed order.
fn by_number(rates: &HashMap<u64, i64>) -> Vec<(u64, i64)> {
    let mut rates: Vec<_> = rates.iter().map(|(&id, &rate)| (id, rate)).collect();
    rates.sort_unstable();
    rates
}

impl Sessions {
    /// All sessions with what they know, in a fixed order; listeners that `listeners`
    /// does not know are left out.
    pub(crate) fn snapshot(&self, listeners: &Listeners) -> Vec<SessionState> {
        let state = |(key, session): (&SessionKey, &Session)| {
            let state_of = |entry: &Entry| TemplateState {
                is_withdrawn: entry.is_withdrawn,
                ..TemplateState::of(&entry.template.definition, entry.receipts, session.n_messages)
            };
            let mut templates: Vec<_> = session.templates.values().map(state_of).collect();
            templates.sort_by_key(|template| template.id);
            Some(SessionState {
                key: listeners.store(key)?,
                rate: session.rates.domain,
                samplers: by_number(&session.rates.samplers),
                interfaces: by_number(&session.rates.interfaces),
                template_rates: by_number(&session.rates.templates),
                init_micros: session.init.map(|init| init.0),
                uptime: session.uptime,
                heard_micros: session.heard_at.0,
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
            // Templates say how many messages came since; the longest is the session's.
            let n_messages = state.templates.iter().map(|template| template.age_messages).max();
            let n_messages = n_messages.unwrap_or_default();
            for stored in &state.templates {
                let template = stored.definition().and_then(|definition| Template::new(definition).ok());
                if let Some(template) = template {
                    self.insert(key, template, stored.receipts(n_messages));
                }
                if stored.is_withdrawn {
                    self.withdraw(&key, stored.id);
                }
            }
            // A session without a template is none.
            let Some(session) = self.sessions.get_mut(&key) else { continue };
            session.n_messages = n_messages;
            session.heard_at = Timestamp(state.heard_micros);
            (session.init, session.uptime) = (state.init_micros.map(Timestamp), state.uptime);
            let domain = state.rate.map(|rate| (RateScope::Domain, rate));
            let samplers = state.samplers.iter().map(|&(id, rate)| (RateScope::Sampler(id), rate));
            let interfaces = state.interfaces.iter().map(|&(id, rate)| (RateScope::Interface(id), rate));
            let templates = state.template_rates.iter().map(|&(id, rate)| (RateScope::Template(id), rate));
            for (scope, rate) in domain.into_iter().chain(samplers).chain(interfaces).chain(templates) {
                if rate > 0 {
                    session.rates.learn(scope, rate);
                }
            }
        }
    }
}
