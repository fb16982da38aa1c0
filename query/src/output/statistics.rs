//! Statistics as nfdump's tables, CSV, JSON or NDJSON.

use std::io::{self, Write};

use flow_common::column::{ColumnId, Kind, Unit};
use flow_common::proto::TcpFlags;

use super::csv;
use super::json::{JsonList, write_json_float, write_string};
use super::table::{TableRow, TableWriter};
use super::value::{
    ADDRESS_WIDTH_FULL, AddressText, DurationText, ProtocolText, Scaled, one_line, write_hex,
    write_json_time, write_rfc3339, write_table_time,
};
use super::{Format, Style};
use crate::aggregate::{Float, Record, Table, TableRows, Value};
use crate::flow::{Counters, FiveTuple};
use crate::statistic::{Key, Ranking, Statistic};
use crate::zone::Calendar;

/// Writes every table; `total` is what percentages are of.
pub(crate) fn write_tables(
    out: &mut dyn Write,
    style: &Style,
    top: usize,
    tables: &[Table<'_>],
    total: &Counters,
) -> io::Result<()> {
    match style.format {
        Format::Null => Ok(()),
        Format::Csv => write_csv(out, style, tables, total),
        Format::Json | Format::Ndjson => write_json(out, style, tables, total),
        Format::Line | Format::Long | Format::Extended | Format::Raw | Format::Custom => {
            for (index, table) in tables.iter().enumerate() {
                write_table(out, style, top, table, total)?;
                let is_last = index + 1 == tables.len();
                if matches!(table.rows, TableRows::Elements(_)) && !(style.is_quiet && is_last) {
                    writeln!(out)?;
                }
            }
            Ok(())
        }
    }
}

fn write_table(
    out: &mut dyn Write,
    style: &Style,
    top: usize,
    table: &Table<'_>,
    total: &Counters,
) -> io::Result<()> {
    if !style.is_quiet {
        let count = if top == 0 { String::new() } else { format!("{top} ") };
        let (title, order) = (&table.statistic.title, table.ranking.order.word());
        writeln!(out, "Top {count}{title} ordered by {order}:")?;
    }
    let is_empty = match &table.rows {
        TableRows::Records(rows) => {
            // `raw` and `fmt:` have nothing to show of many flows in one.
            let is_of_flows = matches!(style.format, Format::Raw | Format::Custom);
            let format = if is_of_flows { Format::Line } else { style.format };
            let mut writer = TableWriter::new(&Style { format, ..style.clone() });
            writer.header(out)?;
            let mut text = Vec::new();
            for (tuple, record) in rows {
                text.clear();
                writer.row(&mut text, &table_row(tuple, record))?;
                out.write_all(&text)?;
            }
            rows.is_empty()
        }
        TableRows::Elements(rows) => {
            let whole = table.statistic.whole(total);
            let width = value_width(style, table.statistic);
            if !style.is_quiet {
                write!(
                    out,
                    "{:<23} {:>12}     Proto {:>width$}",
                    "Date first seen", "Duration", table.statistic.title
                )?;
                writeln!(out, "    Flows(%)     Packets(%)       Bytes(%)         pps      bps   bpp")?;
            }
            let mut calendar = Calendar::new(style.zone);
            for ((protocol, value), counters) in rows {
                let protocol = row_protocol(table.statistic, *protocol, value);
                write_table_time(out, &mut calendar, counters.first)?;
                write_element(out, style, (protocol, value), counters, &whole, table.statistic)?;
            }
            rows.is_empty()
        }
    };
    if is_empty && !style.is_quiet {
        writeln!(out, "No matching flows")?;
    }
    Ok(())
}

fn table_row(tuple: &FiveTuple, record: &Record) -> TableRow {
    let Record { counters, tcp_flags, src_tos } = *record;
    TableRow { tuple: *tuple, counters, tcp_flags, src_tos }
}

/// The protocol a row is about: with `:p` its own, and of `proto` the value.
fn row_protocol(statistic: &Statistic, split: Option<Option<i64>>, value: &Value) -> Option<Option<i64>> {
    match value {
        Value::Int(number) if is_about(statistic, ColumnId::Protocol) => Some(Some(*number)),
        _ => split,
    }
}

/// Whether the values of a statistic are those of one column of the table.
fn is_about(statistic: &Statistic, id: ColumnId) -> bool {
    matches!(&statistic.key, Key::Columns(columns, _) if matches!(columns[..], [only] if only == id))
}

fn value_width(style: &Style, statistic: &Statistic) -> usize {
    let is_address = matches!(&statistic.key, Key::Columns(_, Kind::Address));
    if style.is_ipv6_full && is_address { ADDRESS_WIDTH_FULL } else { 17 }
}

fn write_element(
    out: &mut dyn Write,
    style: &Style,
    (protocol, value): (Option<Option<i64>>, &Value),
    counters: &Counters,
    total: &Counters,
    statistic: &Statistic,
) -> io::Result<()> {
    let is_plain = style.is_plain;
    let scaled = |value| Scaled { value, is_plain };
    write!(out, " {:>16} ", DurationText { ms: counters.duration_ms(), is_plain })?;
    match protocol {
        Some(Some(number)) => write!(out, "{:<5}", ProtocolText { protocol: Some(number), is_plain })?,
        Some(None) => write!(out, "{:<5}", "-")?,
        None => write!(out, "{:<5}", "any")?,
    }
    let width = value_width(style, statistic);
    write!(out, " {:>width$}", shown(value, statistic, style.is_ipv6_full))?;
    for (count, of) in
        [(counters.flows, total.flows), (counters.packets, total.packets), (counters.bytes, total.bytes)]
    {
        write!(out, " {:>8}({:>4.1})", scaled(count), percent(count, of))?;
    }
    writeln!(out, " {:>8} {:>8} {:>5}", scaled(counters.pps()), scaled(counters.bps()), counters.bpp())
}

/// The value of a row for a table.
fn shown(value: &Value, statistic: &Statistic, is_full: bool) -> String {
    let column = match &statistic.key {
        Key::Columns(columns, _) => columns.first().and_then(|column| column.table()),
        Key::Record => None,
    };
    match (value, column) {
        (Value::Int(flags), Some(column)) if column.id == ColumnId::TcpFlags => {
            TcpFlags(*flags as u16).to_string()
        }
        (Value::Int(micros), Some(column)) if column.unit == Unit::Microseconds => {
            format!("{}.{:03}", micros / 1_000, micros.rem_euclid(1_000))
        }
        (Value::Int(id), Some(column)) if column.id == ColumnId::ApplicationId => {
            format!("{}..{}", id >> 32, id & 0xffff_ffff)
        }
        (Value::Address(addr), _) => AddressText { addr: Some(*addr), is_full }.to_string(),
        _ => one_line(&value.to_string()),
    }
}

fn percent(count: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { 100.0 * count as f64 / of as f64 }
}

/// One header for all tables; the first two columns tell them apart.
fn write_csv(out: &mut dyn Write, style: &Style, tables: &[Table<'_>], total: &Counters) -> io::Result<()> {
    let mut calendar = Calendar::new(style.zone);
    if let [Table { rows: TableRows::Records(rows), .. }] = tables {
        csv::write_header(out, &[])?;
        return rows
            .iter()
            .try_for_each(|(tuple, record)| write_csv_record(out, &mut calendar, tuple, record));
    }
    writeln!(
        out,
        "statistic,order,value,protocol,first,last,duration,flows,flows_percent,packets,packets_percent,\
         bytes,bytes_percent,pps,bps,bpp"
    )?;
    for table in tables {
        let TableRows::Elements(rows) = &table.rows else { continue };
        for ((protocol, value), counters) in rows {
            write!(out, "{},{},", table.statistic.word, table.ranking.order.word())?;
            csv::write_field(out, &value.to_string())?;
            write!(out, ",")?;
            if let Some(number) = row_protocol(table.statistic, *protocol, value).flatten() {
                write!(out, "{number}")?;
            }
            for time in [counters.first, counters.last] {
                write!(out, ",")?;
                time.map_or(Ok(()), |micros| write_rfc3339(out, &mut calendar, micros))?;
            }
            write!(out, ",{}", DurationText { ms: counters.duration_ms(), is_plain: true })?;
            write_csv_counters(out, counters, &table.statistic.whole(total))?;
        }
    }
    Ok(())
}

fn write_csv_counters(out: &mut dyn Write, counters: &Counters, total: &Counters) -> io::Result<()> {
    for (count, of) in
        [(counters.flows, total.flows), (counters.packets, total.packets), (counters.bytes, total.bytes)]
    {
        write!(out, ",{count},{:.1}", percent(count, of))?;
    }
    writeln!(out, ",{},{},{}", counters.pps(), counters.bps(), counters.bpp())
}

fn write_csv_record(
    out: &mut dyn Write,
    calendar: &mut Calendar,
    tuple: &FiveTuple,
    record: &Record,
) -> io::Result<()> {
    let counters = &record.counters;
    let field = |value: Option<String>| value.unwrap_or_default();
    counters.first.map_or(Ok(()), |micros| write_rfc3339(out, calendar, micros))?;
    writeln!(
        out,
        ",{},{},{},{},{},{},{},{},{}",
        DurationText { ms: counters.duration_ms(), is_plain: true },
        field(tuple.protocol.map(|number| number.to_string())),
        field(tuple.src_addr.map(|addr| addr.to_string())),
        field(tuple.src_port.map(|port| port.to_string())),
        field(tuple.dst_addr.map(|addr| addr.to_string())),
        field(tuple.dst_port.map(|port| port.to_string())),
        counters.packets,
        counters.bytes,
        counters.flows
    )
}

fn write_json(out: &mut dyn Write, style: &Style, tables: &[Table<'_>], total: &Counters) -> io::Result<()> {
    let mut list = JsonList::new(style.format);
    let mut calendar = Calendar::new(style.zone);
    list.begin(out)?;
    for Table { statistic, ranking, rows } in tables {
        match rows {
            TableRows::Records(rows) => {
                for (tuple, record) in rows {
                    begin_row(out, &mut list, statistic, *ranking)?;
                    write_json_tuple(out, &mut list, tuple, record)?;
                    end_row(out, &mut list, &mut calendar, &record.counters, total)?;
                }
            }
            TableRows::Elements(rows) => {
                for ((protocol, value), counters) in rows {
                    begin_row(out, &mut list, statistic, *ranking)?;
                    list.key(out, "value")?;
                    match value {
                        Value::Int(number) => write!(out, "{number}")?,
                        Value::Float(Float(number)) => write_json_float(out, *number)?,
                        Value::Boolean(value) => write!(out, "{value}")?,
                        Value::Binary(octets) => {
                            write!(out, "\"")?;
                            write_hex(out, octets)?;
                            write!(out, "\"")?;
                        }
                        other => write_string(out, &other.to_string())?,
                    }
                    let protocol = row_protocol(statistic, *protocol, value).flatten();
                    write_json_int(out, &mut list, ColumnId::Protocol.name(), protocol)?;
                    end_row(out, &mut list, &mut calendar, counters, &statistic.whole(total))?;
                }
            }
        }
    }
    list.end(out)
}

fn begin_row(
    out: &mut dyn Write,
    list: &mut JsonList,
    statistic: &Statistic,
    ranking: Ranking,
) -> io::Result<()> {
    list.begin_object(out)?;
    list.key(out, "statistic")?;
    write!(out, "\"{}\"", statistic.word)?;
    list.key(out, "order")?;
    write!(out, "\"{}\"", ranking.order.word())
}

fn end_row(
    out: &mut dyn Write,
    list: &mut JsonList,
    calendar: &mut Calendar,
    counters: &Counters,
    total: &Counters,
) -> io::Result<()> {
    for (name, time) in [("first", counters.first), ("last", counters.last)] {
        let Some(micros) = time else { continue };
        list.key(out, name)?;
        write_json_time(out, calendar, micros)?;
    }
    list.key(out, "duration")?;
    write!(out, "{}", DurationText { ms: counters.duration_ms(), is_plain: true })?;
    for (name, percent_name, count, of) in [
        ("flows", "flows_percent", counters.flows, total.flows),
        ("packets", "packets_percent", counters.packets, total.packets),
        ("bytes", "bytes_percent", counters.bytes, total.bytes),
    ] {
        list.key(out, name)?;
        write!(out, "{count}")?;
        list.key(out, percent_name)?;
        write!(out, "{:.1}", percent(count, of))?;
    }
    for (name, rate) in [("pps", counters.pps()), ("bps", counters.bps()), ("bpp", counters.bpp())] {
        list.key(out, name)?;
        write!(out, "{rate}")?;
    }
    list.end_object(out)
}

fn write_json_tuple(
    out: &mut dyn Write,
    list: &mut JsonList,
    tuple: &FiveTuple,
    record: &Record,
) -> io::Result<()> {
    for (column, addr) in [(ColumnId::SrcAddr, tuple.src_addr), (ColumnId::DstAddr, tuple.dst_addr)] {
        let Some(addr) = addr else { continue };
        list.key(out, column.name())?;
        write!(out, "\"{addr}\"")?;
    }
    for (column, value) in [
        (ColumnId::SrcPort, tuple.src_port.map(i64::from)),
        (ColumnId::DstPort, tuple.dst_port.map(i64::from)),
        (ColumnId::Protocol, tuple.protocol.map(i64::from)),
        (ColumnId::TcpFlags, record.tcp_flags),
        (ColumnId::SrcTos, record.src_tos),
    ] {
        write_json_int(out, list, column.name(), value)?;
    }
    Ok(())
}

fn write_json_int(
    out: &mut dyn Write,
    list: &mut JsonList,
    name: &str,
    value: Option<i64>,
) -> io::Result<()> {
    let Some(value) = value else { return Ok(()) };
    list.key(out, name)?;
    write!(out, "{value}")
}
