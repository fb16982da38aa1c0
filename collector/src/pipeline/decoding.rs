//! The decode thread: from the queue into batches, slot by slot, every datagram
//! counted.

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use chrono::Local;
use flow_common::footer::ExporterTable;
use flow_common::layout::Slot;
use flow_common::limits;
use flow_common::time::Timestamp;

use super::writing::ToWriter;
use crate::config::Config;
use crate::datagram::Datagram;
use crate::decode::{DecodeError, Decoder, FlowSink, Outcome, Report};
use crate::echo::Echo;
use crate::log::LogLimit;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::state::{Listeners, Snapshot};
use crate::writer::{Content, SlotFacts};

/// The decode thread.
pub(super) struct Decode {
    decoder: Decoder,
    sink: FlowSink,
    slot: Option<Slot>,
    slot_secs: u32,
    exporters: ExporterTable,
    kernel_dropped_before: u64,
    log: LogLimit,
    metrics: Arc<Metrics>,
    sender: SyncSender<ToWriter>,
    echo: Option<Echo<Box<dyn Write + Send>, Local>>,
    /// Listeners by which the state is saved; a capture has none and saves none.
    listeners: Listeners,
    saves_state: bool,
    /// The state as last saved.
    saved: Vec<u8>,
}

impl Decode {
    pub(super) fn new(
        config: &Config,
        metrics: Arc<Metrics>,
        sender: SyncSender<ToWriter>,
        echo: Option<Box<dyn Write + Send>>,
    ) -> Self {
        Self {
            decoder: Decoder::new(config.sampling),
            sink: FlowSink::default(),
            slot: None,
            slot_secs: config.slot_secs,
            exporters: ExporterTable::default(),
            kernel_dropped_before: 0,
            log: LogLimit::default(),
            metrics,
            sender,
            echo: echo.map(|out| Echo::new(out, Local)),
            listeners: Listeners::default(),
            saves_state: false,
            saved: Vec::new(),
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

    pub(super) fn run(mut self, queue: &Queue) {
        // Also when this thread panics: the receiver must not wait for it for ever.
        let _closing = queue.close_on_drop();
        while let Some(block) = queue.pop() {
            for datagram in block.iter() {
                self.datagram(&datagram);
            }
            if block.len() == 0 && block.now != Timestamp::default() {
                self.tick(block.now);
            }
        }
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

    fn datagram(&mut self, datagram: &Datagram<'_>) {
        if self.slot.is_some_and(|slot| !slot.contains(datagram.received_at)) {
            self.tick(datagram.received_at);
        }
        self.slot.get_or_insert_with(|| Slot::around(datagram.received_at, self.slot_secs));
        let rows = (self.sink.flows.rows(), self.sink.options.rows());
        let report = self.decoder.decode(datagram, &mut self.sink);
        self.count(datagram, &report, rows);
        if let Some(echo) = &mut self.echo {
            // Whoever read the records has gone; collecting goes on.
            if echo.print(&self.sink.flows, rows.0..self.sink.flows.rows()).is_err() {
                self.echo = None;
            }
        }
        if self.sink.flows.rows() >= limits::ROW_GROUP_ROWS
            || self.sink.options.rows() >= limits::ROW_GROUP_ROWS
            || self.sink.flows.variable_bytes() + self.sink.options.variable_bytes()
                >= limits::BATCH_VARIABLE_BYTES_MAX
        {
            self.send_batches();
        }
    }

    fn count(&mut self, datagram: &Datagram<'_>, report: &Report, before: (usize, usize)) {
        let metrics = &self.metrics;
        let flows = (self.sink.flows.rows() - before.0) as u64;
        let options = (self.sink.options.rows() - before.1) as u64;
        metrics.records_decoded.add(flows);
        metrics.records_in_flight.add(flows);
        metrics.options_decoded.add(options);
        metrics.options_in_flight.add(options);
        metrics.templates_learned.add(report.templates_learned);
        metrics.templates_evicted.add(report.templates_evicted);
        metrics.withdrawals_ignored.add(report.withdrawals_ignored);
        metrics.sets_reserved.add(report.sets_reserved);
        metrics.trailing_bytes.add(report.trailing_bytes);
        metrics.datagrams_decoded.add(report.waited_decoded);
        let exporter = datagram.peer.ip().to_canonical();
        if report.outcome == Outcome::Decoded {
            metrics.datagrams_decoded.add(1);
        }
        if flows > 0 {
            self.exporters.add(exporter, report.version, report.domain, flows);
        }
        for &error in &report.template_errors {
            self.metrics.templates_refused[error.reason() as usize].add(1);
            self.warn(exporter, error, datagram.received_at);
        }
        if let Outcome::Rejected(error) = report.outcome {
            self.reject(exporter, error, datagram.received_at);
        }
        for &error in &report.waited_rejected {
            self.reject(exporter, error, datagram.received_at);
        }
        self.count_waiting();
        self.metrics.datagrams_in_flight.subtract(1);
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
            tracing::warn!("{exporter}: {error}{more}");
        }
    }

    /// Time has passed: closes the slot that ended and gives up what waited too long.
    fn tick(&mut self, now: Timestamp) {
        for error in self.decoder.expire(now) {
            self.metrics.reject(error.reason());
        }
        self.count_waiting();
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
        }
    }
}
