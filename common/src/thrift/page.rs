//! What stands before a page of a column: its PageHeader.

use super::{FALSE, INT32, STRUCT, TRUE, Walk};

/// The header of a page, as it says; nothing of it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageHeader {
    /// What the page has.
    pub kind: PageKind,
    /// Its octets, once decompressed.
    pub bytes: i64,
    /// Its octets in the file, behind the header.
    pub compressed_bytes: i64,
    /// Octets of the header itself.
    pub header_bytes: usize,
}

/// Kinds of pages. Encodings are numbers of parquet.thrift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// Values that ids stand for.
    Dictionary {
        /// How many.
        n_values: i64,
    },
    /// Levels and values, compressed as one.
    Data {
        /// Rows, NULL or not, of a column that is not repeated.
        n_values: i64,
        /// Of the values.
        encoding: i64,
        /// Of what says which are NULL.
        level_encoding: i64,
    },
    /// Levels, then values that may be compressed.
    DataV2 {
        /// Rows, NULL or not, of a column that is not repeated.
        n_values: i64,
        /// Rows of any column.
        n_rows: i64,
        /// Of the values.
        encoding: i64,
        /// Octets of what says which are NULL.
        definition_bytes: i64,
        /// Octets of what says where lists begin.
        repetition_bytes: i64,
        /// Whether the values are compressed.
        is_compressed: bool,
    },
    /// Nothing that is read here.
    Other,
}

/// Numbers of fields 1 to 7 of a struct.
type Fields = [Option<i64>; 8];

/// Reads the PageHeader that `octets` begin with. `None` where there is none.
pub fn page_header(octets: &[u8]) -> Option<PageHeader> {
    let mut walk = Walk { rest: octets.iter() };
    let (mut numbers, mut own, mut field): (Fields, _, _) = ([None; 8], None, 0);
    while let Some((id, kind)) = walk.field(field)? {
        match (id, kind) {
            (1..=3, INT32) => numbers[id as usize] = Some(walk.integer()?),
            (5 | 7 | 8, STRUCT) => own = Some((id, walk.numbers()?)),
            _ => walk.skip(kind, 0)?,
        }
        field = id;
    }
    let [_, kind, bytes, compressed_bytes, ..] = numbers;
    let kind = match (kind?, own) {
        (0, Some((5, of))) => PageKind::Data { n_values: of[1]?, encoding: of[2]?, level_encoding: of[3]? },
        (2, Some((7, of))) => PageKind::Dictionary { n_values: of[1]? },
        (3, Some((8, of))) => PageKind::DataV2 {
            n_values: of[1]?,
            n_rows: of[3]?,
            encoding: of[4]?,
            definition_bytes: of[5]?,
            repetition_bytes: of[6]?,
            is_compressed: of[7] != Some(0),
        },
        (0 | 2 | 3, _) => return None,
        _ => PageKind::Other,
    };
    let header_bytes = octets.len() - walk.rest.len();
    Some(PageHeader { kind, bytes: bytes?, compressed_bytes: compressed_bytes?, header_bytes })
}

impl Walk<'_> {
    /// The first numbers of a struct; what is true is 1.
    fn numbers(&mut self) -> Option<Fields> {
        let (mut numbers, mut field): (Fields, _) = ([None; 8], 0);
        while let Some((id, kind)) = self.field(field)? {
            match (id, kind) {
                (1..=7, INT32) => numbers[id as usize] = Some(self.integer()?),
                (1..=7, TRUE | FALSE) => numbers[id as usize] = Some(i64::from(kind == TRUE)),
                _ => self.skip(kind, 0)?,
            }
            field = id;
        }
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::super::BINARY;
    use super::super::tests::{field, text};
    use super::*;

    /// A header of 300 octets that are 20 in the file, and what its kind has.
    fn header(kind: u8, delta: u8, own: &[u8]) -> Vec<u8> {
        let numbers =
            [field(1, INT32, &[kind << 1]), field(1, INT32, &[0xd8, 4]), field(1, INT32, &[40])].concat();
        [numbers, field(delta, STRUCT, own), vec![0]].concat()
    }

    fn data() -> Vec<u8> {
        let statistics = [field(1, BINARY, &text("xy")), vec![0]].concat();
        let own = [
            field(1, INT32, &[14]),
            field(1, INT32, &[16]),
            field(1, INT32, &[6]),
            field(1, INT32, &[6]),
            field(1, STRUCT, &statistics),
            vec![0],
        ];
        header(0, 2, &own.concat())
    }

    fn data_v2(is_compressed: &[u8]) -> Vec<u8> {
        let numbers: Vec<u8> = [14, 2, 14, 10, 4, 0].iter().flat_map(|&n| field(1, INT32, &[n])).collect();
        header(3, 5, &[&numbers, is_compressed, &[0]].concat())
    }

    #[track_caller]
    fn check(octets: &[u8], kind: PageKind) {
        let header_bytes = octets.len();
        let expected = PageHeader { kind, bytes: 300, compressed_bytes: 20, header_bytes };
        let followed = [octets, &[1, 2, 3]].concat();
        assert_eq!(page_header(&followed), Some(expected));
        for end in 0..octets.len() {
            assert_eq!(page_header(&octets[..end]), None, "cut at {end}");
        }
        for at in 0..octets.len() {
            for value in 0..=255 {
                let mut damaged = octets.to_vec();
                damaged[at] = value;
                assert!(page_header(&damaged).is_none_or(|header| header.header_bytes <= damaged.len()));
            }
        }
    }

    #[test]
    fn every_kind_is_read_and_damage_is_nothing_or_another() {
        check(&data(), PageKind::Data { n_values: 7, encoding: 8, level_encoding: 3 });
        let own = [field(1, INT32, &[18]), field(1, INT32, &[0]), field(1, FALSE, &[]), vec![0]].concat();
        check(&header(2, 4, &own), PageKind::Dictionary { n_values: 9 });
        check(&header(1, 3, &[0]), PageKind::Other);
        for (octets, is_compressed) in [(&[][..], true), (&[0x11], true), (&[0x12], false)] {
            let kind = PageKind::DataV2 {
                n_values: 7,
                n_rows: 7,
                encoding: 5,
                definition_bytes: 2,
                repetition_bytes: 0,
                is_compressed,
            };
            check(&data_v2(octets), kind);
        }
    }

    #[test]
    fn a_page_without_what_its_kind_has_is_none() {
        assert_eq!(page_header(&header(0, 4, &[0])), None);
        assert_eq!(page_header(&header(2, 4, &[0])), None);
        assert_eq!(page_header(&[0]), None);
    }
}
