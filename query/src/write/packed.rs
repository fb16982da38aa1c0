//! Rows as octets, from the thread that reads them to the one that writes: the columns that are
//! not NULL, each with its number and its value.

use super::{Cell, Rows};
use crate::unpacker::Unpacker;

/// Appends cells to a row.
pub(crate) struct Packer<'t> {
    text: &'t mut Vec<u8>,
    /// Where the number of cells stands.
    head: usize,
    cells: u16,
}

impl<'t> Packer<'t> {
    pub(crate) fn new(text: &'t mut Vec<u8>) -> Self {
        let head = text.len();
        text.extend([0; 2]);
        Self { text, head, cells: 0 }
    }

    /// The column at `index` of the row has this value; columns come once.
    pub(crate) fn put(&mut self, index: usize, cell: Cell<'_>) {
        let Ok(index) = u16::try_from(index) else { return };
        self.text.extend(index.to_le_bytes());
        match cell {
            Cell::Int(int) => self.value(0, &int.to_le_bytes()),
            Cell::Octets(octets) => {
                self.text.push(1);
                self.octets(octets);
            }
            Cell::Float(float) => self.value(2, &float.to_le_bytes()),
            Cell::Boolean(boolean) => self.value(3, &[u8::from(boolean)]),
            Cell::Labels(labels) => {
                self.value(4, &(labels.len() as u32).to_le_bytes());
                labels.iter().for_each(|label| self.text.extend(label.to_le_bytes()));
            }
            Cell::Entries(entries) => {
                self.value(5, &(entries.len() as u32).to_le_bytes());
                for (key, octets) in entries {
                    self.text.extend(key.to_le_bytes());
                    self.octets(octets);
                }
            }
        }
        self.cells += 1;
    }

    fn value(&mut self, tag: u8, octets: &[u8]) {
        self.text.push(tag);
        self.text.extend_from_slice(octets);
    }

    fn octets(&mut self, octets: &[u8]) {
        self.text.extend((octets.len() as u32).to_le_bytes());
        self.text.extend_from_slice(octets);
    }
}

impl Drop for Packer<'_> {
    fn drop(&mut self) {
        let cells = self.cells.to_le_bytes();
        if let Some(head) = self.text.get_mut(self.head..self.head + 2) {
            head.copy_from_slice(&cells);
        }
    }
}

impl<'t> Unpacker<'t> {
    fn octets(&mut self) -> Option<&'t [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn row(&mut self, rows: &mut Rows) -> Option<()> {
        let cells = u16::from_le_bytes(self.array()?);
        for _ in 0..cells {
            let index = usize::from(u16::from_le_bytes(self.array()?));
            let [tag] = self.array()?;
            match tag {
                0 => rows.push(index, Some(Cell::Int(i64::from_le_bytes(self.array()?)))),
                1 => rows.push(index, Some(Cell::Octets(self.octets()?))),
                2 => rows.push(index, Some(Cell::Float(f64::from_le_bytes(self.array()?)))),
                3 => rows.push(index, Some(Cell::Boolean(self.array()? != [0]))),
                4 => {
                    let n = self.length()?;
                    let labels: Option<Vec<i32>> =
                        (0..n).map(|_| self.array().map(i32::from_le_bytes)).collect();
                    rows.push(index, Some(Cell::Labels(&labels?)));
                }
                _ => {
                    let n = self.length()?;
                    let entries: Option<Vec<(i64, &[u8])>> =
                        (0..n).map(|_| Some((i64::from_le_bytes(self.array()?), self.octets()?))).collect();
                    rows.push(index, Some(Cell::Entries(&entries?)));
                }
            }
        }
        rows.end_row();
        Some(())
    }
}

/// Appends the rows of `text` to `rows`, as long as there is room; what is left of `text`.
pub(crate) fn unpack<'t>(text: &'t [u8], rows: &mut Rows) -> &'t [u8] {
    let mut unpacker = Unpacker(text);
    while !unpacker.0.is_empty() && !rows.is_full() {
        // Whoever packed them is this program, so there is always a whole row.
        if unpacker.row(rows).is_none() {
            break;
        }
    }
    unpacker.0
}

#[cfg(test)]
mod tests {
    use flow_common::column::ColumnId;

    use super::*;

    #[test]
    fn rows_are_unpacked_as_they_were() {
        let mut text = Vec::new();
        for n in 0..3_i64 {
            let mut packer = Packer::new(&mut text);
            packer.put(ColumnId::Received as usize, Cell::Int(n));
            packer.put(ColumnId::ExporterAddr as usize, Cell::Octets(&[n as u8; 16]));
            packer.put(ColumnId::ExportVersion as usize, Cell::Int(9));
            if n == 1 {
                packer.put(ColumnId::MplsLabels as usize, Cell::Labels(&[1, 2]));
                packer.put(ColumnId::Other as usize, Cell::Entries(&[(7, b"x"), (8, b"")]));
                packer.put(ColumnId::Username as usize, Cell::Octets(b"ann"));
            }
        }
        let mut rows = Rows::new(&[]);
        assert_eq!(unpack(&text, &mut rows), b"");
        assert_eq!(rows.len(), 3);
        assert_eq!(rows.int(ColumnId::Received, 2), Some(2));
        assert_eq!(rows.address(ColumnId::ExporterAddr, 1), Some([1; 16]));
        let batch = rows.take().unwrap();
        let nulls = |column: ColumnId| batch.column(column as usize).null_count();
        assert_eq!([ColumnId::MplsLabels, ColumnId::Other, ColumnId::Username].map(nulls), [2; 3]);
    }
}
