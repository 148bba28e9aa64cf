//! A row as a stream of Arrow's IPC format: the schema, a batch of one row, the end.
//!
//! Dictionaries, views and runs are written as their values: a message stands for itself, and a
//! view of one row would take the bytes of all.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_cast::cast;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use super::{Encoder, NoOptions, RowBytes, different_names, options};
use crate::error::{Error, Result};

/// What ends a stream: a message of no length.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

pub fn make(schema: &SchemaRef, given: &str) -> Result<Box<dyn Encoder>> {
    let NoOptions {} = options("arrow", given)?;
    different_names(schema)?;
    let fields = plain_fields(schema.fields());
    Ok(Box::new(ArrowStreams { schema: Arc::new(Schema::new(fields)) }))
}

struct ArrowStreams {
    schema: SchemaRef,
}

impl Encoder for ArrowStreams {
    fn encode(&self, batch: &RecordBatch, out: &mut RowBytes) -> Result<()> {
        let columns = batch.columns().iter().zip(self.schema.fields()).map(|(column, field)| {
            if column.data_type() == field.data_type() {
                return Ok(column.clone());
            }
            let within = |error: Error| error.within(&format!("column \"{}\"", field.name()));
            cast(column, field.data_type()).map_err(|error| within(error.into()))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let plain = if columns.is_empty() {
            batch.clone()
        } else {
            RecordBatch::try_new(self.schema.clone(), columns)?
        };
        let mut stream = StreamWriter::try_new(vec![], &self.schema)?;
        let head = stream.get_ref().clone();
        for row in 0..plain.num_rows() {
            let start = stream.get_ref().len();
            stream.write(&plain.slice(row, 1))?;
            out.row(|bytes| {
                bytes.extend_from_slice(&head);
                bytes.extend_from_slice(&stream.get_ref()[start..]);
                bytes.extend_from_slice(&END);
            });
        }
        Ok(())
    }
}

fn plain_fields(fields: &Fields) -> Fields {
    fields.iter().map(plain_field).collect()
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let kind = plain(field.data_type());
    let nullable = field.is_nullable();
    Arc::new(Field::new(field.name(), kind, nullable).with_metadata(field.metadata().clone()))
}

/// The type without dictionaries, views and runs.
fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        DataType::Utf8View => DataType::LargeUtf8,
        DataType::BinaryView => DataType::LargeBinary,
        DataType::List(item) => DataType::List(plain_field(item)),
        DataType::LargeList(item) => DataType::LargeList(plain_field(item)),
        DataType::ListView(item) => DataType::List(plain_field(item)),
        DataType::LargeListView(item) => DataType::LargeList(plain_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(plain_fields(fields)),
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries), *sorted),
        other => other.clone(),
    }
}
