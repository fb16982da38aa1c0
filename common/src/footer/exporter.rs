//! What exporters contributed to a file, and what of theirs it lacks.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::limits::{FOOTER_EXPORTERS_MAX, FOOTER_MINUTES_MAX};
use crate::time::Timestamp;

/// What one exporter contributed to a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exporter {
    /// Source address of its datagrams; `None` sums up exporters beyond the limit.
    pub addr: Option<IpAddr>,
    /// Export version: 5, 9, 10.
    pub version: u16,
    /// Observation domain or source id; `None` for v5.
    pub domain: Option<u32>,
    /// Datagrams that contributed records.
    pub datagrams: u64,
    /// Flow records.
    pub flows: u64,
    /// Records that are events and no flows.
    #[serde(default)]
    pub events: u64,
    /// Messages before which sequence numbers were missing.
    #[serde(default)]
    pub gaps: u64,
    /// What they prove lost on the way, less what came late.
    #[serde(default)]
    pub lost: i64,
    /// What `lost` counts: `flows` (v5), `packets` (v9), `records` or `messages`
    /// (IPFIX); empty where nothing was lost.
    #[serde(default)]
    pub lost_unit: String,
    /// Datagrams with data that came before its template, less those that had all of theirs
    /// since: what is left is not among the rows. The two may be told by different files.
    #[serde(default)]
    pub waiting: i64,
    /// When something was lost or had to wait, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub minutes: Vec<Minute>,
}

/// What is missing of one minute, as an array in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i64, i64, i64)", into = "(i64, i64, i64)")]
pub struct Minute {
    /// Minutes since the epoch.
    pub at: i64,
    /// Its share of `lost`, noticed then.
    pub lost: i64,
    /// Its share of `waiting`, received then.
    pub waiting: i64,
}

impl From<(i64, i64, i64)> for Minute {
    fn from((at, lost, waiting): (i64, i64, i64)) -> Self {
        Self { at, lost, waiting }
    }
}

impl From<Minute> for (i64, i64, i64) {
    fn from(Minute { at, lost, waiting }: Minute) -> Self {
        (at, lost, waiting)
    }
}

/// What one datagram adds to its exporter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contribution {
    /// Flow records.
    pub flows: u64,
    /// Records that are events and no flows.
    pub events: u64,
    /// Whether sequence numbers are missing before it.
    pub is_gap: bool,
    /// Units proved lost, less those that came late.
    pub lost: i64,
    /// What `lost` counts.
    pub lost_unit: &'static str,
    /// 1 where data of it waits for a template, -1 where no more does.
    pub waiting: i64,
}

impl Exporter {
    /// Adds what the same exporter contributed to another file.
    pub fn add(&mut self, other: &Self) {
        self.datagrams = self.datagrams.saturating_add(other.datagrams);
        self.flows = self.flows.saturating_add(other.flows);
        self.events = self.events.saturating_add(other.events);
        self.gaps = self.gaps.saturating_add(other.gaps);
        self.lost = self.lost.saturating_add(other.lost);
        self.waiting = self.waiting.saturating_add(other.waiting);
        if !other.lost_unit.is_empty() {
            self.lost_unit.clone_from(&other.lost_unit);
        }
        other.minutes.iter().for_each(|&minute| self.add_minute(minute));
    }

    /// What of `lost` no minute tells of: that of files of earlier releases, also where it was
    /// added to others.
    pub fn undated_lost(&self) -> i64 {
        let dated = self.minutes.iter().fold(0, |sum: i64, minute| sum.saturating_add(minute.lost));
        self.lost.saturating_sub(dated)
    }

    /// Beyond the bound minutes join the one before them.
    fn add_minute(&mut self, new: Minute) {
        let after = self.minutes.partition_point(|known| known.at < new.at);
        let is_known = self.minutes.get(after).is_some_and(|known| known.at == new.at);
        if !is_known && self.minutes.len() < FOOTER_MINUTES_MAX {
            self.minutes.insert(after, new);
            return;
        }
        let place = if is_known { after } else { after.saturating_sub(1) };
        if let Some(known) = self.minutes.get_mut(place) {
            known.lost = known.lost.saturating_add(new.lost);
            known.waiting = known.waiting.saturating_add(new.waiting);
        }
    }
}

/// Counts records and losses per exporter, bounded; what is beyond the bound is
/// summed up.
#[derive(Debug, Default)]
pub struct ExporterTable {
    exporters: BTreeMap<(IpAddr, u16, Option<u32>), Exporter>,
    beyond: Option<Exporter>,
}

impl ExporterTable {
    /// Adds one datagram, received then.
    pub fn add(
        &mut self,
        addr: IpAddr,
        version: u16,
        domain: Option<u32>,
        received_at: Timestamp,
        contribution: Contribution,
    ) {
        let new = |addr, version, domain| Exporter { addr, version, domain, ..Exporter::default() };
        let is_full = self.exporters.len() >= FOOTER_EXPORTERS_MAX;
        let key = (addr, version, domain);
        let exporter = match self.exporters.get_mut(&key) {
            Some(exporter) => exporter,
            None if is_full => self.beyond.get_or_insert_with(|| new(None, 0, None)),
            None => self.exporters.entry(key).or_insert_with(|| new(Some(addr), version, domain)),
        };
        let Contribution { flows, events, is_gap, lost, lost_unit, waiting } = contribution;
        // A datagram that waits contributes when its template has come.
        exporter.datagrams += u64::from(waiting == 0 || flows + events > 0);
        exporter.flows += flows;
        exporter.events += events;
        exporter.gaps += u64::from(is_gap);
        exporter.lost += lost;
        exporter.waiting += waiting;
        if lost != 0 {
            lost_unit.clone_into(&mut exporter.lost_unit);
        }
        if lost != 0 || waiting != 0 {
            exporter.add_minute(Minute { at: received_at.secs().div_euclid(60), lost, waiting });
        }
    }

    /// Whether it has something of this exporter.
    pub fn has(&self, addr: IpAddr, version: u16, domain: Option<u32>) -> bool {
        self.exporters.contains_key(&(addr, version, domain))
    }

    /// The list for the footer, most records first.
    pub fn take(&mut self) -> Vec<Exporter> {
        let exporters = std::mem::take(&mut self.exporters);
        let mut list: Vec<_> = exporters.into_values().chain(self.beyond.take()).collect();
        list.sort_by_key(|exporter| std::cmp::Reverse(exporter.flows));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_in_order_and_bounded() {
        let mut exporter = Exporter::default();
        let mut add = |at, lost| {
            exporter
                .add(&Exporter { minutes: vec![Minute { at, lost, waiting: -lost }], ..Exporter::default() })
        };
        add(7, 1);
        add(5, 2);
        add(7, 3);
        (100..100 + FOOTER_MINUTES_MAX as i64).for_each(|at| add(at, 1));
        add(6, 10);
        let triples: Vec<(i64, i64, i64)> = exporter.minutes.iter().map(|&minute| minute.into()).collect();
        assert_eq!(triples[..3], [(5, 12, -12), (7, 4, -4), (100, 1, -1)]);
        assert_eq!(triples.len(), FOOTER_MINUTES_MAX);
        assert_eq!(triples.last(), Some(&(161, 3, -3)));
        assert_eq!(triples.iter().map(|one| one.1).sum::<i64>(), 16 + FOOTER_MINUTES_MAX as i64);
    }

    #[test]
    fn an_exporter_of_an_earlier_release_lacks_nothing_it_told() {
        let text = r#"{"addr":"192.0.2.1","version":9,"domain":7,"datagrams":1,"flows":2,"lost":3,"lost_unit":"packets"}"#;
        let exporter: Exporter = serde_json::from_str(text).unwrap();
        assert_eq!((exporter.lost, exporter.waiting, exporter.minutes.len()), (3, 0, 0));
        assert_eq!(exporter.undated_lost(), 3);
        let told = Exporter { minutes: vec![Minute { at: 5, lost: 3, waiting: 0 }], ..exporter };
        let text = serde_json::to_string(&told).unwrap();
        assert!(text.ends_with(r#""minutes":[[5,3,0]]}"#), "{text}");
        assert_eq!(serde_json::from_str::<Exporter>(&text).unwrap(), told);
        assert_eq!(told.undated_lost(), 0);
    }
}
