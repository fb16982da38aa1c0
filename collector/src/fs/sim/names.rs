//! Names on a disk, and what is done to them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Inode by path; a directory is one without content.
pub(super) type Names = BTreeMap<PathBuf, u64>;

#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Added {
        path: PathBuf,
        inode: u64,
    },
    Renamed {
        from: PathBuf,
        to: PathBuf,
        inode: u64,
    },
    Removed {
        path: PathBuf,
        inode: u64,
    },
    /// Two directories, with all they hold.
    Exchanged {
        one: PathBuf,
        other: PathBuf,
    },
}

impl NameChange {
    pub(super) fn inode(&self) -> u64 {
        match self {
            Self::Added { inode, .. } | Self::Renamed { inode, .. } | Self::Removed { inode, .. } => *inode,
            // Files it moves keep their names in one place or the other.
            Self::Exchanged { .. } => 0,
        }
    }

    pub(super) fn touches(&self, directory: &Path) -> bool {
        let is_in = |path: &PathBuf| path.parent() == Some(directory);
        match self {
            Self::Added { path, .. } | Self::Removed { path, .. } => is_in(path),
            Self::Renamed { from, to, .. } => is_in(from) || is_in(to),
            Self::Exchanged { one, other } => is_in(one) || is_in(other),
        }
    }

    pub(super) fn apply(&self, names: &mut Names) {
        let remove = |names: &mut Names, path: &PathBuf, inode: &u64| {
            if names.get(path) == Some(inode) {
                names.remove(path);
            }
        };
        match self {
            Self::Added { path, inode } => {
                names.insert(path.clone(), *inode);
            }
            Self::Renamed { from, to, inode } => {
                remove(names, from, inode);
                names.insert(to.clone(), *inode);
            }
            Self::Removed { path, inode } => remove(names, path, inode),
            Self::Exchanged { one, other } => {
                let moved = |path: PathBuf| match (path.strip_prefix(one), path.strip_prefix(other)) {
                    (Ok(rest), _) if rest.as_os_str().is_empty() => other.clone(),
                    (_, Ok(rest)) if rest.as_os_str().is_empty() => one.clone(),
                    (Ok(rest), _) => other.join(rest),
                    (_, Ok(rest)) => one.join(rest),
                    _ => path,
                };
                *names =
                    std::mem::take(names).into_iter().map(|(path, inode)| (moved(path), inode)).collect();
            }
        }
    }
}
