//! Running a plan over the records of a data set, column by column.

use std::net::SocketAddr;

use flow_common::addr::Addr16;
use flow_common::column::{ColumnId, Kind};
use flow_common::proto::ICMP;
use flow_common::time::Timestamp;

use super::error::DecodeError;
use super::event::append_contributes;
use super::fill::{append_column, is_zero};
use super::list::Unfolding;
use super::plan::{FieldIndex, OtherOp, Plan, SamplingFields, Section, When};
use super::rate::Announced;
use super::section::{self, Headers};
use super::template::{FieldSpecifier, Template, VARIABLE};
use super::time::append_missing_times;
use super::value::{self, TimeBase};
use super::wire::{Reader, uint};
use crate::flow::FlowBatch;
use crate::sampling::{RateScope, SamplingPolicy, SamplingSource, SetRates};

/// What all records of a message have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageContext {
    pub(crate) received_at: Timestamp,
    pub(crate) peer: SocketAddr,
    pub(crate) version: u16,
    /// Observation domain id or source id; `None` for v5.
    pub(crate) domain: Option<u32>,
    pub(crate) sequence: u32,
    pub(crate) time: TimeBase,
    /// Engine type and id in the header of v5.
    pub(crate) engine: Option<(u8, u8)>,
    /// Sampling rate in the header of v5.
    pub(crate) header_rate: Option<u32>,
    pub(crate) policy: SamplingPolicy,
}

/// Where a field lies in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    offset: usize,
    length: usize,
}

impl Location {
    /// Where the fields of a template lie; none if any is of variable length.
    pub(super) fn all(fields: &[FieldSpecifier]) -> Box<[Self]> {
        if fields.iter().any(|field| field.length == VARIABLE) {
            return Box::default();
        }
        let lengths = fields.iter().map(|field| usize::from(field.length));
        let locate = |end: &mut usize, length| {
            let offset = *end;
            *end += length;
            Some(Self { offset, length })
        };
        lengths.scan(0, locate).collect()
    }
}

/// Records of one length in a row, and where their fields lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    stride: usize,
    n: usize,
    locations: &'a [Location],
}

impl<'a> Records<'a> {
    /// The octets of one field; empty where the record has none.
    pub(crate) fn field(&self, row: usize, field: FieldIndex) -> &'a [u8] {
        let location = self.locations.get(usize::from(field));
        location
            .and_then(|at| {
                let start = row * self.stride + at.offset;
                self.bytes.get(start..start + at.length)
            })
            .unwrap_or_default()
    }

    pub(super) fn fields(self, field: FieldIndex) -> impl Iterator<Item = &'a [u8]> {
        (0..self.n).map(move |row| self.field(row, field))
    }

    /// The octets of a field of `N`; `None` if it has another length.
    #[inline]
    pub(super) fn arrays<const N: usize>(self, field: FieldIndex) -> Option<impl Iterator<Item = [u8; N]>> {
        let at = *self.locations.get(usize::from(field)).filter(|at| at.length == N)?;
        let (start, end) = (at.offset, at.offset + N);
        if end > self.stride {
            return None;
        }
        // Every record is `stride` octets long, so that one check holds for all of them
        // and the compiler drops that of each.
        let records = self.bytes.get(..self.n * self.stride)?.chunks_exact(self.stride);
        let read = move |record: &'a [u8]| record.get(start..end).and_then(|field| field.try_into().ok());
        Some(records.map(move |record| read(record).unwrap_or([0; N])))
    }

    pub(crate) fn len(&self) -> usize {
        self.n
    }

    /// One of the records, alone.
    fn only(self, row: usize) -> Self {
        Self { bytes: self.bytes.get(row * self.stride..).unwrap_or_default(), n: 1, ..self }
    }
}

/// Buffers kept between sets, so that decoding allocates nothing per record.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    locations: Vec<Location>,
}

/// Calls `each` with all records of a data set. What is shorter than the smallest
/// record is padding (RFC 7011 §3.3.1); returns its octets where they are not zero.
pub(crate) fn for_records(
    template: &Template,
    body: Reader<'_>,
    scratch: &mut Scratch,
    mut each: impl FnMut(Records<'_>),
) -> Result<u64, DecodeError> {
    if !template.is_variable() {
        let (locations, stride) = (&template.locations, template.record_bytes_min);
        let n = body.remaining() / stride;
        if n > 0 {
            each(Records { bytes: body.rest(), stride, n, locations });
        }
        return Ok(trailing(body.rest().get(n * stride..)));
    }
    let (mut rest, mut offset) = (body.rest(), body.offset());
    while rest.len() >= template.record_bytes_min {
        let length = locate(template, rest, offset, &mut scratch.locations)?;
        each(Records { bytes: rest, stride: length, n: 1, locations: &scratch.locations });
        rest = rest.get(length..).unwrap_or_default();
        offset += length;
    }
    Ok(trailing(Some(rest)))
}

/// Octets left over, if they are more than zero fill.
fn trailing(rest: Option<&[u8]>) -> u64 {
    rest.filter(|rest| !is_zero(rest)).map_or(0, |rest| rest.len() as u64)
}

/// Finds the fields of one record of variable length (RFC 7011 §7); returns its length.
fn locate(
    template: &Template,
    record: &[u8],
    record_offset: usize,
    locations: &mut Vec<Location>,
) -> Result<usize, DecodeError> {
    locations.clear();
    let overrun = |needed: usize| DecodeError::VariableLength {
        offset: record_offset,
        needed: record_offset + needed,
        available: record_offset + record.len(),
    };
    let mut offset = 0;
    for field in &template.definition.fields {
        let mut length = usize::from(field.length);
        if field.length == VARIABLE {
            length = usize::from(*record.get(offset).ok_or_else(|| overrun(offset + 1))?);
            offset += 1;
            if length == 255 {
                let long = record.get(offset..offset + 2).and_then(uint);
                length = long.ok_or_else(|| overrun(offset + 2))? as usize;
                offset += 2;
            }
        }
        locations.push(Location { offset, length });
        offset += length;
        if record.len() < offset {
            return Err(overrun(offset));
        }
    }
    Ok(offset)
}

/// Appends the flow records of `records` to `batch`.
pub(crate) fn append_flows(
    plan: &Plan,
    records: Records<'_>,
    context: &MessageContext,
    rates: SetRates<'_>,
    unfolding: &mut Unfolding<'_>,
    batch: &mut FlowBatch,
) {
    // What lists hold fills columns row by row.
    if !plan.lists.is_empty() && records.n > 1 {
        for row in 0..records.n {
            append_flows(plan, records.only(row), context, rates, unfolding, batch);
        }
        return;
    }
    let mut is_unfit = false;
    for op in &plan.ops {
        is_unfit |= append_column(op, plan, records, context.time, batch);
    }
    if plan.has_icmp_in_port {
        append_icmp_from_port(plan, records, batch);
    }
    if let Some((key, tunnel_type)) = plan.tunnel_key {
        is_unfit |= append_tunnel_key(key, tunnel_type, records, batch);
    }
    if let Some(section) = &plan.section {
        append_section(section, records, batch);
    }
    if !plan.labels.is_empty() {
        append_labels(&plan.labels, records, batch);
    }
    let has_no_rate = |row| record_rate(&plan.sampling, records, row).is_none();
    is_unfit |= plan.sampling.rate.is_some() && (0..records.n).any(has_no_rate);
    let others = if is_unfit { &plan.others } else { &plan.extras };
    if !others.is_empty() {
        append_other(others, plan, records, context.time, batch);
    }
    if !plan.lists.is_empty() {
        append_lists(plan, records, unfolding, batch);
    }
    if let Some(kind) = plan.counter_kind {
        batch.variable(ColumnId::CounterKind).push_n(kind.as_bytes(), records.n);
    }
    append_missing_times(plan.has_flow_time, records.n, context, batch);
    if let Some(kind) = plan.events {
        append_contributes(kind, records.n, batch);
    }
    append_sampling(&plan.sampling, records, context, rates, batch);
    append_provenance(records.n, context, batch);
    batch.add_rows(records.n);
}

/// Appends options data records: every field as received, and where they came from.
pub(crate) fn append_options(
    plan: &Plan,
    records: Records<'_>,
    context: &MessageContext,
    batch: &mut FlowBatch,
) {
    append_other(&plan.others, plan, records, context.time, batch);
    append_provenance(records.n, context, batch);
    batch.add_rows(records.n);
}

/// The time base, with the exporter's start where the record itself carries it.
pub(super) fn time_of(plan: &Plan, records: Records<'_>, row: usize, time: TimeBase) -> TimeBase {
    let init = plan.init.and_then(|field| init_time(records.field(row, field)));
    TimeBase { init: init.or(time.init), ..time }
}

/// systemInitTimeMilliseconds (160); zero says nothing.
pub(crate) fn init_time(bytes: &[u8]) -> Option<Timestamp> {
    let millis = i64::try_from(uint(bytes)?).ok().filter(|&millis| millis > 0)?;
    Some(Timestamp::from_millis(millis))
}

/// NetFlow v5 has ICMP type and code in the destination port, type << 8 | code,
/// and 0 in the source port; fprobe has the type in the source port and the code
/// in the destination port.
fn append_icmp_from_port(plan: &Plan, records: Records<'_>, batch: &mut FlowBatch) {
    let field = |column| plan.ops.iter().find(|op| op.column == column).map(|op| op.field);
    let fields = (field(ColumnId::Protocol), field(ColumnId::SrcPort), field(ColumnId::DstPort));
    let (Some(protocol), Some(src_port), Some(dst_port)) = fields else { return };
    if !records.fields(protocol).any(|protocol| protocol == [ICMP]) {
        return;
    }
    for row in 0..records.n {
        let is_icmp = records.field(row, protocol) == [ICMP];
        let port = |field| uint(records.field(row, field)).unwrap_or_default() as i32;
        let (icmp_type, code) = match (port(src_port), port(dst_port)) {
            (icmp_type @ 1..=255, code @ 0..=255) => (icmp_type, code),
            (_, port) => (port >> 8, port & 0xff),
        };
        batch.int32(ColumnId::IcmpType).push(is_icmp.then_some(icmp_type));
        batch.int32(ColumnId::IcmpCode).push(is_icmp.then_some(code));
    }
}

fn append_tunnel_key(
    key: FieldIndex,
    tunnel_type: Option<FieldIndex>,
    records: Records<'_>,
    batch: &mut FlowBatch,
) -> bool {
    const GRE: u64 = 2;
    let mut is_unfit = false;
    for row in 0..records.n {
        let bytes = records.field(row, key);
        let value = uint(bytes).and_then(|value| i64::try_from(value).ok());
        is_unfit |= value.is_none() && !bytes.is_empty();
        let is_gre = tunnel_type.is_some_and(|field| uint(records.field(row, field)) == Some(GRE));
        batch.int64(ColumnId::Vni).push(value.filter(|_| !is_gre));
        batch.int64(ColumnId::GreKey).push(value.filter(|_| is_gre));
    }
    is_unfit
}

fn append_section(section: &Section, records: Records<'_>, batch: &mut FlowBatch) {
    let is_free = |column: &ColumnId| section.columns.contains(column);
    if records.fields(section.field).all(|octets| octets.len() < section::HEADER_BYTES_MIN) {
        // Packets all the same, if of nothing else.
        if is_free(&ColumnId::Packets) {
            batch.int64(ColumnId::Packets).push_n(1, records.n);
        }
        return;
    }
    let headers: Vec<_> =
        records.fields(section.field).map(|octets| Headers::parse(section.kind, octets)).collect();
    // Where no packet has the header, the column stays as it is.
    for (column, of) in section::INTEGERS.iter().filter(|(column, _)| is_free(column)) {
        if headers.iter().all(|headers| of(headers).is_none()) {
            continue;
        }
        match column.column().kind {
            Kind::Int32 => {
                let values =
                    headers.iter().map(|headers| of(headers).and_then(|value| i32::try_from(value).ok()));
                values.for_each(|value| batch.int32(*column).push(value));
            }
            _ => headers.iter().for_each(|headers| batch.int64(*column).push(of(headers))),
        }
    }
    for (column, of) in section::ADDRESSES.iter().filter(|(column, _)| is_free(column)) {
        if headers.iter().all(|headers| of(headers).is_none()) {
            continue;
        }
        headers.iter().for_each(|headers| batch.address(*column).push(of(headers)));
    }
    for (column, of) in section::MACS.iter().filter(|(column, _)| is_free(column)) {
        if headers.iter().all(|headers| of(headers).is_none()) {
            continue;
        }
        headers.iter().for_each(|headers| batch.mac(*column).push(of(headers)));
    }
}

fn append_labels(fields: &[FieldIndex], records: Records<'_>, batch: &mut FlowBatch) {
    let lists = batch.lists(ColumnId::MplsLabels);
    for row in 0..records.n {
        let labels =
            || fields.iter().map(|&field| value::label(records.field(row, field)).unwrap_or_default());
        // Exporters fill a template of 10 entries with zeros behind the stack.
        let n = labels().rev().skip_while(|&label| label == 0).count();
        lists.items.extend(labels().take(n));
        lists.ends.push(lists.items.len() as i32);
    }
}

fn append_other(
    others: &[OtherOp],
    plan: &Plan,
    records: Records<'_>,
    time: TimeBase,
    batch: &mut FlowBatch,
) {
    let maps = batch.maps(ColumnId::Other);
    for row in 0..records.n {
        for other in others {
            let bytes = records.field(row, other.field);
            if belongs_to_other(other, plan, records, row, time) {
                maps.keys.push(other.key);
                maps.values.push(Some(bytes));
            }
        }
        maps.ends.push(maps.keys.len() as i32);
    }
}

/// Adds what the lists of one record hold to its entries of `other`.
fn append_lists(plan: &Plan, record: Records<'_>, unfolding: &mut Unfolding<'_>, batch: &mut FlowBatch) {
    let lists = plan.lists.iter().map(|&(field, kind)| (kind, record.field(0, field)));
    unfolding.unfold(lists, |key| plan.n_of(key), batch);
    let maps = batch.maps(ColumnId::Other);
    // A list is never taken by a column, so the record has entries already.
    if let Some(end) = maps.ends.last_mut() {
        *end = maps.keys.len() as i32;
    }
}

fn belongs_to_other(other: &OtherOp, plan: &Plan, records: Records<'_>, row: usize, time: TimeBase) -> bool {
    let bytes = records.field(row, other.field);
    match other.when {
        When::Always => true,
        When::NotZero => !is_zero(bytes),
        When::Unfit if bytes.is_empty() => false,
        When::Unfit => !is_taken(other.field, plan, records, row, time),
    }
}

/// Whether a column could take the value of a field that it claims.
fn is_taken(field: FieldIndex, plan: &Plan, records: Records<'_>, row: usize, time: TimeBase) -> bool {
    let bytes = records.field(row, field);
    if plan.labels.contains(&field) {
        return true;
    }
    if plan.sampling.rate == Some(field) {
        return record_rate(&plan.sampling, records, row).is_some();
    }
    if plan.tunnel_key.is_some_and(|(key, _)| key == field) {
        return uint(bytes).is_some_and(|value| i64::try_from(value).is_ok());
    }
    plan.ops.iter().filter(|op| op.field == field).all(|op| match op.column.column().kind {
        Kind::Int32 => value::integer(op.read, bytes, time).is_some_and(|value| i32::try_from(value).is_ok()),
        Kind::Int64 | Kind::Timestamp => {
            value::integer(op.read, bytes, time_of(plan, records, row, time)).is_some()
        }
        Kind::Address => value::address(bytes).is_some(),
        Kind::Mac => bytes.len() == 6,
        Kind::Text => value::text(bytes).is_some(),
        Kind::Float64 | Kind::Boolean | Kind::Binary | Kind::Labels | Kind::Other => true,
    })
}

/// The rate a record tells itself, as packets one sampled packet stands for.
pub(crate) fn record_rate(fields: &SamplingFields, records: Records<'_>, row: usize) -> Option<i64> {
    let octets = |field: Option<FieldIndex>| field.map_or(&[][..], |field| records.field(row, field));
    let announced = Announced {
        rate: octets(fields.rate),
        interval: octets(fields.interval),
        space: octets(fields.space),
        size: octets(fields.size),
        population: octets(fields.population),
        probability: octets(fields.probability),
    };
    announced.rate()
}

/// What the rate in an options data record is about; `None` for a part of the domain
/// that no record names.
pub(crate) fn rate_scope(fields: &SamplingFields, records: Records<'_>, row: usize) -> Option<RateScope> {
    let number = |field: Option<FieldIndex>| uint(records.field(row, field?));
    let part = number(fields.sampler).map(RateScope::Sampler);
    let part = part.or_else(|| number(fields.interface).map(RateScope::Interface));
    let part = part.or_else(|| number(fields.template).map(RateScope::Template));
    part.or_else(|| (!fields.is_of_unknown_part).then_some(RateScope::Domain))
}

fn append_sampling(
    fields: &SamplingFields,
    records: Records<'_>,
    context: &MessageContext,
    SetRates { rates, of_template }: SetRates<'_>,
    batch: &mut FlowBatch,
) {
    let header = context.header_rate.map(|rate| (i64::from(rate), SamplingSource::Header));
    let (default, forced) = match context.policy {
        SamplingPolicy::Announced => (None, None),
        SamplingPolicy::Default(rate) => (Some((i64::from(rate), SamplingSource::Override)), None),
        SamplingPolicy::Forced(rate) => (None, Some((i64::from(rate), SamplingSource::Override))),
    };
    let of_all = forced.or(header).or(default);
    let has_own = SamplingFields { interface: None, ..*fields } != SamplingFields::default();
    if !has_own && rates.is_empty() && of_all.is_none() {
        return;
    }
    let number = |row, field: Option<FieldIndex>| uint(records.field(row, field?));
    let of_domain = rates.domain().map(|rate| (rate, SamplingSource::Domain));
    let is_by_row = has_own || fields.interface.is_some() && rates.interfaces_differ();
    if !is_by_row {
        let of_template = of_template.map(|rate| (rate, SamplingSource::Sampler));
        let Some((rate, source)) = forced.or(of_template).or(of_domain).or(of_all) else { return };
        batch.int64(ColumnId::SamplingRate).push_n(rate, records.n);
        batch.variable(ColumnId::SamplingSource).push_n(source.name().as_bytes(), records.n);
        return;
    }
    for row in 0..records.n {
        let of_record = || Some((record_rate(fields, records, row)?, SamplingSource::Record));
        let of_sampler = || rates.of_sampler(number(row, fields.sampler)?);
        let of_interface = || rates.of_interface(number(row, fields.interface)?);
        let of_part = || Some((of_sampler().or_else(of_interface).or(of_template)?, SamplingSource::Sampler));
        let told = || of_record().or_else(of_part).or(of_domain).or(of_all);
        let rate = forced.or_else(told);
        batch.int64(ColumnId::SamplingRate).push(rate.map(|(rate, _)| rate));
        batch.variable(ColumnId::SamplingSource).push(rate.map(|(_, source)| source.name().as_bytes()));
    }
}

fn append_provenance(n: usize, context: &MessageContext, batch: &mut FlowBatch) {
    batch.int64(ColumnId::Received).push_n(context.received_at.0, n);
    batch.address(ColumnId::ExporterAddr).push_n(Addr16::from(context.peer.ip()).0, n);
    batch.int64(ColumnId::ExportTime).push_n(context.time.export.0, n);
    batch.int32(ColumnId::ExportVersion).push_n(i32::from(context.version), n);
    // The header of v1 has none.
    if context.version != 1 {
        batch.int64(ColumnId::Sequence).push_n(i64::from(context.sequence), n);
    }
    if let Some(domain) = context.domain {
        batch.int64(ColumnId::ObservationDomain).push_n(i64::from(domain), n);
    }
    if let Some((engine_type, engine_id)) = context.engine {
        batch.int32(ColumnId::EngineType).push_n(i32::from(engine_type), n);
        batch.int32(ColumnId::EngineId).push_n(i32::from(engine_id), n);
    }
}
