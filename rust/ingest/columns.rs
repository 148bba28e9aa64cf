//! Columns that grow value by value, and can be cut back to the row before a bad one.

use std::fmt;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, PrimitiveArray,
    StringArray, StructArray,
};
use arrow_buffer::{
    BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer,
};
use arrow_schema::{DataType, FieldRef, Fields};
use hashbrown::HashMap;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::value::{DEPTH_MAX, FieldName, FieldNames, Json, Unfit, items, sound};
use crate::schema::single::{ByType, Convert, SingleValue, TextsFor, of_type};

/// One column in the making.
pub trait Column: Send {
    /// Appends a value, or leaves the column in need of a [`Column::truncate`].
    fn push(&mut self, value: Json<'_>) -> Result<(), Unfit>;

    /// Appends a null.
    fn push_null(&mut self);

    /// Removes all values from the `len`-th on.
    fn truncate(&mut self, len: usize);

    /// The values, which leave the column.
    fn finish(&mut self) -> ArrayRef;
}

/// An empty column of an internal type; none if JSON is not read into such columns here.
pub fn column(data_type: &DataType) -> Option<Box<dyn Column>> {
    match data_type {
        DataType::Utf8 => Some(Box::new(TextColumn::default())),
        DataType::List(item) => Some(Box::new(ListColumn {
            item: item.clone(),
            items: column(item.data_type())?,
            ends: Ends::default(),
        })),
        DataType::Struct(fields) => Some(Box::new(StructColumn {
            fields: ObjectFields::new(fields)?,
            nulls: NullBufferBuilder::new(0),
        })),
        plain => of_type(plain, NewColumn(plain)),
    }
}

struct NewColumn<'a>(&'a DataType);

impl ByType for NewColumn<'_> {
    type Made = Option<Box<dyn Column>>;

    fn primitive<T: ArrowPrimitiveType>(self, convert: impl Convert<T::Native>) -> Self::Made {
        let (values, nulls) = (vec![], NullBufferBuilder::new(0));
        Some(Box::new(PrimitiveColumn::<T, _> {
            data_type: self.0.clone(),
            values,
            nulls,
            convert,
        }))
    }

    fn boolean(self, convert: impl Convert<bool>) -> Self::Made {
        let (values, nulls) = (BooleanBufferBuilder::new(0), NullBufferBuilder::new(0));
        Some(Box::new(BooleanColumn { values, nulls, convert }))
    }

    fn binary(self, convert: impl Convert<Vec<u8>>) -> Self::Made {
        Some(Box::new(BinaryColumn { values: vec![], convert }))
    }

    fn other(self) -> Self::Made {
        None
    }
}

/// A JSON value as a value on its way, and what its text may stand for.
fn given<'a>(value: &'a Json<'a>) -> Result<(SingleValue<'a>, TextsFor), Unfit> {
    match value {
        Json::Bool(value) => Ok((SingleValue::Bool(*value), TextsFor::Some)),
        Json::Whole(value) => Ok((SingleValue::Whole(i128::from(*value)), TextsFor::Some)),
        Json::Number(text) => Ok((SingleValue::Text(text), TextsFor::All)),
        Json::Text(text) => Ok((SingleValue::Text(text), TextsFor::Some)),
        Json::Null | Json::Array(_) | Json::Object(_) => Err(Unfit),
    }
}

fn converted<V>(value: Json<'_>, convert: &impl Convert<V>) -> Result<V, Unfit> {
    let (value, texts) = given(&value)?;
    convert(value, texts).map_err(|_| Unfit)
}

struct PrimitiveColumn<T: ArrowPrimitiveType, C> {
    data_type: DataType,
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
    convert: C,
}

impl<T: ArrowPrimitiveType, C: Convert<T::Native>> Column for PrimitiveColumn<T, C> {
    fn push(&mut self, value: Json<'_>) -> Result<(), Unfit> {
        self.values.push(converted(value, &self.convert)?);
        self.nulls.append_non_null();
        Ok(())
    }

    fn push_null(&mut self) {
        self.values.push(T::Native::default());
        self.nulls.append_null();
    }

    fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.nulls.truncate(len);
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
    fn push(&mut self, value: Json<'_>) -> Result<(), Unfit> {
        self.values.append(converted(value, &self.convert)?);
        self.nulls.append_non_null();
        Ok(())
    }

    fn push_null(&mut self) {
        self.values.append(false);
        self.nulls.append_null();
    }

    fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.nulls.truncate(len);
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(BooleanArray::new(self.values.finish(), self.nulls.finish()))
    }
}

struct BinaryColumn<C> {
    values: Vec<Option<Vec<u8>>>,
    convert: C,
}

impl<C: Convert<Vec<u8>>> Column for BinaryColumn<C> {
    fn push(&mut self, value: Json<'_>) -> Result<(), Unfit> {
        self.values.push(Some(converted(value, &self.convert)?));
        Ok(())
    }

    fn push_null(&mut self) {
        self.values.push(None);
    }

    fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(std::mem::take(&mut self.values).into_iter().collect::<BinaryArray>())
    }
}

/// Where values of different lengths end, and which are null.
struct Ends {
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Default for Ends {
    fn default() -> Ends {
        Ends { ends: vec![0], nulls: NullBufferBuilder::new(0) }
    }
}

impl Ends {
    fn last(&self) -> i32 {
        self.ends[self.ends.len() - 1]
    }

    fn push(&mut self, end: i32) {
        self.ends.push(end);
        self.nulls.append_non_null();
    }

    fn push_null(&mut self) {
        self.ends.push(self.last());
        self.nulls.append_null();
    }

    /// Keeps `len` values; returns where the last of them ends.
    fn truncate(&mut self, len: usize) -> usize {
        self.ends.truncate(len + 1);
        self.nulls.truncate(len);
        self.last() as usize
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let Ends { ends, mut nulls } = std::mem::take(self);
        (OffsetBuffer::new(ScalarBuffer::from(ends)), nulls.finish())
    }
}

#[derive(Default)]
struct TextColumn {
    bytes: Vec<u8>,
    ends: Ends,
}

impl Column for TextColumn {
    fn push(&mut self, value: Json<'_>) -> Result<(), Unfit> {
        let Json::Text(text) = value else { return Err(Unfit) };
        let end = i32::try_from(self.bytes.len() + text.len()).map_err(|_| Unfit)?;
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(end);
        Ok(())
    }

    fn push_null(&mut self) {
        self.ends.push_null();
    }

    fn truncate(&mut self, len: usize) {
        self.bytes.truncate(self.ends.truncate(len));
    }

    fn finish(&mut self) -> ArrayRef {
        let (ends, nulls) = self.ends.finish();
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        Arc::new(StringArray::new(ends, bytes, nulls))
    }
}

struct ListColumn {
    item: FieldRef,
    items: Box<dyn Column>,
    ends: Ends,
}

impl Column for ListColumn {
    fn push(&mut self, value: Json<'_>) -> Result<(), Unfit> {
        let Json::Array(array) = value else { return Err(Unfit) };
        let mut end = self.ends.last();
        items(array, &mut |item| {
            end = end.checked_add(1).ok_or(Unfit)?;
            match item {
                Json::Null => self.items.push_null(),
                item => self.items.push(item)?,
            }
            Ok(())
        })?;
        self.ends.push(end);
        Ok(())
    }

    fn push_null(&mut self) {
        self.ends.push_null();
    }

    fn truncate(&mut self, len: usize) {
        self.items.truncate(self.ends.truncate(len));
    }

    fn finish(&mut self) -> ArrayRef {
        let (ends, nulls) = self.ends.finish();
        Arc::new(ListArray::new(self.item.clone(), ends, self.items.finish(), nulls))
    }
}

struct StructColumn {
    fields: ObjectFields,
    nulls: NullBufferBuilder,
}

impl Column for StructColumn {
    fn push(&mut self, value: Json<'_>) -> Result<(), Unfit> {
        let Json::Object(object) = value else { return Err(Unfit) };
        self.fields.read(object)?;
        self.nulls.append_non_null();
        Ok(())
    }

    fn push_null(&mut self) {
        self.fields.push_null();
        self.nulls.append_null();
    }

    fn truncate(&mut self, len: usize) {
        self.fields.truncate(len);
        self.nulls.truncate(len);
    }

    fn finish(&mut self) -> ArrayRef {
        let (fields, arrays) = self.fields.finish();
        Arc::new(StructArray::new(fields, arrays, self.nulls.finish()))
    }
}

/// The columns of an object's fields.
pub struct ObjectFields {
    fields: Fields,
    columns: Vec<Box<dyn Column>>,
    required: Vec<bool>,
    index: HashMap<String, usize, foldhash::fast::RandomState>,
    /// The column after each column in the row before, the first one last: most rows have the
    /// same order.
    next: Vec<usize>,
    /// For each column, the last row in which it had a field.
    filled: Vec<usize>,
    row: usize,
}

impl fmt::Debug for ObjectFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectFields").field("fields", &self.fields).finish_non_exhaustive()
    }
}

impl ObjectFields {
    /// Empty columns; none if one has a type that is not read here.
    pub fn new(fields: &Fields) -> Option<ObjectFields> {
        let columns = fields.iter().map(|field| column(field.data_type()));
        let columns = columns.collect::<Option<Vec<_>>>()?;
        let index: HashMap<_, _, _> =
            fields.iter().enumerate().map(|(i, field)| (field.name().clone(), i)).collect();
        let count = columns.len();
        (index.len() == count).then(|| ObjectFields {
            fields: fields.clone(),
            columns,
            required: vec![false; count],
            index,
            next: (1..=count).chain([0]).collect(),
            filled: vec![0; count],
            row: 0,
        })
    }

    /// Leaves rows with a null in one of these columns unread.
    pub fn require(&mut self, columns: &[usize]) {
        columns.iter().for_each(|&i| self.required[i] = true);
    }

    /// Reads an object as one row.
    pub fn read(&mut self, object: &str) -> Result<(), Unfit> {
        self.row += 1;
        let mut source = serde_json::Deserializer::from_str(object);
        source.deserialize_map(ObjectRow(self)).and_then(|()| source.end()).map_err(|_| Unfit)?;
        for i in 0..self.columns.len() {
            if self.filled[i] != self.row {
                self.null(i)?;
            }
        }
        Ok(())
    }

    /// Appends a row of nulls.
    pub fn push_null(&mut self) {
        self.row += 1;
        self.columns.iter_mut().for_each(|column| column.push_null());
    }

    /// Removes all rows from the `len`-th on.
    pub fn truncate(&mut self, len: usize) {
        self.columns.iter_mut().for_each(|column| column.truncate(len));
    }

    /// The fields and their values.
    pub fn finish(&mut self) -> (Fields, Vec<ArrayRef>) {
        (self.fields.clone(), self.columns.iter_mut().map(|column| column.finish()).collect())
    }

    fn null(&mut self, i: usize) -> Result<(), Unfit> {
        self.columns[i].push_null();
        if self.required[i] { Err(Unfit) } else { Ok(()) }
    }

    /// The column of a key, where the one before was that of `last`.
    fn find(&mut self, key: &str, last: usize) -> Option<usize> {
        let guess = self.next[last];
        if self.fields.get(guess).is_some_and(|field| field.name() == key) {
            return Some(guess);
        }
        let found = self.index.get(key).copied()?;
        self.next[last] = found;
        Some(found)
    }

    fn take(&mut self, i: usize, raw: &str) -> Result<(), Unfit> {
        if std::mem::replace(&mut self.filled[i], self.row) == self.row {
            return Err(Unfit);
        }
        match Json::read(raw)? {
            Json::Null => self.null(i),
            value => self.columns[i].push(value),
        }
    }
}

/// Puts the fields of an object into columns.
struct ObjectRow<'f>(&'f mut ObjectFields);

impl<'de> Visitor<'de> for ObjectRow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = self.0;
        let mut others = FieldNames::default();
        // the place before the first column
        let mut last = fields.columns.len();
        while let Some(FieldName(key)) = map.next_key()? {
            let raw: &RawValue = map.next_value()?;
            let taken = match fields.find(&key, last) {
                Some(i) => {
                    last = i;
                    fields.take(i, raw.get())
                }
                None => others.add(key).and_then(|()| sound(raw.get(), DEPTH_MAX)),
            };
            taken.map_err(|Unfit| A::Error::custom("unfit"))?;
        }
        Ok(())
    }
}
