//! `-s`, in every format.

use flow_common::column::ColumnId;
use insta::assert_snapshot;

use crate::support::{Bench, sample};

#[test]
fn top_by_bytes_is_nfdumps() {
    let bench = Bench::of(&sample());
    assert_snapshot!(bench.query(&["-s", "srcip/bytes", "-n", "3"]), @r"
    exit: 0
    --- stdout
    Top 3 Src IP Addr ordered by bytes:
    Date first seen             Duration     Proto       Src IP Addr    Flows(%)     Packets(%)       Bytes(%)         pps      bps   bpp
    2026-05-28 20:26:40.000  1d 01:01:01.001 any            10.1.1.1        2(25.0)  100.8 M(100.0)  126.0 G(100.0)     1118   11.2 M  1249
    2026-05-28 20:26:40.120     00:01:01.110 any       93.184.216.34        1(12.5)     1290( 0.0)    1.8 M( 0.0)       21   240165  1422
    2026-05-28 20:26:40.000     00:16:39.000 any            10.0.0.5        1(12.5)     1000( 0.0)    84000( 0.0)        1      672    84

    Summary: total flows: 8, total bytes: 126.0 G, total packets: 100.8 M, avg bps: 11.2 M, avg pps: 1118, avg bpp: 1249
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 8, passed: 8, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
    assert_snapshot!(bench.query(&["-s", "srcip/bytes", "-n", "2", "-N", "-q"]), @r"
    exit: 0
    --- stdout
    2026-05-28 20:26:40.000        90061.001 any            10.1.1.1        2(25.0) 100765432(100.0) 125956789012(100.0)     1118 11188575  1249
    2026-05-28 20:26:40.120           61.110 any       93.184.216.34        1(12.5)     1290( 0.0)  1834567( 0.0)       21   240165  1422
    ");
    assert_snapshot!(bench.query(&["-s", "srcip/bytes", "-n", "0", "-6", "ipv6"]), @r"
    exit: 0
    --- stdout
    Top Src IP Addr ordered by bytes:
    Date first seen             Duration     Proto                             Src IP Addr    Flows(%)     Packets(%)       Bytes(%)         pps      bps   bpp
    2026-05-28 20:26:40.000     00:00:12.345 any                      2001:db8:1:2:3:4:5:6        1(50.0)       33(76.7)     9876(90.5)        2     6400   299
    2026-05-28 20:26:40.000     00:01:40.000 any                                   fe80::1        1(50.0)       10(23.3)     1040( 9.5)        0       83   104

    Summary: total flows: 2, total bytes: 10916, total packets: 43, avg bps: 873, avg pps: 0, avg bpp: 253
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 8, passed: 2, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
}

#[test]
fn both_sides_count_a_flow_once() {
    let bench = Bench::of(&sample());
    assert_snapshot!(bench.query(&["-s", "port:p/bytes", "-n", "4"]), @r"
    exit: 0
    --- stdout
    Top 4 Port ordered by bytes:
    Date first seen             Duration     Proto              Port    Flows(%)     Packets(%)       Bytes(%)         pps      bps   bpp
    2026-05-28 20:26:40.000     00:04:50.000 GRE                   0        1(12.5)   98.8 M(98.0)  123.5 G(98.0)   340570    3.4 G  1249
    2026-05-28 20:26:40.000  1d 01:01:01.001 UDP                 500        1(12.5)    2.0 M( 2.0)    2.5 G( 2.0)       22   222071  1250
    2026-05-28 20:26:40.100     00:01:01.134 TCP                 443        2(25.0)     1332( 0.0)    1.8 M( 0.0)       21   242065  1388
    2026-05-28 20:26:40.100     00:01:01.134 TCP               52344        2(25.0)     1332( 0.0)    1.8 M( 0.0)       21   242065  1388

    Summary: total flows: 8, total bytes: 126.0 G, total packets: 100.8 M, avg bps: 11.2 M, avg pps: 1118, avg bpp: 1249
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 8, passed: 8, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
    assert_snapshot!(bench.query(&["-q", "-s", "ip/packets:a", "-n", "2", "-s", "if", "-s", "as"]), @r"
    exit: 0
    --- stdout
    2026-05-28 20:26:40.000     00:00:00.000 any             8.8.8.8        1(12.5)        1( 0.0)       72( 0.0)        0        0    72
    2026-05-28 20:26:40.000     00:01:40.000 any             fe80::1        1(12.5)       10( 0.0)     1040( 0.0)        0       83   104

    2026-05-28 20:26:40.100     00:01:01.134 any                   1        1(12.5)       42( 0.0)    15234( 0.0)        0     1993   362
    2026-05-28 20:26:40.100     00:01:01.134 any                   2        1(12.5)       42( 0.0)    15234( 0.0)        0     1993   362

    2026-05-28 20:26:40.100     00:01:01.134 any               15133        1(12.5)       42( 0.0)    15234( 0.0)        0     1993   362
    2026-05-28 20:26:40.100     00:01:01.134 any               64512        1(12.5)       42( 0.0)    15234( 0.0)        0     1993   362
    ");
}

#[test]
fn several_orders_are_several_tables_in_the_order_asked() {
    let bench = Bench::of(&sample());
    assert_snapshot!(bench.query(&["-s", "proto/bytes/flows", "-n", "2"]), @r"
    exit: 0
    --- stdout
    Top 2 Protocol ordered by bytes:
    Date first seen             Duration     Proto          Protocol    Flows(%)     Packets(%)       Bytes(%)         pps      bps   bpp
    2026-05-28 20:26:40.000     00:04:50.000 GRE                  47        1(12.5)   98.8 M(98.0)  123.5 G(98.0)   340570    3.4 G  1249
    2026-05-28 20:26:40.000  1d 01:01:01.001 UDP                  17        2(25.0)    2.0 M( 2.0)    2.5 G( 2.0)       22   222071  1249

    Top 2 Protocol ordered by flows:
    Date first seen             Duration     Proto          Protocol    Flows(%)     Packets(%)       Bytes(%)         pps      bps   bpp
    2026-05-28 20:26:40.000     00:01:01.234 TCP                   6        3(37.5)     1365( 0.0)    1.9 M( 0.0)       22   242960  1362
    2026-05-28 20:26:40.000  1d 01:01:01.001 UDP                  17        2(25.0)    2.0 M( 2.0)    2.5 G( 2.0)       22   222071  1249

    Summary: total flows: 8, total bytes: 126.0 G, total packets: 100.8 M, avg bps: 11.2 M, avg pps: 1118, avg bpp: 1249
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 8, passed: 8, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
    assert_snapshot!(bench.query(&["-s", "dstport/bps/pps/bpp", "-n", "1", "-q"]), @r"
    exit: 0
    --- stdout
    2026-05-28 20:26:40.000     00:04:50.000 any                   0        1(12.5)   98.8 M(98.0)  123.5 G(98.0)   340570    3.4 G  1249

    2026-05-28 20:26:40.000     00:04:50.000 any                   0        1(12.5)   98.8 M(98.0)  123.5 G(98.0)   340570    3.4 G  1249

    2026-05-28 20:26:40.120     00:01:01.110 any               52344        1(12.5)     1290( 0.0)    1.8 M( 0.0)       21   240165  1422
    ");
}

#[test]
fn records_are_five_tuples() {
    let mut rows = sample();
    rows.push(rows[1].clone().int(ColumnId::TcpFlags, 0x04));
    rows.push(rows[3].clone());
    let bench = Bench::of(&rows);
    assert_snapshot!(bench.query(&["-s", "record/flows", "-n", "3", "-o", "long"]), @r"
    exit: 0
    --- stdout
    Top 3 flows ordered by flows:
    Date first seen         Duration         Proto      Src IP Addr:Port          Dst IP Addr:Port     Flags  Tos  Packets    Bytes Flows
    2026-05-28 20:26:40.000     00:16:39.000 ICMP          10.0.0.5:0     ->     192.168.1.20:8.0   ........    0     2000   168000     2
    2026-05-28 20:26:40.100     00:01:01.134 TCP       192.168.1.10:52344 ->    93.184.216.34:443   ...APRSF    0       84    30468     2
    2026-05-28 20:26:40.120     00:01:01.110 TCP      93.184.216.34:443   ->     192.168.1.10:52344 ...AP.S.   72     1290    1.8 M     1
    Summary: total flows: 10, total bytes: 126.0 G, total packets: 100.8 M, avg bps: 11.2 M, avg pps: 1118, avg bpp: 1249
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 10, passed: 10, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
    assert_snapshot!(bench.query(&["-s", "record/flows", "-n", "3", "-o", "csv"]), @r"
    exit: 0
    --- stdout
    flow_start,duration,protocol,src_addr,src_port,dst_addr,dst_port,packets,bytes,flows
    2026-05-28T20:26:40.000Z,999.000,1,10.0.0.5,0,192.168.1.20,2048,2000,168000,2
    2026-05-28T20:26:40.100Z,61.134,6,192.168.1.10,52344,93.184.216.34,443,84,30468,2
    2026-05-28T20:26:40.120Z,61.110,6,93.184.216.34,443,192.168.1.10,52344,1290,1834567,1
    ");
    assert_snapshot!(bench.query(&["-s", "record/bytes", "-n", "1", "-o", "ndjson"]), @r#"
    exit: 0
    --- stdout
    {"statistic":"record","order":"bytes","src_addr":"10.1.1.1","dst_addr":"10.2.2.2","src_port":0,"dst_port":0,"protocol":47,"first":"2026-05-28T20:26:40.000Z","last":"2026-05-28T20:31:30.000Z","duration":290.000,"flows":1,"flows_percent":10.0,"packets":98765432,"packets_percent":98.0,"bytes":123456789012,"bytes_percent":98.0,"pps":340570,"bps":3405704524,"bpp":1249}
    "#);
}

#[test]
fn machine_formats_are_one_table() {
    let bench = Bench::of(&sample());
    let args = ["-s", "srcip/bytes", "-s", "port:p", "-n", "2", "-o"];
    assert_snapshot!(bench.query(&[&args[..], &["csv"]].concat()), @r"
    exit: 0
    --- stdout
    statistic,order,value,protocol,first,last,duration,flows,flows_percent,packets,packets_percent,bytes,bytes_percent,pps,bps,bpp
    srcip,bytes,10.1.1.1,,2026-05-28T20:26:40.000Z,2026-05-29T21:27:41.001Z,90061.001,2,25.0,100765432,100.0,125956789012,100.0,1118,11188575,1249
    srcip,bytes,93.184.216.34,,2026-05-28T20:26:40.120Z,2026-05-28T20:27:41.230Z,61.110,1,12.5,1290,0.0,1834567,0.0,21,240165,1422
    port,flows,443,6,2026-05-28T20:26:40.100Z,2026-05-28T20:27:41.234Z,61.134,2,25.0,1332,0.0,1849801,0.0,21,242065,1388
    port,flows,52344,6,2026-05-28T20:26:40.100Z,2026-05-28T20:27:41.234Z,61.134,2,25.0,1332,0.0,1849801,0.0,21,242065,1388
    ");
    assert_snapshot!(bench.query(&[&args[..], &["json"]].concat()), @r#"
    exit: 0
    --- stdout
    [
     {
      "statistic": "srcip",
      "order": "bytes",
      "value": "10.1.1.1",
      "first": "2026-05-28T20:26:40.000Z",
      "last": "2026-05-29T21:27:41.001Z",
      "duration": 90061.001,
      "flows": 2,
      "flows_percent": 25.0,
      "packets": 100765432,
      "packets_percent": 100.0,
      "bytes": 125956789012,
      "bytes_percent": 100.0,
      "pps": 1118,
      "bps": 11188575,
      "bpp": 1249
     },
     {
      "statistic": "srcip",
      "order": "bytes",
      "value": "93.184.216.34",
      "first": "2026-05-28T20:26:40.120Z",
      "last": "2026-05-28T20:27:41.230Z",
      "duration": 61.110,
      "flows": 1,
      "flows_percent": 12.5,
      "packets": 1290,
      "packets_percent": 0.0,
      "bytes": 1834567,
      "bytes_percent": 0.0,
      "pps": 21,
      "bps": 240165,
      "bpp": 1422
     },
     {
      "statistic": "port",
      "order": "flows",
      "value": 443,
      "protocol": 6,
      "first": "2026-05-28T20:26:40.100Z",
      "last": "2026-05-28T20:27:41.234Z",
      "duration": 61.134,
      "flows": 2,
      "flows_percent": 25.0,
      "packets": 1332,
      "packets_percent": 0.0,
      "bytes": 1849801,
      "bytes_percent": 0.0,
      "pps": 21,
      "bps": 242065,
      "bpp": 1388
     },
     {
      "statistic": "port",
      "order": "flows",
      "value": 52344,
      "protocol": 6,
      "first": "2026-05-28T20:26:40.100Z",
      "last": "2026-05-28T20:27:41.234Z",
      "duration": 61.134,
      "flows": 2,
      "flows_percent": 25.0,
      "packets": 1332,
      "packets_percent": 0.0,
      "bytes": 1849801,
      "bytes_percent": 0.0,
      "pps": 21,
      "bps": 242065,
      "bpp": 1388
     }
    ]
    "#);
    assert_snapshot!(bench.query(&[&args[..], &["ndjson"]].concat()), @r#"
    exit: 0
    --- stdout
    {"statistic":"srcip","order":"bytes","value":"10.1.1.1","first":"2026-05-28T20:26:40.000Z","last":"2026-05-29T21:27:41.001Z","duration":90061.001,"flows":2,"flows_percent":25.0,"packets":100765432,"packets_percent":100.0,"bytes":125956789012,"bytes_percent":100.0,"pps":1118,"bps":11188575,"bpp":1249}
    {"statistic":"srcip","order":"bytes","value":"93.184.216.34","first":"2026-05-28T20:26:40.120Z","last":"2026-05-28T20:27:41.230Z","duration":61.110,"flows":1,"flows_percent":12.5,"packets":1290,"packets_percent":0.0,"bytes":1834567,"bytes_percent":0.0,"pps":21,"bps":240165,"bpp":1422}
    {"statistic":"port","order":"flows","value":443,"protocol":6,"first":"2026-05-28T20:26:40.100Z","last":"2026-05-28T20:27:41.234Z","duration":61.134,"flows":2,"flows_percent":25.0,"packets":1332,"packets_percent":0.0,"bytes":1849801,"bytes_percent":0.0,"pps":21,"bps":242065,"bpp":1388}
    {"statistic":"port","order":"flows","value":52344,"protocol":6,"first":"2026-05-28T20:26:40.100Z","last":"2026-05-28T20:27:41.234Z","duration":61.134,"flows":2,"flows_percent":25.0,"packets":1332,"packets_percent":0.0,"bytes":1849801,"bytes_percent":0.0,"pps":21,"bps":242065,"bpp":1388}
    "#);
    assert_snapshot!(bench.query(&[&args[..], &["null"]].concat()), @r"
    exit: 0
    --- stdout
    Summary: total flows: 8, total bytes: 126.0 G, total packets: 100.8 M, avg bps: 11.2 M, avg pps: 1118, avg bpp: 1249
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 8, passed: 8, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
}

#[test]
fn nothing_to_count_is_an_answer() {
    let bench = Bench::of(&sample());
    assert_snapshot!(bench.query(&["-s", "srcip", "port 9"]), @r"
    exit: 0
    --- stdout
    Top 10 Src IP Addr ordered by flows:
    Date first seen             Duration     Proto       Src IP Addr    Flows(%)     Packets(%)       Bytes(%)         pps      bps   bpp
    No matching flows

    Summary: total flows: 0, total bytes: 0, total packets: 0, avg bps: 0, avg pps: 0, avg bpp: 0
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 8, passed: 0, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
    assert_snapshot!(bench.query(&["-s", "srcip", "-o", "csv", "port 9"]), @r"
    exit: 0
    --- stdout
    statistic,order,value,protocol,first,last,duration,flows,flows_percent,packets,packets_percent,bytes,bytes_percent,pps,bps,bpp
    ");
    assert_snapshot!(bench.query(&["-s", "srcip", "-o", "json", "port 9"]), @r"
    exit: 0
    --- stdout
    []
    ");
    assert_snapshot!(bench.query(&["-s", "record", "-o", "csv", "port 9"]), @r"
    exit: 0
    --- stdout
    flow_start,duration,protocol,src_addr,src_port,dst_addr,dst_port,packets,bytes,flows
    ");
    // Absent is not 0: only one flow of the sample has an AS.
    assert_snapshot!(bench.query(&["-q", "-s", "srcas"]), @r"
    exit: 0
    --- stdout
    2026-05-28 20:26:40.100     00:01:01.134 any               64512        1(12.5)       42( 0.0)    15234( 0.0)        0     1993   362
    ");
}
