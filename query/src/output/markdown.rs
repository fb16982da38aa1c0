//! `md`: a Markdown table (GitHub's), to paste where people talk.

use std::io::{self, Write};
use std::sync::Arc;

use super::numbered::{self, ROW_ENDS};
use super::shown::Shown;
use super::tag::Align;
use super::text::Text;
use super::value::{Ready, Shared};
use super::{FileInfo, RowFormat, RowFormatter, Style};
use crate::batch::Batch;

pub(super) struct Markdown {
    style: Style,
}

impl Markdown {
    pub(super) fn new(style: &Style) -> Self {
        Self { style: style.clone() }
    }
}

/// Writes the header of a table: titles, and whether their values are at the right.
pub(super) fn write_header<'a>(
    out: &mut dyn Write,
    titles: impl Iterator<Item = (&'a str, bool)> + Clone,
) -> io::Result<()> {
    titles.clone().try_for_each(|(title, _)| write!(out, "| {} ", title.trim()))?;
    writeln!(out, "|")?;
    titles
        .into_iter()
        .try_for_each(|(_, is_right)| write!(out, "|{}", if is_right { "--:" } else { "---" }))?;
    writeln!(out, "|")
}

/// What stands before a value; the end of the row is [`ROW`].
pub(super) const CELL: &[u8; 2] = b"| ";
/// Ends a row.
pub(super) const ROW: &[u8; 2] = b"|\n";

/// Appends a value that `put` makes, and the blank behind it.
pub(super) fn cell(text: &mut Text<'_>, put: impl FnOnce(&mut Text<'_>)) {
    text.literal(CELL);
    let mark = text.mark();
    put(text);
    escape(text, mark);
    text.byte(b' ');
}

/// Puts `\` before what was written since `mark` and would mean something.
fn escape(text: &mut Text<'_>, mark: usize) {
    let is_special = |octet: &u8| br"|\`*_<>[]~#&".contains(octet);
    if !text.since(mark).iter().any(is_special) {
        return;
    }
    let octets = text.since(mark).to_vec();
    text.rewind(mark);
    for octet in octets {
        if is_special(&octet) {
            text.byte(b'\\');
        }
        text.byte(octet);
    }
}

impl RowFormat for Markdown {
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        write_header(out, self.style.layout.tags().map(|tag| (tag.title, tag.align != Align::Left)))
    }

    fn formatter(&self) -> Box<dyn RowFormatter> {
        Box::new(MarkdownRows {
            shown: Shown::new(&Style { is_ipv6_full: true, ..self.style.clone() }),
            style: self.style.clone(),
        })
    }

    fn join(&self, rows_before: u64, text: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
        match self.style.layout.has_number() {
            true => numbered::write(rows_before, text, 0, out),
            false => out.write_all(text),
        }
    }
}

struct MarkdownRows {
    shown: Shown,
    style: Style,
}

impl RowFormatter for MarkdownRows {
    fn file(&mut self, file: &FileInfo<'_>) {
        self.shown.file(file);
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let names = Arc::clone(&self.shown.names);
        let layout = &self.style.layout;
        let shared = Shared::new(layout.values(), batch, &names);
        let ready: Vec<_> = layout.values().map(|value| Ready::new(value, batch)).collect();
        let text = &mut Text::new(out);
        for at in 0..batch.rows() {
            let row = shared.row(at);
            for ready in &ready {
                cell(text, |text| self.shown.cell((ready, Align::Left), 0, &row, &shared, text));
            }
            text.literal(ROW);
            if layout.has_number() {
                text.byte(ROW_ENDS);
            }
        }
    }
}
