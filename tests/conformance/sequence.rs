//! Sequence numbers: what never arrived, in which unit, and what only seems so.

use std::net::SocketAddr;

use flow_tests::packet::{ipfix, v5};

use crate::collect::{Collected, DOMAIN, EXPORT_SECS, UPTIME_MS, collect_from, exporter};
use ipfix::Field;

/// Messages in a test: enough to learn how the exporter counts.
const N_MESSAGES: u32 = 24;
/// Records in each of them.
const N_RECORDS: u32 = 3;

/// Collects messages `order` of one exporter, a second apart.
fn collect_in(order: impl Iterator<Item = u32>, message: impl Fn(u32) -> Vec<u8>) -> Collected {
    let source: SocketAddr = exporter(1, 2055);
    let datagrams: Vec<_> = order.enumerate().map(|(n, k)| (source, n as i64 / 10, message(k))).collect();
    collect_from(&datagrams)
}

/// All messages but `lost`.
fn without(lost: &[u32]) -> impl Iterator<Item = u32> {
    (0..N_MESSAGES).filter(move |k| !lost.contains(k))
}

/// Message 15 comes twice; 10 comes after 12.
fn disordered() -> impl Iterator<Item = u32> {
    (0..N_MESSAGES).flat_map(|k| match k {
        10 => vec![],
        12 => vec![12, 10],
        15 => vec![15, 15],
        k => vec![k],
    })
}

#[track_caller]
fn check(collected: &Collected, unit: &str, lost: u64, gaps: u64) {
    let count = |family: &str| collected.count(&format!("sequence_{family}_total{{unit=\"{unit}\"}}"));
    assert_eq!((count("lost") - count("recovered"), collected.count("sequence_gaps_total")), (lost, gaps));
}

fn v5_message(k: u32) -> Vec<u8> {
    let header = v5::Header { flow_sequence: k * N_RECORDS, unix_secs: EXPORT_SECS, ..v5::Header::default() };
    v5::encode(&header, &vec![v5::Record::default(); N_RECORDS as usize])
}

fn v9_message(sequence: u32, source_id: u32) -> Vec<u8> {
    let message = flow_tests::packet::v9::Message::new(UPTIME_MS, EXPORT_SECS, sequence, source_id);
    message.template(256, &[(4, 1)]).data(256, &vec![vec![6]; N_RECORDS as usize]).encode()
}

fn ipfix_message(sequence: u32) -> Vec<u8> {
    let message = ipfix::Message::new(EXPORT_SECS, sequence, DOMAIN);
    message.template(256, &[Field::iana(4, 1)]).data(256, &vec![vec![6]; N_RECORDS as usize]).encode()
}

#[test]
fn v5_02_a_gap_is_lost_flows() {
    check(&collect_in(without(&[12, 17, 18]), v5_message), "flows", 9, 2);
}

#[test]
fn v5_02_an_exporter_that_numbers_the_last_flow_loses_none() {
    let last = |k| {
        let flow_sequence = (k + 1) * N_RECORDS - 1;
        let header = v5::Header { flow_sequence, unix_secs: EXPORT_SECS, ..v5::Header::default() };
        v5::encode(&header, &vec![v5::Record::default(); N_RECORDS as usize])
    };
    check(&collect_in(without(&[]), last), "flows", 0, 0);
    check(&collect_in(without(&[12]), last), "flows", 3, 1);
}

#[test]
fn v9_01_a_gap_is_missed_packets() {
    check(&collect_in(without(&[12, 17, 18]), |k| v9_message(k, 7)), "packets", 3, 2);
}

#[test]
fn v9_01_source_ids_count_by_themselves() {
    let message = |k: u32| v9_message(k / 2 + 1_000 * (k % 2), k % 2);
    check(&collect_in(without(&[]), message), "packets", 0, 0);
}

#[test]
fn ipx_03_a_gap_is_lost_records() {
    check(&collect_in(without(&[12]), |k| ipfix_message(k * N_RECORDS)), "records", 3, 1);
}

#[test]
fn ipx_03_the_number_wraps() {
    let start = u32::MAX - 7 * N_RECORDS;
    check(&collect_in(without(&[]), |k| ipfix_message(start.wrapping_add(k * N_RECORDS))), "records", 0, 0);
}

#[test]
fn ipx_40_loss_late_messages_and_duplicates_are_told_apart() {
    let collected = collect_in(disordered(), |k| ipfix_message(k * N_RECORDS));
    check(&collected, "records", 0, 1);
    assert_eq!(collected.count("sequence_reordered_total"), 1);
    assert_eq!(collected.count("sequence_duplicates_total"), 1);
    assert_eq!(collected.count("records_decoded_total"), u64::from((N_MESSAGES + 1) * N_RECORDS));
}

#[test]
fn ipx_40_a_restart_is_no_loss_and_costs_no_template() {
    let template =
        ipfix::Message::new(EXPORT_SECS, 5_000_000, DOMAIN).template(256, &[Field::iana(4, 1)]).encode();
    let message = |k: u32| match k {
        0 => template.clone(),
        _ => {
            let sequence = if k < 12 { 5_000_000 + (k - 1) * N_RECORDS } else { (k - 12) * N_RECORDS };
            let message = ipfix::Message::new(EXPORT_SECS, sequence, DOMAIN);
            message.data(256, &vec![vec![6]; N_RECORDS as usize]).encode()
        }
    };
    let collected = collect_in(without(&[]), message);
    check(&collected, "records", 0, 0);
    assert_eq!(collected.count("sequence_resets_total"), 1);
    assert_eq!(collected.count("records_decoded_total"), u64::from((N_MESSAGES - 1) * N_RECORDS));
}
