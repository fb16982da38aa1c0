//! Every counter: one line a name, its meaning, and the conservation laws that
//! must hold once everything has come to rest.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::decode::Reason;
use crate::sequence::Unit;
use crate::stream::End;

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
    journal_errors "flowcap_journal_errors_total" "times the journal could not be written, synced or read";
    journal_bytes "flowcap_journal_bytes" "octets of the journal's segments in use";
    disk_full "flowcap_disk_full" "1 while records are dropped because the disk is full";
    files_visible "flowcap_files_visible_total" "files published";
    datagrams_repeated "flowcap_datagrams_repeated_total" "datagrams sent on to other collectors, for each of them";
    datagrams_repeat_failed "flowcap_datagrams_repeat_failed_total" "datagrams that could not be sent on to another collector";
    datagrams_repeat_dropped "flowcap_datagrams_repeat_dropped_total" "datagrams not sent on to another collector because too many waited";
    commands_done "flowcap_commands_done_total" "commands for a visible file that ended well";
    commands_failed "flowcap_commands_failed_total" "commands for a visible file that could not be started or failed";
    commands_skipped "flowcap_commands_skipped_total" "visible files without a command because those before took too long";
    commands_waiting "flowcap_commands_waiting" "visible files whose command has not ended";
    file_errors "flowcap_file_errors_total" "files that could not be written or published";
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

    /// Name and value of every counter, in Prometheus' notation.
    pub fn samples(&self) -> Vec<(String, u64)> {
        let mut samples: Vec<_> =
            self.plain().into_iter().map(|(name, _, value)| (name.to_owned(), value)).collect();
        for (family, counters) in [
            ("flowcap_datagrams_rejected_total", &self.rejected),
            ("flowcap_templates_refused_total", &self.templates_refused),
        ] {
            let labelled = Reason::ALL.iter().zip(counters);
            samples.extend(
                labelled
                    .map(|((_, label), counter)| (format!("{family}{{reason=\"{label}\"}}"), counter.get())),
            );
        }
        samples.extend(End::ALL.iter().zip(&self.connections_ended).map(|((_, label, _), counter)| {
            (format!("flowcap_connections_ended_total{{reason=\"{label}\"}}"), counter.get())
        }));
        for (family, counters) in [
            ("flowcap_sequence_lost_total", &self.sequence_lost),
            ("flowcap_sequence_recovered_total", &self.sequence_recovered),
        ] {
            let labelled = Unit::ALL.iter().zip(counters);
            samples.extend(
                labelled
                    .map(|(unit, counter)| (format!("{family}{{unit=\"{}\"}}", unit.name()), counter.get())),
            );
        }
        samples
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
}
