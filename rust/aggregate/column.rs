//! The argument of one aggregate, row by row: a growable column in which rows can be absent.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Decimal128Array, Float64Array, Int64Array,
    LargeBinaryArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};

use super::present::Present;
use super::value::{Class, Value};
use crate::error::{Error, Result};

/// Argument values of one aggregate, each present or absent.
///
/// A row is present if its argument is not null and its `where` is true. Absent rows hold zero, so
/// that equal columns have equal bytes in a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub(super) values: ColumnValues,
    present: Present,
}

/// The values, by class.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ColumnValues {
    Unit,
    I64(Vec<i64>),
    I128(Vec<i128>),
    F64(Vec<f64>),
    /// `offsets` has one entry more than the number of rows.
    Bytes {
        offsets: Vec<i64>,
        data: Vec<u8>,
    },
}

impl Column {
    /// The argument values of `len` rows. Without an array the aggregate is `count()`; without a
    /// filter every row passes.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] if the lengths differ.
    pub fn from_array(
        array: Option<&ArrayRef>,
        filter: Option<&BooleanArray>,
        len: usize,
    ) -> Result<Column> {
        let agree = array.is_none_or(|a| a.len() == len) && filter.is_none_or(|f| f.len() == len);
        if !agree {
            return Err(Error::Engine(format!("the argument does not have {len} rows")));
        }
        let nulls = array.and_then(|a| a.logical_nulls());
        let mut present = Present::full(len);
        if nulls.as_ref().is_some_and(|n| n.null_count() > 0) || filter.is_some() {
            present = Present::default();
            for i in 0..len {
                let kept = filter.is_none_or(|f| f.is_valid(i) && f.value(i));
                present.push(kept && nulls.as_ref().is_none_or(|n| n.is_valid(i)));
            }
        }
        let values = match array {
            Some(array) => values_of(array, &present),
            None => ColumnValues::Unit,
        };
        Ok(Column { values, present })
    }

    /// An empty column of a class.
    pub fn empty(class: Class) -> Column {
        let values = match class {
            Class::Unit => ColumnValues::Unit,
            Class::I64 => ColumnValues::I64(Vec::new()),
            Class::I128 => ColumnValues::I128(Vec::new()),
            Class::F64 => ColumnValues::F64(Vec::new()),
            Class::Bytes => ColumnValues::Bytes { offsets: vec![0], data: Vec::new() },
        };
        Column { values, present: Present::default() }
    }

    /// The class of the values.
    pub fn class(&self) -> Class {
        match &self.values {
            ColumnValues::Unit => Class::Unit,
            ColumnValues::I64(_) => Class::I64,
            ColumnValues::I128(_) => Class::I128,
            ColumnValues::F64(_) => Class::F64,
            ColumnValues::Bytes { .. } => Class::Bytes,
        }
    }

    /// An empty column of the same class.
    pub fn empty_like(&self) -> Column {
        Column::empty(self.class())
    }

    /// Number of rows, including absent ones.
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.present.len() == 0
    }

    /// The value of row `i`, `None` if it is absent.
    #[inline]
    pub fn get(&self, i: usize) -> Option<Value<'_>> {
        if !self.present.get(i) {
            return None;
        }
        Some(match &self.values {
            ColumnValues::Unit => Value::Unit,
            ColumnValues::I64(v) => Value::I64(v[i]),
            ColumnValues::I128(v) => Value::I128(v[i]),
            ColumnValues::F64(v) => Value::F64(v[i]),
            ColumnValues::Bytes { offsets, data } => Value::Bytes(slice(offsets, data, i)),
        })
    }

    /// How many of the selected values are NaN.
    pub fn nans(&self, pick: &[u32]) -> u64 {
        let ColumnValues::F64(values) = &self.values else { return 0 };
        let nans = match pick.len() == values.len() {
            true => values.iter().filter(|value| value.is_nan()).count(),
            false => pick.iter().filter(|&&i| values[i as usize].is_nan()).count(),
        };
        nans as u64
    }

    /// Whether every row is present.
    pub fn is_full(&self) -> bool {
        self.present.is_full()
    }

    /// Whether row `i` is present.
    #[inline]
    pub fn is_present(&self, i: usize) -> bool {
        self.present.get(i)
    }

    /// Appends a row. A value of another class counts as absent.
    pub fn push(&mut self, value: Option<Value<'_>>) {
        let fits = match (&mut self.values, value) {
            (ColumnValues::Unit, v) => v.is_some(),
            (ColumnValues::I64(all), v) => {
                keep(all, if let Some(Value::I64(v)) = v { Some(v) } else { None })
            }
            (ColumnValues::I128(all), v) => {
                keep(all, if let Some(Value::I128(v)) = v { Some(v) } else { None })
            }
            (ColumnValues::F64(all), v) => {
                keep(all, if let Some(Value::F64(v)) = v { Some(v) } else { None })
            }
            (ColumnValues::Bytes { offsets, data }, v) => {
                let bytes = if let Some(Value::Bytes(b)) = v { Some(b) } else { None };
                data.extend_from_slice(bytes.unwrap_or_default());
                offsets.push(data.len() as i64);
                bytes.is_some()
            }
        };
        debug_assert!(fits || value.is_none(), "a value of another class");
        self.present.push(fits);
    }

    /// Removes all rows and keeps the memory.
    pub fn clear(&mut self) {
        match &mut self.values {
            ColumnValues::Unit => {}
            ColumnValues::I64(v) => v.clear(),
            ColumnValues::I128(v) => v.clear(),
            ColumnValues::F64(v) => v.clear(),
            ColumnValues::Bytes { offsets, data } => {
                offsets.truncate(1);
                data.clear();
            }
        }
        self.present = Present::default();
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        let values = match &self.values {
            ColumnValues::Unit => 0,
            ColumnValues::I64(v) => v.capacity() * 8,
            ColumnValues::I128(v) => v.capacity() * 16,
            ColumnValues::F64(v) => v.capacity() * 8,
            ColumnValues::Bytes { offsets, data } => offsets.capacity() * 8 + data.capacity(),
        };
        size_of::<Column>() + self.present.bytes() + values
    }

    /// The whole column as an Arrow array; [`Column::from_saved`] reads it back.
    pub fn to_array(&self) -> ArrayRef {
        let nulls = self.present.nulls();
        match &self.values {
            ColumnValues::Unit => {
                Arc::new(BooleanArray::new(BooleanBuffer::new_set(self.len()), nulls))
            }
            ColumnValues::I64(v) => Arc::new(Int64Array::new(v.clone().into(), nulls)),
            ColumnValues::I128(v) => Arc::new(Decimal128Array::new(v.clone().into(), nulls)),
            ColumnValues::F64(v) => Arc::new(Float64Array::new(v.clone().into(), nulls)),
            ColumnValues::Bytes { offsets, data } => Arc::new(LargeBinaryArray::new(
                OffsetBuffer::new(ScalarBuffer::from(offsets.clone())),
                Buffer::from_slice_ref(data),
                nulls,
            )),
        }
    }

    /// Reads back a column saved by [`Column::to_array`].
    ///
    /// # Errors
    ///
    /// [`Error::Snapshot`] if columns are never saved as this type.
    pub fn from_saved(array: &ArrayRef) -> Result<Column> {
        match array.data_type() {
            DataType::Boolean => {
                let mut column = Column { values: ColumnValues::Unit, present: Present::default() };
                (0..array.len()).for_each(|i| column.present.push(array.is_valid(i)));
                Ok(column)
            }
            DataType::Int64
            | DataType::Decimal128(_, _)
            | DataType::Float64
            | DataType::LargeBinary => Column::from_array(Some(array), None, array.len()),
            other => Err(Error::Snapshot(format!("argument values saved as {other}"))),
        }
    }
}

/// Appends a value, or zero if there is none; returns whether there was one.
fn keep<T: Default>(all: &mut Vec<T>, value: Option<T>) -> bool {
    let present = value.is_some();
    all.push(value.unwrap_or_default());
    present
}

/// Row `i` of a bytes column.
#[inline]
pub(super) fn slice<'a>(offsets: &[i64], data: &'a [u8], i: usize) -> &'a [u8] {
    &data[offsets[i] as usize..offsets[i + 1] as usize]
}

/// Copies values out of an Arrow array; for types without a class only presence is kept.
fn values_of(array: &ArrayRef, present: &Present) -> ColumnValues {
    let a = array.as_ref();
    match a.data_type() {
        DataType::Null => ColumnValues::I64(vec![0; a.len()]),
        DataType::Boolean => {
            let bools = a.as_boolean();
            ColumnValues::I64(gather(a.len(), present, |i| i64::from(bools.value(i))))
        }
        DataType::Int8 => ColumnValues::I64(widen::<Int8Type, _>(a, present)),
        DataType::Int16 => ColumnValues::I64(widen::<Int16Type, _>(a, present)),
        DataType::Int32 => ColumnValues::I64(widen::<Int32Type, _>(a, present)),
        DataType::Int64 => ColumnValues::I64(widen::<Int64Type, _>(a, present)),
        DataType::UInt8 => ColumnValues::I64(widen::<UInt8Type, _>(a, present)),
        DataType::UInt16 => ColumnValues::I64(widen::<UInt16Type, _>(a, present)),
        DataType::UInt32 => ColumnValues::I64(widen::<UInt32Type, _>(a, present)),
        DataType::Date32 => ColumnValues::I64(widen::<Date32Type, _>(a, present)),
        DataType::Date64 => ColumnValues::I64(widen::<Date64Type, _>(a, present)),
        DataType::Timestamp(unit, _) => ColumnValues::I64(match unit {
            TimeUnit::Second => widen::<TimestampSecondType, _>(a, present),
            TimeUnit::Millisecond => widen::<TimestampMillisecondType, _>(a, present),
            TimeUnit::Microsecond => widen::<TimestampMicrosecondType, _>(a, present),
            TimeUnit::Nanosecond => widen::<TimestampNanosecondType, _>(a, present),
        }),
        DataType::Duration(unit) => ColumnValues::I64(match unit {
            TimeUnit::Second => widen::<DurationSecondType, _>(a, present),
            TimeUnit::Millisecond => widen::<DurationMillisecondType, _>(a, present),
            TimeUnit::Microsecond => widen::<DurationMicrosecondType, _>(a, present),
            TimeUnit::Nanosecond => widen::<DurationNanosecondType, _>(a, present),
        }),
        DataType::UInt64 => ColumnValues::I128(widen::<UInt64Type, _>(a, present)),
        DataType::Decimal128(_, _) => ColumnValues::I128(widen::<Decimal128Type, _>(a, present)),
        DataType::Float32 => ColumnValues::F64(widen::<Float32Type, _>(a, present)),
        DataType::Float64 => ColumnValues::F64(widen::<Float64Type, _>(a, present)),
        DataType::Utf8 => texts(a.len(), present, |i| a.as_string::<i32>().value(i).as_bytes()),
        DataType::LargeUtf8 => {
            texts(a.len(), present, |i| a.as_string::<i64>().value(i).as_bytes())
        }
        DataType::Binary => texts(a.len(), present, |i| a.as_binary::<i32>().value(i)),
        DataType::LargeBinary => texts(a.len(), present, |i| a.as_binary::<i64>().value(i)),
        _ => ColumnValues::Unit,
    }
}

/// Widens a primitive array.
fn widen<T: ArrowPrimitiveType, W: From<T::Native> + Default>(
    array: &dyn Array,
    present: &Present,
) -> Vec<W> {
    let values = array.as_primitive::<T>().values();
    gather(values.len(), present, |i| W::from(values[i]))
}

/// Collects one value per row, zero where absent.
fn gather<W: Default>(len: usize, present: &Present, value: impl Fn(usize) -> W) -> Vec<W> {
    let pick = |i| if present.get(i) { value(i) } else { W::default() };
    (0..len).map(pick).collect()
}

fn texts<'a>(len: usize, present: &Present, value: impl Fn(usize) -> &'a [u8]) -> ColumnValues {
    let (mut offsets, mut data) = (Vec::with_capacity(len + 1), Vec::new());
    offsets.push(0);
    for i in 0..len {
        if present.get(i) {
            data.extend_from_slice(value(i));
        }
        offsets.push(data.len() as i64);
    }
    ColumnValues::Bytes { offsets, data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::StringArray;

    #[test]
    fn a_row_counts_where_it_has_a_value_and_passes() {
        let array: ArrayRef =
            Arc::new(StringArray::from(vec![Some("a"), None, Some("c"), Some("d")]));
        let filter = BooleanArray::from(vec![Some(true), Some(true), None, Some(false)]);
        let column = Column::from_array(Some(&array), Some(&filter), 4).unwrap();
        let seen: Vec<_> = (0..4).map(|i| column.get(i)).collect();
        assert_eq!(seen, [Some(Value::Bytes(b"a")), None, None, None]);
        assert!(Column::from_array(Some(&array), None, 3).is_err());
    }

    #[test]
    fn pushed_rows_are_saved_and_read_back() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        let starts = [
            Column::from_array(None, None, 70).unwrap(),
            Column::from_array(Some(&texts), None, 1).unwrap(),
            Column::from_array(Some(&(Arc::new(Int64Array::from(vec![1; 64])) as _)), None, 64)
                .unwrap(),
            Column::from_array(Some(&(Arc::new(Float64Array::from(vec![f64::NAN])) as _)), None, 1)
                .unwrap(),
            Column::from_array(Some(&(Arc::new(Decimal128Array::from(vec![7])) as _)), None, 1)
                .unwrap(),
        ];
        for mut column in starts {
            let (first, len) = (column.clone(), column.len());
            column.push(None);
            column.push(first.get(0));
            assert_eq!((column.len(), column.get(len)), (len + 2, None));
            let back = Column::from_saved(&column.to_array()).unwrap();
            assert_eq!(format!("{back:?}"), format!("{column:?}"));
            column.clear();
            assert_eq!(column, first.empty_like());
        }
    }
}
