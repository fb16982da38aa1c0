//! IPFIX: connections, and what ends with them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use flow_collector::{Config, Protocol, StreamBounds, Streams};
use flow_common::limits;
use flow_tests::daemon::{Daemon, decode_capture, decode_capture_with};
use flow_tests::packet::ipfix::{Field, Message};
use flow_tests::tls::Authority;
use serde_json::json;
use socket2::SockRef;

use crate::collect::{Collected, EXPORT_SECS, check_flows, ipfix};
use crate::connections::{
    PROTOCOL, any_port, collect_over_tcp, connect, count, data, ms, over_tcp, over_tcp_within, send,
    template, wait_for_ends,
};

/// The class of service of a flow, one octet.
const TOS: [Field; 1] = [Field::iana(5, 1)];

/// A record of template `id`.
fn record(id: u16, value: u8) -> Message {
    ipfix().data(id, &[vec![value]])
}

#[test]
fn ipx_22_a_template_ends_with_its_connection() {
    let mut daemon = over_tcp();
    let mut first = connect(&daemon);
    send(&mut daemon, &mut first, &[template(), data(6)]);
    drop(first);
    wait_for_ends(&daemon, "closed", 1);
    daemon.wait_for("templates", 0);
    let mut second = connect(&daemon);
    send(&mut daemon, &mut second, &[data(17)]);
    daemon.wait_for("datagrams_waiting", 1);
    drop(second);
    daemon.wait_for("datagrams_waiting", 0);
    let collected = Collected::of(daemon.finish());
    check_flows(&collected, &json!([{"protocol": 6}]));
    assert_eq!(collected.n_rejected("template_missing"), 1);
}

#[test]
fn ipx_22_a_template_holds_as_long_as_its_connection() {
    let mut daemon = over_tcp();
    let (mut first, mut second) = (connect(&daemon), connect(&daemon));
    send(&mut daemon, &mut first, &[template()]);
    send(&mut daemon, &mut second, &[ipfix().template(256, &TOS).encode()]);
    send(&mut daemon, &mut first, &[data(6)]);
    send(&mut daemon, &mut second, &[data(17)]);
    drop(second);
    wait_for_ends(&daemon, "closed", 1);
    send(&mut daemon, &mut first, &[data(7)]);
    drop(first);
    check_flows(
        &Collected::of(daemon.finish()),
        &json!([{"protocol": 6}, {"src_tos": 17, "protocol": null}, {"protocol": 7}]),
    );
}

#[test]
fn ipx_27_a_template_withdrawn_is_used_no_more() {
    let messages = [
        ipfix().template(256, &PROTOCOL),
        record(256, 6),
        ipfix().withdraw(256),
        record(256, 17),
        ipfix().template(256, &TOS),
        record(256, 1),
    ];
    let collected = collect_over_tcp(&messages);
    check_flows(&collected, &json!([{"protocol": 6}, {"src_tos": 1, "protocol": null}]));
    assert_eq!(collected.n_rejected("template_withdrawn"), 1);
    assert_eq!(collected.count("templates_redefined_total"), 0);
}

#[test]
fn ipx_27_other_domains_and_templates_are_left_alone() {
    let of = |domain| Message::new(EXPORT_SECS, 1, domain);
    let messages = [
        of(1).template(256, &PROTOCOL).template(257, &PROTOCOL),
        of(2).template(256, &PROTOCOL),
        of(2).withdraw(256),
        of(1).withdraw(257),
        of(1).data(256, &[vec![6]]),
    ];
    check_flows(&collect_over_tcp(&messages), &json!([{"protocol": 6, "observation_domain": 1}]));
}

#[test]
fn ipx_28_over_tcp_too_and_it_is_told() {
    let messages = [ipfix().template(256, &PROTOCOL).withdraw(999).withdraw_options(998), record(256, 6)];
    let collected = collect_over_tcp(&messages);
    check_flows(&collected, &json!([{"protocol": 6}]));
    assert_eq!(collected.count("template_withdrawals_unknown_total"), 2);
}

#[test]
fn ipx_29_id_2_withdraws_all_templates_over_tcp() {
    let options = [Field::iana(149, 4), Field::iana(34, 4)];
    let messages = [
        ipfix().template(256, &PROTOCOL).template(257, &TOS).options_template(258, 1, &options),
        ipfix().withdraw(2),
        record(256, 6),
        record(257, 6),
        ipfix().data(258, &[vec![0, 0, 0, 7, 0, 0, 0, 10]]),
    ];
    let collected = collect_over_tcp(&messages);
    assert_eq!((collected.flows.len(), collected.options.len()), (0, 1));
    assert_eq!(collected.count("templates_withdrawn_total"), 2);
    assert_eq!(collected.n_rejected("template_withdrawn"), 2);
}

#[test]
fn ipx_29_id_3_withdraws_all_options_templates_over_tcp() {
    let options = [Field::iana(149, 4), Field::iana(34, 4)];
    let messages = [
        ipfix().template(256, &PROTOCOL).options_template(258, 1, &options),
        ipfix().withdraw_options(3),
        record(256, 6),
        ipfix().data(258, &[vec![0, 0, 0, 7, 0, 0, 0, 10]]),
    ];
    let collected = collect_over_tcp(&messages);
    assert_eq!((collected.flows.len(), collected.options.len()), (1, 0));
    assert_eq!(collected.count("templates_withdrawn_total"), 1);
}

#[test]
fn ipx_30_a_template_defined_twice_is_told() {
    let messages = [
        ipfix().template(256, &PROTOCOL),
        ipfix().template(256, &PROTOCOL),
        record(256, 6),
        ipfix().template(256, &TOS),
        record(256, 17),
    ];
    let collected = collect_over_tcp(&messages);
    check_flows(&collected, &json!([{"protocol": 6}, {"src_tos": 17}]));
    assert_eq!(collected.count("templates_repeated_total"), 1);
    assert_eq!(collected.count("templates_redefined_total"), 1);
}

#[test]
fn ipx_30_two_templates_are_not() {
    let messages = [ipfix().template(256, &PROTOCOL).template(257, &PROTOCOL), record(257, 6)];
    let collected = collect_over_tcp(&messages);
    assert_eq!(collected.count("templates_learned_total"), 2);
    let told = ["templates_repeated_total", "templates_redefined_total"].map(|name| collected.count(name));
    assert_eq!(told, [0, 0]);
}

#[test]
fn ipx_37_one_bad_connection_leaves_the_others_alone() {
    let mut daemon = over_tcp();
    let mut good = connect(&daemon);
    send(&mut daemon, &mut good, &[template()]);
    for (octets, reason) in [(&b"GET / HTTP/1.1\r\n"[..], "version"), (&[0, 10, 0, 15], "length")] {
        let mut bad = connect(&daemon);
        bad.write_all(octets).unwrap();
        wait_for_ends(&daemon, reason, 1);
        // Nothing more is read from it.
        assert!(matches!(bad.read(&mut [0]), Ok(0) | Err(_)));
    }
    send(&mut daemon, &mut good, &[data(6)]);
    let mut later = connect(&daemon);
    send(&mut daemon, &mut later, &[template(), data(17)]);
    drop((good, later));
    check_flows(&Collected::of(daemon.finish()), &json!([{"protocol": 6}, {"protocol": 17}]));
}

#[test]
fn ipx_37_what_came_before_the_fault_counts() {
    let mut daemon = over_tcp();
    let mut stream = connect(&daemon);
    stream.write_all(&[template(), data(6), vec![0, 9, 0, 20]].concat()).unwrap();
    daemon.expect(2);
    wait_for_ends(&daemon, "version", 1);
    check_flows(&Collected::of(daemon.finish()), &json!([{"protocol": 6}]));
}

#[test]
fn ipx_37_a_sender_that_vanishes_inside_a_message_is_only_that() {
    let mut daemon = over_tcp();
    let mut stream = connect(&daemon);
    send(&mut daemon, &mut stream, &[template(), data(6)]);
    stream.write_all(&data(17)[..20]).unwrap();
    drop(stream);
    wait_for_ends(&daemon, "torn", 1);
    assert_eq!(count(&daemon, "stream_discarded_bytes_total"), 20);
    let mut stream = connect(&daemon);
    send(&mut daemon, &mut stream, &[template(), data(1)]);
    drop(stream);
    check_flows(&Collected::of(daemon.finish()), &json!([{"protocol": 6}, {"protocol": 1}]));
}

#[test]
fn ipx_46_templates_do_not_move_between_udp_and_tcp() {
    let mut daemon = over_tcp();
    let mut stream = connect(&daemon);
    daemon.send([template().as_slice()]);
    send(&mut daemon, &mut stream, &[data(6)]);
    daemon.wait_for("datagrams_waiting", 1);
    send(&mut daemon, &mut stream, &[template()]);
    daemon.wait_for("datagrams_waiting", 0);
    daemon.send([data(17).as_slice()]);
    drop(stream);
    let collected = Collected::of(daemon.finish());
    check_flows(&collected, &json!([{"protocol": 6}]));
    assert_eq!(collected.count("datagrams_waiting"), 1, "a datagram waits for a template over UDP");
}

#[test]
fn ipx_46_nothing_of_a_connection_outlives_the_program() {
    let mut daemon = over_tcp();
    let mut stream = connect(&daemon);
    send(&mut daemon, &mut stream, &[template(), data(6)]);
    drop(stream);
    let finished = daemon.finish();
    let state = std::fs::read_to_string(finished.directory.path().join(".flowcap/state")).unwrap();
    assert!(state.ends_with(r#""sessions":[],"waiting":[]}"#), "{state}");
}

#[test]
fn ipx_47_ports_of_connections_are_the_registered_ones_or_any() {
    assert_eq!((limits::TCP_PORT_DEFAULT, limits::TLS_PORT_DEFAULT), (4_739, 4_740));
    let daemon = over_tcp();
    assert!(![0, 4_739].contains(&daemon.stream_addr(Protocol::Tcp).port()));
    daemon.finish();
}

#[test]
fn ipx_47_there_are_no_connections_unless_asked_for() {
    assert_eq!(Config::default().streams, Streams::default());
    let daemon = Daemon::start();
    assert_eq!(daemon.running().stream_listeners(), []);
    daemon.finish();
}

#[test]
fn ipx_49_closing_it_reads_until_the_peer_has_closed() {
    let mut daemon = over_tcp();
    let mut stream = connect(&daemon);
    send(&mut daemon, &mut stream, &[template(), data(6)]);
    daemon.running().stop();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it has closed its end");
    send(&mut daemon, &mut stream, &[data(17)]);
    drop(stream);
    let collected = Collected::of(daemon.finish());
    check_flows(&collected, &json!([{"protocol": 6}, {"protocol": 17}]));
    assert_eq!(collected.count("connections_ended_total{reason=\"stopped\"}"), 1);
}

#[test]
fn ipx_49_a_peer_that_never_closes_is_not_waited_for() {
    let bounds = StreamBounds { closing: ms(300), ..StreamBounds::default() };
    let mut daemon = over_tcp_within(bounds);
    let mut stream = connect(&daemon);
    send(&mut daemon, &mut stream, &[template()]);
    let start = Instant::now();
    let finished = daemon.finish();
    assert!((ms(300)..Duration::from_secs(20)).contains(&start.elapsed()), "{:?}", start.elapsed());
    drop((stream, finished));
}

#[test]
fn ipx_54_connections_are_limited_in_all_and_for_each_address() {
    let check = |bounds, reason: &str| {
        let mut daemon = over_tcp_within(bounds);
        let mut open: Vec<TcpStream> = (0..3).map(|_| connect(&daemon)).collect();
        wait_for_ends(&daemon, reason, 1);
        assert_eq!(count(&daemon, "connections"), 2);
        // Those that were in first stay, and whoever leaves makes room.
        send(&mut daemon, &mut open[0], &[template(), data(6)]);
        open.truncate(1);
        daemon.wait_for("connections", 1);
        let mut late = connect(&daemon);
        send(&mut daemon, &mut late, &[template(), data(17)]);
        drop((open, late));
        check_flows(&Collected::of(daemon.finish()), &json!([{"protocol": 6}, {"protocol": 17}]));
    };
    check(StreamBounds { connections: 2, ..StreamBounds::default() }, "too_many");
    check(StreamBounds { connections_per_address: 2, ..StreamBounds::default() }, "too_many_of_address");
}

#[test]
fn ipx_54_a_handshake_that_does_not_come_ends() {
    let bounds = StreamBounds { handshakes: 1, handshake: ms(300), ..StreamBounds::default() };
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let identity = Some(authority.identity(directory.path(), &[]));
    let streams = Streams { tls: any_port(), identity, bounds, ..Streams::default() };
    let mut daemon = Daemon::start_with_streams(streams);
    let addr = daemon.stream_addr(Protocol::Tls);
    let silent: Vec<_> = (0..3).map(|_| TcpStream::connect(addr).unwrap()).collect();
    wait_for_ends(&daemon, "slow_handshake", 3);
    let exporter = authority.client(Some(&authority.issue(&["r1.example"], "r1")), rustls::ALL_VERSIONS);
    let mut stream = exporter.connect(addr).unwrap();
    send(&mut daemon, &mut stream, &[template(), data(6)]);
    drop((silent, stream));
    check_flows(&Collected::of(daemon.finish()), &json!([{"protocol": 6}]));
}

#[test]
fn ipx_54_a_message_that_trickles_in_ends_its_connection() {
    let bounds = StreamBounds { message: ms(300), ..StreamBounds::default() };
    let mut daemon = over_tcp_within(bounds);
    let (mut slow, mut good) = (connect(&daemon), connect(&daemon));
    send(&mut daemon, &mut good, &[template()]);
    for octet in data(6) {
        if slow.write_all(&[octet]).is_err() {
            break;
        }
        std::thread::sleep(ms(50));
    }
    wait_for_ends(&daemon, "slow_message", 1);
    send(&mut daemon, &mut good, &[data(17)]);
    drop(good);
    check_flows(&Collected::of(daemon.finish()), &json!([{"protocol": 17}]));
}

#[test]
fn ipx_54_a_connection_that_says_nothing_is_closed_in_order() {
    let bounds = StreamBounds { idle: ms(200), ..StreamBounds::default() };
    let mut daemon = over_tcp_within(bounds);
    let mut stream = connect(&daemon);
    send(&mut daemon, &mut stream, &[template()]);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it has closed its end");
    // What is on its way still counts.
    send(&mut daemon, &mut stream, &[data(6)]);
    drop(stream);
    wait_for_ends(&daemon, "idle", 1);
    check_flows(&Collected::of(daemon.finish()), &json!([{"protocol": 6}]));
}

#[test]
fn ipx_55_resets_and_closes_are_told_apart() {
    let daemon = over_tcp();
    let (reset, closed) = (connect(&daemon), connect(&daemon));
    daemon.wait_for("connections", 2);
    SockRef::from(&reset).set_linger(Some(Duration::ZERO)).unwrap();
    drop(reset);
    wait_for_ends(&daemon, "reset", 1);
    closed.shutdown(Shutdown::Write).unwrap();
    wait_for_ends(&daemon, "closed", 1);
    daemon.finish();
}

#[test]
fn ipx_55_a_peer_whose_address_may_not_send_is_refused_and_counted() {
    let of = |prefix: &str| {
        let streams = Streams { tcp: any_port(), ..Streams::default() };
        Daemon::start_as(Config { streams, allow: vec![prefix.parse().unwrap()], ..Config::default() })
    };
    let daemon = of("192.0.2.0/24");
    let mut stranger = connect(&daemon);
    wait_for_ends(&daemon, "not_allowed", 1);
    assert!(matches!(stranger.read(&mut [0]), Ok(0) | Err(_)));
    daemon.finish();
    let mut daemon = of("127.0.0.0/8");
    let mut friend = connect(&daemon);
    send(&mut daemon, &mut friend, &[template(), data(6)]);
    drop(friend);
    check_flows(&Collected::of(daemon.finish()), &json!([{"protocol": 6}]));
}

#[test]
fn file_01_messages_of_a_file_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.ipfix");
    std::fs::write(&path, [template(), data(6), ipfix().withdraw(256).encode(), data(17)].concat()).unwrap();
    // Who exported them is not in a file, so `--allow` has nothing to say.
    let config = Config { allow: vec!["192.0.2.0/24".parse().unwrap()], ..Config::default() };
    let collected = Collected::of(decode_capture_with(&path, config));
    check_flows(&collected, &json!([{"protocol": 6, "received": "2026-11-21T12:30:00.000Z"}]));
    assert_eq!(collected.n_rejected("template_withdrawn"), 1);
}

#[test]
fn file_01_data_without_template_is_not_kept_for_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.ipfix");
    std::fs::write(&path, [data(6), template(), data(17), ipfix().data(300, &[vec![1]]).encode()].concat())
        .unwrap();
    let collected = Collected::of(decode_capture(&path));
    check_flows(&collected, &json!([{"protocol": 6}, {"protocol": 17}]));
    assert_eq!(collected.n_rejected("template_missing"), 1);
    assert_eq!(collected.count("datagrams_waiting"), 0);
}
