//! `flowcapd expire`: deletes what may go now, and says what and why.

use std::io::{self, Write};

use flow_common::time::Clock;

use super::Failure;
use crate::cli::Args;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::retention::{self, Circumstances, Event, KeptTree, Outcome};

/// Looks after each tree; one line on `out` for each file that goes. A tree that can't
/// be looked after keeps no other from it.
pub(super) fn expire(args: Args, is_dry: bool, out: &mut dyn Write) -> Result<(), Failure> {
    // A capture is read once, and has no trees.
    let config = Config::try_from(Args { capture: None, ..args })?;
    let trees = retention::trees(&config);
    if trees.iter().all(|tree| tree.rules.is_empty()) {
        let hint =
            "`--max-age 30d`, `--max-size 500GB`, `--min-free 10%`, or `[retention]` in the file of `-c`";
        return Err(Failure::new(2, "there is no rule by which files may go", hint.to_owned()));
    }
    let mut result = Ok(());
    for tree in trees.iter().filter(|tree| !tree.rules.is_empty()) {
        let done = one_tree(tree, config.slot_secs, is_dry, out);
        result = result.and(done);
    }
    result
}

fn one_tree(tree: &KeptTree, slot_secs: u32, is_dry: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let circumstances = Circumstances {
        now: SystemClock.now(),
        slot_secs,
        is_dry,
        space: &retention::space,
        is_over: &|| false,
    };
    let mut written = Ok(());
    let mut tell = |event: Event<'_>| {
        let line = event.text(&tree.rules);
        match event {
            Event::Deleted { .. } if written.is_ok() => written = writeln!(out, "{line}"),
            Event::Deleted { .. } => {}
            Event::Kept { .. } => talk(&format!("warning: {line}")),
            Event::Failed { .. } => talk(&format!("error: {line}")),
        }
    };
    let outcome = retention::retire(tree, &circumstances, &mut tell);
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(Failure::new(1, error, None)),
        _ => {}
    }
    let outcome = outcome.map_err(|error| Failure::new(1, &error, error.hint().to_owned()))?;
    let Outcome { n_deleted, bytes_deleted, n_failed, bytes_beyond } = outcome;
    let (root, verb) = (tree.root.display(), if is_dry { "would delete" } else { "deleted" });
    talk(&format!("{root}: {verb} {n_deleted} files, {}", retention::size(bytes_deleted)));
    if bytes_beyond > 0 {
        talk(&format!(
            "warning: {root}: {} too much, and no file left that may go",
            retention::size(bytes_beyond)
        ));
    }
    if n_failed > 0 {
        let hint = "run it as the user flowcapd runs as".to_owned();
        return Err(Failure::new(1, format!("{n_failed} files of `{root}` could not be deleted"), hint));
    }
    Ok(())
}

fn talk(line: &str) {
    // A stderr that is closed is no reason to fail.
    let _ = writeln!(io::stderr(), "{line}");
}
