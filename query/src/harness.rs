//! Entry points for fuzz targets and for whatever documents the program. No API: they may change
//! with every commit.

pub use crate::cli::whole_command;

/// Reads octets as a file of nfcapd and makes rows of its records.
pub fn read_nfcapd(octets: &[u8]) {
    crate::import::read_octets(octets);
}
