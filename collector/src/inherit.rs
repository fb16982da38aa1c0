//! Sockets a service manager holds for the collector (`LISTEN_FDS`, sd_listen_fds(3)).
//! They outlive a restart: what arrives meanwhile waits in them.

pub(crate) mod counted;

use std::env;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use listenfd::ListenFd;
use socket2::SockRef;

/// First descriptor that is passed; the manager counts from here.
const FIRST_FD: usize = 3;

/// A descriptor that is passed is nothing a collector can use.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct InheritError {
    what: String,
    reason: String,
}

/// Sockets that were bound by someone else; [`Inherited::default`] is none.
#[derive(Debug, Default)]
pub struct Inherited {
    pub(crate) udp: Vec<Held<UdpSocket>>,
    tcp: Vec<Held<TcpListener>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Held<S> {
    pub(crate) socket: S,
    pub(crate) addr: SocketAddr,
    /// What its unit calls it.
    name: String,
    /// `[::]` without IPv4.
    is_only_v6: bool,
}

impl Inherited {
    /// Takes what the environment offers, once. It changes the environment, so it is
    /// for the time before any thread starts.
    pub fn from_env() -> Result<Self, InheritError> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut offered = ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..offered.len() {
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned();
            let what = format!("inherited descriptor {} (`{name}`)", FIRST_FD + index);
            let unusable =
                |reason: &dyn ToString| InheritError { what: what.clone(), reason: reason.to_string() };
            if let Ok(Some(socket)) = offered.take_udp_socket(index) {
                inherited.udp.push(Held::new(socket, name).map_err(|error| unusable(&error))?);
                continue;
            }
            let held = match offered.take_tcp_listener(index) {
                Ok(Some(socket)) => Held::new(socket, name).map_err(|error| unusable(&error))?,
                _ => return Err(unusable(&"it is neither a UDP nor a TCP socket")),
            };
            if !SockRef::from(&held.socket).is_listener().unwrap_or(false) {
                return Err(unusable(&"it is a connection, not a socket that accepts them (`Accept=no`)"));
            }
            inherited.tcp.push(held);
        }
        Ok(inherited)
    }

    /// The socket that accepts connections for this address, if one is held.
    pub(crate) fn take_tcp(&mut self, asked: SocketAddr) -> Option<TcpListener> {
        let position = self.tcp.iter().position(|held| held.serves(asked))?;
        let held = self.tcp.remove(position);
        held.tell(Some(asked));
        Some(held.socket)
    }

    /// A socket for connections that no option asks for.
    pub(crate) fn unasked_tcp(&self) -> Option<String> {
        self.tcp.first().map(|held| format!("{} (`{}`)", held.addr, held.name))
    }
}

impl<S> Held<S>
where
    for<'a> SockRef<'a>: From<&'a S>,
{
    fn new(socket: S, name: String) -> io::Result<Self> {
        let (addr, is_only_v6) = {
            let socket = SockRef::from(&socket);
            socket.set_nonblocking(true)?;
            let addr = socket.local_addr()?.as_socket();
            let addr = addr.ok_or_else(|| io::Error::other("it has no address"))?;
            (addr, addr.is_ipv6() && socket.only_v6()?)
        };
        Ok(Self { socket, addr, name, is_only_v6 })
    }
}

impl<S> Held<S> {
    /// Whether it gets what is sent to this address, or keeps others from being bound
    /// there.
    pub(crate) fn serves(&self, asked: SocketAddr) -> bool {
        let (held, asked_ip) = (self.addr.ip(), asked.ip());
        let is_same = held == asked_ip || self.is_wider(asked_ip);
        self.addr.port() == asked.port() && (is_same || covers(asked_ip, false, held))
    }

    fn is_wider(&self, asked: IpAddr) -> bool {
        asked != self.addr.ip() && covers(self.addr.ip(), self.is_only_v6, asked)
    }

    /// Says that it is used, and for what was asked.
    pub(crate) fn tell(&self, asked: Option<SocketAddr>) {
        let Self { addr, name, .. } = self;
        if let Some(asked) = asked.filter(|asked| !asked.ip().is_unspecified() && self.is_wider(asked.ip())) {
            tracing::warn!("`{name}` listens on {addr}, not only on {asked}; its socket unit says so");
        }
        tracing::info!("{addr} is held by the service manager (`{name}`)");
    }
}

/// Whether a socket at `any` gets what is sent to `other`.
fn covers(any: IpAddr, is_only_v6: bool, other: IpAddr) -> bool {
    any.is_unspecified() && (any.is_ipv4() == other.is_ipv4() || any.is_ipv6() && !is_only_v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_served_by_what_is_bound_there() {
        let check = |held: &str, is_only_v6: bool, asked: &str, expected: bool| {
            let (addr, asked) = (held.parse().unwrap(), asked.parse().unwrap());
            let held = Held { socket: (), addr, name: String::new(), is_only_v6 };
            assert_eq!(held.serves(asked), expected, "{addr} for {asked}");
        };
        check("[::]:1", false, "[::]:1", true);
        check("[::]:1", false, "[::]:2", false);
        check("[::]:1", false, "192.0.2.1:1", true);
        check("[::]:1", true, "192.0.2.1:1", false);
        check("[::]:1", true, "[::1]:1", true);
        check("0.0.0.0:1", false, "[::]:1", true);
        check("0.0.0.0:1", false, "[::1]:1", false);
        check("0.0.0.0:1", false, "192.0.2.1:1", true);
        check("192.0.2.1:1", false, "[::]:1", true);
        check("[::1]:1", false, "0.0.0.0:1", false);
        check("192.0.2.1:1", false, "192.0.2.2:1", false);
    }
}
