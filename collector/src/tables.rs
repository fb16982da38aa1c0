//! Side tables as Parquet: rows to octets, and a file back to rows.
//!
//! **Invariant:** a file is input like any other: whatever is in it, the worst is an
//! error. The Parquet reader may panic on hostile input, so it runs guarded.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use flow_common::limits::{FILE_FOOTER_BYTES_MAX, SCHEMA_ELEMENTS_MAX, TABLE_ROWS_MAX};
use flow_common::tables::Row;
use flow_common::thrift::schema_elements;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::FOOTER_SIZE;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;

/// The rows as a Parquet file.
pub(crate) fn encode<R: Row>(rows: &[R], properties: WriterProperties) -> Result<Vec<u8>, ParquetError> {
    let mut writer = ArrowWriter::try_new(Vec::new(), R::schema(), Some(properties))?;
    writer.write(&R::to_batch(rows)?)?;
    writer.into_inner()
}

/// The rows of a file.
pub(crate) fn read<R: Row>(bytes: Bytes) -> io::Result<Vec<R>> {
    check_footer(&bytes)?;
    guarded(|| rows(bytes))
}

/// What a Parquet file says of itself, page index included.
pub(crate) fn metadata<R: ChunkReader>(reader: &R) -> io::Result<ParquetMetaData> {
    check_footer(reader)?;
    let policy = PageIndexPolicy::Optional;
    guarded(|| {
        let reading = ParquetMetaDataReader::new().with_page_index_policy(policy);
        reading.parse_and_finish(reader).map_err(unreadable)
    })
}

fn guarded<T>(read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged("its pages make no sense")))
}

fn rows<R: Row>(bytes: Bytes) -> io::Result<Vec<R>> {
    // The Arrow schema in the file could say anything; ours follows from Parquet's.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).map_err(damaged)?;
    let mut rows = Vec::new();
    for batch in builder.build().map_err(damaged)? {
        let batch = R::from_batch(&batch.map_err(damaged)?);
        rows.extend(batch.ok_or_else(|| damaged("a column is missing"))?);
        if rows.len() > TABLE_ROWS_MAX {
            return Err(damaged("it has more rows than any table"));
        }
    }
    Ok(rows)
}

/// The octets of the file's metadata, before the last 8, its length and `PAR1`, must
/// begin with a schema that its reader can bear.
fn check_footer<R: ChunkReader>(reader: &R) -> io::Result<()> {
    let cut_short = || damaged("it is cut short");
    let tail_start = reader.len().checked_sub(FOOTER_SIZE as u64).ok_or_else(cut_short)?;
    let tail = reader.get_bytes(tail_start, FOOTER_SIZE).map_err(unreadable)?;
    let length = u32::from_le_bytes(tail.first_chunk().copied().unwrap_or_default());
    let start = tail_start.checked_sub(length.into()).ok_or_else(cut_short)?;
    if u64::from(length) > FILE_FOOTER_BYTES_MAX {
        return Err(damaged("its footer is larger than any"));
    }
    let footer = reader.get_bytes(start, length as usize).map_err(unreadable)?;
    if schema_elements(&footer).is_none_or(|n| n > SCHEMA_ELEMENTS_MAX) {
        return Err(damaged("its footer does not begin with a schema"));
    }
    Ok(())
}

/// Damage, unless it was the system that could not read: nobody knows then what the
/// file holds.
pub(crate) fn unreadable(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(cause) => damaged(cause),
        },
        error => damaged(error),
    }
}

pub(crate) fn damaged(reason: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}

#[cfg(test)]
mod tests {
    use flow_common::addr::Addr16;
    use flow_common::tables::{RateRow, RateScope, ReportRow};
    use flow_common::time::Timestamp;

    use super::*;

    fn rates() -> Vec<RateRow> {
        let row = |rate| RateRow {
            exporter_addr: Addr16::from_v4([192, 0, 2, 1]),
            export_version: 9,
            observation_domain: 7,
            scope: RateScope::Sampler,
            scope_id: 1,
            rate,
            valid_from: Timestamp(rate),
        };
        (1..100).map(row).collect()
    }

    #[test]
    fn a_table_comes_back_and_damage_is_an_error() {
        let bytes = encode(&rates(), WriterProperties::default()).unwrap();
        assert_eq!(read::<RateRow>(bytes.clone().into()).unwrap(), rates());
        assert!(read::<ReportRow>(bytes.clone().into()).is_err(), "another table");
        for cut in [0, 7, 8, bytes.len() / 2, bytes.len() - 1] {
            assert!(read::<RateRow>(bytes[..cut].to_vec().into()).is_err(), "cut at {cut}");
        }
        for index in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[index] ^= 0x55;
            // Rows or an error; nothing else.
            let _ = read::<RateRow>(damaged.into());
        }
    }
}
