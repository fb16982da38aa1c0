//! Names exporters gave their numbers, joined to rows: which column each belongs
//! to, and the side table they come from.

use std::collections::{HashMap, HashSet};

use flow_common::addr::Addr16;
use flow_common::column::ColumnId;
use flow_common::element::ElementKey;
use flow_common::tables::{NameKind, NameRow};
use flow_common::time::Timestamp;

use crate::batch::{Batch, Cells};

/// A name beside a number of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameColumn {
    /// Key in JSON.
    pub(crate) name: &'static str,
    /// Key in `raw`.
    pub(crate) raw: &'static str,
    pub(crate) kind: NameKind,
    /// Column with the number; samplers are in `other`.
    pub(crate) number: ColumnId,
}

/// Every name that can be joined.
pub(crate) static NAME_COLUMNS: [NameColumn; 6] = [
    NameColumn { name: "in_if_name", raw: "in ifname", kind: NameKind::Interface, number: ColumnId::InIf },
    NameColumn { name: "out_if_name", raw: "out ifname", kind: NameKind::Interface, number: ColumnId::OutIf },
    NameColumn {
        name: "ingress_vrf_name",
        raw: "in VRF name",
        kind: NameKind::Vrf,
        number: ColumnId::IngressVrf,
    },
    NameColumn {
        name: "egress_vrf_name",
        raw: "out VRF name",
        kind: NameKind::Vrf,
        number: ColumnId::EgressVrf,
    },
    NameColumn {
        name: "application_name",
        raw: "app name",
        kind: NameKind::Application,
        number: ColumnId::ApplicationId,
    },
    NameColumn {
        name: "sampler_name",
        raw: "sampler name",
        kind: NameKind::Sampler,
        number: ColumnId::Other,
    },
];

/// Elements that name a sampler: samplerId and selectorId.
pub(crate) const SAMPLER_IDS: [u16; 2] = [48, 302];

impl NameColumn {
    /// Columns the join reads.
    pub(crate) fn columns(&self) -> Vec<ColumnId> {
        let own = (self.kind == NameKind::Application).then_some(ColumnId::ApplicationName);
        let join = [self.number, ColumnId::ExporterAddr, ColumnId::ObservationDomain];
        join.into_iter().chain(own).collect()
    }
}

/// The names of one tree.
#[derive(Debug, Default)]
pub(crate) struct Names {
    of_domain: HashMap<(Addr16, i64, NameKind, i64), Box<str>>,
    /// The newest name in any domain: line cards number their domains, and options
    /// data may come in another than flows (Open vSwitch).
    of_exporter: HashMap<(Addr16, NameKind, i64), (Timestamp, Box<str>)>,
    elements: HashMap<i64, Box<str>>,
}

impl Names {
    pub(crate) fn new(rows: Vec<NameRow>) -> Self {
        let mut names = Self::default();
        for row in rows {
            let name = row.name.into_boxed_str();
            if row.kind == NameKind::Element {
                names.elements.insert(row.id, name);
                continue;
            }
            let key = (row.exporter_addr, row.kind, row.id);
            let newest = names.of_exporter.entry(key).or_insert_with(|| (row.last_seen, name.clone()));
            if newest.0 < row.last_seen {
                *newest = (row.last_seen, name.clone());
            }
            names.of_domain.insert((row.exporter_addr, row.observation_domain, row.kind, row.id), name);
        }
        names
    }

    fn get(&self, addr: Addr16, domain: Option<i64>, kind: NameKind, id: i64) -> Option<&str> {
        let in_domain = domain.and_then(|domain| self.of_domain.get(&(addr, domain, kind, id)));
        let name = in_domain.or_else(|| self.of_exporter.get(&(addr, kind, id)).map(|(_, name)| name));
        name.map(AsRef::as_ref)
    }

    /// The name an exporter gave an enterprise element (RFC 5610 §3), by its key in `other`.
    pub(crate) fn element(&self, key: i64) -> Option<&str> {
        let (element, _) = ElementKey::from_other_key(key);
        self.elements.get(&element.to_other_key(0)).map(AsRef::as_ref)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.of_exporter.is_empty()
    }

    /// Names of a kind, as often as they were told.
    pub(crate) fn of_kind(&self, kind: NameKind) -> impl Iterator<Item = &str> {
        let names = self.of_domain.iter().filter(move |(key, _)| key.2 == kind);
        names.map(|(_, name)| name.as_ref())
    }

    /// The numbers of a kind whose names pass `is_asked`.
    pub(crate) fn named(&self, kind: NameKind, is_asked: impl Fn(&str) -> bool) -> Named {
        let newest = self.of_exporter.iter().filter(|(key, (_, name))| key.1 == kind && is_asked(name));
        let of_exporter: HashSet<_> = newest.map(|(&(addr, _, id), _)| (addr, id)).collect();
        let in_domains = self.of_domain.iter().filter(|(key, _)| key.2 == kind);
        let of_domain = in_domains.filter_map(|(&(addr, domain, _, id), name)| {
            let (is_asked, is_newest) = (is_asked(name), of_exporter.contains(&(addr, id)));
            (is_asked != is_newest).then_some(((addr, domain, id), is_asked))
        });
        Named { of_domain: of_domain.collect(), of_exporter }
    }
}

/// Numbers of exporters, by what their names are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Where a domain differs from what holds for its exporter.
    of_domain: HashMap<(Addr16, i64, i64), bool>,
    of_exporter: HashSet<(Addr16, i64)>,
}

impl Named {
    /// Whether a number of an exporter is among them.
    pub(crate) fn contains(&self, addr: Addr16, domain: Option<i64>, id: i64) -> bool {
        let in_domain = domain.and_then(|domain| self.of_domain.get(&(addr, domain, id)));
        in_domain.copied().unwrap_or_else(|| self.of_exporter.contains(&(addr, id)))
    }

    /// The numbers, whoever's they are.
    pub(crate) fn ids(&self) -> impl Iterator<Item = i64> + '_ {
        let in_domains = self.of_domain.iter().filter(|(_, is_asked)| **is_asked).map(|(key, _)| key.2);
        self.of_exporter.iter().map(|key| key.1).chain(in_domains)
    }

    /// How many numbers of exporters.
    pub(crate) fn len(&self) -> usize {
        self.of_exporter.len()
    }
}

/// The names of a batch.
#[derive(Clone, Copy)]
pub(crate) struct NameCells<'a> {
    names: &'a Names,
    exporter: Cells<'a>,
    domain: Cells<'a>,
    numbers: [Cells<'a>; NAME_COLUMNS.len()],
    own_application: Cells<'a>,
}

impl<'a> NameCells<'a> {
    pub(crate) fn new(names: &'a Names, batch: &'a Batch) -> Self {
        Self {
            names,
            exporter: batch.cells(ColumnId::ExporterAddr),
            domain: batch.cells(ColumnId::ObservationDomain),
            numbers: NAME_COLUMNS.each_ref().map(|column| batch.cells(column.number)),
            own_application: batch.cells(ColumnId::ApplicationName),
        }
    }

    /// The name of the `index`-th of [`NAME_COLUMNS`]; an application's as the flow
    /// itself tells it, else as options data did.
    pub(crate) fn get(&self, index: usize, row: usize) -> Option<&'a str> {
        self.own(index, row).or_else(|| self.joined(index, row))
    }

    /// Whether the number of a row is one of `named`.
    pub(crate) fn is_named(&self, index: usize, row: usize, named: &[Named]) -> bool {
        let found = || {
            let addr = Addr16(self.exporter.octets(row)?);
            let (domain, id) = (self.domain.int(row), self.number(index, row)?);
            Some(named.iter().any(|named| named.contains(addr, domain, id)))
        };
        found().unwrap_or(false)
    }

    fn number(&self, index: usize, row: usize) -> Option<i64> {
        match NAME_COLUMNS[index].kind {
            NameKind::Sampler => sampler(self.numbers[index], row),
            _ => self.numbers[index].int(row),
        }
    }

    /// What the flow itself tells.
    fn own(&self, index: usize, row: usize) -> Option<&'a str> {
        let is_application = NAME_COLUMNS[index].kind == NameKind::Application;
        is_application.then(|| self.own_application.text(row))?
    }

    /// As [`NameCells::get`], but only what options data told of a row that does not
    /// tell it itself.
    pub(crate) fn joined(&self, index: usize, row: usize) -> Option<&'a str> {
        if self.names.is_empty() || self.own(index, row).is_some() {
            return None;
        }
        let (kind, id) = (NAME_COLUMNS[index].kind, self.number(index, row)?);
        let addr = Addr16(self.exporter.octets(row)?);
        self.names.get(addr, self.domain.int(row), kind, id)
    }
}

/// The sampler a flow names, from the cells of `other`.
pub(crate) fn sampler(other: Cells<'_>, row: usize) -> Option<i64> {
    let is_sampler = |key| SAMPLER_IDS.iter().any(|&id| ElementKey::iana(id).to_other_key(0) == key);
    let (_, octets) = other.entries(row)?.find(|(key, _)| is_sampler(*key))?;
    (octets.len() <= 7).then(|| octets.iter().fold(0, |id, &octet| id << 8 | i64::from(octet)))
}
