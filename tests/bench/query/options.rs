//! What the command line asks for.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const HELP: &str = "\
usage: cargo bench --manifest-path tests/bench/Cargo.toml --bench query [-- OPTIONS]
  --flows 10000000        flows that are asked about
  --runs 5                runs of each query and program
  --only 1,2,8            these queries only
  --compression lz4       how flowcapd writes: lz4, zstd
  --scale                 1, 10 and 50 million flows, or those of --scale-flows
  --scale-flows 1000000,10000000
  --fresh                 make the stores again, also where they are kept
  --prepare               make the stores and check them, no more
  --no-duckdb             leave out DuckDB
  --dir DIR               where stores and DuckDB are kept [target/query-bench of the tree]
  --flowcapd FILE, --flowdump FILE, --nfcapd FILE, --nfdump FILE, --python FILE
                          programs [the release build of this tree; those of the path]";

/// Options, complete.
#[derive(Debug, Clone)]
pub struct Options {
    pub flows: u64,
    pub runs: usize,
    pub only: Vec<usize>,
    pub compression: String,
    /// Numbers of flows at which the cost is looked at; empty for the table of ratios.
    pub scale: Vec<u64>,
    pub is_fresh: bool,
    pub does_prepare_only: bool,
    pub does_duckdb: bool,
    pub directory: PathBuf,
    pub python: PathBuf,
    flowcapd: Option<PathBuf>,
    flowdump: Option<PathBuf>,
    nfcapd: PathBuf,
    nfdump: PathBuf,
}

/// What is run.
#[derive(Debug, Clone)]
pub struct Programs {
    pub flowcapd: PathBuf,
    pub flowdump: PathBuf,
    pub nfcapd: PathBuf,
    pub nfdump: PathBuf,
    /// `nfcapd -h`, `nfdump -h`: what they know depends on their version.
    pub nfcapd_help: String,
    pub nfdump_help: String,
}

impl Programs {
    /// The flag for LZ4; nfcapd before 1.7.3 has letters for each compression.
    pub fn nfcapd_lz4(&self) -> &'static str {
        if self.nfcapd_help.contains("-z=") { "-z=lz4" } else { "-y" }
    }

    /// Whether `nfdump -o` knows this format.
    pub fn has_nfdump_format(&self, format: &str) -> bool {
        self.nfdump_help.lines().any(|line| line.split_whitespace().next() == Some(format))
    }
}

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flows: 10_000_000,
            runs: 5,
            only: Vec::new(),
            compression: "lz4".to_owned(),
            scale: Vec::new(),
            is_fresh: false,
            does_prepare_only: false,
            does_duckdb: true,
            directory: workspace().join("target/query-bench"),
            python: "python3".into(),
            flowcapd: None,
            flowdump: None,
            nfcapd: "nfcapd".into(),
            nfdump: "nfdump".into(),
        }
    }
}

fn wrong(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.to_string())
}

fn number<N: TryFrom<u64>>(text: &str) -> io::Result<N> {
    let number = text.replace('_', "").parse::<u64>().map_err(wrong)?;
    N::try_from(number).map_err(|_| wrong(format!("`{text}` is too large")))
}

fn numbers<N: TryFrom<u64>>(text: &str) -> io::Result<Vec<N>> {
    text.split(',').map(number).collect()
}

impl Options {
    /// Options of a command line; `None` if it asked for help.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> io::Result<Option<Self>> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| wrong(format!("`{argument}` needs a value")));
            match argument.as_str() {
                "--flows" => options.flows = number::<u64>(&value()?)?.max(1),
                "--runs" => options.runs = number::<usize>(&value()?)?.max(1),
                "--only" => options.only = numbers(&value()?)?,
                "--compression" => options.compression = value()?,
                "--scale" => options.scale = vec![1_000_000, 10_000_000, 50_000_000],
                "--scale-flows" => options.scale = numbers(&value()?)?,
                "--fresh" => options.is_fresh = true,
                "--prepare" => options.does_prepare_only = true,
                "--no-duckdb" => options.does_duckdb = false,
                "--dir" => options.directory = value()?.into(),
                "--flowcapd" => options.flowcapd = Some(value()?.into()),
                "--flowdump" => options.flowdump = Some(value()?.into()),
                "--nfcapd" => options.nfcapd = value()?.into(),
                "--nfdump" => options.nfdump = value()?.into(),
                "--python" => options.python = value()?.into(),
                // What cargo adds.
                "--bench" => {}
                "--help" | "-h" => {
                    println!("{HELP}");
                    return Ok(None);
                }
                other => return Err(wrong(format!("`{other}` is no option\n{HELP}"))),
            }
        }
        match options.compression.as_str() {
            "lz4" | "zstd" => Ok(Some(options)),
            other => Err(wrong(format!("`{other}` is no compression; there are lz4 and zstd"))),
        }
    }

    /// The programs, ours built.
    pub fn programs(&self) -> io::Result<Programs> {
        if self.flowcapd.is_none() || self.flowdump.is_none() {
            build()?;
        }
        let ours = |given: &Option<PathBuf>, name: &str| {
            given.clone().unwrap_or_else(|| workspace().join("target/release").join(name))
        };
        Ok(Programs {
            flowcapd: ours(&self.flowcapd, "flowcapd"),
            flowdump: ours(&self.flowdump, "flowdump"),
            nfcapd_help: help(&self.nfcapd)?,
            nfdump_help: help(&self.nfdump)?,
            nfcapd: self.nfcapd.clone(),
            nfdump: self.nfdump.clone(),
        })
    }
}

fn help(program: &Path) -> io::Result<String> {
    let output = Command::new(program).arg("-h").output().map_err(|error| {
        wrong(format!("cannot run `{}`: {error}; it is in Debian's package `nfdump`", program.display()))
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

fn build() -> io::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Not where the benchmarks themselves are built.
    let status = Command::new(cargo)
        .args(["build", "--release", "--bin", "flowcapd", "--bin", "flowdump", "--manifest-path"])
        .arg(workspace().join("Cargo.toml"))
        .env_remove("CARGO_TARGET_DIR")
        .status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("flowcapd and flowdump do not build")) }
}
