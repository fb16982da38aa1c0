//! Reading primitives: headers, sets and field specifiers, all checked.
//!
//! A datagram is whole, so only nom's `complete` parsers are used: `Incomplete`
//! would mean nothing.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u16, be_u32};

use super::error::DecodeError;
use super::template::VARIABLE;

/// The part of a datagram not yet read, and where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Octets from the start of the datagram to `rest`.
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0 }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Runs a nom parser; `what` and `needed` describe it where it fails.
    fn parse<T>(
        &mut self,
        what: &'static str,
        needed: usize,
        mut parser: impl Parser<&'a [u8], Output = T, Error = nom::error::Error<&'a [u8]>>,
    ) -> Result<T, DecodeError> {
        let truncated = DecodeError::Truncated {
            what,
            offset: self.offset,
            needed: self.offset + needed,
            available: self.offset + self.rest.len(),
        };
        let (rest, value) = parser.parse(self.rest).map_err(|_| truncated)?;
        self.offset += self.rest.len() - rest.len();
        self.rest = rest;
        Ok(value)
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.parse(what, 2, be_u16)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.parse(what, 4, be_u32)
    }

    /// The next `n` octets as a reader of their own.
    pub(crate) fn take(&mut self, what: &'static str, n: usize) -> Result<Self, DecodeError> {
        let offset = self.offset;
        self.parse(what, n, take(n)).map(|rest| Self { rest, offset })
    }

    /// Whether nothing but zero octets is left.
    pub(crate) fn is_zero_fill(&self) -> bool {
        self.rest.iter().all(|&octet| octet == 0)
    }
}

/// One set (IPFIX) or FlowSet (v9): its id and its octets without the header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Set<'a> {
    pub(crate) id: u16,
    pub(crate) body: Reader<'a>,
}

/// Octets of a set's header (RFC 7011 §3.3.2, RFC 3954 §5.2).
const SET_HEADER_BYTES: usize = 4;

/// The sets of a message. Ends with an error at the first bad length: what
/// follows it can't be found (RFC 7011 §3.3.2). Zero fill at the end is skipped.
#[derive(Debug, Clone)]
pub(crate) struct SetIter<'a> {
    reader: Reader<'a>,
}

impl<'a> SetIter<'a> {
    pub(crate) fn new(reader: Reader<'a>) -> Self {
        Self { reader }
    }

    fn next_set(&mut self) -> Result<Option<Set<'a>>, DecodeError> {
        // Cisco fills datagrams up to 1,408 octets with zeros.
        if self.reader.is_zero_fill() {
            return Ok(None);
        }
        let (offset, available) = (self.reader.offset(), self.reader.remaining());
        let id = self.reader.u16("set id")?;
        let length = usize::from(self.reader.u16("set length")?);
        if length < SET_HEADER_BYTES || available < length {
            return Err(DecodeError::SetLength { set_id: id, length, available, offset });
        }
        let body = self.reader.take("set", length - SET_HEADER_BYTES)?;
        Ok(Some(Set { id, body }))
    }
}

impl<'a> Iterator for SetIter<'a> {
    type Item = Result<Set<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.next_set().transpose();
        if let Some(Err(_)) = result {
            self.reader.rest = &[];
        }
        result
    }
}

/// The next value of a field of `length` octets, or of the length it says itself
/// (RFC 7011 §7); `None` if it is not whole.
pub(crate) fn take_value<'a>(rest: &mut &'a [u8], length: u16) -> Option<&'a [u8]> {
    let mut length = usize::from(length);
    if length == usize::from(VARIABLE) {
        let (&short, behind) = rest.split_first()?;
        (length, *rest) = (usize::from(short), behind);
        if short == 255 {
            let (&long, behind) = rest.split_first_chunk()?;
            (length, *rest) = (usize::from(u16::from_be_bytes(long)), behind);
        }
    }
    let (value, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(value)
}

/// A big-endian unsigned integer of 0 to 8 octets; `None` when longer
/// (reduced-size encoding, RFC 7011 §6.2).
pub(crate) fn uint(bytes: &[u8]) -> Option<u64> {
    match *bytes {
        [a] => Some(u64::from(a)),
        [a, b] => Some(u64::from(u16::from_be_bytes([a, b]))),
        [a, b, c, d] => Some(u64::from(u32::from_be_bytes([a, b, c, d]))),
        [a, b, c, d, e, f, g, h] => Some(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        [] => None,
        _ if bytes.len() < 8 => Some(bytes.iter().fold(0, |value, &octet| value << 8 | u64::from(octet))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_width() {
        let check = |bytes: &[u8], value| assert_eq!(uint(bytes), value, "{bytes:?}");
        check(&[], None);
        check(&[7], Some(7));
        check(&[1, 2], Some(0x0102));
        check(&[1, 2, 3], Some(0x01_0203));
        check(&[1, 2, 3, 4, 5], Some(0x01_0203_0405));
        check(&[255; 8], Some(u64::MAX));
        check(&[0; 9], None);
    }

    #[test]
    fn sets_end_at_the_first_bad_length() {
        let check = |bytes: &[u8], sets: &[(u16, usize)], error: Option<DecodeError>| {
            let all: Vec<_> = SetIter::new(Reader::new(bytes)).collect();
            let good: Vec<_> = all.iter().flatten().map(|set| (set.id, set.body.remaining())).collect();
            assert_eq!(good, sets);
            assert_eq!(all.into_iter().find_map(Result::err), error);
        };
        check(&[], &[], None);
        check(&[1, 0, 0, 6, 9, 9, 1, 1, 0, 4], &[(256, 2), (257, 0)], None);
        check(&[1, 0, 0, 6, 9, 9, 0, 0, 0, 0, 0], &[(256, 2)], None);
        let error = DecodeError::SetLength { set_id: 256, length: 3, available: 4, offset: 0 };
        check(&[1, 0, 0, 3], &[], Some(error));
        let error = DecodeError::SetLength { set_id: 256, length: 9, available: 6, offset: 0 };
        check(&[1, 0, 0, 9, 1, 1], &[], Some(error));
        let error = DecodeError::Truncated { what: "set length", offset: 2, needed: 4, available: 3 };
        check(&[1, 0, 1], &[], Some(error));
    }
}
