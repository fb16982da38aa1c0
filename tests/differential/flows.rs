//! The flows both programs are asked about, as they were made: the truth where they disagree.
//!
//! Each begins at a millisecond of its own, so a time names a flow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flow_tests::load::Flows;

/// Flows in both stores.
pub(crate) const N_FLOWS: usize = 100_000;
/// When the first flow begins, milliseconds since the epoch: 2026-11-21T12:00:00Z.
pub(crate) const START_MS: u64 = 1_795_262_400_000;
/// A flow begins so many milliseconds after the one before: ten minutes are filled.
pub(crate) const STEP_MS: u64 = 6;
/// Devices that export: the first half NetFlow v9, the others IPFIX.
pub(crate) const EXPORTERS: usize = 4;
/// What the flows are made from.
const SEED: u64 = 1_771;
/// Every so-manieth pair of hosts speaks IPv6.
const IPV6_EVERY: usize = 5;
/// What [`plant`] knows comes round after so many flows.
const PLANTED_EVERY: usize = 67;
/// A MAC address filters ask for.
const PLANTED_MAC: [u8; 6] = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55];

/// What a template has beside what all have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Layout {
    /// VLANs and MAC addresses.
    Ethernet,
    /// A label stack.
    Mpls,
    /// Addresses and ports after translation.
    Nat,
    /// Counters of the other direction.
    Biflow,
}

impl Layout {
    pub(crate) const ALL: [Self; 4] = [Self::Ethernet, Self::Mpls, Self::Nat, Self::Biflow];
}

/// One flow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) layout: Layout,
    pub(crate) exporter: usize,
    pub(crate) start_ms: u64,
    pub(crate) end_ms: u64,
    pub(crate) src_addr: IpAddr,
    pub(crate) dst_addr: IpAddr,
    pub(crate) next_hop: IpAddr,
    pub(crate) bgp_next_hop: IpAddr,
    pub(crate) src_port: u16,
    /// Type and code of ICMP in one.
    pub(crate) dst_port: u16,
    pub(crate) protocol: u8,
    pub(crate) tcp_flags: u8,
    pub(crate) src_tos: u8,
    pub(crate) dst_tos: u8,
    pub(crate) forwarding: u8,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) in_if: u32,
    pub(crate) out_if: u32,
    pub(crate) src_as: u32,
    pub(crate) dst_as: u32,
    pub(crate) src_mask: u8,
    pub(crate) dst_mask: u8,
    pub(crate) direction: u8,
    /// Of [`Layout::Ethernet`].
    pub(crate) vlan: u16,
    pub(crate) post_vlan: u16,
    /// In source, out destination, in destination, out source.
    pub(crate) macs: [[u8; 6]; 4],
    /// Of [`Layout::Mpls`]: label << 4 | exp << 1 | bottom.
    pub(crate) labels: [u32; 3],
    /// Of [`Layout::Nat`].
    pub(crate) nat_addrs: [IpAddr; 2],
    pub(crate) nat_ports: [u16; 2],
    /// Of [`Layout::Biflow`].
    pub(crate) out_packets: u64,
    pub(crate) out_bytes: u64,
}

impl Record {
    pub(crate) fn is_ipv6(&self) -> bool {
        self.src_addr.is_ipv6()
    }

    pub(crate) fn is_v9(&self) -> bool {
        self.exporter < EXPORTERS / 2
    }

    pub(crate) fn is_icmp(&self) -> bool {
        matches!(self.protocol, 1 | 58)
    }
}

/// All flows, in the order they are sent but for what waits for its datagram to be full.
pub(crate) fn records() -> Vec<Record> {
    Flows::new(SEED).take(N_FLOWS).enumerate().map(|(index, flow)| record(index, &flow)).collect()
}

fn record(index: usize, flow: &flow_tests::load::Flow) -> Record {
    let start_ms = START_MS + index as u64 * STEP_MS;
    // One of sixteen counts both directions: few, as sums differ where they are.
    let layout = match index / EXPORTERS % 16 {
        15 => Layout::Biflow,
        turn => [Layout::Ethernet, Layout::Mpls, Layout::Nat][turn % 3],
    };
    let mac = |n: u32| {
        let [_, b, c, d] = n.to_be_bytes();
        [0x02, 0, b, c, d % 32, 1]
    };
    let host = flow.src_addr.to_bits() ^ flow.dst_addr.to_bits();
    let mut record = Record {
        layout,
        exporter: index % EXPORTERS,
        start_ms,
        end_ms: start_ms + u64::from(flow.duration_ms),
        src_addr: flow.src_addr.into(),
        dst_addr: flow.dst_addr.into(),
        next_hop: flow.next_hop.into(),
        bgp_next_hop: Ipv4Addr::from_bits(flow.next_hop.to_bits() | 0x80).into(),
        src_port: flow.src_port,
        dst_port: flow.dst_port,
        protocol: flow.protocol,
        tcp_flags: flow.tcp_flags,
        src_tos: flow.tos,
        dst_tos: flow.tos & 0xfc,
        forwarding: [64, 64, 64, 128, 0][index % 5],
        packets: flow.packets.into(),
        bytes: flow.bytes.into(),
        in_if: flow.input.into(),
        out_if: flow.output.into(),
        src_as: flow.src_as.into(),
        dst_as: flow.dst_as.into(),
        src_mask: flow.src_mask,
        dst_mask: flow.dst_mask,
        direction: flow.direction,
        vlan: flow.vlan,
        post_vlan: flow.vlan + 1_000,
        macs: [host, host / 7, host / 11, host / 13].map(|n| mac(n % 50)),
        labels: [
            (16 + host % 40) << 4 | (host % 8) << 1,
            (1_000 + host % 20) << 4 | (host / 8 % 8) << 1,
            2_020 << 4 | 1,
        ],
        nat_addrs: [
            Ipv4Addr::from_bits(0xc633_6400 | (host % 16)).into(),
            Ipv4Addr::from_bits(0xcb00_7100 | (host % 8)).into(),
        ],
        nat_ports: [1_024 + (host % 600) as u16, flow.dst_port],
        out_packets: u64::from(flow.packets) / 2 + 1,
        out_bytes: u64::from(flow.bytes) / 3 + 40,
    };
    if (host as usize).is_multiple_of(IPV6_EVERY) {
        to_ipv6(&mut record);
    }
    plant(&mut record, index);
    record
}

/// The same flow over IPv6.
fn to_ipv6(record: &mut Record) {
    let addr = |prefix: u16, addr: IpAddr| match addr {
        IpAddr::V4(addr) => {
            let [a, b, c, d] = addr.octets().map(u16::from);
            Ipv6Addr::new(0x2001, 0xdb8, prefix, a << 8 | b, 0, 0, c, d << 8 | 1).into()
        }
        IpAddr::V6(_) => addr,
    };
    record.src_addr = addr(0x10, record.src_addr);
    record.dst_addr = addr(0x10, record.dst_addr);
    record.next_hop = addr(0xff, record.next_hop);
    record.bgp_next_hop = addr(0xff, record.bgp_next_hop);
    record.nat_addrs = record.nat_addrs.map(|nat| addr(0xaa, nat));
    (record.src_mask, record.dst_mask) = (record.src_mask + 24, record.dst_mask + 24);
    if record.protocol == 1 {
        record.protocol = 58;
        record.dst_port = 128 << 8;
    }
}

/// What filters ask for, by turns.
fn plant(record: &mut Record, index: usize) {
    let v4 = |a, b, c, d| IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    let (is_v4, turn) = (!record.is_ipv6(), index / PLANTED_EVERY);
    match index % PLANTED_EVERY {
        0 if is_v4 => record.src_addr = v4(192, 168, 1, 10),
        1 if is_v4 => record.dst_addr = v4(10, 0, 0, 5),
        2 if is_v4 => {
            record.dst_addr = v4(8, 8, 8, 8);
            to_protocol(record, 17, 53);
        }
        3 if is_v4 => record.next_hop = v4(192, 168, 1, 1),
        4 if is_v4 => record.bgp_next_hop = v4(10, 0, 0, 1),
        // nfdump takes these two for one, so few have them.
        5 if is_v4 && turn % 40 == 0 => record.src_addr = v4(0, 0, 0, 1),
        6 if is_v4 => record.nat_addrs = [v4(10, 1, 1, 1), v4(10, 2, 2, 2)],
        7 if is_v4 => record.src_addr = v4(192, 168, 1, (turn % 250) as u8),
        0 => record.src_addr = "2001:db8:1:2:3:4:5:6".parse().unwrap(),
        1 => record.dst_addr = "2606:4700::1111".parse().unwrap(),
        2 if turn % 10 == 0 => record.src_addr = Ipv6Addr::LOCALHOST.into(),
        3 => record.src_addr = "fe80::1".parse().unwrap(),
        4 => record.dst_addr = "2001:db8:0:1::".parse().unwrap(),
        8 => (record.src_as, record.dst_as) = (15_169, 13_335),
        9 => (record.src_as, record.dst_as) = (64_600, 4_200_000_001),
        10 => (record.in_if, record.out_if) = (1, 2),
        11 => (record.in_if, record.out_if) = (2, 1),
        12 => (record.vlan, record.post_vlan) = (10, 20),
        13 => (record.vlan, record.post_vlan) = (100, 100),
        14..=17 => record.macs[index % PLANTED_EVERY - 14] = PLANTED_MAC,
        18 => (record.packets, record.bytes) = (12_000_000 + turn as u64, 16_000_000_000 + 7 * turn as u64),
        19 => (record.packets, record.bytes, record.end_ms) = (1, 40 + turn as u64 % 1_000, record.start_ms),
        20 => (record.src_tos, record.dst_tos) = (192, 0),
        21 => (record.src_tos, record.dst_tos) = (0, 72),
        22 => record.nat_ports = [5_000, 5_001],
        23 | 24 => {
            to_protocol(record, 47, 0);
            record.src_port = 0;
        }
        25..=27 => {
            let kinds = if is_v4 { [0x0301, 0x0000, 0x0b00] } else { [0x8700, 0x0100, 0x8100] };
            to_protocol(record, if is_v4 { 1 } else { 58 }, kinds[index % PLANTED_EVERY - 25]);
            record.src_port = 0;
        }
        28..=35 => {
            to_protocol(record, 6, record.dst_port);
            record.tcp_flags = [0x02, 0x12, 0x04, 0x29, 0x3f, 0xc2, 0x01, 0x10][index % PLANTED_EVERY - 28];
        }
        36 => (record.src_mask, record.dst_mask) = (24, 24),
        37 => record.labels[0] = 1_010 << 4 | 3 << 1,
        38 => record.labels[1] = 100_100 << 4,
        39 => to_protocol(record, 6, 8_080),
        40 => to_protocol(record, 17, 853),
        41 => {
            to_protocol(record, 41, 0);
            record.src_port = 0;
        }
        42 => record.dst_port = if record.is_icmp() { record.dst_port } else { 2_048 },
        43 => record.forwarding = [1, 16, 66, 129][turn % 4],
        44 => record.end_ms = record.start_ms + 60_000,
        45 => (record.out_packets, record.out_bytes) = (5_000, 6_000_000),
        _ => {}
    }
}

fn to_protocol(record: &mut Record, protocol: u8, dst_port: u16) {
    if record.is_icmp() && !matches!(protocol, 1 | 58) {
        record.src_port = 40_000;
    }
    (record.protocol, record.dst_port) = (protocol, dst_port);
    record.tcp_flags = if protocol == 6 { record.tcp_flags.max(0x10) } else { 0 };
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn flows_repeat_and_have_what_is_asked_for() {
        let made = records();
        assert_eq!(made.len(), N_FLOWS);
        assert_eq!(format!("{:?}", &made[..500]), format!("{:?}", &records()[..500]));
        let starts: HashSet<_> = made.iter().map(|record| record.start_ms).collect();
        assert_eq!(starts.len(), N_FLOWS);
        for protocol in [1, 6, 17, 41, 47, 58] {
            let n = made.iter().filter(|record| record.protocol == protocol).count();
            assert!(n > 500, "{n} of protocol {protocol}");
        }
        let n_ipv6 = made.iter().filter(|record| record.is_ipv6()).count();
        assert!((10_000..40_000).contains(&n_ipv6), "{n_ipv6} of IPv6");
    }
}
