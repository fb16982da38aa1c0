//! Values of a filter that are neither numbers nor addresses, read as their column needs
//! them.

use flow_common::proto::TcpFlags;
use flow_common::time::Timestamp;

use super::ast::{Comparator, Word};
use super::diagnostic::FilterError;
use super::number::ends;
use crate::message::nearest;
use crate::{Env, time_range};

/// A number with a fraction, and `k`, `m`, `g` or `t`; or a range of such.
pub(crate) fn floats(word: &Word) -> Result<(f64, f64), FilterError> {
    if let Some(value) = float(&word.text) {
        return Ok((value, value));
    }
    let pair = ends(&word.text).and_then(|(low, high)| Some((float(low)?, float(high)?)));
    match pair {
        Some((low, high)) if low <= high => Ok((low, high)),
        Some((low, high)) => Err(error(format!("range `{}` ends before it begins", word.text), word)
            .hint(format!("did you mean `{high}-{low}`?"))),
        None => Err(error(format!("`{}` is not a number", word.text), word)
            .hint("for example `0.25`, `-3`, `10k` or `0.1-0.5`")),
    }
}

fn float(text: &str) -> Option<f64> {
    let text = text.to_ascii_lowercase();
    let factor = match text.as_bytes().last() {
        Some(b'k') => 1e3,
        Some(b'm') => 1e6,
        Some(b'g') => 1e9,
        Some(b't') => 1e12,
        _ => 1.0,
    };
    let digits = text.trim_end_matches(['k', 'm', 'g', 't']);
    // Words such as `inf` are numbers to Rust.
    let is_number =
        !digits.contains(|c: char| c.is_alphabetic() && c != 'e') && text.len() - digits.len() <= 1;
    let value: f64 = digits.parse().ok().filter(|_| is_number)?;
    Some(value * factor).filter(|value| value.is_finite())
}

/// `true` or `false`.
pub(crate) fn boolean(noun: &str, word: &Word) -> Result<bool, FilterError> {
    match word.text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
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

/// The time to compare with: the beginning of the period the word names.
pub(crate) fn instant(word: &Word, env: Env) -> Result<i64, FilterError> {
    match epoch(&word.text) {
        Some(micros) => Ok(micros),
        None => time_range::parse_instant(&word.text, env)
            .map(|time| time.0)
            .map_err(|message| not_a_time(message, word)),
    }
}

/// The period a word names: `2026-05-28` is that day, `-1h` since then.
pub(crate) fn period(word: &Word, env: Env) -> Result<(i64, i64), FilterError> {
    if let Some(micros) = epoch(&word.text) {
        return Ok((micros, micros));
    }
    let range = time_range::parse(&word.text, env).map_err(|message| not_a_time(message, word))?;
    Ok((range.start.0, range.last.0))
}

/// Seconds since the epoch, as 9 or 10 digits and a fraction; milliseconds as 13 digits.
fn epoch(text: &str) -> Option<i64> {
    let (secs, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(secs) || !is_digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let number: i64 = secs.parse().ok()?;
    match secs.len() {
        9 | 10 => {
            let unit = 10_i64.pow(6 - u32::try_from(fraction.len()).ok()?);
            Some(Timestamp::from_secs(number).0 + fraction.parse::<i64>().ok()? * unit)
        }
        13 if !text.contains('.') => number.checked_mul(1_000),
        _ => None,
    }
}

fn not_a_time(message: String, word: &Word) -> FilterError {
    let hint = match word.text.strip_prefix('+') {
        Some(_) => "flows are of the past: `-1h` is an hour ago".into(),
        None if let Some(day) = nearest(&word.text.to_ascii_lowercase(), ["today", "yesterday", "now"]) => {
            format!("did you mean `{day}`?")
        }
        None if is_age(&word.text) => format!("did you mean `-{}`, so long ago?", word.text),
        None => "for example `2026-11-21T12:00:00`, `2026-11-21`, `today` or `-1h`".to_owned(),
    };
    error(message, word).hint(hint)
}

/// Whether a text is a number and a unit of time.
fn is_age(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < text.len() && ["s", "m", "h", "d", "w"].contains(&unit)
}

/// Bits to look at and their values, for TCP flags.
pub(crate) struct Flags {
    pub(crate) mask: i64,
    pub(crate) value: i64,
}

/// Letters of TCP flags: all of them set; after `=` these of the low eight and no others;
/// `S/SA`: of the latter the former and no others.
pub(crate) fn flags(noun: &str, written: Option<Comparator>, word: &Word) -> Result<Flags, FilterError> {
    let letters = |text: &str| {
        // X is every flag but those of congestion, as in nfdump.
        let text = text.replace(['X'], "UAPRSF");
        TcpFlags::parse(&text).filter(|_| !text.is_empty()).map(|flags| i64::from(flags.0))
    };
    if let Some((set, mask)) = word.text.split_once('/')
        && let (Some(value), Some(mask)) = (letters(set), letters(mask))
    {
        return if value & !mask == 0 {
            Ok(Flags { mask, value })
        } else {
            Err(error(
                format!("`{set}` is not among `{mask_text}`", mask_text = &word.text[set.len() + 1..]),
                word,
            )
            .hint("of the flags after `/`, those before it are set and no others"))
        };
    }
    if let Some(value) = letters(&word.text) {
        return Ok(Flags { mask: if written.is_some() { 0xff } else { value }, value });
    }
    let upper = word.text.to_ascii_uppercase();
    let hint = if upper.split('/').all(|part| letters(part).is_some()) {
        format!("flags are upper case: `{noun} {upper}`")
    } else if let Some((_, letter)) = FLAG_NAMES.iter().find(|(name, _)| upper == *name) {
        format!("did you mean `{noun} {letter}`?")
    } else {
        "letters of CEUAPRSF (CWR ECE URG ACK PSH RST SYN FIN), X for all but C and E, or a number".into()
    };
    Err(error(format!("unknown flags `{}`", word.text), word).hint(hint))
}

const FLAG_NAMES: [(&str, &str); 11] = [
    ("FIN", "F"),
    ("SYN", "S"),
    ("RST", "R"),
    ("PSH", "P"),
    ("ACK", "A"),
    ("URG", "U"),
    ("ECE", "E"),
    ("CWR", "C"),
    ("SYNACK", "SA"),
    ("SYN-ACK", "SA"),
    ("RESET", "R"),
];

pub(crate) fn error(message: String, word: &Word) -> FilterError {
    FilterError::new(message, word.span.clone())
}
