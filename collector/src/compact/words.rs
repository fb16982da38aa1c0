//! What a run did, in words.

use super::{Event, Kept};
use crate::retention::size;

impl Event<'_> {
    /// A line about an hour.
    pub(crate) fn text(&self, is_dry: bool) -> String {
        match self {
            Self::Compacted { directory, n_files, n_made, bytes_before, bytes_after } => {
                let made = if *n_made == 1 { "one".to_owned() } else { n_made.to_string() };
                let (before, directory) = (size(*bytes_before), directory.display());
                if is_dry {
                    format!("{directory}: {n_files} files, {before}, would become {made}")
                } else {
                    format!("{directory}: {n_files} files, {before}, became {made} of {}", size(*bytes_after))
                }
            }
            Self::Kept { directory, why } => {
                format!("{} stays as it is: {}", directory.display(), why.text())
            }
            Self::Failed { directory, error } => {
                format!("{} stays as it is: {error}", directory.display())
            }
        }
    }
}

impl Kept {
    fn text(self) -> &'static str {
        match self {
            Self::IsOpen => "parts of slots that are open lie there",
            Self::Foreign => "something there is no file of flowcapd of that hour",
            Self::UnknownColumns => "a file has columns this flowcapd does not know",
            Self::NoRoom => "the disk has no room for it twice",
            Self::Changed => "something came to it or went meanwhile",
        }
    }
}
