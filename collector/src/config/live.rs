//! What a running collector takes over from a configuration that changed, and what
//! waits until it is started again.

use super::Config;
use super::keys::TABLES;
use crate::bounds::Bounds;
use crate::stream::Streams;

/// Keys with another value than before.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that were taken over.
    pub taken: Vec<String>,
    /// Those that wait for a restart.
    pub waiting: Vec<String>,
}

impl Config {
    /// This configuration with what a running collector takes over from `new`.
    pub(crate) fn taking(&self, new: &Self) -> (Self, Changes) {
        // Only those who listen for TLS have an identity, and they have always one.
        let identity = new.streams.identity.as_ref().filter(|_| !self.streams.tls.is_empty());
        let identity = identity.or(self.streams.identity.as_ref()).cloned();
        let live = Self {
            sampling: new.sampling,
            allow: new.allow.clone(),
            lifetimes: new.lifetimes,
            streams: Streams { identity, ..self.streams.clone() },
            bounds: Bounds {
                queue_bytes: self.bounds.queue_bytes,
                journal_bytes: self.bounds.journal_bytes,
                handshake_secs: self.bounds.handshake_secs,
                message_secs: self.bounds.message_secs,
                connection_idle_secs: self.bounds.connection_idle_secs,
                silent_listener_secs: self.bounds.silent_listener_secs,
                ..new.bounds
            },
            elements: new.elements.clone(),
            retention: new.retention.clone(),
            compaction: new.compaction,
            verbosity: new.verbosity,
            ..self.clone()
        };
        let mut changes = Changes::default();
        for (table, key) in TABLES.iter().flat_map(|(table, keys)| keys.iter().map(move |key| (table, key))) {
            let name = if table.is_empty() { key.name.to_owned() } else { format!("{table}.{}", key.name) };
            let [before, now, asked] = [self, &live, new].map(key.show);
            if now != before {
                changes.taken.push(name);
            } else if asked != before {
                changes.waiting.push(name);
            }
        }
        (live, changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::dump::tests::{FULL, load};

    #[test]
    fn what_is_taken_over_is_what_keys_say() {
        let (old, ..) = load("--tls --tls-cert x --tls-key y --tls-no-client-auth", "");
        let (new, ..) = load("", FULL);
        let (live, changes) = old.taking(&new);
        let keys = || TABLES.iter().flat_map(|(table, keys)| keys.iter().map(move |key| (table, key)));
        let is_changed = |name: &String| {
            let is_it = |(table, key): &(&&str, &crate::config::keys::Key)| {
                *name == if table.is_empty() { key.name.to_owned() } else { format!("{table}.{}", key.name) }
            };
            keys().find(is_it).is_some_and(|(_, key)| key.is_live)
        };
        assert!(changes.taken.iter().all(is_changed), "{:?}", changes.taken);
        assert!(!changes.waiting.iter().any(is_changed), "{:?}", changes.waiting);
        for (table, key) in keys() {
            let is_taken = (key.show)(&live) == (key.show)(&new);
            assert!(is_taken || !key.is_live, "{table} {}", key.name);
        }
        assert!(changes.taken.contains(&"tls-ca".to_owned()) && changes.waiting.contains(&"port".to_owned()));
        assert_eq!(live.taking(&new).1.taken, [""; 0]);
    }

    #[test]
    fn without_tls_there_is_no_identity() {
        let (old, ..) = load("", "");
        let (new, ..) = load("", "tls = 1\ntls-cert = 'a'\ntls-key = 'b'\ntls-no-client-auth = true");
        let (live, changes) = old.taking(&new);
        assert_eq!(live, old);
        assert_eq!(changes.waiting, ["tls", "tls-cert", "tls-key", "tls-no-client-auth"]);
    }
}
