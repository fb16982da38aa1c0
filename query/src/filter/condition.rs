//! What is asked of a quantity: a comparator and one value, or a list.

use std::collections::BTreeSet;

use super::ast::{Comparator, Span, Word};
use super::diagnostic::FilterError;
use super::number::Numbers;
use super::predicate::{Predicate, Test};
use super::set::IntSet;
use crate::columns::ColumnRef;

/// A comparator and its values; those of a list are an alternative to each other.
#[derive(Debug, Clone)]
pub(super) struct Condition<'a> {
    pub(super) noun: &'a str,
    /// `None` where no comparator was written; `=` or `!=` before a list.
    pub(super) written: Option<Comparator>,
    /// One, but in a list.
    pub(super) values: Vec<&'a Word>,
    pub(super) is_list: bool,
    /// The comparator, or what is before the value.
    pub(super) span: Span,
}

impl<'a> Condition<'a> {
    pub(super) fn one(noun: &'a str, written: Option<Comparator>, value: &'a Word, span: Span) -> Self {
        Self { noun, written, values: vec![value], is_list: false, span }
    }

    pub(super) fn list(noun: &'a str, values: &'a [Word], is_inside: bool, span: Span) -> Self {
        let written = (!is_inside).then_some(Comparator::Ne);
        Self { noun, written, values: values.iter().collect(), is_list: true, span }
    }

    pub(super) fn comparator(&self) -> Comparator {
        self.written.unwrap_or(Comparator::Eq)
    }

    /// The same with `=`.
    pub(super) fn positive(&self) -> Self {
        Self { written: None, ..self.clone() }
    }

    /// Whether it is `=`; an error where it is not `!=` either.
    pub(super) fn equality(&self, of: &str) -> Result<bool, FilterError> {
        match self.comparator() {
            Comparator::Eq => Ok(true),
            Comparator::Ne => Ok(false),
            other => {
                let message = format!("`{of}` has no order, so `{}` does not apply", other.symbol());
                Err(FilterError::new(message, self.span.clone()).hint("use `=`, `!=` or `in [ \u{2026} ]`"))
            }
        }
    }

    /// The numbers it holds for.
    pub(super) fn set(
        &self,
        range: impl Fn(&Word) -> Result<(i64, i64), FilterError>,
    ) -> Result<IntSet, FilterError> {
        let ranges = self.values.iter().map(|word| range(word)).collect::<Result<Vec<_>, _>>()?;
        Ok(match (self.comparator(), ranges.as_slice()) {
            (Comparator::Ne, _) => ranges.into_iter().collect::<IntSet>().complement(),
            (Comparator::Eq, _) => ranges.into_iter().collect(),
            (comparator, [range, ..]) => IntSet::of(comparator, *range),
            (_, []) => IntSet::default(),
        })
    }

    /// The numbers it holds for.
    pub(super) fn numbers(&self, numbers: &Numbers) -> Result<IntSet, FilterError> {
        self.set(|word| numbers.range(self.noun, word))
    }

    /// A test of text or octets.
    pub(super) fn bytes(
        &self,
        column: ColumnRef,
        is_text: bool,
        of: impl Fn(&Word) -> Result<Vec<u8>, FilterError>,
    ) -> Result<Predicate, FilterError> {
        let values = self.values.iter().map(|word| of(word)).collect::<Result<BTreeSet<_>, _>>()?;
        Ok(Test::Bytes { column, comparator: self.comparator(), values, is_text }.into())
    }
}
