//! The answer as a file instead of text, or handed on row by row.

use std::io::{self, Write};

use flow_common::column::COLUMNS;

use super::reader::{Reader, Wants};
use super::{rows, sorted};
use crate::catalog::{self, Listing};
use crate::interrupt;
use crate::live::Progress;
use crate::message::{DONE, Failure, PARTIAL, say};
use crate::output::RowFormat;
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
            let (_, groups) = super::groups(&mut reader, aggregation, *top)?;
            write_groups(target, aggregation, groups, &request.columns, stdout)?
        }
        _ => {
            let format = WrittenRows::new(target, &request.columns)?;
            let read = match &request.question {
                Question::Sorted { orders, top } => {
                    sorted::sorted(&mut reader, &format, (orders, *top), &mut io::sink())
                }
                _ => rows::rows(&mut reader, &format, &mut io::sink()).map_err(Failure::from),
            };
            match read {
                Ok(_) => interrupt::check()?,
                // The file failed, and says how.
                Err(Failure::Write(error)) => return Err(format.end(stdout).err().unwrap_or(error.into())),
                Err(failure) => return Err(failure),
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

/// What is read of files whose rows are wanted whole.
pub(super) fn whole_rows() -> Wants {
    let columns = COLUMNS.iter().map(|column| column.id.into()).collect();
    Wants { columns, has_extra: true, ..Wants::default() }
}

/// Hands all matching rows to `format`, in order, and says what could not be read; whether
/// there was anything.
pub(crate) fn hand_over(
    request: &Request,
    format: &dyn RowFormat,
    stderr: &mut dyn Write,
) -> Result<bool, Failure> {
    let Listing { files, errors } = catalog::list(&request.source, request.now)?;
    if files.is_empty() {
        say(stderr, "warning", &format!("no flow files in {}", super::described(&request.source)));
    }
    let progress = Progress::new(files.len(), false);
    let mut reader = Reader::new(request, files, whole_rows(), &progress);
    for (path, error) in errors {
        reader.cant_read(&path, &error.into());
    }
    rows::rows(&mut reader, format, &mut io::sink())?;
    Ok(reader.say_errors(stderr))
}
