//! Ingest: turns bytes of a source into rows, before `decode` brings them into the stream.
//!
//! Messages come in a list and become record batches: a [`Format`] is made by [`decoder`], which
//! finds it in the registry. A message that cannot be read takes nothing with it: its place and
//! what is wrong with it are told, and the others are as if it had not been there. Lines of JSON in
//! one text are read the same way.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::error::Result;

mod fault;
mod cursor;
mod columns;
mod objects;
mod json_row;
mod json_lines;
mod options;
mod rows;
mod json;
mod raw;
mod csv;
mod ipc;
mod arrow;
mod avro;
mod registry;

pub use json_lines::{BadLine, JsonLines, json_lines};
pub use registry::decoder;

/// A message's payload; none where it is null (a tombstone).
pub type Payload<'a> = Option<&'a [u8]>;

/// Decodes messages of one format into columns of one schema.
pub trait Format: Send {
    /// The columns.
    fn schema(&self) -> &SchemaRef;

    /// Decodes messages, each by itself.
    ///
    /// # Errors
    ///
    /// Only where no message at all can be decoded; a message that cannot is in [`Decoded::bad`].
    fn decode(&mut self, messages: &[Payload<'_>]) -> Result<Decoded>;

    /// The ids of schemas that messages name and that were not learnt.
    fn unknown_schemas(&self, messages: &[Payload<'_>]) -> Vec<u32> {
        let _ = messages;
        vec![]
    }

    /// Learns a schema, or why there is none: then its messages are bad ones.
    fn learn(&mut self, id: u32, schema: Result<&str, &str>) {
        let _ = (id, schema);
    }
}

/// The rows of messages.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The rows, in the order of their messages.
    pub batches: Vec<RecordBatch>,
    /// For each row the number of its message, rising; none if each message is one row.
    pub ordinals: Option<Vec<i64>>,
    /// The messages that cannot be decoded, in their order.
    pub bad: Vec<BadMessage>,
}

/// A message that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadMessage {
    /// Its number, from 0.
    pub ordinal: usize,
    /// The byte of the payload at which it goes wrong, where that is known.
    pub at: Option<usize>,
    /// What is wrong with it.
    pub detail: String,
}
