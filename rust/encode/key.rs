//! The key of a record: one column as its text, several as a JSON object.
//!
//! A key is compared by its bytes, so a column of bytes is the key as it is. A null key is no key.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_schema::{DataType, Field, SchemaRef};

use super::json::object;
use super::{Encoder, NoOptions, RowBytes, different_names, options};
use crate::error::{Error, Result};
use crate::show::{ShownAs, cells};

pub fn make(schema: &SchemaRef, given: &str) -> Result<Box<dyn Encoder>> {
    let NoOptions {} = options("key", given)?;
    different_names(schema)?;
    match schema.fields().len() {
        0 => Err(Error::Schema("a key has no column".into())),
        1 => Ok(Box::new(KeyText)),
        _ => Ok(Box::new(KeyObject)),
    }
}

struct KeyText;

impl Encoder for KeyText {
    fn encode(&self, batch: &RecordBatch, out: &mut RowBytes) -> Result<()> {
        let (column, schema) = (batch.column(0), batch.schema_ref());
        if is_bytes(schema.field(0)) {
            let bytes = arrow_cast::cast(column, &DataType::LargeBinary)?;
            for value in bytes.as_binary::<i64>() {
                match value {
                    Some(value) => out.row(|bytes| bytes.extend_from_slice(value)),
                    None => out.nothing(),
                }
            }
            return Ok(());
        }
        let cells = cells(column.as_ref(), schema.field(0));
        for row in 0..batch.num_rows() {
            match cells.is_null(row) {
                true => out.nothing(),
                false => out.row(|bytes| cells.write_valid(row, ShownAs::Text, bytes)),
            }
        }
        Ok(())
    }
}

fn is_bytes(field: &Field) -> bool {
    let kind = match field.data_type() {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    let uuid = field.extension_type_name() == Some("arrow.uuid");
    (kind.is_binary() || matches!(kind, DataType::FixedSizeBinary(_))) && !uuid
}

struct KeyObject;

impl Encoder for KeyObject {
    fn encode(&self, batch: &RecordBatch, out: &mut RowBytes) -> Result<()> {
        let object = object(batch);
        for row in 0..batch.num_rows() {
            out.row(|bytes| object.write(row, ShownAs::Json, bytes));
        }
        Ok(())
    }
}
