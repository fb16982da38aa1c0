//! Column buffers of variable width as Arrow arrays.

use std::sync::Arc;

use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{ArrayRef, BinaryArray, ListArray, MapArray, PrimitiveArray, StringArray, StructArray};
use arrow_buffer::{ArrowNativeType, Buffer as ArrowBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType};
use flow_common::column::Kind;
use flow_common::schema;

use crate::flow::{Buffer, Lists, Maps, Variable};

/// The array of a column of variable width, as long as the batch.
pub(crate) fn to_array(buffer: Buffer, kind: Kind) -> Result<ArrayRef, ArrowError> {
    Ok(match buffer {
        Buffer::Variable(variable) => match kind {
            Kind::Text => {
                let (offsets, bytes, nulls) = parts(variable);
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            _ => Arc::new(binary(variable)?),
        },
        Buffer::Lists(lists) => labels(lists)?,
        Buffer::Maps(maps) => other(maps)?,
        Buffer::Int32(_) | Buffer::Int64(_) | Buffer::Address(_) | Buffer::Mac(_) => {
            unreachable!("columns of fixed width become pages without arrays")
        }
    })
}

/// NULLs of a column; an empty list means that there are none.
fn nulls(valid: Vec<bool>) -> Option<NullBuffer> {
    (!valid.is_empty()).then(|| NullBuffer::from(valid))
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
