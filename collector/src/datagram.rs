//! A datagram, or message of a stream, as received, and blocks of them as they
//! travel between threads.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use flow_common::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Which listener a datagram came in on; an index into the list of listeners,
/// or into the destinations seen in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ListenerId(pub(crate) u16);

/// How messages come in. Connections have a number of their own each, so nothing
/// known of one meets another (RFC 7011 §8 and §10).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Transport {
    #[default]
    Udp,
    Tcp {
        connection: u64,
    },
    Tls {
        connection: u64,
    },
    /// A file of IPFIX messages (RFC 5655 §7).
    File,
}

impl Transport {
    /// Whether messages arrive all, in order, and until an end: withdrawals count
    /// then, and nothing outlives the end.
    pub(crate) const fn is_stream(self) -> bool {
        !matches!(self, Self::Udp)
    }
}

/// Who sends where and how. Over UDP such a session never ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransportSession {
    pub(crate) peer: SocketAddr,
    pub(crate) listener: ListenerId,
    pub(crate) transport: Transport,
}

/// One UDP payload, or one message of a stream, and where it came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datagram<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) peer: SocketAddr,
    pub(crate) listener: ListenerId,
    pub(crate) transport: Transport,
    pub(crate) received_at: Timestamp,
}

impl Datagram<'_> {
    /// The session it belongs to.
    pub(crate) fn session(&self) -> TransportSession {
        TransportSession { peer: self.peer, listener: self.listener, transport: self.transport }
    }
}

/// Datagrams of one burst, in order of arrival, in one allocation: laid out as the
/// journal stores them, so that storing them is one write.
///
/// ```text
/// room for the journal's header
/// per datagram: length u32 | port u16 | listener u16 | transport u8 | kind u8 | family u8 | 0
///               | scope u32 | connection u64 | received i64 | address 16 | payload
/// ```
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    n_datagrams: usize,
    /// When the burst ended; also says the time when no datagram came.
    pub(crate) now: Timestamp,
    /// The session that ends after these datagrams.
    pub(crate) ended: Option<TransportSession>,
}

/// Octets before the first datagram, for the journal.
pub(crate) const BLOCK_HEADER_BYTES: usize = 32;

/// Octets before each payload.
pub(crate) const ENTRY_HEADER_BYTES: usize = 48;

/// What an entry is.
const KIND_DATAGRAM: u8 = 0;
const KIND_END: u8 = 1;

impl Default for Block {
    fn default() -> Self {
        Self::new(Timestamp::default())
    }
}

impl Block {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { bytes: Vec::new(), n_datagrams: 0, now, ended: None }
    }

    pub(crate) fn push(&mut self, datagram: Datagram<'_>) {
        self.entry(KIND_DATAGRAM, datagram.session(), datagram.received_at, datagram.payload);
        self.n_datagrams += 1;
    }

    /// Makes room for datagrams of so many octets each, in one allocation.
    pub(crate) fn reserve<'a>(&mut self, n_bytes: impl ExactSizeIterator<Item = &'a usize>) {
        let heads = n_bytes.len() * ENTRY_HEADER_BYTES;
        self.bytes.reserve(BLOCK_HEADER_BYTES + heads + n_bytes.sum::<usize>());
    }

    fn entry(&mut self, kind: u8, session: TransportSession, received_at: Timestamp, payload: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.resize(BLOCK_HEADER_BYTES, 0);
        }
        let (transport, connection) = match session.transport {
            Transport::Udp => (0, 0),
            Transport::Tcp { connection } => (1, connection),
            Transport::Tls { connection } => (2, connection),
            Transport::File => (3, 0),
        };
        let (family, scope, addr) = match session.peer {
            SocketAddr::V4(v4) => (4, 0, v4.ip().to_ipv6_mapped().octets()),
            SocketAddr::V6(v6) => (6, v6.scope_id(), v6.ip().octets()),
        };
        let mut head = [0; ENTRY_HEADER_BYTES];
        head[0..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        head[4..6].copy_from_slice(&session.peer.port().to_le_bytes());
        head[6..8].copy_from_slice(&session.listener.0.to_le_bytes());
        head[8..11].copy_from_slice(&[transport, kind, family]);
        head[12..16].copy_from_slice(&scope.to_le_bytes());
        head[16..24].copy_from_slice(&connection.to_le_bytes());
        head[24..32].copy_from_slice(&received_at.0.to_le_bytes());
        head[32..48].copy_from_slice(&addr);
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(payload);
    }

    pub(crate) fn len(&self) -> usize {
        self.n_datagrams
    }

    /// Memory it holds, octets.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        Entries { rest: self.bytes.get(BLOCK_HEADER_BYTES..).unwrap_or_default() }
            .filter(|entry| entry.kind == KIND_DATAGRAM)
            .map(|entry| entry.datagram)
    }

    /// All of it for the journal, whose header goes in front.
    pub(crate) fn seal(&mut self, header: impl FnOnce(&mut [u8])) -> &[u8] {
        if let Some(session) = self.ended {
            self.entry(KIND_END, session, self.now, &[]);
        }
        self.bytes.resize(self.bytes.len().max(BLOCK_HEADER_BYTES), 0);
        header(&mut self.bytes);
        &self.bytes
    }

    /// Octets [`Self::seal`] will give.
    pub(crate) fn sealed_bytes(&self) -> usize {
        let end = if self.ended.is_some() { ENTRY_HEADER_BYTES } else { 0 };
        self.bytes.len().max(BLOCK_HEADER_BYTES) + end
    }

    /// A block as the journal stored it; `listener` translates what listeners were
    /// called then. `None` if it is not what [`Self::seal`] gave.
    pub(crate) fn unseal(
        mut bytes: Vec<u8>,
        now: Timestamp,
        listener: impl Fn(ListenerId) -> ListenerId,
    ) -> Option<Self> {
        let (mut n_datagrams, mut ended, mut at) = (0, None, BLOCK_HEADER_BYTES);
        while at < bytes.len() {
            let mut entries = Entries { rest: bytes.get(at..)? };
            let entry = entries.next()?;
            let id = listener(entry.datagram.listener);
            match entry.kind {
                KIND_DATAGRAM => n_datagrams += 1,
                KIND_END => ended = Some(TransportSession { listener: id, ..entry.datagram.session() }),
                _ => return None,
            }
            let next = bytes.len() - entries.rest.len();
            bytes.get_mut(at + 6..at + 8)?.copy_from_slice(&id.0.to_le_bytes());
            at = next;
        }
        Some(Self { bytes, n_datagrams, now, ended })
    }
}

struct Entry<'a> {
    kind: u8,
    datagram: Datagram<'a>,
}

/// Entries of a block; ends early where octets are none.
struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (head, rest) = self.rest.split_first_chunk::<ENTRY_HEADER_BYTES>()?;
        let u16_at = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let (payload, rest) = rest.split_at_checked(u32_at(0) as usize)?;
        let connection = u64_at(16);
        let transport = match head[8] {
            0 => Transport::Udp,
            1 => Transport::Tcp { connection },
            2 => Transport::Tls { connection },
            _ => Transport::File,
        };
        let addr = Ipv6Addr::from(<[u8; 16]>::try_from(&head[32..48]).unwrap_or_default());
        let port = u16_at(4);
        let peer = match addr.to_ipv4_mapped() {
            Some(v4) if head[10] == 4 => SocketAddr::from((v4, port)),
            _ => SocketAddr::V6(SocketAddrV6::new(addr, port, 0, u32_at(12))),
        };
        self.rest = rest;
        let received_at = Timestamp(u64_at(24).cast_signed());
        let listener = ListenerId(u16_at(6));
        Some(Entry { kind: head[9], datagram: Datagram { payload, peer, listener, transport, received_at } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_back_what_was_put_in() {
        let mut block = Block::new(Timestamp(9));
        for (n, payload) in [&b"one"[..], b"", b"three"].into_iter().enumerate() {
            let peer = SocketAddr::from(([127, 0, 0, 1], n as u16));
            block.push(Datagram {
                payload,
                peer,
                listener: ListenerId(n as u16),
                transport: Transport::Tcp { connection: n as u64 },
                received_at: Timestamp(n as i64),
            });
        }
        let seen: Vec<_> =
            block.iter().map(|d| (d.payload, d.peer.port(), d.transport, d.received_at.0)).collect();
        let tcp = |connection| Transport::Tcp { connection };
        assert_eq!(seen, [(&b"one"[..], 0, tcp(0), 0), (b"", 1, tcp(1), 1), (b"three", 2, tcp(2), 2)]);
    }

    #[test]
    fn a_block_comes_back_from_the_journal_and_nothing_else_does() {
        let mut block = Block::new(Timestamp(9));
        let v6 = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 0, 3));
        for peer in [SocketAddr::from(([192, 0, 2, 1], 1)), v6] {
            let (listener, transport) = (ListenerId(1), Transport::Tls { connection: u64::MAX });
            block.push(Datagram { payload: b"abc", peer, listener, transport, received_at: Timestamp(-1) });
        }
        let session = block.iter().next().map(|datagram| datagram.session());
        block.ended = session;
        let n_sealed = block.sealed_bytes();
        let bytes = block.seal(|header| header[0] = 1).to_vec();
        assert_eq!(bytes.len(), n_sealed);
        let again = Block::unseal(bytes.clone(), block.now, |id| ListenerId(id.0 + 1)).unwrap();
        assert_eq!((again.len(), again.now), (2, Timestamp(9)));
        let seen: Vec<_> = again.iter().map(|d| (d.payload, d.peer, d.listener.0, d.transport)).collect();
        let tls = Transport::Tls { connection: u64::MAX };
        assert_eq!(seen, [(&b"abc"[..], "192.0.2.1:1".parse().unwrap(), 2, tls), (&b"abc"[..], v6, 2, tls)]);
        assert_eq!(again.ended.map(|session| (session.listener.0, session.transport)), Some((2, tls)));
        for cut in BLOCK_HEADER_BYTES + 1..bytes.len() {
            let whole = [BLOCK_HEADER_BYTES + 51, BLOCK_HEADER_BYTES + 102].contains(&cut);
            let unsealed = Block::unseal(bytes[..cut].to_vec(), block.now, |id| id);
            assert_eq!(unsealed.is_some(), whole, "cut at {cut}");
        }
    }
}
