//! Side tables of the trees files lie in, read when a question needs them and once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_common::layout::STATE_DIR;
use flow_common::tables::{ReportRow, Row};

use crate::catalog::root_of;
use crate::names::Names;
use crate::scaling::Rates;
use crate::scan::{ReadError, read_table};

/// A side table that could not be read.
pub(crate) type Unreadable = (PathBuf, ReadError);

/// The side tables of all trees a question is about.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    names: HashMap<PathBuf, Arc<Names>>,
    rates: HashMap<PathBuf, Arc<Rates>>,
    reports: HashMap<PathBuf, Arc<Vec<ReportRow>>>,
    /// Tables that could not be read and were not told yet.
    pub(crate) unreadable: Vec<Unreadable>,
}

impl Tables {
    /// Names for the rows of a file.
    pub(crate) fn names(&mut self, file: &Path) -> Arc<Names> {
        of_tree(&mut self.names, &mut self.unreadable, file, Names::new)
    }

    /// Rates for the rows of a file.
    pub(crate) fn rates(&mut self, file: &Path) -> Arc<Rates> {
        of_tree(&mut self.rates, &mut self.unreadable, file, Rates::new)
    }

    /// Reports of the exporters of a file's tree; nothing if they were asked for
    /// already.
    pub(crate) fn new_reports(&mut self, file: &Path) -> Option<Arc<Vec<ReportRow>>> {
        let is_new = !self.reports.contains_key(root_of(file));
        is_new.then(|| of_tree(&mut self.reports, &mut self.unreadable, file, |rows| rows))
    }
}

fn of_tree<R: Row, T>(
    known: &mut HashMap<PathBuf, Arc<T>>,
    unreadable: &mut Vec<Unreadable>,
    file: &Path,
    of: impl FnOnce(Vec<R>) -> T,
) -> Arc<T> {
    let root = root_of(file);
    if let Some(table) = known.get(root) {
        return Arc::clone(table);
    }
    let path = root.join(STATE_DIR).join(R::FILE);
    let rows = match read_table(&path) {
        Ok(rows) => rows,
        // Nothing was told, or another program wrote the files.
        Err(error) if error.is_absence() => Vec::new(),
        Err(error) => {
            unreadable.push((path, error));
            Vec::new()
        }
    };
    let table = Arc::new(of(rows));
    known.insert(root.to_owned(), Arc::clone(&table));
    table
}
