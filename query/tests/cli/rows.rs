//! Every output format of records.

use flow_common::column::ColumnId;
use insta::assert_snapshot;

use crate::support::{Bench, Cell, Row, sample};

#[test]
fn line_is_nfdumps() {
    assert_snapshot!(Bench::of(&sample()).query(&[]), @r"
    exit: 0
    --- stdout
    Date first seen         Duration         Proto      Src IP Addr:Port          Dst IP Addr:Port   Packets    Bytes Flows
    2026-05-28 20:26:40.000     00:00:00.000 UDP       192.168.1.10:51000 ->          8.8.8.8:53           1       72     1
    2026-05-28 20:26:40.100     00:01:01.134 TCP       192.168.1.10:52344 ->    93.184.216.34:443         42    15234     1
    2026-05-28 20:26:40.120     00:01:01.110 TCP      93.184.216.34:443   ->     192.168.1.10:52344     1290    1.8 M     1
    2026-05-28 20:26:40.000     00:16:39.000 ICMP          10.0.0.5:0     ->     192.168.1.20:8.0       1000    84000     1
    2026-05-28 20:26:40.000     00:04:50.000 GRE           10.1.1.1:0     ->         10.2.2.2:0       98.8 M  123.5 G     1
    2026-05-28 20:26:40.000  1d 01:01:01.001 UDP           10.1.1.1:500   ->         10.2.2.2:500      2.0 M    2.5 G     1
    2026-05-28 20:26:40.000     00:00:12.345 TCP   2001:db..3:4:5:6.45678 -> 2606:47..0::1111.853         33     9876     1
    2026-05-28 20:26:40.000     00:01:40.000 ICMP6          fe80::1.0     ->          ff02::1.134.0       10     1040     1
    Summary: total flows: 8, total bytes: 126.0 G, total packets: 100.8 M, avg bps: 11.2 M, avg pps: 1118, avg bpp: 1249
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 8, passed: 8, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
}

#[test]
fn long_and_extended_are_nfdumps() {
    let bench = Bench::of(&sample());
    assert_snapshot!(bench.query(&["-o", "long", "proto tcp"]), @r"
    exit: 0
    --- stdout
    Date first seen         Duration         Proto      Src IP Addr:Port          Dst IP Addr:Port     Flags  Tos  Packets    Bytes Flows
    2026-05-28 20:26:40.100     00:01:01.134 TCP       192.168.1.10:52344 ->    93.184.216.34:443   ...AP.SF    0       42    15234     1
    2026-05-28 20:26:40.120     00:01:01.110 TCP      93.184.216.34:443   ->     192.168.1.10:52344 ...AP.S.   72     1290    1.8 M     1
    2026-05-28 20:26:40.000     00:00:12.345 TCP   2001:db..3:4:5:6.45678 -> 2606:47..0::1111.853   ........    0       33     9876     1
    Summary: total flows: 3, total bytes: 1.9 M, total packets: 1365, avg bps: 242960, avg pps: 22, avg bpp: 1362
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 8, passed: 3, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
    assert_snapshot!(bench.query(&["-o", "extended", "-c", "2"]), @r"
    exit: 0
    --- stdout
    Date first seen         Duration         Proto      Src IP Addr:Port          Dst IP Addr:Port     Flags  Tos  Packets    Bytes      pps      bps    Bpp Flows
    2026-05-28 20:26:40.000     00:00:00.000 UDP       192.168.1.10:51000 ->          8.8.8.8:53    ........    0        1       72        0        0     72     1
    2026-05-28 20:26:40.100     00:01:01.134 TCP       192.168.1.10:52344 ->    93.184.216.34:443   ...AP.SF    0       42    15234        0     1993    362     1
    Summary: total flows: 2, total bytes: 15306, total packets: 43, avg bps: 1999, avg pps: 0, avg bpp: 355
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 8, passed: 2, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
}

#[test]
fn plain_numbers_full_addresses_and_quiet() {
    let bench = Bench::of(&sample());
    assert_snapshot!(bench.query(&["-N", "-o", "extended", "proto gre or proto tcp or duration > 1m"]), @r"
    exit: 0
    --- stdout
    Date first seen         Duration         Proto      Src IP Addr:Port          Dst IP Addr:Port     Flags  Tos  Packets    Bytes      pps      bps    Bpp Flows
    2026-05-28 20:26:40.100           61.134 6         192.168.1.10:52344 ->    93.184.216.34:443         27    0       42    15234        0     1993    362     1
    2026-05-28 20:26:40.120           61.110 6        93.184.216.34:443   ->     192.168.1.10:52344       26   72     1290  1834567       21   240165   1422     1
    2026-05-28 20:26:40.000          290.000 47            10.1.1.1:0     ->         10.2.2.2:0            0    0 98765432 123456789012   340570 3405704524   1249     1
    2026-05-28 20:26:40.000        90061.001 17            10.1.1.1:500   ->         10.2.2.2:500          0    0  2000000 2500000000       22   222071   1250     1
    2026-05-28 20:26:40.000           12.345 6     2001:db..3:4:5:6.45678 -> 2606:47..0::1111.853          0    0       33     9876        2     6400    299     1
    Summary: total flows: 5, total bytes: 125958648689, total packets: 100766797, avg bps: 11188740, avg pps: 1118, avg bpp: 1250
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 90061.001
    Total records processed: 8, passed: 5, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    --- stderr
    note: `duration` of `1m` is `1000000ms`; minutes are `1min`
    ");
    assert_snapshot!(bench.query(&["-6", "ipv6"]), @r"
    exit: 0
    --- stdout
    Date first seen         Duration         Proto                             Src IP Addr:Port                                 Dst IP Addr:Port   Packets    Bytes Flows
    2026-05-28 20:26:40.000     00:00:12.345 TCP                      2001:db8:1:2:3:4:5:6.45678 ->                      2606:4700:10::1111.853         33     9876     1
    2026-05-28 20:26:40.000     00:01:40.000 ICMP6                                 fe80::1.0     ->                                 ff02::1.134.0       10     1040     1
    Summary: total flows: 2, total bytes: 10916, total packets: 43, avg bps: 873, avg pps: 0, avg bpp: 253
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 8, passed: 2, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
    assert_snapshot!(bench.query(&["-q", "-o", "line6", "ipv6"]), @r"
    exit: 0
    --- stdout
    2026-05-28 20:26:40.000     00:00:12.345 TCP                      2001:db8:1:2:3:4:5:6.45678 ->                      2606:4700:10::1111.853         33     9876     1
    2026-05-28 20:26:40.000     00:01:40.000 ICMP6                                 fe80::1.0     ->                                 ff02::1.134.0       10     1040     1
    ");
}

#[test]
fn no_match_is_an_answer() {
    let bench = Bench::of(&sample());
    assert_snapshot!(bench.query(&["port 9"]), @r"
    exit: 0
    --- stdout
    Date first seen         Duration         Proto      Src IP Addr:Port          Dst IP Addr:Port   Packets    Bytes Flows
    No matching flows
    Summary: total flows: 0, total bytes: 0, total packets: 0, avg bps: 0, avg pps: 0, avg bpp: 0
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 8, passed: 0, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
    assert_snapshot!(bench.query(&["-q", "port 9"]), @"exit: 0");
    assert_snapshot!(bench.query(&["-o", "csv", "port 9"]), @r"
    exit: 0
    --- stdout
    flow_start,duration,protocol,src_addr,src_port,dst_addr,dst_port,packets,bytes,flows
    ");
    assert_snapshot!(bench.query(&["-o", "json", "port 9"]), @r"
    exit: 0
    --- stdout
    []
    ");
    assert_snapshot!(bench.query(&["-o", "ndjson", "port 9"]), @"exit: 0");
    assert_snapshot!(bench.query(&["-o", "raw", "port 9"]), @"exit: 0");
}

#[test]
fn csv_has_column_names_and_empty_fields() {
    let mut rows = sample();
    rows.push(Row::default());
    assert_snapshot!(Bench::of(&rows).query(&["-o", "csv"]), @r"
    exit: 0
    --- stdout
    flow_start,duration,protocol,src_addr,src_port,dst_addr,dst_port,packets,bytes,flows
    2026-05-28T20:26:40.000Z,0.000,17,192.168.1.10,51000,8.8.8.8,53,1,72,1
    2026-05-28T20:26:40.100Z,61.134,6,192.168.1.10,52344,93.184.216.34,443,42,15234,1
    2026-05-28T20:26:40.120Z,61.110,6,93.184.216.34,443,192.168.1.10,52344,1290,1834567,1
    2026-05-28T20:26:40.000Z,999.000,1,10.0.0.5,0,192.168.1.20,2048,1000,84000,1
    2026-05-28T20:26:40.000Z,290.000,47,10.1.1.1,0,10.2.2.2,0,98765432,123456789012,1
    2026-05-28T20:26:40.000Z,90061.001,17,10.1.1.1,500,10.2.2.2,500,2000000,2500000000,1
    2026-05-28T20:26:40.000Z,12.345,6,2001:db8:1:2:3:4:5:6,45678,2606:4700:10::1111,853,33,9876,1
    2026-05-28T20:26:40.000Z,100.000,58,fe80::1,,ff02::1,,10,1040,1
    ,,,,,,,,,1
    ");
}

#[test]
fn csv_fast_has_nfdumps_columns() {
    let mut rows = sample();
    rows.push(Row::default());
    let bench = Bench::of(&rows);
    assert_snapshot!(bench.query(&["-o", "csv-fast"]), @r"
    exit: 0
    --- stdout
    cnt,af,flow_start,flow_end,protocol,src_addr,src_port,dst_addr,dst_port,src_as,dst_as,in_if,out_if,tcp_flags,src_tos,packets,bytes
    1,2,1780000000000,1780000000000,17,192.168.1.10,51000,8.8.8.8,53,,,,,,,1,72
    2,2,1780000000100,1780000061234,6,192.168.1.10,52344,93.184.216.34,443,64512,15133,1,2,...AP.SF,0,42,15234
    3,2,1780000000120,1780000061230,6,93.184.216.34,443,192.168.1.10,52344,,,,,...AP.S.,72,1290,1834567
    4,2,1780000000000,1780000999000,1,10.0.0.5,0,192.168.1.20,2048,,,,,,,1000,84000
    5,2,1780000000000,1780000290000,47,10.1.1.1,0,10.2.2.2,0,,,,,,,98765432,123456789012
    6,2,1780000000000,1780090061001,17,10.1.1.1,500,10.2.2.2,500,,,,,,,2000000,2500000000
    7,10,1780000000000,1780000012345,6,2001:db8:1:2:3:4:5:6,45678,2606:4700:10::1111,853,,,,,,,33,9876
    8,10,1780000000000,1780000100000,58,fe80::1,,ff02::1,34304,,,,,,,10,1040
    9,,,,,,,,,,,,,,,,
    ");
    // Statistics are those of csv.
    let of = |format| bench.query(&["-o", format, "-s", "proto/bytes", "-s", "srcip"]);
    assert_eq!(of("csv-fast"), of("csv"));
}

#[test]
fn null_is_the_summary_alone() {
    assert_snapshot!(Bench::of(&sample()).query(&["-o", "null", "proto udp"]), @r"
    exit: 0
    --- stdout
    Summary: total flows: 2, total bytes: 2.5 G, total packets: 2.0 M, avg bps: 222071, avg pps: 22, avg bpp: 1249
    Time window: 2026-05-28 20:26:40.000 - 2026-05-29 21:27:41.001, Duration: 1d 01:01:01.001
    Total records processed: 8, passed: 2, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
}

/// A record with a value of every kind, some of them hostile.
fn rich() -> Row {
    sample()
        .remove(1)
        .int(ColumnId::Received, 1_780_000_060_000_123)
        .int(ColumnId::SrcMask, 24)
        .int(ColumnId::EndReason, 3)
        .int(ColumnId::Direction, 0)
        .int(ColumnId::EngineType, 0)
        .int(ColumnId::ApplicationId, (5 << 32) | 38)
        .int(ColumnId::ClientLatency, 12_345)
        .octets(ColumnId::InSrcMac, &[0, 0x11, 0x22, 0x33, 0x44, 0x55])
        .octets(ColumnId::IngressAcl, &[0, 0, 0, 10, 0, 0, 0, 11, 0, 0, 0, 12])
        .text(ColumnId::Username, "o\"ne\\\n\u{1b}[31mtwo")
        .addr(ColumnId::NextHop, "192.168.1.1")
        .set(ColumnId::MplsLabels, Cell::Labels(vec![(1_010 << 4) | (3 << 1), (2_020 << 4) | 1]))
        .set(
            ColumnId::Other,
            Cell::Other(vec![
                (82, vec![0x65, 0x74, 0x68]),
                (1 << 16 | 82, vec![0xff]),
                (6_876 << 32 | 880, vec![6]),
            ]),
        )
}

#[test]
fn json_has_every_column_that_is_not_null() {
    let bench = Bench::of(&[rich(), sample().remove(0)]);
    assert_snapshot!(bench.query(&["-o", "json"]), @r#"
    exit: 0
    --- stdout
    [
     {
      "received": "2026-05-28T20:27:40.000123Z",
      "flow_start": "2026-05-28T20:26:40.100Z",
      "flow_end": "2026-05-28T20:27:41.234Z",
      "src_addr": "192.168.1.10",
      "dst_addr": "93.184.216.34",
      "src_port": 52344,
      "dst_port": 443,
      "protocol": 6,
      "tcp_flags": 27,
      "src_tos": 0,
      "packets": 42,
      "bytes": 15234,
      "in_if": 1,
      "out_if": 2,
      "src_as": 64512,
      "dst_as": 15133,
      "src_mask": 24,
      "next_hop": "192.168.1.1",
      "direction": 0,
      "end_reason": 3,
      "in_src_mac": "00:11:22:33:44:55",
      "mpls_labels": ["1010-3-0","2020-0-1"],
      "ingress_acl": "0000000a0000000b0000000c",
      "username": "o\"ne\\\n\u001b[31mtwo",
      "application_id": 21474836518,
      "client_latency": 12345,
      "exporter_addr": "192.0.2.1",
      "export_version": 9,
      "engine_type": 0,
      "other": {"82":"657468","82#1":"ff","6876:880":"06"}
     },
     {
      "received": "2026-05-28T20:27:40.000Z",
      "flow_start": "2026-05-28T20:26:40.000Z",
      "flow_end": "2026-05-28T20:26:40.000Z",
      "src_addr": "192.168.1.10",
      "dst_addr": "8.8.8.8",
      "src_port": 51000,
      "dst_port": 53,
      "protocol": 17,
      "packets": 1,
      "bytes": 72,
      "exporter_addr": "192.0.2.1",
      "export_version": 9
     }
    ]
    "#);
    assert_snapshot!(bench.run(&["-r", "@", "-o", "ndjson"]), @r#"
    exit: 0
    --- stdout
    {"received":"2026-05-28T22:27:40.000123+02:00","flow_start":"2026-05-28T22:26:40.100+02:00","flow_end":"2026-05-28T22:27:41.234+02:00","src_addr":"192.168.1.10","dst_addr":"93.184.216.34","src_port":52344,"dst_port":443,"protocol":6,"tcp_flags":27,"src_tos":0,"packets":42,"bytes":15234,"in_if":1,"out_if":2,"src_as":64512,"dst_as":15133,"src_mask":24,"next_hop":"192.168.1.1","direction":0,"end_reason":3,"in_src_mac":"00:11:22:33:44:55","mpls_labels":["1010-3-0","2020-0-1"],"ingress_acl":"0000000a0000000b0000000c","username":"o\"ne\\\n\u001b[31mtwo","application_id":21474836518,"client_latency":12345,"exporter_addr":"192.0.2.1","export_version":9,"engine_type":0,"other":{"82":"657468","82#1":"ff","6876:880":"06"}}
    {"received":"2026-05-28T22:27:40.000+02:00","flow_start":"2026-05-28T22:26:40.000+02:00","flow_end":"2026-05-28T22:26:40.000+02:00","src_addr":"192.168.1.10","dst_addr":"8.8.8.8","src_port":51000,"dst_port":53,"protocol":17,"packets":1,"bytes":72,"exporter_addr":"192.0.2.1","export_version":9}
    "#);
}

#[test]
fn raw_says_what_values_mean() {
    let bench = Bench::of(&[rich(), sample().remove(7)]);
    assert_snapshot!(bench.query(&["-o", "raw"]), @r#"
    exit: 0
    --- stdout

    Flow Record: 
      RecordCount  =                  1
      Ident        =              edge1
      engine type  =                  0
      first        =      1780000000100 [2026-05-28 20:26:40.100]
      last         =      1780000061234 [2026-05-28 20:27:41.234]
      received at  =      1780000060000 [2026-05-28 20:27:40.000]
      proto        =                  6 TCP
      tcp flags    =               0x1b ...AP.SF
      src port     =              52344
      dst port     =                443
      src tos      =                  0
      in packets   =                 42
      in bytes     =              15234
      src addr     =       192.168.1.10
      dst addr     =      93.184.216.34
      input        =                  1
      output       =                  2
      src mask     =                 24 192.168.1.0/24
      direction    =                  0 ingress
      end reason   =                  3 end of Flow detected
      src as       =              64512
      dst as       =              15133
      ip next hop  =        192.168.1.1
      ip exporter  =          192.0.2.1
      in src mac   =  00:11:22:33:44:55
      MPLS Lbl 1   = 1010-3-0
      MPLS Lbl 2   = 2020-0-1
      Ingress ACL  = 0xa/0xb/0xc
      username     = o"ne\��[31mtwo
      app ID       =              5..38
      cli latency  =             12.345 ms
      version      =                  9
      element 82 = 657468 interfaceName
      element 82#1 = ff interfaceName
      element 6876:880 = 06

    Flow Record: 
      RecordCount  =                  2
      Ident        =              edge1
      first        =      1780000000000 [2026-05-28 20:26:40.000]
      last         =      1780000100000 [2026-05-28 20:28:20.000]
      received at  =      1780000060000 [2026-05-28 20:27:40.000]
      proto        =                 58 ICMP6
      ICMP         =              134.0 type.code
      in packets   =                 10
      in bytes     =               1040
      src addr     =            fe80::1
      dst addr     =            ff02::1
      ip exporter  =          192.0.2.1
      version      =                  9
    "#);
}

#[test]
fn times_fall_back_and_show_the_local_zone() {
    let micros = 1_780_000_000_000_000;
    let bench = Bench::of(&[
        Row::default().int(ColumnId::Received, micros),
        Row::default().int(ColumnId::FlowEnd, micros + 5_000_000),
        Row::default().int(ColumnId::FlowStart, micros + 1_000).int(ColumnId::FlowEnd, micros),
    ]);
    assert_snapshot!(bench.run(&["-r", "@"]), @r"
    exit: 0
    --- stdout
    Date first seen         Duration         Proto      Src IP Addr:Port          Dst IP Addr:Port   Packets    Bytes Flows
    2026-05-28 22:26:40.000     00:00:00.000 0                    -:0     ->                -:0            0        0     1
    2026-05-28 22:26:45.000     00:00:00.000 0                    -:0     ->                -:0            0        0     1
    2026-05-28 22:26:40.001     00:00:00.000 0                    -:0     ->                -:0            0        0     1
    Summary: total flows: 3, total bytes: 0, total packets: 0, avg bps: 0, avg pps: 0, avg bpp: 0
    Time window: 2026-05-28 22:26:40.001 - 2026-05-28 22:26:45.000, Duration: 00:00:04.999
    Total records processed: 3, passed: 3, Blocks skipped: 0, Bytes read: [BYTES]
    Sys: [TIMES]
    ");
}
