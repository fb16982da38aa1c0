//! What is asked of the decode thread while it runs.

use std::net::IpAddr;

use super::Decode;
use crate::config::Config;
use crate::control::Watch;
use crate::pipeline::writing::ToWriter;

impl Decode {
    /// Looks, between blocks, at what is asked from outside.
    pub(in crate::pipeline) fn with_control(mut self, control: Watch) -> Self {
        self.control = Some(control);
        self
    }

    /// Does what was asked from outside since the last block.
    pub(super) fn obey(&mut self) {
        let Some(asked) = self.control.as_mut().and_then(Watch::take) else { return };
        if let Some(config) = asked.config {
            if config.elements != asked.before.elements {
                self.send(ToWriter::Elements(config.elements.clone()));
            }
            self.apply(&config);
        }
        if asked.is_rotation && self.slot.take().is_some() {
            self.is_changed = true;
            self.cut();
        }
    }

    pub(super) fn is_allowed(&self, exporter: IpAddr) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|prefix| prefix.contains(&exporter))
    }

    /// Goes by these settings from now on.
    pub(super) fn apply(&mut self, config: &Config) {
        self.allow.clone_from(&config.allow);
        self.decoder.set_policy(config.sampling);
        self.decoder.set_lifetimes(config.lifetimes);
        self.decoder.set_bounds(config.bounds);
        self.losses.set_bounds(config.bounds);
        self.facts.set_bounds(config.bounds);
    }
}
