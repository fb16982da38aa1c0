//! A predicate over a batch, column by column, as bitmaps. Can't fail.
//!
//! Every step looks only at the rows still undecided: `and` narrows them by what
//! matched so far, `or` by what did not. Where a column comes as ids of a dictionary, its
//! values are tested once and rows look the verdict up.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::Array;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use flow_common::addr::Addr16;
use flow_common::column::ColumnId;

use super::ast::Comparator;
use super::predicate::{LabelPart, Measure, Predicate, Test};
use super::set::IntSet;
use crate::batch::{Batch, Cells};
use crate::flow::{Counters, Times, is_icmp};
use crate::names::{NameCells, Named, Names};
use crate::places::{Places, told_or};
use crate::values::{Dictionary, Values};

/// A predicate made ready for the batches of one row group: what a test says of a
/// dictionary's values is kept from batch to batch.
#[derive(Debug)]
pub(crate) struct Filter {
    predicate: Arc<Predicate>,
    /// By the address of a test, which the predicate keeps in its place.
    verdicts: HashMap<usize, Verdict>,
}

/// Which values of a dictionary pass a test; what it says of NULL is at the end.
#[derive(Debug)]
struct Verdict {
    dictionary: u64,
    passes: Vec<bool>,
    /// The only value that passes, if it is one.
    only: Option<u32>,
}

impl Verdict {
    fn new(dictionary: &Dictionary, test: &Test) -> Self {
        let mut passes: Vec<bool> = match &dictionary.values {
            Values::Ints(values) => values.iter().map(|&value| holds_int(test, value)).collect(),
            Values::Fixed(values) => values.iter().map(|&value| holds_fixed(test, value)).collect(),
            Values::Bytes(values) => values.iter().map(|value| holds_bytes(test, value)).collect(),
        };
        passes.push(matches!(test, Test::Present { is_present: false, .. }));
        let mut passing = passes.iter().zip(0..).filter(|(passes, _)| **passes).map(|(_, id)| id);
        let only = passing.next().filter(|_| passing.next().is_none());
        Self { dictionary: dictionary.id, passes, only }
    }
}

impl Filter {
    pub(crate) fn new(predicate: Arc<Predicate>) -> Self {
        Self { predicate, verdicts: HashMap::new() }
    }

    /// What a test says of every row whose values are those of `dictionary`, where that is the
    /// same.
    pub(crate) fn verdict(&mut self, test: &Test, dictionary: &Dictionary, has_nulls: bool) -> Option<bool> {
        let passes = &self.known(test, dictionary).passes;
        let passes = &passes[..passes.len() - usize::from(!has_nulls)];
        let first = *passes.first()?;
        passes.iter().all(|&one| one == first).then_some(first)
    }

    /// Asks less from now on: the rest is known.
    pub(crate) fn narrow(&mut self, predicate: Predicate) {
        self.verdicts.clear();
        self.predicate = Arc::new(predicate);
    }

    /// What is asked.
    pub(crate) fn predicate(&self) -> &Arc<Predicate> {
        &self.predicate
    }

    /// What a test says of each value.
    fn known(&mut self, test: &Test, dictionary: &Dictionary) -> &Verdict {
        let verdict = self
            .verdicts
            .entry(std::ptr::from_ref(test).addr())
            .or_insert_with(|| Verdict::new(dictionary, test));
        if verdict.dictionary != dictionary.id {
            *verdict = Verdict::new(dictionary, test);
        }
        verdict
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
            Test::Measure { measure, values } => {
                let get = measured(*measure, batch);
                collect(rows, |row| get(row).is_some_and(|found| values.contains(found)))
            }
            Test::Between { column, low, high } => {
                let [column, low, high] = [*column, *low, *high].map(|id| batch.cells(id));
                let is_between = |row| Some((low.int(row)?..=high.int(row)?).contains(&column.int(row)?));
                collect(rows, |row| is_between(row).unwrap_or(false))
            }
            Test::Named { name, named } => named_rows(*name, named, batch, rows),
            Test::Origin { number, addr, values, places } => {
                origin_rows((*number, *addr), values, places, batch, rows)
            }
            Test::Within { start, last } => within_times(batch, *start, *last, rows),
            _ => {
                let Some(column) = test.column() else { return BooleanBuffer::new_unset(rows.len()) };
                let cells = batch.cells(column);
                match cells.dictionary() {
                    Some((dictionary, ids)) => {
                        let Verdict { passes, only, .. } = self.known(test, dictionary);
                        match *only {
                            Some(only) => collect(rows, |row| ids[row] == only),
                            None => collect(rows, |row| passes[ids[row] as usize]),
                        }
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
        Test::IntIn { values, .. } => values.contains(found),
        Test::Bits { mask, value, is_equal, .. } => (found & mask == *value) == *is_equal,
        Test::Present { is_present, .. } => *is_present,
        _ => false,
    }
}

/// As [`holds_int`], of octets of a fixed width.
fn holds_fixed(test: &Test, found: u128) -> bool {
    match test {
        Test::Address { nets, is_inside, .. } => nets.contains(found) == *is_inside,
        Test::Mac { macs, .. } => i64::try_from(found).is_ok_and(|mac| macs.contains(mac)),
        Test::Country { countries, is_inside, places, .. } => {
            let country = places.country(Addr16(found.to_be_bytes()));
            country.is_some_and(|country| countries.contains(&country) == *is_inside)
        }
        Test::Present { is_present, .. } => *is_present,
        _ => false,
    }
}

/// As [`holds_int`], of a text or octets.
fn holds_bytes(test: &Test, found: &[u8]) -> bool {
    match test {
        Test::Bytes { comparator, values, .. } => is_among(*comparator, values, found),
        Test::Acl { ids, is_inside, .. } => {
            // Three of them, of four octets each.
            let mut found = found.as_chunks().0.iter().map(|id| i64::from(u32::from_be_bytes(*id)));
            found.any(|id| ids.contains(id)) == *is_inside
        }
        Test::Present { is_present, .. } => *is_present,
        _ => false,
    }
}

/// Whether octets are one of `values` or none of them; of others compares with the first.
pub(super) fn is_among(comparator: Comparator, values: &BTreeSet<Vec<u8>>, found: &[u8]) -> bool {
    match comparator {
        Comparator::Eq => values.contains(found),
        Comparator::Ne => !values.contains(found),
        _ => values.first().is_some_and(|value| comparator.holds(found, value.as_slice())),
    }
}

/// Rows of `rows` whose own value passes.
fn of_values(test: &Test, cells: Cells<'_>, rows: &BooleanBuffer) -> BooleanBuffer {
    match test {
        Test::Int { comparator, value, .. } => compare_ints(cells, *comparator, *value, rows),
        Test::Float { comparator, value, .. } => {
            collect(rows, |row| cells.float(row).is_some_and(|found| comparator.holds(found, *value)))
        }
        Test::Address { .. } | Test::Country { .. } => collect(rows, |row| {
            cells.octets::<16>(row).is_some_and(|addr| holds_fixed(test, u128::from_be_bytes(addr)))
        }),
        Test::Mac { .. } => collect(rows, |row| {
            let mac = cells.octets::<6>(row).map(|[a, b, c, d, e, f]| [0, 0, a, b, c, d, e, f]);
            mac.is_some_and(|mac| holds_fixed(test, u64::from_be_bytes(mac).into()))
        }),
        Test::Bytes { is_text: true, .. } => {
            collect(rows, |row| cells.text(row).is_some_and(|text| holds_bytes(test, text.as_bytes())))
        }
        Test::Bytes { .. } | Test::Acl { .. } => {
            collect(rows, |row| cells.binary(row).is_some_and(|octets| holds_bytes(test, octets)))
        }
        Test::Label { part, values } => collect(rows, |row| holds_labels(*part, values, cells, row)),
        Test::Present { is_present, .. } => present(cells, *is_present, rows),
        _ => ints(cells, rows, |found| holds_int(test, found)),
    }
}

/// Rows whose autonomous system is one of `values`: the one the exporter told, where that is
/// more than 0, else that of the address. Each address is looked up once.
fn origin_rows(
    (number, addr): (ColumnId, ColumnId),
    values: &IntSet,
    places: &Places,
    batch: &Batch,
    rows: &BooleanBuffer,
) -> BooleanBuffer {
    let (numbers, addrs) = (batch.cells(number), batch.cells(addr));
    let known = RefCell::new(HashMap::<[u8; 16], Option<i64>>::new());
    collect(rows, |row| {
        let told = numbers.int(row);
        let looked_up = || {
            let addr = addrs.octets(row)?;
            let origin = || places.origin(Addr16(addr)).map(|origin| i64::from(origin.number));
            *known.borrow_mut().entry(addr).or_insert_with(origin)
        };
        told_or(told, looked_up).is_some_and(|as_number| values.contains(as_number))
    })
}

/// Whether a label stack passes. An entry is the label, three bits of traffic class and
/// one that marks the bottom (RFC 3032 §2.1).
fn holds_labels(part: LabelPart, values: &IntSet, cells: Cells<'_>, row: usize) -> bool {
    let Some(mut entries) = cells.labels(row) else { return false };
    let label = |entry: i32| i64::from(entry >> 4);
    let entry = |index: usize| index.checked_sub(1);
    match part {
        LabelPart::Any => entries.any(|entry| values.contains(label(entry))),
        LabelPart::Bottom => entries.find(|entry| entry & 1 == 1).is_some_and(|e| values.contains(label(e))),
        LabelPart::Label(index) => {
            entry(index).and_then(|index| entries.nth(index)).is_some_and(|e| values.contains(label(e)))
        }
        LabelPart::Exp(index) => {
            let found = entry(index).and_then(|index| entries.nth(index));
            found.is_some_and(|entry| values.contains(i64::from(entry >> 1 & 7)))
        }
    }
}

/// Rows of `rows` that have a value, or none.
fn present(cells: Cells<'_>, is_present: bool, rows: &BooleanBuffer) -> BooleanBuffer {
    let by = |is_valid: &dyn Fn(usize) -> bool| collect(rows, |row| is_valid(row) == is_present);
    match cells {
        Cells::Absent => by(&|_| false),
        Cells::Ints { nulls, .. } | Cells::Fixed { nulls, .. } | Cells::Bytes { nulls, .. } => {
            by(&|row| nulls.is_none_or(|nulls| !nulls[row]))
        }
        Cells::IntIds { dictionary, ids, .. }
        | Cells::FixedIds { dictionary, ids, .. }
        | Cells::ByteIds { dictionary, ids, .. } => by(&|row| (ids[row] as usize) < dictionary.values.len()),
        Cells::Int32(array) => by(&|row| array.is_valid(row)),
        Cells::Int64(array) => by(&|row| array.is_valid(row)),
        Cells::Time(array) => by(&|row| array.is_valid(row)),
        Cells::FixedArray(array) => by(&|row| array.is_valid(row)),
        Cells::Text(array) => by(&|row| array.is_valid(row)),
        Cells::Binary(array) => by(&|row| array.is_valid(row)),
        Cells::Float(array) => by(&|row| array.is_valid(row)),
        Cells::Boolean(array) => by(&|row| array.is_valid(row)),
        Cells::List(array) => by(&|row| array.is_valid(row)),
        Cells::Map(array) => by(&|row| array.is_valid(row)),
    }
}

/// Rows whose number has a name that is asked for.
fn named_rows(name: usize, named: &[Named], batch: &Batch, rows: &BooleanBuffer) -> BooleanBuffer {
    let names = Names::default();
    let cells = NameCells::new(&names, batch);
    collect(rows, |row| cells.is_named(name, row, named))
}

/// Flows that began at `start` or later and ended at `last` or before.
fn within_times(batch: &Batch, start: i64, last: i64, rows: &BooleanBuffer) -> BooleanBuffer {
    let [from, to] = [ColumnId::FlowStart, ColumnId::FlowEnd].map(|id| numbers(batch.cells(id)));
    if let (Some(from), Some(to)) = (from, to) {
        return collect(rows, |row| from[row] >= start && to[row] <= last);
    }
    let times = Times::new(batch);
    collect(rows, |row| {
        times.first(row).is_some_and(|first| first >= start) && times.last(row).is_some_and(|end| end <= last)
    })
}

/// The numbers of a column none of which is NULL.
fn numbers(cells: Cells<'_>) -> Option<Cow<'_, [i64]>> {
    match cells {
        Cells::Ints { values, nulls: None } => Some(values.into()),
        Cells::IntIds { values, ids, .. } => ids.iter().map(|&id| values.get(id as usize).copied()).collect(),
        _ => None,
    }
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
                let over_ms = batch.over_ms(row);
                let rate = match measure {
                    Measure::Bps => Counters { bytes: count, over_ms, ..span }.bps(),
                    Measure::Pps => Counters { packets: count, over_ms, ..span }.pps(),
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
