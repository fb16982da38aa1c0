//! `--anonymize`: answers without true addresses.

use flow_common::column::ColumnId;
use insta::assert_snapshot;

use crate::support::{Bench, sample};

const KEY: &str = "abcdefghijklmnopqrstuvwxyz012345";

#[test]
fn answers_have_other_addresses_and_the_same_counters() {
    let mut rows = sample();
    rows[0] =
        rows[0].clone().text(ColumnId::Username, "alice").octets(ColumnId::InSrcMac, &[2, 0, 0, 0, 0, 1]);
    let bench = Bench::of(&rows);
    let key = bench.path("key");
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    let asked: [&[&str]; 8] = [
        &["-o", "csv", "--anonymize", KEY],
        &["-o", "csv", "--anonymize-with", "@/key", "host 8.8.8.8"],
        &["-o", "ndjson", "-c", "1", "--anonymize", KEY],
        &["-s", "srcip/bytes", "-o", "csv", "--anonymize", KEY],
        &["-s", "srcip/bytes", "-o", "csv", "--two-passes-from", "0", "-n", "2", "--anonymize", KEY],
        &["-A", "srcip4/16", "-O", "bytes", "-o", "csv", "--anonymize", KEY],
        &["--anonymize", "short"],
        &["--anonymize-with", "@/no/such/file"],
    ];
    let shown = asked.map(|args| format!("$ flowdump {}\n{}", args.join(" "), bench.query(args)));
    assert_snapshot!("answers_have_other_addresses_and_the_same_counters", shown.join("\n"));
}
