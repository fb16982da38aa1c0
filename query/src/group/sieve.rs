//! Leaves out rows whose key is not among some, before the rest of them is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::key::{Hashes, KeyPart, Keys};
use super::texts::Texts;
use super::{Candidates, Chosen, Grouping, Shared, readers};
use crate::columns::ColumnRef;
use crate::places::Places;
use crate::scan::{Sieve, Sieving};

/// Lets rows through whose key is among some.
#[derive(Debug)]
struct KeySieve {
    grouping: Grouping,
    chosen: Arc<Chosen>,
    texts: Arc<Texts>,
    seed: u64,
    places: Option<Arc<Places>>,
}

/// What lets only rows of `candidates` through, if these are of one grouping that is the only
/// one.
pub(crate) fn sieve(shared: &Shared<'_>, candidates: &Candidates) -> Option<Arc<dyn Sieve>> {
    let ([grouping], [Some(chosen)]) = (shared.groupings, &candidates[..]) else { return None };
    if !grouping.other_sides.is_empty() {
        return None;
    }
    let (chosen, texts, places) = (Arc::clone(chosen), Arc::clone(&shared.texts), shared.places.clone());
    Some(Arc::new(KeySieve { grouping: grouping.clone(), chosen, texts, seed: shared.seed, places }))
}

impl Sieve for KeySieve {
    fn columns(&self) -> BTreeSet<ColumnRef> {
        self.grouping.parts.iter().flat_map(KeyPart::columns).collect()
    }

    fn start(&self) -> Sieving {
        let mut readers = readers(&self.grouping, self.seed, self.places.as_ref());
        let (chosen, texts) = (Arc::clone(&self.chosen), Arc::clone(&self.texts));
        let mut hashes = Vec::new();
        let mut passes: Option<(u64, Vec<bool>)> = None;
        Box::new(move |batch| {
            let keys: Vec<Keys<'_>> = readers.iter_mut().map(|reader| reader.read(batch, &texts)).collect();
            // Of one column with a dictionary, each value is looked up once.
            if let [Keys { hashes: Hashes::Ids { dictionary, ids, hashes }, .. }] = keys[..] {
                if passes.as_ref().is_none_or(|passes| passes.0 != dictionary) {
                    passes = Some((dictionary, hashes.iter().map(|&hash| chosen.contains(hash)).collect()));
                }
                let passes = passes.as_ref().map_or(&[][..], |passes| &passes.1);
                return matching(ids.len(), |row| passes[ids[row] as usize]);
            }
            hashes.clear();
            hashes.resize(batch.rows(), 0);
            keys.iter().for_each(|keys| keys.hashes.add_to(&mut hashes));
            matching(hashes.len(), |row| chosen.contains(hashes[row]))
        })
    }
}

/// The rows for which `holds`, found without a branch for each.
fn matching(rows: usize, holds: impl Fn(usize) -> bool) -> Vec<u32> {
    let mut found = vec![0; rows];
    let mut n = 0;
    for row in 0..rows {
        found[n] = row as u32;
        n += usize::from(holds(row));
    }
    found.truncate(n);
    found
}
