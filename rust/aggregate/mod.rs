//! Aggregates: one file each, one trait, one registry.
//!
//! A state is a few words of a row in [`StateRows`] (all zero = no rows seen) plus, if words do not
//! suffice, a part in its [`Heap`]. Answers depend on *which* rows were seen, not on their order,
//! on how they were split into batches or panes, or on rows added and removed in between. `first`
//! and `last` depend on an order, (event time, arrival), but that is part of the rows.
//!
//! # A new aggregate
//! 1. One new file, `your_name.rs`: a struct that implements [`Aggregate`] and a
//!    `pub const KIND: Kind` whose `build` accepts or refuses argument types and parameters.
//! 2. One line in [`registry::KINDS`] (and the `mod` that names the file).
//!
//! That is all: `laws.rs` runs its laws over the registry, for every type that `build` accepts. A
//! state of variable size implements [`OwnState`] and is kept by [`Heap::change_own`].

pub mod value;
pub mod column;
pub mod answer;
pub mod codec;
pub mod heap;
pub mod lines;
pub mod hot;
pub mod layout;
pub mod tape;
pub mod registry;

mod fixed_point;
mod exact_sum;
mod integer_sum;
mod stored;
mod distinct;
mod present;
mod ordered;
mod exact;
mod quotient;
mod powers;
mod weighted;

pub mod count;
pub mod sum;
pub mod mean;
pub mod min_max;
pub mod first_last;
pub mod arg_min_max;
pub mod any_all;
pub mod bits;
pub mod variance;
pub mod shape;
pub mod regression;
pub mod sum_distinct;
pub mod product;
pub mod frequent;
pub mod histogram;
pub mod quantile;
pub mod array_agg;
pub mod count_distinct;

#[cfg(test)]
pub mod example;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tape_laws;
#[cfg(test)]
mod float_laws;

use std::fmt::Debug;

use arrow_schema::DataType;
use column::ColumnValues;

pub use answer::AnswerColumn;
pub use column::ArgumentColumns;
pub use heap::{Big, Heap, OwnState};
pub use hot::{Cell, CellRef, StateRows};
pub use layout::Layout;
pub use registry::{Builder, Call, Kind, Registry};
pub use tape::{ArgumentRow, ArgumentRows, ArgumentSlot, Arguments, Tape};
pub use value::{ARGUMENTS_MAX, Answer, Args, Class, Classes, Moment, PerArgument, Value};

use crate::error::Result;

/// The result of a retraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retract {
    /// The cell is as if the row had never been added.
    Done,
    /// The cell needs the other rows (for example because the minimum left): clear and recompute
    /// it.
    Stale,
    /// This aggregate cannot retract; recompute the cell.
    Never,
}

/// Which row's value is the answer, for `first` and `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first present row by [`Moment`].
    First,
    /// The last present row by [`Moment`].
    Last,
}

/// One aggregate for given argument types and parameters: how its cells change and are evaluated.
///
/// `args` has a value for each argument, or [`Value::Unit`] if there is none. `at` orders rows for `first` and `last`. If two are equal, the row added first comes first, and
/// in a merge `into` comes before `from`.
pub trait Aggregate: Send + Sync + Debug {
    /// Number of words of the fixed part.
    fn words(&self) -> usize;

    /// Type of the answer.
    fn output_type(&self) -> &DataType;

    /// Adds a row whose arguments are present. A row that is [`Aggregate::nan`] changes nothing.
    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], at: Moment);

    /// Adds all rows of another cell. Merging into an empty cell copies it.
    fn merge(&self, into: Cell<'_>, from: CellRef<'_>);

    /// Removes a row that was added; unless it returns [`Retract::Done`] the caller must recompute
    /// the cell.
    fn retract(&self, cell: Cell<'_>, args: &[Value<'_>], at: Moment) -> Retract;

    /// The answer over the rows seen.
    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a>;

    /// For aggregates whose answer is the argument of the first or last present row that is not
    /// [`Aggregate::nan`]: which of the two.
    fn end(&self) -> Option<End> {
        None
    }

    /// Whether `retract` succeeds for every row, in any order. Changes can then be recorded on a
    /// [`Tape`] and applied later.
    fn inverts(&self) -> bool {
        false
    }

    /// Whether the state grows with the number of rows, so that a merge costs as much as adding
    /// them.
    fn grows(&self) -> bool {
        false
    }

    /// Whether `update` skips a row with these arguments because one of them is NaN.
    fn nan(&self, args: &[Value<'_>]) -> bool {
        args.iter().any(|value| matches!(value, Value::F64(v) if v.is_nan()))
    }

    /// Appends the state as bytes. The bytes depend only on the rows, not on how they were added.
    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>);

    /// Reads a saved state from the front of `bytes` into an empty cell.
    ///
    /// # Errors
    ///
    /// [`Error::Snapshot`] if `save` does not write such bytes; the cell is then still empty.
    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()>;

    /// Resets the cell: frees its heap parts and zeroes its words.
    fn clear(&self, cell: Cell<'_>);

    /// Like `update`, for many rows: adds row `pick[j]` to row `into[j]` of `hot`; `times` and
    /// `seqs` are indexed like `columns`.
    ///
    /// Compiled separately for each aggregate, so that `update` is inlined into the loop.
    #[allow(clippy::too_many_arguments)]
    fn update_rows(
        &self,
        hot: &mut StateRows,
        offset: usize,
        into: &[u32],
        columns: &ArgumentColumns,
        pick: &[u32],
        times: &[i64],
        seqs: &[u64],
    ) {
        let target = RowTargets { hot, offset, into, pick, times, seqs };
        let one = |value| PerArgument::One([value]);
        match columns.values.as_slice() {
            [ColumnValues::Unit] | [] => target.fold(self, columns, |_| one(Value::Unit)),
            [ColumnValues::I64(v)] => target.fold(self, columns, |i| one(Value::I64(v[i]))),
            [ColumnValues::I128(v)] => target.fold(self, columns, |i| one(Value::I128(v[i]))),
            [ColumnValues::F64(v)] => target.fold(self, columns, |i| one(Value::F64(v[i]))),
            [ColumnValues::Bytes { offsets, data }] => {
                let value = |i| Value::Bytes(column::slice(offsets, data, i));
                target.fold(self, columns, |i| one(value(i)));
            }
            [first, second, ..] => {
                target.fold(self, columns, |i| PerArgument::Two([first.get(i), second.get(i)]));
            }
        }
    }

    /// Applies the changes on a tape and appends the answers to the columns `to` of `out`. Compiled
    /// separately for each aggregate that inverts, like `update_rows`.
    fn play(
        &self,
        tape: &Tape,
        slot: ArgumentSlot,
        hot: &mut StateRows,
        offset: usize,
        out: &mut [AnswerColumn],
        to: &[usize],
    ) {
        match to {
            // `out` is empty during reclaim, because nothing is emitted there.
            &[k] if k < out.len() => {
                let column = &mut out[k];
                tape.run_class(self, slot, hot, offset, |answer| column.push(answer));
            }
            _ => tape.run_class(self, slot, hot, offset, |answer| {
                to.iter().for_each(|&k| out[k].push(answer));
            }),
        }
    }

    /// Appends the answers of all rows of `hot` to a column; compiled separately for each
    /// aggregate.
    fn evaluate_rows(&self, hot: &StateRows, offset: usize, out: &mut AnswerColumn) {
        let words = self.words();
        out.reserve(hot.len());
        (0..hot.len() as u32).for_each(|row| out.push(self.evaluate(hot.peek(row, offset, words))));
    }
}

/// The target rows of [`Aggregate::update_rows`].
struct RowTargets<'a> {
    hot: &'a mut StateRows,
    offset: usize,
    into: &'a [u32],
    pick: &'a [u32],
    times: &'a [i64],
    seqs: &'a [u64],
}

impl RowTargets<'_> {
    #[inline(always)]
    fn fold<'v, A: Aggregate + ?Sized>(
        self,
        aggregate: &A,
        columns: &ArgumentColumns,
        args: impl Fn(usize) -> Args<'v>,
    ) {
        let (words, full) = (aggregate.words(), columns.is_full());
        for (row, i) in self.into.iter().zip(self.pick) {
            let i = *i as usize;
            if full || columns.is_present(i) {
                let at = Moment { time: self.times[i], seq: self.seqs[i] };
                aggregate.update(self.hot.cell(*row, self.offset, words), &args(i), at);
            }
        }
    }
}

/// Builds an aggregate of the registry with its tests' own kinds.
#[cfg(test)]
pub fn build(kind: &str, types: &[DataType]) -> Result<Box<dyn Aggregate>> {
    example::registry().build(&Call { kind, types, parameters: &[] })
}
