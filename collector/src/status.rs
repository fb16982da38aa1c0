//! What `flowcapd status` tells: one value that the collector makes, sends as JSON, and
//! the command turns into words.

mod hints;
mod words;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use flow_common::limits;
use flow_common::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::datagram::Transport;
use crate::decode::Reason;
use crate::http::Observed;
use crate::live::{Exporter, Row, Shown};
use crate::metrics::Metrics;
use crate::process;
use crate::sequence::Unit;
use crate::stream::Protocol;
use crate::waiting::Wait;

pub(crate) use self::words::words;

/// A collector as it is now. Times are seconds since 1970.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    version: String,
    now_secs: i64,
    started_at_secs: i64,
    /// Where it writes.
    directory: String,
    ready: bool,
    /// What keeps it from being ready.
    faults: Vec<String>,
    /// What might be amiss, and what to do about it.
    hints: Vec<String>,
    listeners: Vec<ListenerStatus>,
    /// Age of what follows about exporters, seconds: more than 2 if decoding is busy.
    exporters_age_secs: f64,
    /// How many exporters are told apart; those heard last are listed.
    n_exporters: usize,
    exporters: Vec<ExporterStatus>,
    /// Datagrams of exporters beyond those told apart.
    other_datagrams: u64,
    waiting: Vec<WaitStatus>,
    journal: JournalStatus,
    disk: DiskStatus,
    process: ProcessStatus,
    /// Every counter, by its name in `/metrics`.
    counters: BTreeMap<String, u64>,
}

/// One socket.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ListenerStatus {
    address: String,
    protocol: String,
    /// Datagrams of a UDP socket; connections have counters of their own.
    datagrams: Option<u64>,
    datagrams_per_sec: Option<f64>,
    kernel_dropped: Option<u64>,
    buffer_bytes: Option<u64>,
    buffer_bytes_asked: Option<u64>,
}

/// One exporter.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct ExporterStatus {
    address: String,
    /// Of its last datagram; 0 where nobody looked.
    export_version: u16,
    transport: String,
    first_seen_secs: i64,
    last_seen_secs: i64,
    datagrams: u64,
    datagrams_per_sec: f64,
    records: u64,
    options_records: u64,
    rejected: u64,
    /// Why the last of those was rejected.
    rejected_for: Option<String>,
    templates: usize,
    domains: usize,
    /// Messages before which sequence numbers are missing.
    sequence_gaps: u64,
    /// What they prove lost, by what they count.
    lost: BTreeMap<String, i64>,
    /// What its last record says; `None`: nothing.
    sampling_rate: Option<i64>,
}

/// Sets that wait for one template.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WaitStatus {
    exporter: String,
    export_version: u16,
    domain: u32,
    template_id: u16,
    sets: usize,
    since_secs: i64,
}

/// The journal.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct JournalStatus {
    bytes: u64,
    limit_bytes: u64,
    segments: u64,
    position: u64,
    decoded_position: u64,
    synced_at_secs: u64,
    failing: bool,
}

/// The disk files are written to.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct DiskStatus {
    free_bytes: u64,
    size_bytes: u64,
    full: bool,
    parts_open: u64,
    file_errors: u64,
}

/// The process.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ProcessStatus {
    resident_bytes: u64,
    open_fds: u64,
}

impl Status {
    /// The state of the collector now, exporters as they were last copied out.
    pub(crate) fn of(observed: &Observed, shown: &Shown) -> Self {
        let now = observed.clock.now();
        let faults = observed.faults();
        let metrics = &observed.metrics;
        let mut rows: Vec<&Row> = shown.rows.iter().collect();
        rows.sort_unstable_by_key(|row| (std::cmp::Reverse(row.exporter.last_seen.secs()), row.addr));
        rows.truncate(limits::STATUS_EXPORTERS_MAX);
        rows.sort_unstable_by_key(|row| row.addr);
        let mut status = Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now_secs: now.secs(),
            started_at_secs: observed.started_at.secs(),
            directory: observed.root.display().to_string(),
            ready: faults.is_empty(),
            faults,
            hints: Vec::new(),
            listeners: listeners(observed),
            exporters_age_secs: shown.age().as_secs_f64().min(f64::from(u32::MAX)),
            n_exporters: shown.rows.len(),
            exporters: rows.into_iter().map(|row| ExporterStatus::of(row, shown.at)).collect(),
            other_datagrams: shown.others.datagrams,
            waiting: shown.waits.iter().map(WaitStatus::of).collect(),
            journal: JournalStatus::of(metrics),
            disk: DiskStatus::of(observed),
            process: ProcessStatus {
                resident_bytes: process::resident_bytes().unwrap_or(0),
                open_fds: process::open_fds().unwrap_or(0),
            },
            counters: metrics.samples().into_iter().collect(),
        };
        status.hints = hints::hints(&status);
        status
    }
}

fn listeners(observed: &Observed) -> Vec<ListenerStatus> {
    let rates = observed.rates();
    let udp = observed.metrics.listeners().iter().enumerate().map(|(index, one)| ListenerStatus {
        address: one.addr.to_string(),
        protocol: "UDP".to_owned(),
        datagrams: Some(one.received.get()),
        datagrams_per_sec: rates.get(index).copied(),
        kernel_dropped: Some(one.kernel_dropped.get()),
        buffer_bytes: Some(one.buffer_bytes.get()),
        buffer_bytes_asked: Some(observed.buffer_bytes_asked),
    });
    let stream = |(protocol, addr): &(Protocol, SocketAddr)| ListenerStatus {
        address: addr.to_string(),
        protocol: protocol.name().to_owned(),
        ..ListenerStatus::default()
    };
    udp.chain(observed.stream_listeners.iter().map(stream)).collect()
}

impl ExporterStatus {
    fn of(Row { addr, exporter, known, .. }: &Row, shown_at: Timestamp) -> Self {
        let lost = Unit::ALL.iter().zip(exporter.lost).filter(|(_, n)| *n > 0);
        Self {
            address: addr.to_string(),
            export_version: exporter.version,
            transport: transport(exporter).to_owned(),
            first_seen_secs: exporter.first_seen.secs(),
            last_seen_secs: exporter.last_seen.secs(),
            datagrams: exporter.datagrams,
            datagrams_per_sec: exporter.pace.per_sec(shown_at),
            records: exporter.records,
            options_records: exporter.options,
            rejected: exporter.rejected,
            rejected_for: exporter.reason.map(|reason| Reason::ALL[reason as usize].1.to_owned()),
            templates: known.n_templates,
            domains: known.n_domains,
            sequence_gaps: exporter.gaps,
            lost: lost.map(|(unit, n)| (unit.name().to_owned(), n)).collect(),
            sampling_rate: exporter.sampling_rate,
        }
    }

    fn ip(&self) -> Option<IpAddr> {
        self.address.parse().ok()
    }
}

const fn transport(exporter: &Exporter) -> &'static str {
    match exporter.transport {
        Transport::Udp => "UDP",
        Transport::Tcp { .. } => "TCP",
        Transport::Tls { .. } => "TLS",
        Transport::File => "file",
    }
}

impl WaitStatus {
    fn of(wait: &Wait) -> Self {
        let &Wait { since, exporter, version, domain, template_id, n_sets } = wait;
        Self {
            exporter: exporter.to_string(),
            export_version: version,
            domain,
            template_id,
            sets: n_sets,
            since_secs: since.secs(),
        }
    }
}

impl JournalStatus {
    fn of(metrics: &Metrics) -> Self {
        Self {
            bytes: metrics.journal_bytes.get(),
            limit_bytes: metrics.journal_bytes_max.get(),
            segments: metrics.journal_segments.get(),
            position: metrics.journal_position.get(),
            decoded_position: metrics.journal_decoded.get(),
            synced_at_secs: metrics.journal_synced_at_secs.get(),
            failing: metrics.journal_failing.get() > 0,
        }
    }
}

impl DiskStatus {
    fn of(Observed { metrics, disk, .. }: &Observed) -> Self {
        let (free_bytes, size_bytes) = disk.bytes();
        Self {
            free_bytes,
            size_bytes,
            full: metrics.disk_full.get() > 0,
            parts_open: metrics.parts_open.get(),
            file_errors: metrics.file_errors.get(),
        }
    }
}
