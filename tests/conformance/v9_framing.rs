//! NetFlow v9: packets, FlowSets and padding.

use flow_tests::packet::Value;
use flow_tests::packet::v9::{Message, OPTIONS_TEMPLATE_SET, TEMPLATE_SET};
use serde_json::json;

use crate::collect::{check, check_rejected, collect, v4, v9};

const PROTOCOL: [(u16, u16); 1] = [(4, 1)];

/// A packet with template 256 of one octet, the protocol.
fn with_template() -> Message {
    v9().template(256, &PROTOCOL)
}

fn protocols(values: &[u8]) -> Vec<Vec<u8>> {
    values.iter().map(|&value| vec![value]).collect()
}

#[test]
fn v9_03_a_count_that_is_too_low_hides_no_record() {
    for count in [0, 1, 2] {
        let packet = with_template().data(256, &protocols(&[6, 17, 1])).with_count(count).encode();
        check(&[packet], json!([{"protocol": 6}, {"protocol": 17}, {"protocol": 1}]));
    }
}

#[test]
fn v9_03_a_count_that_is_too_high_invents_no_record() {
    let packet = with_template().data(256, &protocols(&[6])).with_count(u16::MAX).encode();
    check(&[packet], json!([{"protocol": 6}]));
}

#[test]
fn v9_05_the_id_of_a_flowset_selects_its_template() {
    let packet = v9()
        .templates(&[(256, &PROTOCOL), (257, &[(5, 1)])])
        .data(257, &protocols(&[9]))
        .data(256, &protocols(&[6]))
        .encode();
    check(&[packet], json!([{"protocol": null, "src_tos": 9}, {"protocol": 6, "src_tos": null}]));
}

#[test]
fn v9_05_an_id_without_template_borrows_none() {
    let packet = with_template().data(257, &protocols(&[6])).encode();
    let collected = check(&[packet], json!([]));
    assert_eq!(collected.count("datagrams_waiting"), 1);
}

#[test]
fn v9_11_templates_lie_in_any_number_of_flowsets() {
    let packet = with_template()
        .data(256, &protocols(&[6]))
        .template(257, &[(5, 1)])
        .templates(&[(258, &[(60, 1)]), (259, &[(61, 1)])])
        .data(258, &protocols(&[4]))
        .data(257, &protocols(&[9]))
        .encode();
    let collected = check(&[packet], json!([{"protocol": 6}, {"ip_version": 4}, {"src_tos": 9}]));
    assert_eq!(collected.count("templates"), 4);
}

#[test]
fn v9_11_a_packet_without_templates_is_sound() {
    let packets = [with_template().encode(), v9().data(256, &protocols(&[6])).encode(), v9().encode()];
    let collected = check(&packets, json!([{"protocol": 6}]));
    assert_eq!(collected.count("datagrams_decoded_total"), 3);
}

#[test]
fn v9_16_padding_of_data_is_no_record() {
    let fields = [(4, 1), (7, 2), (11, 2)];
    let records = [vec![6, 0, 80, 0, 81], vec![17, 0, 53, 0, 54]];
    let packet = v9().template(256, &fields).data(256, &records).encode();
    assert_eq!(packet.len() % 4, 0, "the builder pads");
    check(&[packet], json!([{"src_port": 80}, {"src_port": 53, "dst_port": 54}]));
}

#[test]
fn v9_16_padding_of_options_templates_is_no_template() {
    let packet = v9().options_template(257, &[(1, 4)], &[(34, 4), (35, 1)]).encode();
    assert_eq!(packet.len() % 4, 0, "the builder pads");
    let collected = collect(&[packet]);
    assert_eq!(collected.count("templates_learned_total"), 1);
    assert_eq!(collected.count("datagrams_decoded_total"), 1);
}

#[test]
fn v9_16_flowsets_without_padding_are_read_to_their_end() {
    let packet = with_template().data_unpadded(256, &protocols(&[6, 17, 1])).encode();
    check(&[packet], json!([{"protocol": 6}, {"protocol": 17}, {"protocol": 1}]));
}

/// A FlowSet with a length of its own.
fn with_length(id: u16, length: u16, body: &[u8]) -> Vec<u8> {
    let mut packet = v9().encode();
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(body);
    packet
}

#[test]
fn v9_18_reserved_flowsets_are_stepped_over() {
    let packet =
        with_template().raw_set(2, &[1; 8]).raw_set(255, &[1; 3]).data(256, &protocols(&[6])).encode();
    let collected = check(&[packet], json!([{"protocol": 6}]));
    assert_eq!(collected.count("sets_reserved_total"), 2);
}

#[test]
fn v9_18_flowset_lengths_that_cannot_be_reject_the_packet() {
    check_rejected("set_length", &[with_length(256, 3, &[1; 4]), with_length(256, 9, &[1; 4])]);
    check_rejected("set_length", &[with_length(255, 0, &[1; 4]), with_length(TEMPLATE_SET, 65_535, &[1; 4])]);
}

#[test]
fn v9_18_zeros_up_to_the_end_are_no_flowset() {
    let packet = [with_template().data(256, &protocols(&[6])).encode(), vec![0; 30]].concat();
    let collected = check(&[packet], json!([{"protocol": 6}]));
    assert_eq!(collected.count("sets_reserved_total"), 0);
}

#[test]
fn v9_19_a_forged_field_count_is_rejected() {
    let forged = |set, octets: &[u8]| v9().raw_set(set, octets).encode();
    check_rejected("template_fields", &[forged(TEMPLATE_SET, &[1, 0, 0xff, 0xff, 0, 8, 0, 4])]);
    let options = [1, 0, 0xff, 0xfc, 0xff, 0xfc, 0, 1, 0, 4];
    check_rejected("template_fields", &[forged(OPTIONS_TEMPLATE_SET, &options)]);
}

#[test]
fn v9_19_a_template_of_empty_records_is_refused_and_the_rest_is_read() {
    let packet = with_template().template(257, &[(8, 0)]).data(256, &protocols(&[6])).encode();
    let collected = check(&[packet], json!([{"protocol": 6}]));
    assert_eq!(collected.count("templates_refused_total{reason=\"template_empty\"}"), 1);
}

#[test]
fn v9_19_fields_of_no_octets_are_legal_but_not_any_number() {
    // Each octet of data would cost a step for each of them.
    let of = |n_empty| [vec![(4, 1)], vec![(82, 0); n_empty]].concat();
    let packet = |n_empty| v9().template(256, &of(n_empty)).data(256, &protocols(&[6])).encode();
    check(&[packet(7)], json!([{"protocol": 6}]));
    let collected = check(&[packet(8)], json!([]));
    assert_eq!(collected.count("templates_refused_total{reason=\"template_fields\"}"), 1);
}

/// Records of 24 octets; Cisco's NX-OS pads by 24 to 36.
fn padded_by_a_record(count: u16) -> Vec<u8> {
    let record = Value::new().ipv4(v4(1)).ipv4(v4(2)).uint(3, 4).uint(120, 4).uint(0, 8).encode();
    let records = [record, vec![0; 24]];
    let fields = [(8, 4), (12, 4), (2, 4), (1, 4), (34_000, 8)];
    v9().template(256, &fields).data_unpadded(256, &records).with_count(count).encode()
}

#[test]
fn v9_16_zeros_as_long_as_a_record_are_padding_where_the_header_has_no_such_record() {
    let collected = check(&[padded_by_a_record(2)], json!([{"src_addr": "192.0.2.1", "packets": 3}]));
    assert_eq!(collected.count("trailing_bytes_total"), 0);
}

#[test]
fn v9_16_a_record_of_zeros_the_header_speaks_of_is_one() {
    let expected = json!([{"src_addr": "192.0.2.1"}, {"src_addr": "0.0.0.0", "packets": 0}]);
    check(&[padded_by_a_record(3)], expected);
}

#[test]
fn v9_16_records_beyond_the_count_of_the_header_are_no_padding() {
    let packet =
        v9().template(256, &[(4, 1)]).data(256, &[vec![6], vec![17], vec![0], vec![1]]).with_count(1);
    check(&[packet.encode()], json!([{"protocol": 6}, {"protocol": 17}, {"protocol": 0}, {"protocol": 1}]));
}
