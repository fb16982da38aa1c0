//! Groups, their counters and their ranking, one row at a time.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use flow_common::column::{COLUMNS, ColumnId as Id, ExtraColumn};
use serde_json::{Map, Value, json};

use super::answer::json_value;
use super::row::{Cell, Place, Row};
use super::value;
use crate::mutate::Xorshift;

/// What a group's flows add up to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) flows: u64,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    events: u64,
    first: Option<i64>,
    last: Option<i64>,
}

impl Sums {
    pub(super) fn of(row: &Row) -> Self {
        let (first, last) = (row.first(), row.last());
        if row.int(Id::Contributes) == Some(0) {
            return Self { events: 1, first, last, ..Self::default() };
        }
        let count = |id: Id| row.int(id).filter(|count| *count >= 0).map(i64::cast_unsigned);
        Self {
            flows: count(Id::FlowCount).unwrap_or(1),
            packets: count(Id::Packets).unwrap_or(0),
            bytes: count(Id::Bytes).unwrap_or(0),
            events: 0,
            first,
            last,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        let least = |a: Option<i64>, b: Option<i64>| [a, b].into_iter().flatten().min();
        let most = |a: Option<i64>, b: Option<i64>| [a, b].into_iter().flatten().max();
        *self = Self {
            flows: self.flows.saturating_add(other.flows),
            packets: self.packets.saturating_add(other.packets),
            bytes: self.bytes.saturating_add(other.bytes),
            events: self.events + other.events,
            first: least(self.first, other.first),
            last: most(self.last, other.last),
        };
    }

    pub(super) fn duration_ms(&self) -> u64 {
        let Some((first, last)) = self.first.zip(self.last) else { return 0 };
        (last.div_euclid(1_000) - first.div_euclid(1_000)).max(0).cast_unsigned()
    }

    fn rate(&self, count: u64, units: u128) -> u64 {
        let whole = u128::from(count) * units;
        let rate = whole.checked_div(self.duration_ms().into()).unwrap_or(0);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    /// By the word of an order.
    pub(super) fn by(&self, order: &str) -> u64 {
        match order {
            "flows" => self.flows,
            "packets" => self.packets,
            "bytes" => self.bytes,
            "pps" => self.rate(self.packets, 1_000),
            "bps" => self.rate(self.bytes, 8_000),
            "bpp" => self.bytes.checked_div(self.packets).unwrap_or(0),
            _ => panic!("no order is called {order}"),
        }
    }
}

/// What is grouped by.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    Record,
    /// Columns of one kind; a row counts once for each value it has in them.
    Columns(Vec<Place>),
}

/// A condition of what groups add up to: all or one of some comparisons.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    is_all: bool,
    terms: Vec<(&'static str, bool, u64)>,
}

impl Wanted {
    /// One to three comparisons, and how they are typed.
    pub(super) fn any(random: &mut Xorshift) -> (Self, String) {
        const WORDS: [&str; 6] = ["flows", "packets", "bytes", "pps", "bps", "bpp"];
        const VALUES: [u64; 8] = [0, 1, 2, 5, 50, 1_000, 50_000, 5_000_000];
        let term = |random: &mut Xorshift| {
            (WORDS[random.below(WORDS.len())], random.below(2) == 0, VALUES[random.below(VALUES.len())])
        };
        let terms: Vec<_> = (0..1 + random.below(3)).map(|_| term(random)).collect();
        let is_all = random.below(2) == 0;
        let typed = |&(word, is_above, value): &(&str, bool, u64)| {
            format!("{word} {} {value}", if is_above { ">" } else { "<=" })
        };
        let text = terms.iter().map(typed).collect::<Vec<_>>().join(if is_all { " and " } else { " or " });
        (Self { is_all, terms }, text)
    }

    /// Filters know counters of 63 bits, as columns have them.
    fn holds(&self, sums: &Sums) -> bool {
        let narrow = |count: u64| count.min(i64::MAX as u64);
        let (flows, packets, bytes) = (narrow(sums.flows), narrow(sums.packets), narrow(sums.bytes));
        let sums = Sums { flows, packets, bytes, ..*sums };
        let term = |&(word, is_above, value): &(&str, bool, u64)| {
            // Without times there is no rate.
            let has_rate = !matches!(word, "pps" | "bps") || sums.first.is_some();
            has_rate && (sums.by(word) > value) == is_above
        };
        if self.is_all { self.terms.iter().all(term) } else { self.terms.iter().any(term) }
    }
}

/// A statistic and one of its orders: one table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) word: String,
    pub(super) key: Key,
    pub(super) is_by_protocol: bool,
    pub(super) order: &'static str,
    pub(super) is_ascending: bool,
    /// Which groups are rows.
    pub(super) wanted: Option<Wanted>,
}

/// Values compared as a ranking breaks ties.
#[derive(Debug, Clone)]
pub(super) struct Ordered(pub(super) Vec<Option<Cell>>);

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        let pairs = self.0.iter().zip(&other.0);
        pairs
            .map(|(a, b)| cell_order(a.as_ref(), b.as_ref()))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

/// NULL first, then by value; floating point as IEEE 754 orders all.
fn cell_order(a: Option<&Cell>, b: Option<&Cell>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(Cell::Int(a)), Some(Cell::Int(b))) => a.cmp(b),
        (Some(Cell::Real(a)), Some(Cell::Real(b))) => a.total_cmp(b),
        (Some(Cell::Truth(a)), Some(Cell::Truth(b))) => a.cmp(b),
        (Some(Cell::Octets(a)), Some(Cell::Octets(b))) => a.cmp(b),
        (Some(Cell::Text(a)), Some(Cell::Text(b))) => a.cmp(b),
        other => panic!("no group has such values: {other:?}"),
    }
}

#[derive(Debug, Clone, Default)]
struct Group {
    sums: Sums,
    tcp_flags: Option<i64>,
    src_tos: Option<i64>,
}

/// Columns only events fill; in statistics of them an event counts as one flow.
pub(super) fn is_of_events(key: &Key) -> bool {
    const EVENTS: [Id; 5] =
        [Id::NatEvent, Id::FirewallEvent, Id::FirewallExtEvent, Id::IngressAcl, Id::EgressAcl];
    matches!(key, Key::Columns(places) if places.iter().all(|place| EVENTS.iter().any(|id| *id as usize == *place)))
}

impl Table {
    fn groups(&self, rows: &[&Row]) -> BTreeMap<Ordered, Group> {
        let mut groups: BTreeMap<Ordered, Group> = BTreeMap::new();
        for row in rows {
            let mut sums = Sums::of(row);
            if sums.events > 0 {
                if !is_of_events(&self.key) {
                    continue;
                }
                sums.flows = 1;
            }
            for key in self.keys(row) {
                let group = groups.entry(Ordered(key)).or_default();
                group.sums.add(&sums);
                group.src_tos = group.src_tos.or(row.int(Id::SrcTos));
                if let Some(flags) = row.int(Id::TcpFlags) {
                    group.tcp_flags = Some(group.tcp_flags.unwrap_or(0) | flags);
                }
            }
        }
        groups.retain(|_, group| self.wanted.as_ref().is_none_or(|wanted| wanted.holds(&group.sums)));
        groups
    }

    /// A table of what `key` groups by, all of it.
    pub(super) fn of(key: Key) -> Self {
        Self {
            word: String::new(),
            key,
            is_by_protocol: false,
            order: "flows",
            is_ascending: false,
            wanted: None,
        }
    }

    pub(super) fn keys(&self, row: &Row) -> Vec<Vec<Option<Cell>>> {
        let cell = |id: Id| row.cell(id as usize).cloned();
        let Key::Columns(places) = &self.key else {
            let mut dst_port = cell(Id::DstPort);
            // ICMP has its type and code there, as NetFlow v5 sends it.
            if let Some(icmp_type) = row.int(Id::IcmpType).filter(|_| row.is_icmp()) {
                let code = row.int(Id::IcmpCode).unwrap_or(0);
                dst_port = Some(Cell::Int((icmp_type & 0xff) * 256 + (code & 0xff)));
            }
            return vec![vec![
                cell(Id::Protocol),
                cell(Id::SrcAddr),
                cell(Id::DstAddr),
                cell(Id::SrcPort),
                dst_port,
            ]];
        };
        let mut values: Vec<Cell> = Vec::new();
        for value in places.iter().filter_map(|place| row.cell(*place)) {
            let is_new = values.iter().all(|known| cell_order(Some(known), Some(value)).is_ne());
            if is_new {
                values.push(value.clone());
            }
        }
        let protocol = self.is_by_protocol.then(|| cell(Id::Protocol));
        values.into_iter().map(|value| protocol.iter().cloned().chain([Some(value)]).collect()).collect()
    }

    fn ranked(&self, rows: &[&Row], top: usize) -> Vec<(Ordered, Group)> {
        let mut ranked: Vec<_> = self.groups(rows).into_iter().collect();
        // Stable: equal counters stay in the order of their keys.
        ranked.sort_by(|(_, a), (_, b)| {
            let (a, b) = (a.sums.by(self.order), b.sums.by(self.order));
            if self.is_ascending { a.cmp(&b) } else { b.cmp(&a) }
        });
        if top > 0 {
            ranked.truncate(top);
        }
        ranked
    }

    /// What percentages are of: all that matched, whatever has no value here too.
    fn whole(&self, rows: &[&Row]) -> Sums {
        let mut whole = Sums::default();
        rows.iter().for_each(|row| whole.add(&Sums::of(row)));
        if is_of_events(&self.key) {
            whole.flows = whole.flows.saturating_add(whole.events);
        }
        whole
    }

    /// The protocol a row of the table is about.
    fn protocol(&self, key: &[Option<Cell>]) -> Option<i64> {
        let is_of_protocol = self.key == Key::Columns(vec![Id::Protocol as usize]);
        match key {
            [Some(Cell::Int(number))] | [_, Some(Cell::Int(number))] if is_of_protocol => Some(*number),
            [Some(Cell::Int(number)), _] => Some(*number),
            _ => None,
        }
    }

    /// Its rows as objects.
    pub(super) fn objects(&self, rows: &[&Row], top: usize) -> Vec<Value> {
        let whole = self.whole(rows);
        let object = |(Ordered(key), group): (Ordered, Group)| {
            let mut object = Map::new();
            object.insert("statistic".into(), self.word.clone().into());
            object.insert("order".into(), self.order.into());
            let mut put = |name: &str, value: Option<Value>| {
                if let Some(value) = value {
                    object.insert(name.to_owned(), value);
                }
            };
            match (&self.key, &key[..]) {
                (Key::Record, [protocol, src_addr, dst_addr, src_port, dst_port]) => {
                    let of = |cell: &Option<Cell>| cell.as_ref().map(json_value);
                    put("protocol", of(protocol));
                    put("src_addr", of(src_addr));
                    put("dst_addr", of(dst_addr));
                    put("src_port", of(src_port));
                    put("dst_port", of(dst_port));
                    put("tcp_flags", group.tcp_flags.map(Value::from));
                    put("src_tos", group.src_tos.map(Value::from));
                }
                _ => {
                    put("value", key.last().and_then(|value| value.as_ref().map(json_value)));
                    put("protocol", self.protocol(&key).map(Value::from));
                }
            }
            let sums = group.sums;
            put("first", sums.first.map(value::json_time));
            put("last", sums.last.map(value::json_time));
            put("duration", serde_json::from_str(&value::seconds(sums.duration_ms())).ok());
            for (name, count, of) in counted(&sums, &whole) {
                put(name, Some(count.into()));
                put(&format!("{name}_percent"), serde_json::from_str(&percent(count, of)).ok());
            }
            for order in ["pps", "bps", "bpp"] {
                put(order, Some(json!(sums.by(order))));
            }
            Value::Object(object)
        };
        self.ranked(rows, top).into_iter().map(object).collect()
    }

    /// Its rows as lines of CSV.
    pub(super) fn lines(&self, rows: &[&Row], top: usize) -> Vec<String> {
        let whole = self.whole(rows);
        let line = |(Ordered(key), group): (Ordered, Group)| {
            let sums = group.sums;
            let time = |time: Option<i64>| time.map(value::time).unwrap_or_default();
            let duration = value::seconds(sums.duration_ms());
            let text = |cell: &Option<Cell>| cell.as_ref().and_then(value::plain).unwrap_or_default();
            if let (Key::Record, [protocol, src_addr, dst_addr, src_port, dst_port]) = (&self.key, &key[..]) {
                let of_flow = [protocol, src_addr, src_port, dst_addr, dst_port].map(text).join(",");
                let Sums { packets, bytes, flows, .. } = sums;
                return format!("{},{duration},{of_flow},{packets},{bytes},{flows}", time(sums.first));
            }
            let value = value::field(&key.last().map(text).unwrap_or_default());
            let protocol = self.protocol(&key).map(|number| number.to_string()).unwrap_or_default();
            let counters =
                counted(&sums, &whole).map(|(_, count, of)| format!("{count},{}", percent(count, of)));
            let rates = ["pps", "bps", "bpp"].map(|order| sums.by(order).to_string()).join(",");
            let (first, last) = (time(sums.first), time(sums.last));
            let Self { word, order, .. } = self;
            format!(
                "{word},{order},{value},{protocol},{first},{last},{duration},{},{rates}",
                counters.join(",")
            )
        };
        self.ranked(rows, top).into_iter().map(line).collect()
    }
}

/// Octets, packets and flows of the groups of `-A`: by the values of columns, of whose
/// addresses so many bits are kept (IPv4, IPv6).
pub(super) fn aggregated(rows: &[&Row], columns: &[(Place, Option<(u32, u32)>)]) -> Vec<[u64; 3]> {
    let mut groups: BTreeMap<Ordered, Sums> = BTreeMap::new();
    for row in rows {
        let sums = Sums::of(row);
        if sums.events > 0 {
            continue;
        }
        let key = columns.iter().map(|(place, bits)| {
            let cell = row.cell(*place).cloned();
            match (cell, bits) {
                (Some(Cell::Octets(octets)), Some(bits)) => Some(Cell::Octets(masked(octets, *bits))),
                (cell, _) => cell,
            }
        });
        groups.entry(Ordered(key.collect())).or_default().add(&sums);
    }
    groups.into_values().map(|sums| [sums.bytes, sums.packets, sums.flows]).collect()
}

/// An address without its last bits.
fn masked(octets: Vec<u8>, (v4_bits, v6_bits): (u32, u32)) -> Vec<u8> {
    let address = u128::from_be_bytes(octets.try_into().expect("16 octets"));
    let is_v4 = address >> 32 == 0xffff;
    let kept = if is_v4 { 96 + v4_bits } else { v6_bits };
    let mask = u128::MAX.checked_shl(128 - kept).unwrap_or(0);
    (address & mask).to_be_bytes().to_vec()
}

/// Header of the lines of statistics that are not of records.
pub(super) const CSV_HEADER: &str = "statistic,order,value,protocol,first,last,duration,flows,flows_percent,\
    packets,packets_percent,bytes,bytes_percent,pps,bps,bpp";

fn counted(sums: &Sums, whole: &Sums) -> [(&'static str, u64, u64); 3] {
    [
        ("flows", sums.flows, whole.flows),
        ("packets", sums.packets, whole.packets),
        ("bytes", sums.bytes, whole.bytes),
    ]
}

fn percent(count: u64, of: u64) -> String {
    let percent = if of == 0 { 0.0 } else { 100.0 * count as f64 / of as f64 };
    format!("{percent:.1}")
}

/// Words that mean several MAC addresses.
const MACS: [(&str, &[Id]); 5] = [
    ("srcmac", &[Id::InSrcMac, Id::OutSrcMac]),
    ("dstmac", &[Id::InDstMac, Id::OutDstMac]),
    ("inmac", &[Id::InSrcMac, Id::InDstMac]),
    ("outmac", &[Id::OutDstMac, Id::OutSrcMac]),
    ("mac", &[Id::InSrcMac, Id::InDstMac, Id::OutSrcMac, Id::OutDstMac]),
];

/// Words after `-s` and what they group by.
pub(super) fn elements(extra: &[ExtraColumn]) -> Vec<(String, Key)> {
    let one = COLUMNS.iter().filter(|column| !column.stat.is_empty());
    let one = one.map(|column| (column.stat.to_owned(), Key::Columns(vec![column.id as usize])));
    let mut both: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
    for column in COLUMNS.iter().filter(|column| !column.stat_both.is_empty()) {
        both.entry(column.stat_both).or_default().push(column.id as usize);
    }
    let both = both.into_iter().map(|(word, places)| (word.to_owned(), Key::Columns(places)));
    let macs = MACS
        .iter()
        .map(|(word, ids)| ((*word).to_owned(), Key::Columns(ids.iter().map(|id| *id as usize).collect())));
    // An instant is no group.
    let of_tree = (COLUMNS.len()..).zip(extra).filter(|(_, column)| column.name != "login_time");
    let of_tree = of_tree.map(|(place, column)| (column.name.clone(), Key::Columns(vec![place])));
    std::iter::once(("record".to_owned(), Key::Record))
        .chain(one)
        .chain(both)
        .chain(macs)
        .chain(of_tree)
        .collect()
}
