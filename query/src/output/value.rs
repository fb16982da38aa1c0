//! One value as text: times, durations, scaled numbers, addresses, free text.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use chrono::{Datelike, NaiveDateTime, Timelike};
use flow_common::addr::Addr16;
use flow_common::proto::Protocol;
use flow_common::time::Timestamp;

use crate::message::neutral;
use crate::zone::Calendar;

/// A counter as nfdump prints it: from a million in powers of 1000 with one
/// decimal, `1.8 M`; below, or where plain, as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scaled {
    pub(super) value: u64,
    pub(super) is_plain: bool,
}

impl fmt::Display for Scaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M")];
        let unit = UNITS.iter().find(|(unit, _)| self.value >= *unit && !self.is_plain);
        match unit {
            Some((unit, letter)) => {
                let width = f.width().unwrap_or(0).saturating_sub(2);
                write!(f, "{:>width$.1} {letter}", self.value as f64 / *unit as f64)
            }
            None => fmt::Display::fmt(&self.value, f),
        }
    }
}

/// A duration in milliseconds: `00:01:01.110`, `1d 01:01:01.001`, plain `90061.001`.
#[derive(Debug, Clone, Copy)]
pub(super) struct DurationText {
    pub(super) ms: u64,
    pub(super) is_plain: bool,
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, ms) = (self.ms / 1_000, self.ms % 1_000);
        let mut text = Short::default();
        if self.is_plain {
            write!(text, "{secs}.{ms:03}")?;
        } else {
            let (days, secs) = (secs / 86_400, secs % 86_400);
            if days > 0 {
                write!(text, "{days}d ")?;
            }
            write!(text, "{:02}:{:02}:{:02}.{ms:03}", secs / 3_600, secs / 60 % 60, secs % 60)?;
        }
        f.pad(text.as_str())
    }
}

/// An address; `-` where there is none. IPv6 is cut in the middle where it does
/// not fit: `2606:47..0::1111`.
#[derive(Debug, Clone, Copy)]
pub(super) struct AddressText {
    pub(super) addr: Option<Addr16>,
    pub(super) is_full: bool,
}

/// Characters of an address in a table.
pub(super) const ADDRESS_WIDTH: usize = 16;
/// Characters of an IPv6 address in full.
pub(super) const ADDRESS_WIDTH_FULL: usize = 39;

impl fmt::Display for AddressText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(addr) = self.addr else { return f.pad("-") };
        let mut text = Short::default();
        write!(text, "{addr}")?;
        let full = text.as_str();
        if self.is_full || full.len() <= ADDRESS_WIDTH {
            return f.pad(full);
        }
        let mut short = Short::default();
        write!(short, "{}..{}", &full[..7], &full[full.len() - 7..])?;
        f.pad(short.as_str())
    }
}

/// A protocol by name, or by number where plain.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProtocolText {
    pub(super) protocol: Option<i64>,
    pub(super) is_plain: bool,
}

impl fmt::Display for ProtocolText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.protocol.unwrap_or(0);
        match u8::try_from(number) {
            Ok(number) if !self.is_plain => Protocol(number).fmt(f),
            _ => fmt::Display::fmt(&number, f),
        }
    }
}

/// A short text on the stack.
struct Short {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

impl Short {
    const CAPACITY: usize = 48;

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Default for Short {
    fn default() -> Self {
        Self { bytes: [0; Self::CAPACITY], length: 0 }
    }
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// `2026-05-28 20:26:40.120` in the calendar's zone; zeros where unknown.
pub(super) fn write_table_time(
    out: &mut dyn Write,
    calendar: &mut Calendar,
    time: Option<i64>,
) -> io::Result<()> {
    let wall = time.and_then(|micros| calendar.wall(Timestamp(micros)));
    let Some((wall, _)) = wall else { return out.write_all(b"0000-00-00 00:00:00.000") };
    write!(
        out,
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}",
        wall.year(),
        wall.month(),
        wall.day(),
        wall.hour(),
        wall.minute(),
        wall.second(),
        wall.nanosecond() / 1_000_000
    )
}

/// RFC 3339 has four digits for the year (§5.6). What an exporter stamps beyond
/// them stays visible as its number of microseconds since the epoch.
fn rfc3339_wall(calendar: &mut Calendar, micros: i64) -> Option<(NaiveDateTime, i32)> {
    calendar.wall(Timestamp(micros)).filter(|(wall, _)| (0..=9_999).contains(&wall.year()))
}

/// A time in JSON: a string of RFC 3339, or the number of its microseconds.
pub(super) fn write_json_time(out: &mut dyn Write, calendar: &mut Calendar, micros: i64) -> io::Result<()> {
    let quote = if rfc3339_wall(calendar, micros).is_some() { "\"" } else { "" };
    write!(out, "{quote}")?;
    write_rfc3339(out, calendar, micros)?;
    write!(out, "{quote}")
}

/// RFC 3339 with the zone: `2026-05-28T20:26:40.120Z`; microseconds where they
/// are not zero.
pub(super) fn write_rfc3339(out: &mut dyn Write, calendar: &mut Calendar, micros: i64) -> io::Result<()> {
    let Some((wall, offset_secs)) = rfc3339_wall(calendar, micros) else {
        return write!(out, "{micros}");
    };
    write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}",
        wall.year(),
        wall.month(),
        wall.day(),
        wall.hour(),
        wall.minute(),
        wall.second(),
        wall.nanosecond() / 1_000_000
    )?;
    let below_ms = wall.nanosecond() / 1_000 % 1_000;
    if below_ms != 0 {
        write!(out, "{below_ms:03}")?;
    }
    if offset_secs == 0 {
        return out.write_all(b"Z");
    }
    let (sign, minutes) = (if offset_secs < 0 { '-' } else { '+' }, offset_secs.unsigned_abs() / 60);
    write!(out, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Text from the wire for a terminal: control characters can't get out, and one
/// value stays on one line.
pub(super) fn one_line(text: &str) -> String {
    neutral(text).replace('\n', "\u{fffd}")
}

/// Octets as lower-case hex.
pub(super) fn write_hex(out: &mut dyn Write, octets: &[u8]) -> io::Result<()> {
    octets.iter().try_for_each(|octet| write!(out, "{octet:02x}"))
}

/// An entry of an MPLS label stack: `label-exp-bottom`.
pub(super) fn write_label(out: &mut dyn Write, entry: i32) -> io::Result<()> {
    write!(out, "{}-{}-{}", (entry >> 4) & 0xf_ffff, (entry >> 1) & 7, entry & 1)
}
