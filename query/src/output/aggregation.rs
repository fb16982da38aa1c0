//! Groups of `-A` as a table, CSV, JSON or NDJSON.

use std::io::{self, Write};

use flow_common::column::Kind;

use super::json::JsonList;
use super::markdown::{self, ROW, cell};
use super::measured::Columns;
use super::paint::{Paint, painted};
use super::statistics::{bare, json_value, shown, write_rows};
use super::text::{ADDRESS_WIDTH, ADDRESS_WIDTH_FULL, Text, TimeText};
use super::{Format, Style, arrow_tables, grouped, write_if_empty};
use crate::aggregate::{Group, Groups, Value};
use crate::aggregation::{Aggregation, Key};
use crate::flow::Counters;
use crate::group::Source;

/// Writes the groups.
pub(crate) fn write_groups(
    out: &mut dyn Write,
    style: &Style,
    aggregation: &Aggregation,
    groups: &mut Groups<'_>,
) -> io::Result<()> {
    match style.format {
        Format::Null => {
            groups.for_each(drop);
            Ok(())
        }
        Format::Csv | Format::CsvFast => write_csv(out, style, aggregation, groups),
        Format::Json | Format::Ndjson => write_json(out, style, aggregation, groups),
        Format::Arrow if !style.is_own => arrow_tables::write_groups(out, aggregation, groups),
        Format::Markdown if !style.is_own => write_markdown(out, style, aggregation, groups),
        // Flows of one 5-tuple look like flows; other groups have columns of their own.
        Format::Text if !style.is_own && !aggregation.is_of_flows() => {
            write_table(out, style, aggregation, groups)
        }
        Format::Raw => write_table(out, style, aggregation, groups),
        Format::Text
        | Format::CsvList
        | Format::Markdown
        | Format::NfJson
        | Format::NfNdjson
        | Format::Arrow => grouped::write_groups(out, style, aggregation, groups),
    }
}

/// Characters of a key's column.
fn width(style: &Style, key: &Key) -> usize {
    let addr = if style.is_ipv6_full { ADDRESS_WIDTH_FULL } else { ADDRESS_WIDTH };
    let width = match key.value_kind() {
        _ if matches!(key.source(), Source::Net { .. }) => addr + 4,
        Kind::Address => addr,
        Kind::Mac => 17,
        Kind::Int64 if is_time(key) => 23,
        Kind::Int64 => 6,
        _ => 16,
    };
    width.max(key.title.len())
}

/// The start of a group's bucket, and the other parts of its key.
fn split<'a>(aggregation: &Aggregation, group: &'a Group) -> (Option<i64>, &'a [Option<Value>]) {
    match (aggregation.split_keys(), &*group.key) {
        ((Some(_), _), [bucket, key @ ..]) => match bucket {
            Some(Value::Int(micros)) => (Some(*micros), key),
            _ => (None, key),
        },
        (_, key) => (None, key),
    }
}

fn write_table(
    out: &mut dyn Write,
    style: &Style,
    aggregation: &Aggregation,
    groups: &mut Groups<'_>,
) -> io::Result<()> {
    let (is_plain, keys) = (style.is_plain, aggregation.split_keys().1);
    let widths: Vec<usize> = keys.iter().map(|key| width(style, key)).collect();
    let columns = Columns::new(&aggregation.measures, is_plain);
    if !style.is_quiet {
        let (front, behind) = columns.titles();
        let mut line = format!("{front}{:<23} {:<16}", "Date first seen", "Duration");
        for (key, width) in keys.iter().zip(&widths) {
            line += &format!(" {:>width$}", key.title);
        }
        line += &format!(" {:>8} {:>8}", "Packets", "Bytes");
        line += if aggregation.is_alone() { "      pps" } else { "" };
        line += &format!(" {:>8} {:>6} {:>5}{behind}", "bps", "Bpp", "Flows");
        painted(out, style, Paint::Title, line.as_bytes())?;
    }
    let (mut times, mut n_rows) = (TimeText::new(style.zone), 0);
    write_rows(out, groups, |text, group| {
        n_rows += 1;
        let (counters, (bucket, values)) = (&group.counters, split(aggregation, &group));
        columns.bucket(bucket, &mut times, text);
        times.table(counters.first, text);
        text.byte(b' ');
        let mark = text.mark();
        text.duration(counters.duration_ms(), is_plain);
        text.right(mark, 16);
        for ((key, width), value) in keys.iter().zip(&widths).zip(values) {
            text.byte(b' ');
            let mark = text.mark();
            shown_key(text, &mut times, (key, value.as_ref()), is_plain, style.is_ipv6_full);
            text.right(mark, *width);
        }
        for count in amounts(aggregation, counters) {
            text.byte(b' ');
            text.scaled(count, is_plain, 8);
        }
        for (count, width) in [(counters.bpp(), 6), (counters.flows, 5)] {
            text.byte(b' ');
            text.uint_right(count, width);
        }
        columns.row(&group.measured, text);
        text.byte(b'\n');
    })?;
    write_if_empty(n_rows, style, out)
}

/// A part of the key for people.
fn shown_key(
    text: &mut Text<'_>,
    times: &mut TimeText,
    (key, value): (&Key, Option<&Value>),
    is_plain: bool,
    is_full: bool,
) {
    match value {
        Some(Value::Int(micros)) if is_time(key) => times.table(Some(*micros), text),
        Some(Value::Int(number)) if key.name == "protocol" => text.protocol(Some(*number), is_plain),
        Some(value) => shown(text, value, key.column.table(), is_full),
        None => text.byte(b'-'),
    }
}

fn write_markdown(
    out: &mut dyn Write,
    style: &Style,
    aggregation: &Aggregation,
    groups: &mut Groups<'_>,
) -> io::Result<()> {
    let columns = Columns::new(&aggregation.measures, style.is_plain);
    let (bucket, behind) = columns.markdown_titles();
    let keys = aggregation.split_keys().1;
    let titles = keys.iter().map(|key| (key.title.as_str(), true));
    let counted = ["Packets", "Bytes", "pps", "bps", "Bpp", "Flows"].map(|title| (title, true));
    let counted = counted.into_iter().filter(|(title, _)| *title != "pps" || aggregation.is_alone());
    let answered = ["Out Pkt", "Out Byte"].map(|title| (title, true));
    let front = [("Date first seen", false), ("Duration", true)].into_iter();
    let answered = answered.into_iter().filter(|_| aggregation.has_out());
    let front = bucket.into_iter().chain(front);
    markdown::write_header(out, front.chain(titles).chain(counted).chain(answered).chain(behind))?;
    let mut times = TimeText::new(style.zone);
    write_rows(out, groups, |text, group| {
        let (counters, (bucket, values)) = (&group.counters, split(aggregation, &group));
        columns.markdown_bucket(bucket, &mut times, text);
        cell(text, |text| times.table(counters.first, text));
        cell(text, |text| text.duration(counters.duration_ms(), style.is_plain));
        for (key, value) in keys.iter().zip(values) {
            let value = value.as_ref();
            cell(text, |text| shown_key(text, &mut times, (key, value), style.is_plain, true));
        }
        for count in amounts(aggregation, counters) {
            cell(text, |text| text.scaled(count, style.is_plain, 0));
        }
        for count in [counters.bpp(), counters.flows] {
            cell(text, |text| text.uint(count));
        }
        for count in answers(aggregation, counters) {
            cell(text, |text| text.scaled(count, style.is_plain, 0));
        }
        columns.markdown_row(&group.measured, text);
        text.literal(ROW);
    })
}

fn write_csv(
    out: &mut dyn Write,
    style: &Style,
    aggregation: &Aggregation,
    groups: &mut Groups<'_>,
) -> io::Result<()> {
    let columns = Columns::new(&aggregation.measures, style.is_plain);
    let (bucket, behind) = columns.csv_names();
    let keys = aggregation.split_keys().1;
    bucket.into_iter().try_for_each(|name| write!(out, "{name},"))?;
    write!(out, "flow_start,duration")?;
    for key in keys {
        write!(out, ",{}", key.name)?;
    }
    write!(out, ",packets,bytes{},bps,bpp,flows", if aggregation.is_alone() { ",pps" } else { "" })?;
    writeln!(out, "{}{behind}", if aggregation.has_out() { ",out_packets,out_bytes" } else { "" })?;
    let mut times = TimeText::new(style.zone);
    write_rows(out, groups, |text, group| {
        let (counters, (bucket, values)) = (&group.counters, split(aggregation, &group));
        columns.csv_bucket(bucket, &mut times, text);
        if let Some(first) = counters.first {
            times.rfc3339(first, text);
        }
        text.byte(b',');
        text.millis(counters.duration_ms());
        for (key, value) in keys.iter().zip(values) {
            text.byte(b',');
            match value {
                Some(Value::Int(micros)) if is_time(key) => times.rfc3339(*micros, text),
                Some(value) => bare(text, value),
                None => {}
            }
        }
        let counts = amounts(aggregation, counters).chain([counters.bpp(), counters.flows]);
        for count in counts.chain(answers(aggregation, counters)) {
            text.byte(b',');
            text.uint(count);
        }
        columns.csv_row(&group.measured, text);
        text.byte(b'\n');
    })
}

/// Packets and bytes with their rates; packets a second where there is room for them.
fn amounts(aggregation: &Aggregation, counters: &Counters) -> impl Iterator<Item = u64> {
    let pps = aggregation.is_alone().then(|| counters.pps());
    [counters.packets, counters.bytes].into_iter().chain(pps).chain([counters.bps()])
}

/// Packets and bytes of the other direction, where flows are joined with their answers.
fn answers(aggregation: &Aggregation, counters: &Counters) -> impl Iterator<Item = u64> {
    [counters.out_packets, counters.out_bytes].into_iter().filter(|_| aggregation.has_out())
}

fn is_time(key: &Key) -> bool {
    key.column.table().is_some_and(|column| column.kind == Kind::Timestamp)
}

fn write_json(
    out: &mut dyn Write,
    style: &Style,
    aggregation: &Aggregation,
    groups: &mut Groups<'_>,
) -> io::Result<()> {
    let list = JsonList::new(style.format);
    let labels: Vec<_> = aggregation.keys.iter().map(|key| list.key(&key.name)).collect();
    let time_labels = ["first", "last"].map(|name| list.key(name));
    let duration = list.key("duration");
    let counts = ["flows", "packets", "bytes", "pps", "bps", "bpp"].map(|name| list.key(name));
    let out_labels = ["out_packets", "out_bytes"].map(|name| list.key(name));
    let columns = Columns::new(&aggregation.measures, style.is_plain);
    let measured_labels = columns.labels(list);
    let detail_labels = ["tcp_flags", "src_tos"].map(|name| list.key(name));
    let mut times = TimeText::new(style.zone);
    out.write_all(list.open().as_bytes())?;
    let mut is_first = true;
    write_rows(out, groups, |text: &mut Text<'_>, group| {
        text.str(if is_first { "" } else { list.separator() });
        is_first = false;
        let object = list.begin_object(text);
        for ((key, label), value) in aggregation.keys.iter().zip(&labels).zip(&group.key) {
            let Some(value) = value else { continue };
            text.label(label);
            match value {
                Value::Int(micros) if is_time(key) => times.json(*micros, text),
                value => json_value(text, value),
            }
        }
        let counters = &group.counters;
        for (label, time) in time_labels.iter().zip([counters.first, counters.last]) {
            let Some(micros) = time else { continue };
            text.label(label);
            times.json(micros, text);
        }
        text.label(&duration);
        text.millis(counters.duration_ms());
        for (label, value) in counts.iter().zip(counters.shown()) {
            text.label(label);
            text.uint(value);
        }
        for (label, value) in out_labels.iter().zip(answers(aggregation, counters)) {
            text.label(label);
            text.uint(value);
        }
        columns.json_row(&measured_labels, &group.measured, text);
        // Kept of flows of one 5-tuple; a part of the key has its key already.
        for (label, value) in detail_labels.iter().zip([group.tcp_flags, group.src_tos]) {
            if let Some(value) = value.filter(|_| aggregation.is_of_flows()) {
                text.label(label);
                text.int(value);
            }
        }
        list.end_object(object, text);
    })?;
    out.write_all(list.close(is_first).as_bytes())
}
