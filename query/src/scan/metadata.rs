//! The metadata of a Parquet file, read with its schema bounded.
//!
//! `flow_common::thrift` says why.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{DataType, SchemaRef};
use flow_common::column::{Column, by_name};
use flow_common::limits::{FILE_FOOTER_BYTES_MAX, SCHEMA_ELEMENTS_MAX, SCHEMAS_KNOWN_MAX};
use flow_common::thrift::{schema, schema_elements};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::FOOTER_SIZE;
use parquet::file::metadata::{
    FooterTail, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy,
};
use parquet::schema::types::SchemaDescPtr;

use super::ReadError;
use crate::batch::misfit;

/// All there is to know of a file before its rows are read.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) metadata: Arc<ParquetMetaData>,
    pub(super) schema: SchemaRef,
}

/// A schema that was met before: files of one writer have the same, and to make it anew takes
/// as long as all else that is in a footer.
#[derive(Clone)]
struct Known {
    octets: Arc<[u8]>,
    descr: SchemaDescPtr,
    schema: SchemaRef,
    misfit: Option<(&'static Column, DataType)>,
    /// It has a column of flow records.
    is_ours: bool,
}

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// Reads a FileMetaData, and checks that it is of flow records.
pub(super) fn load(footer: &[u8]) -> Result<Loaded, ReadError> {
    let octets = schema(footer);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let met = octets.and_then(|octets| known().iter().find(|known| *known.octets == *octets).cloned());
    let metadata = decode(footer, met.as_ref().map(|known| &known.descr))?;
    let of_schema = match met {
        Some(met) => met,
        None => {
            let of_schema = learn(octets.unwrap_or_default(), &metadata)?;
            let mut known = known();
            if octets.is_some() && known.len() < SCHEMAS_KNOWN_MAX {
                known.push(of_schema.clone());
            }
            of_schema
        }
    };
    if let Some((column, found)) = of_schema.misfit {
        return Err(ReadError::Type { column: column.name.to_owned(), found: found.to_string() });
    }
    if !of_schema.is_ours {
        return Err(ReadError::Foreign);
    }
    Ok(Loaded { metadata, schema: of_schema.schema })
}

fn learn(octets: &[u8], metadata: &Arc<ParquetMetaData>) -> Result<Known, ReadError> {
    let schema = Arc::clone(for_arrow(metadata)?.schema());
    Ok(Known {
        octets: octets.into(),
        descr: metadata.file_metadata().schema_descr_ptr(),
        misfit: misfit(&schema),
        is_ours: schema.fields().iter().any(|field| by_name(field.name()).is_some()),
        schema,
    })
}

fn decode(footer: &[u8], schema: Option<&SchemaDescPtr>) -> Result<Arc<ParquetMetaData>, ReadError> {
    let elements = schema_elements(footer)
        .ok_or_else(|| ReadError::Damaged("its footer does not begin with a schema".into()))?;
    within("schema", "elements", elements, SCHEMA_ELEMENTS_MAX)?;
    let mut options = ParquetMetaDataOptions::new().with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
    if let Some(schema) = schema {
        options.set_schema(Arc::clone(schema));
    }
    Ok(Arc::new(ParquetMetaDataReader::decode_metadata_with_options(footer, Some(&options))?))
}

/// The metadata as the `arrow` reader wants it.
pub(super) fn for_arrow(metadata: &Arc<ParquetMetaData>) -> Result<ArrowReaderMetadata, ReadError> {
    // The Arrow schema in the file could say anything; ours follows from Parquet's.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    Ok(ArrowReaderMetadata::try_new(Arc::clone(metadata), options)?)
}

/// The metadata of a file of any columns.
pub(super) fn load_any(file: &File) -> Result<ArrowReaderMetadata, ReadError> {
    for_arrow(&decode(&footer(file)?, None)?)
}

/// The octets of the FileMetaData: before the last 8, which are its length and `PAR1`.
pub(super) fn footer(file: &File) -> Result<Vec<u8>, ReadError> {
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
