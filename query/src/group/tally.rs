//! Values of the records of a group, for percentiles: each by itself while few differ, beyond
//! that in classes of nearly equal values. Which it is depends on the values alone, so an answer
//! is the same however many threads counted them and whatever went to disk.

use flow_common::limits::PERCENTILE_VALUES_MAX;

use crate::aggregate::Measured;
use crate::measure::Percent;

/// Binary digits of a value, behind its first, that tell its class: a class is a 64th of its
/// values wide at most, so its middle is 0.8 % off at most.
const DIGITS: u32 = 6;
const STEPS: u64 = 1 << DIGITS;
/// Classes that values of 64 bits lie in.
const CLASSES: usize = ((64 - DIGITS) as usize + 1) << DIGITS;

const _: () = assert!(CLASSES <= PERCENTILE_VALUES_MAX, "classes take more than what they stand for");

/// Values that are sorted at once at least.
const UNSORTED_MIN: usize = 32;

/// The class of a value; values below 128 are classes of their own.
fn class_of(value: u64) -> usize {
    let shift = (u64::BITS - DIGITS - 1).saturating_sub(value.leading_zeros());
    (u64::from(shift) * STEPS + (value >> shift)) as usize
}

/// The middle of a class.
fn middle_of(class: usize) -> u64 {
    let class = class as u64;
    let shift = (class / STEPS).saturating_sub(1);
    let least = (class - shift * STEPS) << shift;
    least + ((1 << shift) >> 1)
}

/// The values of one group.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Values with how often they are there; those up to `n_sorted` in order, each once.
    values: Vec<(u64, u64)>,
    n_sorted: usize,
    /// How many there are of each class, once values are too many.
    classes: Option<Box<[u64]>>,
}

impl Tally {
    pub(super) fn add(&mut self, value: u64, n: u64) {
        if let Some(classes) = &mut self.classes {
            classes[class_of(value)] += n;
            return;
        }
        self.values.push((value, n));
        if self.values.len() >= 2 * self.n_sorted.max(UNSORTED_MIN) {
            self.sort();
        }
    }

    fn add_to_class(&mut self, class: usize, n: u64) {
        self.begin_classes();
        if let Some(place) = self.classes.as_mut().and_then(|classes| classes.get_mut(class)) {
            *place += n;
        }
    }

    fn begin_classes(&mut self) {
        if self.classes.is_none() {
            let mut classes: Box<[u64]> = vec![0; CLASSES].into();
            std::mem::take(&mut self.values).into_iter().for_each(|(value, n)| classes[class_of(value)] += n);
            self.classes = Some(classes);
            self.n_sorted = 0;
        }
    }

    /// Puts values in order and equal ones together; too many go to classes.
    fn sort(&mut self) {
        self.values.sort_unstable();
        self.values.dedup_by(|other, kept| {
            let is_same = other.0 == kept.0;
            kept.1 += if is_same { other.1 } else { 0 };
            is_same
        });
        self.n_sorted = self.values.len();
        if self.n_sorted > PERCENTILE_VALUES_MAX {
            self.begin_classes();
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.values.iter().for_each(|&(value, n)| self.add(value, n));
        let classes = other.classes.iter().flatten().enumerate().filter(|(_, n)| **n > 0);
        classes.for_each(|(class, &n)| self.add_to_class(class, n));
    }

    /// Octets held beside its own.
    pub(super) fn bytes(&self) -> usize {
        let classes = if self.classes.is_some() { CLASSES * 8 } else { 0 };
        self.values.capacity() * size_of::<(u64, u64)>() + classes
    }

    /// The percentiles of all values, which are in order then; that of none is none.
    pub(super) fn percentile(&mut self, percent: Percent) -> Measured {
        self.sort();
        if let Some(classes) = &self.classes {
            let found = at_rank(classes.iter().copied().enumerate(), percent);
            return Measured { value: found.map(middle_of), is_about: true };
        }
        Measured { value: at_rank(self.values.iter().copied(), percent), is_about: false }
    }

    /// Appends all of it as words.
    pub(super) fn write(&self, into: &mut Vec<u64>) {
        let Some(classes) = &self.classes else {
            into.push(0);
            return into.extend(self.values.iter().flat_map(|&(value, n)| [value, n]));
        };
        into.push(1);
        let used = classes.iter().enumerate().filter(|(_, n)| **n > 0);
        into.extend(used.flat_map(|(class, &n)| [class as u64, n]));
    }

    /// Adds what was written.
    pub(super) fn read(&mut self, words: &[u64]) {
        let Some((kind, rest)) = words.split_first() else { return };
        for &[value, n] in rest.as_chunks().0 {
            if *kind == 1 { self.add_to_class(value as usize, n) } else { self.add(value, n) }
        }
    }
}

/// The value of a percentile, of values in order with how often each is there.
fn at_rank<V>(values: impl Iterator<Item = (V, u64)> + Clone, percent: Percent) -> Option<V> {
    let all = values.clone().map(|(_, n)| n).sum();
    let rank = percent.rank(all);
    let mut before = 0;
    values
        .into_iter()
        .find(|(_, n)| {
            before += n;
            before >= rank && *n > 0
        })
        .map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_a_64th_of_its_values_wide() {
        for value in (0..1_000).chain((7..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power - 1, power, power + 1, power + power / 3, power + (power - 1)]
        })) {
            let class = class_of(value);
            assert!(class < CLASSES, "{value}");
            let off = middle_of(class).abs_diff(value) as f64 / value.max(1) as f64;
            assert!(off <= 0.0079, "{value} is {off} off");
            assert!(value >= 128 || middle_of(class) == value, "{value}");
            assert!(class_of(value.saturating_add(1)) - class <= 1, "{value}");
        }
        assert_eq!(class_of(u64::MAX), CLASSES - 1);
    }

    /// The percentile of `values`, counted by two threads of which one went to disk.
    #[track_caller]
    fn check(values: impl Iterator<Item = u64> + Clone, percent: &str, expected: (u64, bool)) {
        let percent = Percent::parse(percent).unwrap();
        let (mut one, mut two, mut all) = (Tally::default(), Tally::default(), Tally::default());
        for (at, value) in values.enumerate() {
            if at % 3 == 0 {
                one.add(value, 1)
            } else {
                two.add(value, 1)
            }
            all.add(value, 1);
        }
        let mut words = Vec::new();
        two.write(&mut words);
        one.read(&words);
        let mut merged = Tally::default();
        merged.merge(&one);
        let expected = Measured { value: Some(expected.0), is_about: expected.1 };
        assert_eq!((merged.percentile(percent), all.percentile(percent)), (expected, expected));
    }

    #[test]
    fn few_values_are_exact_and_many_nearly() {
        check(1..=100, "95", (95, false));
        check((1..=100).flat_map(|value| [value, 1_000_000]), "50", (100, false));
        check((1..=4_096).map(|value| value * 7), "50", (2_048 * 7, false));
        // 50,000 is in the class of 49,664 to 50,175.
        check(1..=100_000, "50", (49_920, true));
        check((1..=100_000).map(|value| value % 4_096), "100", (4_095, false));
        assert_eq!(Tally::default().percentile(Percent::parse("95").unwrap()).value, None);
    }
}
