//! Rows, statistics and totals as text. Output goes to stdout and is data: what
//! it says is decided here, byte by byte.
//!
//! Rows of one format are a [`RowFormat`]: what comes before and after them, and
//! formatters that make their text. A formatter shares nothing with another, so
//! each thread has its own; one thread joins their texts in order.

mod aggregation;
mod arrow;
mod arrow_tables;
mod cell;
mod csv;
mod csv_fast;
mod csv_list;
mod entries;
#[cfg(test)]
mod fields;
mod format;
mod geo;
mod grouped;
mod info;
mod json;
mod layout;
mod lines;
mod markdown;
mod meaning;
mod measured;
mod nf_tables;
mod nfjson;
mod numbered;
mod paint;
mod raw;
mod shown;
mod statistics;
mod summary;
mod tag;
mod text;
mod value;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use flow_common::column::{COLUMNS, ColumnId};

pub(crate) use aggregation::write_groups;
pub(crate) use format::{Chosen, Format, words};
pub(crate) use info::{Info, write_info};
pub(crate) use layout::Layout;
pub(crate) use statistics::{shown_text, write_tables};
pub(crate) use summary::{RatesText, Summary, summary_json, write_summary};

use crate::Zone;
use crate::batch::Batch;
use crate::columns::Columns;
use crate::names::Names;
use crate::places::Places;

/// How an answer is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) format: Format,
    /// What a format of tags prints.
    pub(crate) layout: Arc<Layout>,
    /// The tags are the user's own.
    pub(crate) is_own: bool,
    /// IPv6 addresses are not abbreviated.
    pub(crate) is_ipv6_full: bool,
    /// Numbers are not scaled.
    pub(crate) is_plain: bool,
    /// No header, no summary.
    pub(crate) is_quiet: bool,
    /// A terminal shows it, in colours.
    pub(crate) is_coloured: bool,
    pub(crate) zone: Zone,
    /// What tells where addresses are.
    pub(crate) places: Option<Arc<Places>>,
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
    style.format.rows(style, columns)
}

/// Whether a style prints the columns beyond the table.
pub(crate) fn has_extra(style: &Style) -> bool {
    style.format.has_extra(style.is_own)
}

/// Whether a style prints when a flow was received only where it tells no time.
pub(crate) fn has_fallback_time(style: &Style) -> bool {
    match style.format {
        Format::Csv | Format::CsvFast | Format::Null => true,
        Format::Text | Format::CsvList | Format::Markdown => style.layout.has_fallback_time(),
        Format::Raw | Format::Json | Format::Ndjson | Format::NfJson | Format::NfNdjson | Format::Arrow => {
            false
        }
    }
}

/// Columns of the table a style prints.
pub(crate) fn columns(style: &Style) -> BTreeSet<ColumnId> {
    let all = || COLUMNS.iter().map(|column| column.id).collect();
    match style.format {
        Format::Null => BTreeSet::new(),
        Format::Text | Format::CsvList | Format::Markdown => style.layout.columns(),
        Format::Arrow if style.is_own => style.layout.columns(),
        Format::Raw | Format::Json | Format::Ndjson | Format::Arrow => all(),
        Format::NfJson | Format::NfNdjson => nfjson::columns().collect(),
        Format::Csv => csv::COLUMNS.into_iter().collect(),
        Format::CsvFast => csv_fast::columns().collect(),
    }
}

/// Whether a summary follows: not where it would break the format.
pub(crate) fn has_summary(style: &Style) -> bool {
    matches!(style.format, Format::Text | Format::Null) && !style.is_quiet
}

/// Says that there are no rows, where a person looks at them.
fn write_if_empty(rows: u64, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    if rows == 0 && !style.is_quiet { writeln!(out, "No matching flows") } else { Ok(()) }
}

/// Whether names are printed beside numbers.
pub(crate) fn has_names(style: &Style) -> bool {
    match style.format {
        Format::Raw | Format::Json | Format::Ndjson => true,
        Format::Text | Format::CsvList | Format::Markdown => style.layout.has_names(),
        Format::Csv | Format::CsvFast | Format::NfJson | Format::NfNdjson | Format::Arrow | Format::Null => {
            false
        }
    }
}

/// Whether a style prints what databases of places tell.
pub(crate) fn has_places(style: &Style) -> bool {
    match style.format {
        Format::Text | Format::CsvList | Format::Markdown => style.layout.has_places(),
        Format::Arrow if style.is_own => style.layout.has_places(),
        Format::NfJson | Format::NfNdjson => true,
        _ => false,
    }
}

/// Whether a style prints autonomous systems, and can look them up.
pub(crate) fn has_origins(style: &Style) -> bool {
    matches!(style.format, Format::Text | Format::CsvList | Format::Markdown) && style.layout.has_origins()
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
