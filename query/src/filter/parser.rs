//! Tokens to the syntax tree, by precedence: not, then and, then or.

use flow_common::limits::FILTER_DEPTH_MAX;

use super::ast::{Comparator, Node, NodeKind, Span, Tail, Word};
use super::diagnostic::FilterError;
use super::lexer::{Token, TokenKind};

/// The tree of `tokens`, behind which the text ends at `end`; `None` where there are none.
pub(crate) fn parse(tokens: &[Token], end: usize) -> Result<Option<Node>, FilterError> {
    if tokens.is_empty() {
        return Ok(None);
    }
    let mut parser = Parser { tokens, at: 0, depth: 0, end };
    let node = parser.or()?;
    match parser.peek() {
        None => Ok(Some(node)),
        Some(token) if token.kind == TokenKind::RightParen => {
            Err(FilterError::new("`)` closes no `(`", token.span.clone())
                .hint("add `(` before, or leave it out"))
        }
        Some(_) => Err(parser.expected_operator()),
    }
}

const LIST_HINT: &str = "a list is written `port in [80, 443, 8000-8100]`";

/// Values that ask whether there is one.
const PRESENCES: [&str; 3] = ["null", "absent", "present"];

/// Whether a value asks whether there is one.
pub(crate) fn is_presence(word: &Word) -> bool {
    !word.is_quoted && PRESENCES.iter().any(|presence| word.text.eq_ignore_ascii_case(presence))
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
        let tail = self.tail()?;
        Ok(Node { kind: NodeKind::Term(words, tail) })
    }

    fn tail(&mut self) -> Result<Tail, FilterError> {
        if let Some((comparator, span)) = self.comparator() {
            return self.compared(comparator, span);
        }
        let start = self.here().start;
        if self.is_keyword("in") || self.at_not_in() {
            let is_inside = !self.take_keyword("not");
            let span = start..self.here().end;
            self.at += 1;
            return Ok(Tail::In { values: self.list()?, is_inside, span });
        }
        if self.take_keyword("is") {
            let comparator = if self.take_keyword("not") { Comparator::Ne } else { Comparator::Eq };
            let span = start..self.here().start;
            let value = self.value().filter(is_presence).ok_or_else(|| {
                FilterError::new("expected `null` or `present` after `is`", self.here())
                    .hint("values are compared with `=`")
            })?;
            return Ok(Tail::Compare { comparator, span, value });
        }
        Ok(Tail::None)
    }

    /// What follows a comparator.
    fn compared(&mut self, comparator: Comparator, span: Span) -> Result<Tail, FilterError> {
        if self.peek().is_some_and(|token| token.kind == TokenKind::LeftBracket) {
            let is_inside = match comparator {
                Comparator::Eq => true,
                Comparator::Ne => false,
                _ => {
                    let message = format!("`{}` does not apply to a list", comparator.symbol());
                    return Err(FilterError::new(message, span).hint("`in`, `=` and `!=` do"));
                }
            };
            return Ok(Tail::In { values: self.list()?, is_inside, span });
        }
        let value = self.value().ok_or_else(|| {
            FilterError::new(format!("a value is missing after `{}`", comparator.symbol()), self.here())
                .hint("a number, an address, a name or a text in quotes")
        })?;
        Ok(Tail::Compare { comparator, span, value })
    }

    fn is_keyword_next(&self, keyword: &str) -> bool {
        let next = self.tokens.get(self.at + 1).map(|token| &token.kind);
        matches!(next, Some(TokenKind::Word(word)) if word.eq_ignore_ascii_case(keyword))
    }

    /// Whether a list stands behind the next word, or what people write in place of one
    /// where that `is_first` word of a term isn't.
    fn is_list_next(&self, is_first: bool) -> bool {
        match self.tokens.get(self.at + 1).map(|token| &token.kind) {
            Some(TokenKind::LeftBracket) => true,
            Some(TokenKind::LeftParen) => !is_first,
            Some(TokenKind::Word(word)) => !is_first && word.starts_with(|c: char| c.is_ascii_digit()),
            _ => false,
        }
    }

    /// Whether `not in` comes.
    fn at_not_in(&self) -> bool {
        self.is_keyword("not") && self.is_keyword_next("in")
    }

    /// Words up to an operator; quoted text ends them.
    fn words(&mut self) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        loop {
            let is_list = self.is_keyword("in") && self.is_list_next(words.is_empty());
            let is_operator = ["and", "or", "not"].iter().any(|keyword| self.is_keyword(keyword));
            let is_comparator = || self.word().is_some_and(|word| Comparator::from_word(word).is_some());
            let is_null = || {
                self.is_keyword("is")
                    && PRESENCES.iter().chain(&["not"]).any(|word| self.is_keyword_next(word))
            };
            if is_list || is_operator || !words.is_empty() && (is_comparator() || is_null()) {
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

    /// `[ value, value value ]`.
    fn list(&mut self) -> Result<Vec<Word>, FilterError> {
        let open = self.here();
        if self.take(&TokenKind::LeftBracket).is_none() {
            return Err(FilterError::new("a list is missing after `in`", open).hint(LIST_HINT));
        }
        let mut values = Vec::new();
        loop {
            if let Some(value) = self.value() {
                values.push(value);
            } else if self.take(&TokenKind::Comma).is_some() {
                continue;
            } else if let Some(close) = self.take(&TokenKind::RightBracket) {
                if values.is_empty() {
                    return Err(FilterError::new("the list is empty", open.start..close.end).hint(LIST_HINT));
                }
                return Ok(values);
            } else if self.peek().is_none() {
                return Err(FilterError::new("`[` is not closed", open).hint("add `]`"));
            } else {
                return Err(FilterError::new("expected a value or `]`", self.here()).hint(LIST_HINT));
            }
        }
    }

    /// A date before the next word and the time that word is.
    fn split_time(&self) -> Option<String> {
        let before = self.tokens.get(self.at.checked_sub(1)?)?;
        let (TokenKind::Word(date), Some(time)) = (&before.kind, self.word()) else { return None };
        let is_date = date.len() >= 8 && date.contains(['-', '/']);
        (is_date && time.contains(':')).then(|| format!("{date}T{time}"))
    }

    /// A number before the next word and the unit that word is.
    fn split_unit(&self) -> Option<String> {
        let before = self.tokens.get(self.at.checked_sub(1)?)?;
        let (TokenKind::Word(number), Some(unit)) = (&before.kind, self.word()) else { return None };
        let is_unit = unit.len() <= 3 && unit.bytes().all(|byte| byte.is_ascii_alphabetic());
        let is_number = number.ends_with(|c: char| c.is_ascii_digit());
        (is_unit && is_number).then(|| format!("{number}{unit}"))
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
            Some(TokenKind::LeftBracket | TokenKind::Comma) => error.hint(LIST_HINT),
            _ => match (self.split_time(), self.split_unit()) {
                (Some(time), _) => error.hint(format!("a time has no blank, or quotes: `{time}`")),
                (_, Some(number)) => error.hint(format!("a unit has no blank before it: `{number}`")),
                _ => error.hint("conditions are joined: `proto tcp and port 443`"),
            },
        }
    }
}

fn joined(mut nodes: Vec<Node>, kind: fn(Vec<Node>) -> NodeKind) -> Node {
    match nodes.len() {
        1 => nodes.remove(0),
        _ => Node { kind: kind(nodes) },
    }
}
