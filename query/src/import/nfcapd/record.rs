//! Records of a block, and the extensions of a flow record.

use std::fmt;

use flow_common::tables::NameKind;

use super::Octets;
use super::told::{NameTable, SamplerInfo};

const EXPORTER: u16 = 7;
const COUNTED: u16 = 8;
const FLOW: u16 = 11;
const APPLICATIONS: u16 = 12;
const INTERFACES: u16 = 13;
const VRFS: u16 = 14;
const SAMPLER: u16 = 15;

/// One record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Record<'a> {
    Flow(FlowRecord<'a>),
    Exporter(ExporterInfo),
    Sampler(SamplerInfo),
    Names(NameTable<'a>),
    /// What nfcapd counted of exporters: see [`super::counted`].
    Counted(Octets<'a>),
    /// What is not known.
    Other,
}

/// What the file says of an exporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExporterInfo {
    /// What flow records call it.
    pub(crate) number: u16,
    pub(crate) version: u32,
    /// IPv4 as `::ffff:a.b.c.d`.
    pub(crate) addr: [u8; 16],
    /// Source id or observation domain.
    pub(crate) domain: u32,
}

/// A flow: what its header says, and its extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlowRecord<'a> {
    pub(crate) engine_type: u8,
    pub(crate) engine_id: u8,
    /// See [`ExporterInfo::number`].
    pub(crate) exporter: u16,
    pub(crate) flags: u8,
    /// 5, 9, 10.
    pub(crate) version: u8,
    extensions: Octets<'a>,
    n_extensions: u16,
}

/// Some fields of a flow, by the number of their group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extension<'a> {
    pub(crate) id: u16,
    pub(crate) octets: Octets<'a>,
}

/// Why the rest of a block, or of a record, is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// What it is that can't be.
    what: &'static str,
    /// Where in the block or record, octets.
    at: usize,
    claimed: usize,
    available: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, at, claimed, available } = self;
        write!(f, "{what} at octet {at} claims {claimed} octets, and {available} are there")
    }
}

/// The records of a block, up to the first that can't be.
pub(crate) fn records(block: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Malformed>> {
    let mut at = 0;
    let mut is_over = false;
    std::iter::from_fn(move || {
        let rest = Octets(block.get(at..).filter(|rest| !rest.is_empty() && !is_over)?);
        let malformed = |claimed| Malformed { what: "a record", at, claimed, available: rest.0.len() };
        let record = (|| {
            let kind = rest.u16(0).ok_or(malformed(4))?;
            let size = usize::from(rest.u16(2).ok_or(malformed(4))?);
            let octets = rest.0.get(..size).filter(|_| size >= 4).ok_or(malformed(size))?;
            let record = record(kind, Octets(octets)).ok_or(malformed(size))?;
            Ok((record, size))
        })();
        match record {
            Ok((record, size)) => {
                at += size;
                Some(Ok(record))
            }
            Err(error) => {
                is_over = true;
                Some(Err(error))
            }
        }
    })
}

fn record(kind: u16, octets: Octets<'_>) -> Option<Record<'_>> {
    Some(match kind {
        FLOW => Record::Flow(FlowRecord {
            n_extensions: octets.u16(4)?,
            engine_type: octets.u8(6)?,
            engine_id: octets.u8(7)?,
            exporter: octets.u16(8)?,
            flags: octets.u8(10)?,
            version: octets.u8(11)?,
            extensions: Octets(octets.0.get(12..)?),
        }),
        EXPORTER => Record::Exporter(ExporterInfo {
            version: octets.u32(4)?,
            addr: exporter_addr(octets)?,
            number: octets.u16(26)?,
            domain: octets.u32(28)?,
        }),
        SAMPLER => Record::Sampler(SamplerInfo::parse(octets)?),
        APPLICATIONS => Record::Names(NameTable::applications(octets)?),
        INTERFACES => Record::Names(NameTable::parse(NameKind::Interface, octets)?),
        VRFS => Record::Names(NameTable::parse(NameKind::Vrf, octets)?),
        COUNTED => Record::Counted(octets),
        _ => Record::Other,
    })
}

/// Releases before 1.7.6 have words in the machine's order and the family behind them,
/// later ones octets in network order.
fn exporter_addr(record: Octets<'_>) -> Option<[u8; 16]> {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    match record.u16(24)? {
        AF_INET => Some(v4(record.u32(16)?)),
        AF_INET6 => Some(v6(record.u64(8)?, record.u64(16)?)),
        _ => record.get(8),
    }
}

/// An IPv4 address that is a number in the file.
pub(crate) fn v4(number: u32) -> [u8; 16] {
    flow_common::addr::Addr16::from_v4(number.to_be_bytes()).0
}

/// An IPv6 address that is two numbers in the file.
pub(crate) fn v6(high: u64, low: u64) -> [u8; 16] {
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

impl<'a> FlowRecord<'a> {
    /// Its extensions, up to the first that can't be.
    pub(crate) fn extensions(&self) -> impl Iterator<Item = Result<Extension<'a>, Malformed>> {
        let octets = self.extensions.0;
        let mut at = 0;
        (0..self.n_extensions).map_while(move |_| {
            let start = at;
            let rest = Octets(octets.get(start..)?);
            let malformed = |claimed| {
                let (what, available) = ("an extension", rest.0.len());
                Malformed { what, at: start, claimed, available }
            };
            let (Some(id), Some(length)) = (rest.u16(0), rest.u16(2)) else {
                at = usize::MAX;
                return Some(Err(malformed(4)));
            };
            let length = usize::from(length);
            let Some(value) = rest.0.get(4..length) else {
                at = usize::MAX;
                return Some(Err(malformed(length)));
            };
            at += length;
            Some(Ok(Extension { id, octets: Octets(value) }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of a block in few words.
    #[track_caller]
    fn check(block: &[u8], expected: &str) {
        let shown: Vec<String> = records(block)
            .map(|record| match record {
                Ok(Record::Flow(flow)) => {
                    let ids = flow.extensions().map(|one| match one {
                        Ok(Extension { id, octets }) => format!("{id}:{}", octets.0.len()),
                        Err(error) => error.to_string(),
                    });
                    format!("flow of {}: {}", flow.exporter, ids.collect::<Vec<_>>().join(" "))
                }
                Ok(Record::Exporter(info)) => format!("exporter {}", info.number),
                Ok(_) => "other".to_owned(),
                Err(error) => error.to_string(),
            })
            .collect();
        assert_eq!(shown.join(", "), expected);
    }

    #[test]
    fn records_end_where_they_can_not_be() {
        check(&[], "");
        check(&[99, 0, 4, 0, 98, 0, 6, 0, 9, 9], "other, other");
        let flow = [11, 0, 24, 0, 2, 0, 0, 0, 7, 0, 0, 9, 6, 0, 8, 0, 1, 2, 3, 4, 30, 0, 4, 0];
        check(&flow, "flow of 7: 6:4 30:0");
        // An extension longer than its record, and one shorter than its own header.
        let long = [11, 0, 16, 0, 2, 0, 0, 0, 7, 0, 0, 9, 6, 0, 8, 0];
        check(&long, "flow of 7: an extension at octet 0 claims 8 octets, and 4 are there");
        let short = [11, 0, 16, 0, 2, 0, 0, 0, 7, 0, 0, 9, 6, 0, 3, 0];
        check(&short, "flow of 7: an extension at octet 0 claims 3 octets, and 4 are there");
        check(&[99, 0, 4, 0, 99, 0, 3, 0], "other, a record at octet 4 claims 3 octets, and 4 are there");
        check(&[12, 0, 9, 0], "a record at octet 0 claims 9 octets, and 4 are there");
        check(&[11, 0, 6, 0, 1, 0], "a record at octet 0 claims 6 octets, and 6 are there");
        check(&[1], "a record at octet 0 claims 4 octets, and 1 are there");
    }

    #[test]
    fn addresses_of_exporters_are_of_either_order() {
        let record = |octets: &[u8; 16], family: u8| {
            let mut record = vec![7, 0, 32, 0, 9, 0, 0, 0];
            record.extend(octets);
            record.extend([family, 0, 3, 0, 1, 0, 0, 0]);
            match records(&record).next() {
                Some(Ok(Record::Exporter(info))) => flow_common::addr::Addr16(info.addr).to_string(),
                _ => String::new(),
            }
        };
        assert_eq!(record(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 192, 0, 0, 0, 0], 2), "192.0.2.1");
        assert_eq!(record(&[0, 0, 0, 0, 0xb8, 0x0d, 0x01, 0x20, 1, 0, 0, 0, 0, 0, 0, 0], 10), "2001:db8::1");
        assert_eq!(record(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1], 0), "192.0.2.1");
    }
}
