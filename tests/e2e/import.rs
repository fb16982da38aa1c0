//! Files of nfcapd, imported: flowdump sees in them what nfdump sees, row by row.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use flow_tests::nfcapd::{collect, files, missing, nfdump, varied};
use flow_tests::packet::{Value as Octets, v9};
use flow_tests::query::{Output, flowdump, flowdump_with, records};
use serde_json::Value;

const NOW_SECS: u32 = 1_795_262_400;

/// A column of nfdump's CSV and ours.
const CSV: [(&str, &str); 31] = [
    ("ts", "flow_start"),
    ("te", "flow_end"),
    ("sa", "src_addr"),
    ("da", "dst_addr"),
    ("sp", "src_port"),
    ("dp", "dst_port"),
    ("pr", "protocol"),
    ("flg", "tcp_flags"),
    ("fwd", "forwarding_status"),
    ("stos", "src_tos"),
    ("ipkt", "packets"),
    ("ibyt", "bytes"),
    ("opkt", "out_packets"),
    ("obyt", "out_bytes"),
    ("in", "in_if"),
    ("out", "out_if"),
    ("sas", "src_as"),
    ("das", "dst_as"),
    ("smk", "src_mask"),
    ("dmk", "dst_mask"),
    ("dtos", "dst_tos"),
    ("dir", "direction"),
    ("nh", "next_hop"),
    ("svln", "vlan"),
    ("dvln", "post_vlan"),
    ("ismc", "in_src_mac"),
    ("odmc", "out_dst_mac"),
    ("idmc", "in_dst_mac"),
    ("osmc", "out_src_mac"),
    ("ra", "exporter_addr"),
    ("tr", "received"),
];

/// A key of nfdump's JSON and our column, where the CSV has none, or shows an IPv6 next hop in
/// place of a BGP next hop, or the other way round.
const JSON: [(&str, &str); 17] = [
    ("first", "flow_start"),
    ("last", "flow_end"),
    ("icmp_type", "icmp_type"),
    ("icmp_code", "icmp_code"),
    ("ip4_next_hop", "next_hop"),
    ("ip6_next_hop", "next_hop"),
    ("bgp4_next_hop", "bgp_next_hop"),
    ("bgp6_next_hop", "bgp_next_hop"),
    ("src4_xlt_ip", "post_nat_src_addr"),
    ("dst4_xlt_ip", "post_nat_dst_addr"),
    ("src6_xlt_ip", "post_nat_src_addr"),
    ("dst6_xlt_ip", "post_nat_dst_addr"),
    ("src_xlt_port", "post_nat_src_port"),
    ("dst_xlt_port", "post_nat_dst_port"),
    ("ingress_vrf", "ingress_vrf"),
    ("egress_vrf", "egress_vrf"),
    ("received", "received"),
];

/// Protocols nfdump has names for in its CSV.
const PROTOCOLS: [(&str, &str); 6] =
    [("ICMP", "1"), ("TCP", "6"), ("UDP", "17"), ("GRE", "47"), ("ESP", "50"), ("SCTP", "132")];

type Row = BTreeMap<&'static str, String>;

/// nfdump has no NULL: what is zero is not there.
fn put(row: &mut Row, name: &'static str, text: &str) {
    let is_nothing = text.chars().all(|c| matches!(c, '0' | '.' | ':' | '-' | ' '));
    if !is_nothing {
        row.insert(name, text.to_owned());
    }
}

fn of_csv(head: &[&str], line: &str) -> Row {
    let cells: BTreeMap<&str, &str> = head.iter().copied().zip(line.split(',')).collect();
    let mut row = Row::new();
    for (theirs, ours) in CSV {
        let text = cells[theirs];
        let protocol = PROTOCOLS.iter().find(|known| known.0 == text.trim() && theirs == "pr");
        let is_v6 = cells["sa"].contains(':');
        match theirs {
            "nh" if is_v6 => {}
            "ts" | "te" | "tr" => put(&mut row, ours, &text[..19]),
            _ => put(&mut row, ours, protocol.map_or(text, |known| known.1)),
        }
    }
    let labels = (1..=10).map(|n| cells[format!("mpls{n}").as_str()]).filter(|label| *label != "0-0-0");
    put(&mut row, "mpls_labels", &labels.collect::<Vec<_>>().join(" "));
    row
}

fn of_json(record: &Value) -> Row {
    let mut row = Row::new();
    for (theirs, ours) in JSON {
        match &record[theirs] {
            Value::String(text) => put(&mut row, ours, text),
            Value::Number(number) => put(&mut row, ours, &number.to_string()),
            _ => {}
        }
    }
    row
}

/// Our record as far as `like` is about it, with times to the second where they are there.
fn of_ours(record: &Value, columns: &[(&str, &'static str)], is_csv: bool) -> Row {
    let mut row = Row::new();
    for &(_, name) in columns {
        let text = match &record[name] {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        let is_v6 = record["src_addr"].as_str().is_some_and(|addr| addr.contains(':'));
        match name {
            "flow_start" | "flow_end" | "received" if is_csv => {
                put(&mut row, name, &text[..19].replace('T', " "));
            }
            "flow_start" | "flow_end" | "received" => put(&mut row, name, text.trim_end_matches('Z')),
            "tcp_flags" => put(&mut row, name, &letters(record[name].as_u64().unwrap_or(0))),
            "next_hop" if is_csv && is_v6 => {}
            _ => put(&mut row, name, &text),
        }
    }
    if is_csv && let Some(labels) = record["mpls_labels"].as_array() {
        let labels: Vec<_> = labels.iter().filter_map(Value::as_str).collect();
        put(&mut row, "mpls_labels", &labels.join(" "));
    }
    row
}

fn letters(flags: u64) -> String {
    "CEUAPRSF".chars().enumerate().map(|(at, c)| if flags >> (7 - at) & 1 == 1 { c } else { '.' }).collect()
}

fn import(source: &Path, root: &Path) -> Output {
    flowdump_with(&[OsStr::new("import"), source.as_ref(), OsStr::new("-w"), root.as_ref()])
}

/// Imports what nfcapd, started with `args`, makes of `n` flows, and compares.
fn check(args: &[&str], n: usize, seed: u64) {
    let directory = collect(&varied(n, seed, NOW_SECS), args).unwrap();
    let files = files(directory.path()).unwrap();
    let tree = tempfile::tempdir().unwrap();
    let output = import(directory.path(), tree.path());
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{args:?}: {output:?}");
    let agreeing = output.stdout.matches(", as its statistics say\n").count();
    assert_eq!(agreeing, files.len(), "{args:?}: {}", output.stdout);
    let ours = records(tree.path());
    let (mut csv, mut json) = (Vec::new(), Vec::new());
    for file in &files {
        let text = nfdump(file, &["-q", "-o", "csv"]).unwrap();
        let head = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,in,out,sas,das,smk,dmk,dtos,dir,nh,nhb,\
                    svln,dvln,ismc,odmc,idmc,osmc,mpls1,mpls2,mpls3,mpls4,mpls5,mpls6,mpls7,mpls8,mpls9,mpls10,\
                    cl,sl,al,ra,eng,exid,tr";
        let head: Vec<_> = head.split(',').collect();
        csv.extend(text.lines().filter(|line| line.starts_with('2')).map(|line| of_csv(&head, line)));
        let text = nfdump(file, &["-o", "json"]).unwrap();
        json.extend(serde_json::from_str::<Vec<Value>>(&text).unwrap().iter().map(of_json));
    }
    assert!(ours.len() >= n && ours.len() == csv.len() && csv.len() == json.len(), "{}", ours.len());
    for (at, record) in ours.iter().enumerate() {
        assert_eq!(of_ours(record, &CSV, true), csv[at], "{args:?}, row {at} of nfdump's CSV");
        assert_eq!(of_ours(record, &JSON, false), json[at], "{args:?}, row {at} of nfdump's JSON");
    }
    // What only some flows have is among them.
    for name in ["post_nat_src_port", "icmp_type", "egress_vrf"] {
        assert!(json.iter().any(|row| row.contains_key(name)), "{name}");
    }
    for name in ["mpls_labels", "in_src_mac", "vlan", "forwarding_status"] {
        assert!(csv.iter().any(|row| row.contains_key(name)), "{name}");
    }
    // Once more: it is all there.
    let again = import(directory.path(), tree.path());
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stdout.contains(&format!(": 0 new files below `{}`", tree.path().display())), "{again:?}");
    assert_eq!(records(tree.path()).len(), ours.len());
    let info = flowdump(tree.path(), &["-I"]).stdout;
    assert!(info.contains("Ident: edge\n"), "{info}");
}

#[test]
fn flowdump_sees_what_nfdump_sees() {
    if let Some(reason) = missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    check(&[], 3_000, 1);
    // LZO, bzip2, LZ4.
    for (seed, flag) in (2..).zip(["-z", "-j", "-y"]) {
        check(&[flag], 600, seed);
    }
}

#[test]
fn a_damaged_block_leaves_the_others() {
    if let Some(reason) = missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    // Blocks of nfcapd 1.7.1 end at some 1 MiB.
    let directory = collect(&varied(9_000, 9, NOW_SECS), &["-y"]).unwrap();
    let file = files(directory.path()).unwrap().remove(0);
    let mut octets = fs::read(&file).unwrap();
    let first_block_bytes = u32::from_le_bytes(octets[44..48].try_into().unwrap()) as usize;
    let blocks = u32::from_le_bytes(octets[36..40].try_into().unwrap());
    assert!(blocks > 1, "{blocks} blocks");
    // Behind its own octets, what a match refers to.
    octets[52..52 + first_block_bytes / 2].fill(0xf0);
    let damaged = directory.path().join("damaged");
    fs::write(&damaged, &octets).unwrap();
    let tree = tempfile::tempdir().unwrap();
    let output = import(&damaged, tree.path());
    assert_eq!(output.code, 3, "{output:?}");
    let error =
        format!("error: can't read `{}`: block 1 at octet 40: LZ4 data is damaged", damaged.display());
    assert!(output.stderr.contains(&error), "{output:?}");
    assert!(output.stderr.contains("flows, ") && output.stderr.contains("by its statistics"), "{output:?}");
    assert!(!records(tree.path()).is_empty());
}

/// What an exporter tells of its numbers, and two flows that have them, each as nfcapd 1.7.1 takes it.
fn telling() -> Vec<Vec<u8>> {
    let mut sequence = 0;
    let mut message = || {
        sequence += 1;
        v9::Message::new(100_000, NOW_SECS, sequence, 7)
    };
    let scope = [127, 0, 0, 1];
    let mut datagrams = Vec::new();
    let mut told = |id: u16, fields: &[(u16, u16)], values: &[Octets]| {
        datagrams.push(message().options_template(id, &[(1, 4)], fields).encode());
        let record = |value: &Octets| Octets::new().octets(&scope).octets(&value.clone().encode()).encode();
        datagrams.push(message().data(id, &values.iter().map(record).collect::<Vec<_>>()).encode());
    };
    let named = |id: u64, name: &str| Octets::new().uint(id, 4).fixed_string(name, 32);
    // It reads one name of an interface in a record, and that from element 83.
    told(302, &[(10, 4), (83, 32)], &[named(1, "Gi0/1"), named(2, "Gi0/2")]);
    told(303, &[(234, 4), (236, 32)], &[named(3, "red"), named(4, "blue")]);
    let application = |id: u64, name: &str, long: &str| {
        Octets::new().uint(id, 4).fixed_string(name, 24).fixed_string(long, 55)
    };
    let applications =
        [application(0x0300_0050, "http", "World Wide Web"), application(0x0d00_0026, "ssl", "")];
    told(304, &[(95, 4), (96, 24), (94, 55)], &applications);
    let fields = [
        (8, 4),
        (12, 4),
        (7, 2),
        (11, 2),
        (4, 1),
        (2, 4),
        (1, 4),
        (22, 4),
        (21, 4),
        (10, 4),
        (14, 4),
        (95, 4),
        (234, 4),
        (235, 4),
        (371, 8),
    ];
    let flow = |host: u64| {
        let addrs = Octets::new().uint(0x0a00_0000 + host, 4).uint(0x0a00_0101, 4);
        let rest = addrs.uint(1_000 + host, 2).uint(80, 2).uint(6, 1).uint(10, 4).uint(1_000, 4);
        let times = rest.uint(90_000, 4).uint(95_000, 4).uint(1, 4).uint(2, 4);
        times.uint(0x0300_0050, 4).uint(3, 4).uint(4, 4).fixed_string("joe", 8).encode()
    };
    datagrams.push(message().template(256, &fields).encode());
    datagrams.push(message().data(256, &[flow(1), flow(2)]).encode());
    datagrams
}

#[test]
fn names_and_rates_come_along() {
    if let Some(reason) = missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    // A sampler that nfcapd was told itself, which no exporter told, is not stored.
    for args in [&[][..], &["-y", "-s", "100"]] {
        let directory = collect(&telling(), args).unwrap();
        let tree = tempfile::tempdir().unwrap();
        let output = import(directory.path(), tree.path());
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
        let ours = records(tree.path());
        assert_eq!(ours.len(), 2);
        let file = files(directory.path()).unwrap().remove(0);
        let raw = nfdump(&file, &["-o", "raw"]).unwrap();
        for record in &ours {
            for (name, value) in [
                ("in_if_name", "Gi0/1"),
                ("out_if_name", "Gi0/2"),
                ("ingress_vrf_name", "red"),
                ("egress_vrf_name", "blue"),
                ("application_name", "http"),
            ] {
                assert_eq!(record[name], value, "{record}");
                assert!(raw.contains(value), "nfdump does not know {value}: {raw}");
            }
        }
        // As nfdump counts them, and as a filter finds them.
        let told = flowdump(tree.path(), &["-E"]).stdout;
        assert!(told.contains("ID: 7, Sequence failures: 0, packets: 8, flows: 2"), "{told}");
        let named = flowdump(tree.path(), &["-q", "in if name Gi0/1 and egress vrf name blue"]);
        assert_eq!((named.code, named.stdout.lines().count()), (0, 2), "{named:?}");
        // Once more: nothing is told twice.
        let table = tree.path().join(".flowcap/names.table");
        let before = fs::read(&table).unwrap();
        assert_eq!(import(directory.path(), tree.path()).code, 0);
        assert_eq!(fs::read(&table).unwrap(), before);
        assert!(!tree.path().join(".flowcap/sampling.table").exists());
    }
}
