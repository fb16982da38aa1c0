//! Retention on real files, by a clock of the test.

use std::cell::RefCell;
use std::os::unix::fs::{MetadataExt, symlink};

use super::*;
use crate::cli;

const NOON: i64 = 1_795_262_400; // 2026-11-21T12:00:00Z
const DAY: u64 = 86_400;
const AGE: Rules = Rules { max_age_secs: Some(DAY), max_bytes: None, min_free: None };

/// The least that passes for a file of ours, `n_bytes` long.
fn ours(n_bytes: usize) -> Vec<u8> {
    parquet(b"\x16flowcap.schema_version", n_bytes)
}

fn parquet(footer: &[u8], n_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![7; n_bytes.saturating_sub(footer.len() + 8)];
    bytes.extend(footer);
    bytes.extend((footer.len() as u32).to_le_bytes());
    bytes.extend(b"PAR1");
    bytes
}

/// Files in a directory of the test.
struct Files(tempfile::TempDir);

impl Files {
    fn new(ours_at: &[&str]) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        ours_at.iter().for_each(|name| files.write(name, &ours(100_000)));
        files
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("tree")
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn bytes(&self, names: &[&str]) -> u64 {
        names.iter().map(|name| fs::metadata(self.root().join(name)).unwrap().blocks() * 512).sum()
    }

    fn tree(&self, rules: Rules) -> KeptTree {
        KeptTree { root: self.root(), rules, inner: Vec::new(), has_trees: false }
    }

    fn has(&self, name: &str) -> bool {
        self.root().join(name).symlink_metadata().is_ok()
    }

    /// Names of what goes, and of what is told to stay.
    fn retire(&self, tree: &KeptTree, is_dry: bool) -> (Vec<String>, Vec<String>) {
        let told = RefCell::new((Vec::new(), Vec::new()));
        let circumstances = Circumstances {
            now: Timestamp::from_secs(NOON),
            slot_secs: 300,
            is_dry,
            space: &|_| Ok(Space { free_bytes: 1_000, total_bytes: 10_000 }),
            is_over: &|| false,
        };
        let name = |path: &Path| path.strip_prefix(self.root()).unwrap().display().to_string();
        let mut tell = |event: Event<'_>| match event {
            Event::Deleted { path, .. } => told.borrow_mut().0.push(name(path)),
            Event::Kept { path, .. } => told.borrow_mut().1.push(name(path)),
            Event::Failed { path, error } => panic!("{}: {error}", path.display()),
        };
        let outcome = retire(tree, &circumstances, &mut tell).unwrap();
        let told = told.into_inner();
        assert_eq!(outcome.n_deleted, told.0.len() as u64);
        told
    }

    /// What goes by these rules, of what is there, first when only tried, then in earnest.
    #[track_caller]
    fn check(&self, rules: Rules, gone: &[&str], stays: &[&str]) {
        let tree = self.tree(rules);
        let tried = self.retire(&tree, true);
        assert!(gone.iter().all(|name| self.has(name)), "a dry run deletes nothing");
        let told = self.retire(&tree, false);
        assert_eq!(told, tried);
        assert_eq!(told.0, gone);
        assert!(!gone.iter().any(|name| self.has(name)));
        for name in stays {
            assert!(self.has(name), "{name}");
        }
    }
}

#[test]
fn files_go_by_the_age_in_their_names() {
    let gone = [
        "date=2026-11-19/hour=12/flowcap.202611191200.parquet",
        "2026/11/20/flowcap.20261120115955.parquet",
        ".flowcap/options/date=2026-11-20/hour=11/flowcap.202611201155.options",
        "date=2026-11-20/hour=11/flowcap.202611201155.1.parquet",
    ];
    let stays = [
        "date=2026-11-20/hour=12/flowcap.202611201200.parquet",
        "date=2026-11-21/hour=11/flowcap.202611211100.parquet",
    ];
    let files = Files::new(&[&gone[..], &stays[..]].concat());
    let in_order = [gone[0], gone[2], gone[3], gone[1]];
    files.check(AGE, &in_order, &stays);
    assert!(!files.has("date=2026-11-19"), "a directory that became empty goes, and the one above");
    assert!(!files.has("date=2026-11-20/hour=11") && files.has("date=2026-11-20"));
    assert!(files.root().exists());
}

/// As a whole: once the last of its hour is old, or as the oldest there is.
#[test]
fn a_file_of_a_whole_hour_goes_when_all_of_it_may() {
    let old = "date=2026-11-20/hour=11/flowcap.202611201100.hour.1.parquet";
    let young = "date=2026-11-20/hour=12/flowcap.202611201200.hour.parquet";
    let (late, foreign) = (
        "date=2026-11-20/hour=12/flowcap.202611201230.parquet",
        "date=2026-11-20/hour=10/flowcap.202611201100.hour.parquet",
    );
    let files = Files::new(&[old, young, late, foreign]);
    files.write(
        "date=2026-11-20/.flowcap.replaced.hour=12/flowcap.202611201200.parquet.replaced",
        &ours(100_000),
    );
    files.check(AGE, &[old], &[young, late, foreign]);
    let rules = Rules { max_bytes: Some(files.bytes(&[late])), ..Rules::default() };
    files.check(rules, &[late], &[young, foreign]);
    let rules = Rules { max_bytes: Some(files.bytes(&[foreign]) - 1), ..Rules::default() };
    files.check(rules, &[young], &[foreign]);
}

#[test]
fn what_is_not_ours_stays() {
    let old = "date=2026-11-19/hour=12/flowcap.202611191200.parquet";
    let files = Files::new(&[
        old,
        // Someone's copies, and names that are not ours.
        "keep/flowcap.202611191200.parquet",
        "date=2026-11-19/hour=13/flowcap.202611191200.parquet",
        "date=2026-11-19/hour=12/copy.parquet",
        "date=2026-11-19/hour=12/flowcap.202611191200.0.parquet",
        "date=2026-11-19/hour=12/flowcap.202611191200.parquet.bak",
        "date=2026-11-19/.hidden/flowcap.202611191200.parquet",
        ".flowcap/names.table",
        ".flowcap/journal/flowcap.202611191200.parquet",
        ".flowcap/options/date=2026-11-19/hour=12/flowcap.202611191200.parquet",
    ]);
    files.write("date=2026-11-19/hour=12/flowcap.202611191205.parquet", b"notes");
    files.write("date=2026-11-19/hour=12/flowcap.202611191210.parquet", &parquet(b"schema_version", 5_000));
    files.write("date=2026-11-19/hour=12/.flowcap.202611191215.0000.part", &ours(5_000));
    let n_before = count(&files.root());
    files.check(AGE, &[old], &["keep", "date=2026-11-19/hour=12"]);
    // The lock came, the file went.
    assert_eq!(count(&files.root()), n_before);
    let everything = Rules { max_bytes: Some(1), min_free: Some(Free::Percent(90)), ..AGE };
    files.check(everything, &[], &[]);
    assert_eq!(count(&files.root()), n_before);
}

fn count(directory: &Path) -> usize {
    let count_one = |path: PathBuf| if path.is_dir() { count(&path) } else { 1 };
    fs::read_dir(directory).unwrap().flatten().map(|entry| count_one(entry.path())).sum()
}

#[test]
fn links_are_not_followed() {
    let files = Files::new(&["2026/11/18/flowcap.202611181200.parquet"]);
    let outside = files.0.path().join("outside");
    let hour = outside.join("hour=12");
    fs::create_dir_all(&hour).unwrap();
    let target = hour.join("flowcap.202611191200.parquet");
    fs::write(&target, ours(5_000)).unwrap();
    symlink(&outside, files.root().join("date=2026-11-19")).unwrap();
    let linked = "2026/11/18/flowcap.202611181205.parquet";
    symlink(&target, files.root().join(linked)).unwrap();
    symlink(&outside, files.root().join(".flowcap")).unwrap();
    // Only tried: the link stands where the lock would be.
    let told = files.retire(&files.tree(AGE), true);
    assert_eq!(told, (vec!["2026/11/18/flowcap.202611181200.parquet".to_owned()], Vec::new()));
    fs::remove_file(files.root().join(".flowcap")).unwrap();
    files.check(AGE, &["2026/11/18/flowcap.202611181200.parquet"], &[linked, "date=2026-11-19"]);
    assert!(target.exists());
}

#[test]
fn the_open_slot_and_the_future_stay() {
    let gone = "date=2026-11-21/hour=11/flowcap.202611211150.parquet";
    let stays = [
        "date=2026-11-21/hour=11/flowcap.202611211155.parquet", // ended just now
        "date=2026-11-21/hour=12/flowcap.202611211200.parquet", // rotated within its slot
        "date=2038-01-19/hour=03/flowcap.203801190310.parquet", // a clock was wrong
    ];
    let files = Files::new(&[&[gone], &stays[..]].concat());
    let everything = Rules { max_bytes: Some(1), min_free: Some(Free::Percent(90)), ..AGE };
    files.check(everything, &[gone], &stays);
}

#[test]
fn the_oldest_go_until_there_is_room() {
    let names = [
        "date=1970-01-01/hour=00/flowcap.197001010000.parquet", // a clock was wrong
        "date=2026-11-20/hour=12/flowcap.202611201200.parquet",
        "date=2026-11-20/hour=12/flowcap.202611201205.parquet",
        "date=2026-11-20/hour=13/flowcap.202611201300.parquet",
        "date=2026-11-20/hour=13/flowcap.202611201300.1.parquet",
        "date=2026-11-20/hour=13/flowcap.202611201305.parquet",
    ];
    let nothing = Rules::default();
    for (rules, n_gone) in [
        (nothing, 0),
        (Rules { max_bytes: Some(u64::MAX), ..nothing }, 0),
        (Rules { min_free: Some(Free::Bytes(1_000)), ..nothing }, 0),
        (Rules { min_free: Some(Free::Percent(10)), ..nothing }, 0),
        (Rules { min_free: Some(Free::Bytes(1_001)), ..nothing }, 1),
        (Rules { min_free: Some(Free::Percent(11)), ..nothing }, 1),
        (Rules { max_bytes: Some(1), ..nothing }, 6),
    ] {
        let files = Files::new(&names);
        let (gone, stays) = names.split_at(n_gone);
        files.check(rules, gone, stays);
    }
    for n_gone in 1..names.len() {
        let files = Files::new(&names);
        let (gone, stays) = names.split_at(n_gone);
        files.check(Rules { max_bytes: Some(files.bytes(stays)), ..nothing }, gone, stays);
    }
}

#[test]
fn many_that_stay_hold_up_none_behind_them() {
    let gone = "date=2026-11-20/hour=11/flowcap.202611201100.parquet";
    let files = Files::new(&[gone]);
    for n in 0..3 * CANDIDATES_MAX {
        files.write(&format!("date=2026-11-19/hour=12/flowcap.2026111912{n:02}.parquet"), b"foreign");
    }
    let (deleted, kept) = files.retire(&files.tree(AGE), false);
    assert_eq!((deleted.as_slice(), kept.len()), (&[gone.to_owned()][..], 3 * CANDIDATES_MAX));
}

#[test]
fn a_file_waits_for_the_parts_it_replaces() {
    let name = "date=2026-11-19/hour=12/flowcap.202611191200.parquet";
    let files = Files::new(&[name]);
    let part = "date=2026-11-19/hour=12/.flowcap.202611191200.0003.part";
    files.write(part, b"x");
    assert_eq!(files.retire(&files.tree(AGE), false), (Vec::new(), vec![name.to_owned()]));
    fs::remove_file(files.root().join(part)).unwrap();
    files.check(AGE, &[name], &[]);
}

#[test]
fn only_one_run_deletes_at_a_time() {
    let name = "date=2026-11-19/hour=12/flowcap.202611191200.parquet";
    let files = Files::new(&[name]);
    let held = lock(&files.root()).unwrap();
    assert!(matches!(lock(&files.root()), Err(RetentionError::Busy(_))));
    assert_eq!(files.retire(&files.tree(AGE), true).0, [name]);
    drop(held);
    files.check(AGE, &[name], &[".flowcap/retention.lock"]);
}

#[test]
fn each_tree_has_its_rules_and_leaves_the_others_alone() {
    let files = Files::new(&[
        "date=2026-11-19/hour=12/flowcap.202611191200.parquet",
        "edge/date=2026-11-19/hour=12/flowcap.202611191200.parquet",
        "192-0-2-1/2026/11/19/flowcap.202611191205.parquet",
        "192-0-2-1/.flowcap/options/2026/11/19/flowcap.202611191205.options",
    ]);
    let config = |flags: &str, text: &str| {
        let path = files.0.path().join("f");
        fs::write(&path, text).unwrap();
        let flags = flags.replace("ROOT", files.root().to_str().unwrap());
        let typed = format!("flowcapd -c {} {flags}", path.display());
        Config::try_from(cli::parse(typed.split(' ')).unwrap().0).unwrap()
    };
    let gone = |flags: &str, text: &str| {
        let trees = trees(&config(flags, &text.replace("ROOT", files.root().to_str().unwrap())));
        let gone: Vec<_> = trees.iter().flat_map(|tree| files.retire(tree, true).0).collect();
        gone.iter().map(|name| name.split('/').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let age = "[retention]\nmax-age = '1d'\n";
    let edge = "[[retention.tree]]\npath = 'ROOT/./edge/'\n";
    assert_eq!(gone("-w ROOT", ""), [""; 0]);
    assert_eq!(gone("-w ROOT", age), ["date=2026-11-19"]);
    assert_eq!(gone("-w ROOT --max-age 3d", age), [""; 0]);
    assert_eq!(gone("-w ROOT --max-age none", age), [""; 0]);
    assert_eq!(gone("-w ROOT", &format!("{age}{edge}")), ["date=2026-11-19", "edge"]);
    assert_eq!(gone("-w ROOT", &format!("{age}{edge}max-age = 'none'")), ["date=2026-11-19"]);
    assert_eq!(gone("-w ROOT", &format!("{edge}max-age = '1d'")), ["edge"]);
    assert_eq!(gone("-w ROOT -n a,::1,ROOT/edge", age), ["date=2026-11-19", "edge"]);
    // Directories of exporters are one tree.
    assert_eq!(gone("-M ROOT", age), ["date=2026-11-19", "edge", "192-0-2-1", "192-0-2-1"]);
}

#[test]
fn footers_are_known_by_their_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f");
    let check = |bytes: &[u8], expected: bool| {
        fs::write(&path, bytes).unwrap();
        assert_eq!(footer::is_ours(&path).unwrap(), expected, "{} octets", bytes.len());
    };
    check(&ours(5_000), true);
    // The key at every place around the border of what is read at a time.
    for n_behind in (0..100).chain(65_500..65_560).chain([200_000]) {
        let footer = [&ours(0)[..23], &vec![1; n_behind]].concat();
        check(&parquet(&footer, n_behind + 1_000), true);
    }
    check(b"", false);
    check(b"PAR1", false);
    check(b"xxxxPAR1", false);
    check(&parquet(b"\x15flowcap.schema_version", 500), false);
    check(&[b"\xff\xff\xff\x7fPAR1".as_slice(), &ours(500)].concat(), true);
    check(&[&ours(500)[..], b"\xff\xff\xff\x7fPAR1"].concat(), false);
    check(&[&ours(500)[..], b"\0\0\0\0PAR1"].concat(), false);
    assert!(!footer::is_ours(directory.path()).unwrap());
    symlink(&path, directory.path().join("link")).unwrap();
    check(&ours(500), true);
    assert!(!footer::is_ours(&directory.path().join("link")).unwrap());
}

#[test]
fn sizes_are_said_as_people_read_them() {
    for (bytes, text) in
        [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB")]
    {
        assert_eq!(size(bytes), text);
    }
    assert_eq!(size(u64::MAX), "18446744.1 TB");
}
