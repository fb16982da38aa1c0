//! Octets of a page → numbers: runs and bit-packed groups (Parquet's RLE hybrid), and
//! deltas. Every read is checked; what a page promises and does not hold is an error.

use super::ReadError;

/// Bits of an id or a level at most.
const WIDTH_MAX: u32 = 32;

fn damaged(what: &str) -> ReadError {
    ReadError::Damaged(format!("{what} of a page ends early or makes no sense"))
}

/// Takes an unsigned LEB128 number from the front.
fn varint(octets: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&octet, rest) = octets.split_first()?;
        *octets = rest;
        value |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Sixteen octets from `at`, zeros behind the end.
fn load(octets: &[u8], at: usize) -> u128 {
    if let Some(whole) = octets.get(at..at + 16) {
        return u128::from_le_bytes(whole.try_into().expect("16 octets"));
    }
    let mut padded = [0; 16];
    let rest = octets.get(at..).unwrap_or_default();
    padded[..rest.len()].copy_from_slice(rest);
    u128::from_le_bytes(padded)
}

/// Eight octets from `at`, zeros behind the end.
fn load_short(octets: &[u8], at: usize) -> u64 {
    match octets.get(at..at + 8) {
        Some(whole) => u64::from_le_bytes(whole.try_into().expect("8 octets")),
        None => load(octets, at) as u64,
    }
}

/// Appends `n` numbers of `width` bits, encoded as runs and groups of eight
/// ("RLE / bit-packing hybrid" of the format's Encodings.md).
pub(super) fn hybrid(mut octets: &[u8], width: u32, n: usize, into: &mut Vec<u32>) -> Result<(), ReadError> {
    if width > WIDTH_MAX {
        return Err(ReadError::Damaged(format!("a page has ids of {width} bits")));
    }
    let end = into.len() + n;
    into.reserve(n + 8);
    while into.len() < end {
        let wanted = end - into.len();
        let header = varint(&mut octets).ok_or_else(|| damaged("a run"))?;
        if header & 1 == 0 {
            let length = usize::try_from(header >> 1).unwrap_or(usize::MAX).min(wanted);
            let value_octets = width.div_ceil(8) as usize;
            let value = octets.get(..value_octets).ok_or_else(|| damaged("a run"))?;
            let value = value.iter().rev().fold(0u32, |sum, &octet| sum << 8 | u32::from(octet));
            octets = &octets[value_octets..];
            if length == 0 {
                return Err(damaged("a run of nothing"));
            }
            into.resize(into.len() + length, value);
        } else {
            let groups = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            let used = groups.min(wanted.div_ceil(8));
            let bits = octets.get(..(used * width as usize).min(octets.len())).unwrap_or_default();
            // The last group of a page may be cut to what it holds.
            if used == 0 || bits.len() * 8 < wanted.min(used * 8) * width as usize {
                return Err(damaged("a group"));
            }
            groups_of_eight(bits, width, used, into);
            into.truncate(end);
            octets = octets.get(groups.saturating_mul(width as usize)..).unwrap_or_default();
        }
    }
    Ok(())
}

/// Whether levels of `n` rows are one run of 1: no row is NULL.
pub(super) fn is_run_of_one(mut levels: &[u8], n: usize) -> bool {
    let header = varint(&mut levels);
    header.is_some_and(|header| header & 1 == 0 && header >> 1 >= n as u64) && levels.first() == Some(&1)
}

/// As [`hybrid`], but only the numbers at `places`, which ascend and are less than `n`.
pub(super) fn hybrid_at(
    mut octets: &[u8],
    width: u32,
    n: usize,
    places: &[u32],
    into: &mut Vec<u32>,
) -> Result<(), ReadError> {
    if width > WIDTH_MAX {
        return Err(ReadError::Damaged(format!("a page has ids of {width} bits")));
    }
    let (mut start, mut places) = (0, places);
    while start < n && !places.is_empty() {
        let header = varint(&mut octets).ok_or_else(|| damaged("a run"))?;
        let length = usize::try_from(header >> 1).unwrap_or(usize::MAX);
        let length = if header & 1 == 0 { length } else { length.saturating_mul(8) }.min(n - start);
        if length == 0 {
            return Err(damaged("a run of nothing"));
        }
        let (here, behind) =
            places.split_at(places.partition_point(|&place| (place as usize) < start + length));
        if header & 1 == 0 {
            let value_octets = width.div_ceil(8) as usize;
            let value = octets.get(..value_octets).ok_or_else(|| damaged("a run"))?;
            let value = value.iter().rev().fold(0u32, |sum, &octet| sum << 8 | u32::from(octet));
            octets = &octets[value_octets..];
            into.resize(into.len() + here.len(), value);
        } else {
            if octets.len() * 8 < length * width as usize {
                return Err(damaged("a group"));
            }
            let mask = u64::from(u32::MAX >> (32 - width.max(1))) * u64::from(width > 0);
            into.extend(here.iter().map(|&place| {
                let bit = (place as usize - start) * width as usize;
                (load_short(octets, bit / 8) >> (bit % 8) & mask) as u32
            }));
            octets = octets.get(length.div_ceil(8) * width as usize..).unwrap_or_default();
        }
        start += length;
        places = behind;
    }
    Ok(())
}

/// Appends eight numbers for each of `groups`.
fn groups_of_eight(octets: &[u8], width: u32, groups: usize, into: &mut Vec<u32>) {
    macro_rules! by_width {
        ($($width:literal)*) => {
            match width {
                $($width => unpack::<$width>(octets, groups, into),)*
                _ => into.resize(into.len() + groups * 8, 0),
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
}

/// Groups of eight numbers of `W` bits are `W` octets. A width known to the compiler makes
/// every shift a constant.
fn unpack<const W: usize>(octets: &[u8], groups: usize, into: &mut Vec<u32>) {
    let mask = u32::MAX >> (32 - W);
    let four = |bits: u128| [0, 1, 2, 3].map(|index| (bits >> (index * W)) as u32 & mask);
    let eight = |octets: &[u8], at: usize| -> [u32; 8] {
        let [a, b, c, d] = four(load(octets, at));
        // The second half begins within an octet where W is odd.
        let [e, f, g, h] = if W <= 16 {
            four(load(octets, at) >> (4 * W))
        } else {
            four(load(octets, at + W / 2) >> (4 * W % 8))
        };
        [a, b, c, d, e, f, g, h]
    };
    for group in 0..groups {
        into.extend_from_slice(&eight(octets, group * W));
    }
}

/// Appends the `n` numbers of DELTA_BINARY_PACKED (Encodings.md).
pub(super) fn deltas(mut octets: &[u8], n: usize, into: &mut Vec<i64>) -> Result<(), ReadError> {
    let header = (|| {
        let block = varint(&mut octets)?;
        let miniblocks = varint(&mut octets)?;
        let count = varint(&mut octets)?;
        let first = zigzag(varint(&mut octets)?);
        let in_block = block.checked_div(miniblocks).filter(|per| per % 32 == 0 && *per > 0)?;
        (block % miniblocks == 0 && miniblocks <= 512 && in_block <= 1 << 20 && count >= n as u64)
            .then_some((miniblocks as usize, in_block as usize, first))
    })();
    let (miniblocks, per_miniblock, first) = header.ok_or_else(|| damaged("the head of deltas"))?;
    if n == 0 {
        return Ok(());
    }
    let end = into.len() + n;
    into.reserve(n);
    into.push(first);
    let mut value = first;
    while into.len() < end {
        let least = zigzag(varint(&mut octets).ok_or_else(|| damaged("a block of deltas"))?);
        let widths = octets.get(..miniblocks).ok_or_else(|| damaged("a block of deltas"))?;
        octets = &octets[miniblocks..];
        for &width in widths {
            if into.len() == end {
                break;
            }
            let wanted = per_miniblock.min(end - into.len());
            if width > 64 {
                return Err(damaged("the width of deltas"));
            }
            if octets.len() * 8 < wanted * usize::from(width) {
                return Err(damaged("deltas"));
            }
            value = miniblock(octets, u32::from(width), wanted, least, value, into);
            octets = octets.get(per_miniblock * usize::from(width) / 8..).unwrap_or_default();
        }
    }
    Ok(())
}

/// Appends `n` numbers, each `least` and `width` bits more than the one before.
fn miniblock(octets: &[u8], width: u32, n: usize, least: i64, mut value: i64, into: &mut Vec<i64>) -> i64 {
    let width = width as usize;
    if width == 0 {
        into.extend((0..n).map(|_| {
            value = value.wrapping_add(least);
            value
        }));
        return value;
    }
    let mask = u64::MAX >> (64 - width);
    let mut add = |delta: u64| {
        value = value.wrapping_add(least).wrapping_add(delta as i64);
        value
    };
    // Up to 56 bits lie within eight octets, wherever they begin.
    if width <= 56 {
        into.extend((0..n).map(|index| {
            let bit = index * width;
            add(load_short(octets, bit / 8) >> (bit % 8) & mask)
        }));
    } else {
        into.extend((0..n).map(|index| {
            let bit = index * width;
            add((load(octets, bit / 8) >> (bit % 8)) as u64 & mask)
        }));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits, least significant first.
    fn pack(values: &[u64], width: u32) -> Vec<u8> {
        let bits: Vec<bool> =
            values.iter().flat_map(|value| (0..width).map(move |bit| value >> bit & 1 == 1)).collect();
        bits.chunks(8).map(|octet| octet.iter().rev().fold(0, |sum, &bit| sum << 1 | u8::from(bit))).collect()
    }

    fn put_varint(mut value: u64, into: &mut Vec<u8>) {
        while value >= 0x80 {
            into.push(value as u8 | 0x80);
            value >>= 7;
        }
        into.push(value as u8);
    }

    #[test]
    fn every_width_is_unpacked() {
        for width in 0..=32u32 {
            let mask = ((1u64 << width) - 1) as u32;
            let values: Vec<u32> = (0..40u32).map(|n| n.wrapping_mul(0x9e37_79b9) & mask).collect();
            let mut page = vec![5 << 1 | 1];
            page.extend(pack(&values.iter().map(|&value| u64::from(value)).collect::<Vec<_>>(), width));
            put_varint(3 << 1, &mut page);
            page.extend(&mask.to_le_bytes()[..width.div_ceil(8) as usize]);
            for n in [0, 1, 7, 8, 33, 40, 42, 43] {
                let mut found = Vec::new();
                hybrid(&page, width, n, &mut found).unwrap();
                let expected: Vec<u32> = values.iter().copied().chain([mask; 3]).take(n).collect();
                assert_eq!(found, expected, "{width} bits, {n} values");
                let places: Vec<u32> = (0..n as u32).filter(|place| place % 3 != 1).collect();
                let mut found = Vec::new();
                hybrid_at(&page, width, n, &places, &mut found).unwrap();
                let some: Vec<u32> = places.iter().map(|&place| expected[place as usize]).collect();
                assert_eq!(found, some, "{width} bits, some of {n} values");
            }
            assert!(hybrid(&page, width, 44, &mut Vec::new()).is_err());
            // The last group may be cut to what is wanted of it.
            let cut = &page[..1 + (33 * width as usize).div_ceil(8)];
            let mut found = Vec::new();
            hybrid(cut, width, 33, &mut found).unwrap();
            assert_eq!(found, values[..33]);
            if width > 0 {
                assert!(hybrid(&cut[..cut.len() - 1], width, 33, &mut Vec::new()).is_err());
            }
        }
    }

    fn put_deltas(values: &[i64], into: &mut Vec<u8>) {
        put_varint(128, into);
        put_varint(4, into);
        put_varint(values.len() as u64, into);
        let zig = |value: i64| (value << 1 ^ value >> 63) as u64;
        put_varint(zig(values.first().copied().unwrap_or(0)), into);
        let all: Vec<i64> = values.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        for block in all.chunks(128) {
            let least = *block.iter().min().unwrap();
            put_varint(zig(least), into);
            let over: Vec<Vec<u64>> = block
                .chunks(32)
                .map(|mini| mini.iter().map(|delta| delta.wrapping_sub(least) as u64).collect())
                .collect();
            let width = |mini: &Vec<u64>| 64 - mini.iter().max().unwrap().leading_zeros();
            into.extend((0..4).map(|index| over.get(index).map_or(0, |mini| width(mini) as u8)));
            for mini in &over {
                let mut mini = mini.clone();
                let bits = width(&mini);
                mini.resize(32, 0);
                into.extend(pack(&mini, bits));
            }
        }
    }

    #[test]
    fn deltas_of_any_size_are_added_up() {
        let steps: Vec<i64> = (0..400).map(|n| 1_700_000_000_000_000 + n * n * 1_000 - n % 7).collect();
        let wild = [i64::MIN, i64::MAX, 0, -1, 1, i64::MAX, i64::MIN, 5];
        let constant = [9; 200];
        for values in [&steps[..], &steps[..1], &steps[..129], &wild, &constant, &[]] {
            let mut page = Vec::new();
            put_deltas(values, &mut page);
            let mut found = Vec::new();
            deltas(&page, values.len(), &mut found).unwrap();
            assert_eq!(found, values);
            assert!(deltas(&page, values.len() + 1, &mut Vec::new()).is_err());
            (0..page.len().saturating_sub(1)).for_each(|end| {
                // Whatever is cut off, it is an error or a prefix, and no panic.
                deltas(&page[..end], values.len(), &mut Vec::new()).ok();
            });
        }
    }

    #[test]
    fn silly_heads_are_errors() {
        let head = |block: u64, miniblocks: u64| {
            let mut page = Vec::new();
            [block, miniblocks, 5, 0].into_iter().for_each(|value| put_varint(value, &mut page));
            page.extend([0; 64]);
            deltas(&page, 5, &mut Vec::new()).is_ok()
        };
        assert!(head(128, 4));
        for (block, miniblocks) in
            [(0, 0), (128, 0), (0, 4), (128, 3), (100, 4), (1 << 40, 1), (1 << 40, 1 << 35)]
        {
            assert!(!head(block, miniblocks), "{block} {miniblocks}");
        }
        assert!(hybrid(&[0x81], 3, 1, &mut Vec::new()).is_err());
        assert!(hybrid(&[0, 1], 3, 1, &mut Vec::new()).is_err());
        assert!(hybrid(&[2, 1], 33, 1, &mut Vec::new()).is_err());
    }
}
