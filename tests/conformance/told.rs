//! What options data says, in the answers it belongs to: names, rates, types,
//! losses.

use flow_tests::packet::Value;
use flow_tests::packet::ipfix::{Field, Message};
use flow_tests::packet::v9::scope;
use flow_tests::query::{flowdump, scaled_records};
use serde_json::{Value as Json, json};

use crate::collect::{Collected, collect, ipfix, v9};

/// Options template 300 with one record.
fn options(message: Message, n_scope: u16, fields: &[Field], record: Value) -> Vec<u8> {
    message.options_template(300, n_scope, fields).data(300, &[record.encode()]).encode()
}

/// A flow record of TCP and one more field.
fn flow(field: Field, octets: &[u8]) -> Vec<u8> {
    ipfix().template(256, &[Field::iana(4, 1), field]).data(256, &[[&[6], octets].concat()]).encode()
}

/// What `-I` says to a program.
fn info(collected: &Collected) -> Json {
    serde_json::from_str(&flowdump(collected.root(), &["-I", "-o", "ndjson"]).stdout).unwrap()
}

fn info_lines(collected: &Collected) -> Vec<String> {
    let output = flowdump(collected.root(), &["-I"]);
    output.stdout.lines().filter(|line| line.starts_with("Exporter ")).map(str::to_owned).collect()
}

#[track_caller]
fn check_reports(n_scope: u16, fields: &[Field], record: Value, expected: &[(&str, &str, u64)]) {
    let collected = collect(&[flow(Field::iana(7, 2), &[0, 80]), options(ipfix(), n_scope, fields, record)]);
    let info = info(&collected);
    let reports = info["reports"].as_array().cloned().unwrap_or_default();
    let text = |report: &Json, key: &str| report[key].as_str().unwrap_or_default().to_owned();
    let found: Vec<_> = reports
        .iter()
        .map(|row| (text(row, "report"), text(row, "statistic"), row["value"].as_u64().unwrap()))
        .collect();
    let expected: Vec<_> =
        expected.iter().map(|&(report, name, value)| (report.to_owned(), name.to_owned(), value)).collect();
    assert_eq!(found, expected);
}

#[test]
fn ipx_11_the_reports_of_the_standard_are_recognised() {
    let domain = Field::iana(149, 4);
    check_reports(
        1,
        &[domain, Field::iana(40, 8), Field::iana(41, 8), Field::iana(42, 8)],
        Value::new().uint(7, 4).uint(1, 8).uint(2, 8).uint(3, 8),
        &[
            ("metering", "exportedOctetTotalCount", 1),
            ("metering", "exportedMessageTotalCount", 2),
            ("metering", "exportedFlowRecordTotalCount", 3),
        ],
    );
    check_reports(
        1,
        &[domain, Field::iana(164, 8), Field::iana(165, 8)],
        Value::new().uint(7, 4).uint(4, 8).uint(5, 8),
        &[
            ("metering_reliability", "ignoredPacketTotalCount", 4),
            ("metering_reliability", "ignoredOctetTotalCount", 5),
        ],
    );
    check_reports(
        1,
        &[Field::iana(144, 4), Field::iana(166, 8), Field::iana(167, 8), Field::iana(168, 8)],
        Value::new().uint(1, 4).uint(6, 8).uint(7, 8).uint(8, 8),
        &[
            ("exporting_reliability", "notSentFlowTotalCount", 6),
            ("exporting_reliability", "notSentPacketTotalCount", 7),
            ("exporting_reliability", "notSentOctetTotalCount", 8),
        ],
    );
    check_reports(
        1,
        &[Field::iana(145, 2), Field::iana(173, 8)],
        Value::new().uint(256, 2).uint(0b11, 8),
        &[("flow_keys", "flowKeyIndicator", 3)],
    );
}

#[test]
fn ipx_11_other_options_and_flows_are_no_reports() {
    check_reports(1, &[Field::iana(149, 4), Field::iana(36, 2)], Value::new().uint(7, 4).uint(60, 2), &[]);
    // Flow keys of no template.
    check_reports(1, &[Field::iana(149, 4), Field::iana(173, 8)], Value::new().uint(7, 4).uint(3, 8), &[]);
    // The same elements in a flow record.
    let collected = collect(&[flow(Field::iana(167, 4), &[0, 0, 0, 9])]);
    assert_eq!(info(&collected)["reports"], Json::Null);
}

fn not_sent(packets: u64) -> Vec<u8> {
    let fields = [Field::iana(144, 4), Field::iana(166, 4), Field::iana(167, 8)];
    options(ipfix(), 1, &fields, Value::new().uint(1, 4).uint(3, 4).uint(packets, 8))
}

#[test]
fn ipx_12_what_the_exporter_lost_is_told() {
    let ignored = [Field::iana(149, 4), Field::iana(164, 8)];
    let ignored = options(ipfix(), 1, &ignored, Value::new().uint(7, 4).uint(5, 8));
    let flow = flow(Field::iana(7, 2), &[0, 80]);
    let collected = collect(&[flow, not_sent(12), ignored, not_sent(12), not_sent(20)]);
    let expected = "Exporter 127.0.0.1 domain 7: not sent: 3 flows, 20 packets; ignored: 5 packets";
    assert_eq!(info_lines(&collected), [expected]);
    assert_eq!(collected.count("exporter_packets_lost_total"), 25);
}

#[test]
fn ipx_12_an_exporter_that_lost_nothing_is_not_accused() {
    let fields = [Field::iana(144, 4), Field::iana(166, 4), Field::iana(167, 8)];
    let none = options(ipfix(), 1, &fields, Value::new().uint(1, 4).uint(0, 4).uint(0, 8));
    let collected = collect(&[flow(Field::iana(7, 2), &[0, 80]), none]);
    assert_eq!(info_lines(&collected), [""; 0]);
    assert_eq!(collected.count("exporter_packets_lost_total"), 0);
}

/// An RFC 5610 record: what an exporter says of an element.
fn type_of(pen: u64, element: u64, name: &[u8]) -> Vec<u8> {
    use flow_tests::packet::ipfix::VARIABLE;
    let fields = [
        Field::iana(346, 4),
        Field::iana(303, 2),
        Field::iana(339, 1),
        Field::iana(344, 1),
        Field::iana(341, VARIABLE),
    ];
    let record = Value::new().uint(pen, 4).uint(element, 2).uint(3, 1).uint(4, 1).variable(name);
    options(ipfix(), 2, &fields, record)
}

/// The lines of `-o raw` that name an element without a column.
fn elements(datagrams: &[Vec<u8>]) -> Vec<String> {
    let output = flowdump(collect(datagrams).root(), &["-o", "raw"]);
    let lines = output.stdout.lines().map(str::trim_start);
    lines.filter(|line| line.starts_with("element ")).map(str::to_owned).collect()
}

#[test]
fn typ_01_an_unknown_element_has_the_name_its_exporter_gave_it() {
    let temperature = flow(Field::enterprise(29_304, 5, 2), &[0, 21]);
    let told = [temperature.clone(), type_of(29_304, 5, b"temp\x1b[1merature\0")];
    assert_eq!(elements(&told), ["element 29304:5 = 0015 temp[1merature"]);
    assert_eq!(elements(&[temperature]), ["element 29304:5 = 0015"]);
}

#[test]
fn typ_01_what_a_registry_defines_is_not_overridden() {
    for (pen, element, id) in [(0, 36, "36"), (29_305, 36, "29305:36")] {
        let field = if pen == 0 { Field::iana(36, 2) } else { Field::enterprise(pen, 36, 2) };
        let lines = elements(&[flow(field, &[0, 60]), type_of(pen.into(), element, b"forged")]);
        assert_eq!(lines, [format!("element {id} = 003c flowActiveTimeout")]);
    }
    // Nor what this program knows: 6876:893 is `tunnel_src_addr`.
    let collected =
        collect(&[flow(Field::enterprise(6_876, 893, 4), &[192, 0, 2, 1]), type_of(6_876, 893, b"forged")]);
    assert_eq!(collected.column("tunnel_src_addr"), ["192.0.2.1"]);
    assert!(!collected.root().join(".flowcap/names.table").exists());
}

#[test]
fn app_01_names_come_with_options_data() {
    let fields = [Field::iana(95, 4), Field::iana(96, 24), Field::iana(94, 32)];
    let record = Value::new().octets(&[13, 0, 1, 0xdf]).fixed_string("ssl", 24).fixed_string("TLS", 32);
    let names = options(ipfix(), 1, &fields, record);
    let collected = collect(&[flow(Field::iana(95, 4), &[13, 0, 1, 0xdf]), names]);
    assert_eq!(scaled_records(collected.root())[0]["application_name"], "ssl");
    let printed = flowdump(collected.root(), &["-q", "-o", "fmt:%nbid %nbnam"]).stdout;
    assert_eq!(printed.split_whitespace().collect::<Vec<_>>(), ["13..479", "ssl"]);
}

#[test]
fn app_01_an_application_without_a_name_has_none() {
    let fields = [Field::iana(95, 4), Field::iana(96, 24)];
    let names = options(ipfix(), 1, &fields, Value::new().octets(&[13, 0, 0, 1]).fixed_string("other", 24));
    let collected = collect(&[names, flow(Field::iana(95, 4), &[13, 0, 1, 0xdf])]);
    let record = &scaled_records(collected.root())[0];
    assert_eq!(
        (&record["application_id"], &record["application_name"]),
        (&json!(55_834_575_327_i64), &Json::Null)
    );
}

/// Flow records of 3 packets and 300 bytes by sampler.
fn sampled(samplers: &[u64]) -> Vec<u8> {
    let fields = [(4, 1), (48, 1), (2, 4), (1, 4)];
    let record = |&id| Value::new().uint(6, 1).uint(id, 1).uint(3, 4).uint(300, 4).encode();
    v9().template(256, &fields).data(256, &samplers.iter().map(record).collect::<Vec<_>>()).encode()
}

fn sampler_rate(id: u64, rate: u64) -> Vec<u8> {
    v9().options_template(300, &[(scope::SYSTEM, 4)], &[(48, 1), (50, 4), (84, 8)])
        .data(300, &[Value::new().uint(0, 4).uint(id, 1).uint(rate, 4).fixed_string("edge", 8).encode()])
        .encode()
}

#[track_caller]
fn check_counters(datagrams: &[Vec<u8>], args: &[&str], expected: &[(u64, u64)]) {
    let collected = collect(datagrams);
    let output = flowdump(collected.root(), &[&["-o", "ndjson"], args].concat());
    let counters = output.stdout.lines().map(|line| {
        let record: Json = serde_json::from_str(line).unwrap();
        (record["packets"].as_u64().unwrap(), record["bytes"].as_u64().unwrap())
    });
    assert_eq!(counters.collect::<Vec<_>>(), expected, "{args:?}");
}

#[test]
fn v9_20_counters_are_multiplied_when_they_are_asked_for() {
    let datagrams = [sampler_rate(1, 100), sampled(&[1, 2])];
    check_counters(&datagrams, &[], &[(300, 30_000), (3, 300)]);
    check_counters(&datagrams, &["bytes > 10000"], &[(300, 30_000)]);
    check_counters(&datagrams, &["--no-scale"], &[(3, 300), (3, 300)]);
    check_counters(&datagrams, &["--no-scale", "bytes > 10000"], &[]);
    check_counters(&datagrams, &["-s", "proto/bytes"], &[(303, 30_300)]);
}

#[test]
fn v9_20_a_rate_told_later_holds_for_what_came_before() {
    let datagrams = [sampled(&[1, 2]), sampler_rate(1, 100)];
    check_counters(&datagrams, &[], &[(300, 30_000), (3, 300)]);
    check_counters(&datagrams, &["bytes = 30000"], &[(300, 30_000)]);
    let collected = collect(&datagrams);
    // What is stored is what was sent.
    assert_eq!(collected.column("sampling_rate"), [Json::Null, Json::Null]);
    assert_eq!(collected.column("packets"), [3, 3]);
    let scaled = scaled_records(collected.root());
    assert_eq!((&scaled[0]["scaled_by"], &scaled[1]["scaled_by"]), (&json!(100), &Json::Null));
    assert_eq!(scaled[0]["sampler_name"], "edge");
}
