//! What is wrong with a filter, where, and what would be right.

use super::ast::Span;
use super::source::Source;
use crate::message::neutral;

/// An error in a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterError {
    pub(crate) message: String,
    pub(crate) span: Span,
    pub(crate) hint: Option<String>,
    /// A word is unknown that could be the name of a column yet to be found.
    pub(crate) is_unknown_word: bool,
}

impl FilterError {
    pub(crate) fn new(message: impl Into<String>, span: Span) -> Self {
        Self { message: message.into(), span, hint: None, is_unknown_word: false }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn maybe_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// The message, the line with a caret below the error, and the hint.
    pub(super) fn render(&self, source: &Source) -> String {
        let file = source.file(&self.span).map(|path| format!(" in `{}`", path.display()));
        let message = format!("{}{}", self.message, file.unwrap_or_default());
        let mut rendered = format!("error: {}\n{}\n", neutral(&message), source.excerpt(&self.span));
        if let Some(hint) = &self.hint {
            rendered += &format!("hint: {}\n", neutral(hint));
        }
        rendered
    }
}
