//! Texts and octets of keys. A key has a name of each, two words, so that keys are compared and
//! counted without a table of all texts there are; the texts themselves are kept of groups alone,
//! to be printed.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Names texts: 128 bits that depend on all of a text and on numbers nobody else knows, so that
/// no two texts of a question have one, however many there are.
#[derive(Debug, Default)]
pub(crate) struct Texts([RandomState; 2]);

/// What texts are called.
pub(super) type Name = [u64; 2];

impl Texts {
    pub(super) fn name(&self, text: &[u8]) -> Name {
        self.0.each_ref().map(|state| state.hash_one(text))
    }
}

/// Texts of groups.
#[derive(Debug, Default)]
pub(super) struct TextTable {
    texts: HashMap<Name, Box<[u8]>>,
    octets: usize,
}

/// Octets a text takes beside its own: an entry of a table half empty, and what memory for it
/// costs.
const BYTES_EACH: usize = 2 * size_of::<(Name, Box<[u8]>)>() + 16;

impl TextTable {
    pub(super) fn insert(&mut self, name: Name, text: &[u8]) {
        self.texts.entry(name).or_insert_with(|| {
            self.octets += text.len();
            text.into()
        });
    }

    pub(super) fn get(&self, name: Name) -> Option<&[u8]> {
        self.texts.get(&name).map(|text| &**text)
    }

    /// Octets held, about.
    pub(super) fn bytes(&self) -> usize {
        self.octets + self.texts.len() * BYTES_EACH
    }
}
