//! `--bucket`: spans of time that flows are parted into by when they began.

use chrono::{Days, NaiveDate, NaiveTime};
use flow_common::limits::BUCKET_SECS_MAX;
use flow_common::time::Timestamp;

use crate::Zone;
use crate::message::Failure;

const DAY_SECS: i64 = 86_400;
const MICROS: i64 = 1_000_000;

/// Spans of one width. Those below a day, and those of no whole number of days, are multiples of
/// their width since the epoch; days are those of a zone, from midnight to midnight, and several
/// are multiples of as many since 1970-01-01 there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    secs: i64,
    zone: Zone,
}

impl Bucket {
    /// What `option` says: `10s`, `5m`, `1h`, `1d`.
    pub(crate) fn parse(text: &str, option: &str, zone: Zone) -> Result<Self, Failure> {
        let wrong =
            |what: String| Failure::usage_hint(what, format!("for example `{option}5m`, `1h` or `1d`"));
        let (digits, unit_secs) = match text.as_bytes() {
            [digits @ .., b's' | b'S'] => (digits, 1),
            [digits @ .., b'm' | b'M'] => (digits, 60),
            [digits @ .., b'h' | b'H'] => (digits, 3_600),
            [digits @ .., b'd' | b'D'] => (digits, DAY_SECS),
            _ => return Err(wrong(format!("`{option}{text}` has no unit: one of s, m, h, d"))),
        };
        let number: Option<i64> = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let secs = number.and_then(|number| number.checked_mul(unit_secs));
        let fits = |secs: &i64| (1..=BUCKET_SECS_MAX).contains(secs);
        let Some(secs) = secs.filter(fits) else {
            let days = BUCKET_SECS_MAX / DAY_SECS;
            return Err(wrong(format!("`{option}{text}` is no width of `1s` to `{days}d`")));
        };
        Ok(Self { secs, zone })
    }

    /// How it is written: in the largest unit that leaves nothing over.
    pub(crate) fn word(self) -> String {
        let units = [(DAY_SECS, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];
        let unit = units.into_iter().find(|(unit_secs, _)| self.secs % unit_secs == 0);
        unit.map(|(unit_secs, letter)| format!("{}{letter}", self.secs / unit_secs)).unwrap_or_default()
    }

    fn days(self) -> Option<i64> {
        (self.secs % DAY_SECS == 0).then_some(self.secs / DAY_SECS)
    }

    /// When the span began that an instant lies in; both µs.
    pub(crate) fn start(self, micros: i64) -> i64 {
        self.day_start(micros).unwrap_or_else(|| {
            let width = self.secs * MICROS;
            micros.saturating_sub(micros.rem_euclid(width))
        })
    }

    fn day_start(self, micros: i64) -> Option<i64> {
        let days = self.days()?;
        let (wall, _) = self.zone.wall(Timestamp(micros))?;
        let since = wall.date().signed_duration_since(NaiveDate::default()).num_days();
        let date = wall.date().checked_sub_days(Days::new(since.rem_euclid(days).cast_unsigned()))?;
        Some(self.zone.instant(date.and_time(NaiveTime::MIN)).0)
    }

    fn day_end(self, start: i64) -> Option<i64> {
        let days = self.days()?;
        let (wall, _) = self.zone.wall(Timestamp(start))?;
        let date = wall.date().checked_add_days(Days::new(days.cast_unsigned()))?;
        Some(self.zone.instant(date.and_time(NaiveTime::MIN)).0)
    }

    /// When the span ends that began at `start`; both µs. A day is as long as it was.
    pub(crate) fn end(self, start: i64) -> i64 {
        self.day_end(start).unwrap_or_else(|| {
            let width = self.secs * MICROS;
            start.saturating_add(width - start.rem_euclid(width))
        })
    }

    /// Milliseconds of the span that began at `start`, µs.
    pub(crate) fn length_ms(self, start: i64) -> u64 {
        let micros = self.day_end(start).map_or(self.secs * MICROS, |end| end.saturating_sub(start));
        u64::try_from(micros / 1_000).unwrap_or(0)
    }

    /// How many spans there are from the one that began at `first` to that which did at `last`.
    pub(crate) fn count(self, first: i64, last: i64) -> u64 {
        let width = i128::from(self.secs * MICROS);
        // A day of a clock change is an hour off.
        let between = (i128::from(last) - i128::from(first) + width / 2) / width;
        u64::try_from(between).unwrap_or(0).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(width: &str, zone: Zone, at: &str, expected: &str) {
        let micros = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
        let bucket = Bucket::parse(width, "", zone).unwrap();
        let start = bucket.start(micros(at));
        let shown = |micros: i64| {
            let time = Timestamp(micros).to_utc().unwrap();
            time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
        };
        let said = format!("{} {} {}", bucket.word(), shown(start), bucket.length_ms(start) / 1_000);
        assert_eq!(said, expected, "{width} {at}");
        assert_eq!(bucket.start(bucket.end(start)), bucket.end(start), "{width} {at}");
        assert_eq!(bucket.start(bucket.end(start) - 1), start, "{width} {at}");
    }

    #[test]
    fn spans_are_multiples_of_their_width() {
        let east = Zone::Fixed(19_800);
        check("10s", east, "2026-05-28T20:26:49.999Z", "10s 2026-05-28T20:26:40Z 10");
        check("5m", east, "2026-05-28T20:25:00Z", "5m 2026-05-28T20:25:00Z 300");
        check("60m", east, "2026-05-28T20:26:40Z", "1h 2026-05-28T20:00:00Z 3600");
        check("7s", Zone::Utc, "1969-12-31T23:59:59Z", "7s 1969-12-31T23:59:53Z 7");
        check("36h", east, "1970-01-03T00:00:00Z", "36h 1970-01-02T12:00:00Z 129600");
    }

    #[test]
    fn days_are_those_of_the_zone() {
        check("1d", Zone::Utc, "2026-05-28T20:26:40Z", "1d 2026-05-28T00:00:00Z 86400");
        check("24h", Zone::Fixed(19_800), "2026-05-28T20:26:40Z", "1d 2026-05-28T18:30:00Z 86400");
        check("7d", Zone::Fixed(-3_600), "1970-01-08T00:59:59Z", "7d 1970-01-01T01:00:00Z 604800");
        check("2d", Zone::Utc, "1969-12-31T12:00:00Z", "2d 1969-12-30T00:00:00Z 172800");
    }

    #[test]
    fn spans_between_two_are_counted() {
        let bucket = Bucket::parse("5m", "", Zone::Utc).unwrap();
        for (last, expected) in [(0, 1), (300, 2), (3_600, 13)] {
            assert_eq!(bucket.count(0, last * MICROS), expected, "{last}");
        }
        let day = Bucket::parse("1d", "", Zone::Utc).unwrap();
        // One of two days had 23 hours.
        assert_eq!(day.count(0, 47 * 3_600 * MICROS), 3);
    }

    #[test]
    fn what_is_no_width_is_said() {
        let said = |text: &str| match Bucket::parse(text, "--bucket ", Zone::Utc) {
            Err(Failure::Usage { message, hint }) => format!("{message}; {}", hint.unwrap_or_default()),
            other => format!("{other:?}"),
        };
        let hint = "for example `--bucket 5m`, `1h` or `1d`";
        assert_eq!(said("5x"), format!("`--bucket 5x` has no unit: one of s, m, h, d; {hint}"));
        assert_eq!(said("300"), format!("`--bucket 300` has no unit: one of s, m, h, d; {hint}"));
        for text in ["0s", "m", "-5m", "367d", "99999999999999999d", "1.5h"] {
            assert_eq!(said(text), format!("`--bucket {text}` is no width of `1s` to `366d`; {hint}"));
        }
    }
}
