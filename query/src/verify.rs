//! What files say of themselves, and whether it is so.
//!
//! - `flowdump verify`: every value of every file is read, and counted against the metadata
//! - `-g`: a line of CSV for each file; `-E`: exporters and sampling rates; both from footers

mod beside;
mod check;
mod exporters;
mod files;
mod start;

use std::io::Write;

use crate::catalog::{self, Found, Listing};
use crate::message::{Failure, reason, say};
use crate::request::Request;

pub(crate) use self::exporters::exporters;
pub(crate) use self::files::files;
pub(crate) use self::start::{Asked, verify};

/// The files a question is about, and whether others could not be looked for, which is said.
fn listed(request: &Request, stderr: &mut dyn Write) -> Result<(Vec<Found>, bool), Failure> {
    let Listing { files, errors } = catalog::list(&request.source, request.now)?;
    let is_partial = !errors.is_empty();
    for (path, error) in errors {
        say(stderr, "error", &format!("can't read `{}`: {}", path.display(), reason(&error)));
    }
    Ok((files, is_partial))
}
