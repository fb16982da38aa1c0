//! `-b` and `-B`: flows and those that answer them as one.

use std::collections::HashMap;

use flow_common::proto::{TCP, UDP};

use crate::aggregate::{Group, Value};

/// Places of the 5-tuple in a key.
const PROTOCOL: usize = 0;
const SRC_ADDR: usize = 1;
const DST_ADDR: usize = 2;
const SRC_PORT: usize = 3;
const DST_PORT: usize = 4;

/// The part of a key that has the place of this one the other way round.
pub(crate) fn opposite(part: usize) -> usize {
    match part {
        SRC_ADDR => DST_ADDR,
        DST_ADDR => SRC_ADDR,
        SRC_PORT => DST_PORT,
        DST_PORT => SRC_PORT,
        other => other,
    }
}

type Key = Box<[Option<Value>]>;

/// Joins groups of a 5-tuple with those of the tuple the other way round, of TCP and UDP. Their
/// direction is that of what began first, and with `is_guessed` what ports suggest.
pub(crate) fn join(groups: Vec<Group>, is_guessed: bool) -> Vec<Group> {
    let mut joined: Vec<Group> = Vec::new();
    let mut known: HashMap<Key, usize> = HashMap::new();
    for group in groups {
        if !has_answers(&group.key) {
            joined.push(group);
            continue;
        }
        match known.get(&reversed(&group.key)) {
            Some(&at) => add(&mut joined[at], group),
            None => {
                known.insert(group.key.clone(), joined.len());
                joined.push(group);
            }
        }
    }
    if is_guessed {
        joined.iter_mut().filter(|group| is_backwards(&group.key)).for_each(turn);
    }
    joined
}

/// Adds the other direction to `one`.
fn add(one: &mut Group, mut other: Group) {
    let began = |group: &Group| group.counters.first.unwrap_or(i64::MAX);
    if (began(&other), &other.key) < (began(one), &one.key) {
        std::mem::swap(one, &mut other);
    }
    one.counters.add(&other.counters.turned());
    one.tcp_flags = match (one.tcp_flags, other.tcp_flags) {
        (Some(one), Some(other)) => Some(one | other),
        (one, other) => one.or(other),
    };
    one.src_tos = one.src_tos.or(other.src_tos);
}

fn turn(group: &mut Group) {
    group.key = reversed(&group.key);
    group.counters = group.counters.turned();
}

fn reversed(key: &[Option<Value>]) -> Key {
    (0..key.len()).map(|part| key[opposite(part)].clone()).collect()
}

fn number(key: &[Option<Value>], at: usize) -> Option<i64> {
    match key.get(at)? {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    }
}

fn has_answers(key: &[Option<Value>]) -> bool {
    number(key, PROTOCOL).is_some_and(|number| [TCP, UDP].into_iter().any(|known| number == i64::from(known)))
}

/// nfdump's rule: a server has a port of a lower range than its client.
fn is_backwards(key: &[Option<Value>]) -> bool {
    const RANGES: [i64; 3] = [1_024, 32_768, 49_152];
    let (Some(src), Some(dst)) = (number(key, SRC_PORT), number(key, DST_PORT)) else { return false };
    has_answers(key) && RANGES.into_iter().any(|start| src < start && dst >= start)
}

#[cfg(test)]
mod tests {
    use flow_common::addr::Addr16;

    use super::*;
    use crate::flow::Counters;

    /// A group as `protocol src:port>dst:port first flows in/out`.
    fn group(text: &str) -> Group {
        let mut words = text.split(' ');
        let mut word = || words.next().unwrap();
        let protocol = word().parse().unwrap();
        let (src, dst) = word().split_once('>').unwrap();
        let end = |text: &str| {
            let (host, port) = text.split_once(':').unwrap();
            let host: u8 = host.parse().unwrap();
            (Value::Address(Addr16::from_v4([10, 0, 0, host])), Value::Int(port.parse().unwrap()))
        };
        let ((src_addr, src_port), (dst_addr, dst_port)) = (end(src), end(dst));
        let (first, flows) = (word().parse().ok(), word().parse().unwrap());
        let (bytes, out_bytes) = word().split_once('/').unwrap();
        let (bytes, out_bytes): (u64, u64) = (bytes.parse().unwrap(), out_bytes.parse().unwrap());
        let key = [Value::Int(protocol), src_addr, dst_addr, src_port, dst_port].map(Some);
        let counters = Counters {
            flows,
            bytes,
            packets: bytes / 100,
            out_bytes,
            out_packets: out_bytes / 100,
            first,
            ..Counters::default()
        };
        let measured = Box::default();
        Group { key: key.into(), counters, measured, tcp_flags: Some(1 << flows), src_tos: None }
    }

    fn shown(group: &Group) -> String {
        let key: Vec<_> = group.key.iter().flatten().map(ToString::to_string).collect();
        let host = |at: usize| key[at].trim_start_matches("10.0.0.").to_owned();
        let Counters { flows, bytes, packets, out_bytes, out_packets, first, .. } = group.counters;
        assert_eq!((packets, out_packets), (bytes / 100, out_bytes / 100));
        let first = first.map_or("-".into(), |first| first.to_string());
        format!(
            "{} {}:{}>{}:{} {first} {flows} {bytes}/{out_bytes}",
            key[0],
            host(1),
            key[3],
            host(2),
            key[4]
        )
    }

    #[track_caller]
    fn check(groups: &[&str], is_guessed: bool, expected: &[&str]) {
        for order in [0, 1] {
            let mut groups: Vec<Group> = groups.iter().map(|text| group(text)).collect();
            if order == 1 {
                groups.reverse();
            }
            let mut found: Vec<_> = join(groups, is_guessed).iter().map(shown).collect();
            found.sort();
            assert_eq!(found, expected, "{order}");
        }
    }

    #[test]
    fn answers_join_what_they_answer() {
        let both = ["6 1:5000>2:80 10 1 300/0", "6 2:80>1:5000 20 2 900/0"];
        check(&both, false, &["6 1:5000>2:80 10 3 300/900"]);
        // The server's flow began first.
        let early = ["6 1:5000>2:80 30 1 300/0", "6 2:80>1:5000 20 2 900/0"];
        check(&early, false, &["6 2:80>1:5000 20 3 900/300"]);
        check(&early, true, &["6 1:5000>2:80 20 3 300/900"]);
        // Of equal times the lower address is first, whatever comes first.
        let equal = ["17 1:5000>2:80 - 1 300/0", "17 2:80>1:5000 - 2 900/0"];
        check(&equal, false, &["17 1:5000>2:80 - 3 300/900"]);
    }

    #[test]
    fn only_tcp_and_udp_are_answered() {
        let icmp = ["1 1:0>2:2048 10 1 300/0", "1 2:2048>1:0 20 1 900/0"];
        check(&icmp, true, &icmp);
        let alone = ["6 1:53>2:4000 10 1 300/0", "17 1:53>2:4000 10 1 300/0", "6 2:4000>1:54 10 1 300/0"];
        let turned = ["17 2:4000>1:53 10 1 0/300", "6 2:4000>1:53 10 1 0/300", "6 2:4000>1:54 10 1 300/0"];
        check(&alone, true, &turned);
    }

    #[test]
    fn records_of_both_directions_keep_them() {
        let biflows = ["6 1:5000>2:80 10 1 300/200", "6 2:80>1:5000 20 2 900/100"];
        check(&biflows, false, &["6 1:5000>2:80 10 3 400/1100"]);
    }

    #[test]
    fn servers_have_the_lower_range() {
        let check = |src: i64, dst: i64, expected: bool| {
            let group = group(&format!("6 1:{src}>2:{dst} 1 1 0/0"));
            assert_eq!(is_backwards(&group.key), expected, "{src} {dst}");
        };
        check(80, 1_024, true);
        check(80, 1_023, false);
        check(5_000, 80, false);
        check(5_000, 40_000, true);
        check(40_000, 50_000, true);
        check(50_000, 60_000, false);
    }
}
