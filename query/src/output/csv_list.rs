//! `csv:`, RFC 4180 with the fields the user picked: values as they are, and nothing where
//! the exporter sent nothing.

use std::io::{self, Write};
use std::sync::Arc;

use flow_common::addr::Addr16;
use flow_common::column::Kind;

use super::cell::{ColumnText, Form};
use super::layout::Layout;
use super::numbered::{self, NUMBER_HERE, ROW_ENDS};
use super::shown::{fragment_flags, network};
use super::text::{Text, TimeText};
use super::value::{Clock, Rate, Ready, Row, Shared, Value};
use super::{FileInfo, RowFormat, RowFormatter, Style, geo};
use crate::Zone;
use crate::batch::Batch;
use crate::names::Names;
use crate::places::Places;

pub(super) struct CsvList {
    layout: Arc<Layout>,
    zone: Zone,
    places: Option<Arc<Places>>,
}

impl CsvList {
    pub(super) fn new(style: &Style) -> Self {
        Self { layout: Arc::clone(&style.layout), zone: style.zone, places: style.places.clone() }
    }
}

impl RowFormat for CsvList {
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        let keys: Vec<_> = self.layout.tags().map(|tag| tag.key()).collect();
        writeln!(out, "{}", keys.join(","))
    }

    fn formatter(&self) -> Box<dyn RowFormatter> {
        let field = |(index, value)| Field { value, column: column_text(value, index == 0) };
        Box::new(CsvListRows {
            fields: self.layout.values().enumerate().map(field).collect(),
            has_number: self.layout.has_number(),
            times: TimeText::new(self.zone),
            utc: TimeText::new(Zone::Utc),
            ident: None,
            names: Arc::default(),
            places: geo::Lookup::new(self.places.as_ref()),
        })
    }

    fn join(&self, rows_before: u64, text: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
        match self.layout.has_number() {
            true => numbered::write(rows_before, text, 0, out),
            false => out.write_all(text),
        }
    }
}

/// The text of a value that is a column's as it is.
fn column_text(value: Value, is_first: bool) -> Option<ColumnText> {
    let kind = value.column()?.column().kind;
    let is_as_it_is = !matches!(value, Value::Flows | Value::Time(..) | Value::Origin(_))
        && !matches!(kind, Kind::Labels | Kind::Other);
    is_as_it_is.then(|| ColumnText::new(kind, if is_first { Form::Bare } else { Form::Csv }))
}

struct Field {
    value: Value,
    column: Option<ColumnText>,
}

struct CsvListRows {
    fields: Vec<Field>,
    has_number: bool,
    times: TimeText,
    utc: TimeText,
    ident: Option<String>,
    names: Arc<Names>,
    places: geo::Lookup,
}

impl RowFormatter for CsvListRows {
    fn file(&mut self, file: &FileInfo<'_>) {
        self.ident = file.ident.map(str::to_owned);
        self.names = file.names.cloned().unwrap_or_default();
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let names = Arc::clone(&self.names);
        let mut fields = std::mem::take(&mut self.fields);
        // Only rates are made of counters here, and nothing of the 5-tuple.
        let rates = fields.iter().map(|field| field.value).filter(|value| matches!(value, Value::Rate(_)));
        let shared = Shared::new(rates, batch, &names);
        let ready: Vec<_> = fields.iter().map(|field| Ready::new(field.value, batch)).collect();
        for (field, ready) in fields.iter_mut().zip(&ready) {
            if let Some(column) = &mut field.column {
                column.prepare(ready.cells, batch.rows());
            }
        }
        let text = &mut Text::new(out);
        for at in 0..batch.rows() {
            let row = shared.row(at);
            for (index, (field, ready)) in fields.iter_mut().zip(&ready).enumerate() {
                match &mut field.column {
                    Some(column) => column.append(ready.cells, at, &mut self.times, text),
                    None => {
                        text.str(if index > 0 { "," } else { "" });
                        self.computed(ready, &row, &shared, text);
                    }
                }
            }
            text.byte(b'\n');
            if self.has_number {
                text.byte(ROW_ENDS);
            }
        }
        self.fields = fields;
    }
}

impl CsvListRows {
    /// A value that is no column's as it is.
    fn computed(&mut self, ready: &Ready<'_>, row: &Row, shared: &Shared<'_>, text: &mut Text<'_>) {
        let Ready { cells, more, .. } = *ready;
        let at = row.at;
        match ready.value {
            Value::Flows => text.int(cells.int(at).unwrap_or(1)),
            Value::Time(_, clock) => {
                let Some(micros) = cells.int(at) else { return };
                match clock {
                    Clock::Zone => self.times.rfc3339(micros, text),
                    Clock::Utc => self.utc.rfc3339(micros, text),
                    Clock::Secs => text.secs(micros),
                    Clock::Millis => text.int(micros.div_euclid(1_000)),
                }
            }
            Value::Duration { .. } => {
                if let (Some(start), Some(end)) = (cells.int(at), more.int(at)) {
                    text.secs(end.saturating_sub(start));
                }
            }
            Value::Rate(Rate::Bps) => text.uint(row.counters.bps()),
            Value::Rate(Rate::Pps) => text.uint(row.counters.pps()),
            Value::Rate(Rate::Bpp) => text.uint(row.counters.bpp()),
            Value::Number => text.byte(NUMBER_HERE),
            Value::Ident => text.csv_field(self.ident.as_deref().unwrap_or_default()),
            Value::Name(index) => text.csv_field(shared.names.get(index, at).unwrap_or_default()),
            Value::Net(_) => {
                let length = more.int(at).and_then(|mask| u8::try_from(mask).ok());
                if let Some(net) = network(cells.octets(at).map(Addr16), length) {
                    text.addr(net.addr().into());
                    text.byte(b'/');
                    text.uint(net.prefix_len().into());
                }
            }
            Value::Geo(_, what) => {
                let of_addr = || self.places.get(Addr16(cells.octets(at)?), what);
                match cells.text(at) {
                    Some(key) => text.csv_field(key),
                    None => of_addr().iter().for_each(|known| text.csv_field(known)),
                }
            }
            Value::Origin(_) => {
                let number = self.places.origin(cells.int(at), more.octets(at));
                number.into_iter().for_each(|number| text.int(number));
            }
            Value::Engine => {
                if let (Some(engine_type), Some(id)) = (cells.int(at), more.int(at)) {
                    text.int(engine_type);
                    text.byte(b'/');
                    text.int(id);
                }
            }
            Value::Label(n) => {
                let entry = cells.labels(at).into_iter().flatten().nth(usize::from(n) - 1);
                entry.into_iter().for_each(|entry| text.mpls(entry));
            }
            Value::Fragment => {
                fragment_flags(cells, at).into_iter().for_each(|flags| text.uint(flags.into()));
            }
            _ => lists(ready, at, text),
        }
    }
}

/// Columns of several values, a blank between them.
fn lists(ready: &Ready<'_>, row: usize, text: &mut Text<'_>) {
    for (index, entry) in ready.cells.labels(row).into_iter().flatten().enumerate() {
        text.str(if index > 0 { " " } else { "" });
        text.mpls(entry);
    }
    for (index, (key, octets)) in ready.cells.entries(row).into_iter().flatten().enumerate() {
        text.str(if index > 0 { " " } else { "" });
        text.other_key(key);
        text.byte(b'=');
        text.hex(octets);
    }
}
