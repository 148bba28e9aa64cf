//! Warming: what a verb answers that began after its stream did.
//!
//! A verb that is new in a changed pipeline has not seen the rows from before it. What these could
//! have changed in an answer is left open: it is null until a window lies wholly behind them. How
//! far that reaches is a matter of event time alone: [`CompleteFrom`] says it of a stream, column by
//! column, and goes from verb to verb as rows and clocks do.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_select::nullif::nullif;
use serde::{Deserialize, Serialize};

use crate::block::Block;
use crate::error::Result;
use crate::graph::{Formula, TypedAggregates};
use crate::time::{Micros, NEVER};

/// From which event time on a stream is as if all rows had been seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompleteFrom {
    /// From here on no row is missing, and none is there that should not be.
    pub rows: Micros,
    /// From here on the values of each column are known; those that are not named here always are.
    pub columns: Vec<Micros>,
}

impl CompleteFrom {
    /// A stream of which nothing is missing.
    pub fn always() -> CompleteFrom {
        CompleteFrom { rows: NEVER, columns: vec![] }
    }

    /// From when on what is computed from these columns is known.
    pub fn of_columns(&self, columns: &[usize]) -> Micros {
        columns.iter().filter_map(|&at| self.columns.get(at).copied()).max().unwrap_or(NEVER)
    }

    /// From when on what a formula gives is known.
    pub fn formula(&self, formula: Option<&Formula>) -> Micros {
        formula.map_or(NEVER, |formula| self.of_columns(&formula.reads))
    }

    /// Moves all of it to `from`, where it is not behind that.
    pub fn at_least(&mut self, from: Micros) {
        self.rows = self.rows.max(from);
        self.columns.iter_mut().for_each(|column| *column = (*column).max(from));
    }

    /// From when on everything is known.
    pub fn whole(&self) -> Micros {
        self.columns.iter().copied().max().unwrap_or(NEVER).max(self.rows)
    }
}

/// What a verb keeps of its warming, beside its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warming {
    /// The verb has seen all rows from this event time on; [`NEVER`]: all there ever were.
    pub seen_from: Micros,
    /// Windows that start before this event time may lack what rows that were not seen would have
    /// said, although they hold no such row; [`NEVER`]: there are none.
    #[serde(default = "never")]
    pub sure_from: Micros,
    /// Behind this event time no row was given with an answer left open.
    pub open_until: Micros,
    /// How many rows were given with an answer left open, or left out for want of one.
    pub rows: u64,
}

impl Default for Warming {
    fn default() -> Warming {
        Warming { seen_from: NEVER, sure_from: NEVER, open_until: NEVER, rows: 0 }
    }
}

/// What a snapshot without `sure_from` means.
fn never() -> Micros {
    NEVER
}

impl Warming {
    /// From when on the rows that come to a keyed verb are full, and the arguments of each of its
    /// aggregates.
    pub fn since(&self, folding: &TypedAggregates, input: &CompleteFrom) -> (Micros, Vec<Micros>) {
        let rows = self.seen_from.max(input.rows).max(input.of_columns(&folding.by));
        let argument = |fold: &crate::graph::TypedAggregate| {
            let (argument, filter) = (fold.argument.as_ref(), fold.filter.as_ref());
            rows.max(input.formula(argument)).max(input.formula(filter))
        };
        (rows, folding.aggregates.iter().map(argument).collect())
    }
}

/// Columns that an expression reads and that are not known in all rows yet, with the event time
/// from which on they are.
#[derive(Debug, Clone, Default)]
pub struct UnknownUntil(Vec<(usize, Micros)>);

impl UnknownUntil {
    /// What is not known yet of these columns.
    pub fn new(reads: impl IntoIterator<Item = usize>, full: &CompleteFrom) -> UnknownUntil {
        let until = |at| (at, full.of_columns(&[at]));
        UnknownUntil(reads.into_iter().map(until).filter(|&(_, until)| until != NEVER).collect())
    }

    /// The rows in which one of the columns is left open: it is null, and too early to be known.
    pub fn open(&self, block: &Block) -> Option<BooleanBuffer> {
        let mut all: Option<BooleanBuffer> = None;
        for &(at, until) in &self.0 {
            let Some(nulls) = block.columns[at].logical_nulls() else { continue };
            let open = |row: usize| nulls.is_null(row) && block.marks.time[row] < until;
            let open = BooleanBuffer::collect_bool(block.len(), open);
            all = Some(all.map_or(open.clone(), |all| &all | &open));
        }
        all.filter(|open| open.count_set_bits() > 0)
    }
}

/// A column with nulls where a bit is set.
pub fn left_open(column: &ArrayRef, open: &BooleanBuffer) -> Result<ArrayRef> {
    Ok(nullif(column, &BooleanArray::new(open.clone(), None::<NullBuffer>))?)
}

/// A block in whose column `at` a row is null if `moment(row)` is before `from[at]`; and the rows
/// to which that happened.
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
    let marks = Arc::clone(&block.marks);
    Ok((Block { schema: block.schema, columns, marks }, rows))
}
