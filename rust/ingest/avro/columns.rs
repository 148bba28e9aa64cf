//! Columns that Avro values are read into: single ones, lists and structs.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::NullBufferBuilder;
use arrow_schema::{DataType, FieldRef, Fields};

use super::super::columns::{Column, Ends, single_column};

/// A column in the making.
pub enum AvroColumn {
    /// Of single values.
    Single(Box<dyn Column>),
    /// Of lists: the item, the items and where each list ends.
    List(FieldRef, Box<AvroColumn>, Ends, usize),
    /// Of structs.
    Struct(Fields, Vec<AvroColumn>, NullBufferBuilder),
}

impl AvroColumn {
    /// An empty column; none for a type that no value of Avro is read as.
    pub fn new(data_type: &DataType) -> Option<AvroColumn> {
        Some(match data_type {
            DataType::List(item) => {
                let items = Box::new(AvroColumn::new(item.data_type())?);
                AvroColumn::List(item.clone(), items, Ends::default(), 0)
            }
            DataType::Struct(fields) => {
                let columns = fields.iter().map(|field| AvroColumn::new(field.data_type()));
                let columns = columns.collect::<Option<Vec<_>>>()?;
                AvroColumn::Struct(fields.clone(), columns, NullBufferBuilder::new(0))
            }
            plain => AvroColumn::Single(single_column(plain, None)?),
        })
    }

    /// Appends a null.
    pub fn push_null(&mut self) {
        match self {
            AvroColumn::Single(column) => column.push_null(),
            AvroColumn::List(_, _, ends, _) => ends.push_null(),
            AvroColumn::Struct(_, columns, nulls) => {
                columns.iter_mut().for_each(AvroColumn::push_null);
                nulls.append_null();
            }
        }
    }

    /// Removes all values from the `len`-th on.
    pub fn truncate(&mut self, len: usize) {
        match self {
            AvroColumn::Single(column) => column.truncate(len),
            AvroColumn::List(_, items, ends, count) => {
                *count = ends.truncate(len);
                items.truncate(*count);
            }
            AvroColumn::Struct(_, columns, nulls) => {
                columns.iter_mut().for_each(|column| column.truncate(len));
                nulls.truncate(len);
            }
        }
    }

    /// The type of the values.
    pub fn data_type(&self) -> DataType {
        match self {
            AvroColumn::Single(column) => column.data_type(),
            AvroColumn::List(item, ..) => DataType::List(item.clone()),
            AvroColumn::Struct(fields, ..) => DataType::Struct(fields.clone()),
        }
    }

    /// The values, which leave the column.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            AvroColumn::Single(column) => column.finish(),
            AvroColumn::List(item, items, ends, count) => {
                *count = 0;
                let (ends, nulls) = ends.finish();
                Arc::new(ListArray::new(item.clone(), ends, items.finish(), nulls))
            }
            AvroColumn::Struct(fields, columns, nulls) => {
                let valid = nulls.finish();
                if fields.is_empty() {
                    let len = valid.as_ref().map_or(0, |valid| valid.len());
                    return Arc::new(StructArray::new_empty_fields(len, valid));
                }
                let columns = columns.iter_mut().map(AvroColumn::finish).collect();
                Arc::new(StructArray::new(fields.clone(), columns, valid))
            }
        }
    }
}
