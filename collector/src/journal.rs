//! The journal: datagrams as received, in files that outlive the process. What is
//! in it was accepted; a crash loses nothing of it.
//!
//! ```text
//! <root>/.flowcap/journal/0000.segment …   each SEGMENT_BYTES long, taken in advance
//! segment: header (4 KiB): magic, id of the journal, position, listeners, CRC-32C
//!          blocks: length u32 | CRC-32C u32 | position u64 | now i64 | 0 u64 | datagrams
//! ```
//!
//! A position is an octet of the journal, counted over all segments ever: a segment
//! covers the positions from a multiple of its length on. Segments are used again
//! once nothing in them is needed; as checksums cover id and position, what an
//! earlier use left behind is no block.
//!
//! It is also the queue: where decoding falls behind further than memory reaches,
//! it reads on from here.
//!
//! **Invariant:** a segment that could not be written or synced is left: blocks go
//! to another from then on, and what it holds counts as far as its checksums say.

mod format;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flow_common::limits;
use flow_common::time::Timestamp;

use self::format::{SegmentHeader, block_header, read_block_header};
use crate::datagram::{BLOCK_HEADER_BYTES, Block, ListenerId};
use crate::durable;
use crate::fs::{Fs, FsFile, read_full_at, write_all_at};
use crate::metrics::Metrics;

/// Length of a segment, and of what its header takes. Tests fill many.
pub(crate) const SEGMENT_BYTES: u64 = if cfg!(test) { 1 << 20 } else { limits::JOURNAL_SEGMENT_BYTES };
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 4_096;

/// Segments it may use at least: one is filled while others are decoded and committed.
const SEGMENTS_MIN: u64 = 4;

/// Pause after a segment could not be made: a full disk stays full for a while.
const RETRY: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 1 });

/// Period over which it is seen how many segments are in use. Tests let none pass.
const KEEP: Duration = Duration::from_secs(if cfg!(test) { 0 } else { limits::JOURNAL_KEEP_SECS });

/// Where a block lies, and whether it lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// False: it could not be written, and memory alone has it.
    pub(crate) is_stored: bool,
}

/// A socket datagrams come in by: its address, and whether it takes connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenerAddr {
    pub(crate) addr: SocketAddr,
    pub(crate) is_stream: bool,
}

#[derive(Debug, Clone)]
struct Segment {
    path: PathBuf,
    file: Arc<dyn FsFile>,
    /// What its listeners are called now; `None` for those of this process.
    listeners: Option<Arc<[ListenerId]>>,
    /// It could not be synced: the page cache may say of it what the disk does not
    /// have, so it is never written again.
    is_failed: bool,
}

#[derive(Debug, Default)]
struct State {
    /// In use, by first position.
    segments: BTreeMap<u64, Segment>,
    /// Free to use again.
    spare: Vec<Segment>,
    /// Where the next block goes.
    tail: u64,
    /// The one being filled, by first position.
    current: Option<u64>,
    /// Written since the last sync.
    dirty: Vec<Segment>,
    /// Names made since their directory was synced.
    has_new_names: bool,
    next_name: u64,
    /// When all appended until then was last made durable.
    synced_at: Option<Instant>,
    /// Until when no segment is tried, after one could not be made.
    retry_at: Option<Instant>,
    /// Segments begun since room was last taken in advance, and between the two times before.
    n_begun: usize,
    pace: usize,
    demand: Demand,
}

/// Most segments that were in use at once of late. So many are kept: a segment that was
/// written before has its room and its pages, a new one waits for the disk to give them.
#[derive(Debug, Default)]
struct Demand {
    /// Of this period, and of the one before.
    now: usize,
    before: usize,
    /// When this period began.
    since: Option<Instant>,
}

impl Demand {
    fn see(&mut self, n_in_use: usize) {
        self.now = self.now.max(n_in_use);
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= KEEP {
            (self.before, self.now, self.since) = (self.now, n_in_use, Some(Instant::now()));
        }
    }

    fn most(&self) -> usize {
        self.now.max(self.before)
    }
}

impl State {
    /// Spare segments to keep.
    fn n_kept(&self) -> usize {
        let until_most = self.demand.most().saturating_sub(self.segments.len());
        until_most.max(self.pace).max(limits::JOURNAL_SPARE_SEGMENTS)
    }

    /// Whether one more may be taken in advance.
    fn has_room_for_spare(&self, bytes_max: u64) -> bool {
        self.spare.is_empty() || (self.segments.len() + self.spare.len()) as u64 * SEGMENT_BYTES < bytes_max
    }

    /// Spare segments beyond those to keep.
    fn take_surplus(&mut self) -> Vec<Segment> {
        let n_kept = self.n_kept();
        // The last came last, and are in memory still.
        self.spare.drain(..self.spare.len().saturating_sub(n_kept)).collect()
    }

    /// Number of a segment about to be made.
    fn take_name(&mut self) -> u64 {
        self.has_new_names = true;
        let name = self.next_name;
        self.next_name += 1;
        name
    }
}

/// A journal.
pub(crate) struct Journal {
    fs: Arc<dyn Fs>,
    directory: PathBuf,
    id: u64,
    bytes_max: u64,
    listeners: Vec<ListenerAddr>,
    /// Where replay begins.
    replay_from: u64,
    /// Position of the first block of this process; what is before it is replayed.
    live_from: u64,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("directory", &self.directory).field("id", &self.id).finish()
    }
}

/// What a journal holds at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JournalLook {
    /// Octets of the segments in use, and how many there may be.
    pub(crate) bytes: u64,
    pub(crate) bytes_max: u64,
    /// Segments on disk, those kept for use included.
    pub(crate) n_segments: u64,
    /// Where the next block goes.
    pub(crate) tail: u64,
    /// Blocks are kept in memory alone.
    pub(crate) is_failing: bool,
    /// Time since all was durable.
    pub(crate) synced_since: Option<Duration>,
}

/// A journal just opened, and what it knows of earlier runs.
pub(crate) struct Opened {
    pub(crate) journal: Journal,
    /// All listeners blocks may name: those of this process, then those of earlier ones.
    pub(crate) listeners: Vec<ListenerAddr>,
}

impl Journal {
    /// Opens the journal in `directory`. `checkpoint` is its id and the position
    /// before which nothing is needed, as far as that is known; `fresh_id` is the id it
    /// gets where there is none yet.
    pub(crate) fn open(
        fs: Arc<dyn Fs>,
        directory: &Path,
        checkpoint: Option<(u64, u64)>,
        fresh_id: u64,
        bytes_max: u64,
        listeners: Vec<ListenerAddr>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Opened> {
        durable::create_directory(&*fs, directory)?;
        let (mut found, mut spare, mut next_name) = (Vec::new(), Vec::new(), 0);
        for name in fs.list(directory)? {
            let Some(n) = segment_number(&name.to_string_lossy()) else { continue };
            next_name = next_name.max(n + 1);
            let path = directory.join(&name);
            let file: Arc<dyn FsFile> = Arc::from(fs.open(&path)?);
            let mut head = vec![0; SEGMENT_HEADER_BYTES as usize];
            let n_read = read_full_at(&*file, &mut head, 0)?;
            match SegmentHeader::decode(head.get(..n_read).unwrap_or_default()) {
                Some(header) => found.push((header, path, file)),
                None if file.bytes()? >= SEGMENT_BYTES => {
                    spare.push(Segment { path, file, listeners: None, is_failed: false })
                }
                None => fs.remove(&path)?,
            }
        }
        let newest = found.iter().max_by_key(|(header, ..)| header.base).map(|(header, ..)| header.id);
        let id = checkpoint.map(|(id, _)| id).or(newest).unwrap_or(fresh_id);
        let from = checkpoint.map_or(0, |(_, position)| position);
        let mut all = listeners.clone();
        let (mut segments, mut last) = (BTreeMap::new(), from);
        for (header, path, file) in found {
            let is_ours = header.id == id;
            if is_ours {
                last = last.max(header.base + SEGMENT_BYTES);
            }
            if is_ours && header.base + SEGMENT_BYTES > from {
                let names = header.listeners.iter().map(|listener| name_of(&mut all, *listener));
                let listeners = Some(names.collect());
                segments.insert(header.base, Segment { path, file, listeners, is_failed: false });
            } else {
                spare.push(Segment { path, file, listeners: None, is_failed: false });
            }
        }
        // A segment of its own: what was torn at the end of the last stays behind it.
        let live_from = last.next_multiple_of(SEGMENT_BYTES);
        let state = State { segments, spare, tail: live_from, next_name, ..State::default() };
        let journal = Self {
            fs,
            directory: directory.to_owned(),
            id,
            bytes_max: bytes_max.max(SEGMENTS_MIN * SEGMENT_BYTES),
            listeners,
            replay_from: from,
            live_from,
            state: Mutex::new(state),
            metrics,
        };
        journal.prepare()?;
        Ok(Opened { journal, listeners: all })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Position of the first block of this process.
    pub(crate) fn live_from(&self) -> u64 {
        self.live_from
    }

    /// What is before this position is not needed; what is behind it, and before
    /// [`Self::live_from`], was accepted by earlier runs.
    pub(crate) fn replay_from(&self) -> u64 {
        self.replay_from
    }

    /// Octets after which a cut is due, so that what it has done with is released long
    /// before it is full.
    pub(crate) fn cut_bytes(&self) -> u64 {
        limits::JOURNAL_CUT_BYTES.min(self.bytes_max / SEGMENTS_MIN)
    }

    /// Octets of the segments in use.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.lock().segments.len() as u64 * SEGMENT_BYTES
    }

    /// What it holds now, for whoever looks.
    pub(crate) fn look(&self) -> JournalLook {
        let state = self.lock();
        let in_use = state.segments.len() as u64;
        JournalLook {
            bytes: in_use * SEGMENT_BYTES,
            bytes_max: self.bytes_max,
            n_segments: in_use + state.spare.len() as u64,
            tail: state.tail,
            is_failing: state.retry_at.is_some(),
            synced_since: state.synced_at.map(|at| at.elapsed()),
        }
    }

    /// Appends a block. `None` if the journal is full: there is room again when
    /// decoding has come further.
    pub(crate) fn append(&self, block: &mut Block) -> Option<Appended> {
        let n_bytes = block.sealed_bytes() as u64;
        let mut state = self.lock();
        let is_over = |base: u64, tail: u64| tail + n_bytes > base + SEGMENT_BYTES;
        if state.current.is_none_or(|base| is_over(base, state.tail)) {
            let used = state.segments.len() as u64 * SEGMENT_BYTES;
            if used + SEGMENT_BYTES > self.bytes_max {
                return None;
            }
            // Positions go on also where none can be made.
            state.current = None;
            self.begin_segment(&mut state);
        }
        let start = state.tail;
        state.tail = start + n_bytes;
        let segment = state.current.and_then(|base| Some((base, state.segments.get(&base)?.clone())));
        let Some((base, segment)) = segment else {
            self.metrics.datagrams_unjournaled.add(block.len() as u64);
            return Some(Appended { start, end: start + n_bytes, is_stored: false });
        };
        let now = block.now;
        let bytes = block.seal(|bytes| block_header(bytes, self.id, start, now));
        let result = write_all_at(&*segment.file, bytes, start - base);
        let is_stored = result.is_ok();
        if let Err(error) = result {
            self.leave(&mut state, "write", &error);
            self.metrics.datagrams_unjournaled.add(block.len() as u64);
        } else if state.dirty.last().is_none_or(|last| last.path != segment.path) {
            state.dirty.push(segment);
        }
        Some(Appended { start, end: start + n_bytes, is_stored })
    }

    /// Takes a spare segment, or makes one, for positions from the tail on.
    fn begin_segment(&self, state: &mut State) {
        if state.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        state.retry_at = None;
        let base = state.tail.next_multiple_of(SEGMENT_BYTES);
        let begin = |state: &mut State| {
            let segment = match state.spare.pop() {
                Some(segment) => Segment { listeners: None, ..segment },
                None => self.make_segment(state.take_name())?,
            };
            let header = SegmentHeader { id: self.id, base, listeners: self.listeners.clone() };
            write_all_at(&*segment.file, &header.encode(), 0)?;
            Ok::<_, io::Error>(segment)
        };
        match begin(state) {
            Ok(segment) => {
                state.segments.insert(base, segment);
                state.tail = base + SEGMENT_HEADER_BYTES;
                state.current = Some(base);
                state.n_begun += 1;
                state.demand.see(state.segments.len());
            }
            Err(error) => self.leave(state, "extend", &error),
        }
    }

    fn make_segment(&self, name: u64) -> io::Result<Segment> {
        let path = self.directory.join(format!("{name:04}.segment"));
        let file = self.fs.create_new(&path)?;
        if let Err(error) = file.allocate(SEGMENT_BYTES) {
            // A file without its room is none.
            let _ = self.fs.remove(&path);
            return Err(error);
        }
        Ok(Segment { path, file: Arc::from(file), listeners: None, is_failed: false })
    }

    /// Nothing more goes to the segment in use.
    fn leave(&self, state: &mut State, what: &str, error: &io::Error) {
        self.metrics.journal_errors.add(1);
        if state.retry_at.is_none() {
            tracing::error!(
                "cannot {what} the journal in `{}`: {error}; datagrams are kept in memory alone",
                self.directory.display()
            );
        }
        state.current = None;
        state.retry_at = Some(Instant::now() + RETRY);
    }

    /// Makes what was appended durable, and takes room in advance. Called from a
    /// thread that may wait for the disk.
    pub(crate) fn sync(&self) {
        let dirty = std::mem::take(&mut self.lock().dirty);
        let mut is_durable = true;
        for segment in dirty {
            if let Err(error) = segment.file.sync() {
                is_durable = false;
                let mut state = self.lock();
                let failed = state.segments.values_mut().find(|other| other.path == segment.path);
                match failed {
                    Some(failed) => failed.is_failed = true,
                    // Released meanwhile.
                    None => state.spare.retain(|spare| spare.path != segment.path),
                }
                self.leave(&mut state, "sync", &error);
            }
        }
        if let Err(error) = self.prepare() {
            let mut state = self.lock();
            self.leave(&mut state, "extend", &error);
        }
        let mut state = self.lock();
        if is_durable {
            state.synced_at = Some(Instant::now());
        }
    }

    /// Makes as many spare segments as were begun since the last time, one at least, and
    /// their names durable.
    fn prepare(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.pace = std::mem::take(&mut state.n_begun).max(1);
        let n_wanted = state.pace;
        let is_time = state.retry_at.is_none_or(|at| Instant::now() >= at);
        while is_time && state.spare.len() < n_wanted && state.has_room_for_spare(self.bytes_max) {
            let name = state.take_name();
            // The receiver waits for this lock: not also for the disk.
            drop(state);
            let made = self.make_segment(name);
            state = self.lock();
            match made {
                Ok(segment) => state.spare.push(segment),
                // Those there are will do for now.
                Err(_) if !state.spare.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        let n_in_use = state.segments.len();
        state.demand.see(n_in_use);
        let surplus = state.take_surplus();
        let has_new_names = std::mem::take(&mut state.has_new_names);
        drop(state);
        self.remove(surplus);
        if has_new_names { self.fs.sync_directory(&self.directory) } else { Ok(()) }
    }

    /// Gives back room that is kept for later: the disk is full.
    pub(crate) fn give_back(&self) {
        let mut state = self.lock();
        (state.demand, state.pace) = (Demand::default(), 0);
        let surplus = state.take_surplus();
        drop(state);
        self.remove(surplus);
    }

    fn remove(&self, segments: Vec<Segment>) {
        for segment in segments {
            if let Err(error) = self.fs.remove(&segment.path) {
                tracing::warn!("cannot remove `{}`: {error}", segment.path.display());
            }
        }
    }

    /// Nothing before `position` is needed any more.
    pub(crate) fn release(&self, position: u64) {
        let mut surplus = Vec::new();
        let mut state = self.lock();
        while let Some((&base, _)) = state.segments.first_key_value() {
            if base + SEGMENT_BYTES > position || state.current == Some(base) {
                break;
            }
            let Some(segment) = state.segments.remove(&base) else { break };
            let kept = if segment.is_failed { &mut surplus } else { &mut state.spare };
            kept.push(segment);
        }
        surplus.extend(state.take_surplus());
        // The receiver waits for this lock: not also for the disk.
        drop(state);
        self.remove(surplus);
    }

    /// The first block at or behind `at` and before `to`, and the position after it.
    /// `None` if there is none.
    pub(crate) fn read(&self, at: u64, to: u64) -> Option<(Block, u64)> {
        let mut at = at;
        while at < to {
            let (base, segment) = {
                let state = self.lock();
                let covering = state.segments.range(..=at).next_back();
                let covering = covering.filter(|(base, _)| at < *base + SEGMENT_BYTES);
                let (&base, segment) = covering.or_else(|| state.segments.range(at..to).next())?;
                (base, segment.clone())
            };
            at = at.max(base + SEGMENT_HEADER_BYTES);
            if at >= to {
                break;
            }
            // Once more: what failed for a moment must not be passed over for good.
            let block = self.read_block(&segment, base, at).or_else(|_| self.read_block(&segment, base, at));
            match block {
                Ok(Some((block, end))) => return Some((block, end)),
                Ok(None) => {}
                Err(error) => {
                    self.metrics.journal_errors.add(1);
                    tracing::error!("cannot read `{}`: {error}", segment.path.display());
                }
            }
            at = base + SEGMENT_BYTES;
        }
        None
    }

    fn read_block(&self, segment: &Segment, base: u64, at: u64) -> io::Result<Option<(Block, u64)>> {
        let mut head = [0; BLOCK_HEADER_BYTES];
        if at + head.len() as u64 > base + SEGMENT_BYTES
            || read_full_at(&*segment.file, &mut head, at - base)? < head.len()
        {
            return Ok(None);
        }
        let Some(header) = read_block_header(&head, at, base + SEGMENT_BYTES) else { return Ok(None) };
        let mut bytes = vec![0; header.n_bytes];
        let n_read = read_full_at(&*segment.file, &mut bytes, at - base)?;
        if n_read < bytes.len() || !header.is_sound(&bytes, self.id) {
            return Ok(None);
        }
        let now = Timestamp(header.now_micros);
        let translate = |id: ListenerId| match &segment.listeners {
            Some(names) => names.get(usize::from(id.0)).copied().unwrap_or(id),
            None => id,
        };
        Ok(Block::unseal(bytes, now, translate).map(|block| (block, at + header.n_bytes as u64)))
    }

    /// A thread that panicked holding the lock left the state whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `0007.segment` → 7.
fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".segment")?.parse().ok()
}

/// What a listener of an earlier run is called now.
fn name_of(all: &mut Vec<ListenerAddr>, listener: ListenerAddr) -> ListenerId {
    let index = all.iter().position(|known| *known == listener).unwrap_or_else(|| {
        all.push(listener);
        all.len() - 1
    });
    ListenerId(u16::try_from(index).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod power;
#[cfg(test)]
mod tests;
