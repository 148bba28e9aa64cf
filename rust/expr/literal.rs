//! Constants: as JSON carries them, as text that stands for a time, and as arrays of one value.

use std::str::FromStr;
use std::sync::Arc;

use arrow_array::timezone::Tz;
use arrow_array::types::{Decimal128Type, DecimalType};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DurationMicrosecondArray,
    Float64Array, Int64Array, NullArray, StringArray, TimestampMicrosecondArray,
};
use arrow_cast::parse::string_to_datetime;
use arrow_schema::{DataType, TimeUnit};
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::schema::{named, parse_type, type_word};
use crate::time::Micros;

/// A constant of one of the types in which expressions compute.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Unknown, of any type.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number, NaN and the infinities among them.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// An instant, and the zone it is shown in.
    Timestamp(Micros, Option<Arc<str>>),
    /// A length of time.
    Duration(Micros),
    /// Unscaled value, precision and scale.
    Decimal(i128, u8, i8),
}

impl Literal {
    /// Reads the `lit` and `type` of a plan.
    pub fn from_json(value: &Json, word: &str) -> Result<Literal> {
        let data_type = parse_type(word)?;
        let read = match &data_type {
            DataType::Null => value.is_null().then_some(Literal::Null),
            DataType::Boolean => value.as_bool().map(Literal::Bool),
            DataType::Int64 => value.as_i64().map(Literal::Int),
            DataType::Float64 => float(value).map(Literal::Float),
            DataType::Utf8 => value.as_str().map(|text| Literal::Str(text.to_string())),
            DataType::Binary => value.as_str().and_then(from_hex).map(Literal::Binary),
            DataType::Date32 => {
                value.as_i64().and_then(|days| days.try_into().ok()).map(Literal::Date)
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                value.as_i64().map(|time| Literal::Timestamp(time, zone.clone()))
            }
            DataType::Duration(TimeUnit::Microsecond) => value.as_i64().map(Literal::Duration),
            DataType::Decimal128(p, s) => value
                .as_str()
                .and_then(|text| parse_decimal_text(text, *p, *s))
                .map(|unscaled| Literal::Decimal(unscaled, *p, *s)),
            _ => None,
        };
        read.ok_or_else(|| {
            Error::Expression(format!("{value} is not a literal of type {word}\nhint: use a cast"))
        })
    }

    /// The `lit` and `type` of a plan.
    pub fn to_json(&self) -> (Json, String) {
        let value = match self {
            Literal::Null => Json::Null,
            Literal::Bool(value) => Json::from(*value),
            Literal::Int(value) | Literal::Timestamp(value, _) | Literal::Duration(value) => {
                Json::from(*value)
            }
            Literal::Float(value) if value.is_nan() => Json::from("nan"),
            Literal::Float(value) if value.is_infinite() => Json::from(value.to_string()),
            Literal::Float(value) => Json::from(*value),
            Literal::Str(text) => Json::from(text.as_str()),
            Literal::Binary(bytes) => Json::from(to_hex(bytes)),
            Literal::Date(days) => Json::from(*days),
            Literal::Decimal(value, p, s) => {
                Json::from(Decimal128Type::format_decimal(*value, *p, *s))
            }
        };
        (value, type_word(&self.data_type()).expect("every literal has a type word"))
    }

    /// The type of the constant.
    pub fn data_type(&self) -> DataType {
        match self {
            Literal::Null => DataType::Null,
            Literal::Bool(_) => DataType::Boolean,
            Literal::Int(_) => DataType::Int64,
            Literal::Float(_) => DataType::Float64,
            Literal::Str(_) => DataType::Utf8,
            Literal::Binary(_) => DataType::Binary,
            Literal::Date(_) => DataType::Date32,
            Literal::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            Literal::Duration(_) => DataType::Duration(TimeUnit::Microsecond),
            Literal::Decimal(_, p, s) => DataType::Decimal128(*p, *s),
        }
    }

    /// An array with the constant as its only value.
    pub fn to_array(&self) -> ArrayRef {
        match self {
            Literal::Null => Arc::new(NullArray::new(1)),
            Literal::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
            Literal::Int(value) => Arc::new(Int64Array::from(vec![*value])),
            Literal::Float(value) => Arc::new(Float64Array::from(vec![*value])),
            Literal::Str(text) => Arc::new(StringArray::from(vec![text.as_str()])),
            Literal::Binary(bytes) => Arc::new(BinaryArray::from(vec![bytes.as_slice()])),
            Literal::Date(days) => Arc::new(Date32Array::from(vec![*days])),
            Literal::Timestamp(time, zone) => Arc::new(
                TimestampMicrosecondArray::from(vec![*time]).with_timezone_opt(zone.clone()),
            ),
            Literal::Duration(length) => Arc::new(DurationMicrosecondArray::from(vec![*length])),
            Literal::Decimal(value, p, s) => Arc::new(
                Decimal128Array::from(vec![*value]).with_data_type(DataType::Decimal128(*p, *s)),
            ),
        }
    }

    /// The constant that a text stands for beside a value of `beside`, e.g. `'2026-11-01'` beside
    /// a date. `None` where text stands only for itself.
    pub fn read_as(text: &str, beside: &DataType) -> Option<Result<Literal>> {
        let read = match beside {
            DataType::Timestamp(_, zone) => {
                parse_timestamp(text).map(|time| Literal::Timestamp(time, zone.clone()))
            }
            DataType::Date32 => parse_date(text)
                .map(Literal::Date)
                .or_else(|| parse_timestamp(text).map(|time| Literal::Timestamp(time, None))),
            DataType::Decimal128(..) => read_decimal(text),
            _ => return None,
        };
        Some(read.ok_or_else(|| {
            let hint = match beside {
                DataType::Decimal128(..) => "write it as '12.50'",
                _ => "write it as in ISO 8601, '2026-11-23T09:30:00Z'",
            };
            Error::Expression(format!("'{text}' does not parse as {}\nhint: {hint}", named(beside)))
        }))
    }
}

/// A timestamp in ISO 8601, `T` or a space between, seconds and offset optional (UTC without one);
/// what is finer than a microsecond is floored.
pub fn parse_timestamp(text: &str) -> Option<Micros> {
    let utc = Tz::from_str("+00:00").expect("a fixed offset");
    let bytes = text.as_bytes();
    let without_seconds = bytes.len() >= 16 && bytes[13] == b':' && bytes.get(16) != Some(&b':');
    let parsed = if without_seconds && text.is_char_boundary(16) {
        string_to_datetime(&utc, &format!("{}:00{}", &text[..16], &text[16..]))
    } else {
        string_to_datetime(&utc, text)
    };
    parsed.ok().map(|at| at.timestamp_micros())
}

/// A date in ISO 8601, as days since 1970-01-01.
pub fn parse_date(text: &str) -> Option<i32> {
    const DAY: Micros = 86_400_000_000;
    if text.len() != "2026-11-23".len() {
        return None;
    }
    parse_timestamp(text).and_then(|time| time.div_euclid(DAY).try_into().ok())
}

/// The unscaled value of a plain decimal number that fits `decimal(p, s)` without rounding.
pub fn parse_decimal_text(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (unscaled, own) = unscaled(text)?;
    let value = if own <= scale {
        unscaled.checked_mul(10i128.checked_pow((scale - own) as u32)?)?
    } else {
        let cut = 10i128.checked_pow((own - scale) as u32)?;
        (unscaled % cut == 0).then_some(unscaled / cut)?
    };
    Decimal128Type::is_valid_decimal_precision(value, precision).then_some(value)
}

/// A decimal of as many digits as are written.
fn read_decimal(text: &str) -> Option<Literal> {
    let (value, scale) = unscaled(text)?;
    let digits = value.checked_abs()?.checked_ilog10().map_or(1, |log| log as u8 + 1);
    Some(Literal::Decimal(value, digits.max(scale as u8), scale))
}

/// `-12.50` as (-1250, 2). Digits and one point only: no exponent, no grouping.
fn unscaled(text: &str) -> Option<(i128, i8)> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !plain(whole) || !plain(fraction) {
        return None;
    }
    let scale = i8::try_from(fraction.len()).ok().filter(|scale| *scale <= 38)?;
    let value = text.replace('.', "").parse::<i128>().ok()?;
    Decimal128Type::is_valid_decimal_precision(value, 38).then_some((value, scale))
}

fn float(value: &Json) -> Option<f64> {
    match value {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.parse().ok(),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// Bytes as hexadecimal text.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_read_as_a_time() {
        let day = 86_400_000_000;
        assert_eq!(parse_timestamp("1970-01-02"), Some(day));
        assert_eq!(parse_timestamp("1970-01-02T00:00:00Z"), Some(day));
        assert_eq!(parse_timestamp("1970-01-02 01:00:00+01:00"), Some(day));
        assert_eq!(parse_timestamp("1970-01-02T00:30"), Some(day + 1_800_000_000));
        assert_eq!(parse_timestamp("1970-01-02T00:30Z"), Some(day + 1_800_000_000));
        assert_eq!(parse_timestamp("1969-12-31T23:59:59.9999999"), Some(-1));
        assert_eq!(parse_timestamp("2026-13-01"), None);
        assert_eq!(parse_timestamp("2026-01-01T00:é"), None);
        assert_eq!(parse_date("1969-12-31"), Some(-1));
        assert_eq!(parse_date("1969-12-31T00:00:00"), None);
    }

    #[test]
    fn text_is_read_as_a_decimal() {
        assert_eq!(unscaled("-12.50"), Some((-1250, 2)));
        assert_eq!(unscaled(".5"), Some((5, 1)));
        assert_eq!(unscaled("7."), Some((7, 0)));
        for text in ["", "-", ".", "1e3", "1,5", "--1", "1.2.3"] {
            assert_eq!(unscaled(text), None, "{text}");
        }
        assert_eq!(parse_decimal_text("1.50", 3, 1), Some(15));
        assert_eq!(parse_decimal_text("1.55", 3, 1), None);
        assert_eq!(parse_decimal_text("100", 3, 1), None);
    }

    #[test]
    fn numbers_are_read_exactly() {
        let read = |value, word| Literal::from_json(&value, word);
        assert_eq!(read(json!(i64::MIN), "i64"), Ok(Literal::Int(i64::MIN)));
        assert!(read(json!(u64::MAX), "i64").is_err());
        assert!(read(json!(1.5), "i64").is_err());
        assert_eq!(read(json!(2), "f64"), Ok(Literal::Float(2.0)));
        assert_eq!(read(json!("-inf"), "f64"), Ok(Literal::Float(f64::NEG_INFINITY)));
        assert_eq!(read(json!("0a"), "binary"), Ok(Literal::Binary(vec![10])));
        assert!(read(json!("0"), "binary").is_err());
    }
}
