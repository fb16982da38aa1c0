//! Trees written by the `parquet` crate in every shape a file may have: encodings,
//! dictionaries that overflow, pages of all sizes, codecs, columns that are missing,
//! wider than usual or never NULL.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, Int32Builder, Int64Builder, ListBuilder, MapBuilder, MapFieldNames,
};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use flow_common::column::{COLUMNS, ColumnId, ExtraColumn, Kind};
use flow_common::footer::{Footer, Totals};
use flow_common::layout::Slot;
use flow_common::schema::{SCHEMA_VERSION, data_type, label_item};
use flow_common::tables::{RateRow, RateScope, Row as _};
use flow_common::time::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::generate::{START_SECS, extra_columns, values};
use super::row::{Cell, Row, column};
use super::tree::Tree;
use crate::mutate::Xorshift;

/// Seconds of a slot.
const SLOT_SECS: i64 = 300;

/// Numbers to put in place of random ones: of a column, of a row.
type Fixed<'a> = &'a dyn Fn(usize, usize) -> Option<i64>;

/// A tree of `n_files` files of at most `rows_max` rows each.
pub fn tree(seed: u64, n_files: i64, rows_max: usize) -> Tree {
    tree_with(seed, n_files, rows_max, &|_, _| None)
}

/// The same with some numbers given: by the position of the column and of the row.
pub fn tree_with(seed: u64, n_files: i64, rows_max: usize, fixed: Fixed<'_>) -> Tree {
    tree_of(seed, n_files, rows_max, fixed, Writer::Any)
}

/// A tree whose columns are of the types the collector gives them, and whose files say
/// what it says of them.
pub fn tree_of_ours(seed: u64, n_files: i64, rows_max: usize) -> Tree {
    tree_of(seed, n_files, rows_max, &|_, _| None, Writer::Ours)
}

/// Who may have written a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Ours,
    Any,
}

fn tree_of(seed: u64, n_files: i64, rows_max: usize, fixed: Fixed<'_>, by: Writer) -> Tree {
    let random = &mut Xorshift::new(seed);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let extra = if random.below(3) == 0 { Vec::new() } else { extra_columns() };
    let rates = if random.below(3) == 0 { Vec::new() } else { rates(random) };
    let mut written = Vec::new();
    for n in 0..n_files {
        let slot_secs = START_SECS + n * SLOT_SECS;
        let rows = if random.below(12) == 0 { random.below(3) } else { random.below(rows_max + 1) };
        let path = directory.path().join(path_of(slot_secs));
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        written.extend(file(&path, slot_secs, rows, &extra, (fixed, by), random));
    }
    let table = directory.path().join(".flowcap").join(RateRow::FILE);
    if !rates.is_empty() {
        fs::create_dir_all(table.parent().expect("a directory")).expect("a directory");
        let batch = RateRow::to_batch(&rates).expect("a batch");
        let mut writer = ArrowWriter::try_new(File::create(&table).expect("a file"), batch.schema(), None);
        let writer = writer.as_mut().expect("a writer");
        writer.write(&batch).expect("rows");
        writer.finish().expect("a footer");
    }
    let tree = Tree::read(directory, format!("files of seed {seed}"), extra, &rates);
    let is_same = |(a, b): (&Row, &Row)| format!("{a:?}") == format!("{b:?}");
    assert_eq!(tree.stored.len(), written.len(), "seed {seed}");
    let differs = tree.stored.iter().zip(&written).position(|pair| !is_same(pair));
    assert_eq!(differs, None, "seed {seed}: the record reader reads another row");
    tree
}

fn path_of(slot_secs: i64) -> String {
    let time = chrono::DateTime::from_timestamp(slot_secs, 0).expect("a time");
    time.format("date=%Y-%m-%d/hour=%H/flowcap.%Y%m%d%H%M.parquet").to_string()
}

/// Rates of some exporters, with some times they changed at.
fn rates(random: &mut Xorshift) -> Vec<RateRow> {
    let mut rows: Vec<RateRow> = Vec::new();
    for _ in 0..1 + random.below(8) {
        let exporter = ["192.0.2.1", "192.0.2.2", "2001:db8:e::1"][random.below(3)];
        let scope =
            [RateScope::Domain, RateScope::Domain, RateScope::Sampler, RateScope::Interface][random.below(4)];
        let scope_id = if scope == RateScope::Domain { 0 } else { random.below(4) as i64 };
        rows.push(RateRow {
            exporter_addr: exporter.parse::<std::net::IpAddr>().expect("an address").into(),
            export_version: [9, 10][random.below(2)],
            observation_domain: [0, 1, 7][random.below(3)],
            scope,
            scope_id,
            rate: [0, 1, 2, 100, 512][random.below(5)],
            valid_from: Timestamp(START_SECS * 1_000_000 + random.below(900_000_000) as i64),
        });
    }
    rows
}

/// Writes one file; returns its rows.
fn file(
    path: &Path,
    slot_secs: i64,
    rows: usize,
    extra: &[ExtraColumn],
    (fixed, by): (Fixed<'_>, Writer),
    random: &mut Xorshift,
) -> Vec<Row> {
    let is_ours = by == Writer::Ours;
    let has_footer = !extra.is_empty() || random.below(4) > 0 || is_ours;
    let places = COLUMNS.len() + extra.len();
    let mut columns: Vec<_> =
        (0..places).map(|place| values(place, extra, rows, slot_secs, random)).collect();
    // A file of an earlier release lacks columns, one of another program may lack any.
    let lacks_many = random.below(4) == 0;
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for (place, cells) in columns.iter_mut().enumerate() {
        for (row, cell) in cells.iter_mut().enumerate() {
            // The collector stores no list without entries.
            let is_said = |cell: &Cell| !is_ours || !cell.is_empty();
            *cell = fixed(place, row).map(Cell::Int).or(cell.take().filter(is_said));
        }
        let (name, kind) = column(place, extra);
        let is_required = COLUMNS.get(place).is_some_and(|column| column.is_required);
        if !is_required && random.below(if lacks_many { 2 } else { 40 }) == 0 {
            cells.iter_mut().for_each(|cell| *cell = None);
            continue;
        }
        let fits = |cell: &Option<Cell>| matches!(cell, None | Some(Cell::Int(..=0x7fff_ffff)));
        let is_wide = kind == Kind::Int32 && !is_ours && random.below(6) == 0;
        let is_narrow = kind == Kind::Int64
            && !is_ours
            && random.below(6) == 0
            && cells.iter().all(|cell| fits(cell) && !matches!(cell, Some(Cell::Int(..0))));
        let stored_as = match kind {
            Kind::Int32 if is_wide => DataType::Int64,
            Kind::Int64 if is_narrow => DataType::Int32,
            kind => data_type(kind),
        };
        let is_never_null = cells.iter().all(Option::is_some) && random.below(2) == 0;
        fields.push(Field::new(name, stored_as.clone(), !is_never_null));
        arrays.push(array(&stored_as, cells));
    }
    // Columns lie in any order.
    if random.below(3) == 0 {
        let middle = random.below(fields.len());
        fields.rotate_left(middle);
        arrays.rotate_left(middle);
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).expect("a batch");
    let made =
        (0..rows).map(|row| Row { cells: columns.iter().map(|cells| cells[row].clone()).collect(), rate: 1 });
    let made: Vec<Row> = made.collect();
    let footer = has_footer.then(|| footer(slot_secs, &made, extra));
    let file = File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties(&batch.schema(), footer, random)))
        .expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
    made
}

fn footer(slot_secs: i64, rows: &[Row], extra: &[ExtraColumn]) -> Footer {
    let mut totals = Totals::default();
    for row in rows {
        let count = |id| row.int(id).and_then(|value| u64::try_from(value).ok());
        totals.add_span(row.first(), row.last());
        totals.add_rate(row.int(ColumnId::SamplingRate));
        if row.int(ColumnId::Contributes) == Some(0) {
            totals.add_event();
            continue;
        }
        let protocol = row.int(ColumnId::Protocol).and_then(|number| u8::try_from(number).ok());
        let flows = count(ColumnId::FlowCount).unwrap_or(1);
        let (packets, bytes) = (count(ColumnId::Packets), count(ColumnId::Bytes));
        totals.add_record(protocol, flows, packets.unwrap_or(0), bytes.unwrap_or(0));
    }
    Footer {
        schema_version: SCHEMA_VERSION,
        writer: "reference".into(),
        ident: "reference".into(),
        slot: Slot { start_secs: slot_secs, end_secs: slot_secs + SLOT_SECS },
        totals,
        exporters: Vec::new(),
        kernel_dropped: 0,
        elements: extra.to_vec(),
        replaces: Vec::new(),
        compacts: Vec::new(),
        imported_from: Vec::new(),
        journal: None,
    }
}

/// How a file is laid out.
fn properties(schema: &Schema, footer: Option<Footer>, random: &mut Xorshift) -> WriterProperties {
    let version = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0][random.below(2)];
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::try_new(1).expect("a level")),
        Compression::ZSTD(ZstdLevel::try_new(9).expect("a level")),
    ];
    let page_rows = [1, 7, 64, 100, 1_000, 20_000][random.below(6)];
    let statistics = [EnabledStatistics::Page, EnabledStatistics::Chunk, EnabledStatistics::None];
    let mut builder = WriterProperties::builder()
        .set_writer_version(version)
        .set_compression(codecs[random.below(codecs.len())])
        .set_max_row_group_row_count(Some([50, 333, 1_024, 1 << 20][random.below(4)]))
        .set_data_page_row_count_limit(page_rows)
        // Limits are looked at after so many rows.
        .set_write_batch_size([1, 10, 64, 1_024][random.below(4)])
        // Few octets: pages of wide columns end before those of narrow ones.
        .set_data_page_size_limit([64, 500, 5_000, 1 << 20][random.below(4)])
        .set_dictionary_page_size_limit([64, 500, 1 << 20, 1 << 20][random.below(4)])
        .set_dictionary_enabled(random.below(3) > 0)
        .set_statistics_enabled(statistics[random.below(3)])
        .set_offset_index_disabled(random.below(3) == 0);
    for field in schema.fields() {
        let path = ColumnPath::from(field.name().as_str());
        let (fixed, integers) = (Encoding::BYTE_STREAM_SPLIT, Encoding::DELTA_BINARY_PACKED);
        let fits: &[Encoding] = match field.data_type() {
            DataType::Int32 | DataType::Int64 | DataType::Timestamp(..) => {
                &[Encoding::PLAIN, integers, integers, fixed]
            }
            DataType::FixedSizeBinary(_) => &[Encoding::PLAIN, Encoding::DELTA_BYTE_ARRAY, fixed],
            DataType::Utf8 | DataType::Binary => {
                &[Encoding::PLAIN, Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY]
            }
            DataType::Float64 => &[Encoding::PLAIN, fixed],
            DataType::Boolean => &[Encoding::PLAIN, Encoding::RLE],
            _ => continue,
        };
        builder = builder.set_column_encoding(path.clone(), fits[random.below(fits.len())]);
        if random.below(3) == 0 {
            builder = builder.set_column_dictionary_enabled(path, random.below(2) == 0);
        }
    }
    let pairs = footer.map(|footer| footer.to_metadata()).unwrap_or_default();
    let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
    builder.set_key_value_metadata(Some(pairs)).build()
}

fn array(stored_as: &DataType, cells: &[Option<Cell>]) -> ArrayRef {
    let ints = cells.iter().map(|cell| match cell {
        Some(Cell::Int(value)) => Some(*value),
        _ => None,
    });
    let octets = cells.iter().map(|cell| match cell {
        Some(Cell::Octets(octets)) => Some(octets.as_slice()),
        _ => None,
    });
    let texts = cells.iter().map(|cell| match cell {
        Some(Cell::Text(text)) => Some(text.as_str()),
        _ => None,
    });
    let reals = cells.iter().map(|cell| match cell {
        Some(Cell::Real(value)) => Some(*value),
        _ => None,
    });
    let truths = cells.iter().map(|cell| match cell {
        Some(Cell::Truth(value)) => Some(*value),
        _ => None,
    });
    match stored_as {
        DataType::Int32 => {
            let narrow = ints.map(|value| value.map(|value| i32::try_from(value).expect("32 bits")));
            Arc::new(narrow.collect::<Int32Array>())
        }
        DataType::Int64 => Arc::new(ints.collect::<Int64Array>()),
        DataType::Timestamp(..) => Arc::new(ints.collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        DataType::FixedSizeBinary(width) => {
            let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(octets, *width);
            Arc::new(array.expect("octets of one width"))
        }
        DataType::Utf8 => Arc::new(texts.collect::<StringArray>()),
        DataType::Binary => Arc::new(octets.collect::<BinaryArray>()),
        DataType::Float64 => Arc::new(reals.collect::<Float64Array>()),
        DataType::Boolean => Arc::new(truths.collect::<BooleanArray>()),
        DataType::List(_) => labels(cells),
        _ => maps(cells),
    }
}

fn labels(cells: &[Option<Cell>]) -> ArrayRef {
    let mut builder = ListBuilder::new(Int32Builder::new()).with_field(label_item());
    for cell in cells {
        match cell {
            Some(Cell::Labels(labels)) => builder.append_value(labels.iter().copied().map(Some)),
            _ => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

fn maps(cells: &[Option<Cell>]) -> ArrayRef {
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    let value = Arc::new(Field::new("value", DataType::Binary, false));
    let mut builder =
        MapBuilder::new(Some(names), Int64Builder::new(), BinaryBuilder::new()).with_values_field(value);
    for cell in cells {
        let entries = match cell {
            Some(Cell::Other(entries)) => Some(entries),
            _ => None,
        };
        for (key, octets) in entries.into_iter().flatten() {
            builder.keys().append_value(*key);
            builder.values().append_value(octets);
        }
        builder.append(entries.is_some()).expect("keys and values of one length");
    }
    Arc::new(builder.finish())
}
