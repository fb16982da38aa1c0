//! The values of a data record, one after another (RFC 7011 §6 and §7).

use std::net::{Ipv4Addr, Ipv6Addr};

/// Seconds from the NTP epoch (1900) to the Unix epoch (1970).
const NTP_TO_UNIX_SECS: u64 = 2_208_988_800;

/// Longest value whose length fits the one-octet form (RFC 7011 §7).
const SHORT_FORM_OCTETS_MAX: usize = 254;

/// The octets of one data record, appended field by field, all big-endian.
///
/// ```
/// # use flow_tests::packet::Value;
/// let record = Value::new().uint(443, 2).variable(b"eth0").encode();
/// assert_eq!(record, b"\x01\xbb\x04eth0");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value {
    octets: Vec<u8>,
}

impl Value {
    /// An empty record.
    pub fn new() -> Self {
        Self::default()
    }

    /// An unsigned number in `width` octets, 1 to 8. Fewer than its type has
    /// is reduced-size encoding (RFC 7011 §6.2).
    ///
    /// # Panics
    /// If the number does not fit.
    #[must_use]
    pub fn uint(self, value: u64, width: usize) -> Self {
        assert!((1..=8).contains(&width), "{width} octets hold no integer");
        let octets = value.to_be_bytes();
        let (cut, kept) = octets.split_at(8 - width);
        assert!(cut.iter().all(|&octet| octet == 0), "{value} needs more than {width} octets");
        self.octets(kept)
    }

    /// A signed number in `width` octets, 1 to 8, two's complement.
    ///
    /// # Panics
    /// If the number does not fit.
    #[must_use]
    pub fn int(self, value: i64, width: usize) -> Self {
        assert!((1..=8).contains(&width), "{width} octets hold no integer");
        let unused_bits = 64 - 8 * width;
        let narrowed = value << unused_bits >> unused_bits;
        assert_eq!(narrowed, value, "{value} needs more than {width} octets");
        self.octets(&value.to_be_bytes()[8 - width..])
    }

    /// A float64 (RFC 7011 §6.1.4).
    #[must_use]
    pub fn float64(self, value: f64) -> Self {
        self.octets(&value.to_be_bytes())
    }

    /// An IPv4 address, 4 octets.
    #[must_use]
    pub fn ipv4(self, addr: Ipv4Addr) -> Self {
        self.octets(&addr.octets())
    }

    /// An IPv6 address, 16 octets.
    #[must_use]
    pub fn ipv6(self, addr: Ipv6Addr) -> Self {
        self.octets(&addr.octets())
    }

    /// A MAC address, 6 octets.
    #[must_use]
    pub fn mac(self, addr: [u8; 6]) -> Self {
        self.octets(&addr)
    }

    /// Octets as they are, without a length.
    #[must_use]
    pub fn octets(mut self, octets: &[u8]) -> Self {
        self.octets.extend_from_slice(octets);
        self
    }

    /// A string in a field of fixed width, filled up with NUL.
    ///
    /// # Panics
    /// If the string is longer than the field.
    #[must_use]
    pub fn fixed_string(mut self, text: &str, width: usize) -> Self {
        assert!(text.len() <= width, "`{text}` needs more than {width} octets");
        let end = self.octets.len() + width;
        self.octets.extend_from_slice(text.as_bytes());
        self.octets.resize(end, 0);
        self
    }

    /// A variable-length value with its length in front: one octet up to 254,
    /// three above (RFC 7011 §7).
    ///
    /// # Panics
    /// If the value is longer than 65 535 octets.
    #[must_use]
    pub fn variable(self, value: &[u8]) -> Self {
        match u8::try_from(value.len()) {
            Ok(length) if value.len() <= SHORT_FORM_OCTETS_MAX => self.octets(&[length]).octets(value),
            _ => self.variable_long(value),
        }
    }

    /// A variable-length value in the three-octet form, which is legal for
    /// short values too (RFC 7011 §7).
    ///
    /// # Panics
    /// If the value is longer than 65 535 octets.
    #[must_use]
    pub fn variable_long(self, value: &[u8]) -> Self {
        let [high, low] = super::octets_u16(value.len()).to_be_bytes();
        self.octets(&[255, high, low]).octets(value)
    }

    /// A dateTimeNanoseconds: NTP seconds, then a fraction in units of 2⁻³² s,
    /// to the nearest unit (RFC 7011 §6.1.10).
    ///
    /// # Panics
    /// If `nanos` is a second or more, or the time is outside NTP era 0
    /// (1900 to 2036).
    #[must_use]
    pub fn ntp_nanoseconds(self, unix_secs: u64, nanos: u32) -> Self {
        assert!(nanos < 1_000_000_000, "{nanos} ns are more than a second");
        let fraction = ((u64::from(nanos) << 32) + 500_000_000) / 1_000_000_000;
        self.uint(unix_secs + NTP_TO_UNIX_SECS, 4).uint(fraction, 4)
    }

    /// A dateTimeMicroseconds: as nanoseconds, but the low 11 bits of the
    /// fraction are zero (RFC 7011 §6.1.9). What is left is up to 0.48 µs
    /// early, so a reader has to round to the nearest microsecond.
    ///
    /// # Panics
    /// If `micros` is a second or more, or the time is outside NTP era 0.
    #[must_use]
    pub fn ntp_microseconds(self, unix_secs: u64, micros: u32) -> Self {
        assert!(micros < 1_000_000, "{micros} µs are more than a second");
        let fraction = (u64::from(micros) << 32) / 1_000_000;
        self.uint(unix_secs + NTP_TO_UNIX_SECS, 4).uint(fraction & !0x7ff, 4)
    }

    /// The finished record.
    pub fn encode(self) -> Vec<u8> {
        self.octets
    }
}

impl From<Value> for Vec<u8> {
    fn from(value: Value) -> Self {
        value.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::unhex;

    #[track_caller]
    fn check(value: Value, expected: &str) {
        assert_eq!(value.encode(), unhex(expected));
    }

    #[test]
    fn integers_take_the_width_asked_for() {
        check(Value::new().uint(0x0102, 2).uint(5, 1).uint(5, 3), "0102 05 000005");
        check(Value::new().uint(u64::MAX, 8), "ffffffffffffffff");
        check(Value::new().int(-2, 1).int(-2, 4).int(127, 1), "fe fffffffe 7f");
        check(Value::new().float64(0.25), "3fd0000000000000");
    }

    #[test]
    #[should_panic(expected = "256 needs more than 1 octets")]
    fn a_number_is_never_cut() {
        check(Value::new().uint(256, 1), "");
    }

    #[test]
    #[should_panic(expected = "128 needs more than 1 octets")]
    fn a_sign_is_never_lost() {
        check(Value::new().int(128, 1), "");
    }

    #[test]
    fn addresses() {
        check(Value::new().ipv4(Ipv4Addr::new(192, 168, 10, 8)), "c0a80a08");
        check(
            Value::new().ipv6("2001:db8::1".parse().expect("an address")),
            "20010db8 00000000 00000000 00000001",
        );
        check(Value::new().mac([2, 0, 0, 0, 0, 0xff]), "0200000000ff");
    }

    #[test]
    fn variable_length_has_two_forms() {
        check(Value::new().variable(b"eth0").variable(b""), "04 65746830 00");
        check(Value::new().variable_long(b"eth0"), "ff 0004 65746830");
        let at_most = Value::new().variable(&[7; 254]).encode();
        assert_eq!((at_most.len(), at_most[0]), (255, 254));
        let above = Value::new().variable(&[7; 255]).encode();
        assert_eq!((above.len(), &above[..3]), (258, &[255, 0, 255][..]));
    }

    #[test]
    fn fixed_strings_are_filled_up() {
        check(Value::new().fixed_string("lo", 4), "6c6f0000");
    }

    #[test]
    fn ntp_times() {
        // 1970 is 0x83aa7e80 s after 1900; half a second is half of 2³².
        check(Value::new().ntp_nanoseconds(0, 500_000_000), "83aa7e80 80000000");
        // 1 ns = 4.295 units.
        check(Value::new().ntp_nanoseconds(1, 1), "83aa7e81 00000004");
        // 1 µs = 4294.97 units = 0x10c6, and 0x1000 without the low 11 bits.
        check(Value::new().ntp_microseconds(1, 1), "83aa7e81 00001000");
    }
}
