//! Values as values of a declared type, each by itself: exactly, or not at all.
//!
//! Rows of Python, JSON, cells of CSV and columns of Arrow all become columns of their stream here,
//! so that a value means the same whatever door it comes through, alone or beside others.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, PrimitiveBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, ListArray, StructArray, new_null_array};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, Field, TimeUnit};

use super::edge::{rezoned, text_fits};
use super::moments::{self, Instant, per_second};
use super::named;
use super::texts::{self, Misfit};
use crate::error::{Error, Result};

/// A column in its type, null where a value does not fit, and those rows.
pub struct Fitted {
    /// The values.
    pub array: ArrayRef,
    /// The rows that do not fit, rising, and why.
    pub misfits: Vec<(usize, Misfit)>,
}

/// Which texts may represent a value of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextsFor {
    /// Values that JSON has no word for: times, durations, decimals, bytes, NaN and infinities.
    Some,
    /// Every value, as in a file that has nothing but text.
    All,
}

/// A value on its way.
enum GivenColumn<'a> {
    Bool(bool),
    Whole(i128),
    Float(f64),
    /// Unscaled value and scale.
    Decimal(i128, i8),
    /// Nanoseconds since 1970 in UTC.
    Moment(i128),
    /// Nanoseconds since midnight.
    Clock(i128),
    /// Nanoseconds.
    Span(i128),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// A value that cannot be converted.
    Other,
    /// A number of more digits than any type has.
    Huge,
}

/// The column as type `to`, a normalised type.
///
/// # Errors
///
/// `Schema` where no value of the one type is one of the other.
pub fn fit(array: &ArrayRef, to: &DataType, texts: TextsFor) -> Result<Fitted> {
    let from = array.data_type();
    text_fits(array, to)?;
    let whole = |array: ArrayRef| Ok(Fitted { array, misfits: vec![] });
    match (from, to) {
        _ if from == to => whole(array.clone()),
        (DataType::Null, _) => whole(new_null_array(to, array.len())),
        (DataType::Dictionary(_, values), _) => fit(&cast(array, values)?, to, texts),
        (DataType::RunEndEncoded(_, values), _) => {
            fit(&cast(array, values.data_type())?, to, texts)
        }
        (DataType::LargeUtf8 | DataType::Utf8View, _) => {
            fit(&cast(array, &DataType::Utf8)?, to, texts)
        }
        (DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_), _) => {
            fit(&cast(array, &DataType::Binary)?, to, texts)
        }
        (DataType::Timestamp(own, _), DataType::Timestamp(unit, zone)) if own == unit => {
            whole(rezoned(array, zone.clone()))
        }
        (_, DataType::List(item)) if is_list(from) => fit_list(array, item, texts),
        (DataType::Struct(_), DataType::Struct(fields)) => fit_struct(array, fields, texts),
        _ if nested(from) || nested(to) => {
            Err(Error::Schema(format!("the column is {}, not {}", named(from), named(to))))
        }
        _ => each(array, to, texts),
    }
}

fn is_list(data_type: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView};
    matches!(data_type, List(_) | LargeList(_) | ListView(_) | LargeListView(_) | FixedSizeList(..))
}

fn nested(data_type: &DataType) -> bool {
    data_type.is_nested() || matches!(data_type, DataType::Interval(_))
}

/// A list column: a row fits if all its items do.
fn fit_list(array: &ArrayRef, item: &Arc<Field>, texts: TextsFor) -> Result<Fitted> {
    let own = match array.data_type() {
        DataType::List(own)
        | DataType::LargeList(own)
        | DataType::ListView(own)
        | DataType::LargeListView(own)
        | DataType::FixedSizeList(own, _) => own.clone(),
        other => return Err(Error::Engine(format!("{other} is not a list"))),
    };
    let lists = cast(array, &DataType::List(own))?;
    let lists = lists.as_list::<i32>();
    let items = fit(lists.values(), item.data_type(), texts)?;
    let mut misfits: Vec<(usize, Misfit)> = vec![];
    let mut bad = items.misfits.into_iter().peekable();
    for (row, ends) in lists.value_offsets().windows(2).enumerate() {
        while let Some((_, why)) =
            bad.next_if(|&(at, _)| (at as i32) < ends[1]).filter(|&(at, _)| at as i32 >= ends[0])
        {
            if lists.is_valid(row) && misfits.last().is_none_or(|&(last, _)| last != row) {
                misfits.push((row, why));
            }
        }
    }
    let nulls = without(lists.nulls(), lists.len(), &misfits);
    let array = ListArray::try_new(item.clone(), lists.offsets().clone(), items.array, nulls)?;
    Ok(Fitted { array: Arc::new(array), misfits })
}

/// A struct column, field by field; one that is not given is null, one not declared is left out.
fn fit_struct(array: &ArrayRef, fields: &arrow_schema::Fields, texts: TextsFor) -> Result<Fitted> {
    let rows = array.as_struct();
    let (mut columns, mut misfits) = (Vec::with_capacity(fields.len()), vec![]);
    for field in fields {
        let Some(column) = rows.column_by_name(field.name()) else {
            columns.push(new_null_array(field.data_type(), rows.len()));
            continue;
        };
        let fitted = fit(column, field.data_type(), texts)?;
        columns.push(fitted.array);
        misfits.extend(fitted.misfits.into_iter().filter(|&(row, _)| rows.is_valid(row)));
    }
    misfits.sort_by_key(|&(row, _)| row);
    misfits.dedup_by_key(|&mut (row, _)| row);
    let nulls = without(rows.nulls(), rows.len(), &misfits);
    let array: ArrayRef = if fields.is_empty() {
        Arc::new(StructArray::new_empty_fields(rows.len(), nulls))
    } else {
        Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?)
    };
    Ok(Fitted { array, misfits })
}

/// The valid rows without those that do not fit.
fn without(
    nulls: Option<&NullBuffer>,
    len: usize,
    misfits: &[(usize, Misfit)],
) -> Option<NullBuffer> {
    if misfits.is_empty() {
        return nulls.cloned();
    }
    let mut valid: Vec<bool> = match nulls {
        Some(nulls) => nulls.iter().collect(),
        None => vec![true; len],
    };
    misfits.iter().for_each(|&(row, _)| valid[row] = false);
    Some(NullBuffer::from(valid))
}

/// A plain column, value by value.
fn each(array: &ArrayRef, to: &DataType, texts: TextsFor) -> Result<Fitted> {
    use DataType::*;
    match to {
        Int8 => primitive::<Int8Type>(array, to, |v| integer(v, texts)),
        Int16 => primitive::<Int16Type>(array, to, |v| integer(v, texts)),
        Int32 => primitive::<Int32Type>(array, to, |v| integer(v, texts)),
        Int64 => primitive::<Int64Type>(array, to, |v| integer(v, texts)),
        UInt8 => primitive::<UInt8Type>(array, to, |v| integer(v, texts)),
        UInt16 => primitive::<UInt16Type>(array, to, |v| integer(v, texts)),
        UInt32 => primitive::<UInt32Type>(array, to, |v| integer(v, texts)),
        UInt64 => primitive::<UInt64Type>(array, to, |v| integer(v, texts)),
        Float32 => primitive::<Float32Type>(array, to, |v| single(v, texts)),
        Float64 => primitive::<Float64Type>(array, to, |v| float(v, texts)),
        Decimal128(p, s) => primitive::<Decimal128Type>(array, to, |v| decimal(v, *p, *s)),
        Date32 => primitive::<Date32Type>(array, to, day),
        Time64(_) => primitive::<Time64MicrosecondType>(array, to, |v| match v {
            GivenColumn::Clock(nanos) => moments::ticks(nanos, TimeUnit::Microsecond),
            GivenColumn::Text(text) => moments::time_of_day(text),
            _ => Err(Misfit::Kind),
        }),
        Duration(unit) => {
            let read = |v: GivenColumn| span(v, *unit);
            match unit {
                TimeUnit::Second => primitive::<DurationSecondType>(array, to, read),
                TimeUnit::Millisecond => primitive::<DurationMillisecondType>(array, to, read),
                TimeUnit::Microsecond => primitive::<DurationMicrosecondType>(array, to, read),
                TimeUnit::Nanosecond => primitive::<DurationNanosecondType>(array, to, read),
            }
        }
        Timestamp(unit, _) => {
            let read = |v: GivenColumn| moment(v, *unit);
            match unit {
                TimeUnit::Second => primitive::<TimestampSecondType>(array, to, read),
                TimeUnit::Millisecond => primitive::<TimestampMillisecondType>(array, to, read),
                TimeUnit::Microsecond => primitive::<TimestampMicrosecondType>(array, to, read),
                TimeUnit::Nanosecond => primitive::<TimestampNanosecondType>(array, to, read),
            }
        }
        Boolean => {
            let (mut built, mut misfits) = (BooleanBuilder::with_capacity(array.len()), vec![]);
            read(array, &mut misfits, |v| truth(v, texts), |value| built.append_option(value))?;
            Ok(Fitted { array: Arc::new(built.finish()), misfits })
        }
        Binary => {
            let (mut built, mut misfits) = (BinaryBuilder::new(), vec![]);
            let bytes = |v: GivenColumn| match v {
                GivenColumn::Bytes(bytes) => Ok(bytes.to_vec()),
                GivenColumn::Text(text) => texts::base64(text),
                _ => Err(Misfit::Kind),
            };
            read(array, &mut misfits, bytes, |value| built.append_option(value))?;
            Ok(Fitted { array: Arc::new(built.finish()), misfits })
        }
        // text, and nothing: no other value is one
        _ => {
            let valid = (0..array.len()).filter(|&row| array.is_valid(row));
            let misfits = valid.map(|row| (row, Misfit::Kind)).collect();
            Ok(Fitted { array: new_null_array(to, array.len()), misfits })
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    to: &DataType,
    convert: impl Fn(GivenColumn) -> Result<T::Native, Misfit>,
) -> Result<Fitted> {
    let built = PrimitiveBuilder::<T>::with_capacity(array.len());
    let (mut built, mut misfits) = (built.with_data_type(to.clone()), vec![]);
    read(array, &mut misfits, convert, |value| built.append_option(value))?;
    Ok(Fitted { array: Arc::new(built.finish()), misfits })
}

/// Converts each value; the type of the column is looked at once.
fn read<V>(
    array: &ArrayRef,
    misfits: &mut Vec<(usize, Misfit)>,
    convert: impl Fn(GivenColumn) -> Result<V, Misfit>,
    mut push: impl FnMut(Option<V>),
) -> Result<()> {
    use DataType::*;
    macro_rules! go {
        ($values:expr, $given:expr) => {{
            let (values, given) = ($values, $given);
            for row in 0..array.len() {
                if array.is_null(row) {
                    push(None);
                    continue;
                }
                let value = convert(given(values.value(row)));
                misfits.extend(value.as_ref().err().map(|&why| (row, why)));
                push(value.ok());
            }
        }};
    }
    macro_rules! primitive {
        ($kind:ty, $given:expr) => {
            go!(array.as_primitive::<$kind>(), $given)
        };
    }
    let nanos = |unit: TimeUnit| i128::from(1_000_000_000 / per_second(unit));
    match array.data_type() {
        Boolean => go!(array.as_boolean(), GivenColumn::Bool),
        Int8 => primitive!(Int8Type, |v| GivenColumn::Whole(i128::from(v))),
        Int16 => primitive!(Int16Type, |v| GivenColumn::Whole(i128::from(v))),
        Int32 => primitive!(Int32Type, |v| GivenColumn::Whole(i128::from(v))),
        Int64 => primitive!(Int64Type, |v| GivenColumn::Whole(i128::from(v))),
        UInt8 => primitive!(UInt8Type, |v| GivenColumn::Whole(i128::from(v))),
        UInt16 => primitive!(UInt16Type, |v| GivenColumn::Whole(i128::from(v))),
        UInt32 => primitive!(UInt32Type, |v| GivenColumn::Whole(i128::from(v))),
        UInt64 => primitive!(UInt64Type, |v| GivenColumn::Whole(i128::from(v))),
        Float16 => {
            let wide = cast(array, &Float32)?;
            return read(&wide, misfits, convert, push);
        }
        Float32 => primitive!(Float32Type, |v| GivenColumn::Float(f64::from(v))),
        Float64 => primitive!(Float64Type, GivenColumn::Float),
        Decimal32(_, s) => {
            primitive!(Decimal32Type, |v| GivenColumn::Decimal(i128::from(v), *s))
        }
        Decimal64(_, s) => {
            primitive!(Decimal64Type, |v| GivenColumn::Decimal(i128::from(v), *s))
        }
        Decimal128(_, s) => primitive!(Decimal128Type, |v| GivenColumn::Decimal(v, *s)),
        Decimal256(_, s) => primitive!(Decimal256Type, |v: arrow_buffer::i256| {
            v.to_i128().map_or(GivenColumn::Huge, |v| GivenColumn::Decimal(v, *s))
        }),
        Date32 => primitive!(Date32Type, |v| GivenColumn::Moment(i128::from(v) * DAY_NS)),
        Date64 => primitive!(Date64Type, |v| GivenColumn::Moment(i128::from(v) * 1_000_000)),
        Time32(TimeUnit::Second) => {
            primitive!(Time32SecondType, |v| GivenColumn::Clock(i128::from(v) * 1_000_000_000))
        }
        Time32(_) => {
            primitive!(Time32MillisecondType, |v| GivenColumn::Clock(i128::from(v) * 1_000_000))
        }
        Time64(TimeUnit::Nanosecond) => {
            primitive!(Time64NanosecondType, |v| GivenColumn::Clock(i128::from(v)))
        }
        Time64(_) => {
            primitive!(Time64MicrosecondType, |v| GivenColumn::Clock(i128::from(v) * 1_000))
        }
        Timestamp(unit, _) => {
            let (step, ticks) = (nanos(*unit), cast(array, &Int64)?);
            go!(ticks.as_primitive::<Int64Type>(), |v| GivenColumn::Moment(i128::from(v) * step));
        }
        Duration(unit) => {
            let (step, ticks) = (nanos(*unit), cast(array, &Int64)?);
            go!(ticks.as_primitive::<Int64Type>(), |v| GivenColumn::Span(i128::from(v) * step));
        }
        Utf8 => go!(array.as_string::<i32>(), GivenColumn::Text),
        Binary => go!(array.as_binary::<i32>(), GivenColumn::Bytes),
        _ => {
            for row in 0..array.len() {
                let why = convert(GivenColumn::Other).err().filter(|_| array.is_valid(row));
                misfits.extend(why.map(|why| (row, why)));
                push(None);
            }
        }
    }
    Ok(())
}

/// Integers up to here are each a float of their own.
const EXACT_MAX: u128 = 1 << 53;

const DAY_NS: i128 = 86_400_000_000_000;

/// A number without a fraction, as any integer type.
fn integer<T: TryFrom<i128>>(value: GivenColumn, texts: TextsFor) -> Result<T, Misfit> {
    let value = match value {
        GivenColumn::Text(text) if texts == TextsFor::All => {
            let value = texts::decimal(text).and_then(texts::whole)?;
            // with a point or an exponent it is what a float is written as
            if !texts::is_whole(text) && value.unsigned_abs() > EXACT_MAX {
                return Err(Misfit::Vague);
            }
            value
        }
        value => whole(value)?,
    };
    value.try_into().map_err(|_| Misfit::Range)
}

fn whole(value: GivenColumn) -> Result<i128, Misfit> {
    match value {
        GivenColumn::Whole(value) => Ok(value),
        GivenColumn::Float(value) if !value.is_finite() => Err(Misfit::Range),
        GivenColumn::Float(value) if value.fract() != 0.0 => Err(Misfit::Digits),
        GivenColumn::Float(value) if value.abs() > EXACT_MAX as f64 => Err(Misfit::Vague),
        GivenColumn::Float(value) => Ok(value as i128),
        GivenColumn::Decimal(value, scale) => texts::whole(number(value, scale)),
        GivenColumn::Huge => Err(Misfit::Range),
        _ => Err(Misfit::Kind),
    }
}

fn float(value: GivenColumn, texts: TextsFor) -> Result<f64, Misfit> {
    match value {
        GivenColumn::Float(value) => Ok(value),
        GivenColumn::Whole(value) => texts::exact(value),
        GivenColumn::Decimal(value, scale) => match texts::whole(number(value, scale)) {
            Ok(value) => texts::exact(value),
            Err(_) => texts::float(&format!("{value}e{}", -i32::from(scale))),
        },
        GivenColumn::Text(text) if texts == TextsFor::All => texts::float(text),
        GivenColumn::Text("NaN") => Ok(f64::NAN),
        GivenColumn::Text("Infinity") => Ok(f64::INFINITY),
        GivenColumn::Text("-Infinity") => Ok(f64::NEG_INFINITY),
        GivenColumn::Huge => Err(Misfit::Digits),
        _ => Err(Misfit::Kind),
    }
}

/// A float of 32 bits: the nearest to a number with a fraction; one without must be exact.
fn single(value: GivenColumn, texts: TextsFor) -> Result<f32, Misfit> {
    let is_whole = match &value {
        GivenColumn::Whole(_) => true,
        GivenColumn::Decimal(value, scale) => texts::whole(number(*value, *scale)).is_ok(),
        GivenColumn::Text(text) => texts::is_whole(text),
        _ => false,
    };
    let wide = float(value, texts)?;
    let short = texts::narrow(wide)?;
    if is_whole && f64::from(short) != wide { Err(Misfit::Digits) } else { Ok(short) }
}

fn decimal(value: GivenColumn, precision: u8, scale: i8) -> Result<i128, Misfit> {
    let number = match value {
        GivenColumn::Whole(value) => number(value, 0),
        GivenColumn::Decimal(value, scale) => number(value, scale),
        GivenColumn::Text(text) => texts::decimal(text)?,
        // the shortest digits that are this float, which are those that were written
        GivenColumn::Float(value) if value.is_finite() => texts::decimal(&format!("{value:e}"))?,
        GivenColumn::Float(_) | GivenColumn::Huge => return Err(Misfit::Range),
        _ => return Err(Misfit::Kind),
    };
    texts::as_decimal(number, precision, scale)
}

fn number(mut digits: i128, scale: i8) -> texts::Number {
    let mut exponent = -i64::from(scale);
    while digits != 0 && digits % 10 == 0 {
        digits /= 10;
        exponent += 1;
    }
    texts::Number { digits, exponent }
}

fn truth(value: GivenColumn, texts: TextsFor) -> Result<bool, Misfit> {
    match value {
        GivenColumn::Bool(value) => Ok(value),
        GivenColumn::Whole(0) => Ok(false),
        GivenColumn::Whole(1) => Ok(true),
        GivenColumn::Whole(_) => Err(Misfit::Range),
        GivenColumn::Text(text) if texts == TextsFor::All => match text.trim_ascii() {
            "0" => Ok(false),
            "1" => Ok(true),
            word if word.eq_ignore_ascii_case("true") => Ok(true),
            word if word.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(Misfit::Kind),
        },
        _ => Err(Misfit::Kind),
    }
}

fn moment(value: GivenColumn, unit: TimeUnit) -> Result<i64, Misfit> {
    match value {
        GivenColumn::Moment(nanos) => moments::ticks(nanos, unit),
        GivenColumn::Text(text) => Instant::read(text).ok_or(Misfit::Kind)?.ticks(unit),
        _ => Err(Misfit::Kind),
    }
}

fn day(value: GivenColumn) -> Result<i32, Misfit> {
    match value {
        GivenColumn::Moment(nanos) if nanos % DAY_NS != 0 => Err(Misfit::Digits),
        GivenColumn::Moment(nanos) => (nanos / DAY_NS).try_into().map_err(|_| Misfit::Range),
        GivenColumn::Text(text) => Instant::read(text).ok_or(Misfit::Kind)?.day(),
        _ => Err(Misfit::Kind),
    }
}

fn span(value: GivenColumn, unit: TimeUnit) -> Result<i64, Misfit> {
    match value {
        GivenColumn::Span(nanos) => moments::ticks(nanos, unit),
        GivenColumn::Text(text) => moments::duration(text, unit),
        number => whole(number)?.try_into().map_err(|_| Misfit::Range),
    }
}
