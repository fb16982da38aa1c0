//! What a start finds: parts of slots that were open, some of them to be decoded again.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use flow_common::footer::Footer;
use flow_common::layout::{Slot, parse_part_name};
use flow_common::limits;
use parquet::file::reader::Length;

use super::merge::PartReader;
use super::{Content, Part, Store, WriteError};
use crate::fs::Fs;
use crate::state::Checkpoint;
use crate::tables::{self, damaged};

/// Name of the list of directories that may hold parts, below the state directory.
const OPEN: &str = "open";

/// A part of an earlier run.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) content: Content,
    pub(crate) part: Part,
}

impl Store {
    /// Parts that an earlier run committed and did not publish. What it did not commit
    /// is removed, as the journal has it; so is what a visible file replaces.
    pub(crate) fn recover(&self, checkpoint: Option<Checkpoint>) -> Result<Vec<Recovered>, WriteError> {
        let mut recovered = Vec::new();
        for directory in self.open_directories()? {
            if !self.fs.is_directory(&directory) {
                continue;
            }
            let content =
                if directory.starts_with(self.state_directory()) { Content::Options } else { Content::Flows };
            let (parts, replaced) = self.parts_in(&directory)?;
            for name in parts {
                let path = directory.join(&name);
                let part = match self.read_part(&path) {
                    Ok(part) => part,
                    // Its name came to the disk before its content: not committed. What only
                    // can't be read now may be: better no start than rows lost or twice.
                    Err(error) if !error.is_damage() => return Err(error),
                    Err(error) => {
                        tracing::warn!("removing what a power loss left: {error}");
                        self.remove_path(&path);
                        continue;
                    }
                };
                if replaced.contains(&name) || !is_committed(&part.footer, checkpoint) {
                    self.remove_path(&path);
                } else {
                    recovered.push(Recovered { content, part });
                }
            }
        }
        recovered.sort_by(|a, b| a.part.path.cmp(&b.part.path));
        Ok(recovered)
    }

    /// Names of the parts in a directory, and of those that visible files replace.
    fn parts_in(&self, directory: &Path) -> Result<(Vec<String>, BTreeSet<String>), WriteError> {
        let read = |source| WriteError::Read { path: directory.to_owned(), source };
        let (mut parts, mut replaced) = (Vec::new(), BTreeSet::new());
        let mut visible = Vec::new();
        for name in self.fs.list(directory).map_err(read)? {
            let name = name.to_string_lossy().into_owned();
            if parse_part_name(&name).is_some() {
                parts.push(name);
            } else if name.starts_with(".flowcap.") && name.ends_with(".tmp") {
                self.remove_path(&directory.join(name));
            } else if name.starts_with("flowcap.") {
                visible.push(name);
            }
        }
        for name in visible.iter().filter(|name| parts.iter().any(|part| is_of_slot(name, part))) {
            match self.read_part(&directory.join(name)) {
                Ok(part) => replaced.extend(part.footer.replaces),
                Err(error) if !error.is_damage() => return Err(error),
                // A damaged file replaces nothing.
                Err(_) => {}
            }
        }
        Ok((parts, replaced))
    }

    /// Number of the next part of a slot: none is used twice, also where a visible file
    /// has taken the place of the earlier ones, unless their hour was compacted since.
    pub(crate) fn next_part(&self, slot: Slot, content: Content) -> u32 {
        self.try_next_part(slot, content).unwrap_or_else(|error| {
            tracing::warn!("{error}; parts are numbered from far beyond those there may be");
            limits::SLOT_PARTS_MAX.saturating_add(std::process::id())
        })
    }

    fn try_next_part(&self, slot: Slot, content: Content) -> Result<u32, WriteError> {
        let directory = self.directory(slot, content);
        let names = match self.fs.list(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            result => result.map_err(|source| WriteError::Read { path: directory.clone(), source })?,
        };
        let number = |name: &str| parse_part_name(name).filter(|(start, _)| *start == slot.start_secs);
        let (mut used, mut n_alone) = (BTreeSet::new(), 0);
        let model = slot.part_name(0);
        for name in names.iter().map(|name| name.to_string_lossy()) {
            used.extend(number(&name));
            if is_of_slot(&name, &model) {
                match self.read_part(&directory.join(&*name)) {
                    // It was a part itself, and does not say which.
                    Ok(part) if part.footer.replaces.is_empty() => n_alone += 1,
                    Ok(part) => used.extend(part.footer.replaces.iter().filter_map(|name| number(name))),
                    Err(error) if !error.is_damage() => return Err(error),
                    Err(_) => {}
                }
            }
        }
        // Numbers are given in turn, so those that nobody tells are among the first.
        let n_used = u32::try_from(used.len() + n_alone).unwrap_or(u32::MAX);
        Ok(used.last().map_or(0, |&(_, last)| last.saturating_add(1)).max(n_used))
    }

    fn read_part(&self, path: &Path) -> Result<Part, WriteError> {
        read_part(&*self.fs, path)
    }

    /// Directories that may hold parts.
    fn open_directories(&self) -> Result<Vec<PathBuf>, WriteError> {
        let bytes = self.read_state(OPEN, limits::TABLE_BYTES_MAX)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let is_ours =
            |line: &&str| !line.is_empty() && !Path::new(line).is_absolute() && !line.contains("..");
        Ok(text.lines().filter(is_ours).map(|line| self.tree.root.join(line)).collect())
    }

    /// Notes which directories may hold parts, before the first lies there.
    pub(crate) fn note_open<'a>(
        &self,
        directories: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<(), WriteError> {
        let relative = directories.into_iter().filter_map(|path| path.strip_prefix(&self.tree.root).ok());
        // A file may lie in the root itself.
        let text: String = relative.map(|path| format!("./{}\n", path.display())).collect();
        self.save_state(OPEN, text.as_bytes())
    }

    fn remove_path(&self, path: &Path) {
        if let Err(error) = self.fs.remove(path) {
            tracing::warn!("cannot remove `{}`: {error}", path.display());
        }
    }
}

/// A part, or a visible file, as its footer tells.
pub(crate) fn read_part(fs: &dyn Fs, path: &Path) -> Result<Part, WriteError> {
    let read = |source| WriteError::Read { path: path.to_owned(), source };
    let reader = PartReader::new(fs.open(path).map_err(read)?).map_err(read)?;
    let n_bytes = reader.len();
    let metadata = tables::metadata(&reader).map_err(read)?;
    let metadata = metadata.file_metadata();
    let pairs = metadata.key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let get = |key: &str| pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref());
    let footer = Footer::from_metadata(get).map_err(|error| read(damaged(error)))?;
    let rows = u64::try_from(metadata.num_rows()).unwrap_or_default();
    Ok(Part { path: path.to_owned(), rows, n_bytes, footer, file: None })
}

/// Whether a visible file's name is of the slot of a part's.
fn is_of_slot(name: &str, part: &str) -> bool {
    let stamp = |name: &str| name.trim_start_matches('.').split('.').nth(1).map(ToOwned::to_owned);
    name.starts_with("flowcap.") && stamp(name) == stamp(part)
}

/// Whether the journal no longer has what a part holds.
fn is_committed(footer: &Footer, checkpoint: Option<Checkpoint>) -> bool {
    match (&footer.journal, checkpoint) {
        (Some(range), Some(checkpoint)) => {
            range.id != journal_name(checkpoint.journal) || range.to <= checkpoint.position
        }
        _ => true,
    }
}

/// A journal's id as files have it.
pub(crate) fn journal_name(id: u64) -> String {
    format!("{id:016x}")
}

#[cfg(test)]
mod tests {
    use flow_common::column::ColumnId;
    use flow_common::layout::Hierarchy;

    use super::*;
    use crate::config::Compression;
    use crate::durable;
    use crate::flow::FlowBatch;
    use crate::fs::sim::SimFs;
    use crate::trees::Tree;
    use crate::writer::{FileOptions, SlotFacts};

    /// A query that listed a part finds its rows or notices that it is gone: under a name
    /// used again it would find others. Parts that became visible by themselves, late
    /// ones as a rule, once left their name to the next.
    #[test]
    fn no_part_has_the_name_of_an_earlier_one() {
        let tree = Tree { root: "/disk/flows".into(), ident: "none".to_owned() };
        let (hierarchy, compression) = (Hierarchy::Partitions, Compression::Lz4);
        let options = FileOptions { hierarchy, elements: Vec::new(), compression };
        let store = Store::new(SimFs::new(Path::new("/disk"), 1).shared(), tree, options);
        let slot = Slot { start_secs: 1_795_262_400, end_secs: 1_795_262_700 };
        durable::create_directory(&*store.fs, &store.directory(slot, Content::Flows)).unwrap();
        let mut names = Vec::new();
        // How many parts each time become visible, and whether as one file.
        for (n_parts, merges) in [(1, true), (1, true), (3, true), (2, false), (1, true), (2, true)] {
            let mut next = store.next_part(slot, Content::Flows);
            let mut parts = Vec::new();
            for _ in 0..n_parts {
                let mut batch = FlowBatch::default();
                batch.int64(ColumnId::Received).push(Some(slot.start().0));
                batch.address(ColumnId::ExporterAddr).push(Some([0; 16]));
                batch.int32(ColumnId::ExportVersion).push(Some(9));
                batch.add_rows(1);
                let facts = SlotFacts::default();
                let encoded = store.encode(slot, Content::Flows, &mut batch, facts, None).unwrap();
                parts.push(store.write_part(Content::Flows, &encoded, &mut next).unwrap());
            }
            names.extend(parts.iter().map(|part| part.path.clone()));
            assert!(store.publish(slot, Content::Flows, parts, merges).error.is_none());
        }
        let expected = (0..10).map(|n| store.directory(slot, Content::Flows).join(slot.part_name(n)));
        assert_eq!(names, expected.collect::<Vec<_>>());
    }
}
