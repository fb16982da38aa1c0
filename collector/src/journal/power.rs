//! The journal on a disk that loses power, fails and fills up.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::*;
use crate::datagram::{Datagram, Transport};
use crate::fs::sim::{Fault, SimFs};
use crate::random::Random;

const ID: u64 = 7;
const SLOT: &str = "/disk/journal";

/// How many disks lose their power: `POWER_LOSSES`, for runs longer than the suite's.
fn n_losses() -> u64 {
    std::env::var("POWER_LOSSES").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

/// A journal, and what it was given in all its lives.
struct Lives {
    name: String,
    fs: SimFs,
    random: Random,
    /// Number of the block at each position, as long as it may still be there.
    appended: BTreeMap<u64, u64>,
    /// All that ever went to a position: what a power loss took may come back with the
    /// next, as long as nothing else lies there.
    ever: BTreeMap<u64, Vec<u64>>,
    next_number: u64,
    /// Positions before this were synced.
    synced: u64,
    /// Positions before this are not needed.
    released: u64,
}

impl Lives {
    fn new(seed: u64) -> Self {
        Self {
            name: format!("seed {seed}"),
            fs: SimFs::new(Path::new("/disk"), seed),
            random: Random::new(seed),
            appended: BTreeMap::new(),
            ever: BTreeMap::new(),
            next_number: 0,
            synced: 0,
            released: 0,
        }
    }

    fn open(&self) -> io::Result<Journal> {
        let metrics = Arc::new(Metrics::default());
        let listeners = vec![ListenerAddr { addr: ([127, 0, 0, 1], 9995).into(), is_stream: false }];
        let checkpoint = (self.released > 0).then_some((ID, self.released));
        let bytes_max = 8 * SEGMENT_BYTES;
        let opened =
            Journal::open(self.fs.shared(), Path::new(SLOT), checkpoint, ID, bytes_max, listeners, metrics)?;
        Ok(opened.journal)
    }

    /// One life: appends, syncs and releases until the disk fails or it was enough.
    fn live(&mut self, journal: &Journal, n_steps: u64) {
        let errors = journal.metrics.journal_errors.get();
        for _ in 0..n_steps {
            match self.random.below(10) {
                0 | 1 => {
                    let appended = self.appended.last_key_value().map(|(position, _)| *position + 1);
                    journal.sync();
                    if self.fs.is_dead() {
                        return;
                    }
                    if journal.metrics.journal_errors.get() == errors {
                        self.synced = self.synced.max(appended.unwrap_or(0));
                    }
                }
                2 => {
                    let nth = self.random.below(self.appended.len() as u64) as usize;
                    if let Some(position) = self.appended.keys().nth(nth).copied() {
                        journal.release(position);
                        self.released = self.released.max(position);
                        self.appended = self.appended.split_off(&self.released);
                    }
                }
                _ => self.append(journal),
            }
            if self.fs.is_dead() {
                return;
            }
        }
    }

    fn append(&mut self, journal: &Journal) {
        let length =
            20 + if self.random.below(4) == 0 { self.random.below(300_000) } else { self.random.below(900) };
        let mut payload = self.next_number.to_le_bytes().to_vec();
        payload.resize(length as usize, self.next_number as u8);
        let mut block = Block::new(Timestamp(self.next_number as i64));
        block.push(Datagram {
            payload: &payload,
            peer: ([192, 0, 2, 1], 1).into(),
            listener: ListenerId(0),
            transport: Transport::Udp,
            received_at: Timestamp(1),
        });
        let number = self.next_number;
        self.next_number += 1;
        if let Some(appended) = journal.append(&mut block)
            && appended.is_stored
        {
            assert_eq!(self.appended.insert(appended.start, number), None, "a position is used again");
            self.ever.entry(appended.start).or_default().push(number);
        }
    }

    /// What a new life reads: everything synced, nothing else than was appended there.
    fn check(&mut self, journal: &Journal, is_all_there: bool) -> u64 {
        let (mut at, to) = (self.released, journal.live_from());
        let n_errors = journal.metrics.journal_errors.get();
        let mut found = BTreeMap::new();
        while let Some((block, end)) = journal.read(at, to) {
            let start = end - block.bytes() as u64;
            assert!(start >= at && end > at, "reading goes on");
            let datagrams: Vec<_> = block.iter().map(|datagram| datagram.payload.to_vec()).collect();
            let [payload] = &datagrams[..] else { panic!("{} datagrams", datagrams.len()) };
            let number = u64::from_le_bytes(payload[..8].try_into().unwrap());
            assert!(payload[8..].iter().all(|octet| *octet == number as u8), "torn");
            let was_there = self.ever.get(&start).is_some_and(|numbers| numbers.contains(&number));
            assert!(was_there, "{}: {number} was never at {start}", self.name);
            found.insert(start, number);
            at = end;
        }
        // What can't be read is passed over, and said.
        if self.fs.is_dead() || journal.metrics.journal_errors.get() > n_errors {
            return 0;
        }
        let lost: Vec<_> =
            self.appended.range(self.released..).filter(|(at, _)| !found.contains_key(at)).collect();
        let must = lost.iter().find(|(at, _)| is_all_there || **at < self.synced);
        assert_eq!(
            must,
            None,
            "{} synced to {}, read {} of {}",
            self.name,
            self.synced,
            found.len(),
            self.appended.len()
        );
        let n_lost = lost.len() as u64;
        self.appended = found;
        n_lost
    }
}

#[test]
fn a_power_loss_takes_no_more_than_was_not_synced() {
    let (mut n_lost, mut n_kept) = (0, 0);
    for seed in 1..=n_losses() {
        let mut lives = Lives::new(seed);
        for _ in 0..4 {
            let at = lives.fs.n_operations() + lives.random.below(120);
            lives.fs.fail_at(at, Fault::Power);
            if let Ok(journal) = lives.open() {
                n_lost += lives.check(&journal, false);
                n_kept += lives.appended.len() as u64;
                lives.live(&journal, 200);
            }
            lives.fs = lives.fs.after_power_loss();
        }
    }
    println!("{n_kept} blocks were there again, {n_lost} were not synced");
    assert!(n_kept > 0 && n_lost > 0, "{n_kept} {n_lost}");
}

/// As kill -9: the disk goes on, and nothing at all is missing.
#[test]
fn a_crash_takes_nothing() {
    for seed in 1..=n_losses() / 5 {
        let mut lives = Lives::new(seed);
        for _ in 0..4 {
            let journal = lives.open().unwrap();
            assert_eq!(lives.check(&journal, true), 0, "seed {seed}");
            lives.live(&journal, 100);
        }
    }
}

/// Whatever operation fails, and however: the journal goes on, trusts no file that
/// failed to sync, and has what it said it has. Returns how many operations there were.
fn survive(fault: Option<(u64, Fault)>) -> u64 {
    let mut lives = Lives::new(3);
    if let Some((at, fault)) = fault {
        lives.fs.fail_at(at, fault);
        lives.name = format!("{fault:?} at {at}");
    }
    for _ in 0..2 {
        if let Ok(journal) = lives.open() {
            lives.check(&journal, true);
            lives.live(&journal, 60);
            assert_eq!(lives.fs.n_distrusted(), 0, "{}: a file is trusted that failed to sync", lives.name);
        }
        lives.fs.forget_failures();
    }
    let n_operations = lives.fs.n_operations();
    lives.fs.fail_at(u64::MAX, Fault::Power);
    let journal = lives.open().unwrap();
    lives.check(&journal, true);
    drop(journal);
    lives.fs = lives.fs.after_power_loss();
    let journal = lives.open().unwrap();
    lives.check(&journal, false);
    n_operations
}

#[test]
fn any_operation_may_fail() {
    let n_operations = survive(None);
    assert!(n_operations > 100, "{n_operations}");
    for at in 0..n_operations {
        for errno in [Errno::EIO, Errno::ENOSPC, Errno::EMFILE] {
            survive(Some((at, Fault::Error(errno))));
        }
        survive(Some((at, Fault::Short)));
    }
}

/// Of a disk that is full the journal takes nothing, and goes on when there is room.
#[test]
fn a_full_disk_is_used_again_when_there_is_room() {
    let mut lives = Lives::new(5);
    let journal = lives.open().unwrap();
    lives.fs.set_limit(2 * SEGMENT_BYTES);
    for _ in 0..100 {
        lives.append(&journal);
        journal.sync();
    }
    let n_stored = lives.appended.len();
    assert!(journal.metrics.datagrams_unjournaled.get() > 0, "the disk is full");
    lives.fs.set_limit(u64::MAX);
    for _ in 0..10 {
        lives.append(&journal);
    }
    assert_eq!(lives.appended.len(), n_stored + 10);
    let journal = lives.open().unwrap();
    assert_eq!(lives.check(&journal, true), 0);
}

/// Room that can't be taken in advance takes nothing from the segments there are.
#[test]
fn a_disk_without_room_for_more_segments_fills_those_there_are() {
    let mut lives = Lives::new(6);
    let journal = lives.open().unwrap();
    while journal.used_bytes() < 3 * SEGMENT_BYTES {
        lives.append(&journal);
    }
    // As many again would be taken in advance, and there is room for one.
    lives.fs.set_limit(4 * SEGMENT_BYTES + SEGMENT_BYTES / 2);
    journal.sync();
    assert!(!journal.look().is_failing);
    assert_eq!(journal.look().n_segments, 4);
    while journal.used_bytes() < 4 * SEGMENT_BYTES {
        lives.append(&journal);
    }
    assert_eq!(journal.metrics.datagrams_unjournaled.get(), 0);
    // A start takes one in advance.
    lives.fs.set_limit(u64::MAX);
    let journal = lives.open().unwrap();
    assert_eq!(lives.check(&journal, true), 0);
}
