//! The Arrow schema of the files, derived from the table of columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};

use crate::column::{COLUMNS, Column, ExtraColumn, Kind};

/// Version of the schema. Columns are only ever added, so a reader fills what an
/// older file lacks with NULL; the number changes when that is not enough.
pub const SCHEMA_VERSION: u32 = 1;

/// Key under which the `parquet` crate keeps a field's id.
const FIELD_ID: &str = "PARQUET:field_id";

/// Schema of a file of flow records: every column, in table order.
pub fn schema() -> Schema {
    schema_with(&[])
}

/// [`schema`] with the columns an operator defined after those of the table.
pub fn schema_with(extra: &[ExtraColumn]) -> Schema {
    let extra = extra
        .iter()
        .map(|column| with_id(Field::new(&column.name, data_type(column.kind()), true), column.field_id()));
    Schema::new(COLUMNS.iter().map(field).chain(extra).collect::<Vec<_>>())
}

/// The Arrow field of one column.
pub fn field(column: &Column) -> Field {
    with_id(Field::new(column.name, data_type(column.kind), !column.is_required), column.field_id)
}

fn with_id(field: Field, id: i32) -> Field {
    field.with_metadata(HashMap::from([(FIELD_ID.to_owned(), id.to_string())]))
}

/// Arrow type of a kind of column. Signed integers only, no dictionaries and no
/// views: what every engine can read.
pub fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Int32 => DataType::Int32,
        Kind::Int64 => DataType::Int64,
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Address => DataType::FixedSizeBinary(16),
        Kind::Mac => DataType::FixedSizeBinary(6),
        Kind::Text => DataType::Utf8,
        Kind::Binary => DataType::Binary,
        Kind::Float64 => DataType::Float64,
        Kind::Boolean => DataType::Boolean,
        Kind::Labels => DataType::List(label_item()),
        Kind::Other => DataType::Map(other_entries(), false),
    }
}

/// Item of the list of MPLS labels.
pub fn label_item() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Int32, false))
}

/// Entry of the map `other`.
pub fn other_entries() -> Arc<Field> {
    let fields =
        vec![Field::new("key", DataType::Int64, false), Field::new("value", DataType::Binary, false)];
    Arc::new(Field::new("key_value", DataType::Struct(fields.into()), false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_has_every_column_once_with_its_field_id() {
        let schema = schema();
        assert_eq!(schema.fields().len(), COLUMNS.len());
        for (field, column) in schema.fields().iter().zip(COLUMNS) {
            assert_eq!(field.name(), column.name);
            assert_eq!(field.metadata().get(FIELD_ID), Some(&column.field_id.to_string()));
        }
    }
}
