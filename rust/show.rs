//! Values as text and as JSON: the forms of `docs/values.md`, as `muntin.values` has them in
//! Python.

use std::fmt::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, UnionArray};
use arrow_schema::{DataType, Fields, IntervalUnit, TimeUnit};

use crate::error::Result;

/// A value on its way out.
enum Shown {
    Null,
    /// Written to JSON unquoted: a number, `true`, a list, an object.
    Bare(String),
    /// Written to JSON in quotes.
    Text(String),
}

/// The value of a row as text; `null` if there is none.
pub fn text(column: &dyn Array, row: usize) -> Result<String> {
    Ok(match shown(column, row)? {
        Shown::Null => "null".into(),
        Shown::Bare(text) | Shown::Text(text) => text,
    })
}

/// The value of a row as JSON.
pub fn json(column: &dyn Array, row: usize) -> Result<String> {
    Ok(match shown(column, row)? {
        Shown::Null => "null".into(),
        Shown::Bare(text) => text,
        Shown::Text(text) => quoted(&text),
    })
}

/// Text as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A float as Python writes it, with JavaScript's words for what is not a number.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let text = format!("{value:?}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, size) = exponent.strip_prefix('-').map_or(("+", exponent), |size| ("-", size));
    format!("{digits}e{sign}{size:0>2}")
}

/// A whole number of `scale` decimals, with all of them and no exponent; `digits` may have a sign.
pub fn decimal(digits: &str, scale: i8) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    if scale <= 0 {
        let zeros = if digits == "0" { 0 } else { usize::from(scale.unsigned_abs()) };
        return format!("{sign}{digits}{}", "0".repeat(zeros));
    }
    let scale = usize::from(scale.unsigned_abs());
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

fn shown(column: &dyn Array, row: usize) -> Result<Shown> {
    use Shown::{Bare, Text};
    if column.is_null(row) {
        return Ok(Shown::Null);
    }
    macro_rules! number {
        ($type:ty) => {
            column.as_primitive::<$type>().value(row)
        };
    }
    macro_rules! whole {
        ($type:ty) => {
            Bare(number!($type).to_string())
        };
    }
    let of_float = |value: f64| match value.is_finite() {
        true => Bare(float(value)),
        false => Text(float(value)),
    };
    Ok(match column.data_type() {
        DataType::Null => Shown::Null,
        DataType::Boolean => Bare(column.as_boolean().value(row).to_string()),
        DataType::Int8 => whole!(Int8Type),
        DataType::Int16 => whole!(Int16Type),
        DataType::Int32 => whole!(Int32Type),
        DataType::Int64 => whole!(Int64Type),
        DataType::UInt8 => whole!(UInt8Type),
        DataType::UInt16 => whole!(UInt16Type),
        DataType::UInt32 => whole!(UInt32Type),
        DataType::UInt64 => whole!(UInt64Type),
        DataType::Float16 => of_float(shortest(number!(Float16Type).to_f32())),
        DataType::Float32 => of_float(shortest(number!(Float32Type))),
        DataType::Float64 => of_float(number!(Float64Type)),
        DataType::Decimal32(_, scale) => Text(decimal(&number!(Decimal32Type).to_string(), *scale)),
        DataType::Decimal64(_, scale) => Text(decimal(&number!(Decimal64Type).to_string(), *scale)),
        DataType::Decimal128(_, scale) => {
            Text(decimal(&number!(Decimal128Type).to_string(), *scale))
        }
        DataType::Decimal256(_, scale) => {
            Text(decimal(&number!(Decimal256Type).to_string(), *scale))
        }
        DataType::Utf8 => Text(column.as_string::<i32>().value(row).into()),
        DataType::LargeUtf8 => Text(column.as_string::<i64>().value(row).into()),
        DataType::Utf8View => Text(column.as_string_view().value(row).into()),
        DataType::Binary => Text(base64(column.as_binary::<i32>().value(row))),
        DataType::LargeBinary => Text(base64(column.as_binary::<i64>().value(row))),
        DataType::BinaryView => Text(base64(column.as_binary_view().value(row))),
        DataType::FixedSizeBinary(_) => Text(base64(column.as_fixed_size_binary().value(row))),
        DataType::Date32 => Text(date(number!(Date32Type).into())),
        DataType::Date64 => Text(date(number!(Date64Type).div_euclid(86_400_000))),
        DataType::Time32(unit) => Text(match unit {
            TimeUnit::Second => clock(number!(Time32SecondType).into(), *unit),
            _ => clock(number!(Time32MillisecondType).into(), *unit),
        }),
        DataType::Time64(unit) => Text(match unit {
            TimeUnit::Microsecond => clock(number!(Time64MicrosecondType), *unit),
            _ => clock(number!(Time64NanosecondType), *unit),
        }),
        DataType::Timestamp(unit, zone) => {
            Text(timestamp(units(column, row), *unit, zone.is_some()))
        }
        DataType::Duration(unit) => Text(duration(units(column, row), *unit)),
        DataType::Interval(unit) => Text(match unit {
            IntervalUnit::YearMonth => interval(number!(IntervalYearMonthType).into(), 0, 0),
            IntervalUnit::DayTime => {
                let value = number!(IntervalDayTimeType);
                interval(0, value.days.into(), i64::from(value.milliseconds) * 1_000_000)
            }
            IntervalUnit::MonthDayNano => {
                let value = number!(IntervalMonthDayNanoType);
                interval(value.months.into(), value.days.into(), value.nanoseconds)
            }
        }),
        DataType::List(_) => Bare(list(&column.as_list::<i32>().value(row))?),
        DataType::LargeList(_) => Bare(list(&column.as_list::<i64>().value(row))?),
        DataType::ListView(_) => Bare(list(&column.as_list_view::<i32>().value(row))?),
        DataType::LargeListView(_) => Bare(list(&column.as_list_view::<i64>().value(row))?),
        DataType::FixedSizeList(..) => Bare(list(&column.as_fixed_size_list().value(row))?),
        DataType::Struct(fields) => Bare(object(fields, column.as_struct().columns(), row)?),
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let pair =
                |at| Ok(bracketed(&[json(entries.column(0), at)?, json(entries.column(1), at)?]));
            Bare(bracketed(&(0..entries.len()).map(pair).collect::<Result<Vec<_>>>()?))
        }
        DataType::Dictionary(_, inside) => plain(column, row, inside)?,
        DataType::RunEndEncoded(_, inside) => plain(column, row, inside.data_type())?,
        DataType::Union(..) => match column.as_any().downcast_ref::<UnionArray>() {
            Some(union) => shown(union.value(row).as_ref(), 0)?,
            None => Shown::Null,
        },
    })
}

/// The value inside a dictionary or a run.
fn plain(column: &dyn Array, row: usize, inside: &DataType) -> Result<Shown> {
    shown(arrow_cast::cast(column.slice(row, 1).as_ref(), inside)?.as_ref(), 0)
}

/// The f64 with the fewest digits that is this f32.
fn shortest(value: f32) -> f64 {
    if value.is_finite() { format!("{value:?}").parse().unwrap_or_default() } else { value.into() }
}

fn list(items: &ArrayRef) -> Result<String> {
    let items: Result<Vec<String>> = (0..items.len()).map(|at| json(items.as_ref(), at)).collect();
    Ok(bracketed(&items?))
}

fn bracketed(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// A struct; as pairs where two fields have one name, which no object can hold.
fn object(fields: &Fields, columns: &[ArrayRef], row: usize) -> Result<String> {
    let mut names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let values: Result<Vec<String>> =
        columns.iter().map(|column| json(column.as_ref(), row)).collect();
    let pairs = names.clone().into_iter().map(quoted).zip(values?);
    names.sort_unstable();
    if names.windows(2).any(|two| two[0] == two[1]) {
        return Ok(bracketed(
            &pairs.map(|(name, value)| format!("[{name},{value}]")).collect::<Vec<_>>(),
        ));
    }
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}:{value}")).collect();
    Ok(format!("{{{}}}", pairs.join(",")))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte));
        let word = word << (8 * (3 - three.len()));
        for at in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * at)) as usize & 63];
            out.push(if at <= three.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// The number of a timestamp or a duration.
fn units(column: &dyn Array, row: usize) -> i64 {
    macro_rules! of {
        ($($unit:pat => $type:ty),*) => {
            match column.data_type() { $($unit => column.as_primitive::<$type>().value(row),)* _ => 0 }
        };
    }
    of!(
        DataType::Timestamp(TimeUnit::Second, _) => TimestampSecondType,
        DataType::Timestamp(TimeUnit::Millisecond, _) => TimestampMillisecondType,
        DataType::Timestamp(TimeUnit::Microsecond, _) => TimestampMicrosecondType,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => TimestampNanosecondType,
        DataType::Duration(TimeUnit::Second) => DurationSecondType,
        DataType::Duration(TimeUnit::Millisecond) => DurationMillisecondType,
        DataType::Duration(TimeUnit::Microsecond) => DurationMicrosecondType,
        DataType::Duration(TimeUnit::Nanosecond) => DurationNanosecondType
    )
}

/// Fractional digits of a second.
fn digits(unit: TimeUnit) -> usize {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// A date by its days since 1970.
fn date(days: i64) -> String {
    // years begin in March, so that the leap day is a year's last; 400 years have 146,097 days
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = year + 400 * era + i64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    let sign = match year {
        0..=9999 => "",
        ..0 => "-",
        _ => "+",
    };
    format!("{sign}{:04}-{month:02}-{day:02}", year.unsigned_abs())
}

fn timestamp(value: i64, unit: TimeUnit, zoned: bool) -> String {
    let day = 86_400 * 10_i64.pow(digits(unit) as u32);
    let (days, rest) = (value.div_euclid(day), value.rem_euclid(day));
    format!("{}T{}{}", date(days), clock(rest, unit), if zoned { "Z" } else { "" })
}

/// A time of day; without a fraction if that is zero, else with all digits of its unit.
fn clock(value: i64, unit: TimeUnit) -> String {
    let (width, size) = (digits(unit), value.unsigned_abs());
    let per = 10_u64.pow(width as u32);
    let (seconds, fraction) = (size / per, size % per);
    let sign = if value < 0 { "-" } else { "" };
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut out = format!("{sign}{hour:02}:{minute:02}:{second:02}");
    if fraction > 0 {
        let _ = write!(out, ".{fraction:0width$}");
    }
    out
}

fn duration(value: i64, unit: TimeUnit) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}PT{}", hours_to_seconds(value.unsigned_abs(), unit).concat())
}

fn hours_to_seconds(value: u64, unit: TimeUnit) -> Vec<String> {
    let width = digits(unit);
    let per = 10_u64.pow(width as u32);
    let (seconds, fraction) = (value / per, value % per);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut parts = vec![];
    if hours > 0 {
        parts.push(format!("{hours}H"));
    }
    if minutes > 0 {
        parts.push(format!("{minutes}M"));
    }
    if fraction > 0 {
        let fraction = format!("{fraction:0width$}");
        parts.push(format!("{seconds}.{}S", fraction.trim_end_matches('0')));
    } else if seconds > 0 || parts.is_empty() {
        parts.push(format!("{seconds}S"));
    }
    parts
}

/// Months, days and a time, each with a sign of its own.
fn interval(months: i64, days: i64, nanoseconds: i64) -> String {
    let mut out = String::from("P");
    if months != 0 {
        let _ = write!(out, "{months}M");
    }
    if days != 0 {
        let _ = write!(out, "{days}D");
    }
    if nanoseconds != 0 || out == "P" {
        out.push('T');
        for part in hours_to_seconds(nanoseconds.unsigned_abs(), TimeUnit::Nanosecond) {
            let _ = write!(out, "{}{part}", if nanoseconds < 0 { "-" } else { "" });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use arrow_array::*;

    use super::*;

    fn both(column: impl Array) -> (String, String) {
        (text(&column, 0).unwrap(), json(&column, 0).unwrap())
    }

    fn same(text: &str) -> (String, String) {
        (text.to_string(), format!("\"{text}\""))
    }

    #[test]
    fn times_of_any_year_have_a_text() {
        let us = |value| TimestampMicrosecondArray::from(vec![value]);
        assert_eq!(both(us(-62_167_219_200_000_001)), same("-0001-12-31T23:59:59.999999"));
        assert_eq!(both(us(253_402_300_800_000_000)), same("+10000-01-01T00:00:00"));
        let zoned = TimestampNanosecondArray::from(vec![1_729_992_600_000_000_001]);
        let zoned = zoned.with_timezone("Europe/Berlin");
        assert_eq!(both(zoned), same("2024-10-27T01:30:00.000000001Z"));
        let last = TimestampSecondArray::from(vec![i64::MAX]);
        assert_eq!(both(last), same("+292277026596-12-04T15:30:07"));
        let first = TimestampSecondArray::from(vec![i64::MIN]);
        assert_eq!(both(first), same("-292277022657-01-27T08:29:52"));
        assert_eq!(both(Date32Array::from(vec![i32::MAX])), same("+5881580-07-11"));
        assert_eq!(both(Date32Array::from(vec![-719_528])), same("0000-01-01"));
        assert_eq!(both(Time64NanosecondArray::from(vec![1])), same("00:00:00.000000001"));
    }

    #[test]
    fn numbers_bytes_and_durations() {
        assert_eq!(both(Float64Array::from(vec![1e16])), ("1e+16".into(), "1e+16".into()));
        assert_eq!(both(Float64Array::from(vec![1.5e-7])), ("1.5e-07".into(), "1.5e-07".into()));
        assert_eq!(both(Float32Array::from(vec![0.1])), ("0.1".into(), "0.1".into()));
        assert_eq!(both(Float64Array::from(vec![f64::NAN])), same("NaN"));
        assert_eq!(both(Float32Array::from(vec![f32::NEG_INFINITY])), same("-Infinity"));
        assert_eq!(both(BinaryArray::from(vec![&b"\xff\x00a"[..]])), same("/wBh"));
        assert_eq!(both(BinaryArray::from(vec![&b"ab"[..]])), same("YWI="));
        assert_eq!(both(DurationMillisecondArray::from(vec![5_400_500])), same("PT1H30M0.5S"));
        assert_eq!(both(DurationMicrosecondArray::from(vec![0])), same("PT0S"));
        assert!(both(DurationNanosecondArray::from(vec![i64::MIN])).0.starts_with("-PT2562047H"));
        let wide = Decimal128Array::from(vec![-5]).with_precision_and_scale(9, 2).unwrap();
        assert_eq!(both(wide), same("-0.05"));
        assert_eq!(
            (decimal("12", -2), decimal("0", -2), decimal("7", 0)),
            ("1200".into(), "0".into(), "7".into())
        );
        let none = Int64Array::from(vec![None]);
        assert_eq!(both(none), ("null".into(), "null".into()));
    }
}
