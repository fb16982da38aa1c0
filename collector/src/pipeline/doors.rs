//! Everything that is open to the outside: sockets, connections, captures. It is opened
//! first, as some of it needs privileges that are then given up.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::StartError;
use super::streams::StreamThread;
use crate::capture::Capture;
use crate::config::{Config, Source};
use crate::control::Control;
use crate::datagram::ListenerId;
use crate::inherit::{Held, Inherited};
use crate::journal::ListenerAddr;
use crate::metrics::Metrics;
use crate::repeat::{Repeating, repeat};
use crate::socket::{BindError, Listener, SocketOptions};
use crate::stream::tls::Identity;
use crate::stream::{Protocol, StreamListener, Streams};

/// What a collector has open to the outside.
pub(super) struct Doors {
    pub(super) input: Input,
    pub(super) listeners: Vec<SocketAddr>,
    /// The smallest socket buffer granted, octets.
    pub(super) granted_bytes: Option<usize>,
    pub(super) streams: Option<StreamThread>,
    pub(super) stream_listeners: Vec<(Protocol, SocketAddr)>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) repeating: Option<Repeating>,
    pub(super) http: Option<TcpListener>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) control: Arc<Control>,
}

impl Doors {
    /// Opens what `config` asks for, less what someone else opened; then gives up
    /// privileges.
    pub(super) fn open(config: &Config, mut inherited: Inherited) -> Result<Self, StartError> {
        let input = Input::open(&config.source, &config.socket, std::mem::take(&mut inherited.udp))?;
        let sockets = input.listeners();
        let listeners: Vec<_> = sockets.iter().map(Listener::addr).collect();
        let granted_bytes = sockets.iter().map(Listener::granted_bytes).min();
        let (stop, control) = (Arc::new(AtomicBool::new(false)), Arc::new(Control::new(config.clone())));
        let streams = open_streams(config, inherited, listeners.len(), &stop, &control)?;
        let accepting = streams.iter().flat_map(|streams| &streams.listeners);
        let stream_listeners: Vec<_> = accepting.map(|one| (one.protocol, one.addr)).collect();
        let metrics = Arc::new(Metrics::default());
        metrics.set_listeners(sockets.iter().map(Listener::metrics).collect());
        let repeating = open_repeat(config, &listeners, &metrics)?;
        let http = open_http(config)?;
        become_user(config)?;
        Ok(Self {
            input,
            listeners,
            granted_bytes,
            streams,
            stream_listeners,
            metrics,
            repeating,
            http,
            stop,
            control,
        })
    }

    /// All that something may come in by.
    pub(super) fn listener_addrs(&self) -> Vec<ListenerAddr> {
        let datagrams = self.listeners.iter().map(|&addr| ListenerAddr { addr, is_stream: false });
        let connections =
            self.stream_listeners.iter().map(|&(_, addr)| ListenerAddr { addr, is_stream: true });
        datagrams.chain(connections).collect()
    }
}

/// Where datagrams come from, opened.
pub(super) enum Input {
    Listeners(Vec<Listener>),
    Capture(Capture),
}

impl Input {
    pub(super) fn listeners(&self) -> &[Listener] {
        match self {
            Self::Listeners(listeners) => listeners,
            Self::Capture(_) => &[],
        }
    }

    pub(super) fn listeners_mut(&mut self) -> &mut [Listener] {
        match self {
            Self::Listeners(listeners) => listeners,
            Self::Capture(_) => &mut [],
        }
    }

    fn open(
        source: &Source,
        options: &SocketOptions,
        held: Vec<Held<UdpSocket>>,
    ) -> Result<Self, StartError> {
        match source {
            Source::Listen(addresses) => listen(addresses, options, held).map(Self::Listeners),
            Source::Capture(path) => {
                Capture::open(path).map(Self::Capture).map_err(|error| StartError::new(error, None))
            }
        }
    }
}

/// Takes the sockets that are held, and binds those that are asked for beyond them.
fn listen(
    asked: &[SocketAddr],
    options: &SocketOptions,
    held: Vec<Held<UdpSocket>>,
) -> Result<Vec<Listener>, StartError> {
    // Nobody asked for the usual ports: those held are meant instead.
    let is_asked = held.is_empty() || Config::default().source != Source::Listen(asked.to_vec());
    let is_held = |asked: &SocketAddr| held.iter().any(|held| held.serves(*asked));
    let missing: Vec<_> = asked.iter().copied().filter(|addr| is_asked && !is_held(addr)).collect();
    for held in &held {
        held.tell(asked.iter().copied().find(|&addr| held.serves(addr)));
    }
    let bind = |addr| Listener::bind(addr, options).map_err(|error| not_bound(error, "-p"));
    let held = held.into_iter().map(|held| Ok(Listener::inherit(held, options)));
    let listeners: Vec<_> = held.chain(missing.into_iter().map(bind)).collect::<Result<_, _>>()?;
    let hint = "name the interface, by itself or by its IPv4 address: `-J 239.0.0.9%eth0`";
    for listener in &listeners {
        listener.join(&options.groups).map_err(|error| StartError::new(error, hint.to_owned()))?;
    }
    Ok(listeners)
}

/// Binds the sockets for connections and reads the certificates, where there are any.
fn open_streams(
    config: &Config,
    mut inherited: Inherited,
    n_listeners: usize,
    stop: &Arc<AtomicBool>,
    control: &Arc<Control>,
) -> Result<Option<StreamThread>, StartError> {
    let Streams { tcp, tls, identity, .. } = &config.streams;
    let of = |protocol, addresses: &[SocketAddr]| {
        addresses.iter().map(|&addr| (protocol, addr)).collect::<Vec<_>>()
    };
    let addresses = [of(Protocol::Tcp, tcp), of(Protocol::Tls, tls)].concat();
    let mut listeners = Vec::new();
    for (index, &(protocol, addr)) in addresses.iter().enumerate() {
        let id = ListenerId(u16::try_from(n_listeners + index).unwrap_or(u16::MAX));
        let option = if protocol == Protocol::Tcp { "--tcp" } else { "--tls" };
        let listener = match inherited.take_tcp(addr) {
            Some(held) => StreamListener::listen(held.into(), addr, protocol, id),
            None => StreamListener::bind(addr, protocol, id),
        };
        listeners.push(listener.map_err(|error| not_bound(error, option))?);
    }
    if let Some(held) = inherited.unasked_tcp() {
        let hint = "`--tcp` or `--tls` with this port says what comes over it";
        return Err(StartError::new(format!("nothing asks for connections on {held}"), hint.to_owned()));
    }
    if addresses.is_empty() {
        return Ok(None);
    }
    let identity = identity.clone().filter(|_| !tls.is_empty()).map(Identity::load).transpose();
    let identity = identity.map_err(|error| StartError::new(&error, error.hint().to_owned()))?;
    let (allow, stop, control) = (config.allow.clone(), Arc::clone(stop), control.watch());
    Ok(Some(StreamThread { listeners, identity, allow, stop, control }))
}

/// Opens the sockets to other collectors, where there are any.
fn open_repeat(
    config: &Config,
    listeners: &[SocketAddr],
    metrics: &Arc<Metrics>,
) -> Result<Option<Repeating>, StartError> {
    if config.repeat.is_empty() {
        return Ok(None);
    }
    let opened = repeat(&config.repeat, listeners, config.allow.clone(), Arc::clone(metrics));
    opened.map(Some).map_err(|error| StartError::new(&error, error.hint().to_owned()))
}

/// Gives up privileges, once everything that needs them is open.
fn become_user(config: &Config) -> Result<(), StartError> {
    let Some(user) = &config.user else { return Ok(()) };
    let sources = config.trees.sources.iter().map(|source| &source.tree.root);
    for root in sources.chain([&config.root]) {
        user.create_directory(root).map_err(|error| {
            let message = format!("cannot create `{}`: {error}", root.display());
            StartError::new(message, "choose another directory with `-w DIR`".to_owned())
        })?;
    }
    user.assume().map_err(|error| StartError::new(&error, error.hint().to_owned()))
}

fn not_bound(error: BindError, option: &str) -> StartError {
    let hint = match error.source.kind() {
        io::ErrorKind::AddrInUse => {
            format!("another program listens on {}; choose other ports with `{option}`", error.addr.port())
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges".to_owned(),
        _ => "the address to listen on must be one of this machine".to_owned(),
    };
    StartError::new(error, hint)
}

/// Binds the address of `--http`; a capture has no use for it.
fn open_http(config: &Config) -> Result<Option<TcpListener>, StartError> {
    let addr = config.http.filter(|_| matches!(config.source, Source::Listen(_)));
    addr.map(super::serving::bind).transpose().map_err(|error| not_bound(error, "--http"))
}
