//! Answers of three programs in one form, so that they can be compared.

use std::fmt;
use std::io::{self, BufRead};
use std::net::{IpAddr, Ipv6Addr};

use crate::process::lines;
use crate::queries::{Order, Shape};

/// A group, or the totals of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub key: String,
    /// `None` where a program does not print it.
    pub flows: Option<u64>,
    pub packets: u64,
    pub bytes: u64,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flows = self.flows.map_or("?".to_owned(), |flows| flows.to_string());
        write!(f, "{}: {flows} flows, {} packets, {} octets", self.key, self.packets, self.bytes)
    }
}

/// An answer for people, a line for each group.
pub fn text(answer: &Answer) -> String {
    answer.iter().map(|group| format!("  {group}")).collect::<Vec<_>>().join("\n")
}

/// An answer, in its order.
pub type Answer = Vec<Group>;

fn totals(flows: u64, packets: u64, bytes: u64) -> Answer {
    vec![Group { key: "total".to_owned(), flows: Some(flows), packets, bytes }]
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no such answer was expected: {what}"))
}

fn number(text: &str) -> io::Result<u64> {
    text.trim().parse().map_err(|_| unreadable(&format!("`{text}` for a number")))
}

/// Arguments that make nfdump and flowdump answer in a form that can be read.
pub fn arguments(arguments: &[String], shape: Shape) -> Vec<String> {
    let extra: &[&str] = match shape {
        Shape::Statistic(_) | Shape::Records | Shape::Networks => &["-o", "csv"],
        Shape::Totals | Shape::Info | Shape::Rows => &[],
    };
    // Options come before a filter.
    extra.iter().map(|&word| word.to_owned()).chain(arguments.iter().cloned()).collect()
}

/// Reads what nfdump or flowdump printed.
pub fn read(reader: impl BufRead, shape: Shape) -> io::Result<Answer> {
    match shape {
        Shape::Totals => summary(&lines(reader)?),
        Shape::Info => info(&lines(reader)?),
        Shape::Rows => rows(reader),
        Shape::Statistic(_) => table(&lines(reader)?, &[&["val", "value"]]),
        Shape::Records => {
            let keys: [&[&str]; 5] = [
                &["sa", "src_addr"],
                &["da", "dst_addr"],
                &["sp", "src_port"],
                &["dp", "dst_port"],
                &["pr", "protocol"],
            ];
            table(&lines(reader)?, &keys)
        }
        Shape::Networks => {
            let networks = ["sa", "src_addr", "srcip4/24", "src_net", "srcip4", "srcip"];
            table(&lines(reader)?, &[&networks, &["dp", "dst_port", "dstport"]])
        }
    }
}

/// `Summary: total flows: 9, total bytes: 8, total packets: 7, …`
fn summary(lines: &[String]) -> io::Result<Answer> {
    let line = lines.iter().find(|line| line.starts_with("Summary:"));
    let line = line.ok_or_else(|| unreadable(&lines.join("\n")))?;
    let value = |name: &str| {
        let rest = line.split(name).nth(1).ok_or_else(|| unreadable(line))?;
        number(rest.split(',').next().unwrap_or_default())
    };
    Ok(totals(value("total flows:")?, value("total packets:")?, value("total bytes:")?))
}

/// `Flows: 9` and so on, a line each.
fn info(lines: &[String]) -> io::Result<Answer> {
    let value = |name: &str| {
        let rest = lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        number(rest.ok_or_else(|| unreadable(&lines.join("\n")))?)
    };
    Ok(totals(value("Flows")?, value("Packets")?, value("Bytes")?))
}

/// Where in a header one of these names stands.
fn column(header: &[&str], names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| header.iter().position(|column| column == name))
}

const FLOWS: [&str; 2] = ["flows", "fl"];
const PACKETS: [&str; 3] = ["packets", "ipkt", "pkt"];
const BYTES: [&str; 3] = ["bytes", "ibyt", "byt"];

/// A CSV table of groups, up to the first line that is none of it.
fn table(lines: &[String], keys: &[&[&str]]) -> io::Result<Answer> {
    let mut lines = lines.iter().map(String::as_str);
    let Some(first) = lines.next() else { return Ok(Answer::new()) };
    let header: Vec<_> = first.split(',').map(str::trim).collect();
    let needed = |names: &[&str]| column(&header, names).ok_or_else(|| unreadable(first));
    let keys = keys.iter().map(|names| needed(names)).collect::<io::Result<Vec<_>>>()?;
    let (packets, bytes, flows) = (needed(&PACKETS)?, needed(&BYTES)?, column(&header, &FLOWS));
    let mut out = Answer::new();
    for line in lines {
        let cells: Vec<_> = line.split(',').map(str::trim).collect();
        if cells.len() < header.len() || line.starts_with("Summary") {
            break;
        }
        let key: Vec<_> = keys.iter().map(|&index| canonical(cells[index])).collect();
        out.push(Group {
            key: key.join(" "),
            flows: flows.map(|index| number(cells[index])).transpose()?,
            packets: number(cells[packets])?,
            bytes: number(cells[bytes])?,
        });
    }
    Ok(out)
}

/// Records as CSV: their number and sums.
fn rows(mut reader: impl BufRead) -> io::Result<Answer> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let header: Vec<_> = line.trim_end().split(',').collect();
    let needed = |names: &[&str]| column(&header, names).ok_or_else(|| unreadable(&line));
    let (packets, bytes) = (needed(&PACKETS)?, needed(&BYTES)?);
    let mut sums = (0, 0, 0);
    let mut row = String::new();
    while reader.read_line(&mut row)? > 0 {
        if row.starts_with("Summary") {
            // Nobody shall find the pipe closed.
            io::copy(&mut reader, &mut io::sink())?;
            break;
        }
        let mut cells = row.trim_end().split(',');
        let (first, last) = (packets.min(bytes), packets.max(bytes));
        let low = number(cells.nth(first).ok_or_else(|| unreadable(&row))?)?;
        let high = number(cells.nth(last - first - 1).ok_or_else(|| unreadable(&row))?)?;
        let (n_packets, n_bytes) = if packets < bytes { (low, high) } else { (high, low) };
        sums = (sums.0 + 1, sums.1 + n_packets, sums.2 + n_bytes);
        row.clear();
    }
    Ok(totals(sums.0, sums.1, sums.2))
}

/// Rows of DuckDB: keys, then flows, packets and octets, then what else there is.
pub fn of_rows(rows: &[Vec<String>], shape: Shape) -> io::Result<Answer> {
    let n_keys = match shape {
        Shape::Totals | Shape::Info | Shape::Rows => 0,
        Shape::Statistic(_) => 1,
        Shape::Networks => 2,
        Shape::Records => 5,
    };
    let group = |row: &Vec<String>| {
        let (keys, counters) = row.split_at_checked(n_keys).ok_or_else(|| unreadable(&row.join(" ")))?;
        let [flows, packets, bytes, ..] = counters else { return Err(unreadable(&row.join(" "))) };
        // The sum of nothing is None.
        let sum = |text: &str| if text == "None" { Ok(0) } else { number(text) };
        let key: Vec<_> = keys.iter().map(|cell| canonical(cell)).collect();
        let key = if n_keys == 0 { "total".to_owned() } else { key.join(" ") };
        Ok(Group { key, flows: Some(number(flows)?), packets: sum(packets)?, bytes: sum(bytes)? })
    };
    rows.iter().map(group).collect()
}

/// An address, a network, a port or a protocol, whoever printed it.
fn canonical(text: &str) -> String {
    let protocols = [("TCP", 6), ("UDP", 17), ("ICMP", 1), ("ICMP6", 58), ("IPv6-ICMP", 58)];
    if let Some((_, number)) = protocols.iter().find(|(name, _)| *name == text) {
        return number.to_string();
    }
    let octets: Option<Vec<u8>> = (text.len() == 32 || text.len() == 30)
        .then(|| {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
        })
        .flatten();
    if let Some(mut octets) = octets {
        octets.resize(16, 0);
        let octets: [u8; 16] = octets.try_into().unwrap_or_default();
        return Ipv6Addr::from(octets).to_canonical().to_string();
    }
    let address = text.strip_suffix("/24").unwrap_or(text);
    address.parse::<IpAddr>().map_or_else(|_| text.to_owned(), |addr| addr.to_canonical().to_string())
}

/// Whether two programs say the same; if not, how they differ.
pub fn compare(left: &Answer, right: &Answer, shape: Shape) -> Result<(), String> {
    let prepared = |answer: &Answer| {
        let mut answer = answer.clone();
        if shape == Shape::Networks {
            // What a prefix of IPv4 makes of IPv6 differs.
            answer.retain(|group| !group.key.contains(':') && !group.key.starts_with("0.0.0.0"));
            answer.retain(|group| group.key.split(' ').next().is_some_and(|network| network.contains('.')));
        }
        answer
    };
    let (mut left, mut right) = (prepared(left), prepared(right));
    let length = if shape == Shape::Networks { left.len().min(right.len()) } else { usize::MAX };
    if shape == Shape::Networks && length == 0 {
        return Err("one of them has no network of IPv4".to_owned());
    }
    let counter = |group: &Group| match shape {
        Shape::Statistic(Order::Flows) => group.flows.unwrap_or_default(),
        _ => group.bytes,
    };
    for answer in [&mut left, &mut right] {
        answer.truncate(length);
        // Of equal ones any may come first, and the last may have equals that are not shown.
        answer.sort_by(|a, b| counter(b).cmp(&counter(a)).then_with(|| a.key.cmp(&b.key)));
    }
    if left.len() != right.len() {
        return Err(format!("{} rows against {}", left.len(), right.len()));
    }
    let last = left.last().map_or(0, counter);
    for (a, b) in left.iter().zip(&right) {
        let is_flows_equal = a.flows.is_none() || b.flows.is_none() || a.flows == b.flows;
        let is_tied = left.len() > 1 && counter(a) == last && counter(b) == last;
        let is_equal = a.key == b.key && is_flows_equal && (a.packets, a.bytes) == (b.packets, b.bytes);
        if !is_equal && !is_tied {
            return Err(format!("{a} against {b}"));
        }
    }
    Ok(())
}
