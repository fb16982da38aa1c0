//! JSON as nfdump has it, for programs that read it: keys, their order and their values
//! are its, strings are escaped and no key comes twice.
//!
//! nfdump stores fields in groups; a key is there where any field of its group is.

use std::io::{self, Write};
use std::sync::Arc;

use flow_common::addr::{Addr16, Mac};
use flow_common::column::ColumnId as Id;
use flow_common::proto::TcpFlags;

use super::json::JsonList;
use super::meaning;
use super::numbered::{self, NUMBER_HERE, ROW_ENDS};
use super::shown::{fragment_flags, network};
use super::text::{Label, Text, TimeText};
use super::value::Geo;
use super::{FileInfo, RowFormat, RowFormatter, Style, geo};
use crate::Zone;
use crate::batch::{Batch, Cells};
use crate::flow::{COUNTER_COLUMNS, CounterCells, KEY_COLUMNS, TIME_COLUMNS, TupleCells};
use crate::places::Places;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Int,
    /// Milliseconds with six decimals.
    Latency,
    /// The key says of which family: `4` or `6` is put where it has a `*`.
    Addr,
    /// What a database tells of the address, which has the family, too.
    Place,
    /// The network of the address in the column, by this mask.
    Net(Id),
    Mac,
    Acl,
    Text,
    /// What the number means.
    Meaning,
    Time,
    /// A number nfdump makes up and this program does not have.
    Zero,
    Fragment,
}

use Form::{Acl, Addr, Fragment, Int, Latency, Meaning, Net, Place, Text as Word, Time, Zero};

type Key = (&'static str, Id, Form);

/// Keys behind those every record has, group by group. MPLS labels are in none.
#[rustfmt::skip]
static GROUPS: [&[Key]; 23] = [
    &[("src*_addr", Id::SrcAddr, Addr), ("dst*_addr", Id::DstAddr, Addr),
      ("src*_geo", Id::SrcAddr, Place), ("dst*_geo", Id::DstAddr, Place)],
    &[("input_snmp", Id::InIf, Int), ("output_snmp", Id::OutIf, Int), ("src_mask", Id::SrcMask, Int),
      ("dst_mask", Id::DstMask, Int), ("src_net", Id::SrcAddr, Net(Id::SrcMask)),
      ("dst_net", Id::DstAddr, Net(Id::DstMask)), ("direction", Id::Direction, Int), ("dst_tos", Id::DstTos, Int)],
    &[("out_packets", Id::OutPackets, Int), ("out_bytes", Id::OutBytes, Int), ("aggr_flows", Id::FlowCount, Int)],
    &[("src_vlan", Id::Vlan, Int), ("dst_vlan", Id::PostVlan, Int)],
    &[("src_as", Id::SrcAs, Int), ("dst_as", Id::DstAs, Int)],
    &[("bgp*_next_hop", Id::BgpNextHop, Addr)],
    &[("ip*_next_hop", Id::NextHop, Addr)],
    &[("ip*_router", Id::ExporterAddr, Addr)],
    &[("in_src_mac", Id::InSrcMac, Form::Mac), ("out_dst_mac", Id::OutDstMac, Form::Mac),
      ("in_dst_mac", Id::InDstMac, Form::Mac), ("out_src_mac", Id::OutSrcMac, Form::Mac)],
    &[("next_as", Id::NextAs, Int), ("prev_as", Id::PrevAs, Int)],
    &[("cli_latency", Id::ClientLatency, Latency), ("srv_latency", Id::ServerLatency, Latency),
      ("app_latency", Id::AppLatency, Latency)],
    &[("tun_proto", Id::TunnelProtocol, Int), ("src*_tun_ip", Id::TunnelSrcAddr, Addr),
      ("dst*_tun_ip", Id::TunnelDstAddr, Addr)],
    &[("observationDomainID", Id::ObservationDomain, Int), ("observationPointID", Id::ObservationPoint, Int)],
    &[("ingress_vrf", Id::IngressVrf, Int), ("egress_vrf", Id::EgressVrf, Int)],
    &[("cust_vlanID", Id::CustomerVlan, Int), ("post_cust_vlanID", Id::PostCustomerVlan, Int),
      ("ethertype", Id::EtherType, Int), ("ip_version", Id::IpVersion, Int)],
    &[("event_id", Id::FirewallEvent, Int), ("event", Id::FirewallEvent, Meaning),
      ("xevent_id", Id::FirewallExtEvent, Int)],
    &[("nat_event_id", Id::NatEvent, Int), ("nat_event", Id::NatEvent, Meaning), ("nat_pool_id", Id::NatEvent, Zero)],
    &[("t_event", Id::EventTime, Time)],
    &[("src*_xlt_ip", Id::PostNatSrcAddr, Addr), ("dst*_xlt_ip", Id::PostNatDstAddr, Addr)],
    &[("src_xlt_port", Id::PostNatSrcPort, Int), ("dst_xlt_port", Id::PostNatDstPort, Int)],
    &[("ingress_acl", Id::IngressAcl, Acl), ("egress_acl", Id::EgressAcl, Acl)],
    &[("pblock_start", Id::PortBlockStart, Int), ("pblock_end", Id::PortBlockEnd, Int),
      ("pblock_step", Id::PortBlockStep, Int), ("pblock_size", Id::PortBlockSize, Int)],
    &[("ip_minttl", Id::MinTtl, Int), ("ip_maxttl", Id::MaxTtl, Int)],
];

/// Groups of one key that stand where their group of several would not be.
static SINGLE: [Key; 4] = [
    ("user_name", Id::Username, Word),
    ("connect_id", Id::FlowId, Int),
    ("flowID", Id::FlowId, Int),
    ("ip_fragment", Id::Other, Fragment),
];

/// Columns read.
pub(super) fn columns() -> impl Iterator<Item = Id> {
    let of_key = |&(_, id, form): &Key| match form {
        Net(mask) => [id, mask],
        _ => [id, id],
    };
    let groups = GROUPS.iter().flat_map(|group| group.iter()).chain(&SINGLE).flat_map(of_key);
    let rest = [Id::TcpFlags, Id::SrcTos, Id::ForwardingStatus, Id::MplsLabels, Id::SamplingRate];
    groups.chain(rest).chain(TIME_COLUMNS).chain(COUNTER_COLUMNS).chain(KEY_COLUMNS)
}

/// Keys that are made of a column.
#[cfg(test)]
pub(super) fn keys_of(id: Id) -> Vec<String> {
    let front = match id {
        Id::FlowStart => "first",
        Id::FlowEnd => "last",
        Id::Received => "received",
        Id::Packets => "in_packets",
        Id::Bytes => "in_bytes",
        Id::Protocol => "proto",
        Id::IcmpType => "icmp_type",
        Id::IcmpCode => "icmp_code",
        Id::TcpFlags => "tcp_flags",
        Id::SrcPort => "src_port",
        Id::DstPort => "dst_port",
        Id::ForwardingStatus => "fwd_status",
        Id::SrcTos => "src_tos",
        Id::MplsLabels => "mpls_1",
        Id::SamplingRate => "sampled",
        _ => "",
    };
    let keys = GROUPS.iter().flat_map(|group| group.iter()).chain(&SINGLE);
    let of_group = keys.filter(|(_, of, form)| *of == id && *form != Zero).flat_map(|(name, _, form)| {
        let families: &[&str] = if matches!(form, Addr | Place) { &["4", "6"] } else { &[""] };
        families.iter().map(|family| name.replace('*', family))
    });
    std::iter::once(front.to_owned()).filter(|key| !key.is_empty()).chain(of_group).collect()
}

pub(super) struct NfJson {
    list: JsonList,
    zone: Zone,
    places: Option<Arc<Places>>,
}

impl NfJson {
    pub(super) fn new(style: &Style) -> Self {
        Self { list: JsonList::new(style.format), zone: style.zone, places: style.places.clone() }
    }
}

impl RowFormat for NfJson {
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.list.open().as_bytes())
    }

    fn formatter(&self) -> Box<dyn RowFormatter> {
        let keys = Keys::new(self.list);
        let places = geo::Lookup::new(self.places.as_ref());
        Box::new(NfJsonRows { list: self.list, keys, times: TimeText::new(self.zone), ident: None, places })
    }

    fn join(&self, rows_before: u64, text: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
        let separator = if rows_before == 0 { self.list.separator().len() } else { 0 };
        numbered::write(rows_before, text.get(separator..).unwrap_or_default(), 0, out)
    }

    fn end(&self, rows: u64, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.list.close(rows == 0).as_bytes())
    }
}

/// A key with its comma; `4` and `6` for the two families.
pub(super) fn key(list: JsonList, name: &str) -> [Label; 2] {
    ["4", "6"].map(|family| {
        let name = name.replace('*', family);
        let is_array = list.is_array();
        Label::from(if is_array { format!(",\n  \"{name}\" : ") } else { format!(",\"{name}\":") })
    })
}

/// Keys every record has, and `mpls_n`.
struct Keys {
    /// cnt, type, ident, export_sysid, first, last, received, in_packets, in_bytes, proto.
    front: [Label; 10],
    /// icmp_type, icmp_code.
    icmp: [Label; 2],
    /// tcp_flags, src_port, dst_port, fwd_status.
    other: [Label; 4],
    src_tos: Label,
    mpls: Vec<Label>,
    sampled: Label,
    groups: Vec<Vec<(Key, [Label; 2])>>,
}

impl Keys {
    fn new(list: JsonList) -> Self {
        let one = |name: &str| key(list, name)[0].clone();
        let of_key = |known: &Key| (*known, key(list, known.0));
        let singles = SINGLE.iter().map(|single| vec![of_key(single)]);
        Self {
            front: [
                "cnt",
                "type",
                "ident",
                "export_sysid",
                "first",
                "last",
                "received",
                "in_packets",
                "in_bytes",
                "proto",
            ]
            .map(one),
            icmp: ["icmp_type", "icmp_code"].map(one),
            other: ["tcp_flags", "src_port", "dst_port", "fwd_status"].map(one),
            src_tos: one("src_tos"),
            mpls: (1..=10).map(|n| one(&format!("mpls_{n}"))).collect(),
            sampled: one("sampled"),
            groups: GROUPS.iter().map(|group| group.iter().map(of_key).collect()).chain(singles).collect(),
        }
    }
}

struct NfJsonRows {
    list: JsonList,
    keys: Keys,
    times: TimeText,
    ident: Option<String>,
    places: geo::Lookup,
}

/// A key with the cells of a batch.
struct Ready<'a> {
    labels: &'a [Label; 2],
    id: Id,
    form: Form,
    cells: Cells<'a>,
    mask: Cells<'a>,
}

/// What every record is made from.
struct Front<'a> {
    counters: CounterCells<'a>,
    tuples: TupleCells<'a>,
    received: Cells<'a>,
    packets: Cells<'a>,
    bytes: Cells<'a>,
    flags: Cells<'a>,
    tos: Cells<'a>,
    status: Cells<'a>,
    labels: Cells<'a>,
    rate: Cells<'a>,
}

impl RowFormatter for NfJsonRows {
    fn file(&mut self, file: &FileInfo<'_>) {
        self.ident = file.ident.map(str::to_owned);
    }

    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let Self { list, keys, times, ident, places } = self;
        let front = Front {
            counters: CounterCells::new(batch),
            tuples: TupleCells::new(batch),
            received: batch.cells(Id::Received),
            packets: batch.cells(Id::Packets),
            bytes: batch.cells(Id::Bytes),
            flags: batch.cells(Id::TcpFlags),
            tos: batch.cells(Id::SrcTos),
            status: batch.cells(Id::ForwardingStatus),
            labels: batch.cells(Id::MplsLabels),
            rate: batch.cells(Id::SamplingRate),
        };
        let has_values = |group: &&Vec<(Key, _)>| group.iter().any(|((_, id, _), _)| batch.has_values(*id));
        let groups: Vec<Vec<Ready<'_>>> = keys
            .groups
            .iter()
            .filter(has_values)
            .map(|group| group.iter().map(|(key, labels)| Ready::new(*key, labels, batch)).collect())
            .collect();
        let text = &mut Text::new(out);
        for row in 0..batch.rows() {
            text.str(list.separator());
            let object = list.begin_object(text);
            put_front(keys, &front, ident.as_deref(), row, times, text);
            for group in &groups {
                put_group(group, row, (times, &*places), text);
            }
            if front.labels.labels(row).is_some() {
                let labels = front.labels.labels(row).into_iter().flatten().chain(std::iter::repeat(0));
                for (key, entry) in keys.mpls.iter().zip(labels) {
                    text.label(key);
                    quoted(text, |text| text.mpls(entry));
                }
            }
            text.label(&keys.sampled);
            text.byte(if front.rate.int(row).is_some_and(|rate| rate > 1) { b'1' } else { b'0' });
            list.end_object(object, text);
            text.byte(ROW_ENDS);
        }
    }
}

impl<'a> Ready<'a> {
    fn new((_, id, form): Key, labels: &'a [Label; 2], batch: &'a Batch) -> Self {
        let mask = match form {
            Net(mask) => batch.cells(mask),
            _ => Cells::Absent,
        };
        Self { labels, id, form, cells: batch.cells(id), mask }
    }

    /// Whether the record has it. What is made of another key's column says nothing.
    fn is_there(&self, row: usize) -> bool {
        let Self { cells, mask, .. } = *self;
        match self.form {
            Addr => cells.octets::<16>(row).is_some(),
            Form::Mac => cells.octets::<6>(row).is_some(),
            Acl => cells.binary(row).is_some(),
            Word => cells.text(row).is_some(),
            Int | Latency | Time => cells.int(row).is_some(),
            Net(_) => mask.int(row).is_some(),
            Fragment => fragment_flags(cells, row).is_some(),
            Place | Meaning | Zero => false,
        }
    }
}

/// What every record has.
fn put_front(
    keys: &Keys,
    front: &Front<'_>,
    ident: Option<&str>,
    row: usize,
    times: &mut TimeText,
    text: &mut Text<'_>,
) {
    let (counters, tuple) = (front.counters.get(row), front.tuples.get(row));
    let [cnt, kind, ident_key, sysid, first, last, received, packets, bytes, proto] = &keys.front;
    text.label(cnt);
    text.byte(NUMBER_HERE);
    text.label(kind);
    text.str(if counters.is_event() { "\"EVENT\"" } else { "\"FLOW\"" });
    if let Some(ident) = ident {
        text.label(ident_key);
        text.json_string(ident);
    }
    text.label(sysid);
    text.byte(b'0');
    for (key, instant) in [(first, counters.first), (last, counters.last)] {
        text.label(key);
        time(instant, times, text);
    }
    // Groups of flows were received at several times.
    if let Some(micros) = front.received.int(row) {
        text.label(received);
        time(Some(micros), times, text);
    }
    let mut int = |key: &Label, value: Option<i64>| {
        text.label(key);
        text.int(value.unwrap_or(0));
    };
    int(packets, front.packets.int(row));
    int(bytes, front.bytes.int(row));
    int(proto, tuple.protocol.map(i64::from));
    if let Some((icmp_type, code)) = tuple.icmp() {
        int(&keys.icmp[0], Some(icmp_type.into()));
        int(&keys.icmp[1], Some(code.into()));
    } else {
        let [_, src_port, dst_port, status] = &keys.other;
        text.label(&keys.other[0]);
        let flags = front.flags.int(row).unwrap_or(0);
        quoted(text, |text| text.literal(&TcpFlags(flags as u16).letters()));
        let ports = [(src_port, tuple.src_port), (dst_port, tuple.dst_port)];
        for (key, port) in ports {
            text.label(key);
            text.int(port.unwrap_or(0).into());
        }
        text.label(status);
        text.int(front.status.int(row).unwrap_or(0));
    }
    text.label(&keys.src_tos);
    text.int(front.tos.int(row).unwrap_or(0));
}

/// The keys of a group, where the record has any of it.
fn put_group(
    group: &[Ready<'_>],
    row: usize,
    (times, places): (&mut TimeText, &geo::Lookup),
    text: &mut Text<'_>,
) {
    if !group.iter().any(|key| key.is_there(row)) {
        return;
    }
    // Both addresses of a pair are of one family.
    let addr = |key: &Ready<'_>| key.cells.octets(row).map(Addr16);
    let is_v4 = group.iter().find_map(addr).is_none_or(Addr16::is_v4);
    for key in group {
        text.label(&key.labels[usize::from(!is_v4)]);
        let int = key.cells.int(row).unwrap_or(0);
        match key.form {
            Int => text.int(int),
            Zero => text.byte(b'0'),
            Latency => text.formatted(format_args!("{:.6}", int as f64 / 1_000.0)),
            Addr => quoted(text, |text| match addr(key) {
                Some(addr) => text.addr(addr),
                None => text.str(if is_v4 { "0.0.0.0" } else { "::" }),
            }),
            Place => {
                let country = addr(key).and_then(|addr| places.get(addr, Geo::Country));
                text.json_string(country.as_deref().unwrap_or_default());
            }
            Net(_) => quoted(text, |text| {
                let length = key.mask.int(row).and_then(|mask| u8::try_from(mask).ok());
                let net = network(addr(key), length);
                net.into_iter().for_each(|net| text.addr(net.addr().into()));
            }),
            Form::Mac => quoted(text, |text| text.mac(Mac(key.cells.octets(row).unwrap_or([0; 6])))),
            Acl => quoted(text, |text| acl(key.cells.binary(row).unwrap_or(&[0; 12]), text)),
            Word => text.json_string(key.cells.text(row).unwrap_or_default()),
            Meaning => quoted(text, |text| match meaning::long(key.id, int) {
                Some(word) => text.str(word),
                None => text.int(int),
            }),
            Time => time(key.cells.int(row), times, text),
            Fragment => quoted(text, |text| {
                let flags = fragment_flags(key.cells, row).unwrap_or(0);
                text.str(if flags & 0x40 > 0 { "DF" } else { "--" });
                text.str(if flags & 0x20 > 0 { "MF" } else { "--" });
            }),
        }
    }
}

fn quoted(text: &mut Text<'_>, put: impl FnOnce(&mut Text<'_>)) {
    text.byte(b'"');
    put(text);
    text.byte(b'"');
}

/// `2026-05-28T20:26:40.000`, wall time without a zone.
pub(super) fn time(micros: Option<i64>, times: &mut TimeText, text: &mut Text<'_>) {
    quoted(text, |text| {
        let mark = text.mark();
        times.table(micros, text);
        if let Some(blank) = text.since(mark).iter().position(|&octet| octet == b' ') {
            text.set(mark + blank, b'T');
        }
    });
}

/// Three ids of four octets: `0xa/0xb/0xc`.
fn acl(octets: &[u8], text: &mut Text<'_>) {
    for (index, word) in octets.chunks(4).enumerate() {
        text.str(if index == 0 { "" } else { "/" });
        text.hex_number(word.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), false);
    }
}
