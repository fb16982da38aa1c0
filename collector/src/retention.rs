//! Retention: which files go, and when.
//!
//! [`retire`] deletes the oldest files of a tree, by their names, until its rules hold.
//! A file that this program did not write stays: its name must be one of ours, in one
//! of our directories, and its footer must say so. Links are not followed, and what
//! belongs to the open slot, to another tree or to the collector's own state is left
//! alone.

mod footer;
mod walk;
mod words;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use flow_common::layout::{self, STATE_DIR};
use flow_common::limits;
use flow_common::time::Timestamp;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statvfs::statvfs;

use self::walk::{Found, Walk};
pub(crate) use self::words::size;
use crate::config::Config;
use crate::trees::{Others, place};

/// How much disk is to stay free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Free {
    /// So many octets.
    Bytes(u64),
    /// So much of the whole, percent.
    Percent(u8),
}

impl Free {
    /// Octets that are missing.
    fn missing(self, space: Space) -> u64 {
        let wanted = match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => space.total_bytes / 100 * u64::from(percent),
        };
        wanted.saturating_sub(space.free_bytes)
    }
}

/// What may stay; what is not said is not bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Age of a file by its name, seconds.
    pub max_age_secs: Option<u64>,
    /// Disk space of a tree, octets.
    pub max_bytes: Option<u64>,
    /// Disk space left free.
    pub min_free: Option<Free>,
}

impl Rules {
    /// Whether nothing ever goes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A tree with rules of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeRules {
    /// Its root.
    pub path: PathBuf,
    /// What holds there.
    pub rules: Rules,
}

/// What the configuration says of retention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// What holds for every tree.
    pub rules: Rules,
    /// Trees for which something else holds.
    pub trees: Vec<TreeRules>,
}

/// Disk space where a tree lies, octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free_bytes: u64,
    pub(crate) total_bytes: u64,
}

/// What a run goes by beside the rules.
pub(crate) struct Circumstances<'a> {
    pub(crate) now: Timestamp,
    pub(crate) slot_secs: u32,
    /// Says what would go, and deletes nothing.
    pub(crate) is_dry: bool,
    pub(crate) space: &'a dyn Fn(&Path) -> io::Result<Space>,
    /// Whether to end early.
    pub(crate) is_over: &'a dyn Fn() -> bool,
}

/// Why a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Age,
    Size,
    Free,
}

/// Why a file that would go stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Its footer is not one of ours, or it lies where we put none.
    Foreign,
    /// Parts that it replaces are still there, and would be read again without it.
    HasParts,
}

/// What happens to a file.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Deleted { path: &'a Path, reason: Reason, bytes: u64 },
    Kept { path: &'a Path, why: Kept },
    Failed { path: &'a Path, error: io::Error },
}

/// What a run did to a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) n_deleted: u64,
    pub(crate) bytes_deleted: u64,
    pub(crate) n_failed: u64,
    /// Octets beyond what the rules allow that nothing was left to go for.
    pub(crate) bytes_beyond: u64,
}

/// A tree could not be looked after.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetentionError {
    #[error("cannot read `{path}`: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("another run deletes files of `{0}` now")]
    Busy(PathBuf),
    #[error("cannot lock `{path}`: {source}")]
    Lock { path: PathBuf, source: io::Error },
}

/// Candidates looked at in one walk; a tree with more of them that must go is walked
/// again. Some 4 MiB.
const CANDIDATES_MAX: usize = if cfg!(test) { 4 } else { 16_384 };

/// A tree to look after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptTree {
    pub(crate) root: PathBuf,
    pub(crate) rules: Rules,
    /// Places of trees that lie in it and are looked after by themselves.
    inner: Vec<PathBuf>,
    /// Whether directories in it are trees of exporters (`-M`): all of them count as one.
    has_trees: bool,
}

impl KeptTree {
    /// Whether a file lies where the collector would have put it: a copy elsewhere is
    /// someone's own.
    pub(crate) fn is_at_home(&self, path: &Path) -> bool {
        let Some(directory) = path.ancestors().nth(layout::levels(path) + 1) else { return false };
        let tree = if path.extension().is_some_and(|extension| extension == layout::OPTIONS_EXTENSION) {
            let options = Path::new(STATE_DIR).join("options");
            directory.ancestors().nth(2).filter(|tree| tree.join(options) == directory)
        } else {
            Some(directory)
        };
        tree.is_some_and(|tree| tree == self.root || self.has_trees && tree.parent() == Some(&self.root))
    }
}

impl KeptTree {
    /// Whether another tree lies there.
    pub(crate) fn is_another(&self, path: &Path) -> bool {
        !self.inner.is_empty() && self.inner.contains(&place(path))
    }

    /// A tree by itself, with nothing to go.
    pub(crate) fn only(root: &Path) -> Self {
        Self { root: root.to_owned(), rules: Rules::default(), inner: Vec::new(), has_trees: false }
    }
}

/// The trees of a collector.
pub(crate) fn trees(config: &Config) -> Vec<KeptTree> {
    let retention = &config.retention;
    let sources = config.trees.sources.iter().map(|source| &source.tree.root);
    let named = retention.trees.iter().map(|tree| &tree.path);
    let mut roots: Vec<&PathBuf> = Vec::new();
    for root in std::iter::once(&config.root).chain(sources).chain(named) {
        if !roots.iter().any(|known| place(known) == place(root)) {
            roots.push(root);
        }
    }
    let tree = |&root: &&PathBuf| {
        let here = place(root);
        let own = retention.trees.iter().find(|tree| place(&tree.path) == here);
        let others = roots.iter().map(|root| place(root));
        KeptTree {
            root: root.clone(),
            rules: own.map_or(retention.rules, |tree| tree.rules),
            inner: others.filter(|other| *other != here && other.starts_with(&here)).collect(),
            has_trees: config.trees.others == Others::Apart && here == place(&config.root),
        }
    };
    roots.iter().map(tree).collect()
}

/// Disk space where `path` lies.
pub(crate) fn space(path: &Path) -> io::Result<Space> {
    let stat = statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
    Ok(Space { free_bytes: bytes(stat.blocks_available()), total_bytes: bytes(stat.blocks()) })
}

/// Whether the disk is fuller than the rules allow.
pub(crate) fn is_pressed(tree: &KeptTree) -> bool {
    let missing = |free: Free| space(&tree.root).map_or(0, |space| free.missing(space));
    tree.rules.min_free.is_some_and(|free| missing(free) > 0)
}

/// Deletes files of `tree`, the oldest first, until its rules hold.
pub(crate) fn retire(
    tree: &KeptTree,
    circumstances: &Circumstances<'_>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome, RetentionError> {
    let read = |source| RetentionError::Read { path: tree.root.clone(), source };
    let mut run = Run {
        tree,
        circumstances,
        tell,
        outcome: Outcome::default(),
        lock: None,
        emptied: BTreeSet::new(),
        bytes_missing: match tree.rules.min_free {
            Some(free) => free.missing((circumstances.space)(&tree.root).map_err(read)?),
            None => 0,
        },
        bytes_excess: 0,
        old_before_secs: tree
            .rules
            .max_age_secs
            .map(|secs| circumstances.now.secs().saturating_sub(i64::try_from(secs).unwrap_or(i64::MAX))),
    };
    let is_sized = tree.rules.max_bytes.is_some();
    if !is_sized && run.bytes_missing == 0 && run.old_before_secs.is_none() {
        return Ok(run.outcome);
    }
    let mut after = None;
    let mut is_first = true;
    loop {
        let mut walk = Walk::new(&tree.root, &tree.inner, CANDIDATES_MAX, after.take());
        // Only size and want of space reach beyond the files that are too old.
        walk.before_secs = run.old_before_secs.filter(|_| !is_sized && run.bytes_missing == 0);
        walk.run(circumstances.is_over).map_err(read)?;
        if std::mem::take(&mut is_first) {
            run.bytes_excess = tree.rules.max_bytes.map_or(0, |max| walk.bytes.saturating_sub(max));
        }
        let is_whole = walk.is_whole;
        let (oldest, parts) = walk.finish();
        after = oldest.last().map(Found::key);
        if !run.delete(oldest, &parts)? || is_whole {
            break;
        }
    }
    run.remove_emptied();
    if !(circumstances.is_over)() {
        run.outcome.bytes_beyond = run.bytes_excess.max(run.bytes_missing);
    }
    Ok(run.outcome)
}

/// One run over one tree.
struct Run<'a> {
    tree: &'a KeptTree,
    circumstances: &'a Circumstances<'a>,
    tell: &'a mut dyn FnMut(Event<'_>),
    outcome: Outcome,
    /// Held once anything is deleted.
    lock: Option<Flock<File>>,
    /// Directories files were deleted from.
    emptied: BTreeSet<PathBuf>,
    bytes_missing: u64,
    bytes_excess: u64,
    old_before_secs: Option<i64>,
}

impl Run<'_> {
    /// Why a file would go; `None` lets it stay, and all that are younger.
    fn reason(&self, found: &Found) -> Option<Reason> {
        // What is being written, or may be for whoever set the clock back, stays.
        let slot_ends_secs = found.start_secs + i64::from(self.circumstances.slot_secs);
        if slot_ends_secs + limits::RETENTION_GRACE_SECS > self.circumstances.now.secs() {
            None
        } else if self.old_before_secs.is_some_and(|secs| found.start_secs < secs) {
            Some(Reason::Age)
        } else if self.bytes_excess > 0 {
            Some(Reason::Size)
        } else if self.bytes_missing > 0 {
            Some(Reason::Free)
        } else {
            None
        }
    }

    /// Deletes what must go of `oldest`; false once nothing more has to.
    fn delete(
        &mut self,
        oldest: Vec<Found>,
        parts: &BTreeSet<(PathBuf, i64)>,
    ) -> Result<bool, RetentionError> {
        for found in oldest {
            let Some(reason) = self.reason(&found).filter(|_| !(self.circumstances.is_over)()) else {
                return Ok(false);
            };
            let directory = found.path.parent().unwrap_or(&self.tree.root).to_owned();
            let is_ours =
                footer::is_ours(&found.path).map(|is_ours| is_ours && self.tree.is_at_home(&found.path));
            let kept = match is_ours {
                Ok(true) if parts.contains(&(directory.clone(), found.start_secs)) => Some(Kept::HasParts),
                Ok(true) => None,
                Ok(false) => Some(Kept::Foreign),
                // Another run was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.failed(&found.path, error);
                    continue;
                }
            };
            if let Some(why) = kept {
                if why == Kept::Foreign {
                    self.bytes_excess = self.bytes_excess.saturating_sub(found.bytes);
                }
                (self.tell)(Event::Kept { path: &found.path, why });
                continue;
            }
            if let Err(error) = self.remove(&found.path)? {
                self.failed(&found.path, error);
                continue;
            }
            self.bytes_excess = self.bytes_excess.saturating_sub(found.bytes);
            self.bytes_missing = self.bytes_missing.saturating_sub(found.bytes);
            self.outcome.n_deleted += 1;
            self.outcome.bytes_deleted += found.bytes;
            let is_past = self.circumstances.now.secs() - found.start_secs > limits::RETENTION_DIRECTORY_SECS;
            if is_past && self.emptied.len() < CANDIDATES_MAX {
                self.emptied.insert(directory);
            }
            (self.tell)(Event::Deleted { path: &found.path, reason, bytes: found.bytes });
        }
        Ok(true)
    }

    /// Deletes one file, unless that is only tried.
    fn remove(&mut self, path: &Path) -> Result<io::Result<()>, RetentionError> {
        if self.circumstances.is_dry {
            return Ok(Ok(()));
        }
        if self.lock.is_none() {
            self.lock = Some(lock(&self.tree.root)?);
        }
        Ok(match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
    }

    fn failed(&mut self, path: &Path, error: io::Error) {
        self.outcome.n_failed += 1;
        (self.tell)(Event::Failed { path, error });
    }

    /// Removes directories from which the last file was deleted, and those above them.
    fn remove_emptied(&mut self) {
        if self.circumstances.is_dry {
            return;
        }
        let root = &self.tree.root;
        for directory in std::mem::take(&mut self.emptied) {
            let is_inside = |directory: &&Path| directory.starts_with(root) && directory != root;

            for directory in directory.ancestors().take_while(is_inside) {
                // One that is not empty stays, and so do those above it.
                if fs::remove_dir(directory).is_err() {
                    break;
                }
            }
        }
    }
}

/// Keeps other runs from the files of a tree.
fn lock(root: &Path) -> Result<Flock<File>, RetentionError> {
    let path = root.join(STATE_DIR).join("retention.lock");
    let failed = |source| RetentionError::Lock { path: path.clone(), source };
    match fs::create_dir(root.join(STATE_DIR)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => RetentionError::Busy(root.to_owned()),
        errno => failed(errno.into()),
    })
}

#[cfg(test)]
mod tests;
