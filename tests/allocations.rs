//! What decoding allocates: at most 64 octets for each octet of a datagram and
//! 4 KiB, whoever sent it, and nothing at all for records of a known template.
//!
//! Buffers of columns have room beforehand, as they do in a collector that runs;
//! what a datagram takes of them counts as if it were allocated for it.

use std::alloc::System;

use flow_collector::harness::Decoding;
use flow_tests::mutate::mutate;
use flow_tests::packet::{Value, ipfix, v5, v9};
use flow_tests::{captures, pcap, testdata};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RECEIVED_SECS: u32 = 1_795_262_400;
/// A record takes at least one octet of a datagram.
const ROWS_MAX: usize = 65_536;
const BYTES_PER_OCTET_MAX: usize = 64;
const BYTES_MIN: usize = 4_096;
/// Beside it for each template or set that is kept.
const BYTES_PER_KEPT_MAX: usize = 1_024;
/// Mutations of each captured datagram.
const N_MUTATIONS: u64 = 40;

/// Octets that decoding `datagram` allocates or takes of the buffers.
fn taken(decoding: &mut Decoding, datagram: &[u8]) -> usize {
    decoding.clear();
    let region = Region::new(ALLOCATOR);
    decoding.decode(datagram, 2_055, i64::from(RECEIVED_SECS));
    let change = region.change();
    // What grows in place or moves counts by what it grew.
    change.bytes_allocated + usize::try_from(change.bytes_reallocated).unwrap_or(0) + decoding.held_bytes()
}

fn decoding() -> Decoding {
    let mut decoding = Decoding::default();
    decoding.reserve(ROWS_MAX);
    decoding
}

#[track_caller]
fn check(name: &str, decoding: &mut Decoding, datagram: &[u8]) {
    check_with(name, decoding, datagram, 0);
}

/// As [`check`], for a datagram with `n_kept` template records or sets to keep: the
/// smallest have 8 and 5 octets, and their number is bounded over all senders.
#[track_caller]
fn check_with(name: &str, decoding: &mut Decoding, datagram: &[u8], n_kept: usize) {
    let most = BYTES_PER_OCTET_MAX * datagram.len() + BYTES_MIN + BYTES_PER_KEPT_MAX * n_kept;
    let taken = taken(decoding, datagram);
    assert!(taken <= most, "{name}: {} octets take {taken} octets, more than {most}", datagram.len());
}

fn captured() -> impl Iterator<Item = (String, Vec<Vec<u8>>)> {
    captures().into_iter().map(|name| {
        let bytes = std::fs::read(testdata(&format!("{name}.pcap"))).expect("a capture of testdata");
        (name, pcap::udp_payloads(&bytes).into_iter().map(|(_, _, payload, _)| payload).collect())
    })
}

fn captured_datagrams_stay_within_the_bound() {
    for (name, datagrams) in captured() {
        let mut sound = decoding();
        let mut broken = decoding();
        for (n, datagram) in datagrams.iter().enumerate() {
            check(&name, &mut sound, datagram);
            for seed in 0..N_MUTATIONS {
                check(&name, &mut broken, &mutate(datagram, seed << 32 | n as u64));
            }
        }
    }
}

/// Datagrams made to take as much as they can.
fn hostile_datagrams_stay_within_the_bound() {
    let v9 = || v9::Message::new(1_000, RECEIVED_SECS, 1, 7);
    let ipfix = || ipfix::Message::new(RECEIVED_SECS, 1, 7);
    for n in [1, 10, 160, 4_000u16] {
        let fields: Vec<_> = (0..n.min(1_000)).map(|id| (30_000 + id, 1)).collect();
        check("a long template", &mut decoding(), &v9().template(256, &fields).encode());
        let known: Vec<_> = (0..n.min(500)).map(|id| (id, 4)).collect();
        check("a long template of known fields", &mut decoding(), &v9().template(256, &known).encode());
        let short: Vec<_> = (0..n).map(|id| (256 + id, &[(8u16, 4u16)][..])).collect();
        check_with("short templates", &mut decoding(), &v9().templates(&short).encode(), n.into());
        let waiting = (0..n).fold(v9(), |message, id| message.raw_set(256 + id, &[1]));
        check_with("data without templates", &mut decoding(), &waiting.encode(), n.into());
        let waiting = (0..n).fold(v9(), |message, _| message.raw_set(256, &[1]));
        check_with("data without one template", &mut decoding(), &waiting.encode(), n.into());

        let records = vec![vec![7u8]; usize::from(n)];
        for (name, id) in
            [("protocol", 4), ("no column", 30_000), ("packet section", 104), ("address", 8), ("text", 82)]
        {
            let mut decoding = decoding();
            let template = v9().template(256, &[(id, 1)]).encode();
            taken(&mut decoding, &template);
            check(name, &mut decoding, &v9().data(256, &records).encode());
        }
        let mut all = decoding();
        let fields: Vec<_> = (1..500).map(|id| (id, 1)).collect();
        taken(&mut all, &v9().template(256, &[(4, 1)]).template(257, &fields).encode());
        let wide = vec![vec![1u8; fields.len()]];
        let message = v9().data(257, &wide).data(256, &records).data(257, &wide);
        check("columns left out for many records", &mut all, &message.encode());

        let mut variable = decoding();
        let fields = [ipfix::Field::iana(313, ipfix::VARIABLE), ipfix::Field::iana(371, ipfix::VARIABLE)];
        taken(&mut variable, &ipfix().template(256, &fields).encode());
        let records = vec![Value::new().variable(b"").variable(b"").encode(); usize::from(n)];
        check("empty values", &mut variable, &ipfix().data(256, &records).encode());
    }
}

/// Decoding the same again allocates nothing.
fn records_of_known_templates_allocate_nothing() {
    let record = Value::new().uint(0x0a00_0001, 4).uint(1_500, 8).uint(53, 2).uint(17, 1).encode();
    let fields = [(8, 4), (1, 8), (7, 2), (4, 1)];
    let message = v9::Message::new(1_000, RECEIVED_SECS, 1, 7);
    let v9_template = message.clone().template(256, &fields).encode();
    let v9_data = message.data(256, &vec![record.clone(); 24]).encode();
    let message = ipfix::Message::new(RECEIVED_SECS, 1, 7);
    let ipfix_fields = fields.map(|(id, length)| ipfix::Field::iana(id, length));
    let ipfix_template = message.clone().template(256, &ipfix_fields).encode();
    let ipfix_data = message.data(256, &vec![record; 24]).encode();
    let v5_data = v5::encode(&v5::Header::default(), &[v5::Record::default(); 30]);
    for (name, template, data) in
        [("v5", &v5_data, &v5_data), ("v9", &v9_template, &v9_data), ("ipfix", &ipfix_template, &ipfix_data)]
    {
        let mut decoding = decoding();
        decoding.decode(template, 2_055, i64::from(RECEIVED_SECS));
        decoding.decode(data, 2_055, i64::from(RECEIVED_SECS));
        let mut n_flows = 0;
        let region = Region::new(ALLOCATOR);
        for _ in 0..1_000 {
            decoding.clear();
            n_flows += decoding.decode(data, 2_055, i64::from(RECEIVED_SECS));
        }
        let change = region.change();
        let n = change.allocations + change.reallocations + change.deallocations;
        assert_eq!(n, 0, "{name}: {change:?}");
        assert!(n_flows >= 24_000, "{name}");
    }
}

/// One test: the allocator counts for all threads.
#[test]
fn decoding_allocates_within_bounds() {
    records_of_known_templates_allocate_nothing();
    hostile_datagrams_stay_within_the_bound();
    captured_datagrams_stay_within_the_bound();
}
