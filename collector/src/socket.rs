//! The sockets: binding, and taking bursts of datagrams from them. This is the
//! only place that receives, and it does nothing else.

mod drops;

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use flow_common::limits::{DATAGRAM_BYTES_MAX, RECEIVE_BURST_DATAGRAMS, SOCKET_BUFFER_BYTES};
use flow_common::time::Clock;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use socket2::{Domain, Socket, Type};

use crate::datagram::{Block, Datagram, ListenerId, Transport};

/// A socket could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}: {source}")]
pub(crate) struct BindError {
    pub(crate) addr: SocketAddr,
    pub(crate) source: io::Error,
}

/// One bound socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    addr: SocketAddr,
    /// The kernel's drop counter at the last look; it wraps.
    dropped: u32,
    /// Datagrams received here.
    pub(crate) n_received: u64,
}

impl Listener {
    /// Binds a UDP socket.
    pub(crate) fn bind(addr: SocketAddr) -> Result<Self, BindError> {
        let socket = bind(addr, Type::DGRAM)?;
        let bound = socket.local_addr().map_err(|source| BindError { addr, source })?;
        let addr = bound.as_socket().unwrap_or(addr);
        Ok(Self { socket, addr, dropped: 0, n_received: 0 })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Datagrams the kernel dropped on this socket since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        let dropped = drops::count(self.socket.as_fd()).unwrap_or(self.dropped);
        let new = dropped.wrapping_sub(self.dropped);
        self.dropped = dropped;
        u64::from(new)
    }
}

/// Binds a socket for datagrams or a stream. `[::]` takes IPv4 too; where the
/// system has no IPv6, `0.0.0.0` is bound instead.
pub(crate) fn bind(addr: SocketAddr, kind: Type) -> Result<Socket, BindError> {
    let unspecified_v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let result = match bind_socket(addr, kind) {
        Err(error)
            if addr.ip() == unspecified_v6
                && matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)) =>
        {
            bind_socket(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), addr.port()), kind)
        }
        result => result,
    };
    result.map_err(|source| BindError { addr, source })
}

fn bind_socket(addr: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind.nonblocking(), None)?;
    if addr.is_ipv6() {
        socket.set_only_v6(addr.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
    }
    if kind == Type::DGRAM {
        // The kernel grants what net.core.rmem_max allows; less is no error.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    } else {
        // Connections of an earlier run may still be on their way out.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// Takes bursts from any number of listeners.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) listeners: Vec<Listener>,
    buffers: Vec<u8>,
}

impl Receiver {
    pub(crate) fn new(listeners: Vec<Listener>) -> Self {
        Self { listeners, buffers: vec![0; RECEIVE_BURST_DATAGRAMS * DATAGRAM_BYTES_MAX] }
    }

    /// Waits until a datagram is there, at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<()> {
        let mut fds: Vec<_> = self
            .listeners
            .iter()
            .map(|listener| PollFd::new(listener.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes at most one burst from each listener, without waiting.
    pub(crate) fn receive(&mut self, clock: &dyn Clock) -> io::Result<Block> {
        let mut block = Block::new(clock.now());
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            let before = block.len();
            receive_burst(listener, ListenerId(index as u16), &mut self.buffers, clock, &mut block)?;
            listener.n_received += (block.len() - before) as u64;
        }
        Ok(block)
    }
}

fn receive_burst(
    listener: &Listener,
    id: ListenerId,
    buffers: &mut [u8],
    clock: &dyn Clock,
    block: &mut Block,
) -> io::Result<()> {
    let mut slices: Vec<_> =
        buffers.chunks_exact_mut(DATAGRAM_BYTES_MAX).map(|buffer| [IoSliceMut::new(buffer)]).collect();
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(slices.len(), None);
    let received = match recvmmsg(
        listener.socket.as_raw_fd(),
        &mut headers,
        &mut slices,
        MsgFlags::MSG_DONTWAIT,
        None,
    ) {
        Ok(received) => received,
        // A connection refused is an ICMP answer to something we sent; we send nothing.
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let received_at = clock.now();
    for message in received {
        let Some(peer) = message.address.as_ref().and_then(socket_addr) else { continue };
        let payload = message.iovs().next().unwrap_or_default();
        block.push(Datagram { payload, peer, listener: id, transport: Transport::Udp, received_at });
    }
    Ok(())
}

fn socket_addr(addr: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = addr.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    v4.or_else(|| addr.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port()))))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn datagrams_of_both_families_arrive_whole() {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let mut receiver = Receiver::new(vec![Listener::bind(any).unwrap()]);
        let port = receiver.listeners[0].addr().port();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let big = vec![7; 65_507];
        for payload in [&b"v4"[..], b"", &big] {
            sender.send_to(payload, ("127.0.0.1", port)).unwrap();
        }
        let mut seen = Vec::new();
        while seen.len() < 3 {
            receiver.wait(Duration::from_secs(5)).unwrap();
            let block = receiver.receive(&SystemClock).unwrap();
            seen.extend(block.iter().map(|datagram| (datagram.payload.to_vec(), datagram.peer.port())));
        }
        let port = sender.local_addr().unwrap().port();
        assert_eq!(seen, [(b"v4".to_vec(), port), (vec![], port), (big, port)]);
        assert_eq!(receiver.listeners[0].n_received, 3);
    }

    #[test]
    fn what_the_kernel_drops_is_counted() {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listener.socket.set_recv_buffer_size(4_096).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        const SENT: u64 = 500;
        for _ in 0..SENT {
            sender.send_to(&[0; 1_000], listener.addr()).unwrap();
        }
        let mut receiver = Receiver::new(vec![listener]);
        let mut n_received = 0;
        loop {
            let block = receiver.receive(&SystemClock).unwrap();
            if block.len() == 0 {
                break;
            }
            n_received += block.len() as u64;
        }
        assert!(n_received < SENT);
        assert_eq!(receiver.listeners[0].take_dropped(), SENT - n_received);
        assert_eq!(receiver.listeners[0].take_dropped(), 0);
    }
}
