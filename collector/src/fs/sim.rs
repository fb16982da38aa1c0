//! A disk in memory that loses power, fails and fills up, for tests.
//!
//! What a file system promises is what was synced. Of everything else a power loss
//! leaves whatever it likes, each thing by itself:
//! - a page of a file as it was when last synced, or after any write since; now and
//!   then torn between two of these at a sector,
//! - a file's length as it was at any time since,
//! - names created, renamed and removed in a directory not synced since: all up to
//!   some instant, or any of them. A rename is done or not, never half.
//!
//! After an error of fsync what was not synced is on the disk or never will be, and
//! the next fsync of that file says nothing of it: as Linux does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use nix::errno::Errno;

use self::content::{Content, Inode, PAGE_BYTES};
use self::lock::SimLock;
use self::names::{NameChange, Names};
use super::{Fs, FsFile, Kind, Lock};

mod content;
mod lock;
mod names;

const SECTOR_BYTES: usize = 512;

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// With this error, and nothing is done.
    Error(Errno),
    /// A write does half; others fail.
    Short,
    /// The power goes: nothing succeeds any more.
    Power,
}

/// A disk; clones are the same one.
#[derive(Clone)]
pub(crate) struct SimFs(Arc<Mutex<Disk>>);

struct Disk {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: Names,
    /// Names as they are on the disk for sure.
    durable: Names,
    /// What was done to names since, in order.
    pending: Vec<NameChange>,
    random: u64,
    n_operations: u64,
    /// The operation to fail, and how.
    fault: Option<(u64, Fault)>,
    /// What that was.
    failed: String,
    is_dead: bool,
    /// Directories somebody is alone with, by inode.
    locked: Vec<u64>,
    /// What somebody else does, from which operation on.
    other: Option<(u64, Other)>,
    limit_bytes: u64,
    /// Files that were written or synced after an fsync of theirs had failed.
    distrusted: Vec<u64>,
}

/// What a process beside the one under test does.
type Other = Box<dyn FnOnce(&SimFs) + Send>;

impl SimFs {
    /// An empty disk with one directory.
    pub(crate) fn new(root: &Path, seed: u64) -> Self {
        let directory = Inode { is_directory: true, ..Inode::default() };
        let names: Names = root.ancestors().map(|path| (path.to_owned(), 0)).collect();
        Self(Arc::new(Mutex::new(Disk {
            inodes: [(0, directory)].into(),
            next_inode: 1,
            durable: names.clone(),
            names,
            pending: Vec::new(),
            random: seed.wrapping_mul(2).wrapping_add(1),
            n_operations: 0,
            fault: None,
            failed: String::new(),
            is_dead: false,
            locked: Vec::new(),
            other: None,
            limit_bytes: u64::MAX,
            distrusted: Vec::new(),
        })))
    }

    pub(crate) fn shared(&self) -> Arc<dyn Fs> {
        Arc::new(self.clone())
    }

    /// Lets operation `n` fail, the first being 0.
    pub(crate) fn fail_at(&self, n: u64, fault: Fault) {
        self.disk().fault = Some((n, fault));
    }

    /// Lets another process do something just before operation `n`, or as soon as nobody
    /// is alone with a directory any more.
    pub(crate) fn meanwhile(&self, n: u64, other: impl FnOnce(&Self) + Send + 'static) {
        self.disk().other = Some((n, Box::new(other)));
    }

    /// Sets the size of the disk.
    pub(crate) fn set_limit(&self, bytes: u64) {
        self.disk().limit_bytes = bytes;
    }

    /// Operations so far, also those that failed.
    pub(crate) fn n_operations(&self) -> u64 {
        self.disk().n_operations
    }

    /// Which operation failed, and of what file.
    pub(crate) fn failed(&self) -> String {
        self.disk().failed.clone()
    }

    /// Whether the power is gone.
    pub(crate) fn is_dead(&self) -> bool {
        self.disk().is_dead
    }

    /// How many times a file was trusted again after its fsync had failed.
    pub(crate) fn n_distrusted(&self) -> usize {
        self.disk().distrusted.len()
    }

    /// A new process knows of no fsync that failed in another.
    pub(crate) fn forget_failures(&self) {
        self.disk().inodes.values_mut().for_each(|inode| inode.is_poisoned = false);
    }

    /// The disk as a power loss now leaves it. Who has files of it open has those of
    /// another disk.
    pub(crate) fn after_power_loss(&self) -> Self {
        Self(Arc::new(Mutex::new(self.disk().after_power_loss())))
    }

    /// Paths of all files.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let disk = self.disk();
        disk.names
            .iter()
            .filter(|(_, inode)| !disk.inodes[inode].is_directory)
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// What a file holds; for tests to look at, and no operation.
    pub(crate) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk();
        let content = &disk.inodes[disk.names.get(path)?].live;
        let mut bytes = vec![0; usize::try_from(content.bytes).unwrap()];
        content.read(&mut bytes, 0);
        Some(bytes)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        let mut disk = self.0.lock().unwrap();
        let n = disk.n_operations;
        if disk.locked.is_empty()
            && let Some((_, other)) = disk.other.take_if(|(at, _)| *at <= n)
        {
            drop(disk);
            other(self);
            return self.0.lock().unwrap();
        }
        disk
    }

    fn file(&self, disk: &mut Disk, inode: u64, path: &Path) -> Box<dyn FsFile> {
        disk.inodes.get_mut(&inode).unwrap().n_open += 1;
        Box::new(SimFile { fs: self.clone(), inode, path: path.to_owned() })
    }
}

impl fmt::Debug for SimFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFs({} operations)", self.n_operations())
    }
}

impl Fs for SimFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let mut disk = self.disk();
        disk.operation("create_new", path)?;
        disk.directory_above(path)?;
        if disk.names.contains_key(path) {
            return Err(Errno::EEXIST.into());
        }
        let inode = disk.add(path, Inode::default());
        Ok(self.file(&mut disk, inode, path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let mut disk = self.disk();
        disk.operation("open", path)?;
        let inode = disk.file_at(path)?;
        Ok(self.file(&mut disk, inode, path))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operation("rename_new", to)?;
        if disk.names.contains_key(to) {
            return Err(Errno::EEXIST.into());
        }
        disk.rename(from, to)
    }

    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operation("rename_over", to)?;
        disk.rename(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operation("exchange", other)?;
        if !disk.is_directory(one) || !disk.is_directory(other) {
            return Err(Errno::ENOENT.into());
        }
        let is_unsynced = |change: &NameChange| change.touches(one) || change.touches(other);
        assert!(!disk.pending.iter().any(is_unsynced), "what is exchanged may lose names");
        disk.change(NameChange::Exchanged { one: one.to_owned(), other: other.to_owned() });
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operation("remove_directory", path)?;
        if !disk.is_directory(path) {
            return Err(Errno::ENOENT.into());
        }
        if disk.names.keys().any(|name| name.parent() == Some(path)) {
            return Err(Errno::ENOTEMPTY.into());
        }
        let inode = disk.names[path];
        disk.change(NameChange::Removed { path: path.to_owned(), inode });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operation("remove", path)?;
        let inode = disk.file_at(path)?;
        disk.change(NameChange::Removed { path: path.to_owned(), inode });
        disk.forget_unused();
        Ok(())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operation("create_directory", path)?;
        disk.directory_above(path)?;
        if disk.names.contains_key(path) {
            return Err(Errno::EEXIST.into());
        }
        disk.add(path, Inode { is_directory: true, ..Inode::default() });
        Ok(())
    }

    fn is_directory(&self, path: &Path) -> bool {
        self.disk().is_directory(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let disk = self.disk();
        let inode = disk.names.get(path).ok_or(Errno::ENOENT)?;
        Ok(if disk.inodes[inode].is_directory { Kind::Directory } else { Kind::File })
    }

    fn lock_directory(&self, path: &Path, alone: bool) -> io::Result<Box<dyn Lock>> {
        let mut disk = self.disk();
        disk.operation("lock_directory", path)?;
        if !disk.is_directory(path) {
            return Err(Errno::ENOENT.into());
        }
        let inode = disk.names[path];
        assert!(!disk.locked.contains(&inode), "it would wait forever");
        if alone {
            disk.locked.push(inode);
        }
        Ok(Box::new(SimLock { fs: self.clone(), inode: alone.then_some(inode) }))
    }

    fn set_like(&self, path: &Path, model: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operation("set_like", path)?;
        let are_there = disk.names.contains_key(path) && disk.names.contains_key(model);
        if are_there { Ok(()) } else { Err(Errno::ENOENT.into()) }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut disk = self.disk();
        disk.operation("list", path)?;
        if !disk.is_directory(path) {
            return Err(Errno::ENOENT.into());
        }
        let below = disk.names.keys().filter(|name| name.parent() == Some(path));
        Ok(below.filter_map(|name| Some(name.file_name()?.to_owned())).collect())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operation("sync_directory", path)?;
        if !disk.is_directory(path) {
            return Err(Errno::ENOENT.into());
        }
        let (synced, pending) =
            std::mem::take(&mut disk.pending).into_iter().partition(|change| change.touches(path));
        disk.pending = pending;
        let synced: Vec<NameChange> = synced;
        synced.iter().for_each(|change| change.apply(&mut disk.durable));
        disk.forget_unused();
        Ok(())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let mut disk = self.disk();
        disk.operation("free_bytes", path)?;
        Ok(disk.free_bytes())
    }
}

/// An open file of a disk.
struct SimFile {
    fs: SimFs,
    path: PathBuf,
    inode: u64,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({})", self.inode)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut disk = self.fs.disk();
        if let Some(inode) = disk.inodes.get_mut(&self.inode) {
            inode.n_open -= 1;
        }
        disk.forget_unused();
    }
}

impl FsFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.fs.disk();
        let is_short = disk.operation_or_short("write_at", &self.path)?;
        let room = disk.free_bytes();
        let inode = disk.inodes.get_mut(&self.inode).unwrap();
        let mut n_bytes = if is_short { bytes.len() / 2 } else { bytes.len() };
        // As much as there is room for, as write(2) does.
        while n_bytes > 0 && inode.live.growth(offset, n_bytes) > room {
            n_bytes = n_bytes.saturating_sub(PAGE_BYTES);
        }
        if n_bytes == 0 && !bytes.is_empty() {
            return Err(if is_short { Errno::EINTR } else { Errno::ENOSPC }.into());
        }
        inode.write(&bytes[..n_bytes], offset);
        disk.distrust(self.inode);
        Ok(n_bytes)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.fs.disk();
        disk.operation("read_at", &self.path)?;
        Ok(disk.inodes[&self.inode].live.read(bytes, offset))
    }

    fn bytes(&self) -> io::Result<u64> {
        let mut disk = self.fs.disk();
        disk.operation("bytes", &self.path)?;
        Ok(disk.inodes[&self.inode].live.bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut disk = self.fs.disk();
        disk.operation("allocate", &self.path)?;
        let room = disk.free_bytes();
        let inode = disk.inodes.get_mut(&self.inode).unwrap();
        if bytes.saturating_sub(inode.live.used_bytes()) > room {
            return Err(Errno::ENOSPC.into());
        }
        inode.live.allocated_bytes = inode.live.allocated_bytes.max(bytes);
        inode.live.bytes = inode.live.bytes.max(bytes);
        inode.lengths.push(inode.live.bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.fs.disk();
        disk.distrust(self.inode);
        if let Err(error) = disk.operation("sync", &self.path) {
            if !disk.is_dead {
                disk.fail_sync(self.inode);
            }
            return Err(error);
        }
        disk.inodes.get_mut(&self.inode).unwrap().sync();
        Ok(())
    }
}

impl Disk {
    /// Counts an operation, which fails if its turn has come.
    fn operation(&mut self, name: &str, path: &Path) -> io::Result<()> {
        if self.operation_or_short(name, path)? { Err(Errno::EIO.into()) } else { Ok(()) }
    }

    /// The same for a write, which may be told to be short.
    fn operation_or_short(&mut self, name: &str, path: &Path) -> io::Result<bool> {
        let n = self.n_operations;
        self.n_operations += 1;
        if self.fault.is_some_and(|(at, _)| at == n) {
            self.failed = format!("{name} {}", path.display());
        }
        match self.fault.take_if(|(at, _)| *at == n) {
            Some((_, Fault::Short)) => return Ok(true),
            Some((_, Fault::Error(errno))) => return Err(errno.into()),
            Some((_, Fault::Power)) => self.is_dead = true,
            None => {}
        }
        if self.is_dead { Err(Errno::EIO.into()) } else { Ok(false) }
    }

    fn below(&mut self, limit: usize) -> usize {
        // Xorshift: repeatable, and good enough to choose what survives.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 33) as usize % limit.max(1)
    }

    fn is_directory(&self, path: &Path) -> bool {
        self.names.get(path).is_some_and(|inode| self.inodes[inode].is_directory)
    }

    fn directory_above(&self, path: &Path) -> io::Result<()> {
        let is_there = path.parent().is_some_and(|parent| self.is_directory(parent));
        if is_there { Ok(()) } else { Err(Errno::ENOENT.into()) }
    }

    fn file_at(&self, path: &Path) -> io::Result<u64> {
        let inode = *self.names.get(path).ok_or(Errno::ENOENT)?;
        if self.inodes[&inode].is_directory { Err(Errno::EISDIR.into()) } else { Ok(inode) }
    }

    fn add(&mut self, path: &Path, content: Inode) -> u64 {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(inode, content);
        self.change(NameChange::Added { path: path.to_owned(), inode });
        inode
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.directory_above(to)?;
        let inode = self.file_at(from)?;
        self.change(NameChange::Renamed { from: from.to_owned(), to: to.to_owned(), inode });
        self.forget_unused();
        Ok(())
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    fn distrust(&mut self, inode: u64) {
        if self.inodes[&inode].is_poisoned && !self.is_dead {
            self.distrusted.push(inode);
        }
    }

    /// What was not synced is on the disk or never will be.
    fn fail_sync(&mut self, inode: u64) {
        let mut failed = self.inodes.remove(&inode).unwrap();
        failed.durable = self.survivor(&failed);
        failed.versions.clear();
        failed.lengths.clear();
        failed.is_poisoned = true;
        self.inodes.insert(inode, failed);
    }

    /// What a power loss may leave of a file.
    fn survivor(&mut self, inode: &Inode) -> Content {
        let mut content = inode.durable.clone();
        for (&page, versions) in &inode.versions {
            let chosen = self.below(versions.len() + 1);
            let Some(version) = chosen.checked_sub(1).map(|n| &versions[n]) else { continue };
            let torn_at = if self.below(8) == 0 {
                self.below(PAGE_BYTES / SECTOR_BYTES) * SECTOR_BYTES
            } else {
                PAGE_BYTES
            };
            let mut bytes = content.pages.get(&page).map_or([0; PAGE_BYTES], |page| **page);
            bytes[..torn_at].copy_from_slice(&version[..torn_at]);
            content.pages.insert(page, Arc::new(bytes));
        }
        let chosen = self.below(inode.lengths.len() + 1);
        if let Some(n) = chosen.checked_sub(1) {
            content.bytes = inode.lengths[n];
        }
        content.allocated_bytes = content.allocated_bytes.max(inode.live.allocated_bytes.min(content.bytes));
        content.cut();
        content
    }

    fn after_power_loss(&mut self) -> Self {
        let mut names = self.durable.clone();
        let pending = self.pending.clone();
        let n_first = self.below(pending.len() + 1);
        let is_in_order = self.below(2) == 0;
        for (n, change) in pending.iter().enumerate() {
            if if is_in_order { n < n_first } else { self.below(2) == 0 } {
                change.apply(&mut names);
            }
        }
        // A directory that is not there holds nothing.
        let is_reachable = |path: &Path| path.ancestors().all(|above| names.contains_key(above));
        let names: Names = names
            .iter()
            .filter(|(path, _)| is_reachable(path))
            .map(|(path, inode)| (path.clone(), *inode))
            .collect();
        let mut inodes = BTreeMap::new();
        for inode in names.values() {
            let before = self.inodes[inode].clone();
            let content = self.survivor(&before);
            let after = Inode {
                is_directory: before.is_directory,
                live: content.clone(),
                durable: content,
                ..Inode::default()
            };
            inodes.insert(*inode, after);
        }
        Self {
            inodes,
            next_inode: self.next_inode,
            durable: names.clone(),
            names,
            pending: Vec::new(),
            random: self.below(usize::MAX) as u64 | 1,
            n_operations: 0,
            fault: None,
            failed: String::new(),
            is_dead: false,
            locked: Vec::new(),
            other: None,
            limit_bytes: self.limit_bytes,
            distrusted: Vec::new(),
        }
    }

    fn free_bytes(&self) -> u64 {
        if self.limit_bytes == u64::MAX {
            return 1 << 40;
        }
        let is_live =
            |(n, inode): &(&u64, &Inode)| inode.n_open > 0 || self.names.values().any(|named| named == *n);
        let used_bytes = self.inodes.iter().filter(is_live).map(|(_, inode)| inode.live.used_bytes()).sum();
        self.limit_bytes.saturating_sub(used_bytes)
    }

    /// Drops files that no name, now or after a power loss, and nobody refers to.
    fn forget_unused(&mut self) {
        let named = |inode: &u64| {
            let is_pending = |change: &NameChange| change.inode() == *inode;
            self.names.values().any(|named| named == inode)
                || self.durable.values().any(|named| named == inode)
                || self.pending.iter().any(is_pending)
        };
        let unused: Vec<_> =
            self.inodes.iter().filter(|(n, inode)| inode.n_open == 0 && !named(n)).map(|(n, _)| *n).collect();
        unused.iter().for_each(|n| drop(self.inodes.remove(n)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ROOT: &str = "/disk";

    fn disk() -> SimFs {
        SimFs::new(Path::new(ROOT), 7)
    }

    fn path(name: &str) -> PathBuf {
        Path::new(ROOT).join(name)
    }

    /// Everything that 400 power losses leave: the files, and the length and sum of
    /// each.
    fn outcomes(fs: &SimFs) -> BTreeSet<String> {
        let told = |fs: &SimFs, path: &PathBuf| {
            let content = fs.content(path).unwrap();
            let sum: u64 = content.iter().map(|byte| u64::from(*byte)).sum();
            format!("{} {} {sum}", path.file_name().unwrap().display(), content.len())
        };
        (0..400)
            .map(|_| {
                let after = fs.after_power_loss();
                after.files().iter().map(|path| told(&after, path)).collect::<Vec<_>>().join(", ")
            })
            .collect()
    }

    #[track_caller]
    fn check(fs: &SimFs, expected: &[&str]) {
        assert_eq!(outcomes(fs), expected.iter().map(|one| (*one).to_owned()).collect());
    }

    #[test]
    fn what_was_synced_stays_and_the_rest_may() {
        let fs = disk();
        let file = fs.create_new(&path("a")).unwrap();
        assert_eq!(file.write_at(&[1; 10], 0).unwrap(), 10);
        check(&fs, &["", "a 0 0", "a 10 0", "a 10 10"]);
        file.sync().unwrap();
        check(&fs, &["", "a 10 10"]);
        fs.sync_directory(Path::new(ROOT)).unwrap();
        check(&fs, &["a 10 10"]);
        file.write_at(&[2; 10], 0).unwrap();
        file.write_at(&[3; 10], PAGE_BYTES as u64).unwrap();
        let torn = outcomes(&fs);
        for one in ["a 10 10", "a 10 20", "a 4106 10", "a 4106 20", "a 4106 40", "a 4106 50"] {
            assert!(torn.contains(one), "{one} is not among {torn:?}");
        }
        file.sync().unwrap();
        check(&fs, &["a 4106 50"]);
    }

    #[test]
    fn names_survive_by_the_sync_of_their_directory() {
        let fs = disk();
        let file = fs.create_new(&path("a")).unwrap();
        fs.sync_directory(Path::new(ROOT)).unwrap();
        fs.rename_new(&path("a"), &path("b")).unwrap();
        check(&fs, &["a 0 0", "b 0 0"]);
        fs.sync_directory(Path::new(ROOT)).unwrap();
        fs.create_directory(&path("d")).unwrap();
        fs.create_new(&path("d/c")).unwrap();
        fs.sync_directory(&path("d")).unwrap();
        check(&fs, &["b 0 0", "b 0 0, c 0 0"]);
        fs.sync_directory(Path::new(ROOT)).unwrap();
        check(&fs, &["b 0 0, c 0 0"]);
        fs.create_new(&path("e")).unwrap();
        fs.rename_over(&path("e"), &path("b")).unwrap();
        fs.remove(&path("d/c")).unwrap();
        assert!(outcomes(&fs).contains("b 0 0, c 0 0") && outcomes(&fs).contains("b 0 0"));
        assert_eq!(fs.rename_new(&path("b"), &path("b")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs.create_new(&path("x/y")).unwrap_err().kind(), io::ErrorKind::NotFound);
        drop(file);
    }

    #[test]
    fn a_failed_sync_is_told_once_and_its_pages_are_gone() {
        let fs = disk();
        let file = fs.create_new(&path("a")).unwrap();
        fs.sync_directory(Path::new(ROOT)).unwrap();
        file.sync().unwrap();
        let lost = (0..100).any(|n| {
            file.write_at(&[1; PAGE_BYTES], n * PAGE_BYTES as u64).unwrap();
            fs.fail_at(fs.n_operations(), Fault::Error(Errno::EIO));
            file.sync().unwrap_err();
            file.sync().unwrap();
            let written: usize = (n as usize + 1) * PAGE_BYTES;
            let sum: usize = fs
                .after_power_loss()
                .content(&path("a"))
                .unwrap()
                .iter()
                .map(|&byte| usize::from(byte))
                .sum();
            sum < written
        });
        assert!(lost && fs.n_distrusted() > 0);
    }

    #[test]
    fn operations_fail_in_their_turn_and_a_full_disk_has_room_again() {
        let fs = disk();
        fs.set_limit(3 * PAGE_BYTES as u64);
        let file = fs.create_new(&path("a")).unwrap();
        file.allocate(2 * PAGE_BYTES as u64).unwrap();
        assert_eq!(file.write_at(&[1; 2 * PAGE_BYTES], 0).unwrap(), 2 * PAGE_BYTES);
        assert_eq!(file.write_at(&[1; 2 * PAGE_BYTES], 2 * PAGE_BYTES as u64).unwrap(), PAGE_BYTES);
        let full = file.write_at(&[1; 1], 3 * PAGE_BYTES as u64).unwrap_err();
        assert_eq!(full.raw_os_error(), Some(Errno::ENOSPC as i32));
        fs.sync_directory(Path::new(ROOT)).unwrap();
        fs.remove(&path("a")).unwrap();
        assert_eq!(fs.free_bytes(Path::new(ROOT)).unwrap(), 0, "somebody has it open");
        drop(file);
        assert_eq!(fs.free_bytes(Path::new(ROOT)).unwrap(), 3 * PAGE_BYTES as u64);
        let file = fs.create_new(&path("b")).unwrap();
        fs.fail_at(fs.n_operations(), Fault::Short);
        assert_eq!(file.write_at(&[1; 10], 0).unwrap(), 5);
        fs.fail_at(fs.n_operations() + 1, Fault::Power);
        assert_eq!(file.bytes().unwrap(), 5);
        assert!(file.bytes().is_err() && fs.open(&path("b")).is_err() && fs.is_dead());
    }
}
