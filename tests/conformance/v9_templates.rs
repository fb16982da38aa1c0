//! NetFlow v9: what a template holds for, and how long.

use flow_tests::packet::v9::{Message, OPTIONS_TEMPLATE_SET, scope};
use flow_tests::packet::{Value, v9::TEMPLATE_SET};
use serde_json::json;

use crate::collect::{
    DOMAIN, EXPORT_SECS, UPTIME_MS, check, check_flows, check_options, check_rejected, collect, collect_from,
    exporter, v9,
};

const PROTOCOL: [(u16, u16); 1] = [(4, 1)];
const TOS: [(u16, u16); 1] = [(5, 1)];

/// A packet of another source id.
fn of(source_id: u32) -> Message {
    Message::new(UPTIME_MS, EXPORT_SECS, 1, source_id)
}

fn data(message: Message, octet: u8) -> Vec<u8> {
    message.data(256, &[vec![octet]]).encode()
}

#[test]
fn v9_02_source_ids_are_streams_of_their_own() {
    let packets = [of(1).template(256, &PROTOCOL).encode(), data(of(2), 6), data(of(1), 17)];
    let collected = check(&packets, json!([{"protocol": 17, "observation_domain": 1}]));
    assert_eq!(collected.count("datagrams_waiting"), 1);
}

#[test]
fn v9_02_addresses_are_streams_of_their_own() {
    let collected = collect_from(&[
        (exporter(1, 9995), 0, v9().template(256, &PROTOCOL).encode()),
        (exporter(2, 9995), 0, data(v9(), 6)),
        (exporter(1, 9995), 0, data(v9(), 17)),
    ]);
    check_flows(&collected, &json!([{"protocol": 17, "exporter_addr": "192.0.2.1"}]));
}

#[test]
fn v9_04_one_id_means_a_template_in_each_source_id() {
    let packets = [
        of(1).template(256, &PROTOCOL).encode(),
        of(2).template(256, &TOS).encode(),
        data(of(1), 6),
        data(of(2), 7),
    ];
    check(&packets, json!([{"protocol": 6, "src_tos": null}, {"protocol": null, "src_tos": 7}]));
}

#[test]
fn v9_04_one_id_means_a_template_of_each_exporter() {
    let (a, b) = (exporter(1, 9995), exporter(2, 9995));
    let collected = collect_from(&[
        (a, 0, v9().template(256, &PROTOCOL).encode()),
        (b, 0, v9().template(256, &TOS).encode()),
        (a, 1, data(v9(), 6)),
        (b, 1, data(v9(), 7)),
    ]);
    check_flows(&collected, &json!([{"protocol": 6, "src_tos": null}, {"protocol": null, "src_tos": 7}]));
}

#[test]
fn v9_06_options_data_follow_their_options_template() {
    let scopes = [(scope::INTERFACE, 4), (scope::LINE_CARD, 2)];
    let record = Value::new().uint(5, 4).uint(3, 2).fixed_string("ge-0/0/1", 8).encode();
    let packet = v9().options_template(300, &scopes, &[(82, 8)]).data(300, &[record]).encode();
    let collected = check(&[packet], json!([]));
    let other = json!({"10": "00000005", "141": "0003", "82": "67652d302f302f31"});
    check_options(&collected, &json!([{"other": other, "export_version": 9}]));
}

#[test]
fn v9_06_an_options_template_longer_than_its_flowset_is_rejected() {
    let scope_alone = [1, 44, 0, 8, 0, 4, 0, 1, 0, 4];
    check_rejected("truncated", &[v9().raw_set(OPTIONS_TEMPLATE_SET, &scope_alone).encode()]);
}

#[test]
fn v9_06_a_template_beside_it_makes_flows() {
    let packet = v9()
        .options_template(300, &[(scope::SYSTEM, 4)], &[(36, 2)])
        .template(256, &PROTOCOL)
        .data(300, &[vec![0, 0, 0, 0, 0, 60]])
        .data(256, &[vec![6]])
        .encode();
    let collected = check(&[packet], json!([{"protocol": 6}]));
    check_options(&collected, &json!([{"other": {"144": "00000000", "36": "003c"}}]));
}

#[test]
fn v9_07_templates_are_kept_for_later_packets() {
    let packets = [v9().template(256, &PROTOCOL).encode(), data(v9(), 6), v9().encode(), data(v9(), 17)];
    check(&packets, json!([{"protocol": 6}, {"protocol": 17}]));
}

#[test]
fn v9_07_a_template_that_never_came_is_not_made_up() {
    let packets = [v9().template(257, &PROTOCOL).encode(), data(v9(), 6)];
    let collected = check(&packets, json!([]));
    assert_eq!(collected.count("records_decoded_total"), 0);
}

#[test]
fn v9_08_a_new_definition_replaces_the_old_one() {
    let packets = [
        v9().template(256, &PROTOCOL).encode(),
        data(v9(), 6),
        v9().template(256, &TOS).encode(),
        data(v9(), 7),
    ];
    let collected = check(&packets, json!([{"protocol": 6}, {"protocol": null, "src_tos": 7}]));
    assert_eq!(collected.count("templates"), 1);
}

#[test]
fn v9_08_a_new_definition_leaves_other_ids_alone() {
    let packets = [
        v9().templates(&[(256, &PROTOCOL), (257, &PROTOCOL)]).encode(),
        v9().template(257, &TOS).encode(),
        data(v9(), 6),
    ];
    check(&packets, json!([{"protocol": 6, "src_tos": null}]));
}

#[test]
fn v9_09_data_before_their_template_are_decoded_when_it_comes() {
    let packets = [data(v9(), 6), data(v9(), 17), v9().template(256, &PROTOCOL).encode()];
    let collected = check(&packets, json!([{"protocol": 6}, {"protocol": 17}]));
    assert_eq!(collected.count("datagrams_decoded_total"), 3);
}

#[test]
fn v9_09_data_do_not_wait_for_ever() {
    let collected = collect_from(&[
        (exporter(1, 9995), 0, data(v9(), 6)),
        (exporter(1, 9995), 1_400, v9().encode()),
        (exporter(1, 9995), 1_401, v9().template(256, &PROTOCOL).encode()),
    ]);
    check_flows(&collected, &json!([]));
    assert_eq!(collected.n_rejected("template_missing"), 1);
}

#[test]
fn v9_10_template_and_data_share_no_packet() {
    let packets = [v9().template(256, &PROTOCOL).encode(), data(v9(), 6)];
    check(&packets, json!([{"protocol": 6}]));
}

#[test]
fn v9_10_template_and_data_share_a_packet() {
    check(&[data(v9().template(256, &PROTOCOL), 6)], json!([{"protocol": 6}]));
}

#[test]
fn v9_13_a_template_is_known_by_exporter_source_id_and_id() {
    let (a, b) = (exporter(1, 9995), exporter(2, 9995));
    let both: &[(u16, &[(u16, u16)])] = &[(256, &PROTOCOL), (257, &PROTOCOL)];
    let collected = collect_from(&[
        (a, 0, of(1).templates(both).encode()),
        (a, 0, of(2).templates(both).encode()),
        (b, 0, of(1).templates(both).encode()),
    ]);
    assert_eq!(collected.count("templates"), 6);
}

#[test]
fn v9_13_a_definition_received_again_is_the_same_template() {
    let packets = [1, 2, 3].map(|_| of(1).template(256, &PROTOCOL).encode());
    let collected = collect(&packets);
    assert_eq!((collected.count("templates"), collected.count("templates_learned_total")), (1, 1));
}

#[test]
fn v9_15_a_template_sent_after_a_restart_counts_at_once() {
    let restarted = Message::new(50, EXPORT_SECS + 60, 0, DOMAIN);
    let packets = [
        Message::new(UPTIME_MS, EXPORT_SECS, 99_999, DOMAIN).template(256, &PROTOCOL).encode(),
        data(v9(), 6),
        data(restarted.template(256, &TOS), 7),
    ];
    check(&packets, json!([{"protocol": 6}, {"protocol": null, "src_tos": 7}]));
}

#[test]
fn v9_15_data_before_the_template_in_one_packet_are_of_the_old_one() {
    let packets = [
        v9().template(256, &PROTOCOL).encode(),
        v9().data(256, &[vec![6]]).template(256, &TOS).data(256, &[vec![7]]).encode(),
    ];
    check(&packets, json!([{"protocol": 6, "src_tos": null}, {"protocol": null, "src_tos": 7}]));
}

#[test]
fn v9_15_a_broken_template_overrides_nothing() {
    let truncated = [1, 0, 0, 2, 0, 5, 0, 1];
    let packets = [
        v9().template(256, &PROTOCOL).encode(),
        v9().raw_set(TEMPLATE_SET, &truncated).encode(),
        data(v9(), 6),
    ];
    let collected = check(&packets, json!([{"protocol": 6}]));
    assert_eq!(collected.n_rejected("truncated"), 1);
}
