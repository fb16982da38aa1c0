//! Sets of numbers and of addresses: sorted ranges, so that a list of any length costs a
//! few steps a value.

use std::fmt;
use std::ops::RangeInclusive;

use flow_common::addr::{Addr16, Prefix16};

use super::ast::Comparator;

/// A set of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IntSet {
    /// Both ends included; sorted, none touches the next.
    ranges: Vec<(i64, i64)>,
}

impl IntSet {
    /// Every number.
    pub(crate) fn all() -> Self {
        Self { ranges: vec![(i64::MIN, i64::MAX)] }
    }

    /// Numbers that hold against a range: above all of it, not in it and so on.
    pub(crate) fn of(comparator: Comparator, (low, high): (i64, i64)) -> Self {
        let below = |end: Option<i64>| end.map(|end| (i64::MIN, end));
        let above = |start: Option<i64>| start.map(|start| (start, i64::MAX));
        let one = match comparator {
            Comparator::Eq => Some((low, high)),
            Comparator::Ne => return [(low, high)].into_iter().collect::<Self>().complement(),
            Comparator::Lt => below(low.checked_sub(1)),
            Comparator::Le => below(Some(high)),
            Comparator::Gt => above(high.checked_add(1)),
            Comparator::Ge => above(Some(low)),
        };
        one.into_iter().collect()
    }

    /// All other numbers.
    pub(crate) fn complement(&self) -> Self {
        let mut next = Some(i64::MIN);
        let mut ranges = Vec::with_capacity(self.ranges.len() + 1);
        for &(low, high) in &self.ranges {
            if let Some(start) = next.filter(|start| *start < low) {
                ranges.push((start, low - 1));
            }
            next = high.checked_add(1);
        }
        ranges.extend(next.map(|start| (start, i64::MAX)));
        Self { ranges }
    }

    pub(crate) fn contains(&self, number: i64) -> bool {
        match self.ranges.as_slice() {
            [(low, high)] => *low <= number && number <= *high,
            ranges => {
                let after = ranges.partition_point(|range| range.0 <= number);
                after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| number <= range.1)
            }
        }
    }

    /// The ranges that share a number with another.
    pub(crate) fn range(&self, other: RangeInclusive<i64>) -> impl Iterator<Item = (i64, i64)> + '_ {
        let (low, high) = other.into_inner();
        let first = self.ranges.partition_point(|range| range.1 < low);
        self.ranges.iter().skip(first).copied().take_while(move |range| range.0 <= high)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// `(= name 5)`, `(>= name 5)`, `(in name 5 7..9)`; `show` spells a number.
    pub(crate) fn fmt_test(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &dyn fmt::Display,
        show: &dyn Fn(i64) -> String,
    ) -> fmt::Result {
        match self.ranges.as_slice() {
            [(i64::MIN, i64::MAX)] => write!(f, "(present {name})"),
            [(low, high)] if low == high => write!(f, "(= {name} {})", show(*low)),
            [(i64::MIN, high)] => write!(f, "(<= {name} {})", show(*high)),
            [(low, i64::MAX)] => write!(f, "(>= {name} {})", show(*low)),
            [(i64::MIN, end), (start, i64::MAX)] if start - end == 2 => {
                write!(f, "(!= {name} {})", show(end + 1))
            }
            ranges => {
                write!(f, "(in {name}")?;
                for &(low, high) in ranges {
                    match (low, high) {
                        (i64::MIN, high) => write!(f, " ..{}", show(high))?,
                        (low, i64::MAX) => write!(f, " {}..", show(low))?,
                        (low, high) if low == high => write!(f, " {}", show(low))?,
                        (low, high) => write!(f, " {}..{}", show(low), show(high))?,
                    }
                }
                write!(f, ")")
            }
        }
    }
}

impl FromIterator<(i64, i64)> for IntSet {
    fn from_iter<T: IntoIterator<Item = (i64, i64)>>(ranges: T) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().filter(|(low, high)| low <= high).collect();
        sorted.sort_unstable();
        let mut ranges: Vec<(i64, i64)> = Vec::with_capacity(sorted.len());
        for (low, high) in sorted {
            match ranges.last_mut() {
                // The last may end at the largest number, which has no next.
                Some(last) if last.1.checked_add(1).is_none_or(|next| low <= next) => {
                    last.1 = last.1.max(high);
                }
                _ => ranges.push((low, high)),
            }
        }
        Self { ranges }
    }
}

/// Addresses next to each other, in stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AddressRange {
    low: u128,
    high: u128,
}

impl AddressRange {
    pub(crate) fn new(low: Addr16, high: Addr16) -> Self {
        Self { low: u128::from_be_bytes(low.0), high: u128::from_be_bytes(high.0) }
    }

    /// Smallest and largest address.
    pub(crate) fn bounds(self) -> ([u8; 16], [u8; 16]) {
        (self.low.to_be_bytes(), self.high.to_be_bytes())
    }

    /// The addresses of the same family that hold against it; those of IPv6 lie on either
    /// side of those of IPv4, which are not in `::/0`.
    pub(crate) fn compared(self, comparator: Comparator) -> impl Iterator<Item = Self> {
        let below = |end: Option<u128>| end.map(|high| Self { low: 0, high });
        let above = |start: Option<u128>| start.map(|low| Self { low, high: u128::MAX });
        let all = match comparator {
            Comparator::Lt => below(self.low.checked_sub(1)),
            Comparator::Le => below(Some(self.high)),
            Comparator::Gt => above(self.high.checked_add(1)),
            Comparator::Ge => above(Some(self.low)),
            Comparator::Eq | Comparator::Ne => Some(self),
        };
        let before = Self { low: 0, high: Self::V4.low - 1 };
        let behind = Self { low: Self::V4.high + 1, high: u128::MAX };
        let families = match Self::V4.low <= self.low && self.high <= Self::V4.high {
            true => [Some(Self::V4), None],
            false => [Some(before), Some(behind)],
        };
        families.into_iter().filter_map(move |family| all?.shared(family?))
    }

    fn shared(self, other: Self) -> Option<Self> {
        let one = Self { low: self.low.max(other.low), high: self.high.min(other.high) };
        (one.low <= one.high).then_some(one)
    }

    /// All of IPv4.
    pub(crate) const V4: Self = Self { low: 0xffff_0000_0000, high: 0xffff_ffff_ffff };
}

impl From<Prefix16> for AddressRange {
    fn from(prefix: Prefix16) -> Self {
        let (low, high) = prefix.bounds();
        Self::new(Addr16(low), Addr16(high))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.bounds();
        write!(f, "{}", Addr16(low))?;
        if low == high { Ok(()) } else { write!(f, "..{}", Addr16(high)) }
    }
}

/// A set of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AddressSet {
    /// Sorted; none shares an address with the next. Single addresses next to each other
    /// stay apart: Bloom filters are asked for each.
    ranges: Vec<AddressRange>,
}

impl AddressSet {
    pub(crate) fn contains(&self, address: u128) -> bool {
        let after = self.ranges.partition_point(|range| range.low <= address);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|range| address <= range.high)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &AddressRange> {
        self.ranges.iter()
    }
}

impl FromIterator<AddressRange> for AddressSet {
    fn from_iter<T: IntoIterator<Item = AddressRange>>(ranges: T) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().filter(|range| range.low <= range.high).collect();
        sorted.sort_unstable();
        let mut ranges: Vec<AddressRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match ranges.last_mut() {
                Some(last) if range.low <= last.high => last.high = last.high.max(range.high),
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(i64, i64)]) -> IntSet {
        ranges.iter().copied().collect()
    }

    #[test]
    fn ranges_are_joined_where_they_touch() {
        assert_eq!(set(&[(5, 7), (1, 2), (3, 4), (9, 9), (8, 6)]).ranges, [(1, 7), (9, 9)]);
        assert_eq!(set(&[(i64::MIN, i64::MAX), (3, 4)]), IntSet::all());
        assert!(set(&[]).is_empty());
    }

    #[test]
    fn a_set_and_its_complement_share_no_number_and_lack_none() {
        let cases = [
            set(&[]),
            IntSet::all(),
            set(&[(1, 5), (7, 7)]),
            set(&[(i64::MIN, 0)]),
            set(&[(3, i64::MAX)]),
            set(&[(i64::MIN, -1), (1, i64::MAX)]),
        ];
        for one in cases {
            let other = one.complement();
            assert_eq!(other.complement(), one);
            for number in [i64::MIN, -1, 0, 1, 3, 5, 6, 7, 8, i64::MAX] {
                assert_ne!(one.contains(number), other.contains(number), "{number} in {one:?}");
            }
        }
    }

    #[test]
    fn a_comparator_makes_the_set_it_holds_for() {
        use Comparator::{Eq, Ge, Gt, Le, Lt, Ne};
        for comparator in [Eq, Ne, Lt, Le, Gt, Ge] {
            for value in [i64::MIN, -3, 0, 5, i64::MAX] {
                let set = IntSet::of(comparator, (value, value));
                for number in [i64::MIN, -4, -3, -2, 0, 1, 4, 5, 6, i64::MAX - 1, i64::MAX] {
                    let expected = comparator.holds(number, value);
                    assert_eq!(set.contains(number), expected, "{number} {comparator:?} {value}");
                }
            }
        }
    }

    #[test]
    fn ranges_that_overlap_are_found() {
        let set = set(&[(1, 5), (10, 10), (20, 30)]);
        let check = |low, high, expected: &[(i64, i64)]| {
            assert_eq!(set.range(low..=high).collect::<Vec<_>>(), expected, "{low}..={high}");
        };
        check(6, 9, &[]);
        check(5, 9, &[(1, 5)]);
        check(0, 100, &[(1, 5), (10, 10), (20, 30)]);
        check(30, 31, &[(20, 30)]);
        check(31, 32, &[]);
    }

    #[test]
    fn addresses_are_found_in_ranges() {
        let range = |low: &str, high: &str| {
            let addr = |text: &str| Addr16::from(text.parse::<std::net::IpAddr>().unwrap());
            AddressRange::new(addr(low), addr(high))
        };
        let set: AddressSet = [
            range("10.0.0.5", "10.0.0.9"),
            range("10.0.0.1", "10.0.0.1"),
            range("10.0.0.7", "10.0.0.20"),
            range("2001:db8::", "2001:db8::ff"),
        ]
        .into_iter()
        .collect();
        assert_eq!(set.iter().count(), 3);
        for (text, expected) in [
            ("10.0.0.1", true),
            ("10.0.0.2", false),
            ("10.0.0.20", true),
            ("10.0.0.21", false),
            ("2001:db8::7f", true),
            ("2001:db8::100", false),
            ("::", false),
        ] {
            let address = u128::from_be_bytes(Addr16::from(text.parse::<std::net::IpAddr>().unwrap()).0);
            assert_eq!(set.contains(address), expected, "{text}");
        }
        let compared = |low, high, comparator| range(low, high).compared(comparator).collect::<Vec<_>>();
        assert_eq!(
            compared("10.0.0.0", "10.255.255.255", Comparator::Gt),
            [range("11.0.0.0", "255.255.255.255")]
        );
        assert_eq!(compared("0.0.0.0", "0.0.0.0", Comparator::Lt), []);
        assert_eq!(
            compared("2001:db8::", "2001:db8::ff", Comparator::Lt),
            [range("::", "::fffe:ffff:ffff"), range("::1:0:0:0", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff")]
        );
        let v6 =
            [range("::", "::fffe:ffff:ffff"), range("::1:0:0:0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")];
        assert_eq!(compared("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Comparator::Eq), v6);
        assert_eq!(compared("10.0.0.0", "10.0.0.9", Comparator::Eq), [range("10.0.0.0", "10.0.0.9")]);
    }
}
