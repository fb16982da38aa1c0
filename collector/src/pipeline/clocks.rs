//! Clocks that jump, and exporters with wrong ones, over the whole path on a disk in
//! memory: no file is written over, no record is missing or there twice, and each lies
//! in a file of the slot it was received in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use bytes::Bytes;
use flow_common::layout::{Hierarchy, NFDUMP_HIERARCHIES, levels, parse_file_name};
use flow_common::time::Timestamp;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::failing::{Life, Lives, SLOT_SECS, START_SECS, config};
use crate::config::Config;

const DAY_SECS: i64 = 86_400;

/// First second that 31 bits do not count, and that 32 do not.
const YEAR_2038: i64 = 1 << 31;
const YEAR_2106: i64 = 1 << 32;

/// Clocks, second by second as datagrams come.
fn clocks() -> Vec<(&'static str, Vec<i64>)> {
    let noon = START_SECS;
    let slots_in_turn = (0..16).map(|n| noon + n % 2 * i64::from(SLOT_SECS)).collect();
    // 2026-10-25T01:00:00Z and 2026-11-01T06:00:00Z: an hour of local time comes twice.
    let over = |switch: i64| [-3_605, -3_595, -5, 5, 3_595, 3_605].map(|secs| switch + secs).to_vec();
    vec![
        (
            "a day on and back",
            vec![noon, noon + 5, noon + DAY_SECS, noon + DAY_SECS + 9, noon + 7, noon + 30],
        ),
        ("a day back and on", vec![noon, noon - DAY_SECS, noon - DAY_SECS + 25, noon + 1, noon + 21]),
        ("a day to and fro", (0..12).map(|n| noon + n + n % 3 * DAY_SECS).collect()),
        ("back within the slot", vec![noon + 19, noon + 3, noon + 18, noon, noon + 21]),
        (
            "back as far as is disorder, and further",
            vec![noon + 80, noon + 20, noon + 19, noon + 81, noon + 18],
        ),
        ("two slots in turn", slots_in_turn),
        ("two slots far apart in turn", (0..16).map(|n| noon + n % 2 * 3_600).collect()),
        ("end of summer time in Europe", over(1_792_890_000)),
        ("end of summer time in America", over(1_793_512_800)),
        ("2038", [-9, -1, 0, 1, 22].map(|secs| YEAR_2038 + secs).to_vec()),
        ("2038, and round to 1901", vec![YEAR_2038 - 1, -YEAR_2038, 1 - YEAR_2038, YEAR_2038 + 3]),
        ("2106", [-9, -1, 0, 1, 22].map(|secs| YEAR_2106 + secs).to_vec()),
        ("2106, and round to 1970", vec![YEAR_2106 - 1, 0, 1, YEAR_2106 + 3]),
        ("not set at the start", vec![0, 3, 21, noon, noon + 1, noon + 25]),
        ("the end of names", vec![Timestamp::LAST.secs() - 1, Timestamp::LAST.secs(), i64::MAX, noon]),
    ]
}

/// A disk, and its visible files as they were seen first.
struct Watched {
    lives: Lives,
    seen: BTreeMap<PathBuf, Vec<u8>>,
}

impl Watched {
    fn new(name: String) -> Self {
        let mut lives = Lives::new(7);
        lives.name = name;
        Self { lives, seen: BTreeMap::new() }
    }

    /// Two blocks come at this second of the collector's clock.
    fn receive(&mut self, life: &mut Life, secs: i64) {
        self.lives.now_secs = Timestamp::from_secs(secs).in_names().secs();
        for _ in 0..2 {
            let block = self.lives.block();
            life.accept(block);
        }
        self.look();
    }

    /// Whatever was visible is so still, unchanged.
    fn look(&mut self) {
        for path in self.lives.files(|name| parse_file_name(name).is_some()) {
            let content = self.lives.fs.content(&path).unwrap();
            self.seen.entry(path).or_insert(content);
        }
        for (path, content) in &self.seen {
            let now = self.lives.fs.content(path);
            assert!(now.as_ref() == Some(content), "{}: {} changed", self.lives.name, path.display());
        }
    }

    /// All numbers are there once, where they belong.
    fn end(mut self, life: Life) {
        life.finish();
        self.look();
        let name = self.lives.name.clone();
        assert!(self.lives.settle().into_keys().eq(0..self.lives.next), "{name}");
        for (path, content) in &self.seen {
            let file = path.file_name().unwrap().to_str().unwrap();
            let start_secs = parse_file_name(file).unwrap().0;
            let slot = start_secs..start_secs + i64::from(SLOT_SECS);
            let received = received_in(content.clone());
            assert!(!received.is_empty(), "{name}: {file} is empty");
            assert!(received.iter().all(|at| slot.contains(&at.secs())), "{name}: {file}: {received:?}");
        }
    }
}

/// When the rows of a file were received.
fn received_in(bytes: Vec<u8>) -> Vec<Timestamp> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).unwrap();
    let column = ProjectionMask::columns(builder.parquet_schema(), ["received"]);
    let batches = builder.with_projection(column).build().unwrap().map(Result::unwrap);
    let stamps = batches
        .flat_map(|batch| batch.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec());
    stamps.map(Timestamp).collect()
}

#[test]
fn a_clock_that_jumps_loses_nothing_and_writes_over_nothing() {
    for (name, clock) in clocks() {
        for crash_every in [usize::MAX, 2] {
            let mut watched = Watched::new(format!("{name}, a crash after each {crash_every}"));
            let mut life = Life::start(&watched.lives.fs).unwrap();
            for (n, &secs) in clock.iter().enumerate() {
                watched.receive(&mut life, secs);
                if (n + 1) % crash_every == 0 {
                    drop(life);
                    life = Life::start(&watched.lives.fs).unwrap();
                    watched.look();
                }
            }
            watched.end(life);
        }
    }
}

/// Ends in good order and starts again at each jump, as at a boot before the time is
/// known.
#[test]
fn a_start_at_any_time_goes_on_beside_what_is_there() {
    for (name, clock) in clocks() {
        let mut watched = Watched::new(format!("{name}, started each time"));
        for &secs in &clock {
            let mut life = Life::start(&watched.lives.fs).unwrap();
            watched.receive(&mut life, secs);
            life.finish();
            watched.look();
        }
        let life = Life::start(&watched.lives.fs).unwrap();
        watched.end(life);
    }
}

/// Files of each hierarchy lie where their own times say, in UTC.
#[test]
fn hierarchies_hold_whatever_the_clock_does() {
    let all = (0..NFDUMP_HIERARCHIES.len() as u8).map(Hierarchy::Nfdump);
    for hierarchy in all.chain([Hierarchy::Partitions]) {
        let as_it = Config { hierarchy, ..config() };
        for (name, clock) in clocks().into_iter().skip(7).step_by(2) {
            let mut watched = Watched::new(format!("{name}, {hierarchy:?}"));
            let mut life = Life::start_as(&watched.lives.fs, &as_it).unwrap();
            clock.iter().for_each(|&secs| watched.receive(&mut life, secs));
            watched.lives.name += ", ended";
            let root = Path::new("/disk/flows");
            let seen = {
                life.finish();
                watched.look();
                watched.seen.keys().cloned().collect::<Vec<_>>()
            };
            for path in &seen {
                let above = path.ancestors().nth(1 + levels(path));
                assert_eq!(above, Some(root), "{}: {}", watched.lives.name, path.display());
            }
            let life = Life::start_as(&watched.lives.fs, &as_it).unwrap();
            watched.end(life);
        }
    }
}

/// Where a record lies is the collector's affair alone.
#[test]
fn exporters_with_a_wrong_epoch_lose_nothing() {
    for now_secs in [START_SECS, YEAR_2038 + 7, YEAR_2106 + 7] {
        for export_secs in [0, 1, 86_400, i32::MAX as u32, 1 << 31, u32::MAX, now_secs as u32] {
            let mut watched = Watched::new(format!("export time {export_secs} at {now_secs}"));
            watched.lives.export_secs = export_secs;
            let mut life = Life::start(&watched.lives.fs).unwrap();
            for n in 0..4 {
                watched.receive(&mut life, now_secs + n * 9);
                // Its clock jumps, and then is right.
                watched.lives.export_secs = watched.lives.export_secs.wrapping_add(1 << 30);
            }
            watched.end(life);
        }
    }
}
