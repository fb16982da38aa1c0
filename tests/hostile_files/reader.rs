//! Reads damaged files, for the test beside it: a process of its own, as an allocation that is
//! refused aborts it. Its last words say which file that was.
//!
//! `read-damaged FIRST COUNT`: the seed of the first file, and how many there are.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(clippy::print_stdout, reason = "the test reads it")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use flow_tests::damage::Parts;
use flow_tests::query::flowdump;
use flow_tests::reference::{packets, store};
use nix::sys::resource::{Resource, setrlimit};
use serde_json::Value;

/// Memory the process may ask for, octets: its own and what the files make it take.
const DATA_BYTES_MAX: u64 = 256 << 20;
/// Processor time of a process, seconds a file: a loop without end ends it.
const CPU_SECS_PER_FILE: u64 = 2;
/// Octets of a sound file before it is damaged.
const FILE_BYTES_MAX: usize = 100 << 10;
/// Wall time of one question; on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is asked of every directory.
const QUESTIONS: [&[&str]; 7] = [
    &["-o", "ndjson"],
    &["-s", "srcip/bytes", "-s", "record/packets", "-n", "0", "-o", "ndjson"],
    &["-s", "dstport:p/flows", "-n", "0", "-o", "ndjson", "proto tcp or src net 10.0.0.0/8 and bytes > 100"],
    &["-t", "2026-05-28T20:01:00Z..2026-05-28T20:04:00Z", "-o", "ndjson", "not dst port 443"],
    &["-o", "csv", "bps > 1k or duration > 3000 or port in [53 80]"],
    &["-I", "-o", "json"],
    &["-s", "srcip/bytes", "-s", "record/flows", "-n", "3", "-o", "ndjson", "--two-passes-from", "0"],
];

/// What `flowdump` says of a directory, with code and stderr.
fn asked(root: &Path, question: &[&str]) -> flow_tests::query::Output {
    let started = Instant::now();
    let output = flowdump(root, question);
    let elapsed = started.elapsed();
    assert!(elapsed < PATIENCE, "{question:?} took {elapsed:?}");
    output
}

/// The lines of the sound file alone that must be in the answer whatever lies beside
/// it: rows; groups, whose counters may have grown, by what they are of.
fn lines(question: &[&str], stdout: &str) -> BTreeSet<String> {
    let of_group = |line: &str| {
        let group: Value = serde_json::from_str(line).unwrap();
        let keys = ["statistic", "value", "protocol", "src_addr", "dst_addr", "src_port", "dst_port"];
        keys.map(|key| group[key].to_string()).join(" ")
    };
    match question[0] {
        // Which groups are the largest depends on the other file.
        "-s" if question.contains(&"3") => BTreeSet::new(),
        "-s" => stdout.lines().map(of_group).collect(),
        "-I" => BTreeSet::new(),
        // Columns of the other file are fields here, too.
        _ if question.contains(&"csv") => BTreeSet::new(),
        _ => stdout.lines().map(str::to_owned).collect(),
    }
}

/// Asks all questions of a directory with a sound and a damaged file; returns whether
/// some file was named.
#[track_caller]
fn check(root: &Path, sound: &[BTreeSet<String>]) -> bool {
    let mut is_named = false;
    for (question, sound) in QUESTIONS.iter().zip(sound) {
        let output = asked(root, question);
        let said = &output.stderr;
        match output.code {
            0 => assert!(!said.contains("error: "), "{question:?}: {said}"),
            3 => assert!(said.contains("202605282300.parquet`: "), "{question:?}: {said}"),
            code => panic!("{question:?}: exit {code}: {said}"),
        }
        is_named |= output.code == 3;
        if question[0] == "-I" {
            assert!(serde_json::from_str::<Value>(&output.stdout).is_ok(), "{}", output.stdout);
            continue;
        }
        if question.contains(&"ndjson") {
            let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
            assert!(output.stdout.lines().all(is_json), "{question:?}: {}", output.stdout);
        }
        let found = lines(question, &output.stdout);
        let missing: Vec<_> = sound.difference(&found).take(3).collect();
        assert!(missing.is_empty(), "{question:?}: of the other file {missing:#?} are missing");
    }
    is_named
}

/// Sound files of several kinds: the collector's, and others with every encoding.
fn sound_files() -> Vec<Vec<u8>> {
    let others = (0..20).map(|seed| store::tree(seed, 1, 60)).filter(|tree| tree.rows() > 20);
    let collected = [packets::tree(1, 60), packets::tree(2, 60)];
    let files = others.chain(collected).map(|tree| std::fs::read(&tree.files()[0]).unwrap());
    let small: Vec<_> = files.filter(|file| file.len() < FILE_BYTES_MAX).collect();
    assert!(small.len() > 8, "{} small files", small.len());
    small
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|number| number.parse().unwrap()).collect();
    let [first, count] = numbers[..] else { panic!("read-damaged FIRST COUNT") };
    let all: Vec<_> = sound_files().iter().map(|file| Parts::of(file).unwrap()).collect();

    let beside = (0..).map(|seed| store::tree(seed, 1, 40)).find(|tree| tree.rows() > 10).unwrap();
    let sound: Vec<_> =
        QUESTIONS.iter().map(|question| lines(question, &asked(beside.root(), question).stdout)).collect();
    let damaged = beside.files()[0].with_file_name("flowcap.202605282300.parquet");

    setrlimit(Resource::RLIMIT_DATA, DATA_BYTES_MAX, DATA_BYTES_MAX).unwrap();
    let secs = 60 + count * CPU_SECS_PER_FILE;
    setrlimit(Resource::RLIMIT_CPU, secs, secs).unwrap();
    let mut n_named = 0;
    for seed in first..first + count {
        let (file, what) = all[usize::try_from(seed).unwrap() % all.len()].damaged(seed);
        println!("{seed}: {what}");
        std::io::stdout().flush().unwrap();
        std::fs::write(&damaged, file).unwrap();
        n_named += u64::from(check(beside.root(), &sound));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    let peak_kib: u64 = peak.trim_end_matches(" kB").parse().unwrap();
    println!("named {n_named} of {count}, {} MiB at most", peak_kib >> 10);
    assert!(peak_kib << 10 < DATA_BYTES_MAX, "{peak} were in memory");
}
