//! One connection: octets in, messages into the queue, until it ends.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use flow_common::limits;
use flow_common::time::Clock;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{End, StreamBounds};
use crate::datagram::{Block, Datagram, TransportSession};
use crate::framing::{Framer, FramingError};
use crate::metrics::Metrics;
use crate::queue::Queue;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) queue: Arc<Queue>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) bounds: StreamBounds,
    /// Room for one read: nothing is left in it between two.
    scratch: RefCell<Box<[u8]>>,
}

impl Shared {
    pub(crate) fn new(
        queue: Arc<Queue>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        bounds: StreamBounds,
    ) -> Self {
        let scratch = RefCell::new(vec![0; limits::FILE_READ_BYTES].into_boxed_slice());
        Self { queue, clock, metrics, bounds, scratch }
    }
}

/// What one read brought.
struct Taken {
    n_bytes: usize,
    block: Block,
    framing: Result<(), FramingError>,
}

/// One connection being read.
struct Connection<'a, S> {
    stream: S,
    session: TransportSession,
    framer: Framer,
    shared: &'a Shared,
}

/// Reads messages until the connection ends; its session then ends too. `stopping`
/// says when the program does.
pub(crate) async fn read_messages<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    session: TransportSession,
    shared: &Shared,
    stopping: watch::Receiver<bool>,
) -> (End, Option<io::Error>) {
    let mut connection = Connection { stream, session, framer: Framer::default(), shared };
    let result = connection.run(stopping).await;
    shared.metrics.stream_bytes_discarded.add(connection.framer.partial_bytes() as u64);
    let mut ended = Block::new(shared.clock.now());
    ended.ended = Some(session);
    shared.queue.push_now(ended);
    result
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn run(&mut self, mut stopping: watch::Receiver<bool>) -> (End, Option<io::Error>) {
        let bounds = self.shared.bounds;
        let mut deadline = Instant::now() + bounds.idle;
        // Once we have closed, why; the peer may still send (RFC 7011 §10.4.4).
        let mut closing: Option<End> = None;
        loop {
            let (offset, was_between) = (self.framer.offset(), self.framer.partial_bytes() == 0);
            let taken = tokio::select! {
                // Last, or a peer that never pauses would go on for ever.
                biased;
                _ = stopping.wait_for(|is_stopping| *is_stopping), if closing.is_none() => {
                    deadline = self.close().await;
                    closing = Some(End::Stopped);
                    continue;
                }
                () = sleep_until(deadline) => match closing {
                    Some(end) => return (end, None),
                    None if !was_between => return (End::SlowMessage, None),
                    None => {
                        deadline = self.close().await;
                        closing = Some(End::Idle);
                        continue;
                    }
                },
                taken = poll_fn(|cx| self.poll_take(cx)) => taken,
            };
            let taken = match taken {
                Ok(taken) if taken.n_bytes > 0 => taken,
                Ok(_) if !was_between => return (End::Torn, None),
                Ok(_) => return (closing.unwrap_or(End::Closed), None),
                Err(error) => return (self.end_of(&error, was_between, closing), Some(error)),
            };
            if !self.hand_on(taken.block).await {
                return (End::Stopped, None);
            }
            match taken.framing {
                Ok(()) => {}
                Err(error @ FramingError::Version { .. }) => {
                    return (End::Version, Some(io::Error::other(error)));
                }
                Err(error @ FramingError::Length { .. }) => {
                    return (End::Length, Some(io::Error::other(error)));
                }
            }
            if closing.is_some() {
                continue;
            }
            // A message has its time from its first octet on, however they trickle in.
            if self.framer.partial_bytes() == 0 {
                deadline = Instant::now() + bounds.idle;
            } else if was_between || self.framer.offset() != offset {
                deadline = Instant::now() + bounds.message;
            }
        }
    }

    /// Reads once, as far as there is something, and takes the messages.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Taken>> {
        let mut scratch = self.shared.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let received_at = self.shared.clock.now();
        let TransportSession { peer, listener, transport } = self.session;
        let mut block = Block::new(received_at);
        let framing = self.framer.read(buffer.filled(), |payload| {
            block.push(Datagram { payload, peer, listener, transport, received_at });
        });
        Poll::Ready(Ok(Taken { n_bytes: buffer.filled().len(), block, framing }))
    }

    /// Hands messages on; false if there is nobody any more to take them. While this
    /// waits the connection is not read, so the peer has to wait too.
    async fn hand_on(&self, block: Block) -> bool {
        let n = block.len() as u64;
        if n == 0 {
            return true;
        }
        self.shared.metrics.datagrams_received.add(n);
        self.shared.metrics.datagrams_in_flight.add(n);
        self.shared.queue.send(block).await
    }

    /// Closes our end; returns until when the peer may close its.
    async fn close(&mut self) -> Instant {
        let deadline = Instant::now() + self.shared.bounds.closing;
        // A peer that does not read can't be told.
        let _ = timeout(self.shared.bounds.closing, self.stream.shutdown()).await;
        deadline
    }

    fn end_of(&self, error: &io::Error, was_between: bool, closing: Option<End>) -> End {
        match error.kind() {
            // TCP was closed and TLS was not.
            io::ErrorKind::UnexpectedEof if was_between => closing.unwrap_or(End::Unclosed),
            io::ErrorKind::UnexpectedEof => End::Torn,
            io::ErrorKind::InvalidData => End::Tls,
            // We have closed; how the peer takes it is its own affair.
            _ if was_between && closing.is_some() => closing.unwrap_or(End::Reset),
            _ => End::Reset,
        }
    }
}
