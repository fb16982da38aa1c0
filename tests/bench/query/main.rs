//! `flowdump` next to `nfdump` (Debian's package) and DuckDB (Python package): the queries
//! an analyst asks, of the same generated flows, by turns; answers are compared first.
//!
//! `cargo bench --manifest-path tests/bench/Cargo.toml --bench query [-- OPTIONS]`;
//! `-- --help` lists the options. `query/README.md` has a table of it.

mod answer;
mod duckdb;
mod measure;
mod options;
mod process;
mod queries;
mod store;
mod table;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use duckdb::DuckDb;
use measure::{Asked, Measured, Side};
use options::{Options, Programs};
use store::Stores;

/// Flows of the file by which a start is measured.
const SMALL_FLOWS: u64 = 10;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let Some(options) = Options::parse(std::env::args().skip(1))? else { return Ok(()) };
    let programs = options.programs()?;
    if options.does_prepare_only {
        return prepare(&options, &programs);
    }
    let python = if options.does_duckdb {
        duckdb::install(&options.python, &options.directory)
            .map_err(|error| println!("without DuckDB: {error}"))
            .ok()
    } else {
        None
    };
    println!("{}", machine(&programs));
    let small = stored(&options, &programs, SMALL_FLOWS)?;
    if options.scale.is_empty() {
        let stores = stored(&options, &programs, options.flows)?;
        let measured = measure(&options, &programs, (&stores, &small), python.as_ref())?;
        println!("\n{}", table::ratios(&measured));
    } else {
        let mut by_flows = Vec::new();
        for flows in options.scale.clone() {
            let stores = stored(&options, &programs, flows)?;
            by_flows.push((flows, measure(&options, &programs, (&stores, &small), python.as_ref())?));
        }
        println!("\n{}", table::scale(&by_flows));
    }
    println!("{}", load());
    Ok(())
}

/// Makes the stores of `--flows` where they are missing, and checks what they hold.
fn prepare(options: &Options, programs: &Programs) -> io::Result<()> {
    let start = Instant::now();
    let (stores, is_made) =
        store::prepare(programs, &options.directory, options.flows, &options.compression, options.is_fresh)?;
    store::verify(programs, &stores)?;
    if is_made {
        println!("{} flows made and stored in {:.1} s", options.flows, start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// The stores of so many flows. Another process makes them: the memory of a program
/// that is started counts as that of the one it starts.
fn stored(options: &Options, programs: &Programs, flows: u64) -> io::Result<Stores> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--prepare", "--flows", &flows.to_string(), "--compression", &options.compression]);
    if options.is_fresh {
        command.arg("--fresh");
    }
    let paths: [(&str, &PathBuf); 5] = [
        ("--dir", &options.directory),
        ("--flowcapd", &programs.flowcapd),
        ("--flowdump", &programs.flowdump),
        ("--nfcapd", &programs.nfcapd),
        ("--nfdump", &programs.nfdump),
    ];
    paths.into_iter().for_each(|(flag, path)| _ = command.arg(flag).arg(path));
    let status = command.status()?;
    if !status.success() {
        return Err(io::Error::other(format!("the stores of {flows} flows: {status}")));
    }
    let (stores, _) = store::prepare(programs, &options.directory, flows, &options.compression, false)?;
    if !stores.is_by(programs)? {
        println!("flowcapd was built anew since it stored {flows} flows; `--fresh` stores them again");
    }
    Ok(stores)
}

fn measure(
    options: &Options,
    programs: &Programs,
    (stores, small): (&Stores, &Stores),
    python: Option<&PathBuf>,
) -> io::Result<Vec<Measured>> {
    let mut duckdb = python.map(|python| DuckDb::open(python, &stores.flowcap)).transpose()?;
    let version = duckdb.as_ref().map_or("none".to_owned(), |duckdb| duckdb.version.clone());
    println!(
        "{} flows; octets a flow: nfcapd lz4 {:.1}, flowcapd {} {:.1}; DuckDB {version}, 2 threads",
        stores.totals.flows,
        stores.octets_per_flow(&stores.nfcapd)?,
        options.compression,
        stores.octets_per_flow(&stores.flowcap)?,
    );
    let has_csv_fast = programs.has_nfdump_format("csv-fast");
    if !has_csv_fast {
        println!("this nfdump has no csv-fast");
    }
    let mut asked = Asked { programs, stores, small, duckdb: duckdb.as_mut(), runs: options.runs };
    let mut all = Vec::new();
    for query in queries::all(stores.totals.flows, has_csv_fast) {
        if !options.only.is_empty() && !options.only.contains(&query.number) {
            continue;
        }
        let measured = asked.measure(&query)?;
        println!("{}", said(&measured));
        all.push(measured);
    }
    Ok(all)
}

/// What is said of a query as it is done.
fn said(one: &Measured) -> String {
    let side = |side: &Side| match side {
        Side::Took(cost) => format!("{:.1} ms", cost.wall_ms),
        Side::Refused(reason) => format!("not supported ({reason})"),
    };
    let duckdb = one.duckdb_ms.map_or("–".to_owned(), |wall_ms| format!("{wall_ms:.1} ms"));
    format!(
        "{:2} {}: nfdump {}, flowdump {}, DuckDB {duckdb}",
        one.query.number,
        one.query.name,
        side(&one.nfdump),
        side(&one.flowdump)
    )
}

/// Machine and versions, in a few lines.
fn machine(programs: &Programs) -> String {
    let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<_> = cpu_info.lines().filter_map(|line| line.strip_prefix("model name")).collect();
    let model = models.first().map_or("", |model| model.trim_start_matches(['\t', ' ', ':']));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory_kib =
        memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let version = |program| {
        let output = Command::new(program).arg("-V").output().map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).trim().to_owned()
    };
    format!(
        "{} × {model}, {} MiB; {}; {}; {}",
        models.len(),
        memory_kib.unwrap_or(0) >> 10,
        version(&programs.nfdump),
        version(&programs.flowdump),
        load(),
    )
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("load averages {}", load.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}
