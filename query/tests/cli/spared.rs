//! What is not read of row groups, as bounds tell enough of it, changes no answer.

use flow_common::column::ColumnId;

use flow_common::tables::{RateRow, RateScope};

use crate::support::{Bench, Fixture, Row, T0_SECS, write};
use crate::tables::{put, rate};

/// Files of a minute each, in two row groups; `change` makes a row of file, number and row another.
fn bench(change: impl Fn(i64, i64, Row) -> Row) -> Bench {
    let bench = Bench::empty();
    for file in 0..6 {
        let row = |n: i64| {
            let at = file * 60_000 + n * 977 % 60_000;
            let row = Row::flow(
                (at, at + n % 90),
                if n % 4 == 0 { 17 } else { 6 },
                ("10.0.0.1", 1_000 + n % 9),
                ("192.0.2.1", [443, 53, 80, 22][(n % 8 / 2) as usize]),
                (n % 5 + 1, 40 * n + file),
            );
            change(file, n, row)
        };
        let rows: Vec<_> = (0..80).map(row).collect();
        write(
            &bench.path(&format!("{file}.parquet")),
            &rows,
            &Fixture { group_rows: 40, ..Fixture::default() },
        );
    }
    bench
}

#[track_caller]
fn check(what: &str, change: impl Fn(i64, i64, Row) -> Row) {
    check_sampled(what, &[], change);
}

/// As [`check`], with rates that exporters told.
#[track_caller]
fn check_sampled(what: &str, rates: &[RateRow], change: impl Fn(i64, i64, Row) -> Row) {
    let bench = bench(change);
    put(&bench, rates);
    let ask = |args: &[&str]| {
        let answer = bench.run(&[&["-R", "@", "--utc"], args].concat());
        // How long it took, and the question.
        let lines = answer.lines().filter(|line| !line.starts_with("Sys: ") && !line.starts_with("$ "));
        lines.collect::<Vec<_>>().join("\n")
    };
    for filter in
        ["any", "proto tcp", "dst port 443 or dst port 22", "not proto udp and bytes > 900", "src port 1004"]
    {
        for question in [
            &["-s", "dstport/flows", "-n", "2", "-o", "csv"][..],
            &["-s", "srcport/bytes", "-n", "3"],
            &["-A", "dstport,proto", "-O", "packets", "-n", "4", "-o", "ndjson"],
            &["-A", "tstart,srcport", "-O", "flows", "-n", "3"],
        ] {
            let with = |more: &[&str]| ask(&[question, more, &[filter]].concat());
            let expected = with(&["--two-passes-from", "1000000"]);
            for threads in ["1", "2", "8"] {
                let found = with(&["--two-passes-from", "0", "--threads", threads]);
                assert_eq!(found, expected, "{what}: {question:?} {filter}, {threads} threads");
            }
        }
        // With a number of rows to stop at, all of each is read.
        let totals = |more: &[&str]| {
            let answer = ask(&[&["-o", "null"], more, &[filter]].concat());
            answer.replace(", Blocks", "\n").lines().take(2).collect::<Vec<_>>().join("\n")
        };
        let expected = totals(&["-c", "1000000"]);
        for threads in ["1", "2", "8"] {
            assert_eq!(totals(&["--threads", threads]), expected, "{what}: {filter}, {threads} threads");
        }
    }
}

#[test]
fn times_that_are_not_read_tell_nothing_new() {
    check("in order", |_, _, row| row);
    let later = |file, n| file == 3 && n == 51;
    check("one before all others", |file, n, row| match later(file, n) {
        true => row.int(ColumnId::FlowStart, 1),
        false => row,
    });
    check("one behind all others", |file, n, row| match later(file, n) {
        true => row.int(ColumnId::FlowEnd, 1 << 55),
        false => row,
    });
    check("one that tells no end", |file, n, row| match later(file, n) {
        true => row.without(ColumnId::FlowEnd).int(ColumnId::FlowStart, 1 << 55),
        false => row,
    });
    check("a port in the middle alone", |file, n, row| match file == 2 || file == 3 {
        true => row.int(ColumnId::DstPort, 8_080 + n % 2),
        false => row,
    });
    check("flows that count as none", |file, n, row| match file == 3 && n % 3 == 0 {
        true => row.int(ColumnId::FlowCount, 0),
        false => row,
    });
    check("events", |file, n, row| match file == 3 && n % 3 == 0 {
        true => row.int(ColumnId::Contributes, 0).int(ColumnId::FlowStart, 1),
        false => row,
    });
    let rates = [rate(RateScope::Domain, 0, 0, 1_000), rate(RateScope::Domain, 0, 150, 10)];
    check_sampled("rates that were told", &rates, |file, n, row| {
        let received = T0_SECS + 60 * file + n * 977 % 60_000 / 1_000;
        let row = row.int(ColumnId::Received, received * 1_000_000).int(ColumnId::ObservationDomain, 7);
        match n % 3 {
            0 => row.int(ColumnId::SamplingRate, 4),
            1 => row.int(ColumnId::ObservationDomain, 8),
            _ => row,
        }
    });
}
