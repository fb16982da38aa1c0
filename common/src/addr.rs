//! Addresses as 16 octets: IPv4 is stored as `::ffff:a.b.c.d`, so one column,
//! one prefix test and one sort order serve both families.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// An IPv4 or IPv6 address in its stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Addr16(pub [u8; 16]);

/// First 12 octets of a stored IPv4 address (RFC 4291 §2.5.5.2).
pub const IPV4_PREFIX: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Addr16 {
    /// The stored form of an IPv4 address given as 4 octets.
    pub const fn from_v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// Whether this is an IPv4 address.
    pub fn is_v4(self) -> bool {
        self.0[..12] == IPV4_PREFIX
    }

    /// Whether this is `0.0.0.0` or `::`.
    pub fn is_unspecified(self) -> bool {
        self.0 == [0; 16] || self == Self::from_v4([0; 4])
    }

    /// The address in the standard library's form.
    pub fn to_ip(self) -> IpAddr {
        match self.0 {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => Ipv4Addr::new(a, b, c, d).into(),
            octets => Ipv6Addr::from(octets).into(),
        }
    }
}

impl From<IpAddr> for Addr16 {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_v4(v4.octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl fmt::Display for Addr16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

/// An address prefix in stored form: `bits` counts from the first of the 16
/// octets, so an IPv4 `/8` has 104.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix16 {
    network: u128,
    mask: u128,
}

impl Prefix16 {
    /// Whether `addr` lies inside.
    pub fn contains(self, addr: [u8; 16]) -> bool {
        u128::from_be_bytes(addr) & self.mask == self.network
    }

    /// Smallest and largest address inside, for pruning by statistics.
    pub fn bounds(self) -> ([u8; 16], [u8; 16]) {
        (self.network.to_be_bytes(), (self.network | !self.mask).to_be_bytes())
    }
}

impl From<IpNet> for Prefix16 {
    fn from(net: IpNet) -> Self {
        let bits = match net {
            IpNet::V4(v4) => 96 + u32::from(v4.prefix_len()),
            IpNet::V6(v6) => u32::from(v6.prefix_len()),
        };
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        Self { network: u128::from_be_bytes(Addr16::from(net.addr()).0) & mask, mask }
    }
}

/// A MAC address, printed as nfdump does: `00:11:22:33:44:55`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Addr16 {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn print_is_the_inverse_of_parse() {
        for text in ["0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1"] {
            assert_eq!(addr(text).to_string(), text);
        }
        assert!(addr("10.0.0.1").is_v4());
        assert!(!addr("::1").is_v4());
    }

    #[test]
    fn prefixes_know_what_is_inside() {
        let check = |net: &str, inside: &str, outside: &str| {
            let prefix = Prefix16::from(net.parse::<IpNet>().unwrap());
            assert!(prefix.contains(addr(inside).0), "{inside} in {net}");
            assert!(!prefix.contains(addr(outside).0), "{outside} not in {net}");
        };
        check("10.0.0.0/8", "10.255.0.1", "11.0.0.0");
        check("0.0.0.0/0", "192.0.2.1", "2001:db8::1");
        check("192.168.1.10/24", "192.168.1.200", "192.168.2.1");
        check("2001:db8::/32", "2001:db8:ffff::1", "10.0.0.1");
        assert!(Prefix16::from("::/0".parse::<IpNet>().unwrap()).contains(addr("10.0.0.1").0));
    }
}
