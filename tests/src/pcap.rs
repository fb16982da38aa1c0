//! Captures in memory: the UDP payloads of a classic pcap file, and a pcap file
//! around UDP payloads.

use std::net::{IpAddr, SocketAddr};

mod frame;

/// A UDP payload: source, destination, octets, capture time in microseconds
/// since 1970.
pub type UdpPayload = (SocketAddr, SocketAddr, Vec<u8>, u64);

/// Octets of the file header.
const FILE_HEADER_OCTETS: usize = 24;
/// Octets before each captured frame.
const FRAME_HEADER_OCTETS: usize = 16;
/// Octets an Ethernet frame may have in a file of ours.
const SNAP_OCTETS: u32 = 262_144;
/// Octets of a UDP header.
const UDP_HEADER_OCTETS: usize = 8;

/// The UDP payloads of a classic pcap file (not pcapng), in file order.
///
/// Reads both octet orders, microsecond and nanosecond files, and the link
/// types Ethernet (with VLAN tags), raw IP, Linux cooked (1 and 2) and
/// loopback. Everything that is not a complete UDP datagram over IPv4 or IPv6
/// is left out: fragments, frames cut by the snap length, the torn last frame.
pub fn udp_payloads(bytes: &[u8]) -> Vec<UdpPayload> {
    let Some(file) = FileHeader::parse(bytes) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let mut rest = &bytes[FILE_HEADER_OCTETS..];
    while let Some((time_us, frame, after)) = file.next_frame(rest) {
        if let Some((src, dst, payload)) = frame::udp(file.link_type, frame) {
            out.push((src, dst, payload.to_vec(), time_us));
        }
        rest = after;
    }
    out
}

/// A classic pcap file (little-endian, microseconds) of Ethernet frames, one
/// for each payload, with correct lengths and checksums.
///
/// # Panics
/// If source and destination are not of one address family, or if a payload is
/// too long for UDP.
pub fn write_pcap(payloads: &[UdpPayload]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    out.extend_from_slice(&2_u16.to_le_bytes());
    out.extend_from_slice(&4_u16.to_le_bytes());
    // Time zone and accuracy of the time stamps: nobody fills them in.
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&SNAP_OCTETS.to_le_bytes());
    out.extend_from_slice(&u32::from(frame::LINK_ETHERNET).to_le_bytes());
    for (src, dst, payload, time_us) in payloads {
        let frame = ethernet_frame(*src, *dst, payload);
        let length = le_u32(frame.len() as u64);
        out.extend_from_slice(&le_u32(time_us / 1_000_000));
        out.extend_from_slice(&le_u32(time_us % 1_000_000));
        out.extend_from_slice(&length);
        out.extend_from_slice(&length);
        out.extend_from_slice(&frame);
    }
    out
}

/// What the file header says about the frames.
struct FileHeader {
    big_endian: bool,
    nanoseconds: bool,
    link_type: u16,
}

impl FileHeader {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (big_endian, nanoseconds) = match *bytes.first_chunk::<4>()? {
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, false),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, true),
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, false),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, true),
            _ => return None,
        };
        let mut file = Self { big_endian, nanoseconds, link_type: 0 };
        let link = file.u32_at(bytes, 20)?;
        // The upper half tells the length of the frame check sequence.
        file.link_type = u16::try_from(link & 0xffff).ok()?;
        Some(file)
    }

    /// Time, octets, and what follows the first frame of `rest`.
    fn next_frame<'a>(&self, rest: &'a [u8]) -> Option<(u64, &'a [u8], &'a [u8])> {
        let secs = u64::from(self.u32_at(rest, 0)?);
        let fraction = u64::from(self.u32_at(rest, 4)?);
        let length = usize::try_from(self.u32_at(rest, 8)?).ok()?;
        let (frame, after) = rest.get(FRAME_HEADER_OCTETS..)?.split_at_checked(length)?;
        let micros = if self.nanoseconds { fraction / 1_000 } else { fraction };
        Some((secs * 1_000_000 + micros, frame, after))
    }

    fn u32_at(&self, bytes: &[u8], offset: usize) -> Option<u32> {
        let octets = *bytes.get(offset..)?.first_chunk::<4>()?;
        Some(if self.big_endian { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) })
    }
}

fn le_u32(value: u64) -> [u8; 4] {
    u32::try_from(value).expect("pcap has 32 bits for times and lengths").to_le_bytes()
}

/// Ethernet, IP and UDP around `payload`.
fn ethernet_frame(src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let udp_octets = UDP_HEADER_OCTETS + payload.len();
    let (ethertype, ip_header, addrs) = match (src.ip(), dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let addrs = [src.octets(), dst.octets()].concat();
            (frame::ETHERTYPE_IPV4, ipv4_header(&addrs, udp_octets), addrs)
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let addrs = [src.octets(), dst.octets()].concat();
            (frame::ETHERTYPE_IPV6, ipv6_header(&addrs, udp_octets), addrs)
        }
        _ => panic!("{src} and {dst} cannot exchange a datagram"),
    };
    // Locally administered addresses that belong to nobody.
    let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    out.extend_from_slice(&ethertype.to_be_bytes());
    out.extend_from_slice(&ip_header);
    out.extend_from_slice(&udp_header(src.port(), dst.port(), &addrs, payload));
    out.extend_from_slice(payload);
    out
}

fn ipv4_header(addrs: &[u8], udp_octets: usize) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend_from_slice(&be_u16(20 + udp_octets));
    // Identification 0, do not fragment, 64 hops, checksum to come.
    header.extend_from_slice(&[0, 0, 0x40, 0, 64, frame::PROTOCOL_UDP, 0, 0]);
    header.extend_from_slice(addrs);
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

fn ipv6_header(addrs: &[u8], udp_octets: usize) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend_from_slice(&be_u16(udp_octets));
    header.extend_from_slice(&[frame::PROTOCOL_UDP, 64]);
    header.extend_from_slice(addrs);
    header
}

fn udp_header(src_port: u16, dst_port: u16, addrs: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = be_u16(UDP_HEADER_OCTETS + payload.len());
    let mut header = [src_port.to_be_bytes(), dst_port.to_be_bytes(), length].concat();
    // Of the pseudo header the sum needs the values, not the layout, which
    // differs between IPv4 and IPv6.
    let protocol_and_length = [[0, frame::PROTOCOL_UDP], length].concat();
    let sum = match checksum(&[addrs, &protocol_and_length, &header, payload]) {
        // 0 would say that there is no checksum.
        0 => 0xffff,
        sum => sum,
    };
    header.extend_from_slice(&sum.to_be_bytes());
    header
}

fn be_u16(n: usize) -> [u8; 2] {
    u16::try_from(n).expect("a UDP datagram has at most 65 535 octets").to_be_bytes()
}

/// The Internet checksum (RFC 1071 §1); all parts but the last have an even
/// number of octets.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let word = |octets: &[u8]| u64::from(octets[0]) << 8 | u64::from(octets.get(1).copied().unwrap_or(0));
    let mut sum: u64 = words.map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded into 16 bits")
}

#[cfg(test)]
mod tests;
