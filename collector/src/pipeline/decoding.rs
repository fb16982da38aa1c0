//! The decode thread: from the queue into batches, slot by slot, every datagram
//! counted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use flow_common::addr::Addr16;
use flow_common::footer::{Contribution, ExporterTable};
use flow_common::layout::Slot;
use flow_common::limits;
use flow_common::time::Timestamp;
use ipnet::IpNet;

use super::echoing::EchoSender;
use super::writing::ToWriter;
use crate::config::Config;
use crate::datagram::{Datagram, Transport, TransportSession};
use crate::decode::{DecodeError, Decoder, FlowSink, Outcome, Reason, Report};
use crate::facts::{Facts, Noted, Tables};
use crate::log::LogLimit;
use crate::losses::{Losses, StreamKey};
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::sequence::Kind;
use crate::state::{Listeners, Snapshot};
use crate::writer::{Content, SlotFacts};

/// Records of a slot that is not the open one.
#[derive(Default)]
struct Late {
    sink: FlowSink,
    exporters: ExporterTable,
}

/// The decode thread.
pub(super) struct Decode {
    decoder: Decoder,
    /// Whose datagrams are looked at; empty: everyone's.
    allow: Vec<IpNet>,
    sink: FlowSink,
    slot: Option<Slot>,
    slot_secs: u32,
    exporters: ExporterTable,
    kernel_dropped_before: u64,
    losses: Losses,
    log: LogLimit<Reason>,
    metrics: Arc<Metrics>,
    sender: SyncSender<ToWriter>,
    echo: Option<EchoSender>,
    /// Records that waited, by the slot they were received in. They are gathered for
    /// a while: one file a template would let a sender cause any number of them.
    late: BTreeMap<Slot, Late>,
    /// Records in all of them.
    late_rows: u64,
    /// When they were last sent to the writer.
    late_sent_at_secs: i64,
    /// Second of the last look at the clock.
    ticked_at_secs: i64,
    /// Listeners by which the state is saved; a capture has none and saves none.
    listeners: Listeners,
    saves_state: bool,
    /// The state as last saved.
    saved: Vec<u8>,
    /// What exporters say about themselves.
    facts: Facts,
}

impl Decode {
    pub(super) fn new(
        config: &Config,
        metrics: Arc<Metrics>,
        sender: SyncSender<ToWriter>,
        echo: Option<EchoSender>,
    ) -> Self {
        Self {
            decoder: Decoder::new(config.sampling).with_lifetimes(config.lifetimes),
            allow: config.allow.clone(),
            sink: FlowSink::default(),
            slot: None,
            slot_secs: config.slot_secs,
            exporters: ExporterTable::default(),
            kernel_dropped_before: 0,
            losses: Losses::default(),
            log: LogLimit::default(),
            metrics,
            sender,
            echo,
            late: BTreeMap::new(),
            late_rows: 0,
            late_sent_at_secs: i64::MIN,
            ticked_at_secs: i64::MIN,
            listeners: Listeners::default(),
            saves_state: false,
            saved: Vec::new(),
            facts: Facts::default(),
        }
    }

    /// Remembers what `state` holds, and saves it again at the end of each slot.
    pub(super) fn with_state(mut self, listeners: Listeners, state: Option<&Snapshot>) -> Self {
        self.listeners = listeners;
        self.saves_state = true;
        if let Some(snapshot) = state {
            let n_waiting = self.decoder.restore(snapshot, &self.listeners);
            self.metrics.datagrams_restored.add(n_waiting);
            self.count_waiting();
        }
        self
    }

    /// Goes on from what exporters said in earlier runs.
    pub(super) fn with_tables(mut self, tables: Tables) -> Self {
        self.facts.restore(tables);
        self
    }

    pub(super) fn run(mut self, queue: &Queue) {
        // Also when this thread panics: the receiver must not wait for it for ever.
        let _closing = queue.close_on_drop();
        while let Some(block) = queue.pop() {
            for datagram in block.iter() {
                self.datagram(&datagram);
            }
            if let Some(session) = block.ended {
                self.end_session(session);
            }
            let is_time = block.now != Timestamp::default() && !self.is_out_of_order(block.now);
            if is_time && block.now.secs() != self.ticked_at_secs {
                self.tick(block.now);
            }
        }
        self.send_late();
        let n_waiting = self.decoder.n_waiting();
        if n_waiting > 0 && self.saves_state {
            tracing::info!("{n_waiting} datagrams wait for a template and are kept for the next start");
        } else if n_waiting > 0 {
            tracing::warn!(
                "{n_waiting} datagrams wait for a template that did not come; their data is not stored"
            );
        }
        self.close_slot();
        // Where no slot was open, templates may have come all the same.
        self.save_state();
        self.save_tables();
    }

    /// Saves the state if it has changed.
    fn save_state(&mut self) {
        if !self.saves_state {
            return;
        }
        let snapshot = self.decoder.snapshot(&self.listeners);
        if snapshot == Snapshot::default() && self.saved.is_empty() {
            return;
        }
        let state = snapshot.encode();
        if state != self.saved {
            self.saved.clone_from(&state);
            self.sender.send(ToWriter::State(state)).expect("the writer outlives the decoder");
        }
    }

    fn is_allowed(&self, exporter: IpAddr) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|prefix| prefix.contains(&exporter))
    }

    /// Writes the side tables if anything in them has changed.
    fn save_tables(&mut self) {
        if let Some(tables) = self.facts.take_changed() {
            self.sender.send(ToWriter::Tables(Box::new(tables))).expect("the writer outlives the decoder");
        }
    }

    fn datagram(&mut self, datagram: &Datagram<'_>) {
        let exporter = datagram.peer.ip().to_canonical();
        // A file does not say who exported it.
        if datagram.transport != Transport::File && !self.is_allowed(exporter) {
            self.metrics.datagrams_in_flight.subtract(1);
            self.reject(exporter, DecodeError::NotAllowed, datagram.received_at);
            return;
        }
        if self.is_out_of_order(datagram.received_at) {
            self.decode_late(datagram);
        } else {
            if self.slot.is_some_and(|slot| !slot.contains(datagram.received_at)) {
                self.tick(datagram.received_at);
            }
            self.slot.get_or_insert_with(|| Slot::around(datagram.received_at, self.slot_secs));
            self.decode(datagram);
            if self.sink.is_full() {
                self.send_batches();
            }
        }
        self.decode_ready();
    }

    /// Decodes into the sink as it is, and counts.
    fn decode(&mut self, datagram: &Datagram<'_>) {
        let before = self.sink.rows();
        let report = self.decoder.decode(datagram, &mut self.sink);
        self.count(datagram, &report, before);
        let noted = note(&mut self.facts, &self.sink, before, datagram.peer.ip(), datagram.received_at);
        count_noted(&self.metrics, noted);
        if let Some(echo) = &mut self.echo {
            echo.print(&self.sink.flows, before.0..self.sink.flows.rows());
        }
    }

    /// Whether this was received before the open slot began: of two threads that
    /// receive, the one may hand on after the other what it received before.
    fn is_out_of_order(&self, received_at: Timestamp) -> bool {
        let open_at = |slot: Slot| slot.start().secs();
        self.saves_state
            && self.slot.is_some_and(|slot| {
                (1..=limits::DISORDER_SECS_MAX).contains(&(open_at(slot) - received_at.secs()))
            })
    }

    /// Decodes what belongs to a slot that is closed.
    fn decode_late(&mut self, datagram: &Datagram<'_>) {
        let slot = Slot::around(datagram.received_at, self.slot_secs);
        let mut late = self.late.remove(&slot).unwrap_or_default();
        let before = late.sink.rows();
        std::mem::swap(&mut self.sink, &mut late.sink);
        std::mem::swap(&mut self.exporters, &mut late.exporters);
        self.decode(datagram);
        std::mem::swap(&mut self.sink, &mut late.sink);
        std::mem::swap(&mut self.exporters, &mut late.exporters);
        let rows = late.sink.rows();
        self.late_rows += (rows.0 - before.0 + rows.1 - before.1) as u64;
        let is_full = late.sink.is_full() || self.late_rows >= limits::ROW_GROUP_ROWS as u64;
        if rows != (0, 0) {
            self.late.insert(slot, late);
        }
        if is_full {
            self.send_late();
        }
    }

    /// Nothing of a connection or file outlives it.
    fn end_session(&mut self, session: TransportSession) {
        let exporter = session.peer.ip().to_canonical();
        let given_up = self.decoder.end_session(session.transport);
        if let (Some(error), n) = (given_up.first(), given_up.len()) {
            tracing::warn!("{exporter}: the session ended: {error}; data of {n} messages is not stored");
        }
        for error in given_up {
            self.metrics.reject(error.reason());
        }
        self.losses.end(session);
        self.count_waiting();
    }

    /// Decodes what waited for a template that has come. A file holds what was
    /// received in its slot, so what came in an earlier one goes to a file of its own.
    fn decode_ready(&mut self) {
        while let Some(received_at) = self.decoder.next_ready() {
            let slot = Slot::around(received_at, self.slot_secs);
            let is_late = self.slot != Some(slot);
            let (sink, exporters) = if is_late {
                let late = self.late.entry(slot).or_default();
                (&mut late.sink, &mut late.exporters)
            } else {
                (&mut self.sink, &mut self.exporters)
            };
            let before = sink.rows();
            let Some(report) = self.decoder.decode_ready(sink) else { break };
            self.metrics.lists_kept.add(std::mem::take(&mut sink.lists_kept));
            let (flows, options) =
                ((sink.flows.rows() - before.0) as u64, (sink.options.rows() - before.1) as u64);
            let context = report.context;
            let noted = note(&mut self.facts, sink, before, context.peer.ip(), context.received_at);
            count_noted(&self.metrics, noted);
            if flows > 0 {
                let events = report.events;
                let contribution = Contribution { flows: flows - events, events, ..Contribution::default() };
                exporters.add(context.peer.ip(), context.version, context.domain, contribution);
            }
            if let Some(echo) = &mut self.echo {
                echo.print(&sink.flows, before.0..sink.flows.rows());
            }
            let is_full = sink.is_full();
            self.count_records(flows, options);
            match report.ended {
                Some(Outcome::Decoded) => self.metrics.datagrams_decoded.add(1),
                Some(Outcome::Rejected(error)) => self.reject(context.peer.ip(), error, context.received_at),
                Some(Outcome::Waiting) | None => {}
            }
            self.count_waiting();
            if is_late {
                self.late_rows += flows + options;
                if is_full || self.late_rows >= limits::ROW_GROUP_ROWS as u64 {
                    self.send_late();
                }
            } else if is_full {
                self.send_batches();
            }
        }
    }

    fn count_records(&self, flows: u64, options: u64) {
        self.metrics.records_decoded.add(flows);
        self.metrics.records_in_flight.add(flows);
        self.metrics.options_decoded.add(options);
        self.metrics.options_in_flight.add(options);
    }

    fn count(&mut self, datagram: &Datagram<'_>, report: &Report, before: (usize, usize)) {
        let flows = (self.sink.flows.rows() - before.0) as u64;
        let options = (self.sink.options.rows() - before.1) as u64;
        self.count_records(flows, options);
        let metrics = &self.metrics;
        metrics.lists_kept.add(std::mem::take(&mut self.sink.lists_kept));
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
        let is_whole = report.outcome == Outcome::Decoded;
        let seen = self.follow(datagram, report, is_whole.then_some((flows + options) as u32));
        let contribution = Contribution { flows: flows - report.events, events: report.events, ..seen };
        if contribution != Contribution::default() {
            self.exporters.add(exporter, report.version, report.domain, contribution);
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
            flows: 0,
            events: 0,
            is_gap: seen.kind == Kind::Gap,
            lost: seen.lost.cast_signed() - seen.recovered.cast_signed(),
            lost_unit: if seen.lost > 0 || seen.recovered > 0 { seen.unit.name() } else { "" },
        }
    }

    fn count_waiting(&self) {
        self.metrics.datagrams_waiting.set(self.decoder.n_waiting() as u64);
        self.metrics.templates.set(self.decoder.n_templates() as u64);
    }

    fn reject(&mut self, exporter: IpAddr, error: DecodeError, now: Timestamp) {
        self.metrics.reject(error.reason());
        self.warn(exporter, error, now);
    }

    fn warn(&mut self, exporter: IpAddr, error: DecodeError, now: Timestamp) {
        if let Some(n_suppressed) = self.log.allow(exporter, error.reason(), now) {
            let more =
                if n_suppressed > 0 { format!(" ({n_suppressed} more like it)") } else { String::new() };
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

    /// Time has passed: closes the slot that ended and gives up what waited too long.
    fn tick(&mut self, now: Timestamp) {
        self.ticked_at_secs = now.secs();
        for error in self.decoder.expire(now) {
            self.metrics.reject(error.reason());
        }
        self.count_waiting();
        if now.secs().abs_diff(self.late_sent_at_secs) >= limits::LATE_SECS {
            self.late_sent_at_secs = now.secs();
            self.send_late();
        }
        if self.slot.is_some_and(|slot| !slot.contains(now)) {
            self.close_slot();
        }
    }

    fn send_batches(&mut self) {
        let Some(slot) = self.slot else { return };
        for (content, batch) in
            [(Content::Flows, &mut self.sink.flows), (Content::Options, &mut self.sink.options)]
        {
            if !batch.is_empty() {
                let batch = std::mem::take(batch);
                self.sender
                    .send(ToWriter::Batch { slot, content, batch })
                    .expect("the writer outlives the decoder");
            }
        }
    }

    /// Publishes records that waited, in files of the slots they were received in.
    fn send_late(&mut self) {
        self.late_rows = 0;
        for (slot, Late { sink: FlowSink { flows, options, .. }, mut exporters }) in
            std::mem::take(&mut self.late)
        {
            let facts = SlotFacts { exporters: exporters.take(), kernel_dropped: 0 };
            self.sender
                .send(ToWriter::Late { slot, flows, options, facts })
                .expect("the writer outlives the decoder");
        }
    }

    fn close_slot(&mut self) {
        self.send_batches();
        if self.slot.take().is_some() {
            let kernel_dropped = self.metrics.datagrams_kernel_dropped.get();
            let facts = SlotFacts {
                exporters: self.exporters.take(),
                kernel_dropped: kernel_dropped - self.kernel_dropped_before,
            };
            self.kernel_dropped_before = kernel_dropped;
            self.sender.send(ToWriter::Close(facts)).expect("the writer outlives the decoder");
            self.save_state();
            self.save_tables();
        }
    }
}

/// Learns what records behind `before` say about their exporter.
fn note(
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

fn count_noted(metrics: &Metrics, noted: Noted) {
    metrics.exporter_packets_lost.add(noted.packets_lost);
    metrics.facts_refused.add(noted.refused);
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::datagram::{Block, ListenerId};

    /// A v9 export packet of one record, with its template.
    const PAYLOAD: [u8; 40] = [
        0, 9, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7, // header
        0, 0, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1, // template 256: the protocol
        1, 0, 0, 8, 6, 0, 0, 0, // one record, padded
    ];

    #[test]
    fn what_was_received_earlier_closes_no_slot() {
        let check = |stamps: &[i64], expected: &[(bool, i64)]| {
            let queue = Queue::new(limits::QUEUE_BYTES_MAX, 1);
            for &secs in stamps {
                let received_at = Timestamp::from_secs(secs);
                let mut block = Block::new(received_at);
                let (peer, listener) = (SocketAddr::from(([192, 0, 2, 1], 1)), ListenerId(0));
                let transport = Transport::Udp;
                block.push(Datagram { payload: &PAYLOAD, peer, listener, transport, received_at });
                queue.push(block);
            }
            queue.finish();
            let (sender, receiver) = sync_channel(100);
            let metrics = Arc::new(Metrics::default());
            metrics.datagrams_in_flight.add(stamps.len() as u64);
            Decode::new(&Config::default(), metrics, sender, None)
                .with_state(Listeners::default(), None)
                .run(&queue);
            let files = receiver.iter().filter_map(|message| match message {
                ToWriter::Batch { slot, .. } => Some((false, slot.start().secs())),
                ToWriter::Late { slot, .. } => Some((true, slot.start().secs())),
                _ => None,
            });
            let mut files: Vec<_> = files.collect();
            files.sort_unstable();
            assert_eq!(files, expected, "{stamps:?}");
        };
        // Slots of 300 s; the third came to another thread before the second.
        check(&[590, 601, 599, 602], &[(false, 300), (false, 600), (true, 300)]);
        // The clock was set back: that is the time now.
        check(&[601, 200, 201], &[(false, 0), (false, 600)]);
    }
}
