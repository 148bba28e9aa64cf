//! Fire: orders the rows of closed windows and turns them into columns.
//!
//! Rows are ordered by the row that closed the window (the trigger), window end, window start,
//! address of the key, and first touch of the key. None of these depends on threads, batch boundaries
//! or key ids.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, TimestampMicrosecondArray};
use arrow_schema::SchemaRef;

use crate::aggregate::AnswerColumn;
use crate::block::{Block, Firing, RowMeta};
use crate::error::Result;
use crate::limits::RUN_ROWS_MIN;
use crate::origin::Origins;
use crate::state::Address;
use crate::time::Micros;
use crate::wide;

/// The facts about fired rows other than keys and answers, shared by all keys of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FiredRow {
    /// `seq` of the row that closed the window.
    pub trigger: u64,
    /// Window end, exclusive.
    pub end: Micros,
    /// Window start.
    pub start: Micros,
    /// Time of the key's newest row, for sessions and silence.
    pub last: Micros,
    /// How many times the window has fired before.
    pub revision: i64,
    /// First touch of the key, as (pane, ordinal of the row); set only if the slot does not fire in
    /// that order already.
    pub touch: (Micros, u64),
}

impl FiredRow {
    /// The sort key of fired rows; `address` is that of their key.
    pub fn place(&self, address: Address) -> (u64, Micros, Micros, Address, (Micros, u64)) {
        (self.trigger, self.end, self.start, address, self.touch)
    }
}

/// The rows fired by one slot in one step.
#[derive(Debug)]
pub struct Fired {
    /// Runs of rows that share one [`FiredRow`], each with its length.
    runs: Vec<(FiredRow, usize)>,
    /// The key id of each row.
    pub ids: Vec<u32>,
    /// The aggregates' columns.
    pub answers: Vec<AnswerColumn>,
    /// The key columns, filled in after the slot has looked up the ids.
    pub keys: Vec<ArrayRef>,
}

impl Fired {
    /// Creates an empty result.
    pub fn new(answers: Vec<AnswerColumn>) -> Fired {
        Fired { runs: vec![], ids: vec![], answers, keys: vec![] }
    }

    /// Adds `len` rows that share these facts.
    pub fn push(&mut self, row: FiredRow, len: usize) {
        match self.runs.last_mut() {
            Some(last) if last.0 == row => last.1 += len,
            _ if len == 0 => {}
            _ => self.runs.push((row, len)),
        }
    }
}

/// How fired rows are turned into columns.
#[derive(Debug)]
pub struct Shape {
    /// The output schema.
    pub schema: SchemaRef,
    /// Time zone of the window bounds.
    pub zone: Option<Arc<str>>,
    /// Whether there is a column `last_event_time`.
    pub last: bool,
    /// Whether there is a column `revision`.
    pub revision: bool,
}

/// Rows of one slot that are adjacent in the output.
#[derive(Debug)]
struct Run {
    row: FiredRow,
    slot: usize,
    places: Range<usize>,
}

/// Combines the rows fired by the slots, given in rising address, into one block. Also returns the
/// rows with an aggregate that overflowed.
pub fn assemble(shape: &Shape, slots: Vec<(Address, Fired)>) -> Result<(Block, Vec<usize>)> {
    let slots: Vec<(Address, Fired)> = slots.into_iter().filter(|s| !s.1.ids.is_empty()).collect();
    if slots.is_empty() {
        return Ok((Block::empty(&shape.schema), vec![]));
    }
    let runs = in_order(&slots);
    let overflowed = overflowed(&slots, &runs);
    let mut keys: Vec<Vec<ArrayRef>> = Vec::with_capacity(slots.len());
    let mut answers: Vec<Vec<ArrayRef>> = Vec::with_capacity(slots.len());
    for (_, fired) in slots {
        keys.push(fired.keys);
        let finished: Result<_> = fired.answers.into_iter().map(AnswerColumn::finish).collect();
        answers.push(finished?);
    }
    let all = |parts: &[Vec<ArrayRef>]| -> Result<Vec<ArrayRef>> {
        let column = |k: usize| gather(parts.iter().map(|part| part[k].as_ref()).collect(), &runs);
        (0..parts[0].len()).map(column).collect()
    };
    let bound = |of: fn(&FiredRow) -> Micros| -> ArrayRef {
        let array = TimestampMicrosecondArray::from(each(&runs, of));
        Arc::new(array.with_timezone_opt(shape.zone.clone()))
    };
    let mut columns = all(&keys)?;
    columns.push(bound(|row| row.start));
    columns.push(bound(|row| row.end));
    if shape.last {
        columns.push(bound(|row| row.last));
    }
    columns.extend(all(&answers)?);
    if shape.revision {
        columns.push(Arc::new(Int64Array::from(each(&runs, |row| row.revision))));
    }
    let meta = Arc::new(meta(&runs));
    Ok((Block { schema: shape.schema.clone(), columns, meta }, overflowed))
}

/// Repeats a value of each run for all its rows.
fn each<T: Clone>(runs: &[Run], of: impl Fn(&FiredRow) -> T) -> Vec<T> {
    let mut all = Vec::with_capacity(runs.iter().map(|run| run.places.len()).sum());
    for Run { row, places, .. } in runs {
        all.resize(all.len() + places.len(), of(row));
    }
    all
}

fn meta(runs: &[Run]) -> RowMeta {
    let time = each(runs, |row| row.end - 1);
    let firing = |row: &FiredRow| {
        let &FiredRow { start, end, revision, .. } = row;
        Firing { start, end, revision }
    };
    RowMeta {
        judge: time.clone(),
        time,
        seq: each(runs, |row| row.trigger),
        origins: Origins::Fired,
        firing: Some(each(runs, firing)),
        late: None,
    }
}

/// The rows with an answer too large for its column.
fn overflowed(slots: &[(Address, Fired)], runs: &[Run]) -> Vec<usize> {
    let over = |slot: usize| slots[slot].1.answers.iter().flat_map(AnswerColumn::overflows);
    let over: HashSet<(usize, usize)> =
        (0..slots.len()).flat_map(|slot| over(slot).map(move |&place| (slot, place))).collect();
    if over.is_empty() {
        return vec![];
    }
    let places = runs.iter().flat_map(|run| run.places.clone().map(|place| (run.slot, place)));
    places.enumerate().filter(|(_, place)| over.contains(place)).map(|(row, _)| row).collect()
}

/// Builds one output column from the slots' columns.
fn gather(parts: Vec<&dyn Array>, runs: &[Run]) -> Result<ArrayRef> {
    let rows: usize = runs.iter().map(|run| run.places.len()).sum();
    if runs.len() * RUN_ROWS_MIN <= rows {
        let slice = |run: &Run| parts[run.slot].slice(run.places.start, run.places.len());
        let slices: Vec<ArrayRef> = runs.iter().map(slice).collect();
        return wide::concat(&slices.iter().map(AsRef::as_ref).collect::<Vec<_>>());
    }
    let order = runs.iter().flat_map(|run| run.places.clone().map(|place| (run.slot, place)));
    wide::interleave(&parts, &order.collect::<Vec<_>>())
}

/// Sorts the runs for output. Rows of one window and one slot are already adjacent.
fn in_order(slots: &[(Address, Fired)]) -> Vec<Run> {
    let mut all: Vec<Run> = Vec::new();
    for (slot, (_, fired)) in slots.iter().enumerate() {
        let mut next = 0;
        for &(row, len) in &fired.runs {
            all.push(Run { row, slot, places: next..next + len });
            next += len;
        }
        debug_assert_eq!(next, fired.ids.len());
    }
    all.sort_by_key(|run| run.row.place(slots[run.slot].0));
    all
}
