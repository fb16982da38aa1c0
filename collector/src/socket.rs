//! The sockets: binding, and taking bursts of datagrams from them. This is the
//! only place that receives, and it does nothing else.

mod drops;
mod options;

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use flow_common::limits::{DATAGRAM_BYTES_MAX, RECEIVE_BURST_DATAGRAMS};
use flow_common::time::Clock;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use socket2::{Domain, Socket, Type};

pub use self::options::{Group, Interface, SocketOptions};
use crate::datagram::{Block, Datagram, ListenerId, Transport};
use crate::inherit::Held;
use crate::metrics::{Counter, ListenerMetrics};

/// A socket could not join a multicast group.
#[derive(Debug, thiserror::Error)]
#[error("cannot join the multicast group `{group}`: {source}")]
pub(crate) struct JoinError {
    group: Group,
    source: io::Error,
}

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
    /// What the kernel calls a socket that outlives this run.
    cookie: Option<u64>,
    /// The kernel's drop counter at the last look; it wraps.
    dropped: u32,
    /// Datagrams received here.
    pub(crate) n_received: u64,
}

impl Listener {
    /// Binds a UDP socket.
    pub(crate) fn bind(addr: SocketAddr, options: &SocketOptions) -> Result<Self, BindError> {
        let socket = bind(addr, Type::DGRAM)?;
        options::set_buffer(&socket, options.buffer_bytes);
        let bound = socket.local_addr().map_err(|source| BindError { addr, source })?;
        let addr = bound.as_socket().unwrap_or(addr);
        Ok(Self { socket, addr, cookie: None, dropped: 0, n_received: 0 })
    }

    /// Takes a socket that someone else bound, and that outlives this run.
    pub(crate) fn inherit(held: Held<UdpSocket>, options: &SocketOptions) -> Self {
        let Held { socket, addr, .. } = held;
        let socket = Socket::from(socket);
        options::raise_buffer(&socket, options.buffer_bytes);
        let cookie = socket.cookie().ok();
        let mut listener = Self { socket, addr, cookie, dropped: 0, n_received: 0 };
        // Of before this run; who knows how much of it was counted says so later.
        listener.take_dropped();
        listener
    }

    /// Of a socket that outlives this run: what the kernel calls it, and how many drops
    /// have been counted since it was made.
    pub(crate) fn outliving(&self) -> Option<(u64, u32)> {
        self.cookie.map(|cookie| (cookie, self.dropped))
    }

    /// So many drops have been counted by earlier runs.
    pub(crate) fn count_from(&mut self, dropped: u32) {
        self.dropped = dropped;
    }

    /// Joins those of the groups whose datagrams can reach this socket.
    pub(crate) fn join(&self, groups: &[Group]) -> Result<(), JoinError> {
        groups.iter().filter(|group| group.reaches(self.addr)).try_for_each(|group| {
            match group.join(&self.socket) {
                // A socket that outlives its program still belongs to it.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
                joined => joined.map_err(|source| JoinError { group: group.clone(), source }),
            }
        })
    }

    /// Size of the receive buffer that the kernel granted, octets.
    pub(crate) fn granted_bytes(&self) -> usize {
        options::granted_bytes(&self.socket)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its counters, before anything came.
    pub(crate) fn metrics(&self) -> ListenerMetrics {
        let buffer_bytes = Counter::default();
        buffer_bytes.set(self.granted_bytes() as u64);
        let (received, kernel_dropped) = (Counter::default(), Counter::default());
        ListenerMetrics { addr: self.addr, received, kernel_dropped, buffer_bytes }
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
    if kind == Type::STREAM {
        // Connections of an earlier run may still be on their way out.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// Octets from one datagram's room to the next: were it a power of two, all would share few
/// places of a processor's cache. Full datagrams on an Ethernet lie side by side in it.
const ROOM_BYTES: usize = DATAGRAM_BYTES_MAX.next_multiple_of(64) + 1_472;

/// Takes bursts from any number of listeners.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) listeners: Vec<Listener>,
    /// Where the last wait found something.
    ready: Vec<bool>,
    buffers: Vec<u8>,
}

impl Receiver {
    pub(crate) fn new(listeners: Vec<Listener>) -> Self {
        let ready = vec![true; listeners.len()];
        let buffers = vec![0; RECEIVE_BURST_DATAGRAMS * ROOM_BYTES];
        Self { listeners, ready, buffers }
    }

    /// Waits until a datagram is there, at most `timeout`. Only listeners where this
    /// found one are read next.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let mut fds: Vec<_> = self
            .listeners
            .iter()
            .map(|listener| PollFd::new(listener.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) => {
                // Also an error is fetched by reading.
                let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
                self.ready = fds.iter().map(is_ready).collect();
                Ok(())
            }
            Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Every listener is read next, without a wait.
    pub(crate) fn read_all_next(&mut self) {
        self.ready.fill(true);
    }

    /// Takes at most one burst from each listener, without waiting.
    pub(crate) fn receive(&mut self, clock: &dyn Clock) -> io::Result<Block> {
        let mut block = Block::new(clock.now());
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            if !self.ready.get(index).is_some_and(|is_ready| *is_ready) {
                continue;
            }
            let (before, id) = (block.len(), ListenerId(index as u16));
            receive_burst(listener, id, &mut self.buffers, clock, &mut block)?;
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
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(RECEIVE_BURST_DATAGRAMS, None);
    let rooms = buffers.chunks_exact_mut(ROOM_BYTES);
    let mut slices: Vec<_> = rooms.map(|room| [IoSliceMut::new(&mut room[..DATAGRAM_BYTES_MAX])]).collect();
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
    let datagrams: Vec<_> = received.map(|message| (message.address, message.bytes)).collect();
    block.reserve(datagrams.iter().map(|(_, n_bytes)| n_bytes));
    for ((address, n_bytes), room) in datagrams.into_iter().zip(buffers.chunks_exact(ROOM_BYTES)) {
        let Some(peer) = address.as_ref().and_then(socket_addr) else { continue };
        let payload = room.get(..n_bytes).unwrap_or_default();
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
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn datagrams_of_both_families_arrive_whole() {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let mut receiver = Receiver::new(vec![Listener::bind(any, &SocketOptions::default()).unwrap()]);
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
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any, &SocketOptions::default()).unwrap();
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

    #[test]
    fn the_buffer_granted_is_told_as_it_was_asked_for() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        for bytes in [8_192, 65_536] {
            let options = SocketOptions { buffer_bytes: Some(bytes), ..SocketOptions::default() };
            assert_eq!(Listener::bind(any, &options).unwrap().granted_bytes(), bytes);
        }
    }

    /// Sends a datagram to a group on loopback before and after the listener joined it.
    /// IPv6 has no route there: that the kernel knows the group has to do.
    #[track_caller]
    fn check_group(bind: &str, group: &str, interface: Interface) {
        let options = SocketOptions::default();
        let listener = Listener::bind(bind.parse().unwrap(), &options).unwrap();
        let port = listener.addr().port();
        let group = Group { addr: group.parse().unwrap(), interface: Some(interface) };
        let sender = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        sender.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        let mut receiver = Receiver::new(vec![listener]);
        let mut check = |expected: usize| {
            if group.addr.is_ipv4() {
                sender.send_to(b"x", &SocketAddr::new(group.addr, port).into()).unwrap();
                let timeout = if expected == 0 { 50 } else { 5_000 };
                receiver.wait(Duration::from_millis(timeout)).unwrap();
                assert_eq!(receiver.receive(&SystemClock).unwrap().len(), expected, "{group} at {bind}");
            }
            receiver.listeners[0].join(std::slice::from_ref(&group))
        };
        check(0).unwrap();
        // A second time changes nothing.
        check(1).unwrap();
        let error = group.join(&receiver.listeners[0].socket).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn groups_are_joined_on_the_interface_that_is_named() {
        let name = || Interface::Name("lo".to_owned());
        check_group("0.0.0.0:0", "239.255.77.1", name());
        check_group("0.0.0.0:0", "239.255.77.2", Interface::Addr(Ipv4Addr::LOCALHOST));
        check_group("[::]:0", "239.255.77.3", name());
        check_group("[::]:0", "ff12::7701", name());
    }
}
