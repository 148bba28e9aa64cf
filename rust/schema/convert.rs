//! Converts a whole incoming column to its declared type, or refuses it.

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::explain::{explain_misfit, shown};
use super::fit::fit;
use super::layout::internal_type;
use super::named;
use super::single::TextsFor;
use crate::error::{Error, Result};

/// `array` as a column of type `to`, value for value.
///
/// # Errors
///
/// `Schema` where the types do not belong together, `Data` where a value does not fit. The caller
/// adds the column's name to the message.
pub fn convert_column(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
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
    let (value, (said, hint)) = (shown(array, row), explain_misfit(why, to));
    let misfit = format!("row {row} does not fit {word}: {value} {said}");
    let is_text = internal_type(array.data_type()).is_ok_and(|plain| plain == DataType::Utf8);
    Err(if is_text {
        Error::Schema(format!(
            "is {from} in this batch, not {word}, and {misfit}\nhint: cast it before it is \
             pushed"
        ))
    } else {
        Error::Data(format!("{misfit}\nhint: {hint}"))
    })
}

/// Whether columns of one type may become those of another. Text becomes what JSON has no word for
/// ([`super::TextsFor::Some`]), such as times.
pub fn may_fit(from: &DataType, to: &DataType) -> bool {
    use DataType::{Binary, Boolean, Date32, Duration, Null, Time64, Timestamp, Utf8};
    let Ok(from) = internal_type(from) else { return from == to };
    match (&from, to) {
        _ if from == *to => true,
        (Null, _) => true,
        (DataType::List(a), DataType::List(b)) => may_fit(a.data_type(), b.data_type()),
        (DataType::Struct(own), DataType::Struct(fields)) => own.iter().all(|field| {
            let other = fields.iter().find(|other| other.name() == field.name());
            // undeclared fields of a struct are left out, as undeclared columns are
            other.is_none_or(|other| may_fit(field.data_type(), other.data_type()))
        }),
        (Utf8, Timestamp(..) | Date32 | Time64(_) | Duration(_) | Binary) => true,
        (Utf8, other) => other.is_decimal(),
        (Timestamp(..) | Date32, Timestamp(..) | Date32) => true,
        (a, Boolean | Duration(_)) => a.is_integer(),
        (a, b) => a.is_numeric() && b.is_numeric(),
    }
}
