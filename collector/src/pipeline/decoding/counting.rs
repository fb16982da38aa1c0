//! What became of each datagram, counted and told.

use std::net::IpAddr;

use flow_common::addr::Addr16;
use flow_common::footer::Contribution;
use flow_common::time::Timestamp;

use super::Decode;
use crate::datagram::Datagram;
use crate::decode::{DecodeError, FlowSink, Outcome, Reason, Report};
use crate::facts::{Facts, Noted};
use crate::log::more;
use crate::losses::StreamKey;
use crate::sequence::Kind;

impl Decode {
    pub(super) fn count_records(&self, flows: u64, options: u64) {
        self.metrics.records_decoded.add(flows);
        self.metrics.records_in_flight.add(flows);
        self.metrics.options_decoded.add(options);
        self.metrics.options_in_flight.add(options);
    }

    pub(super) fn count(&mut self, datagram: &Datagram<'_>, report: &Report, before: (usize, usize)) {
        let flows = (self.current.sink.flows.rows() - before.0) as u64;
        let options = (self.current.sink.options.rows() - before.1) as u64;
        self.count_records(flows, options);
        let metrics = &self.metrics;
        metrics.lists_kept.add(std::mem::take(&mut self.current.sink.lists_kept));
        metrics.templates_learned.add(report.templates_learned);
        metrics.templates_evicted.add(report.templates_evicted);
        metrics.withdrawals_ignored.add(report.withdrawals_ignored);
        metrics.sets_expired.add(report.sets_expired);
        metrics.templates_withdrawn.add(report.templates_withdrawn);
        metrics.templates_repeated.add(report.n_misuses.repeated);
        metrics.templates_redefined.add(report.n_misuses.redefined);
        metrics.templates_undirected.add(report.n_misuses.undirected);
        metrics.withdrawals_unknown.add(report.n_misuses.unknown);
        metrics.sets_reserved.add(report.sets_reserved);
        metrics.trailing_bytes.add(report.trailing_bytes);
        let exporter = datagram.peer.ip().to_canonical();
        if report.outcome == Outcome::Decoded {
            metrics.datagrams_decoded.add(1);
        }
        self.live.note(datagram, report, (flows, options), &self.current.sink.flows);
        let is_whole = report.outcome == Outcome::Decoded;
        let seen = self.follow(datagram, report, is_whole.then_some((flows + options) as u32));
        let waiting = i64::from(report.outcome == Outcome::Waiting);
        let contribution =
            Contribution { flows: flows - report.events, events: report.events, waiting, ..seen };
        if contribution != Contribution::default() {
            let at = datagram.received_at;
            self.current.exporters.add(exporter, report.version, report.domain, at, contribution);
        }
        for &error in &report.template_errors {
            self.metrics.templates_refused[error.reason() as usize].add(1);
            self.warn(exporter, error, datagram.received_at);
        }
        for &misuse in &report.misuses {
            self.warn(exporter, misuse, datagram.received_at);
        }
        if let Outcome::Rejected(error) = report.outcome {
            self.reject(exporter, error, datagram.received_at);
        }
        for &error in &report.given_up {
            self.reject(exporter, error, datagram.received_at);
        }
        if let Some(template_id) = report.waits_for {
            self.note_waiting(exporter, template_id, datagram.received_at);
        }
        self.count_waiting();
        self.metrics.datagrams_in_flight.subtract(1);
    }

    /// Follows the sequence number of a message of `n_records` data records, `None`
    /// where not all could be decoded.
    fn follow(&mut self, datagram: &Datagram<'_>, report: &Report, n_records: Option<u32>) -> Contribution {
        let Some((domain, sequence)) = report.sequence else { return Contribution::default() };
        let &Datagram { peer, listener, transport, .. } = datagram;
        let key = StreamKey { peer, listener, transport, version: report.version };
        let seen = self.losses.observe(key, domain, sequence, n_records, datagram.received_at);
        self.live.follow(peer.ip().to_canonical(), &seen);
        let metrics = &self.metrics;
        metrics.sequence_lost[seen.unit as usize].add(seen.lost);
        metrics.sequence_recovered[seen.unit as usize].add(seen.recovered);
        match seen.kind {
            Kind::Gap => metrics.sequence_gaps.add(1),
            Kind::Reordered => metrics.sequence_reordered.add(1),
            Kind::Duplicate => metrics.sequence_duplicates.add(1),
            Kind::Reset => metrics.sequence_resets.add(1),
            Kind::First | Kind::InOrder | Kind::Learning => {}
        }
        Contribution {
            is_gap: seen.kind == Kind::Gap,
            lost: seen.lost.cast_signed() - seen.recovered.cast_signed(),
            lost_unit: if seen.lost > 0 || seen.recovered > 0 { seen.unit.name() } else { "" },
            ..Contribution::default()
        }
    }

    pub(super) fn count_waiting(&self) {
        self.metrics.datagrams_waiting.set(self.decoder.n_waiting() as u64);
        self.metrics.templates.set(self.decoder.n_templates() as u64);
    }

    pub(super) fn reject(&mut self, exporter: IpAddr, error: DecodeError, now: Timestamp) {
        self.metrics.reject(error.reason());
        self.warn(exporter, error, now);
    }

    fn warn(&mut self, exporter: IpAddr, error: DecodeError, now: Timestamp) {
        if let Some(n_suppressed) = self.log.allow(exporter, error.reason(), now) {
            let more = more(n_suppressed);
            // Data already decoded may have been read by a template of the past.
            if error.reason() == Reason::TemplateRedefined {
                tracing::error!("{exporter}: {error}{more}");
            } else {
                tracing::warn!("{exporter}: {error}{more}");
            }
        }
    }

    /// Says, now and then, that an exporter's data can't be decoded yet: someone who
    /// has just pointed it here would else see nothing.
    fn note_waiting(&mut self, exporter: IpAddr, template_id: u16, now: Timestamp) {
        if self.log.allow(exporter, Reason::TemplateMissing, now).is_some() {
            tracing::warn!("{exporter}: data waits for template {template_id}, which was not sent yet");
        }
    }
}

/// Learns what records behind `before` say about their exporter.
pub(super) fn note(
    facts: &mut Facts,
    sink: &FlowSink,
    before: (usize, usize),
    peer: IpAddr,
    received_at: Timestamp,
) -> Noted {
    let (flows, options) = sink.rows();
    if flows > before.0 {
        facts.touch(Addr16::from(peer.to_canonical()), received_at);
    }
    facts.observe(&sink.options, before.1..options)
}
