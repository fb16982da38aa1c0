//! Checked reads of octets that one thread packed for another.

/// What is left to read.
pub(crate) struct Unpacker<'t>(pub(crate) &'t [u8]);

impl<'t> Unpacker<'t> {
    /// The next `n` octets.
    pub(crate) fn take(&mut self, n: usize) -> Option<&'t [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next `N` octets.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// A number of what follows.
    pub(crate) fn length(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.array()?) as usize)
    }
}
