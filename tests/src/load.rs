//! Load: export datagrams of realistic flows, stamped as they are sent, and a
//! sender that keeps a pace.

mod flows;
pub mod traffic;

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use flow_collector::SystemClock;
use flow_common::time::Clock;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};

pub use self::flows::{Flow, Flows};
use crate::packet::{Value, ipfix, v5, v9};

/// Datagrams one system call sends at most, all of one exporter.
const BURST_DATAGRAMS: usize = 32;
/// The sender sleeps so long when nothing is due: exporters, too, send in bursts.
const PAUSE: Duration = Duration::from_micros(500);
/// Time the exporters have been up when the first datagram is sent.
const UPTIME_MS: u64 = 86_400_000;
/// Template id of all flow records.
const TEMPLATE_ID: u16 = 260;
/// Datagrams between two of an exporter's templates.
const TEMPLATE_DATAGRAMS: u32 = 4_096;

/// What the datagrams are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// NetFlow v5.
    V5,
    /// NetFlow v9.
    V9,
    /// IPFIX.
    Ipfix,
}

/// Element and octets of a v9 record. IPFIX has 8 octets for counters and times.
pub const FIELDS: [(u16, u16); 20] = [
    (8, 4),  // source address
    (12, 4), // destination address
    (15, 4), // next hop
    (10, 4), // input interface
    (14, 4), // output interface
    (2, 4),  // packets
    (1, 4),  // octets
    (22, 4), // first
    (21, 4), // last
    (7, 2),  // source port
    (11, 2), // destination port
    (16, 4), // source AS
    (17, 4), // destination AS
    (58, 2), // VLAN
    (4, 1),  // protocol
    (6, 1),  // TCP flags
    (5, 1),  // type of service
    (9, 1),  // source mask
    (13, 1), // destination mask
    (61, 1), // direction
];

impl Version {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V5, Self::V9, Self::Ipfix];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V5 => "v5",
            Self::V9 => "v9",
            Self::Ipfix => "ipfix",
        }
    }

    /// Records of one datagram: as many as an Ethernet frame holds.
    pub const fn records(self) -> usize {
        match self {
            Self::V5 => 30,
            Self::V9 => 24,
            Self::Ipfix => 19,
        }
    }

    /// Octets of a header, those of a set included.
    const fn header_octets(self) -> usize {
        match self {
            Self::V5 | Self::V9 => 24,
            Self::Ipfix => 20,
        }
    }

    const fn record_octets(self) -> usize {
        match self {
            Self::V5 => 48,
            Self::V9 => 56,
            Self::Ipfix => 72,
        }
    }

    /// Where in a record the time of its first packet lies; that of the last follows.
    const fn times_at(self) -> usize {
        match self {
            Self::V5 => 24,
            Self::V9 => 28,
            Self::Ipfix => 36,
        }
    }

    const fn datagram_octets(self) -> usize {
        self.header_octets() + self.records() * self.record_octets()
    }

    /// A datagram of these flows without times.
    fn encode(self, flows: &[Flow]) -> Vec<u8> {
        let records = || flows.iter().map(|flow| record(flow, self)).collect::<Vec<_>>();
        match self {
            Self::V5 => v5::encode(&v5::Header::default(), &flows.iter().map(v5_record).collect::<Vec<_>>()),
            Self::V9 => v9::Message::new(0, 0, 0, 1).data(TEMPLATE_ID, &records()).encode(),
            Self::Ipfix => ipfix::Message::new(0, 0, 1).data(TEMPLATE_ID, &records()).encode(),
        }
    }

    /// A datagram with the template; v5 has none.
    pub fn template(self, now_ms: u64, uptime_ms: u32, sequence: u32) -> Option<Vec<u8>> {
        let secs = (now_ms / 1_000) as u32;
        match self {
            Self::V5 => None,
            Self::V9 => {
                Some(v9::Message::new(uptime_ms, secs, sequence, 1).template(TEMPLATE_ID, &FIELDS).encode())
            }
            Self::Ipfix => {
                let fields = FIELDS.map(|(id, length)| match id {
                    1 | 2 => ipfix::Field::iana(id, 8),
                    22 => ipfix::Field::iana(152, 8),
                    21 => ipfix::Field::iana(153, 8),
                    _ => ipfix::Field::iana(id, length),
                });
                Some(ipfix::Message::new(secs, sequence, 1).template(TEMPLATE_ID, &fields).encode())
            }
        }
    }
}

fn v5_record(flow: &Flow) -> v5::Record {
    v5::Record {
        src_addr: flow.src_addr,
        dst_addr: flow.dst_addr,
        next_hop: flow.next_hop,
        input: flow.input,
        output: flow.output,
        packets: flow.packets,
        bytes: flow.bytes,
        first_ms: 0,
        last_ms: 0,
        src_port: flow.src_port,
        dst_port: flow.dst_port,
        tcp_flags: flow.tcp_flags,
        protocol: flow.protocol,
        tos: flow.tos,
        src_as: flow.src_as,
        dst_as: flow.dst_as,
        src_mask: flow.src_mask,
        dst_mask: flow.dst_mask,
    }
}

fn record(flow: &Flow, version: Version) -> Vec<u8> {
    let wide = if version == Version::Ipfix { 8 } else { 4 };
    let uint = u64::from;
    Value::new()
        .ipv4(flow.src_addr)
        .ipv4(flow.dst_addr)
        .ipv4(flow.next_hop)
        .uint(uint(flow.input.into()), 4)
        .uint(uint(flow.output.into()), 4)
        .uint(uint(flow.packets), wide)
        .uint(uint(flow.bytes), wide)
        .uint(0, wide)
        .uint(0, wide)
        .uint(uint(flow.src_port.into()), 2)
        .uint(uint(flow.dst_port.into()), 2)
        .uint(uint(flow.src_as.into()), 4)
        .uint(uint(flow.dst_as.into()), 4)
        .uint(uint(flow.vlan.into()), 2)
        .uint(uint(flow.protocol.into()), 1)
        .uint(uint(flow.tcp_flags.into()), 1)
        .uint(uint(flow.tos.into()), 1)
        .uint(uint(flow.src_mask.into()), 1)
        .uint(uint(flow.dst_mask.into()), 1)
        .uint(uint(flow.direction.into()), 1)
        .encode()
}

/// Datagrams that are sent again and again, each time as of then.
#[derive(Debug, Clone)]
pub struct Datagrams {
    version: Version,
    octets: Vec<u8>,
    /// Of each record: time since its last packet, and between first and last, ms.
    ages: Vec<(u32, u32)>,
    boot_ms: u64,
}

impl Datagrams {
    /// `n` datagrams of the flows of a seed.
    pub fn new(version: Version, n: usize, seed: u64) -> Self {
        Self::since(version, n, seed, now_ms())
    }

    /// The same from exporters that at `now_ms` had been up for a day.
    pub fn since(version: Version, n: usize, seed: u64, now_ms: u64) -> Self {
        let flows: Vec<_> = Flows::new(seed).take(n * version.records()).collect();
        let octets: Vec<_> =
            flows.chunks(version.records()).flat_map(|flows| version.encode(flows)).collect();
        assert_eq!(octets.len(), n * version.datagram_octets(), "all datagrams are of one length");
        let ages = flows.iter().map(|flow| (flow.idle_ms, flow.duration_ms)).collect();
        Self { version, octets, ages, boot_ms: now_ms - UPTIME_MS }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.octets.len() / self.version.datagram_octets()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// The datagram at `index` as sent at `now_ms` behind `sequence` others of its
    /// exporter, counted as its version counts.
    pub fn stamped(&mut self, index: usize, now_ms: u64, sequence: u32) -> &[u8] {
        let version = self.version;
        let (octets, n_records) = (version.datagram_octets(), version.records());
        let datagram = &mut self.octets[index * octets..][..octets];
        let (secs, uptime_ms) = ((now_ms / 1_000) as u32, now_ms - self.boot_ms);
        let mut put = |at: usize, value: u32| datagram[at..at + 4].copy_from_slice(&value.to_be_bytes());
        match version {
            Version::V5 => {
                put(4, uptime_ms as u32);
                put(8, secs);
                put(12, (now_ms % 1_000) as u32 * 1_000_000);
                put(16, sequence);
            }
            Version::V9 => {
                put(4, uptime_ms as u32);
                put(8, secs);
                put(12, sequence);
            }
            Version::Ipfix => {
                put(4, secs);
                put(8, sequence);
            }
        }
        let records = datagram[version.header_octets()..].chunks_exact_mut(version.record_octets());
        for (record, (idle_ms, duration_ms)) in records.zip(&self.ages[index * n_records..]) {
            let times = &mut record[version.times_at()..];
            if version == Version::Ipfix {
                let last = now_ms - u64::from(*idle_ms);
                times[..8].copy_from_slice(&(last - u64::from(*duration_ms)).to_be_bytes());
                times[8..16].copy_from_slice(&last.to_be_bytes());
            } else {
                let last = uptime_ms as u32 - idle_ms;
                times[..4].copy_from_slice(&(last - duration_ms).to_be_bytes());
                times[4..8].copy_from_slice(&last.to_be_bytes());
            }
        }
        datagram
    }
}

fn now_ms() -> u64 {
    SystemClock.now().0.cast_unsigned() / 1_000
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sent {
    /// Datagrams, those with templates included.
    pub datagrams: u64,
    /// Flow records.
    pub records: u64,
    /// Time it took.
    pub elapsed: Duration,
}

impl Sent {
    /// Records a second.
    pub fn rate(&self) -> f64 {
        self.records as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Exporters that send to one collector.
#[derive(Debug)]
pub struct Sender {
    datagrams: Datagrams,
    exporters: Vec<Exporter>,
    next: usize,
    sent: Sent,
}

#[derive(Debug)]
struct Exporter {
    socket: UdpSocket,
    sequence: u32,
    until_template: u32,
}

impl Sender {
    /// `n` exporters at addresses of their own in 127.0.0.0/8.
    pub fn new(datagrams: Datagrams, n: usize, collector: SocketAddr) -> io::Result<Self> {
        let exporter = |index: usize| {
            let [_, high, middle, low] = (index as u32 + 1).to_be_bytes();
            let socket = UdpSocket::bind((Ipv4Addr::new(127, high, middle, low), 0))?;
            socket.connect(collector)?;
            Ok(Exporter { socket, sequence: 0, until_template: 0 })
        };
        let exporters = (0..n).map(exporter).collect::<io::Result<_>>()?;
        Ok(Self { datagrams, exporters, next: 0, sent: Sent::default() })
    }

    /// Sends each exporter's template.
    pub fn send_templates(&mut self) -> io::Result<()> {
        (0..self.exporters.len()).try_for_each(|index| self.send_template(index))
    }

    fn send_template(&mut self, index: usize) -> io::Result<()> {
        let (now_ms, exporter) = (now_ms(), &mut self.exporters[index]);
        exporter.until_template = TEMPLATE_DATAGRAMS;
        let uptime_ms = (now_ms - self.datagrams.boot_ms) as u32;
        if let Some(datagram) = self.datagrams.version.template(now_ms, uptime_ms, exporter.sequence) {
            exporter.socket.send(&datagram)?;
            exporter.sequence += u32::from(self.datagrams.version == Version::V9);
            self.sent.datagrams += 1;
        }
        Ok(())
    }

    /// Sends `rate` records a second for so long; returns what was sent since the start
    /// of the sender, and the time this call took.
    pub fn send(&mut self, rate: u64, duration: Duration) -> io::Result<Sent> {
        let start = Instant::now();
        let per_datagram = self.datagrams.version.records() as f64;
        let before = self.sent.records;
        let total = rate as f64 * duration.as_secs_f64() / per_datagram;
        let mut n_sent = 0;
        while (n_sent as f64) < total {
            let due = (rate as f64 * start.elapsed().as_secs_f64() / per_datagram).min(total);
            let n = due as usize - (n_sent as usize).min(due as usize);
            if n == 0 {
                std::thread::sleep(PAUSE);
            }
            if n_sent as f64 + 1.0 > total {
                break;
            }
            n_sent += self.send_burst(n.min(BURST_DATAGRAMS))? as u64;
            // A sender that can't keep the pace ends in time all the same.
            if start.elapsed() > duration * 5 / 4 {
                break;
            }
        }
        debug_assert_eq!(self.sent.records - before, n_sent * self.datagrams.version.records() as u64);
        Ok(Sent { elapsed: start.elapsed(), ..self.sent })
    }

    /// Sends `n` datagrams of the next exporter.
    fn send_burst(&mut self, n: usize) -> io::Result<usize> {
        if n == 0 {
            return Ok(0);
        }
        let index = (self.sent.datagrams / BURST_DATAGRAMS as u64) as usize % self.exporters.len();
        if self.exporters[index].until_template < n as u32 {
            self.send_template(index)?;
        }
        let (version, now_ms, exporter) = (self.datagrams.version, now_ms(), &mut self.exporters[index]);
        let first = if self.next + n > self.datagrams.len() { 0 } else { self.next };
        self.next = first + n;
        exporter.until_template -= n as u32;
        for datagram in first..first + n {
            self.datagrams.stamped(datagram, now_ms, exporter.sequence);
            let step = if version == Version::V9 { 1 } else { version.records() as u32 };
            exporter.sequence = exporter.sequence.wrapping_add(step);
        }
        let octets = version.datagram_octets();
        let slices: Vec<_> = self.datagrams.octets[first * octets..(first + n) * octets]
            .chunks_exact(octets)
            .map(|datagram| [IoSlice::new(datagram)])
            .collect();
        send_all(&exporter.socket, &slices)?;
        self.sent.datagrams += n as u64;
        self.sent.records += (n * version.records()) as u64;
        Ok(n)
    }
}

/// Sends all datagrams, by as few system calls as the kernel allows.
fn send_all(socket: &UdpSocket, mut slices: &[[IoSlice<'_>; 1]]) -> io::Result<()> {
    let to: Vec<Option<SockaddrIn>> = vec![None; slices.len()];
    while !slices.is_empty() {
        let mut headers = MultiHeaders::<SockaddrIn>::preallocate(slices.len(), None);
        let sent =
            sendmmsg(socket.as_raw_fd(), &mut headers, slices, &to[..slices.len()], [], MsgFlags::empty());
        match sent {
            Ok(sent) => slices = &slices[sent.count()..],
            Err(Errno::EINTR | Errno::EAGAIN | Errno::ENOBUFS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flow_collector::harness::Decoding;

    use super::*;

    #[test]
    fn datagrams_of_each_version_decode_as_often_as_they_are_stamped() {
        const DATAGRAMS: usize = 5;
        for version in Version::ALL {
            let mut datagrams = Datagrams::new(version, DATAGRAMS, 1);
            let now_ms = now_ms();
            let mut decoding = Decoding::default();
            let template = version.template(now_ms, 1, 0);
            template.iter().for_each(|template| _ = decoding.decode(template, 9_995, 0));
            for round in 0..2 {
                for index in 0..datagrams.len() {
                    let octets = datagrams.stamped(index, now_ms + round, 0).to_vec();
                    assert!((1_300..=1_472).contains(&octets.len()), "{version:?}: {}", octets.len());
                    decoding.decode(&octets, 9_995, 0);
                }
            }
            assert_eq!(decoding.n_flows(), 2 * DATAGRAMS * version.records(), "{version:?}");
        }
    }

    #[test]
    fn a_sender_sends_what_it_says_at_the_pace_it_was_told() {
        let collector = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = collector.local_addr().unwrap();
        let mut sender = Sender::new(Datagrams::new(Version::V9, 8, 1), 2, to).unwrap();
        sender.send_templates().unwrap();
        let sent = sender.send(2_400, Duration::from_millis(200)).unwrap();
        assert_eq!((sent.datagrams, sent.records), (2 + 20, 480));
        assert!(sent.elapsed >= Duration::from_millis(190));
        collector.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut sequences = [Vec::new(), Vec::new()];
        for _ in 0..sent.datagrams {
            let mut octets = [0; 2_000];
            let (_, from) = collector.recv_from(&mut octets).unwrap();
            let exporter = usize::from(from.ip() != Ipv4Addr::new(127, 0, 0, 1));
            sequences[exporter].push(u32::from_be_bytes(octets[12..16].try_into().unwrap()));
        }
        for sequence in sequences {
            assert_eq!(sequence, (0..sequence.len() as u32).collect::<Vec<_>>());
        }
    }
}
