//! The only place that starts threads and connects them.
//!
//! ```text
//! receive ─queue→ decode ─channel→ write ─channel→ publish
//! streams ──┘
//!    └─ journal ← sync
//! ```
//!
//! Shutdown runs the same way: the receiver empties the sockets and closes the
//! queue, the decoder empties the queue and closes the channel, the writer commits
//! what is left, and it is published.

#[cfg(test)]
mod churning;
#[cfg(test)]
mod clocks;
mod compacting;
mod decoding;
mod doors;
mod echoing;
#[cfg(test)]
mod failing;
mod opening;
mod publishing;
mod receive;
mod retiring;
mod serving;
mod streams;
mod writing;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use flow_common::limits;
use flow_common::time::Clock;
use nix::fcntl::Flock;

use self::compacting::Compacting;
use self::decoding::Decode;
use self::doors::{Doors, Input};
use self::opening::Journaled;
use self::receive::{Receive, read_capture};
use self::retiring::Retiring;
use self::serving::Serving;
use self::streams::StreamThread;
use self::writing::{ToWriter, Writing};
use crate::config::{Changes, Config, Source};
use crate::control::Control;
use crate::exec::{Hooks, exec};
use crate::fs::RealFs;
use crate::http::local::LocalSocket;
use crate::http::{Observed, Paces, Progress};
use crate::inherit::Inherited;
use crate::inherit::counted::{Counted, SOCKETS};
use crate::journal::Journal;
use crate::live::Window;
use crate::log::n_suppressed;
use crate::metrics::Metrics;
use crate::process::DiskSpace;
use crate::queue::Queue;
use crate::repeat::{Repeater, Repeating};
use crate::service::Heartbeat;
use crate::socket::Receiver;
use crate::stream::connection::Shared;
use crate::stream::tls::Identity;
use crate::stream::{Protocol, StreamBounds, affordable};
use crate::trees::Routes;
use crate::writer::Store;

/// A collector could not start.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl StartError {
    fn new(error: impl std::fmt::Display, hint: impl Into<Option<String>>) -> Self {
        Self { message: error.to_string(), hint: hint.into() }
    }
}

/// What a collector did, once it has ended.
#[derive(Debug)]
pub struct Summary {
    /// Every counter.
    pub metrics: Arc<Metrics>,
    /// Why it did not do all it should: a capture cut off, a file not written.
    pub failure: Option<String>,
}

/// A running collector.
#[derive(Debug)]
pub struct Running {
    listeners: Vec<SocketAddr>,
    granted_bytes: Option<usize>,
    keeps_sources: bool,
    stream_listeners: Vec<(Protocol, SocketAddr)>,
    stop: Arc<AtomicBool>,
    control: Arc<Control>,
    heartbeat: Arc<Heartbeat>,
    metrics: Arc<Metrics>,
    receive: JoinHandle<Result<(), String>>,
    streams: Option<JoinHandle<Result<(), String>>>,
    decode: JoinHandle<()>,
    write: JoinHandle<Result<(), String>>,
    publish: JoinHandle<Result<(), String>>,
    /// The journal is synced until this goes.
    sync: Option<(Sender<()>, JoinHandle<()>)>,
    /// No other collector writes to this tree.
    lock: Option<Flock<std::fs::File>>,
    echo: Option<JoinHandle<()>>,
    exec: Option<JoinHandle<()>>,
    repeat: Option<JoinHandle<()>>,
    /// Those that look after files, by name.
    tending: Vec<(&'static str, JoinHandle<()>)>,
    serving: Option<HttpThread>,
    is_capture: bool,
}

/// The thread that answers HTTP, and what ends it.
#[derive(Debug)]
struct HttpThread {
    addr: Option<SocketAddr>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Addresses listened on, with the ports the system chose.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// Receive buffer of each UDP socket as the kernel granted it, octets; the smallest.
    pub fn granted_bytes(&self) -> Option<usize> {
        self.granted_bytes
    }

    /// Whether all that is repeated comes from its exporter's address.
    pub fn keeps_sources(&self) -> bool {
        self.keeps_sources
    }

    /// Addresses where connections are accepted.
    pub fn stream_listeners(&self) -> &[(Protocol, SocketAddr)] {
        &self.stream_listeners
    }

    /// Where it serves HTTP, with the port the system chose.
    pub fn http(&self) -> Option<SocketAddr> {
        self.serving.as_ref()?.addr
    }

    /// Asks it to read its certificates again; open connections stay.
    pub fn reload(&self) {
        self.control.set(self.control.config());
    }

    /// Lets it go by what a running collector takes over of `config`, without losing a
    /// datagram. Certificates that can't be used leave all as it is.
    pub fn apply(&self, config: &Config) -> Result<Changes, StartError> {
        let (live, changes) = self.control.config().taking(config);
        if let Some(identity) = live.streams.identity.clone().filter(|_| !live.streams.tls.is_empty()) {
            Identity::load(identity).map_err(|error| StartError::new(&error, error.hint().to_owned()))?;
        }
        self.control.set(Arc::new(live));
        Ok(changes)
    }

    /// Asks it to close the open slot: its file becomes visible, and what still comes
    /// goes to another one.
    pub fn rotate(&self) {
        self.control.rotate();
    }

    /// Asks it to drain and end; returns at once.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it has ended by itself: the capture is read, or the sockets failed.
    pub fn is_finished(&self) -> bool {
        self.publish.is_finished()
    }

    /// Its counters so far.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Turns of its receive loop.
    pub fn heartbeat(&self) -> &Arc<Heartbeat> {
        &self.heartbeat
    }

    /// Waits for the end.
    pub fn wait(self) -> Summary {
        let failed = |name| Err(format!("the {name} thread failed; this is a bug"));
        let received = self.receive.join().unwrap_or_else(|_| failed("receive"));
        let streamed =
            self.streams.map_or(Ok(()), |streams| streams.join().unwrap_or_else(|_| failed("stream")));
        let decoded = self.decode.join().or_else(|_| failed("decode"));
        let written = self.write.join().unwrap_or_else(|_| failed("write"));
        let published = self.publish.join().unwrap_or_else(|_| failed("publish"));
        let synced = self.sync.map_or(Ok(()), |(sender, sync)| {
            drop(sender);
            sync.join().or_else(|_| failed("sync"))
        });
        let tended = self.tending.into_iter().map(|(name, thread)| thread.join().or_else(|_| failed(name)));
        let tended: Vec<_> = tended.collect();
        let ended = [streamed, decoded, written, published, synced];
        let failure = ended.into_iter().chain(tended).fold(received, Result::and).err();
        if let Some(serving) = self.serving {
            // It answered until here: also how the end goes can be watched.
            serving.stop.store(true, Ordering::Relaxed);
            let _ = serving.thread.join();
        }
        drop(self.lock);
        if let Some(echo) = self.echo {
            // All of a capture is printed; nobody waits for a reader that stalls.
            let until = Instant::now() + Duration::from_millis(limits::ECHO_DRAIN_MS_MAX);
            while !echo.is_finished() && (self.is_capture || Instant::now() < until) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if let Some(repeat) = self.repeat {
            let until = Instant::now() + Duration::from_millis(limits::REPEAT_DRAIN_MS_MAX);
            while !repeat.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if let Some(exec) = self.exec {
            let until = Instant::now() + Duration::from_millis(limits::COMMANDS_DRAIN_MS_MAX);
            while !exec.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            let n_left = self.metrics.commands_waiting.get();
            if n_left > 0 {
                tracing::warn!("{n_left} commands have not ended; those not begun are left out");
            }
        }
        self.metrics.log_lines_suppressed.set(n_suppressed());
        Summary { metrics: self.metrics, failure }
    }
}

/// Binds the sockets, or opens the capture, and starts collecting. Records are
/// printed to `echo` where there is one.
pub fn start(
    config: &Config,
    clock: Arc<dyn Clock>,
    echo: Option<Box<dyn Write + Send>>,
) -> Result<Running, StartError> {
    start_inheriting(config, Inherited::default(), clock, echo)
}

/// Starts collecting with sockets that someone else bound; what is asked for and not
/// among them is bound.
pub fn start_inheriting(
    config: &Config,
    inherited: Inherited,
    clock: Arc<dyn Clock>,
    echo: Option<Box<dyn Write + Send>>,
) -> Result<Running, StartError> {
    let mut doors = Doors::open(config, inherited)?;
    let keeps_sources = doors.repeating.as_ref().is_none_or(|one| one.thread.keeps_sources());
    let is_capture = matches!(config.source, Source::Capture(_));
    let home = opening::home(RealFs::shared(), config)?;
    let counted =
        Arc::new(Counted::restore(home.state_directory().join(SOCKETS), doors.input.listeners_mut()));
    let routes = opening::routes(config, &home);
    let (mut lock, mut journaled) = (None, None);
    // A capture is decoded the same whatever was seen before it, and can be read again.
    if !is_capture {
        lock = Some(opening::lock(&home)?);
        let bytes_max = config.bounds.journal_bytes;
        let addrs = doors.listener_addrs();
        journaled = Some(opening::journal(&home, addrs, bytes_max, &*clock, &doors.metrics)?);
    }
    let journal = journaled.as_ref().map(|journaled| Arc::clone(&journaled.journal));
    let shared = Common::new(config, &doors, journal, counted, clock);
    let (repeater, repeat) = doors.repeating.take().map(start_repeat).transpose()?.unzip();
    let has_streams = doors.streams.is_some();
    let streams = doors.streams.take().map(|streams| shared.start_streams(config, streams)).transpose()?;
    shared.disk.read(&config.root);
    let observed = shared.observed(config, &doors.stream_listeners);
    let serving = observed.map(|observed| serve(config, doors.http.take(), observed)).transpose()?;
    let receive = shared.start_receive(config, doors.input, repeater, has_streams)?;
    let echo = echo.map(|out| echoing::echo(out, is_capture, Arc::clone(&shared.metrics)));
    let (echo, echo_thread) = echo.unzip();
    let echo_thread = echo_thread.map(|thread| spawn("echo", move || thread.run())).transpose()?;
    let Writers { batches, write, publish, exec } = shared.start_write(config, &home, &routes, is_capture)?;
    let tending = if is_capture { Vec::new() } else { shared.start_tending(&doors.control)? };
    let decode = Decode::new(config, routes, Arc::clone(&shared.metrics), batches, echo)
        .with_window(Arc::clone(&shared.window))
        .with_tables(opening::read_tables(&home))
        .with_control(doors.control.watch())
        .with_stop(Arc::clone(&shared.stop), Duration::from_millis(limits::ENDING_DECODE_MS_MAX));
    let sync = shared.journal.clone().map(|journal| shared.start_sync(journal)).transpose()?;
    let decode = shared.start_decode(decode, journaled, home)?;
    Ok(Running {
        listeners: doors.listeners,
        granted_bytes: doors.granted_bytes,
        keeps_sources,
        stream_listeners: doors.stream_listeners,
        stop: doors.stop,
        control: doors.control,
        heartbeat: shared.heartbeat,
        metrics: shared.metrics,
        receive,
        streams,
        decode,
        write,
        publish,
        sync,
        lock,
        echo: echo_thread,
        exec,
        repeat,
        tending,
        serving,
        is_capture,
    })
}

/// A thread that may fail.
type Ending = JoinHandle<Result<(), String>>;

/// The threads behind the decoder, and where it sends to.
struct Writers {
    batches: SyncSender<ToWriter>,
    write: Ending,
    publish: Ending,
    exec: Option<JoinHandle<()>>,
}

/// What several threads have in common.
struct Common {
    queue: Arc<Queue>,
    journal: Option<Arc<Journal>>,
    counted: Arc<Counted>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    stop: Arc<AtomicBool>,
    heartbeat: Arc<Heartbeat>,
    window: Arc<Window>,
    disk: Arc<DiskSpace>,
}

impl Common {
    fn new(
        config: &Config,
        doors: &Doors,
        journal: Option<Arc<Journal>>,
        counted: Arc<Counted>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let n_senders = 1 + usize::from(doors.streams.is_some());
        Self {
            queue: Arc::new(Queue::new(config.bounds.queue_bytes, n_senders, journal.clone())),
            journal,
            counted,
            clock,
            metrics: Arc::clone(&doors.metrics),
            stop: Arc::clone(&doors.stop),
            heartbeat: Arc::default(),
            window: Arc::default(),
            disk: Arc::default(),
        }
    }

    fn start_streams(&self, config: &Config, streams: StreamThread) -> Result<Ending, StartError> {
        let bounds = config.streams.bounds;
        let bounds = StreamBounds { connections: affordable(bounds.connections), ..bounds };
        let (queue, clock, metrics) =
            (Arc::clone(&self.queue), Arc::clone(&self.clock), Arc::clone(&self.metrics));
        // Numbers that no earlier run has used for a connection.
        let first = self.journal.as_ref().map_or(0, |journal| journal.live_from());
        spawn("streams", move || streams.run(Shared::new(queue, clock, metrics, bounds), first))
    }

    fn start_receive(
        &self,
        config: &Config,
        input: Input,
        repeater: Option<Repeater>,
        has_streams: bool,
    ) -> Result<Ending, StartError> {
        let (queue, metrics, stop) =
            (Arc::clone(&self.queue), Arc::clone(&self.metrics), Arc::clone(&self.stop));
        let listeners = match input {
            Input::Listeners(listeners) => listeners,
            Input::Capture(capture) => {
                return spawn("receive", move || {
                    read_capture(capture, &queue, &metrics, &stop).map_err(|error| error.to_string())
                });
            }
        };
        let receive = Receive {
            receiver: Receiver::new(listeners),
            repeater,
            clock: Arc::clone(&self.clock),
            stop,
            metrics,
            heartbeat: Arc::clone(&self.heartbeat),
            counted: Arc::clone(&self.counted),
            // With connections, ports for datagrams may well be silent.
            silent_after: (!has_streams).then_some(Duration::from_secs(config.bounds.silent_listener_secs)),
        };
        spawn("receive", move || receive.run(&queue))
    }

    fn start_decode(
        &self,
        mut decode: Decode,
        journaled: Option<Journaled>,
        home: Arc<Store>,
    ) -> Result<JoinHandle<()>, StartError> {
        if let Some(Journaled { journal, listeners, snapshot }) = journaled {
            let replay_from = journal.replay_from();
            decode = decode.with_state(listeners, snapshot.as_ref()).with_journal(journal, replay_from);
        }
        let queue = Arc::clone(&self.queue);
        spawn("decode", move || {
            let _closing = queue.close_on_drop();
            decode.replay();
            opening::replayed(&home);
            decode.run(&queue);
        })
    }

    /// Starts the threads that write and publish, and one for commands; what is sent to the
    /// first of them goes through all.
    fn start_write(
        &self,
        config: &Config,
        home: &Arc<Store>,
        routes: &Routes,
        is_capture: bool,
    ) -> Result<Writers, StartError> {
        let (sender, batches) = sync_channel(limits::WRITER_QUEUE_BATCHES);
        let (publisher, slots) = channel();
        let mut write =
            Writing::new(Arc::clone(home), self.journal.clone(), Arc::clone(&self.metrics), publisher);
        if !is_capture {
            for (id, tree) in routes.iter() {
                write.adopt(id, tree.clone()).map_err(|error| StartError::new(error, None))?;
            }
        }
        let write = spawn("write", move || write.run(&batches))?;
        let (hooks, exec) = start_exec(config, &self.metrics)?;
        let metrics = Arc::clone(&self.metrics);
        let publish = spawn("publish", move || publishing::run(&slots, &hooks, &metrics))?;
        Ok(Writers { batches: sender, write, publish, exec })
    }

    /// Starts the thread that syncs the journal, and keeps what was counted on sockets,
    /// until the sender goes.
    fn start_sync(&self, journal: Arc<Journal>) -> Result<(Sender<()>, JoinHandle<()>), StartError> {
        let counted = Arc::clone(&self.counted);
        let (sender, receiver) = channel();
        let pause = Duration::from_millis(limits::JOURNAL_SYNC_MS);
        let run = move || {
            while receiver.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                journal.sync();
                counted.save();
            }
            counted.save();
        };
        Ok((sender, spawn("sync", run)?))
    }

    /// Starts the threads that look after files.
    fn start_tending(
        &self,
        control: &Arc<Control>,
    ) -> Result<Vec<(&'static str, JoinHandle<()>)>, StartError> {
        let (clock, stop) = (Arc::clone(&self.clock), Arc::clone(&self.stop));
        let retiring = Retiring { control: Arc::clone(control), clock, stop, disk: Arc::clone(&self.disk) };
        let (clock, stop) = (Arc::clone(&self.clock), Arc::clone(&self.stop));
        let metrics = Arc::clone(&self.metrics);
        let compacting = Compacting { control: Arc::clone(control), clock, stop, metrics };
        Ok(vec![
            ("retention", spawn("retention", move || retiring.run())?),
            ("compaction", spawn("compaction", move || compacting.run())?),
        ])
    }

    /// What status and metrics are made from; a capture has none.
    fn observed(&self, config: &Config, stream_listeners: &[(Protocol, SocketAddr)]) -> Option<Observed> {
        matches!(config.source, Source::Listen(_)).then(|| Observed {
            metrics: Arc::clone(&self.metrics),
            window: Arc::clone(&self.window),
            stream_listeners: stream_listeners.to_vec(),
            clock: Arc::clone(&self.clock),
            started_at: self.clock.now(),
            journal: self.journal.clone(),
            heartbeat: Arc::clone(&self.heartbeat),
            root: config.root.clone(),
            disk: Arc::clone(&self.disk),
            buffer_bytes_asked: config.socket.buffer_bytes.unwrap_or(limits::SOCKET_BUFFER_BYTES) as u64,
            progress: Progress::default(),
            paces: Paces::default(),
        })
    }
}

/// Serves what is asked for over HTTP.
fn serve(config: &Config, tcp: Option<TcpListener>, observed: Observed) -> Result<HttpThread, StartError> {
    let local = LocalSocket::bind(&config.root)
        .inspect_err(|error| tracing::warn!("`flowcapd status` can't ask this collector: {error}"));
    let addr = tcp.as_ref().and_then(|tcp| tcp.local_addr().ok());
    let stop = Arc::new(AtomicBool::new(false));
    let serving = Serving { tcp, local: local.ok(), observed: Arc::new(observed), stop: Arc::clone(&stop) };
    let thread = spawn("http", move || serving.run())?;
    Ok(HttpThread { addr, stop, thread })
}

/// What is told of files that have appeared, and the thread that runs a command for each.
fn start_exec(
    config: &Config,
    metrics: &Arc<Metrics>,
) -> Result<(Hooks, Option<JoinHandle<()>>), StartError> {
    let Some(template) = config.exec.clone() else { return Ok((Hooks::default(), None)) };
    let (hooks, thread) = exec(template, config.commands_max, Arc::clone(metrics));
    Ok((hooks, Some(spawn("exec", move || thread.run())?)))
}

fn start_repeat(repeating: Repeating) -> Result<(Repeater, JoinHandle<()>), StartError> {
    let Repeating { repeater, thread, look_up } = repeating;
    if let Some(look_up) = look_up {
        // Nobody waits for it: the system's resolver may hang.
        spawn("look-up", move || look_up.run())?;
    }
    Ok((repeater, spawn("repeat", move || thread.run())?))
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    Builder::new().name(name.to_owned()).spawn(run).map_err(|error| StartError::new(error, None))
}
