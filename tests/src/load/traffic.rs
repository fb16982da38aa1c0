//! Hours of traffic of a few exporters, as NetFlow v9 datagrams of both address
//! families that bear their time: what a query is asked about.
//!
//! The same number of flows gives the same datagrams. Two things are planted:
//! one host with [`PLANTED_FLOWS`] flows over all the time, and enough flows of
//! any kind that each filter one would think of finds some.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{FIELDS, Flow, Flows};
use crate::mutate::Xorshift;
use crate::packet::v9;

/// Flows of one slot.
pub const SLOT_FLOWS: u64 = 833_334;
/// Length of a slot, seconds.
pub const SLOT_SECS: u64 = 300;
/// When the first slot begins, seconds since the epoch: 2026-11-21T12:00:00Z.
pub const START_SECS: u64 = 1_795_262_400;
/// Routers that export.
pub const EXPORTERS: usize = 4;
/// A host that nothing else has to do with.
pub const PLANTED_HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
/// Its flows.
pub const PLANTED_FLOWS: u64 = 50;

/// Hosts inside, and servers outside: 200,000 in all.
const CLIENTS: usize = 140_000;
const SERVERS: usize = 60_000;
/// Of a hundred pairs of hosts so many speak IPv6.
const IPV6_PERCENT: u32 = 15;
/// What the flows of the first exporter are made from.
const SEED: u64 = 2_026;
/// The exporters were started so long before the first slot.
const UPTIME_MS: u64 = 86_400_000;
/// Templates of both families.
const TEMPLATE_IDS: [u16; 2] = [260, 261];
/// Records that fit an Ethernet frame.
const RECORDS: [usize; 2] = [24, 15];
/// Element and octets of what follows [`FIELDS`] in a record: type and code of ICMP.
/// Without it nfcapd stores port 0 for them.
const ICMP_FIELD: (u16, u16) = (32, 2);
/// FlowSets have a multiple of so many octets (RFC 3954 §5.3).
const ALIGNMENT_OCTETS: usize = 4;

/// A datagram, and who sends it when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// Number of the exporter, from 0.
    pub exporter: usize,
    /// Microseconds since the epoch.
    pub at_us: u64,
    /// Payload.
    pub octets: Vec<u8>,
}

impl Timed {
    /// The address it comes from.
    pub fn source(&self) -> SocketAddr {
        SocketAddr::from((exporter_addr(self.exporter), 50_000))
    }
}

/// The address of an exporter.
pub fn exporter_addr(exporter: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 1 + exporter as u8)
}

/// What was made so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Flow records.
    pub flows: u64,
    /// Packets of them.
    pub packets: u64,
    /// Octets of them.
    pub bytes: u64,
}

/// All of it, slot by slot.
#[derive(Debug)]
pub struct Traffic {
    n_flows: u64,
    exporters: Vec<Exporter>,
    totals: Totals,
}

#[derive(Debug)]
struct Exporter {
    flows: Flows,
    sequence: u32,
    /// Records that wait for their datagram to be full, by family.
    pending: [Vec<Flow>; 2],
}

impl Traffic {
    /// So many flows.
    pub fn new(n_flows: u64) -> Self {
        let exporter = |index| Exporter {
            flows: Flows::among(SEED + index as u64, CLIENTS, SERVERS),
            sequence: 0,
            pending: [Vec::new(), Vec::new()],
        };
        Self { n_flows, exporters: (0..EXPORTERS).map(exporter).collect(), totals: Totals::default() }
    }

    /// Slots that are needed for so many flows.
    pub const fn n_slots(n_flows: u64) -> u64 {
        n_flows.div_ceil(SLOT_FLOWS)
    }

    /// What was made so far.
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// Datagrams of the next slot in the order of their times, templates first.
    fn slot(&mut self) -> Vec<Timed> {
        let n = SLOT_FLOWS.min(self.n_flows - self.totals.flows);
        let slot = self.totals.flows / SLOT_FLOWS;
        let start_us = (START_SECS + slot * SLOT_SECS) * 1_000_000;
        let mut out: Vec<_> = (0..EXPORTERS).map(|index| self.template(index, start_us)).collect();
        let mut turn = 0;
        for done in 0..n {
            let at_us = start_us + SLOT_SECS * 1_000_000 * done / SLOT_FLOWS;
            let exporter = &mut self.exporters[turn];
            let mut flow = exporter.flows.next().expect("flows without end");
            plant(&mut flow, self.totals.flows, self.n_flows);
            self.totals.flows += 1;
            self.totals.packets += u64::from(flow.packets);
            self.totals.bytes += u64::from(flow.bytes);
            let family = usize::from(is_ipv6(&flow));
            exporter.pending[family].push(flow);
            if exporter.pending[family].len() == RECORDS[family] {
                out.push(exporter.datagram(turn, family, at_us));
                turn = (turn + 1) % EXPORTERS;
            }
        }
        let end_us = start_us + SLOT_SECS * 1_000_000 - 1;
        for (index, exporter) in self.exporters.iter_mut().enumerate() {
            for family in 0..2 {
                if !exporter.pending[family].is_empty() {
                    out.push(exporter.datagram(index, family, end_us));
                }
            }
        }
        out
    }

    fn template(&mut self, exporter: usize, at_us: u64) -> Timed {
        let mut fields = FIELDS.to_vec();
        fields.push(ICMP_FIELD);
        let of_ipv6 = |&(id, length): &(u16, u16)| match id {
            8 => (27, 16),
            12 => (28, 16),
            15 => (62, 16),
            9 => (29, 1),
            13 => (30, 1),
            _ => (id, length),
        };
        let fields_v6: Vec<_> = fields.iter().map(of_ipv6).collect();
        let message = self.exporters[exporter].message(exporter, at_us);
        let octets = message.templates(&[(TEMPLATE_IDS[0], &fields), (TEMPLATE_IDS[1], &fields_v6)]).encode();
        Timed { exporter, at_us, octets }
    }
}

impl Iterator for Traffic {
    type Item = Vec<Timed>;

    fn next(&mut self) -> Option<Vec<Timed>> {
        (self.totals.flows < self.n_flows).then(|| self.slot())
    }
}

impl Exporter {
    /// The next export packet, still empty. Its header knows seconds only, so its
    /// uptime is of a whole second, too.
    fn message(&mut self, index: usize, at_us: u64) -> v9::Message {
        let secs = at_us / 1_000_000;
        let message = v9::Message::new(uptime_ms(secs), secs as u32, self.sequence, 1 + index as u32);
        self.sequence += 1;
        message
    }

    fn datagram(&mut self, index: usize, family: usize, at_us: u64) -> Timed {
        let uptime_ms = uptime_ms(at_us / 1_000_000);
        let flows = std::mem::take(&mut self.pending[family]);
        let mut set = Vec::with_capacity(1_400);
        flows.iter().for_each(|flow| put_record(&mut set, flow, family == 1, uptime_ms));
        set.resize(set.len().next_multiple_of(ALIGNMENT_OCTETS), 0);
        let message = self.message(index, at_us).raw_set(TEMPLATE_IDS[family], &set);
        Timed { exporter: index, at_us, octets: message.with_count(flows.len() as u16).encode() }
    }
}

fn uptime_ms(secs: u64) -> u32 {
    ((secs - START_SECS) * 1_000 + UPTIME_MS) as u32
}

/// Gives each so-manieth flow to the planted host, by turns as source and destination.
fn plant(flow: &mut Flow, index: u64, n_flows: u64) {
    let every = (n_flows / PLANTED_FLOWS).max(1);
    match (index.is_multiple_of(every) && index / every < PLANTED_FLOWS, index / every % 2) {
        (true, 0) => flow.src_addr = PLANTED_HOST,
        (true, _) => flow.dst_addr = PLANTED_HOST,
        _ => {}
    }
}

/// Both directions of a pair of hosts are of one family.
fn is_ipv6(flow: &Flow) -> bool {
    let (src, dst) = (u32::from(flow.src_addr), u32::from(flow.dst_addr));
    if flow.src_addr == PLANTED_HOST || flow.dst_addr == PLANTED_HOST {
        return false;
    }
    let mixed = (src ^ dst).wrapping_mul(0x9e37_79b1);
    ((u64::from(mixed) * 100) >> 32) < u64::from(IPV6_PERCENT)
}

/// The IPv6 address of a host: those inside have networks below one prefix and
/// random interface identifiers, as hosts make them; servers have a network for each
/// of IPv4 and count from its beginning.
fn ipv6(addr: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = addr.octets();
    let network = |low: u16| [0x2a00, u16::from_be_bytes([a, b]), low, 0];
    let (prefix, identifier) = match a {
        10 => ([0x2001, 0xdb8, 0, b.into()], Xorshift::new(u32::from(addr).into()).next_u64()),
        _ => (network(u16::from_be_bytes([c, 0])), d.into()),
    };
    let prefix = prefix.iter().fold(0, |bits, word: &u16| bits << 16 | u128::from(*word));
    Ipv6Addr::from_bits(prefix << 64 | u128::from(identifier))
}

fn put_record(out: &mut Vec<u8>, flow: &Flow, is_ipv6: bool, uptime_ms: u32) {
    for addr in [flow.src_addr, flow.dst_addr, flow.next_hop] {
        match is_ipv6 {
            true => out.extend_from_slice(&ipv6(addr).octets()),
            false => out.extend_from_slice(&addr.octets()),
        }
    }
    let last_ms = uptime_ms - flow.idle_ms;
    let words = [
        flow.input.into(),
        flow.output.into(),
        flow.packets,
        flow.bytes,
        last_ms - flow.duration_ms,
        last_ms,
    ];
    words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
    out.extend_from_slice(&flow.src_port.to_be_bytes());
    out.extend_from_slice(&flow.dst_port.to_be_bytes());
    out.extend_from_slice(&u32::from(flow.src_as).to_be_bytes());
    out.extend_from_slice(&u32::from(flow.dst_as).to_be_bytes());
    out.extend_from_slice(&flow.vlan.to_be_bytes());
    // What ICMP is to IPv4, ICMPv6 is to IPv6.
    let protocol = if is_ipv6 && flow.protocol == 1 { 58 } else { flow.protocol };
    let masks = match is_ipv6 {
        true => [flow.src_mask + 24, flow.dst_mask + 24],
        false => [flow.src_mask, flow.dst_mask],
    };
    out.extend_from_slice(&[protocol, flow.tcp_flags, flow.tos, masks[0], masks[1], flow.direction]);
    let icmp = if flow.protocol == 1 { flow.dst_port } else { 0 };
    out.extend_from_slice(&icmp.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use flow_collector::harness::Decoding;

    use super::*;

    #[test]
    fn traffic_repeats_and_decodes_to_what_was_asked_for() {
        const FLOWS: u64 = 50_000;
        let mut traffic = Traffic::new(FLOWS);
        let datagrams: Vec<_> = traffic.by_ref().flatten().collect();
        assert_eq!(datagrams, Traffic::new(FLOWS).flatten().collect::<Vec<_>>());
        assert!(datagrams.is_sorted_by_key(|datagram| datagram.at_us));
        let mut decoding = Decoding::default();
        for datagram in &datagrams {
            assert!(datagram.octets.len() <= 1_472, "{}", datagram.octets.len());
            decoding.decode(&datagram.octets, 9_995, (datagram.at_us / 1_000_000) as i64);
        }
        assert_eq!((decoding.n_flows() as u64, traffic.totals().flows), (FLOWS, FLOWS));
        let exporters: HashSet<_> = datagrams.iter().map(|datagram| datagram.exporter).collect();
        assert_eq!(exporters.len(), EXPORTERS);
    }

    #[test]
    fn slots_are_full_but_the_last_and_the_planted_host_has_its_flows() {
        assert_eq!([1, SLOT_FLOWS, 10_000_000].map(Traffic::n_slots), [1, 1, 12]);
        let mut flows = Flows::among(1, CLIENTS, SERVERS);
        let (mut n_planted, mut n_ipv6) = (0, 0);
        const FLOWS: u64 = 20_000;
        for index in 0..FLOWS {
            let mut flow = flows.next().unwrap();
            plant(&mut flow, index, FLOWS);
            n_planted += u64::from([flow.src_addr, flow.dst_addr].contains(&PLANTED_HOST));
            n_ipv6 += u64::from(is_ipv6(&flow));
        }
        assert_eq!(n_planted, PLANTED_FLOWS);
        assert!((13..18).contains(&(n_ipv6 * 100 / FLOWS)), "{n_ipv6}");
    }
}
