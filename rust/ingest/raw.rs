//! Raw: each message is one value, of bytes or of text.

use arrow_array::ArrayRef;
use arrow_schema::{DataType, SchemaRef};
use serde::Deserialize;

use super::Format;
use super::columns::{Column, single_column};
use super::fault::{Fault, Parse, Wrong};
use super::json_row::utf8;
use super::options::options;
use super::rows::{RowByRow, RowFormat};
use crate::error::{Error, Result};
use crate::schema::TextsFor;
use crate::schema::single::SingleValue;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOptions {}

/// Messages as they are.
pub fn raw_format(schema: &SchemaRef, json: &str) -> Result<Box<dyn Format>> {
    let (common, RawOptions {}) = options("raw", json)?;
    let kinds: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
    let column = match kinds[..] {
        [kind @ (DataType::Binary | DataType::Utf8)] => single_column(kind, None),
        _ => None,
    };
    let column = column.ok_or_else(|| {
        let hint = "hint: schema={\"payload\": \"binary\"}";
        Error::Schema(format!("decode raw: the schema must be one column, binary or str\n{hint}"))
    })?;
    Ok(Box::new(RowByRow { schema: schema.clone(), common, format: RawMessages(column) }))
}

struct RawMessages(Box<dyn Column>);

impl RowFormat for RawMessages {
    fn read(&mut self, payload: &[u8]) -> Parse<()> {
        let value = match self.0.data_type() {
            DataType::Binary => SingleValue::Bytes(payload),
            _ => SingleValue::Text(utf8(payload)?),
        };
        let push = self.0.push(value, TextsFor::Some);
        push.map_err(|_| Wrong::new(0, Fault::Said("it is not a value".into())))
    }

    fn push_null(&mut self) {
        self.0.push_null();
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        vec![self.0.finish()]
    }
}
