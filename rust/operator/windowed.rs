//! Windows that emit their rows when they close: the code shared by tumbling, hopping and session
//! windows and by silence.

use std::fmt::Debug;
use std::sync::Arc;

use super::dependence::WindowFacts;
use super::flow::{Context, Flow};
use super::prepare::Aggregator;
use super::slots::{SavedPiece, Slot, SlotPart, Slots};
use super::task::Task;
use super::{Dependence, Operator, Vitals};
use crate::block::Block;
use crate::error::Result;
use crate::exchange::Routed;
use crate::fate::{Counters, Reason, Record};
use crate::fire::{Fired, FiredRow, Shape, assemble};
use crate::graph::TypedAggregates;
use crate::state::{Address, Saved};
use crate::time::Micros;

/// The result of one slot for one step.
#[derive(Debug)]
pub struct SlotOut {
    /// How many rows were counted, late, and so on.
    pub counters: Counters,
    /// Late and invalid rows.
    pub records: Vec<Record>,
    /// Rows fired by closed windows.
    pub fired: Fired,
    /// Records about rows that were not fired, each with the row it refers to.
    pub unfired: Vec<(FiredRow, Record)>,
}

/// A kind of window that fires when it closes.
pub trait Windowed: Send + Sync + Debug {
    /// The state of one range of keys.
    type Slot: Slot + Debug;

    /// Creates an empty slot.
    fn slot(&self, aggregator: &Aggregator) -> Self::Slot;

    /// Whether the slot has work at this clock even if no rows arrived, such as a window to close.
    fn due(&self, slot: &Self::Slot, clock: Micros) -> bool;

    /// Applies the rows in order, fires the windows that the clock has closed, and frees state that
    /// is no longer needed. Fills in the key columns of the fired rows.
    fn apply(
        &self,
        aggregator: &Aggregator,
        slot: &mut Self::Slot,
        task: &Task<'_>,
        out: &mut SlotOut,
    ) -> Result<()>;

    /// How far the output's clock lags the input's: every row still to be fired is at least this
    /// recent.
    fn delay(&self) -> Micros;

    /// What the completeness of its rows depends on.
    fn facts(&self) -> WindowFacts<'_>;

    /// Creates slots that must exist before the first row arrives.
    fn ensure(&self, _slots: &mut Slots<Self::Slot>, _kit: &Aggregator) {}

    /// Saves a slot's state as named parts.
    fn save(&self, aggregator: &Aggregator, slot: &Self::Slot) -> Result<Vec<SlotPart>>;

    /// Restores one saved part into a slot.
    fn load(
        &self,
        aggregator: &Aggregator,
        slot: &mut Self::Slot,
        part: &str,
        saved: &Saved,
    ) -> Result<()>;
}

/// The operator that runs a [`Windowed`] verb.
#[derive(Debug)]
pub struct WindowOperator<V: Windowed> {
    verb: V,
    aggregator: Aggregator,
    shape: Shape,
    slots: Slots<V::Slot>,
    vitals: Vitals,
}

impl<V: Windowed> WindowOperator<V> {
    /// Creates an operator without state.
    pub fn new(
        verb: V,
        folding: TypedAggregates,
        shape: Shape,
        node: u32,
    ) -> Result<WindowOperator<V>> {
        let aggregator = Aggregator::new(folding)?;
        let (slots, vitals) = (Slots::default(), Vitals::new(node));
        Ok(WindowOperator { verb, aggregator, shape, slots, vitals })
    }
}

impl<V: Windowed> Operator for WindowOperator<V> {
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        let (block, clock) = &inputs[0];
        let (verb, aggregator, node) = (&self.verb, &self.aggregator, self.vitals.node);
        let prepared = aggregator.prepare(block, node)?;
        let routed = Routed::new(&prepared.keys, &prepared.rows);
        let delay = -verb.delay();
        let (base, seen_from) = (self.vitals.counters.rows_in, context.known.seen_from);
        let facts = super::task::row_facts(&routed, block, clock);
        verb.ensure(&mut self.slots, aggregator);
        let outs = self.slots.run(
            &routed,
            context,
            (|| verb.slot(aggregator), |slot: &V::Slot| verb.due(slot, clock.end())),
            Vec::new,
            |address, slot, outs| {
                let (keys, columns) = (&prepared.keys, prepared.columns.as_slice());
                let facts = &facts[routed.span(address)];
                let task = Task { block, keys, columns, clock, node, facts, base, seen_from };
                let fired = Fired::new(aggregator.answers());
                let (counters, records, unfired) = (Counters::default(), vec![], vec![]);
                let mut out = SlotOut { counters, records, fired, unfired };
                verb.apply(aggregator, slot, &task, &mut out)?;
                outs.push((address, out));
                Ok(())
            },
        )?;
        self.vitals.clock = clock.end();
        let invalid = prepared.invalid.len() as u64;
        let (rows_in, nan) = (block.len() as u64, prepared.nan);
        let counted = Counters { rows_in, invalid, nan, ..Counters::default() };
        context.book(&mut self.vitals.counters, counted, prepared.invalid);
        let mut fired = Vec::with_capacity(outs.len());
        let mut unfired = vec![];
        for (address, out) in outs.into_iter().flatten() {
            unfired
                .extend(out.unfired.into_iter().map(|(row, record)| (row.place(address), record)));
            context.book(&mut self.vitals.counters, out.counters, out.records);
            fired.push((address, out.fired));
        }
        let (made, overflowed) = assemble(&self.shape, fired)?;
        self.vitals.counters.fired += made.len() as u64;
        context.records.extend(overflowed.into_iter().map(|row| {
            let (seq, origin) = (made.meta.seq[row], made.meta.origin(row));
            let window = made.meta.firing.as_ref().map(|all| (all[row].start, all[row].end));
            Record { window, ..Record::row(Reason::SumOverflow, node, seq, origin) }
        }));
        unfired.sort_by_key(|each| each.0);
        context.records.extend(unfired.into_iter().map(|each| each.1));
        Ok((Arc::new(made), clock.shifted(delay)))
    }

    fn peek(&mut self, inputs: &[Flow], _context: &mut Context) -> Result<Flow> {
        let clock = inputs[0].1.shifted(-self.verb.delay());
        Ok((Arc::new(Block::empty(&self.shape.schema)), clock))
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    fn vitals_mut(&mut self) -> &mut Vitals {
        &mut self.vitals
    }

    fn depends(&self) -> Dependence<'_> {
        let extra = (self.shape.last, self.shape.revision);
        Dependence::Windows(&self.aggregator.folding, self.verb.facts(), extra)
    }

    fn keys(&self) -> usize {
        self.slots.keys()
    }

    fn bytes(&self) -> usize {
        self.slots.bytes()
    }

    fn changed(&self, address: Address, _name: &str) -> u64 {
        self.slots.changed(address)
    }

    fn save(&self, since: u64) -> Result<Vec<SavedPiece>> {
        self.slots.save(since, |slot| self.verb.save(&self.aggregator, slot))
    }

    fn load(&mut self, pieces: &[SavedPiece]) -> Result<()> {
        let (verb, aggregator) = (&self.verb, &self.aggregator);
        let load = |slot: &mut V::Slot, part: &str, saved: &Saved| {
            verb.load(aggregator, slot, part, saved)
        };
        self.slots.load(pieces, || verb.slot(aggregator), load)
    }
}
