//! Entry points for fuzz targets; no API.

/// Reads octets as a file of nfcapd and makes rows of its records.
pub fn read_nfcapd(octets: &[u8]) {
    crate::import::read_octets(octets);
}
