//! What exporters say about themselves in options data: names, sampling rates,
//! losses of their own. Kept per exporter, within bounds, and written as side
//! tables when a slot closes.
//!
//! **Invariant:** a flood can't push out what an honest exporter said. Exporters
//! that never sent a flow record go first, then those quiet for a day; what does
//! not fit even so is refused and counted.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use flow_common::addr::Addr16;
use flow_common::element;
use flow_common::limits;
use flow_common::tables::{NameKind, NameRow, RateRow, RateScope, Report, ReportRow};
use flow_common::time::Timestamp;

use self::record::{Detail, OptionsRecord, Told};
use crate::bounds::Bounds;
use crate::flow::FlowBatch;

mod record;

/// What a fact is about, within its exporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    version: u16,
    domain: u32,
    subject: Subject,
    id: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Subject {
    Name(NameKind),
    Rate(RateScope),
    Count { report: Report, element: u16, scope_element: u16 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fact {
    Name(Name),
    /// Rates by the time since when they hold, newest last.
    Rates(Vec<(Timestamp, i64)>),
    Count {
        value: i64,
        received: Timestamp,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    name: Box<str>,
    description: Option<Box<str>>,
    detail: Detail,
    first_seen: Timestamp,
    last_seen: Timestamp,
}

impl Fact {
    /// Memory it takes, octets.
    fn bytes(&self) -> usize {
        const OVERHEAD_BYTES: usize = size_of::<Key>() + size_of::<Fact>() + 16;
        OVERHEAD_BYTES
            + match self {
                Self::Name(name) => name.name.len() + name.description.as_ref().map_or(0, |text| text.len()),
                // Each is a row of the table: as many as there may be names.
                Self::Rates(rates) => rates.len() * OVERHEAD_BYTES,
                Self::Count { .. } => 0,
            }
    }
}

/// What one exporter said.
#[derive(Debug, Default)]
struct Exporter {
    facts: HashMap<Key, Fact>,
    bytes: usize,
    /// Has sent flow records too.
    is_proven: bool,
    seen_at_secs: i64,
}

/// What options data said lately that counters show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Packets exporters say they ignored or did not send, since they said so last.
    pub(crate) packets_lost: u64,
    /// Facts there was no room for.
    pub(crate) refused: u64,
}

/// Everything exporters said.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    exporters: HashMap<Addr16, Exporter>,
    /// Exporters in the order they came, and those found proven behind them.
    queue: VecDeque<Addr16>,
    proven: VecDeque<Addr16>,
    bytes: usize,
    is_changed: bool,
    /// A name being cleaned.
    scratch: String,
    noted: Noted,
    bounds: Bounds,
}

/// The side tables.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) names: Vec<NameRow>,
    pub(crate) rates: Vec<RateRow>,
    pub(crate) reports: Vec<ReportRow>,
}

impl Facts {
    /// Keeps so much from now on.
    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Learns what options data records `rows` of `options` say.
    pub(crate) fn observe(&mut self, options: &FlowBatch, rows: Range<usize>) -> Noted {
        self.noted = Noted::default();
        for row in rows {
            let record = OptionsRecord::new(options, row);
            let (addr, received) = (record.exporter(), record.received());
            let key = |subject, id| Key { version: record.version(), domain: record.domain(), subject, id };
            record.read(|told| match told {
                Told::Name { kind, id, name, description, detail } => {
                    self.name(addr, key(Subject::Name(kind), id), (name, description, detail), received);
                }
                Told::Rate { scope, id, rate } => {
                    self.rate(addr, key(Subject::Rate(scope), id), rate, received);
                }
                Told::Count { report, scope: (scope_element, id), element, value } => {
                    let key = key(Subject::Count { report, element, scope_element }, id);
                    self.count(addr, key, value, received);
                }
            });
        }
        self.noted
    }

    /// An exporter has sent flow records.
    pub(crate) fn touch(&mut self, addr: Addr16, now: Timestamp) {
        if let Some(exporter) = self.exporters.get_mut(&addr) {
            exporter.is_proven = true;
            exporter.seen_at_secs = now.secs();
        }
    }

    fn name(&mut self, addr: Addr16, key: Key, told: (&[u8], &[u8], Detail), received: Timestamp) {
        let (name, description, detail) = told;
        let known = self.exporters.get_mut(&addr).and_then(|exporter| exporter.facts.get_mut(&key));
        if let Some(Fact::Name(known)) = known {
            let is_same = |octets: &[u8], text: Option<&str>, scratch: &mut String| {
                clean(octets, scratch);
                scratch.is_empty() || text == Some(scratch.as_str())
            };
            let is_told = is_same(name, Some(&known.name), &mut self.scratch)
                && is_same(description, known.description.as_deref(), &mut self.scratch)
                && known.detail == known.detail.updated(detail);
            if is_told {
                if received.secs() - known.last_seen.secs() >= limits::FACT_SEEN_SECS {
                    known.last_seen = received;
                    self.is_changed = true;
                }
                return;
            }
        }
        let before = match known {
            Some(Fact::Name(known)) => Some(known.clone()),
            _ => None,
        };
        let mut cleaned = |octets| {
            clean(octets, &mut self.scratch);
            (!self.scratch.is_empty()).then(|| Box::<str>::from(self.scratch.as_str()))
        };
        let (name, description) = (cleaned(name), cleaned(description));
        let (before_name, before_description) =
            before.as_ref().map(|before| (before.name.clone(), before.description.clone())).unzip();
        let description = description.or(before_description.flatten());
        let Some(name) = name.or(before_name).or_else(|| description.clone()) else { return };
        let fact = Name {
            name,
            description,
            detail: before.as_ref().map(|before| before.detail).unwrap_or_default().updated(detail),
            first_seen: before.map_or(received, |before| before.first_seen.min(received)),
            last_seen: received,
        };
        self.put(addr, key, Fact::Name(fact), received);
    }

    fn rate(&mut self, addr: Addr16, key: Key, rate: i64, received: Timestamp) {
        if rate <= 0 {
            return;
        }
        let known = self.exporters.get(&addr).and_then(|exporter| exporter.facts.get(&key));
        let mut rates = match known {
            Some(Fact::Rates(rates)) if valid_at(rates, received) == Some(rate) => return,
            Some(Fact::Rates(rates)) => rates.clone(),
            _ => Vec::new(),
        };
        let index = rates.partition_point(|&(valid_from, _)| valid_from <= received);
        match rates.get_mut(index) {
            // Data older than what is known (a capture): the rate held before.
            Some((valid_from, later)) if *later == rate => *valid_from = received,
            _ => rates.insert(index, (received, rate)),
        }
        let n_beyond = rates.len().saturating_sub(limits::RATE_CHANGES_MAX);
        rates.drain(..n_beyond);
        self.put(addr, key, Fact::Rates(rates), received);
    }

    fn count(&mut self, addr: Addr16, key: Key, value: i64, received: Timestamp) {
        let known = self.exporters.get(&addr).and_then(|exporter| exporter.facts.get(&key));
        let before = match known {
            Some(&Fact::Count { value, received: at }) if at <= received => Some(value),
            Some(_) => return,
            None => None,
        };
        let is_repeated = before == Some(value);
        if !is_repeated && matches!(key.subject, Subject::Count { element: 135 | 164 | 167, .. }) {
            // A counter that went back was set to zero in between.
            let more = before.filter(|&before| before < value).map_or(value, |before| value - before);
            self.noted.packets_lost = self.noted.packets_lost.saturating_add(more.max(0).cast_unsigned());
        }
        if !is_repeated || key_is_due(known, received) {
            self.put(addr, key, Fact::Count { value, received }, received);
        }
    }

    /// Stores a fact, if there is room for it.
    fn put(&mut self, addr: Addr16, key: Key, fact: Fact, received: Timestamp) {
        let bytes = fact.bytes();
        let known = self.exporters.get(&addr).map(|exporter| {
            let before = exporter.facts.get(&key).map_or(0, Fact::bytes);
            (before, before == 0 && exporter.facts.len() >= self.bounds.facts_per_exporter)
        });
        let (before_bytes, is_full) = known.unwrap_or_default();
        if is_full || !self.make_room(addr, bytes.saturating_sub(before_bytes), received) {
            self.noted.refused += 1;
            return;
        }
        let exporter = match self.exporters.entry(addr) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                self.queue.push_back(addr);
                entry.insert(Exporter::default())
            }
        };
        exporter.seen_at_secs = exporter.seen_at_secs.max(received.secs());
        exporter.facts.insert(key, fact);
        exporter.bytes = exporter.bytes + bytes - before_bytes;
        self.bytes = self.bytes + bytes - before_bytes;
        self.is_changed = true;
    }

    /// Evicts exporters until `bytes` more fit; false where nothing may go.
    fn make_room(&mut self, keep: Addr16, bytes: usize, now: Timestamp) -> bool {
        while self.bytes + bytes > self.bounds.facts_bytes {
            let Some(addr) = self.unproven(keep).or_else(|| self.quiet(keep, now)) else { return false };
            if let Some(exporter) = self.exporters.remove(&addr) {
                self.bytes -= exporter.bytes;
                self.is_changed = true;
            }
        }
        true
    }

    /// The one longest known that never sent a flow record.
    fn unproven(&mut self, keep: Addr16) -> Option<Addr16> {
        for _ in 0..self.queue.len() {
            let addr = self.queue.pop_front()?;
            match self.exporters.get(&addr) {
                Some(exporter) if exporter.is_proven => self.proven.push_back(addr),
                Some(_) if addr == keep => self.queue.push_back(addr),
                Some(_) => return Some(addr),
                None => {}
            }
            // Only the one to keep is left.
            if self.queue.len() == 1 && self.queue.front() == Some(&keep) {
                return None;
            }
        }
        None
    }

    /// One that was quiet for long, among the next few: a flood must not make each
    /// of its records a search.
    fn quiet(&mut self, keep: Addr16, now: Timestamp) -> Option<Addr16> {
        const LOOK_AT_MAX: usize = 8;
        for _ in 0..self.proven.len().min(LOOK_AT_MAX) {
            let addr = self.proven.pop_front()?;
            match self.exporters.get(&addr) {
                Some(exporter)
                    if addr != keep && now.secs() - exporter.seen_at_secs > limits::FACTS_QUIET_SECS_MAX =>
                {
                    return Some(addr);
                }
                Some(_) => self.proven.push_back(addr),
                None => {}
            }
        }
        None
    }

    /// The tables, if anything changed since they were last taken.
    pub(crate) fn take_changed(&mut self) -> Option<Tables> {
        std::mem::take(&mut self.is_changed).then(|| self.tables())
    }

    /// All facts as rows, in a fixed order.
    fn tables(&self) -> Tables {
        let mut facts: Vec<_> = self
            .exporters
            .iter()
            .flat_map(|(addr, exporter)| exporter.facts.iter().map(move |(key, fact)| (*addr, key, fact)))
            .collect();
        facts.sort_unstable_by_key(|&(addr, key, _)| (addr, *key));
        let mut tables = Tables::default();
        facts.into_iter().for_each(|(addr, key, fact)| tables.push(addr, key, fact));
        tables
    }

    /// Takes tables of an earlier run back, within the same bounds.
    pub(crate) fn restore(&mut self, tables: Tables) {
        for row in tables.names {
            let detail = Detail {
                mode: row.mode,
                data_type: row.data_type,
                semantics: row.semantics,
                units: row.units,
            };
            let Some(key) =
                restored(row.export_version, row.observation_domain, Subject::Name(row.kind), row.id)
            else {
                continue;
            };
            let description = row.description.unwrap_or_default();
            let told = (row.name.as_bytes(), description.as_bytes(), detail);
            self.name(row.exporter_addr, key, told, row.last_seen);
            let known = self.exporters.get_mut(&row.exporter_addr).and_then(|all| all.facts.get_mut(&key));
            if let Some(Fact::Name(known)) = known {
                known.first_seen = row.first_seen.min(row.last_seen);
            }
        }
        for row in tables.rates {
            let subject = Subject::Rate(row.scope);
            if let Some(key) = restored(row.export_version, row.observation_domain, subject, row.scope_id) {
                self.rate(row.exporter_addr, key, row.rate, row.valid_from);
            }
        }
        for row in tables.reports {
            let element = element::ELEMENTS.iter().find(|element| element.name == row.statistic);
            let scope_element = row.scope_element.map_or(Some(0), |id| u16::try_from(id).ok());
            let (Some(element), Some(scope_element)) = (element, scope_element) else { continue };
            let subject = Subject::Count { report: row.report, element: element.id, scope_element };
            if let Some(key) = restored(row.export_version, row.observation_domain, subject, row.scope_id) {
                self.count(row.exporter_addr, key, row.value, row.received);
            }
        }
        self.is_changed = false;
        self.noted = Noted::default();
    }
}

/// A key as the network could have made it.
fn restored(version: i32, domain: i64, subject: Subject, id: i64) -> Option<Key> {
    Some(Key { version: u16::try_from(version).ok()?, domain: u32::try_from(domain).ok()?, subject, id })
}

/// Whether a count that did not change was told long enough ago to be told again.
fn key_is_due(known: Option<&Fact>, received: Timestamp) -> bool {
    match known {
        Some(Fact::Count { received: at, .. }) => received.secs() - at.secs() >= limits::FACT_SEEN_SECS,
        _ => true,
    }
}

/// The rate that holds at a time; `None` before the first was told.
fn valid_at(rates: &[(Timestamp, i64)], at: Timestamp) -> Option<i64> {
    let index = rates.partition_point(|&(valid_from, _)| valid_from <= at);
    index.checked_sub(1).and_then(|last| rates.get(last)).map(|&(_, rate)| rate)
}

/// Text from the wire as a name: without the zeros that pad it, without control
/// characters, not longer than a name may be. What is no UTF-8 is replaced.
fn clean(octets: &[u8], into: &mut String) {
    into.clear();
    let end = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    let octets = octets.get(..end.min(limits::FACT_NAME_BYTES_MAX)).unwrap_or_default();
    for chunk in octets.utf8_chunks() {
        into.extend(chunk.valid().chars().filter(|c| !c.is_control()));
        if !chunk.invalid().is_empty() && into.len() < limits::FACT_NAME_BYTES_MAX {
            into.push(char::REPLACEMENT_CHARACTER);
        }
    }
    let kept = into.trim_end().len();
    into.truncate(kept);
}

impl Detail {
    /// With what is told anew.
    fn updated(self, other: Self) -> Self {
        Self {
            mode: other.mode.or(self.mode),
            data_type: other.data_type.or(self.data_type),
            semantics: other.semantics.or(self.semantics),
            units: other.units.or(self.units),
        }
    }
}

impl Tables {
    fn push(&mut self, exporter_addr: Addr16, key: &Key, fact: &Fact) {
        let export_version = i32::from(key.version);
        let observation_domain = i64::from(key.domain);
        match (key.subject, fact) {
            (Subject::Name(kind), Fact::Name(name)) => self.names.push(NameRow {
                exporter_addr,
                export_version,
                observation_domain,
                kind,
                id: key.id,
                name: name.name.to_string(),
                description: name.description.as_ref().map(ToString::to_string),
                mode: name.detail.mode,
                data_type: name.detail.data_type,
                semantics: name.detail.semantics,
                units: name.detail.units,
                first_seen: name.first_seen,
                last_seen: name.last_seen,
            }),
            (Subject::Rate(scope), Fact::Rates(rates)) => {
                self.rates.extend(rates.iter().map(|&(valid_from, rate)| RateRow {
                    exporter_addr,
                    export_version,
                    observation_domain,
                    scope,
                    scope_id: key.id,
                    rate,
                    valid_from,
                }));
            }
            (Subject::Count { report, element, scope_element }, &Fact::Count { value, received }) => {
                self.reports.push(ReportRow {
                    exporter_addr,
                    export_version,
                    observation_domain,
                    scope_element: (scope_element != 0).then(|| i32::from(scope_element)),
                    scope_id: key.id,
                    report,
                    statistic: element::lookup(element).map_or("", |element| element.name).to_owned(),
                    value,
                    received,
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
