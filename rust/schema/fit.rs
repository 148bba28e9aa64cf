//! Values as values of a declared type, each by itself: exactly, or not at all.
//!
//! Rows of Python, JSON, cells of CSV and columns of Arrow all become columns of their stream here,
//! so that a value means the same whatever door it comes through, alone or beside others.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, PrimitiveBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, ListArray, StructArray, new_null_array};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, Field, TimeUnit};

use super::layout::{rezoned, text_fits};
use super::moments::per_second;
use super::named;
use super::single::{ByType, Convert, DAY_NS, SingleValue, TextsFor, of_type};
use super::texts::Misfit;
use crate::error::{Error, Result};

/// A column in its type, null where a value does not fit, and those rows.
pub struct Fitted {
    /// The values.
    pub array: ArrayRef,
    /// The rows that do not fit, rising, and why.
    pub misfits: Vec<(usize, Misfit)>,
}

/// The column as type `to`, an internal type.
///
/// # Errors
///
/// `Schema` where no value of the one type is one of the other.
pub fn fit(array: &ArrayRef, to: &DataType, texts: TextsFor) -> Result<Fitted> {
    let from = array.data_type();
    text_fits(array, to)?;
    let whole = |array: ArrayRef| Ok(Fitted { array, misfits: vec![] });
    match (from, to) {
        _ if from == to => whole(array.clone()),
        (DataType::Null, _) => whole(new_null_array(to, array.len())),
        (DataType::Dictionary(_, values), _) => fit(&cast(array, values)?, to, texts),
        (DataType::RunEndEncoded(_, values), _) => {
            fit(&cast(array, values.data_type())?, to, texts)
        }
        (DataType::LargeUtf8 | DataType::Utf8View, _) => {
            fit(&cast(array, &DataType::Utf8)?, to, texts)
        }
        (DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_), _) => {
            fit(&cast(array, &DataType::Binary)?, to, texts)
        }
        (DataType::Timestamp(own, _), DataType::Timestamp(unit, zone)) if own == unit => {
            whole(rezoned(array, zone.clone()))
        }
        (_, DataType::List(item)) if is_list(from) => fit_list(array, item, texts),
        (DataType::Struct(_), DataType::Struct(fields)) => fit_struct(array, fields, texts),
        _ if nested(from) || nested(to) => {
            Err(Error::Schema(format!("the column is {}, not {}", named(from), named(to))))
        }
        _ => each(array, to, texts),
    }
}

fn is_list(data_type: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView};
    matches!(data_type, List(_) | LargeList(_) | ListView(_) | LargeListView(_) | FixedSizeList(..))
}

fn nested(data_type: &DataType) -> bool {
    data_type.is_nested() || matches!(data_type, DataType::Interval(_))
}

/// A list column: a row fits if all its items do.
fn fit_list(array: &ArrayRef, item: &Arc<Field>, texts: TextsFor) -> Result<Fitted> {
    let own = match array.data_type() {
        DataType::List(own)
        | DataType::LargeList(own)
        | DataType::ListView(own)
        | DataType::LargeListView(own)
        | DataType::FixedSizeList(own, _) => own.clone(),
        other => return Err(Error::Engine(format!("{other} is not a list"))),
    };
    let lists = cast(array, &DataType::List(own))?;
    let lists = lists.as_list::<i32>();
    let items = fit(lists.values(), item.data_type(), texts)?;
    let mut misfits: Vec<(usize, Misfit)> = vec![];
    let mut bad = items.misfits.into_iter().peekable();
    for (row, ends) in lists.value_offsets().windows(2).enumerate() {
        while let Some((_, why)) =
            bad.next_if(|&(at, _)| (at as i32) < ends[1]).filter(|&(at, _)| at as i32 >= ends[0])
        {
            if lists.is_valid(row) && misfits.last().is_none_or(|&(last, _)| last != row) {
                misfits.push((row, why));
            }
        }
    }
    let nulls = without(lists.nulls(), lists.len(), &misfits);
    let array = ListArray::try_new(item.clone(), lists.offsets().clone(), items.array, nulls)?;
    Ok(Fitted { array: Arc::new(array), misfits })
}

/// A struct column, field by field; one that is not given is null, one not declared is left out.
fn fit_struct(array: &ArrayRef, fields: &arrow_schema::Fields, texts: TextsFor) -> Result<Fitted> {
    let rows = array.as_struct();
    let (mut columns, mut misfits) = (Vec::with_capacity(fields.len()), vec![]);
    for field in fields {
        let Some(column) = rows.column_by_name(field.name()) else {
            columns.push(new_null_array(field.data_type(), rows.len()));
            continue;
        };
        let fitted = fit(column, field.data_type(), texts)?;
        columns.push(fitted.array);
        misfits.extend(fitted.misfits.into_iter().filter(|&(row, _)| rows.is_valid(row)));
    }
    misfits.sort_by_key(|&(row, _)| row);
    misfits.dedup_by_key(|&mut (row, _)| row);
    let nulls = without(rows.nulls(), rows.len(), &misfits);
    let array: ArrayRef = if fields.is_empty() {
        Arc::new(StructArray::new_empty_fields(rows.len(), nulls))
    } else {
        Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?)
    };
    Ok(Fitted { array, misfits })
}

/// The valid rows without those that do not fit.
fn without(
    nulls: Option<&NullBuffer>,
    len: usize,
    misfits: &[(usize, Misfit)],
) -> Option<NullBuffer> {
    if misfits.is_empty() {
        return nulls.cloned();
    }
    let mut valid: Vec<bool> = match nulls {
        Some(nulls) => nulls.iter().collect(),
        None => vec![true; len],
    };
    misfits.iter().for_each(|&(row, _)| valid[row] = false);
    Some(NullBuffer::from(valid))
}

/// A plain column, value by value.
fn each(array: &ArrayRef, to: &DataType, texts: TextsFor) -> Result<Fitted> {
    of_type(to, OfArray { array, to, texts })
}

/// The values of an array, to be converted.
struct OfArray<'a> {
    array: &'a ArrayRef,
    to: &'a DataType,
    texts: TextsFor,
}

impl ByType for OfArray<'_> {
    type Made = Result<Fitted>;

    fn primitive<T: ArrowPrimitiveType>(self, convert: impl Convert<T::Native>) -> Self::Made {
        let built = PrimitiveBuilder::<T>::with_capacity(self.array.len());
        let (mut built, mut misfits) = (built.with_data_type(self.to.clone()), vec![]);
        let one = |value: SingleValue| convert(value, self.texts);
        read(self.array, &mut misfits, one, |value| built.append_option(value))?;
        Ok(Fitted { array: Arc::new(built.finish()), misfits })
    }

    fn boolean(self, convert: impl Convert<bool>) -> Self::Made {
        let (mut built, mut misfits) = (BooleanBuilder::with_capacity(self.array.len()), vec![]);
        let one = |value: SingleValue| convert(value, self.texts);
        read(self.array, &mut misfits, one, |value| built.append_option(value))?;
        Ok(Fitted { array: Arc::new(built.finish()), misfits })
    }

    fn binary(self, convert: impl Convert<Vec<u8>>) -> Self::Made {
        let (mut built, mut misfits) = (BinaryBuilder::new(), vec![]);
        let one = |value: SingleValue| convert(value, self.texts);
        read(self.array, &mut misfits, one, |value| built.append_option(value))?;
        Ok(Fitted { array: Arc::new(built.finish()), misfits })
    }

    /// Text, and nothing: no value of another type is one.
    fn other(self) -> Self::Made {
        let valid = (0..self.array.len()).filter(|&row| self.array.is_valid(row));
        let misfits = valid.map(|row| (row, Misfit::Kind)).collect();
        Ok(Fitted { array: new_null_array(self.to, self.array.len()), misfits })
    }
}

/// Converts each value; the type of the column is looked at once.
fn read<V>(
    array: &ArrayRef,
    misfits: &mut Vec<(usize, Misfit)>,
    convert: impl Fn(SingleValue) -> Result<V, Misfit>,
    mut push: impl FnMut(Option<V>),
) -> Result<()> {
    use DataType::*;
    macro_rules! go {
        ($values:expr, $given:expr) => {{
            let (values, given) = ($values, $given);
            for row in 0..array.len() {
                if array.is_null(row) {
                    push(None);
                    continue;
                }
                let value = convert(given(values.value(row)));
                misfits.extend(value.as_ref().err().map(|&why| (row, why)));
                push(value.ok());
            }
        }};
    }
    macro_rules! primitive {
        ($kind:ty, $given:expr) => {
            go!(array.as_primitive::<$kind>(), $given)
        };
    }
    let nanos = |unit: TimeUnit| i128::from(1_000_000_000 / per_second(unit));
    match array.data_type() {
        Boolean => go!(array.as_boolean(), SingleValue::Bool),
        Int8 => primitive!(Int8Type, |v| SingleValue::Whole(i128::from(v))),
        Int16 => primitive!(Int16Type, |v| SingleValue::Whole(i128::from(v))),
        Int32 => primitive!(Int32Type, |v| SingleValue::Whole(i128::from(v))),
        Int64 => primitive!(Int64Type, |v| SingleValue::Whole(i128::from(v))),
        UInt8 => primitive!(UInt8Type, |v| SingleValue::Whole(i128::from(v))),
        UInt16 => primitive!(UInt16Type, |v| SingleValue::Whole(i128::from(v))),
        UInt32 => primitive!(UInt32Type, |v| SingleValue::Whole(i128::from(v))),
        UInt64 => primitive!(UInt64Type, |v| SingleValue::Whole(i128::from(v))),
        Float16 => {
            let wide = cast(array, &Float32)?;
            return read(&wide, misfits, convert, push);
        }
        Float32 => primitive!(Float32Type, |v| SingleValue::Float(f64::from(v))),
        Float64 => primitive!(Float64Type, SingleValue::Float),
        Decimal32(_, s) => {
            primitive!(Decimal32Type, |v| SingleValue::Decimal(i128::from(v), *s))
        }
        Decimal64(_, s) => {
            primitive!(Decimal64Type, |v| SingleValue::Decimal(i128::from(v), *s))
        }
        Decimal128(_, s) => primitive!(Decimal128Type, |v| SingleValue::Decimal(v, *s)),
        Decimal256(_, s) => primitive!(Decimal256Type, |v: arrow_buffer::i256| {
            v.to_i128().map_or(SingleValue::Huge, |v| SingleValue::Decimal(v, *s))
        }),
        Date32 => primitive!(Date32Type, |v| SingleValue::Moment(i128::from(v) * DAY_NS)),
        Date64 => primitive!(Date64Type, |v| SingleValue::Moment(i128::from(v) * 1_000_000)),
        Time32(TimeUnit::Second) => {
            primitive!(Time32SecondType, |v| SingleValue::Clock(i128::from(v) * 1_000_000_000))
        }
        Time32(_) => {
            primitive!(Time32MillisecondType, |v| SingleValue::Clock(i128::from(v) * 1_000_000))
        }
        Time64(TimeUnit::Nanosecond) => {
            primitive!(Time64NanosecondType, |v| SingleValue::Clock(i128::from(v)))
        }
        Time64(_) => {
            primitive!(Time64MicrosecondType, |v| SingleValue::Clock(i128::from(v) * 1_000))
        }
        Timestamp(unit, _) => {
            let (step, ticks) = (nanos(*unit), cast(array, &Int64)?);
            go!(ticks.as_primitive::<Int64Type>(), |v| SingleValue::Moment(i128::from(v) * step));
        }
        Duration(unit) => {
            let (step, ticks) = (nanos(*unit), cast(array, &Int64)?);
            go!(ticks.as_primitive::<Int64Type>(), |v| SingleValue::Span(i128::from(v) * step));
        }
        Utf8 => go!(array.as_string::<i32>(), SingleValue::Text),
        Binary => go!(array.as_binary::<i32>(), SingleValue::Bytes),
        _ => {
            for row in 0..array.len() {
                let why = convert(SingleValue::Other).err().filter(|_| array.is_valid(row));
                misfits.extend(why.map(|why| (row, why)));
                push(None);
            }
        }
    }
    Ok(())
}
