//! Rules written in Python: once a batch, rows in, a boolean a row out.

use std::sync::PoisonError;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::DataType;
use arrow_select::concat::concat;
use pyo3::prelude::*;

use super::batches::PyBatches;
use super::bridge;
use super::enter::Raised;
use crate::engine;
use crate::error::{Error, Result};
use crate::operator::Mask;
use crate::plan::{Plan, When};
use crate::schema::named;

/// A Python callable that a rule asks which rows it fires for.
pub struct Callable {
    number: usize,
    name: String,
    function: Py<PyAny>,
    raised: Raised,
}

impl Callable {
    /// The callables of a plan, by the names of the rules that ask them, as masks of the engine.
    pub fn all(plan: &Plan, functions: Vec<Py<PyAny>>, raised: &Raised) -> Vec<Box<dyn Mask>> {
        let named = |(number, function)| -> Box<dyn Mask> {
            let name = name_of(plan, number);
            Box::new(Callable { number, name, function, raised: raised.clone() })
        };
        functions.into_iter().enumerate().map(named).collect()
    }

    fn ask(&self, py: Python<'_>, batch: &RecordBatch) -> PyResult<BooleanArray> {
        let rows = engine::Batches { schema: batch.schema(), batches: vec![batch.clone()] };
        let answer = self.function.bind(py).call1((PyBatches(rows),))?;
        if !bridge::is_arrow(&answer)? {
            let got = answer.get_type().qualname()?;
            let hint = "return a boolean array, one value a row";
            return Err(
                self.wrong(Error::Data(format!("the answer is of type {got}\nhint: {hint}")))
            );
        }
        let handed = bridge::take(&answer, "the answer")?;
        py.detach(|| boolean(handed, batch.num_rows())).map_err(|error| self.wrong(error))
    }

    fn wrong(&self, error: Error) -> PyErr {
        error.within(&format!("rule \"{}\"", self.name)).into()
    }
}

impl Mask for Callable {
    fn name(&self) -> &str {
        &self.name
    }

    fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        Python::attach(|py| {
            self.ask(py, batch).map_err(|raised| {
                let failures = &mut *self.raised.lock().unwrap_or_else(PoisonError::into_inner);
                failures.push((self.number, raised));
                Error::Data(format!("rule \"{}\" has no verdict", self.name))
            })
        })
    }
}

fn name_of(plan: &Plan, k: usize) -> String {
    let mut rules = plan.outputs.iter().flat_map(|output| &output.rules);
    let rule = rules.find(|rule| matches!(rule.when, When::Mask { mask } if mask == k));
    rule.map_or_else(|| format!("callable {k}"), |rule| rule.name.clone())
}

/// The answer as one boolean array with a value a row.
fn boolean(handed: bridge::Handed, rows: usize) -> Result<BooleanArray> {
    let answer = handed.read(true)?;
    if *answer.data_type() != DataType::Boolean {
        let got = named(answer.data_type());
        return Err(Error::Data(format!("the answer is not boolean but {got}")));
    }
    let parts = answer.arrays();
    let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
    let values = match parts.as_slice() {
        [] => BooleanArray::from(Vec::<bool>::new()),
        parts => concat(parts)?.as_boolean().clone(),
    };
    if values.len() != rows {
        return Err(Error::Data(format!("the answer has {} values for {rows} rows", values.len())));
    }
    Ok(values)
}
