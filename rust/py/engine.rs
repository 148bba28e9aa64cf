//! The engine as Python sees it: extract, enter, call, wrap.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::batches::{PyBatches, PyStep, words};
use super::enter::{Raised, Shared, enter};
use super::feed::{RawFeed, Tuple, order};
use super::mask::Callable;
use crate::engine;
use crate::error::Result;
use crate::plan::Plan;

/// A running plan. Many threads may call it; one of them is inside at a time.
#[pyclass(frozen, module = "muntin._core", name = "Engine")]
pub struct PyEngine {
    core: Shared<engine::Engine>,
    inputs: Vec<String>,
    validate: bool,
}

impl PyEngine {
    fn run(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut engine::Engine) -> Result<engine::Step> + Send,
    ) -> PyResult<PyStep> {
        let (step, failures) = self.core.enter_with_rules(py, work)?;
        PyStep::new(py, step, failures)
    }
}

#[pymethods]
impl PyEngine {
    /// Build the engine of a plan, or restore it from a snapshot.
    ///
    /// With `validate=False`, Arrow data is trusted to be well formed.
    #[new]
    #[pyo3(signature = (
        plan_json, partitions, threads, masks, snapshot, on_change, *, validate=true
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        plan_json: &str,
        partitions: Vec<Vec<i64>>,
        threads: usize,
        masks: Vec<Py<PyAny>>,
        snapshot: Option<&[u8]>,
        on_change: &str,
        validate: bool,
    ) -> PyResult<PyEngine> {
        let raised = Raised::default();
        let (core, inputs) = enter(py, || {
            let plan = Plan::parse(plan_json)?;
            let masks = Callable::all(&plan, masks, &raised);
            let core =
                engine::Engine::new(plan_json, partitions, threads, masks, snapshot, on_change)?;
            Ok((core, plan.inputs.into_iter().map(|input| input.name).collect()))
        })?;
        Ok(PyEngine { core: Shared::new(core, raised), inputs, validate })
    }

    /// Take rows of several inputs and partitions.
    fn step(&self, py: Python<'_>, feeds: Vec<Tuple<'_>>, order: &str) -> PyResult<PyStep> {
        let raw = feeds.into_iter().map(|feed| RawFeed::take(feed, &self.inputs));
        let raw = raw.collect::<PyResult<Vec<_>>>()?;
        let (feeds, order) = enter(py, || {
            // Before the lock: a producer may be slow, or be Python that needs this engine.
            let feeds = raw.into_iter().map(|raw| raw.read(self.validate));
            Ok((feeds.collect::<Result<Vec<_>>>()?, self::order(order)?))
        })?;
        self.run(py, |core| core.step(feeds, order))
    }

    /// Answer one row, changing nothing.
    fn peek(&self, py: Python<'_>, feed: Tuple<'_>) -> PyResult<PyStep> {
        let raw = RawFeed::take(feed, &self.inputs)?;
        let feed = enter(py, || raw.read(self.validate))?;
        self.run(py, |core| core.peek(feed))
    }

    /// Move a partition's watermark forward, or that of all of an input.
    fn advance(
        &self,
        py: Python<'_>,
        input: usize,
        partition: Option<i64>,
        watermark: i64,
    ) -> PyResult<PyStep> {
        self.run(py, |core| core.advance(input, partition, watermark))
    }

    /// Stop waiting for a partition until its next row.
    fn idle(&self, py: Python<'_>, input: usize, partition: Option<i64>) -> PyResult<PyStep> {
        self.run(py, |core| core.idle(input, partition))
    }

    /// Declare one more partition.
    fn open(&self, py: Python<'_>, input: usize, partition: i64) -> PyResult<PyStep> {
        self.run(py, |core| core.open(input, partition))
    }

    /// End a partition, an input or everything.
    fn finish(
        &self,
        py: Python<'_>,
        input: Option<usize>,
        partition: Option<i64>,
    ) -> PyResult<PyStep> {
        self.run(py, |core| core.finish(input, partition))
    }

    /// The whole state, or what changed after the snapshot of an epoch with these chunks.
    #[pyo3(signature = (since=0, before=vec![]))]
    fn snapshot<'py>(
        &self,
        py: Python<'py>,
        since: u64,
        before: Vec<String>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.core.enter(py, |core| core.snapshot(since, &before))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The least watermark of all inputs.
    fn watermark(&self, py: Python<'_>) -> PyResult<i64> {
        self.core.enter(py, |core| Ok(core.pipeline().watermark()))
    }

    /// Each input's partitions with their watermarks.
    fn clocks(&self, py: Python<'_>) -> PyResult<Vec<Vec<(i64, i64)>>> {
        self.core.enter(py, |core| Ok(core.pipeline().clocks()))
    }

    /// The counters, as JSON.
    fn stats(&self, py: Python<'_>) -> PyResult<String> {
        self.core.enter(py, |core| Ok(core.pipeline().stats().to_string()))
    }

    /// The columns of an input, as an empty batch, once they are known.
    fn input_schema(&self, py: Python<'_>, input: usize) -> PyResult<Option<PyBatches>> {
        self.core.enter(py, |core| {
            let running = core.pipeline().running.as_ref();
            let schema = running.and_then(|running| running.schemas.get(input)).cloned();
            Ok(schema.map(|schema| PyBatches(engine::Batches { schema, batches: vec![] })))
        })
    }

    /// Column names and type words of an output, once its inputs' schemas are known.
    fn schema(&self, py: Python<'_>, output: usize) -> PyResult<Option<Vec<(String, String)>>> {
        self.core.enter(py, |core| {
            core.pipeline().schema(output).map(|schema| words(&schema)).transpose()
        })
    }
}
