//! Publishing a file: it appears under its final name whole and durable, or not
//! at all, and never replaces another (file fsync → rename without replacing →
//! directory fsync).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

/// Makes `part` visible in its directory under the first free of `name(0)`,
/// `name(1)`, …; returns the final path.
pub(crate) fn publish(file: &File, part: &Path, name: impl Fn(u32) -> String) -> io::Result<PathBuf> {
    file.sync_all()?;
    let directory = part.parent().unwrap_or(Path::new("."));
    for n in 0.. {
        let target = directory.join(name(n));
        match rename_noreplace(part, &target) {
            Ok(()) => {
                // It is visible whatever comes of this; a power loss may still undo it.
                if let Err(error) = sync_directory(directory) {
                    tracing::error!("cannot sync `{}`: {error}", directory.display());
                }
                return Ok(target);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("2³² files of one slot")
}

/// Writes a file that may replace an older one: readers see the old or the new,
/// whole, also after a power loss.
#[expect(clippy::disallowed_methods, reason = "this file is meant to be replaced")]
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    create_directory(directory)?;
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    sync_directory(directory)
}

fn rename_noreplace(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // Some file systems (NFS, old FUSE) lack the flag; link(2) never replaces.
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        result => result.map_err(io::Error::from),
    }
}

/// Creates a directory and what is missing above it, each durable in its parent.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_directory(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_directory(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/state");
        for content in ["one", "two"] {
            replace(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_name_is_never_reused() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("a/b");
        create_directory(&directory).unwrap();
        create_directory(&directory).unwrap();
        let name = |n| format!("file.{n}");
        for n in 0..3 {
            let part = directory.join(".part");
            let file = File::create(&part).unwrap();
            fs::write(&part, n.to_string()).unwrap();
            let path = publish(&file, &part, name).unwrap();
            assert_eq!(path, directory.join(name(n)));
            assert_eq!(fs::read_to_string(path).unwrap(), n.to_string());
            assert!(!part.exists());
        }
    }
}
