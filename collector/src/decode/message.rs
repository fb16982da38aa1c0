//! Messages made of sets: NetFlow v9 export packets (RFC 3954 §5) and IPFIX
//! messages (RFC 7011 §3).

use flow_common::time::{Timestamp, export_to_wall};

use super::error::DecodeError;
use super::event::EventKind;
use super::list::Unfolding;
use super::run::{self, MessageContext};
use super::template::{Grammar, TEMPLATE_ID_MIN, Template, TemplateRecord, next_record};
use super::value::TimeBase;
use super::wire::{Reader, Set, SetIter};
use super::{Decoder, FlowSink, LateReport, Misuses, Outcome, Report, exporter_of};
use crate::datagram::Datagram;
use crate::sampling::{SamplingPolicy, SamplingRates};
use crate::session::{Lookup, SessionKey, Undo};
use crate::waiting::Ended;

/// What the id of a set says about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SetKind {
    Templates { is_options: bool },
    Data { template_id: u16 },
    Reserved,
}

impl SetKind {
    fn of(grammar: Grammar, id: u16) -> Self {
        match (grammar, id) {
            (Grammar::V9, 0) | (Grammar::Ipfix, 2) => Self::Templates { is_options: false },
            (Grammar::V9, 1) | (Grammar::Ipfix, 3) => Self::Templates { is_options: true },
            (_, template_id) if template_id >= TEMPLATE_ID_MIN => Self::Data { template_id },
            _ => Self::Reserved,
        }
    }
}

/// Reads the header behind the version; returns what the message says and its sets.
fn header<'a>(
    mut reader: Reader<'a>,
    datagram: &Datagram<'_>,
    report: &mut Report,
) -> Result<(MessageContext, Reader<'a>), DecodeError> {
    let available = reader.offset() + reader.remaining();
    let version = report.version;
    let (uptime_ms, sets) = if version == 9 {
        // The count of records is no bound to rely on (RFC 3954 §5.1).
        report.record_count = Some(reader.u16("record count")?.into());
        (Some(reader.u32("sysUptime")?), None)
    } else {
        let length = usize::from(reader.u16("message length")?);
        const HEADER_BYTES: usize = 16;
        if length < HEADER_BYTES || available < length {
            return Err(DecodeError::MessageLength { length, available });
        }
        (None, Some((length - HEADER_BYTES, available - length)))
    };
    let secs = reader.u32("export time")?;
    let sequence = reader.u32("sequence number")?;
    let domain = reader.u32("observation domain")?;
    report.domain = Some(domain);
    report.sequence = Some((domain, sequence));
    let body = match sets {
        Some((length, trailing)) => {
            let body = reader.take("sets", length)?;
            if !reader.is_zero_fill() {
                report.trailing_bytes += trailing as u64;
            }
            body
        }
        None => reader,
    };
    let time = TimeBase { export: export_to_wall(datagram.received_at, secs), uptime_ms, init: None };
    let context = MessageContext {
        received_at: datagram.received_at,
        peer: exporter_of(datagram.peer),
        version,
        domain: Some(domain),
        sequence,
        time,
        engine: None,
        header_rate: None,
        policy: SamplingPolicy::Announced,
    };
    Ok((context, body))
}

/// A message being decoded.
struct Message {
    key: SessionKey,
    context: MessageContext,
    grammar: Grammar,
    /// Templates it brought, or brought again.
    templates: Vec<u16>,
    /// What they were before: they count only if the message does.
    undo: Vec<Undo>,
    /// Sets whose template is not known (yet).
    waiting: Vec<(u16, Box<[u8]>)>,
    /// What options data said before this message: it counts only if the message does.
    facts_before: Option<(SamplingRates, Option<Timestamp>)>,
}

/// Records that may still come by the header of their packet; v9 only.
#[derive(Debug, Clone, Copy)]
struct Room(Option<usize>);

impl Room {
    /// Cisco's NX-OS pads FlowSets with 24 to 36 zeros, which can be a record or more.
    /// What is zero to the end, and more than the header speaks of, is padding.
    fn without_padding<'a>(self, template: &Template, body: Reader<'a>) -> Reader<'a> {
        let Some(room) = self.0.filter(|_| !template.is_variable()) else { return body };
        let record_bytes = template.record_bytes_min;
        let n_sent = body.remaining() / record_bytes;
        if n_sent <= room {
            return body;
        }
        let end = body.rest().iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
        let n = end.div_ceil(record_bytes).max(room);
        { body }.take("records", n * record_bytes).unwrap_or(body)
    }
}

/// What became of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decoded {
    /// Decoded, but for octets left over that are no padding.
    Whole {
        trailing_bytes: u64,
    },
    TemplateUnknown,
    TemplateExpired,
    TemplateWithdrawn,
}

impl Report {
    /// Counts a misuse of templates, and keeps the first of its kind to be told.
    fn note_misuse(&mut self, misuse: DecodeError, counter: impl Fn(&mut Misuses) -> &mut u64) {
        let n = counter(&mut self.n_misuses);
        *n += 1;
        if *n == 1 {
            self.misuses.push(misuse);
        }
    }

    /// A malformed message says nothing of templates.
    fn forget_templates(&mut self) {
        (self.templates_learned, self.templates_withdrawn) = (0, 0);
        (self.misuses, self.n_misuses) = (Vec::new(), Misuses::default());
    }
}

impl Decoder {
    /// Decodes a v9 or IPFIX message, whole or not at all (RFC 7011 §9.1).
    pub(super) fn decode_sets(
        &mut self,
        reader: Reader<'_>,
        datagram: &Datagram<'_>,
        sink: &mut FlowSink,
        report: &mut Report,
    ) -> Result<(), DecodeError> {
        let (context, body) = header(reader, datagram, report)?;
        let first_row = sink.flows.rows();
        let grammar = if report.version == 9 { Grammar::V9 } else { Grammar::Ipfix };
        check_framing(body, grammar)?;
        let key = SessionKey {
            peer: context.peer,
            listener: datagram.listener,
            transport: datagram.transport,
            version: report.version,
            domain: context.domain.unwrap_or_default(),
        };
        let (templates, undo, waiting) = (Vec::new(), Vec::new(), Vec::new());
        let mut message = Message { key, context, grammar, templates, undo, waiting, facts_before: None };
        self.sessions.hear(&key, context.received_at, self.lifetimes);
        let result = self.decode_body(body, &mut message, sink, report);
        if result.is_err() {
            self.sessions.undo(&key, message.undo);
            report.forget_templates();
            if let (Some((rates, init)), Some(session)) = (message.facts_before, self.sessions.get_mut(&key))
            {
                (session.rates, session.init) = (rates, init);
            }
            return result;
        }
        let rows = first_row..sink.flows.rows();
        report.events = self.connections.settle(&context, rows, &mut sink.flows);
        let is_awaited = |template_id: &u16| self.waiting.has(key, *template_id);
        self.ready.extend(message.templates.iter().copied().filter(is_awaited).map(|id| (key, id)));
        if report.outcome != Outcome::Decoded {
            // Its other sets are decoded; those that would wait are given up with it.
            return Ok(());
        }
        if let Some((template_id, _)) = message.waiting.first() {
            report.outcome = Outcome::Waiting;
            report.waits_for = Some(*template_id);
            let given_up = self.waiting.add(key, context, message.waiting);
            report
                .given_up
                .extend(given_up.into_iter().map(|template_id| DecodeError::TemplateMissing { template_id }));
        }
        Ok(())
    }

    fn decode_body(
        &mut self,
        body: Reader<'_>,
        message: &mut Message,
        sink: &mut FlowSink,
        report: &mut Report,
    ) -> Result<(), DecodeError> {
        // Records the header speaks of and that did not come yet.
        let mut n_left = report.record_count;
        for set in SetIter::new(body) {
            let set = set?;
            match SetKind::of(message.grammar, set.id) {
                SetKind::Templates { is_options } => {
                    let n_templates = self.learn(set, is_options, message, report)?;
                    n_left = n_left.map(|n_left| n_left.saturating_sub(n_templates));
                }
                SetKind::Data { template_id } => {
                    if message.facts_before.is_none() && self.sessions.is_options(&message.key, template_id) {
                        let session = self.sessions.get_mut(&message.key);
                        message.facts_before = session.map(|session| (session.rates.clone(), session.init));
                    }
                    let rows = sink.rows();
                    let room = Room(n_left);
                    match self.decode_set(template_id, set.body, room, message.key, &message.context, sink)? {
                        Decoded::Whole { trailing_bytes } => {
                            report.trailing_bytes += trailing_bytes;
                            let n_records = sink.rows().0 + sink.rows().1 - rows.0 - rows.1;
                            n_left = n_left.map(|n_left| n_left.saturating_sub(n_records));
                        }
                        // Whatever its id comes to mean later, this data is not of it.
                        Decoded::TemplateWithdrawn => {
                            report.outcome =
                                Outcome::Rejected(DecodeError::TemplateWithdrawn { template_id });
                        }
                        without => {
                            report.sets_expired += u64::from(without == Decoded::TemplateExpired);
                            message.waiting.push((template_id, set.body.rest().into()));
                        }
                    }
                }
                SetKind::Reserved => report.sets_reserved += 1,
            }
        }
        Ok(())
    }

    /// Learns the templates of a set; returns how many records it has.
    fn learn(
        &mut self,
        mut set: Set<'_>,
        is_options: bool,
        message: &mut Message,
        report: &mut Report,
    ) -> Result<usize, DecodeError> {
        let mut n_records = 0;
        while let Some(record) = next_record(&mut set.body, message.grammar, is_options)? {
            n_records += 1;
            let definition = match record {
                TemplateRecord::Define(definition) => definition,
                TemplateRecord::Withdraw { template_id } => {
                    self.withdraw(template_id, is_options, message, report);
                    continue;
                }
            };
            let template_id = definition.id;
            message.templates.push(template_id);
            let is_stream = message.key.transport.is_stream();
            if let Some(undo) = self.sessions.refresh(&message.key, &definition, &message.context) {
                message.undo.push(undo);
                if is_stream {
                    let misuse = DecodeError::TemplateRepeated { template_id };
                    report.note_misuse(misuse, |misuses| &mut misuses.repeated);
                }
                continue;
            }
            if is_stream && self.sessions.is_usable(&message.key, template_id) {
                let misuse = DecodeError::TemplateRedefined { template_id };
                report.note_misuse(misuse, |misuses| &mut misuses.redefined);
            }
            match Template::new(definition) {
                Ok(template) => {
                    if template.plan.events == Some(EventKind::Undirected) {
                        let misuse = DecodeError::BiflowUndirected { template_id };
                        report.note_misuse(misuse, |misuses| &mut misuses.undirected);
                    }
                    let (undo, n_evicted) = self.sessions.define(message.key, template, &message.context);
                    message.undo.push(undo);
                    report.templates_evicted += n_evicted as u64;
                    report.templates_learned += 1;
                }
                Err(error) => report.template_errors.push(error),
            }
        }
        Ok(n_records)
    }

    /// Withdraws one template of a stream, or all of a kind.
    fn withdraw(&mut self, template_id: u16, is_options: bool, message: &mut Message, report: &mut Report) {
        if !message.key.transport.is_stream() {
            report.withdrawals_ignored += 1;
            return;
        }
        let undos = match (template_id, is_options) {
            (2, false) | (3, true) => self.sessions.withdraw_all(&message.key, is_options),
            _ => self.sessions.withdraw(&message.key, template_id).into_iter().collect(),
        };
        report.templates_withdrawn += undos.len() as u64;
        if undos.is_empty() {
            let misuse = DecodeError::WithdrawalUnknown { template_id };
            report.note_misuse(misuse, |misuses| &mut misuses.unknown);
        }
        message.undo.extend(undos);
    }

    /// Decodes one data set, if its template is known.
    fn decode_set(
        &mut self,
        template_id: u16,
        body: Reader<'_>,
        room: Room,
        key: SessionKey,
        context: &MessageContext,
        sink: &mut FlowSink,
    ) -> Result<Decoded, DecodeError> {
        let key = match self.sessions.find(&key, template_id, context, self.lifetimes) {
            Lookup::Known(key) => key,
            Lookup::Withdrawn => return Ok(Decoded::TemplateWithdrawn),
            Lookup::Expired => return Ok(Decoded::TemplateExpired),
            Lookup::Unknown => return Ok(Decoded::TemplateUnknown),
        };
        let Some(session) = self.sessions.get_mut(&key) else { return Ok(Decoded::TemplateUnknown) };
        let uptime_ms = session.uptime.of(context.time);
        let (templates, rates, init) = session.split(&key, context, self.lifetimes);
        let Some(template) = templates.get(template_id) else { return Ok(Decoded::TemplateUnknown) };
        let body = room.without_padding(template, body);
        let time = TimeBase { uptime_ms, init: *init, ..context.time };
        let context = MessageContext { time, policy: self.policy, ..*context };
        let plan = &template.plan;
        let trailing_bytes = if template.definition.n_scope.is_some() {
            run::for_records(template, body, &mut self.scratch, |records| {
                for row in 0..records.len() {
                    let rate = run::record_rate(&plan.sampling, records, row);
                    if let Some((rate, scope)) = rate.zip(run::rate_scope(&plan.sampling, records, row)) {
                        rates.learn(scope, rate);
                    }
                    let init_time = plan.init.and_then(|field| run::init_time(records.field(row, field)));
                    *init = init_time.or(*init);
                }
                run::append_options(plan, records, &context, &mut sink.options);
            })
        } else {
            let mut unfolding = Unfolding::new(templates, time);
            let rates = rates.of_set(template_id);
            let trailing_bytes = run::for_records(template, body, &mut self.scratch, |records| {
                run::append_flows(plan, records, &context, rates, &mut unfolding, &mut sink.flows);
            });
            sink.lists_kept += unfolding.n_kept;
            trailing_bytes
        };
        Ok(Decoded::Whole { trailing_bytes: trailing_bytes? })
    }

    /// Decodes one set that waited for a template that has come, so that whoever
    /// holds the sink can empty it between two. Each such set stands for itself: the
    /// records of a sound one stay, even if its datagram has a malformed one too.
    pub(crate) fn decode_ready(&mut self, sink: &mut FlowSink) -> Option<LateReport> {
        self.next_ready()?;
        let &(key, template_id) = self.ready.front()?;
        let set = self.waiting.take(key, template_id)?;
        let rows = (sink.flows.rows(), sink.options.rows());
        let result =
            self.decode_set(template_id, Reader::new(&set.bytes), Room(None), key, &set.context, sink);
        // Evicted between its coming and now, or of another start of the exporter.
        let result = result.and_then(|done| match done {
            Decoded::Whole { .. } => Ok(()),
            _ => Err(DecodeError::TemplateMissing { template_id }),
        });
        if result.is_err() {
            sink.flows.truncate(rows.0);
            sink.options.truncate(rows.1);
        }
        let events = self.connections.settle(&set.context, rows.0..sink.flows.rows(), &mut sink.flows);
        let ended = self.waiting.finish(&set, result.is_ok()).map(|ended| match (ended, result) {
            (Ended::Decoded, _) => Outcome::Decoded,
            (Ended::Rejected, Err(error)) => Outcome::Rejected(error),
            // An earlier set of it was the bad one, or was given up.
            (Ended::Rejected, Ok(_)) => Outcome::Rejected(DecodeError::TemplateMissing { template_id }),
        });
        Some(LateReport { context: set.context, ended, events })
    }
}

/// Reads all lengths of a message before anything of it counts.
fn check_framing(body: Reader<'_>, grammar: Grammar) -> Result<(), DecodeError> {
    for set in SetIter::new(body) {
        let mut set = set?;
        if let SetKind::Templates { is_options } = SetKind::of(grammar, set.id) {
            while next_record(&mut set.body, grammar, is_options)?.is_some() {}
        }
    }
    Ok(())
}
