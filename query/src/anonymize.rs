//! `--anonymize`: addresses of an answer that keep their prefixes and say nothing else.
//!
//! Crypto-PAn (Xu, Fan, Ammar, Moon, "Prefix-Preserving IP Address Anonymization", 2002): two
//! addresses that share n bits share n bits afterwards, and whoever has the key gets the same
//! again; of IPv4 the same as from `nfanon` (which does not keep prefixes of IPv6). Filters see
//! what was exported.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use flow_common::addr::Addr16;
use flow_common::column::{COLUMNS, Kind};
use flow_common::limits::ADDRESSES_KNOWN_MAX;

use crate::batch::Batch;
use crate::columns::ColumnRef;
use crate::values::{Column, Dictionary, Values};

/// Octets of a key.
const KEY_BYTES: usize = 32;
/// What the 96 bits before an IPv4 address are.
const V4_PREFIX: u128 = 0xffff << 32;

/// Makes addresses other ones.
#[derive(Clone)]
pub(crate) struct Anonymizer {
    cipher: Aes128,
    pad: u128,
}

/// The key is nobody's business.
impl fmt::Debug for Anonymizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anonymizer")
    }
}

impl Anonymizer {
    /// Reads a key: 32 characters, or `0x` and 64 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let key: [u8; KEY_BYTES] = match text.strip_prefix("0x") {
            Some(digits) if digits.len() == 2 * KEY_BYTES && digits.is_ascii() => {
                let octet = |at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok();
                let octets: Vec<u8> = (0..KEY_BYTES).map(octet).collect::<Option<_>>()?;
                octets.try_into().ok()?
            }
            _ => text.as_bytes().try_into().ok()?,
        };
        let (secret, pad) = key.split_first_chunk::<16>()?;
        let cipher = Aes128::new(secret.into());
        let pad = u128::from_be_bytes(pad.try_into().ok()?);
        let pad = encrypt(&cipher, pad);
        Some(Self { cipher, pad })
    }

    /// An address in the form of IPv6, IPv4 as `::ffff:a.b.c.d`, which it stays.
    pub(crate) fn address(&self, addr: u128) -> u128 {
        if addr >> 32 == V4_PREFIX >> 32 {
            let bits = self.bits(addr << 96, 32) >> 96;
            return V4_PREFIX | (addr & 0xffff_ffff) ^ bits;
        }
        addr ^ self.bits(addr, 128)
    }

    /// What the first `n` bits of `addr` are to be changed by.
    fn bits(&self, addr: u128, n: u32) -> u128 {
        (0..n).fold(0, |bits, at| {
            let known = if at == 0 { 0 } else { u128::MAX << (128 - at) };
            let input = addr & known | self.pad & !known;
            bits | encrypt(&self.cipher, input) >> 127 << (127 - at)
        })
    }
}

fn encrypt(cipher: &Aes128, block: u128) -> u128 {
    let mut block = block.to_be_bytes().into();
    cipher.encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

/// Anonymizes batch after batch of one row group.
#[derive(Debug)]
pub(crate) struct Anonymizing {
    by: Arc<Anonymizer>,
    /// Addresses met before.
    known: HashMap<u128, u128>,
    /// Dictionaries, by what they were made of.
    dictionaries: HashMap<u64, Arc<Dictionary>>,
}

impl Anonymizing {
    pub(crate) fn new(by: &Arc<Anonymizer>) -> Self {
        Self { by: Arc::clone(by), known: HashMap::new(), dictionaries: HashMap::new() }
    }

    /// Changes all addresses of a batch, and takes away what may tell whose they were: MAC
    /// addresses, texts, octets that nobody can read.
    pub(crate) fn apply(&mut self, batch: &mut Batch) {
        let of_table = COLUMNS.iter().map(|column| (ColumnRef::from(column.id), column.kind));
        let of_file = batch.extra().iter().map(|one| (one.column, one.kind));
        let columns: Vec<_> = of_table.chain(of_file).collect();
        for (column, kind) in columns {
            match kind {
                Kind::Address => {
                    if let Some(found) = batch.column(column).and_then(|values| self.column(values)) {
                        batch.set(column, found);
                    }
                }
                Kind::Mac | Kind::Text | Kind::Binary | Kind::Other => batch.remove(column),
                _ => {}
            }
        }
    }

    /// A column of addresses; `None` where there is nothing to change.
    fn column(&mut self, column: &Column) -> Option<Column> {
        match column {
            Column::Null => None,
            Column::Ids { dictionary, ids } => {
                Some(Column::Ids { dictionary: self.dictionary(dictionary)?, ids: ids.clone() })
            }
            Column::Plain { values: Values::Fixed(values), nulls } => {
                let values = values.iter().map(|&addr| self.address(addr)).collect();
                Some(Column::Plain { values: Values::Fixed(values), nulls: nulls.clone() })
            }
            // Addresses that another reader decoded are not left as they are.
            Column::Plain { .. } | Column::Array(_) => Some(Column::Null),
        }
    }

    fn dictionary(&mut self, dictionary: &Dictionary) -> Option<Arc<Dictionary>> {
        if !self.dictionaries.contains_key(&dictionary.id) {
            let Values::Fixed(values) = &dictionary.values else { return None };
            let values = values.iter().map(|&addr| self.address(addr)).collect();
            let anonymized = Arc::new(Dictionary::new(Values::Fixed(values)));
            self.dictionaries.insert(dictionary.id, anonymized);
        }
        self.dictionaries.get(&dictionary.id).cloned()
    }

    fn address(&mut self, addr: u128) -> u128 {
        if let Some(known) = self.known.get(&addr) {
            return *known;
        }
        let anonymized = self.by.address(addr);
        if self.known.len() < ADDRESSES_KNOWN_MAX {
            self.known.insert(addr, anonymized);
        }
        anonymized
    }
}

/// The same of an address in what is told of exporters.
pub(crate) fn exporter(by: Option<&Anonymizer>, addr: std::net::IpAddr) -> std::net::IpAddr {
    match by {
        Some(by) => Addr16(by.address(u128::from_be_bytes(Addr16::from(addr).0)).to_be_bytes()).to_ip(),
        None => addr,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn anonymizer() -> Anonymizer {
        Anonymizer::parse("abcdefghijklmnopqrstuvwxyz012345").unwrap()
    }

    fn number(text: &str) -> u128 {
        u128::from_be_bytes(Addr16::from(text.parse::<IpAddr>().unwrap()).0)
    }

    fn text(number: u128) -> String {
        Addr16(number.to_be_bytes()).to_ip().to_string()
    }

    #[test]
    fn keys_are_characters_or_digits() {
        let digits: String = "abcdefghijklmnopqrstuvwxyz012345".bytes().map(|b| format!("{b:02x}")).collect();
        let of_digits = Anonymizer::parse(&format!("0x{digits}")).unwrap();
        let addr = number("192.0.2.1");
        assert_eq!(of_digits.address(addr), anonymizer().address(addr));
        let wrong = ["", "short", "abcdefghijklmnopqrstuvwxyz0123456", &format!("0x{}", &digits[1..])];
        for wrong in wrong.into_iter().chain([format!("0xg{}", &digits[1..]).as_str()]) {
            assert!(Anonymizer::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn prefixes_stay_as_long_as_they_were() {
        let by = anonymizer();
        let addresses = [
            "10.1.2.3",
            "10.1.2.4",
            "10.1.3.3",
            "10.2.2.3",
            "192.0.2.1",
            "0.0.0.0",
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8:1::1",
            "::",
            "::1",
            "fe80::1",
        ];
        let shared = |one: u128, other: u128| (one ^ other).leading_zeros();
        for one in addresses.map(number) {
            for other in addresses.map(number) {
                let (one_after, other_after) = (by.address(one), by.address(other));
                let is_v4 = |addr: u128| addr >> 32 == V4_PREFIX >> 32;
                if is_v4(one) == is_v4(other) {
                    assert_eq!(shared(one, other), shared(one_after, other_after), "{}", text(one));
                }
                assert_eq!(is_v4(one), is_v4(one_after));
            }
        }
    }

    /// As nfanon 1.7.1 with the same key.
    #[test]
    fn addresses_are_those_of_nfanon() {
        for (addr, expected) in [
            ("10.1.2.3", "25.127.98.19"),
            ("192.0.2.1", "216.249.242.239"),
            ("203.0.113.77", "213.122.142.215"),
            ("10.1.2.4", "25.127.98.23"),
            ("0.0.0.1", "23.250.136.241"),
            ("255.255.255.255", "255.239.193.195"),
        ] {
            assert_eq!(text(anonymizer().address(number(addr))), expected, "{addr}");
        }
    }
}
