//! The cells every table and every counter needs, named and with their
//! fallbacks: what a row *is* as a flow.

use flow_common::addr::Addr16;
use flow_common::column::ColumnId;
use flow_common::proto::Protocol;

use crate::batch::{Batch, Cells};

/// Columns that say when a flow was.
pub(crate) const TIME_COLUMNS: [ColumnId; 3] = [ColumnId::Received, ColumnId::FlowStart, ColumnId::FlowEnd];
/// Columns that are counted.
pub(crate) const COUNTER_COLUMNS: [ColumnId; 4] =
    [ColumnId::Packets, ColumnId::Bytes, ColumnId::FlowCount, ColumnId::Contributes];
/// Columns that count the other direction.
pub(crate) const OUT_COLUMNS: [ColumnId; 2] = [ColumnId::OutPackets, ColumnId::OutBytes];
/// Columns that tell one flow from another: the 5-tuple, with ICMP's own.
pub(crate) const KEY_COLUMNS: [ColumnId; 7] = [
    ColumnId::Protocol,
    ColumnId::SrcAddr,
    ColumnId::DstAddr,
    ColumnId::SrcPort,
    ColumnId::DstPort,
    ColumnId::IcmpType,
    ColumnId::IcmpCode,
];

/// When flows of a batch were, with the fallbacks of display and statistics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times<'a> {
    received: Cells<'a>,
    flow_start: Cells<'a>,
    flow_end: Cells<'a>,
}

impl<'a> Times<'a> {
    pub(crate) fn new(batch: &'a Batch) -> Self {
        let [received, flow_start, flow_end] = TIME_COLUMNS.map(|id| batch.cells(id));
        Self { received, flow_start, flow_end }
    }

    /// Start of the flow; where it is NULL its end, else when it was received.
    pub(crate) fn first(&self, row: usize) -> Option<i64> {
        self.flow_start.int(row).or_else(|| self.flow_end.int(row)).or_else(|| self.received.int(row))
    }

    /// End of the flow; where it is NULL its start, else when it was received.
    pub(crate) fn last(&self, row: usize) -> Option<i64> {
        self.flow_end.int(row).or_else(|| self.flow_start.int(row)).or_else(|| self.received.int(row))
    }
}

/// Counters of one flow or of many, and their span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) flows: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Packets of the other direction, where those are asked for.
    pub(crate) out_packets: u64,
    /// Its octets.
    pub(crate) out_bytes: u64,
    /// Records that are events and no flows; their counters are not among these.
    pub(crate) events: u64,
    /// Earliest start, µs.
    pub(crate) first: Option<i64>,
    /// Latest end, µs.
    pub(crate) last: Option<i64>,
    /// Milliseconds that rates are over, where these are not those from first to last.
    pub(crate) over_ms: u64,
}

impl Counters {
    /// Whether this is one record that is an event and no flow.
    pub(crate) fn is_event(&self) -> bool {
        self.events > 0
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.events = self.events.saturating_add(other.events);
        self.flows = self.flows.saturating_add(other.flows);
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.out_packets = self.out_packets.saturating_add(other.out_packets);
        self.out_bytes = self.out_bytes.saturating_add(other.out_bytes);
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.into_iter().chain(other.last).max();
    }

    /// What tables show: flows, packets, octets, and per second or packet.
    pub(crate) fn shown(&self) -> [u64; 6] {
        [self.flows, self.packets, self.bytes, self.pps(), self.bps(), self.bpp()]
    }

    /// The other direction first.
    pub(crate) fn turned(&self) -> Self {
        Self {
            packets: self.out_packets,
            bytes: self.out_bytes,
            out_packets: self.packets,
            out_bytes: self.bytes,
            ..*self
        }
    }

    /// Both directions as one.
    pub(crate) fn of_both(&self) -> Self {
        Self {
            packets: self.packets.saturating_add(self.out_packets),
            bytes: self.bytes.saturating_add(self.out_bytes),
            out_packets: 0,
            out_bytes: 0,
            ..*self
        }
    }

    /// Milliseconds from first to last, 0 where the clock ran backwards.
    pub(crate) fn duration_ms(&self) -> u64 {
        let (Some(first), Some(last)) = (self.first, self.last) else { return 0 };
        u64::try_from(last.div_euclid(1_000).saturating_sub(first.div_euclid(1_000))).unwrap_or(0)
    }

    /// Milliseconds that rates are over.
    fn rate_ms(&self) -> u64 {
        if self.over_ms > 0 { self.over_ms } else { self.duration_ms() }
    }

    /// Bits per second, rounded down; 0 for an instant.
    pub(crate) fn bps(&self) -> u64 {
        per(self.bytes, 8_000, self.rate_ms())
    }

    /// Packets per second, rounded down; 0 for an instant.
    pub(crate) fn pps(&self) -> u64 {
        per(self.packets, 1_000, self.rate_ms())
    }

    /// Bytes per packet, rounded down; 0 without packets.
    pub(crate) fn bpp(&self) -> u64 {
        self.bytes.checked_div(self.packets).unwrap_or(0)
    }
}

fn per(count: u64, factor: u64, duration_ms: u64) -> u64 {
    let product = u128::from(count) * u128::from(factor);
    product.checked_div(duration_ms.into()).map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
}

/// The counted cells of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CounterCells<'a> {
    times: Times<'a>,
    packets: Cells<'a>,
    bytes: Cells<'a>,
    flows: Cells<'a>,
    contributes: Cells<'a>,
}

impl<'a> CounterCells<'a> {
    pub(crate) fn new(batch: &'a Batch) -> Self {
        let [packets, bytes, flows, contributes] = COUNTER_COLUMNS.map(|id| batch.cells(id));
        Self { times: Times::new(batch), packets, bytes, flows, contributes }
    }

    pub(crate) fn get(&self, row: usize) -> Counters {
        let (first, last) = (self.times.first(row), self.times.last(row));
        if self.contributes.int(row) == Some(0) {
            return Counters { events: 1, first, last, ..Counters::default() };
        }
        let count = |cells: Cells<'_>| cells.int(row).and_then(|value| u64::try_from(value).ok());
        Counters {
            flows: count(self.flows).unwrap_or(1),
            packets: count(self.packets).unwrap_or(0),
            bytes: count(self.bytes).unwrap_or(0),
            first,
            last,
            ..Counters::default()
        }
    }
}

/// The 5-tuple. NULL stays apart from 0. Numbers are as narrow as they are
/// stored: `-s record` holds one of these a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FiveTuple {
    pub(crate) protocol: Option<i32>,
    pub(crate) src_addr: Option<Addr16>,
    pub(crate) dst_addr: Option<Addr16>,
    pub(crate) src_port: Option<i32>,
    /// For ICMP type * 256 + code, from their own columns where those are there.
    pub(crate) dst_port: Option<i32>,
}

impl FiveTuple {
    /// ICMP type and code, where this is ICMP.
    pub(crate) fn icmp(&self) -> Option<(i32, i32)> {
        let port = self.dst_port.unwrap_or(0);
        is_icmp(self.protocol).then_some((port >> 8, port & 0xff))
    }
}

/// Whether a value of the column `protocol` is ICMP of either family.
pub(crate) fn is_icmp(protocol: Option<impl TryInto<u8>>) -> bool {
    protocol.and_then(|number| number.try_into().ok()).is_some_and(|number| Protocol(number).is_icmp())
}

/// The 5-tuples of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TupleCells<'a>([Cells<'a>; 7]);

impl<'a> TupleCells<'a> {
    pub(crate) fn new(batch: &'a Batch) -> Self {
        Self(KEY_COLUMNS.map(|id| batch.cells(id)))
    }

    pub(crate) fn get(&self, row: usize) -> FiveTuple {
        let [protocol, src_addr, dst_addr, src_port, dst_port, icmp_type, icmp_code] = self.0;
        let int = |cells: Cells<'_>| cells.int(row).and_then(|value| i32::try_from(value).ok());
        let mut tuple = FiveTuple {
            protocol: int(protocol),
            src_addr: src_addr.octets(row).map(Addr16),
            dst_addr: dst_addr.octets(row).map(Addr16),
            src_port: int(src_port),
            dst_port: int(dst_port),
        };
        if is_icmp(tuple.protocol)
            && let Some(icmp_type) = int(icmp_type)
        {
            tuple.dst_port = Some((icmp_type & 0xff) << 8 | int(icmp_code).unwrap_or(0) & 0xff);
        }
        tuple
    }
}
