//! Usage errors in the voice of both programs: cause, then hint; lower case,
//! values in backticks, no final period.

use std::ops::Range;

use crate::limits::{EXCERPT_CONTEXT_CHARS, WORD_BYTES_MAX};

/// Message and hint from what the argument parser prints:
/// `error: unexpected argument '--foo' found`, then tips and usage.
pub fn in_our_words(rendered: &str, program: &str) -> (String, String) {
    let mut lines = rendered.lines();
    let first = lines.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first).trim_end_matches(['.', ':']);
    let mut message = first.replace('\'', "`");
    if let Some(rest) = message.strip_prefix("unexpected argument ") {
        message = format!("unknown option {}", rest.trim_end_matches(" found"));
    }
    if let Some(rest) = message.strip_prefix("unrecognized subcommand ") {
        message = format!("unknown command {rest}");
    }
    if let Some(first) = message.get(..1).map(str::to_lowercase) {
        message.replace_range(..1, &first);
    }
    let tip = rendered.lines().find_map(|line| {
        let tip = line.trim().strip_prefix("tip: a similar ")?;
        tip.strip_prefix("argument exists: ").or_else(|| tip.strip_prefix("subcommand exists: "))
    });
    let hint = match tip {
        Some(similar) => format!("did you mean {}?", similar.replace('\'', "`")),
        None => format!("`{program} --help` lists the options"),
    };
    (message, hint)
}

/// The line of `text` where the octets `span` begin, with its number and a caret
/// below them:
///
/// ```text
///   |
/// 3 | slot = "long"
///   |        ^^^^^^
/// ```
pub fn excerpt(text: &str, span: &Range<usize>) -> String {
    let start = floor_char(text, span.start);
    let end = floor_char(text, span.end).max(start);
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let number = text[..start].matches('\n').count() + 1;

    let before: Vec<char> = text[line_start..start].chars().collect();
    let marked: Vec<char> = text[start..end.min(line_end)].chars().collect();
    let after: Vec<char> = text[start.max(end.min(line_end))..line_end].chars().collect();
    let skipped = before.len().saturating_sub(EXCERPT_CONTEXT_CHARS);
    let marked = &marked[..marked.len().min(EXCERPT_CONTEXT_CHARS)];
    let shown: String = before[skipped..]
        .iter()
        .chain(marked)
        .chain(after.iter().take(EXCERPT_CONTEXT_CHARS))
        .map(|&c| if c == '\t' { ' ' } else { c })
        .collect();

    let margin = " ".repeat(number.to_string().len());
    let caret = " ".repeat(before.len() - skipped) + &"^".repeat(marked.len().max(1));
    let line = format!("{number} | {}", neutral(&shown));
    format!("{margin} |\n{}\n{margin} | {caret}", line.trim_end())
}

/// The last character boundary at or before `index`.
fn floor_char(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// `text` beginning in lower case, on one line, without a final period.
pub fn lower_first(text: &str) -> String {
    let text = text.lines().next().unwrap_or_default().trim_end_matches('.');
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Whether a terminal obeys the character instead of showing it: a control
/// character, or one that turns the direction of the text around it.
pub fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with control characters made visible, so that file names and filters
/// can't drive the terminal; line ends stay.
pub fn neutral(text: &str) -> String {
    text.chars().map(|c| if is_control(c) && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The candidate most like `text`, if one is near enough to be meant.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_parser_become_ours() {
        let check = |rendered: &str, message: &str, hint: &str| {
            assert_eq!(in_our_words(rendered, "flowcapd"), (message.to_owned(), hint.to_owned()));
        };
        check(
            "error: unexpected argument '--prot' found\n\n  tip: a similar argument exists: '--port'\n\nUsage: x\n",
            "unknown option `--prot`",
            "did you mean `--port`?",
        );
        check(
            "error: invalid value 'x' for '--port <PORT>': invalid digit found in string\n\nFor more\n",
            "invalid value `x` for `--port <PORT>`: invalid digit found in string",
            "`flowcapd --help` lists the options",
        );
        check(
            "error: unrecognized subcommand 'chek'\n\n  tip: a similar subcommand exists: 'check'\n",
            "unknown command `chek`",
            "did you mean `check`?",
        );
        check("", "", "`flowcapd --help` lists the options");
    }
}
