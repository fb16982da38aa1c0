//! Files to batches of matching rows: the columns asked, the row groups whose
//! statistics don't exclude a match, filter columns first.
//!
//! **Invariant:** whatever a file holds, the worst is a [`ReadError`]. The
//! Parquet reader may panic on hostile input, so it runs behind [`guarded`].

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Once};

use flow_common::column::{ColumnId, ExtraColumn, by_name};
use flow_common::footer::{Footer, FooterError};
use flow_common::limits::{TABLE_BYTES_MAX, TABLE_ROWS_MAX};
use flow_common::tables::Row;
use flow_common::thrift;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use crate::anonymize::Anonymizer;
use crate::batch::{Batch, FileColumn, found, is_stored_as};
use crate::columns::{ColumnRef, Columns};
use crate::filter::Predicate;
use crate::message::{lower_first, reason};
use crate::scaling::{SCALED_COLUMNS, Scaling};

mod bloom;
mod chunk;
mod header;
mod metadata;
mod page_index;
mod pages;
mod positioned;
mod prune;
mod rows;
mod unpack;

use self::chunk::check_headers;
use self::metadata::{Loaded, within};
use self::pages::Cursor;
use self::positioned::Positioned;
use self::prune::Bounds;
use self::rows::Opened;
pub(crate) use self::rows::Scan;

/// What is read of every file.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Columns of the answer.
    pub(crate) columns: BTreeSet<ColumnRef>,
    /// Whether all columns beyond the table belong to it.
    pub(crate) has_extra: bool,
    /// Whether `received` is read only for flows that tell no time of their own.
    pub(crate) has_fallback_time: bool,
    /// Rows of the answer.
    pub(crate) predicate: Arc<Predicate>,
    /// What multiplies counters, before they are compared and counted.
    pub(crate) scaling: Option<Scaling>,
    /// What makes addresses of the answer other ones.
    pub(crate) anonymizer: Option<Arc<Anonymizer>>,
    /// Leaves rows out that are not asked for, where that spares reading; without a
    /// predicate only. Whoever asks must not rely on it.
    pub(crate) sieve: Option<Arc<dyn Sieve>>,
}

/// Leaves out rows by some of their columns.
pub(crate) trait Sieve: Debug + Send + Sync {
    /// What it looks at.
    fn columns(&self) -> BTreeSet<ColumnRef>;
    /// For one row group: from a batch to the rows of it that stay, ascending.
    fn start(&self) -> Sieving;
}

/// See [`Sieve::start`].
pub(crate) type Sieving = Box<dyn FnMut(&Batch) -> Vec<u32> + Send>;

impl Plan {
    /// Columns that are read to decide which rows are asked for, and what of them.
    fn needed(&self) -> BTreeSet<ColumnRef> {
        let mut needed = self.columns.clone();
        self.predicate.columns(&mut needed);
        needed
    }
}

/// Why a file, or a part of it, could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{}", reason(.0))]
    Io(#[from] std::io::Error),
    #[error("{}", parquet_reason(.0))]
    Parquet(#[from] ParquetError),
    #[error("column `{column}` is stored as {found}")]
    Type { column: String, found: String },
    #[error("column `{column}` is {found} here and {wanted} in a later file")]
    Differs { column: String, found: &'static str, wanted: &'static str },
    #[error("it has no column of flow records")]
    Foreign,
    #[error("{0}")]
    TooNew(FooterError),
    #[error("its {what} of {found} {unit} is beyond the limit of {limit}")]
    TooLarge { what: &'static str, unit: &'static str, found: u64, limit: u64 },
    #[error("its footer is encrypted")]
    Encrypted,
    #[error("it is damaged: {0}")]
    Damaged(String),
}

impl ReadError {
    /// Whether there is no such file.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == std::io::ErrorKind::NotFound)
    }
}

/// The innermost cause: the crate wraps errors in each other.
fn parquet_reason(error: &ParquetError) -> String {
    const WRAPPERS: [&str; 4] = ["External: ", "Parquet argument error: ", "Parquet error: ", "Arrow: "];
    let text = error.to_string();
    let mut cause = text.as_str();
    while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| cause.strip_prefix(wrapper)) {
        cause = inner;
    }
    match cause.strip_prefix("EOF: ") {
        Some(cause) => format!("it is cut short: {}", lower_first(cause)),
        None if cause.contains("Corrupt footer") => "it is no Parquet file, or cut short".into(),
        None => format!("it is damaged: {}", lower_first(cause)),
    }
}

/// One file, opened: what it says of itself, no rows yet.
#[derive(Clone)]
pub(crate) struct FlowFile {
    file: Arc<File>,
    file_bytes: u64,
    /// The FileMetaData.
    octets: Arc<Vec<u8>>,
    /// All that is in it, where that was needed so far.
    loaded: Option<Loaded>,
    /// Rows of the file, as its metadata tells.
    rows: u64,
    /// What the file says about itself; `None` where it says nothing we understand.
    pub(crate) footer: Option<Footer>,
}

/// How much of the metadata of a file is wanted: to pass over that of row groups takes a third of
/// the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What it says of itself; more where that is nothing.
    Footer,
    /// All, as rows will be read.
    Rows,
}

/// A file whose columns are known, to be read.
#[derive(Clone)]
pub(crate) struct BoundFile {
    file: Arc<File>,
    file_bytes: u64,
    loaded: Loaded,
    /// Columns beyond the table.
    extra: Arc<[FileColumn]>,
    /// What the file says about itself.
    pub(crate) footer: Option<Footer>,
}

impl FlowFile {
    /// What `predicate` asks of its rows: its name is known already.
    pub(crate) fn asked(&self, predicate: &Arc<Predicate>) -> Arc<Predicate> {
        let ident = self.footer.as_ref().map(|footer| footer.ident.as_str());
        predicate.of_file(ident).map_or_else(|| Arc::clone(predicate), Arc::new)
    }

    /// Opens a file to read rows of it.
    pub(crate) fn open(path: &Path) -> Result<Self, ReadError> {
        Self::of(File::open(path)?, Depth::Rows)
    }

    /// Opens a file to see what it says of itself.
    pub(crate) fn look_at(path: &Path) -> Result<Self, ReadError> {
        Self::of(File::open(path)?, Depth::Footer)
    }

    /// One that was opened before.
    pub(crate) fn of(file: File, depth: Depth) -> Result<Self, ReadError> {
        guarded(|| {
            let status = file.metadata()?;
            if status.is_dir() {
                return Err(std::io::Error::from(std::io::ErrorKind::IsADirectory).into());
            }
            let octets = metadata::footer(&file)?;
            let mut of_file = Self {
                file: Arc::new(file),
                file_bytes: status.len(),
                octets: Arc::new(octets),
                loaded: None,
                rows: 0,
                footer: None,
            };
            if depth == Depth::Footer
                && let Some(told) = thrift::file_metadata(&of_file.octets, Footer::FIRST_KEY)
            {
                of_file.rows = u64::try_from(told.n_rows).unwrap_or(0);
                of_file.footer = footer(told.key_values.iter().copied())?;
            }
            if of_file.footer.is_none() {
                let loaded = metadata::load(&of_file.octets)?;
                let metadata = loaded.metadata.file_metadata();
                let pairs = metadata.key_value_metadata().into_iter().flatten();
                of_file.footer =
                    footer(pairs.filter_map(|pair| Some((pair.key.as_str(), pair.value.as_deref()?))))?;
                of_file.rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
                of_file.loaded = Some(loaded);
            }
            Ok(of_file)
        })
    }

    /// Columns beyond the table, as its metadata lists them. A name of the table is
    /// the table's.
    pub(crate) fn definitions(&self) -> impl Iterator<Item = &ExtraColumn> {
        let listed = self.footer.as_ref().map_or(&[][..], |footer| &footer.elements);
        listed.iter().filter(|definition| by_name(&definition.name).is_none())
    }

    /// Reads the rest of its metadata, and finds the columns beyond the table among
    /// `columns`, adding what is new. An error where it is damaged, values are not what it
    /// says, or not of the kind `plan` asks for.
    pub(crate) fn bind(self, columns: &mut Columns, plan: &Plan) -> Result<BoundFile, ReadError> {
        let loaded = match &self.loaded {
            Some(loaded) => loaded.clone(),
            None => guarded(|| metadata::load(&self.octets))?,
        };
        let mut extra: Vec<FileColumn> = Vec::new();
        for definition in self.definitions() {
            let (name, kind) = (&definition.name, definition.kind());
            let Ok(field) = loaded.schema.field_with_name(name) else { continue };
            if !is_stored_as(kind, field.data_type()) {
                return Err(ReadError::Type { column: name.clone(), found: field.data_type().to_string() });
            }
            if extra.iter().any(|one| one.name == *name) {
                continue;
            }
            if let Some(column) = columns.add(definition) {
                let element = Some((definition.key, definition.data_type()));
                extra.push(FileColumn { name: name.clone(), kind, column, element });
            }
        }
        for wanted in plan.needed() {
            let Some(definition) = columns.definition(wanted) else { continue };
            let other = extra.iter().find(|one| one.name == definition.name && one.column != wanted);
            if let Some(other) = other.and_then(|other| columns.definition(other.column)) {
                return Err(ReadError::Differs {
                    column: definition.name.clone(),
                    found: other.data_type().name(),
                    wanted: definition.data_type().name(),
                });
            }
        }
        let Self { file, file_bytes, footer, .. } = self;
        Ok(BoundFile { file, file_bytes, loaded, extra: extra.into(), footer })
    }

    /// Rows of the file, as its metadata tells.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// First and last instant of the flows, µs: from the footer, else from statistics.
    pub(crate) fn span(&self) -> (Option<i64>, Option<i64>) {
        if let Some(footer) = &self.footer {
            return (footer.totals.first, footer.totals.last);
        }
        (
            self.ranges(ColumnId::FlowStart).map(|range| range.0).min(),
            self.ranges(ColumnId::FlowEnd).map(|range| range.1).max(),
        )
    }

    /// The largest sampling rate of a row: from the footer, else from statistics.
    pub(crate) fn own_rate_max(&self) -> Option<i64> {
        if let Some(footer) = &self.footer {
            return Some(footer.totals.sampling_rate_max);
        }
        self.ranges(ColumnId::SamplingRate).map(|(_, max)| max).max()
    }

    /// Of each row group that tells, the smallest and largest number of a column.
    fn ranges(&self, column: ColumnId) -> impl Iterator<Item = (i64, i64)> {
        let groups = self.loaded.iter().flat_map(|loaded| loaded.metadata.row_groups());
        groups.filter_map(move |metadata| prune::Group { metadata, extra: &[] }.range(column.into()))
    }
}

impl BoundFile {
    /// Rows of the file, as its metadata tells.
    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.loaded.metadata.file_metadata().num_rows()).unwrap_or(0)
    }

    /// How many row groups it has.
    pub(crate) fn n_groups(&self) -> usize {
        self.loaded.metadata.num_row_groups()
    }

    /// Rows of a row group, as its metadata tells.
    pub(crate) fn group_rows(&self, group: usize) -> u64 {
        rows_of(self.loaded.metadata.row_group(group))
    }

    /// Row groups that may hold a match.
    pub(crate) fn row_groups(&self, plan: &Plan) -> Vec<usize> {
        let may_match = |index: &usize| {
            let (group, rate_max) = (self.group(*index), self.rate_max(*index, plan));
            plan.predicate.outcome(&mut |test| prune::verdict(test, &group, rate_max)) != Some(false)
        };
        (0..self.loaded.metadata.num_row_groups()).filter(may_match).collect()
    }

    /// Rows of a row group whose pages may hold a match.
    pub(crate) fn rows_left(&self, group: usize, plan: &Plan) -> u64 {
        let rows = self.group_rows(group);
        let asked = (plan, &*plan.predicate);
        let ruled_out = page_index::ruled_out(self, group, asked, usize::try_from(rows).unwrap_or(0));
        rows.saturating_sub(ruled_out.iter().map(|rows| rows.len() as u64).sum())
    }

    fn group(&self, index: usize) -> prune::Group<'_> {
        prune::Group { metadata: self.loaded.metadata.row_group(index), extra: &self.extra }
    }

    /// The most a counter of a row group may be multiplied by.
    fn rate_max(&self, group: usize, plan: &Plan) -> i64 {
        let Some(Scaling(rates)) = &plan.scaling else { return 1 };
        let group = self.group(group);
        match group.null_count(ColumnId::SamplingRate.into()) {
            Some(n_null) if n_null == rows_of(group.metadata) => rates.max.max(1),
            None if !group.has_column(ColumnId::SamplingRate) => rates.max.max(1),
            _ => group
                .range(ColumnId::SamplingRate.into())
                .map_or(i64::MAX, |(_, max)| max.max(rates.max).max(1)),
        }
    }

    /// The plan for one row group: of the predicate what bounds leave open, scaling and its
    /// columns only where they may change something.
    pub(crate) fn plan_for(&self, group: usize, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        let (bounds, rate_max) = (self.group(group), self.rate_max(group, &plan));
        let left = plan.predicate.decided(&mut |test| prune::verdict(test, &bounds, rate_max));
        plan.predicate = left.map_or(plan.predicate, Arc::new);
        if rate_max == 1 || !has_scaled(&plan.needed()) {
            plan.scaling = None;
        }
        if plan.has_fallback_time && self.tells_times(group) {
            plan.columns.remove(&ColumnId::Received.into());
        }
        if has_scaled(&plan.columns) {
            let inputs = self.scaling_columns(group, &plan);
            plan.columns.extend(inputs);
        }
        plan
    }

    /// When the first flow of a row group began and the last ended, µs, if each row is one flow
    /// that tells.
    pub(crate) fn group_span(&self, group: usize) -> Option<(i64, i64)> {
        let bounds = self.group(group);
        let is_plain =
            ![ColumnId::FlowCount, ColumnId::Contributes].iter().any(|&id| bounds.has_values(id.into()));
        let is_told = is_plain && self.tells_times(group);
        let of = |column: ColumnId| bounds.range(column.into()).filter(|_| is_told);
        Some((of(ColumnId::FlowStart)?.0, of(ColumnId::FlowEnd)?.1))
    }

    /// Whether every flow of a row group tells when it began and when it ended.
    fn tells_times(&self, group: usize) -> bool {
        let is_told = |column: ColumnId| self.group(group).null_count(column.into()) == Some(0);
        is_told(ColumnId::FlowStart) && is_told(ColumnId::FlowEnd)
    }

    /// Columns that scaling reads.
    fn scaling_columns(&self, group: usize, plan: &Plan) -> BTreeSet<ColumnRef> {
        let Some(Scaling(rates)) = &plan.scaling else { return BTreeSet::new() };
        let group = self.group(group);
        let rate = ColumnId::SamplingRate.into();
        let has_all = group.null_count(rate) == Some(0) && group.range(rate).is_some_and(|(min, _)| min > 0);
        let is_told = has_all || rates.is_empty();
        let looked_up = if is_told { BTreeSet::new() } else { rates.columns() };
        looked_up.into_iter().chain([ColumnId::SamplingRate]).map(ColumnRef::from).collect()
    }

    /// Compressed octets of what `plan` reads of a row group.
    pub(crate) fn compressed_bytes(&self, group: usize, plan: &Plan) -> u64 {
        let wanted = plan.needed();
        let chunks = self.loaded.metadata.row_group(group).columns().iter();
        let is_wanted = |name: &str| self.is_wanted(name, &wanted, plan.has_extra);
        chunks
            .filter(|chunk| chunk.column_path().parts().first().is_some_and(|name| is_wanted(name)))
            .map(|chunk| u64::try_from(chunk.compressed_size()).unwrap_or(0))
            .fold(0, u64::saturating_add)
    }

    /// The matching rows of one row group.
    pub(crate) fn scan(&self, group: usize, plan: &Plan) -> Result<Scan, ReadError> {
        guarded(|| Scan::new(self, group, plan))
    }

    /// Columns of the answer, those beyond the table included.
    fn asked(&self, plan: &Plan) -> BTreeSet<ColumnRef> {
        let extra = self.extra.iter().map(|one| one.column).filter(|_| plan.has_extra);
        plan.columns.iter().copied().chain(extra).collect()
    }

    fn positioned(&self) -> Positioned {
        Positioned { file: Arc::clone(&self.file), file_bytes: self.file_bytes }
    }

    /// What metadata says of a column of a row group.
    fn chunk(&self, group: usize, column: ColumnRef) -> Option<&ColumnChunkMetaData> {
        let of_file = || Some(self.extra.iter().find(|one| one.column == column)?.name.as_str());
        let name = column.table().map(|known| known.name).or_else(of_file)?;
        let chunks = self.loaded.metadata.row_group(group).columns();
        chunks.iter().find(|chunk| chunk.column_path().parts().first().is_some_and(|first| first == name))
    }

    /// Where a column of a row group begins.
    fn cursor(&self, group: usize, column: ColumnRef) -> Opened {
        let Some(chunk) = self.chunk(group, column) else { return Opened::Absent };
        let rows = self.group_rows(group);
        let nulls = chunk.statistics().and_then(|statistics| statistics.null_count_opt());
        if nulls == Some(rows) && chunk.column_descr().max_rep_level() == 0 {
            return Opened::Absent;
        }
        match Cursor::new(&self.file, self.file_bytes, chunk) {
            Some(cursor) => Opened::Cursor(Box::new(cursor)),
            None => Opened::Foreign,
        }
    }

    /// Checks what the pages of columns left to the `arrow` reader claim to be.
    fn check_headers(&self, group: usize, columns: &BTreeSet<ColumnRef>) -> Result<(), ReadError> {
        let chunks = self.loaded.metadata.row_group(group).columns().iter();
        let is_read =
            |name: &String| found(name, &self.extra).is_some_and(|column| columns.contains(&column));
        for chunk in chunks.filter(|chunk| chunk.column_path().parts().first().is_some_and(is_read)) {
            check_headers(&self.file, self.file_bytes, chunk)?;
        }
        Ok(())
    }

    fn is_wanted(&self, name: &str, columns: &BTreeSet<ColumnRef>, has_extra: bool) -> bool {
        found(name, &self.extra)
            .is_some_and(|column| columns.contains(&column) || has_extra && column.table().is_none())
    }

    fn projection(&self, columns: &BTreeSet<ColumnRef>, has_extra: bool) -> ProjectionMask {
        let is_wanted = |name: &str| self.is_wanted(name, columns, has_extra);
        let schema = self.loaded.metadata.file_metadata().schema_descr();
        let fields = schema.root_schema().get_fields();
        let roots = fields.iter().enumerate().filter(|(_, field)| is_wanted(field.name()));
        ProjectionMask::roots(schema, roots.map(|(index, _)| index))
    }
}

/// Whether counters are read that scaling changes.
fn has_scaled(columns: &BTreeSet<ColumnRef>) -> bool {
    SCALED_COLUMNS.into_iter().any(|id| columns.contains(&id.into()))
}

fn rows_of(group: &RowGroupMetaData) -> u64 {
    u64::try_from(group.num_rows()).unwrap_or(0)
}

/// The rows of a side table.
pub(crate) fn read_table<R: Row>(path: &Path) -> Result<Vec<R>, ReadError> {
    guarded(|| {
        let file = File::open(path)?;
        within("size", "octets", file.metadata()?.len(), TABLE_BYTES_MAX)?;
        let metadata = metadata::load_any(&file)?;
        let n_rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
        within("length", "rows", n_rows, TABLE_ROWS_MAX as u64)?;
        let file_bytes = file.metadata()?.len();
        let input = Positioned { file: Arc::new(file), file_bytes };
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata).build()?;
        let mut rows = Vec::new();
        for batch in reader {
            let batch = R::from_batch(&batch.map_err(ParquetError::from)?);
            rows.extend(batch.ok_or_else(|| ReadError::Damaged(format!("it is no `{}`", R::FILE)))?);
            within("length", "rows", rows.len() as u64, TABLE_ROWS_MAX as u64)?;
        }
        Ok(rows)
    })
}

/// What the metadata of a file says. Metadata that is absent or damaged leaves
/// the rows readable; a later release's is another matter.
fn footer<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Result<Option<Footer>, ReadError> {
    let get = |wanted: &str| pairs.clone().find(|(key, _)| *key == wanted).map(|(_, value)| value);
    match Footer::from_metadata(get) {
        Ok(footer) => Ok(Some(footer)),
        Err(error @ FooterError::TooNew(_)) => Err(ReadError::TooNew(error)),
        Err(_) => Ok(None),
    }
}

thread_local! {
    /// Whether a panic of this thread is one of the Parquet reader's.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `read`; a panic inside is a damaged file and says nothing itself.
fn guarded<T>(read: impl FnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                previous(info);
            }
        }));
    });
    let before = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    IS_GUARDED.set(before);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(ReadError::Damaged(lower_first(text)))
    })
}
