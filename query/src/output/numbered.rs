//! Which row of all each is: known where texts are joined, and not where they are made.
//! A text says where the numbers go, by octets that no value can have.

use std::io::{self, Write};

use super::text::Text;

/// Here stands the number of the row. Values have no control characters.
pub(super) const NUMBER_HERE: u8 = 0;
/// Here the row ends.
pub(super) const ROW_ENDS: u8 = 1;

/// Writes rows with their numbers, each as wide as `width` at least.
pub(super) fn write(rows_before: u64, text: &[u8], width: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut octets = Vec::with_capacity(text.len());
    let mut joined = Text::new(&mut octets);
    let mut number = rows_before;
    for row in text.split_inclusive(|&octet| octet == ROW_ENDS) {
        number += 1;
        let row = row.strip_suffix(&[ROW_ENDS]).unwrap_or(row);
        for (index, part) in row.split(|&octet| octet == NUMBER_HERE).enumerate() {
            if index > 0 {
                joined.uint_right(number, width);
            }
            joined.bytes(part);
        }
    }
    drop(joined);
    out.write_all(&octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbered_over_all_texts() {
        let check = |before, text: &[u8], width, expected: &str| {
            let mut out = Vec::new();
            write(before, text, width, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(0, b"\0 a\n\x01\0\0\n\x01", 5, "    1 a\n    2    2\n");
        check(9, b"x\0\n\x01\n\n\x01\0\n\x01", 0, "x10\n\n\n12\n");
        check(7, b"", 5, "");
    }
}
