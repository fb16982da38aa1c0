//! Filters and what they mean, as s-expressions.

use flow_common::time::Timestamp;

use super::compile;
use crate::columns::Columns;
use crate::{Env, Zone};

#[track_caller]
fn check(filter: &str, expected: &str) {
    let env = Env { now: Timestamp(1_780_000_000_000_000), zone: Zone::Utc };
    let found = match compile(filter, env, &Columns::default()) {
        Ok(predicate) => predicate.to_string(),
        Err(error) => error.message,
    };
    assert_eq!(found, expected, "{filter}");
}

#[test]
fn not_binds_tighter_than_and_than_or() {
    check(
        "proto tcp or proto udp and not src port 53",
        "(or (= protocol 6) (and (= protocol 17) (not (= src_port 53))))",
    );
    check(
        "(proto tcp or proto udp) and ! src port 53",
        "(and (or (= protocol 6) (= protocol 17)) (not (= src_port 53)))",
    );
    check("not not proto 6", "(not (not (= protocol 6)))");
    check("", "true");
    check(" # only a comment", "true");
    check("ANY AND PROTO TCP # and no more", "(and true (= protocol 6))");
}

#[test]
fn a_noun_without_a_side_means_either() {
    check("port 53", "(or (= src_port 53) (= dst_port 53))");
    check("port != 53", "(and (!= src_port 53) (!= dst_port 53))");
    check("if 1", "(or (= in_if 1) (= out_if 1))");
    check("in if 1", "(= in_if 1)");
    check("ip 10.0.0.1", "(or (in src_addr 10.0.0.1) (in dst_addr 10.0.0.1))");
    check("nat ip 10.1.1.1", "(or (in post_nat_src_addr 10.1.1.1) (in post_nat_dst_addr 10.1.1.1))");
    check("xlate port 5", "(or (= post_nat_src_port 5) (= post_nat_dst_port 5))");
    check("ttl > 5", "(or (> min_ttl 5) (> max_ttl 5))");
    check("bytes > 1k", "(> bytes 1000)");
    check("in bytes > 1k", "(> bytes 1000)");
    check("out bytes > 1k", "(> out_bytes 1000)");
    check("next ip 192.0.2.1", "(in next_hop 192.0.2.1)");
    check(
        "src mac 00:11:22:33:44:55",
        "(or (= in_src_mac 00:11:22:33:44:55) (= out_src_mac 00:11:22:33:44:55))",
    );
    check("in mac 0011.2233.4455", "(or (= in_src_mac 00:11:22:33:44:55) (= in_dst_mac 00:11:22:33:44:55))");
}

#[test]
fn comparators_and_numbers() {
    check("src port > 1024", "(> src_port 1024)");
    check("src port >1024", "(> src_port 1024)");
    check("port=80", "(or (= src_port 80) (= dst_port 80))");
    check("src port lt 0x400", "(< src_port 1024)");
    check("src port ge 1 and src port <= 9", "(and (>= src_port 1) (<= src_port 9))");
    check("bytes == 10g", "(= bytes 10000000000)");
    check("bytes > 1t", "(> bytes 1000000000000)");
    check("dst port in [80, 443 8080]", "(in dst_port 80 443 8080)");
    check("proto in [tcp udp 47]", "(in protocol 6 17 47)");
    check("bps > 10m", "(> Bps 10000000)");
    check("duration > 5000", "(> DurationMs 5000)");
    check("icmp type 8", "(= IcmpType 8)");
    check("icmp-code > 1", "(> IcmpCode 1)");
    check("bpp in [40 1500]", "(or (= Bpp 40) (= Bpp 1500))");
}

#[test]
fn addresses_and_prefixes() {
    check("src ip 10.0.0.0/8", "(in src_addr 10.0.0.0..10.255.255.255)");
    check("src net 192.168.1.10/24", "(in src_addr 192.168.1.0..192.168.1.255)");
    check("src net 192.168.1.0 255.255.255.0", "(in src_addr 192.168.1.0..192.168.1.255)");
    check("src ip != 10.0.0.1", "(out src_addr 10.0.0.1)");
    check(
        "src ip in [192.168.1.0/24 10.0.0.5, 2001:db8::/32]",
        "(in src_addr 192.168.1.0..192.168.1.255 10.0.0.5 2001:db8::..2001:db8:ffff:ffff:ffff:ffff:ffff:ffff)",
    );
    check("ipv4", "(or (in src_addr 0.0.0.0..255.255.255.255) (in dst_addr 0.0.0.0..255.255.255.255))");
    check("ipv6", "(or (out src_addr 0.0.0.0..255.255.255.255) (out dst_addr 0.0.0.0..255.255.255.255))");
}

#[test]
fn flags_names_times_and_text() {
    check("flags SA", "(flags AllOf ...A..S.)");
    check("flags =SA", "(flags Exactly ...A..S.)");
    check("flags != SA", "(flags Otherwise ...A..S.)");
    check("flags 0x12", "(= tcp_flags 18)");
    check("flags > 6", "(> tcp_flags 6)");
    check("flowdir egress", "(= direction 1)");
    check("asa event denied", "(= firewall_event 3)");
    check("nat event in [add delete 3]", "(in nat_event 1 2 3)");
    check("fwdstat forw", "(= forwarding_status 1)");
    check("asa user \"joe doe\"", "(= username \"joe doe\")");
    check("first seen >= 2026-05-28T20:26:40", "(>= flow_start 1780000000000000)");
    check("last seen < '2026-05-28 20:26:40'", "(< flow_end 1780000000000000)");
    check("received > -1h", "(> received 1779996400000000)");
}
