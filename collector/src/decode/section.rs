//! Sections of packets: elements that carry the first octets of a packet
//! instead of its fields: 315 dataLinkFrameSection, its forerunner 104, and 313
//! ipHeaderPacketSection.
//!
//! Their headers fill the columns that the record's own fields leave free. The
//! section itself stays in `other`. Cut-off sections are the rule: what can be
//! read counts, up to the first header that is not whole.

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, LinkSlice, TransportSlice};
use flow_common::addr::Addr16;
use flow_common::column::ColumnId;

/// What a section begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SectionKind {
    /// An Ethernet header.
    Frame,
    /// An IP header of either version.
    Ip,
}

/// Octets of the smallest header there is: an Ethernet frame's.
pub(crate) const HEADER_BYTES_MIN: usize = 14;

/// Elements that are sections, first choice first.
pub(crate) const SECTIONS: [(u16, SectionKind); 3] =
    [(315, SectionKind::Frame), (104, SectionKind::Frame), (313, SectionKind::Ip)];

/// Fields of the headers of one packet; the outermost where there are several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers {
    src_mac: Option<[u8; 6]>,
    dst_mac: Option<[u8; 6]>,
    ether_type: Option<u16>,
    vlans: [Option<u16>; 2],
    src_addr: Option<[u8; 16]>,
    dst_addr: Option<[u8; 16]>,
    ip_version: Option<u8>,
    protocol: Option<u8>,
    tos: Option<u8>,
    ttl: Option<u8>,
    fragment_id: Option<u16>,
    flow_label: Option<u32>,
    ip_bytes: Option<u32>,
    ports: Option<(u16, u16)>,
    tcp_flags: Option<u16>,
    icmp: Option<(u8, u8)>,
}

/// An integer of the headers.
type IntegerOf = fn(&Headers) -> Option<i64>;

/// Integer columns, and what of the headers fills them. A section is one packet.
pub(crate) const INTEGERS: [(ColumnId, IntegerOf); 16] = [
    (ColumnId::SrcPort, |headers| Some(headers.ports?.0.into())),
    (ColumnId::DstPort, |headers| Some(headers.ports?.1.into())),
    (ColumnId::Protocol, |headers| headers.protocol.map(i64::from)),
    (ColumnId::TcpFlags, |headers| headers.tcp_flags.map(i64::from)),
    (ColumnId::SrcTos, |headers| headers.tos.map(i64::from)),
    (ColumnId::IcmpType, |headers| Some(headers.icmp?.0.into())),
    (ColumnId::IcmpCode, |headers| Some(headers.icmp?.1.into())),
    (ColumnId::FlowLabel, |headers| headers.flow_label.map(i64::from)),
    (ColumnId::Packets, |_| Some(1)),
    (ColumnId::Bytes, |headers| headers.ip_bytes.map(i64::from)),
    (ColumnId::IpVersion, |headers| headers.ip_version.map(i64::from)),
    (ColumnId::MinTtl, |headers| headers.ttl.map(i64::from)),
    (ColumnId::FragmentId, |headers| headers.fragment_id.map(i64::from)),
    (ColumnId::Vlan, |headers| headers.vlans[0].map(i64::from)),
    (ColumnId::CustomerVlan, |headers| headers.vlans[1].map(i64::from)),
    (ColumnId::EtherType, |headers| headers.ether_type.map(i64::from)),
];

/// Octets of an address.
type AddressOf<const N: usize> = fn(&Headers) -> Option<[u8; N]>;

/// Address columns, and what of the headers fills them.
pub(crate) const ADDRESSES: [(ColumnId, AddressOf<16>); 2] =
    [(ColumnId::SrcAddr, |headers| headers.src_addr), (ColumnId::DstAddr, |headers| headers.dst_addr)];

/// MAC columns, and what of the headers fills them.
pub(crate) const MACS: [(ColumnId, AddressOf<6>); 2] =
    [(ColumnId::InSrcMac, |headers| headers.src_mac), (ColumnId::InDstMac, |headers| headers.dst_mac)];

impl Headers {
    /// Reads the headers of a section.
    pub(crate) fn parse(kind: SectionKind, section: &[u8]) -> Self {
        let mut headers = Self::default();
        match kind {
            SectionKind::Frame => {
                let Ok(packet) = LaxSlicedPacket::from_ethernet(section) else { return headers };
                headers.add_link(&packet);
                headers.add_ip(&packet);
                if packet.net.is_none() {
                    headers.add_mpls(&packet);
                }
            }
            SectionKind::Ip => {
                if let Ok(packet) = LaxSlicedPacket::from_ip(section) {
                    headers.add_ip(&packet);
                }
            }
        }
        headers
    }

    fn add_link(&mut self, packet: &LaxSlicedPacket<'_>) {
        if let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link {
            self.src_mac = Some(ethernet.source());
            self.dst_mac = Some(ethernet.destination());
        }
        for (slot, id) in self.vlans.iter_mut().zip(packet.vlan_ids()) {
            *slot = Some(id.value());
        }
        self.ether_type = packet.ether_payload().map(|payload| payload.ether_type.0);
    }

    /// The IP packet below a stack of MPLS labels; its version is its first four
    /// bits, as nothing else tells (RFC 3032 §2.2).
    fn add_mpls(&mut self, packet: &LaxSlicedPacket<'_>) {
        const MPLS: [EtherType; 2] = [EtherType(0x8847), EtherType(0x8848)];
        let Some(payload) = packet.ether_payload().filter(|payload| MPLS.contains(&payload.ether_type))
        else {
            return;
        };
        let mut rest = payload.payload;
        while let Some((entry, below)) = rest.split_first_chunk::<4>() {
            rest = below;
            if entry[2] & 1 == 1 {
                break;
            }
        }
        if let Ok(packet) = LaxSlicedPacket::from_ip(rest) {
            self.add_ip(&packet);
        }
    }

    fn add_ip(&mut self, packet: &LaxSlicedPacket<'_>) {
        let is_fragment = match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header();
                self.src_addr = Some(Addr16::from_v4(header.source()).0);
                self.dst_addr = Some(Addr16::from_v4(header.destination()).0);
                self.ip_version = Some(4);
                self.tos = Some(header.dcp().value() << 2 | header.ecn().value());
                self.ttl = Some(header.ttl());
                self.fragment_id = Some(header.identification());
                self.ip_bytes = Some(header.total_len().into());
                self.protocol = Some(ip.payload_ip_number().0);
                ip.is_payload_fragmented()
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                const IPV6_HEADER_BYTES: u32 = 40;
                let header = ip.header();
                self.src_addr = Some(header.source());
                self.dst_addr = Some(header.destination());
                self.ip_version = Some(6);
                self.tos = Some(header.traffic_class());
                self.ttl = Some(header.hop_limit());
                self.flow_label = Some(header.flow_label().value());
                self.ip_bytes = Some(u32::from(header.payload_length()) + IPV6_HEADER_BYTES);
                self.protocol = Some(ip.payload().ip_number.0);
                ip.is_payload_fragmented()
            }
            Some(LaxNetSlice::Arp(_)) | None => return,
        };
        if !is_fragment {
            self.add_transport(packet);
        }
    }

    fn add_transport(&mut self, packet: &LaxSlicedPacket<'_>) {
        match &packet.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                self.ports = Some((tcp.source_port(), tcp.destination_port()));
                let low = tcp.header_slice().get(13).copied().unwrap_or_default();
                self.tcp_flags = Some(u16::from(tcp.ns()) << 8 | u16::from(low));
            }
            Some(TransportSlice::Udp(udp)) => self.ports = Some((udp.source_port(), udp.destination_port())),
            Some(TransportSlice::Icmpv4(icmp)) => self.icmp = Some((icmp.type_u8(), icmp.code_u8())),
            Some(TransportSlice::Icmpv6(icmp)) => self.icmp = Some((icmp.type_u8(), icmp.code_u8())),
            Some(TransportSlice::Igmp(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    /// The integers that `section` gives, as `column=value`, in table order.
    #[track_caller]
    fn check(kind: SectionKind, section: &[u8], expected: &str) {
        let headers = Headers::parse(kind, section);
        let integers =
            INTEGERS.iter().filter_map(|(column, of)| Some(format!("{}={}", column.name(), of(&headers)?)));
        assert_eq!(integers.collect::<Vec<_>>().join(" "), expected);
    }

    fn frame() -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).single_vlan(69u16.try_into().unwrap());
        let builder = builder.ipv4([192, 0, 2, 1], [192, 0, 2, 2], 63).tcp(443, 50_000, 1, 1_024).syn().ns();
        let mut frame = Vec::new();
        builder.write(&mut frame, &[0; 100]).unwrap();
        frame
    }

    const TCP: &str = "src_port=443 dst_port=50000 protocol=6 tcp_flags=258 src_tos=0 packets=1 bytes=140 \
                       ip_version=4 min_ttl=63 fragment_id=0 vlan=69 ether_type=2048";

    #[test]
    fn frames_are_read_whole_and_cut_off() {
        let frame = frame();
        check(SectionKind::Frame, &frame, TCP);
        check(SectionKind::Frame, &frame[..58], TCP);
        let without_ports = "protocol=6 src_tos=0 packets=1 bytes=140 ip_version=4 min_ttl=63 fragment_id=0 vlan=69 \
                             ether_type=2048";
        check(SectionKind::Frame, &frame[..40], without_ports);
        check(SectionKind::Frame, &frame[..5], "packets=1");
        let headers = Headers::parse(SectionKind::Frame, &frame);
        assert_eq!((headers.src_mac, headers.dst_mac), (Some([1; 6]), Some([2; 6])));
        assert_eq!(headers.src_addr, Some(Addr16::from_v4([192, 0, 2, 1]).0));
        for end in 0..frame.len() {
            Headers::parse(SectionKind::Frame, &frame[..end]);
            Headers::parse(SectionKind::Ip, &frame[..end]);
        }
    }

    #[test]
    fn packets_without_ethernet_and_below_labels() {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv6([1; 16], [2; 16], 5).icmpv6_echo_request(1, 2);
        builder.write(&mut packet, &[0; 8]).unwrap();
        let icmp = "protocol=58 src_tos=0 icmp_type=128 icmp_code=0 flow_label=0 packets=1 bytes=56 ip_version=6 min_ttl=5";
        check(SectionKind::Ip, &packet, icmp);
        let labels = [0, 0, 0x10, 63, 0, 0, 0x21, 63];
        let frame = [&[9; 12][..], &[0x88, 0x47], &labels, &packet].concat();
        check(SectionKind::Frame, &frame, &format!("{icmp} ether_type=34887"));
    }
}
