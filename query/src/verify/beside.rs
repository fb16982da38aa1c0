//! What lies beside the flows of a tree: options data records, and side tables.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use flow_common::layout::{OPTIONS_EXTENSION, STATE_DIR};
use flow_common::limits::DIRECTORY_DEPTH_MAX;
use flow_common::tables::{NameRow, RateRow, ReportRow, Row};

use super::check::{Sound, Verdict};
use crate::catalog::{Found, root_of};
use crate::scan::{ReadError, read_table};

/// Reads a table and says how many rows it has.
type Reading = fn(&Path) -> Result<usize, ReadError>;

/// Every side table.
const TABLES: [(&str, Reading); 3] = [
    (NameRow::FILE, |path| read_table::<NameRow>(path).map(|rows| rows.len())),
    (RateRow::FILE, |path| read_table::<RateRow>(path).map(|rows| rows.len())),
    (ReportRow::FILE, |path| read_table::<ReportRow>(path).map(|rows| rows.len())),
];

/// Files of options data and side tables of the trees that `files` are of.
pub(super) fn beside(files: &[Found]) -> (Vec<Found>, Vec<PathBuf>) {
    let roots: BTreeSet<PathBuf> = files.iter().map(|found| root_of(&found.path).to_owned()).collect();
    let (mut options, mut tables) = (Vec::new(), Vec::new());
    for root in roots {
        let state = root.join(STATE_DIR);
        walk(&state.join("options"), 0, &mut options);
        tables.extend(TABLES.iter().map(|(name, _)| state.join(name)).filter(|path| path.exists()));
    }
    options.sort();
    (options.into_iter().map(Found::from).collect(), tables)
}

/// What can't be listed has no options data, as most trees have none.
fn walk(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth < DIRECTORY_DEPTH_MAX {
                walk(&path, depth + 1, found);
            }
        } else if path.extension().is_some_and(|extension| extension == OPTIONS_EXTENSION) {
            found.push(path);
        }
    }
}

/// Reads every value of a side table.
pub(super) fn check_table(path: &Path) -> Verdict {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((_, read)) = TABLES.iter().find(|(known, _)| *known == name) else { return Verdict::Gone };
    match read(path) {
        Ok(rows) => {
            let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
            Verdict::Sound(Sound { rows: rows as u64, bytes, counted: None })
        }
        Err(error) if error.is_absence() => Verdict::Gone,
        Err(error) => Verdict::Damaged(vec![error.to_string()]),
    }
}
