//! Cells of one column as text for programs: CSV, JSON and NDJSON.

use flow_common::addr::{Addr16, Mac};
use flow_common::column::Kind;
use flow_common::element::ElementKey;

use super::entries::{EntryText, EntryTexts};
use super::text::{Label, Text, TimeText};
use crate::batch::Cells;

/// What is written around a value.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// A comma before it, which is all there is of NULL.
    Csv,
    /// As CSV, without the comma.
    Bare,
    /// Its key before it, text in quotes; nothing of NULL.
    Json(Label),
}

/// Makes the text of a column's cells. A formatter keeps it from batch to batch, so
/// it is the place to remember text in: that of the entries of a dictionary.
#[derive(Debug, Clone)]
pub(super) struct ColumnText {
    kind: Kind,
    form: Form,
    /// Of the dictionary of these rows, where they are worth keeping.
    entries: EntryTexts,
    has_entries: bool,
}

impl ColumnText {
    pub(super) fn new(kind: Kind, form: Form) -> Self {
        Self { kind, form, entries: EntryTexts::default(), has_entries: false }
    }

    /// Says of what kind the next cells are.
    pub(super) fn set_kind(&mut self, kind: Kind) {
        self.kind = kind;
    }

    /// The next cells are of `rows` rows.
    pub(super) fn prepare(&mut self, cells: Cells<'_>, rows: usize) {
        // Numbers and times are made as fast as they are looked up.
        let is_slow = matches!(self.kind, Kind::Address | Kind::Mac | Kind::Text | Kind::Binary);
        let dictionary = cells.dictionary().filter(|_| is_slow);
        self.has_entries = dictionary.is_some_and(|(dictionary, _)| self.entries.are_of(dictionary, rows));
    }

    /// Appends a cell.
    #[inline]
    pub(super) fn append(&mut self, cells: Cells<'_>, row: usize, times: &mut TimeText, text: &mut Text<'_>) {
        if !self.has_entries {
            return self.append_value(cells, row, times, text);
        }
        let id = cells.dictionary().and_then(|(_, ids)| ids.get(row));
        let entry = id.map_or(usize::MAX, |id| *id as usize);
        match self.entries.get(entry) {
            EntryText::Short(octets, length) => {
                self.before(text);
                text.put(octets, length);
            }
            EntryText::Long(octets) => {
                self.before(text);
                text.bytes(octets);
            }
            EntryText::None if self.is_json() => {}
            EntryText::None => self.before(text),
            EntryText::Unmade => {
                let mark = text.mark();
                self.before(text);
                let length = text.mark() - mark;
                text.rewind(mark);
                self.append_value(cells, row, times, text);
                self.entries.keep(entry, text.since(mark + length));
            }
        }
    }

    /// What stands before a value.
    #[inline]
    fn before(&self, text: &mut Text<'_>) {
        match &self.form {
            Form::Csv => text.byte(b','),
            Form::Bare => {}
            Form::Json(key) => text.label(key),
        }
    }

    #[inline]
    fn append_value(&self, cells: Cells<'_>, row: usize, times: &mut TimeText, text: &mut Text<'_>) {
        match self.kind {
            Kind::Int32 | Kind::Int64 => self.value(text, cells.int(row), |text, value| text.int(value)),
            Kind::Timestamp => self.value(text, cells.int(row), |text, micros| match self.form {
                Form::Csv | Form::Bare => times.rfc3339(micros, text),
                Form::Json(_) => times.json(micros, text),
            }),
            Kind::Address => self.value(text, cells.octets(row), |text, octets| {
                self.quoted(text, |text| text.addr(Addr16(octets)));
            }),
            _ => self.append_rare(cells, row, text),
        }
    }

    #[inline(never)]
    fn append_rare(&self, cells: Cells<'_>, row: usize, text: &mut Text<'_>) {
        match self.kind {
            Kind::Int32 | Kind::Int64 | Kind::Timestamp | Kind::Address => {}
            Kind::Mac => self.value(text, cells.octets(row), |text, octets| {
                self.quoted(text, |text| text.mac(Mac(octets)));
            }),
            Kind::Text => self.value(text, cells.text(row), |text, value| match self.form {
                Form::Csv | Form::Bare => text.csv_field(value),
                Form::Json(_) => text.json_string(value),
            }),
            Kind::Binary => self.value(text, cells.binary(row), |text, octets| {
                self.quoted(text, |text| text.hex(octets));
            }),
            Kind::Boolean => self.value(text, cells.int(row), |text, value| {
                text.bool(value == 1);
            }),
            Kind::Float64 => self.value(text, cells.float(row), |text, value| match self.form {
                Form::Csv | Form::Bare => text.formatted(format_args!("{value}")),
                Form::Json(_) => text.json_float(value),
            }),
            Kind::Labels => {
                let labels = cells.labels(row).filter(|_| self.is_json());
                self.value(text, labels, |text, labels| {
                    list(text, b"[]", labels, |text, entry| text.mpls(entry), |_, _| {});
                });
            }
            Kind::Other => {
                let entries = cells.entries(row).filter(|_| self.is_json());
                self.value(text, entries, |text, entries| {
                    let value = |text: &mut Text<'_>, (_, octets): (i64, &[u8])| {
                        text.literal(b":\"");
                        text.hex(octets);
                        text.byte(b'"');
                    };
                    list(text, b"{}", entries, |text, (key, _)| text.other_key(key), value);
                });
            }
        }
    }

    /// A value with what is around it.
    #[inline]
    fn value<T>(&self, text: &mut Text<'_>, value: Option<T>, put: impl FnOnce(&mut Text<'_>, T)) {
        if value.is_some() || !self.is_json() {
            self.before(text);
        }
        if let Some(value) = value {
            put(text, value);
        }
    }

    #[inline]
    fn quoted(&self, text: &mut Text<'_>, put: impl FnOnce(&mut Text<'_>)) {
        if self.is_json() {
            text.byte(b'"');
            put(text);
            text.byte(b'"');
        } else {
            put(text);
        }
    }

    #[inline]
    fn is_json(&self) -> bool {
        matches!(self.form, Form::Json(_))
    }
}

/// A list: of each item a string, and what stands behind it.
fn list<T: Copy>(
    text: &mut Text<'_>,
    [open, close]: &[u8; 2],
    items: impl Iterator<Item = T>,
    word: impl Fn(&mut Text<'_>, T),
    rest: impl Fn(&mut Text<'_>, T),
) {
    text.byte(*open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.byte(b',');
        }
        text.byte(b'"');
        word(text, item);
        text.byte(b'"');
        rest(text, item);
    }
    text.byte(*close);
}

impl Text<'_> {
    /// A number; JSON has none that is not finite (RFC 8259 §6), so those are text.
    pub(super) fn json_float(&mut self, value: f64) {
        if value.is_finite() {
            self.formatted(format_args!("{value:?}"));
        } else {
            self.formatted(format_args!("\"{value}\""));
        }
    }

    /// A key of the column `other`: `id`, or `pen:id`, and `#n` for the n-th repetition.
    pub(super) fn other_key(&mut self, key: i64) {
        let (ElementKey { pen, id }, repetition) = ElementKey::from_other_key(key);
        if pen != 0 {
            self.uint(pen.into());
            self.byte(b':');
        }
        self.uint(id.into());
        if repetition > 0 {
            self.byte(b'#');
            self.uint(repetition.into());
        }
    }
}
