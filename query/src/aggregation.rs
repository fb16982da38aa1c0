//! `-a` and `-A`: what flows are grouped by, and `-O`: what the groups are ranked by.

use std::sync::Arc;

use flow_common::column::{COLUMNS, Column, ColumnId, Kind, is_free_name};
use flow_common::limits::{KEYS_MAX, ORDERS_MAX};

use crate::aggregate::Value;
use crate::bucket::Bucket;
use crate::columns::{ColumnRef, Columns};
use crate::computed::{ALIASES, Computed};
use crate::group::{Grouping, KeyPart, Mask, Source};
use crate::measure::Measures;
use crate::message::{Failure, NameError, nearest};
use crate::statistic::{Order, Ranking};

/// Whether flows and those that answer them are one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Directions {
    Apart,
    /// As seen first.
    Joined,
    /// As ports suggest.
    Guessed,
}

/// Groups of flows, as a table of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Aggregation {
    pub(crate) keys: Vec<Key>,
    /// What groups are ranked by; those behind the first decide between equals. Never empty.
    pub(crate) orders: Vec<Ranking>,
    pub(crate) directions: Directions,
    /// What else is asked of the groups; their bucket is the first part of the key, too.
    pub(crate) measures: Arc<Measures>,
}

/// One part of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The name of its column.
    pub(crate) name: String,
    /// How tables call it.
    pub(crate) title: String,
    /// Its column; what is computed has a place beyond them all.
    pub(crate) column: ColumnRef,
    part: KeyPart,
}

/// What `-a` groups by.
const FIVE_TUPLE: [ColumnId; 5] =
    [ColumnId::Protocol, ColumnId::SrcAddr, ColumnId::DstAddr, ColumnId::SrcPort, ColumnId::DstPort];

impl Key {
    /// The start of the bucket flows began in. Its values are times, as those of its column.
    fn of_bucket(bucket: Bucket) -> Self {
        let (column, part) = (ColumnId::FlowStart.into(), KeyPart::of(Source::Bucket(bucket)));
        Self { name: BUCKET.to_owned(), title: "Bucket".to_owned(), column, part }
    }

    pub(crate) fn is_bucket(&self) -> bool {
        matches!(self.part.source, Source::Bucket(_))
    }

    pub(crate) fn part(&self) -> KeyPart {
        self.part
    }
}

/// How programs call the start of a bucket.
pub(crate) const BUCKET: &str = "bucket";

impl Aggregation {
    /// What `-A` says.
    pub(crate) fn parse(
        text: &str,
        order: Option<&str>,
        columns: &Columns,
        measures: &Arc<Measures>,
    ) -> Result<Self, NameError> {
        let mut keys: Vec<Key> = Vec::new();
        for word in text.split(',').map(str::trim) {
            let key = key(word, text, columns)?;
            match keys.iter_mut().find(|known| known.part.source == key.part.source) {
                // `srcip4/24,srcip6/48` is one address with a mask for each family.
                Some(known) => known.part.mask = known.part.mask.or(key.part.mask),
                None => keys.push(key),
            }
        }
        Ok(Self::new(keys, order, Directions::Apart, measures)?)
    }

    fn new(
        mut keys: Vec<Key>,
        order: Option<&str>,
        directions: Directions,
        measures: &Arc<Measures>,
    ) -> Result<Self, Failure> {
        if let Some(bucket) = measures.bucket {
            keys.insert(0, Key::of_bucket(bucket));
        }
        if keys.len() > KEYS_MAX {
            let message = format!("{} keys are asked for, more than {KEYS_MAX}", keys.len());
            return Err(Failure::usage_hint(message, "rows of which all differ are listed without `-A`"));
        }
        let is_key = |name: &str| keys.iter().any(|key| key.name == name);
        if let Some(one) = measures.list.iter().find(|one| is_key(&one.name)) {
            let message = format!("two columns would be called `{}`", one.name);
            return Err(Failure::usage_hint(message, "it is a key, and what is counted has the same name"));
        }
        let of_bucket = keys.iter().filter(|key| key.name == BUCKET).count();
        if of_bucket > 1 {
            let message = "two columns would be called `bucket`";
            return Err(Failure::usage_hint(message, "leave out `--bucket`, the file has one"));
        }
        Ok(Self { keys, orders: orders(order, measures)?, directions, measures: Arc::clone(measures) })
    }

    /// All flows in one group, or one for each bucket.
    pub(crate) fn alone(order: Option<&str>, measures: &Arc<Measures>) -> Result<Self, Failure> {
        Self::new(Vec::new(), order, Directions::Apart, measures)
    }

    /// What `-a`, `-b` and `-B` mean.
    pub(crate) fn five_tuple(
        order: Option<&str>,
        directions: Directions,
        measures: &Arc<Measures>,
    ) -> Result<Self, Failure> {
        let keys = FIVE_TUPLE.map(|id| of_column(id, Mask::WHOLE));
        Self::new(keys.into(), order, directions, measures)
    }

    /// The bucket of the key, and its other parts.
    pub(crate) fn split_keys(&self) -> (Option<&Key>, &[Key]) {
        match self.keys.split_first() {
            Some((bucket, keys)) if bucket.is_bucket() => (Some(bucket), keys),
            _ => (None, &self.keys),
        }
    }

    /// Whether all flows are one group, or one for each bucket.
    pub(crate) fn is_alone(&self) -> bool {
        self.split_keys().1.is_empty()
    }

    /// Whether the key is that of `-a`: groups are flows of one 5-tuple, and look like flows.
    pub(crate) fn is_of_flows(&self) -> bool {
        self.measures.is_empty()
            && self.keys.len() == FIVE_TUPLE.len()
            && self.keys.iter().zip(FIVE_TUPLE).all(|(key, id)| *key == of_column(id, Mask::WHOLE))
    }

    /// Whether a key needs a database of places.
    pub(crate) fn needs_places(&self) -> bool {
        self.keys.iter().any(|key| key.source().needs_places())
    }

    /// Whether it is about autonomous systems that exporters told.
    pub(crate) fn is_of_origins(&self) -> bool {
        self.keys.iter().any(|key| key.source().looked_up().is_some()) || self.measures.is_of_origins()
    }

    /// Looks systems up where exporters told none.
    pub(crate) fn look_origins_up(&mut self) {
        for key in &mut self.keys {
            key.part.source = key.source().looked_up().unwrap_or(key.part.source);
        }
        Arc::make_mut(&mut self.measures).look_origins_up();
    }

    /// The label stack a key tells of, top first, as far as it does: 0 where it does not.
    /// `None` where it is about none, or has none.
    pub(crate) fn labels(&self, key: &[Option<Value>]) -> Option<Vec<i32>> {
        let mut stack = Vec::new();
        for (part, value) in self.keys.iter().zip(key) {
            if let (Source::Label(entry), Some(Value::Label(label))) = (part.source(), value) {
                stack.resize(stack.len().max(entry.into()), 0);
                stack[usize::from(entry) - 1] = *label;
            }
        }
        (!stack.is_empty()).then_some(stack)
    }

    /// Whether groups have counters of both directions.
    pub(crate) fn has_out(&self) -> bool {
        self.directions != Directions::Apart
    }

    pub(crate) fn grouping(&self) -> Grouping {
        Grouping {
            parts: self.keys.iter().map(|key| key.part).collect(),
            other_sides: Vec::new(),
            has_null: true,
            counts_events: false,
            has_details: self.is_of_flows(),
            has_out: self.has_out() || self.orders.iter().any(|ranking| ranking.order.is_out()),
            rankings: self.orders.iter().take(1).copied().collect(),
            ties: self.orders.iter().skip(1).copied().collect(),
            measures: self.measures.whats(),
            // Of a bucket alone there is one group.
            is_by_bucket: self.keys.len() > 1
                && self.orders.first().is_some_and(|ranking| ranking.order == Order::Bucket),
            directions: self.directions,
        }
    }
}

impl Key {
    /// The kind that its values in groups are of.
    pub(crate) fn value_kind(&self) -> Kind {
        match self.part.source {
            Source::Net { .. }
            | Source::Label(_)
            | Source::Country(_)
            | Source::Origin { is_named: true, .. } => Kind::Text,
            _ => match self.part.kind {
                Kind::Int32 | Kind::Timestamp => Kind::Int64,
                kind => kind,
            },
        }
    }

    /// Where its values are from.
    pub(crate) fn source(&self) -> Source {
        self.part.source
    }
}

fn of_column(id: ColumnId, mask: Mask) -> Key {
    let column = id.column();
    let title = if column.title.is_empty() { column.name } else { column.title };
    let part = KeyPart { mask, ..KeyPart::column(id.into(), column.kind) };
    Key { name: column.name.to_owned(), title: title.to_owned(), column: id.into(), part }
}

fn key(word: &str, all: &str, columns: &Columns) -> Result<Key, NameError> {
    let (stem, bits) = match word.split_once('/') {
        Some((stem, bits)) => (stem, Some(bits)),
        None => (word, None),
    };
    let stem = stem.to_ascii_lowercase();
    if let Some(column) = known(&stem) {
        if bits.is_some() && column.kind == Kind::Address {
            let hint = format!("`{stem}4/24` masks IPv4, `{stem}6/48` IPv6, both together both");
            return Err(Failure::usage_hint(format!("`-A {all}`: a mask is for one family"), hint).into());
        }
        no_mask(bits, word)?;
        return Ok(of_column(column.id, Mask::WHOLE));
    }
    // nfdump's names of one family: `srcip4`, `dstip6/64`.
    for (family, bits_max) in [('4', 32), ('6', 128)] {
        let Some(column) = stem.strip_suffix(family).and_then(known) else { continue };
        if column.kind != Kind::Address {
            continue;
        }
        let length = match bits {
            None => bits_max,
            Some(text) => text.parse().ok().filter(|&bits| bits <= bits_max).ok_or_else(|| {
                Failure::usage(format!("`{word}`: `{text}` is not a prefix length of 0 to {bits_max}"))
            })?,
        };
        let one = Some(length);
        let mask = if family == '4' { Mask { v4: one, v6: None } } else { Mask { v4: None, v6: one } };
        return Ok(of_column(column.id, mask));
    }
    if let Some(key) = computed(&stem) {
        no_mask(bits, word)?;
        return Ok(key);
    }
    if columns.find(&stem).is_some() {
        no_mask(bits, word)?;
        return whole_column(&stem, "-A", columns);
    }
    let hint = "for example `-A srcip4/24,srcip6/48,dstport`";
    Err(unknown(word, &stem, ("key", "-A", hint), columns))
}

/// The column of the table that a word of `-A` means, or a name.
fn known(stem: &str) -> Option<&'static Column> {
    if let Some((_, id)) = ALIASES.iter().find(|(alias, _)| *alias == stem) {
        return Some(id.column());
    }
    let is_it = |column: &&Column| !stem.is_empty() && (column.aggregate == stem || column.name == stem);
    COLUMNS.iter().find(is_it).filter(|column| can_group(column.kind))
}

fn can_group(kind: Kind) -> bool {
    !matches!(kind, Kind::Labels | Kind::Other)
}

/// What a word in lower case computes of each flow.
fn computed(word: &str) -> Option<Key> {
    let (one, source, column) = Computed::key(word)?;
    let part = KeyPart::of(source);
    Some(Key { name: one.name.to_owned(), title: one.title.to_owned(), column, part })
}

/// The column, or what is computed, that a word in lower case means to `option`.
pub(crate) fn whole_column(word: &str, option: &str, columns: &Columns) -> Result<Key, NameError> {
    if let Some(column) = known(word) {
        return Ok(of_column(column.id, Mask::WHOLE));
    }
    if let Some(key) = computed(word) {
        return Ok(key);
    }
    if let Some(column) = columns.find(word) {
        let part = KeyPart::column(column, columns.kind(column));
        return Ok(Key { name: word.to_owned(), title: word.to_owned(), column, part });
    }
    if COLUMNS.iter().any(|column| column.name == word) {
        let message = format!("`{word}` has no single value that `{option}` could count");
        return Err(Failure::usage_hint(message, "numbers, addresses and texts have").into());
    }
    let hint = format!("for example `{option} dstport`");
    Err(unknown(word, word, ("column", option, &hint), columns))
}

/// That `word`, whose name is `stem`, is none that `option` knows; `hint` where it is like none.
fn unknown(word: &str, stem: &str, (what, option, hint): (&str, &str, &str), columns: &Columns) -> NameError {
    let words = COLUMNS.iter().filter(|column| can_group(column.kind));
    let words = words.flat_map(|column| [column.aggregate, column.name]).filter(|word| !word.is_empty());
    let mut all: Vec<&str> = words.chain(Computed::keys()).collect();
    all.extend(columns.names());
    let hint = match nearest(stem, all) {
        _ if Computed::find(stem).is_some_and(|one| one.sources.len() > 1) => {
            format!("`{stem}` is several values of a flow, which `-s {stem}` counts; a key is one")
        }
        Some(meant) => format!("did you mean `{meant}`?"),
        None => hint.to_owned(),
    };
    let failure = Failure::usage_hint(format!("unknown {what} `{word}` in `{option}`"), hint);
    NameError { failure, is_unknown_word: is_free_name(stem) }
}

fn no_mask(bits: Option<&str>, word: &str) -> Result<(), Failure> {
    match bits {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format!("`{word}`: only addresses have masks"))),
    }
}

/// What `-O` says, the most important first: `bytes`, `bytes,tstart:d`.
pub(crate) fn orders(text: Option<&str>, measures: &Measures) -> Result<Vec<Ranking>, Failure> {
    let Some(text) = text else {
        // A series runs with time.
        let bucket = measures.bucket.map(|_| Ranking::new(Order::Bucket, true));
        return Ok(bucket.into_iter().chain([Ranking::new(Order::Flows, false)]).collect());
    };
    let orders: Vec<Ranking> =
        text.split(',').map(|one| ranking(one.trim(), text, measures)).collect::<Result<_, _>>()?;
    if orders.len() > ORDERS_MAX {
        return Err(Failure::usage(format!(
            "`-O {text}` has {} orders, more than {ORDERS_MAX}",
            orders.len()
        )));
    }
    Ok(orders)
}

/// Most first for counters, earliest first for times.
fn ranking(text: &str, all: &str, measures: &Measures) -> Result<Ranking, Failure> {
    if let Some(measured) = measured_ranking(text, measures) {
        return Ok(measured);
    }
    if let Some(failure) = measures.missing(text) {
        return Err(failure);
    }
    let (word, direction) = match text.split_once(':') {
        Some((word, direction)) => (word, Some(direction)),
        None => (text, None),
    };
    let word = word.to_ascii_lowercase();
    let Some((word, order)) = Order::of_word(&word, Order::of_groups()) else {
        let words = || measures.order_words().chain(Order::of_groups().map(|order| order.word()));
        let hint = match nearest(&text.to_ascii_lowercase(), words()).or_else(|| nearest(&word, words())) {
            Some(meant) => format!("did you mean `-O {meant}`?"),
            None => format!("one of {}", words().collect::<Vec<_>>().join(", ")),
        };
        return Err(Failure::usage_hint(format!("unknown order `{word}`"), hint));
    };
    let is_ascending = match direction {
        None => matches!(order, Order::First | Order::Last),
        Some("a") => true,
        Some("d") => false,
        Some(other) => {
            let message = format!("unknown direction `:{other}` in `-O {all}`");
            return Err(Failure::usage_hint(message, "`:a` ascending or `:d` descending"));
        }
    };
    Ok(Ranking { word, ..Ranking::new(order, is_ascending) })
}

/// A ranking by what is measured, as `distinct:dstport:a`: buckets by time, others the most
/// first; `None` where the word is no such order.
pub(crate) fn measured_ranking(text: &str, measures: &Measures) -> Option<Ranking> {
    let lower = text.to_ascii_lowercase();
    let (word, direction) = match lower.rsplit_once(':') {
        Some((word, direction @ ("a" | "d"))) => (word, Some(direction == "a")),
        _ => (lower.as_str(), None),
    };
    let order = measures.order(word)?;
    Some(Ranking::new(order, direction.unwrap_or(order == Order::Bucket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(keys: &str, order: Option<&str>, expected: &str) {
        let parsed = Aggregation::parse(keys, order, &Columns::default(), &Arc::default());
        let shown = match parsed.map_err(|error| error.failure) {
            Ok(Aggregation { keys, orders, .. }) => {
                let key = |key: &Key| match (key.part.kind, key.part.mask) {
                    (Kind::Address, Mask { v4, v6 }) => format!("{}/{v4:?}/{v6:?}", key.name),
                    _ => key.name.clone(),
                };
                let order =
                    |one: &Ranking| format!("{} {}", one.word, if one.is_ascending { "up" } else { "down" });
                let keys: Vec<_> = keys.iter().map(key).collect();
                let orders: Vec<_> = orders.iter().map(order).collect();
                format!("{} {}", keys.join(" "), orders.join(" "))
            }
            Err(Failure::Usage { message, hint }) => format!("{message}; {}", hint.unwrap_or_default()),
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(shown, expected, "{keys} {order:?}");
    }

    #[test]
    fn keys_have_masks_by_family() {
        check("srcip,dstport", None, "src_addr/Some(32)/Some(128) dst_port flows down");
        check("srcip4/24,dstport", Some("bytes"), "src_addr/Some(24)/None dst_port bytes down");
        check("srcip4/24,srcip6/48", Some("bytes:a"), "src_addr/Some(24)/Some(48) bytes up");
        check("proto", Some("bytes, tstart:d,flows"), "protocol bytes down tstart down flows down");
        check("srcnet,srcip,tos", None, "src_net src_addr/Some(32)/Some(128) src_tos flows down");
        check(
            "mpls2,MPLS2,dst_country,exp",
            None,
            "mpls2 dst_country exporter_addr/Some(32)/Some(128) flows down",
        );
        check("dstip6, proto", Some("tstart"), "dst_addr/None/Some(128) protocol tstart up");
        check(
            "exporter_addr,in_if",
            Some("duration"),
            "exporter_addr/Some(32)/Some(128) in_if duration down",
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        check("srcip4/33", None, "`srcip4/33`: `33` is not a prefix length of 0 to 32; ");
        let hint = "`srcip4/24` masks IPv4, `srcip6/48` IPv6, both together both";
        check("srcip/24", None, &format!("`-A srcip/24`: a mask is for one family; {hint}"));
        check("dstport/8", None, "`dstport/8`: only addresses have masks; ");
        check("srcnet/24", None, "`srcnet/24`: only addresses have masks; ");
        check("scrnet", None, "unknown key `scrnet` in `-A`; did you mean `srcnet`?");
        check(
            "mac",
            None,
            "unknown key `mac` in `-A`; `mac` is several values of a flow, which `-s mac` counts; a key is one",
        );
        check("scrip", None, "unknown key `scrip` in `-A`; did you mean `srcip`?");
        check("", None, "unknown key `` in `-A`; for example `-A srcip4/24,srcip6/48,dstport`");
        check(
            "proto",
            Some("bytes,pps,bps,bpp,flows"),
            "`-O bytes,pps,bps,bpp,flows` has 5 orders, more than 4; ",
        );
        check(
            "proto",
            Some("bytes,"),
            "unknown order ``; one of flows, packets, bytes, pps, bps, bpp, opackets, obytes, opps, obps, obpp, \
                tstart, tend, duration",
        );
        check("proto", Some("byte"), "unknown order `byte`; did you mean `-O bytes`?");
        let message = "unknown direction `:x` in `-O bytes:x`; `:a` ascending or `:d` descending";
        check("proto", Some("bytes:x"), message);
    }
}
