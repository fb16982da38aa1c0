//! The columns a question may name: those of the table, and those an operator
//! defined, as files list them in their metadata.

use std::fmt;

use flow_common::column::{COLUMNS, Column, ColumnId, ExtraColumn, Kind};
use flow_common::limits::EXTRA_COLUMNS_KNOWN_MAX;
use flow_common::time::Timestamp;

use crate::catalog::{self, Found, Source};
use crate::scan::Depth;

/// A column: its position in the table, or after it in [`Columns`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ColumnRef(u16);

impl From<ColumnId> for ColumnRef {
    fn from(id: ColumnId) -> Self {
        Self::of(id)
    }
}

impl PartialEq<ColumnId> for ColumnRef {
    fn eq(&self, id: &ColumnId) -> bool {
        *self == Self::from(*id)
    }
}

impl ColumnRef {
    /// A column of the table.
    pub(crate) const fn of(id: ColumnId) -> Self {
        Self(id as u16)
    }

    /// The place of what is computed, beyond all columns of files.
    pub(crate) fn computed(place: u16) -> Self {
        Self((COLUMNS.len() + EXTRA_COLUMNS_KNOWN_MAX) as u16 + place)
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its row of the table; `None` for one an operator defined.
    pub(crate) fn table(self) -> Option<&'static Column> {
        COLUMNS.get(self.index())
    }
}

/// The name in the table, or the place after it; for tests.
impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.table() {
            Some(column) => f.write_str(column.name),
            None => write!(f, "extra{}", self.index() - COLUMNS.len()),
        }
    }
}

/// The columns beyond the table that are known so far. Where files give one name
/// to values of several kinds, each is a column of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    extra: Vec<ExtraColumn>,
}

impl Columns {
    /// The column of `definition`, new or known; `None` where there is no room.
    pub(crate) fn add(&mut self, definition: &ExtraColumn) -> Option<ColumnRef> {
        let is_it = |known: &ExtraColumn| {
            known.name == definition.name && is_same_kind(known.kind(), definition.kind())
        };
        let position = self.extra.iter().position(is_it).unwrap_or(self.extra.len());
        if position == self.extra.len() {
            if position == EXTRA_COLUMNS_KNOWN_MAX {
                return None;
            }
            self.extra.push(definition.clone());
        }
        u16::try_from(COLUMNS.len() + position).ok().map(ColumnRef)
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.extra.len()
    }

    /// The column beyond the table that `name` means: of several kinds the first
    /// found, which is the newest file's.
    pub(crate) fn find(&self, name: &str) -> Option<ColumnRef> {
        let position = self.extra.iter().position(|known| known.name == name)?;
        u16::try_from(COLUMNS.len() + position).ok().map(ColumnRef)
    }

    /// Names of the columns beyond the table, each once.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let is_first = |&(position, column): &(usize, &ExtraColumn)| {
            !self.extra[..position].iter().any(|before| before.name == column.name)
        };
        self.extra.iter().enumerate().filter(is_first).map(|(_, column)| column.name.as_str())
    }

    /// What an operator defined it as; `None` for one of the table.
    pub(crate) fn definition(&self, column: ColumnRef) -> Option<&ExtraColumn> {
        self.extra.get(column.index().checked_sub(COLUMNS.len())?)
    }

    pub(crate) fn kind(&self, column: ColumnRef) -> Kind {
        let of_table = column.table().map(|column| column.kind);
        of_table.or_else(|| self.definition(column).map(ExtraColumn::kind)).unwrap_or(Kind::Other)
    }
}

/// Whether values of both kinds can be told in one question. Integers of any
/// width can.
fn is_same_kind(a: Kind, b: Kind) -> bool {
    let wide = |kind| if kind == Kind::Int32 { Kind::Int64 } else { kind };
    wide(a) == wide(b)
}

/// Looks for columns in the metadata of files, the newest first.
pub(crate) struct Discovery<'a> {
    source: &'a Source,
    now: Timestamp,
    /// Files not yet looked at, the newest last; `None` before the first is asked for.
    files: Option<Vec<Found>>,
}

impl<'a> Discovery<'a> {
    pub(crate) fn new(source: &'a Source, now: Timestamp) -> Self {
        Self { source, now, files: None }
    }

    /// What is asked about, and when.
    pub(crate) fn asked(&self) -> (&'a Source, Timestamp) {
        (self.source, self.now)
    }

    /// Adds those of the next file that has any new; false where none is left.
    ///
    /// What can't be read is passed over: the answer will name it.
    pub(crate) fn next(&mut self, columns: &mut Columns) -> bool {
        let list = || catalog::list(self.source, self.now).map(|listing| listing.files).unwrap_or_default();
        let files = self.files.get_or_insert_with(list);
        let known = columns.len();
        while let Some(mut found) = files.pop() {
            let Ok(file) = found.open(Depth::Footer) else { continue };
            for definition in file.definitions() {
                columns.add(definition);
            }
            if columns.len() > known {
                return true;
            }
        }
        false
    }

    /// Adds those of all files.
    pub(crate) fn all(&mut self, columns: &mut Columns) {
        while self.next(columns) {}
    }
}

#[cfg(test)]
mod tests {
    use flow_common::element::{AbstractDataType as T, ElementKey};

    use super::*;

    #[test]
    fn a_name_is_one_column_for_each_kind_of_values() {
        let define =
            |name: &str, data_type| ExtraColumn::new(name, ElementKey { pen: 9, id: 1 }, data_type).unwrap();
        let mut columns = Columns::default();
        let mut add = |name, data_type| columns.add(&define(name, data_type)).unwrap();
        let narrow = add("x", T::Unsigned8);
        assert_eq!(add("x", T::Signed64), narrow);
        let text = add("x", T::String);
        assert_ne!(text, narrow);
        add("y", T::Boolean);
        assert_eq!(columns.find("x"), Some(narrow));
        assert_eq!(columns.names().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!((columns.kind(text), columns.kind(ColumnId::Bytes.into())), (Kind::Text, Kind::Int64));
        for n in 0..2 * EXTRA_COLUMNS_KNOWN_MAX {
            columns.add(&define(&format!("n{n}"), T::String));
        }
        assert_eq!(columns.len(), EXTRA_COLUMNS_KNOWN_MAX);
    }
}
