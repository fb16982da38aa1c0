//! One run of a program: its time, its memory, what it said.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Instant;

use wait4::Wait4;

/// What a run took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub wall_ms: f64,
    /// User and system.
    pub cpu_ms: f64,
    /// At most.
    pub rss_kib: u64,
}

/// How a run that was asked for an answer ended.
#[derive(Debug)]
pub enum Outcome<T> {
    Answered(T),
    /// The program does not know how to do this, in its words.
    Refused(String),
}

fn command(program: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("TZ", "UTC").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// Runs it with its output thrown away.
pub fn cost(program: &Path, arguments: &[String]) -> io::Result<Cost> {
    let mut command = command(program, arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn()?;
    let used = child.wait4()?;
    let wall_ms = start.elapsed().as_secs_f64() * 1_000.0;
    if !used.status.success() {
        return Err(io::Error::other(format!("{command:?} ended with {}", used.status)));
    }
    let cpu_ms = (used.rusage.utime + used.rusage.stime).as_secs_f64() * 1_000.0;
    Ok(Cost { wall_ms, cpu_ms, rss_kib: used.rusage.maxrss / 1_024 })
}

/// Runs it and reads its lines as they come.
pub fn answer<T>(
    program: &Path,
    arguments: &[String],
    read: impl FnOnce(BufReader<ChildStdout>) -> io::Result<T>,
) -> io::Result<Outcome<T>> {
    let mut command = command(program, arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().expect("a piped stdout");
    let answer = read(BufReader::with_capacity(1 << 20, stdout));
    let mut said = String::new();
    child.stderr.take().expect("a piped stderr").read_to_string(&mut said)?;
    let status = child.wait()?;
    let first = said.lines().next().unwrap_or_default().to_owned();
    match (status.code(), answer) {
        (Some(0), Ok(answer)) => Ok(Outcome::Answered(answer)),
        // 2 is flowdump's usage; nfdump has 255 for what it does not know.
        (Some(2 | 255), _) => Ok(Outcome::Refused(first)),
        (_, Err(error)) => {
            Err(io::Error::new(error.kind(), format!("{command:?}: {error}; stderr: {first}")))
        }
        _ => Err(io::Error::other(format!("{command:?} ended with {status}: {first}"))),
    }
}

/// All lines.
pub fn lines(reader: impl BufRead) -> io::Result<Vec<String>> {
    reader.lines().collect()
}
