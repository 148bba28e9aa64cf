//! What all keyed verbs share: arguments and keys of a block, routing, one slot a range, snapshots.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;

use crate::aggregate::{AnswerColumn, Column, Layout};
use crate::block::{Block, RowMeta};
use crate::error::Result;
use crate::exchange::{self, Routed};
use crate::expr::Lost;
use crate::fate::{Counters, Reason, Record};
use crate::graph::{Formula, TypedAggregate, TypedAggregates};
use crate::state::{KeyColumns, RANGES, Saved};
use crate::time::Micros;
use crate::watermark::{Clock, bound};

/// The state of one range of keys.
pub trait Slot: Send + Sync {
    /// Number of keys.
    fn keys(&self) -> usize;
    /// Memory in bytes, about.
    fn bytes(&self) -> usize;
}

/// What a slot gets to work on.
#[derive(Debug)]
pub struct Task<'a> {
    /// The block.
    pub block: &'a Block,
    /// Its keys.
    pub keys: &'a KeyColumns,
    /// The arguments of each aggregate.
    pub columns: &'a [Column],
    /// The operator's clock over this step.
    pub clock: &'a Clock,
    /// The operator's number.
    pub node: u32,
    /// The rows that are this slot's, in order.
    pub marks: &'a [RowFacts],
    /// How many rows the operator had before this block.
    pub base: u64,
}

/// What decides over a row, copied out in the order in which slots read it: a slot's rows lie all
/// over the block, and a cache line for each is what a row costs most.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowFacts {
    /// Row of the block.
    pub row: u32,
    /// Event time.
    pub time: Micros,
    /// The operator's clock before the row.
    pub before: Micros,
    /// The bound by which the row is late or not.
    pub limit: Micros,
}

/// The marks of routed rows.
pub fn row_facts(routed: &Routed, block: &Block, clock: &Clock) -> Vec<RowFacts> {
    let RowMeta { time, judge, seq, .. } = &*block.marks;
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
        self.block.marks.seq[row as usize]
    }

    /// The ordinal of a row among all of the operator: rows of one `seq` have different ones.
    pub fn ordinal(&self, row: u32) -> u64 {
        self.base + u64::from(row)
    }

    /// A record about a row.
    pub fn record(&self, reason: Reason, row: u32) -> Record {
        let marks = &self.block.marks;
        Record::row(reason, self.node, marks.seq[row as usize], marks.origin(row as usize))
    }
}

/// The aggregates of a verb, ready to run.
#[derive(Debug)]
pub struct Aggregator {
    /// Keys, arguments, conditions.
    pub folding: TypedAggregates,
    /// The accumulators.
    pub layout: Layout,
}

/// A block, with all that its rows bring to a keyed verb.
#[derive(Debug)]
pub struct Prepared {
    /// The keys.
    pub keys: KeyColumns,
    /// The arguments of each aggregate.
    pub columns: Vec<Column>,
    /// The rows that can be used.
    pub rows: Vec<u32>,
    /// The others.
    pub invalid: Vec<Record>,
    /// Arguments that are not a number.
    pub nan: u64,
}

impl Aggregator {
    /// Aggregates of a window.
    pub fn new(folding: TypedAggregates) -> Result<Aggregator> {
        let aggregates: Result<Vec<_>> =
            folding.aggregates.iter().map(TypedAggregate::build).collect();
        let layout = Layout::new(aggregates?);
        Ok(Aggregator { folding, layout })
    }

    /// Empty columns for the answers.
    pub fn answers(&self) -> Vec<AnswerColumn> {
        self.layout.output_types().map(|data_type| AnswerColumn::new(data_type, 0)).collect()
    }

    /// Keys and arguments of a block; rows whose expressions overflow are set aside.
    pub fn prepare(&self, block: &Block, node: u32) -> Result<Prepared> {
        let by: Vec<ArrayRef> =
            self.folding.by.iter().map(|&at| block.columns[at].clone()).collect();
        let keys = KeyColumns::new(&by, block.len())?;
        let mut lost = Lost::default();
        let mut columns = Vec::with_capacity(self.folding.aggregates.len());
        for fold in &self.folding.aggregates {
            let (column, more) = argument(fold, block)?;
            columns.push(column);
            lost = lost.then(more);
        }
        let all = 0..block.len() as u32;
        let rows: Vec<u32> = match lost.rows() {
            None => all.collect(),
            Some(bad) => all.filter(|&row| !bad.value(row as usize)).collect(),
        };
        let marks = &block.marks;
        let record = |(row, reason)| Record::row(reason, node, marks.seq[row], marks.origin(row));
        let invalid = refused(&lost).map(record).collect();
        let nan = self.layout.nans(&columns, &rows);
        Ok(Prepared { keys, columns, rows, invalid, nan })
    }
}

/// The rows of an expression without a value, each with the reason.
pub fn refused(lost: &Lost) -> impl Iterator<Item = (usize, Reason)> {
    let rows: Vec<usize> = lost.rows().iter().flat_map(|rows| rows.set_indices()).collect();
    let reason = |row: usize| if lost.is_cast(row) { Reason::CastFailed } else { Reason::Overflow };
    rows.into_iter().map(move |row| (row, reason(row)))
}

/// The argument of an aggregate, and the rows in which it has no value.
fn argument(fold: &TypedAggregate, block: &Block) -> Result<(Column, Lost)> {
    let mut lost = Lost::default();
    let filter = match &fold.filter {
        Some(filter) => {
            let (keep, more) = filter.test(block)?;
            lost = more;
            Some(BooleanArray::new(keep, None))
        }
        None => None,
    };
    let argument = match &fold.argument {
        Some(argument) => {
            let (array, more) = argument.eval(block)?;
            lost = lost.then(match &filter {
                Some(filter) => more.within(filter.values()),
                None => more,
            });
            Some(array)
        }
        None => None,
    };
    Ok((Column::from_array(argument.as_ref(), filter.as_ref(), block.len())?, lost))
}

impl Formula {
    /// The values for a block's rows, and the rows in which it has none.
    pub fn eval(&self, block: &Block) -> Result<(ArrayRef, Lost)> {
        if let Some(at) = self.typed.as_column() {
            return Ok((block.columns[at].clone(), Lost::default()));
        }
        let done = block.with_rows(self.arrival, |rows| self.typed.eval(rows))?;
        debug_assert_eq!(done.array.len(), block.len());
        Ok((done.array, done.lost))
    }

    /// The rows for which it is true, and the rows in which it has no value.
    pub fn test(&self, block: &Block) -> Result<(BooleanBuffer, Lost)> {
        block.with_rows(self.arrival, |rows| self.typed.test(rows))
    }
}

/// The slots of an operator, one for each range in which there ever was a key.
#[derive(Debug)]
pub struct Slots<S> {
    slots: Vec<Option<S>>,
    changed: [u64; RANGES],
}

impl<S: Slot> Default for Slots<S> {
    fn default() -> Slots<S> {
        Slots { slots: (0..RANGES).map(|_| None).collect(), changed: [0; RANGES] }
    }
}

impl<S: Slot> Slots<S> {
    /// Runs `work` on each slot that has rows or for which `due` holds, one owner each; what it
    /// gives goes into an `out` of its owner.
    pub fn run<T: Send>(
        &mut self,
        routed: &Routed,
        context: &Context,
        (new, due): (impl Fn() -> S, impl Fn(&S) -> bool),
        out: impl Fn() -> T + Sync,
        work: impl Fn(usize, &mut S, &mut T) -> Result<()> + Sync,
    ) -> Result<Vec<T>> {
        let mut busy = Vec::new();
        for (range, slot) in self.slots.iter_mut().enumerate() {
            let has_rows = !routed.rows_of(range).is_empty();
            if has_rows && slot.is_none() {
                *slot = Some(new());
            }
            if let Some(slot) = slot.as_mut().filter(|slot| has_rows || due(slot)) {
                self.changed[range] = context.epoch;
                busy.push((range, slot));
            }
        }
        exchange::run(context.threads, routed.len(), busy, out, work)
    }

    /// The slot of a range, made if it is not there.
    pub fn get_or_insert(&mut self, range: usize, new: impl FnOnce() -> S) -> &mut S {
        self.slots[range].get_or_insert_with(new)
    }

    /// The slot of a range.
    pub fn get(&self, range: usize) -> Option<&S> {
        self.slots[range].as_ref()
    }

    /// The slot of a range, made if it is not there, to change it in this epoch.
    pub fn touch(&mut self, range: usize, epoch: u64, new: impl FnOnce() -> S) -> &mut S {
        self.changed[range] = epoch;
        self.get_or_insert(range, new)
    }

    /// All slots, to change them without that being news for a snapshot.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut S> {
        self.slots.iter_mut().flatten()
    }

    /// Number of keys in all slots.
    pub fn keys(&self) -> usize {
        self.slots.iter().flatten().map(Slot::keys).sum()
    }

    /// Memory of all slots in bytes, about.
    pub fn bytes(&self) -> usize {
        self.slots.iter().flatten().map(Slot::bytes).sum()
    }

    /// The epoch in which a range last changed.
    pub fn changed(&self, range: usize) -> u64 {
        self.changed[range]
    }

    /// What changed after epoch `since`, with the epoch of each slot's last change.
    pub fn save(
        &self,
        since: u64,
        save: impl Fn(&S) -> Result<Vec<SlotPart>>,
    ) -> Result<Vec<SavedPiece>> {
        let mut pieces = Vec::new();
        for (range, slot) in self.slots.iter().enumerate() {
            let epoch = self.changed[range];
            if let Some(slot) = slot.as_ref().filter(|_| epoch > since || since == 0) {
                for (part, saved) in save(slot)? {
                    pieces.push(SavedPiece { range, part: part.to_string(), epoch, saved });
                }
            }
        }
        Ok(pieces)
    }

    /// Puts saved slots in place.
    pub fn load(
        &mut self,
        pieces: &[SavedPiece],
        new: impl Fn() -> S,
        load: impl Fn(&mut S, &str, &Saved) -> Result<()>,
    ) -> Result<()> {
        for piece in pieces {
            self.changed[piece.range] = piece.epoch;
            load(self.slots[piece.range].get_or_insert_with(&new), &piece.part, &piece.saved)?;
        }
        Ok(())
    }
}

/// A named part of a slot.
pub type SlotPart = (&'static str, Saved);

/// A part of a slot, with where it belongs: what becomes a chunk.
#[derive(Debug, Clone)]
pub struct SavedPiece {
    /// Range of the keys.
    pub range: usize,
    /// Which part of the slot.
    pub part: String,
    /// When the slot last changed.
    pub epoch: u64,
    /// Its content.
    pub saved: Saved,
}

/// What a step of an operator needs beside its rows, and where it puts what is not output.
#[derive(Debug)]
pub struct Context {
    /// How many threads may work.
    pub threads: usize,
    /// Number of this step.
    pub epoch: u64,
    /// Late and invalid rows of this step.
    pub records: Vec<Record>,
}

impl Context {
    /// Books what a slot or a check set aside.
    pub fn book(&mut self, counters: &mut Counters, more: Counters, records: Vec<Record>) {
        counters.add(&more);
        self.records.extend(records);
    }
}

/// Shares a block with its clock.
pub type Flow = (Arc<Block>, Arc<Clock>);
