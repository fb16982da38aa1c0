//! The compaction thread: makes one file of those of each hour that is over, as long as the
//! collector runs, and lets all others go first.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use flow_common::limits;
use flow_common::time::Clock;

use crate::compact::{self, Circumstances, Event, Outcome};
use crate::config::Config;
use crate::control::Control;
use crate::fs::RealFs;
use crate::metrics::Metrics;
use crate::process;
use crate::retention::{self, KeptTree};

/// How often the thread looks whether it should stop.
const TICK: Duration = Duration::from_millis(500);

/// The compaction thread.
pub(super) struct Compacting {
    pub(super) control: Arc<Control>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) metrics: Arc<Metrics>,
}

impl Compacting {
    /// Compacts until the end, where the configuration says so.
    pub(super) fn run(self) {
        process::give_way();
        let interval = Duration::from_secs(limits::COMPACTION_INTERVAL_SECS);
        let mut due = Instant::now();
        // Hours of which it was said that they can't be compacted.
        let mut failing = BTreeSet::new();
        let config = self.control.config();
        if config.compaction.is_enabled && !config.hierarchy.is_hourly() {
            tracing::warn!("directories of `-S` that are of more than an hour are not compacted");
        }
        while !self.is_stopped() {
            let config = self.control.config();
            if config.compaction.is_enabled && Instant::now() >= due {
                let started = Instant::now();
                let mut failed = BTreeSet::new();
                for tree in retention::trees(&config) {
                    self.compact(&tree, &config, &failing, &mut failed);
                }
                failing = failed;
                due = Instant::now() + interval.max(started.elapsed());
            }
            sleep(TICK);
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Compacts one tree, and adds the hours where that failed to `failed`.
    fn compact(
        &self,
        tree: &KeptTree,
        config: &Config,
        failing: &BTreeSet<PathBuf>,
        failed: &mut BTreeSet<PathBuf>,
    ) {
        let root = tree.root.display();
        let _lock = match compact::lock(&tree.root) {
            Ok(lock) => lock,
            // Someone runs `flowcapd compact`, or the tree is still to come.
            Err(error) => return tracing::debug!("`{root}` is not compacted: {error}"),
        };
        let started = Instant::now();
        let circumstances = Circumstances {
            fs: &RealFs,
            compression: config.compression,
            now: self.clock.now(),
            after_secs: config.compaction.after_secs,
            elapsed: &|| started.elapsed(),
            is_dry: false,
            is_over: &|| self.is_stopped(),
        };
        let mut tell = |event: Event<'_>| {
            let text = event.text(false);
            match event {
                Event::Compacted { bytes_before, bytes_after, .. } => {
                    self.metrics.compacted_hours.add(1);
                    self.metrics.compacted_bytes_before.add(bytes_before);
                    self.metrics.compacted_bytes_after.add(bytes_after);
                    tracing::info!("{text}");
                }
                Event::Kept { .. } => tracing::debug!("{text}"),
                Event::Failed { directory, .. } => {
                    self.metrics.compaction_errors.add(1);
                    if !failing.contains(directory) {
                        tracing::warn!("{text}");
                    }
                    failed.insert(directory.to_owned());
                }
            }
        };
        match compact::compact(tree, &circumstances, &mut tell) {
            Ok(outcome) => self.forget(&outcome),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!("cannot read `{root}`: {error}"),
        }
    }

    /// Removes what was replaced once those who listed it have had their time.
    fn forget(&self, outcome: &Outcome) {
        let until = Instant::now() + Duration::from_secs(limits::COMPACTION_KEPT_SECS);
        while !outcome.replaced.is_empty() && Instant::now() < until && !self.is_stopped() {
            sleep(TICK);
        }
        compact::forget(&RealFs, &outcome.replaced);
    }
}
