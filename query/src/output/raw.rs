//! nfdump's `raw`: every stored column of a record, one a line, with its meaning.

use std::io::{self, Write};
use std::sync::Arc;

use flow_common::addr::{Addr16, Mac};
use flow_common::column::{COLUMNS, Column, ColumnId, Kind, Unit};
use flow_common::element::{AbstractDataType, ElementKey};
use flow_common::proto::{Protocol, TcpFlags};
use ipnet::IpNet;

use super::meaning;
use super::text::{Text, TimeText};
use super::{FileInfo, RowFormat, RowFormatter, Style};
use crate::Zone;
use crate::batch::{Batch, Cells};
use crate::flow::TupleCells;
use crate::names::{NAME_COLUMNS, NameCells, Names};

/// nfdump's order; the rest follows in table order.
const ORDER: [ColumnId; 29] = [
    ColumnId::EngineType,
    ColumnId::EngineId,
    ColumnId::FlowStart,
    ColumnId::FlowEnd,
    ColumnId::Received,
    ColumnId::EventTime,
    ColumnId::Protocol,
    ColumnId::TcpFlags,
    ColumnId::SrcPort,
    ColumnId::DstPort,
    ColumnId::SrcTos,
    ColumnId::ForwardingStatus,
    ColumnId::Packets,
    ColumnId::Bytes,
    ColumnId::SrcAddr,
    ColumnId::DstAddr,
    ColumnId::InIf,
    ColumnId::OutIf,
    ColumnId::SrcMask,
    ColumnId::DstMask,
    ColumnId::DstTos,
    ColumnId::Direction,
    ColumnId::BiflowDirection,
    ColumnId::EndReason,
    ColumnId::SrcAs,
    ColumnId::DstAs,
    ColumnId::BgpNextHop,
    ColumnId::NextHop,
    ColumnId::ExporterAddr,
];

/// The line above a record's number.
const HEADING: &[u8; 13] = b"Flow Record: ";
/// Characters of a value.
const VALUE_WIDTH: usize = 18;

pub(super) struct Raw {
    zone: Zone,
}

impl Raw {
    pub(super) fn new(style: &Style) -> Self {
        Self { zone: style.zone }
    }
}

impl RowFormat for Raw {
    fn formatter(&self) -> Box<dyn RowFormatter> {
        let rest = COLUMNS.iter().filter(|column| !ORDER.contains(&column.id));
        Box::new(RawRows {
            times: TimeText::new(self.zone),
            ident: None,
            names: Arc::default(),
            columns: ORDER.iter().map(|id| id.column()).chain(rest).collect(),
        })
    }

    /// Fills in which record of all each is.
    fn join(&self, rows_before: u64, text: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
        let (mut number, mut digits, mut is_heading) = (rows_before, Vec::new(), false);
        for line in text.split_mut(|&byte| byte == b'\n') {
            if is_heading && let Some(place) = line.last_chunk_mut::<VALUE_WIDTH>() {
                number += 1;
                digits.clear();
                Text::new(&mut digits).uint_right(number, VALUE_WIDTH);
                digits.last_chunk().into_iter().for_each(|digits| *place = *digits);
            }
            // No value has a line of its own, so none is taken for one of these.
            is_heading = *line == HEADING[..];
        }
        out.write_all(text)
    }
}

struct RawRows {
    times: TimeText,
    ident: Option<String>,
    names: Arc<Names>,
    columns: Vec<&'static Column>,
}

/// `  key          = `
fn key(text: &mut Text<'_>, key: &str) {
    text.literal(b"  ");
    let mark = text.mark();
    text.str(key);
    text.left(mark, 12);
    text.literal(b" = ");
}

/// A value whose text `put` makes, and after it the end of the line.
fn value(text: &mut Text<'_>, put: impl FnOnce(&mut Text<'_>)) {
    right(text, put);
    text.byte(b'\n');
}

fn right(text: &mut Text<'_>, put: impl FnOnce(&mut Text<'_>)) {
    let mark = text.mark();
    put(text);
    text.right(mark, VALUE_WIDTH);
}

impl RawRows {
    fn record(&mut self, cells: &Record<'_>, row: usize, text: &mut Text<'_>) {
        text.byte(b'\n');
        text.literal(HEADING);
        text.byte(b'\n');
        key(text, "RecordCount");
        value(text, |_| {});
        if let Some(ident) = &self.ident {
            key(text, "Ident");
            value(text, |text| text.one_line(ident));
        }
        let tuple = cells.tuples.get(row);
        let icmp = tuple.dst_port.and_then(|_| tuple.icmp());
        for (column, of_column) in &cells.columns {
            match (column.id, icmp) {
                (ColumnId::SrcPort | ColumnId::IcmpType | ColumnId::IcmpCode, Some(_)) => {}
                (ColumnId::DstPort, Some((icmp_type, code))) => {
                    key(text, "ICMP");
                    right(text, |text| {
                        text.int(icmp_type.into());
                        text.byte(b'.');
                        text.int(code.into());
                    });
                    text.literal(b" type.code\n");
                }
                _ => self.column(column, *of_column, cells, row, text),
            }
        }
        for (name, kind, of_column) in &cells.extra {
            self.value(name, *kind, *of_column, row, text);
        }
        for (index, column) in NAME_COLUMNS.iter().enumerate() {
            if let Some(name) = cells.names.joined(index, row) {
                key(text, column.raw);
                text.one_line(name);
                text.byte(b'\n');
            }
        }
        if let Some(rate) = cells.batch.rate(row) {
            key(text, "scaled by");
            value(text, |text| text.int(rate));
        }
    }

    fn column(
        &mut self,
        column: &Column,
        of_column: Cells<'_>,
        cells: &Record<'_>,
        row: usize,
        text: &mut Text<'_>,
    ) {
        match (column.kind, of_column.int(row)) {
            (Kind::Int32 | Kind::Int64, Some(value)) => number(text, column, value, cells, row),
            (Kind::Binary, _) => {
                of_column.binary(row).into_iter().for_each(|octets| acl(text, column.raw, octets));
            }
            _ => self.value(column.raw, column.kind, of_column, row, text),
        }
    }

    /// A value of which nothing more is known than its kind.
    fn value(&mut self, name: &str, kind: Kind, of_column: Cells<'_>, row: usize, text: &mut Text<'_>) {
        match kind {
            Kind::Int32 | Kind::Int64 | Kind::Boolean => {
                let Some(int) = of_column.int(row) else { return };
                key(text, name);
                value(text, |text| if kind == Kind::Boolean { text.bool(int == 1) } else { text.int(int) });
            }
            Kind::Timestamp => {
                let Some(micros) = of_column.int(row) else { return };
                key(text, name);
                right(text, |text| text.int(micros.div_euclid(1_000)));
                text.literal(b" [");
                self.times.table(Some(micros), text);
                text.literal(b"]\n");
            }
            Kind::Address => {
                let Some(addr) = of_column.octets(row).map(Addr16) else { return };
                key(text, name);
                value(text, |text| text.addr(addr));
            }
            Kind::Float64 => {
                let Some(float) = of_column.float(row) else { return };
                key(text, name);
                value(text, |text| text.formatted(format_args!("{float}")));
            }
            Kind::Mac => {
                let Some(mac) = of_column.octets(row).map(Mac) else { return };
                key(text, name);
                text.byte(b' ');
                text.mac(mac);
                text.byte(b'\n');
            }
            Kind::Text => {
                let Some(word) = of_column.text(row) else { return };
                key(text, name);
                text.one_line(word);
                text.byte(b'\n');
            }
            Kind::Binary => {
                let Some(octets) = of_column.binary(row) else { return };
                key(text, name);
                text.hex(octets);
                text.byte(b'\n');
            }
            Kind::Labels => {
                for (index, entry) in of_column.labels(row).into_iter().flatten().enumerate() {
                    text.literal(b"  ");
                    text.str(name);
                    text.byte(b' ');
                    text.int_left(index as i64 + 1, 3);
                    text.literal(b" = ");
                    text.mpls(entry);
                    text.byte(b'\n');
                }
            }
            Kind::Other => {
                let entries = of_column.entries(row).into_iter().flatten();
                entries.for_each(|entry| other(text, entry, &self.names));
            }
        }
    }
}

/// The cells of a batch that records are printed from.
struct Record<'a> {
    columns: Vec<(&'static Column, Cells<'a>)>,
    /// Columns beyond the table, by name.
    extra: Vec<(&'a str, Kind, Cells<'a>)>,
    tuples: TupleCells<'a>,
    src_addr: Cells<'a>,
    dst_addr: Cells<'a>,
    names: NameCells<'a>,
    batch: &'a Batch,
}

/// A number and what it means.
fn number(text: &mut Text<'_>, column: &Column, number: i64, cells: &Record<'_>, row: usize) {
    key(text, column.raw);
    match column.id {
        ColumnId::TcpFlags => right(text, |text| text.hex_number(number as u64, true)),
        ColumnId::ApplicationId => right(text, |text| text.application(number)),
        _ if column.unit == Unit::Microseconds => right(text, |text| text.latency(number)),
        _ => text.int_right(number, VALUE_WIDTH),
    }
    let word = match column.id {
        ColumnId::Protocol | ColumnId::TunnelProtocol => {
            u8::try_from(number).ok().and_then(|number| Protocol(number).name())
        }
        _ if column.unit == Unit::Microseconds => Some("ms"),
        id => meaning::long(id, number),
    };
    if let Some(word) = word {
        text.byte(b' ');
        text.str(word);
    }
    match column.id {
        ColumnId::TcpFlags => {
            text.byte(b' ');
            text.literal(&TcpFlags(number as u16).letters());
        }
        ColumnId::SrcMask | ColumnId::DstMask => {
            let addr = if column.id == ColumnId::SrcMask { cells.src_addr } else { cells.dst_addr };
            let net = addr.octets(row).map(Addr16).and_then(|addr| {
                IpNet::new(addr.to_ip(), u8::try_from(number).ok()?).ok().map(|net| net.trunc())
            });
            if let Some(net) = net {
                text.byte(b' ');
                text.addr(net.addr().into());
                text.byte(b'/');
                text.uint(net.prefix_len().into());
            }
        }
        _ => {}
    }
    text.byte(b'\n');
}

/// Three ids of four octets: `0xA/0xB/0xC`; any other length as hex.
fn acl(text: &mut Text<'_>, name: &str, octets: &[u8]) {
    key(text, name);
    if octets.len() == 12 {
        for (index, word) in octets.chunks_exact(4).enumerate() {
            text.str(if index == 0 { "" } else { "/" });
            text.hex_number(word.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), false);
        }
    } else {
        text.hex(octets);
    }
    text.byte(b'\n');
}

/// An element without a column, with its name where the registry or an exporter has one.
fn other(text: &mut Text<'_>, (key, octets): (i64, &[u8]), names: &Names) {
    text.literal(b"  element ");
    text.other_key(key);
    text.literal(b" = ");
    text.hex(octets);
    let (element, _) = ElementKey::from_other_key(key);
    let known = element.lookup();
    if let Some(name) = known.map(|known| known.name).or_else(|| names.element(key)) {
        text.byte(b' ');
        text.one_line(name);
    }
    if known.is_some_and(|known| known.data_type == AbstractDataType::Boolean) {
        // Anything else is no value (RFC 7011 §6.1.5).
        text.str(match octets {
            [1] => " true",
            [2] => " false",
            _ => " invalid",
        });
    }
    text.byte(b'\n');
}

impl RowFormatter for RawRows {
    fn file(&mut self, file: &FileInfo<'_>) {
        self.ident = file.ident.map(str::to_owned);
        self.names = file.names.cloned().unwrap_or_default();
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let names = Arc::clone(&self.names);
        let record = Record {
            columns: self.columns.iter().map(|column| (*column, batch.cells(column.id))).collect(),
            extra: batch
                .extra()
                .iter()
                .map(|one| (one.name.as_str(), one.kind, batch.cells(one.column)))
                .collect(),
            tuples: TupleCells::new(batch),
            src_addr: batch.cells(ColumnId::SrcAddr),
            dst_addr: batch.cells(ColumnId::DstAddr),
            names: NameCells::new(&names, batch),
            batch,
        };
        let text = &mut Text::new(out);
        (0..batch.rows()).for_each(|row| self.record(&record, row, text));
    }
}
