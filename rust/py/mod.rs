//! The boundary to Python, and the only user of PyO3. Nothing else in this crate may name it.
//!
//! A boundary function is four lines: extract, enter, call, wrap. What is longer than that lives
//! in the core, or in one of the files here: `bridge` (Arrow capsules, the only `unsafe`), `enter`
//! (the one door: releases the GIL, catches panics, maps errors), `mask` (Python callables).

mod batches;
mod bridge;
mod decoder;
mod encode;
mod engine;
mod enter;
mod error;
mod feed;
mod mask;
mod partitioned;
mod payloads;
mod records;
mod taken;

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::aggregate::Registry;
use crate::assign::Zone;
use crate::error::Error;
use crate::partitioner::Partitioner;

/// The compiled core of muntin. Only `muntin.base.core` imports it.
#[pymodule(gil_used = false)]
mod _core {
    use pyo3::exceptions::PyRuntimeWarning;
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::batches::{PyBatches, PyStep};
    #[pymodule_export]
    use super::decoder::PyDecoder;
    #[pymodule_export]
    use super::encode::{avro_schema, encode, encode_lines};
    #[pymodule_export]
    use super::engine::PyEngine;
    #[pymodule_export]
    use super::partitioned::PyPartitioned;
    #[pymodule_export]
    use super::records::PyRecords;
    #[pymodule_export]
    use super::taken::PyTaken;
    #[pymodule_export]
    use super::{
        assemble, check, check_time_zone, contents, fit, json_lines, limits, may_fit, partition_of,
    };
    #[pymodule_export]
    use super::{schema_of_words, schema_words};

    /// The version of the package: that of `Cargo.toml`.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        if cfg!(debug_assertions) {
            let warning = module.py().get_type::<PyRuntimeWarning>();
            let text = c"muntin._core was built without optimisation and is many times slower";
            PyErr::warn(module.py(), &warning, text, 1)?;
        }
        Ok(())
    }
}

/// Type a plan; JSON with the schema and fingerprint of each node, and with the scope of the state
/// if the source of its only input is partitioned by some columns.
#[pyfunction]
#[pyo3(signature = (plan_json, partitioned_by=None))]
fn check(py: Python<'_>, plan_json: &str, partitioned_by: Option<Vec<String>>) -> PyResult<String> {
    let registry = Registry::default();
    enter::enter(py, || crate::graph::describe(plan_json, &registry, partitioned_by.as_deref()))
}

/// Refuse a name that is not that of a time zone; `place` stands first in the message.
#[pyfunction]
fn check_time_zone(py: Python<'_>, name: &str, place: &str) -> PyResult<()> {
    enter::enter(py, || Zone::named(name).map(|_| ()).map_err(|error| error.within(place)))
}

/// Column names and type words of anything with `__arrow_c_schema__`.
#[pyfunction]
fn schema_words(py: Python<'_>, schema: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    let handed = bridge::take_schema(schema)?;
    enter::enter(py, move || bridge::schema_of(&handed).and_then(|s| batches::words(&s)))
}

/// Columns of these names and type words, as an empty batch.
#[pyfunction]
fn schema_of_words(py: Python<'_>, words: Vec<(String, String)>) -> PyResult<batches::PyBatches> {
    enter::enter(py, || batches::of_words(&words))
}

/// Rows in the types of a schema, null where a value does not fit, and those values: row, column,
/// the value, what is wrong with it, and a hint. With `cells`, a text may stand for any value.
#[pyfunction]
fn fit(
    py: Python<'_>,
    rows: &Bound<'_, PyAny>,
    schema: &Bound<'_, PyAny>,
    cells: bool,
) -> PyResult<(batches::PyBatches, Vec<batches::MisfitFields>)> {
    let (rows, schema) = (bridge::take(rows, "rows")?, bridge::take_schema(schema)?);
    enter::enter(py, move || {
        let (_, rows) = rows.read(true)?.batches()?;
        batches::fitted(&rows, bridge::schema_of(&schema)?.as_ref(), cells)
    })
}

/// Whether values of the types of one schema may fit those of another, column by column.
#[pyfunction]
fn may_fit(py: Python<'_>, from: &Bound<'_, PyAny>, to: &Bound<'_, PyAny>) -> PyResult<Vec<bool>> {
    let (from, to) = (bridge::take_schema(from)?, bridge::take_schema(to)?);
    enter::enter(py, move || {
        batches::may_fit(bridge::schema_of(&from)?.as_ref(), bridge::schema_of(&to)?.as_ref())
    })
}

/// Lines of JSON as rows of a schema: the rows, the number of each row's line, the lines that are
/// no rows (number, start and end in the text, what is wrong), and how many lines there are. None if
/// the schema has a type that is not read here. The `needed` columns must have a value, which is
/// what the text says.
#[pyfunction]
fn json_lines(
    py: Python<'_>,
    text: &[u8],
    schema: &Bound<'_, PyAny>,
    needed: Vec<(usize, String)>,
) -> PyResult<Option<batches::PyJsonLines>> {
    let schema = bridge::take_schema(schema)?;
    enter::enter(py, move || batches::json_lines(text, bridge::schema_of(&schema)?, &needed))
}

/// One snapshot out of parts: the last of them, with the chunks it names in those before.
#[pyfunction]
fn assemble<'py>(py: Python<'py>, parts: Vec<Vec<u8>>) -> PyResult<Bound<'py, PyBytes>> {
    let whole = enter::enter(py, || {
        crate::snapshot::assemble(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    })?;
    Ok(PyBytes::new(py, &whole))
}

/// The partition that a producer chooses for each of some keys among `count` partitions.
#[pyfunction]
fn partition_of(
    py: Python<'_>,
    partitioner: &str,
    keys: Vec<Vec<u8>>,
    count: u32,
) -> PyResult<Vec<u32>> {
    enter::enter(py, || {
        if count == 0 {
            return Err(Error::Plan("count=0: a topic has a partition at least".into()));
        }
        let partitioner = Partitioner::parse(partitioner)?;
        Ok(keys.iter().map(|key| partitioner.partition(key, count)).collect())
    })
}

/// The sizes at which this build changes what it does, by name; `SMALL` is 1 where they are tiny.
#[pyfunction]
fn limits() -> HashMap<&'static str, usize> {
    let small = ("SMALL", usize::from(crate::limits::SMALL));
    crate::limits::ALL.iter().copied().chain([small]).collect()
}

/// What is in a snapshot, as JSON: its manifest, and each chunk's name, place and length.
#[pyfunction]
fn contents(py: Python<'_>, snapshot: &[u8]) -> PyResult<String> {
    enter::enter(py, || crate::snapshot::contents(snapshot))
}
