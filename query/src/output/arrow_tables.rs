//! Statistics and groups as a stream of Arrow IPC, with the names JSON has.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{Field, Schema};

use super::arrow::{Stream, of_cells};
use super::grouped::each_batch;
use super::statistics::{percent, row_protocol, shares};
use crate::aggregate::{Element, Group, Groups, Measured, Record, Table, Value};
use crate::aggregation::{Aggregation, BUCKET};
use crate::batch::Batch;
use crate::flow::{Counters, FiveTuple};
use crate::measure::{Form, Measures};

/// Columns of a table.
#[derive(Default)]
pub(super) struct Sheet {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Sheet {
    fn put(&mut self, name: &str, array: ArrayRef) {
        self.fields.push(Field::new(name, array.data_type().clone(), true));
        self.arrays.push(array);
    }

    pub(super) fn ints(&mut self, name: &str, values: impl Iterator<Item = Option<i64>>) {
        self.put(name, Arc::new(Int64Array::from_iter(values)));
    }

    pub(super) fn counts(&mut self, name: &str, values: impl Iterator<Item = u64>) {
        self.ints(name, values.map(|value| Some(i64::try_from(value).unwrap_or(i64::MAX))));
    }

    pub(super) fn texts(&mut self, name: &str, values: impl Iterator<Item = Option<String>>) {
        self.put(name, Arc::new(StringArray::from_iter(values)));
    }

    pub(super) fn times(&mut self, name: &str, values: impl Iterator<Item = Option<i64>>) {
        self.put(name, Arc::new(TimestampMicrosecondArray::from_iter(values).with_timezone("UTC")));
    }

    fn floats(&mut self, name: &str, values: impl Iterator<Item = f64>) {
        self.put(name, Arc::new(Float64Array::from_iter_values(values)));
    }

    fn span<'a>(&mut self, counters: impl Iterator<Item = &'a Counters> + Clone) {
        self.times("first", counters.clone().map(|counters| counters.first));
        self.times("last", counters.clone().map(|counters| counters.last));
        self.floats("duration", counters.map(|counters| counters.duration_ms() as f64 / 1_000.0));
    }

    fn rates<'a>(&mut self, counters: impl Iterator<Item = &'a Counters> + Clone) {
        self.counts("pps", counters.clone().map(Counters::pps));
        self.counts("bps", counters.clone().map(Counters::bps));
        self.counts("bpp", counters.map(Counters::bpp));
    }

    /// What is measured; durations in seconds, parts in percent.
    fn measured<'a>(&mut self, measures: &Measures, rows: impl Iterator<Item = &'a [Measured]> + Clone) {
        for (at, one) in measures.list.iter().enumerate() {
            let values = rows.clone().map(|measured| measured.get(at).and_then(|one| one.value));
            match one.form() {
                Form::Count | Form::Scaled => {
                    let int = |value| i64::try_from(value).unwrap_or(i64::MAX);
                    self.ints(&one.name, values.map(|value| value.map(int)));
                }
                Form::Duration | Form::Percent => {
                    let floats = values.map(|value| value.map(|value| value as f64 / 1_000.0));
                    self.put(&one.name, Arc::new(Float64Array::from_iter(floats)));
                }
            }
        }
    }

    pub(super) fn write(self, out: &mut dyn Write) -> io::Result<()> {
        let mut stream = Stream::new(out);
        stream.write(&self.batch()?)?;
        stream.end()
    }

    fn batch(self) -> io::Result<RecordBatch> {
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays).map_err(io::Error::other)
    }
}

/// Writes rows as a stream of sheets; one without rows, where there are none.
fn write_rows<T>(
    out: &mut dyn Write,
    rows: impl Iterator<Item = T>,
    make: impl Fn(&[T]) -> Sheet,
) -> io::Result<()> {
    let mut stream = Stream::new(out);
    let mut is_empty = true;
    each_batch(rows, |rows| {
        is_empty = false;
        stream.write(&make(rows).batch()?)
    })?;
    if is_empty {
        stream.write(&make(&[]).batch()?)?;
    }
    stream.end()
}

/// Writes groups; parts of the key have the types of their columns.
pub(super) fn write_groups(
    out: &mut dyn Write,
    aggregation: &Aggregation,
    groups: &mut Groups<'_>,
) -> io::Result<()> {
    write_rows(out, groups, |groups| sheet_of_groups(aggregation, groups))
}

fn sheet_of_groups(aggregation: &Aggregation, groups: &[Group]) -> Sheet {
    let mut sheet = Sheet::default();
    for (at, key) in aggregation.keys.iter().enumerate() {
        let cells = groups.iter().map(|group| group.key.get(at).and_then(Option::as_ref));
        let kind = key.column.table().map_or_else(|| key.value_kind(), |column| column.kind);
        let mut batch = Batch::new(groups.len(), &Arc::from([]));
        let place = flow_common::column::ColumnId::SrcAddr;
        batch.set(place.into(), Value::column(kind, cells));
        sheet.put(&key.name, of_cells(kind, batch.cells(place), groups.len()));
    }
    let counters = groups.iter().map(|group| &group.counters);
    sheet.span(counters.clone());
    sheet.counts("flows", counters.clone().map(|counters| counters.flows));
    sheet.counts("packets", counters.clone().map(|counters| counters.packets));
    sheet.counts("bytes", counters.clone().map(|counters| counters.bytes));
    sheet.rates(counters.clone());
    if aggregation.has_out() {
        sheet.counts("out_packets", counters.clone().map(|counters| counters.out_packets));
        sheet.counts("out_bytes", counters.map(|counters| counters.out_bytes));
    }
    sheet.measured(&aggregation.measures, groups.iter().map(|group| &*group.measured));
    if aggregation.is_of_flows() {
        sheet.ints("tcp_flags", groups.iter().map(|group| group.tcp_flags));
        sheet.ints("src_tos", groups.iter().map(|group| group.src_tos));
    }
    sheet
}

/// One row of a statistic.
struct Row<'a> {
    word: &'a str,
    order: &'a str,
    value: Option<String>,
    protocol: Option<i64>,
    tuple: Option<FiveTuple>,
    counters: Counters,
    whole: Counters,
    bucket: Option<i64>,
    measured: Box<[Measured]>,
}

/// Writes every table as one. Values of statistics are text, as those of several are of
/// several types; the columns of `record` are there where it was asked for.
pub(super) fn write_tables(
    out: &mut dyn Write,
    tables: &mut [Table<'_>],
    total: &Counters,
) -> io::Result<()> {
    // All of one question are measured alike.
    let measures = tables.first().map(|table| &*table.statistic.measures);
    let has_records = tables.iter().any(|table| table.is_of_records());
    write_rows(out, tables.iter_mut().flat_map(|table| rows_of(table, total)), |rows| {
        sheet_of_tables(rows, measures, has_records)
    })
}

fn sheet_of_tables(rows: &[Row<'_>], measures: Option<&Measures>, has_records: bool) -> Sheet {
    let mut sheet = Sheet::default();
    sheet.texts("statistic", rows.iter().map(|row| Some(row.word.to_owned())));
    sheet.texts("order", rows.iter().map(|row| Some(row.order.to_owned())));
    if measures.is_some_and(|measures| measures.bucket.is_some()) {
        sheet.times(BUCKET, rows.iter().map(|row| row.bucket));
    }
    sheet.texts("value", rows.iter().map(|row| row.value.clone()));
    if has_records {
        let tuples = || rows.iter().map(|row| row.tuple.as_ref());
        let addr = |addr: Option<flow_common::addr::Addr16>| addr.map(|addr| addr.to_string());
        sheet.texts("src_addr", tuples().map(|tuple| addr(tuple?.src_addr)));
        sheet.texts("dst_addr", tuples().map(|tuple| addr(tuple?.dst_addr)));
        sheet.ints("src_port", tuples().map(|tuple| tuple?.src_port.map(i64::from)));
        sheet.ints("dst_port", tuples().map(|tuple| tuple?.dst_port.map(i64::from)));
    }
    sheet.ints("protocol", rows.iter().map(|row| row.protocol));
    sheet.span(rows.iter().map(|row| &row.counters));
    for (at, name) in ["flows", "packets", "bytes"].into_iter().enumerate() {
        sheet.counts(name, rows.iter().map(|row| shares(&row.counters, &row.whole)[at].0));
        let part = |row: &Row<'_>| {
            let (count, of) = shares(&row.counters, &row.whole)[at];
            percent(count, of)
        };
        sheet.floats(&format!("{name}_percent"), rows.iter().map(part));
    }
    sheet.rates(rows.iter().map(|row| &row.counters));
    if let Some(measures) = measures {
        sheet.measured(measures, rows.iter().map(|row| &*row.measured));
    }
    sheet
}

fn rows_of<'a>(table: &'a mut Table<'_>, total: &Counters) -> Box<dyn Iterator<Item = Row<'a>> + 'a> {
    let (statistic, order, whole, total) = (table.statistic, table.order(), table.whole(total), *total);
    let word = &*statistic.word;
    if table.is_of_records() {
        return Box::new(table.records().map(move |(tuple, Record { counters, .. })| {
            let protocol = tuple.protocol.map(i64::from);
            let (value, tuple, bucket, measured) = (None, Some(tuple), None, Box::default());
            Row { word, order, value, protocol, tuple, counters, whole: total, bucket, measured }
        }));
    }
    Box::new(table.elements().map(move |Element { protocol, value, counters, bucket, measured }| {
        let protocol = row_protocol(statistic, protocol, &value).flatten();
        let value = Some(value.to_string());
        Row { word, order, value, protocol, tuple: None, counters, whole, bucket, measured }
    }))
}
