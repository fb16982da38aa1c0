//! Events of firewalls and NAT beside flows.

use flow_tests::packet::Value;
use flow_tests::packet::ipfix::Field;
use flow_tests::query::flowdump;
use serde_json::{Value as Json, json};

use crate::collect::{Collected, EXPORT_SECS, check, check_flows, collect, ipfix, v9};

/// The answer of flowdump without its head of times and its foot.
fn answer(collected: &Collected, args: &[&str]) -> String {
    flowdump(collected.root(), args).stdout
}

/// The line of totals below the records.
fn summary(collected: &Collected) -> String {
    let text = answer(collected, &["-N"]);
    text.lines().find(|line| line.starts_with("Summary:")).unwrap().to_owned()
}

/// A translation that counts no packets.
fn translation() -> Collected {
    let fields = [Field::iana(230, 1), Field::iana(225, 4), Field::iana(323, 8)];
    let millis = u64::from(EXPORT_SECS) * 1_000;
    let record = Value::new().uint(4, 1).octets(&[192, 0, 2, 9]).uint(millis, 8).encode();
    let expected = json!([{
        "nat_event": 4, "post_nat_src_addr": "192.0.2.9", "event_time": "2026-11-21T12:30:00.000Z",
        "bytes": null, "packets": null, "contributes": 0,
    }]);
    check(&[ipfix().template(256, &fields).data(256, &[record]).encode()], expected)
}

#[test]
fn nat_01_an_event_has_its_number_and_no_counters() {
    assert_eq!(translation().column("nat_event"), [json!(4)]);
}

#[test]
fn nat_01_an_event_is_no_flow_in_sums() {
    let collected = translation();
    let summary = summary(&collected);
    assert!(summary.contains("total flows: 0, total bytes: 0, total packets: 0,"), "{summary}");
    assert!(summary.ends_with(", events: 1"), "{summary}");
    let info = answer(&collected, &["-I"]);
    assert!(info.contains("\nFlows: 0\n") && info.contains("\nEvents: 1\n"), "{info}");
}

#[test]
fn nat_01_an_event_is_no_group_of_flows_but_can_be_counted_as_event() {
    let collected = translation();
    assert_eq!(answer(&collected, &["-s", "natsrcip", "-o", "ndjson"]), "");
    assert_eq!(answer(&collected, &["-s", "record", "-o", "ndjson"]), "");
    let counted: Json = serde_json::from_str(&answer(&collected, &["-s", "nat", "-o", "ndjson"])).unwrap();
    assert_eq!(
        (&counted["value"], &counted["flows"], &counted["flows_percent"]),
        (&json!(4), &json!(1), &json!(100.0))
    );
}

/// Records of an event with its packets and octets.
fn with_counters(element: u16, records: &[(u64, u64)]) -> Collected {
    let fields = [(4, 1), (element, 1), (2, 4), (1, 4)];
    let encode = |&(event, count): &(u64, u64)| {
        Value::new().uint(6, 1).uint(event, 1).uint(count, 4).uint(40 * count, 4).encode()
    };
    let records: Vec<_> = records.iter().map(encode).collect();
    collect(&[v9().template(256, &fields).data(256, &records).encode()])
}

#[test]
fn nat_01_an_event_whose_counters_are_zero_keeps_them_and_is_no_flow() {
    for element in [230, 233] {
        let collected = with_counters(element, &[(1, 0), (2, 3)]);
        let expected = json!([
            {"packets": 0, "bytes": 0, "contributes": 0},
            {"packets": 3, "bytes": 120, "contributes": null},
        ]);
        check_flows(&collected, &expected);
        let summary = summary(&collected);
        assert!(summary.contains("total flows: 1, total bytes: 120, total packets: 3,"), "{summary}");
    }
}

#[test]
fn nat_01_a_field_for_events_makes_no_event_of_a_flow() {
    // Palo Alto's templates have the field for all flows; 0 is no event.
    let collected = with_counters(233, &[(0, 0), (0, 2)]);
    check_flows(&collected, &json!([{"contributes": null}, {"contributes": null}]));
    let summary = summary(&collected);
    assert!(summary.contains("total flows: 2,") && !summary.contains("events"), "{summary}");
    assert!(!answer(&collected, &["-I"]).contains("Events"));
}

/// An event of a connection of a Cisco firewall: seconds after the export time, event,
/// number of the connection, octets in both directions.
type Nsel = (u64, u64, u64, u64);

const CREATE: u64 = 1;
const TEARDOWN: u64 = 2;
const DENY: u64 = 3;
const UPDATE: u64 = 5;

/// One packet of events, in the templates of such a firewall.
fn nsel(events: &[Nsel]) -> Vec<u8> {
    let with = [(148, 4), (4, 1), (233, 1), (33_002, 2), (323, 8), (231, 4), (232, 4)];
    let without = &with[..5];
    let mut packet = v9().template(263, &with).template(256, without);
    for &(after_secs, event, id, octets) in events {
        let millis = (u64::from(EXPORT_SECS) + after_secs) * 1_000;
        let head = Value::new().uint(id, 4).uint(6, 1).uint(event, 1).uint(0, 2).uint(millis, 8);
        packet = match event {
            CREATE | DENY => packet.data(256, &[head.encode()]),
            _ => packet.data(263, &[head.uint(octets, 4).uint(octets / 2, 4).encode()]),
        };
    }
    packet.encode()
}

/// Which of the events count, and the flows, octets and events of sums.
#[track_caller]
fn check_nsel(packets: &[&[Nsel]], contributes: &[u8], sums: (u64, u64, u64)) {
    let collected = collect(&packets.iter().map(|events| nsel(events)).collect::<Vec<_>>());
    assert_eq!(json!(collected.column("contributes")), json!(contributes), "{packets:?}");
    let text = answer(&collected, &["-I", "-o", "ndjson"]);
    let info: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&info["flows"], &info["bytes"], &info["events"]),
        (&json!(sums.0), &json!(sums.1), &json!(sums.2))
    );
    let summary = summary(&collected);
    let expected = format!("total flows: {}, total bytes: {},", sums.0, sums.1);
    assert!(summary.contains(&expected), "{summary}");
    let events = if sums.2 > 0 { format!(", events: {}", sums.2) } else { "avg bpp: 0".into() };
    assert!(summary.ends_with(&events), "{summary}");
    let text = answer(&collected, &["-s", "proto/bytes", "-o", "ndjson"]);
    let counted = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()["bytes"].clone());
    assert_eq!(counted.collect::<Vec<_>>(), [json!(sums.1)]);
}

#[test]
fn nat_01_a_short_connection_counts_by_its_teardown() {
    check_nsel(&[&[(0, CREATE, 7, 0), (5, TEARDOWN, 7, 100)]], &[0, 1], (1, 100, 1));
    check_nsel(&[&[(0, CREATE, 7, 0)], &[(5, TEARDOWN, 7, 100)]], &[0, 1], (1, 100, 1));
}

#[test]
fn nat_01_a_long_connection_counts_by_its_updates() {
    let events = [(0, CREATE, 7, 0), (60, UPDATE, 7, 300), (90, UPDATE, 7, 50), (90, TEARDOWN, 7, 350)];
    check_nsel(&[&events], &[0, 1, 1, 0], (2, 350, 2));
    let [a, b, c, d] = events;
    check_nsel(&[&[a], &[b], &[d], &[c]], &[0, 1, 0, 1], (2, 350, 2));
}

#[test]
fn nat_01_without_updates_every_teardown_counts() {
    let teardowns = [(5, TEARDOWN, 7, 100), (6, TEARDOWN, 8, 100), (900, TEARDOWN, 7, 100)];
    check_nsel(&[&teardowns], &[1, 1, 1], (3, 300, 0));
}

#[test]
fn nat_01_connections_are_told_apart_by_number() {
    let events = [(60, UPDATE, 7, 300), (70, TEARDOWN, 8, 40), (80, TEARDOWN, 7, 300)];
    check_nsel(&[&events], &[1, 1, 0], (2, 340, 1));
}

#[test]
fn nat_01_what_was_denied_is_an_event() {
    check_nsel(&[&[(0, DENY, 0, 0), (1, TEARDOWN, 9, 10)]], &[0, 1], (1, 10, 1));
}

#[test]
fn nat_01_counters_that_are_deltas_count_with_every_event() {
    // Palo Alto numbers its sessions as well, but tells nothing twice.
    let fields = [(148, 4), (4, 1), (233, 1), (2, 4), (1, 4)];
    let record =
        |event, bytes| Value::new().uint(7, 4).uint(6, 1).uint(event, 1).uint(1, 4).uint(bytes, 4).encode();
    let packet = v9().template(256, &fields).data(256, &[record(UPDATE, 300), record(TEARDOWN, 50)]);
    let collected = check(&[packet.encode()], json!([{"contributes": null}, {"contributes": null}]));
    assert!(summary(&collected).contains("total flows: 2, total bytes: 350,"));
}
