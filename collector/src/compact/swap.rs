//! The exchange of an hour's files for others, and what is left of it.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use flow_common::layout::{self, REPLACED_EXTENSION, parse_hour_name};

use super::{Kept, Stop};
use crate::fs::{Fs, Kind};
use crate::writer::{WriteError, read_part};

/// Lets the files in `staging`, called `made`, take the place of those in `directory`.
pub(super) fn swap(
    fs: &dyn Fs,
    staging: &Path,
    directory: &Path,
    made: &[&str],
    names: &BTreeSet<String>,
) -> Result<(), Stop> {
    let publish = |source| WriteError::Publish { path: directory.to_owned(), source };
    let parent = directory.parent().unwrap_or(Path::new("."));
    fs.sync_directory(directory).map_err(publish)?;
    // Who begins to write there waits, and writes into the new one.
    let lock = fs.lock_directory(directory, true).map_err(publish)?;
    if list(fs, directory).map_err(publish)? != *names {
        return Err(Stop::Kept(Kept::Changed));
    }
    // From here on to the last rename below, a glob that enters hidden directories may
    // see rows twice: it is as short as can be.
    for name in made {
        let path = staging.join(name);
        fs.rename_new(&path.with_extension("tmp"), &path).map_err(publish)?;
    }
    fs.sync_directory(staging).map_err(publish)?;
    fs.exchange(staging, directory).map_err(publish)?;
    drop(lock);
    // What is renamed below must not be so where the exchange is not.
    if let Err(error) = fs.sync_directory(parent) {
        tracing::error!("cannot sync `{}`: {error}", parent.display());
        return Ok(());
    }
    let hidden = |name: &String| staging.join(format!("{name}.{REPLACED_EXTENSION}"));
    for name in names {
        if let Err(error) = fs.rename_new(&staging.join(name), &hidden(name)) {
            tracing::warn!("cannot hide `{}`: {error}", staging.join(name).display());
        }
    }
    Ok(())
}

/// Removes what lies beside a directory: files that did not get to take the place of its
/// files, or the files whose place others have taken.
pub(super) fn settle(fs: &dyn Fs, directory: &Path) -> Result<(), WriteError> {
    let Some(beside) = layout::replaced_directory(directory) else { return Ok(()) };
    let publish = |source| WriteError::Publish { path: beside.clone(), source };
    match fs.kind(&beside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(publish(error)),
        Ok(Kind::Directory) => {}
        Ok(Kind::File | Kind::Other) => return Err(publish(io::ErrorKind::NotADirectory.into())),
    }
    let parent = directory.parent().unwrap_or(Path::new("."));
    // Which of both directories has which name must not change any more.
    fs.sync_directory(parent).map_err(publish)?;
    let mut compacted = BTreeSet::new();
    let names = match list(fs, directory) {
        // Retention took the hour.
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
        names => names.map_err(publish)?,
    };
    for name in names.iter().filter(|name| parse_hour_name(name).is_some()) {
        compacted.extend(read_part(fs, &directory.join(name))?.footer.compacts);
    }
    for name in list(fs, &beside).map_err(publish)? {
        let path = beside.join(&name);
        // A file gets this behind its name once another has its rows for good. And one of
        // the whole hour that nothing has replaced was never visible.
        let is_done = name.ends_with(&format!(".{REPLACED_EXTENSION}"))
            || name.ends_with(".tmp")
            || compacted.contains(&name)
            || parse_hour_name(&name).is_some();
        if is_done {
            fs.remove(&path).map_err(publish)?;
        } else {
            // Someone put it there, and meant the hour.
            fs.rename_new(&path, &directory.join(&name)).map_err(publish)?;
        }
    }
    fs.remove_directory(&beside).map_err(publish)?;
    fs.sync_directory(parent).map_err(publish)
}

fn list(fs: &dyn Fs, path: &Path) -> io::Result<BTreeSet<String>> {
    Ok(fs.list(path)?.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
}
