//! Where the programs answer differently, and why that shall be.

use std::collections::BTreeSet;

use crate::flows::{Layout, N_FLOWS, Record};
use crate::normal::time_text;
use crate::truth::{IsMeant, Made};

/// A row.
type Cells = Vec<String>;

/// What shows that flowdump is right.
pub(crate) enum Proof {
    /// The filter selects these flows of those that were made.
    Flows(IsMeant),
    /// The groups are those the flows add up to, and the first in order.
    Groups,
    /// Row by row the answers differ only so: nfdump's cells and ours.
    Rows(fn(&[String], &[String]) -> bool),
    /// As [`Proof::Rows`], with the flow a row is about.
    Made(fn(&Made, &[String], &[String]) -> bool),
    /// The answers as wholes differ only so.
    Tables(fn(&[Cells], &[Cells]) -> bool),
    /// All flows are equal in what they are ranked by, so any of those that were made may come
    /// first; each row is one, or the flows of a 5-tuple.
    Any,
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
        &["'geo CH'", "'* geo *", "-s srcgeo/*", "-s dstgeo/*", "-s geo/*"],
        "where an address is says a database that `-G` names; nfdump answers without one, by no country",
        Proof::Refused("needs a database of places"),
    ),
    differ(
        &["-s ja3/*"],
        "flowcapd stores no payload that a fingerprint could be made of",
        Proof::Refused("nfdump's `-s ja3` has no counterpart here"),
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
            "-s srcmac/*",
            "-s dstmac/*",
            "-s inmac/*",
            "-s outmac/*",
        ],
        "flows that have none are no group; nfdump, which has no NULL, counts them as 0",
        Proof::Groups,
    ),
    differ(
        &["-s mpls*/*", "-A mpls1*"],
        "an entry of the stack with its class, as in 1.7.8, and where there is none no group, or `-`; 1.7.1 leaves \
         the class out, and has 0 for none",
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
        &["-s record/o*", "-O o*", "-a -O o*"],
        "nobody counted the other direction, so that all are equal; 1.7.1 ranks by the flow's own",
        Proof::Any,
    ),
    differ(
        &["-A dstip -O o*"],
        "nobody counted the other direction, so that all are equal; 1.7.1 ranks by the flow's own",
        Proof::Groups,
    ),
    differ(
        &["-A srcnet*", "-A dstnet*"],
        "networks of other lengths are others; 1.7.1 forgets the length, and prints `/0`",
        Proof::Groups,
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
        Proof::Made(|made, _, ours| {
            let received = time_text(made.received_ms);
            let secs = format!("{}.{:03}", made.received_ms / 1_000, made.received_ms % 1_000);
            let cell = ours.get(3..).unwrap_or_default().join(" ");
            cell == received || cell == secs
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
        Proof::Made(|made, theirs, ours| {
            is_cell(theirs, "0x000000000") && is_cell(ours, &format!("{:#011x}", made.record.exporter + 1))
        }),
    ),
    differ(
        &["%tevt*"],
        "no time is `0000-00-00`, as in 1.7.8, not 1970",
        Proof::Rows(|theirs, ours| {
            theirs[3..] == ["1970-01-01", "00:00:00.000"] && ours[3..] == ["0000-00-00", "00:00:00.000"]
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
        Proof::Tables(is_numbered_anew),
    ),
    differ(
        &["%eng*"],
        "nfcapd makes an engine of the source id of v9; nobody sent one",
        Proof::Made(|made, theirs, ours| {
            let domain = made.record.exporter + 1;
            is_cell(theirs, &format!("0/{domain}")) && is_cell(ours, "0/0") && made.record.is_v9()
        }),
    ),
    differ(
        &["%exp*"],
        "nfcapd numbers exporters as they come; here nothing does",
        Proof::Made(|made, theirs, ours| {
            is_cell(theirs, &(made.record.exporter + 1).to_string()) && is_cell(ours, "0")
        }),
    ),
    differ(
        &["%evt*", "%xevt*"],
        "no event is `<no-evt>`, with `-N` 0, as in 1.7.8; 1.7.1 has words for it, also with `-N`",
        Proof::Rows(|theirs, ours| {
            (is_cell(theirs, "INVALID") || is_cell(theirs, "Ignore"))
                && (is_cell(ours, "<no-evt>") || is_cell(ours, "0"))
        }),
    ),
    differ(
        &["%sni*"],
        "no name is 0, as in 1.7.8; 1.7.1 leaves the place empty",
        Proof::Rows(|theirs, ours| theirs.len() == 3 && theirs[..3] == ours[..3] && is_cell(ours, "0")),
    ),
    differ(
        &["%ter*"],
        "1.7.1 prints other milliseconds than in `%te` of the same flow, which both print alike",
        Proof::Made(|made, theirs, ours| {
            let (secs, millis) = (made.record.end_ms / 1_000, made.record.end_ms % 1_000);
            let has_secs = |cell: &String| cell.split('.').next() == Some(&*secs.to_string());
            is_cell(ours, &format!("{secs}.{millis:03}")) && theirs.last().is_some_and(has_secs)
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
        Proof::Rows(|theirs, ours| {
            const WORDS: [&str; 3] = ["<no payload>", "no ja3", "<no location info>"];
            let is_word = WORDS.contains(&&*ours.get(3..).unwrap_or_default().join(" "));
            is_word && (theirs.len() == 3 || theirs[3] == "DNS:")
        }),
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
        Proof::Tables(is_nsel_but_for_events),
    ),
];

fn is_cell(cells: &[String], text: &str) -> bool {
    cells.last().is_some_and(|cell| cell == text)
}

/// The same rows, theirs by numbers of what was read, ours from 1 on.
fn is_numbered_anew(theirs: &[Cells], ours: &[Cells]) -> bool {
    let parts = |rows: &[Cells]| {
        let number = |row: &Cells| row.last().and_then(|cell| cell.parse::<usize>().ok());
        let numbers: BTreeSet<_> = rows.iter().filter_map(number).collect();
        let rest: Vec<_> = rows.iter().map(|row| row[..3].to_vec()).collect();
        (numbers, rest)
    };
    let ((theirs, their_rest), (ours, rest)) = (parts(theirs), parts(ours));
    their_rest == rest
        && ours == (1..=rest.len()).collect()
        && theirs.len() == rest.len()
        && theirs.last().is_some_and(|last| *last <= N_FLOWS)
}

/// The same rows but for the time and what is no event; an address after translation that is not
/// there is `-`, to nfdump 0.0.0.0.
fn is_nsel_but_for_events(theirs: &[Cells], ours: &[Cells]) -> bool {
    let rest = |rows: &[Cells], is_theirs: bool| {
        let cell = |cell: &String| {
            let nothing: &[&str] = if is_theirs { &["0.0.0.0:"] } else { &["-:", "-."] };
            let port = nothing.iter().find_map(|nothing| cell.strip_prefix(nothing));
            port.map_or_else(|| cell.clone(), |port| format!("nothing {port}"))
        };
        let row = |row: &Cells| {
            let (front, rest) = row.split_at(row.len().min(4));
            let front: Vec<_> = front.iter().map(String::as_str).collect();
            let is_known = match (&front[..], is_theirs) {
                (["1970-01-01", "00:00:00.000", "INVALID", "Ignore"], true)
                | (["Event", "time", "Event", "XEvent"], true)
                | ([_, _, "<no-evt>", "<no-evt>"] | [_, _, "0", "0"], false) => true,
                // One word more.
                (["Date", "first", "seen", "Event"], false) => {
                    return (rest.first().is_some_and(|cell| cell == "XEvent"), rest[1..].to_vec());
                }
                _ => front.first().is_some_and(|word| *word == "Summary:"),
            };
            (is_known, rest.iter().map(cell).collect())
        };
        let mut rows: Vec<_> = rows.iter().map(row).collect();
        rows.sort();
        rows
    };
    let (theirs, ours) = (rest(theirs, true), rest(ours, false));
    theirs == ours && ours.iter().all(|(is_known, _)| *is_known)
}

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
pub(crate) static NOT_YET: &[(&str, &str)] = &[];

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
