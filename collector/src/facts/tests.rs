//! Tests of what is learned from options data, and of its bounds.

use flow_common::column::ColumnId;

use super::*;

const NOON: i64 = 1_795_262_400;

/// One options data record: elements as `(pen, id, octets)`.
type Fields<'a> = &'a [(u32, u16, &'a [u8])];

fn append(batch: &mut FlowBatch, addr: Addr16, received_secs: i64, fields: Fields<'_>) {
    let maps = batch.maps(ColumnId::Other);
    for &(pen, id, octets) in fields {
        maps.keys.push(element::ElementKey { pen, id }.to_other_key(0));
        maps.values.push(Some(octets));
    }
    maps.ends.push(maps.keys.len() as i32);
    batch.int64(ColumnId::Received).push(Some(Timestamp::from_secs(received_secs).0));
    batch.address(ColumnId::ExporterAddr).push(Some(addr.0));
    batch.int32(ColumnId::ExportVersion).push(Some(10));
    batch.int64(ColumnId::ObservationDomain).push(Some(7));
    batch.add_rows(1);
}

fn exporter(n: u32) -> Addr16 {
    Addr16::from_v4(n.to_be_bytes())
}

/// The same records, as if another exporter had sent them.
fn set_exporter(batch: &mut FlowBatch, addr: Addr16) {
    let column = batch.address(ColumnId::ExporterAddr);
    let n = column.len();
    column.truncate(0);
    column.push_n(addr.0, n);
}

fn tell(facts: &mut Facts, addr: Addr16, received_secs: i64, fields: Fields<'_>) -> Noted {
    let mut batch = FlowBatch::default();
    append(&mut batch, addr, received_secs, fields);
    facts.observe(&batch, 0..1)
}

fn told(records: &[Fields<'_>]) -> Tables {
    let mut facts = Facts::default();
    records.iter().for_each(|fields| _ = tell(&mut facts, exporter(1), NOON, fields));
    facts.tables()
}

#[track_caller]
fn check_names(records: &[Fields<'_>], expected: &[(NameKind, i64, &str, Option<&str>)]) {
    let names = told(records).names;
    let found: Vec<_> =
        names.iter().map(|row| (row.kind, row.id, row.name.as_str(), row.description.as_deref())).collect();
    assert_eq!(found, expected);
}

#[test]
fn names_are_told_by_their_elements() {
    use NameKind::{Application, Domain, Interface, Sampler, Vrf};
    let te = "TenGigE0/0/0/0";
    check_names(
        &[&[(0, 10, &[42]), (0, 14, &[42]), (0, 83, b"TenGigE0/0/0/0\0\0"), (0, 82, b"Te0\0")]],
        &[(Interface, 42, "Te0", Some(te))],
    );
    check_names(&[&[(0, 10, &[0]), (0, 14, &[9]), (0, 82, b"a")]], &[(Interface, 9, "a", None)]);
    check_names(&[&[(0, 253, &[9]), (0, 83, b"long")]], &[(Interface, 9, "long", Some("long"))]);
    check_names(
        &[&[(0, 10, &[1]), (0, 82, b"a")], &[(0, 10, &[1]), (0, 83, b"b")]],
        &[(Interface, 1, "a", Some("b"))],
    );
    check_names(
        &[&[(0, 95, &[13, 0, 1, 0xdf]), (0, 96, b"ssl"), (0, 94, b"Secure")]],
        &[(Application, 13 << 32 | 479, "ssl", Some("Secure"))],
    );
    check_names(&[&[(0, 234, &[3]), (0, 236, b"red"), (0, 235, &[3])]], &[(Vrf, 3, "red", None)]);
    check_names(&[&[(0, 302, &[0, 1]), (0, 84, b"one in ten")]], &[(Sampler, 1, "one in ten", None)]);
    check_names(&[&[(0, 149, &[7]), (0, 300, b"line card 7")]], &[(Domain, 7, "line card 7", None)]);
    // No number, no name, no text.
    check_names(&[&[(0, 82, b"a")], &[(0, 10, &[1])], &[(0, 10, &[1]), (0, 82, b"\0\0")]], &[]);
    check_names(&[&[(0, 95, &[20, 0, 0, 0, 9, 0, 0, 0, 1]), (0, 96, b"a")]], &[]);
    check_names(&[&[(0, 95, &[20, 0, 0, 0, 9]), (0, 96, b"a")]], &[]);
}

#[test]
fn names_are_cleaned_and_short() {
    let long = vec![b'x'; 1_000];
    let names =
        told(&[&[(0, 10, &[1]), (0, 82, b"a\x1b[31m\r\nb\xff ")], &[(0, 10, &[2]), (0, 82, &long)]]).names;
    assert_eq!(names[0].name, "a[31mb\u{fffd}");
    assert_eq!(names[1].name.len(), limits::FACT_NAME_BYTES_MAX);
}

#[test]
fn the_newest_name_counts_and_a_repeated_one_changes_nothing() {
    let mut facts = Facts::default();
    let name = |text: &'static [u8]| [(0, 10, &[1][..]), (0, 82, text)];
    tell(&mut facts, exporter(1), NOON, &name(b"a"));
    assert!(facts.take_changed().is_some());
    tell(&mut facts, exporter(1), NOON + 60, &name(b"a"));
    assert_eq!(facts.take_changed(), None);
    tell(&mut facts, exporter(1), NOON + 120, &name(b"b"));
    let names = facts.take_changed().unwrap().names;
    assert_eq!((names.len(), names[0].name.as_str()), (1, "b"));
    assert_eq!(names[0].first_seen, Timestamp::from_secs(NOON));
    assert_eq!(names[0].last_seen, Timestamp::from_secs(NOON + 120));
    tell(&mut facts, exporter(1), NOON + 120 + limits::FACT_SEEN_SECS, &name(b"b"));
    assert!(facts.take_changed().is_some());
}

#[test]
fn types_of_enterprise_elements_are_kept_and_override_nothing() {
    let definition = |pen: u32, id: u16| {
        let fields: Vec<(u32, u16, Vec<u8>)> = vec![
            (0, 346, pen.to_be_bytes().to_vec()),
            (0, 303, id.to_be_bytes().to_vec()),
            (0, 339, vec![3]),
            (0, 344, vec![2]),
            (0, 345, vec![0, 2]),
            (0, 341, b"temperature\x07".to_vec()),
        ];
        let fields: Vec<_> = fields.iter().map(|(pen, id, octets)| (*pen, *id, octets.as_slice())).collect();
        told(&[&fields]).names
    };
    let names = definition(29_304, 0x8000 | 5);
    assert_eq!((names[0].kind, names[0].id), (NameKind::Element, 29_304 << 32 | 5));
    assert_eq!(names[0].name, "temperature");
    assert_eq!((names[0].data_type, names[0].semantics, names[0].units), (Some(3), Some(2), Some(2)));
    for (pen, id) in [(0, 1), (0, 30_000), (29_305, 1), (6_876, 893), (35_632, 123), (9, 0)] {
        assert_eq!(definition(pen, id), [], "{pen}:{id}");
    }
}

#[test]
fn rates_hold_from_when_they_were_told() {
    let mut facts = Facts::default();
    let sampler = |rate: &'static [u8]| [(0, 48, &[1][..]), (0, 50, rate)];
    for (secs, rate) in [(0, &[10][..]), (10, &[10]), (20, &[100]), (30, &[10]), (-10, &[10]), (-20, &[5])] {
        tell(&mut facts, exporter(1), NOON + secs, &sampler(rate));
    }
    let rates = facts.tables().rates;
    let found: Vec<_> = rates.iter().map(|row| (row.valid_from.secs() - NOON, row.rate)).collect();
    assert_eq!(found, [(-20, 5), (-10, 10), (20, 100), (30, 10)]);
    assert!(rates.iter().all(|row| row.scope == RateScope::Sampler && row.scope_id == 1));
    for n in 0..1_000u16 {
        let rate = (n + 1).to_be_bytes();
        tell(&mut facts, exporter(1), NOON + 100 + i64::from(n), &[(0, 48, &[1]), (0, 50, &rate)]);
    }
    let rates = facts.tables().rates;
    assert_eq!(rates.len(), limits::RATE_CHANGES_MAX);
    assert_eq!(rates.last().unwrap().rate, 1_000);
}

#[test]
fn what_a_rate_is_about() {
    let check = |fields: Fields<'_>, expected| {
        let rates = told(&[fields]).rates;
        assert_eq!(rates.iter().map(|row| (row.scope, row.scope_id, row.rate)).next(), expected);
    };
    check(&[(0, 144, &[1]), (0, 34, &[10])], Some((RateScope::Domain, 0, 10)));
    check(&[(0, 10, &[3]), (0, 34, &[10])], Some((RateScope::Interface, 3, 10)));
    check(&[(0, 302, &[3]), (0, 305, &[1]), (0, 306, &[99])], Some((RateScope::Sampler, 3, 100)));
    check(&[(0, 144, &[1]), (0, 40, &[9]), (0, 36, &[60]), (0, 34, &[10])], Some((RateScope::Domain, 0, 10)));
    check(&[(0, 143, &[1]), (0, 304, &[1]), (0, 305, &[10])], Some((RateScope::Domain, 0, 10)));
    check(&[(0, 10, &[]), (0, 34, &[10])], Some((RateScope::Domain, 0, 10)));
    // A template, a line card, what no registry knows, a part of a part: rows do not name it.
    check(&[(0, 145, &[1, 0]), (0, 34, &[10])], None);
    check(&[(0, 141, &[1]), (0, 34, &[10])], None);
    check(&[(9, 1, &[1]), (0, 34, &[10])], None);
    check(&[(0, 10, &[1]), (0, 141, &[1]), (0, 34, &[10])], None);
    check(&[(0, 144, &[1]), (0, 34, &[0])], None);
    check(&[(0, 144, &[1]), (0, 35, &[1])], None);
}

#[test]
fn reports_of_losses_are_recognised_and_counted_once() {
    let mut facts = Facts::default();
    let lost = |n: u8| [(0, 144, vec![1]), (0, 166, vec![2]), (0, 167, vec![n]), (0, 168, vec![200])];
    let mut send = |n, secs| {
        let fields = lost(n);
        let fields: Vec<_> = fields.iter().map(|(pen, id, octets)| (*pen, *id, octets.as_slice())).collect();
        tell(&mut facts, exporter(1), NOON + secs, &fields).packets_lost
    };
    assert_eq!([send(12, 0), send(12, 1), send(15, 2), send(4, 3), send(9, -9)], [12, 0, 3, 4, 0]);
    let reports = facts.tables().reports;
    let row = reports.iter().find(|row| row.statistic == "notSentPacketTotalCount").unwrap();
    assert_eq!((row.report, row.value), (Report::ExportingReliability, 4));
    assert_eq!((row.scope_element, row.scope_id), (Some(144), 1));
    assert_eq!(reports.len(), 3);
}

#[test]
fn flow_keys_are_of_a_template() {
    let reports =
        told(&[&[(0, 145, &[1, 0]), (0, 173, &[0, 31])], &[(0, 144, &[1]), (0, 173, &[7])]]).reports;
    assert_eq!(reports.len(), 1);
    assert_eq!((reports[0].report, reports[0].scope_id, reports[0].value), (Report::FlowKeys, 256, 31));
}

#[test]
fn a_flood_pushes_nothing_honest_out() {
    let mut facts = Facts::default();
    let name = [b'x'; 255];
    let honest = exporter(1);
    tell(&mut facts, honest, NOON, &[(0, 10, &[1]), (0, 82, b"honest")]);
    facts.touch(honest, Timestamp::from_secs(NOON));
    let mut batch = FlowBatch::default();
    for id in 0..1_000u16 {
        append(&mut batch, exporter(0), NOON, &[(0, 10, &id.to_be_bytes()), (0, 82, &name), (0, 83, &name)]);
    }
    // More than fits, from senders that send no flow record.
    for n in 2..240 {
        set_exporter(&mut batch, exporter(n));
        facts.observe(&batch, 0..batch.rows());
    }
    assert!(facts.bytes <= limits::FACTS_BYTES_MAX);
    assert_eq!(facts.bytes, facts.exporters.values().map(|exporter| exporter.bytes).sum::<usize>());
    assert!(facts.exporters.contains_key(&honest) && !facts.exporters.contains_key(&exporter(2)));
    // And from senders that do: then nothing new is taken, until they are quiet.
    for n in 400..640 {
        set_exporter(&mut batch, exporter(n));
        facts.observe(&batch, 0..batch.rows());
        facts.touch(exporter(n), Timestamp::from_secs(NOON));
    }
    assert!(facts.exporters.contains_key(&honest));
    let fields: Fields<'_> = &[(0, 10, &[2]), (0, 82, &name), (0, 83, &name)];
    let late = (1..400).map(|n| tell(&mut facts, exporter(1_000 + n), NOON, fields).refused).sum::<u64>();
    assert!(late > 0);
    facts.touch(honest, Timestamp::from_secs(NOON + limits::FACTS_QUIET_SECS_MAX));
    let later = NOON + limits::FACTS_QUIET_SECS_MAX + 2;
    assert_eq!(tell(&mut facts, exporter(2_000), later, fields).refused, 0);
    assert!(facts.exporters.contains_key(&honest));
}

#[test]
fn one_exporter_has_its_own_bound() {
    let mut facts = Facts::default();
    let mut batch = FlowBatch::default();
    for id in 0..limits::FACTS_PER_EXPORTER_MAX as u32 + 10 {
        append(&mut batch, exporter(1), NOON, &[(0, 10, &id.to_be_bytes()), (0, 82, b"a")]);
    }
    assert_eq!(facts.observe(&batch, 0..batch.rows()).refused, 10);
    assert_eq!(facts.tables().names.len(), limits::FACTS_PER_EXPORTER_MAX);
}

#[test]
fn tables_are_taken_back_as_they_were() {
    let mut facts = Facts::default();
    tell(&mut facts, exporter(1), NOON, &[(0, 10, &[1]), (0, 82, b"a"), (0, 83, b"b")]);
    tell(&mut facts, exporter(1), NOON + 9, &[(0, 10, &[1]), (0, 82, b"c")]);
    tell(&mut facts, exporter(1), NOON, &[(0, 302, &[1]), (0, 84, b"s"), (0, 304, &[3]), (0, 305, &[9])]);
    tell(&mut facts, exporter(1), NOON + 9, &[(0, 302, &[1]), (0, 305, &[99])]);
    tell(&mut facts, exporter(2), NOON, &[(0, 149, &[1]), (0, 164, &[9])]);
    let mut again = Facts::default();
    again.restore(facts.tables());
    assert_eq!(again.tables(), facts.tables());
    assert_eq!(again.take_changed(), None);
}
