//! Formats in which each message is one row.

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

use super::fault::{Parse, Wrong};
use super::options::CommonOptions;
use super::{BadMessage, Decoded, Format, Payload};
use crate::error::Result;
use crate::limits::TEXT_BYTES_MAX;

/// A format in which each message is one row.
pub trait RowFormat: Send {
    /// Appends a payload as a row. After an error the columns need a truncate.
    fn read(&mut self, payload: &[u8]) -> Parse<()>;

    /// Appends a row of nulls.
    fn push_null(&mut self);

    /// Removes all rows from the `len`-th on.
    fn truncate(&mut self, len: usize);

    /// The columns, which leave it.
    fn finish(&mut self) -> Vec<ArrayRef>;

    /// How many bytes of text the columns may have, after one more row, beside those of payloads.
    fn spare(&self) -> usize {
        0
    }

    /// See [`Format::unknown_schemas`].
    fn unknown_schemas(&self, messages: &[Payload<'_>]) -> Vec<u32> {
        let _ = messages;
        vec![]
    }

    /// See [`Format::learn`].
    fn learn(&mut self, id: u32, schema: Result<&str, &str>) {
        let _ = (id, schema);
    }
}

/// Decodes messages one after another; a bad one leaves no trace.
#[derive(Debug)]
pub struct RowByRow<F> {
    /// The columns.
    pub schema: SchemaRef,
    /// The options that every format has.
    pub common: CommonOptions,
    /// The format.
    pub format: F,
}

impl<F: RowFormat> RowByRow<F> {
    fn read(&mut self, payload: &[u8]) -> Parse<()> {
        let prefix = self.common.prefix(payload)?;
        let read = self.format.read(&payload[prefix..]);
        read.map_err(|wrong| Box::new(Wrong { at: wrong.at + prefix, ..*wrong }))
    }

    fn batch(&mut self, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = self.format.finish();
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

impl<F: RowFormat> Format for RowByRow<F> {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn unknown_schemas(&self, messages: &[Payload<'_>]) -> Vec<u32> {
        self.format.unknown_schemas(messages)
    }

    fn learn(&mut self, id: u32, schema: Result<&str, &str>) {
        self.format.learn(id, schema);
    }

    fn decode(&mut self, messages: &[Payload<'_>]) -> Result<Decoded> {
        // a call that panicked may have left some
        self.format.truncate(0);
        let mut decoded = Decoded::default();
        let mut ordinals = Vec::with_capacity(messages.len());
        let (mut rows, mut bytes) = (0, 0);
        for (ordinal, &payload) in messages.iter().enumerate() {
            let len = payload.map_or(0, <[u8]>::len);
            // what a column gets of a payload is never longer than that
            if rows > 0 && bytes + len + self.format.spare() > TEXT_BYTES_MAX {
                decoded.batches.push(self.batch(rows)?);
                (rows, bytes) = (0, 0);
            }
            match payload.map(|payload| self.read(payload)) {
                None if self.common.tombstones => self.format.push_null(),
                None => continue,
                Some(Ok(())) => bytes += len,
                Some(Err(wrong)) => {
                    self.format.truncate(rows);
                    let (at, detail) = (Some(wrong.at), wrong.to_string());
                    decoded.bad.push(BadMessage { ordinal, at, detail });
                    continue;
                }
            }
            ordinals.push(ordinal as i64);
            rows += 1;
        }
        if rows > 0 {
            decoded.batches.push(self.batch(rows)?);
        }
        decoded.ordinals = (ordinals.len() < messages.len()).then_some(ordinals);
        Ok(decoded)
    }
}
