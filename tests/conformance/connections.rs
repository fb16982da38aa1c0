//! Collectors that accept connections, and peers of every manner.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use flow_collector::{Protocol, StreamBounds, Streams};
use flow_tests::daemon::{Daemon, value};
use flow_tests::packet::ipfix::{Field, Message};
use flow_tests::tls::Authority;
use tempfile::TempDir;

use crate::collect::{Collected, ipfix};

/// The protocol of a flow, one octet.
pub(crate) const PROTOCOL: [Field; 1] = [Field::iana(4, 1)];

/// Defines template 256 as the protocol.
pub(crate) fn template() -> Vec<u8> {
    ipfix().template(256, &PROTOCOL).encode()
}

/// One record of template 256.
pub(crate) fn data(protocol: u8) -> Vec<u8> {
    ipfix().data(256, &[vec![protocol]]).encode()
}

/// Any free port of loopback.
pub(crate) fn any_port() -> Vec<SocketAddr> {
    vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]
}

/// A collector that accepts connections over TCP.
pub(crate) fn over_tcp() -> Daemon {
    over_tcp_within(StreamBounds::default())
}

/// A collector that accepts connections over TCP, within these bounds.
pub(crate) fn over_tcp_within(bounds: StreamBounds) -> Daemon {
    Daemon::start_with_streams(Streams { tcp: any_port(), bounds, ..Streams::default() })
}

/// A collector that accepts connections over TLS from exporters of `authority`, one
/// of `peers` where there are any. Its certificate lies in the directory.
pub(crate) fn over_tls(authority: &Authority, peers: &[&str]) -> (Daemon, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let identity = Some(authority.identity(directory.path(), peers));
    let streams = Streams { tls: any_port(), identity, ..Streams::default() };
    (Daemon::start_with_streams(streams), directory)
}

/// A connection over TCP.
pub(crate) fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.stream_addr(Protocol::Tcp)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends messages and waits until they have been received.
pub(crate) fn send(daemon: &mut Daemon, stream: &mut impl Write, messages: &[Vec<u8>]) {
    stream.write_all(&messages.concat()).unwrap();
    stream.flush().unwrap();
    daemon.expect(messages.len() as u64);
}

/// Waits until so many connections have ended for `reason`.
pub(crate) fn wait_for_ends(daemon: &Daemon, reason: &str, n: u64) {
    daemon.wait_for(&format!("connections_ended_total{{reason=\"{reason}\"}}"), n);
}

/// Sends messages over one connection; what came of them.
pub(crate) fn collect_over_tcp(messages: &[Message]) -> Collected {
    let mut daemon = over_tcp();
    let mut stream = connect(&daemon);
    send(&mut daemon, &mut stream, &messages.iter().map(Message::encode).collect::<Vec<_>>());
    drop(stream);
    wait_for_ends(&daemon, "closed", 1);
    Collected::of(daemon.finish())
}

/// A counter so far; `name` is without `flowcap_`.
pub(crate) fn count(daemon: &Daemon, name: &str) -> u64 {
    value(daemon.metrics(), &format!("flowcap_{name}"))
}

/// A time in milliseconds.
pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
