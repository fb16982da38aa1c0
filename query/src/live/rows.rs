//! The one door to the engine: all matching rows of an opened file, to a sink.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::batch::Batch;
use crate::columns::{ColumnRef, Columns};
use crate::filter::Predicate;
use crate::output::FileInfo;
use crate::scaling::Scaling;
use crate::scan::{BoundFile, FlowFile, Plan, ReadError};
use crate::tables::Tables;

/// What is asked of every file.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// Columns of the answer.
    pub(crate) columns: BTreeSet<ColumnRef>,
    /// Whether all columns beyond the table belong to it.
    pub(crate) has_extra: bool,
    /// Whether names are joined to numbers.
    pub(crate) has_names: bool,
    pub(crate) predicate: Arc<Predicate>,
    /// Whether counters are multiplied by sampling rates.
    pub(crate) is_scaled: bool,
}

/// Where matching rows go.
pub(crate) trait Sink {
    /// A file begins whose rows come next.
    fn file(&mut self, file: &FileInfo<'_>);
    /// Rows in the order of the file; a break ends the reading.
    fn batch(&mut self, batch: &Batch) -> io::Result<ControlFlow<()>>;
}

/// Hands every matching row of `file`, which lies at `path`, to `sink`. A file that
/// can't be read is the inner error, a sink that can't write the outer.
pub(crate) fn read(
    path: &Path,
    file: FlowFile,
    ask: &Ask,
    (columns, tables): (&mut Columns, &mut Tables),
    sink: &mut dyn Sink,
) -> io::Result<Result<(), ReadError>> {
    let predicate = file.asked(&ask.predicate);
    let mut plan = Plan {
        columns: ask.columns.clone(),
        has_extra: ask.has_extra,
        has_fallback_time: false,
        predicate,
        scaling: None,
        anonymizer: None,
        sieve: None,
    };
    let file = match file.bind(columns, &plan) {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let names = ask.has_names.then(|| tables.names(path));
    plan.scaling = ask.is_scaled.then(|| Scaling(tables.rates(path)));
    let ident = file.footer.as_ref().map(|footer| footer.ident.as_str());
    sink.file(&FileInfo { ident, names: names.as_ref() });
    let mut first_error = None;
    for group in file.row_groups(&plan) {
        let plan = file.plan_for(group, &plan);
        // A damaged row group leaves the others readable.
        match read_group(&file, group, &plan, sink)? {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Ok(first_error.map_or(Ok(()), Err))
}

fn read_group(
    file: &BoundFile,
    group: usize,
    plan: &Plan,
    sink: &mut dyn Sink,
) -> io::Result<Result<ControlFlow<()>, ReadError>> {
    let mut scan = match file.scan(group, plan) {
        Ok(scan) => scan,
        Err(error) => return Ok(Err(error)),
    };
    loop {
        match scan.next() {
            Ok(Some(batch)) => {
                if sink.batch(&batch)?.is_break() {
                    return Ok(Ok(ControlFlow::Break(())));
                }
            }
            Ok(None) => return Ok(Ok(ControlFlow::Continue(()))),
            Err(error) => return Ok(Err(error)),
        }
    }
}
