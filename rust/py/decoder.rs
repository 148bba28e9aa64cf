//! Messages to rows: lists of bytes, and lists of a broker's messages.

use std::sync::Arc;

use arrow_array::Int64Array;
use pyo3::prelude::*;

use super::batches::{PyBatches, declared_schema};
use super::enter::{Raised, Shared, enter};
use super::records::PyRecords;
use super::taken::PyTaken;
use super::{bridge, payloads};
use crate::engine::Batches;
use crate::ingest::{self, BadMessage, Format, Payload};

/// Decodes messages of one format into columns of one schema.
#[pyclass(frozen, module = "muntin._core", name = "Decoder")]
pub struct PyDecoder {
    format: Shared<Box<dyn Format>>,
    /// Gives the text of a schema by its id, or None where the registry has none of that id.
    schemas: Option<Py<PyAny>>,
}

/// The number of a message, the byte at which it goes wrong, and what is wrong.
type BadFields = (usize, Option<usize>, String);

#[pymethods]
impl PyDecoder {
    /// A decoder of a format; `options` are those of the format, as JSON. `schemas` is called with
    /// the id of a schema that a message names, once, and gives its text or None.
    #[new]
    #[pyo3(signature = (format, schema, options, schemas=None))]
    fn new(
        py: Python<'_>,
        format: &str,
        schema: &Bound<'_, PyAny>,
        options: &str,
        schemas: Option<Py<PyAny>>,
    ) -> PyResult<PyDecoder> {
        let schema = bridge::take_schema(schema)?;
        let format = enter(py, move || {
            let schema = declared_schema(&bridge::schema_of(&schema)?)?;
            ingest::decoder(format, &schema, options)
        })?;
        Ok(PyDecoder { format: Shared::new(format, Raised::default()), schemas })
    }

    /// The columns of the rows, as a batch without rows.
    fn schema(&self, py: Python<'_>) -> PyResult<PyBatches> {
        let schema = self.format.enter(py, |format| Ok(format.schema().clone()))?;
        Ok(PyBatches(Batches { schema, batches: vec![] }))
    }

    /// The rows of a list of payloads, which are bytes or None; for each row the number of its
    /// payload, unless each is one row; and the payloads that cannot be decoded.
    fn decode(
        &self,
        py: Python<'_>,
        messages: &Bound<'_, PyAny>,
    ) -> PyResult<(PyBatches, Option<PyBatches>, Vec<BadFields>)> {
        let held = payloads::payloads(messages)?;
        let payloads: Vec<Payload<'_>> = held.iter().map(|bytes| bytes.as_deref()).collect();
        self.learn(py, &payloads)?;
        let (schema, decoded) = self
            .format
            .enter(py, |format| Ok((format.schema().clone(), format.decode(&payloads)?)))?;
        let ordinals = decoded
            .ordinals
            .map(|ordinals| payloads::one_column("ordinal", Arc::new(Int64Array::from(ordinals))));
        let bad = decoded.bad.into_iter().map(|bad: BadMessage| (bad.ordinal, bad.at, bad.detail));
        let rows = PyBatches(Batches { schema, batches: decoded.batches });
        Ok((rows, ordinals.transpose()?, bad.collect()))
    }

    /// The rows of a broker's messages, which `records` then holds no more.
    fn take(&self, py: Python<'_>, records: &PyRecords) -> PyResult<PyTaken> {
        let read = records.take();
        let payloads = read.payloads.views();
        self.learn(py, &payloads)?;
        let taken = self.format.enter(py, |format| {
            let decoded = format.decode(&payloads)?;
            read.joined(format.schema(), decoded, records.columns())
        })?;
        PyTaken::new(py, read, taken)
    }
}

impl PyDecoder {
    /// Fetches the schemas that messages name and that are not known yet.
    fn learn(&self, py: Python<'_>, payloads: &[Payload<'_>]) -> PyResult<()> {
        let Some(schemas) = &self.schemas else { return Ok(()) };
        let unknown = self.format.enter(py, |format| Ok(format.unknown_schemas(payloads)))?;
        for id in unknown {
            let text: Option<String> = schemas.call1(py, (id,))?.extract(py)?;
            let schema = text.as_deref().ok_or("the registry has no schema of this id");
            self.format.enter(py, |format| {
                format.learn(id, schema);
                Ok(())
            })?;
        }
        Ok(())
    }
}
