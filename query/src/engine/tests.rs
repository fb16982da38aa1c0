//! What is said of files that can't be read.

use std::path::Path;

use flow_common::time::Timestamp;

use super::*;
use crate::{Env, Zone, cli};

/// What is said of a file that is not there when it is opened, and whether
/// the answer then is partial.
#[track_caller]
fn check(asked: &Path, gone: &Path, expected: (&str, bool)) {
    let args = ["flowdump".into(), "-r".into(), asked.as_os_str().to_owned()];
    let Ok(cli::Parsed::Args(args)) = cli::parse(args) else { panic!("not a question") };
    let request = Request::new(args, Env { now: Timestamp(0), zone: Zone::Utc }).unwrap();
    let progress = Progress::new(1, false);
    let mut reader = Reader::new(&request, vec![gone.to_owned().into()], Wants::default(), &progress);
    assert!(reader.next_task().is_none());
    let mut stderr = Vec::new();
    let is_partial = reader.say_errors(&mut stderr);
    assert_eq!((str::from_utf8(&stderr).unwrap(), is_partial), expected);
}

#[test]
fn a_file_retired_since_it_was_listed_is_left_out() {
    let gone = Path::new("/none/a.parquet");
    check(Path::new("/none"), gone, ("", false));
    // Of a part that could not be held open the rows are somewhere else by now.
    let part = Path::new("/none/.flowcap.202611211200.0000.part");
    let said = format!("error: can't read `{}`: no such file or directory\n", part.display());
    check(Path::new("/none"), part, (&said, true));
    let said = "error: can't read `/none/a.parquet`: no such file or directory\n";
    check(gone, gone, (said, true));
}
