//! Saved: a slot's state as named columns, the content of one snapshot chunk.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};

use crate::error::{Error, Result};

/// Named columns of equal length.
#[derive(Debug, Clone)]
pub struct Saved {
    /// The columns as a record batch.
    pub batch: RecordBatch,
}

/// Collects columns for [`Saved`].
#[derive(Debug, Default)]
pub struct Saving {
    fields: Vec<Field>,
    columns: Vec<ArrayRef>,
}

impl Saving {
    /// Adds a column.
    pub fn column(mut self, name: impl Into<String>, column: ArrayRef) -> Saving {
        self.fields.push(Field::new(name, column.data_type().clone(), true));
        self.columns.push(column);
        self
    }

    /// Adds signed integers.
    pub fn i64(self, name: &str, values: Vec<i64>) -> Saving {
        self.column(name, Arc::new(Int64Array::from(values)))
    }

    /// Adds unsigned integers.
    pub fn u64(self, name: &str, values: Vec<u64>) -> Saving {
        self.column(name, Arc::new(UInt64Array::from(values)))
    }

    /// Adds byte strings.
    pub fn binary(self, name: &str, values: &[Vec<u8>]) -> Saving {
        let array: BinaryArray = values.iter().map(|value| Some(value.as_slice())).collect();
        self.column(name, Arc::new(array))
    }

    /// Adds several columns as `name` followed by a number.
    pub fn columns(self, name: &str, columns: Vec<ArrayRef>) -> Saving {
        columns
            .into_iter()
            .enumerate()
            .fold(self, |all, (i, column)| all.column(format!("{name}.{i}"), column))
    }

    /// Finishes the batch. At least one column is not a key in every verb.
    pub fn done(self) -> Result<Saved> {
        Ok(Saved { batch: RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.columns)? })
    }
}

impl Saved {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A column of any type.
    pub fn column(&self, name: &str) -> Result<&ArrayRef> {
        self.batch
            .column_by_name(name)
            .ok_or_else(|| Error::Snapshot(format!("a chunk has no column \"{name}\"")))
    }

    /// Signed integers without nulls.
    pub fn i64(&self, name: &str) -> Result<&[i64]> {
        let column = self.typed(name, &DataType::Int64)?;
        Ok(column.as_primitive::<Int64Type>().values())
    }

    /// Unsigned integers without nulls.
    pub fn u64(&self, name: &str) -> Result<&[u64]> {
        let column = self.typed(name, &DataType::UInt64)?;
        Ok(column.as_primitive::<UInt64Type>().values())
    }

    /// Byte strings without nulls.
    pub fn binary(&self, name: &str) -> Result<&BinaryArray> {
        Ok(self.typed(name, &DataType::Binary)?.as_binary::<i32>())
    }

    /// The columns saved as `name` followed by a number, checked against these types.
    pub fn columns(&self, name: &str, types: &[DataType]) -> Result<Vec<ArrayRef>> {
        let one = |(i, data_type): (usize, &DataType)| {
            let name = format!("{name}.{i}");
            let column = self.column(&name)?;
            if column.data_type() == data_type {
                return Ok(column.clone());
            }
            Err(Error::Snapshot(format!(
                "column \"{name}\" of a chunk is {}, not {data_type}",
                column.data_type()
            )))
        };
        types.iter().enumerate().map(one).collect()
    }

    fn typed(&self, name: &str, data_type: &DataType) -> Result<&ArrayRef> {
        let column = self.column(name)?;
        if column.data_type() != data_type || column.null_count() > 0 {
            return Err(Error::Snapshot(format!(
                "column \"{name}\" of a chunk is not {data_type}"
            )));
        }
        Ok(column)
    }
}
