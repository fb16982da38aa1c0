//! The publish thread: parts of slots that have ended become visible files. Merging a
//! large slot takes seconds, and nothing waits for it.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use flow_common::layout::Slot;

use super::writing::counters;
use crate::exec::Hooks;
use crate::metrics::Metrics;
use crate::writer::{Content, Part, Store};

/// The parts of one slot, committed.
pub(super) struct Slots {
    pub(super) store: Arc<Store>,
    pub(super) slot: Slot,
    pub(super) content: Content,
    pub(super) parts: Vec<Part>,
    /// Whether they become one file; else each one.
    pub(super) merges: bool,
}

/// Publishes until the writer has ended; what went wrong.
pub(super) fn run(slots: &Receiver<Slots>, hooks: &Hooks, metrics: &Arc<Metrics>) -> Result<(), String> {
    let mut failure = Ok(());
    for slots in slots {
        failure = failure.and(publish(slots, hooks, metrics));
    }
    failure
}

/// Publishes one slot.
pub(super) fn publish(slots: Slots, hooks: &Hooks, metrics: &Metrics) -> Result<(), String> {
    let Slots { store, slot, content, parts, merges } = slots;
    let published = store.publish(slot, content, parts, merges);
    let (visible, _, _, in_flight) = counters(metrics, content);
    for (path, rows) in published.files {
        visible.add(rows);
        in_flight.subtract(rows);
        metrics.files_visible.add(1);
        tracing::info!("{}: {rows} records", path.display());
        if content == Content::Flows {
            hooks.published(store.published(path, slot));
        }
    }
    let Some(error) = published.error else { return Ok(()) };
    metrics.file_errors.add(1);
    tracing::error!("{error}; its records are kept, and published at the next start");
    Err(error.to_string())
}
