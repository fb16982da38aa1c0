//! Packets to decode for measurement: templates first, then datagrams full of
//! records, as exporters send them.

pub mod socket;

use std::net::Ipv4Addr;

use flow_collector::harness::Decoding;
use flow_tests::load::FIELDS;
use flow_tests::mutate::Xorshift;
use flow_tests::packet::{Value, ipfix, v5, v9};
use flow_tests::{pcap, testdata};

/// Seconds since the epoch at which everything was received.
const RECEIVED_SECS: u32 = 1_795_262_400;
/// Datagrams of a case that has no capture.
const N_DATAGRAMS: u32 = 64;
/// Records of one datagram of 20 fields: 24 × 56 octets fit an Ethernet frame.
const RECORDS_PER_DATAGRAM: usize = 24;

/// What is decoded, and how many records are in it.
pub struct Case {
    /// Version and kind of exporter.
    pub name: &'static str,
    /// What comes before: templates.
    pub templates: Vec<Vec<u8>>,
    /// What is decoded again and again.
    pub datagrams: Vec<Vec<u8>>,
    /// Flow records in all datagrams together.
    pub n_records: usize,
}

/// All cases.
pub fn cases() -> Vec<Case> {
    vec![v9_case(), ipfix_case(), v5_case(), capture_case("ipfix-ovs", "ipfix-ovs")]
}

/// The octets of one record; IPFIX counts in 8 octets and stamps with 8.
fn record(random: &mut Xorshift, is_ipfix: bool) -> Vec<u8> {
    let counter = if is_ipfix { 8 } else { 4 };
    let mut number = |below: usize| random.below(below) as u64;
    let address = |n: u64| Ipv4Addr::from(0x0a00_0000 | n as u32);
    let value = Value::new()
        .ipv4(address(number(1 << 20)))
        .ipv4(address(number(1 << 20)))
        .ipv4(address(number(16)))
        .uint(number(48), 4)
        .uint(number(48), 4)
        .uint(number(1_000), counter)
        .uint(number(1_000_000), counter);
    let start = number(60_000);
    let end = start + number(10_000);
    let value = match is_ipfix {
        true => {
            let boot = u64::from(RECEIVED_SECS) * 1_000 - 100_000;
            value.uint(boot + start, 8).uint(boot + end, 8)
        }
        false => value.uint(start, 4).uint(end, 4),
    };
    value
        .uint(number(1 << 16), 2)
        .uint(number(1 << 10), 2)
        .uint(number(1 << 16), 4)
        .uint(number(1 << 16), 4)
        .uint(number(4_096), 2)
        .uint(6 + 11 * number(2), 1)
        .uint(number(64), 1)
        .uint(number(256), 1)
        .uint(number(33), 1)
        .uint(number(33), 1)
        .uint(number(2), 1)
        .encode()
}

fn records(seed: u32, is_ipfix: bool) -> Vec<Vec<u8>> {
    let mut random = Xorshift::new(u64::from(seed));
    (0..RECORDS_PER_DATAGRAM).map(|_| record(&mut random, is_ipfix)).collect()
}

fn v9_case() -> Case {
    let message = |sequence| v9::Message::new(100_000, RECEIVED_SECS, sequence, 7);
    let datagram = |n: u32| message(n).data(260, &records(n, false)).encode();
    Case {
        name: "v9",
        templates: vec![message(0).template(260, &FIELDS).encode()],
        datagrams: (1..=N_DATAGRAMS).map(datagram).collect(),
        n_records: N_DATAGRAMS as usize * RECORDS_PER_DATAGRAM,
    }
}

fn ipfix_case() -> Case {
    let fields = FIELDS.map(|(id, length)| match id {
        1 | 2 => ipfix::Field::iana(id, 8),
        22 => ipfix::Field::iana(152, 8),
        21 => ipfix::Field::iana(153, 8),
        _ => ipfix::Field::iana(id, length),
    });
    let message = |n: u32| {
        let sequence = n.saturating_sub(1) * RECORDS_PER_DATAGRAM as u32;
        ipfix::Message::new(RECEIVED_SECS, sequence, 7)
    };
    let datagram = |n: u32| message(n).data(260, &records(n, true)).encode();
    Case {
        name: "ipfix",
        templates: vec![message(0).template(260, &fields).encode()],
        datagrams: (1..=N_DATAGRAMS).map(datagram).collect(),
        n_records: N_DATAGRAMS as usize * RECORDS_PER_DATAGRAM,
    }
}

fn v5_case() -> Case {
    const RECORDS_MAX: usize = 30;
    let datagram = |n: u32| {
        let mut random = Xorshift::new(u64::from(n));
        let mut number = |below: usize| random.below(below);
        let mut record = || v5::Record {
            src_addr: Ipv4Addr::from(0x0a00_0000 | number(1 << 20) as u32),
            dst_addr: Ipv4Addr::from(0x0a00_0000 | number(1 << 20) as u32),
            packets: number(1_000) as u32,
            bytes: number(1_000_000) as u32,
            first_ms: number(60_000) as u32,
            last_ms: 60_000 + number(10_000) as u32,
            src_port: number(1 << 16) as u16,
            dst_port: number(1 << 10) as u16,
            protocol: 6,
            ..v5::Record::default()
        };
        let records: Vec<_> = (0..RECORDS_MAX).map(|_| record()).collect();
        let header = v5::Header {
            sys_uptime_ms: 100_000,
            unix_secs: RECEIVED_SECS,
            flow_sequence: n * RECORDS_MAX as u32,
            ..v5::Header::default()
        };
        v5::encode(&header, &records)
    };
    Case {
        name: "v5",
        templates: Vec::new(),
        datagrams: (0..N_DATAGRAMS).map(datagram).collect(),
        n_records: N_DATAGRAMS as usize * RECORDS_MAX,
    }
}

/// A capture of `testdata/`: what brings no flow record is a template.
fn capture_case(name: &'static str, file: &str) -> Case {
    let bytes = std::fs::read(testdata(&format!("{file}.pcap"))).expect("a capture of testdata");
    let payloads = pcap::udp_payloads(&bytes);
    let mut decoding = Decoding::default();
    let mut case = Case { name, templates: Vec::new(), datagrams: Vec::new(), n_records: 0 };
    for payload in payloads {
        let (_, _, octets, _) = payload;
        let n_flows = decode(&mut decoding, &octets);
        match n_flows {
            0 => case.templates.push(octets),
            _ => case.datagrams.push(octets),
        }
        case.n_records += n_flows;
    }
    case
}

/// Decodes one datagram with ours; returns its flow records.
pub fn decode(decoding: &mut Decoding, datagram: &[u8]) -> usize {
    let before = decoding.n_flows();
    decoding.decode(datagram, 2_055, i64::from(RECEIVED_SECS));
    decoding.n_flows() - before
}

/// Records of a batch, as the collector has them: beyond it the buffers start anew.
const BATCH_ROWS: usize = 262_144;

/// Decodes all datagrams of a case; returns its flow records.
pub fn decode_all(decoding: &mut Decoding, case: &Case) -> usize {
    if decoding.n_flows() >= BATCH_ROWS {
        decoding.clear();
    }
    let before = decoding.n_flows();
    for datagram in &case.datagrams {
        decoding.decode(datagram, 2_055, i64::from(RECEIVED_SECS));
    }
    decoding.n_flows() - before
}

/// A decoder that knows the templates of a case.
pub fn prepared(case: &Case) -> Decoding {
    let mut decoding = Decoding::default();
    case.templates.iter().for_each(|template| {
        decode(&mut decoding, template);
    });
    decoding
}
