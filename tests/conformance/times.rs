//! Flows that tell no time, or one that counts from nothing known.

use flow_tests::packet::Value;
use flow_tests::packet::ipfix::Field;
use flow_tests::packet::v9::Message;
use flow_tests::query::flowdump;
use serde_json::{Value as Json, json};

use crate::collect::{
    EXPORT_SECS, UPTIME_MS, check, check_flows, collect, collect_from, exporter, ipfix, v9,
};

const EXPORT: &str = "2026-11-21T12:30:00.000Z";

/// The times of a flow that has them from elsewhere.
fn fallen_back(source: &str, at: &str) -> Json {
    json!({"flow_start": at, "flow_end": at, "time_source": source})
}

#[test]
fn v9_21_a_flow_without_times_has_that_of_its_packet() {
    let packet = v9().template(256, &[(4, 1)]).data(256, &[vec![6], vec![17], vec![1]]).encode();
    let flow = fallen_back("export", EXPORT);
    let collected = check(&[packet], json!([flow, flow, flow]));
    assert_eq!(collected.column("export_time"), [EXPORT; 3]);
}

#[test]
fn v9_21_windows_and_filters_find_it_there() {
    let packet = v9().template(256, &[(4, 1)]).data(256, &[vec![6]]).encode();
    let collected = collect(&[packet]);
    let found = |args: &[&str]| {
        let args = [&["--utc", "-o", "ndjson"], args].concat();
        flowdump(collected.root(), &args).stdout.lines().count()
    };
    assert_eq!(found(&["-t", "2026/11/21.12:29:59-2026/11/21.12:30:01"]), 1);
    assert_eq!(found(&["-t", "2026/11/21.12:31:00-2026/11/21.12:32:00"]), 0);
    assert_eq!(found(&["first seen > 2026-11-21T12:29:59Z"]), 1);
    assert_eq!(found(&["last seen > 2026-11-21T12:30:01Z"]), 0);
}

#[test]
fn v9_21_an_event_without_times_has_its_own() {
    let millis = (u64::from(EXPORT_SECS) - 2) * 1_000;
    let record = Value::new().uint(2, 1).uint(millis, 8).encode();
    let packet = v9().template(256, &[(230, 1), (323, 8)]).data(256, &[record]).encode();
    check(&[packet], json!([fallen_back("event", "2026-11-21T12:29:58.000Z")]));
}

#[test]
fn v9_21_one_of_both_times_is_left_alone() {
    let packet = v9().template(256, &[(22, 4)]).data(256, &[Value::new().uint(9_000, 4).encode()]).encode();
    let expected = json!([{"flow_start": "2026-11-21T12:29:59.000Z", "flow_end": null, "time_source": null}]);
    check(&[packet], expected);
}

#[test]
fn v9_21_a_clock_that_was_never_set_gives_no_time() {
    let packet = Message::new(UPTIME_MS, 0, 1, 7).template(256, &[(4, 1)]).data(256, &[vec![6]]).encode();
    let collected = collect_from(&[(exporter(1, 2055), 0, packet)]);
    check_flows(&collected, &json!([fallen_back("received", EXPORT)]));
    assert_eq!(collected.column("export_time"), ["1970-01-01T00:00:00.000Z"]);
}

/// Uptimes of IPFIX without the start they count from, as MikroTik sends them.
#[test]
fn v9_21_uptimes_that_count_from_nothing_are_no_times() {
    let fields = [Field::iana(4, 1), Field::iana(22, 4), Field::iana(21, 4)];
    let record = Value::new().uint(6, 1).uint(7_000, 4).uint(9_000, 4).encode();
    let collected = check(
        &[ipfix().template(256, &fields).data(256, &[record]).encode()],
        json!([fallen_back("export", EXPORT)]),
    );
    assert_eq!(collected.column("other"), [json!({"22": "00001b58", "21": "00002328"})]);
}

#[test]
fn v9_21_flows_of_one_set_may_tell_their_times_or_not() {
    let fields = [Field::iana(154, 8)];
    let ntp = u64::from(EXPORT_SECS) - 60 + 2_208_988_800;
    let records = [vec![0; 8], Value::new().uint(ntp, 4).uint(0, 4).encode(), vec![0; 8]];
    let flow = fallen_back("export", EXPORT);
    let expected = json!([
        flow,
        {"flow_start": "2026-11-21T12:29:00.000Z", "flow_end": null, "time_source": null},
        flow,
    ]);
    check(&[ipfix().template(256, &fields).data(256, &records).encode()], expected);
}

/// A packet sent `after_secs` with this uptime, of a flow that began a second after the boot.
fn of_uptime(after_secs: u32, uptime_ms: u32) -> Vec<u8> {
    Message::new(uptime_ms, EXPORT_SECS + after_secs, after_secs, 7)
        .template(256, &[(22, 4), (21, 4)])
        .data(256, &[Value::new().uint(1_000, 4).uint(2_000, 4).encode()])
        .encode()
}

#[test]
fn v9_21_an_uptime_that_stands_still_gives_no_times() {
    let packets = [of_uptime(0, 5_000), of_uptime(60, 5_000), of_uptime(120, 5_000), of_uptime(180, 65_000)];
    let expected = json!([
        {"flow_start": "2026-11-21T12:29:56.000Z", "flow_end": "2026-11-21T12:29:57.000Z", "time_source": null},
        fallen_back("export", "2026-11-21T12:31:00.000Z"),
        fallen_back("export", "2026-11-21T12:32:00.000Z"),
        {"flow_start": "2026-11-21T12:31:56.000Z", "flow_end": "2026-11-21T12:31:57.000Z", "time_source": null},
    ]);
    check(&packets, expected);
}
