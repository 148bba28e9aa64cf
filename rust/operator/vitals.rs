//! What every operator keeps beside its state.

use crate::block::Block;
use crate::fate::{Counters, Reason, Record};
use crate::time::{Micros, NEVER};

/// An operator's number, counters and clock.
#[derive(Debug, Clone, Copy)]
pub struct Vitals {
    /// Its place in the plan.
    pub node: u32,
    /// Counts of rows accepted, rejected and fired.
    pub counters: Counters,
    /// The input's clock after the last step, [`NEVER`] before the first.
    pub clock: Micros,
}

impl Vitals {
    /// Before the first row.
    pub fn new(node: u32) -> Vitals {
        Vitals { node, counters: Counters::default(), clock: NEVER }
    }

    /// A record about a row of a block.
    pub fn record(&self, reason: Reason, block: &Block, row: usize) -> Record {
        Record::row(reason, self.node, block.meta.seq[row], block.meta.origin(row))
    }
}
