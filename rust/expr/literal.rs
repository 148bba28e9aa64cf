//! Constants: from JSON, from text that represents a time, and as arrays of one value.

use std::sync::Arc;

use arrow_array::types::{Decimal128Type, DecimalType};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DurationMicrosecondArray,
    Float64Array, Int64Array, NullArray, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::schema::moments::Instant;
use crate::schema::texts;
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
                .and_then(|text| texts::as_decimal(texts::decimal(text).ok()?, *p, *s).ok())
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

    /// The constant that a text represents next to a value of type `beside`, e.g. `'2026-11-01'`
    /// next to a date. `None` where text is only text.
    pub fn read_as(text: &str, beside: &DataType) -> Option<Result<Literal>> {
        let read = match beside {
            DataType::Timestamp(_, zone) => {
                read_timestamp(text).map(|time| Literal::Timestamp(time, zone.clone()))
            }
            DataType::Date32 => match Instant::read(text).map(|moment| moment.day()) {
                Some(Ok(day)) => Some(Literal::Date(day)),
                _ => read_timestamp(text).map(|time| Literal::Timestamp(time, None)),
            },
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

/// Microseconds of a text; more digits than that are an error, since a constant is not rounded.
fn read_timestamp(text: &str) -> Option<Micros> {
    Instant::read(text)?.ticks(TimeUnit::Microsecond).ok()
}

/// A decimal of as many digits as the number needs.
fn read_decimal(text: &str) -> Option<Literal> {
    let number = texts::decimal(text).ok()?;
    let scale = i8::try_from((-number.exponent).max(0)).ok().filter(|scale| *scale <= 38)?;
    let value = texts::as_decimal(number, 38, scale).ok()?;
    let digits = value.checked_abs()?.checked_ilog10().map_or(1, |log| log as u8 + 1);
    Some(Literal::Decimal(value, digits.max(scale as u8), scale))
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
    fn text_is_read_beside_another_type() {
        let read = |text, word| Literal::read_as(text, &parse_type(word).unwrap()).unwrap();
        assert_eq!(
            read("1970-01-02", "timestamp[ms]"),
            Ok(Literal::Timestamp(86_400_000_000, None))
        );
        assert_eq!(read("1970-01-02", "date"), Ok(Literal::Date(1)));
        assert_eq!(read("1970-01-01T00:00:00.5", "date"), Ok(Literal::Timestamp(500_000, None)));
        assert!(read("1970-01-01T00:00:00.1234567", "timestamp[ns]").is_err());
        assert!(read("x", "date").is_err());
        assert_eq!(read("-12.50", "decimal(9, 2)"), Ok(Literal::Decimal(-125, 3, 1)));
        assert_eq!(read("1e3", "decimal(9, 2)"), Ok(Literal::Decimal(1000, 4, 0)));
        assert_eq!(read(".05", "decimal(9, 2)"), Ok(Literal::Decimal(5, 2, 2)));
        assert!(read("1,5", "decimal(9, 2)").is_err());
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
