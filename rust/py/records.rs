//! What is read of a broker's messages.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyList, PyString, PyTuple, PyType};

use super::payloads::payload;
use crate::error::Error;
use crate::ingest::Payload;

/// The columns that a message itself has.
const COLUMNS: [&str; 6] = ["_key", "_partition", "_offset", "_timestamp", "_headers", "_topic"];

/// The headers of a message.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// What was read of messages, each a place in these lists.
#[derive(Default)]
pub struct Records {
    /// Their payloads.
    pub payloads: Copies,
    pub topic_names: Vec<String>,
    /// Places in `topic_names`.
    pub topics: Vec<i64>,
    pub partitions: Vec<i64>,
    pub offsets: Vec<i64>,
    /// Microseconds since 1970.
    pub timestamps: Vec<Option<i64>>,
    /// Empty unless they are asked for, as the headers are.
    pub keys: Copies,
    pub headers: Vec<Option<Headers>>,
}

/// Copies of bytes, one behind the other: the messages can be freed while they are in the cache.
#[derive(Default)]
pub struct Copies {
    bytes: Vec<u8>,
    /// Where each begins and ends in `bytes`; none where it is null.
    places: Vec<Option<(usize, usize)>>,
}

impl Copies {
    fn push(&mut self, value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.places.push(value.map(|_| (start, self.bytes.len())));
    }

    /// One of them.
    pub fn get(&self, at: usize) -> Payload<'_> {
        self.places[at].map(|(start, end)| &self.bytes[start..end])
    }

    /// All of them.
    pub fn views(&self) -> Vec<Payload<'_>> {
        (0..self.places.len()).map(|at| self.get(at)).collect()
    }

    /// How many are null.
    pub fn null_count(&self) -> usize {
        self.places.iter().filter(|place| place.is_none()).count()
    }
}

/// A broker's messages, read list by list: each list can be freed before the next one comes.
#[pyclass(frozen, module = "muntin._core", name = "Records")]
pub struct PyRecords {
    /// The columns of the messages themselves that are wanted.
    #[pyo3(get)]
    columns: Vec<String>,
    held: Mutex<Records>,
}

#[pymethods]
impl PyRecords {
    /// No messages yet; `columns` of the messages themselves are wanted besides their payloads.
    #[new]
    fn new(columns: Vec<String>) -> PyResult<PyRecords> {
        if let Some(name) = columns.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
            let known = COLUMNS.join(", ");
            let text = format!("messages have no column \"{name}\"\nhint: there is {known}");
            return Err(Error::Column(text).into());
        }
        Ok(PyRecords { columns, held: Mutex::default() })
    }

    /// Reads a list of messages, and gives those with an error, of which nothing else is read.
    fn read<'py>(&self, messages: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyList>> {
        // the lock is not held while methods of Python run
        let mut records = self.take();
        let failed = records.read(messages, &self.columns)?;
        *self.locked() = records;
        Ok(failed)
    }

    /// Drops what was read of other partitions than these: pairs of a topic and a partition.
    fn keep(&self, places: HashSet<(String, i64)>) {
        self.locked().keep(&places);
    }

    fn __len__(&self) -> usize {
        self.locked().offsets.len()
    }
}

impl PyRecords {
    /// The columns of the messages themselves that are wanted.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    fn locked(&self) -> MutexGuard<'_, Records> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read; leaves nothing.
    pub fn take(&self) -> Records {
        std::mem::take(&mut *self.locked())
    }
}

impl Records {
    fn read<'py>(
        &mut self,
        messages: &Bound<'py, PyList>,
        columns: &[String],
    ) -> PyResult<Bound<'py, PyList>> {
        let asked = |name: &str| columns.iter().any(|own| own == name);
        let py = messages.py();
        let mut messages = Messages::new(messages);
        let failed = messages.without_errors()?;
        let first = self.offsets.len();
        for (place, value) in messages.call(intern!(py, "value"))?.enumerate() {
            copied(&mut self.payloads, value?, || format!("message {}", first + place))?;
        }
        for partition in messages.call(intern!(py, "partition"))? {
            self.partitions.push(partition?.extract()?);
        }
        for topic in messages.call(intern!(py, "topic"))? {
            let topic = self.topic(&topic?)?;
            self.topics.push(topic);
        }
        for pair in messages.call(intern!(py, "timestamp"))? {
            self.timestamps.push(micros(&pair?)?);
        }
        if asked("_key") {
            for (place, key) in messages.call(intern!(py, "key"))?.enumerate() {
                copied(&mut self.keys, key?, || format!("the key of message {}", first + place))?;
            }
        }
        if asked("_headers") {
            for headers in messages.call(intern!(py, "headers"))? {
                self.headers.push(headers?.extract()?);
            }
        }
        for offset in messages.call(intern!(py, "offset"))? {
            self.offsets.push(offset?.extract()?);
        }
        Ok(failed)
    }

    fn keep(&mut self, places: &HashSet<(String, i64)>) {
        let names = &self.topic_names;
        let of = |(&topic, &partition): (&i64, &i64)| (names[topic as usize].clone(), partition);
        let mask: Vec<bool> = (self.topics.iter().zip(&self.partitions))
            .map(|place| places.contains(&of(place)))
            .collect();
        kept(&mut self.payloads.places, &mask);
        kept(&mut self.topics, &mask);
        kept(&mut self.partitions, &mask);
        kept(&mut self.offsets, &mask);
        kept(&mut self.timestamps, &mask);
        kept(&mut self.keys.places, &mask);
        kept(&mut self.headers, &mask);
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
}

/// Drops what the mask has not; a list that nobody asked for is empty.
fn kept<T>(all: &mut Vec<T>, mask: &[bool]) {
    let mut mask = mask.iter();
    all.retain(|_| mask.next() == Some(&true));
}

/// Copies a payload or key of Python.
fn copied(
    copies: &mut Copies,
    value: Bound<'_, PyAny>,
    place: impl FnOnce() -> String,
) -> PyResult<()> {
    match value.cast::<PyBytes>() {
        Ok(bytes) => copies.push(Some(bytes.as_bytes())),
        Err(_) => copies.push(payload(value, place)?.as_deref()),
    }
    Ok(())
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

    /// Leaves out the messages with an error, and gives them.
    fn without_errors(&mut self) -> PyResult<Bound<'py, PyList>> {
        let py = self.list.py();
        let mut failed = vec![];
        for (place, error) in self.call(intern!(py, "error"))?.enumerate() {
            if !error?.is_none() {
                failed.push(place);
            }
        }
        if failed.is_empty() {
            return Ok(PyList::empty(py));
        }
        let all: Vec<_> = self.list.iter().collect();
        let kept = all.iter().enumerate().filter(|(place, _)| failed.binary_search(place).is_err());
        self.list = PyList::new(py, kept.map(|(_, message)| message).collect::<Vec<_>>())?;
        PyList::new(py, failed.iter().map(|&place| &all[place]))
    }

    /// What a method of each message gives.
    ///
    /// `map` over the type's own function is several times cheaper than looking the method up on
    /// each message.
    fn call(&self, method: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyIterator>> {
        let py = self.list.py();
        let function = match &self.kind {
            Some(kind) => kind.getattr_opt(method)?,
            None => None,
        };
        let builtin = if function.is_some() { "map" } else { "iter" };
        let builtin = py.import(intern!(py, "builtins"))?.getattr(builtin)?;
        let Some(function) = function else {
            let each = self.list.iter().map(|message| message.call_method0(method));
            let all = PyList::new(py, each.collect::<PyResult<Vec<_>>>()?)?;
            return Ok(builtin.call1((all,))?.cast_into()?);
        };
        Ok(builtin.call1((function, &self.list))?.cast_into()?)
    }
}

/// A message's timestamp, which is a kind, 0 where there is none, and milliseconds.
fn micros(pair: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    let pair = pair.cast::<PyTuple>()?;
    let (kind, millis) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
    let kind: i64 = kind.extract()?;
    Ok(if kind == 0 { None } else { millis.extract::<i64>()?.checked_mul(1000) })
}
