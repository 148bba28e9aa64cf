//! Warm-up: how an operator added to a running pipeline marks results it cannot know yet (null).
//!
//! An operator that is new in a changed pipeline has not seen earlier rows. Values those rows could
//! have affected are null until the window lies wholly after the point of change. This depends on
//! event time alone: [`CompleteFrom`] holds, per stream and column, the event time from which
//! values are known, and each operator derives its own from those of its inputs.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_select::nullif::nullif;
use serde::{Deserialize, Serialize};

use crate::block::Block;
use crate::error::Result;
use crate::graph::{Formula, TypedAggregates};
use crate::time::{Micros, NEVER};

/// The event time from which a stream is complete, as if the operator had seen every row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompleteFrom {
    /// From this event time on, no row is missing and none is present that should not be.
    pub rows: Micros,
    /// Per column, the event time from which its values are known. Columns beyond the end of the
    /// list are always known.
    pub columns: Vec<Micros>,
}

impl CompleteFrom {
    /// A stream that has been complete from the start.
    pub fn always() -> CompleteFrom {
        CompleteFrom { rows: NEVER, columns: vec![] }
    }

    /// The event time from which values computed from these columns are known.
    pub fn of_columns(&self, columns: &[usize]) -> Micros {
        columns.iter().filter_map(|&at| self.columns.get(at).copied()).max().unwrap_or(NEVER)
    }

    /// The event time from which the formula's values are known.
    pub fn formula(&self, formula: Option<&Formula>) -> Micros {
        formula.map_or(NEVER, |formula| self.of_columns(&formula.reads))
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

/// What an operator remembers about its warm-up, next to its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warming {
    /// The operator has seen all rows from this event time on; [`NEVER`]: every row there was.
    pub seen_from: Micros,
    /// Windows that start before this event time may depend on rows the operator did not see, even
    /// though the windows contain none of them; [`NEVER`]: there are none.
    #[serde(default = "never")]
    pub sure_from: Micros,
    /// No row at or after this event time was emitted with an unknown value.
    pub open_until: Micros,
    /// How many rows were emitted with an unknown value, or dropped because of one.
    pub rows: u64,
}

impl Default for Warming {
    fn default() -> Warming {
        Warming { seen_from: NEVER, sure_from: NEVER, open_until: NEVER, rows: 0 }
    }
}

/// The default for snapshots that lack `sure_from`.
fn never() -> Micros {
    NEVER
}

impl Warming {
    /// The event times from which a keyed operator's input rows, and the arguments of each
    /// aggregate, are complete.
    pub fn since(&self, folding: &TypedAggregates, input: &CompleteFrom) -> (Micros, Vec<Micros>) {
        let rows = self.seen_from.max(input.rows).max(input.of_columns(&folding.by));
        let complete = |fold: &crate::graph::TypedAggregate| {
            let read = fold.arguments.iter().chain(&fold.filter);
            read.map(|formula| input.formula(Some(formula))).fold(rows, Micros::max)
        };
        (rows, folding.aggregates.iter().map(complete).collect())
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

/// Returns the column with nulls where a bit is set.
pub fn left_open(column: &ArrayRef, open: &BooleanBuffer) -> Result<ArrayRef> {
    Ok(nullif(column, &BooleanArray::new(open.clone(), None::<NullBuffer>))?)
}

/// Sets column `at` to null in each row whose `moment(row)` is before `from[at]`; also returns the
/// affected rows.
pub fn null_unknown(
    block: Block,
    from: &[Micros],
    moment: impl Fn(usize) -> Micros,
) -> Result<(Block, Vec<usize>)> {
    let last = from.iter().copied().max().unwrap_or(NEVER);
    let rows: Vec<usize> = (0..block.len()).filter(|&row| moment(row) < last).collect();
    if rows.is_empty() {
        return Ok((block, rows));
    }
    let mut columns = block.columns.clone();
    for (column, &from) in columns.iter_mut().zip(from).filter(|(_, from)| **from != NEVER) {
        let open = BooleanBuffer::collect_bool(block.len(), |row| moment(row) < from);
        *column = left_open(column, &open)?;
    }
    let meta = Arc::clone(&block.meta);
    Ok((Block { schema: block.schema, columns, meta }, rows))
}
