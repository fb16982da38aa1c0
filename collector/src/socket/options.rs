//! What an operator asks of a socket: its buffer (`-B`), multicast groups (`-J`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use flow_common::limits::SOCKET_BUFFER_BYTES;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Socket, Type};

/// What an operator asks of the UDP sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// Receive buffer, octets; `None` asks for [`SOCKET_BUFFER_BYTES`].
    pub buffer_bytes: Option<usize>,
    /// Multicast groups to join.
    pub groups: Vec<Group>,
}

/// A multicast group, and where to join it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its address.
    pub addr: IpAddr,
    /// On which interface; `None` leaves it to the routes.
    pub interface: Option<Interface>,
}

/// An interface of this machine, by name or by an IPv4 address of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interface {
    /// `eth0`
    Name(String),
    /// `192.0.2.1`
    Addr(Ipv4Addr),
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.interface {
            None => write!(f, "{}", self.addr),
            Some(Interface::Name(name)) => write!(f, "{}%{name}", self.addr),
            Some(Interface::Addr(addr)) => write!(f, "{}%{addr}", self.addr),
        }
    }
}

impl Group {
    /// Whether a socket at `addr` can receive what is sent to the group.
    pub(crate) fn reaches(&self, addr: SocketAddr) -> bool {
        let (group, own) = (self.addr, addr.ip());
        own == group || own.is_unspecified() && (own.is_ipv6() || group.is_ipv4())
    }

    /// Joins the group. A socket for both families joins those of IPv4, too.
    pub(super) fn join(&self, socket: &Socket) -> io::Result<()> {
        let index = match &self.interface {
            Some(Interface::Name(name)) => Some(if_nametoindex(name.as_str())?),
            _ => None,
        };
        match (self.addr, &self.interface) {
            (IpAddr::V4(group), Some(Interface::Addr(addr))) => socket.join_multicast_v4(&group, addr),
            (IpAddr::V4(group), _) => {
                socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index.unwrap_or(0)))
            }
            (IpAddr::V6(group), _) => socket.join_multicast_v6(&group, index.unwrap_or(0)),
        }
    }
}

/// Asks for a buffer; who may exceeds `net.core.rmem_max`. What the kernel grants is
/// told by [`granted_bytes`].
pub(super) fn set_buffer(socket: &Socket, bytes: Option<usize>) {
    let bytes = bytes.unwrap_or(SOCKET_BUFFER_BYTES);
    if setsockopt(socket, sockopt::RcvBufForce, &bytes).is_err() {
        // Less is no error: it grants what `net.core.rmem_max` allows.
        let _ = socket.set_recv_buffer_size(bytes);
    }
}

/// Asks for a buffer as [`set_buffer`] does, and never lowers it: whoever made the socket
/// may have had more than this program is granted.
pub(super) fn raise_buffer(socket: &Socket, bytes: Option<usize>) {
    let Ok(scratch) = Socket::new(Domain::IPV4, Type::DGRAM, None) else { return };
    set_buffer(&scratch, bytes);
    if granted_bytes(socket) < granted_bytes(&scratch) {
        set_buffer(socket, bytes);
    }
}

/// Size of a socket's buffer, octets. The kernel doubles what it is asked for to
/// have room for its own book-keeping, and tells the double.
pub(super) fn granted_bytes(socket: &Socket) -> usize {
    socket.recv_buffer_size().unwrap_or(0) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_raised_and_never_lowered() {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        let check = |asked: usize, expected: usize| {
            raise_buffer(&socket, Some(asked));
            assert_eq!(granted_bytes(&socket), expected);
        };
        socket.set_recv_buffer_size(4_096).unwrap();
        check(65_536, 65_536);
        check(8_192, 65_536);
    }
}
