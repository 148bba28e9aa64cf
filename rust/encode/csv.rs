//! A row as a record of CSV (RFC 4180) without a line end: a line of the file that `mt.sinks.Csv`
//! writes. Text is quoted, so that `""` is an empty text and an empty field is null.

use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, SchemaRef};

use super::{Encoder, NoOptions, RowBytes, different_names, options};
use crate::error::{Error, Result};
use crate::show::{BoxedCells, ShownAs, cells};

pub fn make(schema: &SchemaRef, given: &str) -> Result<Box<dyn Encoder>> {
    let NoOptions {} = options("csv", given)?;
    different_names(schema)?;
    if schema.fields().is_empty() {
        return Err(Error::Schema("a record of CSV has no column".into()));
    }
    Ok(Box::new(CsvRecords))
}

struct CsvRecords;

impl Encoder for CsvRecords {
    fn encode(&self, batch: &RecordBatch, out: &mut RowBytes) -> Result<()> {
        let schema = batch.schema_ref();
        let fields: Vec<CsvField> =
            schema.fields().iter().zip(batch.columns()).map(|(f, c)| csv_field(c, f)).collect();
        let mut text = vec![];
        for row in 0..batch.num_rows() {
            out.row(|bytes| {
                // a message without a byte would not be a record
                if fields.len() == 1 && fields[0].cells.is_null(row) {
                    return bytes.extend_from_slice(b"\"\"");
                }
                for (at, field) in fields.iter().enumerate() {
                    if at > 0 {
                        bytes.push(b',');
                    }
                    field.write(row, &mut text, bytes);
                }
            });
        }
        Ok(())
    }
}

struct CsvField {
    cells: BoxedCells,
    quoted: bool,
}

fn csv_field(column: &dyn Array, field: &Field) -> CsvField {
    let is_uuid = field.extension_type_name() == Some("arrow.uuid");
    CsvField { cells: cells(column, field), quoted: !is_uuid && may_be_anything(field.data_type()) }
}

impl CsvField {
    /// Appends the field of a row; `text` is room to work in.
    fn write(&self, row: usize, text: &mut Vec<u8>, out: &mut Vec<u8>) {
        if self.cells.is_null(row) {
            return;
        }
        if !self.quoted {
            return self.cells.write_valid(row, ShownAs::Text, out);
        }
        text.clear();
        self.cells.write_valid(row, ShownAs::Text, text);
        out.push(b'"');
        for part in text.split_inclusive(|byte| *byte == b'"') {
            out.extend_from_slice(part);
            if part.ends_with(b"\"") {
                out.push(b'"');
            }
        }
        out.push(b'"');
    }
}

/// Whether a text of the type may have any character, or none.
fn may_be_anything(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => may_be_anything(values),
        DataType::RunEndEncoded(_, values) => may_be_anything(values.data_type()),
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => true,
        nested => nested.is_nested(),
    }
}
