//! Tokens to the syntax tree, by precedence: not, then and, then or.

use flow_common::limits::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX};

use super::ast::{Comparator, Node, NodeKind, Span, Tail, Word};
use super::diagnostic::FilterError;
use super::lexer::{Token, TokenKind, tokens};

/// The tree of `text`; `None` where it is empty.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, FilterError> {
    if text.len() > FILTER_BYTES_MAX {
        let message = format!("filter has {} bytes, more than {FILTER_BYTES_MAX}", text.len());
        return Err(FilterError::new(message, 0..0));
    }
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(None);
    }
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, end: text.trim_end().len() };
    let node = parser.or()?;
    match parser.peek() {
        None => Ok(Some(node)),
        Some(token) if token.kind == TokenKind::RightParen => {
            Err(FilterError::new("`)` closes no `(`", token.span.clone()))
        }
        Some(_) => Err(parser.expected_operator()),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    /// Where the text ends, for what is missing there.
    end: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn word(&self) -> Option<&str> {
        match &self.peek()?.kind {
            TokenKind::Word(word) => Some(word),
            _ => None,
        }
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        self.word().is_some_and(|word| word.eq_ignore_ascii_case(keyword))
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let is_here = self.is_keyword(keyword);
        self.at += usize::from(is_here);
        is_here
    }

    fn take(&mut self, kind: &TokenKind) -> Option<Span> {
        let span = self.peek().filter(|token| token.kind == *kind)?.span.clone();
        self.at += 1;
        Some(span)
    }

    /// Where the next token is, or the end of the text.
    fn here(&self) -> Span {
        self.peek().map_or(self.end..self.end, |token| token.span.clone())
    }

    fn or(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.and()?];
        while self.take_keyword("or") {
            nodes.push(self.and()?);
        }
        Ok(joined(nodes, NodeKind::Or))
    }

    fn and(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.not()?];
        while self.take_keyword("and") {
            nodes.push(self.not()?);
        }
        Ok(joined(nodes, NodeKind::And))
    }

    fn not(&mut self) -> Result<Node, FilterError> {
        if self.depth >= FILTER_DEPTH_MAX {
            let message = format!("filter is nested deeper than {FILTER_DEPTH_MAX}");
            return Err(FilterError::new(message, self.here()));
        }
        self.depth += 1;
        let node = if self.take_keyword("not") || self.take(&TokenKind::Not).is_some() {
            Node { kind: NodeKind::Not(Box::new(self.not()?)) }
        } else if let Some(open) = self.take(&TokenKind::LeftParen) {
            let node = self.or()?;
            if self.take(&TokenKind::RightParen).is_none() {
                return Err(match self.peek() {
                    Some(_) => self.expected_operator(),
                    None => FilterError::new("`(` is not closed", open).hint("add `)`"),
                });
            }
            node
        } else {
            self.term()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn term(&mut self) -> Result<Node, FilterError> {
        let words = self.words();
        if words.is_empty() {
            return Err(self.expected_term());
        }
        let tail = if let Some((comparator, span)) = self.comparator() {
            let value = self.value().ok_or_else(|| {
                FilterError::new(format!("a value is missing after `{}`", comparator.symbol()), self.here())
            })?;
            Tail::Compare { comparator, span, value }
        } else if self.is_keyword("in") {
            self.at += 1;
            Tail::In(self.list()?)
        } else {
            Tail::None
        };
        Ok(Node { kind: NodeKind::Term(words, tail) })
    }

    /// Words up to an operator; quoted text ends them.
    fn words(&mut self) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        loop {
            let is_list = self.is_keyword("in")
                && self.tokens.get(self.at + 1).is_some_and(|token| token.kind == TokenKind::LeftBracket);
            let is_operator = ["and", "or", "not"].iter().any(|keyword| self.is_keyword(keyword))
                || (!words.is_empty()
                    && self.word().is_some_and(|word| Comparator::from_word(word).is_some()));
            if is_list || is_operator {
                return words;
            }
            match self.value() {
                Some(word) => words.push(word),
                None => return words,
            }
        }
    }

    fn comparator(&mut self) -> Option<(Comparator, Span)> {
        let token = self.peek()?;
        let comparator = match &token.kind {
            TokenKind::Compare(comparator) => *comparator,
            TokenKind::Word(word) => Comparator::from_word(word)?,
            _ => return None,
        };
        let span = token.span.clone();
        self.at += 1;
        Some((comparator, span))
    }

    fn value(&mut self) -> Option<Word> {
        let token = self.peek()?;
        let (text, is_quoted) = match &token.kind {
            TokenKind::Word(text) => (text, false),
            TokenKind::Quoted(text) => (text, true),
            _ => return None,
        };
        let word = Word { text: text.clone(), span: token.span.clone(), is_quoted };
        self.at += 1;
        Some(word)
    }

    /// `[ value, value value ]`, at its bracket.
    fn list(&mut self) -> Result<Vec<Word>, FilterError> {
        let open = self.here();
        self.at += 1;
        let mut values = Vec::new();
        loop {
            if let Some(value) = self.value() {
                values.push(value);
            } else if self.take(&TokenKind::Comma).is_some() {
                continue;
            } else if let Some(close) = self.take(&TokenKind::RightBracket) {
                if values.is_empty() {
                    return Err(FilterError::new("the list is empty", open.start..close.end));
                }
                return Ok(values);
            } else if self.peek().is_none() {
                return Err(FilterError::new("`[` is not closed", open).hint("add `]`"));
            } else {
                return Err(FilterError::new("expected a value or `]`", self.here()));
            }
        }
    }

    fn expected_term(&self) -> FilterError {
        let operator = self.at.checked_sub(1).and_then(|before| self.tokens.get(before));
        let after = match operator.map(|token| &token.kind) {
            Some(TokenKind::Word(word)) => format!(" after `{}`", word.to_ascii_lowercase()),
            Some(TokenKind::Not) => " after `!`".into(),
            Some(TokenKind::LeftParen) => " after `(`".into(),
            _ => String::new(),
        };
        FilterError::new(format!("a condition is missing{after}"), self.here())
            .hint("for example `proto tcp` or `src net 10.0.0.0/8`")
    }

    fn expected_operator(&self) -> FilterError {
        let error = FilterError::new("expected `and` or `or` here", self.here());
        match self.peek().map(|token| &token.kind) {
            Some(TokenKind::LeftBracket) => error.hint("a list is written `port in [80, 443]`"),
            _ => error,
        }
    }
}

fn joined(mut nodes: Vec<Node>, kind: fn(Vec<Node>) -> NodeKind) -> Node {
    match nodes.len() {
        1 => nodes.remove(0),
        _ => Node { kind: kind(nodes) },
    }
}
