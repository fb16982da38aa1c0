//! Colours, where a terminal shows what is printed: few, and none that carries meaning.

use std::io::{self, Write};

use super::Style;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// What columns and tables are called.
    Title,
    /// What an answer rests on.
    Aside,
}

/// Writes a line, and its end.
pub(super) fn painted(out: &mut dyn Write, style: &Style, paint: Paint, line: &[u8]) -> io::Result<()> {
    let begin: &[u8] = match paint {
        _ if !style.is_coloured => b"",
        Paint::Title => b"\x1b[1m",
        Paint::Aside => b"\x1b[2m",
    };
    out.write_all(begin)?;
    out.write_all(line)?;
    out.write_all(if style.is_coloured { b"\x1b[0m\n" } else { b"\n" })
}
