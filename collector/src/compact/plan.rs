//! Which files of an hour become one.

use flow_common::layout;
use flow_common::limits;

use crate::writer::Part;

/// Files that become one.
#[derive(Debug)]
pub(super) struct Batch {
    /// Name of the file to be made.
    pub(super) name: String,
    pub(super) parts: Vec<Part>,
}

impl Batch {
    pub(super) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }
}

/// Puts the files of an hour together that are of one identifier and have the same columns
/// of an operator, as long as the rows are not too many for one file. Every file goes into
/// one of them, so that there are never more than before. `n` is the first number that no
/// file of the whole hour has.
pub(super) fn batches(parts: Vec<Part>, start_secs: i64, n: u32) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for part in parts {
        let is_alike = |batch: &&mut Batch| {
            batch.rows() + part.rows <= limits::COMPACTED_ROWS_MAX
                && batch.parts.first().is_some_and(|first| {
                    (&first.footer.ident, &first.footer.elements)
                        == (&part.footer.ident, &part.footer.elements)
                })
        };
        match batches.iter_mut().find(is_alike) {
            Some(batch) => batch.parts.push(part),
            None => {
                let name = layout::hour_name(start_secs, n.saturating_add(batches.len() as u32));
                batches.push(Batch { name, parts: vec![part] });
            }
        }
    }
    batches
}
