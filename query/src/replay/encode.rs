//! Records to datagrams, as an exporter makes them. No I/O and no clock: a message is dated by
//! the records in it.

use std::collections::{BTreeMap, HashMap};

use flow_common::limits::{
    REPLAY_DATAGRAM_BYTES, REPLAY_DOMAINS_MAX, REPLAY_TEMPLATE_DATAGRAMS, REPLAY_TEMPLATES_MAX,
};

use super::Version;

/// Days the exporter that is played had been up when its first flow was sent: its uptime has
/// 32 bits of milliseconds, 49.7 days, and flows lie on both sides.
const UPTIME_DAYS: i64 = 35;
const DAY_MS: i64 = 86_400_000;

/// A field of a template. Ordered, so that sets of them can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Field {
    /// 0 is IANA.
    pub(super) pen: u32,
    pub(super) id: u16,
    /// Octets, or [`VARIABLE`].
    pub(super) length: u16,
}

/// Length of a field whose values have each their own (RFC 7011 §7).
pub(super) const VARIABLE: u16 = u16::MAX;

/// One flow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Source id or observation domain.
    pub(super) domain: u32,
    /// Engine type and id of v5.
    pub(super) engine: [u8; 2],
    /// When it was exported, µs since the epoch.
    pub(super) exported: i64,
    /// When it was received, µs since the epoch.
    pub(super) received: i64,
    /// None for v5.
    pub(super) fields: Vec<Field>,
    pub(super) octets: Vec<u8>,
    /// Where milliseconds of uptime belong, and which time they are, µs since the epoch.
    pub(super) uptimes: Vec<(usize, i64)>,
}

/// Whether a time can be told in milliseconds of uptime beside the time of export.
pub(super) fn has_uptime(exported: i64, time: i64) -> bool {
    let age_ms = exported.saturating_sub(time) / 1_000;
    (-1_000..(UPTIME_DAYS - 1) * DAY_MS).contains(&age_ms)
}

/// A message being filled.
#[derive(Debug, Default)]
struct Message {
    exported: i64,
    sets: Vec<u8>,
    /// Id of the set that is being filled, and where it begins.
    open: Option<(u16, usize)>,
    data_records: u32,
    template_records: u32,
}

#[derive(Debug, Clone, Copy)]
struct Template {
    id: u16,
    /// Messages sent before the one it was in last.
    sent: Option<u64>,
}

/// What one observation domain sends.
#[derive(Debug, Default)]
struct Stream {
    templates: HashMap<Vec<Field>, Template>,
    message: Message,
    messages: u64,
    sequence: u32,
}

/// Makes datagrams.
#[derive(Debug)]
pub(super) struct Encoder {
    version: Version,
    streams: BTreeMap<(u32, [u8; 2]), Stream>,
    /// When the exporter started, ms since the epoch.
    boot_ms: Option<i64>,
}

impl Encoder {
    pub(super) fn new(version: Version) -> Self {
        Self { version, streams: BTreeMap::new(), boot_ms: None }
    }

    /// Adds a record; appends to `out` what is full.
    pub(super) fn push(&mut self, mut record: Record, out: &mut Vec<Vec<u8>>) {
        let exported_ms = record.exported.div_euclid(1_000);
        let fits = |boot_ms: &i64| {
            let uptime_days = exported_ms.saturating_sub(*boot_ms) / DAY_MS;
            (UPTIME_DAYS..UPTIME_DAYS + 10).contains(&uptime_days)
        };
        let boot_ms = match self.boot_ms.filter(fits) {
            Some(boot_ms) => boot_ms,
            None => {
                // Another start: what waits is of the one before.
                self.flush(out);
                *self.boot_ms.insert(exported_ms.saturating_sub(UPTIME_DAYS * DAY_MS))
            }
        };
        for &(at, time) in &record.uptimes {
            let uptime = uptime(boot_ms, time).to_be_bytes();
            if let Some(place) = record.octets.get_mut(at..at + 4) {
                place.copy_from_slice(&uptime);
            }
        }
        let mut key = (record.domain, record.engine);
        if self.streams.len() >= REPLAY_DOMAINS_MAX && !self.streams.contains_key(&key) {
            key.0 %= REPLAY_DOMAINS_MAX as u32;
        }
        let version = self.version;
        let stream = self.streams.entry(key).or_default();
        stream.push(version, key, boot_ms, record, out);
    }

    /// Ends all messages that have records.
    pub(super) fn flush(&mut self, out: &mut Vec<Vec<u8>>) {
        let Some(boot_ms) = self.boot_ms else { return };
        for (key, stream) in &mut self.streams {
            stream.flush(self.version, *key, boot_ms, out);
        }
    }
}

fn uptime(boot_ms: i64, time: i64) -> u32 {
    time.div_euclid(1_000).wrapping_sub(boot_ms) as u32
}

impl Version {
    const fn header_bytes(self) -> usize {
        match self {
            Self::V5 => 24,
            Self::V9 => 20,
            Self::Ipfix => 16,
        }
    }
}

/// Octets of a template's specification in its set.
fn template_bytes(fields: &[Field]) -> usize {
    fields.iter().fold(8, |bytes, field| bytes + if field.pen == 0 { 4 } else { 8 })
}

impl Stream {
    fn push(
        &mut self,
        version: Version,
        key: (u32, [u8; 2]),
        boot_ms: i64,
        record: Record,
        out: &mut Vec<Vec<u8>>,
    ) {
        const V5_RECORDS_MAX: u32 = 30;
        let (mut id, mut is_due) = self.template(version, &record.fields);
        let template = if is_due { template_bytes(&record.fields) } else { 0 };
        // A set's header and its padding.
        let needed = record.octets.len() + template + 8;
        let length = version.header_bytes() + self.message.sets.len();
        let is_full = length + needed > REPLAY_DATAGRAM_BYTES
            || version == Version::V5 && self.message.data_records >= V5_RECORDS_MAX;
        if is_full {
            self.flush(version, key, boot_ms, out);
            (id, is_due) = self.template(version, &record.fields);
        }
        if self.message.data_records == 0 {
            self.message.exported = record.exported;
        }
        if version == Version::V5 {
            self.message.sets.extend(&record.octets);
        } else {
            if is_due {
                self.message.put_template(version, id, &record.fields);
                let sent = Some(self.messages);
                self.templates.insert(record.fields, Template { id, sent });
            }
            self.message.open_set(version, id);
            self.message.sets.extend(&record.octets);
        }
        self.message.data_records += 1;
    }

    /// The id of the template with these fields, and whether it is to be sent.
    fn template(&mut self, version: Version, fields: &[Field]) -> (u16, bool) {
        if version == Version::V5 {
            return (0, false);
        }
        if let Some(&Template { id, sent }) = self.templates.get(fields) {
            let is_known = sent.is_some_and(|sent| self.messages - sent < REPLAY_TEMPLATE_DATAGRAMS);
            return (id, !is_known);
        }
        if self.templates.len() >= REPLAY_TEMPLATES_MAX {
            self.templates.clear();
        }
        (256 + self.templates.len() as u16, true)
    }

    fn flush(&mut self, version: Version, key: (u32, [u8; 2]), boot_ms: i64, out: &mut Vec<Vec<u8>>) {
        if self.message.data_records == 0 {
            return;
        }
        self.message.close_set(version);
        let message = std::mem::take(&mut self.message);
        out.push(message.datagram(version, key, boot_ms, self.sequence));
        self.messages += 1;
        let counted = if version == Version::V9 { 1 } else { message.data_records };
        self.sequence = self.sequence.wrapping_add(counted);
    }
}

impl Message {
    fn put_template(&mut self, version: Version, id: u16, fields: &[Field]) {
        self.close_set(version);
        let set_id: u16 = if version == Version::V9 { 0 } else { 2 };
        self.sets.extend(set_id.to_be_bytes());
        self.sets.extend((template_bytes(fields) as u16).to_be_bytes());
        self.sets.extend(id.to_be_bytes());
        self.sets.extend((fields.len() as u16).to_be_bytes());
        for Field { pen, id, length } in fields {
            let id = if *pen == 0 { *id } else { id | 0x8000 };
            self.sets.extend(id.to_be_bytes());
            self.sets.extend(length.to_be_bytes());
            if *pen != 0 {
                self.sets.extend(pen.to_be_bytes());
            }
        }
        self.template_records += 1;
    }

    fn open_set(&mut self, version: Version, id: u16) {
        if self.open.is_some_and(|(open, _)| open == id) {
            return;
        }
        self.close_set(version);
        self.open = Some((id, self.sets.len()));
        self.sets.extend(id.to_be_bytes());
        self.sets.extend([0; 2]);
    }

    /// Writes the length of the set that is open. Sets of v9 end at 32 bits (RFC 3954 §5.3).
    fn close_set(&mut self, version: Version) {
        let Some((_, start)) = self.open.take() else { return };
        while version == Version::V9 && !(self.sets.len() - start).is_multiple_of(4) {
            self.sets.push(0);
        }
        let length = (self.sets.len() - start) as u16;
        if let Some(place) = self.sets.get_mut(start + 2..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    fn datagram(&self, version: Version, key: (u32, [u8; 2]), boot_ms: i64, sequence: u32) -> Vec<u8> {
        let (domain, engine) = key;
        let secs = self.exported.div_euclid(1_000_000);
        let nanos = (self.exported.rem_euclid(1_000_000) * 1_000) as u32;
        let unix_secs = secs as u32;
        let length = version.header_bytes() + self.sets.len();
        let mut out = Vec::with_capacity(length);
        let count = self.data_records + self.template_records;
        match version {
            Version::V5 => {
                out.extend(5u16.to_be_bytes());
                out.extend((count as u16).to_be_bytes());
                out.extend(uptime(boot_ms, self.exported).to_be_bytes());
                out.extend(unix_secs.to_be_bytes());
                // As the uptime, it has milliseconds.
                out.extend((nanos / 1_000_000 * 1_000_000).to_be_bytes());
                out.extend(sequence.to_be_bytes());
                out.extend(engine);
                out.extend([0; 2]);
            }
            Version::V9 => {
                out.extend(9u16.to_be_bytes());
                out.extend((count as u16).to_be_bytes());
                // The header has whole seconds, and times are counted from them.
                out.extend(uptime(boot_ms, secs * 1_000_000).to_be_bytes());
                out.extend(unix_secs.to_be_bytes());
                out.extend(sequence.to_be_bytes());
                out.extend(domain.to_be_bytes());
            }
            Version::Ipfix => {
                out.extend(10u16.to_be_bytes());
                out.extend((length as u16).to_be_bytes());
                out.extend(unix_secs.to_be_bytes());
                out.extend(sequence.to_be_bytes());
                out.extend(domain.to_be_bytes());
            }
        }
        out.extend(&self.sets);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECS: i64 = 1_795_262_400;

    fn record(domain: u32, secs: i64, fields: &[(u16, u16)], octets: &[u8]) -> Record {
        let fields = fields.iter().map(|&(id, length)| Field { pen: 0, id, length }).collect();
        let exported = (SECS + secs) * 1_000_000;
        Record { domain, exported, fields, octets: octets.to_vec(), ..Record::default() }
    }

    /// Datagrams of records in hexadecimal, without what the header says of times.
    fn datagrams(version: Version, records: &[Record]) -> Vec<String> {
        let (mut encoder, mut out) = (Encoder::new(version), Vec::new());
        records.iter().for_each(|record| encoder.push(record.clone(), &mut out));
        encoder.flush(&mut out);
        out.iter().map(|octets| octets.iter().map(|octet| format!("{octet:02x}")).collect()).collect()
    }

    #[test]
    fn a_template_comes_before_its_data_and_sets_are_padded() {
        let records =
            [record(7, 0, &[(4, 1), (7, 2)], &[6, 0, 80]), record(7, 0, &[(4, 1), (7, 2)], &[17, 0, 53])];
        let time = format!("{:08x}", SECS as u32);
        let uptime = format!("{:08x}", (UPTIME_DAYS * DAY_MS) as u32);
        let template = "00100100 0002 00040001 00070002".replace(' ', "");
        let v9 = format!("00090003{uptime}{time}0000000000000007 0000{template} 0100000c 060050 110035 0000");
        assert_eq!(datagrams(Version::V9, &records), [v9.replace(' ', "")]);
        let ipfix = format!("000a002a{time}0000000000000007 0002{template} 0100000a 060050 110035");
        assert_eq!(datagrams(Version::Ipfix, &records), [ipfix.replace(' ', "")]);
    }

    #[test]
    fn sequence_numbers_count_what_their_version_counts() {
        let records: Vec<_> = (0..100).map(|_| record(1, 0, &[(1, 48)], &[1; 48])).collect();
        let sequences = |version, at: usize| -> Vec<u32> {
            let sequence = |text: &String| u32::from_str_radix(&text[2 * at..2 * at + 8], 16).unwrap();
            datagrams(version, &records).iter().map(sequence).collect()
        };
        assert_eq!(sequences(Version::V5, 16), [0, 28, 56, 84]);
        assert_eq!(sequences(Version::V9, 12), [0, 1, 2, 3]);
        assert_eq!(sequences(Version::Ipfix, 8), [0, 28, 56, 84]);
    }

    #[test]
    fn domains_have_messages_of_their_own_and_templates_come_again() {
        let (a, b) = (record(1, 0, &[(4, 1)], &[6]), record(2, 0, &[(4, 1)], &[6]));
        assert_eq!(datagrams(Version::V9, &[a.clone(), b, a]).len(), 2);
        let wide = record(1, 0, &[(1, 1_300)], &[0; 1_300]);
        let all = datagrams(Version::Ipfix, &vec![wide; 250]);
        let with_template: Vec<_> = (0..250).filter(|&at| all[at][32..36] == *"0002").collect();
        assert_eq!(with_template, [0, 100, 200]);
    }

    #[test]
    fn uptimes_hold_over_years() {
        let mut records = Vec::new();
        for days in [0, 9, 11, 400, 3] {
            let mut one = record(days as u32, days * 86_400, &[(22, 4)], &[0; 4]);
            one.uptimes = vec![(0, one.exported - 5_000_000)];
            records.push(one);
        }
        for text in datagrams(Version::V9, &records) {
            let number = |at: usize| u32::from_str_radix(&text[2 * at..2 * at + 8], 16).unwrap();
            let last = text.len() / 2 - 4;
            assert_eq!(number(4).wrapping_sub(number(last)) % (86_400 * 1_000), 5_000, "{text}");
        }
        assert!(has_uptime(0, -33 * 86_400_000_000) && !has_uptime(0, -35 * 86_400_000_000));
        assert!(!has_uptime(0, 2_000_000));
    }
}
