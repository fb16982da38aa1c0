//! `flowcapd compact`: makes one file of each hour that is over, and says which.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use flow_common::limits;
use flow_common::time::Clock;
use nix::sys::signal::{SigSet, Signal};

use super::Failure;
use crate::cli::Args;
use crate::clock::SystemClock;
use crate::compact::{self, Circumstances, Event, Outcome};
use crate::config::Config;
use crate::fs::RealFs;
use crate::process;
use crate::retention::{self, KeptTree};

const HINT: &str = "run it as the user flowcapd runs as; `-w DIR` names the tree of a collector";

/// Compacts each tree; one line on `out` for each hour. A signal ends it between two
/// operations, and leaves each hour as it was or compacted.
pub(super) fn compact(args: Args, is_dry: bool, out: &mut dyn Write) -> Result<(), Failure> {
    // A capture is read once, and has no trees.
    let config = Config::try_from(Args { capture: None, ..args })?;
    if !config.hierarchy.is_hourly() {
        talk("warning: directories of `-S` that are of more than an hour stay as they are");
    }
    let stop = stop_on_signal().map_err(|error| Failure::new(1, error, None))?;
    process::give_way();
    let mut result = Ok(());
    for tree in retention::trees(&config) {
        if !stop.load(Ordering::Relaxed) {
            let done = one_tree(&tree, &config, is_dry, &stop, out);
            result = result.and(done);
        }
    }
    if stop.load(Ordering::Relaxed) {
        let hint = "what is done is done; run it again for the rest".to_owned();
        return Err(Failure::new(130, "interrupted", hint));
    }
    result
}

fn one_tree(
    tree: &KeptTree,
    config: &Config,
    is_dry: bool,
    stop: &AtomicBool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let root = tree.root.display();
    let failed = |error: io::Error| Failure::new(1, format!("`{root}`: {error}"), HINT.to_owned());
    let _lock = if is_dry { None } else { Some(compact::lock(&tree.root).map_err(failed)?) };
    let started = Instant::now();
    let circumstances = Circumstances {
        fs: &RealFs,
        compression: config.compression,
        now: SystemClock.now(),
        after_secs: config.compaction.after_secs,
        elapsed: &|| started.elapsed(),
        is_dry,
        is_over: &|| stop.load(Ordering::Relaxed),
    };
    let mut written = Ok(());
    let mut tell = |event: Event<'_>| {
        let line = event.text(is_dry);
        match event {
            // Each is seen as it is done: it may take hours.
            Event::Compacted { .. } if written.is_ok() => {
                written = writeln!(out, "{line}").and_then(|()| out.flush());
            }
            Event::Compacted { .. } => {}
            Event::Kept { .. } => talk(&format!("warning: {line}")),
            Event::Failed { .. } => talk(&format!("error: {line}")),
        }
    };
    let outcome = compact::compact(tree, &circumstances, &mut tell).map_err(failed)?;
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(Failure::new(1, error, None)),
        _ => {}
    }
    wait_for_readers(&outcome.replaced, stop);
    let Outcome { n_hours, n_files, bytes_before, bytes_after, n_failed, .. } = outcome;
    let (before, after) = (retention::size(bytes_before), retention::size(bytes_after));
    let text = match is_dry {
        true => format!("would compact {n_hours} hours of {n_files} files, {before}"),
        false => format!("compacted {n_hours} hours of {n_files} files, {before}, to {after}"),
    };
    talk(&format!("{root}: {text}"));
    if n_failed > 0 {
        let message = format!("{n_failed} hours of `{root}` could not be compacted");
        return Err(Failure::new(1, message, HINT.to_owned()));
    }
    Ok(())
}

/// Removes what was replaced once those who listed it have had their time.
fn wait_for_readers(replaced: &[PathBuf], stop: &AtomicBool) {
    let until = Instant::now() + Duration::from_secs(limits::COMPACTION_KEPT_SECS);
    while !replaced.is_empty() && Instant::now() < until && !stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(50));
    }
    compact::forget(&RealFs, replaced);
}

/// What SIGINT and SIGTERM set from now on.
#[expect(clippy::disallowed_methods, reason = "a command has no pipeline")]
fn stop_on_signal() -> io::Result<Arc<AtomicBool>> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    // Threads started from here on have it blocked, too.
    signals.thread_block()?;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while signals.wait().is_ok() {
            asked.store(true, Ordering::Relaxed);
        }
    })?;
    Ok(stop)
}

fn talk(line: &str) {
    // A stderr that is closed is no reason to fail.
    let _ = writeln!(io::stderr(), "{line}");
}
