//! Encode: turns rows into bytes for a sink, each row for itself.
//!
//! A format is a file here and a line in [`FORMATS`].

mod arrow;
mod avro;
mod csv;
mod json;
mod key;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::show::repeated_name;

/// The bytes of rows, one after the other.
#[derive(Debug, Default)]
pub struct RowBytes {
    bytes: Vec<u8>,
    /// For each row, where its bytes end; none for a row without a value.
    ends: Vec<Option<usize>>,
    /// What stands behind each row.
    behind: &'static [u8],
}

impl RowBytes {
    /// No rows yet; each of them will be a line.
    pub fn lines() -> RowBytes {
        RowBytes { behind: b"\n", ..RowBytes::default() }
    }

    /// Adds a row.
    fn row(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.bytes.extend_from_slice(self.behind);
        self.ends.push(Some(self.bytes.len()));
    }

    /// Adds a row without a value.
    fn nothing(&mut self) {
        self.ends.push(None);
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of each row.
    pub fn rows(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = (*end)?;
            let bytes = &self.bytes[start..end];
            start = end;
            Some(bytes)
        })
    }
}

/// Encodes batches of one schema.
pub trait Encoder: Send {
    /// Appends the rows of a batch.
    fn encode(&self, batch: &RecordBatch, out: &mut RowBytes) -> Result<()>;
}

type Make = fn(&SchemaRef, &str) -> Result<Box<dyn Encoder>>;

/// The formats: name, and how an encoder is made of a schema and the options as JSON.
pub const FORMATS: &[(&str, Make)] = &[
    ("json", json::make),
    ("avro", avro::make),
    ("arrow", arrow::make),
    ("csv", csv::make),
    ("key", key::make),
];

/// The encoder of a format.
pub fn encoder(format: &str, schema: &SchemaRef, options: &str) -> Result<Box<dyn Encoder>> {
    let Some((_, make)) = FORMATS.iter().find(|(name, _)| *name == format) else {
        let names: Vec<&str> = FORMATS.iter().map(|(name, _)| *name).collect();
        return Err(Error::Plan(format!(
            "\"{format}\" is not a format of rows\nhint: the formats are {}",
            names.join(", ")
        )));
    };
    make(schema, options)
}

/// Reads options.
fn options<T: DeserializeOwned>(format: &str, options: &str) -> Result<T> {
    serde_json::from_str(options)
        .map_err(|error| Error::Plan(format!("options of the format \"{format}\": {error}")))
}

/// The options of a format that has none.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

/// Checks that no two columns have one name.
fn different_names(schema: &SchemaRef) -> Result<()> {
    match repeated_name(schema.fields()) {
        Some(name) => Err(Error::Schema(format!("two columns have the name \"{name}\""))),
        None => Ok(()),
    }
}
