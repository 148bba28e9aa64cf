//! The formats by name.

use arrow_schema::SchemaRef;

use super::Format;
use super::arrow::arrow_format;
use super::avro::avro_format;
use super::csv::csv_format;
use super::json::json_format;
use super::raw::raw_format;
use crate::error::{Error, Result};

/// Makes a decoder of one format, given the columns, in internal types, and the options as JSON.
type NewFormat = fn(&SchemaRef, &str) -> Result<Box<dyn Format>>;

/// The formats; a new one is its file and a line here.
const FORMATS: &[(&str, NewFormat)] = &[
    ("json", json_format),
    ("csv", csv_format),
    ("avro", avro_format),
    ("raw", raw_format),
    ("arrow", arrow_format),
];

/// A decoder of a format.
pub fn decoder(format: &str, schema: &SchemaRef, options: &str) -> Result<Box<dyn Format>> {
    let found = FORMATS.iter().find(|(name, _)| *name == format);
    let (_, new) = found.ok_or_else(|| {
        let names: Vec<&str> = FORMATS.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        Error::Plan(format!("decode: unknown format \"{format}\"\nhint: there is {names}"))
    })?;
    new(schema, options)
}
