//! Whether a file is one of ours, by its footer.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use flow_common::limits;

/// The key of the metadata that all our files have, behind its length as Thrift's
/// compact protocol writes it.
const KEY: &[u8] = b"\x16flowcap.schema_version";

/// End of a Parquet file: length of the footer, then this.
const MAGIC: &[u8; 4] = b"PAR1";

/// Octets read at a time.
const CHUNK_BYTES: u64 = 64 << 10;

/// Whether the footer of the file has our metadata. Links are none of ours.
pub(super) fn is_ours(path: &Path) -> io::Result<bool> {
    let opened = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match opened {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Ok(false),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    let (end, mut tail) = (metadata.len().saturating_sub(8), [0; 8]);
    if !metadata.is_file() || end == 0 {
        return Ok(false);
    }
    file.read_exact_at(&mut tail, end)?;
    let [a, b, c, d, magic @ ..] = tail;
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    if &magic != MAGIC || length > end || length > limits::FILE_FOOTER_BYTES_MAX {
        return Ok(false);
    }
    // From the end: the metadata come after all row groups.
    let (start, mut upto) = (end - length, end);
    let mut chunk = Vec::new();
    while upto > start {
        let from = upto.saturating_sub(CHUNK_BYTES).max(start);
        // A key may lie across the border of two chunks.
        let with_overlap = (upto + KEY.len() as u64 - 1).min(end);
        chunk.resize((with_overlap - from) as usize, 0);
        file.read_exact_at(&mut chunk, from)?;
        if chunk.windows(KEY.len()).any(|octets| octets == KEY) {
            return Ok(true);
        }
        upto = from;
    }
    Ok(false)
}
