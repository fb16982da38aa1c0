//! Messages over connections: the same records as over UDP, whatever carries them,
//! and certificates that change meanwhile.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use flow_collector::{Protocol, Streams};
use flow_tests::daemon::{Daemon, Finished, decode_capture, value};
use flow_tests::packet::ipfix::{Field, Message};
use flow_tests::pcap::udp_payloads;
use flow_tests::query::records;
use flow_tests::testdata;
use flow_tests::tls::Authority;
use serde_json::Value as Json;
use tempfile::TempDir;

/// A collector that accepts both kinds of connections; its certificates lie in the
/// directory.
fn start(authority: &Authority) -> (Daemon, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let any = || vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    let identity = Some(authority.identity(directory.path(), &["r1.example"]));
    let streams = Streams { tcp: any(), tls: any(), identity, ..Streams::default() };
    (Daemon::start_with_streams(streams), directory)
}

/// The records of a collector, without what depends on when and whence they came.
fn stored(finished: &Finished) -> Vec<Json> {
    let mut records = records(finished.directory.path());
    for record in &mut records {
        let object = record.as_object_mut().unwrap();
        assert!(object.remove("received").is_some() && object.remove("exporter_addr").is_some());
    }
    records
}

#[test]
fn every_transport_gives_the_same_records() {
    for capture in ["ipfix-softflowd-recent", "ipfix-pmacctd", "ipfix-ovs"] {
        check(capture);
    }
}

/// The messages of a capture over UDP, TCP, TLS and in a file.
#[track_caller]
fn check(capture: &str) {
    let capture = fs::read(testdata(&format!("{capture}.pcap"))).unwrap();
    let messages: Vec<_> = udp_payloads(&capture).into_iter().map(|(_, _, message, _)| message).collect();
    let octets = messages.concat();
    let n = messages.len() as u64;
    let authority = Authority::new();
    let credentials = authority.issue(&["r1.example"], "r1");

    let mut udp = Daemon::start();
    udp.send(messages.iter().map(Vec::as_slice));
    let udp = stored(&udp.finish());
    assert!(udp.len() >= 10, "{} records", udp.len());

    let (mut tcp, _directory) = start(&authority);
    let mut stream = TcpStream::connect(tcp.stream_addr(Protocol::Tcp)).unwrap();
    // In pieces that fit no message.
    for piece in octets.chunks(777) {
        stream.write_all(piece).unwrap();
    }
    tcp.expect(n);
    drop(stream);
    assert_eq!(stored(&tcp.finish()), udp);

    let (mut tls, _directory) = start(&authority);
    let client = authority.client(Some(&credentials), rustls::ALL_VERSIONS);
    let mut stream = client.connect(tls.stream_addr(Protocol::Tls)).unwrap();
    stream.write_all(&octets).unwrap();
    stream.flush().unwrap();
    tls.expect(n);
    drop(stream);
    assert_eq!(stored(&tls.finish()), udp);

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("softflowd.ipfix");
    fs::write(&path, octets).unwrap();
    assert_eq!(stored(&decode_capture(&path)), udp);
}

#[test]
fn certificates_change_without_a_connection_lost() {
    let message = |sequence| {
        let message = Message::new(1_795_264_200, sequence, 7).template(256, &[Field::iana(4, 1)]);
        message.data(256, &[vec![6]]).encode()
    };
    let (old, new) = (Authority::new(), Authority::new());
    let (mut daemon, directory) = start(&old);
    let addr = daemon.stream_addr(Protocol::Tls);
    let client = |authority: &Authority| {
        authority.client(Some(&authority.issue(&["r1.example"], "r1")), rustls::ALL_VERSIONS)
    };
    let mut first = client(&old).connect(addr).unwrap();
    first.write_all(&message(0)).unwrap();
    daemon.expect(1);

    // A key that is none: everything stays as it is.
    let key = directory.path().join("us.key");
    let sound = fs::read(&key).unwrap();
    fs::write(&key, "no key").unwrap();
    daemon.running().reload();
    daemon.wait_until(|metrics, _| value(metrics, "flowcap_certificate_errors_total") >= 1);
    let mut second = client(&old).connect(addr).unwrap();
    second.write_all(&message(0)).unwrap();
    daemon.expect(1);
    fs::write(&key, sound).unwrap();

    // Another certificate, and another issuer to trust, noticed without being told.
    new.identity(directory.path(), &["r1.example"]);
    let before = value(daemon.metrics(), "flowcap_certificates_reloaded_total");
    daemon.wait_until(|metrics, _| value(metrics, "flowcap_certificates_reloaded_total") > before);
    let mut third = client(&new).connect(addr).unwrap();
    third.write_all(&message(0)).unwrap();
    first.write_all(&message(1)).unwrap();
    daemon.expect(2);
    assert!(client(&old).connect(addr).is_err(), "the collector is not who it was");
    drop((first, second, third));
    let finished = daemon.finish();
    assert_eq!(value(&finished.metrics, "flowcap_records_visible_total"), 4);
}
