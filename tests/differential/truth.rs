//! What the generated flows add up to: who is right where the programs disagree.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::flows::{Layout, Record};
use crate::normal::{Answer, Rank, Shape, place, time_text};

/// A filter by Rust.
pub(crate) type IsMeant = fn(&Record) -> bool;

/// Sums of a group.
#[derive(Debug, Clone, Copy)]
struct Sum {
    flows: u64,
    packets: u64,
    bytes: u64,
    start_ms: u64,
    end_ms: u64,
}

/// A value of nfdump's words; `None` where the flow has none.
fn value(word: &str, record: &Record) -> Option<String> {
    let is = |layout, value: String| (record.layout == layout).then_some(value);
    let mac = |n: usize| is(Layout::Ethernet, record.macs[n].map(|octet| format!("{octet:02x}")).join(":"));
    let has_nat_addrs = record.layout == Layout::Nat && (!record.is_ipv6() || record.is_v9());
    let nat = |n: usize| has_nat_addrs.then(|| record.nat_addrs[n].to_string());
    if let Some((word, bits)) = word.split_once('/') {
        return masked(word, bits.parse().unwrap(), record);
    }
    Some(match word {
        "srcip" => record.src_addr.to_string(),
        "dstip" => record.dst_addr.to_string(),
        "srcip4" | "dstip4" => return masked(word, 32, record),
        "srcip6" | "dstip6" => return masked(word, 128, record),
        "nhip" | "next" => record.next_hop.to_string(),
        "nhbip" | "bgpnext" => record.bgp_next_hop.to_string(),
        "router" => format!("127.0.21.{}", record.exporter + 1),
        "odid" => (record.exporter + 1).to_string(),
        "srcport" => record.src_port.to_string(),
        "dstport" => record.dst_port.to_string(),
        "proto" => record.protocol.to_string(),
        "srctos" => record.src_tos.to_string(),
        "dsttos" => record.dst_tos.to_string(),
        "flags" => record.tcp_flags.to_string(),
        "srcas" => record.src_as.to_string(),
        "dstas" => record.dst_as.to_string(),
        "inif" => record.in_if.to_string(),
        "outif" => record.out_if.to_string(),
        "srcmask" => record.src_mask.to_string(),
        "dstmask" => record.dst_mask.to_string(),
        "dir" => record.direction.to_string(),
        "srcvlan" => return is(Layout::Ethernet, record.vlan.to_string()),
        "dstvlan" => return is(Layout::Ethernet, record.post_vlan.to_string()),
        "insrcmac" => return mac(0),
        "outdstmac" => return mac(1),
        "indstmac" => return mac(2),
        "outsrcmac" => return mac(3),
        "natsrcip" | "xsrcip" => return nat(0),
        "natdstip" | "xdstip" => return nat(1),
        "natsrcport" | "xsrcport" => return is(Layout::Nat, record.nat_ports[0].to_string()),
        "natdstport" | "xdstport" => return is(Layout::Nat, record.nat_ports[1].to_string()),
        // As keys of `-A`.
        "tos" => record.src_tos.to_string(),
        "exp" => format!("127.0.21.{}", record.exporter + 1),
        "srcnet" => net(record.src_addr, record.src_mask),
        "dstnet" => net(record.dst_addr, record.dst_mask),
        "mpls1" | "mpls2" | "mpls3" => {
            let entry = record.labels[usize::from(word.as_bytes()[4] - b'1')];
            return is(Layout::Mpls, format!("{}-{}-{}", entry >> 4, entry >> 1 & 7, entry & 1));
        }
        // Nobody sends these.
        _ => return None,
    })
}

/// A network as it is printed.
fn net(addr: IpAddr, length: u8) -> String {
    let addr = match addr {
        IpAddr::V4(addr) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::from(std::net::Ipv4Addr::from_bits(addr.to_bits() & mask))
        }
        IpAddr::V6(addr) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::from(std::net::Ipv6Addr::from_bits(addr.to_bits() & mask))
        }
    };
    format!("{addr}/{length}")
}

fn masked(word: &str, bits: u32, record: &Record) -> Option<String> {
    let addr = if word.starts_with("src") { record.src_addr } else { record.dst_addr };
    match (addr, word.ends_with('4')) {
        (IpAddr::V4(addr), true) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            Some(std::net::Ipv4Addr::from_bits(addr.to_bits() & mask).to_string())
        }
        (IpAddr::V6(addr), false) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            Some(std::net::Ipv6Addr::from_bits(addr.to_bits() & mask).to_string())
        }
        _ => None,
    }
}

/// The sides of a word that means two.
fn sides(word: &str) -> Vec<&str> {
    match word {
        "ip" => vec!["srcip", "dstip"],
        "port" => vec!["srcport", "dstport"],
        "tos" => vec!["srctos", "dsttos"],
        "as" => vec!["srcas", "dstas"],
        "if" => vec!["inif", "outif"],
        "mask" => vec!["srcmask", "dstmask"],
        "vlan" => vec!["srcvlan", "dstvlan"],
        "srcmac" => vec!["insrcmac", "outsrcmac"],
        "dstmac" => vec!["indstmac", "outdstmac"],
        "inmac" => vec!["insrcmac", "indstmac"],
        "outmac" => vec!["outdstmac", "outsrcmac"],
        "natip" => vec!["natsrcip", "natdstip"],
        "natport" => vec!["natsrcport", "natdstport"],
        _ => vec![word],
    }
}

/// The keys of the groups a flow belongs to, each once: cells as they are printed.
fn keys(question: &str, record: &Record) -> Vec<Vec<String>> {
    if let Some(statistic) = question.strip_prefix("-s ") {
        let element = statistic.split('/').next().unwrap().to_ascii_lowercase();
        let (element, is_by_protocol) =
            element.strip_suffix(":p").map_or((&*element, false), |element| (element, true));
        let is_by_protocol = is_by_protocol || element == "proto";
        let protocol = if is_by_protocol { record.protocol.to_string() } else { "any".to_owned() };
        let values = sides(element).into_iter().filter_map(|word| value(word, record));
        let mut keys: Vec<_> = values.map(|value| vec![protocol.clone(), value]).collect();
        let mut seen = BTreeSet::new();
        keys.retain(|key| seen.insert(key.clone()));
        return keys;
    }
    let words = match question.strip_prefix("-A ") {
        Some(rest) => rest.split(' ').next().unwrap(),
        None => "proto,srcip,dstip,srcport,dstport",
    };
    // Two masks of one address are one key.
    let mut cells: Vec<(&str, String)> = Vec::new();
    for word in words.split(',') {
        let name = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '/');
        let cell = value(word, record).unwrap_or_else(|| "-".to_owned());
        match cells.iter_mut().find(|(known, _)| *known == name && name.ends_with("ip")) {
            Some((_, known)) if known == "-" => *known = cell,
            Some(_) => {}
            None => cells.push((name, cell)),
        }
    }
    vec![cells.into_iter().map(|(_, cell)| cell).collect()]
}

/// One flow, and when its datagram is sent.
pub(crate) struct Made<'a> {
    pub(crate) record: &'a Record,
    pub(crate) received_ms: u64,
}

/// The flows that were made, and what they add up to.
pub(crate) struct Truth {
    pub(crate) records: Vec<Record>,
    /// When the datagram of each is sent.
    received: Vec<u64>,
    /// Rows of what was asked before: a table has several orders.
    known: Mutex<BTreeMap<String, Arc<BTreeSet<Vec<String>>>>>,
}

impl Truth {
    pub(crate) fn new(records: Vec<Record>, received: Vec<u64>) -> Self {
        Self { records, received, known: Mutex::default() }
    }

    /// The flow that a row is about, by its first two cells.
    pub(crate) fn made(&self, row: &[String]) -> Option<Made<'_>> {
        let place = place(&row.get(..2)?.join(" "))?;
        Some(Made { record: self.records.get(place)?, received_ms: *self.received.get(place)? })
    }

    /// Whether each row is a flow, or the flows of a 5-tuple, that were made, none comes twice,
    /// and there are as many as were asked for.
    pub(crate) fn check_records(&self, question: &str, shape: Shape, ours: &Answer) -> Result<(), String> {
        let Shape::Statistic { top, .. } = shape else {
            return Err("this is no question about records".to_owned());
        };
        let is_grouped = question.starts_with("-s") || question.starts_with("-a");
        let mut groups = BTreeMap::<Vec<String>, Vec<&Record>>::new();
        for (place, record) in self.records.iter().enumerate() {
            if record.layout != Layout::Biflow {
                let mut key = keys("-a", record).remove(0);
                if !is_grouped {
                    key.push(place.to_string());
                }
                groups.entry(key).or_default().push(record);
            }
        }
        // Of several flows the first that was read tells the type of service.
        let rows: BTreeSet<_> = groups
            .values()
            .flat_map(|records| records.iter().map(|first| record_row(records, first.src_tos)))
            .collect();
        if let Some(row) = ours.rows.iter().find(|row| !rows.contains(*row)) {
            return Err(format!("no such flow was made: {}", row.join(" ")));
        }
        let found: BTreeSet<_> = ours.rows.iter().collect();
        let n = top.min(groups.len());
        match (ours.rows.len() == n, found.len() == n) {
            (true, true) => Ok(()),
            (true, false) => Err("a flow comes twice".to_owned()),
            (false, _) => Err(format!("{} flows instead of {n}", ours.rows.len())),
        }
    }

    /// The rows of a statistic or an aggregation, without percentages.
    fn rows(&self, question: &str, shape: Shape) -> Arc<BTreeSet<Vec<String>>> {
        let is_one_way = !question.ends_with(" any");
        let what = question.split(['/', ' ']).take(2).collect::<Vec<_>>().join(" ");
        let what =
            if question.starts_with("-s") { what } else { question.split(" -O").next().unwrap().to_owned() };
        // Tables of these orders are about the other direction.
        let is_out = question.starts_with("-s")
            && question.split('/').nth(1).is_some_and(|order| order.starts_with('o'));
        let name = format!("{what} {is_one_way} {is_out}");
        if let Some(rows) = self.known.lock().unwrap().get(&name) {
            return Arc::clone(rows);
        }
        let mut sums = BTreeMap::<Vec<String>, Sum>::new();
        let is_meant = |record: &&Record| !is_one_way || record.layout != Layout::Biflow;
        for record in self.records.iter().filter(is_meant) {
            for key in keys(question, record) {
                let none = Sum { flows: 0, packets: 0, bytes: 0, start_ms: u64::MAX, end_ms: 0 };
                let sum = sums.entry(key).or_insert(none);
                sum.flows += 1;
                let own = (record.packets, record.bytes);
                // The other layouts don't send it.
                let other = match record.layout {
                    Layout::Biflow => (record.out_packets, record.out_bytes),
                    _ => (0, 0),
                };
                let (packets, bytes) = if is_out { other } else { own };
                sum.packets += packets;
                sum.bytes += bytes;
                sum.start_ms = sum.start_ms.min(record.start_ms);
                sum.end_ms = sum.end_ms.max(record.end_ms);
            }
        }
        let is_statistic = matches!(shape, Shape::Statistic { .. });
        let rows = sums.into_iter().map(|(key, sum)| row(key, &sum, is_statistic)).collect();
        let rows = Arc::new(rows);
        self.known.lock().unwrap().insert(name, Arc::clone(&rows));
        rows
    }

    /// Whether groups are those of the flows, and the first of them.
    pub(crate) fn check_groups(&self, question: &str, shape: Shape, ours: &Answer) -> Result<(), String> {
        let (Shape::Statistic { rank, top } | Shape::Groups { rank, top }) = shape else {
            return Err("this is no question about groups".to_owned());
        };
        let made = self.rows(question, shape);
        let found: Vec<Vec<String>> = ours.rows.iter().map(|row| without_shares(row)).collect();
        if let Some(row) = found.iter().find(|row| !made.contains(*row)) {
            return Err(format!("no such group was made: {}", row.join(" ")));
        }
        let n = if top == 0 { made.len() } else { top.min(made.len()) };
        if found.len() != n {
            return Err(format!("{} groups instead of {n}", found.len()));
        }
        // All are equal in what nobody counted.
        let is_equal = question.starts_with("-A") && question.contains(" -O o");
        let rank = if is_equal { Rank::FromEnd(0) } else { rank };
        let is_time = matches!(rank, Rank::Start | Rank::End);
        let is_up = question.contains(":a") || is_time && !question.contains(":d");
        let mut best: Vec<_> = made.iter().filter_map(|row| rank.of(row)).collect();
        best.sort_unstable();
        if !is_up {
            best.reverse();
        }
        best.truncate(n);
        let ranks: Vec<_> = found.iter().filter_map(|row| rank.of(row)).collect();
        if best == ranks { Ok(()) } else { Err("others come first".to_owned()) }
    }
}

/// Flows of one 5-tuple as a row of the format `extended`.
fn record_row(records: &[&Record], tos: u8) -> Vec<String> {
    let mut sum = Sum { flows: 0, packets: 0, bytes: 0, start_ms: u64::MAX, end_ms: 0 };
    let mut flags = 0;
    for record in records {
        sum.flows += 1;
        sum.packets += record.packets;
        sum.bytes += record.bytes;
        sum.start_ms = sum.start_ms.min(record.start_ms);
        sum.end_ms = sum.end_ms.max(record.end_ms);
        flags |= record.tcp_flags;
    }
    let Some(first) = records.first() else { return Vec::new() };
    let (src_port, dst_port) = match first.is_icmp() {
        true => ("0".to_owned(), format!("{}.{}", first.dst_port >> 8, first.dst_port & 0xff)),
        false => (first.src_port.to_string(), first.dst_port.to_string()),
    };
    let end = |addr: IpAddr, port: String| format!("{addr}{}{port}", if addr.is_ipv4() { ':' } else { '.' });
    let key = vec![
        first.protocol.to_string(),
        end(first.src_addr, src_port),
        "->".to_owned(),
        end(first.dst_addr, dst_port),
        flags.to_string(),
        tos.to_string(),
    ];
    // As rows of `-A`, with packets a second.
    let mut row = row(key, &sum, false);
    let duration_ms = sum.end_ms - sum.start_ms;
    let pps = (u128::from(sum.packets) * 1_000).checked_div(duration_ms.into()).unwrap_or(0);
    row.insert(row.len() - 3, pps.to_string());
    row
}

fn row(key: Vec<String>, sum: &Sum, is_statistic: bool) -> Vec<String> {
    let duration_ms = sum.end_ms - sum.start_ms;
    let rate = |n: u128| (n / u128::from(duration_ms.max(1)) * u128::from(duration_ms.min(1))).to_string();
    let pps = rate(u128::from(sum.packets) * 1_000);
    let bps = rate(u128::from(sum.bytes) * 8_000);
    let bpp = sum.bytes.checked_div(sum.packets).unwrap_or(0).to_string();
    let [flows, packets, bytes] = [sum.flows, sum.packets, sum.bytes].map(|n| n.to_string());
    let counters = match is_statistic {
        true => vec![flows, packets, bytes, pps, bps, bpp],
        false => vec![packets, bytes, bps, bpp, flows],
    };
    let start = time_text(sum.start_ms);
    let times = start.split(' ').map(str::to_owned);
    let duration = format!("{}.{:03}", duration_ms / 1_000, duration_ms % 1_000);
    times.chain([duration]).chain(key).chain(counters).collect()
}

fn without_shares(row: &[String]) -> Vec<String> {
    row.iter().map(|cell| cell.split('(').next().unwrap().to_owned()).collect()
}
