//! Sums of the last minutes, by second and value, so that any window over them can be
//! summed up. No I/O, no clock.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, HashMap};

use flow_common::column::ColumnId;

use crate::aggregate::Value;
use crate::batch::{Batch, Cells};
use crate::flow::{CounterCells, FiveTuple, TupleCells};
use crate::group::{Computer, Source};
use crate::statistic::{Key, Order, Ranking, Statistic};
use crate::values::Column;

/// What flows are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Group {
    /// The protocol with `:p`, and the value.
    Element(Option<Option<i64>>, Value),
    Tuple(FiveTuple),
}

/// What is summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) flows: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.flows = self.flows.saturating_add(other.flows);
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// By what is ranked: over one window rates rank as counters do.
    pub(crate) fn value(&self, order: Order) -> u64 {
        match order {
            // Times rank groups of `-A` only, what is measured those of a question.
            Order::Flows
            | Order::First
            | Order::Last
            | Order::Duration
            | Order::Bucket
            | Order::Measure(_) => self.flows,
            // The other direction is refused where the screen starts.
            Order::Packets | Order::Pps | Order::OutPackets | Order::OutPps => self.packets,
            Order::Bytes | Order::Bps | Order::OutBytes | Order::OutBps => self.bytes,
            Order::Bpp | Order::OutBpp => self.bytes.checked_div(self.packets).unwrap_or(0),
        }
    }
}

/// The seconds held, and the values that occur in them.
#[derive(Debug)]
pub(crate) struct Window {
    entries_max: usize,
    n_entries: usize,
    seconds: BTreeMap<i64, Second>,
    /// Seconds before were held and had to go.
    held_from: i64,
    ids: HashMap<Group, u32, foldhash::quality::RandomState>,
    groups: Vec<Known>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Second {
    /// One value may have several.
    entries: Vec<(u32, Sums)>,
    total: Sums,
}

/// A value that occurs.
#[derive(Debug)]
struct Known {
    group: Group,
    n_entries: u32,
    /// Its entry that was written last: second and index there.
    last: (i64, u32),
}

impl Window {
    /// One that holds as many values, over all seconds.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            entries_max,
            n_entries: 0,
            seconds: BTreeMap::new(),
            held_from: i64::MIN,
            ids: HashMap::default(),
            groups: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Counts the rows of `batch`, each whole in the second it was received in.
    pub(crate) fn add_batch(&mut self, statistic: &Statistic, batch: &Batch) {
        let (counted, received) = (CounterCells::new(batch), batch.cells(ColumnId::Received));
        let tuples = TupleCells::new(batch);
        let protocol = statistic.is_by_protocol.then(|| batch.cells(ColumnId::Protocol));
        let (sources, kind) = match &statistic.key {
            Key::Values(sources, kind) => (&sources[..], Some(*kind)),
            Key::Record => (&[][..], None),
        };
        // What needs a database is refused where the screen starts.
        let compute = |source: &Source| Computer::new(*source, None).compute(batch);
        let computed: Vec<Option<Column>> = sources.iter().map(compute).collect();
        let side = |(source, computed): (&Source, _)| {
            let of_column = || source.column().map(|column| batch.cells(column));
            (*source, Option::map(computed, Column::cells).or_else(of_column).unwrap_or(Cells::Absent))
        };
        let computed = computed.iter().map(Option::as_ref);
        let sides: Vec<(Source, Cells<'_>)> = sources.iter().zip(computed).map(side).collect();
        for row in 0..batch.rows() {
            let Some(second) = received.int(row).map(|micros| micros.div_euclid(1_000_000)) else { continue };
            let counters = counted.get(row);
            let mut sums = Sums { flows: counters.flows, packets: counters.packets, bytes: counters.bytes };
            if counters.is_event() {
                if !statistic.is_of_events() {
                    continue;
                }
                sums.flows = 1;
            }
            if second < self.held_from {
                continue;
            }
            self.seconds.entry(second).or_default().total.add(&sums);
            let Some(kind) = kind else {
                self.add(second, Group::Tuple(tuples.get(row)), &sums);
                continue;
            };
            let mut before = Vec::new();
            for (source, cells) in &sides {
                let Some(value) = source.value(kind, *cells, row, None) else { continue };
                if before.contains(&value) {
                    continue;
                }
                let split = protocol.map(|protocol| protocol.int(row));
                if sides.len() > 1 {
                    before.push(value.clone());
                }
                self.add(second, Group::Element(split, value), &sums);
            }
        }
        while self.n_entries > self.entries_max {
            let Some((second, _)) = self.seconds.first_key_value() else { break };
            self.held_from = second + 1;
            self.expire(second + 1);
        }
    }

    fn add(&mut self, second: i64, group: Group, sums: &Sums) {
        let id = self.id(group);
        let known = &mut self.groups[id as usize];
        let of_second = self.seconds.entry(second).or_default();
        if known.last.0 == second
            && let Some((its, entry)) = of_second.entries.get_mut(known.last.1 as usize)
            && *its == id
        {
            entry.add(sums);
            return;
        }
        known.n_entries += 1;
        known.last = (second, of_second.entries.len() as u32);
        of_second.entries.push((id, *sums));
        self.n_entries += 1;
    }

    fn id(&mut self, group: Group) -> u32 {
        if let Some(id) = self.ids.get(&group) {
            return *id;
        }
        let known = Known { group: group.clone(), n_entries: 0, last: (i64::MIN, 0) };
        let id = match self.free.pop() {
            Some(id) => {
                self.groups[id as usize] = known;
                id
            }
            None => {
                self.groups.push(known);
                (self.groups.len() - 1) as u32
            }
        };
        self.ids.insert(group, id);
        id
    }

    /// Lets go of the seconds before.
    pub(crate) fn expire(&mut self, before: i64) {
        let kept = self.seconds.split_off(&before);
        for (id, _) in std::mem::replace(&mut self.seconds, kept).into_values().flat_map(|one| one.entries) {
            self.n_entries -= 1;
            let known = &mut self.groups[id as usize];
            known.n_entries -= 1;
            if known.n_entries == 0 {
                self.ids.remove(&known.group);
                self.free.push(id);
            }
        }
    }

    /// The last second that holds anything.
    pub(crate) fn last(&self) -> Option<i64> {
        self.seconds.last_key_value().map(|(second, _)| *second)
    }

    /// Since which second all is held that came.
    pub(crate) fn held_from(&self) -> i64 {
        self.held_from
    }

    /// Totals of some seconds, `[from, to)`, one each.
    pub(crate) fn totals(&self, from: i64, to: i64) -> Vec<Sums> {
        let total = |second| self.seconds.get(&second).map_or(Sums::default(), |one| one.total);
        (from..to).map(total).collect()
    }

    /// Sum over some seconds, `[from, to)`; how many values occur in them; and the first
    /// of these by `ranking`.
    pub(crate) fn top(&self, from: i64, to: i64, n: usize, ranking: Ranking) -> Top {
        let mut sums = vec![Sums::default(); self.groups.len()];
        let mut occurring = Vec::new();
        let mut is_known = vec![false; self.groups.len()];
        let mut total = Sums::default();
        for second in self.seconds.range(from..to.max(from)).map(|(_, second)| second) {
            total.add(&second.total);
            for (id, entry) in &second.entries {
                let id = *id as usize;
                if !std::mem::replace(&mut is_known[id], true) {
                    occurring.push(id);
                }
                sums[id].add(entry);
            }
        }
        let rank = |id: &usize| {
            let value = sums[*id].value(ranking.order);
            // Descending by either.
            (if ranking.is_ascending { u64::MAX - value } else { value }, Reverse(&self.groups[*id].group))
        };
        let by_rank = |a: &usize, b: &usize| -> Ordering { rank(b).cmp(&rank(a)) };
        let n_groups = occurring.len();
        if 0 < n && n < n_groups {
            occurring.select_nth_unstable_by(n, by_rank);
            occurring.truncate(n);
        }
        occurring.sort_unstable_by(by_rank);
        let rows = occurring.into_iter().map(|id| (self.groups[id].group.clone(), sums[id])).collect();
        Top { rows, n_groups, total }
    }
}

/// What ranks first in a window.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Top {
    pub(crate) rows: Vec<(Group, Sums)>,
    pub(crate) n_groups: usize,
    pub(crate) total: Sums,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: i64) -> Group {
        Group::Element(None, Value::Int(number))
    }

    /// A window after some rows: second, port, bytes.
    fn window(entries_max: usize, rows: &[(i64, i64, u64)]) -> Window {
        let mut window = Window::new(entries_max);
        for &(second, number, bytes) in rows {
            let sums = Sums { flows: 1, packets: 2, bytes };
            window.seconds.entry(second).or_default().total.add(&sums);
            window.add(second, port(number), &sums);
        }
        window
    }

    #[track_caller]
    fn check(
        window: &Window,
        (from, to): (i64, i64),
        (order, is_ascending): (Order, bool),
        expected: &[(i64, u64)],
    ) {
        let top = window.top(from, to, 2, Ranking::new(order, is_ascending));
        let rows: Vec<_> = top.rows.iter().map(|(group, sums)| (group.clone(), sums.value(order))).collect();
        let expected: Vec<_> = expected.iter().map(|&(number, value)| (port(number), value)).collect();
        assert_eq!(rows, expected, "[{from}, {to})");
    }

    const ROWS: [(i64, i64, u64); 7] =
        [(10, 80, 100), (10, 443, 50), (10, 80, 1), (11, 443, 70), (12, 53, 70), (11, 80, 5), (12, 443, 0)];

    #[test]
    fn windows_are_half_open_and_ranked_with_equals_by_value() {
        let window = window(100, &ROWS);
        check(&window, (10, 13), (Order::Bytes, false), &[(443, 120), (80, 106)]);
        check(&window, (10, 12), (Order::Bps, false), &[(443, 120), (80, 106)]);
        check(&window, (11, 13), (Order::Bytes, false), &[(53, 70), (443, 70)]);
        check(&window, (10, 13), (Order::Flows, false), &[(80, 3), (443, 3)]);
        check(&window, (10, 13), (Order::Bytes, true), &[(53, 70), (80, 106)]);
        check(&window, (13, 20), (Order::Bytes, false), &[]);
        check(&window, (20, 13), (Order::Bytes, false), &[]);
        let total = window.top(10, 13, 1, Ranking::new(Order::Bytes, false));
        assert_eq!((total.n_groups, total.total), (3, Sums { flows: 7, packets: 14, bytes: 296 }));
        let bytes: Vec<_> = window.totals(9, 13).iter().map(|sums| sums.bytes).collect();
        assert_eq!(bytes, [0, 151, 75, 70]);
    }

    #[test]
    fn seconds_go_with_the_values_only_they_have() {
        let mut window = window(100, &ROWS);
        assert_eq!((window.n_entries, window.ids.len()), (6, 3));
        window.expire(12);
        assert_eq!((window.n_entries, window.ids.len()), (2, 2));
        check(&window, (0, 20), (Order::Bytes, false), &[(53, 70), (443, 0)]);
        // A place is used again, and a value comes back.
        window.add(13, port(22), &Sums { flows: 1, packets: 1, bytes: 9 });
        window.add(13, port(80), &Sums { flows: 1, packets: 1, bytes: 8 });
        check(&window, (13, 20), (Order::Bytes, false), &[(22, 9), (80, 8)]);
        assert_eq!(window.groups.len(), 4);
        window.expire(100);
        assert_eq!((window.n_entries, window.ids.len(), window.last()), (0, 0, None));
    }
}
