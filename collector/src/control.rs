//! What reaches the threads of a running collector from outside: settings that
//! changed, and the wish to close the open slot.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Config;

/// What is asked of the threads. They look at one number as often as they like.
#[derive(Debug, Default)]
pub(crate) struct Control {
    version: AtomicU64,
    asked: Mutex<Settings>,
}

#[derive(Debug, Clone, Default)]
struct Settings {
    config: Arc<Config>,
    /// How often settings were given.
    n_given: u64,
    /// How often a rotation was asked for.
    n_rotations: u64,
}

/// What was asked since the last look.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Settings to go by from now on.
    pub(crate) config: Option<Arc<Config>>,
    /// Those that held until now.
    pub(crate) before: Arc<Config>,
    /// Whether the open slot is to be closed.
    pub(crate) is_rotation: bool,
}

impl Control {
    pub(crate) fn new(config: Config) -> Self {
        let asked = Settings { config: Arc::new(config), ..Settings::default() };
        Self { version: AtomicU64::new(0), asked: Mutex::new(asked) }
    }

    /// What the threads go by.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.now().config
    }

    /// Lets all threads go by `config`.
    pub(crate) fn set(&self, config: Arc<Config>) {
        self.change(|asked| {
            asked.config = config;
            asked.n_given += 1;
        });
    }

    /// Asks for the open slot to be closed.
    pub(crate) fn rotate(&self) {
        self.change(|asked| asked.n_rotations += 1);
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// For one thread: what is asked from now on.
    pub(crate) fn watch(self: &Arc<Self>) -> Watch {
        Watch { control: Arc::clone(self), version: 0, seen: self.now() }
    }

    fn now(&self) -> Settings {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One thread's look at a [`Control`].
#[derive(Debug)]
pub(crate) struct Watch {
    control: Arc<Control>,
    version: u64,
    seen: Settings,
}

impl Watch {
    /// What was asked since the last look; where nothing was, that is one load.
    pub(crate) fn take(&mut self) -> Option<Asked> {
        let version = self.control.version.load(Ordering::Acquire);
        if version == self.version {
            return None;
        }
        self.version = version;
        let now = self.control.now();
        let config = (now.n_given != self.seen.n_given).then(|| Arc::clone(&now.config));
        let is_rotation = now.n_rotations != self.seen.n_rotations;
        let before = std::mem::replace(&mut self.seen, now).config;
        (config.is_some() || is_rotation).then_some(Asked { config, before, is_rotation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_sees_each_change_once() {
        let control = Arc::new(Control::new(Config::default()));
        let (mut one, mut other) = (control.watch(), control.watch());
        let take = |watch: &mut Watch| {
            watch.take().map(|asked| (asked.config.map(|config| config.verbosity), asked.is_rotation))
        };
        assert_eq!(take(&mut one), None);
        control.rotate();
        assert_eq!((take(&mut one), take(&mut one)), (Some((None, true)), None));
        control.set(Arc::new(Config { verbosity: 1, ..Config::default() }));
        control.set(Arc::new(Config { verbosity: 2, ..Config::default() }));
        assert_eq!((take(&mut one), take(&mut one)), (Some((Some(2), false)), None));
        assert_eq!((take(&mut other), take(&mut other)), (Some((Some(2), true)), None));
        assert_eq!((control.config().verbosity, take(&mut control.watch())), (2, None));
    }
}
