//! What is said on stderr and the exit code that goes with it.
//!
//! Cause, then hint: `error: …` and `hint: …`, lower case, values in backticks,
//! no final period.

use std::io::{self, Write};

use flow_common::limits::WORD_BYTES_MAX;

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
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl Failure {
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
            Self::Write(error) => (FAILED, format!("can't write the output: {}", reason(&error)), None),
        };
        say(stderr, "error", &message);
        if let Some(hint) = hint {
            say(stderr, "hint", &hint);
        }
        code
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

/// `text` beginning in lower case, on one line, without a final period.
pub(crate) fn lower_first(text: &str) -> String {
    let text = text.lines().next().unwrap_or_default().trim_end_matches('.');
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Whether a terminal obeys the character instead of showing it: a control
/// character, or one that turns the direction of the text around it.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with control characters made visible, so that file names and filters
/// can't drive the terminal; line ends stay.
pub(crate) fn neutral(text: &str) -> String {
    text.chars().map(|c| if is_control(c) && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The candidate most like `text`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKENESS_MIN: f64 = 0.6;
    if text.len() > WORD_BYTES_MAX {
        return None;
    }
    let likeness = |candidate: &str| strsim::normalized_damerau_levenshtein(text, &candidate.to_lowercase());
    let mut best = None;
    for candidate in candidates {
        let likeness = likeness(candidate);
        if likeness >= LIKENESS_MIN && best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}
