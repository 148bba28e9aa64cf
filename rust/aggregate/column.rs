//! The arguments of one aggregate, row by row: growable columns in which rows can be absent.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Decimal128Array, Float64Array, Int64Array,
    LargeBinaryArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};

use super::present::Present;
use super::value::{Args, Class, PerArgument, Value};
use crate::error::{Error, Result};

/// The arguments of one aggregate: a column of values for each, in which a row is present or absent
/// as a whole.
///
/// A row is present if none of its arguments is null and its `where` is true. Absent rows hold zero,
/// so that equal columns have equal bytes in a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgumentColumns {
    pub(super) values: Vec<ColumnValues>,
    present: Present,
}

/// The values of one argument, by class.
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

impl ColumnValues {
    fn empty(class: Class) -> ColumnValues {
        match class {
            Class::Unit => ColumnValues::Unit,
            Class::I64 => ColumnValues::I64(Vec::new()),
            Class::I128 => ColumnValues::I128(Vec::new()),
            Class::F64 => ColumnValues::F64(Vec::new()),
            Class::Bytes => ColumnValues::Bytes { offsets: vec![0], data: Vec::new() },
        }
    }

    fn class(&self) -> Class {
        match self {
            ColumnValues::Unit => Class::Unit,
            ColumnValues::I64(_) => Class::I64,
            ColumnValues::I128(_) => Class::I128,
            ColumnValues::F64(_) => Class::F64,
            ColumnValues::Bytes { .. } => Class::Bytes,
        }
    }

    #[inline]
    pub(super) fn get(&self, i: usize) -> Value<'_> {
        match self {
            ColumnValues::Unit => Value::Unit,
            ColumnValues::I64(v) => Value::I64(v[i]),
            ColumnValues::I128(v) => Value::I128(v[i]),
            ColumnValues::F64(v) => Value::F64(v[i]),
            ColumnValues::Bytes { offsets, data } => Value::Bytes(slice(offsets, data, i)),
        }
    }

    fn is_nan(&self, i: usize) -> bool {
        matches!(self, ColumnValues::F64(v) if v[i].is_nan())
    }

    /// Appends a value; zero if it is absent or of another class, which is then returned as false.
    fn push(&mut self, value: Option<Value<'_>>) -> bool {
        match (self, value) {
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
        }
    }

    fn pop(&mut self) {
        match self {
            ColumnValues::Unit => {}
            ColumnValues::I64(v) => drop(v.pop()),
            ColumnValues::I128(v) => drop(v.pop()),
            ColumnValues::F64(v) => drop(v.pop()),
            ColumnValues::Bytes { offsets, data } => {
                offsets.truncate(offsets.len().max(2) - 1);
                data.truncate(offsets.last().map_or(0, |&end| end as usize));
            }
        }
    }

    fn clear(&mut self) {
        match self {
            ColumnValues::Unit => {}
            ColumnValues::I64(v) => v.clear(),
            ColumnValues::I128(v) => v.clear(),
            ColumnValues::F64(v) => v.clear(),
            ColumnValues::Bytes { offsets, data } => {
                offsets.truncate(1);
                data.clear();
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            ColumnValues::Unit => 0,
            ColumnValues::I64(v) => v.capacity() * 8,
            ColumnValues::I128(v) => v.capacity() * 16,
            ColumnValues::F64(v) => v.capacity() * 8,
            ColumnValues::Bytes { offsets, data } => offsets.capacity() * 8 + data.capacity(),
        }
    }

    fn to_array(&self, present: &Present) -> ArrayRef {
        let nulls = present.nulls();
        match self {
            ColumnValues::Unit => {
                Arc::new(BooleanArray::new(BooleanBuffer::new_set(present.len()), nulls))
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
}

impl ArgumentColumns {
    /// The arguments of `len` rows. Without an array the aggregate is `count()`; without a filter
    /// every row passes.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] if the lengths differ.
    pub fn from_arrays(
        arrays: &[ArrayRef],
        filter: Option<&BooleanArray>,
        len: usize,
    ) -> Result<ArgumentColumns> {
        let agree = arrays.iter().all(|a| a.len() == len) && filter.is_none_or(|f| f.len() == len);
        if !agree {
            return Err(Error::Engine(format!("an argument does not have {len} rows")));
        }
        let nulls: Vec<NullBuffer> = arrays.iter().filter_map(|a| a.logical_nulls()).collect();
        let mut present = Present::full(len);
        if nulls.iter().any(|n| n.null_count() > 0) || filter.is_some() {
            present = Present::default();
            for i in 0..len {
                let kept = filter.is_none_or(|f| f.is_valid(i) && f.value(i));
                present.push(kept && nulls.iter().all(|n| n.is_valid(i)));
            }
        }
        let values = match arrays {
            [] => vec![ColumnValues::Unit],
            arrays => arrays.iter().map(|array| values_of(array, &present)).collect(),
        };
        Ok(ArgumentColumns { values, present })
    }

    /// Empty columns of these classes.
    pub fn empty(classes: &[Class]) -> ArgumentColumns {
        let values = classes.iter().map(|&class| ColumnValues::empty(class)).collect();
        ArgumentColumns { values, present: Present::default() }
    }

    /// Whether the arguments have these classes.
    pub fn has_classes(&self, classes: &[Class]) -> bool {
        self.values.iter().map(ColumnValues::class).eq(classes.iter().copied())
    }

    /// Empty columns of the same classes.
    pub fn empty_like(&self) -> ArgumentColumns {
        let values = self.values.iter().map(|values| ColumnValues::empty(values.class())).collect();
        ArgumentColumns { values, present: Present::default() }
    }

    /// Number of rows, including absent ones.
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.present.len() == 0
    }

    /// The arguments of row `i`, `None` if it is absent.
    #[inline]
    pub fn get(&self, i: usize) -> Option<Args<'_>> {
        if !self.present.get(i) {
            return None;
        }
        Some(match self.values.as_slice() {
            [one] => PerArgument::One([one.get(i)]),
            [one, two, ..] => PerArgument::Two([one.get(i), two.get(i)]),
            [] => PerArgument::One([Value::Unit]),
        })
    }

    /// How many of the selected rows have an argument that is NaN.
    pub fn nans(&self, pick: &[u32]) -> u64 {
        let nans = match self.values.as_slice() {
            [ColumnValues::F64(values)] if pick.len() == values.len() => {
                values.iter().filter(|value| value.is_nan()).count()
            }
            all if all.iter().any(|values| values.class() == Class::F64) => {
                let is_nan = |i: usize| all.iter().any(|values| values.is_nan(i));
                pick.iter().filter(|&&i| is_nan(i as usize)).count()
            }
            _ => 0,
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
    pub fn push(&mut self, args: Option<&[Value<'_>]>) {
        let value = |a: usize| args.and_then(|args| args.get(a)).copied();
        let mut fits = true;
        for (a, values) in self.values.iter_mut().enumerate() {
            fits &= values.push(value(a));
        }
        debug_assert!(fits || args.is_none(), "a value of another class");
        self.present.push(fits);
    }

    /// Removes the last row.
    pub fn pop(&mut self) {
        self.values.iter_mut().for_each(ColumnValues::pop);
        self.present.pop();
    }

    /// Removes all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.values.iter_mut().for_each(ColumnValues::clear);
        self.present = Present::default();
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        let values: usize = self.values.iter().map(ColumnValues::bytes).sum();
        size_of::<ArgumentColumns>() + self.present.bytes() + values
    }

    /// The columns as Arrow arrays, one for each argument; [`ArgumentColumns::from_saved`] reads
    /// them back.
    pub fn to_arrays(&self) -> Vec<ArrayRef> {
        self.values.iter().map(|values| values.to_array(&self.present)).collect()
    }

    /// Reads back columns saved by [`ArgumentColumns::to_arrays`].
    ///
    /// # Errors
    ///
    /// [`Error::Snapshot`] if arguments are never saved as these types.
    pub fn from_saved(arrays: &[ArrayRef]) -> Result<ArgumentColumns> {
        let len = arrays.first().map_or(0, |array| array.len());
        if let [array] = arrays
            && array.data_type() == &DataType::Boolean
        {
            let mut columns = ArgumentColumns::empty(&[Class::Unit]);
            (0..len).for_each(|i| columns.present.push(array.is_valid(i)));
            return Ok(columns);
        }
        for array in arrays {
            match array.data_type() {
                DataType::Int64
                | DataType::Decimal128(_, _)
                | DataType::Float64
                | DataType::LargeBinary => {}
                other => return Err(Error::Snapshot(format!("argument values saved as {other}"))),
            }
        }
        let columns = ArgumentColumns::from_arrays(arrays, None, len);
        columns.map_err(|error| Error::Snapshot(error.message().into()))
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

    fn columns(arrays: &[ArrayRef], len: usize) -> ArgumentColumns {
        ArgumentColumns::from_arrays(arrays, None, len).unwrap()
    }

    #[test]
    fn a_row_counts_where_it_has_a_value_and_passes() {
        let texts: ArrayRef =
            Arc::new(StringArray::from(vec![Some("a"), None, Some("c"), Some("d")]));
        let filter = BooleanArray::from(vec![Some(true), Some(true), None, Some(false)]);
        let column =
            ArgumentColumns::from_arrays(std::slice::from_ref(&texts), Some(&filter), 4).unwrap();
        let seen: Vec<_> = (0..4).map(|i| column.get(i)).collect();
        let first = PerArgument::One([Value::Bytes(b"a")]);
        assert_eq!(seen, [Some(first), None, None, None]);
        assert!(ArgumentColumns::from_arrays(&[texts], None, 3).is_err());
    }

    #[test]
    fn a_row_counts_where_all_its_arguments_have_a_value() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), None]));
        let floats: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(0.5), Some(1.5), None, Some(f64::NAN)]));
        let both = columns(&[numbers, floats], 4);
        let seen: Vec<_> = (0..4).map(|i| both.get(i)).collect();
        let first = PerArgument::Two([Value::I64(1), Value::F64(0.5)]);
        assert_eq!(seen, [Some(first), None, None, None]);
        assert_eq!(both.nans(&[0, 1, 2, 3]), 0);
        assert!(both.has_classes(&[Class::I64, Class::F64]) && !both.has_classes(&[Class::I64]));
    }

    #[test]
    fn pushed_rows_are_saved_and_read_back() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        let nan: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN]));
        let starts = [
            columns(&[], 70),
            columns(std::slice::from_ref(&texts), 1),
            columns(&[Arc::new(Int64Array::from(vec![1; 64]))], 64),
            columns(std::slice::from_ref(&nan), 1),
            columns(&[Arc::new(Decimal128Array::from(vec![7]))], 1),
            columns(&[texts, nan], 1),
        ];
        for mut column in starts {
            let (first, len) = (column.clone(), column.len());
            column.push(None);
            column.push(first.get(0).as_deref());
            assert_eq!((column.len(), column.get(len)), (len + 2, None));
            let back = ArgumentColumns::from_saved(&column.to_arrays()).unwrap();
            assert_eq!(format!("{back:?}"), format!("{column:?}"));
            column.clear();
            assert_eq!(column, first.empty_like());
        }
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert!(ArgumentColumns::from_saved(&[number, flags]).is_err());
    }
}
