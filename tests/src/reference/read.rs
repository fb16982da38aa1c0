//! Rows of a Parquet file by the `parquet` crate's record reader, which decodes a
//! value at a time and knows no Arrow.

use std::fs::File;
use std::path::Path;

use flow_common::column::{COLUMNS, ExtraColumn, by_name};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::row::{Cell, Row};

/// Every row of the file.
pub(super) fn rows(path: &Path, extra: &[ExtraColumn]) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(path).expect("a file")).expect("a Parquet file");
    let rows = reader.get_row_iter(None).expect("columns the record reader knows");
    rows.map(|row| {
        let mut cells = vec![None; COLUMNS.len() + extra.len()];
        for (name, field) in row.expect("a row").into_columns() {
            let of_tree = || extra.iter().position(|one| one.name == name).map(|at| COLUMNS.len() + at);
            let place = by_name(&name).map(|column| column.id as usize).or_else(of_tree);
            cells[place.unwrap_or_else(|| panic!("no column is called {name}"))] = cell(field);
        }
        Row { cells, rate: 1 }
    })
    .collect()
}

fn cell(field: Field) -> Option<Cell> {
    Some(match field {
        Field::Null => return None,
        Field::Bool(value) => Cell::Truth(value),
        Field::Int(value) => Cell::Int(value.into()),
        Field::Long(value) | Field::TimestampMicros(value) => Cell::Int(value),
        Field::Double(value) => Cell::Real(value),
        Field::Str(text) => Cell::Text(text),
        Field::Bytes(octets) => Cell::Octets(octets.data().to_vec()),
        Field::ListInternal(list) => {
            let labels = list.elements().iter().map(|one| match one {
                Field::Int(value) => *value,
                other => panic!("a list of {other:?}"),
            });
            Cell::Labels(labels.collect())
        }
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|entry| match entry {
                (Field::Long(key), Field::Bytes(octets)) => (*key, octets.data().to_vec()),
                other => panic!("a map of {other:?}"),
            });
            Cell::Other(entries.collect())
        }
        other => panic!("a value {other:?}"),
    })
}
