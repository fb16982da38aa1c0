//! IPFIX: what the octets of a value mean.

use flow_common::element::{ELEMENTS, lookup};
use flow_tests::packet::Value;
use flow_tests::packet::ipfix::{Field, Message, VARIABLE};
use serde_json::json;

use crate::collect::{check, check_ipfix_value, ipfix};

/// First second of NTP era 1, in 2036.
const ERA_1_SECS: u32 = 2_085_978_496;

#[track_caller]
fn check_ntp(export_secs: u32, ntp_secs: u64, expected: &str) {
    for element in [154, 156] {
        let record = Value::new().uint(ntp_secs, 4).uint(0, 4).encode();
        let message = Message::new(export_secs, 1, 0).template(256, &[Field::iana(element, 8)]);
        check(&[message.data(256, &[record]).encode()], json!([{"flow_start": expected}]));
    }
}

#[test]
fn ipx_14_ntp_times_are_of_the_era_of_their_message() {
    check_ntp(ERA_1_SECS + 60, 2, "2036-02-07T06:28:18.000Z");
}

#[test]
fn ipx_14_a_flow_may_begin_in_the_era_before() {
    check_ntp(ERA_1_SECS + 60, 0xffff_fffe, "2036-02-07T06:28:14.000Z");
    check_ntp(ERA_1_SECS - 60, 0xffff_ff00, "2036-02-07T06:24:00.000Z");
}

#[test]
fn ipx_14_seconds_are_of_the_era_of_the_collector() {
    let arrival = i64::from(u32::MAX - 50 - crate::collect::EXPORT_SECS);
    let message = Message::new(100, 1, 7)
        .template(256, &[Field::iana(150, 4)])
        .data(256, &[90u32.to_be_bytes().to_vec()])
        .encode();
    let collected = crate::collect::collect_from(&[(crate::collect::exporter(1, 4739), arrival, message)]);
    assert_eq!(collected.column("flow_start"), ["2106-02-07T06:29:46.000Z"]);
}

#[test]
fn ipx_15_booleans_are_kept_as_received() {
    for octet in [1, 2, 0, 255] {
        check_ipfix_value(Field::iana(276, 1), &[octet], json!({"other": {"276": format!("{octet:02x}")}}));
    }
}

#[test]
fn ipx_15_booleans_fill_no_number() {
    check_ipfix_value(Field::iana(276, 1), &[1], json!({"protocol": 6, "packets": null, "flows": null}));
}

#[test]
fn ipx_15_only_1_and_2_mean_something() {
    for (octets, expected) in [
        (&[1][..], "= 01 dataRecordsReliability true"),
        (&[2], "= 02 dataRecordsReliability false"),
        (&[0], "= 00 dataRecordsReliability invalid"),
        (&[3], "= 03 dataRecordsReliability invalid"),
        (&[0, 1], "= 0001 dataRecordsReliability invalid"),
    ] {
        let length = u16::try_from(octets.len()).unwrap();
        let message = ipfix().template(256, &[Field::iana(276, length)]).data(256, &[octets.to_vec()]);
        let collected = crate::collect::collect(&[message.encode()]);
        let text = flow_tests::query::flowdump(collected.root(), &["-o", "raw"]).stdout;
        assert!(text.contains(&format!("element 276 {expected}\n")), "{text}");
    }
}

#[test]
fn ipx_16_text_is_utf_8() {
    let name = "Jörg 日本";
    let octets = Value::new().variable(name.as_bytes()).encode();
    check_ipfix_value(Field::iana(371, VARIABLE), &octets, json!({"username": name, "other": null}));
}

#[test]
fn ipx_16_ill_formed_text_is_no_text_and_kept_as_received() {
    for (octets, hex) in
        [(&[0xff, 0xfe][..], "fffe"), (&[b'a', 0xc3], "61c3"), (&[0xed, 0xa0, 0x80], "eda080")]
    {
        let value = Value::new().variable(octets).encode();
        check_ipfix_value(
            Field::iana(371, VARIABLE),
            &value,
            json!({"protocol": 6, "username": null, "other": {"371": hex}}),
        );
    }
}

/// 12:29:58 and half a second, and a bit more than two ignored units of 0.48 µs.
fn ntp_stamp(low_bits: u64) -> Vec<u8> {
    Value::new().uint(1_795_264_198 + 2_208_988_800, 4).uint(0x8000_0800 | low_bits, 4).encode()
}

#[test]
fn ipx_17_the_low_11_bits_of_microseconds_are_ignored() {
    for low_bits in [0, 1, 0x7ff] {
        let expected = json!({"flow_start": "2026-11-21T12:29:58.500Z"});
        check_ipfix_value(Field::iana(154, 8), &ntp_stamp(low_bits), expected);
    }
}

#[test]
fn ipx_17_those_of_nanoseconds_are_not() {
    let expected = json!({"flow_start": "2026-11-21T12:29:58.500001Z"});
    check_ipfix_value(Field::iana(156, 8), &ntp_stamp(0x7ff), expected);
}

#[test]
fn ipx_18_integers_have_any_width_up_to_their_own() {
    for width in 1..=8 {
        let octets = Value::new().uint(77, width).encode();
        let length = u16::try_from(width).unwrap();
        check_ipfix_value(Field::iana(1, length), &octets, json!({"bytes": 77}));
    }
    for width in 1..=4 {
        let octets = Value::new().uint(77, width).encode();
        let length = u16::try_from(width).unwrap();
        check_ipfix_value(Field::iana(10, length), &octets, json!({"in_if": 77}));
        check_ipfix_value(Field::iana(16, length), &octets, json!({"src_as": 77}));
    }
}

#[test]
fn ipx_18_a_float64_may_have_four_octets() {
    let wide = Value::new().float64(0.01).encode();
    check_ipfix_value(Field::iana(311, 8), &wide, json!({"sampling_rate": 100}));
    check_ipfix_value(Field::iana(311, 4), &0.01_f32.to_be_bytes(), json!({"sampling_rate": 100}));
}

#[test]
fn ipx_18_the_sign_of_a_short_integer_is_kept() {
    check_ipfix_value(
        Field::iana(434, 1),
        &Value::new().int(-2, 1).encode(),
        json!({"other": {"434": "fe"}}),
    );
}

#[test]
fn ipx_18_integers_wider_than_eight_octets_are_no_number() {
    check_ipfix_value(Field::iana(1, 9), &[1; 9], json!({"protocol": 6, "bytes": null}));
}

/// A value that is no number, sent in `octets`, is NULL and kept as received.
#[track_caller]
fn check_invalid(element: u16, column: &str, octets: &[u8]) {
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let length = u16::try_from(octets.len()).unwrap();
    let expected = json!({"protocol": 6, column: null, "other": {element.to_string(): hex}});
    check_ipfix_value(Field::iana(element, length), octets, expected);
}

#[test]
fn ipx_19_addresses_are_never_shortened() {
    check_invalid(8, "src_addr", &[192, 0, 2]);
    check_invalid(28, "dst_addr", &[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1]);
    check_invalid(27, "src_addr", &[192, 0, 2, 1]);
    check_invalid(8, "src_addr", &[0; 16]);
    check_invalid(56, "in_src_mac", &[2, 0, 0, 0, 1]);
}

#[test]
fn ipx_19_times_are_never_shortened() {
    for (element, octets) in
        [(150, &[0, 1][..]), (152, &[0, 0, 0, 1]), (154, &[0, 0, 0, 1]), (156, &[0, 0, 0, 1])]
    {
        let length = u16::try_from(octets.len()).unwrap();
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        let other = json!({element.to_string(): hex});
        check_ipfix_value(
            Field::iana(element, length),
            octets,
            json!({"time_source": "export", "other": other}),
        );
    }
}

#[test]
fn ipx_19_at_full_length_they_are_read() {
    check_ipfix_value(Field::iana(8, 4), &[192, 0, 2, 1], json!({"src_addr": "192.0.2.1", "other": null}));
    check_ipfix_value(Field::iana(56, 6), &[2, 0, 0, 0, 0, 1], json!({"in_src_mac": "02:00:00:00:00:01"}));
    let secs = crate::collect::EXPORT_SECS.to_be_bytes();
    check_ipfix_value(Field::iana(150, 4), &secs, json!({"flow_start": "2026-11-21T12:30:00.000Z"}));
}

#[test]
fn ipx_38_elements_nobody_knows_are_noted_with_their_value() {
    let fields = [Field::iana(4, 1), Field::iana(32_000, 2), Field::enterprise(4_000_000_000, 77, VARIABLE)];
    let record = Value::new().uint(6, 1).uint(258, 2).variable(b"?").encode();
    let other = json!({"32000": "0102", "4000000000:77": "3f"});
    check(
        &[ipfix().template(256, &fields).data(256, &[record]).encode()],
        json!([{"protocol": 6, "other": other}]),
    );
}

#[test]
fn ipx_38_an_enterprise_element_is_not_the_iana_element_of_its_number() {
    let expected = json!({"protocol": 6, "src_port": null, "other": {"9:7": "0050"}});
    check_ipfix_value(Field::enterprise(9, 7, 2), &[0, 80], expected);
}

#[test]
fn inf_01_the_registry_in_the_source_is_the_one_compiled_in() {
    let csv = include_str!("../../common/registry/iana-ipfix.csv");
    let rows = csv.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let in_source: Vec<_> = rows.map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    let compiled: Vec<_> = ELEMENTS.iter().map(|row| (row.id.to_string(), row.name.to_owned())).collect();
    assert_eq!(in_source, compiled);
    assert_eq!(lookup(1).unwrap().name, "octetDeltaCount");
}

#[test]
fn inf_01_an_element_outside_the_registry_is_none() {
    assert!(lookup(0).is_none() && lookup(32_000).is_none());
    check_ipfix_value(Field::iana(32_000, 1), &[1], json!({"protocol": 6, "other": {"32000": "01"}}));
}

#[test]
fn inf_02_counters_that_are_no_deltas_say_so() {
    for (element, kind) in
        [(1, json!(null)), (23, json!("post")), (85, json!("total")), (231, json!("initiator"))]
    {
        let expected = json!({"bytes": 200, "counter_kind": kind});
        check_ipfix_value(Field::iana(element, 4), &[0, 0, 0, 200], expected);
    }
    check_ipfix_value(Field::iana(7, 2), &[0, 80], json!({"bytes": null, "counter_kind": null}));
}

#[test]
fn inf_02_totals_never_mix_with_deltas() {
    let fields = [Field::iana(85, 8), Field::iana(86, 8), Field::iana(1, 4), Field::iana(2, 4)];
    let record = Value::new().uint(90_000, 8).uint(900, 8).uint(1_500, 4).uint(2, 4).encode();
    let other = json!({"85": "0000000000015f90", "86": "0000000000000384"});
    check(
        &[ipfix().template(256, &fields).data(256, &[record]).encode()],
        json!([{"bytes": 1_500, "packets": 2, "other": other}]),
    );
}

#[test]
fn inf_02_octets_of_one_kind_are_not_joined_by_packets_of_another() {
    let fields = [Field::iana(1, 4), Field::iana(86, 8)];
    let record = Value::new().uint(1_500, 4).uint(900, 8).encode();
    check(
        &[ipfix().template(256, &fields).data(256, &[record]).encode()],
        json!([{"bytes": 1_500, "packets": null, "other": {"86": "0000000000000384"}}]),
    );
}
