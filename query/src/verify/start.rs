//! What was typed after `flowdump verify`, and one line for each file.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};

use clap::Parser;

use super::beside::{beside, check_table};
use super::check::{Sound, Verdict, check, shown};
use crate::catalog::{self, Found, Listing, Source};
use crate::message::{DONE, Failure, PARTIAL, say};
use crate::{Env, interrupt};

/// Reads files whole and says whether they are sound.
#[derive(Debug, Parser)]
#[command(
    name = "flowdump verify",
    max_term_width = 100,
    override_usage = "flowdump verify [OPTIONS] [FILE|DIR]…",
    after_help = "\
Every value of every column is read, also of the options data and the side tables of a tree; flows,
packets, bytes and times are counted against what the metadata says. Pages have no checksums, so an
address that became another is not noticed.
`flowdump -v FILE` does the same.
Exit status: 0 all sound, 1 failed, 2 usage, 3 some are damaged, 130 Ctrl-C
"
)]
pub(crate) struct Asked {
    /// Files, or directories with everything below them [default: ./flows]
    #[arg(value_name = "FILE|DIR")]
    sources: Vec<PathBuf>,

    /// Only files that are damaged, and no sum
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Sums over all files.
#[derive(Debug, Default)]
struct Sum {
    files: u64,
    damaged: u64,
    rows: u64,
    bytes: u64,
}

/// Verifies files and returns the exit code.
pub(crate) fn verify(
    asked: &Asked,
    env: Env,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<u8, Failure> {
    let sources: Vec<Source> = match &asked.sources[..] {
        [] => vec![Source::Default],
        paths => paths.iter().cloned().map(Source::Path).collect(),
    };
    let (mut items, mut is_partial) = (Vec::new(), false);
    for source in &sources {
        let listing: Listing = catalog::list(source, env.now)?;
        // A file that is named is asked about alone.
        let is_tree = !matches!(source, Source::Path(path) if path.is_file());
        let (options, tables) = if is_tree { beside(&listing.files) } else { Default::default() };
        items.extend(listing.files.into_iter().chain(options).map(Item::Rows));
        items.extend(tables.into_iter().map(Item::Table));
        for (path, error) in listing.errors {
            is_partial = true;
            say(
                stderr,
                "error",
                &format!("can't read `{}`: {}", path.display(), crate::message::reason(&error)),
            );
        }
    }
    if items.is_empty() {
        say(stderr, "warning", "no flow files to verify");
    }
    let mut sum = Sum::default();
    in_order(items, |path, verdict| tell(path, &verdict, asked.quiet, &mut sum, stdout))?;
    interrupt::check()?;
    if !asked.quiet && sum.files > 0 {
        let Sum { files, damaged, rows, bytes } = sum;
        let state = if damaged == 0 { "all sound".to_owned() } else { format!("{damaged} damaged") };
        writeln!(stdout, "Total: files: {files}, rows: {rows}, bytes: {bytes}; {state}")?;
    }
    Ok(if sum.damaged > 0 || is_partial { PARTIAL } else { DONE })
}

fn tell(
    path: &std::path::Path,
    verdict: &Verdict,
    is_quiet: bool,
    sum: &mut Sum,
    stdout: &mut dyn Write,
) -> io::Result<()> {
    match verdict {
        Verdict::Gone => return Ok(()),
        Verdict::Sound(Sound { rows, bytes, counted }) => {
            (sum.rows, sum.bytes) = (sum.rows.saturating_add(*rows), sum.bytes.saturating_add(*bytes));
            if !is_quiet {
                let counted = match counted {
                    Some(Some(writer)) => format!("; as its metadata says, by {writer}"),
                    Some(None) => "; it has no metadata of ours".to_owned(),
                    None => String::new(),
                };
                writeln!(stdout, "{}: sound; rows: {rows}, bytes: {bytes}{counted}", shown(path))?;
            }
        }
        Verdict::Damaged(damage) => {
            sum.damaged += 1;
            for what in damage {
                writeln!(stdout, "{}: damaged; {}", shown(path), crate::message::neutral(what))?;
            }
        }
    }
    sum.files += 1;
    Ok(())
}

/// A file to check.
enum Item {
    Rows(Found),
    Table(PathBuf),
}

impl Item {
    fn check(&mut self) -> (PathBuf, Verdict) {
        match self {
            Self::Rows(found) => (found.path.clone(), check(found)),
            Self::Table(path) => (path.clone(), check_table(path)),
        }
    }
}

/// Checks files in as many threads as there are processors, and tells of each in order.
fn in_order(
    items: Vec<Item>,
    mut tell: impl FnMut(&std::path::Path, Verdict) -> io::Result<()>,
) -> io::Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len().max(1));
    let files: Vec<Mutex<Item>> = items.into_iter().map(Mutex::new).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(threads);
        for _ in 0..threads {
            let (sender, files, next) = (sender.clone(), &files, &next);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(at) else { return };
                    let (path, verdict) = file.lock().unwrap_or_else(PoisonError::into_inner).check();
                    if interrupt::is_asked() || sender.send((at, path, verdict)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let (mut early, mut due) = (BTreeMap::new(), 0);
        for (at, path, verdict) in receiver {
            early.insert(at, (path, verdict));
            while let Some((path, verdict)) = early.remove(&due) {
                tell(&path, verdict)?;
                due += 1;
            }
        }
        Ok(())
    })
}
