//! Records as octets, from the thread that makes them to the one that sends.

use super::encode::{Field, Record};
use crate::unpacker::Unpacker;

impl Record {
    /// Appends the record to `text`.
    pub(super) fn pack(&self, text: &mut Vec<u8>) {
        let Self { domain, engine, exported, received, fields, octets, uptimes } = self;
        text.extend(domain.to_le_bytes());
        text.extend(engine);
        text.extend(exported.to_le_bytes());
        text.extend(received.to_le_bytes());
        text.extend((fields.len() as u32).to_le_bytes());
        for Field { pen, id, length } in fields {
            text.extend(pen.to_le_bytes());
            text.extend(id.to_le_bytes());
            text.extend(length.to_le_bytes());
        }
        text.extend((uptimes.len() as u32).to_le_bytes());
        for (at, time) in uptimes {
            text.extend((*at as u32).to_le_bytes());
            text.extend(time.to_le_bytes());
        }
        text.extend((octets.len() as u32).to_le_bytes());
        text.extend(octets);
    }

    /// The first record of `text`, which then is behind it; `None` where there is no whole one.
    pub(super) fn unpack(text: &mut &[u8]) -> Option<Self> {
        let mut unpacker = Unpacker(text);
        let mut record = Self {
            domain: u32::from_le_bytes(unpacker.array()?),
            engine: unpacker.array()?,
            exported: i64::from_le_bytes(unpacker.array()?),
            received: i64::from_le_bytes(unpacker.array()?),
            ..Self::default()
        };
        for _ in 0..unpacker.length()? {
            let pen = u32::from_le_bytes(unpacker.array()?);
            let [id, length] = [unpacker.array()?, unpacker.array()?].map(u16::from_le_bytes);
            record.fields.push(Field { pen, id, length });
        }
        for _ in 0..unpacker.length()? {
            let at = unpacker.length()?;
            record.uptimes.push((at, i64::from_le_bytes(unpacker.array()?)));
        }
        let length = unpacker.length()?;
        record.octets = unpacker.take(length)?.to_vec();
        *text = unpacker.0;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_unpacked_as_they_were() {
        let records = [
            Record::default(),
            Record {
                domain: 7,
                engine: [1, 2],
                exported: -5,
                received: i64::MAX,
                fields: vec![Field { pen: 0, id: 22, length: 4 }, Field { pen: 9, id: 1, length: u16::MAX }],
                octets: vec![0, 0, 0, 0, 1, 9],
                uptimes: vec![(0, 12)],
            },
        ];
        let mut text = Vec::new();
        records.iter().for_each(|record| record.pack(&mut text));
        let mut left = &text[..];
        let unpacked: Vec<_> = std::iter::from_fn(|| Record::unpack(&mut left)).collect();
        assert_eq!((&unpacked[..], left), (&records[..], &[][..]));
        assert_eq!(Record::unpack(&mut &text[..20]), None);
    }
}
