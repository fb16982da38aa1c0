//! NetFlow v9: counters, times and sampling.

use flow_tests::packet::Value;
use flow_tests::packet::v9::{Message, scope};
use serde_json::json;

use crate::collect::{EXPORT_SECS, UPTIME_MS, check, check_flows, check_v9_value, collect, v9};

#[test]
fn v9_17_counters_have_any_width_up_to_eight_octets() {
    for width in 1..=8 {
        for (kind, column) in [(1, "bytes"), (2, "packets"), (3, "flows"), (85, "bytes")] {
            check_v9_value(kind, &Value::new().uint(200, width).encode(), json!({column: 200}));
        }
    }
}

#[test]
fn v9_17_counters_wider_than_that_are_kept_as_received() {
    let expected = json!({"protocol": 6, "bytes": null, "other": {"1": "000000000000000001"}});
    check_v9_value(1, &[0, 0, 0, 0, 0, 0, 0, 0, 1], expected);
}

#[test]
fn v9_17_a_counter_of_no_octets_is_unknown() {
    check_v9_value(1, &[], json!({"protocol": 6, "bytes": null}));
}

/// Records of this sampler id under template 256, each 5 octets.
const SAMPLED: [(u16, u16); 2] = [(4, 1), (48, 4)];

fn sampled(message: Message, samplers: &[u64]) -> Vec<u8> {
    let records = samplers.iter().map(|&id| Value::new().uint(6, 1).uint(id, 4).encode());
    message.template(256, &SAMPLED).data(256, &records.collect::<Vec<_>>()).encode()
}

#[test]
fn v9_20_a_sampler_has_its_own_rate() {
    let samplers = [(1, 100), (2, 4_000)].map(|(id, rate)| Value::new().uint(0, 4).uint(id, 1).uint(rate, 4));
    let options = v9()
        .options_template(300, &[(scope::SYSTEM, 4)], &[(48, 1), (50, 4)])
        .data(300, &samplers.map(Vec::from));
    let expected = json!([
        {"sampling_rate": 4_000, "sampling_source": "sampler"},
        {"sampling_rate": 100, "sampling_source": "sampler"},
        {"sampling_rate": null},
    ]);
    check(&[options.encode(), sampled(v9(), &[2, 1, 3])], expected);
}

#[test]
fn v9_20_a_rate_without_sampler_is_that_of_its_source_id_alone() {
    let options = v9()
        .options_template(300, &[(scope::SYSTEM, 4)], &[(34, 4), (35, 1)])
        .data(300, &[Value::new().uint(0, 4).uint(512, 4).uint(2, 1).encode()]);
    let other = Message::new(UPTIME_MS, EXPORT_SECS, 1, 99);
    let collected = collect(&[options.encode(), sampled(v9(), &[1]), sampled(other, &[1])]);
    let expected = json!([
        {"sampling_rate": 512, "sampling_source": "domain", "packets": null},
        {"sampling_rate": null},
    ]);
    check_flows(&collected, &expected);
}

#[track_caller]
fn check_times(uptime_ms: u32, fields: &[(u16, u16)], record: Value, start: &str, end: &str) {
    let packet = Message::new(uptime_ms, EXPORT_SECS, 1, 0).template(256, fields);
    check(&[packet.data(256, &[record.encode()]).encode()], json!([{"flow_start": start, "flow_end": end}]));
}

#[test]
fn v9_21_switched_times_count_from_the_boot() {
    let record = Value::new().uint(9_500, 4).uint(4_000, 4);
    let (start, end) = ("2026-11-21T12:29:54.000Z", "2026-11-21T12:29:59.500Z");
    check_times(10_000, &[(21, 4), (22, 4)], record, start, end);
}

#[test]
fn v9_21_an_uptime_that_wrapped_moves_no_time_into_the_future() {
    let record = Value::new().uint(u64::from(u32::MAX - 999), 4).uint(2_160, 4);
    let (start, end) = ("2026-11-21T12:29:57.000Z", "2026-11-21T12:30:00.160Z");
    check_times(2_000, &[(22, 4), (21, 4)], record, start, end);
}

#[test]
fn v9_21_absolute_times_come_first() {
    let millis = u64::from(EXPORT_SECS) * 1_000;
    let record = Value::new().uint(1, 4).uint(2, 4).uint(millis - 2_000, 8).uint(millis - 1_000, 8);
    let (start, end) = ("2026-11-21T12:29:58.000Z", "2026-11-21T12:29:59.000Z");
    check_times(10_000, &[(22, 4), (21, 4), (152, 8), (153, 8)], record, start, end);
}
