//! Every noun a filter knows, from the column table, and what other tools call them.

use std::sync::LazyLock;

use flow_common::column::{COLUMNS, ColumnId, Kind};
use flow_common::proto::Protocol;

use super::predicate::Measure;
use crate::columns::{ColumnRef, Columns};
use crate::message::nearest;

/// What a noun stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    Column(ColumnRef),
    /// An address column called `… net`: its values are prefixes.
    Net(ColumnRef),
    Measure(Measure),
}

/// One noun: its words and its quantity.
#[derive(Debug, Clone)]
pub(crate) struct Noun {
    pub(crate) words: Vec<&'static str>,
    pub(crate) quantity: Quantity,
}

/// Words that tell two sides apart; a noun without them means both.
const SIDES: [&str; 8] = ["src", "dst", "in", "out", "min", "max", "ingress", "egress"];

/// Terms of one word, without a value.
pub(crate) const SINGLES: [&str; 3] = ["any", "ipv4", "ipv6"];

static NOUNS: LazyLock<Vec<Noun>> = LazyLock::new(|| {
    let measures = [
        ("duration", Measure::DurationMs),
        ("bps", Measure::Bps),
        ("pps", Measure::Pps),
        ("bpp", Measure::Bpp),
    ];
    let columns = COLUMNS.iter().flat_map(|column| {
        column.filter.iter().map(|phrase| {
            let words: Vec<_> = phrase.split(' ').collect();
            let is_net = column.kind == Kind::Address && words.last() == Some(&"net");
            let quantity = match column.id {
                ColumnId::IcmpType => Quantity::Measure(Measure::IcmpType),
                ColumnId::IcmpCode => Quantity::Measure(Measure::IcmpCode),
                id if is_net => Quantity::Net(id.into()),
                id => Quantity::Column(id.into()),
            };
            Noun { words, quantity }
        })
    });
    let measures =
        measures.map(|(word, measure)| Noun { words: vec![word], quantity: Quantity::Measure(measure) });
    columns.chain(measures).collect()
});

/// Every noun, in the order of the column table.
pub(crate) fn nouns() -> &'static [Noun] {
    &NOUNS
}

/// A word as nouns spell it.
pub(crate) fn normal(word: &str) -> String {
    let word = word.to_ascii_lowercase();
    if word == "xlate" { "nat".into() } else { word }
}

/// What `words` name: the noun of exactly these words, else those that only tell a
/// side besides, else a column an operator defined.
pub(crate) fn find(words: &[String], columns: &Columns) -> Vec<Quantity> {
    if let Some(noun) = NOUNS.iter().find(|noun| noun.words == words) {
        return vec![noun.quantity];
    }
    let sides: Vec<_> =
        NOUNS.iter().filter(|noun| is_side_of(words, noun)).map(|noun| noun.quantity).collect();
    match words {
        [name] if sides.is_empty() => columns.find(name).map(Quantity::Column).into_iter().collect(),
        _ => sides,
    }
}

/// Whether `words` are those of `noun` in order, less some that tell a side.
fn is_side_of(words: &[String], noun: &Noun) -> bool {
    let mut rest = words.iter().peekable();
    for word in &noun.words {
        if rest.next_if(|next| *next == word).is_none() && !SIDES.contains(word) {
            return false;
        }
    }
    rest.next().is_none()
}

/// Whether some noun begins with `words`.
pub(crate) fn is_beginning(words: &[String]) -> bool {
    let begins = |noun: &[&str]| noun.len() >= words.len() && noun.iter().zip(words).all(|(a, b)| a == b);
    NOUNS
        .iter()
        .any(|noun| begins(&noun.words) || noun.words.split_first().is_some_and(|(_, rest)| begins(rest)))
}

/// What other tools and our own column names call a thing.
const FOREIGN: [(&str, &str); 28] = [
    ("sport", "src port"),
    ("dport", "dst port"),
    ("saddr", "src ip"),
    ("daddr", "dst ip"),
    ("sip", "src ip"),
    ("dip", "dst ip"),
    ("srchost", "src host"),
    ("dsthost", "dst host"),
    ("srcnet", "src net"),
    ("dstnet", "dst net"),
    ("snet", "src net"),
    ("dnet", "dst net"),
    ("ip.src", "src ip"),
    ("ip.dst", "dst ip"),
    ("ip.addr", "ip"),
    ("address", "ip"),
    ("inet", "ipv4"),
    ("inet6", "ipv6"),
    ("ip4", "ipv4"),
    ("ip6", "ipv6"),
    ("protocol", "proto"),
    ("interface", "if"),
    ("octets", "bytes"),
    ("pkts", "packets"),
    ("dur", "duration"),
    ("asn", "as"),
    ("dscp", "tos"),
    ("user", "asa user"),
];

/// nfdump's primitives that have no counterpart here.
pub(crate) const MISSING: [&str; 7] = ["ident", "count", "cnt", "mpls", "geo", "payload", "pf"];

/// What `words` were meant to be, the first of them unknown at `unknown`.
pub(crate) fn suggestion(words: &[String], unknown: usize, columns: &Columns) -> Option<String> {
    let word = &words[unknown];
    let before = words[..unknown].iter().map(|word| format!("{word} ")).collect::<String>();
    if unknown == 0
        && let Some(ours) = translation(word)
    {
        return Some(ours);
    }
    // As many words as the noun has are compared, so `src prot` finds `src port`.
    let phrases: Vec<String> = NOUNS
        .iter()
        .map(|noun| noun.words.join(" "))
        .chain(sideless())
        .chain(SINGLES.map(str::to_owned))
        .chain(columns.names().map(str::to_owned))
        .filter(|phrase| phrase.starts_with(&before))
        .collect();
    let typed = words.iter().skip(unknown).take(2).map(String::as_str).collect::<Vec<_>>().join(" ");
    let near = |text: &str| {
        let candidates = phrases.iter().map(|phrase| &phrase[before.len()..]);
        nearest(text, candidates).map(str::to_owned)
    };
    near(word).or_else(|| near(&typed)).map(|phrase| format!("{before}{phrase}"))
}

/// Nouns as they are said without a side.
fn sideless() -> impl Iterator<Item = String> {
    NOUNS.iter().map(|noun| {
        let words: Vec<_> = noun.words.iter().copied().filter(|word| !SIDES.contains(word)).collect();
        words.join(" ")
    })
}

/// Our noun for one word of another language.
fn translation(word: &str) -> Option<String> {
    if let Some((_, ours)) = FOREIGN.iter().find(|(foreign, _)| *foreign == word) {
        return Some((*ours).to_owned());
    }
    let named = COLUMNS.iter().find(|column| {
        [column.name, column.stat, column.aggregate, column.order].contains(&word)
            || column.raw.eq_ignore_ascii_case(word)
    });
    if let Some(phrase) = named.and_then(|column| column.filter.first()) {
        return Some((*phrase).to_owned());
    }
    let is_protocol = Protocol::names().any(|name| name.eq_ignore_ascii_case(word));
    is_protocol.then(|| format!("proto {word}"))
}

#[cfg(test)]
mod tests {
    use flow_common::column::is_free_name;

    use super::*;
    use crate::filter::Comparator;

    /// No operator can define a column whose name means something here already.
    #[test]
    fn every_word_of_the_language_is_reserved() {
        let nouns = NOUNS.iter().flat_map(|noun| noun.words.iter().copied());
        let foreign = FOREIGN.iter().map(|(word, _)| *word);
        let grammar = ["and", "or", "not", "in", "eq", "ne", "lt", "le", "gt", "ge", "xlate"];
        assert!(grammar[4..10].iter().all(|word| Comparator::from_word(word).is_some()));
        let words = nouns.chain(foreign).chain(SIDES).chain(SINGLES).chain(MISSING).chain(grammar);
        for word in words.chain(crate::statistic::words()) {
            assert!(!is_free_name(word), "`{word}` is not reserved");
        }
        assert!(is_free_name("my_rtt"));
    }
}
