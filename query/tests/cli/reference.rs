//! Filters against a second opinion: pseudo-random rows, judged one at a time by
//! closures that share no code with the filter.

use std::net::IpAddr;

use flow_common::column::ColumnId as Id;

use crate::support::{Bench, Fixture, Row, T0_SECS, write};

/// xorshift64*: the same rows on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Most columns are NULL now and then.
    fn is_null(&mut self) -> bool {
        self.below(8) == 0
    }
}

fn row(random: &mut Random, sequence: i64) -> Row {
    let addrs = ["10.0.0.1", "10.1.2.3", "192.168.1.10", "192.168.2.20", "8.8.8.8", "2001:db8::1", "fe80::1"];
    let mut row = Row::default().int(Id::Sequence, sequence);
    for id in [Id::SrcAddr, Id::DstAddr] {
        let addr = random.pick(&addrs);
        row = if random.is_null() { row } else { row.addr(id, addr) };
    }
    let start = T0_SECS * 1_000_000 + random.below(600_000_000) as i64;
    let end = start + random.pick(&[0, 1_000, 999_999, 5_000_000, 60_000_001]);
    let ints: [(Id, i64); 14] = [
        (Id::FlowStart, start),
        (Id::FlowEnd, end),
        (Id::Protocol, random.pick(&[1, 6, 6, 17, 47, 58])),
        (Id::SrcPort, random.pick(&[0, 53, 80, 443, 1_024, 50_000])),
        (Id::DstPort, random.pick(&[0, 53, 80, 443, 2_048, 771, 65_535])),
        (Id::TcpFlags, random.pick(&[0, 2, 0x12, 0x1b, 0x10, 0xff, 0x112])),
        (Id::SrcTos, random.pick(&[0, 72, 184])),
        (Id::Packets, random.pick(&[0, 1, 10, 5_000])),
        (Id::Bytes, random.pick(&[0, 40, 1_500, 7_000_000, 3_000_000_000])),
        (Id::InIf, random.pick(&[1, 2, 3])),
        (Id::OutIf, random.pick(&[1, 2, 4])),
        (Id::SrcAs, random.pick(&[0, 64_512, 15_169])),
        (Id::IcmpType, random.pick(&[0, 3, 8])),
        (Id::MinTtl, random.pick(&[1, 64, 255])),
    ];
    for (id, value) in ints {
        row = if random.is_null() { row } else { row.int(id, value) };
    }
    // Types of their own are rare beside those in the port.
    if random.below(2) == 0 { row.without(Id::IcmpType) } else { row }
}

type Judge = Box<dyn Fn(&Row) -> bool>;

fn int(id: Id, test: impl Fn(i64) -> bool + 'static) -> Judge {
    Box::new(move |row| row.get_int(id).is_some_and(&test))
}

fn either(a: Id, b: Id, test: impl Fn(i64) -> bool + Copy + 'static) -> Judge {
    or(int(a, test), int(b, test))
}

fn addr(id: Id, test: impl Fn(IpAddr) -> bool + 'static) -> Judge {
    Box::new(move |row| row.get_addr(id).is_some_and(&test))
}

fn any_addr(test: impl Fn(IpAddr) -> bool + Copy + 'static) -> Judge {
    or(addr(Id::SrcAddr, test), addr(Id::DstAddr, test))
}

fn and(a: Judge, b: Judge) -> Judge {
    Box::new(move |row| a(row) && b(row))
}

fn or(a: Judge, b: Judge) -> Judge {
    Box::new(move |row| a(row) || b(row))
}

fn not(a: Judge) -> Judge {
    Box::new(move |row| !a(row))
}

fn rate(test: impl Fn(i64, i64, i64) -> bool + 'static) -> Judge {
    Box::new(move |row| {
        let get = |id| row.get_int(id);
        let all = (get(Id::FlowStart), get(Id::FlowEnd), get(Id::Packets), get(Id::Bytes));
        let (Some(start), Some(end), Some(packets), Some(bytes)) = all else { return false };
        test(end / 1_000 - start / 1_000, packets, bytes)
    })
}

fn icmp_type(test: impl Fn(i64) -> bool + 'static) -> Judge {
    Box::new(move |row| {
        let is_icmp = matches!(row.get_int(Id::Protocol), Some(1 | 58));
        let in_port = row.get_int(Id::DstPort).filter(|_| is_icmp).map(|port| port / 256);
        row.get_int(Id::IcmpType).or(in_port).is_some_and(&test)
    })
}

fn tcp() -> Judge {
    int(Id::Protocol, |number| number == 6)
}

/// Of TCP alone.
fn flags(test: impl Fn(i64) -> bool + 'static) -> Judge {
    and(tcp(), int(Id::TcpFlags, test))
}

fn in_10(addr: IpAddr) -> bool {
    addr.to_string().starts_with("10.")
}

/// Filters of one column, and what they mean.
fn simple() -> Vec<(&'static str, Judge)> {
    vec![
        ("", Box::new(|_| true)),
        ("any", Box::new(|_| true)),
        ("not any", Box::new(|_| false)),
        ("ipv4", any_addr(|addr| addr.is_ipv4())),
        ("ipv6", any_addr(|addr| addr.is_ipv6())),
        ("not ipv4", not(any_addr(|addr| addr.is_ipv4()))),
        ("proto tcp", tcp()),
        ("proto != tcp", int(Id::Protocol, |number| number != 6)),
        ("not proto tcp", not(tcp())),
        ("proto > 17", int(Id::Protocol, |number| number > 17)),
        ("proto in [tcp udp]", int(Id::Protocol, |number| number == 6 || number == 17)),
        ("src port 80", int(Id::SrcPort, |port| port == 80)),
        ("dst port 443", int(Id::DstPort, |port| port == 443)),
        ("port 53", either(Id::SrcPort, Id::DstPort, |port| port == 53)),
        ("port != 53", and(int(Id::SrcPort, |port| port != 53), int(Id::DstPort, |port| port != 53))),
        ("not port 53", not(either(Id::SrcPort, Id::DstPort, |port| port == 53))),
        ("port > 1024", either(Id::SrcPort, Id::DstPort, |port| port > 1_024)),
        ("src port < 80", int(Id::SrcPort, |port| port < 80)),
        ("src port >= 80", int(Id::SrcPort, |port| port >= 80)),
        ("src port <= 80", int(Id::SrcPort, |port| port <= 80)),
        ("dst port in [53, 80 443]", int(Id::DstPort, |port| [53, 80, 443].contains(&port))),
        ("port in [0 65535]", either(Id::SrcPort, Id::DstPort, |port| port == 0 || port == 65_535)),
        ("src ip 10.0.0.1", addr(Id::SrcAddr, |addr| addr.to_string() == "10.0.0.1")),
        ("src ip != 10.0.0.1", addr(Id::SrcAddr, |addr| addr.to_string() != "10.0.0.1")),
        ("not src ip 10.0.0.1", not(addr(Id::SrcAddr, |addr| addr.to_string() == "10.0.0.1"))),
        ("ip 10.0.0.0/8", any_addr(in_10)),
        ("dst net 10.99.99.99/8", addr(Id::DstAddr, in_10)),
        ("net 10.0.0.0 255.0.0.0", any_addr(in_10)),
        ("src net 0.0.0.0/0", addr(Id::SrcAddr, |addr| addr.is_ipv4())),
        ("host 2001:db8::1", any_addr(|addr| addr.to_string() == "2001:db8::1")),
        ("src net 2001:db8::/32", addr(Id::SrcAddr, |addr| addr.to_string() == "2001:db8::1")),
        ("src ip in [10.0.0.0/8 fe80::1]", addr(Id::SrcAddr, |a| in_10(a) || a.to_string() == "fe80::1")),
        ("in if 1", int(Id::InIf, |index| index == 1)),
        ("if 4", either(Id::InIf, Id::OutIf, |index| index == 4)),
        ("src as 15169", int(Id::SrcAs, |number| number == 15_169)),
        ("as in [64512 15169]", int(Id::SrcAs, |number| number != 0)),
        ("bytes > 1k", int(Id::Bytes, |bytes| bytes > 1_000)),
        ("bytes >= 3g", int(Id::Bytes, |bytes| bytes >= 3_000_000_000)),
        ("packets 0", int(Id::Packets, |packets| packets == 0)),
        ("not packets > 0", not(int(Id::Packets, |packets| packets > 0))),
        ("flags S", flags(|flags| flags & 2 == 2)),
        ("flags SA", flags(|flags| flags & 0x12 == 0x12)),
        ("flags =SA", flags(|flags| flags & 0xff == 0x12)),
        ("flags != SA", flags(|flags| flags & 0xff != 0x12)),
        ("flags S/SA", flags(|flags| flags & 0x12 == 2)),
        ("flags X", flags(|flags| flags & 0x3f == 0x3f)),
        ("flags 0x12", flags(|flags| flags == 0x12)),
        ("flags > 0x12", flags(|flags| flags > 0x12)),
        ("dscp 46", int(Id::SrcTos, |tos| tos >> 2 == 46)),
        ("bytes null", not(int(Id::Bytes, |_| true))),
        ("bytes present", int(Id::Bytes, |_| true)),
        ("src port present", int(Id::SrcPort, |_| true)),
        ("src ip null", not(addr(Id::SrcAddr, |_| true))),
        ("src port in [0-1023 null]", not(int(Id::SrcPort, |port| port > 1_023))),
        ("port 0-1023", either(Id::SrcPort, Id::DstPort, |port| port < 1_024)),
        ("dst port not in [0-1023]", int(Id::DstPort, |port| port > 1_023)),
        ("src tos 184", int(Id::SrcTos, |tos| tos == 184)),
        ("min ttl < 64", int(Id::MinTtl, |ttl| ttl < 64)),
        ("out bytes > 0", Box::new(|_| false)),
        ("not out bytes > 0", Box::new(|_| true)),
    ]
}

/// Filters of several columns.
fn compound() -> Vec<(&'static str, Judge)> {
    let dns = || either(Id::SrcPort, Id::DstPort, |port| port == 53);
    let big = || int(Id::Bytes, |bytes| bytes > 1_000_000);
    vec![
        ("proto tcp and port 53", and(tcp(), dns())),
        ("proto tcp or port 53 and bytes > 1m", or(tcp(), and(dns(), big()))),
        ("(proto tcp or port 53) and bytes > 1m", and(or(tcp(), dns()), big())),
        ("not (proto tcp or port 53)", not(or(tcp(), dns()))),
        ("not proto tcp and not port 53", and(not(tcp()), not(dns()))),
        ("! proto tcp or ! port 53", or(not(tcp()), not(dns()))),
        ("bps > 100k", rate_of(|ms, _, bytes| ms > 0 && bytes * 8_000 / ms > 100_000, Id::Packets)),
        ("pps >= 2", rate_of(|ms, packets, _| ms > 0 && packets * 1_000 / ms >= 2, Id::Bytes)),
        ("icmp type 8", icmp_type(|number| number == 8)),
        ("icmp-type > 2", icmp_type(|number| number > 2)),
        ("src ip in [10.0.0.0/8] and not dst ip 8.8.8.8 or flags R", {
            let to_dns = addr(Id::DstAddr, |addr| addr.to_string() == "8.8.8.8");
            or(and(addr(Id::SrcAddr, in_10), not(to_dns)), flags(|flags| flags & 4 == 4))
        }),
    ]
}

/// A rate that does not need the column `unneeded`.
fn rate_of(test: impl Fn(i64, i64, i64) -> bool + 'static, unneeded: Id) -> Judge {
    let judge = rate(test);
    Box::new(move |row| {
        let is_missing = row.get_int(unneeded).is_none();
        judge(&if is_missing { row.clone().int(unneeded, 0) } else { row.clone() })
    })
}

#[test]
fn filters_agree_with_the_row_at_a_time_reference() {
    let mut random = Random(0x5eed);
    let rows: Vec<Row> = (0..600).map(|sequence| row(&mut random, sequence)).collect();
    let bench = Bench::empty();
    write(&bench.path("a.parquet"), &rows, &Fixture { group_rows: 64, ..Fixture::default() });
    for (filter, judge) in simple().into_iter().chain(compound()) {
        let expected: Vec<i64> =
            rows.iter().filter(|row| judge(row)).filter_map(|row| row.get_int(Id::Sequence)).collect();
        let (code, stdout, stderr) = bench.run_raw(&["-r", "@", "-o", "ndjson", filter]);
        let said: Vec<_> = stderr.lines().filter(|line| !line.contains("has host bits")).collect();
        assert_eq!((code, said), (0, vec![]), "{filter}");
        let sequence = |line: &str| {
            let tail = line.split("\"sequence\":").nth(1)?;
            tail.split([',', '}']).next()?.parse().ok()
        };
        let found: Vec<i64> = stdout.lines().filter_map(sequence).collect();
        assert_eq!(found, expected, "{filter}");
        let is_telling = !found.is_empty() && found.len() < rows.len();
        let is_constant = ["", "any", "not any", "out bytes > 0", "not out bytes > 0"].contains(&filter);
        assert!(is_telling || is_constant, "{filter} matches {}", found.len());
    }
}
