//! Where the programs answer differently, and why that shall be.

use crate::flows::{Layout, Record};
use crate::truth::IsMeant;

/// What shows that flowdump is right.
pub(crate) enum Proof {
    /// The filter selects these flows of those that were made.
    Flows(IsMeant),
    /// The groups are those the flows add up to, and the first in order.
    Groups,
    /// Row by row the answers differ only so: nfdump's cells and ours.
    Rows(fn(&[String], &[String]) -> bool),
    /// Rows are in order, and rank no lower than nfdump's.
    Ranks,
    /// It refuses, and says so in these words.
    Refused(&'static str),
}

/// A difference, and all questions it is about.
pub(crate) struct Difference {
    /// Names of questions; `*` stands for any text. Each must be needed.
    pub(crate) questions: &'static [&'static str],
    pub(crate) reason: &'static str,
    pub(crate) proof: Proof,
}

const fn differ(questions: &'static [&'static str], reason: &'static str, proof: Proof) -> Difference {
    Difference { questions, reason, proof }
}

/// All that is deliberate.
pub(crate) static DIFFERENCES: &[Difference] = &[
    // Filters.
    differ(
        &["'ident *", "'( ident *"],
        "an ident is told of files, not of flows: `-r` names their directory",
        Proof::Refused("nfdump's `ident` has no counterpart here"),
    ),
    differ(
        &["'count > 100'", "'cnt > 5'"],
        "records have no number in a tree of files that threads read side by side",
        Proof::Refused("has no counterpart here"),
    ),
    differ(
        &["'exporter id 1'", "'exporter sysid > 0'"],
        "nfcapd numbers exporters as they come; flowcapd knows them by address and domain",
        Proof::Refused("has no counterpart here"),
    ),
    differ(
        &["'geo CH'", "'* geo *"],
        "flows are stored without places",
        Proof::Refused("nfdump's `geo` has no counterpart here"),
    ),
    differ(
        &["'pf *"],
        "the log of OpenBSD's packet filter is no export",
        Proof::Refused("nfdump's `pf` has no counterpart here"),
    ),
    differ(
        &["'mpls any 1010'"],
        "1.7.1 finds only the label at the bottom of the stack",
        Proof::Flows(|flow| {
            flow.layout == Layout::Mpls && flow.labels.iter().any(|entry| entry >> 4 == 1_010)
        }),
    ),
    differ(
        &["'payload *", "'in payload *", "'out payload *"],
        "flowcapd stores no payload",
        Proof::Refused("nfdump's `payload` has no counterpart here"),
    ),
    differ(
        &["'flags S and not flags AFRPU'"],
        "letters mean all of these flags, also after `not`, as in 1.7.8; 1.7.1 takes `not` for none of them",
        Proof::Flows(|flow| flow.tcp_flags & 0x02 != 0 && flow.tcp_flags & 0x3d != 0x3d),
    ),
    differ(
        &["'out bytes < 10G'"],
        "what is not there is less than nothing; 1.7.1 takes it for 0, 1.7.8 no longer does",
        Proof::Flows(|flow| flow.layout == Layout::Biflow),
    ),
    differ(
        &["'engine-type 0'", "'asa event ignore'"],
        "nobody sent one; 1.7.1 takes what is not there for 0",
        Proof::Flows(|_| false),
    ),
    differ(
        &["'ip 0.0.0.1'"],
        "nfdump looks at the low 32 bits only and takes ::1 for 0.0.0.1",
        Proof::Flows(|flow| has(flow, "0.0.0.1")),
    ),
    differ(
        &["'dst ip 10.0.0.5 or src ip ::1'"],
        "nfdump looks at the low 32 bits only and takes ::1 for 0.0.0.1",
        Proof::Flows(|flow| flow.dst_addr.to_string() == "10.0.0.5" || flow.src_addr.to_string() == "::1"),
    ),
    differ(
        &["'net 0.0.0.0/0'"],
        "addresses of IPv4 are those; nfdump takes ::1 for one of them",
        Proof::Flows(|flow| !flow.is_ipv6()),
    ),
    differ(
        &["'net ::/0'"],
        "addresses of IPv6 are those; nfdump takes ::/0 for all of IPv4",
        Proof::Flows(|flow| flow.is_ipv6()),
    ),
    differ(
        &["'src ip tor'", "'ip tor'"],
        "flows are stored without a list of exit nodes; `ip in [@include FILE]` takes any list",
        Proof::Refused("`tor` is not an address"),
    ),
    differ(
        &["'mac 00:11:22:33:44:55:66'"],
        "seven octets are no MAC address; nfdump leaves the last out",
        Proof::Refused("is not a MAC address"),
    ),
    // Statistics.
    differ(
        &["-s port/*", "-s port:p/*", "-s mask/*"],
        "a flow with one value on both sides counts once; nfdump counts it twice, so that more than all is shown",
        Proof::Groups,
    ),
    differ(
        &["-s tos/*", "-s tos:p/*"],
        "`tos` is either side, as `port` is; to nfdump it is the source's",
        Proof::Groups,
    ),
    differ(
        &["-s srcip/flows -n 0", "-s ip/flows -n 0"],
        "nfdump looks at the low 32 bits only and takes ::1 for 0.0.0.1",
        Proof::Groups,
    ),
    differ(
        &[
            "-s al/*",
            "-s cl/*",
            "-s sl/*",
            "-s eacl/*",
            "-s iacl/*",
            "-s event/*",
            "-s xevent/*",
            "-s evrf/*",
            "-s ivrf/*",
            "-s nbar/*",
            "-s nextas/*",
            "-s prevas/*",
            "-s opid/*",
            "-s srcvlan/*",
            "-s dstvlan/*",
            "-s vlan/*",
            "-s insrcmac/*",
            "-s outdstmac/*",
            "-s indstmac/*",
            "-s outsrcmac/*",
        ],
        "flows that have none are no group; nfdump, which has no NULL, counts them as 0",
        Proof::Groups,
    ),
    differ(&["-s odid/*"], "nfcapd 1.7.1 does not store the observation domain of a message", Proof::Groups),
    differ(
        &["-s srcip/bytes:a", "-s dstport/flows:a"],
        "`:a` is ascending, as in 1.7.8; 1.7.1 takes it and ignores it",
        Proof::Groups,
    ),
    differ(
        &["-s srcip/bytes any", "-s dstport/packets any", "-s proto/bps any"],
        "sums are of packets and octets of the flow; nfdump adds those of the other direction",
        Proof::Groups,
    ),
    differ(
        &["-s record/bps", "-O bps", "-a -O bps", "-s record/ibps", "-O ibps", "-a -O ibps"],
        "1.7.1 ranks records by something else than the rate it prints",
        Proof::Ranks,
    ),
    differ(
        &["-s srcip/obyte any", "-s dstport/opkg any"],
        "shares of the other direction are of its own sum; nfdump's are of both",
        Proof::Groups,
    ),
    differ(
        &["-s record/o*", "-O o*", "-a -O o*", "-A dstip -O o*"],
        "nobody counted the other direction, so that all are equal; 1.7.1 ranks by the flow's own",
        Proof::Rows(|theirs, ours| theirs.len() == ours.len()),
    ),
    // Aggregations.
    differ(
        &["-A dstip -O bps", "-A dstip -O bps:a", "-A dstip -O bps:d", "-A dstip -O ibps*"],
        "1.7.1 ranks groups by something else than the rate it prints",
        Proof::Groups,
    ),
    differ(
        &[
            "-A proto,dstport -O *",
            "-A proto,srcip,dstip,dstport -O bytes",
            "-A proto,srcip,srcport,dstip,dstport -O bytes",
        ],
        "the destination port of ICMP is its type and code; 1.7.1 groups by them and then prints 0.0",
        Proof::Groups,
    ),
    differ(
        &["-A srcip4/*", "-A dstip4/16,proto -O packets", "-A srcip6/*", "-A dstip6/48 -O flows"],
        "a mask of one family leaves the other out, in one group without address; 1.7.1 masks the last 32 bits of IPv6",
        Proof::Groups,
    ),
    differ(
        &[
            "-A nextas,prevas -O flows",
            "-A insrcmac -O bytes",
            "-A outdstmac,indstmac -O flows",
            "-A outsrcmac -O packets",
            "-A srcvlan -O bytes",
            "-A srcvlan,dstvlan -O flows",
            "-A xsrcip -O bytes",
            "-A xsrcip,xsrcport -O flows",
            "-A xdstip,xdstport -O bytes",
        ],
        "what is not there is `-`; nfdump, which has no NULL, groups it with 0",
        Proof::Groups,
    ),
    differ(
        &["-A odid,opid -O flows"],
        "nfcapd 1.7.1 does not store the observation domain of a message",
        Proof::Groups,
    ),
    differ(
        &[
            "-A srcas,dstas -O flows any",
            "-A srcas,dstas -O flows -n 0",
            "-s dstip/flows -n 0",
            "-s dstport/flows -n 0",
        ],
        "rates are exact; nfdump computes them in floating point and may lose the last unit",
        Proof::Groups,
    ),
    // Rows.
    differ(
        &["-o extended*", "%bps*"],
        "rates are exact; nfdump computes them in floating point and may lose the last unit",
        Proof::Rows(one_less),
    ),
    differ(
        &["%tr*"],
        "the datagrams reached nfcapd at another time: ours is that of the capture",
        Proof::Rows(|_, ours| {
            ours.last().is_some_and(|time| time.starts_with("12:") || time.starts_with("179526"))
        }),
    ),
    differ(
        &[
            "%inam*",
            "%onam*",
            "%ismc*",
            "%odmc*",
            "%idmc*",
            "%osmc*",
            "%xsa",
            "%xsa -N",
            "%xda",
            "%xda -N",
            "%nsa",
            "%nsa -N",
            "%nda",
            "%nda -N",
            "%iacl*",
            "%eacl*",
            "%uname*",
            "%nbnam*",
            "%ivrfnam*",
            "%evrfnam*",
        ],
        "what is not there is `-`; nfdump, which has no NULL, has a word for each",
        Proof::Rows(is_dash_for_nothing),
    ),
    differ(
        &["%odid*"],
        "nfcapd 1.7.1 does not store the observation domain of a message, and prints zeros in hex",
        Proof::Rows(|theirs, _| theirs.last().is_some_and(|cell| cell.starts_with("0x000"))),
    ),
    differ(
        &["%tevt*"],
        "no time is `0000-00-00`, as in 1.7.8, not 1970",
        Proof::Rows(|theirs, ours| {
            theirs.contains(&"1970-01-01".to_owned()) && ours.contains(&"0000-00-00".to_owned())
        }),
    ),
    differ(
        &["-o raw*"],
        "1.7.1 shows the source's type of service as the destination's",
        Proof::Rows(is_raw_but_for_tos),
    ),
    differ(
        &["%cnt*"],
        "rows are numbered as they are shown; nfdump numbers what it read",
        Proof::Rows(|theirs, ours| theirs[..3] == ours[..3]),
    ),
    differ(
        &["%eng*", "%exp*"],
        "nfcapd makes an engine of the source id and numbers exporters as they come; nobody sent either",
        Proof::Rows(|_, ours| ours.last().is_some_and(|cell| cell == "0/0" || cell == "0")),
    ),
    differ(
        &["%ter*"],
        "1.7.1 prints other milliseconds than in `%te` of the same flow, which both print alike",
        Proof::Rows(|theirs, ours| {
            let secs =
                |cells: &[String]| cells.last().and_then(|cell| cell.split('.').next().map(str::to_owned));
            secs(theirs) == secs(ours)
        }),
    ),
    differ(
        &["%xsap*", "%xdap*", "%nsap*", "%ndap*"],
        "what is not there is `-`; nfdump, which has no NULL, has 0.0.0.0",
        Proof::Rows(|theirs, ours| {
            let cell = |cells: &[String]| cells.last().cloned().unwrap_or_default();
            let port = |cell: String| cell.rsplit([':', '.']).next().map(str::to_owned);
            cell(ours).starts_with('-') && (cell(ours) == "-" || port(cell(theirs)) == port(cell(ours)))
        }),
    ),
    differ(
        &["%ipl*", "%opl*", "%ja3*", "%sloc*", "%dloc*"],
        "what is not there has a word, as in 1.7.8; 1.7.1 leaves the place empty",
        Proof::Rows(|theirs, ours| ours.len() > 3 && (theirs.len() == 3 || theirs[3] == "DNS:")),
    ),
    differ(
        &["%mpls10*"],
        "1.7.1 reads `%mpls1` and a zero",
        Proof::Rows(|theirs, ours| {
            theirs.last().is_some_and(|cell| cell.ends_with('0'))
                && ours.last().is_some_and(|cell| cell == "0-0-0")
        }),
    ),
    differ(
        &["-o nsel*"],
        "the time is the flow's, and no event is `<no-evt>`, as in 1.7.8; 1.7.1 says 1970, INVALID and Ignore",
        Proof::Rows(|theirs, _| theirs.first().is_some_and(|cell| cell == "1970-01-01" || cell == "Event")),
    ),
];

fn is_raw_but_for_tos(theirs: &[String], ours: &[String]) -> bool {
    let is_tos = |cell: &&String| cell.contains(" tos=");
    let cell = |cells: &[String], name: &str| {
        cells.iter().find_map(|cell| cell.strip_prefix(name)).map(str::to_owned)
    };
    theirs.iter().filter(|cell| !is_tos(cell)).eq(ours.iter().filter(|cell| !is_tos(cell)))
        && cell(theirs, "dst tos=") == cell(ours, "src tos=")
}

fn has(flow: &Record, addr: &str) -> bool {
    [flow.src_addr, flow.dst_addr].iter().any(|side| side.to_string() == addr)
}

/// Numbers of nfdump may be one too small.
fn one_less(theirs: &[String], ours: &[String]) -> bool {
    let is_close = |(theirs, ours): (&String, &String)| {
        let number = |cell: &str| cell.parse::<u64>().ok();
        theirs == ours || number(theirs).zip(number(ours)).is_some_and(|(theirs, ours)| theirs + 1 == ours)
    };
    theirs.len() == ours.len() && theirs.iter().zip(ours).all(is_close)
}

/// Behind the time of the flow ours has one dash, and nfdump a value that is none.
fn is_dash_for_nothing(theirs: &[String], ours: &[String]) -> bool {
    const NOTHING: [&str; 9] =
        ["", "0.0.0.0", "::", "00:00:00:00:00:00", "0x0 0x0 0x0", "0 0 0", "<empty>", "<no info>", "<none>"];
    let value = |cells: &[String]| cells.get(3..).unwrap_or_default().join(" ");
    value(ours) == "-" && NOTHING.contains(&&*value(theirs))
}

/// In place of an error: it is answered, but not as nfdump does.
pub(crate) const OTHERWISE: &str = "(answers otherwise)";

/// What flowdump does not know yet: a question (`*` for any text) and the beginning of what it
/// says instead. One that is known fails the test: then its entry is to be deleted.
pub(crate) static NOT_YET: &[(&str, &str)] = &[
    // Statistics: values, then orders.
    ("-s srcgeo/*", "error: unknown statistic `srcgeo`"),
    ("-s dstgeo/*", "error: unknown statistic `dstgeo`"),
    ("-s geo/*", "error: unknown statistic `geo`"),
    ("-s srcasn/*", "error: unknown statistic `srcasn`"),
    ("-s dstasn/*", "error: unknown statistic `dstasn`"),
    ("-s asn/*", "error: unknown statistic `asn`"),
    ("-s tunproto/*", "error: unknown statistic `tunproto`"),
    ("-s srcmac/*", "error: unknown statistic `srcmac`"),
    ("-s dstmac/*", "error: unknown statistic `dstmac`"),
    ("-s inmac/*", "error: unknown statistic `inmac`"),
    ("-s outmac/*", "error: unknown statistic `outmac`"),
    ("-s mac/*", "error: unknown statistic `mac`"),
    ("-s mpls1/*", "error: unknown statistic `mpls1`"),
    ("-s mpls2/*", "error: unknown statistic `mpls2`"),
    ("-s mpls3/*", "error: unknown statistic `mpls3`"),
    ("-s mpls4/*", "error: unknown statistic `mpls4`"),
    ("-s mpls5/*", "error: unknown statistic `mpls5`"),
    ("-s mpls6/*", "error: unknown statistic `mpls6`"),
    ("-s mpls7/*", "error: unknown statistic `mpls7`"),
    ("-s mpls8/*", "error: unknown statistic `mpls8`"),
    ("-s mpls9/*", "error: unknown statistic `mpls9`"),
    ("-s mpls10/*", "error: unknown statistic `mpls10`"),
    ("-s ja3/*", "error: unknown statistic `ja3`"),
    ("-s ja4/*", "error: unknown statistic `ja4`"),
    // Aggregations.
    ("-A *net -O *", "error: unknown key `"),
    ("-A exp -O flows", "error: unknown key `exp`"),
    ("-A tos -O bytes", "error: unknown key `tos`"),
    ("-A mpls1*", "error: unknown key `mpls1`"),
    // Formats.
    // Tags.
    // It prints 0.
    ("%sni*", OTHERWISE),
    ("%evt*", OTHERWISE),
    ("%xevt*", OTHERWISE),
];

/// Whether a name fits a pattern.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let check = |pattern, name, expected| assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        check("-s ip/*", "-s ip/flows", true);
        check("-s ip/*", "-s ip", false);
        check("-s ip/flows", "-s ip/flows -n 0", false);
        check("-A *net -O *", "-A srcnet,dstnet -O bytes", true);
        check("-A *net -O *", "-A srcnet,proto -O bytes", false);
        check("*", "", true);
        check("", "any", false);
    }
}
