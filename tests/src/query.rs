//! `flowdump` in this process.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use flow_common::time::Timestamp;
use flow_query::{Env, Zone};
use serde_json::Value;

/// What a command printed, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit code.
    pub code: u8,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs `flowdump -r root args…` with times in UTC.
pub fn flowdump(root: &Path, args: &[&str]) -> Output {
    let fixed = [OsString::from("-r"), root.into()];
    let args = fixed.into_iter().chain(args.iter().map(OsString::from));
    flowdump_with(&args.collect::<Vec<_>>())
}

/// Runs `flowdump args…` with times in UTC.
pub fn flowdump_with(args: &[impl AsRef<OsStr>]) -> Output {
    let args = args.iter().map(|arg| arg.as_ref().to_owned());
    let args = std::iter::once(OsString::from("flowdump")).chain(args);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let env = Env { now: Timestamp::from_secs(1_795_262_400), zone: Zone::Utc };
    let code = flow_query::run(args, &mut stdout, &mut stderr, env);
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    Output { code, stdout: text(stdout), stderr: text(stderr) }
}

/// Every record of a tree with its counters as stored.
pub fn records(root: &Path) -> Vec<Value> {
    ndjson(root, &["-o", "ndjson", "--no-scale"])
}

/// Every record of a tree as `flowdump -o ndjson` prints it: counters multiplied by
/// sampling rates.
pub fn scaled_records(root: &Path) -> Vec<Value> {
    ndjson(root, &["-o", "ndjson"])
}

fn ndjson(root: &Path, args: &[&str]) -> Vec<Value> {
    let output = flowdump(root, args);
    // A tree without a file is worth a warning, not an error.
    let mut said = output.stderr.lines();
    let is_quiet = said.all(|line| line.starts_with("warning: no flow files") || line.starts_with("note: "));
    assert!(output.code == 0 && is_quiet, "{output:?}");
    output.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}
