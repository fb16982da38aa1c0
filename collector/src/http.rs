//! What is served over HTTP: metrics, health, version. Answers alone; `pipeline` has the
//! thread, the sockets and the bounds.

pub(crate) mod local;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flow_common::limits;
use flow_common::schema::SCHEMA_VERSION;
use flow_common::time::{Clock, Timestamp};

use crate::journal::Journal;
use crate::live::Window;
use crate::log::n_suppressed;
use crate::metrics::{Family, Metrics, exposition};
use crate::process::{self, DiskSpace};
use crate::service::Heartbeat;
use crate::status::Status;
use crate::stream::Protocol;

/// What answers are made from.
pub(crate) struct Observed {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) window: Arc<Window>,
    pub(crate) stream_listeners: Vec<(Protocol, SocketAddr)>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started_at: Timestamp,
    pub(crate) journal: Option<Arc<Journal>>,
    pub(crate) heartbeat: Arc<Heartbeat>,
    /// Where files are written; who answers must not read there, as disks hang.
    pub(crate) root: PathBuf,
    /// Room there.
    pub(crate) disk: Arc<DiskSpace>,
    /// Socket buffer the kernel was asked for, octets.
    pub(crate) buffer_bytes_asked: u64,
    pub(crate) progress: Progress,
    pub(crate) paces: Paces,
}

/// Datagrams of each listener in the last seconds, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Paces(Mutex<VecDeque<(Instant, Vec<u64>)>>);

impl Paces {
    /// Notes how many there were until now, once a second.
    fn note(&self, now: Instant, n: impl Iterator<Item = u64>) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.back().is_some_and(|(at, _)| now.duration_since(*at) < Duration::from_secs(1)) {
            return;
        }
        if noted.len() as u64 > limits::PACE_WINDOW_SECS {
            noted.pop_front();
        }
        noted.push_back((now, n.collect()));
    }

    /// Datagrams a second of each listener, given how many there are now.
    fn rates(&self, now: Instant, n: impl Iterator<Item = u64>) -> Vec<f64> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((at, before)) = noted.front() else { return Vec::new() };
        let secs = now.duration_since(*at).as_secs_f64().max(1.0);
        n.zip(before).map(|(now, before)| now.saturating_sub(*before) as f64 / secs).collect()
    }
}

/// When the receive loop last turned.
#[derive(Debug)]
pub(crate) struct Progress(Mutex<(u64, Instant)>);

impl Default for Progress {
    fn default() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }
}

impl Progress {
    /// How long the loop has stood still that turned `n_turns` times, as far as was
    /// looked.
    pub(crate) fn stands_still(&self, n_turns: u64) -> Duration {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0 != n_turns {
            *seen = (n_turns, Instant::now());
        }
        seen.1.elapsed()
    }
}

impl Observed {
    /// Looks whether the receive loop turns; now and then, also when nobody asks.
    pub(crate) fn look(&self) -> Duration {
        self.paces.note(Instant::now(), self.received());
        self.progress.stands_still(self.heartbeat.count())
    }

    /// Datagrams of each listener.
    fn received(&self) -> impl Iterator<Item = u64> {
        self.metrics.listeners().iter().map(|listener| listener.received.get())
    }

    /// Datagrams a second of each listener, over the last 10 s.
    pub(crate) fn rates(&self) -> Vec<f64> {
        self.paces.rates(Instant::now(), self.received())
    }

    /// Why the receive loop does not do its work, if so.
    fn stuck(&self) -> Option<String> {
        let still_secs = self.look().as_secs();
        let is_stuck = still_secs >= limits::RECEIVE_STUCK_SECS;
        is_stuck.then(|| format!("the receive loop has not turned for {still_secs} s"))
    }

    /// Everything that keeps the collector from taking data and keeping it.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.gather();
        let metrics = &self.metrics;
        let fault = |is_so: bool, text: &str| is_so.then(|| text.to_owned());
        let faults = [
            fault(metrics.listeners().is_empty() && self.stream_listeners.is_empty(), "no socket is bound"),
            self.stuck(),
            fault(metrics.disk_full.get() > 0, "the disk is full: what comes is dropped and counted"),
            fault(metrics.journal_failing.get() > 0, "the journal can't be written"),
        ];
        faults.into_iter().flatten().collect()
    }

    /// Reads the gauges that nobody sets.
    fn gather(&self) {
        let metrics = &self.metrics;
        metrics.log_lines_suppressed.set(n_suppressed());
        metrics.disk_free_bytes.set(self.disk.bytes().0);
        if let Some(journal) = self.journal.as_ref().map(|journal| journal.look()) {
            metrics.journal_bytes.set(journal.bytes);
            metrics.journal_bytes_max.set(journal.bytes_max);
            metrics.journal_segments.set(journal.n_segments);
            metrics.journal_position.set(journal.tail);
            metrics.journal_failing.set(journal.is_failing.into());
            if let Some(since) = journal.synced_since {
                let at_secs = self.clock.now().secs().saturating_sub_unsigned(since.as_secs());
                metrics.journal_synced_at_secs.set(at_secs.unsigned_abs());
            }
        }
    }

    async fn exposition(&self) -> String {
        self.gather();
        let shown = self.window.look().await;
        let mut families = self.metrics.families();
        families.extend(shown.families());
        families.extend(self.families_of_process());
        exposition(families)
    }

    fn families_of_process(&self) -> Vec<Family> {
        let version = ("version", env!("CARGO_PKG_VERSION").to_owned());
        let started_at_secs = self.started_at.secs().unsigned_abs();
        let gauge = |name, help, value: Option<u64>| Family::of(name, help, None, value.unwrap_or(0));
        vec![
            Family::of("flowcap_build_info", "1, for the version that runs", Some(version), 1),
            gauge(
                "process_resident_memory_bytes",
                "memory the process has in use",
                process::resident_bytes(),
            ),
            gauge("process_open_fds", "file descriptors the process has open", process::open_fds()),
            gauge(
                "process_start_time_seconds",
                "when the process started, seconds since 1970",
                Some(started_at_secs),
            ),
        ]
    }
}

/// All that is served.
pub(crate) fn router(observed: Arc<Observed>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/version", get(version))
        .route("/status", get(status))
        .fallback(not_found)
        .with_state(observed)
}

const INDEX: &str = "\
/metrics  counters, for Prometheus
/livez    200 while the receive loop turns, else 503
/readyz   200 while data is taken and kept, else 503 and why
/version  the version that runs
/status   what `flowcapd status` tells, as JSON
";

const JSON: &str = "application/json";

async fn index() -> &'static str {
    INDEX
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, format!("not found; there are\n{INDEX}")).into_response()
}

async fn metrics(State(observed): State<Arc<Observed>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    // Both read the same text; people with a browser see it instead of saving it.
    let content_type = if accept.contains("application/openmetrics-text") {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    };
    ([(CONTENT_TYPE, content_type)], observed.exposition().await).into_response()
}

async fn livez(State(observed): State<Arc<Observed>>) -> Response {
    health(observed.stuck().into_iter().collect())
}

async fn readyz(State(observed): State<Arc<Observed>>) -> Response {
    health(observed.faults())
}

fn health(faults: Vec<String>) -> Response {
    match faults.is_empty() {
        true => "ok\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, faults.join("\n") + "\n").into_response(),
    }
}

async fn version() -> Response {
    let version = serde_json::json!({
        "name": "flowcapd",
        "version": env!("CARGO_PKG_VERSION"),
        "schema_version": SCHEMA_VERSION,
    });
    ([(CONTENT_TYPE, JSON)], format!("{version}\n")).into_response()
}

async fn status(State(observed): State<Arc<Observed>>) -> Response {
    observed.gather();
    let shown = observed.window.look().await;
    match serde_json::to_string(&Status::of(&observed, &shown)) {
        Ok(json) => ([(CONTENT_TYPE, JSON)], json + "\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn observed() -> Observed {
        Observed {
            metrics: Arc::default(),
            window: Arc::default(),
            stream_listeners: vec![(Protocol::Tcp, SocketAddr::from(([127, 0, 0, 1], 4739)))],
            clock: Arc::new(SystemClock),
            started_at: Timestamp::default(),
            journal: None,
            heartbeat: Arc::default(),
            root: PathBuf::from("/"),
            disk: Arc::default(),
            buffer_bytes_asked: 0,
            progress: Progress::default(),
            paces: Paces::default(),
        }
    }

    /// A loop that last turned so long ago.
    fn turned(secs: u64) -> Progress {
        Progress(Mutex::new((0, Instant::now().checked_sub(Duration::from_secs(secs)).unwrap())))
    }

    #[test]
    fn what_keeps_data_from_being_taken_and_kept_is_a_fault() {
        let check = |change: fn(&mut Observed), expected: &[&str]| {
            let mut observed = observed();
            change(&mut observed);
            assert_eq!(observed.faults(), expected);
        };
        check(|_| {}, &[]);
        check(|observed| observed.stream_listeners.clear(), &["no socket is bound"]);
        check(
            |observed| observed.metrics.disk_full.set(1),
            &["the disk is full: what comes is dropped and counted"],
        );
        check(|observed| observed.metrics.journal_failing.set(1), &["the journal can't be written"]);
        check(|observed| observed.progress = turned(1), &[]);
        check(
            |observed| {
                observed.progress = turned(60);
                observed.heartbeat.beat();
            },
            &[],
        );
        let stuck = Observed { progress: turned(limits::RECEIVE_STUCK_SECS), ..observed() };
        assert!(stuck.faults()[0].starts_with("the receive loop has not turned for 1"));
        assert_eq!(stuck.faults().len(), 1);
    }

    #[test]
    fn a_fault_answers_503_with_its_reason() {
        let answer = health(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(health(Vec::new()).status(), StatusCode::OK);
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let (paces, start) = (Paces::default(), Instant::now());
        for secs in 0..30 {
            paces.note(start + Duration::from_secs(secs), [100 * secs, 0].into_iter());
        }
        let now = start + Duration::from_secs(29);
        assert_eq!(paces.rates(now, [2_900, 0].into_iter()), [100.0, 0.0]);
        assert_eq!(paces.0.lock().unwrap().len() as u64, limits::PACE_WINDOW_SECS + 1);
    }
}
