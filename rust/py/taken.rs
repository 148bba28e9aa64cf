//! The rows that a broker's messages become, and where each is from.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, ListBuilder, StringBuilder, StructBuilder,
};
use arrow_array::{ArrayRef, BinaryArray, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::batches::PyBatches;
use super::payloads::one_column;
use super::records::{Headers, Records};
use crate::engine::Batches;
use crate::error::{Error, Result};
use crate::ingest::{BadMessage, Decoded};

/// Rows, and where each is from.
pub struct Joined {
    rows: Batches,
    partitions: Vec<i64>,
    offsets: Vec<i64>,
    topics: Vec<i64>,
    timestamps: ArrayRef,
    bad: Vec<BadMessage>,
}

impl Records {
    /// The rows with their own columns and those of their messages.
    pub fn joined(
        &self,
        schema: &SchemaRef,
        decoded: Decoded,
        columns: &[String],
    ) -> Result<Joined> {
        let rows = Rows(decoded.ordinals.as_deref());
        let timestamps = TimestampMicrosecondArray::from(rows.spread(&self.timestamps));
        let timestamps: ArrayRef = Arc::new(timestamps.with_timezone("UTC"));
        let partitions = rows.spread(&self.partitions);
        let offsets = rows.spread(&self.offsets);
        let topics = rows.spread(&self.topics);
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        let mut own: Vec<ArrayRef> = vec![];
        for name in columns {
            if schema.column_with_name(name).is_some() {
                let hint = "hint: rename the column in schema=";
                let text = format!("the schema has a column \"{name}\" of its own\n{hint}");
                return Err(Error::Schema(text));
            }
            let array: ArrayRef = match name.as_str() {
                "_key" => Arc::new(BinaryArray::from(rows.spread(&self.keys.views()))),
                "_partition" => Arc::new(Int64Array::from(partitions.clone())),
                "_offset" => Arc::new(Int64Array::from(offsets.clone())),
                "_timestamp" => timestamps.clone(),
                "_topic" => {
                    let names =
                        topics.iter().map(|&topic| self.topic_names[topic as usize].as_str());
                    Arc::new(StringArray::from_iter_values(names))
                }
                _ => headers_array(rows.spread(&self.headers.iter().collect::<Vec<_>>())),
            };
            fields.push(Arc::new(Field::new(name, array.data_type().clone(), true)));
            own.push(array);
        }
        let whole = Arc::new(Schema::new(fields));
        let (mut batches, mut before) = (vec![], 0);
        for batch in decoded.batches {
            let rows = batch.num_rows();
            let more = own.iter().map(|array| array.slice(before, rows));
            let all = batch.columns().iter().cloned().chain(more).collect();
            batches.push(crate::decode::batch(&whole, all, rows)?);
            before += rows;
        }
        let rows = Batches { schema: whole, batches };
        Ok(Joined { rows, partitions, offsets, topics, timestamps, bad: decoded.bad })
    }

    /// For each topic and partition the offset behind the last message.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let mut next: HashMap<(i64, i64), i64> = HashMap::new();
        let mut run: Option<((i64, i64), i64)> = None;
        for ((&topic, &partition), &offset) in
            self.topics.iter().zip(&self.partitions).zip(&self.offsets)
        {
            // messages of one partition come together
            match &mut run {
                Some((place, last)) if *place == (topic, partition) => *last = offset,
                _ => {
                    next.extend(run);
                    run = Some(((topic, partition), offset));
                }
            }
        }
        next.extend(run);
        let found = PyDict::new(py);
        for ((topic, partition), offset) in next {
            found.set_item((&self.topic_names[topic as usize], partition), offset + 1)?;
        }
        Ok(found)
    }
}

/// The number of each row's message; none if each message is one row.
struct Rows<'a>(Option<&'a [i64]>);

impl Rows<'_> {
    /// For each row what its message has.
    fn spread<T: Copy>(&self, values: &[T]) -> Vec<T> {
        match self.0 {
            None => values.to_vec(),
            Some(ordinals) => ordinals.iter().map(|&at| values[at as usize]).collect(),
        }
    }
}

fn headers_array(all: Vec<&Option<Headers>>) -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new("key", DataType::Utf8, true),
        Field::new("value", DataType::Binary, true),
    ]);
    let builders: Vec<Box<dyn ArrayBuilder>> =
        vec![Box::new(StringBuilder::new()), Box::new(BinaryBuilder::new())];
    let mut lists = ListBuilder::new(StructBuilder::new(fields, builders));
    for headers in all {
        for (key, value) in headers.iter().flatten() {
            let pair = lists.values();
            // both builders are of these types: they were made above
            if let Some(keys) = pair.field_builder::<StringBuilder>(0) {
                keys.append_value(key);
            }
            if let Some(values) = pair.field_builder::<BinaryBuilder>(1) {
                values.append_option(value.as_deref());
            }
            pair.append(true);
        }
        lists.append(headers.is_some());
    }
    Arc::new(lists.finish())
}

/// The rows of a list of messages, and what else was found in it.
#[pyclass(frozen, module = "muntin._core", name = "Taken")]
pub struct PyTaken {
    /// The rows.
    #[pyo3(get)]
    batch: Py<PyBatches>,
    /// For each row the partition of its message.
    #[pyo3(get)]
    partitions: Py<PyBatches>,
    /// For each row the offset of its message.
    #[pyo3(get)]
    offsets: Py<PyBatches>,
    /// For each row the timestamp of its message, null if it has none.
    #[pyo3(get)]
    timestamps: Py<PyBatches>,
    /// For each row the topic of its message, as a place in `topic_names`.
    #[pyo3(get)]
    topics: Py<PyBatches>,
    /// The topics.
    #[pyo3(get)]
    topic_names: Vec<String>,
    /// For each topic and partition the offset behind its last message.
    #[pyo3(get)]
    next: Py<PyDict>,
    /// The messages that cannot be decoded: topic, partition, offset, payload, the byte at which it
    /// goes wrong, what is wrong.
    #[pyo3(get)]
    bad: Py<PyList>,
    /// How many payloads are null.
    #[pyo3(get)]
    tombstones: usize,
}

impl PyTaken {
    /// Wraps what was read and decoded.
    pub fn new(py: Python<'_>, records: Records, joined: Joined) -> PyResult<PyTaken> {
        let numbers = |name: &str, values: Vec<i64>| {
            Py::new(py, one_column(name, Arc::new(Int64Array::from(values)))?)
        };
        let bad = PyList::empty(py);
        for BadMessage { ordinal, at, detail } in joined.bad {
            let payload = records.payloads.get(ordinal).unwrap_or_default();
            let topic = &records.topic_names[records.topics[ordinal] as usize];
            let place = (records.partitions[ordinal], records.offsets[ordinal]);
            let payload = PyBytes::new(py, payload);
            bad.append((topic, place.0, place.1, payload, at, detail))?;
        }
        Ok(PyTaken {
            batch: Py::new(py, PyBatches(joined.rows))?,
            partitions: numbers("partition", joined.partitions)?,
            offsets: numbers("offset", joined.offsets)?,
            topics: numbers("topic", joined.topics)?,
            timestamps: Py::new(py, one_column("timestamp", joined.timestamps)?)?,
            next: records.next(py)?.unbind(),
            bad: bad.unbind(),
            tombstones: records.payloads.null_count(),
            topic_names: records.topic_names,
        })
    }
}
