//! What seeded tests choose by: the same seed, the same choices.

/// Marsaglia's xorshift, of 64 bits.
pub(crate) struct Random(u64);

impl Random {
    /// Another one for each seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number less than `limit`, 0 where that is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % limit.max(1)
    }
}
