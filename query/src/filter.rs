//! The filter language: nfdump's, with every noun of the column table.
//!
//! ```text
//! filter  = [ or ]
//! or      = and { "or" and }
//! and     = not { "and" not }
//! not     = ( "not" | "!" ) not | "(" or ")" | term
//! term    = "any" | "ipv4" | "ipv6"
//!         | noun [ comparator ] value          the comparator omitted is =
//!         | noun "in" "[" value { [","] value } "]"
//!         | "net" address dotted-mask
//! ```
//!
//! A noun is one or more words: those of the column table (`src ip`, `in if`)
//! and `duration`, `bps`, `pps`, `bpp`, and the names of columns an operator
//! defined. Without `src`/`dst`, `in`/`out`,
//! `min`/`max` or `ingress`/`egress` it means either side; with `!=` both sides
//! must differ. What an exporter did not send makes a term false, and `not` of
//! it true.
//!
//! Three stages: `parser` knows the grammar and no names, `resolve` looks
//! names, types and units up, `evaluate` can't fail.

mod ast;
mod diagnostic;
mod evaluate;
mod lexer;
mod parser;
mod predicate;
mod resolve;
mod value;
mod vocabulary;

pub(crate) use ast::Comparator;
pub(crate) use diagnostic::FilterError;
pub(crate) use evaluate::{Filter, Outlook};
pub(crate) use predicate::{Predicate, Test};
pub(crate) use vocabulary::nouns;

use crate::Env;
use crate::columns::Columns;

/// The meaning of `text`, which may name `columns` beyond the table; an empty one
/// matches every flow.
pub(crate) fn compile(text: &str, env: Env, columns: &Columns) -> Result<Predicate, FilterError> {
    match parser::parse(text)? {
        Some(node) => resolve::resolve(&node, env, columns),
        None => Ok(Predicate::Constant(true)),
    }
}

#[cfg(test)]
mod tests;
