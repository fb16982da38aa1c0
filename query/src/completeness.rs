//! What is known to be missing from an answer, from the metadata of the files it rests on.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use flow_common::footer::{Footer, Minute};
use flow_common::limits::{EXPORT_DELAY_MINUTES_MAX, LOSSES_SHOWN_MAX};

/// Whose: address, export version, observation domain.
pub(crate) type Who = (Option<IpAddr>, u16, Option<u32>);

/// What was lost on the way to the files of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// What exporters sent and nobody received: how much of what.
    pub(crate) on_the_way: BTreeMap<Who, (u64, String)>,
    /// Datagrams that came before a template of theirs, less those that had all since, by the
    /// minute they came.
    pub(crate) unready: BTreeMap<Who, BTreeMap<i64, i64>>,
    /// Datagrams the kernel dropped on the collector's sockets.
    pub(crate) kernel_dropped: u64,
    /// Files that could not be read, or not to their end.
    pub(crate) unreadable_files: u64,
}

impl Losses {
    /// Adds what a file says of a window, µs, both ends included, and of the time its flows take to
    /// be exported; `None` is all of it.
    pub(crate) fn add(&mut self, footer: &Footer, window: Option<(i64, i64)>) {
        self.kernel_dropped = self.kernel_dropped.saturating_add(footer.kernel_dropped);
        for exporter in &footer.exporters {
            let who = (exporter.addr, exporter.version, exporter.domain);
            let minutes = || {
                exporter.minutes.iter().filter(|minute| window.is_none_or(|window| overlaps(minute, window)))
            };
            let told = minutes().fold(0, |sum: i64, minute| sum.saturating_add(minute.lost));
            let lost = exporter.undated_lost().saturating_add(told);
            if let Some(lost) = u64::try_from(lost).ok().filter(|&lost| lost > 0) {
                let (sum, unit) = self.on_the_way.entry(who).or_default();
                *sum = sum.saturating_add(lost);
                unit.clone_from(&exporter.lost_unit);
            }
            for minute in minutes().filter(|minute| minute.waiting != 0) {
                let sum = self.unready.entry(who).or_default().entry(minute.at).or_default();
                *sum = sum.saturating_add(minute.waiting);
            }
        }
    }

    /// Datagrams whose template did not come, by exporter. What waited and what of it was
    /// decoded later is of one minute, whichever files tell.
    pub(crate) fn waiting(&self) -> BTreeMap<Who, u64> {
        let sum = |minutes: &BTreeMap<i64, i64>| {
            minutes.values().filter_map(|&n| u64::try_from(n).ok()).fold(0, u64::saturating_add)
        };
        self.unready.iter().map(|(who, minutes)| (*who, sum(minutes))).filter(|(_, n)| *n > 0).collect()
    }

    /// With addresses made other ones.
    pub(crate) fn with_addresses(&self, of: impl Fn(IpAddr) -> IpAddr) -> Self {
        let other = |(addr, version, domain): &Who| (addr.map(&of), *version, *domain);
        Self {
            on_the_way: self.on_the_way.iter().map(|(who, loss)| (other(who), loss.clone())).collect(),
            unready: self.unready.iter().map(|(who, minutes)| (other(who), minutes.clone())).collect(),
            ..*self
        }
    }

    /// Whether nothing is known to be missing.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { on_the_way, kernel_dropped, unreadable_files, .. } = self;
        on_the_way.is_empty() && self.waiting().is_empty() && (*kernel_dropped, *unreadable_files) == (0, 0)
    }
}

/// Whether flows of a window may have come, or not, in a minute: exporters tell of them when they
/// end, or after a timeout.
fn overlaps(minute: &Minute, (start, last): (i64, i64)) -> bool {
    const MICROS: i64 = 60_000_000;
    let from = minute.at.saturating_mul(MICROS);
    let told_until = last.saturating_add(EXPORT_DELAY_MINUTES_MAX * MICROS);
    from <= told_until && start < from.saturating_add(MICROS)
}

/// What is missing in words, the largest losses first.
impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        let lost = self.on_the_way.iter().map(|(who, (lost, unit))| {
            // Datagrams, not packets of flows.
            let unit = if unit == "packets" { "export packets" } else { unit };
            (*lost, format!("{lost} {unit} of {} lost on the way", name(who)))
        });
        largest(lost.collect(), "lost some", &mut words);
        let waiting = self.waiting().into_iter().map(|(who, n)| {
            let datagrams = if n == 1 { "datagram" } else { "datagrams" };
            (n, format!("{n} {datagrams} of {} without their template", name(&who)))
        });
        largest(waiting.collect(), "sent no template", &mut words);
        if self.kernel_dropped > 0 {
            words.push(format!("the collector's kernel dropped {} datagrams", self.kernel_dropped));
        }
        match self.unreadable_files {
            0 => {}
            1 => words.push("1 file could not be read".into()),
            n => words.push(format!("{n} files could not be read")),
        }
        f.write_str(&words.join("; "))
    }
}

/// The largest of what exporters lack, and how many more there are.
fn largest(mut all: Vec<(u64, String)>, did: &str, words: &mut Vec<String>) {
    all.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    let n_more = all.len().saturating_sub(LOSSES_SHOWN_MAX);
    words.extend(all.into_iter().take(LOSSES_SHOWN_MAX).map(|(_, text)| text));
    match n_more {
        0 => {}
        1 => words.push(format!("\u{2026} and 1 more exporter {did}")),
        n => words.push(format!("\u{2026} and {n} more exporters {did}")),
    }
}

fn name((addr, version, domain): &Who) -> String {
    let who = addr.map_or_else(|| "other exporters".to_owned(), |addr| addr.to_string());
    let domain = domain.filter(|&domain| domain > 0).map(|domain| format!(", domain {domain}"));
    match version {
        0 => who,
        10 => format!("{who} (IPFIX{})", domain.unwrap_or_default()),
        version => format!("{who} (v{version}{})", domain.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use flow_common::footer::{Exporter, Totals};
    use flow_common::layout::Slot;

    use super::*;

    fn footer(exporters: &[(&str, u16, Option<u32>, i64, &str)], kernel_dropped: u64) -> Footer {
        let exporter =
            |&(addr, version, domain, lost, unit): &(&str, u16, Option<u32>, i64, &str)| Exporter {
                addr: addr.parse().ok(),
                version,
                domain,
                datagrams: 1,
                flows: 1,
                gaps: 1,
                lost,
                lost_unit: unit.to_owned(),
                ..Exporter::default()
            };
        Footer {
            schema_version: 1,
            writer: String::new(),
            ident: String::new(),
            slot: Slot { start_secs: 0, end_secs: 300 },
            totals: Totals::default(),
            exporters: exporters.iter().map(exporter).collect(),
            kernel_dropped,
            elements: Vec::new(),
            replaces: Vec::new(),
            compacts: Vec::new(),
            imported_from: Vec::new(),
            journal: None,
        }
    }

    #[test]
    fn losses_add_up_and_are_told_largest_first() {
        let mut losses = Losses::default();
        losses
            .add(&footer(&[("192.0.2.1", 9, Some(7), 0, ""), ("192.0.2.2", 5, None, -3, "flows")], 0), None);
        assert!(losses.is_empty());
        losses.add(
            &footer(&[("192.0.2.1", 9, Some(7), 3, "packets"), ("192.0.2.2", 5, None, 40, "flows")], 2),
            None,
        );
        losses.add(&footer(&[("192.0.2.1", 9, Some(7), 4, "packets")], 0), None);
        let told = "40 flows of 192.0.2.2 (v5) lost on the way; \
                    7 export packets of 192.0.2.1 (v9, domain 7) lost on the way; \
                    the collector's kernel dropped 2 datagrams";
        assert_eq!(losses.to_string(), told);
        losses = Losses { unreadable_files: 1, ..Losses::default() };
        losses.add(&footer(&[("::1", 10, Some(0), 1, "records"), ("", 0, None, 9, "records")], 0), None);
        for host in 1..4 {
            losses.add(&footer(&[(&format!("2001:db8::{host}"), 10, Some(1), 5, "messages")], 0), None);
        }
        let told = "9 records of other exporters lost on the way; \
                    5 messages of 2001:db8::1 (IPFIX, domain 1) lost on the way; \
                    5 messages of 2001:db8::2 (IPFIX, domain 1) lost on the way; \
                    \u{2026} and 2 more exporters lost some; 1 file could not be read";
        assert_eq!(losses.to_string(), told);
    }

    /// What is told of some minutes and a window, minutes.
    #[track_caller]
    fn check(minutes: &[(i64, i64, i64)], window: Option<(i64, i64)>, expected: &str) {
        let mut losses = Losses::default();
        // Each minute is told by a file of its own, as of a slot that was open twice.
        for &minute in minutes {
            let (at, lost, waiting) = minute;
            let mut footer = footer(&[("192.0.2.1", 9, Some(7), lost, "packets")], 0);
            footer.exporters[0].waiting = waiting;
            footer.exporters[0].minutes = vec![Minute { at, lost, waiting }];
            losses.add(&footer, window.map(|(from, to)| (from * 60_000_000, to * 60_000_000 - 1)));
        }
        assert_eq!(losses.to_string(), expected);
        assert_eq!(losses.is_empty(), expected.is_empty());
    }

    #[test]
    fn only_what_is_missing_of_the_window_counts() {
        let lost = [(5, 1, 0), (6, 2, 0), (7, 4, 0)];
        check(&lost, None, "7 export packets of 192.0.2.1 (v9, domain 7) lost on the way");
        check(&lost, Some((6, 7)), "6 export packets of 192.0.2.1 (v9, domain 7) lost on the way");
        check(&lost, Some((8, 9)), "");
        // Flows are exported after they end, but for so long only.
        let lost = [(7, 1, 0), (36, 2, 0), (37, 4, 0)];
        check(&lost, Some((6, 7)), "3 export packets of 192.0.2.1 (v9, domain 7) lost on the way");
        let waits = [(7, 0, 1), (36, 0, 1), (37, 0, 1)];
        check(&waits, Some((6, 7)), "2 datagrams of 192.0.2.1 (v9, domain 7) without their template");
    }

    #[test]
    fn what_an_earlier_release_lost_counts_whatever_it_is_merged_with() {
        let mut earlier = footer(&[("192.0.2.1", 9, Some(7), 40, "packets")], 0);
        let minutes = vec![Minute { at: 5, lost: 1, waiting: 0 }];
        earlier.exporters[0].add(&Exporter { lost: 1, minutes, ..Exporter::default() });
        for (window, expected) in [(None, 41), (Some((5, 5)), 41), (Some((6, 7)), 40)] {
            let mut losses = Losses::default();
            losses.add(&earlier, window.map(|(from, to)| (from * 60_000_000, to * 60_000_000)));
            let who: Who = (Some([192, 0, 2, 1].into()), 9, Some(7));
            assert_eq!(losses.on_the_way.get(&who), Some(&(expected, "packets".to_owned())), "{window:?}");
        }
    }

    #[test]
    fn what_waited_is_missing_until_it_is_decoded() {
        check(
            &[(5, 0, 1), (6, 0, 2)],
            None,
            "3 datagrams of 192.0.2.1 (v9, domain 7) without their template",
        );
        check(
            &[(5, 0, 1), (6, 0, 2), (6, 0, -2)],
            None,
            "1 datagram of 192.0.2.1 (v9, domain 7) without their template",
        );
        check(&[(5, 0, 1), (5, 0, -1)], None, "");
        // A slot without rows has no file to tell of the first minute.
        check(
            &[(5, 0, -1), (6, 0, 1)],
            None,
            "1 datagram of 192.0.2.1 (v9, domain 7) without their template",
        );
        check(&[(5, 0, 1)], Some((6, 7)), "");
    }
}
