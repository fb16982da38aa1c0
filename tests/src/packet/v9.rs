//! NetFlow version 9 (RFC 3954).

use super::{data_padding, octets_u16, padding, put_set, put_u16, put_u32};

/// FlowSet id of templates (RFC 3954 §5.2).
pub const TEMPLATE_SET: u16 = 0;
/// FlowSet id of options templates (RFC 3954 §6.1).
pub const OPTIONS_TEMPLATE_SET: u16 = 1;

/// What an options record is about (RFC 3954 §6.1).
pub mod scope {
    /// The whole exporter.
    pub const SYSTEM: u16 = 1;
    /// One interface.
    pub const INTERFACE: u16 = 2;
    /// One line card.
    pub const LINE_CARD: u16 = 3;
    /// The flow cache.
    pub const CACHE: u16 = 4;
    /// One template.
    pub const TEMPLATE: u16 = 5;
}

/// An export packet under construction.
///
/// Each call adds one FlowSet, padded to 32 bits unless its name says
/// otherwise. The header's count is the sum of template, options template and
/// data records (RFC 3954 §5.1), [`Message::with_count`] replaces it.
#[derive(Debug, Clone)]
pub struct Message {
    sys_uptime_ms: u32,
    unix_secs: u32,
    sequence: u32,
    source_id: u32,
    count: usize,
    sets: Vec<u8>,
}

impl Message {
    /// An export packet without FlowSets. `sys_uptime_ms` is milliseconds since
    /// the exporter started, `unix_secs` the export time, `sequence` the export
    /// packets sent before.
    pub fn new(sys_uptime_ms: u32, unix_secs: u32, sequence: u32, source_id: u32) -> Self {
        Self { sys_uptime_ms, unix_secs, sequence, source_id, count: 0, sets: Vec::new() }
    }

    /// A template FlowSet with one template; fields are (type, length).
    #[must_use]
    pub fn template(self, id: u16, fields: &[(u16, u16)]) -> Self {
        self.templates(&[(id, fields)])
    }

    /// A template FlowSet with several templates, of (id, fields) each.
    #[must_use]
    pub fn templates(self, templates: &[(u16, &[(u16, u16)])]) -> Self {
        let mut body = Vec::new();
        for (id, fields) in templates {
            put_u16(&mut body, *id);
            put_u16(&mut body, octets_u16(fields.len()));
            put_fields(&mut body, fields);
        }
        self.set(TEMPLATE_SET, &body, padding(body.len()), templates.len())
    }

    /// An options template FlowSet with one options template. `scopes` are
    /// (scope type, length), `fields` (type, length); unlike in IPFIX the
    /// lengths of both lists go in octets (RFC 3954 §6.1).
    #[must_use]
    pub fn options_template(self, id: u16, scopes: &[(u16, u16)], fields: &[(u16, u16)]) -> Self {
        let mut body = Vec::new();
        put_u16(&mut body, id);
        put_u16(&mut body, octets_u16(4 * scopes.len()));
        put_u16(&mut body, octets_u16(4 * fields.len()));
        put_fields(&mut body, scopes);
        put_fields(&mut body, fields);
        self.set(OPTIONS_TEMPLATE_SET, &body, padding(body.len()), 1)
    }

    /// A data FlowSet for template `id`, padded unless the padding could be
    /// read as one more record.
    #[must_use]
    pub fn data(self, id: u16, records: &[Vec<u8>]) -> Self {
        self.set(id, &records.concat(), data_padding(records), records.len())
    }

    /// A data FlowSet that ends with its last record, as some exporters send it.
    #[must_use]
    pub fn data_unpadded(self, id: u16, records: &[Vec<u8>]) -> Self {
        self.set(id, &records.concat(), 0, records.len())
    }

    /// A FlowSet of any id and content, not padded; counted as one record.
    #[must_use]
    pub fn raw_set(self, id: u16, octets: &[u8]) -> Self {
        self.set(id, octets, 0, 1)
    }

    /// The count for the header whatever the FlowSets hold; later FlowSets
    /// still add to it, so call it last.
    #[must_use]
    pub fn with_count(mut self, count: u16) -> Self {
        self.count = usize::from(count);
        self
    }

    /// The finished export packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20 + self.sets.len());
        put_u16(&mut out, 9);
        put_u16(&mut out, octets_u16(self.count));
        put_u32(&mut out, self.sys_uptime_ms);
        put_u32(&mut out, self.unix_secs);
        put_u32(&mut out, self.sequence);
        put_u32(&mut out, self.source_id);
        out.extend_from_slice(&self.sets);
        out
    }

    fn set(mut self, id: u16, body: &[u8], padding_octets: usize, n_records: usize) -> Self {
        put_set(&mut self.sets, id, body, padding_octets);
        self.count += n_records;
        self
    }
}

fn put_fields(out: &mut Vec<u8>, fields: &[(u16, u16)]) {
    for (kind, length) in fields {
        put_u16(out, *kind);
        put_u16(out, *length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Value, unhex};

    #[track_caller]
    fn check(message: &Message, expected: &str) {
        assert_eq!(message.encode(), unhex(expected));
    }

    fn empty() -> Message {
        Message::new(0x0a0b_0c0d, 0x5569_9d7f, 3, 0x11)
    }

    #[test]
    fn header_alone() {
        check(&empty(), "0009 0000 0a0b0c0d 55699d7f 00000003 00000011");
    }

    #[test]
    fn template_then_padded_data() {
        let records = [Value::new().uint(80, 2).uint(6, 1), Value::new().uint(53, 2).uint(17, 1)];
        check(
            &empty().template(256, &[(7, 2), (4, 1)]).data(256, &records.map(Vec::from)),
            "0009 0003 0a0b0c0d 55699d7f 00000003 00000011
             0000 0010 0100 0002 0007 0002 0004 0001
             0100 000c 0050 06 0035 11 0000",
        );
    }

    #[test]
    fn two_templates_share_a_set() {
        check(
            &empty().templates(&[(256, &[(7, 2)]), (257, &[(11, 2)])]),
            "0009 0002 0a0b0c0d 55699d7f 00000003 00000011
             0000 0014 0100 0001 0007 0002 0101 0001 000b 0002",
        );
    }

    #[test]
    fn options_templates_count_octets_and_are_padded() {
        check(
            &empty()
                .options_template(257, &[(scope::SYSTEM, 4)], &[(34, 4), (35, 1)])
                .data_unpadded(257, &[Value::new().uint(0, 4).uint(10, 4).uint(2, 1).encode()]),
            "0009 0002 0a0b0c0d 55699d7f 00000003 00000011
             0001 0018 0101 0004 0008 0001 0004 0022 0004 0023 0001 0000
             0101 000d 00000000 0000000a 02",
        );
    }

    #[test]
    fn padding_never_looks_like_a_record() {
        check(
            &empty().data(256, &[vec![1], vec![2], vec![3]]),
            "0009 0003 0a0b0c0d 55699d7f 00000003 00000011 0100 0007 01 02 03",
        );
    }

    #[test]
    fn raw_sets_and_counts_are_taken_as_given() {
        check(
            &empty().raw_set(5, &[0xff]).with_count(9),
            "0009 0009 0a0b0c0d 55699d7f 00000003 00000011 0005 0005 ff",
        );
    }
}
