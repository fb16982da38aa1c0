//! `-O`: records, and rows of `-a` and `-A`, in an order of their own.

use flow_common::column::ColumnId;
use insta::assert_snapshot;

use crate::support::{Bench, Fixture, Row, write};

/// A flow that began `n` seconds after the first.
fn flow(n: i64) -> Row {
    Row::flow((1_000 * n, 1_000 * n + 500), 6, ("10.0.0.1", 1_000), ("10.0.0.2", 80), (3, 300))
}

/// Six flows of which some are equal in bytes, in packets or in both.
fn bench() -> Bench {
    let rows = [(0, 500, 5), (1, 900, 1), (2, 500, 7), (3, 100, 1), (4, 900, 2), (5, 500, 5)];
    let row = |(n, bytes, packets): (i64, i64, i64)| {
        flow(n).int(ColumnId::Bytes, bytes).int(ColumnId::Packets, packets).int(ColumnId::SrcPort, 1_000 + n)
    };
    Bench::of(&rows.map(row))
}

/// Source ports of the records, in the order printed.
#[track_caller]
fn check(args: &[&str], expected: &str) {
    let bench = bench();
    for threads in ["1", "2", "8"] {
        let all = [&["-r", "@", "-o", "fmt:%sp", "-q", "--threads", threads], args].concat();
        let (code, stdout, stderr) = bench.run_raw(&all);
        let ports: Vec<_> = stdout.lines().map(|line| line.trim().trim_start_matches("100")).collect();
        assert_eq!((code, ports.join(" ").as_str(), stderr.as_str()), (0, expected, ""), "{all:?}");
    }
}

#[test]
fn records_are_ranked() {
    check(&["-O", "bytes"], "1 4 0 2 5 3");
    check(&["-O", "bytes:a"], "3 0 2 5 1 4");
    check(&["-O", "bytes,packets"], "4 1 2 0 5 3");
    check(&["-O", "bytes,packets:a"], "1 4 0 5 2 3");
    check(&["-O", "packets,bytes:a", "-n", "3"], "2 0 5");
    check(&["-O", "bytes", "-n", "2", "bytes < 900"], "0 2");
    // The first three records, ranked.
    check(&["-O", "bytes", "-c", "3"], "1 0 2");
    check(&["-O", "tstart:d", "-n", "1"], "5");
    check(&["-O", "bytes", "-n", "100"], "1 4 0 2 5 3");
}

#[test]
fn answers_and_refusals() {
    let few = bench();
    let asked: [(&Bench, &[&str]); 6] = [
        (&few, &["-O", "bytes", "-n", "1", "-o", "ndjson"]),
        (&few, &["-O", "bytes", "-n", "2"]),
        (&few, &["-O", "bytes", "-n", "1", "src port 1"]),
        (&few, &["-A", "srcport", "-O", "bytes,packets:a", "-o", "csv"]),
        (&few, &["-O", "bytes", "-s", "srcip"]),
        (&few, &["-O", "byte"]),
    ];
    let shown = asked.map(|(bench, args)| format!("$ flowdump {}\n{}", args.join(" "), bench.query(args)));
    assert_snapshot!("answers_and_refusals", shown.join("\n"));
}

/// What has no room in memory is sorted on disk, and is the same in any format.
#[test]
fn rows_without_room_are_sorted_all_the_same() {
    // In no order, and many of them equal.
    let row = |n: i64| flow(n).int(ColumnId::Bytes, n * 7_919 % 1_000).int(ColumnId::SrcPort, n % 60_000);
    let bench = Bench::empty();
    for file in 0..4 {
        let rows: Vec<_> = (0..1_500).map(|n| row(1_500 * file + n)).collect();
        write(
            &bench.path(&format!("{file}.parquet")),
            &rows,
            &Fixture { group_rows: 500, ..Fixture::default() },
        );
    }
    let asked: [&[&str]; 6] = [
        &["-O", "bytes", "-o", "csv"],
        &["-O", "bytes:a,tstart:d", "-o", "json"],
        &["-O", "bytes", "-o", "raw", "-q", "bytes > 500"],
        &["-O", "bytes", "-o", "csv", "-n", "5000"],
        &["-O", "bytes,tstart", "-q", "-c", "3000"],
        &["-O", "packets", "-o", "md"],
    ];
    for args in asked {
        let whole = bench.run_raw(&[&["-r", "@", "--utc"], args].concat());
        assert_eq!(whole.0, 0, "{args:?}: {}", whole.2);
        for how in [&["--threads", "1", "--memory", "64k"][..], &["--threads", "4", "--memory", "64k"]] {
            let spilled = bench.run_raw(&[&["-r", "@", "--utc"], args, how].concat());
            assert!(spilled == whole, "{args:?} {how:?}: {} octets, {}", spilled.1.len(), spilled.2);
        }
    }
}

/// `received` is left unread where flows tell their own times, but for a key.
#[test]
fn when_flows_were_received_can_be_a_key() {
    let rows =
        [0, 0, 60].map(|secs| flow(1).int(ColumnId::Received, 1_780_000_000_000_000 + secs * 1_000_000));
    let (code, stdout, _) = Bench::of(&rows).run_raw(&["-r", "@", "-A", "received", "-o", "csv", "--utc"]);
    let times: Vec<_> =
        stdout.lines().skip(1).map(|line| line.split(',').nth(2).unwrap_or_default()).collect();
    assert_eq!((code, times), (0, vec!["2026-05-28T20:26:40.000Z", "2026-05-28T20:27:40.000Z"]), "{stdout}");
}

/// The other direction of biflows: its counters are in columns of their own.
#[test]
fn the_other_direction_ranks_and_fills_its_tables() {
    let row = |n: i64, out: i64| flow(n).int(ColumnId::OutBytes, out).int(ColumnId::OutPackets, 1 + n);
    let bench = Bench::of(&[(0, 5), (1, 900), (2, 50)].map(|(n, out)| row(n, out)));
    let ports = |args: &[&str]| bench.query(&[&["-o", "csv", "--no-scale"], args].concat());
    let asked: [&[&str]; 4] =
        [&["-O", "obytes"], &["-s", "dstport/obyte/ibyte"], &["-A", "srcip", "-O", "opackets"], &["-b"]];
    let shown = asked.map(|args| format!("$ flowdump {}\n{}", args.join(" "), ports(args)));
    assert_snapshot!("the_other_direction", shown.join("\n"));
}
