//! `flowcapd` next to `nfcapd` (Debian's package `nfdump`): highest rate without loss, CPU
//! a flow, octets a flow, memory; both sent the same datagrams over loopback by turns.
//!
//! `cargo bench --manifest-path tests/bench/Cargo.toml --bench ingest [-- OPTIONS]`;
//! `-- --help` lists the options. `collector/README.md` has a table of it.

mod collector;
mod machine;
mod options;
mod table;

use std::io;
use std::path::Path;
use std::time::Duration;

use collector::{Finished, Kind, Programs};
use flow_tests::load::{Datagrams, Sender, Version};
use flow_tests::pcap;
use machine::Load;
use options::Options;
use table::Row;

/// Distinct datagrams of a run: 1.5 million flows, many times what a row group or a
/// compressed block holds.
const DATAGRAMS: usize = 65_536;
const SEED: u64 = 42;
/// Time between the templates and the first flow.
const SETTLE: Duration = Duration::from_millis(200);
/// A sender slower than this share of its rate measured itself, not the collector.
const PACE_MIN: f64 = 0.97;
/// Rate at which memory at rest is looked at, and for how long: beyond the time a part takes.
const SLOW_RATE: u64 = 10_000;
const SLOW_SECS: u64 = 13;
const KINDS: [Kind; 2] = [Kind::Flowcapd, Kind::Nfcapd];

/// One run of one collector.
struct Run {
    sent: u64,
    rate: f64,
    kept_pace: bool,
    finished: Finished,
}

impl Run {
    fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.finished.records)
    }

    /// Of what was stored: what is lost costs nothing.
    fn cpu_per_million(&self) -> f64 {
        self.finished.cpu_secs * 1e6 / self.finished.records.max(1) as f64
    }
}

struct Bench {
    options: Options,
    programs: Programs,
    datagrams: Datagrams,
    version: Version,
    load: Load,
}

fn main() -> io::Result<()> {
    let Some(options) = Options::parse(std::env::args().skip(1))? else { return Ok(()) };
    if let Some(path) = &options.pcap {
        return write_pcap(path, options.versions[0], options.flows);
    }
    let programs = options.programs()?;
    println!("{}", machine::describe(&programs));
    let (version, load) = (options.versions[0], Load::default());
    let datagrams = Datagrams::new(version, DATAGRAMS, SEED);
    let mut bench = Bench { options, programs, datagrams, version, load };
    let mut rows = Vec::new();
    for version in bench.options.versions.clone() {
        if version != bench.version {
            bench.datagrams = Datagrams::new(version, DATAGRAMS, SEED);
            bench.version = version;
        }
        for compression in bench.options.compressions.clone() {
            rows.extend(bench.measure(&compression, &rows)?);
        }
    }
    println!("\n{}", table::render(&rows, &bench.options.rates));
    println!("{}", bench.load.describe());
    println!("{}", machine::uptime());
    Ok(())
}

impl Bench {
    /// Rows of one version and compression, one for each collector that has it.
    fn measure(&mut self, compression: &str, before: &[Row]) -> io::Result<Vec<Row>> {
        let mut rows: Vec<_> = KINDS.iter().map(|&kind| Row::new(self.version, kind, compression)).collect();
        let mut lacks = [false; 2];
        for (rate_index, rate) in self.options.rates.clone().into_iter().enumerate() {
            for (index, kind) in KINDS.into_iter().enumerate() {
                match self.run(kind, compression, rate, self.options.secs_fixed)? {
                    Some(run) => {
                        rows[index].add_fixed(rate_index, run.cpu_per_million(), run.lost(), &run.finished)
                    }
                    None => lacks[index] = true,
                }
            }
        }
        if self.options.does_search {
            for (index, kind) in KINDS.into_iter().enumerate().filter(|(index, _)| !lacks[*index]) {
                self.highest(kind, compression, &mut rows[index])?;
            }
        }
        // What nfcapd lacks is held against what it has: its figures of lz4.
        let of_nfcapd = before.iter().chain(&rows).find(|row| row.is(self.version, Kind::Nfcapd));
        let nfcapd_rate = if lacks[1] { of_nfcapd.and_then(|row| row.highest) } else { rows[1].highest };
        if let Some(rate) = nfcapd_rate.zip(rows[0].highest).map(|(one, other)| one.min(other)) {
            for (index, kind) in KINDS.into_iter().enumerate().filter(|(index, _)| !lacks[*index]) {
                if rows[index].highest == Some(rate) && rows[index].at_highest.is_some() {
                    rows[index].at_both = rows[index].at_highest;
                } else if let Some(run) = self.run(kind, compression, rate, self.options.secs)? {
                    rows[index].add_both(run.cpu_per_million(), run.lost(), &run.finished);
                }
            }
        }
        if self.options.does_slow && before.is_empty() {
            for (index, kind) in KINDS.into_iter().enumerate().filter(|(index, _)| !lacks[*index]) {
                if let Some(run) = self.run(kind, compression, SLOW_RATE, SLOW_SECS)? {
                    rows[index].slow_rss_kib = Some(run.finished.rss_kib);
                }
            }
        }
        Ok(rows.into_iter().zip(lacks).filter(|(_, lacks)| !lacks).map(|(row, _)| row).collect())
    }

    /// Looks for the highest rate at which nothing is lost in all runs.
    fn highest(&mut self, kind: Kind, compression: &str, row: &mut Row) -> io::Result<()> {
        let steps = self.options.steps.clone();
        // The highest step held, and the lowest that was not, by short runs.
        let (mut held, mut not) = (0, steps.len() + 1);
        while held + 1 < not {
            let middle = (held + not) / 2;
            let run = self.run(kind, compression, steps[middle - 1], self.options.secs_probe)?;
            let Some(run) = run else { return Ok(()) };
            if run.lost() == 0 && run.kept_pace { held = middle } else { not = middle }
        }
        // The full length, several times; one loss and the next lower step has to hold.
        while let Some(&rate) = held.checked_sub(1).and_then(|index| steps.get(index)) {
            let mut cpu = Vec::new();
            while cpu.len() < self.options.runs {
                let Some(run) = self.run(kind, compression, rate, self.options.secs)? else { return Ok(()) };
                row.add(&run.finished);
                if run.lost() > 0 || !run.kept_pace {
                    break;
                }
                cpu.push(run.cpu_per_million());
            }
            if cpu.len() == self.options.runs {
                row.highest = Some(rate);
                row.at_highest = Some(cpu.iter().sum::<f64>() / cpu.len() as f64);
                return Ok(());
            }
            held -= 1;
        }
        Ok(())
    }

    /// One run; `None` where the collector lacks the compression.
    fn run(&mut self, kind: Kind, compression: &str, rate: u64, secs: u64) -> io::Result<Option<Run>> {
        let directory = tempfile::tempdir_in(&self.options.directory)?;
        let Some(mut collector) = self.programs.start(kind, compression, directory.path())? else {
            return Ok(None);
        };
        let mut sender = Sender::new(self.datagrams.clone(), self.options.exporters, collector.addr)?;
        sender.send_templates()?;
        std::thread::sleep(SETTLE);
        let watch = self.load.begin();
        #[expect(clippy::disallowed_methods, reason = "the collectors are processes of their own")]
        let sending = std::thread::spawn(move || sender.send(rate, Duration::from_secs(secs)));
        while !sending.is_finished() {
            collector.look();
            std::thread::sleep(Duration::from_millis(50));
        }
        let sent = sending.join().expect("the sender does not panic")?;
        let finished = collector.finish()?;
        self.load.end(watch, finished.cpu_secs);
        let kept_pace = sent.rate() >= PACE_MIN * rate as f64;
        let run = Run { sent: sent.records, rate: sent.rate(), kept_pace, finished };
        println!("{}", self.line(kind, compression, rate, secs, &run));
        Ok(Some(run))
    }

    /// What is said of a run as it ends.
    fn line(&self, kind: Kind, compression: &str, rate: u64, secs: u64, run: &Run) -> String {
        let mut line = format!(
            "{:5} {:8} {compression:4} {:>9} flows/s {secs:3} s: {:6.3} CPU-s/M, {:5.1} B/flow, {:4} MiB, lost {}",
            self.version.name(),
            table::name(kind),
            rate,
            run.cpu_per_million(),
            run.finished.bytes as f64 / run.finished.records.max(1) as f64,
            run.finished.rss_kib >> 10,
            run.lost(),
        );
        if run.lost() > 0 {
            let percent = 100.0 * run.lost() as f64 / run.sent as f64;
            line += &format!(" ({percent:.2} %; the socket dropped {} datagrams)", run.finished.dropped);
        }
        if run.finished.records > run.sent {
            line += &format!("; {} records MORE than were sent", run.finished.records - run.sent);
        }
        if !run.kept_pace {
            line += &format!("; the sender came to {:.0} flows/s only", run.rate);
        }
        line
    }
}

/// A capture of the datagrams that are sent, for profiles of `flowcapd -f`.
fn write_pcap(path: &Path, version: Version, n_flows: usize) -> io::Result<()> {
    let n = n_flows.div_ceil(version.records());
    let mut datagrams = Datagrams::new(version, n, SEED);
    let (source, target) = (([127, 0, 0, 1], 50_000).into(), ([127, 0, 0, 1], 9_995).into());
    let start_ms = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
    let template =
        version.template(start_ms, 86_400_000, 0).map(|octets| (source, target, octets, start_ms * 1_000));
    let mut payloads: Vec<_> = template.into_iter().collect();
    for index in 0..n {
        // As if 24 datagrams came each millisecond: half a million flows a second.
        let now_ms = start_ms + index as u64 / 24;
        let sequence = if version == Version::V9 { index + 1 } else { index * version.records() };
        let octets = datagrams.stamped(index, now_ms, sequence as u32).to_vec();
        payloads.push((source, target, octets, now_ms * 1_000));
    }
    std::fs::write(path, pcap::write_pcap(&payloads))
}
