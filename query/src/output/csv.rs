//! RFC 4180 with column names for a header. What the exporter did not send is an
//! empty field.

use std::io::{self, Write};

use flow_common::addr::Addr16;
use flow_common::column::{ColumnId, Kind};

use super::value::write_rfc3339;
use super::{RowWriter, Style};
use crate::aggregate::Value;
use crate::batch::{Batch, Cells};
use crate::columns::Columns;
use crate::message::neutral;
use crate::zone::Calendar;

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

pub(super) struct CsvWriter {
    calendar: Calendar,
    /// Names of columns beyond the table, after the others.
    extra: Vec<String>,
}

impl CsvWriter {
    pub(super) fn new(style: &Style, columns: &Columns) -> Self {
        Self { calendar: Calendar::new(style.zone), extra: columns.names().map(str::to_owned).collect() }
    }

    fn row(&mut self, cells: &[Cells<'_>; COLUMNS.len()], row: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let [start, end, protocol, src_addr, src_port, dst_addr, dst_port, packets, bytes, flows] = *cells;
        let (start, end) = (start.int(row), end.int(row));
        if let Some(start) = start {
            write_rfc3339(out, &mut self.calendar, start)?;
        }
        out.push(b',');
        if let (Some(start), Some(end)) = (start, end) {
            write_secs(out, end.saturating_sub(start))?;
        }
        let int = |out: &mut Vec<u8>, value: Option<i64>| match value {
            Some(value) => write!(out, ",{value}"),
            None => write!(out, ","),
        };
        let address = |out: &mut Vec<u8>, value: Option<[u8; 16]>| match value {
            Some(octets) => write!(out, ",{}", Addr16(octets)),
            None => write!(out, ","),
        };
        int(out, protocol.int(row))?;
        address(out, src_addr.octets(row))?;
        int(out, src_port.int(row))?;
        address(out, dst_addr.octets(row))?;
        int(out, dst_port.int(row))?;
        int(out, packets.int(row))?;
        int(out, bytes.int(row))?;
        int(out, flows.int(row).or(Some(1)))
    }

    /// A cell of a column beyond the table; empty where it is NULL.
    fn extra(&mut self, kind: Kind, cells: Cells<'_>, row: usize, out: &mut Vec<u8>) -> io::Result<()> {
        match Value::of(kind, cells, row) {
            Some(Value::Int(micros)) if kind == Kind::Timestamp => {
                write_rfc3339(out, &mut self.calendar, micros)
            }
            Some(value) => write_field(out, &value.to_string()),
            None => Ok(()),
        }
    }
}

/// Header of a table of flows.
pub(super) fn write_header(out: &mut dyn Write, extra: &[String]) -> io::Result<()> {
    let names = COLUMNS.map(|column| if column == ColumnId::FlowEnd { "duration" } else { column.name() });
    write!(out, "{}", names.join(","))?;
    extra.iter().try_for_each(|name| write!(out, ",{name}"))?;
    writeln!(out)
}

/// Microseconds as seconds with three decimals.
pub(super) fn write_secs(out: &mut dyn Write, micros: i64) -> io::Result<()> {
    let sign = if micros < 0 { "-" } else { "" };
    let ms = micros.unsigned_abs() / 1_000;
    write!(out, "{sign}{}.{:03}", ms / 1_000, ms % 1_000)
}

/// A field of free text, quoted where it must be. A terminal it is shown on obeys
/// nothing of it; JSON tells such characters apart.
pub(super) fn write_field(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let text = &neutral(text);
    if text.contains([',', '"', '\n', '\r']) {
        write!(out, "\"{}\"", text.replace('"', "\"\""))
    } else {
        out.write_all(text.as_bytes())
    }
}

impl RowWriter for CsvWriter {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        write_header(out, &self.extra)
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) -> io::Result<()> {
        let cells = COLUMNS.map(|id| batch.cells(id));
        let named = |name: &String| batch.extra().iter().find(|one| one.name == *name);
        let extra: Vec<_> = self
            .extra
            .iter()
            .map(|name| {
                named(name).map_or((Kind::Other, Cells::Absent), |one| (one.kind, batch.cells(one.column)))
            })
            .collect();
        for row in 0..batch.rows() {
            self.row(&cells, row, out)?;
            for (kind, cells) in &extra {
                out.push(b',');
                self.extra(*kind, *cells, row, out)?;
            }
            out.push(b'\n');
        }
        Ok(())
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
