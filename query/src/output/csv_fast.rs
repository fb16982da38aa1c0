//! nfdump's `csv-fast`: its columns in its order, for programs that go by position;
//! numbers as they are, times as milliseconds since the epoch. Names are ours, and
//! what the exporter did not send is an empty field.

use std::io::{self, Write};

use flow_common::addr::Addr16;
use flow_common::column::ColumnId;
use flow_common::proto::TcpFlags;

use super::text::Text;
use super::{RowFormat, RowFormatter};
use crate::batch::{Batch, Cells};
use crate::flow::{KEY_COLUMNS, TupleCells};

/// Columns printed; the number of the row and the address family come before them.
const PRINTED: [ColumnId; 15] = [
    ColumnId::FlowStart,
    ColumnId::FlowEnd,
    ColumnId::Protocol,
    ColumnId::SrcAddr,
    ColumnId::SrcPort,
    ColumnId::DstAddr,
    ColumnId::DstPort,
    ColumnId::SrcAs,
    ColumnId::DstAs,
    ColumnId::InIf,
    ColumnId::OutIf,
    ColumnId::TcpFlags,
    ColumnId::SrcTos,
    ColumnId::Packets,
    ColumnId::Bytes,
];

/// Columns read: those, and what makes the port of ICMP.
pub(super) fn columns() -> impl Iterator<Item = ColumnId> {
    PRINTED.into_iter().chain(KEY_COLUMNS)
}

/// Of IPv4 and IPv6, as Linux and nfdump number them.
const FAMILIES: [i64; 2] = [2, 10];

/// Octets before a row that say how long it is. Where it is joined to others, its
/// number takes their place.
const LENGTH_OCTETS: usize = 4;

pub(super) struct CsvFast;

impl RowFormat for CsvFast {
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "cnt,af,{}", PRINTED.map(ColumnId::name).join(","))
    }

    fn formatter(&self) -> Box<dyn RowFormatter> {
        Box::new(Self)
    }

    fn join(&self, rows_before: u64, text: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
        let (mut rest, mut number) = (text.as_slice(), rows_before);
        let mut joined = Vec::with_capacity(text.len());
        let mut lines = Text::new(&mut joined);
        while let Some((length, rows)) = rest.split_first_chunk::<LENGTH_OCTETS>() {
            let (row, rows) = rows.split_at(rows.len().min(u32::from_le_bytes(*length) as usize));
            rest = rows;
            number += 1;
            lines.uint(number);
            lines.bytes(row);
        }
        out.write_all(lines.since(0))
    }
}

impl RowFormatter for CsvFast {
    fn rows(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        let cells = PRINTED.map(|id| batch.cells(id));
        let tuples = TupleCells::new(batch);
        let text = &mut Text::new(out);
        for row in 0..batch.rows() {
            let mark = text.mark();
            text.literal(&[0; LENGTH_OCTETS]);
            append(&cells, &tuples, row, text);
            let length = text.mark() - mark - LENGTH_OCTETS;
            text.replace(mark, &(length as u32).to_le_bytes());
        }
    }
}

fn append(cells: &[Cells<'_>; PRINTED.len()], tuples: &TupleCells<'_>, row: usize, text: &mut Text<'_>) {
    let [start, end, _, _, _, _, _, numbers @ .., flags, tos, packets, bytes] = cells;
    let int = |text: &mut Text<'_>, value: Option<i64>| {
        text.byte(b',');
        value.into_iter().for_each(|value| text.int(value));
    };
    let tuple = tuples.get(row);
    let family = tuple.src_addr.or(tuple.dst_addr).map(Addr16::is_v4);
    int(text, family.map(|is_v4| if is_v4 { FAMILIES[0] } else { FAMILIES[1] }));
    for time in [start, end] {
        int(text, time.int(row).map(|micros| micros.div_euclid(1_000)));
    }
    int(text, tuple.protocol.map(i64::from));
    for (addr, port) in [(tuple.src_addr, tuple.src_port), (tuple.dst_addr, tuple.dst_port)] {
        text.byte(b',');
        addr.into_iter().for_each(|addr| text.addr(addr));
        int(text, port.map(i64::from));
    }
    for number in numbers {
        int(text, number.int(row));
    }
    text.byte(b',');
    if let Some(flags) = flags.int(row) {
        text.literal(&TcpFlags(flags as u16).letters());
    }
    for number in [tos, packets, bytes] {
        int(text, number.int(row));
    }
    text.byte(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbered_over_all_texts() {
        let text = |rows: &[&str]| -> Vec<u8> {
            let row = |row: &&str| [&(row.len() as u32).to_le_bytes(), row.as_bytes()].concat();
            rows.iter().flat_map(row).collect()
        };
        let mut out = Vec::new();
        let mut before = 0;
        for rows in [&[",2,a\n", ",10,bb\n"][..], &[], &[",2,\n"]] {
            CsvFast.join(before, &mut text(rows), &mut out).unwrap();
            before += rows.len() as u64;
        }
        assert_eq!(String::from_utf8(out).unwrap(), "1,2,a\n2,10,bb\n3,2,\n");
    }
}
