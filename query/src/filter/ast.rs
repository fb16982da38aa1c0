//! The syntax tree: what was written, with spans; names are not looked up.

use std::ops::Range;

/// Octets of the filter's text and of what it includes, counted through.
pub(crate) type Span = Range<usize>;

/// A comparator as written: `=` also where none was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparator {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparator {
    /// The comparator spelled as a word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let comparator = match word.to_ascii_lowercase().as_str() {
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "lt" => Self::Lt,
            "le" => Self::Le,
            "gt" => Self::Gt,
            "ge" => Self::Ge,
            _ => return None,
        };
        Some(comparator)
    }

    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    pub(crate) fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Eq => left == right,
            Self::Ne => left != right,
            Self::Lt => left < right,
            Self::Le => left <= right,
            Self::Gt => left > right,
            Self::Ge => left >= right,
        }
    }
}

/// One word or quoted text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) span: Span,
    pub(crate) is_quoted: bool,
}

/// What follows the words of a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing: the last words are the value.
    None,
    /// A comparator and a value.
    Compare { comparator: Comparator, span: Span, value: Word },
    /// `in [ … ]` or `not in [ … ]`, never empty; the span is that of what comes before `[`.
    In { values: Vec<Word>, is_inside: bool, span: Span },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    /// Words, at least one, and what follows them.
    Term(Vec<Word>, Tail),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
}
