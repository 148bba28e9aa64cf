//! Task: what one slot is given in one step.

use crate::aggregate::ArgumentColumns;
use crate::block::{Block, RowMeta};
use crate::exchange::Routed;
use crate::fate::{Reason, Record};
use crate::state::KeyColumns;
use crate::time::Micros;
use crate::watermark::{Clock, bound};

/// The input of one slot for one step.
#[derive(Debug)]
pub struct Task<'a> {
    /// The block.
    pub block: &'a Block,
    /// Its keys.
    pub keys: &'a KeyColumns,
    /// The arguments of each aggregate.
    pub columns: &'a [ArgumentColumns],
    /// The operator's clock during this step.
    pub clock: &'a Clock,
    /// The operator's number.
    pub node: u32,
    /// The slot's rows, in order.
    pub facts: &'a [RowFacts],
    /// How many rows the operator received before this block.
    pub base: u64,
    /// The event time from which the operator has seen all rows.
    pub seen_from: Micros,
}

/// The fields needed to judge a row, copied into slot order: reading them from the block would cost
/// a cache miss per row.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowFacts {
    /// Index of the row in the block.
    pub row: u32,
    /// Event time.
    pub time: Micros,
    /// The operator's clock before the row.
    pub before: Micros,
    /// The bound that decides whether the row is late.
    pub limit: Micros,
}

/// Collects the [`RowFacts`] of routed rows, in slot order.
pub fn row_facts(routed: &Routed, block: &Block, clock: &Clock) -> Vec<RowFacts> {
    let RowMeta { time, judge, seq, .. } = &*block.meta;
    let mut before = clock.walk();
    routed.arrange(|row| {
        let at = row as usize;
        let before = before.at(seq[at]);
        RowFacts { row, time: time[at], before, limit: bound(judge[at], before) }
    })
}

impl Task<'_> {
    /// The `seq` of a row.
    pub fn seq(&self, row: u32) -> u64 {
        self.block.meta.seq[row as usize]
    }

    /// The row's number among all rows of the operator. Unlike `seq`, it is unique.
    pub fn ordinal(&self, row: u32) -> u64 {
        self.base + u64::from(row)
    }

    /// Creates a record about a row.
    pub fn record(&self, reason: Reason, row: u32) -> Record {
        let meta = &self.block.meta;
        Record::row(reason, self.node, meta.seq[row as usize], meta.origin(row as usize))
    }
}
