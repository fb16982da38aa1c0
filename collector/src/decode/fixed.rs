//! NetFlow v1, v5 and v7: a header and up to 30 records of one form (Cisco, "NetFlow
//! Export Datagram Format"). A record is decoded as if a template described it.

use flow_common::element::ElementKey;
use flow_common::time::{Timestamp, export_to_wall};

use super::error::DecodeError;
use super::list::Unfolding;
use super::run::{self, MessageContext, Scratch};
use super::template::{Definition, FieldSpecifier, Template};
use super::value::TimeBase;
use super::wire::Reader;
use super::{FlowSink, Report, exporter_of};
use crate::datagram::Datagram;
use crate::sampling::{SamplingPolicy, SamplingRates};
use crate::session::Templates;

/// Records of one datagram; more would not fit an Ethernet frame.
const RECORDS_MAX: u16 = 30;

/// Fields that all versions begin with: (element, octets).
const COMMON: [(u16, u16); 11] = [
    (8, 4),  // source address
    (12, 4), // destination address
    (15, 4), // next hop
    (10, 2), // input interface
    (14, 2), // output interface
    (2, 4),  // packets
    (1, 4),  // octets
    (22, 4), // first, milliseconds of uptime
    (21, 4), // last
    (7, 2),  // source port
    (11, 2), // destination port; type << 8 | code of ICMP
];

/// What follows them in a record of v1.
const REST_V1: &[(u16, u16)] = &[
    (210, 2), // padding
    (4, 1),   // protocol
    (5, 1),   // type of service
    (6, 1),   // TCP flags
    (210, 7), // padding
];

/// The same in the longer form: softflowd's records have 48 octets, as tshark reads
/// them, those of routers 52.
const REST_V1_LONG: &[(u16, u16)] = &[(210, 2), (4, 1), (5, 1), (6, 1), (210, 11)];

/// What follows them in a record of v5.
const REST_V5: &[(u16, u16)] = &[
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

/// What follows those in a record of v7, of Catalyst switches, whose padding says which
/// fields are not valid: the router whose work the switch did, and that it stands for.
const ROUTER_V7: &[(u16, u16)] = &[(130, 4)];

/// Decoder of the versions without templates: their compiled records.
#[derive(Debug)]
pub(crate) struct Fixed {
    v1: Template,
    v1_long: Template,
    v5: Template,
    v7: Template,
}

impl Default for Fixed {
    fn default() -> Self {
        Self {
            v1: record(&[&COMMON, REST_V1], 48),
            v1_long: record(&[&COMMON, REST_V1_LONG], 52),
            v5: record(&[&COMMON, REST_V5], 48),
            v7: record(&[&COMMON, REST_V5, ROUTER_V7], 52),
        }
    }
}

/// The template of a record of these parts, so many octets.
fn record(parts: &[&[(u16, u16)]], record_bytes: usize) -> Template {
    let field = |(id, length)| FieldSpecifier { key: ElementKey::iana(id), length };
    let fields = parts.concat().into_iter().map(field).collect();
    let definition = Definition { id: 0, n_scope: None, fields };
    let mut template = Template::new(definition).expect("a record has octets");
    assert_eq!(template.record_bytes_min, record_bytes);
    template.plan.has_icmp_in_port = true;
    template
}

/// What a header says beyond the common fields.
#[derive(Debug, Default)]
struct Rest {
    sequence: Option<u32>,
    engine: Option<(u8, u8)>,
    sampling_rate: Option<u32>,
}

impl Rest {
    fn read(version: u16, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if version == 1 {
            return Ok(Self::default());
        }
        let sequence = Some(reader.u32("flow_sequence")?);
        if version == 7 {
            reader.u32("reserved octets")?;
            return Ok(Self { sequence, ..Self::default() });
        }
        let [engine_type, engine_id] = reader.u16("engine")?.to_be_bytes();
        // The top two bits are the mode; a rate of 0 says nothing.
        let rate = u32::from(reader.u16("sampling_interval")? & 0x3fff);
        let sampling_rate = (rate > 0).then_some(rate);
        Ok(Self { sequence, engine: Some((engine_type, engine_id)), sampling_rate })
    }
}

impl Fixed {
    /// Whether it decodes this version.
    pub(crate) const fn knows(version: u16) -> bool {
        matches!(version, 1 | 5 | 7)
    }

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
        let rest = Rest::read(report.version, &mut reader)?;
        let (engine_type, engine_id) = rest.engine.unwrap_or_default();
        let counter = u32::from(engine_type) << 8 | u32::from(engine_id);
        report.sequence = rest.sequence.map(|sequence| (counter, sequence));
        if !(1..=RECORDS_MAX).contains(&count) {
            return Err(DecodeError::RecordCount { count });
        }
        let is_all_of =
            |template: &Template| reader.remaining() == usize::from(count) * template.record_bytes_min;
        let template = match report.version {
            1 if is_all_of(&self.v1_long) => &self.v1_long,
            1 => &self.v1,
            7 => &self.v7,
            _ => &self.v5,
        };
        let body = reader.take("records", usize::from(count) * template.record_bytes_min)?;
        if !reader.is_zero_fill() {
            report.trailing_bytes += reader.remaining() as u64;
        }
        let export = Timestamp(export_to_wall(datagram.received_at, secs).0 + i64::from(nsecs / 1_000));
        let context = MessageContext {
            received_at: datagram.received_at,
            peer: exporter_of(datagram.peer),
            version: report.version,
            domain: None,
            sequence: rest.sequence.unwrap_or_default(),
            time: TimeBase { export, uptime_ms: Some(uptime_ms), init: None },
            engine: rest.engine,
            header_rate: rest.sampling_rate,
            policy,
        };
        let append = |records: run::Records<'_>| {
            run::append_flows(
                &template.plan,
                records,
                &context,
                SamplingRates::default().of_set(0),
                &mut Unfolding::new(Templates::default(), context.time),
                &mut sink.flows,
            );
        };
        report.trailing_bytes += run::for_records(template, body, scratch, append)?;
        Ok(())
    }
}
