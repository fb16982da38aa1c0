//! `fmt:`: text with tags, each a column of the table of columns, a name joined to
//! one, or a number computed from several.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use flow_common::addr::{Addr16, Mac};
use flow_common::column::{COLUMNS, Column, ColumnId, Kind};
use flow_common::proto::TcpFlags;

use super::value::{
    ADDRESS_WIDTH, ADDRESS_WIDTH_FULL, AddressText, DurationText, ProtocolText, Scaled, one_line, write_hex,
    write_label, write_table_time,
};
use super::{FileInfo, RowWriter, Style};
use crate::batch::{Batch, Cells};
use crate::flow::{COUNTER_COLUMNS, CounterCells, KEY_COLUMNS, TIME_COLUMNS, TupleCells};
use crate::message::nearest;
use crate::names::{NAME_COLUMNS, NameCells, Names};
use crate::zone::Calendar;

/// What `fmt:` prints of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Text(String),
    Field(Field),
}

/// What a tag stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Column(ColumnId),
    /// Index in [`NAME_COLUMNS`].
    Name(usize),
    Duration,
    SrcEndpoint,
    DstEndpoint,
    Bps,
    Pps,
    Bpp,
    LineEnd,
}

/// Tags that are no column of their own.
const COMPUTED: [(&str, Field); 8] = [
    ("td", Field::Duration),
    ("sap", Field::SrcEndpoint),
    ("dap", Field::DstEndpoint),
    ("bps", Field::Bps),
    ("pps", Field::Pps),
    ("bpp", Field::Bpp),
    ("tos", Field::Column(ColumnId::SrcTos)),
    ("n", Field::LineEnd),
];

/// Every tag with what it stands for.
fn tags() -> impl Iterator<Item = (&'static str, Field)> {
    let of_column = |column: &'static Column| column.tags.iter().map(|tag| (*tag, Field::Column(column.id)));
    let names = NAME_COLUMNS.iter().enumerate().map(|(index, column)| (column.tag, Field::Name(index)));
    COLUMNS.iter().flat_map(of_column).chain(COMPUTED).chain(names)
}

impl Layout {
    /// Reads the text behind `fmt:`. An error is the unknown tag and a likely one.
    pub(crate) fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        let mut items = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            if !before.is_empty() {
                items.push(Item::Text(before.to_owned()));
            }
            let word = &after[..after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len())];
            // The last of equals counts: `%nbnam` joins what the flow itself does not tell.
            let Some((tag, field)) = tags().filter(|(tag, _)| *tag == word).last() else {
                let likely = nearest(word, tags().map(|(tag, _)| tag));
                return Err((format!("%{word}"), likely.map(|tag| format!("%{tag}"))));
            };
            items.push(Item::Field(field));
            rest = &after[tag.len()..];
        }
        if !rest.is_empty() {
            items.push(Item::Text(rest.to_owned()));
        }
        Ok(Self(items))
    }

    fn fields(&self) -> impl Iterator<Item = Field> {
        self.0.iter().filter_map(|item| match item {
            Item::Text(_) => None,
            Item::Field(field) => Some(*field),
        })
    }

    /// Columns it reads.
    pub(super) fn columns(&self) -> BTreeSet<ColumnId> {
        let mut columns = BTreeSet::new();
        for field in self.fields() {
            match field {
                Field::Column(ColumnId::FlowStart | ColumnId::FlowEnd) => columns.extend(TIME_COLUMNS),
                Field::Column(id) => _ = columns.insert(id),
                Field::Name(index) => columns.extend(NAME_COLUMNS[index].columns()),
                Field::SrcEndpoint | Field::DstEndpoint => columns.extend(KEY_COLUMNS),
                Field::Duration | Field::Bps | Field::Pps | Field::Bpp => {
                    columns.extend(TIME_COLUMNS.into_iter().chain(COUNTER_COLUMNS));
                }
                Field::LineEnd => {}
            }
        }
        columns
    }

    /// Whether it prints names of numbers.
    pub(super) fn has_names(&self) -> bool {
        self.fields().any(|field| matches!(field, Field::Name(_)))
    }
}

/// Title and width of a field.
fn shape(field: Field, address_width: usize) -> (&'static str, usize) {
    match field {
        Field::Duration => ("Duration", 16),
        Field::SrcEndpoint => ("Src IP Addr:Port", address_width + ":Port".len() + 1),
        Field::DstEndpoint => ("Dst IP Addr:Port", address_width + ":Port".len() + 1),
        Field::Bps => ("bps", 8),
        Field::Pps => ("pps", 8),
        Field::Bpp => ("Bpp", 6),
        Field::LineEnd => ("", 0),
        Field::Name(index) => match NAME_COLUMNS[index].tag {
            "inam" => ("Input interface name", 20),
            "onam" => ("Output interface name", 21),
            "ivrfnam" => ("I-VRF-Name", 16),
            "evrfnam" => ("E-VRF-Name", 16),
            "nbnam" => ("nbar name", 16),
            _ => ("Sampler name", 16),
        },
        Field::Column(id) => column_shape(id, address_width),
    }
}

fn column_shape(id: ColumnId, address_width: usize) -> (&'static str, usize) {
    let column = id.column();
    let title = if column.title.is_empty() { column.raw } else { column.title };
    match id {
        ColumnId::FlowStart => ("Date first seen", 23),
        ColumnId::FlowEnd => ("Date last seen", 23),
        ColumnId::Received => ("Date flow received", 23),
        ColumnId::Packets => ("Packets", 8),
        ColumnId::Bytes => ("Bytes", 8),
        ColumnId::FlowCount => ("Flows", 5),
        ColumnId::Protocol => ("Proto", 5),
        ColumnId::SrcPort => ("Src Pt", 6),
        ColumnId::DstPort => ("Dst Pt", 6),
        ColumnId::TcpFlags => ("Flags", 8),
        ColumnId::SrcTos => ("Tos", 4),
        ColumnId::InIf => ("Input", 6),
        ColumnId::OutIf => ("Output", 6),
        _ => match column.kind {
            Kind::Int32 | Kind::Boolean => (title, title.len().max(6)),
            Kind::Int64 | Kind::Float64 => (title, title.len().max(8)),
            Kind::Timestamp => (title, 23),
            Kind::Address => (title, address_width),
            Kind::Mac => (title, 17),
            Kind::Text | Kind::Binary | Kind::Labels | Kind::Other => (title, 16),
        },
    }
}

/// Columns whose text begins at the left.
fn is_left(id: ColumnId) -> bool {
    id == ColumnId::Protocol || id.column().kind == Kind::Timestamp
}

pub(super) struct CustomWriter {
    style: Style,
    calendar: Calendar,
    names: Arc<Names>,
    is_empty: bool,
}

/// The cells of a batch that fields are printed from.
struct Row<'a> {
    batch: &'a Batch,
    counters: CounterCells<'a>,
    tuples: TupleCells<'a>,
    names: NameCells<'a>,
}

impl CustomWriter {
    pub(super) fn new(style: &Style) -> Self {
        let calendar = Calendar::new(style.zone);
        Self { style: style.clone(), calendar, names: Arc::default(), is_empty: true }
    }

    fn address_width(&self) -> usize {
        if self.style.is_ipv6_full { ADDRESS_WIDTH_FULL } else { ADDRESS_WIDTH }
    }

    fn field(&mut self, field: Field, cells: &Row<'_>, row: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let (_, width) = shape(field, self.address_width());
        let is_plain = self.style.is_plain;
        let scaled = |value| Scaled { value, is_plain };
        match field {
            Field::Column(id) => self.column(id, cells, row, width, out),
            Field::Name(index) => {
                let name = cells.names.get(index, row).map_or("-".into(), one_line);
                write!(out, "{name:>width$}")
            }
            Field::Duration => {
                let ms = cells.counters.get(row).duration_ms();
                write!(out, "{:>width$}", DurationText { ms, is_plain })
            }
            Field::SrcEndpoint | Field::DstEndpoint => self.endpoint(field, cells, row, out),
            Field::Bps => write!(out, "{:>width$}", scaled(cells.counters.get(row).bps())),
            Field::Pps => write!(out, "{:>width$}", scaled(cells.counters.get(row).pps())),
            Field::Bpp => write!(out, "{:>width$}", cells.counters.get(row).bpp()),
            Field::LineEnd => writeln!(out),
        }
    }

    fn endpoint(&self, field: Field, cells: &Row<'_>, row: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let tuple = cells.tuples.get(row);
        let (addr, port) = match (field, tuple.icmp()) {
            (Field::SrcEndpoint, Some(_)) => (tuple.src_addr, "0".to_owned()),
            (Field::SrcEndpoint, None) => (tuple.src_addr, tuple.src_port.unwrap_or(0).to_string()),
            (_, Some((icmp_type, code))) => (tuple.dst_addr, format!("{icmp_type}.{code}")),
            (_, None) => (tuple.dst_addr, tuple.dst_port.unwrap_or(0).to_string()),
        };
        let separator = if addr.is_none_or(Addr16::is_v4) { ':' } else { '.' };
        let text = AddressText { addr, is_full: self.style.is_ipv6_full };
        write!(out, "{text:>width$}{separator}{port:<5}", width = self.address_width())
    }

    fn column(
        &mut self,
        id: ColumnId,
        cells: &Row<'_>,
        row: usize,
        width: usize,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let (of_column, is_plain) = (cells.batch.cells(id), self.style.is_plain);
        let counters = || cells.counters.get(row);
        match id {
            ColumnId::FlowStart => return write_table_time(out, &mut self.calendar, counters().first),
            ColumnId::FlowEnd => return write_table_time(out, &mut self.calendar, counters().last),
            ColumnId::FlowCount => return write!(out, "{:>width$}", counters().flows),
            ColumnId::Protocol => {
                let protocol = of_column.int(row);
                return write!(out, "{:<width$}", ProtocolText { protocol, is_plain });
            }
            ColumnId::TcpFlags if !is_plain => {
                return write!(out, "{:>width$}", TcpFlags(of_column.int(row).unwrap_or(0) as u16));
            }
            ColumnId::Packets | ColumnId::Bytes | ColumnId::OutPackets | ColumnId::OutBytes => {
                let value = of_column.int(row).and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
                return write!(out, "{:>width$}", Scaled { value, is_plain });
            }
            _ => {}
        }
        if id.column().kind == Kind::Timestamp {
            return write_table_time(out, &mut self.calendar, of_column.int(row));
        }
        let text = plain(id.column(), of_column, row, self.style.is_ipv6_full)?;
        write!(out, "{text:>width$}")
    }
}

/// A value as text; `-` where there is none, 0 for a number, as nfdump has it.
fn plain(column: &Column, cells: Cells<'_>, row: usize, is_full: bool) -> io::Result<String> {
    let mut text = Vec::new();
    match column.kind {
        Kind::Int32 | Kind::Int64 | Kind::Timestamp => match cells.int(row).unwrap_or(0) {
            id if column.id == ColumnId::ApplicationId => write!(text, "{}..{}", id >> 32, id & 0xffff_ffff)?,
            value => write!(text, "{value}")?,
        },
        Kind::Address => {
            let addr = cells.octets(row).map(Addr16);
            write!(text, "{}", AddressText { addr, is_full })?;
        }
        Kind::Mac => cells.octets(row).map(Mac).map_or(Ok(()), |mac| write!(text, "{mac}"))?,
        Kind::Text => text.extend(one_line(cells.text(row).unwrap_or_default()).bytes()),
        Kind::Binary => write_hex(&mut text, cells.binary(row).unwrap_or_default())?,
        Kind::Labels => {
            for (index, entry) in cells.labels(row).into_iter().flatten().enumerate() {
                write!(text, "{}", if index == 0 { "" } else { " " })?;
                write_label(&mut text, entry)?;
            }
        }
        Kind::Float64 => cells.float(row).map_or(Ok(()), |value| write!(text, "{value}"))?,
        Kind::Boolean => cells.int(row).map_or(Ok(()), |value| write!(text, "{}", value == 1))?,
        Kind::Other => {}
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(if text.is_empty() { "-".to_owned() } else { text })
}

impl RowWriter for CustomWriter {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.style.is_quiet {
            return Ok(());
        }
        for item in &self.style.layout.0 {
            match item {
                Item::Text(text) => write!(out, "{}", one_line(text))?,
                Item::Field(Field::LineEnd) => writeln!(out)?,
                Item::Field(field) => {
                    let (title, width) = shape(*field, self.address_width());
                    match field {
                        Field::Column(id) if is_left(*id) => write!(out, "{title:<width$}")?,
                        _ => write!(out, "{title:>width$}")?,
                    }
                }
            }
        }
        writeln!(out)
    }

    fn file(&mut self, file: &FileInfo<'_>) {
        self.names = file.names.cloned().unwrap_or_default();
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) -> io::Result<()> {
        let (layout, names) = (Arc::clone(&self.style.layout), Arc::clone(&self.names));
        let cells = Row {
            batch,
            counters: CounterCells::new(batch),
            tuples: TupleCells::new(batch),
            names: NameCells::new(&names, batch),
        };
        for row in 0..batch.rows() {
            for item in &layout.0 {
                match item {
                    Item::Text(text) => out.extend_from_slice(one_line(text).as_bytes()),
                    Item::Field(field) => self.field(*field, &cells, row, out)?,
                }
            }
            out.push(b'\n');
        }
        self.is_empty &= batch.rows() == 0;
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty && !self.style.is_quiet {
            writeln!(out, "No matching flows")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[Field], (&str, Option<&str>)>) {
        let found = Layout::parse(text).map(|layout| layout.fields().collect::<Vec<_>>());
        let expected = expected
            .map(<[Field]>::to_vec)
            .map_err(|(tag, likely)| (tag.to_owned(), likely.map(str::to_owned)));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn tags_are_read() {
        check("", Ok(&[]));
        check("%sa -> %da", Ok(&[Field::Column(ColumnId::SrcAddr), Field::Column(ColumnId::DstAddr)]));
        check("%inam", Ok(&[Field::Name(0)]));
        check("%in%n", Ok(&[Field::Column(ColumnId::InIf), Field::LineEnd]));
        check("%nbnam%td", Ok(&[Field::Name(4), Field::Duration]));
        check("%inma", Err(("%inma", Some("%inam"))));
        check("%qqq", Err(("%qqq", None)));
        check("100 %", Err(("%", None)));
        check("%xyz %sa", Err(("%xyz", None)));
    }

    #[test]
    fn every_tag_of_the_tables_has_a_shape() {
        for (tag, field) in tags() {
            assert_eq!(Layout::parse(&format!("%{tag}")).map(|layout| layout.0.len()), Ok(1), "{tag}");
            let (title, width) = shape(field, ADDRESS_WIDTH);
            assert!(field == Field::LineEnd || (!title.is_empty() && width > 0), "{tag}");
        }
    }
}
