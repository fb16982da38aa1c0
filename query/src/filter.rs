//! The filter language: nfdump's, with every noun of the column table. `FILTER.md` is its
//! reference.
//!
//! ```text
//! filter  = [ or ]
//! or      = and { ( "or" | "||" ) and }
//! and     = not { ( "and" | "&&" ) not }
//! not     = ( "not" | "!" ) not | "(" or ")" | term
//! term    = "any" | "ipv4" | "ipv6" | "sampled"
//!         | noun [ comparator ] value          the comparator omitted is =
//!         | noun [ "not" ] "in" "[" value { [","] value } "]"
//!         | noun [ "is" [ "not" ] ] ( "null" | "present" )
//!         | "net" address dotted-mask
//!         | "ttl" "equal" | [ side ] "port" "in" "nat" "pblock"
//! ```
//!
//! A noun is one or more words: those of the column table (`src ip`, `in if`), those that
//! are computed (`duration`, `bps`), and the names of columns in files, an operator's
//! too. Without `src`/`dst`, `in`/`out`, `min`/`max` or `ingress`/`egress` it means either
//! side; with `!=` both sides must differ. What an exporter did not send makes a term
//! false, and `not` of it true.
//!
//! Stages: `source` and `lexer` make tokens, `parser` knows the grammar and no names,
//! `resolve` looks names, types and units up, `evaluate` can't fail.

mod address;
mod ast;
mod condition;
mod diagnostic;
mod evaluate;
mod lexer;
mod names;
mod number;
mod parser;
mod predicate;
mod resolve;
mod set;
mod source;
mod suggest;
mod value;
mod vocabulary;
mod within;
mod words;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use flow_common::limits::{FILTER_BYTES_MAX, FILTER_NOTES_MAX};

pub(crate) use ast::Comparator;
use diagnostic::FilterError;
pub(crate) use evaluate::Filter;
pub(crate) use predicate::{Predicate, Test};
#[cfg(test)]
pub(crate) use set::AddressRange;
pub(crate) use set::AddressSet;
pub(crate) use vocabulary::nouns;

use crate::Env;
use crate::columns::{ColumnRef, Columns};
use crate::message::Failure;
use crate::names::Names;
use crate::places::Places;

/// What a filter may need beside its text.
pub(crate) trait Surroundings {
    /// The text of a file of at most `bytes_max` octets.
    fn include(&mut self, path: &Path, bytes_max: usize) -> Result<String, String>;

    /// The names exporters told, of each tree of files.
    fn names(&mut self) -> Vec<Arc<Names>>;

    /// Databases of places.
    fn places(&mut self) -> Result<Arc<Places>, Failure>;

    /// Those, if there are any and they know autonomous systems.
    fn origins(&mut self) -> Result<Option<Arc<Places>>, Failure>;
}

/// What a filter means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Meaning {
    pub(crate) predicate: Predicate,
    /// What is right and may still not be meant.
    pub(crate) notes: Vec<String>,
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoFilter {
    /// All there is to say, with the line and a caret.
    pub(crate) text: String,
    /// A word is unknown that could be the name of a column yet to be found.
    pub(crate) is_unknown_word: bool,
}

/// The meaning of `text`, which may name `columns` beyond the table; an empty one
/// matches every flow.
pub(crate) fn compile(
    text: &str,
    env: Env,
    columns: &Columns,
    surroundings: &mut dyn Surroundings,
) -> Result<Meaning, NoFilter> {
    read(text, env, columns, surroundings, None)
}

/// The meaning of `text` for groups of flows, which have the columns `known` and no others.
pub(crate) fn compile_of_groups(
    text: &str,
    env: Env,
    columns: &Columns,
    surroundings: &mut dyn Surroundings,
    known: &BTreeSet<ColumnRef>,
) -> Result<Meaning, NoFilter> {
    read(text, env, columns, surroundings, Some(known))
}

fn read(
    text: &str,
    env: Env,
    columns: &Columns,
    surroundings: &mut dyn Surroundings,
    known: Option<&BTreeSet<ColumnRef>>,
) -> Result<Meaning, NoFilter> {
    let mut source = source::Source::new(text);
    let context = resolve::Context { env, columns, known, surroundings, notes: Vec::new() };
    let meaning = understand(text, &mut source, context);
    meaning.map_err(|error| NoFilter { text: error.render(&source), is_unknown_word: error.is_unknown_word })
}

fn understand(
    text: &str,
    source: &mut source::Source,
    mut context: resolve::Context<'_>,
) -> Result<Meaning, FilterError> {
    if text.len() > FILTER_BYTES_MAX {
        let message = format!("filter has {} bytes, more than {FILTER_BYTES_MAX}", text.len());
        return Err(FilterError::new(message, 0..0));
    }
    let tokens = source.tokens(context.surroundings)?;
    let Some(node) = parser::parse(&tokens, text.trim_end().len())? else {
        return Ok(Meaning { predicate: Predicate::Constant(true), notes: Vec::new() });
    };
    let predicate = resolve::resolve(&node, &mut context)?;
    let mut notes: Vec<String> = Vec::new();
    for note in context.notes {
        // Either side of a noun would say the same.
        if notes.len() < FILTER_NOTES_MAX && !notes.contains(&note) {
            notes.push(note);
        }
    }
    Ok(Meaning { predicate, notes })
}

#[cfg(test)]
mod document;
#[cfg(test)]
mod tests;
