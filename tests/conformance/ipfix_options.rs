//! IPFIX: options templates, their scopes and their data.

use flow_tests::packet::Value;
use flow_tests::packet::ipfix::{Field, Message, OPTIONS_TEMPLATE_SET};
use serde_json::{Value as Json, json};

use crate::collect::{check, check_flows, check_options, check_rejected, collect, ipfix};

/// Options template 300 with one record; the rest of the message is `message`.
fn with_options(message: Message, n_scope: u16, fields: &[Field], record: Value) -> Vec<u8> {
    message.options_template(300, n_scope, fields).data(300, &[record.encode()]).encode()
}

#[track_caller]
fn check_scope(element: u16, octets: &[u8]) {
    let length = u16::try_from(octets.len()).unwrap();
    let fields = [Field::iana(element, length), Field::iana(36, 2)];
    let message = with_options(ipfix(), 1, &fields, Value::new().octets(octets).uint(60, 2));
    let mut hex = String::new();
    octets.iter().for_each(|octet| hex.push_str(&format!("{octet:02x}")));
    check_options(&collect(&[message]), &json!([{"other": {element.to_string(): hex, "36": "003c"}}]));
}

#[test]
fn ipx_09_every_scope_of_the_list_is_kept() {
    for element in [149, 144, 143, 141, 10] {
        check_scope(element, &[0, 0, 0, 9]);
    }
    check_scope(145, &[1, 0]);
    check_scope(130, &[192, 0, 2, 1]);
    check_scope(131, &[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn ipx_09_scopes_beyond_the_list_are_kept_too() {
    check_scope(302, &[0, 1]);
    check_scope(32_000, &[7]);
}

/// The rates of a flow of template 256 and one of 257, after a rate of 100 with these
/// scopes was told.
#[track_caller]
fn check_rate(scopes: &[(Field, u64)], expected: [Option<u64>; 2]) {
    let mut fields: Vec<_> = scopes.iter().map(|&(field, _)| field).collect();
    let n_scope = u16::try_from(fields.len()).unwrap();
    fields.push(Field::iana(34, 4));
    let record = scopes.iter().fold(Value::new(), |record, &(field, value)| match field.length {
        16 => record.uint(0, 8).uint(value, 8),
        0 => record,
        length => record.uint(value, usize::from(length)),
    });
    let options = with_options(ipfix(), n_scope, &fields, record.uint(100, 4));
    let flow = [Field::iana(4, 1), Field::iana(10, 4)];
    let flows = ipfix().templates(&[(256, &flow), (257, &flow)]);
    let flows = flows.data(256, &[vec![6, 0, 0, 0, 9]]).data(257, &[vec![6, 0, 0, 0, 9]]).encode();
    let collected = collect(&[options, flows]);
    assert_eq!(collected.column("sampling_rate"), expected.map(|rate| json!(rate)), "{scopes:?}");
}

#[test]
fn ipx_09_a_rate_of_exporter_process_or_domain_is_that_of_all() {
    for (element, length) in [(149, 4), (144, 4), (143, 4), (130, 4), (131, 16)] {
        check_rate(&[(Field::iana(element, length), 7)], [Some(100); 2]);
    }
    check_rate(&[(Field::iana(149, 4), 7), (Field::iana(144, 4), 1)], [Some(100); 2]);
    check_rate(&[(Field::iana(36, 0), 0)], [Some(100); 2]);
}

#[test]
fn ipx_09_a_rate_of_a_template_is_that_of_its_records() {
    check_rate(&[(Field::iana(145, 2), 257)], [None, Some(100)]);
    check_rate(&[(Field::iana(149, 4), 7), (Field::iana(145, 2), 256)], [Some(100), None]);
}

#[test]
fn ipx_09_a_rate_of_a_part_no_record_names_is_that_of_none() {
    for element in [141, 14, 138, 148, 32_000] {
        check_rate(&[(Field::iana(element, 4), 9)], [None; 2]);
    }
    check_rate(&[(Field::iana(10, 4), 9), (Field::iana(141, 4), 1)], [None; 2]);
    check_rate(&[(Field::enterprise(9, 1, 4), 9)], [None; 2]);
}

#[test]
fn ipx_10_options_without_scope_are_malformed() {
    let fields = [Field::iana(149, 4), Field::iana(36, 2)];
    check_rejected("template_scope", &[ipfix().options_template(300, 0, &fields).encode()]);
}

#[test]
fn ipx_10_as_are_more_scopes_than_fields() {
    let fields = [Field::iana(149, 4), Field::iana(36, 2)];
    check_rejected("template_scope", &[ipfix().options_template(300, 3, &fields).encode()]);
}

#[test]
fn ipx_10_all_fields_may_be_scope() {
    let fields = [Field::iana(149, 4), Field::iana(10, 4)];
    let message = with_options(ipfix(), 2, &fields, Value::new().uint(7, 4).uint(5, 4));
    check_options(&collect(&[message]), &json!([{"other": {"149": "00000007", "10": "00000005"}}]));
}

/// Reliability statistics of a metering process, in all their octets.
fn reliability() -> (Vec<u8>, Json) {
    let fields = [Field::iana(149, 4), Field::iana(143, 4), Field::iana(164, 8), Field::iana(165, 4)];
    let record = Value::new().uint(7, 4).uint(1, 4).uint(1_000_000, 8).uint(9, 4);
    let other = json!({"149": "00000007", "143": "00000001", "164": "00000000000f4240", "165": "00000009"});
    (with_options(ipfix(), 2, &fields, record), other)
}

#[test]
fn ipx_12_reliability_statistics_are_kept_whole() {
    let (message, other) = reliability();
    check_options(&collect(&[message]), &json!([{"other": other}]));
}

#[test]
fn ipx_12_reliability_statistics_are_no_flows() {
    let collected = check(&[reliability().0], json!([]));
    assert_eq!(collected.count("options_records_visible_total"), 1);
}

#[test]
fn ipx_13_flow_keys_are_kept() {
    let fields = [Field::iana(145, 2), Field::iana(173, 8)];
    let message = with_options(ipfix(), 1, &fields, Value::new().uint(256, 2).uint(0b11, 8));
    check_options(&collect(&[message]), &json!([{"other": {"145": "0100", "173": "0000000000000003"}}]));
}

#[test]
fn ipx_13_flow_keys_change_no_flow() {
    let fields = [Field::iana(145, 2), Field::iana(173, 8)];
    let keys = with_options(ipfix(), 1, &fields, Value::new().uint(256, 2).uint(0b10, 8));
    let template = ipfix().template(256, &[Field::iana(4, 1), Field::iana(7, 2)]).encode();
    let flow = ipfix().data(256, &[vec![6, 0, 80]]).encode();
    let (with, without) = (collect(&[template.clone(), keys, flow.clone()]), collect(&[template, flow]));
    check_flows(&with, &json!([{"protocol": 6, "src_port": 80}]));
    assert_eq!(with.column("other"), without.column("other"));
}

#[test]
fn ipx_56_an_options_template_cut_off_is_malformed() {
    check_rejected("truncated", &[ipfix().raw_set(OPTIONS_TEMPLATE_SET, &[1, 44, 0, 2, 0]).encode()]);
}
