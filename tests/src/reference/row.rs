//! One flow record, a cell for each column.

use flow_common::column::{COLUMNS, ColumnId, ExtraColumn, Kind};

/// Position of a column: in the table, or behind it among a tree's own.
pub(super) type Place = usize;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// A number, or a time in microseconds.
    Int(i64),
    Real(f64),
    Truth(bool),
    /// An address, a MAC or octets as received.
    Octets(Vec<u8>),
    Text(String),
    Labels(Vec<i32>),
    Other(Vec<(i64, Vec<u8>)>),
}

impl Cell {
    /// Whether it is a list without entries.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Labels(labels) => labels.is_empty(),
            Self::Other(entries) => entries.is_empty(),
            _ => false,
        }
    }
}

/// A flow record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) cells: Vec<Option<Cell>>,
    /// What its counters were multiplied by.
    pub(super) rate: i64,
}

impl Row {
    pub(super) fn cell(&self, place: Place) -> Option<&Cell> {
        self.cells.get(place)?.as_ref()
    }

    pub(super) fn int_at(&self, place: Place) -> Option<i64> {
        match self.cell(place)? {
            Cell::Int(value) => Some(*value),
            Cell::Truth(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    pub(super) fn int(&self, id: ColumnId) -> Option<i64> {
        self.int_at(id as usize)
    }

    pub(super) fn octets(&self, place: Place) -> Option<&[u8]> {
        match self.cell(place)? {
            Cell::Octets(octets) => Some(octets),
            _ => None,
        }
    }

    pub(super) fn address(&self, id: ColumnId) -> Option<[u8; 16]> {
        self.octets(id as usize)?.try_into().ok()
    }

    /// Start of the flow; its end where that is NULL, else when it was received.
    pub(super) fn first(&self) -> Option<i64> {
        let known = [ColumnId::FlowStart, ColumnId::FlowEnd, ColumnId::Received];
        known.into_iter().find_map(|id| self.int(id))
    }

    /// End of the flow; its start where that is NULL, else when it was received.
    pub(super) fn last(&self) -> Option<i64> {
        let known = [ColumnId::FlowEnd, ColumnId::FlowStart, ColumnId::Received];
        known.into_iter().find_map(|id| self.int(id))
    }

    /// ICMP of either family.
    pub(super) fn is_icmp(&self) -> bool {
        matches!(self.int(ColumnId::Protocol), Some(1 | 58))
    }
}

/// Name and kind of the column at `place`.
pub(super) fn column(place: Place, extra: &[ExtraColumn]) -> (&str, Kind) {
    match COLUMNS.get(place) {
        Some(column) => (column.name, column.kind),
        None => {
            let column = &extra[place - COLUMNS.len()];
            (&column.name, column.kind())
        }
    }
}
