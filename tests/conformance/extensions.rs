//! Biflows, applications, and events of firewalls and NAT.

use flow_tests::packet::Value;
use flow_tests::packet::ipfix::{Field, VARIABLE};
use flow_tests::query::flowdump;
use serde_json::json;

use crate::collect::{Collected, check, check_ipfix_value, ipfix};

/// The line of totals below the records.
fn totals(collected: &Collected) -> String {
    let output = flowdump(collected.root(), &["-N"]);
    let summary = output.stdout.lines().find(|line| line.starts_with("Summary:"));
    summary.unwrap_or_else(|| panic!("{output:?}")).to_owned()
}

#[test]
fn bif_02_the_reverse_of_what_has_none_is_kept_apart() {
    for (element, column) in [(8, "src_addr"), (4, "direction"), (148, "flow_id")] {
        let expected =
            json!({"protocol": 6, column: null, "other": {format!("29305:{element}"): "01020304"}});
        check_ipfix_value(Field::reverse(element, 4), &[1, 2, 3, 4], expected);
    }
}

#[test]
fn bif_02_elements_of_the_future_are_treated_alike() {
    check_ipfix_value(Field::reverse(32_000, 1), &[9], json!({"other": {"29305:32000": "09"}}));
}

#[test]
fn bif_02_reversible_elements_are_the_other_direction() {
    let record = Value::new().uint(53, 2).uint(40, 4).encode();
    let message = ipfix().template(256, &[Field::iana(11, 2), Field::reverse(1, 4)]).data(256, &[record]);
    check(&[message.encode()], json!([{"out_bytes": 40, "other": null, "contributes": null}]));
}

/// Counters of both directions and a key that has none.
fn undirected() -> Collected {
    let fields = [Field::iana(4, 1), Field::iana(1, 4), Field::reverse(1, 4)];
    let record = Value::new().uint(6, 1).uint(1_500, 4).uint(40, 4).encode();
    let expected = json!([{
        "protocol": 6, "bytes": null, "out_bytes": null, "contributes": 0,
        "other": {"1": "000005dc", "29305:1": "00000028"},
    }]);
    check(&[ipfix().template(256, &fields).data(256, &[record]).encode()], expected)
}

#[test]
fn bif_01_a_biflow_without_direction_is_kept_and_counts_for_nothing() {
    let collected = undirected();
    let totals = totals(&collected);
    assert!(totals.contains("total flows: 0, total bytes: 0, total packets: 0,"), "{totals}");
    assert_eq!(collected.count("templates_undirected_total"), 1);
}

#[test]
fn bif_01_an_interface_or_a_key_of_an_enterprise_may_have_a_direction() {
    for key in [Field::iana(10, 4), Field::iana(239, 4), Field::enterprise(6_876, 880, 4)] {
        let record = Value::new().uint(1, 4).uint(1_500, 4).uint(40, 4).encode();
        let message = ipfix().template(256, &[key, Field::iana(1, 4), Field::reverse(1, 4)]);
        let expected = json!([{"bytes": 1_500, "out_bytes": 40, "contributes": null}]);
        let collected = check(&[message.data(256, &[record]).encode()], expected);
        assert_eq!(collected.count("templates_undirected_total"), 0);
    }
}

fn biflow() -> Collected {
    let fields = [
        Field::iana(1, 4),
        Field::iana(2, 4),
        Field::reverse(1, 4),
        Field::reverse(2, 4),
        Field::iana(239, 1),
    ];
    let record = Value::new().uint(1_500, 4).uint(3, 4).uint(40, 4).uint(1, 4).uint(1, 1).encode();
    let expected = json!([
        {"bytes": 1_500, "packets": 3, "out_bytes": 40, "out_packets": 1, "biflow_direction": 1}
    ]);
    check(&[ipfix().template(256, &fields).data(256, &[record]).encode()], expected)
}

#[test]
fn bif_03_a_biflow_is_one_record_with_both_directions() {
    assert_eq!(biflow().flows.len(), 1);
}

#[test]
fn bif_03_sums_count_a_biflow_once() {
    let totals = totals(&biflow());
    assert!(totals.contains("total flows: 1, total bytes: 1500, total packets: 3,"), "{totals}");
}

#[test]
fn app_01_an_application_is_engine_and_selector() {
    check_ipfix_value(Field::iana(95, 4), &[3, 0, 0, 80], json!({"application_id": 3_u64 << 32 | 80}));
    check_ipfix_value(Field::iana(95, 3), &[13, 1, 0xdf], json!({"application_id": 13_u64 << 32 | 479}));
}

#[test]
fn app_01_a_selector_has_any_width() {
    for width in 1..=8 {
        let octets = Value::new().uint(13, 1).uint(80, width).encode();
        let length = u16::try_from(octets.len()).unwrap();
        let expected = json!({"application_id": 13_u64 << 32 | 80, "other": null});
        check_ipfix_value(Field::iana(95, length), &octets, expected);
    }
}

#[test]
fn app_01_a_selector_beyond_the_column_is_kept_as_received() {
    for octets in [&[13, 1, 0, 0, 0, 0][..], &[13], &[13, 0, 0, 0, 0, 0, 0, 0, 0, 1], &[20, 0, 0, 0, 9, 1]] {
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        let length = u16::try_from(octets.len()).unwrap();
        let expected = json!({"protocol": 6, "application_id": null, "other": {"95": hex}});
        check_ipfix_value(Field::iana(95, length), octets, expected);
    }
}

#[test]
fn app_01_a_selector_with_an_enterprise_number_is_kept_as_received() {
    let octets = [20, 0, 0, 0, 9, 0, 0, 0, 1];
    let expected = json!({"protocol": 6, "application_id": null, "other": {"95": "140000000900000001"}});
    check_ipfix_value(Field::iana(95, 9), &octets, expected);
}

/// Ethernet, IPv4 from 192.0.2.1 to 192.0.2.2, UDP from 53 to 50000, no payload.
const FRAME: [u8; 42] = [
    2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, // Ethernet
    0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
    0, 53, 0xc3, 0x50, 0, 8, 0, 0, // UDP
];

#[track_caller]
fn check_frame(octets: &[u8], expected: serde_json::Value) {
    let record = Value::new().variable(octets).uint(60, 2).encode();
    let message = ipfix().template(256, &[Field::iana(315, VARIABLE), Field::iana(312, 2)]);
    check(&[message.data(256, &[record]).encode()], json!([expected]));
}

#[test]
fn l2_01_a_frame_fills_what_its_record_leaves_free() {
    check_frame(
        &FRAME,
        json!({
            "src_addr": "192.0.2.1", "dst_addr": "192.0.2.2", "src_port": 53, "dst_port": 50_000, "protocol": 17,
            "packets": 1, "bytes": 28, "layer2_bytes": 60, "min_ttl": 64, "in_src_mac": "02:00:00:00:00:01",
        }),
    );
}

#[test]
fn l2_01_a_frame_cut_off_says_what_is_there() {
    check_frame(
        &FRAME[..34],
        json!({"src_addr": "192.0.2.1", "protocol": 17, "src_port": null, "packets": 1, "bytes": 28}),
    );
    check_frame(&FRAME[..20], json!({"src_addr": null, "protocol": null, "in_src_mac": "02:00:00:00:00:01"}));
    check_frame(&[], json!({"src_addr": null, "packets": 1, "other": {"315": ""}}));
}

#[test]
fn l2_01_addresses_of_the_record_itself_count_before_those_of_a_frame() {
    let record = Value::new().octets(&[10, 0, 0, 1]).variable(&FRAME).encode();
    let message = ipfix().template(256, &[Field::iana(8, 4), Field::iana(315, VARIABLE)]);
    let expected = json!([{"src_addr": "10.0.0.1", "dst_addr": null, "packets": null, "protocol": null}]);
    check(&[message.data(256, &[record]).encode()], expected);
}
