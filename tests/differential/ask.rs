//! The two programs and what they say to a question.

use std::path::Path;
use std::process::Command;

use flow_tests::query;

/// What a program printed, or why it did not.
pub(crate) type Said = Result<String, String>;

/// Asks nfdump about everything below `directory`.
pub(crate) fn nfdump(directory: &Path, args: &[String]) -> Said {
    let output =
        Command::new("nfdump").env("TZ", "UTC").arg("-R").arg(directory).args(args).output().unwrap();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let is_refused = !output.status.success()
        || ["Unknown ", "Line 1: ", "Invalid "]
            .iter()
            .any(|start| stderr.starts_with(start) || stdout.starts_with(start));
    if is_refused {
        let said = [stderr.as_str(), stdout.as_str()].join("\n");
        let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        return Err(format!("{first} ({})", output.status));
    }
    Ok(stdout)
}

/// Asks `flowdump` about everything below `directory`.
pub(crate) fn flowdump(directory: &Path, args: &[String]) -> Said {
    let args: Vec<_> = ["--threads", "1"].into_iter().chain(args.iter().map(String::as_str)).collect();
    let output = query::flowdump(directory, &args);
    if output.code == 0 { Ok(output.stdout) } else { Err(output.stderr.trim().to_owned()) }
}
