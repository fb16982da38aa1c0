//! JSON and NDJSON: every column that is not NULL, by its name, in table order,
//! then those an operator defined.

use std::io::{self, Write};
use std::sync::Arc;

use flow_common::addr::{Addr16, Mac};
use flow_common::column::{COLUMNS, Kind};
use flow_common::element::ElementKey;

use super::value::{write_hex, write_json_time, write_label};
use super::{FileInfo, Format, RowWriter, Style};
use crate::batch::{Batch, Cells};
use crate::columns::ColumnRef;
use crate::message::is_control;
use crate::names::{NAME_COLUMNS, NameCells, NameColumn, Names};
use crate::zone::Calendar;

pub(super) struct JsonWriter {
    list: JsonList,
    calendar: Calendar,
    names: Arc<Names>,
}

impl JsonWriter {
    pub(super) fn new(style: &Style) -> Self {
        let (list, calendar) = (JsonList::new(style.format), Calendar::new(style.zone));
        Self { list, calendar, names: Arc::default() }
    }
}

impl RowWriter for JsonWriter {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.list.begin(out)
    }

    fn file(&mut self, file: &FileInfo<'_>) {
        self.names = file.names.cloned().unwrap_or_default();
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) -> io::Result<()> {
        // Most columns of most files are empty.
        let table = COLUMNS.iter().map(|column| (column.name, column.kind, ColumnRef::from(column.id)));
        let extra = batch.extra().iter().map(|one| (one.name.as_str(), one.kind, one.column));
        let columns = table.chain(extra).filter(|(.., column)| batch.has_values(*column));
        let columns: Vec<_> = columns.map(|(name, kind, column)| (name, kind, batch.cells(column))).collect();
        let names = Arc::clone(&self.names);
        let names = NameCells::new(&names, batch);
        // A column an operator called so has the key.
        let is_free = |column: &NameColumn| batch.extra().iter().all(|one| one.name != column.name);
        let joined: Vec<_> = NAME_COLUMNS.iter().enumerate().filter(|(_, column)| is_free(column)).collect();
        for row in 0..batch.rows() {
            self.list.begin_object(out)?;
            for (name, kind, cells) in &columns {
                if is_null(*kind, *cells, row) {
                    continue;
                }
                self.list.key(out, name)?;
                write_cell(out, &mut self.calendar, *kind, *cells, row)?;
            }
            for (index, column) in &joined {
                // A name the flow itself tells is a column and printed already.
                if let Some(name) = names.joined(*index, row) {
                    self.list.key(out, column.name)?;
                    write_string(out, name)?;
                }
            }
            if let Some(rate) = batch.rate(row) {
                self.list.key(out, "scaled_by")?;
                write!(out, "{rate}")?;
            }
            self.list.end_object(out)?;
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.list.end(out)
    }
}

/// Objects in an array over several lines, or one a line.
pub(super) struct JsonList {
    is_array: bool,
    is_first_object: bool,
    is_first_key: bool,
}

impl JsonList {
    pub(super) fn new(format: Format) -> Self {
        Self { is_array: format == Format::Json, is_first_object: true, is_first_key: true }
    }

    pub(super) fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.is_array { out.write_all(b"[") } else { Ok(()) }
    }

    pub(super) fn begin_object(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let open = match (self.is_array, self.is_first_object) {
            (false, _) => "{",
            (true, true) => "\n {",
            (true, false) => ",\n {",
        };
        self.is_first_object = false;
        self.is_first_key = true;
        out.write_all(open.as_bytes())
    }

    /// A key that needs no escaping: one of our own words, or the name of a column.
    pub(super) fn key(&mut self, out: &mut dyn Write, name: &str) -> io::Result<()> {
        let comma = if self.is_first_key { "" } else { "," };
        self.is_first_key = false;
        if self.is_array { write!(out, "{comma}\n  \"{name}\": ") } else { write!(out, "{comma}\"{name}\":") }
    }

    pub(super) fn end_object(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.is_array { b"\n }" } else { b"}\n" })
    }

    pub(super) fn end(&self, out: &mut dyn Write) -> io::Result<()> {
        match (self.is_array, self.is_first_object) {
            (false, _) => Ok(()),
            (true, true) => out.write_all(b"]\n"),
            (true, false) => out.write_all(b"\n]\n"),
        }
    }
}

fn is_null(kind: Kind, cells: Cells<'_>, row: usize) -> bool {
    match kind {
        Kind::Int32 | Kind::Int64 | Kind::Timestamp | Kind::Boolean => cells.int(row).is_none(),
        Kind::Float64 => cells.float(row).is_none(),
        Kind::Address => cells.octets::<16>(row).is_none(),
        Kind::Mac => cells.octets::<6>(row).is_none(),
        Kind::Text => cells.text(row).is_none(),
        Kind::Binary => cells.binary(row).is_none(),
        Kind::Labels => cells.labels(row).is_none(),
        Kind::Other => cells.entries(row).is_none(),
    }
}

/// The value of a cell; `null` where it is NULL after all.
fn write_cell(
    out: &mut Vec<u8>,
    calendar: &mut Calendar,
    kind: Kind,
    cells: Cells<'_>,
    row: usize,
) -> io::Result<()> {
    match kind {
        Kind::Timestamp => write_json_time(out, calendar, cells.int(row).unwrap_or(0)),
        Kind::Int32 | Kind::Int64 => write!(out, "{}", cells.int(row).unwrap_or(0)),
        Kind::Boolean => write!(out, "{}", cells.int(row) == Some(1)),
        Kind::Float64 => write_json_float(out, cells.float(row).unwrap_or(0.0)),
        Kind::Address => write!(out, "\"{}\"", Addr16(cells.octets(row).unwrap_or_default())),
        Kind::Mac => write!(out, "\"{}\"", Mac(cells.octets(row).unwrap_or_default())),
        Kind::Text => write_string(out, cells.text(row).unwrap_or_default()),
        Kind::Binary => write_hex_string(out, cells.binary(row).unwrap_or_default()),
        Kind::Labels => {
            out.push(b'[');
            for (index, entry) in cells.labels(row).into_iter().flatten().enumerate() {
                out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
                write_label(out, entry)?;
                out.push(b'"');
            }
            out.push(b']');
            Ok(())
        }
        Kind::Other => {
            out.push(b'{');
            for (index, (key, octets)) in cells.entries(row).into_iter().flatten().enumerate() {
                out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
                write_other_key(out, key)?;
                out.extend_from_slice(b"\":");
                write_hex_string(out, octets)?;
            }
            out.push(b'}');
            Ok(())
        }
    }
}

/// A number; JSON has none that is not finite (RFC 8259 §6), so those are text.
pub(super) fn write_json_float(out: &mut dyn Write, value: f64) -> io::Result<()> {
    if value.is_finite() { write!(out, "{value:?}") } else { write!(out, "\"{value}\"") }
}

/// `id`, or `pen:id`, and `#n` for the n-th repetition.
pub(super) fn write_other_key(out: &mut dyn Write, key: i64) -> io::Result<()> {
    let (ElementKey { pen, id }, repetition) = ElementKey::from_other_key(key);
    if pen != 0 {
        write!(out, "{pen}:")?;
    }
    write!(out, "{id}")?;
    if repetition > 0 {
        write!(out, "#{repetition}")?;
    }
    Ok(())
}

fn write_hex_string(out: &mut dyn Write, octets: &[u8]) -> io::Result<()> {
    out.write_all(b"\"")?;
    write_hex(out, octets)?;
    out.write_all(b"\"")
}

/// A JSON string (RFC 8259 §7).
pub(super) fn write_string(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(b"\"")?;
    for c in text.chars() {
        match c {
            '"' => out.write_all(b"\\\"")?,
            '\\' => out.write_all(b"\\\\")?,
            '\n' => out.write_all(b"\\n")?,
            '\r' => out.write_all(b"\\r")?,
            '\t' => out.write_all(b"\\t")?,
            // Most are legal in JSON, but a terminal obeys them.
            c if is_control(c) => write!(out, "\\u{:04x}", u32::from(c))?,
            c => write!(out, "{c}")?,
        }
    }
    out.write_all(b"\"")
}
