//! Which serial numbers the visible files hold.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use flow_common::layout::{parse_file_name, parse_part_name};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::exporters::{EXPORTER_SHIFT, EXPORTERS};

/// Numbers seen so far, and the files they came from.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// A bit for each number of each exporter.
    bits: [Vec<u64>; EXPORTERS],
    files: BTreeSet<PathBuf>,
    pub(crate) n_rows: u64,
    pub(crate) n_duplicates: u64,
    /// Rows of no exporter.
    pub(crate) n_foreign: u64,
    /// What should have been whole and is not.
    pub(crate) torn: BTreeSet<String>,
    pub(crate) n_parts: usize,
}

impl Seen {
    /// Reads the visible files that are new, and opens the parts. Whatever happened,
    /// both are whole, and no file that was visible is gone.
    pub(crate) fn read_new(&mut self, root: &Path) {
        let files: BTreeSet<_> = files_of(root, |name| parse_file_name(name).is_some()).into_iter().collect();
        let gone: Vec<_> = self.files.difference(&files).collect();
        assert!(gone.is_empty(), "files that were visible are gone: {gone:?}");
        for path in files.difference(&self.files).cloned().collect::<Vec<_>>() {
            let serials = self.serials(&path);
            self.n_rows += serials.len() as u64;
            serials.into_iter().for_each(|serial| self.add(serial));
            self.files.insert(path);
        }
        // A part has its name only when it is whole.
        for path in parts(root) {
            self.serials(&path);
            self.n_parts += 1;
        }
    }

    fn serials(&mut self, path: &Path) -> Vec<u64> {
        serials(path).unwrap_or_else(|error| {
            self.torn.insert(format!("{}: {error}", path.display()));
            Vec::new()
        })
    }

    pub(crate) fn n_files(&self) -> usize {
        self.files.len()
    }

    fn add(&mut self, serial: u64) {
        let exporter = usize::try_from(serial >> EXPORTER_SHIFT).unwrap();
        let number = serial & ((1 << EXPORTER_SHIFT) - 1);
        let (word, bit) = (usize::try_from(number / 64).unwrap(), 1 << (number % 64));
        let Some(bits) = self.bits.get_mut(exporter) else {
            self.n_foreign += 1;
            return;
        };
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        self.n_duplicates += u64::from(bits[word] & bit != 0);
        bits[word] |= bit;
    }

    /// The numbers below `end` that are missing, as ranges.
    pub(crate) fn missing(&self, exporter: usize, end: u64) -> Vec<Range<u64>> {
        let bits = &self.bits[exporter];
        let is_seen =
            |number: u64| bits.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1);
        let mut missing: Vec<Range<u64>> = Vec::new();
        for number in (0..end).filter(|&number| !is_seen(number)) {
            match missing.last_mut() {
                Some(range) if range.end == number => range.end += 1,
                _ => missing.push(number..number + 1),
            }
        }
        missing
    }
}

/// Parts below `root`.
pub(crate) fn parts(root: &Path) -> Vec<PathBuf> {
    files_of(root, |name| parse_part_name(name).is_some())
}

/// Files of the slots' directories whose name `is_wanted`.
fn files_of(root: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let (mut pending, mut found) = (vec![root.to_owned()], Vec::new());
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                if !name.starts_with('.') {
                    pending.push(entry.path());
                }
            } else if is_wanted(&name) {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Serial numbers of a file's records.
fn serials(path: &Path) -> Result<Vec<u64>, Box<dyn std::error::Error>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let column = ProjectionMask::columns(builder.parquet_schema(), ["flow_id"]);
    let mut serials = Vec::new();
    for batch in builder.with_projection(column).build()? {
        let batch = batch?;
        serials.extend(
            batch.column(0).as_primitive::<Int64Type>().values().iter().map(|value| value.cast_unsigned()),
        );
    }
    Ok(serials)
}
