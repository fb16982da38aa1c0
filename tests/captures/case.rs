//! The captures of real devices and what is known of each: `MANIFEST.tsv`.
//!
//! They lie beside a developer's checkout, not in it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One capture.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Directory and name, for example `live/softflowd_v5`.
    pub(crate) name: String,
    /// `nf5`, `ipfix+nf9`, `sflow5` and so on.
    pub(crate) protocol: String,
    /// Records of flows and of options that the manifest counts.
    pub(crate) n_records: (usize, usize),
    /// Everything of the capture without `.pcap`.
    stem: PathBuf,
}

impl Case {
    /// The capture itself.
    pub(crate) fn pcap(&self) -> PathBuf {
        self.file(".pcap")
    }

    /// A file beside it.
    pub(crate) fn file(&self, suffix: &str) -> PathBuf {
        let mut path = self.stem.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    /// Whether `flowcapd` decodes this protocol.
    pub(crate) fn is_supported(&self) -> bool {
        ["nf1", "nf5", "nf7", "nf9", "ipfix", "ipfix+nf9"].contains(&&*self.protocol)
    }
}

/// Where the captures are, if they are here.
pub(crate) fn directory() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    directory.join("MANIFEST.tsv").is_file().then_some(directory)
}

/// Every case of the manifest.
pub(crate) fn cases(directory: &Path) -> Vec<Case> {
    let manifest = std::fs::read_to_string(directory.join("MANIFEST.tsv")).unwrap();
    let mut lines = manifest.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let at = |name: &str| head.iter().position(|column| *column == name).unwrap();
    let (pcap, protocol) = (at("pcap"), at("protocol"));
    let (flows, options) = (at("records"), at("opt_records"));
    lines
        .map(|line| {
            let name = line[pcap].strip_suffix(".pcap").unwrap().to_owned();
            let n_records = (line[flows].parse().unwrap(), line[options].parse().unwrap());
            Case { stem: directory.join(&name), name, protocol: line[protocol].to_owned(), n_records }
        })
        .collect()
}

/// Whether a program is here, in the version whose answers the reasons are about.
pub(crate) fn has_program(name: &str, flag: &str, version: &str) -> bool {
    let output = Command::new(name).arg(flag).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(version))
}
