//! The query tool: a question about flow records, answered from Parquet files.
//!
//! # The path of a question
//!
//! ```text
//! args → request → catalog → engine → scan: pages → batches ┬→ output
//!          └ filter ────────────────────────┘               └→ group → output
//! ```
//!
//! - `cli`: what can be typed; `request`: what it means, complete and checked
//! - `filter`: text → tokens → syntax tree → predicate → bitmaps over batches;
//!   `surroundings`: what it includes, and names it asks for; `explain`: what it means
//! - `config`: the file that names formats and databases
//! - `places`: where addresses are and whose, from databases operators bring
//! - `time_range`, `zone`: windows and wall time; "now" and the zone are arguments
//! - `columns`: the columns a question may name, also those an operator defined
//! - `catalog`: which files; `scan`: their row groups, pruned, as `batch`es of matching rows
//! - `tables`: side tables of a tree; `names` and `scaling` join them to rows
//! - `live`: rows as they come (`--follow`, `top`), and how far a question is
//! - `interrupt`: Ctrl-C; `runs`: what has no room in memory, sorted on disk
//! - `engine`: row groups to threads; `values`, `batch`, `counts`: columns of some rows
//! - `group`: sums of groups; `statistic`, `aggregation`, `computed`, `aggregate`: what they are;
//!   `measure`, `bucket`: what else is asked of them; `directions`: flows with their answers
//! - `output`: rows, statistics and summary as text
//! - `anonymize`: addresses that keep their prefixes and say nothing else
//! - `completeness`: what is known to be missing from an answer
//! - `import`: files of nfcapd to a tree of ours; `write`: files of flow records
//! - `verify`: whether files are what they say, and what they say of themselves
//! - `replay`: rows as NetFlow or IPFIX to a collector; `unpacker`: what threads hand over
//! - `message`: `error:` and `hint:` on stderr, and exit codes
//!
//! Only `catalog`, `scan`, `surroundings`, `places`, `config`, `request`, `live`, `import`, `verify` and `write`
//! touch files, and `runs` those for what has no room; only `main.rs` reads the clock.
#![forbid(unsafe_code)]

mod aggregate;
mod aggregation;
mod anonymize;
mod batch;
mod bucket;
mod catalog;
mod cli;
mod columns;
mod completeness;
mod computed;
mod config;
mod counts;
mod directions;
mod engine;
mod explain;
mod filter;
mod flow;
mod group;
pub mod harness;
mod import;
mod interrupt;
mod live;
mod measure;
mod message;
mod names;
mod output;
mod places;
mod replay;
mod request;
mod runs;
mod scaling;
mod scan;
mod statistic;
mod surroundings;
mod tables;
mod time_range;
mod unpacker;
mod values;
mod verify;
mod write;
mod zone;

use std::ffi::OsString;
use std::io::Write;
use std::time::Instant;

use flow_common::time::{Clock, Timestamp};

pub use crate::interrupt::watch as end_on_signals;
pub use crate::zone::Zone;

/// What a run takes from its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Env {
    /// The current time: what `-1h` and `today` count from.
    pub now: Timestamp,
    /// Zone in which times are read and printed; `--utc` overrides it.
    pub zone: Zone,
}

/// Runs `flowdump` with `args`, the program's name first, and returns its exit
/// code: 0 done, 1 failed, 2 usage or filter, 3 some files could not be read, 130
/// interrupted.
///
/// Data goes to `stdout`, talk to `stderr`. A reader that closes `stdout` early
/// is no failure.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
    env: Env,
) -> u8 {
    let clock = Running { now: env.now, started: Instant::now() };
    run_by(&clock, args, stdout, stderr, env, false)
}

/// As [`run`], with the clock that tells how late it is while rows are followed;
/// `has_colours` where `stdout` is shown by a terminal whose user wants them.
pub fn run_by(
    clock: &dyn Clock,
    args: impl IntoIterator<Item = OsString>,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
    env: Env,
    has_colours: bool,
) -> u8 {
    let outcome = match cli::parse(args) {
        Ok(cli::Parsed::Args(args)) => request::Request::new(args, env).and_then(|request| {
            let request = request.shown(has_colours);
            request.notes.iter().for_each(|note| message::say(stderr, "note", note));
            match request.since {
                _ if request.is_explained => explain::explain(&request, stdout),
                Some(since) => live::follow(&request, since, stdout, stderr, clock),
                None => engine::answer(&request, stdout, stderr),
            }
        }),
        Ok(cli::Parsed::Top(args)) => live::top(*args, env, clock, stderr),
        Ok(cli::Parsed::Import(asked)) => import::import(*asked, stdout, stderr),
        Ok(cli::Parsed::Verify(asked)) => verify::verify(&asked, env, stdout, stderr),
        Ok(cli::Parsed::Replay(asked)) => replay::replay(&asked, env, stdout, stderr),
        Ok(cli::Parsed::Text(text)) => {
            stdout.write_all(text.as_bytes()).map(|()| message::DONE).map_err(Into::into)
        }
        Err(failure) => Err(failure),
    };
    outcome.unwrap_or_else(|failure| failure.report(stderr))
}

/// A clock that was right once and runs on.
struct Running {
    now: Timestamp,
    started: Instant,
}

impl Clock for Running {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.now.0.saturating_add(elapsed))
    }
}
