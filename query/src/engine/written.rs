//! The answer as a file instead of text.

use std::io::{self, Write};

use super::reader::Reader;
use super::{rows, sum};
use crate::aggregate::Group;
use crate::interrupt;
use crate::message::{DONE, Failure, PARTIAL};
use crate::request::{Question, Request};
use crate::write::{Target, WrittenRows, write_groups};

/// Writes the matching rows, or their groups, and returns the exit code.
pub(super) fn write(
    request: &Request,
    target: &Target,
    mut reader: Reader<'_>,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<u8, Failure> {
    target.check()?;
    let said = match &request.question {
        Question::Aggregate { aggregation, top } => {
            let (_, groups) = sum::sum(&mut reader, &[aggregation.grouping()], *top)?;
            interrupt::check()?;
            let groups: Vec<Group> = groups.into_iter().flatten().flatten().collect();
            write_groups(target, aggregation, &groups, &request.columns, stdout)?
        }
        _ => {
            let format = WrittenRows::new(target, &request.columns)?;
            match rows::rows(&mut reader, &format, &mut io::sink()) {
                Ok(_) => interrupt::check()?,
                // The file failed, and says how.
                Err(error) => return Err(format.end(stdout).err().unwrap_or(error.into())),
            }
            format.end(stdout)?
        }
    };
    reader.progress.end();
    if !said.is_empty() && !request.style.is_quiet {
        writeln!(stdout, "{said}")?;
    }
    Ok(if reader.say_errors(stderr) { PARTIAL } else { DONE })
}
