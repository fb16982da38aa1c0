//! IPFIX over connections: TCP, and TLS over TCP (RFC 7011 §10.4 and §11).
//!
//! `pipeline/streams.rs` accepts connections and runs a task for each:
//! [`connection`] reads its messages into the queue, [`tls`] says who may come.
//! All of it is one thread, which waits where the queue is full: the kernel then
//! slows the senders down, and nothing is dropped.

pub(crate) mod connection;
mod end;
pub(crate) mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use flow_common::limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Socket, Type};

pub(crate) use self::end::End;
use crate::datagram::ListenerId;
use crate::socket::{self, BindError};

/// What a connection carries messages in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP as it is.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Protocol {
    /// Its name, as people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }
}

/// Where connections are accepted, and from whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Streams {
    /// Addresses for TCP.
    pub tcp: Vec<SocketAddr>,
    /// Addresses for TLS.
    pub tls: Vec<SocketAddr>,
    /// Who this collector is over TLS, and who may come.
    pub identity: Option<TlsIdentity>,
    /// How many and how slow.
    pub bounds: StreamBounds,
}

/// Files that say who this collector is. They are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// Certificate, and those between it and its issuer: PEM.
    pub certificate: PathBuf,
    /// Its key: PEM.
    pub key: PathBuf,
    /// Who may come.
    pub clients: TlsClients,
}

/// Who may come over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsClients {
    /// Whoever has a certificate of these issuers (RFC 7011 §11.3).
    Authenticated {
        /// Certificates of the issuers: PEM.
        issuers: PathBuf,
        /// Names or addresses of which the certificate must have one as a subject
        /// alternative name; empty: any.
        peers: Vec<String>,
    },
    /// Anyone.
    Anyone,
}

/// Bounds on connections; each has its reason in `limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamBounds {
    /// Connections open at a time.
    pub connections: usize,
    /// Those of one address.
    pub connections_per_address: usize,
    /// TLS handshakes under way.
    pub handshakes: usize,
    /// Longest handshake.
    pub handshake: Duration,
    /// Longest time a message may take.
    pub message: Duration,
    /// Longest time between two.
    pub idle: Duration,
    /// Longest time for the peer to close after us.
    pub closing: Duration,
}

impl Default for StreamBounds {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS_MAX,
            connections_per_address: limits::CONNECTIONS_PER_ADDRESS_MAX,
            handshakes: limits::HANDSHAKES_MAX,
            handshake: Duration::from_secs(limits::HANDSHAKE_SECS_MAX),
            message: Duration::from_secs(limits::MESSAGE_SECS_MAX),
            idle: Duration::from_secs(limits::CONNECTION_IDLE_SECS_MAX),
            closing: Duration::from_secs(limits::CLOSING_SECS_MAX),
        }
    }
}

/// Of so many connections, how many there are file descriptors for. The limit is
/// raised as far as it may be: without descriptors no file could be written.
pub(crate) fn affordable(connections: usize) -> usize {
    let needed = connections as u64 + limits::DESCRIPTORS_RESERVED;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return connections };
    let raised = needed.min(hard);
    let granted = if soft >= needed {
        soft
    } else if setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() {
        raised
    } else {
        soft
    };
    let affordable =
        usize::try_from(granted.saturating_sub(limits::DESCRIPTORS_RESERVED)).unwrap_or(usize::MAX);
    if affordable < connections {
        tracing::warn!(
            "at most {affordable} connections, not {connections}: the limit of open files is {granted}"
        );
    }
    connections.min(affordable)
}

/// A bound socket on which connections come in.
#[derive(Debug)]
pub(crate) struct StreamListener {
    pub(crate) socket: TcpListener,
    pub(crate) addr: SocketAddr,
    pub(crate) protocol: Protocol,
    pub(crate) id: ListenerId,
}

impl StreamListener {
    /// Binds a socket and listens.
    pub(crate) fn bind(addr: SocketAddr, protocol: Protocol, id: ListenerId) -> Result<Self, BindError> {
        Self::listen(socket::bind(addr, Type::STREAM)?, addr, protocol, id)
    }

    /// Listens on a socket that is bound.
    pub(crate) fn listen(
        socket: Socket,
        addr: SocketAddr,
        protocol: Protocol,
        id: ListenerId,
    ) -> Result<Self, BindError> {
        let listen = || -> io::Result<(TcpListener, SocketAddr)> {
            socket.listen(limits::LISTEN_BACKLOG)?;
            let socket = TcpListener::from(socket);
            let bound = socket.local_addr()?;
            Ok((socket, bound))
        };
        let (socket, addr) = listen().map_err(|source| BindError { addr, source })?;
        Ok(Self { socket, addr, protocol, id })
    }
}
