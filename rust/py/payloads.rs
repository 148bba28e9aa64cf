//! Payloads from Python, and columns to it.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

use super::batches::PyBatches;
use crate::engine::Batches;
use crate::error::Error;

/// The payloads of a list or another sequence.
pub fn payloads(messages: &Bound<'_, PyAny>) -> PyResult<Vec<Option<PyBackedBytes>>> {
    let numbered = |(number, message): (usize, _)| payload(message, || format!("message {number}"));
    if let Ok(list) = messages.cast::<PyList>() {
        return list.iter().enumerate().map(numbered).collect();
    }
    let mut all = vec![];
    for pair in messages.try_iter()?.enumerate() {
        all.push(numbered((pair.0, pair.1?))?);
    }
    Ok(all)
}

/// A payload of Python; the bytes are held, not copied.
pub fn payload(
    value: Bound<'_, PyAny>,
    place: impl FnOnce() -> String,
) -> PyResult<Option<PyBackedBytes>> {
    if value.is_none() {
        return Ok(None);
    }
    match value.cast_into::<PyBytes>() {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(other) => {
            let other = other.into_inner();
            // a bytearray is copied: it may change
            if let Ok(bytes) = other.extract() {
                return Ok(Some(bytes));
            }
            let kind = other.get_type().name()?;
            let hint = "hint: give bytes, or None for a tombstone";
            Err(Error::Data(format!("{}: a {kind} is not bytes\n{hint}", place())).into())
        }
    }
}

/// One column, as a batch.
pub fn one_column(name: &str, array: ArrayRef) -> PyResult<PyBatches> {
    let schema = Arc::new(Schema::new(vec![Field::new(name, array.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema.clone(), vec![array]).map_err(Error::from)?;
    Ok(PyBatches(Batches { schema, batches: vec![batch] }))
}
