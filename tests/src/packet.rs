//! Builders that *encode* export packets: an independent second opinion on the
//! decoder. Nothing here shares code with the crates under test.
//!
//! [`v5`], [`v9`] and [`ipfix`] hold one builder each; [`Value`] lays out the
//! octets of a data record. Builders assert what only a mistake in a test can
//! break (a value wider than its field, a message over 65 535 octets). What a
//! broken exporter may send has its own door: `raw_set`, `data_unpadded`,
//! `with_count`, `with_length`.

pub mod ipfix;
pub mod v5;
pub mod v9;
mod value;

pub use value::Value;

/// Padding brings sets to a multiple of this (RFC 3954 §5.3, RFC 7011 §3.3.1).
const ALIGNMENT_OCTETS: usize = 4;

/// A set or FlowSet header, both of 4 octets: id, length including the header.
fn put_set(out: &mut Vec<u8>, id: u16, body: &[u8], padding_octets: usize) {
    put_u16(out, id);
    put_u16(out, octets_u16(4 + body.len() + padding_octets));
    out.extend_from_slice(body);
    out.resize(out.len() + padding_octets, 0);
}

/// Octets that bring `length` to the alignment.
fn padding(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT_OCTETS) - length
}

/// Padding after `records`, or none if a reader could take the padding for
/// another record (RFC 7011 §3.3.1: padding is shorter than any record).
fn data_padding(records: &[Vec<u8>]) -> usize {
    let n = padding(records.iter().map(Vec::len).sum());
    let shortest = records.iter().map(Vec::len).min().unwrap_or(0);
    if n < shortest { n } else { 0 }
}

fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// A length or a count as the 16 bits every header gives it.
fn octets_u16(n: usize) -> u16 {
    u16::try_from(n).expect("lengths and counts on the wire have 16 bits")
}

/// Octets written as hex, blanks ignored: what the tests below compare with.
#[cfg(test)]
fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).expect("a hex digit")).expect("below 16"))
        .collect();
    assert_eq!(digits.len() % 2, 0, "whole octets only");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
