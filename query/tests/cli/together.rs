//! Questions that ask groups for several things at once: `-P`, `--bucket`, `--distinct`, places.

use crate::maker::{database, place, system};
use crate::support::{Bench, Row};
use flow_common::column::ColumnId;

/// Flows of two buckets. Of 192.0.2.1 the exporter told no system, of 198.51.100.1 it did.
fn bench() -> Bench {
    let flow = |secs: i64, src: &str, system: i64, bytes: i64| {
        let times = (secs * 1_000, secs * 1_000 + 1_000);
        Row::flow(times, 6, (src, 1_000), ("203.0.113.9", 80), (1, bytes)).int(ColumnId::SrcAs, system)
    };
    let rows = [
        flow(0, "192.0.2.1", 0, 1_000_000),
        flow(1, "198.51.100.1", 65_000, 200),
        flow(400, "192.0.2.1", 0, 30_000_000),
        flow(401, "192.0.2.2", 0, 40),
    ];
    let bench = Bench::of(&rows);
    let systems = [("192.0.2.0/24", system(64_500, "Example"))];
    std::fs::write(bench.path("asn.mmdb"), database("Test-ASN", &systems)).unwrap();
    let city = [("192.0.2.0/24", place("EU", "CH", ""))];
    std::fs::write(bench.path("city.mmdb"), database("Test-City", &city)).unwrap();
    bench
}

/// Runs it with `@/asn.mmdb` for the database; what it prints.
#[track_caller]
fn answer(args: &[&str]) -> String {
    let (code, stdout, stderr) = bench().run_raw(&[&["-r", "@/a.parquet", "-q", "--utc"], args].concat());
    assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
    stdout
}

/// What the rows have for `key`, in order.
#[track_caller]
fn check(args: &[&str], key: &str, expected: &[&str]) {
    let stdout = answer(&[&["-o", "ndjson"], args].concat());
    let value = |line: &str| {
        let (_, rest) = line.split_once(&format!("\"{key}\":"))?;
        Some(rest.split([',', '}']).next()?.trim_matches('"').to_owned())
    };
    let found: Vec<_> = stdout.lines().filter_map(value).collect();
    assert_eq!(found, expected, "{args:?}\n{stdout}");
}

const SYSTEMS: [&str; 2] = ["-G", "@/asn.mmdb"];

#[test]
fn the_filter_of_groups_sees_what_they_show() {
    // A system that was looked up is the group's.
    let by_system = |filter: &str, expected: &[&str]| {
        check(&[&SYSTEMS[..], &["-A", "srcas", "-P", filter]].concat(), "src_as", expected);
    };
    by_system("src as 64500", &["64500"]);
    by_system("src as > 64500", &["65000"]);
    check(&["-A", "srcas", "-P", "src as 64500"], "src_as", &[]);
    // Rates of a series are over its buckets: 240 Mbit within a second are 800 kbit/s of five minutes.
    check(&["--bucket", "5m", "-P", "bps > 500k"], "bytes", &["30000040"]);
    check(&["--bucket", "5m", "-P", "bps > 1m"], "bytes", &[]);
    check(&["-A", "srcip", "-P", "bps > 600k"], "src_addr", &["192.0.2.1"]);
    // A row that does not pass is none, also where it is the only one.
    check(&["--distinct", "srcip", "-P", "bytes > 999t"], "flows", &[]);
    check(&["--distinct", "srcip", "bytes > 999t"], "flows", &["0"]);
}

#[test]
fn what_is_counted_may_be_computed() {
    let systems = |args: &[&str], key: &str, expected: &str| {
        check(&[&SYSTEMS[..], args].concat(), key, &[expected]);
    };
    check(&["--distinct", "srcas"], "distinct_src_as", &["2"]);
    systems(&["--distinct", "srcas"], "distinct_src_as", "2");
    systems(&["--distinct", "srcas", "src ip 192.0.2.0/24"], "distinct_src_as", "1");
    systems(&["--distinct", "srcasn"], "distinct_src_as_name", "2");
    check(&["-A", "dstip", "-s", "record/bytes", "--distinct", "srcip"], "distinct_src_addr", &["3"]);
}

#[test]
fn what_does_not_go_together_is_said() {
    let bench = bench();
    let check = |args: &[&str], expected: &str| {
        let (code, _, stderr) = bench.run_raw(&[&["-r", "@/a.parquet"], args].concat());
        assert_eq!(code, 2, "{args:?}");
        assert!(stderr.starts_with(&format!("error: {expected}")), "{args:?}\n{stderr}");
    };
    check(&["-s", "srcip/bucket", "--bucket", "5m"], "the buckets of a statistic come one after another");
    check(&["-s", "srcip", "-w", "x.parquet"], "`-w` and `-o parquet` have flows");
    check(&["-s", "srcip", "-o", "parquet"], "`-w` and `-o parquet` have flows");
    check(&["-s", "record", "--distinct", "srcip"], "`-s record` looks like flows");
    check(&["--distinct", "srcmac"], "unknown column `srcmac` in `--distinct`");
    check(&["--distinct", "srcgeo"], "`--distinct srcgeo` needs a database");
    let key = "0123456789abcdef0123456789abcdef";
    let asked = ["-G", "@/city.mmdb", "-A", "srcip", "-P", "src geo CH", "--anonymize", key];
    check(&asked, "`-P` can't ask for addresses or texts");
}
