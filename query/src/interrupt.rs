//! Ctrl-C and its like: a run ends soon, with its own exit code, and with whole
//! lines where it can.
//!
//! The signals are blocked in every thread and one thread waits for them, so there is
//! no handler and nothing is interrupted in the middle. Whoever works looks at
//! [`is_asked`] per batch. What does not look in time (a directory that hangs, a reader
//! that doesn't read) is ended by that thread.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use flow_common::limits::INTERRUPT_GRACE_MS;
use nix::sys::signal::{SigSet, Signal};

use crate::live;
use crate::message::Failure;

/// Exit code of a run that Ctrl-C ended.
pub(crate) const CTRL_C: u8 = 130;

/// Signals that end a run.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Number of the signal that came; 0 while none has.
static ASKED: AtomicI32 = AtomicI32::new(0);
/// Wakes those who wait.
static WAITING: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

/// Blocks the signals and starts the thread that waits for them. For `main`, before
/// there are other threads; without it signals do what they do by default.
pub fn watch() {
    let set: SigSet = SIGNALS.into_iter().collect();
    if set.thread_block().is_err() {
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "the one thread that waits for signals")]
    let spawned = std::thread::Builder::new().name("signals".into()).spawn(move || {
        while let Ok(signal) = set.wait() {
            if !is_ignored(signal) {
                end(signal);
            }
        }
    });
    if spawned.is_err() {
        // Better ended by default than deaf.
        let _ = set.thread_unblock();
    }
}

/// Whether whoever started us wants us not to mind: `nohup`, a shell's `&`.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal as i32 - 1)) != 0
}

fn end(signal: Signal) {
    ASKED.store(signal as i32, Ordering::SeqCst);
    drop(WAITING.0.lock());
    WAITING.1.notify_all();
    std::thread::sleep(Duration::from_millis(INTERRUPT_GRACE_MS));
    live::restore_terminal();
    std::process::exit(128 + signal as i32);
}

/// Whether the run is to end.
pub(crate) fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed) != 0
}

/// The exit code, if the run is to end: 130 for Ctrl-C.
pub(crate) fn exit_code() -> Option<u8> {
    let signal = ASKED.load(Ordering::SeqCst);
    (signal != 0).then(|| u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

/// An error where the run is to end.
pub(crate) fn check() -> Result<(), Failure> {
    exit_code().map_or(Ok(()), |code| Err(Failure::Interrupted(code)))
}

/// Waits so long, or until the run is to end, which it tells.
pub(crate) fn wait(time: Duration) -> bool {
    let guard = WAITING.0.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = WAITING.1.wait_timeout_while(guard, time, |()| !is_asked());
    drop(waited);
    is_asked()
}
