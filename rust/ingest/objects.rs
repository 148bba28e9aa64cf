//! JSON objects as rows: the columns of their fields, and columns that are lists and structs.

use std::fmt;
use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::NullBufferBuilder;
use arrow_schema::{DataType, FieldRef, Fields, TimeUnit};
use hashbrown::HashMap;

use super::columns::{Column, Ends, TextColumn, single_column};
use super::cursor::{Json, JsonCursor, SeenKeys};
use super::fault::{Parse, Wrong};
use crate::schema::TextsFor;
use crate::schema::single::SingleValue;
use crate::schema::texts::Misfit;

/// An empty column of an internal type; none if JSON is not read into such columns.
pub fn json_column(data_type: &DataType, epoch: Option<TimeUnit>) -> Option<Box<dyn Column>> {
    match data_type {
        DataType::List(item) => Some(Box::new(ListColumn {
            item: item.clone(),
            items: json_column(item.data_type(), epoch)?,
            count: 0,
            ends: Ends::default(),
        })),
        DataType::Struct(fields) => Some(Box::new(StructColumn {
            fields: ObjectFields::new(fields, |_| epoch)?,
            nulls: NullBufferBuilder::new(0),
        })),
        plain => single_column(plain, epoch),
    }
}

struct ListColumn {
    item: FieldRef,
    items: Box<dyn Column>,
    count: usize,
    ends: Ends,
}

impl Column for ListColumn {
    fn push(&mut self, _: SingleValue<'_>, _: TextsFor) -> Result<(), Misfit> {
        Err(Misfit::Kind)
    }

    fn read(&mut self, value: Json<'_>, start: usize, cursor: &mut JsonCursor<'_>) -> Parse<()> {
        match value {
            Json::Array => {}
            Json::Null => {
                self.push_null();
                return Ok(());
            }
            _ => return Err(Wrong::misfit(start, Misfit::Kind, &self.data_type())),
        }
        let (mut more, mut index) = (cursor.first(b']')?, 0);
        while more {
            let at = cursor.at();
            let item = cursor.value()?;
            let read = self.items.read(item, at, cursor);
            read.map_err(|wrong| wrong.within(&format!("[{index}]")))?;
            index += 1;
            more = cursor.next(b']')?;
        }
        self.count += index;
        self.ends.push(self.count);
        Ok(())
    }

    fn push_null(&mut self) {
        self.ends.push_null();
    }

    fn is_null(&self, row: usize) -> bool {
        self.ends.is_null(row)
    }

    fn truncate(&mut self, len: usize) {
        self.count = self.ends.truncate(len);
        self.items.truncate(self.count);
    }

    fn data_type(&self) -> DataType {
        DataType::List(self.item.clone())
    }

    fn finish(&mut self) -> ArrayRef {
        self.count = 0;
        let (ends, nulls) = self.ends.finish();
        Arc::new(ListArray::new(self.item.clone(), ends, self.items.finish(), nulls))
    }
}

struct StructColumn {
    fields: ObjectFields,
    nulls: NullBufferBuilder,
}

impl Column for StructColumn {
    fn push(&mut self, _: SingleValue<'_>, _: TextsFor) -> Result<(), Misfit> {
        Err(Misfit::Kind)
    }

    fn read(&mut self, value: Json<'_>, start: usize, cursor: &mut JsonCursor<'_>) -> Parse<()> {
        match value {
            Json::Object => self.fields.read(cursor)?,
            Json::Null => {
                self.push_null();
                return Ok(());
            }
            _ => return Err(Wrong::misfit(start, Misfit::Kind, &self.data_type())),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    fn push_null(&mut self) {
        self.fields.push_null();
        self.nulls.append_null();
    }

    fn is_null(&self, row: usize) -> bool {
        !self.nulls.is_valid(row)
    }

    fn truncate(&mut self, len: usize) {
        self.fields.truncate(len);
        self.nulls.truncate(len);
    }

    fn data_type(&self) -> DataType {
        DataType::Struct(self.fields.fields.clone())
    }

    fn finish(&mut self) -> ArrayRef {
        let len = self.nulls.len();
        let (fields, arrays) = self.fields.finish();
        let nulls = self.nulls.finish();
        if fields.is_empty() {
            return Arc::new(StructArray::new_empty_fields(len, nulls));
        }
        Arc::new(StructArray::new(fields, arrays, nulls))
    }
}

/// The columns of an object's fields.
pub struct ObjectFields {
    fields: Fields,
    columns: Vec<Box<dyn Column>>,
    keys: Vec<FieldKey>,
    index: HashMap<String, usize, foldhash::fast::RandomState>,
    /// The column after each column in the row before, the first one last: most rows have the
    /// same order.
    next: Vec<usize>,
    /// For each column, the last row in which it had a field.
    filled: Vec<usize>,
    row: usize,
    rest: Option<RestColumn>,
}

/// A field's name.
struct FieldKey {
    name: Box<str>,
    /// Whether it has no character that JSON escapes.
    plain: bool,
}

/// The fields of objects that no column has, as JSON objects.
#[derive(Default)]
struct RestColumn {
    row: String,
    column: TextColumn,
}

impl fmt::Debug for ObjectFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectFields").field("fields", &self.fields).finish_non_exhaustive()
    }
}

impl ObjectFields {
    /// Empty columns; none if one has a type that is not read here, or two have one name.
    ///
    /// `epoch` gives the unit of numbers that are times in a column.
    pub fn new(fields: &Fields, epoch: impl Fn(&str) -> Option<TimeUnit>) -> Option<ObjectFields> {
        let columns =
            fields.iter().map(|field| json_column(field.data_type(), epoch(field.name())));
        let columns = columns.collect::<Option<Vec<_>>>()?;
        let index: HashMap<_, _, _> =
            fields.iter().enumerate().map(|(i, field)| (field.name().clone(), i)).collect();
        let escaped = |byte: u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        let count = columns.len();
        (index.len() == count).then(|| ObjectFields {
            fields: fields.clone(),
            columns,
            keys: fields
                .iter()
                .map(|field| FieldKey {
                    name: field.name().as_str().into(),
                    plain: !field.name().bytes().any(escaped),
                })
                .collect(),
            index,
            next: (1..=count).chain([0]).collect(),
            filled: vec![0; count],
            row: 0,
            rest: None,
        })
    }

    /// Keeps fields that no column has, from now on, as JSON in one more column of text.
    pub fn keep_rest(&mut self) {
        self.rest = Some(RestColumn::default());
    }

    /// Reads an object as one row; the cursor is behind its bracket. After an error the columns
    /// need an [`ObjectFields::truncate`].
    pub fn read(&mut self, cursor: &mut JsonCursor<'_>) -> Parse<()> {
        self.row += 1;
        let mut others = SeenKeys::default();
        // the place before the first column
        let mut last = self.columns.len();
        let mut found = 0;
        let mut more = cursor.first(b'}')?;
        while more {
            let start = cursor.at();
            match self.guessed(cursor, last)? {
                Some(i) => {
                    self.take(i, start, cursor)?;
                    (last, found) = (i, found + 1);
                }
                None => {
                    let key = cursor.key()?;
                    if let Some(&i) = self.index.get(key.as_ref()) {
                        self.next[last] = i;
                        self.take(i, start, cursor)?;
                        (last, found) = (i, found + 1);
                    } else {
                        others.add(key, start)?;
                        cursor.skip()?;
                        self.rest.iter_mut().for_each(|rest| rest.add(cursor.since(start)));
                    }
                }
            }
            more = cursor.next(b'}')?;
        }
        if found < self.columns.len() {
            let lacking = self.columns.iter_mut().zip(&self.filled);
            lacking.filter(|(_, row)| **row != self.row).for_each(|(column, _)| column.push_null());
        }
        self.rest.iter_mut().for_each(RestColumn::end);
        Ok(())
    }

    /// Appends a row of nulls.
    pub fn push_null(&mut self) {
        self.columns.iter_mut().for_each(|column| column.push_null());
        self.rest.iter_mut().for_each(RestColumn::end);
    }

    /// Whether a column's value is null.
    pub fn is_null(&self, column: usize, row: usize) -> bool {
        self.columns[column].is_null(row)
    }

    /// Removes all rows from the `len`-th on.
    pub fn truncate(&mut self, len: usize) {
        self.columns.iter_mut().for_each(|column| column.truncate(len));
        self.rest.iter_mut().for_each(|rest| rest.truncate(len));
    }

    /// The fields and their values; what no column has comes last, without a field.
    pub fn finish(&mut self) -> (Fields, Vec<ArrayRef>) {
        let mut arrays: Vec<_> = self.columns.iter_mut().map(|column| column.finish()).collect();
        arrays.extend(self.rest.iter_mut().map(|rest| rest.column.finish()));
        (self.fields.clone(), arrays)
    }

    /// The column that had the field after that of `last` in the row before, if its key is next.
    #[inline]
    fn guessed(&self, cursor: &mut JsonCursor<'_>, last: usize) -> Parse<Option<usize>> {
        let guess = self.next[last];
        match self.keys.get(guess) {
            Some(key) if key.plain && cursor.key_is(&key.name)? => Ok(Some(guess)),
            _ => Ok(None),
        }
    }

    #[inline]
    fn take(&mut self, i: usize, key: usize, cursor: &mut JsonCursor<'_>) -> Parse<()> {
        let name = &self.keys[i].name;
        if std::mem::replace(&mut self.filled[i], self.row) == self.row {
            return Err(Wrong::twice(key, name));
        }
        let start = cursor.at();
        let value = cursor.value()?;
        self.columns[i].read(value, start, cursor).map_err(|wrong| wrong.within(name))
    }
}

impl RestColumn {
    /// Adds a key and its value, as written.
    fn add(&mut self, field: &str) {
        self.row.push(if self.row.is_empty() { '{' } else { ',' });
        self.row.push_str(field);
    }

    fn end(&mut self) {
        if self.row.is_empty() {
            return self.column.push_null();
        }
        self.row.push('}');
        self.column.add(&self.row);
        self.row.clear();
    }

    fn truncate(&mut self, len: usize) {
        self.row.clear();
        self.column.truncate(len);
    }
}
