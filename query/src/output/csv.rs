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
        let column = |kind| ColumnText::new(kind, Form::Csv);
        let extra = self.extra.iter().map(|name| (name.clone(), column(Kind::Other)));
        Box::new(CsvRows {
            times: TimeText::new(self.zone),
            addrs: [Kind::Address; 2].map(column),
            extra: extra.collect(),
        })
    }
}

struct CsvRows {
    times: TimeText,
    /// Source and destination.
    addrs: [ColumnText; 2],
    /// Columns beyond the table, by name.
    extra: Vec<(String, ColumnText)>,
}

impl RowFormatter for CsvRows {
    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let [start, end, protocol, src_addr, src_port, dst_addr, dst_port, packets, bytes, flows] =
            COLUMNS.map(|id| batch.cells(id));
        let extra: Vec<_> =
            self.extra.iter_mut().map(|(name, column)| extra_cells(batch, name, column)).collect();
        let (text, times) = (&mut Text::new(out), &mut self.times);
        let [src_text, dst_text] = &mut self.addrs;
        src_text.prepare(src_addr, batch.rows());
        dst_text.prepare(dst_addr, batch.rows());
        for row in 0..batch.rows() {
            let start = start.int(row);
            if let Some(start) = start {
                times.rfc3339(start, text);
            }
            text.byte(b',');
            if let (Some(start), Some(end)) = (start, end.int(row)) {
                text.secs(end.saturating_sub(start));
            }
            field(text, protocol.int(row));
            src_text.append(src_addr, row, times, text);
            field(text, src_port.int(row));
            dst_text.append(dst_addr, row, times, text);
            field(text, dst_port.int(row));
            field(text, packets.int(row));
            field(text, bytes.int(row));
            field(text, flows.int(row).or(Some(1)));
            for ((_, column), cells) in self.extra.iter_mut().zip(&extra) {
                column.append(*cells, row, times, text);
            }
            text.byte(b'\n');
        }
    }
}

/// A comma, and the number if there is one.
#[inline]
fn field(text: &mut Text<'_>, value: Option<i64>) {
    text.byte(b',');
    if let Some(value) = value {
        text.int(value);
    }
}

/// The cells of a column beyond the table, which is of the kind it has in the file of
/// these rows.
fn extra_cells<'a>(batch: &'a Batch, name: &str, column: &mut ColumnText) -> Cells<'a> {
    let Some(one) = batch.extra().iter().find(|one| one.name == name) else {
        column.prepare(Cells::Absent, batch.rows());
        return Cells::Absent;
    };
    let cells = batch.cells(one.column);
    column.set_kind(one.kind);
    column.prepare(cells, batch.rows());
    cells
}
