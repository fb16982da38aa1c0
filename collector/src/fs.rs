//! The file system as the store needs it: few operations, so that tests can stand
//! one in its place that loses what was not synced, or fails at any of them.
//!
//! Everything that must survive a crash goes through here: journal, parts, slot
//! files, state and side tables.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, lchown};
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FallocateFlags, Flock, FlockArg, RenameFlags, fallocate, renameat2};
use nix::sys::statvfs::statvfs;

#[cfg(test)]
pub(crate) mod sim;

/// A file system.
pub(crate) trait Fs: Send + Sync + fmt::Debug {
    /// Creates a file that must not exist, to read and write.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;

    /// Opens a file to read and write.
    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;

    /// Renames; fails with [`io::ErrorKind::AlreadyExists`] and changes nothing where
    /// `to` exists.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames over what may be there: readers see the one file or the other.
    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives each of two directories the other's name, at once.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()>;

    /// Removes a directory that is empty.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory; its parent is there.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Whether there is such a directory.
    fn is_directory(&self, path: &Path) -> bool;

    /// What has this name; a link is neither file nor directory.
    fn kind(&self, path: &Path) -> io::Result<Kind>;

    /// Keeps others from a directory while what it returns lives: everyone, or those who
    /// would be `alone` with it. Waits for them.
    fn lock_directory(&self, path: &Path, alone: bool) -> io::Result<Box<dyn Lock>>;

    /// Gives a file or a directory the owner and the mode of another.
    fn set_like(&self, path: &Path, model: &Path) -> io::Result<()>;

    /// Names in a directory, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Makes names created, renamed and removed in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Octets that may still be written by us to where `path` lies.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Other,
}

/// A lock on a directory, until it is dropped.
pub(crate) trait Lock: fmt::Debug {}

/// An open file.
pub(crate) trait FsFile: Send + Sync + fmt::Debug {
    /// pwrite(2): may write less than asked.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// pread(2): 0 at the end.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Length, octets.
    fn bytes(&self) -> io::Result<u64>;

    /// Takes room on the disk, and makes the file at least so long: what is written
    /// within can then not fail for want of space.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// Makes content and length durable. After an error nobody knows what of it is:
    /// the file must not be trusted again.
    fn sync(&self) -> io::Result<()>;
}

/// Writes all of `bytes`.
pub(crate) fn write_all_at(file: &dyn FsFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                bytes = bytes.get(n..).unwrap_or_default();
                offset += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `bytes` is full or the file ends; returns how many octets.
pub(crate) fn read_full_at(file: &dyn FsFile, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut n_read = 0;
    while let Some(rest) = bytes.get_mut(n_read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + n_read as u64) {
            Ok(0) => break,
            Ok(n) => n_read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n_read)
}

/// All of a file of at most `bytes_max` octets; `None` where there is none.
pub(crate) fn read(fs: &dyn Fs, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match fs.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let n_bytes = file.bytes()?;
    if n_bytes > bytes_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than any of ours"));
    }
    let mut bytes = vec![0; usize::try_from(n_bytes).unwrap_or(usize::MAX)];
    let n_read = read_full_at(&*file, &mut bytes, 0)?;
    bytes.truncate(n_read);
    Ok(Some(bytes))
}

/// A file written from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Appender {
    file: Box<dyn FsFile>,
    n_bytes: u64,
}

impl Appender {
    pub(crate) fn new(file: Box<dyn FsFile>) -> Self {
        Self { file, n_bytes: 0 }
    }

    pub(crate) fn into_file(self) -> Box<dyn FsFile> {
        self.file
    }
}

impl Write for Appender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write_at(bytes, self.n_bytes)?;
        self.n_bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The system's own.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RealFs;

impl RealFs {
    pub(crate) fn shared() -> Arc<dyn Fs> {
        Arc::new(Self)
    }
}

impl Fs for RealFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
            // Some file systems (NFS, old FUSE) lack the flag; link(2) never replaces.
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                fs::hard_link(from, to)?;
                fs::remove_file(from)
            }
            result => result.map_err(io::Error::from),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the one place; its callers mean to replace")]
    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).map_err(io::Error::from)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let kind = fs::symlink_metadata(path)?.file_type();
        Ok(if kind.is_dir() {
            Kind::Directory
        } else if kind.is_file() {
            Kind::File
        } else {
            Kind::Other
        })
    }

    fn lock_directory(&self, path: &Path, alone: bool) -> io::Result<Box<dyn Lock>> {
        let argument = if alone { FlockArg::LockExclusive } else { FlockArg::LockShared };
        loop {
            let mut directory = File::open(path)?;
            let locked = loop {
                match Flock::lock(directory, argument) {
                    Err((again, Errno::EINTR)) => directory = again,
                    result => break result.map_err(|(_, errno)| errno)?,
                }
            };
            // While it waited, another may have taken the name.
            let (locked_is, path_is) = (locked.metadata()?, fs::metadata(path)?);
            if (locked_is.dev(), locked_is.ino()) == (path_is.dev(), path_is.ino()) {
                return Ok(Box::new(locked));
            }
        }
    }

    fn set_like(&self, path: &Path, model: &Path) -> io::Result<()> {
        let (is, wanted) = (fs::symlink_metadata(path)?, fs::symlink_metadata(model)?);
        if (is.uid(), is.gid()) != (wanted.uid(), wanted.gid()) {
            lchown(path, Some(wanted.uid()), Some(wanted.gid()))?;
        }
        // Where a sandbox forbids to set a bit, the directory above may have given it.
        if is.permissions() == wanted.permissions() {
            return Ok(());
        }
        fs::set_permissions(path, wanted.permissions())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let found = statvfs(path)?;
        Ok(found.blocks_available().saturating_mul(found.fragment_size()))
    }
}

impl Lock for Flock<File> {}

impl FsFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, offset)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let length = i64::try_from(bytes).unwrap_or(i64::MAX);
        match fallocate(self, FallocateFlags::empty(), 0, length) {
            // Not every file system can; then a full disk shows when it is written.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => self.set_len(bytes.max(self.metadata()?.len())),
            result => result.map_err(io::Error::from),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
