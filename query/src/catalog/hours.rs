//! Files of a directory that compaction may exchange for others while a question is asked.
//!
//! The files of an hour become one, all at once. Of a directory listed before and read
//! after, some files would be the old ones and others gone. So all files of a directory
//! are opened when the first of them is wanted: either all of them are there, or those
//! gone have one in their place that names them (`flowcap.compacts`), with all their rows.
//! A file that is gone and that none names was retired.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flow_common::layout::{REPLACED_EXTENSION, parse_hour_name, parse_part_name, replaced_directory};
use flow_common::limits::{DIRECTORY_FILES_HELD_MAX, LISTINGS_MAX};

use super::Found;
use super::parts::room_for;
use crate::scan::{Depth, FlowFile, ReadError};

/// Files of one directory that were listed together.
#[derive(Debug)]
pub(super) struct Hour {
    directory: PathBuf,
    names: Vec<String>,
    /// Whether some of what it holds is not asked for, or is read by another way.
    is_cut: AtomicBool,
    /// What is to be read for each name; `None` before the first is wanted.
    held: Mutex<Option<BTreeMap<String, Held>>>,
}

/// What is to be read for a name.
#[derive(Debug)]
enum Held {
    /// This: the file itself, or one that has its rows and those of others.
    File(File),
    /// Nothing: another has its rows, or it was retired.
    Nothing,
    /// It can't be.
    Failed(io::Error),
}

/// Puts the files of each directory together; they are sorted by it.
pub(super) fn join(files: &mut [Found]) {
    for group in files.chunk_by_mut(|a, b| a.path.parent() == b.path.parent()) {
        let Some(directory) = group.first().and_then(|found| found.path.parent()).map(Path::to_owned) else {
            continue;
        };
        let has_parts = group.iter().any(Found::is_part);
        let visible = || group.iter().filter(|found| !found.is_part());
        // More can't be held, and no hour has so many.
        if visible().count() > DIRECTORY_FILES_HELD_MAX {
            continue;
        }
        let names = visible().filter_map(|found| Some(found.path.file_name()?.to_str()?.to_owned()));
        let (names, is_cut) = (names.collect(), AtomicBool::new(has_parts));
        let hour = Arc::new(Hour { directory, names, is_cut, held: Mutex::new(None) });
        for found in group.iter_mut().filter(|found| !found.is_part()) {
            found.hour = Some(Arc::clone(&hour));
        }
    }
}

impl Hour {
    /// Some of its files are not asked for.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    /// Opens what is to be read for a file of it, once.
    pub(super) fn open(&self, path: &Path, depth: Depth) -> Result<FlowFile, ReadError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.get_or_insert_with(|| self.hold());
        match path.file_name().and_then(|name| held.remove(name.to_str()?)) {
            Some(Held::File(file)) => FlowFile::of(file, depth),
            Some(Held::Nothing) => Err(io::Error::from(io::ErrorKind::NotFound).into()),
            Some(Held::Failed(error)) => Err(error.into()),
            None => open_alone(path, depth),
        }
    }

    fn hold(&self) -> BTreeMap<String, Held> {
        if room_for(self.names.len()) < self.names.len() {
            return BTreeMap::new();
        }
        for _ in 0..LISTINGS_MAX {
            let mut held: BTreeMap<_, _> =
                self.names.iter().map(|name| (name.clone(), self.open_one(name))).collect();
            let is_gone = |held: &Held| matches!(held, Held::Nothing);
            if !held.values().any(is_gone) || self.replace(&mut held).is_ok() {
                return held;
            }
        }
        let failed = || Held::Failed(io::Error::other("it was compacted each time it was looked for"));
        self.names.iter().map(|name| (name.clone(), failed())).collect()
    }

    fn open_one(&self, name: &str) -> Held {
        match File::open(self.directory.join(name)) {
            Ok(file) => Held::File(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Held::Nothing,
            Err(error) => Held::Failed(error),
        }
    }

    /// Puts files that have taken the place of others where the first of these was. An
    /// error says that it is to be tried again.
    fn replace(&self, held: &mut BTreeMap<String, Held>) -> io::Result<()> {
        for name in hours_in(&self.directory)? {
            if held.contains_key(&name) {
                continue;
            }
            let path = self.directory.join(&name);
            let compacts: BTreeSet<_> = match FlowFile::open(&path) {
                Ok(file) => file.footer.into_iter().flat_map(|footer| footer.compacts).collect(),
                // Exchanged again.
                Err(error) if error.is_absence() => return Err(io::ErrorKind::NotFound.into()),
                Err(error) => {
                    // It may have any of their rows.
                    let said = format!("it may be in `{name}`, which can't be read: {error}");
                    let gone = held.values_mut().filter(|held| matches!(held, Held::Nothing));
                    gone.for_each(|held| *held = Held::Failed(io::Error::other(said.clone())));
                    continue;
                }
            };
            let replaced = held.iter_mut().filter(|(name, _)| compacts.contains(*name));
            if self.is_cut.load(Ordering::Relaxed) {
                replaced.for_each(|(replaced, held)| self.take_hidden(replaced, held, &name));
                continue;
            }
            let mut whole = Some(File::open(&path)?);
            // What was open before the exchange has no other rows.
            for (_, held) in replaced {
                *held = whole.take().map_or(Held::Nothing, Held::File);
            }
        }
        Ok(())
    }

    /// Where all rows of an hour are too many: what was replaced lies beside it for a while.
    fn take_hidden(&self, name: &str, held: &mut Held, whole: &str) {
        if !matches!(held, Held::Nothing) {
            return;
        }
        let hidden = replaced_directory(&self.directory).map(|hidden| {
            let hidden = hidden.join(format!("{name}.{REPLACED_EXTENSION}"));
            File::open(hidden)
        });
        *held = match hidden {
            Some(Ok(file)) => Held::File(file),
            _ => Held::Failed(compacted(whole)),
        };
    }
}

/// What to say of a file whose rows are in another, with those of files that were read.
fn compacted(whole: &str) -> io::Error {
    io::Error::other(format!("it was compacted into `{whole}`; ask again"))
}

/// Opens a file that was not held: one that was compacted is not retired.
pub(super) fn open_alone(path: &Path, depth: Depth) -> Result<FlowFile, ReadError> {
    let opened = File::open(path).map_err(ReadError::from).and_then(|file| FlowFile::of(file, depth));
    opened.map_err(|error| {
        let whole = if error.is_absence() { compacted_into(path) } else { None };
        let whole = whole.as_deref().and_then(Path::file_name);
        whole.map_or(error, |whole| compacted(&whole.to_string_lossy()).into())
    })
}

/// Names of the files of whole hours in a directory; none where there is no directory.
fn hours_in(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        names.extend(name.to_str().filter(|name| parse_hour_name(name).is_some()).map(ToOwned::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// The file of the whole hour that has taken the place of a file which is gone.
pub(super) fn compacted_into(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str().filter(|name| parse_part_name(name).is_none())?;
    let directory = path.parent()?;
    let names = hours_in(directory).ok()?;
    names.into_iter().map(|hour| directory.join(hour)).find(|hour| {
        let footer = FlowFile::open(hour).ok().and_then(|file| file.footer);
        footer.is_some_and(|footer| footer.compacts.iter().any(|compacted| compacted == name))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    use flow_common::footer::{Footer, Totals};
    use flow_common::layout::Slot;
    use flow_common::schema::SCHEMA_VERSION;
    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::KeyValue;
    use tempfile::TempDir;

    use super::*;

    const NAMES: [&str; 3] =
        ["flowcap.202611211200.parquet", "flowcap.202611211205.parquet", "flowcap.202611211210.parquet"];
    const WHOLE: &str = "flowcap.202611211200.hour.parquet";

    /// A file of so many rows that has taken the place of some.
    fn write(path: &Path, rows: usize, compacts: &[&str]) {
        let footer = Footer {
            schema_version: SCHEMA_VERSION,
            writer: String::new(),
            ident: String::new(),
            slot: Slot { start_secs: 0, end_secs: 3_600 },
            totals: Totals::default(),
            exporters: Vec::new(),
            kernel_dropped: 0,
            elements: Vec::new(),
            replaces: Vec::new(),
            compacts: compacts.iter().map(|&name| name.to_owned()).collect(),
            imported_from: Vec::new(),
            journal: None,
        };
        let bytes: ArrayRef = Arc::new(Int64Array::from(vec![1; rows]));
        let batch = RecordBatch::try_from_iter([("bytes", bytes)]).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        for (key, value) in footer.to_metadata() {
            writer.append_key_value_metadata(KeyValue::new(key, value));
        }
        writer.close().unwrap();
    }

    /// The directory of an hour.
    struct Bench {
        root: TempDir,
    }

    impl Bench {
        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join("hour=12").join(name)
        }

        /// Lets a file of `rows` take the place of some, which lie beside it until they are
        /// forgotten.
        #[expect(clippy::disallowed_methods, reason = "it stands for the collector")]
        fn compact(&self, rows: usize, compacts: &[&str]) {
            let hidden = replaced_directory(&self.path("").components().collect::<PathBuf>()).unwrap();
            fs::create_dir(&hidden).unwrap();
            for name in compacts {
                fs::rename(self.path(name), hidden.join(format!("{name}.replaced"))).unwrap();
            }
            write(&self.path(WHOLE), rows, compacts);
        }

        fn forget(&self) {
            fs::remove_dir_all(self.root.path().join(".flowcap.replaced.hour=12")).unwrap();
        }
    }

    /// A directory of three files, of 1, 2 and 4 rows.
    fn hour() -> (Bench, Vec<Found>) {
        let bench = Bench { root: tempfile::tempdir().unwrap() };
        fs::create_dir(bench.path("")).unwrap();
        for (n, name) in NAMES.into_iter().enumerate() {
            write(&bench.path(name), 1 << n, &[]);
        }
        let files = NAMES.map(|name| bench.path(name).into());
        (bench, files.into())
    }

    /// Rows of each file in turn; `-` where it is left out, `!` where it can't be read.
    #[track_caller]
    fn check(files: &mut [Found], expected: &str) {
        let read = |found: &mut Found| match found.open(Depth::Rows) {
            Ok(file) => file.rows().to_string(),
            Err(error) if error.is_absence() => "-".to_owned(),
            Err(_) => "!".to_owned(),
        };
        assert_eq!(files.iter_mut().map(read).collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn an_hour_that_is_exchanged_is_read_as_it_was_or_as_it_became() {
        let (bench, mut files) = hour();
        join(&mut files);
        check(&mut files[..1], "1");
        bench.compact(7, &NAMES);
        check(&mut files[1..], "2 4");
        let (bench, mut files) = hour();
        join(&mut files);
        bench.compact(7, &NAMES);
        bench.forget();
        check(&mut files, "7 - -");
        // Of some that were listed, and of one that came late.
        let (bench, mut files) = hour();
        join(&mut files);
        bench.compact(16, &NAMES[1..]);
        check(&mut files, "1 16 -");
    }

    #[test]
    fn what_no_file_names_was_retired_and_what_may_be_elsewhere_is_said() {
        let (bench, mut files) = hour();
        join(&mut files);
        fs::remove_file(bench.path(NAMES[0])).unwrap();
        check(&mut files, "- 2 4");
        // A file of the whole hour that has other rows.
        let (bench, mut files) = hour();
        join(&mut files);
        bench.compact(6, &NAMES[1..]);
        fs::remove_file(bench.path(NAMES[0])).unwrap();
        check(&mut files, "- 6 -");
        let (bench, mut files) = hour();
        join(&mut files);
        bench.compact(7, &NAMES);
        fs::write(bench.path(WHOLE), "PAR1").unwrap();
        check(&mut files, "! ! !");
    }

    #[test]
    fn of_a_range_the_files_themselves_are_read_or_it_is_said() {
        let (bench, mut files) = hour();
        join(&mut files);
        files[0].hour.as_ref().unwrap().cut();
        bench.compact(7, &NAMES);
        check(&mut files[1..], "2 4");
        let (bench, mut files) = hour();
        files.push(bench.path(".flowcap.202611211215.0000.part").into());
        join(&mut files);
        bench.compact(7, &NAMES);
        bench.forget();
        check(&mut files[..3], "! ! !");
    }

    #[test]
    fn a_compacted_hour_is_exchanged_for_another() {
        let (bench, _) = hour();
        bench.compact(7, &NAMES);
        let (late, next) = ("flowcap.202611211205.1.parquet", "flowcap.202611211200.hour.1.parquet");
        write(&bench.path(late), 8, &[]);
        let mut files: Vec<Found> = [WHOLE, late].map(|name| bench.path(name).into()).into();
        join(&mut files);
        for name in [WHOLE, late] {
            fs::remove_file(bench.path(name)).unwrap();
        }
        let [a, b, c] = NAMES;
        write(&bench.path(next), 15, &[a, b, c, WHOLE, late]);
        check(&mut files, "15 -");
        assert_eq!(compacted_into(&bench.path(b)), Some(bench.path(next)));
        assert_eq!(compacted_into(&bench.path("other.parquet")), None);
        // Not listed with others.
        check(&mut [bench.path(b).into(), bench.path("other.parquet").into()], "! -");
    }
}
