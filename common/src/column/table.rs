//! The rows of the table; `column.rs` says what each field means.

use super::Kind::{Address, Binary, Int32, Int64, Labels, Mac, Other, Text, Timestamp};
use super::Part::{ApplicationId, HighOctet, Low24Bits, LowOctet, MillisToMicros, TunnelKey};
use super::Unit::{Bytes, Flows, Hops, Microseconds, Packets};
use super::{Column, family, ie, part, pen, reverse, vmware};

macro_rules! columns {
    ($($id:ident = $field_id:literal $name:literal $kind:ident { $($key:ident: $value:expr),* $(,)? } $doc:literal;)*) => {
        /// A stored column; `column()` gives its row of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ColumnId { $(#[doc = $doc] $id,)* }

        /// Every stored column, in file order.
        pub static COLUMNS: &[Column] = &[
            $(Column { $($key: $value,)* ..Column::new(ColumnId::$id, $field_id, $name, $kind, $doc) },)*
        ];
    };
}

/// nProbe's enterprise number; its IPFIX elements are also sent in v9 as 57472 + id.
const NPROBE: u32 = 35632;

columns! {
    // time
    Received = 1 "received" Timestamp { is_required: true, filter: &["received"], raw: "received at" }
        "when the datagram reached the collector";
    FlowStart = 2 "flow_start" Timestamp { sources: &[ie(152), ie(154), ie(156), ie(150), ie(158), ie(22)],
        filter: &["first seen", "first", "start"], raw: "first" }
        "first packet of the flow, as wall time";
    FlowEnd = 3 "flow_end" Timestamp { sources: &[ie(153), ie(155), ie(157), ie(151), ie(159), ie(21)],
        filter: &["last seen", "last", "end"], raw: "last" }
        "last packet of the flow, as wall time";
    EventTime = 4 "event_time" Timestamp { sources: &[ie(323), ie(324), ie(325), ie(322)], filter: &["event time", "event seen"],
        raw: "Event time" }
        "when the event happened (firewall and NAT logging)";
    TimeSource = 5 "time_source" Text { filter: &["time source"], raw: "time source" }
        "whose time flow_start and flow_end are where the flow told neither: event, export or received; NULL is its own";

    // key
    SrcAddr = 10 "src_addr" Address { sources: &[ie(8), ie(27)], filter: &["src ip", "src host", "src net"],
        stat: "srcip", stat_both: "ip", title: "Src IP Addr", aggregate: "srcip", raw: "src addr" }
        "source address";
    DstAddr = 11 "dst_addr" Address { sources: &[ie(12), ie(28)], filter: &["dst ip", "dst host", "dst net"],
        stat: "dstip", stat_both: "ip", title: "Dst IP Addr", aggregate: "dstip", raw: "dst addr" }
        "destination address";
    SrcPort = 12 "src_port" Int32 { sources: &[ie(7), ie(182), ie(180)], filter: &["src port"],
        stat: "srcport", stat_both: "port", title: "Src Port", aggregate: "srcport", raw: "src port" }
        "source port";
    DstPort = 13 "dst_port" Int32 { sources: &[ie(11), ie(183), ie(181)], filter: &["dst port"],
        stat: "dstport", stat_both: "port", title: "Dst Port", aggregate: "dstport", raw: "dst port" }
        "destination port; NetFlow v5 and older v9 put ICMP type and code here, type * 256 + code";
    Protocol = 14 "protocol" Int32 { sources: &[ie(4)], filter: &["proto", "protocol"],
        stat: "proto", title: "Protocol", aggregate: "proto", raw: "proto" }
        "IP protocol number";
    TcpFlags = 15 "tcp_flags" Int32 { sources: &[ie(6)], filter: &["flags"],
        stat: "flags", title: "TCP flags", aggregate: "flags", raw: "tcp flags" }
        "TCP control bits of all packets or-ed, 16 bits";
    SrcTos = 16 "src_tos" Int32 { sources: &[ie(5)], filter: &["src tos", "tos"], stat: "srctos", stat_both: "tos",
        title: "Src Tos", aggregate: "srctos", raw: "src tos" }
        "type of service, or traffic class, on arrival";
    DstTos = 17 "dst_tos" Int32 { sources: &[ie(55)], filter: &["dst tos"], stat: "dsttos", stat_both: "tos",
        title: "Dst Tos", aggregate: "dsttos", raw: "dst tos" }
        "type of service, or traffic class, on departure";
    IcmpType = 18 "icmp_type" Int32 { sources: &[ie(176), ie(178), part(ie(32), HighOctet), part(ie(139), HighOctet)],
        filter: &["icmp-type", "icmp type"], raw: "ICMP type" }
        "ICMP type, either family";
    IcmpCode = 19 "icmp_code" Int32 { sources: &[ie(177), ie(179), part(ie(32), LowOctet), part(ie(139), LowOctet)],
        filter: &["icmp-code", "icmp code"], raw: "ICMP code" }
        "ICMP code, either family";
    FlowLabel = 20 "flow_label" Int64 { sources: &[ie(31)], filter: &["flow label"], raw: "flow label" }
        "IPv6 flow label";

    // counters: one family per record, never added together
    Packets = 30 "packets" Int64 { unit: Packets, sources: &[family(1, ie(2)), family(2, ie(24)), family(3, ie(86)), family(4, ie(298))],
        filter: &["packets", "in packets"], order: "packets", raw: "in packets" }
        "packets of the flow, as sent: not scaled by the sampling rate";
    Bytes = 31 "bytes" Int64 { unit: Bytes, sources: &[family(1, ie(1)), family(2, ie(23)), family(3, ie(85)), family(4, ie(231))],
        filter: &["bytes", "in bytes"], order: "bytes", raw: "in bytes" }
        "octets of the flow, as sent: not scaled by the sampling rate";
    OutPackets = 32 "out_packets" Int64 { unit: Packets, sources: &[family(1, reverse(2)), family(2, ie(24)), family(3, ie(299)), family(4, reverse(86))],
        filter: &["out packets"], raw: "out packets" }
        "packets of the reverse direction, or after the exporter";
    OutBytes = 33 "out_bytes" Int64 { unit: Bytes, sources: &[family(1, reverse(1)), family(2, ie(23)), family(3, ie(232)), family(4, reverse(85))],
        filter: &["out bytes"], raw: "out bytes" }
        "octets of the reverse direction, or after the exporter";
    FlowCount = 34 "flows" Int64 { unit: Flows, sources: &[ie(3)], filter: &["flows"], order: "flows", raw: "aggr flows" }
        "flows the exporter aggregated into this record; NULL is one";
    Layer2Bytes = 35 "layer2_bytes" Int64 { unit: Bytes, sources: &[ie(352), ie(312)], filter: &["layer2 bytes"], raw: "layer 2 bytes" }
        "octets including layer 2 headers";
    CounterKind = 36 "counter_kind" Text { filter: &["counter kind"], raw: "counter kind" }
        "what packets and bytes are where they are no deltas (1, 2): post (23, 24), total since the flow began (85, 86), initiator (231, 298)";

    // routing
    InIf = 40 "in_if" Int64 { sources: &[ie(10)], filter: &["in if"], stat: "inif", stat_both: "if",
        title: "Input If", aggregate: "inif", raw: "input" }
        "input interface (SNMP ifIndex; an OpenFlow port from Open vSwitch v5)";
    OutIf = 41 "out_if" Int64 { sources: &[ie(14)], filter: &["out if"], stat: "outif", stat_both: "if",
        title: "Output If", aggregate: "outif", raw: "output" }
        "output interface (SNMP ifIndex; an OpenFlow port from Open vSwitch v5)";
    SrcAs = 42 "src_as" Int64 { sources: &[ie(16)], filter: &["src as"], stat: "srcas", stat_both: "as",
        title: "Src AS", aggregate: "srcas", raw: "src as" }
        "source autonomous system";
    DstAs = 43 "dst_as" Int64 { sources: &[ie(17)], filter: &["dst as"], stat: "dstas", stat_both: "as",
        title: "Dst AS", aggregate: "dstas", raw: "dst as" }
        "destination autonomous system";
    PrevAs = 44 "prev_as" Int64 { sources: &[ie(129)], filter: &["prev as"], stat: "prevas", title: "Prev AS",
        aggregate: "prevas", raw: "bgp prev as" }
        "adjacent autonomous system towards the source";
    NextAs = 45 "next_as" Int64 { sources: &[ie(128)], filter: &["next as"], stat: "nextas", title: "Next AS",
        aggregate: "nextas", raw: "bgp next as" }
        "adjacent autonomous system towards the destination";
    SrcMask = 46 "src_mask" Int32 { sources: &[ie(9), ie(29)], filter: &["src mask"], stat: "srcmask", stat_both: "mask",
        title: "Src Mask", aggregate: "srcmask", raw: "src mask" }
        "prefix length of the source's route";
    DstMask = 47 "dst_mask" Int32 { sources: &[ie(13), ie(30)], filter: &["dst mask"], stat: "dstmask", stat_both: "mask",
        title: "Dst Mask", aggregate: "dstmask", raw: "dst mask" }
        "prefix length of the destination's route";
    NextHop = 48 "next_hop" Address { sources: &[ie(15), ie(62)], filter: &["next ip", "next host", "next net"],
        stat: "nhip", title: "Next Hop IP", aggregate: "next", raw: "ip next hop" }
        "next router";
    BgpNextHop = 49 "bgp_next_hop" Address { sources: &[ie(18), ie(63)], filter: &["bgp next ip", "bgp next host", "bgp next net"],
        stat: "nhbip", title: "BGP Next Hop IP", aggregate: "bgpnext", raw: "bgp next hop" }
        "next router in the BGP domain";

    // how
    Direction = 60 "direction" Int32 { sources: &[ie(61)], filter: &["flowdir", "flow direction", "direction"], stat: "dir", title: "Dir", raw: "direction" }
        "0 ingress, 1 egress at the observation point";
    BiflowDirection = 61 "biflow_direction" Int32 { sources: &[ie(239)], filter: &["biflow direction"], raw: "biFlow Dir" }
        "how the direction of a biflow was assigned (RFC 5103): 1 initiator, 2 reverse initiator, 3 perimeter";
    EndReason = 62 "end_reason" Int32 { sources: &[ie(136)], filter: &["end reason"], raw: "end reason" }
        "why the flow ended: 1 idle, 2 active timeout, 3 end detected, 4 forced, 5 lack of resources";
    ForwardingStatus = 63 "forwarding_status" Int32 { sources: &[ie(89)], filter: &["fwdstat", "forwarding status"], raw: "fwd status" }
        "forwarded, dropped or consumed, with the reason (element 89)";
    IpVersion = 64 "ip_version" Int32 { sources: &[ie(60)], filter: &["ip version"], raw: "IP version" }
        "version field of the IP header";
    MinTtl = 65 "min_ttl" Int32 { unit: Hops, sources: &[ie(52)], filter: &["min ttl"], stat: "minttl", title: "Min TTL",
        aggregate: "minttl", raw: "IP min TTL" }
        "smallest TTL or hop limit";
    MaxTtl = 66 "max_ttl" Int32 { unit: Hops, sources: &[ie(53)], filter: &["max ttl"], stat: "maxttl", title: "Max TTL",
        aggregate: "maxttl", raw: "IP max TTL" }
        "largest TTL or hop limit";
    FragmentId = 67 "fragment_id" Int64 { sources: &[ie(54)], filter: &["fragment id"], raw: "fragment id" }
        "identification field of the IP header";

    // layer 2
    Vlan = 80 "vlan" Int32 { sources: &[ie(58), ie(243)], filter: &["src vlan"], stat: "srcvlan", stat_both: "vlan",
        title: "Src Vlan", aggregate: "srcvlan", raw: "vlanID" }
        "VLAN on arrival";
    PostVlan = 81 "post_vlan" Int32 { sources: &[ie(59), ie(254)], filter: &["dst vlan"], stat: "dstvlan", stat_both: "vlan",
        title: "Dst Vlan", aggregate: "dstvlan", raw: "post vlanID" }
        "VLAN on departure";
    CustomerVlan = 82 "customer_vlan" Int32 { sources: &[ie(245)], filter: &["src customer vlan"], raw: "custID" }
        "inner (customer) VLAN on arrival";
    PostCustomerVlan = 83 "post_customer_vlan" Int32 { sources: &[ie(255)], filter: &["dst customer vlan"], raw: "post custID" }
        "inner (customer) VLAN on departure";
    EtherType = 84 "ether_type" Int32 { sources: &[ie(256)], filter: &["ethertype"], stat: "ethertype", title: "EtherType",
        aggregate: "ethertype", raw: "ethertype" }
        "Ethernet type";
    InSrcMac = 85 "in_src_mac" Mac { sources: &[ie(56)], filter: &["in src mac"], stat: "insrcmac", title: "In Src Mac",
        aggregate: "insrcmac", raw: "in src mac" }
        "source MAC on arrival";
    OutDstMac = 86 "out_dst_mac" Mac { sources: &[ie(57)], filter: &["out dst mac"], stat: "outdstmac", title: "Out Dst Mac",
        aggregate: "outdstmac", raw: "out dst mac" }
        "destination MAC on departure";
    InDstMac = 87 "in_dst_mac" Mac { sources: &[ie(80)], filter: &["in dst mac"], stat: "indstmac", title: "In Dst Mac",
        aggregate: "indstmac", raw: "in dst mac" }
        "destination MAC on arrival";
    OutSrcMac = 88 "out_src_mac" Mac { sources: &[ie(81)], filter: &["out src mac"], stat: "outsrcmac", title: "Out Src Mac",
        aggregate: "outsrcmac", raw: "out src mac" }
        "source MAC on departure";
    MplsLabels = 89 "mpls_labels" Labels {
        sources: &[ie(70), ie(71), ie(72), ie(73), ie(74), ie(75), ie(76), ie(77), ie(78), ie(79)],
        filter: &["mpls", "mpls any", "mpls label"], raw: "MPLS Lbl" }
        "MPLS label stack, top first: label << 4 | exp << 1 | bottom";

    // tunnel and tenant
    Vni = 100 "vni" Int64 { sources: &[part(ie(351), Low24Bits), part(vmware(892), TunnelKey)], filter: &["vni"], raw: "vni" }
        "virtual network identifier of VXLAN, GENEVE or NVGRE";
    TunnelSrcAddr = 101 "tunnel_src_addr" Address { sources: &[vmware(893)], filter: &["src tun ip", "src tun host", "src tun net"], raw: "src tun addr" }
        "source address of the tunnel";
    TunnelDstAddr = 102 "tunnel_dst_addr" Address { sources: &[vmware(894)], filter: &["dst tun ip", "dst tun host", "dst tun net"], raw: "dst tun addr" }
        "destination address of the tunnel";
    TunnelProtocol = 103 "tunnel_protocol" Int32 { sources: &[vmware(895)], filter: &["tun proto"], stat: "tunproto",
        title: "Tun Proto", raw: "tun proto" }
        "IP protocol of the tunnel";
    TunnelSrcPort = 104 "tunnel_src_port" Int32 { sources: &[vmware(896)], filter: &["src tun port"], raw: "src tun port" }
        "source port of the tunnel";
    TunnelDstPort = 105 "tunnel_dst_port" Int32 { sources: &[vmware(897)], filter: &["dst tun port"], raw: "dst tun port" }
        "destination port of the tunnel";
    GreKey = 106 "gre_key" Int64 { filter: &["gre key"], raw: "gre key" }
        "key of a GRE tunnel (6876:892 where the tunnel type 6876:891 is 2)";
    IngressVrf = 107 "ingress_vrf" Int64 { sources: &[ie(234)], filter: &["ingress vrf"], stat: "ivrf",
        title: "I-Vrf ID", raw: "ingress VRF" }
        "VRF on arrival";
    EgressVrf = 108 "egress_vrf" Int64 { sources: &[ie(235)], filter: &["egress vrf"], stat: "evrf",
        title: "E-Vrf ID", raw: "egress VRF" }
        "VRF on departure";

    // NAT and firewall
    PostNatSrcAddr = 120 "post_nat_src_addr" Address { sources: &[ie(225), ie(281), ie(40001)], filter: &["src nat ip", "src nat host", "src nat net"],
        stat: "natsrcip", stat_both: "natip", title: "Nat Src IP", aggregate: "xsrcip", raw: "src xlt ip" }
        "source address after NAT";
    PostNatDstAddr = 121 "post_nat_dst_addr" Address { sources: &[ie(226), ie(282), ie(40002)], filter: &["dst nat ip", "dst nat host", "dst nat net"],
        stat: "natdstip", stat_both: "natip", title: "Nat Dst IP", aggregate: "xdstip", raw: "dst xlt ip" }
        "destination address after NAT";
    PostNatSrcPort = 122 "post_nat_src_port" Int32 { sources: &[ie(227), ie(40003)], filter: &["src nat port"],
        stat: "natsrcport", stat_both: "natport", title: "Nat Src Port", aggregate: "xsrcport", raw: "src xlt port" }
        "source port after NAT";
    PostNatDstPort = 123 "post_nat_dst_port" Int32 { sources: &[ie(228), ie(40004)], filter: &["dst nat port"],
        stat: "natdstport", stat_both: "natport", title: "Nat Dst Port", aggregate: "xdstport", raw: "dst xlt port" }
        "destination port after NAT";
    NatEvent = 124 "nat_event" Int32 { sources: &[ie(230)], filter: &["nat event"], stat: "nat", title: "NAT event", raw: "nat event" }
        "NAT event (RFC 8158 §5)";
    FirewallEvent = 125 "firewall_event" Int32 { sources: &[ie(233), ie(40005)], filter: &["asa event"], stat: "event",
        title: "Event", raw: "fw event" }
        "firewall event: 1 create, 2 teardown, 3 deny, 4 alert, 5 update";
    FirewallExtEvent = 126 "firewall_ext_event" Int32 { sources: &[ie(33002)], filter: &["asa xevent", "asa denied"], stat: "xevent",
        title: "X-Event", raw: "fw ext event" }
        "extended firewall event of Cisco ASA";
    IngressAcl = 127 "ingress_acl" Binary { sources: &[ie(33000)], filter: &["ingress acl"], stat: "iacl", title: "Ingress ACL", raw: "Ingress ACL" }
        "input ACL of Cisco ASA: ACL, ACE and extended ACE id, 4 octets each";
    EgressAcl = 128 "egress_acl" Binary { sources: &[ie(33001)], filter: &["egress acl"], stat: "eacl", title: "Egress ACL", raw: "Egress ACL" }
        "output ACL of Cisco ASA: ACL, ACE and extended ACE id, 4 octets each";
    Username = 129 "username" Text { sources: &[ie(371), ie(40000), ie(56702)], filter: &["asa user", "user"], raw: "username" }
        "user of the flow (AAA user of Cisco ASA, User-ID of Palo Alto)";
    FlowId = 130 "flow_id" Int64 { sources: &[ie(148)], filter: &["flow id", "connection id"], raw: "connect ID" }
        "identifier the exporter gave the flow or connection";
    PortBlockStart = 131 "port_block_start" Int32 { sources: &[ie(361)], filter: &["nat pblock start"], raw: "pblock start" }
        "first port of a NAT port block";
    PortBlockEnd = 132 "port_block_end" Int32 { sources: &[ie(362)], filter: &["nat pblock end"], raw: "pblock end" }
        "last port of a NAT port block";
    PortBlockStep = 133 "port_block_step" Int32 { sources: &[ie(363)], filter: &["nat pblock step"], raw: "pblock step" }
        "step between ports of a NAT port block";
    PortBlockSize = 134 "port_block_size" Int32 { sources: &[ie(364)], filter: &["nat pblock size"], raw: "pblock size" }
        "number of ports of a NAT port block";
    Contributes = 135 "contributes" Int32 { filter: &["contributes"], raw: "contributes" }
        "whether sums count the record: 0 an event, a total told before by updates, or a biflow without direction; 1 counted by the rule of firewall events; NULL is a flow like any other";

    // application and latency
    ApplicationId = 150 "application_id" Int64 { sources: &[part(ie(95), ApplicationId)], filter: &["app id", "nbar"],
        stat: "nbar", title: "Nbar", raw: "app ID" }
        "application: classification engine << 32 | selector (RFC 6759)";
    ApplicationName = 151 "application_name" Text { sources: &[ie(96), ie(56701)],
        filter: &["app", "app name", "application", "application name"], raw: "app name" }
        "name of the application, where the flow record carries it";
    ClientLatency = 152 "client_latency" Int64 { unit: Microseconds,
        sources: &[part(pen(NPROBE, 123), MillisToMicros), part(ie(57595), MillisToMicros)],
        filter: &["client latency"], stat: "cl", title: "C latency", raw: "cli latency" }
        "network latency between client and observation point";
    ServerLatency = 153 "server_latency" Int64 { unit: Microseconds,
        sources: &[part(pen(NPROBE, 124), MillisToMicros), part(ie(57596), MillisToMicros)],
        filter: &["server latency"], stat: "sl", title: "S latency", raw: "srv latency" }
        "network latency between observation point and server";
    AppLatency = 154 "app_latency" Int64 { unit: Microseconds,
        sources: &[part(pen(NPROBE, 125), MillisToMicros), part(ie(57597), MillisToMicros)],
        filter: &["app latency", "application latency"], stat: "al", title: "A latency", raw: "app latency" }
        "response time of the application";

    // provenance
    ExporterAddr = 170 "exporter_addr" Address { is_required: true, filter: &["router ip", "router host", "router net", "router", "exporter ip",
        "exporter host", "exporter net", "exporter"], stat: "router",
        title: "Router IP", aggregate: "router", raw: "ip exporter" }
        "device that sent the datagram: its source address";
    ExportVersion = 171 "export_version" Int32 { is_required: true, filter: &["export version"], raw: "version" }
        "1, 5, 7 and 9 NetFlow, 10 IPFIX, 105 sFlow v5";
    ObservationDomain = 172 "observation_domain" Int64 { filter: &["observation domain id", "observation domain", "odid"], stat: "odid", title: "obsDomainID",
        aggregate: "odid", raw: "observation domainID" }
        "observation domain id (IPFIX) or source id (v9) of the message";
    EngineType = 173 "engine_type" Int32 { sources: &[ie(38)], filter: &["engine-type", "engine type"], raw: "engine type" }
        "engine type of NetFlow v5 and v9";
    EngineId = 174 "engine_id" Int32 { sources: &[ie(39)], filter: &["engine-id", "engine id"], raw: "engine ID" }
        "engine id of NetFlow v5 and v9";
    ObservationPoint = 175 "observation_point" Int64 { sources: &[ie(138)], filter: &["observation point id", "observation point", "opid"], stat: "opid",
        title: "obsPointID", aggregate: "opid", raw: "observation pointID" }
        "observation point id";
    Sequence = 176 "sequence" Int64 { filter: &["sequence"], raw: "sequence" }
        "sequence number in the header of the message";
    SamplingRate = 177 "sampling_rate" Int64 { sources: &[ie(34), ie(50)], filter: &["sampling", "sampling rate"], raw: "sampling rate" }
        "packets one sampled packet stands for; NULL where the exporter told none";
    SamplingSource = 178 "sampling_source" Text { filter: &["sampling source"], raw: "sampling source" }
        "where the rate came from: record, sampler, domain, header or override";
    ExportTime = 179 "export_time" Timestamp { filter: &["export time"], raw: "export time" }
        "when the message was sent, by the exporter's clock";

    // everything else
    Other = 190 "other" Other { filter: &["other"], raw: "other" }
        "elements without a column: pen << 32 | repetition << 16 | element id, to octets as received";
}
