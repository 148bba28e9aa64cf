//! The data passed between operators: blocks with their clocks, and the context of a step.

use std::sync::Arc;

use super::known::Known;
use crate::block::Block;
use crate::fate::{Counters, Record};
use crate::watermark::Clock;

/// The settings of a step, and the records it collects.
#[derive(Debug)]
pub struct Context {
    /// How many threads may be used.
    pub threads: usize,
    /// Number of this step.
    pub epoch: u64,
    /// What the operator that runs knows.
    pub known: Known,
    /// Late and invalid rows of this step.
    pub records: Vec<Record>,
}

impl Context {
    /// Adds counters and records of rejected rows.
    pub fn book(&mut self, counters: &mut Counters, more: Counters, records: Vec<Record>) {
        counters.add(&more);
        self.records.extend(records);
    }
}

/// A block and its clock, shared.
pub type Flow = (Arc<Block>, Arc<Clock>);
