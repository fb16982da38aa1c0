//! Subcommands: what `flowcapd` does instead of collecting. Each writes what it has
//! to say to stdout, and ends.

mod check;
mod compact;
mod expire;
mod status;

use std::io::{self, Write};

use crate::cli::{Args, Command, ConfigCommand};
use crate::config::{Config, UsageError, dump};

/// Why the program ends, and how.
#[derive(Debug)]
pub struct Failure {
    /// Its exit status.
    pub code: u8,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// Ends with `code` for this reason.
    pub fn new(code: u8, error: impl std::fmt::Display, hint: impl Into<Option<String>>) -> Self {
        Self { code, message: error.to_string(), hint: hint.into() }
    }
}

impl From<UsageError> for Failure {
    fn from(error: UsageError) -> Self {
        Self::new(2, &error, error.hint.clone())
    }
}

/// Does what `command` says.
pub fn run(command: Command, args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let mut result = Ok(());
    let text = match command {
        Command::Check => {
            let (text, sound) = check::check(args)?;
            result = sound;
            text
        }
        Command::Config(ConfigCommand::Dump) => {
            // A capture is read once, and is no setting.
            let (config, origins) = Config::load(Args { capture: None, ..args })?;
            dump::dump(&config, &origins)
        }
        Command::Config(ConfigCommand::Example) => dump::example(),
        Command::Compact { dry_run } => return compact::compact(args, dry_run, out),
        Command::Expire { dry_run } => return expire::expire(args, dry_run, out),
        Command::Status { json } => status::status(args, json)?,
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that has gone has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(1, error, None)),
        _ => result,
    }
}
