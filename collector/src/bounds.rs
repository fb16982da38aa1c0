//! Bounds an operator may set. Their defaults and reasons stand in
//! [`flow_common::limits`].

use flow_common::limits;

/// How much is held, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Templates held.
    pub templates: usize,
    /// Memory they take, octets.
    pub templates_bytes: usize,
    /// Data waiting for its template, octets.
    pub waiting_bytes: usize,
    /// Age after which it is given up, seconds.
    pub waiting_secs: i64,
    /// Observation domains whose sequence numbers are followed.
    pub domains: usize,
    /// Memory of names, rates and reports, octets.
    pub facts_bytes: usize,
    /// Those of one exporter.
    pub facts_per_exporter: usize,
    /// Datagrams queued between receiving and decoding, octets.
    pub queue_bytes: usize,
    /// Journal in use: datagrams accepted and not yet in files, octets.
    pub journal_bytes: u64,
    /// Longest TLS handshake, seconds.
    pub handshake_secs: u64,
    /// Longest time a message of a connection may take, seconds.
    pub message_secs: u64,
    /// Longest time between two, seconds.
    pub connection_idle_secs: u64,
    /// A listener where nothing came for so long gets a hint, seconds.
    pub silent_listener_secs: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            templates: limits::TEMPLATES_MAX,
            templates_bytes: limits::TEMPLATES_BYTES_MAX,
            waiting_bytes: limits::WAITING_BYTES_MAX,
            waiting_secs: limits::WAITING_SECS_MAX,
            domains: limits::DOMAINS_MAX,
            facts_bytes: limits::FACTS_BYTES_MAX,
            facts_per_exporter: limits::FACTS_PER_EXPORTER_MAX,
            queue_bytes: limits::QUEUE_BYTES_MAX,
            journal_bytes: limits::JOURNAL_BYTES_MAX,
            handshake_secs: limits::HANDSHAKE_SECS_MAX,
            message_secs: limits::MESSAGE_SECS_MAX,
            connection_idle_secs: limits::CONNECTION_IDLE_SECS_MAX,
            silent_listener_secs: limits::SILENT_LISTENER_SECS,
        }
    }
}
