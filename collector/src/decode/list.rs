//! Lists in records: basicList, subTemplateList and subTemplateMultiList
//! (RFC 6313 §4.5), and every element of one of these types.
//!
//! A list stays in `other` as received. What it holds is there besides, element
//! by element, numbered on from those of the record itself; and where a list has
//! one record only, that record speaks for the flow and fills the columns the flow
//! leaves free. Counters and flow times of an inner record are its own: they never
//! fill a column, so nothing is counted twice.
//!
//! **Invariant:** no list rejects a message. One that is malformed, too deep, or of
//! an unknown template is kept as received and counted.

use std::collections::HashMap;
use std::sync::LazyLock;

use flow_common::column::{COLUMNS, Column, ColumnId, Kind, Part};
use flow_common::element::{AbstractDataType, ElementKey};
use flow_common::limits;

use super::plan::{PADDING_OCTETS, fits};
use super::template::{FieldSpecifier, Grammar, field_specifier};
use super::value::{self, Read, TimeBase};
use super::wire::{Reader, take_value};
use crate::flow::FlowBatch;
use crate::session::Templates;

/// How the content of a list is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// Values of one element (RFC 6313 §4.5.1).
    Basic,
    /// Records of one template (RFC 6313 §4.5.2).
    Template,
    /// Records of several templates (RFC 6313 §4.5.3).
    MultiTemplate,
}

impl ListKind {
    /// The layout of an element's values; `None` if they are no lists.
    pub(crate) fn of(key: ElementKey) -> Option<Self> {
        match key.lookup()?.data_type {
            AbstractDataType::BasicList => Some(Self::Basic),
            AbstractDataType::SubTemplateList => Some(Self::Template),
            AbstractDataType::SubTemplateMultiList => Some(Self::MultiTemplate),
            _ => None,
        }
    }
}

/// The semantic "none of these is a property of the flow" (RFC 6313 §4.5.4). No
/// other has a meaning here, known or not.
const NONE_OF: u8 = 0;

/// Columns an inner record never fills: counters and times of its own, and what the
/// decoder fills behind the fields.
const NEVER_FILLED: [ColumnId; 11] = [
    ColumnId::Packets,
    ColumnId::Bytes,
    ColumnId::OutPackets,
    ColumnId::OutBytes,
    ColumnId::FlowCount,
    ColumnId::Layer2Bytes,
    ColumnId::FlowStart,
    ColumnId::FlowEnd,
    ColumnId::SamplingRate,
    ColumnId::EngineType,
    ColumnId::EngineId,
];

/// Columns an element of an inner record may fill, and how.
static FILLED_BY: LazyLock<HashMap<ElementKey, Vec<Filling>>> = LazyLock::new(|| {
    let mut filled_by: HashMap<_, Vec<_>> = HashMap::new();
    let is_open = |column: &&Column| {
        !NEVER_FILLED.contains(&column.id) && !matches!(column.kind, Kind::Labels | Kind::Other)
    };
    for column in COLUMNS.iter().filter(is_open) {
        for source in column.sources.iter().filter(|source| source.part != Part::TunnelKey) {
            let filling = Filling { column, source, read: Read::of(column, source) };
            filled_by.entry(source.key).or_default().push(filling);
        }
    }
    filled_by
});

/// One way to fill a column.
struct Filling {
    column: &'static Column,
    source: &'static flow_common::column::Source,
    read: Read,
}

/// Takes the lists of a set's records apart.
pub(super) struct Unfolding<'a> {
    templates: Templates<'a>,
    time: TimeBase,
    /// Order of the entries of one row, kept for its memory.
    order: Vec<u32>,
    /// Lists kept as received alone.
    pub(super) n_kept: u64,
}

/// What is known of the list around a value.
#[derive(Debug, Clone, Copy)]
struct Nesting {
    /// Lists around it, itself included.
    depth: usize,
    /// Whether all of them speak for the flow.
    is_of_flow: bool,
}

impl<'a> Unfolding<'a> {
    pub(super) fn new(templates: Templates<'a>, time: TimeBase) -> Self {
        Self { templates, time, order: Vec::new(), n_kept: 0 }
    }

    /// Adds what the lists of one row hold, before the row's entries of `other` end.
    /// `n_of` tells how often the record itself has an element.
    pub(super) fn unfold<'l>(
        &mut self,
        lists: impl Iterator<Item = (ListKind, &'l [u8])>,
        n_of: impl Fn(ElementKey) -> u16,
        batch: &mut FlowBatch,
    ) {
        let first = batch.maps(ColumnId::Other).keys.len();
        for (kind, list) in lists {
            if self.list(kind, list, Nesting { depth: 1, is_of_flow: true }, batch).is_none() {
                self.n_kept += 1;
            }
        }
        self.number(first, n_of, batch);
    }

    /// Takes one list apart; `None` and nothing done if that can't be.
    fn list(&mut self, kind: ListKind, list: &[u8], nesting: Nesting, batch: &mut FlowBatch) -> Option<()> {
        if nesting.depth > limits::LIST_DEPTH_MAX {
            return None;
        }
        let templates = self.templates;
        for_groups(kind, list, templates, |fields, content| {
            for_values(fields, content, |_, _| {}).map(|_| ())
        })?;
        let is_of_flow = nesting.is_of_flow && list.first() != Some(&NONE_OF);
        for_groups(kind, list, templates, |fields, content| {
            let n_records = for_values(fields, content, |_, _| {})?;
            let nesting = Nesting { is_of_flow: is_of_flow && n_records == 1, ..nesting };
            for_values(fields, content, |field, value| self.value(field.key, value, nesting, batch))?;
            Some(())
        })
    }

    fn value(&mut self, key: ElementKey, value: &[u8], nesting: Nesting, batch: &mut FlowBatch) {
        if let Some(kind) = ListKind::of(key) {
            let inner = Nesting { depth: nesting.depth + 1, ..nesting };
            if self.list(kind, value, inner, batch).is_some() {
                return;
            }
            self.n_kept += 1;
        } else if nesting.is_of_flow && self.fill(key, value, batch) {
            return;
        }
        let maps = batch.maps(ColumnId::Other);
        maps.keys.push(key.to_other_key(0));
        maps.values.push(Some(value));
    }

    /// Fills the columns that take this element and are free; whether one holds all of it.
    fn fill(&self, key: ElementKey, value: &[u8], batch: &mut FlowBatch) -> bool {
        let mut is_held = false;
        for Filling { column, source, read } in FILLED_BY.get(&key).into_iter().flatten() {
            let length = u16::try_from(value.len()).unwrap_or_default();
            if batch.has_value(column.id) || !fits(column, source, length) {
                continue;
            }
            is_held |= self.push(column, *read, value, batch) && !read.is_lossy();
        }
        is_held
    }

    /// Appends a value to a column if it is one.
    fn push(&self, column: &Column, read: Read, bytes: &[u8], batch: &mut FlowBatch) -> bool {
        let integer = || value::integer(read, bytes, self.time);
        match column.kind {
            Kind::Int32 => {
                let value = integer().and_then(|value| i32::try_from(value).ok());
                value.map(|value| batch.int32(column.id).push(Some(value))).is_some()
            }
            Kind::Int64 | Kind::Timestamp => {
                integer().map(|value| batch.int64(column.id).push(Some(value))).is_some()
            }
            Kind::Address => {
                value::address(bytes).map(|value| batch.address(column.id).push(Some(value))).is_some()
            }
            Kind::Mac => bytes.try_into().map(|value| batch.mac(column.id).push(Some(value))).is_ok(),
            Kind::Text => value::text(bytes).map(|text| batch.variable(column.id).push(Some(text))).is_some(),
            Kind::Binary => {
                batch.variable(column.id).push(Some(bytes));
                true
            }
            Kind::Float64 | Kind::Boolean | Kind::Labels | Kind::Other => false,
        }
    }

    /// Numbers repetitions among the entries from `first` on, in order, behind those of
    /// the record itself.
    fn number(&mut self, first: usize, n_of: impl Fn(ElementKey) -> u16, batch: &mut FlowBatch) {
        let keys = batch.maps(ColumnId::Other).keys.get_mut(first..).unwrap_or_default();
        self.order.clear();
        self.order.extend(0..keys.len() as u32);
        self.order.sort_unstable_by_key(|&index| (keys[index as usize], index));
        let mut previous = None;
        let mut n = 0;
        for &index in &self.order {
            let slot = &mut keys[index as usize];
            let (key, _) = ElementKey::from_other_key(*slot);
            n = if previous == Some(key) { n + 1 } else { n_of(key) };
            previous = Some(key);
            // 65,535 octets can't hold more; the last number would be given twice.
            *slot = key.to_other_key(n);
        }
    }
}

/// Calls `each` with the fields and the octets of each group of like records; `None`
/// if a header is cut off, a template unknown, or `each` says so.
fn for_groups(
    kind: ListKind,
    list: &[u8],
    templates: Templates<'_>,
    mut each: impl FnMut(&[FieldSpecifier], &[u8]) -> Option<()>,
) -> Option<()> {
    let (_semantic, content) = list.split_first()?;
    let mut reader = Reader::new(content);
    let mut records = |template_id, content: &[u8]| match content {
        // A list of no records needs no template.
        [] => Some(()),
        _ => {
            let template = templates.get(template_id)?;
            each(&template.definition.fields, content)
        }
    };
    match kind {
        ListKind::Basic => {
            let element = field_specifier(&mut reader, Grammar::Ipfix, false).ok()?;
            // Elements of no octets could be any number.
            let is_countable = element.length > 0 || reader.rest().is_empty();
            is_countable.then(|| each(&[element], reader.rest()))?
        }
        ListKind::Template => {
            let template_id = reader.u16("template id").ok()?;
            records(template_id, reader.rest())
        }
        ListKind::MultiTemplate => {
            const HEADER_BYTES: usize = 4;
            while reader.remaining() > 0 {
                let template_id = reader.u16("template id").ok()?;
                let length = usize::from(reader.u16("length").ok()?).checked_sub(HEADER_BYTES)?;
                records(template_id, reader.take("records", length).ok()?.rest())?;
            }
            Some(())
        }
    }
}

/// Calls `each` with every value of records of these fields, in order, and returns
/// the number of records; `None` if the last is not whole.
fn for_values(
    fields: &[FieldSpecifier],
    content: &[u8],
    mut each: impl FnMut(&FieldSpecifier, &[u8]),
) -> Option<usize> {
    let mut rest = content;
    let mut n_records = 0;
    while !rest.is_empty() {
        for field in fields.iter().filter(|field| field.length > 0) {
            let value = take_value(&mut rest, field.length)?;
            if field.key != PADDING_OCTETS {
                each(field, value);
            }
        }
        n_records += 1;
    }
    Some(n_records)
}

#[cfg(test)]
mod tests {
    use flow_common::time::Timestamp;

    use super::*;

    /// Octets that a row with this list leaves behind, growth of the buffers included,
    /// for each octet of the list.
    fn memory_factor(list: &[u8]) -> usize {
        let time = TimeBase { export: Timestamp::default(), uptime_ms: None, init: None };
        let mut unfolding = Unfolding::new(Templates::default(), time);
        let mut batch = FlowBatch::default();
        unfolding.unfold([(ListKind::Basic, list)].into_iter(), |_| 1, &mut batch);
        let maps = batch.maps(ColumnId::Other);
        let entries = 8 * maps.keys.capacity() + 4 * maps.values.ends.capacity();
        let scratch = 4 * unfolding.order.capacity();
        (entries + maps.values.bytes.capacity() + scratch) / list.len()
    }

    /// A basic list of variable-length elements `id`.
    fn basic(id: u16, content: &[u8]) -> Vec<u8> {
        let [high, low] = id.to_be_bytes();
        [&[3, high, low, 255, 255], content].concat()
    }

    #[test]
    fn memory_is_bounded_by_the_octets_of_a_list() {
        const CONTENT_BYTES: usize = 65_000;
        let nested = |depth: usize| {
            let length = (CONTENT_BYTES as u16).to_be_bytes();
            (1..depth).fold(basic(83, &[0; CONTENT_BYTES]), |inner, _| {
                basic(291, &[&[255, length[0], length[1]], &inner[..CONTENT_BYTES]].concat())
            })
        };
        let lists = [
            basic(83, &[0; CONTENT_BYTES]),
            basic(291, &[0; CONTENT_BYTES]),
            basic(291, &[1, 3].repeat(CONTENT_BYTES / 2)),
            basic(291, &[5, 3, 0, 83, 255, 255].repeat(CONTENT_BYTES / 6)),
            basic(291, &[6, 3, 0, 83, 255, 255, 0].repeat(CONTENT_BYTES / 7)),
            nested(limits::LIST_DEPTH_MAX),
            nested(limits::LIST_DEPTH_MAX + 1),
        ];
        for list in lists {
            // The bound of a datagram is 64; the record around the list has a part in it.
            assert!(memory_factor(&list) <= 40, "{} for {:?}", memory_factor(&list), &list[..20]);
        }
    }

    #[test]
    fn entries_are_numbered_behind_those_of_the_record() {
        let time = TimeBase { export: Timestamp::default(), uptime_ms: None, init: None };
        let mut unfolding = Unfolding::new(Templates::default(), time);
        let mut batch = FlowBatch::default();
        let list = basic(83, &[1, b'a', 1, b'b']);
        unfolding.unfold([(ListKind::Basic, &list[..])].into_iter(), |_| 2, &mut batch);
        let keys = &batch.maps(ColumnId::Other).keys;
        assert_eq!(keys.iter().map(|&key| ElementKey::from_other_key(key).1).collect::<Vec<_>>(), [2, 3]);
    }
}
