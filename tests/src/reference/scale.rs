//! Sampling rates: a row's own, else what its exporter told.

use std::collections::BTreeMap;

use flow_common::column::ColumnId;
use flow_common::tables::{RateRow, RateScope};

use super::row::{Cell, Row};

/// Counters that are multiplied.
const COUNTERS: [ColumnId; 5] =
    [ColumnId::Packets, ColumnId::Bytes, ColumnId::OutPackets, ColumnId::OutBytes, ColumnId::Layer2Bytes];

/// `row` with its counters multiplied by the rate that holds for it.
pub(super) fn scaled(row: &Row, table: &[RateRow]) -> Row {
    let own = row.int(ColumnId::SamplingRate).filter(|rate| *rate > 0);
    let rate = own.or_else(|| told(row, table)).unwrap_or(1);
    let mut scaled = row.clone();
    scaled.rate = rate;
    for id in COUNTERS {
        if let Some(Cell::Int(count)) = &mut scaled.cells[id as usize] {
            *count = count.saturating_mul(rate);
        }
    }
    scaled
}

/// What options data said: of the row's sampler, of its interface where interfaces
/// differ, of the domain.
fn told(row: &Row, table: &[RateRow]) -> Option<i64> {
    let exporter = row.address(ColumnId::ExporterAddr)?;
    let version = row.int(ColumnId::ExportVersion)?;
    let domain = row.int(ColumnId::ObservationDomain)?;
    let received = row.int(ColumnId::Received)?;
    let of_domain = table.iter().filter(|one| {
        one.rate > 0
            && one.exporter_addr.0 == exporter
            && i64::from(one.export_version) == version
            && one.observation_domain == domain
    });
    let at = |scope: RateScope, id: Option<i64>| {
        let told =
            of_domain.clone().filter(|one| one.scope == scope && id.is_none_or(|id| one.scope_id == id));
        let before = told.clone().filter(|one| one.valid_from.0 <= received).max_by_key(|one| one.valid_from);
        // An exporter tells its rate some time after it begins.
        before.or_else(|| told.min_by_key(|one| one.valid_from)).map(|one| one.rate)
    };
    let of_sampler = || at(RateScope::Sampler, Some(sampler(row)?));
    of_sampler()
        .or_else(|| {
            let ids = of_domain.clone().filter(|one| one.scope == RateScope::Interface);
            let rates: BTreeMap<i64, i64> = ids
                .filter_map(|one| Some((one.scope_id, at(RateScope::Interface, Some(one.scope_id))?)))
                .collect();
            let first = *rates.values().next()?;
            if rates.values().all(|rate| *rate == first) {
                return Some(first);
            }
            rates.get(&row.int(ColumnId::InIf)?).copied()
        })
        .or_else(|| at(RateScope::Domain, None))
}

/// The sampler a row names in `other`: element 48 or 302, whichever comes first.
fn sampler(row: &Row) -> Option<i64> {
    let Cell::Other(entries) = row.cell(ColumnId::Other as usize)? else { return None };
    let (_, octets) = entries.iter().find(|(key, _)| matches!(key, 48 | 302))?;
    (octets.len() < 8).then(|| octets.iter().fold(0, |id, octet| id * 256 + i64::from(*octet)))
}
