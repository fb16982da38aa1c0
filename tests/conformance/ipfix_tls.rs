//! IPFIX over TLS: who may come, and how.

use std::io::{Read, Write};
use std::net::TcpStream;

use flow_collector::{Protocol, Streams, TlsClients, TlsIdentity};
use flow_tests::daemon::Daemon;
use flow_tests::tls::{Authority, Credentials};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use serde_json::json;

use crate::collect::{Collected, check_flows};
use crate::connections::{any_port, count, data, over_tls, send, template, wait_for_ends};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// An exporter with these credentials is refused for `reason`, over either version,
/// and one that may come still does.
#[track_caller]
fn check_refused(authority: &Authority, peers: &[&str], credentials: Option<&Credentials>, reason: &str) {
    let (mut daemon, _directory) = over_tls(authority, peers);
    let addr = daemon.stream_addr(Protocol::Tls);
    for (n, version) in [(1, &TLS12), (2, &TLS13)] {
        // Over TLS 1.3 the client learns of it after its handshake.
        if let Ok(mut stream) = authority.client(credentials, &[version]).connect(addr) {
            let sent = stream.write_all(&[template(), data(6)].concat()).and_then(|()| stream.flush());
            assert!(sent.is_err() || stream.read(&mut [0]).is_err(), "{version:?}");
        }
        wait_for_ends(&daemon, reason, n);
    }
    assert_eq!(count(&daemon, "datagrams_received_total"), 0);
    let names = ["r1.example", "192.0.2.1"];
    let friend = authority.issue(&names, "r1.example");
    let mut stream = authority.client(Some(&friend), &VERSIONS).connect(addr).unwrap();
    send(&mut daemon, &mut stream, &[template(), data(17)]);
    drop(stream);
    check_flows(&Collected::of(daemon.finish()), &json!([{"protocol": 17}]));
}

#[test]
fn ipx_50_messages_come_over_tls_1_2_and_1_3() {
    let authority = Authority::new();
    let (mut daemon, _directory) = over_tls(&authority, &[]);
    let credentials = authority.issue(&["r1.example"], "r1");
    for (version, protocol) in [(&TLS12, 6), (&TLS13, 17)] {
        let client = authority.client(Some(&credentials), &[version]);
        let mut stream = client.connect(daemon.stream_addr(Protocol::Tls)).unwrap();
        send(&mut daemon, &mut stream, &[template(), data(protocol)]);
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    }
    wait_for_ends(&daemon, "closed", 2);
    check_flows(&Collected::of(daemon.finish()), &json!([{"protocol": 6}, {"protocol": 17}]));
}

#[test]
fn ipx_50_older_versions_and_plain_messages_are_refused() {
    let (daemon, _directory) = over_tls(&Authority::new(), &[]);
    let addr = daemon.stream_addr(Protocol::Tls);
    for (n, minor) in [(1, 1), (2, 2)] {
        // A hello of TLS 1.0 or 1.1: one suite of theirs, one way to sign.
        let extensions = [0, 8, 0, 13, 0, 4, 0, 2, 4, 3];
        let body = [&[3, minor][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0], &extensions].concat();
        let hello = [&[1, 0, 0, body.len() as u8][..], &body].concat();
        let record = [&[22, 3, 1, 0, hello.len() as u8][..], &hello].concat();
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(&record).unwrap();
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!((answer[0], &answer[5..]), (21, &[2, 70][..]), "a fatal alert: protocol version");
        wait_for_ends(&daemon, "handshake", n);
    }
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(&template()).unwrap();
    wait_for_ends(&daemon, "handshake", 3);
    daemon.finish();
}

#[test]
fn ipx_52_exporters_prove_who_they_are() {
    check_refused(&Authority::new(), &[], None, "no_certificate");
}

#[test]
fn ipx_52_certificates_of_strangers_prove_nothing() {
    let stranger = Authority::new().issue(&["r1.example"], "r1.example");
    check_refused(&Authority::new(), &[], Some(&stranger), "bad_certificate");
}

#[test]
fn ipx_52_the_collector_proves_who_it_is() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (daemon, _directory) = over_tls(&authority, &[]);
    let error = other.client(None, &VERSIONS).connect(daemon.stream_addr(Protocol::Tls)).unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    wait_for_ends(&daemon, "handshake", 1);
    daemon.finish();
}

#[test]
fn ipx_52_only_authorised_names_may_come() {
    let authority = Authority::new();
    let other = authority.issue(&["r2.example", "192.0.2.2"], "r1.example");
    check_refused(&authority, &["r1.example"], Some(&other), "not_authorised");
    check_refused(&authority, &["192.0.2.1"], Some(&other), "not_authorised");
}

#[test]
fn ipx_52_the_common_name_is_not_looked_at() {
    let authority = Authority::new();
    let only_common = authority.issue(&[], "r1.example");
    check_refused(&authority, &["r1.example"], Some(&only_common), "not_authorised");
}

#[test]
fn ipx_52_without_authentication_only_where_asked_for() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let TlsIdentity { certificate, key, .. } = authority.identity(directory.path(), &[]);
    let identity = Some(TlsIdentity { certificate, key, clients: TlsClients::Anyone });
    let streams = Streams { tls: any_port(), identity, ..Streams::default() };
    let mut daemon = Daemon::start_with_streams(streams);
    let client = authority.client(None, &VERSIONS);
    let mut stream = client.connect(daemon.stream_addr(Protocol::Tls)).unwrap();
    send(&mut daemon, &mut stream, &[template(), data(6)]);
    drop(stream);
    check_flows(&Collected::of(daemon.finish()), &json!([{"protocol": 6}]));
}
