//! Instants as wall time. Date and hour are made once for the rows around them.

use chrono::{Datelike, NaiveDateTime, Timelike};
use flow_common::time::Timestamp;

use super::{Text, pair};
use crate::Zone;
use crate::zone::Calendar;

/// Quarters of an hour whose text is kept: flows of one slot begin within few.
const KEPT_QUARTERS: usize = 16;
const QUARTER_MICROS: i64 = Calendar::QUARTER_SECS * 1_000_000;
const HOUR_MICROS: i64 = 4 * QUARTER_MICROS;

/// A span of at most a quarter of an hour within one hour of wall time.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    /// Its first instant, µs.
    from: i64,
    /// Its length, µs; 0 where nothing is kept.
    length: u64,
    /// When the hour of wall time began, µs; may be before `from`.
    hour_from: i64,
    /// `2026-05-28T20:`
    head: [u8; 16],
    /// `Z`, or `+02:00`.
    zone: u64,
    zone_length: usize,
}

/// Characters of [`Span::head`], and where its `T` is.
const HEAD_LENGTH: usize = 14;
const SEPARATOR_AT: usize = 10;

/// Makes text of instants in one zone.
#[derive(Debug, Clone)]
pub(in crate::output) struct TimeText {
    calendar: Calendar,
    spans: [Span; KEPT_QUARTERS],
}

impl TimeText {
    pub(in crate::output) fn new(zone: Zone) -> Self {
        Self { calendar: Calendar::new(zone), spans: Default::default() }
    }

    /// RFC 3339 with the zone: `2026-05-28T20:26:40.120Z`; microseconds where they
    /// are not zero. It has four digits for the year (§5.6): what an exporter stamps
    /// beyond them stays visible as its number of microseconds since the epoch.
    #[inline]
    pub(in crate::output) fn rfc3339(&mut self, micros: i64, text: &mut Text<'_>) {
        match self.span(micros) {
            Some(span) => span.rfc3339(micros, text),
            None => text.int(micros),
        }
    }

    /// The same in JSON: a string, or the number.
    #[inline]
    pub(in crate::output) fn json(&mut self, micros: i64, text: &mut Text<'_>) {
        match self.span(micros) {
            Some(span) => {
                text.byte(b'"');
                span.rfc3339(micros, text);
                text.byte(b'"');
            }
            None => text.int(micros),
        }
    }

    /// `2026-05-28 20:26:40.120`; zeros where unknown.
    #[inline]
    pub(in crate::output) fn table(&mut self, time: Option<i64>, text: &mut Text<'_>) {
        match time.and_then(|micros| Some((self.span(micros)?, micros))) {
            Some((span, micros)) => {
                let mut head = span.head;
                head[SEPARATOR_AT] = b' ';
                text.put(&head, HEAD_LENGTH);
                span.within_hour(micros, text);
            }
            None => self.table_slow(time, text),
        }
    }

    /// An unknown time, or a year of other than four digits.
    #[cold]
    fn table_slow(&mut self, time: Option<i64>, text: &mut Text<'_>) {
        let wall = time.and_then(|micros| self.calendar.wall(Timestamp(micros)));
        let Some((wall, _)) = wall else { return text.literal(b"0000-00-00 00:00:00.000") };
        let (year, month, day) = (wall.year(), wall.month(), wall.day());
        let (hour, minute, second) = (wall.hour(), wall.minute(), wall.second());
        let ms = wall.nanosecond() / 1_000_000;
        text.formatted(format_args!(
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ms:03}"
        ));
    }

    /// The span an instant lies in; `None` where its year has not four digits.
    #[inline]
    fn span(&mut self, micros: i64) -> Option<&Span> {
        let place = micros.div_euclid(QUARTER_MICROS).rem_euclid(KEPT_QUARTERS as i64) as usize;
        let is_kept = |span: &Span| (micros.wrapping_sub(span.from) as u64) < span.length;
        if !self.spans.get(place).is_some_and(is_kept) {
            self.spans[place] = self.make(micros)?;
        }
        self.spans.get(place)
    }

    #[cold]
    #[inline(never)]
    fn make(&mut self, micros: i64) -> Option<Span> {
        let (wall, offset_secs) = self.calendar.wall(Timestamp(micros))?;
        if !(0..=9_999).contains(&wall.year()) {
            return None;
        }
        // Years of four digits are far from the ends of i64.
        let offset_micros = i64::from(offset_secs) * 1_000_000;
        let hour_from = (micros + offset_micros).div_euclid(HOUR_MICROS) * HOUR_MICROS - offset_micros;
        let quarter_from = micros.div_euclid(QUARTER_MICROS) * QUARTER_MICROS;
        let from = hour_from.max(quarter_from);
        let to = (hour_from + HOUR_MICROS).min(quarter_from + QUARTER_MICROS);
        let (zone, zone_length) = zone(offset_secs);
        Some(Span { from, length: from.abs_diff(to), hour_from, head: head(wall), zone, zone_length })
    }
}

fn head(wall: NaiveDateTime) -> [u8; 16] {
    let mut octets = Vec::with_capacity(HEAD_LENGTH);
    let mut text = Text::new(&mut octets);
    let year = wall.year().unsigned_abs();
    text.two(year / 100);
    text.two(year % 100);
    for (separator, value) in [(b'-', wall.month()), (b'-', wall.day()), (b'T', wall.hour())] {
        text.byte(separator);
        text.two(value);
    }
    text.byte(b':');
    drop(text);
    let mut head = [0; 16];
    head[..HEAD_LENGTH].copy_from_slice(&octets);
    head
}

/// The zone, its first character in the low octet, and how many it has.
fn zone(offset_secs: i32) -> (u64, usize) {
    if offset_secs == 0 {
        return (b'Z'.into(), 1);
    }
    let sign = if offset_secs < 0 { b'-' } else { b'+' };
    let minutes = offset_secs.unsigned_abs() / 60;
    (u64::from(sign) | pair(minutes / 60) << 8 | u64::from(b':') << 24 | pair(minutes % 60) << 32, 6)
}

impl Span {
    /// `26:40.120`; returns the microseconds below.
    #[inline]
    fn within_hour(&self, micros: i64, text: &mut Text<'_>) -> u32 {
        let (below_ms, last_digit) = self.up_to_tens(micros, text);
        text.byte(last_digit);
        below_ms
    }

    /// `26:40.12`; returns the microseconds below, and the last digit of the milliseconds.
    #[inline]
    fn up_to_tens(&self, micros: i64, text: &mut Text<'_>) -> (u32, u8) {
        // An hour has fewer than 2³² microseconds.
        let micros = micros.wrapping_sub(self.hour_from) as u32;
        let (ms, below_ms) = (micros / 1_000, micros % 1_000);
        let (secs, ms) = (ms / 1_000, ms % 1_000);
        let octets = pair(secs / 60)
            | u64::from(b':') << 16
            | pair(secs % 60) << 24
            | u64::from(b'.') << 40
            | pair(ms / 10) << 48;
        text.put(&octets.to_le_bytes(), 8);
        (below_ms, b'0' + (ms % 10) as u8)
    }

    #[inline]
    fn rfc3339(&self, micros: i64, text: &mut Text<'_>) {
        text.put(&self.head, HEAD_LENGTH);
        let (below_ms, last_digit) = self.up_to_tens(micros, text);
        if below_ms == 0 {
            let tail = u64::from(last_digit) | self.zone << 8;
            text.put(&tail.to_le_bytes(), 1 + self.zone_length);
        } else {
            text.byte(last_digit);
            text.three(below_ms);
            text.put(&self.zone.to_le_bytes(), self.zone_length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{random, text};
    use super::*;

    /// The text by `std::fmt`, from the wall time that chrono tells of each instant.
    fn expected(zone: Zone, micros: i64) -> (String, String, String) {
        let Some((wall, offset_secs)) = zone.wall(Timestamp(micros)) else {
            return (micros.to_string(), micros.to_string(), "0000-00-00 00:00:00.000".to_owned());
        };
        let (date, hour) = ((wall.year(), wall.month(), wall.day()), wall.hour());
        let ms = wall.nanosecond() / 1_000_000;
        let rest = format!("{:02}:{:02}.{ms:03}", wall.minute(), wall.second());
        let table = format!("{:04}-{:02}-{:02} {hour:02}:{rest}", date.0, date.1, date.2);
        if !(0..=9_999).contains(&wall.year()) {
            return (micros.to_string(), micros.to_string(), table);
        }
        let below_ms = wall.nanosecond() / 1_000 % 1_000;
        let below_ms = if below_ms == 0 { String::new() } else { format!("{below_ms:03}") };
        let minutes = offset_secs.abs() / 60;
        let sign = if offset_secs < 0 { '-' } else { '+' };
        let zone = match offset_secs {
            0 => "Z".to_owned(),
            _ => format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        };
        let rfc3339 = format!("{:04}-{:02}-{:02}T{hour:02}:{rest}{below_ms}{zone}", date.0, date.1, date.2);
        (format!("\"{rfc3339}\""), rfc3339, table)
    }

    #[track_caller]
    fn check(times: &mut TimeText, zone: Zone, micros: i64) {
        let found = {
            let mut parts = [vec![], vec![], vec![]];
            let [json, rfc3339, table] = &mut parts;
            times.json(micros, &mut Text::new(json));
            times.rfc3339(micros, &mut Text::new(rfc3339));
            times.table(Some(micros), &mut Text::new(table));
            let [json, rfc3339, table] = parts.map(|part| String::from_utf8(part).unwrap());
            (json, rfc3339, table)
        };
        assert_eq!(found, expected(zone, micros), "{zone:?} {micros}");
    }

    /// Instants a zone of today may be asked for, many near each other.
    fn instants() -> impl Iterator<Item = i64> {
        const DAY: i64 = 24 * HOUR_MICROS;
        // From 1970 on: before, zones change their offset at odd minutes.
        let days = random().map(|n| (n % 40_000) as i64 * DAY).step_by(97).take(300);
        days.flat_map(|day| {
            let near = random().map(|n| n as i64 % (2 * HOUR_MICROS)).take(50);
            let changes =
                (0..96).flat_map(|quarter| [-1, 0, 1_000, 999].map(|at| quarter * QUARTER_MICROS + at));
            near.chain(changes).map(move |within| day + within)
        })
    }

    #[test]
    fn any_instant_is_as_chrono_and_std_have_it() {
        for zone in [Zone::Utc, Zone::Fixed(-12_600), Zone::Fixed(20_700), Zone::Fixed(-1_234), Zone::Local] {
            let mut times = TimeText::new(zone);
            for micros in instants() {
                check(&mut times, zone, micros);
            }
            // The changes of European and American clocks in 2026.
            for change in [1_774_746_000, 1_792_890_000, 1_772_953_200, 1_793_512_800] {
                for secs in (change - 7_200..change + 7_200).step_by(13) {
                    check(&mut times, zone, secs * 1_000_000 + 999_999);
                }
            }
        }
    }

    #[test]
    fn years_of_any_length_are_told() {
        // Year 0 and year 10000 begin; where chrono ends.
        let ends = [-62_167_219_200, 253_402_300_800, -8_334_601_228_800, 8_210_266_876_800];
        for zone in [Zone::Utc, Zone::Fixed(-12_600), Zone::Fixed(86_399)] {
            let mut times = TimeText::new(zone);
            let around = ends.into_iter().flat_map(|end| {
                [-86_400, -3_601, -1, 0, 1, 86_400].map(|secs: i64| (end + secs) * 1_000_000 + 5)
            });
            let any = random().take(20_000).map(|n| n as i64 >> (n % 32));
            for micros in around.chain(any).chain([i64::MIN, i64::MAX, 0, -1]) {
                check(&mut times, zone, micros);
            }
        }
        assert_eq!(text(|text| TimeText::new(Zone::Utc).table(None, text)), "0000-00-00 00:00:00.000");
    }
}
