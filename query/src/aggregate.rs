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

/// Groups, one after another.
pub(crate) type Groups<'a> = dyn Iterator<Item = Group> + 'a;

/// One table of the answer.
pub(crate) struct Table<'a> {
    pub(crate) statistic: &'a Statistic,
    pub(crate) ranking: Ranking,
    /// Its groups, ranked.
    groups: &'a mut Groups<'a>,
}

/// A row of a table.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    /// The protocol with `:p`.
    pub(crate) protocol: Option<Option<i64>>,
    pub(crate) value: Value,
    pub(crate) counters: Counters,
    /// The start of its bucket, µs.
    pub(crate) bucket: Option<i64>,
    pub(crate) measured: Box<[Measured]>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(statistic: &'a Statistic, ranking: Ranking, groups: &'a mut Groups<'a>) -> Self {
        Self { statistic, ranking, groups }
    }

    /// Whether its rows are flows of one 5-tuple each.
    pub(crate) fn is_of_records(&self) -> bool {
        self.statistic.key == Key::Record
    }

    /// How its order is called.
    pub(crate) fn order(&self) -> &'a str {
        self.statistic.measures.order_word(self.ranking.order, self.ranking.word)
    }

    /// Whether it is about the other direction; records have columns for it.
    fn is_turned(&self) -> bool {
        self.ranking.order.is_out() && !self.is_of_records()
    }

    /// What percentages are of, where `total` is what matched.
    pub(crate) fn whole(&self, total: &Counters) -> Counters {
        let whole = self.statistic.whole(total);
        if self.is_turned() { whole.turned() } else { whole }
    }

    /// Its rows, where they are no records.
    pub(crate) fn elements(&mut self) -> impl Iterator<Item = Element> {
        let (statistic, is_turned) = (self.statistic, self.is_turned());
        let n = if self.is_of_records() { 0 } else { usize::MAX };
        (&mut *self.groups).take(n).filter_map(move |mut group| {
            if is_turned {
                group.counters = group.counters.turned();
            }
            element(group, statistic)
        })
    }

    /// Its rows, where they are records.
    pub(crate) fn records(&mut self) -> impl Iterator<Item = (FiveTuple, Record)> {
        let n = if self.is_of_records() { usize::MAX } else { 0 };
        (&mut *self.groups).take(n).map(record)
    }
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

fn element(group: Group, statistic: &Statistic) -> Option<Element> {
    let bucket = statistic.measures.bucket.and_then(|_| int(group.key.first()));
    let place = usize::from(statistic.measures.bucket.is_some());
    let protocol = statistic.is_by_protocol.then(|| int(group.key.get(place)));
    let value = group.key.into_iter().last()??;
    Some(Element { protocol, value, counters: group.counters, bucket, measured: group.measured })
}
