//! `-s`: which values are counted, and by which counter they are ranked.

use std::sync::Arc;

use flow_common::column::{COLUMNS, Column, ColumnId, Kind, is_free_name};

use crate::aggregation::{BUCKET, Directions, measured_ranking};
use crate::columns::{ColumnRef, Columns};
use crate::computed::{COMPUTED, Computed, MISSING};
use crate::flow::Counters;
use crate::group::{Grouping, KeyPart, Source};
use crate::measure::Measures;
use crate::message::{Failure, NameError, nearest};

/// What flows are grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// The 5-tuple.
    Record,
    /// A column, or several sides, such as a column and its opposite; a flow with the same
    /// value on two of them counts once. Their values are of one kind.
    Values(Vec<Source>, Kind),
}

/// A counter groups are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Flows,
    Packets,
    Bytes,
    Pps,
    Bps,
    Bpp,
    /// Those of the other direction, where the exporter counted it in the same record.
    OutPackets,
    OutBytes,
    OutPps,
    OutBps,
    OutBpp,
    /// When the first flow began; of groups only, like the next two.
    First,
    Last,
    Duration,
    /// The bucket of `--bucket`.
    Bucket,
    /// What is measured besides, by its place among all that is.
    Measure(u8),
}

impl Order {
    const ALL: [Self; 11] = [
        Self::Flows,
        Self::Packets,
        Self::Bytes,
        Self::Pps,
        Self::Bps,
        Self::Bpp,
        Self::OutPackets,
        Self::OutBytes,
        Self::OutPps,
        Self::OutBps,
        Self::OutBpp,
    ];

    /// What nfdump calls some of them besides: `i…` is the direction of the record, and `-s` has
    /// other words than `-O`.
    const OTHER_WORDS: [(&str, Self); 9] = [
        ("ipkg", Self::Packets),
        ("ipackets", Self::Packets),
        ("ibyte", Self::Bytes),
        ("ibytes", Self::Bytes),
        ("ipps", Self::Pps),
        ("ibps", Self::Bps),
        ("ibpp", Self::Bpp),
        ("opkg", Self::OutPackets),
        ("obyte", Self::OutBytes),
    ];

    /// The order among `known` that a word in lower case means, with the word.
    pub(crate) fn of_word(word: &str, known: impl Iterator<Item = Self>) -> Option<(&'static str, Self)> {
        let own = known.map(|order| (order.word(), order));
        own.chain(Self::OTHER_WORDS).find(|(known, _)| *known == word)
    }

    /// Whether it is about the other direction.
    pub(crate) fn is_out(self) -> bool {
        matches!(self, Self::OutPackets | Self::OutBytes | Self::OutPps | Self::OutBps | Self::OutBpp)
    }

    /// Those that groups of `-A` can be ranked by.
    pub(crate) fn of_groups() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain([Self::First, Self::Last, Self::Duration])
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Flows => ColumnId::FlowCount.column().order,
            Self::Packets => ColumnId::Packets.column().order,
            Self::Bytes => ColumnId::Bytes.column().order,
            Self::Pps => "pps",
            Self::Bps => "bps",
            Self::Bpp => "bpp",
            Self::OutPackets => "opackets",
            Self::OutBytes => "obytes",
            Self::OutPps => "opps",
            Self::OutBps => "obps",
            Self::OutBpp => "obpp",
            Self::First => "tstart",
            Self::Last => "tend",
            Self::Duration => "duration",
            Self::Bucket => BUCKET,
            Self::Measure(_) => "measure",
        }
    }

    pub(crate) fn value(self, counters: &Counters) -> u64 {
        match self {
            Self::Flows => counters.flows,
            Self::Packets => counters.packets,
            Self::Bytes => counters.bytes,
            Self::Pps => counters.pps(),
            Self::Bps => counters.bps(),
            Self::Bpp => counters.bpp(),
            Self::OutPackets => counters.out_packets,
            Self::OutBytes => counters.out_bytes,
            Self::OutPps => counters.turned().pps(),
            Self::OutBps => counters.turned().bps(),
            Self::OutBpp => counters.turned().bpp(),
            // Times before the epoch come before those after it.
            Self::First => counters.first.map_or(u64::MAX, |micros| micros as u64 ^ 1 << 63),
            Self::Last => counters.last.map_or(0, |micros| micros as u64 ^ 1 << 63),
            Self::Duration => counters.duration_ms(),
            // A group has them beside its counters.
            Self::Bucket | Self::Measure(_) => 0,
        }
    }
}

impl Ranking {
    /// A ranking by an order with its own word.
    pub(crate) fn new(order: Order, is_ascending: bool) -> Self {
        Self { word: order.word(), order, is_ascending }
    }

    /// What ascends in the order of the ranking.
    pub(crate) fn rank(&self, counters: &Counters) -> u64 {
        let value = self.order.value(counters);
        if self.is_ascending { value } else { !value }
    }
}

/// A ranking: the counter and its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ranking {
    /// What the order was called.
    pub(crate) word: &'static str,
    pub(crate) order: Order,
    pub(crate) is_ascending: bool,
}

/// One `-s`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statistic {
    /// The word as typed, for example `srcip`.
    pub(crate) word: String,
    /// How tables call it, for example `Src IP Addr`.
    pub(crate) title: String,
    pub(crate) key: Key,
    pub(crate) is_by_protocol: bool,
    /// One table each, in this order; never empty.
    pub(crate) rankings: Vec<Ranking>,
    /// What else is asked of its groups.
    pub(crate) measures: Arc<Measures>,
}

/// Columns only events fill: in their statistics an event counts as one flow.
const EVENT_COLUMNS: [ColumnId; 5] = [
    ColumnId::NatEvent,
    ColumnId::FirewallEvent,
    ColumnId::FirewallExtEvent,
    ColumnId::IngressAcl,
    ColumnId::EgressAcl,
];

/// The word that groups by the 5-tuple.
const RECORD: &str = "record";

impl Key {
    /// The columns of the table or an operator's, if all its values are those of columns.
    pub(crate) fn columns(&self) -> Option<Vec<ColumnRef>> {
        let Self::Values(sources, _) = self else { return None };
        sources.iter().map(|source| source.column()).collect()
    }

    /// Whether its values are those of one column of the table.
    pub(crate) fn is_about(&self, id: ColumnId) -> bool {
        self.columns().is_some_and(|columns| matches!(columns[..], [only] if only == id))
    }
}

/// Every word `-s` knows, in the order of the column table, then what is computed.
pub(crate) fn words() -> Vec<&'static str> {
    let mut words = vec![RECORD];
    let of_table = COLUMNS.iter().flat_map(|column| [column.stat, column.stat_both]);
    for word in of_table.chain(COMPUTED.iter().map(|one| one.word)) {
        if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// Every word after the `/`.
pub(crate) fn order_words<'a>() -> impl Iterator<Item = &'a str> {
    Order::ALL.into_iter().map(|order| order.word())
}

impl Statistic {
    /// Whether it is about what happened and not about what flowed.
    pub(crate) fn is_of_events(&self) -> bool {
        let is_of_event = |column: &ColumnRef| EVENT_COLUMNS.iter().any(|id| column == id);
        self.key.columns().is_some_and(|columns| columns.iter().all(is_of_event))
    }

    /// Whether it needs a database of places.
    pub(crate) fn needs_places(&self) -> bool {
        matches!(&self.key, Key::Values(sources, _) if sources.iter().any(|source| source.needs_places()))
    }

    /// Whether it is about autonomous systems that exporters told.
    pub(crate) fn is_of_origins(&self) -> bool {
        let is_it = |source: &Source| source.looked_up().is_some();
        matches!(&self.key, Key::Values(sources, _) if sources.iter().any(is_it))
            || self.measures.is_of_origins()
    }

    /// Looks systems up where exporters told none.
    pub(crate) fn look_origins_up(&mut self) {
        if let Key::Values(sources, _) = &mut self.key {
            sources.iter_mut().for_each(|source| *source = source.looked_up().unwrap_or(*source));
        }
        Arc::make_mut(&mut self.measures).look_origins_up();
    }

    /// What its flows are grouped by.
    pub(crate) fn grouping(&self) -> Grouping {
        let protocol = KeyPart::column(ColumnId::Protocol.into(), Kind::Int32);
        let part = |id: ColumnId| KeyPart::column(id.into(), id.column().kind);
        let (parts, other_sides) = match &self.key {
            Key::Record => {
                let service = KeyPart { source: Source::Service, ..part(ColumnId::DstPort) };
                let rest =
                    [part(ColumnId::SrcAddr), part(ColumnId::DstAddr), part(ColumnId::SrcPort), service];
                (std::iter::once(protocol).chain(rest).collect(), Vec::new())
            }
            Key::Values(sources, kind) => {
                let part = |source: &Source| KeyPart { kind: *kind, ..KeyPart::of(*source) };
                let mut sides = sources.iter().map(part);
                let first = self.is_by_protocol.then_some(protocol).into_iter().chain(sides.next());
                (first.collect::<Vec<_>>(), sides.collect())
            }
        };
        let bucket = self.measures.bucket.map(|bucket| KeyPart::of(Source::Bucket(bucket)));
        let parts = bucket.into_iter().chain(parts).collect();
        let is_record = self.key == Key::Record;
        Grouping {
            parts,
            other_sides,
            has_null: is_record,
            counts_events: self.is_of_events(),
            has_details: is_record,
            has_out: self.rankings.iter().any(|ranking| ranking.order.is_out()),
            rankings: self.rankings.clone(),
            ties: Vec::new(),
            measures: self.measures.whats(),
            is_by_bucket: bucket.is_some(),
            directions: Directions::Apart,
        }
    }

    /// What percentages are of, where `total` is what matched.
    pub(crate) fn whole(&self, total: &Counters) -> Counters {
        let events = if self.is_of_events() { total.events } else { 0 };
        Counters { flows: total.flows.saturating_add(events), ..*total }
    }

    /// Reads `srcip`, `port:p/bytes/flows:a`, and the names of `columns`.
    pub(crate) fn parse(text: &str, columns: &Columns, measures: &Arc<Measures>) -> Result<Self, NameError> {
        let mut parts = text.split('/');
        let element = parts.next().unwrap_or_default();
        let (word, is_by_protocol) = match element.split_once(':') {
            Some((word, "p")) => (word, true),
            Some((_, flag)) => {
                let message = format!("unknown modifier `:{flag}` in `-s {text}`");
                return Err(Failure::usage_hint(message, "`:p` splits by protocol").into());
            }
            None => (element, false),
        };
        let word = word.to_ascii_lowercase();
        let (key, title) = match key(&word).or_else(|| extra_key(&word, columns)) {
            Some((Key::Values(_, Kind::Timestamp), _)) => {
                let message = format!("`-s {word}` would count every instant by itself");
                return Err(Failure::usage_hint(message, "times can be compared in a filter").into());
            }
            Some(found) => found,
            None => {
                let is_unknown_word = is_free_name(&word);
                return Err(NameError { failure: unknown(&word, columns), is_unknown_word });
            }
        };
        let mut rankings = parts.map(|text| ranking(text, measures)).collect::<Result<Vec<_>, _>>()?;
        if rankings.is_empty() {
            rankings.push(Ranking::new(Order::Flows, false));
        }
        Ok(Self { word, title, key, is_by_protocol, rankings, measures: Arc::clone(measures) })
    }
}

fn key(word: &str) -> Option<(Key, String)> {
    if word == RECORD {
        return Some((Key::Record, "flows".into()));
    }
    if word.is_empty() {
        return None;
    }
    if let Some(one) = Computed::find(word) {
        let kind = one.sources.first()?.kind();
        return Some((Key::Values(one.sources.to_vec(), kind), one.title.to_owned()));
    }
    let of = |column: &Column| Source::Column(column.id.into());
    if let Some(column) = COLUMNS.iter().find(|column| column.stat == word) {
        return Some((Key::Values(vec![of(column)], column.kind), column.title.to_owned()));
    }
    let both: Vec<&Column> = COLUMNS.iter().filter(|column| column.stat_both == word).collect();
    let Column { title, kind, .. } = both.first()?;
    // `Src IP Addr` and `Dst IP Addr` are `IP Addr` together.
    let title = title.replace("Src ", "").replace("Input ", "");
    Some((Key::Values(both.iter().map(|column| of(column)).collect(), *kind), title))
}

/// A column an operator defined.
fn extra_key(word: &str, columns: &Columns) -> Option<(Key, String)> {
    let column = columns.find(word)?;
    Some((Key::Values(vec![Source::Column(column)], columns.kind(column)), word.to_owned()))
}

fn unknown(word: &str, columns: &Columns) -> Failure {
    if let Some((word, why)) = MISSING.iter().find(|(missing, _)| *missing == word) {
        return Failure::usage_hint(format!("nfdump's `-s {word}` has no counterpart here"), *why);
    }
    let named = COLUMNS.iter().find(|column| {
        !column.stat.is_empty()
            && (column.name == word || column.aggregate == word || column.filter.contains(&word))
    });
    let meant =
        named.map(|column| column.stat).or_else(|| nearest(word, words().into_iter().chain(columns.names())));
    let hint = match meant {
        Some(meant) => format!("did you mean `-s {meant}`?"),
        None => "`flowdump --help` lists the words".into(),
    };
    Failure::usage_hint(format!("unknown statistic `{word}`"), hint)
}

fn ranking(text: &str, measures: &Measures) -> Result<Ranking, Failure> {
    // Tables of statistics are by bucket anyway.
    if let Some(found) = measured_ranking(text, measures).filter(|one| one.order != Order::Bucket) {
        return Ok(found);
    }
    if measures.order(&text.to_ascii_lowercase()) == Some(Order::Bucket) {
        let message = "the buckets of a statistic come one after another, whatever its order";
        return Err(Failure::usage_hint(message, "for example `-s srcip/bytes`"));
    }
    if let Some(failure) = measures.missing(text) {
        return Err(failure);
    }
    let (word, is_ascending) = match text.split_once(':') {
        Some((word, "a")) => (word, true),
        Some((word, "d")) => (word, false),
        Some((_, flag)) => {
            let message = format!("unknown direction `:{flag}` of order `{text}`");
            return Err(Failure::usage_hint(message, "`:a` is ascending, `:d` descending"));
        }
        None => (text, false),
    };
    let lower = word.to_ascii_lowercase();
    let found = Order::of_word(&lower, Order::ALL.into_iter());
    let (word, order) = found.ok_or_else(|| {
        let measured = measures.order_words().filter(|word| *word != BUCKET);
        let words: Vec<&str> = order_words().chain(measured).collect();
        let hint = match nearest(&lower, words.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("one of {}", words.join(", ")),
        };
        Failure::usage_hint(format!("unknown order `{word}`"), hint)
    })?;
    Ok(Ranking { word, ..Ranking::new(order, is_ascending) })
}
