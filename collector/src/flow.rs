//! Flow records in memory: one growing buffer per stored column.
//!
//! Decoding fills it column by column; a column a template does not have costs
//! nothing until the batch is written, when what is missing becomes NULL. This
//! module knows no Arrow: `batch` turns the buffers into arrays.

mod fixed;

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use flow_common::column::{COLUMNS, ColumnId, Kind};
use flow_common::limits;

pub(crate) use self::fixed::{Fixed, Piece};

/// Values of variable width with their NULLs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variable {
    pub(crate) bytes: Vec<u8>,
    /// End of each value in `bytes`.
    pub(crate) ends: Vec<i32>,
    /// One per value, or empty while all are valid.
    pub(crate) valid: Vec<bool>,
}

/// Lists of label stack entries; a row without any is NULL.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists {
    pub(crate) items: Vec<i32>,
    /// End of each row's list in `items`.
    pub(crate) ends: Vec<i32>,
}

/// Maps of element key to octets; a row without any is NULL.
#[derive(Debug, Clone, Default)]
pub(crate) struct Maps {
    pub(crate) keys: Vec<i64>,
    pub(crate) values: Variable,
    /// End of each row's entries in `keys`.
    pub(crate) ends: Vec<i32>,
}

/// The buffer of one column; it may be shorter than the batch, the rest is NULL.
#[derive(Debug, Clone)]
pub(crate) enum Buffer {
    Int32(Fixed<i32>),
    Int64(Fixed<i64>),
    Address(Fixed<[u8; 16]>),
    Mac(Fixed<[u8; 6]>),
    Variable(Variable),
    Lists(Lists),
    Maps(Maps),
}

impl Variable {
    pub(crate) fn push(&mut self, value: Option<&[u8]>) {
        if value.is_none() || !self.valid.is_empty() {
            self.valid.resize(self.ends.len(), true);
            self.valid.push(value.is_some());
        }
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.push(self.bytes.len() as i32);
    }

    /// Appends one value `n` times.
    pub(crate) fn push_n(&mut self, value: &[u8], n: usize) {
        (0..n).for_each(|_| self.push(Some(value)));
    }

    /// Appends NULLs until there are `rows` values.
    fn pad_to(&mut self, rows: usize) {
        if self.ends.len() < rows {
            self.valid.resize(self.ends.len(), true);
            self.valid.resize(rows, false);
            self.ends.resize(rows, self.bytes.len() as i32);
        }
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        range(&self.ends, row)
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        let is_valid = self.valid.is_empty() || self.valid.get(row).copied().unwrap_or(false);
        self.bytes.get(self.range(row)).filter(|_| is_valid && row < self.ends.len())
    }

    fn truncate(&mut self, n: usize) {
        self.ends.truncate(n);
        self.valid.truncate(n);
        self.bytes.truncate(end_of(&self.ends));
    }
}

impl Lists {
    fn pad_to(&mut self, rows: usize) {
        if self.ends.len() < rows {
            self.ends.resize(rows, self.items.len() as i32);
        }
    }
}

impl Maps {
    fn pad_to(&mut self, rows: usize) {
        if self.ends.len() < rows {
            self.ends.resize(rows, self.keys.len() as i32);
        }
    }
}

fn end_of(ends: &[i32]) -> usize {
    ends.last().map_or(0, |&end| end as usize)
}

/// Where the values of `row` lie, given the end of each row.
fn range(ends: &[i32], row: usize) -> std::ops::Range<usize> {
    let start = row.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |&end| end as usize);
    start..ends.get(row).map_or(start, |&end| end as usize)
}

impl Buffer {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Int32 => Self::Int32(Fixed::default()),
            Kind::Int64 | Kind::Timestamp => Self::Int64(Fixed::default()),
            Kind::Address => Self::Address(Fixed::default()),
            Kind::Mac => Self::Mac(Fixed::default()),
            Kind::Text | Kind::Binary => Self::Variable(Variable::default()),
            Kind::Labels => Self::Lists(Lists::default()),
            Kind::Other => Self::Maps(Maps::default()),
            Kind::Float64 | Kind::Boolean => unreachable!("no column of the table is {kind:?}"),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Int32(fixed) => fixed.len(),
            Self::Int64(fixed) => fixed.len(),
            Self::Address(fixed) => fixed.len(),
            Self::Mac(fixed) => fixed.len(),
            Self::Variable(variable) => variable.ends.len(),
            Self::Lists(lists) => lists.ends.len(),
            Self::Maps(maps) => maps.ends.len(),
        }
    }

    /// Appends NULLs until there are `rows` values.
    pub(crate) fn pad_to(&mut self, rows: usize) {
        match self {
            Self::Int32(fixed) => fixed.pad_to(rows),
            Self::Int64(fixed) => fixed.pad_to(rows),
            Self::Address(fixed) => fixed.pad_to(rows),
            Self::Mac(fixed) => fixed.pad_to(rows),
            Self::Variable(variable) => variable.pad_to(rows),
            Self::Lists(lists) => lists.pad_to(rows),
            Self::Maps(maps) => maps.pad_to(rows),
        }
    }

    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Int32(fixed) => fixed.truncate(rows),
            Self::Int64(fixed) => fixed.truncate(rows),
            Self::Address(fixed) => fixed.truncate(rows),
            Self::Mac(fixed) => fixed.truncate(rows),
            Self::Variable(variable) => variable.truncate(rows),
            Self::Lists(lists) => {
                lists.ends.truncate(rows);
                lists.items.truncate(end_of(&lists.ends));
            }
            Self::Maps(maps) => {
                maps.ends.truncate(rows);
                maps.keys.truncate(end_of(&maps.ends));
                maps.values.truncate(maps.keys.len());
            }
        }
    }

    /// What it holds; nothing is left.
    pub(crate) fn take(&mut self) -> Self {
        let empty = match self {
            Self::Int32(_) => Self::Int32(Fixed::default()),
            Self::Int64(_) => Self::Int64(Fixed::default()),
            Self::Address(_) => Self::Address(Fixed::default()),
            Self::Mac(_) => Self::Mac(Fixed::default()),
            Self::Variable(_) => Self::Variable(Variable::default()),
            Self::Lists(_) => Self::Lists(Lists::default()),
            Self::Maps(_) => Self::Maps(Maps::default()),
        };
        std::mem::replace(self, empty)
    }

    /// Forgets its values, and its memory if there were none.
    fn clear(&mut self) {
        match self {
            Self::Int32(fixed) => fixed.clear(),
            Self::Int64(fixed) => fixed.clear(),
            Self::Address(fixed) => fixed.clear(),
            Self::Mac(fixed) => fixed.clear(),
            // Written as arrays, which took their memory.
            Self::Variable(variable) => *variable = Variable::default(),
            Self::Lists(lists) => *lists = Lists::default(),
            Self::Maps(maps) => *maps = Maps::default(),
        }
    }

    /// Octets it uses.
    fn bytes(&self) -> usize {
        let variable =
            |variable: &Variable| variable.bytes.len() + 4 * variable.ends.len() + variable.valid.len();
        match self {
            Self::Int32(fixed) => fixed.bytes(),
            Self::Int64(fixed) => fixed.bytes(),
            Self::Address(fixed) => fixed.bytes(),
            Self::Mac(fixed) => fixed.bytes(),
            Self::Variable(values) => variable(values),
            Self::Lists(lists) => 4 * (lists.items.len() + lists.ends.len()),
            Self::Maps(maps) => 8 * maps.keys.len() + variable(&maps.values) + 4 * maps.ends.len(),
        }
    }

    /// Makes room for so many rows, each with one octet or entry where its length varies.
    fn reserve(&mut self, rows: usize) {
        let variable = |variable: &mut Variable| {
            variable.bytes.reserve(rows);
            variable.ends.reserve(rows);
            variable.valid.reserve(rows);
        };
        match self {
            Self::Int32(fixed) => fixed.reserve(rows),
            Self::Int64(fixed) => fixed.reserve(rows),
            Self::Address(fixed) => fixed.reserve(rows),
            Self::Mac(fixed) => fixed.reserve(rows),
            Self::Variable(values) => variable(values),
            Self::Lists(lists) => {
                lists.items.reserve(rows);
                lists.ends.reserve(rows);
            }
            Self::Maps(maps) => {
                maps.keys.reserve(rows);
                variable(&mut maps.values);
                maps.ends.reserve(rows);
            }
        }
    }

    /// Octets of variable-width values it holds.
    fn variable_bytes(&self) -> usize {
        match self {
            Self::Variable(variable) => variable.bytes.len(),
            Self::Maps(maps) => maps.values.bytes.len() + maps.keys.len() * 12,
            Self::Lists(lists) => lists.items.len() * 4,
            _ => 0,
        }
    }
}

/// Columns with values of variable width.
static VARIABLE_COLUMNS: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let is_variable = |kind| matches!(kind, Kind::Text | Kind::Binary | Kind::Labels | Kind::Other);
    let columns = COLUMNS.iter().enumerate().filter(|(_, column)| is_variable(column.kind));
    columns.map(|(index, _)| index).collect()
});

/// Records decoded and not yet written.
#[derive(Debug, Clone)]
pub(crate) struct FlowBatch {
    rows: usize,
    buffers: Vec<Buffer>,
}

impl Default for FlowBatch {
    fn default() -> Self {
        Self { rows: 0, buffers: COLUMNS.iter().map(|column| Buffer::new(column.kind)).collect() }
    }
}

/// A column's buffer was asked for as another kind: an error in the plan, which
/// tests over every column exclude.
macro_rules! typed {
    ($name:ident, $variant:ident, $type:ty) => {
        /// The buffer of `column`, filled with NULL up to the first row of the set
        /// being decoded.
        pub(crate) fn $name(&mut self, column: ColumnId) -> &mut $type {
            match &mut self.buffers[column as usize] {
                Buffer::$variant(typed) => {
                    typed.pad_to(self.rows);
                    typed
                }
                other => unreachable!("{} is not {}: {other:?}", column.name(), stringify!($variant)),
            }
        }
    };
}

impl FlowBatch {
    typed!(int32, Int32, Fixed<i32>);
    typed!(int64, Int64, Fixed<i64>);
    typed!(address, Address, Fixed<[u8; 16]>);
    typed!(mac, Mac, Fixed<[u8; 6]>);
    typed!(variable, Variable, Variable);
    typed!(lists, Lists, Lists);
    typed!(maps, Maps, Maps);

    /// Records for which `column` was filled, or skipped before a record that was.
    pub(crate) fn filled(&self, column: ColumnId) -> usize {
        self.buffers[column as usize].len()
    }

    /// Whether `column` has no value for some record from `row` on.
    pub(crate) fn has_nulls_from(&self, column: ColumnId, row: usize) -> bool {
        match &self.buffers[column as usize] {
            Buffer::Int64(fixed) => fixed.has_nulls_from(row),
            _ => true,
        }
    }

    /// Sets the number of a record, the last ones of a column first filled with NULL.
    pub(crate) fn set_int64(&mut self, column: ColumnId, row: usize, value: i64) {
        let buffer = &mut self.buffers[column as usize];
        if buffer.len() == row {
            if let Buffer::Int64(fixed) = buffer {
                fixed.push(Some(value));
            }
            return;
        }
        buffer.pad_to(row + 1);
        if let Buffer::Int64(fixed) = buffer {
            fixed.set(row, value);
        }
    }

    /// Changes the number of a record that has one.
    pub(crate) fn set_int32(&mut self, column: ColumnId, row: usize, value: i32) {
        if let Buffer::Int32(fixed) = &mut self.buffers[column as usize] {
            fixed.set(row, value);
        }
    }

    /// Whether the record being decoded has its value, or its NULL, in `column`.
    pub(crate) fn has_value(&self, column: ColumnId) -> bool {
        self.buffers[column as usize].len() > self.rows
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Ends a set of `n` records; columns not filled for them are NULL.
    pub(crate) fn add_rows(&mut self, n: usize) {
        self.rows += n;
        debug_assert!(self.buffers.iter().all(|buffer| buffer.len() <= self.rows), "a column ran ahead");
    }

    /// Whether no column has more values than there are rows.
    #[cfg(test)]
    pub(crate) fn is_consistent(&self) -> bool {
        self.buffers.iter().all(|buffer| buffer.len() <= self.rows)
    }

    /// Takes back everything after the first `rows` records, also the values of a
    /// set that `add_rows` never ended.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.rows = rows;
        self.buffers.iter_mut().for_each(|buffer| buffer.truncate(rows));
    }

    /// Octets of variable-width values held.
    pub(crate) fn variable_bytes(&self) -> usize {
        // Asked after every datagram: most columns need no look.
        let buffers = VARIABLE_COLUMNS.iter().filter_map(|&column| self.buffers.get(column));
        buffers.map(Buffer::variable_bytes).sum()
    }

    /// Octets used by all columns.
    pub(crate) fn bytes(&self) -> usize {
        self.buffers.iter().map(Buffer::bytes).sum()
    }

    /// Makes room for so many records, whatever their template.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.buffers.iter_mut().for_each(|buffer| buffer.reserve(rows));
    }

    /// Buffers in order of the column table.
    pub(crate) fn buffers_mut(&mut self) -> &mut [Buffer] {
        &mut self.buffers
    }

    /// Calls `see` with row and value wherever an integer column has one.
    #[inline]
    pub(crate) fn for_integers(&self, column: ColumnId, see: impl FnMut(usize, i64)) {
        match &self.buffers[column as usize] {
            Buffer::Int32(fixed) => fixed.for_values(see),
            Buffer::Int64(fixed) => fixed.for_values(see),
            _ => {}
        }
    }

    /// Forgets all records; columns they had values in keep their memory.
    fn clear(&mut self) {
        self.rows = 0;
        self.buffers.iter_mut().for_each(Buffer::clear);
    }

    /// Whether any record has something in this column.
    pub(crate) fn has(&self, column: ColumnId) -> bool {
        self.buffers[column as usize].len() > 0
    }

    /// An integer or timestamp of one record.
    pub(crate) fn integer(&self, column: ColumnId, row: usize) -> Option<i64> {
        match &self.buffers[column as usize] {
            Buffer::Int32(fixed) => fixed.get(row).map(i64::from),
            Buffer::Int64(fixed) => fixed.get(row),
            _ => None,
        }
    }

    /// An address of one record.
    pub(crate) fn address_at(&self, column: ColumnId, row: usize) -> Option<[u8; 16]> {
        match &self.buffers[column as usize] {
            Buffer::Address(fixed) => fixed.get(row),
            _ => None,
        }
    }

    /// A MAC address of one record.
    pub(crate) fn mac_at(&self, column: ColumnId, row: usize) -> Option<[u8; 6]> {
        match &self.buffers[column as usize] {
            Buffer::Mac(fixed) => fixed.get(row),
            _ => None,
        }
    }

    /// Text or octets of one record.
    pub(crate) fn bytes_at(&self, column: ColumnId, row: usize) -> Option<&[u8]> {
        match &self.buffers[column as usize] {
            Buffer::Variable(variable) => variable.get(row),
            _ => None,
        }
    }

    /// The label stack of one record.
    pub(crate) fn labels_at(&self, row: usize) -> &[i32] {
        match &self.buffers[ColumnId::MplsLabels as usize] {
            Buffer::Lists(lists) => lists.items.get(range(&lists.ends, row)).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Elements without a column of all records.
    pub(crate) fn others(&self) -> &Maps {
        let Buffer::Maps(maps) = &self.buffers[ColumnId::Other as usize] else {
            unreachable!("`other` is a map")
        };
        maps
    }

    /// Elements without a column of one record.
    pub(crate) fn other_at(&self, row: usize) -> impl Iterator<Item = (i64, &[u8])> {
        let maps = self.others();
        range(&maps.ends, row).map(|entry| (maps.keys[entry], maps.values.get(entry).unwrap_or_default()))
    }
}

/// Batches that were written, for those to come: a full one takes some 8,000 pages, and
/// the system clears each before it gives it.
#[derive(Debug, Default)]
pub(crate) struct Spares(Mutex<Vec<FlowBatch>>);

impl Spares {
    /// An empty batch.
    pub(crate) fn take(&self) -> FlowBatch {
        self.lock().pop().unwrap_or_default()
    }

    /// Keeps the memory of a batch, if there is not enough already.
    pub(crate) fn put(&self, mut batch: FlowBatch) {
        batch.clear();
        let mut spares = self.lock();
        if spares.len() < limits::SPARE_BATCHES_MAX {
            spares.push(batch);
        }
    }

    /// A thread that panicked holding the lock left the list whole.
    fn lock(&self) -> MutexGuard<'_, Vec<FlowBatch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_used_again_holds_nothing_of_before() {
        let spares = Spares::default();
        let mut batch = spares.take();
        batch.int32(ColumnId::SrcPort).push(Some(53));
        batch.int32(ColumnId::DstPort).push_n(53, 9);
        batch.variable(ColumnId::Username).push(Some(b"joe"));
        batch.add_rows(9);
        spares.put(batch);
        let mut batch = spares.take();
        assert!(batch.is_empty() && batch.bytes() == 0);
        assert!(COLUMNS.iter().all(|column| !batch.has(column.id)));
        batch.int32(ColumnId::DstPort).push(None);
        batch.add_rows(1);
        assert_eq!(batch.integer(ColumnId::DstPort, 0), None);
        assert_eq!(batch.integer(ColumnId::SrcPort, 0), None);
    }

    #[test]
    fn columns_left_out_become_null_and_truncate_takes_back() {
        let mut batch = FlowBatch::default();
        batch.int32(ColumnId::SrcPort).push_n(53, 2);
        batch.add_rows(2);
        batch.int64(ColumnId::Bytes).push(Some(7));
        batch.variable(ColumnId::Username).push(Some(b"joe"));
        batch.maps(ColumnId::Other).keys.push(82);
        batch.maps(ColumnId::Other).values.push(Some(b"eth0"));
        let maps = batch.maps(ColumnId::Other);
        maps.ends.push(maps.keys.len() as i32);
        batch.add_rows(1);
        assert_eq!(batch.integer(ColumnId::SrcPort, 1), Some(53));
        assert_eq!(batch.integer(ColumnId::SrcPort, 2), None);
        assert_eq!(batch.integer(ColumnId::Bytes, 0), None);
        assert_eq!(batch.integer(ColumnId::Bytes, 2), Some(7));
        assert_eq!(batch.bytes_at(ColumnId::Username, 2), Some(&b"joe"[..]));
        assert_eq!(batch.bytes_at(ColumnId::Username, 1), None);
        assert_eq!(batch.other_at(2).collect::<Vec<_>>(), [(82, &b"eth0"[..])]);
        assert_eq!(batch.other_at(1).count(), 0);

        batch.truncate(2);
        assert_eq!((batch.rows(), batch.variable_bytes()), (2, 0));
        assert_eq!(batch.integer(ColumnId::Bytes, 2), None);
        batch.int64(ColumnId::Bytes).push(Some(9));
        assert_eq!(batch.integer(ColumnId::Bytes, 2), Some(9));
    }
}
