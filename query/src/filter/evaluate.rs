//! A predicate over a batch, column by column, as bitmaps. Can't fail.
//!
//! Every step looks only at the rows still undecided: `and` narrows them by what
//! matched so far, `or` by what did not. Where a column comes as ids of a dictionary, its
//! values are tested once and rows look the verdict up.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use flow_common::column::ColumnId;

use super::ast::Comparator;
use super::predicate::{FlagsMatch, Measure, Predicate, Test};
use crate::batch::{Batch, Cells};
use crate::columns::ColumnRef;
use crate::flow::{Counters, Times, is_icmp};
use crate::values::{Dictionary, Values};

/// A predicate made ready for the batches of one row group: what a test says of a
/// dictionary's values is kept from batch to batch.
#[derive(Debug)]
pub(crate) struct Filter {
    predicate: Arc<Predicate>,
    /// By the address of a test, which the predicate keeps in its place.
    verdicts: HashMap<usize, Verdict>,
}

/// Which values of a dictionary pass a test; NULL, at the end, never does.
#[derive(Debug)]
struct Verdict {
    dictionary: u64,
    passes: Vec<bool>,
}

impl Verdict {
    fn new(dictionary: &Dictionary, test: &Test) -> Self {
        let mut passes: Vec<bool> = match &dictionary.values {
            Values::Ints(values) => values.iter().map(|&value| holds_int(test, value)).collect(),
            Values::Fixed(values) => values.iter().map(|&value| holds_fixed(test, value)).collect(),
            Values::Bytes(values) => values.iter().map(|value| holds_bytes(test, value)).collect(),
        };
        passes.push(false);
        Self { dictionary: dictionary.id, passes }
    }
}

/// What is known of a predicate before any row is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    Never,
    Maybe,
}

impl Filter {
    pub(crate) fn new(predicate: Arc<Predicate>) -> Self {
        Self { predicate, verdicts: HashMap::new() }
    }

    /// Whether rows may match whose values are those of `dictionaries`: where a column
    /// has none, or not all its values in one, anything is possible.
    pub(crate) fn outlook<'a>(
        &mut self,
        dictionaries: impl Fn(ColumnRef) -> Option<&'a Arc<Dictionary>>,
    ) -> Outlook {
        let predicate = Arc::clone(&self.predicate);
        self.foresee(&predicate, &dictionaries)
    }

    fn foresee<'a>(
        &mut self,
        predicate: &Predicate,
        dictionaries: &impl Fn(ColumnRef) -> Option<&'a Arc<Dictionary>>,
    ) -> Outlook {
        let possible = |is_possible| if is_possible { Outlook::Maybe } else { Outlook::Never };
        match predicate {
            Predicate::Constant(value) => possible(*value),
            Predicate::Not(_) => Outlook::Maybe,
            Predicate::And(all) => {
                possible(all.iter().all(|one| self.foresee(one, dictionaries) == Outlook::Maybe))
            }
            Predicate::Or(all) => {
                possible(all.iter().any(|one| self.foresee(one, dictionaries) == Outlook::Maybe))
            }
            Predicate::Test(test) => match test.column().and_then(dictionaries) {
                Some(dictionary) => possible(self.passes(test, dictionary).contains(&true)),
                None => Outlook::Maybe,
            },
        }
    }

    fn passes(&mut self, test: &Test, dictionary: &Dictionary) -> &[bool] {
        let verdict = self
            .verdicts
            .entry(std::ptr::from_ref(test).addr())
            .or_insert_with(|| Verdict::new(dictionary, test));
        if verdict.dictionary != dictionary.id {
            *verdict = Verdict::new(dictionary, test);
        }
        &verdict.passes
    }

    /// The rows of `batch` that match.
    pub(crate) fn select(&mut self, batch: &Batch) -> BooleanBuffer {
        let predicate = Arc::clone(&self.predicate);
        self.within(&predicate, batch, &BooleanBuffer::new_set(batch.rows()))
    }

    /// The rows of `rows` for which `predicate` holds.
    fn within(&mut self, predicate: &Predicate, batch: &Batch, rows: &BooleanBuffer) -> BooleanBuffer {
        if rows.count_set_bits() == 0 {
            return rows.clone();
        }
        match predicate {
            Predicate::Constant(true) => rows.clone(),
            Predicate::Constant(false) => BooleanBuffer::new_unset(rows.len()),
            Predicate::Not(inner) => rows & &!&self.within(inner, batch, rows),
            Predicate::And(all) => all.iter().fold(rows.clone(), |left, one| self.within(one, batch, &left)),
            Predicate::Or(all) => {
                let (mut found, mut open) = (BooleanBuffer::new_unset(rows.len()), rows.clone());
                for one in all {
                    let matched = self.within(one, batch, &open);
                    open = &open & &!&matched;
                    found = &found | &matched;
                }
                found
            }
            Predicate::Test(test) => self.run(test, batch, rows),
        }
    }

    fn run(&mut self, test: &Test, batch: &Batch, rows: &BooleanBuffer) -> BooleanBuffer {
        match test {
            Test::Measure { measure, comparator, value } => {
                let get = measured(*measure, batch);
                collect(rows, |row| get(row).is_some_and(|found| comparator.holds(found, *value)))
            }
            Test::Within { start, last } => within_times(batch, *start, *last, rows),
            _ => {
                let Some(column) = test.column() else { return BooleanBuffer::new_unset(rows.len()) };
                let cells = batch.cells(column);
                match cells.dictionary() {
                    Some((dictionary, ids)) => {
                        let passes = self.passes(test, dictionary);
                        collect(rows, |row| passes[ids[row] as usize])
                    }
                    None => of_values(test, cells, rows),
                }
            }
        }
    }
}

/// Whether a number passes; what asks for another kind of value does not hold.
fn holds_int(test: &Test, found: i64) -> bool {
    match test {
        Test::Int { comparator, value, .. } => comparator.holds(found, *value),
        Test::IntIn { values, .. } => values.contains(&found),
        Test::Flags { how, flags, .. } => holds_flags(*how, i64::from(flags.0), found),
        _ => false,
    }
}

fn holds_flags(how: FlagsMatch, wanted: i64, found: i64) -> bool {
    match how {
        FlagsMatch::AllOf => found & wanted == wanted,
        FlagsMatch::Exactly => found & 0xff == wanted,
        FlagsMatch::Otherwise => found & 0xff != wanted,
    }
}

/// As [`holds_int`], of octets of a fixed width.
fn holds_fixed(test: &Test, found: u128) -> bool {
    match test {
        Test::Address { nets, is_inside, .. } => {
            nets.iter().any(|net| net.contains(found.to_be_bytes())) == *is_inside
        }
        Test::Mac { mac, is_equal, .. } => (found.to_be_bytes().last_chunk() == Some(&mac.0)) == *is_equal,
        _ => false,
    }
}

/// As [`holds_int`], of a text or octets.
fn holds_bytes(test: &Test, found: &[u8]) -> bool {
    match test {
        Test::Text { text, is_equal, .. } => (found == text.as_bytes()) == *is_equal,
        Test::Octets { octets, is_equal, .. } => (found == octets) == *is_equal,
        _ => false,
    }
}

/// Rows of `rows` whose own value passes.
fn of_values(test: &Test, cells: Cells<'_>, rows: &BooleanBuffer) -> BooleanBuffer {
    match test {
        Test::Int { comparator, value, .. } => compare_ints(cells, *comparator, *value, rows),
        Test::Float { comparator, value, .. } => {
            collect(rows, |row| cells.float(row).is_some_and(|found| comparator.holds(found, *value)))
        }
        Test::Address { .. } => collect(rows, |row| {
            cells.octets::<16>(row).is_some_and(|addr| holds_fixed(test, u128::from_be_bytes(addr)))
        }),
        Test::Mac { mac, is_equal, .. } => {
            collect(rows, |row| cells.octets::<6>(row).is_some_and(|octets| (octets == mac.0) == *is_equal))
        }
        Test::Text { .. } => {
            collect(rows, |row| cells.text(row).is_some_and(|text| holds_bytes(test, text.as_bytes())))
        }
        Test::Octets { .. } => {
            collect(rows, |row| cells.binary(row).is_some_and(|octets| holds_bytes(test, octets)))
        }
        _ => ints(cells, rows, |found| holds_int(test, found)),
    }
}

/// Flows that began at `start` or later and ended at `last` or before.
fn within_times(batch: &Batch, start: i64, last: i64, rows: &BooleanBuffer) -> BooleanBuffer {
    let (from, to) = (batch.cells(ColumnId::FlowStart), batch.cells(ColumnId::FlowEnd));
    if let (Cells::Ints { values: from, nulls: None }, Cells::Ints { values: to, nulls: None }) = (from, to) {
        return collect(rows, |row| from[row] >= start && to[row] <= last);
    }
    let times = Times::new(batch);
    collect(rows, |row| {
        times.first(row).is_some_and(|first| first >= start) && times.last(row).is_some_and(|end| end <= last)
    })
}

/// Rows of `rows` for which `holds`. Few rows are visited one by one, many as a
/// whole bitmap.
fn collect(rows: &BooleanBuffer, holds: impl Fn(usize) -> bool) -> BooleanBuffer {
    const SPARSE: usize = 16;
    if rows.count_set_bits() * SPARSE < rows.len() {
        let mut builder = BooleanBufferBuilder::new(rows.len());
        builder.append_n(rows.len(), false);
        rows.set_indices().filter(|&row| holds(row)).for_each(|row| builder.set_bit(row, true));
        return builder.finish();
    }
    rows & &BooleanBuffer::collect_bool(rows.len(), holds)
}

/// The comparator is chosen once, so that each loop is one the compiler can vectorise.
fn compare_ints(cells: Cells<'_>, comparator: Comparator, value: i64, rows: &BooleanBuffer) -> BooleanBuffer {
    match comparator {
        Comparator::Eq => ints(cells, rows, |found| found == value),
        Comparator::Ne => ints(cells, rows, |found| found != value),
        Comparator::Lt => ints(cells, rows, |found| found < value),
        Comparator::Le => ints(cells, rows, |found| found <= value),
        Comparator::Gt => ints(cells, rows, |found| found > value),
        Comparator::Ge => ints(cells, rows, |found| found >= value),
    }
}

fn ints(cells: Cells<'_>, rows: &BooleanBuffer, holds: impl Fn(i64) -> bool) -> BooleanBuffer {
    match cells {
        Cells::Ints { values, nulls: None } => collect(rows, |row| holds(values[row])),
        Cells::Ints { values, nulls: Some(nulls) } => collect(rows, |row| !nulls[row] && holds(values[row])),
        Cells::Absent => BooleanBuffer::new_unset(rows.len()),
        _ => collect(rows, |row| cells.int(row).is_some_and(&holds)),
    }
}

/// What computes `measure` for a row; `None` where a column it needs is NULL.
fn measured<'a>(measure: Measure, batch: &'a Batch) -> Box<dyn Fn(usize) -> Option<i64> + 'a> {
    let cells = |id: ColumnId| batch.cells(id);
    match measure {
        Measure::IcmpType => icmp(batch, ColumnId::IcmpType, 8),
        Measure::IcmpCode => icmp(batch, ColumnId::IcmpCode, 0),
        Measure::Bpp => {
            let (bytes, packets) = (cells(ColumnId::Bytes), cells(ColumnId::Packets));
            Box::new(move |row| {
                let (bytes, packets) = (bytes.int(row)?, packets.int(row)?);
                Some(bytes.checked_div(packets).unwrap_or(0))
            })
        }
        Measure::DurationMs | Measure::Bps | Measure::Pps => {
            let (start, end) = (cells(ColumnId::FlowStart), cells(ColumnId::FlowEnd));
            let counted = match measure {
                Measure::Bps => cells(ColumnId::Bytes),
                Measure::Pps => cells(ColumnId::Packets),
                _ => start,
            };
            Box::new(move |row| {
                let count = u64::try_from(counted.int(row)?).unwrap_or(0);
                let span = Counters {
                    first: Some(start.int(row)?),
                    last: Some(end.int(row)?),
                    ..Counters::default()
                };
                let rate = match measure {
                    Measure::Bps => Counters { bytes: count, ..span }.bps(),
                    Measure::Pps => Counters { packets: count, ..span }.pps(),
                    _ => span.duration_ms(),
                };
                Some(i64::try_from(rate).unwrap_or(i64::MAX))
            })
        }
    }
}

/// A column of ICMP, else the octet of the destination port where it was sent there.
fn icmp<'a>(batch: &'a Batch, column: ColumnId, shift: u32) -> Box<dyn Fn(usize) -> Option<i64> + 'a> {
    let (own, port) = (batch.cells(column), batch.cells(ColumnId::DstPort));
    let protocol = batch.cells(ColumnId::Protocol);
    Box::new(move |row| {
        own.int(row).or_else(|| {
            let in_port = || port.int(row).map(|port| port >> shift & 0xff);
            is_icmp(protocol.int(row)).then(in_port)?
        })
    })
}
