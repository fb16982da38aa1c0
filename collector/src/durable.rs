//! Publishing a file: it appears under its final name whole and durable, or not
//! at all, and never replaces another (file fsync → rename without replacing →
//! directory fsync).

use std::io;
use std::path::{Path, PathBuf};

use crate::fs::{Fs, FsFile, write_all_at};

/// Makes a synced `part` visible in its directory under the first free of `name(0)`,
/// `name(1)`, …; returns the final path, and whether a power loss leaves it there.
pub(crate) fn publish(fs: &dyn Fs, part: &Path, name: impl Fn(u32) -> String) -> io::Result<(PathBuf, bool)> {
    let directory = parent(part);
    for n in 0.. {
        let target = directory.join(name(n));
        match fs.rename_new(part, &target) {
            Ok(()) => {
                // It is visible whatever comes of this.
                let synced = fs.sync_directory(directory);
                if let Err(error) = &synced {
                    tracing::error!("cannot sync `{}`: {error}", directory.display());
                }
                return Ok((target, synced.is_ok()));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("2³² files of one slot")
}

/// Writes a file that may replace an older one: readers see the old or the new,
/// whole, also after a power loss.
pub(crate) fn replace(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = parent(path);
    create_directory(fs, directory)?;
    let part = path.with_extension("new");
    let write = || {
        let file = create_over(fs, &part)?;
        write_all_at(&*file, bytes, 0)?;
        file.sync()?;
        fs.rename_over(&part, path)
    };
    if let Err(error) = write() {
        // What could not be written or synced is not tried again, but made anew.
        let _ = fs.remove(&part);
        return Err(error);
    }
    fs.sync_directory(directory)
}

/// Creates a file; what an earlier run left under its name goes.
fn create_over(fs: &dyn Fs, path: &Path) -> io::Result<Box<dyn FsFile>> {
    match fs.create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs.remove(path)?;
            fs.create_new(path)
        }
        result => result,
    }
}

/// Creates a directory and what is missing above it, each durable in its parent.
pub(crate) fn create_directory(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || fs.is_directory(path) {
        return Ok(());
    }
    create_directory(fs, parent(path))?;
    match fs.create_directory(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs.sync_directory(parent(path))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fs::RealFs;

    #[test]
    fn a_file_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/state");
        for content in ["one", "two"] {
            replace(&RealFs, &path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_name_is_never_reused() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("a/b");
        create_directory(&RealFs, &directory).unwrap();
        create_directory(&RealFs, &directory).unwrap();
        let name = |n| format!("file.{n}");
        for n in 0..3 {
            let part = directory.join(".part");
            fs::write(&part, n.to_string()).unwrap();
            let (path, _) = publish(&RealFs, &part, name).unwrap();
            assert_eq!(path, directory.join(name(n)));
            assert_eq!(fs::read_to_string(path).unwrap(), n.to_string());
            assert!(!part.exists());
        }
    }
}
