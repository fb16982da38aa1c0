//! One column of one row group: pages, and what the footer says about them.

use std::cmp::Ordering;

use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression as Codec, Encoding, PageType, Type};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::compress::Pages;
use super::filter;
use super::pack::{Hybrid, width_of};

/// Smaller pages are left as they are.
const COMPRESSED_OCTETS_MIN: usize = 64;

/// A column chunk under construction: the dictionary, then data pages.
pub(super) struct Chunk<'a> {
    descr: ColumnDescPtr,
    codec: Codec,
    pages: &'a mut Pages,
    sink: TrackedWrite<Vec<u8>>,
    column_index: ColumnIndexBuilder,
    offset_index: OffsetIndexBuilder,
    /// Least and greatest value of each page that has any, for their order.
    bounds: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the first data page was worth compressing; the others are like it.
    pays: Option<bool>,
    uncompressed: usize,
    dictionary: Option<Encoding>,
    data_at: Option<u64>,
    encoding: Encoding,
    n_pages: i32,
    rows: u64,
    /// Whether readers look for single values.
    pub(super) has_filter: bool,
    filter: Option<Sbbf>,
}

/// A data page, not yet compressed.
pub(super) struct DataPage<'a> {
    /// Repetition and definition levels, and how many octets of them are the former.
    pub(super) levels: &'a [u8],
    pub(super) repetition_octets: usize,
    pub(super) values: &'a [u8],
    pub(super) encoding: Encoding,
    pub(super) rows: usize,
    pub(super) nulls: usize,
    /// Least and greatest value as the format has them; none where all are NULL.
    pub(super) bounds: Option<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Chunk<'a> {
    /// A chunk whose octets go to `memory`, which is empty.
    pub(super) fn new(descr: ColumnDescPtr, codec: Codec, pages: &'a mut Pages, memory: Vec<u8>) -> Self {
        let column_index = ColumnIndexBuilder::new(descr.physical_type());
        Self {
            descr,
            codec,
            pages,
            sink: TrackedWrite::new(memory),
            column_index,
            offset_index: OffsetIndexBuilder::new(),
            bounds: Vec::new(),
            pays: None,
            uncompressed: 0,
            dictionary: None,
            data_at: None,
            encoding: Encoding::PLAIN,
            n_pages: 0,
            rows: 0,
            has_filter: false,
            filter: None,
        }
    }

    fn write(&mut self, page: Page, uncompressed: usize) -> Result<(u64, usize), ParquetError> {
        let written =
            SerializedPageWriter::new(&mut self.sink).write_page(CompressedPage::new(page, uncompressed))?;
        self.uncompressed += written.uncompressed_size;
        Ok((written.offset, written.compressed_size))
    }

    /// Writes the distinct values; before any data page.
    pub(super) fn dictionary(
        &mut self,
        values: &[u8],
        n: usize,
        is_sorted: bool,
    ) -> Result<(), ParquetError> {
        let mut buf = Vec::new();
        // Its header can't say that it is not compressed.
        self.pages.compress_always(values, &mut buf)?;
        let page = Page::DictionaryPage {
            buf: buf.into(),
            num_values: n as u32,
            encoding: Encoding::PLAIN,
            is_sorted,
        };
        self.write(page, values.len())?;
        self.dictionary = Some(Encoding::PLAIN);
        Ok(())
    }

    /// Makes the filter of `n` values or fewer that are distinct; `insert` puts them in.
    pub(super) fn filter(&mut self, n: usize, insert: impl FnOnce(&mut Sbbf)) {
        if self.has_filter {
            insert(self.filter.insert(filter::with_room(n)));
        }
    }

    pub(super) fn page(&mut self, page: DataPage<'_>) -> Result<(), ParquetError> {
        let DataPage { levels, repetition_octets, values, encoding, rows, nulls, bounds } = page;
        let mut buf = Vec::with_capacity(levels.len() + values.len());
        buf.extend_from_slice(levels);
        let is_tried = values.len() >= COMPRESSED_OCTETS_MIN && self.pays != Some(false);
        let is_compressed = is_tried && self.pages.compress(values, &mut buf)?.is_some();
        if is_tried {
            self.pays.get_or_insert(is_compressed);
        }
        if !is_compressed {
            buf.extend_from_slice(values);
        }
        let page = Page::DataPageV2 {
            buf: buf.into(),
            num_values: rows as u32,
            encoding,
            num_nulls: nulls as u32,
            num_rows: rows as u32,
            def_levels_byte_len: (levels.len() - repetition_octets) as u32,
            rep_levels_byte_len: repetition_octets as u32,
            is_compressed,
            statistics: None,
        };
        let (offset, octets) = self.write(page, levels.len() + values.len())?;
        self.data_at.get_or_insert(offset);
        self.encoding = encoding;
        self.n_pages += 1;
        self.rows += rows as u64;
        self.offset_index.append_row_count(rows as i64);
        self.offset_index.append_offset_and_size(offset as i64, octets as i32);
        match bounds {
            Some((least, most)) => {
                self.column_index.append(false, least.clone(), most.clone(), nulls as i64);
                self.bounds.push((least, most));
            }
            None => self.column_index.append(true, Vec::new(), Vec::new(), nulls as i64),
        }
        Ok(())
    }

    /// Whether values may be NULL, so that levels say which are.
    pub(super) fn has_levels(&self) -> bool {
        self.descr.max_def_level() > 0
    }

    pub(super) fn null_error(&self) -> ParquetError {
        ParquetError::General(format!("`{}` must not be NULL", self.descr.name()))
    }

    /// The octets of the chunk, and what the footer says about it.
    pub(super) fn finish(
        mut self,
        statistics: Statistics,
    ) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let octets = self.sink.into_inner()?;
        let page_stats = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
        let mut encodings = vec![Encoding::RLE, self.encoding];
        let mut stats = vec![page_stats(PageType::DATA_PAGE_V2, self.encoding, self.n_pages)];
        if let Some(encoding) = self.dictionary {
            encodings.push(encoding);
            stats.insert(0, page_stats(PageType::DICTIONARY_PAGE, encoding, 1));
        }
        self.column_index.set_boundary_order(order(&self.bounds, self.descr.physical_type()));
        let metadata = ColumnChunkMetaData::builder(self.descr)
            .set_compression(self.codec)
            .set_encodings(encodings)
            .set_page_encoding_stats(stats)
            .set_num_values(self.rows as i64)
            .set_total_compressed_size(octets.len() as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_data_page_offset(self.data_at.unwrap_or(0) as i64)
            .set_dictionary_page_offset(self.dictionary.map(|_| 0))
            .set_statistics(statistics)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: octets.len() as u64,
            rows_written: self.rows,
            metadata,
            bloom_filter: self.filter,
            column_index: Some(self.column_index.build()?),
            offset_index: Some(self.offset_index.build()),
        };
        Ok((octets.into(), close))
    }

    /// A chunk of NULLs, or of rows without any entry: one page.
    pub(super) fn nulls(mut self, rows: usize) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        if !self.has_levels() {
            return Err(self.null_error());
        }
        let (mut levels, mut pending) = (Vec::new(), Vec::new());
        let mut put = |max: i16| {
            if max > 0 {
                let mut hybrid = Hybrid::new(&mut levels, &mut pending, width_of(max.cast_unsigned().into()));
                hybrid.run(0, rows);
                hybrid.finish();
            }
            levels.len()
        };
        let repetition_octets = put(self.descr.max_rep_level());
        put(self.descr.max_def_level());
        self.page(DataPage {
            levels: &levels,
            repetition_octets,
            values: &[],
            encoding: Encoding::PLAIN,
            rows,
            nulls: rows,
            bounds: None,
        })?;
        let statistics = no_statistics(self.descr.physical_type(), rows as u64);
        self.finish(statistics)
    }
}

/// Whether pages ascend or descend; readers then search them by halves.
fn order(bounds: &[(Vec<u8>, Vec<u8>)], kind: Type) -> BoundaryOrder {
    let number = |octets: &[u8]| match octets.try_into() {
        Ok(octets) => i64::from_le_bytes(octets),
        Err(_) => octets.try_into().map_or(0, |octets| i32::from_le_bytes(octets).into()),
    };
    let compare = |one: &[u8], other: &[u8]| match kind {
        Type::INT32 | Type::INT64 => number(one).cmp(&number(other)),
        _ => one.cmp(other),
    };
    let all = |unlike: Ordering| {
        let mut pairs = bounds.iter().zip(bounds.iter().skip(1));
        pairs.all(|(one, next)| compare(&one.0, &next.0) != unlike && compare(&one.1, &next.1) != unlike)
    };
    if all(Ordering::Greater) {
        BoundaryOrder::ASCENDING
    } else if all(Ordering::Less) {
        BoundaryOrder::DESCENDING
    } else {
        BoundaryOrder::UNORDERED
    }
}

/// What is known of a column without values.
fn no_statistics(kind: Type, nulls: u64) -> Statistics {
    let nulls = Some(nulls);
    match kind {
        Type::BOOLEAN => Statistics::boolean(None, None, None, nulls, false),
        Type::INT32 => Statistics::int32(None, None, None, nulls, false),
        Type::INT64 => Statistics::int64(None, None, None, nulls, false),
        Type::INT96 => Statistics::int96(None, None, None, nulls, false),
        Type::FLOAT => Statistics::float(None, None, None, nulls, false),
        Type::DOUBLE => Statistics::double(None, None, None, nulls, false),
        Type::BYTE_ARRAY => Statistics::byte_array(None, None, None, nulls, false),
        Type::FIXED_LEN_BYTE_ARRAY => Statistics::fixed_len_byte_array(None, None, None, nulls, false),
    }
}
