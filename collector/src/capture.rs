//! Datagrams from a capture file: every UDP payload over IPv4 or IPv6, with the
//! time it was captured. A file of IPFIX messages (RFC 5655 §7) gives its messages,
//! with the time they were exported.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv6Addr, SocketAddr};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use etherparse::{EtherType, NetSlice, SlicedPacket, TransportSlice};
use flow_common::limits::{CAPTURE_BUFFER_BYTES, FILE_READ_BYTES};
use flow_common::time::Timestamp;
use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{Block as PcapngBlock, Linktype, PcapBlockOwned, PcapError, create_reader};

use crate::datagram::{Datagram, ListenerId, Transport};
use crate::framing::{self, Framer, FramingError};

/// A capture could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    #[error("cannot open `{path}`: {source}")]
    Open { path: PathBuf, source: std::io::Error },
    #[error("cannot read `{path}` after {n_packets} packets: {reason}")]
    Read { path: PathBuf, n_packets: u64, reason: &'static str },
    #[error("cannot read `{path}` after {n_messages} messages: {source}")]
    Message { path: PathBuf, n_messages: u64, source: MessageError },
}

/// What is wrong with a file of IPFIX messages.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error(transparent)]
    Framing(#[from] FramingError),
    #[error("the file ends inside the message at octet {offset}, of which it has {available} octets")]
    Torn { offset: u64, available: usize },
    #[error("reading failed: {0}")]
    Read(#[from] std::io::Error),
}

/// What a capture held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CaptureCounts {
    pub(crate) n_packets: u64,
    pub(crate) n_datagrams: u64,
    pub(crate) n_messages: u64,
}

/// What is known of an interface of a capture.
#[derive(Debug, Clone, Copy)]
struct Interface {
    linktype: Linktype,
    /// Timestamp units in a second.
    resolution: u64,
    offset_secs: i64,
}

/// A pcap or pcapng file, or one of IPFIX messages, opened.
pub(crate) struct Capture {
    path: PathBuf,
    content: Content,
}

enum Content {
    Packets(Box<dyn PcapReaderIterator + Send>),
    Messages(Box<dyn Read + Send>),
}

impl Capture {
    /// Opens a file and recognises its format.
    pub(crate) fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = File::open(path).map_err(|source| CaptureError::Open { path: path.to_owned(), source })?;
        Self::new(path.to_owned(), file)
    }

    /// Reads a capture from anywhere; `path` names it in errors.
    pub(crate) fn new(path: PathBuf, reader: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        let mut reader = BufReader::with_capacity(FILE_READ_BYTES, reader);
        let is_message = match reader.fill_buf() {
            Ok(begin) => begin.starts_with(&framing::VERSION.to_be_bytes()),
            Err(source) => return Err(CaptureError::Open { path, source }),
        };
        if is_message {
            return Ok(Self { path, content: Content::Messages(Box::new(reader)) });
        }
        match create_reader(CAPTURE_BUFFER_BYTES, reader) {
            Ok(reader) => Ok(Self { path, content: Content::Packets(reader) }),
            Err(error) => Err(failed(&path, 0, &error)),
        }
    }

    /// Calls `each` with every UDP datagram or IPFIX message, in file order.
    pub(crate) fn for_datagrams(
        self,
        each: impl FnMut(Datagram<'_>) -> ControlFlow<()>,
    ) -> Result<CaptureCounts, CaptureError> {
        match self.content {
            Content::Packets(reader) => for_packets(&self.path, reader, each),
            Content::Messages(reader) => {
                let mut n_messages = 0;
                for_messages(reader, &mut n_messages, each).map_err(|source| CaptureError::Message {
                    path: self.path,
                    n_messages,
                    source,
                })?;
                Ok(CaptureCounts { n_messages, ..CaptureCounts::default() })
            }
        }
    }
}

fn for_packets(
    path: &Path,
    mut reader: Box<dyn PcapReaderIterator + Send>,
    mut each: impl FnMut(Datagram<'_>) -> ControlFlow<()>,
) -> Result<CaptureCounts, CaptureError> {
    let (mut state, mut counts) = (Reading::default(), CaptureCounts::default());
    // A refill that brings nothing means that the block is cut off or too large.
    let mut buffered_before = None;
    loop {
        match reader.next() {
            Ok((n_bytes, block)) => {
                let flow = state.block(block, &mut counts, &mut each);
                reader.consume(n_bytes);
                buffered_before = None;
                if flow.is_break() {
                    return Ok(counts);
                }
            }
            Err(PcapError::Eof) => return Ok(counts),
            Err(PcapError::Incomplete(_)) => {
                let buffered = reader.data().len();
                if buffered_before == Some(buffered) {
                    return Err(failed(path, counts.n_packets, &PcapError::UnexpectedEof));
                }
                buffered_before = Some(buffered);
                reader.refill().map_err(|error| failed(path, counts.n_packets, &error))?;
            }
            Err(error) => return Err(failed(path, counts.n_packets, &error)),
        }
    }
}

/// Calls `each` with every message of a file, as received when it was exported, or
/// with the one before it where that was later: files of slots are written once.
fn for_messages(
    mut reader: Box<dyn Read + Send>,
    n_messages: &mut u64,
    mut each: impl FnMut(Datagram<'_>) -> ControlFlow<()>,
) -> Result<(), MessageError> {
    // Who exported them is not in the file.
    let peer = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let (listener, transport) = (ListenerId(0), Transport::File);
    let mut received_at = Timestamp::default();
    let mut framer = Framer::default();
    let mut buffer = vec![0; FILE_READ_BYTES];
    let mut flow = ControlFlow::Continue(());
    while flow.is_continue() {
        let n = match reader.read(&mut buffer) {
            Ok(0) if framer.partial_bytes() == 0 => break,
            Ok(0) => {
                let (offset, available) = (framer.offset(), framer.partial_bytes());
                return Err(MessageError::Torn { offset, available });
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        framer.read(buffer.get(..n).unwrap_or_default(), |payload| {
            if flow.is_continue() {
                let export_secs =
                    payload.get(4..8).and_then(|secs| Some(u32::from_be_bytes(secs.try_into().ok()?)));
                received_at = received_at.max(Timestamp::from_secs(export_secs.unwrap_or_default().into()));
                *n_messages += 1;
                flow = each(Datagram { payload, peer, listener, transport, received_at });
            }
        })?;
    }
    Ok(())
}

fn failed(path: &Path, n_packets: u64, error: &PcapError<&[u8]>) -> CaptureError {
    let reason = match error {
        PcapError::UnexpectedEof | PcapError::Eof => "the file ends inside a block",
        PcapError::HeaderNotRecognized => "it is neither pcap nor pcapng nor a file of IPFIX messages",
        PcapError::ReadError => "reading failed",
        _ => "a block is malformed",
    };
    CaptureError::Read { path: path.to_owned(), n_packets, reason }
}

/// State while reading a file.
#[derive(Debug, Default)]
struct Reading {
    interfaces: Vec<Interface>,
    /// Destinations seen: each stands for a listener.
    listeners: HashMap<SocketAddr, ListenerId>,
}

impl Reading {
    fn block(
        &mut self,
        block: PcapBlockOwned<'_>,
        counts: &mut CaptureCounts,
        each: &mut impl FnMut(Datagram<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let resolution = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
                self.interfaces = vec![Interface { linktype: header.network, resolution, offset_secs: 0 }];
            }
            PcapBlockOwned::Legacy(packet) => {
                let Some(&interface) = self.interfaces.first() else { return ControlFlow::Continue(()) };
                let stamp = u64::from(packet.ts_sec) * interface.resolution + u64::from(packet.ts_usec);
                return self.packet(interface, stamp, packet.data, counts, each);
            }
            PcapBlockOwned::NG(PcapngBlock::SectionHeader(_)) => self.interfaces.clear(),
            PcapBlockOwned::NG(PcapngBlock::InterfaceDescription(interface)) => {
                self.interfaces.push(Interface {
                    linktype: interface.linktype,
                    resolution: interface
                        .ts_resolution()
                        .filter(|&resolution| resolution > 0)
                        .unwrap_or(1_000_000),
                    offset_secs: interface.ts_offset(),
                });
            }
            PcapBlockOwned::NG(PcapngBlock::EnhancedPacket(packet)) => {
                let Some(&interface) = self.interfaces.get(packet.if_id as usize) else {
                    return ControlFlow::Continue(());
                };
                let stamp = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                return self.packet(interface, stamp, packet.data, counts, each);
            }
            PcapBlockOwned::NG(_) => {}
        }
        ControlFlow::Continue(())
    }

    fn packet(
        &mut self,
        interface: Interface,
        stamp: u64,
        frame: &[u8],
        counts: &mut CaptureCounts,
        each: &mut impl FnMut(Datagram<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        counts.n_packets += 1;
        let Some((peer, destination, payload)) = udp_payload(interface.linktype, frame) else {
            return ControlFlow::Continue(());
        };
        counts.n_datagrams += 1;
        let next = ListenerId(u16::try_from(self.listeners.len()).unwrap_or(u16::MAX));
        let listener = *self.listeners.entry(destination).or_insert(next);
        let micros = u128::from(stamp) * 1_000_000 / u128::from(interface.resolution);
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        let stamp = Timestamp(micros.saturating_add(Timestamp::from_secs(interface.offset_secs).0));
        // A file may say anything.
        let received_at = stamp.in_names();
        each(Datagram { payload, peer, listener, transport: Transport::Udp, received_at })
    }
}

/// Source, destination and payload of a UDP datagram that is not a fragment.
fn udp_payload(linktype: Linktype, frame: &[u8]) -> Option<(SocketAddr, SocketAddr, &[u8])> {
    let packet = match linktype {
        Linktype::ETHERNET => SlicedPacket::from_ethernet(frame),
        Linktype::RAW | Linktype(12 | 14 | 228 | 229) => SlicedPacket::from_ip(frame),
        Linktype::LINUX_SLL => SlicedPacket::from_linux_sll(frame),
        // Four octets of address family before the IP header.
        Linktype::NULL | Linktype(108) => SlicedPacket::from_ip(frame.get(4..)?),
        Linktype::LINUX_SLL2 => {
            let ether_type = u16::from_be_bytes(frame.get(..2)?.try_into().ok()?);
            SlicedPacket::from_ether_type(EtherType(ether_type), frame.get(20..)?)
        }
        _ => return None,
    };
    let packet = packet.ok()?;
    let (source, destination) = match packet.net? {
        NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Arp(_) => return None,
    };
    let TransportSlice::Udp(udp) = packet.transport? else { return None };
    let (source, destination): (std::net::IpAddr, std::net::IpAddr) = (source, destination);
    Some((
        SocketAddr::new(source, udp.source_port()),
        SocketAddr::new(destination, udp.destination_port()),
        udp.payload(),
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_is_no_capture_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let check = |content: &[u8], reason: &str| {
            let path = directory.path().join("x.pcap");
            std::fs::write(&path, content).unwrap();
            let read =
                Capture::open(&path).and_then(|capture| capture.for_datagrams(|_| ControlFlow::Continue(())));
            let error = read.unwrap_err().to_string();
            assert!(error.ends_with(reason), "{error}");
        };
        check(b"", "the file ends inside a block");
        check(
            b"not a capture at all, but long enough",
            "it is neither pcap nor pcapng nor a file of IPFIX messages",
        );
        let mut cut =
            vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
        cut.extend([1, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0, 1, 2, 3]);
        check(&cut, "the file ends inside a block");
        check(b"\0\x0a\0\x10............\0\x09", "a message of version 9, not 10, at octet 16");
        check(
            b"\0\x0a\0\x10............\0\x0a\0\x20",
            "the file ends inside the message at octet 16, of which it has 4 octets",
        );
    }

    #[test]
    fn messages_of_a_file_come_when_they_were_exported_and_in_order() {
        let message = |secs: u8| [[0, 10, 0, 16, 0, 0, 0, secs], [0, 0, 0, 0, 0, 0, 0, 0]].concat();
        let content = Cursor::new([message(9), message(5), message(11)].concat());
        let mut seen = Vec::new();
        let capture = Capture::new("x.ipfix".into(), content).unwrap();
        let counts = capture.for_datagrams(|datagram| {
            seen.push((datagram.received_at.secs(), datagram.transport));
            ControlFlow::Continue(())
        });
        assert_eq!(seen, [9, 9, 11].map(|secs| (secs, Transport::File)));
        assert_eq!(counts.unwrap().n_messages, 3);
    }

    /// A pcapng file of one UDP datagram over IPv4, captured then in microseconds.
    fn pcapng(stamp: u64) -> Vec<u8> {
        let block = |kind: u32, body: &[u8]| {
            let length = (12 + body.len() as u32).to_le_bytes();
            [&kind.to_le_bytes(), &length, body, &length].concat()
        };
        let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
        const RAW: u8 = 101;
        let mut frame = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        frame.extend([0, 1, 8, 7, 0, 12, 0, 0, 0, 5, 0, 0]);
        let stamp = [(stamp >> 32) as u32, stamp as u32].map(u32::to_le_bytes).concat();
        let packet = [&[0; 4][..], &stamp, &[32, 0, 0, 0], &[32, 0, 0, 0], &frame].concat();
        [block(0x0a0d_0d0a, &section), block(1, &[RAW, 0, 0, 0, 0, 0, 0, 0]), block(6, &packet)].concat()
    }

    #[test]
    fn a_file_may_say_any_time_and_names_can_tell_it() {
        for (stamp, expected) in [
            (1_795_262_400_000_000, 1_795_262_400_000_000),
            (0, 0),
            (u64::MAX, Timestamp::LAST.0),
            (i64::MAX as u64, Timestamp::LAST.0),
        ] {
            let mut seen = Vec::new();
            let capture = Capture::new("x.pcapng".into(), Cursor::new(pcapng(stamp))).unwrap();
            let counts = capture.for_datagrams(|datagram| {
                seen.push(datagram.received_at.0);
                ControlFlow::Continue(())
            });
            assert_eq!((seen, counts.unwrap().n_datagrams), (vec![expected], 1), "{stamp}");
        }
    }
}
