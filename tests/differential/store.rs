//! The same datagrams in files of both: `nfcapd` receives them over loopback, no faster than
//! it takes them; `flowcapd` reads them from a capture.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flow_tests::daemon::{Finished, decode_capture};
use flow_tests::packet::{Value, ipfix, v9};
use flow_tests::pcap::{UdpPayload, write_pcap};
use tempfile::TempDir;

use crate::flows::{EXPORTERS, Layout, Record, START_MS, STEP_MS, records};
use crate::truth::Truth;

/// Octets of records in one datagram: with its headers it fits an Ethernet frame.
const RECORD_OCTETS_MAX: usize = 1_400;
/// Flows are exported so long after they began; none is longer.
const EXPORT_DELAY_MS: u64 = 75_000;
/// The exporters were started so long before the first flow.
const UPTIME_MS: u64 = 86_400_000;
/// Where exporters believe their collector to be.
const COLLECTOR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9_995);
/// The sender waits while so much lies in the socket: nothing may be lost.
const QUEUED_BYTES_MAX: u64 = 64 << 10;
/// Datagrams between two looks at the socket.
const BURST: usize = 16;
/// Longest wait for `nfcapd`.
const PATIENCE: Duration = Duration::from_secs(30);
/// It is ended when its socket was found empty so many times, so far apart.
const EMPTY_LOOKS: usize = 20;
const LOOK: Duration = Duration::from_millis(5);

/// One element of a template and how a record fills it.
struct Field {
    element: u16,
    octets: u16,
    /// Enterprise number; NetFlow v9 has none.
    pen: u32,
    put: fn(&Record, Value) -> Value,
}

const fn field(element: u16, octets: u16, put: fn(&Record, Value) -> Value) -> Field {
    Field { element, octets, pen: 0, put }
}

fn put_addr(value: Value, addr: IpAddr) -> Value {
    match addr {
        IpAddr::V4(addr) => value.ipv4(addr),
        IpAddr::V6(addr) => value.ipv6(addr),
    }
}

/// What every template has, but for addresses, masks and times.
static COMMON: [Field; 13] = [
    field(2, 8, |record, value| value.uint(record.packets, 8)),
    field(1, 8, |record, value| value.uint(record.bytes, 8)),
    field(7, 2, |record, value| value.uint(record.src_port.into(), 2)),
    field(11, 2, |record, value| value.uint(record.dst_port.into(), 2)),
    field(4, 1, |record, value| value.uint(record.protocol.into(), 1)),
    field(6, 1, |record, value| value.uint(record.tcp_flags.into(), 1)),
    field(5, 1, |record, value| value.uint(record.src_tos.into(), 1)),
    field(55, 1, |record, value| value.uint(record.dst_tos.into(), 1)),
    field(61, 1, |record, value| value.uint(record.direction.into(), 1)),
    field(10, 4, |record, value| value.uint(record.in_if.into(), 4)),
    field(14, 4, |record, value| value.uint(record.out_if.into(), 4)),
    field(16, 4, |record, value| value.uint(record.src_as.into(), 4)),
    field(17, 4, |record, value| value.uint(record.dst_as.into(), 4)),
];

/// Element 32: without type and code of ICMP nfcapd stores port 0.
static OF_IPV4: [Field; 7] = [
    field(8, 4, |record, value| put_addr(value, record.src_addr)),
    field(12, 4, |record, value| put_addr(value, record.dst_addr)),
    field(15, 4, |record, value| put_addr(value, record.next_hop)),
    field(18, 4, |record, value| put_addr(value, record.bgp_next_hop)),
    field(9, 1, |record, value| value.uint(record.src_mask.into(), 1)),
    field(13, 1, |record, value| value.uint(record.dst_mask.into(), 1)),
    field(32, 2, |record, value| value.uint(if record.is_icmp() { record.dst_port.into() } else { 0 }, 2)),
];

static OF_IPV6: [Field; 7] = [
    field(27, 16, |record, value| put_addr(value, record.src_addr)),
    field(28, 16, |record, value| put_addr(value, record.dst_addr)),
    field(62, 16, |record, value| put_addr(value, record.next_hop)),
    field(63, 16, |record, value| put_addr(value, record.bgp_next_hop)),
    field(29, 1, |record, value| value.uint(record.src_mask.into(), 1)),
    field(30, 1, |record, value| value.uint(record.dst_mask.into(), 1)),
    field(32, 2, |record, value| value.uint(if record.is_icmp() { record.dst_port.into() } else { 0 }, 2)),
];

/// Times since the exporter started. nfcapd 1.7.1 takes element 89 from NetFlow v9 alone.
static OF_V9: [Field; 3] = [
    field(89, 1, |record, value| value.uint(record.forwarding.into(), 1)),
    field(22, 4, |record, value| value.uint(record.start_ms - BOOT_MS, 4)),
    field(21, 4, |record, value| value.uint(record.end_ms - BOOT_MS, 4)),
];

static OF_IPFIX: [Field; 2] = [
    field(152, 8, |record, value| value.uint(record.start_ms, 8)),
    field(153, 8, |record, value| value.uint(record.end_ms, 8)),
];

static ETHERNET: [Field; 6] = [
    field(58, 2, |record, value| value.uint(record.vlan.into(), 2)),
    field(59, 2, |record, value| value.uint(record.post_vlan.into(), 2)),
    field(56, 6, |record, value| value.mac(record.macs[0])),
    field(57, 6, |record, value| value.mac(record.macs[1])),
    field(80, 6, |record, value| value.mac(record.macs[2])),
    field(81, 6, |record, value| value.mac(record.macs[3])),
];

static MPLS: [Field; 3] = [
    field(70, 3, |record, value| value.uint(record.labels[0].into(), 3)),
    field(71, 3, |record, value| value.uint(record.labels[1].into(), 3)),
    field(72, 3, |record, value| value.uint(record.labels[2].into(), 3)),
];

static NAT_IPV4: [Field; 2] = [
    field(225, 4, |record, value| put_addr(value, record.nat_addrs[0])),
    field(226, 4, |record, value| put_addr(value, record.nat_addrs[1])),
];

/// nfcapd takes addresses of IPv6 after translation from NetFlow v9 alone.
static NAT_IPV6: [Field; 2] = [
    field(281, 16, |record, value| put_addr(value, record.nat_addrs[0])),
    field(282, 16, |record, value| put_addr(value, record.nat_addrs[1])),
];

static NAT_PORTS: [Field; 2] = [
    field(227, 2, |record, value| value.uint(record.nat_ports[0].into(), 2)),
    field(228, 2, |record, value| value.uint(record.nat_ports[1].into(), 2)),
];

/// What left, in NetFlow v9, and the other direction, in IPFIX.
static OUT_V9: [Field; 2] = [
    field(24, 8, |record, value| value.uint(record.out_packets, 8)),
    field(23, 8, |record, value| value.uint(record.out_bytes, 8)),
];

static OUT_IPFIX: [Field; 2] = [
    Field { pen: ipfix::REVERSE_PEN, ..field(2, 8, |record, value| value.uint(record.out_packets, 8)) },
    Field { pen: ipfix::REVERSE_PEN, ..field(1, 8, |record, value| value.uint(record.out_bytes, 8)) },
];

const BOOT_MS: u64 = START_MS - UPTIME_MS;

/// The template of a record: its id is unlike that of any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Template {
    layout: Layout,
    is_ipv6: bool,
}

impl Template {
    fn id(self) -> u16 {
        256 + 2 * self.layout as u16 + u16::from(self.is_ipv6)
    }

    fn fields(self, is_v9: bool) -> Vec<&'static Field> {
        let times: &[Field] = if is_v9 { &OF_V9 } else { &OF_IPFIX };
        let family: &[Field] = if self.is_ipv6 { &OF_IPV6 } else { &OF_IPV4 };
        let own: [&[Field]; 2] = match self.layout {
            Layout::Ethernet => [&ETHERNET, &[]],
            Layout::Mpls => [&MPLS, &[]],
            Layout::Nat if !self.is_ipv6 => [&NAT_IPV4, &NAT_PORTS],
            Layout::Nat if is_v9 => [&NAT_IPV6, &NAT_PORTS],
            Layout::Nat => [&NAT_PORTS, &[]],
            Layout::Biflow if is_v9 => [&OUT_V9, &[]],
            Layout::Biflow => [&OUT_IPFIX, &[]],
        };
        [times, family, &COMMON, own[0], own[1]].into_iter().flatten().collect()
    }
}

/// What one exporter has told so far.
#[derive(Debug, Default)]
struct Exporter {
    /// Datagrams of NetFlow v9, records of IPFIX.
    sequence: u32,
    pending: BTreeMap<Template, Vec<Vec<u8>>>,
}

impl Exporter {
    /// The next datagram: templates, or what waits.
    fn datagram(&mut self, index: usize, at_ms: u64, content: Option<Template>) -> UdpPayload {
        let secs = at_ms / 1_000;
        let source = SocketAddr::from((exporter_addr(index), 50_000));
        let domain = 1 + index as u32;
        let records = content.and_then(|template| self.pending.remove(&template)).unwrap_or_default();
        let octets = if index < EXPORTERS / 2 {
            let uptime_ms = (secs * 1_000 - BOOT_MS) as u32;
            let message = v9::Message::new(uptime_ms, secs as u32, self.sequence, domain);
            self.sequence += 1;
            match content {
                Some(template) => message.data(template.id(), &records).encode(),
                None => {
                    let fields = templates().map(|template| {
                        let fields = template.fields(true);
                        (
                            template.id(),
                            fields.iter().map(|field| (field.element, field.octets)).collect::<Vec<_>>(),
                        )
                    });
                    let all: Vec<_> = fields.collect();
                    let all: Vec<_> = all.iter().map(|(id, fields)| (*id, &fields[..])).collect();
                    message.templates(&all).encode()
                }
            }
        } else {
            let message = ipfix::Message::new(secs as u32, self.sequence, domain);
            self.sequence += records.len() as u32;
            match content {
                Some(template) => message.data(template.id(), &records).encode(),
                None => {
                    let own = |field: &&Field| ipfix::Field {
                        pen: field.pen,
                        element: field.element,
                        length: field.octets,
                    };
                    let fields = templates().map(|template| {
                        (template.id(), template.fields(false).iter().map(own).collect::<Vec<_>>())
                    });
                    let all: Vec<_> = fields.collect();
                    let all: Vec<_> = all.iter().map(|(id, fields)| (*id, &fields[..])).collect();
                    message.templates(&all).encode()
                }
            }
        };
        (source, COLLECTOR, octets, at_ms * 1_000)
    }
}

fn templates() -> impl Iterator<Item = Template> {
    Layout::ALL.into_iter().flat_map(|layout| [false, true].map(|is_ipv6| Template { layout, is_ipv6 }))
}

/// The address an exporter sends from.
fn exporter_addr(exporter: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 21, 1 + exporter as u8)
}

/// Every flow in datagrams, templates first, and when that of each flow is sent, milliseconds
/// since the epoch.
fn datagrams(records: &[Record]) -> (Vec<UdpPayload>, Vec<u64>) {
    let first_ms = START_MS + EXPORT_DELAY_MS;
    let mut exporters: Vec<_> = (0..EXPORTERS).map(|_| Exporter::default()).collect();
    let mut out = Vec::new();
    for (index, exporter) in exporters.iter_mut().enumerate() {
        out.push(exporter.datagram(index, first_ms, None));
    }
    let mut at_ms = first_ms;
    let mut received = vec![0; records.len()];
    let mut waiting = BTreeMap::<(usize, Template), Vec<usize>>::new();
    for (place, record) in records.iter().enumerate() {
        at_ms += STEP_MS;
        let template = Template { layout: record.layout, is_ipv6: record.is_ipv6() };
        let fields = template.fields(record.is_v9());
        let octets = fields.iter().fold(Value::new(), |value, field| (field.put)(record, value)).encode();
        let exporter = &mut exporters[record.exporter];
        let pending = exporter.pending.entry(template).or_default();
        let full = RECORD_OCTETS_MAX / octets.len();
        pending.push(octets);
        let is_full = pending.len() == full;
        let sent = waiting.entry((record.exporter, template)).or_default();
        sent.push(place);
        if is_full {
            sent.drain(..).for_each(|place| received[place] = at_ms);
            out.push(exporter.datagram(record.exporter, at_ms, Some(template)));
        }
    }
    for (index, exporter) in exporters.iter_mut().enumerate() {
        for template in templates() {
            if exporter.pending.contains_key(&template) {
                out.push(exporter.datagram(index, at_ms, Some(template)));
            }
        }
    }
    waiting.into_values().flatten().for_each(|place| received[place] = at_ms);
    (out, received)
}

/// The flows, and the two places they lie in.
pub(crate) struct Stores {
    pub(crate) truth: Truth,
    pub(crate) nfcapd: TempDir,
    pub(crate) flowcapd: Finished,
}

/// Makes the flows and has both store them.
pub(crate) fn make() -> Stores {
    let records = records();
    let (datagrams, received) = datagrams(&records);
    let nfcapd = tempfile::tempdir().unwrap();
    let flowcapd = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| collect(&datagrams, nfcapd.path()));
        let capture = tempfile::NamedTempFile::new().unwrap();
        fs::write(capture.path(), write_pcap(&datagrams)).unwrap();
        let flowcapd = decode_capture(capture.path());
        theirs.join().unwrap();
        flowcapd
    });
    Stores { truth: Truth::new(records, received), nfcapd, flowcapd }
}

/// A process that is ended if a test fails meanwhile.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Sends everything to an `nfcapd` that writes below `directory`.
fn collect(datagrams: &[UdpPayload], directory: &Path) {
    // A port that was free a moment ago.
    let target = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let child = Command::new("nfcapd")
        .env("TZ", "UTC")
        .args(["-4", "-b", "127.0.0.1", "-p", &target.port().to_string(), "-t", "3600", "-B", "4000000"])
        // The name flowcapd has in tests.
        .args(["-I", "test"])
        .arg("-w")
        .arg(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let begin = Instant::now();
    while socket_state(target.port()).is_none() {
        assert!(begin.elapsed() < PATIENCE, "nfcapd does not listen");
        std::thread::sleep(LOOK);
    }
    let sockets: Vec<_> =
        (0..EXPORTERS).map(|index| UdpSocket::bind((exporter_addr(index), 0)).unwrap()).collect();
    for burst in datagrams.chunks(BURST) {
        wait_below(target.port(), QUEUED_BYTES_MAX);
        for (source, _, octets, _) in burst {
            let socket =
                sockets.iter().find(|socket| socket.local_addr().unwrap().ip() == source.ip()).unwrap();
            socket.send_to(octets, target).unwrap();
        }
    }
    for _ in 0..EMPTY_LOOKS {
        wait_below(target.port(), 0);
        std::thread::sleep(LOOK);
    }
    let pid = nix::unistd::Pid::from_raw(running.0.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(running.0.wait().unwrap().success());
}

/// Octets that wait in the UDP socket of a port, and datagrams it dropped.
fn socket_state(port: u16) -> Option<(u64, u64)> {
    let table = fs::read_to_string("/proc/net/udp").ok()?;
    let local = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row.get(1).is_some_and(|addr| addr.ends_with(&local)))?;
    let (_, queued) = row.get(4)?.split_once(':')?;
    Some((u64::from_str_radix(queued, 16).ok()?, row.last()?.parse().ok()?))
}

fn wait_below(port: u16, queued_bytes_max: u64) {
    let begin = Instant::now();
    loop {
        // While other sockets come and go, the kernel's list may lack one.
        if let Some((queued, dropped)) = socket_state(port) {
            assert_eq!(dropped, 0, "nfcapd's socket dropped datagrams");
            if queued <= queued_bytes_max {
                return;
            }
        }
        assert!(begin.elapsed() < PATIENCE, "nfcapd takes nothing from its socket");
        std::thread::sleep(LOOK / 10);
    }
}
