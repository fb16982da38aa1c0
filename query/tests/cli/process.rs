//! `flowdump` as a process: readers that go away, and signals.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use flow_common::column::ColumnId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Bench, Fixture, Row, write};

/// Files of the directory: together more text than pipes hold, and seconds of work.
const FILES: usize = 60;
const ROWS: i64 = 4_000;
/// Exit code after Ctrl-C.
const INTERRUPTED: i32 = 130;
/// What an interrupt may take: 200 ms are promised, the rest is a busy machine's.
const INTERRUPT_MAX: Duration = Duration::from_secs(2);

/// Rows of different flows, so that groups are as many as rows.
fn bench() -> Bench {
    let bench = Bench::empty();
    let row = |n: i64| {
        let addr = format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255);
        let flow = Row::flow((n, n + 5), 6, (&addr, n % 50_000), ("192.0.2.1", 443), (n % 100 + 1, n * 10));
        flow.int(ColumnId::Sequence, n)
    };
    let first = bench.path("f00.parquet");
    write(&first, &(0..ROWS).map(row).collect::<Vec<_>>(), &Fixture::default());
    for n in 1..FILES {
        std::fs::copy(&first, bench.path(&format!("f{n:02}.parquet"))).unwrap();
    }
    bench
}

/// Starts it on the directory; temporary files go to `temporary`.
fn start(bench: &Bench, temporary: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_flowdump"))
        .arg("-r")
        .arg(bench.directory.path())
        .args(args)
        .env("TMPDIR", temporary)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// How it ended, and what it said.
fn ended(mut child: Child) -> (ExitStatus, String) {
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}

#[test]
fn a_reader_that_has_read_enough_ends_it() {
    let bench = bench();
    let temporary = tempfile::tempdir().unwrap();
    for args in [&["-o", "ndjson"][..], &["-o", "csv"], &["-o", "line"], &["-s", "srcip", "-n", "0"]] {
        let mut child = start(&bench, temporary.path(), args);
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "{args:?}: {line:?}");
        drop(stdout);
        let (status, said) = ended(child);
        assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{args:?}");
    }
}

/// Interrupts it when it is due; `None` where it was done before.
fn interrupted(
    mut child: Child,
    wait_until_due: impl FnOnce(&mut Child),
) -> Option<(ExitStatus, String, Duration)> {
    let pid = child.id();
    wait_until_due(&mut child);
    if child.try_wait().unwrap().is_some() {
        return None;
    }
    let sent = Instant::now();
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGINT).unwrap();
    // Not by reading to the end of its output: a process that waits for its reader
    // must end as well.
    let status = child.wait().unwrap();
    let elapsed = sent.elapsed();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    Some((status, said, elapsed))
}

#[test]
fn an_interrupt_ends_it_at_once_and_leaves_nothing() {
    let bench = bench();
    let temporary = tempfile::tempdir().unwrap();
    let first_line = |child: &mut Child| {
        let mut octet = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut octet).unwrap();
        // Its pipe is full by now: it waits for a reader that does not read.
        std::thread::sleep(Duration::from_millis(100));
    };
    let soon = |_: &mut Child| std::thread::sleep(Duration::from_millis(50));
    let runs = [
        (&["-o", "ndjson"][..], true),
        (&["-s", "record/bytes", "-s", "srcip/packets"], false),
        (&["-o", "csv", "not port 443 and bytes 7"], false),
    ];
    for (args, has_output) in runs {
        let child = start(&bench, temporary.path(), args);
        let due = |child: &mut Child| if has_output { first_line(child) } else { soon(child) };
        // It may end by itself between the last look and the signal.
        let is_late = |(status, _, elapsed): &(ExitStatus, String, Duration)| {
            !has_output && status.success() && *elapsed < Duration::from_millis(100)
        };
        let Some((status, said, elapsed)) = interrupted(child, due).filter(|end| !is_late(end)) else {
            // What waits for a reader is not done before.
            assert!(!has_output, "{args:?} ended by itself");
            eprintln!("skipped: {args:?} was done before");
            continue;
        };
        assert_eq!(status.code(), Some(INTERRUPTED), "{args:?}: {status} {said}");
        assert!(elapsed < INTERRUPT_MAX, "{args:?} took {elapsed:?}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().flatten().collect();
        assert!(left.is_empty(), "{args:?} left {left:?}");
    }
}
