//! Slots that are open, or close while they are read: each row is seen once.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Bench, Fixture, Row, write};

/// Slots that close while they are read, and parts of each.
const ROUNDS: usize = 300;
const PARTS: usize = 6;

/// Threads that read them.
const READERS: usize = 3;

const HOUR: &str = "date=2026-05-28/hour=20";

fn flow(serial: i64) -> Row {
    Row::flow((serial, serial + 1), 17, ("10.0.0.1", 1), ("10.0.0.2", serial), (1, 100))
}

/// Writes a file of one flow for each serial number below the hour.
fn save(bench: &Bench, name: &str, serials: std::ops::Range<i64>, replaces: &[&str]) {
    let fixture = Fixture { replaces, ..Fixture::default() };
    write(&bench.path(&format!("{HOUR}/{name}")), &serials.map(flow).collect::<Vec<_>>(), &fixture);
}

/// Serial numbers of the records, in the order they come.
#[track_caller]
fn serials(bench: &Bench, args: &[&str]) -> Vec<i64> {
    let (code, stdout, stderr) = bench.run_raw(&[args, &["-o", "csv"]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    let ports = stdout.lines().skip(1).filter_map(|line| line.split(',').nth(6));
    ports.map(|port| port.parse().unwrap()).collect()
}

/// A slot closed, the next being closed, and one that is open.
fn tree() -> Bench {
    let bench = Bench::empty();
    save(&bench, "flowcap.202605282025.parquet", 0..2, &[".flowcap.202605282025.0000.part"]);
    let replaced = ".flowcap.202605282030.0000.part";
    save(&bench, "flowcap.202605282030.parquet", 2..4, &["../x", replaced, "a.parquet"]);
    save(&bench, ".flowcap.202605282030.0000.part", 2..4, &[]);
    save(&bench, ".flowcap.202605282030.0001.part", 4..5, &[]);
    save(&bench, "flowcap.202605282035.parquet", 5..6, &[]);
    save(&bench, "flowcap.202605282035.1.parquet", 6..7, &[]);
    save(&bench, ".flowcap.202605282035.0000.part", 7..8, &[]);
    save(&bench, ".flowcap.202605282035.0001.part", 8..10, &[]);
    save(&bench, "flowcap.202605282040.parquet", 10..11, &[]);
    for name in [".flowcap.202605282035.0002.part.tmp", ".flowcap.202605282035.0002.tmp", ".flowcap.x.part"] {
        fs::write(bench.path(&format!("{HOUR}/{name}")), "half a part").unwrap();
    }
    bench
}

#[test]
fn parts_of_open_slots_are_read_after_the_files_of_their_slot() {
    let bench = tree();
    let check = |args: &[&str], expected: std::ops::Range<i64>| {
        assert_eq!(serials(&bench, args), expected.collect::<Vec<_>>(), "{args:?}");
    };
    check(&["-r", "@"], 0..11);
    check(&["-r", &format!("@/{HOUR}")], 0..11);
    check(&["-R", "@"], 0..11);
    check(&["-R", &format!("@/{HOUR}/flowcap.202605282035.1.parquet")], 6..11);
    check(&["-R", &format!("@/{HOUR}/flowcap.202605282030.parquet:flowcap.202605282035.parquet")], 2..6);
    // What replaces a part need not be asked for.
    check(&["-R", &format!("@/{HOUR}/.flowcap.202605282030.0000.part:flowcap.202605282035.parquet")], 4..6);
    check(&["-r", &format!("@/{HOUR}/.flowcap.202605282035.0001.part")], 8..10);
    check(&["-r", &format!("@/{HOUR}/.flowcap.202605282030.0000.part")], 2..4);
    check(&["-r", "@", "-c", "9"], 0..9);
    check(&["-r", "@", "dst port 8"], 8..9);
}

#[test]
fn totals_and_statistics_hold_parts() {
    let bench = tree();
    let check = |args: &[&str], expected: &str| {
        let (code, stdout, stderr) = bench.run_raw(&[&["-r", "@"], args].concat());
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert!(stdout.contains(expected), "{args:?}: {stdout}");
    };
    check(&["-I"], "Flows: 11\n");
    check(&["-o", "null"], "Summary: total flows: 11, total bytes: 1100, total packets: 11,");
    check(&["-s", "srcip", "-o", "csv"], ",11,100.0,11,100.0,1100,100.0,");
}

#[test]
fn a_damaged_part_is_named_and_a_damaged_file_replaces_nothing() {
    let bench = tree();
    fs::write(bench.path(&format!("{HOUR}/flowcap.202605282030.parquet")), "damaged").unwrap();
    fs::write(bench.path(&format!("{HOUR}/.flowcap.202605282035.0000.part")), "torn").unwrap();
    let (code, stdout, stderr) = bench.run_raw(&["-r", &format!("@/{HOUR}"), "-q", "-o", "fmt:%dp"]);
    let ports: Vec<i64> = stdout.lines().map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!((code, ports.as_slice()), (3, &[0, 1, 2, 3, 4, 5, 6, 8, 9, 10][..]), "{stderr}");
    let named: Vec<_> = stderr.lines().map(|line| line.split('`').nth(1).unwrap()).collect();
    let [first, second] = named[..] else { panic!("{stderr}") };
    assert!(first.ends_with("/flowcap.202605282030.parquet"), "{first}");
    assert!(second.ends_with("/.flowcap.202605282035.0000.part"), "{second}");
}

/// Slots close one after another while they are read; each in a directory of its own.
#[test]
fn each_row_is_seen_once_while_its_slot_closes() {
    let bench = Bench::empty();
    let part = |n: usize| format!(".flowcap.202605282025.{n:04}.part");
    let names: Vec<_> = (0..PARTS).map(part).collect();
    for (n, name) in (0..).zip(&names) {
        save(&bench, name, n..n + 1, &[]);
    }
    let visible = "flowcap.202605282025.parquet";
    save(&bench, visible, 0..PARTS as i64, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let master = |name: &str| bench.path(&format!("{HOUR}/{name}"));
    let slot = |round: usize| bench.path(&format!("{round}"));
    fs::create_dir(slot(0)).unwrap();
    // The slot, and how many of its parts are there.
    let state = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Files come to be under their names whole, as by the collector's renames.
            let publish =
                |round: usize, name: &str| fs::hard_link(master(name), slot(round).join(name)).unwrap();
            let pause = |n: usize| std::thread::sleep(Duration::from_micros(n as u64 * 7 % 300));
            for round in 0..ROUNDS {
                for (n, name) in names.iter().enumerate() {
                    publish(round, name);
                    state.store(round * 16 + n + 1, Ordering::SeqCst);
                    pause(round * 13 + n * 31);
                }
                publish(round, visible);
                // The directory's order is not that of the names.
                for (n, name) in names.iter().enumerate() {
                    pause(round * 17 + n * 5);
                    fs::remove_file(slot(round).join(name)).unwrap();
                }
                fs::create_dir(slot(round + 1)).unwrap();
                state.store((round + 1) * 16, Ordering::SeqCst);
            }
        });
        for _ in 0..READERS {
            scope.spawn(|| read_each(&bench, &state));
        }
    });
}

/// Reads the slot that is written now until there is none.
fn read_each(bench: &Bench, state: &AtomicUsize) {
    loop {
        let now = state.load(Ordering::SeqCst);
        let (round, published) = (now / 16, now % 16);
        if round == ROUNDS {
            break;
        }
        if published == 0 {
            std::thread::yield_now();
            continue;
        }
        let read = serials(bench, &["-r", &format!("@/{round}")]);
        let is_whole = (published..=PARTS).contains(&read.len());
        assert!(is_whole && read.iter().copied().eq(0..read.len() as i64), "{published} parts: {read:?}");
    }
}
