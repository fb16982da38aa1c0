//! nfdump's `raw`: every stored column of a record, one a line, with its meaning.

use std::io::{self, Write};
use std::sync::Arc;

use flow_common::addr::{Addr16, Mac};
use flow_common::column::{COLUMNS, Column, ColumnId, Kind, Unit};
use flow_common::element::{AbstractDataType, ElementKey};
use flow_common::proto::{Protocol, TcpFlags};
use ipnet::IpNet;

use super::json::write_other_key;
use super::value::{one_line, write_hex, write_label, write_table_time};
use super::{FileInfo, RowWriter, Style};
use crate::batch::{Batch, Cells};
use crate::flow::TupleCells;
use crate::names::{NAME_COLUMNS, NameCells, Names};
use crate::zone::Calendar;

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

pub(super) struct RawWriter {
    calendar: Calendar,
    ident: Option<String>,
    names: Arc<Names>,
    columns: Vec<&'static Column>,
    record_count: u64,
}

impl RawWriter {
    pub(super) fn new(style: &Style) -> Self {
        let rest = COLUMNS.iter().filter(|column| !ORDER.contains(&column.id));
        Self {
            calendar: Calendar::new(style.zone),
            ident: None,
            names: Arc::default(),
            columns: ORDER.iter().map(|id| id.column()).chain(rest).collect(),
            record_count: 0,
        }
    }

    fn record(&mut self, cells: &Record<'_>, row: usize, out: &mut Vec<u8>) -> io::Result<()> {
        self.record_count += 1;
        write!(out, "\nFlow Record: \n  {:<12} = {:>18}\n", "RecordCount", self.record_count)?;
        if let Some(ident) = &self.ident {
            let ident = one_line(ident);
            writeln!(out, "  {:<12} = {ident:>18}", "Ident")?;
        }
        let tuple = cells.tuples.get(row);
        let icmp = tuple.dst_port.and_then(|_| tuple.icmp());
        for (column, of_column) in &cells.columns {
            match (column.id, icmp) {
                (ColumnId::SrcPort | ColumnId::IcmpType | ColumnId::IcmpCode, Some(_)) => {}
                (ColumnId::DstPort, Some((icmp_type, code))) => {
                    let text = format!("{icmp_type}.{code}");
                    writeln!(out, "  {:<12} = {text:>18} type.code", "ICMP")?;
                }
                _ => self.column(column, *of_column, cells, row, out)?,
            }
        }
        for (name, kind, of_column) in &cells.extra {
            self.value(name, *kind, *of_column, row, out)?;
        }
        for (index, column) in NAME_COLUMNS.iter().enumerate() {
            if let Some(name) = cells.names.joined(index, row) {
                writeln!(out, "  {:<12} = {}", column.raw, one_line(name))?;
            }
        }
        match cells.batch.rate(row) {
            Some(rate) => writeln!(out, "  {:<12} = {rate:>18}", "scaled by"),
            None => Ok(()),
        }
    }

    fn column(
        &mut self,
        column: &Column,
        of_column: Cells<'_>,
        cells: &Record<'_>,
        row: usize,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        match (column.kind, of_column.int(row)) {
            (Kind::Int32 | Kind::Int64, Some(value)) => number(out, column, value, cells, row),
            (Kind::Binary, _) => match of_column.binary(row) {
                Some(octets) => acl(out, column.raw, octets),
                None => Ok(()),
            },
            _ => self.value(column.raw, column.kind, of_column, row, out),
        }
    }

    /// A value of which nothing more is known than its kind.
    fn value(
        &mut self,
        key: &str,
        kind: Kind,
        of_column: Cells<'_>,
        row: usize,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        match kind {
            Kind::Int32 | Kind::Int64 => match of_column.int(row) {
                Some(value) => writeln!(out, "  {key:<12} = {value:>18}"),
                None => Ok(()),
            },
            Kind::Timestamp => {
                let Some(micros) = of_column.int(row) else { return Ok(()) };
                write!(out, "  {key:<12} = {:>18} [", micros.div_euclid(1_000))?;
                write_table_time(out, &mut self.calendar, Some(micros))?;
                writeln!(out, "]")
            }
            Kind::Address => match of_column.octets(row).map(Addr16) {
                Some(addr) => writeln!(out, "  {key:<12} = {addr:>18}", addr = addr.to_ip()),
                None => Ok(()),
            },
            Kind::Mac => match of_column.octets(row).map(Mac) {
                Some(mac) => writeln!(out, "  {key:<12} =  {mac}"),
                None => Ok(()),
            },
            Kind::Text => {
                let Some(text) = of_column.text(row) else { return Ok(()) };
                writeln!(out, "  {key:<12} = {}", one_line(text))
            }
            Kind::Binary => {
                let Some(octets) = of_column.binary(row) else { return Ok(()) };
                write!(out, "  {key:<12} = ")?;
                write_hex(out, octets)?;
                writeln!(out)
            }
            Kind::Float64 => match of_column.float(row) {
                Some(value) => writeln!(out, "  {key:<12} = {value:>18}"),
                None => Ok(()),
            },
            Kind::Boolean => match of_column.int(row) {
                Some(value) => writeln!(out, "  {key:<12} = {:>18}", value == 1),
                None => Ok(()),
            },
            Kind::Labels => {
                for (index, entry) in of_column.labels(row).into_iter().flatten().enumerate() {
                    write!(out, "  {key} {:<3} = ", index + 1)?;
                    write_label(out, entry)?;
                    writeln!(out)?;
                }
                Ok(())
            }
            Kind::Other => {
                let mut entries = of_column.entries(row).into_iter().flatten();
                entries.try_for_each(|entry| other(out, entry, &self.names))
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
fn number(out: &mut Vec<u8>, column: &Column, value: i64, cells: &Record<'_>, row: usize) -> io::Result<()> {
    let key = column.raw;
    match column.id {
        ColumnId::Protocol | ColumnId::TunnelProtocol => {
            let name = u8::try_from(value).ok().and_then(|number| Protocol(number).name());
            write!(out, "  {key:<12} = {value:>18}")?;
            writeln!(out, "{}{}", if name.is_some() { " " } else { "" }, name.unwrap_or_default())
        }
        ColumnId::TcpFlags => {
            let hex = format!("{value:#04x}");
            writeln!(out, "  {key:<12} = {hex:>18} {}", TcpFlags(value as u16))
        }
        ColumnId::SrcMask | ColumnId::DstMask => {
            let addr = if column.id == ColumnId::SrcMask { cells.src_addr } else { cells.dst_addr };
            let net = addr.octets(row).map(Addr16).and_then(|addr| {
                IpNet::new(addr.to_ip(), u8::try_from(value).ok()?).ok().map(|net| net.trunc())
            });
            write!(out, "  {key:<12} = {value:>18}")?;
            net.map_or(Ok(()), |net| write!(out, " {net}"))?;
            writeln!(out)
        }
        ColumnId::ApplicationId => {
            let text = format!("{}..{}", value >> 32, value & 0xffff_ffff);
            writeln!(out, "  {key:<12} = {text:>18}")
        }
        _ if column.unit == Unit::Microseconds => {
            let text = format!("{}.{:03}", value / 1_000, value.rem_euclid(1_000));
            writeln!(out, "  {key:<12} = {text:>18} ms")
        }
        _ => match meaning(column.id, value) {
            Some(meaning) => writeln!(out, "  {key:<12} = {value:>18} {meaning}"),
            None => writeln!(out, "  {key:<12} = {value:>18}"),
        },
    }
}

fn meaning(column: ColumnId, value: i64) -> Option<&'static str> {
    let names: &[&str] = match column {
        ColumnId::Direction => &["ingress", "egress"],
        ColumnId::BiflowDirection => &["arbitrary", "initiator", "reverse initiator", "perimeter"],
        ColumnId::EndReason => {
            &["", "idle timeout", "active timeout", "end of Flow detected", "forced end", "lack of resources"]
        }
        ColumnId::FirewallEvent => &["IGNORE", "CREATE", "DELETE", "DENIED", "ALERT", "UPDATE"],
        _ => &[],
    };
    names.get(usize::try_from(value).ok()?).copied().filter(|name| !name.is_empty())
}

/// Three ids of four octets: `0xA/0xB/0xC`; any other length as hex.
fn acl(out: &mut Vec<u8>, key: &str, octets: &[u8]) -> io::Result<()> {
    let words: Vec<u32> = octets
        .chunks_exact(4)
        .map(|word| word.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
        .collect();
    write!(out, "  {key:<12} = ")?;
    match (octets.len(), words.as_slice()) {
        (12, [acl, ace, extended]) => write!(out, "{acl:#x}/{ace:#x}/{extended:#x}")?,
        _ => write_hex(out, octets)?,
    }
    writeln!(out)
}

/// An element without a column, with its name where the registry or an exporter has one.
fn other(out: &mut Vec<u8>, (key, octets): (i64, &[u8]), names: &Names) -> io::Result<()> {
    write!(out, "  element ")?;
    write_other_key(out, key)?;
    write!(out, " = ")?;
    write_hex(out, octets)?;
    let (element, _) = ElementKey::from_other_key(key);
    let known = element.lookup();
    let told = || names.element(key).map(one_line);
    let name = known.map(|known| known.name.to_owned()).or_else(told);
    name.map_or(Ok(()), |name| write!(out, " {name}"))?;
    if known.is_some_and(|known| known.data_type == AbstractDataType::Boolean) {
        // Anything else is no value (RFC 7011 §6.1.5).
        let text = match octets {
            [1] => " true",
            [2] => " false",
            _ => " invalid",
        };
        write!(out, "{text}")?;
    }
    writeln!(out)
}

impl RowWriter for RawWriter {
    fn begin(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn file(&mut self, file: &FileInfo<'_>) {
        self.ident = file.ident.map(str::to_owned);
        self.names = file.names.cloned().unwrap_or_default();
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) -> io::Result<()> {
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
        (0..batch.rows()).try_for_each(|row| self.record(&record, row, out))
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
