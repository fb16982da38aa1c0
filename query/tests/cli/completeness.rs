//! Answers say what is known to be missing from them.

use std::fs;

use insta::assert_snapshot;

use crate::support::{Bench, Fixture, sample, write};

/// A file of a slot that lost nothing, one of a slot that did, and one that is none.
fn bench() -> Bench {
    let bench = Bench::of(&sample());
    write(
        &bench.path("b.parquet"),
        &sample(),
        &Fixture { lost: 12, kernel_dropped: 3, ..Fixture::default() },
    );
    fs::write(bench.path("c.parquet"), "no Parquet").unwrap();
    bench
}

#[test]
fn losses_are_told_with_every_answer() {
    let bench = bench();
    let asked: [&[&str]; 8] = [
        &["-c", "1"],
        &["-s", "proto", "-n", "1"],
        &["-o", "null"],
        &["-q", "-o", "null"],
        &["-o", "csv", "-c", "1"],
        &["-o", "null", "-t", "2026/05/28.20:00:00-2026/05/28.20:10:00"],
        &["-o", "null", "--summary", "json"],
        &["-o", "null", "--summary", "xml"],
    ];
    let shown = asked.map(|args| format!("$ flowdump {}\n{}", args.join(" "), bench.query(args)));
    assert_snapshot!("losses_are_told_with_every_answer", shown.join("\n"));
}
