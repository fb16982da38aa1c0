//! Wall time: which zone, and the date and time of day an instant has there.

use chrono::{DateTime, Local, LocalResult, NaiveDateTime, Offset, TimeZone, Utc};
use flow_common::time::Timestamp;

/// A zone in which times are read and printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// UTC.
    Utc,
    /// The zone of the machine (`TZ`, `/etc/localtime`).
    Local,
    /// A fixed number of seconds east of UTC.
    Fixed(i32),
}

const MICROS: i64 = 1_000_000;

impl Zone {
    /// Seconds east of UTC at an instant.
    fn offset_secs(self, at: Timestamp) -> i32 {
        match self {
            Self::Utc => 0,
            Self::Fixed(offset) => offset,
            Self::Local => match Local.timestamp_opt(at.secs(), 0) {
                LocalResult::Single(time) => time.offset().fix().local_minus_utc(),
                _ => 0,
            },
        }
    }

    /// The instant of a wall time. Of the two in autumn the earlier; for all of
    /// the gap in spring the instant of the change, so that a period in it is empty.
    pub(crate) fn instant(self, wall: NaiveDateTime) -> Timestamp {
        let utc_micros = wall.and_utc().timestamp_micros();
        let minus = |offset: i32| Timestamp(utc_micros.saturating_sub(i64::from(offset) * MICROS));
        match self {
            Self::Utc => Timestamp(utc_micros),
            Self::Fixed(offset) => minus(offset),
            Self::Local => match Local.from_local_datetime(&wall) {
                LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => {
                    Timestamp(time.timestamp_micros())
                }
                LocalResult::None => self.change_before(utc_micros.div_euclid(MICROS)),
            },
        }
    }

    /// When the clock was put forward over a wall time, given in seconds as if it were UTC.
    fn change_before(self, wall_secs: i64) -> Timestamp {
        const DAY_SECS: i64 = 86_400;
        let offset_at = |secs| i64::from(self.offset_secs(Timestamp::from_secs(secs)));
        // The clock shows less than the wall time up to the change, more from it.
        let mut before = wall_secs - offset_at(wall_secs + DAY_SECS);
        let mut from = wall_secs - offset_at(wall_secs - DAY_SECS);
        while before + 1 < from {
            let middle = before + (from - before) / 2;
            if middle + offset_at(middle) <= wall_secs { before = middle } else { from = middle }
        }
        Timestamp::from_secs(from)
    }

    /// Wall time of an instant and the offset from UTC; `None` beyond chrono's years.
    pub(crate) fn wall(self, at: Timestamp) -> Option<(NaiveDateTime, i32)> {
        wall(at, self.offset_secs(at))
    }
}

fn wall(at: Timestamp, offset_secs: i32) -> Option<(NaiveDateTime, i32)> {
    let shifted = at.0.checked_add(i64::from(offset_secs) * MICROS)?;
    let time: DateTime<Utc> = DateTime::from_timestamp_micros(shifted)?;
    Some((time.naive_utc(), offset_secs))
}

/// [`Zone::wall`] for many instants near each other: remembers the offset of a
/// quarter of an hour, within which no zone changes it.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    zone: Zone,
    quarter: i64,
    offset_secs: i32,
}

impl Calendar {
    pub(crate) const QUARTER_SECS: i64 = 900;

    pub(crate) fn new(zone: Zone) -> Self {
        Self { zone, quarter: i64::MIN, offset_secs: 0 }
    }

    pub(crate) fn wall(&mut self, at: Timestamp) -> Option<(NaiveDateTime, i32)> {
        let quarter = at.secs().div_euclid(Self::QUARTER_SECS);
        if quarter != self.quarter {
            self.quarter = quarter;
            self.offset_secs = self.zone.offset_secs(at);
        }
        wall(at, self.offset_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_is_the_inverse_of_its_instant() {
        for zone in [Zone::Utc, Zone::Fixed(-12_600), Zone::Local] {
            let mut calendar = Calendar::new(zone);
            for secs in [0, 1_780_000_000, 1_780_000_899, 1_795_262_400, -1] {
                let at = Timestamp(secs * MICROS + 123_456);
                let (wall, offset_secs) = zone.wall(at).unwrap();
                assert_eq!(zone.instant(wall), at, "{zone:?} {secs}");
                assert_eq!(calendar.wall(at), Some((wall, offset_secs)));
            }
            assert_eq!(zone.wall(Timestamp(i64::MAX)), None);
        }
    }
}
