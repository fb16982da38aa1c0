//! A status in words, for a terminal of 80 columns.

use std::fmt::{self, Write};

use flow_common::usage::neutral;

use super::{ExporterStatus, ListenerStatus, Status};

/// Exporters listed: the busiest. All are in the JSON.
const EXPORTERS_MAX: usize = 50;

/// Templates listed that data waits for.
const WAITS_MAX: usize = 10;

/// Longest address that shares a line with its values: IPv4 mapped to IPv6 fits.
const ADDRESS_CHARS_MAX: usize = 23;

/// The status in words, with nothing in it that a terminal would obey.
pub(crate) fn words(status: &Status) -> String {
    let mut out = String::new();
    write(&mut out, status).expect("a string takes any text");
    neutral(&out)
}

fn write(out: &mut String, status: &Status) -> fmt::Result {
    let Status { version, directory, .. } = status;
    let age = span(status.now_secs - status.started_at_secs);
    writeln!(out, "flowcapd {version}, running for {age}, writing to {directory}")?;
    match status.ready {
        true => writeln!(out, "ready: data is taken and kept")?,
        false => {
            writeln!(out, "NOT READY")?;
            status.faults.iter().try_for_each(|fault| writeln!(out, "  {fault}"))?;
        }
    }
    listeners(out, status)?;
    exporters(out, status)?;
    waiting(out, status)?;
    storage(out, status)?;
    if !status.hints.is_empty() {
        writeln!(out, "\nhints")?;
        status.hints.iter().try_for_each(|hint| wrapped(out, hint))?;
    }
    Ok(())
}

fn listeners(out: &mut String, status: &Status) -> fmt::Result {
    writeln!(
        out,
        "\n{:<27} {:>14} {:>10} {:>12} {:>12}",
        "listeners", "datagrams", "per s", "dropped", "buffer"
    )?;
    for one in &status.listeners {
        let ListenerStatus { address, protocol, .. } = one;
        let address = format!("{protocol} {address}");
        let (Some(datagrams), Some(dropped)) = (one.datagrams, one.kernel_dropped) else {
            writeln!(out, "{address}")?;
            continue;
        };
        let rate = rate(one.datagrams_per_sec.unwrap_or(0.0), 10);
        let (datagrams, dropped) = (fit(datagrams, 14), fit(dropped, 12));
        let buffer = bytes(one.buffer_bytes.unwrap_or(0));
        let values = format!("{datagrams:>14} {rate:>10} {dropped:>12} {buffer:>12}");
        beside(out, &address, 27, &values)?;
    }
    let value = |name: &str| status.counters.get(name).copied().unwrap_or(0);
    let open = value("flowcap_connections");
    if open > 0 {
        writeln!(out, "{} open", plural(open, "connection"))?;
    }
    Ok(())
}

fn exporters(out: &mut String, status: &Status) -> fmt::Result {
    if status.exporters.is_empty() {
        return writeln!(out, "\nno exporter has sent anything yet");
    }
    let mut listed: Vec<&ExporterStatus> = status.exporters.iter().collect();
    listed.sort_by(|a, b| b.datagrams_per_sec.total_cmp(&a.datagrams_per_sec));
    listed.truncate(EXPORTERS_MAX);
    listed.sort_by_key(|one| one.ip());
    writeln!(
        out,
        "\n{:<23} {:>3} {:>9} {:>8} {:>13} {:>5} {:>7} {:>5}",
        format!("exporters: {}", count(status.n_exporters as u64)),
        "ver",
        "last seen",
        "per s",
        "records",
        "tmpl",
        "sampled",
        "lost"
    )?;
    for one in &listed {
        let version = if one.export_version > 0 { one.export_version.to_string() } else { "?".to_owned() };
        let last_seen = span(status.now_secs - one.last_seen_secs);
        let (rate, records) = (rate(one.datagrams_per_sec, 8), fit(one.records, 13));
        // Units differ; the hints name them.
        let lost: u64 = one.lost.values().map(|n| n.unsigned_abs()).sum();
        let (templates, lost) = (fit(one.templates as u64, 5), fit(lost, 5));
        let sampled = one.sampling_rate.map(|rate| format!("1:{}", fit(rate.unsigned_abs(), 5)));
        let sampled = sampled.unwrap_or("-".to_owned());
        let values = format!(
            "{version:>3} {last_seen:>9} {rate:>8} {records:>13} {templates:>5} {sampled:>7} {lost:>5}"
        );
        beside(out, &one.address, ADDRESS_CHARS_MAX, &values)?;
    }
    let n_more = status.n_exporters.saturating_sub(listed.len());
    if n_more > 0 {
        writeln!(out, "{} more, less busy: `flowcapd status --json`", count(n_more as u64))?;
    }
    if status.other_datagrams > 0 {
        writeln!(out, "{} datagrams of exporters beyond these", count(status.other_datagrams))?;
    }
    if status.exporters_age_secs > 2.0 {
        let age = span(status.exporters_age_secs as i64);
        writeln!(out, "as of {age} ago: decoding is busy")?;
    }
    Ok(())
}

fn waiting(out: &mut String, status: &Status) -> fmt::Result {
    if status.waiting.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nwaiting for templates")?;
    for wait in status.waiting.iter().take(WAITS_MAX) {
        let age = span(status.now_secs - wait.since_secs);
        let (sets, id, domain) = (plural(wait.sets as u64, "set"), wait.template_id, wait.domain);
        writeln!(out, "  {}: {sets} for template {id} of domain {domain}, {age}", wait.exporter)?;
    }
    let n_more = status.waiting.len().saturating_sub(WAITS_MAX);
    if n_more > 0 { writeln!(out, "  and for {n_more} more") } else { Ok(()) }
}

fn storage(out: &mut String, status: &Status) -> fmt::Result {
    let (journal, disk, process) = (&status.journal, &status.disk, &status.process);
    writeln!(out)?;
    if journal.limit_bytes > 0 {
        let behind = bytes(journal.position.saturating_sub(journal.decoded_position));
        let (held, limit) = (bytes(journal.bytes), bytes(journal.limit_bytes));
        let synced = match journal.synced_at_secs {
            0 => "not yet synced".to_owned(),
            at => format!("synced {} ago", span(status.now_secs.saturating_sub_unsigned(at))),
        };
        writeln!(out, "journal: {held} of {limit}, {behind} not yet decoded, {synced}")?;
    }
    let (free, size) = (bytes(disk.free_bytes), bytes(disk.size_bytes));
    let parts = if disk.parts_open > 0 {
        format!(", {} open", plural(disk.parts_open, "part"))
    } else {
        String::new()
    };
    writeln!(out, "disk: {free} of {size} free{parts}")?;
    let value = |name: &str| count(status.counters.get(name).copied().unwrap_or(0));
    let visible = value("flowcap_records_visible_total");
    let in_flight = value("flowcap_records_in_flight");
    writeln!(out, "records: {visible} in files, {in_flight} on their way there")?;
    compaction(out, status)?;
    let memory = bytes(process.resident_bytes);
    writeln!(out, "process: {memory} of memory, {} descriptors open", process.open_fds)
}

/// What compaction did, if anything.
fn compaction(out: &mut String, status: &Status) -> fmt::Result {
    let value = |name: &str| status.counters.get(name).copied().unwrap_or(0);
    let n_hours = value("flowcap_compacted_hours_total");
    let n_errors = value("flowcap_compaction_errors_total");
    if n_hours + n_errors == 0 {
        return Ok(());
    }
    let before = bytes(value("flowcap_compacted_bytes_before_total"));
    let after = bytes(value("flowcap_compacted_bytes_after_total"));
    write!(out, "compaction: {}, {before} became {after}", plural(n_hours, "hour"))?;
    let errors = if n_errors > 0 { format!(", {}", plural(n_errors, "failure")) } else { String::new() };
    writeln!(out, "{errors}")
}

/// Values beside their name, or below one that is too long.
fn beside(out: &mut String, name: &str, width: usize, values: &str) -> fmt::Result {
    if name.chars().count() <= width {
        return writeln!(out, "{name:<width$} {values}");
    }
    writeln!(out, "{name}\n{:<width$} {values}", "")
}

/// A hint as a list item of at most 80 columns.
fn wrapped(out: &mut String, text: &str) -> fmt::Result {
    const COLUMNS: usize = 80;
    let mut line = "-".to_owned();
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > COLUMNS {
            writeln!(out, "{line}")?;
            line = " ".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(out, "{line}")
}

/// A number with its thousands apart.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in so many characters, in thousands or more of them if need be.
fn fit(n: u64, chars: usize) -> String {
    let plain = count(n);
    if plain.len() <= chars {
        return plain;
    }
    let powers = ["k", "M", "G", "T", "P"].into_iter().zip(1..);
    let mut scaled = powers.map(|(unit, power)| count(n / 1_000_u64.pow(power)) + unit);
    scaled.find(|text| text.len() <= chars).unwrap_or(plain)
}

/// So many of something.
pub(super) fn plural(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A rate in so many characters, with a decimal where it matters.
fn rate(per_sec: f64, chars: usize) -> String {
    if per_sec < 99.95 { format!("{per_sec:.1}") } else { fit(per_sec.round() as u64, chars) }
}

/// Octets in the largest unit of which there are at least 10.
pub(super) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    while n >> (10 * (unit + 1)) >= 10 && unit + 1 < UNITS.len() {
        unit += 1;
    }
    format!("{} {}", count(n >> (10 * unit)), UNITS[unit])
}

/// A span of time in its two largest units.
pub(super) fn span(secs: i64) -> String {
    let secs = secs.max(0);
    let (mins, hours, days) = (secs / 60, secs / 3_600, secs / 86_400);
    match secs {
        ..120 => format!("{secs} s"),
        120..7_200 => format!("{mins} min"),
        7_200..172_800 => format!("{hours} h {} m", mins % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DiskStatus, JournalStatus, ProcessStatus, WaitStatus};
    use super::*;

    fn exporter(address: &str, n: u64) -> ExporterStatus {
        ExporterStatus {
            address: address.to_owned(),
            export_version: 9,
            transport: "UDP".to_owned(),
            first_seen_secs: 1_000,
            last_seen_secs: 99_999,
            datagrams: n,
            datagrams_per_sec: n as f64 / 1_000.0,
            records: 30 * n,
            templates: 4,
            sampling_rate: Some(1_000),
            lost: [("packets".to_owned(), (n / 10_000).cast_signed())].into(),
            ..ExporterStatus::default()
        }
    }

    #[test]
    fn a_status_fits_a_terminal_and_does_not_drive_it() {
        let listener = |address: &str, n: u64| ListenerStatus {
            address: address.to_owned(),
            protocol: "UDP".to_owned(),
            datagrams: Some(n),
            datagrams_per_sec: Some(n as f64 / 1_000.0),
            kernel_dropped: Some(n / 100),
            buffer_bytes: Some(212_992),
            buffer_bytes_asked: Some(16 << 20),
        };
        let stream = ListenerStatus {
            address: "[::]:4739".to_owned(),
            protocol: "TCP".to_owned(),
            ..ListenerStatus::default()
        };
        let wait = WaitStatus {
            exporter: "192.0.2.9".to_owned(),
            export_version: 9,
            domain: 7,
            template_id: 300,
            sets: 1_204,
            since_secs: 99_900,
        };
        let mut status = Status {
            version: "0.1.0".to_owned(),
            now_secs: 100_000,
            started_at_secs: 0,
            directory: "/var/\u{1b}[31mflows".to_owned(),
            ready: false,
            faults: vec!["the disk is full: what comes is dropped and counted".to_owned()],
            listeners: vec![
                listener("[::]:2055", 1_234_567_890),
                listener("[2001:db8:1234:5678:9abc:def0:1234:5678]:9995", 0),
                stream,
            ],
            n_exporters: 60,
            exporters: vec![
                exporter("192.0.2.1", 1_234_567_890),
                exporter("2001:db8:1234:5678:9abc:def0:1234:5678", 12),
                ExporterStatus { sampling_rate: None, export_version: 0, ..exporter("192.0.2.9", 0) },
            ],
            other_datagrams: 12,
            exporters_age_secs: 7.5,
            waiting: vec![wait],
            journal: JournalStatus {
                bytes: 900 << 20,
                limit_bytes: 1 << 30,
                segments: 4,
                position: 5 << 30,
                decoded_position: (5 << 30) - (100 << 20),
                synced_at_secs: 99_999,
                failing: false,
            },
            disk: DiskStatus {
                free_bytes: 1 << 30,
                size_bytes: 1 << 40,
                full: true,
                parts_open: 3,
                file_errors: 2,
            },
            process: ProcessStatus { resident_bytes: 123 << 20, open_fds: 33 },
            ..Status::default()
        };
        status.hints = super::super::hints::hints(&status);
        let text = words(&status);
        assert!(!text.contains('\u{1b}'));
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        insta::assert_snapshot!("status", text);
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.04, 99.94, 100.0, 12_345.6].map(|n| rate(n, 8)), ["0.0", "99.9", "100", "12,346"]);
        assert_eq!([12_345, 123_456, 1_234_567].map(|n| fit(n, 6)), ["12,345", "123k", "1,234k"]);
        assert_eq!((fit(u64::MAX, 8), fit(u64::MAX, 1)), ("18,446P".to_owned(), count(u64::MAX)));
        assert_eq!([0, 1, 2_000].map(|n| plural(n, "set")), ["0 sets", "1 set", "2,000 sets"]);
        assert_eq!(
            [0, 9_999, 10_240, 212_992, 16 << 20].map(bytes),
            ["0 B", "9,999 B", "10 KiB", "208 KiB", "16 MiB"]
        );
        assert_eq!(bytes(u64::MAX), "16,777,215 TiB");
        assert_eq!([-5, 119, 120, 7_199].map(span), ["0 s", "119 s", "2 min", "119 min"]);
        assert_eq!([7_200, 172_799, 172_800].map(span), ["2 h 0 m", "47 h 59 m", "2 d 0 h"]);
    }
}
