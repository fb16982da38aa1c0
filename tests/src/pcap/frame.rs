//! From a captured frame down to the UDP payload in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Link type of Ethernet.
pub(super) const LINK_ETHERNET: u16 = 1;
/// Link types that put four octets of address family before the IP header:
/// BSD loopback, in the order of the host and of the network.
const LINK_LOOPBACK: [u16; 2] = [0, 108];
/// Link types without a header: raw IP by three numbers, IPv4 only, IPv6 only.
const LINK_RAW: [u16; 5] = [12, 14, 101, 228, 229];
/// Link type of Linux "cooked" captures.
const LINK_LINUX_SLL: u16 = 113;
/// Link type of Linux "cooked" captures, version 2.
const LINK_LINUX_SLL2: u16 = 276;

pub(super) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Tags of IEEE 802.1Q and 802.1ad, and one used before the latter.
const ETHERTYPE_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];

pub(super) const PROTOCOL_UDP: u8 = 17;
/// IPv6 extension headers of the form (next header, length in 8 octets − 1):
/// hop-by-hop, routing, destination options.
const IPV6_EXTENSIONS: [u8; 3] = [0, 43, 60];

/// Source, destination and payload of a whole UDP datagram.
pub(super) fn udp(link_type: u16, frame: &[u8]) -> Option<(SocketAddr, SocketAddr, &[u8])> {
    let packet = ip_packet(link_type, frame)?;
    let (src, dst, segment) = match packet.first()? >> 4 {
        4 => ipv4(packet)?,
        6 => ipv6(packet)?,
        _ => return None,
    };
    let length = usize::from(u16_at(segment, 4)?);
    let payload = segment.get(8..length)?;
    let src = SocketAddr::new(src, u16_at(segment, 0)?);
    let dst = SocketAddr::new(dst, u16_at(segment, 2)?);
    Some((src, dst, payload))
}

/// What the link layer carries, if it says that this is IP.
fn ip_packet(link_type: u16, frame: &[u8]) -> Option<&[u8]> {
    let (mut ethertype, mut rest) = match link_type {
        LINK_ETHERNET => (u16_at(frame, 12)?, frame.get(14..)?),
        LINK_LINUX_SLL => (u16_at(frame, 14)?, frame.get(16..)?),
        LINK_LINUX_SLL2 => (u16_at(frame, 0)?, frame.get(20..)?),
        // The number of the family differs between systems; the version in
        // the IP header does not.
        link if LINK_LOOPBACK.contains(&link) => return frame.get(4..),
        link if LINK_RAW.contains(&link) => return Some(frame),
        _ => return None,
    };
    while ETHERTYPE_VLAN.contains(&ethertype) {
        (ethertype, rest) = (u16_at(rest, 2)?, rest.get(4..)?);
    }
    [ETHERTYPE_IPV4, ETHERTYPE_IPV6].contains(&ethertype).then_some(rest)
}

/// Addresses and UDP segment of an IPv4 packet that is no fragment.
fn ipv4(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header_octets = usize::from(packet.first()? & 0x0f) * 4;
    let total_octets = usize::from(u16_at(packet, 2)?);
    let more_fragments_or_offset = u16_at(packet, 6)? & 0x3fff;
    if header_octets < 20 || more_fragments_or_offset != 0 || *packet.get(9)? != PROTOCOL_UDP {
        return None;
    }
    let addr = |at: usize| Some(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?));
    Some((addr(12)?.into(), addr(16)?.into(), packet.get(header_octets..total_octets)?))
}

/// Addresses and UDP segment of an IPv6 packet that is no fragment.
fn ipv6(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let end = 40 + usize::from(u16_at(packet, 4)?);
    let mut next_header = *packet.get(6)?;
    let mut at = 40;
    while IPV6_EXTENSIONS.contains(&next_header) {
        let extension = packet.get(at..)?.first_chunk::<2>()?;
        next_header = extension[0];
        at += 8 * (usize::from(extension[1]) + 1);
    }
    if next_header != PROTOCOL_UDP {
        return None;
    }
    let addr = |at: usize| Some(Ipv6Addr::from(*packet.get(at..)?.first_chunk::<16>()?));
    Some((addr(8)?.into(), addr(24)?.into(), packet.get(at..end)?))
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(offset..)?.first_chunk::<2>()?))
}
