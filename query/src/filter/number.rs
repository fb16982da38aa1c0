//! Numbers as they are typed: decimal or hex, with units, as ranges, or as words.

use flow_common::column::{Column, ColumnId, Kind, Unit};
use flow_common::element::AbstractDataType;
use flow_common::proto::Protocol;

use super::ast::Word;
use super::diagnostic::FilterError;
use super::words::{DSCP, ECN, Meaning, SERVICES, words};
use crate::message::nearest;

/// What letters after a number multiply it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Count,
    Bytes,
    Milliseconds,
    Microseconds,
}

impl Scale {
    /// Longer before shorter.
    pub(super) const fn suffixes(self) -> &'static [(&'static str, i128)] {
        match self {
            Self::Count => &[("k", 1_000), ("m", 1_000_000), ("g", 1_000_000_000), ("t", 1_000_000_000_000)],
            Self::Bytes => &[
                ("kib", 1 << 10),
                ("mib", 1 << 20),
                ("gib", 1 << 30),
                ("tib", 1 << 40),
                ("kb", 1_000),
                ("mb", 1_000_000),
                ("gb", 1_000_000_000),
                ("tb", 1_000_000_000_000),
                ("k", 1_000),
                ("m", 1_000_000),
                ("g", 1_000_000_000),
                ("t", 1_000_000_000_000),
                ("b", 1),
            ],
            Self::Milliseconds => &[
                ("min", 60_000),
                ("ms", 1),
                ("s", 1_000),
                ("h", 3_600_000),
                ("d", 86_400_000),
                ("k", 1_000),
                ("m", 1_000_000),
                ("g", 1_000_000_000),
                ("t", 1_000_000_000_000),
            ],
            Self::Microseconds => &[
                ("min", 60_000_000),
                ("us", 1),
                ("ms", 1_000),
                ("s", 1_000_000),
                ("k", 1_000),
                ("m", 1_000_000),
                ("g", 1_000_000_000),
                ("t", 1_000_000_000_000),
            ],
        }
    }

    const fn is_time(self) -> bool {
        matches!(self, Self::Milliseconds | Self::Microseconds)
    }
}

/// What numbers a noun takes, and how they are spelled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) scale: Scale,
    pub(crate) words: &'static [Meaning],
    special: Special,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Special {
    None,
    Protocol,
    /// `5..38` is an engine and its selector, as nfdump prints them.
    Application,
    Port,
}

/// Why a text is no number.
enum Problem {
    NotOne,
    OutOfRange,
}

impl Numbers {
    pub(crate) const fn up_to(max: i64) -> Self {
        Self { min: 0, max, scale: Scale::Count, words: &[], special: Special::None }
    }

    pub(crate) const fn within((min, max): (i64, i64)) -> Self {
        Self { min, ..Self::up_to(max) }
    }

    pub(crate) const fn milliseconds() -> Self {
        Self { scale: Scale::Milliseconds, ..Self::up_to(i64::MAX) }
    }

    pub(crate) fn dscp() -> Self {
        Self { words: &DSCP, ..Self::up_to(63) }
    }

    pub(crate) fn ecn() -> Self {
        Self { words: &ECN, ..Self::up_to(3) }
    }

    /// Those of a column.
    pub(crate) fn of(column: &Column) -> Self {
        let special = match column.id {
            ColumnId::Protocol | ColumnId::TunnelProtocol => Special::Protocol,
            ColumnId::ApplicationId => Special::Application,
            id if id.name().ends_with("_port") => Special::Port,
            _ => Special::None,
        };
        let scale = match column.unit {
            Unit::Bytes => Scale::Bytes,
            Unit::Microseconds => Scale::Microseconds,
            _ => Scale::Count,
        };
        Self { scale, words: words(column.id), special, ..Self::up_to(max(column)) }
    }

    /// What may not be meant by a text that is a number: `5m` are millions, as in nfdump.
    pub(crate) fn note(&self, noun: &str, text: &str) -> Option<String> {
        let digits =
            text.strip_suffix(['m', 'M']).filter(|digits| is_digits(digits) && self.scale.is_time())?;
        let unit = if self.scale == Scale::Milliseconds { "ms" } else { "us" };
        Some(format!("`{noun}` of `{text}` is `{digits}000000{unit}`; minutes are `{digits}min`"))
    }

    /// The numbers a word stands for, both ends included.
    pub(crate) fn range(&self, noun: &str, word: &Word) -> Result<(i64, i64), FilterError> {
        let text = word.text.as_str();
        if let Some((_, range)) = self.words.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(*range);
        }
        match self.special {
            Special::Protocol if !text.starts_with(|c: char| c.is_ascii_digit()) => {
                if let Some(Protocol(number)) = Protocol::parse(text) {
                    return Ok((number.into(), number.into()));
                }
                return Err(self.unknown_protocol(noun, word));
            }
            Special::Application => {
                let parts = text.split_once("..").or_else(|| text.split_once(':'));
                let id = parts.and_then(|(engine, selector)| {
                    Some(
                        i64::from(engine.parse::<u8>().ok()?) << 32
                            | i64::from(selector.parse::<u32>().ok()?),
                    )
                });
                if let Some(id) = id {
                    return Ok((id, id));
                }
            }
            _ => {}
        }
        match self.one(text) {
            Ok(number) => return Ok((number, number)),
            Err(Problem::NotOne) => {}
            Err(problem) => return Err(self.error(noun, word, text, &problem)),
        }
        let Some((low, high)) = ends(text) else {
            return Err(self.error(noun, word, text, &Problem::NotOne));
        };
        let end = |part: &str| match self.one(part) {
            Err(Problem::NotOne) => Err(self.error(noun, word, text, &Problem::NotOne)),
            other => other.map_err(|problem| self.error(noun, word, part, &problem)),
        };
        let (low, high) = (end(low)?, end(high)?);
        if high < low {
            return Err(error(format!("range `{text}` ends before it begins"), word)
                .hint(format!("did you mean `{noun} {high}-{low}`?")));
        }
        Ok((low, high))
    }

    fn one(&self, text: &str) -> Result<i64, Problem> {
        let lower = text.to_ascii_lowercase();
        let (is_negative, digits) = match lower.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, lower.as_str()),
        };
        let magnitude = match digits.strip_prefix("0x") {
            Some(hex) => hexadecimal(hex)?,
            None => self.decimal(digits)?,
        };
        let value = if is_negative { -magnitude } else { magnitude };
        let value = i64::try_from(value).ok().filter(|value| (self.min..=self.max).contains(value));
        value.ok_or(Problem::OutOfRange)
    }

    /// Digits, a fraction, and a unit that makes it a whole number.
    fn decimal(&self, text: &str) -> Result<i128, Problem> {
        let suffix = self.scale.suffixes().iter().find(|(suffix, _)| text.ends_with(suffix));
        let (text, factor) = suffix.map_or((text, 1), |(suffix, factor)| {
            (text.get(..text.len() - suffix.len()).unwrap_or_default(), *factor)
        });
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !is_digits(whole) || text.contains('.') && !is_digits(fraction) {
            return Err(Problem::NotOne);
        }
        if whole.len() > DIGITS_MAX || fraction.len() > DIGITS_MAX {
            return Err(Problem::OutOfRange);
        }
        let parse = |digits: &str| digits.parse::<i128>().unwrap_or(0);
        let unit = 10_i128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let scaled = parse(fraction) * factor;
        if scaled % unit != 0 {
            return Err(Problem::NotOne);
        }
        Ok(parse(whole) * factor + scaled / unit)
    }

    fn error(&self, noun: &str, word: &Word, part: &str, problem: &Problem) -> FilterError {
        match problem {
            Problem::NotOne => self.not_a_number(noun, word),
            Problem::OutOfRange => error(format!("`{part}` is out of range"), word)
                .hint(format!("`{noun}` takes {} to {}", self.min, self.max)),
        }
    }

    fn not_a_number(&self, noun: &str, word: &Word) -> FilterError {
        let text = &word.text;
        let lower = text.to_ascii_lowercase();
        if !self.words.is_empty() && text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let all = self.words.iter().map(|(name, _)| *name);
            let hint = match nearest(&lower, all.clone()) {
                Some(name) => format!("did you mean `{noun} {name}`?"),
                None => format!("one of {}, or a number", all.collect::<Vec<_>>().join(", ")),
            };
            return error(format!("unknown value `{text}` of `{noun}`"), word).hint(hint);
        }
        let service = || SERVICES.iter().find(|(name, _)| *name == lower);
        let digits = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let hint = if let Some((_, port)) = service().filter(|_| self.special == Special::Port) {
            format!("ports are numbers: `{noun} {port}`")
        } else if self.scale.is_time() {
            format!("for example `{noun} > 5s`, `500ms` or `2min`")
        } else if noun.ends_with("as") && lower.starts_with("as") && is_digits(digits) {
            format!("write the number alone: `{noun} {digits}`")
        } else if text.contains('.') {
            "whole numbers only, with k, m, g or t for powers of 1000: `1500k`, `1.5m`".into()
        } else if noun.ends_with("if") || noun.ends_with("vrf") {
            format!("by its name it is `{noun} name {text}`")
        } else if noun.ends_with("app id") || noun == "nbar" {
            format!("by its name it is `app {text}`")
        } else if noun.ends_with("tos") && DSCP.iter().any(|(name, _)| *name == lower) {
            format!("did you mean `{} {lower}`?", noun.replace("tos", "dscp"))
        } else if let Some(word) = nearest(&lower, ["null", "absent", "present"]) {
            format!("did you mean `{noun} {word}`?")
        } else if noun.starts_with("icmp") {
            format!("types and codes of ICMP are numbers: `{noun} 8`")
        } else if let Some(digits) = text.strip_prefix('+').filter(|digits| is_digits(digits)) {
            format!("without a sign: `{noun} {digits}`")
        } else {
            "a number such as `80`, `0x50` or `10k`, or a range such as `80-90`".into()
        };
        error(format!("`{text}` is not a number"), word).hint(hint)
    }

    fn unknown_protocol(&self, noun: &str, word: &Word) -> FilterError {
        let hint = match nearest(&word.text.to_ascii_lowercase(), Protocol::names()) {
            Some(name) => format!("did you mean `{noun} {}`?", name.to_ascii_lowercase()),
            None => "a name such as `tcp`, `udp` or `icmp`, or a number from 0 to 255".to_owned(),
        };
        error(format!("unknown protocol `{}`", word.text), word).hint(hint)
    }
}

/// Digits that are read of a number: more than any 64 bits have.
const DIGITS_MAX: usize = 20;

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

fn hexadecimal(digits: &str) -> Result<i128, Problem> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Problem::NotOne);
    }
    i128::from_str_radix(digits, 16).map_err(|_| Problem::OutOfRange)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Both ends of `80-90` or `80..90`; the first may have a sign.
pub(crate) fn ends(text: &str) -> Option<(&str, &str)> {
    let dash = || {
        let (at, _) = text.char_indices().skip(1).find(|(_, c)| *c == '-')?;
        Some((text.get(..at)?, text.get(at + 1..)?))
    };
    text.split_once("..").or_else(dash).filter(|(low, high)| !low.is_empty() && !high.is_empty())
}

fn error(message: String, word: &Word) -> FilterError {
    FilterError::new(message, word.span.clone())
}
