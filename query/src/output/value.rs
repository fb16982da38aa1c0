//! What a tag stands for, the columns it is made of, and the cells of a batch it is
//! made from: resolved once a batch, so that a row looks nothing up.

use flow_common::column::{Column, ColumnId as Id, Kind};

use super::geo;
use crate::batch::{Batch, Cells};
use crate::flow::{
    COUNTER_COLUMNS, CounterCells, Counters, FiveTuple, KEY_COLUMNS, TIME_COLUMNS, TupleCells,
};
use crate::names::{NAME_COLUMNS, NameCells, Names};

/// What a tag prints of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// A column, as its kind is shown.
    Column(Id),
    /// A counter: `1.8 M`.
    Count(Id),
    /// Flows an exporter told; 1 where it told none.
    Flows,
    Time(When, Clock),
    Duration {
        is_secs: bool,
    },
    Rate(Rate),
    /// Version of what was exported: `Nv9`, `Sv5`.
    Version,
    /// Which row of the answer it is.
    Number,
    /// Name of the collector of the file.
    Ident,
    Protocol,
    Flags,
    /// Of ICMP type and code.
    DstPort,
    IcmpType,
    IcmpCode,
    /// Address and port, with what is known of where it is.
    Endpoint(Side, Option<Geo>),
    AddrCountry(Id),
    /// The network an exporter's mask makes of the address.
    Net(Side),
    Geo(Side, Geo),
    /// The autonomous system exporters told, else what a database does.
    Origin(Side),
    Direction,
    Engine,
    /// A number in hex, of as many digits.
    Hex(Id, u8),
    /// The n-th of the MPLS stack, the top is 1.
    Label(u8),
    Labels,
    /// Smallest and largest TTL.
    Ttl,
    /// Flags of fragmentation, element 197.
    Fragment,
    FlowLabel,
    Event,
    NatEvent,
    ExtEvent,
    Acl(Id),
    /// Index in [`NAME_COLUMNS`].
    Name(usize),
    /// No column has it: what nfdump prints where it knows nothing.
    Unknown(&'static str),
    LineEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    First,
    Last,
    Received,
    Event,
}

/// How an instant is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// In the zone of the answer.
    Zone,
    Utc,
    /// Seconds since the epoch with three decimals.
    Secs,
    /// Milliseconds since the epoch.
    Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rate {
    Bps,
    Pps,
    Bpp,
}

/// An end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Src,
    Dst,
    NatSrc,
    NatDst,
}

/// What a database tells of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Geo {
    Country,
    Location,
    Organisation,
    Tor,
}

impl When {
    /// The column that has it.
    pub(super) const fn column(self) -> Id {
        match self {
            Self::First => Id::FlowStart,
            Self::Last => Id::FlowEnd,
            Self::Received => Id::Received,
            Self::Event => Id::EventTime,
        }
    }
}

impl Side {
    const fn addr(self) -> Id {
        match self {
            Self::Src => Id::SrcAddr,
            Self::Dst => Id::DstAddr,
            Self::NatSrc => Id::PostNatSrcAddr,
            Self::NatDst => Id::PostNatDstAddr,
        }
    }

    const fn port(self) -> Id {
        match self {
            Self::Src => Id::SrcPort,
            Self::Dst => Id::DstPort,
            Self::NatSrc => Id::PostNatSrcPort,
            Self::NatDst => Id::PostNatDstPort,
        }
    }

    const fn as_number(self) -> Id {
        match self {
            Self::Src | Self::NatSrc => Id::SrcAs,
            Self::Dst | Self::NatDst => Id::DstAs,
        }
    }

    const fn mask(self) -> Id {
        match self {
            Self::Src | Self::NatSrc => Id::SrcMask,
            Self::Dst | Self::NatDst => Id::DstMask,
        }
    }
}

impl Value {
    /// The column whose value it is.
    pub(super) const fn column(self) -> Option<Id> {
        match self {
            Self::Column(id) | Self::Count(id) | Self::Hex(id, _) | Self::Acl(id) => Some(id),
            Self::Time(when, _) => Some(when.column()),
            Self::Flows => Some(Id::FlowCount),
            Self::Origin(side) => Some(side.as_number()),
            Self::Version => Some(Id::ExportVersion),
            Self::Protocol => Some(Id::Protocol),
            Self::Flags => Some(Id::TcpFlags),
            Self::DstPort => Some(Id::DstPort),
            Self::IcmpType => Some(Id::IcmpType),
            Self::IcmpCode => Some(Id::IcmpCode),
            Self::Direction => Some(Id::Direction),
            Self::Labels => Some(Id::MplsLabels),
            Self::FlowLabel => Some(Id::FlowLabel),
            Self::Event => Some(Id::FirewallEvent),
            Self::NatEvent => Some(Id::NatEvent),
            Self::ExtEvent => Some(Id::FirewallExtEvent),
            _ => None,
        }
    }

    /// Columns whose cells it is made from directly: at most two.
    const fn direct(self) -> [Option<Id>; 2] {
        match self {
            Self::Endpoint(side @ (Side::NatSrc | Side::NatDst), _) => [Some(side.addr()), Some(side.port())],
            Self::Net(side) => [Some(side.addr()), Some(side.mask())],
            Self::Geo(side, _) => [Some(side.addr()), None],
            Self::Origin(side) => [Some(side.as_number()), Some(side.addr())],
            Self::AddrCountry(id) => [Some(id), None],
            Self::Engine => [Some(Id::EngineType), Some(Id::EngineId)],
            Self::Duration { .. } => [Some(Id::FlowStart), Some(Id::FlowEnd)],
            Self::Ttl => [Some(Id::MinTtl), Some(Id::MaxTtl)],
            Self::Label(_) => [Some(Id::MplsLabels), None],
            Self::Fragment => [Some(Id::Other), None],
            Self::Event => [Some(Id::FirewallEvent), Some(Id::NatEvent)],
            // Type and code of ICMP and both ends are those of the 5-tuple.
            Self::IcmpType | Self::IcmpCode | Self::Endpoint(..) => [None, None],
            _ => [self.column(), None],
        }
    }

    /// Whether it is made from counters and times of the flow, with their fallbacks.
    pub(super) const fn has_counters(self) -> bool {
        matches!(
            self,
            Self::Flows | Self::Duration { .. } | Self::Rate(_) | Self::Time(When::First | When::Last, _)
        )
    }

    /// Whether it is made from the 5-tuple.
    const fn has_tuple(self) -> bool {
        matches!(
            self,
            Self::DstPort | Self::IcmpType | Self::IcmpCode | Self::Endpoint(Side::Src | Side::Dst, _)
        )
    }

    /// Columns it is made of.
    pub(super) fn columns(self) -> impl Iterator<Item = Id> {
        let names = match self {
            Self::Name(index) => NAME_COLUMNS[index].columns(),
            _ => Vec::new(),
        };
        let times = TIME_COLUMNS.into_iter().filter(move |_| self.has_counters());
        let counters = COUNTER_COLUMNS
            .into_iter()
            .filter(move |_| self.has_counters() && !matches!(self, Self::Duration { .. } | Self::Time(..)));
        let tuple = KEY_COLUMNS.into_iter().filter(move |_| self.has_tuple());
        let own = self.direct().into_iter().flatten();
        own.chain(times).chain(counters).chain(tuple).chain(names)
    }

    /// Whether its characters are octets, of those that are printed most.
    #[inline]
    pub(super) const fn is_ascii(self) -> bool {
        matches!(
            self,
            Self::Time(..) | Self::Duration { .. } | Self::Protocol | Self::Flags | Self::Endpoint(_, None)
        )
    }

    /// The same, looked up where exporters told no autonomous system.
    pub(super) const fn looked_up(self) -> Self {
        match self {
            Self::Column(Id::SrcAs) => Self::Origin(Side::Src),
            Self::Column(Id::DstAs) => Self::Origin(Side::Dst),
            other => other,
        }
    }

    /// Whether a database of places tells it.
    pub(super) const fn is_place(self) -> bool {
        matches!(
            self,
            Self::Endpoint(_, Some(_))
                | Self::AddrCountry(_)
                | Self::Geo(_, Geo::Country | Geo::Location | Geo::Organisation)
        )
    }

    /// Whether an address makes it as wide as it is.
    pub(super) fn is_address(self) -> bool {
        match self {
            Self::Column(id) => id.column().kind == Kind::Address,
            Self::Endpoint(..) | Self::AddrCountry(_) | Self::Net(_) => true,
            _ => false,
        }
    }
}

/// A value with the cells of a batch it is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready<'a> {
    pub(super) value: Value,
    /// Of [`Value::Column`].
    pub(super) column: Option<&'static Column>,
    pub(super) cells: Cells<'a>,
    pub(super) more: Cells<'a>,
}

impl<'a> Ready<'a> {
    pub(super) fn new(value: Value, batch: &'a Batch) -> Self {
        let [mut cells, more] = value.direct().map(|id| id.map_or(Cells::Absent, |id| batch.cells(id)));
        // Groups have no address, and may have what it would be asked for.
        if let (Value::Geo(side, what), Cells::Absent) = (value, cells) {
            let key = batch.extra().iter().find(|key| key.name == geo::name(side, what));
            cells = key.map_or(cells, |key| batch.cells(key.column));
        }
        let column = match value {
            Value::Column(id) => Some(id.column()),
            _ => None,
        };
        Self { value, column, cells, more }
    }
}

/// What several values of a row are made from, of all rows of a batch.
pub(super) struct Shared<'a> {
    counters: Option<CounterCells<'a>>,
    tuples: Option<TupleCells<'a>>,
    pub(super) names: NameCells<'a>,
}

/// As [`Shared`], of one row.
pub(super) struct Row {
    pub(super) at: usize,
    pub(super) counters: Counters,
    pub(super) tuple: FiveTuple,
}

/// What no value needs.
const NO_TUPLE: FiveTuple =
    FiveTuple { protocol: None, src_addr: None, dst_addr: None, src_port: None, dst_port: None };

impl<'a> Shared<'a> {
    /// For `values`.
    pub(super) fn new(
        values: impl Iterator<Item = Value> + Clone,
        batch: &'a Batch,
        names: &'a Names,
    ) -> Self {
        Self {
            counters: values.clone().any(Value::has_counters).then(|| CounterCells::new(batch)),
            tuples: values.clone().any(Value::has_tuple).then(|| TupleCells::new(batch)),
            names: NameCells::new(names, batch),
        }
    }

    #[inline]
    pub(super) fn row(&self, at: usize) -> Row {
        let counters = self.counters.map_or_else(Counters::default, |cells| cells.get(at));
        Row { at, counters, tuple: self.tuples.map_or(NO_TUPLE, |cells| cells.get(at)) }
    }
}
