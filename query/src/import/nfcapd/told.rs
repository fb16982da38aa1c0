//! Records that are no flows: what exporters told of their numbers, and what nfcapd counted of
//! exporters.

use flow_common::limits::FACT_NAME_BYTES_MAX;
use flow_common::tables::NameKind;

use super::Octets;

/// Octets before the first element of a table of names.
const NAMES_AT: usize = 12;
const APPLICATIONS_AT: usize = 14;
/// Octets of what is counted of an exporter.
const COUNTERS_BYTES: usize = 24;

/// A sampler, as its exporter told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SamplerInfo {
    /// See [`super::ExporterInfo::number`].
    pub(crate) exporter: u16,
    /// Its number; -1 is the only one of its exporter, and what is less nfcapd was told.
    pub(crate) id: i64,
    /// Packets one sampled packet stands for.
    pub(crate) rate: i64,
}

impl SamplerInfo {
    pub(super) fn parse(record: Octets<'_>) -> Option<Self> {
        let (sampled, space) = (i64::from(record.u32(16)?), i64::from(record.u32(20)?));
        let rate = (sampled + space).checked_div(sampled).unwrap_or(0);
        Some(Self { exporter: record.u16(4)?, id: record.get(8).map(i64::from_le_bytes)?, rate })
    }
}

/// Names of one kind, of exporters of the file: nfcapd does not say of which.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameTable<'a> {
    pub(crate) kind: NameKind,
    elements: Octets<'a>,
    n_elements: usize,
    stride: usize,
    /// Octets of the number, the name and a longer one.
    widths: [usize; 3],
}

/// One of them, its texts as long as a name may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// Empty where there is none.
    pub(crate) description: String,
}

impl<'a> NameTable<'a> {
    /// Of interfaces or VRFs.
    pub(super) fn parse(kind: NameKind, record: Octets<'a>) -> Option<Self> {
        let widths = [4, record.u32(8)? as usize, 0];
        Self::of(kind, record, NAMES_AT, widths)
    }

    /// Of applications.
    pub(super) fn applications(record: Octets<'a>) -> Option<Self> {
        let widths = [8, 10, 12].map(|at| record.u16(at).map(usize::from));
        let [Some(id), Some(name), Some(description)] = widths else { return None };
        Self::of(NameKind::Application, record, APPLICATIONS_AT, [id, name, description])
    }

    fn of(kind: NameKind, record: Octets<'a>, at: usize, widths: [usize; 3]) -> Option<Self> {
        let (n_elements, stride) = (usize::from(record.u16(4)?), usize::from(record.u16(6)?));
        // Elements lie one behind the other, so there are no more than the record has room for.
        let is_sound = widths.iter().fold(0, |sum: usize, width| sum.saturating_add(*width)) <= stride;
        let n_elements = if is_sound && stride > 0 { n_elements } else { 0 };
        Some(Self { kind, elements: Octets(record.0.get(at..)?), n_elements, stride, widths })
    }

    /// What it names, as far as the record goes.
    pub(crate) fn iter(self) -> impl Iterator<Item = Named> + 'a {
        let [n_id, n_name, n_description] = self.widths;
        (0..self.n_elements).map_while(move |index| {
            let element = self.elements.0.get(index.checked_mul(self.stride)?..)?;
            let (id, rest) = element.split_at_checked(n_id)?;
            let (name, rest) = rest.split_at_checked(n_name)?;
            let description = short(rest.get(..n_description)?);
            let id = match self.kind {
                NameKind::Application => application(id)?,
                _ => Octets(id).u32(0)?.into(),
            };
            Some(Named { id, name: short(name), description })
        })
    }
}

/// Engine and selector of element 95, as flows have them.
pub(crate) fn application(octets: &[u8]) -> Option<i64> {
    let (engine, selector) = octets.split_first()?;
    // Releases differ in whether octets that fill up are part of it.
    let selector = selector.get(..selector.len().min(4))?;
    let selector = selector.iter().fold(0_i64, |number, &octet| number << 8 | i64::from(octet));
    Some(i64::from(*engine) << 32 | selector)
}

/// Octets up to the first that is zero.
pub(crate) fn text(octets: &[u8]) -> String {
    let text = octets.split(|&octet| octet == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// As [`text`], and not longer than a name may be.
fn short(octets: &[u8]) -> String {
    // With the whole of a character that begins before the end.
    let text = text(octets.get(..FACT_NAME_BYTES_MAX + 3).unwrap_or(octets));
    let end = (0..=text.len().min(FACT_NAME_BYTES_MAX)).rev().find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

/// What nfcapd counted of an exporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    /// See [`super::ExporterInfo::number`].
    pub(crate) exporter: u16,
    /// Datagrams before which sequence numbers were missing, as nfcapd judged.
    pub(crate) gaps: u64,
    pub(crate) datagrams: u64,
}

/// The counters of a record, as far as it goes.
pub(crate) fn counted(record: Octets<'_>) -> impl Iterator<Item = Counted> + '_ {
    let n = record.u32(4).unwrap_or(0) as usize;
    let elements = record.0.get(8..).unwrap_or_default().chunks_exact(COUNTERS_BYTES);
    elements.take(n).filter_map(|element| {
        let element = Octets(element);
        Some(Counted {
            exporter: u16::try_from(element.u32(0)?).ok()?,
            gaps: element.u32(4)?.into(),
            datagrams: element.u64(8)?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Record, records};
    use super::*;

    /// A record with its header, in few words.
    #[track_caller]
    fn check(kind: u8, octets: &[u8], expected: &str) {
        let mut record = vec![kind, 0, (octets.len() + 4) as u8, 0];
        record.extend(octets);
        let shown = match records(&record).next() {
            Some(Ok(Record::Names(table))) => {
                let named =
                    table.iter().map(|Named { id, name, description }| format!("{id} {name} {description}"));
                format!("{}: {}", table.kind.word(), named.collect::<Vec<_>>().join(", "))
            }
            Some(Ok(Record::Sampler(one))) => format!("{} {} {}", one.exporter, one.id, one.rate),
            Some(Ok(Record::Counted(record))) => {
                let all =
                    counted(record).map(|one| format!("{} {} {}", one.exporter, one.datagrams, one.gaps));
                all.collect::<Vec<_>>().join(", ")
            }
            other => format!("{other:?}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_exporters_told_is_read() {
        let names =
            [2, 0, 8, 0, 4, 0, 0, 0, 1, 0, 0, 0, b'e', b't', b'h', 0, 2, 1, 0, 0, b'w', b'a', b'n', b'0'];
        check(13, &names, "interface: 1 eth , 258 wan0 ");
        check(14, &names, "vrf: 1 eth , 258 wan0 ");
        // Cut short, and an element longer than the record.
        check(13, &names[..20], "interface: 1 eth ");
        check(13, &[1, 0, 8, 0, 255, 255, 255, 255, 1, 0, 0, 0], "interface: ");
        // Elements over each other.
        check(13, &[255, 255, 4, 0, 4, 0, 0, 0, 1, 0, 0, 0, b'e', b't', b'h', 0], "interface: ");
        check(12, &[255, 255, 0, 0, 0, 0, 0, 0, 0, 0], "application: ");
        // Octets that fill up stand between the elements.
        let applications = [
            2, 0, 9, 0, 4, 0, 2, 0, 2, 0, 3, 0, 0, 80, b'h', 0, b'W', b'W', 0, 13, 0, 0, 38, b's', b's',
            b'T', 0,
        ];
        check(12, &applications, "application: 12884901968 h WW, 55834574886 ss T");
        let sampler = |id: i64, sampled: u8, space: u8| {
            let id = id.to_le_bytes();
            [&[7, 0, 1, 0][..], &id, &[sampled, 0, 0, 0, space, 0, 0, 0]].concat()
        };
        check(15, &sampler(5, 1, 99), "7 5 100");
        check(15, &sampler(-1, 2, 8), "7 -1 5");
        check(15, &sampler(0, 0, 8), "7 0 0");
        let counters =
            [[3, 0, 0, 0, 2, 0, 0, 0], [12, 0, 0, 0, 0, 0, 0, 0], [9, 0, 0, 0, 0, 0, 0, 0]].concat();
        check(8, &[&[2, 0, 0, 0][..], &counters].concat(), "3 12 2");
    }

    #[test]
    fn no_name_is_longer_than_names_may_be() {
        #[track_caller]
        fn check(name: &[u8], expected: &str) {
            // The header of the record, how long things are, a number, the name twice.
            let (length, element) = (name.len() as u16, 2 + 2 * name.len() as u16);
            let header = [0, 0, 1, element, 2, length, length, 0].map(u16::to_le_bytes).concat();
            let octets = [&header[..], name, name].concat();
            let table = NameTable::applications(Octets(&octets)).unwrap();
            let named = table.iter().next().unwrap();
            assert_eq!((named.name.as_str(), named.description.as_str()), (expected, expected));
            assert!(named.name.capacity() <= FACT_NAME_BYTES_MAX, "{}", named.name.capacity());
        }
        let most = "a".repeat(FACT_NAME_BYTES_MAX);
        check(most.as_bytes(), &most);
        check("a".repeat(20_000).as_bytes(), &most);
        // A character has room as a whole or not at all.
        let before = "a".repeat(FACT_NAME_BYTES_MAX - 2);
        check(format!("{before}\u{e9}\u{e9}").as_bytes(), &format!("{before}\u{e9}"));
        check(format!("{before}\u{1f5a7}b").as_bytes(), &before);
        // What is no UTF-8 grows.
        check(&[0xff; 300], &"\u{fffd}".repeat(FACT_NAME_BYTES_MAX / 3));
    }
}
