//! Values of a column as the scan decodes them: of a dictionary, or row by row.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::ArrayRef;

/// Values of one kind, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Values {
    /// Numbers and times.
    Ints(Vec<i64>),
    /// Octets of one width, at most 16, as big-endian numbers.
    Fixed(Vec<u128>),
    /// Text or octets of any length.
    Bytes(Bytes),
}

/// Texts or octets, joined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bytes {
    octets: Vec<u8>,
    ends: Vec<usize>,
}

impl Bytes {
    pub(crate) fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
        self.ends.push(self.octets.len());
    }

    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { *self.ends.get(index - 1)? };
        self.octets.get(start..end)
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.octets.truncate(self.ends.last().copied().unwrap_or(0));
    }
}

impl Values {
    /// None yet, of the same kind.
    pub(crate) fn empty_like(&self) -> Self {
        match self {
            Self::Ints(_) => Self::Ints(Vec::new()),
            Self::Fixed(_) => Self::Fixed(Vec::new()),
            Self::Bytes(_) => Self::Bytes(Bytes::default()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Ints(values) => values.len(),
            Self::Fixed(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    /// Appends the values of `from` at `indices`; zero where there is none.
    fn extend_at(&mut self, from: &Self, indices: impl Iterator<Item = usize>) {
        match (self, from) {
            (Self::Ints(into), Self::Ints(from)) => {
                into.extend(indices.map(|index| from.get(index).copied().unwrap_or(0)));
            }
            (Self::Fixed(into), Self::Fixed(from)) => {
                into.extend(indices.map(|index| from.get(index).copied().unwrap_or(0)));
            }
            (Self::Bytes(into), Self::Bytes(from)) => {
                indices.for_each(|index| into.push(from.get(index).unwrap_or_default()));
            }
            _ => {}
        }
    }

    fn append(&mut self, other: &Self) {
        self.extend_at(other, 0..other.len());
    }

    /// The first `n` leave, the rest stay.
    fn split_front(&mut self, n: usize) -> Self {
        match self {
            Self::Ints(values) => {
                let rest = values.split_off(n);
                Self::Ints(std::mem::replace(values, rest))
            }
            Self::Fixed(values) => {
                let rest = values.split_off(n);
                Self::Fixed(std::mem::replace(values, rest))
            }
            Self::Bytes(values) => {
                let mut rest = Bytes::default();
                (n..values.len()).for_each(|index| rest.push(values.get(index).unwrap_or_default()));
                let mut front = std::mem::replace(values, rest);
                front.truncate(n);
                Self::Bytes(front)
            }
        }
    }
}

/// Memory of dictionaries and columns that are done with, for the next ones of a thread: that of
/// a new page of memory costs more than what is decoded into it.
pub(crate) mod spare {
    use std::cell::RefCell;

    /// Of one kind; the number is that of the columns of a question, about.
    const KEPT: usize = 8;

    thread_local! {
        pub(crate) static WINDOWS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
        pub(crate) static PAGES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
        pub(crate) static INTS: RefCell<Vec<Vec<i64>>> = const { RefCell::new(Vec::new()) };
        pub(crate) static FIXED: RefCell<Vec<Vec<u128>>> = const { RefCell::new(Vec::new()) };
    }

    /// Memory of what was used before; what is in it means nothing.
    pub(crate) fn take<T: Default>(spares: &RefCell<Vec<T>>) -> T {
        spares.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps memory for later.
    pub(crate) fn give<T>(spares: &RefCell<Vec<T>>, one: T) {
        let mut spares = spares.borrow_mut();
        if spares.len() < KEPT {
            spares.push(one);
        }
    }
}

/// The values a row group's column takes, each with an id: its position.
#[derive(Debug)]
pub(crate) struct Dictionary {
    /// Unlike that of every other dictionary of the run, so that what is computed of
    /// its values can be kept between batches.
    pub(crate) id: u64,
    pub(crate) values: Values,
}

impl Drop for Dictionary {
    fn drop(&mut self) {
        // A thread that ends has no use for it.
        match std::mem::replace(&mut self.values, Values::Ints(Vec::new())) {
            Values::Ints(values) => spare::INTS.try_with(|spares| spare::give(spares, values)).ok(),
            Values::Fixed(values) => spare::FIXED.try_with(|spares| spare::give(spares, values)).ok(),
            Values::Bytes(_) => None,
        };
    }
}

impl Dictionary {
    /// A dictionary with an id of its own.
    pub(crate) fn new(values: Values) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), values }
    }

    /// How many values; the id of NULL.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

/// One column of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Column {
    /// NULL in every row.
    Null,
    /// Ids into a dictionary; that of NULL is its length.
    Ids { dictionary: Arc<Dictionary>, ids: Vec<u32> },
    /// A value a row; where `nulls` says so it is none.
    Plain { values: Values, nulls: Option<Vec<bool>> },
    /// What only the `arrow` reader understands: lists, maps, foreign encodings.
    Array(ArrayRef),
}

impl Column {
    /// Numbers, or none, row by row.
    pub(crate) fn ints(rows: impl Iterator<Item = Option<i64>>) -> Self {
        let (values, nulls) = rows.map(|value| (value.unwrap_or(0), value.is_none())).unzip();
        Self::Plain { values: Values::Ints(values), nulls: Some(nulls) }
    }

    /// As [`Self::ints`], of octets of a fixed width.
    pub(crate) fn fixed(rows: impl Iterator<Item = Option<u128>>) -> Self {
        let (values, nulls) = rows.map(|value| (value.unwrap_or(0), value.is_none())).unzip();
        Self::Plain { values: Values::Fixed(values), nulls: Some(nulls) }
    }

    /// Of `rows`, in ascending order, only those.
    pub(crate) fn select(&mut self, rows: &[u32]) {
        match self {
            Self::Null => {}
            Self::Ids { ids, .. } => keep(ids, rows),
            Self::Plain { values, nulls } => {
                match values {
                    Values::Ints(values) => keep(values, rows),
                    Values::Fixed(values) => keep(values, rows),
                    Values::Bytes(values) => {
                        let mut kept = Bytes::default();
                        rows.iter().for_each(|&row| kept.push(values.get(row as usize).unwrap_or_default()));
                        *values = kept;
                    }
                }
                if let Some(nulls) = nulls {
                    keep(nulls, rows);
                }
            }
            Self::Array(array) => {
                let rows = arrow_array::UInt32Array::from(rows.to_vec());
                if let Ok(kept) = arrow_select::take::take(array, &rows, None) {
                    *array = kept;
                }
            }
        }
    }

    /// One row of it.
    pub(crate) fn row(&self, row: usize) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Ids { dictionary, ids } => {
                let id = ids.get(row).copied().unwrap_or(dictionary.len() as u32);
                Self::Ids { dictionary: Arc::clone(dictionary), ids: vec![id] }
            }
            Self::Plain { values, nulls } => {
                let mut one = values.empty_like();
                one.extend_at(values, std::iter::once(row));
                let nulls = nulls.as_ref().map(|nulls| vec![nulls.get(row).copied().unwrap_or(true)]);
                Self::Plain { values: one, nulls }
            }
            Self::Array(array) => {
                Self::Array(array.slice(row.min(array.len()), usize::from(row < array.len())))
            }
        }
    }

    /// As [`Self::row`], into what was another row of it.
    pub(crate) fn row_into(&self, row: usize, one: &mut Self) {
        match (self, &mut *one) {
            (Self::Null, Self::Null) => return,
            (Self::Ids { ids, .. }, Self::Ids { ids: into, .. }) => {
                if let (Some(id), [into]) = (ids.get(row), &mut into[..]) {
                    *into = *id;
                    return;
                }
            }
            (
                Self::Plain { values: Values::Ints(values), nulls },
                Self::Plain { values: Values::Ints(into), nulls: into_nulls },
            ) => {
                if let (Some(value), [into]) = (values.get(row), &mut into[..]) {
                    *into = *value;
                    if let (Some(nulls), Some([into])) = (nulls, into_nulls.as_deref_mut()) {
                        *into = nulls.get(row).copied().unwrap_or(true);
                    }
                    return;
                }
            }
            _ => {}
        }
        *one = self.row(row);
    }

    /// The first `rows` rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Null => {}
            Self::Ids { ids, .. } => ids.truncate(rows),
            Self::Plain { values, nulls } => {
                match values {
                    Values::Ints(values) => values.truncate(rows),
                    Values::Fixed(values) => values.truncate(rows),
                    Values::Bytes(values) => values.truncate(rows),
                }
                if let Some(nulls) = nulls {
                    nulls.truncate(rows);
                }
            }
            Self::Array(array) => *array = array.slice(0, rows.min(array.len())),
        }
    }

    /// The first `n` of `of` rows leave, the rest stay.
    pub(crate) fn split_front(&mut self, n: usize, of: usize) -> Self {
        if n >= of {
            return std::mem::replace(self, Self::Null);
        }
        match self {
            Self::Null => Self::Null,
            Self::Ids { dictionary, ids } => {
                let rest = ids.split_off(n);
                Self::Ids { dictionary: Arc::clone(dictionary), ids: std::mem::replace(ids, rest) }
            }
            Self::Plain { values, nulls } => {
                let front = nulls.as_mut().map(|nulls| {
                    let rest = nulls.split_off(n);
                    std::mem::replace(nulls, rest)
                });
                Self::Plain { values: values.split_front(n), nulls: front }
            }
            Self::Array(array) => {
                let front = array.slice(0, n);
                *array = array.slice(n, array.len() - n);
                Self::Array(front)
            }
        }
    }

    /// Appends `other`'s rows to these `rows`; both are of one column.
    pub(crate) fn append(&mut self, rows: usize, other: Self, other_rows: usize) {
        if rows == 0 {
            *self = other;
            return;
        }
        match (&mut *self, other) {
            (Self::Null, Self::Null) => {}
            (Self::Ids { dictionary, ids }, Self::Ids { dictionary: other, ids: more })
                if dictionary.id == other.id =>
            {
                ids.extend_from_slice(&more);
            }
            (_, other) => {
                let like = [&*self, &other].into_iter().find_map(|column| match column {
                    Self::Ids { dictionary, .. } => Some(dictionary.values.empty_like()),
                    Self::Plain { values, .. } => Some(values.empty_like()),
                    _ => None,
                });
                let mut values = like.unwrap_or_else(|| Values::Ints(Vec::new()));
                let mut nulls = Vec::with_capacity(rows + other_rows);
                self.put(rows, &mut values, &mut nulls);
                other.put(other_rows, &mut values, &mut nulls);
                *self = Self::Plain { values, nulls: Some(nulls) };
            }
        }
    }

    /// Appends `rows` rows, value by value.
    fn put(&self, rows: usize, into: &mut Values, nulls: &mut Vec<bool>) {
        match self {
            Self::Null | Self::Array(_) => {
                let nothing = into.empty_like();
                into.extend_at(&nothing, std::iter::repeat_n(0, rows));
                nulls.extend(std::iter::repeat_n(true, rows));
            }
            Self::Ids { dictionary, ids } => {
                into.extend_at(&dictionary.values, ids.iter().map(|&id| id as usize));
                nulls.extend(ids.iter().map(|&id| id as usize >= dictionary.len()));
            }
            Self::Plain { values, nulls: own } => {
                into.append(values);
                match own {
                    Some(own) => nulls.extend_from_slice(own),
                    None => nulls.extend(std::iter::repeat_n(false, rows)),
                }
            }
        }
    }
}

/// Keeps the items at `rows`, which ascend.
fn keep<T: Copy>(items: &mut Vec<T>, rows: &[u32]) {
    // In place: a row never moves behind itself.
    for (to, &from) in rows.iter().enumerate() {
        items[to] = items[from as usize];
    }
    items.truncate(rows.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Values {
        let mut bytes = Bytes::default();
        texts.iter().for_each(|text| bytes.push(text.as_bytes()));
        Values::Bytes(bytes)
    }

    fn ids(ids: &[u32]) -> Column {
        let dictionary = Arc::new(Dictionary { id: 7, values: words(&["a", "bc", ""]) });
        Column::Ids { dictionary, ids: ids.to_vec() }
    }

    fn plain(texts: &[&str], nulls: Option<&[bool]>) -> Column {
        Column::Plain { values: words(texts), nulls: nulls.map(<[bool]>::to_vec) }
    }

    /// Rows as text, `-` for NULL.
    fn shown(column: &Column, rows: usize) -> String {
        let row = |row: usize| match column {
            Column::Ids { dictionary, ids } => match &dictionary.values {
                Values::Bytes(bytes) => bytes.get(ids[row] as usize),
                _ => None,
            },
            Column::Plain { values: Values::Bytes(bytes), nulls } => {
                bytes.get(row).filter(|_| !nulls.as_ref().is_some_and(|nulls| nulls[row]))
            }
            _ => None,
        };
        let text = |octets: Option<&[u8]>| octets.map_or("-".into(), |o| String::from_utf8_lossy(o).into());
        (0..rows).map(|at| text(row(at))).collect::<Vec<String>>().join(",")
    }

    #[test]
    fn columns_are_cut_and_joined() {
        for column in [
            ids(&[1, 3, 0, 2, 1]),
            plain(&["bc", "x", "a", "", "bc"], Some(&[false, true, false, false, false])),
        ] {
            assert_eq!(shown(&column, 5), "bc,-,a,,bc");
            let mut rest = column.clone();
            let front = rest.split_front(2, 5);
            assert_eq!((shown(&front, 2), shown(&rest, 3)), ("bc,-".into(), "a,,bc".into()));
            let mut joined = front;
            joined.append(2, rest, 3);
            assert_eq!(shown(&joined, 5), "bc,-,a,,bc");
            let mut some = column.clone();
            some.select(&[1, 2, 4]);
            assert_eq!(shown(&some, 3), "-,a,bc");
            let single: Vec<String> = (0..3).map(|row| shown(&some.row(row), 1)).collect();
            assert_eq!(single, ["-", "a", "bc"]);
            let mut one = some.row(2);
            for (row, expected) in single.iter().enumerate() {
                some.row_into(row, &mut one);
                assert_eq!(shown(&one, 1), *expected);
            }
            some.truncate(2);
            assert_eq!(shown(&some, 2), "-,a");
        }
    }

    #[test]
    fn pages_of_two_encodings_join() {
        let mut column = ids(&[1, 3]);
        column.append(2, plain(&["z"], None), 1);
        column.append(3, Column::Null, 2);
        assert_eq!(shown(&column, 5), "bc,-,z,-,-");
        let mut column = Column::Null;
        column.append(2, ids(&[0]), 1);
        assert_eq!(shown(&column, 3), "-,-,a");
    }
}
