//! What an engine needs to be one of several, an engine for each partition.

use arrow_schema::SchemaRef;
use serde_json::Value;

use super::Engine;
use crate::chunk::Named;
use crate::error::{Error, Result};
use crate::operator::Mask;
use crate::snapshot::{self, OnChange};

impl Engine {
    /// Restores the state of a manifest and its chunks; the engine must be new.
    pub fn load(
        &mut self,
        manifest: &Value,
        chunks: &[Named<'_>],
        on_change: OnChange,
    ) -> Result<()> {
        snapshot::load(&mut self.pipeline, manifest, chunks, on_change)
    }

    /// The columns of the only input, if they are known.
    pub fn columns(&self) -> Option<&SchemaRef> {
        self.pipeline.running.as_ref().map(|running| &running.schemas[0])
    }

    /// Sets the columns of the only input, which are not known yet.
    pub fn learn(&mut self, schema: SchemaRef) -> Result<()> {
        self.pipeline.running = Some(self.pipeline.build(vec![schema])?);
        Ok(())
    }

    /// Forgets the columns; only right before the first row.
    pub fn unlearn(&mut self) {
        self.pipeline.running = None;
    }

    /// Continues from the step number of all engines together.
    pub fn at_epoch(&mut self, epoch: u64) {
        self.pipeline.epoch = self.pipeline.epoch.max(epoch);
    }

    /// Sets how many threads a step may use.
    pub fn set_threads(&mut self, threads: usize) {
        self.threads = threads.max(1);
    }

    /// Refuses every later call.
    pub fn poison(&mut self, why: &Error) {
        self.poisoned.get_or_insert(why.message().to_string());
    }

    /// A step of nothing, with the columns of the outputs.
    pub fn no_step(&self) -> super::Step {
        self.nothing()
    }

    /// Gives the functions of rules; the engine must not have any.
    pub fn set_masks(&mut self, masks: Vec<Box<dyn Mask>>) {
        self.masks = masks;
    }
}
