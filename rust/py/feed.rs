//! Python's feeds: taken with the GIL, read without it.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};
use pyo3::prelude::*;

use super::bridge::{self, Handed};
use crate::decode::{Feed, Order};
use crate::error::{Error, Result};
use crate::origin::Series;

/// Input, data, partition, position, arrival; as `muntin.operator` hands them over.
pub type Tuple<'py> = (
    usize,
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
);

/// A feed that is not read yet.
pub struct RawFeed {
    input: usize,
    place: String,
    data: Handed,
    partition: Numbers,
    position: Option<Numbers>,
    arrival: Option<Numbers>,
}

/// One number for all rows, or an array with one a row.
enum Numbers {
    One(i64),
    Each(Handed),
}

impl RawFeed {
    /// Takes a feed out of Python; `names` are those of the inputs.
    pub fn take(tuple: Tuple<'_>, names: &[String]) -> PyResult<RawFeed> {
        let (input, data, partition, position, arrival) = tuple;
        let place = format!("input \"{}\"", names.get(input).map_or("", String::as_str));
        Ok(RawFeed {
            input,
            data: bridge::take(&data, &place)?,
            place,
            partition: Numbers::take(&partition, "partition")?,
            position: position.map(|p| Numbers::take(&p, "position")).transpose()?,
            arrival: arrival.map(|a| Numbers::take(&a, "arrival")).transpose()?,
        })
    }

    /// Reads the rows and their metadata.
    pub fn read(self, validate: bool) -> Result<Feed> {
        let data = self.data.read(validate).map_err(|error| error.within(&self.place))?;
        let (schema, batches) = data.batches()?;
        let rows = batches.iter().map(|batch| batch.num_rows()).sum();
        let (position, arrival) = (self.position, self.arrival);
        let position = position.map(|all| all.read(Series::From, rows, "position")).transpose()?;
        let arrival = arrival.map(|all| all.read(Series::Same, rows, "arrival")).transpose()?;
        Ok(Feed {
            input: self.input,
            schema,
            batches,
            partition: self.partition.read(Series::Same, rows, "partition")?,
            position,
            arrival,
        })
    }
}

impl Numbers {
    fn take(object: &Bound<'_, PyAny>, what: &str) -> PyResult<Numbers> {
        if bridge::is_arrow(object)? {
            return Ok(Numbers::Each(bridge::take(object, what)?));
        }
        object.extract().map(Numbers::One).map_err(|_| {
            let hint = "give an integer of 64 bits, or an Arrow array with one a row";
            let shown = object.repr().map_or_else(|_| "the value".into(), |text| text.to_string());
            Error::Data(format!("{what}: {shown} is not an integer\nhint: {hint}")).into()
        })
    }

    fn read(self, one: fn(i64) -> Series, rows: usize, what: &str) -> Result<Series> {
        let each = match self {
            Numbers::One(number) => return Ok(one(number)),
            Numbers::Each(handed) => handed.read(true)?.arrays(),
        };
        let mut numbers = Vec::with_capacity(rows);
        for array in &each {
            numbers.extend_from_slice(&integers(array).map_err(|error| error.within(what))?);
        }
        if numbers.len() != rows {
            return Err(Error::Data(format!("{what}: {} values for {rows} rows", numbers.len())));
        }
        Ok(Series::Each(numbers))
    }
}

/// The values of an integer or timestamp array, times in microseconds.
fn integers(array: &ArrayRef) -> Result<Vec<i64>> {
    let kind = array.data_type();
    let unit = match kind {
        DataType::Timestamp(unit, _) => Some(*unit),
        integer if integer.is_integer() => None,
        other => {
            let text =
                format!("expected integers or timestamps, got {}", crate::schema::named(other));
            return Err(Error::Data(text));
        }
    };
    if let Some(row) = (0..array.len()).find(|&row| array.is_null(row)) {
        return Err(Error::Data(format!("the value of row {row} is null")));
    }
    let checked = CastOptions { safe: false, ..CastOptions::default() };
    let values = cast_with_options(array, &DataType::Int64, &checked)
        .map_err(|_| Error::Data("a value is beyond 64 bits with a sign".into()))?;
    let values = values.as_primitive::<Int64Type>().values().iter();
    let (up, down) = match unit {
        Some(TimeUnit::Second) => (1_000_000, 1),
        Some(TimeUnit::Millisecond) => (1_000, 1),
        Some(TimeUnit::Nanosecond) => (1, 1_000),
        Some(TimeUnit::Microsecond) | None => (1, 1),
    };
    let beyond = |value: i64| Error::Data(format!("{value} is beyond 64 bits of microseconds"));
    values.map(|v| v.div_euclid(down).checked_mul(up).ok_or_else(|| beyond(*v))).collect()
}

/// The order of the rows of several feeds, by its word.
pub fn order(word: &str) -> Result<Order> {
    match word {
        "given" => Ok(Order::Given),
        "arrival" => Ok(Order::Arrival),
        "time" => Ok(Order::Time),
        other => {
            let hint = "the orders are given, arrival, time";
            Err(Error::Plan(format!("unknown order \"{other}\"\nhint: {hint}")))
        }
    }
}
