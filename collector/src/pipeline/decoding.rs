//! The decode thread: from the queue into batches, slot by slot, every datagram
//! counted.
//!
//! A *cut* hands all records gathered to the writer, and with them the state as of
//! the same block: that is a checkpoint, behind which a restart decodes again.

mod counting;
mod settings;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use flow_common::footer::{Contribution, ExporterTable};
use flow_common::layout::Slot;
use flow_common::limits;
use flow_common::time::Timestamp;
use ipnet::IpNet;

use self::counting::note;
use super::echoing::EchoSender;
use super::writing::{Cut, Gathered, ToWriter};
use crate::config::Config;
use crate::control::Watch;
use crate::datagram::{Block, Datagram, Transport, TransportSession};
use crate::decode::{DecodeError, Decoder, FlowSink, Outcome, Reason, Report};
use crate::facts::{Facts, Tables};
use crate::flow::Spares;
use crate::journal::Journal;
use crate::live::{Live, Window};
use crate::log::LogLimit;
use crate::losses::Losses;
use crate::metrics::Metrics;
use crate::queue::{Next, Queue};
use crate::state::{Checkpoint, Listeners, Snapshot};
use crate::trees::{Routes, TreeId};
use crate::writer::SlotFacts;

/// Where records go: a tree, and a slot of it.
type Place = (TreeId, Slot);

/// Records gathered for one place.
#[derive(Default)]
struct Pending {
    sink: FlowSink,
    exporters: ExporterTable,
}

impl Pending {
    /// Nothing, in the memory of what was written.
    fn new(spares: &Spares) -> Self {
        let sink = FlowSink { flows: spares.take(), ..FlowSink::default() };
        Self { sink, exporters: ExporterTable::default() }
    }
}

/// The decode thread.
pub(super) struct Decode {
    decoder: Decoder,
    /// Whose datagrams are looked at; empty: everyone's.
    allow: Vec<IpNet>,
    routes: Routes,
    /// Trees the writer knows.
    n_trees_told: usize,
    /// The place records were last decoded for, and what is gathered for it.
    place: Option<Place>,
    current: Pending,
    /// What is gathered for other places: records that waited belong to the slot they
    /// were received in.
    others: BTreeMap<Place, Pending>,
    /// Records in those.
    other_rows: u64,
    spares: Arc<Spares>,
    slot: Option<Slot>,
    slot_secs: u32,
    kernel_dropped_before: u64,
    losses: Losses,
    log: LogLimit<Reason>,
    metrics: Arc<Metrics>,
    sender: SyncSender<ToWriter>,
    echo: Option<EchoSender>,
    /// Second of the last look at the clock.
    ticked_at_secs: i64,
    cut_at_secs: i64,
    /// Time for a cut, once the block is done.
    is_cut_due: bool,
    /// Something was handed on or learned since the last cut.
    is_changed: bool,
    /// All has been decoded.
    is_finished: bool,
    /// Listeners by which the state is saved; a capture has none and saves none.
    listeners: Listeners,
    saves_state: bool,
    /// What exporters say about themselves.
    facts: Facts,
    journal: Option<Arc<Journal>>,
    /// Position before which all is decoded, that of the block at hand, and that of the
    /// last cut.
    position: u64,
    block_end: u64,
    cut_position: u64,
    /// How far behind that the next is due.
    cut_bytes: u64,
    /// What is asked from outside.
    control: Option<Watch>,
    /// Set when the program is to end, and when that was seen.
    stop: Arc<AtomicBool>,
    stopped_at: Option<Instant>,
    /// How long it goes on then.
    ending_max: Duration,
    /// What exporters do, for whoever looks.
    live: Live,
}

impl Decode {
    pub(super) fn new(
        config: &Config,
        routes: Routes,
        metrics: Arc<Metrics>,
        sender: SyncSender<ToWriter>,
        echo: Option<EchoSender>,
    ) -> Self {
        let mut decode = Self {
            decoder: Decoder::new(config.sampling),
            allow: Vec::new(),
            routes,
            n_trees_told: 0,
            place: None,
            current: Pending::default(),
            others: BTreeMap::new(),
            other_rows: 0,
            spares: Arc::default(),
            slot: None,
            slot_secs: config.slot_secs,
            kernel_dropped_before: 0,
            losses: Losses::default(),
            log: LogLimit::default(),
            metrics,
            sender,
            echo,
            ticked_at_secs: i64::MIN,
            cut_at_secs: i64::MIN,
            is_cut_due: false,
            is_changed: false,
            is_finished: false,
            listeners: Listeners::default(),
            saves_state: false,
            facts: Facts::default(),
            journal: None,
            position: 0,
            block_end: 0,
            cut_position: 0,
            cut_bytes: limits::JOURNAL_CUT_BYTES,
            control: None,
            stop: Arc::default(),
            stopped_at: None,
            ending_max: Duration::MAX,
            live: Live::new(Arc::default()),
        };
        decode.apply(config);
        decode
    }

    /// Shows there what exporters do, when asked.
    pub(super) fn with_window(mut self, window: Arc<Window>) -> Self {
        self.live = Live::new(window);
        self
    }

    /// Remembers what `state` holds, and saves it again at each cut.
    pub(super) fn with_state(mut self, listeners: Listeners, state: Option<&Snapshot>) -> Self {
        self.listeners = listeners;
        self.saves_state = true;
        if let Some(snapshot) = state {
            let n_waiting = self.decoder.restore(snapshot, &self.listeners);
            let n_dropped = (snapshot.waiting.len() as u64).saturating_sub(n_waiting);
            if n_dropped > 0 {
                tracing::warn!(
                    "{n_dropped} datagrams that wait for a template are dropped: nothing listens any more where \
                     they came in, or less of them may wait"
                );
            }
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

    /// Decodes again what `journal` has behind `position`, before anything else.
    pub(super) fn with_journal(mut self, journal: Arc<Journal>, position: u64) -> Self {
        self.cut_bytes = journal.cut_bytes();
        self.journal = Some(journal);
        (self.position, self.cut_position) = (position, position);
        self
    }

    /// Ends so long after this is set: what the journal has may wait for the next start.
    pub(super) fn with_stop(self, stop: Arc<AtomicBool>, ending_max: Duration) -> Self {
        Self { stop, ending_max, ..self }
    }

    pub(super) fn run(mut self, queue: &Queue) {
        // Also when this thread panics: the receiver must not wait for it for ever.
        let _closing = queue.close_on_drop();
        loop {
            let Some(next) = queue.pop(self.position) else {
                self.give_up_unread();
                break;
            };
            if self.leaves_the_rest(queue) {
                // No warning: nothing is lost.
                tracing::info!("what is not decoded yet is in the journal, for the next start");
                break;
            }
            match next {
                Next::Block(block, end) => self.block(&block, end),
                Next::Stored(to) => self.read_on(to, Some(queue)),
            }
        }
        self.finish();
    }

    /// All has been taken: what is in flight still was to be read from the journal, and the
    /// next start will not read it either.
    fn give_up_unread(&self) {
        let n_unread = self.metrics.datagrams_in_flight.get();
        if n_unread > 0 {
            let error = DecodeError::Unreadable;
            tracing::error!("{n_unread} datagrams are lost: {error}");
            self.metrics.datagrams_in_flight.subtract(n_unread);
            self.metrics.rejected[error.reason() as usize].add(n_unread);
        }
    }

    /// Whether the program has been about to end for so long that what is left is for the
    /// next start, which has all of it in the journal.
    fn leaves_the_rest(&mut self, queue: &Queue) -> bool {
        if !self.stop.load(Ordering::Relaxed) || self.journal.is_none() {
            return false;
        }
        let since = self.stopped_at.get_or_insert_with(Instant::now).elapsed();
        // The receiver may wait for room in the journal, and what could not be written there
        // is in memory alone.
        since >= self.ending_max && queue.is_closed() && self.metrics.datagrams_unjournaled.get() == 0
    }

    /// What an earlier run accepted and did not bring into files.
    pub(super) fn replay(&mut self) {
        let Some(live_from) = self.journal.as_ref().map(|journal| journal.live_from()) else { return };
        self.read_on(live_from, None);
        let n = self.metrics.datagrams_replayed.get();
        if n > 0 {
            tracing::info!("decoded {n} datagrams again that an earlier run had accepted");
        }
        // Their connections ended with that run.
        let given_up = self.decoder.end_streams();
        self.reject_all(&given_up);
        self.is_changed |= n > 0 || !given_up.is_empty();
        self.cut();
    }

    /// Decodes the blocks of the journal up to `to`: those that memory had no room for,
    /// or, where there is no queue, those of an earlier run.
    fn read_on(&mut self, to: u64, queue: Option<&Queue>) {
        let Some(journal) = self.journal.clone() else { return };
        while let Some((block, end)) = journal.read(self.position, to) {
            if queue.is_some_and(|queue| self.leaves_the_rest(queue)) {
                return;
            }
            if queue.is_none() {
                self.metrics.datagrams_replayed.add(block.len() as u64);
                self.metrics.datagrams_in_flight.add(block.len() as u64);
            }
            self.block(&block, end);
        }
        (self.position, self.block_end) = (to, to);
    }

    /// Decodes one block, which ends at this position.
    pub(super) fn block(&mut self, block: &Block, end: u64) {
        self.obey();
        self.block_end = end;
        for datagram in block.iter() {
            self.datagram(&datagram);
        }
        self.is_changed |= block.len() > 0 || block.ended.is_some();
        if let Some(session) = block.ended {
            self.end_session(session);
        }
        if block.now != Timestamp::default() && !self.is_out_of_order(block.now) {
            self.tick(block.now);
        }
        self.live.show_if_wanted(block.now, &self.decoder);
        self.position = end;
        self.metrics.journal_decoded.set(end);
        let is_long = end.saturating_sub(self.cut_position) >= self.cut_bytes;
        if self.is_cut_due || is_long {
            self.cut();
        }
    }

    /// All has been decoded: closes the slot.
    pub(super) fn finish(&mut self) {
        let n_waiting = self.decoder.n_waiting();
        if n_waiting > 0 && self.saves_state {
            tracing::info!("{n_waiting} datagrams wait for a template and are kept for the next start");
        } else if n_waiting > 0 {
            tracing::warn!(
                "{n_waiting} datagrams wait for a template that did not come; their data is not stored"
            );
        }
        self.slot = None;
        (self.is_changed, self.is_finished) = (true, true);
        self.cut();
    }

    fn datagram(&mut self, datagram: &Datagram<'_>) {
        let exporter = datagram.peer.ip().to_canonical();
        // A file does not say who exported it.
        if datagram.transport != Transport::File && !self.is_allowed(exporter) {
            self.metrics.datagrams_in_flight.subtract(1);
            self.live.refuse(datagram);
            self.reject(exporter, DecodeError::NotAllowed, datagram.received_at);
            return;
        }
        let is_new = self.routes.is_new(exporter);
        let tree = if is_new { Some(TreeId::NONE) } else { self.routes.tree_of(exporter) };
        let Some(tree) = tree else {
            self.metrics.datagrams_in_flight.subtract(1);
            self.reject(exporter, DecodeError::NoTree, datagram.received_at);
            return;
        };
        let slot = if self.is_out_of_order(datagram.received_at) {
            Slot::around(datagram.received_at, self.slot_secs)
        } else {
            self.tick(datagram.received_at);
            self.is_changed = true;
            *self.slot.get_or_insert_with(|| Slot::around(datagram.received_at, self.slot_secs))
        };
        self.enter((tree, slot));
        self.decode(datagram);
        if is_new {
            self.settle(exporter, slot);
        }
        self.hand_on_if_full();
        self.decode_ready();
    }

    /// Decodes into the current place, and counts.
    fn decode(&mut self, datagram: &Datagram<'_>) {
        let before = self.current.sink.rows();
        let decode = AssertUnwindSafe(|| self.decoder.decode(datagram, &mut self.current.sink));
        let report = match catch_unwind(decode) {
            Ok(report) => report,
            Err(_) => self.quarantine(datagram, before),
        };
        self.count(datagram, &report, before);
        let sink = &self.current.sink;
        let noted = note(&mut self.facts, sink, before, datagram.peer.ip(), datagram.received_at);
        self.metrics.count_noted(noted);
        if let Some(echo) = &mut self.echo {
            echo.print(&self.current.sink.flows, before.0..self.current.sink.flows.rows());
        }
    }

    /// The decoder panicked: its records are taken back, what it knew of the sender is
    /// forgotten as it may be half changed, and the datagram is kept for us to look at.
    fn quarantine(&mut self, datagram: &Datagram<'_>, before: (usize, usize)) -> Report {
        self.current.sink.flows.truncate(before.0);
        self.current.sink.options.truncate(before.1);
        self.decoder.forget(datagram.session());
        let exporter = datagram.peer.ip().to_canonical();
        let name = format!("{}-{exporter}-{}", datagram.received_at.0, datagram.peer.port());
        let bytes = datagram.payload.to_vec();
        self.send(ToWriter::Quarantine { name: name.replace(':', "_"), bytes });
        Report { outcome: Outcome::Rejected(DecodeError::Panicked), ..Report::default() }
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

    /// Records decoded from now on are for this place.
    fn enter(&mut self, place: Place) {
        if self.place == Some(place) {
            return;
        }
        self.leave();
        self.current = self.others.remove(&place).unwrap_or_else(|| Pending::new(&self.spares));
        let rows = self.current.sink.rows();
        self.other_rows -= (rows.0 + rows.1) as u64;
        self.place = Some(place);
    }

    /// Gives a new exporter a tree, if what is gathered has rows of it: forged addresses
    /// that say nothing take no places.
    fn settle(&mut self, exporter: IpAddr, slot: Slot) {
        let current = std::mem::take(&mut self.current);
        self.place = None;
        if current.sink.rows() == (0, 0) {
            return;
        }
        let Some(tree) = self.routes.tree_of(exporter) else { return };
        if self.others.contains_key(&(tree, slot)) {
            // Its directory is the tree of others, too.
            self.hand_on((tree, slot), current);
        } else {
            (self.place, self.current) = (Some((tree, slot)), current);
        }
    }

    /// Puts what is gathered for the current place beside the rest.
    fn leave(&mut self) {
        let Some(place) = self.place.take() else { return };
        let current = std::mem::take(&mut self.current);
        let rows = current.sink.rows();
        self.other_rows += (rows.0 + rows.1) as u64;
        self.others.insert(place, current);
    }

    fn hand_on_if_full(&mut self) {
        if let Some(place) = self.place.filter(|_| self.current.sink.is_full()) {
            let current = std::mem::replace(&mut self.current, Pending::new(&self.spares));
            self.hand_on(place, current);
        }
        // Many places with few records each, or late ones that come and come.
        if self.other_rows >= limits::ROW_GROUP_ROWS as u64 {
            self.hand_on_all();
        }
    }

    /// Nothing of a connection or file outlives it.
    fn end_session(&mut self, session: TransportSession) {
        let exporter = session.peer.ip().to_canonical();
        let given_up = self.decoder.end_session(session.transport);
        if let (Some(error), n) = (given_up.first(), given_up.len()) {
            tracing::warn!("{exporter}: the session ended: {error}; data of {n} messages is not stored");
        }
        self.reject_all(&given_up);
        self.losses.end(session);
    }

    fn reject_all(&self, errors: &[DecodeError]) {
        for error in errors {
            self.metrics.reject(error.reason());
        }
        self.count_waiting();
    }

    /// Decodes what waited for a template that has come. A file holds what was
    /// received in its slot, so what came in an earlier one goes to a file of its own.
    fn decode_ready(&mut self) {
        while let Some((received_at, exporter)) = self.decoder.next_ready() {
            let Some(tree) = self.routes.tree_of(exporter) else { break };
            self.enter((tree, Slot::around(received_at, self.slot_secs)));
            let sink = &mut self.current.sink;
            let before = sink.rows();
            let Some(report) = self.decoder.decode_ready(sink) else { break };
            self.metrics.lists_kept.add(std::mem::take(&mut sink.lists_kept));
            let (flows, options) =
                ((sink.flows.rows() - before.0) as u64, (sink.options.rows() - before.1) as u64);
            let context = report.context;
            let noted = note(&mut self.facts, sink, before, context.peer.ip(), context.received_at);
            self.metrics.count_noted(noted);
            let events = report.events;
            let waiting = -i64::from(matches!(report.ended, Some(Outcome::Decoded | Outcome::Rejected(_))));
            let contribution =
                Contribution { flows: flows - events, events, waiting, ..Contribution::default() };
            if contribution != Contribution::default() {
                let (at, version, domain) = (context.received_at, context.version, context.domain);
                self.current.exporters.add(context.peer.ip(), version, domain, at, contribution);
            }
            if let Some(echo) = &mut self.echo {
                echo.print(&self.current.sink.flows, before.0..self.current.sink.flows.rows());
            }
            self.count_records(flows, options);
            self.live.note_late(context.peer.ip(), (flows, options), report.ended.as_ref());
            match report.ended {
                Some(Outcome::Decoded) => self.metrics.datagrams_decoded.add(1),
                Some(Outcome::Rejected(error)) => self.reject(context.peer.ip(), error, context.received_at),
                Some(Outcome::Waiting) | None => {}
            }
            self.count_waiting();
            self.hand_on_if_full();
        }
    }

    /// Time has passed: closes the slot that ended and gives up what waited too long.
    /// Time comes from what was received, so that a journal read again gives the same.
    fn tick(&mut self, now: Timestamp) {
        let is_past =
            (0..=limits::DISORDER_SECS_MAX).contains(&(self.ticked_at_secs.saturating_sub(now.secs())));
        if is_past {
            return;
        }
        self.ticked_at_secs = now.secs();
        let given_up = self.decoder.expire(now);
        self.losses.expire(now, self.decoder.session_idle_secs());
        self.is_changed |= !given_up.is_empty();
        self.reject_all(&given_up);
        if self.slot.is_some_and(|slot| !slot.contains(now)) {
            self.slot = None;
            self.is_cut_due = true;
        }
        // From the first record on, so that none waits longer for its part.
        if !self.is_changed {
            self.cut_at_secs = now.secs();
        }
        let is_time = now.secs().abs_diff(self.cut_at_secs) >= limits::PART_SECS;
        self.is_cut_due |= is_time && self.saves_state;
    }

    /// Hands all that is gathered to the writer, with the state as of this block.
    fn cut(&mut self) {
        self.is_cut_due = false;
        self.cut_at_secs = self.ticked_at_secs;
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        self.hand_on_all();
        self.cut_position = self.position;
        let state = self.saves_state.then(|| {
            let journal = self.journal.as_ref();
            let checkpoint =
                journal.map(|journal| Checkpoint { journal: journal.id(), position: self.position });
            let snapshot = Snapshot { checkpoint, ..self.decoder.snapshot(&self.listeners) };
            snapshot.encode()
        });
        let tables = self.facts.take_changed().map(Box::new);
        self.send(ToWriter::Cut(Cut {
            position: self.position,
            state,
            tables,
            open: self.slot,
            is_last: self.is_finished,
        }));
    }

    fn hand_on_all(&mut self) {
        self.leave();
        self.other_rows = 0;
        for (place, pending) in std::mem::take(&mut self.others) {
            self.hand_on(place, pending);
        }
    }

    fn hand_on(&mut self, (tree, slot): Place, mut pending: Pending) {
        let FlowSink { flows, options, .. } = pending.sink;
        let exporters = pending.exporters.take();
        if flows.is_empty() && options.is_empty() && exporters.is_empty() {
            return;
        }
        let kernel_dropped = self.metrics.datagrams_kernel_dropped.get();
        let facts = SlotFacts { exporters, kernel_dropped: kernel_dropped - self.kernel_dropped_before };
        self.kernel_dropped_before = kernel_dropped;
        let told = self.n_trees_told;
        let new: Vec<_> =
            self.routes.iter().skip(told).map(|(id, tree)| ToWriter::Tree(id, tree.clone())).collect();
        self.n_trees_told += new.len();
        for tree in new {
            self.send(tree);
        }
        let range = (self.cut_position, self.block_end);
        let spares = Arc::clone(&self.spares);
        self.send(ToWriter::Gathered(Gathered { tree, slot, flows, options, spares, facts, range }));
    }

    fn send(&self, message: ToWriter) {
        self.sender.send(message).expect("the writer outlives the decoder");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::datagram::ListenerId;
    use crate::trees::{Others, Tree, Trees};

    /// A v9 export packet of one record, with its template.
    const PAYLOAD: [u8; 40] = [
        0, 9, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7, // header
        0, 0, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1, // template 256: the protocol
        1, 0, 0, 8, 6, 0, 0, 0, // one record, padded
    ];

    #[test]
    fn what_was_received_earlier_closes_no_slot() {
        let check = |stamps: &[i64], expected: &[i64]| {
            let queue = Queue::new(limits::QUEUE_BYTES_MAX, 1, None);
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
            let config = Config::default();
            let home = Tree { root: config.root.clone(), ident: String::new() };
            let routes = Routes::new(home, &config.trees, []);
            Decode::new(&config, routes, metrics, sender, None)
                .with_state(Listeners::default(), None)
                .run(&queue);
            let files = receiver.iter().filter_map(|message| match message {
                ToWriter::Gathered(gathered) => Some(gathered.slot.start().secs()),
                _ => None,
            });
            let mut files: Vec<_> = files.collect();
            files.sort_unstable();
            assert_eq!(files, expected, "{stamps:?}");
        };
        // Slots of 300 s; the third came to another thread before the second.
        check(&[590, 601, 599, 602], &[300, 300, 600, 600]);
        // The clock was set back: that is the time now.
        check(&[601, 200, 201], &[0, 0, 600]);
    }

    /// With `-M`; the octet of an exporter, and whether what it sends is a message.
    #[test]
    fn exporters_that_say_nothing_take_no_places() {
        let check = |sent: &[(u8, bool)], expected: &[u8]| {
            let queue = Queue::new(limits::QUEUE_BYTES_MAX, 1, None);
            let received_at = Timestamp::from_secs(600);
            for &(octet, is_sound) in sent {
                let mut block = Block::new(received_at);
                let (peer, listener) = (SocketAddr::from(([192, 0, 2, octet], 1)), ListenerId(0));
                let payload: &[u8] = if is_sound { &PAYLOAD } else { &PAYLOAD[..30] };
                block.push(Datagram { payload, peer, listener, transport: Transport::Udp, received_at });
                queue.push(block);
            }
            queue.finish();
            let (sender, receiver) = sync_channel(100);
            let metrics = Arc::new(Metrics::default());
            metrics.datagrams_in_flight.add(sent.len() as u64);
            let trees = Trees { others: Others::Apart, ..Trees::default() };
            let config = Config { trees, ..Config::default() };
            let home = Tree { root: "m".into(), ident: String::new() };
            let routes = Routes::new(home, &config.trees, []);
            Decode::new(&config, routes, metrics, sender, None).run(&queue);
            let (mut made, mut n_rows) = (Vec::new(), 0);
            for message in receiver.iter() {
                match message {
                    ToWriter::Tree(_, tree) => made.push(tree.ident),
                    ToWriter::Gathered(gathered) => n_rows += gathered.flows.rows(),
                    _ => {}
                }
            }
            assert_eq!(made, expected.iter().map(|octet| format!("192-0-2-{octet}")).collect::<Vec<_>>());
            assert_eq!(n_rows, sent.iter().filter(|(_, is_sound)| *is_sound).count(), "{sent:?}");
        };
        check(&[(1, false), (2, true), (3, false)], &[2]);
        check(&[(1, false), (1, true), (2, true), (1, true), (1, false)], &[1, 2]);
        check(&[(1, false), (2, false)], &[]);
    }
}
