//! What is known to be missing from an answer, from the metadata of the files it rests on.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use flow_common::footer::Footer;
use flow_common::limits::LOSSES_SHOWN_MAX;

/// Who lost: address, export version, observation domain.
type Who = (Option<IpAddr>, u16, Option<u32>);

/// What was lost on the way to the files of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// What exporters sent and nobody received: how much of what.
    pub(crate) on_the_way: BTreeMap<Who, (u64, String)>,
    /// Datagrams the kernel dropped on the collector's sockets.
    pub(crate) kernel_dropped: u64,
    /// Files that could not be read, or not to their end.
    pub(crate) unreadable_files: u64,
}

impl Losses {
    /// Adds what a file says.
    pub(crate) fn add(&mut self, footer: &Footer) {
        self.kernel_dropped = self.kernel_dropped.saturating_add(footer.kernel_dropped);
        for exporter in &footer.exporters {
            let Some(lost) = u64::try_from(exporter.lost).ok().filter(|&lost| lost > 0) else { continue };
            let who = (exporter.addr, exporter.version, exporter.domain);
            let (sum, unit) = self.on_the_way.entry(who).or_default();
            *sum = sum.saturating_add(lost);
            unit.clone_from(&exporter.lost_unit);
        }
    }

    /// Whether nothing is known to be missing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is missing in words, the largest losses first.
impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut exporters: Vec<_> = self.on_the_way.iter().collect();
        exporters.sort_by_key(|(_, (lost, _))| std::cmp::Reverse(*lost));
        let mut words: Vec<String> =
            exporters.iter().take(LOSSES_SHOWN_MAX).map(|(who, loss)| lost_by(who, loss)).collect();
        let n_more = exporters.len().saturating_sub(LOSSES_SHOWN_MAX);
        match n_more {
            0 => {}
            1 => words.push("1 more exporter lost some".into()),
            n => words.push(format!("{n} more exporters lost some")),
        }
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

fn lost_by((addr, version, domain): &Who, (lost, unit): &(u64, String)) -> String {
    let who = addr.map_or_else(|| "other exporters".to_owned(), |addr| addr.to_string());
    let domain = domain.filter(|&domain| domain > 0).map(|domain| format!(", domain {domain}"));
    let protocol = match version {
        10 => "IPFIX".to_owned(),
        0 => String::new(),
        version => format!("v{version}"),
    };
    // Datagrams, not packets of flows.
    let unit = if unit == "packets" { "export packets" } else { unit };
    let of = if protocol.is_empty() {
        String::new()
    } else {
        format!(" ({protocol}{})", domain.unwrap_or_default())
    };
    format!("{lost} {unit} of {who}{of} lost on the way")
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
                events: 0,
                gaps: 1,
                lost,
                lost_unit: unit.to_owned(),
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
        losses.add(&footer(&[("192.0.2.1", 9, Some(7), 0, ""), ("192.0.2.2", 5, None, -3, "flows")], 0));
        assert!(losses.is_empty());
        losses
            .add(&footer(&[("192.0.2.1", 9, Some(7), 3, "packets"), ("192.0.2.2", 5, None, 40, "flows")], 2));
        losses.add(&footer(&[("192.0.2.1", 9, Some(7), 4, "packets")], 0));
        let told = "40 flows of 192.0.2.2 (v5) lost on the way; \
                    7 export packets of 192.0.2.1 (v9, domain 7) lost on the way; \
                    the collector's kernel dropped 2 datagrams";
        assert_eq!(losses.to_string(), told);
        losses = Losses { unreadable_files: 1, ..Losses::default() };
        losses.add(&footer(&[("::1", 10, Some(0), 1, "records"), ("", 0, None, 9, "records")], 0));
        for host in 1..4 {
            losses.add(&footer(&[(&format!("2001:db8::{host}"), 10, Some(1), 5, "messages")], 0));
        }
        let told = "9 records of other exporters lost on the way; \
                    5 messages of 2001:db8::1 (IPFIX, domain 1) lost on the way; \
                    5 messages of 2001:db8::2 (IPFIX, domain 1) lost on the way; \
                    2 more exporters lost some; 1 file could not be read";
        assert_eq!(losses.to_string(), told);
    }
}
