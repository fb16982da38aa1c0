//! The 78 flows of `testdata/lab-78-flows.tsv`: from the table into NetFlow
//! version 5, so that a test can ask whether they come out as they went in.

use std::net::Ipv4Addr;

use crate::packet::v5;

/// Uptime of the imagined exporter when its first flow began, milliseconds.
const UPTIME_AT_FIRST_FLOW_MS: u64 = 3_600_000;

/// From the end of the last flow of a datagram to its export, milliseconds.
/// Not a whole second, so that `unix_nsecs` is needed to get the times right.
const EXPORT_DELAY_MS: u64 = 1_250;

/// Days from 0000-03-01 to 1970-01-01.
const YEAR_0_TO_1970_DAYS: u64 = 719_468;

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// First packet, milliseconds since 1970.
    pub start_ms: u64,
    /// First to last packet, milliseconds.
    pub duration_ms: u64,
    /// IP protocol number.
    pub protocol: u8,
    /// Source address.
    pub src_addr: Ipv4Addr,
    /// Source port, 0 for ICMP.
    pub src_port: u16,
    /// Destination address.
    pub dst_addr: Ipv4Addr,
    /// Destination port; for ICMP the type in the high octet, the code in the low.
    pub dst_port: u16,
    /// Packets.
    pub packets: u32,
    /// Octets, of layer 2 with this exporter.
    pub bytes: u32,
}

impl Flow {
    /// Last packet, milliseconds since 1970.
    pub fn end_ms(&self) -> u64 {
        self.start_ms + self.duration_ms
    }
}

/// The flows of the table in its order; the heading and lines that are not
/// flows are left out.
pub fn flows(tsv: &str) -> Vec<Flow> {
    tsv.lines().filter_map(flow).collect()
}

/// The flows as records of an exporter that started at `boot_ms` (milliseconds
/// since 1970).
pub fn records(flows: &[Flow], boot_ms: u64) -> Vec<v5::Record> {
    flows.iter().map(|flow| record(flow, boot_ms)).collect()
}

/// The flows as NetFlow version 5 datagrams of up to 30 records, in order.
///
/// Each header states the time of export to the millisecond, so that
/// `export - sys_uptime + first` is exactly the time in the table.
pub fn datagrams(flows: &[Flow]) -> Vec<Vec<u8>> {
    let Some(first_start_ms) = flows.iter().map(|flow| flow.start_ms).min() else {
        return Vec::new();
    };
    let boot_ms = first_start_ms.saturating_sub(UPTIME_AT_FIRST_FLOW_MS);
    let mut flow_sequence = 0;
    let mut out = Vec::new();
    for chunk in flows.chunks(v5::RECORDS_MAX) {
        let end_ms = chunk.iter().map(Flow::end_ms).max().unwrap_or(first_start_ms);
        let export_ms = end_ms + EXPORT_DELAY_MS;
        let header = v5::Header {
            sys_uptime_ms: wire_u32(export_ms - boot_ms),
            unix_secs: wire_u32(export_ms / 1_000),
            unix_nsecs: wire_u32(export_ms % 1_000 * 1_000_000),
            flow_sequence,
            ..v5::Header::default()
        };
        out.push(v5::encode(&header, &records(chunk, boot_ms)));
        flow_sequence += wire_u32(chunk.len() as u64);
    }
    out
}

fn record(flow: &Flow, boot_ms: u64) -> v5::Record {
    v5::Record {
        src_addr: flow.src_addr,
        dst_addr: flow.dst_addr,
        packets: flow.packets,
        bytes: flow.bytes,
        first_ms: wire_u32(flow.start_ms - boot_ms),
        last_ms: wire_u32(flow.end_ms() - boot_ms),
        src_port: flow.src_port,
        dst_port: flow.dst_port,
        protocol: flow.protocol,
        ..v5::Record::default()
    }
}

fn wire_u32(value: u64) -> u32 {
    u32::try_from(value).expect("the lab ran for seconds, long before 2106")
}

/// Columns: start, duration_s, protocol, source, destination, packets, bytes,
/// flows.
fn flow(line: &str) -> Option<Flow> {
    let mut columns = line.split('\t');
    let start_ms = utc_ms(columns.next()?)?;
    let duration_ms = decimal_ms(columns.next()?)?;
    let protocol = match columns.next()? {
        "ICMP" => 1,
        "TCP" => 6,
        "UDP" => 17,
        _ => return None,
    };
    let (src_addr, src_port) = endpoint(columns.next()?)?;
    let (dst_addr, dst_port) = endpoint(columns.next()?)?;
    let packets = columns.next()?.parse().ok()?;
    let bytes = columns.next()?.parse().ok()?;
    Some(Flow { start_ms, duration_ms, protocol, src_addr, src_port, dst_addr, dst_port, packets, bytes })
}

/// `address:port`, or `address:type.code` for ICMP.
fn endpoint(text: &str) -> Option<(Ipv4Addr, u16)> {
    let (addr, port) = text.split_once(':')?;
    let port = match port.split_once('.') {
        Some((kind, code)) => u16::from_be_bytes([kind.parse().ok()?, code.parse().ok()?]),
        None => port.parse().ok()?,
    };
    Some((addr.parse().ok()?, port))
}

/// `2015-05-30T11:22:39.400Z` in milliseconds since 1970.
fn utc_ms(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let hours: u64 = time.next()?.parse().ok()?;
    let minutes: u64 = time.next()?.parse().ok()?;
    let second_ms = decimal_ms(time.next()?)?;
    let days = days_since_1970(year, month, day)?;
    Some(((days * 24 + hours) * 60 + minutes) * 60_000 + second_ms)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years counted from March put the leap day at the end of the year.
    let year = if month <= 2 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + day - 1;
    let days_since_year_0 = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    Some(days_since_year_0 - YEAR_0_TO_1970_DAYS)
}

/// Seconds with exactly three decimals, `0.004`, in milliseconds.
fn decimal_ms(text: &str) -> Option<u64> {
    let (secs, millis) = text.split_once('.')?;
    if millis.len() != 3 {
        return None;
    }
    Some(secs.parse::<u64>().ok()? * 1_000 + millis.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = include_str!("../../testdata/lab-78-flows.tsv");

    #[track_caller]
    fn check(line: &str, expected: Option<Flow>) {
        assert_eq!(flows(line).first().copied(), expected);
    }

    #[test]
    fn lines() {
        let icmp = Flow {
            start_ms: 1_432_984_959_471,
            duration_ms: 4,
            protocol: 1,
            src_addr: Ipv4Addr::new(192, 168, 10, 8),
            src_port: 0,
            dst_addr: Ipv4Addr::new(192, 168, 10, 9),
            dst_port: 0x0800,
            packets: 1,
            bytes: 98,
        };
        check(
            "2015-05-30T11:22:39.471Z\t0.004\tICMP\t192.168.10.8:0\t192.168.10.9:8.0\t1\t98\t1",
            Some(icmp),
        );
        check("start\tduration_s\tprotocol\tsource\tdestination\tpackets\tbytes\tflows", None);
        check("2015-05-30T11:22:39.471Z\t0.004\tICMP\t192.168.10.8:0", None);
        check("", None);
    }

    #[test]
    fn days() {
        let days = [(1970, 1, 1, 0), (2000, 2, 29, 11_016), (2000, 3, 1, 11_017)];
        for (year, month, day, expected) in days {
            assert_eq!(days_since_1970(year, month, day), Some(expected));
        }
        assert_eq!(days_since_1970(1969, 12, 31), None);
    }

    #[test]
    fn the_table_is_complete() {
        let flows = flows(TABLE);
        let of_protocol = |n| flows.iter().filter(|flow| flow.protocol == n).count();
        assert_eq!((flows.len(), of_protocol(1)), (78, 8));
        assert_eq!((of_protocol(6), of_protocol(17)), (68, 2));
    }

    /// What a reader of the datagrams gets: wall clock of first and last packet.
    fn times_ms(datagram: &[u8]) -> Vec<(u64, u64)> {
        let u32_at = |offset: usize| {
            let octets = datagram[offset..offset + 4].try_into().expect("four octets");
            u64::from(u32::from_be_bytes(octets))
        };
        let export_ms = u32_at(8) * 1_000 + u32_at(12) / 1_000_000;
        let boot_ms = export_ms - u32_at(4);
        let records = (24..datagram.len()).step_by(48);
        records.map(|at| (boot_ms + u32_at(at + 24), boot_ms + u32_at(at + 28))).collect()
    }

    #[test]
    fn times_are_exact() {
        let flows = flows(TABLE);
        let datagrams = datagrams(&flows);
        assert_eq!(datagrams.iter().map(Vec::len).collect::<Vec<_>>(), [1464, 1464, 888]);
        let sequences: Vec<u8> = datagrams.iter().map(|datagram| datagram[19]).collect();
        assert_eq!(sequences, [0, 30, 60]);
        let expected: Vec<_> = flows.iter().map(|flow| (flow.start_ms, flow.end_ms())).collect();
        let got: Vec<_> = datagrams.iter().flat_map(|datagram| times_ms(datagram)).collect();
        assert_eq!(got, expected);
        assert_eq!(super::datagrams(&[]), Vec::<Vec<u8>>::new());
    }
}
