//! Whether a row group may hold an address at all, by its Bloom filters: a few octets for each
//! column, where dictionaries are megabytes.

use std::collections::BTreeMap;

use flow_common::limits::BLOOM_FILTER_READ_BYTES_MAX;
use parquet::bloom_filter::Sbbf;

use super::{BoundFile, ReadError};
use crate::columns::ColumnRef;
use crate::filter::Test;

/// The filters of a row group that were looked at.
pub(super) struct Filters<'a> {
    file: &'a BoundFile,
    group: usize,
    known: BTreeMap<ColumnRef, Option<Sbbf>>,
}

impl<'a> Filters<'a> {
    pub(super) fn new(file: &'a BoundFile, group: usize) -> Self {
        Self { file, group, known: BTreeMap::new() }
    }

    /// False only where the filters prove that no row passes a test.
    pub(super) fn may_pass(&mut self, test: &Test) -> Result<bool, ReadError> {
        let Test::Address { column, nets, is_inside: true } = test else { return Ok(true) };
        let bounds = || nets.iter().map(|net| net.bounds());
        if bounds().any(|(low, high)| low != high) {
            return Ok(true);
        }
        let filter = self.filter(*column)?;
        Ok(filter.is_none_or(|filter| bounds().any(|(addr, _)| filter.check(addr.as_slice()))))
    }

    fn filter(&mut self, column: ColumnRef) -> Result<Option<&Sbbf>, ReadError> {
        if !self.known.contains_key(&column) {
            let filter = self.read(column)?;
            self.known.insert(column, filter);
        }
        Ok(self.known.get(&column).and_then(Option::as_ref))
    }

    fn read(&self, column: ColumnRef) -> Result<Option<Sbbf>, ReadError> {
        let Some(metadata) = self.file.chunk(self.group, column) else { return Ok(None) };
        let is_small = |length: i32| (1..=BLOOM_FILTER_READ_BYTES_MAX).contains(&length);
        if !metadata.bloom_filter_length().is_some_and(is_small) {
            return Ok(None);
        }
        Ok(Sbbf::read_from_column_chunk(metadata, &self.file.positioned())?)
    }
}
