//! From the journal to visible files, in one thread, on a disk that loses power, fails
//! and fills up.
//!
//! Records are numbered. Whatever happens, what is visible is whole and holds no number
//! twice, and what is missing was never accepted, not yet synced, or is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use bytes::Bytes;
use flow_common::layout::{parse_file_name, parse_part_name};
use flow_common::limits;
use flow_common::time::{Clock, Timestamp};
use nix::errno::Errno;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::decoding::Decode;
use super::opening::{self, Journaled};
use super::publishing::{self, Slots};
use super::writing::{ToWriter, Writing};
use crate::bounds::Bounds;
use crate::config::Config;
use crate::datagram::{Block, Datagram, ListenerId, Transport};
use crate::decode;
use crate::exec::Hooks;
use crate::fs::sim::{Fault, SimFs};
use crate::fs::write_all_at;
use crate::journal::{Journal, ListenerAddr, SEGMENT_BYTES};
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::random::Random;

/// 2026-11-21T12:00:00Z.
pub(super) const START_SECS: i64 = 1_795_262_400;

/// Seconds of a slot.
pub(super) const SLOT_SECS: u32 = 20;

const ROOT: &str = "/disk/flows";

/// Records of a datagram.
pub(super) const RECORDS: u64 = 3;

/// How all of them are run.
pub(super) fn config() -> Config {
    Config { root: ROOT.into(), slot_secs: SLOT_SECS, ..Config::default() }
}

/// How many disks lose their power: `POWER_LOSSES`, for runs longer than the suite's.
fn n_losses() -> u64 {
    std::env::var("POWER_LOSSES").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(START_SECS)
    }
}

/// One run of a collector.
pub(super) struct Life {
    decode: Decode,
    write: Writing,
    journal: Arc<Journal>,
    messages: Receiver<ToWriter>,
    slots: Receiver<Slots>,
    metrics: Arc<Metrics>,
}

impl Life {
    pub(super) fn start(fs: &SimFs) -> Result<Self, String> {
        Self::start_as(fs, &config())
    }

    pub(super) fn start_as(fs: &SimFs, config: &Config) -> Result<Self, String> {
        let metrics = Arc::new(Metrics::default());
        let home = opening::home(fs.shared(), config).map_err(|error| error.to_string())?;
        let routes = opening::routes(config, &home);
        let listeners = vec![ListenerAddr { addr: ([127, 0, 0, 1], 9995).into(), is_stream: false }];
        let journaled = opening::journal(&home, listeners, config.bounds.journal_bytes, &Fixed, &metrics)
            .map_err(|error| error.to_string())?;
        let Journaled { journal, listeners, snapshot } = journaled;
        let (publisher, slots) = channel();
        let mut write =
            Writing::new(Arc::clone(&home), Some(Arc::clone(&journal)), Arc::clone(&metrics), publisher);
        for (id, tree) in routes.iter() {
            write.adopt(id, tree.clone()).map_err(|error| error.to_string())?;
        }
        let (sender, messages) = sync_channel(1_000);
        let replay_from = journal.replay_from();
        let mut decode = Decode::new(config, routes, Arc::clone(&metrics), sender, None)
            .with_tables(opening::read_tables(&home))
            .with_state(listeners, snapshot.as_ref())
            .with_journal(Arc::clone(&journal), replay_from);
        decode.replay();
        opening::replayed(&home);
        let mut life = Self { decode, write, journal, messages, slots, metrics };
        life.pump();
        Ok(life)
    }

    /// Lets the writer and the publisher do what there is to do.
    fn pump(&mut self) {
        for message in self.messages.try_iter() {
            self.write.handle(message);
        }
        for slots in self.slots.try_iter() {
            // Told in the counters.
            let _ = publishing::publish(slots, &Hooks::default(), &self.metrics);
        }
    }

    /// Accepts and decodes a block; whether the journal has it.
    pub(super) fn accept(&mut self, mut block: Block) -> bool {
        self.metrics.datagrams_received.add(block.len() as u64);
        self.metrics.datagrams_in_flight.add(block.len() as u64);
        let appended = self.journal.append(&mut block).unwrap();
        self.decode.block(&block, appended.end);
        self.pump();
        appended.is_stored
    }

    /// Ends as by SIGTERM.
    pub(super) fn finish(mut self) -> Arc<Metrics> {
        self.decode.finish();
        let Self { write, messages, slots, metrics, .. } = self;
        Self::end(write, &messages, &slots, metrics)
    }

    /// Ends while there is this to decode, with so much time for it.
    fn finish_with(self, queue: &Queue, ending_max: Duration) -> Arc<Metrics> {
        let Self { decode, write, messages, slots, metrics, .. } = self;
        decode.with_stop(Arc::new(true.into()), ending_max).run(queue);
        Self::end(write, &messages, &slots, metrics)
    }

    fn end(
        mut write: Writing,
        messages: &Receiver<ToWriter>,
        slots: &Receiver<Slots>,
        metrics: Arc<Metrics>,
    ) -> Arc<Metrics> {
        messages.try_iter().for_each(|message| write.handle(message));
        // Told in the counters, too.
        let _ = write.finish();
        for slots in slots.try_iter() {
            let _ = publishing::publish(slots, &Hooks::default(), &metrics);
        }
        metrics.check_laws().unwrap();
        metrics
    }
}

/// A disk, and what its collectors were given in all their lives.
pub(super) struct Lives {
    pub(super) name: String,
    pub(super) fs: SimFs,
    random: Random,
    pub(super) now_secs: i64,
    /// What exporters take for the time.
    pub(super) export_secs: u32,
    pub(super) next: u64,
    /// Numbers the journal took, and those of them it synced.
    stored: BTreeSet<u64>,
    synced: BTreeSet<u64>,
    /// Records that were given up, as the counters say.
    n_discarded: u64,
}

impl Lives {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            name: format!("seed {seed}"),
            fs: SimFs::new(Path::new("/disk"), seed),
            random: Random::new(seed),
            now_secs: START_SECS,
            export_secs: 1,
            next: 0,
            stored: BTreeSet::new(),
            synced: BTreeSet::new(),
            n_discarded: 0,
        }
    }

    /// Blocks and syncs until the power goes or it was enough.
    fn live(&mut self, life: &mut Life, n_steps: u64) {
        for _ in 0..n_steps {
            if self.random.below(4) == 0 {
                let n_errors = life.metrics.journal_errors.get();
                life.journal.sync();
                if !self.fs.is_dead() && life.metrics.journal_errors.get() == n_errors {
                    self.synced.extend(&self.stored);
                }
            } else {
                self.now_secs += self.random.below(5) as i64;
                let block = self.block();
                let numbers = self.next - block.len() as u64 * RECORDS..self.next;
                if life.accept(block) && !self.fs.is_dead() {
                    self.stored.extend(numbers);
                }
            }
            if self.fs.is_dead() {
                return;
            }
        }
    }

    pub(super) fn block(&mut self) -> Block {
        let received_at = Timestamp::from_secs(self.now_secs);
        let mut block = Block::new(received_at);
        for _ in 0..1 + self.random.below(3) {
            let payload = packet(self.next, self.export_secs);
            self.next += RECORDS;
            let (peer, listener) = (SocketAddr::from(([192, 0, 2, 1], 1)), ListenerId(0));
            block.push(Datagram {
                payload: &payload,
                peer,
                listener,
                transport: Transport::Udp,
                received_at,
            });
        }
        block
    }

    /// Numbers in the visible files, each of which is whole.
    pub(super) fn visible(&self) -> BTreeMap<u64, u64> {
        let mut numbers = BTreeMap::new();
        for path in self.files(|name| parse_file_name(name).is_some()) {
            let found = numbers_of(self.fs.content(&path).unwrap());
            let found =
                found.unwrap_or_else(|error| panic!("{}: torn: {}: {error}", self.name, path.display()));
            found.into_iter().for_each(|number| *numbers.entry(number).or_default() += 1);
        }
        let twice: Vec<_> = numbers.iter().filter(|(_, n)| **n > 1).take(5).collect();
        assert!(twice.is_empty(), "{}: visible twice: {twice:?}", self.name);
        numbers
    }

    pub(super) fn files(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let mut files = self.fs.files();
        files.retain(|path| is_wanted(&path.file_name().unwrap().to_string_lossy()));
        files
    }

    /// Starts once more on a sound disk, and ends well: all there is, is visible then.
    pub(super) fn settle(&mut self) -> BTreeMap<u64, u64> {
        let life = Life::start(&self.fs).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let metrics = life.finish();
        self.n_discarded += discarded(&metrics);
        let left = self.files(|name| parse_part_name(name).is_some() || name.ends_with(".tmp"));
        assert!(left.is_empty(), "{}: left over: {left:?}", self.name);
        self.visible()
    }
}

/// Records given up and counted.
fn discarded(metrics: &Metrics) -> u64 {
    metrics.records_discarded_write_failed.get() + metrics.records_discarded_disk_full.get()
}

/// A v9 export packet with its template and records of these numbers.
fn packet(first: u64, export_secs: u32) -> Vec<u8> {
    let mut packet = vec![0, 9, 0, 4, 0, 0, 0, 1];
    packet.extend(export_secs.to_be_bytes());
    packet.extend(((first / RECORDS) as u32).to_be_bytes());
    packet.extend([0, 0, 0, 7]);
    packet.extend([0, 0, 0, 16, 1, 0, 0, 2, 0, 148, 0, 8, 0, 1, 0, 4]);
    packet.extend([1, 0, 0, 4 + RECORDS as u8 * 12]);
    for number in first..first + RECORDS {
        packet.extend(number.to_be_bytes());
        packet.extend([0, 0, 0, 100]);
    }
    packet
}

/// The numbers in a file.
pub(super) fn numbers_of(bytes: Vec<u8>) -> Result<Vec<u64>, Box<dyn std::error::Error>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))?;
    let column = ProjectionMask::columns(builder.parquet_schema(), ["flow_id"]);
    let mut numbers = Vec::new();
    for batch in builder.with_projection(column).build()? {
        let batch = batch?;
        numbers.extend(
            batch.column(0).as_primitive::<Int64Type>().values().iter().map(|value| value.cast_unsigned()),
        );
    }
    Ok(numbers)
}

#[test]
fn a_power_loss_takes_no_more_than_was_not_synced() {
    let (mut n_losses_seen, mut n_lost, mut n_kept) = (0, 0, 0);
    for seed in 1..=n_losses() {
        let mut lives = Lives::new(seed);
        for _ in 0..3 {
            let at = lives.random.below(400);
            lives.fs.fail_at(at, Fault::Power);
            if let Ok(mut life) = Life::start(&lives.fs) {
                lives.live(&mut life, 60);
            }
            n_losses_seen += 1;
            lives.fs = lives.fs.after_power_loss();
            // A later sync is none of what is gone.
            lives.stored = lives.synced.clone();
            lives.visible();
        }
        let visible = lives.settle();
        let lost: Vec<_> = lives.synced.iter().filter(|number| !visible.contains_key(number)).collect();
        assert!(
            lost.is_empty(),
            "{}: synced and gone: {} of {}, {:?}",
            lives.name,
            lost.len(),
            lives.synced.len(),
            &lost[..lost.len().min(9)]
        );
        n_kept += visible.len();
        n_lost += lives.next as usize - visible.len();
    }
    println!("{n_losses_seen} power losses: {n_kept} records are there, {n_lost} were not synced");
    assert!(n_kept > 0 && n_lost > 0);
}

/// As kill -9: the disk goes on, and nothing the journal took is missing.
#[test]
fn a_crash_takes_nothing() {
    for seed in 1..=n_losses() {
        let mut lives = Lives::new(seed);
        for _ in 0..3 {
            let mut life = Life::start(&lives.fs).unwrap();
            let n_steps = lives.random.below(60);
            lives.live(&mut life, n_steps);
            lives.visible();
        }
        let visible = lives.settle();
        assert!(visible.into_keys().eq(0..lives.next), "{}", lives.name);
    }
}

/// What fills it many times over within a second is decoded as it comes, so room is made
/// long before a time is over.
#[test]
fn a_journal_of_the_least_size_takes_a_flood() {
    let fs = SimFs::new(Path::new("/disk"), 9);
    let bounds = Bounds { journal_bytes: 4 * SEGMENT_BYTES, ..Bounds::default() };
    let mut life = Life::start_as(&fs, &Config { bounds, ..config() }).unwrap();
    let (peer, received_at) = (([192, 0, 2, 1], 1).into(), Timestamp::from_secs(START_SECS));
    let (listener, transport) = (ListenerId(0), Transport::Udp);
    const PAYLOAD: &[u8] = &[0; 60_000];
    let n_blocks = 40 * SEGMENT_BYTES / PAYLOAD.len() as u64;
    for _ in 0..n_blocks {
        let mut block = Block::new(received_at);
        block.push(Datagram { payload: PAYLOAD, peer, listener, transport, received_at });
        assert!(life.accept(block));
    }
    assert_eq!(life.finish().datagrams_unjournaled.get(), 0);
}

#[test]
fn what_is_not_decoded_in_time_is_left_to_the_next_start() {
    for (ending_max, is_left) in [(Duration::MAX, false), (Duration::ZERO, true)] {
        let mut lives = Lives::new(13);
        let mut life = Life::start(&lives.fs).unwrap();
        lives.live(&mut life, 10);
        let n_before = lives.next;
        let queue = Queue::new(limits::QUEUE_BYTES_MAX, 1, Some(Arc::clone(&life.journal)));
        let mut n_queued = 0;
        for _ in 0..6 {
            let block = lives.block();
            n_queued += block.len() as u64;
            assert!(queue.push(block));
        }
        queue.finish();
        life.metrics.datagrams_received.add(n_queued);
        life.metrics.datagrams_in_flight.add(n_queued);
        let metrics = life.finish_with(&queue, ending_max);
        assert_eq!(metrics.datagrams_in_flight.get(), if is_left { n_queued } else { 0 });
        metrics.check_laws().unwrap();
        let n_visible = if is_left { n_before } else { lives.next };
        assert!(lives.visible().into_keys().eq(0..n_visible), "{ending_max:?}");
        assert!(lives.settle().into_keys().eq(0..lives.next), "{ending_max:?}");
    }
}

/// They stayed in flight for ever, as if the next start had them.
#[test]
fn what_the_journal_alone_had_and_lost_is_counted() {
    let mut lives = Lives::new(17);
    let mut life = Life::start(&lives.fs).unwrap();
    lives.live(&mut life, 10);
    // Memory has room for the first.
    let queue = Queue::new(0, 1, Some(Arc::clone(&life.journal)));
    let blocks: Vec<_> = (0..6).map(|_| lives.block()).collect();
    let n_first = blocks[0].len() as u64;
    let n_queued: u64 = blocks.iter().map(|block| block.len() as u64).sum();
    life.metrics.datagrams_received.add(n_queued);
    life.metrics.datagrams_in_flight.add(n_queued);
    assert!(blocks.into_iter().all(|block| queue.push(block)));
    queue.finish();
    for path in lives.files(|name| name.ends_with(".segment")) {
        let bytes = lives.fs.content(&path).unwrap();
        let file = lives.fs.shared().open(&path).unwrap();
        write_all_at(&*file, &vec![0; bytes.len()], 0).unwrap();
    }
    let metrics = life.finish_with(&queue, Duration::MAX);
    let unreadable = metrics.value("flowcap_datagrams_rejected_total{reason=\"unreadable\"}");
    assert_eq!((unreadable, metrics.datagrams_in_flight.get()), (Some(n_queued - n_first), 0));
}

#[test]
fn a_full_disk_drops_and_counts_until_there_is_room() {
    let mut lives = Lives::new(5);
    let mut life = Life::start(&lives.fs).unwrap();
    lives.live(&mut life, 40);
    const ROOM: u64 = 1 << 50;
    lives.fs.set_limit(ROOM);
    let free = lives.fs.shared().free_bytes(Path::new("/disk")).unwrap();
    lives.fs.set_limit(ROOM - free);
    lives.live(&mut life, 100);
    assert_eq!(life.metrics.disk_full.get(), 1);
    assert!(discarded(&life.metrics) > 0);
    // What had come before is visible, and nothing lies about.
    let when_full = lives.visible();
    assert!(!when_full.is_empty());
    assert!(lives.files(|name| parse_part_name(name).is_some()).is_empty());
    lives.fs.set_limit(u64::MAX);
    lives.live(&mut life, 40);
    assert_eq!(life.metrics.disk_full.get(), 0, "it goes on by itself");
    let n_discarded = discarded(&life.metrics);
    lives.live(&mut life, 40);
    let metrics = life.finish();
    assert_eq!(discarded(&metrics), n_discarded);
    let visible = lives.visible();
    assert!(when_full.keys().all(|number| visible.contains_key(number)));
    assert_eq!(visible.len() as u64 + n_discarded, lives.next);
}

#[test]
fn a_datagram_that_panics_is_kept_aside_and_all_others_count() {
    let mut lives = Lives::new(3);
    let rejected = |life: &Life| {
        let name = "flowcap_datagrams_rejected_total{reason=\"panicked\"}";
        life.metrics.value(name).unwrap()
    };
    let mut life = Life::start(&lives.fs).unwrap();
    lives.live(&mut life, 10);
    let mut block = lives.block();
    let (peer, received_at) = (([192, 0, 2, 1], 1).into(), Timestamp::from_secs(lives.now_secs));
    let (listener, transport) = (ListenerId(0), Transport::Udp);
    block.push(Datagram { payload: decode::PANICS, peer, listener, transport, received_at });
    life.accept(block);
    assert_eq!(rejected(&life), 1);
    let kept = lives.files(|name| name.ends_with(".datagram"));
    assert_eq!(kept.iter().map(|path| lives.fs.content(path).unwrap()).collect::<Vec<_>>(), [decode::PANICS]);
    // A crash, and the journal again: it panics once more, and nothing else comes of it.
    drop(life);
    let mut life = Life::start(&lives.fs).unwrap();
    assert_eq!(rejected(&life), 1);
    lives.live(&mut life, 10);
    life.finish();
    assert!(lives.settle().into_keys().eq(0..lives.next));
}

/// One operation fails, and all goes on. Returns how many there were.
fn survive(fault: Option<(u64, Fault)>, ends_well: bool) -> u64 {
    let mut lives = Lives::new(11);
    if let Some((at, fault)) = fault {
        lives.fs.fail_at(at, fault);
        lives.name = format!("{fault:?} at {at}, ends well: {ends_well}");
    }
    if let Ok(mut life) = Life::start(&lives.fs) {
        lives.live(&mut life, 20);
        let metrics = Arc::clone(&life.metrics);
        if ends_well {
            life.finish();
        } else {
            drop(life);
        }
        lives.n_discarded += discarded(&metrics);
        lives.n_discarded += metrics.datagrams_unjournaled.get() * RECORDS * u64::from(!ends_well);
    }
    assert_eq!(lives.fs.n_distrusted(), 0, "{}: a file is trusted that failed to sync", lives.name);
    let n_operations = lives.fs.n_operations();
    let failed = lives.fs.failed();
    lives.visible();
    lives.fs.forget_failures();
    // The next start meets it, if none has.
    match Life::start(&lives.fs) {
        Ok(life) => lives.n_discarded += discarded(&life.metrics),
        Err(error) => assert!(fault.is_some(), "{error}"),
    }
    lives.fs.fail_at(u64::MAX, Fault::Power);
    let visible = lives.settle();
    let n_missing = lives.next - visible.len() as u64;
    assert!(
        n_missing <= lives.n_discarded,
        "{}, {failed}: {n_missing} missing, {} counted",
        lives.name,
        lives.n_discarded
    );
    n_operations.max(lives.fs.n_operations())
}

/// Every seventh operation fails in one of the ways and one of the ends; `FAULTS=all`
/// takes each in all.
#[test]
fn any_operation_may_fail() {
    let faults =
        [Errno::EIO, Errno::ENOSPC, Errno::EMFILE].map(Fault::Error).into_iter().chain([Fault::Short]);
    let kinds: Vec<_> = faults.flat_map(|fault| [(fault, true), (fault, false)]).collect();
    let takes_all = std::env::var("FAULTS").is_ok_and(|text| text == "all");
    let n_operations = survive(None, true).max(survive(None, false));
    assert!(n_operations > 100, "{n_operations}");
    let mut n_survived = 0;
    for at in 0..n_operations {
        for (n, (fault, ends_well)) in kinds.iter().enumerate() {
            let is_its_turn = at % 7 == 0 && n as u64 == at / 7 % kinds.len() as u64;
            if takes_all || is_its_turn {
                survive(Some((at, *fault)), *ends_well);
                n_survived += 1;
            }
        }
    }
    println!("{n_survived} faults in {n_operations} operations, {} kinds", kinds.len());
}
