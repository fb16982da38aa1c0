//! Answers a request: files one after another, row groups in order, batches to
//! rows or to groups. The result is in file order and row order.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use flow_common::column::ColumnId;
use flow_common::footer::Totals;
use flow_common::limits::OUTPUT_BUFFER_BYTES;

use crate::aggregate::Aggregation;
use crate::batch::Batch;
use crate::catalog::{self, Found, Listing, Source};
use crate::columns::{ColumnRef, Columns};
use crate::filter::Predicate;
use crate::flow::{COUNTER_COLUMNS, CounterCells, Counters, KEY_COLUMNS, TIME_COLUMNS};
use crate::message::{DONE, Failure, PARTIAL, say};
use crate::output::{self, FileInfo, Info, RowWriter, Summary, row_writer};
use crate::request::{Question, Request};
use crate::scaling::Scaling;
use crate::scan::{FlowFile, Plan, ReadError};
use crate::statistic::{Key, Statistic};
use crate::tables::Tables;

/// Answers `request` on `stdout` and returns the exit code.
pub(crate) fn answer(
    request: &Request,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<u8, Failure> {
    let started = Instant::now();
    if request.question == Question::Check {
        return Ok(DONE);
    }
    let Listing { files, errors } = catalog::list(&request.source, request.now)?;
    let mut reader = Reader::new(request, stderr);
    for (path, error) in errors {
        reader.cant_read(&path, &error.into());
    }
    if files.is_empty() {
        say(reader.stderr, "warning", &format!("no flow files in {}", described(&request.source)));
    }
    let mut out = BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, stdout);
    match &request.question {
        Question::Check => {}
        Question::Info => {
            let info = reader.info(files);
            output::write_info(&mut out, &request.style, &info)?;
            reader.say_not_scaled();
        }
        Question::Rows => {
            let mut writer = row_writer(&request.style, &request.columns);
            writer.begin(&mut out)?;
            let mut rows = Rows { writer: &mut *writer, text: Vec::new(), out: &mut out };
            reader.scan(files, rows_columns(request), &mut rows)?;
            writer.end(&mut out)?;
            output::write_summary(&mut out, &request.style, &reader.summary(started))?;
            reader.say_scaled();
        }
        Question::Statistics { statistics, top } => {
            let mut aggregation = Aggregation::new(statistics);
            let columns = statistics_columns(statistics);
            reader.scan(files, columns, &mut aggregation)?;
            let tables = aggregation.tables(*top);
            output::write_tables(&mut out, &request.style, *top, &tables, &reader.matched)?;
            output::write_summary(&mut out, &request.style, &reader.summary(started))?;
            reader.say_scaled();
        }
    }
    out.flush()?;
    Ok(if reader.is_partial { PARTIAL } else { DONE })
}

fn described(source: &Source) -> String {
    match source {
        Source::Default => format!("`./{}`", catalog::DEFAULT_ROOT),
        Source::Path(path) => format!("`{}`", path.display()),
        Source::Sequence(text) => format!("`{text}`"),
    }
}

/// Columns printed and summed up for rows.
fn rows_columns(request: &Request) -> BTreeSet<ColumnRef> {
    let mut columns = output::columns(&request.style);
    if output::has_summary(&request.style) {
        columns.extend(TIME_COLUMNS.into_iter().chain(COUNTER_COLUMNS));
    }
    columns.into_iter().map(ColumnRef::from).collect()
}

fn statistics_columns(statistics: &[Statistic]) -> BTreeSet<ColumnRef> {
    let mut columns: BTreeSet<_> =
        TIME_COLUMNS.into_iter().chain(COUNTER_COLUMNS).map(ColumnRef::from).collect();
    for statistic in statistics {
        match &statistic.key {
            Key::Record => {
                columns.extend(KEY_COLUMNS.map(ColumnRef::from));
                columns.extend([ColumnId::TcpFlags, ColumnId::SrcTos].map(ColumnRef::from));
            }
            Key::Columns(keys, _) => columns.extend(keys),
        }
        if statistic.is_by_protocol {
            columns.insert(ColumnId::Protocol.into());
        }
    }
    columns
}

/// Where matching rows go.
trait Sink {
    /// A file begins whose rows come next.
    fn file(&mut self, file: &FileInfo<'_>);
    fn batch(&mut self, batch: &Batch) -> io::Result<()>;
}

struct Rows<'a> {
    writer: &'a mut dyn RowWriter,
    /// Text of a batch, kept for its memory.
    text: Vec<u8>,
    out: &'a mut dyn Write,
}

impl Sink for Rows<'_> {
    fn file(&mut self, file: &FileInfo<'_>) {
        self.writer.file(file);
    }

    fn batch(&mut self, batch: &Batch) -> io::Result<()> {
        self.text.clear();
        self.writer.rows(batch, &mut self.text)?;
        self.out.write_all(&self.text)
    }
}

impl Sink for Aggregation {
    fn file(&mut self, _: &FileInfo<'_>) {}

    fn batch(&mut self, batch: &Batch) -> io::Result<()> {
        self.add(batch);
        Ok(())
    }
}

/// Reads files, names those that can't be read, and counts.
struct Reader<'a> {
    request: &'a Request,
    /// Columns beyond the table, those of the request and of files opened since.
    columns: Columns,
    stderr: &'a mut dyn Write,
    is_partial: bool,
    matched: Counters,
    passed: u64,
    processed: u64,
    span: (Option<i64>, Option<i64>),
    bytes_read: u64,
    blocks_skipped: u64,
    /// Side tables of the trees read.
    tables: Tables,
    /// The smallest and the largest rate counters were multiplied by.
    rates: Option<(i64, i64)>,
    /// The largest rate of a row of which only totals were read.
    unscaled_rate: Option<i64>,
}

impl<'a> Reader<'a> {
    fn new(request: &'a Request, stderr: &'a mut dyn Write) -> Self {
        Self {
            request,
            columns: request.columns.clone(),
            stderr,
            is_partial: false,
            matched: Counters::default(),
            passed: 0,
            processed: 0,
            span: (None, None),
            bytes_read: 0,
            blocks_skipped: 0,
            tables: Tables::default(),
            rates: None,
            unscaled_rate: None,
        }
    }

    fn summary(&self, started: Instant) -> Summary {
        Summary {
            matched: self.matched,
            passed: self.passed,
            processed: self.processed,
            span: self.span,
            bytes_read: self.bytes_read,
            blocks_skipped: self.blocks_skipped,
            rates: self.rates,
            wall: started.elapsed(),
        }
    }

    fn is_full(&self) -> bool {
        self.request.limit.is_some_and(|limit| self.passed >= limit)
    }

    fn cant_read(&mut self, path: &Path, error: &ReadError) {
        self.is_partial = true;
        say(self.stderr, "error", &format!("can't read `{}`: {error}", path.display()));
    }

    fn open(&mut self, found: &mut Found) -> Option<FlowFile> {
        match found.open() {
            Ok(file) => {
                self.processed = self.processed.saturating_add(file.rows());
                let (first, last) = file.span();
                self.span.0 = self.span.0.into_iter().chain(first).min();
                self.span.1 = self.span.1.into_iter().chain(last).max();
                Some(file)
            }
            // Retired since the directories were listed: it is not there.
            Err(error) if error.is_absence() && !found.is_part() && !self.is_named(&found.path) => None,
            Err(error) => {
                self.cant_read(&found.path, &error);
                None
            }
        }
    }

    /// Whether the request is for this file and no other.
    fn is_named(&self, path: &Path) -> bool {
        matches!(&self.request.source, Source::Path(named) if named == path)
    }

    /// Hands every matching row of `files` to `sink`.
    fn scan(
        &mut self,
        files: Vec<Found>,
        columns: BTreeSet<ColumnRef>,
        sink: &mut dyn Sink,
    ) -> io::Result<()> {
        let has_extra = !self.is_statistics() && output::has_extra(self.request.style.format);
        let predicate = Arc::clone(&self.request.predicate);
        let mut plan = Plan { columns, has_extra, predicate, scaling: None };
        for mut found in files {
            if self.is_full() {
                break;
            }
            let Some(mut file) = self.open(&mut found) else { continue };
            let path = &found.path;
            if let Err(error) = file.bind(&mut self.columns, &plan) {
                self.cant_read(path, &error);
                continue;
            }
            let names = output::has_names(&self.request.style).then(|| self.tables.names(path));
            plan.scaling = self.request.is_scaled.then(|| Scaling(self.tables.rates(path)));
            self.say_unreadable();
            let ident = file.footer.as_ref().map(|footer| footer.ident.as_str());
            sink.file(&FileInfo { ident, names: names.as_ref() });
            let mut first_error = None;
            for group in file.row_groups(&plan) {
                let plan = file.plan_for(group, &plan);
                self.bytes_read = self.bytes_read.saturating_add(file.compressed_bytes(group, &plan));
                // A damaged row group leaves the others readable.
                if let Err(error) = self.scan_group(&file, group, &plan, sink)? {
                    self.blocks_skipped += 1;
                    first_error = first_error.or(Some(error));
                }
                if self.is_full() {
                    break;
                }
            }
            if let Some(error) = first_error {
                self.cant_read(path, &error);
            }
        }
        Ok(())
    }

    fn scan_group(
        &mut self,
        file: &FlowFile,
        group: usize,
        plan: &Plan,
        sink: &mut dyn Sink,
    ) -> io::Result<Result<(), ReadError>> {
        let mut scan = match file.scan(group, plan) {
            Ok(scan) => scan,
            Err(error) => return Ok(Err(error)),
        };
        while !self.is_full() {
            let mut batch = match scan.next() {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            };
            let room = self.request.limit.map(|limit| limit - self.passed);
            let room = room.and_then(|room| usize::try_from(room).ok()).unwrap_or(usize::MAX);
            if room < batch.rows() {
                batch.truncate(room);
            }
            self.count(&batch);
            sink.batch(&batch)?;
        }
        Ok(Ok(()))
    }

    fn count(&mut self, batch: &Batch) {
        self.passed += batch.rows() as u64;
        if let Some((min, max)) = batch.rate_span() {
            let (low, high) = self.rates.unwrap_or((min, max));
            self.rates = Some((low.min(min), high.max(max)));
        }
        if output::has_summary(&self.request.style) || self.is_statistics() {
            let counted = CounterCells::new(batch);
            (0..batch.rows()).for_each(|row| self.matched.add(&counted.get(row).without_event_times()));
        }
    }

    fn is_statistics(&self) -> bool {
        matches!(self.request.question, Question::Statistics { .. })
    }

    /// Side tables that can't be read: the answer is without them.
    fn say_unreadable(&mut self) {
        for (path, error) in std::mem::take(&mut self.tables.unreadable) {
            self.cant_read(&path, &error);
        }
    }

    /// Every answer says that it is scaled: below it in the summary, or here.
    fn say_scaled(&mut self) {
        let Some(rates) = self.rates else { return };
        if !output::has_summary(&self.request.style) {
            let rates = output::RatesText(rates);
            let message = format!("packets and bytes are multiplied by sampling rates of {rates}");
            say(self.stderr, "note", &message);
        }
    }

    /// Totals of footers are as exported.
    fn say_not_scaled(&mut self) {
        if let Some(rate) = self.unscaled_rate.filter(|&rate| rate > 1) {
            let message = format!("totals are as exported, not multiplied by sampling rates of up to {rate}");
            say(self.stderr, "note", &message);
        }
    }

    /// Totals from footers; a file without is counted row by row.
    fn info(&mut self, files: Vec<Found>) -> Info {
        let mut info = Info::default();
        for mut found in files {
            let Some(file) = self.open(&mut found) else { continue };
            let path = &found.path;
            let told = self.tables.rates(path).max;
            self.unscaled_rate = self.unscaled_rate.max(file.own_rate_max()).max(Some(told));
            if let Some(reports) = self.tables.new_reports(path) {
                info.reports.extend(reports.iter().cloned());
            }
            self.say_unreadable();
            match &file.footer {
                Some(footer) => {
                    info.totals.add(&footer.totals);
                    info.idents.insert(footer.ident.clone());
                    let gaps = footer
                        .exporters
                        .iter()
                        .fold(0, |sum: u64, exporter| sum.saturating_add(exporter.gaps));
                    info.sequence_gaps = Some(info.sequence_gaps.unwrap_or(0).saturating_add(gaps));
                }
                None => {
                    let totals = self.count_totals(path, &file);
                    info.totals.add(&totals);
                }
            }
        }
        info
    }

    fn count_totals(&mut self, path: &Path, file: &FlowFile) -> Totals {
        let columns = TIME_COLUMNS
            .into_iter()
            .chain(COUNTER_COLUMNS)
            .chain([ColumnId::Protocol])
            .map(ColumnRef::from)
            .collect();
        let predicate = Arc::new(Predicate::Constant(true));
        let plan = Plan { columns, has_extra: false, predicate, scaling: None };
        let mut totals = TotalsSink(Totals::default());
        for group in file.row_groups(&plan) {
            if let Err(error) = totals.add_group(file, group, &plan) {
                self.cant_read(path, &error);
                break;
            }
        }
        totals.0
    }
}

/// Counts what a footer would say.
struct TotalsSink(Totals);

impl TotalsSink {
    fn add_group(&mut self, file: &FlowFile, group: usize, plan: &Plan) -> Result<(), ReadError> {
        let mut scan = file.scan(group, plan)?;
        while let Some(batch) = scan.next()? {
            let (counted, protocol) = (CounterCells::new(&batch), batch.cells(ColumnId::Protocol));
            for row in 0..batch.rows() {
                let counters = counted.get(row);
                let number = protocol.int(row).and_then(|number| u8::try_from(number).ok());
                if counters.is_event() {
                    self.0.add_event();
                } else {
                    self.0.add_record(number, counters.flows, counters.packets, counters.bytes);
                }
                self.0.add_span(counters.first, counters.last);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Env, Zone, cli};
    use flow_common::time::Timestamp;

    /// What is said of a file that is not there when it is opened, and whether
    /// the answer then is partial.
    #[track_caller]
    fn check(asked: &Path, gone: &Path, expected: (&str, bool)) {
        let args = ["flowdump".into(), "-r".into(), asked.as_os_str().to_owned()];
        let Ok(cli::Parsed::Args(args)) = cli::parse(args) else { panic!("not a question") };
        let request = Request::new(args, Env { now: Timestamp(0), zone: Zone::Utc }).unwrap();
        let mut stderr = Vec::new();
        let mut reader = Reader::new(&request, &mut stderr);
        assert!(reader.open(&mut gone.to_owned().into()).is_none());
        let is_partial = reader.is_partial;
        assert_eq!((str::from_utf8(&stderr).unwrap(), is_partial), expected);
    }

    #[test]
    fn a_file_retired_since_it_was_listed_is_left_out() {
        let gone = Path::new("/none/a.parquet");
        check(Path::new("/none"), gone, ("", false));
        // Of a part that could not be held open the rows are somewhere else by now.
        let part = Path::new("/none/.flowcap.202611211200.0000.part");
        let said = format!("error: can't read `{}`: no such file or directory\n", part.display());
        check(Path::new("/none"), part, (&said, true));
        let said = "error: can't read `/none/a.parquet`: no such file or directory\n";
        check(gone, gone, (said, true));
    }
}
