//! Columns an operator defined: files list them, questions name them.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    StringArray, TimestampMicrosecondArray,
};
use flow_common::addr::Addr16;
use flow_common::element::AbstractDataType as T;

use crate::support::{Bench, Fixture, Row, T0_SECS, sample, write};

pub(crate) type Extra = (&'static str, T, ArrayRef);

/// One column of every kind, for three rows; the last is NULL.
pub(crate) fn every_kind() -> Vec<Extra> {
    let address = [Addr16::from_v4([192, 0, 2, 7]).0, Addr16::from_v4([10, 0, 0, 1]).0];
    let fixed = |values: Vec<Option<Vec<u8>>>, width| {
        let values = values.iter().map(|value| value.as_deref());
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, width).unwrap())
    };
    let micros = [Some(T0_SECS * 1_000_000), Some(T0_SECS * 1_000_000 + 1_500), None];
    vec![
        ("my_rtt", T::Unsigned32, Arc::new(Int64Array::from(vec![Some(250), Some(750), None]))),
        ("my_temp", T::Signed8, Arc::new(Int32Array::from(vec![Some(-5), Some(20), None]))),
        ("my_loss", T::Float64, Arc::new(Float64Array::from(vec![Some(0.25), Some(-1e-3), None]))),
        ("my_flag", T::Boolean, Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("my_user", T::String, Arc::new(StringArray::from(vec![Some("joe"), Some("a,\"b\u{1b}[31m"), None]))),
        (
            "my_gate",
            T::Ipv4Address,
            fixed(vec![Some(address[0].to_vec()), Some(address[1].to_vec()), None], 16),
        ),
        ("my_mac", T::MacAddress, fixed(vec![Some(vec![0, 1, 2, 3, 4, 5]), Some(vec![9; 6]), None], 6)),
        (
            "my_blob",
            T::OctetArray,
            Arc::new(BinaryArray::from(vec![Some(&b"\xc0\xff\xee"[..]), Some(b""), None])),
        ),
        (
            "my_time",
            T::DateTimeMilliseconds,
            Arc::new(TimestampMicrosecondArray::from(micros.to_vec()).with_timezone("UTC")),
        ),
    ]
}

fn rows() -> Vec<Row> {
    sample().into_iter().take(3).collect()
}

fn bench() -> Bench {
    let bench = Bench::empty();
    write(&bench.path("b.parquet"), &rows(), &Fixture { extra: every_kind(), ..Fixture::default() });
    bench
}

/// The packets of the flows that match: 1, 42 and 1290 in the sample.
#[track_caller]
fn check(bench: &Bench, filter: &str, expected: &str) {
    let (code, stdout, stderr) = bench.run_raw(&["-r", "@", "-o", "csv", filter]);
    let packets: Vec<_> = stdout.lines().skip(1).map(|line| line.split(',').nth(7).unwrap()).collect();
    let found = if code == 0 { packets.join(" ") } else { format!("exit {code}: {stderr}") };
    assert_eq!(found, expected, "{filter}");
}

#[test]
pub(crate) fn every_kind_of_value_can_be_compared() {
    let bench = bench();
    check(&bench, "my_rtt 250", "1");
    check(&bench, "my_rtt > 500", "42");
    check(&bench, "MY_RTT != 250", "42");
    check(&bench, "not my_rtt 250", "42 1290");
    check(&bench, "my_rtt in [250, 750] and proto tcp", "42");
    check(&bench, "my_rtt >= 4g", "");
    check(&bench, "my_temp < -4", "1");
    check(&bench, "my_temp >= -5 and my_temp <= 20", "1 42");
    check(&bench, "my_temp -128", "");
    check(&bench, "my_loss > 0.1", "1");
    check(&bench, "my_loss -0.001", "42");
    check(&bench, "my_loss < 1k", "1 42");
    check(&bench, "my_loss in [1, 0.25]", "1");
    check(&bench, "my_flag true", "1");
    check(&bench, "my_flag != true", "42");
    check(&bench, "my_user \"joe\"", "1");
    check(&bench, "my_user != joe", "42");
    check(&bench, "my_gate 192.0.2.0/24", "1");
    check(&bench, "my_gate in [10.0.0.0/8 192.0.2.7]", "1 42");
    check(&bench, "my_mac 00:01:02:03:04:05", "1");
    check(&bench, "my_blob 0xC0FFEE", "1");
    check(&bench, "my_blob != c0ffee", "42");
    check(&bench, "my_time = 2026-05-28T20:26:40Z", "1");
    check(&bench, "my_time > 2026-05-28T20:26:40Z or my_rtt 250", "1 42");
}

#[test]
fn rows_show_them_in_every_machine_format() {
    let bench = bench();
    insta::assert_snapshot!("csv", bench.query(&["-o", "csv"]));
    insta::assert_snapshot!("ndjson", bench.query(&["-o", "ndjson", "my_flag true"]));
    insta::assert_snapshot!("json", bench.query(&["-o", "json", "my_rtt 750"]));
    insta::assert_snapshot!("raw", bench.query(&["-o", "raw", "my_rtt > 0"]));
    // What a person reads stays as wide as it was.
    insta::assert_snapshot!("line", bench.query(&["-q", "my_rtt > 0"]));
}

#[test]
fn arrow_has_them_as_they_are_stored() {
    let bench = bench();
    let batches = crate::formats::arrow(&bench, &["arrow"]);
    for (name, _, expected) in every_kind() {
        let found = batches[1].column_by_name(name).unwrap();
        // Whole numbers are as wide as any file may have them.
        let expected = match expected.as_any().downcast_ref::<Int32Array>() {
            Some(narrow) => Arc::new(narrow.iter().map(|n| n.map(i64::from)).collect::<Int64Array>()),
            None => expected,
        };
        assert_eq!(found, &expected, "{name}");
    }
    let keys = every_kind().iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(",");
    let groups = crate::formats::arrow(&bench, &["arrow", "-A", &keys, "-O", "bytes"]);
    for (name, _, expected) in every_kind() {
        let found = groups[1].column_by_name(name).unwrap();
        assert_eq!((found.len(), found.null_count()), (3, expected.null_count()), "{name}");
    }
    let shown = ["md", "fmt:%byt %fl", "csv:%byt,%fl", "nfndjson"];
    let shown = shown.map(|format| bench.query(&["-q", "-o", format, "-A", &keys, "-O", "bytes"]));
    insta::assert_snapshot!("groups", shown.join("\n"));
}

#[test]
fn statistics_count_them() {
    let bench = bench();
    insta::assert_snapshot!(
        "statistics",
        bench.query(&["-q", "-s", "my_user", "-s", "my_loss/bytes", "-s", "my_flag"])
    );
    insta::assert_snapshot!(
        "statistics_ndjson",
        bench.query(&["-o", "ndjson", "-s", "my_rtt/packets", "-s", "my_loss", "-s", "my_flag"])
    );
    insta::assert_snapshot!("statistics_of_times", bench.query(&["-s", "my_time"]));
}

#[test]
fn what_is_wrong_is_said_and_what_was_meant() {
    let bench = bench();
    let said = |args: &[&str]| bench.query(args);
    let all = [
        said(&["my_rrt > 5"]),
        said(&["my_rtt > -5"]),
        said(&["my_rtt 5000000000"]),
        said(&["my_temp -200"]),
        said(&["my_temp 200"]),
        said(&["my_temp -2x"]),
        said(&["my_loss inf"]),
        said(&["my_flag maybe"]),
        said(&["my_flag > false"]),
        said(&["my_blob 0xabc"]),
        said(&["my_user"]),
        said(&["my_loss"]),
        said(&["quux 5"]),
        said(&["-s", "my_usr"]),
        said(&["-Z", "my_rtt > 5"]),
        said(&["-Z", "my_rtt >"]),
    ];
    insta::assert_snapshot!("messages", all.join("\n"));
}

#[test]
fn files_without_the_column_have_null_in_it() {
    let bench = bench();
    write(&bench.path("a.parquet"), &sample()[5..6], &Fixture::default());
    write(&bench.path("c.parquet"), &sample()[6..7], &Fixture::default());
    check(&bench, "my_rtt > 0", "1 42");
    check(&bench, "not my_rtt > 0", "2000000 1290 33");
    let csv = bench.query(&["-o", "csv", "proto udp"]);
    assert!(csv.contains(",500,2000000,2500000000,1,,,,,,,,,\n"), "{csv}");
}

#[test]
fn files_that_disagree_on_the_kind_of_a_name_are_named_where_it_matters() {
    let bench = bench();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["12"]));
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![600]));
    let one = |name: &str, extra| {
        let row = [Row::flow((0, 0), 6, ("192.0.2.1", 1), ("192.0.2.2", 2), (7, 7))];
        write(&bench.path(name), &row, &Fixture { extra, ..Fixture::default() });
    };
    one("a.parquet", vec![("my_rtt", T::String, text)]);
    one("c.parquet", vec![("my_rtt", T::Unsigned16, narrow)]);
    // The newest file says what a name means; integers of any width are one kind.
    insta::assert_snapshot!("differing_filter", bench.query(&["-q", "my_rtt > 500"]));
    insta::assert_snapshot!("differing_statistic", bench.query(&["-o", "csv", "-s", "my_rtt/packets"]));
    // Rows show each file's own.
    insta::assert_snapshot!("differing_rows", bench.query(&["-o", "csv", "packets < 50"]));
}

#[test]
fn hostile_definitions_hurt_nobody() {
    let strings = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let one = |bench: &Bench, extra: Vec<(&str, T, ArrayRef)>| {
        let row = [Row::flow((0, 0), 6, ("192.0.2.1", 1), ("192.0.2.2", 2), (7, 7))];
        write(&bench.path("a.parquet"), &row, &Fixture { extra, ..Fixture::default() });
    };
    // The values are not what the metadata says.
    let bench = Bench::empty();
    one(&bench, vec![("my_rtt", T::Unsigned32, strings("x"))]);
    insta::assert_snapshot!("hostile_filter", bench.query(&["-q", "my_rtt > 500"]));
    insta::assert_snapshot!("hostile_rows", bench.query(&["-o", "csv"]));
    // A column is listed and not there, or listed twice.
    let bench = Bench::empty();
    let row = [Row::flow((0, 0), 6, ("192.0.2.1", 1), ("192.0.2.2", 2), (7, 7))];
    let number: ArrayRef = Arc::new(Int64Array::from(vec![5]));
    let extra = vec![("my_rtt", T::Unsigned32, number)];
    let listed = vec![("my_user", T::String), ("my_rtt", T::Unsigned64)];
    write(&bench.path("a.parquet"), &row, &Fixture { extra, listed, ..Fixture::default() });
    check(&bench, "my_user joe", "");
    check(&bench, "not my_user joe and my_rtt 5", "7");
    // A word of ours for a name, and more columns than one file may define.
    let bench = Bench::empty();
    let names: Vec<String> = (0..300).map(|n| format!("x{n}")).collect();
    let mut extra = vec![("proto", T::String, strings("tcp"))];
    extra.extend(names.iter().map(|name| (name.as_str(), T::String, strings("y"))));
    one(&bench, extra);
    check(&bench, "proto tcp and x100 y", "7");
    let (code, _, stderr) = bench.run_raw(&["-r", "@", "x200 y"]);
    assert_eq!(code, 2, "{stderr}");
}
