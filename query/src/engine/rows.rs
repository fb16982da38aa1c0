//! Matching rows as text, in the order of files and rows.

use std::io::{self, Write};

use super::reader::{Reader, Tally};
use crate::counts::{Counts, Wanted};
use crate::output::{self, FileInfo, RowWriter};

/// Writes all matching rows.
pub(super) fn rows(
    reader: &mut Reader<'_>,
    writer: &mut dyn RowWriter,
    out: &mut dyn Write,
) -> io::Result<Tally> {
    let (mut tally, mut counts, mut text) = (Tally::default(), Counts::default(), Vec::new());
    let has_summary = output::has_summary(&reader.request.style);
    let limit = reader.request.limit.unwrap_or(u64::MAX);
    while tally.passed < limit {
        let Some(task) = reader.next_task() else { break };
        if task.is_first() {
            let ident = task.file.file.footer.as_ref().map(|footer| footer.ident.as_str());
            writer.file(&FileInfo { ident, names: task.file.names.as_ref() });
        }
        let (scan, compressed_bytes) = task.scan();
        reader.bytes_read = reader.bytes_read.saturating_add(compressed_bytes);
        let mut scan = match scan {
            Ok(scan) => scan,
            Err(error) => {
                reader.cant_read_group(&task, &error);
                continue;
            }
        };
        while tally.passed < limit {
            let mut batch = match scan.next() {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                // A damaged row group leaves the others readable.
                Err(error) => {
                    reader.cant_read_group(&task, &error);
                    break;
                }
            };
            let room = usize::try_from(limit - tally.passed).unwrap_or(usize::MAX);
            if room < batch.rows() {
                batch.truncate(room);
            }
            tally.passed += batch.rows() as u64;
            tally.add_rates(batch.rate_span());
            if has_summary {
                counts.read(&batch, Wanted::ALL);
                tally.matched.add(&counts.total());
            }
            text.clear();
            writer.rows(&batch, &mut text)?;
            out.write_all(&text)?;
        }
    }
    Ok(tally)
}
