//! What of a record goes to which column.
//!
//! nfcapd has no NULL: where a group of fields is there, those the exporter did not send are
//! zero. Zero is stored for what every exporter sends (addresses, ports, counters, interfaces,
//! AS numbers, masks, type of service), and is NULL for the rest.

use std::collections::{BTreeMap, HashMap, HashSet};

use flow_common::addr::Addr16;
use flow_common::column::ColumnId;
use flow_common::element::ElementKey;
use flow_common::limits::{FIREWALL_CONNECTIONS_MAX, TABLE_ROWS_MAX};
use flow_common::proto::{Protocol, TCP};
use flow_common::tables::NameKind;
use flow_common::time::Timestamp;

use super::nfcapd::{
    ExporterInfo, Extension, FlowRecord, Named, Octets, Record, SamplerInfo, Statistics, application,
    counted, v4, v6,
};
use crate::write::{Cell, Rows, Told};

/// Counters were multiplied by a sampling rate when nfcapd received them.
const SAMPLED: u8 = 2;

/// The group that every flow has: times, counters, ports, protocol.
const GENERIC: u16 = 1;

/// nfcapd's number of sFlow, and ours.
const SFLOW: (u32, i64) = (9_999, 105);

/// Values of firewallEvent (233).
const CREATE: u8 = 1;
const TEARDOWN: u8 = 2;
const UPDATE: u8 = 5;

/// Groups of fields without a column, and what they are. Their fields that have an element go to
/// `other`.
const WITHOUT_COLUMN: [(u16, &str); 9] = [
    (28, "label"),
    (29, "payload"),
    (30, "payload of the reverse direction"),
    (34, "sFlow frame size"),
    (35, "sFlow frame"),
    (37, "packet filter log"),
    (40, "Nokia service ids"),
    (41, "Nokia subscriber"),
    (18, "sampler"),
];

/// Connections of firewalls of which an update was seen: their teardown tells again what the
/// updates told. They outlive files.
#[derive(Debug, Default)]
pub(crate) struct Connections(HashSet<([u8; 16], u32)>);

impl Connections {
    /// Whether sums count an event of a connection that has counters, or none.
    fn counts(&mut self, key: ([u8; 16], u32), event: u8, has_counted: bool) -> bool {
        match event {
            CREATE => {
                // Numbers are used again.
                self.0.remove(&key);
                false
            }
            UPDATE => {
                if self.0.len() >= FIREWALL_CONNECTIONS_MAX {
                    self.0.clear();
                }
                self.0.insert(key);
                has_counted
            }
            TEARDOWN => !self.0.remove(&key),
            _ => false,
        }
    }
}

/// Knows the exporters of a file, and counts.
#[derive(Debug, Default)]
pub(crate) struct Store {
    exporters: HashMap<u16, Exporter>,
    /// As nfcapd counts: every record, its counters as they are.
    pub(crate) counted: Counted,
    /// Records with a group of fields that has no column, by what it is.
    pub(crate) unstored: BTreeMap<&'static str, u64>,
    /// Records whose fields end too early.
    pub(crate) malformed: u64,
    /// Names of numbers, and longer ones.
    pub(crate) names: BTreeMap<(NameKind, i64), (String, String)>,
    pub(crate) samplers: Vec<SamplerInfo>,
    entries: Vec<(i64, Vec<u8>)>,
}

#[derive(Debug, Clone, Copy)]
struct Exporter {
    version: u32,
    addr: [u8; 16],
    domain: u32,
    /// What nfcapd counted of it.
    datagrams: u64,
    gaps: u64,
}

/// Sums over the records of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) records: u64,
    /// Flows exporters aggregated into them.
    pub(crate) flows: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Of the other direction.
    out_packets: u64,
    out_bytes: u64,
}

impl Counted {
    /// Whether nfcapd or nfdump would have counted the same: they differ in whether
    /// aggregated flows and the other direction count.
    pub(crate) fn agrees(&self, statistics: &Statistics) -> bool {
        let Self { records, flows, packets, bytes, out_packets, out_bytes } = *self;
        let both = (packets.wrapping_add(out_packets), bytes.wrapping_add(out_bytes));
        [records, flows].contains(&statistics.flows)
            && [(packets, bytes), both].contains(&(statistics.packets, statistics.bytes))
    }
}

/// What of a record is known once all its fields are.
#[derive(Debug, Default)]
struct Known {
    protocol: u8,
    firewall_event: u8,
    /// The number of the event's connection.
    connection: u32,
    nat_event: u8,
    has_counted: bool,
    exporter: Option<[u8; 16]>,
    domain: Option<u32>,
    first_ms: u64,
    last_ms: u64,
    flows: u64,
}

/// Whether a field that ends a group is there: `None` where the group is too short.
type Stored = Option<()>;

impl Store {
    /// Remembers an exporter, for the flows that come after it.
    fn exporter(&mut self, info: &ExporterInfo) {
        let ExporterInfo { version, addr, domain, .. } = *info;
        let exporter = Exporter { version, addr, domain, datagrams: 0, gaps: 0 };
        self.exporters.insert(info.number, exporter);
    }

    /// Exporters by their number: address, version, domain.
    pub(crate) fn known_exporters(&self) -> impl Iterator<Item = (u16, ([u8; 16], i32, u32))> + '_ {
        self.exporters.iter().map(|(&number, exporter)| {
            let version = if exporter.version == SFLOW.0 { SFLOW.1 } else { i64::from(exporter.version) };
            (number, (exporter.addr, i32::try_from(version).unwrap_or(0), exporter.domain))
        })
    }

    /// Remembers what a record says that is no flow.
    pub(crate) fn told(&mut self, record: &Record<'_>) {
        match record {
            Record::Exporter(info) => self.exporter(info),
            Record::Sampler(info) if self.samplers.len() < TABLE_ROWS_MAX => self.samplers.push(*info),
            Record::Names(table) => {
                let named = table.iter().filter(|named| !named.name.is_empty());
                for Named { id, name, description } in named {
                    if self.names.len() < TABLE_ROWS_MAX {
                        self.names.insert((table.kind, id), (name, description));
                    }
                }
            }
            Record::Counted(record) => {
                for one in counted(*record) {
                    if let Some(exporter) = self.exporters.get_mut(&one.exporter) {
                        exporter.datagrams = exporter.datagrams.saturating_add(one.datagrams);
                        exporter.gaps = exporter.gaps.saturating_add(one.gaps);
                    }
                }
            }
            Record::Flow(_) | Record::Sampler(_) | Record::Other => {}
        }
    }

    /// What nfcapd counted of the file's exporters.
    pub(crate) fn exporters_counted(&self) -> Vec<Told> {
        let told = self.known_exporters().filter_map(|(number, (addr, version, domain))| {
            let Exporter { datagrams, gaps, .. } = self.exporters.get(&number)?;
            let version = u16::try_from(version).ok()?;
            let domain = matches!(version, 9 | 10).then_some(domain);
            Some(Told { addr: Addr16(addr).to_ip(), version, domain, datagrams: *datagrams, gaps: *gaps })
        });
        told.filter(|told| (told.datagrams, told.gaps) != (0, 0)).collect()
    }

    /// Stores a flow; one that tells no time of its own came at `created_secs`.
    pub(crate) fn flow(
        &mut self,
        flow: &FlowRecord<'_>,
        created_secs: u64,
        connections: &mut Connections,
        rows: &mut Rows,
    ) {
        let mut known = Known::default();
        self.entries.clear();
        let mut is_malformed = false;
        for extension in flow.extensions() {
            let stored = match extension {
                Ok(extension) => self.extension(extension, &mut known, rows),
                Err(_) => None,
            };
            is_malformed |= stored.is_none();
        }
        self.malformed += u64::from(is_malformed);
        let addr = self.header(flow, &known, rows);
        rows.set_int(ColumnId::Received, received(flow, created_secs).0);
        for (column, ms) in [(ColumnId::FlowStart, known.first_ms), (ColumnId::FlowEnd, known.last_ms)] {
            if ms > 0 {
                rows.set_int(column, micros(ms, 1_000));
            }
        }
        let contributes = match (known.firewall_event, known.nat_event) {
            (0, 0) => None,
            (0, _) => (!known.has_counted).then_some(0),
            (event, _) => {
                let counts = connections.counts((addr, known.connection), event, known.has_counted);
                Some(i64::from(counts))
            }
        };
        if let Some(contributes) = contributes {
            rows.set_int(ColumnId::Contributes, contributes);
        }
        if !self.entries.is_empty() {
            self.entries.sort_by_key(|entry| entry.0);
            let entries: Vec<_> = self.entries.iter().map(|(key, octets)| (*key, &octets[..])).collect();
            rows.set(ColumnId::Other, Cell::Entries(&entries));
        }
        rows.end_row();
        self.counted.records += 1;
        self.counted.flows = self.counted.flows.saturating_add(known.flows.max(1));
    }

    /// What the header says; returns the exporter's address.
    fn header(&self, flow: &FlowRecord<'_>, known: &Known, rows: &mut Rows) -> [u8; 16] {
        let told = self.exporters.get(&flow.exporter);
        let version = match told {
            Some(exporter) if exporter.version == SFLOW.0 => SFLOW.1,
            Some(exporter) if flow.version == 0 => i64::from(exporter.version),
            _ => i64::from(flow.version),
        };
        rows.set_int(ColumnId::ExportVersion, i32::try_from(version).unwrap_or(0));
        let addr = known.exporter.or(told.map(|exporter| exporter.addr)).unwrap_or_default();
        rows.set(ColumnId::ExporterAddr, Cell::Octets(&addr));
        let has_domain = matches!(version, 9 | 10);
        let domain = told.filter(|_| has_domain).map(|exporter| exporter.domain).or(known.domain);
        if let Some(domain) = domain {
            rows.set_int(ColumnId::ObservationDomain, domain);
        }
        // Of v9 and IPFIX nfcapd makes them of the domain.
        if !has_domain {
            rows.set_int(ColumnId::EngineType, flow.engine_type);
            rows.set_int(ColumnId::EngineId, flow.engine_id);
        }
        if flow.flags & SAMPLED > 0 {
            // They are not to be multiplied again by what a side table says.
            rows.set_int(ColumnId::SamplingRate, 1);
        }
        addr
    }

    fn other(&mut self, element: u16, octets: &[u8]) {
        if octets.iter().any(|&octet| octet > 0) {
            self.entries.push((ElementKey::iana(element).to_other_key(0), octets.to_vec()));
        }
    }

    /// The table of extensions, a line or two each.
    fn extension(&mut self, extension: Extension<'_>, known: &mut Known, rows: &mut Rows) -> Stored {
        use ColumnId as C;
        let Extension { id, octets: x } = extension;
        match id {
            GENERIC => self.generic(x, known, rows)?,
            2 => pair(rows, [C::SrcAddr, C::DstAddr], [v4(x.u32(0)?), v4(x.u32(4)?)]),
            3 => pair(rows, [C::SrcAddr, C::DstAddr], [six(x, 0)?, six(x, 16)?]),
            4 => {
                rows.set_int(C::InIf, x.u32(0)?);
                rows.set_int(C::OutIf, x.u32(4)?);
                rows.set_int(C::SrcMask, x.u8(8)?);
                rows.set_int(C::DstMask, x.u8(9)?);
                let told = [C::Direction, C::DstTos, C::BiflowDirection, C::EndReason];
                nonzero(rows, told, [x.u8(10)?, x.u8(11)?, x.u8(12)?, x.u8(13)?]);
            }
            5 => self.counters(x, known, rows)?,
            6 => nonzero(rows, [C::Vlan, C::PostVlan], [x.u32(0)?, x.u32(4)?]),
            7 => {
                rows.set_int(C::SrcAs, x.u32(0)?);
                rows.set_int(C::DstAs, x.u32(4)?);
            }
            8 => address(rows, C::BgpNextHop, v4(x.u32(0)?)),
            9 => address(rows, C::BgpNextHop, six(x, 0)?),
            10 => address(rows, C::NextHop, v4(x.u32(0)?)),
            11 => address(rows, C::NextHop, six(x, 0)?),
            12 => known.exporter = Some(v4(x.u32(0)?)),
            13 => known.exporter = Some(six(x, 0)?),
            14 => labels(x, rows)?,
            15 => {
                for (at, column) in [C::InSrcMac, C::OutDstMac, C::InDstMac, C::OutSrcMac].iter().enumerate()
                {
                    let [_, _, mac @ ..] = x.u64(8 * at)?.to_be_bytes();
                    if mac != [0; 6] {
                        rows.set(*column, Cell::Octets(&mac));
                    }
                }
            }
            16 => nonzero(rows, [C::NextAs, C::PrevAs], [x.u32(0)?, x.u32(4)?]),
            17 => {
                for (at, column) in [C::ClientLatency, C::ServerLatency, C::AppLatency].iter().enumerate() {
                    counter(rows, *column, x.u64(8 * at)?);
                }
            }
            19 => {
                time(rows, C::EventTime, x.u64(0)?);
                nonzero(rows, [C::FlowId, C::FirewallExtEvent], [x.u32(8)?, u32::from(x.u16(12)?)]);
                known.connection = x.u32(8)?;
                known.firewall_event = x.u8(14)?;
                rows.set_int(C::FirewallEvent, known.firewall_event);
            }
            20 => {
                pair(rows, [C::PostNatSrcAddr, C::PostNatDstAddr], [v4(x.u32(0)?), v4(x.u32(4)?)]);
            }
            21 => pair(rows, [C::PostNatSrcAddr, C::PostNatDstAddr], [six(x, 0)?, six(x, 16)?]),
            22 => nonzero(rows, [C::PostNatSrcPort, C::PostNatDstPort], [x.u16(0)?, x.u16(2)?]),
            23 => {
                for (at, column) in [(0, C::IngressAcl), (12, C::EgressAcl)] {
                    let ids = [x.u32(at)?, x.u32(at + 4)?, x.u32(at + 8)?].map(u32::to_be_bytes);
                    if ids != [[0; 4]; 3] {
                        rows.set(column, Cell::Octets(&ids.concat()));
                    }
                }
            }
            24 => text(rows, C::Username, x.0),
            25 => self.nat(x, known, rows)?,
            26 => {
                let columns = [C::PortBlockStart, C::PortBlockEnd, C::PortBlockStep, C::PortBlockSize];
                nonzero(rows, columns, [x.u16(0)?, x.u16(2)?, x.u16(4)?, x.u16(6)?]);
            }
            27 => rows.set_int(C::ApplicationId, application(x.0)?),
            31 | 32 => {
                let (addrs, at) = match id {
                    31 => ([v4(x.u32(0)?), v4(x.u32(4)?)], 8),
                    _ => ([six(x, 0)?, six(x, 16)?], 32),
                };
                pair(rows, [C::TunnelSrcAddr, C::TunnelDstAddr], addrs);
                nonzero(rows, [C::TunnelProtocol], [x.u32(at)?]);
            }
            33 => {
                counter(rows, C::ObservationPoint, x.u64(0)?);
                let domain = x.u32(8)?;
                known.domain = Some(domain).filter(|&domain| domain > 0);
                self.other(149, &domain.to_be_bytes());
            }
            36 => nonzero(rows, [C::EgressVrf, C::IngressVrf], [x.u32(0)?, x.u32(4)?]),
            38 => self.layer2(x, rows)?,
            39 => counter(rows, C::FlowId, x.u64(0)?),
            42 => {
                self.other(197, &[x.u8(1)?]);
                nonzero(rows, [C::MinTtl, C::MaxTtl], [x.u8(2)?, x.u8(3)?]);
            }
            id => {
                let what =
                    WITHOUT_COLUMN.iter().find(|known| known.0 == id).map_or("unknown", |known| known.1);
                *self.unstored.entry(what).or_default() += 1;
            }
        }
        Some(())
    }

    fn generic(&mut self, x: Octets<'_>, known: &mut Known, rows: &mut Rows) -> Stored {
        (known.first_ms, known.last_ms) = (x.u64(0)?, x.u64(8)?);
        let (packets, bytes) = (x.u64(24)?, x.u64(32)?);
        known.has_counted |= packets > 0 || bytes > 0;
        self.counted.packets = self.counted.packets.wrapping_add(packets);
        self.counted.bytes = self.counted.bytes.wrapping_add(bytes);
        for (column, element, value) in [(ColumnId::Packets, 2, packets), (ColumnId::Bytes, 1, bytes)] {
            match i64::try_from(value) {
                Ok(value) => rows.set_int(column, value),
                Err(_) => self.other(element, &value.to_be_bytes()),
            }
        }
        let (src_port, dst_port) = (x.u16(40)?, x.u16(42)?);
        known.protocol = x.u8(44)?;
        rows.set_int(ColumnId::SrcPort, src_port);
        rows.set_int(ColumnId::DstPort, dst_port);
        rows.set_int(ColumnId::Protocol, known.protocol);
        if Protocol(known.protocol).is_icmp() {
            rows.set_int(ColumnId::IcmpType, dst_port >> 8);
            rows.set_int(ColumnId::IcmpCode, dst_port & 0xff);
        }
        let flags = x.u8(45)?;
        if known.protocol == TCP || flags > 0 {
            rows.set_int(ColumnId::TcpFlags, flags);
        }
        nonzero(rows, [ColumnId::ForwardingStatus], [x.u8(46)?]);
        rows.set_int(ColumnId::SrcTos, x.u8(47)?);
        Some(())
    }

    fn counters(&mut self, x: Octets<'_>, known: &mut Known, rows: &mut Rows) -> Stored {
        let (flows, packets, bytes) = (x.u64(0)?, x.u64(8)?, x.u64(16)?);
        known.flows = flows;
        counter(rows, ColumnId::FlowCount, flows);
        self.counted.out_packets = self.counted.out_packets.wrapping_add(packets);
        self.counted.out_bytes = self.counted.out_bytes.wrapping_add(bytes);
        if packets > 0 || bytes > 0 {
            known.has_counted = true;
            let columns = [(ColumnId::OutPackets, 24, packets), (ColumnId::OutBytes, 23, bytes)];
            for (column, element, value) in columns {
                match i64::try_from(value) {
                    Ok(value) => rows.set_int(column, value),
                    Err(_) => self.other(element, &value.to_be_bytes()),
                }
            }
        }
        Some(())
    }

    fn nat(&mut self, x: Octets<'_>, known: &mut Known, rows: &mut Rows) -> Stored {
        // Old files have both VRFs in between.
        const WITH_VRFS: usize = 24;
        time(rows, ColumnId::EventTime, x.u64(0)?);
        let mut at = 8;
        if x.0.len() >= WITH_VRFS {
            nonzero(rows, [ColumnId::EgressVrf, ColumnId::IngressVrf], [x.u32(8)?, x.u32(12)?]);
            at = 16;
        }
        self.other(283, &x.u32(at)?.to_be_bytes());
        known.nat_event = x.u8(at + 4)?;
        rows.set_int(ColumnId::NatEvent, known.nat_event);
        Some(())
    }

    fn layer2(&mut self, x: Octets<'_>, rows: &mut Rows) -> Stored {
        use ColumnId as C;
        let vlans = [C::Vlan, C::CustomerVlan, C::PostVlan, C::PostCustomerVlan];
        nonzero(rows, vlans, [x.u16(0)?, x.u16(2)?, x.u16(4)?, x.u16(6)?]);
        self.other(252, &x.u32(8)?.to_be_bytes());
        self.other(253, &x.u32(12)?.to_be_bytes());
        counter(rows, C::Vni, x.u64(16)? & 0xff_ffff);
        nonzero(rows, [C::EtherType], [x.u16(24)?]);
        nonzero(rows, [C::IpVersion], [x.u8(26)?]);
        Some(())
    }
}

/// When a flow was received; where nfcapd did not store it when it ended or began, and at last
/// when its file was created.
pub(crate) fn received(flow: &FlowRecord<'_>, created_secs: u64) -> Timestamp {
    let generic = flow.extensions().flatten().find(|extension| extension.id == GENERIC);
    let ms = generic.and_then(|Extension { octets: x, .. }| {
        [16, 8, 0].into_iter().find_map(|at| x.u64(at).filter(|&ms| ms > 0))
    });
    Timestamp(ms.map_or(micros(created_secs, 1_000_000), |ms| micros(ms, 1_000)))
}

fn micros(count: u64, factor: i64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(factor)
}

fn time(rows: &mut Rows, column: ColumnId, ms: u64) {
    if ms > 0 {
        rows.set_int(column, micros(ms, 1_000));
    }
}

fn six(x: Octets<'_>, at: usize) -> Option<[u8; 16]> {
    Some(v6(x.u64(at)?, x.u64(at + 8)?))
}

fn address(rows: &mut Rows, column: ColumnId, addr: [u8; 16]) {
    rows.set(column, Cell::Octets(&addr));
}

fn pair(rows: &mut Rows, columns: [ColumnId; 2], addrs: [[u8; 16]; 2]) {
    for (column, addr) in columns.into_iter().zip(addrs) {
        address(rows, column, addr);
    }
}

fn nonzero<T: Into<i64>, const N: usize>(rows: &mut Rows, columns: [ColumnId; N], values: [T; N]) {
    for (column, value) in columns.into_iter().zip(values.map(Into::into)) {
        if value != 0 {
            rows.set_int(column, value);
        }
    }
}

/// A number of 64 bits that is not zero; one beyond the column's is none.
fn counter(rows: &mut Rows, column: ColumnId, value: u64) {
    if let Ok(value @ 1..) = i64::try_from(value) {
        rows.set_int(column, value);
    }
}

/// A label stack; what it does not need is zero.
fn labels(x: Octets<'_>, rows: &mut Rows) -> Stored {
    let mut labels = Vec::with_capacity(10);
    for at in 0..10 {
        labels.push((x.u32(4 * at)? & 0xff_ffff) as i32);
    }
    while labels.last() == Some(&0) {
        labels.pop();
    }
    rows.set(ColumnId::MplsLabels, Cell::Labels(&labels));
    Some(())
}

/// Octets up to the first that is zero.
fn text(rows: &mut Rows, column: ColumnId, octets: &[u8]) {
    let text = super::nfcapd::text(octets);
    if !text.is_empty() {
        rows.set(column, Cell::Octets(text.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::nfcapd::records;

    /// A flow record with one extension, of numbers and their widths.
    fn record(id: u16, fields: &[(u64, usize)]) -> Vec<u8> {
        let octets: Vec<u8> =
            fields.iter().flat_map(|&(value, width)| value.to_le_bytes()[..width].to_vec()).collect();
        let length = 4 + octets.len() as u16;
        let mut record = vec![11, 0];
        record.extend((12 + length).to_le_bytes());
        record.extend([1, 0, 3, 4, 7, 0, 0, 10]);
        record.extend(id.to_le_bytes());
        record.extend(length.to_le_bytes());
        record.extend(octets);
        record
    }

    fn stored(id: u16, fields: &[(u64, usize)]) -> (Store, Rows) {
        let (mut store, mut rows) = (Store::default(), Rows::new(&[]));
        let octets = record(id, fields);
        let Some(Ok(Record::Flow(flow))) = records(&octets).next() else { panic!("no flow") };
        store.flow(&flow, 1_000, &mut Connections::default(), &mut rows);
        (store, rows)
    }

    /// What is stored of an extension, without the columns every row has.
    #[track_caller]
    fn check(id: u16, fields: &[(u64, usize)], expected: &str) {
        let (store, mut rows) = stored(id, fields);
        let batch = rows.take().unwrap();
        let mut shown: Vec<String> = batch
            .schema()
            .fields()
            .iter()
            .zip(batch.columns())
            .filter(|(field, array)| field.is_nullable() && array.null_count() == 0)
            .map(|(field, array)| {
                let value = arrow_array::RecordBatch::try_from_iter([("a", array.clone())]).unwrap();
                let value = format!("{:?}", value.column(0));
                let value: String = value.lines().skip(2).map(str::trim).collect();
                format!(
                    "{}={}",
                    field.name(),
                    value.trim_end_matches(&[',', ']'][..]).trim_start_matches('[')
                )
            })
            .collect();
        shown.extend(store.unstored.keys().map(|what| format!("no column: {what}")));
        shown.extend((store.malformed > 0).then(|| "too short".to_owned()));
        assert_eq!(shown.join(" "), expected, "extension {id}");
    }

    #[test]
    fn fields_go_to_their_columns() {
        check(5, &[(3, 8), (7, 8), (900, 8)], "out_packets=7 out_bytes=900 flows=3");
        check(5, &[(1, 8), (0, 8), (0, 8)], "flows=1");
        check(6, &[(100, 4), (0, 4)], "vlan=100");
        check(16, &[(65_001, 4), (65_002, 4)], "prev_as=65002 next_as=65001");
        check(17, &[(1_000, 8), (0, 8), (5, 8)], "client_latency=1000 app_latency=5");
        check(24, &[(0x006e_6e61, 8)], "username=\"ann\"");
        check(
            26,
            &[(1_024, 2), (2_047, 2), (1, 2), (1_024, 2)],
            "port_block_start=1024 port_block_end=2047 port_block_step=1 port_block_size=1024",
        );
        check(27, &[(3, 1), (0, 1), (0x5000, 2)], "application_id=12884901968");
        check(33, &[(5, 8), (0, 4)], "observation_point=5");
        check(36, &[(8, 4), (9, 4)], "ingress_vrf=9 egress_vrf=8");
        check(39, &[(77, 8)], "flow_id=77");
        check(42, &[(0, 1), (0, 1), (3, 1), (64, 1)], "min_ttl=3 max_ttl=64");
        check(28, &[(0x61, 1)], "no column: label");
        check(99, &[], "no column: unknown");
        check(6, &[(100, 4)], "too short");
    }

    #[test]
    fn events_count_where_their_kind_does() {
        let nsel = |event: u64| [(5, 8), (77, 4), (1_001, 2), (event, 1), (0, 1)];
        for (event, contributes) in [(1, 0), (2, 1), (3, 0), (5, 0)] {
            let (_, rows) = stored(19, &nsel(event));
            assert_eq!(rows.int(ColumnId::Contributes, 0), Some(contributes), "event {event}");
            assert_eq!(rows.int(ColumnId::EventTime, 0), Some(5_000));
            assert_eq!(rows.int(ColumnId::FlowId, 0), Some(77));
        }
        // A connection of which updates were seen is told again by its teardown.
        let mut connections = Connections::default();
        let mut counts = |event, has_counted| connections.counts(([7; 16], 77), event, has_counted);
        let events = [
            (UPDATE, true),
            (TEARDOWN, true),
            (TEARDOWN, true),
            (UPDATE, false),
            (CREATE, false),
            (TEARDOWN, true),
        ];
        assert_eq!(
            events.map(|(event, has_counted)| counts(event, has_counted)),
            [true, false, true, false, false, true]
        );
        // NAT events, with and without VRFs between.
        for fields in
            [&[(5, 8), (9, 4), (1, 1), (0, 3)][..], &[(5, 8), (3, 4), (4, 4), (9, 4), (1, 1), (0, 3)]]
        {
            let (_, rows) = stored(25, fields);
            assert_eq!(rows.int(ColumnId::NatEvent, 0), Some(1));
            assert_eq!(rows.int(ColumnId::Contributes, 0), Some(0));
            assert_eq!(rows.int(ColumnId::EgressVrf, 0), (fields.len() > 4).then_some(3));
        }
    }
}
