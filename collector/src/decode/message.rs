//! Messages made of sets: NetFlow v9 export packets (RFC 3954 §5) and IPFIX
//! messages (RFC 7011 §3).

use flow_common::time::Timestamp;

use super::error::DecodeError;
use super::run::{self, MessageContext};
use super::template::{Grammar, TEMPLATE_ID_MIN, Template, TemplateRecord, next_record};
use super::value::TimeBase;
use super::wire::{Reader, Set, SetIter};
use super::{Decoder, FlowSink, Outcome, Report, exporter_of};
use crate::datagram::Datagram;
use crate::session::{SamplingPolicy, SessionKey};
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
        reader.u16("record count")?;
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
    let body = match sets {
        Some((length, trailing)) => {
            report.trailing_bytes += trailing as u64;
            reader.take("sets", length)?
        }
        None => reader,
    };
    let time = TimeBase { export: Timestamp::from_secs(i64::from(secs)), uptime_ms, init: None };
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

impl Decoder {
    /// Decodes a v9 or IPFIX message.
    pub(super) fn decode_sets(
        &mut self,
        reader: Reader<'_>,
        datagram: &Datagram<'_>,
        sink: &mut FlowSink,
        report: &mut Report,
    ) -> Result<(), DecodeError> {
        let (context, body) = header(reader, datagram, report)?;
        let grammar = if report.version == 9 { Grammar::V9 } else { Grammar::Ipfix };
        let domain = context.domain.unwrap_or_default();
        let key =
            SessionKey { peer: context.peer, listener: datagram.listener, version: report.version, domain };
        check_framing(body, grammar)?;
        let (mut waiting, mut learned) = (Vec::new(), Vec::new());
        for set in SetIter::new(body) {
            let set = set?;
            match SetKind::of(grammar, set.id) {
                SetKind::Templates { is_options } => {
                    self.learn(set, grammar, is_options, key, report, &mut learned)?;
                }
                SetKind::Data { template_id } => {
                    if !self.decode_set(template_id, set.body, key, &context, sink)? {
                        waiting.push((template_id, set.body.rest().into()));
                    }
                }
                SetKind::Reserved => report.sets_reserved += 1,
            }
        }
        if !waiting.is_empty() {
            report.outcome = Outcome::Waiting;
            self.waiting.add(key, context, waiting);
        }
        for template_id in learned {
            self.decode_waiting(template_id, key, sink, report);
        }
        Ok(())
    }

    fn learn(
        &mut self,
        mut set: Set<'_>,
        grammar: Grammar,
        is_options: bool,
        key: SessionKey,
        report: &mut Report,
        learned: &mut Vec<u16>,
    ) -> Result<(), DecodeError> {
        while let Some(record) = next_record(&mut set.body, grammar, is_options)? {
            let TemplateRecord::Define(definition) = record else {
                report.withdrawals_ignored += 1;
                continue;
            };
            if self.sessions.is_known(&key, &definition) {
                continue;
            }
            let template_id = definition.id;
            match Template::new(definition) {
                Ok(template) => {
                    report.templates_evicted += self.sessions.insert(key, template) as u64;
                    report.templates_learned += 1;
                    learned.push(template_id);
                }
                Err(error) => report.template_errors.push(error),
            }
        }
        Ok(())
    }

    /// Decodes one data set; false if its template is not known (yet).
    fn decode_set(
        &mut self,
        template_id: u16,
        body: Reader<'_>,
        key: SessionKey,
        context: &MessageContext,
        sink: &mut FlowSink,
    ) -> Result<bool, DecodeError> {
        let Some(session) = self.sessions.get_mut(&key) else { return Ok(false) };
        let Some((template, rates, init)) = session.template_for_use(template_id) else { return Ok(false) };
        let time = TimeBase { init: *init, ..context.time };
        let context = MessageContext { time, policy: self.policy, ..*context };
        if template.definition.n_scope.is_some() {
            run::for_records(template, body, &mut self.scratch, |records| {
                for row in 0..records.len() {
                    if let Some(rate) = run::record_rate(&template.plan.sampling, records, row) {
                        rates.learn(run::sampler_id(&template.plan.sampling, records, row), rate);
                    }
                    let init_time =
                        template.plan.init.and_then(|field| run::init_time(records.field(row, field)));
                    *init = init_time.or(*init);
                }
                run::append_options(&template.plan, records, &context, &mut sink.options);
            })?;
        } else {
            run::for_records(template, body, &mut self.scratch, |records| {
                run::append_flows(&template.plan, records, &context, rates, &mut sink.flows);
            })?;
        }
        Ok(true)
    }

    /// Decodes what waited for a template that has just come.
    fn decode_waiting(
        &mut self,
        template_id: u16,
        key: SessionKey,
        sink: &mut FlowSink,
        report: &mut Report,
    ) {
        while let Some(set) = self.waiting.take(key, template_id) {
            let rows = (sink.flows.rows(), sink.options.rows());
            let result = self.decode_set(template_id, Reader::new(&set.bytes), key, &set.context, sink);
            if result.is_err() {
                sink.flows.truncate(rows.0);
                sink.options.truncate(rows.1);
            }
            let ended = self.waiting.finish(&set, result.is_ok());
            match ended {
                Some(Ended::Decoded) => report.waited_decoded += 1,
                // An earlier set may have been the bad one, or one that was given up.
                Some(Ended::Rejected) => {
                    let error = result.err().unwrap_or(DecodeError::TemplateMissing { template_id });
                    report.waited_rejected.push(error);
                }
                None => {}
            }
        }
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
