//! Sending to another collector, from the exporter's address where that is allowed.
//!
//! A raw socket takes the UDP header from us and leaves the IP header to the kernel,
//! which fragments what is larger than the path. The source is told with each datagram
//! (IP_PKTINFO).

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use etherparse::UdpHeader;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// Another collector.
#[derive(Debug)]
pub(crate) struct Target {
    addr: SocketAddr,
    /// An ordinary socket: what it sends comes from this machine.
    own: Socket,
    /// A raw socket of the family of `addr`, if we may have one.
    raw: Option<Socket>,
}

impl Target {
    /// Opens the sockets.
    pub(crate) fn open(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { addr, own: own_socket(addr)?, raw: raw_socket(addr).ok() })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether exporters' addresses can be kept.
    pub(crate) fn keeps_sources(&self) -> bool {
        self.raw.is_some()
    }

    /// Sends to another address from now on. A raw socket of the other family stays
    /// away: privileges may be gone.
    pub(crate) fn turn_to(&mut self, addr: SocketAddr) -> io::Result<()> {
        self.own = own_socket(addr)?;
        self.raw = match self.raw.take() {
            Some(raw) if addr.is_ipv4() == self.addr.is_ipv4() => connect(raw, addr).ok(),
            _ => raw_socket(addr).ok(),
        };
        self.addr = addr;
        Ok(())
    }

    /// Sends a datagram that came from `peer`.
    pub(crate) fn send(&self, payload: &[u8], peer: SocketAddr) -> io::Result<()> {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let send = || match (&self.raw, peer.ip(), self.addr.ip()) {
            (Some(raw), IpAddr::V4(source), IpAddr::V4(target)) if is_usable(peer.ip(), self.addr.ip()) => {
                send_v4(raw, (source, peer.port()), (target, self.addr.port()), payload)
            }
            (Some(raw), IpAddr::V6(source), IpAddr::V6(target)) if is_usable(peer.ip(), self.addr.ip()) => {
                send_v6(raw, (source, peer.port()), (target, self.addr.port()), payload)
            }
            _ => self.own.send(payload).map(drop),
        };
        match send() {
            // That is the answer to an earlier one; this one is not sent.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => send(),
            result => result,
        }
    }
}

/// Whether a datagram from `source` arrives at `target`: loopback and links end where
/// they are.
fn is_usable(source: IpAddr, target: IpAddr) -> bool {
    let is_link_local = |addr: IpAddr| match addr {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    };
    !source.is_unspecified()
        && source.is_loopback() == target.is_loopback()
        && (!is_link_local(source) || is_link_local(target))
}

fn own_socket(addr: SocketAddr) -> io::Result<Socket> {
    connect(Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?, addr)
}

/// Who connects to a multicast group or broadcast address needs nothing else; a raw
/// socket that is connected takes what that address sends only, and the filter not even
/// that: nobody reads it.
fn raw_socket(addr: SocketAddr) -> io::Result<Socket> {
    let raw = Socket::new(Domain::for_address(addr), Type::RAW, Some(Protocol::UDP))?;
    raw.attach_filter(&[SockFilter::new(DROP_ALL, 0, 0, 0)])?;
    match addr {
        SocketAddr::V4(_) => raw.set_ip_transparent_v4(true)?,
        SocketAddr::V6(_) => raw.set_freebind_v6(true)?,
    }
    connect(raw, addr)
}

/// `ret #0` of the classic packet filter.
const DROP_ALL: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

fn connect(socket: Socket, addr: SocketAddr) -> io::Result<Socket> {
    // A raw socket has no ports: the kernel refuses one for IPv6.
    let port = if socket.r#type()? == Type::RAW { 0 } else { addr.port() };
    socket.connect(&SocketAddr::new(addr.ip(), port).into())?;
    Ok(socket)
}

fn send_v4(raw: &Socket, source: (Ipv4Addr, u16), target: (Ipv4Addr, u16), payload: &[u8]) -> io::Result<()> {
    let mut header = udp_header(source.1, target.1, payload)?;
    let checksum = header.calc_checksum_ipv4_raw(source.0.octets(), target.0.octets(), payload);
    header.checksum = checksum.map_err(io::Error::other)?;
    let info = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.0.octets()) },
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    send(raw, &header, payload, &ControlMessage::Ipv4PacketInfo(&info))
}

fn send_v6(raw: &Socket, source: (Ipv6Addr, u16), target: (Ipv6Addr, u16), payload: &[u8]) -> io::Result<()> {
    let mut header = udp_header(source.1, target.1, payload)?;
    let checksum = header.calc_checksum_ipv6_raw(source.0.octets(), target.0.octets(), payload);
    header.checksum = checksum.map_err(io::Error::other)?;
    let info =
        libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.0.octets() }, ipi6_ifindex: 0 };
    send(raw, &header, payload, &ControlMessage::Ipv6PacketInfo(&info))
}

fn udp_header(source_port: u16, destination_port: u16, payload: &[u8]) -> io::Result<UdpHeader> {
    let length = u16::try_from(UdpHeader::LEN + payload.len()).map_err(io::Error::other)?;
    Ok(UdpHeader { source_port, destination_port, length, checksum: 0 })
}

fn send(raw: &Socket, header: &UdpHeader, payload: &[u8], info: &ControlMessage<'_>) -> io::Result<()> {
    let header = header.to_bytes();
    let slices = [IoSlice::new(&header), IoSlice::new(payload)];
    let flags = MsgFlags::empty();
    sendmsg::<()>(raw.as_raw_fd(), &slices, std::slice::from_ref(info), flags, None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_kept_where_they_mean_something() {
        for (source, target, expected) in [
            ("192.0.2.1", "198.51.100.1", true),
            ("127.0.0.1", "198.51.100.1", false),
            ("127.0.0.1", "127.0.0.2", true),
            ("192.0.2.1", "127.0.0.1", false),
            ("0.0.0.0", "198.51.100.1", false),
            ("169.254.1.1", "198.51.100.1", false),
            ("fe80::1", "2001:db8::1", false),
            ("fe80::1", "fe80::2", true),
            ("2001:db8::9", "2001:db8::1", true),
        ] {
            assert_eq!(
                is_usable(source.parse().unwrap(), target.parse().unwrap()),
                expected,
                "{source} {target}"
            );
        }
    }
}
