//! Information elements: the IANA registry as a static table.
//!
//! The table is generated from `registry/iana-ipfix.csv` and committed;
//! `tests/registry.rs` keeps it current.

use std::fmt;

#[rustfmt::skip]
mod generated;

pub use generated::ELEMENTS;

/// Enterprise number of the reverse direction of IANA elements (RFC 5103 §6.1).
pub const REVERSE_PEN: u32 = 29305;
/// Enterprise number of VMware; Open vSwitch sends its tunnel elements under it.
pub const VMWARE_PEN: u32 = 6876;

macro_rules! data_types {
    ($($variant:ident $name:literal;)*) => {
        /// Type of the values of an element (RFC 7012 §3.1).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are those of RFC 7012 §3.1")]
        pub enum AbstractDataType { $($variant,)* }

        impl AbstractDataType {
            /// All of them, by name.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in the registry, for example `unsigned32`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The type called `name`, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|data_type| data_type.name() == name)
            }
        }
    };
}

data_types! {
    BasicList "basicList";
    Boolean "boolean";
    DateTimeMicroseconds "dateTimeMicroseconds";
    DateTimeMilliseconds "dateTimeMilliseconds";
    DateTimeNanoseconds "dateTimeNanoseconds";
    DateTimeSeconds "dateTimeSeconds";
    Float32 "float32";
    Float64 "float64";
    Ipv4Address "ipv4Address";
    Ipv6Address "ipv6Address";
    MacAddress "macAddress";
    OctetArray "octetArray";
    Signed16 "signed16";
    Signed32 "signed32";
    Signed64 "signed64";
    Signed8 "signed8";
    String "string";
    SubTemplateList "subTemplateList";
    SubTemplateMultiList "subTemplateMultiList";
    Unsigned16 "unsigned16";
    Unsigned256 "unsigned256";
    Unsigned32 "unsigned32";
    Unsigned64 "unsigned64";
    Unsigned8 "unsigned8";
}

/// What the values of an element mean (RFC 7012 §3.2). Delta and total
/// counters are never added together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of RFC 7012 §3.2")]
pub enum Semantics {
    None,
    Default,
    DeltaCounter,
    Flags,
    Identifier,
    List,
    Quantity,
    SnmpCounter,
    SnmpGauge,
    TotalCounter,
}

/// One row of the IANA registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// Element number, 1..=32767.
    pub id: u16,
    /// Name in the registry, for example `octetDeltaCount`.
    pub name: &'static str,
    /// Type of its values.
    pub data_type: AbstractDataType,
    /// Meaning of its values.
    pub semantics: Semantics,
    /// Unit in the registry's words; empty where it has none.
    pub units: &'static str,
    /// The registry advises against its use.
    pub is_deprecated: bool,
}

/// Who defined an element, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementKey {
    /// Private enterprise number; 0 is IANA (and the number space of NetFlow v9).
    pub pen: u32,
    /// Element number. NetFlow v9 uses all 16 bits, IPFIX 15.
    pub id: u16,
}

impl ElementKey {
    /// An element of the IANA registry.
    pub const fn iana(id: u16) -> Self {
        Self { pen: 0, id }
    }

    /// An element of enterprise `pen`.
    pub const fn enterprise(pen: u32, id: u16) -> Self {
        Self { pen, id }
    }

    /// Key of the n-th `occurrence` (0-based) of this element in the column
    /// `other`: `pen << 32 | occurrence << 16 | id`. A template may repeat an
    /// element (RFC 7011 §8); the occurrence keeps keys unique and in order.
    pub const fn to_other_key(self, occurrence: u16) -> i64 {
        ((self.pen as u64) << 32 | (occurrence as u64) << 16 | self.id as u64) as i64
    }

    /// Inverse of [`ElementKey::to_other_key`].
    pub const fn from_other_key(key: i64) -> (Self, u16) {
        let key = key as u64;
        let pen = (key >> 32) as u32;
        (Self { pen, id: key as u16 }, (key >> 16) as u16)
    }

    /// Row of the registry, for IANA elements and their reverse.
    pub fn lookup(self) -> Option<&'static Element> {
        (self.pen == 0 || self.pen == REVERSE_PEN).then(|| lookup(self.id))?
    }
}

/// `pen:id`, or the number alone for an element of the registry.
impl fmt::Display for ElementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pen != 0 {
            write!(f, "{}:", self.pen)?;
        }
        write!(f, "{}", self.id)
    }
}

/// The IANA element `id`, if the registry knows it.
pub fn lookup(id: u16) -> Option<&'static Element> {
    let index = ELEMENTS.binary_search_by_key(&id, |element| element.id).ok()?;
    ELEMENTS.get(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookup_finds_what_the_registry_has() {
        let octets = lookup(1).unwrap();
        assert_eq!((octets.name, octets.semantics), ("octetDeltaCount", Semantics::DeltaCounter));
        assert_eq!(lookup(0), None);
        assert_eq!(ElementKey::enterprise(9, 1).lookup(), None);
        assert_eq!(ElementKey::enterprise(REVERSE_PEN, 2).lookup().unwrap().name, "packetDeltaCount");
    }

    #[test]
    fn other_keys_are_reversible_and_distinct() {
        for (pen, id, n) in [(0, 82, 0), (0, 82, 1), (6876, 892, 0), (u32::MAX, 65535, 3)] {
            let key = ElementKey { pen, id };
            assert_eq!(ElementKey::from_other_key(key.to_other_key(n)), (key, n));
        }
        assert_eq!(ElementKey::iana(82).to_other_key(0), 82);
    }
}
