//! Rows, statistics and totals as text. Output goes to stdout and is data: what
//! it says is decided here, byte by byte.

mod csv;
mod custom;
mod info;
mod json;
mod raw;
mod statistics;
mod summary;
mod table;
mod value;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use flow_common::column::{COLUMNS, ColumnId};

pub(crate) use custom::Layout;
pub(crate) use info::{Info, write_info};
pub(crate) use statistics::write_tables;
pub(crate) use summary::{RatesText, Summary, write_summary};

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
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// Tags the user picked: `fmt:%ts %sa`.
    Custom,
    /// No rows, only the summary.
    Null,
}

impl Format {
    /// Every format that is one word, in the order of the help.
    pub(crate) const ALL: [Self; 8] =
        [Self::Line, Self::Long, Self::Extended, Self::Raw, Self::Csv, Self::Json, Self::Ndjson, Self::Null];

    /// The word after `-o`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Long => "long",
            Self::Extended => "extended",
            Self::Raw => "raw",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Custom => "fmt:",
            Self::Null => "null",
        }
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

/// Writes rows in one format.
pub(crate) trait RowWriter {
    /// Before the first row.
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()>;
    /// The next rows are from this file.
    fn file(&mut self, _file: &FileInfo<'_>) {}
    /// All rows of a batch.
    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) -> io::Result<()>;
    /// After the last row.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

/// The writer of a style.
pub(crate) fn row_writer(style: &Style, columns: &Columns) -> Box<dyn RowWriter> {
    match style.format {
        Format::Line | Format::Long | Format::Extended => Box::new(table::TableWriter::new(style)),
        Format::Raw => Box::new(raw::RawWriter::new(style)),
        Format::Csv => Box::new(csv::CsvWriter::new(style, columns)),
        Format::Json | Format::Ndjson => Box::new(json::JsonWriter::new(style)),
        Format::Custom => Box::new(custom::CustomWriter::new(style)),
        Format::Null => Box::new(NullWriter),
    }
}

/// Whether a format prints the columns beyond the table.
pub(crate) fn has_extra(format: Format) -> bool {
    matches!(format, Format::Raw | Format::Csv | Format::Json | Format::Ndjson)
}

/// Whether a format prints when a flow was received only where it tells no time.
pub(crate) fn has_fallback_time(format: Format) -> bool {
    matches!(format, Format::Line | Format::Long | Format::Extended | Format::Csv | Format::Null)
}

/// Columns of the table a format prints.
pub(crate) fn columns(style: &Style) -> BTreeSet<ColumnId> {
    let format = style.format;
    match format {
        Format::Null => BTreeSet::new(),
        Format::Custom => style.layout.columns(),
        Format::Raw | Format::Json | Format::Ndjson => COLUMNS.iter().map(|column| column.id).collect(),
        Format::Csv => csv::COLUMNS.into_iter().collect(),
        Format::Line | Format::Long | Format::Extended => {
            let tail = [ColumnId::TcpFlags, ColumnId::SrcTos];
            let tail = tail.into_iter().filter(|_| format != Format::Line);
            TIME_COLUMNS.into_iter().chain(KEY_COLUMNS).chain(COUNTER_COLUMNS).chain(tail).collect()
        }
    }
}

/// Whether a summary follows: not where it would break the format.
pub(crate) fn has_summary(style: &Style) -> bool {
    let is_text = matches!(
        style.format,
        Format::Line | Format::Long | Format::Extended | Format::Custom | Format::Null
    );
    is_text && !style.is_quiet
}

/// Whether names are printed beside numbers.
pub(crate) fn has_names(style: &Style) -> bool {
    match style.format {
        Format::Raw | Format::Json | Format::Ndjson => true,
        Format::Custom => style.layout.has_names(),
        Format::Line | Format::Long | Format::Extended | Format::Csv | Format::Null => false,
    }
}

/// Writes no rows.
struct NullWriter;

impl RowWriter for NullWriter {
    fn begin(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn rows(&mut self, _: &Batch, _: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
