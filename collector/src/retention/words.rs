//! What a run did, in words.

use super::{Event, Kept, Reason, RetentionError, Rules};
use crate::config::quantity;

impl Event<'_> {
    /// A line about a file.
    pub(crate) fn text(&self, rules: &Rules) -> String {
        match self {
            Self::Deleted { path, reason, bytes } => {
                format!("{}: {}, {}", path.display(), reason.text(rules), size(*bytes))
            }
            Self::Kept { path, why } => format!("{} stays: {}", path.display(), why.text()),
            Self::Failed { path, error } => format!("cannot delete `{}`: {error}", path.display()),
        }
    }
}

impl Reason {
    fn text(self, rules: &Rules) -> String {
        let text = match self {
            Self::Age => rules.max_age_secs.map(|secs| format!("older than {}", quantity::age_text(secs))),
            Self::Size => rules
                .max_bytes
                .map(|bytes| format!("the tree takes more than {}", quantity::size_text(bytes))),
            Self::Free => {
                rules.min_free.map(|free| format!("less than {} is free", quantity::free_text(free)))
            }
        };
        text.unwrap_or_default()
    }
}

impl Kept {
    fn text(self) -> &'static str {
        match self {
            Self::Foreign => "it is called like a file of flowcapd, and is none",
            Self::HasParts => "parts it replaces are not deleted yet",
        }
    }
}

impl RetentionError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => "`-w DIR` names the tree of a collector",
            Self::Busy(_) => {
                "flowcapd deletes files by itself where its configuration says so; or try again later"
            }
            Self::Lock { .. } => "run it as the user flowcapd runs as",
        }
    }
}

/// `1.2 MB`: octets as people read them.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut value = bytes as f64;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}
