//! Types: their words, and how a value of one becomes a value of another.
//!
//! A column comes in any of Arrow's layouts. [`internal_type`] says in which type the engine carries
//! it (`layout`), [`may_fit`] whether columns of one type can become those of another at all, and
//! [`convert_column`] converts one as a whole (`convert`). [`fit`] does so value by value, with a null
//! and a [`texts::Misfit`] where one does not fit; how a single value is read as each type is in
//! `single`, numbers and times as text in `texts` and `moments`, and [`explain_misfit`] has the words
//! of the message. [`common_type`] is that of columns of several streams.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};

use crate::error::{Error, Result};

mod explain;
mod layout;
pub mod single;
pub mod moments;
mod large;
mod convert;
mod fit;
#[cfg(test)]
mod fit_tests;
pub mod texts;
mod common;

pub use common::{common_type, in_common_type};
pub use convert::{convert_column, may_fit};
pub use explain::{explain_misfit, shown};
pub use fit::{Fitted, fit};
pub use large::large;
pub use layout::{internal_type, is_utc, may_lose, rezoned};
pub use single::TextsFor;

/// Words for types without parameters.
static PLAIN: [(&str, DataType); 16] = [
    ("null", DataType::Null),
    ("bool", DataType::Boolean),
    ("i8", DataType::Int8),
    ("i16", DataType::Int16),
    ("i32", DataType::Int32),
    ("i64", DataType::Int64),
    ("u8", DataType::UInt8),
    ("u16", DataType::UInt16),
    ("u32", DataType::UInt32),
    ("u64", DataType::UInt64),
    ("f32", DataType::Float32),
    ("f64", DataType::Float64),
    ("str", DataType::Utf8),
    ("binary", DataType::Binary),
    ("date", DataType::Date32),
    ("time", DataType::Time64(TimeUnit::Microsecond)),
];

static UNITS: [(&str, TimeUnit); 4] = [
    ("s", TimeUnit::Second),
    ("ms", TimeUnit::Millisecond),
    ("us", TimeUnit::Microsecond),
    ("ns", TimeUnit::Nanosecond),
];

/// The unit of a word: `s`, `ms`, `us` or `ns`.
pub fn parse_unit(word: &str) -> Option<TimeUnit> {
    UNITS.iter().find(|(own, _)| *own == word).map(|&(_, unit)| unit)
}

/// The type of a word, e.g. `timestamp[us, Europe/Berlin]` or `list[i64]`.
pub fn parse_type(word: &str) -> Result<DataType> {
    let word = word.trim();
    if let Some((_, plain)) = PLAIN.iter().find(|(own, _)| *own == word) {
        return Ok(plain.clone());
    }
    let parsed = match word.split_once(['[', '(']) {
        Some(("timestamp", _)) => timestamp(within(word, '[', ']')),
        Some(("duration", _)) => {
            within(word, '[', ']').and_then(parse_unit).map(DataType::Duration)
        }
        // a type that is carried as it came: Arrow's own word for it
        Some(("arrow", _)) => within(word, '[', ']').and_then(|own| own.parse().ok()),
        Some(("decimal", _)) => decimal(within(word, '(', ')')),
        Some(("list", _)) => match within(word, '[', ']') {
            Some(item) => return Ok(list(parse_type(item)?)),
            None => None,
        },
        Some(("struct", _)) => match within(word, '[', ']') {
            Some(fields) => return Ok(DataType::Struct(parse_fields(fields)?)),
            None => None,
        },
        Some(_) | None => None,
    };
    parsed.ok_or_else(|| {
        let words: Vec<&str> = PLAIN.iter().map(|(word, _)| *word).collect();
        let words = words.join(" ");
        Error::Schema(format!(
            "unknown type \"{word}\"\nhint: the types are {words} timestamp[us, UTC] duration[us] \
             decimal(p, s) list[T] struct[name: T, ...]"
        ))
    })
}

/// The word of an internal type.
pub fn type_word(data_type: &DataType) -> Result<String> {
    if let Some((word, _)) = PLAIN.iter().find(|(_, plain)| plain == data_type) {
        return Ok(word.to_string());
    }
    Ok(match data_type {
        DataType::Timestamp(unit, None) => format!("timestamp[{}]", unit_word(unit)),
        DataType::Timestamp(unit, Some(zone)) => format!("timestamp[{}, {zone}]", unit_word(unit)),
        DataType::Duration(unit) => format!("duration[{}]", unit_word(unit)),
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        DataType::List(item) => format!("list[{}]", type_word(item.data_type())?),
        DataType::Struct(fields) => {
            let fields: Result<Vec<String>> = fields
                .iter()
                .map(|field| Ok(format!("{}: {}", field.name(), type_word(field.data_type())?)))
                .collect();
            format!("struct[{}]", fields?.join(", "))
        }
        other => format!("arrow[{other}]"),
    })
}

/// The word of a type, or what Arrow calls it where there is none: for messages.
pub fn named(data_type: &DataType) -> String {
    type_word(data_type).unwrap_or_else(|_| data_type.to_string())
}

fn unit_word(unit: &TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

fn within(word: &str, open: char, close: char) -> Option<&str> {
    let start = word.find(open)? + open.len_utf8();
    Some(word[start..].strip_suffix(close)?.trim())
}

fn timestamp(parameters: Option<&str>) -> Option<DataType> {
    let parameters = parameters?;
    let (unit, zone) = match parameters.split_once(',') {
        Some((unit, zone)) => (unit, Some(zone.trim())),
        None => (parameters, None),
    };
    let unit = parse_unit(unit.trim())?;
    (zone != Some("")).then(|| DataType::Timestamp(unit, zone.map(Arc::from)))
}

fn decimal(parameters: Option<&str>) -> Option<DataType> {
    let (precision, scale) = parameters?.split_once(',')?;
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let fits = (1..=38).contains(&precision) && (0..=precision as i8).contains(&scale);
    fits.then_some(DataType::Decimal128(precision, scale))
}

/// The type of lists of a type.
pub fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// `a: i64, b: list[str]`; a comma inside brackets belongs to a type.
fn parse_fields(text: &str) -> Result<Fields> {
    let mut fields = Vec::new();
    let (mut start, mut depth) = (0, 0);
    let ends = text.char_indices().chain([(text.len(), ',')]);
    for (at, c) in ends {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                let (name, word) = text[start..at].split_once(':').ok_or_else(|| {
                    Error::Schema(format!("no type in \"{}\"\nhint: name: type", &text[start..at]))
                })?;
                fields.push(Field::new(name.trim(), parse_type(word)?, true));
                start = at + 1;
            }
            _ => {}
        }
    }
    Ok(fields.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        for word in [
            "null",
            "bool",
            "i8",
            "u64",
            "f32",
            "str",
            "binary",
            "date",
            "time",
            "timestamp[ns]",
            "timestamp[us, Europe/Berlin]",
            "duration[us]",
            "duration[ns]",
            "decimal(38, 9)",
            "list[list[i64]]",
            "struct[a: i64, b: struct[c: decimal(9, 2)]]",
            "list[timestamp[us, UTC]]",
        ] {
            assert_eq!(type_word(&parse_type(word).unwrap()).unwrap(), word);
        }
        for word in [
            "int",
            "timestamp",
            "timestamp[min]",
            "timestamp[us, ]",
            "decimal(39, 0)",
            "list[x]",
            "decimal(3, 4)",
            "list[i64",
            "decimal",
            "struct[a]",
            "",
        ] {
            assert!(parse_type(word).is_err(), "{word}");
        }
    }
    #[test]
    fn types_that_are_only_carried_have_words() {
        use arrow_schema::{IntervalUnit, UnionFields, UnionMode};
        let entries = Field::new(
            "entries",
            DataType::Struct(
                vec![
                    Field::new("keys", DataType::Utf8, false),
                    Field::new("values", DataType::Int64, true),
                ]
                .into(),
            ),
            false,
        );
        let fields = vec![Field::new("a", DataType::Int64, true)];
        let union = UnionFields::try_new(vec![0], fields).unwrap();
        for carried in [
            DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::Map(Arc::new(entries), false),
            DataType::Union(union, UnionMode::Sparse),
            DataType::Decimal256(76, 40),
            DataType::Date64,
            DataType::Time64(TimeUnit::Nanosecond),
        ] {
            let word = type_word(&carried).unwrap();
            assert_eq!(parse_type(&word), Ok(carried), "{word}");
        }
    }
}
