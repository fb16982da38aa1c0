//! Scaling: counters of sampled flows multiplied by the rate, which a row has
//! itself or which its exporter told earlier or later.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use flow_common::addr::Addr16;
use flow_common::column::ColumnId;
use flow_common::tables::{RateRow, RateScope};

use crate::batch::{Batch, Cells};
use crate::names::sampler;
use crate::values::{Column, Values};

/// Counters that are multiplied.
pub(crate) const SCALED_COLUMNS: [ColumnId; 5] =
    [ColumnId::Packets, ColumnId::Bytes, ColumnId::OutPackets, ColumnId::OutBytes, ColumnId::Layer2Bytes];

/// Rates by the time since when they hold, µs.
#[derive(Debug, Default)]
struct History(Vec<(i64, i64)>);

impl History {
    fn push(&mut self, valid_from: i64, rate: i64) {
        let index = self.0.partition_point(|&(earlier, _)| earlier <= valid_from);
        self.0.insert(index, (valid_from, rate));
    }

    /// The rate at a time; before the first that is known, the first: an exporter
    /// announces its rate some time after it begins.
    fn at(&self, received: i64) -> Option<i64> {
        let index = self.0.partition_point(|&(valid_from, _)| valid_from <= received);
        self.0.get(index.saturating_sub(1)).map(|&(_, rate)| rate)
    }
}

/// Rates of one observation domain.
#[derive(Debug, Default)]
struct DomainRates {
    domain: History,
    samplers: HashMap<i64, History>,
    interfaces: HashMap<i64, History>,
}

impl DomainRates {
    /// As the collector picks a rate: the sampler's, the interface's where they
    /// differ, that of all interfaces, the domain's.
    fn at(&self, received: i64, sampler: Option<i64>, interface: Option<i64>) -> Option<i64> {
        let of_sampler = || self.samplers.get(&sampler?)?.at(received);
        of_sampler().or_else(|| self.of_interface(received, interface)).or_else(|| self.domain.at(received))
    }

    fn of_interface(&self, received: i64, interface: Option<i64>) -> Option<i64> {
        let mut rates = self.interfaces.values().filter_map(|history| history.at(received));
        let first = rates.next()?;
        match rates.all(|rate| rate == first) {
            true => Some(first),
            false => self.interfaces.get(&interface?)?.at(received),
        }
    }
}

/// Rates of all exporters of a tree, as options data told them.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    domains: HashMap<(Addr16, i64, i64), DomainRates>,
    /// The largest of them.
    pub(crate) max: i64,
    has_samplers: bool,
    has_interfaces: bool,
}

impl Rates {
    pub(crate) fn new(rows: Vec<RateRow>) -> Self {
        let mut rates = Self::default();
        for row in rows.into_iter().filter(|row| row.rate > 0) {
            let key = (row.exporter_addr, i64::from(row.export_version), row.observation_domain);
            let domain = rates.domains.entry(key).or_default();
            let history = match row.scope {
                RateScope::Domain => &mut domain.domain,
                RateScope::Sampler => domain.samplers.entry(row.scope_id).or_default(),
                RateScope::Interface => domain.interfaces.entry(row.scope_id).or_default(),
            };
            history.push(row.valid_from.0, row.rate);
            rates.max = rates.max.max(row.rate);
            rates.has_samplers |= row.scope == RateScope::Sampler;
            rates.has_interfaces |= row.scope == RateScope::Interface;
        }
        rates
    }

    /// Whether no rate is known: rows have their own or none.
    pub(crate) fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Columns a rate is looked up by.
    pub(crate) fn columns(&self) -> BTreeSet<ColumnId> {
        use ColumnId::{ExportVersion, ExporterAddr, InIf, ObservationDomain, Other, Received};
        let interface = self.has_interfaces.then_some(InIf);
        let sampler = self.has_samplers.then_some(Other);
        let key = [Received, ExporterAddr, ExportVersion, ObservationDomain];
        key.into_iter().chain(interface).chain(sampler).collect()
    }
}

/// Multiplies the counters of batches.
#[derive(Debug, Clone)]
pub(crate) struct Scaling(pub(crate) Arc<Rates>);

impl Scaling {
    /// Multiplies those counters of `batch` that are there and not in `done`, and keeps
    /// the rates beside them.
    pub(crate) fn apply(&self, batch: &mut Batch, done: &mut BTreeSet<ColumnId>) {
        let rates = match batch.rates() {
            Some(rates) => rates.to_vec(),
            None => {
                let told = RateCells::new(&self.0, batch);
                (0..batch.rows()).map(|row| told.get(row).unwrap_or(1)).collect()
            }
        };
        if rates.iter().all(|&rate| rate == 1) {
            return;
        }
        for id in SCALED_COLUMNS {
            let cells = batch.cells(id);
            if matches!(cells, Cells::Absent) || !done.insert(id) {
                continue;
            }
            let (mut values, mut nulls) = (Vec::with_capacity(rates.len()), Vec::with_capacity(rates.len()));
            for (row, rate) in rates.iter().enumerate() {
                let value = cells.int(row);
                values.push(value.map_or(0, |value| value.saturating_mul(*rate)));
                nulls.push(value.is_none());
            }
            let nulls = nulls.contains(&true).then_some(nulls);
            batch.set(id.into(), Column::Plain { values: Values::Ints(values), nulls });
        }
        batch.set_rates(rates);
    }
}

/// The rates of a batch.
struct RateCells<'a> {
    rates: &'a Rates,
    own: Cells<'a>,
    received: Cells<'a>,
    exporter: Cells<'a>,
    version: Cells<'a>,
    domain: Cells<'a>,
    in_if: Cells<'a>,
    other: Cells<'a>,
}

impl<'a> RateCells<'a> {
    fn new(rates: &'a Rates, batch: &'a Batch) -> Self {
        Self {
            rates,
            own: batch.cells(ColumnId::SamplingRate),
            received: batch.cells(ColumnId::Received),
            exporter: batch.cells(ColumnId::ExporterAddr),
            version: batch.cells(ColumnId::ExportVersion),
            domain: batch.cells(ColumnId::ObservationDomain),
            in_if: batch.cells(ColumnId::InIf),
            other: batch.cells(ColumnId::Other),
        }
    }

    fn get(&self, row: usize) -> Option<i64> {
        self.own.int(row).filter(|&rate| rate > 0).or_else(|| self.told(row))
    }

    /// The rate its exporter told in options data.
    fn told(&self, row: usize) -> Option<i64> {
        if self.rates.is_empty() {
            return None;
        }
        let key = (Addr16(self.exporter.octets(row)?), self.version.int(row)?, self.domain.int(row)?);
        let domain = self.rates.domains.get(&key)?;
        let sampler = if domain.samplers.is_empty() { None } else { sampler(self.other, row) };
        domain.at(self.received.int(row)?, sampler, self.in_if.int(row))
    }
}

#[cfg(test)]
mod tests {
    use flow_common::time::Timestamp;

    use super::*;

    fn row(scope: RateScope, scope_id: i64, valid_from: i64, rate: i64) -> RateRow {
        RateRow {
            exporter_addr: Addr16::default(),
            export_version: 9,
            observation_domain: 0,
            scope,
            scope_id,
            rate,
            valid_from: Timestamp(valid_from),
        }
    }

    #[track_caller]
    fn check(
        rows: &[RateRow],
        received: i64,
        (sampler, interface): (Option<i64>, Option<i64>),
        expected: Option<i64>,
    ) {
        let rates = Rates::new(rows.to_vec());
        let found = rates.domains.values().next().and_then(|all| all.at(received, sampler, interface));
        assert_eq!(found, expected, "{received} {sampler:?} {interface:?}");
    }

    #[test]
    fn a_rate_holds_from_when_it_was_told_and_the_first_also_before() {
        let rows = [row(RateScope::Domain, 0, 300, 30), row(RateScope::Domain, 0, 100, 10)];
        for (received, rate) in [(0, 10), (99, 10), (100, 10), (299, 10), (300, 30), (1_000, 30)] {
            check(&rows, received, (None, None), Some(rate));
        }
        check(&[row(RateScope::Domain, 0, 1, 0)], 1, (None, None), None);
    }

    #[test]
    fn samplers_come_first_then_interfaces_where_they_differ() {
        let sampler = row(RateScope::Sampler, 1, 0, 100);
        check(std::slice::from_ref(&sampler), 1, (Some(1), None), Some(100));
        check(std::slice::from_ref(&sampler), 1, (Some(2), None), None);
        check(std::slice::from_ref(&sampler), 1, (None, None), None);
        let one = row(RateScope::Interface, 0, 0, 5);
        check(std::slice::from_ref(&one), 1, (None, Some(9)), Some(5));
        let two = [one, row(RateScope::Interface, 9, 0, 7), row(RateScope::Domain, 0, 0, 2), sampler];
        check(&two, 1, (None, Some(9)), Some(7));
        check(&two, 1, (None, Some(8)), Some(2));
        check(&two, 1, (Some(1), Some(9)), Some(100));
    }
}
