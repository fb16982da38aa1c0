//! What is asked: every filter, statistic, order, aggregation and format of nfdump that there is,
//! whether or not its version at hand knows it.

use crate::normal::{Rank, Shape};

/// Every form of a filter nfdump 1.7.8 takes.
const FILTERS: [&str; 161] = [
    "any",
    "ipv4",
    "ipv6",
    "not ipv6 and proto tcp",
    "ident edge1",
    "count > 100",
    "proto tcp",
    "proto 17",
    "proto icmp6",
    "proto ipv6",
    "tun proto gre",
    "ip 192.168.1.10",
    "host 192.168.1.10",
    "src ip 2001:db8:1:2:3:4:5:6",
    "dst host 8.8.8.8",
    "src ip in [192.168.1.0/24 10.0.0.5, 2001:db8::/32]",
    "ip in [10.0.0.0/8]",
    "next ip 192.168.1.1",
    "bgp next ip 10.0.0.1",
    "router ip 192.0.2.1",
    "exporter ip 192.0.2.1",
    "net 192.168.0.0/16",
    "src net 192.168.1.0 255.255.255.0",
    "dst net 2606:4700::/32",
    "port 53",
    "src port > 1024",
    "dst port in [80, 443 8080]",
    "src port >= 49152 and dst port < 1024",
    "icmp type 8",
    "icmp code 1",
    "icmp-type 3 and icmp-code 1",
    "as 15169",
    "src as > 64511",
    "dst as in [15169 13335]",
    "prev as 3303",
    "next as 3303",
    "if 1",
    "in if 1",
    "out if 2",
    "mask 24",
    "src mask 24",
    "vlan 100",
    "src vlan 10",
    "dst vlan 20",
    "flags S",
    "flags S and not flags AFRPU",
    "flags =SA",
    "flags 0x12",
    "flags > 6",
    "tos 192",
    "src tos 72",
    "dst tos 0",
    "min ttl < 5",
    "max ttl 255",
    "ttl equal",
    "fwdstat 64",
    "fwdstat forw",
    "packets > 1k",
    "in packets > 1000",
    "out packets > 0",
    "bytes > 1M",
    "in bytes >= 1500",
    "out bytes < 10G",
    "flows > 1",
    "pps > 1000",
    "bps > 10m",
    "bpp < 100",
    "duration > 5000",
    "first seen > 2026-05-28T20:26:41",
    "last seen <= 2026-05-28T20:27:00.500",
    "first seen >= 2026-05-28",
    "first seen >= 2026",
    "mac 00:11:22:33:44:55",
    "in src mac 00:11:22:33:44:55",
    "in dst mac 00:11:22:33:44:55",
    "out src mac 00:11:22:33:44:55",
    "out dst mac 00:11:22:33:44:55",
    "src mac 00:11:22:33:44:55",
    "out mac 00:11:22:33:44:55",
    "mpls label1 = 1010",
    "mpls label3 > 100",
    "mpls eos 100100",
    "mpls exp2 > 3",
    "mpls any 2020",
    "etherType 0x0800",
    "engine type 0",
    "engine id 3",
    "engine-type 0",
    "exporter id 1",
    "exporter sysid > 0",
    "observation domain id 42",
    "observation point id 1",
    "flowdir ingress",
    "flowdir egress",
    "flowdir 0",
    "ingress vrf 5",
    "egress vrf > 5",
    "src geo US",
    "geo CH",
    "dst nat geo DE",
    "src tun geo FR",
    "src ip tor",
    "ip tor",
    "client latency > 10",
    "server latency > 10",
    "asa event create",
    "asa event denied",
    "asa event > 1",
    "asa denied ingress",
    "asa denied nosyn",
    "asa xevent > 1000",
    "asa user joe",
    "ingress acl 0xf0f0",
    "egress acl > 5",
    "nat event add",
    "nat event 1",
    "nat ip 10.1.1.1",
    "src nat ip 10.1.1.1",
    "dst nat net 10.0.0.0/8",
    "nat port 5000",
    "src nat port > 1024",
    "nat pblock start > 1024",
    "nat pblock end < 2048",
    "nat pblock step 2",
    "nat pblock size 4096",
    "port in nat pblock",
    "src port in nat pblock",
    "tun ip 10.0.0.1",
    "src tun ip 10.0.0.1",
    "dst tun net 10.0.0.0/8",
    "xlate ip 10.1.1.1",
    "payload content 'GET'",
    "payload regex 'GET|POST'",
    "payload regex 'get' i",
    "payload dns defined",
    "payload dns name google.com",
    "payload dns address 8.8.8.8",
    "in payload dns defined",
    "out payload dns defined",
    "payload ssl defined",
    "payload ssl version 3.0",
    "payload tls version 1.2",
    "payload tls sni example.com",
    "payload ja3 defined",
    "payload ja3 0123456789abcdef0123456789abcdef",
    "payload ja4 defined",
    "pf action block",
    "pf reason match",
    "pf rule 5",
    "pf rule > 5",
    "pf dir in",
    "pf interface em0",
    "port lt 1024",
    "src port = 80 or dst port == 80",
    "! proto tcp",
    "not (src net 10.0.0.0/8 or dst net 10.0.0.0/8)",
    "(proto tcp or proto udp) and (dst port 53 or dst port 853)",
    "port 0x35",
    "src port eq 80",
    "any and port 443",
    "( ident edge1 or ident edge2 ) and packets > 10",
];

/// What it takes, too, though nobody would think so.
const ODD_FILTERS: [&str; 33] = [
    "src geo IN",
    "asa event ignore",
    "asa event create",
    "asa event delete",
    "asa event denied",
    "asa event alert",
    "asa event update",
    "nat event delete",
    "packets>100",
    "net fe80::/10",
    "flags SX",
    "flags X",
    "tos > 5",
    r#"first seen > "2026-05-28 20:26:40""#,
    "not not port 80",
    "mac 00:11:22:33:44:55:66",
    "proto TCP",
    "PROTO tcp AND PORT 80",
    "mpls label11 5",
    "mpls label0 5",
    "mpls label99 5",
    "mpls exp99 5",
    "ttl > 5",
    "payload content GET",
    "client latency 5",
    "server latency > 1k",
    r#"ident "a b""#,
    "ident 'in'",
    "cnt > 5",
    "next as in [1 2]",
    "bgp next net 10.0.0.0/8",
    "router net 10.0.0.0/8",
    "next net 10.0.0.0/8",
];

/// More of them, about values these flows have.
const OWN_FILTERS: [&str; 48] = [
    "ident test",
    "ident none",
    "first seen > 2026-11-21T12:05:00",
    "last seen <= 2026-11-21T12:05:00.500",
    "first seen >= 2026-11-21T12:03",
    "proto 47",
    "proto gre and not src net 10.0.0.0/8",
    "proto udp or proto icmp",
    "proto 41",
    "ip 8.8.8.8",
    "dst ip 10.0.0.5 or src ip ::1",
    "ip 0.0.0.1",
    "host 2606:4700::1111",
    "src net 10.0.0.0/12",
    "net 2001:db8::/32",
    "net 2001:db8:10:a06::/64",
    "src net 192.168.1.10/24",
    "net 0.0.0.0/0",
    "net ::/0",
    "next ip 172.16.1.1",
    "router ip 127.0.21.1",
    "router ip 127.0.21.4",
    "as 13335",
    "dst as 4200000001",
    "src as in [15169 64600]",
    "if 2",
    "in if 12",
    "dst mask 24",
    "vlan 10",
    "flags SF",
    "flags =S",
    "flags 2",
    "flags S and not flags A",
    "dst tos 72",
    "tos > 40",
    "bytes = 40",
    "bytes > 10g",
    "packets = 1 and duration = 0",
    "duration >= 60000",
    "bpp > 1000 and pps < 10",
    "icmp-type 8",
    "icmp-type 128",
    "icmp-type 3",
    "dst port 2048",
    "nat port 5001",
    "nat ip 10.2.2.2",
    "mpls any 1010",
    "out bytes = 6000000",
];

/// Every element of `-s`.
const ELEMENTS: &str = "\
    record srcip dstip ip srcgeo dstgeo geo nhip nhbip router srcport dstport port proto flags srctos \
    dsttos tos dir srcas srcasn dstas dstasn as asn prevas nextas inif outif if srcmask dstmask mask \
    tunproto srcvlan dstvlan vlan insrcmac outdstmac indstmac outsrcmac ethertype srcmac dstmac inmac \
    outmac mac mpls1 mpls2 mpls3 mpls4 mpls5 mpls6 mpls7 mpls8 mpls9 mpls10 cl sl al nbar ja3 ja4 odid \
    opid event xevent nat natsrcip natdstip natip natsrcport natdstport natport iacl eacl ivrf evrf \
    minttl maxttl";

/// Every order of `-s`.
pub(crate) const ORDERS: [&str; 16] = [
    "flows", "packets", "ipkg", "opkg", "bytes", "ibyte", "obyte", "pps", "ipps", "opps", "bps", "ibps",
    "obps", "bpp", "ibpp", "obpp",
];

/// Elements of which every group is compared.
const COMPLETE: [&str; 12] =
    ["srcip", "dstip", "ip", "dstport", "port", "proto", "tos", "as", "inif", "router", "insrcmac", "vlan"];

/// Statistics in other forms.
const OTHER_STATISTICS: [(&str, &str); 14] = [
    ("srcip:p", "bytes"),
    ("dstport:p", "flows"),
    ("port:p", "packets"),
    ("proto:p", "bytes"),
    ("as:p", "bps"),
    ("inif:p", "flows"),
    ("tos:p", "bytes"),
    ("srcip", "bytes:a"),
    ("dstport", "flows:a"),
    ("proto", "packets:d"),
    ("srcip", "foo"),
    ("foo", "bytes"),
    ("SRCIP", "bytes"),
    ("dstip", "BYTES"),
];

/// `-A` and `-O`.
const AGGREGATES: [(&str, &str); 77] = [
    ("proto", "flows"),
    ("proto", "bytes"),
    ("srcip", "bytes"),
    ("srcip", "flows"),
    ("srcip", "packets"),
    ("dstip", "bytes"),
    ("dstip", "bps"),
    ("srcip,dstip", "bytes"),
    ("srcip,dstip", "packets"),
    ("dstip,srcip", "flows"),
    ("srcport", "bytes"),
    ("dstport", "flows"),
    ("dstport", "pps"),
    ("srcport,dstport", "bytes"),
    ("proto,dstport", "bytes"),
    ("proto,dstport", "flows"),
    ("proto,srcport", "packets"),
    ("proto,srcip", "bytes"),
    ("proto,dstip", "bytes"),
    ("proto,srcip,dstip", "bytes"),
    ("proto,srcip,dstip", "flows"),
    ("proto,srcip,dstip,dstport", "bytes"),
    ("proto,srcip,srcport,dstip,dstport", "bytes"),
    ("srcip,dstport", "bytes"),
    ("srcip,dstport", "flows"),
    ("dstip,dstport", "bytes"),
    ("dstip,srcport", "bpp"),
    ("srcip4", "bytes"),
    ("dstip6", "bytes"),
    ("srcip4/24", "bytes"),
    ("srcip4/16", "flows"),
    ("srcip4/8,dstport", "bytes"),
    ("srcip4/24,dstip4/24", "bytes"),
    ("dstip4/16,proto", "packets"),
    ("srcip6/64", "bytes"),
    ("dstip6/48", "flows"),
    ("srcip6/32,dstip6/32", "bytes"),
    ("srcip4/24,srcip6/48", "bytes"),
    ("srcnet", "bytes"),
    ("dstnet", "flows"),
    ("srcnet,dstnet", "bytes"),
    ("tos", "bytes"),
    ("srctos", "flows"),
    ("dsttos", "flows"),
    ("srctos,dsttos", "bytes"),
    ("flags", "flows"),
    ("proto,flags", "bytes"),
    ("inif", "bytes"),
    ("outif", "flows"),
    ("inif,outif", "bytes"),
    ("inif,proto", "packets"),
    ("srcas", "bytes"),
    ("dstas", "flows"),
    ("srcas,dstas", "bytes"),
    ("srcas,dstas,inif", "bytes"),
    ("srcas,dstport", "packets"),
    ("nextas,prevas", "flows"),
    ("srcmask,dstmask", "bytes"),
    ("srcmask", "flows"),
    ("next", "bytes"),
    ("next,bgpnext", "flows"),
    ("router", "bytes"),
    ("router,inif", "flows"),
    ("insrcmac", "bytes"),
    ("outdstmac,indstmac", "flows"),
    ("outsrcmac", "packets"),
    ("srcvlan", "bytes"),
    ("srcvlan,dstvlan", "flows"),
    ("mpls1", "flows"),
    ("mpls1,mpls2", "bytes"),
    ("xsrcip", "bytes"),
    ("xsrcip,xsrcport", "flows"),
    ("xdstip,xdstport", "bytes"),
    ("odid,opid", "flows"),
    ("exp", "flows"),
    ("ethertype", "flows"),
    ("minttl,maxttl", "flows"),
];

/// Every order of `-O`.
const GROUP_ORDERS: [&str; 19] = [
    "flows", "packets", "ipackets", "opackets", "bytes", "ibytes", "obytes", "pps", "ipps", "opps", "bps",
    "ibps", "obps", "bpp", "ibpp", "obpp", "tstart", "tend", "duration",
];

/// Formats of `-o` that both may have.
const FORMATS: [&str; 18] = [
    "line",
    "long",
    "extended",
    "line6",
    "long6",
    "extended6",
    "biline",
    "bilong",
    "nsel",
    "nat",
    "gline",
    "glong",
    "raw",
    "csv",
    "csv-fast",
    "json",
    "ndjson",
    "null",
];

/// Every tag of `fmt:`.
const TAGS: &str = "\
    nfv cnt idt eng exp tfs ts tsr tsg te ter teg tr trr trg td tds pkt ipkt byt ibyt sp dp it ic pr \
    flg fwd tos stos bps pps bpp sa da sap dap gsap gdap gsa gda in out smk dmk dir dtos bfd end sn dn \
    inam onam opkt obyt fl svln dvln sas das nhb nh ra gra mpls1 mpls2 mpls3 mpls4 mpls5 mpls6 mpls7 \
    mpls8 mpls9 mpls10 mpls ismc odmc idmc osmc nas pas cl sl al tevt msec evt nfc xevt xsa xda xsap \
    xdap nsa nda nsap ndap xsp xdp nsp ndp iacl eacl uname pbstart pbend pbstep pbsize nbid nbnam ipl \
    opl odid opid vrf ivrf ivrfnam evrf evrfnam pfifn pfact pfrea pfdir pfrule flid isid osid nats ja3 \
    ja4 sni tls sc dc sloc dloc sasn dasn stor dtor lbl ttl minttl maxttl frag eth";

/// Sums of flows that count both directions differ: nfdump adds them up, flowdump keeps them
/// apart. One question of each kind is about all flows, the others are about these.
const ONE_WAY: &str = "not out packets > 0";
/// Rows of every kind.
const SOME: &str = "in if 12 and bytes < 400";
/// Rows of a statistic.
const TOP: usize = 25;
/// Groups of an aggregation.
const TOP_GROUPS: usize = 40;

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// As one would type it.
    pub(crate) name: String,
    pub(crate) shape: Shape,
    /// The order of a table in what one run prints.
    pub(crate) table: Option<&'static str>,
}

/// One run of each program, which answers one question or, a table each, several.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) nfdump: Vec<String>,
    pub(crate) flowdump: Vec<String>,
    pub(crate) questions: Vec<Question>,
    /// Asked only with `DIFFERENTIAL=all`.
    pub(crate) is_extra: bool,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn run(name: String, shape: Shape, args: &[&str]) -> Run {
    let args = words(args);
    Run {
        nfdump: args.clone(),
        flowdump: args,
        questions: vec![Question { name, shape, table: None }],
        is_extra: false,
    }
}

/// Every question, with what the programs know of orders.
pub(crate) fn runs(is_known: impl Fn(&str) -> [bool; 2]) -> Vec<Run> {
    let filters = FILTERS.iter().chain(&ODD_FILTERS).chain(&OWN_FILTERS);
    let mut runs: Vec<_> = filters
        .map(|filter| run(format!("'{filter}'"), Shape::Flows, &["-q", "-o", "fmt:%ts", filter]))
        .collect();
    statistics(&is_known, &mut runs);
    aggregates(&mut runs);
    rows(&mut runs);
    runs
}

/// One statistic by one order, the first `top` of it.
fn statistic(element: &str, order: &str, (top, filter): (usize, &str), note: &str) -> Run {
    let statistic = format!("{element}/{order}");
    let count = top.to_string();
    let args = ["-s", &statistic, "-o", format_of(element), "-N", "-6", "-n", &count, filter];
    run(format!("-s {statistic}{note}"), shape_of(element, order, top), &args)
}

/// A statistic of records shows rates only so.
fn format_of(element: &str) -> &'static str {
    if element == "record" { "extended" } else { "line" }
}

fn shape_of(element: &str, order: &str, top: usize) -> Shape {
    let order = order.split(':').next().unwrap();
    Shape::Statistic { rank: Rank::of_statistic(order, element == "record"), top }
}

fn statistics(is_known: &dyn Fn(&str) -> [bool; 2], runs: &mut Vec<Run>) {
    // What both know takes one run.
    let (both, others): (Vec<_>, Vec<_>) = ORDERS.into_iter().partition(|order| is_known(order) == [true; 2]);
    for element in ELEMENTS.split_whitespace() {
        let question = |order: &&'static str| Question {
            name: format!("-s {element}/{order}"),
            shape: shape_of(element, order, TOP),
            table: Some(order),
        };
        let all = statistic(element, &both.join("/"), (TOP, ONE_WAY), "");
        runs.push(Run { questions: both.iter().map(question).collect(), ..all });
        runs.extend(others.iter().map(|order| statistic(element, order, (TOP, ONE_WAY), "")));
        if COMPLETE.contains(&element) {
            runs.push(Run { is_extra: true, ..statistic(element, "flows", (0, ONE_WAY), " -n 0") });
        }
    }
    let others = OTHER_STATISTICS.iter();
    runs.extend(others.map(|(element, order)| statistic(element, order, (TOP, ONE_WAY), "")));
    let all = [("srcip", "bytes"), ("dstport", "packets"), ("proto", "bps"), ("as", "flows")]
        .into_iter()
        // Only with flows that carry it there is something to rank by.
        .chain([("srcip", "obyte"), ("dstport", "opkg"), ("proto", "ibyte")]);
    runs.extend(all.map(|(element, order)| statistic(element, order, (TOP, "any"), " any")));
}

/// The first groups of a key, or all.
fn aggregate(keys: &str, order: &str, (top, filter): (usize, &str), note: &str) -> Run {
    let shape = Shape::Groups { rank: Rank::of_groups(order), top };
    let count = top.to_string();
    let args = ["-A", keys, "-O", order, "-N", "-6", "-n", &count, filter];
    run(format!("-A {keys} -O {order}{note}"), shape, &args)
}

fn aggregates(runs: &mut Vec<Run>) {
    let top = TOP_GROUPS.to_string();
    runs.extend(AGGREGATES.map(|(keys, order)| aggregate(keys, order, (TOP_GROUPS, ONE_WAY), "")));
    for order in GROUP_ORDERS {
        let rank = match order {
            "tstart" | "tend" | "duration" => Rank::of_groups(order),
            _ => Rank::of_statistic(order, true),
        };
        let shape = Shape::Statistic { rank, top: TOP_GROUPS };
        let args = ["-O", order, "-N", "-6", "-n", &top, "-o", "extended", ONE_WAY];
        runs.push(run(format!("-a -O {order}"), shape, &[&["-a"], &args[..]].concat()));
        runs.push(run(format!("-O {order}"), shape, &[&["-q"], &args[..]].concat()));
        runs.extend(
            ["a", "d"].map(|direction| {
                aggregate("dstip", &format!("{order}:{direction}"), (TOP_GROUPS, ONE_WAY), "")
            }),
        );
    }
    for keys in ["proto,dstport", "srcas,dstas", "inif,outif"] {
        let all = aggregate(keys, "flows", (0, "any"), " any");
        let one_way = aggregate(keys, "flows", (0, ONE_WAY), " -n 0");
        runs.extend([all, one_way].map(|run| Run { is_extra: true, ..run }));
    }
}

fn rows(runs: &mut Vec<Run>) {
    for format in FORMATS {
        let shape = match format {
            "raw" => Shape::Raw,
            "json" | "ndjson" => Shape::Json,
            "csv" | "csv-fast" => Shape::Csv,
            _ => Shape::Lines,
        };
        for (note, options) in [("", &[][..]), (" -N", &["-N"]), (" -6", &["-6"])] {
            // With `-q` the CSV of nfdump 1.7.1 has no header to go by.
            let quiet: &[&str] = if format.starts_with("csv") { &[] } else { &["-q"] };
            let args = [quiet, &["-o", format], options, &[SOME]].concat();
            runs.push(run(format!("-o {format}{note}"), shape, &args));
        }
        let args = ["-o", format, "proto icmp6 and in if 12 and not out packets > 0"];
        runs.push(run(format!("-o {format} with its head"), shape, &args));
    }
    for tag in TAGS.split_whitespace() {
        let format = format!("fmt:%ts | %{tag}");
        let asked = run(format!("%{tag}"), Shape::Lines, &["-q", "-o", &format, "-6", SOME]);
        let plain = run(format!("%{tag} -N"), Shape::Lines, &["-q", "-o", &format, "-6", "-N", SOME]);
        runs.extend([asked, Run { is_extra: true, ..plain }]);
    }
    for (name, format) in [("text between", "fmt:%sa;%da,%pr [%ts]"), ("unknown tag", "fmt:%ts %foo")] {
        runs.push(run(format!("fmt: {name}"), Shape::Lines, &["-q", "-6", "-o", format, SOME]));
    }
}
