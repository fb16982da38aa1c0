//! nfdump's `line`, `long` and `extended`, column by column as wide as there.

use std::io::{self, Write};

use flow_common::column::ColumnId;
use flow_common::proto::TcpFlags;

use super::value::{
    ADDRESS_WIDTH, ADDRESS_WIDTH_FULL, AddressText, DurationText, ProtocolText, Scaled, write_table_time,
};
use super::{Format, RowWriter, Style};
use crate::batch::Batch;
use crate::flow::{CounterCells, Counters, FiveTuple, TupleCells};
use crate::zone::Calendar;

/// What a table prints of one flow, or of many of one 5-tuple. A missing number
/// is 0, as nfdump has it; CSV, JSON and raw tell the difference.
pub(super) struct TableRow {
    pub(super) tuple: FiveTuple,
    pub(super) counters: Counters,
    pub(super) tcp_flags: Option<i64>,
    pub(super) src_tos: Option<i64>,
}

pub(super) struct TableWriter {
    style: Style,
    calendar: Calendar,
    is_empty: bool,
}

impl TableWriter {
    pub(super) fn new(style: &Style) -> Self {
        Self { style: style.clone(), calendar: Calendar::new(style.zone), is_empty: true }
    }

    fn address_width(&self) -> usize {
        if self.style.is_ipv6_full { ADDRESS_WIDTH_FULL } else { ADDRESS_WIDTH }
    }

    pub(super) fn header(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.style.is_quiet {
            return Ok(());
        }
        let width = self.address_width() + ":Port".len();
        write!(
            out,
            "{:<23} {:<16} Proto {:>width$}     {:>width$} ",
            "Date first seen", "Duration", "Src IP Addr:Port", "Dst IP Addr:Port"
        )?;
        if self.style.format != Format::Line {
            write!(out, "{:>9} {:>4}", "Flags", "Tos")?;
        }
        write!(out, " {:>8} {:>8}", "Packets", "Bytes")?;
        if self.style.format == Format::Extended {
            write!(out, " {:>8} {:>8} {:>6}", "pps", "bps", "Bpp")?;
        }
        writeln!(out, " {:>5}", "Flows")
    }

    pub(super) fn row(&mut self, out: &mut Vec<u8>, row: &TableRow) -> io::Result<()> {
        let TableRow { tuple, counters, .. } = row;
        let is_plain = self.style.is_plain;
        let scaled = |value| Scaled { value, is_plain };
        write_table_time(out, &mut self.calendar, counters.first)?;
        write!(
            out,
            " {:>16} {:<5} ",
            DurationText { ms: counters.duration_ms(), is_plain },
            ProtocolText { protocol: tuple.protocol.map(i64::from), is_plain }
        )?;
        let (width, is_full) = (self.address_width(), self.style.is_ipv6_full);
        let address = |addr| AddressText { addr, is_full };
        let separator =
            if tuple.src_addr.or(tuple.dst_addr).is_none_or(|addr| addr.is_v4()) { ':' } else { '.' };
        let src_port = if tuple.icmp().is_some() { 0 } else { tuple.src_port.unwrap_or(0) };
        write!(out, "{:>width$}{separator}{src_port:<5}", address(tuple.src_addr))?;
        write!(out, " -> {:>width$}{separator}", address(tuple.dst_addr))?;
        match tuple.icmp() {
            Some((icmp_type, code)) => {
                let pad = usize::from(icmp_type < 10) + usize::from(icmp_type < 100) + 1;
                write!(out, "{icmp_type}.{code:<pad$}")?;
            }
            None => write!(out, "{:<5}", tuple.dst_port.unwrap_or(0))?,
        }
        if self.style.format != Format::Line {
            let flags = row.tcp_flags.unwrap_or(0);
            match is_plain {
                true => write!(out, " {flags:>8}")?,
                false => write!(out, " {:>8}", TcpFlags(flags as u16))?,
            }
            write!(out, " {:>4}", row.src_tos.unwrap_or(0))?;
        }
        write!(out, " {:>8} {:>8}", scaled(counters.packets), scaled(counters.bytes))?;
        if self.style.format == Format::Extended {
            let (pps, bps) = (scaled(counters.pps()), scaled(counters.bps()));
            write!(out, " {pps:>8} {bps:>8} {:>6}", counters.bpp())?;
        }
        writeln!(out, " {:>5}", counters.flows)
    }
}

impl RowWriter for TableWriter {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.header(out)
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) -> io::Result<()> {
        let (tuples, counted) = (TupleCells::new(batch), CounterCells::new(batch));
        let (flags, tos) = (batch.cells(ColumnId::TcpFlags), batch.cells(ColumnId::SrcTos));
        for row in 0..batch.rows() {
            let table_row = TableRow {
                tuple: tuples.get(row),
                counters: counted.get(row),
                tcp_flags: flags.int(row),
                src_tos: tos.int(row),
            };
            self.row(out, &table_row)?;
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
