//! A row as a JSON object, in the forms of `docs/values.md`.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::{Encoder, NoOptions, RowBytes, different_names, options};
use crate::error::Result;
use crate::show::{Object, ShownAs};

pub fn make(schema: &SchemaRef, given: &str) -> Result<Box<dyn Encoder>> {
    let NoOptions {} = options("json", given)?;
    different_names(schema)?;
    Ok(Box::new(JsonRows))
}

struct JsonRows;

impl Encoder for JsonRows {
    fn encode(&self, batch: &RecordBatch, out: &mut RowBytes) -> Result<()> {
        let object = object(batch);
        for row in 0..batch.num_rows() {
            out.row(|bytes| object.write(row, ShownAs::Json, bytes));
        }
        Ok(())
    }
}

/// The rows of a batch as objects.
pub fn object(batch: &RecordBatch) -> Object {
    let schema = batch.schema_ref();
    let columns = batch.columns().iter().map(AsRef::as_ref);
    Object::new(schema.fields().iter().map(AsRef::as_ref).zip(columns))
}
