//! A filter whose names, types and units are known: what is asked of each flow.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use flow_common::addr::Mac;
use flow_common::column::ColumnId;
use flow_common::proto::TcpFlags;

use super::ast::Comparator;
use super::evaluate::is_among;
use super::set::{AddressSet, IntSet};
use crate::columns::ColumnRef;
use crate::flow::TIME_COLUMNS;
use crate::names::{NAME_COLUMNS, Named};
use crate::places::{Country, Places};

/// A truth about a flow. NULL makes a test false, but for the test whether it is NULL.
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

impl Measure {
    /// What s-expressions call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DurationMs => "duration_ms",
            Self::Bps => "bps",
            Self::Pps => "pps",
            Self::Bpp => "bpp",
            Self::IcmpType => "icmp_type",
            Self::IcmpCode => "icmp_code",
        }
    }

    /// The columns it is computed from.
    pub(crate) const fn columns(self) -> &'static [ColumnId] {
        use ColumnId::{Bytes, DstPort, FlowEnd, FlowStart, IcmpCode, IcmpType, Packets, Protocol};
        match self {
            Self::DurationMs => &[FlowStart, FlowEnd],
            Self::Bps => &[FlowStart, FlowEnd, Bytes],
            Self::Pps => &[FlowStart, FlowEnd, Packets],
            Self::Bpp => &[Bytes, Packets],
            Self::IcmpType => &[Protocol, IcmpType, DstPort],
            Self::IcmpCode => &[Protocol, IcmpCode, DstPort],
        }
    }
}

/// Which number of an MPLS label stack; entries count from 1, the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelPart {
    /// The label of any entry.
    Any,
    /// The label of the entry at the bottom.
    Bottom,
    Label(usize),
    /// The traffic class of an entry.
    Exp(usize),
}

impl fmt::Display for LabelPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("mpls_any"),
            Self::Bottom => f.write_str("mpls_eos"),
            Self::Label(entry) => write!(f, "mpls_label{entry}"),
            Self::Exp(entry) => write!(f, "mpls_exp{entry}"),
        }
    }
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
        values: IntSet,
    },
    Address {
        column: ColumnRef,
        nets: AddressSet,
        is_inside: bool,
    },
    Mac {
        column: ColumnRef,
        macs: IntSet,
    },
    /// Text, or octets as they are; all but `=` and `!=` have one value.
    Bytes {
        column: ColumnRef,
        comparator: Comparator,
        values: BTreeSet<Vec<u8>>,
        is_text: bool,
    },
    Float {
        column: ColumnRef,
        comparator: Comparator,
        value: f64,
    },
    /// Some bits of a number.
    Bits {
        column: ColumnRef,
        mask: i64,
        value: i64,
        is_equal: bool,
    },
    /// One of the ids of four octets of an ACL.
    Acl {
        column: ColumnRef,
        ids: IntSet,
        is_inside: bool,
    },
    Label {
        part: LabelPart,
        values: IntSet,
    },
    /// Whether the exporter sent it.
    Present {
        column: ColumnRef,
        is_present: bool,
    },
    Measure {
        measure: Measure,
        values: IntSet,
    },
    /// The value of a column is from that of one to that of another.
    Between {
        column: ColumnId,
        low: ColumnId,
        high: ColumnId,
    },
    /// An exporter's name for a number is one of those asked for.
    Named {
        /// Index in [`NAME_COLUMNS`].
        name: usize,
        /// Of each tree of files.
        named: Arc<Vec<Named>>,
    },
    /// The country of an address is one of some, or is none of them.
    Country {
        column: ColumnId,
        countries: BTreeSet<Country>,
        is_inside: bool,
        places: Arc<Places>,
    },
    /// The autonomous system the exporter told, else that of the address.
    Origin {
        number: ColumnId,
        addr: ColumnId,
        values: IntSet,
        places: Arc<Places>,
    },
    /// The name of the collector, or of the exporter, that the file is of. It is told before
    /// any row is read, see [`Predicate::of_file`].
    Ident {
        comparator: Comparator,
        values: BTreeSet<Vec<u8>>,
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

    /// All of some, or the only one.
    pub(super) fn all(mut all: Vec<Self>) -> Self {
        if all.len() == 1 { all.remove(0) } else { Self::And(all) }
    }

    /// One of some, or the only one.
    pub(super) fn one_of(mut all: Vec<Self>) -> Self {
        if all.len() == 1 { all.remove(0) } else { Self::Or(all) }
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

    /// What it asks of the rows of a file that is called `ident`; `None` where that is the same.
    pub(crate) fn of_file(&self, ident: Option<&str>) -> Option<Self> {
        self.decided(&mut |test| match test {
            Test::Ident { comparator, values } => {
                Some(ident.is_some_and(|ident| is_among(*comparator, values, ident.as_bytes())))
            }
            _ => None,
        })
    }

    /// What is left to ask where `of` knows of some tests what they say of every row; `None`
    /// where it knows of none.
    pub(crate) fn decided(&self, of: &mut dyn FnMut(&Test) -> Option<bool>) -> Option<Self> {
        let mut each = |all: &[Self]| {
            let known: Vec<_> = all.iter().map(|one| one.decided(of)).collect();
            let is_changed = known.iter().any(Option::is_some);
            let own = || known.into_iter().zip(all).map(|(one, old)| one.unwrap_or_else(|| old.clone()));
            is_changed.then(|| own().collect::<Vec<_>>())
        };
        Some(match self {
            Self::Constant(_) => return None,
            Self::And(all) => {
                let mut all = each(all)?;
                all.retain(|one| *one != Self::Constant(true));
                match all.is_empty() || all.contains(&Self::Constant(false)) {
                    true => Self::Constant(all.is_empty()),
                    false => Self::all(all),
                }
            }
            Self::Or(all) => {
                let mut all = each(all)?;
                all.retain(|one| *one != Self::Constant(false));
                match all.is_empty() || all.contains(&Self::Constant(true)) {
                    true => Self::Constant(!all.is_empty()),
                    false => Self::one_of(all),
                }
            }
            Self::Not(inner) => match inner.decided(of)? {
                Self::Constant(value) => Self::Constant(!value),
                inner => Self::Not(Box::new(inner)),
            },
            Self::Test(test) => Self::Constant(of(test)?),
        })
    }

    /// What it says of every row, where what `of` knows of its tests tells that.
    pub(crate) fn outcome(&self, of: &mut dyn FnMut(&Test) -> Option<bool>) -> Option<bool> {
        // One that is `end` decides; without one, all must be known.
        let mut until = |all: &[Self], end: bool| {
            let mut is_known = true;
            for one in all {
                match one.outcome(of) {
                    Some(value) if value == end => return Some(end),
                    Some(_) => {}
                    None => is_known = false,
                }
            }
            is_known.then_some(!end)
        };
        match self {
            Self::Constant(value) => Some(*value),
            Self::Not(inner) => inner.outcome(of).map(|value| !value),
            Self::And(all) => until(all, false),
            Self::Or(all) => until(all, true),
            Self::Test(test) => of(test),
        }
    }

    /// Adds the columns it reads.
    pub(crate) fn columns(&self, into: &mut BTreeSet<ColumnRef>) {
        self.each_test(&mut |test| into.extend(test.columns()));
    }

    /// Every test, in the order of the filter.
    pub(crate) fn each_test<'a>(&'a self, of: &mut dyn FnMut(&'a Test)) {
        match self {
            Self::Constant(_) => {}
            Self::Not(inner) => inner.each_test(of),
            Self::And(all) | Self::Or(all) => all.iter().for_each(|one| one.each_test(of)),
            Self::Test(test) => of(test),
        }
    }
}

impl From<Test> for Predicate {
    fn from(test: Test) -> Self {
        Self::Test(test)
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
            | Self::Bytes { column, .. }
            | Self::Bits { column, .. }
            | Self::Acl { column, .. }
            | Self::Present { column, .. } => Some(*column),
            Self::Label { .. } => Some(ColumnId::MplsLabels.into()),
            Self::Country { column, .. } => Some((*column).into()),
            Self::Measure { .. }
            | Self::Between { .. }
            | Self::Named { .. }
            | Self::Origin { .. }
            | Self::Ident { .. }
            | Self::Within { .. } => None,
        }
    }

    /// Whether it asks about what `--anonymize` hides.
    pub(crate) fn is_of_address(&self) -> bool {
        matches!(
            self,
            Self::Address { .. }
                | Self::Mac { .. }
                | Self::Bytes { .. }
                | Self::Country { .. }
                | Self::Origin { .. }
        )
    }

    pub(crate) fn columns(&self) -> Vec<ColumnRef> {
        let of_table = |ids: &[ColumnId]| ids.iter().copied().map(ColumnRef::from).collect();
        if let Some(column) = self.column() {
            return vec![column];
        }
        match self {
            Self::Within { .. } => of_table(&TIME_COLUMNS),
            Self::Measure { measure, .. } => of_table(measure.columns()),
            Self::Between { column, low, high } => of_table(&[*column, *low, *high]),
            Self::Origin { number, addr, .. } => of_table(&[*number, *addr]),
            Self::Named { name, .. } => {
                NAME_COLUMNS.get(*name).map(|name| of_table(&name.columns())).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }
}

/// As an s-expression: `(and (= protocol 6) (not (> bytes 100)))`.
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
        let decimal = |number: i64| number.to_string();
        match self {
            Self::Int { column, comparator, value } => {
                write!(f, "({} {column} {value})", comparator.symbol())
            }
            Self::IntIn { column, values } => values.fmt_test(f, column, &decimal),
            Self::Address { column, nets, is_inside } => {
                write!(f, "({} {column}", if *is_inside { "in" } else { "out" })?;
                nets.iter().try_for_each(|net| write!(f, " {net}"))?;
                write!(f, ")")
            }
            Self::Mac { column, macs } => macs.fmt_test(f, column, &spelled_mac),
            Self::Bytes { column, comparator, values, is_text } => {
                write!(f, "({} {column}", comparator.symbol())?;
                for value in values {
                    match str::from_utf8(value) {
                        Ok(text) if *is_text => write!(f, " {text:?}")?,
                        _ => write!(f, " {}", Hex(value))?,
                    }
                }
                write!(f, ")")
            }
            Self::Float { column, comparator, value } => {
                write!(f, "({} {column} {value})", comparator.symbol())
            }
            Self::Bits { column, mask, value, is_equal } => {
                let symbol = if *is_equal { "=" } else { "!=" };
                let show = |f: &mut fmt::Formatter<'_>, bits: i64| match u16::try_from(bits) {
                    Ok(bits) if *column == ColumnId::TcpFlags => write!(f, " {}", TcpFlags(bits)),
                    _ => write!(f, " {bits}"),
                };
                write!(f, "({symbol} (bits {column}")?;
                show(f, *mask)?;
                write!(f, ")")?;
                show(f, *value)?;
                write!(f, ")")
            }
            Self::Acl { column, ids, is_inside: true } => ids.fmt_test(f, column, &decimal),
            Self::Acl { column, ids, is_inside: false } => {
                write!(f, "(no ")?;
                ids.fmt_test(f, column, &decimal)?;
                write!(f, ")")
            }
            Self::Label { part, values } => values.fmt_test(f, part, &decimal),
            Self::Present { column, is_present } => {
                write!(f, "({} {column})", if *is_present { "present" } else { "null" })
            }
            Self::Measure { measure, values } => values.fmt_test(f, &measure.name(), &decimal),
            Self::Between { column, low, high } if low == high => {
                write!(f, "(= {} {})", column.name(), low.name())
            }
            Self::Between { column, low, high } => {
                write!(f, "(in {} {}..{})", column.name(), low.name(), high.name())
            }
            Self::Named { name, named } => {
                let count: usize = named.iter().map(Named::len).sum();
                let column = NAME_COLUMNS.get(*name).map_or("name", |column| column.name);
                write!(f, "(known {column} {count})")
            }
            Self::Country { column, countries, is_inside, .. } => {
                write!(f, "({} (country {})", if *is_inside { "in" } else { "out" }, column.name())?;
                countries.iter().try_for_each(|country| write!(f, " {country}"))?;
                write!(f, ")")
            }
            Self::Origin { number, values, .. } => {
                values.fmt_test(f, &format_args!("(origin {})", number.name()), &decimal)
            }
            Self::Ident { comparator, values } => {
                write!(f, "({} ident", comparator.symbol())?;
                values.iter().try_for_each(|value| write!(f, " {:?}", String::from_utf8_lossy(value)))?;
                write!(f, ")")
            }
            Self::Within { start, last } => write!(f, "(within {start} {last})"),
        }
    }
}

fn spelled_mac(number: i64) -> String {
    match number.to_be_bytes() {
        [_, _, octets @ ..] => Mac(octets).to_string(),
    }
}

/// Octets after `0x`.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
