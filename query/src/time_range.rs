//! Windows of time as they are typed, in nfdump's form and others.
//!
//! A date with parts left out is the whole period it names: `2026/05/28` is that
//! day and `2026/05/28.20:26:40` that second. `A-B` runs from the beginning of
//! the first to the end of the last. `A..B` takes instants: from the beginning of
//! A to the beginning of B, both included. A period the clock skipped in spring
//! is empty.

use chrono::{DateTime, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use flow_common::time::Timestamp;

use crate::Env;

/// From `start` to `last`, both included; empty where `last` is before `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeRange {
    pub(crate) start: Timestamp,
    pub(crate) last: Timestamp,
}

/// A period of wall time, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Period {
    start: Timestamp,
    end: Timestamp,
}

impl Period {
    fn instant(at: Timestamp) -> Self {
        Self { start: at, end: Timestamp(at.0.saturating_add(1)) }
    }

    /// From its start to the end of `last`; `None` where that one is over before.
    fn until(self, last: Self) -> Option<TimeRange> {
        let is_backwards = last.end <= self.start && last.start < self.start;
        let range = TimeRange { start: self.start, last: Timestamp(last.end.0.saturating_sub(1)) };
        (!is_backwards).then_some(range)
    }

    /// Its beginning alone: nothing where the clock skipped it.
    fn beginning(self) -> Self {
        Self { end: self.end.min(Self::instant(self.start).end), ..self }
    }
}

/// Reads a window.
pub(crate) fn parse(text: &str, env: Env) -> Result<TimeRange, String> {
    let text = text.trim();
    if let Some(count) = text.strip_prefix(['+', '-']).filter(|count| digits(count, 9).is_some()) {
        return Err(format!("`{text}` has no unit: `-{count}s` are the last so many seconds before now"));
    }
    let range = if let Some(age) = text.strip_prefix('-') {
        Period::instant(ago(age, text, env)?).until(Period::instant(env.now))
    } else if let Some((start, last)) = text.split_once("..") {
        let beginning = |text: &str, open: Timestamp| match text.trim() {
            "" => Ok(Period::instant(open)),
            text => Ok::<_, String>(period(text, env)?.beginning()),
        };
        beginning(start, Timestamp(i64::MIN))?.until(beginning(last, env.now)?)
    } else if let Some((start, end)) = pair(text) {
        period(start, env)?.until(period(end, env)?)
    } else {
        let period = period(text, env)?;
        period.until(period)
    };
    range.ok_or_else(|| format!("window `{text}` ends before it starts"))
}

/// Reads one instant: the beginning of the period it names.
pub(crate) fn parse_instant(text: &str, env: Env) -> Result<Timestamp, String> {
    match text.strip_prefix('-') {
        Some(age) => ago(age, text, env),
        None => period(text, env).map(|period| period.start),
    }
}

/// Splits `A-B` where nfdump's dates, which have `/` inside, stand on both sides.
fn pair(text: &str) -> Option<(&str, &str)> {
    let (start, end) = text.split_once('-')?;
    (start.contains('/') || start.len() == 4 && end.contains('/')).then_some((start, end))
}

/// `1h` before now.
fn ago(age: &str, whole: &str, env: Env) -> Result<Timestamp, String> {
    let unknown = || format!("`{whole}` is not a time");
    let unit = age.chars().last().ok_or_else(unknown)?;
    let secs = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(unknown()),
    };
    let count: i64 = age[..age.len() - 1].parse().ok().filter(|count| *count >= 0).ok_or_else(unknown)?;
    let micros = count.checked_mul(secs * 1_000_000).ok_or_else(unknown)?;
    Ok(Timestamp(env.now.0.saturating_sub(micros)))
}

/// The period one date or time names.
fn period(text: &str, env: Env) -> Result<Period, String> {
    let today = || env.zone.wall(env.now).map(|(now, _)| now.date());
    let day = |date: Option<NaiveDate>| {
        let start = date?.and_time(NaiveTime::MIN);
        Some((start, start.checked_add_days(Days::new(1))?))
    };
    if text == "now" {
        return Ok(Period::instant(env.now));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Period::instant(Timestamp(time.timestamp_micros())));
    }
    let wall = match text {
        "today" => day(today()),
        "yesterday" => day(today().and_then(|date| date.pred_opt())),
        _ => dated(text).or_else(|| clock_time(today()?, text)),
    };
    let (start, end) = wall.ok_or_else(|| format!("`{text}` is not a time"))?;
    Ok(Period { start: env.zone.instant(start), end: env.zone.instant(end) })
}

/// `2026`, `2026/05`, `2026/05/28`, `2026/05/28.20`, … with `-` for `/` and `T`
/// or a blank for `.` too: first instant and first after.
fn dated(text: &str) -> Option<(NaiveDateTime, NaiveDateTime)> {
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None if text.contains('/') => {
            text.split_once('.').map_or((text, None), |(date, time)| (date, Some(time)))
        }
        None => (text, None),
    };
    let parts = date.split(['/', '-']).map(|part| digits(part, 4)).collect::<Option<Vec<_>>>()?;
    if date.len() < 4 || !date.as_bytes()[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let midnight = |year: u32, month, day| {
        NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)
            .map(|date| date.and_time(NaiveTime::MIN))
    };
    match (parts.as_slice(), time) {
        (&[year], None) => Some((midnight(year, 1, 1)?, midnight(year + 1, 1, 1)?)),
        (&[year, month], None) => {
            let start = midnight(year, month, 1)?;
            Some((start, start.checked_add_months(Months::new(1))?))
        }
        (&[year, month, day], None) => {
            let start = midnight(year, month, day)?;
            Some((start, start.checked_add_days(Days::new(1))?))
        }
        (&[year, month, day], Some(time)) => clock_time(midnight(year, month, day)?.date(), time),
        _ => None,
    }
}

/// `20`, `20:26`, `20:26:40`, `20:26:40.5` of a day.
fn clock_time(date: NaiveDate, text: &str) -> Option<(NaiveDateTime, NaiveDateTime)> {
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(clock, rest)| (clock, Some(rest)));
    let parts = clock.split(':').map(|part| digits(part, 2)).collect::<Option<Vec<_>>>()?;
    let at = |hour, minute, sec| date.and_hms_opt(hour, minute, sec);
    let (start, length) = match (parts.as_slice(), fraction) {
        (&[hour], None) => (at(hour, 0, 0)?, TimeDelta::hours(1)),
        (&[hour, minute], None) => (at(hour, minute, 0)?, TimeDelta::minutes(1)),
        (&[hour, minute, sec], None) => (at(hour, minute, sec)?, TimeDelta::seconds(1)),
        (&[hour, minute, sec], Some(fraction)) if (1..=6).contains(&fraction.len()) => {
            let unit = 10_i64.pow(6 - u32::try_from(fraction.len()).ok()?);
            let micros = i64::from(digits(fraction, 6)?) * unit;
            (at(hour, minute, sec)? + TimeDelta::microseconds(micros), TimeDelta::microseconds(unit))
        }
        _ => return None,
    };
    Some((start, start.checked_add_signed(length)?))
}

/// A number of at most `length_max` digits and nothing else.
fn digits(text: &str, length_max: usize) -> Option<u32> {
    let is_short = (1..=length_max).contains(&text.len());
    (is_short && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Zone;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        // 2026-11-21 12:34:56.5 in a zone one hour east.
        let env = Env { now: Timestamp(1_795_260_896_500_000), zone: Zone::Fixed(3_600) };
        let show = |time: Timestamp| {
            let shifted = Timestamp(time.0.saturating_add(3_600_000_000));
            shifted.to_utc().map_or("open".into(), |t| t.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
        };
        let found = match parse(text, env) {
            Ok(range) => format!("{} to {}", show(range.start), show(range.last)),
            Err(message) => message,
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn windows_of_nfdump() {
        check("2026/05/28.20:26:40", "2026-05-28 20:26:40.000000 to 2026-05-28 20:26:40.999999");
        check(
            "2026/05/28.20:26:40-2026/05/28.20:27:00",
            "2026-05-28 20:26:40.000000 to 2026-05-28 20:27:00.999999",
        );
        check("2026/05/28", "2026-05-28 00:00:00.000000 to 2026-05-28 23:59:59.999999");
        check("2026/05/28.20", "2026-05-28 20:00:00.000000 to 2026-05-28 20:59:59.999999");
        check("2026/05", "2026-05-01 00:00:00.000000 to 2026-05-31 23:59:59.999999");
        check("2026", "2026-01-01 00:00:00.000000 to 2026-12-31 23:59:59.999999");
        check("2026/05/28-2026/05/30.12", "2026-05-28 00:00:00.000000 to 2026-05-30 12:59:59.999999");
    }

    #[test]
    fn windows_of_others() {
        check("2026-05-28", "2026-05-28 00:00:00.000000 to 2026-05-28 23:59:59.999999");
        check(
            "2026-05-28T20:26:40Z..2026-05-28T20:30:00Z",
            "2026-05-28 21:26:40.000000 to 2026-05-28 21:30:00.000000",
        );
        check("06:00..07:00", "2026-11-21 06:00:00.000000 to 2026-11-21 07:00:00.000000");
        check("-1h", "2026-11-21 11:34:56.500000 to 2026-11-21 12:34:56.500000");
        check("-30m", "2026-11-21 12:04:56.500000 to 2026-11-21 12:34:56.500000");
        check("-2d", "2026-11-19 12:34:56.500000 to 2026-11-21 12:34:56.500000");
        check("today", "2026-11-21 00:00:00.000000 to 2026-11-21 23:59:59.999999");
        check("yesterday", "2026-11-20 00:00:00.000000 to 2026-11-20 23:59:59.999999");
        check("today..", "2026-11-21 00:00:00.000000 to 2026-11-21 12:34:56.500000");
    }

    #[test]
    fn what_is_no_window_says_so() {
        check("", "`` is not a time");
        check("-10", "`-10` has no unit: `-10s` are the last so many seconds before now");
        check("+10", "`+10` has no unit: `-10s` are the last so many seconds before now");
        check("-1x", "`-1x` is not a time");
        check("-", "`-` is not a time");
        check("-h", "`-h` is not a time");
        check("-ü", "`-ü` is not a time");
        check("2026/13/01", "`2026/13/01` is not a time");
        check("2026/05/28.25", "`2026/05/28.25` is not a time");
        check("tomorrow", "`tomorrow` is not a time");
        check("2026/05/28-2026/05/27", "window `2026/05/28-2026/05/27` ends before it starts");
    }
}
