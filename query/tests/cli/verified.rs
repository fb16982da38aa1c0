//! `flowdump verify`, `-g` and `-E`.

use flow_common::column::ColumnId;
use insta::assert_snapshot;

use crate::support::{Bench, Fixture, Row, sample, write};

/// Octets of files, which change with the `parquet` crate.
fn without_sizes(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("bytes: ") {
        Some((head, tail)) => {
            let tail = tail.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{head}bytes: [BYTES]{tail}\n")
        }
        None => format!("{line}\n"),
    });
    lines.collect()
}

fn bench() -> Bench {
    let bench = Bench::empty();
    let path = |name| bench.path(&format!("date=2026-05-28/hour=20/{name}"));
    write(&path("flowcap.202605282025.parquet"), &sample(), &Fixture::default());
    let event = Row::flow((0, 0), 6, ("10.0.0.1", 1), ("10.0.0.2", 2), (0, 0)).int(ColumnId::Contributes, 0);
    write(
        &path("flowcap.202605282030.parquet"),
        &[event],
        &Fixture { has_footer: false, ..Fixture::default() },
    );
    bench
}

#[test]
fn sound_files_are_told_one_by_one() {
    let bench = bench();
    assert_snapshot!(without_sizes(&bench.run(&["verify", "@"])), @r"
    exit: 0
    --- stdout
    [DIR]/date=2026-05-28/hour=20/flowcap.202605282025.parquet: sound; rows: 8, bytes: [BYTES]; as its metadata says, by flowcapd test
    [DIR]/date=2026-05-28/hour=20/flowcap.202605282030.parquet: sound; rows: 1, bytes: [BYTES]; it has no metadata of ours
    Total: files: 2, rows: 9, bytes: [BYTES]; all sound
    ");
    assert_snapshot!(bench.run(&["verify", "-q", "@"]), @r"
    exit: 0
    ");
    assert_eq!(bench.run(&["-v", "@"]), bench.run(&["verify", "@"]));
    assert_snapshot!(bench.run(&["verify", "@/none"]), @r"
    exit: 1
    --- stderr
    error: can't read `[DIR]/none`: no such file or directory
    ");
}

#[test]
fn what_is_damaged_is_named() {
    let bench = bench();
    let whole = bench.path("date=2026-05-28/hour=20/flowcap.202605282025.parquet");
    let mut octets = std::fs::read(&whole).unwrap();
    // A page of the first column.
    octets[40..60].fill(0xff);
    std::fs::write(bench.path("a.parquet"), &octets).unwrap();
    std::fs::write(bench.path("b.parquet"), &octets[..1_000]).unwrap();
    // Rows of one file with the metadata of another.
    let rows: Vec<Row> = sample().into_iter().map(|row| row.int(ColumnId::Bytes, 7)).collect();
    write(&bench.path("c.parquet"), &rows, &Fixture { totals_of: Some(sample()), ..Fixture::default() });
    assert_snapshot!(without_sizes(&bench.run(&["verify", "@"])), @r"
    exit: 3
    --- stdout
    [DIR]/a.parquet: damaged; row group 1: no page begins where one should
    [DIR]/b.parquet: damaged; it is no Parquet file, or cut short
    [DIR]/c.parquet: damaged; its metadata says 1859677 TCP bytes, and its rows have 21
    [DIR]/c.parquet: damaged; its metadata says 2500000072 UDP bytes, and its rows have 14
    [DIR]/c.parquet: damaged; its metadata says 85040 ICMP bytes, and its rows have 14
    [DIR]/c.parquet: damaged; its metadata says 123456789012 other bytes, and its rows have 7
    [DIR]/date=2026-05-28/hour=20/flowcap.202605282025.parquet: sound; rows: 8, bytes: [BYTES]; as its metadata says, by flowcapd test
    [DIR]/date=2026-05-28/hour=20/flowcap.202605282030.parquet: sound; rows: 1, bytes: [BYTES]; it has no metadata of ours
    Total: files: 5, rows: 9, bytes: [BYTES]; 3 damaged
    ");
}

#[test]
fn metadata_alone_tells_of_files_and_exporters() {
    let bench = bench();
    assert_snapshot!(bench.run(&["-r", "@", "-g", "--utc"]), @r"
    exit: 3
    --- stdout
    # yyyy-mm-dd HH:MM:SS,flows,packets,bytes
    2026-05-28 20:25:00,8,100767808,125958733801
    --- stderr
    error: `[DIR]/date=2026-05-28/hour=20/flowcap.202605282030.parquet` has no totals in its metadata; `-o null` counts its rows
    ");
    assert_snapshot!(bench.run(&["-r", "@", "-g", "proto tcp"]), @r"
    exit: 2
    --- stderr
    error: the argument `--files` cannot be used with `[FILTER]...`
    hint: `flowdump --help` lists the options
    ");
    assert_snapshot!(bench.run(&["-r", "@", "-E"]), @r"
    exit: 0
    --- stdout
    Exporters:
    ");
    assert_eq!(bench.run(&["-E", "@"]), bench.run(&["-r", "@", "-E"]));
}
