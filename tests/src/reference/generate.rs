//! Random rows, column by column: NULLs of every density, few values and many, and
//! now and then what no honest exporter sends.

use flow_common::addr::Addr16;
use flow_common::column::{COLUMNS, ColumnId as Id, ExtraColumn, Kind};
use flow_common::element::{AbstractDataType as Type, ElementKey};

use super::row::{Cell, Place, column};
use crate::mutate::Xorshift;

/// 2026-05-28 20:00:00 UTC: the first slot of every tree.
pub(super) const START_SECS: i64 = 1_779_998_400;
const MICROS: i64 = 1_000_000;

/// Addresses of both families; the first are the ones filters ask for.
pub(super) const ADDRESSES: [&str; 16] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.1.2.3",
    "192.168.1.10",
    "192.168.2.20",
    "8.8.8.8",
    "0.0.0.0",
    "255.255.255.255",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8:0:1::1",
    "fe80::1",
    "::",
    "::1",
    "ff02::1",
    "::fffe:10.0.0.1",
];
/// Free text, some of it hard to quote.
pub(super) const TEXTS: [&str; 9] = [
    "eve",
    "alice",
    "",
    "with, comma",
    "say \"hi\"",
    "two\nlines",
    "grüße",
    "日本",
    "a longer name than the others have",
];

/// The columns an operator defined in trees that have any.
pub(super) fn extra_columns() -> Vec<ExtraColumn> {
    let columns = [
        ("my_rtt", Type::Unsigned32),
        ("level", Type::Signed8),
        ("load", Type::Float64),
        ("flag", Type::Boolean),
        ("vm_name", Type::String),
        ("blob", Type::OctetArray),
        ("login_time", Type::DateTimeMicroseconds),
        ("peer", Type::Ipv6Address),
        ("hw", Type::MacAddress),
    ];
    let column = |(id, (name, data_type))| ExtraColumn::new(name, ElementKey { pen: 9, id }, data_type);
    (1..).zip(columns).map(|pair| column(pair).expect("a free name")).collect()
}

/// The largest number a column's first element can send; what filters may ask for.
pub(super) fn max_of(place: Place, extra: &[ExtraColumn]) -> i64 {
    let Some(column) = COLUMNS.get(place) else {
        return extra[place - COLUMNS.len()].range().map_or(i64::MAX, |(_, max)| max);
    };
    let element = column.sources.first().and_then(|source| source.key.lookup());
    match element.map(|element| element.data_type) {
        Some(Type::Unsigned8) => 255,
        Some(Type::Unsigned16) => 65_535,
        Some(Type::Unsigned32) => u32::MAX.into(),
        _ if column.kind == Kind::Int32 => 65_535,
        _ => i64::MAX,
    }
}

/// How often a column of a file is NULL.
#[derive(Debug, Clone, Copy)]
enum Nulls {
    Always,
    Never,
    OnceIn(usize),
    MostlyBut(usize),
    InRuns,
}

/// Values of the column at `place` for `rows` rows of a file whose flows begin at
/// `base_secs`.
pub(super) fn values(
    place: Place,
    extra: &[ExtraColumn],
    rows: usize,
    base_secs: i64,
    random: &mut Xorshift,
) -> Vec<Option<Cell>> {
    let nulls = nulls(place, random);
    // One value for all, runs of one value, or each drawn by itself.
    let spread = [1, 1, 1, 20, usize::MAX][random.below(5)];
    let mut made: Vec<Option<Cell>> = Vec::with_capacity(rows);
    let (mut value, mut in_null_run) = (None, false);
    for row in 0..rows {
        if value.is_none() || spread != usize::MAX && random.below(spread) == 0 {
            value = Some(draw(place, extra, row, base_secs, random));
        }
        if random.below(25) == 0 {
            in_null_run = !in_null_run;
        }
        let is_null = match nulls {
            Nulls::Always => true,
            Nulls::Never => false,
            Nulls::OnceIn(n) => random.below(n) == 0,
            Nulls::MostlyBut(n) => random.below(n) != 0,
            Nulls::InRuns => in_null_run,
        };
        made.push(if is_null { None } else { value.clone() });
    }
    made
}

fn nulls(place: Place, random: &mut Xorshift) -> Nulls {
    let Some(column) = COLUMNS.get(place) else { return Nulls::OnceIn(3) };
    match column.id {
        _ if column.is_required => Nulls::Never,
        Id::Contributes | Id::FlowCount => {
            [Nulls::Always, Nulls::MostlyBut(6), Nulls::InRuns][random.below(3)]
        }
        Id::SamplingRate => [Nulls::Always, Nulls::OnceIn(2), Nulls::Never, Nulls::InRuns][random.below(4)],
        Id::SrcAddr
        | Id::DstAddr
        | Id::SrcPort
        | Id::DstPort
        | Id::Protocol
        | Id::Packets
        | Id::Bytes
        | Id::FlowStart
        | Id::FlowEnd => [Nulls::Never, Nulls::Never, Nulls::OnceIn(8), Nulls::InRuns][random.below(4)],
        _ => {
            let all = [
                Nulls::Always,
                Nulls::Always,
                Nulls::Never,
                Nulls::OnceIn(2),
                Nulls::OnceIn(8),
                Nulls::MostlyBut(10),
                Nulls::InRuns,
            ];
            all[random.below(all.len())]
        }
    }
}

fn draw(place: Place, extra: &[ExtraColumn], row: usize, base_secs: i64, random: &mut Xorshift) -> Cell {
    let (_, kind) = column(place, extra);
    match kind {
        Kind::Timestamp => {
            Cell::Int(time(COLUMNS.get(place).map(|column| column.id), row, base_secs, random))
        }
        Kind::Int32 | Kind::Int64 => Cell::Int(int(place, extra, random)),
        Kind::Address => Cell::Octets(match COLUMNS.get(place).map(|column| column.id) {
            Some(Id::ExporterAddr) => address(["192.0.2.1", "192.0.2.2", "2001:db8:e::1"][random.below(3)]),
            _ if random.below(6) == 0 => {
                [address("10.0.0.0")[..14].to_vec(), vec![random.octet() & 3, random.octet()]].concat()
            }
            _ => address(ADDRESSES[random.below(ADDRESSES.len())]),
        }),
        Kind::Mac => Cell::Octets(vec![2, 0, 0x5e, 0, random.octet() & 1, random.octet() & 7]),
        Kind::Text => Cell::Text(TEXTS[random.below(TEXTS.len())].to_owned()),
        Kind::Binary => {
            let length = [0, 1, 4, 12, 12, 12][random.below(6)];
            Cell::Octets((0..length).map(|_| random.octet() & 3).collect())
        }
        Kind::Float64 => {
            let special = [0.0, -0.0, 0.5, 1.0, -2.25, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
            Cell::Real(special[random.below(special.len())])
        }
        Kind::Boolean => Cell::Truth(random.below(2) == 0),
        Kind::Labels => Cell::Labels((0..random.below(4)).map(|_| random.below(1 << 24) as i32).collect()),
        Kind::Other => Cell::Other(other(random)),
    }
}

fn address(text: &str) -> Vec<u8> {
    Addr16::from(text.parse::<std::net::IpAddr>().expect("an address")).0.to_vec()
}

/// Entries with different keys; some name a sampler.
fn other(random: &mut Xorshift) -> Vec<(i64, Vec<u8>)> {
    let mut entries = Vec::new();
    for key in [48, 302, 82, 82 | 1 << 16, 6_876 << 32 | 898, 9 << 32 | 3 << 16 | 1] {
        if random.below(3) == 0 {
            let octets = match key {
                48 | 302 => vec![0, random.octet() & 3],
                _ => (0..random.below(6)).map(|_| random.octet()).collect(),
            };
            entries.push((key, octets));
        }
    }
    entries
}

fn time(id: Option<Id>, row: usize, base_secs: i64, random: &mut Xorshift) -> i64 {
    let base = base_secs * MICROS;
    if id == Some(Id::Received) {
        return base + row as i64 * 1_000 + random.below(2_000) as i64;
    }
    let offset = match random.below(4) {
        0 => random.below(300) as i64 * MICROS,
        1 => random.below(300_000) as i64 * 1_000,
        _ => random.below(300_000_000) as i64,
    };
    match random.below(40) {
        0 => [i64::MIN, i64::MAX, 0, -1, -62_135_596_800 * MICROS - 1, 253_402_300_800 * MICROS]
            [random.below(6)],
        1 => -(random.below(1 << 40) as i64),
        _ => base + offset,
    }
}

fn int(place: Place, extra: &[ExtraColumn], random: &mut Xorshift) -> i64 {
    let max = max_of(place, extra);
    let few = |random: &mut Xorshift, values: &[i64]| values[random.below(values.len())];
    let Some(column) = COLUMNS.get(place) else {
        return few(random, &[0, 1, 2, -3, max, 100, 77]).max(if place == COLUMNS.len() { 0 } else { -128 });
    };
    match column.id {
        Id::Protocol | Id::TunnelProtocol => few(random, &[6, 6, 6, 17, 17, 1, 58, 47, 0, 255]),
        Id::SrcPort | Id::DstPort if random.below(3) == 0 => random.below(65_536) as i64,
        Id::SrcPort | Id::DstPort => few(random, &[0, 53, 80, 443, 2_048, 771, 65_535]),
        Id::TcpFlags => few(random, &[0, 2, 0x12, 0x1b, 0x10, 0xff, 0x112]),
        Id::ExportVersion => few(random, &[5, 9, 10]),
        Id::ObservationDomain => few(random, &[0, 1, 7]),
        Id::InIf | Id::OutIf => few(random, &[0, 1, 2, 3, 9]),
        Id::Contributes => few(random, &[0, 0, 1]),
        Id::FlowCount => few(random, &[0, 1, 2, 5, 1_000, 1 << 40]),
        Id::SamplingRate => few(random, &[1, 1, 10, 10, 1_000, 4_096, 1 << 40]),
        Id::Packets | Id::OutPackets => counter(random, 1_000),
        Id::Bytes | Id::OutBytes | Id::Layer2Bytes => counter(random, 2_000_000),
        Id::IcmpType | Id::IcmpCode => few(random, &[0, 3, 8, 128]),
        // A value the column's Parquet type holds; INT32 is the narrowest.
        _ => {
            let max = if column.kind == Kind::Int32 { max.min(i32::MAX.into()) } else { max };
            few(random, &[0, 1, 2, 3, 64, 100, max, max / 2])
        }
    }
}

fn counter(random: &mut Xorshift, usual: usize) -> i64 {
    match random.below(30) {
        0 => [i64::MAX, i64::MAX / 2, 1 << 62, u32::MAX.into()][random.below(4)],
        1 => [-1, i64::MIN, -1_000][random.below(3)],
        2..8 => 0,
        8..16 => 40 + random.below(3) as i64,
        _ => random.below(usual) as i64,
    }
}
