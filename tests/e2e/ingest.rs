//! Packets encoded by the test crate come back with the values put in.

use std::net::{Ipv4Addr, Ipv6Addr};

use flow_tests::daemon::{Daemon, Finished, decode_capture, decode_capture_with, value};
use flow_tests::packet::{Value, ipfix, v5, v9};
use flow_tests::pcap::udp_payloads;
use flow_tests::query::{flowdump, records};
use flow_tests::{captures, testdata};
use serde_json::{Value as Json, json};

const EXPORT_SECS: u32 = 1_795_264_200; // 2026-11-21T12:30:00Z
/// The same as text.
const EXPORT: &str = "2026-11-21T12:30:00.000Z";

fn collect(datagrams: &[Vec<u8>]) -> Finished {
    let mut daemon = Daemon::start();
    daemon.send(datagrams.iter().map(Vec::as_slice));
    daemon.finish()
}

/// The records that come of `datagrams`, without what differs from run to run.
fn decode(datagrams: &[Vec<u8>]) -> Vec<Json> {
    let finished = collect(datagrams);
    let mut records = records(finished.directory.path());
    for record in &mut records {
        let object = record.as_object_mut().unwrap();
        assert!(object.remove("received").is_some());
        assert_eq!(object.remove("exporter_addr"), Some(json!("127.0.0.1")));
    }
    records
}

#[track_caller]
fn check(datagrams: &[Vec<u8>], expected: &[Json]) {
    assert_eq!(decode(datagrams), expected);
}

fn v4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

#[test]
fn v5_every_field_and_uptime_across_the_wrap() {
    let header = v5::Header {
        sys_uptime_ms: 1_000, // wrapped 1 s ago
        unix_secs: EXPORT_SECS,
        unix_nsecs: 500_000_000,
        flow_sequence: 77,
        engine_type: 1,
        engine_id: 2,
        sampling_interval: 0x4000 | 100,
    };
    let record = v5::Record {
        src_addr: v4(1),
        dst_addr: v4(2),
        next_hop: v4(3),
        input: 65_534,
        output: 65_535,
        packets: 4_000_000_000,
        bytes: u32::MAX,
        first_ms: u32::MAX - 1_999, // 3 s before the export
        last_ms: 500,
        src_port: 1_024,
        dst_port: 65_535,
        tcp_flags: 0x1b,
        protocol: 6,
        tos: 0xb8,
        src_as: 64_512,
        dst_as: 65_535,
        src_mask: 24,
        dst_mask: 32,
    };
    let icmp = v5::Record { protocol: 1, dst_port: 0x0301, ..v5::Record::default() };
    let records = decode(&[v5::encode(&header, &[record, icmp])]);
    assert_eq!(
        records[0],
        json!({
            "flow_start": "2026-11-21T12:29:57.500Z", "flow_end": "2026-11-21T12:30:00.000Z",
            "src_addr": "192.0.2.1", "dst_addr": "192.0.2.2", "src_port": 1024, "dst_port": 65535,
            "protocol": 6, "tcp_flags": 27, "src_tos": 184, "packets": 4_000_000_000_u64, "bytes": 4_294_967_295_u64,
            "in_if": 65534, "out_if": 65535, "src_as": 64512, "dst_as": 65535, "src_mask": 24, "dst_mask": 32,
            "next_hop": "192.0.2.3", "export_version": 5, "engine_type": 1, "engine_id": 2, "sequence": 77,
            "export_time": "2026-11-21T12:30:00.500Z",
            "sampling_rate": 100, "sampling_source": "header",
        })
    );
    assert_eq!((&records[1]["icmp_type"], &records[1]["icmp_code"]), (&json!(3), &json!(1)));
}

#[test]
fn v9_reduced_sizes_sampler_and_padding() {
    let fields =
        [(8, 4), (12, 4), (1, 3), (2, 5), (10, 4), (48, 1), (22, 4), (21, 4), (70, 3), (71, 3), (72, 3)];
    let record = Value::new()
        .ipv4(v4(1))
        .ipv4(v4(2))
        .uint(70_000, 3)
        .uint(1 << 33, 5)
        .uint(100_000, 4)
        .uint(3, 1)
        .uint(9_000, 4)
        .uint(10_160, 4) // 160 ms after the header, as Juniper does
        .uint(0x00_3f_20, 3)
        .uint(0x00_3f_31, 3)
        .uint(0, 3)
        .encode();
    let sampler = Value::new().uint(1, 4).uint(3, 1).uint(1_000, 4).encode();
    let datagrams = [
        v9::Message::new(10_000, EXPORT_SECS, 1, 5)
            .options_template(257, &[(1, 4)], &[(48, 1), (50, 4)])
            .encode(),
        v9::Message::new(10_000, EXPORT_SECS, 2, 5).data(257, &[sampler]).encode(),
        v9::Message::new(10_000, EXPORT_SECS, 3, 5).template(256, &fields).data(256, &[record]).encode(),
    ];
    check(
        &datagrams,
        &[json!({
            "flow_start": "2026-11-21T12:29:59.000Z", "flow_end": "2026-11-21T12:30:00.160Z",
            "src_addr": "192.0.2.1", "dst_addr": "192.0.2.2", "packets": 8_589_934_592_u64, "bytes": 70_000,
            "in_if": 100_000, "mpls_labels": ["1010-0-0", "1011-0-1"], "export_version": 9, "observation_domain": 5,
            "sequence": 3, "export_time": EXPORT, "sampling_rate": 1_000, "sampling_source": "sampler", "other": {"48": "03"},
        })],
    );
}

#[test]
fn ipfix_enterprise_variable_length_and_repeated_elements() {
    use ipfix::{Field, VARIABLE};
    let fields = [
        Field::iana(27, 16),
        Field::iana(28, 16),
        Field::iana(1, 8),
        Field::iana(85, 8),
        Field::reverse(1, 4),
        Field::iana(82, VARIABLE),
        Field::iana(82, VARIABLE),
        Field::iana(371, VARIABLE),
        Field::enterprise(9, 12_235, VARIABLE),
        Field::iana(154, 8),
        Field::iana(157, 8),
        Field::iana(6, 2),
        Field::iana(95, 4),
    ];
    let long = "u".repeat(300);
    let record = Value::new()
        .ipv6(Ipv6Addr::LOCALHOST)
        .ipv6(Ipv6Addr::UNSPECIFIED)
        .uint(1_500, 8)
        .uint(99_999, 8)
        .uint(40, 4)
        .variable(b"eth0")
        .variable(b"")
        .variable(long.as_bytes())
        .variable_long(&[0xde, 0xad])
        .ntp_microseconds(u64::from(EXPORT_SECS) - 2, 250_000)
        .ntp_nanoseconds(u64::from(EXPORT_SECS) - 1, 500_000_000)
        .uint(0x0112, 2)
        .uint(13 << 24 | 479, 4)
        .encode();
    let message = ipfix::Message::new(EXPORT_SECS, 9, 42).template(256, &fields).data(256, &[record]);
    let records = decode(&[message.encode()]);
    let other = records[0]["other"].as_object().unwrap();
    assert_eq!((other["82"].as_str(), other["82#1"].as_str()), (Some("65746830"), Some("")));
    assert_eq!((other["9:12235"].as_str(), other["85"].as_str()), (Some("dead"), Some("000000000001869f")));
    assert!(other.contains_key("157"), "nanoseconds are kept whole");
    let mut record = records[0].clone();
    record.as_object_mut().unwrap().remove("other");
    assert_eq!(
        record,
        json!({
            "flow_start": "2026-11-21T12:29:58.250Z", "flow_end": "2026-11-21T12:29:59.500Z",
            "src_addr": "::1", "dst_addr": "::", "tcp_flags": 274, "bytes": 1500, "out_bytes": 40,
            "username": long, "application_id": 13_u64 << 32 | 479, "export_version": 10, "observation_domain": 42,
            "sequence": 9, "export_time": EXPORT,
        })
    );
}

#[test]
fn values_that_do_not_fit_their_column_are_kept() {
    use ipfix::Field;
    let fields =
        [Field::iana(1, 8), Field::iana(7, 4), Field::iana(8, 5), Field::iana(152, 4), Field::iana(96, 3)];
    let record = Value::new()
        .uint(u64::MAX, 8)
        .uint(0xffff_ffff, 4)
        .octets(&[1, 2, 3, 4, 5])
        .uint(7, 4)
        .octets(b"\xff\xfe\xfd")
        .encode();
    let message = ipfix::Message::new(EXPORT_SECS, 1, 0).template(256, &fields).data(256, &[record]);
    check(
        &[message.encode()],
        &[json!({
            "export_version": 10, "observation_domain": 0, "sequence": 1, "export_time": EXPORT,
            "flow_start": EXPORT, "flow_end": EXPORT, "time_source": "export",
            "other": {"1": "ffffffffffffffff", "7": "ffffffff", "8": "0102030405", "152": "00000007", "96": "fffefd"},
        })],
    );
}

#[test]
fn data_waits_for_its_template_and_keeps_its_time() {
    use ipfix::{Field, Message};
    let fields = [Field::iana(4, 1), Field::iana(158, 4)];
    let data = Message::new(EXPORT_SECS, 1, 7).data(256, &[vec![6, 0, 0x0f, 0x42, 0x40]]).encode();
    let template = Message::new(EXPORT_SECS + 60, 2, 7).template(256, &fields).encode();
    let other_domain = Message::new(EXPORT_SECS, 2, 8).template(256, &[Field::iana(1, 5)]).encode();
    let finished = collect(&[data.clone(), other_domain.clone()]);
    assert_eq!(value(&finished.metrics, "flowcap_datagrams_waiting"), 1);
    assert_eq!(value(&finished.metrics, "flowcap_records_decoded_total"), 0);
    check(
        &[data, other_domain, template],
        &[json!({
            "flow_start": "2026-11-21T12:29:59.000Z", "protocol": 6, "export_version": 10, "observation_domain": 7,
            "sequence": 1, "export_time": EXPORT,
        })],
    );
}

#[test]
fn templates_are_replaced_but_never_withdrawn_over_udp() {
    use ipfix::{Field, Message};
    let datagrams = [
        Message::new(EXPORT_SECS, 1, 7).template(256, &[Field::iana(4, 1)]).data(256, &[vec![6]]).encode(),
        Message::new(EXPORT_SECS, 2, 7).withdraw(256).encode(),
        Message::new(EXPORT_SECS, 3, 7).data(256, &[vec![17]]).encode(),
        Message::new(EXPORT_SECS, 4, 7).template(256, &[Field::iana(5, 1)]).data(256, &[vec![99]]).encode(),
    ];
    let finished = collect(&datagrams);
    assert_eq!(value(&finished.metrics, "flowcap_template_withdrawals_ignored_total"), 1);
    assert_eq!(value(&finished.metrics, "flowcap_templates"), 1);
    let records = records(finished.directory.path());
    let seen: Vec<_> =
        records.iter().map(|record| (record["protocol"].as_u64(), record["src_tos"].as_u64())).collect();
    assert_eq!(seen, [(Some(6), None), (Some(17), None), (None, Some(99))]);
}

#[test]
fn options_records_are_kept_beside_the_flows() {
    use ipfix::{Field, Message};
    let fields = [Field::iana(149, 4), Field::iana(160, 8), Field::iana(34, 4)];
    let boot_ms = u64::from(EXPORT_SECS) * 1_000 - 10_000;
    let options = Value::new().uint(7, 4).uint(boot_ms, 8).uint(512, 4).encode();
    let flow = Value::new().uint(9_000, 4).encode();
    let datagrams = [
        Message::new(EXPORT_SECS, 1, 7).options_template(300, 1, &fields).data(300, &[options]).encode(),
        Message::new(EXPORT_SECS, 2, 7).template(256, &[Field::iana(22, 4)]).data(256, &[flow]).encode(),
    ];
    let finished = collect(&datagrams);
    assert_eq!(value(&finished.metrics, "flowcap_options_records_visible_total"), 1);
    let record = &records(finished.directory.path())[0];
    assert_eq!(record["flow_start"], json!("2026-11-21T12:29:59.000Z"));
    assert_eq!((&record["sampling_rate"], &record["sampling_source"]), (&json!(512), &json!("domain")));
}

#[test]
fn a_capture_decodes_offline_as_it_does_over_udp() {
    for name in captures() {
        let path = testdata(&format!("{name}.pcap"));
        let mut daemon = Daemon::start();
        daemon.send_as(&udp_payloads(&std::fs::read(&path).unwrap()));
        let (live, offline) = (daemon.finish(), decode_capture(&path));
        // Times of arrival differ, and so does the source address where the
        // exporter was not on loopback.
        let records_of = |finished: &Finished| {
            let mut records = records(finished.directory.path());
            for record in &mut records {
                let object = record.as_object_mut().unwrap();
                object.remove("received");
                object.remove("exporter_addr");
            }
            records
        };
        assert_eq!(records_of(&live), records_of(&offline), "{name}");
        for counter in [
            "datagrams_received_total",
            "datagrams_decoded_total",
            "options_records_decoded_total",
            "templates",
        ] {
            let counter = format!("flowcap_{counter}");
            assert_eq!(
                value(&live.metrics, &counter),
                value(&offline.metrics, &counter),
                "{name}: {counter}"
            );
        }
    }
}

#[test]
fn the_operator_sets_the_rate_where_exporters_do_not_or_whatever_they_say() {
    use flow_collector::{Config, SamplingPolicy};
    let check = |name: &str, sampling, expected: (Option<u64>, Option<&str>)| {
        let config = Config { sampling, ..Config::default() };
        let finished = decode_capture_with(&testdata(&format!("{name}.pcap")), config);
        for record in records(finished.directory.path()) {
            let seen = (record["sampling_rate"].as_u64(), record["sampling_source"].as_str());
            assert_eq!(seen, expected, "{name} {sampling:?}");
        }
    };
    check("v5-softflowd", SamplingPolicy::Announced, (None, None));
    check("v5-softflowd", SamplingPolicy::Default(50), (Some(50), Some("override")));
    check("v5-softflowd-sampled", SamplingPolicy::Default(50), (Some(10), Some("header")));
    check("v5-softflowd-sampled", SamplingPolicy::Forced(50), (Some(50), Some("override")));
    check("v9-pmacctd-sampled", SamplingPolicy::Default(50), (Some(10), Some("sampler")));
    check("v9-pmacctd-sampled", SamplingPolicy::Forced(50), (Some(50), Some("override")));
}

#[test]
fn losses_are_told_by_the_files() {
    let message = |k: u32| {
        let header = v5::Header { flow_sequence: 2 * k, unix_secs: EXPORT_SECS, ..v5::Header::default() };
        v5::encode(&header, &[v5::Record::default(), v5::Record::default()])
    };
    let is_lost = |k: &u32| [12, 15, 16].contains(k);
    let finished = collect(&(0..24).filter(|k| !is_lost(k)).map(message).collect::<Vec<_>>());
    assert_eq!(value(&finished.metrics, "flowcap_sequence_lost_total{unit=\"flows\"}"), 6);
    let info = flowdump(finished.directory.path(), &["-I"]).stdout;
    assert!(info.contains("Flows: 42\n") && info.contains("Sequence failures: 2\n"), "{info}");
}

#[test]
fn exporters_are_known_by_their_address_of_either_family() {
    let offline = decode_capture(&testdata("ipfix-softflowd-ipv6-transport.pcap"));
    assert!(records(offline.directory.path()).iter().all(|record| record["exporter_addr"] == json!("::1")));
    let offline = decode_capture(&testdata("v5-ovs.pcap"));
    assert!(
        records(offline.directory.path()).iter().all(|record| record["exporter_addr"] == json!("10.0.10.14"))
    );
}
