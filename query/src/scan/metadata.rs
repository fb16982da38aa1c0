//! The metadata of a Parquet file, read with its schema bounded.
//!
//! The Parquet reader recurses over the schema, and a stack that overflows is no
//! panic that could be caught. So the number of its elements is read beforehand,
//! and it must be the first thing in the footer: one that the reader meets after
//! the first it skips, and skipping has a bound of its own.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flow_common::limits::{FILE_FOOTER_BYTES_MAX, SCHEMA_ELEMENTS_MAX};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::FOOTER_SIZE;
use parquet::file::metadata::{FooterTail, ParquetMetaDataReader};

use super::ReadError;

/// Reads the metadata of `file`.
pub(super) fn load(file: &File) -> Result<ArrowReaderMetadata, ReadError> {
    let footer = footer(file)?;
    let elements = schema_elements(&footer)
        .ok_or_else(|| ReadError::Damaged("its footer does not begin with a schema".into()))?;
    within("schema", "elements", elements, SCHEMA_ELEMENTS_MAX)?;
    let metadata = ParquetMetaDataReader::decode_metadata(&footer)?;
    // The Arrow schema in the file could say anything; ours follows from Parquet's.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    Ok(ArrowReaderMetadata::try_new(Arc::new(metadata), options)?)
}

/// The octets of the FileMetaData: before the last 8, which are its length and `PAR1`.
fn footer(file: &File) -> Result<Vec<u8>, ReadError> {
    let file_bytes = file.metadata()?.len();
    let short = |needed: u64| ParquetError::EOF(format!("it has {file_bytes} octets of {needed}"));
    let tail_start = file_bytes.checked_sub(FOOTER_SIZE as u64).ok_or_else(|| short(FOOTER_SIZE as u64))?;
    let mut tail = [0; FOOTER_SIZE];
    file.read_exact_at(&mut tail, tail_start)?;
    let tail = FooterTail::try_new(&tail)?;
    if tail.is_encrypted_footer() {
        return Err(ReadError::Encrypted);
    }
    let length = tail.metadata_length() as u64;
    let start = tail_start.checked_sub(length).ok_or_else(|| short(length + FOOTER_SIZE as u64))?;
    within("footer", "octets", length, FILE_FOOTER_BYTES_MAX)?;
    let mut footer = vec![0; tail.metadata_length()];
    file.read_exact_at(&mut footer, start)?;
    Ok(footer)
}

fn within(what: &'static str, unit: &'static str, found: u64, limit: u64) -> Result<(), ReadError> {
    if found > limit { Err(ReadError::TooLarge { what, unit, found, limit }) } else { Ok(()) }
}

/// Elements of the schema a FileMetaData (Thrift's compact protocol) begins with:
/// after field 1, the version, field 2, a list of structs. Every writer keeps
/// this order. `None` for anything else.
fn schema_elements(footer: &[u8]) -> Option<u64> {
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
