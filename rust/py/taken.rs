//! A broker's messages: what is read of each, and the rows that they become.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, ListBuilder, StringBuilder, StructBuilder,
};
use arrow_array::{ArrayRef, BinaryArray, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple, PyType};

use super::batches::PyBatches;
use super::payloads::{one_column, payload};
use crate::engine::Batches;
use crate::error::{Error, Result};
use crate::ingest::{BadMessage, Decoded};

/// The columns that a message itself has.
const COLUMNS: [&str; 6] = ["_key", "_partition", "_offset", "_timestamp", "_headers", "_topic"];

/// The headers of a message.
type Headers = Vec<(String, Option<Vec<u8>>)>;

/// What was read of messages, each a place in these lists; those with an error are left out.
#[derive(Default)]
pub struct Records {
    /// Their payloads.
    pub payloads: Vec<Option<PyBackedBytes>>,
    /// For each its number in the list; empty if none was left out.
    numbers: Vec<usize>,
    /// The numbers of those with an error.
    errors: Vec<usize>,
    topic_names: Vec<String>,
    topics: Vec<i64>,
    partitions: Vec<i64>,
    offsets: Vec<i64>,
    /// Microseconds since 1970.
    timestamps: Vec<Option<i64>>,
    keys: Vec<Option<PyBackedBytes>>,
    headers: Vec<Option<Headers>>,
}

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
    /// Reads all that is needed of the messages.
    pub fn read(messages: &Bound<'_, PyList>, columns: &[String]) -> PyResult<Records> {
        if let Some(name) = columns.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
            let known = COLUMNS.join(", ");
            let text = format!("messages have no column \"{name}\"\nhint: there is {known}");
            return Err(Error::Column(text).into());
        }
        let asked = |name: &str| columns.iter().any(|own| own == name);
        let mut records = Records::default();
        let py = messages.py();
        let mut messages = Messages::new(messages);
        records.leave_out(&messages.call(intern!(py, "error"))?);
        if !records.errors.is_empty() {
            messages.list = records.kept(&messages.list)?;
        }
        records.payloads = records.bytes(&messages.call(intern!(py, "value"))?, "message")?;
        records.partitions = numbers(&messages.call(intern!(py, "partition"))?)?;
        records.offsets = numbers(&messages.call(intern!(py, "offset"))?)?;
        records.topics.reserve(messages.list.len());
        for topic in messages.call(intern!(py, "topic"))?.iter() {
            let topic = records.topic(&topic)?;
            records.topics.push(topic);
        }
        let timestamps = messages.call(intern!(py, "timestamp"))?;
        records.timestamps =
            timestamps.iter().map(|pair| micros(&pair)).collect::<PyResult<_>>()?;
        if asked("_key") {
            records.keys =
                records.bytes(&messages.call(intern!(py, "key"))?, "the key of message")?;
        }
        if asked("_headers") {
            for headers in messages.call(intern!(py, "headers"))?.iter() {
                let own: Option<Vec<(String, Option<PyBackedBytes>)>> = headers.extract()?;
                let copied = |(name, value): (String, Option<PyBackedBytes>)| {
                    (name, value.map(|bytes| bytes.to_vec()))
                };
                records.headers.push(own.map(|own| own.into_iter().map(copied).collect()));
            }
        }
        Ok(records)
    }

    /// Notes which messages have an error.
    fn leave_out(&mut self, errors: &Bound<'_, PyList>) {
        for (number, error) in errors.iter().enumerate() {
            if !error.is_none() {
                self.errors.push(number);
            }
        }
        if !self.errors.is_empty() {
            let all = 0..errors.len();
            self.numbers =
                all.filter(|number| self.errors.binary_search(number).is_err()).collect();
        }
    }

    /// The messages without an error.
    fn kept<'py>(&self, messages: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyList>> {
        let kept: PyResult<Vec<_>> = self.numbers.iter().map(|&at| messages.get_item(at)).collect();
        PyList::new(messages.py(), kept?)
    }

    fn bytes(
        &self,
        values: &Bound<'_, PyList>,
        what: &str,
    ) -> PyResult<Vec<Option<PyBackedBytes>>> {
        let each = |(place, value)| payload(value, || format!("{what} {}", self.number(place)));
        values.iter().enumerate().map(each).collect()
    }

    /// The number of a topic; most messages have that of the one before.
    fn topic(&mut self, name: &Bound<'_, PyAny>) -> PyResult<i64> {
        let name = name.cast::<PyString>()?.to_str()?;
        let last = self.topics.last().map(|&topic| topic as usize);
        let known = last.into_iter().chain(0..self.topic_names.len());
        let found = known.into_iter().find(|&at| self.topic_names[at] == name);
        Ok(found.unwrap_or_else(|| {
            self.topic_names.push(name.to_owned());
            self.topic_names.len() - 1
        }) as i64)
    }

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
                "_key" => {
                    let keys: Vec<_> = self.keys.iter().map(Option::as_deref).collect();
                    Arc::new(BinaryArray::from(rows.spread(&keys)))
                }
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

    /// The number of a message in the list.
    fn number(&self, place: usize) -> usize {
        self.numbers.get(place).copied().unwrap_or(place)
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

/// A list of messages, and their type if they have one.
struct Messages<'py> {
    list: Bound<'py, PyList>,
    kind: Option<Bound<'py, PyType>>,
}

impl<'py> Messages<'py> {
    fn new(list: &Bound<'py, PyList>) -> Messages<'py> {
        let first = list.iter().next().map(|message| message.get_type());
        let kind = first.filter(|kind| list.iter().all(|message| message.get_type().is(kind)));
        Messages { list: list.clone(), kind }
    }

    /// What a method of each message gives.
    ///
    /// Calling a type's own function on all of a list is several times cheaper than looking the
    /// method up on each message.
    fn call(&self, method: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyList>> {
        let py = self.list.py();
        let function = match &self.kind {
            Some(kind) => kind.getattr_opt(method)?,
            None => None,
        };
        let Some(function) = function else {
            let each = self.list.iter().map(|message| message.call_method0(method));
            return PyList::new(py, each.collect::<PyResult<Vec<_>>>()?);
        };
        let map = py.import(intern!(py, "builtins"))?.getattr(intern!(py, "map"))?;
        let all = py.get_type::<PyList>().call1((map.call1((function, &self.list))?,))?;
        Ok(all.cast_into()?)
    }
}

/// A message's timestamp, which is a kind, 0 where there is none, and milliseconds.
fn micros(pair: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    let pair = pair.cast::<PyTuple>()?;
    let (kind, millis) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
    let kind: i64 = kind.extract()?;
    Ok(if kind == 0 { None } else { millis.extract::<i64>()?.checked_mul(1000) })
}

fn numbers(values: &Bound<'_, PyList>) -> PyResult<Vec<i64>> {
    values.iter().map(|value| value.extract()).collect()
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
    /// The messages that cannot be decoded: number, topic, partition, offset, payload, the byte at
    /// which it goes wrong, what is wrong.
    #[pyo3(get)]
    bad: Py<PyList>,
    /// How many payloads are null.
    #[pyo3(get)]
    tombstones: usize,
    /// The numbers of messages that have an error.
    #[pyo3(get)]
    errors: Vec<usize>,
}

impl PyTaken {
    /// Wraps what was read and decoded.
    pub fn new(py: Python<'_>, records: Records, joined: Joined) -> PyResult<PyTaken> {
        let numbers = |name: &str, values: Vec<i64>| {
            Py::new(py, one_column(name, Arc::new(Int64Array::from(values)))?)
        };
        let bad = PyList::empty(py);
        for BadMessage { ordinal, at, detail } in joined.bad {
            let payload = records.payloads[ordinal].as_deref().unwrap_or_default();
            let topic = &records.topic_names[records.topics[ordinal] as usize];
            let place = (records.partitions[ordinal], records.offsets[ordinal]);
            let payload = PyBytes::new(py, payload);
            bad.append((records.number(ordinal), topic, place.0, place.1, payload, at, detail))?;
        }
        Ok(PyTaken {
            batch: Py::new(py, PyBatches(joined.rows))?,
            partitions: numbers("partition", joined.partitions)?,
            offsets: numbers("offset", joined.offsets)?,
            topics: numbers("topic", joined.topics)?,
            timestamps: Py::new(py, one_column("timestamp", joined.timestamps)?)?,
            next: records.next(py)?.unbind(),
            bad: bad.unbind(),
            tombstones: records.payloads.iter().filter(|payload| payload.is_none()).count(),
            topic_names: records.topic_names,
            errors: records.errors,
        })
    }
}
