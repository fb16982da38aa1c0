//! The queue between receiving and decoding. It is the journal: memory holds the
//! newest of it, bounded by octets, because one datagram may be 20 octets or 65,535;
//! what memory has no room for is read from the journal again. Without a journal the
//! sender waits.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow_common::limits;
use tokio::sync::Notify;

use crate::datagram::Block;
use crate::journal::{Appended, Journal};

/// Pause of a sender while the journal is full: the kernel's buffer fills meanwhile.
const FULL_PAUSE: Duration = Duration::from_millis(1);
/// Pause of the decoder when it has taken all there is: at 200,000 flows a second some
/// four bursts come meanwhile, at four million 2 MiB, a fraction of what memory may hold.
const EMPTY_PAUSE: Duration = Duration::from_millis(8);
/// Where so little was taken since the last pause, fewer wake-ups cost no memory worth the
/// name.
const LONG_EMPTY_PAUSE: Duration = Duration::from_millis(20);
const LITTLE_BYTES: usize = 256 << 10;

/// A block in memory, and where it lies in the journal: `start` is `end` without one.
#[derive(Debug)]
struct Held {
    start: u64,
    end: u64,
    block: Block,
}

#[derive(Debug, Default)]
struct State {
    blocks: VecDeque<Held>,
    bytes: usize,
    /// Octets taken since it was last empty.
    taken_bytes: usize,
    /// Position after the last block appended.
    tail: u64,
    /// Threads that still fill it.
    n_senders: usize,
    /// Threads that wait for a change: nobody is woken where nobody waits.
    n_waiting: usize,
    is_closed: bool,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// A block, and the position after it.
    Block(Block, u64),
    /// Blocks up to this position lie in the journal alone.
    Stored(u64),
}

/// Blocks of datagrams, first in first out.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Something was taken, or the queue closed: for those who wait as tasks.
    taken: Notify,
    bytes_max: usize,
    journal: Option<Arc<Journal>>,
    /// Held from the journal to the queue, so that both have one order.
    order: Mutex<()>,
}

impl Queue {
    /// A queue that `n_senders` threads fill.
    pub(crate) fn new(bytes_max: usize, n_senders: usize, journal: Option<Arc<Journal>>) -> Self {
        let tail = journal.as_ref().map_or(0, |journal| journal.live_from());
        let state = Mutex::new(State { n_senders, tail, ..State::default() });
        let (changed, taken, order) = (Condvar::new(), Notify::new(), Mutex::new(()));
        Self { state, changed, taken, bytes_max, journal, order }
    }

    /// Appends a block; waits while the journal, or without one the queue, is full.
    /// False once it is closed by the receiving side, which then takes nothing any more.
    pub(crate) fn push(&self, block: Block) -> bool {
        let Some(journal) = &self.journal else { return self.hold(block, None, true) };
        let mut block = block;
        loop {
            {
                let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
                // What only says the time is not worth a place in the journal.
                if block.len() == 0 && block.ended.is_none() {
                    return self.hold(block, None, false);
                }
                if let Some(appended) = journal.append(&mut block) {
                    return self.hold(block, Some(appended), !appended.is_stored);
                }
            }
            if self.lock().is_closed {
                return false;
            }
            std::thread::sleep(FULL_PAUSE);
        }
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
                let state = self.lock();
                if state.is_closed || state.bytes <= bytes_max {
                    drop(state);
                    return self.push_now(block);
                }
            }
            taken.await;
        }
    }

    /// Appends a block, whether memory is full or not: for the end of a session.
    pub(crate) fn push_now(&self, block: Block) -> bool {
        if self.journal.is_some() { self.push(block) } else { self.hold(block, None, false) }
    }

    /// Keeps a block in memory; waits for room if it must be kept, and drops it if the
    /// journal has it and memory is full.
    fn hold(&self, block: Block, appended: Option<Appended>, waits: bool) -> bool {
        let is_full = |state: &mut State| waits && state.bytes > self.bytes_max && !state.is_closed;
        let mut state = self.wait_while(self.lock(), is_full);
        if state.is_closed {
            return false;
        }
        let (start, end) = appended.map_or((state.tail, state.tail), |at| (at.start, at.end));
        state.tail = end;
        let is_droppable = appended.is_some_and(|appended| appended.is_stored);
        if !is_droppable || state.bytes <= self.bytes_max {
            state.bytes += block.bytes();
            state.blocks.push_back(Held { start, end, block });
        }
        self.notify(state);
        true
    }

    /// What comes behind position `at`; waits for it. `None` when closed and empty.
    pub(crate) fn pop(&self, at: u64) -> Option<Next> {
        let is_waiting = |state: &mut State| state.blocks.is_empty() && state.tail <= at && !state.is_closed;
        let mut state = self.lock();
        if is_waiting(&mut state) {
            // Several bursts then cost one wake-up, not one each.
            let is_little = (1..LITTLE_BYTES).contains(&std::mem::take(&mut state.taken_bytes));
            drop(state);
            std::thread::sleep(if is_little { LONG_EMPTY_PAUSE } else { EMPTY_PAUSE });
            state = self.wait_while(self.lock(), is_waiting);
        }
        let first = state.blocks.front().map_or(state.tail, |held| held.start);
        if first > at {
            return Some(Next::Stored(first));
        }
        let Held { end, block, .. } = state.blocks.pop_front()?;
        state.bytes -= block.bytes();
        state.taken_bytes += block.bytes();
        self.notify(state);
        self.taken.notify_waiters();
        Some(Next::Block(block, end))
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

    /// Whether nothing more comes.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Closes the queue when the value returned goes out of scope.
    pub(crate) fn close_on_drop(&self) -> CloseOnDrop<'_> {
        CloseOnDrop(self)
    }

    fn wait_while<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        is_waiting: impl Fn(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        state.n_waiting += 1;
        state =
            self.changed.wait_while(state, |state| is_waiting(state)).unwrap_or_else(PoisonError::into_inner);
        state.n_waiting -= 1;
        state
    }

    /// Wakes who waits, if anyone does, with the lock given back: they need it at once.
    fn notify(&self, state: MutexGuard<'_, State>) {
        let is_awaited = state.n_waiting > 0;
        drop(state);
        if is_awaited {
            self.changed.notify_all();
        }
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

    fn now(next: Next) -> i64 {
        match next {
            Next::Block(block, _) => block.now.0,
            Next::Stored(position) => panic!("no journal has position {position}"),
        }
    }

    #[test]
    fn a_full_queue_holds_the_sender_and_loses_nothing() {
        let queue = Queue::new(150, 1, None);
        let seen = std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..100 {
                    assert!(queue.push(block(n)));
                }
                queue.finish();
            });
            std::iter::from_fn(|| queue.pop(0)).map(now).collect::<Vec<_>>()
        });
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(!queue.push(block(0)), "closed");
    }

    #[test]
    fn tasks_wait_for_room_and_the_last_sender_closes() {
        const N_BLOCKS: i64 = 100;
        let queue = Queue::new(150, 2, None);
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
            std::iter::from_fn(|| queue.pop(0)).count()
        });
        assert_eq!(n_taken as i64, 2 * N_BLOCKS);
        assert!(!queue.push_now(block(0)), "closed");
    }
}
