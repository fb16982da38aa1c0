//! Every noun a filter knows: from the column table, and those that no column has.

use std::sync::LazyLock;

use flow_common::column::{COLUMNS, ColumnId, Kind, by_name};
use flow_common::limits::MPLS_LABELS_MAX;
use flow_common::tables::NameKind;

use super::predicate::{LabelPart, Measure};
use crate::columns::{ColumnRef, Columns};
use crate::names::NAME_COLUMNS;

/// What a noun stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    Column(ColumnRef),
    /// An address column called `… net`: its values are prefixes.
    Net(ColumnRef),
    Measure(Measure),
    /// High six bits of a type of service.
    Dscp(ColumnId),
    /// Low two bits of a type of service.
    Ecn(ColumnId),
    Acl(ColumnId),
    Label(LabelPart),
    /// An exporter's name for a number: index in [`NAME_COLUMNS`].
    Name(usize),
    /// The country of an address.
    Country(ColumnId),
    /// The name of the collector, or of the exporter, that a file is of.
    Ident,
}

/// One noun: its words and its quantity.
#[derive(Debug, Clone)]
pub(crate) struct Noun {
    pub(crate) words: Vec<String>,
    pub(crate) quantity: Quantity,
}

impl Noun {
    fn new(phrase: &str, quantity: Quantity) -> Self {
        Self { words: phrase.split(' ').map(str::to_owned).collect(), quantity }
    }

    /// Whether it is one of many that differ in a number, and not the first.
    pub(crate) fn is_further(&self) -> bool {
        matches!(self.quantity, Quantity::Label(LabelPart::Label(2..) | LabelPart::Exp(2..)))
    }

    pub(crate) fn phrase(&self) -> String {
        self.words.join(" ")
    }
}

/// Words that tell two sides apart; a noun without them means both.
pub(crate) const SIDES: [&str; 8] = ["src", "dst", "in", "out", "min", "max", "ingress", "egress"];

/// Terms of one word, without a value.
pub(crate) const SINGLES: [&str; 6] = ["any", "ipv4", "ipv6", "inet", "inet6", "sampled"];

/// Nouns that are computed.
const MEASURES: [(&str, Measure); 4] =
    [("duration", Measure::DurationMs), ("bps", Measure::Bps), ("pps", Measure::Pps), ("bpp", Measure::Bpp)];

/// Nouns that are parts of a type of service; without a side that on arrival, as `tos`.
const SERVICE_BITS: [(&str, Quantity); 6] = [
    ("dscp", Quantity::Dscp(ColumnId::SrcTos)),
    ("src dscp", Quantity::Dscp(ColumnId::SrcTos)),
    ("dst dscp", Quantity::Dscp(ColumnId::DstTos)),
    ("ecn", Quantity::Ecn(ColumnId::SrcTos)),
    ("src ecn", Quantity::Ecn(ColumnId::SrcTos)),
    ("dst ecn", Quantity::Ecn(ColumnId::DstTos)),
];

/// Nouns that are names exporters told, by the name of the column in JSON. Those of
/// applications are in the column table: flows carry them, too.
const NAMES: [(&str, &str); 6] = [
    ("in if name", "in_if_name"),
    ("out if name", "out_if_name"),
    ("ingress vrf name", "ingress_vrf_name"),
    ("egress vrf name", "egress_vrf_name"),
    ("sampler", "sampler_name"),
    ("sampler name", "sampler_name"),
];

/// Nouns that are countries of addresses.
const COUNTRIES: [(&str, ColumnId); 6] = [
    ("src geo", ColumnId::SrcAddr),
    ("dst geo", ColumnId::DstAddr),
    ("src nat geo", ColumnId::PostNatSrcAddr),
    ("dst nat geo", ColumnId::PostNatDstAddr),
    ("src tun geo", ColumnId::TunnelSrcAddr),
    ("dst tun geo", ColumnId::TunnelDstAddr),
];

static NOUNS: LazyLock<Vec<Noun>> = LazyLock::new(|| {
    let columns = COLUMNS.iter().flat_map(|column| {
        column.filter.iter().map(|phrase| {
            let is_net = column.kind == Kind::Address && phrase.ends_with("net");
            let quantity = if is_net { Quantity::Net(column.id.into()) } else { of_column(column.id) };
            Noun::new(phrase, quantity)
        })
    });
    let measures = MEASURES.iter().map(|(word, measure)| Noun::new(word, Quantity::Measure(*measure)));
    let service = SERVICE_BITS.iter().map(|(phrase, quantity)| Noun::new(phrase, *quantity));
    let names = NAMES.iter().filter_map(|(phrase, column)| {
        let index = NAME_COLUMNS.iter().position(|name| name.name == *column)?;
        Some(Noun::new(phrase, Quantity::Name(index)))
    });
    let labels = (1..=MPLS_LABELS_MAX).flat_map(|entry| {
        [("label", LabelPart::Label(entry)), ("exp", LabelPart::Exp(entry))]
            .map(|(word, part)| Noun::new(&format!("mpls {word}{entry}"), Quantity::Label(part)))
    });
    let bottom = Noun::new("mpls eos", Quantity::Label(LabelPart::Bottom));
    let countries = COUNTRIES.iter().map(|(phrase, addr)| Noun::new(phrase, Quantity::Country(*addr)));
    let ident = Noun::new("ident", Quantity::Ident);
    let computed = measures.chain(service).chain(names).chain(countries).chain([ident]);
    columns.chain(computed).chain(labels).chain([bottom]).collect()
});

/// What a column is in a filter.
fn of_column(id: ColumnId) -> Quantity {
    let application = || NAME_COLUMNS.iter().position(|name| name.kind == NameKind::Application);
    match id {
        ColumnId::IcmpType => Quantity::Measure(Measure::IcmpType),
        ColumnId::IcmpCode => Quantity::Measure(Measure::IcmpCode),
        ColumnId::IngressAcl | ColumnId::EgressAcl => Quantity::Acl(id),
        ColumnId::MplsLabels => Quantity::Label(LabelPart::Any),
        ColumnId::ApplicationName => application().map_or(Quantity::Column(id.into()), Quantity::Name),
        id => Quantity::Column(id.into()),
    }
}

/// Every noun, in the order of the column table.
pub(crate) fn nouns() -> &'static [Noun] {
    &NOUNS
}

/// Other spellings of a word.
pub(crate) const SYNONYMS: [(&str, &str); 7] = [
    ("xlate", "nat"),
    ("interface", "if"),
    ("address", "ip"),
    ("octets", "bytes"),
    ("pkts", "packets"),
    ("asn", "as"),
    ("dur", "duration"),
];

/// A word as nouns spell it.
pub(crate) fn normal(word: &str) -> String {
    let word = word.to_ascii_lowercase();
    match SYNONYMS.iter().find(|(other, _)| *other == word) {
        Some((_, ours)) => (*ours).to_owned(),
        None => word,
    }
}

/// What `words` name: the noun of exactly these words, else those that only tell a
/// side besides, else the column so called in files, of the table or an operator's.
pub(crate) fn find(words: &[String], columns: &Columns) -> Vec<Quantity> {
    if let Some(noun) = NOUNS.iter().find(|noun| noun.words == words) {
        return vec![noun.quantity];
    }
    let sides: Vec<_> =
        NOUNS.iter().filter(|noun| is_side_of(words, noun)).map(|noun| noun.quantity).collect();
    match words {
        [name] if sides.is_empty() => {
            let of_table = by_name(name).map(|column| of_column(column.id));
            of_table.or_else(|| columns.find(name).map(Quantity::Column)).into_iter().collect()
        }
        _ => sides,
    }
}

/// Whether `words` are those of `noun` in order, less some that tell a side.
fn is_side_of(words: &[String], noun: &Noun) -> bool {
    let mut rest = words.iter().peekable();
    for word in &noun.words {
        if rest.next_if(|next| *next == word).is_none() && !SIDES.contains(&word.as_str()) {
            return false;
        }
    }
    rest.next().is_none()
}

/// Whether some noun begins with `words`.
pub(crate) fn is_beginning(words: &[String]) -> bool {
    let begins = |noun: &[String]| noun.len() >= words.len() && noun.iter().zip(words).all(|(a, b)| a == b);
    NOUNS
        .iter()
        .any(|noun| begins(&noun.words) || noun.words.split_first().is_some_and(|(_, rest)| begins(rest)))
}

/// nfdump's primitives that have no counterpart here, and why.
pub(crate) const MISSING: [(&str, &str); 6] = [
    ("count", "records are not numbered: `-c 100` stops after so many that match"),
    ("cnt", "records are not numbered: `-c 100` stops after so many that match"),
    ("payload", "exporters send no payload: `app \"http\"` is what they say of it, and `port 80`"),
    ("pf", "logs of pf are no flow records"),
    ("exporter id", "exporters are not numbered: `exporter 192.0.2.1` is one by its address"),
    ("exporter sysid", "exporters are not numbered: `exporter 192.0.2.1` is one by its address"),
];

/// The primitive of nfdump that `words` begin with and that is missing here, the words
/// before it included, and why.
pub(crate) fn missing(words: &[String]) -> Option<(usize, &'static str, &'static str)> {
    let is_qualifier =
        |word: &&String| SIDES.contains(&word.as_str()) || ["nat", "tun"].contains(&word.as_str());
    let before = words.iter().take_while(is_qualifier).count();
    let found = MISSING.iter().find(|(phrase, _)| {
        let mut rest = words.iter().skip(before);
        phrase.split(' ').all(|word| rest.next().is_some_and(|next| next == word))
    });
    found.map(|(phrase, why)| (before + phrase.split(' ').count(), *phrase, *why))
}

#[cfg(test)]
mod tests {
    use flow_common::column::is_free_name;

    use super::*;
    use crate::computed::{ALIASES, COMPUTED};
    use crate::filter::Comparator;

    /// No operator can define a column whose name means something here already.
    #[test]
    fn every_word_of_the_language_is_reserved() {
        let nouns = NOUNS.iter().flat_map(|noun| noun.words.iter().map(String::as_str));
        let foreign = super::super::suggest::FOREIGN.iter().map(|(word, _)| *word);
        let synonyms = SYNONYMS.iter().map(|(word, _)| *word);
        let missing = MISSING.iter().flat_map(|(phrase, _)| phrase.split(' '));
        let grammar = [
            "and", "or", "not", "in", "eq", "ne", "lt", "le", "gt", "ge", "is", "null", "absent", "present",
            "equal", "pblock",
        ];
        assert!(grammar[4..10].iter().all(|word| Comparator::from_word(word).is_some()));
        let words = nouns.chain(foreign).chain(synonyms).chain(SIDES).chain(SINGLES).chain(missing);
        let computed = COMPUTED.iter().map(|one| one.name).chain(ALIASES.map(|(alias, _)| alias));
        let words: Vec<_> = words.chain(grammar).chain(crate::statistic::words()).chain(computed).collect();
        let free: Vec<_> = words.into_iter().filter(|word| is_free_name(word)).collect();
        assert!(free.is_empty(), "not reserved: {free:?}");
        assert!(is_free_name("my_rtt"));
    }

    #[test]
    fn every_column_has_a_noun_and_every_noun_one_meaning() {
        for column in COLUMNS {
            assert!(!column.filter.is_empty(), "no noun for {}", column.name);
        }
        for noun in NOUNS.iter() {
            let same = NOUNS.iter().filter(|other| other.words == noun.words).count();
            assert_eq!(same, 1, "{}", noun.phrase());
        }
        assert_eq!(NAMES.len(), NOUNS.iter().filter(|noun| is_told(noun)).count());
    }

    fn is_told(noun: &Noun) -> bool {
        matches!(noun.quantity, Quantity::Name(index) if NAME_COLUMNS[index].kind != NameKind::Application)
    }
}
