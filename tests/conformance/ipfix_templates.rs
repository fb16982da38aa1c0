//! IPFIX: what a template holds for over UDP, and how long.

use flow_tests::packet::Value;
use flow_tests::packet::ipfix::{Field, Message, VARIABLE};
use serde_json::json;

use crate::collect::{
    Collected, DOMAIN, EXPORT_SECS, check, check_flows, collect, collect_from, exporter, ipfix,
};

const PROTOCOL: [Field; 1] = [Field::iana(4, 1)];
const TOS: [Field; 1] = [Field::iana(5, 1)];

fn data(octet: u8) -> Vec<u8> {
    ipfix().data(256, &[vec![octet]]).encode()
}

fn template(fields: &[Field]) -> Vec<u8> {
    ipfix().template(256, fields).encode()
}

#[test]
fn ipx_08_ids_come_in_any_order() {
    let message = ipfix()
        .templates(&[(65_535, &PROTOCOL), (256, &TOS), (4_000, &PROTOCOL)])
        .data(256, &[vec![7]])
        .data(4_000, &[vec![17]])
        .data(65_535, &[vec![6]]);
    check(&[message.encode()], json!([{"src_tos": 7}, {"protocol": 17}, {"protocol": 6}]));
}

#[test]
fn ipx_08_a_low_id_may_be_options_and_a_high_one_flows() {
    let message = ipfix()
        .options_template(256, 1, &[Field::iana(149, 4), Field::iana(36, 2)])
        .template(999, &PROTOCOL)
        .data(256, &[vec![0, 0, 0, 7, 0, 60]])
        .data(999, &[vec![6]]);
    let collected = check(&[message.encode()], json!([{"protocol": 6}]));
    assert_eq!(collected.options.len(), 1);
}

#[test]
fn ipx_21_a_template_is_kept_while_the_session_lasts() {
    let session = exporter(1, 4_739);
    let mut datagrams = vec![(session, 0, template(&PROTOCOL))];
    datagrams.extend((0..200).map(|n| (session, n, data(6))));
    assert_eq!(collect_from(&datagrams).column("protocol"), vec![json!(6); 200]);
}

#[test]
fn ipx_21_until_its_id_is_used_again() {
    let messages = [template(&PROTOCOL), data(6), template(&TOS), data(7)];
    check(&messages, json!([{"protocol": 6, "src_tos": null}, {"protocol": null, "src_tos": 7}]));
}

#[test]
fn ipx_22_another_session_of_the_exporter_starts_without_templates() {
    let collected = collect_from(&[
        (exporter(1, 4_739), 0, template(&PROTOCOL)),
        (exporter(1, 50_000), 1, data(17)),
        (exporter(1, 4_739), 2, data(6)),
    ]);
    check_flows(&collected, &json!([{"protocol": 6}]));
}

#[test]
fn ipx_22_its_own_templates_count() {
    let collected = collect_from(&[
        (exporter(1, 4_739), 0, template(&PROTOCOL)),
        (exporter(1, 50_000), 1, template(&TOS)),
        (exporter(1, 50_000), 2, data(7)),
    ]);
    check_flows(&collected, &json!([{"protocol": null, "src_tos": 7}]));
}

#[test]
fn ipx_23_repeated_elements_keep_their_order() {
    let fields =
        [Field::iana(82, VARIABLE), Field::iana(4, 1), Field::iana(82, VARIABLE), Field::iana(82, 1)];
    let record = Value::new().variable(b"in").uint(6, 1).variable(b"out").octets(b"x").encode();
    let message = ipfix().template(256, &fields).data(256, &[record]);
    let other = json!({"82": "696e", "82#1": "6f7574", "82#2": "78"});
    check(&[message.encode()], json!([{"protocol": 6, "other": other}]));
}

#[test]
fn ipx_23_the_first_of_repeated_elements_fills_the_column() {
    let fields = [Field::iana(4, 1), Field::iana(4, 1), Field::enterprise(9, 4, 1)];
    let message = ipfix().template(256, &fields).data(256, &[vec![6, 17, 1]]);
    check(&[message.encode()], json!([{"protocol": 6, "other": {"4#1": "11", "9:4": "01"}}]));
}

#[test]
fn ipx_24_data_and_template_need_not_share_a_message() {
    check(&[template(&PROTOCOL), ipfix().encode(), data(6)], json!([{"protocol": 6}]));
}

#[test]
fn ipx_24_but_they_may() {
    check(&[ipfix().template(256, &PROTOCOL).data(256, &[vec![6]]).encode()], json!([{"protocol": 6}]));
}

#[test]
fn ipx_25_data_wait_for_their_template() {
    let early = Message::new(EXPORT_SECS - 60, 1, DOMAIN);
    let early = early.data(256, &[Value::new().uint(1_000_000, 4).encode()]).encode();
    // What its own message said of the time still holds.
    let expected = json!([{"flow_start": "2026-11-21T12:28:59.000Z"}]);
    check(&[early, template(&[Field::iana(158, 4)])], expected);
}

#[test]
fn ipx_25_waiting_data_are_bounded_by_octets_within_a_slot() {
    let data = ipfix().data(256, &[vec![0; 60_000]]).encode();
    let n = 2 * flow_common::limits::WAITING_BYTES_MAX / data.len();
    let collected = collect_from(&vec![(exporter(1, 4739), 0, data); n]);
    let waiting = collected.count("datagrams_waiting");
    assert!(
        waiting > 0 && waiting as usize * 60_000 <= flow_common::limits::WAITING_BYTES_MAX,
        "{waiting} of {n}"
    );
    assert_eq!(waiting + collected.n_rejected("template_missing"), n as u64);
}

#[test]
fn ipx_25_waiting_data_are_bounded_by_age() {
    let session = exporter(1, 4_739);
    let at = |template_secs| {
        collect_from(&[
            (session, 0, data(6)),
            (session, template_secs - 1, ipfix().encode()),
            (session, template_secs, template(&PROTOCOL)),
        ])
    };
    assert_eq!(at(600).flows.len(), 1);
    let late = at(3_000);
    assert_eq!((late.flows.len(), late.n_rejected("template_missing")), (0, 1));
}

#[test]
fn ipx_26_one_id_means_a_template_in_each_domain() {
    let of = |domain| Message::new(EXPORT_SECS, 1, domain);
    let messages = [
        of(1).template(256, &PROTOCOL).encode(),
        of(2).template(256, &TOS).encode(),
        of(1).data(256, &[vec![6]]).encode(),
        of(2).data(256, &[vec![7]]).encode(),
    ];
    check(&messages, json!([{"protocol": 6, "src_tos": null}, {"protocol": null, "src_tos": 7}]));
}

#[test]
fn ipx_26_a_redefinition_in_one_domain_leaves_the_others_alone() {
    let of = |domain| Message::new(EXPORT_SECS, 1, domain);
    let messages = [
        of(1).template(256, &PROTOCOL).encode(),
        of(2).template(256, &PROTOCOL).encode(),
        of(2).template(256, &TOS).encode(),
        of(1).data(256, &[vec![6]]).encode(),
    ];
    check(&messages, json!([{"protocol": 6, "observation_domain": 1}]));
}

/// Template 256 and a record, then `message`, then another record.
fn around(message: Message) -> Collected {
    collect(&[template(&PROTOCOL), data(6), message.encode(), data(17)])
}

#[test]
fn ipx_28_a_withdrawal_of_an_unknown_template_is_ignored() {
    let collected = around(ipfix().withdraw(999).withdraw_options(998));
    check_flows(&collected, &json!([{"protocol": 6}, {"protocol": 17}]));
    assert_eq!(collected.count("template_withdrawals_ignored_total"), 2);
    assert_eq!(collected.count("datagrams_decoded_total"), 4);
}

#[test]
fn ipx_28_templates_behind_it_are_still_learned() {
    let collected = around(ipfix().templates(&[(999, &[]), (256, &TOS)]));
    check_flows(&collected, &json!([{"protocol": 6}, {"src_tos": 17}]));
}

#[test]
fn ipx_29_no_fields_are_a_withdrawal_and_never_a_template() {
    let collected = around(ipfix().withdraw(300).withdraw(2).withdraw_options(3).withdraw_options(301));
    assert_eq!(collected.count("template_withdrawals_ignored_total"), 4);
    assert_eq!(collected.count("templates_learned_total"), 1);
}

#[test]
fn ipx_29_data_of_a_withdrawn_id_is_not_decoded_with_nothing() {
    let collected = collect(&[ipfix().withdraw(256).encode(), data(6), data(17)]);
    check_flows(&collected, &json!([]));
    assert_eq!(collected.count("datagrams_waiting"), 2);
}

#[test]
fn ipx_29_one_field_is_a_template() {
    check(&[template(&PROTOCOL), data(6)], json!([{"protocol": 6}]));
}

#[test]
fn ipx_32_withdrawals_over_udp_are_ignored() {
    for withdrawal in [ipfix().withdraw(256), ipfix().withdraw(2), ipfix().withdraw_options(3)] {
        check_flows(&around(withdrawal), &json!([{"protocol": 6}, {"protocol": 17}]));
    }
}

#[test]
fn ipx_32_a_definition_after_a_withdrawal_counts() {
    let collected = around(ipfix().templates(&[(256, &[]), (256, &TOS)]));
    check_flows(&collected, &json!([{"protocol": 6}, {"protocol": null, "src_tos": 17}]));
}

#[test]
fn ipx_34_a_template_sent_again_is_no_news() {
    let messages = [template(&PROTOCOL), data(6), template(&PROTOCOL), template(&PROTOCOL), data(17)];
    let collected = check(&messages, json!([{"protocol": 6}, {"protocol": 17}]));
    assert_eq!(collected.count("templates_learned_total"), 1);
}

#[test]
fn ipx_34_the_least_difference_is() {
    let wider = [Field::iana(4, 2)];
    let collected = collect(&[template(&PROTOCOL), template(&wider), template(&PROTOCOL)]);
    assert_eq!((collected.count("templates_learned_total"), collected.count("templates")), (3, 1));
}

#[test]
fn ipx_35_a_different_definition_replaces_the_old_one() {
    let messages = [template(&PROTOCOL), data(6), template(&TOS), data(7)];
    let collected = check(&messages, json!([{"protocol": 6}, {"protocol": null, "src_tos": 7}]));
    assert_eq!(collected.count("templates"), 1);
}

#[test]
fn ipx_35_flows_and_options_share_the_ids() {
    let options = [Field::iana(149, 4), Field::iana(36, 2)];
    let messages = [
        template(&PROTOCOL),
        ipfix().options_template(256, 1, &options).data(256, &[vec![0, 0, 0, 7, 0, 60]]).encode(),
        template(&PROTOCOL),
        data(6),
    ];
    let collected = check(&messages, json!([{"protocol": 6}]));
    assert_eq!((collected.options.len(), collected.count("templates")), (1, 1));
}

#[test]
fn ipx_36_a_template_is_known_by_session_domain_and_id() {
    let of =
        |domain| Message::new(EXPORT_SECS, 1, domain).templates(&[(256, &PROTOCOL), (257, &TOS)]).encode();
    let collected = collect_from(&[
        (exporter(1, 4_739), 0, of(1)),
        (exporter(1, 4_739), 0, of(2)),
        (exporter(1, 4_740), 0, of(1)),
        (exporter(2, 4_739), 0, of(1)),
    ]);
    assert_eq!(collected.count("templates"), 8);
}

#[test]
fn ipx_36_other_details_of_a_message_tell_no_templates_apart() {
    let of = |secs, sequence| Message::new(secs, sequence, DOMAIN).template(256, &PROTOCOL).encode();
    let collected = collect(&[of(EXPORT_SECS, 1), of(EXPORT_SECS + 9, 1), of(EXPORT_SECS, 2)]);
    assert_eq!((collected.count("templates"), collected.count("templates_learned_total")), (1, 1));
}
