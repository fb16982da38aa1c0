//! IPFIX: where messages come from, and how long they are.

use std::net::{IpAddr, Ipv4Addr};

use flow_collector::{Config, Source};
use flow_tests::daemon::{Daemon, value};
use flow_tests::packet::ipfix::{Field, Message};

use crate::collect::{check_rejected, collect, ipfix};

/// The port of IPFIX over UDP (RFC 7011 §10.1).
const IPFIX_PORT: u16 = 4_739;

/// A message with template 256 of one octet, the protocol.
fn with_template() -> Message {
    ipfix().template(256, &[Field::iana(4, 1)])
}

#[test]
fn ipx_45_the_longest_datagram_is_one_message() {
    const UDP_OCTETS_MAX: usize = 65_507;
    let n = UDP_OCTETS_MAX - with_template().encode().len() - 4;
    let message = with_template().data(256, &vec![vec![6]; n]).encode();
    assert_eq!(message.len(), UDP_OCTETS_MAX);
    let collected = collect(&[message]);
    assert_eq!(collected.flows.len(), n);
}

#[test]
fn ipx_45_a_length_of_65535_is_no_proof_of_octets() {
    check_rejected("message_length", &[with_template().with_length(65_535).encode()]);
}

#[test]
fn ipx_47_the_registered_port_is_among_the_defaults() {
    let Source::Listen(addresses) = Config::default().source else { panic!("it listens by default") };
    assert!(addresses.iter().any(|address| address.port() == IPFIX_PORT), "{addresses:?}");
}

#[test]
fn ipx_47_any_other_port_will_do() {
    let mut daemon = Daemon::start();
    assert_ne!(daemon.addr(IpAddr::V4(Ipv4Addr::LOCALHOST)).port(), IPFIX_PORT);
    daemon.send([with_template().data(256, &[vec![6]]).encode().as_slice()]);
    let finished = daemon.finish();
    assert_eq!(value(&finished.metrics, "flowcap_records_visible_total"), 1);
}
