//! Template records: parsing their definition (RFC 3954 §5.2 and §6.1,
//! RFC 7011 §3.4.1 and §3.4.2) and what is kept of them.

use flow_common::element::ElementKey;
use flow_common::limits;

use super::error::DecodeError;
use super::plan::Plan;
use super::run::Location;
use super::wire::Reader;

/// Length that says "the value carries its length" (RFC 7011 §7).
pub(crate) const VARIABLE: u16 = u16::MAX;
/// Bit of an IPFIX element id that announces an enterprise number (RFC 7011 §3.2).
const ENTERPRISE_BIT: u16 = 0x8000;
/// Smallest template id; below are set ids (RFC 7011 §3.4.1, RFC 3954 §5.2).
pub(crate) const TEMPLATE_ID_MIN: u16 = 256;

/// One field of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FieldSpecifier {
    pub(crate) key: ElementKey,
    /// Octets, or [`VARIABLE`].
    pub(crate) length: u16,
}

/// Which of the two grammars a set is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grammar {
    /// NetFlow v9: no enterprise bit, scope fields with types of their own.
    V9,
    /// IPFIX.
    Ipfix,
}

/// What a template record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) id: u16,
    /// Leading fields that are scope; `None` for a template of flow records.
    pub(crate) n_scope: Option<u16>,
    pub(crate) fields: Vec<FieldSpecifier>,
}

/// A template record, or the withdrawal of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TemplateRecord {
    Define(Definition),
    /// Field count 0 (RFC 7011 §8.1); ignored over UDP (§8.4). The id of the set says
    /// that all templates of its kind are withdrawn.
    Withdraw {
        template_id: u16,
    },
}

/// A template ready for decoding.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) definition: Definition,
    pub(crate) plan: Plan,
    /// Octets of the smallest record; what is shorter at the end of a set is padding.
    pub(crate) record_bytes_min: usize,
    /// Where its fields lie; empty if records differ in length.
    pub(super) locations: Box<[Location]>,
}

impl Template {
    pub(crate) fn new(definition: Definition) -> Result<Self, DecodeError> {
        let lengths = definition.fields.iter().map(|field| match field.length {
            VARIABLE => 1,
            length => usize::from(length),
        });
        let record_bytes_min = lengths.sum();
        if record_bytes_min == 0 {
            return Err(DecodeError::TemplateEmpty { template_id: definition.id });
        }
        let n_fields = definition.fields.len();
        if n_fields > limits::FIELDS_PER_OCTET_MAX * record_bytes_min {
            return Err(DecodeError::TemplateFields { template_id: definition.id, n_fields });
        }
        let plan = match definition.n_scope {
            None => Plan::compile(&definition.fields),
            Some(n_scope) => Plan::compile_options(&definition.fields, n_scope),
        };
        let locations = Location::all(&definition.fields);
        Ok(Self { definition, plan, record_bytes_min, locations })
    }

    /// Whether any field is of variable length, so records differ in length.
    pub(crate) fn is_variable(&self) -> bool {
        self.locations.is_empty()
    }

    /// Memory it holds, octets.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(self.definition.fields.as_slice())
            + size_of_val(&*self.locations)
            + self.plan.bytes()
    }
}

/// Reads the next template record of a (options) template set; `None` at its
/// end or at padding.
pub(crate) fn next_record(
    reader: &mut Reader<'_>,
    grammar: Grammar,
    is_options: bool,
) -> Result<Option<TemplateRecord>, DecodeError> {
    const HEADER_BYTES_MIN: usize = 4;
    if reader.remaining() < HEADER_BYTES_MIN || reader.is_zero_fill() {
        return Ok(None);
    }
    let offset = reader.offset();
    let id = reader.u16("template id")?;
    let (n_fields, n_scope) = match (grammar, is_options) {
        (_, false) => (usize::from(reader.u16("field count")?), None),
        (Grammar::V9, true) => {
            // Lengths in octets, 4 for each field (RFC 3954 §6.1).
            let scope = reader.u16("option scope length")?;
            let fields = reader.u16("option length")?;
            if scope % 4 != 0 || fields % 4 != 0 {
                return Err(DecodeError::TemplateScope { template_id: id });
            }
            (usize::from(scope / 4) + usize::from(fields / 4), Some(scope / 4))
        }
        (Grammar::Ipfix, true) => {
            let n_fields = usize::from(reader.u16("field count")?);
            if n_fields == 0 {
                return Ok(Some(TemplateRecord::Withdraw { template_id: id }));
            }
            (n_fields, Some(reader.u16("scope field count")?))
        }
    };
    if n_fields == 0 {
        return Ok(Some(TemplateRecord::Withdraw { template_id: id }));
    }
    if id < TEMPLATE_ID_MIN {
        return Err(DecodeError::TemplateId { template_id: id, offset });
    }
    if n_fields > limits::TEMPLATE_FIELDS_MAX {
        return Err(DecodeError::TemplateFields { template_id: id, n_fields });
    }
    // IPFIX forbids options without scope (RFC 7011 §3.4.2.2); v9 devices send them.
    if n_scope.is_some_and(|n| usize::from(n) > n_fields || (n == 0 && grammar == Grammar::Ipfix)) {
        return Err(DecodeError::TemplateScope { template_id: id });
    }
    let mut fields = Vec::with_capacity(n_fields.min(reader.remaining() / 4));
    for index in 0..n_fields {
        let is_scope = n_scope.is_some_and(|n| index < usize::from(n));
        fields.push(field_specifier(reader, grammar, is_scope)?);
    }
    Ok(Some(TemplateRecord::Define(Definition { id, n_scope, fields })))
}

pub(super) fn field_specifier(
    reader: &mut Reader<'_>,
    grammar: Grammar,
    is_scope: bool,
) -> Result<FieldSpecifier, DecodeError> {
    let id = reader.u16("field type")?;
    let length = reader.u16("field length")?;
    let key = match grammar {
        Grammar::V9 if is_scope => ElementKey::iana(scope_element(id)),
        Grammar::V9 => ElementKey::iana(id),
        Grammar::Ipfix if id & ENTERPRISE_BIT != 0 => {
            ElementKey::enterprise(reader.u32("enterprise number")?, id & !ENTERPRISE_BIT)
        }
        Grammar::Ipfix => ElementKey::iana(id),
    };
    Ok(FieldSpecifier { key, length })
}

/// The IPFIX element that means what a v9 scope type does (RFC 3954 §6.1,
/// RFC 7011 §3.4.2.1).
const fn scope_element(scope_type: u16) -> u16 {
    match scope_type {
        1 => 144, // system: exportingProcessId
        2 => 10,  // interface: ingressInterface
        3 => 141, // line card: lineCardId
        4 => 143, // cache: meteringProcessId
        5 => 145, // template: templateId
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[track_caller]
    fn check(
        grammar: Grammar,
        is_options: bool,
        words: &[u16],
        expected: Result<Option<TemplateRecord>, DecodeError>,
    ) {
        let bytes = octets(words);
        assert_eq!(next_record(&mut Reader::new(&bytes), grammar, is_options), expected);
    }

    fn define(
        id: u16,
        n_scope: Option<u16>,
        fields: &[(u32, u16, u16)],
    ) -> Result<Option<TemplateRecord>, DecodeError> {
        let fields = fields
            .iter()
            .map(|&(pen, id, length)| FieldSpecifier { key: ElementKey { pen, id }, length })
            .collect();
        Ok(Some(TemplateRecord::Define(Definition { id, n_scope, fields })))
    }

    #[test]
    fn definitions_of_both_grammars() {
        check(
            Grammar::V9,
            false,
            &[256, 2, 8, 4, 0x9000, 2],
            define(256, None, &[(0, 8, 4), (0, 0x9000, 2)]),
        );
        check(Grammar::Ipfix, false, &[256, 1, 0x8001, 8, 0, 29305], define(256, None, &[(29305, 1, 8)]));
        check(Grammar::V9, true, &[257, 4, 4, 1, 4, 34, 4], define(257, Some(1), &[(0, 144, 4), (0, 34, 4)]));
        check(
            Grammar::Ipfix,
            true,
            &[258, 2, 1, 144, 4, 34, 4],
            define(258, Some(1), &[(0, 144, 4), (0, 34, 4)]),
        );
        check(Grammar::Ipfix, false, &[256, 0], Ok(Some(TemplateRecord::Withdraw { template_id: 256 })));
        check(Grammar::Ipfix, true, &[3, 0], Ok(Some(TemplateRecord::Withdraw { template_id: 3 })));
        check(Grammar::V9, false, &[0, 0], Ok(None));
        check(Grammar::V9, false, &[0], Ok(None));
    }

    #[test]
    fn malformed_definitions_say_why() {
        let error = DecodeError::TemplateId { template_id: 255, offset: 0 };
        check(Grammar::Ipfix, false, &[255, 1, 8, 4], Err(error));
        let error = DecodeError::TemplateFields { template_id: 256, n_fields: 65_535 };
        check(Grammar::Ipfix, false, &[256, 65_535, 8, 4], Err(error));
        check(Grammar::Ipfix, true, &[256, 1, 0, 8, 4], Err(DecodeError::TemplateScope { template_id: 256 }));
        check(
            Grammar::V9,
            true,
            &[256, 6, 4, 1, 4, 8, 4],
            Err(DecodeError::TemplateScope { template_id: 256 }),
        );
        check(Grammar::Ipfix, true, &[256, 1, 2, 8, 4], Err(DecodeError::TemplateScope { template_id: 256 }));
        let error = DecodeError::Truncated { what: "field type", offset: 8, needed: 10, available: 8 };
        check(Grammar::Ipfix, false, &[256, 2, 8, 4], Err(error));
        let error = DecodeError::Truncated { what: "enterprise number", offset: 8, needed: 12, available: 8 };
        check(Grammar::Ipfix, false, &[256, 1, 0x8001, 4], Err(error));
    }

    #[test]
    fn a_template_of_empty_records_is_rejected() {
        let fields = vec![FieldSpecifier { key: ElementKey::iana(8), length: 0 }];
        let definition = Definition { id: 256, n_scope: None, fields };
        assert_eq!(Template::new(definition).unwrap_err(), DecodeError::TemplateEmpty { template_id: 256 });
    }
}
