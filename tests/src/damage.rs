//! Parquet files taken apart, damaged and put together again, so that what is wrong is
//! where a reader looks: in a page, its header or the footer, while all else still fits.

mod thrift;

use crate::mutate::Xorshift;
use thrift::Value;

/// Octets after the footer: its length and `PAR1`.
const TAIL_OCTETS: usize = 8;

/// A file in its parts.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Chunks in the order of the footer.
    chunks: Vec<Chunk>,
    footer: Value,
}

/// One column of one row group.
#[derive(Debug, Clone)]
struct Chunk {
    group: usize,
    column: usize,
    name: String,
    pages: Vec<Page>,
}

#[derive(Debug, Clone)]
struct Page {
    header: Value,
    /// As it lies in the file: compressed, if it is.
    payload: Vec<u8>,
}

/// Fields of Parquet's structs (parquet.thrift).
mod field {
    pub(super) const ROW_GROUPS: i16 = 4;
    pub(super) const COLUMNS: i16 = 1;
    pub(super) const FILE_OFFSET: i16 = 2;
    pub(super) const COLUMN_METADATA: i16 = 3;
    pub(super) const PATH: i16 = 3;
    pub(super) const TOTAL_COMPRESSED: i16 = 7;
    pub(super) const DATA_OFFSET: i16 = 9;
    pub(super) const DICTIONARY_OFFSET: i16 = 11;
    pub(super) const BLOOM_OFFSET: i16 = 14;
    /// Offset and length of the offset index, then of the column index.
    pub(super) const INDEXES: std::ops::RangeInclusive<i16> = 4..=7;
    pub(super) const PAGE_TYPE: i16 = 1;
    pub(super) const PAGE_BYTES: i16 = 3;
}

const DICTIONARY_PAGE: i64 = 2;

/// Columns that most questions read.
const READ_MOST: [&str; 10] = [
    "src_addr",
    "dst_addr",
    "src_port",
    "dst_port",
    "protocol",
    "packets",
    "bytes",
    "flow_start",
    "flow_end",
    "contributes",
];

impl Parts {
    /// Takes a sound file apart; `None` where it is not one.
    pub fn of(file: &[u8]) -> Option<Self> {
        let tail = file.len().checked_sub(TAIL_OCTETS)?;
        let length = u32::from_le_bytes(file[tail..].first_chunk().copied()?);
        let footer = file.get(tail.checked_sub(usize::try_from(length).ok()?)?..tail)?;
        let (footer, _) = thrift::read(footer)?;
        let mut chunks = Vec::new();
        for (group, row_group) in footer.field(field::ROW_GROUPS)?.list().iter().enumerate() {
            for (column, chunk) in row_group.field(field::COLUMNS)?.list().iter().enumerate() {
                let metadata = chunk.field(field::COLUMN_METADATA)?;
                let number =
                    |id| metadata.field(id).and_then(Value::int).and_then(|n| usize::try_from(n).ok());
                let start = number(field::DICTIONARY_OFFSET).or(number(field::DATA_OFFSET))?;
                let end = start + number(field::TOTAL_COMPRESSED)?;
                let names = metadata.field(field::PATH)?.list().iter().map(|name| match name {
                    Value::Binary(name) => String::from_utf8_lossy(name).into_owned(),
                    _ => String::new(),
                });
                let name = names.collect::<Vec<_>>().join(".");
                chunks.push(Chunk { group, column, name, pages: pages(file.get(start..end)?)? });
            }
        }
        Some(Self { chunks, footer })
    }

    /// The file again, with offsets and lengths that fit its pages; without indexes.
    pub fn file(&self) -> Vec<u8> {
        let mut footer = self.footer.clone();
        let mut out = b"PAR1".to_vec();
        for chunk in &self.chunks {
            let start = out.len();
            let (mut dictionary_at, mut data_at) = (None, None);
            for page in &chunk.pages {
                let is_dictionary =
                    page.header.field(field::PAGE_TYPE).and_then(Value::int) == Some(DICTIONARY_PAGE);
                let first = if is_dictionary { &mut dictionary_at } else { &mut data_at };
                first.get_or_insert(out.len());
                page.header.write(&mut out);
                out.extend(&page.payload);
            }
            let groups = footer.field_mut(field::ROW_GROUPS).map(Value::list_mut).unwrap_or_default();
            let columns = groups.get_mut(chunk.group).and_then(|group| group.field_mut(field::COLUMNS));
            let Some(entry) = columns.and_then(|all| all.list_mut().get_mut(chunk.column)) else { continue };
            entry.set(field::FILE_OFFSET, 0);
            if let Value::Struct(fields) = entry {
                fields.retain(|(id, _)| !field::INDEXES.contains(id));
            }
            let Some(metadata) = entry.field_mut(field::COLUMN_METADATA) else { continue };
            if let Value::Struct(fields) = metadata {
                fields.retain(|(id, _)| *id != field::BLOOM_OFFSET);
            }
            metadata.set(field::TOTAL_COMPRESSED, (out.len() - start) as i64);
            metadata.set(field::DATA_OFFSET, data_at.unwrap_or(start) as i64);
            metadata.set(field::DICTIONARY_OFFSET, dictionary_at.unwrap_or(start) as i64);
        }
        append_footer(&mut out, &footer);
        out
    }

    /// A damaged file, the same for the same seed, and in a few words what was done.
    pub fn damaged(&self, seed: u64) -> (Vec<u8>, String) {
        let random = &mut Xorshift::new(seed);
        let (mut parts, mut done) = (self.clone(), Vec::new());
        let mut file = None;
        for _ in 0..1 + random.below(2) {
            match random.below(20) {
                0..8 => done.push(parts.damage_header(random)),
                8..14 => done.push(parts.damage_payload(random)),
                14..16 => done.push(parts.misplace_page(random)),
                16..19 => {
                    // Offsets stay as the damage left them.
                    let (damaged, what) = damage_footer(file.take().unwrap_or_else(|| parts.file()), random);
                    done.push(what);
                    file = Some(damaged);
                }
                _ => {
                    let (damaged, what) = damage_octets(file.take().unwrap_or_else(|| parts.file()), random);
                    done.push(what);
                    file = Some(damaged);
                }
            }
            if file.is_some() {
                break;
            }
        }
        (file.unwrap_or_else(|| parts.file()), done.join(", then "))
    }

    /// A page somewhere, more likely of a column that is read.
    fn page(&mut self, random: &mut Xorshift) -> Option<(&str, usize, &mut Page)> {
        let (is_any, draw) = (random.below(3) == 0, random.next_u64() >> 16);
        let fits = |chunk: &&mut Chunk| is_any || READ_MOST.contains(&chunk.name.as_str());
        let mut fitting: Vec<_> = self.chunks.iter_mut().filter(fits).collect();
        if fitting.is_empty() {
            return None;
        }
        let index = usize::try_from(draw).ok()? % fitting.len();
        let chunk = fitting.swap_remove(index);
        let at = random.below(chunk.pages.len());
        Some((&chunk.name, at, chunk.pages.get_mut(at)?))
    }

    fn damage_header(&mut self, random: &mut Xorshift) -> String {
        let Some((name, at, page)) = self.page(random) else { return "nothing".into() };
        let what = damage_value(&mut page.header, random);
        format!("header of page {at} of {name}: {what}")
    }

    fn damage_payload(&mut self, random: &mut Xorshift) -> String {
        let Some((name, at, page)) = self.page(random) else { return "nothing".into() };
        let payload = &mut page.payload;
        let what = match random.below(8) {
            // Levels, widths, counts of runs and of deltas are at the beginning.
            0..3 => {
                let start = random.below(payload.len().min(24) + 1);
                let mut number = Vec::new();
                thrift::write_varint(
                    &mut number,
                    interesting(random, 0).cast_unsigned() & u64::from(u32::MAX),
                );
                let end = (start + number.len()).min(payload.len());
                payload.splice(start..end, number);
                format!("another number at {start}")
            }
            3 | 4 => {
                let start = random.below(payload.len().min(24) + 1);
                let octet = [0, 1, 2, 3, 32, 33, 64, 65, 127, 128, 254, 255][random.below(12)];
                let end = (start + 1 + random.below(4)).min(payload.len()).max(start);
                payload[start..end].fill(octet);
                format!("{octet} from {start} to {end}")
            }
            5 => {
                let bit = random.below(8 * payload.len());
                if let Some(octet) = payload.get_mut(bit / 8) {
                    *octet ^= 1 << (bit % 8);
                }
                format!("bit {bit}")
            }
            6 => {
                payload.truncate(random.below(payload.len() + 1));
                format!("cut to {}", payload.len())
            }
            _ => {
                let n = random.below(64);
                payload.extend((0..n).map(|_| random.octet()));
                format!("{n} octets more")
            }
        };
        // Most readers look no further where the length does not fit.
        if random.below(4) > 0 {
            let length = payload.len() as i64;
            page.header.set(field::PAGE_BYTES, length);
        }
        format!("page {at} of {name}: {what}")
    }

    /// Pages of other columns, twice, or missing.
    fn misplace_page(&mut self, random: &mut Xorshift) -> String {
        let Some((_, _, other)) = self.page(random) else { return "nothing".into() };
        let other = other.clone();
        let Some((name, at, page)) = self.page(random) else { return "nothing".into() };
        let name = name.to_owned();
        match random.below(4) {
            0 => {
                *page = other;
                format!("page {at} of {name} is another column's")
            }
            1 => {
                page.payload = other.payload;
                let length = page.payload.len() as i64;
                page.header.set(field::PAGE_BYTES, length);
                format!("page {at} of {name} holds another column's")
            }
            choice => {
                let chunk = self.chunks.iter_mut().find(|chunk| chunk.name == name && at < chunk.pages.len());
                let Some(chunk) = chunk else { return "nothing".into() };
                if choice == 2 {
                    chunk.pages.remove(at);
                    format!("no page {at} of {name}")
                } else {
                    let twice = chunk.pages[at].clone();
                    chunk.pages.insert(at, twice);
                    format!("page {at} of {name} twice")
                }
            }
        }
    }
}

/// Pages one after another.
fn pages(mut octets: &[u8]) -> Option<Vec<Page>> {
    let mut pages = Vec::new();
    while !octets.is_empty() {
        let (header, length) = thrift::read(octets)?;
        let payload = usize::try_from(header.field(field::PAGE_BYTES)?.int()?).ok()?;
        let end = length.checked_add(payload)?;
        pages.push(Page { header, payload: octets.get(length..end)?.to_vec() });
        octets = &octets[end..];
    }
    Some(pages)
}

fn append_footer(out: &mut Vec<u8>, footer: &Value) {
    let start = out.len();
    footer.write(out);
    let length = (out.len() - start) as u32;
    out.extend(length.to_le_bytes());
    out.extend(b"PAR1");
}

/// A number that goes wrong where `old` was right.
fn interesting(random: &mut Xorshift, old: i64) -> i64 {
    let values = [
        0,
        1,
        -1,
        old.wrapping_add(1),
        old.wrapping_sub(1),
        old.wrapping_mul(2),
        old / 2,
        7,
        100,
        1 << 20,
        i64::from(i32::MAX),
        i64::from(i32::MIN),
        i64::from(u32::MAX),
        1 << 40,
        i64::MAX,
        i64::MIN,
    ];
    values[random.below(values.len())]
}

/// Changes one thing somewhere in `value`.
fn damage_value(value: &mut Value, random: &mut Xorshift) -> String {
    let mut count = 0;
    value.visit(&mut count, &mut |_, _| {});
    let chosen = random.below(count);
    let mut what = String::new();
    value.visit(&mut 0, &mut |index, value| {
        if index == chosen {
            what = damage_one(value, random);
        }
    });
    format!("value {chosen}: {what}")
}

fn damage_one(value: &mut Value, random: &mut Xorshift) -> String {
    match value {
        Value::Bool(value) => {
            *value = !*value;
            format!("now {value}")
        }
        Value::Byte(octet) => {
            *octet = random.octet();
            format!("now {octet}")
        }
        Value::Int(kind, value) => {
            let number = interesting(random, *value);
            // Within its width, most of the time.
            *value = match kind {
                5 if random.below(8) > 0 => i64::from(number as i32),
                _ => number,
            };
            format!("now {value}")
        }
        Value::Double(octets) => {
            octets.fill(0xff);
            "not a number".into()
        }
        Value::Binary(octets) => {
            match random.below(4) {
                0 => octets.clear(),
                1 => octets.fill(0xff),
                2 => octets.extend([b'x'; 20]),
                _ => octets.iter_mut().take(1).for_each(|octet| *octet ^= 0x20),
            }
            format!("now {} octets", octets.len())
        }
        Value::List(kind, elements) => match random.below(4) {
            0 => {
                elements.clear();
                "no elements".into()
            }
            1 if !elements.is_empty() => {
                let at = random.below(elements.len());
                let twice = elements[at].clone();
                elements.insert(at, twice);
                format!("element {at} twice")
            }
            2 if elements.len() > 1 => {
                let (a, b) = (random.below(elements.len()), random.below(elements.len()));
                elements.swap(a, b);
                format!("elements {a} and {b} swapped")
            }
            3 if !elements.is_empty() => {
                let at = random.below(elements.len());
                elements.remove(at);
                format!("no element {at}")
            }
            _ => {
                *kind = 5;
                "of numbers".into()
            }
        },
        Value::Struct(fields) => {
            if fields.is_empty() {
                return "nothing".into();
            }
            let at = random.below(fields.len());
            let id = fields[at].0;
            if random.below(2) == 0 {
                fields.remove(at);
                format!("no field {id}")
            } else {
                fields[at].0 = id.wrapping_add([1, -1, 20, i16::MAX][random.below(4)]);
                format!("field {id} is {}", fields[at].0)
            }
        }
    }
}

/// Damages the footer of `file`, whose end stays one.
fn damage_footer(mut file: Vec<u8>, random: &mut Xorshift) -> (Vec<u8>, String) {
    let tail = file.len() - TAIL_OCTETS;
    let length = file[tail..].first_chunk().map_or(0, |length| u32::from_le_bytes(*length)) as usize;
    let Some((mut footer, _)) = thrift::read(&file[tail - length..tail]) else {
        return (file, "nothing".into());
    };
    file.truncate(tail - length);
    // In the first row group as often as anywhere else.
    let groups = footer.field_mut(field::ROW_GROUPS).map(Value::list_mut);
    let what = match groups.and_then(|groups| groups.first_mut()).filter(|_| random.below(2) == 0) {
        Some(group) => format!("row group: {}", damage_value(group, random)),
        None => format!("footer: {}", damage_value(&mut footer, random)),
    };
    append_footer(&mut file, &footer);
    (file, what)
}

/// Damages octets wherever they are.
fn damage_octets(mut file: Vec<u8>, random: &mut Xorshift) -> (Vec<u8>, String) {
    let at = random.below(file.len());
    let what = match random.below(4) {
        0 => {
            file.truncate(at);
            format!("file cut to {at}")
        }
        1 => {
            let tail = file.len() - TAIL_OCTETS;
            let length = interesting(random, 0) as u32;
            file[tail..tail + 4].copy_from_slice(&length.to_le_bytes());
            format!("length of the footer {length}")
        }
        2 => {
            let end = (at + 1 + random.below(64)).min(file.len());
            file.drain(at..end);
            format!("no octets from {at} to {end}")
        }
        _ => {
            let n = 1 + random.below(8);
            for _ in 0..n {
                let at = random.below(file.len());
                file[at] ^= 1 << random.below(8);
            }
            format!("{n} bits")
        }
    };
    (file, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::store;

    #[test]
    fn a_file_taken_apart_and_put_together_reads_the_same() {
        for seed in 0..6 {
            let tree = store::tree(seed, 1, 60);
            for path in tree.files() {
                let sound = std::fs::read(&path).unwrap();
                let again = Parts::of(&sound).unwrap().file();
                std::fs::write(&path, &again).unwrap();
                assert!(tree.reads_the_same(), "seed {seed}");
                assert!(Parts::of(&again).is_some(), "seed {seed}");
            }
        }
    }

    #[test]
    fn equal_seeds_damage_the_same() {
        let tree = store::tree(1, 1, 60);
        let parts = Parts::of(&std::fs::read(&tree.files()[0]).unwrap()).unwrap();
        let sound = parts.file();
        let damaged: Vec<_> = (0..300).map(|seed| parts.damaged(seed)).collect();
        assert!((0..300).all(|seed| parts.damaged(seed) == damaged[seed as usize]));
        let n_same = damaged.iter().filter(|(file, _)| *file == sound).count();
        assert!(n_same < 30, "{n_same} of 300 are sound");
    }
}
