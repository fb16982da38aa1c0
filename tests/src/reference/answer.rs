//! Rows as `flowdump` prints them for programs.

use flow_common::column::{ColumnId as Id, ExtraColumn, Kind};
use serde_json::{Map, Value, json};

use super::row::{Cell, Row, column};
use super::value;

/// A row as an object: what is not NULL, by the names of columns.
pub(super) fn object(row: &Row, extra: &[ExtraColumn]) -> Value {
    let mut object = Map::new();
    for (place, cell) in row.cells.iter().enumerate() {
        let Some(cell) = cell else { continue };
        let (name, kind) = column(place, extra);
        object.insert(name.to_owned(), json_of(cell, kind));
    }
    if row.rate > 1 {
        object.insert("scaled_by".to_owned(), row.rate.into());
    }
    Value::Object(object)
}

fn json_of(cell: &Cell, kind: Kind) -> Value {
    match cell {
        Cell::Int(micros) if kind == Kind::Timestamp => value::json_time(*micros),
        Cell::Int(number) => json!(number),
        Cell::Labels(labels) => labels.iter().map(|entry| value::label(*entry)).collect(),
        Cell::Other(entries) => {
            let entry =
                |(key, octets): &(i64, Vec<u8>)| (value::other_key(*key), value::hex(octets, "").into());
            Value::Object(entries.iter().map(entry).collect())
        }
        _ => json_value(cell),
    }
}

/// A value that is no time, list or map.
pub(super) fn json_value(cell: &Cell) -> Value {
    match cell {
        Cell::Int(number) => json!(number),
        Cell::Truth(value) => json!(value),
        Cell::Real(number) if number.is_finite() => json!(number),
        other => value::plain(other).map_or(Value::Null, Value::String),
    }
}

/// The columns of `-o csv` that every table of flows has.
pub(super) const CSV_HEADER: &str =
    "flow_start,duration,protocol,src_addr,src_port,dst_addr,dst_port,packets,bytes,flows";

/// The fields of a row, and those of the tree's own columns by name.
pub(super) fn fields(row: &Row, extra: &[ExtraColumn]) -> Vec<String> {
    let int = |id: Id| row.int(id).map(|number| number.to_string()).unwrap_or_default();
    let address = |id: Id| row.address(id).map(|octets| value::address(&octets)).unwrap_or_default();
    let (start, end) = (row.int(Id::FlowStart), row.int(Id::FlowEnd));
    let duration = start.zip(end).map(|(start, end)| end.saturating_sub(start)).map(|micros| {
        let sign = if micros < 0 { "-" } else { "" };
        format!("{sign}{}", value::seconds(micros.unsigned_abs() / 1_000))
    });
    let mut fields = vec![
        start.map(value::time).unwrap_or_default(),
        duration.unwrap_or_default(),
        int(Id::Protocol),
        address(Id::SrcAddr),
        int(Id::SrcPort),
        address(Id::DstAddr),
        int(Id::DstPort),
        int(Id::Packets),
        int(Id::Bytes),
        row.int(Id::FlowCount).unwrap_or(1).to_string(),
    ];
    let n_of_table = flow_common::column::COLUMNS.len();
    fields.extend(row.cells[n_of_table..].iter().zip(extra).map(|(cell, column)| match cell {
        Some(Cell::Int(micros)) if column.kind() == Kind::Timestamp => value::time(*micros),
        Some(cell) => value::plain(cell).unwrap_or_default(),
        None => String::new(),
    }));
    fields
}

/// Records of CSV text (RFC 4180): fields may be quoted and then hold anything.
pub(super) fn csv_records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut fields, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut is_quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            '\n' if !is_quoted => {
                fields.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut fields));
            }
            c => field.push(c),
        }
    }
    assert!(!is_quoted && field.is_empty() && fields.is_empty(), "CSV ends within a record");
    records
}
