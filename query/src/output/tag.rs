//! THE table of tags: what `fmt:`, `csv:` and `md:` can print of a row. Words, titles,
//! widths and sides are nfdump's; the last few it does not have.

use flow_common::column::{COLUMNS, Column, ColumnId as Id, Kind, by_name};

use super::text::{ADDRESS_WIDTH, ADDRESS_WIDTH_FULL};
use super::value::{Clock, Geo, Rate, Side, Value, When};
use crate::message::nearest;
use crate::names::NAME_COLUMNS;

/// A tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    /// The word behind `%`.
    pub(crate) word: &'static str,
    pub(crate) title: &'static str,
    /// Characters it is wide at least, where no IPv6 address is shown in full.
    width: usize,
    pub(super) align: Align,
    pub(super) value: Value,
    /// Its name for programs, where that is not its column's.
    own_key: &'static str,
}

/// Where text stands in its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
    /// The title left, the value right.
    Apart,
}

const fn right(word: &'static str, title: &'static str, width: usize, value: Value) -> Tag {
    Tag { word, title, width, align: Align::Right, value, own_key: "" }
}

const fn left(word: &'static str, title: &'static str, width: usize, value: Value) -> Tag {
    Tag { align: Align::Left, ..right(word, title, width, value) }
}

const fn apart(word: &'static str, title: &'static str, width: usize, value: Value) -> Tag {
    Tag { align: Align::Apart, ..right(word, title, width, value) }
}

/// As above, for a value that is no column: with its name for programs.
const fn keyed(tag: Tag, own_key: &'static str) -> Tag {
    Tag { own_key, ..tag }
}

const fn column(word: &'static str, title: &'static str, width: usize, id: Id) -> Tag {
    right(word, title, width, Value::Column(id))
}

const fn addr(word: &'static str, title: &'static str, id: Id) -> Tag {
    column(word, title, ADDRESS_WIDTH, id)
}

const fn time(word: &'static str, title: &'static str, when: When, clock: Clock) -> Tag {
    left(word, title, if matches!(clock, Clock::Secs) { 14 } else { 23 }, Value::Time(when, clock))
}

/// `addr:port`, a blank behind it.
const fn endpoint(word: &'static str, title: &'static str, side: Side) -> Tag {
    right(word, title, ADDRESS_WIDTH + 6, Value::Endpoint(side, None))
}

/// `addr(country):port`, a blank behind it.
const fn geo_endpoint(word: &'static str, title: &'static str, side: Side) -> Tag {
    right(word, title, ADDRESS_WIDTH + 10, Value::Endpoint(side, Some(Geo::Country)))
}

/// `addr(country)`.
const fn geo_addr(word: &'static str, title: &'static str, id: Id) -> Tag {
    right(word, title, ADDRESS_WIDTH + 4, Value::AddrCountry(id))
}

const fn mpls(word: &'static str, title: &'static str, n: u8) -> Tag {
    keyed(right(word, title, 12, Value::Label(n)), word)
}

/// What no column has: nfdump's text for what it does not know.
const fn unknown(word: &'static str, title: &'static str, width: usize, text: &'static str) -> Tag {
    keyed(right(word, title, width, Value::Unknown(text)), word)
}

const fn geo(
    word: &'static str,
    title: &'static str,
    width: usize,
    side: Side,
    geo: Geo,
    key: &'static str,
) -> Tag {
    keyed(apart(word, title, width, Value::Geo(side, geo)), key)
}

#[rustfmt::skip]
pub(super) static TAGS: [Tag; 149] = [
    right("nfv", "Ver", 3, Value::Version),
    keyed(right("cnt", "Count", 5, Value::Number), "count"),
    keyed(left("idt", "Ident", 12, Value::Ident), "ident"),
    keyed(right("eng", "engine", 7, Value::Engine), "engine"),
    unknown("exp", "Exp ID", 6, "0"),
    time("tfs", "Date first seen", When::First, Clock::Zone),
    time("ts", "Date first seen", When::First, Clock::Zone),
    keyed(time("tsr", "First seen raw", When::First, Clock::Secs), "flow_start_secs"),
    keyed(time("tsg", "First seen GMT", When::First, Clock::Utc), "flow_start_utc"),
    time("te", "Date last seen", When::Last, Clock::Zone),
    keyed(time("ter", "Last seen raw", When::Last, Clock::Secs), "flow_end_secs"),
    keyed(time("teg", "Last seen GMT", When::Last, Clock::Utc), "flow_end_utc"),
    time("tr", "Date flow received", When::Received, Clock::Zone),
    keyed(time("trr", "Received raw", When::Received, Clock::Secs), "received_secs"),
    keyed(time("trg", "Date flow received GMT", When::Received, Clock::Utc), "received_utc"),
    keyed(apart("td", "Duration", 16, Value::Duration { is_secs: false }), "duration"),
    keyed(apart("tds", "Duration", 16, Value::Duration { is_secs: true }), "duration"),
    right("pkt", "Packets", 8, Value::Count(Id::Packets)),
    right("ipkt", "In Pkt", 8, Value::Count(Id::Packets)),
    right("byt", "Bytes", 8, Value::Count(Id::Bytes)),
    right("ibyt", "In Byte", 8, Value::Count(Id::Bytes)),
    column("sp", "Src Pt", 6, Id::SrcPort),
    right("dp", "Dst Pt", 6, Value::DstPort),
    right("it", "ICMP-T", 6, Value::IcmpType),
    right("ic", "ICMP-C", 6, Value::IcmpCode),
    left("pr", "Proto", 5, Value::Protocol),
    right("flg", "Flags", 8, Value::Flags),
    column("fwd", "Fwd", 3, Id::ForwardingStatus),
    column("tos", "Tos", 4, Id::SrcTos),
    column("stos", "STos", 4, Id::SrcTos),
    keyed(right("bps", "bps", 8, Value::Rate(Rate::Bps)), "bps"),
    keyed(right("pps", "pps", 8, Value::Rate(Rate::Pps)), "pps"),
    keyed(right("bpp", "Bpp", 6, Value::Rate(Rate::Bpp)), "bpp"),
    addr("sa", "Src IP Addr", Id::SrcAddr),
    addr("da", "Dst IP Addr", Id::DstAddr),
    endpoint("sap", "Src IP Addr:Port ", Side::Src),
    endpoint("dap", "Dst IP Addr:Port ", Side::Dst),
    geo_endpoint("gsap", "Src IP Addr(..):Port ", Side::Src),
    geo_endpoint("gdap", "Dst IP Addr(..):Port ", Side::Dst),
    geo_addr("gsa", "Src IP Addr(..)", Id::SrcAddr),
    geo_addr("gda", "Dst IP Addr(..)", Id::DstAddr),
    column("in", "Input", 6, Id::InIf),
    column("out", "Output", 6, Id::OutIf),
    column("smk", "SMask", 5, Id::SrcMask),
    column("dmk", "DMask", 5, Id::DstMask),
    right("dir", "Dir", 3, Value::Direction),
    column("dtos", "DTos", 4, Id::DstTos),
    column("bfd", "Bfd", 3, Id::BiflowDirection),
    column("end", "End", 3, Id::EndReason),
    keyed(right("sn", "Src Network", ADDRESS_WIDTH + 3, Value::Net(Side::Src)), "src_net"),
    keyed(right("dn", "Dst Network", ADDRESS_WIDTH + 3, Value::Net(Side::Dst)), "dst_net"),
    right("inam", "Input interface name", 21, Value::Name(0)),
    right("onam", "Output interface name", 21, Value::Name(1)),
    right("opkt", "Out Pkt", 8, Value::Count(Id::OutPackets)),
    right("obyt", "Out Byte", 8, Value::Count(Id::OutBytes)),
    right("fl", "Flows", 5, Value::Flows),
    column("svln", "SVlan", 5, Id::Vlan),
    column("dvln", "DVlan", 5, Id::PostVlan),
    column("sas", "Src AS", 6, Id::SrcAs),
    column("das", "Dst AS", 6, Id::DstAs),
    addr("nhb", "BGP next-hop IP", Id::BgpNextHop),
    addr("nh", "Next-hop IP", Id::NextHop),
    addr("ra", "Router IP", Id::ExporterAddr),
    geo_addr("gra", "Router IP(..)", Id::ExporterAddr),
    mpls("mpls1", "MPLS lbl 1 ", 1),
    mpls("mpls2", "MPLS lbl 2 ", 2),
    mpls("mpls3", "MPLS lbl 3 ", 3),
    mpls("mpls4", "MPLS lbl 4 ", 4),
    mpls("mpls5", "MPLS lbl 5 ", 5),
    mpls("mpls6", "MPLS lbl 6 ", 6),
    mpls("mpls7", "MPLS lbl 7 ", 7),
    mpls("mpls8", "MPLS lbl 8 ", 8),
    mpls("mpls9", "MPLS lbl 9 ", 9),
    mpls("mpls10", "MPLS lbl 10", 10),
    left("mpls", "MPLS labels 1-10", 130, Value::Labels),
    column("ismc", "In src MAC Addr", 17, Id::InSrcMac),
    column("odmc", "Out dst MAC Addr", 17, Id::OutDstMac),
    column("idmc", "In dst MAC Addr", 17, Id::InDstMac),
    column("osmc", "Out src MAC Addr", 17, Id::OutSrcMac),
    column("nas", "Next AS", 7, Id::NextAs),
    column("pas", "Prev AS", 7, Id::PrevAs),
    column("cl", "C Latency", 9, Id::ClientLatency),
    column("sl", "S latency", 9, Id::ServerLatency),
    column("al", "A latency", 9, Id::AppLatency),
    time("tevt", "Event time", When::Event, Clock::Zone),
    keyed(right("msec", "Event Time", 13, Value::Time(When::Event, Clock::Millis)), "event_msec"),
    right("evt", "Event", 8, Value::Event),
    column("nfc", "Conn-ID", 10, Id::FlowId),
    right("xevt", "XEvent", 7, Value::ExtEvent),
    addr("xsa", "X-late Src IP", Id::PostNatSrcAddr),
    addr("xda", "X-late Dst IP", Id::PostNatDstAddr),
    endpoint("xsap", "X-Src IP Addr:Port ", Side::NatSrc),
    endpoint("xdap", "X-Dst IP Addr:Port ", Side::NatDst),
    addr("nsa", "X-late Src IP", Id::PostNatSrcAddr),
    addr("nda", "X-late Dst IP", Id::PostNatDstAddr),
    endpoint("nsap", "X-Src IP Addr:Port ", Side::NatSrc),
    endpoint("ndap", "X-Dst IP Addr:Port ", Side::NatDst),
    column("xsp", "XsPort", 6, Id::PostNatSrcPort),
    column("xdp", "XdPort", 6, Id::PostNatDstPort),
    column("nsp", "XsPort", 6, Id::PostNatSrcPort),
    column("ndp", "XdPort", 6, Id::PostNatDstPort),
    left("iacl", "Ingress ACL", 32, Value::Acl(Id::IngressAcl)),
    left("eacl", "Egress ACL", 32, Value::Acl(Id::EgressAcl)),
    left("uname", "UserName", 8, Value::Column(Id::Username)),
    column("pbstart", "Pb-Start", 8, Id::PortBlockStart),
    column("pbend", "Pb-End", 8, Id::PortBlockEnd),
    column("pbstep", "Pb-Step", 8, Id::PortBlockStep),
    column("pbsize", "Pb-Size", 8, Id::PortBlockSize),
    column("nbid", "nbar ID", 7, Id::ApplicationId),
    right("nbnam", "nbar name", 16, Value::Name(4)),
    unknown("ipl", "Input Payload", 13, "<no payload>"),
    unknown("opl", "Output Payload", 14, "<no payload>"),
    right("odid", "obsDomainID", 11, Value::Hex(Id::ObservationDomain, 9)),
    right("opid", "obsPointID", 12, Value::Hex(Id::ObservationPoint, 10)),
    column("vrf", "I-VRF-ID", 10, Id::IngressVrf),
    column("ivrf", "I-VRF-ID", 10, Id::IngressVrf),
    right("ivrfnam", "I-VRF-Name", 16, Value::Name(2)),
    column("evrf", "E-VRF-ID", 10, Id::EgressVrf),
    right("evrfnam", "E-VRF-Name", 16, Value::Name(3)),
    unknown("pfifn", "interface", 9, "<no-pf>"),
    unknown("pfact", "action", 7, "<no-pf>"),
    unknown("pfrea", "reason", 7, "<no-pf>"),
    unknown("pfdir", "dir", 7, "<no-pf>"),
    unknown("pfrule", "rule", 4, "0"),
    column("flid", "flowID", 20, Id::FlowId),
    unknown("isid", "inSrvID", 8, "0"),
    unknown("osid", "outSrvID", 8, "0"),
    unknown("nats", "nat string", 10, "<unknown>"),
    unknown("ja3", "ja3", 38, "no ja3"),
    unknown("ja4", "ja4", 38, "no ja4"),
    unknown("sni", "sni name", 8, "0"),
    unknown("tls", "TLS ver", 7, "0"),
    geo("sc", "SC", 2, Side::Src, Geo::Country, "src_country"),
    geo("dc", "DC", 2, Side::Dst, Geo::Country, "dst_country"),
    geo("sloc", "Src IP location info", 20, Side::Src, Geo::Location, "src_location"),
    geo("dloc", "Dst IP location info", 20, Side::Dst, Geo::Location, "dst_location"),
    geo("sasn", "Src AS organisation", 30, Side::Src, Geo::Organisation, "src_as_name"),
    geo("dasn", "Dst AS organisation", 30, Side::Dst, Geo::Organisation, "dst_as_name"),
    geo("stor", "STor", 4, Side::Src, Geo::Tor, "src_tor"),
    geo("dtor", "DTor", 4, Side::Dst, Geo::Tor, "dst_tor"),
    right("lbl", "label", 16, Value::FlowLabel),
    right("ttl", "min/maxTTL", 11, Value::Ttl),
    column("minttl", "minTTL", 6, Id::MinTtl),
    column("maxttl", "maxTTL", 6, Id::MaxTtl),
    keyed(right("frag", "Frag", 4, Value::Fragment), "fragment_flags"),
    right("eth", "EtherType", 9, Value::Hex(Id::EtherType, 4)),
    left("n", "", 0, Value::LineEnd),
    // nfdump's format `nat` names it, but no table of its does.
    right("nevt", "Event", 8, Value::NatEvent),
    right("smpnam", "Sampler name", 16, Value::Name(5)),
];

impl Tag {
    /// The tag called `word`: one of the table, or the name of a column.
    pub(super) fn find(word: &str) -> Option<Self> {
        let known = TAGS.iter().find(|tag| tag.word == word).copied();
        known.or_else(|| by_name(word).map(Self::of_column))
    }

    /// The tag most like `word`.
    pub(super) fn nearest(word: &str) -> Option<&'static str> {
        let columns = COLUMNS.iter().map(|column| column.name);
        nearest(word, TAGS.iter().map(|tag| tag.word).chain(columns))
    }

    /// What the name of a column stands for.
    pub(super) fn of_column(column: &'static Column) -> Self {
        let title = if column.title.is_empty() { column.name } else { column.title };
        let width = match column.kind {
            Kind::Int32 | Kind::Boolean => 6,
            Kind::Int64 | Kind::Float64 => 8,
            Kind::Timestamp => 23,
            Kind::Address => ADDRESS_WIDTH,
            Kind::Mac => 17,
            Kind::Text | Kind::Binary | Kind::Labels | Kind::Other => 16,
        };
        let tag = right(column.name, title, width.max(title.len()), Value::Column(column.id));
        if column.kind == Kind::Timestamp { Self { align: Align::Left, ..tag } } else { tag }
    }

    /// Characters it is wide at least.
    pub(super) fn width(&self, is_ipv6_full: bool) -> usize {
        let more =
            if is_ipv6_full && self.value.is_address() { ADDRESS_WIDTH_FULL - ADDRESS_WIDTH } else { 0 };
        self.width + more
    }

    /// Its name for programs; empty where it is not one value.
    pub(crate) fn key(&self) -> &'static str {
        match (self.value, self.value.column()) {
            _ if !self.own_key.is_empty() => self.own_key,
            (Value::Name(index), _) => NAME_COLUMNS[index].name,
            (_, Some(id)) => id.name(),
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every tag of nfdump 1.7.8.
    const NFDUMP: &str = "nfv cnt idt eng exp tfs ts tsr tsg te ter teg tr trr trg td tds pkt ipkt byt ibyt sp dp \
        it ic pr flg fwd tos stos bps pps bpp sa da sap dap gsap gdap gsa gda in out smk dmk dir dtos bfd end sn dn \
        inam onam opkt obyt fl svln dvln sas das nhb nh ra gra mpls1 mpls2 mpls3 mpls4 mpls5 mpls6 mpls7 mpls8 \
        mpls9 mpls10 mpls ismc odmc idmc osmc nas pas cl sl al tevt msec evt nfc xevt xsa xda xsap xdap nsa nda \
        nsap ndap xsp xdp nsp ndp iacl eacl uname pbstart pbend pbstep pbsize nbid nbnam ipl opl odid opid vrf ivrf \
        ivrfnam evrf evrfnam pfifn pfact pfrea pfdir pfrule flid isid osid nats ja3 ja4 sni tls sc dc sloc dloc sasn \
        dasn stor dtor lbl ttl minttl maxttl frag eth n";

    #[test]
    fn every_tag_of_nfdump_is_there_once() {
        let words: Vec<_> = NFDUMP.split_whitespace().collect();
        assert_eq!(words.len(), 147);
        let ours: Vec<_> = TAGS.iter().map(|tag| tag.word).collect();
        assert_eq!(ours[..147], words);
        assert_eq!(ours.iter().collect::<HashSet<_>>().len(), ours.len());
    }

    #[test]
    fn titles_fit_their_widths() {
        for tag in TAGS {
            assert!(tag.title.len() <= tag.width(false), "{}", tag.word);
        }
        for column in COLUMNS {
            let tag = Tag::find(column.name).unwrap();
            assert!(tag.title.len() <= tag.width(false), "{}", column.name);
            assert!(TAGS.iter().all(|tag| tag.word != column.name), "{}", column.name);
        }
    }

    #[test]
    fn words_are_unique() {
        let mut words: Vec<_> = TAGS.iter().map(|tag| tag.word).collect();
        words.sort_unstable();
        let repeated: Vec<_> = words.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(repeated.is_empty(), "{repeated:?}");
    }
}
