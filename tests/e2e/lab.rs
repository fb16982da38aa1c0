//! The 78 flows of a published lab guide: totals and tables that a user of
//! nfcapd and nfdump saw, seen again.

use std::fs;

use flow_tests::daemon::Daemon;
use flow_tests::lab::{datagrams, flows};
use flow_tests::query::flowdump;
use flow_tests::testdata;

#[test]
fn the_lab_guide_comes_back_as_it_was_printed() {
    let tsv = fs::read_to_string(testdata("lab-78-flows.tsv")).unwrap();
    let datagrams = datagrams(&flows(&tsv));
    let mut daemon = Daemon::start();
    daemon.send(datagrams.iter().map(Vec::as_slice));
    let finished = daemon.finish();
    let root = finished.directory.path();

    let table = flowdump(root, &[]).stdout;
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("2015-05-30")).collect();
    assert_eq!(rows.len(), 78);
    let icmp = rows.iter().find(|row| row.contains(" ICMP ")).unwrap();
    assert!(icmp.contains("192.168.10.8:0     ->     192.168.10.9:8.0 "), "{icmp}");
    assert!(rows[0].starts_with(
        "2015-05-30 11:22:39.400     00:00:00.000 TCP      192.168.44.15:9200  ->    192.168.44.14:39705"
    ));
    assert!(
        table.contains(
            "total flows: 78, total bytes: 48491, total packets: 367, avg bps: 38200, avg pps: 36, avg bpp: 132"
        ),
        "{table}"
    );
    assert!(table.contains("Time window: 2015-05-30 11:22:39.400 - 2015-05-30 11:22:49.555"), "{table}");
}

#[test]
fn the_lab_guide_answers_the_derived_questions() {
    let tsv = fs::read_to_string(testdata("lab-78-flows.tsv")).unwrap();
    let datagrams = datagrams(&flows(&tsv));
    let mut daemon = Daemon::start();
    daemon.send(datagrams.iter().map(Vec::as_slice));
    let finished = daemon.finish();
    let check = |args: &[&str], expected: &[(&str, u64)]| {
        let args = [args, &["-o", "ndjson"]].concat();
        let output = flowdump(finished.directory.path(), &args);
        let rows = output.stdout.lines().map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let value = &row["value"];
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            (text, row["bytes"].as_u64().unwrap())
        });
        let expected: Vec<_> = expected.iter().map(|&(value, bytes)| (value.to_owned(), bytes)).collect();
        assert_eq!(rows.take(expected.len()).collect::<Vec<_>>(), expected, "{args:?}");
    };
    check(&["-s", "proto/bytes"], &[("6", 44_401), ("1", 3_926), ("17", 164)]);
    check(
        &["-s", "srcip/bytes"],
        &[
            ("169.254.169.254", 14_426),
            ("192.168.44.14", 10_023),
            ("192.168.40.5", 6_750),
            ("192.168.44.15", 5_444),
            ("192.168.44.13", 2_410),
        ],
    );
}
