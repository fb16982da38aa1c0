//! What the text of a row costs, format by format. A million rows each:
//!
//! `cargo test --release -p flow-query --lib output::bench -- --ignored --nocapture`
//!
//! `BENCH_FORMAT=csv` and `BENCH_ROWS=100000` let `valgrind --tool=callgrind` count one.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, Int32Array, Int64Array, TimestampMicrosecondArray};
use flow_common::addr::Addr16;
use flow_common::column::{ColumnId, Kind};
use flow_common::limits::SCAN_BATCH_ROWS;

use super::{FileInfo, Format, Layout, Style, columns, row_format};
use crate::Zone;
use crate::batch::{Batch, FileColumn};
use crate::columns::Columns;
use crate::values::Column;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % end) as i64
    }

    /// Small ones are common, large ones rare.
    fn skewed(&mut self, bits: u64) -> i64 {
        let bits = 1 + self.below(bits);
        1 + self.below(1 << bits)
    }

    fn address(&mut self) -> [u8; 16] {
        let host = self.below(200_000) as u32;
        if host % 100 < 15 {
            let mut octets = [0; 16];
            octets[..6].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, (host % 251) as u8]);
            octets[10..14].copy_from_slice(&host.wrapping_mul(2_654_435_761).to_be_bytes());
            octets[15] = 1;
            octets
        } else {
            Addr16::from_v4((0x0a00_0000 + host.wrapping_mul(2_654_435_761)).to_be_bytes()).0
        }
    }
}

/// A column as flows of routers have it; `None` where such flows have none.
fn column(id: ColumnId, rows: usize, numbers: &mut Numbers) -> Option<ArrayRef> {
    const BASE: i64 = 1_795_262_400_000;
    let mut ints = |make: fn(&mut Numbers) -> i64| -> Vec<i64> { (0..rows).map(|_| make(numbers)).collect() };
    let values = match id {
        ColumnId::Received => ints(|n| BASE + 60_000 + n.below(240_000)),
        ColumnId::FlowStart => ints(|n| BASE + n.below(240_000)),
        ColumnId::FlowEnd => ints(|n| BASE + 240_000 + n.skewed(16)),
        ColumnId::Protocol => ints(|n| [6, 6, 6, 17, 17, 1][n.below(6) as usize]),
        ColumnId::SrcPort | ColumnId::DstPort => ints(|n| n.skewed(16) & 0xffff),
        ColumnId::Packets => ints(|n| n.skewed(14)),
        ColumnId::Bytes => ints(|n| 40 * n.skewed(24)),
        ColumnId::TcpFlags => ints(|n| n.below(64)),
        ColumnId::SrcTos => ints(|n| n.below(2) * 72),
        ColumnId::InIf | ColumnId::OutIf => ints(|n| n.below(48)),
        ColumnId::SrcAs | ColumnId::DstAs => ints(|n| n.below(65_000)),
        ColumnId::SrcMask | ColumnId::DstMask => ints(|n| 16 + n.below(9)),
        ColumnId::ExportVersion => ints(|_| 9),
        ColumnId::ObservationDomain | ColumnId::Direction => ints(|_| 0),
        ColumnId::Sequence => ints(|n| n.below(1 << 30)),
        ColumnId::SrcAddr | ColumnId::DstAddr | ColumnId::NextHop | ColumnId::ExporterAddr => vec![],
        _ => return None,
    };
    let column = id.column();
    Some(match column.kind {
        Kind::Timestamp => {
            let micros = values.into_iter().map(|ms| ms * 1_000);
            Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC")) as ArrayRef
        }
        Kind::Int32 => Arc::new(Int32Array::from_iter_values(values.into_iter().map(|value| value as i32))),
        Kind::Int64 => Arc::new(Int64Array::from_iter_values(values)),
        _ => {
            let one = numbers.address();
            let is_one = id == ColumnId::ExporterAddr;
            let octets = (0..rows).map(|_| if is_one { one } else { numbers.address() });
            Arc::new(FixedSizeBinaryArray::try_from_iter(octets).unwrap())
        }
    })
}

fn batch(wanted: &BTreeSet<ColumnId>, rows: usize) -> Batch {
    let mut numbers = Numbers(1);
    let none: Arc<[FileColumn]> = Arc::new([]);
    let mut batch = Batch::new(rows, &none);
    for &id in wanted {
        if let Some(array) = column(id, rows, &mut numbers) {
            batch.set(id.into(), Column::Array(array));
        }
    }
    batch
}

fn style(format: Format) -> Style {
    let layout = Layout::parse("%ts %td %pr %sap -> %dap %flg %pkt %byt %bps").unwrap();
    Style {
        format,
        layout: Arc::new(layout),
        is_ipv6_full: false,
        is_plain: false,
        is_quiet: false,
        zone: Zone::Fixed(7_200),
    }
}

#[test]
#[ignore = "prints how long it takes"]
fn rows_cost() {
    let only = std::env::var("BENCH_FORMAT").ok();
    let rows = std::env::var("BENCH_ROWS").map_or(1_000_000, |rows| rows.parse().unwrap());
    for format in Format::ALL.into_iter().chain([Format::Custom]) {
        if only.as_ref().is_some_and(|only| only != format.word()) {
            continue;
        }
        let style = style(format);
        let batch = batch(&columns(&style), SCAN_BATCH_ROWS);
        let rows_of = row_format(&style, &Columns::default());
        let mut formatter = rows_of.formatter();
        formatter.file(&FileInfo { ident: Some("edge1"), names: None });
        let (mut text, mut written) = (Vec::new(), 0);
        let mut best = f64::INFINITY;
        let batches = (rows / batch.rows() / 5).max(1);
        for _ in 0..5 {
            let started = Instant::now();
            for _ in 0..batches {
                text.clear();
                formatter.rows(&batch, &mut text);
                rows_of.join(1, &mut text, &mut io::sink()).unwrap();
                written = text.len();
            }
            best = best.min(started.elapsed().as_secs_f64() / (batches * batch.rows()) as f64);
        }
        let octets = written / batch.rows();
        println!("{:<10} {:>7.1} ns a row, {octets:>4} octets", format.word(), best * 1e9);
    }
}
