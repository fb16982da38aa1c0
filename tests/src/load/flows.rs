//! Flows as a router of an access network exports them: few servers and ports
//! have most of the traffic, most flows are short, answers follow soon after.
//! The same seed gives the same flows.

use std::net::Ipv4Addr;

use crate::mutate::Xorshift;

/// Hosts inside, and servers outside.
const CLIENTS: usize = 100_000;
const SERVERS: usize = 40_000;
/// An answer is exported at most so many flows after its question.
const ANSWER_FLOWS_MAX: usize = 64;
/// Ports of servers, the most used first.
const TCP_PORTS: [u16; 16] =
    [443, 80, 22, 25, 53, 993, 8080, 3389, 445, 5222, 8443, 21, 110, 143, 3306, 5432];
const UDP_PORTS: [u16; 12] = [443, 53, 123, 161, 514, 1_900, 5_353, 4_500, 500, 3_478, 1_194, 51_820];

/// One flow, as far as 20 fields say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Addresses.
    pub src_addr: Ipv4Addr,
    /// See above.
    pub dst_addr: Ipv4Addr,
    /// Address of the next router.
    pub next_hop: Ipv4Addr,
    /// Interfaces.
    pub input: u16,
    /// See above.
    pub output: u16,
    /// Packets.
    pub packets: u32,
    /// Octets of them.
    pub bytes: u32,
    /// Time between the last packet and the export, ms.
    pub idle_ms: u32,
    /// Time between the first packet and the last, ms.
    pub duration_ms: u32,
    /// Ports.
    pub src_port: u16,
    /// See above.
    pub dst_port: u16,
    /// TCP flags of all packets.
    pub tcp_flags: u8,
    /// IP protocol.
    pub protocol: u8,
    /// Type of service.
    pub tos: u8,
    /// Autonomous systems; those inside have 0.
    pub src_as: u16,
    /// See above.
    pub dst_as: u16,
    /// Prefix lengths of the routes.
    pub src_mask: u8,
    /// See above.
    pub dst_mask: u8,
    /// VLAN at the inner interface.
    pub vlan: u16,
    /// 0 for what came in at the observation point, 1 for what left.
    pub direction: u8,
}

/// All flows, without end.
#[derive(Debug, Clone)]
pub struct Flows {
    random: Xorshift,
    /// Hosts inside, and servers outside.
    n_hosts: (usize, usize),
    /// Answers that are due, by turns.
    answers: Vec<Option<Flow>>,
    turn: usize,
}

/// One end of a flow.
struct End {
    addr: u32,
    asn: u16,
    mask: u8,
    interface: u16,
}

impl Flows {
    /// Flows of this seed.
    pub fn new(seed: u64) -> Self {
        Self::among(seed, CLIENTS, SERVERS)
    }

    /// Flows of this seed among so many hosts inside and servers outside.
    pub fn among(seed: u64, n_clients: usize, n_servers: usize) -> Self {
        let (random, answers) = (Xorshift::new(seed), vec![None; ANSWER_FLOWS_MAX]);
        Self { random, n_hosts: (n_clients, n_servers), answers, turn: 0 }
    }

    /// A number below one, evenly spread.
    fn unit(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number below `n`; the smaller, the more often (Zipf with exponent 1).
    fn rank(&mut self, n: usize) -> usize {
        let value = ((n as f64 + 1.0).ln() * self.unit()).exp() - 1.0;
        (value as usize).min(n - 1)
    }

    fn question(&mut self) -> (Flow, bool) {
        let (client, server) = (client(self.rank(self.n_hosts.0)), server(self.rank(self.n_hosts.1)));
        let (protocol, port) = match self.random.below(100) {
            0..72 => (6, TCP_PORTS[self.rank(TCP_PORTS.len())]),
            72..97 => (17, UDP_PORTS[self.rank(UDP_PORTS.len())]),
            _ => (1, 0x0800),
        };
        let src_port = if protocol == 1 { 0 } else { 32_768 + self.random.below(28_232) as u16 };
        let flow = Flow {
            src_addr: client.addr.into(),
            dst_addr: server.addr.into(),
            next_hop: (0xac10_0001 + (u32::from(server.interface) << 8)).into(),
            input: client.interface,
            output: server.interface,
            packets: 0,
            bytes: 0,
            idle_ms: 0,
            duration_ms: 0,
            src_port,
            dst_port: port,
            tcp_flags: 0,
            protocol,
            tos: [0, 0, 0, 0, 0, 0, 0x20, 0x28, 0x48, 0xb8][self.random.below(10)],
            src_as: client.asn,
            dst_as: server.asn,
            src_mask: client.mask,
            dst_mask: server.mask,
            vlan: 100 + 10 * client.interface,
            direction: 0,
        };
        let is_answered = self.random.below(10) < 8;
        (self.measured(flow), is_answered)
    }

    fn answer(&mut self, flow: &Flow) -> Flow {
        let is_icmp = flow.protocol == 1;
        let answer = Flow {
            src_addr: flow.dst_addr,
            dst_addr: flow.src_addr,
            next_hop: (0xac10_0001 + (u32::from(flow.input) << 8)).into(),
            input: flow.output,
            output: flow.input,
            src_port: if is_icmp { 0 } else { flow.dst_port },
            dst_port: flow.src_port,
            src_as: flow.dst_as,
            dst_as: flow.src_as,
            src_mask: flow.dst_mask,
            dst_mask: flow.src_mask,
            direction: 1,
            ..*flow
        };
        self.measured(answer)
    }

    /// The flow with counters, times and flags.
    fn measured(&mut self, flow: Flow) -> Flow {
        // Pareto: half have one or two packets, few have thousands.
        let packets = (2.0 * (1.0 - self.unit()).powf(-1.0 / 1.15)) as u32;
        let is_short = flow.dst_port == 53 || flow.src_port == 53 || self.random.below(16) == 0;
        let packets = if is_short { 1 + self.random.below(2) as u32 } else { packets.clamp(1, 500_000) };
        let size = match (packets, flow.direction) {
            (1, _) => 40 + self.random.below(100),
            (_, 1) => 200 + self.random.below(1_250),
            _ => 52 + self.random.below(500),
        };
        let spread_ms = f64::from(packets).ln() * 1_600.0 * self.unit();
        let flags = [0x1b, 0x1b, 0x1b, 0x1e, 0x18, 0x10, 0x1f, 0x13][self.random.below(8)];
        Flow {
            packets,
            bytes: packets * size as u32,
            idle_ms: self.random.below(15_000) as u32,
            duration_ms: (spread_ms as u32).min(60_000),
            tcp_flags: if flow.protocol != 6 {
                0
            } else if packets == 1 {
                2
            } else {
                flags
            },
            ..flow
        }
    }
}

impl Iterator for Flows {
    type Item = Flow;

    fn next(&mut self) -> Option<Flow> {
        self.turn = (self.turn + 1) % ANSWER_FLOWS_MAX;
        if let Some(answer) = self.answers[self.turn].take() {
            return Some(answer);
        }
        let (question, is_answered) = self.question();
        let due = (self.turn + 1 + self.random.below(ANSWER_FLOWS_MAX - 1)) % ANSWER_FLOWS_MAX;
        if is_answered && self.answers[due].is_none() {
            self.answers[due] = Some(self.answer(&question));
        }
        Some(question)
    }
}

/// Spreads the bits of a rank, so that neighbours in rank are none in address.
fn spread(n: usize, salt: u64) -> u64 {
    Xorshift::new(n as u64 ^ salt << 32).next_u64()
}

fn client(rank: usize) -> End {
    let bits = spread(rank, 1);
    let net = (bits % 16) as u32;
    let addr = 0x0a00_0000 | net << 16 | (bits >> 16) as u32 & 0xffff;
    End { addr, asn: 0, mask: 16 + (net % 3) as u8 * 4, interface: 10 + (net % 8) as u16 }
}

/// Sixteen servers share a prefix.
fn server(rank: usize) -> End {
    let bits = spread(rank / 16, 2);
    let net = 0x1700_0000 + ((bits as u32 % 0x00b0_0000) << 8);
    let addr = net & 0xffff_ff00 | (spread(rank, 3) & 0xff) as u32;
    let (asn, mask) = (1_000 + (bits >> 32) as u16 % 50_000, 16 + (bits >> 48) as u8 % 9);
    End { addr, asn, mask, interface: 1 + (bits >> 56) as u16 % 4 }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn flows_repeat_with_their_seed_and_are_spread_like_traffic() {
        let flows: Vec<_> = Flows::new(7).take(20_000).collect();
        assert_eq!(flows, Flows::new(7).take(20_000).collect::<Vec<_>>());
        assert_ne!(flows[..100], Flows::new(8).take(100).collect::<Vec<_>>()[..]);
        let sources: HashSet<_> = flows.iter().map(|flow| flow.src_addr).collect();
        assert!((1_000..12_000).contains(&sources.len()), "{}", sources.len());
        let share = |is: fn(&Flow) -> bool| flows.iter().filter(|flow| is(flow)).count() * 100 / flows.len();
        assert!((60..80).contains(&share(|flow| flow.protocol == 6)));
        assert!((30..50).contains(&share(|flow| flow.direction == 1)));
        assert!((10..60).contains(&share(|flow| flow.packets <= 2)));
        assert!(flows.iter().all(|flow| flow.bytes >= 40 * flow.packets));
    }
}
