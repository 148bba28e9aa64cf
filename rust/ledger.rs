//! Ledger: the late and invalid tables, with one line per row and operator that rejected it.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{
    ArrayRef, DurationMicrosecondArray, Int64Array, RecordBatch, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::block::take_columns;
use crate::decode::{UNCOUNTED, batch};
use crate::error::Result;
use crate::fate::Record;
use crate::time::Micros;

/// The facts about one input that its tables need.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// The input's name.
    input: String,
    /// Its columns.
    columns: SchemaRef,
    /// The time zone of its event time.
    zone: Option<Arc<str>>,
    /// The columns of its tables.
    schema: SchemaRef,
}

impl Ledger {
    /// The tables of an input with these columns.
    pub fn new(input: String, columns: SchemaRef, zone: Option<Arc<str>>) -> Ledger {
        let schema = schema_of(&columns, &zone);
        Ledger { input, columns, zone, schema }
    }

    /// The columns of the tables: the facts about a row, then the row's own columns (renamed with a
    /// trailing `_` if taken).
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Builds a table from records; `source` holds the input's rows of this step.
    pub fn table(
        &self,
        records: &[&Record],
        source: Option<&[ArrayRef]>,
        operators: &[String],
    ) -> Result<RecordBatch> {
        let mut reason = StringBuilder::new();
        let mut operator = StringBuilder::new();
        let mut input = StringBuilder::new();
        for record in records {
            reason.append_value(record.reason.word());
            operator
                .append_value(operators.get(record.node as usize).map_or("decode", |name| name));
            input.append_value(&self.input);
        }
        let place = |of: fn(&Record) -> i64| -> ArrayRef {
            let known = |record: &&&Record| !record.origin.is_fired();
            let all = records.iter().map(|r| Some(r).filter(known).map(|record| of(record)));
            Arc::new(all.map(|of| of.filter(|&of| of != UNCOUNTED)).collect::<Int64Array>())
        };
        let bound = |of: fn((Micros, Micros)) -> Micros| -> ArrayRef {
            let all = records.iter().map(|record| record.window.map(of));
            let all: TimestampMicrosecondArray = all.collect();
            Arc::new(all.with_timezone_opt(self.zone.clone()))
        };
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(reason.finish()),
            Arc::new(operator.finish()),
            Arc::new(input.finish()),
            place(|record| record.origin.partition),
            place(|record| record.origin.position),
            bound(|window| window.0),
            bound(|window| window.1),
            Arc::new(records.iter().map(|record| Some(record.windows)).collect::<Int64Array>()),
            Arc::new(records.iter().map(|r| r.late_by).collect::<DurationMicrosecondArray>()),
        ];
        let rows: UInt32Array = records
            .iter()
            .map(|record| Some(record.origin.row).filter(|&row| row != u32::MAX))
            .collect();
        match source {
            Some(source) => columns.extend(take_columns(source, &rows)?),
            None => columns.extend(
                self.columns
                    .fields()
                    .iter()
                    .map(|field| arrow_array::new_null_array(field.data_type(), records.len())),
            ),
        }
        batch(&self.schema(), columns, records.len())
    }
}

fn schema_of(columns: &Schema, zone: &Option<Arc<str>>) -> SchemaRef {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let mut fields = vec![
        field("reason", DataType::Utf8),
        field("operator", DataType::Utf8),
        field("input", DataType::Utf8),
        field("partition", DataType::Int64),
        field("position", DataType::Int64),
        field("window_start", time()),
        field("window_end", time()),
        field("windows", DataType::Int64),
        field("late_by", DataType::Duration(TimeUnit::Microsecond)),
    ];
    for own in columns.fields() {
        let mut name = own.name().clone();
        while fields.iter().any(|taken| *taken.name() == name) {
            name.push('_');
        }
        fields.push(field(&name, own.data_type().clone()));
    }
    Arc::new(Schema::new(fields))
}
