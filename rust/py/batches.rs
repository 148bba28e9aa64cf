//! Output: record batches that any Arrow library can import.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use super::bridge;
use super::enter::Failures;
use crate::decode;
use crate::engine;
use crate::error::{Error, Result};
use crate::ingest;
use crate::schema::{self, TextsFor, internal_type, type_word};

/// Record batches of one schema, for any library with Arrow's PyCapsule interface.
#[pyclass(frozen, module = "muntin._core", name = "Batches")]
pub struct PyBatches(pub engine::Batches);

#[pymethods]
impl PyBatches {
    /// How many rows all batches have together.
    #[getter]
    fn num_rows(&self) -> usize {
        self.0.batches.iter().map(|batch| batch.num_rows()).sum()
    }

    /// The columns.
    #[getter]
    fn names(&self) -> Vec<&str> {
        self.0.schema.fields().iter().map(|field| field.name().as_str()).collect()
    }

    /// The schema, as a capsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        bridge::export_schema(py, &self.0.schema)
    }

    /// The batches, as a capsule. The requested schema is ignored.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // The interface lets a producer ignore a request that it cannot meet.
        let _ = requested_schema;
        bridge::export_stream(py, &self.0.schema, &self.0.batches)
    }
}

/// The result of one call of the engine.
#[pyclass(frozen, module = "muntin._core", name = "Step")]
pub struct PyStep {
    /// Rows, an output each.
    #[pyo3(get)]
    outputs: Vec<Py<PyBatches>>,
    /// Alerts of all rules.
    #[pyo3(get)]
    alerts: Py<PyBatches>,
    /// Late rows, an input each.
    #[pyo3(get)]
    late: Vec<Py<PyBatches>>,
    /// Invalid rows, an input each.
    #[pyo3(get)]
    invalid: Vec<Py<PyBatches>>,
    /// Rows with which time leapt: input, row of the input in this step, time before, its time.
    #[pyo3(get)]
    leaps: Vec<(usize, usize, i64, i64)>,
    /// What callables of rules raised: the callable's number and the exception.
    #[pyo3(get)]
    failures: Vec<(usize, Py<PyAny>)>,
}

impl PyStep {
    /// Wraps a step of the core.
    pub fn new(py: Python<'_>, step: engine::Step, failures: Failures) -> PyResult<PyStep> {
        let one = |batches| Py::new(py, PyBatches(batches));
        let all = |list: Vec<engine::Batches>| list.into_iter().map(one).collect::<PyResult<_>>();
        let leaps = step.leaps.iter().map(|(input, leap)| (*input, leap.row, leap.from, leap.to));
        Ok(PyStep {
            leaps: leaps.collect(),
            outputs: all(step.outputs)?,
            alerts: one(step.alerts)?,
            late: all(step.late)?,
            invalid: all(step.invalid)?,
            failures: failures
                .into_iter()
                .map(|(k, raised)| (k, raised.into_value(py).into()))
                .collect(),
        })
    }
}

/// Column names with the words of their types, as the engine takes them in.
pub fn words(schema: &Schema) -> Result<Vec<(String, String)>> {
    let word = |field: &arrow_schema::FieldRef| {
        let word = internal_type(field.data_type()).and_then(|kind| type_word(&kind));
        let place = format!("column \"{}\"", field.name());
        Ok((field.name().clone(), word.map_err(|error| error.within(&place))?))
    };
    schema.fields().iter().map(word).collect()
}

/// No rows, with the columns that words say.
pub fn of_words(words: &[(String, String)]) -> Result<PyBatches> {
    let field = |(name, word): &(String, String)| {
        let kind = schema::parse_type(word);
        let place = format!("column \"{name}\"");
        Ok(Field::new(name, kind.map_err(|error| error.within(&place))?, true))
    };
    let fields: Result<Vec<Field>> = words.iter().map(field).collect();
    let schema = Arc::new(Schema::new(fields?));
    Ok(PyBatches(engine::Batches { schema, batches: vec![] }))
}

/// Row, column, the value, what is wrong with it, a hint.
pub type MisfitFields = (usize, usize, String, String, String);

/// Whether values of the types of one schema may fit those of another, column by column.
pub fn may_fit(from: &Schema, to: &Schema) -> Result<Vec<bool>> {
    let pairs = from.fields().iter().zip(to.fields());
    pairs
        .map(|(from, to)| Ok(schema::may_fit(from.data_type(), &internal_type(to.data_type())?)))
        .collect()
}

/// Rows, the numbers of their lines, bad lines (number, start, end, detail), and how many lines
/// there are.
pub type PyJsonLines = (PyBatches, Option<Vec<i64>>, Vec<(usize, usize, usize, String)>, usize);

/// Lines of JSON as rows of a schema, in types that the engine takes.
pub fn json_lines(
    text: &[u8],
    schema: SchemaRef,
    needed: &[(usize, String)],
) -> Result<Option<PyJsonLines>> {
    if declared_schema(&schema)? != schema {
        return Ok(None);
    }
    let read = ingest::json_lines(text, &schema, needed)?;
    Ok(read.map(|lines| {
        let bad = lines.bad.into_iter().map(|bad| (bad.number, bad.start, bad.end, bad.detail));
        let rows = engine::Batches { schema, batches: vec![lines.rows] };
        (PyBatches(rows), lines.numbers, bad.collect(), lines.count)
    }))
}

/// The schema that values are read as.
pub fn declared_schema(schema: &SchemaRef) -> Result<SchemaRef> {
    let mut fields = vec![];
    for field in schema.fields() {
        let kind = declared_type(field.data_type())?;
        // a field of the same type is kept as it is
        fields.push(if kind == *field.data_type() {
            field.clone()
        } else {
            Arc::new(Field::new(field.name(), kind, true))
        });
    }
    Ok(Arc::new(Schema::new(fields).with_metadata(schema.metadata().clone())))
}

/// The type that values are read as: a number is a count of a duration's own unit.
fn declared_type(data_type: &DataType) -> Result<DataType> {
    match data_type {
        own @ DataType::Duration(_) => Ok(own.clone()),
        other => internal_type(other),
    }
}

/// Batches in the types of `to`, whose columns they have, and the values that do not fit.
pub fn fitted(
    rows: &[RecordBatch],
    to: &Schema,
    cells: bool,
) -> Result<(PyBatches, Vec<MisfitFields>)> {
    let texts = if cells { TextsFor::All } else { TextsFor::Some };
    let field =
        |field: &Arc<Field>| Ok(Field::new(field.name(), declared_type(field.data_type())?, true));
    let fields: Result<Vec<Field>> = to.fields().iter().map(field).collect();
    let schema = Arc::new(Schema::new(fields?));
    let (mut batches, mut misfits, mut before) = (vec![], vec![], 0);
    for batch in rows {
        let mut columns = Vec::with_capacity(schema.fields().len());
        for (index, field) in schema.fields().iter().enumerate() {
            let place = format!("column \"{}\"", field.name());
            let column = batch
                .column_by_name(field.name())
                .ok_or_else(|| Error::Schema(format!("{place} is missing")))?;
            let kind = field.data_type();
            let made = schema::fit(column, kind, texts).map_err(|error| error.within(&place))?;
            misfits.extend(made.misfits.iter().map(|&(row, why)| {
                let (said, hint) = schema::explain_misfit(why, kind);
                (
                    before + row,
                    index,
                    schema::shown(column, row),
                    said.to_string(),
                    hint.to_string(),
                )
            }));
            columns.push(made.array);
        }
        before += batch.num_rows();
        batches.push(decode::batch(&schema, columns, batch.num_rows())?);
    }
    Ok((PyBatches(engine::Batches { schema, batches }), misfits))
}
