//! The four lines below an answer, five where counters were scaled.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use chrono::SecondsFormat;
use flow_common::time::Timestamp;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use super::paint::{Paint, painted};
use super::text::{Text, TimeText};
use super::{Style, has_summary};
use crate::completeness::{Losses, Who};
use crate::flow::Counters;

/// What an answer rests on.
pub(crate) struct Summary {
    /// Counters of the matching records.
    pub(crate) matched: Counters,
    /// Matching records.
    pub(crate) passed: u64,
    /// Records of the files opened.
    pub(crate) processed: u64,
    /// First and last instant of the flows of the files, µs.
    pub(crate) span: (Option<i64>, Option<i64>),
    /// Compressed octets of the columns and row groups read.
    pub(crate) bytes_read: u64,
    /// Row groups that could not be read.
    pub(crate) blocks_skipped: u64,
    /// The smallest and the largest rate counters were multiplied by.
    pub(crate) rates: Option<(i64, i64)>,
    /// What is known to be missing.
    pub(crate) losses: Losses,
    pub(crate) wall: Duration,
}

/// The smallest and the largest of some rates.
pub(crate) struct RatesText(pub(crate) (i64, i64));

impl fmt::Display for RatesText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            (min, max) if min == max => write!(f, "{max}"),
            (min, max) => write!(f, "{min} to {max}"),
        }
    }
}

/// The summary as one JSON object.
pub(crate) fn summary_json(summary: &Summary) -> String {
    let matched = &summary.matched;
    let time = |micros: Option<i64>| match micros.and_then(|micros| Timestamp(micros).to_utc()) {
        Some(time) => format!("\"{}\"", time.to_rfc3339_opts(SecondsFormat::Micros, true)),
        None => "null".to_owned(),
    };
    let Losses { on_the_way, kernel_dropped, unreadable_files, .. } = &summary.losses;
    let who = |(addr, version, domain): &Who| {
        let addr = addr.map_or("null".to_owned(), |addr| format!("\"{addr}\""));
        let domain = domain.map_or("null".to_owned(), |domain| domain.to_string());
        format!("\"exporter_addr\":{addr},\"export_version\":{version},\"observation_domain\":{domain}")
    };
    let lost = on_the_way.iter().map(|(exporter, (lost, unit))| {
        // The unit comes from a file.
        let unit: String = unit.chars().filter(char::is_ascii_alphabetic).collect();
        format!("{{{},\"lost\":{lost},\"unit\":\"{unit}\"}}", who(exporter))
    });
    let lost: Vec<String> = lost.collect();
    let waiting = summary.losses.waiting();
    let waiting: Vec<String> =
        waiting.iter().map(|(exporter, n)| format!("{{{},\"datagrams\":{n}}}", who(exporter))).collect();
    let (rate_min, rate_max) = summary.rates.unwrap_or((1, 1));
    format!(
        "{{\"flows\":{},\"packets\":{},\"bytes\":{},\"events\":{},\"records_passed\":{},\
         \"records_processed\":{},\"files_first\":{},\"files_last\":{},\"scaled_by_min\":{rate_min},\
         \"scaled_by_max\":{rate_max},\"is_complete\":{},\"lost_on_the_way\":[{}],\
         \"without_template\":[{}],\"kernel_dropped_datagrams\":{kernel_dropped},\"unreadable_files\":{unreadable_files},\
         \"wall_secs\":{:.6}}}\n",
        matched.flows,
        matched.packets,
        matched.bytes,
        matched.events,
        summary.passed,
        summary.processed,
        time(summary.span.0),
        time(summary.span.1),
        summary.losses.is_empty(),
        lost.join(","),
        waiting.join(","),
        summary.wall.as_secs_f64(),
    )
}

/// Writes the summary, where the style has one.
pub(crate) fn write_summary(out: &mut dyn Write, style: &Style, summary: &Summary) -> io::Result<()> {
    if !has_summary(style) {
        return Ok(());
    }
    let mut lines = Vec::new();
    make_summary(&mut Text::new(&mut lines), style, summary)?;
    let lines = lines.split(|&octet| octet == b'\n').filter(|line| !line.is_empty());
    lines.into_iter().try_for_each(|line| painted(out, style, Paint::Aside, line))
}

fn make_summary(text: &mut Text<'_>, style: &Style, summary: &Summary) -> io::Result<()> {
    let matched = &summary.matched;
    write!(text, "Summary: total flows: {}", matched.flows)?;
    for (name, count) in [
        ("total bytes", matched.bytes),
        ("total packets", matched.packets),
        ("avg bps", matched.bps()),
        ("avg pps", matched.pps()),
    ] {
        write!(text, ", {name}: ")?;
        text.scaled(count, style.is_plain, 0);
    }
    write!(text, ", avg bpp: {}", matched.bpp())?;
    if matched.events > 0 {
        write!(text, ", events: {}", matched.events)?;
    }
    writeln!(text)?;
    if let Some(rates) = summary.rates {
        writeln!(text, "Scaled: packets and bytes are multiplied by sampling rates of {}", RatesText(rates))?;
    }
    if !summary.losses.is_empty() {
        writeln!(text, "Not complete: {}", summary.losses)?;
    }
    make_window(text, style, summary.span)?;
    writeln!(
        text,
        "Total records processed: {}, passed: {}, Blocks skipped: {}, Bytes read: {}",
        summary.processed, summary.passed, summary.blocks_skipped, summary.bytes_read
    )?;
    let (sys, user) = processor_secs();
    let wall = summary.wall.as_secs_f64();
    let rate = if wall > 0.0 { summary.processed as f64 / wall } else { 0.0 };
    writeln!(
        text,
        "Sys: {sys:.4}s User: {user:.4}s Wall: {wall:.4}s flows/second: {rate:.1} Runtime: {wall:.4}s"
    )
}

fn make_window(text: &mut Text<'_>, style: &Style, span: (Option<i64>, Option<i64>)) -> io::Result<()> {
    let (Some(first), Some(last)) = span else { return writeln!(text, "Time window: <unknown>") };
    let mut times = TimeText::new(style.zone);
    write!(text, "Time window: ")?;
    times.table(Some(first), text);
    write!(text, " - ")?;
    times.table(Some(last), text);
    let ms = Counters { first: Some(first), last: Some(last), ..Counters::default() }.duration_ms();
    write!(text, ", Duration: ")?;
    text.duration(ms, style.is_plain);
    writeln!(text)
}

/// Seconds of processor time in the kernel and in the program so far.
fn processor_secs() -> (f64, f64) {
    let secs = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_SELF)
        .map_or((0.0, 0.0), |usage| (secs(usage.system_time()), secs(usage.user_time())))
}
