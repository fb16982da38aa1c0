//! Values for people: a missing number is 0, as nfdump has it, a missing word `-`. What
//! programs read tells the difference.

use std::sync::Arc;

use flow_common::addr::{Addr16, Mac};
use flow_common::column::{Column, ColumnId, Kind, Unit};
use flow_common::element::ElementKey;
use flow_common::proto::TcpFlags;
use ipnet::IpNet;

use super::numbered::NUMBER_HERE;
use super::tag::Align;
use super::text::{ADDRESS_WIDTH, ADDRESS_WIDTH_FULL, Text, TimeText};
use super::value::{Clock, Geo, Rate, Ready, Row, Shared, Side, Value, When};
use super::{FileInfo, Style, geo, meaning};
use crate::Zone;
use crate::batch::Cells;
use crate::names::Names;

/// Digits of a port, at most.
const PORT_WIDTH: usize = 5;
/// Labels of the MPLS stack that a row shows: as many as there are elements for.
const LABELS: usize = 10;
/// What `export_version` adds to the version of sFlow.
const SFLOW: i64 = 100;
/// fragmentFlags, and two of its bits.
const FRAGMENT_FLAGS: ElementKey = ElementKey::iana(197);
const DONT_FRAGMENT: u8 = 0x40;
const MORE_FRAGMENTS: u8 = 0x20;

/// Makes values text.
pub(super) struct Shown {
    times: TimeText,
    utc: TimeText,
    ident: Option<String>,
    pub(super) names: Arc<Names>,
    is_plain: bool,
    is_full: bool,
    places: geo::Lookup,
}

impl Shown {
    pub(super) fn new(style: &Style) -> Self {
        Self {
            times: TimeText::new(style.zone),
            utc: TimeText::new(Zone::Utc),
            ident: None,
            names: Arc::default(),
            is_plain: style.is_plain,
            is_full: style.is_ipv6_full,
            places: geo::Lookup::new(style.places.as_ref()),
        }
    }

    /// The next rows are from this file.
    pub(super) fn file(&mut self, file: &FileInfo<'_>) {
        self.ident = file.ident.map(str::to_owned);
        self.names = file.names.cloned().unwrap_or_default();
    }

    /// A value as wide as `width` at least.
    #[inline]
    pub(super) fn cell(
        &mut self,
        (ready, align): (&Ready<'_>, Align),
        width: usize,
        row: &Row,
        shared: &Shared<'_>,
        text: &mut Text<'_>,
    ) {
        let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
        match ready.value {
            Value::Count(_) => return text.scaled(count(ready.cells.int(row.at)), self.is_plain, width),
            Value::Flows => return text.uint_right(row.counters.flows, width),
            Value::Rate(Rate::Bps) => return text.scaled(row.counters.bps(), self.is_plain, width),
            Value::Rate(Rate::Pps) => return text.scaled(row.counters.pps(), self.is_plain, width),
            Value::Rate(Rate::Bpp) => return text.uint_right(row.counters.bpp(), width),
            _ => {}
        }
        let mark = text.mark();
        self.word(ready, row, shared, width > 0, text);
        if ready.value.is_ascii() && text.mark() - mark >= width {
            return;
        }
        match align {
            Align::Left => text.left(mark, width),
            Align::Right | Align::Apart => text.right(mark, width),
        }
    }

    /// A value as wide as it is; `is_table` where what it consists of is aligned.
    fn word(
        &mut self,
        ready: &Ready<'_>,
        row: &Row,
        shared: &Shared<'_>,
        is_table: bool,
        text: &mut Text<'_>,
    ) {
        let (cells, at) = (ready.cells, row.at);
        match ready.value {
            Value::Time(when, clock) => self.time(when, clock, cells, row, text),
            Value::Duration { is_secs } => {
                text.duration(row.counters.duration_ms(), is_secs || self.is_plain);
            }
            Value::Protocol => text.protocol(cells.int(at), self.is_plain),
            Value::Flags if self.is_plain => text.int(cells.int(at).unwrap_or(0)),
            Value::Flags => text.literal(&TcpFlags(cells.int(at).unwrap_or(0) as u16).letters()),
            Value::Endpoint(..) => self.endpoint(ready, row, is_table, text),
            Value::Column(_) => {
                if let Some(column) = ready.column {
                    self.column(column, cells, at, text);
                }
            }
            Value::DstPort => port(row, text),
            Value::IcmpType => text.int(row.tuple.icmp().map_or(0, |(icmp_type, _)| icmp_type.into())),
            Value::IcmpCode => text.int(row.tuple.icmp().map_or(0, |(_, code)| code.into())),
            Value::Name(index) => text.one_line(shared.names.get(index, at).unwrap_or("-")),
            _ => self.rare(ready, at, text),
        }
    }

    fn time(&mut self, when: When, clock: Clock, cells: Cells<'_>, row: &Row, text: &mut Text<'_>) {
        let micros = match when {
            When::First => row.counters.first,
            When::Last => row.counters.last,
            When::Received | When::Event => cells.int(row.at),
        };
        match clock {
            Clock::Zone => self.times.table(micros, text),
            Clock::Utc => self.utc.table(micros, text),
            Clock::Secs => text.secs(micros.unwrap_or(0)),
            Clock::Millis => text.int(micros.unwrap_or(0).div_euclid(1_000)),
        }
    }

    fn endpoint(&self, ready: &Ready<'_>, row: &Row, is_table: bool, text: &mut Text<'_>) {
        let Value::Endpoint(side, what) = ready.value else { return };
        let addr = match side {
            Side::Src => row.tuple.src_addr,
            Side::Dst => row.tuple.dst_addr,
            _ => ready.cells.octets(row.at).map(Addr16),
        };
        let mark = text.mark();
        text.table_addr(addr, self.is_full);
        if is_table {
            text.right(mark, if self.is_full { ADDRESS_WIDTH_FULL } else { ADDRESS_WIDTH });
        }
        if let Some(what) = what {
            text.byte(b'(');
            self.place(addr, what, text);
            text.byte(b')');
        }
        // Where one end has no address the other tells the family.
        let family = addr.or(row.tuple.src_addr).or(row.tuple.dst_addr);
        text.byte(if family.is_none_or(Addr16::is_v4) { b':' } else { b'.' });
        let mark = text.mark();
        match side {
            Side::Src if row.tuple.icmp().is_some() => text.byte(b'0'),
            Side::Src => text.int(row.tuple.src_port.unwrap_or(0).into()),
            Side::Dst => port(row, text),
            _ => text.int(ready.more.int(row.at).unwrap_or(0)),
        }
        if is_table {
            text.left(mark, PORT_WIDTH);
        }
    }

    /// A value as its column's kind is shown.
    fn column(&mut self, column: &Column, cells: Cells<'_>, row: usize, text: &mut Text<'_>) {
        let mark = text.mark();
        match column.kind {
            Kind::Timestamp => self.times.table(cells.int(row), text),
            Kind::Int32 | Kind::Int64 => match cells.int(row).unwrap_or(0) {
                id if column.id == ColumnId::ApplicationId => text.application(id),
                micros if column.unit == Unit::Microseconds => text.latency(micros),
                value => text.int(value),
            },
            Kind::Address => text.table_addr(cells.octets(row).map(Addr16), self.is_full),
            Kind::Mac => cells.octets(row).map(Mac).into_iter().for_each(|mac| text.mac(mac)),
            Kind::Text => text.one_line(cells.text(row).unwrap_or_default()),
            Kind::Binary => text.hex(cells.binary(row).unwrap_or_default()),
            Kind::Labels => {
                for (index, entry) in cells.labels(row).into_iter().flatten().enumerate() {
                    text.str(if index == 0 { "" } else { " " });
                    text.mpls(entry);
                }
            }
            Kind::Float64 => {
                cells.float(row).into_iter().for_each(|value| text.formatted(format_args!("{value}")));
            }
            Kind::Boolean => cells.int(row).into_iter().for_each(|value| text.bool(value == 1)),
            Kind::Other => {
                for (index, (key, octets)) in cells.entries(row).into_iter().flatten().enumerate() {
                    text.str(if index == 0 { "" } else { " " });
                    text.other_key(key);
                    text.byte(b'=');
                    text.hex(octets);
                }
            }
        }
        if text.mark() == mark {
            text.byte(b'-');
        }
    }

    #[inline(never)]
    fn rare(&self, ready: &Ready<'_>, row: usize, text: &mut Text<'_>) {
        let Ready { value, cells, more, .. } = *ready;
        let int = |cells: Cells<'_>| cells.int(row);
        match value {
            Value::Number => text.byte(NUMBER_HERE),
            Value::Version => match int(cells).unwrap_or(0) {
                // sFlow lies beyond all versions of NetFlow and IPFIX.
                sflow if sflow > SFLOW => {
                    text.literal(b"Sv");
                    text.int(sflow - SFLOW);
                }
                version => {
                    text.literal(b"Nv");
                    text.int(version);
                }
            },
            Value::Ident => text.one_line(self.ident.as_deref().unwrap_or("<no ident>")),
            Value::AddrCountry(_) => {
                let addr = cells.octets(row).map(Addr16);
                text.table_addr(addr, self.is_full);
                text.byte(b'(');
                self.place(addr, Geo::Country, text);
                text.byte(b')');
            }
            Value::Net(_) => net(cells.octets(row).map(Addr16), int(more), self.is_full, text),
            Value::Geo(_, what) => match cells.text(row) {
                Some(key) => text.one_line(key),
                None => self.place(cells.octets(row).map(Addr16), what, text),
            },
            Value::Origin(_) => {
                text.int(self.places.origin(int(cells), more.octets(row)).unwrap_or(0));
            }
            Value::Direction => text.str(match int(cells) {
                Some(0) => "I",
                Some(_) => "E",
                None => "-",
            }),
            Value::Engine => {
                text.int_right(int(cells).unwrap_or(0), 3);
                text.byte(b'/');
                text.int_left(int(more).unwrap_or(0), 3);
            }
            Value::Hex(_, digits) => text.hex_padded(int(cells).unwrap_or(0) as u64, digits),
            Value::Label(n) => {
                let mut labels = cells.labels(row).into_iter().flatten();
                text.mpls(labels.nth(usize::from(n) - 1).unwrap_or(0));
            }
            Value::Labels => {
                let labels = cells.labels(row).into_iter().flatten();
                for entry in labels.chain(std::iter::repeat(0)).take(LABELS) {
                    let mark = text.mark();
                    text.mpls(entry);
                    text.right(mark, 12);
                    text.byte(b' ');
                }
            }
            Value::Ttl => {
                text.int_right(int(cells).unwrap_or(0), 5);
                text.byte(b' ');
                text.int_right(int(more).unwrap_or(0), 5);
            }
            Value::Fragment => {
                let flags = fragment_flags(cells, row).unwrap_or(0);
                text.str(if flags & DONT_FRAGMENT > 0 { "DF" } else { "--" });
                text.str(if flags & MORE_FRAGMENTS > 0 { "MF" } else { "--" });
            }
            Value::FlowLabel => match int(cells) {
                Some(label) => text.int(label),
                None => text.str("<none>"),
            },
            Value::Event => match int(more) {
                Some(event) if int(cells).unwrap_or(0) == 0 => {
                    self.event(ColumnId::NatEvent, Some(event), text)
                }
                _ => self.event(ColumnId::FirewallEvent, int(cells), text),
            },
            Value::NatEvent => self.event(ColumnId::NatEvent, int(cells), text),
            Value::ExtEvent => self.event(ColumnId::FirewallExtEvent, int(cells), text),
            Value::Acl(_) => acl(cells.binary(row), text),
            Value::Unknown(word) => text.str(word),
            _ => {}
        }
    }

    /// What is known of where an address is.
    fn place(&self, addr: Option<Addr16>, what: Geo, text: &mut Text<'_>) {
        match addr.and_then(|addr| self.places.get(addr, what)) {
            Some(known) => text.one_line(&known),
            None => text.str(geo::unknown(what)),
        }
    }

    fn event(&self, column: ColumnId, event: Option<i64>, text: &mut Text<'_>) {
        match (event, event.and_then(|event| meaning::short(column, event))) {
            (Some(_), Some(name)) if !self.is_plain => text.str(name),
            (None, _) if !self.is_plain => text.str("<no-evt>"),
            _ => text.int(event.unwrap_or(0)),
        }
    }
}

/// The destination port, or type and code of ICMP.
fn port(row: &Row, text: &mut Text<'_>) {
    match row.tuple.icmp() {
        Some((icmp_type, code)) => {
            text.int(icmp_type.into());
            text.byte(b'.');
            text.int(code.into());
        }
        None => text.int(row.tuple.dst_port.unwrap_or(0).into()),
    }
}

/// The network of an address: `10.0.0.0/8 `, two digits wide.
fn net(addr: Option<Addr16>, mask: Option<i64>, is_full: bool, text: &mut Text<'_>) {
    let length = mask.and_then(|mask| u8::try_from(mask).ok());
    let Some(net) = network(addr, length) else { return text.literal(b"-   ") };
    text.table_addr(Some(net.addr().into()), is_full);
    text.byte(b'/');
    text.int_left(net.prefix_len().into(), 2);
}

/// The network an address is in by the length of its prefix.
pub(super) fn network(addr: Option<Addr16>, length: Option<u8>) -> Option<IpNet> {
    IpNet::new(addr?.to_ip(), length?).ok().map(|net| net.trunc())
}

/// Flags of fragmentation; they have no column.
pub(super) fn fragment_flags(other: Cells<'_>, row: usize) -> Option<u8> {
    let key = FRAGMENT_FLAGS.to_other_key(0);
    other.entries(row)?.find(|(known, _)| *known == key).and_then(|(_, octets)| octets.last().copied())
}

/// Three ids of four octets in hex.
fn acl(octets: Option<&[u8]>, text: &mut Text<'_>) {
    match octets {
        None => text.byte(b'-'),
        Some(octets) if octets.len() == 12 => {
            for (index, word) in octets.chunks_exact(4).enumerate() {
                text.str(if index == 0 { "" } else { " " });
                let mark = text.mark();
                text.hex_number(word.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), false);
                text.left(mark, 10);
            }
        }
        Some(octets) => text.hex(octets),
    }
}
