//! A file, block by block. The one place that reads.

use std::io::{self, Read, Seek, SeekFrom};

use flow_common::limits::NFCAPD_BLOCK_BYTES_MAX;

use super::Statistics;
use super::header::{Appendix, BLOCK_HEADER_BYTES, BlockHeader, HEADER_BYTES, Header, HeaderError};
use super::unpack::{Compression, unpack};
use crate::message::reason;

/// Why a file can't be read at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{}", reason(.0))]
    Io(#[from] io::Error),
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// A block that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block {number} at octet {at}: {reason}")]
pub(crate) struct Damage {
    number: u64,
    at: u64,
    pub(crate) reason: String,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    input: R,
    compression: Compression,
    created_secs: u64,
    appendix: Appendix,
    /// What the header says; none of a file that was not closed.
    blocks_left: Option<u32>,
    /// Where the blocks end.
    end: u64,
    at: u64,
    number: u64,
    is_over: bool,
}

impl<R: Read + Seek> Reader<R> {
    pub(crate) fn open(mut input: R) -> Result<Self, OpenError> {
        let mut octets = Vec::new();
        input.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut octets)?;
        let header = Header::parse(&octets)?;
        let file_bytes = input.seek(SeekFrom::End(0))?;
        let is_closed = header.appendix_blocks > 0 && header.appendix_at >= HEADER_BYTES as u64;
        let end = if is_closed { header.appendix_at.min(file_bytes) } else { file_bytes };
        let mut reader = Self {
            input,
            compression: header.compression,
            created_secs: header.created_secs,
            appendix: Appendix::default(),
            blocks_left: None,
            end: file_bytes,
            at: end,
            number: 0,
            is_over: !is_closed,
        };
        for _ in 0..header.appendix_blocks {
            let Some(Ok(block)) = reader.next_block() else { break };
            reader.appendix.read(&block);
        }
        reader.blocks_left = is_closed.then_some(header.blocks);
        (reader.at, reader.end, reader.number, reader.is_over) = (HEADER_BYTES as u64, end, 0, false);
        Ok(reader)
    }

    /// Whether nfcapd ended the file; else it has no statistics.
    pub(crate) fn is_closed(&self) -> bool {
        self.blocks_left.is_some()
    }

    /// When nfcapd began the file.
    pub(crate) fn created_secs(&self) -> u64 {
        self.created_secs
    }

    /// Name of the collector.
    pub(crate) fn ident(&self) -> &str {
        self.appendix.ident.as_deref().unwrap_or_default()
    }

    /// What nfcapd counted.
    pub(crate) fn statistics(&self) -> Option<Statistics> {
        self.appendix.statistics
    }

    /// The next block of records. After damage the next is looked for where the block before
    /// said it ends.
    pub(crate) fn next_block(&mut self) -> Option<Result<Vec<u8>, Damage>> {
        while !self.is_over && self.blocks_left != Some(0) && self.at < self.end {
            match self.read_block() {
                Ok((header, _)) if !header.has_records => {}
                Ok((header, block)) => {
                    let compression = if header.is_plain { Compression::None } else { self.compression };
                    let (number, at) =
                        (self.number, self.at - BLOCK_HEADER_BYTES as u64 - block.len() as u64);
                    return Some(unpack(block, compression).map_err(|reason| Damage { number, at, reason }));
                }
                Err(reason) => {
                    self.is_over = true;
                    return Some(Err(Damage { number: self.number, at: self.at, reason }));
                }
            }
        }
        let missing = self.blocks_left.filter(|&blocks| blocks > 0 && !self.is_over)?;
        self.is_over = true;
        let reason = format!("it is missing, as are {} more", missing - 1);
        Some(Err(Damage { number: self.number + 1, at: self.at, reason }))
    }

    fn read_block(&mut self) -> Result<(BlockHeader, Vec<u8>), String> {
        let failed = |error: io::Error| reason(&error);
        let available = self.end - self.at;
        self.number += 1;
        let mut octets = [0; BLOCK_HEADER_BYTES];
        if available < octets.len() as u64 {
            return Err(format!("it has {available} octets, and its header {BLOCK_HEADER_BYTES}"));
        }
        self.input.seek(SeekFrom::Start(self.at)).map_err(failed)?;
        self.input.read_exact(&mut octets).map_err(failed)?;
        let header = BlockHeader::parse(&octets).ok_or("it has no header")?;
        let n_bytes = u64::from(header.n_bytes);
        if n_bytes > NFCAPD_BLOCK_BYTES_MAX as u64 {
            return Err(format!("it claims {n_bytes} octets, more than {NFCAPD_BLOCK_BYTES_MAX}"));
        }
        let available = available - octets.len() as u64;
        if n_bytes > available {
            return Err(format!("it claims {n_bytes} octets, and {available} are there"));
        }
        let mut block = vec![0; header.n_bytes as usize];
        self.input.read_exact(&mut block).map_err(failed)?;
        self.at += octets.len() as u64 + n_bytes;
        self.blocks_left = self.blocks_left.map(|blocks| blocks.saturating_sub(1));
        Ok((header, block))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A closed file of these blocks, not compressed: type, octets.
    fn file(blocks: &[(u8, &[u8])]) -> Vec<u8> {
        let mut file = vec![0; HEADER_BYTES];
        file[..4].copy_from_slice(&[0x0c, 0xa5, 2, 0]);
        let block = |kind: u8, octets: &[u8]| {
            let mut block = vec![1, 0, 0, 0];
            block.extend((octets.len() as u32).to_le_bytes());
            block.extend([kind, 0, 1, 0]);
            block.extend(octets);
            block
        };
        for (kind, octets) in blocks {
            file.extend(block(*kind, octets));
        }
        file[18] = 1;
        let end = file.len() as u8;
        file[24] = end;
        file[36] = blocks.len() as u8;
        file.extend(block(3, &[1, 0x80, 8, 0, b'e', b'd', b'g', 0]));
        file
    }

    #[track_caller]
    fn check(file: &[u8], expected: &str) {
        let mut reader = Reader::open(Cursor::new(file)).unwrap();
        let blocks: Vec<_> = std::iter::from_fn(|| reader.next_block())
            .map(|block| match block {
                Ok(block) => String::from_utf8(block).unwrap(),
                Err(damage) => damage.to_string(),
            })
            .collect();
        assert_eq!(format!("{}: {}", reader.ident(), blocks.join(", ")), expected);
    }

    #[test]
    fn blocks_are_read_and_damage_is_named() {
        let sound = file(&[(3, b"one"), (4, b"array"), (3, b"two")]);
        check(&sound, "edg: one, two");
        check(&file(&[]), "edg: ");
        // Not closed: what lies there is read.
        let mut open = sound[..sound.len() - 20].to_vec();
        open[18..40].fill(0);
        check(&open, ": one, two");
        // The second block claims more than there is.
        let mut long = sound.clone();
        long[HEADER_BYTES + 15 + 4] = 200;
        check(&long, "edg: one, block 2 at octet 55: it claims 200 octets, and 20 are there");
        long[HEADER_BYTES + 15 + 7] = 200;
        check(&long, "edg: one, block 2 at octet 55: it claims 3355443400 octets, more than 16777216");
        let mut more = sound.clone();
        more[36] = 9;
        check(&more, "edg: one, two, block 4 at octet 87: it is missing, as are 5 more");
        // Compressed blocks that are none.
        let mut packed = sound;
        packed[16] = 3;
        packed[HEADER_BYTES + 10] = 0;
        check(
            &packed,
            "edg: block 1 at octet 40: LZ4 data is damaged: literal is out of bounds of the input, two",
        );
    }
}
