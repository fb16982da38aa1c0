//! Groups of flows and their counters, in memory.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{Hash, Hasher};

use flow_common::addr::{Addr16, Mac};
use flow_common::column::{ColumnId, Kind};

use crate::batch::{Batch, Cells};
use crate::flow::{CounterCells, Counters, FiveTuple, TupleCells};
use crate::statistic::{Key, Ranking, Statistic};

/// The value flows of a group share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Value {
    Int(i64),
    Address(Addr16),
    Mac(Mac),
    Text(Box<str>),
    Binary(Box<[u8]>),
    Float(Float),
    Boolean(bool),
}

/// For a program: addresses and octets as text, numbers as they are.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Address(addr) => addr.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
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

/// Key of a group of one statistic: the protocol with `:p`, and the value.
type ElementKey = (Option<Option<i64>>, Value);

/// What the flows of one 5-tuple share besides their counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) counters: Counters,
    /// TCP flags of all flows or-ed; `None` where no flow has any.
    pub(crate) tcp_flags: Option<i64>,
    /// Type of service of the first flow that has one.
    pub(crate) src_tos: Option<i64>,
}

/// The groups of one statistic.
#[derive(Debug)]
enum Groups {
    Elements(HashMap<ElementKey, Counters>),
    Records(HashMap<FiveTuple, Record>),
}

/// All statistics of a request, filled in one pass.
#[derive(Debug)]
pub(crate) struct Aggregation {
    statistics: Vec<(Statistic, Groups)>,
}

/// One table of the answer.
pub(crate) struct Table<'a> {
    pub(crate) statistic: &'a Statistic,
    pub(crate) ranking: Ranking,
    pub(crate) rows: TableRows<'a>,
}

/// Its rows, ranked.
pub(crate) enum TableRows<'a> {
    Elements(Vec<(&'a ElementKey, &'a Counters)>),
    Records(Vec<(&'a FiveTuple, &'a Record)>),
}

impl Aggregation {
    pub(crate) fn new(statistics: &[Statistic]) -> Self {
        let empty = |statistic: &Statistic| match statistic.key {
            Key::Record => Groups::Records(HashMap::new()),
            Key::Columns(..) => Groups::Elements(HashMap::new()),
        };
        Self { statistics: statistics.iter().map(|one| (one.clone(), empty(one))).collect() }
    }

    /// Counts every row of `batch`.
    pub(crate) fn add(&mut self, batch: &Batch) {
        let counted = CounterCells::new(batch);
        for (statistic, groups) in &mut self.statistics {
            match (&statistic.key, groups) {
                (Key::Record, Groups::Records(groups)) => add_records(groups, batch, &counted),
                (Key::Columns(columns, kind), Groups::Elements(groups)) => {
                    let sides: Vec<_> = columns.iter().map(|column| batch.cells(*column)).collect();
                    add_elements(groups, batch, &counted, statistic, *kind, &sides);
                }
                _ => {}
            }
        }
    }

    /// The `top` groups of every statistic by every ranking asked; 0 is all.
    /// Equal counters are ranked by value, so that an answer is always the same.
    pub(crate) fn tables(&self, top: usize) -> Vec<Table<'_>> {
        let mut tables = Vec::new();
        for (statistic, groups) in &self.statistics {
            for &ranking in &statistic.rankings {
                let rows = match groups {
                    Groups::Elements(groups) => TableRows::Elements(best(groups, top, ranking, |c| c)),
                    Groups::Records(groups) => {
                        TableRows::Records(best(groups, top, ranking, |record| &record.counters))
                    }
                };
                tables.push(Table { statistic, ranking, rows });
            }
        }
        tables
    }
}

/// Counts rows by the values of `sides`, which are of one kind.
fn add_elements(
    groups: &mut HashMap<ElementKey, Counters>,
    batch: &Batch,
    counted: &CounterCells<'_>,
    statistic: &Statistic,
    kind: Kind,
    sides: &[Cells<'_>],
) {
    let is_of_events = statistic.is_of_events();
    let protocol = statistic.is_by_protocol.then(|| batch.cells(ColumnId::Protocol));
    for row in 0..batch.rows() {
        let mut counters = counted.get(row);
        if counters.is_event() {
            if !is_of_events {
                continue;
            }
            counters.flows = 1;
        }
        let mut before = None;
        for cells in sides {
            let Some(value) = Value::of(kind, *cells, row) else { continue };
            if before.as_ref() == Some(&value) {
                continue;
            }
            let key = (protocol.map(|protocol| protocol.int(row)), value.clone());
            groups.entry(key).or_default().add(&counters);
            before = Some(value);
        }
    }
}

fn add_records(groups: &mut HashMap<FiveTuple, Record>, batch: &Batch, counted: &CounterCells<'_>) {
    let tuples = TupleCells::new(batch);
    let (flags, tos) = (batch.cells(ColumnId::TcpFlags), batch.cells(ColumnId::SrcTos));
    for row in 0..batch.rows() {
        let counters = counted.get(row);
        if counters.is_event() {
            continue;
        }
        let record = match groups.entry(tuples.get(row)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Record::default()),
        };
        record.counters.add(&counters);
        record.src_tos = record.src_tos.or_else(|| tos.int(row));
        if let Some(flags) = flags.int(row) {
            record.tcp_flags = Some(record.tcp_flags.unwrap_or(0) | flags);
        }
    }
}

fn best<K: Ord + Hash, V>(
    groups: &HashMap<K, V>,
    top: usize,
    ranking: Ranking,
    counters: impl Fn(&V) -> &Counters,
) -> Vec<(&K, &V)> {
    let by_rank = |a: &(u64, &K, &V), b: &(u64, &K, &V)| -> Ordering {
        let by_counter = if ranking.is_ascending { a.0.cmp(&b.0) } else { b.0.cmp(&a.0) };
        by_counter.then_with(|| a.1.cmp(b.1))
    };
    let mut rows: Vec<_> =
        groups.iter().map(|(key, value)| (ranking.order.value(counters(value)), key, value)).collect();
    if 0 < top && top < rows.len() {
        rows.select_nth_unstable_by(top, by_rank);
        rows.truncate(top);
    }
    rows.sort_unstable_by(by_rank);
    rows.into_iter().map(|(_, key, value)| (key, value)).collect()
}
