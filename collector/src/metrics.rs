//! Every counter: one line a name, its meaning, and the conservation laws that
//! must hold once everything has come to rest. A name that ends in `_total` only
//! grows; any other is a gauge.

mod text;

use std::fmt;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::decode::Reason;
use crate::facts::Noted;
use crate::sequence::Unit;
use crate::stream::End;

pub(crate) use self::text::exposition;

/// A number that only grows, or a gauge.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// For gauges only.
    pub(crate) fn subtract(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! metrics {
    ($($field:ident $name:literal $help:literal;)*) => {
        /// All counters of a running collector.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(#[doc = $help] pub(crate) $field: Counter,)*
            /// Datagrams rejected, by reason.
            pub(crate) rejected: [Counter; Reason::ALL.len()],
            /// What sequence numbers prove lost, by unit.
            pub(crate) sequence_lost: [Counter; Unit::ALL.len()],
            /// What was taken for lost and came late, by unit.
            pub(crate) sequence_recovered: [Counter; Unit::ALL.len()],
            /// Connections ended, by reason.
            pub(crate) connections_ended: [Counter; End::ALL.len()],
            /// Templates of a sound message that were refused, by reason.
            pub(crate) templates_refused: [Counter; Reason::ALL.len()],
            /// One for each UDP socket, in their order; none while nothing is bound.
            listeners: OnceLock<Vec<ListenerMetrics>>,
        }

        impl Metrics {
            fn plain(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$(($name, $help, self.$field.get()),)*]
            }
        }
    };
}

metrics! {
    datagrams_received "flowcap_datagrams_received_total" "datagrams taken from the sockets or the capture";
    datagrams_restored "flowcap_datagrams_restored_total" "datagrams of an earlier run that still waited for a template when this one started";
    datagrams_replayed "flowcap_datagrams_replayed_total" "datagrams an earlier run had accepted, decoded again from the journal";
    datagrams_unjournaled "flowcap_datagrams_unjournaled_total" "datagrams the journal could not be given, kept in memory alone";
    datagrams_kernel_dropped "flowcap_kernel_dropped_datagrams_total" "datagrams the kernel dropped for want of socket buffer, before they were received";
    datagrams_decoded "flowcap_datagrams_decoded_total" "datagrams decoded";
    datagrams_waiting "flowcap_datagrams_waiting" "datagrams with data that waits for its template";
    datagrams_in_flight "flowcap_datagrams_in_flight" "datagrams received and not yet looked at";
    records_decoded "flowcap_records_decoded_total" "flow records decoded";
    records_visible "flowcap_records_visible_total" "flow records in files under their final name";
    records_discarded_write_failed "flowcap_records_discarded_total{reason=\"write_failed\"}" "flow records lost because their file could not be written";
    records_discarded_disk_full "flowcap_records_discarded_total{reason=\"disk_full\"}" "flow records dropped while the disk was full";
    records_adopted "flowcap_records_adopted_total" "flow records in parts that an earlier run left";
    records_in_flight "flowcap_records_in_flight" "flow records decoded and not yet in a visible file";
    options_decoded "flowcap_options_records_decoded_total" "options data records decoded";
    options_visible "flowcap_options_records_visible_total" "options data records in files under their final name";
    options_discarded_write_failed "flowcap_options_records_discarded_total{reason=\"write_failed\"}" "options data records lost because their file could not be written";
    options_adopted "flowcap_options_records_adopted_total" "options data records in parts that an earlier run left";
    options_in_flight "flowcap_options_records_in_flight" "options data records decoded and not yet in a visible file";
    echo_left_out "flowcap_echo_records_left_out_total" "flow records not printed because whoever reads them was too slow";
    sequence_gaps "flowcap_sequence_gaps_total" "messages before which sequence numbers are missing";
    sequence_reordered "flowcap_sequence_reordered_total" "messages that came late";
    sequence_duplicates "flowcap_sequence_duplicates_total" "messages whose sequence numbers had been seen";
    sequence_resets "flowcap_sequence_resets_total" "times an exporter began to count anew";
    templates_learned "flowcap_templates_learned_total" "templates new or redefined";
    templates_evicted "flowcap_templates_evicted_total" "templates dropped to stay within the limits";
    sets_expired "flowcap_sets_template_expired_total" "data sets that wait because their template expired";
    templates "flowcap_templates" "templates held";
    withdrawals_ignored "flowcap_template_withdrawals_ignored_total" "template withdrawals, which count for nothing over UDP";
    withdrawals_unknown "flowcap_template_withdrawals_unknown_total" "template withdrawals by a stream of templates it had not defined";
    templates_withdrawn "flowcap_templates_withdrawn_total" "templates withdrawn by a stream";
    templates_repeated "flowcap_templates_repeated_total" "templates that a stream defined again, unchanged";
    templates_undirected "flowcap_templates_undirected_total" "templates of biflows without a direction, whose records count for nothing";
    templates_redefined "flowcap_templates_redefined_total" "templates that a stream defined anew without withdrawing them";
    sets_reserved "flowcap_sets_reserved_total" "sets with a reserved id, stepped over";
    trailing_bytes "flowcap_trailing_bytes_total" "octets behind the last record of a datagram that are no padding";
    lists_kept "flowcap_lists_kept_as_received_total" "lists in records that could not be taken apart: malformed, too deep, or of an unknown template";
    exporter_packets_lost "flowcap_exporter_packets_lost_total" "packets exporters say they ignored or did not export";
    facts_refused "flowcap_facts_refused_total" "names, rates and reports of exporters there was no room for";
    connections_accepted "flowcap_connections_accepted_total" "TCP and TLS connections that came in, refused ones included";
    connections_open "flowcap_connections" "TCP and TLS connections open";
    accept_errors "flowcap_accept_errors_total" "times a connection could not be accepted, for want of descriptors as a rule";
    stream_bytes_discarded "flowcap_stream_discarded_bytes_total" "octets of messages that were not whole when their connection ended";
    certificates_reloaded "flowcap_certificates_reloaded_total" "times changed certificates were taken into use";
    certificate_errors "flowcap_certificate_errors_total" "times changed certificates could not be used";
    log_lines_suppressed "flowcap_log_lines_suppressed_total" "lines left out of the log because many like them came before";
    http_refused "flowcap_http_connections_refused_total" "connections to the HTTP endpoints that were refused because too many were open";
    journal_errors "flowcap_journal_errors_total" "times the journal could not be written, synced or read";
    journal_bytes "flowcap_journal_bytes" "octets of the journal's segments in use";
    journal_bytes_max "flowcap_journal_limit_bytes" "octets the journal may take on disk";
    journal_segments "flowcap_journal_segments" "segments of the journal on disk";
    journal_position "flowcap_journal_position_bytes" "position up to which the journal is written";
    journal_decoded "flowcap_journal_decoded_position_bytes" "position up to which the journal is decoded";
    journal_synced_at_secs "flowcap_journal_synced_timestamp_seconds" "when the journal was last made durable, seconds since 1970; 0: not yet";
    journal_failing "flowcap_journal_failing" "1 while the journal can't be written";
    parts_open "flowcap_parts" "parts of slots that are still open";
    disk_free_bytes "flowcap_disk_free_bytes" "octets free where the files are written";
    disk_full "flowcap_disk_full" "1 while records are dropped because the disk is full";
    files_visible "flowcap_files_visible_total" "files published";
    datagrams_repeated "flowcap_datagrams_repeated_total" "datagrams sent on to other collectors, for each of them";
    datagrams_repeat_failed "flowcap_datagrams_repeat_failed_total" "datagrams that could not be sent on to another collector";
    datagrams_repeat_dropped "flowcap_datagrams_repeat_dropped_total" "datagrams not sent on to another collector because too many waited";
    commands_done "flowcap_commands_done_total" "commands for a visible file that ended well";
    commands_failed "flowcap_commands_failed_total" "commands for a visible file that could not be started or failed";
    commands_skipped "flowcap_commands_skipped_total" "visible files without a command because those before took too long";
    commands_waiting "flowcap_commands_waiting" "visible files whose command has not ended";
    compacted_hours "flowcap_compacted_hours_total" "hours of a tree whose files became few";
    compacted_bytes_before "flowcap_compacted_bytes_before_total" "octets of the files of those hours before";
    compacted_bytes_after "flowcap_compacted_bytes_after_total" "octets of the files of those hours since";
    compaction_errors "flowcap_compaction_errors_total" "hours of a tree that could not be compacted, each time it was tried";
    file_errors "flowcap_file_errors_total" "files that could not be written or published";
}

/// One UDP socket.
#[derive(Debug)]
pub(crate) struct ListenerMetrics {
    pub(crate) addr: SocketAddr,
    pub(crate) received: Counter,
    pub(crate) kernel_dropped: Counter,
    /// What `setsockopt` would have to be asked for to get the same.
    pub(crate) buffer_bytes: Counter,
}

/// One label of a sample, and its value.
pub(crate) type Label = (&'static str, String);

/// All samples of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) samples: Vec<(Option<Label>, u64)>,
}

impl Family {
    /// A family of one sample.
    pub(crate) fn of(name: &'static str, help: &'static str, label: Option<Label>, value: u64) -> Self {
        Self { name, help, samples: vec![(label, value)] }
    }

    /// A family of a sample for each value of one label.
    fn labelled<'a>(
        name: &'static str,
        help: &'static str,
        key: &'static str,
        samples: impl Iterator<Item = (impl Into<String>, &'a Counter)>,
    ) -> Self {
        let samples = samples.map(|(label, counter)| (Some((key, label.into())), counter.get()));
        Self { name, help, samples: samples.collect() }
    }

    fn add(&mut self, label: Option<Label>, value: u64) {
        self.samples.push((label, value));
    }
}

/// `name{key="value"}` of the table, taken apart.
fn split_labels(name: &'static str) -> (&'static str, Option<Label>) {
    let Some((name, label)) = name.strip_suffix("\"}").and_then(|name| name.split_once('{')) else {
        return (name, None);
    };
    (name, label.split_once("=\"").map(|(key, value)| (key, value.to_owned())))
}

/// A conservation law that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{law}: {left} is not {right}")]
pub struct LawBroken {
    law: &'static str,
    left: u64,
    right: u64,
}

impl Metrics {
    pub(crate) fn reject(&self, reason: Reason) {
        self.rejected[reason as usize].add(1);
    }

    /// Counts what exporters say of themselves.
    pub(crate) fn count_noted(&self, noted: Noted) {
        self.exporter_packets_lost.add(noted.packets_lost);
        self.facts_refused.add(noted.refused);
    }

    /// Datagrams rejected for any reason.
    fn all_rejected(&self) -> u64 {
        self.rejected.iter().map(Counter::get).sum()
    }

    /// The conservation laws. They hold whenever no thread is between two of its
    /// counters, so always after shutdown.
    pub fn check_laws(&self) -> Result<(), LawBroken> {
        let check =
            |law, left, right| if left == right { Ok(()) } else { Err(LawBroken { law, left, right }) };
        check(
            "datagrams received + restored + replayed = decoded + rejected + waiting + in flight",
            self.datagrams_received.get() + self.datagrams_restored.get() + self.datagrams_replayed.get(),
            self.datagrams_decoded.get()
                + self.all_rejected()
                + self.datagrams_waiting.get()
                + self.datagrams_in_flight.get(),
        )?;
        check(
            "records decoded + adopted = visible + discarded + in flight",
            self.records_decoded.get() + self.records_adopted.get(),
            self.records_visible.get()
                + self.records_discarded_write_failed.get()
                + self.records_discarded_disk_full.get()
                + self.records_in_flight.get(),
        )?;
        check(
            "connections accepted = ended + open",
            self.connections_accepted.get(),
            self.connections_ended.iter().map(Counter::get).sum::<u64>() + self.connections_open.get(),
        )?;
        check(
            "options records decoded + adopted = visible + discarded + in flight",
            self.options_decoded.get() + self.options_adopted.get(),
            self.options_visible.get()
                + self.options_discarded_write_failed.get()
                + self.options_in_flight.get(),
        )
    }

    /// Every counter, by name.
    pub(crate) fn families(&self) -> Vec<Family> {
        let mut families: Vec<Family> = Vec::new();
        for (name, help, value) in self.plain() {
            let (name, labels) = split_labels(name);
            match families.iter_mut().find(|family| family.name == name) {
                Some(family) => family.add(labels, value),
                None => families.push(Family::of(name, help, labels, value)),
            }
        }
        let reasons = || Reason::ALL.iter().map(|&(_, label)| label);
        let ends = || End::ALL.iter().map(|&(_, label, _)| label);
        let units = || Unit::ALL.iter().map(|unit| unit.name());
        families.extend([
            Family::labelled(
                "flowcap_datagrams_rejected_total",
                "datagrams rejected, by reason",
                "reason",
                reasons().zip(&self.rejected),
            ),
            Family::labelled(
                "flowcap_templates_refused_total",
                "templates of sound messages that were refused, by reason",
                "reason",
                reasons().zip(&self.templates_refused),
            ),
            Family::labelled(
                "flowcap_connections_ended_total",
                "TCP and TLS connections that ended or were refused, by reason",
                "reason",
                ends().zip(&self.connections_ended),
            ),
            Family::labelled(
                "flowcap_sequence_lost_total",
                "what sequence numbers prove lost, by what they count",
                "unit",
                units().zip(&self.sequence_lost),
            ),
            Family::labelled(
                "flowcap_sequence_recovered_total",
                "what was taken for lost and came late, by what sequence numbers count",
                "unit",
                units().zip(&self.sequence_recovered),
            ),
        ]);
        families.extend(self.families_of_listeners());
        families
    }

    fn families_of_listeners(&self) -> impl Iterator<Item = Family> {
        type Of = fn(&ListenerMetrics) -> &Counter;
        const FAMILIES: [(&str, &str, Of); 3] = [
            ("flowcap_listener_datagrams_total", "datagrams received on a UDP socket", |one| &one.received),
            (
                "flowcap_listener_kernel_dropped_datagrams_total",
                "datagrams the kernel dropped on a UDP socket for want of buffer",
                |one| &one.kernel_dropped,
            ),
            (
                "flowcap_listener_buffer_bytes",
                "buffer the kernel granted a UDP socket, comparable to net.core.rmem_max",
                |one| &one.buffer_bytes,
            ),
        ];
        let listeners = self.listeners();
        let families = FAMILIES.into_iter().filter(|_| !listeners.is_empty());
        families.map(|(name, help, of)| {
            let samples = listeners.iter().map(|one| (one.addr.to_string(), of(one)));
            Family::labelled(name, help, "listener", samples)
        })
    }

    /// Counts for these sockets from now on; once.
    pub(crate) fn set_listeners(&self, listeners: Vec<ListenerMetrics>) {
        let is_first = self.listeners.set(listeners).is_ok();
        debug_assert!(is_first, "sockets are bound once");
    }

    /// UDP sockets that are bound.
    pub(crate) fn listeners(&self) -> &[ListenerMetrics] {
        self.listeners.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// Name and value of every counter, in Prometheus' notation.
    pub fn samples(&self) -> Vec<(String, u64)> {
        let families = self.families();
        let samples = families.iter().flat_map(|family| {
            family.samples.iter().map(|(label, value)| match label {
                None => (family.name.to_owned(), *value),
                Some((key, text)) => (format!("{}{{{key}=\"{text}\"}}", family.name), *value),
            })
        });
        samples.collect()
    }

    /// Value of one counter by its name in [`Metrics::samples`].
    pub fn value(&self, name: &str) -> Option<u64> {
        self.samples().into_iter().find_map(|(sample, value)| (sample == name).then_some(value))
    }
}

/// Every counter a line; a reason that never occurred is left out.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let samples = self.samples();
        let mut told = samples.iter().filter(|(name, value)| *value > 0 || !name.contains('{'));
        told.try_for_each(|(name, value)| writeln!(f, "{name} {value}"))
    }
}

#[cfg(test)]
mod tests {
    use flow_common::limits;

    use super::*;

    #[test]
    fn laws_hold_or_say_which_does_not() {
        let metrics = Metrics::default();
        metrics.datagrams_received.add(3);
        metrics.datagrams_decoded.add(1);
        metrics.reject(Reason::SetLength);
        assert!(metrics.check_laws().unwrap_err().to_string().ends_with("3 is not 2"));
        metrics.datagrams_waiting.set(1);
        assert_eq!(metrics.check_laws(), Ok(()));
        assert_eq!(metrics.value("flowcap_datagrams_rejected_total{reason=\"set_length\"}"), Some(1));
        assert!(
            metrics
                .plain()
                .iter()
                .all(|(name, help, _)| name.starts_with("flowcap_") && !help.ends_with('.'))
        );
    }

    #[test]
    fn series_stay_within_their_bound() {
        let metrics = Metrics::default();
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = || ListenerMetrics {
            addr,
            received: Counter::default(),
            kernel_dropped: Counter::default(),
            buffer_bytes: Counter::default(),
        };
        metrics.set_listeners((0..50).map(|_| listener()).collect());
        let families = metrics.families();
        let n: usize = families.iter().map(|family| family.samples.len()).sum();
        assert!(n <= limits::FIXED_SERIES_MAX - 10, "{n} without the process and the build");
        let mut names: Vec<_> = families.iter().map(|family| family.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), families.len(), "a name is a family");
    }

    /// The table of the documentation, one line a family.
    #[test]
    fn every_family_is_documented() {
        let documentation = include_str!("../METRICS.md");
        let listeners = Metrics::default();
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let (received, kernel_dropped, buffer_bytes) = Default::default();
        listeners.set_listeners(vec![ListenerMetrics { addr, received, kernel_dropped, buffer_bytes }]);
        let families = listeners.families().into_iter();
        let families = families.chain(crate::live::Shown::default().families());
        let row = |Family { name, help, samples }: Family| {
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            let label = samples.first().and_then(|(label, _)| label.as_ref());
            let label = label.map_or(String::new(), |(key, _)| format!("{{{key}}}"));
            format!("| `{name}{label}` | {kind} | {help} |\n")
        };
        let missing: String = families.map(row).filter(|row| !documentation.contains(row)).collect();
        assert!(missing.is_empty(), "collector/METRICS.md lacks\n{missing}");
    }
}
