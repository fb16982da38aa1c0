//! The files open elsewhere: DuckDB and pyarrow see what flowdump sees.

use std::path::PathBuf;
use std::process::Command;

use flow_tests::daemon::decode_capture;
use flow_tests::query::records;
use flow_tests::testdata;
use serde_json::Value;

/// Versions the recipe of the README was tried with.
const PACKAGES: [&str; 2] = ["duckdb>=1.2", "pyarrow>=18"];

/// A Python with both packages: the system's, or one in a virtual environment
/// below the target directory, made once. Why not, where that fails.
pub(crate) fn python() -> Result<PathBuf, String> {
    let has_packages = |python: &PathBuf| {
        let import = Command::new(python).args(["-c", "import duckdb, pyarrow.parquet"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let system = PathBuf::from("python3");
    if has_packages(&system) {
        return Ok(system);
    }
    let venv = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = venv.join("bin/python3");
    if has_packages(&python) {
        return Ok(python);
    }
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("failed").to_owned())
        }
        Err(error) => Err(error.to_string()),
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
        .map_err(|reason| format!("python3 -m venv: {reason}"))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))
        .map_err(|reason| format!("pip install duckdb pyarrow: {reason}"))?;
    Ok(python)
}

/// Prints the same JSON from DuckDB and from pyarrow: rows, sums and addresses.
const SCRIPT: &str = r#"
import glob, ipaddress, json, sys, duckdb, pyarrow.parquet as pq
files = sys.argv[1] + '/date=*/hour=*/*.parquet'
db = duckdb.connect()
db.execute(sys.argv[2])
rows, packets, octets, addresses = db.execute(f"""
  SELECT count(*), sum(packets)::BIGINT, sum(bytes)::BIGINT, list(ip(src_addr)) FROM read_parquet('{files}')""").fetchall()[0]
canonical = lambda text: str(ipaddress.ip_address(text))
print(json.dumps([rows, packets, octets, sorted(canonical(a) for a in addresses if a)]))
tables = [pq.read_table(file) for file in glob.glob(files)]
column = lambda name: [v for t in tables for v in t.column(name).to_pylist() if v is not None]
def address(octets):
    ip = ipaddress.ip_address(octets)
    return str(ip.ipv4_mapped or ip)
print(json.dumps([sum(t.num_rows for t in tables), sum(column('packets')), sum(column('bytes')), sorted(map(address, column('src_addr')))]))
"#;

/// The README's one line that makes addresses readable in DuckDB.
fn readme_recipe() -> String {
    let readme = std::fs::read_to_string(testdata("../README.md")).unwrap();
    let line = readme.lines().find(|line| line.starts_with("CREATE MACRO ip(a)"));
    line.expect("the README has the recipe").to_owned()
}

#[test]
fn duckdb_and_pyarrow_see_the_same_flows() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("skipped: no Python with duckdb and pyarrow ({reason})");
            return;
        }
    };
    for name in ["v5-softflowd", "v9-softflowd", "ipfix-ovs", "ipfix-softflowd-biflow"] {
        let finished = decode_capture(&testdata(&format!("{name}.pcap")));
        let root = finished.directory.path();
        let output =
            Command::new(&python).args(["-c", SCRIPT]).arg(root).arg(readme_recipe()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {stderr}");
        let records = records(root);
        let sum = |key: &str| records.iter().filter_map(|record| record[key].as_u64()).sum::<u64>();
        let mut addresses: Vec<_> = records.iter().filter_map(|record| record["src_addr"].as_str()).collect();
        addresses.sort_unstable();
        let expected = serde_json::json!([records.len(), sum("packets"), sum("bytes"), addresses]);
        let stdout = String::from_utf8(output.stdout).unwrap();
        let answers: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answers, [expected.clone(), expected], "{name}");
    }
}
