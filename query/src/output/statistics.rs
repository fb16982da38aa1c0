//! Statistics as nfdump's tables, CSV, JSON or NDJSON.

use std::io::{self, Write};

use flow_common::column::{Column, ColumnId, Kind, Unit};
use flow_common::limits::OUTPUT_BUFFER_BYTES;
use flow_common::proto::TcpFlags;

use super::csv;
use super::json::JsonList;
use super::markdown::{self, ROW, cell};
use super::measured::Columns;
use super::paint::{Paint, painted};
use super::text::{ADDRESS_WIDTH, ADDRESS_WIDTH_FULL, Label, Text, TimeText};
use super::{Chosen, Format, Style, arrow_tables, grouped, nf_tables, write_if_empty};
use crate::aggregate::{Element, Float, Measured, Record, Table, Value};
use crate::flow::{Counters, FiveTuple};
use crate::group::Source;
use crate::statistic::{Key, Statistic};

/// Writes every table; `total` is what percentages are of.
pub(crate) fn write_tables(
    out: &mut dyn Write,
    style: &Style,
    top: usize,
    tables: &mut [Table<'_>],
    total: &Counters,
) -> io::Result<()> {
    match style.format {
        Format::Null => {
            tables.iter_mut().for_each(|table| table.elements().for_each(drop));
            Ok(())
        }
        Format::Csv | Format::CsvFast | Format::CsvList => write_csv(out, style, tables, total),
        Format::Json | Format::Ndjson => write_json(out, style, tables, total),
        Format::NfJson | Format::NfNdjson => nf_tables::write_tables(out, style, tables),
        Format::Arrow => arrow_tables::write_tables(out, tables, total),
        Format::Markdown => write_markdown(out, style, top, tables, total),
        Format::Text | Format::Raw => {
            let n = tables.len();
            for (index, table) in tables.iter_mut().enumerate() {
                write_table(out, style, top, table, total)?;
                if !(table.is_of_records() || style.is_quiet && index + 1 == n) {
                    writeln!(out)?;
                }
            }
            Ok(())
        }
    }
}

/// Writes a text for each row, in a buffer that is written when it is full.
pub(super) fn write_rows<T>(
    out: &mut dyn Write,
    rows: impl IntoIterator<Item = T>,
    mut make: impl FnMut(&mut Text<'_>, T),
) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut text = Text::new(&mut buffer);
    for row in rows {
        make(&mut text, row);
        if text.mark() >= OUTPUT_BUFFER_BYTES {
            out.write_all(text.since(0))?;
            text.rewind(0);
        }
    }
    out.write_all(text.since(0))
}

fn write_table(
    out: &mut dyn Write,
    style: &Style,
    top: usize,
    table: &mut Table<'_>,
    total: &Counters,
) -> io::Result<()> {
    if !style.is_quiet {
        painted(out, style, Paint::Title, heading(top, table).as_bytes())?;
    }
    if table.is_of_records() {
        return grouped::write_records(out, &of_flows(style), table.records());
    }
    let (statistic, whole) = (table.statistic, table.whole(total));
    let width = value_width(style, statistic);
    let columns = Columns::new(&statistic.measures, style.is_plain);
    if !style.is_quiet {
        let (front, behind) = columns.titles();
        let line = format!(
            "{front}{:<23} {:>12}     Proto {:>width$}    Flows(%)     Packets(%)       Bytes(%)         pps      bps   bpp{behind}",
            "Date first seen", "Duration", statistic.title
        );
        painted(out, style, Paint::Title, line.as_bytes())?;
    }
    let (mut times, mut n_rows) = (TimeText::new(style.zone), 0);
    write_rows(out, table.elements(), |text, row| {
        n_rows += 1;
        let protocol = row_protocol(statistic, row.protocol, &row.value);
        columns.bucket(row.bucket, &mut times, text);
        times.table(row.counters.first, text);
        element(text, style, (protocol, &row.value), &row.counters, &whole, statistic);
        columns.row(&row.measured, text);
        text.byte(b'\n');
    })?;
    write_if_empty(n_rows, style, out)
}

/// `Top 10 Src IP Addr ordered by bytes:`
fn heading(top: usize, table: &Table<'_>) -> String {
    let count = if top == 0 { String::new() } else { format!("{top} ") };
    let (title, order) = (&table.statistic.title, table.order());
    let each = table.statistic.measures.bucket.map(|bucket| format!(", every {}", bucket.word()));
    format!("Top {count}{title} ordered by {order}{}:", each.unwrap_or_default())
}

/// How flows of one 5-tuple are printed: `raw` has nothing to show of many in one.
fn of_flows(style: &Style) -> Style {
    let line = match style.format {
        Format::Raw => Chosen::parse("line").ok().flatten(),
        _ => None,
    };
    match line {
        Some(line) => Style { format: line.format, layout: line.layout.into(), ..style.clone() },
        None => style.clone(),
    }
}

fn write_markdown(
    out: &mut dyn Write,
    style: &Style,
    top: usize,
    tables: &mut [Table<'_>],
    total: &Counters,
) -> io::Result<()> {
    for (index, table) in tables.iter_mut().enumerate() {
        if !style.is_quiet {
            let gap = if index > 0 { "\n" } else { "" };
            writeln!(out, "{gap}{}\n", heading(top, table))?;
        } else if index > 0 {
            writeln!(out)?;
        }
        if table.is_of_records() {
            grouped::write_records(out, style, table.records())?;
            continue;
        }
        let (statistic, whole) = (table.statistic, table.whole(total));
        let counted = ["Flows(%)", "Packets(%)", "Bytes(%)", "pps", "bps", "bpp"].map(|title| (title, true));
        let front =
            [("Date first seen", false), ("Duration", true), ("Proto", false), (&*statistic.title, true)];
        let columns = Columns::new(&statistic.measures, style.is_plain);
        let (bucket, behind) = columns.markdown_titles();
        let front = bucket.into_iter().chain(front);
        markdown::write_header(out, front.chain(counted).chain(behind))?;
        let mut times = TimeText::new(style.zone);
        write_rows(
            out,
            table.elements(),
            |text, Element { protocol: split, value, counters, bucket, measured }| {
                columns.markdown_bucket(bucket, &mut times, text);
                cell(text, |text| times.table(counters.first, text));
                cell(text, |text| text.duration(counters.duration_ms(), style.is_plain));
                cell(text, |text| protocol(text, row_protocol(statistic, split, &value), style));
                cell(text, |text| shown(text, &value, column_of(statistic), true));
                for (count, of) in shares(&counters, &whole) {
                    cell(text, |text| {
                        text.scaled(count, style.is_plain, 0);
                        text.byte(b'(');
                        text.tenths(percent(count, of));
                        text.byte(b')');
                    });
                }
                for count in [counters.pps(), counters.bps(), counters.bpp()] {
                    cell(text, |text| text.scaled(count, style.is_plain, 0));
                }
                columns.markdown_row(&measured, text);
                text.literal(ROW);
            },
        )?;
    }
    Ok(())
}

/// The protocol of a row; `any` where rows are not by protocol.
fn protocol(text: &mut Text<'_>, protocol: Option<Option<i64>>, style: &Style) {
    match protocol {
        Some(Some(number)) => text.protocol(Some(number), style.is_plain),
        Some(None) => text.byte(b'-'),
        None => text.literal(b"any"),
    }
}

/// The protocol a row is about: with `:p` its own, and of `proto` the value.
pub(super) fn row_protocol(
    statistic: &Statistic,
    split: Option<Option<i64>>,
    value: &Value,
) -> Option<Option<i64>> {
    match value {
        Value::Int(number) if statistic.key.is_about(ColumnId::Protocol) => Some(Some(*number)),
        _ => split,
    }
}

/// The value of a row for a screen.
pub(crate) fn shown_text(value: &Value, statistic: &Statistic, is_full: bool) -> String {
    let mut buffer = Vec::new();
    shown(&mut Text::new(&mut buffer), value, column_of(statistic), is_full);
    String::from_utf8_lossy(&buffer).into_owned()
}

/// The column of the table its values are of.
fn column_of(statistic: &Statistic) -> Option<&'static Column> {
    statistic.key.columns()?.first()?.table()
}

fn value_width(style: &Style, statistic: &Statistic) -> usize {
    let width = 17;
    let Key::Values(sources, kind) = &statistic.key else { return width };
    let addr = match style.is_ipv6_full {
        true => ADDRESS_WIDTH_FULL,
        false => ADDRESS_WIDTH,
    };
    match sources.first() {
        Some(Source::Net { .. }) => addr + NET_LENGTH_WIDTH,
        Some(Source::Origin { is_named: true, .. }) => ORIGIN_WIDTH,
        _ if style.is_ipv6_full && *kind == Kind::Address => ADDRESS_WIDTH_FULL,
        _ => width,
    }
}

/// Characters of the length of a prefix, and of a system with its organisation.
const NET_LENGTH_WIDTH: usize = 4;
const ORIGIN_WIDTH: usize = 40;

fn element(
    text: &mut Text<'_>,
    style: &Style,
    (split, value): (Option<Option<i64>>, &Value),
    counters: &Counters,
    total: &Counters,
    statistic: &Statistic,
) {
    let is_plain = style.is_plain;
    text.byte(b' ');
    let mark = text.mark();
    text.duration(counters.duration_ms(), is_plain);
    text.right(mark, 16);
    text.byte(b' ');
    let mark = text.mark();
    protocol(text, split, style);
    text.left(mark, 5);
    text.byte(b' ');
    let mark = text.mark();
    shown(text, value, column_of(statistic), style.is_ipv6_full);
    text.right(mark, value_width(style, statistic));
    for (count, of) in shares(counters, total) {
        text.byte(b' ');
        text.scaled(count, is_plain, 8);
        text.byte(b'(');
        let mark = text.mark();
        text.tenths(percent(count, of));
        text.right(mark, 4);
        text.byte(b')');
    }
    for rate in [counters.pps(), counters.bps()] {
        text.byte(b' ');
        text.scaled(rate, is_plain, 8);
    }
    text.byte(b' ');
    text.uint_right(counters.bpp(), 5);
}

/// Every counter, and what it is a part of.
pub(super) fn shares(counters: &Counters, total: &Counters) -> [(u64, u64); 3] {
    [(counters.flows, total.flows), (counters.packets, total.packets), (counters.bytes, total.bytes)]
}

/// The value of a row for a table.
pub(super) fn shown(text: &mut Text<'_>, value: &Value, column: Option<&Column>, is_full: bool) {
    match (value, column) {
        (Value::Int(flags), Some(column)) if column.id == ColumnId::TcpFlags => {
            text.literal(&TcpFlags(*flags as u16).letters());
        }
        (Value::Int(micros), Some(column)) if column.unit == Unit::Microseconds => text.latency(*micros),
        (Value::Int(id), Some(column)) if column.id == ColumnId::ApplicationId => text.application(*id),
        (Value::Address(addr), _) => text.table_addr(Some(*addr), is_full),
        (Value::Net(addr, length), _) => {
            text.table_addr(Some(*addr), is_full);
            text.byte(b'/');
            text.int((*length).into());
        }
        (Value::Text(value), _) => text.one_line(value),
        _ => bare(text, value),
    }
}

/// A value for a program: addresses and octets as text, numbers as they are.
pub(super) fn bare(text: &mut Text<'_>, value: &Value) {
    match value {
        Value::Int(number) => text.int(*number),
        Value::Address(addr) => text.addr(*addr),
        Value::Net(addr, length) => {
            text.addr(*addr);
            text.byte(b'/');
            text.int((*length).into());
        }
        Value::Mac(mac) => text.mac(*mac),
        Value::Label(entry) => text.mpls(*entry),
        Value::Text(value) => text.csv_field(value),
        Value::Binary(octets) => text.hex(octets),
        Value::Float(Float(number)) => text.formatted(format_args!("{number}")),
        Value::Boolean(value) => text.bool(*value),
    }
}

/// A value in JSON.
pub(super) fn json_value(text: &mut Text<'_>, value: &Value) {
    match value {
        Value::Int(_) | Value::Boolean(_) => bare(text, value),
        Value::Float(Float(number)) => text.json_float(*number),
        Value::Text(value) => text.json_string(value),
        Value::Address(_) | Value::Net(..) | Value::Mac(_) | Value::Label(_) | Value::Binary(_) => {
            text.byte(b'"');
            bare(text, value);
            text.byte(b'"');
        }
    }
}

pub(super) fn percent(count: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { 100.0 * count as f64 / of as f64 }
}

/// One header for all tables; the first two columns tell them apart.
fn write_csv(
    out: &mut dyn Write,
    style: &Style,
    tables: &mut [Table<'_>],
    total: &Counters,
) -> io::Result<()> {
    let mut times = TimeText::new(style.zone);
    if let [table] = tables
        && table.is_of_records()
    {
        if style.format == Format::CsvList {
            return grouped::write_records(out, style, table.records());
        }
        csv::write_header(out, &[])?;
        return write_rows(out, table.records(), |text, (tuple, record)| {
            csv_record(text, &mut times, &tuple, &record);
        });
    }
    // All of one question are measured alike.
    let measures = tables.first().map(|table| &*table.statistic.measures);
    let (bucket, behind) =
        measures.map(|measures| Columns::new(measures, style.is_plain).csv_names()).unwrap_or_default();
    let bucket = bucket.map(|name| format!("{name},")).unwrap_or_default();
    writeln!(
        out,
        "statistic,order,{bucket}value,protocol,first,last,duration,flows,flows_percent,packets,\
         packets_percent,bytes,bytes_percent,pps,bps,bpp{behind}"
    )?;
    for table in tables {
        let (statistic, order, whole) = (table.statistic, table.order(), table.whole(total));
        let columns = Columns::new(&statistic.measures, style.is_plain);
        write_rows(
            out,
            table.elements(),
            |text, Element { protocol, value, counters, bucket, measured }| {
                text.str(&statistic.word);
                text.byte(b',');
                text.str(order);
                text.byte(b',');
                columns.csv_bucket(bucket, &mut times, text);
                bare(text, &value);
                text.byte(b',');
                if let Some(number) = row_protocol(statistic, protocol, &value).flatten() {
                    text.int(number);
                }
                for time in [counters.first, counters.last] {
                    text.byte(b',');
                    time.into_iter().for_each(|micros| times.rfc3339(micros, text));
                }
                text.byte(b',');
                text.millis(counters.duration_ms());
                csv_counters(text, &counters, &whole);
                columns.csv_row(&measured, text);
                text.byte(b'\n');
            },
        )?;
    }
    Ok(())
}

fn csv_counters(text: &mut Text<'_>, counters: &Counters, total: &Counters) {
    for (count, of) in shares(counters, total) {
        text.byte(b',');
        text.uint(count);
        text.byte(b',');
        text.tenths(percent(count, of));
    }
    for rate in [counters.pps(), counters.bps(), counters.bpp()] {
        text.byte(b',');
        text.uint(rate);
    }
}

fn csv_record(text: &mut Text<'_>, times: &mut TimeText, tuple: &FiveTuple, record: &Record) {
    let counters = &record.counters;
    counters.first.into_iter().for_each(|micros| times.rfc3339(micros, text));
    text.byte(b',');
    text.millis(counters.duration_ms());
    text.byte(b',');
    tuple.protocol.into_iter().for_each(|number| text.int(number.into()));
    for (addr, port) in [(tuple.src_addr, tuple.src_port), (tuple.dst_addr, tuple.dst_port)] {
        text.byte(b',');
        addr.into_iter().for_each(|addr| text.addr(addr));
        text.byte(b',');
        port.into_iter().for_each(|port| text.int(port.into()));
    }
    for count in [counters.packets, counters.bytes, counters.flows] {
        text.byte(b',');
        text.uint(count);
    }
    text.byte(b'\n');
}

fn write_json(
    out: &mut dyn Write,
    style: &Style,
    tables: &mut [Table<'_>],
    total: &Counters,
) -> io::Result<()> {
    let list = JsonList::new(style.format);
    let keys = Keys::new(list);
    let mut times = TimeText::new(style.zone);
    let mut row_count = 0;
    out.write_all(list.open().as_bytes())?;
    for table in tables {
        let (statistic, order, whole) = (table.statistic, table.order(), table.whole(total));
        let columns = Columns::new(&statistic.measures, style.is_plain);
        let labels = columns.labels(list);
        let mut object =
            |text: &mut Text<'_>, own: &dyn Fn(&mut Text<'_>), counters: &Counters, beside: Beside| {
                text.str(if row_count > 0 { list.separator() } else { "" });
                row_count += 1;
                let object = list.begin_object(text);
                for (key, word) in keys.heading.iter().zip([&*statistic.word, order]) {
                    text.label(key);
                    text.byte(b'"');
                    text.str(word);
                    text.byte(b'"');
                }
                columns.json_bucket(&labels, beside.0, &mut times, text);
                own(text);
                keys.counters(text, &mut times, counters, &whole);
                columns.json_row(&labels, &beside.1, text);
                list.end_object(object, text);
            };
        if table.is_of_records() {
            write_rows(out, table.records(), |text, (tuple, record)| {
                object(text, &|text| keys.tuple(text, &tuple, &record), &record.counters, Beside::default());
            })?;
            continue;
        }
        write_rows(
            out,
            table.elements(),
            |text, Element { protocol, value, counters, bucket, measured }| {
                let protocol = row_protocol(statistic, protocol, &value).flatten();
                object(text, &|text| keys.element(text, &value, protocol), &counters, (bucket, measured));
            },
        )?;
    }
    out.write_all(list.close(row_count == 0).as_bytes())
}

/// The bucket of a row, and what is measured.
type Beside = (Option<i64>, Box<[Measured]>);

/// Keys of the objects of statistics.
struct Keys {
    heading: [Label; 2],
    value: Label,
    /// First, last.
    times: [Label; 2],
    duration: Label,
    /// Flows, packets, bytes, each with its percentage.
    shares: [[Label; 2]; 3],
    /// Packets and bits a second, bytes a packet.
    rates: [Label; 3],
    addrs: [Label; 2],
    /// Ports, protocol, TCP flags, type of service.
    ints: [Label; 5],
}

impl Keys {
    fn new(list: JsonList) -> Self {
        let key = |name: &str| list.key(name);
        let column = |id: ColumnId| list.key(id.name());
        let share = |name: &str| [list.key(name), list.key(&format!("{name}_percent"))];
        Self {
            heading: ["statistic", "order"].map(key),
            value: key("value"),
            times: ["first", "last"].map(key),
            duration: key("duration"),
            shares: ["flows", "packets", "bytes"].map(share),
            rates: ["pps", "bps", "bpp"].map(key),
            addrs: [ColumnId::SrcAddr, ColumnId::DstAddr].map(column),
            ints: [
                ColumnId::SrcPort,
                ColumnId::DstPort,
                ColumnId::Protocol,
                ColumnId::TcpFlags,
                ColumnId::SrcTos,
            ]
            .map(column),
        }
    }

    fn element(&self, text: &mut Text<'_>, value: &Value, protocol: Option<i64>) {
        text.label(&self.value);
        json_value(text, value);
        let [.., of_protocol, _, _] = &self.ints;
        int(text, of_protocol, protocol);
    }

    fn tuple(&self, text: &mut Text<'_>, tuple: &FiveTuple, record: &Record) {
        for (key, addr) in self.addrs.iter().zip([tuple.src_addr, tuple.dst_addr]) {
            let Some(addr) = addr else { continue };
            text.label(key);
            text.byte(b'"');
            text.addr(addr);
            text.byte(b'"');
        }
        let [src_port, dst_port, protocol] =
            [tuple.src_port, tuple.dst_port, tuple.protocol].map(|value| value.map(i64::from));
        let values = [src_port, dst_port, protocol, record.tcp_flags, record.src_tos];
        self.ints.iter().zip(values).for_each(|(key, value)| int(text, key, value));
    }

    fn counters(&self, text: &mut Text<'_>, times: &mut TimeText, counters: &Counters, total: &Counters) {
        for (key, time) in self.times.iter().zip([counters.first, counters.last]) {
            let Some(micros) = time else { continue };
            text.label(key);
            times.json(micros, text);
        }
        text.label(&self.duration);
        text.millis(counters.duration_ms());
        for ([key, percent_key], (count, of)) in self.shares.iter().zip(shares(counters, total)) {
            text.label(key);
            text.uint(count);
            text.label(percent_key);
            text.tenths(percent(count, of));
        }
        for (key, rate) in self.rates.iter().zip([counters.pps(), counters.bps(), counters.bpp()]) {
            text.label(key);
            text.uint(rate);
        }
    }
}

fn int(text: &mut Text<'_>, key: &Label, value: Option<i64>) {
    let Some(value) = value else { return };
    text.label(key);
    text.int(value);
}
