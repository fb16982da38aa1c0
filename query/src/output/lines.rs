//! `fmt:`, and every predefined format that is text: a line a row.

use std::io::{self, Write};
use std::sync::Arc;

use super::layout::{Item, Layout};
use super::numbered::{self, NUMBER_HERE, ROW_ENDS};
use super::paint::{Paint, painted};
use super::shown::Shown;
use super::tag::{Align, Tag};
use super::text::{Label, Text};
use super::value::{Ready, Shared, Value};
use super::{FileInfo, RowFormat, RowFormatter, Style, write_if_empty};
use crate::batch::Batch;

/// Characters of the number of a row.
const NUMBER_WIDTH: usize = 5;

pub(super) struct Lines {
    style: Style,
}

impl Lines {
    pub(super) fn new(style: &Style) -> Self {
        Self { style: style.clone() }
    }

    fn has_number(&self) -> bool {
        self.style.layout.has_number()
    }
}

impl RowFormat for Lines {
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.style.is_quiet {
            return Ok(());
        }
        let mut line = Vec::new();
        let mut text = Text::new(&mut line);
        for item in self.style.layout.items() {
            match item {
                Item::Text(word) => {
                    let mark = text.mark();
                    text.left(mark, word.chars().count());
                }
                Item::Tag(Tag { value: Value::LineEnd, .. }) => text.byte(b'\n'),
                Item::Tag(tag) => {
                    let mark = text.mark();
                    text.str(tag.title);
                    match tag.align {
                        Align::Left | Align::Apart => text.left(mark, tag.width(self.style.is_ipv6_full)),
                        Align::Right => text.right(mark, tag.width(self.style.is_ipv6_full)),
                    }
                }
            }
        }
        drop(text);
        painted(out, &self.style, Paint::Title, &line)
    }

    fn formatter(&self) -> Box<dyn RowFormatter> {
        let literal = |item: &Item| match item {
            Item::Text(word) => literal(word),
            Item::Tag(_) => Label::from(String::new()),
        };
        Box::new(LinesRows {
            literals: self.style.layout.items().iter().map(literal).collect(),
            layout: Arc::clone(&self.style.layout),
            shown: Shown::new(&self.style),
            is_full: self.style.is_ipv6_full,
            has_number: self.has_number(),
        })
    }

    fn join(&self, rows_before: u64, text: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
        match self.has_number() {
            true => numbered::write(rows_before, text, NUMBER_WIDTH, out),
            false => out.write_all(text),
        }
    }

    fn end(&self, rows: u64, out: &mut dyn Write) -> io::Result<()> {
        write_if_empty(rows, &self.style, out)
    }
}

/// Text of the user's own, harmless to a terminal.
fn literal(word: &str) -> Label {
    let mut octets = Vec::new();
    Text::new(&mut octets).one_line(word);
    debug_assert!(!octets.contains(&NUMBER_HERE), "a control character got through");
    Label::from(String::from_utf8_lossy(&octets).into_owned())
}

struct LinesRows {
    layout: Arc<Layout>,
    /// The text between tags, by its place.
    literals: Vec<Label>,
    shown: Shown,
    is_full: bool,
    has_number: bool,
}

/// What is next in a row.
enum Step<'a> {
    Text(&'a Label),
    Cell(Ready<'a>, Align, usize),
}

impl RowFormatter for LinesRows {
    fn file(&mut self, file: &FileInfo<'_>) {
        self.shown.file(file);
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let names = Arc::clone(&self.shown.names);
        let shared = Shared::new(self.layout.values(), batch, &names);
        let step = |(item, literal): (&Item, _)| match item {
            Item::Text(_) => Step::Text(literal),
            Item::Tag(tag) => {
                // The number's width is that of where it is put in.
                let width = if tag.value == Value::Number { 0 } else { tag.width(self.is_full) };
                Step::Cell(Ready::new(tag.value, batch), tag.align, width)
            }
        };
        let steps: Vec<_> = self.layout.items().iter().zip(&self.literals).map(step).collect();
        let text = &mut Text::new(out);
        for at in 0..batch.rows() {
            let row = shared.row(at);
            for step in &steps {
                match step {
                    Step::Text(label) => text.label(label),
                    Step::Cell(Ready { value: Value::LineEnd, .. }, ..) => text.byte(b'\n'),
                    Step::Cell(ready, align, width) => {
                        self.shown.cell((ready, *align), *width, &row, &shared, text);
                    }
                }
            }
            text.byte(b'\n');
            if self.has_number {
                text.byte(ROW_ENDS);
            }
        }
    }
}
