//! Text of values, made without allocation and without `std::fmt`: a number, an
//! address or a time is a few stores of fixed length into room that is made ahead.

mod address;
mod escape;
mod time;

use std::fmt;
use std::io::{self, Write};

use flow_common::limits::TEXT_STEP_BYTES;
use flow_common::proto::Protocol;

pub(super) use address::{ADDRESS_WIDTH, ADDRESS_WIDTH_FULL};
pub(super) use time::TimeText;

/// Text appended to a buffer.
pub(super) struct Text<'a> {
    /// Text, and behind `length` room whose octets mean nothing. It is taken from its
    /// home, so that each store goes there and not first to the home.
    buffer: Vec<u8>,
    length: usize,
    home: &'a mut Vec<u8>,
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        self.buffer.truncate(self.length);
        *self.home = std::mem::take(&mut self.buffer);
    }
}

/// Two digits of every number below 100, the first in the low octet; as many more
/// that any seven bits are an index.
static PAIRS: [u16; 128] = {
    let mut pairs = [0; 128];
    let mut n = 0;
    while n < 100 {
        pairs[n] = u16::from_le_bytes([b'0' + (n / 10) as u8, b'0' + (n % 10) as u8]);
        n += 1;
    }
    pairs
};

/// `0` in each of eight octets.
const ZEROS: u64 = 0x3030_3030_3030_3030;
/// 10⁸: numbers below have eight digits, which are made at once.
const EIGHT_DIGITS: u64 = 100_000_000;

/// The two digits of a number below 100.
fn pair(n: u32) -> u64 {
    PAIRS[n as usize % PAIRS.len()].into()
}

/// The digits of a number below 10⁸, a value of 0 to 9 each, the first in the low
/// octet: halves, pairs and digits are split off side by side in one register.
fn eight_digits(n: u64) -> u64 {
    let halves = (n / 10_000) | ((n % 10_000) << 32);
    // 10486 / 2²⁰ and 103 / 2¹⁰ are 1/100 and 1/10, close enough for four and two digits.
    let hundreds = ((halves * 10_486) >> 20) & 0x7f_0000_007f;
    let pairs = ((halves - 100 * hundreds) << 16) + hundreds;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens + ((pairs - 10 * tens) << 8)
}

impl<'a> Text<'a> {
    /// Text behind what `buffer` holds.
    pub(super) fn new(home: &'a mut Vec<u8>) -> Self {
        Self { length: home.len(), buffer: std::mem::take(home), home }
    }

    /// Where the next octet goes.
    pub(super) fn mark(&self) -> usize {
        self.length
    }

    /// The first `length` octets of `octets`; the others are stored too, and
    /// overwritten by what follows.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, octets: &[u8; N], length: usize) {
        debug_assert!(length <= N, "more octets than there are");
        match self.buffer.get_mut(self.length..).and_then(|room| room.first_chunk_mut()) {
            Some(room) => *room = *octets,
            None => self.put_slow(octets),
        }
        self.length += length;
    }

    #[cold]
    #[inline(never)]
    fn put_slow(&mut self, octets: &[u8]) {
        self.buffer.resize(self.length + octets.len().max(TEXT_STEP_BYTES), 0);
        self.buffer[self.length..self.length + octets.len()].copy_from_slice(octets);
    }

    #[inline]
    pub(super) fn byte(&mut self, byte: u8) {
        self.put(&[byte], 1);
    }

    /// A text of our own, whose length is known.
    #[inline]
    pub(super) fn literal<const N: usize>(&mut self, text: &[u8; N]) {
        self.put(text, N);
    }

    /// Octets as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        match self.buffer.get_mut(self.length..).and_then(|room| room.get_mut(..bytes.len())) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.put_slow(bytes),
        }
        self.length += bytes.len();
    }

    /// Text that needs no care: our own words.
    pub(super) fn str(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    #[inline]
    pub(super) fn label(&mut self, label: &Label) {
        match label {
            Label::Short(octets, length) => self.put(octets, usize::from(*length)),
            Label::Long(text) => self.str(text),
        }
    }

    #[inline]
    pub(super) fn int(&mut self, value: i64) {
        if value < 0 {
            self.byte(b'-');
        }
        self.uint(value.unsigned_abs());
    }

    #[inline]
    pub(super) fn uint(&mut self, value: u64) {
        if value < 10 {
            self.byte(b'0' + value as u8);
        } else if value < EIGHT_DIGITS {
            let digits = eight_digits(value);
            // The last digit stays, also of 0.
            let zeros = (digits | 1 << 56).trailing_zeros() / 8;
            let text = (digits | ZEROS) >> (8 * zeros);
            self.put(&text.to_le_bytes(), 8 - zeros as usize);
        } else {
            self.uint_slow(value);
        }
    }

    #[inline(never)]
    fn uint_slow(&mut self, value: u64) {
        self.uint(value / EIGHT_DIGITS);
        self.put(&(eight_digits(value % EIGHT_DIGITS) | ZEROS).to_le_bytes(), 8);
    }

    /// Two digits of a number below 100.
    #[inline]
    pub(super) fn two(&mut self, value: u32) {
        self.put(&(pair(value) as u16).to_le_bytes(), 2);
    }

    /// Three digits of a number below 1,000.
    #[inline]
    pub(super) fn three(&mut self, value: u32) {
        let hundreds = u64::from(b'0') + u64::from(value / 100);
        let text = hundreds | pair(value % 100) << 8;
        self.put(&(text as u32).to_le_bytes(), 3);
    }

    /// A number as wide as `width` at least, blanks behind it.
    pub(super) fn int_left(&mut self, value: i64, width: usize) {
        let mark = self.mark();
        self.int(value);
        self.left(mark, width);
    }

    /// A number as wide as `width` at least, blanks before it.
    pub(super) fn int_right(&mut self, value: i64, width: usize) {
        match u64::try_from(value) {
            Ok(value) => self.uint_right(value, width),
            Err(_) => {
                let mark = self.mark();
                self.int(value);
                self.right(mark, width);
            }
        }
    }

    /// As [`Text::int_right`].
    pub(super) fn uint_right(&mut self, value: u64, width: usize) {
        if value >= EIGHT_DIGITS || width > 8 {
            let mark = self.mark();
            self.uint(value);
            return self.right(mark, width);
        }
        let digits = eight_digits(value);
        let zeros = (digits | 1 << 56).trailing_zeros() / 8;
        // Leading zeros become blanks: 0x30 less 0x10.
        let blanks = 0x1010_1010_1010_1010 & !(u64::MAX << (8 * zeros));
        let skipped = (zeros as usize).min(8 - width);
        let text = ((digits | ZEROS) - blanks) >> (8 * skipped);
        self.put(&text.to_le_bytes(), 8 - skipped);
    }

    /// Microseconds as seconds with three decimals.
    #[inline]
    pub(super) fn secs(&mut self, micros: i64) {
        if micros < 0 {
            self.byte(b'-');
        }
        self.millis(micros.unsigned_abs() / 1_000);
    }

    /// Milliseconds as seconds with three decimals.
    #[inline]
    pub(super) fn millis(&mut self, ms: u64) {
        self.uint(ms / 1_000);
        self.byte(b'.');
        self.three((ms % 1_000) as u32);
    }

    /// A duration: `00:01:01.110`, `1d 01:01:01.001`, plain `90061.001`.
    pub(super) fn duration(&mut self, ms: u64, is_plain: bool) {
        if is_plain {
            return self.millis(ms);
        }
        let (days, ms) = (ms / 86_400_000, (ms % 86_400_000) as u32);
        if days > 0 {
            self.uint(days);
            self.literal(b"d ");
        }
        self.two(ms / 3_600_000);
        self.byte(b':');
        self.two(ms / 60_000 % 60);
        self.byte(b':');
        self.two(ms / 1_000 % 60);
        self.byte(b'.');
        self.three(ms % 1_000);
    }

    /// A counter as nfdump prints it, as wide as `width` at least: from a million
    /// in powers of 1000 with one decimal, `1.8 M`; below, or where plain, as it is.
    pub(super) fn scaled(&mut self, value: u64, is_plain: bool, width: usize) {
        const UNITS: [(u64, u8); 3] = [(1_000_000_000_000, b'T'), (1_000_000_000, b'G'), (1_000_000, b'M')];
        let Some((unit, letter)) = UNITS.iter().find(|(unit, _)| value >= *unit && !is_plain) else {
            return self.uint_right(value, width);
        };
        let mark = self.mark();
        self.tenths(value as f64 / *unit as f64);
        self.byte(b' ');
        self.byte(*letter);
        self.right(mark, width);
    }

    /// A number that is not negative with one decimal, rounded as `std::fmt` does.
    pub(super) fn tenths(&mut self, value: f64) {
        let tenths = value * 10.0;
        // A product that is exact, or so far from a half that its error does not
        // matter, is rounded here.
        let fraction = tenths - tenths.floor();
        if tenths < 1e9 && (fraction - 0.5).abs() > 1e-3 {
            let tenths = tenths.round() as u64;
            self.uint(tenths / 10);
            self.byte(b'.');
            self.byte(b'0' + (tenths % 10) as u8);
        } else {
            self.formatted(format_args!("{value:.1}"));
        }
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.str(if value { "true" } else { "false" });
    }

    /// A protocol by name, or by number where plain.
    pub(super) fn protocol(&mut self, number: Option<i64>, is_plain: bool) {
        let number = number.unwrap_or(0);
        match u8::try_from(number).ok().filter(|_| !is_plain).and_then(|number| Protocol(number).name()) {
            Some(name) => self.str(name),
            None => self.int(number),
        }
    }

    /// Microseconds as milliseconds with three decimals.
    pub(super) fn latency(&mut self, micros: i64) {
        self.int(micros / 1_000);
        self.byte(b'.');
        self.three(micros.rem_euclid(1_000) as u32);
    }

    /// What has no primitive of its own: floats, and what is rare.
    pub(super) fn formatted(&mut self, arguments: fmt::Arguments<'_>) {
        // Writing into memory does not fail.
        let _ = self.write_fmt(arguments);
    }

    /// Octets as lower-case hex.
    pub(super) fn hex(&mut self, octets: &[u8]) {
        for octet in octets {
            let nibbles = u32::from(octet >> 4) | u32::from(octet & 15) << 8;
            self.put(&hex_digits(nibbles).to_le_bytes(), 2);
        }
    }

    /// A number in lower-case hex behind `0x`, two digits at least where `is_octet`.
    pub(super) fn hex_number(&mut self, value: u64, is_octet: bool) {
        self.hex_padded(value, if is_octet { 2 } else { 1 });
    }

    /// A number in lower-case hex behind `0x`, of `digits` digits at least.
    pub(super) fn hex_padded(&mut self, value: u64, digits: u8) {
        self.literal(b"0x");
        let digits = (64 - (value | 1).leading_zeros()).div_ceil(4).max(digits.into());
        for digit in (0..digits).rev() {
            let nibble = value.checked_shr(4 * digit).unwrap_or(0);
            self.byte(hex_digits(nibble as u32 & 15) as u8);
        }
    }

    /// An entry of an MPLS label stack: `label-exp-bottom`.
    pub(super) fn mpls(&mut self, entry: i32) {
        self.uint(((entry >> 4) & 0xf_ffff) as u64);
        self.byte(b'-');
        self.byte(b'0' + ((entry >> 1) & 7) as u8);
        self.byte(b'-');
        self.byte(b'0' + (entry & 1) as u8);
    }

    /// `engine..selector` of the column `application_id`.
    pub(super) fn application(&mut self, id: i64) {
        self.int(id >> 32);
        self.literal(b"..");
        self.int(id & 0xffff_ffff);
    }

    /// Puts blanks before what was written since `mark`, so that it is `width`
    /// characters wide at least.
    pub(super) fn right(&mut self, mark: usize, width: usize) {
        let (end, pad) = (self.length, width.saturating_sub(self.chars_since(mark)));
        if pad > 0 {
            self.blanks(pad);
            self.buffer.copy_within(mark..end, mark + pad);
            self.buffer[mark..mark + pad].fill(b' ');
        }
    }

    /// Puts blanks behind it.
    pub(super) fn left(&mut self, mark: usize, width: usize) {
        self.blanks(width.saturating_sub(self.chars_since(mark)));
    }

    fn blanks(&mut self, mut count: usize) {
        while count > 0 {
            let step = count.min(16);
            self.put(b"                ", step);
            count -= step;
        }
    }

    fn chars_since(&self, mark: usize) -> usize {
        // Octets of a character that are not its first are 10xx xxxx.
        self.buffer[mark..self.length].iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
    }

    /// What was written since `mark`.
    pub(super) fn since(&self, mark: usize) -> &[u8] {
        &self.buffer[mark..self.length]
    }

    /// Puts `byte` in place of the first octet written since `mark`, or behind it
    /// where nothing was.
    pub(super) fn set(&mut self, mark: usize, byte: u8) {
        match self.buffer.get_mut(..self.length).and_then(|text| text.get_mut(mark)) {
            Some(first) => *first = byte,
            None => self.byte(byte),
        }
    }

    /// Puts `octets` in place of as many written since `mark`.
    pub(super) fn replace<const N: usize>(&mut self, mark: usize, octets: &[u8; N]) {
        let place = self.buffer.get_mut(..self.length).and_then(|text| text.get_mut(mark..mark + N));
        place.into_iter().for_each(|place| place.copy_from_slice(octets));
    }

    /// Takes back what was written since `mark`.
    pub(super) fn rewind(&mut self, mark: usize) {
        self.length = self.length.min(mark);
    }
}

/// For what is written once.
impl Write for Text<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.bytes(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nibbles, one an octet, as hex digits.
fn hex_digits(nibbles: u32) -> u32 {
    // 6 more than a digit above 9 has its fifth bit set; `a` lies 39 behind `:`.
    let letters = ((nibbles + 0x0606_0606) >> 4) & 0x0101_0101;
    nibbles + 0x3030_3030 + letters * 39
}

/// Text that is written in every row.
#[derive(Debug, Clone)]
pub(super) enum Label {
    /// Most: stored whole, its length is a number to add.
    Short([u8; 32], u8),
    Long(Box<str>),
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        let mut octets = [0; 32];
        match (octets.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(text.as_bytes());
                Self::Short(octets, length)
            }
            _ => Self::Long(text.into()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What `make` appends.
    pub(in crate::output) fn text(make: impl Fn(&mut Text<'_>)) -> String {
        let mut buffer = b"before ".to_vec();
        make(&mut Text::new(&mut buffer));
        String::from_utf8(buffer).unwrap().strip_prefix("before ").unwrap().to_owned()
    }

    /// Numbers without end, the same in every run (xorshift).
    pub(in crate::output) fn random() -> impl Iterator<Item = u64> {
        std::iter::successors(Some(0x9e37_79b9_7f4a_7c15_u64), |&n| {
            let n = n ^ n << 13;
            let n = n ^ n >> 7;
            Some(n ^ n << 17)
        })
    }

    /// Numbers of every size, and those around every power of ten.
    fn numbers() -> impl Iterator<Item = u64> {
        let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
        let around = powers.flat_map(|power| [power - 1, power, power + 1]);
        around.chain(random().take(100_000).map(|n| n >> (n % 64))).chain([u64::MAX])
    }

    #[test]
    fn integers_are_those_of_std() {
        for n in numbers() {
            assert_eq!(text(|text| text.uint(n)), n.to_string());
            assert_eq!(text(|text| text.int(n as i64)), (n as i64).to_string());
            let width = (n % 20) as usize;
            assert_eq!(text(|text| text.uint_right(n, width)), format!("{n:>width$}"));
            assert_eq!(text(|text| text.hex_number(n, false)), format!("{n:#x}"));
            assert_eq!(text(|text| text.hex_number(n, true)), format!("{n:#04x}"));
        }
        for n in 0..100_000 {
            assert_eq!(text(|text| text.uint(n)), n.to_string());
        }
        assert_eq!(text(|text| text.int(i64::MIN)), i64::MIN.to_string());
    }

    #[test]
    fn durations_have_three_decimals() {
        let check = |micros: i64, expected: &str| assert_eq!(text(|text| text.secs(micros)), expected);
        check(0, "0.000");
        check(61_134_999, "61.134");
        check(-1_000, "-0.001");
        check(i64::MIN, "-9223372036854.775");
        let check = |ms, is_plain, expected: &str| {
            assert_eq!(text(|text| text.duration(ms, is_plain)), expected);
        };
        check(61_110, false, "00:01:01.110");
        check(90_061_001, false, "1d 01:01:01.001");
        check(90_061_001, true, "90061.001");
        check(u64::MAX, false, "213503982334d 14:25:51.615");
    }

    #[test]
    fn tenths_are_rounded_as_std_does() {
        for n in numbers() {
            let value = n as f64 / 1e6;
            assert_eq!(text(|text| text.tenths(value)), format!("{value:.1}"), "{n}");
            // A product by ten of these is near or at a half.
            let value = (n % 1_000_000) as f64 / 20.0;
            assert_eq!(text(|text| text.tenths(value)), format!("{value:.1}"), "{n}");
        }
        assert_eq!(text(|text| text.scaled(1_849_999, false, 8)), "   1.8 M");
        assert_eq!(text(|text| text.scaled(999_950_000_000, false, 8)), "1000.0 G");
        assert_eq!(text(|text| text.scaled(1_849_999, true, 8)), " 1849999");
    }

    #[test]
    fn blanks_go_by_characters() {
        let check = |word: &str, width: usize| {
            let right = text(|text| {
                let mark = text.mark();
                text.str(word);
                text.right(mark, width);
            });
            assert_eq!(right, format!("{word:>width$}"));
            let left = text(|text| {
                let mark = text.mark();
                text.str(word);
                text.left(mark, width);
            });
            assert_eq!(left, format!("{word:<width$}"));
        };
        for word in ["", "abc", "\u{fffd}\u{fffd}", "åäö€\u{1f600}", "a word that is longer than most are"]
        {
            for width in [0, 1, 5, 16, 17, 40] {
                check(word, width);
            }
        }
    }

    #[test]
    fn text_longer_than_a_step_is_whole() {
        let long = "x".repeat(3 * TEXT_STEP_BYTES + 1);
        assert_eq!(text(|text| text.str(&long)), long);
        let label = Label::from(long.clone());
        assert_eq!(text(|text| text.label(&label)), long);
        let many = text(|text| (0..100_000).for_each(|n| text.uint(n)));
        assert_eq!(many, (0..100_000).map(|n| n.to_string()).collect::<String>());
        for length in [0, 1, 31, 32, 33] {
            let label = Label::from("y".repeat(length));
            assert_eq!(text(|text| text.label(&label)).len(), length);
        }
        let kept = text(|text| {
            let mark = text.mark();
            text.int(-5);
            assert_eq!(text.since(mark), b"-5");
            text.rewind(mark);
        });
        assert_eq!(kept, "");
    }
}
