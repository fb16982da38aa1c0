//! Addresses: IPv4, IPv6 as RFC 5952 §4 has it, and MACs.

use flow_common::addr::{Addr16, Mac};

use super::{Text, hex_digits};

/// Characters of an address in a table.
pub(in crate::output) const ADDRESS_WIDTH: usize = 16;
/// Characters of an IPv6 address in full.
pub(in crate::output) const ADDRESS_WIDTH_FULL: usize = 39;

/// An octet in decimal and a dot, the first character in the low octet; then how
/// many characters that is.
static OCTETS: [(u32, u8); 256] = {
    let mut octets = [(0, 0); 256];
    let mut n = 0;
    while n < 256 {
        let [hundreds, tens, ones] = [n / 100, n / 10 % 10, n % 10];
        let [h, t, o] = [b'0' + hundreds as u8, b'0' + tens as u8, b'0' + ones as u8];
        octets[n] = match (hundreds, tens) {
            (0, 0) => (u32::from_le_bytes([o, b'.', 0, 0]), 2),
            (0, _) => (u32::from_le_bytes([t, o, b'.', 0]), 3),
            _ => (u32::from_le_bytes([h, t, o, b'.']), 4),
        };
        n += 1;
    }
    octets
};

/// Two octets, each with a dot behind it.
#[inline]
fn two_octets(first: u8, second: u8) -> (u64, usize) {
    let (head, head_length) = OCTETS[usize::from(first)];
    let (tail, tail_length) = OCTETS[usize::from(second)];
    (u64::from(head) | u64::from(tail) << (8 * head_length), usize::from(head_length + tail_length))
}

impl Text<'_> {
    /// An address in its shortest form.
    #[inline]
    pub(in crate::output) fn addr(&mut self, addr: Addr16) {
        match addr.0 {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => self.v4([a, b, c, d]),
            octets => self.v6(octets),
        }
    }

    #[inline]
    fn v4(&mut self, [a, b, c, d]: [u8; 4]) {
        let ((head, head_length), (tail, tail_length)) = (two_octets(a, b), two_octets(c, d));
        self.put(&head.to_le_bytes(), head_length);
        self.put(&tail.to_le_bytes(), tail_length - 1);
    }

    #[inline(never)]
    fn v6(&mut self, octets: [u8; 16]) {
        let mut words = [0; 8];
        for (word, octets) in words.iter_mut().zip(octets.as_chunks().0) {
            *word = u16::from_be_bytes(*octets);
        }
        // The first of the longest runs of two zeros or more is `::`.
        let (mut zeros_at, mut zeros) = (8, 1);
        let mut run = 0;
        for (index, word) in words.iter().enumerate() {
            run = if *word == 0 { run + 1 } else { 0 };
            if run > zeros {
                (zeros_at, zeros) = (index + 1 - run, run);
            }
        }
        let behind = zeros_at + zeros;
        for (index, word) in words.iter().enumerate() {
            if index == zeros_at {
                self.literal(b"::");
            } else if index < zeros_at || index >= behind {
                // The first, and the one behind `::`, have their colons already.
                self.word(*word, index == 0 || index == behind);
            }
        }
    }

    /// 16 bits in hex without leading zeros, a colon before them unless `is_first`.
    #[inline]
    fn word(&mut self, word: u16, is_first: bool) {
        let word = u32::from(word);
        let nibbles = word >> 12 | word & 0xf00 | (word & 0xf0) << 12 | (word & 0xf) << 24;
        let zeros = (nibbles | 1 << 24).trailing_zeros() / 8;
        let digits = u64::from(hex_digits(nibbles) >> (8 * zeros));
        let colon = usize::from(!is_first);
        let text = if is_first { digits } else { digits << 8 | u64::from(b':') };
        self.put(&text.to_le_bytes(), 4 - zeros as usize + colon);
    }

    /// An address of a table; `-` where there is none. IPv6 is cut in the middle
    /// where it does not fit: `2606:47..0::1111`.
    pub(in crate::output) fn table_addr(&mut self, addr: Option<Addr16>, is_full: bool) {
        let Some(addr) = addr else { return self.byte(b'-') };
        let mark = self.mark();
        self.addr(addr);
        let length = self.mark() - mark;
        if is_full || length <= ADDRESS_WIDTH {
            return;
        }
        // `table_addr` writes hex and colons only, so any octet begins a character.
        let (mut head, mut tail) = ([0; 7], [0; 7]);
        head.copy_from_slice(&self.since(mark)[..7]);
        tail.copy_from_slice(&self.since(mark)[length - 7..]);
        self.rewind(mark);
        self.literal(&head);
        self.literal(b"..");
        self.literal(&tail);
    }

    /// A MAC address: `00:11:22:33:44:55`.
    pub(in crate::output) fn mac(&mut self, mac: Mac) {
        let mark = self.mark();
        for octet in mac.0 {
            if self.mark() != mark {
                self.byte(b':');
            }
            self.hex(&[octet]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{random, text};
    use super::*;

    fn check(addr: Addr16) {
        assert_eq!(text(|text| text.addr(addr)), addr.to_ip().to_string());
    }

    #[test]
    fn addresses_are_those_of_std() {
        // Each word is 0, short, long or of v4-mapped, in all combinations.
        for choice in 0..4_u32.pow(8) {
            let mut octets = [0; 16];
            for (index, word) in octets.chunks_exact_mut(2).enumerate() {
                word.copy_from_slice(match choice >> (2 * index) & 3 {
                    0 => &[0, 0],
                    1 => &[0, 0xa],
                    2 => &[0xff, 0xff],
                    _ => &[0x2a, 0xb0],
                });
            }
            check(Addr16(octets));
        }
        let mut numbers = random();
        for _ in 0..100_000 {
            let (Some(high), Some(low)) = (numbers.next(), numbers.next()) else { return };
            let whole = u128::from(high) << 64 | u128::from(low);
            check(Addr16(whole.to_be_bytes()));
            check(Addr16((whole >> (high % 128)).to_be_bytes()));
            check(Addr16::from_v4((low as u32).to_be_bytes()));
            check(Addr16::from_v4((low as u32 & 0x0f07_0301).to_be_bytes()));
        }
    }

    #[test]
    fn addresses_of_tables_are_cut() {
        let check = |addr: &str, is_full, expected: &str| {
            let addr = addr.parse::<std::net::IpAddr>().ok().map(Addr16::from);
            assert_eq!(text(|text| text.table_addr(addr, is_full)), expected);
        };
        check("", false, "-");
        check("255.255.255.255", false, "255.255.255.255");
        check("2606:4700:4700::1111", false, "2606:47..0::1111");
        check("2606:4700:4700::1111", true, "2606:4700:4700::1111");
        check("2001:db8:0:1::1", false, "2001:db8:0:1::1");
    }

    #[test]
    fn macs_and_hex_are_lower_case() {
        let mac = Mac([0, 0x11, 0xa2, 0x3f, 0xff, 9]);
        assert_eq!(text(|text| text.mac(mac)), mac.to_string());
        let all: Vec<u8> = (0..=255).collect();
        let expected: String = all.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(text(|text| text.hex(&all)), expected);
    }
}
