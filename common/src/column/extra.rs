//! Columns beyond the table: elements an operator gave a name and a type.
//!
//! A file that has such columns lists them in its metadata, so a reader needs
//! nothing but the file.

use serde::{Deserialize, Serialize};

use super::{COLUMNS, Kind, by_name};
use crate::element::{AbstractDataType, ElementKey};
use crate::limits::COLUMN_NAME_BYTES_MAX;
use crate::proto::Protocol;

/// A column that one element fills.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Entry", into = "Entry")]
pub struct ExtraColumn {
    /// Name in files, filters and output.
    pub name: String,
    /// The element.
    pub key: ElementKey,
    /// Type of its values; one that [`ExtraColumn::new`] accepts.
    data_type: AbstractDataType,
}

/// What is wrong with the definition of a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ExtraError {
    #[error("`{0}` is no column name")]
    Spelling(String),
    #[error("`{name}` is taken: {by}")]
    Taken { name: String, by: &'static str },
    #[error("element 0 is reserved")]
    Zero,
    #[error("element {0} of an enterprise is beyond 32767")]
    Id(u16),
    #[error("`{column}` holds element {key} already")]
    Filled { key: String, column: &'static str },
    #[error("no column has the type `{0}`")]
    Type(String),
}

/// First field id of such columns; those of the table lie far below.
const FIELD_ID_MIN: u32 = 1 << 30;

/// Words of the filter language that no column of the table brings, and what
/// people of other tools type: none of them may change its meaning.
const RESERVED: &[&str] = &[
    // grammar
    "and",
    "or",
    "not",
    "in",
    "is",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "null",
    "absent",
    "present",
    "any",
    "ipv4",
    "ipv6",
    "inet",
    "inet6",
    "sampled",
    "equal",
    // sides, parts and measures
    "src",
    "dst",
    "out",
    "min",
    "max",
    "ingress",
    "egress",
    "prev",
    "duration",
    "bps",
    "pps",
    "bpp",
    "dscp",
    "ecn",
    "eos",
    "label1",
    "label2",
    "label3",
    "label4",
    "label5",
    "label6",
    "label7",
    "label8",
    "label9",
    "label10",
    "exp1",
    "exp2",
    "exp3",
    "exp4",
    "exp5",
    "exp6",
    "exp7",
    "exp8",
    "exp9",
    "exp10",
    "sampler",
    "record",
    // words of `-s` and `-A` that are computed
    "srcmac",
    "dstmac",
    "inmac",
    "outmac",
    "srcgeo",
    "dstgeo",
    "srcasn",
    "dstasn",
    "mpls1",
    "mpls2",
    "mpls3",
    "mpls4",
    "mpls5",
    "mpls6",
    "mpls7",
    "mpls8",
    "mpls9",
    "mpls10",
    "src_mac",
    "dst_mac",
    "in_mac",
    "out_mac",
    "src_net",
    "dst_net",
    "src_country",
    "dst_country",
    "country",
    "src_as_name",
    "dst_as_name",
    "as_name",
    "exp",
    "ident",
    "geo",
    // nfdump's without a counterpart here
    "count",
    "cnt",
    "payload",
    "pf",
    "sysid",
    // other spellings
    "xlate",
    "interface",
    "address",
    "octets",
    "pkts",
    "asn",
    "dur",
    "source",
    "destination",
    // other tools' words
    "sport",
    "dport",
    "saddr",
    "daddr",
    "sip",
    "dip",
    "srchost",
    "dsthost",
    "srcnet",
    "dstnet",
    "snet",
    "dnet",
    "subnet",
    "network",
    "prefix",
    "cidr",
    "nexthop",
    "gateway",
    "vxlan",
    "tcpflags",
    "ip4",
    "ip6",
    "all",
    "size",
    "length",
    "rate",
    "date",
    "since",
    "before",
    "after",
    "xip",
    "nip",
];

impl ExtraColumn {
    /// A column `name` for the element `key`, whose values are `data_type`.
    pub fn new(name: &str, key: ElementKey, data_type: AbstractDataType) -> Result<Self, ExtraError> {
        if !is_name(name) {
            return Err(ExtraError::Spelling(name.to_owned()));
        }
        match key {
            ElementKey { pen: 0, id: 0 } => return Err(ExtraError::Zero),
            ElementKey { pen: 1.., id: 0x8000.. } => return Err(ExtraError::Id(key.id)),
            _ => {}
        }
        match kind_of(data_type) {
            Some(_) => Ok(Self { name: name.to_owned(), key, data_type }),
            None => Err(ExtraError::Type(data_type.name().to_owned())),
        }
    }

    /// Type of its values.
    pub const fn data_type(&self) -> AbstractDataType {
        self.data_type
    }

    /// Physical type.
    pub fn kind(&self) -> Kind {
        kind_of(self.data_type).unwrap_or(Kind::Binary)
    }

    /// Parquet field id: of 30 bits, FNV-1a of the element's number above those of
    /// the table. The same element has the same id in every file.
    pub fn field_id(&self) -> i32 {
        let octets = self.key.pen.to_be_bytes().into_iter().chain(self.key.id.to_be_bytes());
        let hash =
            octets.fold(0x811c_9dc5_u32, |hash, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193));
        // The sum stays below 2³¹; the high bits of FNV-1a are its best.
        (FIELD_ID_MIN + (hash >> 2)).cast_signed()
    }

    /// Smallest and largest number; `None` where values are no integers.
    pub fn range(&self) -> Option<(i64, i64)> {
        use AbstractDataType as T;
        Some(match self.data_type {
            T::Unsigned8 => (0, u8::MAX.into()),
            T::Unsigned16 => (0, u16::MAX.into()),
            T::Unsigned32 => (0, u32::MAX.into()),
            T::Unsigned64 => (0, i64::MAX),
            T::Signed8 => (i8::MIN.into(), i8::MAX.into()),
            T::Signed16 => (i16::MIN.into(), i16::MAX.into()),
            T::Signed32 => (i32::MIN.into(), i32::MAX.into()),
            T::Signed64 => (i64::MIN, i64::MAX),
            _ => return None,
        })
    }

    /// Names of the types a column may have.
    pub fn type_names() -> impl Iterator<Item = &'static str> + Clone {
        AbstractDataType::ALL.iter().filter(|one| kind_of(**one).is_some()).map(|one| one.name())
    }
}

/// How values of a type are stored; `None` where no column can hold them.
const fn kind_of(data_type: AbstractDataType) -> Option<Kind> {
    use AbstractDataType as T;
    Some(match data_type {
        T::Unsigned8 | T::Unsigned16 | T::Signed8 | T::Signed16 | T::Signed32 => Kind::Int32,
        T::Unsigned32 | T::Unsigned64 | T::Signed64 => Kind::Int64,
        T::Float32 | T::Float64 => Kind::Float64,
        T::Boolean => Kind::Boolean,
        T::Ipv4Address | T::Ipv6Address => Kind::Address,
        T::MacAddress => Kind::Mac,
        T::String => Kind::Text,
        T::OctetArray => Kind::Binary,
        T::DateTimeSeconds | T::DateTimeMilliseconds | T::DateTimeMicroseconds | T::DateTimeNanoseconds => {
            Kind::Timestamp
        }
        T::BasicList | T::SubTemplateList | T::SubTemplateMultiList | T::Unsigned256 => return None,
    })
}

/// Whether `name` is one a column may have: lower-case letters, digits and `_`.
fn is_name(name: &str) -> bool {
    let is_inner = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'_';
    name.len() <= COLUMN_NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(is_inner)
}

/// What else is called `name`: a column, a word of the filter or of `-s`, a protocol.
fn taken_by(name: &str) -> Option<&'static str> {
    let says = |phrase: &str| phrase.split(' ').any(|word| word == name);
    let is_word = COLUMNS.iter().any(|known| {
        known.filter.iter().any(|phrase| says(phrase))
            || [known.stat, known.stat_both, known.aggregate, known.order, known.raw].contains(&name)
    });
    if by_name(name).is_some() {
        Some("a column of every file")
    } else if is_word || RESERVED.contains(&name) {
        Some("a word of `flowdump`")
    } else if Protocol::names().any(|protocol| protocol.eq_ignore_ascii_case(name)) {
        Some("a protocol")
    } else {
        None
    }
}

/// Whether an operator may call a column `name`.
pub fn is_free_name(name: &str) -> bool {
    is_name(name) && taken_by(name).is_none()
}

/// Whether nothing else is called as `column` is, and no column of the table
/// holds its element.
pub fn check_free(column: &ExtraColumn) -> Result<(), ExtraError> {
    if let Some(by) = taken_by(&column.name) {
        return Err(ExtraError::Taken { name: column.name.clone(), by });
    }
    let holds = |known: &&super::Column| known.sources.iter().any(|source| source.key == column.key);
    match COLUMNS.iter().find(holds) {
        Some(known) => Err(ExtraError::Filled { key: column.key.to_string(), column: known.name }),
        None => Ok(()),
    }
}

/// A column as the metadata of a file spells it.
#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    pen: u32,
    id: u16,
    r#type: String,
}

impl From<ExtraColumn> for Entry {
    fn from(column: ExtraColumn) -> Self {
        let r#type = column.data_type.name().to_owned();
        Self { name: column.name, pen: column.key.pen, id: column.key.id, r#type }
    }
}

impl TryFrom<Entry> for ExtraColumn {
    type Error = ExtraError;

    fn try_from(entry: Entry) -> Result<Self, ExtraError> {
        let unknown = || ExtraError::Type(entry.r#type.clone());
        let data_type = AbstractDataType::from_name(&entry.r#type).ok_or_else(unknown)?;
        Self::new(&entry.name, ElementKey { pen: entry.pen, id: entry.id }, data_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::REVERSE_PEN;

    #[track_caller]
    fn check(name: &str, (pen, id): (u32, u16), data_type: AbstractDataType, expected: Result<Kind, &str>) {
        let column = ExtraColumn::new(name, ElementKey { pen, id }, data_type);
        let kind = column.and_then(|column| check_free(&column).map(|()| column.kind()));
        assert_eq!(kind.map_err(|error| error.to_string()), expected.map_err(ToOwned::to_owned), "{name}");
    }

    #[test]
    fn definitions_are_accepted_or_say_why_not() {
        use AbstractDataType as T;
        check("my_rtt", (35632, 130), T::Unsigned32, Ok(Kind::Int64));
        check("loss", (9, 32767), T::Float32, Ok(Kind::Float64));
        check("x", (0, 57600), T::DateTimeSeconds, Ok(Kind::Timestamp));
        check("back", (REVERSE_PEN, 4), T::Unsigned8, Ok(Kind::Int32));
        for name in ["", "My", "1st", "a b", "a-b", "_a", "caf\u{e9}", &"a".repeat(64)] {
            check(name, (9, 1), T::String, Err(&format!("`{name}` is no column name")));
        }
        check("src_addr", (9, 1), T::String, Err("`src_addr` is taken: a column of every file"));
        for name in ["proto", "host", "srcip", "ident", "user", "sampling", "client"] {
            check(name, (9, 1), T::String, Err(&format!("`{name}` is taken: a word of `flowdump`")));
        }
        check("tcp", (9, 1), T::String, Err("`tcp` is taken: a protocol"));
        check("x", (0, 0), T::String, Err("element 0 is reserved"));
        check("x", (9, 0), T::String, Ok(Kind::Text));
        check("x", (9, 0x8000), T::String, Err("element 32768 of an enterprise is beyond 32767"));
        check("x", (0, 27), T::Ipv6Address, Err("`src_addr` holds element 27 already"));
        check("x", (REVERSE_PEN, 1), T::Unsigned64, Err("`out_bytes` holds element 29305:1 already"));
        check("x", (9, 1), T::BasicList, Err("no column has the type `basicList`"));
    }

    #[test]
    fn metadata_spells_them_and_reads_them_back() {
        let key = ElementKey { pen: 35632, id: 130 };
        let column = ExtraColumn::new("my_rtt", key, AbstractDataType::Unsigned32).unwrap();
        let json = serde_json::to_string(&column).unwrap();
        assert_eq!(json, r#"{"name":"my_rtt","pen":35632,"id":130,"type":"unsigned32"}"#);
        assert_eq!(serde_json::from_str::<ExtraColumn>(&json).unwrap(), column);
        for hostile in [json.replace("my_rtt", "\\u001b[31m"), json.replace("unsigned32", "number")] {
            assert!(serde_json::from_str::<ExtraColumn>(&hostile).is_err(), "{hostile}");
        }
    }

    #[test]
    fn field_ids_are_stable_and_lie_beyond_the_table() {
        let id = |pen, id| {
            let key = ElementKey { pen, id };
            ExtraColumn::new("x", key, AbstractDataType::String).unwrap().field_id()
        };
        // These never change: files carry them.
        assert_eq!(
            [id(0, 1), id(35632, 130), id(u32::MAX, 32767)],
            [1_604_182_402, 2_058_876_604, 1_905_021_947]
        );
        let mut seen: Vec<_> = (1..=20_000).map(|element| id(9, element)).collect();
        assert!(seen.iter().all(|id| *id >= FIELD_ID_MIN.cast_signed()));
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 19_990, "{}", seen.len());
    }
}
