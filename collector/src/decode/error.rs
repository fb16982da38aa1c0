//! What can be wrong with a datagram, and the low-cardinality name it is
//! counted under.

/// Why a datagram was rejected, or a set or template of it left out. `offset`
/// counts octets from the first of the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("datagram ends at octet {available}, but {what} needs {needed} (offset {offset})")]
    Truncated { what: &'static str, offset: usize, needed: usize, available: usize },
    #[error("export version {version} is not supported")]
    UnsupportedVersion { version: u16 },
    #[error("record count {count} is not one of 1 to 30")]
    RecordCount { count: u16 },
    #[error("message length {length} does not fit the datagram of {available} octets")]
    MessageLength { length: usize, available: usize },
    #[error("set {set_id} claims {length} octets of {available} (offset {offset})")]
    SetLength { set_id: u16, length: usize, available: usize, offset: usize },
    #[error("template id {template_id} is reserved (offset {offset})")]
    TemplateId { template_id: u16, offset: usize },
    #[error("template {template_id} has {n_fields} fields, more than the limit")]
    TemplateFields { template_id: u16, n_fields: usize },
    #[error("template {template_id} allows records of 0 octets")]
    TemplateEmpty { template_id: u16 },
    #[error("options template {template_id} has scope fields that do not fit its fields")]
    TemplateScope { template_id: u16 },
    #[error("variable-length field ends at octet {needed} of {available} (offset {offset})")]
    VariableLength { offset: usize, needed: usize, available: usize },
    #[error("no template {template_id} came in time")]
    TemplateMissing { template_id: u16 },
    #[error("its address is not one that may send (`--allow`)")]
    NotAllowed,
    #[error("it made the decoder fail, which is a bug; it is kept in `.flowcap/quarantine`")]
    Panicked,
    #[error("no source has its address (`-n`)")]
    NoTree,
    #[error("template {template_id} was withdrawn, its data can't be decoded")]
    TemplateWithdrawn { template_id: u16 },
    #[error("template {template_id} was defined anew without being withdrawn")]
    TemplateRedefined { template_id: u16 },
    #[error("template {template_id} was defined again as it was")]
    TemplateRepeated { template_id: u16 },
    #[error("template {template_id} was withdrawn and is not known")]
    WithdrawalUnknown { template_id: u16 },
    #[error(
        "template {template_id} has reverse elements and no key with a direction, its records count for nothing"
    )]
    BiflowUndirected { template_id: u16 },
    #[error("the journal alone had it, and could not be read")]
    Unreadable,
}

/// The name of an error in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Reason {
    Truncated,
    UnsupportedVersion,
    RecordCount,
    MessageLength,
    SetLength,
    TemplateId,
    TemplateFields,
    TemplateEmpty,
    TemplateScope,
    VariableLength,
    TemplateMissing,
    NotAllowed,
    Panicked,
    NoTree,
    TemplateWithdrawn,
    TemplateRedefined,
    TemplateRepeated,
    WithdrawalUnknown,
    BiflowUndirected,
    Unreadable,
}

impl Reason {
    /// All of them, in order of their number, with their labels.
    pub(crate) const ALL: [(Self, &'static str); 20] = [
        (Self::Truncated, "truncated"),
        (Self::UnsupportedVersion, "unsupported_version"),
        (Self::RecordCount, "record_count"),
        (Self::MessageLength, "message_length"),
        (Self::SetLength, "set_length"),
        (Self::TemplateId, "template_id"),
        (Self::TemplateFields, "template_fields"),
        (Self::TemplateEmpty, "template_empty"),
        (Self::TemplateScope, "template_scope"),
        (Self::VariableLength, "variable_length"),
        (Self::TemplateMissing, "template_missing"),
        (Self::NotAllowed, "not_allowed"),
        (Self::Panicked, "panicked"),
        (Self::NoTree, "no_tree"),
        (Self::TemplateWithdrawn, "template_withdrawn"),
        (Self::TemplateRedefined, "template_redefined"),
        (Self::TemplateRepeated, "template_repeated"),
        (Self::WithdrawalUnknown, "withdrawal_unknown"),
        (Self::BiflowUndirected, "biflow_undirected"),
        (Self::Unreadable, "unreadable"),
    ];
}

impl DecodeError {
    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::Truncated { .. } => Reason::Truncated,
            Self::UnsupportedVersion { .. } => Reason::UnsupportedVersion,
            Self::RecordCount { .. } => Reason::RecordCount,
            Self::MessageLength { .. } => Reason::MessageLength,
            Self::SetLength { .. } => Reason::SetLength,
            Self::TemplateId { .. } => Reason::TemplateId,
            Self::TemplateFields { .. } => Reason::TemplateFields,
            Self::TemplateEmpty { .. } => Reason::TemplateEmpty,
            Self::TemplateScope { .. } => Reason::TemplateScope,
            Self::VariableLength { .. } => Reason::VariableLength,
            Self::TemplateMissing { .. } => Reason::TemplateMissing,
            Self::NotAllowed => Reason::NotAllowed,
            Self::Panicked => Reason::Panicked,
            Self::NoTree => Reason::NoTree,
            Self::TemplateWithdrawn { .. } => Reason::TemplateWithdrawn,
            Self::TemplateRedefined { .. } => Reason::TemplateRedefined,
            Self::TemplateRepeated { .. } => Reason::TemplateRepeated,
            Self::WithdrawalUnknown { .. } => Reason::WithdrawalUnknown,
            Self::BiflowUndirected { .. } => Reason::BiflowUndirected,
            Self::Unreadable => Reason::Unreadable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_at_the_number_of_their_reason() {
        for (index, (reason, label)) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{label}");
        }
    }
}
