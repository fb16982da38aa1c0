//! Text of a dictionary's entries, each made once: when a row first has it.

use flow_common::limits::{ENTRIES_PER_ROW_MAX, ENTRY_TEXT_BYTES_MAX};

use crate::values::Dictionary;

/// Octets of an entry: up to 15 of text, and how many they are.
const SLOT_OCTETS: usize = 16;
/// In place of a length: the text is longer, and the octets say where it lies.
const LONG: u8 = 0xfe;
/// The text was not made yet.
const UNMADE: u8 = 0xff;

type Slot = [u8; SLOT_OCTETS];

#[derive(Debug, Clone, Default)]
pub(super) struct EntryTexts {
    /// The dictionary they are of.
    dictionary: Option<u64>,
    slots: Vec<Slot>,
    long: Vec<u8>,
}

/// What is known of an entry's text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EntryText<'a> {
    /// There is no such entry: NULL.
    None,
    Unmade,
    Short(&'a Slot, usize),
    Long(&'a [u8]),
}

impl EntryTexts {
    /// Readies for the entries of `dictionary`; false where that costs more than the
    /// text of `rows` rows.
    pub(super) fn are_of(&mut self, dictionary: &Dictionary, rows: usize) -> bool {
        if self.dictionary == Some(dictionary.id) {
            return true;
        }
        let is_worth_it = dictionary.len() / ENTRIES_PER_ROW_MAX <= rows;
        if is_worth_it {
            self.dictionary = Some(dictionary.id);
            self.long.clear();
            self.slots.clear();
            self.slots.resize(dictionary.len(), [UNMADE; SLOT_OCTETS]);
        }
        is_worth_it
    }

    #[inline]
    pub(super) fn get(&self, entry: usize) -> EntryText<'_> {
        let Some(slot) = self.slots.get(entry) else { return EntryText::None };
        match slot[SLOT_OCTETS - 1] {
            UNMADE => EntryText::Unmade,
            LONG => self.long(slot),
            length => EntryText::Short(slot, usize::from(length)),
        }
    }

    fn long(&self, slot: &Slot) -> EntryText<'_> {
        let [a, b, c, d, e, f, g, h, ..] = *slot;
        let [start, length] = [[a, b, c, d], [e, f, g, h]].map(|octets| u32::from_le_bytes(octets) as usize);
        self.long.get(start..start + length).map_or(EntryText::Unmade, EntryText::Long)
    }

    /// Keeps the text of an entry, if there is room.
    pub(super) fn keep(&mut self, entry: usize, text: &[u8]) {
        let Some(slot) = self.slots.get_mut(entry) else { return };
        if text.len() < SLOT_OCTETS {
            slot[..text.len()].copy_from_slice(text);
            slot[SLOT_OCTETS - 1] = text.len() as u8;
        } else if self.long.len() + text.len() <= ENTRY_TEXT_BYTES_MAX {
            slot[..4].copy_from_slice(&(self.long.len() as u32).to_le_bytes());
            slot[4..8].copy_from_slice(&(text.len() as u32).to_le_bytes());
            slot[SLOT_OCTETS - 1] = LONG;
            self.long.extend_from_slice(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Values;

    #[test]
    fn texts_of_any_length_are_kept_until_the_next_dictionary() {
        let texts: Vec<String> = (0..40).map(|length| "x".repeat(length)).collect();
        let dictionary = |id, len| Dictionary { id, values: Values::Ints(vec![0; len]) };
        let mut entries = EntryTexts::default();
        for id in 1..3 {
            assert!(entries.are_of(&dictionary(id, texts.len()), 100));
            for (entry, text) in texts.iter().enumerate() {
                assert_eq!(entries.get(entry), EntryText::Unmade);
                entries.keep(entry, text.as_bytes());
            }
            assert!(entries.are_of(&dictionary(id, texts.len()), 0));
            for (entry, text) in texts.iter().enumerate() {
                let found = match entries.get(entry) {
                    EntryText::Short(slot, length) => &slot[..length],
                    EntryText::Long(long) => long,
                    other => panic!("{other:?}"),
                };
                assert_eq!(found, text.as_bytes());
            }
            assert_eq!(entries.get(texts.len()), EntryText::None);
        }
        // Few rows of a large dictionary are not worth it.
        assert!(!entries.are_of(&dictionary(3, 10_000), 10));
        // What there is no room for is made each time.
        assert!(entries.are_of(&dictionary(4, 2), 10));
        let large = vec![b'x'; ENTRY_TEXT_BYTES_MAX - 20];
        entries.keep(0, &large);
        entries.keep(1, &[b'y'; 21]);
        assert_eq!(entries.get(0), EntryText::Long(&large));
        assert_eq!(entries.get(1), EntryText::Unmade);
    }
}
