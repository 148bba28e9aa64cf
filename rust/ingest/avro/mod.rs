//! Avro: each message is a record, and its fields are the columns of a row.
//!
//! Fields are read by the writer's schema, straight into columns: those of the same name, or of an
//! alias in the reader's schema. What no column takes is passed over; a column that the writer does
//! not know has the reader's default, or is null. Which values fit a column is decided where it is
//! for all formats.

mod columns;
mod cursor;
mod plan;
mod value;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use serde::Deserialize;
use serde_json::Value;

use super::fault::{Fault, Parse, Wrong};
use super::options::{PREFIX_BYTES, confluent_id, options};
use super::rows::{RowByRow, RowFormat};
use super::{Format, Payload};
use crate::avro::{AvroSchema, parse};
use crate::error::{Error, Result};
use crate::schema::named;
use columns::AvroColumn;
use cursor::{AvroCursor, GROWTH_MAX};
use plan::{RecordPlan, plan};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AvroOptions {
    /// The schema that all messages were written with, where no prefix names it.
    writer: Option<Value>,
    /// Schemas by the ids in the prefixes.
    schemas: HashMap<u32, Value>,
    /// The reader's schema, for its aliases and defaults.
    reader: Option<Value>,
}

/// Messages of Avro.
pub fn avro_format(schema: &SchemaRef, json: &str) -> Result<Box<dyn Format>> {
    let (mut common, own) = options::<AvroOptions>("avro", json)?;
    let column = |field: &arrow_schema::FieldRef| {
        AvroColumn::new(field.data_type()).ok_or_else(|| {
            let (name, word) = (field.name(), named(field.data_type()));
            Error::Schema(format!(
                "decode avro: column \"{name}\" is {word}, which Avro has no values for"
            ))
        })
    };
    let columns = schema.fields().iter().map(column).collect::<Result<_>>()?;
    let within = |error: Error| error.within("decode avro");
    let reader = own.reader.map(|reader| parse(&text(reader)).map(Arc::new));
    let mut rows = AvroRows {
        schema: schema.clone(),
        columns,
        reader: reader.transpose().map_err(|error| error.within("decode avro: reader"))?,
        prefixed: std::mem::take(&mut common.confluent),
        writer: None,
        writers: HashMap::new(),
        grown: 0,
    };
    match (own.writer, rows.prefixed) {
        (Some(writer), false) => rows.writer = Some(rows.plan(&text(writer)).map_err(within)?),
        (None, true) => {}
        (Some(_), true) => {
            let hint = "hint: leave out writer=";
            let said = "decode avro: the prefix of each message names its schema";
            return Err(Error::Plan(format!("{said}\n{hint}")));
        }
        (None, false) => {
            let hint = "hint: writer= is the schema, or confluent=True if messages have a prefix";
            let said = "decode avro: the schema that messages were written with is not known";
            return Err(Error::Plan(format!("{said}\n{hint}")));
        }
    }
    for (id, schema) in own.schemas {
        let plan = rows.plan(&text(schema)).map_err(within)?;
        rows.writers.insert(id, Ok(plan));
    }
    Ok(Box::new(RowByRow { schema: schema.clone(), common, format: rows }))
}

/// A schema that is given as JSON, or as a text of it.
fn text(schema: Value) -> String {
    match schema {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

struct AvroRows {
    schema: SchemaRef,
    columns: Vec<AvroColumn>,
    reader: Option<Arc<AvroSchema>>,
    /// Whether each message begins with the id of its schema.
    prefixed: bool,
    /// How messages without a prefix are read.
    writer: Option<RecordPlan>,
    /// How messages are read by the id of their schema, or why not.
    writers: HashMap<u32, Result<RecordPlan, String>>,
    /// Bytes of text that did not come out of payloads, since the last batch.
    grown: usize,
}

impl AvroRows {
    fn plan(&self, schema: &str) -> Result<RecordPlan> {
        plan(&Arc::new(parse(schema)?), self.reader.as_ref(), self.schema.fields())
    }
}

impl RowFormat for AvroRows {
    fn read(&mut self, payload: &[u8]) -> Parse<()> {
        let said = |said: String| Err(Wrong::new(0, Fault::Said(said)));
        let (plan, start) = match (self.prefixed, &self.writer) {
            (true, _) => {
                let id = confluent_id(payload)?;
                match self.writers.get(&id) {
                    Some(Ok(plan)) => (plan, PREFIX_BYTES),
                    Some(Err(why)) => return said(format!("its schema, id {id}: {why}")),
                    None => return said(format!("its schema, id {id}, is not known")),
                }
            }
            (false, Some(plan)) => (plan, 0),
            (false, None) => return said("its schema is not known".into()),
        };
        let mut cursor = AvroCursor::new(payload, start);
        plan.read(&mut cursor, &mut self.columns)?;
        cursor.end()?;
        self.grown += cursor.grown();
        Ok(())
    }

    fn push_null(&mut self) {
        self.columns.iter_mut().for_each(AvroColumn::push_null);
    }

    fn truncate(&mut self, len: usize) {
        self.columns.iter_mut().for_each(|column| column.truncate(len));
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.grown = 0;
        self.columns.iter_mut().map(AvroColumn::finish).collect()
    }

    fn spare(&self) -> usize {
        self.grown + GROWTH_MAX
    }

    fn unknown_schemas(&self, messages: &[Payload<'_>]) -> Vec<u32> {
        let mut unknown = vec![];
        if self.prefixed {
            let ids = messages.iter().flatten().filter_map(|payload| confluent_id(payload).ok());
            for id in ids {
                if !self.writers.contains_key(&id) && !unknown.contains(&id) {
                    unknown.push(id);
                }
            }
        }
        unknown
    }

    fn learn(&mut self, id: u32, schema: Result<&str, &str>) {
        let planned = match schema {
            Ok(text) => self.plan(text).map_err(|error| error.message().replace('\n', "; ")),
            Err(why) => Err(why.to_owned()),
        };
        self.writers.insert(id, planned);
    }
}
