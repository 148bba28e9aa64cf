//! Values as another type; what does not fit is lost, and said to be.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, Int64Array, PrimitiveArray, StringArray, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};

use super::lost::either;
use crate::error::Result;
use crate::schema::moments::{Instant, per_second};
use crate::schema::{is_utc, rezoned};
use crate::show;

/// The values, null where one was lost, and the rows where that happened.
type Cast = (ArrayRef, Option<BooleanBuffer>);

/// Whether values of one type can stand for values of the other at all.
///
/// Times become integers in microseconds; integers become times by the epoch functions only.
pub fn castable(from: &DataType, to: &DataType) -> bool {
    use DataType::{Binary, Boolean, Date32, Duration, Null, Time64, Timestamp, Utf8};
    let number = |t: &DataType| t.is_numeric() && t != &DataType::Float16;
    match (from, to) {
        _ if from == to => true,
        (Null, _) => true,
        _ if number(from) && number(to) => true,
        (Boolean, other) | (other, Boolean) if other.is_integer() || other.is_floating() => true,
        (Utf8, Boolean | Binary | Date32 | Timestamp(..) | Time64(_)) => true,
        (Boolean | Binary | Date32 | Time64(_), Utf8) => true,
        (Utf8, other) | (other, Utf8) if number(other) => true,
        (Timestamp(_, zone), Utf8) => fixed(zone.as_deref()),
        (Timestamp(..), Date32 | Timestamp(..)) | (Date32, Timestamp(..)) => true,
        (Timestamp(..) | Duration(_), other) | (other, Duration(_)) => other.is_integer(),
        _ => false,
    }
}

/// Casts each value by itself.
///
/// Numbers to integers are cut toward zero, to decimals rounded half away from zero; times to
/// coarser units are floored.
pub fn cast(array: &ArrayRef, to: &DataType) -> Result<Cast> {
    use DataType::{Date32, Decimal128, Duration, Float64, Int64, Null, Timestamp, Utf8};
    let from = array.data_type();
    match (from, to) {
        _ if from == to => Ok((array.clone(), None)),
        (Null, _) => Ok((new_null_array(to, array.len()), None)),
        (Timestamp(unit, _), Timestamp(other, _)) if unit == other => {
            Ok((retyped(&ticks(array), to), None))
        }
        (Timestamp(unit, _), Timestamp(other, _)) => rescaled(&ticks(array), *unit, *other, to),
        (Timestamp(unit, _), Date32) => {
            let day = 86_400 * per_second(*unit);
            let ticks = ticks(array);
            let days: PrimitiveArray<Date32Type> =
                ticks.unary_opt(|time| time.div_euclid(day).try_into().ok());
            let over = lost(&ticks, &days);
            Ok((Arc::new(days), over))
        }
        (Date32, Timestamp(unit, _)) => {
            let days = array.as_primitive::<Date32Type>().unary::<_, Int64Type>(i64::from);
            let day = 86_400 * per_second(*unit);
            let ticks = days.unary_opt::<_, Int64Type>(|days| days.checked_mul(day));
            Ok((retyped(&ticks, to), lost(&days, &ticks)))
        }
        (Timestamp(unit, _), _) if to.is_integer() => {
            let (micros, over) = rescaled(&ticks(array), *unit, TimeUnit::Microsecond, &Int64)?;
            let (result, more) = cast(&micros, to)?;
            Ok((result, either(over, more)))
        }
        (Duration(_), _) => {
            let micros: ArrayRef = Arc::new(ticks(array));
            cast(&micros, to)
        }
        (_, Duration(_)) => {
            let (micros, over) = cast(array, &Int64)?;
            Ok((retyped(micros.as_primitive::<Int64Type>(), to), over))
        }
        (Utf8, Timestamp(unit, _)) => {
            // digits that the unit has not are cut, as in a cast from a finer time
            let read = |text| Instant::read(text)?.floored(*unit);
            let ticks: Int64Array =
                array.as_string::<i32>().iter().map(|text| text.and_then(read)).collect();
            Ok((retyped(&ticks, to), lost(array, &ticks)))
        }
        (Utf8, Date32) => {
            let texts = array.as_string::<i32>().iter();
            let days: PrimitiveArray<Date32Type> =
                texts.map(|text| text.and_then(|text| Instant::read(text)?.day().ok())).collect();
            let over = lost(array, &days);
            Ok((Arc::new(days), over))
        }
        (Timestamp(_, zone), Utf8) if is_utc(zone.as_deref()) => {
            by_arrow(&rezoned(array, Some("+00:00".into())), to)
        }
        (Decimal128(_, scale), Float64) => {
            let decimals = array.as_primitive::<Decimal128Type>();
            Ok((Arc::new(decimals.unary::<_, Float64Type>(|v| nearest(v, *scale))), None))
        }
        (_, Int64) if from.is_integer() && from != &DataType::UInt64 => {
            Ok((Arc::new(whole(array)), None))
        }
        (_, Float64) if from.is_integer() || from == &DataType::Float32 => {
            Ok((floats(array), None))
        }
        _ => by_arrow(array, to),
    }
}

/// The nearest float to `value / 10^scale`.
pub fn nearest(value: i128, scale: i8) -> f64 {
    const EXACT: u128 = 1 << 53;
    const POWERS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ];
    if let Some(power) = POWERS.get(scale as usize)
        && value.unsigned_abs() <= EXACT
    {
        // both sides are floats themselves, so the division rounds once
        return value as f64 / power;
    }
    format!("{value}e{}", -i32::from(scale)).parse().expect("digits and an exponent")
}

fn by_arrow(array: &ArrayRef, to: &DataType) -> Result<Cast> {
    let arrow = |array: &dyn Array| cast_with_options(array, to, &CastOptions::default());
    let result = match arrow(array) {
        // Arrow writes no times that are far from now: those are written as everywhere else
        Err(_) if *to == DataType::Utf8 => {
            let text = |row| match arrow(&array.slice(row, 1)) {
                Ok(one) => Ok(one.is_valid(0).then(|| one.as_string::<i32>().value(0).to_string())),
                Err(_) => Ok(Some(show::text(array, row))),
            };
            let texts: Result<StringArray> = (0..array.len()).map(text).collect();
            Arc::new(texts?) as ArrayRef
        }
        other => other?,
    };
    let over = lost(array, &result);
    Ok((result, over))
}

/// Rows that are null now and were not before.
fn lost(before: &dyn Array, after: &dyn Array) -> Option<BooleanBuffer> {
    if after.null_count() == before.logical_null_count() {
        return None;
    }
    let now = !after.nulls()?.inner();
    Some(match before.logical_nulls() {
        Some(valid) => valid.inner() & &now,
        None => now,
    })
}

/// Ticks of one unit as those of another, toward minus infinity.
fn rescaled(ticks: &Int64Array, from: TimeUnit, unit: TimeUnit, to: &DataType) -> Result<Cast> {
    let (own, other) = (per_second(from), per_second(unit));
    if own >= other {
        let step = own / other;
        return Ok((retyped(&ticks.unary(|time| time.div_euclid(step)), to), None));
    }
    let step = other / own;
    let result: Int64Array = ticks.unary_opt(|time| time.checked_mul(step));
    Ok((retyped(&result, to), lost(ticks, &result)))
}

/// The 64-bit integers of a timestamp, duration, time or integer.
pub(super) fn ticks(array: &ArrayRef) -> Int64Array {
    fn ticks_of<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef) -> Int64Array {
        array.as_primitive::<T>().reinterpret_cast()
    }
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => ticks_of::<TimestampSecondType>(array),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            ticks_of::<TimestampMillisecondType>(array)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            ticks_of::<TimestampMicrosecondType>(array)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => ticks_of::<TimestampNanosecondType>(array),
        DataType::Duration(_) => ticks_of::<DurationMicrosecondType>(array),
        DataType::Time64(_) => ticks_of::<Time64MicrosecondType>(array),
        _ => ticks_of::<Int64Type>(array),
    }
}

/// 64-bit integers as the type that they stand for; the inverse of [`ticks`].
pub(super) fn retyped(ticks: &Int64Array, to: &DataType) -> ArrayRef {
    fn to_type<T: ArrowPrimitiveType<Native = i64>>(ticks: &Int64Array) -> PrimitiveArray<T> {
        ticks.reinterpret_cast()
    }
    let array: ArrayRef = match to {
        DataType::Timestamp(TimeUnit::Second, _) => Arc::new(to_type::<TimestampSecondType>(ticks)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Arc::new(to_type::<TimestampMillisecondType>(ticks))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Arc::new(to_type::<TimestampMicrosecondType>(ticks))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Arc::new(to_type::<TimestampNanosecondType>(ticks))
        }
        DataType::Duration(_) => Arc::new(to_type::<DurationMicrosecondType>(ticks)),
        DataType::Time64(_) => Arc::new(to_type::<Time64MicrosecondType>(ticks)),
        _ => Arc::new(ticks.clone()),
    };
    match to {
        DataType::Timestamp(_, zone) => rezoned(&array, zone.clone()),
        _ => array,
    }
}

/// Integers of up to 63 bits and a sign.
fn whole(array: &ArrayRef) -> Int64Array {
    fn widened<T: ArrowPrimitiveType<Native: Into<i64>>>(array: &ArrayRef) -> Int64Array {
        array.as_primitive::<T>().unary(Into::into)
    }
    match array.data_type() {
        DataType::Int8 => widened::<Int8Type>(array),
        DataType::Int16 => widened::<Int16Type>(array),
        DataType::Int32 => widened::<Int32Type>(array),
        DataType::UInt8 => widened::<UInt8Type>(array),
        DataType::UInt16 => widened::<UInt16Type>(array),
        DataType::UInt32 => widened::<UInt32Type>(array),
        _ => widened::<Int64Type>(array),
    }
}

fn floats(array: &ArrayRef) -> ArrayRef {
    Arc::new(match array.data_type() {
        DataType::Float32 => array.as_primitive::<Float32Type>().unary::<_, Float64Type>(f64::from),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().unary(|v| v as f64),
        _ => whole(array).unary(|v| v as f64),
    })
}

/// Whether the offset from UTC is known without a calendar.
fn fixed(zone: Option<&str>) -> bool {
    zone.is_none_or(|zone| is_utc(Some(zone)) || zone.starts_with(['+', '-']))
}
