//! A filter whose names, types and units are known: what is asked of each flow.

use std::collections::BTreeSet;
use std::fmt;

use flow_common::addr::{Mac, Prefix16};
use flow_common::column::ColumnId;
use flow_common::proto::TcpFlags;

use super::ast::Comparator;
use crate::columns::ColumnRef;
use crate::flow::TIME_COLUMNS;

/// A truth about a flow. NULL makes a test false.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Predicate {
    Constant(bool),
    Not(Box<Predicate>),
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    Test(Test),
}

/// A number computed from several columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// `flow_end` less `flow_start`, milliseconds.
    DurationMs,
    Bps,
    Pps,
    Bpp,
    /// The column, else the high octet of ICMP's destination port.
    IcmpType,
    /// The column, else the low octet of ICMP's destination port.
    IcmpCode,
}

/// How TCP flags are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlagsMatch {
    /// All of these are set.
    AllOf,
    /// Of the low eight, these and no others.
    Exactly,
    /// Not [`FlagsMatch::Exactly`].
    Otherwise,
}

/// One test of one or a few columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Int {
        column: ColumnRef,
        comparator: Comparator,
        value: i64,
    },
    IntIn {
        column: ColumnRef,
        values: BTreeSet<i64>,
    },
    Address {
        column: ColumnRef,
        nets: Vec<Prefix16>,
        is_inside: bool,
    },
    Mac {
        column: ColumnRef,
        mac: Mac,
        is_equal: bool,
    },
    Text {
        column: ColumnRef,
        text: String,
        is_equal: bool,
    },
    Float {
        column: ColumnRef,
        comparator: Comparator,
        value: f64,
    },
    Octets {
        column: ColumnRef,
        octets: Vec<u8>,
        is_equal: bool,
    },
    Flags {
        column: ColumnRef,
        how: FlagsMatch,
        flags: TcpFlags,
    },
    Measure {
        measure: Measure,
        comparator: Comparator,
        value: i64,
    },
    /// Completely inside, both ends included, µs.
    Within {
        start: i64,
        last: i64,
    },
}

impl Predicate {
    /// Both; what holds always is left out.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Constant(true), one) | (one, Self::Constant(true)) => one,
            (one, two) => Self::And(vec![one, two]),
        }
    }

    /// Whether every flow matches.
    pub(crate) fn is_any(&self) -> bool {
        *self == Self::Constant(true)
    }

    /// Between which instants flows must lie, µs, both included: what `-t` asks.
    pub(crate) fn window(&self) -> Option<(i64, i64)> {
        match self {
            Self::Test(Test::Within { start, last }) => Some((*start, *last)),
            Self::And(all) => all.iter().find_map(Self::window),
            _ => None,
        }
    }

    /// Adds the columns it reads.
    pub(crate) fn columns(&self, into: &mut BTreeSet<ColumnRef>) {
        match self {
            Self::Constant(_) => {}
            Self::Not(inner) => inner.columns(into),
            Self::And(all) | Self::Or(all) => all.iter().for_each(|one| one.columns(into)),
            Self::Test(test) => into.extend(test.columns()),
        }
    }
}

impl Test {
    /// The column it is about, where that is one and its value alone decides.
    pub(crate) fn column(&self) -> Option<ColumnRef> {
        match self {
            Self::Int { column, .. }
            | Self::IntIn { column, .. }
            | Self::Address { column, .. }
            | Self::Mac { column, .. }
            | Self::Float { column, .. }
            | Self::Octets { column, .. }
            | Self::Text { column, .. }
            | Self::Flags { column, .. } => Some(*column),
            Self::Measure { .. } | Self::Within { .. } => None,
        }
    }

    fn columns(&self) -> Vec<ColumnRef> {
        use ColumnId::{Bytes, DstPort, FlowEnd, FlowStart, IcmpCode, IcmpType, Packets, Protocol};
        if let Some(column) = self.column() {
            return vec![column];
        }
        let computed: Vec<ColumnId> = match self {
            Self::Within { .. } => TIME_COLUMNS.to_vec(),
            Self::Measure { measure, .. } => match measure {
                Measure::DurationMs => vec![FlowStart, FlowEnd],
                Measure::Bps => vec![FlowStart, FlowEnd, Bytes],
                Measure::Pps => vec![FlowStart, FlowEnd, Packets],
                Measure::Bpp => vec![Bytes, Packets],
                Measure::IcmpType => vec![Protocol, IcmpType, DstPort],
                Measure::IcmpCode => vec![Protocol, IcmpCode, DstPort],
            },
            _ => Vec::new(),
        };
        computed.into_iter().map(ColumnRef::from).collect()
    }
}

/// As an s-expression, for tests: `(and (= protocol 6) (not (> bytes 100)))`.
impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, name: &str, all: &[Self]| {
            write!(f, "({name}")?;
            all.iter().try_for_each(|one| write!(f, " {one}"))?;
            write!(f, ")")
        };
        match self {
            Self::Constant(value) => write!(f, "{value}"),
            Self::Not(inner) => write!(f, "(not {inner})"),
            Self::And(all) => list(f, "and", all),
            Self::Or(all) => list(f, "or", all),
            Self::Test(test) => test.fmt(f),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equals = |is_equal: &bool| if *is_equal { "=" } else { "!=" };
        match self {
            Self::Int { column, comparator, value } => {
                write!(f, "({} {} {value})", comparator.symbol(), column)
            }
            Self::IntIn { column, values } => {
                write!(f, "(in {}", column)?;
                values.iter().try_for_each(|value| write!(f, " {value}"))?;
                write!(f, ")")
            }
            Self::Address { column, nets, is_inside } => {
                write!(f, "({} {}", if *is_inside { "in" } else { "out" }, column)?;
                for net in nets {
                    let (low, high) = net.bounds();
                    write!(f, " {}", flow_common::addr::Addr16(low))?;
                    if low != high {
                        write!(f, "..{}", flow_common::addr::Addr16(high))?;
                    }
                }
                write!(f, ")")
            }
            Self::Mac { column, mac, is_equal } => {
                write!(f, "({} {} {mac})", equals(is_equal), column)
            }
            Self::Text { column, text, is_equal } => {
                write!(f, "({} {} {text:?})", equals(is_equal), column)
            }
            Self::Float { column, comparator, value } => {
                write!(f, "({} {column} {value})", comparator.symbol())
            }
            Self::Octets { column, octets, is_equal } => {
                write!(f, "({} {column} {octets:02x?})", equals(is_equal))
            }
            Self::Flags { how, flags, .. } => write!(f, "(flags {how:?} {flags})"),
            Self::Measure { measure, comparator, value } => {
                write!(f, "({} {measure:?} {value})", comparator.symbol())
            }
            Self::Within { start, last } => write!(f, "(within {start} {last})"),
        }
    }
}
