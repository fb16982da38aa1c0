//! Nanoseconds a record, next to the decoders of `netflow_parser` and NetGauze.
//!
//! Ours ends in column buffers of a batch as the collector fills them, theirs in
//! the values they return. Every decoder must find the same number of records.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flow_bench::{Case, cases, decode_all, prepared};
use netflow_parser::variable_versions::{ipfix as np_ipfix, v9 as np_v9};
use netflow_parser::{NetflowPacket, NetflowParser};
use netgauze_flow_pkt::{ipfix, netflow};
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;

/// Flow records `netflow_parser` finds in one datagram.
fn netflow_parser(parser: &mut NetflowParser, datagram: &[u8]) -> usize {
    let packets = parser.parse_bytes(datagram).packets;
    let records = |packet: &NetflowPacket| match packet {
        NetflowPacket::V5(v5) => v5.flowsets.len(),
        NetflowPacket::V9(v9) => v9
            .flowsets
            .iter()
            .map(|set| match &set.body {
                np_v9::FlowSetBody::Data(data) => data.fields.len(),
                _ => 0,
            })
            .sum(),
        NetflowPacket::IPFix(message) => message
            .flowsets
            .iter()
            .map(|set| match &set.body {
                np_ipfix::FlowSetBody::Data(data) => data.fields.len(),
                _ => 0,
            })
            .sum(),
        _ => 0,
    };
    let n = packets.iter().map(records).sum();
    black_box(packets);
    n
}

#[derive(Default)]
struct NetGauze {
    v9: netflow::TemplatesMap,
    ipfix: ipfix::TemplatesMap,
}

/// Flow records NetGauze finds in one datagram; 0 where it finds it malformed.
fn netgauze(templates: &mut NetGauze, datagram: &[u8]) -> usize {
    let mut reader = SliceReader::new(datagram);
    match datagram {
        [0, 9, ..] => {
            let Ok(packet) = netflow::NetFlowV9Packet::parse(&mut reader, &mut templates.v9) else {
                return 0;
            };
            let flows = |set: &netflow::Set| match set {
                netflow::Set::Data { records, .. } => {
                    records.iter().filter(|record| record.scope_fields().is_empty()).count()
                }
                _ => 0,
            };
            let n = packet.sets().iter().map(flows).sum();
            black_box(packet);
            n
        }
        _ => {
            let Ok(packet) = ipfix::IpfixPacket::parse(&mut reader, &mut templates.ipfix) else { return 0 };
            let flows = |set: &ipfix::Set| match set {
                ipfix::Set::Data { records, .. } => {
                    records.iter().filter(|record| record.scope_fields().is_empty()).count()
                }
                _ => 0,
            };
            let n = packet.sets().iter().map(flows).sum();
            black_box(packet);
            n
        }
    }
}

/// Measures a peer, if it finds all records of the case.
fn peer(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    case: &Case,
    mut decode: impl FnMut(&[u8]) -> usize,
) {
    case.templates.iter().for_each(|datagram| _ = decode(datagram));
    let mut round = || case.datagrams.iter().map(|datagram| decode(datagram)).sum::<usize>();
    let n = round();
    if n != case.n_records {
        println!("{name} is left out: it finds {n} of {} records in {}", case.n_records, case.name);
        return;
    }
    group.bench_function(BenchmarkId::new(name, case.name), |bencher| {
        bencher.iter(|| assert_eq!(round(), case.n_records));
    });
}

fn decoders(criterion: &mut Criterion) {
    for case in cases() {
        let mut group = criterion.benchmark_group("decode");
        group.throughput(Throughput::Elements(case.n_records as u64));
        let mut ours = prepared(&case);
        group.bench_function(BenchmarkId::new("flowcap", case.name), |bencher| {
            bencher.iter(|| assert_eq!(decode_all(&mut ours, &case), case.n_records));
        });
        let mut parser =
            NetflowParser::builder().with_cache_size(1_000).build().expect("a sound configuration");
        peer(&mut group, "netflow_parser", &case, |datagram| netflow_parser(&mut parser, datagram));
        // NetGauze knows no v5.
        if case.name != "v5" {
            let mut templates = NetGauze::default();
            peer(&mut group, "netgauze", &case, |datagram| netgauze(&mut templates, datagram));
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = decoders
}
criterion_main!(benches);
