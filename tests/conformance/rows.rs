//! The requirements and how far each is met.
//!
//! A row is met when nothing it asks for is missing; what is missing of the
//! others stands beside them. Row numbers never change their meaning.

mod extensions;
mod ipfix;
mod netflow;

/// How much force a requirement has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// MUST, or MUST NOT.
    Must,
    /// SHOULD, or SHOULD NOT.
    Should,
    /// MAY: a choice we made.
    May,
    /// No word of force, but what the format means makes it one.
    Engineering,
}

/// How far a requirement is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// All of it.
    Met,
    /// A part of it; what is missing.
    Partly(&'static str),
    /// Deliberately not; what is done instead.
    Deviation(&'static str),
}

/// One requirement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// For example `V9-8`.
    pub(crate) id: &'static str,
    /// Document and section it comes from.
    pub(crate) section: &'static str,
    /// Its force; several where parts of it differ.
    pub(crate) levels: &'static [Level],
    /// What it asks for, in our words.
    pub(crate) requirement: &'static str,
    /// How far it is met.
    pub(crate) status: Status,
}

const M: &[Level] = &[Level::Must];
const S: &[Level] = &[Level::Should];
const MAY: &[Level] = &[Level::May];
const E: &[Level] = &[Level::Engineering];

const fn row(
    id: &'static str,
    section: &'static str,
    levels: &'static [Level],
    requirement: &'static str,
    status: Status,
) -> Row {
    Row { id, section, levels, requirement, status }
}

/// All rows, in the order of the table.
pub(crate) fn all() -> Vec<Row> {
    [netflow::ROWS, ipfix::ROWS, extensions::ROWS].concat()
}

impl Level {
    /// Its word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
            Self::Engineering => "format",
        }
    }
}

impl Row {
    /// What the names of its tests begin with: `v9_08_`.
    pub(crate) fn test_prefix(&self) -> String {
        let (section, number) = self.id.split_once('-').unwrap();
        format!("{}_{number:0>2}_", section.to_lowercase())
    }
}
