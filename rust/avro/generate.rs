//! The schema in which columns of Arrow are written.

use arrow_schema::{DataType, Field, Fields, TimeUnit};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::schema::named;

/// The JSON of a schema for columns, as a record of this name.
///
/// Each field may be null, with null as its default, so that columns can be added and left out
/// later and old and new readers understand each other.
pub fn schema_of(fields: &Fields, name: &str) -> Result<String> {
    for part in name.split('.') {
        word(part)?;
    }
    Ok(record(fields, name)?.to_string())
}

fn record(fields: &Fields, name: &str) -> Result<Value> {
    // the names of records in it are those of the record and the field
    let own = name.rsplit_once('.').map_or(name, |(_, own)| own);
    let field = |field: &arrow_schema::FieldRef| {
        let place = format!("column \"{}\"", field.name());
        let kind = word(field.name())
            .and_then(|()| kind(field, &format!("{own}_{}", field.name())))
            .map_err(|error| error.within(&place))?;
        let kind = if kind == "null" { kind } else { json!(["null", kind]) };
        Ok(json!({"name": field.name(), "type": kind, "default": null}))
    };
    let fields = fields.iter().map(field).collect::<Result<Vec<Value>>>()?;
    let mut made = json!({"type": "record", "name": own, "fields": fields});
    if let Some((space, _)) = name.rsplit_once('.') {
        made["namespace"] = space.into();
    }
    Ok(made)
}

/// Checks that Avro takes a name.
fn word(name: &str) -> Result<()> {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    let hint = "hint: rename it, e.g. with select";
    Err(Error::Schema(format!(
        "\"{name}\" is not a name in Avro, which has letters of ASCII, digits and _\n{hint}"
    )))
}

fn kind(field: &Field, name: &str) -> Result<Value> {
    let logical = |kind: &str, logical: &str| json!({"type": kind, "logicalType": logical});
    let decimal = |precision: u8, scale: i8| {
        let (precision, scale) = (i32::from(precision), i32::from(scale));
        // tens and hundreds are written with their zeros
        let precision = precision + (-scale).max(0);
        json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale.max(0)})
    };
    let list = |item: &Field| {
        let item = kind(item, name)?;
        let item = if item == "null" { item } else { json!(["null", item]) };
        Ok::<_, Error>(json!({"type": "array", "items": item}))
    };
    Ok(match field.data_type() {
        DataType::Null => "null".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => "int".into(),
        DataType::UInt8 | DataType::UInt16 => "int".into(),
        DataType::UInt32 | DataType::Int64 => "long".into(),
        DataType::UInt64 => decimal(20, 0),
        DataType::Float16 | DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".into(),
        DataType::FixedSizeBinary(16) if field.extension_type_name() == Some("arrow.uuid") => {
            logical("string", "uuid")
        }
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "bytes".into(),
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => decimal(*p, *s),
        DataType::Date32 | DataType::Date64 => logical("int", "date"),
        DataType::Time32(_) => logical("int", "time-millis"),
        DataType::Time64(TimeUnit::Microsecond) => logical("long", "time-micros"),
        DataType::Timestamp(unit, zone) => {
            let unit = match unit {
                TimeUnit::Second | TimeUnit::Millisecond => "millis",
                TimeUnit::Microsecond => "micros",
                TimeUnit::Nanosecond => "nanos",
            };
            let local = if zone.is_none() { "local-" } else { "" };
            logical("long", &format!("{local}timestamp-{unit}"))
        }
        // Avro has no type for it: a count of the column's unit
        DataType::Duration(unit) => json!({"type": "long", "unit": unit_word(*unit)}),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => list(item)?,
        DataType::Struct(fields) => record(fields, name)?,
        DataType::Dictionary(_, values) => kind(&Field::new("", *values.clone(), true), name)?,
        DataType::RunEndEncoded(_, values) => kind(values, name)?,
        other => {
            let got = named(other);
            return Err(Error::Schema(format!("{got} has no type in Avro\nhint: cast it to str")));
        }
    })
}

fn unit_word(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}
