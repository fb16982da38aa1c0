//! Totals of files: `-I` and its formats.

use flow_common::column::ColumnId;
use insta::assert_snapshot;

use crate::support::{Bench, Fixture, Row, sample, write};

#[test]
fn totals_come_from_footers_or_from_rows() {
    let bench = Bench::of(&sample());
    assert_snapshot!(bench.query(&["-I"]), @r"
    exit: 0
    --- stdout
    Ident: edge1
    Flows: 8
    Flows_tcp: 3
    Flows_udp: 2
    Flows_icmp: 2
    Flows_other: 1
    Packets: 100767808
    Packets_tcp: 1365
    Packets_udp: 2000001
    Packets_icmp: 1010
    Packets_other: 98765432
    Bytes: 125958733801
    Bytes_tcp: 1859677
    Bytes_udp: 2500000072
    Bytes_icmp: 85040
    Bytes_other: 123456789012
    First: 1780000000
    Last: 1780090061
    msec_first: 0
    msec_last: 1
    Sequence failures: 0
    ");
    let without = Bench::empty();
    write(&without.path("a.parquet"), &sample(), &Fixture { has_footer: false, ..Fixture::default() });
    let (with, without) = (bench.query(&["-I"]), without.query(&["-I"]));
    // Losses are told by footers alone.
    assert_eq!(with.replace("edge1", "none").replace("\nSequence failures: 0", ""), without);
}

#[test]
fn programs_get_one_object_or_row() {
    let bench = Bench::of(&sample());
    assert_snapshot!(bench.query(&["-I", "-o", "json"]), @r#"
    exit: 0
    --- stdout
    {
     "ident": "edge1",
     "flows": 8,
     "flows_tcp": 3,
     "flows_udp": 2,
     "flows_icmp": 2,
     "flows_other": 1,
     "packets": 100767808,
     "packets_tcp": 1365,
     "packets_udp": 2000001,
     "packets_icmp": 1010,
     "packets_other": 98765432,
     "bytes": 125958733801,
     "bytes_tcp": 1859677,
     "bytes_udp": 2500000072,
     "bytes_icmp": 85040,
     "bytes_other": 123456789012,
     "events": 0,
     "first": "2026-05-28T20:26:40.000Z",
     "last": "2026-05-29T21:27:41.001Z",
     "sequence_failures": 0
    }
    "#);
    assert_snapshot!(bench.query(&["-I", "-o", "ndjson"]), @r#"
    exit: 0
    --- stdout
    {"ident":"edge1","flows":8,"flows_tcp":3,"flows_udp":2,"flows_icmp":2,"flows_other":1,"packets":100767808,"packets_tcp":1365,"packets_udp":2000001,"packets_icmp":1010,"packets_other":98765432,"bytes":125958733801,"bytes_tcp":1859677,"bytes_udp":2500000072,"bytes_icmp":85040,"bytes_other":123456789012,"events":0,"first":"2026-05-28T20:26:40.000Z","last":"2026-05-29T21:27:41.001Z","sequence_failures":0}
    "#);
    write(&bench.path("b.parquet"), &[], &Fixture { ident: "\"x\", y", ..Fixture::default() });
    assert_snapshot!(bench.query(&["-I", "-o", "csv"]), @r#"
    exit: 0
    --- stdout
    ident,flows,flows_tcp,flows_udp,flows_icmp,flows_other,packets,packets_tcp,packets_udp,packets_icmp,packets_other,bytes,bytes_tcp,bytes_udp,bytes_icmp,bytes_other,first,last,sequence_failures,events
    """x"", y,edge1",8,3,2,2,1,100767808,1365,2000001,1010,98765432,125958733801,1859677,2500000072,85040,123456789012,2026-05-28T20:26:40.000Z,2026-05-29T21:27:41.001Z,0,0
    "#);
    let (_, text, _) = bench.run_raw(&["-r", "@", "-I"]);
    for format in ["line", "long", "extended", "raw", "null"] {
        assert_eq!(bench.run_raw(&["-r", "@", "-I", "-o", format]).1, text, "{format}");
    }
}

#[test]
fn what_the_files_do_not_tell_is_left_out() {
    let bench = Bench::empty();
    write(&bench.path("a.parquet"), &[], &Fixture { has_footer: false, ..Fixture::default() });
    assert_snapshot!(bench.query(&["-I", "-o", "ndjson"]), @r#"
    exit: 0
    --- stdout
    {"flows":0,"flows_tcp":0,"flows_udp":0,"flows_icmp":0,"flows_other":0,"packets":0,"packets_tcp":0,"packets_udp":0,"packets_icmp":0,"packets_other":0,"bytes":0,"bytes_tcp":0,"bytes_udp":0,"bytes_icmp":0,"bytes_other":0,"events":0}
    "#);
    assert_snapshot!(bench.query(&["-I", "-o", "csv"]), @r"
    exit: 0
    --- stdout
    ident,flows,flows_tcp,flows_udp,flows_icmp,flows_other,packets,packets_tcp,packets_udp,packets_icmp,packets_other,bytes,bytes_tcp,bytes_udp,bytes_icmp,bytes_other,first,last,sequence_failures,events
    ,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,,,,0
    ");
}

#[test]
fn flows_are_those_the_exporter_aggregated() {
    let row = Row::flow((0, 1), 6, ("10.0.0.1", 1), ("10.0.0.2", 2), (10, 1_000));
    let rows = [row.clone().int(ColumnId::FlowCount, 5), row];
    for has_footer in [true, false] {
        let bench = Bench::empty();
        write(&bench.path("a.parquet"), &rows, &Fixture { has_footer, ..Fixture::default() });
        for (args, expected) in [
            (&["-I"][..], "Flows_tcp: 6\n"),
            (&["-o", "null"], "total flows: 6,"),
            (&["-s", "record"], "total flows: 6,"),
            (&["-s", "record", "-o", "csv"], ",20,2000,6\n"),
        ] {
            let (_, stdout, _) = bench.run_raw(&[&["-r", "@"], args].concat());
            assert!(stdout.contains(expected), "{args:?} with footer {has_footer}: {stdout}");
        }
    }
}
