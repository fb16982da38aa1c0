//! Whether there is room on the disk. A ballast file keeps some for the end: when all
//! else is taken it goes, and the open slot is written into its place.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_common::limits;

use crate::fs::Fs;

/// How often a full disk is looked at. Tests don't wait.
const PAUSE: Duration = Duration::from_secs(if cfg!(test) { 0 } else { limits::DISK_CHECK_SECS });

/// The disk of a tree.
#[derive(Debug)]
pub(crate) struct Disk {
    fs: Arc<dyn Fs>,
    ballast: PathBuf,
    ballast_bytes: u64,
    is_full: bool,
    looked_at: Option<Instant>,
}

impl Disk {
    /// Takes the ballast if it is not there.
    pub(crate) fn new(fs: Arc<dyn Fs>, ballast: PathBuf, ballast_bytes: u64) -> Self {
        let disk = Self { fs, ballast, ballast_bytes, is_full: false, looked_at: None };
        if let Err(error) = disk.take_ballast() {
            tracing::warn!("no room is kept for a full disk: `{}`: {error}", disk.ballast.display());
        }
        disk
    }

    fn take_ballast(&self) -> std::io::Result<()> {
        if self.ballast_bytes == 0 {
            return Ok(());
        }
        match self.fs.open(&self.ballast) {
            Ok(_) => Ok(()),
            Err(_) => {
                let file = self.fs.create_new(&self.ballast)?;
                // A file without its room is no ballast.
                file.allocate(self.ballast_bytes).inspect_err(|_| drop(self.fs.remove(&self.ballast)))
            }
        }
    }

    /// Nothing more can be written: gives the ballast back. True if that made room.
    pub(crate) fn fill(&mut self) -> bool {
        self.looked_at = Some(Instant::now());
        if !std::mem::replace(&mut self.is_full, true) {
            tracing::error!(
                "the disk is full; the open slot is closed, then records are dropped and counted until there is room"
            );
        }
        self.fs.remove(&self.ballast).is_ok()
    }

    /// Whether records are dropped at present. Looks at the disk now and then.
    pub(crate) fn is_full(&mut self) -> bool {
        if !self.is_full || self.looked_at.is_some_and(|at| at.elapsed() < PAUSE) {
            return self.is_full;
        }
        self.looked_at = Some(Instant::now());
        let free = self.ballast.parent().map_or(Ok(0), |directory| self.fs.free_bytes(directory));
        // Twice: what is taken first is the ballast itself.
        if free.is_ok_and(|free| free >= 2 * self.ballast_bytes) && self.take_ballast().is_ok() {
            tracing::warn!("there is room on the disk again; records are stored from now on");
            self.is_full = false;
        }
        self.is_full
    }
}
