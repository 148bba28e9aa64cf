//! Arrow: each message is a stream of Arrow's IPC format, or one record batch of it without its
//! schema, and has any number of rows. A message of which one row does not fit is bad as a whole.

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_buffer::Buffer;
use arrow_ipc::reader::{RecordBatchDecoder, StreamReader};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use serde::Deserialize;

use super::fault::{Fault, Parse, Wrong};
use super::ipc::{IpcPart, expanded_bytes, ipc_parts};
use super::options::{CommonOptions, options};
use super::{BadMessage, Decoded, Format, Payload};
use crate::error::{Result, caught};
use crate::limits::TEXT_BYTES_MAX;
use crate::schema::{TextsFor, explain_misfit, fit, may_fit, named, shown};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArrowOptions {}

/// Messages of Arrow's IPC format.
pub fn arrow_format(schema: &SchemaRef, json: &str) -> Result<Box<dyn Format>> {
    let (common, ArrowOptions {}) = options("arrow", json)?;
    Ok(Box::new(ArrowMessages { schema: schema.clone(), common }))
}

#[derive(Debug)]
struct ArrowMessages {
    schema: SchemaRef,
    common: CommonOptions,
}

impl Format for ArrowMessages {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn decode(&mut self, messages: &[Payload<'_>]) -> Result<Decoded> {
        let mut decoded = Decoded::default();
        let mut ordinals = Vec::with_capacity(messages.len());
        let (mut waiting, mut bytes) = (vec![], 0);
        for (ordinal, &payload) in messages.iter().enumerate() {
            let batches = match payload.map(|payload| self.read(payload)) {
                None if self.common.tombstones => vec![self.nulls()?],
                None => continue,
                Some(Ok(batches)) => batches,
                Some(Err(wrong)) => {
                    let (at, detail) = (None, wrong.to_string());
                    decoded.bad.push(BadMessage { ordinal, at, detail });
                    continue;
                }
            };
            for batch in batches {
                let size = batch.get_array_memory_size();
                if bytes + size > TEXT_BYTES_MAX && !waiting.is_empty() {
                    decoded.batches.push(concat_batches(&self.schema, &waiting)?);
                    waiting.clear();
                    bytes = 0;
                }
                ordinals.extend(std::iter::repeat_n(ordinal as i64, batch.num_rows()));
                waiting.push(batch);
                bytes += size;
            }
        }
        if !waiting.is_empty() {
            decoded.batches.push(concat_batches(&self.schema, &waiting)?);
        }
        let each_one = ordinals.iter().copied().eq(0..messages.len() as i64);
        decoded.ordinals = (!each_one).then_some(ordinals);
        Ok(decoded)
    }
}

impl ArrowMessages {
    /// The rows of a message, in the types of the schema.
    fn read(&self, payload: &[u8]) -> Parse<Vec<RecordBatch>> {
        let prefix = self.common.prefix(payload)?;
        let payload = &payload[prefix..];
        let parts = ipc_parts(payload)?;
        // what the checks of the parts let through is refused by the reader, by a panic at worst
        let batches = caught(|| self.batches(payload, &parts)).map_err(|error| {
            said(format!("it is not sound Arrow data: {}", first_line(error.message())))
        })?;
        let mut before = 0;
        let fitted = batches.iter().map(|batch| {
            let done = self.fitted(batch, before);
            before += batch.num_rows();
            done
        });
        fitted.collect()
    }

    fn batches(&self, payload: &[u8], parts: &[IpcPart<'_>]) -> Result<Vec<RecordBatch>> {
        if let [part] = parts
            && let Some(batch) = part.message.header_as_record_batch()
        {
            let (body, version) = (Buffer::from(part.body), part.message.version());
            let none = Default::default();
            let schema = self.schema.clone();
            let decoder = RecordBatchDecoder::try_new(&body, batch, schema, &none, &version)?;
            return Ok(vec![decoder.read_record_batch()?]);
        }
        Ok(StreamReader::try_new(payload, None)?.collect::<Result<Vec<_>, _>>()?)
    }

    /// Rows in the types of the schema: a column that is not there is null.
    fn fitted(&self, batch: &RecordBatch, before: usize) -> Parse<RecordBatch> {
        let rows = batch.num_rows();
        let mut columns: Vec<ArrayRef> = vec![];
        for field in self.schema.fields() {
            let (name, kind) = (field.name(), field.data_type());
            let Some(column) = batch.column_by_name(name) else {
                columns.push(new_null_array(kind, rows));
                continue;
            };
            if !may_fit(column.data_type(), kind) {
                let (is, wanted) = (named(column.data_type()), named(kind));
                return Err(said(format!("column \"{name}\" is {is}, not {wanted}")));
            }
            expanded_bytes(column)?;
            let fitted = fit(column, kind, TextsFor::Some).map_err(|error| {
                said(format!("column \"{name}\": {}", first_line(error.message())))
            })?;
            if let Some(&(row, why)) = fitted.misfits.first() {
                let (value, reason) = (shown(column, row), explain_misfit(why, kind).0);
                let (row, word) = (before + row, named(kind));
                let text =
                    format!("row {row}: column \"{name}\" does not fit {word}: {value} {reason}");
                return Err(said(text));
            }
            columns.push(fitted.array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| said(error.to_string()))
    }

    fn nulls(&self) -> Result<RecordBatch> {
        let columns = self.schema.fields().iter();
        let columns = columns.map(|field| new_null_array(field.data_type(), 1)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

fn said(text: String) -> Box<Wrong> {
    Wrong::new(0, Fault::Said(text))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
