//! What an options data record says: names, rates and counts, recognised by the
//! elements it has (RFC 7011 §4, RFC 5610 §3, RFC 6759 §4).

use flow_common::addr::Addr16;
use flow_common::column::{COLUMNS, ColumnId};
use flow_common::element::{ElementKey, REVERSE_PEN, Semantics};
use flow_common::tables::{NameKind, RateScope, Report};
use flow_common::time::Timestamp;

use crate::decode::{Announced, application_id, uint};
use crate::flow::FlowBatch;

/// One thing a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told<'a> {
    /// A number has a name.
    Name { kind: NameKind, id: i64, name: &'a [u8], description: &'a [u8], detail: Detail },
    /// A sampling rate holds.
    Rate { scope: RateScope, id: i64, rate: i64 },
    /// A counter of the exporter's own, or its flow keys.
    Count { report: Report, scope: (u16, i64), element: u16, value: i64 },
}

/// What is told of a name besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Detail {
    pub(super) mode: Option<i32>,
    pub(super) data_type: Option<i32>,
    pub(super) semantics: Option<i32>,
    pub(super) units: Option<i32>,
}

/// Which elements name what: the first that is there counts.
struct NameRule {
    kind: NameKind,
    keys: &'static [u16],
    names: &'static [u16],
    descriptions: &'static [u16],
}

const NAMES: [NameRule; 5] = [
    NameRule { kind: NameKind::Interface, keys: &[10, 14, 252, 253], names: &[82], descriptions: &[83] },
    NameRule { kind: NameKind::Application, keys: &[95], names: &[96], descriptions: &[94] },
    NameRule { kind: NameKind::Vrf, keys: &[234, 235], names: &[236], descriptions: &[] },
    NameRule { kind: NameKind::Sampler, keys: &[302, 48], names: &[335, 84], descriptions: &[] },
    NameRule { kind: NameKind::Domain, keys: &[149], names: &[300], descriptions: &[] },
];

/// Statistics of RFC 7011 §4.1 to §4.3. Exporters send any of them, alone or
/// together with those of another section (YAF 42, 164 and 167; Open vSwitch 167).
const COUNTS: [(u16, Report); 9] = [
    (40, Report::Metering),
    (41, Report::Metering),
    (42, Report::Metering),
    (135, Report::MeteringReliability),
    (164, Report::MeteringReliability),
    (165, Report::MeteringReliability),
    (166, Report::ExportingReliability),
    (167, Report::ExportingReliability),
    (168, Report::ExportingReliability),
];

/// What such statistics are about, the more particular first (RFC 7011 §4.1–§4.3).
const COUNT_SCOPES: [u16; 6] = [10, 141, 143, 144, 130, 149];

/// Elements that tell a sampling rate.
const RATES: [u16; 5] = [34, 50, 305, 309, 311];

/// ingressInterface, as a key of `other`.
const INTERFACE: i64 = ElementKey::iana(10).to_other_key(0);

/// Elements of RFC 5610 §3 and RFC 7011 §4.4.
const TEMPLATE_ID: u16 = 145;
const FLOW_KEYS: u16 = 173;
const ELEMENT_ID: u16 = 303;
const ELEMENT_TYPE: u16 = 339;
const ELEMENT_DESCRIPTION: u16 = 340;
const ELEMENT_NAME: u16 = 341;
const ELEMENT_SEMANTICS: u16 = 344;
const ELEMENT_UNITS: u16 = 345;
const ELEMENT_PEN: u16 = 346;

/// What a record may be about: a bit each.
const NAME: u8 = 1;
const RATE: u8 = 2;
const ELEMENT: u8 = 4;
const FLOW_KEY: u8 = 8;
const COUNT: u8 = 16;

/// Whether an element before a rate names a part of what the domain exports: an
/// identifier, but not of the exporter, its processes or the domain itself, nor of how
/// it samples. Of an element no registry knows it may be so.
fn is_part(key: i64) -> bool {
    const WHOLE_OR_MODE: [u16; 7] = [130, 131, 143, 144, 149, 49, 304];
    let (element, _) = ElementKey::from_other_key(key);
    match element.lookup() {
        Some(known) => known.semantics == Semantics::Identifier && !WHOLE_OR_MODE.contains(&known.id),
        None => true,
    }
}

/// An options data record in a batch.
#[derive(Clone, Copy)]
pub(super) struct OptionsRecord<'a> {
    batch: &'a FlowBatch,
    row: usize,
}

impl<'a> OptionsRecord<'a> {
    pub(super) fn new(batch: &'a FlowBatch, row: usize) -> Self {
        Self { batch, row }
    }

    pub(super) fn exporter(&self) -> Addr16 {
        Addr16(self.batch.address_at(ColumnId::ExporterAddr, self.row).unwrap_or_default())
    }

    pub(super) fn version(&self) -> u16 {
        let version = self.batch.integer(ColumnId::ExportVersion, self.row);
        version.and_then(|version| u16::try_from(version).ok()).unwrap_or_default()
    }

    pub(super) fn domain(&self) -> u32 {
        let domain = self.batch.integer(ColumnId::ObservationDomain, self.row);
        domain.and_then(|domain| u32::try_from(domain).ok()).unwrap_or_default()
    }

    pub(super) fn received(&self) -> Timestamp {
        Timestamp(self.batch.integer(ColumnId::Received, self.row).unwrap_or_default())
    }

    /// Octets of the first field of an IANA element; empty where there is none.
    fn octets(&self, id: u16) -> &'a [u8] {
        let key = ElementKey::iana(id).to_other_key(0);
        let mut fields = self.batch.other_at(self.row);
        fields.find(|&(found, _)| found == key).map_or(&[][..], |(_, octets)| octets)
    }

    fn number(&self, id: u16) -> Option<i64> {
        i64::try_from(uint(self.octets(id))?).ok()
    }

    fn small(&self, id: u16) -> Option<i32> {
        i32::try_from(self.number(id)?).ok()
    }

    /// Calls `tell` with all the record says.
    pub(super) fn read(&self, mut tell: impl FnMut(Told<'a>)) {
        let subjects = self.subjects();
        let rules = NAMES.iter().filter(|_| subjects & NAME != 0);
        rules.filter_map(|rule| self.name(rule)).for_each(&mut tell);
        if subjects & ELEMENT != 0 {
            self.element().into_iter().for_each(&mut tell);
        }
        if subjects & RATE != 0 {
            self.rate().into_iter().for_each(&mut tell);
        }
        if subjects & FLOW_KEY != 0 {
            self.flow_keys().into_iter().for_each(&mut tell);
        }
        for (element, report) in COUNTS.into_iter().filter(|_| subjects & COUNT != 0) {
            let Some(value) = self.number(element) else { continue };
            let scope = COUNT_SCOPES.iter().find_map(|&scope| Some((scope, self.number(scope)?)));
            tell(Told::Count { report, scope: scope.unwrap_or_default(), element, value });
        }
    }

    /// What the record may be about, in one pass over its elements.
    fn subjects(&self) -> u8 {
        let of = |(key, _)| match ElementKey::from_other_key(key) {
            (ElementKey { pen: 0, id }, 0) => match id {
                82..=84 | 94 | 96 | 236 | 300 | 335 => NAME,
                34 | 50 | 305 | 309 | 311 => RATE,
                ELEMENT_PEN => ELEMENT,
                FLOW_KEYS => FLOW_KEY,
                40..=42 | 135 | 164..=168 => COUNT,
                _ => 0,
            },
            _ => 0,
        };
        self.batch.other_at(self.row).map(of).fold(0, |all, one| all | one)
    }

    fn name(&self, rule: &NameRule) -> Option<Told<'a>> {
        let first = |ids: &[u16]| {
            let octets = ids.iter().map(|&id| self.octets(id));
            octets.into_iter().find(|octets| octets.iter().any(|&octet| octet != 0)).unwrap_or_default()
        };
        let (name, description) = (first(rule.names), first(rule.descriptions));
        if name.is_empty() && description.is_empty() {
            return None;
        }
        let mut ids = rule.keys.iter().filter_map(|&id| match rule.kind {
            NameKind::Application => application_id(self.octets(id)),
            _ => self.number(id),
        });
        // Of both directions an exporter fills one, or both alike.
        let first_id = ids.next()?;
        let id = if first_id == 0 { ids.find(|&id| id != 0).unwrap_or(0) } else { first_id };
        let mode = || self.small(304).or_else(|| self.small(49));
        let mode = if rule.kind == NameKind::Sampler { mode() } else { None };
        Some(Told::Name {
            kind: rule.kind,
            id,
            name,
            description,
            detail: Detail { mode, ..Detail::default() },
        })
    }

    /// Type of an enterprise element (RFC 5610 §3). What a registry or this program
    /// defines is not an exporter's to say.
    fn element(&self) -> Option<Told<'a>> {
        let pen = u32::try_from(self.number(ELEMENT_PEN)?).ok()?;
        // With or without the enterprise bit.
        let id = u16::try_from(self.number(ELEMENT_ID)?).ok()? & 0x7fff;
        let key = ElementKey { pen, id };
        let is_ours = COLUMNS.iter().any(|column| column.sources.iter().any(|source| source.key == key));
        if pen == 0 || pen == REVERSE_PEN || id == 0 || is_ours {
            return None;
        }
        let detail = Detail {
            mode: None,
            data_type: self.small(ELEMENT_TYPE),
            semantics: self.small(ELEMENT_SEMANTICS),
            units: self.small(ELEMENT_UNITS),
        };
        Some(Told::Name {
            kind: NameKind::Element,
            id: key.to_other_key(0),
            name: self.octets(ELEMENT_NAME),
            description: self.octets(ELEMENT_DESCRIPTION),
            detail,
        })
    }

    fn rate(&self) -> Option<Told<'a>> {
        let first = [34, 50].into_iter().map(|id| self.octets(id)).find(|octets| !octets.is_empty());
        let announced = Announced {
            rate: first.unwrap_or_default(),
            interval: self.octets(305),
            space: self.octets(306),
            size: self.octets(309),
            population: self.octets(310),
            probability: self.octets(311),
        };
        let rate = announced.rate()?;
        if let Some(id) = self.number(48).or_else(|| self.number(302)) {
            return Some(Told::Rate { scope: RateScope::Sampler, id, rate });
        }
        let (scope, id) = self.rate_scope()?;
        Some(Told::Rate { scope, id, rate })
    }

    /// What a rate without a sampler is about: scopes stand before it, and a row does
    /// not say how many. `None` for a part of the domain that no flow record names.
    fn rate_scope(&self) -> Option<(RateScope, i64)> {
        let is_rate = |key: i64| RATES.iter().any(|&id| key == ElementKey::iana(id).to_other_key(0));
        let before = self.batch.other_at(self.row).take_while(|&(key, _)| !is_rate(key));
        // Juniper's SRX sends scopes of no octets.
        let parts = before.filter(|(_, octets)| !octets.is_empty()).filter(|&(key, _)| is_part(key));
        let mut parts = parts.map(|(key, _)| key);
        match (parts.next(), parts.next()) {
            (None, _) => Some((RateScope::Domain, 0)),
            (Some(INTERFACE), None) => Some((RateScope::Interface, self.number(10)?)),
            _ => None,
        }
    }

    fn flow_keys(&self) -> Option<Told<'a>> {
        let value = uint(self.octets(FLOW_KEYS))?.cast_signed();
        let scope = (TEMPLATE_ID, self.number(TEMPLATE_ID)?);
        Some(Told::Count { report: Report::FlowKeys, scope, element: FLOW_KEYS, value })
    }
}
