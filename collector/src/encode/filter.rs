//! Bloom filters of the columns that one host is looked for in: whether a row group can
//! hold an address at all is told by 32 octets of it.
//!
//! Split blocks as the format defines them, and as many as a power of two: the format
//! asks for no such thing, but Arrow C++, ClickHouse and Velox refuse others.

use flow_common::column::ColumnId;
use flow_common::limits;
use parquet::bloom_filter::Sbbf;

/// Columns with a filter.
pub(crate) const FILTERED: [ColumnId; 4] =
    [ColumnId::SrcAddr, ColumnId::DstAddr, ColumnId::PostNatSrcAddr, ColumnId::PostNatDstAddr];
/// Share of what is not there that a filter lets pass.
pub(crate) const FALSE_POSITIVES: f64 = 0.01;
/// What that takes for each distinct value; it were 9.7 bits if all blocks were equally full.
const BITS_PER_VALUE: f64 = 10.5;

/// A filter with room for so many distinct values.
pub(super) fn with_room(n_values: usize) -> Sbbf {
    let octets = (n_values as f64 * BITS_PER_VALUE / 8.0).ceil() as usize;
    Sbbf::new_with_num_of_bytes(octets.min(limits::BLOOM_FILTER_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many in 10,000 of what is not there a filter of `n` addresses lets pass.
    #[track_caller]
    fn check(n: u32, octets: usize, false_positives_max: usize) {
        let address = |n: u32| (u128::from(n.wrapping_mul(0x9e37_79b9)) | 0xffff_0000_0000).to_be_bytes();
        let mut filter = with_room(n as usize);
        (0..n).for_each(|n| filter.insert(address(n).as_slice()));
        assert_eq!(filter.num_blocks() * 32, octets, "{n} values");
        assert!((0..n).all(|n| filter.check(address(n).as_slice())), "an address is missed");
        let others = 0x8000_0000..0x8000_0000 + 100_000_u32;
        let passed = others.filter(|&n| filter.check(address(n).as_slice())).count() / 10;
        assert!(passed <= false_positives_max, "{passed} of 10,000 pass a filter of {n}");
    }

    #[test]
    fn filters_are_as_large_as_their_values_need() {
        check(1, 32, 1);
        check(24, 32, 200);
        check(3_120, 4_096, 110);
        check(6_000, 8_192, 100);
        check(49_900, 65_536, 110);
        // The bound: every address of a row group is another.
        check(limits::ROW_GROUP_ROWS as u32, limits::BLOOM_FILTER_BYTES_MAX, 350);
    }
}
