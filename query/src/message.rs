//! What is said on stderr and the exit code that goes with it.
//!
//! Cause, then hint: `error: …` and `hint: …`, lower case, values in backticks,
//! no final period.

use std::io::{self, Write};

pub(crate) use flow_common::usage::{is_control, lower_first, nearest, neutral};

/// Done; also with no rows, also when the reader closed the pipe.
pub(crate) const DONE: u8 = 0;
/// Failed: no answer.
pub(crate) const FAILED: u8 = 1;
/// The question is not one: usage or filter.
pub(crate) const USAGE: u8 = 2;
/// Some files could not be read; the answer is that of the rest.
pub(crate) const PARTIAL: u8 = 3;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Options that make no question; exit 2.
    Usage {
        /// What is wrong.
        message: String,
        /// What would be right.
        hint: Option<String>,
    },
    /// A filter that is none, already rendered with its caret; exit 2.
    Filter(String),
    /// The world is not as the question needs it; exit 1.
    Failed {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The answer could not be written.
    Write(io::Error),
    /// A signal came; exit 130 for Ctrl-C.
    Interrupted(u8),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl Failure {
    /// The same of a question that `what` is about.
    pub(crate) fn of(self, what: &str) -> Self {
        match self {
            Self::Usage { message, hint } => Self::Usage { message: format!("{what}: {message}"), hint },
            other => other,
        }
    }

    /// Its message and its hint.
    pub(crate) fn told(self) -> (String, Option<String>) {
        match self {
            Self::Usage { message, hint } | Self::Failed { message, hint } => (message, hint),
            Self::Filter(message) => (message, None),
            Self::Write(error) => (reason(&error), None),
            Self::Interrupted(_) => ("interrupted".into(), None),
        }
    }

    /// A usage error without a hint.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: None }
    }

    /// A usage error with a hint.
    pub(crate) fn usage_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    /// Says it on `stderr` and returns the exit code.
    pub(crate) fn report(self, stderr: &mut dyn Write) -> u8 {
        let (code, message, hint) = match self {
            Self::Usage { message, hint } => (USAGE, message, hint),
            Self::Failed { message, hint } => (FAILED, message, hint),
            Self::Filter(text) => {
                // Nothing is left to say where stderr is closed.
                let _ = stderr.write_all(text.as_bytes());
                return USAGE;
            }
            Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => return DONE,
            Self::Interrupted(code) => return code,
            Self::Write(error) => (FAILED, format!("can't write the output: {}", reason(&error)), None),
        };
        say(stderr, "error", &message);
        if let Some(hint) = hint {
            say(stderr, "hint", &hint);
        }
        code
    }
}

/// Why a filter or a statistic is none.
#[derive(Debug)]
pub(crate) struct NameError {
    pub(crate) failure: Failure,
    /// The word could be the name of a column yet to be found.
    pub(crate) is_unknown_word: bool,
}

impl From<Failure> for NameError {
    fn from(failure: Failure) -> Self {
        Self { failure, is_unknown_word: false }
    }
}

/// One message of `kind` (`error`, `warning`, `hint`). A closed stderr is no
/// reason to stop.
pub(crate) fn say(stderr: &mut dyn Write, kind: &str, message: &str) {
    let _ = writeln!(stderr, "{kind}: {}", neutral(message));
}

/// An I/O error in our words: the common ones without their error number.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "it is a directory".into(),
        _ => lower_first(&error.to_string()),
    }
}
