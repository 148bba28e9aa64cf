//! Alerts: rows of the alert table, their ids, their texts.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::error::Result;
use crate::time::Micros;

/// One alert.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // the columns of the alert table
pub struct Alert {
    pub seq: u64,
    pub id: String,
    pub time: Micros,
    pub rule: String,
    pub version: i64,
    pub severity: String,
    pub message: String,
    pub score: i64,
    pub shadow: bool,
    pub output: String,
    pub key: String,
    pub window: Option<(Micros, Micros)>,
    pub values: String,
    pub place: Option<(i64, i64)>,
}

/// The columns of the alert table.
pub fn schema() -> SchemaRef {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let field = |name, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("id", DataType::Utf8),
        field("time", time()),
        field("rule", DataType::Utf8),
        field("version", DataType::Int64),
        field("severity", DataType::Utf8),
        field("message", DataType::Utf8),
        field("score", DataType::Int64),
        field("shadow", DataType::Boolean),
        field("output", DataType::Utf8),
        field("key", DataType::Utf8),
        field("window_start", time()),
        field("window_end", time()),
        field("values", DataType::Utf8),
        field("partition", DataType::Int64),
        field("position", DataType::Int64),
    ]))
}

/// Alerts as a record batch.
pub fn table(alerts: &[Alert]) -> Result<RecordBatch> {
    let text = |of: fn(&Alert) -> &str| -> ArrayRef {
        let mut column = StringBuilder::new();
        alerts.iter().for_each(|alert| column.append_value(of(alert)));
        Arc::new(column.finish())
    };
    let number = |of: fn(&Alert) -> Option<i64>| -> ArrayRef {
        let mut column = Int64Builder::new();
        alerts.iter().for_each(|alert| column.append_option(of(alert)));
        Arc::new(column.finish())
    };
    let time = |of: fn(&Alert) -> Option<Micros>| -> ArrayRef {
        let mut column = TimestampMicrosecondBuilder::new();
        alerts.iter().for_each(|alert| column.append_option(of(alert)));
        Arc::new(column.finish().with_timezone("UTC"))
    };
    let mut shadow = BooleanBuilder::new();
    alerts.iter().for_each(|alert| shadow.append_value(alert.shadow));
    let columns = vec![
        text(|alert| &alert.id),
        time(|alert| Some(alert.time)),
        text(|alert| &alert.rule),
        number(|alert| Some(alert.version)),
        text(|alert| &alert.severity),
        text(|alert| &alert.message),
        number(|alert| Some(alert.score)),
        Arc::new(shadow.finish()) as ArrayRef,
        text(|alert| &alert.output),
        text(|alert| &alert.key),
        time(|alert| alert.window.map(|window| window.0)),
        time(|alert| alert.window.map(|window| window.1)),
        text(|alert| &alert.values),
        number(|alert| alert.place.map(|place| place.0)),
        number(|alert| alert.place.map(|place| place.1)),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

/// The id of an alert: the same for the same finding whenever it is made again.
pub fn id(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        let _ = write!(text, "{}:{part};", part.len());
    }
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

/// Some columns of a row as a JSON object.
pub fn object(
    schema: &Schema,
    columns: &[ArrayRef],
    places: &[usize],
    row: usize,
) -> Result<String> {
    let mut object = serde_json::Map::new();
    for &at in places {
        object.insert(schema.field(at).name().clone(), json(&columns[at], row)?);
    }
    Ok(serde_json::Value::Object(object).to_string())
}

fn json(column: &ArrayRef, row: usize) -> Result<serde_json::Value> {
    if column.is_null(row) {
        return Ok(serde_json::Value::Null);
    }
    Ok(match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).into(),
        data_type if data_type.is_integer() => {
            serde_json::from_str(&display(column, row)?).unwrap_or_default()
        }
        data_type if data_type.is_floating() => match float(column, row) {
            finite if finite.is_finite() => finite.into(),
            other => plain_float(other).into(),
        },
        _ => display(column, row)?.into(),
    })
}

/// The value as text; times in UTC, since there is no zone data to show them in another.
fn display(column: &ArrayRef, row: usize) -> Result<String> {
    let column = &match column.data_type() {
        DataType::Timestamp(_, Some(_)) => {
            crate::schema::rezoned(&column.slice(row, 1), Some("+00:00".into()))
        }
        _ => column.slice(row, 1),
    };
    let row = 0;
    Ok(ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default())?.value(row).to_string())
}

fn float(column: &ArrayRef, row: usize) -> f64 {
    match column.data_type() {
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).into(),
        _ => column.as_primitive::<Float64Type>().value(row),
    }
}

fn plain_float(value: f64) -> String {
    if value.is_nan() { "nan".into() } else { format!("{value:?}") }
}

/// Fills the places of a rule's message: `{card}`, `{spent:.2f}`, `{n:,}`, `{share:.1%}`, `{{`.
pub fn message(text: &str, schema: &Schema, columns: &[ArrayRef], row: usize) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        if rest[at + 1..].starts_with(brace) {
            out.push_str(brace);
            rest = &rest[at + 2..];
            continue;
        }
        let Some(close) = rest[at..].find('}').filter(|_| brace == "{") else {
            out.push_str(brace);
            rest = &rest[at + 1..];
            continue;
        };
        let inside = &rest[at + 1..at + close];
        let (name, format) = inside.split_once(':').unwrap_or((inside, ""));
        out.push_str(&place(&columns[schema.index_of(name)?], row, format)?);
        rest = &rest[at + close + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn place(column: &ArrayRef, row: usize, format: &str) -> Result<String> {
    if column.is_null(row) {
        return Ok("null".into());
    }
    let is_float = column.data_type().is_floating();
    let plain = if is_float { plain_float(float(column, row)) } else { display(column, row)? };
    let (grouped, format) = match format.strip_prefix(',') {
        Some(rest) => (true, rest),
        None => (false, format),
    };
    let digits = format.strip_prefix('.').and_then(|f| f.trim_end_matches(['f', '%']).parse().ok());
    let number: Option<f64> = plain.parse().ok();
    let shown = match (format.chars().last(), number) {
        (Some('f'), Some(number)) => format!("{number:.*}", digits.unwrap_or(6)),
        (Some('%'), Some(number)) => format!("{:.*}%", digits.unwrap_or(6), number * 100.0),
        _ => plain,
    };
    Ok(if grouped { group(&shown) } else { shown })
}

/// Commas between thousands.
fn group(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let mut out = String::from(sign);
    for (i, digit) in digits[..end].chars().enumerate() {
        if i > 0 && (end - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + &digits[end..]
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float64Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn messages_are_filled() {
        let schema = Schema::new(vec![
            Field::new("card", DataType::Utf8, true),
            Field::new("spent", DataType::Float64, true),
            Field::new("n", DataType::Int64, true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some("c1"), None])),
            Arc::new(Float64Array::from(vec![1234567.891, 0.5])),
            Arc::new(Int64Array::from(vec![-1234567, 3])),
        ];
        let say = |text, row| message(text, &schema, &columns, row).unwrap();
        assert_eq!(say("{card}: {n} {{x}}", 0), "c1: -1234567 {x}");
        assert_eq!(say("{spent:,.2f} {n:,} {spent:.0f}", 0), "1,234,567.89 -1,234,567 1234568");
        assert_eq!(say("{card} {spent} {spent:.1%} {n:.1f}", 1), "null 0.5 50.0% 3.0");
        let all = object(&schema, &columns, &[0, 1, 2], 1).unwrap();
        assert_eq!(all, r#"{"card":null,"n":3,"spent":0.5}"#);
    }

    #[test]
    fn ids_do_not_run_together() {
        assert_ne!(id(&["ab", "c"]), id(&["a", "bc"]));
        assert_eq!(id(&["a"]).len(), 32);
    }
}
