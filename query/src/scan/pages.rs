//! One column of a row group, page by page, to values and ids.
//!
//! What is inside is decoded here, as the record readers of the `parquet` crate would make rows
//! of what is better kept as ids.

use std::fs::File;
use std::sync::Arc;

use flow_common::thrift::PageKind;
use parquet::basic::{Encoding, LogicalType, Type};
use parquet::file::metadata::ColumnChunkMetaData;

use super::ReadError;
use super::chunk::{Codec, Page, Pages};
use super::unpack::{deltas, hybrid, hybrid_at, is_run_of_one};
use crate::values::{Bytes, Column, Dictionary, Values, spare};

/// How values lie in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Int32,
    Int64,
    Fixed(usize),
    Bytes { is_text: bool },
}

/// What is decoded here; `None` for what is left to the `arrow` reader.
fn stored(metadata: &ColumnChunkMetaData) -> Option<Stored> {
    const ENCODINGS: [Encoding; 5] = [
        Encoding::PLAIN,
        Encoding::RLE,
        Encoding::RLE_DICTIONARY,
        Encoding::PLAIN_DICTIONARY,
        Encoding::DELTA_BINARY_PACKED,
    ];
    let column = metadata.column_descr();
    if column.max_rep_level() > 0 || column.max_def_level() > 1 {
        return None;
    }
    let stored = match column.physical_type() {
        Type::INT32 => Stored::Int32,
        Type::INT64 => Stored::Int64,
        Type::FIXED_LEN_BYTE_ARRAY => Stored::Fixed(usize::try_from(column.type_length()).ok()?),
        Type::BYTE_ARRAY => {
            Stored::Bytes { is_text: column.logical_type_ref() == Some(&LogicalType::String) }
        }
        _ => return None,
    };
    let has_deltas = matches!(stored, Stored::Int32 | Stored::Int64);
    let is_known = |encoding: Encoding| {
        ENCODINGS.contains(&encoding) && (has_deltas || encoding != Encoding::DELTA_BINARY_PACKED)
    };
    let is_narrow = !matches!(stored, Stored::Fixed(width) if !(1..=16).contains(&width));
    (is_narrow && metadata.encodings().all(is_known)).then_some(stored)
}

/// Of how many rows one at most is wanted for ids to be taken one by one.
const FEW: usize = 4;

/// A place in a column.
pub(super) struct Cursor {
    pages: Pages,
    stored: Stored,
    is_nullable: bool,
    /// The first page is a dictionary and was not read: of a column without a match it need not be.
    has_dictionary_ahead: bool,
    dictionary: Option<Arc<Dictionary>>,
    /// Every page has ids of the dictionary.
    is_all_ids: bool,
    /// What is decoded and was not handed out, and its rows.
    page: Column,
    page_rows: usize,
    /// Rows to pass over before the next page that is decoded.
    to_skip: usize,
}

impl Cursor {
    /// `None` where the column is left to the `arrow` reader.
    pub(super) fn new(file: &Arc<File>, file_bytes: u64, metadata: &ColumnChunkMetaData) -> Option<Self> {
        let (stored, codec) = (stored(metadata)?, Codec::of(metadata)?);
        Some(Self {
            pages: Pages::new(file, file_bytes, metadata, codec),
            stored,
            is_nullable: metadata.column_descr().max_def_level() > 0,
            has_dictionary_ahead: metadata.dictionary_page_offset().is_some(),
            dictionary: None,
            is_all_ids: is_all_ids(metadata),
            page: Column::Null,
            page_rows: 0,
            to_skip: 0,
        })
    }

    /// The dictionary, if it was read and has all values of the column.
    pub(super) fn whole_dictionary(&self) -> Option<&Arc<Dictionary>> {
        self.dictionary.as_ref().filter(|_| self.is_all_ids)
    }

    /// Reads the dictionary, if there is one and it was not read.
    pub(super) fn read_dictionary(&mut self) -> Result<(), ReadError> {
        if !std::mem::take(&mut self.has_dictionary_ahead) {
            return Ok(());
        }
        let is_next = self.pages.peek()?.is_some_and(|(is_dictionary, _)| is_dictionary);
        if is_next && let Some(page) = self.pages.take()? {
            self.set_dictionary(&page)?;
        }
        Ok(())
    }

    fn set_dictionary(&mut self, page: &Page) -> Result<(), ReadError> {
        let values = plain(&page.octets, self.stored, page.len(), true)?;
        self.dictionary = Some(Arc::new(Dictionary::new(values)));
        Ok(())
    }

    /// Rows that can be read without joining pages; 0 at the end.
    pub(super) fn rows_ahead(&mut self) -> Result<usize, ReadError> {
        if self.page_rows == 0 {
            self.next_page()?;
        }
        Ok(self.page_rows)
    }

    /// Passes over `n` rows.
    pub(super) fn skip(&mut self, n: usize) {
        let here = n.min(self.page_rows);
        if here > 0 {
            self.page.split_front(here, self.page_rows);
            self.page_rows -= here;
        }
        self.to_skip += n - here;
    }

    /// The next `n` rows.
    pub(super) fn read(&mut self, n: usize) -> Result<Column, ReadError> {
        let (mut column, mut rows) = (Column::Null, 0);
        while rows < n {
            if self.page_rows == 0 && !self.next_page()? {
                return Err(ReadError::Damaged(format!("a column ends {} rows early", n - rows)));
            }
            let here = self.page_rows.min(n - rows);
            let part = self.page.split_front(here, self.page_rows);
            self.page_rows -= here;
            column.append(rows, part, here);
            rows += here;
        }
        Ok(column)
    }

    /// Of the next `n` rows those at `rows`, which ascend. Ids are taken where they lie, the
    /// others between them left packed.
    pub(super) fn read_at(&mut self, n: usize, rows: &[u32]) -> Result<Column, ReadError> {
        if self.page_rows == 0
            && rows.len() * FEW <= n
            && self.pass_pages()?
            && self.to_skip == 0
            && let Some(page) = self.page_of(n)?
            && let Some(column) = self.ids_at(&page, rows)?
        {
            return Ok(column);
        }
        let mut column = self.read(n)?;
        column.select(rows);
        Ok(column)
    }

    /// The next page undecoded, if it has exactly `n` rows.
    fn page_of(&mut self, n: usize) -> Result<Option<Page>, ReadError> {
        match self.pages.peek()? {
            Some((false, rows)) if rows == n => self.pages.take(),
            _ => Ok(None),
        }
    }

    /// The ids of some rows of a page; where it has none, it becomes the current page.
    fn ids_at(&mut self, page: &Page, rows: &[u32]) -> Result<Option<Column>, ReadError> {
        let is_ids = matches!(page.encoding()?, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
        let n = page.len();
        let (levels, octets) = self.split(page)?;
        let has_nulls = self.is_nullable && !is_run_of_one(levels, n);
        if let (true, false, Some(dictionary)) = (is_ids, has_nulls, &self.dictionary) {
            let (&width, octets) =
                octets.split_first().ok_or_else(|| ReadError::Damaged("a page of ids is empty".into()))?;
            let mut ids = Vec::with_capacity(rows.len());
            hybrid_at(octets, width.into(), n, rows, &mut ids)?;
            check_ids(&ids, dictionary.len())?;
            return Ok(Some(Column::Ids { dictionary: Arc::clone(dictionary), ids }));
        }
        (self.page, self.page_rows) = (self.decoded(page)?, n);
        Ok(None)
    }

    /// Passes over pages all rows of which are to be skipped; false at the end.
    fn pass_pages(&mut self) -> Result<bool, ReadError> {
        self.read_dictionary()?;
        loop {
            match self.pages.peek()? {
                None => return Ok(false),
                Some((false, rows)) if rows <= self.to_skip => {
                    self.to_skip -= rows;
                    self.pages.skip()?;
                }
                Some(_) => return Ok(true),
            }
        }
    }

    /// Decodes the next page that has rows which are wanted; false at the end.
    fn next_page(&mut self) -> Result<bool, ReadError> {
        loop {
            if !self.pass_pages()? {
                return Ok(false);
            }
            match self.pages.take()? {
                None => return Ok(false),
                Some(page) if matches!(page.kind, PageKind::Dictionary { .. }) => {
                    self.set_dictionary(&page)?
                }
                Some(page) => {
                    self.page = self.decoded(&page)?;
                    self.page_rows = page.len();
                    let skipped = std::mem::take(&mut self.to_skip).min(self.page_rows);
                    if skipped > 0 {
                        self.page.split_front(skipped, self.page_rows);
                        self.page_rows -= skipped;
                    }
                    if self.page_rows > 0 {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// The levels and the values of a page.
    fn split<'p>(&self, page: &'p Page) -> Result<(&'p [u8], &'p [u8]), ReadError> {
        let short = || ReadError::Damaged("the levels of a page are longer than it".into());
        let octets = page.octets.as_slice();
        match page.kind {
            PageKind::Data { level_encoding, .. } if self.is_nullable => {
                if level_encoding != i64::from(Encoding::RLE as i32) {
                    return Err(ReadError::Damaged("the levels of a page are in an encoding of old".into()));
                }
                let (length, rest) = octets.split_first_chunk::<4>().ok_or_else(short)?;
                rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)
            }
            PageKind::DataV2 { definition_bytes, repetition_bytes, .. } => {
                let (_, rest) = octets.split_at_checked(repetition_bytes as usize).ok_or_else(short)?;
                rest.split_at_checked(definition_bytes as usize).ok_or_else(short)
            }
            _ => Ok((&[], octets)),
        }
    }

    fn decoded(&self, page: &Page) -> Result<Column, ReadError> {
        let (levels, octets) = self.split(page)?;
        let rows = page.len();
        let nulls = if self.is_nullable { nulls(levels, rows)? } else { None };
        let n_values = nulls.as_ref().map_or(rows, |nulls| nulls.iter().filter(|&&is_null| !is_null).count());
        if n_values == 0 {
            return Ok(Column::Null);
        }
        match page.encoding()? {
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                let dictionary = self.dictionary.as_ref();
                let dictionary =
                    dictionary.ok_or_else(|| ReadError::Damaged("a column lacks its dictionary".into()))?;
                let ids = read_ids(octets, n_values, dictionary.len())?;
                let ids = spread(ids, nulls.as_deref(), dictionary.len() as u32);
                Ok(Column::Ids { dictionary: Arc::clone(dictionary), ids })
            }
            Encoding::DELTA_BINARY_PACKED => {
                let mut values = Vec::new();
                deltas(octets, n_values, &mut values)?;
                if self.stored == Stored::Int32 {
                    values.iter_mut().for_each(|value| *value = i64::from(*value as i32));
                }
                Ok(Column::Plain { values: Values::Ints(spread(values, nulls.as_deref(), 0)), nulls })
            }
            Encoding::PLAIN => {
                let values = match plain(octets, self.stored, n_values, false)? {
                    Values::Ints(values) => Values::Ints(spread(values, nulls.as_deref(), 0)),
                    Values::Fixed(values) => Values::Fixed(spread(values, nulls.as_deref(), 0)),
                    Values::Bytes(values) => Values::Bytes(spread_bytes(values, nulls.as_deref())),
                };
                Ok(Column::Plain { values, nulls })
            }
            other => {
                Err(ReadError::Damaged(format!("a page in an encoding its column does not name: {other}")))
            }
        }
    }
}

/// Whether metadata says that all data pages have ids.
fn is_all_ids(metadata: &ColumnChunkMetaData) -> bool {
    let is_ids = |encoding| matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
    metadata.dictionary_page_offset().is_some()
        && metadata.page_encoding_stats_mask().is_some_and(|mask| {
            // A file may tell of no page of data.
            mask.encodings().next().is_some() && mask.encodings().all(is_ids)
        })
}

/// Which of `rows` rows are NULL; `None` where none is.
fn nulls(levels: &[u8], rows: usize) -> Result<Option<Vec<bool>>, ReadError> {
    if is_run_of_one(levels, rows) {
        return Ok(None);
    }
    let mut present = Vec::new();
    hybrid(levels, 1, rows, &mut present)?;
    if present.iter().all(|&level| level != 0) {
        return Ok(None);
    }
    Ok(Some(present.iter().map(|&level| level == 0).collect()))
}

fn read_ids(octets: &[u8], n: usize, dictionary_len: usize) -> Result<Vec<u32>, ReadError> {
    let (&width, octets) =
        octets.split_first().ok_or_else(|| ReadError::Damaged("a page of ids is empty".into()))?;
    let mut ids = Vec::new();
    hybrid(octets, width.into(), n, &mut ids)?;
    check_ids(&ids, dictionary_len)?;
    Ok(ids)
}

fn check_ids(ids: &[u32], dictionary_len: usize) -> Result<(), ReadError> {
    let most = ids.iter().copied().max().unwrap_or(0) as usize;
    if most >= dictionary_len && !ids.is_empty() {
        return Err(ReadError::Damaged(format!("a page has id {most} of {dictionary_len} values")));
    }
    Ok(())
}

/// Puts `filler` where rows are NULL.
fn spread<T: Copy>(values: Vec<T>, nulls: Option<&[bool]>, filler: T) -> Vec<T> {
    let Some(nulls) = nulls else { return values };
    let mut values = values.into_iter();
    nulls.iter().map(|&is_null| if is_null { filler } else { values.next().unwrap_or(filler) }).collect()
}

fn spread_bytes(values: Bytes, nulls: Option<&[bool]>) -> Bytes {
    let Some(nulls) = nulls else { return values };
    let mut spread = Bytes::default();
    let mut next = 0;
    for &is_null in nulls {
        spread.push(if is_null { &[] } else { values.get(next).unwrap_or_default() });
        next += usize::from(!is_null);
    }
    spread
}

/// Items in memory that was used before.
fn collected<T>(mut into: Vec<T>, items: impl Iterator<Item = T>) -> Vec<T> {
    into.clear();
    into.extend(items);
    into
}

/// `n` values as PLAIN has them; of a dictionary, in memory of one that is done with.
fn plain(octets: &[u8], stored: Stored, n: usize, is_dictionary: bool) -> Result<Values, ReadError> {
    let short = || ReadError::Damaged(format!("a page of {n} values ends early"));
    let fixed = |width: usize| {
        let length = n.checked_mul(width).ok_or_else(short)?;
        octets.get(..length).ok_or_else(short).map(|octets| octets.chunks_exact(width))
    };
    Ok(match stored {
        Stored::Int32 => {
            let read = |octets: &[u8]| i32::from_le_bytes(octets.try_into().unwrap_or_default()).into();
            Values::Ints(collected(
                if is_dictionary { spare::INTS.with(spare::take) } else { Vec::new() },
                fixed(4)?.map(read),
            ))
        }
        Stored::Int64 => {
            let read = |octets: &[u8]| i64::from_le_bytes(octets.try_into().unwrap_or_default());
            Values::Ints(collected(
                if is_dictionary { spare::INTS.with(spare::take) } else { Vec::new() },
                fixed(8)?.map(read),
            ))
        }
        Stored::Fixed(16) => {
            let read = |octets: &[u8]| u128::from_be_bytes(octets.try_into().unwrap_or_default());
            Values::Fixed(collected(
                if is_dictionary { spare::FIXED.with(spare::take) } else { Vec::new() },
                fixed(16)?.map(read),
            ))
        }
        Stored::Fixed(width) => {
            let read = |octets: &[u8]| octets.iter().fold(0, |sum, &octet| sum << 8 | u128::from(octet));
            Values::Fixed(fixed(width)?.map(read).collect())
        }
        Stored::Bytes { is_text } => {
            let mut values = Bytes::default();
            let mut rest = octets;
            for _ in 0..n {
                let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(short)?;
                let (value, behind) =
                    behind.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
                if is_text && str::from_utf8(value).is_err() {
                    return Err(ReadError::Damaged("a text is not UTF-8".into()));
                }
                values.push(value);
                rest = behind;
            }
            Values::Bytes(values)
        }
    })
}
