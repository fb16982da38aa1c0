//! Sampling rates that exporters announce, and what the operator says of them.

use flow_common::limits;

use crate::hash::HashMap;

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
    /// Records of this template.
    Template(u64),
}

/// Sampling rates of one domain, learned from options data.
#[derive(Debug, Clone, Default)]
pub(crate) struct SamplingRates {
    pub(crate) domain: Option<i64>,
    pub(crate) samplers: HashMap<u64, i64>,
    pub(crate) interfaces: HashMap<u64, i64>,
    pub(crate) templates: HashMap<u64, i64>,
}

/// What is known of the rates of a set's records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetRates<'a> {
    pub(crate) rates: &'a SamplingRates,
    /// That of their template.
    pub(crate) of_template: Option<i64>,
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
        let parts = [&self.samplers, &self.interfaces, &self.templates];
        self.domain.is_none() && parts.iter().all(|rates| rates.is_empty())
    }

    /// What holds for the records of a template.
    pub(crate) fn of_set(&self, template_id: u16) -> SetRates<'_> {
        SetRates { rates: self, of_template: self.templates.get(&template_id.into()).copied() }
    }

    /// Whether the rate depends on the interface.
    pub(crate) fn interfaces_differ(&self) -> bool {
        !self.interfaces.is_empty() && self.of_all_interfaces().is_none()
    }

    pub(crate) fn of_sampler(&self, id: u64) -> Option<i64> {
        self.samplers.get(&id).copied()
    }

    /// Learns a rate; beyond the bound only those known change.
    pub(crate) fn learn(&mut self, scope: RateScope, rate: i64) {
        let is_full = self.samplers.len() + self.interfaces.len() + self.templates.len()
            >= limits::SAMPLERS_PER_DOMAIN_MAX;
        let (rates, id) = match scope {
            RateScope::Domain => {
                self.domain = Some(rate);
                return;
            }
            RateScope::Sampler(id) => (&mut self.samplers, id),
            RateScope::Interface(id) => (&mut self.interfaces, id),
            RateScope::Template(id) => (&mut self.templates, id),
        };
        if !is_full || rates.contains_key(&id) {
            rates.insert(id, rate);
        }
    }
}
