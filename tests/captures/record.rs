//! A record as names and values, spelled alike for all decoders, and what
//! turns octets or another decoder's fields into that spelling.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use flow_common::column::{COLUMNS, Column, Kind, Part, Source};
use flow_common::element::{AbstractDataType as T, ElementKey};

/// Names of columns, or of elements that no column takes, and their values.
pub(crate) type Record = BTreeMap<String, String>;

/// Seconds from 1900, where NTP begins, to 1970.
const NTP_TO_UNIX_SECS: i64 = 2_208_988_800;

/// A value as another decoder gives it.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// As `canonical` spells it.
    pub(crate) text: String,
    /// Microseconds since 1970, where `text` is relative to something else.
    pub(crate) wall: Option<i64>,
}

impl Given {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), wall: None }
    }
}

/// What another decoder made of one record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Foreign {
    /// Header and exporter, under the names of our columns.
    pub(crate) head: Record,
    /// Fields in template order.
    pub(crate) fields: Vec<(ElementKey, Given)>,
    /// Elements without a name there, and values without one; empty ones may be missing.
    pub(crate) unnamed: (Vec<ElementKey>, Vec<String>),
    /// What its decoder shows that stands for no element.
    pub(crate) unplaced: Vec<(String, String)>,
}

/// Records of flows and of options, in the order a decoder gave them.
#[derive(Debug, Clone)]
pub(crate) struct Decoded<R> {
    pub(crate) flows: Vec<R>,
    pub(crate) options: Vec<R>,
}

impl<R> Default for Decoded<R> {
    fn default() -> Self {
        Self { flows: Vec::new(), options: Vec::new() }
    }
}

/// Octets of an element: a number, an address, a text, a time, else hex.
pub(crate) fn canonical(key: ElementKey, octets: &[u8]) -> String {
    let uint = || octets.iter().fold(0_u64, |value, &octet| value << 8 | u64::from(octet));
    let data_type = key.lookup().map(|element| element.data_type);
    match data_type {
        Some(T::DateTimeSeconds) if octets.len() == 4 => (uint() * 1_000_000).to_string(),
        Some(T::DateTimeMilliseconds) if octets.len() == 8 => uint().wrapping_mul(1_000).to_string(),
        Some(T::DateTimeMicroseconds) if octets.len() == 8 => ntp_micros(uint() & !0x7ff),
        Some(T::DateTimeNanoseconds) if octets.len() == 8 => ntp_micros(uint()),
        Some(T::Ipv4Address) if octets.len() == 4 => {
            Ipv4Addr::from(<[u8; 4]>::try_from(octets).unwrap()).to_string()
        }
        Some(T::Ipv6Address) if octets.len() == 16 => {
            Ipv6Addr::from(<[u8; 16]>::try_from(octets).unwrap()).to_string()
        }
        Some(T::MacAddress) if octets.len() == 6 => {
            octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
        }
        Some(T::String) => String::from_utf8_lossy(octets).trim_end_matches('\0').to_owned(),
        Some(T::Unsigned8 | T::Unsigned16 | T::Unsigned32 | T::Unsigned64 | T::Signed32 | T::Boolean)
            if (1..=8).contains(&octets.len()) =>
        {
            uint().to_string()
        }
        _ => hex(octets),
    }
}

fn ntp_micros(stamp: u64) -> String {
    let secs = (stamp >> 32) as i64 - NTP_TO_UNIX_SECS;
    (secs * 1_000_000 + (((stamp & 0xffff_ffff) * 1_000_000) >> 32) as i64).to_string()
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Octets of `0a1b` or `0a:1b`.
pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |value, digit| value << 4 | digit) as u8).collect()
}

/// The key of the n-th field of an element in `other`, as `flowdump` prints it.
pub(crate) fn other_name(key: ElementKey, repetition: usize) -> String {
    let pen = if key.pen == 0 { String::new() } else { format!("{}:", key.pen) };
    let repetition = if repetition == 0 { String::new() } else { format!("#{repetition}") };
    format!("{pen}{}{repetition}", key.id)
}

/// The fields of `foreign` under the names they have in `ours`.
pub(crate) fn under_our_names(foreign: &Foreign, ours: &Record) -> Record {
    let mut record = foreign.head.clone();
    let unnamed = name_unnamed(foreign, ours);
    let mut seen = BTreeMap::<ElementKey, usize>::new();
    let mut taken = HashSet::new();
    // A counter's first family comes first, so that 24 is "out" beside 2 and not without.
    let fields = foreign.fields.iter().filter(|(key, _)| !is_label(*key));
    let mut fields: Vec<_> = fields.chain(&unnamed).collect();
    fields.sort_by_key(|(key, _)| sources_of(*key).map(|(_, source)| source.family).min().unwrap_or(0));
    for (key, given) in fields {
        let repetition = seen.entry(*key).or_default();
        let other = other_name(*key, *repetition);
        *repetition += 1;
        let is_in_other = ours.contains_key(&other);
        let mut n_columns = 0;
        for (column, source) in sources_of(*key) {
            let value = || of_column(column, source, given);
            let fits = ours.get(column.name).is_some_and(|of_ours| *of_ours == value());
            let is_free = !taken.contains(column.name) && ours.contains_key(column.name);
            // What a column could not use, being zero, is nobody's.
            let is_left_out = is_zero(&given.text) && !fits && has_alternates(column);
            if is_free && (!is_in_other || fits) && !is_left_out && *repetition == 1 {
                record.insert(column.name.to_owned(), value());
                taken.insert(column.name);
                n_columns += 1;
                if !matches!(source.part, Part::HighOctet | Part::LowOctet) {
                    break;
                }
            }
        }
        if is_in_other || n_columns == 0 {
            record.insert(other, given.text.clone());
        }
    }
    let labels = foreign.fields.iter().filter(|(key, _)| is_label(*key)).map(|(_, given)| &*given.text);
    let mut labels: Vec<_> = labels.collect();
    if !labels.is_empty() {
        while labels.pop_if(|label| *label == "0-0-0").is_some() {}
        if !labels.is_empty() || ours.contains_key("mpls_labels") {
            record.insert("mpls_labels".to_owned(), labels.join(","));
        }
    }
    record.extend(foreign.unplaced.iter().map(|(name, value)| (format!("?{name}"), value.clone())));
    record
}

/// An entry of a label stack; a column takes them all.
fn is_label(key: ElementKey) -> bool {
    key.pen == 0 && (70..=79).contains(&key.id)
}

/// Values without name belong to the elements without name, in order. Where they
/// are fewer, those of no length are not shown.
fn name_unnamed(foreign: &Foreign, ours: &Record) -> Vec<(ElementKey, Given)> {
    let (keys, values) = &foreign.unnamed;
    let mut n_hidden = keys.len().saturating_sub(values.len());
    let mut values = values.iter();
    let mut named = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let repetition = keys[..index].iter().filter(|earlier| *earlier == key).count();
        let is_empty = ours.get(&other_name(*key, repetition)).is_some_and(String::is_empty);
        let value = match n_hidden > 0 && is_empty {
            true => None,
            false => values.next(),
        };
        n_hidden -= usize::from(n_hidden > 0 && value.is_none());
        let text = value.map_or(String::new(), |value| canonical(*key, &from_hex(value)));
        named.push((*key, Given::text(text)));
    }
    named
}

type Sources = HashMap<ElementKey, Vec<(&'static Column, &'static Source)>>;

/// The columns an element can fill.
fn sources_of(key: ElementKey) -> impl Iterator<Item = (&'static Column, &'static Source)> {
    static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
        let mut sources = Sources::new();
        for column in COLUMNS {
            for source in column.sources {
                sources.entry(source.key).or_default().push((column, source));
            }
        }
        sources
    });
    SOURCES.get(&key).into_iter().flatten().copied()
}

fn has_alternates(column: &Column) -> bool {
    column.kind == Kind::Address || matches!(column.name, "src_port" | "dst_port")
}

fn of_column(column: &Column, source: &Source, given: &Given) -> String {
    let number = given.text.parse::<u64>();
    let part = |of: &dyn Fn(u64) -> u64| number.as_ref().map_or(given.text.clone(), |n| of(*n).to_string());
    match source.part {
        Part::HighOctet => part(&|n| n >> 8),
        Part::LowOctet => part(&|n| n & 0xff),
        Part::Low24Bits => part(&|n| n & 0xff_ffff),
        Part::MillisToMicros => part(&|n| n * 1_000),
        Part::ApplicationId => application_id(&given.text),
        Part::TunnelKey => u64::from_str_radix(&given.text, 16).unwrap_or(0).to_string(),
        _ if column.kind == Kind::Text && source.key.lookup().is_none() => {
            String::from_utf8_lossy(&from_hex(&given.text)).trim_end_matches('\0').to_owned()
        }
        _ if column.kind == Kind::Timestamp => given.wall.map_or(given.text.clone(), |wall| wall.to_string()),
        _ if column.kind == Kind::Address => address(&given.text),
        _ => given.text.clone(),
    }
}

/// One column holds both families: an IPv4 address within an IPv6 one is itself.
pub(crate) fn address(text: &str) -> String {
    text.parse::<IpAddr>().map_or(text.to_owned(), |address| address.to_canonical().to_string())
}

/// `engine << 32 | selector` of the element's octets in hex (RFC 6759 §4).
fn application_id(hex: &str) -> String {
    let octets = from_hex(hex);
    let (engine, selector) = octets.split_first().unwrap_or((&0, &[]));
    let selector = selector.iter().fold(0_u64, |value, &octet| value << 8 | u64::from(octet));
    (u64::from(*engine) << 32 | selector).to_string()
}

/// Whether values are the same; those of enterprises we keep as octets, others show
/// them as numbers, text or floats.
pub(crate) fn is_same(field: &str, ours: &str, theirs: &str) -> bool {
    if ours == theirs {
        return true;
    }
    let is_raw = field.contains(':') || field.parse::<u16>().is_ok_and(|id| id > 0x7fff);
    let octets = from_hex(ours);
    if !is_raw || octets.len() * 2 != ours.len() {
        return false;
    }
    let number = octets.iter().fold(0_u64, |value, &octet| value << 8 | u64::from(octet));
    let float = || f32::from_bits(number as u32);
    let is_near = |shown: f32| octets.len() == 4 && (shown - float()).abs() <= float().abs() * 1e-4;
    theirs.parse() == Ok(number)
        || theirs.strip_prefix("0x").is_some_and(|digits| u64::from_str_radix(digits, 16) == Ok(number))
        || from_hex(theirs) == octets
        || String::from_utf8_lossy(&octets).trim_end_matches('\0') == theirs
        || theirs.parse::<Ipv4Addr>().is_ok_and(|address| address.octets() == *octets)
        || theirs.parse().is_ok_and(is_near)
}

/// Whether a value is what decoders without NULL say for "nothing".
pub(crate) fn is_zero(text: &str) -> bool {
    matches!(text, "" | "0" | "0.0.0.0" | "::" | "00:00:00:00:00:00")
}
