//! Keys of groups: a hash and a few words for each row, made once for each value of a
//! dictionary where there is one.

use std::sync::Arc;

use flow_common::addr::{Addr16, Mac};
use flow_common::column::Kind;

use super::source::{Computer, Source};
use super::texts::{Name, Texts};
use crate::aggregate::{Float, Value};
use crate::batch::{Batch, Cells};
use crate::columns::ColumnRef;
use crate::places::Places;
use crate::values::{Column, Dictionary, Values};

/// One part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyPart {
    pub(crate) source: Source,
    pub(crate) kind: Kind,
    /// Bits of an address that count, of either family.
    pub(crate) mask: Mask,
}

/// Bits of an address that tell groups apart, by family; of a family without, all addresses
/// are NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mask {
    pub(crate) v4: Option<u8>,
    pub(crate) v6: Option<u8>,
}

impl Mask {
    pub(crate) const WHOLE: Self = Self { v4: Some(32), v6: Some(128) };

    /// Families of both; where both have one, this one's bits.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { v4: self.v4.or(other.v4), v6: self.v6.or(other.v6) }
    }

    pub(super) fn apply(self, addr: u128) -> Option<u128> {
        let is_v4 = addr >> 32 == 0xffff;
        let bits = if is_v4 { 96 + u32::from(self.v4?) } else { u32::from(self.v6?) };
        Some(if bits < 128 { addr & !(u128::MAX >> bits) } else { addr })
    }
}

impl KeyPart {
    pub(crate) fn column(column: ColumnRef, kind: Kind) -> Self {
        Self { source: Source::Column(column), kind, mask: Mask::WHOLE }
    }

    /// Of values that are computed.
    pub(crate) fn of(source: Source) -> Self {
        Self { source, kind: source.kind(), mask: Mask::WHOLE }
    }

    /// Columns it is made of.
    pub(crate) fn columns(&self) -> Vec<ColumnRef> {
        self.source.columns()
    }

    /// Words its value takes in a key.
    pub(crate) fn words(&self) -> usize {
        if self.kind == Kind::Address || self.is_text() { 2 } else { 1 }
    }

    /// Whether its values are texts or octets, so that a key has names of them.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Binary)
    }
}

/// Multiplies and folds: cheap, and every bit of the result depends on all of `a`.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd6e8_feb8_6659_fd93);
    (product as u64) ^ (product >> 64) as u64
}

fn hash_words([high, low]: [u64; 2], seed: u64) -> u64 {
    mix(mix(high, seed), low.rotate_left(32) ^ seed)
}

/// One part of a key, from batch to batch.
pub(crate) struct KeyReader {
    part: KeyPart,
    seed: u64,
    /// Hashes of the values of a dictionary, and that of NULL at the end.
    known: Option<(u64, Vec<u64>)>,
    computer: Computer,
    computed: Option<Column>,
    hashes: Vec<u64>,
}

/// One part of the keys of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    part: KeyPart,
    cells: Cells<'a>,
    pub(crate) hashes: Hashes<'a>,
}

/// A hash for each row.
#[derive(Clone, Copy)]
pub(crate) enum Hashes<'a> {
    /// The same in every row.
    Same(u64),
    /// By the ids of a dictionary.
    Ids {
        dictionary: u64,
        ids: &'a [u32],
        hashes: &'a [u64],
    },
    Rows(&'a [u64]),
}

impl Hashes<'_> {
    /// Adds the hash of each row to `sums`.
    pub(crate) fn add_to(&self, sums: &mut [u64]) {
        match self {
            Self::Same(hash) => sums.iter_mut().for_each(|sum| *sum = sum.wrapping_add(*hash)),
            Self::Ids { ids, hashes, .. } => {
                for (sum, &id) in sums.iter_mut().zip(*ids) {
                    *sum = sum.wrapping_add(hashes[id as usize]);
                }
            }
            Self::Rows(hashes) => {
                sums.iter_mut().zip(*hashes).for_each(|(sum, hash)| *sum = sum.wrapping_add(*hash));
            }
        }
    }
}

impl KeyReader {
    /// `seed` is another for each part and each run.
    pub(crate) fn new(part: KeyPart, seed: u64, places: Option<Arc<Places>>) -> Self {
        let computer = Computer::new(part.source, places);
        Self { part, seed, known: None, computer, computed: None, hashes: Vec::new() }
    }

    /// The hash of a value given as words.
    pub(crate) fn hash(&self, words: [u64; 2]) -> u64 {
        hash_words(words, self.seed)
    }

    fn null_hash(&self) -> u64 {
        mix(self.seed, !self.seed)
    }

    /// The keys of a batch.
    pub(crate) fn read<'a>(&'a mut self, batch: &'a Batch, texts: &Texts) -> Keys<'a> {
        let part = self.part;
        self.computed = self.computer.compute(batch);
        let cells = match (&self.computed, part.source.column()) {
            (Some(computed), _) => computed.cells(),
            (None, Some(column)) => batch.cells(column),
            (None, None) => Cells::Absent,
        };
        let (seed, null) = (self.seed, self.null_hash());
        let hash = |words: Option<[u64; 2]>| words.map_or(null, |words| hash_words(words, seed));
        let hashes = match (cells, cells.dictionary()) {
            (Cells::Absent, _) => Hashes::Same(null),
            (_, Some((dictionary, ids))) => {
                if self.known.as_ref().is_none_or(|known| known.0 != dictionary.id) {
                    let words = (0..dictionary.len()).map(|id| of_id(part, dictionary, id, texts));
                    let hashes: Vec<u64> = words.map(hash).chain([null]).collect();
                    self.known = Some((dictionary.id, hashes));
                }
                let hashes = self.known.as_ref().map_or(&[][..], |known| &known.1);
                Hashes::Ids { dictionary: dictionary.id, ids, hashes }
            }
            _ => {
                self.hashes.clear();
                self.hashes.extend((0..batch.rows()).map(|row| hash(of_cells(part, cells, row, texts))));
                Hashes::Rows(&self.hashes)
            }
        };
        Keys { part, cells, hashes }
    }
}

impl Keys<'_> {
    /// The value of a row as words; `None` where it is NULL.
    #[inline]
    pub(crate) fn words(&self, row: usize, texts: &Texts) -> Option<[u64; 2]> {
        of_cells(self.part, self.cells, row, texts)
    }

    /// The text or the octets of a row.
    pub(super) fn text(&self, row: usize) -> Option<&[u8]> {
        match self.part.kind {
            Kind::Text => self.cells.text(row).map(str::as_bytes),
            Kind::Binary => self.cells.binary(row),
            _ => None,
        }
    }
}

fn split(number: u128) -> [u64; 2] {
    [(number >> 64) as u64, number as u64]
}

/// The value of a dictionary's id as words; `None` past its end.
pub(crate) fn of_id(part: KeyPart, dictionary: &Dictionary, id: usize, texts: &Texts) -> Option<[u64; 2]> {
    match &dictionary.values {
        Values::Ints(values) => values.get(id).map(|&value| [0, value as u64]),
        Values::Fixed(values) if part.kind == Kind::Address => {
            values.get(id).and_then(|&value| part.mask.apply(value)).map(split)
        }
        Values::Fixed(values) => values.get(id).map(|&value| split(value)),
        Values::Bytes(values) => values.get(id).map(|value| texts.name(value)),
    }
}

fn of_cells(part: KeyPart, cells: Cells<'_>, row: usize, texts: &Texts) -> Option<[u64; 2]> {
    match part.kind {
        Kind::Int32 | Kind::Int64 | Kind::Timestamp | Kind::Boolean => {
            cells.int(row).map(|value| [0, value as u64])
        }
        Kind::Address => {
            cells.octets(row).and_then(|octets| part.mask.apply(u128::from_be_bytes(octets))).map(split)
        }
        Kind::Mac => {
            let number = |octets: [u8; 6]| octets.iter().fold(0, |sum, &octet| sum << 8 | u64::from(octet));
            cells.octets(row).map(|octets| [0, number(octets)])
        }
        Kind::Float64 => cells.float(row).map(|value| [0, value.to_bits()]),
        Kind::Text => cells.text(row).map(|text| texts.name(text.as_bytes())),
        Kind::Binary => cells.binary(row).map(|octets| texts.name(octets)),
        // An entry of the stack; a stack as a whole is no key.
        Kind::Labels => cells.int(row).map(|entry| [0, entry as u64]),
        Kind::Other => None,
    }
}

/// The value that words stand for, where `text` knows the texts that have names.
pub(super) fn value_of<'a>(
    part: KeyPart,
    [high, low]: [u64; 2],
    text: impl Fn(Name) -> &'a [u8],
    places: Option<&Places>,
) -> Value {
    let octets = || text([high, low]);
    if let Some(computed) = part.source.value_of(low, octets, places) {
        return computed;
    }
    match part.kind {
        Kind::Address => Value::Address(Addr16((u128::from(high) << 64 | u128::from(low)).to_be_bytes())),
        Kind::Mac => {
            let [_, _, a, b, c, d, e, f] = low.to_be_bytes();
            Value::Mac(Mac([a, b, c, d, e, f]))
        }
        Kind::Float64 => Value::Float(Float(f64::from_bits(low))),
        Kind::Boolean => Value::Boolean(low == 1),
        Kind::Text => Value::Text(String::from_utf8_lossy(octets()).into()),
        Kind::Binary => Value::Binary(octets().into()),
        _ => Value::Int(low as i64),
    }
}
