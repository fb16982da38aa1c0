//! The totals of files: nfdump's `-I`, and the same for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use flow_common::addr::Addr16;
use flow_common::element::ELEMENTS;
use flow_common::footer::{Counts, Totals};
use flow_common::tables::{Report, ReportRow};

use super::json::write_string;
use super::value::{one_line, write_json_time, write_rfc3339};
use super::{Format, Style, csv};
use crate::zone::Calendar;

/// The totals of files.
#[derive(Debug, Default)]
pub(crate) struct Info {
    pub(crate) idents: BTreeSet<String>,
    pub(crate) totals: Totals,
    /// Messages before which sequence numbers were missing; `None` where no file tells.
    pub(crate) sequence_gaps: Option<u64>,
    /// What exporters report of themselves.
    pub(crate) reports: Vec<ReportRow>,
}

/// One counter of a class of protocols.
type Count = fn(&Counts) -> u64;

impl Info {
    /// Every counter by nfdump's name, in nfdump's order.
    fn counters(&self) -> Vec<(String, u64)> {
        let Totals { tcp, udp, icmp, other, .. } = self.totals;
        let classes =
            [("", self.totals.all()), ("_tcp", tcp), ("_udp", udp), ("_icmp", icmp), ("_other", other)];
        let counts: [(&str, Count); 3] = [
            ("Flows", |counts| counts.flows),
            ("Packets", |counts| counts.packets),
            ("Bytes", |counts| counts.bytes),
        ];
        let of = |(name, of): (&'static str, Count)| {
            classes.iter().map(move |(class, counts)| (format!("{name}{class}"), of(counts)))
        };
        counts.into_iter().flat_map(of).collect()
    }

    fn ident(&self) -> Option<String> {
        let idents: Vec<_> = self.idents.iter().map(String::as_str).collect();
        (!idents.is_empty()).then(|| idents.join(","))
    }
}

/// Writes the totals: one object or row for a program, lines for everyone else.
pub(crate) fn write_info(out: &mut dyn Write, style: &Style, info: &Info) -> io::Result<()> {
    match style.format {
        Format::Csv => write_csv(out, style, info),
        Format::Json | Format::Ndjson => write_json(out, style, info),
        Format::Line | Format::Long | Format::Extended | Format::Raw | Format::Custom | Format::Null => {
            write_lines(out, info)
        }
    }
}

/// nfdump's `key: value` lines. What the files do not tell has no line.
fn write_lines(out: &mut dyn Write, info: &Info) -> io::Result<()> {
    writeln!(out, "Ident: {}", info.ident().as_deref().map_or("none".into(), one_line))?;
    for (name, count) in info.counters() {
        writeln!(out, "{name}: {count}")?;
    }
    // nfdump's lines stay as they are where there is nothing of it.
    if info.totals.events > 0 {
        writeln!(out, "Events: {}", info.totals.events)?;
    }
    let (first, last) = (info.totals.first.unwrap_or(0), info.totals.last.unwrap_or(0));
    let ms = |micros: i64| micros.rem_euclid(1_000_000) / 1_000;
    writeln!(out, "First: {}\nLast: {}", first.div_euclid(1_000_000), last.div_euclid(1_000_000))?;
    writeln!(out, "msec_first: {}\nmsec_last: {}", ms(first), ms(last))?;
    info.sequence_gaps.map_or(Ok(()), |gaps| writeln!(out, "Sequence failures: {gaps}"))?;
    write_losses(out, &info.reports)
}

/// One object; what the files do not tell has no key.
fn write_json(out: &mut dyn Write, style: &Style, info: &Info) -> io::Result<()> {
    let is_pretty = style.format == Format::Json;
    let (indent, colon, end) = if is_pretty { ("\n ", ": ", "\n}\n") } else { ("", ":", "}\n") };
    let mut separator = "{";
    let mut key = |out: &mut dyn Write, name: &str| {
        write!(out, "{separator}{indent}\"{}\"{colon}", name.to_ascii_lowercase())?;
        separator = ",";
        io::Result::Ok(())
    };
    if let Some(ident) = info.ident() {
        key(out, "ident")?;
        write_string(out, &ident)?;
    }
    for (name, count) in info.counters() {
        key(out, &name)?;
        write!(out, "{count}")?;
    }
    key(out, "events")?;
    write!(out, "{}", info.totals.events)?;
    let mut calendar = Calendar::new(style.zone);
    for (name, time) in [("first", info.totals.first), ("last", info.totals.last)] {
        let Some(micros) = time else { continue };
        key(out, name)?;
        write_json_time(out, &mut calendar, micros)?;
    }
    if let Some(gaps) = info.sequence_gaps {
        key(out, "sequence_failures")?;
        write!(out, "{gaps}")?;
    }
    if !info.reports.is_empty() {
        key(out, "reports")?;
        write_json_reports(out, &mut calendar, &info.reports)?;
    }
    write!(out, "{end}")
}

/// What exporters say they lost: `Exporter 192.0.2.1 domain 0: not sent: 12 packets`.
fn write_losses(out: &mut dyn Write, reports: &[ReportRow]) -> io::Result<()> {
    let mut losses: BTreeMap<(Addr16, i64), [Vec<String>; 2]> = BTreeMap::new();
    for row in reports.iter().filter(|row| row.value > 0) {
        let of = match row.report {
            Report::ExportingReliability => 0,
            Report::MeteringReliability => 1,
            Report::Metering | Report::FlowKeys => continue,
        };
        let Some(unit) = loss_unit(&row.statistic) else { continue };
        let exporter = losses.entry((row.exporter_addr, row.observation_domain)).or_default();
        exporter[of].push(format!("{} {unit}", row.value));
    }
    for ((addr, domain), counts) in losses {
        let told = ["not sent", "ignored"].iter().zip(&counts).filter(|(_, counts)| !counts.is_empty());
        let told: Vec<_> = told.map(|(what, counts)| format!("{what}: {}", counts.join(", "))).collect();
        if !told.is_empty() {
            writeln!(out, "Exporter {addr} domain {domain}: {}", told.join("; "))?;
        }
    }
    Ok(())
}

/// Unit of a statistic of losses, as the registry has it.
fn loss_unit(statistic: &str) -> Option<&'static str> {
    let element = ELEMENTS.iter().find(|element| element.name == statistic)?;
    Some(if element.units == "octets" { "bytes" } else { element.units })
}

fn write_json_reports(out: &mut dyn Write, calendar: &mut Calendar, rows: &[ReportRow]) -> io::Result<()> {
    for (index, row) in rows.iter().enumerate() {
        write!(out, "{}", if index == 0 { "[" } else { "," })?;
        write!(
            out,
            "{{\"exporter_addr\":\"{}\",\"observation_domain\":{},\"report\":\"{}\",\"statistic\":",
            row.exporter_addr,
            row.observation_domain,
            row.report.word()
        )?;
        write_string(out, &row.statistic)?;
        if let Some(element) = row.scope_element {
            write!(out, ",\"scope_element\":{element},\"scope_id\":{}", row.scope_id)?;
        }
        write!(out, ",\"value\":{},\"received\":", row.value)?;
        write_json_time(out, calendar, row.received.0)?;
        write!(out, "}}")?;
    }
    write!(out, "]")
}

/// A header and one row; what the files do not tell is empty.
fn write_csv(out: &mut dyn Write, style: &Style, info: &Info) -> io::Result<()> {
    let counters = info.counters();
    let names: Vec<_> = counters.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    writeln!(out, "ident,{},first,last,sequence_failures,events", names.join(","))?;
    csv::write_field(out, &info.ident().unwrap_or_default())?;
    counters.iter().try_for_each(|(_, count)| write!(out, ",{count}"))?;
    let mut calendar = Calendar::new(style.zone);
    for time in [info.totals.first, info.totals.last] {
        write!(out, ",")?;
        time.map_or(Ok(()), |micros| write_rfc3339(out, &mut calendar, micros))?;
    }
    let gaps = info.sequence_gaps.map(|gaps| gaps.to_string()).unwrap_or_default();
    writeln!(out, ",{gaps},{}", info.totals.events)
}
