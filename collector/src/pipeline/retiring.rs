//! The retention thread: deletes files that may go, as long as the collector runs, and
//! reads how much room there is, for whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use flow_common::limits;
use flow_common::time::Clock;

use crate::control::Control;
use crate::process::DiskSpace;
use crate::retention::{self, Circumstances, Event, KeptTree, RetentionError};

/// How often the thread looks whether it should stop, and at the space left.
const TICK: Duration = Duration::from_millis(500);

/// The retention thread.
pub(super) struct Retiring {
    pub(super) control: Arc<Control>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: Arc<AtomicBool>,
    /// What it finds; nobody else waits for the disk to tell.
    pub(super) disk: Arc<DiskSpace>,
}

impl Retiring {
    /// Looks after the trees until the end: every minute, and at once where the disk
    /// fills.
    pub(super) fn run(self) {
        let interval = Duration::from_secs(limits::RETENTION_INTERVAL_SECS);
        let (mut due, mut pressed_due) = (Instant::now(), Instant::now());
        let mut was_beyond = false;
        while !self.is_stopped() {
            let config = self.control.config();
            self.disk.read(&config.root);
            let now = Instant::now();
            let trees: Vec<_> =
                retention::trees(&config).into_iter().filter(|tree| !tree.rules.is_empty()).collect();
            let is_pressed = now >= pressed_due && trees.iter().any(retention::is_pressed);
            if now >= due || is_pressed {
                let bytes_beyond: u64 = trees.iter().map(|tree| self.retire(tree, config.slot_secs)).sum();
                if bytes_beyond > 0 && !was_beyond {
                    let beyond = retention::size(bytes_beyond);
                    tracing::warn!("{beyond} too much on the disk, and no file left that may go");
                }
                was_beyond = bytes_beyond > 0;
                // A tree of a million files takes seconds to walk.
                let pause = now.elapsed() * limits::RETENTION_IDLE_PARTS;
                due = Instant::now() + pause.max(interval);
                pressed_due = Instant::now() + pause.max(TICK);
            }
            sleep(TICK);
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Looks after one tree; octets that it could not free.
    fn retire(&self, tree: &KeptTree, slot_secs: u32) -> u64 {
        let circumstances = Circumstances {
            now: self.clock.now(),
            slot_secs,
            is_dry: false,
            space: &retention::space,
            is_over: &|| self.is_stopped(),
        };
        let mut tell = |event: Event<'_>| {
            let text = event.text(&tree.rules);
            match event {
                Event::Deleted { .. } => tracing::debug!("deleted {text}"),
                Event::Kept { .. } => tracing::debug!("{text}"),
                Event::Failed { .. } => tracing::warn!("{text}"),
            }
        };
        match retention::retire(tree, &circumstances, &mut tell) {
            Ok(outcome) => {
                if outcome.n_deleted > 0 {
                    let (n, size) = (outcome.n_deleted, retention::size(outcome.bytes_deleted));
                    tracing::info!("{}: deleted {n} files by retention, {size}", tree.root.display());
                }
                outcome.bytes_beyond
            }
            // Someone runs `flowcapd expire`, or the tree is still to come.
            Err(RetentionError::Busy(_)) => 0,
            Err(error) => {
                tracing::debug!("{error}");
                0
            }
        }
    }
}
