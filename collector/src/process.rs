//! What the system says of this process, and of the disk it writes to.

use std::fs;
use std::path::Path;

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
pub(crate) fn disk_bytes(path: &Path) -> Option<(u64, u64)> {
    let disk = statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
    Some((bytes(disk.blocks_available()), bytes(disk.blocks())))
}

#[cfg(test)]
mod tests {
    use super::*;

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
