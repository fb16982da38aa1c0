//! `--bucket`, `--distinct`, `--percentile` and `--error`.

use flow_common::column::ColumnId;
use flow_query::{Env, Zone};
use insta::assert_snapshot;

use crate::support::{Bench, NOW, Row};

/// Two hosts over a quarter of an hour: 10.0.0.1 asks one server and much, 10.0.0.9 many ports
/// and little. Every other flow of the first was sampled one in ten.
fn flows() -> Vec<Row> {
    let minutes = |n: i64| n * 60_000;
    let steady = (0..15).map(|n| {
        let times = (minutes(n), minutes(n) + 30_000);
        let row = Row::flow(times, 6, ("10.0.0.1", 40_000), ("10.0.0.2", 443), (100, 1_000 * (n + 1)));
        if n % 2 == 0 { row } else { row.int(ColumnId::SamplingRate, 10) }
    });
    let scan = (0..15).map(|n| {
        let times = (minutes(n / 3), minutes(n / 3));
        Row::flow(times, 6, ("10.0.0.9", 50_000 + n), ("10.0.0.2", 1 + n), (1, 40))
    });
    steady.chain(scan).collect()
}

#[test]
fn a_series_of_sums() {
    let bench = Bench::of(&flows());
    assert_snapshot!(bench.query(&["--bucket", "5m"]), @r#"
exit: 0
--- stdout
Bucket                  Date first seen         Duration          Packets    Bytes      pps      bps    Bpp Flows
2026-05-28 20:25:00.000 2026-05-28 20:26:40.000     00:03:30.000     2212    64480        7     1719     29    16
2026-05-28 20:30:00.000 2026-05-28 20:30:40.000     00:04:30.000     2303   161120        7     4296     69     8
2026-05-28 20:35:00.000 2026-05-28 20:35:40.000     00:04:30.000     3200   384000       10    10240    120     5
2026-05-28 20:40:00.000 2026-05-28 20:40:40.000     00:00:30.000      100    15000        0      400    150     1
Summary: total flows: 30, total bytes: 624600, total packets: 7815, avg bps: 5743, avg pps: 8, avg bpp: 79
Scaled: packets and bytes are multiplied by sampling rates of 1 to 10
Time window: 2026-05-28 20:26:40.000 - 2026-05-28 20:41:10.000, Duration: 00:14:30.000
Total records processed: 30, passed: 30, Blocks skipped: 0, Bytes read: [BYTES]
Sys: [TIMES]
"#);
    assert_snapshot!(bench.query(&["--bucket", "5m", "-O", "bytes", "-n", "2", "-q"]), @r#"
exit: 0
--- stdout
2026-05-28 20:35:00.000 2026-05-28 20:35:40.000     00:04:30.000     3200   384000       10    10240    120     5
2026-05-28 20:30:00.000 2026-05-28 20:30:40.000     00:04:30.000     2303   161120        7     4296     69     8
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--bucket", "1d", "-o", "csv"]), @r#"
exit: 0
--- stdout
bucket,flow_start,duration,packets,bytes,pps,bps,bpp,flows
2026-05-28T00:00:00.000Z,2026-05-28T20:26:40.000Z,870.000,7815,624600,0,57,79,30
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--bucket", "10m", "-o", "ndjson", "--no-scale"]), @r#"
exit: 0
--- stdout
{"bucket":"2026-05-28T20:20:00.000Z","first":"2026-05-28T20:26:40.000Z","last":"2026-05-28T20:30:10.000Z","duration":210.000,"flows":16,"packets":412,"bytes":10480,"pps":0,"bps":139,"bpp":25}
{"bucket":"2026-05-28T20:30:00.000Z","first":"2026-05-28T20:30:40.000Z","last":"2026-05-28T20:40:10.000Z","duration":570.000,"flows":13,"packets":1003,"bytes":95120,"pps":1,"bps":1268,"bpp":94}
{"bucket":"2026-05-28T20:40:00.000Z","first":"2026-05-28T20:40:40.000Z","last":"2026-05-28T20:41:10.000Z","duration":30.000,"flows":1,"packets":100,"bytes":15000,"pps":0,"bps":200,"bpp":150}
"#);
    assert_snapshot!(bench.query(&["--bucket", "10m", "-o", "md"]), @r#"
exit: 0
--- stdout
| Bucket | Date first seen | Duration | Packets | Bytes | pps | bps | Bpp | Flows |
|---|---|--:|--:|--:|--:|--:|--:|--:|
| 2026-05-28 20:20:00.000 | 2026-05-28 20:26:40.000 | 00:03:30.000 | 2212 | 64480 | 3 | 859 | 29 | 16 |
| 2026-05-28 20:30:00.000 | 2026-05-28 20:30:40.000 | 00:09:30.000 | 5503 | 545120 | 9 | 7268 | 99 | 13 |
| 2026-05-28 20:40:00.000 | 2026-05-28 20:40:40.000 | 00:00:30.000 | 100 | 15000 | 0 | 200 | 150 | 1 |
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--bucket", "1h", "src port 7"]), @r#"
exit: 0
--- stdout
Bucket                  Date first seen         Duration          Packets    Bytes      pps      bps    Bpp Flows
No matching flows
Summary: total flows: 0, total bytes: 0, total packets: 0, avg bps: 0, avg pps: 0, avg bpp: 0
Time window: 2026-05-28 20:26:40.000 - 2026-05-28 20:41:10.000, Duration: 00:14:30.000
Total records processed: 30, passed: 0, Blocks skipped: 0, Bytes read: [BYTES]
Sys: [TIMES]
"#);
}

#[test]
fn a_series_of_groups() {
    let bench = Bench::of(&flows());
    assert_snapshot!(bench.query(&["--bucket", "5m", "-A", "srcip", "-q"]), @r#"
exit: 0
--- stdout
2026-05-28 20:25:00.000 2026-05-28 20:26:40.000     00:03:00.000         10.0.0.9       12      480       12     40    12
2026-05-28 20:25:00.000 2026-05-28 20:26:40.000     00:03:30.000         10.0.0.1     2200    64000     1706     29     4
2026-05-28 20:30:00.000 2026-05-28 20:30:40.000     00:04:30.000         10.0.0.1     2300   161000     4293     70     5
2026-05-28 20:30:00.000 2026-05-28 20:30:40.000     00:00:00.000         10.0.0.9        3      120        3     40     3
2026-05-28 20:35:00.000 2026-05-28 20:35:40.000     00:04:30.000         10.0.0.1     3200   384000    10240    120     5
2026-05-28 20:40:00.000 2026-05-28 20:40:40.000     00:00:30.000         10.0.0.1      100    15000      400    150     1
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    // The first of each bucket, and the first of all.
    assert_snapshot!(bench.query(&["--bucket", "5m", "-A", "srcip", "-n", "1", "-q"]), @r#"
exit: 0
--- stdout
2026-05-28 20:25:00.000 2026-05-28 20:26:40.000     00:03:00.000         10.0.0.9       12      480       12     40    12
2026-05-28 20:30:00.000 2026-05-28 20:30:40.000     00:04:30.000         10.0.0.1     2300   161000     4293     70     5
2026-05-28 20:35:00.000 2026-05-28 20:35:40.000     00:04:30.000         10.0.0.1     3200   384000    10240    120     5
2026-05-28 20:40:00.000 2026-05-28 20:40:40.000     00:00:30.000         10.0.0.1      100    15000      400    150     1
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--bucket", "5m", "-A", "srcip", "-O", "bytes", "-n", "2", "-q"]), @r#"
exit: 0
--- stdout
2026-05-28 20:35:00.000 2026-05-28 20:35:40.000     00:04:30.000         10.0.0.1     3200   384000    10240    120     5
2026-05-28 20:30:00.000 2026-05-28 20:30:40.000     00:04:30.000         10.0.0.1     2300   161000     4293     70     5
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--bucket", "5m", "-A", "srcip", "-O", "bucket:d,bytes", "-n", "1", "-q"]), @r#"
exit: 0
--- stdout
2026-05-28 20:40:00.000 2026-05-28 20:40:40.000     00:00:30.000         10.0.0.1      100    15000      400    150     1
2026-05-28 20:35:00.000 2026-05-28 20:35:40.000     00:04:30.000         10.0.0.1     3200   384000    10240    120     5
2026-05-28 20:30:00.000 2026-05-28 20:30:40.000     00:04:30.000         10.0.0.1     2300   161000     4293     70     5
2026-05-28 20:25:00.000 2026-05-28 20:26:40.000     00:03:30.000         10.0.0.1     2200    64000     1706     29     4
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--bucket", "5m", "-A", "srcip", "-O", "tstart:d", "-n", "1", "-q"]), @r#"
exit: 0
--- stdout
2026-05-28 20:40:00.000 2026-05-28 20:40:40.000     00:00:30.000         10.0.0.1      100    15000      400    150     1
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--bucket", "5m", "-s", "srcip/bytes", "-n", "1"]), @r#"
exit: 0
--- stdout
Top 1 Src IP Addr ordered by bytes, every 5m:
Bucket                  Date first seen             Duration     Proto       Src IP Addr    Flows(%)     Packets(%)       Bytes(%)         pps      bps   bpp
2026-05-28 20:25:00.000 2026-05-28 20:26:40.000     00:03:30.000 any            10.0.0.1        4(13.3)     2200(28.2)    64000(10.2)        7     1706    29
2026-05-28 20:30:00.000 2026-05-28 20:30:40.000     00:04:30.000 any            10.0.0.1        5(16.7)     2300(29.4)   161000(25.8)        7     4293    70
2026-05-28 20:35:00.000 2026-05-28 20:35:40.000     00:04:30.000 any            10.0.0.1        5(16.7)     3200(40.9)   384000(61.5)       10    10240   120
2026-05-28 20:40:00.000 2026-05-28 20:40:40.000     00:00:30.000 any            10.0.0.1        1( 3.3)      100( 1.3)    15000( 2.4)        0      400   150

Summary: total flows: 30, total bytes: 624600, total packets: 7815, avg bps: 5743, avg pps: 8, avg bpp: 79
Scaled: packets and bytes are multiplied by sampling rates of 1 to 10
Time window: 2026-05-28 20:26:40.000 - 2026-05-28 20:41:10.000, Duration: 00:14:30.000
Total records processed: 30, passed: 30, Blocks skipped: 0, Bytes read: [BYTES]
Sys: [TIMES]
"#);
    assert_snapshot!(bench.query(&["--bucket", "10m", "-s", "srcip:p/bytes", "-n", "1", "-o", "csv"]), @r#"
exit: 0
--- stdout
statistic,order,bucket,value,protocol,first,last,duration,flows,flows_percent,packets,packets_percent,bytes,bytes_percent,pps,bps,bpp
srcip,bytes,2026-05-28T20:20:00.000Z,10.0.0.1,6,2026-05-28T20:26:40.000Z,2026-05-28T20:30:10.000Z,210.000,4,13.3,2200,28.2,64000,10.2,3,853,29
srcip,bytes,2026-05-28T20:30:00.000Z,10.0.0.1,6,2026-05-28T20:30:40.000Z,2026-05-28T20:40:10.000Z,570.000,10,33.3,5500,70.4,545000,87.3,9,7266,99
srcip,bytes,2026-05-28T20:40:00.000Z,10.0.0.1,6,2026-05-28T20:40:40.000Z,2026-05-28T20:41:10.000Z,30.000,1,3.3,100,1.3,15000,2.4,0,200,150
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--bucket", "10m", "-s", "srcip", "-n", "1", "-o", "ndjson"]), @r#"
exit: 0
--- stdout
{"statistic":"srcip","order":"flows","bucket":"2026-05-28T20:20:00.000Z","value":"10.0.0.9","first":"2026-05-28T20:26:40.000Z","last":"2026-05-28T20:29:40.000Z","duration":180.000,"flows":12,"flows_percent":40.0,"packets":12,"packets_percent":0.2,"bytes":480,"bytes_percent":0.1,"pps":0,"bps":6,"bpp":40}
{"statistic":"srcip","order":"flows","bucket":"2026-05-28T20:30:00.000Z","value":"10.0.0.1","first":"2026-05-28T20:30:40.000Z","last":"2026-05-28T20:40:10.000Z","duration":570.000,"flows":10,"flows_percent":33.3,"packets":5500,"packets_percent":70.4,"bytes":545000,"bytes_percent":87.3,"pps":9,"bps":7266,"bpp":99}
{"statistic":"srcip","order":"flows","bucket":"2026-05-28T20:40:00.000Z","value":"10.0.0.1","first":"2026-05-28T20:40:40.000Z","last":"2026-05-28T20:41:10.000Z","duration":30.000,"flows":1,"flows_percent":3.3,"packets":100,"packets_percent":1.3,"bytes":15000,"bytes_percent":2.4,"pps":0,"bps":200,"bpp":150}
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
}

#[test]
fn different_values_find_scanners() {
    let bench = Bench::of(&flows());
    assert_snapshot!(bench.query(&["-A", "srcip", "--distinct", "dstport,dstip", "-O", "distinct", "-q"]), @r#"
exit: 0
--- stdout
2026-05-28 20:26:40.000     00:04:00.000         10.0.0.9       15      600       20     40    15                15                    1
2026-05-28 20:26:40.000     00:14:30.000         10.0.0.1     7800   624000     5737     80    15                 1                    1
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(
        bench.query(&["-A", "srcip", "--distinct", "dstport,dstip", "-O", "distinct:dstport:a", "-o", "csv"]), @r#"
exit: 0
--- stdout
flow_start,duration,src_addr,packets,bytes,bps,bpp,flows,distinct_dst_port,distinct_dst_addr
2026-05-28T20:26:40.000Z,870.000,10.0.0.1,7800,624000,5737,80,15,1,1
2026-05-28T20:26:40.000Z,240.000,10.0.0.9,15,600,20,40,15,15,1
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["-s", "dstip/distinct:srcip", "--distinct", "srcip", "-o", "md"]), @r#"
exit: 0
--- stdout
Top 10 Dst IP Addr ordered by distinct:srcip:

| Date first seen | Duration | Proto | Dst IP Addr | Flows(%) | Packets(%) | Bytes(%) | pps | bps | bpp | Distinct Src IP Addr |
|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|
| 2026-05-28 20:26:40.000 | 00:14:30.000 | any | 10.0.0.2 | 30(100.0) | 7815(100.0) | 624600(100.0) | 8 | 5743 | 79 | 2 |
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--distinct", "srcport", "--distinct", "in_if", "-o", "json"]), @r#"
exit: 0
--- stdout
[
 {
  "first": "2026-05-28T20:26:40.000Z",
  "last": "2026-05-28T20:41:10.000Z",
  "duration": 870.000,
  "flows": 30,
  "packets": 7815,
  "bytes": 624600,
  "pps": 8,
  "bps": 5743,
  "bpp": 79,
  "distinct_src_port": 16,
  "distinct_in_if": 0
 }
]
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--distinct", "srcport", "-q", "src port 7"]), @r#"
exit: 0
--- stdout
0000-00-00 00:00:00.000     00:00:00.000        0        0        0        0      0     0                 0
"#);
    assert_snapshot!(bench.query(&["-a", "--distinct", "exporter_addr", "-n", "1", "-q"]), @r#"
exit: 0
--- stdout
2026-05-28 20:26:40.000     00:14:30.000      TCP         10.0.0.1         10.0.0.2    40000      443     7800   624000     5737     80    15                  1
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
}

#[test]
fn percentiles_of_records_and_of_spans() {
    let bench = Bench::of(&flows());
    let all = "bytes:95,packets:50,duration:0,bps:99.9,pps:50,bpp:100";
    assert_snapshot!(bench.query(&["--percentile", all, "-A", "srcip", "-O", "percentile", "-q"]), @r#"
exit: 0
--- stdout
2026-05-28 20:26:40.000     00:14:30.000         10.0.0.1     7800   624000     5737     80    15    140000         100     00:00:30.000     37333        3      150
2026-05-28 20:26:40.000     00:04:00.000         10.0.0.9       15      600       20     40    15        40           1     00:00:00.000         0        0       40
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--percentile", all, "-A", "srcip", "-o", "csv"]), @r#"
exit: 0
--- stdout
flow_start,duration,src_addr,packets,bytes,bps,bpp,flows,bytes_p95,packets_p50,duration_p0,bps_p99_9,pps_p50,bpp_p100
2026-05-28T20:26:40.000Z,870.000,10.0.0.1,7800,624000,5737,80,15,140000,100,30.000,37333,3,150
2026-05-28T20:26:40.000Z,240.000,10.0.0.9,15,600,20,40,15,40,1,0.000,0,0,40
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    // The bit rates of each minute, and of each five.
    let spans = "bps@1m:95,bps@5m:95,bytes@5m:50";
    assert_snapshot!(bench.query(&["--percentile", spans, "-A", "srcip", "-q"]), @r#"
exit: 0
--- stdout
2026-05-28 20:26:40.000     00:14:30.000         10.0.0.1     7800   624000     5737     80    15      18666      10240        64000
2026-05-28 20:26:40.000     00:04:00.000         10.0.0.9       15      600       20     40    15         16         12            0
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--percentile", spans, "--bucket", "10m", "-o", "ndjson"]), @r#"
exit: 0
--- stdout
{"bucket":"2026-05-28T20:20:00.000Z","first":"2026-05-28T20:26:40.000Z","last":"2026-05-28T20:30:10.000Z","duration":210.000,"flows":16,"packets":2212,"bytes":64480,"pps":3,"bps":859,"bpp":29,"bps_1m_p95":5349,"bps_5m_p95":1719,"bytes_5m_p50":0}
{"bucket":"2026-05-28T20:30:00.000Z","first":"2026-05-28T20:30:40.000Z","last":"2026-05-28T20:40:10.000Z","duration":570.000,"flows":13,"packets":5503,"bytes":545120,"pps":9,"bps":7268,"bpp":99,"bps_1m_p95":18666,"bps_5m_p95":10240,"bytes_5m_p50":161120}
{"bucket":"2026-05-28T20:40:00.000Z","first":"2026-05-28T20:40:40.000Z","last":"2026-05-28T20:41:10.000Z","duration":30.000,"flows":1,"packets":100,"bytes":15000,"pps":0,"bps":200,"bpp":150,"bps_1m_p95":2000,"bps_5m_p95":400,"bytes_5m_p50":0}
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["--percentile", "bytes:95", "-o", "ndjson", "src port 7"]), @r#"
exit: 0
--- stdout
{"duration":0.000,"flows":0,"packets":0,"bytes":0,"pps":0,"bps":0,"bpp":0}
"#);
}

/// More values than are kept apart.
#[test]
fn a_percentile_of_many_values_is_about() {
    let row = |n: i64| Row::flow((0, 1_000), 6, ("10.0.0.1", 1), ("10.0.0.2", 2), (1, 1_000 + n));
    let bench = Bench::of(&(0..5_000).map(row).collect::<Vec<_>>());
    assert_snapshot!(bench.query(&["--percentile", "bytes:50,packets:50", "-q"]), @r#"
exit: 0
--- stdout
2026-05-28 20:26:40.000     00:00:01.000     5000   17.5 M     5000  140.0 M   3499  5000     ~3504           1
--- stderr
note: percentiles over more than 4096 different values are within 0.8 %
"#);
    assert_snapshot!(bench.query(&["--percentile", "bytes:50,packets:50", "-o", "ndjson"]), @r#"
exit: 0
--- stdout
{"first":"2026-05-28T20:26:40.000Z","last":"2026-05-28T20:26:41.000Z","duration":1.000,"flows":5000,"packets":5000,"bytes":17497500,"pps":5000,"bps":139980000,"bpp":3499,"bytes_p50":3504,"packets_p50":1}
--- stderr
note: percentiles over more than 4096 different values are within 0.8 %
"#);
}

/// What has no room in memory is counted in parts, and the same whoever counts.
#[test]
fn memory_and_threads_change_nothing() {
    let row = |n: i64| {
        let (source, start) = (format!("10.0.{}.{}", n % 3, n % 200), n * 7 % 3_600_000);
        let counters = (1 + n % 90, 40 + n * n % 9_000);
        Row::flow((start, start + n % 5_000), 6, (&source, n), ("10.1.0.1", n % 50), counters)
            .int(ColumnId::SamplingRate, 1 + n % 2 * 99)
    };
    let bench = Bench::of(&(0..30_000).map(row).collect::<Vec<_>>());
    let measured = ["--distinct", "srcport,srcip", "--percentile", "bytes:95,bps@10s:50", "--error"];
    for question in [&["-A", "dstport,srcip"][..], &["--bucket", "1m", "-s", "ip", "-n", "3"], &[]] {
        let ask = |options: &[&str]| {
            let args = [&["-r", "@", "-o", "ndjson"], question, &measured, options].concat();
            let (code, stdout, stderr) = bench.run_raw(&args);
            assert_eq!(code, 0, "{args:?}: {stderr}");
            stdout
        };
        let expected = ask(&[]);
        for options in [["--threads", "1", "--memory", "64K"], ["--threads", "8", "--memory", "64K"]] {
            let found = ask(&options);
            let differing = found.lines().zip(expected.lines()).find(|(one, other)| one != other);
            assert_eq!(differing, None, "{question:?} {options:?}");
            assert_eq!(found.len(), expected.len(), "{question:?} {options:?}");
        }
        if question.is_empty() {
            assert!(expected.contains(r#""distinct_src_port":30000,"distinct_src_addr":600,"#), "{expected}");
        }
    }
}

#[test]
fn how_far_sampled_counters_may_be_off() {
    let bench = Bench::of(&flows());
    // 700 packets that were sampled one in ten, and 815 that are all there were.
    assert_snapshot!(bench.query(&["-A", "srcip", "--error", "-q"]), @r#"
exit: 0
--- stdout
2026-05-28 20:26:40.000     00:14:30.000         10.0.0.1     7800   624000     5737     80    15      6.6
2026-05-28 20:26:40.000     00:04:00.000         10.0.0.9       15      600       20     40    15        -
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    assert_snapshot!(bench.query(&["-s", "srcip/error", "--error", "-o", "ndjson"]), @r#"
exit: 0
--- stdout
{"statistic":"srcip","order":"error","value":"10.0.0.1","first":"2026-05-28T20:26:40.000Z","last":"2026-05-28T20:41:10.000Z","duration":870.000,"flows":15,"flows_percent":50.0,"packets":7800,"packets_percent":99.8,"bytes":624000,"bytes_percent":99.9,"pps":8,"bps":5737,"bpp":80,"error_percent":6.648}
{"statistic":"srcip","order":"error","value":"10.0.0.9","first":"2026-05-28T20:26:40.000Z","last":"2026-05-28T20:30:40.000Z","duration":240.000,"flows":15,"flows_percent":50.0,"packets":15,"packets_percent":0.2,"bytes":600,"bytes_percent":0.1,"pps":0,"bps":20,"bpp":40,"error_percent":0.000}
--- stderr
note: packets and bytes are multiplied by sampling rates of 1 to 10
"#);
    let sampled: Vec<Row> =
        flows().into_iter().filter(|row| row.get(ColumnId::SamplingRate).is_some()).collect();
    // 196 · √(1 / 700) = 7.408
    assert_snapshot!(Bench::of(&sampled).query(&["--error", "-o", "csv"]), @r#"
exit: 0
--- stdout
flow_start,duration,packets,bytes,pps,bps,bpp,flows,error_percent
2026-05-28T20:27:40.000Z,750.000,7000,560000,9,5973,80,7,7.408
--- stderr
note: packets and bytes are multiplied by sampling rates of 10
"#);
}

#[test]
fn a_file_has_what_is_measured() {
    let bench = Bench::of(&flows());
    let path = bench.path("series.parquet");
    let path = path.to_str().unwrap();
    let write = ["-r", "@", "--bucket", "5m", "-A", "srcip", "--distinct", "dstport", "--percentile"];
    let (code, stdout, stderr) =
        bench.run_raw(&[&write[..], &["bytes:95,duration:50", "--error", "-w", path]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let (code, stdout, stderr) = bench.run_raw(&[
        "-r",
        path,
        "-o",
        "ndjson",
        "distinct_dst_port > 5 and bucket > 2026-05-28T20:20:00Z",
    ]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_snapshot!(stdout, @r#"
{"received":"2026-05-28T22:29:40.000+02:00","flow_start":"2026-05-28T22:26:40.000+02:00","flow_end":"2026-05-28T22:29:40.000+02:00","src_addr":"10.0.0.9","packets":12,"bytes":480,"flows":12,"exporter_addr":"::","export_version":0,"bucket":"2026-05-28T22:25:00.000+02:00","distinct_dst_port":12,"bytes_p95":40,"duration_p50":0.0,"error_percent":0.0}
"#);
}

/// An Arrow stream has what NDJSON has.
#[test]
fn arrow_has_what_is_measured() {
    let bench = Bench::of(&flows());
    for question in [&["-A", "srcip"][..], &["-s", "srcip"], &[]] {
        let measured = ["--bucket", "5m", "--distinct", "dstport", "--percentile", "duration:50", "--error"];
        let directory = bench.directory.path().to_str().unwrap();
        let args = [&["flowdump", "-r", directory, "-o", "arrow"], &measured[..], question].concat();
        let (mut stream, env) = (Vec::new(), Env { now: NOW, zone: Zone::Utc });
        assert_eq!(flow_query::run(args.iter().map(Into::into), &mut stream, &mut Vec::new(), env), 0);
        let mut reader = arrow_ipc::reader::StreamReader::try_new(stream.as_slice(), None).unwrap();
        let batch = reader.next().unwrap().unwrap();
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        for name in ["bucket", "distinct_dst_port", "duration_p50", "error_percent"] {
            assert!(names.contains(&name), "{question:?}: no `{name}` in {names:?}");
        }
        assert!(batch.num_rows() > 2, "{question:?}");
    }
}

#[test]
fn what_is_no_such_question_is_said() {
    let bench = Bench::of(&flows());
    assert_snapshot!(bench.query(&["--bucket", "5x"]), @r#"
exit: 2
--- stderr
error: `--bucket 5x` has no unit: one of s, m, h, d
hint: for example `--bucket 5m`, `1h` or `1d`
"#);
    assert_snapshot!(bench.query(&["--distinct", "dstprot", "-A", "srcip"]), @r#"
exit: 2
--- stderr
error: unknown column `dstprot` in `--distinct`
hint: did you mean `dstport`?
"#);
    assert_snapshot!(bench.query(&["--percentile", "bytes:101"]), @r#"
exit: 2
--- stderr
error: `--percentile bytes:101`: `101` is no percentage of 0 to 100
hint: for example `--percentile bytes:95`, with up to three decimals
"#);
    assert_snapshot!(bench.query(&["--percentile", "byts:95"]), @r#"
exit: 2
--- stderr
error: `--percentile byts:95`: no counter is called `byts`
hint: did you mean `bytes:95`?
"#);
    assert_snapshot!(bench.query(&["-A", "srcip", "-O", "distinct"]), @r#"
exit: 2
--- stderr
error: `distinct` is no order of this question: nothing asks for it
hint: for example with `--distinct dstport`
"#);
    assert_snapshot!(bench.query(&["-A", "srcip", "--distinct", "dstport", "-O", "distinct:dstprt"]), @r#"
exit: 2
--- stderr
error: `distinct:dstprt` is no order of this question: nothing asks for it
hint: did you mean `distinct:dstport`?
"#);
    assert_snapshot!(bench.query(&["-s", "srcip/distinct"]), @r#"
exit: 2
--- stderr
error: `distinct` is no order of this question: nothing asks for it
hint: for example with `--distinct dstport`
"#);
    assert_snapshot!(bench.query(&["-s", "record", "--bucket", "5m"]), @r#"
exit: 2
--- stderr
error: `-s record` looks like flows, which have no column for it
hint: `-a` has the same groups, in a table
"#);
    assert_snapshot!(bench.query(&["-b", "--bucket", "5m"]), @r#"
exit: 2
--- stderr
error: the argument `--bidirectional` cannot be used with `--bucket <WIDTH>`
hint: `flowdump --help` lists the options
"#);
    assert_snapshot!(bench.query(&["--error", "--no-scale"]), @r#"
exit: 2
--- stderr
error: the argument `--error` cannot be used with `--no-scale`
hint: `flowdump --help` lists the options
"#);
    assert_snapshot!(bench.query(&["--bucket", "5m", "-o", "fmt:%ts %byt"]), @r#"
exit: 2
--- stderr
error: this format has no place for buckets, distinct values, percentiles and errors
hint: without `-o` they are a table; csv, json, ndjson, md and arrow have them
"#);
    assert_snapshot!(bench.query(&["--bucket", "5m", "-o", "nfjson", "-s", "srcip"]), @r#"
exit: 2
--- stderr
error: this format has no place for buckets, distinct values, percentiles and errors
hint: without `-o` they are a table; csv, json, ndjson, md and arrow have them
"#);
}
