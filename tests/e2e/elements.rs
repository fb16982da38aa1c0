//! Elements an operator named in the configuration: from the wire to a filter.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use flow_collector::Config;
use flow_tests::daemon::{Daemon, Finished, decode_capture_with};
use flow_tests::packet::Value;
use flow_tests::packet::ipfix::{Field, Message, VARIABLE};
use flow_tests::packet::v9;
use flow_tests::pcap::write_pcap;
use flow_tests::query::{flowdump, flowdump_with, records};
use flow_tests::testdata;
use serde_json::json;

use crate::interop::python;

const EXPORT_SECS: u32 = 1_795_264_200;
const PEN: u32 = 32_473;

/// The configuration that `text` is.
fn config(text: &str) -> Config {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    Config::of_file(file.path()).unwrap()
}

/// The last configuration that the README shows: the one with elements. All of them are
/// sound.
fn readme_example() -> Config {
    let readme = std::fs::read_to_string(testdata("../README.md")).unwrap();
    let examples = readme.split("```toml\n").skip(1).map(|after| config(after.split_once("```").unwrap().0));
    examples.last().unwrap()
}

fn collect(config: &Config, messages: Vec<Vec<u8>>) -> Finished {
    let file = tempfile::NamedTempFile::new().unwrap();
    let addr = |port| SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), port));
    let payloads: Vec<_> = messages
        .into_iter()
        .map(|payload| (addr(1), addr(4739), payload, u64::from(EXPORT_SECS) * 1_000_000))
        .collect();
    std::fs::write(&file, write_pcap(&payloads)).unwrap();
    decode_capture_with(file.path(), config.clone())
}

/// Packets of the records that match: each test gives its records 1, 2, 4 ….
fn matched(root: &Path, filter: &str) -> u64 {
    let output = flowdump(root, &["-o", "ndjson", filter]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{filter}");
    let packets = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["packets"].as_u64();
    output.stdout.lines().filter_map(packets).sum()
}

#[test]
fn the_example_of_the_readme_works() {
    let capture = testdata("ipfix-ovs.pcap");
    let (named, plain) =
        (decode_capture_with(&capture, readme_example()), decode_capture_with(&capture, Config::default()));
    // Counted by hand from what lies in `other` where no element is named.
    let mut packets = 0;
    for record in records(plain.directory.path()) {
        let octets = |key: &str| record["other"][key].as_str().unwrap_or_default().to_owned();
        let sum_of_squares = u64::from_str_radix(&octets("198"), 16).unwrap_or_default();
        if octets("6876:898") == "766d2d3432" && sum_of_squares > 100_000 {
            packets += record["packets"].as_u64().unwrap();
        }
    }
    let root = named.directory.path();
    assert!(packets > 0);
    assert_eq!(matched(root, "virtual_obs_id \"vm-42\" and sum_of_squares > 100k"), packets);
    for record in records(root) {
        let other = record["other"].as_object().unwrap();
        assert!(["6876:898", "82", "198"].iter().all(|key| !other.contains_key(*key)), "{record}");
    }
}

#[test]
fn every_type_is_read_by_the_rules_of_its_element() {
    let elements = [
        ("a_u8", "unsigned8", 1),
        ("a_u64", "unsigned64", 2),
        ("a_signed", "signed32", 3),
        ("a_float", "float64", 4),
        ("a_bool", "boolean", 5),
        ("a_v4", "ipv4Address", 6),
        ("a_mac", "macAddress", 7),
        ("a_text", "string", 8),
        ("a_blob", "octetArray", 9),
        ("a_time", "dateTimeMilliseconds", 10),
    ];
    let table = |(name, data_type, id): &(&str, &str, u16)| {
        format!("[[element]]\npen = {PEN}\nid = {id}\nname = \"{name}\"\ntype = \"{data_type}\"\n")
    };
    let config = config(&elements.iter().map(table).collect::<String>());
    let lengths = [2, 3, 1, 4, 1, 4, 6, VARIABLE, VARIABLE, 8];
    let mut fields = vec![Field::iana(2, 4)];
    fields.extend((1..).zip(lengths).map(|(id, length)| Field::enterprise(PEN, id, length)));
    // A repetition, which has no column.
    fields.push(Field::enterprise(PEN, 1, 1));
    let millis = u64::from(EXPORT_SECS) * 1_000 + 5;
    let record = |packets, octet: u64, truth| {
        let value = Value::new().uint(packets, 4).uint(octet, 2).uint(70_000, 3).int(-5, 1);
        let value = value.octets(&0.5f32.to_be_bytes()).uint(truth, 1).ipv4(Ipv4Addr::new(192, 0, 2, 9));
        let value = value.mac([2, 0, 0, 0, 0, 1]).variable(b"joe").variable_long(&[0xc0, 0xff]);
        value.uint(millis, 8).uint(9, 1).encode()
    };
    // The second has a number beyond its type, and a truth value that is none.
    let message = Message::new(EXPORT_SECS, 1, 7).template(256, &fields);
    let message = message.data(256, &[record(1, 255, 2), record(2, 256, 0)]).encode();
    let finished = collect(&config, vec![message]);
    let root = finished.directory.path();
    let found = records(root);
    let time = "2026-11-21T12:30:00.005Z";
    for (record, a_u8) in found.iter().zip([json!(255), json!(null)]) {
        assert_eq!(
            [&record["a_u8"], &record["a_u64"], &record["a_signed"]],
            [&a_u8, &json!(70_000), &json!(-5)]
        );
        assert_eq!([&record["a_float"], &record["a_v4"]], [&json!(0.5), &json!("192.0.2.9")]);
        assert_eq!([&record["a_mac"], &record["a_text"]], [&json!("02:00:00:00:00:01"), &json!("joe")]);
        assert_eq!([&record["a_blob"], &record["a_time"]], [&json!("c0ff"), &json!(time)]);
    }
    assert_eq!([&found[0]["a_bool"], &found[1]["a_bool"]], [&json!(false), &json!(null)]);
    // What does not fit stays where it was, and so do repetitions.
    assert_eq!(found[0]["other"], json!({"32473:1#1": "09"}));
    assert_eq!(found[1]["other"], json!({"32473:1": "0100", "32473:5": "00", "32473:1#1": "09"}));
    assert_eq!(sent_again(&config, root, "10"), found);
    // v9 has no elements of an enterprise: only what stands for itself is left.
    let plain = sent_again(&config, root, "9");
    assert!(plain.iter().all(|record| record["packets"].is_u64() && record["a_u64"].is_null()), "{plain:?}");
    for (filter, expected) in [
        ("a_u8 255", 1),
        ("not a_u8 255", 2),
        ("a_u64 >= 70k", 3),
        ("a_signed < 0", 3),
        ("a_float 0.5", 3),
        ("a_bool false", 1),
        ("a_v4 192.0.2.0/28", 3),
        ("a_mac 02:00:00:00:00:01", 3),
        ("a_text \"joe\"", 3),
        ("a_text \"jo\"", 0),
        ("a_blob 0xc0ff", 3),
        ("a_time > 2026-11-21T12:30:00Z and a_time < 2026-11-21T12:30:01Z", 3),
    ] {
        assert_eq!(matched(root, filter), expected, "{filter}");
    }
}

/// The records as a collector of this configuration stores what `flowdump replay` sends, without
/// what is about the way they took.
fn sent_again(config: &Config, root: &Path, version: &str) -> Vec<serde_json::Value> {
    let mut daemon = Daemon::start_as(config.clone());
    let port = daemon.addr([127, 0, 0, 1].into()).port().to_string();
    let root = root.to_str().unwrap();
    let output = flowdump_with(&["replay", "-r", root, "-p", &port, "-v", version, "--rate", "0"]);
    let datagrams = output.stdout.split("datagrams: ").nth(1).and_then(|rest| rest.split(',').next());
    daemon.expect(datagrams.unwrap().parse().unwrap());
    let finished = daemon.finish();
    let (before, mut after) = (records(Path::new(root)), records(finished.directory.path()));
    for (before, after) in before.iter().zip(&mut after) {
        for name in
            ["received", "exporter_addr", "sequence", "export_time", "flow_start", "flow_end", "time_source"]
        {
            let Some(after) = after.as_object_mut() else { continue };
            match before.get(name) {
                Some(value) => after.insert(name.to_owned(), value.clone()),
                None => after.remove(name),
            };
        }
    }
    after
}

#[test]
fn numbers_of_netflow_v9_beyond_those_of_ipfix_have_columns_too() {
    let config = config("[[element]]\nid = 57973\nname = \"my_url\"\ntype = \"string\"\n");
    let record = |packets, url: &str| Value::new().uint(packets, 4).fixed_string(url, 8).encode();
    let message = v9::Message::new(10_000, EXPORT_SECS, 1, 7).template(300, &[(2, 4), (57_973, 8)]);
    let message = message.data(300, &[record(1, "/a"), record(2, "/b")]).encode();
    let finished = collect(&config, vec![message]);
    let root = finished.directory.path();
    assert_eq!(matched(root, "my_url \"/b\""), 2);
    let urls: Vec<_> = sent_again(&config, root, "9").iter().map(|record| record["my_url"].clone()).collect();
    assert_eq!(urls, ["/a", "/b"]);
}

/// A name may come, go and mean another element: each file says what it has.
#[test]
fn files_before_and_after_a_definition_are_asked_together() {
    let fields = [Field::iana(2, 4), Field::enterprise(PEN, 1, 4)];
    let message = |packets, value| {
        let record = Value::new().uint(packets, 4).uint(value, 4).encode();
        vec![Message::new(EXPORT_SECS, 1, 7).template(256, &fields).data(256, &[record]).encode()]
    };
    let named =
        config(&format!("[[element]]\npen = {PEN}\nid = 1\nname = \"my_rtt\"\ntype = \"unsigned32\"\n"));
    let before = collect(&Config::default(), message(1, 700));
    let after = collect(&named, message(2, 700));
    let tree = tempfile::tempdir().unwrap();
    for (name, finished) in [("a", &before), ("b", &after)] {
        std::os::unix::fs::symlink(finished.directory.path(), tree.path().join(name)).unwrap();
    }
    assert_eq!(matched(tree.path(), "my_rtt > 500"), 2);
    assert_eq!(matched(tree.path(), "not my_rtt > 500"), 1);
}

const SCRIPT: &str = r#"
import json, sys, duckdb
files = sys.argv[1] + '/date=*/hour=*/*.parquet'
db = duckdb.connect()
rows = db.execute(f"""SELECT virtual_obs_id, interface_name, count(*), coalesce(sum(sum_of_squares), 0)::BIGINT
  FROM read_parquet('{files}') GROUP BY ALL ORDER BY ALL""").fetchall()
print(json.dumps(rows))
print(json.dumps(db.execute(f"""SELECT name, field_id FROM parquet_schema('{files}')
  WHERE field_id >= 1 << 30 ORDER BY ALL""").fetchall()))
"#;

#[test]
fn duckdb_sees_the_columns_that_flowdump_sees() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("skipped: no Python with duckdb and pyarrow ({reason})");
            return;
        }
    };
    let finished = decode_capture_with(&testdata("ipfix-ovs.pcap"), readme_example());
    let root = finished.directory.path();
    let output = Command::new(&python).args(["-c", SCRIPT]).arg(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let mut groups = std::collections::BTreeMap::new();
    for record in records(root) {
        let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        let group: &mut (u64, u64) =
            groups.entry((text("virtual_obs_id"), text("interface_name"))).or_default();
        group.0 += 1;
        group.1 += record["sum_of_squares"].as_u64().unwrap_or_default();
    }
    let rows: Vec<_> = groups.iter().map(|((vm, name), (n, sum))| json!([vm, name, n, sum])).collect();
    // The element alone decides its field id, which never changes.
    let field_ids = [
        ("interface_name", 1_935_540_377),
        ("sum_of_squares", 1_314_794_266),
        ("virtual_obs_id", 1_577_159_931),
    ];
    let expected = [json!(rows), json!(field_ids)];
    let found: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found, expected);
}
