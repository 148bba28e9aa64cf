//! Tape: changes to rows of accumulators, recorded first and applied later, one aggregate at a
//! time.
//!
//! Which rows enter and leave windows does not depend on the accumulators. So a block's changes are
//! recorded row by row, with the arguments as words, and each aggregate then applies them in its
//! own compiled loop instead of being called once per change.

use std::ops::Deref;

use super::column::ColumnValues;
use super::value::{Args, Class, Classes, PerArgument, Value};
use super::{Aggregate, ArgumentColumns, Moment, StateRows};
use crate::limits::TAPE_PLACES_MAX;

/// Where the arguments of an aggregate are stored among the words of a row.
#[derive(Debug, Clone, Copy)]
pub struct ArgumentSlot {
    /// The presence bit of the aggregate.
    bit: u32,
    words: PerArgument<ArgumentWords>,
}

/// Where one argument is stored.
#[derive(Debug, Clone, Copy)]
struct ArgumentWords {
    at: usize,
    class: Class,
}

impl ArgumentWords {
    #[inline(always)]
    fn read(self, words: &[u64]) -> Value<'_> {
        match self.class {
            Class::Unit | Class::Bytes => Value::Unit,
            Class::I64 => Value::I64(words[self.at] as i64),
            Class::F64 => Value::F64(f64::from_bits(words[self.at])),
            Class::I128 => Value::I128(wide(words, self.at)),
        }
    }
}

impl ArgumentSlot {
    /// Reads the arguments from a row's words.
    #[inline(always)]
    pub fn read(self, row: ArgumentRow<'_>) -> Option<Args<'_>> {
        if row.present & self.bit == 0 {
            return None;
        }
        Some(self.words.map(|place| place.read(row.words)))
    }
}

#[inline(always)]
fn wide(words: &[u64], at: usize) -> i128 {
    (u128::from(words[at + 1]) << 64 | u128::from(words[at])) as i128
}

/// The arguments of one row as words.
#[derive(Debug, Clone, Copy)]
pub struct ArgumentRow<'a> {
    /// Presence bits, one per aggregate.
    pub present: u32,
    /// Their values.
    pub words: &'a [u64],
}

impl ArgumentRow<'_> {
    /// Appends the values. There are few, usually one, so a call to `memcpy` does not pay.
    #[inline(always)]
    pub fn copy_to(&self, words: &mut Vec<u64>) {
        match self.words {
            [] => {}
            [only] => words.push(*only),
            several => words.extend_from_slice(several),
        }
    }
}

/// Which arguments are stored as words, and where; byte strings are not.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// One slot per aggregate; `None` if one of its arguments is not stored as words.
    pub places: Vec<Option<ArgumentSlot>>,
    /// Number of words of a row.
    pub words: usize,
}

impl Arguments {
    /// Lays out the arguments of aggregates, given their classes.
    pub fn new(aggregates: impl Iterator<Item = Classes>) -> Arguments {
        let mut words = 0;
        let place = |(j, classes): (usize, Classes)| {
            if j >= TAPE_PLACES_MAX || classes.contains(&Class::Bytes) {
                return None;
            }
            let words = classes.map(|class| {
                let at = words;
                words += match class {
                    Class::Unit | Class::Bytes => 0,
                    Class::I64 | Class::F64 => 1,
                    Class::I128 => 2,
                };
                ArgumentWords { at, class }
            });
            Some(ArgumentSlot { bit: 1 << j, words })
        };
        let places = aggregates.enumerate().map(place).collect();
        Arguments { places, words }
    }

    /// Encodes some rows of the columns, one aggregate after another.
    pub fn arrange(&self, columns: &[ArgumentColumns], rows: &[u32]) -> ArgumentRows {
        let mut words = vec![0; rows.len() * self.words];
        let mut present = vec![0; rows.len()];
        for (slot, column) in self.places.iter().zip(columns) {
            let Some(slot) = slot else { continue };
            for (present, &row) in present.iter_mut().zip(rows) {
                *present |= if column.is_present(row as usize) { slot.bit } else { 0 };
            }
            for (&ArgumentWords { at, .. }, values) in slot.words.iter().zip(&column.values) {
                let words = &mut words;
                match values {
                    ColumnValues::Unit | ColumnValues::Bytes { .. } => {}
                    ColumnValues::I64(v) => put(words, self.words, at, rows, |i| v[i] as u64),
                    ColumnValues::F64(v) => put(words, self.words, at, rows, |i| v[i].to_bits()),
                    ColumnValues::I128(v) => {
                        put(words, self.words, at, rows, |i| v[i] as u64);
                        put(words, self.words, at + 1, rows, |i| (v[i] >> 64) as u64);
                    }
                }
            }
        }
        ArgumentRows { stride: self.words, words, present }
    }
}

/// Writes word `at` of each row.
fn put(words: &mut [u64], stride: usize, at: usize, rows: &[u32], of: impl Fn(usize) -> u64) {
    words.chunks_exact_mut(stride).zip(rows).for_each(|(to, &row)| to[at] = of(row as usize));
}

/// The arguments of several rows, encoded as words.
#[derive(Debug)]
pub struct ArgumentRows {
    stride: usize,
    words: Vec<u64>,
    present: Vec<u32>,
}

impl ArgumentRows {
    /// The arguments of one row.
    #[inline(always)]
    pub fn at(&self, i: usize) -> ArgumentRow<'_> {
        let words = &self.words[i * self.stride..][..self.stride];
        ArgumentRow { present: self.present[i], words }
    }
}

/// One change to a row of accumulators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Enter,
    EnterAnswer,
    Leave,
    Empty,
    Answer,
    AnswerNothing,
}

#[derive(Debug, Clone, Copy)]
struct TapeStep {
    row: u32,
    present: u32,
    what: What,
}

/// Changes in order, with the argument words of those that have any.
#[derive(Debug)]
pub struct Tape {
    stride: usize,
    steps: Vec<TapeStep>,
    words: Vec<u64>,
}

impl Tape {
    /// An empty tape for arguments of `stride` words, with capacity for this many rows to enter, be
    /// answered and leave.
    pub fn new(stride: usize, rows: usize) -> Tape {
        let (steps, words) = (Vec::with_capacity(3 * rows), Vec::with_capacity(2 * rows * stride));
        Tape { stride, steps, words }
    }

    #[inline(always)]
    fn note(&mut self, row: u32, what: What, arguments: ArgumentRow<'_>) {
        self.steps.push(TapeStep { row, present: arguments.present, what });
        arguments.copy_to(&mut self.words);
    }

    /// Records that a row's arguments enter.
    #[inline]
    pub fn enter(&mut self, row: u32, arguments: ArgumentRow<'_>) {
        self.note(row, What::Enter, arguments);
    }

    /// Records that a row's arguments, which entered before, leave.
    #[inline]
    pub fn leave(&mut self, row: u32, arguments: ArgumentRow<'_>) {
        self.note(row, What::Leave, arguments);
    }

    /// Records that all rows leave.
    pub fn empty(&mut self, row: u32) {
        self.steps.push(TapeStep { row, present: 0, what: What::Empty });
    }

    /// Records that an answer is needed, usually right after the row entered.
    #[inline]
    pub fn answer(&mut self, row: u32) {
        match self.steps.last_mut() {
            Some(last) if last.row == row && last.what == What::Enter => {
                last.what = What::EnterAnswer;
            }
            _ => self.steps.push(TapeStep { row, present: 0, what: What::Answer }),
        }
    }

    /// Records an answer for a row without a key: null.
    pub fn answer_nothing(&mut self) {
        self.steps.push(TapeStep { row: 0, present: 0, what: What::AnswerNothing });
    }

    /// Whether nothing is noted.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Removes all changes and keeps the memory.
    pub fn clear(&mut self) {
        self.steps.clear();
        self.words.clear();
    }

    /// Applies the changes for one aggregate; see [`Aggregate::play`]. `args` reads the arguments
    /// from a row's words.
    #[inline(always)]
    fn run<'v, A: Aggregate + ?Sized, T: Deref<Target = [Value<'v>]>>(
        &'v self,
        aggregate: &A,
        bit: u32,
        hot: &mut StateRows,
        offset: usize,
        mut answers: impl FnMut(super::Answer<'_>),
        args: impl Fn(&'v [u64]) -> T,
    ) {
        let words = aggregate.words();
        let at = Moment { time: 0, seq: 0 };
        let mut rest = self.words.as_slice();
        for step in &self.steps {
            if step.what == What::AnswerNothing {
                answers(super::Answer::Null);
                continue;
            }
            let mut cell = hot.cell(step.row, offset, words);
            match step.what {
                What::Enter | What::EnterAnswer | What::Leave => {
                    let (row, behind) = rest.split_at(self.stride);
                    rest = behind;
                    let is_present = step.present & bit != 0;
                    if is_present && step.what == What::Leave {
                        aggregate.retract(cell, &args(row), at);
                        continue;
                    }
                    if is_present {
                        aggregate.update(cell.reborrow(), &args(row), at);
                    }
                    if step.what == What::EnterAnswer {
                        answers(aggregate.evaluate(cell.peek()));
                    }
                }
                What::Empty => aggregate.clear(cell),
                What::Answer | What::AnswerNothing => answers(aggregate.evaluate(cell.peek())),
            }
        }
    }

    /// Like [`Tape::run`], specialised for the class of a single argument.
    #[inline(always)]
    pub(super) fn run_class<A: Aggregate + ?Sized>(
        &self,
        aggregate: &A,
        slot: ArgumentSlot,
        hot: &mut StateRows,
        offset: usize,
        push: impl FnMut(super::Answer<'_>),
    ) {
        let bit = slot.bit;
        let PerArgument::One([ArgumentWords { at, class }]) = slot.words else {
            let args = |row| slot.words.map(|place| place.read(row));
            return self.run(aggregate, bit, hot, offset, push, args);
        };
        let one = |value| PerArgument::One([value]);
        match class {
            Class::Unit | Class::Bytes => {
                self.run(aggregate, bit, hot, offset, push, |_| one(Value::Unit));
            }
            Class::I64 => {
                let args = |row: &[u64]| one(Value::I64(row[at] as i64));
                self.run(aggregate, bit, hot, offset, push, args);
            }
            Class::F64 => {
                let args = |row: &[u64]| one(Value::F64(f64::from_bits(row[at])));
                self.run(aggregate, bit, hot, offset, push, args);
            }
            Class::I128 => {
                let args = |row: &[u64]| one(Value::I128(wide(row, at)));
                self.run(aggregate, bit, hot, offset, push, args);
            }
        }
    }
}
