//! Rows of one source to the files of the slots they were received in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flow_common::footer::Footer;
use flow_common::layout::{EXTENSION, Hierarchy, Slot};
use flow_common::limits::IMPORT_SLOTS_OPEN_MAX;
use flow_common::time::Timestamp;

use crate::scan::FlowFile;
use crate::write::{NewFile, Provenance, Rows, Told, WriteError};

/// Where files go.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) root: PathBuf,
    pub(super) hierarchy: Hierarchy,
    pub(super) slot_secs: u32,
}

/// What became of the rows of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Files that are new.
    pub(super) written: Vec<PathBuf>,
    /// Rows that an earlier run had written.
    pub(super) known_rows: u64,
}

/// Files being written, by slot.
pub(super) struct Slots<'t> {
    tree: &'t Tree,
    open: BTreeMap<Slot, (NewFile, Rows)>,
    n_begun: usize,
    /// How often a slot ended for want of room, so that its next file is not taken for the same.
    n_ended: u64,
    outcome: Outcome,
}

impl<'t> Slots<'t> {
    pub(super) fn new(tree: &'t Tree) -> Self {
        Self { tree, open: BTreeMap::new(), n_begun: 0, n_ended: 0, outcome: Outcome::default() }
    }

    /// The rows of the slot around a time, to which one may be added.
    pub(super) fn rows(&mut self, received: Timestamp, source: &Origin) -> Result<&mut Rows, WriteError> {
        let slot = Slot::around(received.in_names(), self.tree.slot_secs);
        if !self.open.contains_key(&slot) {
            if self.open.len() >= IMPORT_SLOTS_OPEN_MAX
                && let Some((earliest, (file, rows))) = self.open.pop_first()
            {
                self.end(earliest, file, rows, source)?;
                self.n_ended += 1;
            }
            let rows = Rows::new(&[]);
            self.n_begun += 1;
            let stem = format!("flowcap.{}.import-{}", slot.stamp(), self.n_begun);
            let directory = self.tree.root.join(slot.directory(self.tree.hierarchy));
            let file = NewFile::create_in_tree(&directory, &stem, &rows)?;
            self.open.insert(slot, (file, rows));
        }
        let entry = self.open.entry(slot);
        let std::collections::btree_map::Entry::Occupied(entry) = entry else {
            unreachable!("it was put there above")
        };
        let (file, rows) = entry.into_mut();
        if rows.is_full() {
            file.write(rows)?;
        }
        Ok(rows)
    }

    fn end(
        &mut self,
        slot: Slot,
        mut file: NewFile,
        mut rows: Rows,
        source: &Origin,
    ) -> Result<(), WriteError> {
        file.write(&mut rows)?;
        let identity = match self.n_ended {
            0 => format!("{} {}", slot.stamp(), source.identity),
            n => format!("{} {} {n}", slot.stamp(), source.identity),
        };
        let directory = self.tree.root.join(slot.directory(self.tree.hierarchy));
        let told = told_in(&directory);
        if told.iter().any(|footer| footer.imported_from.contains(&identity)) {
            self.outcome.known_rows += file.rows();
            return Ok(());
        }
        let provenance = Provenance { ident: source.ident.clone(), imported_from: vec![identity] };
        // A name that a compacted file stands for is never used again.
        let is_free = |name: &String| !told.iter().any(|footer| footer.compacts.contains(name));
        let names = (0..).map(|n| slot.file_name(n)).filter(is_free);
        let path = file.publish(Some(slot), provenance, names, false)?;
        self.outcome.written.push(path);
        Ok(())
    }

    /// Gives all files their names.
    ///
    /// What was counted of an exporter goes to the first file that has rows of it.
    pub(super) fn publish(mut self, source: &Origin, mut told: Vec<Told>) -> Result<Outcome, WriteError> {
        for (slot, (mut file, mut rows)) in std::mem::take(&mut self.open) {
            file.write(&mut rows)?;
            told.retain(|told| !file.tell(told));
            self.end(slot, file, rows, source)?;
        }
        Ok(self.outcome)
    }
}

/// What is known of a source.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin {
    /// The same for the same octets.
    pub(super) identity: String,
    pub(super) ident: String,
}

/// What the files of a directory say of themselves.
fn told_in(directory: &Path) -> Vec<Footer> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let is_visible = |path: &PathBuf| path.extension().is_some_and(|extension| extension == EXTENSION);
    paths.filter(is_visible).filter_map(|path| FlowFile::look_at(&path).ok()?.footer).collect()
}
