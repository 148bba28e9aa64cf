//! A row as Avro, behind the prefix of a schema registry if there is one.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Fields, SchemaRef, TimeUnit};
use serde::Deserialize;

use super::{Encoder, RowBytes, different_names, options};
use crate::avro::{long, schema_of, text};
use crate::error::{Error, Result};
use crate::schema::named;
use crate::show::{ShownAs, cells};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AvroPrefix {
    /// The id of the rows' schema in a registry, which stands before each row.
    id: Option<u32>,
}

pub fn make(schema: &SchemaRef, given: &str) -> Result<Box<dyn Encoder>> {
    let AvroPrefix { id } = options("avro", given)?;
    different_names(schema)?;
    // columns that Avro has no type for are refused before the first row
    schema_of(schema.fields(), "Row")?;
    let mut prefix = vec![];
    if let Some(id) = id {
        prefix.push(0);
        prefix.extend_from_slice(&id.to_be_bytes());
    }
    Ok(Box::new(AvroEncoder { prefix }))
}

struct AvroEncoder {
    prefix: Vec<u8>,
}

impl Encoder for AvroEncoder {
    fn encode(&self, batch: &RecordBatch, out: &mut RowBytes) -> Result<()> {
        let record = record(batch.schema_ref().fields(), batch.columns())?;
        for row in 0..batch.num_rows() {
            out.row(|bytes| {
                bytes.extend_from_slice(&self.prefix);
                record.iter().for_each(|column| column.write(row, bytes));
            });
        }
        Ok(())
    }
}

/// A column of which each value can be written, null included.
trait AvroWriter: Send + Sync {
    fn write(&self, row: usize, out: &mut Vec<u8>);
}

type BoxedWriter = Box<dyn AvroWriter>;

fn record(fields: &Fields, columns: &[ArrayRef]) -> Result<Vec<BoxedWriter>> {
    let column = |(field, column): (&arrow_schema::FieldRef, &ArrayRef)| {
        avro(column, field).map_err(|error| error.within(&format!("column \"{}\"", field.name())))
    };
    fields.iter().zip(columns).map(column).collect()
}

/// Prepares a column in the type that `avro::schema_of` gives it.
fn avro(column: &ArrayRef, field: &Field) -> Result<BoxedWriter> {
    let as_type = |kind: DataType| Ok::<_, Error>(cast(column, &kind)?);
    Ok(match field.data_type() {
        DataType::Null => Box::new(NoValue),
        DataType::Boolean => {
            let values = column.as_boolean().clone();
            value(column, move |row, out| out.push(values.value(row).into()))
        }
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::Date32
        | DataType::Time32(TimeUnit::Millisecond)
        | DataType::Time64(_)
        | DataType::Timestamp(
            TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond,
            _,
        )
        | DataType::Duration(_) => longs(&as_type(DataType::Int64)?, Some)?,
        DataType::Time32(_) | DataType::Timestamp(TimeUnit::Second, _) => {
            longs(&as_type(DataType::Int64)?, |seconds| seconds.checked_mul(1000))?
        }
        DataType::Date64 => longs(&as_type(DataType::Int64)?, |value| {
            i32::try_from(value.div_euclid(86_400_000)).ok().map(i64::from)
        })?,
        DataType::UInt64 => number::<UInt64Type>(column, |value, out| {
            big_endian(out, &i128::from(value).to_be_bytes());
        }),
        DataType::Float16 | DataType::Float32 => {
            number::<Float32Type>(&as_type(DataType::Float32)?, |value, out| {
                out.extend_from_slice(&value.to_le_bytes());
            })
        }
        DataType::Float64 => number::<Float64Type>(column, |value, out| {
            out.extend_from_slice(&value.to_le_bytes());
        }),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = as_type(DataType::LargeUtf8)?;
            let values = texts.as_string::<i64>().clone();
            value(column, move |row, out| text(out, values.value(row).as_bytes()))
        }
        DataType::FixedSizeBinary(16) if field.extension_type_name() == Some("arrow.uuid") => {
            let cells = cells(column.as_ref(), field);
            value(column, move |row, out| {
                let mut uuid = vec![];
                cells.write(row, ShownAs::Text, &mut uuid);
                text(out, &uuid);
            })
        }
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => {
            let values = as_type(DataType::LargeBinary)?.as_binary::<i64>().clone();
            value(column, move |row, out| text(out, values.value(row)))
        }
        DataType::Decimal32(p, scale)
        | DataType::Decimal64(p, scale)
        | DataType::Decimal128(p, scale)
        | DataType::Decimal256(p, scale)
            if *scale < 0 =>
        {
            let whole = DataType::Decimal256(p.saturating_add(scale.unsigned_abs()).min(76), 0);
            avro(&as_type(whole.clone())?, &Field::new("", whole, true))?
        }
        DataType::Decimal32(..) => number::<Decimal32Type>(column, |value, out| {
            big_endian(out, &value.to_be_bytes());
        }),
        DataType::Decimal64(..) => number::<Decimal64Type>(column, |value, out| {
            big_endian(out, &value.to_be_bytes());
        }),
        DataType::Decimal128(..) => number::<Decimal128Type>(column, |value, out| {
            big_endian(out, &value.to_be_bytes());
        }),
        DataType::Decimal256(..) => number::<Decimal256Type>(column, |value, out| {
            big_endian(out, &value.to_be_bytes());
        }),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => {
            let lists = as_type(DataType::LargeList(item.clone()))?;
            let lists = lists.as_list::<i64>().clone();
            let items = avro(lists.values(), item)?;
            value(column, move |row, out| {
                let ends = lists.value_offsets();
                let (start, end) = (ends[row] as usize, ends[row + 1] as usize);
                if end > start {
                    long(out, (end - start) as i64);
                    (start..end).for_each(|at| items.write(at, out));
                }
                long(out, 0);
            })
        }
        DataType::Struct(fields) => {
            let columns = record(fields, column.as_struct().columns())?;
            value(column, move |row, out| columns.iter().for_each(|one| one.write(row, out)))
        }
        DataType::Dictionary(_, values) => {
            let plain = Field::new("", values.as_ref().clone(), true);
            avro(&as_type(plain.data_type().clone())?, &plain)?
        }
        DataType::RunEndEncoded(_, values) => avro(&as_type(values.data_type().clone())?, values)?,
        other => return Err(Error::Schema(format!("{} has no type in Avro", named(other)))),
    })
}

/// Values that are or may be null: a union whose first type is null.
fn value(
    column: &ArrayRef,
    write: impl Fn(usize, &mut Vec<u8>) + Send + Sync + 'static,
) -> BoxedWriter {
    Box::new(MaybeNull { valid: column.nulls().cloned(), write })
}

struct MaybeNull<W> {
    valid: Option<NullBuffer>,
    write: W,
}

impl<W: Fn(usize, &mut Vec<u8>) + Send + Sync> AvroWriter for MaybeNull<W> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.valid.as_ref().is_some_and(|valid| valid.is_null(row)) {
            return out.push(0);
        }
        // the union's second type
        out.push(2);
        (self.write)(row, out);
    }
}

struct NoValue;

impl AvroWriter for NoValue {
    fn write(&self, _: usize, _: &mut Vec<u8>) {}
}

fn number<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    write: impl Fn(T::Native, &mut Vec<u8>) + Send + Sync + 'static,
) -> BoxedWriter {
    let values = column.as_primitive::<T>().values().clone();
    value(column, move |row, out| write(values[row], out))
}

/// Whole numbers, each as another one.
fn longs(column: &ArrayRef, convert: impl Fn(i64) -> Option<i64>) -> Result<BoxedWriter> {
    let values = column.as_primitive::<Int64Type>();
    let mut converted = Vec::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        let kept = value.map_or(Some(0), &convert);
        converted.push(kept.ok_or_else(|| {
            Error::Data(format!("row {row}: {} is too far for Avro", value.unwrap_or_default()))
        })?);
    }
    Ok(value(column, move |row, out| long(out, converted[row])))
}

/// A whole number in as few bytes as it needs, sign included.
fn big_endian(out: &mut Vec<u8>, value: &[u8]) {
    let sign = if value[0] & 0x80 == 0 { 0 } else { 0xff };
    let needed = |pair: &[u8]| pair[0] != sign || (pair[1] ^ sign) & 0x80 != 0;
    let start = value.windows(2).position(needed).unwrap_or(value.len() - 1);
    text(out, &value[start..]);
}
