//! A datagram, or message of a stream, as received, and blocks of them as they
//! travel between threads.

use std::net::SocketAddr;

use flow_common::time::Timestamp;

/// Which listener a datagram came in on; an index into the list of listeners,
/// or into the destinations seen in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ListenerId(pub(crate) u16);

/// How messages come in. Connections have a number of their own each, so nothing
/// known of one meets another (RFC 7011 §8 and §10).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// Datagrams of one burst, in order of arrival, in one allocation.
#[derive(Debug, Default)]
pub(crate) struct Block {
    payloads: Vec<u8>,
    entries: Vec<Entry>,
    /// When the burst ended; also says the time when no datagram came.
    pub(crate) now: Timestamp,
    /// The session that ends after these datagrams.
    pub(crate) ended: Option<TransportSession>,
}

#[derive(Debug)]
struct Entry {
    end: usize,
    peer: SocketAddr,
    listener: ListenerId,
    transport: Transport,
    received_at: Timestamp,
}

impl Block {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }

    pub(crate) fn push(&mut self, datagram: Datagram<'_>) {
        self.payloads.extend_from_slice(datagram.payload);
        self.entries.push(Entry {
            end: self.payloads.len(),
            peer: datagram.peer,
            listener: datagram.listener,
            transport: datagram.transport,
            received_at: datagram.received_at,
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Memory it holds, octets.
    pub(crate) fn bytes(&self) -> usize {
        self.payloads.len() + self.entries.len() * size_of::<Entry>()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        let starts = std::iter::once(0).chain(self.entries.iter().map(|entry| entry.end));
        starts.zip(&self.entries).map(|(start, entry)| Datagram {
            payload: &self.payloads[start..entry.end],
            peer: entry.peer,
            listener: entry.listener,
            transport: entry.transport,
            received_at: entry.received_at,
        })
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
}
