//! Words for the numbers of a column.

use flow_common::column::ColumnId;

/// A word and the numbers it stands for, both ends included.
pub(crate) type Meaning = (&'static str, (i64, i64));

const fn one(word: &'static str, number: i64) -> Meaning {
    (word, (number, number))
}

/// Words for the numbers of a column; the first of a number is the one shown.
pub(crate) fn words(column: ColumnId) -> &'static [Meaning] {
    match column {
        ColumnId::Direction => &const { [one("ingress", 0), one("egress", 1), one("in", 0), one("out", 1)] },
        ColumnId::BiflowDirection => {
            &const { [one("arbitrary", 0), one("initiator", 1), one("reverse", 2), one("perimeter", 3)] }
        }
        ColumnId::EndReason => {
            &const { [one("idle", 1), one("active", 2), one("end", 3), one("forced", 4), one("resources", 5)] }
        }
        ColumnId::FirewallEvent => &FIREWALL_EVENTS,
        ColumnId::FirewallExtEvent => &FIREWALL_EXT_EVENTS,
        ColumnId::NatEvent => &NAT_EVENTS,
        ColumnId::ForwardingStatus => &FORWARDING_STATUSES,
        ColumnId::EtherType => &ETHER_TYPES,
        ColumnId::ExportVersion => {
            &const { [one("v1", 1), one("v5", 5), one("v7", 7), one("v9", 9), one("ipfix", 10), one("sflow", 105)] }
        }
        ColumnId::Contributes => &const { [one("event", 0), one("flow", 1)] },
        _ => &[],
    }
}

static FIREWALL_EVENTS: [Meaning; 8] = [
    one("ignore", 0),
    one("create", 1),
    one("delete", 2),
    one("teardown", 2),
    one("denied", 3),
    one("deny", 3),
    one("alert", 4),
    one("update", 5),
];

/// Cisco's extended events of denied flows, as nfdump calls them.
static FIREWALL_EXT_EVENTS: [Meaning; 6] = [
    one("ignore", 0),
    one("ingress", 1001),
    one("egress", 1002),
    one("interface", 1003),
    one("access", 1003),
    one("nosyn", 1004),
];

/// RFC 8158 §4.3, abbreviated as nfdump does.
static NAT_EVENTS: [Meaning; 20] = [
    one("invalid", 0),
    one("add", 1),
    one("create", 1),
    one("delete", 2),
    one("exhaust", 3),
    one("add44", 4),
    one("del44", 5),
    one("add64", 6),
    one("del64", 7),
    one("add44bib", 8),
    one("del44bib", 9),
    one("add64bib", 10),
    one("del64bib", 11),
    one("pexhaust", 12),
    one("quotaexh", 13),
    one("addaddr", 14),
    one("deladdr", 15),
    one("addpblk", 16),
    one("delpblk", 17),
    one("threshld", 18),
];

/// nfdump's words, each one number, then the four classes of RFC 7270 §4.12, which what
/// exporters send falls into.
static FORWARDING_STATUSES: [Meaning; 27] = [
    one("ukwn", 0),
    one("forw", 1),
    one("frag", 2),
    one("drop", 16),
    one("dacld", 17),
    one("daclp", 18),
    one("noroute", 19),
    one("dadj", 20),
    one("dfrag", 21),
    one("dbadh", 22),
    one("dbadtlen", 23),
    one("dbadhlen", 24),
    one("dbadttl", 25),
    one("dpolicy", 26),
    one("dwred", 27),
    one("drpf", 28),
    one("dforus", 29),
    one("dbadof", 30),
    one("dhw", 31),
    one("term", 128),
    one("tadj", 129),
    one("tincadj", 130),
    one("tforus", 131),
    ("unknown", (0, 63)),
    ("forwarded", (64, 127)),
    ("dropped", (128, 191)),
    ("consumed", (192, 255)),
];

static ETHER_TYPES: [Meaning; 8] = [
    one("ipv4", 0x0800),
    one("arp", 0x0806),
    one("vlan", 0x8100),
    one("ipv6", 0x86dd),
    one("mpls", 0x8847),
    one("pppoe", 0x8864),
    one("qinq", 0x88a8),
    one("lldp", 0x88cc),
];

/// Differentiated services (RFC 2474 §3, RFC 2597 §6, RFC 3246 §2.7, RFC 5865 §2, RFC 8622 §4).
pub(crate) static DSCP: [Meaning; 24] = [
    one("be", 0),
    one("df", 0),
    one("le", 1),
    one("cs0", 0),
    one("cs1", 8),
    one("af11", 10),
    one("af12", 12),
    one("af13", 14),
    one("cs2", 16),
    one("af21", 18),
    one("af22", 20),
    one("af23", 22),
    one("cs3", 24),
    one("af31", 26),
    one("af32", 28),
    one("af33", 30),
    one("cs4", 32),
    one("af41", 34),
    one("af42", 36),
    one("af43", 38),
    one("cs5", 40),
    one("ef", 46),
    one("cs6", 48),
    one("cs7", 56),
];

/// Explicit congestion notification (RFC 3168 §5).
pub(crate) static ECN: [Meaning; 4] = [one("not-ect", 0), one("ect1", 1), one("ect0", 2), one("ce", 3)];

/// Ports people mean by a name, for hints: files know numbers.
pub(crate) static SERVICES: [(&str, u16); 24] = [
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("dns", 53),
    ("dhcp", 67),
    ("tftp", 69),
    ("http", 80),
    ("www", 80),
    ("pop3", 110),
    ("ntp", 123),
    ("imap", 143),
    ("snmp", 161),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("smb", 445),
    ("syslog", 514),
    ("ldaps", 636),
    ("imaps", 993),
    ("mssql", 1433),
    ("mysql", 3306),
    ("rdp", 3389),
];
