//! What files say of themselves, and whether it is so.
//!
//! - `flowdump verify`: every value of every file is read, and counted against the metadata
//! - `-g`: a line of CSV for each file; `-E`: exporters and sampling rates; both from footers

mod beside;
mod check;
mod exporters;
mod files;
mod start;

pub(crate) use self::exporters::exporters;
pub(crate) use self::files::files;
pub(crate) use self::start::{Asked, verify};
