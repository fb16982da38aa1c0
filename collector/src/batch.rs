//! Column buffers as Arrow arrays, in order of the column table.

use std::sync::Arc;

use arrow_array::types::{ArrowPrimitiveType, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, BinaryArray, FixedSizeBinaryArray, ListArray, MapArray, PrimitiveArray, RecordBatch,
    StringArray, StructArray, new_null_array,
};
use arrow_buffer::{ArrowNativeType, Buffer as ArrowBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Schema};
use flow_common::column::{COLUMNS, ExtraColumn, Kind};
use flow_common::schema;

use crate::extra;
use crate::flow::{Buffer, Fixed, FlowBatch, Lists, Maps, Variable};

/// Turns a batch into one record batch of the files' schema: the table's columns,
/// then `extra`.
pub(crate) fn to_record_batch(
    mut batch: FlowBatch,
    extra: &[ExtraColumn],
    schema: &Arc<Schema>,
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.rows();
    let extra = extra::take(&mut batch, extra);
    // Most columns of most batches: those of a kind share one array.
    let mut nulls: Vec<(Kind, ArrayRef)> = Vec::new();
    let mut null_array = |kind| match nulls.iter().find(|(known, _)| *known == kind) {
        Some((_, array)) => Arc::clone(array),
        None => {
            let array = new_null_array(&schema::data_type(kind), rows);
            nulls.push((kind, Arc::clone(&array)));
            array
        }
    };
    let arrays = COLUMNS.iter().zip(batch.into_buffers()).map(|(column, mut buffer)| {
        if buffer.len() == 0 {
            return Ok(null_array(column.kind));
        }
        buffer.pad_to(rows);
        to_array(buffer, column.kind, rows)
    });
    let arrays = arrays.chain(extra.into_iter().map(Ok)).collect::<Result<_, _>>()?;
    RecordBatch::try_new(Arc::clone(schema), arrays)
}

fn to_array(buffer: Buffer, kind: Kind, rows: usize) -> Result<ArrayRef, ArrowError> {
    Ok(match buffer {
        Buffer::Int32(fixed) => Arc::new(primitive::<Int32Type>(fixed, rows)?),
        Buffer::Int64(fixed) if kind == Kind::Timestamp => {
            Arc::new(primitive::<TimestampMicrosecondType>(fixed, rows)?.with_timezone("UTC"))
        }
        Buffer::Int64(fixed) => Arc::new(primitive::<Int64Type>(fixed, rows)?),
        Buffer::Address(fixed) => fixed_size(fixed, rows)?,
        Buffer::Mac(fixed) => fixed_size(fixed, rows)?,
        Buffer::Variable(variable) => match kind {
            Kind::Text => {
                let (offsets, bytes, nulls) = parts(variable);
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            _ => Arc::new(binary(variable)?),
        },
        Buffer::Lists(lists) => labels(lists)?,
        Buffer::Maps(maps) => other(maps)?,
    })
}

/// NULLs of a column; an empty list means that there are none.
fn nulls(valid: Vec<bool>) -> Option<NullBuffer> {
    (!valid.is_empty()).then(|| NullBuffer::from(valid))
}

fn primitive<T: ArrowPrimitiveType>(
    fixed: Fixed<T::Native>,
    rows: usize,
) -> Result<PrimitiveArray<T>, ArrowError> {
    let (values, valid) = fixed.into_rows(rows);
    PrimitiveArray::try_new(values.into(), nulls(valid))
}

fn fixed_size<const N: usize>(fixed: Fixed<[u8; N]>, rows: usize) -> Result<ArrayRef, ArrowError>
where
    [u8; N]: Default,
{
    let (values, valid) = fixed.into_rows(rows);
    let bytes = ArrowBuffer::from_vec(values.into_flattened());
    Ok(Arc::new(FixedSizeBinaryArray::try_new(N as i32, bytes, nulls(valid))?))
}

fn offsets(ends: &[i32]) -> OffsetBuffer<i32> {
    let starts: Vec<i32> = std::iter::once(0).chain(ends.iter().copied()).collect();
    OffsetBuffer::new(ScalarBuffer::from(starts))
}

fn parts(variable: Variable) -> (OffsetBuffer<i32>, ArrowBuffer, Option<NullBuffer>) {
    (offsets(&variable.ends), ArrowBuffer::from_vec(variable.bytes), nulls(variable.valid))
}

fn binary(variable: Variable) -> Result<BinaryArray, ArrowError> {
    let (offsets, bytes, nulls) = parts(variable);
    BinaryArray::try_new(offsets, bytes, nulls)
}

/// A row without entries is NULL.
fn not_empty(ends: &[i32]) -> NullBuffer {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    NullBuffer::from_iter(starts.zip(ends).map(|(start, &end)| start.as_usize() < end.as_usize()))
}

fn labels(lists: Lists) -> Result<ArrayRef, ArrowError> {
    let items = PrimitiveArray::<Int32Type>::new(lists.items.into(), None);
    let nulls = not_empty(&lists.ends);
    Ok(Arc::new(ListArray::try_new(
        schema::label_item(),
        offsets(&lists.ends),
        Arc::new(items),
        Some(nulls),
    )?))
}

fn other(maps: Maps) -> Result<ArrayRef, ArrowError> {
    let entries = schema::other_entries();
    let DataType::Struct(fields) = entries.data_type().clone() else { unreachable!("entries are a struct") };
    let keys = PrimitiveArray::<Int64Type>::new(maps.keys.into(), None);
    let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(binary(maps.values)?)];
    let structs = StructArray::try_new(fields, columns, None)?;
    let nulls = not_empty(&maps.ends);
    Ok(Arc::new(MapArray::try_new(entries, offsets(&maps.ends), structs, Some(nulls), false)?))
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use flow_common::column::ColumnId;

    use super::*;

    #[test]
    fn every_kind_of_column_becomes_an_array_of_the_schema() {
        let mut batch = FlowBatch::default();
        batch.int64(ColumnId::Received).push_n(1, 2);
        batch.address(ColumnId::ExporterAddr).push_n([0; 16], 2);
        batch.int32(ColumnId::ExportVersion).push_n(9, 2);
        batch.mac(ColumnId::InSrcMac).push(Some([1; 6]));
        batch.variable(ColumnId::Username).push(Some(b"joe"));
        batch.variable(ColumnId::IngressAcl).push(None);
        let lists = batch.lists(ColumnId::MplsLabels);
        lists.items.push(17);
        lists.ends.push(1);
        let maps = batch.maps(ColumnId::Other);
        maps.keys.push(82);
        maps.values.push(Some(b"x"));
        maps.ends.push(1);
        batch.add_rows(2);
        let schema = Arc::new(schema::schema());
        let record_batch = to_record_batch(batch, &[], &schema).unwrap();
        assert_eq!(record_batch.num_rows(), 2);
        let nulls_of = |column: ColumnId| record_batch.column(column as usize).null_count();
        assert_eq!(nulls_of(ColumnId::Received), 0);
        for column in [ColumnId::InSrcMac, ColumnId::Username, ColumnId::MplsLabels, ColumnId::Other] {
            assert_eq!(nulls_of(column), 1, "{}", column.name());
        }
        assert_eq!(nulls_of(ColumnId::IngressAcl), 2);
    }
}
