//! One field's octets as a value: how each element is read, by its abstract
//! data type (RFC 7011 §6.1) and the column it fills.

use flow_common::addr::Addr16;
use flow_common::column::{Column, Kind, Part, Source};
use flow_common::element::AbstractDataType as T;
use flow_common::time::{Timestamp, ntp_to_wall, secs_to_wall, uptime_since, uptime_to_wall};

use super::wire::uint;

/// How a field becomes an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// Unsigned, 1 to 8 octets.
    Uint,
    /// Two's complement, 1 to 8 octets (RFC 7011 §6.1.2).
    Int,
    HighOctet,
    LowOctet,
    Low24Bits,
    MillisToMicros,
    /// `engine << 32 | selector` (RFC 6759 §4).
    ApplicationId,
    Seconds,
    Millis,
    NtpMicros,
    NtpNanos,
    /// Microseconds before the export time.
    DeltaMicros,
    /// Milliseconds since the exporter's boot.
    Uptime,
}

/// What the times of a message are relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeBase {
    pub(crate) export: Timestamp,
    /// Milliseconds since boot, from the header of v5 and v9.
    pub(crate) uptime_ms: Option<u32>,
    /// When the exporter started (element 160), for IPFIX.
    pub(crate) init: Option<Timestamp>,
}

impl TimeBase {
    /// Milliseconds since the exporter's boot at export, modulo 2³².
    pub(crate) fn uptime_ms(self) -> Option<u32> {
        self.uptime_ms.or_else(|| self.init.map(|init| uptime_since(init, self.export)))
    }
}

impl Read {
    /// How `source` fills `column`.
    pub(crate) fn of(column: &Column, source: &Source) -> Self {
        let data_type = source.key.lookup().map(|element| element.data_type);
        match source.part {
            Part::HighOctet => Self::HighOctet,
            Part::LowOctet => Self::LowOctet,
            Part::Low24Bits => Self::Low24Bits,
            Part::MillisToMicros => Self::MillisToMicros,
            Part::ApplicationId => Self::ApplicationId,
            Part::TunnelKey => Self::Uint,
            Part::Whole if column.kind == Kind::Timestamp => match data_type.and_then(Self::of_time) {
                Some(read) => read,
                None if matches!(source.key.id, 158 | 159) => Self::DeltaMicros,
                None => Self::Uptime,
            },
            Part::Whole => Self::Uint,
        }
    }

    /// How a time of its own is read.
    const fn of_time(data_type: T) -> Option<Self> {
        Some(match data_type {
            T::DateTimeSeconds => Self::Seconds,
            T::DateTimeMilliseconds => Self::Millis,
            T::DateTimeMicroseconds => Self::NtpMicros,
            T::DateTimeNanoseconds => Self::NtpNanos,
            _ => return None,
        })
    }

    /// How values of a type become integers.
    pub(crate) const fn of_type(data_type: T) -> Self {
        match (Self::of_time(data_type), data_type) {
            (Some(read), _) => read,
            (None, T::Signed8 | T::Signed16 | T::Signed32 | T::Signed64) => Self::Int,
            (None, _) => Self::Uint,
        }
    }

    /// Whether the column loses something of the value, so `other` keeps it too.
    pub(crate) const fn is_lossy(self) -> bool {
        matches!(self, Self::Low24Bits | Self::NtpNanos)
    }
}

/// The integer a field holds; `None` if its length or value does not allow one.
pub(crate) fn integer(read: Read, bytes: &[u8], time: TimeBase) -> Option<i64> {
    let wall = |timestamp: Timestamp| Some(timestamp.0);
    match read {
        Read::Uint => i64::try_from(uint(bytes)?).ok(),
        Read::Int => signed(bytes),
        Read::HighOctet => (bytes.len() <= 2).then(|| uint(bytes).map(|value| value as i64 >> 8))?,
        Read::LowOctet => (bytes.len() <= 2).then(|| uint(bytes).map(|value| value as i64 & 0xff))?,
        Read::Low24Bits => uint(bytes).map(|value| value as i64 & 0xff_ffff),
        Read::MillisToMicros => i64::try_from(uint(bytes)?).ok()?.checked_mul(1_000),
        Read::ApplicationId => application_id(bytes),
        Read::Seconds => match bytes.len() {
            4 => wall(secs_to_wall(time.export, uint(bytes)? as u32)),
            _ => None,
        },
        Read::Millis => match bytes.len() {
            8 => i64::try_from(uint(bytes)?).ok()?.checked_mul(1_000),
            _ => None,
        },
        // A stamp of zero means "unknown", not 1900 (RFC 5905 §6).
        Read::NtpMicros | Read::NtpNanos if bytes.len() == 8 => {
            let ignored_bits = if read == Read::NtpMicros { 11 } else { 0 };
            let ntp = uint(bytes).filter(|&ntp| ntp != 0)?;
            wall(ntp_to_wall(time.export, ntp, ignored_bits))
        }
        Read::NtpMicros | Read::NtpNanos => None,
        Read::DeltaMicros => {
            let delta = u32::try_from(uint(bytes)?).ok()?;
            wall(Timestamp(time.export.0 - i64::from(delta)))
        }
        Read::Uptime => {
            let stamp_ms = u32::try_from(uint(bytes)?).ok()?;
            wall(uptime_to_wall(time.export, time.uptime_ms()?, stamp_ms))
        }
    }
}

/// Two's complement in as many octets as were sent (RFC 7011 §6.2).
fn signed(bytes: &[u8]) -> Option<i64> {
    let unused_bits = 64 - 8 * u32::try_from(bytes.len()).ok().filter(|length| (1..=8).contains(length))?;
    Some((uint(bytes)? << unused_bits).cast_signed() >> unused_bits)
}

/// A truth value: 1 is true, 2 is false (RFC 7011 §6.1.5).
pub(crate) fn boolean(bytes: &[u8]) -> Option<bool> {
    match uint(bytes)? {
        1 => Some(true),
        2 => Some(false),
        _ => None,
    }
}

/// `engine << 32 | selector` of an application, 1 and 1 to 8 octets (RFC 6759 §4.1).
/// `None` where that loses something: a selector above 2³²−1, or one that begins with
/// an enterprise number (engine 20).
pub(crate) fn application_id(bytes: &[u8]) -> Option<i64> {
    const PANA_L7_PEN: u8 = 20;
    let (&engine, selector) = bytes.split_first()?;
    let selector = u32::try_from(uint(selector)?).ok()?;
    (engine != PANA_L7_PEN).then(|| i64::from(engine) << 32 | i64::from(selector))
}

/// The address a field of 4 or 16 octets holds.
pub(crate) fn address(bytes: &[u8]) -> Option<[u8; 16]> {
    match bytes.len() {
        4 => Some(Addr16::from_v4(bytes.try_into().ok()?).0),
        _ => bytes.try_into().ok(),
    }
}

/// Text without the zeros that pad it to a fixed width; `None` if it is not
/// UTF-8 (RFC 7011 §6.1.6 has ill-formed strings ignored; `other` keeps them).
pub(crate) fn text(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    let trimmed = bytes.get(..end)?;
    std::str::from_utf8(trimmed).is_ok().then_some(trimmed)
}

/// Entry of a label stack, 3 octets (element 70 ff.).
pub(crate) fn label(bytes: &[u8]) -> Option<i32> {
    (bytes.len() == 3).then(|| uint(bytes).map(|entry| entry as i32))?
}

/// IEEE 754 of 8 octets, or of 4 by reduced-size encoding (RFC 7011 §6.2).
pub(crate) fn float(bytes: &[u8]) -> Option<f64> {
    match *bytes {
        [a, b, c, d] => Some(f64::from(f32::from_be_bytes([a, b, c, d]))),
        _ => Some(f64::from_be_bytes(bytes.try_into().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORT_SECS: i64 = 1_700_000_000;

    #[test]
    fn integers_by_reading() {
        let base = TimeBase { export: Timestamp::from_secs(EXPORT_SECS), uptime_ms: None, init: None };
        let check =
            |read, bytes: &[u8], value| assert_eq!(integer(read, bytes, base), value, "{read:?} {bytes:?}");
        let micros = EXPORT_SECS * 1_000_000;
        check(Read::Uint, &[1, 0], Some(256));
        check(Read::Uint, &[255; 8], None);
        check(Read::Uint, &[], None);
        check(Read::Int, &[0xfe], Some(-2));
        check(Read::Int, &[0xff, 0xff, 0xfe], Some(-2));
        check(Read::Int, &[0x7f, 0xff], Some(32_767));
        check(Read::Int, &i64::MIN.to_be_bytes(), Some(i64::MIN));
        check(Read::Int, &[], None);
        check(Read::Int, &[0; 9], None);
        check(Read::HighOctet, &[8, 1], Some(8));
        check(Read::LowOctet, &[8, 1], Some(1));
        check(Read::Low24Bits, &[1, 0, 0, 0, 0, 0, 3, 0xf2], Some(1010));
        check(Read::ApplicationId, &[13, 1, 0xdf], Some(13 << 32 | 479));
        check(Read::ApplicationId, &[20, 0, 0, 0, 9, 0, 0, 0, 1], None);
        check(Read::ApplicationId, &[20, 0, 0, 0, 9, 1], None);
        check(Read::ApplicationId, &[13, 0, 0, 0, 0, 0, 0, 1, 0xdf], Some(13 << 32 | 479));
        check(Read::ApplicationId, &[13, 1, 0, 0, 0, 0], None);
        check(Read::ApplicationId, &[13], None);
        check(Read::Seconds, &(EXPORT_SECS as u32).to_be_bytes(), Some(micros));
        check(Read::Seconds, &[1, 2], None);
        check(Read::Millis, &(EXPORT_SECS as u64 * 1_000 + 5).to_be_bytes(), Some(micros + 5_000));
        check(Read::NtpMicros, &[0; 8], None);
        check(Read::DeltaMicros, &1_500_000u32.to_be_bytes(), Some(micros - 1_500_000));
        check(Read::Uptime, &[0, 0, 0, 1], None);
        let base = TimeBase { uptime_ms: Some(10_000), ..base };
        assert_eq!(integer(Read::Uptime, &4_000u32.to_be_bytes(), base), Some(micros - 6_000_000));
        let init = Some(Timestamp::from_secs(EXPORT_SECS - 10));
        let base = TimeBase { uptime_ms: None, init, ..base };
        assert_eq!(integer(Read::Uptime, &4_000u32.to_be_bytes(), base), Some(micros - 6_000_000));
    }

    #[test]
    fn addresses_text_labels_and_floats() {
        assert_eq!(address(&[10, 0, 0, 1]), Some(Addr16::from_v4([10, 0, 0, 1]).0));
        assert_eq!(address(&[0; 16]), Some([0; 16]));
        assert_eq!(address(&[0; 5]), None);
        assert_eq!(text(b"eth0\0\0"), Some(&b"eth0"[..]));
        assert_eq!(text(b""), Some(&b""[..]));
        assert_eq!(text(b"\xff"), None);
        assert_eq!(label(&[0, 0x3f, 0x21]), Some(0x3f21));
        assert_eq!(label(&[0, 1]), None);
        assert_eq!(float(&0.5f32.to_be_bytes()), Some(0.5));
        assert_eq!(float(&0.25f64.to_be_bytes()), Some(0.25));
        assert_eq!(float(&[1]), None);
        assert_eq!([&[1][..], &[0, 2], &[0], &[]].map(boolean), [Some(true), Some(false), None, None]);
    }
}
