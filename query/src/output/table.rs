//! nfdump's `line`, `long` and `extended`, column by column as wide as there.

use std::io::{self, Write};

use flow_common::addr::Addr16;
use flow_common::column::ColumnId;
use flow_common::proto::TcpFlags;

use super::text::{ADDRESS_WIDTH, ADDRESS_WIDTH_FULL, Text, TimeText};
use super::{Format, RowFormat, RowFormatter, Style, write_if_empty};
use crate::batch::Batch;
use crate::flow::{CounterCells, Counters, FiveTuple, TupleCells};

/// What a table prints of one flow, or of many of one 5-tuple. A missing number
/// is 0, as nfdump has it; CSV, JSON and raw tell the difference.
pub(super) struct TableRow {
    pub(super) tuple: FiveTuple,
    pub(super) counters: Counters,
    pub(super) tcp_flags: Option<i64>,
    pub(super) src_tos: Option<i64>,
}

pub(super) struct Table {
    style: Style,
}

impl Table {
    pub(super) fn new(style: &Style) -> Self {
        Self { style: style.clone() }
    }

    pub(super) fn header(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.style.is_quiet {
            return Ok(());
        }
        let width = address_width(&self.style) + ":Port".len();
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

    pub(super) fn table_rows(&self) -> TableRows {
        TableRows { style: self.style.clone(), times: TimeText::new(self.style.zone) }
    }
}

/// Characters of an address.
pub(super) fn address_width(style: &Style) -> usize {
    if style.is_ipv6_full { ADDRESS_WIDTH_FULL } else { ADDRESS_WIDTH }
}

impl RowFormat for Table {
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        self.header(out)
    }

    fn formatter(&self) -> Box<dyn RowFormatter> {
        Box::new(self.table_rows())
    }

    fn end(&self, rows: u64, out: &mut dyn Write) -> io::Result<()> {
        write_if_empty(rows, &self.style, out)
    }
}

pub(super) struct TableRows {
    style: Style,
    times: TimeText,
}

impl TableRows {
    pub(super) fn row(&mut self, row: &TableRow, text: &mut Text<'_>) {
        let TableRow { tuple, counters, .. } = row;
        let (is_plain, format) = (self.style.is_plain, self.style.format);
        self.times.table(counters.first, text);
        text.byte(b' ');
        let mark = text.mark();
        text.duration(counters.duration_ms(), is_plain);
        text.right(mark, 16);
        text.byte(b' ');
        let mark = text.mark();
        text.protocol(tuple.protocol.map(i64::from), is_plain);
        text.left(mark, 5);
        text.byte(b' ');
        self.endpoints(tuple, text);
        if format != Format::Line {
            text.byte(b' ');
            let flags = row.tcp_flags.unwrap_or(0);
            match is_plain {
                true => text.int_right(flags, 8),
                false => text.literal(&TcpFlags(flags as u16).letters()),
            }
            text.byte(b' ');
            text.int_right(row.src_tos.unwrap_or(0), 4);
        }
        for count in [counters.packets, counters.bytes] {
            text.byte(b' ');
            text.scaled(count, is_plain, 8);
        }
        if format == Format::Extended {
            for rate in [counters.pps(), counters.bps()] {
                text.byte(b' ');
                text.scaled(rate, is_plain, 8);
            }
            text.byte(b' ');
            text.uint_right(counters.bpp(), 6);
        }
        text.byte(b' ');
        text.uint_right(counters.flows, 5);
        text.byte(b'\n');
    }

    fn endpoints(&self, tuple: &FiveTuple, text: &mut Text<'_>) {
        let addr = tuple.src_addr.or(tuple.dst_addr);
        let separator = if addr.is_none_or(Addr16::is_v4) { b':' } else { b'.' };
        let src_port = if tuple.icmp().is_some() { 0 } else { tuple.src_port.unwrap_or(0) };
        self.address(tuple.src_addr, separator, text);
        text.int_left(src_port.into(), 5);
        text.literal(b" -> ");
        self.address(tuple.dst_addr, separator, text);
        match tuple.icmp() {
            Some((icmp_type, code)) => {
                text.int(icmp_type.into());
                text.byte(b'.');
                let width = usize::from(icmp_type < 10) + usize::from(icmp_type < 100) + 1;
                text.int_left(code.into(), width);
            }
            None => text.int_left(tuple.dst_port.unwrap_or(0).into(), 5),
        }
    }

    fn address(&self, addr: Option<Addr16>, separator: u8, text: &mut Text<'_>) {
        let mark = text.mark();
        text.table_addr(addr, self.style.is_ipv6_full);
        text.right(mark, address_width(&self.style));
        text.byte(separator);
    }
}

impl RowFormatter for TableRows {
    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let (tuples, counted) = (TupleCells::new(batch), CounterCells::new(batch));
        let (flags, tos) = (batch.cells(ColumnId::TcpFlags), batch.cells(ColumnId::SrcTos));
        let text = &mut Text::new(out);
        for row in 0..batch.rows() {
            let table_row = TableRow {
                tuple: tuples.get(row),
                counters: counted.get(row),
                tcp_flags: flags.int(row),
                src_tos: tos.int(row),
            };
            self.row(&table_row, text);
        }
    }
}
