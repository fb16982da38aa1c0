//! What an operator should look at, and what to do about it. Each hint is a sentence on
//! one thing seen.

use std::collections::BTreeSet;

use flow_common::limits;

use super::words::{bytes, count, plural, span};
use super::{ExporterStatus, Status};

/// Hints of one kind that are listed; the rest is a number.
const OF_A_KIND_MAX: usize = 5;

/// Data that waited for so long, seconds, is worth a word.
const WAIT_SECS: i64 = 30;

/// An established exporter quiet for so long, seconds, is worth a word.
const SILENT_SECS: i64 = 600;

/// Everything worth a word, most pressing first.
pub(super) fn hints(status: &Status) -> Vec<String> {
    let kinds = [
        kernel_drops(status),
        nothing_came(status),
        storage(status),
        waiting(status),
        not_allowed(status),
        rejected(status),
        lost(status),
        silent(status),
        limits_reached(status),
    ];
    let short = |mut hints: Vec<String>| {
        let n_more = hints.len().saturating_sub(OF_A_KIND_MAX);
        hints.truncate(OF_A_KIND_MAX);
        if n_more > 0 {
            hints.push(format!("{} more like these", count(n_more as u64)));
        }
        hints
    };
    kinds.into_iter().flat_map(short).collect()
}

fn kernel_drops(status: &Status) -> Vec<String> {
    let hint = |listener: &super::ListenerStatus| {
        let dropped = listener.kernel_dropped.filter(|&n| n > 0)?;
        let granted = listener.buffer_bytes.unwrap_or(0);
        let asked = listener.buffer_bytes_asked.unwrap_or(0);
        let what_to_do = if granted < asked {
            format!(
                "its buffer is {}, {} were asked for: raise net.core.rmem_max (`sysctl -w \
                 net.core.rmem_max={asked}`) and restart",
                bytes(granted),
                bytes(asked)
            )
        } else {
            format!("its buffer is {}: a larger one (`-B`) holds longer bursts", bytes(granted))
        };
        let (n, addr) = (plural(dropped, "datagram"), &listener.address);
        Some(format!("the kernel dropped {n} on {addr}; {what_to_do}"))
    };
    status.listeners.iter().filter_map(hint).collect()
}

fn nothing_came(status: &Status) -> Vec<String> {
    let age_secs = status.now_secs - status.started_at_secs;
    let mut udp = status.listeners.iter().filter_map(|listener| listener.datagrams);
    let is_silent = udp.all(|n| n == 0) && status.listeners.iter().any(|one| one.datagrams.is_some());
    let accepted = status.counters.get("flowcap_connections_accepted_total").copied().unwrap_or(0);
    if !is_silent || accepted > 0 || age_secs < limits::SILENT_LISTENER_SECS as i64 {
        return Vec::new();
    }
    vec![format!(
        "nothing has come for {}: check the address and port exporters send to, and the firewall between",
        span(age_secs)
    )]
}

fn storage(status: &Status) -> Vec<String> {
    let (disk, journal) = (&status.disk, &status.journal);
    let percent = |part: u64, whole: u64| 100 * part / whole.max(1);
    let mut hints = Vec::new();
    if disk.full {
        hints.push(format!("free space in {}: collecting goes on by itself then", status.directory));
    } else if disk.size_bytes > 0 && percent(disk.free_bytes, disk.size_bytes) < 5 {
        hints.push(format!("only {} of {} are free", bytes(disk.free_bytes), bytes(disk.size_bytes)));
    }
    if disk.file_errors > 0 {
        let n = plural(disk.file_errors, "time");
        hints.push(format!("writing failed {n} since the start; the log says why"));
    }
    if percent(journal.bytes, journal.limit_bytes) >= 80 && journal.limit_bytes > 0 {
        let full = percent(journal.bytes, journal.limit_bytes);
        hints.push(format!("the journal is {full} % full: decoding or the disk does not keep up"));
    }
    hints
}

/// Exporters whose data waits, and for which templates.
fn waiting(status: &Status) -> Vec<String> {
    let mut told = BTreeSet::new();
    let hint = |wait: &super::WaitStatus| {
        let age_secs = status.now_secs - wait.since_secs;
        if age_secs < WAIT_SECS || !told.insert(wait.exporter.clone()) {
            return None;
        }
        let exporter = status.exporters.iter().find(|one| one.address == wait.exporter);
        let age = span(age_secs);
        Some(if exporter.is_some_and(|exporter| exporter.templates > 0) {
            format!(
                "{} has not sent template {} (domain {}) for {age}; its data waits",
                wait.exporter, wait.template_id, wait.domain
            )
        } else {
            format!(
                "no templates from {} for {age}; its data waits: let it send them more often (its template refresh \
                 or timeout)",
                wait.exporter
            )
        })
    };
    status.waiting.iter().filter_map(hint).collect()
}

fn not_allowed(status: &Status) -> Vec<String> {
    let knocks = status.exporters.iter().filter(|one| one.rejected_for.as_deref() == Some("not_allowed"));
    let hint = |one: &ExporterStatus| {
        format!(
            "{} may not send ({}): `--allow` leaves it out",
            one.address,
            plural(one.rejected, "datagram")
        )
    };
    knocks.map(hint).collect()
}

fn rejected(status: &Status) -> Vec<String> {
    let of = |one: &ExporterStatus| {
        let reason = one.rejected_for.as_deref().filter(|&reason| reason != "not_allowed")?;
        let what = match reason {
            "template_missing" => "their templates did not come in time",
            "unsupported_version" => "they are not NetFlow or IPFIX",
            reason => reason,
        };
        let (n, of) = (count(one.rejected), count(one.datagrams));
        Some(format!("{n} of {of} datagrams of {} were rejected, the last because: {what}", one.address))
    };
    status.exporters.iter().filter_map(of).collect()
}

fn lost(status: &Status) -> Vec<String> {
    let dropped: u64 = status.listeners.iter().filter_map(|listener| listener.kernel_dropped).sum();
    let of = |one: &ExporterStatus| {
        let lost: Vec<_> = one
            .lost
            .iter()
            .filter(|(_, n)| **n > 0)
            .map(|(unit, n)| format!("{} {unit}", count(n.unsigned_abs())))
            .collect();
        let whereabouts = match dropped {
            0 => "on the way, or by the exporter itself",
            _ => "here, where the kernel dropped some, or on the way",
        };
        let what = format!("{} of {} never arrived: lost {whereabouts}", lost.join(" and "), one.address);
        (!lost.is_empty()).then_some(what)
    };
    status.exporters.iter().filter_map(of).collect()
}

fn silent(status: &Status) -> Vec<String> {
    let of = |one: &ExporterStatus| {
        let is_established = one.last_seen_secs - one.first_seen_secs >= limits::ESTABLISHED_SECS;
        let silent_secs = status.now_secs - one.last_seen_secs;
        let is_silent = is_established && silent_secs >= SILENT_SECS;
        is_silent.then(|| format!("{} has been silent for {}", one.address, span(silent_secs)))
    };
    status.exporters.iter().filter_map(of).collect()
}

fn limits_reached(status: &Status) -> Vec<String> {
    let value = |name: &str| status.counters.get(name).copied().unwrap_or(0);
    let evicted = value("flowcap_templates_evicted_total");
    let refused = value("flowcap_facts_refused_total");
    let mut hints = Vec::new();
    if evicted > 0 {
        let n = count(evicted);
        hints.push(format!(
            "{n} templates were dropped for want of room: `--allow` keeps out who has no business here"
        ));
    }
    if refused > 0 {
        let n = count(refused);
        hints.push(format!("{n} names and rates of exporters were not kept for want of room"));
    }
    hints
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{ListenerStatus, WaitStatus};
    use super::*;

    /// The hints of a collector that has run for 1,000 s, was sound, and was changed.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Status), expected: &[&str]) {
        let listener = ListenerStatus {
            address: "[::]:2055".to_owned(),
            datagrams: Some(1),
            kernel_dropped: Some(0),
            buffer_bytes: Some(16 << 20),
            buffer_bytes_asked: Some(16 << 20),
            ..ListenerStatus::default()
        };
        let mut status = Status {
            now_secs: 1_000,
            listeners: vec![listener],
            exporters: vec![exporter()],
            directory: "/var/flows".to_owned(),
            ..Status::default()
        };
        status.disk.size_bytes = 100 << 30;
        status.disk.free_bytes = 50 << 30;
        change(&mut status);
        assert_eq!(hints(&status), expected);
    }

    fn exporter() -> ExporterStatus {
        ExporterStatus {
            address: "192.0.2.1".to_owned(),
            last_seen_secs: 990,
            datagrams: 1_500,
            templates: 1,
            ..ExporterStatus::default()
        }
    }

    fn wait(since_secs: i64) -> WaitStatus {
        let exporter = "192.0.2.1".to_owned();
        WaitStatus { exporter, template_id: 260, domain: 7, since_secs, ..WaitStatus::default() }
    }

    #[test]
    fn each_thing_amiss_has_its_hint() {
        check(|_| {}, &[]);
        check(
            |status| {
                status.listeners[0].kernel_dropped = Some(1_204);
                status.listeners[0].buffer_bytes = Some(212_992);
            },
            &[
                "the kernel dropped 1,204 datagrams on [::]:2055; its buffer is 208 KiB, 16 MiB were asked for: \
               raise net.core.rmem_max (`sysctl -w net.core.rmem_max=16777216`) and restart",
            ],
        );
        check(
            |status| status.listeners[0].kernel_dropped = Some(1),
            &[
                "the kernel dropped 1 datagram on [::]:2055; its buffer is 16 MiB: a larger one (`-B`) holds longer bursts",
            ],
        );
        check(
            |status| (status.waiting, status.exporters[0].templates) = (vec![wait(900)], 0),
            &[
                "no templates from 192.0.2.1 for 100 s; its data waits: let it send them more often (its template \
               refresh or timeout)",
            ],
        );
        check(
            |status| status.exporters[0].lost = BTreeMap::from([("flows".to_owned(), 12)]),
            &["12 flows of 192.0.2.1 never arrived: lost on the way, or by the exporter itself"],
        );
        check(
            |status| {
                (status.exporters[0].rejected, status.exporters[0].rejected_for) =
                    (7, Some("not_allowed".into()))
            },
            &["192.0.2.1 may not send (7 datagrams): `--allow` leaves it out"],
        );
        check(
            |status| {
                (status.exporters[0].rejected, status.exporters[0].rejected_for) =
                    (7, Some("truncated".into()))
            },
            &["7 of 1,500 datagrams of 192.0.2.1 were rejected, the last because: truncated"],
        );
        check(|status| status.exporters[0].last_seen_secs = 100, &["192.0.2.1 has been silent for 15 min"]);
        check(|status| status.disk.free_bytes = 1 << 30, &["only 1,024 MiB of 100 GiB are free"]);
        check(
            |status| status.disk.full = true,
            &["free space in /var/flows: collecting goes on by itself then"],
        );
        check(
            |status| (status.journal.bytes, status.journal.limit_bytes) = (90, 100),
            &["the journal is 90 % full: decoding or the disk does not keep up"],
        );
    }

    #[test]
    fn many_of_a_kind_are_a_number() {
        let expected = [vec!["192.0.2.1 has been silent for 15 min"; 5], vec!["5 more like these"]].concat();
        check(
            |status| status.exporters = vec![ExporterStatus { last_seen_secs: 60, ..exporter() }; 10],
            &expected,
        );
    }
}
