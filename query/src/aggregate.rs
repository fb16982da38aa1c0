//! What groups of flows are: their values, and the rows of tables.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::Float64Array;
use flow_common::addr::{Addr16, Mac};
use flow_common::column::Kind;

use crate::batch::Cells;
use crate::flow::{Counters, FiveTuple};
use crate::measure::What;
use crate::statistic::{Key, Order, Ranking, Statistic};
use crate::values::{Bytes, Column, Values};

/// The value flows of a group share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Value {
    Int(i64),
    Address(Addr16),
    /// The first address of a network and the length of its prefix.
    Net(Addr16, u8),
    Mac(Mac),
    /// An entry of an MPLS label stack, as `mpls_labels` has it.
    Label(i32),
    Text(Box<str>),
    Binary(Box<[u8]>),
    Float(Float),
    Boolean(bool),
}

/// For a program: addresses and octets as text, numbers as they are.
impl Value {
    /// Values of one kind as a column.
    pub(crate) fn column<'a>(kind: Kind, cells: impl Iterator<Item = Option<&'a Self>>) -> Column {
        match kind {
            Kind::Address | Kind::Mac => Column::fixed(cells.map(|cell| match cell? {
                Self::Address(addr) => Some(u128::from_be_bytes(addr.0)),
                Self::Mac(mac) => Some(mac.0.iter().fold(0, |sum, octet| sum << 8 | u128::from(*octet))),
                _ => None,
            })),
            Kind::Text | Kind::Binary => {
                let (mut values, mut nulls) = (Bytes::default(), Vec::new());
                for cell in cells {
                    let spelled;
                    let octets = match cell {
                        Some(Self::Text(text)) => Some(text.as_bytes()),
                        Some(Self::Binary(octets)) => Some(&**octets),
                        Some(value @ (Self::Net(..) | Self::Label(_))) => {
                            spelled = value.to_string();
                            Some(spelled.as_bytes())
                        }
                        _ => None,
                    };
                    values.push(octets.unwrap_or_default());
                    nulls.push(octets.is_none());
                }
                Column::Plain { values: Values::Bytes(values), nulls: Some(nulls) }
            }
            Kind::Float64 => {
                let numbers = cells.map(|cell| match cell? {
                    Self::Float(number) => Some(number.0),
                    _ => None,
                });
                Column::Array(Arc::new(Float64Array::from_iter(numbers)))
            }
            Kind::Int32 | Kind::Int64 | Kind::Timestamp | Kind::Boolean | Kind::Labels | Kind::Other => {
                Column::ints(cells.map(|cell| match cell? {
                    Self::Int(number) => Some(*number),
                    Self::Boolean(value) => Some(i64::from(*value)),
                    _ => None,
                }))
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Address(addr) => addr.fmt(f),
            Self::Net(addr, length) => write!(f, "{addr}/{length}"),
            Self::Mac(mac) => mac.fmt(f),
            Self::Label(entry) => write!(f, "{}-{}-{}", entry >> 4, entry >> 1 & 7, entry & 1),
            Self::Text(text) => text.fmt(f),
            Self::Binary(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
            Self::Float(Float(number)) => number.fmt(f),
            Self::Boolean(value) => value.fmt(f),
        }
    }
}

/// A number that can be a key: equal where its bits are, ordered as IEEE 754 orders all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Float(pub(crate) f64);

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Float {}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Hash for Float {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// Key of a group of one statistic: the protocol with `:p`, and the value.
pub(crate) type ElementKey = (Option<Option<i64>>, Value);

/// What the flows of one 5-tuple share besides their counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) counters: Counters,
    /// TCP flags of all flows or-ed; `None` where no flow has any.
    pub(crate) tcp_flags: Option<i64>,
    /// Type of service of the first flow that has one.
    pub(crate) src_tos: Option<i64>,
}

impl Value {
    /// The value of a cell; `None` where it is NULL.
    pub(crate) fn of(kind: Kind, cells: Cells<'_>, row: usize) -> Option<Self> {
        match kind {
            Kind::Int32 | Kind::Int64 | Kind::Timestamp => cells.int(row).map(Self::Int),
            Kind::Address => cells.octets(row).map(Addr16).map(Self::Address),
            Kind::Mac => cells.octets(row).map(Mac).map(Self::Mac),
            Kind::Text => cells.text(row).map(|text| Self::Text(text.into())),
            Kind::Binary => cells.binary(row).map(|octets| Self::Binary(octets.into())),
            Kind::Float64 => cells.float(row).map(Float).map(Self::Float),
            Kind::Boolean => cells.int(row).map(|value| Self::Boolean(value == 1)),
            Kind::Labels | Kind::Other => None,
        }
    }
}

/// Flows that share a key, and what they add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// A value for each part of the key; `None` is NULL.
    pub(crate) key: Box<[Option<Value>]>,
    pub(crate) counters: Counters,
    /// What is measured besides, in the order it was asked for; of most groups nothing.
    pub(crate) measured: Box<[Measured]>,
    /// TCP flags of all flows or-ed; `None` where no flow has any.
    pub(crate) tcp_flags: Option<i64>,
    /// Type of service of the first flow that has one.
    pub(crate) src_tos: Option<i64>,
}

/// What was measured of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    /// `None` of nothing.
    pub(crate) value: Option<u64>,
    /// Whether it may be a little off.
    pub(crate) is_about: bool,
}

impl Group {
    /// All of no flows.
    pub(crate) fn of_nothing(whats: &[What]) -> Self {
        let value = |what: &What| match what {
            What::Distinct(_) | What::Error => Some(0),
            What::Percentile(..) | What::OfSpans(..) => None,
        };
        let measured = whats.iter().map(|what| Measured { value: value(what), is_about: false }).collect();
        Self { key: Box::default(), counters: Counters::default(), measured, tcp_flags: None, src_tos: None }
    }

    /// What an order ranks it by.
    pub(crate) fn value(&self, order: Order) -> u64 {
        match order {
            Order::Bucket => match self.key.first() {
                // Times before the epoch come before those after it.
                Some(Some(Value::Int(micros))) => *micros as u64 ^ 1 << 63,
                _ => 0,
            },
            Order::Measure(at) => self.measured.get(usize::from(at)).and_then(|one| one.value).unwrap_or(0),
            order => order.value(&self.counters),
        }
    }
}

/// One table of the answer.
pub(crate) struct Table<'a> {
    pub(crate) statistic: &'a Statistic,
    pub(crate) ranking: Ranking,
    pub(crate) rows: TableRows,
    /// What stands beside each row; empty where nothing is asked besides.
    pub(crate) beside: Vec<Beside>,
}

/// What stands beside a row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beside {
    /// The start of its bucket, µs.
    pub(crate) bucket: Option<i64>,
    pub(crate) measured: Box<[Measured]>,
}

impl Table<'_> {
    /// How its order is called.
    pub(crate) fn order(&self) -> &str {
        self.statistic.measures.order_word(self.ranking.order, self.ranking.word)
    }

    /// What percentages are of, where `total` is what matched.
    pub(crate) fn whole(&self, total: &Counters) -> Counters {
        let whole = self.statistic.whole(total);
        let is_turned = self.ranking.order.is_out() && self.statistic.key != Key::Record;
        if is_turned { whole.turned() } else { whole }
    }
}

/// Its rows, ranked.
pub(crate) enum TableRows {
    Elements(Vec<(ElementKey, Counters)>),
    Records(Vec<(FiveTuple, Record)>),
}

/// The groups of each statistic and ranking as tables.
pub(crate) fn tables(statistics: &[Statistic], groups: Vec<Vec<Vec<Group>>>) -> Vec<Table<'_>> {
    let mut tables = Vec::new();
    for (statistic, rankings) in statistics.iter().zip(groups) {
        for (&ranking, mut groups) in statistic.rankings.iter().zip(rankings) {
            if ranking.order.is_out() && statistic.key != Key::Record {
                // The table is about the other direction; records have columns for it.
                groups.iter_mut().for_each(|group| group.counters = group.counters.turned());
            }
            let beside = beside(statistic, &mut groups);
            let rows = match statistic.key {
                Key::Record => TableRows::Records(groups.into_iter().map(record).collect()),
                Key::Values(..) => TableRows::Elements(
                    groups.into_iter().filter_map(|group| element(group, statistic)).collect(),
                ),
            };
            tables.push(Table { statistic, ranking, rows, beside });
        }
    }
    tables
}

fn int(value: Option<&Option<Value>>) -> Option<i64> {
    match value? {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    }
}

fn record(group: Group) -> (FiveTuple, Record) {
    let key = &group.key;
    let narrow = |at: usize| int(key.get(at)).and_then(|number| i32::try_from(number).ok());
    let addr = |at: usize| match key.get(at) {
        Some(Some(Value::Address(addr))) => Some(*addr),
        _ => None,
    };
    let tuple = FiveTuple {
        protocol: narrow(0),
        src_addr: addr(1),
        dst_addr: addr(2),
        src_port: narrow(3),
        dst_port: narrow(4),
    };
    let Group { counters, tcp_flags, src_tos, .. } = group;
    (tuple, Record { counters, tcp_flags, src_tos })
}

fn element(group: Group, statistic: &Statistic) -> Option<(ElementKey, Counters)> {
    let place = usize::from(statistic.measures.bucket.is_some());
    let protocol = statistic.is_by_protocol.then(|| int(group.key.get(place)));
    let value = group.key.into_iter().last()??;
    Some(((protocol, value), group.counters))
}

/// What is asked of the groups of a statistic besides, taken from them.
fn beside(statistic: &Statistic, groups: &mut [Group]) -> Vec<Beside> {
    let measures = &statistic.measures;
    if measures.is_empty() {
        return Vec::new();
    }
    let of = |group: &mut Group| Beside {
        bucket: measures.bucket.and_then(|_| int(group.key.first())),
        measured: std::mem::take(&mut group.measured),
    };
    groups.iter_mut().map(of).collect()
}
