//! What a filter may need beside its text: files it includes, and side tables.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_common::time::Timestamp;

use crate::catalog::{self, Source, root_of};
use crate::filter::Surroundings;
use crate::message::{Failure, reason};
use crate::names::Names;
use crate::places::{self, Places};
use crate::tables::Tables;

/// The files of a question, and the file system.
pub(crate) struct World<'a> {
    source: &'a Source,
    now: Timestamp,
    /// The directory names of included files count from; the working directory if empty.
    directory: PathBuf,
    /// Names of each tree, once they were asked for.
    names: Option<Vec<Arc<Names>>>,
    places: Arc<places::Chosen>,
    /// What could not be read.
    pub(crate) warnings: Vec<String>,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        source: &'a Source,
        now: Timestamp,
        directory: PathBuf,
        places: &Arc<places::Chosen>,
    ) -> Self {
        let places = Arc::clone(places);
        Self { source, now, directory, names: None, places, warnings: Vec::new() }
    }

    /// Roots of the trees files lie in. What can't be listed is named with the answer.
    fn roots(&self) -> BTreeSet<PathBuf> {
        let listing = catalog::list(self.source, self.now);
        let files = listing.map(|listing| listing.files).unwrap_or_default();
        files.iter().map(|found| root_of(&found.path).to_owned()).collect()
    }
}

impl Surroundings for World<'_> {
    fn include(&mut self, path: &Path, bytes_max: usize) -> Result<String, String> {
        let file = File::open(self.directory.join(path)).map_err(|error| reason(&error))?;
        let metadata = file.metadata().map_err(|error| reason(&error))?;
        if !metadata.is_file() {
            return Err("it is no regular file".into());
        }
        let mut text = String::new();
        let length_max = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        let read = file.take(length_max.saturating_add(1)).read_to_string(&mut text);
        read.map_err(|error| reason(&error))?;
        if text.len() > bytes_max {
            return Err(format!("all of the filter has room for {bytes_max} bytes more"));
        }
        Ok(text)
    }

    fn names(&mut self) -> Vec<Arc<Names>> {
        if let Some(names) = &self.names {
            return names.clone();
        }
        let mut tables = Tables::default();
        // A side table lies at the root of its tree, whatever file is asked about.
        let names: Vec<_> = self.roots().iter().map(|root| tables.names(&root.join("any"))).collect();
        let told = |(path, error): &(PathBuf, _)| format!("can't read `{}`: {error}", path.display());
        self.warnings.extend(tables.unreadable.iter().map(told));
        self.names = Some(names.clone());
        names
    }

    fn places(&mut self) -> Result<Arc<Places>, Failure> {
        self.places.needed("`geo`")
    }

    fn origins(&mut self) -> Result<Option<Arc<Places>>, Failure> {
        Ok(self.places.open()?.filter(|places| places.has_origins()))
    }
}
