//! NetFlow v5.

use flow_tests::packet::v5::{Header, Record, encode};
use serde_json::json;

use crate::collect::{EXPORT_SECS, UPTIME_MS, check, check_rejected, collect};

const HEADER: Header = Header {
    sys_uptime_ms: UPTIME_MS,
    unix_secs: EXPORT_SECS,
    unix_nsecs: 0,
    flow_sequence: 0,
    engine_type: 0,
    engine_id: 0,
    sampling_interval: 0,
};

fn flows(n: usize) -> Vec<u8> {
    encode(&HEADER, &vec![Record { packets: 1, ..Record::default() }; n])
}

#[test]
fn v5_01_one_to_thirty_records_are_decoded() {
    for n in [1, 2, 30] {
        assert_eq!(collect(&[flows(n)]).flows.len(), n);
    }
}

#[test]
fn v5_01_no_records_and_more_than_thirty_are_rejected() {
    check_rejected("record_count", &[flows(0), flows(31)]);
}

#[test]
fn v5_01_a_datagram_shorter_than_its_records_is_rejected_whole() {
    let whole = flows(2);
    check_rejected(
        "truncated",
        &[whole[..whole.len() - 1].into(), whole[..24 + 48].into(), whole[..23].into()],
    );
}

#[test]
fn v5_01_octets_behind_the_last_record_are_counted() {
    let collected = check(&[[flows(1), vec![1, 2, 3]].concat()], json!([{"packets": 1}]));
    assert_eq!(collected.count("trailing_bytes_total"), 3);
}

#[track_caller]
fn check_times(uptime_ms: u32, first_ms: u32, last_ms: u32, start: &str, end: &str) {
    let header = Header { sys_uptime_ms: uptime_ms, unix_nsecs: 500_000_000, ..HEADER };
    let record = Record { first_ms, last_ms, ..Record::default() };
    check(&[encode(&header, &[record])], json!([{"flow_start": start, "flow_end": end}]));
}

#[test]
fn v5_03_times_count_from_the_boot() {
    check_times(10_000, 0, 9_750, "2026-11-21T12:29:50.500Z", "2026-11-21T12:30:00.250Z");
}

#[test]
fn v5_03_an_uptime_that_wrapped_moves_no_time_into_the_future() {
    check_times(1_000, u32::MAX - 1_999, 500, "2026-11-21T12:29:57.500Z", "2026-11-21T12:30:00.000Z");
}

#[test]
fn v5_03_a_stamp_just_after_the_header_is_no_wrap() {
    check_times(u32::MAX - 99, u32::MAX - 99, 60, "2026-11-21T12:30:00.500Z", "2026-11-21T12:30:00.660Z");
}

#[track_caller]
fn check_sampling(sampling_interval: u16, expected: serde_json::Value) {
    let header = Header { sampling_interval, ..HEADER };
    check(&[encode(&header, &[Record::default()])], json!([expected]));
}

#[test]
fn v5_04_the_low_14_bits_are_the_rate() {
    check_sampling(0x4000 | 100, json!({"sampling_rate": 100, "sampling_source": "header"}));
    check_sampling(0xffff, json!({"sampling_rate": 0x3fff}));
}

#[test]
fn v5_04_a_rate_of_zero_is_unknown() {
    check_sampling(0, json!({"sampling_rate": null, "sampling_source": null}));
    check_sampling(0x4000, json!({"sampling_rate": null}));
}

#[test]
fn v5_05_padding_says_nothing() {
    let record = Record { src_port: 53, tcp_flags: 0x12, src_as: 65_535, ..Record::default() };
    let mut datagram = encode(&HEADER, &[record]);
    for padding in [24 + 36, 24 + 46, 24 + 47] {
        datagram[padding] = 0xee;
    }
    let expected = json!([{
        "src_port": 53, "tcp_flags": 0x12, "src_as": 65_535, "src_mask": 0, "dst_mask": 0, "other": null,
    }]);
    check(&[datagram], expected);
}

#[test]
fn v5_05_versions_around_it_are_unsupported() {
    let of_version = |version| [&[0, version], &flows(1)[2..]].concat();
    check_rejected("unsupported_version", &[2, 6, 8].map(of_version));
}

/// A v5 datagram as one of another version: its header, `common` octets of each record
/// and what follows them.
fn as_version(version: u8, header_rest: &[u8], record_rest: &[u8]) -> Vec<u8> {
    let datagram = flows(1);
    let (header, record) = (&datagram[..16], &datagram[24..24 + 36]);
    [&[0, version], &header[2..], header_rest, record, record_rest].concat()
}

#[test]
fn v5_05_version_1_has_neither_sequence_nor_routes() {
    let long = [0, 0, 17, 0xb8, 0x12, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
    let short = &long[..12];
    let expected = json!([{
        "export_version": 1, "protocol": 17, "src_tos": 0xb8, "tcp_flags": 0x12, "sequence": null,
        "src_as": null, "engine_id": null, "sampling_rate": null, "other": null,
    }]);
    check(&[as_version(1, &[], &long)], expected.clone());
    check(&[as_version(1, &[], short)], expected);
    check_rejected("truncated", &[as_version(1, &[], &short[1..])]);
}

#[test]
fn v5_05_version_7_names_the_router_the_switch_stands_for() {
    let rest = [0, 0x12, 6, 8, 0, 1, 0, 2, 24, 16, 0, 0, 192, 0, 2, 77];
    let expected = json!([{
        "export_version": 7, "protocol": 6, "src_tos": 8, "tcp_flags": 0x12, "sequence": 9, "src_as": 1,
        "dst_as": 2, "src_mask": 24, "dst_mask": 16, "other": {"130": "c000024d"},
    }]);
    check(&[as_version(7, &[0, 0, 0, 9, 1, 2, 3, 4], &rest)], expected);
    check_rejected("truncated", &[as_version(7, &[0, 0, 0, 9, 1, 2, 3, 4], &rest[1..])]);
}
