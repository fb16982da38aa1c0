//! Compaction: the files of an hour that is over become one, with large and well-ordered
//! row groups; several where they have different columns or identifiers, or many rows.
//!
//! The new files are made in a hidden directory, which then changes its name with that of
//! the hour, at once: who lists the hour sees the files before or those after. What was
//! replaced stays readable for a while, see [`layout::replaced_directory`].
//!
//! **Invariant:** until the exchange the hour is as it was, and from then on the new files
//! have all its rows. So what a crash leaves beside it is dropped, but for what no file of
//! the hour has taken the place of.

mod plan;
mod rows;
mod swap;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self as system, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flow_common::layout::{self, STATE_DIR, hour_of, parse_file_name, parse_hour_name};
use flow_common::time::Timestamp;
use flow_common::{limits, schema};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use self::plan::{Batch, batches};
use self::rows::Rows;
use self::swap::{settle, swap};
use crate::config::Compression;
use crate::durable;
use crate::encode::Format;
use crate::fs::{Fs, Kind};
use crate::retention::KeptTree;
use crate::writer::{WriteError, merged_footer, read_part};

/// What the configuration says of compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    /// Whether the collector does it by itself.
    pub is_enabled: bool,
    /// For how long an hour must have been over, seconds.
    pub after_secs: u64,
}

impl Default for Compaction {
    fn default() -> Self {
        Self { is_enabled: false, after_secs: limits::COMPACTION_AFTER_SECS_DEFAULT }
    }
}

/// What a run goes by.
pub(crate) struct Circumstances<'a> {
    pub(crate) fs: &'a dyn Fs,
    pub(crate) compression: Compression,
    pub(crate) now: Timestamp,
    /// Hours that have been over for so long are compacted, seconds.
    pub(crate) after_secs: u64,
    /// How long the run has been going on.
    pub(crate) elapsed: &'a dyn Fn() -> Duration,
    /// Says what would be done, and does nothing.
    pub(crate) is_dry: bool,
    /// Whether to end early; the hour being worked on stays as it was.
    pub(crate) is_over: &'a dyn Fn() -> bool,
}

/// Why the files of an hour stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Parts lie there, or files being written.
    IsOpen,
    /// Something there is no file of ours.
    Foreign,
    /// A file has columns that nobody here knows.
    UnknownColumns,
    /// There is no room for them twice.
    NoRoom,
    /// Something came to it or went meanwhile.
    Changed,
}

/// What happens to an hour.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Compacted { directory: &'a Path, n_files: usize, n_made: usize, bytes_before: u64, bytes_after: u64 },
    Kept { directory: &'a Path, why: Kept },
    Failed { directory: &'a Path, error: WriteError },
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) n_hours: u64,
    pub(crate) n_files: u64,
    pub(crate) bytes_before: u64,
    /// Of the new files; in a dry run none.
    pub(crate) bytes_after: u64,
    pub(crate) n_failed: u64,
    /// Hours whose replaced files lie beside them until [`forget`].
    pub(crate) replaced: Vec<PathBuf>,
}

/// Why an hour was given up.
enum Stop {
    Kept(Kept),
    Failed(WriteError),
    IsOver,
}

impl From<WriteError> for Stop {
    fn from(error: WriteError) -> Self {
        Self::Failed(error)
    }
}

/// Compacts all hours of a tree that are over.
pub(crate) fn compact(
    tree: &KeptTree,
    circumstances: &Circumstances<'_>,
    tell: &mut dyn FnMut(Event<'_>),
) -> io::Result<Outcome> {
    let mut run = Run { tree, circumstances, tell, outcome: Outcome::default(), hidden_at: Vec::new() };
    let mut directories = vec![(tree.root.clone(), 0)];
    while let Some((directory, depth)) = directories.pop() {
        if (circumstances.is_over)() {
            break;
        }
        run.forget_old();
        let names = match circumstances.fs.list(&directory) {
            // One below may vanish, or be another user's.
            Err(error) if depth > 0 => {
                tracing::debug!("cannot read `{}`: {error}", directory.display());
                continue;
            }
            names => names?,
        };
        let names: BTreeSet<_> = names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect();
        // The latest is looked at first: the stack turns them around.
        for name in names.iter().filter(|name| parse_file_name(name).is_none()) {
            let path = directory.join(name);
            if let Some(hour) = layout::replaced_for(&path) {
                run.settle_once(&hour);
            }
            let is_hidden = name.starts_with('.');
            // Links are not followed: what they lead to may be another's.
            if !is_hidden
                && depth < limits::DIRECTORY_DEPTH_MAX
                && circumstances.fs.kind(&path).is_ok_and(|kind| kind == Kind::Directory)
                && !tree.is_another(&path)
            {
                directories.push((path, depth + 1));
            }
        }
        run.hour(&directory, &names);
    }
    let Run { mut outcome, hidden_at, .. } = run;
    outcome.replaced = hidden_at.into_iter().map(|(directory, _)| directory).collect();
    Ok(outcome)
}

/// Removes what was replaced.
pub(crate) fn forget(fs: &dyn Fs, replaced: &[PathBuf]) {
    for directory in replaced {
        if let Err(error) = settle(fs, directory) {
            tracing::warn!("{error}; the next compaction removes it");
        }
    }
}

/// Keeps other runs from the hours of a tree.
pub(crate) fn lock(root: &Path) -> io::Result<Flock<File>> {
    let directory = root.join(STATE_DIR);
    match system::create_dir(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let file =
        File::options().create(true).truncate(false).write(true).open(directory.join("compact.lock"))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => io::Error::new(io::ErrorKind::ResourceBusy, "another run compacts it now"),
        errno => errno.into(),
    })
}

/// One run over one tree.
struct Run<'a> {
    tree: &'a KeptTree,
    circumstances: &'a Circumstances<'a>,
    tell: &'a mut dyn FnMut(Event<'_>),
    outcome: Outcome,
    /// Hours that were exchanged, and when.
    hidden_at: Vec<(PathBuf, Duration)>,
}

impl Run<'_> {
    /// Removes what was replaced long enough ago: a tree need not be on the disk twice.
    fn forget_old(&mut self) {
        let kept = Duration::from_secs(limits::COMPACTION_KEPT_SECS);
        let now = (self.circumstances.elapsed)();
        let (old, young) =
            std::mem::take(&mut self.hidden_at).into_iter().partition(|(_, at)| *at + kept <= now);
        self.hidden_at = young;
        let old: Vec<(PathBuf, Duration)> = old;
        old.iter().for_each(|(directory, _)| forget(self.circumstances.fs, std::slice::from_ref(directory)));
    }

    /// Clears away what an earlier run left beside an hour.
    fn settle_once(&mut self, directory: &Path) {
        let is_own = self.hidden_at.iter().any(|(hidden, _)| hidden == directory);
        if is_own || self.circumstances.is_dry {
            return;
        }
        if let Err(error) = settle(self.circumstances.fs, directory) {
            self.stopped(directory, Stop::Failed(error));
        }
    }

    /// Compacts one directory if it is one of an hour that is over.
    fn hour(&mut self, directory: &Path, names: &BTreeSet<String>) {
        let Some((start_secs, name)) =
            names.iter().find_map(|name| Some((hour_of(&directory.join(name))?, name)))
        else {
            return;
        };
        let over_secs = self.circumstances.now.secs().saturating_sub(start_secs + 3_600);
        let is_due = u64::try_from(over_secs).is_ok_and(|secs| secs >= self.circumstances.after_secs);
        // A copy elsewhere in the tree is someone's own.
        if !is_due || names.len() < 2 || !self.tree.is_at_home(&directory.join(name)) {
            return;
        }
        let batches = self.checked(directory, start_secs, names);
        let result = batches.and_then(|batches| match batches.iter().any(|batch| batch.parts.len() > 1) {
            true => self.compact(directory, names, &batches),
            false => Ok(()),
        });
        if let Err(stop) = result {
            self.stopped(directory, stop);
        }
    }

    fn stopped(&mut self, directory: &Path, stop: Stop) {
        match stop {
            Stop::IsOver => {}
            Stop::Kept(why) => (self.tell)(Event::Kept { directory, why }),
            Stop::Failed(error) => {
                self.outcome.n_failed += 1;
                (self.tell)(Event::Failed { directory, error });
            }
        }
    }

    /// What becomes of the files of an hour.
    fn checked(
        &self,
        directory: &Path,
        start_secs: i64,
        names: &BTreeSet<String>,
    ) -> Result<Vec<Batch>, Stop> {
        let fs = self.circumstances.fs;
        if names.iter().any(|name| name.starts_with(".flowcap.")) {
            return Err(Stop::Kept(Kept::IsOpen));
        }
        let is_of_hour = |name: &String| hour_of(&directory.join(name)) == Some(start_secs);
        let is_file = |name: &String| fs.kind(&directory.join(name)).is_ok_and(|kind| kind == Kind::File);
        if !names.iter().all(|name| is_of_hour(name) && is_file(name)) {
            return Err(Stop::Kept(Kept::Foreign));
        }
        let mut ordered: Vec<_> = names.iter().collect();
        // A file of the whole hour first, whatever came late after it.
        ordered.sort_by_key(|name| (parse_hour_name(name).is_none(), parse_file_name(name)));
        let parts = ordered.into_iter().map(|name| read_part(fs, &directory.join(name)));
        let numbers = names.iter().filter_map(|name| Some(parse_hour_name(name)?.1 + 1));
        let parts = parts.collect::<Result<_, _>>()?;
        Ok(batches(parts, start_secs, numbers.max().unwrap_or(0)))
    }

    fn compact(&mut self, directory: &Path, names: &BTreeSet<String>, batches: &[Batch]) -> Result<(), Stop> {
        let Circumstances { fs, is_dry, is_over, .. } = *self.circumstances;
        let Some(staging) = layout::replaced_directory(directory) else { return Ok(()) };
        let parts = || batches.iter().flat_map(|batch| &batch.parts);
        let bytes_before = parts().map(|part| part.n_bytes).sum();
        let (n_files, n_made) = (parts().count(), batches.len());
        let mut bytes_after = 0;
        if !is_dry {
            let read = |source| WriteError::Read { path: directory.to_owned(), source };
            // They come to be there twice; the rest is for who else writes there.
            if fs.free_bytes(directory).map_err(read)? < 2 * bytes_before {
                return Err(Stop::Kept(Kept::NoRoom));
            }
            let made = self.stage(&staging, directory, batches).and_then(|n_bytes| {
                bytes_after = n_bytes;
                let made: Vec<_> = batches.iter().map(|batch| batch.name.as_str()).collect();
                if is_over() { Err(Stop::IsOver) } else { swap(fs, &staging, directory, &made, names) }
            });
            if let Err(stop) = made {
                // Nothing is left to do where even that fails; the next run does it.
                let _ = settle(fs, directory);
                return Err(stop);
            }
            self.hidden_at.push((directory.to_owned(), (self.circumstances.elapsed)()));
        }
        self.outcome.n_hours += 1;
        self.outcome.n_files += n_files as u64;
        self.outcome.bytes_before += bytes_before;
        self.outcome.bytes_after += bytes_after;
        (self.tell)(Event::Compacted { directory, n_files, n_made, bytes_before, bytes_after });
        Ok(())
    }

    /// Makes the directory that takes the place of the hour's; octets of its files.
    fn stage(&self, staging: &Path, directory: &Path, batches: &[Batch]) -> Result<u64, Stop> {
        let fs = self.circumstances.fs;
        let create = |source| WriteError::Create { path: staging.to_owned(), source };
        // Its own name too must be durable before it changes it.
        durable::create_directory(fs, staging).map_err(create)?;
        fs.set_like(staging, directory).map_err(create)?;
        let mut n_bytes = 0;
        for batch in batches {
            n_bytes += self.write(&staging.join(&batch.name).with_extension("tmp"), batch)?;
        }
        Ok(n_bytes)
    }

    /// Writes all rows of a batch into one file; its length.
    fn write(&self, path: &Path, batch: &Batch) -> Result<u64, Stop> {
        let Circumstances { fs, compression, is_over, .. } = *self.circumstances;
        let create = |source| WriteError::Create { path: path.to_owned(), source };
        let encode = |source| WriteError::Encode { path: path.to_owned(), source };
        let write = |source| WriteError::Write { path: path.to_owned(), source };
        let Batch { parts, .. } = batch;
        let Some(first) = parts.first() else { return Ok(0) };
        let file = fs.create_new(path).map_err(create)?;
        fs.set_like(path, &first.path).map_err(create)?;
        let mut footer = merged_footer(parts);
        footer.schema_version = schema::SCHEMA_VERSION;
        footer.writer = concat!("flowcapd ", env!("CARGO_PKG_VERSION")).to_owned();
        for part in parts {
            let slot = part.footer.slot;
            footer.slot.start_secs = footer.slot.start_secs.min(slot.start_secs);
            footer.slot.end_secs = footer.slot.end_secs.max(slot.end_secs);
        }
        let names =
            parts.iter().filter_map(|part| Some(part.path.file_name()?.to_string_lossy().into_owned()));
        let earlier = parts.iter().flat_map(|part| part.footer.compacts.clone());
        footer.compacts = earlier.chain(names).collect();
        let format = Arc::new(Format::new(footer.elements.clone(), compression));
        let mut rows = Rows::new(file, &format).map_err(encode)?;
        for part in parts {
            let read = |source| WriteError::Read { path: part.path.clone(), source };
            if !rows.has_all_columns_of(fs, part).map_err(read)? {
                return Err(Stop::Kept(Kept::UnknownColumns));
            }
            if !rows.copy(fs, part, is_over).map_err(read)? {
                return Err(Stop::IsOver);
            }
        }
        let file = rows.finish(&footer, batch.rows()).map_err(write)?;
        file.sync().map_err(write)?;
        file.bytes().map_err(|source| write(source).into())
    }
}
