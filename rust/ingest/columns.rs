//! Columns that grow value by value, and can be cut back to the row before a bad one.
//!
//! Offsets have 32 bits: whoever fills a column ends a batch before its messages have more bytes
//! together than that.

use std::sync::Arc;

use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, NullArray, PrimitiveArray, StringArray,
};
use arrow_buffer::{
    BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer,
};
use arrow_schema::{DataType, TimeUnit};

use super::cursor::{Json, JsonCursor};
use super::fault::{Parse, Wrong};
use crate::schema::single::{ByType, Convert, SingleValue, TextsFor, of_type, since_epoch};
use crate::schema::texts::Misfit;

/// One column in the making.
pub trait Column: Send {
    /// Appends a single value; one that does not fit leaves the column as it was.
    fn push(&mut self, value: SingleValue<'_>, texts: TextsFor) -> Result<(), Misfit>;

    /// Appends a JSON value that begins at `start`; the cursor is behind it, or behind its
    /// bracket. After an error the column needs a [`Column::truncate`].
    fn read(&mut self, value: Json<'_>, start: usize, cursor: &mut JsonCursor<'_>) -> Parse<()> {
        let _ = cursor;
        let done = match &value {
            Json::Null => {
                self.push_null();
                Ok(())
            }
            Json::Bool(value) => self.push(SingleValue::Bool(*value), TextsFor::Some),
            Json::Whole(value) => self.push(SingleValue::Whole((*value).into()), TextsFor::Some),
            Json::Number(text) => self.push(SingleValue::Digits(text), TextsFor::Some),
            Json::Float(value) => self.push(SingleValue::Float(*value), TextsFor::Some),
            Json::Text(text) => self.push(SingleValue::Text(text), TextsFor::Some),
            Json::Array | Json::Object => Err(Misfit::Kind),
        };
        done.map_err(|why| Wrong::misfit(start, why, &self.data_type()))
    }

    /// Appends a null.
    fn push_null(&mut self);

    /// Whether a value is null.
    fn is_null(&self, row: usize) -> bool;

    /// Removes all values from the `len`-th on.
    fn truncate(&mut self, len: usize);

    /// The type of the values.
    fn data_type(&self) -> DataType;

    /// The values, which leave the column.
    fn finish(&mut self) -> ArrayRef;
}

/// An empty column of an internal type that is not nested; none for types that no text stands for.
///
/// With `epoch`, numbers are times too: counts of this unit since 1970.
pub fn single_column(data_type: &DataType, epoch: Option<TimeUnit>) -> Option<Box<dyn Column>> {
    match (data_type, epoch) {
        (DataType::Utf8, _) => Some(Box::new(TextColumn::default())),
        (DataType::Null, _) => Some(Box::new(NullColumn(0))),
        (&DataType::Timestamp(unit, _), Some(counted)) => {
            let read = move |value: SingleValue<'_>, _: TextsFor| since_epoch(value, counted, unit);
            Some(match unit {
                TimeUnit::Second => primitive::<TimestampSecondType>(data_type, read),
                TimeUnit::Millisecond => primitive::<TimestampMillisecondType>(data_type, read),
                TimeUnit::Microsecond => primitive::<TimestampMicrosecondType>(data_type, read),
                TimeUnit::Nanosecond => primitive::<TimestampNanosecondType>(data_type, read),
            })
        }
        (plain, _) => of_type(plain, NewColumn(plain)),
    }
}

fn primitive<T: ArrowPrimitiveType>(
    data_type: &DataType,
    convert: impl Convert<T::Native>,
) -> Box<dyn Column> {
    let (values, nulls) = (vec![], NullBufferBuilder::new(0));
    Box::new(PrimitiveColumn::<T, _> { data_type: data_type.clone(), values, nulls, convert })
}

struct NewColumn<'a>(&'a DataType);

impl ByType for NewColumn<'_> {
    type Made = Option<Box<dyn Column>>;

    fn primitive<T: ArrowPrimitiveType>(self, convert: impl Convert<T::Native>) -> Self::Made {
        Some(primitive::<T>(self.0, convert))
    }

    fn boolean(self, convert: impl Convert<bool>) -> Self::Made {
        let (values, nulls) = (BooleanBufferBuilder::new(0), NullBufferBuilder::new(0));
        Some(Box::new(BooleanColumn { values, nulls, convert }))
    }

    fn binary(self, convert: impl Convert<Vec<u8>>) -> Self::Made {
        Some(Box::new(BinaryColumn { bytes: vec![], ends: Ends::default(), convert }))
    }

    fn other(self) -> Self::Made {
        None
    }
}

struct PrimitiveColumn<T: ArrowPrimitiveType, C> {
    data_type: DataType,
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
    convert: C,
}

impl<T: ArrowPrimitiveType, C: Convert<T::Native>> Column for PrimitiveColumn<T, C> {
    fn push(&mut self, value: SingleValue<'_>, texts: TextsFor) -> Result<(), Misfit> {
        self.values.push((self.convert)(value, texts)?);
        self.nulls.append_non_null();
        Ok(())
    }

    fn push_null(&mut self) {
        self.values.push(T::Native::default());
        self.nulls.append_null();
    }

    fn is_null(&self, row: usize) -> bool {
        !self.nulls.is_valid(row)
    }

    fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.nulls.truncate(len);
    }

    fn data_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn finish(&mut self) -> ArrayRef {
        let values = ScalarBuffer::from(std::mem::take(&mut self.values));
        let array = PrimitiveArray::<T>::new(values, self.nulls.finish());
        Arc::new(array.with_data_type(self.data_type.clone()))
    }
}

struct BooleanColumn<C> {
    values: BooleanBufferBuilder,
    nulls: NullBufferBuilder,
    convert: C,
}

impl<C: Convert<bool>> Column for BooleanColumn<C> {
    fn push(&mut self, value: SingleValue<'_>, texts: TextsFor) -> Result<(), Misfit> {
        self.values.append((self.convert)(value, texts)?);
        self.nulls.append_non_null();
        Ok(())
    }

    fn push_null(&mut self) {
        self.values.append(false);
        self.nulls.append_null();
    }

    fn is_null(&self, row: usize) -> bool {
        !self.nulls.is_valid(row)
    }

    fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.nulls.truncate(len);
    }

    fn data_type(&self) -> DataType {
        DataType::Boolean
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(BooleanArray::new(self.values.finish(), self.nulls.finish()))
    }
}

/// Where values of different lengths end, and which are null.
pub struct Ends {
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Default for Ends {
    fn default() -> Ends {
        Ends { ends: vec![0], nulls: NullBufferBuilder::new(0) }
    }
}

impl Ends {
    /// Adds a value that ends here.
    pub fn push(&mut self, end: usize) {
        self.ends.push(end as i32);
        self.nulls.append_non_null();
    }

    /// Adds a null.
    pub fn push_null(&mut self) {
        self.ends.push(self.last());
        self.nulls.append_null();
    }

    /// Whether a value is null.
    pub fn is_null(&self, row: usize) -> bool {
        !self.nulls.is_valid(row)
    }

    /// Keeps `len` values; returns where the last of them ends.
    pub fn truncate(&mut self, len: usize) -> usize {
        self.ends.truncate(len + 1);
        self.nulls.truncate(len);
        self.last() as usize
    }

    /// The offsets and nulls, which leave it.
    pub fn finish(&mut self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let Ends { ends, mut nulls } = std::mem::take(self);
        (OffsetBuffer::new(ScalarBuffer::from(ends)), nulls.finish())
    }

    fn last(&self) -> i32 {
        self.ends[self.ends.len() - 1]
    }
}

/// A column of text.
#[derive(Default)]
pub struct TextColumn {
    bytes: Vec<u8>,
    ends: Ends,
}

impl TextColumn {
    /// Appends a text.
    pub fn add(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(self.bytes.len());
    }
}

impl Column for TextColumn {
    fn push(&mut self, value: SingleValue<'_>, _: TextsFor) -> Result<(), Misfit> {
        let SingleValue::Text(text) = value else { return Err(Misfit::Kind) };
        self.add(text);
        Ok(())
    }

    fn push_null(&mut self) {
        self.ends.push_null();
    }

    fn is_null(&self, row: usize) -> bool {
        self.ends.is_null(row)
    }

    fn truncate(&mut self, len: usize) {
        self.bytes.truncate(self.ends.truncate(len));
    }

    fn data_type(&self) -> DataType {
        DataType::Utf8
    }

    fn finish(&mut self) -> ArrayRef {
        let (ends, nulls) = self.ends.finish();
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        Arc::new(StringArray::new(ends, bytes, nulls))
    }
}

struct BinaryColumn<C> {
    bytes: Vec<u8>,
    ends: Ends,
    convert: C,
}

impl<C: Convert<Vec<u8>>> Column for BinaryColumn<C> {
    fn push(&mut self, value: SingleValue<'_>, texts: TextsFor) -> Result<(), Misfit> {
        match value {
            SingleValue::Bytes(bytes) => self.bytes.extend_from_slice(bytes),
            other => self.bytes.extend((self.convert)(other, texts)?),
        }
        self.ends.push(self.bytes.len());
        Ok(())
    }

    fn push_null(&mut self) {
        self.ends.push_null();
    }

    fn is_null(&self, row: usize) -> bool {
        self.ends.is_null(row)
    }

    fn truncate(&mut self, len: usize) {
        self.bytes.truncate(self.ends.truncate(len));
    }

    fn data_type(&self) -> DataType {
        DataType::Binary
    }

    fn finish(&mut self) -> ArrayRef {
        let (ends, nulls) = self.ends.finish();
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        Arc::new(BinaryArray::new(ends, bytes, nulls))
    }
}

/// A column that has nothing but nulls.
struct NullColumn(usize);

impl Column for NullColumn {
    fn push(&mut self, _: SingleValue<'_>, _: TextsFor) -> Result<(), Misfit> {
        Err(Misfit::Kind)
    }

    fn push_null(&mut self) {
        self.0 += 1;
    }

    fn is_null(&self, _: usize) -> bool {
        true
    }

    fn truncate(&mut self, len: usize) {
        self.0 = self.0.min(len);
    }

    fn data_type(&self) -> DataType {
        DataType::Null
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(NullArray::new(std::mem::take(&mut self.0)))
    }
}
