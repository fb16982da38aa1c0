//! Exporters that number their records, send them in order, and stop at a gate.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flow_tests::packet::ipfix::{self, Field};
use flow_tests::packet::v9;

use crate::collector::Socket;

/// One exporter each of v9 and IPFIX.
pub(crate) const EXPORTERS: usize = 2;

/// Records of a datagram.
pub(crate) const RECORDS: u64 = 24;

/// A serial number is an element of 64 bits: the exporter above, the number below.
pub(crate) const EXPORTER_SHIFT: u32 = 48;

/// Elements and their octets: flowId, octets, packets, addresses, ports, protocol.
const FIELDS: [(u16, u16); 8] = [(148, 8), (1, 8), (2, 4), (8, 4), (12, 4), (7, 2), (11, 2), (4, 1)];
const TEMPLATE_ID: u16 = 300;

/// Datagrams from one with a template to the next.
const TEMPLATE_PERIOD: u64 = 50;

/// Octets that may wait in the socket while an exporter sends: far below any buffer,
/// so that the kernel has nothing to drop.
pub(crate) const QUEUED_BYTES_MAX: u64 = 64 << 10;

/// Datagrams sent between two looks at the socket.
pub(crate) const LOOK_PERIOD: u64 = 8;

/// All exporters, and what the test may do to them.
#[derive(Debug)]
pub(crate) struct Exporters {
    target: SocketAddr,
    /// Records an exporter sends each second.
    rate: u64,
    /// Whether they may send; whoever sends holds it.
    gate: RwLock<bool>,
    /// Whether they wait while much is in the socket.
    is_paced: bool,
    is_over: AtomicBool,
    /// Numbers from here on were never sent.
    next: [AtomicU64; EXPORTERS],
}

impl Exporters {
    pub(crate) fn new(target: SocketAddr, rate: u64) -> Self {
        let (gate, is_over) = (RwLock::new(false), AtomicBool::new(false));
        let rate = rate / EXPORTERS as u64;
        Self { target, rate, gate, is_paced: true, is_over, next: Default::default() }
    }

    /// Exporters that send as fast as they can, and care for no loss.
    pub(crate) fn unpaced(target: SocketAddr) -> Self {
        Self { is_paced: false, ..Self::new(target, u64::MAX) }
    }

    /// Lets them send.
    pub(crate) fn open(&self) {
        *self.gate.write().unwrap() = true;
    }

    /// Stops them: when this returns, none is sending.
    pub(crate) fn close(&self) {
        *self.gate.write().unwrap() = false;
    }

    /// Ends them.
    pub(crate) fn finish(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// For each exporter the first number it has not sent.
    pub(crate) fn next(&self) -> [u64; EXPORTERS] {
        std::array::from_fn(|n| self.next[n].load(Ordering::SeqCst))
    }

    /// Sends as exporter `n` until the end.
    pub(crate) fn run(&self, n: usize) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(self.target).unwrap();
        let period = Duration::from_nanos(1_000_000_000 * RECORDS / self.rate.max(1));
        let mut due = Instant::now();
        while !self.is_over() {
            if due > Instant::now() {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            // What was missed while the gate was closed is not made up for.
            due = (due + period).max(Instant::now() - Duration::from_millis(50));
            self.send(n, &socket);
        }
    }

    fn send(&self, n: usize, socket: &UdpSocket) {
        let first = self.next[n].load(Ordering::SeqCst);
        let message = first / RECORDS;
        if self.is_paced && message.is_multiple_of(LOOK_PERIOD) {
            // Without a socket the gate is about to close.
            let is_full = |socket: Socket| socket.queued_bytes > QUEUED_BYTES_MAX;
            if Socket::of(self.target.port()).is_some_and(is_full) {
                return std::thread::sleep(Duration::from_millis(1));
            }
        }
        let payload = datagram(n, first);
        let gate = self.gate.read().unwrap();
        if !*gate {
            drop(gate);
            return std::thread::sleep(Duration::from_millis(1));
        }
        // Before it is sent, so that nothing comes that is not counted.
        self.next[n].store(first + RECORDS, Ordering::SeqCst);
        while let Err(error) = socket.send(&payload) {
            // Of a datagram sent when nobody listened: this one was not sent.
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "cannot send: {error}");
        }
    }
}

/// Octets of a datagram on loopback at least: what a queued one takes is more.
pub(crate) fn datagram_bytes() -> u64 {
    datagram(0, RECORDS).len() as u64
}

/// Export time of every datagram: what the collector stores is its own.
pub(crate) const EXPORT_SECS: u32 = 1_795_262_400;

fn datagram(exporter: usize, first: u64) -> Vec<u8> {
    let records: Vec<_> = (first..first + RECORDS).map(|number| record(exporter, number)).collect();
    let message = first / RECORDS;
    let has_template = message.is_multiple_of(TEMPLATE_PERIOD);
    // Counters of sequence wrap like those of exporters.
    if exporter == 0 {
        let packet = v9::Message::new(3_600_000, EXPORT_SECS, message as u32, 1);
        let packet = if has_template { packet.template(TEMPLATE_ID, &FIELDS) } else { packet };
        packet.data(TEMPLATE_ID, &records).encode()
    } else {
        let packet = ipfix::Message::new(EXPORT_SECS, first as u32, 2);
        let fields = FIELDS.map(|(element, length)| Field::iana(element, length));
        let packet = if has_template { packet.template(TEMPLATE_ID, &fields) } else { packet };
        packet.data(TEMPLATE_ID, &records).encode()
    }
}

fn record(exporter: usize, number: u64) -> Vec<u8> {
    let serial = (exporter as u64) << EXPORTER_SHIFT | number;
    let mut record = Vec::with_capacity(33);
    record.extend(serial.to_be_bytes());
    record.extend((number % 1_500).to_be_bytes());
    record.extend([0, 0, 0, 1]);
    record.extend([198, 51, 100, number as u8, 192, 0, 2, (number >> 8) as u8]);
    record.extend([0xc0, number as u8, 1, 187, 6]);
    record
}
