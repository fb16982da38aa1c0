//! Names and sampling rates of the side tables beside the files, and scaling.

use std::fs::File;
use std::path::Path;

use flow_common::addr::Addr16;
use flow_common::column::ColumnId;
use flow_common::tables::{NameKind, NameRow, RateRow, RateScope};
use flow_common::time::Timestamp;
use insta::assert_snapshot;
use parquet::arrow::ArrowWriter;

use crate::support::{Bench, Cell, Fixture, Row, T0_SECS, write};

const EXPORTER: Addr16 = Addr16::from_v4([192, 0, 2, 1]);

pub(crate) fn name(kind: NameKind, id: i64, name: &str) -> NameRow {
    NameRow {
        exporter_addr: EXPORTER,
        export_version: 9,
        observation_domain: 7,
        kind,
        id,
        name: name.to_owned(),
        description: None,
        mode: None,
        data_type: None,
        semantics: None,
        units: None,
        first_seen: Timestamp::default(),
        last_seen: Timestamp::default(),
    }
}

pub(crate) fn rate(scope: RateScope, scope_id: i64, after_secs: i64, rate: i64) -> RateRow {
    RateRow {
        exporter_addr: EXPORTER,
        export_version: 9,
        observation_domain: 7,
        scope,
        scope_id,
        rate,
        valid_from: Timestamp::from_secs(T0_SECS + after_secs),
    }
}

pub(crate) fn put<R: flow_common::tables::Row>(bench: &Bench, rows: &[R]) {
    put_into(bench.directory.path(), rows);
}

/// Writes a side table of the tree below `root`.
pub(crate) fn put_into<R: flow_common::tables::Row>(root: &Path, rows: &[R]) {
    std::fs::create_dir_all(root.join(".flowcap")).unwrap();
    let file = File::create(root.join(".flowcap").join(R::FILE)).unwrap();
    let mut writer = ArrowWriter::try_new(file, R::schema(), None).unwrap();
    writer.write(&R::to_batch(rows).unwrap()).unwrap();
    writer.close().unwrap();
}

/// A flow of 3 packets and 300 bytes received so many seconds after the first.
fn flow(received_secs: i64) -> Row {
    Row::flow((0, 1_000), 6, ("10.0.0.1", 1_000), ("10.0.0.2", 80), (3, 300))
        .int(ColumnId::Received, (T0_SECS + received_secs) * 1_000_000)
        .int(ColumnId::ObservationDomain, 7)
}

/// Packets as `-o csv` prints them.
#[track_caller]
fn check_packets(bench: &Bench, args: &[&str], expected: &[&str], said: &str) {
    let (code, stdout, stderr) = bench.run_raw(&[&["-r", "@", "-o", "csv"], args].concat());
    let packets: Vec<_> = stdout.lines().skip(1).map(|line| line.split(',').nth(7).unwrap()).collect();
    assert_eq!((code, packets, stderr.as_str()), (0, expected.to_vec(), said), "{args:?}");
}

#[test]
fn counters_are_multiplied_and_every_answer_says_so() {
    let sampled = flow(0).int(ColumnId::SamplingRate, 100);
    let bench = Bench::of(&[sampled.clone(), flow(0), sampled.int(ColumnId::SamplingRate, 10)]);
    assert_snapshot!(bench.query(&[]), @r#"
exit: 0
--- stdout
Date first seen         Duration         Proto      Src IP Addr:Port          Dst IP Addr:Port   Packets    Bytes Flows
2026-05-28 20:26:40.000     00:00:01.000 TCP           10.0.0.1:1000  ->         10.0.0.2:80         300    30000     1
2026-05-28 20:26:40.000     00:00:01.000 TCP           10.0.0.1:1000  ->         10.0.0.2:80           3      300     1
2026-05-28 20:26:40.000     00:00:01.000 TCP           10.0.0.1:1000  ->         10.0.0.2:80          30     3000     1
Summary: total flows: 3, total bytes: 33300, total packets: 333, avg bps: 266400, avg pps: 333, avg bpp: 100
Scaled: packets and bytes are multiplied by sampling rates of 1 to 100
Time window: 2026-05-28 20:26:40.000 - 2026-05-28 20:26:41.000, Duration: 00:00:01.000
Total records processed: 3, passed: 3, Blocks skipped: 0, Bytes read: [BYTES]
Sys: [TIMES]
"#);
    assert_snapshot!(bench.query(&["-q", "-s", "proto/bytes"]), @r#"
exit: 0
--- stdout
2026-05-28 20:26:40.000     00:00:01.000 TCP                   6        3(100.0)      333(100.0)    33300(100.0)      333   266400   100
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 100
"#);
    assert_snapshot!(bench.query(&["-o", "ndjson", "packets > 100"]), @r#"
exit: 0
--- stdout
{"received":"2026-05-28T20:26:40.000Z","flow_start":"2026-05-28T20:26:40.000Z","flow_end":"2026-05-28T20:26:41.000Z","src_addr":"10.0.0.1","dst_addr":"10.0.0.2","src_port":1000,"dst_port":80,"protocol":6,"packets":300,"bytes":30000,"exporter_addr":"192.0.2.1","export_version":9,"observation_domain":7,"sampling_rate":100,"scaled_by":100}
--- stderr
note: packets and bytes are multiplied by sampling rates of 100
"#);
    let said = "note: packets and bytes are multiplied by sampling rates of 1 to 100\n";
    check_packets(&bench, &[], &["300", "3", "30"], said);
    check_packets(&bench, &["--no-scale"], &["3", "3", "3"], "");
    check_packets(&bench, &["--no-scale", "packets > 3"], &[], "");
    let said = "note: packets and bytes are multiplied by sampling rates of 10\n";
    check_packets(&bench, &["packets = 30"], &["30"], said);
}

#[test]
fn totals_of_footers_are_as_exported_and_say_so() {
    let bench = Bench::of(&[flow(0).int(ColumnId::SamplingRate, 100)]);
    let (_, stdout, stderr) = bench.run_raw(&["-r", "@", "-I"]);
    assert!(stdout.contains("Packets: 3\n"), "{stdout}");
    assert_eq!(stderr, "note: totals are as exported, not multiplied by sampling rates of up to 100\n");
    let bench = Bench::of(&[flow(0)]);
    assert_eq!(bench.run_raw(&["-r", "@", "-I"]).2, "");
}

#[test]
fn counters_do_not_overflow() {
    let row = flow(0).int(ColumnId::Packets, i64::MAX).int(ColumnId::SamplingRate, i64::MAX);
    let said = format!("note: packets and bytes are multiplied by sampling rates of {}\n", i64::MAX);
    check_packets(&Bench::of(&[row]), &[], &[&i64::MAX.to_string()], &said);
}

#[test]
fn a_rate_that_is_no_rate_counts_for_nothing() {
    for rate in [0, -5, 1] {
        check_packets(&Bench::of(&[flow(0).int(ColumnId::SamplingRate, rate)]), &[], &["3"], "");
    }
}

#[test]
fn rates_of_the_side_table_hold_by_their_time() {
    let own = flow(60).int(ColumnId::SamplingRate, 2);
    let bench = Bench::empty();
    // Several row groups: what their statistics prove must not hide a match.
    let fixture = Fixture { group_rows: 1, ..Fixture::default() };
    write(&bench.path("a.parquet"), &[flow(0), flow(100), flow(200), own.clone()], &fixture);
    put(&bench, &[rate(RateScope::Domain, 0, 200, 1_000), rate(RateScope::Domain, 0, 50, 10)]);
    let said = |rates: &str| format!("note: packets and bytes are multiplied by sampling rates of {rates}\n");
    check_packets(&bench, &[], &["30", "30", "3000", "6"], &said("2 to 1000"));
    check_packets(&bench, &["packets > 1000"], &["3000"], &said("1000"));
    check_packets(&bench, &["packets in [6 30]"], &["30", "30", "6"], &said("2 to 10"));
    check_packets(&bench, &["not packets > 7"], &["6"], &said("2"));
    check_packets(&bench, &["--no-scale"], &["3"; 4], "");
    // A filter about a row's own rate reads nothing of what others are looked up by.
    write(&bench.path("a.parquet"), &[flow(0), flow(100), flow(200), own], &Fixture::default());
    let either = "sampling rate 2 or src port 1000";
    check_packets(&bench, &[either], &["30", "30", "3000", "6"], &said("2 to 1000"));
    // Of another exporter, version or domain nothing is known.
    let other = [
        flow(0).addr(ColumnId::ExporterAddr, "192.0.2.9"),
        flow(0).int(ColumnId::ExportVersion, 10),
        flow(0).int(ColumnId::ObservationDomain, 8),
        flow(0).without(ColumnId::ObservationDomain),
    ];
    write(&bench.path("a.parquet"), &other, &Fixture::default());
    check_packets(&bench, &[], &["3"; 4], "");
}

/// What a comparison means.
type Judge = fn(i64, i64) -> bool;

/// Every comparison of a counter, judged row by row without the program's code, in
/// row groups of all sizes: statistics must hide no match.
#[test]
fn filters_on_scaled_counters_find_all_there_is() {
    let mut rows = Vec::new();
    for packets in [0, 1, 3, 50, 1_000] {
        for rate in [None, Some(1), Some(10), Some(1_000)] {
            let row = flow(0).int(ColumnId::Packets, packets);
            rows.push((
                packets * rate.unwrap_or(7),
                match rate {
                    Some(rate) => row.int(ColumnId::SamplingRate, rate),
                    None => row,
                },
            ));
        }
    }
    let bench = Bench::empty();
    put(&bench, &[rate(RateScope::Domain, 0, 0, 7)]);
    for group_rows in [1, 3, 7, 100] {
        let all: Vec<_> = rows.iter().map(|(_, row)| row.clone()).collect();
        write(&bench.path("a.parquet"), &all, &Fixture { group_rows, ..Fixture::default() });
        for value in [0, 1, 3, 7, 10, 21, 30, 500, 3_000, 7_000, 50_000, 1_000_000] {
            let judges: [(&str, Judge); 6] = [
                ("=", |a, b| a == b),
                ("!=", |a, b| a != b),
                ("<", |a, b| a < b),
                ("<=", |a, b| a <= b),
                (">", |a, b| a > b),
                (">=", |a, b| a >= b),
            ];
            for (word, judge) in judges {
                let expected: Vec<_> = rows.iter().map(|row| row.0).filter(|&it| judge(it, value)).collect();
                let filter = format!("packets {word} {value}");
                let (_, stdout, _) = bench.run_raw(&["-r", "@", "-o", "csv", &filter]);
                let packets = |line: &str| line.split(',').nth(7).unwrap().parse::<i64>().unwrap();
                let found: Vec<_> = stdout.lines().skip(1).map(packets).collect();
                assert_eq!(found, expected, "{filter}, groups of {group_rows}");
            }
        }
    }
}

#[test]
fn samplers_and_interfaces_have_their_own() {
    let sampler = |id: u8| flow(0).set(ColumnId::Other, Cell::Other(vec![(48, vec![id])]));
    let interface = |id| flow(0).int(ColumnId::InIf, id);
    let bench = Bench::of(&[sampler(1), sampler(2), interface(1), interface(2), flow(0)]);
    put(
        &bench,
        &[
            rate(RateScope::Sampler, 1, 0, 100),
            rate(RateScope::Interface, 1, 0, 10),
            rate(RateScope::Interface, 2, 0, 20),
        ],
    );
    let said = "note: packets and bytes are multiplied by sampling rates of 1 to 100\n";
    check_packets(&bench, &[], &["300", "3", "30", "60", "3"], said);
}

fn named() -> Bench {
    let row = flow(0)
        .int(ColumnId::InIf, 1)
        .int(ColumnId::OutIf, 2)
        .int(ColumnId::IngressVrf, 3)
        .int(ColumnId::ApplicationId, 13 << 32 | 479)
        .set(ColumnId::Other, Cell::Other(vec![(302, vec![0, 4]), (9 << 32 | 5, vec![1])]));
    let own = flow(0).text(ColumnId::ApplicationName, "its own").int(ColumnId::ApplicationId, 13 << 32 | 479);
    let elsewhere = flow(0).int(ColumnId::InIf, 1).int(ColumnId::ObservationDomain, 99);
    let bench = Bench::of(&[row, own, elsewhere]);
    put(
        &bench,
        &[
            name(NameKind::Interface, 1, "eth0"),
            name(NameKind::Interface, 2, "up\u{202e}link\u{7}\n"),
            name(NameKind::Vrf, 3, "red"),
            name(NameKind::Application, 13 << 32 | 479, "ssl"),
            name(NameKind::Sampler, 4, "one in ten"),
            name(NameKind::Element, 9 << 32 | 5, "temperature"),
        ],
    );
    bench
}

#[test]
fn names_stand_beside_numbers() {
    let bench = named();
    assert_snapshot!(bench.query(&["-o", "ndjson"]), @r#"
exit: 0
--- stdout
{"received":"2026-05-28T20:26:40.000Z","flow_start":"2026-05-28T20:26:40.000Z","flow_end":"2026-05-28T20:26:41.000Z","src_addr":"10.0.0.1","dst_addr":"10.0.0.2","src_port":1000,"dst_port":80,"protocol":6,"packets":3,"bytes":300,"in_if":1,"out_if":2,"ingress_vrf":3,"application_id":55834575327,"exporter_addr":"192.0.2.1","export_version":9,"observation_domain":7,"other":{"302":"0004","9:5":"01"},"in_if_name":"eth0","out_if_name":"up\u202elink\u0007\n","ingress_vrf_name":"red","application_name":"ssl","sampler_name":"one in ten"}
{"received":"2026-05-28T20:26:40.000Z","flow_start":"2026-05-28T20:26:40.000Z","flow_end":"2026-05-28T20:26:41.000Z","src_addr":"10.0.0.1","dst_addr":"10.0.0.2","src_port":1000,"dst_port":80,"protocol":6,"packets":3,"bytes":300,"application_id":55834575327,"application_name":"its own","exporter_addr":"192.0.2.1","export_version":9,"observation_domain":7}
{"received":"2026-05-28T20:26:40.000Z","flow_start":"2026-05-28T20:26:40.000Z","flow_end":"2026-05-28T20:26:41.000Z","src_addr":"10.0.0.1","dst_addr":"10.0.0.2","src_port":1000,"dst_port":80,"protocol":6,"packets":3,"bytes":300,"in_if":1,"exporter_addr":"192.0.2.1","export_version":9,"observation_domain":99,"in_if_name":"eth0"}
"#);
    assert_snapshot!(bench.query(&["-c", "1", "-o", "raw"]), @r#"
exit: 0
--- stdout

Flow Record: 
  RecordCount  =                  1
  Ident        =              edge1
  first        =      1780000000000 [2026-05-28 20:26:40.000]
  last         =      1780000001000 [2026-05-28 20:26:41.000]
  received at  =      1780000000000 [2026-05-28 20:26:40.000]
  proto        =                  6 TCP
  src port     =               1000
  dst port     =                 80
  in packets   =                  3
  in bytes     =                300
  src addr     =           10.0.0.1
  dst addr     =           10.0.0.2
  input        =                  1
  output       =                  2
  ip exporter  =          192.0.2.1
  ingress VRF  =                  3
  app ID       =            13..479
  version      =                  9
  observation domainID =                  7
  element 302 = 0004 selectorId
  element 9:5 = 01 temperature
  in ifname    = eth0
  out ifname   = up�link��
  in VRF name  = red
  app name     = ssl
  sampler name = one in ten
"#);
    assert_snapshot!(
        bench.query(&["-q", "-o", "fmt:%in=%inam %out=%onam %ivrfnam %evrfnam %nbid=%nbnam %smpnam"]), @r#"
exit: 0
--- stdout
     1=                 eth0      2=            up�link��              red                - 13..479=             ssl       one in ten
     0=                    -      0=                    -                -                - 13..479=         its own                -
     1=                 eth0      0=                    -                -                -    0..0=               -                -
"#);
}

#[test]
fn a_format_of_tags() {
    let bench = Bench::of(&crate::support::sample());
    assert_snapshot!(bench.query(&["-c", "4", "-o", "fmt:%ts %td %pr %sap -> %dap %flg %tos %pkt %byt %fl"]), @r#"
exit: 0
--- stdout
Date first seen         Duration         Proto      Src IP Addr:Port          Dst IP Addr:Port     Flags  Tos  Packets    Bytes Flows
2026-05-28 20:26:40.000     00:00:00.000 UDP       192.168.1.10:51000 ->          8.8.8.8:53    ........    0        1       72     1
2026-05-28 20:26:40.100     00:01:01.134 TCP       192.168.1.10:52344 ->    93.184.216.34:443   ...AP.SF    0       42    15234     1
2026-05-28 20:26:40.120     00:01:01.110 TCP      93.184.216.34:443   ->     192.168.1.10:52344 ...AP.S.   72     1290    1.8 M     1
2026-05-28 20:26:40.000     00:16:39.000 ICMP          10.0.0.5:0     ->     192.168.1.20:8.0   ........    0     1000    84000     1
Summary: total flows: 4, total bytes: 1.9 M, total packets: 2333, avg bps: 15486, avg pps: 2, avg bpp: 828
Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
Total records processed: 8, passed: 4, Blocks skipped: 0, Bytes read: [BYTES]
Sys: [TIMES]
"#);
    assert_snapshot!(bench.query(&["-o", "fmt:%ts %inma"]), @r#"
exit: 2
--- stderr
error: unknown tag `%inma` in `fmt:`
hint: did you mean `%inam`?
"#);
    assert_snapshot!(bench.query(&["-o", "fmt:%foo"]), @r#"
exit: 2
--- stderr
error: unknown tag `%foo` in `fmt:`
hint: for example `-o 'fmt:%ts %sap -> %dap %pkt %byt %inam'`
"#);
    assert_snapshot!(bench.query(&["-o", "fmt:%da %bsp"]), @r#"
exit: 2
--- stderr
error: unknown tag `%bsp` in `fmt:`
hint: did you mean `%sp`?
"#);
}

#[test]
fn a_damaged_side_table_is_named_and_left_out() {
    let bench = named();
    let path = bench.path(".flowcap/names.table");
    let sound = std::fs::read(&path).unwrap();
    let args = ["-r", "@", "-q", "-o", "fmt:%inam"];
    for index in (0..sound.len()).step_by(11) {
        let mut damaged = sound.clone();
        damaged[index] ^= 0xa5;
        std::fs::write(&path, &damaged).unwrap();
        let (code, stdout, stderr) = bench.run_raw(&args);
        // The names, other names, or none and an error: always three rows.
        assert!(matches!((code, stderr.is_empty()), (0, true) | (3, false)), "octet {index}: {stderr}");
        assert_eq!(stdout.lines().count(), 3, "octet {index}");
    }
    std::fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    assert_snapshot!(bench.query(&args[2..]), @r#"
exit: 3
--- stdout
                    -
                    -
                    -
--- stderr
error: can't read `[DIR]/.flowcap/names.table`: it is no Parquet file, or cut short
"#);
    put(&bench, &[rate(RateScope::Domain, 0, 0, 10)]);
    std::fs::copy(bench.path(".flowcap/sampling.table"), &path).unwrap();
    assert_snapshot!(bench.query(&args[2..]), @r#"
exit: 3
--- stdout
                    -
                    -
                    -
--- stderr
error: can't read `[DIR]/.flowcap/names.table`: it is damaged: it is no `names.table`
"#);
    // Nobody asks for names: the table is not read.
    assert_eq!(bench.run_raw(&["-r", "@", "--no-scale", "-q"]).0, 0);
}
