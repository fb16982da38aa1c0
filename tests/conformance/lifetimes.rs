//! How long what a collector remembers of exporters holds, and who may be one.

use std::net::SocketAddr;

use flow_collector::{Config, Lifetimes};
use flow_tests::packet::ipfix::{self, Field, VARIABLE};
use flow_tests::packet::v9;
use serde_json::json;

use crate::collect::{
    Collected, DOMAIN, EXPORT_SECS, UPTIME_MS, check, check_flows, collect_from, collect_from_with, exporter,
};

const V9_FIELDS: [(u16, u16); 1] = [(4, 1)];
const IPFIX_FIELDS: [Field; 1] = [Field::iana(4, 1)];

/// A v9 packet of an exporter up for `uptime_secs` at `secs`.
fn v9_at(secs: u32, uptime_secs: u32, sequence: u32) -> v9::Message {
    v9::Message::new(UPTIME_MS + uptime_secs * 1_000, EXPORT_SECS + secs, sequence, DOMAIN)
}

fn ipfix_at(secs: u32) -> ipfix::Message {
    ipfix::Message::new(EXPORT_SECS + secs, 1, DOMAIN)
}

/// Messages of one exporter, each with the seconds at which it is sent and arrives.
fn collect_at(messages: Vec<(u32, Vec<u8>)>, lifetimes: Lifetimes) -> Collected {
    let source = exporter(1, 4_739);
    let datagrams: Vec<(SocketAddr, i64, Vec<u8>)> =
        messages.into_iter().map(|(secs, payload)| (source, i64::from(secs), payload)).collect();
    collect_from_with(&datagrams, Config { lifetimes, ..Config::default() })
}

/// What the flows' protocols are, and how many data sets found their template expired.
#[track_caller]
fn check_protocols(collected: &Collected, protocols: &[u8], n_expired: u64) {
    assert_eq!(collected.column("protocol"), protocols);
    assert_eq!(collected.count("sets_template_expired_total"), n_expired);
}

/// A template that comes every 600 s, three times, then data at each of `data_secs`.
fn refreshed_v9(data_secs: &[u32]) -> Vec<(u32, Vec<u8>)> {
    let template = |secs| (secs, v9_at(secs, secs, secs).template(256, &V9_FIELDS).encode());
    let data = |&secs: &u32| (secs, v9_at(secs, secs, secs).data(256, &[vec![6]]).encode());
    [0, 600, 1_200].map(template).into_iter().chain(data_secs.iter().map(data)).collect()
}

#[test]
fn v9_12_data_wait_when_their_template_has_expired() {
    let mut messages = refreshed_v9(&[1_201, 1_202, 1_203, 1_204, 3_001]);
    let collected = collect_at(messages.clone(), Lifetimes::default());
    check_protocols(&collected, &[6, 6, 6, 6], 1);
    assert_eq!(collected.count("datagrams_waiting"), 1);
    // They are decoded when it comes again.
    messages.push((3_002, v9_at(3_002, 3_002, 3_002).template(256, &V9_FIELDS).encode()));
    check_protocols(&collect_at(messages, Lifetimes::default()), &[6, 6, 6, 6, 6], 1);
}

#[test]
fn v9_12_a_template_that_comes_again_in_time_does_not_expire() {
    check_protocols(&collect_at(refreshed_v9(&[1_201, 3_000]), Lifetimes::default()), &[6, 6], 0);
}

#[test]
fn v9_13_when_a_template_came_last_is_kept() {
    // The lifetime counts from the last receipt, also of one definition received again.
    let lifetimes = Lifetimes { template_secs: Some(1_000), ..Lifetimes::default() };
    check_protocols(&collect_at(refreshed_v9(&[2_200]), lifetimes), &[6], 0);
    check_protocols(&collect_at(refreshed_v9(&[2_201]), lifetimes), &[], 1);
}

#[test]
fn v9_14_templates_from_before_a_restart_decode_nothing() {
    let messages = vec![
        (0, v9_at(0, 50_000, 9_000).template(256, &V9_FIELDS).encode()),
        (60, v9_at(60, 5, 1).data(256, &[vec![17]]).encode()),
        (61, v9_at(61, 6, 2).template(256, &[(5, 1)]).encode()),
    ];
    let collected = collect_at(messages, Lifetimes::default());
    check_flows(&collected, &json!([{"protocol": null, "src_tos": 17}]));
}

#[test]
fn v9_14_numbers_that_begin_anew_or_an_uptime_that_wraps_are_no_restart() {
    let messages = vec![
        (0, v9_at(0, 50_000, 9_000).template(256, &V9_FIELDS).encode()),
        (60, v9_at(60, 50_060, 1).data(256, &[vec![6]]).encode()),
        (61, v9_at(61, 5, 9_002).data(256, &[vec![17]]).encode()),
    ];
    check_protocols(&collect_at(messages, Lifetimes::default()), &[6, 17], 0);
}

#[test]
fn v9_02_data_may_come_from_another_port() {
    let collected = collect_from(&[
        (exporter(1, 9995), 0, v9_at(0, 0, 1).template(256, &V9_FIELDS).encode()),
        (exporter(1, 9996), 1, v9_at(1, 1, 2).data(256, &[vec![6]]).encode()),
        (exporter(2, 9995), 1, v9_at(1, 1, 2).data(256, &[vec![17]]).encode()),
    ]);
    check_protocols(&collected, &[6], 0);
}

#[test]
fn v9_19_only_those_allowed_are_listened_to() {
    let of = |last, octet| {
        let message = v9_at(0, 0, 1).template(256, &V9_FIELDS).data(256, &[vec![octet]]);
        (exporter(last, 9995), 0, message.encode())
    };
    let allow = ["192.0.2.0/31", "192.0.2.7/32"].map(|prefix| prefix.parse().unwrap()).to_vec();
    let config = Config { allow, ..Config::default() };
    let collected = collect_from_with(&[of(1, 6), of(2, 17), of(7, 1)], config);
    check_protocols(&collected, &[6, 1], 0);
    assert_eq!(collected.n_rejected("not_allowed"), 1);
}

#[test]
fn ipx_33_templates_expire_after_a_time_that_can_be_set() {
    let messages = || {
        vec![
            (0, ipfix_at(0).template(256, &IPFIX_FIELDS).encode()),
            (60, ipfix_at(60).data(256, &[vec![6]]).encode()),
            (61, ipfix_at(61).data(256, &[vec![17]]).encode()),
        ]
    };
    let lifetimes = Lifetimes { template_secs: Some(60), ..Lifetimes::default() };
    check_protocols(&collect_at(messages(), lifetimes), &[6], 1);
    check_protocols(&collect_at(messages(), Lifetimes::default()), &[6, 17], 0);
}

#[test]
fn ipx_33_the_time_follows_the_refresh() {
    let template = |secs| (secs, ipfix_at(secs).template(256, &IPFIX_FIELDS).encode());
    let data = |secs| (secs, ipfix_at(secs).data(256, &[vec![6]]).encode());
    let messages = |interval: u32, late: u32| {
        let last = 2 * interval;
        [0, interval, last].map(template).into_iter().chain([1, 2, 3, late].map(|n| data(last + n))).collect()
    };
    check_protocols(&collect_at(messages(1_000, 3_001), Lifetimes::default()), &[6; 3], 1);
    check_protocols(&collect_at(messages(1_000, 2_999), Lifetimes::default()), &[6; 4], 0);
    // Refreshed more often, it holds for half an hour all the same.
    check_protocols(&collect_at(messages(20, 1_799), Lifetimes::default()), &[6; 4], 0);
}

#[test]
fn ipx_33_exporters_that_refresh_by_messages_may_be_silent() {
    // Every second message, however long that takes.
    let messages = [0, 10, 20, 9_000].map(|secs| {
        let (template, data) = (ipfix_at(secs).template(256, &IPFIX_FIELDS), ipfix_at(secs));
        [(secs, template.encode()), (secs, data.data(256, &[vec![6]]).encode())]
    });
    let mut messages = messages.concat();
    messages.remove(6);
    check_protocols(&collect_at(messages, Lifetimes::default()), &[6; 4], 0);
}

#[test]
fn ipx_36_when_a_template_came_last_is_known() {
    let template = |secs| (secs, ipfix_at(secs).template(256, &IPFIX_FIELDS).encode());
    let messages =
        |secs| vec![template(0), template(50), (secs, ipfix_at(secs).data(256, &[vec![6]]).encode())];
    let lifetimes = Lifetimes { template_secs: Some(60), ..Lifetimes::default() };
    check_protocols(&collect_at(messages(110), lifetimes), &[6], 0);
    check_protocols(&collect_at(messages(111), lifetimes), &[], 1);
}

#[test]
fn ipx_41_templates_of_a_malformed_message_count_for_nothing() {
    let fields = [Field::iana(82, VARIABLE)];
    let broken =
        ipfix_at(0).template(256, &[Field::iana(5, 1)]).template(300, &fields).data(300, &[vec![9, b'x']]);
    let messages = [
        ipfix_at(0).template(256, &IPFIX_FIELDS).encode(),
        broken.encode(),
        ipfix_at(0).data(256, &[vec![6]]).encode(),
    ];
    let collected = check(&messages, json!([{"protocol": 6, "src_tos": null}]));
    assert_eq!((collected.n_rejected("variable_length"), collected.count("templates")), (1, 1));
}

#[test]
fn ipx_43_silent_sessions_are_forgotten_after_a_time_that_can_be_set() {
    let messages = |secs| {
        vec![
            (0, ipfix_at(0).template(256, &IPFIX_FIELDS).encode()),
            (secs, ipfix_at(secs).data(256, &[vec![6]]).encode()),
        ]
    };
    let lifetimes = Lifetimes { session_idle_secs: Some(100), ..Lifetimes::default() };
    let collected = collect_at(messages(200), lifetimes);
    assert_eq!((collected.flows.len(), collected.count("templates")), (0, 0));
    assert_eq!(collect_at(messages(99), lifetimes).flows.len(), 1);
}

#[test]
fn ipx_43_sessions_that_are_heard_are_kept() {
    let data = |secs| (secs, ipfix_at(secs).data(256, &[vec![6]]).encode());
    let mut messages = vec![(0, ipfix_at(0).template(256, &IPFIX_FIELDS).encode())];
    messages.extend([90, 180, 270].map(data));
    let lifetimes = Lifetimes { session_idle_secs: Some(100), ..Lifetimes::default() };
    check_protocols(&collect_at(messages, lifetimes), &[6; 3], 0);
}

#[test]
fn ipx_55_strangers_are_counted_and_change_nothing() {
    let of = |last, fields: &[Field]| (exporter(last, 4_739), 0, ipfix_at(0).template(256, fields).encode());
    let data = (exporter(1, 4_739), 0, ipfix_at(0).data(256, &[vec![6]]).encode());
    let config = Config { allow: vec!["192.0.2.1/32".parse().unwrap()], ..Config::default() };
    let stranger = of(2, &[Field::iana(5, 1)]);
    let collected = collect_from_with(&[of(1, &IPFIX_FIELDS), stranger.clone(), stranger, data], config);
    check_protocols(&collected, &[6], 0);
    assert_eq!((collected.n_rejected("not_allowed"), collected.count("templates")), (2, 1));
}
