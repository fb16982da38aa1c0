//! `fmt:`: text with tags, each a column of the table of columns, a name joined to
//! one, or a number computed from several.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use flow_common::addr::{Addr16, Mac};
use flow_common::column::{COLUMNS, Column, ColumnId, Kind};
use flow_common::proto::TcpFlags;

use super::table::address_width;
use super::text::{Text, TimeText};
use super::{FileInfo, RowFormat, RowFormatter, Style, write_if_empty};
use crate::batch::{Batch, Cells};
use crate::flow::{COUNTER_COLUMNS, CounterCells, KEY_COLUMNS, TIME_COLUMNS, TupleCells};
use crate::message::nearest;
use crate::names::{NAME_COLUMNS, NameCells, Names};

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

pub(super) struct Custom {
    style: Style,
}

impl Custom {
    pub(super) fn new(style: &Style) -> Self {
        Self { style: style.clone() }
    }
}

impl RowFormat for Custom {
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.style.is_quiet {
            return Ok(());
        }
        let mut line = Vec::new();
        let mut text = Text::new(&mut line);
        for item in &self.style.layout.0 {
            match item {
                Item::Text(word) => text.one_line(word),
                Item::Field(Field::LineEnd) => text.byte(b'\n'),
                Item::Field(field) => {
                    let (title, width) = shape(*field, address_width(&self.style));
                    let mark = text.mark();
                    text.str(title);
                    match field {
                        Field::Column(id) if is_left(*id) => text.left(mark, width),
                        _ => text.right(mark, width),
                    }
                }
            }
        }
        text.byte(b'\n');
        drop(text);
        out.write_all(&line)
    }

    fn formatter(&self) -> Box<dyn RowFormatter> {
        let times = TimeText::new(self.style.zone);
        Box::new(CustomRows { style: self.style.clone(), times, names: Arc::default() })
    }

    fn end(&self, rows: u64, out: &mut dyn Write) -> io::Result<()> {
        write_if_empty(rows, &self.style, out)
    }
}

struct CustomRows {
    style: Style,
    times: TimeText,
    names: Arc<Names>,
}

/// The cells of a batch that fields are printed from.
struct Row<'a> {
    batch: &'a Batch,
    counters: CounterCells<'a>,
    tuples: TupleCells<'a>,
    names: NameCells<'a>,
}

impl RowFormatter for CustomRows {
    fn file(&mut self, file: &FileInfo<'_>) {
        self.names = file.names.cloned().unwrap_or_default();
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let (layout, names) = (Arc::clone(&self.style.layout), Arc::clone(&self.names));
        let cells = Row {
            batch,
            counters: CounterCells::new(batch),
            tuples: TupleCells::new(batch),
            names: NameCells::new(&names, batch),
        };
        let text = &mut Text::new(out);
        for row in 0..batch.rows() {
            for item in &layout.0 {
                match item {
                    Item::Text(word) => text.one_line(word),
                    Item::Field(field) => self.field(*field, &cells, row, text),
                }
            }
            text.byte(b'\n');
        }
    }
}

impl CustomRows {
    fn field(&mut self, field: Field, cells: &Row<'_>, row: usize, text: &mut Text<'_>) {
        let (_, width) = shape(field, address_width(&self.style));
        let is_plain = self.style.is_plain;
        let counters = || cells.counters.get(row);
        match field {
            Field::Column(id) => self.column(id, cells, row, width, text),
            Field::Name(index) => {
                let mark = text.mark();
                text.one_line(cells.names.get(index, row).unwrap_or("-"));
                text.right(mark, width);
            }
            Field::Duration => {
                let mark = text.mark();
                text.duration(counters().duration_ms(), is_plain);
                text.right(mark, width);
            }
            Field::SrcEndpoint | Field::DstEndpoint => self.endpoint(field, cells, row, text),
            Field::Bps => text.scaled(counters().bps(), is_plain, width),
            Field::Pps => text.scaled(counters().pps(), is_plain, width),
            Field::Bpp => text.uint_right(counters().bpp(), width),
            Field::LineEnd => text.byte(b'\n'),
        }
    }

    fn endpoint(&self, field: Field, cells: &Row<'_>, row: usize, text: &mut Text<'_>) {
        let tuple = cells.tuples.get(row);
        let is_src = field == Field::SrcEndpoint;
        let addr = if is_src { tuple.src_addr } else { tuple.dst_addr };
        let mark = text.mark();
        text.table_addr(addr, self.style.is_ipv6_full);
        text.right(mark, address_width(&self.style));
        text.byte(if addr.is_none_or(Addr16::is_v4) { b':' } else { b'.' });
        let mark = text.mark();
        match (is_src, tuple.icmp()) {
            (true, Some(_)) => text.byte(b'0'),
            (true, None) => text.int(tuple.src_port.unwrap_or(0).into()),
            (false, Some((icmp_type, code))) => {
                text.int(icmp_type.into());
                text.byte(b'.');
                text.int(code.into());
            }
            (false, None) => text.int(tuple.dst_port.unwrap_or(0).into()),
        }
        text.left(mark, 5);
    }

    fn column(&mut self, id: ColumnId, cells: &Row<'_>, row: usize, width: usize, text: &mut Text<'_>) {
        let (of_column, is_plain) = (cells.batch.cells(id), self.style.is_plain);
        let counters = || cells.counters.get(row);
        let mark = text.mark();
        match id {
            ColumnId::FlowStart => self.times.table(counters().first, text),
            ColumnId::FlowEnd => self.times.table(counters().last, text),
            ColumnId::FlowCount => text.uint_right(counters().flows, width),
            ColumnId::Protocol => {
                text.protocol(of_column.int(row), is_plain);
                text.left(mark, width);
            }
            ColumnId::TcpFlags if !is_plain => {
                text.literal(&TcpFlags(of_column.int(row).unwrap_or(0) as u16).letters());
                text.right(mark, width);
            }
            ColumnId::Packets | ColumnId::Bytes | ColumnId::OutPackets | ColumnId::OutBytes => {
                let value = of_column.int(row).and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
                text.scaled(value, is_plain, width);
            }
            _ if id.column().kind == Kind::Timestamp => self.times.table(of_column.int(row), text),
            _ => {
                plain(id.column(), of_column, row, self.style.is_ipv6_full, text);
                if text.mark() == mark {
                    text.byte(b'-');
                }
                text.right(mark, width);
            }
        }
    }
}

/// A value as text; nothing where there is none, but 0 for a number, as nfdump has it.
fn plain(column: &Column, cells: Cells<'_>, row: usize, is_full: bool, text: &mut Text<'_>) {
    match column.kind {
        Kind::Int32 | Kind::Int64 | Kind::Timestamp => match cells.int(row).unwrap_or(0) {
            id if column.id == ColumnId::ApplicationId => text.application(id),
            value => text.int(value),
        },
        Kind::Address => text.table_addr(cells.octets(row).map(Addr16), is_full),
        Kind::Mac => cells.octets(row).map(Mac).into_iter().for_each(|mac| text.mac(mac)),
        Kind::Text => text.one_line(cells.text(row).unwrap_or_default()),
        Kind::Binary => text.hex(cells.binary(row).unwrap_or_default()),
        Kind::Labels => {
            for (index, entry) in cells.labels(row).into_iter().flatten().enumerate() {
                text.str(if index == 0 { "" } else { " " });
                text.mpls(entry);
            }
        }
        Kind::Float64 => {
            cells.float(row).into_iter().for_each(|value| text.formatted(format_args!("{value}")));
        }
        Kind::Boolean => cells.int(row).into_iter().for_each(|value| text.bool(value == 1)),
        Kind::Other => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::ADDRESS_WIDTH;
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
