//! The write thread: from batches into parts, and checkpoints that commit them.
//!
//! At a cut all parts are synced, then side tables and state; only then the journal is
//! released and slots that have ended go to the publisher. Whatever of this fails is
//! tried again at the next cut, and until then a restart decodes again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use flow_common::column::ExtraColumn;
use flow_common::footer::JournalRange;
use flow_common::layout::Slot;
use flow_common::limits;

use super::publishing::Slots;
use crate::disk::Disk;
use crate::durable;
use crate::facts::Tables;
use crate::flow::{FlowBatch, Spares};
use crate::fs::Fs;
use crate::journal::Journal;
use crate::metrics::{Counter, Metrics};
use crate::trees::{Tree, TreeId};
use crate::writer::{Content, EncodedPart, Part, Recovered, SlotFacts, Store, WriteError, journal_name};

/// Name of the decoder's state, and of the position it is of, below the state directory.
pub(super) const STATE: &str = "state";
pub(super) const CHECKPOINT: &str = "checkpoint";

/// Longest time between two looks at a full disk.
const TICK: Duration = Duration::from_millis(500);

/// What the decoder hands to the writer.
pub(super) enum ToWriter {
    /// A tree records may go to from now on; their ids count up.
    Tree(TreeId, Tree),
    Gathered(Gathered),
    Cut(Cut),
    /// A datagram that made the decoder panic.
    Quarantine {
        name: String,
        bytes: Vec<u8>,
    },
    /// Columns beyond the table, for parts that are made from now on.
    Elements(Vec<ExtraColumn>),
}

/// Records of one place.
pub(super) struct Gathered {
    pub(super) tree: TreeId,
    pub(super) slot: Slot,
    pub(super) flows: FlowBatch,
    pub(super) options: FlowBatch,
    /// Where their memory goes.
    pub(super) spares: Arc<Spares>,
    pub(super) facts: SlotFacts,
    /// Positions of the journal they come from.
    pub(super) range: (u64, u64),
}

/// All records before a position have been handed over.
pub(super) struct Cut {
    pub(super) position: u64,
    /// The decoder's state as of there, encoded; `None` where none is kept.
    pub(super) state: Option<Vec<u8>>,
    /// What exporters said about themselves, if that has changed.
    pub(super) tables: Option<Box<Tables>>,
    /// The slot that goes on; all others have ended.
    pub(super) open: Option<Slot>,
    /// Nothing more comes, and whoever ended the program waits.
    pub(super) is_last: bool,
}

/// Where parts gather until their slot ends.
type Place = (TreeId, Slot, Content);

#[derive(Default)]
struct OpenSlot {
    parts: Vec<Part>,
    /// Number of the next part.
    next: u32,
    /// What was said of the slot and no part has taken yet.
    facts: SlotFacts,
}

/// The write thread.
pub(super) struct Writing {
    /// The collector's own: state, side tables, journal.
    home: Arc<Store>,
    stores: BTreeMap<TreeId, Arc<Store>>,
    open: BTreeMap<Place, OpenSlot>,
    /// Directories noted as open, by tree.
    noted: BTreeMap<TreeId, BTreeSet<PathBuf>>,
    journal: Option<Arc<Journal>>,
    metrics: Arc<Metrics>,
    publisher: Sender<Slots>,
    disk: Disk,
    /// A cut that could not be made durable; the next takes its place.
    failed: Option<Cut>,
    n_unsynced: usize,
    failure: Option<String>,
}

impl Writing {
    pub(super) fn new(
        home: Arc<Store>,
        journal: Option<Arc<Journal>>,
        metrics: Arc<Metrics>,
        publisher: Sender<Slots>,
    ) -> Self {
        let directory = home.state_directory();
        let _ = durable::create_directory(&**home.fs(), &directory);
        // A capture is a task that ends; nobody waits for room.
        let ballast_bytes = if journal.is_some() { limits::BALLAST_BYTES } else { 0 };
        let disk = Disk::new(Arc::clone(home.fs()), directory.join("ballast"), ballast_bytes);
        Self {
            home,
            stores: BTreeMap::new(),
            open: BTreeMap::new(),
            noted: BTreeMap::new(),
            journal,
            metrics,
            publisher,
            disk,
            failed: None,
            n_unsynced: 0,
            failure: None,
        }
    }

    /// Goes on with the slots that an earlier run left open.
    pub(super) fn adopt(&mut self, id: TreeId, tree: Tree) -> Result<(), WriteError> {
        let store = self.add_tree(id, tree);
        let checkpoint = self.checkpoint_found();
        for Recovered { content, part } in store.recover(checkpoint)? {
            let (_, _, adopted, in_flight) = self.counters(content);
            adopted.add(part.rows);
            in_flight.add(part.rows);
            let slot = part.footer.slot;
            // Not always where this run would put it: an operator may choose another hierarchy.
            self.noted.entry(id).or_default().extend(part.path.parent().map(ToOwned::to_owned));
            let open = self.slot_of(&store, (id, slot, content));
            open.parts.push(part);
        }
        Ok(())
    }

    /// As of where the journal is needed.
    fn checkpoint_found(&self) -> Option<crate::state::Checkpoint> {
        let journal = self.journal.as_ref()?;
        Some(crate::state::Checkpoint { journal: journal.id(), position: journal.replay_from() })
    }

    fn add_tree(&mut self, id: TreeId, tree: Tree) -> Arc<Store> {
        let store = Arc::new(self.home.beside(tree));
        self.stores.insert(id, Arc::clone(&store));
        store
    }

    pub(super) fn run(mut self, messages: &Receiver<ToWriter>) -> Result<(), String> {
        loop {
            match messages.recv_timeout(TICK) {
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => self.idle(),
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
        }
    }

    /// Nothing came for a while.
    fn idle(&mut self) {
        if !self.disk.is_full()
            && let Some(cut) = self.failed.take()
        {
            self.cut(cut);
        }
        self.metrics.disk_full.set(u64::from(self.disk.is_full()));
    }

    /// The last cut has come; once more what failed of it.
    pub(super) fn finish(mut self) -> Result<(), String> {
        if let Some(cut) = self.failed.take() {
            self.cut(cut);
        }
        self.failure.map_or(Ok(()), Err)
    }

    pub(super) fn handle(&mut self, message: ToWriter) {
        match message {
            ToWriter::Tree(id, tree) if !self.stores.contains_key(&id) => {
                let store = self.add_tree(id, tree);
                if let Err(error) = durable::create_directory(&**store.fs(), store.root()) {
                    tracing::error!("cannot create `{}`: {error}", store.root().display());
                }
            }
            ToWriter::Tree(..) => {}
            ToWriter::Gathered(gathered) => self.gathered(gathered),
            ToWriter::Cut(cut) => self.cut(cut),
            ToWriter::Elements(elements) => self.elements(elements),
            ToWriter::Quarantine { name, bytes } => self.quarantine(&name, &bytes),
        }
        self.metrics.parts_open.set(self.open.values().map(|open| open.parts.len() as u64).sum());
        self.metrics.disk_full.set(u64::from(self.disk.is_full()));
    }

    /// What is published goes on with the columns its parts were made with.
    fn elements(&mut self, elements: Vec<ExtraColumn>) {
        self.home = Arc::new(self.home.with_elements(elements));
        for store in self.stores.values_mut() {
            *store = Arc::new(self.home.beside(store.tree().clone()));
        }
    }

    fn gathered(&mut self, gathered: Gathered) {
        let Gathered { tree, slot, mut flows, mut options, spares, facts, range } = gathered;
        let Some(store) = self.stores.get(&tree).cloned() else {
            unreachable!("the decoder tells of trees before it uses them")
        };
        let place = (tree, slot, Content::Flows);
        let flow_slot = self.slot_of(&store, place);
        flow_slot.facts.exporters.extend(facts.exporters);
        flow_slot.facts.kernel_dropped += facts.kernel_dropped;
        let facts =
            if flows.is_empty() { SlotFacts::default() } else { std::mem::take(&mut flow_slot.facts) };
        self.batch(&store, place, &mut flows, facts, range);
        self.batch(&store, (tree, slot, Content::Options), &mut options, SlotFacts::default(), range);
        spares.put(flows);
    }

    fn slot_of(&mut self, store: &Store, place: Place) -> &mut OpenSlot {
        self.open.entry(place).or_insert_with(|| {
            let next = store.next_part(place.1, place.2);
            OpenSlot { next, ..OpenSlot::default() }
        })
    }

    fn batch(
        &mut self,
        store: &Arc<Store>,
        place: Place,
        batch: &mut FlowBatch,
        facts: SlotFacts,
        range: (u64, u64),
    ) {
        if batch.is_empty() {
            return;
        }
        let (rows, (_, slot, content)) = (batch.rows() as u64, place);
        if self.disk.is_full() {
            self.discard(content, rows, None);
            return;
        }
        let journal = self.journal.as_ref().map(|journal| JournalRange {
            id: journal_name(journal.id()),
            from: range.0,
            to: range.1,
        });
        let written = store.encode(slot, content, batch, facts, journal).and_then(|encoded| {
            let written = match self.part(store, place, &encoded) {
                Ok(part) => Ok(part),
                // The ballast makes room for the end of this slot.
                Err(error) if error.is_disk_full() && !self.make_room() => Err(error),
                // What failed once may not fail again.
                Err(_) => self.part(store, place, &encoded),
            };
            store.reuse(content, encoded);
            written
        });
        match written {
            Ok(part) => {
                self.slot_of(store, place).parts.push(part);
                self.n_unsynced += 1;
                if self.n_unsynced >= limits::PARTS_UNSYNCED_MAX {
                    self.sync_parts();
                }
            }
            Err(error) => {
                if error.is_disk_full() {
                    self.make_room();
                }
                self.discard(content, rows, Some(&error));
            }
        }
    }

    /// The disk is full: gives back what was kept for later. True if that made room.
    fn make_room(&mut self) -> bool {
        if let Some(journal) = &self.journal {
            journal.give_back();
        }
        self.disk.fill()
    }

    fn part(&mut self, store: &Store, place: Place, encoded: &EncodedPart) -> Result<Part, WriteError> {
        let (tree, slot, content) = place;
        let directory = store.directory(slot, content);
        if !self.noted.get(&tree).is_some_and(|noted| noted.contains(&directory)) {
            let create = |source| WriteError::Create { path: directory.clone(), source };
            durable::create_directory(&**store.fs(), &directory).map_err(create)?;
            let mut still = self.directories_of(tree, store);
            let noted = self.noted.entry(tree).or_default();
            // What the publisher still has to do lies in directories of the last slots.
            still.extend(noted.iter().rev().take(limits::OPEN_DIRECTORIES_KEPT).cloned());
            still.insert(directory);
            // Nothing is recovered of a capture, which can be read again.
            if self.journal.is_some() {
                store.note_open(&still)?;
            }
            *noted = still;
        }
        store.write_part(content, encoded, &mut self.slot_of(store, place).next)
    }

    /// Where slots that are open have or will have parts.
    fn directories_of(&self, tree: TreeId, store: &Store) -> BTreeSet<PathBuf> {
        let mut directories = BTreeSet::new();
        for (&(_, slot, content), open) in self.open.iter().filter(|((of, ..), _)| *of == tree) {
            directories.insert(store.directory(slot, content));
            directories.extend(open.parts.iter().filter_map(|part| Some(part.path.parent()?.to_owned())));
        }
        directories
    }

    /// Makes all parts durable; those that can't be are lost.
    fn sync_parts(&mut self) {
        self.n_unsynced = 0;
        let mut lost = Vec::new();
        for ((tree, slot, content), open) in &mut self.open {
            let Some(store) = self.stores.get(tree) else { continue };
            let is_new = open.parts.iter().any(Part::is_unsynced);
            open.parts.retain_mut(|part| match store.sync(part) {
                Ok(()) => true,
                Err(error) => {
                    store.remove(part);
                    lost.push((*content, part.rows, error));
                    false
                }
            });
            if is_new && let Err(error) = store.sync_directory(&store.directory(*slot, *content)) {
                tracing::error!("{error}; a power loss now may lose what was just written");
            }
        }
        for (content, rows, error) in lost {
            self.discard(content, rows, Some(&error));
        }
    }

    fn cut(&mut self, mut cut: Cut) {
        self.sync_parts();
        if let Err(error) = self.commit(&mut cut) {
            self.metrics.file_errors.add(1);
            let made_room = error.is_disk_full() && self.make_room();
            if !made_room || self.commit(&mut cut).is_err() {
                tracing::error!("{error}; a restart decodes again what came since the last checkpoint");
                self.failed = Some(cut);
                return;
            }
        }
        self.failed = None;
        if let Some(journal) = &self.journal {
            journal.release(cut.position);
            self.metrics.journal_bytes.set(journal.used_bytes());
        }
        let ended: Vec<_> =
            self.open.keys().filter(|(_, slot, _)| Some(*slot) != cut.open).copied().collect();
        for place in ended {
            let (Some(open), Some(store)) = (self.open.remove(&place), self.stores.get(&place.0)) else {
                continue;
            };
            if open.parts.is_empty() {
                continue;
            }
            let (_, slot, content) = place;
            let n_bytes: u64 = open.parts.iter().map(|part| part.n_bytes).sum();
            let merges = !(self.disk.is_full() || cut.is_last && n_bytes > limits::MERGE_AT_END_BYTES_MAX);
            let slots = Slots { store: Arc::clone(store), slot, content, parts: open.parts, merges };
            if self.publisher.send(slots).is_err() {
                self.failure.get_or_insert_with(|| "the publish thread failed; this is a bug".to_owned());
            }
        }
        if self.disk.is_full() {
            self.close_open_slots();
        }
    }

    /// Without room nothing more comes to the open slots: what they have becomes visible.
    fn close_open_slots(&mut self) {
        for ((tree, slot, content), open) in std::mem::take(&mut self.open) {
            let Some(store) = self.stores.get(&tree) else { continue };
            if !open.parts.is_empty() {
                let store = Arc::clone(store);
                let slots = Slots { store, slot, content, parts: open.parts, merges: false };
                let _ = self.publisher.send(slots);
            }
        }
    }

    /// Makes durable that nothing before the cut has to be decoded again.
    fn commit(&self, cut: &mut Cut) -> Result<(), WriteError> {
        if let Some(tables) = cut.tables.take() {
            let Tables { names, rates, reports } = &*tables;
            let saved =
                [self.home.save_table(names), self.home.save_table(rates), self.home.save_table(reports)];
            for error in saved.into_iter().filter_map(Result::err) {
                self.metrics.file_errors.add(1);
                tracing::error!("{error}; names and rates told since are not stored");
            }
        }
        if let Some(state) = &cut.state {
            self.home.save_state(STATE, state)?;
        }
        if let Some(journal) = &self.journal {
            let checkpoint = crate::state::Checkpoint { journal: journal.id(), position: cut.position };
            self.home.save_state(CHECKPOINT, checkpoint.encode().as_bytes())?;
        }
        Ok(())
    }

    fn quarantine(&self, name: &str, bytes: &[u8]) {
        let directory = self.home.state_directory().join("quarantine");
        let fs: &dyn Fs = &**self.home.fs();
        let write = || {
            durable::create_directory(fs, &directory)?;
            if fs.list(&directory)?.len() >= limits::QUARANTINE_FILES_MAX {
                return Ok(());
            }
            durable::replace(fs, &directory.join(format!("{name}.datagram")), bytes)
        };
        if let Err(error) = write() {
            tracing::error!("cannot keep a datagram in `{}`: {error}", directory.display());
        }
    }

    /// Counters of visible, discarded and adopted records, and of those on the way.
    fn counters(&self, content: Content) -> (&Counter, &Counter, &Counter, &Counter) {
        counters(&self.metrics, content)
    }

    fn discard(&mut self, content: Content, rows: u64, error: Option<&WriteError>) {
        let (_, discarded, _, in_flight) = self.counters(content);
        let discarded = match (content, self.metrics.disk_full.get()) {
            (Content::Flows, 1) => &self.metrics.records_discarded_disk_full,
            _ => discarded,
        };
        discarded.add(rows);
        in_flight.subtract(rows);
        if let Some(error) = error {
            self.metrics.file_errors.add(1);
            tracing::error!("{error}; {rows} records are lost");
            self.failure.get_or_insert_with(|| error.to_string());
        }
    }
}

/// Counters of visible, discarded and adopted records, and of those on the way.
pub(super) fn counters(metrics: &Metrics, content: Content) -> (&Counter, &Counter, &Counter, &Counter) {
    match content {
        Content::Flows => (
            &metrics.records_visible,
            &metrics.records_discarded_write_failed,
            &metrics.records_adopted,
            &metrics.records_in_flight,
        ),
        Content::Options => (
            &metrics.options_visible,
            &metrics.options_discarded_write_failed,
            &metrics.options_adopted,
            &metrics.options_in_flight,
        ),
    }
}
