//! Exporters that come and go, over the whole path in one thread: templates of other
//! layouts under an id, data before its template, slots that end between the two. Every
//! record that was sent is visible once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use flow_common::layout::parse_file_name;
use flow_common::time::Timestamp;

use super::failing::{Life, START_SECS, config, numbers_of};
use crate::config::Config;
use crate::datagram::{Block, Datagram, ListenerId, Transport};
use crate::fs::sim::SimFs;
use crate::lifetime::Lifetimes;
use crate::random::Random;

/// Exporters that send in turn.
const ALIVE: u64 = 16;
const RECORDS: u64 = 24;
const SLOT_SECS: u32 = 5;

/// Elements beside the number of a record, and their octets.
const ELEMENTS: [(u16, u16); 10] =
    [(1, 8), (2, 4), (8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (10, 4), (14, 4), (152, 8)];

/// One exporter while it lives.
struct Exporter {
    peer: SocketAddr,
    is_v9: bool,
    domain: u32,
    sequence: u32,
    template_id: u16,
    fields: Vec<(u16, u16)>,
    n_until_template: u64,
    n_left: u64,
}

impl Exporter {
    fn new(random: &mut Random) -> Self {
        let octet = random.below(250) as u8;
        Self {
            peer: SocketAddr::from(([127, 1, octet % 16, octet], 32_768 + random.below(28_000) as u16)),
            is_v9: random.below(2) == 0,
            domain: random.below(1 << 20) as u32,
            sequence: 0,
            template_id: 256 + random.below(100) as u16,
            fields: layout(random),
            n_until_template: random.below(3).saturating_sub(1),
            n_left: 2 + random.below(40),
        }
    }

    fn send(&mut self, first: u64, random: &mut Random) -> Vec<u8> {
        let has_template = self.n_until_template == 0;
        let payload = self.datagram(has_template, first);
        self.sequence = self.sequence.wrapping_add(if self.is_v9 { 1 } else { RECORDS as u32 });
        self.n_left -= 1;
        self.n_until_template = match self.n_until_template {
            0 => {
                let n_until = 1 + random.below(20);
                if random.below(3) == 0 {
                    self.fields = layout(random);
                    0
                } else {
                    n_until
                }
            }
            n => n - 1,
        };
        payload
    }

    fn datagram(&self, has_template: bool, first: u64) -> Vec<u8> {
        let mut sets = Vec::new();
        if has_template {
            let n_bytes = 8 + 4 * self.fields.len() as u16;
            let set_id = if self.is_v9 { 0 } else { 2 };
            for word in [set_id, n_bytes, self.template_id, self.fields.len() as u16] {
                sets.extend(word.to_be_bytes());
            }
            for &(element, length) in &self.fields {
                sets.extend(element.to_be_bytes());
                sets.extend(length.to_be_bytes());
            }
        }
        let record_bytes: u16 = self.fields.iter().map(|&(_, length)| length).sum();
        sets.extend(self.template_id.to_be_bytes());
        sets.extend((4 + RECORDS as u16 * record_bytes).to_be_bytes());
        for number in first..first + RECORDS {
            for &(element, length) in &self.fields {
                let value =
                    if element == 148 { number } else { number.wrapping_mul(u64::from(element)) & 0xffff };
                sets.extend(&value.to_be_bytes()[8 - usize::from(length)..]);
            }
        }
        let mut message = Vec::new();
        if self.is_v9 {
            message.extend(9_u16.to_be_bytes());
            message.extend((RECORDS as u16 + u16::from(has_template)).to_be_bytes());
            message.extend(3_600_000_u32.to_be_bytes());
        } else {
            message.extend(10_u16.to_be_bytes());
            message.extend((16 + sets.len() as u16).to_be_bytes());
        }
        message.extend((START_SECS as u32).to_be_bytes());
        message.extend(self.sequence.to_be_bytes());
        message.extend(self.domain.to_be_bytes());
        message.extend(sets);
        message
    }
}

fn layout(random: &mut Random) -> Vec<(u16, u16)> {
    let mut fields: Vec<_> = ELEMENTS.into_iter().filter(|_| random.below(3) > 0).collect();
    fields.insert(random.below(fields.len() as u64 + 1) as usize, (148, 8));
    fields
}

/// How many datagrams are sent: `CHURN_DATAGRAMS`, for runs longer than the suite's.
fn n_datagrams() -> u64 {
    std::env::var("CHURN_DATAGRAMS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000)
}

/// What was sent, and what of it was visible.
struct Churn {
    fs: SimFs,
    random: Random,
    alive: Vec<Exporter>,
    now: Timestamp,
    n_sent: u64,
    seen: BTreeSet<u64>,
}

impl Churn {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let alive = (0..ALIVE).map(|_| Exporter::new(&mut random)).collect();
        let (fs, now) = (SimFs::new(Path::new("/disk"), seed), Timestamp::from_secs(START_SECS));
        Self { fs, random, alive, now, n_sent: 0, seen: BTreeSet::new() }
    }

    fn start(&self) -> Life {
        let lifetimes = Lifetimes { session_idle_secs: Some(60), ..Lifetimes::default() };
        Life::start_as(&self.fs, &Config { slot_secs: SLOT_SECS, lifetimes, ..config() }).unwrap()
    }

    /// What comes in one burst, some time after the last.
    fn block(&mut self) -> Block {
        let random = &mut self.random;
        self.now.0 += match random.below(200) {
            0 => random.below(9_000_000),
            1..20 => random.below(400_000),
            _ => random.below(8_000),
        } as i64;
        let mut block = Block::new(self.now);
        let n_most = if random.below(10) == 0 { 64 } else { 5 };
        for _ in 0..random.below(n_most) {
            let chosen = self.random.below(ALIVE) as usize;
            self.send(chosen, &mut block);
            let exporter = &self.alive[chosen];
            if self.random.below(50) == 0 {
                let payload = exporter.datagram(false, u64::MAX >> 1);
                let n_bytes = 1 + self.random.below(payload.len() as u64 - 1);
                push(&mut block, exporter.peer, &payload[..n_bytes as usize], self.now);
            }
            if exporter.n_left == 0 {
                self.alive[chosen] = Exporter::new(&mut self.random);
            }
        }
        block
    }

    fn send(&mut self, chosen: usize, block: &mut Block) {
        let exporter = &mut self.alive[chosen];
        let payload = exporter.send(self.n_sent * RECORDS, &mut self.random);
        self.n_sent += 1;
        push(block, exporter.peer, &payload, self.now);
    }

    /// Data that waits gets its template.
    fn last_block(&mut self) -> Block {
        let mut block = Block::new(self.now);
        for chosen in 0..self.alive.len() {
            if self.alive[chosen].n_until_template == 0 {
                self.send(chosen, &mut block);
            }
        }
        block
    }

    /// Reads the visible files, and takes them away.
    fn look(&mut self) {
        for path in self.fs.files() {
            if parse_file_name(&path.file_name().unwrap().to_string_lossy()).is_some() {
                let numbers = numbers_of(self.fs.content(&path).unwrap()).unwrap();
                let twice: Vec<_> = numbers.into_iter().filter(|number| !self.seen.insert(*number)).collect();
                assert!(twice.is_empty(), "{}: {twice:?}", path.display());
                self.fs.shared().remove(&path).unwrap();
            }
        }
    }
}

fn push(block: &mut Block, peer: SocketAddr, payload: &[u8], received_at: Timestamp) {
    let (listener, transport) = (ListenerId(0), Transport::Udp);
    block.push(Datagram { payload, peer, listener, transport, received_at });
}

/// Now and then it is killed, and starts again.
#[test]
fn of_exporters_that_come_and_go_nothing_is_lost() {
    for seed in 1..=3 {
        let mut churn = Churn::new(seed);
        let mut life = churn.start();
        let (mut n_blocks, mut n_kills) = (0_u64, 0);
        while churn.n_sent < n_datagrams() {
            life.accept(churn.block());
            n_blocks += 1;
            if churn.random.below(100) == 0 {
                drop(life);
                life = churn.start();
                n_kills += 1;
            }
            if n_blocks.is_multiple_of(1_000) {
                churn.look();
            }
        }
        life.accept(churn.last_block());
        let metrics = life.finish();
        churn.look();
        let n_records = churn.n_sent * RECORDS;
        let missing = (0..n_records).filter(|number| !churn.seen.contains(number));
        let missing: Vec<_> = missing.step_by(RECORDS as usize).take(9).collect();
        assert!(missing.is_empty(), "seed {seed}: {missing:?} of {n_records}\n{metrics}");
        assert_eq!((churn.seen.len() as u64, metrics.datagrams_waiting.get()), (n_records, 0), "seed {seed}");
        assert!(n_kills > 0, "seed {seed}");
    }
}
