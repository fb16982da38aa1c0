//! The text of a filter and of the files it includes. Spans count through all of them.

use std::path::{Path, PathBuf};

use flow_common::limits::{FILTER_BYTES_MAX, FILTER_INCLUDES_DEPTH_MAX, FILTER_INCLUDES_MAX};
use flow_common::usage::excerpt;

use super::Surroundings;
use super::ast::Span;
use super::diagnostic::FilterError;
use super::lexer::{Lexeme, Token, next};

/// One text: what was typed, or an included file.
#[derive(Debug)]
struct Piece {
    /// `None` is what was typed.
    path: Option<PathBuf>,
    text: String,
    /// Octets of the texts before it.
    start: usize,
}

/// All texts of a filter.
#[derive(Debug)]
pub(super) struct Source {
    pieces: Vec<Piece>,
}

impl Source {
    pub(super) fn new(text: &str) -> Self {
        Self { pieces: vec![Piece { path: None, text: text.to_owned(), start: 0 }] }
    }

    /// Octets of all texts.
    fn len(&self) -> usize {
        self.pieces.last().map_or(0, |piece| piece.start + piece.text.len())
    }

    fn piece(&self, span: &Span) -> Option<&Piece> {
        self.pieces.iter().rev().find(|piece| piece.start <= span.start)
    }

    /// The file a span lies in; `None` where it was typed.
    pub(super) fn file(&self, span: &Span) -> Option<&Path> {
        self.piece(span)?.path.as_deref()
    }

    /// The line of a span, with a caret below it.
    pub(super) fn excerpt(&self, span: &Span) -> String {
        let Some(piece) = self.piece(span) else { return String::new() };
        let local = span.start - piece.start..span.end.saturating_sub(piece.start);
        excerpt(&piece.text, &local)
    }

    /// All tokens, those of included files in their place.
    pub(super) fn tokens(&mut self, surroundings: &mut dyn Surroundings) -> Result<Vec<Token>, FilterError> {
        let mut tokens = Vec::new();
        self.add(0, 0, surroundings, &mut tokens)?;
        Ok(tokens)
    }

    fn add(
        &mut self,
        piece: usize,
        depth: usize,
        surroundings: &mut dyn Surroundings,
        into: &mut Vec<Token>,
    ) -> Result<(), FilterError> {
        let Some(Piece { text, start, .. }) = self.pieces.get(piece) else { return Ok(()) };
        let (text, start) = (text.clone(), *start);
        let mut at = 0;
        while let Some((lexeme, length)) = next(&text, at, start)? {
            let span = start + at..start + at + length;
            at += length;
            match lexeme {
                Lexeme::Blank => {}
                Lexeme::Token(kind) => into.push(Token { kind, span }),
                Lexeme::Include(name) => {
                    if depth >= FILTER_INCLUDES_DEPTH_MAX {
                        let message =
                            format!("files include each other deeper than {FILTER_INCLUDES_DEPTH_MAX}");
                        return Err(FilterError::new(message, span));
                    }
                    let included = self.include(piece, &name, span, surroundings)?;
                    self.add(included, depth + 1, surroundings, into)?;
                }
            }
        }
        Ok(())
    }

    /// Reads a file that a piece names; returns its place.
    fn include(
        &mut self,
        from: usize,
        name: &str,
        span: Span,
        surroundings: &mut dyn Surroundings,
    ) -> Result<usize, FilterError> {
        if self.pieces.len() > FILTER_INCLUDES_MAX {
            let message = format!("the filter includes more than {FILTER_INCLUDES_MAX} files");
            return Err(FilterError::new(message, span));
        }
        let beside = self.pieces.get(from).and_then(|piece| piece.path.as_deref()?.parent());
        let path = beside.map_or_else(|| PathBuf::from(name), |directory| directory.join(name));
        let room = FILTER_BYTES_MAX.saturating_sub(self.len());
        let text = surroundings.include(&path, room).map_err(|reason| {
            FilterError::new(format!("can't include `{}`: {reason}", path.display()), span)
        })?;
        self.pieces.push(Piece { path: Some(path), text, start: self.len() });
        Ok(self.pieces.len() - 1)
    }
}
