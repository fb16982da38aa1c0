//! Conditions, and whether a row meets them.

use flow_common::column::ColumnId as Id;

use super::row::{Cell, Place, Row};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparator {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparator {
    fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Eq => left == right,
            Self::Ne => left != right,
            Self::Lt => left < right,
            Self::Le => left <= right,
            Self::Gt => left > right,
            Self::Ge => left >= right,
        }
    }
}

/// What a noun stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    Column(Place),
    Duration,
    Bps,
    Pps,
    Bpp,
    IcmpType,
    IcmpCode,
    /// High six bits of a type of service.
    Dscp(Id),
}

/// The first `bits` bits of an address as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Net {
    pub(super) address: [u8; 16],
    pub(super) bits: u32,
}

impl Net {
    /// IPv4 is no part of a prefix of IPv6.
    fn holds(self, address: [u8; 16]) -> bool {
        if self.bits < 96 && address.starts_with(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]) {
            return false;
        }
        let differing = u128::from_be_bytes(self.address) ^ u128::from_be_bytes(address);
        differing.leading_zeros() >= self.bits
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    Number(Comparator, i64),
    OneOf(Vec<i64>),
    Inside(Vec<Net>),
    Outside(Net),
    Octets(Vec<u8>, bool),
    Text(String, bool),
    OneOfTexts(Vec<String>),
    Real(Comparator, f64),
    /// All of these flags are set.
    Flags(i64),
    /// Of the low eight these and no others; or not so.
    ExactFlags(i64, bool),
    /// Of ranges, both ends included: in one of them, or in none.
    Ranges(Vec<(i64, i64)>, bool),
    /// Whether one of the numbers of four octets each is this.
    SomeId(i64),
    /// Whether the label of some entry of a stack is this.
    SomeLabel(i64),
    /// Whether there is a value.
    Present(bool),
}

impl Condition {
    /// `!=` holds where it does on every side, all others where they do on one.
    fn needs_all(&self) -> bool {
        matches!(
            self,
            Self::Number(Comparator::Ne, _)
                | Self::Real(Comparator::Ne, _)
                | Self::Outside(_)
                | Self::Octets(_, false)
                | Self::Text(_, false)
                | Self::ExactFlags(_, false)
                | Self::Ranges(_, false)
                | Self::Present(false)
        )
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Any,
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Term(Vec<Quantity>, Condition),
    /// Both ends of the flow lie in here, µs, both included.
    Window(i64, i64),
}

impl Node {
    pub(super) fn holds(&self, row: &Row) -> bool {
        match self {
            Self::Any => true,
            Self::Not(inner) => !inner.holds(row),
            Self::And(all) => all.iter().all(|one| one.holds(row)),
            Self::Or(all) => all.iter().any(|one| one.holds(row)),
            Self::Term(sides, condition) if condition.needs_all() => {
                sides.iter().all(|side| meets(row, *side, condition))
            }
            Self::Term(sides, condition) => sides.iter().any(|side| meets(row, *side, condition)),
            Self::Window(start, end) => {
                row.first().is_some_and(|first| first >= *start)
                    && row.last().is_some_and(|last| last <= *end)
            }
        }
    }
}

/// NULL meets no condition.
fn meets(row: &Row, quantity: Quantity, condition: &Condition) -> bool {
    let Some(cell) = value(row, quantity) else { return *condition == Condition::Present(false) };
    match (condition, &cell) {
        (Condition::Present(is_present), _) => *is_present,
        (Condition::Ranges(ranges, is_inside), Cell::Int(found)) => {
            ranges.iter().any(|(low, high)| low <= found && found <= high) == *is_inside
        }
        (Condition::SomeId(wanted), Cell::Octets(found)) => {
            let id = |octets: &[u8]| octets.iter().fold(0, |id, octet| id << 8 | i64::from(*octet));
            found.chunks_exact(4).any(|octets| id(octets) == *wanted)
        }
        (Condition::SomeLabel(wanted), Cell::Labels(entries)) => {
            entries.iter().any(|entry| i64::from(entry / 16) == *wanted)
        }
        (Condition::Number(comparator, wanted), Cell::Int(found)) => comparator.holds(found, wanted),
        (Condition::Number(comparator, wanted), Cell::Truth(found)) => {
            comparator.holds(i64::from(*found), *wanted)
        }
        (Condition::OneOf(wanted), Cell::Int(found)) => wanted.contains(found),
        (Condition::Inside(nets), Cell::Octets(found)) => nets.iter().any(|net| is_in(*net, found)),
        (Condition::Outside(net), Cell::Octets(found)) => !is_in(*net, found),
        (Condition::Octets(wanted, is_equal), Cell::Octets(found)) => (wanted == found) == *is_equal,
        (Condition::Text(wanted, is_equal), Cell::Text(found)) => (wanted == found) == *is_equal,
        (Condition::OneOfTexts(wanted), Cell::Text(found)) => wanted.contains(found),
        (Condition::Real(comparator, wanted), Cell::Real(found)) => comparator.holds(found, wanted),
        (Condition::Flags(wanted), Cell::Int(found)) => found & wanted == *wanted,
        (Condition::ExactFlags(wanted, is_equal), Cell::Int(found)) => (found & 0xff == *wanted) == *is_equal,
        other => panic!("{other:?} can't be compared"),
    }
}

fn is_in(net: Net, octets: &[u8]) -> bool {
    net.holds(octets.try_into().expect("an address"))
}

fn value(row: &Row, quantity: Quantity) -> Option<Cell> {
    let octet_of_port = |divisor: i64| {
        let port = row.int(Id::DstPort).filter(|_| row.is_icmp())?;
        Some(port / divisor % 256)
    };
    let number = match quantity {
        Quantity::Column(place) => return row.cell(place).cloned(),
        Quantity::Dscp(id) => row.int(id)? / 4,
        Quantity::IcmpType => row.int(Id::IcmpType).or_else(|| octet_of_port(256))?,
        Quantity::IcmpCode => row.int(Id::IcmpCode).or_else(|| octet_of_port(1))?,
        Quantity::Duration => duration_ms(row)?,
        Quantity::Bps => rate(row.int(Id::Bytes)?, 8_000, duration_ms(row)?),
        Quantity::Pps => rate(row.int(Id::Packets)?, 1_000, duration_ms(row)?),
        Quantity::Bpp => {
            let (bytes, packets) = (row.int(Id::Bytes)?, row.int(Id::Packets)?);
            bytes.checked_div(packets).unwrap_or(0)
        }
    };
    Some(Cell::Int(number))
}

/// From start to end in whole milliseconds; 0 where the clock ran backwards.
fn duration_ms(row: &Row) -> Option<i64> {
    let (start, end) = (row.int(Id::FlowStart)?, row.int(Id::FlowEnd)?);
    Some((end.div_euclid(1_000) - start.div_euclid(1_000)).max(0))
}

/// Units a second, rounded down; 0 for an instant.
fn rate(count: i64, units: i128, ms: i64) -> i64 {
    let whole = i128::from(count.max(0)) * units;
    whole.checked_div(ms.into()).map_or(0, |rate| i64::try_from(rate).unwrap_or(i64::MAX))
}
