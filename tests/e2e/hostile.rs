//! Datagrams nobody should send: no panic, and each is counted.

use flow_tests::daemon::{Daemon, value};
use flow_tests::mutate::{mutate, random_datagram};
use flow_tests::pcap::udp_payloads;
use flow_tests::{captures, testdata};

/// Export versions that are decoded, and those around them.
const VERSIONS: [u16; 7] = [0, 1, 5, 7, 9, 10, 65_535];
const N_EACH: u64 = 100;

/// Payloads of all captures whose version is `version`.
fn payloads_of(version: u16) -> Vec<Vec<u8>> {
    let files = captures().into_iter().map(|name| std::fs::read(testdata(&format!("{name}.pcap"))).unwrap());
    let payloads = files.flat_map(|bytes| udp_payloads(&bytes).into_iter().map(|(_, _, payload, _)| payload));
    payloads.filter(|payload| payload.starts_with(&version.to_be_bytes())).collect()
}

#[test]
fn random_datagrams_of_every_version_are_counted() {
    let mut daemon = Daemon::start();
    for version in VERSIONS {
        let datagrams: Vec<_> = (0..N_EACH).map(|seed| random_datagram(version, seed + 1)).collect();
        daemon.send(datagrams.iter().map(Vec::as_slice));
    }
    let finished = daemon.finish();
    let count = |name| value(&finished.metrics, name);
    assert_eq!(count("flowcap_datagrams_received_total"), N_EACH * VERSIONS.len() as u64);
    assert!(count("flowcap_datagrams_rejected_total{reason=\"unsupported_version\"}") >= 2 * N_EACH);
    assert!(count("flowcap_datagrams_rejected_total{reason=\"record_count\"}") > 0);
    assert!(count("flowcap_datagrams_rejected_total{reason=\"message_length\"}") > 0);
}

#[test]
fn mutated_datagrams_of_every_version_are_counted() {
    for version in [5, 9, 10] {
        let originals = payloads_of(version);
        assert!(!originals.is_empty(), "version {version}");
        let mut daemon = Daemon::start();
        // Templates first, so that mutated data has something to be decoded with.
        daemon.send(originals.iter().map(Vec::as_slice));
        let n = N_EACH.max(originals.len() as u64);
        let mutated: Vec<_> =
            (0..n).map(|seed| mutate(&originals[seed as usize % originals.len()], seed + 1)).collect();
        daemon.send(mutated.iter().map(Vec::as_slice));
        let finished = daemon.finish();
        let received = value(&finished.metrics, "flowcap_datagrams_received_total");
        assert_eq!(received, n + originals.len() as u64, "version {version}");
        let decoded = value(&finished.metrics, "flowcap_datagrams_decoded_total");
        assert!(decoded >= originals.len() as u64 / 2 && decoded < received, "version {version}: {decoded}");
    }
}

#[test]
fn what_a_broken_datagram_began_leaves_no_record() {
    use flow_tests::packet::ipfix::{Field, Message, VARIABLE};
    let fields = [Field::iana(4, 1), Field::iana(82, VARIABLE)];
    // The second record's text claims more octets than the set has.
    let records = [vec![6, 2, b'o', b'k'], vec![17, 200, b'x']];
    let broken = Message::new(1_795_264_200, 1, 7).template(256, &fields).data(256, &records).encode();
    let template = Message::new(1_795_264_200, 1, 7).template(256, &fields).encode();
    let sound = Message::new(1_795_264_200, 2, 7).data(256, &[vec![1, 1, b'y']]).encode();
    let mut daemon = Daemon::start();
    daemon.send([template.as_slice(), &broken, &sound]);
    let finished = daemon.finish();
    let count = |name| value(&finished.metrics, name);
    assert_eq!(count("flowcap_datagrams_rejected_total{reason=\"variable_length\"}"), 1);
    assert_eq!(count("flowcap_records_decoded_total"), 1);
    assert_eq!(count("flowcap_records_visible_total"), 1);
}
