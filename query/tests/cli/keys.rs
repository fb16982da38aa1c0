//! Keys that are computed: networks, labels, several MAC addresses, and what databases tell
//! of places.

use flow_common::column::ColumnId;
use insta::assert_snapshot;

use crate::maker::{database, place, system};
use crate::support::{Bench, Cell, Row};

/// A flow of so many octets.
fn flow(src: &str, dst: &str, bytes: i64) -> Row {
    Row::flow((0, 1_000), 6, (src, 1_000), (dst, 80), (1, bytes))
}

fn mac(row: Row, [in_src, out_dst, in_dst, out_src]: [u8; 4]) -> Row {
    use ColumnId::{InDstMac, InSrcMac, OutDstMac, OutSrcMac};
    let all = [(InSrcMac, in_src), (OutDstMac, out_dst), (InDstMac, in_dst), (OutSrcMac, out_src)];
    all.into_iter()
        .filter(|(_, last)| *last > 0)
        .fold(row, |row, (id, last)| row.octets(id, &[2, 0, 0, 0, 0, last]))
}

fn nets(row: Row, src: i64, dst: i64) -> Row {
    row.int(ColumnId::SrcMask, src).int(ColumnId::DstMask, dst)
}

fn labels(row: Row, labels: &[i32]) -> Row {
    row.set(ColumnId::MplsLabels, Cell::Labels(labels.to_vec()))
}

/// Flows within and between places, with databases `city.mmdb` and `asn.mmdb` beside them.
fn bench() -> Bench {
    let rows = [
        mac(nets(flow("192.0.2.1", "198.51.100.1", 1_000), 24, 25), [1, 2, 1, 2]),
        mac(nets(flow("192.0.2.130", "192.0.2.7", 200), 24, 24), [1, 0, 0, 3]).int(ColumnId::SrcAs, 65_000),
        mac(nets(flow("192.0.2.1", "203.0.113.9", 30), 25, 33), [4, 4, 4, 4]).int(ColumnId::SrcAs, 0),
        labels(nets(flow("2001:db8:1::5", "2001:db8:2::6", 4), 48, 128), &[16 << 4 | 3 << 1, 100 << 4 | 1]),
        labels(flow("10.0.0.1", "192.0.2.1", 500), &[16 << 4 | 3 << 1 | 1]).int(ColumnId::DstAs, 64_501),
    ];
    let bench = Bench::of(&rows);
    let city = [
        ("192.0.2.0/25", place("EU", "CH", "Zurich")),
        ("192.0.2.128/25", place("EU", "AT", "")),
        ("198.51.100.0/24", place("NA", "US", "")),
        ("2001:db8:1::/48", place("EU", "CH", "")),
    ];
    let asn = [
        ("192.0.2.0/24", system(64_500, "Example, Inc.")),
        ("198.51.100.0/24", system(64_501, "Other")),
        ("2001:db8::/32", system(64_500, "Example, Inc.")),
    ];
    std::fs::write(bench.path("city.mmdb"), database("Test-City", &city)).unwrap();
    std::fs::write(bench.path("asn.mmdb"), database("Test-ASN", &asn)).unwrap();
    bench
}

/// The answers with both databases.
fn answers(bench: &Bench, with: &[&str], all: &[&[&str]]) -> String {
    let answer = |args: &&[&str]| {
        let all = [&["-r", "@/a.parquet", "--utc", "-q"], with, *args].concat();
        format!("$ flowdump {}\n{}\n", args.join(" "), bench.run(&all))
    };
    all.iter().map(answer).collect()
}

const BOTH: [&str; 4] = ["-G", "@/city.mmdb", "-G", "@/asn.mmdb"];

#[test]
fn what_is_computed_is_counted() {
    let asked: [&[&str]; 13] = [
        &["-s", "mac"],
        &["-s", "srcmac/bytes"],
        &["-s", "dstmac", "-o", "csv"],
        &["-s", "inmac", "-o", "ndjson"],
        &["-s", "outmac:p"],
        &["-s", "net/bytes"],
        &["-s", "srcnet", "-6"],
        &["-s", "mpls1", "-s", "mpls2"],
        &["-A", "srcnet,dstnet", "-O", "bytes"],
        &["-A", "srcnet", "-o", "fmt:%sn %sa %smk %byt", "-O", "bytes"],
        &["-A", "mpls1,mpls2", "-o", "csv"],
        &["-A", "mpls2,mpls1", "-o", "fmt:%mpls1|%mpls2|%mpls3"],
        &["-A", "tos,exp", "-o", "ndjson"],
    ];
    assert_snapshot!("computed", answers(&bench(), &[], &asked));
}

#[test]
fn databases_tell_of_places() {
    let asked: [&[&str]; 16] = [
        &["-c", "2"],
        &["-s", "geo"],
        &["-s", "srcgeo/bytes", "-o", "csv"],
        &["-s", "asn/bytes"],
        &["-s", "srcasn", "-o", "ndjson"],
        &["-s", "srcas"],
        &["-A", "srcgeo,dstgeo", "-O", "bytes"],
        &["-A", "srcgeo,dstasn", "-o", "csv"],
        &["-A", "srcgeo,srcasn", "-o", "fmt:%sc %sasn %byt", "-O", "bytes"],
        &["-A", "srcas,dstas", "-O", "bytes"],
        &["-o", "fmt:%sa|%sc|%dc|%sloc|%sasn|%gsap"],
        &["-o", "csv:%sa,%sc,%sloc,%sasn"],
        &["-o", "fmt:%sa %da", "geo CH"],
        &["-o", "fmt:%sa %da", "src geo != CH"],
        &["-o", "fmt:%sa %da", "dst geo null"],
        &["-o", "fmt:%sa %da %sas", "src as 64500"],
    ];
    assert_snapshot!("places", answers(&bench(), &BOTH, &asked));
}

#[test]
fn what_no_database_tells_is_refused() {
    let bench = bench();
    std::fs::write(bench.path("bad.mmdb"), "x").unwrap();
    let asked: [&[&str]; 13] = [
        &["-s", "srcgeo"],
        &["-A", "proto,dstasn"],
        &["src geo CH"],
        &["-G", "none", "geo CH"],
        &["-G", "@/none.mmdb"],
        &["-G", "@/bad.mmdb"],
        &["-G", "@/city.mmdb", "geo usa"],
        &["-G", "@/city.mmdb", "geo > CH"],
        &["-G", "@/city.mmdb", "-A", "srcgeo", "-w", "@/out.parquet"],
        &["-G", "@/city.mmdb", "-s", "srcgeo", "--anonymize", "0123456789abcdef0123456789abcdef"],
        &["-G", "@/city.mmdb", "-A", "geo"],
        &["-s", "ja3"],
        &["-A", "srcnet/24"],
    ];
    assert_snapshot!("places_refused", answers(&bench, &[], &asked));
}

/// What a damaged database does not tell is unknown, and that is said.
#[test]
fn a_damaged_database_is_named() {
    let bench = bench();
    let mut octets = std::fs::read(bench.path("city.mmdb")).unwrap();
    // The first record of the tree, where all of IPv4 is, leads out of the file.
    octets[..3].fill(0xff);
    std::fs::write(bench.path("city.mmdb"), octets).unwrap();
    let asked: [&[&str]; 3] = [&["-s", "geo"], &["-o", "fmt:%sc", "-c", "1"], &["-o", "fmt:%sa", "geo CH"]];
    assert_snapshot!("places_damaged", answers(&bench, &BOTH, &asked));
}

/// Without `-G` the configuration names them, where they are needed.
#[test]
fn the_configuration_names_databases() {
    let bench = bench();
    let path = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let geo = format!("geo = [\"{}\", \"{}\"]\n", path("city.mmdb"), path("asn.mmdb"));
    std::fs::write(bench.path("flowdump.toml"), geo).unwrap();
    let with = ["--config", "@/flowdump.toml"];
    let asked: [&[&str]; 5] = [
        &["-s", "geo"],
        &["-s", "srcas", "-N"],
        &["-o", "fmt:%sa %da", "src as 64500"],
        // The format stays what it is.
        &["-c", "1"],
        &["-G", "none", "-o", "fmt:%sc", "-c", "1"],
    ];
    let mut text = answers(&bench, &with, &asked);
    for wrong in ["geo = 1\n", "geo = [1]\n", "goe = 'x'\n"] {
        std::fs::write(bench.path("flowdump.toml"), wrong).unwrap();
        text += &answers(&bench, &with, &[&["-s", "geo"]]);
    }
    assert_snapshot!("places_configured", text);
}

/// Groups are written with what tells of them: an address and its mask, a stack.
#[test]
fn groups_by_computed_keys_are_written() {
    let bench = bench();
    bench.run(&["-r", "@/a.parquet", "-A", "dstnet,mpls1", "-w", "@/groups.parquet"]);
    let read = bench.run(&["-r", "@/groups.parquet", "-q", "-o", "csv:%dn,%da,%dmk,%mpls,%byt"]);
    assert_snapshot!("computed_written", read);
}

/// Two passes over files, and many threads, say the same.
#[test]
fn threads_and_passes_do_not_matter() {
    let bench = bench();
    for question in
        [&["-s", "geo/bytes"][..], &["-s", "mac/bytes"], &["-s", "net/bytes"], &["-A", "srcnet,mpls1"]]
    {
        let ask = |with: &[&str]| {
            let all =
                [&["-r", "@/a.parquet", "-q", "-n", "3", "-o", "csv"], &BOTH[..], question, with].concat();
            bench.run(&all)
        };
        let expected = ask(&["--threads", "1", "--two-passes-from", "1000"]);
        for with in
            [["--threads", "3", "--two-passes-from", "0"], ["--threads", "1", "--two-passes-from", "0"]]
        {
            assert_eq!(ask(&with), expected, "{question:?} {with:?}");
        }
    }
}
