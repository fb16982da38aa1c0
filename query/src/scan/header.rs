//! What the header of a page claims, before memory is made for it: the `parquet` crate asks for
//! as much as it says.
//!
//! Read is what every writer makes: the first fields of Thrift's compact PageHeader follow each
//! other, so each has a head of one octet. Nothing else is taken for a header.

use flow_common::limits::{PAGE_BYTES_MAX, PAGE_ROWS_READ_MAX};

use super::ReadError;
use super::metadata::within;

/// One more than the field before, an i32.
const NEXT_I32: u8 = 0x15;
/// The fifth field after the last of the three sizes, or the third after a checksum; a struct:
/// what a dictionary page has of its own.
const DICTIONARY_HEADS: [u8; 2] = [0x4c, 0x3c];
/// PageType of a dictionary.
const DICTIONARY_PAGE: u64 = 2;

/// Checks the size a page has once decompressed, and how many values a dictionary has.
pub(super) fn check(header: &[u8]) -> Result<(), ReadError> {
    let mut rest = header;
    let none = || ReadError::Damaged("no page begins where one should".into());
    let kind = i32_field(&mut rest).ok_or_else(none)?;
    let bytes = i32_field(&mut rest).ok_or_else(none)?;
    within("page", "octets", bytes, PAGE_BYTES_MAX)?;
    let _compressed = i32_field(&mut rest).ok_or_else(none)?;
    if kind == DICTIONARY_PAGE {
        if rest.first() == Some(&NEXT_I32) {
            let _checksum = i32_field(&mut rest).ok_or_else(none)?;
        }
        let (head, own) = rest.split_first().ok_or_else(none)?;
        if !DICTIONARY_HEADS.contains(head) {
            return Err(none());
        }
        let n_values = i32_field(&mut &*own).ok_or_else(none)?;
        within("dictionary", "values", n_values, PAGE_ROWS_READ_MAX as u64)?;
    }
    Ok(())
}

/// Takes a field from the front; what is negative comes out too large for any limit.
fn i32_field(rest: &mut &[u8]) -> Option<u64> {
    let (&head, octets) = rest.split_first()?;
    *rest = octets;
    if head != NEXT_I32 {
        return None;
    }
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (&octet, octets) = rest.split_first()?;
        *rest = octets;
        value |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            // Zigzag: odd is negative.
            return Some(if value & 1 == 0 { value >> 1 } else { u64::MAX });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(head: u8, value: u64) -> Vec<u8> {
        let (mut octets, mut rest) = (vec![head], value);
        while rest >= 0x80 {
            octets.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        octets.push(rest as u8);
        octets
    }

    #[track_caller]
    fn check_header(kind: u64, bytes: u64, own: &[u8], expected: Result<(), &str>) {
        let mut header = [field(NEXT_I32, kind << 1), field(NEXT_I32, bytes), field(NEXT_I32, 10)].concat();
        header.extend(own);
        let found = check(&header).map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{header:02x?}");
    }

    #[test]
    fn sizes_and_dictionaries_are_bounded() {
        let too_large =
            format!("its page of {} octets is beyond the limit of {PAGE_BYTES_MAX}", PAGE_BYTES_MAX + 1);
        check_header(0, 600, &[], Ok(()));
        check_header(3, PAGE_BYTES_MAX << 1, &[], Ok(()));
        check_header(3, (PAGE_BYTES_MAX + 1) << 1, &[], Err(&too_large));
        let values = |n: usize| field(NEXT_I32, (n as u64) << 1);
        for head in [&[0x4c][..], &[NEXT_I32, 8, 0x3c]] {
            check_header(2, 600, &[head, &values(9)].concat(), Ok(()));
            let many = format!(
                "its dictionary of {} values is beyond the limit of {PAGE_ROWS_READ_MAX}",
                PAGE_ROWS_READ_MAX + 1
            );
            check_header(2, 600, &[head, &values(PAGE_ROWS_READ_MAX + 1)].concat(), Err(&many));
        }
        let none = "it is damaged: no page begins where one should";
        check_header(2, 600, &[0x2c, 0x15, 2], Err(none));
        for wrong in [&[][..], &[0x15], &[0x15, 0, 0x25, 0], &[0x15, 0x80, 0x80, 0x80, 0x80, 0x80, 0]] {
            assert_eq!(check(wrong).unwrap_err().to_string(), none, "{wrong:02x?}");
        }
    }
}
