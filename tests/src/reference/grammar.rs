//! Random filters: a tree of conditions and its text, made together.

use flow_common::column::{COLUMNS, ColumnId as Id, ExtraColumn, Kind};

use super::filter::{Comparator, Condition, Net, Node, Quantity};
use super::generate::{ADDRESSES, TEXTS, max_of};
use super::row::{Cell, Place, Row, column};
use super::value;
use crate::mutate::Xorshift;

/// Nouns that mean several columns.
const BOTH_SIDES: [(&str, &[Id]); 18] = [
    ("port", &[Id::SrcPort, Id::DstPort]),
    ("ip", &[Id::SrcAddr, Id::DstAddr]),
    ("host", &[Id::SrcAddr, Id::DstAddr]),
    ("net", &[Id::SrcAddr, Id::DstAddr]),
    ("if", &[Id::InIf, Id::OutIf]),
    ("as", &[Id::SrcAs, Id::DstAs]),
    ("mask", &[Id::SrcMask, Id::DstMask]),
    ("vlan", &[Id::Vlan, Id::PostVlan]),
    ("ttl", &[Id::MinTtl, Id::MaxTtl]),
    ("vrf", &[Id::IngressVrf, Id::EgressVrf]),
    ("mac", &[Id::InSrcMac, Id::OutDstMac, Id::InDstMac, Id::OutSrcMac]),
    ("src mac", &[Id::InSrcMac, Id::OutSrcMac]),
    ("in mac", &[Id::InSrcMac, Id::InDstMac]),
    ("nat ip", &[Id::PostNatSrcAddr, Id::PostNatDstAddr]),
    ("nat net", &[Id::PostNatSrcAddr, Id::PostNatDstAddr]),
    ("nat port", &[Id::PostNatSrcPort, Id::PostNatDstPort]),
    ("xlate port", &[Id::PostNatSrcPort, Id::PostNatDstPort]),
    ("tun ip", &[Id::TunnelSrcAddr, Id::TunnelDstAddr]),
];

const MEASURES: [(&str, Quantity); 8] = [
    ("dscp", Quantity::Dscp(Id::SrcTos)),
    ("dst dscp", Quantity::Dscp(Id::DstTos)),
    ("duration", Quantity::Duration),
    ("bps", Quantity::Bps),
    ("pps", Quantity::Pps),
    ("bpp", Quantity::Bpp),
    ("icmp-type", Quantity::IcmpType),
    ("icmp code", Quantity::IcmpCode),
];

/// Words analysts use most, drawn as often as all others together.
const USUAL: [&str; 10] =
    ["proto", "port", "dst port", "src ip", "dst net", "ip", "bytes", "packets", "flags", "as"];

/// A noun and what it stands for.
struct Noun {
    words: String,
    quantities: Vec<Quantity>,
}

/// Every noun of a tree with these columns.
fn nouns(extra: &[ExtraColumn]) -> Vec<Noun> {
    let of_table = COLUMNS.iter().flat_map(|column| {
        let is_measure = matches!(column.id, Id::IcmpType | Id::IcmpCode);
        let words = column.filter.iter().filter(move |_| !is_measure);
        words.map(|words| ((*words).to_owned(), vec![Quantity::Column(column.id as usize)]))
    });
    let both = BOTH_SIDES.map(|(words, ids)| {
        (words.to_owned(), ids.iter().map(|id| Quantity::Column(*id as usize)).collect())
    });
    let measures = MEASURES.map(|(words, quantity)| (words.to_owned(), vec![quantity]));
    let of_tree = (COLUMNS.len()..)
        .zip(extra)
        .map(|(place, column)| (column.name.clone(), vec![Quantity::Column(place)]));
    let all = of_table.chain(both).chain(measures).chain(of_tree);
    all.map(|(words, quantities)| Noun { words, quantities }).collect()
}

/// Makes filters for the rows of a tree.
pub(super) struct Grammar<'a> {
    nouns: Vec<Noun>,
    extra: &'a [ExtraColumn],
    rows: &'a [Row],
}

impl<'a> Grammar<'a> {
    pub(super) fn new(extra: &'a [ExtraColumn], rows: &'a [Row]) -> Self {
        Self { nouns: nouns(extra), extra, rows }
    }

    /// A filter of at most `depth` levels.
    pub(super) fn filter(&self, depth: usize, random: &mut Xorshift) -> (Node, String) {
        match random.below(if depth == 0 { 5 } else { 12 }) {
            0 if random.below(8) == 0 => (Node::Any, "any".to_owned()),
            0..5 => self.term(random),
            5..8 => self.joined(depth, "and", Node::And, random),
            8..10 => self.joined(depth, "or", Node::Or, random),
            _ => {
                let (node, text) = self.filter(depth - 1, random);
                let not = ["not ", "!", "NOT "][random.below(3)];
                (Node::Not(Box::new(node)), format!("{not}({text})"))
            }
        }
    }

    fn joined(
        &self,
        depth: usize,
        word: &str,
        node: fn(Vec<Node>) -> Node,
        random: &mut Xorshift,
    ) -> (Node, String) {
        let parts: Vec<_> = (0..2 + random.below(2)).map(|_| self.filter(depth - 1, random)).collect();
        let (nodes, texts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        (
            node(nodes),
            texts.iter().map(|text| format!("({text})")).collect::<Vec<_>>().join(&format!(" {word} ")),
        )
    }

    fn term(&self, random: &mut Xorshift) -> (Node, String) {
        if random.below(25) == 0 {
            return family(random.below(2) == 0);
        }
        let noun = if random.below(2) == 0 {
            let usual = USUAL[random.below(USUAL.len())];
            self.nouns.iter().find(|noun| noun.words == usual).expect("a usual noun")
        } else {
            &self.nouns[random.below(self.nouns.len())]
        };
        let is_presence = random.below(12) == 0;
        let (condition, text) = if is_presence { presence(random) } else { self.condition(noun, random) };
        let term = Node::Term(noun.quantities.clone(), condition);
        // Only TCP has flags.
        let is_flags = !is_presence && noun.quantities == [Quantity::Column(Id::TcpFlags as usize)];
        let tcp = || {
            let protocol = vec![Quantity::Column(Id::Protocol as usize)];
            Node::Term(protocol, Condition::Number(Comparator::Eq, 6))
        };
        let node = if is_flags { Node::And(vec![tcp(), term]) } else { term };
        (node, format!("{} {text}", noun.words))
    }

    fn condition(&self, noun: &Noun, random: &mut Xorshift) -> (Condition, String) {
        let Quantity::Column(place) = noun.quantities[random.below(noun.quantities.len())] else {
            let max = match noun.words.as_str() {
                words if words.starts_with("icmp") => 255,
                words if words.ends_with("dscp") => 63,
                _ => i64::MAX,
            };
            let number = [0, 1, 8, 1_000, 40, 100_000, i64::MAX][random.below(7)].min(max);
            return number_condition(number, random);
        };
        let (_, kind) = column(place, self.extra);
        let found = self.some_value(place, random);
        match (kind, found) {
            _ if place == Id::TcpFlags as usize => flags(random),
            (Kind::Int32 | Kind::Int64, found) => {
                let max = max_of(place, self.extra);
                let min = if place == COLUMNS.len() + 1 { -128 } else { 0 };
                let near = match found {
                    Some(Cell::Int(value)) => value.saturating_add(random.below(3) as i64 - 1),
                    _ => random.below(100) as i64,
                };
                let near = near.clamp(min, max);
                if random.below(6) == 0 && near < max {
                    let is_inside = random.below(2) == 0;
                    let ranges =
                        vec![(near, near.saturating_add(random.below(60) as i64).min(max)), (min, min)];
                    // `3..39` of an application is an engine and a selector.
                    let to = if place == Id::ApplicationId as usize { "-" } else { ".." };
                    let texts = ranges.iter().map(|(low, high)| format!("{low}{to}{high}"));
                    let not = if is_inside { "" } else { "not " };
                    let text = format!("{not}{}", list(texts, random));
                    return (Condition::Ranges(ranges, is_inside), text);
                }
                if random.below(4) == 0 {
                    let others = (0..random.below(5)).map(|_| random.below(200) as i64).map(|n| n.min(max));
                    let all: Vec<i64> = std::iter::once(near).chain(others).collect();
                    return (Condition::OneOf(all.clone()), list(all.iter().map(i64::to_string), random));
                }
                if matches!(noun.words.as_str(), "proto") && random.below(2) == 0 {
                    let (number, name) = [(6, "tcp"), (17, "UDP"), (1, "icmp")][random.below(3)];
                    return (Condition::Number(Comparator::Eq, number), name.to_owned());
                }
                let is_protocol = noun.words.ends_with("proto");
                if is_protocol { decimal_condition(near, random) } else { number_condition(near, random) }
            }
            (Kind::Timestamp, found) => {
                let micros = match found {
                    Some(Cell::Int(micros)) if value::time(micros).ends_with('Z') => micros,
                    _ => 1_779_998_500_000_000,
                };
                let (comparator, word) = comparator(random);
                (Condition::Number(comparator, micros), format!("{word} '{}'", value::time(micros)))
            }
            (Kind::Address, found) => self.address(noun, found, random),
            (Kind::Mac, Some(Cell::Octets(octets))) => octets_condition(octets, "", random),
            (Kind::Mac, _) => octets_condition(vec![2, 0, 0x5e, 0, 0, 1], "", random),
            (Kind::Binary, _) if place == Id::IngressAcl as usize || place == Id::EgressAcl as usize => {
                let id = [0, 1, 0x0101_0101, 0x0300_0000][random.below(4)];
                (Condition::SomeId(id), id.to_string())
            }
            (Kind::Binary, Some(Cell::Octets(octets))) if !octets.is_empty() => {
                octets_condition(octets, "0x", random)
            }
            (Kind::Binary, _) => octets_condition(vec![1, 2], "0x", random),
            (Kind::Text, _) => texts(random),
            (Kind::Float64, _) => {
                let (number, text) =
                    [(0.5, "0.5"), (0.0, "0"), (-2.25, "-2.25"), (1_000.0, "1k"), (1e300, "1e300")]
                        [random.below(5)];
                let (comparator, word) = comparator(random);
                (Condition::Real(comparator, number), format!("{word} {text}"))
            }
            (Kind::Boolean, _) => {
                let is_true = random.below(2) == 0;
                let (comparator, word) = equality(random);
                let comparator = if comparator { Comparator::Eq } else { Comparator::Ne };
                (Condition::Number(comparator, is_true.into()), format!("{word} {is_true}"))
            }
            (Kind::Labels, Some(Cell::Labels(entries))) if !entries.is_empty() => {
                let label = i64::from(entries[random.below(entries.len())] / 16);
                (Condition::SomeLabel(label), label.to_string())
            }
            (Kind::Labels, _) => (Condition::SomeLabel(7), "7".to_owned()),
            (Kind::Other, _) => presence(random),
        }
    }

    /// What some row has in a column.
    fn some_value(&self, place: Place, random: &mut Xorshift) -> Option<Cell> {
        let mut tries = (0..4).map(|_| self.rows.get(random.below(self.rows.len()))?.cell(place).cloned());
        tries.find_map(|found| found)
    }

    fn address(&self, noun: &Noun, found: Option<Cell>, random: &mut Xorshift) -> (Condition, String) {
        let mut one = |is_prefix: bool| {
            let text = match &found {
                Some(Cell::Octets(octets)) if random.below(2) == 0 => value::address(octets),
                _ => ADDRESSES[random.below(ADDRESSES.len())].to_owned(),
            };
            let address =
                flow_common::addr::Addr16::from(text.parse::<std::net::IpAddr>().expect("an address")).0;
            let (longest, above) = if text.contains(':') { (128, 0) } else { (32, 96) };
            if !is_prefix && random.below(3) > 0 {
                return (Net { address, bits: 128 }, text);
            }
            let length = [0, 1, 8, 13, 24, 31, 32, 48, 64, 127, 128][random.below(11)].min(longest);
            (Net { address, bits: above + length }, format!("{text}/{length}"))
        };
        let is_net = noun.words.ends_with("net");
        let (net, text) = one(is_net);
        let (more, more_text) = one(is_net);
        match random.below(5) {
            0 => (Condition::Inside(vec![net, more]), list([text, more_text].into_iter(), random)),
            1 => (Condition::Outside(net), format!("!= {text}")),
            2 => (Condition::Inside(vec![net]), format!("= {text}")),
            _ => (Condition::Inside(vec![net]), text),
        }
    }
}

/// Whether there is a value.
fn presence(random: &mut Xorshift) -> (Condition, String) {
    let (is_present, text) =
        [(true, "present"), (false, "null"), (true, "is not null"), (false, "!= present")][random.below(4)];
    (Condition::Present(is_present), text.to_owned())
}

/// `ipv4` and `ipv6`: of either side.
fn family(is_v4: bool) -> (Node, String) {
    let all = Net { address: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0], bits: 96 };
    let condition = if is_v4 { Condition::Inside(vec![all]) } else { Condition::Outside(all) };
    let side = |id: Id| Node::Term(vec![Quantity::Column(id as usize)], condition.clone());
    let word = if is_v4 { "ipv4" } else { "ipv6" };
    (Node::Or(vec![side(Id::SrcAddr), side(Id::DstAddr)]), word.to_owned())
}

fn comparator(random: &mut Xorshift) -> (Comparator, &'static str) {
    let all = [
        (Comparator::Eq, ""),
        (Comparator::Eq, "="),
        (Comparator::Eq, "=="),
        (Comparator::Eq, "eq"),
        (Comparator::Ne, "!="),
        (Comparator::Ne, "<>"),
        (Comparator::Lt, "<"),
        (Comparator::Lt, "lt"),
        (Comparator::Le, "<="),
        (Comparator::Gt, ">"),
        (Comparator::Gt, "gt"),
        (Comparator::Ge, ">="),
    ];
    all[random.below(all.len())]
}

fn equality(random: &mut Xorshift) -> (bool, &'static str) {
    [(true, ""), (true, "="), (false, "!="), (false, "ne")][random.below(4)]
}

fn number_condition(number: i64, random: &mut Xorshift) -> (Condition, String) {
    let (comparator, word) = comparator(random);
    let text = match random.below(4) {
        0 if number >= 0 => format!("{number:#x}"),
        1 if number > 0 && number % 1_000_000 == 0 => format!("{}m", number / 1_000_000),
        1 | 2 if number > 0 && number % 1_000 == 0 => format!("{}K", number / 1_000),
        _ => number.to_string(),
    };
    (Condition::Number(comparator, number), format!("{word} {text}"))
}

/// Protocols are names or digits.
fn decimal_condition(number: i64, random: &mut Xorshift) -> (Condition, String) {
    let (comparator, word) = comparator(random);
    (Condition::Number(comparator, number), format!("{word} {number}"))
}

fn octets_condition(octets: Vec<u8>, prefix: &str, random: &mut Xorshift) -> (Condition, String) {
    let (is_equal, word) = equality(random);
    let separator = if prefix.is_empty() { ":" } else { "" };
    let text = format!("{word} {prefix}{}", value::hex(&octets, separator));
    (Condition::Octets(octets, is_equal), text)
}

fn texts(random: &mut Xorshift) -> (Condition, String) {
    let quoted = |text: &str| if text.contains('"') { format!("'{text}'") } else { format!("\"{text}\"") };
    let text = TEXTS[random.below(TEXTS.len())];
    if random.below(4) == 0 {
        let all = [text, TEXTS[random.below(TEXTS.len())]];
        let condition = Condition::OneOfTexts(all.map(str::to_owned).into());
        return (condition, list(all.iter().map(|text| quoted(text)), random));
    }
    let (is_equal, word) = equality(random);
    (Condition::Text(text.to_owned(), is_equal), format!("{word} {}", quoted(text)))
}

fn flags(random: &mut Xorshift) -> (Condition, String) {
    let (letters, flags) = [("S", 2), ("SA", 0x12), ("APSF", 0x1b), ("X", 0x3f), ("R", 4)][random.below(5)];
    match random.below(5) {
        0 | 1 => (Condition::Flags(flags), letters.to_owned()),
        2 => (Condition::ExactFlags(flags, true), format!("= {letters}")),
        3 => (Condition::ExactFlags(flags, false), format!("!= {letters}")),
        _ => number_condition(flags, random),
    }
}

/// `in [ … ]`.
fn list(values: impl Iterator<Item = String>, random: &mut Xorshift) -> String {
    let separator = [" ", ", ", ","][random.below(3)];
    format!("in [{}]", values.collect::<Vec<_>>().join(separator))
}
