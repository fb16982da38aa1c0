//! Groups that have no room in memory, in pieces: its sums are one, each value that is counted
//! another. They lie sorted, so that all pieces of a group come one after another again, whichever
//! thread they are of, and a group takes no more memory than its own.

use std::cmp::Ordering;
use std::io::{self, Read, Write};
use std::iter::Peekable;

use super::Grouping;
use super::exact::{Detail, Groups, Sum};
use super::extras::{Extras, State};
use super::texts::{Name, TextTable};
use crate::runs::{Entry, Put, put_word, word};

/// A piece of a group.
#[derive(Debug, Default)]
pub(super) struct Piece {
    part: u32,
    /// What it is sorted by, and what it holds.
    words: Vec<u64>,
    n_order: usize,
}

impl Piece {
    /// The hash and the key of its group; behind these, of what is measured, the measure from 1 on,
    /// and of a value its hash and itself.
    pub(super) fn order(&self) -> &[u64] {
        &self.words[..self.n_order]
    }

    pub(super) fn content(&self) -> &[u64] {
        &self.words[self.n_order..]
    }

    fn set(&mut self, order: [&[u64]; 2], content: &[u64]) {
        self.words.clear();
        order.iter().for_each(|words| self.words.extend_from_slice(words));
        self.n_order = self.words.len();
        self.words.extend_from_slice(content);
    }
}

impl Entry for Piece {
    fn order(&self, other: &Self) -> Ordering {
        self.part.cmp(&other.part).then_with(|| self.order().cmp(other.order()))
    }

    fn part(&self) -> u32 {
        self.part
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        put_word(u64::from(self.part) << 32 | self.n_order as u64, out)?;
        put_word(self.words.len() as u64, out)?;
        self.words.iter().try_for_each(|&one| put_word(one, out))
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let (head, n) = (word(from)?, word(from)?);
        let words = (0..n).map(|_| word(from)).collect::<io::Result<_>>()?;
        Ok(Self { part: (head >> 32) as u32, words, n_order: head as u32 as usize })
    }
}

/// Puts all groups of a part into a run.
pub(super) fn put_groups(
    groups: &Groups,
    part: u32,
    (grouping, texts): (&Grouping, &TextTable),
    put: &mut Put<'_, Piece>,
) -> io::Result<()> {
    let mut order: Vec<u32> = (0..groups.len() as u32).collect();
    let sorted_by = |group: &u32| (groups.hash(*group as usize), groups.key(*group as usize));
    order.sort_unstable_by(|one, two| sorted_by(one).cmp(&sorted_by(two)));
    let mut pairs = sorted_pairs(&groups.extras, &order);
    let (mut piece, mut id, mut content) = (Piece { part, ..Piece::default() }, Vec::new(), Vec::new());
    for &group in &order {
        let at = group as usize;
        id.clear();
        id.push(groups.hash(at));
        id.extend_from_slice(groups.key(at));
        content.clear();
        content.extend_from_slice(&groups.sum(at).to_words());
        content.extend_from_slice(&groups.detail(at).to_words());
        put_texts(groups.key(at), grouping, texts, &mut content);
        piece.set([&id, &[]], &content);
        put(&piece)?;
        for ((measure, state), pairs) in (1..).zip(groups.extras.states()).zip(&mut pairs) {
            content.clear();
            match state {
                State::Values(all) | State::Spans(all, _) => {
                    while let Some(pair) = pairs.next_if(|&pair| all.pair(pair).group == group) {
                        let pair = all.pair(pair);
                        let mut value = vec![measure, pair.hash];
                        value.extend_from_slice(pair.value);
                        piece.set([&id, &value], &[pair.amount]);
                        put(&piece)?;
                    }
                    continue;
                }
                State::Tallies(tallies) => {
                    tallies.get(at).into_iter().for_each(|one| one.write(&mut content))
                }
                State::Variances(variances) => {
                    let variance = variances.get(at).copied().unwrap_or(0);
                    content.extend([(variance >> 64) as u64, variance as u64]);
                }
            }
            piece.set([&id, &[measure]], &content);
            put(&piece)?;
        }
    }
    Ok(())
}

/// The texts of a key: each as its name, how long it is, and itself in whole words.
fn put_texts(key: &[u64], grouping: &Grouping, texts: &TextTable, into: &mut Vec<u64>) {
    for name in grouping.text_names(key) {
        let text = texts.get(name).unwrap_or_default();
        into.extend(name);
        into.push(text.len() as u64);
        let (whole, rest) = text.as_chunks::<8>();
        into.extend(whole.iter().map(|octets| u64::from_le_bytes(*octets)));
        if !rest.is_empty() {
            let mut octets = [0; 8];
            octets[..rest.len()].copy_from_slice(rest);
            into.push(u64::from_le_bytes(octets));
        }
    }
}

/// What the piece of a group's sums holds.
pub(super) fn sums_of(content: &[u64]) -> Option<(Sum, Detail, &[u64])> {
    let (sum, rest) = content.split_first_chunk::<{ Sum::WORDS }>()?;
    let (detail, texts) = rest.split_first_chunk::<{ Detail::WORDS }>()?;
    Some((Sum::from_words(*sum), Detail::from_words(*detail), texts))
}

/// Adds the texts behind the sums of a group to `into`.
pub(super) fn add_texts(mut words: &[u64], into: &mut TextTable) {
    while let Some((&[high, low, len], rest)) = words.split_first_chunk() {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let Some((text, rest)) = rest.split_at_checked(len.div_ceil(8)) else { return };
        let octets: Vec<u8> = text.iter().flat_map(|word| word.to_le_bytes()).take(len).collect();
        into.insert([high, low] as Name, &octets);
        words = rest;
    }
}

/// The places of pairs by measure, as their groups lie in `order`, those of a group by hash.
fn sorted_pairs(extras: &Extras, order: &[u32]) -> Vec<Peekable<std::vec::IntoIter<u32>>> {
    let mut places = vec![0_u32; order.len()];
    (0..).zip(order).for_each(|(place, &group)| places[group as usize] = place);
    let sorted = |state: &State| {
        let (State::Values(all) | State::Spans(all, _)) = state else { return Vec::new() };
        let mut pairs: Vec<u32> = (0..all.len() as u32).collect();
        let sorted_by = |pair: &u32| {
            let pair = all.pair(*pair);
            (places[pair.group as usize], pair.hash, pair.value)
        };
        pairs.sort_unstable_by(|one, two| sorted_by(one).cmp(&sorted_by(two)));
        pairs
    };
    extras.states().iter().map(|state| sorted(state).into_iter().peekable()).collect()
}
