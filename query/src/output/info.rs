//! The totals of files: nfdump's `-I`, and the same for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use flow_common::addr::Addr16;
use flow_common::element::ELEMENTS;
use flow_common::footer::{Counts, Totals};
use flow_common::tables::{Report, ReportRow};

use super::arrow_tables::Sheet;
use super::text::{Text, TimeText};
use super::{Format, Style, markdown};

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
    let mut octets = Vec::new();
    let mut text = Text::new(&mut octets);
    match style.format {
        Format::Csv | Format::CsvFast | Format::CsvList => make_csv(&mut text, style, info)?,
        Format::Json | Format::Ndjson | Format::NfJson | Format::NfNdjson => {
            make_json(&mut text, style, info)?
        }
        Format::Text | Format::Raw | Format::Null => make_lines(&mut text, info)?,
        Format::Markdown => make_markdown(&mut text, info)?,
        Format::Arrow => return write_arrow(out, info),
    }
    drop(text);
    out.write_all(&octets)
}

/// nfdump's `key: value` lines. What the files do not tell has no line.
fn make_lines(out: &mut Text<'_>, info: &Info) -> io::Result<()> {
    write!(out, "Ident: ")?;
    out.one_line(info.ident().as_deref().unwrap_or("none"));
    writeln!(out)?;
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
    make_losses(out, &info.reports)
}

/// One object; what the files do not tell has no key.
fn make_json(out: &mut Text<'_>, style: &Style, info: &Info) -> io::Result<()> {
    let is_pretty = matches!(style.format, Format::Json | Format::NfJson);
    let (indent, colon, end) = if is_pretty { ("\n ", ": ", "\n}\n") } else { ("", ":", "}\n") };
    let mut separator = "{";
    let mut key = |out: &mut Text<'_>, name: &str| {
        write!(out, "{separator}{indent}\"{}\"{colon}", name.to_ascii_lowercase())?;
        separator = ",";
        io::Result::Ok(())
    };
    if let Some(ident) = info.ident() {
        key(out, "ident")?;
        out.json_string(&ident);
    }
    for (name, count) in info.counters() {
        key(out, &name)?;
        write!(out, "{count}")?;
    }
    key(out, "events")?;
    write!(out, "{}", info.totals.events)?;
    let mut times = TimeText::new(style.zone);
    for (name, time) in [("first", info.totals.first), ("last", info.totals.last)] {
        let Some(micros) = time else { continue };
        key(out, name)?;
        times.json(micros, out);
    }
    if let Some(gaps) = info.sequence_gaps {
        key(out, "sequence_failures")?;
        write!(out, "{gaps}")?;
    }
    if !info.reports.is_empty() {
        key(out, "reports")?;
        make_json_reports(out, &mut times, &info.reports)?;
    }
    write!(out, "{end}")
}

/// What exporters say they lost: `Exporter 192.0.2.1 domain 0: not sent: 12 packets`.
fn make_losses(out: &mut Text<'_>, reports: &[ReportRow]) -> io::Result<()> {
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

fn make_json_reports(out: &mut Text<'_>, times: &mut TimeText, rows: &[ReportRow]) -> io::Result<()> {
    for (index, row) in rows.iter().enumerate() {
        write!(out, "{}", if index == 0 { "[" } else { "," })?;
        write!(
            out,
            "{{\"exporter_addr\":\"{}\",\"observation_domain\":{},\"report\":\"{}\",\"statistic\":",
            row.exporter_addr,
            row.observation_domain,
            row.report.word()
        )?;
        out.json_string(&row.statistic);
        if let Some(element) = row.scope_element {
            write!(out, ",\"scope_element\":{element},\"scope_id\":{}", row.scope_id)?;
        }
        write!(out, ",\"value\":{},\"received\":", row.value)?;
        times.json(row.received.0, out);
        write!(out, "}}")?;
    }
    write!(out, "]")
}

/// The lines as a table.
fn make_markdown(out: &mut Text<'_>, info: &Info) -> io::Result<()> {
    let mut octets = Vec::new();
    make_lines(&mut Text::new(&mut octets), info)?;
    writeln!(out, "| Total | Value |\n|---|--:|")?;
    for line in String::from_utf8_lossy(&octets).lines() {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        [name, value].into_iter().for_each(|word| markdown::cell(out, |text| text.str(word)));
        out.literal(markdown::ROW);
    }
    Ok(())
}

/// One row, with the names CSV has.
fn write_arrow(out: &mut dyn Write, info: &Info) -> io::Result<()> {
    let mut sheet = Sheet::default();
    sheet.texts("ident", std::iter::once(info.ident()));
    for (name, count) in info.counters() {
        sheet.counts(&name.to_ascii_lowercase(), std::iter::once(count));
    }
    sheet.times("first", std::iter::once(info.totals.first));
    sheet.times("last", std::iter::once(info.totals.last));
    let gaps = info.sequence_gaps.map(|gaps| i64::try_from(gaps).unwrap_or(i64::MAX));
    sheet.ints("sequence_failures", std::iter::once(gaps));
    sheet.counts("events", std::iter::once(info.totals.events));
    sheet.write(out)
}

/// A header and one row; what the files do not tell is empty.
fn make_csv(out: &mut Text<'_>, style: &Style, info: &Info) -> io::Result<()> {
    let counters = info.counters();
    let names: Vec<_> = counters.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    writeln!(out, "ident,{},first,last,sequence_failures,events", names.join(","))?;
    out.csv_field(&info.ident().unwrap_or_default());
    counters.iter().try_for_each(|(_, count)| write!(out, ",{count}"))?;
    let mut times = TimeText::new(style.zone);
    for time in [info.totals.first, info.totals.last] {
        write!(out, ",")?;
        time.into_iter().for_each(|micros| times.rfc3339(micros, out));
    }
    let gaps = info.sequence_gaps.map(|gaps| gaps.to_string()).unwrap_or_default();
    writeln!(out, ",{gaps},{}", info.totals.events)
}
