//! Windows in a zone that changes its clock, and times beyond the calendar.

use std::process::Command;

use flow_common::column::ColumnId;
use insta::assert_snapshot;

use crate::support::{Bench, Row};

/// Central European time by its rule, so that no zone file is needed.
const TZ: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

/// Destination ports of the flows in a window of that zone; what is said otherwise.
fn in_window(bench: &Bench, window: &str) -> Result<Vec<u32>, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_flowdump"))
        .env("TZ", TZ)
        .args(["-o", "csv", "-t", window, "-r"])
        .arg(bench.directory.path())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    if output.status.success() {
        let lines = stdout.unwrap();
        Ok(lines.lines().skip(1).filter_map(|line| line.split(',').nth(6)?.parse().ok()).collect())
    } else {
        Err(stderr.unwrap())
    }
}

#[test]
fn an_hour_the_clock_skipped_is_empty() {
    // 2026-03-29 01:00 UTC: 02:00 is 03:00. Flows 1 s before, then, half an hour
    // after, and one that ended before it began.
    let change = 1_774_746_000_000_000;
    let rows = [(-1_000_000, -1_000_000), (0, 0), (1_800_000_000, 1_800_000_000), (0, -1)];
    let rows: Vec<_> = (1..)
        .zip(rows)
        .map(|(port, (start, end))| {
            let row = Row::flow((0, 0), 17, ("10.0.0.1", 1), ("10.0.0.2", port), (1, 100));
            row.int(ColumnId::FlowStart, change + start).int(ColumnId::FlowEnd, change + end)
        })
        .collect();
    let bench = Bench::of(&rows);
    for (window, expected) in [
        ("2026/03/29", &[1, 2, 3, 4][..]),
        ("2026/03/29.01", &[1, 4]),
        ("2026/03/29.02", &[]),
        ("2026/03/29.02:00", &[]),
        ("2026/03/29.02:30", &[]),
        ("2026/03/29.02:59:59.999", &[]),
        ("2026/03/29.03", &[2, 3, 4]),
        ("2026/03/29.03:30", &[3]),
        ("2026/03/29.01-2026/03/29.02", &[1, 4]),
        ("2026/03/29.02-2026/03/29.03", &[2, 3, 4]),
        ("2026/03/29.02:10-2026/03/29.02:20", &[]),
        ("2026/03/29.02:10..2026/03/29.02:20", &[]),
        ("2026/03/29.01:30..2026/03/29.02:20", &[1, 4]),
        ("2026/03/29.02:20..2026/03/29.03:30", &[2, 3, 4]),
    ] {
        assert_eq!(in_window(&bench, window).as_deref(), Ok(expected), "{window}");
    }
    for window in
        ["2026/03/29.02-2026/03/29.01", "2026/03/29.03-2026/03/29.01", "2026/03/29.03..2026/03/29.01"]
    {
        let said = in_window(&bench, window).unwrap_err();
        assert!(said.contains("ends before it starts"), "{window}: {said}");
    }
}

#[test]
fn times_beyond_four_digits_of_a_year_are_their_microseconds() {
    // The last microsecond of 9999 and the first of year 0.
    let (last, first) = (253_402_300_799_999_999, -62_167_219_200_000_000);
    let rows = [(first - 1, last + 1), (first, last), (i64::MIN, i64::MAX)]
        .map(|(start, end)| Row::default().int(ColumnId::FlowStart, start).int(ColumnId::FlowEnd, end));
    let bench = Bench::of(&rows);
    assert_snapshot!(bench.query(&["-o", "ndjson"]), @r#"
    exit: 0
    --- stdout
    {"received":"2026-05-28T20:27:40.000Z","flow_start":-62167219200000001,"flow_end":253402300800000000,"exporter_addr":"192.0.2.1","export_version":9}
    {"received":"2026-05-28T20:27:40.000Z","flow_start":"0000-01-01T00:00:00.000Z","flow_end":"9999-12-31T23:59:59.999999Z","exporter_addr":"192.0.2.1","export_version":9}
    {"received":"2026-05-28T20:27:40.000Z","flow_start":-9223372036854775808,"flow_end":9223372036854775807,"exporter_addr":"192.0.2.1","export_version":9}
    "#);
    assert_snapshot!(bench.query(&["-o", "csv"]), @r"
    exit: 0
    --- stdout
    flow_start,duration,protocol,src_addr,src_port,dst_addr,dst_port,packets,bytes,flows
    -62167219200000001,315569520000.000,,,,,,,,1
    0000-01-01T00:00:00.000Z,315569519999.999,,,,,,,,1
    -9223372036854775808,9223372036854.775,,,,,,,,1
    ");
    assert_snapshot!(bench.query(&["-I", "-o", "ndjson"]), @r#"
    exit: 0
    --- stdout
    {"ident":"edge1","flows":3,"flows_tcp":0,"flows_udp":0,"flows_icmp":0,"flows_other":3,"packets":0,"packets_tcp":0,"packets_udp":0,"packets_icmp":0,"packets_other":0,"bytes":0,"bytes_tcp":0,"bytes_udp":0,"bytes_icmp":0,"bytes_other":0,"events":0,"first":-9223372036854775808,"last":9223372036854775807,"sequence_failures":0}
    "#);
    assert_snapshot!(bench.query(&["-s", "proto", "-s", "record", "-o", "ndjson"]), @r#"
    exit: 0
    --- stdout
    {"statistic":"record","order":"flows","first":-9223372036854775808,"last":9223372036854775807,"duration":18446744073709.551,"flows":3,"flows_percent":100.0,"packets":0,"packets_percent":0.0,"bytes":0,"bytes_percent":0.0,"pps":0,"bps":0,"bpp":0}
    "#);
}
