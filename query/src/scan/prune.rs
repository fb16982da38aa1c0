//! Whether a row group may hold a match, from its statistics alone.

use flow_common::column::ColumnId;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::batch::FileColumn;
use crate::columns::ColumnRef;
use crate::filter::{Comparator, Predicate, Test};

/// A row group and what its file calls columns beyond the table.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    pub(super) metadata: &'a RowGroupMetaData,
    pub(super) extra: &'a [FileColumn],
}

impl Group<'_> {
    fn statistics(&self, column: ColumnRef) -> Option<&Statistics> {
        let of_file = || Some(self.extra.iter().find(|one| one.column == column)?.name.as_str());
        let name = column.table().map(|known| known.name).or_else(of_file)?;
        let is_it = |parts: &[String]| parts.len() == 1 && parts[0] == name;
        self.metadata.columns().iter().find(|chunk| is_it(chunk.column_path().parts()))?.statistics()
    }
}

/// False only where the statistics prove that no row matches.
pub(super) fn may_match(predicate: &Predicate, group: Group<'_>) -> bool {
    match predicate {
        Predicate::Constant(value) => *value,
        // What can't match may still be what is asked for.
        Predicate::Not(_) => true,
        Predicate::And(all) => all.iter().all(|one| may_match(one, group)),
        Predicate::Or(all) => all.iter().any(|one| may_match(one, group)),
        Predicate::Test(test) => test_may_match(test, group),
    }
}

fn test_may_match(test: &Test, group: Group<'_>) -> bool {
    match test {
        Test::Int { column, comparator, value } => range(group, *column).is_none_or(|(min, max)| {
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
        Test::IntIn { column, values } => range(group, *column)
            .is_none_or(|(min, max)| min <= max && values.range(min..=max).next().is_some()),
        Test::Address { column, nets, is_inside: true } => {
            address_range(group, *column).is_none_or(|(min, max)| {
                nets.iter().map(|net| net.bounds()).any(|(low, high)| low <= max && min <= high)
            })
        }
        Test::Within { start, last } => {
            // A NULL start or end falls back to another column, so only columns
            // without NULL prove anything.
            let proves = |column: ColumnId| {
                let column = column.into();
                range(group, column).filter(|_| is_never_null(group, column))
            };
            let starts_later = proves(ColumnId::FlowStart).is_none_or(|(_, max)| max >= *start);
            let ends_earlier = proves(ColumnId::FlowEnd).is_none_or(|(min, _)| min <= *last);
            starts_later && ends_earlier
        }
        _ => true,
    }
}

fn is_never_null(group: Group<'_>, column: ColumnRef) -> bool {
    group.statistics(column).is_some_and(|statistics| statistics.null_count_opt() == Some(0))
}

/// Smallest and largest number of a column; `None` where the file does not tell.
pub(super) fn range(group: Group<'_>, column: ColumnRef) -> Option<(i64, i64)> {
    match group.statistics(column)? {
        Statistics::Int32(range) => Some(((*range.min_opt()?).into(), (*range.max_opt()?).into())),
        Statistics::Int64(range) => Some((*range.min_opt()?, *range.max_opt()?)),
        _ => None,
    }
}

/// Smallest and largest address; `None` where the file does not tell in full.
fn address_range(group: Group<'_>, column: ColumnRef) -> Option<([u8; 16], [u8; 16])> {
    let Statistics::FixedLenByteArray(range) = group.statistics(column)? else { return None };
    Some((range.min_opt()?.data().try_into().ok()?, range.max_opt()?.data().try_into().ok()?))
}
