//! A filter of groups of flows: it may ask about what groups have and nothing else.

use std::collections::BTreeSet;

use flow_common::column::ColumnId;
use flow_common::tables::NameKind;

use super::ast::{Span, Word};
use super::diagnostic::FilterError;
use super::predicate::Predicate;
use super::resolve::Context;
use super::vocabulary::Quantity;
use crate::columns::{ColumnRef, Columns};
use crate::names::NAME_COLUMNS;

/// Those of the sides of a noun that there are; an error where there is none.
pub(super) fn sides(
    quantities: Vec<Quantity>,
    noun: &str,
    span: &Span,
    context: &Context<'_>,
) -> Result<Vec<Quantity>, FilterError> {
    let Some(known) = context.known else { return Ok(quantities) };
    let quantities = quantities.into_iter().map(|quantity| match quantity {
        // What flows themselves tell of applications; groups have no exporter to ask.
        Quantity::Name(name)
            if NAME_COLUMNS.get(name).is_some_and(|name| name.kind == NameKind::Application) =>
        {
            Quantity::Column(ColumnId::ApplicationName.into())
        }
        quantity => quantity,
    });
    // Groups are of many files.
    let quantities = quantities.filter(|quantity| !matches!(quantity, Quantity::Ident));
    let sides: Vec<_> = quantities.filter(|quantity| known.is_superset(&columns(*quantity))).collect();
    if sides.is_empty() { Err(unknown(noun, span.clone(), known, context.columns)) } else { Ok(sides) }
}

/// As [`sides`], of a term that has no noun.
pub(super) fn term(term: Predicate, words: &[Word], context: &Context<'_>) -> Result<Predicate, FilterError> {
    let Some(known) = context.known else { return Ok(term) };
    let is_known = |one: &Predicate| {
        let mut columns = BTreeSet::new();
        one.columns(&mut columns);
        known.is_superset(&columns)
    };
    match term {
        term if is_known(&term) => Ok(term),
        Predicate::Or(sides) if sides.iter().any(is_known) => {
            Ok(Predicate::one_of(sides.into_iter().filter(is_known).collect()))
        }
        _ => {
            let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            let end = words.last().map_or(0, |word| word.span.end);
            let span = words.first().map_or(0, |word| word.span.start)..end;
            Err(unknown(&texts.join(" "), span, known, context.columns))
        }
    }
}

/// The columns a quantity is made of.
fn columns(quantity: Quantity) -> BTreeSet<ColumnRef> {
    let of_table = |ids: &[ColumnId]| ids.iter().copied().map(ColumnRef::from).collect();
    match quantity {
        Quantity::Column(column) | Quantity::Net(column) => [column].into(),
        Quantity::Measure(measure) => of_table(measure.columns()),
        Quantity::Dscp(id) | Quantity::Ecn(id) | Quantity::Acl(id) => of_table(&[id]),
        Quantity::Label(_) => of_table(&[ColumnId::MplsLabels]),
        Quantity::Country(addr) => of_table(&[addr]),
        Quantity::Ident => BTreeSet::new(),
        Quantity::Name(name) => {
            NAME_COLUMNS.get(name).map(|name| of_table(&name.columns())).unwrap_or_default()
        }
    }
}

fn unknown(noun: &str, span: Span, known: &BTreeSet<ColumnRef>, columns: &Columns) -> FilterError {
    let word = |column: &ColumnRef| match (column.table(), columns.definition(*column)) {
        (Some(column), _) => column.filter.first().map_or(column.name, |phrase| phrase).to_owned(),
        (None, Some(definition)) => definition.name.clone(),
        (None, None) => column.to_string(),
    };
    let words: Vec<String> =
        known.iter().map(word).chain(["duration", "bps", "pps", "bpp"].map(String::from)).collect();
    FilterError::new(format!("the rows that `-P` filters have no `{noun}`"), span)
        .hint(format!("they have {}", words.join(", ")))
}
