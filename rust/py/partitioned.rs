//! The engines of all partitions as Python sees them, with the methods of `engine`.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::batches::{PyBatches, PyStep, words};
use super::enter::{Raised, Shared, enter};
use super::feed::{RawFeed, Tuple, order};
use super::mask::Callable;
use crate::engine;
use crate::error::Result;
use crate::partitioned::{Declared, Partitioned};
use crate::partitioner::Partitioner;
use crate::plan::Plan;

/// A running plan with a state for each partition. Many threads may call it; one of them is inside
/// at a time.
#[pyclass(frozen, module = "muntin._core", name = "PartitionedEngine")]
pub struct PyPartitioned {
    core: Shared<Partitioned>,
    inputs: Vec<String>,
    validate: bool,
}

impl PyPartitioned {
    fn run(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Partitioned) -> Result<engine::Step> + Send,
    ) -> PyResult<PyStep> {
        let (step, failures) = self.core.enter_with_rules(py, work)?;
        PyStep::new(py, step, failures)
    }
}

#[pymethods]
impl PyPartitioned {
    /// Build the engines of the partitions, or restore them from a snapshot.
    ///
    /// `declared` is `partitioned_by=`, whether null is a key, the partitioner's name, and how many
    /// partitions the source has. With `validate=False`, Arrow data is trusted to be well formed.
    #[new]
    #[pyo3(signature = (
        plan_json, partitions, threads, masks, snapshot, on_change, declared, *, validate=true
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        plan_json: &str,
        partitions: Vec<i64>,
        threads: usize,
        masks: Vec<Py<PyAny>>,
        snapshot: Option<&[u8]>,
        on_change: &str,
        declared: (Vec<String>, bool, Option<String>, Option<u32>),
        validate: bool,
    ) -> PyResult<PyPartitioned> {
        let raised = Raised::default();
        let (core, inputs) = enter(py, || {
            let plan = Plan::parse(plan_json)?;
            let (columns, groups_null, partitioner, count) = declared;
            let partitioner = partitioner.map(|word| Partitioner::parse(&word)).transpose()?;
            let declared = Declared { columns, groups_null, partitioner, count };
            let inputs = plan.inputs.iter().map(|input| input.name.clone()).collect();
            let raised = raised.clone();
            let masks = Box::new(move || {
                let functions =
                    Python::attach(|py| masks.iter().map(|f| f.clone_ref(py)).collect());
                Callable::all(&plan, functions, &raised)
            });
            let core = Partitioned::new(
                plan_json,
                &partitions,
                threads,
                masks,
                snapshot,
                on_change,
                declared,
            )?;
            Ok((core, inputs))
        })?;
        Ok(PyPartitioned { core: Shared::new(core, raised), inputs, validate })
    }

    /// Take rows of several partitions.
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

    /// Move a partition's watermark forward, or that of all.
    fn advance(
        &self,
        py: Python<'_>,
        _input: usize,
        partition: Option<i64>,
        watermark: i64,
    ) -> PyResult<PyStep> {
        self.run(py, |core| core.advance(partition, watermark))
    }

    /// Stop waiting for a partition until its next row.
    fn idle(&self, py: Python<'_>, _input: usize, partition: Option<i64>) -> PyResult<PyStep> {
        self.run(py, |core| core.idle(partition))
    }

    /// Open one more partition, with its state in a snapshot if one is given.
    #[pyo3(signature = (_input, partition, snapshot=None))]
    fn open(
        &self,
        py: Python<'_>,
        _input: usize,
        partition: i64,
        snapshot: Option<&[u8]>,
    ) -> PyResult<PyStep> {
        self.run(py, |core| core.open(partition, snapshot))
    }

    /// Close a partition and drop its state.
    fn close(&self, py: Python<'_>, partition: i64) -> PyResult<()> {
        self.core.enter(py, |core| core.close(partition))
    }

    /// End a partition or everything.
    fn finish(
        &self,
        py: Python<'_>,
        _input: Option<usize>,
        partition: Option<i64>,
    ) -> PyResult<PyStep> {
        self.run(py, |core| core.finish(partition))
    }

    /// The whole state, or what changed after the snapshot of an epoch with these chunks; of one
    /// partition if one is named.
    #[pyo3(signature = (since=0, before=vec![], partition=None))]
    fn snapshot<'py>(
        &self,
        py: Python<'py>,
        since: u64,
        before: Vec<String>,
        partition: Option<i64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.core.enter(py, |core| core.snapshot(partition, since, &before))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The open partitions.
    fn partitions(&self, py: Python<'_>) -> PyResult<Vec<i64>> {
        self.core.enter(py, |core| Ok(core.partitions()))
    }

    /// The least watermark of all partitions.
    fn watermark(&self, py: Python<'_>) -> PyResult<i64> {
        self.core.enter(py, |core| Ok(core.watermark()))
    }

    /// The partitions with their watermarks.
    fn clocks(&self, py: Python<'_>) -> PyResult<Vec<Vec<(i64, i64)>>> {
        self.core.enter(py, |core| Ok(core.clocks()))
    }

    /// The counters, as JSON.
    fn stats(&self, py: Python<'_>) -> PyResult<String> {
        self.core.enter(py, |core| Ok(core.stats()))
    }

    /// The columns of the input, as an empty batch, once they are known.
    fn input_schema(&self, py: Python<'_>, _input: usize) -> PyResult<Option<PyBatches>> {
        self.core.enter(py, |core| {
            let schema = core.any().columns().cloned();
            Ok(schema.map(|schema| PyBatches(engine::Batches { schema, batches: vec![] })))
        })
    }

    /// Column names and type words of an output, once its inputs' schemas are known.
    fn schema(&self, py: Python<'_>, output: usize) -> PyResult<Option<Vec<(String, String)>>> {
        self.core.enter(py, |core| {
            core.any().pipeline().schema(output).map(|schema| words(&schema)).transpose()
        })
    }
}
