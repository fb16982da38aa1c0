//! Hostile input that a seed repeats: random datagrams, and real ones with
//! something broken in them.

/// Longest datagram [`random_datagram`] makes, octets.
const RANDOM_OCTETS_MAX: usize = 1_500;
/// Largest UDP payload over IPv4, octets: no mutation grows beyond it.
const DATAGRAM_OCTETS_MAX: usize = 65_507;
/// Changes [`mutate`] makes to one datagram.
const CHANGES_MAX: usize = 8;

/// Marsaglia's xorshift64* generator: small, repeatable, good enough to break
/// things with, and no secret.
#[derive(Debug, Clone)]
pub struct Xorshift {
    state: u64,
}

impl Xorshift {
    /// A generator; equal seeds give equal sequences.
    pub fn new(seed: u64) -> Self {
        // Seeds 0, 1, 2 … are the likely ones: spread their bits (splitmix64).
        let spread = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let spread = (spread ^ spread >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let spread = (spread ^ spread >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        // A state of 0 would stay 0.
        Self { state: (spread ^ spread >> 31).max(1) }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`, or 0 if `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        // The upper half: the low bits of the multiplication are the weak ones.
        let draw = (self.next_u64() >> 32) as usize;
        draw.checked_rem(limit).unwrap_or(0)
    }

    /// An octet.
    pub fn octet(&mut self) -> u8 {
        self.next_u64().to_be_bytes()[0]
    }

    /// True once in `n` draws.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A datagram that starts with `version` and is random otherwise, of up to
/// 1 500 octets. Shorter than two octets it holds less than the version.
///
/// Every second one of version 10 states its true length, or hardly any would
/// get past the check of the header.
pub fn random_datagram(version: u16, seed: u64) -> Vec<u8> {
    let mut random = Xorshift::new(seed);
    let length = random.below(RANDOM_OCTETS_MAX + 1);
    let mut out: Vec<u8> = version.to_be_bytes().into();
    out.resize_with(length.max(2), || random.octet());
    out.truncate(length);
    if random.once_in(2) {
        state_true_length(&mut out);
    }
    out
}

/// `bytes` with one to eight things broken: bits flipped, 16-bit words set to
/// what counts and lengths go wrong with, pieces cut out, repeated or inserted.
///
/// Half of the IPFIX messages state their new length afterwards, so that what
/// is inside them is reached. The result can equal the input.
pub fn mutate(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Xorshift::new(seed);
    let mut out = bytes.to_vec();
    for _ in 0..=random.below(CHANGES_MAX) {
        change(&mut out, &mut random);
    }
    out.truncate(DATAGRAM_OCTETS_MAX);
    if random.once_in(2) {
        state_true_length(&mut out);
    }
    out
}

fn change(out: &mut Vec<u8>, random: &mut Xorshift) {
    match random.below(8) {
        0 => flip_bit(out, random),
        1 | 2 => break_word(out, random),
        3 => swap_words(out, random),
        4 => out.truncate(random.below(out.len() + 1)),
        5 => {
            let piece = piece(out, random);
            out.drain(piece);
        }
        6 => {
            let tail = random.below(out.len());
            out.extend_from_within(tail..);
        }
        _ => {
            let at = random.below(out.len() + 1);
            let length = random.below(9);
            out.splice(at..at, std::iter::repeat_with(|| random.octet()).take(length));
        }
    }
}

fn flip_bit(out: &mut [u8], random: &mut Xorshift) {
    let at = random.below(out.len());
    if let Some(octet) = out.get_mut(at) {
        *octet ^= 1 << random.below(8);
    }
}

/// Sets an aligned 16-bit word to a limit, or moves it by one.
fn break_word(out: &mut [u8], random: &mut Xorshift) {
    let at = 2 * random.below(out.len() / 2);
    if let Some(word) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<2>) {
        let old = u16::from_be_bytes(*word);
        let values = [
            0,
            1,
            2,
            3,
            4,
            255,
            256,
            0x7fff,
            0x8000,
            u16::MAX,
            old.wrapping_add(1),
            old.wrapping_sub(1),
            old ^ 0x8000,
        ];
        *word = values[random.below(values.len())].to_be_bytes();
    }
}

/// Exchanges two aligned 16-bit words.
fn swap_words(out: &mut [u8], random: &mut Xorshift) {
    let n_words = out.len() / 2;
    let (a, b) = (2 * random.below(n_words), 2 * random.below(n_words));
    if n_words > 0 {
        out.swap(a, b);
        out.swap(a + 1, b + 1);
    }
}

/// Up to 64 octets somewhere.
fn piece(out: &[u8], random: &mut Xorshift) -> std::ops::Range<usize> {
    let start = random.below(out.len());
    let length = random.below((out.len() - start).min(64) + 1);
    start..start + length
}

/// Gives an IPFIX message the length it has (RFC 7011 §3.1).
fn state_true_length(out: &mut [u8]) {
    let length = out.len();
    if let ([0, 10, high, low, ..], Ok(length)) = (out, u16::try_from(length)) {
        [*high, *low] = length.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: std::ops::Range<u64> = 0..2_000;

    #[track_caller]
    fn check(make: impl Fn(u64) -> Vec<u8>) -> Vec<Vec<u8>> {
        let made: Vec<_> = SEEDS.map(&make).collect();
        assert!(made.iter().cloned().eq(SEEDS.map(&make)), "equal seeds, equal datagrams");
        assert!(made.iter().all(|datagram| datagram.len() <= DATAGRAM_OCTETS_MAX));
        made
    }

    #[test]
    fn random_datagrams_keep_their_version() {
        let made = check(|seed| random_datagram(10, seed));
        assert!(made.iter().all(|datagram| [0, 10].starts_with(&datagram[..datagram.len().min(2)])));
        let longest = made.iter().map(Vec::len).max().unwrap_or(0);
        assert!((1_400..=RANDOM_OCTETS_MAX).contains(&longest), "{longest}");
        let states_length = |datagram: &&Vec<u8>| datagram.get(2..4) == Some(&length_of(datagram));
        let n_true = made.iter().filter(states_length).count();
        assert!((800..1_200).contains(&n_true), "{n_true} of 2000 state their length");
    }

    fn length_of(datagram: &[u8]) -> [u8; 2] {
        u16::try_from(datagram.len()).expect("short").to_be_bytes()
    }

    #[test]
    fn mutants_differ() {
        let original: Vec<u8> = (0..200).collect();
        let mut made = check(|seed| mutate(&original, seed));
        let n_same = made.iter().filter(|mutant| **mutant == original).count();
        assert!(n_same < 40, "{n_same} of 2000 are unchanged");
        made.sort();
        made.dedup();
        assert!(made.len() > 1_800, "{} different mutants", made.len());
    }

    #[test]
    fn short_input_is_survived() {
        for length in 0..5 {
            check(|seed| mutate(&vec![0; length], seed));
        }
    }
}
