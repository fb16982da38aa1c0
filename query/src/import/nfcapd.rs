//! Files of nfdump 1.7 (layout 2): a header, blocks of records, and an appendix with the name
//! of the collector and its statistics. Blocks are compressed each for itself.
//!
//! **Invariant:** all octets are hostile: every read is checked, and memory follows from what
//! was read and from a named bound, never from a count in the file.

mod header;
mod lzo;
mod reader;
mod record;
mod told;
mod unpack;

pub(crate) use self::header::Statistics;
pub(crate) use self::reader::Reader;
pub(crate) use self::record::{ExporterInfo, Extension, FlowRecord, Record, records, v4, v6};
pub(crate) use self::told::{Named, SamplerInfo, application, counted, text};

/// Octets of a file, little-endian as nfcapd writes them on the machines it runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Octets<'a>(pub(crate) &'a [u8]);

impl<'a> Octets<'a> {
    pub(crate) fn get<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }

    pub(crate) fn u8(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    pub(crate) fn u16(self, at: usize) -> Option<u16> {
        self.get(at).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(self, at: usize) -> Option<u32> {
        self.get(at).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(self, at: usize) -> Option<u64> {
        self.get(at).map(u64::from_le_bytes)
    }
}
