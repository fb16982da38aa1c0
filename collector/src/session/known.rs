//! What is remembered of exporters, summed up for people who look.

use std::net::IpAddr;

use super::Sessions;
use crate::hash::HashMap;

/// What is remembered of an exporter, over all its sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) n_templates: usize,
    /// Observation domains with a template, those of each session apart.
    pub(crate) n_domains: usize,
}

impl Sessions {
    /// What is remembered, by exporter.
    pub(crate) fn known(&self) -> HashMap<IpAddr, Known> {
        let mut known: HashMap<IpAddr, Known> = HashMap::default();
        for (key, session) in &self.sessions {
            let of_exporter = known.entry(key.peer.ip().to_canonical()).or_default();
            let n_usable = session.templates.values().filter(|entry| !entry.is_withdrawn).count();
            of_exporter.n_templates += n_usable;
            of_exporter.n_domains += 1;
        }
        known
    }
}
