//! `nfcapd` and `nfdump` where they are installed, and varied flows for them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::mutate::Xorshift;
use crate::packet::{Value, ipfix, v5, v9};

/// Names of nfdump's JSON and our columns, where the value is spelled the same.
pub const JSON_COLUMNS: &[(&str, &str)] = &[
    ("in_packets", "packets"),
    ("in_bytes", "bytes"),
    ("out_packets", "out_packets"),
    ("out_bytes", "out_bytes"),
    ("aggr_flows", "flows"),
    ("proto", "protocol"),
    ("src_port", "src_port"),
    ("dst_port", "dst_port"),
    ("icmp_type", "icmp_type"),
    ("icmp_code", "icmp_code"),
    ("fwd_status", "forwarding_status"),
    ("src_tos", "src_tos"),
    ("dst_tos", "dst_tos"),
    ("src4_addr", "src_addr"),
    ("src6_addr", "src_addr"),
    ("dst4_addr", "dst_addr"),
    ("dst6_addr", "dst_addr"),
    ("input_snmp", "in_if"),
    ("output_snmp", "out_if"),
    ("src_mask", "src_mask"),
    ("dst_mask", "dst_mask"),
    ("direction", "direction"),
    ("src_as", "src_as"),
    ("dst_as", "dst_as"),
    ("ip4_next_hop", "next_hop"),
    ("ip6_next_hop", "next_hop"),
    ("bgp4_next_hop", "bgp_next_hop"),
    ("bgp6_next_hop", "bgp_next_hop"),
    ("src_vlan", "vlan"),
    ("dst_vlan", "post_vlan"),
    ("vlanID", "vlan"),
    ("post_vlanID", "post_vlan"),
    ("cust_vlanID", "customer_vlan"),
    ("post_cust_vlanID", "post_customer_vlan"),
    ("in_src_mac", "in_src_mac"),
    ("out_dst_mac", "out_dst_mac"),
    ("in_dst_mac", "in_dst_mac"),
    ("out_src_mac", "out_src_mac"),
    ("phys_ingress", "252"),
    ("phys_egress", "253"),
    ("ethertype", "ether_type"),
    ("ip_version", "ip_version"),
    ("ip_minttl", "min_ttl"),
    ("ip_maxttl", "max_ttl"),
    ("ip_fragment", "fragment_id"),
    ("ingress_vrf", "ingress_vrf"),
    ("egress_vrf", "egress_vrf"),
    ("observationDomainID", "149"),
    ("observationPointID", "observation_point"),
    ("flowID", "flow_id"),
    ("connect_id", "flow_id"),
    ("event_id", "firewall_event"),
    ("xevent_id", "firewall_ext_event"),
    ("src4_xlt_ip", "post_nat_src_addr"),
    ("dst4_xlt_ip", "post_nat_dst_addr"),
    ("src6_xlt_ip", "post_nat_src_addr"),
    ("dst6_xlt_ip", "post_nat_dst_addr"),
    ("src_xlt_port", "post_nat_src_port"),
    ("dst_xlt_port", "post_nat_dst_port"),
    ("nat_event_id", "nat_event"),
    ("ip4_router", "exporter_addr"),
    ("ip6_router", "exporter_addr"),
];

/// Why a test with them can't run here; `None` if it can.
pub fn missing() -> Option<String> {
    ["nfcapd", "nfdump"].into_iter().find_map(|name| {
        let found = Command::new(name).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.is_err().then(|| format!("`{name}` is not installed"))
    })
}

/// A collector that ends with this value.
struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Files nfcapd, started with `args`, makes of datagrams.
///
/// # Errors
/// If it can't be started, or does not end as it should.
pub fn collect(datagrams: &[Vec<u8>], args: &[&str]) -> io::Result<TempDir> {
    collect_from(args, |target| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        datagrams.iter().try_for_each(|datagram| {
            socket.send_to(datagram, target)?;
            std::thread::sleep(Duration::from_micros(300));
            Ok(())
        })
    })
}

/// Files nfcapd, started with `args`, makes of what `send` sends to its address.
///
/// # Errors
/// If it can't be started, or does not end as it should.
pub fn collect_from(args: &[&str], send: impl FnOnce(SocketAddr) -> io::Result<()>) -> io::Result<TempDir> {
    let directory = tempfile::tempdir()?;
    // A port that was free a moment ago.
    let target = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let log = std::fs::File::create(directory.path().join("log"))?;
    let child = Command::new("nfcapd")
        .env("TZ", "UTC")
        .args(["-4", "-b", "127.0.0.1", "-p", &target.port().to_string(), "-t", "3600", "-B", "4000000"])
        .args(["-I", "edge", "-w"])
        .arg(directory.path())
        .args(args)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    let mut collector = Collector(child);
    let hex_port = format!(":{:04X} ", target.port());
    let start = Instant::now();
    // It listens once the kernel says so.
    while !std::fs::read_to_string("/proc/net/udp")?.contains(&hex_port) {
        if start.elapsed() > Duration::from_secs(10) {
            return Err(io::Error::other("nfcapd does not listen"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    send(target)?;
    std::thread::sleep(Duration::from_millis(300));
    let stopped = Command::new("kill").arg(collector.0.id().to_string()).status()?;
    if !stopped.success() || !collector.0.wait()?.success() {
        return Err(io::Error::other("nfcapd did not end as it should"));
    }
    Ok(directory)
}

/// The files nfcapd wrote into a directory, by name.
///
/// # Errors
/// If it can't be listed.
pub fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    let is_file =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("nfcapd.2"));
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(is_file).collect();
    files.sort();
    Ok(files)
}

/// What `nfdump -r file args…` prints, times in UTC.
///
/// # Errors
/// If it can't be run, or what it printed is not UTF-8.
pub fn nfdump(file: &Path, args: &[&str]) -> io::Result<String> {
    let output = Command::new("nfdump").env("TZ", "UTC").arg("-r").arg(file).args(args).output()?;
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

/// An element, the octets it has in a template, and what its values are.
type Element = (u16, u16, Kind);

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Any number, not zero.
    Number,
    /// One of these.
    Of(&'static [u64]),
    /// A time within the hour before the export, ms since the epoch.
    Millis,
    /// The same as uptime.
    Uptime,
    /// An address or a label.
    Octets,
}

const PORTS_AND_COUNTERS: [Element; 15] = [
    (7, 2, Kind::Number),
    (11, 2, Kind::Number),
    (4, 1, Kind::Of(&[6, 6, 17, 17, 47, 132])),
    (6, 1, Kind::Number),
    (5, 1, Kind::Number),
    (2, 4, Kind::Number),
    (1, 4, Kind::Number),
    (10, 4, Kind::Number),
    (14, 4, Kind::Number),
    (16, 4, Kind::Number),
    (17, 4, Kind::Number),
    (61, 1, Kind::Of(&[0, 1])),
    (55, 1, Kind::Number),
    (89, 1, Kind::Of(&[64, 65, 128])),
    (58, 2, Kind::Of(&[1, 7, 4_000])),
];
const MILLIS: [Element; 2] = [(152, 8, Kind::Millis), (153, 8, Kind::Millis)];
const UPTIMES: [Element; 2] = [(22, 4, Kind::Uptime), (21, 4, Kind::Uptime)];
const V4: [Element; 6] = [
    (8, 4, Kind::Octets),
    (12, 4, Kind::Octets),
    (9, 1, Kind::Of(&[8, 16, 24, 32])),
    (13, 1, Kind::Of(&[0, 16, 24])),
    (15, 4, Kind::Octets),
    (18, 4, Kind::Octets),
];
const V6: [Element; 6] = [
    (27, 16, Kind::Octets),
    (28, 16, Kind::Octets),
    (29, 1, Kind::Of(&[32, 48, 64])),
    (30, 1, Kind::Of(&[0, 56, 128])),
    (62, 16, Kind::Octets),
    (63, 16, Kind::Octets),
];
const MAC_AND_MPLS: [Element; 7] = [
    (56, 6, Kind::Octets),
    (80, 6, Kind::Octets),
    (57, 6, Kind::Octets),
    (81, 6, Kind::Octets),
    (70, 3, Kind::Octets),
    (71, 3, Kind::Octets),
    (72, 3, Kind::Octets),
];
const NAT_AND_VRF: [Element; 6] = [
    (225, 4, Kind::Octets),
    (226, 4, Kind::Octets),
    (227, 2, Kind::Number),
    (228, 2, Kind::Number),
    (234, 4, Kind::Number),
    (235, 4, Kind::Number),
];
const ICMP: [Element; 7] = [
    (8, 4, Kind::Octets),
    (12, 4, Kind::Octets),
    (4, 1, Kind::Of(&[1])),
    (32, 2, Kind::Of(&[0x0800, 0x0000, 0x0301, 0x0b00])),
    (2, 4, Kind::Number),
    (1, 4, Kind::Number),
    (5, 1, Kind::Number),
];

fn record(elements: &[Element], random: &mut Xorshift, now_secs: u32) -> Vec<u8> {
    let mut value = Value::new();
    for &(_, width, kind) in elements {
        let width = usize::from(width);
        value = match kind {
            Kind::Number => value.uint(1 + random.next_u64() % ((1 << (8 * width.min(4) - 1)) - 1), width),
            Kind::Of(numbers) => value.uint(numbers[random.below(numbers.len())], width),
            Kind::Millis => {
                value.uint(u64::from(now_secs) * 1_000 - 1 - random.below(3_600_000) as u64, width)
            }
            Kind::Uptime => value.uint(UPTIME_MS as u64 - 1 - random.below(3_600_000) as u64, width),
            Kind::Octets => {
                let octets: Vec<u8> = (0..width).map(|_| random.octet() | 1).collect();
                value.octets(&octets)
            }
        };
    }
    value.encode()
}

/// Time an exporter has been up.
const UPTIME_MS: u32 = 7_200_000;
/// Records of a v9 packet or an IPFIX message.
const RECORDS: usize = 6;

/// Datagrams with `n` flows at least, exported at `now_secs`: NetFlow v5 and v9 and IPFIX, both
/// families, TCP, UDP, ICMP and others, with whatever nfcapd stores.
pub fn varied(n: usize, seed: u64, now_secs: u32) -> Vec<Vec<u8>> {
    let random = &mut Xorshift::new(seed);
    let common = &PORTS_AND_COUNTERS[..];
    let ipfix: [Vec<Element>; 4] = [
        [&V4[..], common, &MILLIS, &MAC_AND_MPLS].concat(),
        [&V6[..], common, &MILLIS].concat(),
        [&ICMP[..], &MILLIS].concat(),
        [&V4[..], common, &MILLIS, &NAT_AND_VRF].concat(),
    ];
    let v9: [Vec<Element>; 2] = [[&V4[..], common, &UPTIMES].concat(), [&V6[..], common, &UPTIMES].concat()];
    let mut datagrams = Vec::new();
    let (mut sequences, mut made) = ([0_u32; 3], 0);
    while made < n {
        let round = datagrams.len();
        let which = round % ipfix.len();
        let records = |elements: &[Element], random: &mut Xorshift| -> Vec<Vec<u8>> {
            (0..RECORDS).map(|_| record(elements, random, now_secs)).collect()
        };
        let fields: Vec<_> = ipfix[which].iter().map(|one| ipfix::Field::iana(one.0, one.1)).collect();
        let id = 256 + which as u16;
        let message = ipfix::Message::new(now_secs, sequences[0], 7).template(id, &fields);
        datagrams.push(message.data(id, &records(&ipfix[which], random)).encode());
        let which = round % v9.len();
        let fields: Vec<_> = v9[which].iter().map(|one| (one.0, one.1)).collect();
        let packet = v9::Message::new(UPTIME_MS, now_secs, sequences[1], 9).template(id, &fields);
        datagrams.push(packet.data(id, &records(&v9[which], random)).encode());
        let header = v5::Header {
            sys_uptime_ms: UPTIME_MS,
            unix_secs: now_secs,
            flow_sequence: sequences[2],
            engine_type: 1,
            engine_id: 2,
            ..v5::Header::default()
        };
        let records: Vec<v5::Record> = (0..RECORDS).map(|_| v5_record(random)).collect();
        datagrams.push(v5::encode(&header, &records));
        sequences = [sequences[0] + RECORDS as u32, sequences[1] + 1, sequences[2] + RECORDS as u32];
        made += 3 * RECORDS;
    }
    datagrams
}

fn v5_record(random: &mut Xorshift) -> v5::Record {
    let protocol = [1, 6, 17, 50][random.below(4)];
    let addr = |random: &mut Xorshift| Ipv4Addr::from(random.next_u64() as u32 | 1);
    let last_ms = UPTIME_MS - random.below(60_000) as u32;
    v5::Record {
        src_addr: addr(random),
        dst_addr: addr(random),
        next_hop: addr(random),
        input: random.below(100) as u16,
        output: random.below(100) as u16,
        packets: 1 + random.below(1_000) as u32,
        bytes: 1 + random.below(1_000_000) as u32,
        first_ms: last_ms - random.below(60_000) as u32,
        last_ms,
        src_port: if protocol == 1 { 0 } else { random.below(65_536) as u16 },
        dst_port: if protocol == 1 { 0x0800 } else { random.below(65_536) as u16 },
        tcp_flags: if protocol == 6 { random.octet() & 0x3f } else { 0 },
        protocol,
        tos: random.octet(),
        src_as: random.below(65_536) as u16,
        dst_as: random.below(65_536) as u16,
        src_mask: random.below(33) as u8,
        dst_mask: random.below(33) as u8,
    }
}
