//! What is wrong with a filter, where, and what would be right.

use flow_common::limits::FILTER_CONTEXT_CHARS;

use super::ast::Span;
use crate::message::neutral;

/// An error in a filter. The span counts octets of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterError {
    pub(crate) message: String,
    pub(crate) span: Span,
    pub(crate) hint: Option<String>,
}

impl FilterError {
    pub(crate) fn new(message: impl Into<String>, span: Span) -> Self {
        Self { message: message.into(), span, hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn maybe_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// The message, the line with a caret below the error, and the hint.
    pub(crate) fn render(&self, text: &str) -> String {
        let start = floor_char(text, self.span.start);
        let end = floor_char(text, self.span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let number = text[..start].matches('\n').count() + 1;

        let before: Vec<char> = text[line_start..start].chars().collect();
        let marked: Vec<char> = text[start..end.min(line_end)].chars().collect();
        let after: Vec<char> = text[start.max(end.min(line_end))..line_end].chars().collect();
        let skipped = before.len().saturating_sub(FILTER_CONTEXT_CHARS);
        let marked = &marked[..marked.len().min(FILTER_CONTEXT_CHARS)];
        let shown: String = before[skipped..]
            .iter()
            .chain(marked)
            .chain(after.iter().take(FILTER_CONTEXT_CHARS))
            .map(|&c| if c == '\t' { ' ' } else { c })
            .collect();

        let margin = " ".repeat(number.to_string().len());
        let caret = " ".repeat(before.len() - skipped) + &"^".repeat(marked.len().max(1));
        let mut rendered = format!("error: {}\n{margin} |\n", neutral(&self.message));
        rendered += format!("{number} | {}", neutral(&shown)).trim_end();
        rendered += &format!("\n{margin} | {caret}\n");
        if let Some(hint) = &self.hint {
            rendered += &format!("hint: {}\n", neutral(hint));
        }
        rendered
    }
}

/// The last character boundary at or before `index`.
fn floor_char(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
