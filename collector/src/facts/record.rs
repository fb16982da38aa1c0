//! What an options data record says: names, rates and counts, recognised by the
//! elements it has (RFC 7011 §4, RFC 5610 §3, RFC 6759 §4).

use flow_common::addr::Addr16;
use flow_common::column::{COLUMNS, ColumnId};
use flow_common::element::{ElementKey, REVERSE_PEN};
use flow_common::tables::{NameKind, RateScope, Report};
use flow_common::time::Timestamp;

use crate::decode::{Announced, uint};
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

    /// Place and octets of the first field of an IANA element.
    fn find(&self, id: u16) -> Option<(usize, &'a [u8])> {
        let key = ElementKey::iana(id).to_other_key(0);
        let mut fields = self.batch.other_at(self.row).enumerate();
        fields.find_map(|(index, (found, octets))| (found == key).then_some((index, octets)))
    }

    fn octets(&self, id: u16) -> &'a [u8] {
        self.find(id).map_or(&[][..], |(_, octets)| octets)
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
        let at = |ids: &[u16]| ids.iter().find_map(|&id| self.find(id));
        let announced = Announced {
            rate: at(&[34, 50]).map_or(&[], |(_, octets)| octets),
            interval: self.octets(305),
            space: self.octets(306),
            size: self.octets(309),
            population: self.octets(310),
            probability: self.octets(311),
        };
        let rate = announced.rate()?;
        let place =
            [34, 50, 305, 309, 311].iter().filter_map(|&id| self.find(id)).map(|(place, _)| place).min()?;
        if let Some(id) = self.number(48).or_else(|| self.number(302)) {
            return Some(Told::Rate { scope: RateScope::Sampler, id, rate });
        }
        // An interface is what the rate is about if it stands before it, as scopes do.
        let interface = self.find(10).filter(|&(before, _)| before < place).and_then(|_| self.number(10));
        Some(match interface {
            Some(id) => Told::Rate { scope: RateScope::Interface, id, rate },
            None => Told::Rate { scope: RateScope::Domain, id: 0, rate },
        })
    }

    fn flow_keys(&self) -> Option<Told<'a>> {
        let value = uint(self.octets(FLOW_KEYS))?.cast_signed();
        let scope = (TEMPLATE_ID, self.number(TEMPLATE_ID)?);
        Some(Told::Count { report: Report::FlowKeys, scope, element: FLOW_KEYS, value })
    }
}

/// `engine << 32 | selector`, as in the column `application_id` (RFC 6759 §4).
fn application_id(octets: &[u8]) -> Option<i64> {
    let (&engine, selector) = octets.split_first()?;
    let selector = u32::try_from(uint(selector)?).ok()?;
    Some(i64::from(engine) << 32 | i64::from(selector))
}
