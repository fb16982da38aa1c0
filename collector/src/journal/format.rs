//! Octets of the journal. Everything in it is checked: a file may hold anything.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use super::{ListenerAddr, SEGMENT_HEADER_BYTES};
use crate::datagram::BLOCK_HEADER_BYTES;

/// First octets of a segment; the last is the version.
const MAGIC: [u8; 8] = *b"flowjrn\x01";

/// Octets of one listener: address, port, kind.
const LISTENER_BYTES: usize = 20;

/// What a segment says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) id: u64,
    /// Position of its first octet.
    pub(super) base: u64,
    pub(super) listeners: Vec<ListenerAddr>,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
        bytes.extend(MAGIC);
        bytes.extend([0; 4]);
        bytes.extend((self.listeners.len() as u32).to_le_bytes());
        bytes.extend(self.id.to_le_bytes());
        bytes.extend(self.base.to_le_bytes());
        for listener in &self.listeners {
            let (addr, family) = match listener.addr {
                SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 4),
                SocketAddr::V6(v6) => (*v6.ip(), 6),
            };
            bytes.extend(addr.octets());
            bytes.extend(listener.addr.port().to_le_bytes());
            bytes.extend([family, u8::from(listener.is_stream)]);
        }
        bytes.resize(SEGMENT_HEADER_BYTES as usize, 0);
        let crc = crc32c::crc32c(bytes.get(12..).unwrap_or_default());
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` if these octets are no header.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<{ SEGMENT_HEADER_BYTES as usize }>()?;
        let (head, rest) = bytes.split_first_chunk::<32>()?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if !head.starts_with(&MAGIC) || word(8) != crc32c::crc32c(&bytes[12..]) {
            return None;
        }
        let listeners = rest.chunks_exact(LISTENER_BYTES).take(word(12) as usize).map(|chunk| {
            let addr = Ipv6Addr::from(<[u8; 16]>::try_from(&chunk[..16]).unwrap_or_default());
            let port = u16::from_le_bytes([chunk[16], chunk[17]]);
            let addr = match addr.to_ipv4_mapped() {
                Some(v4) if chunk[18] == 4 => SocketAddr::from((v4, port)),
                _ => SocketAddr::V6(SocketAddrV6::new(addr, port, 0, 0)),
            };
            ListenerAddr { addr, is_stream: chunk[19] != 0 }
        });
        Some(Self { id: long(16), base: long(24), listeners: listeners.collect() })
    }
}

/// What stands before a block's datagrams.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockHeader {
    /// Of the whole block, this header included.
    pub(super) n_bytes: usize,
    crc: u32,
    pub(super) now_micros: i64,
}

/// Fills in the header of a sealed block.
pub(super) fn block_header(bytes: &mut [u8], id: u64, position: u64, now: flow_common::time::Timestamp) {
    let n_bytes = bytes.len() as u32;
    let Some(head) = bytes.first_chunk_mut::<BLOCK_HEADER_BYTES>() else { return };
    head[0..4].copy_from_slice(&n_bytes.to_le_bytes());
    head[8..16].copy_from_slice(&position.to_le_bytes());
    head[16..24].copy_from_slice(&now.0.to_le_bytes());
    let crc = checksum(bytes, id);
    if let Some(field) = bytes.get_mut(4..8) {
        field.copy_from_slice(&crc.to_le_bytes());
    }
}

fn checksum(bytes: &[u8], id: u64) -> u32 {
    let seed = crc32c::crc32c(&id.to_le_bytes());
    let length = crc32c::crc32c_append(seed, bytes.get(..4).unwrap_or_default());
    crc32c::crc32c_append(length, bytes.get(8..).unwrap_or_default())
}

/// The header of a block at `position`, before `end`; `None` if it is none.
pub(super) fn read_block_header(
    head: &[u8; BLOCK_HEADER_BYTES],
    position: u64,
    end: u64,
) -> Option<BlockHeader> {
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    let n_bytes = word(0) as usize;
    let fits = n_bytes >= BLOCK_HEADER_BYTES && position + n_bytes as u64 <= end;
    let header = BlockHeader { n_bytes, crc: word(4), now_micros: long(16).cast_signed() };
    (fits && long(8) == position).then_some(header)
}

impl BlockHeader {
    /// Whether these octets are the block that was written.
    pub(super) fn is_sound(&self, bytes: &[u8], id: u64) -> bool {
        checksum(bytes, id) == self.crc
    }
}
