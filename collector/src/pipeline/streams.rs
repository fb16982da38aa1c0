//! The stream thread: accepts connections and runs a task for each. One bad
//! connection ends alone; nothing a peer does ends the listener.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flow_common::limits;
use ipnet::IpNet;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::config::Config;
use crate::control::Watch;
use crate::datagram::{Transport, TransportSession};
use crate::hash::HashMap;
use crate::log::{LogLimit, more};
use crate::stream::connection::{Shared, read_messages};
use crate::stream::tls::{Identity, end_of_handshake};
use crate::stream::{End, Protocol, StreamListener};

/// How often the thread looks whether it should stop or read its certificates again.
const TICK: Duration = Duration::from_millis(100);

/// The stream thread, before it runs.
pub(super) struct StreamThread {
    pub(super) listeners: Vec<StreamListener>,
    pub(super) identity: Option<Identity>,
    /// Whose connections are taken; empty: everyone's.
    pub(super) allow: Vec<IpNet>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) control: Watch,
}

/// What all tasks share.
struct Server {
    shared: Shared,
    identity: RefCell<Option<Identity>>,
    allow: RefCell<Vec<IpNet>>,
    /// Connections open, by address.
    open: RefCell<HashMap<IpAddr, usize>>,
    n_open: Cell<usize>,
    n_connections: Cell<u64>,
    handshakes: Semaphore,
    stopping: watch::Sender<bool>,
    log: RefCell<LogLimit<End>>,
}

/// How a connection ended, and what is known beyond that.
type Ended = (End, Option<io::Error>);

impl StreamThread {
    /// Serves until it should stop, then until the last connection has ended.
    /// Connections are numbered from `first` on.
    pub(super) fn run(self, shared: Shared, first: u64) -> Result<(), String> {
        let queue = Arc::clone(&shared.queue);
        let stop = Arc::clone(&self.stop);
        let result = self.serve(shared, first);
        if result.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        queue.finish();
        result.map_err(|error| format!("cannot accept connections: {error}"))
    }

    fn serve(self, shared: Shared, first: u64) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let tasks = LocalSet::new();
        let server = Rc::new(Server {
            handshakes: Semaphore::new(shared.bounds.handshakes),
            shared,
            identity: RefCell::new(self.identity),
            allow: RefCell::new(self.allow),
            open: RefCell::default(),
            n_open: Cell::default(),
            n_connections: Cell::new(first),
            stopping: watch::Sender::new(false),
            log: RefCell::default(),
        });
        let (listeners, stop, control) = (self.listeners, self.stop, self.control);
        runtime.block_on(tasks.run_until(async {
            for listener in listeners {
                listener.socket.set_nonblocking(true)?;
                let socket = TcpListener::from_std(listener.socket.try_clone()?)?;
                spawn_local(Rc::clone(&server).accept(listener, socket));
            }
            server.watch(&stop, control).await;
            Ok::<_, io::Error>(())
        }))?;
        runtime.block_on(tasks);
        Ok(())
    }
}

impl Server {
    /// Waits for the end of the program; looks after the certificates meanwhile.
    async fn watch(&self, stop: &AtomicBool, mut control: Watch) {
        let mut looked_at = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            sleep(TICK).await;
            let config = control.take().and_then(|asked| asked.config);
            if let Some(config) = &config {
                self.allow.borrow_mut().clone_from(&config.allow);
            }
            if config.is_some() || looked_at.elapsed().as_secs() >= limits::CERTIFICATE_CHECK_SECS {
                looked_at = Instant::now();
                self.reload(config.as_deref());
            }
        }
        self.stopping.send_replace(true);
    }

    /// Reads certificates again, those of new settings where there are any;
    /// connections that are open keep what they have.
    fn reload(&self, config: Option<&Config>) {
        let mut identity = self.identity.borrow_mut();
        let Some(identity) = identity.as_mut() else { return };
        let files = config.and_then(|config| config.streams.identity.clone());
        match identity.reload(files) {
            Ok(true) => {
                self.shared.metrics.certificates_reloaded.add(1);
                tracing::info!("certificates were read again");
            }
            Ok(false) => {}
            Err(error) => {
                self.shared.metrics.certificate_errors.add(1);
                tracing::error!("{error}; connections still get the certificate of before");
            }
        }
    }

    async fn accept(self: Rc<Self>, listener: StreamListener, socket: TcpListener) {
        let mut stopping = self.stopping.subscribe();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer, &listener),
                Err(error) => {
                    self.shared.metrics.accept_errors.add(1);
                    let now = self.shared.clock.now();
                    let allowed = self.log.borrow_mut().allow(listener.addr.ip(), End::TooMany, now);
                    if let Some(n_suppressed) = allowed {
                        let more = more(n_suppressed);
                        tracing::warn!("cannot accept a connection on {}: {error}{more}", listener.addr);
                    }
                    sleep(Duration::from_millis(limits::ACCEPT_PAUSE_MS)).await;
                }
            }
        }
    }

    /// Takes or refuses a connection.
    fn take(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, listener: &StreamListener) {
        let metrics = &self.shared.metrics;
        metrics.connections_accepted.add(1);
        metrics.connections_open.add(1);
        let ip = peer.ip().to_canonical();
        let protocol = listener.protocol;
        if let Err(end) = self.admit(ip) {
            return self.note_end(peer, protocol, (end, None));
        }
        // A peer that vanished is noticed sooner; without, the idle time ends it.
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(limits::KEEPALIVE_SECS));
        let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        let connection = self.n_connections.get();
        self.n_connections.set(connection + 1);
        let transport = match protocol {
            Protocol::Tcp => Transport::Tcp { connection },
            Protocol::Tls => Transport::Tls { connection },
        };
        let session = TransportSession { peer, listener: listener.id, transport };
        let server = Rc::clone(self);
        spawn_local(async move {
            let ended = server.read(stream, session).await;
            server.release(ip);
            server.note_end(peer, protocol, ended);
        });
    }

    /// Counts a connection in, if there is room for it.
    fn admit(&self, ip: IpAddr) -> Result<(), End> {
        let bounds = self.shared.bounds;
        let allow = self.allow.borrow();
        if !allow.is_empty() && !allow.iter().any(|prefix| prefix.contains(&ip)) {
            return Err(End::NotAllowed);
        }
        if self.n_open.get() >= bounds.connections {
            return Err(End::TooMany);
        }
        let mut open = self.open.borrow_mut();
        let of_address = open.entry(ip).or_default();
        if *of_address >= bounds.connections_per_address {
            return Err(End::TooManyOfAddress);
        }
        *of_address += 1;
        self.n_open.set(self.n_open.get() + 1);
        Ok(())
    }

    fn release(&self, ip: IpAddr) {
        let mut open = self.open.borrow_mut();
        if let Some(of_address) = open.get_mut(&ip) {
            *of_address -= 1;
            if *of_address == 0 {
                open.remove(&ip);
            }
        }
        self.n_open.set(self.n_open.get() - 1);
    }

    /// Reads a connection to its end.
    async fn read(&self, stream: TcpStream, session: TransportSession) -> Ended {
        let mut stopping = self.stopping.subscribe();
        if !matches!(session.transport, Transport::Tls { .. }) {
            return read_messages(stream, session, &self.shared, stopping).await;
        }
        let handshake = async {
            // Whoever waits here has no more time for it than the others.
            let _permit = self.handshakes.acquire().await.map_err(io::Error::other)?;
            let acceptor = self.identity.borrow().as_ref().map(Identity::acceptor);
            acceptor.ok_or_else(|| io::Error::other("no certificate"))?.accept(stream).await
        };
        let stream = tokio::select! {
            _ = stopping.wait_for(|is_stopping| *is_stopping) => return (End::Stopped, None),
            result = timeout(self.shared.bounds.handshake, handshake) => match result {
                Err(_) => return (End::SlowHandshake, None),
                Ok(Err(error)) => return (end_of_handshake(&error), Some(error)),
                Ok(Ok(stream)) => stream,
            },
        };
        read_messages(stream, session, &self.shared, self.stopping.subscribe()).await
    }

    /// Counts and tells how a connection ended.
    fn note_end(&self, peer: SocketAddr, protocol: Protocol, (end, error): Ended) {
        let metrics = &self.shared.metrics;
        metrics.connections_open.subtract(1);
        metrics.connections_ended[end as usize].add(1);
        let now = self.shared.clock.now();
        let Some(n_suppressed) = self.log.borrow_mut().allow(peer.ip().to_canonical(), end, now) else {
            return;
        };
        let reason = error.map(|error| format!(": {error}")).unwrap_or_default();
        let more = more(n_suppressed);
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let (name, message) = (protocol.name(), end.message());
        if end.is_orderly() {
            tracing::info!("{peer}: {name} connection {message}{reason}{more}");
        } else {
            tracing::warn!("{peer}: {name} connection {message}{reason}{more}");
        }
    }
}
