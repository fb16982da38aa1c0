//! What a Parquet file says of the pages of a column: its ColumnIndex and its OffsetIndex.

use super::{BINARY, FALSE, INT64, LIST, STRUCT, TRUE, Walk};

/// Bounds of the pages of a column chunk, one item a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnIndex<'a> {
    /// Smallest and largest value as they are stored; `None` where all are NULL.
    pub bounds: Vec<Option<(&'a [u8], &'a [u8])>>,
    /// How many are NULL; empty where it does not tell.
    pub null_counts: Vec<i64>,
}

/// Reads a ColumnIndex. `None` where it is damaged.
pub fn column_index(octets: &[u8]) -> Option<ColumnIndex<'_>> {
    let mut walk = Walk { rest: octets.iter() };
    let (mut is_null, mut least, mut most) = (Vec::new(), Vec::new(), Vec::new());
    let (mut null_counts, mut field) = (Vec::new(), 0);
    while let Some((id, kind)) = walk.field(field)? {
        match (id, kind) {
            (1, LIST) => is_null = walk.list_of(&[TRUE, FALSE], |walk| Some(walk.octet()? == TRUE))?,
            (2, LIST) => least = walk.list_of(&[BINARY], Walk::binary)?,
            (3, LIST) => most = walk.list_of(&[BINARY], Walk::binary)?,
            (5, LIST) => null_counts = walk.list_of(&[INT64], Walk::integer)?,
            _ => walk.skip(kind, 0)?,
        }
        field = id;
    }
    let n = is_null.len();
    let is_whole = least.len() == n && most.len() == n && (null_counts.is_empty() || null_counts.len() == n);
    let bounds = is_null.into_iter().zip(least.into_iter().zip(most));
    let bounds = bounds.map(|(is_null, bounds)| (!is_null).then_some(bounds)).collect();
    is_whole.then_some(ColumnIndex { bounds, null_counts })
}

/// Of an OffsetIndex the first row of each page, counted from that of the row group. `None`
/// where it is damaged.
pub fn first_rows(octets: &[u8]) -> Option<Vec<i64>> {
    let mut walk = Walk { rest: octets.iter() };
    let (mut rows, mut field) = (None, 0);
    while let Some((id, kind)) = walk.field(field)? {
        match (id, kind) {
            (1, LIST) => rows = Some(walk.list_of(&[STRUCT], first_row)?),
            _ => walk.skip(kind, 0)?,
        }
        field = id;
    }
    rows
}

/// The third field of a PageLocation.
fn first_row(walk: &mut Walk<'_>) -> Option<i64> {
    let (mut row, mut field) = (None, 0);
    while let Some((id, kind)) = walk.field(field)? {
        match (id, kind) {
            (3, INT64) => row = Some(walk.integer()?),
            _ => walk.skip(kind, 0)?,
        }
        field = id;
    }
    row
}

impl<'a> Walk<'a> {
    /// The items of a list, which are of one of `kinds`.
    fn list_of<T>(&mut self, kinds: &[u8], item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let (length, kind) = self.list()?;
        // An item takes an octet at least.
        let is_possible = kinds.contains(&kind) && length <= self.rest.len() as u64;
        is_possible.then_some(())?;
        (0..length).map(|_| item(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{field, list, text};
    use super::super::{BINARY, INT32, INT64, LIST};
    use super::*;

    fn list_of(kind: u8, items: &[&[u8]]) -> Vec<u8> {
        [vec![(items.len() as u8) << 4 | kind], items.concat()].concat()
    }

    fn index() -> Vec<u8> {
        [
            field(1, LIST, &list_of(TRUE, &[&[2], &[1], &[2]])),
            field(1, LIST, &list_of(BINARY, &[&text("a"), &[0], &text("cc")])),
            field(1, LIST, &list_of(BINARY, &[&text("b"), &[0], &text("d")])),
            field(1, INT32, &[2]),
            field(1, LIST, &list_of(INT64, &[&[0], &[14], &[2]])),
            field(1, LIST, &list_of(INT64, &[&[9]])),
            vec![0],
        ]
        .concat()
    }

    fn locations() -> Vec<u8> {
        let location = |row: &[u8]| {
            let row = field(1, INT64, row);
            [field(1, INT64, &[8]), field(1, INT32, &[0x80, 1]), row, vec![0]].concat()
        };
        let pages = [location(&[0]), location(&[0xc0, 0xb8, 2])];
        [field(1, LIST, &list(&pages)), field(1, LIST, &list_of(INT64, &[&[2]])), vec![0]].concat()
    }

    #[test]
    fn pages_have_bounds_and_places() {
        let bounds = vec![Some((&b"a"[..], &b"b"[..])), None, Some((b"cc", b"d"))];
        assert_eq!(column_index(&index()), Some(ColumnIndex { bounds, null_counts: vec![0, 7, 1] }));
        assert_eq!(first_rows(&locations()), Some(vec![0, 20_000]));
    }

    #[test]
    fn damage_is_nothing_or_another_index() {
        for whole in [index(), locations()] {
            for end in 0..whole.len() {
                assert_eq!(column_index(&whole[..end]), None);
                assert_eq!(first_rows(&whole[..end]), None);
            }
            for at in 0..whole.len() {
                for value in 0..=255 {
                    let mut damaged = whole.clone();
                    damaged[at] = value;
                    let pages = column_index(&damaged).map_or(0, |index| index.bounds.len());
                    assert!(pages <= whole.len());
                    assert!(first_rows(&damaged).map_or(0, |rows| rows.len()) <= whole.len());
                }
            }
        }
    }
}
