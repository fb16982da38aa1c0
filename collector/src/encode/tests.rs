//! What is written is read back by the `parquet` crate and compared value by value.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use flow_common::column::ColumnId;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use super::*;

const ALL: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Zstd(1)];

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Columns and how their values are spread: each becomes another kind of page.
fn batch(rows: usize, seed: u64) -> FlowBatch {
    let random = &mut Random(seed);
    let mut batch = FlowBatch::default();
    let time = 1_795_262_400_000_000;
    for row in 0..rows {
        let wide = (random.below(1 << 31) << 31 | random.below(1 << 31)).cast_signed();
        // A run now and then, also across pages.
        if row % 50 == 0 {
            let n = 50.min(rows - row);
            batch.int64(ColumnId::Received).push_n(time + row as i64, n);
            batch.address(ColumnId::ExporterAddr).push_n([(row % 3) as u8; 16], n);
            batch.int32(ColumnId::ExportVersion).push_n(9, n);
            batch.int64(ColumnId::Sequence).push_n(row as i64, n);
            batch.int32(ColumnId::Direction).pad_to(row);
            if random.below(2) == 0 {
                batch.int32(ColumnId::Direction).push_n(1, n);
            }
        }
        batch.int64(ColumnId::Packets).push(Some(1 + random.below(9).cast_signed()));
        batch.int64(ColumnId::Bytes).push(Some(wide));
        batch.int64(ColumnId::OutBytes).push(Some(if row % 2 == 0 { i64::MAX } else { i64::MIN }));
        batch.int64(ColumnId::FlowStart).push(Some(time + random.below(60_000).cast_signed() * 1_000));
        batch.int64(ColumnId::FlowEnd).push(Some(time + random.below(60_000_000).cast_signed()));
        batch.int64(ColumnId::FlowId).push(Some(wide % 100 * 1_000_000_007));
        batch.int32(ColumnId::SrcPort).push(Some(random.below(65_536) as i32));
        batch.int32(ColumnId::DstPort).push((random.below(3) > 0).then_some(443 - random.below(2) as i32));
        batch.int32(ColumnId::TcpFlags).push(Some(wide as i32));
        let mut v4 = [0; 16];
        v4[10..12].fill(0xff);
        v4[12..].copy_from_slice(&(random.below(300) as u32).to_be_bytes());
        batch.address(ColumnId::SrcAddr).push(Some(v4));
        batch.address(ColumnId::DstAddr).push(Some((u128::from(random.below(1 << 31)) << 64).to_be_bytes()));
        batch.address(ColumnId::NextHop).push((row > 20_000).then_some(v4));
        batch.address(ColumnId::PostNatSrcAddr).push((row % 4 == 1).then_some(v4));
        batch.mac(ColumnId::InSrcMac).push(Some([1, 2, 3, 4, 5, random.below(7) as u8]));
        batch.variable(ColumnId::Username).push((row % 3 > 0).then_some(&b"someone"[..row % 7]));
    }
    let maps = batch.maps(ColumnId::Other);
    maps.keys.push(82);
    maps.values.push(Some(b"x"));
    maps.ends.push(1);
    batch.add_rows(rows);
    batch
}

fn encoded(batches: Vec<FlowBatch>, format: &Arc<Format>) -> Bytes {
    let mut encoder = Encoder::new(Vec::new(), format).unwrap();
    batches.into_iter().for_each(|mut batch| encoder.write(&mut batch).unwrap());
    encoder.finish(vec![("flowcap.test".to_owned(), "here".to_owned())]).unwrap().into()
}

/// Whether row `row` of a record batch holds what row `of_batch` of the batch does.
fn is_same(read: &RecordBatch, row: usize, batch: &FlowBatch, of_batch: usize) -> Result<(), String> {
    for (index, column) in COLUMNS.iter().enumerate() {
        let (id, array) = (column.id, read.column(index));
        let octets = |octets: Option<&[u8]>| octets.map(<[u8]>::to_vec);
        let value = |octets: &[u8]| (!array.is_null(row)).then(|| octets.to_vec());
        let (found, expected) = match array.data_type() {
            DataType::Int32 => {
                let found = (!array.is_null(row)).then(|| array.as_primitive::<Int32Type>().value(row));
                (format!("{:?}", found.map(i64::from)), format!("{:?}", batch.integer(id, of_batch)))
            }
            DataType::Int64 => {
                let found = (!array.is_null(row)).then(|| array.as_primitive::<Int64Type>().value(row));
                (format!("{found:?}"), format!("{:?}", batch.integer(id, of_batch)))
            }
            DataType::Timestamp(..) => {
                let times = array.as_primitive::<TimestampMicrosecondType>();
                let found = (!array.is_null(row)).then(|| times.value(row));
                (format!("{found:?}"), format!("{:?}", batch.integer(id, of_batch)))
            }
            DataType::FixedSizeBinary(16) => {
                let expected = batch.address_at(id, of_batch).map(|address| address.to_vec());
                (format!("{:?}", value(array.as_fixed_size_binary().value(row))), format!("{expected:?}"))
            }
            DataType::FixedSizeBinary(_) => {
                let expected = batch.mac_at(id, of_batch).map(|mac| mac.to_vec());
                (format!("{:?}", value(array.as_fixed_size_binary().value(row))), format!("{expected:?}"))
            }
            DataType::Utf8 => {
                let found = value(array.as_string::<i32>().value(row).as_bytes());
                (format!("{found:?}"), format!("{:?}", octets(batch.bytes_at(id, of_batch))))
            }
            DataType::Map(..) => (array.is_null(row).to_string(), (of_batch > 0).to_string()),
            _ => (array.is_null(row).to_string(), true.to_string()),
        };
        if found != expected {
            return Err(format!("{} of row {of_batch}: {found} is not {expected}", column.name));
        }
    }
    Ok(())
}

/// Every page's bounds hold what the page holds, and its order is as said.
fn check_index(metadata: &ParquetMetaData, batch: &FlowBatch) {
    let columns = metadata.row_group(0).columns();
    for id in [ColumnId::FlowEnd, ColumnId::Bytes, ColumnId::Received, ColumnId::Sequence, ColumnId::OutBytes]
    {
        let leaf = columns.iter().position(|column| column.column_path().string() == id.name()).unwrap();
        let ColumnIndexMetaData::INT64(index) = &metadata.column_index().unwrap()[0][leaf] else {
            panic!("{}: no index of integers", id.name())
        };
        let pages = metadata.offset_index().unwrap()[0][leaf].page_locations();
        for (page, location) in pages.iter().enumerate() {
            let end = pages.get(page + 1).map_or(batch.rows(), |next| next.first_row_index as usize);
            let values = (location.first_row_index as usize..end).filter_map(|row| batch.integer(id, row));
            let values: Vec<_> = values.collect();
            assert_eq!(index.min_value(page), values.iter().min(), "{} page {page}", id.name());
            assert_eq!(index.max_value(page), values.iter().max(), "{} page {page}", id.name());
        }
        let statistics = columns[leaf].statistics().unwrap();
        let least = (0..batch.rows()).filter_map(|row| batch.integer(id, row)).min();
        assert_eq!(statistics.min_bytes_opt(), least.map(i64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice));
        let is_ascending = id == ColumnId::Received || id == ColumnId::Sequence;
        assert!(!is_ascending || metadata.column_index().unwrap()[0][leaf].is_sorted(), "{}", id.name());
    }
}

/// A filter passes every address there is, and few that are not there.
fn check_filters(file: &Bytes, metadata: &ParquetMetaData, batch: &FlowBatch) {
    for column in metadata.row_group(0).columns() {
        let id = COLUMNS.iter().find(|known| column.column_path().string() == known.name).map(|one| one.id);
        let filter = Sbbf::read_from_column_chunk(column, file).unwrap();
        let Some((id, filter)) = id.zip(filter) else {
            assert!(!id.is_some_and(|id| FILTERED.contains(&id) && needs_filter(batch, id)), "{id:?}");
            continue;
        };
        assert!(FILTERED.contains(&id), "a filter of {}", id.name());
        let addresses: HashSet<_> = (0..batch.rows()).filter_map(|row| batch.address_at(id, row)).collect();
        let passes = |address: &[u8; 16]| filter.check(address.as_slice());
        assert!(addresses.iter().all(passes), "an address of {} is missed", id.name());
        let others = (0..10_000_u128).map(|n| (0x2001_0db8 << 96 | n).to_be_bytes());
        let passed = others.filter(passes).count();
        assert!(passed < 150, "{passed} of 10,000 pass the filter of {}", id.name());
    }
}

/// Whether a column holds more than one value; bounds tell of one.
fn needs_filter(batch: &FlowBatch, id: ColumnId) -> bool {
    (0..batch.rows()).filter_map(|row| batch.address_at(id, row)).collect::<HashSet<_>>().len() > 1
}

#[test]
fn rows_come_back_whatever_their_columns_hold() {
    for (rows, compression) in [1, 7, 20_001, 45_000].into_iter().zip(ALL.into_iter().cycle()) {
        let format = Arc::new(Format::new(Vec::new(), compression));
        let batches = [batch(rows, 1), batch(rows / 2 + 1, 2)];
        let file = encoded(batches.to_vec(), &format);
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).unwrap();
        assert_eq!(builder.schema().fields(), schema::schema().fields());
        let metadata = Arc::clone(builder.metadata());
        assert_eq!(metadata.num_row_groups(), batches.len());
        let pairs = metadata.file_metadata().key_value_metadata().unwrap();
        assert!(pairs.iter().any(|pair| pair.key == "flowcap.test" && pair.value.as_deref() == Some("here")));
        check_index(&metadata, &batches[0]);
        check_filters(&file, &metadata, &batches[0]);
        let mut expected = batches.iter().flat_map(|batch| (0..batch.rows()).map(move |row| (batch, row)));
        for read in builder.with_batch_size(8_192).build().unwrap() {
            let read = read.unwrap();
            for row in 0..read.num_rows() {
                let (batch, of_batch) = expected.next().unwrap();
                // All of the edges, some of what lies between.
                if row % 97 == 0 || of_batch % 20_000 < 2 || of_batch + 2 > batch.rows() {
                    assert_eq!(is_same(&read, row, batch, of_batch), Ok(()), "{rows} rows, {compression:?}");
                }
            }
        }
        assert_eq!(expected.count(), 0);
    }
}

#[test]
fn every_encoding_is_chosen_where_it_is_smallest() {
    let format = Arc::new(Format::new(Vec::new(), Compression::Lz4));
    let file = encoded(vec![batch(45_000, 3)], &format);
    let metadata = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().clone();
    let check = |id: ColumnId, expected: Encoding, has_dictionary: bool| {
        let columns = metadata.row_group(0).columns();
        let column = columns.iter().find(|column| column.column_path().string() == id.name()).unwrap();
        let encodings: HashSet<_> = column.encodings().collect();
        assert!(encodings.contains(&expected), "{}: {encodings:?}", id.name());
        assert_eq!(column.dictionary_page_offset().is_some(), has_dictionary, "{}", id.name());
        column.compressed_size()
    };
    let small = check(ColumnId::ExportVersion, Encoding::RLE_DICTIONARY, true);
    assert!(small < 100, "{small} octets for one value in all rows");
    let small = check(ColumnId::ClientLatency, Encoding::PLAIN, false);
    assert!(small < 60, "{small} octets for no value at all");
    check(ColumnId::SrcAddr, Encoding::RLE_DICTIONARY, true);
    check(ColumnId::InSrcMac, Encoding::RLE_DICTIONARY, true);
    check(ColumnId::FlowId, Encoding::RLE_DICTIONARY, true);
    check(ColumnId::Bytes, Encoding::DELTA_BINARY_PACKED, false);
    check(ColumnId::TcpFlags, Encoding::PLAIN, false);
    check(ColumnId::DstAddr, Encoding::PLAIN, false);
}

#[test]
fn a_column_that_must_not_be_null_is_an_error_and_no_file() {
    let mut batch = FlowBatch::default();
    batch.int64(ColumnId::Received).push_n(1, 2);
    batch.add_rows(2);
    let format = Arc::new(Format::new(Vec::new(), Compression::None));
    let error = Encoder::new(Vec::new(), &format).unwrap().write(&mut batch).unwrap_err();
    assert!(error.to_string().contains("must not be NULL"), "{error}");
}
