//! Values that occur in groups: each of a group once, with what adds up for it.

use hashbrown::HashTable;

/// A value of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    /// The place of its group.
    pub(super) group: u32,
    pub(super) hash: u64,
    pub(super) value: &'a [u64],
    pub(super) amount: u64,
}

/// What values are like.
#[derive(Debug, Clone, Copy)]
pub(super) struct PairShape {
    /// Words of a value.
    pub(super) words: usize,
    /// Whether something adds up for each value.
    pub(super) has_amounts: bool,
}

impl PairShape {
    /// Octets a value of a group takes, its share of the index included.
    pub(super) fn bytes_each(self) -> usize {
        // Vectors and index are half empty at the worst.
        2 * (4 + 8 + 8 * self.words + 8 * usize::from(self.has_amounts) + 5)
    }
}

/// Different values of groups.
#[derive(Debug)]
pub(super) struct Pairs {
    shape: PairShape,
    groups: Vec<u32>,
    hashes: Vec<u64>,
    values: Vec<u64>,
    amounts: Vec<u64>,
    index: HashTable<u32>,
}

impl Pairs {
    pub(super) fn new(shape: PairShape) -> Self {
        Self {
            shape,
            groups: Vec::new(),
            hashes: Vec::new(),
            values: Vec::new(),
            amounts: Vec::new(),
            index: HashTable::new(),
        }
    }

    pub(super) fn shape(&self) -> PairShape {
        self.shape
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.len() * self.shape.bytes_each()
    }

    pub(super) fn add(&mut self, pair: Pair<'_>) {
        let Self { shape, groups, hashes, values, amounts, index } = self;
        let words = shape.words;
        let is_it = |&at: &u32| {
            let at = at as usize;
            hashes[at] == pair.hash
                && groups[at] == pair.group
                && values[at * words..(at + 1) * words] == *pair.value
        };
        match index.find(pair.hash, is_it) {
            Some(&at) => {
                if let Some(amount) = amounts.get_mut(at as usize) {
                    *amount = amount.saturating_add(pair.amount);
                }
            }
            None => {
                let at = groups.len() as u32;
                groups.push(pair.group);
                hashes.push(pair.hash);
                values.extend_from_slice(pair.value);
                if shape.has_amounts {
                    amounts.push(pair.amount);
                }
                index.insert_unique(pair.hash, at, |&at| hashes[at as usize]);
            }
        }
    }

    pub(super) fn pair(&self, at: u32) -> Pair<'_> {
        let (at, words) = (at as usize, self.shape.words);
        Pair {
            group: self.groups[at],
            hash: self.hashes[at],
            value: &self.values[at * words..(at + 1) * words],
            amount: self.amounts.get(at).copied().unwrap_or(0),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Pair<'_>> {
        (0..self.len() as u32).map(|at| self.pair(at))
    }
}
