//! A datagram as received, and blocks of them as they travel between threads.

use std::net::SocketAddr;

use flow_common::time::Timestamp;

/// Which listener a datagram came in on; an index into the list of listeners,
/// or into the destinations seen in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ListenerId(pub(crate) u16);

/// One UDP payload and where it came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datagram<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) peer: SocketAddr,
    pub(crate) listener: ListenerId,
    pub(crate) received_at: Timestamp,
}

/// Datagrams of one burst, in order of arrival, in one allocation.
#[derive(Debug, Default)]
pub(crate) struct Block {
    payloads: Vec<u8>,
    entries: Vec<Entry>,
    /// When the burst ended; also says the time when no datagram came.
    pub(crate) now: Timestamp,
}

#[derive(Debug)]
struct Entry {
    end: usize,
    peer: SocketAddr,
    listener: ListenerId,
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
                received_at: Timestamp(n as i64),
            });
        }
        let seen: Vec<_> = block.iter().map(|d| (d.payload, d.peer.port(), d.received_at.0)).collect();
        assert_eq!(seen, [(&b"one"[..], 0, 0), (b"", 1, 1), (b"three", 2, 2)]);
    }
}
