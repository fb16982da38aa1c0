//! Hours are compacted on a disk that loses power between any two operations.

use std::fs::Permissions;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use flow_common::column::{ColumnId, ExtraColumn};
use flow_common::element::{AbstractDataType, ElementKey};
use flow_common::layout::{Hierarchy, Slot};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::flow::FlowBatch;
use crate::fs::RealFs;
use crate::fs::sim::{Fault, SimFs};
use crate::trees::Tree;
use crate::writer::{Content, FileOptions, SlotFacts, Store};

const ROOT: &str = "/disk/flows";
const NOON: i64 = 1_795_262_400;
const SLOTS: i64 = 3;
const ROWS: i64 = 40;

fn store_of(fs: &SimFs, ident: &str, elements: Vec<ExtraColumn>) -> Store {
    let tree = Tree { root: ROOT.into(), ident: ident.to_owned() };
    let (hierarchy, compression) = (Hierarchy::Partitions, Compression::Lz4);
    Store::new(fs.shared(), tree, FileOptions { hierarchy, elements, compression })
}

/// Adds a visible file with rows of these serial numbers; its name.
fn add(fs: &SimFs, slot: Slot, serials: Range<i64>) -> String {
    add_to(&store_of(fs, "none", Vec::new()), slot, serials)
}

fn add_to(store: &Store, slot: Slot, serials: Range<i64>) -> String {
    let mut batch = FlowBatch::default();
    for serial in serials.clone() {
        batch.int64(ColumnId::Received).push(Some(slot.start_secs * 1_000_000 + serial));
        batch.address(ColumnId::ExporterAddr).push(Some([(serial % 3) as u8; 16]));
        batch.int32(ColumnId::ExportVersion).push(Some(9));
        batch.int64(ColumnId::Bytes).push(Some(serial));
        batch.int64(ColumnId::InIf).push((serial % 2 == 0).then_some(-serial));
        batch.variable(ColumnId::Username).push((serial % 5 > 0).then_some(b"someone"));
        let maps = batch.maps(ColumnId::Other);
        maps.keys.push(serial);
        maps.values.push(Some(&serial.to_be_bytes()));
        if let Some(element) = elements().first().filter(|_| serial % 4 == 0) {
            maps.keys.push(element.key.to_other_key(0));
            maps.values.push(Some(&serial.to_be_bytes()));
        }
        maps.ends.push(maps.keys.len() as i32);
    }
    batch.add_rows(serials.count());
    let directory = store.directory(slot, Content::Flows);
    durable::create_directory(&**store.fs(), &directory).unwrap();
    let encoded = store.encode(slot, Content::Flows, &mut batch, SlotFacts::default(), None).unwrap();
    let mut part = store.write_part(Content::Flows, &encoded, &mut 0).unwrap();
    store.sync(&mut part).unwrap();
    store.sync_directory(&directory).unwrap();
    let published = store.publish(slot, Content::Flows, vec![part], true);
    assert!(published.error.is_none());
    published.files[0].0.file_name().unwrap().to_str().unwrap().to_owned()
}

/// A column of an operator, of an element nobody knows.
fn elements() -> Vec<ExtraColumn> {
    let key = ElementKey { pen: 9, id: 1 };
    vec![ExtraColumn::new("my_rtt", key, AbstractDataType::Unsigned64).unwrap()]
}

fn slot(n: i64) -> Slot {
    Slot { start_secs: NOON + n * 300, end_secs: NOON + (n + 1) * 300 }
}

fn disk() -> SimFs {
    let fs = SimFs::new(Path::new(ROOT), 5);
    (0..SLOTS).for_each(|n| drop(add(&fs, slot(n), n * ROWS..(n + 1) * ROWS)));
    fs
}

fn run(fs: &SimFs, is_over: &dyn Fn() -> bool) -> (Outcome, Vec<String>) {
    run_at(fs, Path::new(ROOT), is_over)
}

fn run_at(fs: &dyn Fs, root: &Path, is_over: &dyn Fn() -> bool) -> (Outcome, Vec<String>) {
    let circumstances = Circumstances {
        fs,
        compression: Compression::Lz4,
        now: Timestamp::from_secs(NOON + 3 * 3_600),
        after_secs: limits::COMPACTION_AFTER_SECS_DEFAULT,
        elapsed: &|| Duration::ZERO,
        is_dry: false,
        is_over,
    };
    let mut told = Vec::new();
    let tree = KeptTree::only(root);
    let outcome = compact(&tree, &circumstances, &mut |event| told.push(event.text(false)));
    (outcome.unwrap_or_default(), told)
}

/// Compacts, and removes what was replaced.
fn run_whole(fs: &SimFs) -> Outcome {
    let (outcome, _) = run(fs, &|| false);
    forget(fs, &outcome.replaced);
    outcome
}

/// Serial numbers of the rows that readers find, in order; each row is whole.
fn serials(fs: &SimFs) -> Vec<i64> {
    let mut serials = Vec::new();
    let hidden =
        |path: &Path| path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
    for path in fs.files().iter().filter(|path| !hidden(path)) {
        let bytes = bytes::Bytes::from(fs.content(path).unwrap());
        let rtt = |read: &RecordBatch, row: usize| {
            let column = read.column_by_name("my_rtt")?.as_primitive::<Int64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        for read in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
            let mut batch = FlowBatch::default();
            let read = read.unwrap();
            rows::append(&mut batch, &read).unwrap();
            for row in 0..batch.rows() {
                let serial = batch.integer(ColumnId::Bytes, row).unwrap();
                assert_eq!(batch.address_at(ColumnId::ExporterAddr, row), Some([(serial % 3) as u8; 16]));
                assert_eq!(batch.integer(ColumnId::InIf, row), (serial % 2 == 0).then_some(-serial));
                assert_eq!(batch.bytes_at(ColumnId::Username, row).is_some(), serial % 5 > 0);
                let octets = serial.to_be_bytes();
                let other: Vec<_> = batch.other_at(row).collect();
                assert_eq!(other[0], (serial, &octets[..]));
                // In its column, or with all other elements.
                let key = elements()[0].key.to_other_key(0);
                let of_element = other[1..].iter().copied();
                let in_column = rtt(&read, row).map(|value| (key, value.to_be_bytes()));
                let in_column = in_column.iter().map(|(key, value)| (*key, &value[..]));
                let expected = (serial % 4 == 0).then_some((key, &octets[..]));
                assert!(of_element.chain(in_column).eq(expected), "{serial}");
                serials.push(serial);
            }
        }
    }
    serials.sort_unstable();
    serials
}

fn files(fs: &SimFs) -> Vec<String> {
    let hour = Path::new(ROOT).join("date=2026-11-21");
    let name = |path: &PathBuf| Some(path.strip_prefix(&hour).ok()?.display().to_string());
    fs.files().iter().filter_map(name).collect()
}

#[test]
fn an_hour_becomes_one_file_and_what_comes_late_joins_it() {
    let fs = disk();
    let (outcome, _) = run(&fs, &|| false);
    assert_eq!((outcome.n_hours, outcome.n_files, outcome.n_failed), (1, 3, 0));
    assert_eq!(serials(&fs), (0..SLOTS * ROWS).collect::<Vec<_>>());
    assert_eq!(files(&fs).iter().filter(|name| name.ends_with(".parquet.replaced")).count(), 3);
    forget(&fs, &outcome.replaced);
    assert_eq!(files(&fs), ["hour=12/flowcap.202611211200.hour.parquet"]);
    assert_eq!(run(&fs, &|| false).0, Outcome::default(), "there is nothing left to do");
    add(&fs, slot(5), 120..130);
    run_whole(&fs);
    assert_eq!(files(&fs), ["hour=12/flowcap.202611211200.hour.1.parquet"]);
    assert_eq!(serials(&fs), (0..130).collect::<Vec<_>>());
    let path = Path::new(ROOT).join("date=2026-11-21").join(&files(&fs)[0]);
    let footer = read_part(&fs, &path).unwrap().footer;
    assert_eq!((footer.totals.all().flows, footer.compacts.len()), (130, 5));
    assert_eq!((footer.slot.start_secs, footer.slot.end_secs), (slot(0).start_secs, slot(5).end_secs));
}

#[test]
fn a_power_loss_at_any_operation_loses_and_doubles_no_row() {
    let whole: Vec<_> = (0..SLOTS * ROWS).collect();
    let mut n = 0;
    loop {
        let fs = disk();
        fs.fail_at(fs.n_operations() + n, Fault::Power);
        let (outcome, _) = run(&fs, &|| false);
        forget(&fs, &outcome.replaced);
        // What was only read is there in any case.
        let n_times = if fs.failed().starts_with("read_at") { 0 } else { 4 };
        for _ in 0..n_times {
            let after = fs.after_power_loss();
            assert_eq!(serials(&after), whole, "operation {n}: {}", fs.failed());
            let (outcome, told) = run(&after, &|| false);
            forget(&after, &outcome.replaced);
            assert_eq!(serials(&after), whole, "operation {n}: {}, {told:?}", fs.failed());
            assert_eq!(files(&after).len(), 1, "operation {n}: {}, {:?}", fs.failed(), files(&after));
        }
        if !fs.is_dead() {
            break;
        }
        n += 1;
    }
    assert!(n > 50, "{n} operations");
}

#[test]
fn what_fails_leaves_the_hour_as_it_was() {
    let whole: Vec<_> = (0..SLOTS * ROWS).collect();
    for n in 0.. {
        let fs = disk();
        let before = fs.n_operations();
        fs.fail_at(before + n, Fault::Error(Errno::ENOSPC));
        let (outcome, _) = run(&fs, &|| false);
        assert_eq!(serials(&fs), whole, "operation {n}: {}", fs.failed());
        if fs.n_operations() <= before + n {
            break;
        }
        forget(&fs, &outcome.replaced);
        let (outcome, _) = run(&fs, &|| false);
        forget(&fs, &outcome.replaced);
        assert_eq!(serials(&fs), whole, "operation {n}: {}", fs.failed());
        assert_eq!(files(&fs).len(), 1, "operation {n}: {}, {:?}", fs.failed(), files(&fs));
    }
}

#[test]
fn hours_with_something_else_and_a_stop_leave_files_alone() {
    let fs = disk();
    let before = files(&fs);
    let n = std::cell::Cell::new(0);
    run(&fs, &|| n.replace(n.get() + 1) > 4);
    assert_eq!(files(&fs), before, "told to end");
    let hour = Path::new(ROOT).join("date=2026-11-21/hour=12");
    for name in ["notes.txt", ".flowcap.202611211205.0000.part", "flowcap.202611211305.parquet"] {
        fs.create_new(&hour.join(name)).unwrap();
        let (outcome, told) = run(&fs, &|| false);
        assert_eq!((outcome, told.len()), (Outcome::default(), 1), "{name}: {told:?}");
        fs.remove(&hour.join(name)).unwrap();
    }
    fs.create_new(&hour.join("flowcap.202611211250.parquet")).unwrap();
    let (outcome, told) = run(&fs, &|| false);
    assert!(outcome.n_failed == 1 && told[0].contains("stays as it is"), "{told:?}");
}

#[test]
fn a_late_file_never_has_a_name_that_a_compacted_one_stands_for() {
    let fs = disk();
    assert_eq!(add(&fs, slot(1), 120..121), "flowcap.202611211205.1.parquet");
    run_whole(&fs);
    assert_eq!(add(&fs, slot(1), 121..122), "flowcap.202611211205.2.parquet");
    assert_eq!(add(&fs, slot(7), 122..123), "flowcap.202611211235.parquet");
    run_whole(&fs);
    assert_eq!(add(&fs, slot(1), 123..124), "flowcap.202611211205.3.parquet");
    assert_eq!(add(&fs, slot(7), 124..125), "flowcap.202611211235.1.parquet");
    assert_eq!(serials(&fs), (0..125).collect::<Vec<_>>());
}

#[test]
fn what_comes_late_at_any_operation_is_not_lost() {
    let n_whole = {
        let fs = disk();
        let before = fs.n_operations();
        run_whole(&fs);
        fs.n_operations() - before
    };
    let mut n_changed = 0;
    // Reading and writing come first, and are all alike.
    for n in (0..n_whole).filter(|n| n + 60 > n_whole || n % 9 == 0) {
        let fs = disk();
        fs.meanwhile(fs.n_operations() + n, |fs| {
            let name = add(fs, slot(1), 120..130);
            assert_eq!(name, "flowcap.202611211205.1.parquet");
        });
        let (outcome, told) = run(&fs, &|| false);
        n_changed += u64::from(told.iter().any(|line| line.contains("something came to it")));
        // It may be yet to come.
        let found = serials(&fs);
        assert!(
            [120, 130].iter().any(|end| found == (0..*end).collect::<Vec<_>>()),
            "operation {n}: {told:?}"
        );
        forget(&fs, &outcome.replaced);
        assert_eq!(serials(&fs), (0..130).collect::<Vec<_>>(), "operation {n}: {told:?}");
        run_whole(&fs);
        assert_eq!(files(&fs).len(), 1, "operation {n}: {:?}", files(&fs));
        assert_eq!(serials(&fs), (0..130).collect::<Vec<_>>(), "operation {n}: {told:?}");
    }
    assert!(n_changed > 10, "{n_changed} of {n_whole}");
}

#[test]
fn files_with_other_columns_or_identifiers_become_files_of_their_own() {
    let fs = disk();
    let (with_column, other_name) = (store_of(&fs, "none", elements()), store_of(&fs, "edge", Vec::new()));
    for (n, store) in [&with_column, &other_name, &with_column, &other_name].into_iter().enumerate() {
        let first = 120 + n as i64 * 10;
        add_to(store, slot(n as i64), first..first + 10);
    }
    let outcome = run_whole(&fs);
    assert_eq!((outcome.n_hours, outcome.n_files, outcome.n_failed), (1, 7, 0));
    let name = |n: &str| format!("hour=12/flowcap.202611211200.hour{n}.parquet");
    assert_eq!(files(&fs), [name(".1"), name(".2"), name("")]);
    assert_eq!(serials(&fs), (0..160).collect::<Vec<_>>());
    let read = |n| read_part(&fs, &Path::new(ROOT).join("date=2026-11-21").join(name(n))).unwrap();
    assert_eq!([read("").rows, read(".1").rows, read(".2").rows], [120, 20, 20]);
    assert_eq!((read(".1").footer.elements, read(".2").footer.ident), (elements(), "edge".to_owned()));
    assert_eq!(run_whole(&fs), Outcome::default(), "there is nothing left to do");
    assert_eq!(add_to(&other_name, slot(3), 160..170), "flowcap.202611211215.1.parquet");
    run_whole(&fs);
    assert_eq!(files(&fs), [name(".3"), name(".4"), name(".5")]);
    assert_eq!(serials(&fs), (0..170).collect::<Vec<_>>());
}

#[test]
fn an_hour_with_no_room_to_be_there_twice_stays() {
    let fs = disk();
    fs.set_limit(30_000);
    let (outcome, told) = run(&fs, &|| false);
    assert_eq!(outcome, Outcome::default());
    assert!(told.len() == 1 && told[0].contains("no room"), "{told:?}");
}

#[test]
fn a_tree_on_a_disk_keeps_modes_and_links_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let (root, elsewhere) = (directory.path().join("flows"), directory.path().join("elsewhere"));
    for root in [&root, &elsewhere] {
        let tree = Tree { root: root.clone(), ident: "none".to_owned() };
        let options = FileOptions {
            hierarchy: Hierarchy::Partitions,
            elements: Vec::new(),
            compression: Compression::Lz4,
        };
        let store = Store::new(RealFs::shared(), tree, options);
        (0..SLOTS).for_each(|n| drop(add_to(&store, slot(n), n * ROWS..(n + 1) * ROWS)));
    }
    let day = root.join("date=2026-11-21");
    let there = elsewhere.join("date=2026-11-21");
    std::os::unix::fs::symlink(&there, root.join("date=2026-11-22")).unwrap();
    std::os::unix::fs::symlink(there.join("hour=12"), day.join("hour=13")).unwrap();
    let mode = |path: &Path| system::metadata(path).unwrap().permissions().mode() & 0o7777;
    let chmod = |path: &Path, mode| system::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    chmod(&day.join("hour=12"), 0o2751);
    chmod(&day.join("hour=12/flowcap.202611211200.parquet"), 0o640);
    let (outcome, told) = run_at(&RealFs, &root, &|| false);
    assert_eq!((outcome.n_hours, outcome.n_failed), (1, 0), "{told:?}");
    assert!(day.join(".flowcap.replaced.hour=12/flowcap.202611211200.parquet.replaced").exists());
    forget(&RealFs, &outcome.replaced);
    assert_eq!(system::read_dir(&day).unwrap().count(), 2);
    let made = day.join("hour=12/flowcap.202611211200.hour.parquet");
    assert_eq!((mode(&day.join("hour=12")), mode(&made)), (0o2751, 0o640));
    assert_eq!(system::read_dir(there.join("hour=12")).unwrap().count(), 3);
    // A file that is a link, a directory beside that is one, and a copy for oneself.
    let name = "flowcap.202611211205.parquet";
    std::os::unix::fs::symlink(there.join("hour=12").join(name), day.join("hour=12").join(name)).unwrap();
    let (outcome, told) = run_at(&RealFs, &root, &|| false);
    assert!(outcome == Outcome::default() && told[0].contains("no file of flowcapd"), "{told:?}");
    system::remove_file(day.join("hour=12").join(name)).unwrap();
    std::os::unix::fs::symlink(&there, day.join(".flowcap.replaced.hour=12")).unwrap();
    let (outcome, told) = run_at(&RealFs, &root, &|| false);
    assert!(outcome.n_failed == 1 && told[0].contains("not a directory"), "{told:?}");
    system::create_dir(root.join("mine")).unwrap();
    RealFs.rename_new(&elsewhere, &root.join("mine/copy")).unwrap();
    system::remove_file(day.join(".flowcap.replaced.hour=12")).unwrap();
    assert_eq!(run_at(&RealFs, &root, &|| false), (Outcome::default(), Vec::new()));
}

/// Whoever begins to write into an hour waits while it is exchanged, and then writes into
/// the directory that has its name.
#[test]
fn a_lock_is_on_what_has_the_name_once_it_is_had() {
    let root = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| root.path().join(name));
    for path in [&one, &other] {
        system::create_dir(path).unwrap();
    }
    let alone = RealFs.lock_directory(&one, true).unwrap();
    let (told, waits) = std::sync::mpsc::channel();
    let path = one.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let lock = RealFs.lock_directory(&path, false).unwrap();
            system::write(path.join("late"), "").unwrap();
            told.send(()).unwrap();
            drop(lock);
        });
        assert!(waits.recv_timeout(Duration::from_millis(50)).is_err(), "it did not wait");
        RealFs.exchange(&one, &other).unwrap();
        drop(alone);
    });
    assert!(one.join("late").exists() && !other.join("late").exists());
}
