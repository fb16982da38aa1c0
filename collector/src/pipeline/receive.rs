//! The receive thread: from the sockets, or a capture, into the queue. It takes
//! and hands on, nothing else.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flow_common::limits;
use flow_common::time::Clock;

use crate::capture::{Capture, CaptureError};
use crate::datagram::Block;
use crate::inherit::counted::Counted;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::repeat::Repeater;
use crate::service::Heartbeat;
use crate::socket::{Listener, Receiver};

/// Longest time the receiver sleeps without looking at the clock.
const TICK: Duration = Duration::from_millis(200);
/// Nap after a short burst: the next one then costs one system call, not one
/// per datagram (measured: halves the CPU at low rates).
const NAP: Duration = Duration::from_millis(2);
/// Where little comes and the smallest buffer has room for a fast exporter that begins just
/// then, it is longer.
const LONG_NAP: Duration = Duration::from_millis(10);
/// Little, datagrams a millisecond: half a million flows a second.
const LITTLE_DATAGRAMS_PER_MS: u128 = 20;
/// Such room, octets: of 1,400 a hundred come in a millisecond at 2.4 million flows a
/// second, and each takes some 1,200 of what the kernel grants.
const LONG_NAP_BUFFER_BYTES_MIN: usize = 2 << 20;
/// A burst below this is short: it left the socket empty, and at such a rate the smallest
/// buffer holds what comes during a nap.
const SHORT_BURST_DATAGRAMS: usize = limits::RECEIVE_BURST_DATAGRAMS;

/// The receive thread of the sockets.
pub(super) struct Receive {
    pub(super) receiver: Receiver,
    /// Where datagrams are sent on to other collectors.
    pub(super) repeater: Option<Repeater>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) counted: Arc<Counted>,
    /// When to look for listeners where nothing came; `None` once done.
    pub(super) silent_after: Option<Duration>,
}

impl Receive {
    pub(super) fn run(mut self, queue: &Queue) -> Result<(), String> {
        let result = self.receive_until_stopped(queue);
        self.note_dropped();
        // Connections end with the sockets.
        self.stop.store(true, Ordering::Relaxed);
        queue.finish();
        result.map_err(|error| format!("cannot receive: {error}"))
    }

    fn receive_until_stopped(&mut self, queue: &Queue) -> io::Result<()> {
        let start = Instant::now();
        let mut looked_at_drops = start;
        let mut stopped_at = None;
        let smallest = self.receiver.listeners.iter().map(Listener::granted_bytes).min();
        let long_nap = if smallest >= Some(LONG_NAP_BUFFER_BYTES_MIN) { LONG_NAP } else { NAP };
        // Since when, and how many came since.
        let mut napped = (start, 0);
        loop {
            self.heartbeat.beat();
            // Read before the sockets are emptied: what came before is then taken.
            let is_last = self.stop.load(Ordering::Relaxed);
            if is_last {
                let drain_until = Duration::from_millis(limits::DRAIN_MS_MAX);
                let draining = *stopped_at.get_or_insert_with(Instant::now);
                self.receiver.read_all_next();
                if self.take_burst(queue)? == 0 || draining.elapsed() >= drain_until {
                    return Ok(());
                }
                continue;
            }
            self.receiver.wait(TICK)?;
            let n = self.take_burst(queue)?;
            napped.1 += n as u128;
            if n > 0 && n < SHORT_BURST_DATAGRAMS {
                let (since, n_taken) = std::mem::replace(&mut napped, (Instant::now(), 0));
                let is_little = n_taken < LITTLE_DATAGRAMS_PER_MS * since.elapsed().as_millis().max(1);
                std::thread::sleep(if is_little { long_nap } else { NAP });
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
                match silent_hint(&seen, after.as_secs()) {
                    Some((true, hint)) => tracing::warn!("{hint}"),
                    Some((false, hint)) => tracing::info!("{hint}"),
                    None => {}
                }
            }
        }
    }

    fn take_burst(&mut self, queue: &Queue) -> io::Result<usize> {
        let block = self.receiver.receive(&*self.clock)?;
        let n = block.len();
        for (listener, metrics) in self.receiver.listeners.iter().zip(self.metrics.listeners()) {
            metrics.received.set(listener.n_received);
        }
        self.metrics.datagrams_received.add(n as u64);
        self.metrics.datagrams_in_flight.add(n as u64);
        if let Some(repeater) = &self.repeater {
            repeater.offer(&block);
        }
        queue.push(block);
        Ok(n)
    }

    fn note_dropped(&mut self) {
        for (listener, metrics) in self.receiver.listeners.iter_mut().zip(self.metrics.listeners()) {
            let dropped = listener.take_dropped();
            metrics.kernel_dropped.add(dropped);
            self.metrics.datagrams_kernel_dropped.add(dropped);
        }
        self.counted.note(&self.receiver.listeners);
    }
}

/// What to say of ports where nothing came, given `(port, datagrams)` of each,
/// and whether that looks like a mistake: with all usual ports open, one that is
/// used is enough.
fn silent_hint(listeners: &[(u16, u64)], after_secs: u64) -> Option<(bool, String)> {
    let mut by_port = BTreeMap::<u16, u64>::new();
    for &(port, n) in listeners {
        *by_port.entry(port).or_default() += n;
    }
    let list = |is_silent: bool| {
        let ports = by_port.iter().filter(|&(_, &n)| (n == 0) == is_silent).map(|(port, _)| port.to_string());
        ports.collect::<Vec<_>>().join(", ")
    };
    let (silent, busy) = (list(true), list(false));
    if silent.is_empty() {
        return None;
    }
    let is_unbound = |port: &&u16| !listeners.iter().any(|(listener, _)| listener == *port);
    let unbound: Vec<_> = limits::PORTS_DEFAULT.iter().filter(is_unbound).map(u16::to_string).collect();
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
    Some((busy.is_empty() || !unbound.is_empty(), hint))
}

/// Sends the datagrams or messages of a capture down the queue, in blocks, until it ends or
/// `stop` is set.
pub(super) fn read_capture(
    capture: Capture,
    queue: &Queue,
    metrics: &Metrics,
    stop: &AtomicBool,
) -> Result<(), CaptureError> {
    let mut block = Block::default();
    let push = |block: Block| {
        metrics.datagrams_received.add(block.len() as u64);
        metrics.datagrams_in_flight.add(block.len() as u64);
        queue.push(block);
    };
    let mut session = None;
    let result = capture.for_datagrams(|datagram| {
        session = datagram.transport.is_stream().then_some(datagram.session());
        block.now = datagram.received_at;
        block.push(datagram);
        if block.len() >= limits::RECEIVE_BURST_DATAGRAMS {
            push(std::mem::take(&mut block));
        }
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    block.ended = session;
    push(block);
    queue.close();
    let counts = result?;
    if session.is_some() {
        tracing::info!("{} messages", counts.n_messages);
        return Ok(());
    }
    tracing::info!("{} packets, {} of them UDP datagrams", counts.n_packets, counts.n_datagrams);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_ports_are_named_with_what_to_do() {
        let check = |listeners: &[(u16, u64)], expected: Option<(bool, &str)>| {
            assert_eq!(
                silent_hint(listeners, 30),
                expected.map(|(is_mistake, hint)| (is_mistake, hint.to_owned()))
            );
        };
        check(&[(9995, 1)], None);
        check(
            &[(9995, 0)],
            Some((
                true,
                "no datagrams on 9995 in 30 s; if the exporter sends to 2055, 4739, 9996, add \
                 `-p 2055 -p 4739 -p 9996`, or leave out `-p` to listen on all usual ports",
            )),
        );
        check(
            &[(2055, 7), (4739, 0), (9995, 0), (9996, 0)],
            Some((
                false,
                "no datagrams on 4739, 9995, 9996 in 30 s (they do arrive on 2055); check the address and port \
                 the exporter sends to, and the firewall between",
            )),
        );
    }
}
