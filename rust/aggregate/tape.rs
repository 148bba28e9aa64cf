//! Tape: changes to rows of accumulators, recorded first and applied later, one aggregate at a
//! time.
//!
//! Which rows enter and leave windows does not depend on the accumulators. So a block's changes are
//! recorded row by row, with the arguments as words, and each aggregate then applies them in its
//! own compiled loop instead of being called once per change.

use super::column::ColumnValues;
use super::value::{Class, Value};
use super::{Aggregate, Column, Moment, StateRows};
use crate::limits::TAPE_PLACES_MAX;

/// Where an argument is stored among the words of a row.
#[derive(Debug, Clone, Copy)]
pub struct ArgumentSlot {
    at: usize,
    bit: u32,
    class: Class,
}

impl ArgumentSlot {
    /// Reads the value from a row's words.
    #[inline(always)]
    pub fn read(self, row: ArgumentRow<'_>) -> Option<Value<'_>> {
        if row.present & self.bit == 0 {
            return None;
        }
        Some(match self.class {
            Class::Unit | Class::Bytes => Value::Unit,
            Class::I64 => Value::I64(row.words[self.at] as i64),
            Class::F64 => Value::F64(f64::from_bits(row.words[self.at])),
            Class::I128 => Value::I128(wide(row.words, self.at)),
        })
    }
}

#[inline(always)]
fn wide(words: &[u64], at: usize) -> i128 {
    (u128::from(words[at + 1]) << 64 | u128::from(words[at])) as i128
}

/// The arguments of one row as words.
#[derive(Debug, Clone, Copy)]
pub struct ArgumentRow<'a> {
    /// Presence bits, one per argument.
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
    /// One slot per aggregate; `None` if its argument is not stored as words.
    pub places: Vec<Option<ArgumentSlot>>,
    /// Number of words of a row.
    pub words: usize,
}

impl Arguments {
    /// Lays out arguments of these classes, one per aggregate.
    pub fn new(classes: impl Iterator<Item = Class>) -> Arguments {
        let mut words = 0;
        let place = |(j, class): (usize, Class)| {
            let width = match class {
                _ if j >= TAPE_PLACES_MAX => return None,
                Class::Unit => 0,
                Class::I64 | Class::F64 => 1,
                Class::I128 => 2,
                Class::Bytes => return None,
            };
            let at = words;
            words += width;
            Some(ArgumentSlot { at, bit: 1 << j, class })
        };
        let places = classes.enumerate().map(place).collect();
        Arguments { places, words }
    }

    /// Encodes some rows of the columns, one aggregate after another.
    pub fn arrange(&self, columns: &[Column], rows: &[u32]) -> ArgumentRows {
        let mut words = vec![0; rows.len() * self.words];
        let mut present = vec![0; rows.len()];
        for (place, column) in self.places.iter().zip(columns) {
            let Some(ArgumentSlot { at, bit, .. }) = *place else { continue };
            for (present, &row) in present.iter_mut().zip(rows) {
                *present |= if column.is_present(row as usize) { bit } else { 0 };
            }
            let words = &mut words;
            match &column.values {
                ColumnValues::Unit | ColumnValues::Bytes { .. } => {}
                ColumnValues::I64(v) => put(words, self.words, at, rows, |i| v[i] as u64),
                ColumnValues::F64(v) => put(words, self.words, at, rows, |i| v[i].to_bits()),
                ColumnValues::I128(v) => {
                    put(words, self.words, at, rows, |i| v[i] as u64);
                    put(words, self.words, at + 1, rows, |i| (v[i] >> 64) as u64);
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

    /// Applies the changes for one aggregate; see [`Aggregate::play`].
    #[inline(always)]
    pub(super) fn run<'v, A: Aggregate + ?Sized>(
        &'v self,
        aggregate: &A,
        place: ArgumentSlot,
        hot: &mut StateRows,
        offset: usize,
        mut answers: impl FnMut(super::Answer<'_>),
        value: impl Fn(&'v [u64]) -> Value<'v>,
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
                    let (arguments, behind) = rest.split_at(self.stride);
                    rest = behind;
                    let is_present = step.present & place.bit != 0;
                    if is_present && step.what == What::Leave {
                        aggregate.retract(cell, value(&arguments[place.at..]), at);
                        continue;
                    }
                    if is_present {
                        aggregate.update(cell.reborrow(), value(&arguments[place.at..]), at);
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

    /// Like [`Tape::run`], specialised for the argument's class.
    #[inline(always)]
    pub(super) fn run_class<A: Aggregate + ?Sized>(
        &self,
        aggregate: &A,
        place: ArgumentSlot,
        hot: &mut StateRows,
        offset: usize,
        push: impl FnMut(super::Answer<'_>),
    ) {
        match place.class {
            Class::Unit | Class::Bytes => {
                self.run(aggregate, place, hot, offset, push, |_| Value::Unit);
            }
            Class::I64 => {
                self.run(aggregate, place, hot, offset, push, |w| Value::I64(w[0] as i64));
            }
            Class::F64 => {
                self.run(aggregate, place, hot, offset, push, |w| Value::F64(f64::from_bits(w[0])));
            }
            Class::I128 => {
                self.run(aggregate, place, hot, offset, push, |w| Value::I128(wide(w, 0)));
            }
        }
    }
}
