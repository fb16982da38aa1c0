//! Names exporters told of their numbers: to the numbers, exporter by exporter.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow_common::column::ColumnId;
use flow_common::tables::NameKind;

use super::ast::Comparator;
use super::condition::Condition;
use super::diagnostic::FilterError;
use super::evaluate::is_among;
use super::predicate::{Predicate, Test};
use super::resolve::Context;
use super::set::IntSet;
use crate::message::nearest;
use crate::names::{NAME_COLUMNS, Named};

/// Whether a name is known.
pub(super) fn present(name: usize, context: &mut Context<'_>) -> Predicate {
    let own = Test::Present { column: ColumnId::ApplicationName.into(), is_present: true };
    told(name, own, &|_| true, context)
}

/// A condition of a name.
pub(super) fn resolve(
    name: usize,
    condition: &Condition<'_>,
    context: &mut Context<'_>,
) -> Result<Predicate, FilterError> {
    let comparator = condition.comparator();
    let values: BTreeSet<Vec<u8>> =
        condition.values.iter().map(|word| word.text.clone().into_bytes()).collect();
    let own = Test::Bytes {
        column: ColumnId::ApplicationName.into(),
        comparator,
        values: values.clone(),
        is_text: true,
    };
    if comparator == Comparator::Eq {
        note_unknown(name, condition, context);
    }
    Ok(told(name, own, &|text| is_among(comparator, &values, text.as_bytes()), context))
}

/// Flows whose number has a name that passes `is_asked`. The name of an application comes
/// first from the flow itself, which `own` tests.
fn told(name: usize, own: Test, is_asked: &dyn Fn(&str) -> bool, context: &mut Context<'_>) -> Predicate {
    let Some(column) = NAME_COLUMNS.get(name) else { return Predicate::Constant(false) };
    let trees = context.surroundings.names();
    let named: Vec<Named> = trees.iter().map(|names| names.named(column.kind, is_asked)).collect();
    let values: IntSet = named.iter().flat_map(Named::ids).map(|id| (id, id)).collect();
    let is_none = values.is_empty();
    let known = Predicate::Test(Test::Named { name, named: Arc::new(named) });
    let known = match column.kind {
        // Statistics and dictionaries know nothing of what lies in `other`.
        _ if is_none => Predicate::Constant(false),
        NameKind::Sampler => known,
        _ => Predicate::And(vec![Test::IntIn { column: column.number.into(), values }.into(), known]),
    };
    if column.kind != NameKind::Application {
        return known;
    }
    let is_silent = Test::Present { column: ColumnId::ApplicationName.into(), is_present: false };
    match known {
        Predicate::Constant(false) => own.into(),
        known => Predicate::Or(vec![own.into(), Predicate::And(vec![is_silent.into(), known])]),
    }
}

/// Says which names no exporter told.
fn note_unknown(name: usize, condition: &Condition<'_>, context: &mut Context<'_>) {
    let Some(column) = NAME_COLUMNS.get(name) else { return };
    let trees = context.surroundings.names();
    let mut known: Vec<&str> = trees.iter().flat_map(|names| names.of_kind(column.kind)).collect();
    // Flows may carry the names of applications, and nothing is said of files with none.
    if column.kind == NameKind::Application && known.is_empty() {
        return;
    }
    known.sort_unstable();
    known.dedup();
    for word in &condition.values {
        if known.binary_search(&word.text.as_str()).is_ok() {
            continue;
        }
        let meant = nearest(&word.text.to_ascii_lowercase(), known.iter().copied());
        let hint = match meant {
            Some(meant) => format!("; did you mean `{} \"{meant}\"`?", condition.noun),
            None if known.is_empty() => "; none told any".to_owned(),
            None => {
                let some: Vec<_> = known.iter().take(6).map(|name| format!("`{name}`")).collect();
                format!("; they told {}", some.join(", "))
            }
        };
        let what = column.kind.word();
        context.notes.push(format!("no exporter of these files told of {what} `{}`{hint}", word.text));
    }
}
