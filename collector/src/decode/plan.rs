//! A template compiled once: which field fills which column, and what goes to
//! `other`. Records then only run the plan; names are never looked up again.

use std::collections::HashMap;

use flow_common::column::{COLUMNS, Column, ColumnId, Kind, Part, Source};
use flow_common::element::{AbstractDataType, ElementKey, REVERSE_PEN, VMWARE_PEN};

use super::event::EventKind;
use super::list::ListKind;
use super::section::{ADDRESSES, INTEGERS, MACS, SECTIONS, SectionKind};
use super::template::{FieldSpecifier, VARIABLE};
use super::value::Read;

/// Index of a field in its template.
pub(crate) type FieldIndex = u16;

/// Fills one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnOp {
    pub(crate) column: ColumnId,
    pub(crate) field: FieldIndex,
    pub(crate) read: Read,
    /// Taken instead of `field` where that holds zeros: exporters send one
    /// template for both address families, or for TCP and UDP ports.
    pub(crate) alternates: Box<[FieldIndex]>,
}

/// Puts a field into `other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OtherOp {
    pub(crate) field: FieldIndex,
    pub(crate) key: i64,
    pub(crate) when: When,
}

/// When a field goes to `other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Always: no column takes it, or the column takes only a part.
    Always,
    /// Where it holds anything but zeros: the alternate of another field.
    NotZero,
    /// Where the column could not take the value.
    Unfit,
}

/// Fields a record tells its sampling rate with, or how to find it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SamplingFields {
    /// samplingInterval (34) or samplerRandomInterval (50).
    pub(crate) rate: Option<FieldIndex>,
    /// samplingPacketInterval (305) and samplingPacketSpace (306).
    pub(crate) interval: Option<FieldIndex>,
    pub(crate) space: Option<FieldIndex>,
    /// samplingSize (309) and samplingPopulation (310).
    pub(crate) size: Option<FieldIndex>,
    pub(crate) population: Option<FieldIndex>,
    /// samplingProbability (311).
    pub(crate) probability: Option<FieldIndex>,
    /// samplerId (48) or selectorId (302).
    pub(crate) sampler: Option<FieldIndex>,
    /// ingressInterface (10): of a flow, or the scope of a rate in options data.
    pub(crate) interface: Option<FieldIndex>,
    /// Scope of a rate in options data: templateId (145).
    pub(crate) template: Option<FieldIndex>,
    /// Whether a rate in options data is of a part of the domain that no record names.
    pub(crate) is_of_unknown_part: bool,
}

impl SamplingFields {
    /// Elements that stand for everything a domain exports, as scopes: the exporter's
    /// address, metering and exporting process, and the domain itself.
    const WHOLE_DOMAIN: [u16; 5] = [130, 131, 143, 144, 149];

    /// Notes what a rate with these scopes is about (RFC 7011 §3.4.2.1). A sampler is
    /// named beside the scopes, and so is every flow it made.
    fn narrow(&mut self, scopes: &[FieldSpecifier]) {
        let is_part = |field: &FieldSpecifier| {
            // Juniper's SRX sends scopes of no octets.
            field.length > 0 && (field.key.pen != 0 || !Self::WHOLE_DOMAIN.contains(&field.key.id))
        };
        let mut parts = scopes.iter().enumerate().filter(|(_, field)| is_part(field));
        let only = parts.next().filter(|_| parts.next().is_none());
        let of_element = |id| {
            let found = only.filter(|(_, field)| field.key == ElementKey::iana(id));
            found.map(|(index, _)| index as FieldIndex)
        };
        (self.interface, self.template) = (of_element(10), of_element(145));
        let is_known = self.interface.or(self.template).is_some();
        self.is_of_unknown_part = !is_known && scopes.iter().any(is_part);
    }
}

/// A compiled template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) ops: Vec<ColumnOp>,
    pub(crate) others: Vec<OtherOp>,
    /// Those of `others` that are looked at where every value fits its column.
    pub(crate) extras: Vec<OtherOp>,
    /// Label stack entries, top first.
    pub(crate) labels: Vec<FieldIndex>,
    pub(crate) sampling: SamplingFields,
    /// systemInitTimeMilliseconds (160) in the record itself.
    pub(crate) init: Option<FieldIndex>,
    /// VMware's tunnel key and the type that says what it is.
    pub(crate) tunnel_key: Option<(FieldIndex, Option<FieldIndex>)>,
    /// The first octets of a packet, and the columns its headers fill.
    pub(crate) section: Option<Section>,
    /// Fields that are lists, and their layout.
    pub(crate) lists: Vec<(FieldIndex, ListKind)>,
    /// How often the template has an element, by element; empty where there are no lists.
    pub(crate) n_fields: Vec<(ElementKey, u16)>,
    /// What the counters are if they are no deltas, as in the column `counter_kind`.
    pub(crate) counter_kind: Option<&'static str>,
    /// Whether a field tells when a flow began or ended.
    pub(crate) has_flow_time: bool,
    /// What kind of events its records are, if they have a field for one.
    pub(crate) events: Option<EventKind>,
    /// Whether ICMP type and code lie in the destination port (NetFlow v1, v5, v7).
    pub(crate) has_icmp_in_port: bool,
}

/// A section of a packet in place of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) field: FieldIndex,
    pub(crate) kind: SectionKind,
    /// Columns that no field of the record fills.
    pub(crate) columns: Vec<ColumnId>,
}

/// Pairs of counters that must come from one family.
const COUNTER_PAIRS: [[ColumnId; 2]; 2] =
    [[ColumnId::Packets, ColumnId::Bytes], [ColumnId::OutPackets, ColumnId::OutBytes]];

/// Columns where a zero in the first choice gives way to another element.
const WITH_ALTERNATES: [ColumnId; 8] = [
    ColumnId::SrcAddr,
    ColumnId::DstAddr,
    ColumnId::SrcPort,
    ColumnId::DstPort,
    ColumnId::NextHop,
    ColumnId::BgpNextHop,
    ColumnId::PostNatSrcAddr,
    ColumnId::PostNatDstAddr,
];

/// VMware's tunnel type; 2 is GRE.
const TUNNEL_TYPE: ElementKey = ElementKey::enterprise(VMWARE_PEN, 891);
/// paddingOctets carry nothing (RFC 7012).
pub(super) const PADDING_OCTETS: ElementKey = ElementKey::iana(210);

/// Fields of a template by element, and which are spoken for.
struct Fields<'a> {
    fields: &'a [FieldSpecifier],
    /// In order of elements, then of fields.
    by_element: Vec<(ElementKey, FieldIndex)>,
    is_claimed: Vec<bool>,
}

impl<'a> Fields<'a> {
    fn new(fields: &'a [FieldSpecifier]) -> Self {
        let elements = fields.iter().enumerate().map(|(index, field)| (field.key, index as FieldIndex));
        let mut by_element: Vec<_> = elements.collect();
        by_element.sort_unstable();
        Self { fields, by_element, is_claimed: vec![false; fields.len()] }
    }

    /// The first field of an element.
    fn first(&self, key: ElementKey) -> Option<FieldIndex> {
        let at = self.by_element.partition_point(|&(element, _)| element < key);
        self.by_element.get(at).filter(|(element, _)| *element == key).map(|&(_, index)| index)
    }

    /// Fields of the same element before this one.
    fn n_before(&self, key: ElementKey, index: FieldIndex) -> u16 {
        let below = |limit| self.by_element.partition_point(|&entry| entry < limit);
        (below((key, index)) - below((key, 0))) as u16
    }

    /// The first field of an element, if no column has it yet.
    fn find(&self, key: ElementKey) -> Option<FieldIndex> {
        let index = self.first(key)?;
        (!self.is_claimed[usize::from(index)]).then_some(index)
    }

    fn iana(&self, id: u16) -> Option<FieldIndex> {
        self.first(ElementKey::iana(id))
    }

    fn claim(&mut self, index: FieldIndex) {
        self.is_claimed[usize::from(index)] = true;
    }

    fn length(&self, index: FieldIndex) -> u16 {
        self.fields[usize::from(index)].length
    }
}

impl Plan {
    /// Plan for flow records.
    pub(crate) fn compile(specifiers: &[FieldSpecifier]) -> Self {
        let mut fields = Fields::new(specifiers);
        let mut plan = Self { sampling: sampling_fields(&fields), init: fields.iana(160), ..Self::default() };
        let mut families: HashMap<ColumnId, u8> = HashMap::new();
        let is_undirected = is_undirected(specifiers);
        for column in COLUMNS {
            match column.id {
                ColumnId::MplsLabels => plan.add_labels(column, &mut fields),
                ColumnId::SamplingRate => plan.sampling.rate.iter().for_each(|&index| fields.claim(index)),
                id if is_undirected && COUNTER_PAIRS.as_flattened().contains(&id) => {}
                _ => {
                    let family = counter_family(column.id, &fields, &mut families);
                    plan.add_column(column, family, &mut fields);
                }
            }
        }
        let family = families.get(&ColumnId::Bytes).copied().filter(|_| !is_undirected);
        plan.counter_kind = family.and_then(counter_kind);
        plan.has_flow_time =
            plan.ops.iter().any(|op| matches!(op.column, ColumnId::FlowStart | ColumnId::FlowEnd));
        plan.events = match is_undirected {
            true => Some(EventKind::Undirected),
            false => plan.event_kind(family),
        };
        plan.add_section(&fields);
        plan.add_lists(specifiers);
        plan.add_others(&fields);
        plan.ops.shrink_to_fit();
        plan
    }

    /// Plan for options data records: every field is kept as received.
    /// The first `n_scope` fields say what it is about.
    pub(crate) fn compile_options(specifiers: &[FieldSpecifier], n_scope: u16) -> Self {
        let fields = Fields::new(specifiers);
        let mut plan = Self { sampling: sampling_fields(&fields), init: fields.iana(160), ..Self::default() };
        plan.sampling.narrow(specifiers.get(..usize::from(n_scope)).unwrap_or(specifiers));
        plan.add_others(&fields);
        plan
    }

    fn add_column(&mut self, column: &'static Column, family: u8, fields: &mut Fields<'_>) {
        let sources = column.sources.iter().filter(|source| source.family == family);
        let candidates = sources
            .filter_map(|source| Some((source, fields.find(source.key)?)))
            .filter(|&(source, index)| fits(column, source, fields.length(index)));
        let mut candidates: Vec<_> = candidates.collect();
        if column.kind == Kind::Address {
            // Of two packet headers in one record, one in the other, the outer comes first.
            candidates.sort_by_key(|&(_, index)| index);
        }
        let mut candidates = candidates.into_iter();
        let Some((source, field)) = candidates.next() else { return };
        let alternates: Box<[_]> = match WITH_ALTERNATES.contains(&column.id) {
            true => candidates.map(|(_, index)| index).collect(),
            false => Box::default(),
        };
        match source.part {
            // Two columns share the field: it is claimed when both had their turn.
            Part::HighOctet => {}
            Part::TunnelKey => {
                self.tunnel_key = Some((field, fields.first(TUNNEL_TYPE)));
                fields.claim(field);
                return;
            }
            _ => fields.claim(field),
        }
        self.ops.push(ColumnOp { column: column.id, field, read: Read::of(column, source), alternates });
    }

    fn add_labels(&mut self, column: &Column, fields: &mut Fields<'_>) {
        for source in column.sources {
            if let Some(index) = fields.find(source.key).filter(|&index| fields.length(index) == 3) {
                self.labels.push(index);
                fields.claim(index);
            }
        }
    }

    /// Where the record has no addresses of its own, those of a packet it carries.
    fn add_section(&mut self, fields: &Fields<'_>) {
        let is_filled = |column: ColumnId| self.ops.iter().any(|op| op.column == column);
        let mut found = SECTIONS.iter().filter_map(|&(id, kind)| Some((fields.iana(id)?, kind)));
        if is_filled(ColumnId::SrcAddr) || is_filled(ColumnId::DstAddr) {
            return;
        }
        let Some((field, kind)) = found.next() else { return };
        let columns = INTEGERS.iter().map(|(column, _)| *column);
        let columns = columns.chain(ADDRESSES.iter().map(|(column, _)| *column));
        let columns = columns.chain(MACS.iter().map(|(column, _)| *column));
        self.section =
            Some(Section { field, kind, columns: columns.filter(|&column| !is_filled(column)).collect() });
    }

    /// Counters that are no deltas are told more than once by a firewall that numbers
    /// its connections.
    fn event_kind(&self, counter_family: Option<u8>) -> Option<EventKind> {
        let has = |column| self.ops.iter().any(|op| op.column == column);
        if has(ColumnId::FirewallEvent) && has(ColumnId::FlowId) && counter_family.is_some_and(|n| n >= 3) {
            return Some(EventKind::Connection);
        }
        (has(ColumnId::FirewallEvent) || has(ColumnId::NatEvent)).then_some(EventKind::Plain)
    }

    fn add_lists(&mut self, specifiers: &[FieldSpecifier]) {
        let kinds = specifiers.iter().enumerate();
        self.lists = kinds
            .filter_map(|(index, field)| Some((index as FieldIndex, ListKind::of(field.key)?)))
            .collect();
        if self.lists.is_empty() {
            return;
        }
        let mut keys: Vec<_> = specifiers.iter().map(|field| field.key).collect();
        keys.sort_unstable();
        self.n_fields = keys.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u16)).collect();
    }

    /// How often the template has an element; known only where it has lists.
    pub(crate) fn n_of(&self, key: ElementKey) -> u16 {
        let found = self.n_fields.binary_search_by_key(&key, |&(key, _)| key);
        found.ok().and_then(|index| self.n_fields.get(index)).map_or(0, |&(_, n)| n)
    }

    /// Everything that no column takes whole, in template order, repetitions numbered.
    fn add_others(&mut self, fields: &Fields<'_>) {
        self.others.reserve_exact(fields.fields.len());
        for (index, field) in fields.fields.iter().enumerate() {
            let key = field.key.to_other_key(fields.n_before(field.key, index as FieldIndex));
            // Fields of no octets say nothing, and a template could have any number of them.
            if field.key == PADDING_OCTETS || field.length == 0 {
                continue;
            }
            let field = index as FieldIndex;
            let is_alternate = self.ops.iter().any(|op| op.alternates.contains(&field));
            let is_lossy = self.ops.iter().any(|op| op.field == field && op.read.is_lossy());
            let when = match fields.is_claimed[index] {
                _ if is_lossy => When::Always,
                true => When::Unfit,
                false if is_alternate => When::NotZero,
                false => When::Always,
            };
            self.others.push(OtherOp { field, key, when });
        }
        self.extras = self.others.iter().copied().filter(|other| other.when != When::Unfit).collect();
    }

    /// Memory it holds, octets.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.ops.as_slice())
            + self.ops.iter().map(|op| size_of_val(&*op.alternates)).sum::<usize>()
            + size_of_val(self.others.as_slice())
            + size_of_val(self.extras.as_slice())
            + size_of_val(self.labels.as_slice())
            + size_of_val(self.lists.as_slice())
            + size_of_val(self.n_fields.as_slice())
            + self.section.as_ref().map_or(0, |section| size_of_val(section.columns.as_slice()))
    }
}

/// Whether a template has elements of the reverse direction and no key that has a
/// direction (RFC 5103 §4). A key of an enterprise could be anything.
fn is_undirected(specifiers: &[FieldSpecifier]) -> bool {
    let has_direction = |field: &FieldSpecifier| match field.key.pen {
        0 => field.key.lookup().is_some_and(|element| {
            let name = element.name.to_ascii_lowercase();
            ["source", "destination", "ingress", "egress", "direction"].iter().any(|word| name.contains(word))
        }),
        pen => pen != REVERSE_PEN,
    };
    specifiers.iter().any(|field| field.key.pen == REVERSE_PEN) && !specifiers.iter().any(has_direction)
}

/// What the counters of a family are called, if they are no deltas.
fn counter_kind(family: u8) -> Option<&'static str> {
    match family {
        2 => Some("post"),
        3 => Some("total"),
        4 => Some("initiator"),
        _ => None,
    }
}

/// The family a counter column takes: the first of which either column of its
/// pair finds a field; 0 for columns that are no counters.
fn counter_family(column: ColumnId, fields: &Fields<'_>, families: &mut HashMap<ColumnId, u8>) -> u8 {
    let Some(pair) = COUNTER_PAIRS.iter().find(|pair| pair.contains(&column)) else { return 0 };
    // Decided at the first column of the pair, before it claims its field.
    if let Some(&family) = families.get(&column) {
        return family;
    }
    let sources = pair.iter().flat_map(|id| id.column().sources);
    let present = sources.filter(|source| fields.find(source.key).is_some());
    let family = present.map(|source| source.family).min().unwrap_or_default();
    families.extend(pair.iter().map(|&id| (id, family)));
    family
}

/// Whether a field of this length can hold what the column takes of the element.
/// Variable-length fields are checked record by record.
pub(super) fn fits(column: &Column, source: &Source, length: u16) -> bool {
    let is_uint = (1..=8).contains(&length);
    let data_type = source.key.lookup().map(|element| element.data_type);
    match (column.kind, data_type) {
        // Addresses are never shortened (RFC 7011 §6.2), and one family's are not the other's.
        (Kind::Address, Some(AbstractDataType::Ipv4Address)) => return length == 4,
        (Kind::Address, Some(AbstractDataType::Ipv6Address)) => return length == 16,
        _ => {}
    }
    length == VARIABLE
        || match column.kind {
            Kind::Int32 | Kind::Int64 if source.part == Part::ApplicationId => (2..=9).contains(&length),
            Kind::Int32 | Kind::Int64 | Kind::Timestamp => is_uint,
            Kind::Address => matches!(length, 4 | 16),
            Kind::Mac => length == 6,
            Kind::Labels => length == 3,
            Kind::Text | Kind::Binary => true,
            Kind::Float64 | Kind::Boolean | Kind::Other => false,
        }
}

fn sampling_fields(fields: &Fields<'_>) -> SamplingFields {
    SamplingFields {
        rate: fields.iana(34).or_else(|| fields.iana(50)),
        interval: fields.iana(305),
        space: fields.iana(306),
        size: fields.iana(309),
        population: fields.iana(310),
        probability: fields.iana(311),
        sampler: fields.iana(48).or_else(|| fields.iana(302)),
        interface: fields.iana(10),
        template: None,
        is_of_unknown_part: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specifiers(fields: &[(u32, u16, u16)]) -> Vec<FieldSpecifier> {
        fields
            .iter()
            .map(|&(pen, id, length)| FieldSpecifier { key: ElementKey { pen, id }, length })
            .collect()
    }

    /// `column=field` for each op, then `key?` for what goes to `other` (`!` where
    /// it is not zero).
    #[track_caller]
    fn check(fields: &[(u32, u16, u16)], expected: &str) {
        let plan = Plan::compile(&specifiers(fields));
        let ops =
            plan.ops.iter().map(|op| format!("{}={}", op.column.name(), fields[usize::from(op.field)].1));
        let others = plan.others.iter().filter(|other| other.when != When::Unfit);
        let others = others.map(|other| {
            let (key, n) = ElementKey::from_other_key(other.key);
            format!("other={}{}", key.id, if n > 0 { format!("#{n}") } else { String::new() })
        });
        assert_eq!(ops.chain(others).collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn one_counter_family_is_taken_and_the_rest_kept() {
        check(&[(0, 1, 8), (0, 2, 8), (0, 85, 8), (0, 86, 8)], "packets=2 bytes=1 other=85 other=86");
        check(&[(0, 85, 8), (0, 86, 8)], "packets=86 bytes=85");
        check(&[(0, 1, 8), (0, 86, 8)], "bytes=1 other=86");
        check(&[(0, 23, 4), (0, 24, 4)], "packets=24 bytes=23");
        check(
            &[(0, 1, 4), (0, 2, 4), (0, 23, 4), (0, 24, 4)],
            "packets=2 bytes=1 out_packets=24 out_bytes=23",
        );
        check(&[(0, 231, 4), (0, 232, 4)], "bytes=231 out_bytes=232");
        check(
            &[(0, 7, 2), (0, 1, 4), (0, 2, 4), (29305, 1, 4), (29305, 2, 4)],
            "src_port=7 packets=2 bytes=1 out_packets=2 out_bytes=1",
        );
    }

    #[test]
    fn repeated_and_unknown_elements_keep_their_order() {
        check(&[(0, 82, 65535), (0, 82, 65535), (9, 12000, 4)], "other=82 other=82#1 other=12000");
        check(&[(0, 8, 4), (0, 8, 4)], "src_addr=8 other=8#1");
        check(&[(0, 210, 2), (0, 4, 1)], "protocol=4");
    }

    #[test]
    fn lengths_that_do_not_fit_go_to_other() {
        check(&[(0, 8, 5), (0, 56, 5), (0, 7, 9)], "other=8 other=56 other=7");
        check(&[(0, 27, 4), (0, 12, 16)], "other=27 other=12");
        check(&[(0, 4, 2), (0, 7, 4)], "src_port=7 protocol=4");
    }

    #[test]
    fn alternates_and_shared_fields() {
        check(&[(0, 8, 4), (0, 27, 16)], "src_addr=8 other=27");
        check(&[(0, 27, 16), (0, 4, 1), (0, 8, 4), (0, 4, 1)], "src_addr=27 protocol=4 other=8 other=4#1");
        check(&[(0, 32, 2)], "icmp_type=32 icmp_code=32");
        check(&[(0, 152, 8), (0, 22, 4)], "flow_start=152 other=22");
        check(&[(0, 351, 8)], "vni=351 other=351");
        check(&[(0, 156, 8)], "flow_start=156 other=156");
    }

    #[test]
    fn every_column_with_a_source_can_be_reached() {
        for column in COLUMNS.iter().filter(|column| column.id != ColumnId::SamplingRate) {
            for source in column.sources {
                let is_v6 = source.key.lookup().is_some_and(|e| e.data_type == AbstractDataType::Ipv6Address);
                let length = match column.kind {
                    Kind::Address if is_v6 => 16,
                    Kind::Address => 4,
                    Kind::Mac => 6,
                    Kind::Labels => 3,
                    _ => 2,
                };
                // A key with a direction, for reverse elements.
                let plan =
                    Plan::compile(&specifiers(&[(source.key.pen, source.key.id, length), (0, 239, 1)]));
                let is_reached = plan.ops.iter().any(|op| op.column == column.id)
                    || column.id == ColumnId::MplsLabels && plan.labels == [0]
                    || source.part == Part::TunnelKey && plan.tunnel_key.is_some()
                    // A counter of the out pair alone belongs to the in pair.
                    || matches!(column.id, ColumnId::OutBytes | ColumnId::OutPackets) && source.family == 2;
                assert!(is_reached, "{} from {:?}", column.name, source.key);
            }
        }
    }
}
