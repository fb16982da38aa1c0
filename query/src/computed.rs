//! THE table of words behind `-s` and `-A` whose values are those of several columns, or are
//! computed. Words and titles are nfdump's.

use flow_common::column::ColumnId as Id;
use flow_common::limits::MPLS_LABELS_MAX;

use crate::columns::ColumnRef;
use crate::group::Source;

/// A word, and what it counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Computed {
    pub(crate) word: &'static str,
    /// Its name for programs.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// A flow counts for each of them, once for equal values. `-A` takes words of one.
    pub(crate) sources: &'static [Source],
}

const fn of(id: Id) -> Source {
    Source::Column(ColumnRef::of(id))
}

const fn computed(
    word: &'static str,
    name: &'static str,
    title: &'static str,
    sources: &'static [Source],
) -> Computed {
    Computed { word, name, title, sources }
}

const SRC_NET: Source = Source::Net { addr: Id::SrcAddr, mask: Id::SrcMask };
const DST_NET: Source = Source::Net { addr: Id::DstAddr, mask: Id::DstMask };
const SRC_GEO: Source = Source::Country(Id::SrcAddr);
const DST_GEO: Source = Source::Country(Id::DstAddr);
const SRC_ASN: Source = Source::Origin { number: Id::SrcAs, addr: Id::SrcAddr, is_named: true };
const DST_ASN: Source = Source::Origin { number: Id::DstAs, addr: Id::DstAddr, is_named: true };

pub(crate) static COMPUTED: [Computed; 24] = [
    computed("srcmac", "src_mac", "Src Mac", &[of(Id::InSrcMac), of(Id::OutSrcMac)]),
    computed("dstmac", "dst_mac", "Dst Mac", &[of(Id::InDstMac), of(Id::OutDstMac)]),
    computed("inmac", "in_mac", "In Mac", &[of(Id::InSrcMac), of(Id::InDstMac)]),
    computed("outmac", "out_mac", "Out Mac", &[of(Id::OutDstMac), of(Id::OutSrcMac)]),
    computed(
        "mac",
        "mac",
        "Mac Addr",
        &[of(Id::InSrcMac), of(Id::OutDstMac), of(Id::InDstMac), of(Id::OutSrcMac)],
    ),
    computed("srcnet", "src_net", "Src Network", &[SRC_NET]),
    computed("dstnet", "dst_net", "Dst Network", &[DST_NET]),
    computed("net", "net", "Network", &[SRC_NET, DST_NET]),
    computed("srcgeo", "src_country", "Src Geo", &[SRC_GEO]),
    computed("dstgeo", "dst_country", "Dst Geo", &[DST_GEO]),
    computed("geo", "country", "Geo", &[SRC_GEO, DST_GEO]),
    computed("srcasn", "src_as_name", "Src AS organisation", &[SRC_ASN]),
    computed("dstasn", "dst_as_name", "Dst AS organisation", &[DST_ASN]),
    computed("asn", "as_name", "AS organisation", &[SRC_ASN, DST_ASN]),
    computed("mpls1", "mpls1", "MPLS label 1", &[Source::Label(1)]),
    computed("mpls2", "mpls2", "MPLS label 2", &[Source::Label(2)]),
    computed("mpls3", "mpls3", "MPLS label 3", &[Source::Label(3)]),
    computed("mpls4", "mpls4", "MPLS label 4", &[Source::Label(4)]),
    computed("mpls5", "mpls5", "MPLS label 5", &[Source::Label(5)]),
    computed("mpls6", "mpls6", "MPLS label 6", &[Source::Label(6)]),
    computed("mpls7", "mpls7", "MPLS label 7", &[Source::Label(7)]),
    computed("mpls8", "mpls8", "MPLS label 8", &[Source::Label(8)]),
    computed("mpls9", "mpls9", "MPLS label 9", &[Source::Label(9)]),
    computed("mpls10", "mpls10", "MPLS label 10", &[Source::Label(10)]),
];

/// nfdump's words that have no counterpart here, and why.
pub(crate) const MISSING: [(&str, &str); 3] = [
    ("ja3", "exporters send no payload that a fingerprint of TLS could be made of"),
    ("ja4", "exporters send no payload that a fingerprint of TLS could be made of"),
    ("ja4s", "exporters send no payload that a fingerprint of TLS could be made of"),
];

/// nfdump's other words for keys of columns: what they are in its table.
pub(crate) const ALIASES: [(&str, Id); 2] = [("tos", Id::SrcTos), ("exp", Id::ExporterAddr)];

impl Computed {
    /// The one called `word`.
    pub(crate) fn find(word: &str) -> Option<&'static Self> {
        COMPUTED.iter().find(|one| one.word == word)
    }

    /// The key of `-A` called `word`, by nfdump's word or its own name, and a place of its own.
    pub(crate) fn key(word: &str) -> Option<(&'static Self, Source, ColumnRef)> {
        (0..).zip(&COMPUTED).find_map(|(place, one)| match one.sources {
            [only] if one.word == word || one.name == word => Some((one, *only, ColumnRef::computed(place))),
            _ => None,
        })
    }

    /// Words of keys of `-A`.
    pub(crate) fn keys() -> impl Iterator<Item = &'static str> {
        COMPUTED.iter().filter(|one| one.sources.len() == 1).map(|one| one.word)
    }
}

const _: () = assert!(MPLS_LABELS_MAX == 10, "each entry of the stack has a word");

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use flow_common::column::COLUMNS;

    use super::*;

    #[test]
    fn words_mean_one_thing_and_sides_have_one_kind() {
        let of_table = COLUMNS.iter().flat_map(|column| [column.stat, column.stat_both]);
        let of_table: HashSet<_> = of_table.filter(|word| !word.is_empty()).collect();
        let mut seen = HashSet::new();
        for one in COMPUTED {
            assert!(!of_table.contains(one.word) && seen.insert(one.word), "{}", one.word);
            let kinds: HashSet<_> = one.sources.iter().map(|source| source.kind()).collect();
            assert_eq!(kinds.len(), 1, "{}", one.word);
        }
    }
}
