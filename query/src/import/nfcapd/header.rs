//! Header and appendix of a file.

use super::Octets;
use super::unpack::Compression;

/// Octets of the header.
pub(super) const HEADER_BYTES: usize = 40;
/// Octets of the header of a block.
pub(super) const BLOCK_HEADER_BYTES: usize = 12;

const MAGIC: u16 = 0xa50c;
const LAYOUT: u16 = 2;
/// Records of the appendix.
const IDENT: u16 = 0x8001;
const STATISTICS: u16 = 0x8002;

/// Why a file is none that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("it has {0} octets, and the header of an nfcapd file {HEADER_BYTES}")]
    Short(usize),
    #[error("it is no nfcapd file")]
    Foreign,
    #[error("it was written on a machine of the other octet order; rewrite it there as text or NetFlow")]
    OtherOrder,
    #[error(
        "its layout is {0}, that of nfdump 1.6 or older; `nfdump -r FILE -w NEW` of nfdump 1.7 rewrites it"
    )]
    Old(u16),
    #[error("its layout is {0}, which this program doesn't know")]
    New(u16),
    #[error("it is encrypted")]
    Encrypted,
    #[error("it is compressed in a way this program doesn't know: {0}")]
    Compression(u8),
}

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) compression: Compression,
    /// Seconds since the epoch.
    pub(super) created_secs: u64,
    pub(super) blocks: u32,
    pub(super) appendix_at: u64,
    pub(super) appendix_blocks: u16,
}

impl Header {
    pub(super) fn parse(octets: &[u8]) -> Result<Self, HeaderError> {
        let file = Octets(octets);
        let short = HeaderError::Short(octets.len());
        match file.u16(0).ok_or(short.clone())? {
            MAGIC => {}
            magic if magic == MAGIC.swap_bytes() => return Err(HeaderError::OtherOrder),
            _ => return Err(HeaderError::Foreign),
        }
        match file.u16(2).ok_or(short.clone())? {
            LAYOUT => {}
            layout if layout < LAYOUT => return Err(HeaderError::Old(layout)),
            layout => return Err(HeaderError::New(layout)),
        }
        let compression = file.u8(16).ok_or(short.clone())?;
        let compression = Compression::of(compression).ok_or(HeaderError::Compression(compression))?;
        if file.u8(17).ok_or(short.clone())? != 0 {
            return Err(HeaderError::Encrypted);
        }
        let parsed = (|| {
            Some(Self {
                compression,
                created_secs: file.u64(8)?,
                appendix_blocks: file.u16(18)?,
                appendix_at: file.u64(24)?,
                blocks: file.u32(36)?,
            })
        })();
        parsed.ok_or(short)
    }
}

/// The header of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockHeader {
    /// Octets that follow it in the file.
    pub(super) n_bytes: u32,
    /// Whether it holds records with headers of their own.
    pub(super) has_records: bool,
    /// Whether it is stored as it is, whatever the file's compression.
    pub(super) is_plain: bool,
}

impl BlockHeader {
    pub(super) fn parse(octets: &[u8; BLOCK_HEADER_BYTES]) -> Option<Self> {
        let block = Octets(octets);
        Some(Self {
            n_bytes: block.u32(4)?,
            has_records: block.u16(8)? == 3,
            is_plain: block.u16(10)? & 1 == 1,
        })
    }
}

/// What nfcapd counted in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Statistics {
    pub(crate) flows: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// Name of the collector and statistics, where the appendix has them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Appendix {
    pub(super) ident: Option<String>,
    pub(super) statistics: Option<Statistics>,
}

impl Appendix {
    /// Reads a block of the appendix; what is not understood is left out.
    pub(super) fn read(&mut self, block: &[u8]) {
        let mut rest = Octets(block);
        while let (Some(kind), Some(size)) = (rest.u16(0), rest.u16(2)) {
            let size = usize::from(size);
            let Some(record) = rest.0.get(4..size) else { return };
            let value = Octets(record);
            match kind {
                IDENT => {
                    let text = record.split(|&octet| octet == 0).next().unwrap_or_default();
                    self.ident = Some(String::from_utf8_lossy(text).into_owned());
                }
                STATISTICS => {
                    self.statistics = (|| {
                        Some(Statistics {
                            flows: value.u64(0)?,
                            bytes: value.u64(8)?,
                            packets: value.u64(16)?,
                        })
                    })();
                }
                _ => {}
            }
            rest = Octets(rest.0.get(size..).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(change: impl Fn(&mut [u8; HEADER_BYTES])) -> Result<Header, HeaderError> {
        let mut octets = [0; HEADER_BYTES];
        octets[..4].copy_from_slice(&[0x0c, 0xa5, 2, 0]);
        octets[8] = 77;
        octets[16] = 3;
        octets[18] = 1;
        octets[24] = 99;
        octets[36] = 5;
        change(&mut octets);
        Header::parse(&octets)
    }

    #[test]
    fn headers_are_read_or_refused_in_words() {
        let expected = Header {
            compression: Compression::Lz4,
            created_secs: 77,
            blocks: 5,
            appendix_at: 99,
            appendix_blocks: 1,
        };
        assert_eq!(header(|_| {}), Ok(expected));
        let check = |at: usize, octet: u8, error| assert_eq!(header(|octets| octets[at] = octet), Err(error));
        check(0, 0, HeaderError::Foreign);
        check(2, 1, HeaderError::Old(1));
        check(2, 3, HeaderError::New(3));
        check(16, 5, HeaderError::Compression(5));
        check(17, 1, HeaderError::Encrypted);
        assert_eq!(header(|octets| octets[..2].reverse()), Err(HeaderError::OtherOrder));
        assert_eq!(Header::parse(&[0x0c]), Err(HeaderError::Short(1)));
        assert_eq!(Header::parse(&[0x0c, 0xa5, 2, 0]), Err(HeaderError::Short(4)));
    }

    #[test]
    fn an_appendix_is_read_as_far_as_it_is_sound() {
        let mut block = vec![1, 0x80, 8, 0, b'a', b'b', 0, 0, 2, 0x80, 140, 0];
        block.extend([3u64, 7, 5].iter().flat_map(|n| n.to_le_bytes()));
        block.resize(12 + 136, 0);
        let read = |block: &[u8]| {
            let mut appendix = Appendix::default();
            appendix.read(block);
            appendix
        };
        let statistics = Some(Statistics { flows: 3, packets: 5, bytes: 7 });
        assert_eq!(read(&block), Appendix { ident: Some("ab".into()), statistics });
        assert_eq!(read(&block[..100]), Appendix { ident: Some("ab".into()), statistics: None });
        assert_eq!(read(&[1, 0x80, 0, 0]), Appendix::default());
    }
}
