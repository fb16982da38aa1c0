//! Captures of real devices: our records beside those of nfdump, of tshark and
//! of the projects the captures are from, and every field that differs with the
//! reason why.
//!
//! `cargo test -p flow-tests --test captures -- --nocapture` prints all of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod case;
mod compare;
mod nfdump;
mod origin;
mod ours;
mod reasons;
mod record;
mod tshark;

use std::fmt::Write as _;

use self::case::Case;
use self::compare::{Differences, How, by_fields, by_message};
use self::reasons::{REASONS, is_like};
use self::record::{Decoded, Record};

/// What is said of one case.
#[derive(Debug, Default)]
struct Report {
    text: String,
    n_differences: usize,
    n_unexplained: usize,
    reasons_used: Vec<usize>,
    /// Decoders that could not be asked.
    missing: Vec<&'static str>,
}

impl Report {
    fn lack(&mut self, oracle: &'static str) {
        let _ = writeln!(self.text, "  {oracle}: skipped, neither its answer nor this version of it is here");
        self.missing.push(oracle);
    }

    fn add(&mut self, case: &Case, oracle: &str, differences: &Differences) {
        let with_protocol = format!("{} {}", case.protocol, case.name);
        for ((kind, field, how), (n, ours, theirs)) in &differences.0 {
            let is_meant = |reason: &reasons::Reason| {
                is_like(reason.oracle, oracle)
                    && (is_like(reason.case, &case.name) || is_like(reason.case, &with_protocol))
                    && is_like(reason.field, &format!("{kind} {field}"))
                    && reason.how == *how
            };
            let found = REASONS.iter().position(is_meant);
            self.reasons_used.extend(found);
            let reason = found.map_or("UNEXPLAINED", |at| REASONS[at].reason);
            self.n_differences += 1;
            self.n_unexplained += usize::from(found.is_none());
            let values = match how {
                How::Ours => format!("only ours: {ours}"),
                How::Theirs => format!("only theirs: {theirs}"),
                How::Value => format!("{ours}, theirs {theirs}"),
            };
            let _ = writeln!(self.text, "    {oracle}: {kind} {field} {n}x: {values}: {reason}");
        }
    }
}

fn report(case: &Case) -> Report {
    let mut report = Report::default();
    let (ours, n_undecoded) = ours::decode(&case.pcap());
    let _ = writeln!(
        report.text,
        "{} ({}): ours {} + {} options{}",
        case.name,
        case.protocol,
        ours.flows.len(),
        ours.options.len(),
        if n_undecoded > 0 { format!(", {n_undecoded} datagrams not decoded") } else { String::new() },
    );
    let (n_flows, n_options) = case.n_records;
    if !case.is_supported() {
        let _ = writeln!(report.text, "  not supported; {n_flows} + {n_options} options by the manifest");
        return report;
    }
    let mut differences = Differences::default();
    differences.add_count("flow", ours.flows.len(), n_flows);
    differences.add_count("option", ours.options.len(), n_options);
    report.add(case, "manifest", &differences);
    let alone = against_tshark(case, &ours, &mut report);
    against_nfdump(case, &ours.flows, alone.as_deref(), &mut report);
    if let Some(answer) = origin::compare(case, &ours) {
        let _ = writeln!(report.text, "  {} {}, shows {}", answer.oracle, answer.n_records, answer.n_shown);
        report.add(case, answer.oracle, &answer.differences);
    }
    report
}

/// Returns the flow records that tshark does not have; `None` if it is not here.
fn against_tshark(case: &Case, ours: &Decoded<Record>, report: &mut Report) -> Option<Vec<Record>> {
    let Some(theirs) = tshark::decode(case) else {
        report.lack("tshark");
        return None;
    };
    let _ = writeln!(report.text, "  tshark {} + {} options", theirs.flows.len(), theirs.options.len());
    let mut differences = Differences::default();
    let alone = by_message("flow", &ours.flows, &theirs.flows, &mut differences);
    by_message("option", &ours.options, &theirs.options, &mut differences);
    report.add(case, "tshark", &differences);
    Some(alone)
}

fn against_nfdump(case: &Case, ours: &[Record], alone: Option<&[Record]>, report: &mut Report) {
    let Some(answer) = nfdump::decode(case) else {
        report.lack("nfdump 1.7.1");
        return;
    };
    let _ = writeln!(report.text, "  {} {}", answer.oracle, answer.records.len());
    let mut differences = Differences::default();
    let is_readable = |record: &&Record| answer.has_ipv6 || !record["exporter_addr"].contains(':');
    let (readable, over_ipv6): (Vec<&Record>, Vec<_>) = ours.iter().partition(is_readable);
    let alone_or_none = alone.unwrap_or_default().iter();
    let (alone_readable, _): (Vec<&Record>, Vec<_>) = alone_or_none.partition(is_readable);
    for record in over_ipv6 {
        differences.add("flow", "record over IPv6", How::Ours, &format!("{record:?}"), "");
    }
    let mut ours: Vec<_> = readable.into_iter().cloned().collect();
    if alone.is_none() && ours.len() != answer.records.len() {
        let _ = writeln!(report.text, "  not compared: which of our records it lacks, tshark would say");
        return report.missing.push(answer.oracle);
    }
    // What came before its template, others drop; or chance would pair it.
    if ours.len() - alone_readable.len() == answer.records.len() {
        for record in alone_readable {
            ours.remove(ours.iter().position(|known| known == record).unwrap());
            differences.add("flow", "record", How::Ours, &format!("{record:?}"), "");
        }
    }
    let ours: Vec<_> = ours.iter().map(nfdump::ours).collect();
    by_fields("flow", &ours, &answer.records, &nfdump::KEYS, &mut differences);
    report.add(case, answer.oracle, &differences);
}

#[test]
fn every_difference_from_other_decoders_has_its_reason() {
    let Some(directory) = case::directory() else {
        eprintln!("skipped: the captures of real devices are not here");
        return;
    };
    let cases = case::cases(&directory);
    let mut n_unexplained = 0;
    let mut is_used = vec![false; REASONS.len()];
    // Most of the time goes into waiting for tshark and nfcapd: two at a time.
    let (some, others) = cases.split_at(cases.len() / 2);
    let reports = std::thread::scope(|scope| {
        let others = scope.spawn(|| others.iter().map(report).collect::<Vec<_>>());
        let mut reports: Vec<_> = some.iter().map(report).collect();
        reports.extend(others.join().unwrap());
        reports
    });
    for report in &reports {
        eprint!("{}", report.text);
        n_unexplained += report.n_unexplained;
        report.reasons_used.iter().for_each(|&at| is_used[at] = true);
    }
    let n_differences: usize = reports.iter().map(|report| report.n_differences).sum();
    eprintln!("{} cases, {n_differences} kinds of difference, {n_unexplained} without reason", cases.len());
    // A reason that nobody could need, as its decoder is not here, is not idle.
    let is_idle = |reason: &reasons::Reason, is_used: bool| {
        let lacks = |report: &Report| report.missing.iter().any(|oracle| is_like(reason.oracle, oracle));
        !is_used && !reports.iter().any(lacks)
    };
    let idle = REASONS.iter().zip(is_used).filter(|(reason, is_used)| is_idle(reason, *is_used));
    let idle: Vec<_> = idle.map(|(reason, _)| (reason.oracle, reason.case, reason.field)).collect();
    assert_eq!(
        (n_unexplained, idle),
        (0, Vec::new()),
        "differences without reason, reasons without difference"
    );
}
