//! Which rows of a row group can't match, by the bounds of its pages ("page index").

use std::collections::BTreeSet;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use flow_common::limits::PAGE_INDEX_READ_BYTES_MAX;
use flow_common::thrift;
use parquet::basic::Type;
use parquet::file::metadata::ColumnChunkMetaData;

use super::prune::{Bounds, verdict};
use super::{BoundFile, Plan};
use crate::columns::ColumnRef;
use crate::filter::Predicate;

/// Bounds of the pages of a column.
struct Pages {
    column: ColumnRef,
    /// Ascending, the first is 0.
    first_rows: Vec<usize>,
    /// One for each page.
    values: Values,
    /// Empty where they are not told.
    null_counts: Vec<i64>,
}

/// Smallest and largest value of each page; the smallest is the larger one where all are NULL.
enum Values {
    Ints(Vec<(i64, i64)>),
    Addresses(Vec<([u8; 16], [u8; 16])>),
}

/// The pages around a row.
struct At<'a> {
    pages: &'a [Pages],
    row: usize,
}

/// Rows of a row group that can't match: ranges, ascending and apart. What its index lacks, or
/// makes no sense, rules nothing out.
pub(super) fn ruled_out(
    file: &BoundFile,
    group: usize,
    (plan, predicate): (&Plan, &Predicate),
    rows: usize,
) -> Vec<Range<usize>> {
    let mut tested = BTreeSet::new();
    predicate.columns(&mut tested);
    let pages: Vec<Pages> =
        tested.into_iter().filter_map(|column| Pages::read(file, group, column, rows)).collect();
    let starts: BTreeSet<usize> = pages.iter().flat_map(|pages| pages.first_rows.iter().copied()).collect();
    let ends = starts.iter().copied().skip(1).chain([rows]);
    let rate_max = file.rate_max(group, plan);
    let mut out: Vec<Range<usize>> = Vec::new();
    for (start, end) in starts.iter().copied().zip(ends) {
        let at = At { pages: &pages, row: start };
        if predicate.outcome(&mut |test| verdict(test, &at, rate_max)) != Some(false) {
            continue;
        }
        match out.last_mut().filter(|last| last.end == start) {
            Some(last) => last.end = end,
            None => out.push(start..end),
        }
    }
    out
}

impl Pages {
    fn read(file: &BoundFile, group: usize, column: ColumnRef, rows: usize) -> Option<Self> {
        let chunk = file.chunk(group, column)?;
        let index = section(file, chunk.column_index_offset(), chunk.column_index_length())?;
        let places = section(file, chunk.offset_index_offset(), chunk.offset_index_length())?;
        Self::new(column, chunk, &index, &places, rows)
    }

    fn new(
        column: ColumnRef,
        chunk: &ColumnChunkMetaData,
        index: &[u8],
        places: &[u8],
        rows: usize,
    ) -> Option<Self> {
        let thrift::ColumnIndex { bounds, null_counts } = thrift::column_index(index)?;
        let first_rows = thrift::first_rows(places)?;
        let first_rows: Vec<usize> =
            first_rows.into_iter().map(|row| usize::try_from(row).ok()).collect::<Option<_>>()?;
        let is_ascending = first_rows.is_sorted_by(|one, other| one < other);
        let is_within = first_rows.first() == Some(&0) && first_rows.last().is_some_and(|&row| row < rows);
        let is_worth_it = first_rows.len() > 1 && first_rows.len() == bounds.len();
        (is_ascending && is_within && is_worth_it).then_some(())?;
        let values = match chunk.column_descr().physical_type() {
            Type::INT32 => Values::Ints(each(&bounds, (i64::MAX, i64::MIN), |octets| {
                Some(i32::from_le_bytes(octets.try_into().ok()?).into())
            })?),
            Type::INT64 => Values::Ints(each(&bounds, (i64::MAX, i64::MIN), |octets| {
                Some(i64::from_le_bytes(octets.try_into().ok()?))
            })?),
            Type::FIXED_LEN_BYTE_ARRAY => {
                Values::Addresses(each(&bounds, ([0xff; 16], [0; 16]), |octets| octets.try_into().ok())?)
            }
            _ => return None,
        };
        Some(Self { column, first_rows, values, null_counts })
    }

    /// The page a row lies in.
    fn page(&self, row: usize) -> usize {
        self.first_rows.partition_point(|&first| first <= row).saturating_sub(1)
    }
}

/// Reads the bounds of all pages; `none` stands for those of NULLs.
fn each<T: Copy>(
    bounds: &[Option<(&[u8], &[u8])>],
    none: (T, T),
    read: impl Fn(&[u8]) -> Option<T>,
) -> Option<Vec<(T, T)>> {
    let bounds = bounds.iter().map(|bounds| match bounds {
        Some((least, most)) => Some((read(least)?, read(most)?)),
        None => Some(none),
    });
    bounds.collect()
}

/// Octets of a file that its footer points to.
fn section(file: &BoundFile, offset: Option<i64>, length: Option<i32>) -> Option<Vec<u8>> {
    let (offset, length) = (u64::try_from(offset?).ok()?, usize::try_from(length?).ok()?);
    (length <= PAGE_INDEX_READ_BYTES_MAX).then_some(())?;
    let mut octets = vec![0; length];
    file.file.read_exact_at(&mut octets, offset).ok()?;
    Some(octets)
}

impl At<'_> {
    fn of(&self, column: ColumnRef) -> Option<(&Pages, usize)> {
        let pages = self.pages.iter().find(|pages| pages.column == column)?;
        Some((pages, pages.page(self.row)))
    }
}

impl Bounds for At<'_> {
    fn range(&self, column: ColumnRef) -> Option<(i64, i64)> {
        let (pages, page) = self.of(column)?;
        let Values::Ints(bounds) = &pages.values else { return None };
        bounds.get(page).copied()
    }

    fn address_range(&self, column: ColumnRef) -> Option<([u8; 16], [u8; 16])> {
        let (pages, page) = self.of(column)?;
        let Values::Addresses(bounds) = &pages.values else { return None };
        bounds.get(page).copied()
    }

    fn null_count(&self, column: ColumnRef) -> Option<u64> {
        let (pages, page) = self.of(column)?;
        u64::try_from(*pages.null_counts.get(page)?).ok()
    }

    fn has_values(&self, column: ColumnRef) -> bool {
        // The smallest is the larger one where all are NULL.
        self.range(column).is_none_or(|(least, most)| least <= most)
            && self.address_range(column).is_none_or(|(least, most)| least <= most)
    }

    fn has_nulls(&self, column: ColumnRef) -> bool {
        self.null_count(column) != Some(0)
    }
}
