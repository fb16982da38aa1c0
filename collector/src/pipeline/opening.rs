//! What a start finds on the disk: state, side tables, journal, and a lock that keeps
//! two collectors from one tree.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_common::limits;
use flow_common::tables::Row;
use flow_common::time::Clock;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::StartError;
use super::writing::{CHECKPOINT, STATE};
use crate::config::Config;
use crate::durable;
use crate::facts::Tables;
use crate::fs::Fs;
use crate::journal::{Journal, ListenerAddr, Opened};
use crate::metrics::Metrics;
use crate::state::{Checkpoint, Listeners, Snapshot};
use crate::trees::{Routes, Tree};
use crate::writer::{FileOptions, Store};

/// Name of the journal's directory, below the state directory.
const JOURNAL: &str = "journal";

/// Name of the file that counts starts whose replay did not end.
pub(super) const ATTEMPTS: &str = "replays";

/// The journal and what it goes on from.
pub(super) struct Journaled {
    pub(super) journal: Arc<Journal>,
    /// All listeners blocks may name.
    pub(super) listeners: Listeners,
    /// The decoder's state as of where replay begins.
    pub(super) snapshot: Option<Snapshot>,
}

/// The collector's own tree.
pub(super) fn home(fs: Arc<dyn Fs>, config: &Config) -> Result<Arc<Store>, StartError> {
    let tree = Tree { root: config.root.clone(), ident: config.ident.clone() };
    let store = Store::new(fs, tree, FileOptions::from(config));
    store.prepare().map_err(|error| {
        StartError::new(error, "choose a directory you may write with `-w DIR`".to_owned())
    })?;
    Ok(Arc::new(store))
}

/// Whose rows go where; exporters that had a directory of their own keep it.
pub(super) fn routes(config: &Config, home: &Store) -> Routes {
    let names = home.fs().list(home.root()).unwrap_or_default();
    let names: Vec<_> = names.iter().filter_map(|name| name.to_str()).collect();
    let tree = Tree { root: config.root.clone(), ident: config.ident.clone() };
    Routes::new(tree, &config.trees, names)
}

/// Keeps others from this tree for as long as it lives.
pub(super) fn lock(home: &Store) -> Result<Flock<std::fs::File>, StartError> {
    let directory = home.state_directory();
    let path = directory.join("lock");
    let open = || {
        durable::create_directory(&**home.fs(), &directory)?;
        OpenOptions::new().write(true).create(true).truncate(false).open(&path)
    };
    let file = open().map_err(|error| not_opened(&path, &error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => StartError::new(
            format!("another flowcapd writes to `{}`", home.root().display()),
            "each needs a directory of its own: `-w DIR`".to_owned(),
        ),
        errno => not_opened(&path, &errno.into()),
    })
}

/// Opens the journal of the collector's own tree, and reads the state it goes on from.
pub(super) fn journal(
    home: &Store,
    listeners: Vec<ListenerAddr>,
    bytes_max: u64,
    clock: &dyn Clock,
    metrics: &Arc<Metrics>,
) -> Result<Journaled, StartError> {
    let snapshot = read_state(home);
    let of_state = snapshot.as_ref().and_then(|snapshot| snapshot.checkpoint);
    let noted = home.read_state(CHECKPOINT, limits::TABLE_BYTES_MAX).ok().flatten();
    let noted = noted.and_then(|bytes| Checkpoint::decode(&bytes));
    // The state is the newer one, where there is one.
    let checkpoint = of_state.or(noted);
    let fs = home.fs();
    let directory = home.state_directory().join(JOURNAL);
    set_aside_if_failing(home, &directory);
    let fresh_id = clock.now().0.cast_unsigned() ^ u64::from(std::process::id()) << 48;
    let known = checkpoint.map(|checkpoint| (checkpoint.journal, checkpoint.position));
    let opened =
        Journal::open(Arc::clone(fs), &directory, known, fresh_id, bytes_max, listeners, Arc::clone(metrics));
    let Opened { journal, listeners } = opened.map_err(|error| not_opened(&directory, &error))?;
    if journal.replay_from() < journal.live_from() {
        note_attempt(home);
    }
    Ok(Journaled { journal: Arc::new(journal), listeners: Listeners::new(listeners), snapshot })
}

/// A journal whose replay ended the program again and again is kept for us to look at,
/// and the start goes on without it.
fn set_aside_if_failing(home: &Store, directory: &Path) {
    let n_attempts = attempts(home);
    if n_attempts < limits::REPLAY_ATTEMPTS_MAX {
        return;
    }
    let aside = |n: u32| home.state_directory().join(format!("journal.failed.{n}"));
    let free = (0..).map(aside).find(|path| !home.fs().is_directory(path));
    let Some(aside) = free else { return };
    match home.fs().rename_new(directory, &aside) {
        Ok(()) => tracing::error!(
            "{n_attempts} starts ended while they decoded the journal again; it lies in `{}` now, and what it \
             holds is not stored",
            aside.display()
        ),
        Err(error) => tracing::error!("cannot set aside `{}`: {error}", directory.display()),
    }
    replayed(home);
}

fn attempts(home: &Store) -> u32 {
    let bytes = home.read_state(ATTEMPTS, limits::TABLE_BYTES_MAX).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().parse().unwrap_or_default()
}

fn note_attempt(home: &Store) {
    let n_attempts = attempts(home) + 1;
    if let Err(error) = home.save_state(ATTEMPTS, format!("{n_attempts}\n").as_bytes()) {
        tracing::warn!("{error}");
    }
}

/// The replay has ended well.
pub(super) fn replayed(home: &Store) {
    let path: PathBuf = home.state_directory().join(ATTEMPTS);
    match home.fs().remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("cannot remove `{}`: {error}", path.display());
        }
        _ => {}
    }
}

fn not_opened(path: &Path, error: &io::Error) -> StartError {
    let hint = "all below `.flowcap` must be writable for the user that runs this".to_owned();
    StartError::new(format!("cannot open `{}`: {error}", path.display()), hint)
}

/// The state an earlier run left. One that can't be read is said once and counts
/// as none: exporters send their templates again.
fn read_state(home: &Store) -> Option<Snapshot> {
    let state = home.read_state(STATE, limits::STATE_BYTES_MAX).map_err(|error| error.to_string());
    let decode = |bytes: Option<Vec<u8>>| bytes.map(|bytes| Snapshot::decode(&bytes)).transpose();
    match state.and_then(|bytes| decode(bytes).map_err(|error| error.to_string())) {
        Ok(snapshot) => snapshot,
        Err(reason) => {
            tracing::warn!("starting without the templates of the last run: {reason}");
            None
        }
    }
}

/// What exporters said in earlier runs. A table that can't be read is said once and
/// counts as none: exporters repeat what they say.
pub(super) fn read_tables(home: &Store) -> Tables {
    fn rows<R: Row>(home: &Store) -> Vec<R> {
        home.read_table().unwrap_or_else(|error| {
            tracing::warn!("{error}; starting without what it held");
            Vec::new()
        })
    }
    Tables { names: rows(home), rates: rows(home), reports: rows(home) }
}
