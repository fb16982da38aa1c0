//! Trees stored by the collector: random packets of every version, as a capture.

use std::net::SocketAddr;

use flow_collector::Config;

use super::generate::START_SECS;
use super::tree::Tree;
use crate::daemon::decode_capture_with;
use crate::mutate::Xorshift;
use crate::packet::{ipfix, v5, v9};
use crate::pcap::{UdpPayload, write_pcap};

/// Octets records of one message may have.
const RECORDS_OCTETS_MAX: usize = 1_300;

/// Elements of templates and the length of each; IANA's.
const ELEMENTS: [(u16, u16); 34] = [
    (8, 4),
    (12, 4),
    (27, 16),
    (28, 16),
    (7, 2),
    (11, 2),
    (4, 1),
    (6, 1),
    (5, 1),
    (55, 1),
    (176, 1),
    (177, 1),
    (1, 8),
    (2, 4),
    (152, 8),
    (153, 8),
    (10, 4),
    (14, 4),
    (16, 4),
    (17, 4),
    (9, 1),
    (13, 1),
    (15, 4),
    (61, 1),
    (52, 1),
    (58, 2),
    (56, 6),
    (80, 6),
    (225, 4),
    (227, 2),
    (230, 1),
    (34, 4),
    (138, 4),
    (82, ipfix::VARIABLE),
];

/// A tree of about `records` records in slots of five minutes.
pub fn tree(seed: u64, records: usize) -> Tree {
    let random = &mut Xorshift::new(seed);
    let mut payloads: Vec<UdpPayload> = Vec::new();
    let mut exporters: Vec<Exporter> = (0..4).map(|n| Exporter::new(n, random)).collect();
    let mut made = 0;
    while made < records {
        // Fifteen minutes in all.
        let secs = START_SECS.cast_unsigned() + 900 * made as u64 / records.max(1) as u64;
        let n = random.below(exporters.len());
        let (payload, n_records) = exporters[n].message(secs as u32, random);
        let source = SocketAddr::from(([192, 0, 2, 1 + n as u8], 5_000));
        payloads.push((source, SocketAddr::from(([192, 0, 2, 200], 4_739)), payload, secs * 1_000_000));
        made += n_records;
    }
    let capture = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(capture.path(), write_pcap(&payloads)).expect("a capture");
    let finished = decode_capture_with(capture.path(), Config::default());
    let tree = Tree::read(finished.directory, format!("packets of seed {seed}"), Vec::new(), &[]);
    assert!(tree.rows() >= made, "{} rows of {made} records", tree.rows());
    tree
}

/// One exporter and its templates.
struct Exporter {
    n: u8,
    sequence: u32,
    /// Of v5: mode and interval.
    sampling: u16,
    templates: Vec<Vec<(u16, u16)>>,
    is_announced: bool,
}

impl Exporter {
    fn new(n: u8, random: &mut Xorshift) -> Self {
        let mut template = || {
            let density = 2 + random.below(4);
            let fields: Vec<_> = ELEMENTS.into_iter().filter(|_| random.below(density) > 0).collect();
            // v9 has no variable lengths.
            let fits = |(_, length): &(u16, u16)| n == 2 || *length != ipfix::VARIABLE;
            fields.into_iter().filter(fits).chain([(4, 1)]).collect()
        };
        let templates = (0..3).map(|_| template()).collect();
        let sampling = [0, 1 << 14 | 64][random.below(2)];
        Self { n, sequence: 0, sampling, templates, is_announced: false }
    }

    /// The next message and how many records it has: v5 of exporter 0, IPFIX of 2,
    /// v9 of the others.
    fn message(&mut self, secs: u32, random: &mut Xorshift) -> (Vec<u8>, usize) {
        if self.n == 0 {
            let records: Vec<_> = (0..1 + random.below(30)).map(|_| v5_record(random)).collect();
            let header = v5::Header {
                unix_secs: secs,
                flow_sequence: self.sequence,
                sampling_interval: self.sampling,
                ..v5::Header::default()
            };
            self.sequence = self.sequence.wrapping_add(records.len() as u32);
            return (v5::encode(&header, &records), records.len());
        }
        let which = random.below(self.templates.len());
        let (id, template) = (256 + which as u16, self.templates[which].clone());
        let (mut records, mut octets) = (Vec::new(), 0);
        while octets < RECORDS_OCTETS_MAX {
            let record: Vec<u8> =
                template.iter().flat_map(|field| field_value(*field, secs, random)).collect();
            octets += record.len();
            records.push(record);
        }
        let all = std::mem::replace(&mut self.is_announced, true);
        let templates = if all { &[][..] } else { &self.templates[..] };
        let ids = (256..).zip(templates);
        let payload = if self.n == 2 {
            let message = ipfix::Message::new(secs, self.sequence, 7);
            let message = ids.fold(message, |message, (id, fields)| {
                let fields: Vec<_> =
                    fields.iter().map(|(id, length)| ipfix::Field::iana(*id, *length)).collect();
                message.template(id, &fields)
            });
            self.sequence = self.sequence.wrapping_add(records.len() as u32);
            message.data(id, &records).encode()
        } else {
            let message = v9::Message::new(3_600_000, secs, self.sequence, 1);
            self.sequence = self.sequence.wrapping_add(1);
            ids.fold(message, |message, (id, fields)| message.template(id, fields))
                .data(id, &records)
                .encode()
        };
        (payload, records.len())
    }
}

fn v5_record(random: &mut Xorshift) -> v5::Record {
    v5::Record {
        src_addr: [10, 0, random.octet() & 3, random.octet() & 7].into(),
        dst_addr: [10, 1, 2, random.octet() & 3].into(),
        packets: random.below(1_000) as u32,
        bytes: random.next_u64() as u32,
        src_port: random.below(65_536) as u16,
        dst_port: [53, 80, 443, 2_048][random.below(4)],
        protocol: [6, 6, 17, 1][random.below(4)],
        ..v5::Record::default()
    }
}

/// Octets of a value: few different ones, so that filters and groups find some.
fn field_value((element, length): (u16, u16), secs: u32, random: &mut Xorshift) -> Vec<u8> {
    let few = |random: &mut Xorshift| u64::from(random.octet() & 7);
    let number = match element {
        8 | 12 | 15 | 225 => 0x0a00_0000 | few(random) << 8 | few(random),
        27 | 28 => {
            let mut address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            address[15] = random.octet() & 7;
            return address.to_vec();
        }
        7 | 11 | 227 => [53, 80, 443, 2_048, 771, random.below(65_536) as u64][random.below(6)],
        4 => [6, 6, 17, 1, 58, 47][random.below(6)],
        6 => [2, 0x12, 0x1b, 0x10][random.below(4)],
        1 => [random.below(3_000) as u64, random.next_u64() >> 2, 40][random.below(3)],
        2 => random.below(500) as u64,
        152 | 153 => u64::from(secs) * 1_000 - random.below(120_000) as u64,
        34 => [0, 1, 10, 1_000][random.below(4)],
        56 | 80 => 0x0200_5e00_0000 | few(random),
        82 => {
            let text = ["eve", "alice", "", "a,b"][random.below(4)].as_bytes();
            return [&[text.len() as u8], text].concat();
        }
        _ => few(random),
    };
    number.to_be_bytes()[8 - usize::from(length.min(8))..].to_vec()
}
