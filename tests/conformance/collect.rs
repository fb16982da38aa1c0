//! Datagrams in, records and counters out: the real collector, the real query.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use flow_collector::Config;
use flow_tests::daemon::{Daemon, Finished, decode_capture_with, value};
use flow_tests::packet::{ipfix, v9};
use flow_tests::pcap::write_pcap;
use flow_tests::query::records;
use serde_json::Value as Json;

/// Export time of the builders below: 2026-11-21T12:30:00Z.
pub(crate) const EXPORT_SECS: u32 = 1_795_264_200;
/// Uptime of the exporter at that time.
pub(crate) const UPTIME_MS: u32 = 10_000;
/// Observation domain or source id of the builders below.
pub(crate) const DOMAIN: u32 = 7;

/// An IPFIX message without sets.
pub(crate) fn ipfix() -> ipfix::Message {
    ipfix::Message::new(EXPORT_SECS, 1, DOMAIN)
}

/// A v9 export packet without FlowSets.
pub(crate) fn v9() -> v9::Message {
    v9::Message::new(UPTIME_MS, EXPORT_SECS, 1, DOMAIN)
}

/// An address for documentation.
pub(crate) fn v4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

/// An exporter: address and source port.
pub(crate) fn exporter(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from((v4(last), port))
}

/// What a collector made of its input.
#[derive(Debug)]
pub(crate) struct Collected {
    finished: Finished,
    /// Flow records, in the order they are stored.
    pub(crate) flows: Vec<Json>,
    /// Options data records.
    pub(crate) options: Vec<Json>,
}

impl Collected {
    /// Of a collector that has ended.
    pub(crate) fn of(finished: Finished) -> Self {
        let root = finished.directory.path();
        let flows = records(root);
        let options = options_files(&root.join(".flowcap")).iter().flat_map(|file| records(file)).collect();
        Self { finished, flows, options }
    }

    /// Where its files are.
    pub(crate) fn root(&self) -> &Path {
        self.finished.directory.path()
    }

    /// A counter by its name without `flowcap_`.
    pub(crate) fn count(&self, name: &str) -> u64 {
        value(&self.finished.metrics, &format!("flowcap_{name}"))
    }

    /// Datagrams rejected for `reason`.
    pub(crate) fn n_rejected(&self, reason: &str) -> u64 {
        self.count(&format!("datagrams_rejected_total{{reason=\"{reason}\"}}"))
    }

    /// One field of each flow record; `null` where a record has none.
    pub(crate) fn column(&self, name: &str) -> Vec<Json> {
        self.flows.iter().map(|flow| flow[name].clone()).collect()
    }
}

fn options_files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let is_options = |path: &Path| path.extension().is_some_and(|extension| extension == "options");
    let below = |path: PathBuf| match path.is_dir() {
        true => options_files(&path),
        false => vec![path],
    };
    paths.into_iter().flat_map(below).filter(|path| is_options(path)).collect()
}

/// Collects datagrams that one socket sends over loopback.
pub(crate) fn collect(datagrams: &[Vec<u8>]) -> Collected {
    let mut daemon = Daemon::start();
    daemon.send(datagrams.iter().map(Vec::as_slice));
    Collected::of(daemon.finish())
}

/// Collects datagrams of several exporters, each with the seconds since
/// [`EXPORT_SECS`] at which it arrives.
pub(crate) fn collect_from(datagrams: &[(SocketAddr, i64, Vec<u8>)]) -> Collected {
    collect_from_with(datagrams, Config::default())
}

/// As [`collect_from`], otherwise as `config` says.
pub(crate) fn collect_from_with(datagrams: &[(SocketAddr, i64, Vec<u8>)], config: Config) -> Collected {
    let collector = SocketAddr::from((v4(250), 4739));
    let payloads = datagrams.iter().map(|(source, after_secs, payload)| {
        let micros = (i64::from(EXPORT_SECS) + after_secs) * 1_000_000;
        (*source, collector, payload.clone(), u64::try_from(micros).unwrap())
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("exporters.pcap");
    std::fs::write(&path, write_pcap(&payloads.collect::<Vec<_>>())).unwrap();
    Collected::of(decode_capture_with(&path, config))
}

/// The flow records of `collected` are as many as `expected` and have the
/// fields given there; a field expected as `null` is absent.
#[track_caller]
pub(crate) fn check_flows(collected: &Collected, expected: &Json) {
    check_records("flow", &collected.flows, expected);
}

/// As [`check_flows`], for options data records.
#[track_caller]
pub(crate) fn check_options(collected: &Collected, expected: &Json) {
    check_records("options data", &collected.options, expected);
}

#[track_caller]
fn check_records(what: &str, records: &[Json], expected: &Json) {
    let expected = expected.as_array().unwrap();
    assert_eq!(records.len(), expected.len(), "{what} records: {records:#?}");
    for (record, expected) in records.iter().zip(expected) {
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(record[name], *value, "`{name}` of {what} record {record:#}");
        }
    }
}

/// Collects datagrams from one socket and compares the flow records.
#[track_caller]
pub(crate) fn check(datagrams: &[Vec<u8>], expected: Json) -> Collected {
    let collected = collect(datagrams);
    check_flows(&collected, &expected);
    collected
}

/// Each datagram alone is rejected for `reason` and leaves no record.
#[track_caller]
pub(crate) fn check_rejected(reason: &str, datagrams: &[Vec<u8>]) {
    let collected = collect(datagrams);
    assert_eq!(collected.n_rejected(reason), datagrams.len() as u64, "{collected:#?}");
    assert_eq!((collected.flows.len(), collected.options.len()), (0, 0));
}

/// A flow record of one IPFIX field has the fields expected.
#[track_caller]
pub(crate) fn check_ipfix_value(field: ipfix::Field, octets: &[u8], expected: Json) {
    // The protocol beside it keeps a record from being empty.
    let fields = [ipfix::Field::iana(4, 1), field];
    let record = [&[6], octets].concat();
    check(&[ipfix().template(256, &fields).data(256, &[record]).encode()], Json::Array(vec![expected]));
}

/// A flow record of one v9 field has the fields expected.
#[track_caller]
pub(crate) fn check_v9_value(kind: u16, octets: &[u8], expected: Json) {
    let fields = [(4, 1), (kind, u16::try_from(octets.len()).unwrap())];
    let record = [&[6], octets].concat();
    check(&[v9().template(256, &fields).data(256, &[record]).encode()], Json::Array(vec![expected]));
}
