//! A restart: what was learned of exporters is known from the first datagram.

use std::net::UdpSocket;

use flow_tests::daemon::{Daemon, Finished, value};
use flow_tests::packet::ipfix::{Field, Message};
use flow_tests::query::records;

const EXPORT_SECS: u32 = 1_795_264_200; // 2026-11-21T12:30:00Z

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

fn message() -> Message {
    Message::new(EXPORT_SECS, 1, 7)
}

fn run(socket: &UdpSocket, before: Option<Finished>, payloads: &[Vec<u8>]) -> Finished {
    let mut daemon = before.map_or_else(Daemon::start, Daemon::restart);
    daemon.send_from(socket, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
    daemon.finish()
}

#[test]
fn templates_and_sampling_survive() {
    let socket = socket();
    let options = [Field::iana(149, 4), Field::iana(34, 4)];
    let record = [7u32.to_be_bytes(), 512u32.to_be_bytes()].concat();
    let learned = message()
        .template(256, &[Field::iana(4, 1)])
        .options_template(257, 1, &options)
        .data(257, &[record])
        .encode();
    let first = run(&socket, None, &[learned]);
    let second = run(&socket, Some(first), &[message().data(256, &[vec![6]]).encode()]);
    assert_eq!(value(&second.metrics, "flowcap_templates"), 2);
    let records = records(second.directory.path());
    assert_eq!(records.len(), 1);
    assert_eq!((records[0]["protocol"].as_u64(), records[0]["sampling_rate"].as_u64()), (Some(6), Some(512)));
}

#[test]
fn data_that_waits_is_decoded_after_a_restart() {
    let socket = socket();
    let first = run(&socket, None, &[message().data(256, &[vec![6]]).data(257, &[vec![17]]).encode()]);
    assert_eq!(value(&first.metrics, "flowcap_datagrams_waiting"), 1);
    let second = run(&socket, Some(first), &[message().template(256, &[Field::iana(4, 1)]).encode()]);
    assert_eq!(value(&second.metrics, "flowcap_datagrams_restored_total"), 1);
    assert_eq!(value(&second.metrics, "flowcap_datagrams_waiting"), 1, "its other set still waits");
    let third = run(&socket, Some(second), &[message().template(257, &[Field::iana(4, 1)]).encode()]);
    assert_eq!(
        value(&third.metrics, "flowcap_datagrams_decoded_total"),
        2,
        "the restored one and the template's"
    );
    let records = records(third.directory.path());
    let mut protocols: Vec<_> = records.iter().filter_map(|record| record["protocol"].as_u64()).collect();
    protocols.sort_unstable();
    assert_eq!(protocols, [6, 17]);
}

#[test]
fn another_port_is_another_session() {
    let first = run(&socket(), None, &[message().template(256, &[Field::iana(4, 1)]).encode()]);
    let second = run(&socket(), Some(first), &[message().data(256, &[vec![6]]).encode()]);
    assert_eq!(value(&second.metrics, "flowcap_datagrams_waiting"), 1);
}

#[test]
fn a_damaged_state_counts_as_none() {
    let socket = socket();
    let first = run(&socket, None, &[message().template(256, &[Field::iana(4, 1)]).encode()]);
    let path = first.directory.path().join(".flowcap/state");
    let mut state = std::fs::read(&path).unwrap();
    let last = state.len() - 2;
    state[last] ^= 1;
    std::fs::write(&path, state).unwrap();
    let data = message().data(256, &[vec![6]]).encode();
    let second = run(&socket, Some(first), &[data]);
    assert_eq!(value(&second.metrics, "flowcap_templates"), 0);
    assert_eq!(value(&second.metrics, "flowcap_datagrams_waiting"), 1);
    // It is replaced by a sound one.
    let template = message().template(256, &[Field::iana(4, 1)]).encode();
    let third = run(&socket, Some(second), &[template]);
    assert_eq!(records(third.directory.path()).len(), 1);
}
