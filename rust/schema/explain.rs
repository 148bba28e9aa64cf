//! Says why a value does not fit its column, and what to do.

use arrow_array::{Array, ArrayRef};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType;

use super::texts::Misfit;

/// A value of a column, as messages show it.
pub fn shown(array: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::default().with_display_error(true).with_null("null");
    let text = ArrayFormatter::try_new(array, &options)
        .map_or_else(|_| "a value".to_string(), |shown| shown.value(row).to_string());
    if matches!(array.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        format!("{text:?}")
    } else {
        text
    }
}

/// What a message says of a value that does not fit, and what to do.
pub fn explain_misfit(why: Misfit, to: &DataType) -> (&'static str, &'static str) {
    let said = match why {
        Misfit::Kind => "is of another type",
        Misfit::Digits if to.is_integer() => "has a fraction",
        Misfit::Digits if to.is_floating() => "is not exactly a float",
        Misfit::Digits => "has more digits than it keeps",
        Misfit::Vague => "is a float beyond 2**53, which stands for several integers",
        Misfit::Range => "is beyond its range",
    };
    let hint = match (why, to) {
        (Misfit::Kind, DataType::Timestamp(..)) => {
            "give a datetime or ISO 8601 text; for numbers declare i64 and time=mt.epoch(...)"
        }
        (Misfit::Kind, DataType::Date32) => "give a date or ISO 8601 text",
        (Misfit::Kind, DataType::Binary) => "give bytes, or text in base64",
        (Misfit::Digits, DataType::Timestamp(..)) => "declare a finer unit, as in timestamp[ns]",
        (Misfit::Digits, DataType::Date32) => "declare a timestamp, or give the day alone",
        (Misfit::Digits, to) if to.is_integer() => {
            "declare the column f64 or decimal(p, s) in schema=, or round before"
        }
        (Misfit::Digits, to) if to.is_decimal() => "declare more digits, or round before",
        (Misfit::Digits, to) if to.is_floating() => "declare the column i64 or decimal(p, s)",
        _ => "declare the type that the values have: schema={...}",
    };
    (said, hint)
}
