//! Points in time as microseconds since the Unix epoch, UTC, and the clock
//! arithmetic of the export protocols.

use chrono::{DateTime, TimeZone, Utc};

use crate::limits::STAMP_AHEAD_MS_MAX;

/// Microseconds since 1970-01-01T00:00:00Z; what every timestamp column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// Where "now" comes from. Only the two main programs and tests implement it.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
}

impl Timestamp {
    /// From whole seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Milliseconds since the epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The last instant whose year has four digits, as names of files have.
    pub const LAST: Self = Self(253_402_300_799_999_999);

    /// The instant nearest to this one that a name can tell: from 1970 to 9999.
    pub fn in_names(self) -> Self {
        self.clamp(Self(0), Self::LAST)
    }

    /// As a date in UTC; `None` beyond chrono's years ±262,000.
    pub fn to_utc(self) -> Option<DateTime<Utc>> {
        Utc.timestamp_micros(self.0).single()
    }
}

/// Wall time of a `SysUptime`-relative stamp (RFC 3954 §5.1, NetFlow v5).
///
/// `stamp_ms` and `uptime_ms` count from the boot of the exporter in 32 bits
/// and wrap after 49.7 days. Their difference is taken modulo 2³², so a wrap
/// between the two comes out right; a flow does not lie in the future, save for
/// [`STAMP_AHEAD_MS_MAX`].
pub const fn uptime_to_wall(export: Timestamp, uptime_ms: u32, stamp_ms: u32) -> Timestamp {
    let ahead_ms = stamp_ms.wrapping_sub(uptime_ms);
    let age_ms = uptime_ms.wrapping_sub(stamp_ms);
    let age_ms = if ahead_ms <= STAMP_AHEAD_MS_MAX { -(ahead_ms as i64) } else { age_ms as i64 };
    Timestamp(export.0 - age_ms * 1_000)
}

/// Uptime in milliseconds, modulo 2³², of an exporter that started at `init`
/// (element 160, systemInitTimeMilliseconds) and now says `export`. Either may be
/// anything.
pub const fn uptime_since(init: Timestamp, export: Timestamp) -> u32 {
    export.0.wrapping_sub(init.0).div_euclid(1_000) as u32
}

/// Wall time of seconds counted in 32 bits since 1970: the one of its eras that
/// lies nearest to `near` (RFC 7011 §5.2; the first ends in 2106). None was before it.
pub const fn secs_to_wall(near: Timestamp, secs: u32) -> Timestamp {
    let era = (near.secs() - secs as i64 + ERA_SECS / 2).div_euclid(ERA_SECS);
    let era = if era < 0 { 0 } else { era };
    Timestamp::from_secs(secs as i64 + era * ERA_SECS)
}

/// Wall time of the export time in a header that was received then. Zero is a clock
/// that was never set, in every era.
pub const fn export_to_wall(received_at: Timestamp, secs: u32) -> Timestamp {
    if secs == 0 { Timestamp(0) } else { secs_to_wall(received_at, secs) }
}

/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_TO_UNIX_SECS: i64 = 2_208_988_800;
/// Seconds in one era of a 32-bit count.
const ERA_SECS: i64 = 1 << 32;

/// Wall time of a 64-bit NTP timestamp (RFC 7011 §6.1.9, §6.1.10).
///
/// The era is the one that puts the result nearest to `export` (RFC 7011 §5.2).
/// `ignored_bits` low bits of the fraction carry no meaning: 11 for
/// dateTimeMicroseconds, 0 for dateTimeNanoseconds.
pub const fn ntp_to_wall(export: Timestamp, ntp: u64, ignored_bits: u32) -> Timestamp {
    let secs = (ntp >> 32) as i64 - NTP_TO_UNIX_SECS;
    let fraction = (ntp as u32 >> ignored_bits << ignored_bits) as u64;
    let era = (export.secs() - secs + ERA_SECS / 2).div_euclid(ERA_SECS);
    // Rounded: an exporter rounds microseconds down into 2⁻³² s.
    let micros = (fraction * 1_000_000 + (1 << 31)) >> 32;
    Timestamp((secs + era * ERA_SECS) * 1_000_000 + micros as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exporter_may_start_at_any_time() {
        let export = Timestamp::from_secs(1_700_000_000);
        assert_eq!(uptime_since(Timestamp::from_secs(1_699_999_990), export), 10_000);
        assert_eq!(uptime_since(Timestamp::from_secs(1_700_000_010), export), 0_u32.wrapping_sub(10_000));
        for init in [i64::MIN, -1, i64::MAX] {
            uptime_since(Timestamp(init), export);
            uptime_since(export, Timestamp(init));
        }
    }

    #[test]
    fn uptime_arithmetic_survives_the_wrap_on_both_sides() {
        let export = Timestamp::from_secs(1_700_000_000);
        let check = |uptime_ms, stamp_ms, age_ms: i64| {
            assert_eq!(uptime_to_wall(export, uptime_ms, stamp_ms).0, export.0 - age_ms * 1_000);
        };
        check(10_000, 4_000, 6_000);
        check(1_000, u32::MAX - 999, 2_000); // the exporter wrapped after the flow
        check(u32::MAX, 159, -160); // a flow stamped after the header, over the wrap
        check(10_000, 10_160, -160); // the same without: Juniper, OVS
        check(0, u32::MAX, 1); // softflowd counts back from an uptime of 0
        check(0, 1 << 31, 1 << 31); // 24.9 days ago, not ahead
    }

    #[test]
    fn seconds_find_their_era() {
        let check = |near_secs, secs, wall_secs| {
            assert_eq!(secs_to_wall(Timestamp::from_secs(near_secs), secs).secs(), wall_secs);
        };
        check(1_795_264_200, 1_795_264_199, 1_795_264_199);
        check(1_795_264_200, 0, 0); // a clock that was never set is 56 years off, not 80 ahead
        check((1 << 32) + 100, 90, (1 << 32) + 90);
        check((1 << 32) + 100, u32::MAX, (1 << 32) - 1);
        check(1_795_264_200, u32::MAX, (1 << 32) - 1); // far ahead, but not before 1970
        check(0, 2_200_000_000, 2_200_000_000);
    }

    #[test]
    fn a_header_without_a_clock_says_so_in_every_era() {
        let check = |received_secs, secs, wall_secs| {
            let wall = export_to_wall(Timestamp::from_secs(received_secs), secs);
            assert_eq!(wall.secs(), wall_secs, "{secs} at {received_secs}");
        };
        for received_secs in [1_795_264_200, (1 << 31) - 1, 1 << 31, 2_200_000_000, (1 << 32) + 100] {
            check(received_secs, 0, 0);
            let now = received_secs as u32; // what a right clock sends
            check(received_secs, now, received_secs);
            check(received_secs, now.wrapping_sub(86_400), received_secs - 86_400);
            check(received_secs, now.wrapping_add(86_400), received_secs + 86_400);
        }
    }

    #[test]
    fn names_tell_no_year_of_five_digits() {
        for (given, expected) in [(i64::MIN, 0), (-1, 0), (7, 7), (i64::MAX, Timestamp::LAST.0)] {
            assert_eq!(Timestamp(given).in_names(), Timestamp(expected));
        }
        let text = |at: Timestamp| at.to_utc().unwrap().to_rfc3339();
        assert_eq!(text(Timestamp::LAST), "9999-12-31T23:59:59.999999+00:00");
        assert_eq!(text(Timestamp(Timestamp::LAST.0 + 1)), "+10000-01-01T00:00:00+00:00");
    }

    #[test]
    fn ntp_stamps_find_their_era() {
        let check = |export_secs, ntp: u64, ignored, micros: i64| {
            assert_eq!(ntp_to_wall(Timestamp::from_secs(export_secs), ntp, ignored).0, micros);
        };
        let half = 1u64 << 31;
        check(1_700_000_000, ((1_700_000_000 + 2_208_988_800) << 32) | half, 0, 1_700_000_000_500_000);
        // 2036-02-07: era 1 begins; an export time just after it reads small seconds as era 1.
        check(2_085_978_500, 4 << 32, 0, 2_085_978_500_000_000);
        // The low 11 bits of a microsecond stamp are noise (RFC 7011 §6.1.9).
        check(1_700_000_000, ((1_700_000_000 + 2_208_988_800) << 32) | 0x7ff, 11, 1_700_000_000_000_000);
    }
}
