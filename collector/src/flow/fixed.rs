//! The buffer of a column of fixed width: values as they come, and runs of one
//! value or of NULL, which take no memory per row.
//!
//! Where messages come from is the same for all records of a set, and a template
//! leaves out most columns: without runs one octet of a datagram could cost
//! hundreds in memory.

use std::ops::BitOr;

/// Rows from which on a run takes less than values.
const RUN_ROWS_MIN: usize = 8;

/// Values of fixed width with their NULLs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fixed<T> {
    values: Vec<T>,
    /// One per value, or empty while all are valid.
    valid: Vec<bool>,
    /// In order of their rows.
    runs: Vec<Run<T>>,
    /// How many values before this one, the last, are the same and were pushed to be:
    /// enough of them become a run.
    repeated: (usize, usize),
}

/// Rows that all hold one value, or NULL.
#[derive(Debug, Clone, Copy)]
struct Run<T> {
    /// Its first row.
    row: u32,
    n: u32,
    /// Values before it.
    at: u32,
    value: Option<T>,
}

/// Rows next to each other.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a, T> {
    /// Values as they came, and which of them are valid; none are listed where all are.
    Values { values: &'a [T], valid: &'a [bool] },
    /// One value, or NULL, in all of them.
    Run { value: Option<T>, n: usize },
}

impl<T> Run<T> {
    fn end(&self) -> usize {
        self.row as usize + self.n as usize
    }
}

impl<T: Copy + Default + PartialEq> Fixed<T> {
    /// Rows held.
    pub(crate) fn len(&self) -> usize {
        let run = self.runs.last().map_or((0, 0), |run| (run.end(), run.at as usize));
        run.0 + (self.values.len() - run.1)
    }

    pub(crate) fn push(&mut self, value: Option<T>) {
        if value.is_none() || !self.valid.is_empty() {
            self.valid.resize(self.values.len(), true);
            self.valid.push(value.is_some());
        }
        self.values.push(value.unwrap_or_default());
    }

    /// Appends values that are all present.
    #[inline]
    pub(crate) fn extend(&mut self, values: impl Iterator<Item = T>) {
        self.values.extend(values);
        if !self.valid.is_empty() {
            self.valid.resize(self.values.len(), true);
        }
    }

    /// Appends values that are all present and none above `max`, as `convert` makes
    /// them; `None`, and nothing is appended, if one may be above.
    #[inline]
    pub(crate) fn extend_up_to<V>(
        &mut self,
        values: impl Iterator<Item = V>,
        max: V,
        convert: impl Fn(V) -> T,
    ) -> Option<()>
    where
        V: Copy + Default + Ord + BitOr<Output = V>,
    {
        let before = self.values.len();
        let mut bits = V::default();
        self.extend(values.map(|value| {
            bits = bits | value;
            convert(value)
        }));
        // All bits seen make a number that no value exceeds.
        if bits > max {
            self.values.truncate(before);
            self.valid.truncate(before);
            return None;
        }
        Some(())
    }

    /// Appends one value `n` times.
    pub(crate) fn push_n(&mut self, value: T, n: usize) {
        self.push_run(Some(value), n);
    }

    /// Appends NULLs until there are `rows` values.
    #[inline]
    pub(crate) fn pad_to(&mut self, rows: usize) {
        let n = rows.saturating_sub(self.len());
        if n > 0 {
            self.push_run(None, n);
        }
    }

    fn push_run(&mut self, value: Option<T>, n: usize) {
        let at = self.values.len() as u32;
        if let Some(run) = self.runs.last_mut().filter(|run| run.at == at && run.value == value) {
            run.n += n as u32;
            self.repeated = (0, 0);
        } else if n >= RUN_ROWS_MIN {
            let row = self.len() as u32;
            self.runs.push(Run { row, n: n as u32, at, value });
            self.repeated = (0, 0);
        } else {
            self.push_few(value, n);
        }
    }

    /// Appends few values; those of many messages in a row become a run after all.
    fn push_few(&mut self, value: Option<T>, n: usize) {
        let (end, before) = self.repeated;
        let is_same = end == self.values.len() && self.last() == Some(value);
        (0..n).for_each(|_| self.push(value));
        let n_same = if is_same { before + n } else { n };
        self.repeated = (self.values.len(), n_same);
        if n_same >= RUN_ROWS_MIN {
            let row = self.len() - n_same;
            self.truncate(row);
            let at = self.values.len() as u32;
            self.runs.push(Run { row: row as u32, n: n_same as u32, at, value });
        }
    }

    /// The last value that is no run's.
    fn last(&self) -> Option<Option<T>> {
        let value = *self.values.last()?;
        Some(Some(value).filter(|_| self.valid.is_empty() || self.valid.last() == Some(&true)))
    }

    /// Takes back everything after the first `rows` rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        let mut n_values = rows;
        while let Some(run) = self.runs.last_mut() {
            if (run.row as usize) < rows {
                run.n = run.n.min((rows - run.row as usize) as u32);
                n_values = run.at as usize + (rows - run.end());
                break;
            }
            self.values.truncate(run.at as usize);
            self.runs.pop();
        }
        self.values.truncate(n_values);
        self.valid.truncate(n_values);
        self.repeated = (0, 0);
    }

    /// Where the value of a row lies, or the run that holds it.
    fn find(&self, row: usize) -> Result<usize, &Run<T>> {
        let n_before = self.runs.partition_point(|run| run.row as usize <= row);
        match n_before.checked_sub(1).and_then(|last| self.runs.get(last)) {
            Some(run) if row < run.end() => Err(run),
            Some(run) => Ok(run.at as usize + (row - run.end())),
            None => Ok(row),
        }
    }

    /// Sets the value of a row that there is.
    pub(crate) fn set(&mut self, row: usize, value: T) {
        let Ok(index) = self.find(row) else {
            // It lies in a run, which ends there: what follows becomes plain values.
            let rest: Vec<_> = (row + 1..self.len()).map(|row| self.get(row)).collect();
            self.truncate(row);
            self.push(Some(value));
            rest.into_iter().for_each(|value| self.push(value));
            return;
        };
        if let Some(slot) = self.values.get_mut(index) {
            *slot = value;
            if let Some(valid) = self.valid.get_mut(index) {
                *valid = true;
            }
            self.repeated = (0, 0);
        }
    }

    /// Whether some row from `row` on is NULL, or there is none.
    pub(crate) fn has_nulls_from(&self, row: usize) -> bool {
        let mut runs = self.runs.iter().rev().take_while(|run| run.end() > row);
        let from = self.find(row).unwrap_or_else(|run| run.at as usize);
        self.len() <= row
            || runs.any(|run| run.value.is_none())
            || self.valid.get(from..).is_some_and(|valid| valid.contains(&false))
    }

    pub(crate) fn get(&self, row: usize) -> Option<T> {
        let index = match self.find(row) {
            Ok(index) => index,
            Err(run) => return run.value,
        };
        let is_valid = self.valid.is_empty() || self.valid.get(index).copied().unwrap_or(false);
        self.values.get(index).copied().filter(|_| is_valid)
    }

    /// What it holds, in order of rows.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece<'_, T>> {
        let starts = std::iter::once(0).chain(self.runs.iter().map(|run| run.at as usize));
        let ends = self.runs.iter().map(|run| run.at as usize).chain([self.values.len()]);
        let runs = self.runs.iter().map(Some).chain([None]);
        starts.zip(ends).zip(runs).flat_map(|((start, end), run)| {
            let values = self.values.get(start..end).unwrap_or_default();
            let values = Piece::Values { values, valid: self.valid.get(start..end).unwrap_or_default() };
            let run = run.map(|run| Piece::Run { value: run.value, n: run.n as usize });
            std::iter::once(values).chain(run)
        })
    }

    /// Calls `see` with row and value of all that are no NULL.
    #[inline]
    pub(crate) fn for_values<V: From<T>>(&self, mut see: impl FnMut(usize, V)) {
        let mut row = 0;
        for piece in self.pieces() {
            let n = match piece {
                Piece::Values { values, valid: [] } => {
                    values.iter().enumerate().for_each(|(n, &value)| see(row + n, value.into()));
                    values.len()
                }
                Piece::Values { values, valid } => {
                    let values = values.iter().zip(valid).enumerate().filter(|(_, (_, valid))| **valid);
                    values.for_each(|(n, (&value, _))| see(row + n, value.into()));
                    valid.len()
                }
                Piece::Run { value, n } => {
                    value.into_iter().for_each(|value| (row..row + n).for_each(|row| see(row, value.into())));
                    n
                }
            };
            row += n;
        }
    }

    /// Forgets its values, and its memory if there were none.
    pub(crate) fn clear(&mut self) {
        if self.len() == 0 {
            *self = Self::default();
        }
        self.values.clear();
        self.valid.clear();
        self.runs.clear();
        self.repeated = (0, 0);
    }

    /// Makes room for so many rows.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.values.reserve(rows);
        self.valid.reserve(rows);
        self.runs.reserve(rows.div_ceil(RUN_ROWS_MIN));
    }

    /// Octets it uses.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.values.as_slice()) + self.valid.len() + size_of_val(self.runs.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a plain list of the same values would be.
    #[derive(Default)]
    struct Pair {
        fixed: Fixed<i32>,
        plain: Vec<Option<i32>>,
    }

    impl Pair {
        fn step(&mut self, choice: u32) {
            let (value, n) = ((choice / 9 % 3) as i32, (choice / 27 % 20) as usize);
            match choice % 9 {
                0 => self.both(value, 1, |fixed, value, _| fixed.push(Some(value))),
                1 | 2 => self.both(value, n, |fixed, value, n| fixed.push_n(value, n)),
                3 => self.both(value, n, |fixed, value, n| fixed.extend(std::iter::repeat_n(value, n))),
                4 => {
                    self.fixed.push(None);
                    self.plain.push(None);
                }
                5 => {
                    self.plain.resize(self.plain.len() + n, None);
                    self.fixed.pad_to(self.plain.len());
                }
                6 | 7 => {
                    let row = n.min(self.plain.len().saturating_sub(1));
                    if let Some(slot) = self.plain.get_mut(row) {
                        *slot = Some(value);
                        self.fixed.set(row, value);
                    }
                }
                _ => {
                    self.plain.truncate(self.plain.len().saturating_sub(n));
                    self.fixed.truncate(self.plain.len());
                }
            }
        }

        fn both(&mut self, value: i32, n: usize, append: impl Fn(&mut Fixed<i32>, i32, usize)) {
            append(&mut self.fixed, value, n);
            self.plain.resize(self.plain.len() + n, Some(value));
        }
    }

    #[test]
    fn runs_say_what_a_plain_list_says() {
        for seed in 0..500u32 {
            let mut pair = Pair::default();
            let mut choice = seed;
            for _ in 0..40 {
                choice = choice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                pair.step(choice >> 8);
                let n = pair.plain.len();
                assert_eq!(pair.fixed.len(), n);
                for row in 0..n + 2 {
                    let is_null =
                        pair.plain.get(row..).is_none_or(|rest| rest.is_empty() || rest.contains(&None));
                    assert_eq!(pair.fixed.has_nulls_from(row), is_null);
                }
                let seen: Vec<_> = (0..n + 2).map(|row| pair.fixed.get(row)).collect();
                let plain = pair.plain.iter().copied().chain([None, None]);
                assert_eq!(seen, plain.collect::<Vec<_>>());
                let rows = pair.fixed.pieces().flat_map(|piece| match piece {
                    Piece::Values { values, valid: [] } => values.iter().copied().map(Some).collect(),
                    Piece::Values { values, valid } => {
                        values.iter().zip(valid).map(|(&value, &valid)| valid.then_some(value)).collect()
                    }
                    Piece::Run { value, n } => vec![value; n],
                });
                assert_eq!(rows.collect::<Vec<_>>(), pair.plain);
                let mut values = vec![None; n];
                pair.fixed.for_values(|row, value: i64| values[row] = i32::try_from(value).ok());
                assert_eq!(values, pair.plain);
            }
        }
    }

    #[test]
    fn a_value_for_all_rows_takes_no_memory_per_row() {
        let mut fixed = Fixed::default();
        (0..1_000).for_each(|_| fixed.push_n([7u8; 16], 24));
        assert_eq!((fixed.len(), fixed.runs.len(), fixed.values.len()), (24_000, 1, 0));
        fixed.pad_to(1 << 20);
        assert!(fixed.bytes() < 100);
    }
}
