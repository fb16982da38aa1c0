//! IPFIX (RFC 7011).

use super::{data_padding, octets_u16, padding, put_set, put_u16, put_u32};

/// Set id of templates (RFC 7011 §3.3.2).
pub const TEMPLATE_SET: u16 = 2;
/// Set id of options templates (RFC 7011 §3.3.2).
pub const OPTIONS_TEMPLATE_SET: u16 = 3;
/// Field length that says: each value brings its own length (RFC 7011 §7).
pub const VARIABLE: u16 = 65_535;
/// Enterprise number of the reverse direction (RFC 5103 §6.1).
pub const REVERSE_PEN: u32 = 29_305;

/// Top bit of the element id: an enterprise number follows (RFC 7011 §3.2).
const ENTERPRISE_BIT: u16 = 0x8000;
/// Octets of the message header (RFC 7011 §3.1).
const HEADER_OCTETS: usize = 16;

/// A field specifier (RFC 7011 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Owner of the element; 0 is IANA and is not sent.
    pub pen: u32,
    /// Element id without the enterprise bit.
    pub element: u16,
    /// Octets of each value, or [`VARIABLE`].
    pub length: u16,
}

impl Field {
    /// An element of the IANA registry.
    pub const fn iana(element: u16, length: u16) -> Self {
        Self { pen: 0, element, length }
    }

    /// An element of the enterprise `pen`.
    pub const fn enterprise(pen: u32, element: u16, length: u16) -> Self {
        Self { pen, element, length }
    }

    /// An IANA element counted in the reverse direction (RFC 5103).
    pub const fn reverse(element: u16, length: u16) -> Self {
        Self::enterprise(REVERSE_PEN, element, length)
    }

    fn put(self, out: &mut Vec<u8>) {
        assert!(self.element < ENTERPRISE_BIT, "element ids have 15 bits");
        if self.pen == 0 {
            put_u16(out, self.element);
            put_u16(out, self.length);
        } else {
            put_u16(out, self.element | ENTERPRISE_BIT);
            put_u16(out, self.length);
            put_u32(out, self.pen);
        }
    }
}

/// A message under construction.
///
/// Each call adds one set. Padding is optional (RFC 7011 §3.3.1): template sets
/// are padded to 32 bits, data sets only by [`Message::data_padded`].
#[derive(Debug, Clone)]
pub struct Message {
    export_secs: u32,
    sequence: u32,
    domain: u32,
    length: Option<u16>,
    sets: Vec<u8>,
}

impl Message {
    /// A message without sets. `export_secs` is the export time in seconds
    /// since 1970, `sequence` the data records sent before, `domain` the
    /// observation domain id (RFC 7011 §3.1).
    pub fn new(export_secs: u32, sequence: u32, domain: u32) -> Self {
        Self { export_secs, sequence, domain, length: None, sets: Vec::new() }
    }

    /// A template set with one template (RFC 7011 §3.4.1).
    #[must_use]
    pub fn template(self, id: u16, fields: &[Field]) -> Self {
        self.templates(&[(id, fields)])
    }

    /// A template set with several templates, of (id, fields) each.
    #[must_use]
    pub fn templates(self, templates: &[(u16, &[Field])]) -> Self {
        let mut body = Vec::new();
        for (id, fields) in templates {
            put_u16(&mut body, *id);
            put_u16(&mut body, octets_u16(fields.len()));
            fields.iter().for_each(|field| field.put(&mut body));
        }
        self.set(TEMPLATE_SET, &body, padding(body.len()))
    }

    /// An options template set with one options template, whose first
    /// `n_scope` fields are the scope (RFC 7011 §3.4.2.2).
    #[must_use]
    pub fn options_template(self, id: u16, n_scope: u16, fields: &[Field]) -> Self {
        let mut body = Vec::new();
        put_u16(&mut body, id);
        put_u16(&mut body, octets_u16(fields.len()));
        put_u16(&mut body, n_scope);
        fields.iter().for_each(|field| field.put(&mut body));
        self.set(OPTIONS_TEMPLATE_SET, &body, padding(body.len()))
    }

    /// A withdrawal of template `id`: a template of no fields. Id 2 withdraws
    /// all templates of the domain (RFC 7011 §8.1).
    #[must_use]
    pub fn withdraw(self, id: u16) -> Self {
        self.template(id, &[])
    }

    /// A withdrawal of options template `id`, which has no scope count. Id 3
    /// withdraws all options templates of the domain (RFC 7011 §8.1).
    #[must_use]
    pub fn withdraw_options(self, id: u16) -> Self {
        let [high, low] = id.to_be_bytes();
        self.set(OPTIONS_TEMPLATE_SET, &[high, low, 0, 0], 0)
    }

    /// A data set for template `id`, which ends with its last record.
    #[must_use]
    pub fn data(self, id: u16, records: &[Vec<u8>]) -> Self {
        self.set(id, &records.concat(), 0)
    }

    /// A data set padded to 32 bits, unless the padding could be read as one
    /// more record. The shortest record given is the measure: not for templates
    /// with variable lengths, which allow shorter ones.
    #[must_use]
    pub fn data_padded(self, id: u16, records: &[Vec<u8>]) -> Self {
        self.set(id, &records.concat(), data_padding(records))
    }

    /// A set of any id and content, not padded.
    #[must_use]
    pub fn raw_set(self, id: u16, octets: &[u8]) -> Self {
        self.set(id, octets, 0)
    }

    /// The length for the header, whatever the message has.
    #[must_use]
    pub fn with_length(mut self, length: u16) -> Self {
        self.length = Some(length);
        self
    }

    /// The finished message.
    pub fn encode(&self) -> Vec<u8> {
        let length = HEADER_OCTETS + self.sets.len();
        let mut out = Vec::with_capacity(length);
        put_u16(&mut out, 10);
        put_u16(&mut out, self.length.unwrap_or_else(|| octets_u16(length)));
        put_u32(&mut out, self.export_secs);
        put_u32(&mut out, self.sequence);
        put_u32(&mut out, self.domain);
        out.extend_from_slice(&self.sets);
        out
    }

    fn set(mut self, id: u16, body: &[u8], padding_octets: usize) -> Self {
        put_set(&mut self.sets, id, body, padding_octets);
        self
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
        Message::new(0x5569_9d7f, 3, 123)
    }

    #[test]
    fn header_alone() {
        check(&empty(), "000a 0010 55699d7f 00000003 0000007b");
        check(&empty().with_length(9), "000a 0009 55699d7f 00000003 0000007b");
    }

    #[test]
    fn enterprise_and_variable_length_fields() {
        check(
            &empty()
                .template(256, &[Field::iana(82, VARIABLE), Field::enterprise(6876, 891, 1)])
                .data(256, &[Value::new().variable(b"vx0").uint(1, 1).encode()]),
            "000a 002d 55699d7f 00000003 0000007b
             0002 0014 0100 0002 0052 ffff 837b 0001 00001adc
             0100 0009 03 767830 01",
        );
    }

    #[test]
    fn reverse_elements_are_those_of_pen_29305() {
        check(
            &empty().template(256, &[Field::reverse(1, 8)]),
            "000a 0020 55699d7f 00000003 0000007b 0002 0010 0100 0001 8001 0008 00007279",
        );
    }

    #[test]
    fn options_template_is_padded() {
        check(
            &empty().options_template(462, 1, &[Field::iana(144, 4), Field::iana(167, 8)]),
            "000a 0024 55699d7f 00000003 0000007b
             0003 0014 01ce 0002 0001 0090 0004 00a7 0008 0000",
        );
    }

    #[test]
    fn withdrawals_have_no_fields() {
        check(
            &empty().withdraw(256).withdraw_options(462),
            "000a 0020 55699d7f 00000003 0000007b 0002 0008 0100 0000 0003 0008 01ce 0000",
        );
    }

    #[test]
    fn padded_and_raw_sets() {
        check(
            &empty().data_padded(256, &[vec![1, 2, 3]]).raw_set(4, &[9]),
            "000a 001d 55699d7f 00000003 0000007b 0100 0008 010203 00 0004 0005 09",
        );
    }
}
