//! What the command line asks for.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use flow_tests::load::Version;

use crate::collector::Programs;

const HELP: &str = "\
usage: cargo bench --manifest-path tests/bench/Cargo.toml --bench ingest [-- OPTIONS]
  --versions v9,ipfix,v5  what is sent
  --compression lz4,zstd  how both write; nfcapd before 1.7.3 has no zstd
  --rates 200000,1000000  flows a second at which CPU is measured
  --steps 1000000,…       rates among which the highest without loss is looked for
  --secs 10 --runs 3      length and number of the runs that must lose nothing
  --probe-secs 4          length of the runs that look for the rate
  --fixed-secs 5          length of the runs of --rates
  --no-search             leave out the highest rate
  --no-slow               leave out memory at 10,000 flows a second
  --exporters 4           addresses they are sent from
  --buffer OCTETS         socket buffer of both [the largest the kernel grants, at most 16 MiB]
  --dir DIR               where they write
  --flowcapd FILE, --nfcapd FILE, --nfdump FILE
                          programs [the release build of this tree; those of the path]
  --pcap FILE [--flows N] write a capture of the first version's datagrams instead";

/// Largest buffer asked for, octets.
const BUFFER_BYTES_MAX: usize = 16 << 20;

/// Options, complete.
#[derive(Debug)]
pub struct Options {
    pub versions: Vec<Version>,
    pub compressions: Vec<String>,
    pub rates: Vec<u64>,
    pub steps: Vec<u64>,
    pub secs: u64,
    pub secs_probe: u64,
    pub secs_fixed: u64,
    pub runs: usize,
    pub does_search: bool,
    pub does_slow: bool,
    pub exporters: usize,
    pub directory: PathBuf,
    pub pcap: Option<PathBuf>,
    pub flows: usize,
    buffer_bytes: usize,
    flowcapd: Option<PathBuf>,
    nfcapd: PathBuf,
    nfdump: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        let granted = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap_or_default();
        Self {
            versions: vec![Version::V9, Version::Ipfix, Version::V5],
            compressions: vec!["lz4".to_owned(), "zstd".to_owned()],
            rates: vec![200_000, 1_000_000],
            steps: (2..=24).map(|quarter| quarter * 250_000).collect(),
            secs: 10,
            secs_probe: 4,
            secs_fixed: 5,
            runs: 3,
            does_search: true,
            does_slow: true,
            exporters: 4,
            directory: std::env::temp_dir(),
            pcap: None,
            flows: 4_000_000,
            buffer_bytes: granted.trim().parse().unwrap_or(BUFFER_BYTES_MAX).min(BUFFER_BYTES_MAX),
            flowcapd: None,
            nfcapd: "nfcapd".into(),
            nfdump: "nfdump".into(),
        }
    }
}

fn wrong(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.to_string())
}

fn numbers(text: &str) -> io::Result<Vec<u64>> {
    text.split(',').map(|number| number.replace('_', "").parse().map_err(wrong)).collect()
}

fn number<N: TryFrom<u64>>(text: &str) -> io::Result<N> {
    let number = text.replace('_', "").parse::<u64>().map_err(wrong)?;
    N::try_from(number).map_err(|_| wrong(format!("`{text}` is too large")))
}

fn versions(text: &str) -> io::Result<Vec<Version>> {
    let version = |name: &str| {
        let found = Version::ALL.into_iter().find(|version| version.name() == name);
        found.ok_or_else(|| wrong(format!("`{name}` is no version; there are v5, v9 and ipfix")))
    };
    text.split(',').map(version).collect()
}

impl Options {
    /// Options of a command line; `None` if it asked for help.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> io::Result<Option<Self>> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| wrong(format!("`{argument}` needs a value")));
            match argument.as_str() {
                "--versions" => options.versions = versions(&value()?)?,
                "--compression" => options.compressions = value()?.split(',').map(str::to_owned).collect(),
                "--rates" => options.rates = numbers(&value()?)?,
                "--steps" => options.steps = numbers(&value()?)?,
                "--secs" => options.secs = number(&value()?)?,
                "--probe-secs" => options.secs_probe = number(&value()?)?,
                "--fixed-secs" => options.secs_fixed = number(&value()?)?,
                "--runs" => options.runs = number(&value()?)?,
                "--exporters" => options.exporters = number::<usize>(&value()?)?.max(1),
                "--buffer" => options.buffer_bytes = number(&value()?)?,
                "--flows" => options.flows = number(&value()?)?,
                "--no-search" => options.does_search = false,
                "--no-slow" => options.does_slow = false,
                "--dir" => options.directory = value()?.into(),
                "--flowcapd" => options.flowcapd = Some(value()?.into()),
                "--nfcapd" => options.nfcapd = value()?.into(),
                "--nfdump" => options.nfdump = value()?.into(),
                "--pcap" => options.pcap = Some(value()?.into()),
                // What cargo adds.
                "--bench" => {}
                "--help" | "-h" => {
                    println!("{HELP}");
                    return Ok(None);
                }
                other => return Err(wrong(format!("`{other}` is no option\n{HELP}"))),
            }
        }
        Ok(Some(options))
    }

    /// The programs, ours built.
    pub fn programs(&self) -> io::Result<Programs> {
        let flowcapd = self.flowcapd.clone().map_or_else(build, Ok)?;
        let nfcapd_help = help(&self.nfcapd).map_err(|error| {
            wrong(format!(
                "cannot run `{}`: {error}; it is in Debian's package `nfdump`",
                self.nfcapd.display()
            ))
        })?;
        Ok(Programs {
            flowcapd_help: help(&flowcapd)?,
            nfcapd_help,
            flowcapd,
            nfcapd: self.nfcapd.clone(),
            nfdump: self.nfdump.clone(),
            buffer_bytes: self.buffer_bytes,
        })
    }
}

fn help(program: &Path) -> io::Result<String> {
    let output = Command::new(program).arg("-h").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

fn build() -> io::Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--bin", "flowcapd", "--manifest-path"];
    // Not where the benchmarks themselves are built.
    let mut build = Command::new(cargo);
    build.args(arguments).arg(workspace.join("Cargo.toml")).env_remove("CARGO_TARGET_DIR");
    match build.status()?.success() {
        true => Ok(workspace.join("target/release/flowcapd")),
        false => Err(io::Error::other("flowcapd does not build")),
    }
}
