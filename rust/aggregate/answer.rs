//! Collects answers into an Arrow array of exactly the output type.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, LargeListArray, ListArray, NullArray, UInt64Array, make_array};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow_cast::cast;
use arrow_data::ArrayData;
use arrow_schema::{DataType, FieldRef};
use arrow_select::take::take;

use super::value::{Answer, Class};
use crate::error::{Error, Result};
use crate::limits::TEXT_BYTES_MAX;
use crate::schema::large;

/// The output column of one aggregate while it is being written; null where not set.
///
/// Each position is set at most once.
#[derive(Clone, Debug)]
pub struct AnswerColumn {
    data_type: DataType,
    values: AnswerValues,
    /// Which rows are set; `None` as long as all are.
    valid: Option<Vec<bool>>,
    overflows: Vec<usize>,
    misfit: bool,
}

/// Values by class; bytes and items of lists are stored in one buffer, in the order in which they were
/// set.
#[derive(Clone, Debug)]
enum AnswerValues {
    Unit(usize),
    I64(Vec<i64>),
    I128(Vec<i128>),
    F64(Vec<f64>),
    Bytes { spans: Vec<(usize, usize)>, arena: Vec<u8> },
    List { spans: Vec<(usize, usize)>, items: Box<AnswerColumn> },
}

impl AnswerColumn {
    /// A column of `len` nulls.
    pub fn new(data_type: &DataType, len: usize) -> AnswerColumn {
        let values = match Class::for_type(data_type) {
            _ if let DataType::List(item) = data_type => AnswerValues::List {
                spans: vec![(0, 0); len],
                items: Box::new(AnswerColumn::new(item.data_type(), 0)),
            },
            Class::Unit => AnswerValues::Unit(len),
            Class::I64 => AnswerValues::I64(vec![0; len]),
            Class::I128 => AnswerValues::I128(vec![0; len]),
            Class::F64 => AnswerValues::F64(vec![0.0; len]),
            Class::Bytes => AnswerValues::Bytes { spans: vec![(0, 0); len], arena: Vec::new() },
        };
        AnswerColumn {
            data_type: data_type.clone(),
            values,
            valid: (len > 0).then(|| vec![false; len]),
            overflows: Vec::new(),
            misfit: false,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match &self.values {
            AnswerValues::Unit(len) => *len,
            AnswerValues::I64(all) => all.len(),
            AnswerValues::I128(all) => all.len(),
            AnswerValues::F64(all) => all.len(),
            AnswerValues::Bytes { spans, .. } | AnswerValues::List { spans, .. } => spans.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the answer of row `i`.
    #[inline]
    pub fn set(&mut self, i: usize, answer: Answer<'_>) {
        match (&mut self.values, answer) {
            (_, Answer::Null) => return,
            (_, Answer::Overflow) => return self.overflows.push(i),
            (AnswerValues::I64(all), Answer::I64(v)) => all[i] = v,
            (AnswerValues::I128(all), Answer::I64(v)) => all[i] = v.into(),
            (AnswerValues::I128(all), Answer::I128(v)) => all[i] = v,
            (AnswerValues::F64(all), Answer::F64(v)) => all[i] = v,
            (AnswerValues::Bytes { spans, arena }, Answer::Bytes(v)) => {
                spans[i] = (arena.len(), arena.len() + v.len());
                arena.extend_from_slice(v);
            }
            (AnswerValues::List { spans, items }, Answer::List(list)) => {
                let start = items.len();
                list.each(&mut |value| items.push(value.into()));
                spans[i] = (start, items.len());
            }
            (_, _) => {
                self.misfit = true;
                return;
            }
        }
        if let Some(valid) = &mut self.valid {
            valid[i] = true;
        }
    }

    /// Reserves space for more rows.
    pub fn reserve(&mut self, more: usize) {
        match &mut self.values {
            AnswerValues::Unit(_) => {}
            AnswerValues::I64(all) => all.reserve(more),
            AnswerValues::I128(all) => all.reserve(more),
            AnswerValues::F64(all) => all.reserve(more),
            AnswerValues::Bytes { spans, .. } | AnswerValues::List { spans, .. } => {
                spans.reserve(more);
            }
        }
    }

    /// Appends a row.
    #[inline(always)]
    pub fn push(&mut self, answer: Answer<'_>) {
        match (&mut self.values, answer) {
            (AnswerValues::I64(all), Answer::I64(v)) => all.push(v),
            (AnswerValues::F64(all), Answer::F64(v)) => all.push(v),
            (_, answer) => return self.push_any(answer),
        }
        if let Some(valid) = &mut self.valid {
            valid.push(true);
        }
    }

    fn push_any(&mut self, answer: Answer<'_>) {
        let at = self.len();
        self.valid.get_or_insert_with(|| vec![true; at]).push(false);
        match &mut self.values {
            AnswerValues::Unit(len) => *len += 1,
            AnswerValues::I64(all) => all.push(0),
            AnswerValues::I128(all) => all.push(0),
            AnswerValues::F64(all) => all.push(0.0),
            AnswerValues::Bytes { spans, .. } | AnswerValues::List { spans, .. } => {
                spans.push((0, 0));
            }
        }
        self.set(at, answer);
    }

    /// Rows whose answer was too large for the type, in the order in which they were set.
    pub fn overflows(&self) -> &[usize] {
        &self.overflows
    }

    /// The array, of exactly the type that was asked for; of the large one where there is too much
    /// text for it: see [`crate::wide`].
    ///
    /// # Errors
    /// [`Error::Engine`] if an answer is none of this type's values.
    pub fn finish(self) -> Result<ArrayRef> {
        let len = self.len();
        let AnswerColumn { mut data_type, values, valid, misfit: misfits, .. } = self;
        if misfits {
            return Err(misfit(&data_type));
        }
        if matches!(&values, AnswerValues::Bytes { arena, .. } if arena.len() > TEXT_BYTES_MAX) {
            data_type = large(&data_type).unwrap_or(data_type);
        }
        let valid = valid.filter(|valid| valid.contains(&false));
        let nulls = valid.map(|valid| NullBuffer::new(BooleanBuffer::from(valid)));
        let builder = ArrayData::builder(data_type.clone()).len(len).nulls(nulls.clone());
        let builder = match (values, &data_type) {
            (AnswerValues::List { spans, items }, DataType::List(item)) => {
                return lists(&spans, *items, item, nulls);
            }
            (AnswerValues::I64(_), DataType::Null) => {
                return Ok(Arc::new(NullArray::new(len)));
            }
            (AnswerValues::Unit(_) | AnswerValues::List { .. }, data_type) => {
                return Ok(arrow_array::new_null_array(data_type, len));
            }
            (AnswerValues::I64(v), _) => builder.add_buffer(integers(v, &data_type)?),
            (AnswerValues::I128(v), DataType::UInt64) => {
                builder.add_buffer(narrow::<u64, _>(&v, &data_type)?)
            }
            (AnswerValues::I128(v), _) => builder.add_buffer(Buffer::from_vec(v)),
            (AnswerValues::F64(v), DataType::Float32) => {
                builder.add_buffer(Buffer::from_vec(v.iter().map(|v| *v as f32).collect()))
            }
            (AnswerValues::F64(v), _) => builder.add_buffer(Buffer::from_vec(v)),
            (AnswerValues::Bytes { spans, arena }, data_type) => {
                let (offsets, data) = in_order(&spans, &arena, data_type)?;
                builder.add_buffer(offsets).add_buffer(data)
            }
        };
        Ok(make_array(builder.build().map_err(|e| Error::Engine(e.to_string()))?))
    }
}

/// Converts integers to the width of the type.
fn integers(values: Vec<i64>, data_type: &DataType) -> Result<Buffer> {
    match data_type {
        DataType::Boolean => {
            let bits: Vec<bool> = values.iter().map(|v| *v != 0).collect();
            Ok(BooleanBuffer::from(bits).into_inner())
        }
        DataType::Int8 => narrow::<i8, _>(&values, data_type),
        DataType::Int16 => narrow::<i16, _>(&values, data_type),
        DataType::Int32 | DataType::Date32 => narrow::<i32, _>(&values, data_type),
        DataType::UInt8 => narrow::<u8, _>(&values, data_type),
        DataType::UInt16 => narrow::<u16, _>(&values, data_type),
        DataType::UInt32 => narrow::<u32, _>(&values, data_type),
        _ => Ok(Buffer::from_vec(values)),
    }
}

fn narrow<T: ArrowNativeType + TryFrom<W>, W: Copy>(
    values: &[W],
    data_type: &DataType,
) -> Result<Buffer> {
    let all: Option<Vec<T>> = values.iter().map(|v| T::try_from(*v).ok()).collect();
    Ok(Buffer::from_vec(all.ok_or_else(|| misfit(data_type))?))
}

/// The byte values in row order, with their offsets.
fn in_order(
    spans: &[(usize, usize)],
    arena: &[u8],
    data_type: &DataType,
) -> Result<(Buffer, Buffer)> {
    let mut data = Vec::with_capacity(arena.len());
    let mut offsets = Vec::with_capacity(spans.len() + 1);
    offsets.push(0i64);
    for (start, end) in spans {
        data.extend_from_slice(&arena[*start..*end]);
        offsets.push(data.len() as i64);
    }
    let offsets = match data_type {
        DataType::LargeUtf8 | DataType::LargeBinary => Buffer::from_vec(offsets),
        _ => narrow::<i32, _>(&offsets, data_type)?,
    };
    Ok((offsets, Buffer::from_vec(data)))
}

/// Lists in row order; large ones if 32-bit offsets cannot address their items.
fn lists(
    spans: &[(usize, usize)],
    items: AnswerColumn,
    item: &FieldRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let mut items = items.finish()?;
    let total: usize = spans.iter().map(|(start, end)| end - start).sum();
    let set = spans.iter().filter(|(start, end)| start < end);
    if !set.is_sorted() || total < items.len() {
        let rows = spans.iter().flat_map(|&(start, end)| start as u64..end as u64);
        items = take(&items, &UInt64Array::from_iter_values(rows), None)?;
    }
    let lengths = spans.iter().map(|(start, end)| end - start);
    if total <= TEXT_BYTES_MAX && items.data_type() == item.data_type() {
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        return Ok(Arc::new(ListArray::try_new(item.clone(), offsets, items, nulls)?));
    }
    let inner = large(item.data_type()).unwrap_or_else(|| item.data_type().clone());
    let item = Arc::new(item.as_ref().clone().with_data_type(inner));
    let (items, offsets) = (cast(&items, item.data_type())?, OffsetBuffer::from_lengths(lengths));
    Ok(Arc::new(LargeListArray::try_new(item, offsets, items, nulls)?))
}

fn misfit(data_type: &DataType) -> Error {
    Error::Engine(format!("an answer is not a value of type {}", crate::schema::named(data_type)))
}

#[cfg(test)]
mod tests {
    use super::super::value::{ListValues, Value};
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int32Type, Int64Type};
    use arrow_schema::TimeUnit;

    #[test]
    fn every_output_type_comes_back_exactly() {
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into()));
        let i64s = [
            DataType::Boolean,
            DataType::Int8,
            DataType::UInt32,
            DataType::Int64,
            DataType::Date32,
            zoned,
            DataType::Duration(TimeUnit::Microsecond),
        ];
        let i128s = [DataType::UInt64, DataType::Decimal128(38, 2)];
        let floats = [DataType::Float32, DataType::Float64];
        let bytes = [DataType::Utf8, DataType::LargeUtf8, DataType::Binary, DataType::LargeBinary];
        let cases = [
            (i64s.as_slice(), Answer::I64(1)),
            (i128s.as_slice(), Answer::I128(1)),
            (floats.as_slice(), Answer::F64(1.5)),
            (bytes.as_slice(), Answer::Bytes(b"1")),
            ([DataType::Null].as_slice(), Answer::Null),
        ];
        for (data_types, answer) in cases {
            for data_type in data_types {
                let mut column = AnswerColumn::new(data_type, 2);
                column.set(1, answer);
                column.push(answer);
                let array = column.finish().unwrap();
                assert_eq!((array.data_type(), array.len()), (data_type, 3));
                assert!(array.is_null(0) || data_type == &DataType::Null);
                assert_eq!(array.slice(1, 1).as_ref(), array.slice(2, 1).as_ref());
            }
        }
    }

    #[test]
    fn an_overflow_is_null_and_remembered() {
        let mut column = AnswerColumn::new(&DataType::Int32, 0);
        column.push(Answer::I64(7));
        column.push(Answer::Overflow);
        assert_eq!(column.overflows(), [1]);
        let array = column.finish().unwrap();
        assert_eq!(array.as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(7), None]);
    }

    #[test]
    fn bytes_set_out_of_order_stand_in_order() {
        let mut column = AnswerColumn::new(&DataType::Utf8, 2);
        column.set(1, Answer::Bytes(b"b"));
        column.set(0, Answer::Bytes(b"a"));
        let array = column.finish().unwrap();
        assert_eq!(array.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), Some("b")]);
    }

    /// Items of a list, for tests.
    #[derive(Debug)]
    struct Items(Vec<Value<'static>>);

    impl ListValues for Items {
        fn each(&self, visit: &mut dyn FnMut(Value<'_>)) {
            self.0.iter().for_each(|&item| visit(item));
        }
    }

    #[test]
    fn lists_set_out_of_order_stand_in_order() {
        let number = Items([1, 2].map(Value::I64).to_vec());
        let more = Items([3].map(Value::I64).to_vec());
        let data_type = DataType::new_list(DataType::Int16, true);
        let mut column = AnswerColumn::new(&data_type, 3);
        column.set(2, Answer::List(&number));
        column.set(0, Answer::List(&more));
        column.push(Answer::List(&more));
        column.push(Answer::Null);
        let array = column.finish().unwrap();
        let lists = cast(&array, &DataType::new_list(DataType::Int64, true)).unwrap();
        let lists = lists.as_list::<i32>().iter();
        let found: Vec<Option<Vec<i64>>> = lists
            .map(|list| list.map(|list| list.as_primitive::<Int64Type>().values().to_vec()))
            .collect();
        assert_eq!(found, [Some(vec![3]), None, Some(vec![1, 2]), Some(vec![3]), None]);
        assert!(array.data_type() == &data_type || crate::limits::SMALL);
    }

    #[test]
    fn an_answer_of_another_type_is_an_error() {
        for (data_type, answer) in [
            (DataType::Utf8, Answer::I64(1)),
            (DataType::Int8, Answer::I64(300)),
            (DataType::Utf8, Answer::Bytes(&[0xff])),
        ] {
            let mut column = AnswerColumn::new(&data_type, 0);
            column.push(answer);
            assert!(matches!(column.finish(), Err(Error::Engine(_))), "{data_type}");
        }
    }
}
