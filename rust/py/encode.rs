//! Rows as bytes.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::{bridge, enter};
use crate::encode::{RowBytes, encoder};

/// The bytes of each row of Arrow data in a format; None for a row without a value.
#[pyfunction]
pub fn encode<'py>(
    py: Python<'py>,
    format: &str,
    rows: &Bound<'py, PyAny>,
    options_json: &str,
) -> PyResult<Bound<'py, PyList>> {
    let encoded = encoded(py, format, rows, options_json, RowBytes::default())?;
    let rows = encoded.rows().map(|row| row.map(|row| PyBytes::new(py, row)));
    PyList::new(py, rows.collect::<Vec<_>>())
}

/// The bytes of all rows, each with a line end behind it.
#[pyfunction]
pub fn encode_lines<'py>(
    py: Python<'py>,
    format: &str,
    rows: &Bound<'py, PyAny>,
    options_json: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let encoded = encoded(py, format, rows, options_json, RowBytes::lines())?;
    Ok(PyBytes::new(py, encoded.bytes()))
}

/// The Avro schema, as JSON, in which rows of these columns are written: a record of this name.
#[pyfunction]
pub fn avro_schema(py: Python<'_>, schema: &Bound<'_, PyAny>, name: &str) -> PyResult<String> {
    let schema = bridge::take_schema(schema)?;
    enter::enter(py, move || crate::avro::schema_of(bridge::schema_of(&schema)?.fields(), name))
}

fn encoded(
    py: Python<'_>,
    format: &str,
    rows: &Bound<'_, PyAny>,
    options: &str,
    mut encoded: RowBytes,
) -> PyResult<RowBytes> {
    let handed = bridge::take(rows, "rows")?;
    enter::enter(py, move || {
        let (schema, batches) = handed.read_for_show()?.batches()?;
        let encoder = encoder(format, &schema, options)?;
        for batch in &batches {
            encoder.encode(batch, &mut encoded)?;
        }
        Ok(encoded)
    })
}
