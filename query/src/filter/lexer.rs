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

/// Spellings of other languages.
const FOREIGN: [(&str, &str); 6] =
    [("&&", "and"), ("||", "or"), ("&", "and"), ("|", "or"), ("{", "["), ("}", "]")];

/// All tokens of `text`. `#` begins a comment that ends with the line.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if first == '#' {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' || first == '\'' {
            let Some(length) = rest[1..].find(first) else {
                return Err(FilterError::new("quote is not closed", at..text.len())
                    .hint(format!("end the text with `{first}`")));
            };
            tokens.push(Token {
                kind: TokenKind::Quoted(rest[1..=length].to_owned()),
                span: at..at + length + 2,
            });
            length + 2
        } else if let Some((operator, kind)) = OPERATORS.iter().find(|(o, _)| rest.starts_with(o)) {
            tokens.push(Token { kind: kind.clone(), span: at..at + operator.len() });
            operator.len()
        } else {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            if length == 0 {
                return Err(unexpected(rest, first, at));
            }
            tokens.push(Token { kind: TokenKind::Word(rest[..length].to_owned()), span: at..at + length });
            length
        };
        at += length;
    }
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "_:.-+/%@\\*$".contains(c)
}

fn unexpected(rest: &str, first: char, at: usize) -> FilterError {
    match FOREIGN.iter().find(|(foreign, _)| rest.starts_with(foreign)) {
        Some((foreign, ours)) => {
            FilterError::new(format!("unknown operator `{foreign}` in filter"), at..at + foreign.len())
                .hint(format!("did you mean `{ours}`?"))
        }
        None => FilterError::new(format!("unexpected `{first}` in filter"), at..at + first.len_utf8()),
    }
}
