//! Aggregates: one file each, one trait, one registry.
//!
//! A state is a few words of a row in [`StateRows`] (all zero = no rows seen) and, where words do not do,
//! a part in its [`Heap`]. Answers depend on *which* rows were seen, never on their order, on how
//! they were cut into batches or panes, or on what came and left in between. `first` and `last` go
//! by an order, (event time, arrival), but they read it off the rows.
//!
//! # A new aggregate
//! 1. One new file, `your_name.rs`: a struct that implements [`Aggregate`] and a
//!    `pub const KIND: Kind` whose `build` accepts or refuses argument types.
//! 2. One line in [`KINDS`] (and the `mod` that names the file).
//!
//! That is all: `laws.rs` runs its laws over the registry, with every type that `build` accepts. A
//! state with a part of variable size reuses a variant of [`Big`] or adds one; the compiler then
//! points at each place that must know it.

pub mod value;
pub mod column;
pub mod answer;
pub mod codec;
pub mod heap;
pub mod lines;
pub mod hot;
pub mod layout;
pub mod tape;

mod fixed_point;
mod exact_sum;
mod integer_sum;
mod stored;
mod distinct;
mod present;

pub mod count;
pub mod sum;
pub mod mean;
pub mod min_max;
pub mod first_last;
pub mod count_distinct;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tape_laws;
#[cfg(test)]
mod float_laws;

use std::fmt::Debug;

use arrow_schema::DataType;

pub use answer::AnswerColumn;
pub use column::Column;
pub use heap::{Big, Heap};
pub use hot::{Cell, CellRef, StateRows};
pub use layout::Layout;
pub use tape::{ArgumentRow, ArgumentRows, ArgumentSlot, Arguments, Tape};
pub use value::{Answer, Class, Moment, Value};

use crate::error::{Error, Result};
use crate::schema::named;

/// What became of a retraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retract {
    /// The cell is as if the row had never been there.
    Done,
    /// The cell cannot tell without the other rows (the minimum left): clear it and refold them.
    Stale,
    /// This aggregate takes no row back; refold.
    Never,
}

/// The row that is the answer, for aggregates that are one row's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first present row by [`Moment`].
    First,
    /// The last present row by [`Moment`].
    Last,
}

/// One aggregate over one argument type: how its cells change and what they say.
///
/// `at` tells first from last; with equal moments the row given first comes first, and in a merge
/// `into` comes before `from`.
pub trait Aggregate: Send + Sync + Debug {
    /// Words of the fixed part.
    fn words(&self) -> usize;

    /// Type of the answer.
    fn output_type(&self) -> &DataType;

    /// Takes in a row whose value is present. A NaN changes nothing (but counts for `count`).
    fn update(&self, cell: Cell<'_>, value: Value<'_>, at: Moment);

    /// Takes in all rows of another cell. Merging into an empty cell copies.
    fn merge(&self, into: Cell<'_>, from: CellRef<'_>);

    /// Takes a row back that the cell has seen; unless [`Retract::Done`] the cell must be refolded.
    fn retract(&self, cell: Cell<'_>, value: Value<'_>, at: Moment) -> Retract;

    /// The answer over the rows seen.
    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a>;

    /// Which end of an ordered list of rows is the answer, if it is one: first or last present
    /// row that is not [`Aggregate::nan`].
    fn end(&self) -> Option<End> {
        None
    }

    /// Whether `retract` takes every row back, whatever came between and at whatever moment: then
    /// steps can be noted on a [`Tape`] first.
    fn inverts(&self) -> bool {
        false
    }

    /// Whether a state grows with the rows it has seen, so that merging one costs as much as they do.
    fn grows(&self) -> bool {
        false
    }

    /// Whether `update` skips this value as not a number.
    fn nan(&self, value: Value<'_>) -> bool {
        matches!(value, Value::F64(v) if v.is_nan())
    }

    /// Appends the state as bytes: the same for the same rows, however they came to be there.
    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>);

    /// Reads a saved state off the front of `bytes` into an empty cell.
    ///
    /// # Errors
    /// [`Error::Snapshot`] if the bytes are none that `save` writes; the cell is still empty then.
    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()>;

    /// Makes the cell empty: frees its heap parts, zeroes its words.
    fn clear(&self, cell: Cell<'_>);

    /// `update` for many rows: row `pick[j]` goes into row `into[j]` of `hot`; `times` and `seqs`
    /// are indexed like `column`.
    ///
    /// Compiled for each aggregate on its own, so that `update` is inlined into the loops.
    #[allow(clippy::too_many_arguments)]
    fn update_rows(
        &self,
        hot: &mut StateRows,
        offset: usize,
        into: &[u32],
        column: &Column,
        pick: &[u32],
        times: &[i64],
        seqs: &[u64],
    ) {
        let target = RowTargets { hot, offset, into, pick, times, seqs };
        match &column.values {
            column::ColumnValues::Unit => target.fold(self, column, |_| Value::Unit),
            column::ColumnValues::I64(v) => target.fold(self, column, |i| Value::I64(v[i])),
            column::ColumnValues::I128(v) => target.fold(self, column, |i| Value::I128(v[i])),
            column::ColumnValues::F64(v) => target.fold(self, column, |i| Value::F64(v[i])),
            column::ColumnValues::Bytes { offsets, data } => {
                target.fold(self, column, |i| Value::Bytes(column::slice(offsets, data, i)));
            }
        }
    }

    /// Goes through the steps of a tape; answers go to the columns `to` of `out`. Compiled as
    /// `update_rows` is, for aggregates that invert.
    fn play(
        &self,
        tape: &Tape,
        place: ArgumentSlot,
        hot: &mut StateRows,
        offset: usize,
        out: &mut [AnswerColumn],
        to: &[usize],
    ) {
        match to {
            // there are no columns where rows are freed: nobody asks then
            &[k] if k < out.len() => {
                let column = &mut out[k];
                tape.run_class(self, place, hot, offset, |answer| column.push(answer));
            }
            _ => tape.run_class(self, place, hot, offset, |answer| {
                to.iter().for_each(|&k| out[k].push(answer));
            }),
        }
    }

    /// `evaluate` for all rows of `hot`, appended to a column; compiled as `update_rows` is.
    fn evaluate_rows(&self, hot: &StateRows, offset: usize, out: &mut AnswerColumn) {
        let words = self.words();
        out.reserve(hot.len());
        (0..hot.len() as u32).for_each(|row| out.push(self.evaluate(hot.peek(row, offset, words))));
    }
}

/// Where many rows go; see [`Aggregate::update_rows`].
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
        column: &Column,
        value: impl Fn(usize) -> Value<'v>,
    ) {
        let (words, full) = (aggregate.words(), column.is_full());
        for (row, i) in self.into.iter().zip(self.pick) {
            let i = *i as usize;
            if full || column.is_present(i) {
                let at = Moment { time: self.times[i], seq: self.seqs[i] };
                aggregate.update(self.hot.cell(*row, self.offset, words), value(i), at);
            }
        }
    }
}

/// An aggregate by name, before its argument's type is known.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The word in a plan.
    pub name: &'static str,
    /// What it answers, in a line.
    pub about: &'static str,
    /// Makes it for the types of its arguments, or says why not ([`Error::Plan`]).
    pub build: fn(&[DataType]) -> Result<Box<dyn Aggregate>>,
}

/// Every aggregate there is.
pub const KINDS: &[Kind] = &[
    count::KIND,
    sum::KIND,
    mean::KIND,
    min_max::MIN,
    min_max::MAX,
    count_distinct::KIND,
    first_last::FIRST,
    first_last::LAST,
];

/// The aggregate of a name for the types of its arguments.
///
/// # Errors
/// [`Error::Plan`] for an unknown name, a wrong number of arguments or a type it does not take.
pub fn build(kind: &str, args: &[DataType]) -> Result<Box<dyn Aggregate>> {
    match KINDS.iter().find(|k| k.name == kind) {
        Some(found) => (found.build)(args),
        None => {
            let names: Vec<_> = KINDS.iter().map(|k| k.name).collect();
            let names = names.join(", ");
            Err(Error::Plan(format!("unknown aggregate \"{kind}\"\nhint: there are {names}")))
        }
    }
}

/// The only argument of an aggregate that takes exactly one.
fn one<'a>(kind: &str, args: &'a [DataType]) -> Result<&'a DataType> {
    match args {
        [arg] => Ok(arg),
        _ => Err(Error::Plan(format!("{kind} takes one argument, not {}", args.len()))),
    }
}

/// The error for an argument type that an aggregate does not take.
fn refuse(kind: &str, arg: &DataType, hint: &str) -> Error {
    Error::Plan(format!("{kind} of {}\nhint: {hint}", named(arg)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_told() {
        for (i, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..i].iter().all(|k| k.name != kind.name), "{}", kind.name);
            assert!(!kind.about.is_empty());
        }
        let error = build("median", &[DataType::Int64]).unwrap_err();
        assert!(
            error.message().starts_with("unknown aggregate \"median\"\nhint: there are count,")
        );
    }

    #[test]
    fn wrong_arguments_are_refused_with_a_hint() {
        let sum = build("sum", &[DataType::Utf8]).unwrap_err();
        assert!(sum.message().starts_with("sum of str\nhint: "), "{sum}");
        assert!(build("sum", &[]).is_err());
        assert!(build("count", &[DataType::Int64, DataType::Int64]).is_err());
        assert!(build("mean", &[DataType::Date32]).is_err());
        assert!(build("max", &[DataType::new_list(DataType::Int64, true)]).is_err());
    }
}
