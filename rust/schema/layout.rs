//! The one layout that the engine carries: one kind of string, binary, list and decimal; no dictionary.
//!
//! Timestamps keep their unit and zone: the column passes through unchanged, and only the role of
//! event time floors to microseconds.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowTimestampType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, TimeUnit};

use super::{list, named};
use crate::error::{Error, Result};

/// The type in which the engine carries a column of `data_type`.
pub fn internal_type(data_type: &DataType) -> Result<DataType> {
    Ok(match data_type {
        DataType::Dictionary(_, values) => internal_type(values)?,
        DataType::RunEndEncoded(_, values) => internal_type(values.data_type())?,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Duration(_) => DataType::Duration(TimeUnit::Microsecond),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            one_decimal(*precision, *scale).unwrap_or_else(|| data_type.clone())
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => list(internal_type(item.data_type())?),
        DataType::Struct(fields) => {
            let fields: Result<Vec<Field>> = fields
                .iter()
                .map(|field| Ok(Field::new(field.name(), internal_type(field.data_type())?, true)))
                .collect();
            DataType::Struct(fields?.into())
        }
        // among them what no verb reads, such as maps: it is carried as it came
        plain => plain.clone(),
    })
}

/// Whether a value of this type may be lost in its [`internal_type`] type, for want of digits.
pub fn may_lose(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => may_lose(values),
        DataType::RunEndEncoded(_, values) => may_lose(values.data_type()),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => may_lose(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| may_lose(field.data_type())),
        DataType::Date64 | DataType::Time64(TimeUnit::Nanosecond) | DataType::Decimal256(..) => {
            true
        }
        DataType::Duration(unit) => *unit != TimeUnit::Microsecond,
        _ => false,
    }
}

/// A decimal of at most 38 digits and no negative scale; values that need more are an error later.
fn one_decimal(precision: u8, scale: i8) -> Option<DataType> {
    let digits = i16::from(precision) - i16::from(scale).min(0);
    let scale = scale.max(0);
    (scale <= 38).then(|| DataType::Decimal128(digits.min(38) as u8, scale))
}

/// Whether the zone is a name of UTC itself.
pub fn is_utc(zone: Option<&str>) -> bool {
    matches!(zone, Some("UTC" | "Etc/UTC" | "utc" | "Z" | "GMT" | "Etc/GMT" | "+00:00" | "+0000"))
}

/// Text and bytes with 64-bit offsets must fit 32-bit ones; the caller can split the batch.
pub fn text_fits(array: &ArrayRef, to: &DataType) -> Result<()> {
    let bytes: usize = match array.data_type() {
        DataType::LargeUtf8 => span(array.as_string::<i64>().value_offsets()),
        DataType::LargeBinary => span(array.as_binary::<i64>().value_offsets()),
        DataType::Utf8View => array.as_string_view().lengths().map(|length| length as usize).sum(),
        DataType::BinaryView => {
            array.as_binary_view().lengths().map(|length| length as usize).sum()
        }
        _ => 0,
    };
    if bytes <= i32::MAX as usize {
        return Ok(());
    }
    Err(Error::Data(format!(
        "a {} column of {bytes} bytes is more than one batch can hold\nhint: split the batch",
        named(to)
    )))
}

fn span(offsets: &[i64]) -> usize {
    match offsets {
        [first, .., last] => (last - first) as usize,
        [] | [_] => 0,
    }
}

/// The same instants, shown in another zone; `array` is a timestamp.
pub fn rezoned(array: &ArrayRef, zone: Option<Arc<str>>) -> ArrayRef {
    fn retyped<T: ArrowTimestampType>(array: &ArrayRef, zone: Option<Arc<str>>) -> ArrayRef {
        Arc::new(array.as_primitive::<T>().clone().with_timezone_opt(zone))
    }
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => retyped::<TimestampSecondType>(array, zone),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            retyped::<TimestampMillisecondType>(array, zone)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            retyped::<TimestampMicrosecondType>(array, zone)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            retyped::<TimestampNanosecondType>(array, zone)
        }
        _ => array.clone(),
    }
}
