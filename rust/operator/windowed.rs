//! Windows whose rows come out when they close: what tumbling, hopping, sessions and silence share.

use std::fmt::Debug;
use std::sync::Arc;

use super::keyed::{Aggregator, Context, Flow, SavedPiece, Slot, SlotPart, Slots, Task};
use super::warming::null_unknown;
use super::{CompleteFrom, Operator, Warming};
use crate::block::Block;
use crate::error::Result;
use crate::exchange::Routed;
use crate::fate::{Counters, Reason, Record};
use crate::fire::{Fired, FiredRow, Shape, assemble};
use crate::graph::TypedAggregates;
use crate::state::Saved;
use crate::time::{Micros, NEVER};
use crate::watermark::Clock;

/// What one slot gives in one step.
#[derive(Debug)]
pub struct SlotOut {
    /// What became of its rows.
    pub counters: Counters,
    /// Late and invalid rows.
    pub records: Vec<Record>,
    /// Fired rows.
    pub fired: Fired,
    /// Records about rows that do not fire, each with the row.
    pub unfired: Vec<(FiredRow, Record)>,
}

/// A kind of window that fires when it closes.
pub trait Windowed: Send + Sync + Debug {
    /// Its state in one range of keys.
    type Slot: Slot + Debug;

    /// An empty slot.
    fn slot(&self, kit: &Aggregator) -> Self::Slot;

    /// Whether a slot has something to do at this clock although no rows came.
    fn due(&self, slot: &Self::Slot, clock: Micros) -> bool;

    /// Applies the rows in order, then fires what the clock closes; gives back what it no longer
    /// needs. Fired rows carry their keys.
    fn apply(
        &self,
        kit: &Aggregator,
        slot: &mut Self::Slot,
        task: &Task<'_>,
        out: &mut SlotOut,
    ) -> Result<()>;

    /// How far the output's clock is behind the input's: nothing that is still to be fired is older.
    fn delay(&self) -> Micros;

    /// The least start of a window that no row before `from` could be in, or could have changed.
    fn start_from(&self, from: Micros) -> Micros;

    /// The event time from which on all its rows are of such windows.
    fn full_from(&self, from: Micros) -> Micros;

    /// As `from`, where it is not what a window holds but whether it fires at all.
    fn fires_from(&self, from: Micros) -> Micros {
        from
    }

    /// The event time from which on its rows are still to come, at this clock.
    fn emits_from(&self, clock: Micros) -> Micros {
        clock
    }

    /// Tells it that it has seen all rows from `from` on, and maybe none before.
    fn seen_from(&mut self, _from: Micros) {}

    /// The event time from which on windows are sure, where this step's clock tells it to a verb
    /// that has not seen all rows.
    fn sure_from(&self, _clock: &Clock) -> Option<Micros> {
        None
    }

    /// Makes slots that are to be there before any row.
    fn ensure(&self, _slots: &mut Slots<Self::Slot>, _kit: &Aggregator) {}

    /// The parts of a slot's state.
    fn save(&self, kit: &Aggregator, slot: &Self::Slot) -> Result<Vec<SlotPart>>;

    /// Takes over one saved part.
    fn load(
        &self,
        kit: &Aggregator,
        slot: &mut Self::Slot,
        part: &str,
        saved: &Saved,
    ) -> Result<()>;
}

/// The operator of a [`Windowed`] verb.
#[derive(Debug)]
pub struct WindowOperator<V: Windowed> {
    verb: V,
    kit: Aggregator,
    shape: Shape,
    node: u32,
    slots: Slots<V::Slot>,
    counters: Counters,
    clock: Micros,
    warming: Warming,
    /// For each column the least start of a window in which it is known; empty if it always is.
    starts: Vec<Micros>,
}

impl<V: Windowed> WindowOperator<V> {
    /// An operator without state yet.
    pub fn new(
        verb: V,
        folding: TypedAggregates,
        shape: Shape,
        node: u32,
    ) -> Result<WindowOperator<V>> {
        let kit = Aggregator::new(folding)?;
        let (slots, counters) = (Slots::default(), Counters::default());
        let (warming, starts) = (Warming::default(), vec![]);
        Ok(WindowOperator {
            verb,
            kit,
            shape,
            node,
            slots,
            counters,
            clock: NEVER,
            warming,
            starts,
        })
    }

    /// Leaves open what rows that were not seen could have changed.
    fn null_unknown(&mut self, made: Block) -> Result<Block> {
        if self.starts.is_empty() {
            return Ok(made);
        }
        let marks = made.marks.clone();
        let (made, rows) = null_unknown(made, &self.starts, |row| marks.firing_of(row).start)?;
        self.warming.rows += rows.len() as u64;
        let newest = rows.into_iter().map(|row| marks.firing_of(row).end).max();
        self.warming.open_until = self.warming.open_until.max(newest.unwrap_or(NEVER));
        Ok(made)
    }
}

impl<V: Windowed> Operator for WindowOperator<V> {
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        let (block, clock) = &inputs[0];
        let (verb, kit, node) = (&self.verb, &self.kit, self.node);
        let prepared = kit.prepare(block, node)?;
        let routed = Routed::new(&prepared.keys, &prepared.rows);
        let delay = -verb.delay();
        let base = self.counters.rows_in;
        if let Some(from) = verb.sure_from(clock) {
            self.warming.sure_from = from;
            let least = verb.start_from(from);
            let open = self.starts.iter_mut().filter(|start| **start != NEVER);
            open.for_each(|start| *start = (*start).max(least));
        }
        let marks = super::keyed::row_facts(&routed, block, clock);
        verb.ensure(&mut self.slots, kit);
        let outs = self.slots.run(
            &routed,
            context,
            (|| verb.slot(kit), |slot: &V::Slot| verb.due(slot, clock.end())),
            Vec::new,
            |range, slot, outs| {
                let (keys, columns) = (&prepared.keys, prepared.columns.as_slice());
                let marks = &marks[routed.span(range)];
                let task = Task { block, keys, columns, clock, node, marks, base };
                let fired = Fired::new(kit.answers());
                let (counters, records, unfired) = (Counters::default(), vec![], vec![]);
                let mut out = SlotOut { counters, records, fired, unfired };
                verb.apply(kit, slot, &task, &mut out)?;
                outs.push((range, out));
                Ok(())
            },
        )?;
        self.clock = clock.end();
        let invalid = prepared.invalid.len() as u64;
        let (rows_in, nan) = (block.len() as u64, prepared.nan);
        let counted = Counters { rows_in, invalid, nan, ..Counters::default() };
        context.book(&mut self.counters, counted, prepared.invalid);
        let mut fired = Vec::with_capacity(outs.len());
        let mut unfired = vec![];
        for (range, out) in outs.into_iter().flatten() {
            unfired.extend(out.unfired.into_iter().map(|(row, told)| (row.place(range), told)));
            context.book(&mut self.counters, out.counters, out.records);
            fired.push((range, out.fired));
        }
        let (made, overflowed) = assemble(&self.shape, fired)?;
        let made = self.null_unknown(made)?;
        self.counters.fired += made.len() as u64;
        context.records.extend(overflowed.into_iter().map(|row| {
            let (seq, origin) = (made.marks.seq[row], made.marks.origin(row));
            let window = made.marks.firing.as_ref().map(|all| (all[row].start, all[row].end));
            Record { window, ..Record::row(Reason::SumOverflow, node, seq, origin) }
        }));
        unfired.sort_by_key(|each| each.0);
        context.records.extend(unfired.into_iter().map(|each| each.1));
        Ok((Arc::new(made), clock.shifted(delay)))
    }

    fn peek(&self, _inputs: &[Flow], _records: &mut Vec<Record>) -> Result<Arc<Block>> {
        Ok(Arc::new(Block::empty(&self.shape.schema)))
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn keys(&self) -> usize {
        self.slots.keys()
    }

    fn bytes(&self) -> usize {
        self.slots.bytes()
    }

    fn clock(&self) -> Micros {
        self.clock
    }

    fn warming(&self) -> &Warming {
        &self.warming
    }

    fn warming_mut(&mut self) -> &mut Warming {
        &mut self.warming
    }

    fn update_completeness(&mut self, inputs: &[&CompleteFrom]) -> CompleteFrom {
        let (rows, answers) = self.warming.since(&self.kit.folding, inputs[0]);
        self.verb.seen_from(rows);
        let sure = self.warming.sure_from;
        let (rows, answers) = (rows.max(sure), answers.into_iter().map(|from| from.max(sure)));
        let (verb, fires) = (&self.verb, self.verb.fires_from(rows));
        let keys = self
            .kit
            .folding
            .by
            .iter()
            .map(|&at| (NEVER, verb.full_from(inputs[0].of_columns(&[at]))));
        let answer = |from: Micros| (verb.start_from(from), verb.full_from(from));
        let columns: Vec<(Micros, Micros)> = keys
            .chain([(NEVER, NEVER); 2])
            .chain(self.shape.last.then(|| answer(rows)))
            .chain(answers.map(answer))
            .chain(self.shape.revision.then(|| answer(fires)))
            .collect();
        self.starts = columns.iter().map(|column| column.0).collect();
        let columns = columns.into_iter().map(|column| column.1).collect();
        let mut full = CompleteFrom { rows: verb.full_from(fires), columns };
        full.at_least(self.warming.open_until);
        full
    }

    fn emits_from(&self, _inputs: Micros) -> Micros {
        self.verb.emits_from(self.clock)
    }

    fn changed(&self, range: usize, _part: &str) -> u64 {
        self.slots.changed(range)
    }

    fn save(&self, since: u64) -> Result<Vec<SavedPiece>> {
        self.slots.save(since, |slot| self.verb.save(&self.kit, slot))
    }

    fn load(&mut self, pieces: &[SavedPiece], counters: Counters, clock: Micros) -> Result<()> {
        self.counters = counters;
        self.clock = clock;
        let (verb, kit) = (&self.verb, &self.kit);
        let load =
            |slot: &mut V::Slot, part: &str, saved: &Saved| verb.load(kit, slot, part, saved);
        self.slots.load(pieces, || verb.slot(kit), load)
    }
}
