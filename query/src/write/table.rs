//! A side table, replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use flow_common::tables::Row;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::file::{WRITER, WriteError, create_directory, rename_over, sync_directory};

/// Puts a table of these rows in the place of the one that is there, durable.
pub(crate) fn write_table<R: Row>(path: &Path, rows: &[R]) -> Result<(), WriteError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let octets = encoded(path, rows)?;
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    let put = || -> io::Result<()> {
        create_directory(directory)?;
        let mut file = File::options().write(true).create_new(true).open(&unfinished)?;
        file.write_all(&octets)?;
        file.sync_all()?;
        rename_over(&unfinished, path)?;
        sync_directory(directory)
    };
    put().map_err(|source| {
        // Nothing is left to do where even that fails.
        let _ = fs::remove_file(&unfinished);
        WriteError::Io { path: path.to_owned(), source }
    })
}

fn encoded<R: Row>(path: &Path, rows: &[R]) -> Result<Vec<u8>, WriteError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(WRITER.to_owned())
        .build();
    let batch = R::to_batch(rows)?;
    let write = || {
        let mut writer = ArrowWriter::try_new(Vec::new(), R::schema(), Some(properties))?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    write().map_err(|source| WriteError::Encode { path: path.to_owned(), source })
}
