//! The rows of an answer, or its groups, as rows of a file.
//!
//! Rows come as batches that threads work on and one thread joins in order, as
//! [`RowFormat`] has it; their text are packed rows.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow_common::addr::{Addr16, Mac};
use flow_common::column::{COLUMNS, ColumnId, ExtraColumn, Kind};
use flow_common::element::{AbstractDataType, ElementKey};

use super::packed::{Packer, unpack};
use super::{Cell, NewFile, Provenance, Rows, WriteError};
use crate::aggregate::{Float, Group, Value};
use crate::aggregation::{Aggregation, BUCKET, Directions};
use crate::batch::{Batch, Cells};
use crate::columns::{ColumnRef, Columns};
use crate::group::{Ordered, Source};
use crate::measure::Form;
use crate::message::Failure;
use crate::output::{FileInfo, RowFormat, RowFormatter};
use crate::scaling::SCALED_COLUMNS;

/// Where a file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    File {
        path: PathBuf,
        /// One that is there goes.
        may_replace: bool,
    },
    Stdout,
}

impl Target {
    /// That the file may be written, before hours go into its rows.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self {
            Self::File { path, .. } if path.file_name().is_none() || path.is_dir() => {
                Err(Failure::usage(format!("`{}` is no name for a file", path.display())))
            }
            Self::File { path, may_replace: false } if path.exists() => Err(exists(path)),
            _ => Ok(()),
        }
    }

    fn begin(&self, rows: &Rows, extra: &[ExtraColumn]) -> Result<NewFile, WriteError> {
        match self {
            Self::File { path, .. } => {
                let directory = path.parent().unwrap_or(Path::new("."));
                NewFile::create(directory, &name_of(path), rows, extra)
            }
            Self::Stdout => NewFile::unnamed(rows, extra),
        }
    }

    /// Ends the file; what there is to say of it.
    fn end(
        &self,
        file: NewFile,
        idents: &BTreeSet<String>,
        stdout: &mut dyn Write,
    ) -> Result<String, Failure> {
        let idents: Vec<&str> = idents.iter().map(String::as_str).collect();
        let provenance = Provenance { ident: idents.join(","), imported_from: Vec::new() };
        let rows = file.rows();
        match self {
            Self::File { path, may_replace } => {
                let names = std::iter::once(name_of(path));
                file.publish(None, provenance, names, *may_replace)?;
                Ok(format!("{rows} rows written to `{}`", path.display()))
            }
            Self::Stdout => {
                file.copy(provenance, stdout)??;
                Ok(String::new())
            }
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn exists(path: &Path) -> Failure {
    let hint = Some("`--force` replaces it".to_owned());
    Failure::Failed { message: format!("`{}` is there already", path.display()), hint }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Exists(path) => exists(&path),
            error => Self::Failed { message: error.to_string(), hint: None },
        }
    }
}

/// Columns of a file beyond the table, and where their values are found.
#[derive(Debug, Clone, Default)]
struct Extra {
    definitions: Vec<ExtraColumn>,
    columns: Vec<ColumnRef>,
}

impl Extra {
    /// All that are known; of several with one name the first.
    fn of(columns: &Columns) -> Self {
        let mut extra = Self::default();
        for column in columns.names().filter_map(|name| columns.find(name)) {
            extra.push(column, columns);
        }
        extra
    }

    fn push(&mut self, column: ColumnRef, columns: &Columns) {
        if let Some(definition) = columns.definition(column) {
            self.definitions.push(definition.clone());
            self.columns.push(column);
        }
    }
}

/// Rows that are being written to a file, as a format of the engine.
pub(crate) struct WrittenRows {
    shared: Arc<Shared>,
    target: Target,
    written: Mutex<Written>,
}

/// What threads that make rows share with the one that writes them.
struct Shared {
    extra: Extra,
    idents: Mutex<BTreeSet<String>>,
}

struct Written {
    rows: Rows,
    /// `None` once it failed.
    file: Option<NewFile>,
    failure: Option<WriteError>,
}

impl Written {
    /// Writes the rows gathered so far.
    fn flush(&mut self) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = file.write(&mut self.rows) {
            self.file = None;
            self.failure = Some(error);
        }
    }
}

impl WrittenRows {
    pub(crate) fn new(target: &Target, columns: &Columns) -> Result<Self, Failure> {
        let extra = Extra::of(columns);
        let rows = Rows::new(&extra.definitions);
        let file = Some(target.begin(&rows, &extra.definitions)?);
        let shared = Shared { extra, idents: Mutex::default() };
        let written = Mutex::new(Written { rows, file, failure: None });
        Ok(Self { shared: Arc::new(shared), target: target.clone(), written })
    }

    /// Ends the file; what there is to say of it.
    pub(crate) fn end(self, stdout: &mut dyn Write) -> Result<String, Failure> {
        let mut written = self.written.into_inner().unwrap_or_else(PoisonError::into_inner);
        written.flush();
        if let Some(error) = written.failure {
            return Err(error.into());
        }
        let Some(file) = written.file else { return Ok(String::new()) };
        self.target.end(file, &lock(&self.shared.idents), stdout)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RowFormat for WrittenRows {
    fn formatter(&self) -> Box<dyn RowFormatter> {
        Box::new(Maker { shared: Arc::clone(&self.shared) })
    }

    fn join(&self, _rows_before: u64, text: &mut Vec<u8>, _out: &mut dyn Write) -> io::Result<()> {
        let written = &mut *lock(&self.written);
        let mut left = unpack(text, &mut written.rows);
        while written.rows.is_full() {
            written.flush();
            if written.file.is_none() {
                // It ends the reading; the failure itself is told at the end.
                return Err(io::Error::other("the file can't be written"));
            }
            left = unpack(left, &mut written.rows);
        }
        Ok(())
    }
}

/// Packs the rows of batches.
struct Maker {
    shared: Arc<Shared>,
}

impl RowFormatter for Maker {
    fn file(&mut self, file: &FileInfo<'_>) {
        if let Some(ident) = file.ident.filter(|ident| !ident.is_empty()) {
            lock(&self.shared.idents).insert(ident.to_owned());
        }
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let extra = &self.shared.extra;
        let table = COLUMNS.iter().map(|column| (ColumnRef::from(column.id), column.kind));
        let extra = extra.columns.iter().zip(&extra.definitions).map(|(&column, one)| (column, one.kind()));
        let present: Vec<Present<'_>> = (0..)
            .zip(table.chain(extra))
            .filter_map(|(index, (column, kind))| Present::of(batch, column, kind, index))
            .collect();
        for row in 0..batch.rows() {
            let mut packer = Packer::new(out);
            let rate = batch.rate(row);
            present.iter().for_each(|column| column.put(row, rate, &mut packer));
        }
    }
}

/// A column of a batch that has values.
struct Present<'a> {
    index: usize,
    kind: Kind,
    cells: Cells<'a>,
    is_scaled: bool,
    is_rate: bool,
}

impl<'a> Present<'a> {
    fn of(batch: &'a Batch, column: ColumnRef, kind: Kind, index: usize) -> Option<Self> {
        let is_rate = column == ColumnId::SamplingRate && batch.rates().is_some();
        let is_scaled = SCALED_COLUMNS.iter().any(|&scaled| column == scaled);
        let cells = batch.cells(column);
        let has_any = is_rate || !matches!(cells, Cells::Absent);
        has_any.then_some(Self { index, kind, cells, is_scaled, is_rate })
    }

    /// Packs its value. Counters are stored as exported, with the rate they were multiplied by
    /// beside them.
    fn put(&self, row: usize, rate: Option<i64>, packer: &mut Packer<'_>) {
        let Self { index, kind, cells, is_scaled, is_rate } = *self;
        match kind {
            Kind::Int32 | Kind::Int64 | Kind::Timestamp => {
                let int = match rate {
                    Some(rate) if is_scaled => cells.int(row).map(|int| int / rate),
                    Some(rate) if is_rate => cells.int(row).or(Some(rate)),
                    _ => cells.int(row),
                };
                int.into_iter().for_each(|int| packer.put(index, Cell::Int(int)));
            }
            Kind::Address => {
                cells.octets::<16>(row).iter().for_each(|addr| packer.put(index, Cell::Octets(addr)));
            }
            Kind::Mac => cells.octets::<6>(row).iter().for_each(|mac| packer.put(index, Cell::Octets(mac))),
            Kind::Text => {
                let text = cells.text(row).map(str::as_bytes);
                text.into_iter().for_each(|text| packer.put(index, Cell::Octets(text)));
            }
            Kind::Binary => {
                cells.binary(row).into_iter().for_each(|octets| packer.put(index, Cell::Octets(octets)));
            }
            Kind::Float64 => {
                cells.float(row).into_iter().for_each(|float| packer.put(index, Cell::Float(float)));
            }
            Kind::Boolean => {
                cells.int(row).into_iter().for_each(|int| packer.put(index, Cell::Boolean(int != 0)));
            }
            Kind::Labels => {
                if let Some(labels) = cells.labels(row) {
                    packer.put(index, Cell::Labels(&labels.collect::<Vec<_>>()));
                }
            }
            Kind::Other => {
                if let Some(entries) = cells.entries(row) {
                    packer.put(index, Cell::Entries(&entries.collect::<Vec<_>>()));
                }
            }
        }
    }
}

/// Writes groups, each as a flow: its key in the columns it is of, its counters in those of
/// flows, and NULL in the rest. What must not be NULL and is no key is when its last flow
/// ended, no address and version 0. Returns what there is to say.
pub(crate) fn write_groups(
    target: &Target,
    aggregation: &Aggregation,
    mut groups: Ordered,
    columns: &Columns,
    stdout: &mut dyn Write,
) -> Result<String, Failure> {
    let mut extra = Extra::default();
    aggregation.keys.iter().for_each(|key| extra.push(key.column, columns));
    let of_measures = COLUMNS.len() + extra.definitions.len();
    let definitions: Vec<_> =
        extra.definitions.iter().cloned().chain(measured_columns(aggregation)?).collect();
    let mut rows = Rows::new(&definitions);
    let mut file = target.begin(&rows, &definitions)?;
    for group in &mut groups {
        let mut index_of_measure = of_measures..;
        for (key, value) in aggregation.keys.iter().zip(&group.key) {
            let of_extra = || Some(COLUMNS.len() + extra.columns.iter().position(|one| *one == key.column)?);
            let index = match key.is_bucket() {
                true => index_of_measure.next(),
                false => key.column.table().map(|column| column.id as usize).or_else(of_extra),
            };
            if let (Some(index), Some(value)) = (index, value) {
                push(&mut rows, index, value);
            }
        }
        for ((index, one), measured) in index_of_measure.zip(&aggregation.measures.list).zip(&group.measured)
        {
            let cell = |value: u64| match one.form() {
                Form::Count | Form::Scaled => Cell::Int(i64::try_from(value).unwrap_or(i64::MAX)),
                Form::Duration | Form::Percent => Cell::Float(value as f64 / 1_000.0),
            };
            rows.push(index, measured.value.map(cell));
        }
        // Columns that are keys themselves have their values by now.
        for (key, value) in aggregation.keys.iter().zip(&group.key) {
            if let (Source::Net { addr, mask }, Some(Value::Net(net, length))) = (key.source(), value) {
                rows.set(addr, Cell::Octets(&net.0));
                rows.set_int(mask, *length);
            }
        }
        if let Some(stack) = aggregation.labels(&group.key) {
            rows.set(ColumnId::MplsLabels, Cell::Labels(&stack));
        }
        put_flow(&mut rows, &group, aggregation.directions);
        rows.end_row();
        if rows.is_full() {
            file.write(&mut rows)?;
        }
    }
    groups.end()?;
    file.write(&mut rows)?;
    target.end(file, &BTreeSet::new(), stdout)
}

/// What a group adds up to, in the columns of a flow.
fn put_flow(rows: &mut Rows, group: &Group, directions: Directions) {
    let counters = &group.counters;
    let counts = [
        (ColumnId::FlowCount, counters.flows),
        (ColumnId::Packets, counters.packets),
        (ColumnId::Bytes, counters.bytes),
    ];
    for (column, count) in counts {
        rows.set_int(column, i64::try_from(count).unwrap_or(i64::MAX));
    }
    // Joined flows have both directions.
    let other = [(ColumnId::OutPackets, counters.out_packets), (ColumnId::OutBytes, counters.out_bytes)];
    for (column, count) in other.into_iter().filter(|_| directions != Directions::Apart) {
        rows.set_int(column, i64::try_from(count).unwrap_or(i64::MAX));
    }
    let details = [(ColumnId::TcpFlags, group.tcp_flags), (ColumnId::SrcTos, group.src_tos)];
    for (column, detail) in details {
        detail.into_iter().for_each(|detail| rows.set_int(column, detail));
    }
    let [first, last] = [counters.first, counters.last];
    for (column, time) in [(ColumnId::FlowStart, first), (ColumnId::FlowEnd, last)] {
        if let Some(micros) = time {
            rows.set_int(column, micros);
        }
    }
    rows.set_int(ColumnId::Received, last.or(first).unwrap_or(0));
    rows.set(ColumnId::ExporterAddr, Cell::Octets(&[0; 16]));
    rows.set_int(ColumnId::ExportVersion, 0);
}

/// Columns for the bucket and for what is measured, as if an operator had defined them: whoever
/// reads the file can ask for them. No enterprise has the number, so no exporter sends them.
fn measured_columns(aggregation: &Aggregation) -> Result<Vec<ExtraColumn>, Failure> {
    const NOBODY: u32 = u32::MAX;
    let bucket = aggregation.measures.bucket.map(|_| (BUCKET, AbstractDataType::DateTimeMicroseconds));
    let measured = aggregation.measures.list.iter().map(|one| match one.form() {
        Form::Count | Form::Scaled => (one.name.as_str(), AbstractDataType::Unsigned64),
        Form::Duration | Form::Percent => (one.name.as_str(), AbstractDataType::Float64),
    });
    let mut columns: Vec<ExtraColumn> = Vec::new();
    for (name, data_type) in bucket.into_iter().chain(measured) {
        // One name is one element in all files.
        let hash = name
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193));
        let mut id = (hash >> 16) as u16 & 0x7fff;
        while columns.iter().any(|known| known.key.id == id) {
            id = (id + 1) & 0x7fff;
        }
        let column = ExtraColumn::new(name, ElementKey { pen: NOBODY, id }, data_type);
        columns
            .push(column.map_err(|error| Failure::usage(format!("a file can't have the column: {error}")))?);
    }
    Ok(columns)
}

fn push(rows: &mut Rows, index: usize, value: &Value) {
    let cell = match value {
        Value::Int(int) => Cell::Int(*int),
        Value::Address(Addr16(octets)) => Cell::Octets(octets),
        Value::Mac(Mac(octets)) => Cell::Octets(octets),
        Value::Text(text) => Cell::Octets(text.as_bytes()),
        Value::Binary(octets) => Cell::Octets(octets),
        Value::Float(Float(float)) => Cell::Float(*float),
        Value::Boolean(boolean) => Cell::Boolean(*boolean),
        // They have no column of their own.
        Value::Net(..) | Value::Label(_) => return,
    };
    rows.push(index, Some(cell));
}
