//! The metadata of a Parquet file, read with its schema bounded.
//!
//! `flow_common::thrift` says why.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flow_common::limits::{FILE_FOOTER_BYTES_MAX, SCHEMA_ELEMENTS_MAX};
use flow_common::thrift::schema_elements;
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

/// That a number read from a file is within a limit.
pub(super) fn within(
    what: &'static str,
    unit: &'static str,
    found: u64,
    limit: u64,
) -> Result<(), ReadError> {
    if found > limit { Err(ReadError::TooLarge { what, unit, found, limit }) } else { Ok(()) }
}
