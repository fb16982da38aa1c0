//! Entry points for fuzz targets, benchmarks, and whatever documents the program. No API: they
//! may change with every commit.

use std::io::{self, Cursor};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use flow_common::limits;
use flow_common::time::Timestamp;

use crate::capture::Capture;
use crate::cli::Args;
use crate::compact::{self, Circumstances};
use crate::config::dump::dump;
use crate::config::{self, Compression, Config};
use crate::datagram::{Datagram, ListenerId, Transport};
use crate::decode::{Decoder, FlowSink};
use crate::framing::{self, Framer};
use crate::fs::RealFs;
use crate::journal::ListenerAddr;
use crate::retention::KeptTree;
use crate::sampling::SamplingPolicy;
use crate::state::{Listeners, Snapshot};

pub use crate::cli::whole_command;

/// A decoder and where its records go.
#[derive(Debug, Default)]
pub struct Decoding {
    decoder: Decoder,
    sink: FlowSink,
}

impl Decoding {
    /// Decodes one payload as sent from port `port`, received at `received_secs`
    /// since the epoch; returns how many records are held now.
    pub fn decode(&mut self, payload: &[u8], port: u16, received_secs: i64) -> usize {
        self.decode_from(payload, SocketAddr::from(([192, 0, 2, 1], port)), received_secs)
    }

    /// As [`Self::decode`], from any exporter.
    pub fn decode_from(&mut self, payload: &[u8], peer: SocketAddr, received_secs: i64) -> usize {
        let received_at = Timestamp::from_secs(received_secs);
        let transport = Transport::Udp;
        let datagram = Datagram { payload, peer, listener: ListenerId(0), transport, received_at };
        self.decoder.decode(&datagram, &mut self.sink);
        while self.decoder.decode_ready(&mut self.sink).is_some() {}
        self.decoder.expire(received_at);
        self.sink.flows.rows() + self.sink.options.rows()
    }

    /// Templates held.
    pub fn n_templates(&self) -> usize {
        self.decoder.n_templates()
    }

    /// Flow records held.
    pub fn n_flows(&self) -> usize {
        self.sink.flows.rows()
    }

    /// Octets the records take in the buffers of their columns.
    pub fn held_bytes(&self) -> usize {
        self.sink.flows.bytes() + self.sink.options.bytes()
    }

    /// Makes room for so many records of each kind, so that none of them has to.
    pub fn reserve(&mut self, rows: usize) {
        self.sink.flows.reserve(rows);
        self.sink.options.reserve(rows);
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        self.sink.flows.truncate(0);
        self.sink.options.truncate(0);
    }
}

/// Reads `input` as a sequence of datagrams of several sessions: an octet that
/// picks the session, two of length, then the payload.
pub fn decode_sequence(input: &[u8]) {
    let mut decoding = Decoding::default();
    let mut rest = input;
    let mut received_secs = 1_795_262_400;
    while let Some((&[session, high, low], tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(tail.len());
        let (payload, tail) = tail.split_at(length);
        // The high bits of the first octet let time pass.
        received_secs += i64::from(session >> 4) * 100;
        decoding.decode(payload, u16::from(session & 3), received_secs);
        rest = tail;
    }
}

/// Reads `input` as a state file, and takes back what it says.
pub fn read_state(input: &[u8]) {
    let listener = SocketAddr::from(([0, 0, 0, 0], 4739));
    // A fuzzer does not guess a checksum: also without head and checksum.
    let content = serde_json::from_slice(input).ok();
    for snapshot in Snapshot::decode(input).ok().into_iter().chain(content) {
        let listeners = Listeners::new(vec![
            ListenerAddr { addr: listener, is_stream: false },
            ListenerAddr { addr: listener, is_stream: true },
        ]);
        let mut decoder = Decoder::new(SamplingPolicy::Announced);
        decoder.restore(&snapshot, &listeners);
        let again = decoder.snapshot(&listeners);
        assert_eq!(Snapshot::decode(&again.encode()), Ok(again));
    }
}

/// Reads `input` as a configuration file. What is wrong with it is said within
/// bounds and without characters that drive a terminal; what it comes to is shown as a
/// file that comes to the same.
pub fn read_config(input: &str) {
    let load = |text: &str| Config::of(Args::default(), config::file::parse("fuzz", text)?);
    match load(input) {
        Ok((loaded, origins)) => {
            let shown = dump(&loaded, &origins);
            let again = load(&shown).map(|(again, _)| again);
            assert_eq!(again.as_ref(), Ok(&loaded), "{shown}");
        }
        Err(error) => {
            let said = format!("{error}\n{}", error.hint);
            assert!(said.len() < 64 << 10, "{} octets", said.len());
            assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
        }
    }
}

/// Reads `input` as a capture file.
pub fn read_capture(input: &[u8]) {
    let reader = Cursor::new(input.to_vec());
    if let Ok(capture) = Capture::new("fuzz".into(), reader) {
        // What is wrong with it is the reader's to say.
        let _ = capture.for_datagrams(|_| ControlFlow::Continue(()));
    }
}

/// Reads `input` as a stream of octets: the first octets say how long the pieces
/// are in which the rest comes. Any pieces give the same messages as all at once.
pub fn read_stream(input: &[u8]) {
    let (pieces, stream) = input.split_at(input.len().min(PIECES));
    let read = |lengths: &mut dyn Iterator<Item = usize>| {
        let (mut framer, mut messages, mut rest) = (Framer::default(), Vec::new(), stream);
        let mut result = Ok(());
        while !rest.is_empty() && result.is_ok() {
            let (piece, tail) = rest.split_at(lengths.next().unwrap_or(1).clamp(1, rest.len()));
            result = framer.read(piece, |message| messages.push(message.to_vec()));
            rest = tail;
        }
        (messages, result, framer.offset())
    };
    let whole = read(&mut std::iter::once(stream.len()));
    let split = read(&mut pieces.iter().map(|&length| usize::from(length)).cycle());
    assert_eq!(whole, split);
    let (messages, result, offset) = whole;
    assert_eq!(messages.iter().map(Vec::len).sum::<usize>() as u64, offset);
    assert!(result.is_err() || stream.len() as u64 - offset <= limits::DATAGRAM_BYTES_MAX as u64);
    assert!(messages.iter().all(|message| message.len() >= framing::HEADER_BYTES));
}

/// Compacts the tree below `root` as `flowcapd compact` does at `now`, and removes at once
/// what was replaced; how many hours, and what is said of each.
pub fn compact(root: &Path, now: Timestamp) -> io::Result<(u64, Vec<String>)> {
    let circumstances = Circumstances {
        fs: &RealFs,
        compression: Compression::default(),
        now,
        after_secs: limits::COMPACTION_AFTER_SECS_DEFAULT,
        elapsed: &|| Duration::ZERO,
        is_dry: false,
        is_over: &|| false,
    };
    let mut told = Vec::new();
    let outcome =
        compact::compact(&KeptTree::only(root), &circumstances, &mut |event| told.push(event.text(false)))?;
    compact::forget(&RealFs, &outcome.replaced);
    Ok((outcome.n_hours, told))
}

/// Octets of an input of [`read_stream`] that say how it comes in pieces.
const PIECES: usize = 8;
