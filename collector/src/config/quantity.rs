//! Sizes and ages as people write them: `500GB`, `30d`.

use flow_common::limits;

use super::UsageError;
use crate::cli::Args;
use crate::retention::{Free, Rules};

/// Units of sizes, largest first where two name the same number of octets.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Units of ages, seconds.
const AGES: [(&str, u64); 6] =
    [("y", 365 * 86_400), ("w", 7 * 86_400), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// What to write for a size.
pub(crate) const SIZE_HINT: &str = "a number and a unit: `500GB` has 10⁹ octets each, `500GiB` 2³⁰";

/// What to write for an age.
const AGE_HINT: &str = "a number and a unit: `90m`, `12h`, `30d`, `8w` or `2y`";

/// Octets; `None` for what is no size.
pub(crate) fn size(text: &str) -> Option<u64> {
    parse(text, &SIZES, str::eq_ignore_ascii_case)
}

/// Seconds; `None` for what is no age.
pub(crate) fn age(text: &str) -> Option<u64> {
    parse(text, &AGES, |unit, found| unit == found)
}

/// The inverse of [`size`].
pub(crate) fn size_text(bytes: u64) -> String {
    text(bytes, &SIZES)
}

/// The inverse of [`age`].
pub(crate) fn age_text(secs: u64) -> String {
    text(secs, &AGES)
}

/// The age from which files may go. One below an hour is a slip: the file being
/// written is that old.
pub(crate) fn max_age(text: &str) -> Result<u64, UsageError> {
    let secs = age(text).ok_or_else(|| UsageError::new(format!("`{text}` is no age"), AGE_HINT))?;
    let min = u64::from(limits::SLOT_SECS_MAX);
    if secs < min {
        let message = format!("`{text}` is less than an hour");
        return Err(UsageError::new(
            message,
            "a file may take an hour to fill; `max-age = \"1h\"` is the least",
        ));
    }
    Ok(secs)
}

/// For how long an hour must have been over to be compacted.
pub(crate) fn compaction_age(text: &str) -> Result<u64, UsageError> {
    let secs = age(text).ok_or_else(|| UsageError::new(format!("`{text}` is no age"), AGE_HINT))?;
    let min = limits::COMPACTION_AFTER_SECS_MIN;
    if secs < min {
        let message = format!("`{text}` is less than {}", age_text(min));
        return Err(UsageError::new(message, "the last slot of an hour takes a while to be published"));
    }
    Ok(secs)
}

/// Lifts a rule of retention.
pub(crate) const NONE: &str = "none";

/// A rule, or none.
pub(crate) fn rule<T>(
    text: &str,
    check: impl Fn(&str) -> Result<T, UsageError>,
) -> Result<Option<T>, UsageError> {
    if text == NONE { Ok(None) } else { check(text).map(Some) }
}

impl Rules {
    /// These, where no flag says otherwise.
    pub(crate) fn over(self, args: &Args) -> Result<Self, UsageError> {
        let Args { max_age: age, max_size: size, min_free: free, .. } = args;
        Ok(Self {
            max_age_secs: age.as_ref().map_or(Ok(self.max_age_secs), |text| rule(text, max_age))?,
            max_bytes: size.as_ref().map_or(Ok(self.max_bytes), |text| rule(text, max_size))?,
            min_free: free.as_ref().map_or(Ok(self.min_free), |text| rule(text, min_free))?,
        })
    }
}

/// Disk space a tree may take.
pub(crate) fn max_size(text: &str) -> Result<u64, UsageError> {
    size(text)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| UsageError::new(format!("`{text}` is no size"), SIZE_HINT))
}

/// Disk space to stay free.
pub(crate) fn min_free(text: &str) -> Result<Free, UsageError> {
    const HINT: &str = "a size or a part of the disk: `20GB` or `10%`, at most 90%";
    let percent = text.strip_suffix('%').map(|number| number.trim().parse().ok().filter(|n| *n <= 90));
    let free = match percent {
        Some(percent) => percent.map(Free::Percent),
        None => size(text).map(Free::Bytes),
    };
    free.ok_or_else(|| UsageError::new(format!("`{text}` is neither a size nor a part of the disk"), HINT))
}

/// The inverse of [`min_free`].
pub(crate) fn free_text(free: Free) -> String {
    match free {
        Free::Bytes(bytes) => size_text(bytes),
        Free::Percent(percent) => format!("{percent}%"),
    }
}

fn parse(text: &str, units: &[(&str, u64)], is_unit: impl Fn(&str, &str) -> bool) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, found) = (&text[..end], text[end..].trim_start());
    let (_, unit) = units.iter().find(|(unit, _)| is_unit(unit, found))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Fractions of three digits are enough for anyone: `1.5TB`.
    if fraction.len() > 3 || (fraction.is_empty() && number.contains('.')) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<u64>().ok()?;
    let value = whole.parse::<u64>().ok()?.checked_mul(*unit)?;
    value.checked_add(unit.checked_mul(thousandths)? / 1_000)
}

/// In the largest unit that divides it.
fn text(value: u64, units: &[(&str, u64)]) -> String {
    let best = units.iter().filter(|(_, unit)| value.is_multiple_of(*unit)).max_by_key(|(_, unit)| *unit);
    match best {
        Some((unit, n)) if value > 0 => format!("{}{unit}", value / n),
        _ => format!("0{}", units.last().map_or("", |(unit, _)| unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_shown() {
        let check = |text: &str, expected: Option<u64>, shown: &str| {
            assert_eq!(size(text), expected, "{text}");
            if let Some(bytes) = expected {
                assert_eq!((size_text(bytes).as_str(), size(shown)), (shown, expected));
            }
        };
        check("500GB", Some(500_000_000_000), "500GB");
        check("1.5 tb", Some(1_500_000_000_000), "1500GB");
        check("2GiB", Some(2 << 30), "2GiB");
        check("1024KiB", Some(1 << 20), "1MiB");
        check("7B", Some(7), "7B");
        check("0B", Some(0), "0B");
        for wrong in
            ["500", "500G", "GB", "-1GB", "1.GB", "1.2345GB", "1e3GB", "99999999999TB", "1 000GB", ""]
        {
            check(wrong, None, "");
        }
    }

    #[test]
    fn ages_are_read_as_they_are_shown() {
        let check = |text: &str, expected: Option<u64>, shown: &str| {
            assert_eq!(age(text), expected, "{text}");
            if let Some(secs) = expected {
                assert_eq!((age_text(secs).as_str(), age(shown)), (shown, expected));
            }
        };
        check("30d", Some(30 * 86_400), "30d");
        check("48h", Some(2 * 86_400), "2d");
        check("14d", Some(14 * 86_400), "2w");
        check("1.5h", Some(5_400), "90m");
        for wrong in ["30", "30D", "d", "1month", "∞d", "99999999999999999999y", "9999999999999999y"] {
            check(wrong, None, "");
        }
    }
}
