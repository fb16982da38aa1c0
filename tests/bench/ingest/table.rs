//! The table that is printed at the end.

use flow_tests::load::Version;

use crate::collector::{Finished, Kind};

/// What was measured of a collector with one version and compression.
#[derive(Debug, Clone)]
pub struct Row {
    version: Version,
    kind: Kind,
    compression: String,
    /// CPU seconds a million flows at each fixed rate; loss there.
    fixed: Vec<(f64, u64)>,
    /// Highest rate without loss, and CPU there.
    pub highest: Option<u64>,
    pub at_highest: Option<f64>,
    /// CPU at the highest rate that both hold.
    pub at_both: Option<f64>,
    /// Octets and flows of all runs.
    stored: (u64, u64),
    rss_kib: u64,
    pub slow_rss_kib: Option<u64>,
}

pub fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Flowcapd => "flowcapd",
        Kind::Nfcapd => "nfcapd",
    }
}

impl Row {
    pub fn new(version: Version, kind: Kind, compression: &str) -> Self {
        Self {
            version,
            kind,
            compression: compression.to_owned(),
            fixed: Vec::new(),
            highest: None,
            at_highest: None,
            at_both: None,
            stored: (0, 0),
            rss_kib: 0,
            slow_rss_kib: None,
        }
    }

    pub fn is(&self, version: Version, kind: Kind) -> bool {
        (self.version, self.kind) == (version, kind)
    }

    pub fn add(&mut self, finished: &Finished) {
        self.stored = (self.stored.0 + finished.bytes, self.stored.1 + finished.records);
        self.rss_kib = self.rss_kib.max(finished.rss_kib);
    }

    pub fn add_fixed(&mut self, index: usize, cpu: f64, lost: u64, finished: &Finished) {
        self.fixed.resize(index, (f64::NAN, 0));
        self.fixed.push((cpu, lost));
        self.add(finished);
    }

    pub fn add_both(&mut self, cpu: f64, lost: u64, finished: &Finished) {
        self.at_both = Some(cpu).filter(|_| lost == 0);
        self.add(finished);
    }

    fn bytes_per_flow(&self) -> f64 {
        self.stored.0 as f64 / self.stored.1 as f64
    }
}

fn cell(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { "–".to_owned() }
}

fn figures(row: &Row, n_rates: usize) -> Vec<f64> {
    let fixed = (0..n_rates).map(|index| row.fixed.get(index).map_or(f64::NAN, |(cpu, _)| *cpu));
    let mib = |kib: Option<u64>| kib.map_or(f64::NAN, |kib| kib as f64 / 1_024.0);
    let mut figures = vec![row.highest.map_or(f64::NAN, |rate| rate as f64 / 1e6)];
    figures.extend(fixed);
    figures.extend([
        row.at_both.unwrap_or(f64::NAN),
        row.bytes_per_flow(),
        mib(Some(row.rss_kib)),
        mib(row.slow_rss_kib),
    ]);
    figures
}

/// All rows as a table in Markdown, ours followed by its ratio to nfcapd's.
pub fn render(rows: &[Row], rates: &[u64]) -> String {
    let mut head =
        vec!["sent".to_owned(), "collector".to_owned(), "highest rate without loss, M flows/s".to_owned()];
    head.extend(rates.iter().map(|rate| format!("CPU-s per M flows at {} k/s", rate / 1_000)));
    head.extend(
        ["at the highest both hold", "octets a flow", "memory at most, MiB", "at 10 k/s, MiB"]
            .map(str::to_owned),
    );
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut out = line(&head);
    let rule: Vec<_> =
        (0..head.len()).map(|index| if index < 2 { "---" } else { "--:" }.to_owned()).collect();
    out += &line(&rule);
    // Digits of each figure: rates, CPU, octets, memory.
    let mut digits = vec![2];
    digits.extend(vec![3; rates.len() + 1]);
    digits.extend([1, 0, 0]);
    for row in rows {
        let own = figures(row, rates.len());
        let mut cells =
            vec![row.version.name().to_owned(), format!("{} {}", name(row.kind), row.compression)];
        cells.extend(own.iter().zip(&digits).map(|(value, digits)| cell(*value, *digits)));
        for (index, (_, lost)) in row.fixed.iter().enumerate().filter(|(_, (_, lost))| *lost > 0) {
            cells[3 + index] += &format!(" (lost {lost})");
        }
        out += &line(&cells);
    }
    out.push('\n');
    let mut cells = head;
    cells[1] = "ratio".to_owned();
    out += &line(&cells);
    out += &line(&rule);
    for row in rows.iter().filter(|row| row.kind == Kind::Flowcapd) {
        // lz4 is what nfcapd always has.
        for other in rows.iter().filter(|other| other.is(row.version, Kind::Nfcapd)) {
            let ratio = figures(row, rates.len()).into_iter().zip(figures(other, rates.len()));
            let label = format!("flowcapd {} / nfcapd {}", row.compression, other.compression);
            let mut cells = vec![row.version.name().to_owned(), label];
            cells.extend(ratio.map(|(ours, theirs)| cell(ours / theirs, 2)));
            out += &line(&cells);
        }
    }
    out
}
