//! The HTTP thread: one request a connection, each bounded in size, time and number, so
//! that whoever comes hurts nobody else.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use flow_common::limits;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::hash::HashMap;
use crate::http::local::LocalSocket;
use crate::http::{Observed, router};
use crate::log::{LogLimit, more};
use crate::metrics::Metrics;

/// How often the thread looks whether it should end, and whether the receive loop turns.
const TICK: Duration = Duration::from_millis(200);

/// The HTTP thread, before it runs.
pub(super) struct Serving {
    pub(super) tcp: Option<TcpListener>,
    pub(super) local: Option<LocalSocket>,
    pub(super) observed: Arc<Observed>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Serving {
    /// Serves until it should stop. A failure ends the service, not the collector.
    pub(super) fn run(self) {
        if let Err(error) = self.serve() {
            tracing::error!("status and metrics are not served any more: {error}");
        }
    }

    fn serve(self) -> io::Result<()> {
        let Self { tcp, local, observed, stop } = self;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let server = Rc::new(Server {
            router: router(Arc::clone(&observed)),
            metrics: Arc::clone(&observed.metrics),
            open: RefCell::default(),
            log: RefCell::default(),
            observed: Arc::clone(&observed),
        });
        let tasks = LocalSet::new();
        // What is under way at the end is dropped with the tasks.
        runtime.block_on(tasks.run_until(async {
            if let Some(listener) = tcp {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                spawn_local(Rc::clone(&server).accept_tcp(listener));
            }
            if let Some(local) = &local {
                let listener = tokio::net::UnixListener::from_std(local.listener()?)?;
                spawn_local(Rc::clone(&server).accept_local(listener));
            }
            while !stop.load(Ordering::Relaxed) {
                observed.look();
                sleep(TICK).await;
            }
            Ok(())
        }))
    }
}

/// Who is at the other end: an address, or someone on this machine.
type Client = Option<IpAddr>;

/// What all connections share.
struct Server {
    router: Router,
    metrics: Arc<Metrics>,
    observed: Arc<Observed>,
    /// Connections open, by client.
    open: RefCell<HashMap<Client, usize>>,
    log: RefCell<LogLimit<&'static str>>,
}

impl Server {
    async fn accept_tcp(self: Rc<Self>, listener: tokio::net::TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.take(stream, Some(peer.ip().to_canonical())),
                Err(error) => self.pause(&error).await,
            }
        }
    }

    async fn accept_local(self: Rc<Self>, listener: tokio::net::UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.take(stream, None),
                Err(error) => self.pause(&error).await,
            }
        }
    }

    /// Waits a little after an error, for want of descriptors as a rule.
    async fn pause(&self, error: &io::Error) {
        self.metrics.accept_errors.add(1);
        let now = self.observed.clock.now();
        let nobody = IpAddr::from([0, 0, 0, 0]);
        if let Some(n_suppressed) = self.log.borrow_mut().allow(nobody, "accept", now) {
            let more = more(n_suppressed);
            tracing::warn!("cannot accept an HTTP connection: {error}{more}");
        }
        sleep(Duration::from_millis(limits::ACCEPT_PAUSE_MS)).await;
    }

    /// Answers one request, if there is room for whoever asks.
    fn take<S>(self: &Rc<Self>, stream: S, client: Client)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        if !self.admit(client) {
            self.metrics.http_refused.add(1);
            return;
        }
        let server = Rc::clone(self);
        spawn_local(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(limits::HTTP_HEADER_SECS_MAX))
                .max_buf_size(limits::HTTP_HEADER_BYTES_MAX)
                .max_headers(limits::HTTP_HEADERS_MAX)
                .keep_alive(false);
            let service = TowerToHyperService::new(server.router.clone());
            let connection = http.serve_connection(TokioIo::new(stream), service);
            // How it ends is the client's affair.
            let _ = timeout(Duration::from_secs(limits::HTTP_CONNECTION_SECS_MAX), connection).await;
            server.release(client);
        });
    }

    fn admit(&self, client: Client) -> bool {
        let mut open = self.open.borrow_mut();
        if open.values().sum::<usize>() >= limits::HTTP_CONNECTIONS_MAX {
            return false;
        }
        let of_client = open.entry(client).or_default();
        let has_room = *of_client < limits::HTTP_CONNECTIONS_PER_ADDRESS_MAX;
        *of_client += usize::from(has_room);
        has_room
    }

    fn release(&self, client: Client) {
        let mut open = self.open.borrow_mut();
        if let Some(of_client) = open.get_mut(&client) {
            *of_client -= 1;
            if *of_client == 0 {
                open.remove(&client);
            }
        }
    }
}

/// Binds the address of `--http`.
pub(super) fn bind(addr: SocketAddr) -> Result<TcpListener, crate::socket::BindError> {
    let failed = |source| crate::socket::BindError { addr, source };
    let listener = TcpListener::bind(addr).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}
