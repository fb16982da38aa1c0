//! IPFIX: messages, sets, padding and lengths.

use flow_tests::packet::Value;
use flow_tests::packet::ipfix::{Field, Message, OPTIONS_TEMPLATE_SET, TEMPLATE_SET, VARIABLE};
use serde_json::json;

use crate::collect::{
    EXPORT_SECS, check, check_flows, check_rejected, collect, collect_from, exporter, ipfix,
};

const PROTOCOL: [Field; 1] = [Field::iana(4, 1)];
const PORTS: [Field; 2] = [Field::iana(7, 2), Field::iana(11, 2)];

/// A message with template 256 of one octet, the protocol.
fn with_template() -> Message {
    ipfix().template(256, &PROTOCOL)
}

fn one_flow() -> Vec<u8> {
    with_template().data(256, &[vec![6]]).encode()
}

#[test]
fn ipx_01_octets_behind_the_message_are_counted() {
    let collected = check(&[[one_flow(), vec![9; 5]].concat()], json!([{"protocol": 6}]));
    assert_eq!(collected.count("trailing_bytes_total"), 5);
}

#[test]
fn ipx_01_a_length_that_is_not_the_datagrams_is_rejected() {
    let length = u16::try_from(one_flow().len()).unwrap();
    let of_length = |length| with_template().data(256, &[vec![6]]).with_length(length).encode();
    check_rejected("message_length", &[of_length(length + 1), of_length(15), of_length(0)]);
}

#[test]
fn ipx_01_other_versions_are_unsupported() {
    check_rejected("unsupported_version", &[[&[0, 11], &one_flow()[2..]].concat()]);
    assert_eq!(collect(&[vec![0]]).n_rejected("truncated"), 1);
}

#[test]
fn ipx_02_domains_and_sessions_are_streams_of_their_own() {
    let of = |domain| Message::new(EXPORT_SECS, 1, domain);
    let collected = collect_from(&[
        (exporter(1, 4_739), 0, of(1).template(256, &PROTOCOL).encode()),
        (exporter(1, 4_739), 0, of(2).data(256, &[vec![2]]).encode()),
        (exporter(1, 4_740), 0, of(1).data(256, &[vec![3]]).encode()),
        (exporter(2, 4_739), 0, of(1).data(256, &[vec![4]]).encode()),
    ]);
    check_flows(&collected, &json!([]));
    assert_eq!(collected.count("datagrams_waiting"), 3);
}

#[test]
fn ipx_02_one_stream_is_one_whatever_else_arrives() {
    let of = |domain| Message::new(EXPORT_SECS, 1, domain);
    let collected = collect_from(&[
        (exporter(1, 4_739), 0, of(1).template(256, &PROTOCOL).encode()),
        (exporter(1, 4_739), 0, of(2).template(256, &PORTS).encode()),
        (exporter(1, 4_739), 9, of(1).data(256, &[vec![6]]).encode()),
    ]);
    check_flows(&collected, &json!([{"protocol": 6, "observation_domain": 1}]));
}

#[test]
fn ipx_04_the_enterprise_bit_announces_a_number() {
    let fields = [Field::enterprise(6_876, 4, 1), Field::iana(4, 1)];
    let message = ipfix().template(256, &fields).data(256, &[vec![9, 6]]);
    check(&[message.encode()], json!([{"protocol": 6, "other": {"6876:4": "09"}}]));
}

#[test]
fn ipx_04_without_the_bit_the_next_field_follows() {
    let message = ipfix().template(256, &PORTS).data(256, &[vec![0, 1, 0, 2]]);
    check(&[message.encode()], json!([{"src_port": 1, "dst_port": 2, "other": null}]));
}

#[test]
fn ipx_04_an_enterprise_number_that_is_missing_is_malformed() {
    check_rejected("truncated", &[ipfix().raw_set(TEMPLATE_SET, &[1, 0, 0, 1, 0x80, 4, 0, 1]).encode()]);
}

#[test]
fn ipx_05_padding_is_shorter_than_any_record() {
    let records = [vec![0, 1, 0, 2], vec![0, 3, 0, 4]].concat();
    for n_padding in 0..4 {
        let set = [records.as_slice(), &vec![0; n_padding]].concat();
        let message = ipfix().template(256, &PORTS).raw_set(256, &set);
        check(&[message.encode()], json!([{"src_port": 1}, {"src_port": 3}]));
    }
}

#[test]
fn ipx_05_padding_need_not_be_zero() {
    let template = [1, 0, 0, 1, 0, 7, 0, 2, 0xee, 0xee, 0xee];
    let message = ipfix().raw_set(TEMPLATE_SET, &template).raw_set(256, &[0, 80, 0xee]);
    let collected = check(&[message.encode()], json!([{"src_port": 80}]));
    assert_eq!(collected.count("datagrams_decoded_total"), 1);
}

#[test]
fn ipx_06_the_length_of_a_set_finds_the_next() {
    // 7 octets hold one record of 4; the next set is where the length says.
    let message = ipfix()
        .templates(&[(256, &PORTS), (257, &PROTOCOL)])
        .raw_set(256, &[0, 1, 0, 2, 1, 1, 0])
        .raw_set(300, &[1, 1, 0, 5, 6])
        .raw_set(257, &[6]);
    check(&[message.encode()], json!([{"src_port": 1}, {"protocol": 6}]));
}

#[test]
fn ipx_06_a_length_beyond_the_message_is_malformed() {
    let mut message = with_template().encode();
    message.extend_from_slice(&[1, 0, 0, 6, 6]);
    let length = u16::try_from(message.len()).unwrap();
    message[2..4].copy_from_slice(&length.to_be_bytes());
    check_rejected("set_length", &[message]);
}

#[test]
fn ipx_07_reserved_sets_are_stepped_over_and_counted() {
    let mut message = with_template();
    for id in [0, 1, 4, 255] {
        message = message.raw_set(id, &[1, 2, 3, 4, 5]);
    }
    let collected = check(&[message.data(256, &[vec![6]]).encode()], json!([{"protocol": 6}]));
    assert_eq!(collected.count("sets_reserved_total"), 4);
}

#[test]
fn ipx_07_the_ids_around_them_are_not_reserved() {
    let message = ipfix()
        .template(256, &PROTOCOL)
        .options_template(257, 1, &[Field::iana(149, 4), Field::iana(36, 2)])
        .data(256, &[vec![6]]);
    let collected = check(&[message.encode()], json!([{"protocol": 6}]));
    assert_eq!((collected.count("sets_reserved_total"), collected.count("templates")), (0, 2));
}

#[test]
fn ipx_20_both_length_forms_mean_the_same() {
    let fields = [Field::iana(371, VARIABLE), Field::iana(4, 1)];
    let text = "u".repeat(300);
    let records = [
        Value::new().variable(b"ann").uint(1, 1),
        Value::new().variable_long(b"ann").uint(2, 1),
        Value::new().variable(b"").uint(3, 1),
        Value::new().variable_long(b"").uint(4, 1),
        Value::new().variable(text.as_bytes()).uint(5, 1),
    ];
    let message = ipfix().template(256, &fields).data(256, &records.map(Vec::from));
    let names = check(&[message.encode()], json!([{}, {}, {}, {}, {"protocol": 5}])).column("username");
    assert_eq!(names, [json!("ann"), json!("ann"), json!(""), json!(""), json!(text)]);
}

#[test]
fn ipx_20_values_of_254_and_255_octets_meet_at_the_border() {
    let fields = [Field::iana(371, VARIABLE), Field::iana(4, 1)];
    for length in [254, 255, 256] {
        let text = "x".repeat(length);
        let record = Value::new().variable(text.as_bytes()).uint(6, 1).encode();
        let message = ipfix().template(256, &fields).data(256, &[record]);
        check(&[message.encode()], json!([{"username": text, "protocol": 6}]));
    }
}

#[test]
fn ipx_20_a_value_ends_with_its_set() {
    let fields = [Field::iana(4, 1), Field::iana(371, VARIABLE)];
    let message = |record: &[u8]| ipfix().template(256, &fields).raw_set(256, record);
    let followed = |record| message(record).data(256, &[vec![6, 1, b'x']]).encode();
    check_rejected(
        "variable_length",
        &[followed(&[6, 5, b'a']), followed(&[6, 255, 0]), followed(&[6, 255, 0, 2, 1])],
    );
}

#[test]
fn ipx_39_padding_octets_of_a_record_are_no_value() {
    let fields = [Field::iana(4, 1), Field::iana(210, 3), Field::iana(7, 2)];
    let message = ipfix().template(256, &fields).data(256, &[vec![6, 1, 2, 3, 0, 80]]);
    check(&[message.encode()], json!([{"protocol": 6, "src_port": 80, "other": null}]));
}

#[test]
fn ipx_39_padding_of_template_sets_is_no_template() {
    for n_padding in 0..4 {
        let body = [&[1, 0, 0, 1, 0, 4, 0, 1], &vec![0; n_padding][..]].concat();
        let message = ipfix().raw_set(TEMPLATE_SET, &body).data(256, &[vec![6]]);
        let collected = check(&[message.encode()], json!([{"protocol": 6}]));
        assert_eq!(collected.count("template_withdrawals_ignored_total"), 0, "{n_padding} octets of padding");
    }
}

#[test]
fn ipx_39_data_fill_a_set_without_padding() {
    let message = with_template().data(256, &[vec![6], vec![17], vec![1]]);
    check(&[message.encode()], json!([{"protocol": 6}, {"protocol": 17}, {"protocol": 1}]));
}

#[test]
fn ipx_41_a_malformed_message_leaves_no_record() {
    let fields = [Field::iana(4, 1), Field::iana(82, VARIABLE)];
    let message = ipfix()
        .templates(&[(256, &fields), (257, &PROTOCOL)])
        .data(257, &[vec![6]])
        .data(256, &[vec![6, 2, b'o', b'k'], vec![6, 200, b'x']]);
    check_rejected("variable_length", &[message.encode()]);
}

#[test]
fn ipx_41_a_bad_set_length_takes_back_what_came_before() {
    let sound = one_flow();
    let mut broken = with_template().data(256, &[vec![17]]).raw_set(256, &[1, 1, 1]).encode();
    let at = broken.len() - 5;
    broken[at..at + 2].copy_from_slice(&3_u16.to_be_bytes());
    let collected = check(&[sound, broken], json!([{"protocol": 6}]));
    assert_eq!(collected.n_rejected("set_length"), 1);
}

#[test]
fn ipx_44_data_without_template_are_not_malformed() {
    let collected = check(&[ipfix().data(256, &[vec![6]]).encode()], json!([]));
    let rejected = ["truncated", "set_length", "message_length", "template_missing"];
    assert_eq!(rejected.map(|reason| collected.n_rejected(reason)), [0; 4]);
    assert_eq!(collected.count("datagrams_waiting"), 1);
}

#[test]
fn ipx_44_sets_beside_them_are_decoded() {
    let message = with_template().data(300, &[vec![1]]).data(256, &[vec![6]]);
    check(&[message.encode()], json!([{"protocol": 6}]));
}

#[test]
fn ipx_56_lengths_that_contradict_each_other_are_malformed() {
    check_rejected("truncated", &[ipfix().raw_set(TEMPLATE_SET, &[1, 0, 0, 2, 0, 4, 0, 1]).encode()]);
    let options = [1, 0, 0, 2, 0, 1, 0, 149, 0, 4];
    check_rejected("truncated", &[ipfix().raw_set(OPTIONS_TEMPLATE_SET, &options).encode()]);
    check_rejected("template_id", &[ipfix().template(255, &PROTOCOL).encode()]);
}

#[test]
fn ipx_56_lengths_that_agree_are_not() {
    let message =
        with_template().data(256, &[]).raw_set(257, &[]).template(257, &PORTS).data(256, &[vec![6]]);
    check(&[message.encode()], json!([{"protocol": 6}]));
}
