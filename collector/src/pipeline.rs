//! The only place that starts threads and connects them.
//!
//! ```text
//! receive ─queue→ decode ─channel→ write
//! ```
//!
//! Shutdown runs the same way: the receiver empties the sockets and closes the
//! queue, the decoder empties the queue and closes the channel, the writer
//! publishes what is left.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver as ChannelReceiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use chrono::Local;
use flow_common::footer::ExporterTable;
use flow_common::layout::Slot;
use flow_common::limits;
use flow_common::time::{Clock, Timestamp};

use crate::capture::{self, CaptureError};
use crate::config::{Config, Source};
use crate::datagram::{Block, Datagram};
use crate::decode::{DecodeError, Decoder, FlowSink, Outcome, Report};
use crate::echo::Echo;
use crate::flow::FlowBatch;
use crate::log::LogLimit;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::socket::{Listener, Receiver};
use crate::writer::{Content, SlotFacts, SlotFile, Store, WriteError};

/// Longest time the receiver sleeps without looking at the clock.
const TICK: Duration = Duration::from_millis(200);
/// Nap after a short burst: the next one then costs one system call, not one
/// per datagram (measured: halves the CPU at low rates).
const NAP: Duration = Duration::from_millis(2);
/// A burst below this is short.
const SHORT_BURST_DATAGRAMS: usize = limits::RECEIVE_BURST_DATAGRAMS / 4;

/// A collector could not start.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl StartError {
    fn new(error: impl std::fmt::Display, hint: impl Into<Option<String>>) -> Self {
        Self { message: error.to_string(), hint: hint.into() }
    }
}

/// What a collector did, once it has ended.
#[derive(Debug)]
pub struct Summary {
    /// Every counter.
    pub metrics: Arc<Metrics>,
    /// Why it did not do all it should: a capture cut off, a file not written.
    pub failure: Option<String>,
}

/// A running collector.
#[derive(Debug)]
pub struct Running {
    listeners: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    receive: JoinHandle<Result<(), String>>,
    decode: JoinHandle<()>,
    write: JoinHandle<Result<(), String>>,
}

impl Running {
    /// Addresses listened on, with the ports the system chose.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// Asks it to drain and end; returns at once.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it has ended by itself: the capture is read, or the sockets failed.
    pub fn is_finished(&self) -> bool {
        self.write.is_finished()
    }

    /// Its counters so far.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Waits for the end.
    pub fn wait(self) -> Summary {
        let failed = |name| Err(format!("the {name} thread failed; this is a bug"));
        let received = self.receive.join().unwrap_or_else(|_| failed("receive"));
        let decoded = self.decode.join().or_else(|_| failed("decode"));
        let written = self.write.join().unwrap_or_else(|_| failed("write"));
        let failure = received.and(decoded).and(written).err();
        Summary { metrics: self.metrics, failure }
    }
}

/// Binds the sockets, or opens the capture, and starts collecting. Records are
/// printed to `echo` where there is one.
pub fn start(
    config: &Config,
    clock: Arc<dyn Clock>,
    echo: Option<Box<dyn Write + Send>>,
) -> Result<Running, StartError> {
    let store = Store::new(config.root.clone(), config.ident.clone());
    store.prepare().map_err(|error| {
        StartError::new(error, "choose a directory you may write with `-w DIR`".to_owned())
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    let metrics = Arc::new(Metrics::default());
    let queue = Arc::new(Queue::new(limits::QUEUE_BYTES_MAX));
    let mut listeners = Vec::new();
    let receive = match &config.source {
        Source::Listen(addresses) => {
            let bound = bind(addresses)?;
            listeners = bound.iter().map(Listener::addr).collect();
            let receive = Receive {
                receiver: Receiver::new(bound),
                clock,
                stop: Arc::clone(&stop),
                metrics: Arc::clone(&metrics),
                silent_after: Some(config.silent_after),
            };
            let queue = Arc::clone(&queue);
            spawn("receive", move || receive.run(&queue))?
        }
        Source::Capture(path) => {
            let (path, queue, metrics) = (path.clone(), Arc::clone(&queue), Arc::clone(&metrics));
            spawn("receive", move || {
                read_capture(&path, &queue, &metrics).map_err(|error| error.to_string())
            })?
        }
    };
    let (sender, batches) = sync_channel(limits::WRITER_QUEUE_BATCHES);
    let decode = Decode {
        decoder: Decoder::default(),
        sink: FlowSink::default(),
        slot: None,
        slot_secs: config.slot_secs,
        exporters: ExporterTable::default(),
        kernel_dropped_before: 0,
        log: LogLimit::default(),
        metrics: Arc::clone(&metrics),
        sender,
        echo: echo.map(|out| Echo::new(out, Local)),
    };
    let decode = spawn("decode", move || decode.run(&queue))?;
    let write = Writing { store, metrics: Arc::clone(&metrics), flows: None, options: None, failure: None };
    let write = spawn("write", move || write.run(&batches))?;
    Ok(Running { listeners, stop, metrics, receive, decode, write })
}

fn bind(addresses: &[SocketAddr]) -> Result<Vec<Listener>, StartError> {
    let bind = |&addr: &SocketAddr| {
        Listener::bind(addr).map_err(|error| {
            let hint = match error.source.kind() {
                io::ErrorKind::AddrInUse => {
                    format!("another program listens on {}; choose other ports with `-p`", addr.port())
                }
                io::ErrorKind::PermissionDenied => "ports below 1024 need privileges".to_owned(),
                _ => "`-b ADDR` must be an address of this machine".to_owned(),
            };
            StartError::new(error, hint)
        })
    };
    addresses.iter().map(bind).collect()
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    Builder::new().name(name.to_owned()).spawn(run).map_err(|error| StartError::new(error, None))
}

/// The receive thread of the sockets.
struct Receive {
    receiver: Receiver,
    clock: Arc<dyn Clock>,
    stop: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    /// When to look for listeners where nothing came; `None` once done.
    silent_after: Option<Duration>,
}

impl Receive {
    fn run(mut self, queue: &Queue) -> Result<(), String> {
        let result = self.receive_until_stopped(queue);
        self.note_dropped();
        queue.close();
        result.map_err(|error| format!("cannot receive: {error}"))
    }

    fn receive_until_stopped(&mut self, queue: &Queue) -> io::Result<()> {
        let start = Instant::now();
        let mut looked_at_drops = start;
        loop {
            // Read before the sockets are emptied: what came before is then taken.
            let is_last = self.stop.load(Ordering::Relaxed);
            if !is_last {
                self.receiver.wait(TICK)?;
            }
            let n = self.take_burst(queue)?;
            if is_last && n == 0 {
                return Ok(());
            }
            if n > 0 && n < SHORT_BURST_DATAGRAMS && !is_last {
                std::thread::sleep(NAP);
            }
            if looked_at_drops.elapsed() >= Duration::from_secs(1) {
                looked_at_drops = Instant::now();
                self.note_dropped();
            }
            if self.silent_after.is_some_and(|after| start.elapsed() >= after) {
                let after = self.silent_after.take().unwrap_or_default();
                let seen: Vec<_> = self
                    .receiver
                    .listeners
                    .iter()
                    .map(|listener| (listener.addr().port(), listener.n_received))
                    .collect();
                if let Some(hint) = silent_hint(&seen, after.as_secs()) {
                    tracing::warn!("{hint}");
                }
            }
        }
    }

    fn take_burst(&mut self, queue: &Queue) -> io::Result<usize> {
        let block = self.receiver.receive(&*self.clock)?;
        let n = block.len();
        self.metrics.datagrams_received.add(n as u64);
        self.metrics.datagrams_in_flight.add(n as u64);
        queue.push(block);
        Ok(n)
    }

    fn note_dropped(&mut self) {
        let dropped = self.receiver.listeners.iter_mut().map(Listener::take_dropped).sum();
        self.metrics.datagrams_kernel_dropped.add(dropped);
    }
}

/// What to say of ports where nothing came, given `(port, datagrams)` of each.
fn silent_hint(listeners: &[(u16, u64)], after_secs: u64) -> Option<String> {
    let list = |is_silent: bool| {
        let mut ports: Vec<_> =
            listeners.iter().filter(|&&(_, n)| (n == 0) == is_silent).map(|&(port, _)| port).collect();
        ports.dedup();
        ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
    };
    let (silent, busy) = (list(true), list(false));
    if silent.is_empty() {
        return None;
    }
    let unbound: Vec<_> = limits::PORTS_DEFAULT
        .iter()
        .filter(|port| !listeners.iter().any(|(listener, _)| listener == *port))
        .map(u16::to_string)
        .collect();
    let mut hint = format!("no datagrams on {silent} in {after_secs} s");
    if !busy.is_empty() {
        hint += &format!(" (they do arrive on {busy})");
    }
    if unbound.is_empty() {
        hint += "; check the address and port the exporter sends to, and the firewall between";
    } else {
        hint += &format!(
            "; if the exporter sends to {}, add `-p {}`, or leave out `-p` to listen on all usual ports",
            unbound.join(", "),
            unbound.join(" -p ")
        );
    }
    Some(hint)
}

/// Sends the datagrams of a capture down the queue, in blocks.
fn read_capture(path: &std::path::Path, queue: &Queue, metrics: &Metrics) -> Result<(), CaptureError> {
    let mut block = Block::default();
    let push = |block: Block| {
        metrics.datagrams_received.add(block.len() as u64);
        metrics.datagrams_in_flight.add(block.len() as u64);
        queue.push(block);
    };
    let result = capture::for_datagrams(path, |datagram| {
        block.now = datagram.received_at;
        block.push(datagram);
        if block.len() >= limits::RECEIVE_BURST_DATAGRAMS {
            push(std::mem::take(&mut block));
        }
    });
    push(block);
    queue.close();
    let counts = result?;
    tracing::info!("{}: {} packets, {} UDP datagrams", path.display(), counts.n_packets, counts.n_datagrams);
    Ok(())
}

/// What the decoder hands to the writer.
enum ToWriter {
    Batch { slot: Slot, content: Content, batch: FlowBatch },
    Close(SlotFacts),
}

/// The decode thread.
struct Decode {
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
}

impl Decode {
    fn run(mut self, queue: &Queue) {
        while let Some(block) = queue.pop() {
            for datagram in block.iter() {
                self.datagram(&datagram);
            }
            if block.len() == 0 && block.now != Timestamp::default() {
                self.tick(block.now);
            }
        }
        self.close_slot();
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

    fn reject(&mut self, exporter: std::net::IpAddr, error: DecodeError, now: Timestamp) {
        self.metrics.reject(error.reason());
        self.warn(exporter, error, now);
    }

    fn warn(&mut self, exporter: std::net::IpAddr, error: DecodeError, now: Timestamp) {
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
        }
    }
}

/// The write thread.
struct Writing {
    store: Store,
    metrics: Arc<Metrics>,
    flows: Option<SlotFile>,
    options: Option<SlotFile>,
    failure: Option<String>,
}

impl Writing {
    fn run(mut self, batches: &ChannelReceiver<ToWriter>) -> Result<(), String> {
        for message in batches {
            match message {
                ToWriter::Batch { slot, content, batch } => self.batch(slot, content, batch),
                ToWriter::Close(facts) => {
                    self.close(Content::Flows, facts);
                    self.close(Content::Options, SlotFacts::default());
                }
            }
        }
        self.failure.map_or(Ok(()), Err)
    }

    fn file(&mut self, content: Content) -> &mut Option<SlotFile> {
        match content {
            Content::Flows => &mut self.flows,
            Content::Options => &mut self.options,
        }
    }

    fn batch(&mut self, slot: Slot, content: Content, batch: FlowBatch) {
        let rows = batch.rows() as u64;
        let file = match self.file(content).take() {
            Some(file) => Ok(file),
            None => self.store.create(slot, content),
        };
        match file {
            Ok(mut file) => match file.write(batch) {
                Ok(()) => *self.file(content) = Some(file),
                Err(error) => {
                    self.discard(content, rows + file.rows(), &error);
                    file.abandon();
                }
            },
            Err(error) => self.discard(content, rows, &error),
        }
    }

    fn close(&mut self, content: Content, facts: SlotFacts) {
        let Some(file) = self.file(content).take() else { return };
        let rows = file.rows();
        match self.store.publish(file, facts) {
            Ok(path) => {
                let (visible, in_flight) = match content {
                    Content::Flows => (&self.metrics.records_visible, &self.metrics.records_in_flight),
                    Content::Options => (&self.metrics.options_visible, &self.metrics.options_in_flight),
                };
                visible.add(rows);
                in_flight.subtract(rows);
                self.metrics.files_visible.add(1);
                tracing::info!("{}: {rows} records", path.display());
            }
            Err(error) => self.discard(content, rows, &error),
        }
    }

    fn discard(&mut self, content: Content, rows: u64, error: &WriteError) {
        let (discarded, in_flight) = match content {
            Content::Flows => (&self.metrics.records_discarded_write_failed, &self.metrics.records_in_flight),
            Content::Options => {
                (&self.metrics.options_discarded_write_failed, &self.metrics.options_in_flight)
            }
        };
        discarded.add(rows);
        in_flight.subtract(rows);
        self.metrics.file_errors.add(1);
        tracing::error!("{error}; {rows} records are lost");
        self.failure.get_or_insert_with(|| error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_ports_are_named_with_what_to_do() {
        let check = |listeners: &[(u16, u64)], expected: Option<&str>| {
            assert_eq!(silent_hint(listeners, 30).as_deref(), expected);
        };
        check(&[(9995, 1)], None);
        check(
            &[(9995, 0)],
            Some(
                "no datagrams on 9995 in 30 s; if the exporter sends to 2055, 4739, 9996, add \
                 `-p 2055 -p 4739 -p 9996`, or leave out `-p` to listen on all usual ports",
            ),
        );
        check(
            &[(2055, 7), (4739, 0), (9995, 0), (9996, 0)],
            Some(
                "no datagrams on 4739, 9995, 9996 in 30 s (they do arrive on 2055); check the address and port \
                 the exporter sends to, and the firewall between",
            ),
        );
    }
}
