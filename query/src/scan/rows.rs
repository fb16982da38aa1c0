//! The matching rows of one row group, a page at a time: filter columns first, the rest only
//! where something matched.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use flow_common::column::ColumnId;
use flow_common::limits::{SCAN_BATCH_ROWS, SCAN_STEP_ROWS_MAX};
use parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;

use super::bloom::Filters;
use super::metadata::for_arrow;
use super::page_index;
use super::pages::Cursor;
use super::prune::Bounds;
use super::{BoundFile, Plan, ReadError, Sieving, guarded, has_scaled};
use crate::anonymize::Anonymizing;
use crate::batch::{Batch, FileColumn, found};
use crate::columns::ColumnRef;
use crate::filter::{Filter, Predicate, Test};
use crate::scaling::{SCALED_COLUMNS, Scaling};
use crate::values::Column;

/// One column of the row group.
struct Reader {
    column: ColumnRef,
    cursor: Cursor,
    /// Read to decide which rows match.
    is_tested: bool,
    /// Part of the answer.
    is_asked: bool,
}

/// Batches of matching rows.
pub(crate) struct Scan {
    readers: Vec<Reader>,
    /// Columns that are left to the `arrow` reader, and where it stands.
    foreign: Option<Foreign>,
    filter: Option<Filter>,
    sieve: Option<Sieving>,
    extra: Arc<[FileColumn]>,
    scaling: Option<Scaling>,
    /// Whether counters are scaled for the filter; else when all is there that tells rates.
    scales_tested: bool,
    anonymizing: Option<Anonymizing>,
    /// Ranges of rows none of which matches; those behind the next row.
    ruled_out: VecDeque<Range<usize>>,
    rows: usize,
    rows_left: usize,
}

/// Columns of kinds or encodings that are not decoded here.
struct Foreign {
    reader: ParquetRecordBatchReader,
    /// Rows of the row group it gives, in ascending order; `None` is all.
    rows: Option<Vec<u32>>,
    next_row: usize,
}

impl Scan {
    /// The matching rows of row group `group`. Without a match there may be nothing to read.
    pub(super) fn new(file: &BoundFile, group: usize, plan: &Plan) -> Result<Self, ReadError> {
        let rows = usize::try_from(file.group(group).metadata.num_rows()).unwrap_or(0);
        let mut scan = Self {
            readers: Vec::new(),
            foreign: None,
            filter: filter(file, group, plan)?,
            sieve: start(plan),
            extra: Arc::clone(&file.extra),
            scaling: plan.scaling.clone(),
            scales_tested: false,
            anonymizing: plan.anonymizer.as_ref().map(Anonymizing::new),
            ruled_out: VecDeque::new(),
            rows,
            rows_left: rows,
        };
        if let Some(filter) = &scan.filter {
            scan.ruled_out = page_index::ruled_out(file, group, (plan, filter.predicate()), rows).into();
            if scan.ruled_out.front() == Some(&(0..rows)) || **filter.predicate() == NEVER {
                scan.rows_left = 0;
                return Ok(scan);
            }
        }
        let answer = file.asked(plan);
        let mut foreign = BTreeSet::new();
        for column in scan.tested(file, group, plan) {
            scan.open(file, group, column, true, answer.contains(&column), &mut foreign)?;
            if scan.outlook(file, group) == Some(false) {
                scan.rows_left = 0;
                return Ok(scan);
            }
        }
        let tested = scan.narrow(file, group, plan);
        foreign.retain(|column| tested.contains(column) || answer.contains(column));
        for &column in answer.difference(&tested) {
            if !foreign.contains(&column) && !scan.readers.iter().any(|reader| reader.column == column) {
                scan.open(file, group, column, false, true, &mut foreign)?;
            }
        }
        if !foreign.is_empty() {
            let rows = match &scan.filter {
                Some(_) => Some(matching(file, group, plan)?),
                None => None,
            };
            (scan.filter, scan.sieve) = (None, None);
            scan.ruled_out.clear();
            scan.readers.iter_mut().for_each(|reader| reader.is_tested = false);
            scan.readers.retain(|reader| reader.is_asked);
            foreign.retain(|column| answer.contains(column));
            scan.foreign = Some(Foreign::new(file, group, &foreign, rows)?);
        }
        Ok(scan)
    }

    fn open(
        &mut self,
        file: &BoundFile,
        group: usize,
        column: ColumnRef,
        is_tested: bool,
        is_asked: bool,
        foreign: &mut BTreeSet<ColumnRef>,
    ) -> Result<(), ReadError> {
        match file.cursor(group, column) {
            Opened::Absent => {}
            Opened::Foreign => {
                foreign.insert(column);
            }
            Opened::Cursor(mut cursor) => {
                if is_tested {
                    cursor.read_dictionary()?;
                }
                self.readers.push(Reader { column, cursor: *cursor, is_tested, is_asked });
            }
        }
        Ok(())
    }

    /// Columns that are read to decide which rows match.
    fn tested(&self, file: &BoundFile, group: usize, plan: &Plan) -> BTreeSet<ColumnRef> {
        let mut tested = BTreeSet::new();
        self.filter.iter().for_each(|filter| filter.predicate().columns(&mut tested));
        if has_scaled(&tested) {
            tested.extend(file.scaling_columns(group, plan));
        }
        if self.sieve.is_some() {
            tested.extend(plan.sieve.iter().flat_map(|sieve| sieve.columns()));
        }
        tested
    }

    /// What the dictionaries read so far say of a test.
    fn verdict(&self, file: &BoundFile, group: usize, filter: &mut Filter, test: &Test) -> Option<bool> {
        let column = test.column()?;
        if self.scaling.is_some() && SCALED_COLUMNS.iter().any(|&id| column == id) {
            return None;
        }
        let reader = self.readers.iter().find(|reader| reader.column == column)?;
        let has_nulls = file.group(group).has_nulls(column);
        filter.verdict(test, reader.cursor.whole_dictionary()?, has_nulls)
    }

    /// What is asked, as far as dictionaries read so far tell.
    fn outlook(&mut self, file: &BoundFile, group: usize) -> Option<bool> {
        let mut filter = self.filter.take()?;
        let predicate = Arc::clone(filter.predicate());
        let outlook = predicate.outcome(&mut |test| self.verdict(file, group, &mut filter, test));
        self.filter = Some(filter);
        outlook
    }

    /// Leaves to the filter what dictionaries don't tell; returns the columns that takes.
    fn narrow(&mut self, file: &BoundFile, group: usize, plan: &Plan) -> BTreeSet<ColumnRef> {
        if let Some(mut filter) = self.filter.take() {
            let predicate = Arc::clone(filter.predicate());
            let left = predicate.decided(&mut |test| self.verdict(file, group, &mut filter, test));
            let is_any = left.as_ref().is_some_and(Predicate::is_any);
            left.into_iter().for_each(|left| filter.narrow(left));
            self.filter = Some(filter).filter(|_| !is_any);
        }
        let tested = self.tested(file, group, plan);
        self.readers.iter_mut().for_each(|reader| reader.is_tested = tested.contains(&reader.column));
        self.readers.retain(|reader| reader.is_tested || reader.is_asked);
        // The first says how long a step is, and is read for it.
        self.readers.sort_by_key(|reader| !reader.is_tested);
        self.scales_tested = has_scaled(&tested);
        tested
    }

    /// The next batch; after an error there is none.
    pub(crate) fn next(&mut self) -> Result<Option<Batch>, ReadError> {
        let next = guarded(|| match &self.foreign {
            Some(_) => self.next_with_foreign(),
            None => self.next_of_ours(),
        });
        if next.is_err() {
            self.rows_left = 0;
            self.foreign = None;
        }
        next
    }

    fn next_of_ours(&mut self) -> Result<Option<Batch>, ReadError> {
        while self.rows_left > 0 {
            if self.pass_ruled_out() {
                continue;
            }
            let step = self.step()?;
            let mut batch = Batch::new(step, &self.extra);
            let mut scaled = BTreeSet::new();
            let matched = self.matched(&mut batch, step, &mut scaled)?;
            self.rows_left -= step;
            let n_matched = matched.as_ref().map_or(step, Vec::len);
            let others = self.readers.iter_mut().filter(|reader| !reader.is_tested);
            if n_matched == 0 {
                others.for_each(|reader| reader.cursor.skip(step));
                continue;
            }
            match matched.filter(|rows| rows.len() < step) {
                None => {
                    for reader in others {
                        batch.set(reader.column, reader.cursor.read(step)?);
                    }
                }
                Some(rows) => {
                    batch.select(&rows);
                    for reader in others {
                        batch.set(reader.column, reader.cursor.read_at(step, &rows)?);
                    }
                }
            }
            self.finish(&mut batch, &mut scaled);
            return Ok(Some(batch));
        }
        Ok(None)
    }

    /// Reads the columns of the filter into `batch` and says which rows match; `None`
    /// where there is no filter.
    fn matched(
        &mut self,
        batch: &mut Batch,
        step: usize,
        scaled: &mut BTreeSet<ColumnId>,
    ) -> Result<Option<Vec<u32>>, ReadError> {
        if self.filter.is_none() && self.sieve.is_none() {
            return Ok(None);
        }
        for reader in self.readers.iter_mut().filter(|reader| reader.is_tested) {
            batch.set(reader.column, reader.cursor.read(step)?);
        }
        if let Some(sieve) = &mut self.sieve {
            return Ok(Some(sieve(batch)));
        }
        if let Some(scaling) = self.scaling.as_ref().filter(|_| self.scales_tested) {
            scaling.apply(batch, scaled);
        }
        let rows = self.filter.as_mut().map(|filter| filter.select(batch));
        Ok(rows.map(|rows| rows.set_indices_u32().collect()))
    }

    /// Scales what was not scaled for the filter, and forgets what only that needed.
    fn finish(&mut self, batch: &mut Batch, scaled: &mut BTreeSet<ColumnId>) {
        if let Some(scaling) = &self.scaling {
            scaling.apply(batch, scaled);
        }
        for reader in self.readers.iter().filter(|reader| !reader.is_asked) {
            batch.remove(reader.column);
        }
        if let Some(anonymizing) = &mut self.anonymizing {
            anonymizing.apply(batch);
        }
    }

    /// Passes over rows none of which matches, if they are next.
    fn pass_ruled_out(&mut self) -> bool {
        let row = self.rows - self.rows_left;
        let Some(next) = self.ruled_out.front().filter(|next| next.start <= row) else { return false };
        let n = next.end.saturating_sub(row).min(self.rows_left);
        self.ruled_out.pop_front();
        self.readers.iter_mut().for_each(|reader| reader.cursor.skip(n));
        self.rows_left -= n;
        true
    }

    /// Rows of the next step: a page of the first column, where pages are of a good size.
    fn step(&mut self) -> Result<usize, ReadError> {
        let ahead = match self.readers.first_mut() {
            Some(first) => first.cursor.rows_ahead()?,
            None => self.rows_left,
        };
        let step = if ahead == 0 { self.rows_left } else { ahead };
        let next = self.ruled_out.front().map_or(self.rows, |next| next.start);
        let until = next.saturating_sub(self.rows - self.rows_left).max(1);
        Ok(step.min(SCAN_STEP_ROWS_MAX).min(until).min(self.rows_left))
    }

    fn next_with_foreign(&mut self) -> Result<Option<Batch>, ReadError> {
        let Some(foreign) = &mut self.foreign else { return Ok(None) };
        let Some(record) = foreign.reader.next() else { return Ok(None) };
        let record = record.map_err(ParquetError::from)?;
        let n_rows = record.num_rows();
        let at = foreign.next_row;
        foreign.next_row += n_rows;
        let mut batch = Batch::new(n_rows, &self.extra);
        for (field, array) in record.schema_ref().fields().iter().zip(record.columns()) {
            if let Some(column) = found(field.name(), &self.extra) {
                batch.set(column, Column::Array(Arc::clone(array)));
            }
        }
        match &foreign.rows {
            None => {
                for reader in &mut self.readers {
                    batch.set(reader.column, reader.cursor.read(n_rows)?);
                }
            }
            Some(rows) => {
                let taken = rows.get(at..at + n_rows).unwrap_or_default();
                let (Some(&first), Some(&last)) = (taken.first(), taken.last()) else { return Ok(None) };
                let before = at.checked_sub(1).and_then(|before| rows.get(before)).map_or(0, |row| row + 1);
                let span = (last - first + 1) as usize;
                let within: Vec<u32> = taken.iter().map(|row| row - first).collect();
                for reader in &mut self.readers {
                    reader.cursor.skip((first - before) as usize);
                    let mut column = reader.cursor.read(span)?;
                    if within.len() < span {
                        column.select(&within);
                    }
                    batch.set(reader.column, column);
                }
            }
        }
        let mut scaled = BTreeSet::new();
        self.finish(&mut batch, &mut scaled);
        Ok(Some(batch))
    }
}

/// What no row is.
const NEVER: Predicate = Predicate::Constant(false);

/// What is left to ask of the rows of a row group, once its Bloom filters were looked at.
fn filter(file: &BoundFile, group: usize, plan: &Plan) -> Result<Option<Filter>, ReadError> {
    let (mut filters, mut failure) = (Filters::new(file, group), None);
    let mut look = |test: &Test| match filters.may_pass(test) {
        Ok(may_pass) => (!may_pass).then_some(false),
        Err(error) => {
            failure = Some(error);
            None
        }
    };
    // Where one says that no row matches, the others are not read.
    let left = match plan.predicate.outcome(&mut look) {
        Some(outcome) => Some(Predicate::Constant(outcome)),
        None => plan.predicate.decided(&mut look),
    };
    if let Some(failure) = failure {
        return Err(failure);
    }
    let left = left.map_or_else(|| Arc::clone(&plan.predicate), Arc::new);
    Ok((!left.is_any()).then(|| Filter::new(left)))
}

/// What leaves rows out. A sieve knows what addresses became, and is asked before they do.
fn start(plan: &Plan) -> Option<Sieving> {
    let is_of_use = plan.predicate.is_any() && plan.anonymizer.is_none();
    plan.sieve.as_ref().filter(|_| is_of_use).map(|sieve| sieve.start())
}

/// A column of a row group, opened.
pub(super) enum Opened {
    /// The file has no such column, or it is all NULL.
    Absent,
    Foreign,
    Cursor(Box<Cursor>),
}

/// The rows that match, found before the rest is read.
fn matching(file: &BoundFile, group: usize, plan: &Plan) -> Result<Vec<u32>, ReadError> {
    let mut tested = BTreeSet::new();
    plan.predicate.columns(&mut tested);
    if has_scaled(&tested) {
        tested.extend(file.scaling_columns(group, plan));
    }
    let mut filter = Filter::new(Arc::clone(&plan.predicate));
    let predicate = Arc::new(Predicate::Constant(true));
    let plan =
        Plan { columns: tested, has_extra: false, sieve: None, anonymizer: None, predicate, ..plan.clone() };
    let mut scan = Scan::new(file, group, &plan)?;
    let (mut rows, mut at) = (Vec::new(), 0);
    while let Some(batch) = scan.next()? {
        rows.extend(filter.select(&batch).set_indices_u32().map(|row| row + at));
        at += batch.rows() as u32;
    }
    Ok(rows)
}

impl Foreign {
    fn new(
        file: &BoundFile,
        group: usize,
        columns: &BTreeSet<ColumnRef>,
        rows: Option<Vec<u32>>,
    ) -> Result<Self, ReadError> {
        file.check_headers(group, columns)?;
        let handle = file.positioned();
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(handle, for_arrow(&file.loaded.metadata)?)
                .with_batch_size(SCAN_BATCH_ROWS)
                .with_row_groups(vec![group])
                .with_projection(file.projection(columns, false));
        if let Some(rows) = &rows {
            builder = builder.with_row_selection(selection(rows));
        }
        Ok(Self { reader: builder.build()?, rows, next_row: 0 })
    }
}

/// Rows, ascending, as the `arrow` reader takes them.
fn selection(rows: &[u32]) -> RowSelection {
    let mut selectors = Vec::new();
    let mut next = 0;
    for run in rows.chunk_by(|one, other| one + 1 == *other) {
        let (Some(&first), Some(&last)) = (run.first(), run.last()) else { continue };
        selectors.push(RowSelector::skip((first - next) as usize));
        selectors.push(RowSelector::select(run.len()));
        next = last + 1;
    }
    RowSelection::from(selectors)
}
