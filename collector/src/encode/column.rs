//! A column of fixed width → pages: by dictionary, by deltas or plain, whatever is
//! smallest. Runs stay runs.

use bytes::Bytes;
use flow_common::limits;
use parquet::basic::Encoding;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::statistics::Statistics;

use super::chunk::{Chunk, DataPage};
use super::index::{Direct, Interner};
use super::pack::{Hybrid, put_deltas, width_of};
use super::value::{Dictionary, Value};
use crate::flow::{Fixed, Piece};

type Encoded = Result<(Bytes, ColumnCloseResult), ParquetError>;

/// Memory that every column uses again.
pub(super) struct Scratch {
    pub(super) direct: Direct,
    pub(super) integers: Interner<i64>,
    pub(super) v4: Interner<u32>,
    pub(super) octets: Interner<u128>,
    pub(super) positions: Vec<u32>,
    pending: Vec<u32>,
    levels: Vec<u8>,
    values: Vec<u8>,
    deltas: Vec<i64>,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self {
            direct: Direct::default(),
            integers: Interner::new(),
            v4: Interner::new(),
            octets: Interner::new(),
            positions: Vec::new(),
            pending: Vec::new(),
            levels: Vec::new(),
            values: Vec::new(),
            deltas: Vec::new(),
        }
    }
}

/// Rows of one page.
pub(super) struct Page<'a, T> {
    pub(super) pieces: Vec<Piece<'a, T>>,
    rows: usize,
    nulls: usize,
    /// Least and greatest value.
    pub(super) bounds: Option<(T, T)>,
}

/// Encodes a column, all rows of it.
pub(super) fn encode<T: Value>(
    mut chunk: Chunk<'_>,
    fixed: &Fixed<T>,
    is_time: bool,
    scratch: &mut Scratch,
) -> Encoded {
    let pages = split(fixed);
    let nulls: usize = pages.iter().map(|page| page.nulls).sum();
    let bounds = pages.iter().filter_map(|page| page.bounds).reduce(|one, other| {
        let least = if other.0.order() < one.0.order() { other.0 } else { one.0 };
        (least, if other.1.order() > one.1.order() { other.1 } else { one.1 })
    });
    let Some((least, most)) = bounds else { return chunk.nulls(fixed.len()) };
    if nulls > 0 && !chunk.has_levels() {
        return Err(chunk.null_error());
    }
    let statistics = T::statistics(bounds, nulls as u64);
    if least == most && nulls == 0 {
        return constant(chunk, least, fixed.len(), statistics, scratch);
    }
    let dictionary = T::index(&pages, is_time, scratch);
    if let Some(dictionary) = &dictionary {
        chunk.dictionary(&dictionary.plain, dictionary.n, dictionary.is_sorted)?;
    }
    put_filter(&mut chunk, &pages, dictionary.as_ref());
    let positions = std::mem::take(&mut scratch.positions);
    let mut rest = positions.as_slice();
    for page in &pages {
        put_levels(page, chunk.has_levels(), scratch);
        scratch.values.clear();
        let encoding = match &dictionary {
            Some(dictionary) => {
                rest = put_positions(page, rest, width_of(dictionary.n as u64 - 1), scratch);
                Encoding::RLE_DICTIONARY
            }
            None if T::HAS_DELTAS => {
                scratch.deltas.clear();
                let deltas = &mut scratch.deltas;
                page.for_values(|value, n| deltas.extend(std::iter::repeat_n(value.integer(), n)));
                put_deltas(&mut scratch.values, &scratch.deltas);
                Encoding::DELTA_BINARY_PACKED
            }
            None => {
                let values = &mut scratch.values;
                page.for_values(|value, n| (0..n).for_each(|_| value.put(values)));
                Encoding::PLAIN
            }
        };
        chunk.page(DataPage {
            levels: &scratch.levels,
            repetition_octets: 0,
            values: &scratch.values,
            encoding,
            rows: page.rows,
            nulls: page.nulls,
            bounds: page.bounds.map(|(least, most)| (plain(least), plain(most))),
        })?;
    }
    scratch.positions = positions;
    chunk.finish(statistics)
}

/// Every value into the chunk's filter, where it has one.
fn put_filter<T: Value>(chunk: &mut Chunk<'_>, pages: &[Page<'_, T>], dictionary: Option<&Dictionary>) {
    match dictionary {
        Some(Dictionary { plain, n, .. }) => chunk.filter(*n, |filter| {
            plain.chunks_exact(size_of::<T>()).for_each(|value| filter.insert(value));
        }),
        // Then most of them are distinct.
        None => chunk.filter(pages.iter().map(Page::n_values).sum(), |filter| {
            let mut octets = Vec::with_capacity(size_of::<T>());
            let mut insert = |value: T, _| {
                octets.clear();
                value.put(&mut octets);
                filter.insert(octets.as_slice());
            };
            pages.iter().for_each(|page| page.for_values(&mut insert));
        }),
    }
}

/// One value in all rows: one page, and its bounds say what a filter would.
fn constant<T: Value>(
    mut chunk: Chunk<'_>,
    value: T,
    rows: usize,
    statistics: Statistics,
    scratch: &mut Scratch,
) -> Encoded {
    let page = Page {
        pieces: vec![Piece::Run { value: Some(value), n: rows }],
        rows,
        nulls: 0,
        bounds: Some((value, value)),
    };
    chunk.dictionary(&plain(value), 1, true)?;
    put_levels(&page, chunk.has_levels(), scratch);
    scratch.values.clear();
    put_positions(&page, &[0], 0, scratch);
    chunk.page(DataPage {
        levels: &scratch.levels,
        repetition_octets: 0,
        values: &scratch.values,
        encoding: Encoding::RLE_DICTIONARY,
        rows,
        nulls: 0,
        bounds: Some((plain(value), plain(value))),
    })?;
    chunk.finish(statistics)
}

fn plain<T: Value>(value: T) -> Vec<u8> {
    let mut out = Vec::with_capacity(size_of::<T>());
    value.put(&mut out);
    out
}

/// Definition levels: 1 where there is a value.
fn put_levels<T: Value>(page: &Page<'_, T>, has_levels: bool, scratch: &mut Scratch) {
    scratch.levels.clear();
    if !has_levels {
        return;
    }
    let mut levels = Hybrid::new(&mut scratch.levels, &mut scratch.pending, 1);
    if page.nulls == 0 {
        levels.run(1, page.rows);
    } else {
        for piece in &page.pieces {
            match piece {
                Piece::Values { values, valid: [] } => levels.run(1, values.len()),
                Piece::Values { valid, .. } => levels.flags(valid),
                Piece::Run { value, n } => levels.run(value.is_some().into(), *n),
            }
        }
    }
    levels.finish();
}

/// Appends a page of positions, taken from the front of `positions`; returns the rest.
fn put_positions<'a, T: Value>(
    page: &Page<'_, T>,
    mut positions: &'a [u32],
    width: u32,
    scratch: &mut Scratch,
) -> &'a [u32] {
    scratch.values.push(width as u8);
    let mut values = Hybrid::new(&mut scratch.values, &mut scratch.pending, width);
    for piece in &page.pieces {
        let n = match piece {
            Piece::Values { values, valid: [] } => values.len(),
            Piece::Values { valid, .. } => valid.iter().filter(|&&valid| valid).count(),
            Piece::Run { value, .. } => value.is_some().into(),
        };
        let (here, rest) = positions.split_at(n);
        match (piece, here) {
            (Piece::Run { n, .. }, [position]) => values.run(*position, *n),
            _ => values.values(here),
        }
        positions = rest;
    }
    values.finish();
    positions
}

/// Rows by pages.
fn split<T: Value>(fixed: &Fixed<T>) -> Vec<Page<'_, T>> {
    let mut pages = Vec::new();
    let (mut pieces, mut rows) = (Vec::new(), 0);
    for piece in fixed.pieces() {
        let mut rest = Some(piece).filter(|piece| len(piece) > 0);
        while let Some(piece) = rest {
            if rows == limits::PAGE_ROWS {
                pages.push(Page::new(std::mem::take(&mut pieces), std::mem::take(&mut rows)));
            }
            let (here, after) = split_piece(piece, limits::PAGE_ROWS - rows);
            rows += len(&here);
            pieces.push(here);
            rest = after;
        }
    }
    if rows > 0 {
        pages.push(Page::new(pieces, rows));
    }
    pages
}

fn len<T>(piece: &Piece<'_, T>) -> usize {
    match piece {
        Piece::Values { values, .. } => values.len(),
        Piece::Run { n, .. } => *n,
    }
}

/// The first `n` rows of a piece, and what is left.
fn split_piece<T: Copy>(piece: Piece<'_, T>, n: usize) -> (Piece<'_, T>, Option<Piece<'_, T>>) {
    if len(&piece) <= n {
        return (piece, None);
    }
    match piece {
        Piece::Values { values, valid } => {
            let (values, rest) = values.split_at(n);
            let (valid, rest_valid) = valid.split_at(n.min(valid.len()));
            (Piece::Values { values, valid }, Some(Piece::Values { values: rest, valid: rest_valid }))
        }
        Piece::Run { value, n: n_all } => (Piece::Run { value, n }, Some(Piece::Run { value, n: n_all - n })),
    }
}

impl<'a, T: Value> Page<'a, T> {
    fn new(pieces: Vec<Piece<'a, T>>, rows: usize) -> Self {
        let mut page = Self { pieces, rows, nulls: 0, bounds: None };
        let mut n_values = 0;
        let mut bounds: Option<(T::Order, T, T::Order, T)> = None;
        let mut add = |least: T, most: T| {
            let (low, high) = (least.order(), most.order());
            let known = bounds.get_or_insert((low, least, high, most));
            if low < known.0 {
                (known.0, known.1) = (low, least);
            }
            if high > known.2 {
                (known.2, known.3) = (high, most);
            }
        };
        for piece in &page.pieces {
            match piece {
                Piece::Values { values, valid: [] } => {
                    n_values += values.len();
                    if let Some((least, most)) = T::bounds(values) {
                        add(least, most);
                    }
                }
                Piece::Values { values, valid } => {
                    for (value, _) in values.iter().zip(*valid).filter(|(_, valid)| **valid) {
                        n_values += 1;
                        add(*value, *value);
                    }
                }
                Piece::Run { value: Some(value), n } => {
                    n_values += n;
                    add(*value, *value);
                }
                Piece::Run { value: None, .. } => {}
            }
        }
        page.nulls = rows - n_values;
        page.bounds = bounds.map(|(_, least, _, most)| (least, most));
        page
    }

    pub(super) fn n_values(&self) -> usize {
        self.rows - self.nulls
    }

    /// Every value there is, and how often in a row.
    pub(super) fn for_values(&self, mut see: impl FnMut(T, usize)) {
        for piece in &self.pieces {
            match piece {
                Piece::Values { values, valid: [] } => values.iter().for_each(|&value| see(value, 1)),
                Piece::Values { values, valid } => {
                    let values = values.iter().zip(*valid).filter(|(_, valid)| **valid);
                    values.for_each(|(&value, _)| see(value, 1));
                }
                Piece::Run { value: Some(value), n } => see(*value, *n),
                Piece::Run { value: None, .. } => {}
            }
        }
    }
}
