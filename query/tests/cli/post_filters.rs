//! `-P`: which groups are rows of the answer.

use flow_common::column::ColumnId as Id;
use insta::assert_snapshot;

use crate::support::{Bench, Row, sample};

/// Flows from ten hosts to one; host n has n of them, 100 n octets each, and answers of 10 n.
fn hosts() -> Vec<Row> {
    let flow = |host: i64, n: i64| {
        let (src, ms) = (format!("10.0.0.{host}"), 1_000 * n);
        let tcp = if host % 2 == 0 { 6 } else { 17 };
        Row::flow((ms, ms + 500), tcp, (&src, 1_000 + host), ("10.9.9.9", 80), (1, 100 * host))
            .int(Id::OutBytes, 10 * host)
            .int(Id::TcpFlags, if host == 4 { 2 } else { 0x1a })
            .text(Id::ApplicationName, if host < 6 { "dns" } else { "web" })
    };
    (1..=10).flat_map(|host| (1..=host).map(move |n| flow(host, n))).collect()
}

/// The hosts of the rows of a CSV, by their last octet, whatever the threads, the memory and the passes.
#[track_caller]
fn check(args: &[&str], expected: &str) {
    let bench = Bench::of(&hosts());
    for how in [&["--threads", "1"][..], &["--threads", "4", "--memory", "64k"], &["--two-passes-from", "0"]]
    {
        let all = [&["-r", "@", "-q", "-o", "csv"], how, args].concat();
        let (code, stdout, stderr) = bench.run_raw(&all);
        let host =
            |line: &str| line.split(',').find_map(|cell| cell.strip_prefix("10.0.0.").map(str::to_owned));
        let hosts: Vec<_> = stdout.lines().filter_map(host).collect();
        assert_eq!((code, hosts.join(" ").as_str(), stderr.as_str()), (0, expected, ""), "{all:?}");
    }
}

#[test]
fn groups_are_filtered_before_they_are_cut() {
    check(&["-s", "srcip/bytes", "-P", "flows < 4"], "3 2 1");
    check(&["-s", "srcip/bytes", "-n", "2", "-P", "flows < 9"], "8 7");
    check(&["-A", "srcip", "-O", "bytes:a", "-P", "bytes > 5k"], "8 9 10");
    check(&["-A", "srcip,proto", "-O", "flows", "-P", "proto tcp and not flows > 6"], "6 4 2");
    check(&["-A", "srcip4/30", "-O", "flows", "-P", "src net 10.0.0.4/30"], "4");
    check(&["-a", "-O", "bytes", "-P", "flags =S"], "4");
    check(&["-a", "-n", "1", "-P", "src port in [1001-1005]"], "5");
    // What no table shows can be asked, too.
    check(&["-s", "srcip/flows", "-P", "out bytes >= 810"], "10 9");
    check(&["-A", "srcip", "-P", "duration < 1s"], "1");
    check(&["-A", "srcip", "-O", "flows", "-P", "bpp > 800 or pps > 1"], "10 9 1");
    check(
        &["-A", "srcip,application_name", "-O", "flows", "-P", "application name dns and flows > 3"],
        "5 4",
    );
    check(&["-s", "ip/flows", "-P", "ip 10.0.0.7"], "7");
    check(&["-s", "record/bytes", "-P", "ip 10.0.0.7"], "7");
    check(&["-A", "srcip", "-P", "ip 10.0.0.7"], "7");
    check(&["-A", "srcip", "-P", "ipv6"], "");
    check(&["-s", "srcip", "-P", "any", "src ip 10.0.0.3"], "3");
}

#[test]
fn both_directions_are_joined_first() {
    let bench = Bench::of(&sample());
    let (code, stdout, _) =
        bench.run_raw(&["-r", "@", "-b", "-P", "out bytes > 1m", "-o", "csv:%sa,%ibyt,%obyt", "-q"]);
    assert_eq!((code, stdout.as_str()), (0, "src_addr,bytes,out_bytes\n192.168.1.10,15234,1834567\n"));
    let (_, stdout, _) =
        bench.run_raw(&["-r", "@", "-b", "-P", "flows > 1 and bytes > 20k", "-o", "csv:%sa", "-q"]);
    assert_eq!(stdout, "src_addr\n");
}

#[test]
fn answers_and_refusals() {
    let bench = Bench::of(&hosts());
    let asked: [&[&str]; 11] = [
        &["-s", "srcip/bytes", "-P", "bytes > 8k"],
        &["-A", "srcip", "-P", "bytes > 1g"],
        &["-A", "srcip", "-o", "json", "-P", "bytes > 1g"],
        &["-A", "srcip", "-o", "ndjson", "-P", "bytes > 9k"],
        &["-P", "bytes > 8k"],
        &["-A", "srcip", "-P", "dst port 80"],
        &["-A", "srcip", "-P", "ttl equal"],
        &["-s", "srcip", "-s", "dstport", "-P", "src ip 10.0.0.1"],
        &["-A", "srcip", "-P", "bytes >"],
        &["-A", "srcip", "-P", "src ip 10.0.0.1", "--anonymize", "0123456789abcdef0123456789abcdef"],
        &["-A", "srcip", "-P", "bytes > 8k", "--explain", "proto tcp"],
    ];
    let shown = asked.map(|args| format!("$ flowdump {}\n{}", args.join(" "), bench.query(args)));
    assert_snapshot!("post_filters", shown.join("\n"));
}
