//! What was meant by words that are none of the language.

use std::net::IpAddr;

use flow_common::column::{COLUMNS, is_free_name};
use flow_common::limits::MPLS_LABELS_MAX;
use flow_common::proto::Protocol;
use ipnet::IpNet;

use super::ast::Word;
use super::diagnostic::FilterError;
use super::vocabulary::{Noun, SIDES, SINGLES, is_beginning, nouns};
use crate::columns::Columns;
use crate::message::nearest;

/// What other tools call a thing.
pub(super) const FOREIGN: [(&str, &str); 44] = [
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
    ("ip.proto", "proto"),
    ("tcp.port", "port"),
    ("udp.port", "port"),
    ("tcp.flags", "flags"),
    ("tcpflags", "flags"),
    ("subnet", "net"),
    ("network", "net"),
    ("prefix", "net"),
    ("cidr", "net"),
    ("ip4", "ipv4"),
    ("ip6", "ipv6"),
    ("all", "any"),
    ("source", "src"),
    ("destination", "dst"),
    ("size", "bytes"),
    ("length", "bpp"),
    ("rate", "bps"),
    ("nexthop", "next ip"),
    ("gateway", "next ip"),
    ("vxlan", "vni"),
    ("date", "first seen"),
    ("time", "first seen"),
    ("since", "first seen > -1h"),
    ("before", "last seen <"),
    ("after", "first seen >"),
    ("port.src", "src port"),
    ("port.dst", "dst port"),
    ("xip", "nat ip"),
    ("nip", "nat ip"),
];

/// The first of `words` that begins no noun, and what was meant.
pub(super) fn unknown_word(words: &[Word], spelled: &[String], columns: &Columns) -> FilterError {
    let known = (1..=words.len()).rev().find(|&length| is_beginning(&spelled[..length])).unwrap_or(0);
    let Some(word) = words.get(known) else {
        let (first, last) = (&words[0], &words[words.len() - 1]);
        let message = format!("`{}` needs a word after it", spelled.join(" "));
        let is_protocol = matches!(spelled, [only] if is_protocol(only));
        let hint = if is_protocol {
            suggestion(spelled, 0, columns).map(|meant| format!("did you mean `{meant}`?"))
        } else {
            continuation(spelled)
        };
        return FilterError::new(message, first.span.start..last.span.end).maybe_hint(hint);
    };
    if known > 0 {
        return unknown_after(&spelled[..known].join(" "), word, spelled, known, columns);
    }
    let hint = address_hint("", word)
        .or_else(|| suggestion(spelled, 0, columns).map(|meant| format!("did you mean `{meant}`?")))
        .or_else(|| value_hint(word))
        .unwrap_or_else(|| {
            let added: Vec<_> = columns.names().take(6).map(|name| format!("`{name}`")).collect();
            let also = if added.is_empty() { "" } else { "; these files add " };
            format!("`flowdump --help` lists the words of a filter{also}{}", added.join(", "))
        });
    let error = FilterError::new(format!("unknown word `{}` in filter", word.text), word.span.clone());
    FilterError { is_unknown_word: !word.is_quoted && is_free_name(&spelled[0]), ..error.hint(hint) }
}

pub(super) fn unknown_after(
    noun: &str,
    word: &Word,
    spelled: &[String],
    known: usize,
    columns: &Columns,
) -> FilterError {
    let is_entry = noun == "mpls" && word.text.ends_with(|c: char| c.is_ascii_digit());
    let hint = is_entry
        .then(|| format!("entries of the stack are 1, its top, to {MPLS_LABELS_MAX}"))
        .or_else(|| address_hint(&format!("{noun} "), word))
        .or_else(|| suggestion(spelled, known, columns).map(|meant| format!("did you mean `{meant}`?")))
        .or_else(|| continuation(&spelled[..known]));
    FilterError::new(format!("unknown word `{}` after `{noun}` in filter", word.text), word.span.clone())
        .maybe_hint(hint)
}

/// For an address or a prefix where a noun was expected after `before`.
fn address_hint(before: &str, word: &Word) -> Option<String> {
    let is_address = word.text.parse::<IpAddr>().is_ok() || word.text.parse::<IpNet>().is_ok();
    is_address.then(|| format!("did you mean `{before}ip {}`?", word.text))
}

/// For a value where a noun was expected.
fn value_hint(word: &Word) -> Option<String> {
    let is_number = word.text.starts_with(|c: char| c.is_ascii_digit());
    is_number.then(|| format!("a value follows what it is of: `port {}`", word.text))
}

/// Nouns that go on from `words`.
fn continuation(words: &[String]) -> Option<String> {
    let begins =
        |noun: &&Noun| noun.words.len() > words.len() && noun.words.iter().zip(words).all(|(a, b)| a == b);
    let list: Vec<String> =
        nouns().iter().filter(begins).take(6).map(|noun| format!("`{}`", noun.phrase())).collect();
    (!list.is_empty()).then(|| format!("for example {}", list.join(", ")))
}

/// What `words` were meant to be, the first of them unknown at `unknown`.
fn suggestion(words: &[String], unknown: usize, columns: &Columns) -> Option<String> {
    let word = words.get(unknown)?;
    let before = words[..unknown].iter().map(|word| format!("{word} ")).collect::<String>();
    if unknown == 0
        && let Some(ours) = translation(word)
    {
        return Some(ours);
    }
    // As many words as the noun has are compared, so `src prot` finds `src port`.
    let phrases: Vec<String> = nouns()
        .iter()
        .map(Noun::phrase)
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
    let is_noun_word =
        |word: &String| nouns().iter().any(|noun| noun.words.iter().any(|known| known == word));
    // A second word that is right tells more than a part of the first.
    let both = words.get(unknown + 1).is_some_and(is_noun_word).then(|| near(&typed)).flatten();
    let close =
        both.or_else(|| near(word)).or_else(|| near(&typed)).map(|phrase| format!("{before}{phrase}"));
    let is_phrase = |phrase: &String| phrases.iter().any(|known| phrase.starts_with(known.as_str()));
    let joined = |ours: String| Some(format!("{before}{ours}")).filter(is_phrase);
    let translated = || translation(word).and_then(joined);
    translated().or_else(|| glued(word).and_then(joined)).or(close)
}

/// `srcport`, `dst-ip`, `port80`: words that ran into each other.
fn glued(word: &str) -> Option<String> {
    let letters: String = word.chars().filter(|c| !"-_.".contains(*c)).collect();
    let noun = |text: &str| {
        nouns().iter().map(Noun::phrase).chain(sideless()).find(|phrase| phrase.replace(' ', "") == text)
    };
    let digits = letters.find(|c: char| c.is_ascii_digit());
    noun(&letters).or_else(|| {
        let (name, value) = letters.split_at(digits?);
        Some(format!("{} {value}", noun(name)?))
    })
}

/// Nouns as they are said without a side.
fn sideless() -> impl Iterator<Item = String> {
    nouns().iter().map(|noun| {
        let is_side = |word: &&str| SIDES.contains(word);
        noun.words.iter().map(String::as_str).filter(|word| !is_side(word)).collect::<Vec<_>>().join(" ")
    })
}

fn is_protocol(word: &str) -> bool {
    Protocol::names().any(|name| name.eq_ignore_ascii_case(word))
}

/// Our noun for one word of another language.
fn translation(word: &str) -> Option<String> {
    if let Some((_, ours)) = FOREIGN.iter().find(|(foreign, _)| *foreign == word) {
        return Some((*ours).to_owned());
    }
    let named = COLUMNS.iter().find(|column| {
        [column.stat, column.aggregate, column.order].contains(&word) || column.raw.eq_ignore_ascii_case(word)
    });
    if let Some(phrase) = named.and_then(|column| column.filter.first()) {
        return Some((*phrase).to_owned());
    }
    is_protocol(word).then(|| format!("proto {word}"))
}
