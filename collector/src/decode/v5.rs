//! NetFlow v5: a header of 24 octets and up to 30 records of 48 (Cisco, "NetFlow
//! Export Datagram Format"). The record is decoded as if a template described it.

use flow_common::element::ElementKey;
use flow_common::time::{Timestamp, secs_to_wall};

use super::error::DecodeError;
use super::run::{self, MessageContext, Scratch};
use super::template::{Definition, FieldSpecifier, Template};
use super::value::TimeBase;
use super::wire::Reader;
use super::{FlowSink, Report, exporter_of};
use crate::datagram::Datagram;
use crate::sampling::{SamplingPolicy, SamplingRates};

/// Fields of a record in order: (element, octets).
const FIELDS: [(u16, u16); 20] = [
    (8, 4),   // source address
    (12, 4),  // destination address
    (15, 4),  // next hop
    (10, 2),  // input interface
    (14, 2),  // output interface
    (2, 4),   // packets
    (1, 4),   // octets
    (22, 4),  // first, milliseconds of uptime
    (21, 4),  // last
    (7, 2),   // source port
    (11, 2),  // destination port; type << 8 | code of ICMP
    (210, 1), // padding
    (6, 1),   // TCP flags
    (4, 1),   // protocol
    (5, 1),   // type of service
    (16, 2),  // source AS
    (17, 2),  // destination AS
    (9, 1),   // source mask
    (13, 1),  // destination mask
    (210, 2), // padding
];
const RECORD_BYTES: usize = 48;
/// Records of one datagram; more would not fit an Ethernet frame.
const RECORDS_MAX: u16 = 30;

/// Decoder of v5: the compiled record.
#[derive(Debug)]
pub(crate) struct V5 {
    template: Template,
}

impl Default for V5 {
    fn default() -> Self {
        let field = |(id, length)| FieldSpecifier { key: ElementKey::iana(id), length };
        let fields = FIELDS.into_iter().map(field).collect();
        let mut template =
            Template::new(Definition { id: 0, n_scope: None, fields }).expect("48 octets a record");
        assert_eq!(template.record_bytes_min, RECORD_BYTES);
        template.plan.has_icmp_in_port = true;
        Self { template }
    }
}

impl V5 {
    pub(crate) fn decode(
        &self,
        mut reader: Reader<'_>,
        datagram: &Datagram<'_>,
        policy: SamplingPolicy,
        scratch: &mut Scratch,
        sink: &mut FlowSink,
        report: &mut Report,
    ) -> Result<(), DecodeError> {
        let count = reader.u16("record count")?;
        let uptime_ms = reader.u32("sysUptime")?;
        let secs = reader.u32("unix_secs")?;
        let nsecs = reader.u32("unix_nsecs")?;
        let sequence = reader.u32("flow_sequence")?;
        let [engine_type, engine_id] = reader.u16("engine")?.to_be_bytes();
        let sampling = reader.u16("sampling_interval")?;
        report.sequence = Some((u32::from(engine_type) << 8 | u32::from(engine_id), sequence));
        if !(1..=RECORDS_MAX).contains(&count) {
            return Err(DecodeError::RecordCount { count });
        }
        let body = reader.take("records", usize::from(count) * RECORD_BYTES)?;
        if !reader.is_zero_fill() {
            report.trailing_bytes += reader.remaining() as u64;
        }
        // The top two bits are the mode; a rate of 0 says nothing.
        let rate = u32::from(sampling & 0x3fff);
        let export = Timestamp(secs_to_wall(datagram.received_at, secs).0 + i64::from(nsecs / 1_000));
        let context = MessageContext {
            received_at: datagram.received_at,
            peer: exporter_of(datagram.peer),
            version: 5,
            domain: None,
            sequence,
            time: TimeBase { export, uptime_ms: Some(uptime_ms), init: None },
            engine: Some((engine_type, engine_id)),
            header_rate: (rate > 0).then_some(rate),
            policy,
        };
        let append = |records: run::Records<'_>| {
            run::append_flows(
                &self.template.plan,
                records,
                &context,
                &SamplingRates::default(),
                &mut sink.flows,
            );
        };
        report.trailing_bytes += run::for_records(&self.template, body, scratch, append)?;
        Ok(())
    }
}
