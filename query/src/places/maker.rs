//! Small databases in MaxMind's format (version 2.0), for tests.

use std::net::IpAddr;

/// A value of the data section.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Text(&'static str),
    Int(u32),
    Double(f64),
    Map(Vec<(&'static str, Item)>),
}

/// What a record of the search tree leads to.
#[derive(Debug, Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    /// Offset in the data section.
    Data(usize),
}

/// Octets between the search tree and the data section.
const SEPARATOR_BYTES: usize = 16;

/// A database called `kind` of networks that have no address in common, as `192.0.2.0/24`.
pub(crate) fn database(kind: &'static str, networks: &[(&str, Item)]) -> Vec<u8> {
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (network, item) in networks {
        let (addr, length) = network.split_once('/').unwrap();
        let length: u32 = length.parse().unwrap();
        let (bits, length) = match addr.parse().unwrap() {
            // Addresses of IPv4 are the lowest of all.
            IpAddr::V4(addr) => (u128::from(addr.to_bits()), length + 96),
            IpAddr::V6(addr) => (addr.to_bits(), length),
        };
        let mut node = 0;
        for at in 0..length {
            let side = (bits >> (127 - at) & 1) as usize;
            if at + 1 == length {
                nodes[node][side] = Record::Data(data.len());
                break;
            }
            node = match nodes[node][side] {
                Record::Node(next) => next,
                _ => {
                    nodes.push([Record::Nothing; 2]);
                    nodes[node][side] = Record::Node(nodes.len() - 1);
                    nodes.len() - 1
                }
            };
        }
        put(item, &mut data);
    }
    let mut octets = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Nothing => nodes.len(),
            Record::Node(node) => *node,
            Record::Data(offset) => nodes.len() + SEPARATOR_BYTES + offset,
        };
        octets.extend_from_slice(&(number as u32).to_be_bytes()[1..]);
    }
    octets.resize(octets.len() + SEPARATOR_BYTES, 0);
    octets.extend(data);
    octets.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    put_metadata(kind, nodes.len() as u32, &mut octets);
    octets
}

fn put_metadata(kind: &'static str, nodes: u32, octets: &mut Vec<u8>) {
    let pairs: [(&str, &[u8]); 6] = [
        ("binary_format_major_version", &[0xa1, 2]),
        ("binary_format_minor_version", &[0xa0]),
        // Of eight octets, and an empty list: their types are behind the seven first.
        ("build_epoch", &[0x01, 0x02, 1]),
        ("ip_version", &[0xa1, 6]),
        ("record_size", &[0xa1, 24]),
        ("languages", &[0x00, 0x04]),
    ];
    octets.push(0xe0 | 9);
    for (key, value) in pairs {
        put(&Item::Text(key), octets);
        octets.extend_from_slice(value);
    }
    put(&Item::Text("description"), octets);
    put(&Item::Map(Vec::new()), octets);
    put(&Item::Text("database_type"), octets);
    put(&Item::Text(kind), octets);
    put(&Item::Text("node_count"), octets);
    put(&Item::Int(nodes), octets);
}

/// Writes a value: its type in the high three bits and its length, then itself.
fn put(item: &Item, octets: &mut Vec<u8>) {
    let mut head = |kind: u8, length: usize| match u8::try_from(length) {
        Ok(length @ 0..29) => octets.push(kind << 5 | length),
        Ok(length) => octets.extend_from_slice(&[kind << 5 | 29, length - 29]),
        Err(_) => panic!("{length} is too long"),
    };
    match item {
        Item::Text(text) => {
            head(2, text.len());
            octets.extend_from_slice(text.as_bytes());
        }
        Item::Double(number) => {
            head(3, 8);
            octets.extend_from_slice(&number.to_be_bytes());
        }
        Item::Int(number) => {
            head(6, 4);
            octets.extend_from_slice(&number.to_be_bytes());
        }
        Item::Map(pairs) => {
            head(7, pairs.len());
            for (key, value) in pairs {
                put(&Item::Text(key), octets);
                put(value, octets);
            }
        }
    }
}

/// A place: continent, country and city, without what is empty, and where Zurich is.
pub(crate) fn place(continent: &'static str, country: &'static str, city: &'static str) -> Item {
    let code = |key, code| Item::Map(vec![(key, Item::Text(code))]);
    let mut all = vec![("continent", code("code", continent)), ("country", code("iso_code", country))];
    if !city.is_empty() {
        all.push(("city", Item::Map(vec![("names", code("en", city))])));
        let degrees = vec![("latitude", Item::Double(47.3667)), ("longitude", Item::Double(8.55))];
        all.push(("location", Item::Map(degrees)));
    }
    Item::Map(all)
}

/// An autonomous system.
pub(crate) fn system(number: u32, organisation: &'static str) -> Item {
    Item::Map(vec![
        ("autonomous_system_number", Item::Int(number)),
        ("autonomous_system_organization", Item::Text(organisation)),
    ])
}
