//! Alerts: the schema, rows and ids of the alert table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::error::Result;
use crate::show;
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

impl Alert {
    /// Size of its longest text in bytes.
    pub fn bytes(&self) -> usize {
        self.message.len().max(self.values.len()).max(self.key.len()).max(self.id.len())
    }
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

/// Converts alerts to a record batch.
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

/// The id of an alert: equal findings have equal ids, also after a restart.
pub fn id(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        let _ = write!(text, "{}:{part};", part.len());
    }
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

/// Formats some columns of a row as a JSON object.
pub fn object(
    schema: &Schema,
    columns: &[ArrayRef],
    places: &[usize],
    row: usize,
) -> Result<String> {
    let mut object = BTreeMap::new();
    for &at in places {
        object.insert(schema.field(at).name(), show::json(columns[at].as_ref(), row));
    }
    let pair = |(name, value): (&String, String)| format!("{}:{value}", show::quoted(name));
    let pairs: Vec<String> = object.into_iter().map(pair).collect();
    Ok(format!("{{{}}}", pairs.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_run_together() {
        assert_ne!(id(&["ab", "c"]), id(&["a", "bc"]));
        assert_eq!(id(&["a"]).len(), 32);
    }
}
