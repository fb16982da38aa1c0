//! One row as a record: which of its columns a version can carry, and how, by the elements in
//! the table of columns.

use std::net::IpAddr;

use flow_common::addr::Addr16;
use flow_common::column::{COLUMNS, Column, ColumnId, Kind, Part, Source};
use flow_common::element::{AbstractDataType, ElementKey};
use flow_common::limits::REPLAY_RECORD_BYTES_MAX;
use flow_common::proto::{ICMP6, Protocol};

use super::Version;
use super::encode::{Field, Record, VARIABLE, has_uptime};
use crate::batch::{Batch, Cells};
use crate::columns::ColumnRef;
use crate::scaling::SCALED_COLUMNS;

/// Why a row is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unfit {
    /// v5 has no IPv6.
    Ipv6,
    /// v5 has 32 bits for counters.
    Counters,
    /// v5 tells times by an uptime of 49 days at most.
    Times,
    /// No datagram has room for it.
    Large,
    /// Nothing of it can be told.
    Empty,
}

impl Unfit {
    /// What so many of them are.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Ipv6 => "with IPv6 addresses",
            Self::Counters => "with counters beyond 32 bits",
            Self::Times => "that lasted longer than 34 days",
            Self::Large => "too large for a datagram",
            Self::Empty => "without anything that can be sent",
        }
    }
}

/// Element of the autonomous systems beyond 16 bits (RFC 6793 §4.2.2).
const AS_TRANS: u16 = 23_456;

/// IPFIX has 15 bits for an element; the highest says that an enterprise number follows.
const IPFIX_ID_MAX: u16 = 0x7fff;

/// The rows of a batch, to be made records of.
pub(super) struct Rows<'a> {
    batch: &'a Batch,
    version: Version,
    /// Columns of the table with a value in some row, those that are sent as elements.
    columns: Vec<(&'static Column, Cells<'a>)>,
    /// Those an operator defined, by their elements.
    extra: Vec<(ElementKey, AbstractDataType, Cells<'a>)>,
}

/// Columns that other fields are made of, or that nothing can carry.
const NOT_AS_ELEMENTS: [ColumnId; 14] = [
    ColumnId::Received,
    ColumnId::FlowStart,
    ColumnId::FlowEnd,
    ColumnId::TimeSource,
    ColumnId::Packets,
    ColumnId::Bytes,
    ColumnId::OutPackets,
    ColumnId::OutBytes,
    ColumnId::CounterKind,
    ColumnId::MplsLabels,
    ColumnId::ExportTime,
    ColumnId::ExporterAddr,
    ColumnId::ObservationDomain,
    ColumnId::Other,
];

impl<'a> Rows<'a> {
    pub(super) fn new(batch: &'a Batch, version: Version) -> Self {
        let is_sent = |column: &&'static Column| {
            !NOT_AS_ELEMENTS.contains(&column.id)
                && !column.sources.is_empty()
                && has_values(batch, column.id)
        };
        let columns = COLUMNS.iter().filter(is_sent).map(|column| (column, batch.cells(column.id))).collect();
        let extra = batch.extra().iter().filter_map(|one| {
            let (key, data_type) = one.element?;
            batch.has_values(one.column).then(|| (key, data_type, batch.cells(one.column)))
        });
        Self { batch, version, columns, extra: extra.collect() }
    }

    /// A number as exported: not multiplied by a rate.
    fn int(&self, column: ColumnId, row: usize) -> Option<i64> {
        let int = self.batch.cells(column).int(row);
        match self.batch.rate(row) {
            Some(rate) if SCALED_COLUMNS.contains(&column) => int.map(|int| int / rate),
            Some(rate) if column == ColumnId::SamplingRate => int.or(Some(rate)),
            _ => int,
        }
    }

    fn addr(&self, column: ColumnId, row: usize) -> Option<Addr16> {
        self.batch.cells(column).octets(row).map(Addr16)
    }

    /// A row as a record.
    pub(super) fn record(&self, row: usize) -> Result<Record, Unfit> {
        let received = self.int(ColumnId::Received, row).unwrap_or(0);
        // Seconds of 1970 to 2106 fit into a header.
        let exported = self.int(ColumnId::ExportTime, row).unwrap_or(received);
        let mut record = Record {
            received,
            exported: exported.clamp(0, i64::from(u32::MAX) * 1_000_000),
            ..Record::default()
        };
        if self.version == Version::V5 {
            self.fixed(row, &mut record)?;
            return Ok(record);
        }
        let domain = self.int(ColumnId::ObservationDomain, row);
        record.domain = domain.and_then(|domain| u32::try_from(domain).ok()).unwrap_or(0);
        let is_v6 = self.addr(ColumnId::SrcAddr, row).is_some_and(|addr| !addr.is_v4());
        let is_icmp6 = self.int(ColumnId::Protocol, row) == Some(i64::from(ICMP6));
        let other: Option<Vec<(i64, &[u8])>> =
            self.batch.cells(ColumnId::Other).entries(row).map(Iterator::collect);
        let other = other.unwrap_or_default();
        let told = other.iter().map(|(key, _)| ElementKey::from_other_key(*key).0).collect();
        let mut fields = Fields { version: self.version, told, record: &mut record };
        for &(column, cells) in &self.columns {
            let is_second = is_v6 && matches!(column.id, ColumnId::SrcMask | ColumnId::DstMask)
                || is_icmp6 && matches!(column.id, ColumnId::IcmpType | ColumnId::IcmpCode);
            let sources = column.sources.get(usize::from(is_second)..).unwrap_or_default();
            self.column(column, sources, cells, row, &mut fields);
        }
        for &(key, data_type, cells) in &self.extra {
            fields.defined(key, data_type, cells, row);
        }
        self.times(row, &mut fields);
        self.counters(row, &mut fields);
        if let Some(labels) = self.batch.cells(ColumnId::MplsLabels).labels(row) {
            for (source, label) in ColumnId::MplsLabels.column().sources.iter().zip(labels) {
                fields.put(source.key, 3, &label.to_be_bytes()[1..]);
            }
        }
        for (key, octets) in other {
            fields.octets(ElementKey::from_other_key(key).0, octets);
        }
        match record.octets.len() {
            0 => Err(Unfit::Empty),
            1..=REPLAY_RECORD_BYTES_MAX => Ok(record),
            _ => Err(Unfit::Large),
        }
    }

    fn column(
        &self,
        column: &Column,
        sources: &[Source],
        cells: Cells<'_>,
        row: usize,
        fields: &mut Fields<'_>,
    ) {
        match column.kind {
            Kind::Int32 | Kind::Int64 => {
                if let Some(int) = self.int(column.id, row) {
                    sources.iter().any(|source| fields.int(column, source, int));
                }
            }
            Kind::Timestamp => {
                let Some(ms) = cells.int(row).and_then(|micros| u64::try_from(micros.div_euclid(1_000)).ok())
                else {
                    return;
                };
                let of_ms = |source: &&Source| {
                    source
                        .key
                        .lookup()
                        .is_some_and(|known| known.data_type == AbstractDataType::DateTimeMilliseconds)
                };
                if let Some(source) = sources.iter().find(of_ms) {
                    fields.put(source.key, 8, &ms.to_be_bytes());
                }
            }
            Kind::Address => {
                let Some(addr) = cells.octets(row).map(Addr16) else { return };
                sources.iter().any(|source| fields.addr(source, addr));
            }
            Kind::Mac => {
                if let (Some(mac), Some(source)) = (cells.octets::<6>(row), sources.first()) {
                    fields.put(source.key, 6, &mac);
                }
            }
            Kind::Text => {
                if let (Some(text), Some(source)) = (cells.text(row), sources.first()) {
                    fields.text(source.key, text);
                }
            }
            Kind::Binary => {
                if let (Some(octets), Some(source)) = (cells.binary(row), sources.first()) {
                    fields.octets(source.key, octets);
                }
            }
            Kind::Float64 | Kind::Boolean | Kind::Labels | Kind::Other => {}
        }
    }

    /// When the flow was. What is only the time of an event or a message is told there.
    fn times(&self, row: usize, fields: &mut Fields<'_>) {
        if self.batch.cells(ColumnId::TimeSource).text(row).is_some() {
            return;
        }
        const TIMES: [(ColumnId, [u16; 3]); 2] =
            [(ColumnId::FlowStart, [22, 152, 154]), (ColumnId::FlowEnd, [21, 153, 155])];
        for (column, [uptime, millis, micros]) in TIMES {
            let Some(time) = self.int(column, row) else { continue };
            let is_whole = time.rem_euclid(1_000) == 0;
            let ms = time.div_euclid(1_000);
            match self.version {
                Version::V9 if has_uptime(fields.record.exported, time) => {
                    fields.record.uptimes.push((fields.record.octets.len(), time));
                    fields.put(ElementKey::iana(uptime), 4, &[0; 4]);
                }
                Version::Ipfix if !is_whole => {
                    fields.put(ElementKey::iana(micros), 8, &ntp(time).to_be_bytes());
                }
                _ => fields.put(ElementKey::iana(millis), 8, &ms.to_be_bytes()),
            }
        }
    }

    /// Counters by the elements of their family, see [`Source::family`].
    fn counters(&self, row: usize, fields: &mut Fields<'_>) {
        let kind = self.batch.cells(ColumnId::CounterKind).text(row);
        let ([packets, bytes], out) = match kind {
            Some("post") => ([24, 23], None),
            Some("total") => ([86, 85], None),
            Some("initiator") => ([298, 231], Some([299, 232])),
            _ => ([2, 1], Some([24, 23])),
        };
        let mut put = |column, element: u16| {
            let int = self.int(column, row).and_then(|int| u64::try_from(int).ok());
            int.map(|int| fields.put(ElementKey::iana(element), 8, &int.to_be_bytes())).is_some()
        };
        let is_told = put(ColumnId::Packets, packets) | put(ColumnId::Bytes, bytes);
        // Alone they would be taken for the counters of this direction.
        if let Some([packets, bytes]) = out.filter(|_| is_told) {
            put(ColumnId::OutPackets, packets);
            put(ColumnId::OutBytes, bytes);
        }
    }

    /// The 48 octets of v5.
    fn fixed(&self, row: usize, record: &mut Record) -> Result<(), Unfit> {
        let number = |column| self.int(column, row).unwrap_or(0);
        let wide = |column| u32::try_from(number(column)).map_err(|_| Unfit::Counters);
        let narrow = |column| u16::try_from(number(column)).unwrap_or(0);
        let octet = |column| u8::try_from(number(column)).unwrap_or(0);
        let v4 = |column| match self.addr(column, row).map(Addr16::to_ip) {
            Some(IpAddr::V4(addr)) => Ok(addr.octets()),
            None => Ok([0; 4]),
            Some(IpAddr::V6(_)) => Err(Unfit::Ipv6),
        };
        let system = |column| match number(column) {
            number @ 0..=0xffff => number as u16,
            _ => AS_TRANS,
        };
        let mut out = Vec::with_capacity(48);
        out.extend(v4(ColumnId::SrcAddr)?);
        out.extend(v4(ColumnId::DstAddr)?);
        out.extend(v4(ColumnId::NextHop).unwrap_or_default());
        out.extend(narrow(ColumnId::InIf).to_be_bytes());
        out.extend(narrow(ColumnId::OutIf).to_be_bytes());
        out.extend(wide(ColumnId::Packets)?.to_be_bytes());
        out.extend(wide(ColumnId::Bytes)?.to_be_bytes());
        let start = self.int(ColumnId::FlowStart, row).or(self.int(ColumnId::FlowEnd, row));
        let end = self.int(ColumnId::FlowEnd, row).or(start);
        // Some exporters send what was long ago; the header is dated by that.
        record.exported = end.filter(|&end| !has_uptime(record.exported, end)).unwrap_or(record.exported);
        for time in [start, end] {
            let time = time.unwrap_or(record.exported);
            if !has_uptime(record.exported, time) {
                return Err(Unfit::Times);
            }
            record.uptimes.push((out.len(), time));
            out.extend([0; 4]);
        }
        let protocol = octet(ColumnId::Protocol);
        let icmp = Protocol(protocol).is_icmp().then(|| self.int(ColumnId::IcmpType, row)).flatten();
        let dst_port = match icmp {
            Some(kind) => (kind as u16 & 0xff) << 8 | u16::from(octet(ColumnId::IcmpCode)),
            None => narrow(ColumnId::DstPort),
        };
        out.extend(narrow(ColumnId::SrcPort).to_be_bytes());
        out.extend(dst_port.to_be_bytes());
        out.extend([0, number(ColumnId::TcpFlags) as u8, protocol, octet(ColumnId::SrcTos)]);
        out.extend(system(ColumnId::SrcAs).to_be_bytes());
        out.extend(system(ColumnId::DstAs).to_be_bytes());
        out.extend([octet(ColumnId::SrcMask), octet(ColumnId::DstMask), 0, 0]);
        record.octets = out;
        record.engine = [octet(ColumnId::EngineType), octet(ColumnId::EngineId)];
        Ok(())
    }
}

/// Whether it is worth looking at a column: the rate is told by batches too.
fn has_values(batch: &Batch, column: ColumnId) -> bool {
    batch.has_values(ColumnRef::from(column)) || column == ColumnId::SamplingRate && batch.rates().is_some()
}

/// An NTP timestamp of microseconds, whose last bits mean nothing (RFC 7011 §6.1.9).
fn ntp(micros: i64) -> u64 {
    const NTP_TO_UNIX_SECS: i64 = 2_208_988_800;
    let secs = micros.div_euclid(1_000_000).wrapping_add(NTP_TO_UNIX_SECS) as u32;
    let fraction = ((micros.rem_euclid(1_000_000) as u64) << 32).div_ceil(1_000_000) & !0x7ff;
    u64::from(secs) << 32 | fraction
}

/// Fields of a record being made.
struct Fields<'r> {
    version: Version,
    /// Elements that stand in `other`, also where a part of them has a column.
    told: Vec<ElementKey>,
    record: &'r mut Record,
}

impl Fields<'_> {
    fn can_carry(&self, key: ElementKey) -> bool {
        match self.version {
            Version::V5 => false,
            Version::V9 => key.pen == 0,
            Version::Ipfix => key.id <= IPFIX_ID_MAX,
        }
    }

    /// Appends a field, where the version has a place for its element.
    fn put(&mut self, key: ElementKey, length: u16, octets: &[u8]) {
        if self.can_carry(key) {
            self.record.fields.push(Field { pen: key.pen, id: key.id, length });
            self.record.octets.extend_from_slice(octets);
        }
    }

    /// A value of a column an operator defined, as its type is encoded (RFC 7011 §6.1).
    fn defined(&mut self, key: ElementKey, data_type: AbstractDataType, cells: Cells<'_>, row: usize) {
        use AbstractDataType as T;
        let mut int = |width: usize| {
            if let Some(int) = cells.int(row) {
                self.put(key, width as u16, &int.to_be_bytes()[8 - width..]);
            }
        };
        match data_type {
            T::Unsigned8 | T::Signed8 => int(1),
            T::Unsigned16 | T::Signed16 => int(2),
            T::Unsigned32 | T::Signed32 => int(4),
            T::Unsigned64 | T::Signed64 => int(8),
            T::Float32 | T::Float64 => {
                let Some(float) = cells.float(row) else { return };
                match data_type {
                    T::Float32 => self.put(key, 4, &(float as f32).to_be_bytes()),
                    _ => self.put(key, 8, &float.to_be_bytes()),
                }
            }
            // True is 1, false is 2.
            T::Boolean => {
                if let Some(truth) = cells.int(row) {
                    self.put(key, 1, &[if truth == 1 { 1 } else { 2 }]);
                }
            }
            T::Ipv4Address | T::Ipv6Address => match cells.octets(row).map(|addr| Addr16(addr).to_ip()) {
                Some(IpAddr::V4(addr)) => self.put(key, 4, &addr.octets()),
                Some(IpAddr::V6(addr)) => self.put(key, 16, &addr.octets()),
                None => {}
            },
            T::MacAddress => {
                if let Some(mac) = cells.octets::<6>(row) {
                    self.put(key, 6, &mac);
                }
            }
            T::String => {
                if let Some(text) = cells.text(row) {
                    self.text(key, text);
                }
            }
            T::DateTimeSeconds
            | T::DateTimeMilliseconds
            | T::DateTimeMicroseconds
            | T::DateTimeNanoseconds => {
                let Some(micros) = cells.int(row) else { return };
                match (data_type, u32::try_from(micros.div_euclid(1_000_000))) {
                    (T::DateTimeSeconds, Ok(secs)) => self.put(key, 4, &secs.to_be_bytes()),
                    (T::DateTimeSeconds, Err(_)) => {}
                    (T::DateTimeMilliseconds, _) => self.put(key, 8, &micros.div_euclid(1_000).to_be_bytes()),
                    _ => self.put(key, 8, &ntp(micros).to_be_bytes()),
                }
            }
            _ => {
                if let Some(octets) = cells.binary(row) {
                    self.octets(key, octets);
                }
            }
        }
    }

    /// A number by one of its elements; false where that one can't tell it.
    fn int(&mut self, column: &Column, source: &Source, int: i64) -> bool {
        use AbstractDataType as T;
        if !self.can_carry(source.key) {
            return false;
        }
        if self.told.contains(&source.key) {
            return true;
        }
        let Ok(number) = u64::try_from(int) else { return false };
        let width = match source.key.lookup().map(|element| element.data_type) {
            Some(T::Unsigned8 | T::Signed8) => 1,
            Some(T::Unsigned16 | T::Signed16) => 2,
            Some(T::Unsigned32 | T::Signed32) => 4,
            _ if column.kind == Kind::Int32 => 4,
            _ => 8,
        };
        let (number, width) = match source.part {
            // Exporters send 8 bits of flags, and many collectors take no more.
            Part::Whole if column.id == ColumnId::TcpFlags && number < 256 => (number, 1),
            Part::Whole => (number, width),
            // An octet of its type, then 24 bits.
            Part::Low24Bits if number < 1 << 24 && self.version == Version::V9 => (1 << 56 | number, 8),
            // It has a type of its own, which is in `other`.
            Part::TunnelKey => (number, 4),
            Part::MillisToMicros if number.is_multiple_of(1_000) => (number / 1_000, 4),
            // An octet of the engine, four of the selector.
            Part::ApplicationId => (number, 5),
            _ => return false,
        };
        let octets = number.to_be_bytes();
        let (cut, kept) = octets.split_at(8 - width);
        if cut.iter().any(|&octet| octet > 0) {
            return false;
        }
        self.put(source.key, width as u16, kept);
        true
    }

    fn addr(&mut self, source: &Source, addr: Addr16) -> bool {
        use AbstractDataType as T;
        let data_type = source.key.lookup().map(|element| element.data_type);
        let is_carried = self.can_carry(source.key);
        match (addr.to_ip(), data_type) {
            (IpAddr::V4(addr), Some(T::Ipv4Address) | None) if is_carried => {
                self.put(source.key, 4, &addr.octets());
                true
            }
            (IpAddr::V6(addr), Some(T::Ipv6Address) | None) if is_carried => {
                self.put(source.key, 16, &addr.octets());
                true
            }
            _ => false,
        }
    }

    /// Text: of its own length in IPFIX, in v9 filled up so that templates are few.
    fn text(&mut self, key: ElementKey, text: &str) {
        const STEP: usize = 16;
        match self.version {
            Version::Ipfix => self.variable(key, text.as_bytes()),
            _ => {
                let mut octets = text.as_bytes().to_vec();
                octets.resize(octets.len().next_multiple_of(STEP).max(STEP), 0);
                if let Ok(length) = u16::try_from(octets.len()) {
                    self.put(key, length, &octets);
                }
            }
        }
    }

    /// Octets as they are.
    fn octets(&mut self, key: ElementKey, octets: &[u8]) {
        const FIXED_MAX: usize = 16;
        match u16::try_from(octets.len()) {
            Ok(length) if length > 0 && (octets.len() <= FIXED_MAX || self.version == Version::V9) => {
                self.put(key, length, octets);
            }
            _ if self.version == Version::Ipfix => self.variable(key, octets),
            _ => {}
        }
    }

    /// A value with its length before it (RFC 7011 §7).
    fn variable(&mut self, key: ElementKey, octets: &[u8]) {
        let mut value = match u8::try_from(octets.len()) {
            Ok(length @ ..=254) => vec![length],
            _ => {
                let Ok(length) = u16::try_from(octets.len()) else { return };
                let [high, low] = length.to_be_bytes();
                vec![255, high, low]
            }
        };
        value.extend_from_slice(octets);
        self.put(key, VARIABLE, &value);
    }
}
