//! Decode: converts what a source delivers to rows, normalising units, dictionaries and null times.
//!
//! Everything that can be refused is refused here, before any state changes.

mod stamp;

pub use stamp::{Leap, Stamped, UNCOUNTED, stamp};

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_select::concat::concat;

use crate::error::{Error, Result};
use crate::expr;
use crate::fate::Reason;
use crate::graph::Formula;
use crate::origin::Series;
use crate::plan;
use crate::schema::{convert_column, internal_type, may_lose};
use crate::time::{FOREVER, Micros, NEVER};
use crate::watermark::Watermarks;
use crate::wide;

/// Rows delivered by a source.
#[derive(Debug, Clone)]
pub struct Feed {
    /// Index of the input in the plan.
    pub input: usize,
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// The partition of each row.
    pub partition: Series,
    /// The position of each row in its partition; `None` if the source has none and rows are
    /// counted.
    pub position: Option<Series>,
    /// The recorded arrival of each row, if known.
    pub arrival: Option<Series>,
}

impl Feed {
    /// Whether it has neither rows nor columns.
    pub fn is_nothing(&self) -> bool {
        self.schema.fields().is_empty() && self.batches.iter().all(|batch| batch.num_rows() == 0)
    }

    /// The number of its rows.
    pub fn len(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses lists whose length is not the number of rows.
    pub fn check_lengths(&self) -> Result<()> {
        let all = [
            (Some(&self.partition), "partition"),
            (self.arrival.as_ref(), "arrival"),
            (self.position.as_ref(), "position"),
        ];
        let len = self.len();
        all.iter()
            .try_for_each(|(series, what)| series.map_or(Ok(()), |all| agrees(all, len, what)))
    }
}

/// How rows of several feeds are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Feed after feed, as given.
    Given,
    /// By recorded arrival, then input, partition, position.
    Arrival,
    /// By event time, then input, partition, position.
    Time,
}

/// Invalid rows, each with the reason.
pub type Unusable = Vec<(u32, Reason)>;

/// The rows of one feed, or of all feeds of an input, before stamping.
#[derive(Debug)]
pub struct DecodedRows {
    /// Index of the input.
    pub input: usize,
    /// The columns in internal types.
    pub columns: Vec<ArrayRef>,
    /// Event time.
    pub time: Vec<Micros>,
    /// The invalid rows, in rising order.
    pub bad: Unusable,
    /// The source's id of the partition.
    pub partition: Series,
    /// Index of the partition among the declared ones.
    pub place: Series,
    /// Position, if the source provides it.
    pub position: Option<Series>,
    /// Recorded arrival; `i64::MIN` if unknown.
    pub arrival: Series,
}

/// The schema implied by a first batch.
///
/// A column the plan does not name is never evaluated, so it keeps its type if normalising could
/// lose a value.
pub fn learn(schema: &Schema, plan: &plan::Plan) -> Result<SchemaRef> {
    let named = plan.words();
    let field = |field: &Arc<Field>| {
        let (name, own) = (field.name(), field.data_type());
        if may_lose(own) && !named.contains(name.as_str()) {
            return Ok(Field::new(name, own.clone(), true));
        }
        let data_type =
            internal_type(own).map_err(|error| error.within(&format!("column \"{name}\"")))?;
        Ok(Field::new(name, data_type, true))
    };
    let fields: Result<Vec<Field>> = schema.fields().iter().map(field).collect();
    Ok(Arc::new(Schema::new(fields?)))
}

/// Refuses more text in a column than one step can hold.
pub fn fit_together(feeds: &[DecodedRows], schemas: &[SchemaRef]) -> Result<()> {
    let mut held: HashMap<(usize, usize), usize> = HashMap::new();
    for feed in feeds {
        for (k, column) in feed.columns.iter().enumerate() {
            let bytes = held.entry((feed.input, k)).or_default();
            *bytes += wide::bytes(column.as_ref());
            if *bytes > i32::MAX as usize {
                return Err(too_much_text(schemas[feed.input].field(k).name(), *bytes));
            }
        }
    }
    Ok(())
}

fn too_much_text(name: &str, bytes: usize) -> Error {
    Error::Data(format!(
        "column \"{name}\" has {bytes} bytes of text in one step, which is more than {}\nhint: \
         push fewer rows at once",
        i32::MAX
    ))
}

/// An input's name for messages.
fn place(input: &plan::Input) -> String {
    format!("input \"{}\"", input.name)
}

/// Decodes a feed.
pub fn decode(
    feed: &Feed,
    schema: &SchemaRef,
    input: &plan::Input,
    time: &Formula,
    watermarks: &Watermarks,
) -> Result<DecodedRows> {
    let columns = columns(feed, schema, input)?;
    let len = feed.len();
    let (partition, position) = (feed.partition.clone(), feed.position.clone());
    let arrival = feed.arrival.clone().unwrap_or(Series::Same(Micros::MIN));
    feed.check_lengths()?;
    let place = places(&partition, watermarks).map_err(|error| error.within(&place(input)))?;
    let (times, mut bad) = event_times(time, &columns, len, &arrival)?;
    undeclared(&place, len, &mut bad);
    if let Some(skew) = input.max_future_skew {
        let early = |row: &usize| {
            let at = arrival.at(*row);
            at != Micros::MIN && times[*row] > at.saturating_add(skew)
        };
        let known: Vec<u32> = bad.iter().map(|&(row, _)| row).collect();
        let early =
            (0..len).filter(early).filter(|&row| known.binary_search(&(row as u32)).is_err());
        bad.extend(early.map(|row| (row as u32, Reason::Future)));
        bad.sort_unstable_by_key(|&(row, _)| row);
    }
    Ok(DecodedRows {
        input: feed.input,
        columns,
        time: times,
        bad,
        partition,
        place,
        position,
        arrival,
    })
}

/// Refuses a list whose length is not the number of rows.
fn agrees(series: &Series, len: usize, what: &str) -> Result<()> {
    match series {
        Series::Each(all) if all.len() != len => {
            Err(Error::Data(format!("{} {what}s for a batch of {len} rows", all.len())))
        }
        Series::Each(_) | Series::Same(_) | Series::From(_) => Ok(()),
    }
}

/// The index that stands for an undeclared partition.
pub const UNDECLARED: i64 = -1;

/// The indices of partitions among the declared ones; a finished partition is an error.
fn places(partitions: &Series, watermarks: &Watermarks) -> Result<Series> {
    let find = |id: i64| -> Result<i64> {
        let is_declared = watermarks.partitions().iter().any(|partition| partition.id == id);
        if is_declared { Ok(watermarks.find_open(id)? as i64) } else { Ok(UNDECLARED) }
    };
    let ids = match partitions {
        Series::Same(id) => return Ok(Series::Same(find(*id)?)),
        Series::From(_) => return Err(Error::Engine("partitions that count up".into())),
        Series::Each(ids) => ids,
    };
    let mut places = Vec::with_capacity(ids.len());
    let mut last: Option<(i64, i64)> = None;
    for &id in ids {
        let place = match last {
            Some((known, place)) if known == id => place,
            _ => find(id)?,
        };
        last = Some((id, place));
        places.push(place);
    }
    Ok(Series::Each(places))
}

/// Marks rows of undeclared partitions as invalid; this reason replaces any other.
fn undeclared(place: &Series, len: usize, bad: &mut Unusable) {
    if matches!(place, Series::Same(place) if *place != UNDECLARED) {
        return;
    }
    let unknown = |row: &u32| place.at(*row as usize) == UNDECLARED;
    let rows: Vec<u32> = (0..len as u32).filter(unknown).collect();
    if !rows.is_empty() {
        bad.retain(|(row, _)| !unknown(row));
        bad.extend(rows.into_iter().map(|row| (row, Reason::UndeclaredPartition)));
        bad.sort_unstable_by_key(|&(row, _)| row);
    }
}

/// The feed's columns converted to the declared types.
fn columns(feed: &Feed, schema: &SchemaRef, input: &plan::Input) -> Result<Vec<ArrayRef>> {
    if input.schema.is_none() {
        for field in feed.schema.fields() {
            if schema.index_of(field.name()).is_err() {
                return Err(Error::Schema(format!(
                    "column \"{}\" was not in the first batch of stream \"{}\"\nhint: declare \
                     schema= on the stream; columns it does not name are left out",
                    field.name(),
                    input.name
                )));
            }
        }
    }
    let column = |field: &Arc<Field>| {
        let name = field.name();
        let at = feed.schema.index_of(name).map_err(|_| {
            let known: Vec<&str> = feed.schema.fields().iter().map(|f| f.name().as_str()).collect();
            Error::Schema(format!(
                "column \"{name}\" of stream \"{}\" is not in the batch\nhint: the batch has {}",
                input.name,
                known.join(", ")
            ))
        })?;
        let place = format!("column \"{name}\" of stream \"{}\"", input.name);
        let part = |batch: &RecordBatch| convert_column(batch.column(at), field.data_type());
        let parts: Result<Vec<ArrayRef>> = feed.batches.iter().map(part).collect();
        let of_column = |error| match error {
            Error::Schema(said) => Error::Schema(format!("{place} {said}")),
            other => other.within(&place),
        };
        match parts.map_err(of_column)?.as_slice() {
            [] => Ok(arrow_array::new_empty_array(field.data_type())),
            [one] => Ok(one.clone()),
            several => {
                let parts: Vec<&dyn Array> = several.iter().map(AsRef::as_ref).collect();
                let bytes: usize = parts.iter().map(|part| wide::bytes(*part)).sum();
                if bytes > i32::MAX as usize {
                    return Err(too_much_text(name, bytes));
                }
                Ok(concat(&parts)?)
            }
        }
    };
    schema.fields().iter().map(column).collect()
}

/// Event times in microseconds, and the rows without a valid one.
fn event_times(
    time: &Formula,
    columns: &[ArrayRef],
    len: usize,
    arrival: &Series,
) -> Result<(Vec<Micros>, Unusable)> {
    let (array, lost) = match time.typed.as_column() {
        Some(at) => (columns[at].clone(), expr::Lost::default()),
        None => {
            let arrival: Option<Vec<Micros>> =
                time.arrival.then(|| (0..len).map(|row| arrival.at(row)).collect());
            let arrival = arrival.as_deref();
            let done = time.typed.eval(&expr::RowColumns { columns, len, late: None, arrival })?;
            (done.array, done.lost)
        }
    };
    let mut bad: Unusable = vec![];
    let scaled = |values: &[i64], factor: i64| -> Vec<Micros> {
        values.iter().map(|&value| value.checked_mul(factor).unwrap_or(NEVER)).collect()
    };
    let times: Vec<Micros> = match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            scaled(array.as_primitive::<TimestampSecondType>().values(), 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            scaled(array.as_primitive::<TimestampMillisecondType>().values(), 1000)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().values().to_vec()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let values = array.as_primitive::<TimestampNanosecondType>().values();
            values.iter().map(|&value| value.div_euclid(1000)).collect()
        }
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().values();
            days.iter()
                .map(|&day| i64::from(day).checked_mul(86_400_000_000).unwrap_or(NEVER))
                .collect()
        }
        other => return Err(Error::Schema(format!("event time is {other}, not a timestamp"))),
    };
    let (overflow, nulls) = (lost.rows(), array.nulls());
    for (row, &time) in times.iter().enumerate() {
        let is_null = nulls.is_some_and(|nulls| nulls.is_null(row));
        let is_lost = overflow.as_ref().is_some_and(|bits| bits.value(row));
        let reason = match () {
            () if is_lost && lost.is_cast(row) => Reason::CastFailed,
            () if is_lost => Reason::TimeOutOfRange,
            () if is_null => Reason::NullTime,
            () if time == NEVER || time == FOREVER => Reason::TimeOutOfRange,
            () => continue,
        };
        bad.push((row as u32, reason));
    }
    Ok((times, bad))
}

/// A record batch with an explicit row count, which a batch without columns needs.
pub fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, len: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(len));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
