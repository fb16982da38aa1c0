//! The counters of a batch, column by column, with the fallbacks of `flow`: what is summed
//! up row after row, without a row ever being one.

use flow_common::column::ColumnId;

use crate::batch::{Batch, Cells};
use crate::flow::{Counters, Times};

/// Which counters are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) packets: bool,
    pub(crate) bytes: bool,
    pub(crate) times: bool,
    /// Packets and octets of the other direction.
    pub(crate) out: bool,
}

impl Wanted {
    pub(crate) const ALL: Self = Self { packets: true, bytes: true, times: true, out: false };
}

/// Time of a group without any: later than all others, or earlier.
pub(crate) const NO_FIRST: i64 = i64::MAX;
/// See [`NO_FIRST`].
pub(crate) const NO_LAST: i64 = i64::MIN;

/// One number a row; where a counter is not wanted it is empty.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) rows: usize,
    /// Empty where every row is one flow.
    pub(crate) flows: Vec<u64>,
    pub(crate) packets: Vec<u64>,
    pub(crate) bytes: Vec<u64>,
    pub(crate) out_packets: Vec<u64>,
    pub(crate) out_bytes: Vec<u64>,
    pub(crate) first: Vec<i64>,
    pub(crate) last: Vec<i64>,
    /// Rows that are events and no flows; empty where none is.
    pub(crate) events: Vec<bool>,
}

impl Counts {
    /// Reads the counters of `batch`, into the memory of the batch before. Those of events
    /// are 0, and they are no flow.
    pub(crate) fn read(&mut self, batch: &Batch, wanted: Wanted) {
        self.rows = batch.rows();
        let Self { flows, packets, bytes, out_packets, out_bytes, first, last, events, .. } = self;
        [&mut *flows, packets, bytes, out_packets, out_bytes].into_iter().for_each(Vec::clear);
        [&mut *first, last].into_iter().for_each(Vec::clear);
        events.clear();
        let contributes = batch.cells(ColumnId::Contributes);
        if !matches!(contributes, Cells::Absent) {
            events.extend((0..batch.rows()).map(|row| contributes.int(row) == Some(0)));
            if !events.contains(&true) {
                events.clear();
            }
        }
        let count = batch.cells(ColumnId::FlowCount);
        if !matches!(count, Cells::Absent) || !events.is_empty() {
            numbers(count, 1, batch.rows(), flows);
        }
        if wanted.packets {
            numbers(batch.cells(ColumnId::Packets), 0, batch.rows(), packets);
        }
        if wanted.bytes {
            numbers(batch.cells(ColumnId::Bytes), 0, batch.rows(), bytes);
        }
        if wanted.out {
            numbers(batch.cells(ColumnId::OutPackets), 0, batch.rows(), out_packets);
            numbers(batch.cells(ColumnId::OutBytes), 0, batch.rows(), out_bytes);
        }
        if wanted.times {
            times(batch, first, last);
        }
        for numbers in [flows, packets, bytes, out_packets, out_bytes] {
            numbers.iter_mut().zip(&*events).filter(|(_, is_event)| **is_event).for_each(|(n, _)| *n = 0);
        }
    }

    pub(crate) fn flows(&self, row: usize) -> u64 {
        self.flows.get(row).copied().unwrap_or(1)
    }

    pub(crate) fn is_event(&self, row: usize) -> bool {
        self.events.get(row).copied().unwrap_or(false)
    }

    /// The sum of all rows; events add no time.
    pub(crate) fn total(&self) -> Counters {
        let sum = |numbers: &[u64]| numbers.iter().fold(0, |sum: u64, &n| sum.saturating_add(n));
        let flows = if self.flows.is_empty() { self.rows as u64 } else { sum(&self.flows) };
        let events = self.events.iter().filter(|&&is_event| is_event).count() as u64;
        let (first, last) = if self.events.is_empty() {
            (self.first.iter().copied().min(), self.last.iter().copied().max())
        } else {
            let flows_only = |(time, is_event): (&i64, &bool)| (!is_event).then_some(*time);
            (
                self.first.iter().zip(&self.events).filter_map(flows_only).min(),
                self.last.iter().zip(&self.events).filter_map(flows_only).max(),
            )
        };
        let has_times =
            first.is_some_and(|first| first != NO_FIRST) || last.is_some_and(|last| last != NO_LAST);
        Counters {
            flows,
            packets: sum(&self.packets),
            bytes: sum(&self.bytes),
            out_packets: sum(&self.out_packets),
            out_bytes: sum(&self.out_bytes),
            events,
            first: first.filter(|_| has_times),
            last: last.filter(|_| has_times),
            over_ms: 0,
        }
    }
}

/// The numbers of a counter; `absent` where there is none.
fn numbers(cells: Cells<'_>, absent: u64, rows: usize, into: &mut Vec<u64>) {
    let known = |value: i64| u64::try_from(value).unwrap_or(absent);
    match cells {
        Cells::Absent => into.resize(rows, absent),
        Cells::Ints { values, nulls: None } => into.extend(values.iter().map(|&value| known(value))),
        Cells::IntIds { values, ids, .. } => {
            into.extend(ids.iter().map(|&id| values.get(id as usize).map_or(absent, |&value| known(value))));
        }
        _ => into.extend((0..rows).map(|row| cells.int(row).map_or(absent, known))),
    }
}

fn times(batch: &Batch, first: &mut Vec<i64>, last: &mut Vec<i64>) {
    let rows = batch.rows();
    let times = Times::new(batch);
    for (column, into) in [(ColumnId::FlowStart, &mut *first), (ColumnId::FlowEnd, &mut *last)] {
        match batch.cells(column) {
            Cells::Ints { values, nulls: None } => into.extend_from_slice(values),
            Cells::IntIds { values, ids, .. } if ids.iter().all(|&id| (id as usize) < values.len()) => {
                into.extend(ids.iter().map(|&id| values[id as usize]));
            }
            _ if column == ColumnId::FlowStart => {
                into.extend((0..rows).map(|row| times.first(row).unwrap_or(NO_FIRST)));
            }
            _ => into.extend((0..rows).map(|row| times.last(row).unwrap_or(NO_LAST))),
        }
    }
}
