//! LZO1X, which nfcapd compresses with unless told otherwise. No crate of a fitting licence
//! bounds what it makes of hostile octets.
//!
//! An instruction copies octets made before (a match) and up to three that follow it
//! (literals); how many literals came last decides what the smallest instructions mean.

/// Why octets are no LZO1X.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LzoError {
    #[error("LZO data ends within an instruction")]
    Short,
    #[error("LZO data refers to octets before its beginning")]
    Before,
    #[error("LZO data makes more than {0} octets")]
    Long(usize),
    #[error("LZO data goes on behind its end")]
    Behind,
}

/// Distance of the match that ends the data.
const END: usize = 16_384;
/// Literals after which the smallest instruction copies from further away.
const MANY: usize = 4;

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn octet(&mut self) -> Result<usize, LzoError> {
        let (&first, rest) = self.0.split_first().ok_or(LzoError::Short)?;
        self.0 = rest;
        Ok(usize::from(first))
    }

    fn pair(&mut self) -> Result<usize, LzoError> {
        Ok(self.octet()? | self.octet()? << 8)
    }

    /// A length: its own bits, or where they are zero `base` and what follows.
    fn length(&mut self, bits: usize, base: usize) -> Result<usize, LzoError> {
        if bits > 0 {
            return Ok(bits);
        }
        let mut length = base;
        loop {
            match self.octet()? {
                // As many as there are octets, so it can't overflow.
                0 => length += 255,
                last => return Ok(length + last),
            }
        }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], LzoError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(LzoError::Short)?;
        self.0 = rest;
        Ok(taken)
    }
}

struct Output {
    octets: Vec<u8>,
    max: usize,
}

impl Output {
    fn literals(&mut self, octets: &[u8]) -> Result<(), LzoError> {
        if self.octets.len() + octets.len() > self.max {
            return Err(LzoError::Long(self.max));
        }
        self.octets.extend_from_slice(octets);
        Ok(())
    }

    /// Octets from `distance` back, which may be among those being made.
    fn copy(&mut self, distance: usize, length: usize) -> Result<(), LzoError> {
        let start = self.octets.len().checked_sub(distance).ok_or(LzoError::Before)?;
        if self.octets.len() + length > self.max {
            return Err(LzoError::Long(self.max));
        }
        for at in start..start + length {
            let octet = self.octets.get(at).copied().ok_or(LzoError::Before)?;
            self.octets.push(octet);
        }
        Ok(())
    }
}

/// What `octets` are decompressed, at most `bytes_max` octets.
pub(super) fn decompress(octets: &[u8], bytes_max: usize) -> Result<Vec<u8>, LzoError> {
    let mut input = Input(octets);
    let mut output = Output { octets: Vec::new(), max: bytes_max };
    let mut literals = 0;
    if octets.first().is_some_and(|&first| first > 17) {
        let n = input.octet()? - 17;
        output.literals(input.take(n)?)?;
        literals = n.min(MANY);
    }
    loop {
        let code = input.octet()?;
        let (distance, length, next) = match code {
            64.. => (1 + (code >> 2 & 7) + (input.octet()? << 3), 1 + (code >> 5), code & 3),
            32.. => {
                let length = 2 + input.length(code & 31, 31)?;
                let pair = input.pair()?;
                (1 + (pair >> 2), length, pair & 3)
            }
            16.. => {
                let length = 2 + input.length(code & 7, 7)?;
                let pair = input.pair()?;
                let distance = END + ((code & 8) << 11) + (pair >> 2);
                if distance == END {
                    return if input.0.is_empty() { Ok(output.octets) } else { Err(LzoError::Behind) };
                }
                (distance, length, pair & 3)
            }
            _ if literals == 0 => {
                let n = 3 + input.length(code, 15)?;
                output.literals(input.take(n)?)?;
                literals = MANY;
                continue;
            }
            _ if literals < MANY => (1 + (code >> 2) + (input.octet()? << 2), 2, code & 3),
            _ => (2_049 + (code >> 2) + (input.octet()? << 2), 3, code & 3),
        };
        output.copy(distance, length)?;
        output.literals(input.take(next)?)?;
        literals = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: Result<&[u8], LzoError>) {
        assert_eq!(decompress(octets, 100), expected.map(<[u8]>::to_vec), "{octets:x?}");
    }

    #[test]
    fn instructions_copy_what_they_say() {
        const END: [u8; 3] = [17, 0, 0];
        let with_end = |head: &[u8]| [head, &END].concat();
        check(&END, Ok(b""));
        check(&with_end(&[17 + 5, b'a', b'b', b'c', b'd', b'e']), Ok(b"abcde"));
        // A long run of literals.
        check(&with_end(&[1, b'a', b'b', b'c', b'd']), Ok(b"abcd"));
        let mut run = vec![0, 2];
        run.extend([b'x'; 20]);
        check(&with_end(&run), Ok(&[b'x'; 20]));
        // M2: 3 octets from 2 back, and one literal; it overlaps what it makes.
        check(&with_end(&[17 + 4, b'a', b'b', b'c', b'd', 64 | 1 << 2 | 1, 0, b'!']), Ok(b"abcdcdc!"));
        // M1 after a literal: 2 octets from 3 back.
        check(&with_end(&[17 + 4, b'a', b'b', b'c', b'd', 64 | 1, 0, b'!', 2 << 2, 0]), Ok(b"abcdddd!dd"));
        // M3 with a length of 33 + 7.
        let long = [&b"abcd"[..], &[b'd'; 40]].concat();
        check(&with_end(&[17 + 4, b'a', b'b', b'c', b'd', 32, 7, 0, 0]), Ok(&long));
    }

    #[test]
    fn damaged_octets_are_named() {
        check(&[], Err(LzoError::Short));
        check(&[17, 0], Err(LzoError::Short));
        check(&[17, 0, 0, 9], Err(LzoError::Behind));
        check(&[17 + 4, b'a', b'b', b'c', b'd', 64 | 7 << 2, 0, 17, 0, 0], Err(LzoError::Before));
        check(&[17 + 4, b'a', b'b', b'c', b'd', 32, 0, 9, 0, 0, 17, 0, 0], Err(LzoError::Long(100)));
        check(&[17 + 4, b'a'], Err(LzoError::Short));
        check(&[0, 0, 0], Err(LzoError::Short));
    }
}
