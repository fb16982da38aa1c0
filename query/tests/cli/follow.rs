//! `--follow` and `top`: rows as they come, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flow_common::column::ColumnId;
use flow_common::layout::{Hierarchy, Slot, hour_name};
use flow_common::time::Timestamp;
use insta::assert_snapshot;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Bench, Fixture, Row, sample, write};

/// The present, which the program reads from the clock.
fn now() -> Timestamp {
    let file = tempfile::tempfile().unwrap();
    let written = file.metadata().unwrap().modified().unwrap();
    let since_epoch = written.duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since_epoch.as_micros()).unwrap())
}

/// A tree that a collector writes to.
struct Tree {
    bench: Bench,
    slot: Slot,
    /// Rows were received after it, µs: each port a microsecond later.
    received: i64,
}

impl Tree {
    /// One whose rows were received so many seconds from now.
    fn new(secs: i64) -> Self {
        let now = now();
        Self { bench: Bench::empty(), slot: Slot::around(now, 300), received: now.0 + secs * 1_000_000 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bench.path(&self.slot.directory(Hierarchy::Partitions)).join(name)
    }

    /// Writes a file as the collector does: whole, then under its name. A row is told
    /// from others by its port.
    fn write(&self, name: &str, ports: &[i64], replaces: &[&str]) {
        let row = |&port: &i64| {
            Row::flow((0, 0), 17, ("192.0.2.1", 1), ("192.0.2.2", port), (1, 100))
                .int(ColumnId::Received, self.received + port)
        };
        let unfinished = self.path("unfinished");
        let rows: Vec<_> = ports.iter().map(row).collect();
        write(&unfinished, &rows, &Fixture { replaces, ..Fixture::default() });
        self.rename(&unfinished, name);
    }

    #[expect(clippy::disallowed_methods, reason = "it stands for the collector")]
    fn rename(&self, from: &Path, name: &str) {
        std::fs::rename(from, self.path(name)).unwrap();
    }

    fn part(&self, n: u32, ports: &[i64]) -> String {
        let name = self.slot.part_name(n);
        self.write(&name, ports, &[]);
        name
    }

    fn follow(&self, args: &[&str]) -> Following {
        let root = self.bench.directory.path().to_str().unwrap();
        Following::new(&[&["-r", root, "--follow", "-q", "-o", "fmt:%dp"], args].concat())
    }
}

/// The program while it runs.
struct Following {
    child: Child,
    stdout: Option<BufReader<std::process::ChildStdout>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Following {
    fn new(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_flowdump"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stdout }
    }

    /// The next lines.
    fn lines(&mut self, n: usize) -> Vec<String> {
        let lines = self.stdout.as_mut().unwrap().lines();
        lines.take(n).map(|line| line.unwrap().trim().to_owned()).collect()
    }

    /// Exit code and the rest of stdout when it ends of a signal.
    fn end(&mut self, signal: Signal) -> (Option<i32>, String) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), None);
        let mut rest = String::new();
        if let Some(stdout) = &mut self.stdout {
            stdout.read_to_string(&mut rest).unwrap();
        }
        (status.code(), rest)
    }
}

#[test]
fn each_row_comes_once_whatever_becomes_of_its_part() {
    let tree = Tree::new(60);
    // Received long before it began.
    let old = tree.slot.part_name(0);
    write(&tree.path(&old), &sample(), &Fixture::default());
    let mut following = tree.follow(&[]);
    let parts = [tree.part(1, &[1, 2, 3]), tree.part(2, &[4])];
    assert_eq!(following.lines(4), ["1", "2", "3", "4"]);
    // The slot closes, sorted otherwise, with a part that nobody saw.
    let replaced = [old.as_str(), &parts[0], &parts[1], &tree.slot.part_name(3)];
    tree.write(&tree.slot.file_name(0), &[6, 3, 1, 5, 2, 4], &replaced);
    for part in &replaced[..3] {
        std::fs::remove_file(tree.path(part)).unwrap();
    }
    assert_eq!(following.lines(2), ["6", "5"]);
    // The only part of what came late becomes a file by another name.
    let part = tree.part(4, &[7, 8]);
    assert_eq!(following.lines(2), ["7", "8"]);
    tree.rename(&tree.path(&part), &tree.slot.file_name(1));
    // Another program's file is followed too.
    tree.write("x.parquet", &[9], &[]);
    assert_eq!(following.lines(1), ["9"]);
    assert_eq!(following.end(Signal::SIGINT), (Some(130), String::new()));
}

#[test]
fn rows_that_are_there_come_with_a_window_and_a_filter() {
    let tree = Tree::new(-60);
    tree.part(0, &[1, 2]);
    tree.write("x.parquet", &[1, 3, 4], &[]);
    let run = |args: &[&str]| {
        let mut text = String::new();
        let mut following = tree.follow(args);
        following.stdout.as_mut().unwrap().read_to_string(&mut text).unwrap();
        let status = following.child.wait().unwrap();
        (text.replace(' ', ""), status.code())
    };
    assert_eq!(run(&["-t", "-5m", "-c", "5"]), ("1\n2\n1\n3\n4\n".into(), Some(0)));
    assert_eq!(run(&["-t", "-5m", "-c", "2", "dst port > 1"]), ("2\n3\n".into(), Some(0)));
    // Nothing was received since: a new tree of an exporter has the first.
    let mut following = tree.follow(&[]);
    std::thread::sleep(Duration::from_millis(700));
    let later = Tree { received: now().0 + 60_000_000, ..tree };
    let path = later.bench.path("192-0-2-7").join(later.slot.directory(Hierarchy::Nfdump(1)));
    let row = Row::flow((0, 0), 17, ("192.0.2.1", 1), ("192.0.2.2", 5), (1, 100));
    let row = row.int(ColumnId::Received, later.received);
    write(&path.join(later.slot.file_name(0)), &[row], &Fixture::default());
    assert_eq!(following.lines(1), ["5"]);
}

/// The files of an hour that is over become one by an exchange of its directory.
#[test]
fn an_hour_that_is_compacted_has_nothing_new_but_what_came_late() {
    let tree = Tree::new(-1_800);
    let tree = Tree { slot: Slot::around(Timestamp(now().0 - 3_600_000_000), 300), ..tree };
    let (first, second) = (tree.slot.file_name(0), tree.slot.file_name(1));
    tree.write(&first, &[1, 2], &[]);
    tree.write(&second, &[3], &[]);
    let mut following = tree.follow(&["-t", "-2h"]);
    assert_eq!(following.lines(3), ["1", "2", "3"]);
    let whole = Tree { bench: Bench::empty(), slot: tree.slot, received: tree.received };
    let start_secs = whole.slot.start_secs.div_euclid(3_600) * 3_600;
    whole.write(&hour_name(start_secs, 0), &[3, 1, 2], &[]);
    let [here, there] =
        [&tree.bench, &whole.bench].map(|bench| bench.path(&whole.slot.directory(Hierarchy::Partitions)));
    renameat2(AT_FDCWD, &there, AT_FDCWD, &here, RenameFlags::RENAME_EXCHANGE).unwrap();
    std::thread::sleep(Duration::from_millis(1_200));
    tree.write(&tree.slot.file_name(2), &[4], &[]);
    assert_eq!(following.lines(1), ["4"]);
    assert_eq!(following.end(Signal::SIGINT), (Some(130), String::new()));
}

#[test]
fn the_header_comes_once_and_an_array_is_closed() {
    let tree = Tree::new(60);
    tree.part(0, &[1]);
    let root = tree.bench.directory.path().to_str().unwrap();
    let mut following = Following::new(&["-r", root, "--follow", "-o", "csv"]);
    assert!(following.lines(1)[0].starts_with("flow_start,"));
    assert!(following.lines(1)[0].contains("192.0.2.2"));
    tree.part(1, &[2]);
    assert!(following.lines(1)[0].contains("192.0.2.2"));
    let mut following = Following::new(&["-r", root, "--follow", "-o", "json"]);
    let mut text = following.lines(4).concat();
    let (code, rest) = following.end(Signal::SIGTERM);
    text += &rest;
    assert_eq!(code, Some(143));
    assert!(text.starts_with('[') && text.trim_end().ends_with(']'), "{text}");
}

#[test]
fn it_ends_when_nobody_reads() {
    let tree = Tree::new(60);
    std::fs::create_dir_all(tree.path("")).unwrap();
    let mut following = tree.follow(&[]);
    following.stdout = None;
    assert_eq!(following.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_file_that_cant_be_read_is_named_once_and_the_rest_comes() {
    let tree = Tree::new(60);
    tree.part(0, &[1]);
    std::fs::write(tree.path("x.parquet"), "PAR1").unwrap();
    let mut following = tree.follow(&["-c", "2"]);
    assert_eq!(following.lines(1), ["1"]);
    std::thread::sleep(Duration::from_millis(1_200));
    tree.part(1, &[2]);
    assert_eq!(following.lines(1), ["2"]);
    assert_eq!(following.child.wait().unwrap().code(), Some(3));
    let mut said = String::new();
    following.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said.matches("error: can't read").count(), 1, "{said}");
}

#[test]
fn a_query_ends_soon_of_a_signal_also_where_nobody_reads() {
    let rows: Vec<_> = std::iter::repeat_n(sample(), 4_000).flatten().collect();
    let bench = Bench::of(&rows);
    let file = bench.path("a.parquet");
    // Its pipe is full long before the end.
    let mut following = Following::new(&["-r", file.to_str().unwrap(), "-o", "csv"]);
    following.lines(1);
    let sent = Instant::now();
    assert_eq!(following.end(Signal::SIGINT).0, Some(130));
    assert!(sent.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_makes_no_sense_is_said() {
    let bench = Bench::of(&sample());
    let mut text = String::new();
    for args in [
        &["--follow", "-s", "srcip"][..],
        &["--follow", "-o", "null"],
        &["--follow", "-R", "@"],
        &["--follow", "-t", "2020"],
        &["--follow", "-t", "-5x"],
        &["--follow", "-r", "@/a.parquet"],
        &["--follow", "-r", "@/none"],
        &["--follow", "prot tcp"],
        &["top", "-s", "srcpi"],
        &["top", "-w", "61"],
        &["top", "-n", "5"],
        &["top", "prot tcp"],
    ] {
        text += &format!("$ flowdump {}\n{}", args.join(" "), bench.run(args));
    }
    assert_snapshot!("nonsense", text);
    // In a process of its own, as tests may be run from a terminal.
    let mut top = Following::new(&["top", "-r", bench.directory.path().to_str().unwrap()]);
    let mut said = String::new();
    top.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(top.child.wait().unwrap().code(), Some(2));
    assert!(said.starts_with("error: `top` needs a terminal") && said.contains("\nhint: "), "{said}");
}

#[test]
fn help() {
    let bench = Bench::empty();
    assert_snapshot!("help", bench.run(&["--help"]));
    assert_snapshot!("help_of_top", bench.run(&["top", "--help"]));
}
