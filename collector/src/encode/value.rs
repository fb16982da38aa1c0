//! Types of fixed width: how the format has their values, and which dictionary they get.

use parquet::data_type::FixedLenByteArray;
use parquet::file::statistics::Statistics;

use super::column::{Page, Scratch};
use super::index::Interner;
use super::pack::{deltas_len, width_of};
use crate::flow::Piece;

/// Values by which it is judged what deltas take, and whether values repeat at all.
const SAMPLE: usize = 4_096;
/// One of so many values of a sample must have come before for a dictionary of what lies
/// far apart.
const REPEATED_MIN_SHARE: usize = 4;
/// Microseconds between times of exporters that count milliseconds.
const MILLISECOND: i64 = 1_000;
/// First 96 bits of an IPv4 address in 16 octets.
const V4_PREFIX: u128 = 0xffff;

/// What a column of fixed width holds.
pub(super) trait Value: Copy + Default + PartialEq {
    /// Compares as the format says values of this type do.
    type Order: Copy + Ord;
    /// Whether deltas may be tried.
    const HAS_DELTAS: bool;

    fn order(self) -> Self::Order;

    /// Appends it as the format has it.
    fn put(self, out: &mut Vec<u8>);

    /// It as a number, for deltas.
    fn integer(self) -> i64;

    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics;

    /// Fills `scratch.positions`: one for each value, one for each run. Returns the
    /// dictionary, or `None` where there had better be none.
    fn index(pages: &[Page<'_, Self>], is_time: bool, scratch: &mut Scratch) -> Option<Dictionary>;

    /// Least and greatest.
    fn bounds(values: &[Self]) -> Option<(Self, Self)> {
        let least = values.iter().copied().min_by_key(|value| value.order())?;
        let most = values.iter().copied().max_by_key(|value| value.order())?;
        Some((least, most))
    }
}

/// Distinct values, in the order of their positions.
pub(super) struct Dictionary {
    pub(super) plain: Vec<u8>,
    pub(super) n: usize,
    pub(super) is_sorted: bool,
}

macro_rules! integer {
    ($type:ty, $statistics:ident, $has_deltas:expr) => {
        impl Value for $type {
            type Order = Self;
            const HAS_DELTAS: bool = $has_deltas;

            fn order(self) -> Self {
                self
            }

            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn integer(self) -> i64 {
                self.into()
            }

            fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics {
                let (least, most) = bounds.unzip();
                Statistics::$statistics(least, most, None, Some(nulls), false)
            }

            fn index(pages: &[Page<'_, Self>], is_time: bool, scratch: &mut Scratch) -> Option<Dictionary> {
                index_integers(pages, is_time, scratch)
            }

            fn bounds(values: &[Self]) -> Option<(Self, Self)> {
                // Plain folds are what the compiler makes vector instructions of.
                let first = *values.first()?;
                let least = values.iter().fold(first, |least, &value| least.min(value));
                Some((least, values.iter().fold(first, |most, &value| most.max(value))))
            }
        }
    };
}

integer!(i32, int32, false);
integer!(i64, int64, true);

impl<const N: usize> Value for [u8; N]
where
    Self: Default,
{
    type Order = u128;
    const HAS_DELTAS: bool = false;

    fn order(self) -> u128 {
        let mut octets = [0; 16];
        octets[16 - N..].copy_from_slice(&self);
        u128::from_be_bytes(octets)
    }

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self);
    }

    fn integer(self) -> i64 {
        unreachable!("octets have no deltas")
    }

    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics {
        let value = |octets: Self| FixedLenByteArray::from(octets.to_vec());
        let (least, most) = bounds.map(|(least, most)| (value(least), value(most))).unzip();
        Statistics::fixed_len_byte_array(least, most, None, Some(nulls), false)
    }

    fn index(pages: &[Page<'_, Self>], _: bool, scratch: &mut Scratch) -> Option<Dictionary> {
        let Scratch { v4, octets, positions, .. } = scratch;
        v4.clear();
        octets.clear();
        let (mut plain, mut n) = (Vec::new(), 0);
        let n_loose = for_positions(pages, positions, |value: Self| {
            let order = value.order();
            // Most are IPv4, and a table of those is small.
            let position = match order >> 32 == V4_PREFIX {
                true => v4.intern(order as u32, n),
                false => octets.intern(order, n),
            };
            if position == n {
                value.put(&mut plain);
                n += 1;
            }
            position
        });
        let n = n as usize;
        let is_smaller = octets_of(n_loose, n, N) < n_loose * N;
        (n_loose == 0 || is_smaller).then_some(Dictionary { plain, n, is_sorted: false })
    }
}

/// Octets that positions and dictionary take.
fn octets_of(n_positions: usize, n_distinct: usize, value_octets: usize) -> usize {
    n_positions * width_of(n_distinct as u64) as usize / 8 + n_distinct * value_octets
}

/// Looks up every value, and that of every run once; returns how many of them lie in no run.
fn for_positions<T: Value>(
    pages: &[Page<'_, T>],
    positions: &mut Vec<u32>,
    mut position: impl FnMut(T) -> u32,
) -> usize {
    positions.clear();
    let mut n_runs = 0;
    for piece in pages.iter().flat_map(|page| &page.pieces) {
        match piece {
            Piece::Values { values, valid: [] } => {
                positions.extend(values.iter().map(|&value| position(value)));
            }
            Piece::Values { values, valid } => {
                let values = values.iter().zip(*valid).filter(|(_, valid)| **valid);
                positions.extend(values.map(|(&value, _)| position(value)));
            }
            Piece::Run { value, .. } => {
                n_runs += usize::from(value.is_some());
                positions.extend(value.map(&mut position));
            }
        }
    }
    positions.len() - n_runs
}

fn index_integers<T: Value>(
    pages: &[Page<'_, T>],
    is_time: bool,
    scratch: &mut Scratch,
) -> Option<Dictionary> {
    let bounds = || pages.iter().filter_map(|page| page.bounds);
    let least = bounds().map(|(least, _)| least.integer()).min()?;
    let most = bounds().map(|(_, most)| most.integer()).max()?;
    let mut sample = Vec::with_capacity(SAMPLE);
    for page in pages {
        let room = SAMPLE - sample.len();
        let loose = page.pieces.iter().filter_map(|piece| match piece {
            Piece::Values { values, valid: [] } => Some(*values),
            _ => None,
        });
        sample.extend(loose.flatten().take(room).map(|value| value.integer()));
    }
    let n: usize = pages.iter().map(Page::n_values).sum();
    let step = if is_time && is_milliseconds(pages) { MILLISECOND } else { 1 };
    let Scratch { direct, integers, positions, .. } = scratch;
    let (values, n_loose) = if direct.prepare((least, most), step, n).is_some() {
        for page in pages {
            page.for_values(|value, _| direct.mark(value.integer()));
        }
        let values = direct.number();
        let n_loose = for_positions(pages, positions, |value| direct.position(value.integer()));
        (values, n_loose)
    } else {
        if !repeats(&sample, integers) {
            return None;
        }
        integers.clear();
        let mut values = Vec::new();
        let n_loose = for_positions(pages, positions, |value| {
            let position = integers.intern(value.integer(), values.len() as u32);
            if position as usize == values.len() {
                values.push(value.integer());
            }
            position
        });
        (values, n_loose)
    };
    // Half of each value of a dictionary is what compression leaves of it.
    let octets = octets_of(n_loose, values.len(), size_of::<T>() / 2);
    let others = match T::HAS_DELTAS {
        true => deltas_len(&sample) * n_loose / sample.len().max(1),
        false => n_loose * size_of::<T>(),
    };
    // Where both are about the same, readers gain from a dictionary.
    if !sample.is_empty() && others < octets - octets / 8 {
        return None;
    }
    let mut plain = Vec::with_capacity(values.len() * size_of::<T>());
    values.iter().for_each(|value| plain.extend_from_slice(&value.to_le_bytes()[..size_of::<T>()]));
    Some(Dictionary { n: values.len(), plain, is_sorted: false })
}

fn is_milliseconds<T: Value>(pages: &[Page<'_, T>]) -> bool {
    let mut rest = 0;
    for page in pages {
        page.for_values(|value, _| rest |= value.integer() % MILLISECOND);
    }
    rest == 0
}

/// Whether values of a sample come again.
fn repeats(sample: &[i64], integers: &mut Interner<i64>) -> bool {
    integers.clear();
    let mut n = 0;
    for &value in sample {
        n += u32::from(integers.intern(value, n) == n);
    }
    sample.is_empty() || sample.len() - n as usize >= sample.len() / REPEATED_MIN_SHARE
}
