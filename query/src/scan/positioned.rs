//! A file that several threads read: by position, as a place in it would be everybody's.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use flow_common::limits::PAGE_HEADER_READ_BYTES;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// What the readers of the `parquet` crate take.
pub(super) struct Positioned {
    pub(super) file: Arc<File>,
    pub(super) file_bytes: u64,
}

/// Reads on from a place.
pub(super) struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(into, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Length for Positioned {
    fn len(&self) -> u64 {
        self.file_bytes
    }
}

impl ChunkReader for Positioned {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let from = From { file: Arc::clone(&self.file), at: start };
        Ok(BufReader::with_capacity(PAGE_HEADER_READ_BYTES, from))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64).filter(|&end| end <= self.file_bytes);
        if end.is_none() {
            let short = format!("{length} octets at {start} of {}", self.file_bytes);
            return Err(ParquetError::EOF(short));
        }
        let mut octets = vec![0; length];
        self.file.read_exact_at(&mut octets, start)?;
        Ok(octets.into())
    }
}
