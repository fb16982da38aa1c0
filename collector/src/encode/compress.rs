//! Compression of pages.

use std::io;

use parquet::basic::{Compression as Codec, ZstdLevel};
use zstd::bulk::Compressor;

use crate::config::Compression;

/// Of 16 octets one must be saved, or reading costs more than it is worth.
const SAVED_MIN_SHARE: usize = 16;

/// What compresses, with the memory it works in.
pub(super) enum Pages {
    None,
    Lz4,
    Zstd(Compressor<'static>),
}

/// What files say they are compressed with.
pub(super) fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::UNCOMPRESSED,
        Compression::Lz4 => Codec::LZ4_RAW,
        Compression::Zstd(level) => Codec::ZSTD(ZstdLevel::try_new(level.into()).unwrap_or_default()),
    }
}

impl Pages {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None,
            Compression::Lz4 => Self::Lz4,
            Compression::Zstd(level) => Self::Zstd(Compressor::new(level.into())?),
        })
    }

    /// Appends `page` compressed to `out`, whatever that saves.
    pub(super) fn compress_always(&mut self, page: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        let n = match self {
            Self::None => {
                out.extend_from_slice(page);
                return Ok(());
            }
            Self::Lz4 => {
                out.resize(start + lz4_flex::block::get_maximum_output_size(page.len()), 0);
                lz4_flex::block::compress_into(page, &mut out[start..]).map_err(io::Error::other)?
            }
            Self::Zstd(compressor) => {
                out.resize(start + zstd::zstd_safe::compress_bound(page.len()), 0);
                compressor.compress_to_buffer(page, &mut out[start..])?
            }
        };
        out.truncate(start + n);
        Ok(())
    }

    /// Appends `page` compressed to `out`; `None`, and nothing is appended, where that saves
    /// too little.
    pub(super) fn compress(&mut self, page: &[u8], out: &mut Vec<u8>) -> io::Result<Option<()>> {
        let start = out.len();
        if matches!(self, Self::None) {
            return Ok(None);
        }
        self.compress_always(page, out)?;
        let pays = out.len() - start + page.len() / SAVED_MIN_SHARE < page.len();
        if !pays {
            out.truncate(start);
        }
        Ok(pays.then_some(()))
    }
}
