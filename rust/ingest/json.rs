//! JSON: each message is an object, and its fields are the columns of a row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::Deserialize;

use super::Format;
use super::fault::Parse;
use super::json_row::object_row;
use super::objects::{ObjectFields, json_column};
use super::options::options;
use super::rows::{RowByRow, RowFormat};
use crate::error::{Error, Result, unknown_column};
use crate::schema::{named, parse_unit};

/// The column of what no other column takes.
const REST: &str = "_rest";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct JsonOptions {
    /// Keeps unknown fields as JSON in a column of text.
    rest: bool,
    /// Numbers are times: counts of this unit since 1970.
    epoch: Option<EpochUnits>,
}

/// The unit for all columns of times, or for some.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum EpochUnits {
    All(String),
    Some(HashMap<String, String>),
}

impl EpochUnits {
    /// The unit for each column that has one.
    fn units(&self, schema: &Schema) -> Result<HashMap<String, TimeUnit>> {
        let names = || schema.fields().iter().map(|field| field.name());
        let pairs: Vec<(&String, &String)> = match self {
            EpochUnits::All(unit) => names().map(|name| (name, unit)).collect(),
            EpochUnits::Some(units) => units.iter().collect(),
        };
        let unit = |(name, unit): (&String, &String)| {
            if !names().any(|known| known == name) {
                let known: Vec<&str> = names().map(String::as_str).collect();
                return Err(unknown_column(name, &known).within("decode json: epoch"));
            }
            let parsed = parse_unit(unit).ok_or_else(|| {
                Error::Plan(format!(
                    "decode json: epoch=\"{unit}\" is not a unit\nhint: there is s, ms, us, ns"
                ))
            })?;
            Ok((name.clone(), parsed))
        };
        pairs.into_iter().map(unit).collect()
    }
}

/// Messages of JSON.
pub fn json_format(schema: &SchemaRef, json: &str) -> Result<Box<dyn Format>> {
    let (common, own) = options::<JsonOptions>("json", json)?;
    let units = own.epoch.map(|epoch| epoch.units(schema)).transpose()?.unwrap_or_default();
    let epoch = |name: &str| units.get(name).copied();
    for field in schema.fields() {
        if json_column(field.data_type(), None).is_none() {
            let (name, word) = (field.name(), named(field.data_type()));
            return Err(Error::Schema(format!(
                "decode json: column \"{name}\" is {word}, which JSON has no values for"
            )));
        }
    }
    let mut fields = ObjectFields::new(schema.fields(), epoch).ok_or_else(|| {
        Error::Schema("decode json: the schema has two columns of one name".to_string())
    })?;
    let mut schema = schema.clone();
    if own.rest {
        if schema.column_with_name(REST).is_some() {
            return Err(Error::Schema(format!(
                "decode json: there is a column \"{REST}\" already\nhint: leave out rest=True"
            )));
        }
        fields.keep_rest();
        let field = Arc::new(Field::new(REST, DataType::Utf8, true));
        let all = schema.fields().iter().cloned().chain([field]);
        schema = Arc::new(Schema::new(all.collect::<Vec<_>>()));
    }
    Ok(Box::new(RowByRow { schema, common, format: JsonMessages(fields) }))
}

#[derive(Debug)]
struct JsonMessages(ObjectFields);

impl RowFormat for JsonMessages {
    fn read(&mut self, payload: &[u8]) -> Parse<()> {
        object_row(&mut self.0, payload)
    }

    fn push_null(&mut self) {
        self.0.push_null();
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.0.finish().1
    }
}
