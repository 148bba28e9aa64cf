//! Reads the JSON of a schema.

use std::collections::HashMap;

use arrow_schema::TimeUnit;
use serde_json::{Map, Value};

use super::{AvroField, AvroKind, AvroRecord, AvroSchema};
use crate::error::{Error, Result};

/// Reads a schema, which must be a record.
pub fn parse(text: &str) -> Result<AvroSchema> {
    let value: Value = serde_json::from_str(text).map_err(|error| invalid(&error.to_string()))?;
    let mut parser = Parser::default();
    match parser.kind(&value, "")? {
        AvroKind::Record(root) => Ok(AvroSchema { records: parser.records, root }),
        _ => Err(invalid("it is not a record, whose fields would be the columns")),
    }
}

fn invalid(why: &str) -> Error {
    Error::Schema(format!("the Avro schema is not valid: {why}"))
}

#[derive(Default)]
struct Parser {
    records: Vec<AvroRecord>,
    /// Records, enums and fixed types by their full names.
    named: HashMap<String, AvroKind>,
}

impl Parser {
    fn kind(&mut self, value: &Value, space: &str) -> Result<AvroKind> {
        match value {
            Value::String(word) => self.word(word, space),
            Value::Array(branches) => {
                let kinds = branches.iter().map(|branch| self.kind(branch, space));
                Ok(AvroKind::Union(kinds.collect::<Result<_>>()?))
            }
            Value::Object(object) => match object.get("type") {
                Some(Value::String(word)) => self.object(word, object, space),
                Some(inner) => self.kind(inner, space),
                None => Err(invalid("a type has no \"type\"")),
            },
            other => Err(invalid(&format!("{other} is not a type"))),
        }
    }

    fn word(&self, word: &str, space: &str) -> Result<AvroKind> {
        Ok(match word {
            "null" => AvroKind::Null,
            "boolean" => AvroKind::Boolean,
            "int" => AvroKind::Int,
            "long" => AvroKind::Long,
            "float" => AvroKind::Float,
            "double" => AvroKind::Double,
            "bytes" => AvroKind::Bytes,
            "string" => AvroKind::Text,
            name => {
                let found = self.named.get(&full(name, space)).or_else(|| self.named.get(name));
                found.cloned().ok_or_else(|| invalid(&format!("there is no type \"{name}\"")))?
            }
        })
    }

    fn object(&mut self, word: &str, object: &Map<String, Value>, space: &str) -> Result<AvroKind> {
        let part = |name: &str| {
            object.get(name).ok_or_else(|| invalid(&format!("a type {word} has no \"{name}\"")))
        };
        match word {
            "array" => Ok(AvroKind::Array(Box::new(self.kind(part("items")?, space)?))),
            "map" => Ok(AvroKind::Map(Box::new(self.kind(part("values")?, space)?))),
            "record" | "error" => {
                let (name, space) = self.name(object, space)?;
                let place = self.records.len();
                self.records.push(AvroRecord { name: name.clone(), fields: vec![] });
                self.add(name, AvroKind::Record(place))?;
                let fields = part("fields")?.as_array();
                let fields = fields.ok_or_else(|| invalid("\"fields\" is not a list"))?;
                for field in fields {
                    let field = self.field(field, &space)?;
                    let known = &mut self.records[place].fields;
                    if known.iter().any(|other| other.name == field.name) {
                        return Err(invalid(&format!("two fields are named \"{}\"", field.name)));
                    }
                    known.push(field);
                }
                Ok(AvroKind::Record(place))
            }
            "enum" => {
                let symbols = texts(part("symbols")?);
                let symbols = symbols.ok_or_else(|| invalid("\"symbols\" are not texts"))?;
                let (name, _) = self.name(object, space)?;
                self.add(name, AvroKind::Enum(symbols.into()))
            }
            "fixed" => {
                let size = part("size")?.as_u64().and_then(|size| u32::try_from(size).ok());
                let size = size.ok_or_else(|| invalid("the \"size\" is not a number"))?;
                let (name, _) = self.name(object, space)?;
                let kind = logical(AvroKind::Fixed(size as usize), object)?;
                self.add(name, kind)
            }
            word => logical(self.word(word, space)?, object),
        }
    }

    fn field(&mut self, value: &Value, space: &str) -> Result<AvroField> {
        let name = value.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| invalid("a field has no name"))?;
        let kind = value.get("type");
        let kind = kind.ok_or_else(|| invalid(&format!("the field \"{name}\" has no type")))?;
        Ok(AvroField {
            name: name.to_owned(),
            aliases: value.get("aliases").and_then(texts).unwrap_or_default(),
            kind: self.kind(kind, space)?,
            default: value.get("default").cloned(),
        })
    }

    /// The full name of a type, and the namespace of the names in it.
    fn name(&self, object: &Map<String, Value>, space: &str) -> Result<(String, String)> {
        let name = object.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| invalid("a record, enum or fixed type has no name"))?;
        let own = object.get("namespace").and_then(Value::as_str).unwrap_or(space);
        let name = full(name, own);
        let space = name.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
        Ok((name, space))
    }

    fn add(&mut self, name: String, kind: AvroKind) -> Result<AvroKind> {
        match self.named.insert(name.clone(), kind.clone()) {
            Some(_) => Err(invalid(&format!("two types are named \"{name}\""))),
            None => Ok(kind),
        }
    }
}

fn full(name: &str, space: &str) -> String {
    match name.contains('.') || space.is_empty() {
        true => name.to_owned(),
        false => format!("{space}.{name}"),
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

/// A type with its logical type; one that is not known, or does not fit, changes nothing.
fn logical(kind: AvroKind, object: &Map<String, Value>) -> Result<AvroKind> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond};
    let Some(word) = object.get("logicalType").and_then(Value::as_str) else { return Ok(kind) };
    Ok(match (word, kind) {
        ("date", AvroKind::Int) => AvroKind::Date,
        ("time-millis", AvroKind::Int) => AvroKind::TimeMillis,
        ("time-micros", AvroKind::Long) => AvroKind::TimeMicros,
        ("timestamp-millis", AvroKind::Long) => AvroKind::Moment(Millisecond, true),
        ("timestamp-micros", AvroKind::Long) => AvroKind::Moment(Microsecond, true),
        ("timestamp-nanos", AvroKind::Long) => AvroKind::Moment(Nanosecond, true),
        ("local-timestamp-millis", AvroKind::Long) => AvroKind::Moment(Millisecond, false),
        ("local-timestamp-micros", AvroKind::Long) => AvroKind::Moment(Microsecond, false),
        ("local-timestamp-nanos", AvroKind::Long) => AvroKind::Moment(Nanosecond, false),
        ("decimal", AvroKind::Bytes) => AvroKind::Decimal(None, scale(object)?),
        ("decimal", AvroKind::Fixed(size)) => AvroKind::Decimal(Some(size), scale(object)?),
        ("uuid", AvroKind::Fixed(16)) => AvroKind::Uuid,
        ("duration", AvroKind::Fixed(12)) => AvroKind::Duration,
        (_, kind) => kind,
    })
}

fn scale(object: &Map<String, Value>) -> Result<i8> {
    let scale = object.get("scale").map_or(Some(0), Value::as_u64);
    let scale = scale.and_then(|scale| i8::try_from(scale).ok());
    scale.ok_or_else(|| invalid("the \"scale\" of a decimal is not a number up to 127"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: &str) -> Result<AvroKind> {
        let text =
            format!(r#"{{"type":"record","name":"a.R","fields":[{{"name":"x","type":{kind}}}]}}"#);
        parse(&text).map(|schema| schema.records[0].fields[0].kind.clone())
    }

    #[test]
    fn names_are_found_in_their_namespace() {
        let own = r#"["null",{"type":"enum","name":"E","symbols":["A"]},"R","a.R","a.E"]"#;
        let AvroKind::Union(kinds) = field(own).unwrap() else { panic!() };
        assert_eq!(kinds[1], kinds[4]);
        assert_eq!((&kinds[2], &kinds[3]), (&AvroKind::Record(0), &AvroKind::Record(0)));
        assert!(field(r#""b.R""#).is_err());
    }

    #[test]
    fn logical_types_need_their_own_type() {
        assert_eq!(field(r#"{"type":"int","logicalType":"date"}"#).unwrap(), AvroKind::Date);
        assert_eq!(field(r#"{"type":"long","logicalType":"date"}"#).unwrap(), AvroKind::Long);
        assert_eq!(field(r#"{"type":{"type":"long"},"logicalType":"x"}"#).unwrap(), AvroKind::Long);
        let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#;
        assert_eq!(field(decimal).unwrap(), AvroKind::Decimal(None, 2));
    }

    #[test]
    fn what_is_not_a_schema_says_why() {
        for (text, why) in [
            ("{", "EOF"),
            ("\"int\"", "not a record"),
            ("{}", "no \"type\""),
            (r#"{"type":"record","name":"R"}"#, "no \"fields\""),
            (r#"{"type":"record","fields":[]}"#, "no name"),
        ] {
            assert!(parse(text).unwrap_err().message().contains(why), "{text}");
        }
    }
}
