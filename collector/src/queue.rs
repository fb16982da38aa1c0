//! The queue between receiving and decoding: bounded by octets, because one
//! datagram may be 20 octets or 65,535.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::datagram::Block;

#[derive(Debug, Default)]
struct State {
    blocks: VecDeque<Block>,
    bytes: usize,
    is_closed: bool,
}

/// Blocks of datagrams, first in first out.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    bytes_max: usize,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), bytes_max }
    }

    /// Appends a block; waits while the queue is full. False once it is closed by
    /// the receiving side, which then takes nothing any more.
    pub(crate) fn push(&self, block: Block) -> bool {
        let is_full = |state: &mut State| state.bytes > self.bytes_max && !state.is_closed;
        let mut state = self.changed.wait_while(self.lock(), is_full).unwrap_or_else(PoisonError::into_inner);
        if state.is_closed {
            return false;
        }
        state.bytes += block.bytes();
        state.blocks.push_back(block);
        self.changed.notify_all();
        true
    }

    /// Takes the oldest block; waits for one. `None` when closed and empty.
    pub(crate) fn pop(&self) -> Option<Block> {
        let is_waiting = |state: &mut State| state.blocks.is_empty() && !state.is_closed;
        let mut state =
            self.changed.wait_while(self.lock(), is_waiting).unwrap_or_else(PoisonError::into_inner);
        let block = state.blocks.pop_front()?;
        state.bytes -= block.bytes();
        self.changed.notify_all();
        Some(block)
    }

    /// Ends the queue: what is in it can still be taken.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Closes the queue when the value returned goes out of scope.
    pub(crate) fn close_on_drop(&self) -> CloseOnDrop<'_> {
        CloseOnDrop(self)
    }

    /// A thread that panicked holding the lock left the state whole: no method
    /// panics between its two changes.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Queue::close_on_drop`].
#[derive(Debug)]
pub(crate) struct CloseOnDrop<'a>(&'a Queue);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use flow_common::time::Timestamp;

    use super::*;
    use crate::datagram::{Datagram, ListenerId, Transport};

    fn block(n: i64) -> Block {
        let mut block = Block::new(Timestamp(n));
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        block.push(Datagram {
            payload: &[0; 100],
            peer,
            listener: ListenerId(0),
            transport: Transport::Udp,
            received_at: Timestamp(n),
        });
        block
    }

    #[test]
    fn a_full_queue_holds_the_sender_and_loses_nothing() {
        let queue = Queue::new(150);
        let seen = std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..100 {
                    assert!(queue.push(block(n)));
                }
                queue.close();
            });
            std::iter::from_fn(|| queue.pop()).map(|block| block.now.0).collect::<Vec<_>>()
        });
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(!queue.push(block(0)), "closed");
    }
}
