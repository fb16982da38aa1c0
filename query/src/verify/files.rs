//! `-g`: a line of CSV for each file, from footers.

use std::io::Write;

use flow_common::footer::Totals;
use flow_common::layout::{parse_file_name, parse_part_name};
use flow_common::time::Timestamp;

use super::listed;
use crate::interrupt;
use crate::message::{DONE, Failure, PARTIAL, say};
use crate::request::Request;
use crate::scan::Depth;

/// Writes a line for each file: when its slot began, flows, packets, bytes.
pub(crate) fn files(
    request: &Request,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<u8, Failure> {
    let (files, mut is_partial) = listed(request, stderr)?;
    if !request.style.is_quiet {
        writeln!(stdout, "# yyyy-mm-dd HH:MM:SS,flows,packets,bytes")?;
    }
    for mut found in files {
        interrupt::check()?;
        let file = match found.open(Depth::Footer) {
            Ok(file) => file,
            Err(error) if error.is_absence() => continue,
            Err(error) => {
                is_partial = true;
                say(stderr, "error", &format!("can't read `{}`: {error}", found.path.display()));
                continue;
            }
        };
        let Some(footer) = &file.footer else {
            is_partial = true;
            let path = found.path.display();
            say(
                stderr,
                "error",
                &format!("`{path}` has no totals in its metadata; `-o null` counts its rows"),
            );
            continue;
        };
        let name = found.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let of_name = parse_file_name(name).or_else(|| parse_part_name(name)).map(|(start, _)| start);
        let start = Timestamp::from_secs(of_name.unwrap_or(footer.slot.start_secs));
        let counts = Totals::all(&footer.totals);
        let start = match request.style.zone.wall(start) {
            Some((wall, _)) => wall.format("%Y-%m-%d %H:%M:%S").to_string(),
            None => start.secs().to_string(),
        };
        writeln!(stdout, "{start},{},{},{}", counts.flows, counts.packets, counts.bytes)?;
    }
    Ok(if is_partial { PARTIAL } else { DONE })
}
