//! What the system says of this process, and of the disk it writes to.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::statvfs::statvfs;

/// Memory in use, octets (`VmRSS`, proc(5)).
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))?;
    kib.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// File descriptors open, the one this takes left out.
pub(crate) fn open_fds() -> Option<u64> {
    let n = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(n.saturating_sub(1))
}

/// Octets free to this process, and in all, on the disk of `path`.
fn disk_bytes(path: &Path) -> Option<(u64, u64)> {
    let disk = statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
    Some((bytes(disk.blocks_available()), bytes(disk.blocks())))
}

/// Space on the disk files are written to, as it was when last read. Reading may wait for
/// a disk that hangs, for ever; looking at what was read never does.
#[derive(Debug, Default)]
pub(crate) struct DiskSpace {
    free: AtomicU64,
    all: AtomicU64,
}

impl DiskSpace {
    /// Reads it; what can't be read stays what it was.
    pub(crate) fn read(&self, path: &Path) {
        if let Some((free, all)) = disk_bytes(path) {
            self.free.store(free, Ordering::Relaxed);
            self.all.store(all, Ordering::Relaxed);
        }
    }

    /// Octets free to this process, and in all.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.free.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed))
    }
}

/// Lets everyone else have the processors, and so the disks, before this thread.
pub(crate) fn give_way() {
    // The scheduler of a disk goes by it where nothing is said of the disk itself.
    if let Err(error) = rustix::process::setpriority_process(None, NICE_MAX) {
        tracing::debug!("cannot give way to others: {error}");
    }
}

/// The lowest priority there is.
const NICE_MAX: i32 = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_stays_what_it_was_where_it_can_not_be_read() {
        let space = DiskSpace::default();
        space.read(Path::new("/nowhere/at/all"));
        assert_eq!(space.bytes(), (0, 0));
        space.read(Path::new("/"));
        let (_, all) = space.bytes();
        assert!(all > 0);
        space.read(Path::new("/nowhere/at/all"));
        assert_eq!(space.bytes().1, all);
    }

    #[test]
    fn the_system_tells() {
        assert!(resident_bytes().unwrap() > 1 << 20);
        let before = open_fds().unwrap();
        let _file = fs::File::open("/proc/self/statm").unwrap();
        assert!(before >= 3, "standard streams");
        let (free, all) = disk_bytes(Path::new("/")).unwrap();
        assert!(free <= all && all > 0);
        assert_eq!(disk_bytes(Path::new("/nowhere/at/all")), None);
    }
}
