//! RFC 4180 with column names for a header. What the exporter did not send is an
//! empty field.

use std::io::{self, Write};

use flow_common::column::{ColumnId, Kind};

use super::cell::{ColumnText, Form};
use super::text::{Text, TimeText};
use super::{RowFormat, RowFormatter, Style};
use crate::Zone;
use crate::batch::{Batch, Cells};
use crate::columns::Columns;

/// Columns read; `duration` is the difference of the times.
pub(super) const COLUMNS: [ColumnId; 10] = [
    ColumnId::FlowStart,
    ColumnId::FlowEnd,
    ColumnId::Protocol,
    ColumnId::SrcAddr,
    ColumnId::SrcPort,
    ColumnId::DstAddr,
    ColumnId::DstPort,
    ColumnId::Packets,
    ColumnId::Bytes,
    ColumnId::FlowCount,
];

pub(super) struct Csv {
    zone: Zone,
    /// Names of columns beyond the table, after the others.
    extra: Vec<String>,
}

impl Csv {
    pub(super) fn new(style: &Style, columns: &Columns) -> Self {
        Self { zone: style.zone, extra: columns.names().map(str::to_owned).collect() }
    }
}

/// Header of a table of flows.
pub(super) fn write_header(out: &mut dyn Write, extra: &[String]) -> io::Result<()> {
    let names = COLUMNS.map(|column| if column == ColumnId::FlowEnd { "duration" } else { column.name() });
    write!(out, "{}", names.join(","))?;
    extra.iter().try_for_each(|name| write!(out, ",{name}"))?;
    writeln!(out)
}

impl RowFormat for Csv {
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        write_header(out, &self.extra)
    }

    fn formatter(&self) -> Box<dyn RowFormatter> {
        Box::new(CsvRows { times: TimeText::new(self.zone), extra: self.extra.clone() })
    }
}

struct CsvRows {
    times: TimeText,
    extra: Vec<String>,
}

impl RowFormatter for CsvRows {
    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let [start, end, .., flows] = COLUMNS.map(|id| batch.cells(id));
        // Of the columns between them a cell is all there is.
        let middle: [_; COLUMNS.len() - 3] = std::array::from_fn(|index| {
            let id = COLUMNS[index + 2];
            (ColumnText::new(id.column().kind, Form::Csv), batch.cells(id))
        });
        let extra: Vec<_> = self.extra.iter().map(|name| extra(batch, name)).collect();
        let (text, times) = (&mut Text::new(out), &mut self.times);
        for row in 0..batch.rows() {
            let start = start.int(row);
            if let Some(start) = start {
                times.rfc3339(start, text);
            }
            text.byte(b',');
            if let (Some(start), Some(end)) = (start, end.int(row)) {
                text.secs(end.saturating_sub(start));
            }
            for (column, cells) in &middle {
                column.append(*cells, row, times, text);
            }
            text.byte(b',');
            text.int(flows.int(row).unwrap_or(1));
            for (column, cells) in &extra {
                column.append(*cells, row, times, text);
            }
            text.byte(b'\n');
        }
    }
}

/// A column beyond the table, as the file of these rows has it.
fn extra<'a>(batch: &'a Batch, name: &str) -> (ColumnText, Cells<'a>) {
    let (kind, cells) = match batch.extra().iter().find(|one| one.name == name) {
        Some(one) => (one.kind, batch.cells(one.column)),
        None => (Kind::Other, Cells::Absent),
    };
    (ColumnText::new(kind, Form::Csv), cells)
}
