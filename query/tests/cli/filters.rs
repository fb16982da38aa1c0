//! Which rows filters of every kind of column let through, and what `--explain` says.

use flow_common::column::ColumnId as Id;
use flow_common::tables::NameKind;
use insta::assert_snapshot;

use crate::support::{Bench, Cell, Fixture, Row, write};
use crate::tables::{name, put};

/// Rows that differ in everything, by their sequence number; 0 has nothing.
fn rows() -> Vec<Row> {
    let row = |number: i64| Row::default().int(Id::Sequence, number).int(Id::ObservationDomain, 7);
    let acl = |ids: [u32; 3]| ids.iter().flat_map(|id| id.to_be_bytes()).collect::<Vec<u8>>();
    let label = |label: i32, exp: i32, bottom: i32| label << 4 | exp << 1 | bottom;
    vec![
        row(0),
        row(1)
            .int(Id::InIf, 1)
            .int(Id::Vlan, 5)
            .int(Id::SrcPort, 1_500)
            .int(Id::PortBlockStart, 1_024)
            .int(Id::PortBlockEnd, 2_047)
            .octets(Id::InSrcMac, &[0, 0x11, 0x22, 0x33, 0x44, 0x55])
            .octets(Id::IngressAcl, &acl([5, 6, 7]))
            .text(Id::Username, "joe")
            .set(Id::MplsLabels, Cell::Labels(vec![label(100, 5, 0), label(200, 0, 1)])),
        row(2)
            .int(Id::InIf, 2)
            .int(Id::PostVlan, 5)
            .int(Id::MinTtl, 64)
            .int(Id::MaxTtl, 64)
            .int(Id::SrcPort, 3_000)
            .int(Id::PortBlockStart, 1_024)
            .int(Id::PortBlockEnd, 2_047)
            .octets(Id::InSrcMac, &[0, 0x11, 0x22, 0x33, 0x44, 0x66])
            .octets(Id::IngressAcl, &acl([8, 8, 8]))
            .text(Id::Username, "null")
            .text(Id::ApplicationName, "dns")
            .set(Id::MplsLabels, Cell::Labels(vec![label(200, 1, 1)])),
        row(3)
            .addr(Id::ExporterAddr, "192.0.2.2")
            .int(Id::InIf, 1)
            .int(Id::MinTtl, 60)
            .int(Id::MaxTtl, 64)
            .int(Id::SrcTos, 0xb8 | 3)
            .int(Id::ApplicationId, 3 << 32 | 53)
            .addr(Id::SrcAddr, "2001:db8::1")
            .set(Id::Other, Cell::Other(vec![(48, vec![9])])),
        row(4)
            .int(Id::ApplicationId, 3 << 32 | 53)
            .addr(Id::SrcAddr, "10.0.0.7")
            .set(Id::Other, Cell::Other(vec![(48, vec![9])])),
    ]
}

/// A directory with a file of such row groups and pages.
fn bench(group_rows: usize, page_rows: usize) -> Bench {
    let bench = Bench::empty();
    write(&bench.path("a.parquet"), &rows(), &Fixture { group_rows, page_rows, ..Fixture::default() });
    put(
        &bench,
        &[
            name(NameKind::Interface, 1, "eth0"),
            name(NameKind::Interface, 2, "eth1"),
            name(NameKind::Application, 3 << 32 | 53, "dns"),
            name(NameKind::Sampler, 9, "one-in-ten"),
        ],
    );
    bench
}

/// Sequence numbers of the rows of NDJSON.
fn sequences(text: &str) -> Vec<i64> {
    let number = |line: &str| line.split("\"sequence\":").nth(1)?.split([',', '}']).next()?.parse().ok();
    text.lines().map(|line| number(line).unwrap()).collect()
}

#[track_caller]
fn check(benches: &[Bench], filter: &str, expected: &[i64]) {
    for bench in benches {
        let (code, stdout, stderr) = bench.run_raw(&["-r", "@", "-o", "ndjson", filter]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{filter}");
        assert_eq!(sequences(&stdout), expected, "{filter}");
    }
}

#[test]
fn every_kind_of_condition_lets_its_rows_through() {
    let benches = [bench(1, 100), bench(100, 100), bench(100, 1), bench(100, 2)];
    let check = |filter: &str, expected: &[i64]| check(&benches, filter, expected);
    check("src vlan null", &[0, 2, 3, 4]);
    check("vlan null", &[0, 3, 4]);
    check("vlan present", &[1, 2]);
    check("not src vlan null", &[1]);
    check("mac 00:11:22:33:44:50-00:11:22:33:44:5f", &[1]);
    check("in src mac != 00:11:22:33:44:55", &[2]);
    check("in src mac > 00:11:22:33:44:55", &[2]);
    check("in src mac null", &[0, 3, 4]);
    check("ingress acl 6", &[1]);
    check("ingress acl > 6", &[1, 2]);
    check("ingress acl != 6", &[2]);
    check("ingress acl null", &[0, 3, 4]);
    check("user joe", &[1]);
    check("user in [joe bob]", &[1]);
    check("user not in [joe bob]", &[2]);
    check("user \"null\"", &[2]);
    check("user null", &[0, 3, 4]);
    check("user > k", &[2]);
    check("mpls 200", &[1, 2]);
    check("mpls label1 200", &[2]);
    check("mpls label2 200", &[1]);
    check("mpls eos 200", &[1, 2]);
    check("mpls exp1 > 3", &[1]);
    check("mpls any != 100", &[2]);
    check("mpls null", &[0, 3, 4]);
    check("mpls label2 null", &[0, 2, 3, 4]);
    check("ttl equal", &[2]);
    check("not ttl equal", &[0, 1, 3, 4]);
    check("src port in nat pblock", &[1]);
    check("port in nat pblock", &[1]);
    check("dscp ef", &[3]);
    check("ecn ce", &[3]);
    check("dscp null", &[0, 1, 2, 4]);
    check("src ip > 2001::", &[3]);
    check("src ip < 2001::", &[]);
    check("src ip ::/0", &[3]);
    check("src ip 10.0.0.1-10.0.0.9", &[4]);
    check("src ip null", &[0, 1, 2]);
    check("other present", &[3, 4]);
    check("app id 3..53", &[3, 4]);
    check("sequence in [0 3-9]", &[0, 3, 4]);
    check("sequence not in [0 3-9]", &[1, 2]);
    check("duration null and sequence > 3", &[4]);
}

#[test]
fn names_are_those_of_the_exporter() {
    let benches = [bench(1, 100), bench(100, 100), bench(100, 1), bench(100, 2)];
    let check = |filter: &str, expected: &[i64]| check(&benches, filter, expected);
    // The other exporter told nothing of its interface 1.
    check("in if name eth0", &[1]);
    check("in if name != eth0", &[2]);
    check("in if name present", &[1, 2]);
    check("in if name null", &[0, 3, 4]);
    check("if name in [eth0 eth1]", &[1, 2]);
    check("not in if name eth0", &[0, 2, 3, 4]);
    check("app dns", &[2, 4]);
    check("app != dns", &[]);
    check("app present", &[2, 4]);
    check("app null", &[0, 1, 3]);
    check("sampler one-in-ten", &[4]);
    check("sampler null", &[0, 1, 2, 3]);
    let (code, stdout, stderr) = benches[0].run_raw(&["-r", "@", "-q", "in if name eht0"]);
    let said =
        "note: no exporter of these files told of interface `eht0`; did you mean `in if name \"eth0\"`?\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", said));
}

#[test]
fn a_filter_file_includes_others_beside_it() {
    let bench = bench(100, 100);
    let write = |name: &str, text: &str| {
        std::fs::create_dir_all(bench.path("filters")).unwrap();
        std::fs::write(bench.path("filters").join(name), text).unwrap();
    };
    write("main", "user in [ @include people ] # all of them\n");
    write("people", "joe, bob\n");
    let path = bench.path("filters").join("main");
    let run = |path: &str| bench.run_raw(&["-r", "@", "-o", "ndjson", "-f", path]);
    let (code, stdout, stderr) = run(path.to_str().unwrap());
    assert_eq!((code, sequences(&stdout), stderr.as_str()), (0, vec![1], ""));
    write("people", "joe bob ]] ]\n");
    let (code, _, stderr) = run(path.to_str().unwrap());
    assert_eq!(code, 2);
    assert!(stderr.starts_with("error: expected `and` or `or` here in `people`\n"), "{stderr}");
}

#[test]
fn explain_tells_what_a_filter_means_and_spares() {
    let bench = bench(1, 100);
    let explain = |args: &[&str]| bench.query(&[&["--explain"], args].concat());
    assert_snapshot!(explain(&["src ip 10.0.0.7 and not user joe or in if name eth0 and bytes > 1k"]), @r#"
    exit: 0
    --- stdout
    predicate, and what rules row groups out before rows are decoded:
      or
        and
          (in src_addr 10.0.0.7)                              statistics, Bloom filter, dictionary
          not
            (= username "joe")                                nothing
        and
          and
            (= in_if 1)                                       statistics, dictionary
            (known in_if_name 1)                              nothing
          (> bytes 1000)                                      statistics
    columns of the filter: src_addr, bytes, in_if, username, exporter_addr, observation_domain
    left by statistics:
      files       1 of 1
      row groups  1 of 5
      rows        1 of 5
    "#);
    assert_snapshot!(explain(&["-t", "2026/05/28.20:26:40-2026/05/28.21", "mpls 5 or net 10.0.0.1/8"]), @r"
    exit: 0
    --- stdout
    predicate, and what rules row groups out before rows are decoded:
      and
        (within 2026-05-28T20:26:40Z 2026-05-28T21:59:59.999999Z)  statistics
        or
          (= mpls_any 5)                                      nothing
          or
            (in src_addr 10.0.0.0..10.255.255.255)            statistics, dictionary
            (in dst_addr 10.0.0.0..10.255.255.255)            statistics, dictionary
    columns of the filter: received, flow_start, flow_end, src_addr, dst_addr, mpls_labels
    left by statistics:
      files       1 of 1
      row groups  5 of 5
      rows        5 of 5
    --- stderr
    note: `net 10.0.0.1/8` has host bits and is taken as `10.0.0.0/8`
    ");
    assert_snapshot!(explain(&["sequence 1-2"]), @r"
    exit: 0
    --- stdout
    predicate, and what rules row groups out before rows are decoded:
      (in sequence 1..2)                                      statistics, dictionary
    columns of the filter: sequence
    left by statistics:
      files       1 of 1
      row groups  2 of 5
      rows        2 of 5
    ");
    assert_snapshot!(explain(&[]), @r"
    exit: 0
    --- stdout
    predicate, and what rules row groups out before rows are decoded:
      true
    columns of the filter: none
    left by statistics:
      files       1 of 1
      row groups  5 of 5
      rows        5 of 5
    ");
}

#[test]
fn pages_are_ruled_out_by_their_bounds() {
    let bench = bench(100, 2);
    let check = |filter: &str, rows_left: u64, expected: &[i64]| {
        let (_, stdout, _) = bench.run_raw(&["-r", "@", "--explain", filter]);
        let line = format!("  rows        {rows_left} of 5\n");
        assert!(stdout.ends_with(&line), "{filter}\n{stdout}");
        let (code, stdout, _) = bench.run_raw(&["-r", "@", "-o", "ndjson", filter]);
        assert_eq!((code, sequences(&stdout)), (0, expected.to_vec()), "{filter}");
    };
    // Pages of two rows: 0 and 1, 2 and 3, 4.
    check("sequence 1", 2, &[1]);
    check("sequence 3-9", 3, &[3, 4]);
    check("sequence 3-9 and in if 1", 2, &[3]);
    check("sequence 4 or in if 2", 3, &[2, 4]);
    check("src ip 10.0.0.7", 1, &[4]);
    check("src ip 2001:db8::/32", 2, &[3]);
    // Of all values of a page NULL is none.
    check("src ip > ::", 2, &[3]);
    check("in if > 2", 0, &[]);
    // What can't match may be what is asked for.
    check("not sequence 1", 5, &[0, 2, 3, 4]);
    check("any", 5, &[0, 1, 2, 3, 4]);
}

#[test]
fn counts_of_null_and_the_name_of_a_file_spare_reading() {
    let bench = bench(1, 100);
    let left = |filter: &str| {
        let said = bench.query(&["--explain", filter]);
        let line = said.lines().find_map(|line| line.trim().strip_prefix("row groups")).unwrap();
        line.trim().to_owned()
    };
    for (filter, expected) in [
        ("user present", "2 of 5"),
        ("user null", "3 of 5"),
        ("user present and src ip present", "0 of 5"),
        ("mpls present", "5 of 5"),
        ("vni present", "0 of 5"),
        ("vni null", "5 of 5"),
        ("ident edge1", "5 of 5"),
        ("ident edge2", "0 of 5"),
        ("ident edge2 or sequence 1", "1 of 5"),
        ("not ident edge2 and user present", "2 of 5"),
    ] {
        assert_eq!(left(filter), expected, "{filter}");
    }
    let found = |filter: &str| sequences(&bench.run_raw(&["-r", "@", "-o", "ndjson", filter]).1);
    assert_eq!(found("user present"), [1, 2]);
    assert_eq!(found("user null and not ident edge2"), [0, 3, 4]);
    assert_eq!(found("ident edge1 and sequence 3"), [3]);
    assert_eq!(found("ident edge2 and sequence 3"), Vec::<i64>::new());
}
