//! The pages of a column chunk, read a window at a time and decompressed one by one. None is
//! made before its header was checked, and their memory is that of pages before them.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::LocalKey;

use flow_common::limits::{
    COLUMN_READ_BYTES, PAGE_BYTES_MAX, PAGE_HEADER_BYTES_MAX, PAGE_KEPT_BYTES_MAX, PAGE_ROWS_READ_MAX,
};
use flow_common::thrift::{PageHeader, PageKind, page_header};
use parquet::basic::{Compression, Encoding};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use zstd::bulk::Decompressor;

use super::ReadError;
use super::header;
use super::metadata::within;
use crate::values::spare;

/// How pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Lz4,
    Zstd,
}

impl Codec {
    /// `None` where that is left to the `parquet` crate.
    pub(super) fn of(metadata: &ColumnChunkMetaData) -> Option<Self> {
        match metadata.compression() {
            Compression::UNCOMPRESSED => Some(Self::None),
            Compression::LZ4_RAW => Some(Self::Lz4),
            Compression::ZSTD(_) => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Decompresses into all of `into`.
    fn decompress(self, octets: &[u8], into: &mut [u8]) -> Result<(), ReadError> {
        thread_local! {
            static ZSTD: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
        }
        let damaged =
            |why: &dyn std::fmt::Display| ReadError::Damaged(format!("a page can't be read: {why}"));
        let wanted = into.len();
        let n = match self {
            Self::None if octets.len() == wanted => {
                into.copy_from_slice(octets);
                wanted
            }
            Self::None => octets.len(),
            Self::Lz4 => lz4_flex::block::decompress_into(octets, into).map_err(|error| damaged(&error))?,
            Self::Zstd => ZSTD.with_borrow_mut(|known| {
                let decompressor = match known {
                    Some(decompressor) => decompressor,
                    none => none.insert(Decompressor::new()?),
                };
                decompressor.decompress_to_buffer(octets, into).map_err(|error| damaged(&error))
            })?,
        };
        match n == wanted {
            true => Ok(()),
            false => Err(damaged(&format!("it has {n} octets instead of {wanted}"))),
        }
    }
}

/// The octets of a column chunk, a window at a time: the dictionary may be all that is looked
/// at, and of a column of any size a few pages are in memory.
struct Chunk {
    file: Arc<File>,
    file_bytes: u64,
    end: u64,
    window: Vec<u8>,
    /// Where the window begins.
    start: u64,
}

impl Chunk {
    /// At least `wanted` octets from `at` on, fewer only at the end of the column.
    fn from(&mut self, at: u64, wanted: usize) -> Result<&[u8], ReadError> {
        let skipped = at.checked_sub(self.start).map_or(usize::MAX, |skipped| skipped as usize);
        let here = self.window.len().saturating_sub(skipped);
        let left = self.end.saturating_sub(at);
        let wanted = (wanted as u64).min(left);
        if (here as u64) >= wanted && here > 0 {
            return Ok(&self.window[skipped..]);
        }
        if self.end > self.file_bytes {
            let short = format!("a column ends at octet {} of {}", self.end, self.file_bytes);
            return Err(ParquetError::EOF(short).into());
        }
        if self.window.is_empty() {
            self.window = spare::WINDOWS.with(spare::take);
        }
        let length = wanted.max(left.min(COLUMN_READ_BYTES as u64)) as usize;
        self.window.resize(length, 0);
        self.start = at;
        let read = self.file.read_exact_at(&mut self.window, at);
        // What could not be read is not there.
        self.window.truncate(if read.is_ok() { length } else { 0 });
        read?;
        Ok(&self.window)
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        give(&spare::WINDOWS, &mut self.window, 2 * COLUMN_READ_BYTES);
    }
}

/// Keeps memory for a later page, unless it is more than `bytes_max`.
fn give(spares: &'static LocalKey<RefCell<Vec<Vec<u8>>>>, octets: &mut Vec<u8>, bytes_max: usize) {
    let octets = std::mem::take(octets);
    if (1..=bytes_max).contains(&octets.capacity()) {
        // A thread that ends has no use for it.
        spares.try_with(|spares| spare::give(spares, octets)).ok();
    }
}

/// A page, decompressed.
pub(super) struct Page {
    pub(super) kind: PageKind,
    pub(super) octets: Vec<u8>,
}

impl Drop for Page {
    fn drop(&mut self) {
        give(&spare::PAGES, &mut self.octets, PAGE_KEPT_BYTES_MAX);
    }
}

impl Page {
    /// Rows of a page of data, values of a dictionary.
    pub(super) fn len(&self) -> usize {
        n_values(&self.kind)
    }

    /// How its values are encoded; of a dictionary PLAIN.
    pub(super) fn encoding(&self) -> Result<Encoding, ReadError> {
        let number = match self.kind {
            PageKind::Data { encoding, .. } | PageKind::DataV2 { encoding, .. } => encoding,
            PageKind::Dictionary { .. } | PageKind::Other => 0,
        };
        Ok(match number {
            0 => Encoding::PLAIN,
            2 => Encoding::PLAIN_DICTIONARY,
            3 => Encoding::RLE,
            5 => Encoding::DELTA_BINARY_PACKED,
            8 => Encoding::RLE_DICTIONARY,
            _ => return Err(ReadError::Damaged(format!("a page in an encoding numbered {number}"))),
        })
    }
}

fn n_values(kind: &PageKind) -> usize {
    let n = match kind {
        PageKind::Dictionary { n_values }
        | PageKind::Data { n_values, .. }
        | PageKind::DataV2 { n_values, .. } => *n_values,
        PageKind::Other => 0,
    };
    usize::try_from(n).unwrap_or(0)
}

/// The pages of a column chunk, one after another.
pub(super) struct Pages {
    chunk: Chunk,
    codec: Codec,
    /// Where the next header begins.
    at: u64,
    /// The next header, where it was looked at.
    ahead: Option<PageHeader>,
    /// Whether headers are checked for the `parquet` crate, too, which reads them its own way.
    is_strict: bool,
}

/// Checks all headers of a column that is left to the `arrow` reader.
pub(super) fn check_headers(
    file: &Arc<File>,
    file_bytes: u64,
    metadata: &ColumnChunkMetaData,
) -> Result<(), ReadError> {
    let mut pages = Pages { is_strict: true, ..Pages::new(file, file_bytes, metadata, Codec::None) };
    while pages.peek()?.is_some() {
        pages.skip()?;
    }
    Ok(())
}

impl Pages {
    pub(super) fn new(
        file: &Arc<File>,
        file_bytes: u64,
        metadata: &ColumnChunkMetaData,
        codec: Codec,
    ) -> Self {
        let (start, length) = metadata.byte_range();
        let end = start.saturating_add(length);
        let chunk = Chunk { file: Arc::clone(file), file_bytes, end, window: Vec::new(), start: 0 };
        Self { chunk, codec, at: start, ahead: None, is_strict: false }
    }

    /// Whether the next page is a dictionary, and its rows; `None` at the end.
    pub(super) fn peek(&mut self) -> Result<Option<(bool, usize)>, ReadError> {
        let Some(header) = self.header()? else { return Ok(None) };
        Ok(Some((matches!(header.kind, PageKind::Dictionary { .. }), n_values(&header.kind))))
    }

    fn header(&mut self) -> Result<Option<PageHeader>, ReadError> {
        while self.ahead.is_none() {
            if self.at >= self.chunk.end {
                return Ok(None);
            }
            let octets = self.chunk.from(self.at, PAGE_HEADER_BYTES_MAX)?;
            if self.is_strict {
                header::check(octets)?;
            }
            let none = || ReadError::Damaged("no page begins where one should".into());
            let header = page_header(octets).ok_or_else(none)?;
            check(&header)?;
            match header.kind {
                PageKind::Other => self.pass(&header),
                _ => self.ahead = Some(header),
            }
        }
        Ok(self.ahead)
    }

    fn pass(&mut self, header: &PageHeader) {
        self.at = self.at.saturating_add(header.header_bytes as u64 + header.compressed_bytes as u64);
        self.ahead = None;
    }

    /// Passes over the next page.
    pub(super) fn skip(&mut self) -> Result<(), ReadError> {
        if let Some(header) = self.header()? {
            self.pass(&header);
        }
        Ok(())
    }

    /// The next page.
    pub(super) fn take(&mut self) -> Result<Option<Page>, ReadError> {
        let Some(header) = self.header()? else { return Ok(None) };
        let start = self.at.saturating_add(header.header_bytes as u64);
        let (bytes, compressed_bytes) = (header.bytes as usize, header.compressed_bytes as usize);
        let octets = self.chunk.from(start, compressed_bytes)?;
        let octets = octets.get(..compressed_bytes).ok_or_else(|| {
            let there = octets.len();
            let short = format!("a page of {compressed_bytes} octets begins at {start}, where {there} are");
            ReadError::from(ParquetError::EOF(short))
        })?;
        let mut page = Page { kind: header.kind, octets: spare::PAGES.with(spare::take) };
        page.octets.resize(bytes, 0);
        // Of the newer kind of page, levels are not compressed, and values need not be.
        let (n_plain, codec) = match header.kind {
            PageKind::DataV2 { definition_bytes, repetition_bytes, is_compressed, .. } => {
                let levels = definition_bytes.saturating_add(repetition_bytes);
                (
                    usize::try_from(levels).unwrap_or(usize::MAX),
                    if is_compressed { self.codec } else { Codec::None },
                )
            }
            _ => (0, self.codec),
        };
        let short = || ReadError::Damaged("the levels of a page are longer than it".into());
        let (levels, values) = octets.split_at_checked(n_plain).ok_or_else(short)?;
        let (into_levels, into_values) = page.octets.split_at_mut_checked(n_plain).ok_or_else(short)?;
        into_levels.copy_from_slice(levels);
        // Where there are no values there may be nothing to decompress.
        if !(into_values.is_empty() && values.is_empty()) {
            codec.decompress(values, into_values)?;
        }
        self.pass(&header);
        Ok(Some(page))
    }
}

/// Checks what memory a page would take.
fn check(header: &PageHeader) -> Result<(), ReadError> {
    // What is negative is too large for any limit.
    let size = |n: i64| u64::try_from(n).unwrap_or(u64::MAX);
    within("page", "octets", size(header.bytes), PAGE_BYTES_MAX)?;
    within("page", "octets in the file", size(header.compressed_bytes), PAGE_BYTES_MAX)?;
    let (what, unit, counts) = match header.kind {
        PageKind::Dictionary { n_values } => ("dictionary", "values", [n_values; 2]),
        PageKind::Data { n_values, .. } => ("page", "rows", [n_values; 2]),
        PageKind::DataV2 { n_values, n_rows, .. } => ("page", "rows", [n_values, n_rows]),
        PageKind::Other => return Ok(()),
    };
    counts.into_iter().try_for_each(|n| within(what, unit, size(n), PAGE_ROWS_READ_MAX as u64))
}
