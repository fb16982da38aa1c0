//! What files of nfcapd say of exporters and their numbers, to the side tables of a tree: names
//! and sampling rates, added to those that are there.
//!
//! A file names an interface and not whose it is: the name is stored for each exporter of the file,
//! as nfdump shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flow_common::addr::Addr16;
use flow_common::layout::STATE_DIR;
use flow_common::limits::TABLE_ROWS_MAX;
use flow_common::tables::{NameKind, NameRow, RateRow, RateScope, Row};
use flow_common::time::Timestamp;

use super::nfcapd::SamplerInfo;
use super::store::Store;
use crate::scan::{ReadError, read_table};
use crate::write::{WriteError, write_table};

/// Whose number: address, version, domain.
type Who = (Addr16, i32, i64);

/// Rates and since when each holds, by what for.
type Rates = BTreeMap<(Who, RateScope, i64), Vec<(Timestamp, i64)>>;

/// What was told in all files.
#[derive(Debug, Default)]
pub(super) struct Tables {
    names: BTreeMap<(Who, NameKind, i64), NameRow>,
    rates: Rates,
    /// How many there are, of all exporters.
    n_rates: usize,
}

/// The only sampler of an exporter.
const GENERIC: i64 = -1;

impl Tables {
    /// Adds what a file said, which nfcapd began then.
    pub(super) fn add(&mut self, store: &Store, created_secs: u64) {
        let at = Timestamp::from_secs(i64::try_from(created_secs).unwrap_or(0));
        let exporters: BTreeMap<u16, Who> = store
            .known_exporters()
            .map(|(number, (addr, version, domain))| (number, (Addr16(addr), version, i64::from(domain))))
            .collect();
        // Numbers are many, exporters few.
        for who in exporters.values().copied().collect::<BTreeSet<Who>>() {
            for ((kind, id), (name, description)) in &store.names {
                if self.names.len() >= TABLE_ROWS_MAX {
                    break;
                }
                let new = name_row(who, *kind, *id, (name, description), at);
                self.names.entry((who, *kind, *id)).and_modify(|known| renew(known, &new)).or_insert(new);
            }
        }
        for SamplerInfo { exporter, id, rate } in &store.samplers {
            // What nfcapd was told on its command line no exporter told.
            let scope = match *id {
                GENERIC => (RateScope::Domain, 0),
                id @ 0.. => (RateScope::Sampler, id),
                _ => continue,
            };
            if let Some(who) = exporters.get(exporter)
                && *rate > 0
            {
                self.add_rate((*who, scope.0, scope.1), at, *rate);
            }
        }
    }

    /// Of equal rates that follow each other only one.
    fn add_rate(&mut self, key: (Who, RateScope, i64), at: Timestamp, rate: i64) {
        let last = self.rates.get_mut(&key).and_then(|rates| rates.last_mut());
        match last.filter(|(_, known)| *known == rate) {
            Some((since, _)) => *since = at.min(*since),
            None if self.n_rates < TABLE_ROWS_MAX => {
                self.rates.entry(key).or_default().push((at, rate));
                self.n_rates += 1;
            }
            None => {}
        }
    }

    /// Writes the tables of a tree anew, with what they had; what can't be read stays as it is,
    /// and is told.
    pub(super) fn write(self, root: &Path) -> Result<Vec<String>, WriteError> {
        let mut said = Vec::new();
        let directory = root.join(STATE_DIR);
        if !self.names.is_empty() {
            merge(&directory.join(NameRow::FILE), &mut said, |rows: Vec<NameRow>| {
                with_names(rows, self.names)
            })?;
        }
        if !self.rates.is_empty() {
            merge(&directory.join(RateRow::FILE), &mut said, |rows: Vec<RateRow>| {
                with_rates(rows, &self.rates)
            })?;
        }
        Ok(said)
    }
}

fn merge<R: Row + PartialEq + Clone>(
    path: &Path,
    said: &mut Vec<String>,
    with: impl FnOnce(Vec<R>) -> Vec<R>,
) -> Result<(), WriteError> {
    let before: Vec<R> = match read_table(path) {
        Ok(rows) => rows,
        Err(error) if ReadError::is_absence(&error) => Vec::new(),
        Err(error) => {
            said.push(format!("can't read `{}`, so nothing is added to it: {error}", path.display()));
            return Ok(());
        }
    };
    let mut rows = with(before.clone());
    if rows.len() > TABLE_ROWS_MAX {
        said.push(format!("`{}` has room for {TABLE_ROWS_MAX} rows, and not for all", path.display()));
        rows.truncate(TABLE_ROWS_MAX);
    }
    if rows == before { Ok(()) } else { write_table(path, &rows) }
}

fn name_row(
    (exporter_addr, export_version, observation_domain): Who,
    kind: NameKind,
    id: i64,
    (name, description): (&str, &str),
    at: Timestamp,
) -> NameRow {
    NameRow {
        exporter_addr,
        export_version,
        observation_domain,
        kind,
        id,
        name: name.to_owned(),
        description: (!description.is_empty()).then(|| description.to_owned()),
        mode: None,
        data_type: None,
        semantics: None,
        units: None,
        first_seen: at,
        last_seen: at,
    }
}

/// The newest name counts.
fn renew(known: &mut NameRow, new: &NameRow) {
    let first_seen = known.first_seen.min(new.first_seen);
    if known.last_seen <= new.last_seen {
        *known = NameRow { mode: known.mode, ..new.clone() };
    }
    known.first_seen = first_seen;
}

fn with_names(mut rows: Vec<NameRow>, mut new: BTreeMap<(Who, NameKind, i64), NameRow>) -> Vec<NameRow> {
    for row in &mut rows {
        let who = (row.exporter_addr, row.export_version, row.observation_domain);
        if let Some(new) = new.remove(&(who, row.kind, row.id)) {
            renew(row, &new);
        }
    }
    rows.extend(new.into_values());
    rows
}

/// Of rates that follow each other only changes are kept.
fn with_rates(rows: Vec<RateRow>, new: &Rates) -> Vec<RateRow> {
    let mut all = Rates::new();
    for row in &rows {
        let who = (row.exporter_addr, row.export_version, row.observation_domain);
        all.entry((who, row.scope, row.scope_id)).or_default().push((row.valid_from, row.rate));
    }
    for (key, rates) in new {
        all.entry(*key).or_default().extend(rates);
    }
    let of_key = |((who, scope, scope_id), mut rates): ((Who, RateScope, i64), Vec<(Timestamp, i64)>)| {
        rates.sort_unstable();
        rates.dedup_by_key(|(_, rate)| *rate);
        let (exporter_addr, export_version, observation_domain) = who;
        rates.into_iter().map(move |(valid_from, rate)| RateRow {
            exporter_addr,
            export_version,
            observation_domain,
            scope,
            scope_id,
            rate,
            valid_from,
        })
    };
    all.into_iter().flat_map(of_key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who() -> Who {
        (Addr16::from_v4([192, 0, 2, 1]), 9, 7)
    }

    #[test]
    fn the_newest_name_counts_and_only_changes_of_rates_are_kept() {
        let row = |name: &str, secs| {
            name_row(who(), NameKind::Interface, 1, (name, ""), Timestamp::from_secs(secs))
        };
        let key = (who(), NameKind::Interface, 1);
        for (secs, expected) in [(5, "old"), (15, "new")] {
            let rows = with_names(vec![row("old", 10)], [(key, row("new", secs))].into());
            assert_eq!((rows.len(), rows[0].name.as_str()), (1, expected));
            assert_eq!(rows[0].first_seen, Timestamp::from_secs(secs.min(10)));
        }
        let rates = |known: &[(i64, i64)], new: &[(i64, i64)]| {
            let pair = |&(secs, rate): &(i64, i64)| (Timestamp::from_secs(secs), rate);
            let key = (who(), RateScope::Domain, 0);
            let known = with_rates(Vec::new(), &[(key, known.iter().map(pair).collect())].into());
            let rows = with_rates(known, &[(key, new.iter().map(pair).collect())].into());
            rows.iter().map(|row| (row.valid_from.secs(), row.rate)).collect::<Vec<_>>()
        };
        assert_eq!(rates(&[(10, 100)], &[(20, 100), (5, 50)]), [(5, 50), (10, 100)]);
        assert_eq!(rates(&[(10, 100)], &[(5, 100)]), [(5, 100)]);
        assert_eq!(rates(&[(10, 100)], &[(20, 200), (30, 200)]), [(10, 100), (20, 200)]);
    }

    #[test]
    fn rates_are_as_many_as_a_table_has_rows() {
        let mut tables = Tables::default();
        let key = |id| (who(), RateScope::Sampler, id);
        // A sampler whose rate is another one each time.
        (0..TABLE_ROWS_MAX as i64).for_each(|n| tables.add_rate(key(1), Timestamp::from_secs(9), 1 + n % 2));
        let last = |tables: &Tables| tables.rates[&key(1)].last().copied();
        for (id, rate, since) in [(1, 1, 9), (2, 7, 9), (1, 2, 5)] {
            tables.add_rate(key(id), Timestamp::from_secs(5), rate);
            assert_eq!(tables.rates.values().map(Vec::len).sum::<usize>(), TABLE_ROWS_MAX);
            assert_eq!(tables.rates.len(), 1);
            // What is known may still be known to hold for longer.
            assert_eq!(last(&tables), Some((Timestamp::from_secs(since), 2)));
        }
    }
}
