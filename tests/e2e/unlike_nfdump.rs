//! Where nfdump is known to be wrong: the right value of each.

use std::path::{Path, PathBuf};

use flow_tests::daemon::{Daemon, Finished, decode_capture, value};
use flow_tests::packet::ipfix::{Field, Message, VARIABLE};
use flow_tests::packet::{Value, v9};
use flow_tests::query::records;
use flow_tests::testdata;
use serde_json::{Value as Json, json};

/// Export time of the messages below: 2026-11-21T12:30:00Z.
const EXPORT_SECS: u32 = 1_795_264_200;

fn message() -> Message {
    Message::new(EXPORT_SECS, 0, 7)
}

fn collect(datagrams: &[Vec<u8>]) -> Finished {
    let mut daemon = Daemon::start();
    daemon.send(datagrams.iter().map(Vec::as_slice));
    daemon.finish()
}

/// The one flow record of a message has these fields.
#[track_caller]
fn check(datagram: Vec<u8>, expected: &Json) {
    let finished = collect(&[datagram]);
    let flows = records(finished.directory.path());
    assert_eq!(flows.len(), 1, "{flows:#?}");
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(flows[0][name], *value, "{name} of {flows:#?}");
    }
}

fn sum(flows: &[Json], name: &str) -> u64 {
    flows.iter().filter_map(|flow| flow[name].as_u64()).sum()
}

/// nfdump shows the totals (85, 86) of Open vSwitch, which are those of the whole exporter.
#[test]
fn totals_of_open_vswitch_are_not_the_flows() {
    let fields = [1, 2, 85, 86].map(|id| Field::iana(id, 8));
    let record = Value::new().uint(840, 8).uint(10, 8).uint(700_000, 8).uint(9_000, 8).encode();
    let totals = json!({"85": "00000000000aae60", "86": "0000000000002328"});
    let expected = json!({"bytes": 840, "packets": 10, "other": totals});
    check(message().template(256, &fields).data(256, &[record]).encode(), &expected);

    // Figures of tshark, elements 1 and 2.
    for (name, octets, packets) in [("ipfix-ovs", 683_050, 1_418), ("ipfix-ovs-perflow", 249_696, 530)] {
        let finished = decode_capture(&testdata(&format!("{name}.pcap")));
        let flows = records(finished.directory.path());
        assert_eq!((sum(&flows, "bytes"), sum(&flows, "packets")), (octets, packets), "{name}");
    }
}

/// nfdump leaves the times of elements 154 and 155 out, and shows 1970.
#[test]
fn microseconds_are_times() {
    let fields = [Field::iana(154, 8), Field::iana(155, 8)];
    let secs = u64::from(EXPORT_SECS);
    let record =
        Value::new().ntp_microseconds(secs - 2, 250_000).ntp_microseconds(secs - 1, 750_000).encode();
    let expected = json!({"flow_start": "2026-11-21T12:29:58.250Z", "flow_end": "2026-11-21T12:29:59.750Z"});
    check(message().template(256, &fields).data(256, &[record]).encode(), &expected);
}

/// nfdump takes the last of elements that repeat. The first is that of the outer
/// header (Cisco, SRv6), or of ingress (Open vSwitch); the others are kept.
#[test]
fn the_first_of_repeated_elements_is_the_outer_one() {
    let fields = [
        Field::iana(27, 16),
        Field::iana(4, 1),
        Field::iana(5, 1),
        Field::iana(8, 4),
        Field::iana(4, 1),
        Field::iana(5, 1),
        Field::iana(82, VARIABLE),
        Field::iana(82, VARIABLE),
    ];
    let record = Value::new()
        .ipv6("2001:db8::1".parse().unwrap())
        .uint(4, 1)
        .uint(0xb8, 1)
        .ipv4("192.0.2.1".parse().unwrap())
        .uint(17, 1)
        .uint(0, 1)
        .variable(b"eth0")
        .variable(b"eth1")
        .encode();
    let other = json!({"4#1": "11", "5#1": "00", "8": "c0000201", "82": "65746830", "82#1": "65746831"});
    let expected = json!({"src_addr": "2001:db8::1", "protocol": 4, "src_tos": 0xb8});
    let datagram = message().template(256, &fields).data(256, &[record]).encode();
    check(datagram.clone(), &expected);
    let finished = collect(&[datagram]);
    let flows = records(finished.directory.path());
    for (key, value) in other.as_object().unwrap() {
        assert_eq!(flows[0]["other"][key], *value, "{key} of {flows:#?}");
    }
}

/// nfdump reads 231 and 232 in NetFlow v9 and not in IPFIX.
#[test]
fn octets_of_initiator_and_responder_count() {
    let expected = json!({"bytes": 1_500, "out_bytes": 40_000});
    let records = [Value::new().uint(1_500, 8).uint(40_000, 8).encode()];
    let fields = [Field::iana(231, 8), Field::iana(232, 8)];
    check(message().template(256, &fields).data(256, &records).encode(), &expected);
    let packet = v9::Message::new(10_000, EXPORT_SECS, 0, 7);
    check(packet.template(256, &[(231, 8), (232, 8)]).data(256, &records).encode(), &expected);
}

/// nfdump says 1970 where it knows no time; the message knows better.
#[test]
fn no_time_is_not_1970() {
    let without = [Field::iana(4, 1)];
    let exported = "2026-11-21T12:30:00.000Z";
    let unknown =
        json!({"flow_start": exported, "flow_end": exported, "time_source": "export", "protocol": 6});
    check(message().template(256, &without).data(256, &[vec![6]]).encode(), &unknown);
    // Relative to a boot nobody told.
    let relative = [Field::iana(4, 1), Field::iana(22, 4), Field::iana(21, 4)];
    let record = Value::new().uint(6, 1).uint(5_000, 4).uint(6_000, 4).encode();
    check(message().template(256, &relative).data(256, &[record]).encode(), &unknown);
    // A stamp of zero (RFC 5905 §6).
    let stamps = [Field::iana(4, 1), Field::iana(154, 8), Field::iana(155, 8)];
    let record = Value::new().uint(6, 1).uint(0, 8).uint(0, 8).encode();
    check(message().template(256, &stamps).data(256, &[record]).encode(), &unknown);
}

fn options_files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let below = |path: PathBuf| if path.is_dir() { options_files(&path) } else { vec![path] };
    entries.flat_map(below).collect()
}

/// nfdump takes from options data what it knows, of the first template and record.
#[test]
fn all_options_data_is_kept() {
    let datagram = message()
        .options_template(256, 1, &[Field::iana(10, 4), Field::iana(82, VARIABLE)])
        .options_template(257, 1, &[Field::iana(149, 4), Field::iana(41, 8), Field::iana(40, 8)])
        .data(256, &[1, 2].map(|id| Value::new().uint(id, 4).variable(b"eth").encode()))
        .data(257, &[Value::new().uint(7, 4).uint(12, 8).uint(3_400, 8).encode()])
        .encode();
    let finished = collect(&[datagram]);
    assert_eq!(value(&finished.metrics, "flowcap_options_records_decoded_total"), 3);
    assert_eq!(records(finished.directory.path()), Vec::<Json>::new());
    let files = options_files(&finished.directory.path().join(".flowcap/options"));
    let kept: Vec<_> =
        files.iter().flat_map(|file| records(file)).map(|record| record["other"].clone()).collect();
    let expected = [
        json!({"10": "00000001", "82": "657468"}),
        json!({"10": "00000002", "82": "657468"}),
        json!({"149": "00000007", "41": "000000000000000c", "40": "0000000000000d48"}),
    ];
    assert_eq!(kept, expected);
}

/// nfdump does not look at the length in the header of IPFIX: where it is two
/// octets short, the last set overruns the message, which is malformed (RFC 7011 §9.1).
#[test]
fn a_header_two_octets_short_is_malformed() {
    let whole = message().template(256, &[Field::iana(4, 1)]).data(256, &[vec![6], vec![17], vec![1]]);
    let length = u16::try_from(whole.encode().len()).unwrap();
    let short = whole.with_length(length - 2).encode();
    let n_rejected = |datagram: Vec<u8>, n_flows: usize| {
        let finished = collect(&[datagram]);
        assert_eq!(records(finished.directory.path()).len(), n_flows);
        value(&finished.metrics, "flowcap_datagrams_received_total")
            - value(&finished.metrics, "flowcap_datagrams_decoded_total")
    };
    assert_eq!(n_rejected(short.clone(), 0), 1);
    // Nor is a header of 14 octets one.
    assert_eq!(n_rejected(short[..14].to_vec(), 0), 1);
}
