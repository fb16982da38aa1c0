//! The first octets of a Parquet footer, read before the Parquet reader sees them.
//!
//! That reader recurses over the schema, and a stack that overflows is no panic
//! that could be caught. So the number of its elements is read beforehand, and it
//! must be the first thing in the footer: one that the reader meets after the first
//! it skips, and skipping has a bound of its own.

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
