//! Groups with what they are ranked by, in memory and on disk.

use std::cmp::Ordering;
use std::io::{self, Read, Write};

use flow_common::addr::{Addr16, Mac};
use flow_common::limits::ORDERS_MAX;

use super::Grouping;
use crate::aggregate::{Float, Group, Measured, Value};
use crate::flow::Counters;
use crate::runs::{Entry, put_word, word};
use crate::statistic::{Order, Ranking};

/// A group of an answer.
#[derive(Debug)]
pub(super) struct Ranked {
    /// What ascends in the order of groups: the bucket where they are by bucket, and each order.
    ranks: [u64; 1 + ORDERS_MAX],
    pub(super) group: Group,
}

impl Ranked {
    pub(super) fn new(group: Group, ranking: &Ranking, grouping: &Grouping) -> Self {
        let mut ranks = [0; 1 + ORDERS_MAX];
        if grouping.is_by_bucket && ranking.order != Order::Bucket {
            ranks[0] = group.value(Order::Bucket);
        }
        for (rank, ranking) in ranks[1..].iter_mut().zip([ranking].into_iter().chain(&grouping.ties)) {
            let value = match grouping.is_joined() && !ranking.order.is_out() {
                // Both directions count, where the order is not about one.
                true => ranking.order.value(&group.counters.of_both()),
                false => group.value(ranking.order),
            };
            *rank = if ranking.is_ascending { value } else { !value };
        }
        Self { ranks, group }
    }

    /// Octets it takes, as one of many: vectors are half empty at the worst.
    pub(super) fn bytes(&self) -> usize {
        const OF_BOX: usize = 16;
        let Group { key, measured, .. } = &self.group;
        let text = |value: &Option<Value>| match value {
            Some(Value::Text(text)) => text.len() + OF_BOX,
            Some(Value::Binary(octets)) => octets.len() + OF_BOX,
            _ => 0,
        };
        let texts: usize = key.iter().map(text).sum();
        2 * size_of::<Self>() + size_of_val(&**key) + size_of_val(&**measured) + texts + 2 * OF_BOX
    }
}

impl Entry for Ranked {
    fn order(&self, other: &Self) -> Ordering {
        self.ranks.cmp(&other.ranks).then_with(|| self.group.key.cmp(&other.group.key))
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Group { key, counters, measured, tcp_flags, src_tos } = &self.group;
        self.ranks.iter().try_for_each(|&rank| put_word(rank, out))?;
        put_word(key.len() as u64, out)?;
        key.iter().try_for_each(|value| put_value(value.as_ref(), out))?;
        put_counters(counters, out)?;
        put_word(measured.len() as u64, out)?;
        for Measured { value, is_about } in measured {
            put_option(*value, out)?;
            put_word((*is_about).into(), out)?;
        }
        [tcp_flags, src_tos].iter().try_for_each(|detail| put_option(detail.map(|one| one as u64), out))
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut ranks = [0; 1 + ORDERS_MAX];
        for rank in &mut ranks {
            *rank = word(from)?;
        }
        let key = (0..word(from)?).map(|_| value(from)).collect::<io::Result<_>>()?;
        let counters = counters(from)?;
        let n_measured = word(from)?;
        let measured = |_| Ok(Measured { value: option(from)?, is_about: word(from)? == 1 });
        let measured = (0..n_measured).map(measured).collect::<io::Result<_>>()?;
        let (tcp_flags, src_tos) = (option(from)?, option(from)?);
        let [tcp_flags, src_tos] = [tcp_flags, src_tos].map(|detail| detail.map(|one| one as i64));
        Ok(Self { ranks, group: Group { key, counters, measured, tcp_flags, src_tos } })
    }
}

fn put_option(value: Option<u64>, out: &mut impl Write) -> io::Result<()> {
    put_word(value.is_some().into(), out)?;
    value.map_or(Ok(()), |value| put_word(value, out))
}

fn option(from: &mut impl Read) -> io::Result<Option<u64>> {
    if word(from)? == 1 { word(from).map(Some) } else { Ok(None) }
}

fn put_counters(counters: &Counters, out: &mut impl Write) -> io::Result<()> {
    let Counters { flows, packets, bytes, out_packets, out_bytes, events, first, last, over_ms } = *counters;
    let counts = [flows, packets, bytes, out_packets, out_bytes, events, over_ms];
    counts.into_iter().try_for_each(|count| put_word(count, out))?;
    [first, last].into_iter().try_for_each(|time| put_option(time.map(|micros| micros as u64), out))
}

fn counters(from: &mut impl Read) -> io::Result<Counters> {
    let mut counts = [0; 7];
    for count in &mut counts {
        *count = word(from)?;
    }
    let [flows, packets, bytes, out_packets, out_bytes, events, over_ms] = counts;
    let mut time = || Ok::<_, io::Error>(option(from)?.map(|micros| micros as i64));
    let (first, last) = (time()?, time()?);
    Ok(Counters { flows, packets, bytes, out_packets, out_bytes, events, first, last, over_ms })
}

/// A value as its kind, how many octets it has, and these.
fn put_value(value: Option<&Value>, out: &mut impl Write) -> io::Result<()> {
    let mut put = |kind: u8, octets: &[u8]| {
        out.write_all(&[kind])?;
        put_word(octets.len() as u64, out)?;
        out.write_all(octets)
    };
    match value {
        None => put(0, &[]),
        Some(Value::Int(number)) => put(1, &number.to_le_bytes()),
        Some(Value::Address(addr)) => put(2, &addr.0),
        Some(Value::Net(addr, length)) => put(3, &[&addr.0[..], &[*length]].concat()),
        Some(Value::Mac(mac)) => put(4, &mac.0),
        Some(Value::Label(entry)) => put(5, &entry.to_le_bytes()),
        Some(Value::Text(text)) => put(6, text.as_bytes()),
        Some(Value::Binary(octets)) => put(7, octets),
        Some(Value::Float(number)) => put(8, &number.0.to_bits().to_le_bytes()),
        Some(Value::Boolean(value)) => put(9, &[u8::from(*value)]),
    }
}

fn value(from: &mut impl Read) -> io::Result<Option<Value>> {
    let mut kind = [0];
    from.read_exact(&mut kind)?;
    let mut octets = vec![0; usize::try_from(word(from)?).unwrap_or(usize::MAX)];
    from.read_exact(&mut octets)?;
    value_of(kind[0], &octets)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not what was written"))
}

/// `None` where octets are no value of the kind.
fn value_of(kind: u8, octets: &[u8]) -> Option<Option<Value>> {
    Some(Some(match kind {
        0 => return Some(None),
        1 => Value::Int(i64::from_le_bytes(octets.try_into().ok()?)),
        2 => Value::Address(Addr16(octets.try_into().ok()?)),
        3 => {
            let (addr, length) = octets.split_first_chunk()?;
            Value::Net(Addr16(*addr), *length.first()?)
        }
        4 => Value::Mac(Mac(octets.try_into().ok()?)),
        5 => Value::Label(i32::from_le_bytes(octets.try_into().ok()?)),
        6 => Value::Text(std::str::from_utf8(octets).ok()?.into()),
        7 => Value::Binary(octets.into()),
        8 => Value::Float(Float(f64::from_bits(u64::from_le_bytes(octets.try_into().ok()?)))),
        9 => Value::Boolean(*octets.first()? == 1),
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_back_from_disk_as_they_were() {
        let key = [
            None,
            Some(Value::Int(-5)),
            Some(Value::Address(Addr16([1; 16]))),
            Some(Value::Net(Addr16([2; 16]), 24)),
            Some(Value::Mac(Mac([3; 6]))),
            Some(Value::Label(-7)),
            Some(Value::Text("ä".into())),
            Some(Value::Binary([0, 255].into())),
            Some(Value::Float(Float(-0.0))),
            Some(Value::Boolean(true)),
        ];
        let counters = Counters { flows: 1, events: 2, over_ms: 3, last: Some(-4), ..Counters::default() };
        let measured = [(Some(6), true), (None, false)].map(|(value, is_about)| Measured { value, is_about });
        let group = Group {
            key: key.into(),
            counters,
            measured: measured.into(),
            tcp_flags: None,
            src_tos: Some(-1),
        };
        let written = Ranked { ranks: [5, 4, 3, 2, 1], group };
        let mut octets = Vec::new();
        written.write(&mut octets).unwrap();
        let mut left = &octets[..];
        let read = Ranked::read(&mut left).unwrap();
        assert_eq!((read.ranks, &read.group, left), (written.ranks, &written.group, &[][..]));
        assert_eq!(read.order(&written), Ordering::Equal);
        let cut = Ranked::read(&mut &octets[..octets.len() - 1]);
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
