//! The echo thread: records as text (`-E`) to whoever reads them. Collecting
//! never waits for a reader that stalls.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use chrono::Local;
use flow_common::limits;

use crate::echo::Echo;
use crate::flow::FlowBatch;
use crate::metrics::Metrics;

/// The decoder's side.
pub(super) struct EchoSender {
    echo: Echo<Local>,
    /// `None` once the reader has gone.
    sender: Option<SyncSender<Vec<u8>>>,
    /// A capture waits for the reader; a socket does not.
    waits: bool,
    metrics: Arc<Metrics>,
}

/// The thread's side.
pub(super) struct EchoThread {
    out: Box<dyn Write + Send>,
    texts: Receiver<Vec<u8>>,
}

/// Both sides of an echo to `out`.
pub(super) fn echo(
    out: Box<dyn Write + Send>,
    waits: bool,
    metrics: Arc<Metrics>,
) -> (EchoSender, EchoThread) {
    let (sender, texts) = sync_channel(limits::ECHO_QUEUE_DATAGRAMS);
    let sender = EchoSender { echo: Echo::new(Local), sender: Some(sender), waits, metrics };
    (sender, EchoThread { out, texts })
}

impl EchoSender {
    /// Prints the records `rows` of a batch.
    pub(super) fn print(&mut self, batch: &FlowBatch, rows: Range<usize>) {
        let Some(sender) = &self.sender else { return };
        if rows.is_empty() {
            return;
        }
        let n_rows = rows.len() as u64;
        let text = self.echo.text(batch, rows);
        let result = if self.waits {
            sender.send(text).map_err(|error| TrySendError::Disconnected(error.0))
        } else {
            sender.try_send(text)
        };
        match result {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.metrics.echo_left_out.add(n_rows),
            Err(TrySendError::Disconnected(_)) => self.sender = None,
        }
    }
}

impl EchoThread {
    pub(super) fn run(mut self) {
        for text in &self.texts {
            if self.out.write_all(&text).and_then(|()| self.out.flush()).is_err() {
                // Whoever read the records has gone; collecting goes on.
                return;
            }
        }
    }
}
