//! A column that is handed over as one of its stream: as a whole, or not at all.

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::complain::{complain, shown};
use super::edge::normalised;
use super::fit::fit;
use super::named;
use super::single::TextsFor;
use crate::error::{Error, Result};

/// `array` as a column of type `to`, value for value.
///
/// # Errors
///
/// `Schema` where the types do not belong together, `Data` where a value does not fit; both are
/// said of the column, which the message does not name.
pub fn normalise(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    let (from, word) = (named(array.data_type()), named(to));
    if !may_fit(array.data_type(), to) {
        return Err(Error::Schema(format!(
            "is {from} in this batch, not {word}\nhint: cast it before it is pushed"
        )));
    }
    let fitted = fit(array, to, TextsFor::Some)?;
    let Some(&(row, why)) = fitted.misfits.first() else { return Ok(fitted.array) };
    let (value, (said, hint)) = (shown(array, row), complain(why, to));
    let misfit = format!("row {row} does not fit {word}: {value} {said}");
    let is_text = normalised(array.data_type()).is_ok_and(|plain| plain == DataType::Utf8);
    Err(if is_text {
        Error::Schema(format!(
            "is {from} in this batch, not {word}, and {misfit}\nhint: cast it before it is \
             pushed"
        ))
    } else {
        Error::Data(format!("{misfit}\nhint: {hint}"))
    })
}

/// Whether a value of one type may be one of the other, where a text is no more than itself.
pub fn may_fit(from: &DataType, to: &DataType) -> bool {
    use DataType::{Binary, Boolean, Date32, Duration, Null, Time64, Timestamp, Utf8};
    let Ok(from) = normalised(from) else { return from == to };
    match (&from, to) {
        _ if from == *to => true,
        (Null, _) => true,
        (DataType::List(a), DataType::List(b)) => may_fit(a.data_type(), b.data_type()),
        (DataType::Struct(own), DataType::Struct(fields)) => own.iter().all(|field| {
            let other = fields.iter().find(|other| other.name() == field.name());
            // one that is not declared is left out, as such a column is
            other.is_none_or(|other| may_fit(field.data_type(), other.data_type()))
        }),
        (Utf8, Timestamp(..) | Date32 | Time64(_) | Duration(_) | Binary) => true,
        (Utf8, other) => other.is_decimal(),
        (Timestamp(..) | Date32, Timestamp(..) | Date32) => true,
        (a, Boolean | Duration(_)) => a.is_integer(),
        (a, b) => a.is_numeric() && b.is_numeric(),
    }
}
