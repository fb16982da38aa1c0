//! Files of flow records, written: the same columns and metadata as the collector's, so that
//! whatever reads those reads these.
//!
//! - `rows`: one growing buffer a column, to record batches
//! - `file`: a file that becomes visible whole or not at all
//! - `table`: a side table, replaced whole
//! - `answer`: the rows of an answer, or its groups, as such rows; `packed`: on their way there

mod answer;
mod file;
mod packed;
mod rows;
mod table;

pub(crate) use self::answer::{Target, WrittenRows, write_groups};
pub(crate) use self::file::{NewFile, Provenance, Told, WriteError};
pub(crate) use self::rows::{Cell, Rows};
pub(crate) use self::table::write_table;
