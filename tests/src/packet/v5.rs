//! NetFlow version 5: a 24-octet header and up to 30 records of 48 octets.
//!
//! The layout is that of Cisco's "NetFlow Export Datagram Formats"; no RFC
//! covers version 5.

use std::net::Ipv4Addr;

use super::{octets_u16, put_u16, put_u32};

/// Records an exporter may put into one datagram.
pub const RECORDS_MAX: usize = 30;

/// The header; version and count come from [`encode`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Header {
    /// Milliseconds since the exporter started.
    pub sys_uptime_ms: u32,
    /// Export time, whole seconds since 1970.
    pub unix_secs: u32,
    /// Export time, nanoseconds within that second.
    pub unix_nsecs: u32,
    /// Flows exported before this datagram.
    pub flow_sequence: u32,
    /// Kind of the switching engine.
    pub engine_type: u8,
    /// Slot of the switching engine.
    pub engine_id: u8,
    /// Sampling mode in the top 2 bits, interval in the lower 14.
    pub sampling_interval: u16,
}

/// One flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Source address.
    pub src_addr: Ipv4Addr,
    /// Destination address.
    pub dst_addr: Ipv4Addr,
    /// Address of the next router.
    pub next_hop: Ipv4Addr,
    /// Interface index the packets came in by.
    pub input: u16,
    /// Interface index the packets left by.
    pub output: u16,
    /// Packets of the flow.
    pub packets: u32,
    /// Octets of the flow, of layer 3 on a router.
    pub bytes: u32,
    /// First packet, in milliseconds of `sys_uptime_ms`.
    pub first_ms: u32,
    /// Last packet, in milliseconds of `sys_uptime_ms`.
    pub last_ms: u32,
    /// Source port, 0 without ports.
    pub src_port: u16,
    /// Destination port; for ICMP the type in the high octet, the code in the low.
    pub dst_port: u16,
    /// TCP flags of all packets, or-ed.
    pub tcp_flags: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// IP type of service.
    pub tos: u8,
    /// Autonomous system of the source.
    pub src_as: u16,
    /// Autonomous system of the destination.
    pub dst_as: u16,
    /// Prefix length of the source route, bits.
    pub src_mask: u8,
    /// Prefix length of the destination route, bits.
    pub dst_mask: u8,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            src_addr: Ipv4Addr::UNSPECIFIED,
            dst_addr: Ipv4Addr::UNSPECIFIED,
            next_hop: Ipv4Addr::UNSPECIFIED,
            input: 0,
            output: 0,
            packets: 0,
            bytes: 0,
            first_ms: 0,
            last_ms: 0,
            src_port: 0,
            dst_port: 0,
            tcp_flags: 0,
            protocol: 0,
            tos: 0,
            src_as: 0,
            dst_as: 0,
            src_mask: 0,
            dst_mask: 0,
        }
    }
}

/// One datagram. More than [`RECORDS_MAX`] records are encoded as asked, for
/// tests of what a collector does with them.
pub fn encode(header: &Header, records: &[Record]) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + 48 * records.len());
    put_u16(&mut out, 5);
    put_u16(&mut out, octets_u16(records.len()));
    put_u32(&mut out, header.sys_uptime_ms);
    put_u32(&mut out, header.unix_secs);
    put_u32(&mut out, header.unix_nsecs);
    put_u32(&mut out, header.flow_sequence);
    out.extend_from_slice(&[header.engine_type, header.engine_id]);
    put_u16(&mut out, header.sampling_interval);
    for record in records {
        put_record(&mut out, record);
    }
    out
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    for addr in [record.src_addr, record.dst_addr, record.next_hop] {
        out.extend_from_slice(&addr.octets());
    }
    put_u16(out, record.input);
    put_u16(out, record.output);
    put_u32(out, record.packets);
    put_u32(out, record.bytes);
    put_u32(out, record.first_ms);
    put_u32(out, record.last_ms);
    put_u16(out, record.src_port);
    put_u16(out, record.dst_port);
    out.extend_from_slice(&[0, record.tcp_flags, record.protocol, record.tos]);
    put_u16(out, record.src_as);
    put_u16(out, record.dst_as);
    out.extend_from_slice(&[record.src_mask, record.dst_mask, 0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::unhex;

    #[track_caller]
    fn check(header: &Header, records: &[Record], expected: &str) {
        assert_eq!(encode(header, records), unhex(expected));
    }

    #[test]
    fn header_alone() {
        let header = Header {
            sys_uptime_ms: 0x0102_0304,
            unix_secs: 0x5569_9d7f,
            unix_nsecs: 0x1dcd_6500,
            flow_sequence: 7,
            engine_type: 0xcc,
            engine_id: 0x3e,
            sampling_interval: 0x400a,
        };
        check(&header, &[], "0005 0000 01020304 55699d7f 1dcd6500 00000007 cc 3e 400a");
    }

    #[test]
    fn every_field_has_its_place() {
        let record = Record {
            src_addr: Ipv4Addr::new(10, 0, 0, 1),
            dst_addr: Ipv4Addr::new(10, 0, 0, 2),
            next_hop: Ipv4Addr::new(10, 0, 0, 3),
            input: 0x1112,
            output: 0x1314,
            packets: 0x2122_2324,
            bytes: 0x3132_3334,
            first_ms: 0x4142_4344,
            last_ms: 0x5152_5354,
            src_port: 0x6162,
            dst_port: 0x6364,
            tcp_flags: 0x12,
            protocol: 6,
            tos: 0xb8,
            src_as: 0x7172,
            dst_as: 0x7374,
            src_mask: 24,
            dst_mask: 16,
        };
        check(
            &Header::default(),
            &[record],
            "0005 0001 00000000 00000000 00000000 00000000 0000 0000
             0a000001 0a000002 0a000003 1112 1314 21222324 31323334 41424344 51525354
             6162 6364 00 12 06 b8 7172 7374 18 10 0000",
        );
    }
}
