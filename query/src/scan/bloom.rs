//! Whether a row group may hold an address at all, by its Bloom filters: a few octets for each
//! column, where dictionaries are megabytes.

use std::collections::BTreeMap;

use flow_common::limits::BLOOM_FILTER_READ_BYTES_MAX;
use parquet::bloom_filter::Sbbf;

use super::{BoundFile, ReadError};
use crate::columns::ColumnRef;
use crate::filter::{Predicate, Test};

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

    /// False only where the filters prove that no row matches.
    pub(super) fn may_match(&mut self, predicate: &Predicate) -> Result<bool, ReadError> {
        match predicate {
            Predicate::Constant(value) => Ok(*value),
            // What can't match may still be what is asked for.
            Predicate::Not(_) => Ok(true),
            Predicate::And(all) => {
                for one in all {
                    if !self.may_match(one)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Predicate::Or(all) => {
                for one in all {
                    if self.may_match(one)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Predicate::Test(Test::Address { column, nets, is_inside: true }) => {
                let bounds = || nets.iter().map(|net| net.bounds());
                if bounds().any(|(low, high)| low != high) {
                    return Ok(true);
                }
                let filter = self.filter(*column)?;
                Ok(filter.is_none_or(|filter| bounds().any(|(addr, _)| filter.check(addr.as_slice()))))
            }
            Predicate::Test(_) => Ok(true),
        }
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
