//! The footer of a Parquet file, a FileMetaData in Thrift's compact protocol, as far as it is
//! read here and not by the Parquet reader.
//!
//! That reader recurses over the schema, and a stack that overflows is no panic
//! that could be caught. So the number of its elements is read beforehand, and it
//! must be the first thing in the footer: one that the reader meets after the first
//! it skips, and skipping has a bound of its own.
//!
//! And it makes values of a hundred columns of each row group, where what a file says of
//! itself is often all that is asked; to pass over them takes a tenth of the time.

use crate::limits::{THRIFT_DEPTH_MAX, THRIFT_PAIRS_MAX};

mod index;
mod page;

pub use self::index::{ColumnIndex, column_index, first_rows};
pub use self::page::{PageHeader, PageKind, page_header};

/// What a FileMetaData says of the whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMetaData<'a> {
    /// Rows of the file.
    pub n_rows: i64,
    /// Keys and values from `first_key` on, where that is there, else all; those without a
    /// value are left out.
    pub key_values: Vec<(&'a str, &'a str)>,
}

/// Reads a FileMetaData without its row groups. `None` where it is damaged, or beyond the
/// limits.
///
/// Row groups are most of it, and have no length. So it is read from behind: from where
/// `first_key` begins a pair, if that makes sense to the end.
pub fn file_metadata<'a>(footer: &'a [u8], first_key: &str) -> Option<FileMetaData<'a>> {
    let mut walk = Walk { rest: footer.iter() };
    let (mut n_rows, mut key_values, mut field) = (None, Vec::new(), 0);
    while let Some((id, kind)) = walk.field(field)? {
        match (id, kind) {
            (3, INT64) => n_rows = Some(walk.integer()?),
            (4, LIST) => match from_behind(walk.rest.as_slice(), first_key) {
                Some(found) => {
                    key_values = found;
                    break;
                }
                None => walk.skip(LIST, 0)?,
            },
            (5, LIST) => key_values = walk.key_values()?,
            _ => walk.skip(kind, 0)?,
        }
        field = id;
    }
    Some(FileMetaData { n_rows: n_rows?, key_values })
}

/// The last pairs of field 5, from the one called `first_key` on.
fn from_behind<'a>(octets: &'a [u8], first_key: &str) -> Option<Vec<(&'a str, &'a str)>> {
    let wanted: Vec<u8> =
        [1 << 4 | BINARY, u8::try_from(first_key.len()).ok()?].into_iter().chain(first_key.bytes()).collect();
    let at = octets.windows(wanted.len()).rposition(|found| found == wanted)?;
    let mut walk = Walk { rest: octets.get(at..)?.iter() };
    let mut pairs = Vec::new();
    loop {
        let mut ahead = Walk { rest: walk.rest.clone() };
        // Field 6, a text, follows, and looks like the beginning of a pair.
        let Some(pair) = ahead.key_value() else { break };
        pairs.extend(pair);
        walk = ahead;
        (pairs.len() as u64 <= THRIFT_PAIRS_MAX).then_some(())?;
    }
    let mut field = 5;
    while let Some((id, kind)) = walk.field(field)? {
        walk.skip(kind, 0)?;
        field = id;
    }
    (walk.rest.len() == 0 && !pairs.is_empty()).then_some(pairs)
}

/// The octets of the schema: files that have the same have the same columns.
pub fn schema(footer: &[u8]) -> Option<&[u8]> {
    let mut walk = Walk { rest: footer.iter() };
    let mut field = 0;
    while let Some((id, kind)) = walk.field(field)? {
        let from_here = walk.rest.as_slice();
        walk.skip(kind, 0)?;
        if (id, kind) == (2, LIST) {
            return from_here.get(..from_here.len() - walk.rest.len());
        }
        field = id;
    }
    None
}

// Types of the compact protocol.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const INT8: u8 = 3;
const INT16: u8 = 4;
const INT32: u8 = 5;
const INT64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;

/// What is left of octets of the compact protocol.
struct Walk<'a> {
    rest: std::slice::Iter<'a, u8>,
}

impl<'a> Walk<'a> {
    fn octet(&mut self) -> Option<u8> {
        self.rest.next().copied()
    }

    fn varint(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let octet = self.octet()?;
            value |= u64::from(octet & 0x7f).checked_shl(shift)?;
            if octet & 0x80 == 0 {
                return Some(value);
            }
            shift += 7;
        }
    }

    fn pass_varint(&mut self) -> Option<()> {
        while self.octet()? & 0x80 != 0 {}
        Some(())
    }

    fn pass(&mut self, n: usize) -> Option<&'a [u8]> {
        let (octets, rest) = self.rest.as_slice().split_at_checked(n)?;
        self.rest = rest.iter();
        Some(octets)
    }

    /// A number in zigzag order: 0, -1, 1, -2, …
    fn integer(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Id and type of the next field of a struct, the one before being `before`; `None` inside
    /// at its end.
    fn field(&mut self, before: i64) -> Option<Option<(i64, u8)>> {
        let header = self.octet()?;
        Some(match (header >> 4, header & 0x0f) {
            (_, 0) => None,
            (0, kind) => Some((self.integer()?, kind)),
            (delta, kind) => Some((before.checked_add(delta.into())?, kind)),
        })
    }

    /// Length of a list and the type of what is in it.
    fn list(&mut self) -> Option<(u64, u8)> {
        let header = self.octet()?;
        let length = if header >> 4 == 15 { self.varint()? } else { (header >> 4).into() };
        Some((length, header & 0x0f))
    }

    fn binary(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        self.pass(length)
    }

    fn key_values(&mut self) -> Option<Vec<(&'a str, &'a str)>> {
        let (length, kind) = self.list()?;
        (kind == STRUCT && length <= THRIFT_PAIRS_MAX).then_some(())?;
        let mut pairs = Vec::new();
        for _ in 0..length {
            pairs.extend(self.key_value()?);
        }
        Some(pairs)
    }

    /// A pair; `None` inside where it has no value.
    fn key_value(&mut self) -> Option<Option<(&'a str, &'a str)>> {
        let (mut key, mut value, mut field) = (None, None, 0);
        while let Some((id, kind)) = self.field(field)? {
            match (id, kind) {
                (1, BINARY) => key = Some(str::from_utf8(self.binary()?).ok()?),
                (2, BINARY) => value = Some(str::from_utf8(self.binary()?).ok()?),
                _ => return None,
            }
            field = id;
        }
        Some(key.zip(value))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            TRUE | FALSE => {}
            INT8 => drop(self.octet()?),
            INT16 | INT32 | INT64 => self.pass_varint()?,
            DOUBLE => drop(self.pass(8)?),
            BINARY => drop(self.binary()?),
            _ => self.skip_nested(kind, depth + 1)?,
        }
        Some(())
    }

    fn skip_nested(&mut self, kind: u8, depth: usize) -> Option<()> {
        (depth <= THRIFT_DEPTH_MAX).then_some(())?;
        match kind {
            LIST | SET => {
                let (length, kind) = self.list()?;
                // In a list a truth value has an octet of its own.
                let kind = if kind <= FALSE { INT8 } else { kind };
                (0..length).try_for_each(|_| self.skip(kind, depth))
            }
            STRUCT => loop {
                let header = self.octet()?;
                if header & 0x0f == 0 {
                    return Some(());
                }
                if header >> 4 == 0 {
                    self.pass_varint()?;
                }
                self.skip(header & 0x0f, depth)?;
            },
            // Nothing of a footer is a map.
            _ => None,
        }
    }
}

/// Elements of the schema a FileMetaData (Thrift's compact protocol) begins with:
/// after field 1, the version, field 2, a list of structs. Every writer keeps
/// this order. `None` for anything else.
pub fn schema_elements(footer: &[u8]) -> Option<u64> {
    const VERSION_I32: u8 = 0x15;
    const SCHEMA_LIST: u8 = 0x19;
    const STRUCT: u8 = 0x0c;
    let mut octets = footer.iter().copied();
    (octets.next()? == VERSION_I32).then_some(())?;
    varint(&mut octets)?;
    (octets.next()? == SCHEMA_LIST).then_some(())?;
    let header = octets.next()?;
    (header & 0x0f == STRUCT).then_some(())?;
    match header >> 4 {
        15 => varint(&mut octets),
        short => Some(short.into()),
    }
}

/// A number of 32 bits in groups of 7, lowest first.
fn varint(octets: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut value = 0;
    for shift in [0, 7, 14, 21, 28] {
        let octet = octets.next()?;
        value |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field header, then what is in it.
    pub(super) fn field(delta: u8, kind: u8, content: &[u8]) -> Vec<u8> {
        [&[delta << 4 | kind], content].concat()
    }

    pub(super) fn text(text: &str) -> Vec<u8> {
        [&[text.len() as u8], text.as_bytes()].concat()
    }

    pub(super) fn list(items: &[Vec<u8>]) -> Vec<u8> {
        [vec![(items.len() as u8) << 4 | STRUCT], items.concat()].concat()
    }

    fn pair(key: &str, value: Option<&str>) -> Vec<u8> {
        let value = value.map(|value| field(1, BINARY, &text(value))).unwrap_or_default();
        [field(1, BINARY, &text(key)), value, vec![0]].concat()
    }

    /// A footer with a bit of everything that row groups have.
    fn footer(pairs: &[Vec<u8>]) -> Vec<u8> {
        let element = [field(4, BINARY, &text("a")), vec![0]].concat();
        let deep = [field(1, STRUCT, &[field(2, DOUBLE, &[7; 8]), vec![0]].concat()), vec![0]].concat();
        let column = [
            field(1, TRUE, &[]),
            field(1, INT32, &[0x80, 1]),
            field(1, LIST, &[0x21, 1, 0]),
            field(0, INT8, &[60, 5]),
            field(1, SET, &list(&[deep])),
            field(1, BINARY, &text("flowcap.a")),
            vec![0],
        ];
        [
            field(1, INT32, &[2]),
            field(1, LIST, &list(&[element.clone(), element])),
            field(1, INT64, &[0xd0, 0x0f]),
            field(1, LIST, &list(&[column.concat(), column.concat()])),
            field(1, LIST, &list(pairs)),
            field(1, BINARY, &text("flowcapd")),
            field(1, LIST, &list(&[vec![0x1c, 0, 0]])),
            vec![0],
        ]
        .concat()
    }

    #[test]
    fn key_values_are_found_from_both_ends() {
        let pairs = [
            pair("ARROW:schema", Some("xyz")),
            pair("flowcap.a", Some("1")),
            pair("flowcap.b", None),
            pair("flowcap.c", Some("")),
        ];
        let footer = footer(&pairs);
        let check = |first: &str, expected: &[(&str, &str)]| {
            let found = file_metadata(&footer, first);
            let expected = FileMetaData { n_rows: 1_000, key_values: expected.to_vec() };
            assert_eq!(found, Some(expected), "{first}");
        };
        let all = [("ARROW:schema", "xyz"), ("flowcap.a", "1"), ("flowcap.c", "")];
        check("flowcap.a", &all[1..]);
        check("flowcap.c", &all[2..]);
        check("flowcap.z", &all);
        check("", &all);
        assert_eq!(schema(&footer), Some(&footer[3..][..9]));
    }

    #[test]
    fn damage_ends_nothing_but_the_walk() {
        let pairs = [pair("flowcap.a", Some("1")), pair("flowcap.b", Some("2"))];
        let whole = footer(&pairs);
        for end in 0..whole.len() {
            // What is cut off a list of pairs is not taken for its end.
            assert_eq!(file_metadata(&whole[..end], "flowcap.a"), None, "{end}");
        }
        let mut n_read = 0;
        for at in 0..whole.len() {
            for value in 0..=255 {
                let mut damaged = whole.clone();
                damaged[at] = value;
                n_read += usize::from(file_metadata(&damaged, "flowcap.a").is_some());
                schema(&damaged);
            }
        }
        assert!(n_read > whole.len());
        let nested: Vec<u8> = [0x19].into_iter().chain(std::iter::repeat_n(0x19, 10_000)).collect();
        assert_eq!(file_metadata(&nested, ""), None);
    }

    #[test]
    fn elements_of_a_schema() {
        for (footer, expected) in [
            (&[0x15, 0x02, 0x19, 0x2c][..], Some(2)),
            (&[0x15, 0x02, 0x19, 0xec, 0x48], Some(14)),
            (&[0x15, 0x02, 0x19, 0xfc, 0x73], Some(115)),
            (&[0x15, 0x02, 0x19, 0xfc, 0xa2, 0x9c, 0x01], Some(20_002)),
            (&[0x15, 0x84, 0x80, 0x00, 0x19, 0x1c], Some(1)), // a long version
            (&[0x15, 0x02, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x7f], Some((1 << 35) - 1)),
            // Cut short.
            (&[], None),
            (&[0x15], None),
            (&[0x15, 0x02], None),
            (&[0x15, 0x02, 0x19], None),
            (&[0x15, 0x02, 0x19, 0xfc], None),
            (&[0x15, 0x02, 0x19, 0xfc, 0xff], None),
            // Numbers without end.
            (&[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x19, 0x2c], None),
            (&[0x15, 0x02, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00], None),
            // Other fields, types, orders.
            (&[0x00], None),
            (&[0x19, 0x2c], None),
            (&[0x29, 0x2c, 0x15, 0x02], None),
            (&[0x16, 0x02, 0x19, 0x2c], None),
            (&[0x15, 0x02, 0x29, 0x2c], None),
            (&[0x15, 0x02, 0x09, 0x04, 0x2c], None),
            (&[0x15, 0x02, 0x19, 0x25], None),
            (&[0x15, 0x02, 0x1a, 0x2c], None),
        ] {
            assert_eq!(schema_elements(footer), expected, "{footer:02x?}");
        }
    }
}
