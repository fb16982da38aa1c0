//! Parquet's encodings of small integers: bits side by side, runs, deltas.

/// Values from which on a run takes less than its packed values.
const RUN_MIN: usize = 16;
/// Packed values come in groups of so many.
const GROUP: usize = 8;
/// Deltas of a block have one least delta, of a miniblock one width.
const BLOCK: usize = 128;
const MINIBLOCK: usize = 32;

/// Bits that hold every number up to `max`.
pub(super) fn width_of(max: u64) -> u32 {
    u64::BITS - max.leading_zeros()
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Values packed at a time: of any width they fill whole words.
const LANES: usize = 32;

/// Appends the low `width` bits of each value, the first in the lowest bits. As many
/// values as fill whole octets.
fn pack(out: &mut Vec<u8>, values: &[u32], width: u32) {
    macro_rules! by_width {
        ($($width:literal)*) => {
            match width {
                $($width => pack_words::<$width>(out, values),)*
                _ => {}
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
}

/// As [`pack`]: with the width known the compiler knows every shift.
fn pack_words<const WIDTH: usize>(out: &mut Vec<u8>, values: &[u32]) {
    out.reserve(values.len().next_multiple_of(LANES) * WIDTH / 8);
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        out.extend_from_slice(words::<WIDTH>(chunk).as_flattened());
    }
    if !rest.is_empty() {
        let mut last = [0; LANES];
        last[..rest.len()].copy_from_slice(rest);
        out.extend_from_slice(&words::<WIDTH>(&last).as_flattened()[..(rest.len() * WIDTH).div_ceil(8)]);
    }
}
/// Values of a width side by side, as the words they fill.
#[inline]
fn words<const WIDTH: usize>(values: &[u32; LANES]) -> [[u8; 4]; WIDTH] {
    let mut words = [0; WIDTH];
    // Written out, so that every shift is a constant: the compiler does not unroll it.
    macro_rules! put {
        ($($lane:literal)*) => {$(
            let (word, shift) = ($lane * WIDTH / 32, $lane * WIDTH % 32);
            words[word] |= values[$lane] << shift;
            if shift + WIDTH > 32 {
                words[word + 1] |= values[$lane] >> (32 - shift);
            }
        )*};
    }
    put!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
    words.map(u32::to_le_bytes)
}

/// As [`pack`], for widths beyond 32 bits.
fn pack_wide(out: &mut Vec<u8>, values: impl Iterator<Item = u64>, width: u32) {
    let (mut bits, mut n_bits) = (0u128, 0);
    for value in values {
        bits |= u128::from(value) << n_bits;
        n_bits += width;
        if n_bits >= 64 {
            out.extend_from_slice(&(bits as u64).to_le_bytes());
            bits >>= 64;
            n_bits -= 64;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..n_bits.div_ceil(8) as usize]);
}

/// Runs and packed values by turns (RLE/bit-packing hybrid).
#[derive(Debug)]
pub(super) struct Hybrid<'a> {
    out: &'a mut Vec<u8>,
    width: u32,
    /// Values to pack: only the last group of all may be filled up with zeros.
    pending: &'a mut Vec<u32>,
    /// A run that may go on, behind them: value and length.
    open: (u32, usize),
}

impl<'a> Hybrid<'a> {
    /// Appends to `out`; `pending` is memory it may use.
    pub(super) fn new(out: &'a mut Vec<u8>, pending: &'a mut Vec<u32>, width: u32) -> Self {
        pending.clear();
        Self { out, width, pending, open: (0, 0) }
    }

    pub(super) fn values(&mut self, values: &[u32]) {
        self.close_run();
        self.pending.extend_from_slice(values);
    }

    pub(super) fn flags(&mut self, flags: &[bool]) {
        self.close_run();
        self.pending.extend(flags.iter().map(|&flag| u32::from(flag)));
    }

    /// Appends one value `n` times.
    pub(super) fn run(&mut self, value: u32, n: usize) {
        if self.open.0 != value {
            self.close_run();
        }
        self.open = (value, self.open.1 + n);
    }

    fn close_run(&mut self) {
        let (value, n) = std::mem::take(&mut self.open);
        let n_filled = self.pending.len().next_multiple_of(GROUP) - self.pending.len();
        if n < n_filled + RUN_MIN {
            self.pending.resize(self.pending.len() + n, value);
            return;
        }
        self.pending.resize(self.pending.len() + n_filled, value);
        self.flush();
        put_varint(self.out, (n - n_filled) as u64 * 2);
        self.out.extend_from_slice(&value.to_le_bytes()[..self.width.div_ceil(8) as usize]);
    }

    pub(super) fn finish(mut self) {
        self.close_run();
        self.flush();
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        self.pending.resize(self.pending.len().next_multiple_of(GROUP), 0);
        put_varint(self.out, (self.pending.len() / GROUP) as u64 * 2 + 1);
        pack(self.out, self.pending, self.width);
        self.pending.clear();
    }
}

/// Appends integers as DELTA_BINARY_PACKED.
pub(super) fn put_deltas(out: &mut Vec<u8>, values: &[i64]) {
    put_varint(out, BLOCK as u64);
    put_varint(out, (BLOCK / MINIBLOCK) as u64);
    put_varint(out, values.len() as u64);
    put_zigzag(out, values.first().copied().unwrap_or(0));
    let mut deltas = [0; BLOCK];
    for block in Blocks::of(values) {
        let n = block.deltas(&mut deltas);
        let least = deltas[..n].iter().copied().min().unwrap_or(0);
        // What fills up the last miniblock is no value.
        deltas[n..].fill(least);
        put_zigzag(out, least);
        let over = |delta: &i64| delta.wrapping_sub(least).cast_unsigned();
        let widths: [u32; BLOCK / MINIBLOCK] = std::array::from_fn(|index| {
            let miniblock = &deltas[index * MINIBLOCK..][..MINIBLOCK];
            width_of(miniblock.iter().map(over).fold(0, |bits, delta| bits | delta))
        });
        out.extend(widths.iter().map(|&width| width as u8));
        for (index, width) in widths.into_iter().enumerate() {
            if index * MINIBLOCK >= n {
                break;
            }
            let miniblock = &deltas[index * MINIBLOCK..][..MINIBLOCK];
            if width > 32 {
                pack_wide(out, miniblock.iter().map(over), width);
            } else {
                let narrow: [u32; MINIBLOCK] = std::array::from_fn(|at| over(&miniblock[at]) as u32);
                pack(out, &narrow, width);
            }
        }
    }
}

/// Octets that [`put_deltas`] needs, about.
pub(super) fn deltas_len(values: &[i64]) -> usize {
    let mut deltas = [0; BLOCK];
    let mut n_bits = 0;
    for block in Blocks::of(values) {
        let n = block.deltas(&mut deltas);
        let least = deltas[..n].iter().copied().min().unwrap_or(0);
        n_bits += 64;
        for miniblock in deltas[..n].chunks(MINIBLOCK) {
            let bits =
                miniblock.iter().fold(0, |bits, delta| bits | delta.wrapping_sub(least).cast_unsigned());
            n_bits += MINIBLOCK * width_of(bits) as usize;
        }
    }
    n_bits / 8
}

/// Values whose deltas make one block, with the value before them.
struct Blocks<'a> {
    values: &'a [i64],
}

impl<'a> Blocks<'a> {
    fn of(values: &'a [i64]) -> impl Iterator<Item = Self> {
        let n_deltas = values.len().saturating_sub(1);
        (0..n_deltas)
            .step_by(BLOCK)
            .map(|start| Blocks { values: &values[start..(start + BLOCK + 1).min(values.len())] })
    }

    fn deltas(&self, deltas: &mut [i64; BLOCK]) -> usize {
        let pairs = self.values.iter().zip(self.values.iter().skip(1));
        for (delta, (before, value)) in deltas.iter_mut().zip(pairs) {
            *delta = value.wrapping_sub(*before);
        }
        self.values.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_values_lie_bit_by_bit() {
        for width in 0..=64u32 {
            for n in [0, 8, 32, 40, 96, 104] {
                let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
                let values: Vec<u64> =
                    (1..=n).map(|at: u64| at.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask).collect();
                let mut out = vec![9];
                if width > 32 {
                    pack_wide(&mut out, values.iter().copied(), width);
                } else {
                    let narrow: Vec<_> = values.iter().map(|&value| value as u32).collect();
                    pack(&mut out, &narrow, width);
                }
                let bit = |at: usize| u64::from(out[1 + at / 8] >> (at % 8) & 1);
                let seen = (0..n as usize)
                    .map(|at| (0..width as usize).map(|n| bit(at * width as usize + n) << n).sum::<u64>());
                assert_eq!(seen.collect::<Vec<_>>(), values, "{width} bits");
                assert_eq!(out.len(), 1 + n as usize * width as usize / 8);
            }
        }
    }
}
