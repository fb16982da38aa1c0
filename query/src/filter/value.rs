//! One value of a filter, read as its column needs it.

use std::net::{IpAddr, Ipv4Addr};

use flow_common::addr::{Mac, Prefix16};
use flow_common::column::{Column, ColumnId, Kind};
use flow_common::element::AbstractDataType;
use flow_common::proto::{Protocol, TcpFlags};
use ipnet::IpNet;

use super::ast::Word;
use super::diagnostic::FilterError;
use crate::message::nearest;

/// Names of the numbers of a column; the first name of a number is the one shown.
fn names(column: ColumnId) -> &'static [(&'static str, i64)] {
    match column {
        ColumnId::Direction => &[("ingress", 0), ("egress", 1), ("in", 0), ("out", 1)],
        ColumnId::FirewallEvent => &[
            ("ignore", 0),
            ("create", 1),
            ("delete", 2),
            ("teardown", 2),
            ("denied", 3),
            ("alert", 4),
            ("update", 5),
        ],
        ColumnId::NatEvent => &[
            ("invalid", 0),
            ("add", 1),
            ("delete", 2),
            ("exhaust", 3),
            ("add44", 4),
            ("del44", 5),
            ("add64", 6),
            ("del64", 7),
            ("add44bib", 8),
            ("del44bib", 9),
            ("add64bib", 10),
            ("del64bib", 11),
            ("pexhaust", 12),
            ("quotaexh", 13),
            ("addaddr", 14),
            ("deladdr", 15),
            ("addpblk", 16),
            ("delpblk", 17),
            ("threshld", 18),
        ],
        ColumnId::ForwardingStatus => &[
            ("ukwn", 0),
            ("forw", 1),
            ("frag", 2),
            ("drop", 16),
            ("dacld", 17),
            ("daclp", 18),
            ("noroute", 19),
            ("dadj", 20),
            ("dfrag", 21),
            ("dbadh", 22),
            ("dbadtlen", 23),
            ("dbadhlen", 24),
            ("dbadttl", 25),
            ("dpolicy", 26),
            ("dwred", 27),
            ("drpf", 28),
            ("dforus", 29),
            ("dbadof", 30),
            ("dhw", 31),
            ("term", 128),
            ("tadj", 129),
            ("tincadj", 130),
            ("tforus", 131),
        ],
        _ => &[],
    }
}

/// A number for `column`: digits, a name, and within what the column can hold.
pub(crate) fn int(column: &Column, noun: &str, word: &Word) -> Result<i64, FilterError> {
    if matches!(column.id, ColumnId::Protocol | ColumnId::TunnelProtocol) {
        return protocol(noun, word);
    }
    let known = names(column.id);
    if let Some((_, value)) = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(&word.text)) {
        return Ok(*value);
    }
    if !known.is_empty() && word.text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        let all = known.iter().map(|(name, _)| *name);
        let hint = match nearest(&word.text.to_ascii_lowercase(), all.clone()) {
            Some(name) => format!("did you mean `{noun} {name}`?"),
            None => format!("one of {}, or a number", all.collect::<Vec<_>>().join(", ")),
        };
        return Err(error(format!("unknown value `{}` of `{noun}`", word.text), word).hint(hint));
    }
    number(noun, word, max(column))
}

/// Largest value the column's first element can send.
fn max(column: &Column) -> i64 {
    use AbstractDataType::{Unsigned8, Unsigned16, Unsigned32};
    let element = column.sources.first().and_then(|source| source.key.lookup());
    match element.map(|element| element.data_type) {
        Some(Unsigned8) => u8::MAX.into(),
        Some(Unsigned16) => u16::MAX.into(),
        Some(Unsigned32) => u32::MAX.into(),
        _ if column.kind == Kind::Int32 => u16::MAX.into(),
        _ => i64::MAX,
    }
}

fn protocol(noun: &str, word: &Word) -> Result<i64, FilterError> {
    if let Some(Protocol(number)) = Protocol::parse(&word.text) {
        return Ok(number.into());
    }
    if word.text.bytes().all(|byte| byte.is_ascii_digit()) {
        return number(noun, word, u8::MAX.into());
    }
    let meant = nearest(&word.text.to_ascii_lowercase(), Protocol::names());
    let hint = match meant {
        Some(name) => format!("did you mean `{noun} {}`?", name.to_ascii_lowercase()),
        None => "a name such as `tcp`, `udp` or `icmp`, or a number from 0 to 255".to_owned(),
    };
    Err(error(format!("unknown protocol `{}`", word.text), word).hint(hint))
}

/// A number from `min` to `max`, which may be negative.
pub(crate) fn number_within(noun: &str, word: &Word, (min, max): (i64, i64)) -> Result<i64, FilterError> {
    let value = if word.text.starts_with('-') {
        word.text.parse().map_err(|_| not_a_number(noun, word))?
    } else {
        number(noun, word, i64::MAX)?
    };
    if (min..=max).contains(&value) { Ok(value) } else { Err(out_of_range(noun, word, min, max)) }
}

fn out_of_range(noun: &str, word: &Word, min: i64, max: i64) -> FilterError {
    error(format!("`{}` is out of range", word.text), word).hint(format!("`{noun}` takes {min} to {max}"))
}

/// A number with a fraction, and `k`, `m`, `g` or `t`.
pub(crate) fn float(word: &Word) -> Result<f64, FilterError> {
    let text = word.text.to_ascii_lowercase();
    let (digits, factor) = match text.strip_suffix(['k', 'm', 'g', 't']) {
        Some(digits) => (digits, factor(&text) as f64),
        None => (text.as_str(), 1.0),
    };
    // Words such as `inf` are numbers to Rust.
    let value = digits.parse().ok().filter(|_| !digits.contains(|c: char| c.is_alphabetic() && c != 'e'));
    value.map(|value: f64| value * factor).filter(|value| value.is_finite()).ok_or_else(|| {
        error(format!("`{}` is not a number", word.text), word).hint("for example `0.25`, `-3` or `10k`")
    })
}

/// `true` or `false`.
pub(crate) fn boolean(noun: &str, word: &Word) -> Result<bool, FilterError> {
    match word.text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(error(format!("`{}` is neither true nor false", word.text), word)
            .hint(format!("`{noun} true` or `{noun} false`"))),
    }
}

/// Octets in hex, with or without `0x`.
pub(crate) fn octets(noun: &str, word: &Word) -> Result<Vec<u8>, FilterError> {
    let digits = word.text.strip_prefix("0x").unwrap_or(&word.text);
    let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] if pair.iter().all(u8::is_ascii_hexdigit) => {
            let digit = |octet: u8| char::from(octet).to_digit(16).unwrap_or(0) as u8;
            Some(digit(*high) << 4 | digit(*low))
        }
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>().ok_or_else(|| {
        error(format!("`{}` is not octets in hex", word.text), word)
            .hint(format!("two digits each: `{noun} 0xc0ffee`"))
    })
}

/// Digits with an optional `k`, `m`, `g` or `t` (powers of 1000), or hex after `0x`.
pub(crate) fn number(noun: &str, word: &Word, max: i64) -> Result<i64, FilterError> {
    let text = word.text.to_ascii_lowercase();
    let (digits, radix, factor) = match text.strip_prefix("0x") {
        Some(hex) => (hex, 16, 1_i64),
        None => match text.strip_suffix(['k', 'm', 'g', 't']) {
            Some(digits) => (digits, 10, factor(&text)),
            None => (text.as_str(), 10, 1),
        },
    };
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    if !is_number {
        return Err(not_a_number(noun, word));
    }
    let value = i64::from_str_radix(digits, radix).ok().and_then(|value| value.checked_mul(factor));
    value.filter(|value| *value <= max).ok_or_else(|| out_of_range(noun, word, 0, max))
}

fn factor(text: &str) -> i64 {
    match text.as_bytes().last() {
        Some(b'k') => 1_000,
        Some(b'm') => 1_000_000,
        Some(b'g') => 1_000_000_000,
        _ => 1_000_000_000_000,
    }
}

fn not_a_number(noun: &str, word: &Word) -> FilterError {
    let text = &word.text;
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let hint = if let Some((low, high)) = text.split_once('-').filter(|(a, b)| is_digits(a) && is_digits(b)) {
        format!("a range is written `{noun} >= {low} and {noun} <= {high}`")
    } else if noun == "duration" {
        "a duration is a number of milliseconds: `duration > 5000` is five seconds".into()
    } else if noun.ends_with("as") && text.get(..2).is_some_and(|head| head.eq_ignore_ascii_case("as")) {
        format!("write the number alone: `{noun} {}`", &text[2..])
    } else if text.contains('.') {
        "whole numbers only, with k, m, g or t for powers of 1000: `1500k`".into()
    } else {
        "a number such as `80`, `0x50` or `10k`".into()
    };
    error(format!("`{text}` is not a number"), word).hint(hint)
}

/// An address or a prefix, host bits ignored.
pub(crate) fn prefix(noun: &str, word: &Word, needs_length: bool) -> Result<Prefix16, FilterError> {
    if let Ok(net) = word.text.parse::<IpNet>() {
        return Ok(net.into());
    }
    if let Ok(ip) = word.text.parse::<IpAddr>() {
        return if needs_length {
            Err(error(format!("`{noun}` needs a prefix length after `{}`", word.text), word)
                .hint(format!("for example `{noun} {ip}/24`")))
        } else {
            Ok(IpNet::from(ip).into())
        };
    }
    Err(not_an_address(word))
}

fn not_an_address(word: &Word) -> FilterError {
    let text = word.text.as_str();
    let (head, length) = text.split_once('/').map_or((text, None), |(head, length)| (head, Some(length)));
    if head.parse::<IpAddr>().is_ok() {
        let longest = if head.contains(':') { 128 } else { 32 };
        let message = format!("`{}` is no prefix length", length.unwrap_or_default());
        return error(message, word).hint(format!("0 to {longest} for this family"));
    }
    let octets: Vec<&str> = head.split('.').collect();
    let is_dotted = octets.iter().all(|octet| !octet.is_empty() && octet.bytes().all(|b| b.is_ascii_digit()));
    let hint = if is_dotted && octets.len() < 4 {
        let full =
            (0..4).map(|index| octets.get(index).copied().unwrap_or("0")).collect::<Vec<_>>().join(".");
        let length = length.map_or(octets.len() as u64 * 8, |length| length.parse().unwrap_or(8));
        format!("write all four octets: `{full}/{length}`")
    } else if is_dotted {
        "each of four octets is 0 to 255".into()
    } else if head.contains(|c: char| c.is_alphabetic()) && !head.contains(':') {
        "names are not looked up; give the address".into()
    } else {
        "for example `192.0.2.1`, `10.0.0.0/8` or `2001:db8::/32`".into()
    };
    error(format!("`{text}` is not an address"), word).hint(hint)
}

/// An IPv4 network with a dotted mask.
pub(crate) fn masked_prefix(address: &Word, mask: &Word) -> Result<Prefix16, FilterError> {
    let ip: Ipv4Addr = address.text.parse().map_err(|_| not_an_address(address))?;
    let not_a_mask =
        || error(format!("`{}` is not a network mask", mask.text), mask).hint("for example `255.255.255.0`");
    let bits = u32::from(mask.text.parse::<Ipv4Addr>().map_err(|_| not_a_mask())?);
    if bits.leading_ones() + bits.trailing_zeros() < 32 {
        return Err(not_a_mask());
    }
    let length = u8::try_from(bits.leading_ones()).unwrap_or(32);
    IpNet::new(ip.into(), length).map(Prefix16::from).map_err(|_| not_a_mask())
}

/// Six octets, written with `:` or `-`, or as Cisco does with `.`.
pub(crate) fn mac(word: &Word) -> Result<Mac, FilterError> {
    let digits: String = word.text.chars().filter(|c| !":-.".contains(*c)).collect();
    let is_hex = digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let octets = u64::from_str_radix(&digits, 16).ok().filter(|_| is_hex).map(u64::to_be_bytes);
    match octets {
        Some([_, _, a, b, c, d, e, f]) => Ok(Mac([a, b, c, d, e, f])),
        None => Err(error(format!("`{}` is not a MAC address", word.text), word)
            .hint("for example `00:11:22:33:44:55`")),
    }
}

/// Letters of TCP flags.
pub(crate) fn flags(word: &Word) -> Result<TcpFlags, FilterError> {
    TcpFlags::parse(&word.text).filter(|_| !word.text.is_empty()).ok_or_else(|| {
        let upper = word.text.to_ascii_uppercase();
        let hint = if TcpFlags::parse(&upper).is_some() {
            format!("flags are upper case: `flags {upper}`")
        } else if let Some((set, mask)) = word.text.split_once('/') {
            let unset: String = mask.chars().filter(|c| !set.contains(*c)).collect();
            format!("set and unset are two conditions: `flags {set} and not flags {unset}`")
        } else {
            "letters of CEUAPRSF (CWR ECE URG ACK PSH RST SYN FIN), X for all, or a number".into()
        };
        error(format!("unknown flags `{}`", word.text), word).hint(hint)
    })
}

pub(crate) fn error(message: String, word: &Word) -> FilterError {
    FilterError::new(message, word.span.clone())
}

/// All of IPv4 in stored form.
pub(crate) fn v4_space() -> Prefix16 {
    IpNet::V4(ipnet::Ipv4Net::default()).into()
}
