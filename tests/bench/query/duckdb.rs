//! DuckDB as its users have it: the Python package, in a process that stays.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What the process runs.
const WORKER: &str = include_str!("duckdb.py");

/// A connection that stays open.
pub struct DuckDb {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    pub version: String,
}

/// The Python that has the package; it is installed below `directory` where it is not.
pub fn install(python: &Path, directory: &Path) -> io::Result<PathBuf> {
    let venv = directory.join("venv");
    let own = venv.join("bin/python");
    let has = |python: &Path| {
        let mut command = Command::new(python);
        command.args(["-c", "import duckdb"]).stderr(Stdio::null()).status().is_ok_and(|it| it.success())
    };
    if has(&own) {
        return Ok(own);
    }
    println!("installing DuckDB below {}", venv.display());
    let steps = [
        (python, vec!["-m", "venv"], Some(&venv)),
        (own.as_path(), vec!["-m", "pip", "install", "--quiet", "duckdb"], None),
    ];
    for (program, arguments, path) in steps {
        let status = Command::new(program).args(&arguments).args(path).status()?;
        if !status.success() {
            return Err(io::Error::other(format!(
                "`{} {arguments:?}` ended with {status}",
                program.display()
            )));
        }
    }
    Ok(own)
}

impl DuckDb {
    /// Opens the Parquet files below a directory.
    pub fn open(python: &Path, flows: &Path) -> io::Result<Self> {
        let mut command = Command::new(python);
        command.arg("-c").arg(WORKER).arg(flows).env("TZ", "UTC");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take().expect("a piped stdin");
        let stdout = BufReader::new(child.stdout.take().expect("a piped stdout"));
        let mut duckdb = Self { child, stdin, stdout, version: String::new() };
        duckdb.version = duckdb.line()?;
        Ok(duckdb)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line)? {
            0 => Err(io::Error::other("DuckDB's process has ended")),
            _ => Ok(line.trim_end_matches('\n').to_owned()),
        }
    }

    fn ask(&mut self, kind: &str, sql: &str) -> io::Result<(f64, usize)> {
        writeln!(self.stdin, "{kind}\t{sql}")?;
        self.stdin.flush()?;
        let line = self.line()?;
        let words: Vec<_> = line.split('\t').collect();
        match (
            words[0],
            words.get(1).and_then(|ms| ms.parse().ok()),
            words.get(2).and_then(|n| n.parse().ok()),
        ) {
            ("ok", Some(wall_ms), Some(n_rows)) => Ok((wall_ms, n_rows)),
            _ => Err(io::Error::other(format!("DuckDB: {line}\n{sql}"))),
        }
    }

    /// The rows of an answer, fields apart.
    pub fn rows(&mut self, sql: &str) -> io::Result<Vec<Vec<String>>> {
        let (_, n_rows) = self.ask("answer", sql)?;
        (0..n_rows).map(|_| Ok(self.line()?.split('\t').map(str::to_owned).collect())).collect()
    }

    /// Milliseconds an answer takes.
    pub fn wall_ms(&mut self, sql: &str) -> io::Result<f64> {
        Ok(self.ask("time", sql)?.0)
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
