//! `flowdump`: see the library. Only the clock and the streams are opened here.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use flow_common::time::{Clock, Timestamp};
use flow_query::{Env, Zone};

/// The clock of the machine.
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place of this program that reads the clock")]
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}

fn main() -> ExitCode {
    flow_query::end_on_signals();
    let env = Env { now: SystemClock.now(), zone: Zone::Local };
    let (mut stdout, mut stderr) = (stdout(), std::io::stderr());
    let args = std::env::args_os();
    ExitCode::from(flow_query::run_by(&SystemClock, args, &mut *stdout, &mut stderr, env, has_colours()))
}

/// Whether a terminal shows standard output, and its user does not mind (no-color.org).
fn has_colours() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// Standard output without a buffer that looks for line ends: text comes in large
/// pieces and is written as it is.
fn stdout() -> Box<dyn Write> {
    match std::io::stdout().as_fd().try_clone_to_owned() {
        Ok(stdout) => Box::new(File::from(stdout)),
        Err(_) => Box::new(std::io::stdout()),
    }
}
