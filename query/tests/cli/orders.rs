//! `-O`: records, and rows of `-a` and `-A`, in an order of their own.

use flow_common::column::ColumnId;
use insta::assert_snapshot;

use crate::support::{Bench, Row};

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
    let many: Vec<_> = (0..2_000).map(|n| flow(n).int(ColumnId::Bytes, n)).collect();
    let many = Bench::of(&many);
    let asked: [(&Bench, &[&str]); 7] = [
        (&few, &["-O", "bytes", "-n", "1", "-o", "ndjson"]),
        (&few, &["-O", "bytes", "-n", "2"]),
        (&few, &["-O", "bytes", "-n", "1", "src port 1"]),
        (&few, &["-A", "srcport", "-O", "bytes,packets:a", "-o", "csv"]),
        (&few, &["-O", "bytes", "-s", "srcip"]),
        (&few, &["-O", "byte"]),
        (&many, &["-O", "bytes", "-o", "csv", "--memory", "64k"]),
    ];
    let shown = asked.map(|(bench, args)| format!("$ flowdump {}\n{}", args.join(" "), bench.query(args)));
    assert_snapshot!("answers_and_refusals", shown.join("\n"));
    let first = ["-r", "@", "-O", "bytes", "-n", "3", "-o", "csv", "--memory", "1M"];
    let (code, stdout, _) = many.run_raw(&first);
    assert_eq!((code, stdout.lines().count()), (0, 4));
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
