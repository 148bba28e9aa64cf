//! From when on the rows and values of a stream are known, and what an operator does with those that
//! are not: null in columns that it reads, and set to null in columns that it computes.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_select::nullif::nullif;

use crate::block::Block;
use crate::error::Result;
use crate::graph::Formula;
use crate::time::{Micros, NEVER};

/// The event time from which a stream is complete, as if the operator had seen every row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteFrom {
    /// From this event time on, no row is missing and none is present that should not be.
    pub rows: Micros,
    /// Per column, the event time from which its values are known. Columns beyond the end of the
    /// list are always known.
    pub columns: Vec<Micros>,
}

impl Default for CompleteFrom {
    /// A stream that has been complete from the start.
    fn default() -> CompleteFrom {
        CompleteFrom { rows: NEVER, columns: vec![] }
    }
}

impl CompleteFrom {
    /// The event time from which values computed from these columns are known.
    pub fn of_columns(&self, columns: &[usize]) -> Micros {
        columns.iter().filter_map(|&at| self.columns.get(at).copied()).max().unwrap_or(NEVER)
    }

    /// The event time from which the formula's values are known.
    pub fn formula(&self, formula: &Formula) -> Micros {
        self.of_columns(&formula.reads)
    }

    /// Raises every bound to at least `from`.
    pub fn at_least(&mut self, from: Micros) {
        self.rows = self.rows.max(from);
        self.columns.iter_mut().for_each(|column| *column = (*column).max(from));
    }

    /// The event time from which all rows and columns are known.
    pub fn whole(&self) -> Micros {
        self.columns.iter().copied().max().unwrap_or(NEVER).max(self.rows)
    }
}

/// Columns read by an expression that are not yet known in all rows, each with the event time from
/// which they are.
#[derive(Debug, Clone, Default)]
pub struct UnknownUntil(Vec<(usize, Micros)>);

impl UnknownUntil {
    /// Selects those of the columns that are not yet known.
    pub fn new(reads: impl IntoIterator<Item = usize>, complete: &CompleteFrom) -> UnknownUntil {
        let until = |at| (at, complete.of_columns(&[at]));
        UnknownUntil(reads.into_iter().map(until).filter(|&(_, until)| until != NEVER).collect())
    }

    /// The rows in which one of the columns is unknown: null, and earlier than the time from which
    /// it is known.
    pub fn open(&self, block: &Block) -> Option<BooleanBuffer> {
        let mut all: Option<BooleanBuffer> = None;
        for &(at, until) in &self.0 {
            let Some(nulls) = block.columns[at].logical_nulls() else { continue };
            let open = |row: usize| nulls.is_null(row) && block.meta.time[row] < until;
            let open = BooleanBuffer::collect_bool(block.len(), open);
            all = Some(all.map_or(open.clone(), |all| &all | &open));
        }
        all.filter(|open| open.count_set_bits() > 0)
    }
}

/// What an operator knows in a step.
#[derive(Debug, Clone)]
pub struct Known {
    /// The event time from which the operator has seen all rows; [`NEVER`]: every row there was.
    pub seen_from: Micros,
    /// The event time from which the columns of its keys are known.
    pub keys_from: Micros,
    /// For each formula of the operator, the columns it reads that are not known in all rows; empty
    /// if all are.
    pub formulas: Vec<UnknownUntil>,
    /// Counted by the operator: rows that it could not decide about.
    pub left_open: u64,
    /// Noted by the operator: it decided about all rows at or after this event time.
    pub open_until: Micros,
}

impl Default for Known {
    fn default() -> Known {
        let [seen_from, keys_from, open_until] = [NEVER; 3];
        Known { seen_from, keys_from, formulas: vec![], left_open: 0, open_until }
    }
}

impl Known {
    /// The rows in which the value of formula `k` is unknown.
    pub fn unknown(&self, k: usize, block: &Block) -> Option<BooleanBuffer> {
        self.formulas.get(k).and_then(|formula| formula.open(block))
    }
}

/// Returns the column with nulls where a bit is set.
pub fn null_where(column: &ArrayRef, open: &BooleanBuffer) -> Result<ArrayRef> {
    Ok(nullif(column, &BooleanArray::new(open.clone(), None::<NullBuffer>))?)
}

/// Sets column `at` to null in each row whose `moment(row)` is before `from[at]`; also returns the
/// affected rows.
pub fn null_before(
    block: Arc<Block>,
    from: &[Micros],
    moment: impl Fn(usize) -> Micros,
) -> Result<(Arc<Block>, Vec<usize>)> {
    let last = from.iter().copied().max().unwrap_or(NEVER);
    let rows: Vec<usize> = (0..block.len()).filter(|&row| moment(row) < last).collect();
    if rows.is_empty() {
        return Ok((block, rows));
    }
    let mut block = Arc::unwrap_or_clone(block);
    for (column, &from) in block.columns.iter_mut().zip(from).filter(|(_, from)| **from != NEVER) {
        let open = BooleanBuffer::collect_bool(block.meta.time.len(), |row| moment(row) < from);
        *column = null_where(column, &open)?;
    }
    Ok((Arc::new(block), rows))
}
