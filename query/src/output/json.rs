//! JSON and NDJSON: every column that is not NULL, by its name, in table order,
//! then those an operator defined.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use flow_common::column::{COLUMNS, Kind};

use super::cell::{ColumnText, Form};
use super::text::{Label, Text, TimeText};
use super::{FileInfo, Format, RowFormat, RowFormatter, Style};
use crate::Zone;
use crate::batch::Batch;
use crate::columns::ColumnRef;
use crate::names::{NAME_COLUMNS, NameCells, NameColumn, Names};

pub(super) struct Json {
    list: JsonList,
    zone: Zone,
}

impl Json {
    pub(super) fn new(style: &Style) -> Self {
        Self { list: JsonList::new(style.format), zone: style.zone }
    }
}

impl RowFormat for Json {
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.list.open().as_bytes())
    }

    fn formatter(&self) -> Box<dyn RowFormatter> {
        let times = TimeText::new(self.zone);
        Box::new(JsonRows { list: self.list, times, names: Arc::default(), columns: BTreeMap::new() })
    }

    fn join(&self, rows_before: u64, text: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
        let separator = if rows_before == 0 { self.list.separator().len() } else { 0 };
        out.write_all(text.get(separator..).unwrap_or_default())
    }

    fn end(&self, rows: u64, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.list.close(rows == 0).as_bytes())
    }
}

/// Each object with what separates it from the one before, also the first.
struct JsonRows {
    list: JsonList,
    times: TimeText,
    names: Arc<Names>,
    /// Columns that had values so far.
    columns: BTreeMap<ColumnRef, ColumnText>,
}

impl JsonRows {
    /// The text of a column, to be kept again after the batch.
    fn take(&mut self, column: ColumnRef, name: &str, kind: Kind) -> ColumnText {
        let new = || ColumnText::new(kind, Form::Json(self.list.key(name)));
        self.columns.remove(&column).unwrap_or_else(new)
    }
}

impl RowFormatter for JsonRows {
    fn file(&mut self, file: &FileInfo<'_>) {
        self.names = file.names.cloned().unwrap_or_default();
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let list = self.list;
        // Most columns of most files are empty.
        let table = COLUMNS.iter().map(|column| (column.name, column.kind, ColumnRef::from(column.id)));
        let extra = batch.extra().iter().map(|one| (one.name.as_str(), one.kind, one.column));
        let columns = table.chain(extra).filter(|(.., column)| batch.has_values(*column));
        let mut columns: Vec<_> = columns
            .map(|(name, kind, column)| (column, self.take(column, name, kind), batch.cells(column)))
            .collect();
        columns.iter_mut().for_each(|(_, column, cells)| column.prepare(*cells, batch.rows()));
        let names = NameCells::new(&self.names, batch);
        // A column an operator called so has the key.
        let is_free = |column: &NameColumn| batch.extra().iter().all(|one| one.name != column.name);
        let joined: Vec<_> = NAME_COLUMNS
            .iter()
            .enumerate()
            .filter(|(_, column)| is_free(column))
            .map(|(index, column)| (index, list.key(column.name)))
            .collect();
        let scaled_by = list.key("scaled_by");
        let (text, times) = (&mut Text::new(out), &mut self.times);
        for row in 0..batch.rows() {
            text.str(list.separator());
            let object = list.begin_object(text);
            for (_, column, cells) in &mut columns {
                column.append(*cells, row, times, text);
            }
            for (index, key) in &joined {
                // A name the flow itself tells is a column and printed already.
                if let Some(name) = names.joined(*index, row) {
                    text.label(key);
                    text.json_string(name);
                }
            }
            if let Some(rate) = batch.rate(row) {
                text.label(&scaled_by);
                text.int(rate);
            }
            list.end_object(object, text);
        }
        self.columns.extend(columns.into_iter().map(|(column, text, _)| (column, text)));
    }
}

/// Objects in an array over several lines, or one a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonList {
    is_array: bool,
}

impl JsonList {
    pub(super) fn new(format: Format) -> Self {
        Self { is_array: matches!(format, Format::Json | Format::NfJson) }
    }

    pub(super) fn is_array(self) -> bool {
        self.is_array
    }

    /// Before the first object.
    pub(super) fn open(self) -> &'static str {
        if self.is_array { "[" } else { "" }
    }

    /// Between two objects.
    pub(super) fn separator(self) -> &'static str {
        if self.is_array { "," } else { "" }
    }

    /// After the last.
    pub(super) fn close(self, is_empty: bool) -> &'static str {
        match (self.is_array, is_empty) {
            (false, _) => "",
            (true, true) => "]\n",
            (true, false) => "\n]\n",
        }
    }

    /// Begins an object and returns where its brace will be.
    pub(super) fn begin_object(self, text: &mut Text<'_>) -> usize {
        text.str(if self.is_array { "\n " } else { "" });
        text.mark()
    }

    /// A key that needs no escaping (one of our own words, or the name of a column),
    /// with the comma that stands before all but the first.
    pub(super) fn key(self, name: &str) -> Label {
        match self.is_array {
            true => format!(",\n  \"{name}\": "),
            false => format!(",\"{name}\":"),
        }
        .into()
    }

    /// Ends the object that began at `mark`.
    pub(super) fn end_object(self, mark: usize, text: &mut Text<'_>) {
        // Whichever key came first, its comma is where the brace belongs.
        text.set(mark, b'{');
        text.str(if self.is_array { "\n }" } else { "}\n" });
    }
}
