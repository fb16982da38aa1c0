//! Text to tokens with spans.

use super::ast::{Comparator, Span};
use super::diagnostic::FilterError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Word(String),
    Quoted(String),
    Compare(Comparator),
    Not,
    LeftParen,
    RightParen,
    LeftBracket,
    RightBracket,
    Comma,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// What stands next in a text.
#[derive(Debug)]
pub(crate) enum Lexeme {
    /// White space, or a comment: `#` and the rest of the line.
    Blank,
    Token(TokenKind),
    /// The name after `@include`.
    Include(String),
}

/// Operators, longer before shorter.
const OPERATORS: [(&str, TokenKind); 14] = [
    ("==", TokenKind::Compare(Comparator::Eq)),
    ("!=", TokenKind::Compare(Comparator::Ne)),
    ("<>", TokenKind::Compare(Comparator::Ne)),
    ("<=", TokenKind::Compare(Comparator::Le)),
    (">=", TokenKind::Compare(Comparator::Ge)),
    ("=", TokenKind::Compare(Comparator::Eq)),
    ("<", TokenKind::Compare(Comparator::Lt)),
    (">", TokenKind::Compare(Comparator::Gt)),
    ("!", TokenKind::Not),
    ("(", TokenKind::LeftParen),
    (")", TokenKind::RightParen),
    ("[", TokenKind::LeftBracket),
    ("]", TokenKind::RightBracket),
    (",", TokenKind::Comma),
];

/// Operators that are words here, too.
const WORD_OPERATORS: [(&str, &str); 2] = [("&&", "and"), ("||", "or")];

/// Spellings of other languages and of word processors; longer before shorter, and before
/// the operators they begin with.
const FOREIGN: [(&str, &str); 21] = [
    ("===", "="),
    ("!==", "!="),
    ("=>", ">="),
    ("=<", "<="),
    ("=!", "!="),
    ("=~", "="),
    ("><", "!="),
    (">>", ">"),
    ("<<", "<"),
    ("&", "and"),
    ("|", "or"),
    ("~", "="),
    ("{", "["),
    ("}", "]"),
    (";", "and"),
    ("\u{2260}", "!="),
    ("\u{2264}", "<="),
    ("\u{2265}", ">="),
    ("\u{2013}", "-"),
    ("\u{201c}", "\""),
    ("\u{2018}", "'"),
];

/// The word that is replaced by the text of the file after it.
const INCLUDE: &str = "@include";

/// What stands at octet `at` of `text`, and its length; `None` at the end. Spans of errors
/// count from `start` octets before the text.
pub(crate) fn next(text: &str, at: usize, start: usize) -> Result<Option<(Lexeme, usize)>, FilterError> {
    let Some(rest) = text.get(at..) else { return Ok(None) };
    let Some(first) = rest.chars().next() else { return Ok(None) };
    let token = |kind: TokenKind, length: usize| Ok(Some((Lexeme::Token(kind), length)));
    if first.is_whitespace() {
        return Ok(Some((Lexeme::Blank, first.len_utf8())));
    }
    if first == '#' {
        return Ok(Some((Lexeme::Blank, rest.find('\n').unwrap_or(rest.len()))));
    }
    if first == '"' || first == '\'' {
        let inner = &rest[1..];
        return match inner.find(first) {
            Some(length) => token(TokenKind::Quoted(inner[..length].to_owned()), length + 2),
            None => Err(FilterError::new("quote is not closed", start + at..start + text.len())
                .hint(format!("end the text with `{first}`"))),
        };
    }
    if let Some((operator, word)) = WORD_OPERATORS.iter().find(|(operator, _)| rest.starts_with(operator)) {
        return token(TokenKind::Word((*word).to_owned()), operator.len());
    }
    let here = start + at;
    if let Some((foreign, ours)) = FOREIGN.iter().find(|(foreign, _)| rest.starts_with(foreign)) {
        let message = format!("unknown operator `{foreign}` in filter");
        return Err(
            FilterError::new(message, here..here + foreign.len()).hint(format!("did you mean `{ours}`?"))
        );
    }
    if let Some((operator, kind)) = OPERATORS.iter().find(|(operator, _)| rest.starts_with(operator)) {
        return token(kind.clone(), operator.len());
    }
    let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    if length == 0 {
        let message = format!("unexpected `{first}` in filter");
        return Err(FilterError::new(message, here..here + first.len_utf8())
            .hint("text with other characters than letters, digits and `_:.-+/%@\\*$` is quoted"));
    }
    if rest[..length].eq_ignore_ascii_case(INCLUDE) {
        return include(rest, here).map(Some);
    }
    token(TokenKind::Word(rest[..length].to_owned()), length)
}

/// `@include` and the name of a file, up to the next blank or in quotes.
fn include(rest: &str, here: usize) -> Result<(Lexeme, usize), FilterError> {
    let behind = &rest[INCLUDE.len()..];
    let name = behind.trim_start_matches([' ', '\t']);
    let before = rest.len() - name.len();
    let (name, length) = match name.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let end = name[1..].find(quote).unwrap_or(0);
            (&name[1..=end], end + 2)
        }
        _ => {
            let end = name.find(char::is_whitespace).unwrap_or(name.len());
            (&name[..end], end)
        }
    };
    if name.is_empty() {
        return Err(FilterError::new("a file is missing after `@include`", here..here + INCLUDE.len())
            .hint("for example `@include /etc/flowcap/servers.filter`"));
    }
    Ok((Lexeme::Include(name.to_owned()), before + length))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "_:.-+/%@\\*$".contains(c)
}
