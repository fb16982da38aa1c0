//! What the values of a key are: those of a column, or computed from some.

use std::collections::HashMap;
use std::sync::Arc;

use flow_common::addr::Addr16;
use flow_common::column::{ColumnId, Kind};

mod service;

use self::service::Services;
use super::key::Mask;
use crate::aggregate::Value;
use crate::batch::{Batch, Cells};
use crate::bucket::Bucket;
use crate::columns::ColumnRef;
use crate::flow::Times;
use crate::places::{Country, ORIGINS, Places, told_or};
use crate::values::{Bytes, Column, Dictionary, Values};

/// Where the values of one part of a key are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Column(ColumnRef),
    /// The destination port, for ICMP type * 256 + code, from their own columns where those
    /// are there.
    Service,
    /// The network of an address, as long as its route's prefix.
    Net {
        addr: ColumnId,
        mask: ColumnId,
    },
    /// An entry of the MPLS label stack; the top is 1.
    Label(u8),
    /// The country of an address, as databases tell.
    Country(ColumnId),
    /// The autonomous system the exporter told, else that of the address, as databases tell.
    Origin {
        number: ColumnId,
        addr: ColumnId,
        /// With its organisation.
        is_named: bool,
    },
    /// Start of the bucket the flow began in.
    Bucket(Bucket),
}

/// Octets of a network: the address, and the length of its prefix.
const NET_BYTES: usize = 17;

impl Source {
    /// The column whose values it has as they are.
    pub(crate) fn column(self) -> Option<ColumnRef> {
        match self {
            Self::Column(column) => Some(column),
            Self::Service => Some(ColumnId::DstPort.into()),
            _ => None,
        }
    }

    /// Columns it is made of.
    pub(crate) fn columns(self) -> Vec<ColumnRef> {
        match self {
            Self::Column(column) => vec![column],
            Self::Service => [ColumnId::DstPort, ColumnId::Protocol, ColumnId::IcmpType, ColumnId::IcmpCode]
                .map(ColumnRef::from)
                .to_vec(),
            Self::Net { addr, mask } => vec![addr.into(), mask.into()],
            Self::Label(_) => vec![ColumnId::MplsLabels.into()],
            Self::Country(addr) => vec![addr.into()],
            Self::Origin { number, addr, .. } => vec![number.into(), addr.into()],
            // `received` is for flows without a time.
            Self::Bucket(_) => [ColumnId::FlowStart, ColumnId::FlowEnd].map(ColumnRef::from).to_vec(),
        }
    }

    /// The kind of what is computed, in a batch; that of a column is its own.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Column(column) => column.table().map_or(Kind::Other, |column| column.kind),
            Self::Service | Self::Country(_) => Kind::Int32,
            Self::Net { .. } => Kind::Binary,
            Self::Label(_) => Kind::Labels,
            Self::Origin { .. } => Kind::Int64,
            Self::Bucket(_) => Kind::Timestamp,
        }
    }

    /// An autonomous system that is looked up where exporters told none, of one that is not.
    pub(crate) fn looked_up(self) -> Option<Self> {
        let Self::Column(column) = self else { return None };
        let (number, addr) = ORIGINS.into_iter().find(|(number, _)| column == *number)?;
        Some(Self::Origin { number, addr, is_named: false })
    }

    /// Whether it needs a database of places.
    pub(crate) fn needs_places(self) -> bool {
        matches!(self, Self::Country(_) | Self::Origin { is_named: true, .. })
    }

    /// What octets of a computed value stand for; `None` for those of columns.
    pub(super) fn value_of<'a>(
        self,
        word: u64,
        octets: impl Fn() -> &'a [u8],
        places: Option<&Places>,
    ) -> Option<Value> {
        match self {
            Self::Net { .. } => net(octets()),
            _ => self.of_int(word as i64, places),
        }
    }

    /// The value of a row, of the cells that were computed.
    pub(crate) fn value(
        self,
        kind: Kind,
        cells: Cells<'_>,
        row: usize,
        places: Option<&Places>,
    ) -> Option<Value> {
        match self {
            Self::Column(_) | Self::Service | Self::Bucket(_) | Self::Origin { is_named: false, .. } => {
                Value::of(kind, cells, row)
            }
            Self::Net { .. } => net(cells.binary(row)?),
            _ => self.of_int(cells.int(row)?, places),
        }
    }

    fn of_int(self, number: i64, places: Option<&Places>) -> Option<Value> {
        match self {
            Self::Label(_) => Some(Value::Label(number as i32)),
            Self::Country(_) => Some(Value::Text(Country(number as u16).to_string().into())),
            Self::Origin { is_named: true, .. } => {
                let number = number as u32;
                let name = places.and_then(|places| places.organisation(number));
                let name = name.map_or_else(String::new, |name| format!(" {name}"));
                Some(Value::Text(format!("AS{number}{name}").into()))
            }
            _ => None,
        }
    }
}

fn net(octets: &[u8]) -> Option<Value> {
    let (addr, length) = octets.split_first_chunk()?;
    Some(Value::Net(Addr16(*addr), *length.first()?))
}

/// Computes the values of a source, from batch to batch.
pub(crate) struct Computer {
    source: Source,
    places: Option<Arc<Places>>,
    /// What the values of a dictionary became: its id, the new one, and an id there for each.
    known: Option<(u64, Arc<Dictionary>, Vec<u32>)>,
    services: Services,
}

impl Computer {
    pub(crate) fn new(source: Source, places: Option<Arc<Places>>) -> Self {
        Self { source, places, known: None, services: Services::default() }
    }

    /// The values of all rows; `None` where they are those of [`Source::column`].
    pub(crate) fn compute(&mut self, batch: &Batch) -> Option<Column> {
        match self.source {
            Source::Column(_) => None,
            Source::Service => self.services.compute(batch),
            Source::Net { addr, mask } => Some(nets(batch, addr, mask)),
            Source::Label(entry) => Some(label(batch, entry)),
            Source::Country(addr) => Some(self.countries(batch.cells(addr), batch.rows())),
            Source::Origin { number, addr, is_named } => Some(self.origins(batch, (number, addr), is_named)),
            Source::Bucket(bucket) => Some(starts(bucket, batch)),
        }
    }

    /// Countries by the ids of addresses, each of which is looked up once.
    fn countries(&mut self, addrs: Cells<'_>, rows: usize) -> Column {
        let places = self.places.clone();
        let country =
            |addr: u128| places.as_ref().and_then(|places| places.country(Addr16(addr.to_be_bytes())));
        let Some((dictionary, ids)) = addrs.dictionary() else {
            let addr = |row| addrs.octets(row).map(u128::from_be_bytes);
            return Column::ints((0..rows).map(|row| country(addr(row)?).map(|Country(code)| code.into())));
        };
        if self.known.as_ref().is_none_or(|known| known.0 != dictionary.id) {
            let found: Vec<Option<i64>> = match &dictionary.values {
                Values::Fixed(addrs) => {
                    addrs.iter().map(|addr| country(*addr).map(|Country(code)| code.into())).collect()
                }
                _ => vec![None; dictionary.len()],
            };
            let (values, ids) = numbered(&found);
            self.known = Some((dictionary.id, Arc::new(Dictionary::new(Values::Ints(values))), ids));
        }
        let Some((_, dictionary, new)) = &self.known else { return Column::Null };
        let null = dictionary.len() as u32;
        let ids = ids.iter().map(|&id| new.get(id as usize).copied().unwrap_or(null)).collect();
        Column::Ids { dictionary: Arc::clone(dictionary), ids }
    }

    /// What exporters told of a system, where it is more than 0, else what databases do. A 0
    /// that stays is nobody's name.
    fn origins(&mut self, batch: &Batch, (number, addr): (ColumnId, ColumnId), is_named: bool) -> Column {
        let (numbers, addrs) = (batch.cells(number), batch.cells(addr));
        let Some(places) = &self.places else { return Column::Null };
        let mut known = HashMap::<u128, Option<i64>>::new();
        let mut origin = |row: usize| {
            let told = numbers.int(row);
            let looked_up = || {
                let addr = addrs.octets(row)?;
                let look_up = || places.origin(Addr16(addr)).map(|origin| origin.number.into());
                *known.entry(u128::from_be_bytes(addr)).or_insert_with(look_up)
            };
            told_or(told, looked_up).filter(|number| *number > 0 || !is_named)
        };
        Column::ints((0..batch.rows()).map(&mut origin))
    }
}

/// Values that differ, and for each of `all` its place among them; that of none is behind them.
fn numbered(all: &[Option<i64>]) -> (Vec<i64>, Vec<u32>) {
    let mut values: Vec<i64> = all.iter().copied().flatten().collect();
    values.sort_unstable();
    values.dedup();
    let place = |value: &Option<i64>| match value {
        Some(value) => values.binary_search(value).unwrap_or(values.len()) as u32,
        None => values.len() as u32,
    };
    let ids = all.iter().map(place).collect();
    (values, ids)
}

/// Networks, with a dictionary: most rows share theirs with others.
fn nets(batch: &Batch, addr: ColumnId, mask: ColumnId) -> Column {
    let (addrs, masks) = (batch.cells(addr), batch.cells(mask));
    let mut known = HashMap::<(u128, u8), u32>::new();
    let mut nets = Bytes::default();
    let mut id = |row: usize| {
        let addr = Addr16(addrs.octets(row)?);
        let length = u8::try_from(masks.int(row)?).ok()?;
        if length > if addr.is_v4() { 32 } else { 128 } {
            return None;
        }
        let net = Mask { v4: Some(length), v6: Some(length) }.apply(u128::from_be_bytes(addr.0))?;
        Some(*known.entry((net, length)).or_insert_with(|| {
            let mut octets = [length; NET_BYTES];
            octets[..NET_BYTES - 1].copy_from_slice(&net.to_be_bytes());
            nets.push(&octets);
            nets.len() as u32 - 1
        }))
    };
    let ids: Vec<Option<u32>> = (0..batch.rows()).map(&mut id).collect();
    let null = nets.len() as u32;
    let ids = ids.into_iter().map(|id| id.unwrap_or(null)).collect();
    Column::Ids { dictionary: Arc::new(Dictionary::new(Values::Bytes(nets))), ids }
}

fn label(batch: &Batch, entry: u8) -> Column {
    let labels = batch.cells(ColumnId::MplsLabels);
    let at = usize::from(entry).saturating_sub(1);
    Column::ints((0..batch.rows()).map(|row| labels.labels(row)?.nth(at).map(i64::from)))
}

/// When the buckets began that flows began in; NULL of flows that tell no time.
fn starts(bucket: Bucket, batch: &Batch) -> Column {
    let times = Times::new(batch);
    let mut spans = Spans::new(bucket);
    Column::ints((0..batch.rows()).map(|row| times.first(row).map(|first| spans.start(first))))
}

/// Starts of buckets, for flows near each other.
#[derive(Debug)]
pub(super) struct Spans {
    bucket: Bucket,
    /// From when to when the last one was, µs.
    last: (i64, i64),
}

impl Spans {
    pub(super) fn new(bucket: Bucket) -> Self {
        Self { bucket, last: (0, 0) }
    }

    pub(super) fn start(&mut self, micros: i64) -> i64 {
        if !(self.last.0..self.last.1).contains(&micros) {
            let start = self.bucket.start(micros);
            self.last = (start, self.bucket.end(start));
        }
        self.last.0
    }
}
