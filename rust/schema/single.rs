//! One value on its way into a column: how each kind of value becomes one of each type.

use arrow_array::ArrowPrimitiveType;
use arrow_array::types::*;
use arrow_schema::{DataType, TimeUnit};

use super::moments::{self, Instant};
use super::texts::{self, Misfit};

/// Which texts may represent a value of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextsFor {
    /// Values that JSON has no word for: times, durations, decimals, bytes, NaN and infinities.
    Some,
    /// Every value, as in a file that has nothing but text.
    All,
}

/// A value on its way.
#[derive(Debug, Clone, Copy)]
pub enum SingleValue<'a> {
    /// A truth value.
    Bool(bool),
    /// A number without a fraction.
    Whole(i128),
    /// A float.
    Float(f64),
    /// Unscaled value and scale.
    Decimal(i128, i8),
    /// Nanoseconds since 1970 in UTC.
    Moment(i128),
    /// Nanoseconds since midnight.
    Clock(i128),
    /// Nanoseconds.
    Span(i128),
    /// A number, as a text writes it.
    Digits(&'a str),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A value that cannot be converted.
    Other,
    /// A number of more digits than any type has.
    Huge,
}

impl<'a> SingleValue<'a> {
    /// The same value; a text that may stand for a number is taken as one.
    fn number(self, texts: TextsFor) -> SingleValue<'a> {
        match self {
            SingleValue::Text(text) if texts == TextsFor::All => SingleValue::Digits(text),
            other => other,
        }
    }
}

/// Reads a value as one of type `V`, or says why it does not fit.
pub trait Convert<V>: Fn(SingleValue<'_>, TextsFor) -> Result<V, Misfit> + Send + 'static {}

impl<V, F: Fn(SingleValue<'_>, TextsFor) -> Result<V, Misfit> + Send + 'static> Convert<V> for F {}

/// Makes something for a type of columns, given how one value is read as that type.
pub trait ByType {
    /// What is made.
    type Made;
    /// For numbers, times and decimals.
    fn primitive<T: ArrowPrimitiveType>(self, convert: impl Convert<T::Native>) -> Self::Made;
    /// For truth values.
    fn boolean(self, convert: impl Convert<bool>) -> Self::Made;
    /// For bytes.
    fn binary(self, convert: impl Convert<Vec<u8>>) -> Self::Made;
    /// For text, and types that no single value becomes.
    fn other(self) -> Self::Made;
}

/// Makes something for type `to`, an internal type.
pub fn of_type<B: ByType>(to: &DataType, made: B) -> B::Made {
    use DataType::*;
    match *to {
        Int8 => made.primitive::<Int8Type>(integer),
        Int16 => made.primitive::<Int16Type>(integer),
        Int32 => made.primitive::<Int32Type>(integer),
        Int64 => made.primitive::<Int64Type>(integer),
        UInt8 => made.primitive::<UInt8Type>(integer),
        UInt16 => made.primitive::<UInt16Type>(integer),
        UInt32 => made.primitive::<UInt32Type>(integer),
        UInt64 => made.primitive::<UInt64Type>(integer),
        Float32 => made.primitive::<Float32Type>(single),
        Float64 => made.primitive::<Float64Type>(float),
        Decimal128(p, s) => made.primitive::<Decimal128Type>(move |v, _| decimal(v, p, s)),
        Date32 => made.primitive::<Date32Type>(|v, _| day(v)),
        Time64(_) => made.primitive::<Time64MicrosecondType>(|v, _| time_of_day(v)),
        Duration(unit) => {
            let read = move |v: SingleValue<'_>, _: TextsFor| span(v, unit);
            match unit {
                TimeUnit::Second => made.primitive::<DurationSecondType>(read),
                TimeUnit::Millisecond => made.primitive::<DurationMillisecondType>(read),
                TimeUnit::Microsecond => made.primitive::<DurationMicrosecondType>(read),
                TimeUnit::Nanosecond => made.primitive::<DurationNanosecondType>(read),
            }
        }
        Timestamp(unit, _) => {
            let read = move |v: SingleValue<'_>, _: TextsFor| moment(v, unit);
            match unit {
                TimeUnit::Second => made.primitive::<TimestampSecondType>(read),
                TimeUnit::Millisecond => made.primitive::<TimestampMillisecondType>(read),
                TimeUnit::Microsecond => made.primitive::<TimestampMicrosecondType>(read),
                TimeUnit::Nanosecond => made.primitive::<TimestampNanosecondType>(read),
            }
        }
        Boolean => made.boolean(truth),
        Binary => made.binary(|v, _| bytes(v)),
        _ => made.other(),
    }
}

/// Integers up to here are each a float of their own.
const EXACT_MAX: u128 = 1 << 53;

/// Nanoseconds of a day.
pub const DAY_NS: i128 = 86_400_000_000_000;

/// A number without a fraction, as any integer type.
fn integer<T: TryFrom<i128>>(value: SingleValue<'_>, texts: TextsFor) -> Result<T, Misfit> {
    let value = match value.number(texts) {
        SingleValue::Digits(text) => {
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

fn whole(value: SingleValue<'_>) -> Result<i128, Misfit> {
    match value {
        SingleValue::Whole(value) => Ok(value),
        SingleValue::Float(value) if !value.is_finite() => Err(Misfit::Range),
        SingleValue::Float(value) if value.fract() != 0.0 => Err(Misfit::Digits),
        SingleValue::Float(value) if value.abs() > EXACT_MAX as f64 => Err(Misfit::Vague),
        SingleValue::Float(value) => Ok(value as i128),
        SingleValue::Decimal(value, scale) => texts::whole(number(value, scale)),
        SingleValue::Huge => Err(Misfit::Range),
        _ => Err(Misfit::Kind),
    }
}

fn float(value: SingleValue<'_>, texts: TextsFor) -> Result<f64, Misfit> {
    match value.number(texts) {
        SingleValue::Float(value) => Ok(value),
        SingleValue::Whole(value) => texts::exact(value),
        SingleValue::Decimal(value, scale) => match texts::whole(number(value, scale)) {
            Ok(value) => texts::exact(value),
            Err(_) => texts::float(&format!("{value}e{}", -i32::from(scale))),
        },
        SingleValue::Digits(text) => texts::float(text),
        SingleValue::Text("NaN") => Ok(f64::NAN),
        SingleValue::Text("Infinity") => Ok(f64::INFINITY),
        SingleValue::Text("-Infinity") => Ok(f64::NEG_INFINITY),
        SingleValue::Huge => Err(Misfit::Digits),
        _ => Err(Misfit::Kind),
    }
}

/// A float of 32 bits: the nearest to a number with a fraction; one without must be exact.
fn single(value: SingleValue<'_>, texts: TextsFor) -> Result<f32, Misfit> {
    let is_whole = match &value {
        SingleValue::Whole(_) => true,
        SingleValue::Decimal(value, scale) => texts::whole(number(*value, *scale)).is_ok(),
        SingleValue::Text(text) | SingleValue::Digits(text) => texts::is_whole(text),
        _ => false,
    };
    let wide = float(value, texts)?;
    let short = texts::narrow(wide)?;
    if is_whole && f64::from(short) != wide { Err(Misfit::Digits) } else { Ok(short) }
}

fn decimal(value: SingleValue<'_>, precision: u8, scale: i8) -> Result<i128, Misfit> {
    let number = match value {
        SingleValue::Whole(value) => number(value, 0),
        SingleValue::Decimal(value, scale) => number(value, scale),
        SingleValue::Text(text) | SingleValue::Digits(text) => texts::decimal(text)?,
        // the shortest digits that are this float, which are those that were written
        SingleValue::Float(value) if value.is_finite() => texts::decimal(&format!("{value:e}"))?,
        SingleValue::Float(_) | SingleValue::Huge => return Err(Misfit::Range),
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

fn truth(value: SingleValue<'_>, texts: TextsFor) -> Result<bool, Misfit> {
    match value {
        SingleValue::Bool(value) => Ok(value),
        SingleValue::Whole(0) => Ok(false),
        SingleValue::Whole(1) => Ok(true),
        SingleValue::Whole(_) => Err(Misfit::Range),
        SingleValue::Text(text) if texts == TextsFor::All => match text.trim_ascii() {
            "0" => Ok(false),
            "1" => Ok(true),
            word if word.eq_ignore_ascii_case("true") => Ok(true),
            word if word.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(Misfit::Kind),
        },
        _ => Err(Misfit::Kind),
    }
}

fn moment(value: SingleValue<'_>, unit: TimeUnit) -> Result<i64, Misfit> {
    match value {
        SingleValue::Moment(nanos) => moments::ticks(nanos, unit),
        SingleValue::Text(text) => Instant::read(text).ok_or(Misfit::Kind)?.ticks(unit),
        _ => Err(Misfit::Kind),
    }
}

/// A time given as a count of a unit since 1970, exactly.
pub fn since_epoch(
    value: SingleValue<'_>,
    counted: TimeUnit,
    unit: TimeUnit,
) -> Result<i64, Misfit> {
    let number = match value {
        SingleValue::Whole(value) => number(value, 0),
        SingleValue::Digits(text) => texts::decimal(text)?,
        other => return moment(other, unit),
    };
    // a second has 9 digits of nanoseconds, a millisecond 6
    let digits = (1_000_000_000 / moments::per_second(counted)).ilog10();
    moments::ticks(texts::scaled(number, digits as i8)?, unit)
}

fn day(value: SingleValue<'_>) -> Result<i32, Misfit> {
    match value {
        SingleValue::Moment(nanos) if nanos % DAY_NS != 0 => Err(Misfit::Digits),
        SingleValue::Moment(nanos) => (nanos / DAY_NS).try_into().map_err(|_| Misfit::Range),
        SingleValue::Text(text) => Instant::read(text).ok_or(Misfit::Kind)?.day(),
        _ => Err(Misfit::Kind),
    }
}

fn span(value: SingleValue<'_>, unit: TimeUnit) -> Result<i64, Misfit> {
    match value {
        SingleValue::Span(nanos) => moments::ticks(nanos, unit),
        SingleValue::Text(text) | SingleValue::Digits(text) => moments::duration(text, unit),
        number => whole(number)?.try_into().map_err(|_| Misfit::Range),
    }
}

fn time_of_day(value: SingleValue<'_>) -> Result<i64, Misfit> {
    match value {
        SingleValue::Clock(nanos) => moments::ticks(nanos, TimeUnit::Microsecond),
        SingleValue::Text(text) => moments::time_of_day(text),
        _ => Err(Misfit::Kind),
    }
}

fn bytes(value: SingleValue<'_>) -> Result<Vec<u8>, Misfit> {
    match value {
        SingleValue::Bytes(bytes) => Ok(bytes.to_vec()),
        SingleValue::Text(text) => texts::base64(text),
        _ => Err(Misfit::Kind),
    }
}
