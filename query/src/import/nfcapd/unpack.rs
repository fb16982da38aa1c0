//! Blocks, decompressed.

use std::io::Read;

use bzip2::read::BzDecoder;
use flow_common::limits::NFCAPD_BLOCK_BYTES_MAX;

use super::lzo;

/// What the blocks of a file are compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Lzo,
    Bzip2,
    Lz4,
    Zstd,
}

impl Compression {
    pub(super) fn of(number: u8) -> Option<Self> {
        [Self::None, Self::Lzo, Self::Bzip2, Self::Lz4, Self::Zstd].get(usize::from(number)).copied()
    }
}

/// The octets of a block, or why they are damaged.
pub(super) fn unpack(block: Vec<u8>, compression: Compression) -> Result<Vec<u8>, String> {
    const MAX: usize = NFCAPD_BLOCK_BYTES_MAX;
    match compression {
        Compression::None => Ok(block),
        Compression::Lzo => lzo::decompress(&block, MAX).map_err(|error| error.to_string()),
        Compression::Lz4 => {
            let mut octets = vec![0; MAX];
            let n = lz4_flex::block::decompress_into(&block, &mut octets)
                .map_err(|error| format!("LZ4 data is damaged: {error}"))?;
            octets.truncate(n);
            Ok(octets)
        }
        Compression::Zstd => {
            zstd::bulk::decompress(&block, MAX).map_err(|error| format!("zstd data is damaged: {error}"))
        }
        Compression::Bzip2 => {
            let mut octets = Vec::new();
            let mut decoder = BzDecoder::new(&block[..]).take(MAX as u64 + 1);
            decoder.read_to_end(&mut octets).map_err(|error| format!("bzip2 data is damaged: {error}"))?;
            if octets.len() > MAX {
                Err(format!("bzip2 data makes more than {MAX} octets"))
            } else {
                Ok(octets)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn blocks_are_what_they_were_or_damaged() {
        let block: Vec<u8> = (0..10_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
        bzip2.write_all(&block).unwrap();
        for (compression, octets) in [
            (Compression::None, block.clone()),
            (Compression::Lz4, lz4_flex::block::compress(&block)),
            (Compression::Zstd, zstd::bulk::compress(&block, 3).unwrap()),
            (Compression::Bzip2, bzip2.finish().unwrap()),
        ] {
            assert_eq!(unpack(octets.clone(), compression), Ok(block.clone()), "{compression:?}");
            if compression != Compression::None {
                let cut = octets[..octets.len() / 2].to_vec();
                assert_ne!(unpack(cut, compression), Ok(block.clone()), "{compression:?}");
                assert!(unpack(vec![0xff; 100], compression).is_err(), "{compression:?}");
            }
        }
        let bomb = vec![0; NFCAPD_BLOCK_BYTES_MAX + 1];
        assert!(unpack(zstd::bulk::compress(&bomb, 3).unwrap(), Compression::Zstd).is_err());
        assert!(unpack(lz4_flex::block::compress(&bomb), Compression::Lz4).is_err());
    }
}
