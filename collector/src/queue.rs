//! The queue between receiving and decoding: bounded by octets, because one
//! datagram may be 20 octets or 65,535.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use flow_common::limits;
use tokio::sync::Notify;

use crate::datagram::Block;

#[derive(Debug, Default)]
struct State {
    blocks: VecDeque<Block>,
    bytes: usize,
    /// Threads that still fill it.
    n_senders: usize,
    is_closed: bool,
}

/// Blocks of datagrams, first in first out.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Something was taken, or the queue closed: for those who wait as tasks.
    taken: Notify,
    bytes_max: usize,
}

impl Queue {
    /// A queue that `n_senders` threads fill.
    pub(crate) fn new(bytes_max: usize, n_senders: usize) -> Self {
        let state = Mutex::new(State { n_senders, ..State::default() });
        Self { state, changed: Condvar::new(), taken: Notify::new(), bytes_max }
    }

    /// Appends a block; waits while the queue is full. False once it is closed by
    /// the receiving side, which then takes nothing any more.
    pub(crate) fn push(&self, block: Block) -> bool {
        let is_full = |state: &mut State| state.bytes > self.bytes_max && !state.is_closed;
        let mut state = self.changed.wait_while(self.lock(), is_full).unwrap_or_else(PoisonError::into_inner);
        self.append(&mut state, block)
    }

    /// Appends a block of a connection; waits, as a task, while more of the queue is
    /// taken than connections may fill. False as for [`Self::push`].
    pub(crate) async fn send(&self, block: Block) -> bool {
        let bytes_max = limits::QUEUE_STREAM_BYTES_MAX.min(self.bytes_max);
        loop {
            // Before the look at the state: what is taken after it is noticed.
            let mut taken = pin!(self.taken.notified());
            taken.as_mut().enable();
            {
                let mut state = self.lock();
                if state.is_closed || state.bytes <= bytes_max {
                    return self.append(&mut state, block);
                }
            }
            taken.await;
        }
    }

    /// Appends a block at once, full or not: for the end of a session.
    pub(crate) fn push_now(&self, block: Block) -> bool {
        self.append(&mut self.lock(), block)
    }

    fn append(&self, state: &mut State, block: Block) -> bool {
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
        self.taken.notify_waiters();
        Some(block)
    }

    /// One of the senders is done; the last one closes the queue.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        state.n_senders = state.n_senders.saturating_sub(1);
        if state.n_senders == 0 {
            drop(state);
            self.close();
        }
    }

    /// Ends the queue: what is in it can still be taken.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
        self.taken.notify_waiters();
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
        let queue = Queue::new(150, 1);
        let seen = std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..100 {
                    assert!(queue.push(block(n)));
                }
                queue.finish();
            });
            std::iter::from_fn(|| queue.pop()).map(|block| block.now.0).collect::<Vec<_>>()
        });
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(!queue.push(block(0)), "closed");
    }

    #[test]
    fn tasks_wait_for_room_and_the_last_sender_closes() {
        const N_BLOCKS: i64 = 100;
        let queue = Queue::new(150, 2);
        let n_taken = std::thread::scope(|scope| {
            for first in [0, N_BLOCKS] {
                let queue = &queue;
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(async {
                        for n in first..first + N_BLOCKS {
                            assert!(queue.send(block(n)).await);
                        }
                    });
                    queue.finish();
                });
            }
            std::iter::from_fn(|| queue.pop()).count()
        });
        assert_eq!(n_taken as i64, 2 * N_BLOCKS);
        assert!(!queue.push_now(block(0)), "closed");
    }
}
