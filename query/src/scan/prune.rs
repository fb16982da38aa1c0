//! Whether a row group, or a page, may hold a match, by the bounds of its values alone.

use flow_common::column::ColumnId;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::batch::FileColumn;
use crate::columns::ColumnRef;
use crate::filter::{Comparator, Predicate, Test};
use crate::scaling::SCALED_COLUMNS;

/// A row group and what its file calls columns beyond the table.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    pub(super) metadata: &'a RowGroupMetaData,
    pub(super) extra: &'a [FileColumn],
}

/// What is known of the values of some rows; `None` where it is not told.
pub(super) trait Bounds {
    /// Smallest and largest number of a column.
    fn range(&self, column: ColumnRef) -> Option<(i64, i64)>;
    /// Smallest and largest address, in full.
    fn address_range(&self, column: ColumnRef) -> Option<([u8; 16], [u8; 16])>;
    /// NULLs of a column.
    fn null_count(&self, column: ColumnRef) -> Option<u64>;
    /// Whether some row may have a value.
    fn has_values(&self, column: ColumnRef) -> bool;
    /// Whether some row may have none.
    fn has_nulls(&self, column: ColumnRef) -> bool;
}

impl Group<'_> {
    /// Whether the file has the column at all.
    pub(super) fn has_column(&self, column: ColumnId) -> bool {
        self.metadata.columns().iter().any(|chunk| chunk.column_path().parts() == [column.name()])
    }

    /// What the file calls a column; `None` of one beyond the table that it has not.
    fn name(&self, column: ColumnRef) -> Option<&str> {
        let of_file = || Some(self.extra.iter().find(|one| one.column == column)?.name.as_str());
        column.table().map(|known| known.name).or_else(of_file)
    }

    fn rows(&self) -> u64 {
        u64::try_from(self.metadata.num_rows()).unwrap_or(0)
    }

    /// NULLs of a column, all of them where the file has no such column; `None` where it does
    /// not tell.
    fn nulls(&self, column: ColumnRef) -> Option<u64> {
        let name = self.name(column)?;
        // Columns of lists and maps lie below a name.
        let is_it = |parts: &[String]| parts.first().is_some_and(|first| first == name);
        if !self.metadata.columns().iter().any(|chunk| is_it(chunk.column_path().parts())) {
            return Some(self.rows());
        }
        self.null_count(column)
    }

    fn statistics(&self, column: ColumnRef) -> Option<&Statistics> {
        let name = self.name(column)?;
        let is_it = |parts: &[String]| parts.len() == 1 && parts[0] == name;
        self.metadata.columns().iter().find(|chunk| is_it(chunk.column_path().parts()))?.statistics()
    }
}

impl Bounds for Group<'_> {
    fn range(&self, column: ColumnRef) -> Option<(i64, i64)> {
        match self.statistics(column)? {
            Statistics::Int32(range) => Some(((*range.min_opt()?).into(), (*range.max_opt()?).into())),
            Statistics::Int64(range) => Some((*range.min_opt()?, *range.max_opt()?)),
            _ => None,
        }
    }

    fn address_range(&self, column: ColumnRef) -> Option<([u8; 16], [u8; 16])> {
        let Statistics::FixedLenByteArray(range) = self.statistics(column)? else { return None };
        Some((range.min_opt()?.data().try_into().ok()?, range.max_opt()?.data().try_into().ok()?))
    }

    fn null_count(&self, column: ColumnRef) -> Option<u64> {
        self.statistics(column)?.null_count_opt()
    }

    fn has_values(&self, column: ColumnRef) -> bool {
        self.nulls(column).is_none_or(|nulls| nulls < self.rows())
    }

    fn has_nulls(&self, column: ColumnRef) -> bool {
        self.nulls(column).is_none_or(|nulls| nulls > 0)
    }
}

/// False only where bounds prove that no row matches, with counters multiplied by up to
/// `rate_max`.
pub(super) fn may_match(predicate: &Predicate, bounds: &impl Bounds, rate_max: i64) -> bool {
    match predicate {
        Predicate::Constant(value) => *value,
        // What can't match may still be what is asked for.
        Predicate::Not(_) => true,
        Predicate::And(all) => all.iter().all(|one| may_match(one, bounds, rate_max)),
        Predicate::Or(all) => all.iter().any(|one| may_match(one, bounds, rate_max)),
        Predicate::Test(test) => test_may_match(test, bounds, rate_max),
    }
}

fn test_may_match(test: &Test, bounds: &impl Bounds, rate_max: i64) -> bool {
    let scaled = |column| scaled_range(bounds, column, rate_max);
    match test {
        Test::Int { column, comparator, value } => scaled(*column).is_none_or(|(min, max)| {
            let value = *value;
            match comparator {
                Comparator::Eq => min <= value && value <= max,
                Comparator::Ne => min != value || max != value,
                Comparator::Lt => min < value,
                Comparator::Le => min <= value,
                Comparator::Gt => max > value,
                Comparator::Ge => max >= value,
            }
        }),
        Test::IntIn { column, values } => {
            scaled(*column).is_none_or(|(min, max)| min <= max && values.range(min..=max).next().is_some())
        }
        Test::Address { column, nets, is_inside: true } => {
            bounds.address_range(*column).is_none_or(|(min, max)| {
                nets.iter().map(|net| net.bounds()).any(|(low, high)| low <= max && min <= high)
            })
        }
        Test::Present { column, is_present: true } => bounds.has_values(*column),
        Test::Present { column, is_present: false } => bounds.has_nulls(*column),
        Test::Within { start, last } => {
            // A NULL start or end falls back to another column, so only columns
            // without NULL prove anything.
            let proves = |column: ColumnId| {
                let column = column.into();
                bounds.range(column).filter(|_| bounds.null_count(column) == Some(0))
            };
            let starts_later = proves(ColumnId::FlowStart).is_none_or(|(_, max)| max >= *start);
            let ends_earlier = proves(ColumnId::FlowEnd).is_none_or(|(min, _)| min <= *last);
            starts_later && ends_earlier
        }
        _ => true,
    }
}

/// The range of a counter that is multiplied by 1 to `rate_max`.
fn scaled_range(bounds: &impl Bounds, column: ColumnRef, rate_max: i64) -> Option<(i64, i64)> {
    let (min, max) = bounds.range(column)?;
    if rate_max == 1 || !SCALED_COLUMNS.iter().any(|&id| column == id) {
        return Some((min, max));
    }
    (min >= 0).then(|| (min, max.saturating_mul(rate_max)))
}
