//! Locks on directories.

use super::SimFs;
use crate::fs::Lock;

/// A lock that one is alone with, or one of many.
#[derive(Debug)]
pub(super) struct SimLock {
    pub(super) fs: SimFs,
    pub(super) inode: Option<u64>,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        // Not by `disk`: somebody else's turn is between two operations.
        let mut disk = self.fs.0.lock().unwrap();
        disk.locked.retain(|&inode| Some(inode) != self.inode);
    }
}
