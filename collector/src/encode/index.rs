//! Dictionaries: values → positions among the distinct ones.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// Integers within so many steps of each other are looked up by their distance from the
/// least: a table of that size stays in a processor's cache.
const DIRECT_STEPS_MAX: usize = 1 << 18;
/// Where there are few of them, a table of so many steps for each is cheap to prepare.
const DIRECT_STEPS_PER_VALUE: usize = 8;
/// Slots an empty table of keys starts with.
const SLOTS_MIN: usize = 1 << 10;
/// No position.
const NONE: u32 = u32::MAX;

/// What is looked up by hash.
pub(super) trait Key: Copy + Eq + Default {
    fn fold(self) -> u64;
}

impl Key for i64 {
    fn fold(self) -> u64 {
        self.cast_unsigned()
    }
}

impl Key for u32 {
    fn fold(self) -> u64 {
        self.into()
    }
}

impl Key for u128 {
    fn fold(self) -> u64 {
        // Made unlike by the caller's seed; halves that cancel each other would meet.
        (self as u64).rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (self >> 64) as u64
    }
}

/// Positions by key. Senders choose the keys, so the hash has a seed nobody knows.
#[derive(Debug)]
pub(super) struct Interner<K> {
    slots: Vec<(K, u32)>,
    n: usize,
    /// Keys of late, about: a table that begins with room for them need not grow.
    n_expected: usize,
    seed: u64,
    factor: u64,
}

impl<K: Key> Interner<K> {
    pub(super) fn new() -> Self {
        let random = RandomState::default();
        Self {
            slots: Vec::new(),
            n: 0,
            n_expected: 0,
            seed: random.hash_one(1),
            factor: random.hash_one(2) | 1,
        }
    }

    pub(super) fn clear(&mut self) {
        self.n_expected = self.n.max(self.n_expected / 2);
        let n_slots = (2 * self.n_expected + 1).next_power_of_two().max(SLOTS_MIN);
        self.slots.clear();
        self.slots.resize(n_slots, (K::default(), NONE));
        self.n = 0;
    }

    #[inline]
    fn slot(&self, key: K) -> usize {
        let product = u128::from(key.fold() ^ self.seed) * u128::from(self.factor);
        ((product >> 64) as u64 ^ product as u64) as usize & (self.slots.len() - 1)
    }

    /// The position of `key`; that of a new one is `next`.
    #[inline]
    pub(super) fn intern(&mut self, key: K, next: u32) -> u32 {
        let mut slot = self.slot(key);
        loop {
            match self.slots[slot] {
                (_, NONE) => break,
                (known, position) if known == key => return position,
                _ => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
        self.slots[slot] = (key, next);
        self.n += 1;
        if self.n * 2 > self.slots.len() {
            self.grow();
        }
        next
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![(K::default(), NONE); self.slots.len() * 4];
        for (key, position) in std::mem::replace(&mut self.slots, larger) {
            if position != NONE {
                let mut slot = self.slot(key);
                while self.slots[slot].1 != NONE {
                    slot = (slot + 1) & (self.slots.len() - 1);
                }
                self.slots[slot] = (key, position);
            }
        }
    }
}

/// Positions of integers that lie close together, in order of their values.
#[derive(Debug, Default)]
pub(super) struct Direct {
    positions: Vec<u32>,
    least: i64,
    step: i64,
}

impl Direct {
    /// Prepares for `n` values from `least` to `most`, all `step` apart or a multiple of it;
    /// `None` where they lie too far apart.
    pub(super) fn prepare(&mut self, (least, most): (i64, i64), step: i64, n: usize) -> Option<()> {
        let n_steps = usize::try_from(most.abs_diff(least) / step.unsigned_abs()).ok()?;
        if n_steps >= DIRECT_STEPS_MAX.min(DIRECT_STEPS_PER_VALUE * n) {
            return None;
        }
        self.positions.clear();
        self.positions.resize(n_steps + 1, NONE);
        (self.least, self.step) = (least, step);
        Some(())
    }

    #[inline]
    fn at(&self, value: i64) -> usize {
        let distance = value.wrapping_sub(self.least) as u64;
        // The compiler divides by a constant without dividing.
        (if self.step == 1 { distance } else { distance / 1_000 }) as usize
    }

    #[inline]
    pub(super) fn mark(&mut self, value: i64) {
        let at = self.at(value);
        self.positions[at] = 0;
    }

    /// Gives every value marked its position; returns the values in order.
    pub(super) fn number(&mut self) -> Vec<i64> {
        let mut values = Vec::new();
        for (distance, position) in self.positions.iter_mut().enumerate() {
            if *position != NONE {
                *position = values.len() as u32;
                values.push(self.least.wrapping_add(distance as i64 * self.step));
            }
        }
        values
    }

    /// The position of a value that was marked.
    #[inline]
    pub(super) fn position(&self, value: i64) -> u32 {
        self.positions[self.at(value)]
    }
}
