//! What a service manager is told (sd_notify(3)): that the collector is ready, reloads
//! or stops, in words how it goes, and that its receive loop turns. Where no manager
//! listens, nothing is sent.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flow_common::limits;
use sd_notify::NotifyState;
use tokio::time::{Instant, sleep, sleep_until};

use crate::metrics::Metrics;

/// Turns of the receive loop. One that stands still is stuck: the loop turns at least
/// five times a second, whatever arrives.
#[derive(Debug, Default)]
pub struct Heartbeat(AtomicU64);

impl Heartbeat {
    /// One turn more.
    pub(crate) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Turns so far.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

const MORE_TIME: NotifyState<'_> = NotifyState::ExtendTimeoutUsec(limits::SERVICE_EXTEND_SECS * 1_000_000);

/// Sends states.
type Tell = Box<dyn Fn(&[NotifyState<'_>])>;

/// The way to the service manager.
pub struct Service {
    tell: Tell,
    /// Silence after which the manager takes the collector for stuck.
    watchdog: Option<Duration>,
    last: RefCell<Option<Look>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("watchdog", &self.watchdog).finish_non_exhaustive()
    }
}

impl Service {
    /// The manager named in the environment, if any.
    pub fn from_env() -> Self {
        let is_said = AtomicBool::new(false);
        let tell = move |states: &[NotifyState<'_>]| {
            let Err(error) = sd_notify::notify(states) else { return };
            if !is_said.swap(true, Ordering::Relaxed) {
                tracing::warn!("the service manager cannot be told how it goes: {error}");
            }
        };
        Self { tell: Box::new(tell), watchdog: sd_notify::watchdog_enabled(), last: RefCell::default() }
    }

    /// The sockets are bound, and what arrives is taken. Also the end of a reload.
    pub fn ready(&self) {
        (self.tell)(&[NotifyState::Ready]);
    }

    /// Settings are read again; [`Self::ready`] ends it.
    pub fn reloading(&self) {
        let now = NotifyState::monotonic_usec_now();
        (self.tell)(&[NotifyState::Reloading].into_iter().chain(now).collect::<Vec<_>>());
    }

    /// The collector drains and ends.
    pub fn stopping(&self) {
        let words = NotifyState::Status("publishing what has come so far");
        (self.tell)(&[NotifyState::Stopping, words, MORE_TIME]);
    }

    /// Feeds the watchdog as long as the receive loop turns, and says how it goes. Called
    /// again after it was dropped, it goes on where it was.
    pub async fn watch(&self, heartbeat: &Heartbeat, metrics: &Metrics) -> Infallible {
        let status_every = Duration::from_secs(limits::SERVICE_STATUS_SECS);
        let period = self.watchdog.map_or(status_every, |all| all / limits::WATCHDOG_FEEDS);
        let period = period.clamp(Duration::from_millis(1), status_every);
        loop {
            let first = || Look { at: Instant::now(), beats: heartbeat.count(), told: Seen::now(metrics) };
            let at = self.last.borrow_mut().get_or_insert_with(first).at;
            sleep_until(at + period).await;
            let mut last = self.last.borrow_mut();
            let last = last.get_or_insert_with(first);
            last.at = Instant::now();
            let mut states = Vec::new();
            let beats_before = std::mem::replace(&mut last.beats, heartbeat.count());
            if self.watchdog.is_some() && last.beats != beats_before {
                states.push(NotifyState::Watchdog);
            }
            let mut status = None;
            if last.told.at.elapsed() >= status_every {
                let before = std::mem::replace(&mut last.told, Seen::now(metrics));
                status = Some(last.told.since(&before));
            }
            states.extend(status.as_deref().map(NotifyState::Status));
            if !states.is_empty() {
                (self.tell)(&states);
            }
        }
    }

    /// Asks for more time as long as draining gets on. One that hangs is ended by the
    /// manager when it likes.
    pub async fn drain(&self, metrics: &Metrics) -> Infallible {
        let mut counters = metrics.to_string();
        loop {
            sleep(Duration::from_secs(limits::SERVICE_DRAIN_SECS)).await;
            let before = std::mem::replace(&mut counters, metrics.to_string());
            if counters != before {
                (self.tell)(&[MORE_TIME]);
            }
        }
    }
}

/// How it went when [`Service::watch`] last looked.
struct Look {
    at: Instant,
    beats: u64,
    /// What the manager was told last.
    told: Seen,
}

/// Counters at some time.
struct Seen {
    at: Instant,
    n_datagrams: u64,
    n_records: u64,
    n_dropped: u64,
}

impl Seen {
    fn now(metrics: &Metrics) -> Self {
        Self {
            at: Instant::now(),
            n_datagrams: metrics.datagrams_received.get(),
            n_records: metrics.records_decoded.get(),
            n_dropped: metrics.datagrams_kernel_dropped.get(),
        }
    }

    /// What happened since, in words.
    fn since(&self, before: &Self) -> String {
        let secs = (self.at - before.at).as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / secs).round();
        let datagrams = rate(self.n_datagrams, before.n_datagrams);
        let records = rate(self.n_records, before.n_records);
        let dropped = self.n_dropped.saturating_sub(before.n_dropped);
        let loss =
            if dropped == 0 { String::new() } else { format!(", {dropped} datagrams dropped by the kernel") };
        if self.n_datagrams == before.n_datagrams && dropped == 0 {
            return format!("nothing received in the last {secs:.0} s");
        }
        format!("{datagrams:.0} datagrams/s, {records:.0} records/s{loss}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A service whose messages are kept, and these.
    fn service(watchdog: Option<Duration>) -> (Service, Arc<Mutex<Vec<String>>>) {
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&said);
        let tell = move |states: &[NotifyState<'_>]| {
            kept.lock().unwrap().extend(states.iter().map(ToString::to_string));
        };
        (Service { tell: Box::new(tell), watchdog, last: RefCell::default() }, said)
    }

    /// What is said in `secs` seconds by a clock that runs ahead.
    fn run<T>(secs: u64, future: impl Future<Output = T>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let ended = runtime
            .unwrap()
            .block_on(async { tokio::time::timeout(Duration::from_secs(secs), future).await.is_ok() });
        assert!(!ended, "it goes on");
    }

    #[test]
    fn a_receive_loop_that_stands_still_is_not_vouched_for() {
        let fed = |is_turning: bool| {
            let (service, said) = service(Some(Duration::from_secs(8)));
            let (heartbeat, metrics) = (Heartbeat::default(), Metrics::default());
            heartbeat.beat();
            run(9, async {
                let turn = async {
                    loop {
                        sleep(Duration::from_millis(200)).await;
                        if is_turning {
                            heartbeat.beat();
                        }
                    }
                };
                tokio::join!(turn, service.watch(&heartbeat, &metrics))
            });
            said.lock().unwrap().clone()
        };
        assert_eq!(fed(true), ["WATCHDOG=1"; limits::WATCHDOG_FEEDS as usize]);
        assert_eq!(fed(false), [""; 0]);
    }

    #[test]
    fn signals_that_keep_coming_starve_no_watchdog() {
        let (service, said) = service(Some(Duration::from_secs(8)));
        let (heartbeat, metrics) = (Heartbeat::default(), Metrics::default());
        run(9, async {
            loop {
                let watch = service.watch(&heartbeat, &metrics);
                let _ = tokio::time::timeout(Duration::from_millis(300), watch).await;
                heartbeat.beat();
            }
        });
        assert_eq!(*said.lock().unwrap(), ["WATCHDOG=1"; limits::WATCHDOG_FEEDS as usize]);
    }

    #[test]
    fn it_says_in_words_how_it_goes() {
        let (service, said) = service(None);
        let (heartbeat, metrics) = (Heartbeat::default(), Metrics::default());
        run(21, async {
            let receive = async {
                sleep(Duration::from_secs(15)).await;
                metrics.datagrams_received.add(100);
                metrics.records_decoded.add(3_000);
                metrics.datagrams_kernel_dropped.add(7);
                std::future::pending::<()>().await;
            };
            tokio::join!(receive, service.watch(&heartbeat, &metrics))
        });
        let expected = [
            "STATUS=nothing received in the last 10 s",
            "STATUS=10 datagrams/s, 300 records/s, 7 datagrams dropped by the kernel",
        ];
        assert_eq!(*said.lock().unwrap(), expected);
    }

    #[test]
    fn more_time_is_asked_for_only_while_draining_gets_on() {
        let (service, said) = service(None);
        let metrics = Metrics::default();
        run(60, async {
            let write = async {
                sleep(Duration::from_secs(7)).await;
                metrics.records_visible.add(1);
                std::future::pending::<()>().await;
            };
            tokio::join!(write, service.drain(&metrics))
        });
        assert_eq!(*said.lock().unwrap(), ["EXTEND_TIMEOUT_USEC=30000000"]);
    }

    #[test]
    fn a_reload_has_a_time_and_an_end() {
        let (service, said) = service(None);
        service.reloading();
        service.ready();
        service.stopping();
        let said = said.lock().unwrap();
        assert!(said[1].starts_with("MONOTONIC_USEC="), "{said:?}");
        assert_eq!(
            (said[0].as_str(), said[2].as_str(), said[3].as_str()),
            ("RELOADING=1", "READY=1", "STOPPING=1")
        );
    }
}
