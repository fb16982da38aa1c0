//! Whether a row group, or a page, may hold a match, by the bounds of its values alone.

use flow_common::column::ColumnId;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::batch::FileColumn;
use crate::columns::ColumnRef;
use crate::filter::{Comparator, Test};
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

/// What bounds prove a test to say of every row, with counters multiplied by up to `rate_max`.
pub(super) fn verdict(test: &Test, bounds: &impl Bounds, rate_max: i64) -> Option<bool> {
    if let Test::Present { column, is_present } = test {
        return match (bounds.has_values(*column), bounds.has_nulls(*column)) {
            (true, true) => None,
            (has_values, _) => Some(has_values == *is_present),
        };
    }
    // NULL passes no test.
    if test.column().is_some_and(|column| !bounds.has_values(column)) {
        return Some(false);
    }
    let of_values = of_values(test, bounds, rate_max)?;
    let has_nulls = || test.column().is_none_or(|column| bounds.has_nulls(column));
    (!of_values || matches!(test, Test::Within { .. }) || !has_nulls()).then_some(of_values)
}

/// What a test says of every value that is not NULL.
fn of_values(test: &Test, bounds: &impl Bounds, rate_max: i64) -> Option<bool> {
    let scaled = |column| scaled_range(bounds, column, rate_max);
    let verdict = |may_pass: bool, may_fail: bool| (may_pass != may_fail).then_some(may_pass);
    match test {
        Test::Int { column, comparator, value } => {
            let ((min, max), value) = (scaled(*column)?, *value);
            let (may_be_less, may_be_more) = (min < value, max > value);
            let may_be_equal = min <= value && value <= max;
            match comparator {
                Comparator::Eq => verdict(may_be_equal, may_be_less || may_be_more),
                Comparator::Ne => verdict(may_be_less || may_be_more, may_be_equal),
                Comparator::Lt => verdict(may_be_less, may_be_equal || may_be_more),
                Comparator::Le => verdict(may_be_less || may_be_equal, may_be_more),
                Comparator::Gt => verdict(may_be_more, may_be_less || may_be_equal),
                Comparator::Ge => verdict(may_be_more || may_be_equal, may_be_less),
            }
        }
        Test::IntIn { column, values } => {
            let (min, max) = scaled(*column)?;
            let may_pass = min <= max && values.range(min..=max).next().is_some();
            verdict(may_pass, min != max || !values.contains(min))
        }
        Test::Address { column, nets, is_inside } => {
            let (min, max) = bounds.address_range(*column)?;
            let bounds = || nets.iter().map(|net| net.bounds());
            let may_be_inside = bounds().any(|(low, high)| low <= max && min <= high);
            let may_be_outside = !bounds().any(|(low, high)| low <= min && max <= high);
            let is_inside_told = verdict(may_be_inside, may_be_outside)?;
            Some(is_inside_told == *is_inside)
        }
        Test::Within { start, last } => {
            // A NULL start or end falls back to another column, so only columns
            // without NULL prove anything.
            let proves = |column: ColumnId| {
                let column = column.into();
                bounds.range(column).filter(|_| bounds.null_count(column) == Some(0))
            };
            let (starts, ends) = (proves(ColumnId::FlowStart), proves(ColumnId::FlowEnd));
            let is_before = starts.is_some_and(|(_, max)| max < *start);
            let is_behind = ends.is_some_and(|(min, _)| min > *last);
            let is_inside =
                starts.is_some_and(|(min, _)| min >= *start) && ends.is_some_and(|(_, max)| max <= *last);
            verdict(is_inside, !is_inside && (is_before || is_behind))
        }
        _ => None,
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

#[cfg(test)]
mod tests {
    use flow_common::addr::Addr16;

    use super::*;
    use crate::filter::{AddressRange, AddressSet};

    /// Bounds of all columns, and how many of ten rows are NULL.
    struct Told {
        numbers: Option<(i64, i64)>,
        addresses: Option<([u8; 16], [u8; 16])>,
        nulls: u64,
    }

    impl Bounds for Told {
        fn range(&self, _: ColumnRef) -> Option<(i64, i64)> {
            self.numbers
        }

        fn address_range(&self, _: ColumnRef) -> Option<([u8; 16], [u8; 16])> {
            self.addresses
        }

        fn null_count(&self, _: ColumnRef) -> Option<u64> {
            Some(self.nulls)
        }

        fn has_values(&self, _: ColumnRef) -> bool {
            self.nulls < 10
        }

        fn has_nulls(&self, _: ColumnRef) -> bool {
            self.nulls > 0
        }
    }

    #[track_caller]
    fn check(test: &Test, numbers: (i64, i64), nulls: u64, expected: Option<bool>) {
        let told = Told { numbers: Some(numbers), addresses: None, nulls };
        assert_eq!(verdict(test, &told, 1), expected, "{test:?} of {numbers:?}, {nulls} NULL");
    }

    /// By trying each value there may be.
    #[test]
    fn numbers_are_decided_where_all_say_the_same() {
        use Comparator::{Eq, Ge, Gt, Le, Lt, Ne};
        let column = ColumnRef::from(ColumnId::Bytes);
        for comparator in [Eq, Ne, Lt, Le, Gt, Ge] {
            for (min, max, value) in
                [(3, 3), (3, 7)].iter().flat_map(|&(a, b)| (1..10).map(move |v| (a, b, v)))
            {
                let test = Test::Int { column, comparator, value };
                let passing = (min..=max).filter(|found| comparator.holds(*found, value)).count() as i64;
                let all = match passing {
                    0 => Some(false),
                    n if n == max - min + 1 => Some(true),
                    _ => None,
                };
                check(&test, (min, max), 0, all);
                check(&test, (min, max), 1, all.filter(|all| !all));
                check(&test, (min, max), 10, Some(false));
                // A counter that may be multiplied is as large as it gets.
                let told = Told { numbers: Some((min, max)), addresses: None, nulls: 0 };
                let scaled = verdict(&test, &told, 100);
                let largest = Test::Int { column, comparator: Gt, value: 8 };
                assert!(scaled.is_none_or(|_| all.is_some()), "{test:?}");
                assert_eq!(verdict(&largest, &told, 100), None);
            }
        }
    }

    #[test]
    fn windows_presence_and_addresses_are_decided() {
        let column = ColumnRef::from(ColumnId::SrcAddr);
        for (start, last, expected) in
            [(5, 9, Some(true)), (6, 9, None), (5, 8, None), (10, 20, Some(false)), (0, 4, Some(false))]
        {
            check(&Test::Within { start, last }, (5, 9), 0, expected);
            check(&Test::Within { start, last }, (5, 9), 1, None);
        }
        for (is_present, nulls, expected) in [
            (true, 0, Some(true)),
            (true, 4, None),
            (true, 10, Some(false)),
            (false, 0, Some(false)),
            (false, 10, Some(true)),
        ] {
            check(&Test::Present { column, is_present }, (1, 1), nulls, expected);
        }
        let addr = |last: u8| [vec![0; 15], vec![last]].concat().try_into().unwrap();
        for (first, last, is_inside, expected) in [
            (4, 7, true, Some(true)),
            (4, 7, false, Some(false)),
            (4, 8, true, None),
            (8, 9, true, Some(false)),
            (8, 9, false, Some(true)),
        ] {
            let nets: AddressSet =
                [AddressRange::new(Addr16(addr(4)), Addr16(addr(7)))].into_iter().collect();
            let told = Told { numbers: None, addresses: Some((addr(first), addr(last))), nulls: 0 };
            assert_eq!(
                verdict(&Test::Address { column, nets, is_inside }, &told, 1),
                expected,
                "{first} {last}"
            );
        }
    }
}
