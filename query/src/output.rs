//! Rows, statistics and totals as text. Output goes to stdout and is data: what
//! it says is decided here, byte by byte.
//!
//! Rows of one format are a [`RowFormat`]: what comes before and after them, and
//! formatters that make their text. A formatter shares nothing with another, so
//! each thread has its own; one thread joins their texts in order.

mod aggregation;
mod cell;
mod csv;
mod csv_fast;
mod custom;
mod entries;
mod info;
mod json;
mod raw;
mod statistics;
mod summary;
mod table;
mod text;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use flow_common::column::{COLUMNS, ColumnId};

pub(crate) use aggregation::write_groups;
pub(crate) use custom::Layout;
pub(crate) use info::{Info, write_info};
pub(crate) use statistics::{shown_text, write_tables};
pub(crate) use summary::{RatesText, Summary, summary_json, write_summary};

use crate::Zone;
use crate::batch::Batch;
use crate::columns::Columns;
use crate::flow::{COUNTER_COLUMNS, KEY_COLUMNS, TIME_COLUMNS};
use crate::names::Names;

/// How a row looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One line a flow.
    Line,
    /// With TCP flags and type of service.
    Long,
    /// With rates too.
    Extended,
    /// Everything, one column a line.
    Raw,
    Csv,
    /// nfdump's columns, numbers only.
    CsvFast,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// No rows, only the summary.
    Null,
    /// Tags the user picked: `fmt:%ts %sa`.
    Custom,
}

/// What is to be known of a format.
struct FormatLine {
    format: Format,
    /// The word after `-o`.
    word: &'static str,
    /// It prints columns beyond the table.
    has_extra: bool,
    /// A summary may follow without breaking it.
    has_summary: bool,
    rows: fn(&Style, &Columns) -> Box<dyn RowFormat>,
}

const fn line(
    format: Format,
    word: &'static str,
    (has_extra, has_summary): (bool, bool),
    rows: fn(&Style, &Columns) -> Box<dyn RowFormat>,
) -> FormatLine {
    FormatLine { format, word, has_extra, has_summary, rows }
}

/// THE table of formats, in the order of [`Format`].
static FORMATS: [FormatLine; 10] = [
    line(Format::Line, "line", (false, true), |style, _| Box::new(table::Table::new(style))),
    line(Format::Long, "long", (false, true), |style, _| Box::new(table::Table::new(style))),
    line(Format::Extended, "extended", (false, true), |style, _| Box::new(table::Table::new(style))),
    line(Format::Raw, "raw", (true, false), |style, _| Box::new(raw::Raw::new(style))),
    line(Format::Csv, "csv", (true, false), |style, columns| Box::new(csv::Csv::new(style, columns))),
    line(Format::CsvFast, "csv-fast", (false, false), |_, _| Box::new(csv_fast::CsvFast)),
    line(Format::Json, "json", (true, false), |style, _| Box::new(json::Json::new(style))),
    line(Format::Ndjson, "ndjson", (true, false), |style, _| Box::new(json::Json::new(style))),
    line(Format::Null, "null", (false, true), |_, _| Box::new(Null)),
    line(Format::Custom, "fmt:", (false, true), |style, _| Box::new(custom::Custom::new(style))),
];

impl Format {
    /// Every format that is one word, in the order of the help: all but the last.
    pub(crate) const ALL: [Self; FORMATS.len() - 1] = {
        let mut all = [Self::Null; FORMATS.len() - 1];
        let mut index = 0;
        while index < all.len() {
            all[index] = FORMATS[index].format;
            index += 1;
        }
        all
    };

    fn line(self) -> &'static FormatLine {
        &FORMATS[self as usize]
    }

    /// Whether statistics are a table of CSV.
    pub(crate) fn is_csv(self) -> bool {
        matches!(self, Self::Csv | Self::CsvFast)
    }

    /// The word after `-o`.
    pub(crate) fn word(self) -> &'static str {
        self.line().word
    }
}

/// How an answer is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) format: Format,
    /// What `fmt:` prints.
    pub(crate) layout: Arc<Layout>,
    /// IPv6 addresses are not abbreviated.
    pub(crate) is_ipv6_full: bool,
    /// Numbers are not scaled.
    pub(crate) is_plain: bool,
    /// No header, no summary.
    pub(crate) is_quiet: bool,
    pub(crate) zone: Zone,
}

/// The file rows come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileInfo<'a> {
    pub(crate) ident: Option<&'a str>,
    /// Names for its numbers, where the format prints any.
    pub(crate) names: Option<&'a Arc<Names>>,
}

/// Rows in one format: what is before, between and after them. Only the thread
/// that writes them needs it; any number of formatters may be at work meanwhile.
pub(crate) trait RowFormat: Send + Sync {
    /// Before the first row.
    fn begin(&self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Makes text of rows, in a thread of its own.
    fn formatter(&self) -> Box<dyn RowFormatter>;

    /// Writes text that a formatter made of consecutive rows, with what depends on
    /// those before them: how many there are. Texts are joined in order.
    fn join(&self, _rows_before: u64, text: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(text)
    }

    /// After the last row.
    fn end(&self, _rows: u64, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the text of rows.
pub(crate) trait RowFormatter: Send {
    /// The next rows are from this file.
    fn file(&mut self, _file: &FileInfo<'_>) {}

    /// Appends the text of all rows of a batch, for [`RowFormat::join`].
    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>);
}

/// The rows of a style.
pub(crate) fn row_format(style: &Style, columns: &Columns) -> Box<dyn RowFormat> {
    (style.format.line().rows)(style, columns)
}

/// Whether a format prints the columns beyond the table.
pub(crate) fn has_extra(format: Format) -> bool {
    format.line().has_extra
}

/// Whether a format prints when a flow was received only where it tells no time.
pub(crate) fn has_fallback_time(format: Format) -> bool {
    matches!(
        format,
        Format::Line | Format::Long | Format::Extended | Format::Csv | Format::CsvFast | Format::Null
    )
}

/// Columns of the table a format prints.
pub(crate) fn columns(style: &Style) -> BTreeSet<ColumnId> {
    let format = style.format;
    match format {
        Format::Null => BTreeSet::new(),
        Format::Custom => style.layout.columns(),
        Format::Raw | Format::Json | Format::Ndjson => COLUMNS.iter().map(|column| column.id).collect(),
        Format::Csv => csv::COLUMNS.into_iter().collect(),
        Format::CsvFast => csv_fast::columns().collect(),
        Format::Line | Format::Long | Format::Extended => {
            let tail = [ColumnId::TcpFlags, ColumnId::SrcTos];
            let tail = tail.into_iter().filter(|_| format != Format::Line);
            TIME_COLUMNS.into_iter().chain(KEY_COLUMNS).chain(COUNTER_COLUMNS).chain(tail).collect()
        }
    }
}

/// Whether a summary follows: not where it would break the format.
pub(crate) fn has_summary(style: &Style) -> bool {
    style.format.line().has_summary && !style.is_quiet
}

/// Says that there are no rows, where a person looks at them.
fn write_if_empty(rows: u64, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    if rows == 0 && !style.is_quiet { writeln!(out, "No matching flows") } else { Ok(()) }
}

/// Whether names are printed beside numbers.
pub(crate) fn has_names(style: &Style) -> bool {
    match style.format {
        Format::Raw | Format::Json | Format::Ndjson => true,
        Format::Custom => style.layout.has_names(),
        Format::Line | Format::Long | Format::Extended | Format::Csv | Format::CsvFast | Format::Null => {
            false
        }
    }
}

/// Writes no rows.
struct Null;

impl RowFormat for Null {
    fn formatter(&self) -> Box<dyn RowFormatter> {
        Box::new(Self)
    }
}

impl RowFormatter for Null {
    fn rows(&mut self, _: &Batch, _: &mut Vec<u8>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_formats_is_in_their_order() {
        for (index, line) in FORMATS.iter().enumerate() {
            assert_eq!(line.format as usize, index, "{}", line.word);
            assert_eq!(line.word.ends_with(':'), index == Format::ALL.len(), "{}", line.word);
        }
    }
}
