//! Messages in a stream of octets: what comes over TCP or TLS, or lies in an
//! IPFIX file, is one message after the other, each as long as its header says
//! (RFC 7011 §10.4.1). Sans-I/O, and the same however the octets come in pieces.

/// Octets of a message header (RFC 7011 §3.1).
pub(crate) const HEADER_BYTES: usize = 16;
/// Version of IPFIX in its first two octets.
pub(crate) const VERSION: u16 = 10;

/// Octets that are no message. Where the next would begin can't be known, so the
/// stream ends here. `offset` counts octets from the first of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FramingError {
    #[error("a message of version {version}, not {VERSION}, at octet {offset}")]
    Version { version: u16, offset: u64 },
    #[error("a message of {length} octets, fewer than its header has, at octet {offset}")]
    Length { length: usize, offset: u64 },
}

/// Finds messages. Holds at most one that is not yet whole.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    /// The beginning of a message.
    partial: Vec<u8>,
    /// Where in the stream it begins.
    offset: u64,
}

impl Framer {
    /// Takes octets as they come and calls `each` with every message now whole.
    pub(crate) fn read(
        &mut self,
        mut octets: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), FramingError> {
        while !octets.is_empty() {
            if self.partial.is_empty() {
                match self.message_bytes(octets)? {
                    Some(length) if length <= octets.len() => {
                        let (message, rest) = octets.split_at(length);
                        each(message);
                        self.offset += length as u64;
                        octets = rest;
                    }
                    _ => {
                        self.partial.extend_from_slice(octets);
                        return Ok(());
                    }
                }
            } else {
                // Up to the length first, then up to the end.
                let needed = self.message_bytes(&self.partial)?.unwrap_or(LENGTH_END);
                let n = needed.saturating_sub(self.partial.len()).min(octets.len());
                let (taken, rest) = octets.split_at(n);
                self.partial.extend_from_slice(taken);
                octets = rest;
                if self.message_bytes(&self.partial)? == Some(self.partial.len()) {
                    // Its memory goes with it: most connections are between two messages.
                    let message = std::mem::take(&mut self.partial);
                    each(&message);
                    self.offset += message.len() as u64;
                }
            }
        }
        Ok(())
    }

    /// Octets of a message that is not yet whole.
    pub(crate) fn partial_bytes(&self) -> usize {
        self.partial.len()
    }

    /// Where in the stream the next message begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Length of the message that begins with `octets`; `None` while too few are there.
    fn message_bytes(&self, octets: &[u8]) -> Result<Option<usize>, FramingError> {
        let word = |at: usize| Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]));
        match word(0) {
            Some(version) if version != VERSION => {
                return Err(FramingError::Version { version, offset: self.offset });
            }
            _ => {}
        }
        match word(2).map(usize::from) {
            Some(length) if length < HEADER_BYTES => {
                Err(FramingError::Length { length, offset: self.offset })
            }
            length => Ok(length),
        }
    }
}

/// Where the length of a message ends.
const LENGTH_END: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u16) -> Vec<u8> {
        let mut message = vec![0, 10];
        message.extend(length.to_be_bytes());
        message.extend((4..length).map(|n| n as u8));
        message
    }

    /// Reads a stream in pieces of `n` octets; returns the messages and how it ended.
    fn read(stream: &[u8], n: usize) -> (Vec<Vec<u8>>, Result<(), FramingError>, usize) {
        let (mut framer, mut messages) = (Framer::default(), Vec::new());
        let result = stream
            .chunks(n)
            .try_for_each(|piece| framer.read(piece, |message| messages.push(message.to_vec())));
        (messages, result, framer.partial_bytes())
    }

    #[test]
    fn pieces_of_any_size_make_the_same_messages() {
        let messages = [message(16), message(65_535), message(17), message(300)];
        let stream = messages.concat();
        for n in [1, 2, 3, 4, 5, 15, 16, 17, 1_000, 65_535, stream.len()] {
            assert_eq!(read(&stream, n), (messages.to_vec(), Ok(()), 0), "pieces of {n}");
        }
        for n in [1, 7, 1_000] {
            assert_eq!(read(&stream[..stream.len() - 1], n), (messages[..3].to_vec(), Ok(()), 299));
        }
    }

    #[test]
    fn what_is_no_message_ends_the_stream_where_it_begins() {
        let check = |tail: &[u8], expected: FramingError| {
            let stream = [message(20), tail.to_vec()].concat();
            for n in [1, 2, 3, stream.len()] {
                assert_eq!(read(&stream, n).1, Err(expected), "pieces of {n}");
                assert_eq!(read(&stream, n).0, [message(20)]);
            }
        };
        check(&[0, 9, 0, 20], FramingError::Version { version: 9, offset: 20 });
        check(b"GET / HTTP/1.1", FramingError::Version { version: 0x4745, offset: 20 });
        check(&[0, 10, 0, 15], FramingError::Length { length: 15, offset: 20 });
        check(&[0, 10, 0, 0], FramingError::Length { length: 0, offset: 20 });
    }
}
