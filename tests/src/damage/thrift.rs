//! Thrift's compact protocol, as far as Parquet uses it, without a schema: what is read
//! is written again octet by octet, and any part of it can be changed in between.

/// A value; integers as they are, not yet in zigzag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    Byte(u8),
    /// Type 4, 5 or 6: 16, 32 or 64 bits.
    Int(u8, i64),
    Double([u8; 8]),
    Binary(Vec<u8>),
    /// Type of the elements.
    List(u8, Vec<Value>),
    Struct(Vec<(i16, Value)>),
}

const STRUCT: u8 = 12;
/// Deeper than anything Parquet nests.
const DEPTH_MAX: usize = 16;

/// The struct at the beginning of `octets`, and how long it is.
pub(super) fn read(octets: &[u8]) -> Option<(Value, usize)> {
    let mut reader = Reader { octets, at: 0 };
    let value = reader.value(STRUCT, 0)?;
    Some((value, reader.at))
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn octet(&mut self) -> Option<u8> {
        self.at += 1;
        self.octets.get(self.at - 1).copied()
    }

    fn take(&mut self, n: usize) -> Option<Vec<u8>> {
        let taken = self.octets.get(self.at..self.at.checked_add(n)?)?.to_vec();
        self.at += n;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            value |= u64::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn int(&mut self) -> Option<i64> {
        let zigzag = self.varint()?;
        Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<Value> {
        Some(match kind {
            1 => Value::Bool(true),
            2 => Value::Bool(false),
            3 => Value::Byte(self.octet()?),
            4..=6 => Value::Int(kind, self.int()?),
            7 => Value::Double(self.take(8)?.try_into().ok()?),
            8 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Binary(self.take(length)?)
            }
            9 => {
                let head = self.octet()?;
                let short = usize::from(head >> 4);
                let length = if short == 15 { usize::try_from(self.varint()?).ok()? } else { short };
                let elements = (0..length).map(|_| match head & 15 {
                    // In a list a truth value has an octet of its own.
                    1 | 2 => Some(Value::Bool(self.octet()? == 1)),
                    kind => self.value(kind, depth + 1),
                });
                Value::List(head & 15, elements.collect::<Option<_>>()?)
            }
            STRUCT if depth < DEPTH_MAX => {
                let (mut fields, mut id) = (Vec::new(), 0_i16);
                loop {
                    let head = self.octet()?;
                    if head == 0 {
                        break Value::Struct(fields);
                    }
                    let step = i16::from(head >> 4);
                    id = if step == 0 { i16::try_from(self.int()?).ok()? } else { id.checked_add(step)? };
                    fields.push((id, self.value(head & 15, depth + 1)?));
                }
            }
            _ => return None,
        })
    }
}

impl Value {
    fn kind(&self) -> u8 {
        match self {
            Self::Bool(true) => 1,
            Self::Bool(false) => 2,
            Self::Byte(_) => 3,
            Self::Int(kind, _) => *kind,
            Self::Double(_) => 7,
            Self::Binary(_) => 8,
            Self::List(..) => 9,
            Self::Struct(_) => STRUCT,
        }
    }

    /// Appends its octets.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(_) => {}
            Self::Byte(octet) => out.push(*octet),
            Self::Int(_, value) => write_int(out, *value),
            Self::Double(octets) => out.extend(octets),
            Self::Binary(octets) => {
                write_varint(out, octets.len() as u64);
                out.extend(octets);
            }
            Self::List(kind, elements) => {
                if elements.len() < 15 {
                    out.push((elements.len() as u8) << 4 | kind);
                } else {
                    out.push(0xf0 | kind);
                    write_varint(out, elements.len() as u64);
                }
                for element in elements {
                    match element {
                        Self::Bool(value) => out.push(if *value { 1 } else { 2 }),
                        element => element.write(out),
                    }
                }
            }
            Self::Struct(fields) => {
                let mut before = 0_i16;
                for (id, value) in fields {
                    let step = id.wrapping_sub(before);
                    if (1..16).contains(&step) {
                        out.push((step as u8) << 4 | value.kind());
                    } else {
                        out.push(value.kind());
                        write_int(out, (*id).into());
                    }
                    value.write(out);
                    before = *id;
                }
                out.push(0);
            }
        }
    }

    /// The field of a struct.
    pub(super) fn field(&self, wanted: i16) -> Option<&Self> {
        let Self::Struct(fields) = self else { return None };
        fields.iter().find(|(id, _)| *id == wanted).map(|(_, value)| value)
    }

    pub(super) fn field_mut(&mut self, wanted: i16) -> Option<&mut Self> {
        let Self::Struct(fields) = self else { return None };
        fields.iter_mut().find(|(id, _)| *id == wanted).map(|(_, value)| value)
    }

    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(_, value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> &[Self] {
        match self {
            Self::List(_, elements) => elements,
            _ => &[],
        }
    }

    pub(super) fn list_mut(&mut self) -> &mut [Self] {
        match self {
            Self::List(_, elements) => elements,
            _ => &mut [],
        }
    }

    /// Puts a number in place of a field's, if it has one.
    pub(super) fn set(&mut self, field: i16, value: i64) {
        if let Some(Self::Int(_, old)) = self.field_mut(field) {
            *old = value;
        }
    }

    /// It and everything in it, in order; calls `each` with the index of each.
    pub(super) fn visit(&mut self, next: &mut usize, each: &mut dyn FnMut(usize, &mut Self)) {
        let index = *next;
        *next += 1;
        match self {
            Self::List(_, elements) => elements.iter_mut().for_each(|element| element.visit(next, each)),
            Self::Struct(fields) => fields.iter_mut().for_each(|(_, value)| value.visit(next, each)),
            _ => {}
        }
        each(index, self);
    }
}

fn write_int(out: &mut Vec<u8>, value: i64) {
    write_varint(out, (value << 1 ^ value >> 63).cast_unsigned());
}

/// A number in groups of 7 bits, the low ones first.
pub(super) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
