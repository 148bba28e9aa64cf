//! Single values of Avro.

use arrow_schema::{DataType, TimeUnit};

use super::super::columns::Column;
use super::super::fault::{Fault, Parse, Wrong};
use super::cursor::AvroCursor;
use crate::avro::AvroKind;
use crate::schema::TextsFor;
use crate::schema::single::{DAY_NS, SingleValue};
use crate::show;

/// Appends the value that is next.
#[inline]
pub fn read_single(
    cursor: &mut AvroCursor<'_>,
    kind: &AvroKind,
    column: &mut dyn Column,
) -> Parse<()> {
    let start = cursor.at();
    let value = match kind {
        AvroKind::Int => SingleValue::Whole(cursor.int()?.into()),
        AvroKind::Long => SingleValue::Whole(cursor.long()?.into()),
        AvroKind::Float => SingleValue::Float(f32::from_le_bytes(cursor.exactly()?).into()),
        AvroKind::Double => SingleValue::Float(f64::from_le_bytes(cursor.exactly()?)),
        AvroKind::Text => SingleValue::Text(cursor.text()?),
        AvroKind::Bytes => SingleValue::Bytes(cursor.bytes()?),
        AvroKind::Fixed(size) => SingleValue::Bytes(cursor.take(*size)?),
        AvroKind::Enum(words) => {
            let word = &words[cursor.choice(words.len(), "an enum has no word")?];
            cursor.grow(word.len())?;
            SingleValue::Text(word)
        }
        AvroKind::Boolean => match cursor.exactly()? {
            [0] => SingleValue::Bool(false),
            [1] => SingleValue::Bool(true),
            [other] => {
                let said = format!("a truth value is {other}, at byte {start}");
                return Err(Wrong::new(start, Fault::Said(said)));
            }
        },
        AvroKind::Date => SingleValue::Moment(i128::from(cursor.int()?) * DAY_NS),
        AvroKind::TimeMillis => SingleValue::Clock(i128::from(cursor.int()?) * 1_000_000),
        AvroKind::TimeMicros => SingleValue::Clock(i128::from(cursor.long()?) * 1_000),
        AvroKind::Moment(unit, _) => {
            SingleValue::Moment(i128::from(cursor.long()?) * nanoseconds(*unit))
        }
        AvroKind::Decimal(size, scale) => {
            let bytes = match size {
                Some(size) => cursor.take(*size)?,
                None => cursor.bytes()?,
            };
            big_endian(bytes).map_or(SingleValue::Huge, |value| SingleValue::Decimal(value, *scale))
        }
        AvroKind::Uuid => return uuid(cursor.take(16)?, start, column),
        AvroKind::Duration => {
            let bytes: [u8; 12] = cursor.exactly()?;
            let part = |at: usize| {
                u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
            };
            match (part(0), part(4), part(8)) {
                (0, 0, millis) => SingleValue::Span(i128::from(millis) * 1_000_000),
                // months and days are of no fixed length
                _ => SingleValue::Other,
            }
        }
        AvroKind::Null
        | AvroKind::Array(_)
        | AvroKind::Map(_)
        | AvroKind::Union(_)
        | AvroKind::Record(_) => SingleValue::Other,
    };
    push(value, start, column)
}

fn push(value: SingleValue<'_>, start: usize, column: &mut dyn Column) -> Parse<()> {
    column
        .push(value, TextsFor::Some)
        .map_err(|why| Wrong::new(start, Fault::Misfit(why, column.data_type(), shown(value))))
}

/// A UUID: its text for a column of text, else its bytes.
fn uuid(bytes: &[u8], start: usize, column: &mut dyn Column) -> Parse<()> {
    if column.data_type() != DataType::Utf8 {
        return push(SingleValue::Bytes(bytes), start, column);
    }
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        text.push_str(if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" });
        text.push_str(&format!("{byte:02x}"));
    }
    push(SingleValue::Text(&text), start, column)
}

fn nanoseconds(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// A whole number in the bytes of its two's complement, the first of which has the sign.
fn big_endian(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let (more, last) = bytes.split_at(bytes.len().saturating_sub(16));
    let mut value = [sign; 16];
    value[16 - last.len()..].copy_from_slice(last);
    let same = more.iter().all(|byte| *byte == sign) && (value[0] ^ sign) & 0x80 == 0;
    same.then(|| i128::from_be_bytes(value))
}

#[cold]
fn shown(value: SingleValue<'_>) -> String {
    match value {
        SingleValue::Bool(value) => value.to_string(),
        SingleValue::Whole(value) => value.to_string(),
        SingleValue::Float(value) => show::float(value),
        SingleValue::Decimal(value, scale) => format!("{value}e{}", -i32::from(scale)),
        SingleValue::Text(text) | SingleValue::Digits(text) => show::quoted(text),
        SingleValue::Bytes(bytes) => format!("{} bytes", bytes.len()),
        SingleValue::Moment(_) => "a time".into(),
        SingleValue::Clock(_) => "a time of day".into(),
        SingleValue::Span(_) => "a duration".into(),
        SingleValue::Huge => "a number of more digits than any type has".into(),
        SingleValue::Other => "a duration with months or days".into(),
    }
}
